"""Gaussian blur and high-pass filter."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["gaussian_blur", "high_pass"]


def high_pass(image: Tensor, sigma: float = 1.0) -> Tensor:
    """Return the image minus its Gaussian blur: the high-frequency noise that total variation reduces.

    Args:
        image: `(B, C, H, W)`.
        sigma: standard deviation of the blur, in pixels; finer detail remains.

    Returns:
        Same shape, around 0; add 0.5 to show it as a picture.
    """
    radius = max(1, math.ceil(3 * sigma))
    radius = min(radius, min(image.shape[-2:]) - 1)
    return image - gaussian_blur(image, sigma, radius, "reflect")


def gaussian_blur(image: Tensor, sigma: float, radius: int, border: Literal["reflect", "replicate"]) -> Tensor:
    """Return the Gaussian blur of `(B, C, H, W)`, with a kernel of `radius` pixels."""
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma).square())
    kernel = kernel / kernel.sum()
    c = image.shape[1]
    blurred = F.pad(image, (radius,) * 4, mode=border)
    blurred = F.conv2d(blurred, kernel.view(1, 1, 1, -1).expand(c, 1, 1, -1), groups=c)
    return F.conv2d(blurred, kernel.view(1, 1, -1, 1).expand(c, 1, -1, 1), groups=c)
