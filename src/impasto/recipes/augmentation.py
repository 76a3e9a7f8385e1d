"""Pictures changed before a discriminator sees them, so that it cannot learn a small set by heart."""

from collections.abc import Collection

import torch
from torch import Tensor

from impasto.recipes.classifying import shifted

__all__ = ["augmented"]

_SHIFT, _HOLE = 0.125, 0.5  # shares of the side: how far pictures move, and how large the hole is


def augmented(pictures: Tensor, ways: Collection[str], random: torch.Generator) -> Tensor:
    """Return pictures changed at random, each its own way; gradients flow through.

    Real and made pictures must be changed by the same ways, whenever a discriminator judges them.

    Args:
        pictures: `(B, C, H, W)` in [-1, 1].
        ways: of "color", "translation" and "cutout".
        random: on the CPU; the same draws on every device.

    Source: Zhao, Liu, Lin, Zhu & Han 2020, "Differentiable augmentation for data-efficient GAN training",
        arXiv:2006.10738, appendix A.
    """
    count, _, height, width = pictures.shape
    if "color" in ways:
        brightness, saturation, contrast = torch.rand(3, count, 1, 1, 1, generator=random).to(pictures)
        pictures = pictures + (brightness - 0.5)
        gray = pictures.mean(1, keepdim=True)
        pictures = gray + (pictures - gray) * (2 * saturation)
        mean = pictures.mean((1, 2, 3), keepdim=True)
        pictures = mean + (pictures - mean) * (contrast + 0.5)
    if "translation" in ways:
        pictures = shifted(pictures, round(_SHIFT * min(height, width)), random)
    if "cutout" in ways:
        tall, wide = round(_HOLE * height), round(_HOLE * width)
        middle = torch.rand(2, count, generator=random) * torch.tensor([[height], [width]])
        rows, columns = torch.arange(height) - middle[0, :, None], torch.arange(width) - middle[1, :, None]
        hole = ((rows.abs() <= tall / 2)[:, :, None] & (columns.abs() <= wide / 2)[:, None])[:, None]
        pictures = pictures * (~hole).to(pictures)
    return pictures
