"""Class fractions, entropy and KL divergence."""

import torch
from torch import Tensor

from impasto.errors import OptionError

__all__ = ["class_shares", "divergence", "entropy"]


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Return the share `(classes,)` of each class among labels `(N,)`, in float64.

    Raises:
        OptionError: there is no label, or one out of range.
    """
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise OptionError(f"{len(labels)} labels; expected one or more, from 0 to {classes - 1}.")
    return torch.bincount(labels.long().flatten().cpu(), minlength=classes).double() / labels.numel()


def entropy(shares: Tensor) -> float:
    """Return -Σ p log p of shares `(K,)`, in nats: log K if all are even, 0 if there is one class only."""
    return float(-torch.special.xlogy(shares.double(), shares.double()).sum())


def divergence(shares: Tensor, expected: Tensor | None = None) -> float:
    """Return KL(shares ‖ expected) = Σ p log(p / q) in nats, for shares `(K,)`: 0 if they are as expected.

    Args:
        shares: what was found; 0 log 0 is 0.
        expected: what there should be; by default even shares, for which it is at most log K. It is infinite if
            something is found that is not expected at all.
    """
    p = shares.double()
    q = torch.full_like(p, 1 / len(p)) if expected is None else expected.double().to(p.device)
    found = p > 0
    return max(0.0, float((p[found] * (p[found] / q[found]).log()).sum()))
