"""Class fractions, their entropy and KL divergence."""

import torch
from torch import Tensor

from impasto.errors import OptionError

__all__ = ["class_fractions", "entropy", "kl_divergence"]


def class_fractions(labels: Tensor, classes: int) -> Tensor:
    """Return the fraction `(classes,)` of each class among labels `(N,)`, in float64.

    Raises:
        OptionError: there is no label, or one out of range.
    """
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise OptionError(f"{len(labels)} labels; expected one or more, from 0 to {classes - 1}.")
    return torch.bincount(labels.long().flatten().cpu(), minlength=classes).double() / labels.numel()


def entropy(fractions: Tensor) -> float:
    """Return -Σ p log p of fractions `(K,)`, in nats: log K if all are equal, 0 if there is one class only."""
    return float(-torch.special.xlogy(fractions.double(), fractions.double()).sum())


def kl_divergence(fractions: Tensor, expected: Tensor | None = None) -> float:
    """Return KL(fractions ‖ expected) = Σ p log(p / q) in nats, for fractions `(K,)`: 0 if they are as expected.

    Args:
        fractions: p, what was found; 0 log 0 is 0.
        expected: q; by default equal fractions, for which the divergence is at most log K. It is infinite if a class
            was found whose expected fraction is 0.
    """
    p = fractions.double()
    q = torch.full_like(p, 1 / len(p)) if expected is None else expected.double().to(p.device)
    found = p > 0
    return max(0.0, float((p[found] * (p[found] / q[found]).log()).sum()))
