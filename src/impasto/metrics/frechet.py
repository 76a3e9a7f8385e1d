"""Fréchet distance between sets of features."""

import math

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.ops.linear_algebra import covariance_sqrt, trace_sqrt

__all__ = [
    "as_double",
    "check_same_width",
    "feature_rows",
    "frechet_distance",
    "gaussian_distance",
    "spread",
    "unsteady",
]

_FEW = 640  # images, ten for each feature, below which covariances are unsteady


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the distance between two sets, as Gaussians with their means and covariances: 0 if equal.

    Compare it only with distances of the same network's features and the same number of rows: it falls with more
    rows, and it is unstable with less than about ten times as many rows as features.

    Args:
        a: `(N, F)`, N of 2 or more.
        b: `(M, F)`.

    Raises:
        OptionError: shapes do not fit, or a feature is not finite.

    Source: Heusel et al. 2017, arXiv:1706.08500, eq. 6, and Dowson & Landau 1982 for Gaussians.
    Differs: features may be those of any network, not of Inception only.
    """
    a, b = feature_rows(a, 2), feature_rows(b, 2)
    check_same_width(a, b)
    return gaussian_distance(a.mean(0), torch.cov(a.T), b.mean(0), torch.cov(b.T))


def gaussian_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """Return |m - m'|² + tr(C + C' - 2 (C C')^½) of two Gaussians: the squared Wasserstein-2 distance.

    Args:
        mean_a: `(F,)`.
        cov_a: `(F, F)`, symmetric and positive semi-definite; of a single feature, a number.
        mean_b: `(F,)`.
        cov_b: as `cov_a`.

    Differs: tr (C C')^½ is taken as tr (C^½ C' C^½)^½, whose eigenvalues are real and not negative.
    """
    mean_a, mean_b = as_double(mean_a), as_double(mean_b)
    cov_a, cov_b = (as_double(cov).reshape(len(mean_a), len(mean_a)) for cov in (cov_a, cov_b))
    root = covariance_sqrt(cov_a)
    shared = trace_sqrt(root @ cov_b @ root)
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * shared
    return max(0.0, float(distance))


def unsteady(count: int) -> str:
    """Return the sentence that Fréchet distances of so many images are unsteady; "" if they are not."""
    few = f"Fréchet distances of {count} pictures are unsteady; compare them only with those of as many"
    return few if count < _FEW else ""


def spread(features: Tensor) -> float:
    """Return the root mean square distance of rows `(N, F)` from their mean: 0 if all are equal."""
    features = feature_rows(features, 1)
    return math.sqrt(float((features - features.mean(0)).square().sum(1).mean()))


def as_double(values: Tensor) -> Tensor:
    """Return values in float64; on the CPU if they are on one of Apple's GPUs, which have no float64."""
    return (values.cpu() if values.device.type == "mps" else values).detach().double()


def feature_rows(features: Tensor, least: int) -> Tensor:
    """Return `(N, F)` in float64."""
    if features.ndim != 2 or len(features) < least:
        shape = " x ".join(map(str, features.shape))
        raise OptionError(f"features are {shape}; expected two dimensions, a row for each image and {least} at least.")
    features = as_double(features)
    if not bool(features.isfinite().all()):
        raise OptionError("some features are not finite; expected numbers.")
    return features


def check_same_width(a: Tensor, b: Tensor) -> None:
    """Raise an OptionError if rows have different numbers of features."""
    if a.shape[1] != b.shape[1]:
        raise OptionError(f"rows have {a.shape[1]} and {b.shape[1]} features; expected those of the same network.")
