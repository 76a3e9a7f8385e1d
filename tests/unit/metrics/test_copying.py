"""Copied share against an independent loop in numpy, with an encoder that averages blocks of pixels."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from impasto.metrics.copying import MOTIF_LAYER, copied_share


class Blocks:
    """Features are the means of 32 x 32 px: a 14 x 14 map of a picture of 448 x 448 px."""

    def __call__(self, image, layers):
        assert layers == [MOTIF_LAYER]
        return {MOTIF_LAYER: F.avg_pool2d(image, 32)}

    def minimum_size(self, layers):
        return 32

    def stride(self, layer):
        return 32


def blocks(seed, height=14, width=14):
    """A picture of random blocks of 32 x 32 px."""
    random = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=random).repeat_interleave(32, 2).repeat_interleave(32, 3)


def share_in_numpy(result, content, style):
    maps = [x[0, :, ::32, ::32].double().numpy() for x in (result, content, style)]
    maps = [x - x.mean((1, 2), keepdims=True) for x in maps]

    def patches(x):
        return {
            (i, j): x[:, i : i + 5, j : j + 5].ravel() / np.linalg.norm(x[:, i : i + 5, j : j + 5])
            for i in range(x.shape[1] - 4)
            for j in range(x.shape[2] - 4)
        }

    ours, photograph, theirs = map(patches, maps)
    copied = [max(patch @ other for other in theirs.values()) > patch @ photograph[at] for at, patch in ours.items()]
    return np.mean(copied)


def test_it_agrees_with_a_loop():
    content, style = blocks(0), blocks(1)
    result = 0.75 * content + 0.25 * blocks(2)
    result[..., 224:] = 0.3 * content[..., 224:] + 0.7 * style[..., 96:320]  # moved motifs
    expected = share_in_numpy(result, content, style)
    assert 0.2 < expected < 0.8
    assert copied_share(result, content, [style], Blocks()) == pytest.approx(expected)


def test_photograph_painting_and_half_of_each():
    content, style = blocks(0), blocks(1)
    assert copied_share(content, content, [style], Blocks()) == 0
    assert copied_share(style, content, [style], Blocks()) == 1
    assert copied_share(content, content, [content], Blocks()) == 0
    half = torch.cat([content[..., :224], style[..., :224]], 3)
    # Of the ten columns of patches, those from 0 to 2 hold the photograph only, those from 7 to 9 the painting only.
    assert 3 / 10 <= copied_share(half, content, [style], Blocks()) <= 7 / 10
    assert copied_share(half, content, [blocks(5), style], Blocks()) >= copied_share(half, content, [style], Blocks())


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (900, 700)])
def test_it_is_finite_at_any_size_and_for_constant_pictures(size):
    flat, noise = torch.full((1, 3, *size), 0.5), torch.rand(1, 3, *size)
    for result, content, style in ((flat, flat, flat), (flat, noise, flat), (noise, flat, noise), (noise, noise, flat)):
        assert 0 <= copied_share(result, content, [style], Blocks()) <= 1
    assert copied_share(flat, flat, [noise], Blocks()) == 0
