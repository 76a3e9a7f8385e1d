"""Margins of a picture: those that were painted around it are found to the pixel, and nothing else is."""

import pytest
import torch

from impasto import builtin_styles
from impasto.ops.margins import find_margins
from impasto.ops.resize import resize

PAPER, BLACK, WOOD = (0.93, 0.89, 0.8), (0.0, 0.0, 0.0), (0.45, 0.3, 0.2)


def painting(height=200, width=240, seed=0):
    """Blobs of color with a fine grain, `(1, 3, H, W)`."""
    random = torch.Generator().manual_seed(seed)
    blobs = resize(torch.rand(1, 3, height // 20, width // 20, generator=random), (height, width))
    return (blobs + 0.05 * torch.randn(blobs.shape, generator=random)).clamp(0, 1)


def framed(inside, color, top, bottom, left, right, grain=0.02):
    """The same with a margin around it, of these widths in pixels."""
    h, w = inside.shape[-2:]
    whole = torch.tensor(color).view(1, 3, 1, 1).repeat(1, 1, h + top + bottom, w + left + right)
    whole = whole + grain * torch.randn(whole.shape, generator=torch.Generator().manual_seed(1))
    whole[..., top : top + h, left : left + w] = inside
    return whole.clamp(0, 1)


def found(image):
    """Margins in pixels."""
    h, w = image.shape[-2:]
    return [fraction * side for fraction, side in zip(find_margins(image), (h, h, w, w), strict=True)]


@pytest.mark.parametrize("color", [PAPER, BLACK, WOOD])
@pytest.mark.parametrize("widths", [(20, 12, 16, 16), (6, 6, 8, 8), (0, 0, 20, 20), (14, 0, 0, 0)])
def test_margins_are_found_to_the_pixel(color, widths):
    assert found(framed(painting(), color, *widths)) == pytest.approx(widths, abs=1)


def test_margins_inside_each_other_are_found_together():
    twice = framed(framed(painting(), WOOD, 8, 8, 8, 8), BLACK, 6, 6, 6, 6)
    assert found(twice) == pytest.approx([14] * 4, abs=1)


def test_a_seal_on_the_paper_does_not_hide_the_margin():
    print_ = framed(painting(), PAPER, 16, 16, 16, 16)
    print_[..., 3:13, 100:130] = torch.tensor([0.8, 0.1, 0.1]).view(3, 1, 1)
    assert found(print_) == pytest.approx([16] * 4, abs=1)


def test_a_picture_of_another_size_has_the_same_fractions():
    large = resize(framed(painting(), PAPER, 20, 12, 16, 16), (928, 1088)).clamp(0, 1)
    assert find_margins(large) == pytest.approx((20 / 232, 12 / 232, 16 / 272, 16 / 272), abs=0.005)


def sky():
    """A plain sky that darkens upwards, over land."""
    whole = painting()
    whole[..., :90, :] = torch.linspace(0.3, 0.8, 90).view(1, 1, 90, 1) * torch.tensor([0.5, 0.7, 1.0]).view(1, 3, 1, 1)
    return whole


def stripes():
    return ((torch.arange(240) // 16) % 2).float().view(1, 1, 1, 240).expand(1, 3, 200, 240)


@pytest.mark.parametrize(
    "image",
    [
        painting(),
        sky(),
        stripes(),
        stripes().transpose(2, 3),
        torch.full((1, 3, 100, 100), 0.5),
        framed(painting(60, 60), PAPER, 20, 20, 20, 20),  # wider than 12 %
        torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.zeros(1, 3, 1, 1),
    ],
    ids=["painting", "sky", "stripes", "rows", "blank", "wide", "tiny", "pixel"],
)
def test_nothing_is_cut_off_where_there_is_no_sure_margin(image):
    assert find_margins(image) == (0, 0, 0, 0)


@pytest.mark.parametrize("name", builtin_styles.names())
def test_built_in_styles_keep_nearly_everything(name):
    image = torch.from_numpy(builtin_styles.paint(name, 96, 120)).permute(2, 0, 1)[None].float()
    assert max(find_margins(image)) <= 0.12
