"""Losses of variational autoencoders: Bernoulli likelihood, KL divergence of Gaussians, active units."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.ops.precision import wide

__all__ = ["bernoulli_entropy", "bernoulli_nats", "gaussian_kl", "active_units"]

_ACTIVE = 0.01  # variance of the posterior mean above which a latent dimension is active


def bernoulli_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the binary cross-entropy of each picture, in nats: the sum over its pixels, `(B,)`.

    Args:
        logits: `(B, ...)`, before the sigmoid.
        targets: the same shape, in [0, 1]. For binary pixels the result is a negative log-likelihood. For gray pixels
            it is not, and its minimum is their entropy, see `bernoulli_entropy`.
    """
    return F.binary_cross_entropy_with_logits(wide(logits), wide(targets), reduction="none").flatten(1).sum(1)


def bernoulli_entropy(targets: Tensor) -> Tensor:
    """Return the entropy of the pixels as Bernoulli variables, in nats, `(B,)`: the minimum of `bernoulli_nats`."""
    targets = wide(targets)
    return -(torch.xlogy(targets, targets) + torch.xlogy(1 - targets, 1 - targets)).flatten(1).sum(1)


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return the KL divergence of diagonal Gaussians from the standard one, in nats: a sum over dimensions, `(B,)`.

    Args:
        mu: `(B, Z)`, means.
        logvar: `(B, Z)`, logarithms of the variances.

    Source: Kingma & Welling 2014, arXiv:1312.6114, appendix B.
    """
    mu, logvar = wide(mu), wide(logvar)
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)


def active_units(means: Tensor) -> Tensor:
    """Return which latent dimensions are active, `(Z,)`: those whose posterior mean has a variance above 0.01.

    Args:
        means: `(N, Z)`, posterior means of N pictures; for a single picture no dimension is active.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5.2 and appendix C.
    """
    return means.double().var(0, correction=int(len(means) > 1)) > _ACTIVE
