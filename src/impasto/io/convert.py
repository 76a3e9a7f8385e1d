"""Resizing of pictures."""

import math
from dataclasses import replace

import numpy as np
from PIL import Image

from impasto.errors import OptionError
from impasto.io.picture import Floats, Picture

__all__ = ["resize_picture", "resize_picture_to"]


def resize_picture(picture: Picture, longer: int) -> Picture:
    """Resize to `longer` pixels on the longer side, with the same aspect ratio; see `resize_picture_to`."""
    if longer < 1:
        raise OptionError(f"The longer side is {longer} px; expected 1 or more.")
    scale = longer / max(picture.size)
    height, width = (max(1, math.floor(side * scale + 0.5)) for side in picture.size)
    return resize_picture_to(picture, height, width)


def resize_picture_to(picture: Picture, height: int, width: int) -> Picture:
    """Resize with an antialiased Lanczos filter, in float, on sRGB values.

    Colors are weighted by alpha, so that invisible colors do not bleed into visible edges. Overshoots are clamped to
    [0, 1].

    Raises:
        OptionError: a side is below 1.
    """
    if height < 1 or width < 1:
        raise OptionError(f"The size is {height}×{width}; expected sides of 1 px or more.")
    if (height, width) == picture.size:
        return picture
    plain = _lanczos(picture.pixels, height, width)
    if picture.alpha is None:
        return replace(picture, pixels=plain.clip(0, 1))
    alpha = _lanczos(picture.alpha[..., None], height, width)
    weighted = _lanczos(picture.pixels * picture.alpha[..., None], height, width)
    visible = alpha > 1e-3
    pixels = np.where(visible, weighted / np.where(visible, alpha, 1), plain)
    return replace(picture, pixels=pixels.clip(0, 1), alpha=alpha[..., 0].clip(0, 1))


def _lanczos(values: Floats, height: int, width: int) -> Floats:
    planes = [Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2])]
    resized = [plane.resize((width, height), Image.Resampling.LANCZOS) for plane in planes]
    return np.stack([np.asarray(plane, np.float32) for plane in resized], axis=-1)
