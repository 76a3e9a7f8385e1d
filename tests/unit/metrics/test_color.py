"""CIELAB, distances and spreads of colors against independent float64 numpy, closed forms and published values."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from impasto.metrics.color import color_distance, color_spread, lab, lightness_spread


def picture(seed, height=32, width=40):
    """A picture with coarse and fine parts, float64."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 5, generator=random, dtype=torch.float64)
    fine = torch.rand(1, 3, height, width, generator=random, dtype=torch.float64)
    return 0.8 * F.interpolate(coarse, (height, width), mode="bilinear") + 0.2 * fine


def pixels(*colors):
    """A picture of one row with these colors."""
    return torch.tensor(colors, dtype=torch.float64).T.reshape(1, 3, 1, -1)


# --- lab -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        # Published for sRGB and D65 by color calculators (Lindbloom's and scikit-image's among them). By hand for
        # red: its XYZ / white is the matrix' first column / row sums = (.4124564 / .95047, .2126729,
        # .0193339 / 1.08883) = (.433949, .212673, .017757); cube roots .757094, .596903, .260899;
        # L = 116 * .596903 - 16 = 53.2408, a = 500 * (.757094 - .596903), b = 200 * (.596903 - .260899).
        ((1, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 1, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 1), (32.2970, 79.1875, -107.8602)),
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        # Gray of 0.5: linear ((.5 + .055) / 1.055)^2.4 = .214041, cube root .598183, L = 116 * .598183 - 16.
        ((0.5, 0.5, 0.5), (53.3890, 0, 0)),
        # 2/255 is in both straight parts: Y = 2/255/12.92 = .000607, L = 24389/27 * Y.
        ((2 / 255, 2 / 255, 2 / 255), (0.548352, 0, 0)),
    ],
)
def test_lab_of_known_colors(rgb, expected):
    assert lab(pixels(rgb)).flatten().tolist() == pytest.approx(expected, abs=2e-4)


def lab_in_numpy(image):
    """CIE 15:2004 with its own constants, one color at a time."""
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    colors = []
    for rgb in image.double().numpy()[0].reshape(3, -1).T:
        light = np.array([v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb])
        ratio = (matrix @ light) / matrix.sum(1)
        x, y, z = (r ** (1 / 3) if r > (6 / 29) ** 3 else r / (3 * (6 / 29) ** 2) + 4 / 29 for r in ratio)
        colors.append((116 * y - 16, 500 * (x - y), 200 * (y - z)))
    return np.array(colors)  # (pixels, 3)


def test_lab_agrees_with_cie():
    image = torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(3), dtype=torch.float64) ** 2
    assert lab(image)[0].flatten(1).T.numpy() == pytest.approx(lab_in_numpy(image), abs=1e-9)


def test_lab_keeps_pictures_apart_and_takes_values_below_zero():
    two = torch.cat([picture(0), picture(1) - 0.5])
    assert torch.equal(lab(two), torch.cat([lab(two[:1]), lab(two[1:])]))
    assert lab(two).isfinite().all()


# --- color distance ------------------------------------------------------------------------------


def test_one_step_of_all_colors_is_its_own_length():
    # All grays 10 L* apart: Y = ((L + 16) / 116)^3, encoded. The mean over directions is |step|² / 3.
    def gray(lightness):
        light = ((lightness + 16) / 116) ** 3
        return (1.055 * light ** (1 / 2.4) - 0.055,) * 3

    dark, light = pixels(*map(gray, (20, 30, 50))), pixels(*map(gray, (30, 40, 60)))
    assert color_distance(dark, [light]) == pytest.approx(10, abs=1e-6)


def test_the_step_may_go_anywhere():
    # One color each: every direction sees the whole step, so the distance is Delta E 1976 of red and green.
    expected = np.linalg.norm(np.array((53.2408, 80.0925, 67.2032)) - (87.7347, -86.1827, 83.1793))
    assert color_distance(pixels((1, 0, 0)), [pixels((0, 1, 0))]) == pytest.approx(expected, abs=1e-3)


