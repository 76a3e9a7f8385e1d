"""Score of a picture against independent float64 numpy and closed forms."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError, UnknownName
from impasto.metrics.style import CONTENT_LAYERS, MOTIF_LAYER, STYLE_LAYERS, score
from impasto.networks.vgg import VGG


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    net = VGG(
        19, mean=(104, 117, 124), std=(1, 1, 1), channel_order="bgr", scale=255.0, widths=(4, 5, 6, 7, 8)
    )  # small, with random weights
    for name, parameter in net.named_parameters():  # or relu5_1 would be nearly silent
        if name.endswith("weight"):
            torch.nn.init.kaiming_normal_(parameter)
        else:
            torch.nn.init.uniform_(parameter, 0, 1)
    return net.double().eval().requires_grad_(False)


def picture(seed, height=32, width=40):
    """A picture with coarse and fine parts, float64."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 5, generator=random, dtype=torch.float64)
    fine = torch.rand(1, 3, height, width, generator=random, dtype=torch.float64)
    return 0.8 * F.interpolate(coarse, (height, width), mode="bilinear") + 0.2 * fine


def test_the_photograph_itself(encoder):
    content = picture(0)
    found = score(content, content, [picture(1)], encoder)
    assert found.content_loss == 0
    assert found.ssim == 1
    assert found.color_to_content == 0
    assert found.style_loss > 0.01
    assert found.color_to_style > 1
    assert (found.copied_share, found.subject_kept, found.grid_excess) == (0, 1, 0)
    assert found.grid == found.grid_of_content


def test_the_style_itself(encoder):
    style = picture(1)
    found = score(style, picture(0), [style], encoder)
    assert found.style_loss == 0
    assert found.color_to_style == 0
    assert found.high_frequency_excess == 0
    assert found.color_spread == found.lightness_spread == 1
    assert found.copied_share > 0.9
    assert abs(found.subject_kept) < 0.3
    assert found.content_loss > 0.01
    assert found.ssim < 0.9


@pytest.mark.parametrize("scale", [1, 2])
def test_losses_agree_with_numpy(encoder, scale):
    result, content, style = picture(2), picture(0), picture(1, 32 * scale, 40 * scale)
    found = score(result, content, [style], encoder, style_scale=scale)
    layers = (*STYLE_LAYERS, MOTIF_LAYER, *CONTENT_LAYERS)
    r, c, s = ({k: v.numpy()[0] for k, v in encoder(x, layers).items()} for x in (result, content, style))

    def gram(x):
        return np.einsum("ihw,jhw->ij", x, x) / (x.shape[1] * x.shape[2])

    for layer in (*STYLE_LAYERS, MOTIF_LAYER):
        g, a = gram(r[layer]), gram(s[layer])
        assert found.style[layer] == pytest.approx(np.linalg.norm(g - a) ** 2 / np.linalg.norm(a) ** 2, rel=1e-10)
    for layer in CONTENT_LAYERS:
        expected = ((r[layer] - c[layer]) ** 2).sum() / (c[layer] ** 2).sum()
        assert found.content[layer] == pytest.approx(expected, rel=1e-10)
    assert found.style_loss == pytest.approx(np.mean([found.style[f"relu{n}_1"] for n in (1, 2, 3, 4)]))
    assert found.content_loss == pytest.approx(np.mean(list(found.content.values())))


def test_a_blank_feature_map_scores_one():
    def blank_or_not(image, layers):
        return {layer: F.avg_pool2d(image, 4) * (image.mean() > 0.5) for layer in layers}

    blank_or_not.minimum_size = blank_or_not.stride = lambda layers: 4
    dark, bright = torch.full((1, 3, 12, 12), 0.2), torch.full((1, 3, 12, 12), 0.8)
    found = score(dark, bright, [bright], blank_or_not, style_layers=["a"], content_layers=["b"])
    assert found.style == {"a": 1.0, MOTIF_LAYER: 1.0}
    assert found.style_loss == 1.0
    assert found.content == {"b": 1.0}


def test_other_sizes_are_brought_to_the_results(encoder):
    # 32x40 has 1280 pixels. A style of 64x20 has as many, so it stays; at style_scale 2 it is 128x40.
    seen = []

    def spy(image, layers):
        if layers != [MOTIF_LAYER]:  # copied motifs are searched at a size of their own
            seen.append(tuple(image.shape[-2:]))
        return encoder(image, layers)

    spy.minimum_size, spy.stride = encoder.minimum_size, encoder.stride
    score(picture(0), picture(1, 50, 70), [picture(2, 64, 20), picture(3, 128, 40)], spy)
    assert sorted(seen) == [(32, 40), (32, 40), (64, 20), (64, 20)]
    seen.clear()
    score(picture(0), picture(1), [picture(2, 64, 20)], spy, style_scale=2)
    assert (128, 40) in seen


def test_style_weights_are_shares(encoder):
    result, content, a, b = (picture(seed) for seed in range(4))
    whole = score(result, content, [a], encoder)
    first = score(result, content, [a, b], encoder, style_weights=(3, 0))
    assert first.style_loss == pytest.approx(whole.style_loss)
    assert first.high_frequency_excess == pytest.approx(whole.high_frequency_excess)
    equal = score(result, content, [a, b], encoder)
    twice = score(result, content, [a, b], encoder, style_weights=(2, 2))
    assert equal == twice
    assert equal.style_loss != pytest.approx(whole.style_loss)


