"""Contact sheets: pictures in a grid, with labels of rows and columns, or under each picture."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from impasto.errors import ImageError, OptionError
from impasto.io.picture import Floats, three_channels

__all__ = ["picture_sheet"]


def picture_sheet(
    rows: Sequence[Sequence[NDArray[Any]]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    labels: Sequence[Sequence[str]] = (),
    margin: int = 8,
    text_size: int = 14,
) -> Floats:
    """Arrange pictures as a grid on white, each in the middle of its cell.

    Args:
        rows: arrays `(H, W, 3)`, float in [0, 1]; rows may differ in length and pictures in size.
        row_labels: texts to the left, one for each row, or none; line breaks are kept.
        column_labels: texts above, one for each column, or none.
        labels: texts under the pictures, one for each in the same rows, or none.
        margin: white pixels around each cell.
        text_size: height of the letters in pixels.

    Returns:
        The sheet, `(H, W, 3)` float32 in [0, 1].

    Raises:
        ImageError: there is no picture, or one is not `(H, W, 3)`.
        OptionError: there are fewer or more labels than rows or columns.
    """
    count = max((len(row) for row in rows), default=0)
    _check_sheet(rows, row_labels, column_labels, count)
    font = ImageFont.load_default(text_size)
    if labels:
        if [len(row) for row in labels] != [len(row) for row in rows]:
            raise OptionError("There are more or fewer labels than pictures; expected one for each, in the same rows.")
        texts = [[_text(label, font) for label in row] for row in labels]
        high = max((len(text) for row in texts for text in row), default=0)
        rows = [
            [_captioned(cell, text, high) for cell, text in zip(*row, strict=True)]
            for row in zip(rows, texts, strict=True)
        ]
    heads = [_text(label, font) for label in column_labels]
    sides = [_text(label, font) for label in row_labels]
    heights = [max([len(a) for a in (*row, *sides[i : i + 1])], default=0) for i, row in enumerate(rows)]
    widths = [max([r[j].shape[1] for r in (*rows, heads) if j < len(r)]) for j in range(count)]
    tops = _starts([max(map(len, heads)) if heads else 0, *heights], margin)
    lefts = _starts([max(a.shape[1] for a in sides) if sides else 0, *widths], margin)
    canvas = np.ones((tops[-1], lefts[-1], 3), np.float32)
    for i, row in enumerate([heads, *rows]):
        for j, cell in enumerate([sides[i - 1] if i and sides else None, *row]):
            if cell is not None:
                _paste(canvas, cell, tops[i : i + 2], lefts[j : j + 2], margin)
    return canvas


def _check_sheet(
    rows: Sequence[Sequence[NDArray[Any]]], sides: Sequence[str], heads: Sequence[str], count: int
) -> None:
    if count == 0:
        raise ImageError("The sheet has no pictures; expected one or more.")
    for cell in (cell for row in rows for cell in row):
        if cell.ndim != 3 or cell.shape[2] != 3:
            raise ImageError(f"A picture of the sheet has the shape {cell.shape}; expected (H, W, 3).")
    for what, labels, expected in (("row", sides, len(rows)), ("column", heads, count)):
        if len(labels) not in (0, expected):
            raise OptionError(f"There are {len(labels)} {what} labels; expected {expected}, or none.")


def _starts(lengths: list[int], margin: int) -> list[int]:
    """Return where each cell begins, and where the last one ends; an empty first cell takes no room."""
    starts = [margin]
    for length in lengths:
        starts.append(starts[-1] + length + (margin if length else 0))
    return starts


def _paste(canvas: Floats, cell: NDArray[Any], rows: list[int], columns: list[int], margin: int) -> None:
    height, width = cell.shape[:2]
    top = rows[0] + (rows[1] - rows[0] - margin - height) // 2
    left = columns[0] + (columns[1] - columns[0] - margin - width) // 2
    canvas[top : top + height, left : left + width] = cell


def _captioned(cell: NDArray[Any], text: Floats, high: int) -> Floats:
    """Return a picture with a text under it in a line of this height, each in the middle."""
    gap = 4  # pixels
    canvas = np.ones((len(cell) + gap + high, max(cell.shape[1], text.shape[1]), 3), np.float32)
    for part, top in ((cell, 0), (text, len(cell) + gap)):
        left = (canvas.shape[1] - part.shape[1]) // 2
        canvas[top : top + len(part), left : left + part.shape[1]] = part
    return canvas


def _text(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Floats:
    """Return a text in black on white, `(H, W, 3)`, as large as it needs."""
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text or " ", font=font)
    image = Image.new("L", (math.ceil(box[2]) + 1, math.ceil(box[3]) + 1), 255)
    ImageDraw.Draw(image).multiline_text((0, 0), text, fill=0, font=font)
    return three_channels(np.asarray(image, np.float32)[..., None] / np.float32(255))
