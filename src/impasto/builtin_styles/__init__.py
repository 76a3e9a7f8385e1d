"""Style pictures painted by our own code, free to use: a style to try before one has a picture of one's own.

`paint` returns a picture of any size. The same seed is the same picture at every size; another seed is another picture
in the same manner. To add a style, write one module with a ``STYLE`` in it and name the module in ``_MODULES``.
"""

from importlib import import_module

import numpy as np

from impasto.builtin_styles.brushes import Array, Grid, PaintedStyle, shrink
from impasto.errors import OptionError, unknown_name

__all__ = ["STYLES", "PaintedStyle", "names", "paint"]

_MODULES = (
    "autumn",
    "cubist",
    "engraving",
    "ink_wash",
    "marbled",
    "mosaic",
    "pointillist",
    "stained_glass",
    "swirl",
    "watercolor",
    "woodblock",
)

_SMALLEST = 16
_WORKING_UNIT = 320  # small pictures are painted at least this large and averaged down, so that no stroke gets lost

STYLES: dict[str, PaintedStyle] = {
    style.name: style for style in (import_module(f"impasto.builtin_styles.{module}").STYLE for module in _MODULES)
}


def names() -> list[str]:
    """The names of all painted styles, in alphabetical order."""
    return sorted(STYLES)


def paint(name: str, height: int = 512, width: int = 640, seed: int = 0) -> Array:
    """Paint a style picture.

    Args:
        name: one of `names`.
        height: in pixels, 16 or more.
        width: in pixels, 16 or more.
        seed: 0 or more; another seed is another picture in the same manner.

    Returns:
        sRGB values in [0, 1], ``(height, width, 3)`` float32.

    Raises:
        UnknownName: there is no such style.
        OptionError: a size is below 16, or the seed is below 0.
    """
    if name not in STYLES:
        raise unknown_name("a painted style", name, STYLES)
    for option, value, least in (("height", height, _SMALLEST), ("width", width, _SMALLEST), ("seed", seed, 0)):
        if value < least:
            raise OptionError(f"{option} is {value}; expected {least} or more.")
    style = STYLES[name]
    factor = max(style.oversample, int(np.ceil(_WORKING_UNIT / np.sqrt(height * width))))
    picture = style.paint(Grid(height * factor, width * factor), np.random.default_rng(seed))
    return np.clip(shrink(picture, factor), 0, 1).astype(np.float32)
