"""Losses of GANs: non-saturating, saturating, hinge, and the R1 penalty."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["AdversarialLoss", "discriminator_loss", "generator_loss", "r1_penalty"]

AdversarialLoss = Literal["nonsaturating", "saturating", "hinge"]


def discriminator_loss(real: Tensor, fake: Tensor, kind: AdversarialLoss = "nonsaturating") -> Tensor:
    """Return how badly a discriminator tells real from made.

    Args:
        real: logits of real pictures, any shape.
        fake: logits of made ones.
        kind: "nonsaturating" and "saturating": -log D(x) - log(1 - D(G(z))), which is log 4 for one that cannot tell;
            "hinge": nothing for logits that are beyond 1 on the right side.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1, whose negative it is; hinge: Miyato et al. 2018,
        arXiv:1802.05957, section 4.
    """
    if kind == "hinge":
        return (1 - real).relu().mean() + (1 + fake).relu().mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: AdversarialLoss = "nonsaturating") -> Tensor:
    """Return how badly a generator deceives the discriminator.

    Args:
        fake: logits of made pictures, any shape.
        kind: "nonsaturating": -log D(G(z)), as if labels were flipped; "saturating": log(1 - D(G(z))), the game as it
            is written, whose gradient vanishes where the discriminator is sure; "hinge": the logit's negative.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3 and eq. 1; hinge: Miyato et al. 2018, arXiv:1802.05957,
        section 4.
    """
    if kind == "hinge":
        return -fake.mean()
    return -F.softplus(fake).mean() if kind == "saturating" else F.softplus(-fake).mean()


def r1_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """Return half the mean squared gradient of logits by pictures: how steep the discriminator is around real ones.

    Args:
        logits: `(B,)`, each of its own picture, computed with gradients.
        pictures: `(B, ...)`, real ones, that require gradients.

    Source: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, eq. 9, for a gamma of 1.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
    return gradient.float().square().sum() / (2 * len(pictures))
