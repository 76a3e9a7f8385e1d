"""Contact sheet of `stylize`: small previews over style weight and style scale."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from impasto.api.stylize import iter_stylize
from impasto.events import Done, Event, Saved
from impasto.io.decode import load_picture
from impasto.io.encode import check_target, save_picture
from impasto.io.sheets import picture_sheet
from impasto.io.tensors import Source, as_pixels, as_tensor
from impasto.style_transfer.objective import Encoder
from impasto.style_transfer.options import StylizeOptions

__all__ = ["iter_contact_sheet"]


def iter_contact_sheet(
    content: Source,
    style: Source | list[Source],
    options: StylizeOptions | None = None,
    *,
    output: str | Path,
    force: bool = False,
    strengths: Sequence[float] = (0.25, 1.0, 4.0),
    style_scales: Sequence[float] = (0.5, 1.0, 2.0),
    size: int = 192,
    encoder: Encoder | None = None,
) -> Iterator[Event]:
    """Paint small previews over style weight (rows) and style scale (columns) into one picture.

    Args:
        content: as in `iter_stylize`.
        style: as in `iter_stylize`.
        options: settings of every preview but its size.
        output: the file to write.
        force: allow `output` to be overwritten.
        strengths: factors of `options.style_weight`, one a row.
        style_scales: factors of `options.style_scale`, one a column.
        size: longer side of one preview.
        encoder: as in `iter_stylize`.
    """
    options = options or StylizeOptions()
    check_target(output, force)
    rows: list[list[np.ndarray]] = []
    started = time.monotonic()
    steps = 0
    for strength in strengths:
        rows.append([])
        for scale in style_scales:
            job_options = options.changed(
                size=size,
                min_size=min(options.min_size, size),
                style_weight=options.style_weight * strength,
                style_scale=options.style_scale * scale,
            )
            for event in iter_stylize(content, style, job_options, encoder=encoder):
                if isinstance(event, Done):
                    rows[-1].append(as_pixels(event.image))
                    steps += event.steps
                else:
                    yield event
    pixels = picture_sheet(
        rows,
        row_labels=[f"style weight {options.style_weight * strength:g}" for strength in strengths],
        column_labels=[f"style scale {options.style_scale * scale:g}" for scale in style_scales],
    )
    save_picture(output, load_picture(pixels), force=force)
    yield Saved(Path(output), "sheet")
    yield Done(as_tensor(load_picture(pixels)), steps, time.monotonic() - started)
