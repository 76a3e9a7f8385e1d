"""A picture in memory: pixels, alpha, profile, metadata."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Picture", "three_channels", "to_integers"]

Floats = NDArray[np.float32]


_ROWS: Final = 32  # rows that are rounded at once, to fit the cache


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in sRGB, with the metadata to write it in the format of its source.

    Attributes:
        pixels: `(H, W, 3)` float32, sRGB-encoded RGB in [0, 1], upright.
        alpha: `(H, W)` float32 in [0, 1], or None if the source has no alpha channel.
        icc: the RGB profile of the file if it is not sRGB; `save_picture` converts back to it and embeds it.
        exif: author, date, copyright, camera and location, without orientation and thumbnail.
        dpi: horizontal and vertical dots per inch.
        depth: bits per channel of the source, 8 or 16.
        name: the stem of the file, or "".
        digest: sha256 of the bytes of the file, or of the pixels of a picture from memory.
        notes: what a person should know about the reading of it, sentences without a full stop.
    """

    pixels: Floats
    alpha: Floats | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    depth: int = 8
    name: str = ""
    digest: str = ""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width

    @property
    def on_white(self) -> Floats:
        """The pixels `(H, W, 3)` over white where the picture is transparent."""
        if self.alpha is None:
            return self.pixels
        alpha = self.alpha[..., None]
        return self.pixels * alpha + (1 - alpha)


def three_channels(values: Floats) -> Floats:
    """Return `(H, W, 3)`, contiguous; a gray channel is repeated, three channels are not copied if possible."""
    if values.shape[2] == 3:
        return np.ascontiguousarray(values, np.float32)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), np.float32, order="C")


def to_integers(values: Floats, depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Round values in [0, 1] to integers of 8 or 16 bits; values outside are clamped."""
    top, kind = np.float32(2**depth - 1), np.uint8 if depth == 8 else np.uint16
    rounded: NDArray[Any] = np.empty_like(values, kind)  # the same memory layout, for speed
    for row in range(0, len(values), _ROWS):  # in parts, to save memory
        some = np.clip(values[row : row + _ROWS], 0, 1)
        some *= top
        some += np.float32(0.5)
        rounded[row : row + _ROWS] = some  # truncated
    return np.ascontiguousarray(rounded)
