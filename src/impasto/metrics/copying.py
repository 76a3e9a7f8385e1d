"""Copied share: how much of a stylized picture repeats motifs of the painting instead of the photograph's subject."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.ops.resize import resize, style_size
from impasto.style_transfer.objective import Encoder

__all__ = ["MOTIF_LAYER", "copied_share"]

MOTIF_LAYER = "relu5_1"  # its features are eyes, windows, trees

_AREA = 448 * 448  # px at which pictures are compared
_PATCH = 5  # positions of the feature map
_NEARER = 1e-6  # cosine by which a match has to be nearer: above rounding


def copied_share(
    result: Tensor,
    content: Tensor,
    styles: Sequence[Tensor],
    encoder: Encoder,
    *,
    style_scale: float = 1.0,
) -> float:
    """Return the fraction of a result's patches that a style image explains better than the photograph does.

    A patch is 5 x 5 positions of relu5_1, about 80 px of the picture with its surroundings: an eye, a tree,
    a tower. It is copied if the best match anywhere in a style image is nearer to it than the photograph's patch at
    the same position. The distance is the cosine of both patches, after each channel's mean over the map is removed.

    Args:
        result: `(1, 3, H, W)` RGB in [0, 1], any size.
        content: `(1, 3, h, w)`, the photograph, any size.
        styles: one or more `(1, 3, h, w)`, any sizes.
        encoder: the network of the features.
        style_scale: as for `stylize`: the strokes' scale at which a style image is read.

    Returns:
        In [0, 1]: 0 nothing is copied, as in the photograph itself; 1 everything, as in the style image itself. It
        also rises where the photograph is lost.

    All pictures are resized to an area of 448 x 448 px, the style images times `style_scale`². So memory does not grow
    with a picture: the network's at that size, and 120 MB for the patches of VGG-19 (each style image in its turn).

    Source: ours; patches of features as in Li & Wand 2016, arXiv:1601.04589.
    """
    least = max(encoder.minimum_size([MOTIF_LAYER]), encoder.stride(MOTIF_LAYER) * _PATCH)
    area = (math.isqrt(_AREA),) * 2
    size = style_size(result, area, 1.0, least)
    with torch.no_grad():
        ours, photograph = (_patches(resize(x, size).clamp(0, 1), encoder) for x in (result, content))
        best = torch.full_like(ours[:, 0], -1.0)
        for style in styles:
            theirs = _patches(resize(style, style_size(style, area, style_scale, least)).clamp(0, 1), encoder)
            best = torch.maximum(best, (ours @ theirs.T).amax(1))
        return float((best > (ours * photograph).sum(1) + _NEARER).double().mean())


def _patches(image: Tensor, encoder: Encoder) -> Tensor:
    """Return the patches of the features, `(positions, C * 25)`, of unit length."""
    features = encoder(image, [MOTIF_LAYER])[MOTIF_LAYER].float()
    features = features - features.mean((2, 3), keepdim=True)
    return F.normalize(F.unfold(features, _PATCH)[0].T, dim=1)
