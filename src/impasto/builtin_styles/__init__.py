"""Built-in styles: style images that our own code paints, free to use.

`paint` returns a style image of any size. One seed is one picture at every size; another seed is another picture in the
same style. To add a style here, write a module with a `STYLE` in it. A package adds one by an entry point of the
group "impasto.styles": an object with a `description` and a function `paint(height, width, seed)`, which returns sRGB
values in [0, 1].
"""

import pkgutil
from importlib import import_module
from typing import Protocol

import numpy as np

from impasto.builtin_styles.brushes import Array, BuiltinStyle
from impasto.errors import OptionError
from impasto.registry import Registry

__all__ = ["STYLES", "BuiltinStyle", "Style", "find", "names", "paint", "spelled"]

_TOOLS = ("brushes",)  # modules here that are no styles
_SMALLEST = 16


class Style(Protocol):
    """A style that can be painted."""

    @property
    def description(self) -> str:
        """One line for people."""

    def paint(self, height: int, width: int, seed: int) -> Array:
        """Return sRGB values in [0, 1], `(height, width, 3)`."""


def _own() -> dict[str, Style]:
    modules = (module.name for module in pkgutil.iter_modules(__path__) if module.name not in _TOOLS)
    styles = (import_module(f"{__name__}.{module}").STYLE for module in modules)
    return {style.name: style for style in styles}


STYLES: Registry[Style] = Registry(
    "a built-in style",
    "impasto.styles",
    _own,
    lambda item: None if callable(getattr(item, "paint", None)) else "it has no paint(height, width, seed)",
)


def spelled(name: str) -> str:
    """Return the spelling of a name that we use: a hyphen is the same as an underscore."""
    return name.replace("-", "_")


def names() -> list[str]:
    """Return the names of all built-in styles and of those that other packages add, in alphabetical order."""
    return sorted(STYLES.names())


def find(name: str) -> Style:
    """Return a style by its name; "stained-glass" is the same name as "stained_glass".

    Raises:
        UnknownName: there is no such style.
    """
    return STYLES.get(name)


def paint(name: str, height: int = 512, width: int = 640, seed: int = 0) -> Array:
    """Paint a style image.

    Args:
        name: one of `names`, or one of them with hyphens.
        height: in pixels, 16 or more.
        width: in pixels, 16 or more.
        seed: 0 or more; another seed is another picture in the same style.

    Returns:
        sRGB values in [0, 1], `(height, width, 3)` float32.

    Raises:
        UnknownName: there is no such style.
        OptionError: a size is below 16, or the seed is below 0; or a style of another package paints another shape.
    """
    style = find(name)
    for option, value, least in (("height", height, _SMALLEST), ("width", width, _SMALLEST), ("seed", seed, 0)):
        if value < least:
            raise OptionError(f"{option} is {value}; expected {least} or more.")
    picture = np.asarray(style.paint(height, width, seed))
    if picture.shape != (height, width, 3):
        raise OptionError(f"the style {name} painted {picture.shape}; expected {(height, width, 3)}.")
    result: Array = np.clip(picture, 0, 1).astype(np.float32)
    return result
