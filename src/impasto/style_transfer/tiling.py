"""Tiles of a picture whose features are exactly those of the whole picture.

A tile *owns* a rectangle and *sees* a larger one, its crop. One tile owns each position of each layer, and the crop
contains its whole receptive field. So a tile computes for its own positions the features of the whole picture.
Crops end at the borders of the picture, so the padding of the network acts only there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Tile", "halo", "strips", "tiles"]


@dataclass(frozen=True)
class Tile:
    """One tile; rows and columns are in pixels of the picture, ends exclusive.

    Attributes:
        own: (top, bottom, left, right) of the pixels that it owns; multiples of the grid, except at the picture's end.
        crop: (top, bottom, left, right) of the pixels that it sees.
        size: (height, width) of the picture.
    """

    own: tuple[int, int, int, int]
    crop: tuple[int, int, int, int]
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Number of pixels of the crop."""
        top, bottom, left, right = self.crop
        return (bottom - top) * (right - left)

    def seen(self, image: Tensor) -> Tensor:
        """Return the crop of a picture `(B, C, H, W)`, a view."""
        top, bottom, left, right = self.crop
        return image[..., top:bottom, left:right]

    def owned(self, features: Tensor, stride: int) -> Tensor:
        """Return the features that the tile owns, a view of those of its crop `(B, C, h, w)` with this stride."""
        return self._cut(features, stride, self.crop[0], self.crop[2])

    def of_whole(self, features: Tensor, stride: int) -> Tensor:
        """Return the same positions in the features of the whole picture `(B, C, H, W)`, a view."""
        return self._cut(features, stride, 0, 0)

    def _cut(self, features: Tensor, stride: int, above: int, before: int) -> Tensor:
        top, bottom, left, right = self.own
        # A remainder of the picture smaller than a stride has no features of its own, as in the network.
        rows = slice((top - above) // stride, (bottom - above) // stride)
        return features[..., rows, (left - before) // stride : (right - before) // stride]


def halo(reach: int, grid: int) -> int:
    """Return how many pixels a crop extends beyond the own pixels: the reach of the network, rounded up to the grid."""
    return -(-reach // grid) * grid


def tiles(size: tuple[int, int], tile: int | None, reach: int, grid: int) -> Iterator[Tile]:
    """Yield the tiles of a picture, row by row.

    Args:
        size: `(height, width)` of the picture.
        tile: side of the own square of each tile, in pixels; rounded down to a multiple of `grid`. None: one tile.
        reach: how far a receptive field extends beyond the square of its position, in pixels.
        grid: tiles start at multiples of it, so that features stay aligned: the coarsest stride of the network.
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
        if length - end < grid:  # a remainder too small for features of its own belongs to the last tile
            end = length
        yield start, end
        start = end


def strips(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, row after the last) of strips of at most `rows` rows."""
    for start in range(0, height, rows):
        yield start, min(height, start + rows)
