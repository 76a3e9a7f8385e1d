"""Mean and second raw moment of channels."""

from torch import Tensor

from impasto.ops.gram import by_position, gram_matrix
from impasto.ops.precision import wide

__all__ = ["channel_moments"]


def channel_moments(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return mean `(B, C)` and second raw moment E[f fᵀ] `(B, C, C)` over positions.

    Raw moments, unlike covariances, mix linearly: a mixture of two styles has the mixture of their moments, as
    style-transfer-pytorch notes in its revision 93fe0b2.

    Args:
        features: `(B, C, H, W)`.
        guide: as for `gram_matrix`.
    """
    flat = by_position(wide(features))
    weighted = flat if guide is None else flat * by_position(guide)
    return weighted.mean(1), gram_matrix(features, "hw", guide)
