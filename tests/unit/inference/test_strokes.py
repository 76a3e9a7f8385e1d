"""Strokes keep their size relative to the picture, and pictures come back at their own size."""

import numpy as np
import pytest
import torch

from impasto.inference.strokes import enlarged, painting_size
from impasto.networks.pyramid import PyramidNetwork
from impasto.ops.resize import resize
from nets import model_of, picture, random_weights


@pytest.mark.parametrize(
    ("size", "stroke_size", "expected"),
    [
        ((384, 512), 1.0, ((384, 512), 0)),
        ((768, 1024), 1.0, ((768, 1024), 1)),
        ((3072, 4096), 1.0, ((3072, 4096), 3)),
        ((3000, 2000), 1.0, ((4096, 2731), 3)),
        ((384, 512), 2.0, ((384, 512), 1)),
        ((384, 512), 0.5, ((768, 1024), 0)),
        ((100, 50), 1.0, ((200, 100), 0)),  # twice at most
        ((1, 1), 1.0, ((2, 2), 0)),
    ],
)
def test_a_repeating_painter_paints_near_the_size_of_the_picture(size, stroke_size, expected):
    assert painting_size(size, stroke_size, True) == expected


def test_other_painters_paint_at_one_size():
    assert painting_size((1500, 2000), 1.0, False) == ((384, 512), 0)
    assert painting_size((1500, 2000), 2.0, False) == ((192, 256), 0)


def test_an_unchanged_picture_comes_back_as_the_photograph():
    photograph = picture(90, 120)
    small = resize(photograph, (60, 80)).clamp(0, 1)
    torch.testing.assert_close(enlarged(small.clone(), photograph, small, 1.0), photograph, rtol=0, atol=1e-6)
    brighter = enlarged((small + 0.1).clamp(0, 1), photograph.mul(0.5), small.mul(0.5), 1.0)
    assert brighter.shape == photograph.shape


def painter():
    network = random_weights(PyramidNetwork((12, 8, 8), (1, 1, 1), 8, styles=("identity", "a")))
    with torch.no_grad():
        network.embeddings[:, -1] = 0.0  # no transport of colors
        network.embeddings[0] = network.toward(network.embeddings[0], 0.0)
    return model_of(network)


@pytest.mark.parametrize("size", [(40, 30), (500, 700), (1100, 900)])
def test_strength_0_is_the_photograph_at_every_size(size):
    photograph = (picture(*size)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    painted = painter()(photograph, style="a", strength=0.0)
    assert painted.shape == photograph.shape
    assert np.abs(painted.astype(int) - photograph).max() <= 1


def test_pictures_of_two_sizes_are_painted_alike():
    # drafts of the large picture are computed from the small one, up to the filters of the two resizes
    large = resize(picture(96, 128), (768, 1024)).clamp(0, 1)
    small = resize(large, (384, 512)).clamp(0, 1)
    model = painter()
    with torch.no_grad():
        model.network.embeddings[1, -17:-11] *= 0.1  # a last level that adds little, as a trained one
        model.network.embeddings[1, -11] = 0.3
    plain = resize(model(large, style="a"), (384, 512)) - model(small, style="a")
    moved = resize(model(large, style="a", stroke_size=0.5), (384, 512)) - model(small, style="a")
    assert plain.square().mean() < 0.6 * moved.square().mean()
