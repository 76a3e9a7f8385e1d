"""Energy of checkerboard artifacts: patterns that repeat at the pixel grid."""

from torch import Tensor

__all__ = ["grid_energy"]


def grid_energy(pictures: Tensor, period: int = 4, window: int = 48) -> Tensor:
    """Return the energy of the pattern that repeats with the period of a network's coarsest feature map.

    Pixels of a window are averaged over all positions that agree modulo the period. The content of the picture
    averages out; what remains, apart from its mean, is the pattern. The result is its mean square, 0 for none.

    Args:
        pictures: `(B, C, H, W)`.
        period: of the grid, in pixels: 4 for networks whose coarsest map has a quarter of the resolution.
        window: side of the windows, in pixels; the pattern may differ from window to window.
    """
    b, c, height, width = pictures.shape
    window = min(window, height, width) // period * period
    rows, columns, count = height // window, width // window, window // period
    parts = pictures[..., : rows * window, : columns * window]
    parts = parts.reshape(b, c, rows, count, period, columns, count, period).mean((3, 6))  # (B, C, y, p, x, p)
    return (parts - parts.mean((3, 5), keepdim=True)).square().mean()
