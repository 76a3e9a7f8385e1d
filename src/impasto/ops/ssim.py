"""Structural similarity (SSIM)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.ops.color import luminance

__all__ = ["ssim"]


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean structural similarity of the luminances of two images, 1 for equal ones.

    Args:
        a: `(B, 3, H, W)` in [0, 1], H and W of 11 or more.
        b: the same shape.

    Source: Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13: 11 x 11 Gaussian window, sigma 1.5,
        K1 = 0.01, K2 = 0.03, only whole windows.
    """
    x = torch.arange(11, dtype=a.dtype, device=a.device) - 5
    line = torch.exp(-0.5 * (x / 1.5).square())
    line = line / line.sum()

    def window(image: Tensor) -> Tensor:
        image = F.conv2d(image, line.view(1, 1, 1, 11))
        return F.conv2d(image, line.view(1, 1, 11, 1))

    a, b = luminance(a), luminance(b)
    mu_a, mu_b = window(a), window(b)
    var_a = window(a * a) - mu_a.square()
    var_b = window(b * b) - mu_b.square()
    cov = window(a * b) - mu_a * mu_b
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a.square() + mu_b.square() + c1) * (var_a + var_b + c2))
    return score.mean()
