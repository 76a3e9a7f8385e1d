"""Masks of a photograph: from pictures, from transparency and from color maps."""

import re
from typing import Any

import numpy as np

from impasto.errors import ImageError, OptionError
from impasto.io.decode import load_picture
from impasto.io.picture import Floats, Picture

__all__ = ["mask_file", "read_mask"]

_NEAR = 0.1  # tolerance of the colors of a map in each channel, for JPEG and smooth edges
_NOT = "not:"


def read_mask(source: Any, photograph: Picture, notes: list[str] | None = None) -> Floats:
    """Return the mask of a region, `(H, W)` in [0, 1], for a photograph of this size.

    Args:
        source: a picture, as `decode.load_picture` takes it. Its transparency is the mask if it has any, or else its
            brightness: white is inside, black outside. Also text: `map.png#ff8000`, the pixels of this color in a
            map; `alpha`, the transparency of the photograph; and `not:` before any of these, the complement.
        photograph: the photograph of the mask.
        notes: gets what a person should know about the reading of the mask, as `Picture.notes`.

    Raises:
        ImageError: the mask cannot be read, has another size than the photograph, or is empty.
        OptionError: the text after `#` is not a color.
    """
    name = source if isinstance(source, str) else getattr(source, "name", "") or "the mask"
    inverted = isinstance(source, str) and source.startswith(_NOT)
    mask = _read(source.removeprefix(_NOT) if inverted else source, photograph, [] if notes is None else notes)
    if mask.shape != photograph.size:
        (h, w), (height, width) = mask.shape, photograph.size
        raise ImageError(f"{name} is {w}x{h} px and the photograph {width}x{height}; expected a mask of its size.")
    mask = 1 - mask if inverted else mask
    if mask.max() < 0.5:
        raise ImageError(f"{name} is empty; expected at least one white pixel.")
    return mask


def mask_file(source: str) -> str:
    """Return the file of a mask: the source without `not:` and without a color."""
    path, hash_sign, _ = source.removeprefix(_NOT).rpartition("#")
    return path if hash_sign and path else source.removeprefix(_NOT)


def _read(source: Any, photograph: Picture, notes: list[str]) -> Floats:
    if isinstance(source, str) and source == "alpha":
        if photograph.alpha is None:
            raise ImageError("the photograph has no transparency; expected one for the mask 'alpha'.")
        return photograph.alpha
    path, hash_sign, color = source.rpartition("#") if isinstance(source, str) else ("", "", "")
    if hash_sign and path:
        if not re.fullmatch(r"[0-9a-fA-F]{6}", color):
            raise OptionError(f"the color of a map is {color!r}; expected six digits, as in {path}#ff8000.")
        wanted = np.array([int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)], dtype=np.float32)
        picture = load_picture(path)
        notes += picture.notes
        found: Floats = (np.abs(picture.pixels - wanted).max(axis=2) <= _NEAR).astype(np.float32)
        return found
    picture = load_picture(source)
    notes += picture.notes
    if picture.alpha is not None and picture.alpha.min() < 1:
        return picture.alpha
    bright: Floats = picture.pixels.mean(axis=2)
    return bright
