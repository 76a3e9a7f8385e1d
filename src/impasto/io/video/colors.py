"""Colors of video frames: conversion between YUV and RGB, by the matrix of the file."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from impasto.io.video.container import Turn

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = [
    "HIGH_DYNAMIC_RANGE", "LIMITED", "UNSAID", "colors_of", "frame_alpha", "frame_tensor", "matrix_of", "to_yuv",
]  # fmt: skip


def colors_of(frame: "VideoFrame") -> np.ndarray[Any, Any]:
    """Return the sorted values of each channel of a small copy, in [0, 1]: colors without positions."""
    small = frame.reformat(16, 16, "rgb24", interpolation="AREA").to_ndarray()
    return np.sort(small.reshape(-1, 3) / 255, 0)


_BT709, _BT601, UNSAID = 1, 5, 2  # ITU-T H.273


LIMITED, _FULL = 1, 2  # FFmpeg's color ranges, called MPEG and JPEG


# Coefficients of red and blue in luma, by the number of matrix coefficients in H.273.
_LUMA: Final[Mapping[int, tuple[float, float]]] = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    _BT601: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),
}


HIGH_DYNAMIC_RANGE: Final = {16: "PQ", 18: "HLG"}  # transfer curves


def matrix_of(said: int, height: int, width: int) -> int:
    """Return the matrix coefficients of a file, or the default of players if the file does not name them."""
    return said if said in _LUMA else _BT709 if width >= 1280 or height > 576 else _BT601


def _to_rgb(yuv: Tensor, matrix: int, full: bool) -> Tensor:
    """Convert Y, Cb, Cr in the range of 8 bits to R, G, B in about [0, 1], `(3, H, W)`.

    Source: ITU-R BT.709-6, items 3.2 to 3.4; BT.601-7 has the same with its own coefficients.
    """
    red, blue = _LUMA[matrix]
    y = yuv[0] / 255 if full else (yuv[0] - 16) / 219
    cb, cr = (yuv[1:] - 128) / (255 if full else 224)
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return torch.stack([r, (y - red * r - blue * b) / (1 - red - blue), b])


def to_yuv(rgb: Tensor, matrix: int) -> Tensor:
    """Convert R, G, B to Y, Cb, Cr in the limited range: the inverse of `_to_rgb`."""
    red, blue = _LUMA[matrix]
    r, g, b = rgb
    y = red * r + (1 - red - blue) * g + blue * b
    return torch.stack([16 + 219 * y, 128 + 112 * (b - y) / (1 - blue), 128 + 112 * (r - y) / (1 - red)])


def frame_tensor(frame: "VideoFrame", like: tuple[int, int] | None = None) -> Tensor:
    """Return a decoded frame, upright, `(1, 3, H, W)` RGB in [0, 1]; resized to `like` (height, width) if given."""
    height, width = like or (frame.height, frame.width)
    if frame.format.is_rgb or frame.format.has_palette:
        array = frame.reformat(width, height, "rgb24").to_ndarray()
        return Turn.of(frame)(torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255)
    full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    span = "JPEG" if full else "MPEG"  # the same on both sides: swscale only upsamples chroma
    even = frame.reformat(width, height, "yuv444p16le", src_color_range=span, dst_color_range=span)
    rows = [np.frombuffer(bytes(plane), "<u2").reshape(height, plane.line_size // 2) for plane in even.planes]
    yuv = torch.from_numpy(np.stack(rows)[..., :width].astype(np.float32)) / 256
    rgb = _to_rgb(yuv, matrix_of(frame.colorspace, frame.height, frame.width), full)
    return Turn.of(frame)(rgb[None].clamp(0, 1))


def frame_alpha(frame: "VideoFrame", like: tuple[int, int] | None = None) -> Tensor | None:
    """Return the opacity of a decoded frame, upright, `(1, 1, H, W)` in [0, 1]; None if its format has none."""
    if not any(component.is_alpha for component in frame.format.components) and not frame.format.has_palette:
        return None
    height, width = like or (frame.height, frame.width)
    array = np.ascontiguousarray(frame.reformat(width, height, "rgba").to_ndarray()[..., 3])
    return Turn.of(frame)(torch.from_numpy(array)[None, None].float() / 255)
