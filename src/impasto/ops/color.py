"""Luminance and color matching."""

from typing import Literal

import torch
from torch import Tensor

from impasto.ops.gram import check_features
from impasto.ops.linear_algebra import covariance_sqrt

__all__ = ["ColorMap", "luminance", "match_color", "match_luminance", "transplant_luminance"]

ColorMap = Literal["transport", "pca", "cholesky"]


LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the Y of YIQ and YUV on gamma-encoded RGB


def luminance(image: Tensor) -> Tensor:
    """Return Y of YIQ, `(B, 1, H, W)` in [0, 1] (ITU-R BT.601 weights on encoded RGB)."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def match_luminance(style: Tensor, content: Tensor) -> Tensor:
    """Return the style image in gray, `(B, 3, H, W)`, with the mean and standard deviation of the content's luminance.

    Source: Gatys, Bethge, Hertzmann & Shechtman 2016, arXiv:1606.05897, eq. 8.
    """
    y, reference = luminance(style), luminance(content)
    spread = y.std().clamp_min(1e-6)
    return ((y - y.mean()) * (reference.std() / spread) + reference.mean()).clamp(0, 1).expand(-1, 3, -1, -1)


def transplant_luminance(result: Tensor, content: Tensor) -> Tensor:
    """Return the content with the luminance of the result; I and Q of YIQ are the content's."""
    return (content + luminance(result) - luminance(content)).clamp(0, 1)


def _color_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    flat = image.cpu().double().transpose(0, 1).flatten(1)  # (3, B*H*W); not every GPU has float64
    return flat.mean(1), torch.cov(flat, correction=0) + 1e-5 * torch.eye(3, dtype=flat.dtype)


def match_color(image: Tensor, target: Tensor, method: ColorMap = "transport") -> Tensor:
    """Map the colors of an image linearly to the mean and covariance of the colors of a target.

    Args:
        image: `(B, 3, H, W)`, whose colors are mapped.
        target: `(B, 3, H, W)`, with the target statistics; any size.
        method: the linear map: "transport" (the optimal transport map
            A = Σs^-½ (Σs^½ Σc Σs^½)^½ Σs^-½, which moves colors least), "pca" (symmetric roots,
            A = Σc^½ Σs^-½) or "cholesky" (A = Lc Ls^-1).

    Returns:
        Same shape and dtype, clamped to [0, 1].

    Source: Gatys et al. 2016, arXiv:1606.05897, eqs. 2-7; transport: Pitié & Kokaram 2007, eq. 14.
    Differs: 1e-5 is added to the diagonals, so that the covariance of gray pictures has an inverse.
    """
    check_features("method", method, ColorMap)
    mean_s, cov_s = _color_moments(image)
    mean_c, cov_c = _color_moments(target)
    if method == "cholesky":
        matrix = torch.linalg.cholesky(cov_c) @ torch.linalg.inv(torch.linalg.cholesky(cov_s))
    elif method == "pca":
        matrix = covariance_sqrt(cov_c) @ torch.linalg.inv(covariance_sqrt(cov_s))
    else:
        root = covariance_sqrt(cov_s)
        inverse = torch.linalg.inv(root)
        matrix = inverse @ covariance_sqrt(root @ cov_c @ root) @ inverse
    b, _, h, w = image.shape
    moved = matrix @ (image.cpu().double().flatten(2) - mean_s.view(1, 3, 1)) + mean_c.view(1, 3, 1)  # (B, 3, H*W)
    result: Tensor = moved.view(b, 3, h, w).clamp(0, 1).to(image)
    return result
