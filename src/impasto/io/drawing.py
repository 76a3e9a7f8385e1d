"""Draw lines, dots and text."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from impasto.io.naming import printable
from impasto.io.picture import Floats

__all__ = ["Stroke", "Words", "drawing"]


class Stroke(NamedTuple):
    """A line through points (x, y), x to the right and y down; without a color of its own it has that of words."""

    points: Sequence[tuple[float, float]]
    color: str | None = None
    width: float = 1
    opacity: float = 1


class Dots(NamedTuple):
    """Discs of one diameter around points (x, y); where two of them meet it is darker."""

    points: Sequence[tuple[float, float]]
    color: str
    width: float
    opacity: float = 1


class Words(NamedTuple):
    """A line of text that stands at x, y: the left end, the middle or the right end of the line below its letters.

    With a halo, so much white is around its letters.
    """

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"]
    color: str | None = None
    bold: bool = False
    halo: float = 0


_INK = "#222222"  # of what has no color of its own


_LETTERS = 12  # height of letters, in the units of a drawing


_FINER = 2  # pixels are drawn so much smaller, and then made one


_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def drawing(size: tuple[int, int], strokes: Sequence[Stroke | Dots], words: Sequence[Words], scale: int = 2) -> Floats:
    """Return lines, dots and texts on white, `(scale * height, scale * width, 3)` in [0, 1].

    Args:
        size: height and width of what is drawn on, in the units of points; letters are 12 high.
        strokes: from the back to the front.
        words: over them. What cannot be printed is left blank.
        scale: pixels to a unit.
    """
    fine = scale * _FINER
    height, width = (side * fine for side in size)
    canvas = Image.new("RGB", (width, height), "white")
    for stroke in strokes:
        if isinstance(stroke, Dots):
            _dot(canvas, stroke, fine)
            continue
        mask = Image.new("L", canvas.size)  # so that where a line meets itself it is no darker
        points = [(fine * x, fine * y) for x, y in stroke.points]
        ink = round(255 * stroke.opacity)
        ImageDraw.Draw(mask).line(points, ink, round(fine * stroke.width), joint="curve")
        if box := mask.getbbox():  # most are thin and short, and all of the canvas would take long
            canvas.paste(stroke.color or _INK, box, mask.crop(box))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(_LETTERS * fine)
    for one in words:
        place, text, color = (fine * one.x, fine * one.y), printable(one.text), one.color or _INK
        anchor = _ANCHORS[one.anchor]
        if one.halo:
            pen.text(place, text, "white", font, anchor, stroke_width=round(fine * one.halo), stroke_fill="white")
        pen.text(place, text, color, font, anchor, stroke_width=int(one.bold), stroke_fill=color)
    return np.asarray(canvas.reduce(_FINER), np.float32) / np.float32(255)


def _dot(canvas: Image.Image, dots: Dots, fine: int) -> None:
    """Stamp a disc at each place."""
    side = max(1, round(fine * dots.width))
    disc = Image.new("L", (side, side))
    ImageDraw.Draw(disc).ellipse((0, 0, side - 1, side - 1), round(255 * dots.opacity))
    ink = Image.new("RGB", disc.size, dots.color)
    for x, y in dots.points:
        canvas.paste(ink, (round(fine * x - side / 2), round(fine * y - side / 2)), disc)