def test_high_frequency_excess_is_a_ratio_less_one(encoder):
    # High-pass is linear and blind to constants: twice the contrast is twice the rms, so the excess is 1.
    style = 0.25 + 0.5 * picture(1)
    flat = 0.5 + (style - 0.5) / 2
    assert score(style, picture(0), [flat], encoder).high_frequency_excess == pytest.approx(1)
    assert score(flat, picture(0), [style], encoder).high_frequency_excess == pytest.approx(-0.5)


def test_a_flat_style_divides_by_what_eight_bits_hold(encoder):
    flat = torch.full((1, 3, 32, 40), 0.5, dtype=torch.float64)
    assert score(flat, picture(0), [flat], encoder).high_frequency_excess == 0
    # rms of a ±1/255 checkerboard is all high pass but its blur, 6 % at most of rounding's 1/255/√12.
    checks = (torch.arange(32)[:, None] + torch.arange(40)) % 2 * 2.0 - 1
    speckled = flat + checks / 255
    expected = 12**0.5 - 1
    assert score(speckled, picture(0), [flat], encoder).high_frequency_excess == pytest.approx(expected, rel=0.01)


def test_the_grid_counts_beyond_the_photographs(encoder):
    weave = 0.1 * torch.cos(torch.pi / 2 * torch.arange(128.0)).double()
    content, style = picture(0, 64, 128), picture(1)
    woven = 0.1 + 0.8 * content + weave
    found = score(woven, content, [style], encoder)
    assert found.grid_excess == pytest.approx(found.grid[4] - found.grid_of_content[4])
    assert found.grid_excess > 0.05
    assert score(woven, woven, [style], encoder).grid_excess == 0


@pytest.mark.parametrize("size", [(16, 16), (16, 70), (90, 33)])
def test_all_is_finite_for_constant_and_gray_pictures(encoder, size):
    flat, gray = torch.full((1, 3, *size), 0.5), torch.rand(1, 1, *size).expand(1, 3, *size)
    for result, content, style in ((flat, flat, flat), (flat, gray, gray), (gray, flat, flat)):
        found = score(result, content, [style], encoder).as_dict()
        values = [v for x in found.values() for v in (x.values() if isinstance(x, dict) else [x])]
        assert all(map(math.isfinite, values))


def test_nothing_is_changed(encoder):
    images = [picture(0) * 1.5 - 0.2, picture(1, 40, 40), picture(2, 20, 50)]
    copies = [image.clone() for image in images]
    score(images[0], images[1], [images[2]], encoder)
    assert all(torch.equal(image, copy) for image, copy in zip(images, copies, strict=True))


def test_a_score_is_frozen_and_json(encoder):
    found = score(picture(0), picture(1), [picture(2)], encoder)
    assert json.loads(json.dumps(found.as_dict()))["style"].keys() == {*STYLE_LAYERS, MOTIF_LAYER}
    assert set(found.as_dict()) == {field.name for field in dataclasses.fields(found)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.ssim = 0


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"result": torch.rand(1, 3, 15, 40)}, ImageError, "result is 40x15 px; measuring it needs at least 16x16."),
        ({"result": torch.rand(3, 32, 32)}, ImageError, "result has shape (3, 32, 32); expected (1, 3, H, W)."),
        ({"content": torch.rand(1, 1, 32, 32)}, ImageError, "content has shape (1, 1, 32, 32)"),
        ({"styles": [torch.rand(2, 3, 9, 9)]}, ImageError, "style 1 has shape (2, 3, 9, 9)"),
        ({"styles": [torch.rand(1, 3, 0, 9)]}, ImageError, "style 1 has shape (1, 3, 0, 9)"),
        ({"content": torch.full((1, 3, 20, 20), torch.nan)}, ImageError, "content holds NaN"),
        ({"styles": []}, OptionError, "there are no styles; expected one or more."),
        ({"style_weights": (1, 2)}, OptionError, "there are 2 style_weights for 1 styles; expected as many."),
        ({"style_weights": (-1,)}, OptionError, "style_weights are (-1,); expected 0 or more each, not all 0."),
        (
            {"styles": [torch.rand(1, 3, 9, 9)] * 2, "style_weights": (2, -1)},
            OptionError,
            "(2, -1); expected 0 or more",
        ),
        ({"style_weights": (0,)}, OptionError, "not all 0"),
        ({"style_layers": ()}, OptionError, "style_layers are empty; expected one or more names."),
        ({"content_layers": ()}, OptionError, "content_layers are empty"),
        ({"style_layers": ("relu9_1",)}, UnknownName, "relu9_1"),
    ],
)
def test_refusals(encoder, changes, error, words):
    arguments = {"result": torch.rand(1, 3, 32, 32), "content": torch.rand(1, 3, 32, 32), "encoder": encoder}
    arguments["styles"] = [torch.rand(1, 3, 32, 32)]
    with pytest.raises(error) as caught:
        score(**{**arguments, **changes})
    assert words in str(caught.value)


def test_a_tiny_style_grows_to_what_the_network_needs(encoder):
    # Area 32 * 32 with the shape of a 1 x 64 line would be 4 x 256; it is made 16 x 256.
    found = score(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 2, 2), [torch.rand(1, 3, 1, 64)], encoder)
    assert found.style_loss > 0
