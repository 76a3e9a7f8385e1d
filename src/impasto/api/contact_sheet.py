"""Contact sheet of `stylize`: small previews over content weight and style scale."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from impasto.api.saved import saved
from impasto.api.stylize import iter_stylize
from impasto.events import Done, Event, Note
from impasto.io.decode import load_picture
from impasto.io.encode import check_target
from impasto.io.sheets import picture_sheet
from impasto.io.tensors import Source, as_pixels, as_tensor
from impasto.style_transfer.objective import Encoder
from impasto.style_transfer.options import StylizeOptions

__all__ = ["contact_sheet_cells", "iter_contact_sheet"]

_CONTENT_WEIGHTS = (0.3125, 1.0, 2.5)  # factors, one a row: 0.05, 0.16 and 0.4 by default
_STYLE_SCALES = (0.7, 1.0, 1.5)  # factors, one a column


def contact_sheet_cells(options: StylizeOptions) -> list[list[dict[str, float]]]:
    """Return the settings of each preview of a contact sheet, by row and column."""
    weights = dict.fromkeys(float(f"{options.content_weight * factor:.3g}") for factor in _CONTENT_WEIGHTS)
    scales = dict.fromkeys(float(f"{min(options.style_scale * factor, 16):.3g}") for factor in _STYLE_SCALES)
    return [[{"content_weight": weight, "style_scale": scale} for scale in scales] for weight in weights]


def iter_contact_sheet(
    content: Source,
    style: Source | list[Source],
    options: StylizeOptions | None = None,
    *,
    output: str | Path,
    force: bool = False,
    size: int = 192,
    encoder: Encoder | None = None,
) -> Iterator[Event]:
    """Paint small previews over content weight (rows) and style scale (columns) into one picture.

    Args:
        content: as in `iter_stylize`.
        style: as in `iter_stylize`.
        options: settings of every preview but its size.
        output: the file to write.
        force: allow `output` to be overwritten.
        size: longer side of one preview.
        encoder: as in `iter_stylize`.
    """
    options = options or StylizeOptions()
    check_target(output, force)
    rows: list[list[np.ndarray]] = []
    started = time.monotonic()
    steps = 0
    cells = contact_sheet_cells(options)
    for row in cells:
        rows.append([])
        for cell in row:
            preview = options.changed(size=size, min_size=min(options.min_size, size), **cell)
            for event in iter_stylize(content, style, preview, encoder=encoder):
                if isinstance(event, Done):
                    rows[-1].append(as_pixels(event.image))
                    steps += event.steps
                elif not isinstance(event, Note):  # such as that a preview is smaller than the photograph
                    yield event
    pixels = picture_sheet(
        rows,
        row_labels=[f"--content-weight\n{row[0]['content_weight']:g}" for row in cells],
        column_labels=[f"--style-scale {cell['style_scale']:g}" for cell in cells[0]],
    )
    yield from saved(Path(output), load_picture(pixels), "sheet", force=force)
    yield Done(as_tensor(load_picture(pixels)), steps, time.monotonic() - started)
