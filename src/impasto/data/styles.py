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
from impasto.io.tensors import Source, open_picture
from impasto.paintings import paintings

__all__ = ["open_style"]


def open_style(source: Source, size: int) -> Picture:
    """Return a style image: like `open_picture`, or a built-in style or a painting by its name.

    Args:
        source: a file, a name from `impasto styles` such as "swirl", "swirl:7" (its seed) or "starry_night", or
            anything that `open_picture` takes. A file takes precedence over a name; a folder does not.
        size: the longer side at which a built-in style is painted, in pixels.

    Raises:
        UnknownName: it is neither a file nor the name of a style.
        OptionError: the seed is not a whole number, or the style is a trained one, which has no picture.
        ImageError: the file cannot be read.
    """
    if not isinstance(source, str) or Path(source).is_file():
        return open_picture(source)
    name, _, seed = source.partition(":")
    name = spelled(name)
    if name in builtin_styles.names():
        if seed and not seed.isdecimal():
            raise OptionError(f"the style's seed is {seed!r}; expected a whole number, as in {name}:7.")
        pixels = _painted(name, round(size * 0.8), size, int(seed or 0))
        digest = hashlib.sha256(f"{name.replace('_', '-')}:{int(seed or 0)}".encode()).hexdigest()  # as files have it
        return replace(load_picture(pixels), name=name, digest=digest)
    if name in paintings() and not seed:
        return replace(open_picture(paintings()[name].path), name=name)
    if not is_name(source):
        return open_picture(source)
    if spelled(source) in named_styles():
        raise OptionError(f"{source} is a trained style without a picture; use it with `impasto apply`.")
    raise unknown_style(source)


@lru_cache(maxsize=4)  # a batch asks for the same style again and again
def _painted(name: str, height: int, width: int, seed: int) -> np.ndarray:
    return builtin_styles.paint(name, height, width, seed)
