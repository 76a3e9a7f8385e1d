"""Adversarial losses: non-saturating, saturating, hinge, least squares, and the R1 penalty."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["AdversarialLoss", "discriminator_loss", "generator_loss", "patch_adversarial_loss", "r1_penalty"]

AdversarialLoss = Literal["nonsaturating", "saturating", "hinge"]


def discriminator_loss(real: Tensor, fake: Tensor, kind: AdversarialLoss = "nonsaturating") -> Tensor:
    """Return the loss of a discriminator, a mean over all logits.

    Args:
        real: logits D(x) of real pictures, any shape.
        fake: logits D(G(z)) of generated samples, any shape.
        kind: "nonsaturating" and "saturating": -log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))), in nats; log 4 if the
            discriminator cannot tell them apart. "hinge": 0 where D(x) is above 1 and D(G(z)) below -1.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1, negated; hinge: Miyato et al. 2018, arXiv:1802.05957,
        section 4.
    """
    if kind == "hinge":
        return (1 - real).relu().mean() + (1 + fake).relu().mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: AdversarialLoss = "nonsaturating") -> Tensor:
    """Return the adversarial loss of a generator, a mean over all logits.

    Args:
        fake: logits D(G(z)) of generated samples, any shape.
        kind: "nonsaturating": -log sigmoid(D(G(z))), in nats. "saturating": log(1 - sigmoid(D(G(z)))), the minimax
            loss; its gradient vanishes where the discriminator is confident. "hinge": -D(G(z)).

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3 and eq. 1; hinge: Miyato et al. 2018, arXiv:1802.05957,
        section 4.
    """
    if kind == "hinge":
        return -fake.mean()
    return -F.softplus(fake).mean() if kind == "saturating" else F.softplus(-fake).mean()


def patch_adversarial_loss(predictions: Tensor, real: bool, kind: str) -> Tensor:
    """Return the adversarial loss of a PatchGAN discriminator's output against one target for all patches.

    Args:
        predictions: the output for each patch, any shape.
        real: the target: real or fake. A generator's loss has the target real for its fakes.
        kind: "lsgan": mean squared error, with the targets 1 and 0; "vanilla": cross-entropy of logits, in nats.

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9 with a = 0, b = c = 1, without the factors 1/2; Goodfellow et al.
        2014, arXiv:1406.2661, eq. 1, with the non-saturating form for generators.
    """
    predictions = predictions.float()
    target = torch.full_like(predictions, float(real))
    if kind == "lsgan":
        return F.mse_loss(predictions, target)
    return F.binary_cross_entropy_with_logits(predictions, target)


def r1_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """Return the R1 gradient penalty for a gamma of 1: half the mean squared gradient norm of the discriminator.

    Args:
        logits: `(B,)`, D(x) of each picture, computed with gradients.
        pictures: `(B, ...)`, real pictures x that require gradients.

    Source: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, eq. 9, for a gamma of 1.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
    return gradient.float().square().sum() / (2 * len(pictures))
