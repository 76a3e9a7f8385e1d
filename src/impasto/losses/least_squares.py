"""Adversarial losses of PatchGAN discriminators: least squares and cross-entropy."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["adversarial_loss"]


def adversarial_loss(judged: Tensor, real: bool, kind: str) -> Tensor:
    """Return how far a discriminator is from saying that pictures are real, or that they are not.

    Args:
        judged: what it says of each patch, any shape.
        real: what it should say.
        kind: "lsgan": mean squared distance from 1 or 0; "vanilla": cross-entropy in nats.

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9 with a = 0, b = c = 1, without the halves; Goodfellow et al. 2014,
        arXiv:1406.2661, eq. 1, of generators the form that does not saturate.
    """
    judged = judged.float()
    wanted = torch.full_like(judged, float(real))
    if kind == "lsgan":
        return F.mse_loss(judged, wanted)
    return F.binary_cross_entropy_with_logits(judged, wanted)
