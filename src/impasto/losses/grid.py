"""Energy of patterns at the pixel grid (checkerboard artifacts)."""

from torch import Tensor

__all__ = ["clinging"]


def clinging(painted: Tensor, period: int = 4, window: int = 48) -> Tensor:
    """Return how much of pictures is a pattern that repeats at the grid of a network's smallest maps.

    All squares of `period` pixels in a window are laid upon each other. What belongs to the picture averages out;
    what is left, but for its mean, clings to the grid. Its mean square is returned, 0 for none.

    Args:
        painted: `(B, 3, H, W)`.
        period: of the grid, in pixels: 4 for networks that work at a quarter of the size.
        window: side of what is averaged, in pixels; a pattern may be light in one place and dark in another.
    """
    b, c, height, width = painted.shape
    window = min(window, height, width) // period * period
    rows, columns, count = height // window, width // window, window // period
    parts = painted[..., : rows * window, : columns * window]
    parts = parts.reshape(b, c, rows, count, period, columns, count, period).mean((3, 6))  # (B, C, y, p, x, p)
    return (parts - parts.mean((3, 5), keepdim=True)).square().mean()
