"""Style images, by file or by the name of a built-in style."""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from impasto import builtin_styles
from impasto.errors import OptionError, unknown_name
from impasto.io.decode import load_picture
from impasto.io.picture import Picture
from impasto.io.tensors import Source, open_picture

__all__ = ["open_style"]


def open_style(source: Source, size: int) -> Picture:
    """Return a style image: like `open_picture`, or a built-in style by its name.

    Args:
        source: a file, a name from `impasto.builtin_styles` such as "swirl" or "swirl:7" (its seed), or
            anything that `open_picture` takes. A file takes precedence over a name; a folder does not.
        size: the longer side at which a built-in style is painted, in pixels.

    Raises:
        UnknownName: it is neither a file nor the name of a built-in style.
        OptionError: the seed is not a whole number.
        ImageError: the file cannot be read.
    """
    name, _, seed = str(source).partition(":") if isinstance(source, str) else ("", "", "")
    name = builtin_styles.spelled(name)
    if not name or Path(source).is_file() or name not in builtin_styles.names():
        if name and not Path(source).exists() and not Path(source).suffix and "/" not in source:
            raise unknown_name("a picture file or a built-in style", source, builtin_styles.names())
        return open_picture(source)
    if seed and not seed.isdecimal():
        raise OptionError(f"the style's seed is {seed!r}; expected a whole number, as in {name}:7.")
    pixels = _painted(name, round(size * 0.8), size, int(seed or 0))
    digest = hashlib.sha256(f"{name.replace('_', '-')}:{int(seed or 0)}".encode()).hexdigest()  # as files have it
    return replace(load_picture(pixels), name=name, digest=digest)


@lru_cache(maxsize=4)  # a batch asks for the same style again and again
def _painted(name: str, height: int, width: int, seed: int) -> np.ndarray:
    return builtin_styles.paint(name, height, width, seed)
