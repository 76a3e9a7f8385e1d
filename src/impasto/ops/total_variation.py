"""Total variation."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.ops.gram import check_features

__all__ = ["TotalVariation", "total_variation"]

TotalVariation = Literal["l1", "l2", "nine-point"]


def total_variation(
    image: Tensor, kind: TotalVariation = "l2", *, above: int = 0, below: int = 0, height: int | None = None
) -> Tensor:
    """Return the total variation as a mean over pixels, which does not depend on the size.

    Args:
        image: `(B, C, H, W)` with H, W of 2 or more.
        kind: "l1": mean |dx| + mean |dy| (anisotropic; Johnson et al.'s code sums squares instead).
            "l2": mean dx² + mean dy² (Mahendran & Vedaldi 2015 with beta = 2).
            "nine-point": 2 (axis² / 3 + diagonal² / 12) over the eight neighbors, the isotropic stencil of
            style-transfer-pytorch; each pair counts twice, once from each pixel.
        above: 1 if the first row belongs to the strip above.
        below: 1 if the last row belongs to the strip below.
        height: of the whole picture, if `image` is a strip; the values of all strips add up to that of the picture.

    Returns:
        A scalar, 0 exactly for a constant image.
    """
    check_features("kind", kind, TotalVariation)
    b, c, rows, w = image.shape
    own = rows - above - below
    height = own if height is None else height
    if kind == "nine-point":
        padded = F.pad(image, (1, 1, 1 - above, 1 - below), mode="replicate")
        middle, total = image[..., above : above + own, :], image.new_zeros(())
        for y, x in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)]:
            difference = padded[..., y : y + own, x : x + w] - middle
            total = total + difference.square().sum() / (12 if y != 1 != x else 3)
        return 2 * total / (b * c * height * w)
    size = torch.abs if kind == "l1" else torch.square
    dx = size(image[..., above : above + own, :].diff(dim=-1)).sum() / (b * c * height * (w - 1))
    dy = size(image[..., above:, :].diff(dim=-2)).sum() / (b * c * (height - 1) * w)
    return dx + dy
