"""Uniform margins of a picture: the paper around a print, a photographed frame, black bars."""

from torch import Tensor

from impasto.ops.resize import resize

__all__ = ["find_margins"]

_LONGER = 400  # px of the picture that is searched
_TOLERANCE = 0.09  # largest difference of a channel from the margin's color
_CORNER = 0.1  # fraction at both ends of a side that is not looked at: there the other margins are
_MIXED = 0.5  # a row of which less than this has the margin's color is outside the margin
_FRINGE = 2  # rows at the very edge of a scan that may have another color
_LAYERS = 3  # margins inside each other, as black around a frame

# Fraction of a margin's rows that must have its color, and rows in which the picture must begin.
_ALL_AROUND = (0.8, 4)  # where three or four sides have a margin: seals and stains may lie in it
_ALONE = (0.96, 2)


def find_margins(image: Tensor, most: float = 0.12) -> tuple[float, float, float, float]:
    """Return the widths of uniform margins, (top, bottom, left, right), as fractions of the height or the width.

    A margin has one color along its side and ends in a straight edge. One that ends gradually, as a plain sky does, or
    that is wider than `most`, does not count and is 0.

    Args:
        image: `(1, 3, H, W)` RGB in [0, 1].
        most: the largest width, as a fraction.

    Source: ours.
    """
    longer = max(image.shape[-2:])
    size = [max(8, round(side * _LONGER / longer)) for side in image.shape[-2:]]
    picture = resize(image, (size[0], size[1])).clamp(0, 1)[0].permute(1, 2, 0)
    height, width = picture.shape[:2]
    sides = (height, height, width, width)
    cut = [0, 0, 0, 0]
    for _ in range(_LAYERS):
        inner = picture[cut[0] : height - cut[1], cut[2] : width - cut[3]]
        rows, columns = _without_corners(inner), _without_corners(inner.transpose(0, 1))
        views = (rows, rows.flip(0), columns, columns.flip(0))
        limits = [int(most * side) - taken for side, taken in zip(sides, cut, strict=True)]
        found = [_margin(view, limit, *_ALL_AROUND) for view, limit in zip(views, limits, strict=True)]
        if sum(width > 0 for width in found) < 3:
            found = [_margin(view, limit, *_ALONE) for view, limit in zip(views, limits, strict=True)]
            if not any(cut):
                found = [end if _varied(view[end : end + 4]) else 0 for view, end in zip(views, found, strict=True)]
        if not any(found):
            break
        cut = [taken + more for taken, more in zip(cut, found, strict=True)]
    top, bottom, left, right = (taken / side for taken, side in zip(cut, sides, strict=True))
    return top, bottom, left, right


def _without_corners(rows: Tensor) -> Tensor:
    corner = int(_CORNER * rows.shape[1])
    return rows[:, corner : rows.shape[1] - corner]


def _varied(rows: Tensor) -> bool:
    """Return whether each row has several colors; if not, it may be the next stripe of a picture of stripes."""
    alike = ((rows - rows.median(1, keepdim=True).values).abs().amax(2) < _TOLERANCE).float().mean(1)
    return bool(alike.max() < _ALONE[0])


def _margin(rows: Tensor, most: int, pure: float, sharp: int) -> int:
    """Return how many rows `(N, M, 3)`, from the edge inwards, are a margin of at most `most` rows; 0 if unsure."""
    for first in range(_FRINGE + 1):
        color = rows[first : first + 2].flatten(0, 1).median(0).values
        alike = ((rows[: most + sharp + 4] - color).abs().amax(2) < _TOLERANCE).float().mean(1)
        alike[:first] = 1
        others = (alike < _MIXED).nonzero()
        if not len(others):
            continue
        end = int(others[0])
        impure = (alike[:end] < pure).nonzero()
        whole = int(impure[0]) if len(impure) else end
        sure = max(2, first + 1) <= whole and end - whole <= sharp and end <= most
        if sure and alike[end : end + 3].max() < _MIXED + 0.15:
            return end
    return 0
