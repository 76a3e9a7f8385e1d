"""Differentiable augmentation of a discriminator's inputs, against overfitting on small training sets."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["Augmentation", "augmented", "cut_out", "recolored", "translated"]

Augmentation = Literal["color", "translation", "cutout"]

_MOVED = 1 / 8  # of the sides, at most
_CUT = 1 / 2  # of the sides


def augmented(pictures: Tensor, augmentations: Sequence[Augmentation]) -> Tensor:
    """Return pictures `(B, C, H, W)` in [0, 1], each with its own random augmentation, from torch's global generator.

    Args:
        pictures: real pictures or generated samples. Both must be augmented, in the losses of both networks, or the
            generator would learn the augmentations.
        augmentations: any of "color", "translation" by up to an eighth of the sides, "cutout" of a square of half the
            sides.

    Source: Zhao et al. 2020, arXiv:2006.10738, with the sizes of the authors' code.
    Differs: pictures are in [0, 1] instead of [-1, 1], so that padding and cutouts are black instead of gray.
    """
    (count, _, height, width), device = pictures.shape, pictures.device
    if "color" in augmentations:
        brightness, saturation, contrast = torch.rand((3, count), device=device)
        pictures = recolored(pictures, (brightness - 0.5) / 2, 2 * saturation, contrast + 0.5)
    if "translation" in augmentations:
        down, across = round(_MOVED * height), round(_MOVED * width)
        moves = [torch.randint(-most, most + 1, (count,), device=device) for most in (down, across)]
        pictures = translated(pictures, torch.stack(moves), max(down, across))
    if "cutout" in augmentations:
        high, wide = round(_CUT * height), round(_CUT * width)
        # the center of the square may be anywhere, so a part of it may lie outside
        middles = [torch.randint(side + 1, (count,), device=device) for side in (height, width)]
        corners = torch.stack([middles[0] - high // 2, middles[1] - wide // 2])
        pictures = cut_out(pictures, corners, (high, wide))
    return pictures


def translated(pictures: Tensor, moves: Tensor, most: int) -> Tensor:
    """Return pictures `(B, C, H, W)`, each translated up and to the left by its own `moves` `(2, B)`, padded with 0.

    Args:
        pictures: any values.
        moves: whole pixels, rows and columns; negative: down and to the right.
        most: upper bound of all moves.
    """
    _, channels, height, width = pictures.shape
    wide = F.pad(pictures, (most,) * 4)
    moves = moves.to(pictures.device) + most
    rows = (moves[0, :, None] + torch.arange(height, device=pictures.device))[:, None, :, None]
    columns = (moves[1, :, None] + torch.arange(width, device=pictures.device))[:, None, None, :]
    high = wide.gather(2, rows.expand(-1, channels, -1, wide.shape[3]))
    return high.gather(3, columns.expand(-1, channels, height, -1))


def cut_out(pictures: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures `(B, C, H, W)` with a rectangle of zeros in each (cutout).

    Args:
        pictures: any values.
        corners: `(2, B)`, row and column of the upper left pixel of each rectangle; it may lie outside.
        size: height and width of the rectangles.
    """
    inside = []
    for corner, length, side in zip(corners.to(pictures.device), size, pictures.shape[2:], strict=True):
        away = torch.arange(side, device=pictures.device) - corner[:, None]
        inside.append((away >= 0) & (away < length))  # (B, side)
    return pictures.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)


def recolored(pictures: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Return pictures `(B, C, H, W)` with changed brightness, saturation and contrast, each by its own values `(B,)`.

    Args:
        pictures: any values.
        brightness: offset.
        saturation: factor on the differences of channels from their mean.
        contrast: factor on the differences from the mean of the picture.
    """
    brightness, saturation, contrast = (one[:, None, None, None] for one in (brightness, saturation, contrast))
    pictures = pictures + brightness
    gray = pictures.mean(1, keepdim=True)
    pictures = gray + saturation * (pictures - gray)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return mean + contrast * (pictures - mean)
