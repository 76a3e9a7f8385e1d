"""Tiles give what the whole picture gives: features, losses and the gradient of every pixel."""

import pytest
import torch

from impasto.ops.total_variation import total_variation
from impasto.style_transfer.objective import GRID, Objective
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.tiling import Tile, strips, tiles
from nets import picture, tiny_vgg

SIZES = [(96, 128), (97, 131), (64, 203), (33, 150), (127, 64)]


@pytest.fixture(autouse=True)
def several_strips(monkeypatch):
    monkeypatch.setattr("impasto.style_transfer.objective._STRIP", 2000)  # pixels; these pictures have up to 17,000


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [16, 32, 48, 1000])
def test_every_pixel_is_owned_once_and_every_tile_has_a_grid_to_stand_on(size, side):
    count = torch.zeros(size)
    for tile in tiles(size, side, 16, GRID):
        top, bottom, left, right = tile.own
        count[top:bottom, left:right] += 1
        assert top % GRID == left % GRID == tile.crop[0] % GRID == tile.crop[2] % GRID == 0
        assert bottom - top >= GRID and right - left >= GRID
        assert tile.crop[0] <= top and tile.crop[1] >= bottom and tile.crop[2] <= left and tile.crop[3] >= right
    assert (count == 1).all()


@pytest.mark.parametrize("size", SIZES)
def test_every_feature_is_owned_once_and_is_that_of_the_whole(size):
    encoder, image = tiny_vgg(dtype=torch.float64, padding="reflect"), picture(*size, dtype=torch.float64)
    layers = ["conv1_1", "relu2_2", "relu3_1", "pool3", "relu4_2", "relu5_1"]
    whole = encoder(image, layers)
    covered = {layer: torch.zeros_like(features) for layer, features in whole.items()}
    for tile in tiles(size, 32, max(map(encoder.reach, layers)), GRID):
        seen = encoder(tile.seen(image), layers)
        for layer in layers:
            stride = encoder.stride(layer)
            own = tile.owned(seen[layer], stride)
            torch.testing.assert_close(own, tile.of_whole(whole[layer], stride), rtol=0, atol=1e-12)
            tile.of_whole(covered[layer], stride).add_(1)
    assert all((count == 1).all() for count in covered.values())


def test_reach_is_how_far_a_position_really_sees():
    # By probing: the gradient of one position in the middle, with random weights that hide nothing.
    encoder = tiny_vgg(dtype=torch.float64, pooling="average")
    for layer in ("conv1_1", "relu1_2", "relu2_1", "pool2", "relu3_1", "relu4_2", "relu5_1"):
        image = torch.rand(1, 3, 256, 256, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        image.requires_grad_()
        features = encoder(image, [layer])[layer]
        at, stride = features.shape[-1] // 2, encoder.stride(layer)
        (gradient,) = torch.autograd.grad(features[0, :, at, at].square().sum(), image)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
        reach = encoder.reach(layer)
        assert (at * stride - reach, at * stride + stride - 1 + reach) == (rows.min().item(), rows.max().item()), layer


@pytest.mark.parametrize("dtype,tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("size", SIZES)
def test_tiled_gradient_is_the_whole_one(size, dtype, tolerance):
    check(size, dtype, tolerance, StylizeOptions(content_layers="relu3_1:0.5,relu4_2:1", motifs=1))


@pytest.mark.parametrize(
    "settings",
    [
        {"style_loss": "moments"},
        {"style_loss": "wasserstein", "style_layers": "relu1_1,relu2_1"},
        {"gram_norm": "none", "loss_scale": "absolute", "style_weight": 1e-6},
        {"gram_norm": "chw"},
        {"total_variation": "nine-point", "tv_weight": 5},
        {"total_variation": "l1", "tv_weight": 5},
        {"content_weight": 0},
        {"style_weight": 0},
        {"strength": 0.4, "style_weights": (1, 3)},
        {"content_focus": 0},
        {"motifs": 1},
        {"content_weight": 0, "tv_weight": 0, "range_weight": 0},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_tiled_equals_whole_for_every_loss(settings):
    styles = len(settings.get("style_weights", (1,)))
    check((97, 131), torch.float64, 1e-10, StylizeOptions(**settings), styles=styles)


def test_tiled_equals_whole_inside_a_region():
    mask = torch.zeros(1, 1, 97, 131, dtype=torch.float64)
    mask[..., 20:80, 30:] = 1
    check((97, 131), torch.float64, 1e-10, StylizeOptions(), mask=mask)


def check(size, dtype, tolerance, options, styles=1, mask=None):
    encoder = tiny_vgg(dtype=dtype, padding="replicate")
    content, image = picture(*size, 0, dtype), 1.3 * picture(*size, 2, dtype) - 0.1  # some pixels out of range
    style_images = [picture(90, 77, seed, dtype) for seed in range(10, 10 + styles)]
    parts, gradient = Objective(encoder, content, style_images, options, mask=mask)(image)
    for tile in (32, 80):
        tiled_parts, tiled = Objective(encoder, content, style_images, options, mask=mask, tile=tile)(image)
        assert tiled_parts == pytest.approx(parts, rel=10 * tolerance, abs=1e-12)
        error = (tiled - gradient).abs().max() / gradient.abs().max()
        assert error < tolerance, (tile, error.item())
        assert tiled.is_contiguous()


def test_too_narrow_a_halo_is_seen_by_these_tests(monkeypatch):
    monkeypatch.setattr("impasto.style_transfer.tiling.halo", lambda reach, grid: 32)
    with pytest.raises(AssertionError):
        check((127, 160), torch.float64, 1e-6, StylizeOptions())


@pytest.mark.parametrize("kind", ["l1", "l2", "nine-point"])
def test_total_variations_of_strips_add_up(kind):
    image = picture(37, 20, dtype=torch.float64)
    total = 0.0
    for start, end in strips(37, 8):
        above, below = int(start > 0), int(end < 37)
        strip = image[..., start - above : end + below, :]
        total += total_variation(strip, kind, above=above, below=below, height=37).item()
    assert total == pytest.approx(total_variation(image, kind).item(), rel=1e-12)


def test_a_tile_is_a_view():
    image = torch.zeros(1, 3, 40, 40)
    Tile((16, 32, 0, 16), (0, 40, 0, 32), (40, 40)).seen(image).add_(1)
    assert image.sum() == 3 * 40 * 32
