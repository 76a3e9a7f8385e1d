"""Palettes: moments of colors, and the transport of one palette to another, in closed form."""

import torch
from torch import Tensor

from impasto.ops.linear_algebra import eigh

__all__ = ["MOMENTS", "color_products", "palette_of", "transport"]

MOMENTS = 9  # of a palette: means of R, G, B, and of RR, RG, RB, GG, GB, BB
_SYMMETRIC = ((3, 4, 5), (4, 6, 7), (5, 7, 8))  # where the products of a palette stand in a matrix
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_FLOOR = 1e-4  # added to variances: a gray picture has no colors to stretch
_LARGEST = 3.0  # of a stretch along any direction, and the inverse of the smallest


def color_products(image: Tensor) -> Tensor:
    """Return `(B, 9, H, W)`: the colors and their products, whose means over positions are the palette's moments."""
    products = [image[:, one : one + 1] * image[:, other : other + 1] for one, other in _PAIRS]
    return torch.cat([image, *products], 1)


def palette_of(image: Tensor) -> Tensor:
    """Return the moments `(B, 9)` of the colors of pictures `(B, 3, H, W)` in [0, 1].

    Raw moments, unlike covariances, mix linearly: a mixture of two styles has the mixture of their palettes.
    """
    return color_products(image.double()).mean((2, 3)).float()


def transport(source: Tensor, target: Tensor, amount: Tensor) -> tuple[Tensor, Tensor]:
    """Return matrices `(B, 3, 3)` and offsets `(B, 3)` that move colors of one palette to another: x -> A x + b.

    A = Σs^-½ (Σs^½ Σt Σs^½)^½ Σs^-½ moves colors least among the linear maps that give them the target's mean and
    covariance.

    Args:
        source: moments `(B, 9)` of the colors that are moved.
        target: moments `(B or 1, 9)`.
        amount: `(B or 1)`, 0 leaves the colors unchanged, 1 moves them all the way.

    Source: Pitié & Kokaram 2007, eq. 14.
    Differs: 1e-4 is added to variances, and no direction is stretched more than three times or less than a third.
    """
    (mean, covariance), (wanted, goal) = _moments(source), _moments(target)
    values, vectors = eigh(covariance)
    root, inverse = _composed(values.sqrt(), vectors), _composed(values.rsqrt(), vectors)
    values, vectors = eigh(root @ goal @ root)
    matrix = inverse @ _composed(values.clamp_min(0).sqrt(), vectors) @ inverse
    values, vectors = eigh((matrix + matrix.mT) / 2)
    matrix = _composed(values.clamp(1 / _LARGEST, _LARGEST), vectors)
    share = amount.double().cpu().view(-1, 1, 1)
    matrix = torch.eye(3, dtype=torch.float64) + share * (matrix - torch.eye(3, dtype=torch.float64))
    moved = mean + share[:, :, 0] * (wanted - mean)
    offset = moved - (matrix @ mean.unsqueeze(-1)).squeeze(-1)
    return matrix.to(source), offset.to(source)


def _composed(values: Tensor, vectors: Tensor) -> Tensor:
    """Return the symmetric matrices with these eigenvalues and eigenvectors."""
    return (vectors * values.unsqueeze(-2)) @ vectors.mT


def _moments(palette: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean `(B, 3)` and covariance `(B, 3, 3)`, in float64 on the CPU."""
    palette = palette.double().cpu()
    mean, second = palette[:, :3], palette[:, _SYMMETRIC]
    covariance = second - mean.unsqueeze(2) * mean.unsqueeze(1)
    return mean, covariance + _FLOOR * torch.eye(3, dtype=torch.float64)
