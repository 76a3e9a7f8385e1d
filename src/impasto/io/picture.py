"""A picture in memory: pixels, alpha, profile, metadata."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Picture", "three_channels", "to_integers"]

Floats = NDArray[np.float32]


_ROWS: Final = 32  # of a picture, rounded to whole numbers at once: as much as a processor keeps at hand


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as painting needs it, and what is needed to write it back the way it came.

    Attributes:
        pixels: `(H, W, 3)` float32, sRGB-encoded RGB in [0, 1], upright.
        alpha: `(H, W)` float32 in [0, 1], or None where every pixel is opaque by format.
        icc: the file's own RGB profile if it was not sRGB; `save` converts back to it and embeds it.
        exif: author, date, copyright, camera and place, without orientation and thumbnail.
        dpi: horizontal and vertical dots per inch.
        depth: bits per channel of the source, 8 or 16.
        name: the file's stem, or "".
        digest: sha256 of the file's bytes, or of the pixels when they came from memory.
    """

    pixels: Floats
    alpha: Floats | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    depth: int = 8
    name: str = ""
    digest: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width


def three_channels(values: Floats) -> Floats:
    """Repeat a gray channel; contiguous. What is so already, and so was made here, is not copied."""
    if values.shape[2] == 3:
        return np.ascontiguousarray(values, np.float32)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), np.float32, order="C")


def to_integers(values: Floats, depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Round [0, 1] to whole numbers of 8 or 16 bits; what is outside is clamped."""
    top, kind = np.float32(2**depth - 1), np.uint8 if depth == 8 else np.uint16
    rounded: NDArray[Any] = np.empty_like(values, kind)  # laid out as the values are, which is quick
    for row in range(0, len(values), _ROWS):  # a large picture and its steps at once would be several of it
        some = np.clip(values[row : row + _ROWS], 0, 1)
        some *= top
        some += np.float32(0.5)
        rounded[row : row + _ROWS] = some  # cut off, which is down
    return np.ascontiguousarray(rounded)
