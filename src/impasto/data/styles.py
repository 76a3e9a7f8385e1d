"""Style images, by file or by name."""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from impasto import builtin_styles
from impasto.data.style_names import is_name, named_styles, spelled, unknown_style
from impasto.errors import OptionError
from impasto.io.decode import load_picture
from impasto.io.picture import Picture
from impasto.io.tensors import Source, as_tensor, open_picture
from impasto.ops.margins import find_margins
from impasto.paintings import paintings

__all__ = ["open_style"]


Crop = str | tuple[float, float, float, float]


def open_style(source: Source, size: int, crop: Crop = "none") -> Picture:
    """Return a style image: like `open_picture`, or a built-in style or a painting by its name.

    Args:
        source: a file, a name from `impasto styles` such as "swirl", "swirl:7" (its seed) or "starry_night", or
            anything that `open_picture` takes. A file takes precedence over a name; a folder does not.
        size: the longer side at which a built-in style is painted, in pixels.
        crop: "auto" cuts off uniform margins (`ops.margins.find_margins`), "none" nothing; or the part to keep: left
            and upper edge, width and height, as fractions. Built-in styles have no margins.

    Raises:
        UnknownName: it is neither a file nor the name of a style.
        OptionError: the seed is not a whole number, or the style is a trained one, which has no picture.
        ImageError: the file cannot be read.
    """
    if not isinstance(source, str) or Path(source).is_file():
        return _of_file(open_picture(source), crop)
    name, _, seed = source.partition(":")
    name = spelled(name)
    if name in builtin_styles.names():
        if seed and not seed.isdecimal():
            raise OptionError(f"the style's seed is {seed!r}; expected a whole number, as in {name}:7.")
        pixels = _painted(name, round(size * 0.8), size, int(seed or 0))
        digest = hashlib.sha256(f"{name.replace('_', '-')}:{int(seed or 0)}".encode()).hexdigest()  # as files have it
        return _cropped(replace(load_picture(pixels), name=name, digest=digest), crop)
    if name in paintings() and not seed:
        return _cropped(replace(open_picture(paintings()[name].path), name=name), crop)
    if not is_name(source):
        return _of_file(open_picture(source), crop)
    if spelled(source) in named_styles():
        raise OptionError(f"{source} is a trained style without a picture; use it with `impasto apply`.")
    raise unknown_style(source)


def _of_file(picture: Picture, crop: Crop) -> Picture:
    return _without_margins(picture) if crop == "auto" else _cropped(picture, crop)


def _without_margins(picture: Picture) -> Picture:
    top, bottom, left, right = find_margins(as_tensor(picture))
    return _part(picture, left, top, 1 - right, 1 - bottom)


def _cropped(picture: Picture, crop: Crop) -> Picture:
    """Return the part of a picture that a crop in fractions names; built-in styles and paintings have no margins."""
    if isinstance(crop, str):
        return picture
    x, y, w, h = crop
    return _part(picture, x, y, x + w, y + h)


def _part(picture: Picture, left: float, top: float, right: float, bottom: float) -> Picture:
    """Return the part of a picture between edges that are given as fractions; its digest stays that of the file."""
    height, width = picture.size
    rows = slice(min(height - 1, round(top * height)), max(1, round(bottom * height)))
    columns = slice(min(width - 1, round(left * width)), max(1, round(right * width)))
    alpha = None if picture.alpha is None else picture.alpha[rows, columns]
    return replace(picture, pixels=picture.pixels[rows, columns], alpha=alpha)


@lru_cache(maxsize=4)  # a batch asks for the same style again and again
def _painted(name: str, height: int, width: int, seed: int) -> np.ndarray:
    return builtin_styles.paint(name, height, width, seed)
