"""What recipes of small pictures share."""

import torch
from torch import Tensor

__all__ = ["adam", "as_cells", "counted"]

_ENLARGED = 64  # previews' pictures are this large, if a whole factor makes them so


def as_cells(rows: list[Tensor]) -> Tensor:
    """Return rows of pictures `(n, C, h, w)` as previews are, in RGB, enlarged by a whole factor."""
    cells = torch.stack([row.float().cpu() for row in rows])  # (rows, n, C, h, w)
    factor = max(1, _ENLARGED // max(cells.shape[-2:]))
    cells = cells.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    return cells.expand(-1, -1, 3, -1, -1).clamp(0, 1)


def counted(pictures: int) -> str:
    """Return so many pictures in words."""
    return f"{pictures:,} picture{'s' * (pictures != 1)}"


def adam(network: torch.nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Return Adam over all weights, in one pass over them, which for small networks is much of the time."""
    return torch.optim.Adam(network.parameters(), learning_rate, fused=True)
