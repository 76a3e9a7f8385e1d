"""PatchNCE: the patchwise contrastive loss of CUT."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["patch_nce_loss"]


def patch_nce_loss(queries: Sequence[Tensor], keys: Sequence[Tensor], temperature: float = 0.07) -> Tensor:
    """Return the PatchNCE loss, in nats: the cross-entropy of finding each patch among those of its own picture.

    Args:
        queries: embeddings `(B, P, D)` of length 1, one tensor for each layer: patches of the translated picture.
        keys: embeddings of the same shapes: the patches of the source at the same positions. Position p of the keys is
            the positive of position p of the queries, the other P - 1 positions are its negatives.
        temperature: tau, by which similarities are divided.

    Returns:
        A scalar, the mean over layers of the mean over patches. It is about log P for unrelated embeddings.

    Source: Park, Efros, Zhang & Zhu 2020, arXiv:2007.15651, eqs. 2 and 3.
    """
    losses = []
    for query, key in zip(queries, keys, strict=True):
        similarities = query @ key.transpose(1, 2) / temperature  # (B, P, P)
        positives = torch.arange(similarities.shape[1], device=similarities.device).expand(len(similarities), -1)
        losses.append(F.cross_entropy(similarities.flatten(0, 1), positives.flatten()))
    return torch.stack(losses).mean()
