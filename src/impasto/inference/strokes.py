"""The size of strokes relative to the picture: at which size it is painted, and how it comes to its own size."""

import math

from torch import Tensor

from impasto.ops.resize import resize

__all__ = ["enlarged", "painting_size"]

SIDE = 512  # px, the longer side at which strokes of size 1 are as large, relative to the picture, as in the painting
_LARGEST = 2.0  # a small picture is not enlarged by more before it is painted


def painting_size(size: tuple[int, int], stroke_size: float, repeats: bool) -> tuple[tuple[int, int], int]:
    """Return the `(height, width)` at which a picture is painted, and the octaves that its painter adds.

    A painter that repeats its last level paints drafts of `SIDE / stroke_size` pixels and doubles them, up to about
    the size of the picture. Any other paints at that size only.

    Args:
        size: `(height, width)` of the picture.
        stroke_size: relative to the picture; 2: twice as large as in the painting.
        repeats: see `StyledNetwork`.
    """
    longer = max(size)
    draft = min(SIDE / stroke_size, _LARGEST * longer)
    octaves = max(0, round(math.log2(longer / draft))) if repeats else 0
    factor = draft * 2**octaves / longer
    height, width = (max(1, round(side * factor)) for side in size)
    return (height, width), octaves


def enlarged(painted: Tensor, photograph: Tensor, small: Tensor, detail: float) -> Tensor:
    """Return a painting at the size of its photograph, with detail that only the photograph has.

    Args:
        painted: `(B, 3, h, w)` in [0, 1].
        photograph: `(B, 3, H, W)` in [0, 1].
        small: `(B, 3, h, w)`, the photograph as it was painted.
        detail: fraction of what `small` has lost, in [0, 1]. With 1, an unchanged picture gives the photograph.

    Returns:
        `(B, 3, H, W)` in [0, 1].
    """
    size = (photograph.shape[-2], photograph.shape[-1])
    if painted.shape[-2:] == size:
        return painted
    result = resize(painted - detail * small, size)
    return result.add_(photograph, alpha=detail).clamp_(0, 1)
