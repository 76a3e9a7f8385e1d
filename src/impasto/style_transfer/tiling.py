"""Cutting a picture into tiles whose features are exactly those of the whole picture.

A tile *owns* a rectangle and *sees* a larger one, its crop. Every position of every layer is owned by one
tile, and the crop reaches as far around it as the network looks, so what a tile computes for its own
positions is what the whole picture has there. Crops end where the picture ends and never go beyond it, so
the network's padding acts only at real borders.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Tile", "halo", "strips", "tiles"]


@dataclass(frozen=True)
class Tile:
    """One tile; rows and columns are in pixels of the picture, ends exclusive.

    Attributes:
        own: (top, bottom, left, right) of what it owns; multiples of the grid, but for the picture's end.
        crop: (top, bottom, left, right) of what it sees.
        size: (height, width) of the picture.
    """

    own: tuple[int, int, int, int]
    crop: tuple[int, int, int, int]
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        """How many it sees."""
        top, bottom, left, right = self.crop
        return (bottom - top) * (right - left)

    def seen(self, image: Tensor) -> Tensor:
        """Return what the tile sees of a picture `(B, C, H, W)`, a view."""
        top, bottom, left, right = self.crop
        return image[..., top:bottom, left:right]

    def owned(self, features: Tensor, stride: int) -> Tensor:
        """Return what the tile owns of its crop's features `(B, C, h, w)` with that stride, a view."""
        return self._cut(features, stride, self.crop[0], self.crop[2])

    def of_whole(self, features: Tensor, stride: int) -> Tensor:
        """Return the same positions of the whole picture's features `(B, C, H, W)`, a view."""
        return self._cut(features, stride, 0, 0)

    def _cut(self, features: Tensor, stride: int, above: int, before: int) -> Tensor:
        top, bottom, left, right = self.own
        # A rest of the picture that is less than a stride has no features of its own, as in the network.
        rows = slice((top - above) // stride, (bottom - above) // stride)
        return features[..., rows, (left - before) // stride : (right - before) // stride]


def halo(reach: int, grid: int) -> int:
    """Return how many pixels a crop must go beyond what it owns: the network's reach, up to the next grid line."""
    return -(-reach // grid) * grid


def tiles(size: tuple[int, int], tile: int | None, reach: int, grid: int) -> Iterator[Tile]:
    """Yield the tiles of a picture, row by row.

    Args:
        size: `(height, width)` of the picture.
        tile: side of what each owns, in pixels; rounded down to a multiple of `grid`. None: one tile is all.
        reach: how far the network looks beyond what a position covers, in pixels.
        grid: offsets at which the network sees the same as in the whole picture: its coarsest stride.
    """
    h, w = size
    if tile is None:
        yield Tile((0, h, 0, w), (0, h, 0, w), size)
        return
    around, side = halo(reach, grid), max(grid, tile // grid * grid)
    for top, bottom in _cuts(h, side, grid):
        for left, right in _cuts(w, side, grid):
            crop = (max(0, top - around), min(h, bottom + around), max(0, left - around), min(w, right + around))
            yield Tile((top, bottom, left, right), crop, size)


def _cuts(length: int, tile: int, grid: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < length:
        end = start + tile
        if length - end < grid:  # a rest too small to have features of its own goes with the last tile
            end = length
        yield start, end
        start = end


def strips(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, row after the last) of strips of at most `rows` rows."""
    for start in range(0, height, rows):
        yield start, min(height, start + rows)
