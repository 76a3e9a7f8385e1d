"""The range of the values of a picture: which value is black, and which is white."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageError
from impasto.io.picture import Floats

__all__ = ["to_unit"]

_TOLERANCE: Final = 0.01  # resizing overshoots by as much
_MOST: Final = 0.5  # if a larger fraction is above white, the range is another one
_FEW: Final = 0.01  # if a larger fraction is below black, the range is another one
_ROWS: Final = 64
_DARK: Final = 1 / 64  # if the brightest of large integers is darker, their range is another one


def to_unit(
    values: NDArray[Any], name: str, notes: list[str], *, white: float | None = None, black: float = 0
) -> Floats:
    """Scale numbers to [0, 1] by their type or a range that is stated, never by their maximum.

    Integers are white at the largest number of their type, floats at 1. What lies outside, as highlights of
    scene-linear pictures do, is clipped, and a note says so.

    Args:
        values: integers or floats of any shape.
        name: what they are of, for messages.
        notes: gets a sentence without a full stop if values are clipped.
        white: the number that is white, if it is stated.
        black: the number that is black.

    Raises:
        ImageError: the numbers are not finite, or their range must be another one.
    """
    if values.dtype.kind in "ui":
        usual = values.dtype in (np.uint8, np.uint16)
        if white is None:
            white = float(np.iinfo(values.dtype).max)
            if usual:
                return values.astype(np.float32) / np.float32(white)
        if not usual and 0 < (most := int(values.max())) < _DARK * white:
            raise ImageError(
                f"{name} holds {values.dtype} numbers up to {most}, but white is {white:.0f}; scale it to uint8 or "
                "uint16 first."
            )
    elif not np.isfinite(values).all():
        raise ImageError(f"{name} holds NaN or infinity; expected numbers from 0 to 1.")
    top = 1.0 if white is None else white
    if (black, top) != (0, 1):
        scaled = np.empty(values.shape, np.float32)
        for row in range(0, len(values), _ROWS):  # in parts, to save memory
            scaled[row : row + _ROWS] = (values[row : row + _ROWS].astype(np.float64) - black) / (top - black)
        values = scaled
    low, high = float(values.min()), float(values.max())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        _check_range(values, low, high, name)
        outside = [f"above 1 (up to {high:.4g})"] * (high > 1 + _TOLERANCE)
        outside += [f"below 0 (down to {low:.4g})"] * (low < -_TOLERANCE)
        notes.append(f"{name} holds values {' and '.join(outside)}, which are clipped; 1 is white, 0 black")
    return np.asarray(np.clip(values, 0, 1), np.float32)


def _check_range(values: NDArray[Any], low: float, high: float, name: str) -> None:
    """Raise ImageError if values that leave [0, 1] are not just highlights of a picture in that range."""
    whole = high > 2 and bool((values == np.rint(values)).all())
    bright = float((values > 1 + _TOLERANCE).mean())
    dark = float((values < -_TOLERANCE).mean())
    if whole or bright > _MOST or dark > _FEW:
        raise ImageError(
            f"{name} holds values from {low:g} to {high:g}; expected 0 to 1. Scale them, or save it as uint8 or uint16."
        )
