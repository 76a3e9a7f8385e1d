"""Subject kept: edges of the photograph that are found again in the stylized picture."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.metrics.color import lab
from impasto.ops.filters import gaussian_blur
from impasto.ops.resize import resize, style_size

__all__ = ["subject_kept"]

_AREA = 256 * 256  # px at which pictures are compared
_BLUR = 1.0  # σ before the slope, in px
_AROUND = 8.0  # σ of the local contrast, in px
_REACH = 1  # px by which an edge may move
_VISIBLE = 1.0  # slope that counts as an edge everywhere, L* per px


def subject_kept(result: Tensor, content: Tensor) -> float:
    """Return how well edges of the photograph are found at the same position and in the same direction in the result.

    Args:
        result: `(1, 3, H, W)` RGB in [0, 1], any size.
        content: `(1, 3, h, w)`, the photograph, any size.

    Returns:
        1 all edges are found, as in the photograph itself; 0 no more than in an unrelated picture (which may be
        slightly below 0).

    Both are resized to an area of 256 x 256 px and blurred. An edge is a slope of L*, divided by the local contrast
    (so eyes and mouth count as much as an outline); brighter and darker sides may be exchanged, and an edge may move
    by 1 px. The chance to find an edge is that of the same result, moved by a third of its size or turned around.

    Source: ours.
    """
    size = style_size(result, (math.isqrt(_AREA),) * 2, 1.0, 8)
    ours, wanted = _slopes(result, size), _slopes(content, size)
    weight = wanted.square().sum(1, keepdim=True)
    total = weight.sum()
    if total <= 1e-6:  # a blank photograph has nothing to keep
        return 1.0
    found = _found(ours, wanted, weight)
    h, w = size
    moved = [ours.roll(shift, (2, 3)) for shift in ((h // 3, 0), (-h // 3, 0), (0, w // 3), (0, -w // 3))]
    moved += [ours.flip(2), ours.flip(3), ours.flip(2, 3)]
    chance = sum(_found(one, wanted, weight) for one in moved) / len(moved)
    return float((found - chance) / (total - chance).clamp_min(1e-12))


def _found(ours: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Return the weight of the wanted edges that are found, by their strength and direction."""
    strength = wanted.square().sum(1, keepdim=True).sqrt().clamp_min(1e-12)
    direction = wanted / strength
    reach = range(-_REACH, _REACH + 1)
    best = torch.zeros_like(weight)
    padded = F.pad(ours, (_REACH,) * 4)
    h, w = ours.shape[-2:]
    for dy in reach:
        for dx in reach:
            other = padded[..., _REACH + dy : _REACH + dy + h, _REACH + dx : _REACH + dx + w]
            along = (other * direction).sum(1, keepdim=True).square()
            length = other.square().sum(1, keepdim=True).sqrt().clamp_min(1e-12)
            best = torch.maximum(best, along / length)  # length times cos²
    return (weight * (best / strength).clamp_max(1)).sum()


def _slopes(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the slopes of L* relative to the local contrast, `(1, 2, H, W)`: along x and y."""
    light = lab(resize(image.double().cpu(), size).clamp(0, 1))[:, :1]
    light = F.pad(_blur(light, _BLUR), (1,) * 4, mode="replicate")
    x = (light[..., 1:-1, 2:] - light[..., 1:-1, :-2]) / 2
    y = (light[..., 2:, 1:-1] - light[..., :-2, 1:-1]) / 2
    slopes = torch.cat([x, y], 1)
    contrast = _blur(slopes.square().sum(1, keepdim=True), _AROUND)
    return slopes / (contrast + _VISIBLE**2).sqrt()


def _blur(image: Tensor, sigma: float) -> Tensor:
    return gaussian_blur(image, sigma, math.ceil(3 * sigma), "replicate")
