"""Bernoulli likelihood, KL divergence of Gaussians, active units."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.ops.precision import wide

__all__ = ["bernoulli_entropy", "bernoulli_nats", "gaussian_kl", "used_numbers"]

_USED = 0.01  # variance of a number's mean above which it is used


def bernoulli_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each picture, in nats: the sum over its pixels, `(B,)`.

    Args:
        logits: `(B, ...)`, before the sigmoid.
        targets: the same shape, in [0, 1]. Of black and white pixels it is the negative logarithm of a likelihood; of
            gray ones it is not, and never 0, see `bernoulli_entropy`.
    """
    return F.binary_cross_entropy_with_logits(wide(logits), wide(targets), reduction="none").flatten(1).sum(1)


def bernoulli_entropy(targets: Tensor) -> Tensor:
    """Return the least that `bernoulli_nats` can be for each picture, whatever the logits, `(B,)`."""
    targets = wide(targets)
    return -(torch.xlogy(targets, targets) + torch.xlogy(1 - targets, 1 - targets)).flatten(1).sum(1)


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return how far Gaussians are from the standard one, in nats: the sum over dimensions, `(B,)`.

    Args:
        mu: `(B, Z)`, means.
        logvar: `(B, Z)`, logarithms of variances; there are no covariances.

    Source: Kingma & Welling 2014, arXiv:1312.6114, appendix B.
    """
    mu, logvar = wide(mu), wide(logvar)
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)


def used_numbers(means: Tensor) -> Tensor:
    """Return which numbers tell pictures apart, `(Z,)`: those whose mean varies by more than 0.01; of one picture none.

    Args:
        means: `(N, Z)`, of many pictures' Gaussians.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5.2 and appendix C.
    """
    return means.double().var(0, correction=int(len(means) > 1)) > _USED