def test_color_distance_agrees_with_sorting():
    # With 1024 pixels each, quantiles are the sorted colors themselves.
    a, b = picture(0, 32, 32), picture(1, 32, 32)
    golden = (1 + 5**0.5) / 2
    axes = [(1, y, z) for y in (1, -1) for z in (1, -1)]
    for sign in (1, -1):
        axes += [(0, 1, sign * golden), (1, sign * golden, 0), (sign * golden, 0, 1)]
        axes += [(0, golden, sign / golden), (golden, sign / golden, 0), (sign / golden, 0, golden)]
    squares = []
    for axis in axes:
        axis = np.array(axis) / np.linalg.norm(axis)
        squares.append(np.mean((np.sort(lab_in_numpy(a) @ axis) - np.sort(lab_in_numpy(b) @ axis)) ** 2))
    assert color_distance(a, [b]) == pytest.approx(np.sqrt(3 * np.mean(squares)), rel=1e-9)


def test_colors_do_not_care_where_they_are_or_how_often_they_repeat():
    image = picture(0)
    order = torch.randperm(32 * 40, generator=torch.Generator().manual_seed(0))
    shuffled = image.flatten(2)[..., order].view(image.shape)
    assert color_distance(image, [shuffled]) == 0
    # Repeated pixels only change how the gaps between neighboring colors are bridged.
    assert color_distance(image, [image.repeat_interleave(4, 3)]) < 0.01 * color_distance(image, [picture(1)])
    assert color_distance(image, [picture(1)]) == pytest.approx(color_distance(picture(1), [image]), rel=1e-12)


def test_several_pictures_are_one_cloud_by_their_shares():
    # Three quarters of the cloud are black. A picture of three black pixels and a white one is the same cloud but for
    # the ramp between two pixels, so it is far nearer than one of two and two.
    black, white = pixels(*[(0, 0, 0)] * 400), pixels(*[(1, 1, 1)] * 100)
    same = pixels(*[(0, 0, 0)] * 300, *[(1, 1, 1)] * 100)
    half = pixels(*[(0, 0, 0)] * 200, *[(1, 1, 1)] * 200)
    assert color_distance(same, [black, white], (0.75, 0.25)) < 3
    # A quarter of all pixels 100 L* away: 100 * sqrt(1 / 4).
    assert color_distance(half, [black, white], (0.75, 0.25)) == pytest.approx(50, abs=1)


# --- spreads -------------------------------------------------------------------------------------


def test_spreads_of_two_colors_are_half_their_distance():
    # Half red, half green: sqrt(var a* + var b*) is half their distance in a* and b*; the standard deviation of L* is
    # half its difference. Published CIELAB as above; blue beside black is the second pair.
    pair, other = pixels((1, 0, 0), (0, 1, 0)), pixels((0, 0, 1), (0, 0, 0))
    chroma = np.hypot(80.0925 + 86.1827, 67.2032 - 83.1793) / np.hypot(79.1875, 107.8602)
    assert color_spread(pair, [other]) == pytest.approx(chroma, rel=1e-5)
    assert lightness_spread(pair, [other]) == pytest.approx((87.7347 - 53.2408) / 32.2970, rel=1e-5)


def test_several_pictures_spread_as_one_cloud():
    # A quarter white, three quarters black: the standard deviation of L* is 100 * sqrt(1/4 * 3/4).
    black, white, half = pixels((0, 0, 0)), pixels((1, 1, 1)), pixels((0, 0, 0), (1, 1, 1))
    assert lightness_spread(half, [white, black], (0.25, 0.75)) == pytest.approx(0.5 / (3 / 16) ** 0.5)


def test_spreads_of_gray_and_constant_pictures_are_finite():
    gray, color = pixels((0, 0, 0), (1, 1, 1)), pixels((1, 0, 0), (0, 1, 0))
    flat = pixels((0.5, 0.5, 0.5))
    assert color_spread(gray, [gray]) == color_spread(flat, [gray]) == lightness_spread(flat, [flat]) == 1
    assert color_spread(gray, [color]) == pytest.approx(1 / 83.52, rel=1e-3)  # 1 Delta E over half the distance
    assert color_spread(color, [gray]) == pytest.approx(83.52, rel=1e-3)
    assert lightness_spread(flat, [gray]) == pytest.approx(1 / 50)


def test_a_drab_picture_spreads_less():
    image = picture(0)
    gray = image.mean(1, keepdim=True).expand_as(image)
    assert color_spread(0.5 * image + 0.5 * gray, [image]) == pytest.approx(0.5, abs=0.06)
    assert color_spread(image, [image]) == lightness_spread(image, [image]) == 1
