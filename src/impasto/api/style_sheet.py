"""One photograph in all styles of a painter, on one page."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from impasto.api.saved import saved
from impasto.checkpoints.model import Model
from impasto.errors import OptionError
from impasto.events import Done, Event, Note, Started
from impasto.inference.brush import Brush
from impasto.inference.options import ApplyOptions
from impasto.inference.painter import Painter
from impasto.io.convert import resize_picture
from impasto.io.decode import load_picture
from impasto.io.encode import check_target
from impasto.io.picture import Picture
from impasto.io.sheets import picture_sheet
from impasto.io.tensors import Source, as_pixels, as_tensor, open_picture
from impasto.networks.styled import IDENTITY

__all__ = ["iter_style_sheet"]

_SIZE = 256  # pixels, the longer side of a picture, if the options do not name one
_PAGE = 4 / 3  # width of the page divided by its height, about


def iter_style_sheet(
    model: Model,
    source: Source,
    options: ApplyOptions = ApplyOptions(),  # noqa: B008 - frozen
    *,
    keep: Source | None = None,
    output: str | Path | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Yield Started, Saved and Done while a photograph is painted in all styles of a network, on one page.

    The photograph comes first; the name of each style is under its painting. Everything is checked when this is
    called, before the first event.

    Args:
        model: a painter of several styles.
        source: the photograph: a path, PIL image, array or tensor in [0, 1].
        options: all settings but the style; `size` is that of one painting, by default 256.
        keep: a mask of what stays unchanged.
        output: file for the page; its suffix is the format.
        force: overwrite the file.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.
    """
    ApplyOptions.check(options)
    styles = [style for style in model.styles if style != IDENTITY] if isinstance(model, Painter) else []
    if not isinstance(model, Painter) or len(styles) < 2:
        raise OptionError(f"{model.name or model.architecture} has no styles to choose from; leave out --sheet.")
    if options.style:
        raise OptionError("a sheet shows all styles; leave out --style.")
    if output is not None:
        check_target(output, force)
    picture = open_picture(source, digest=False)
    options = options.changed(size=options.size or min(_SIZE, max(picture.size)))
    brushes = {style: Brush(model, options, picture, (), keep, {style: 1.0}) for style in styles}
    return _events(model, picture, brushes, options, None if output is None else Path(output), force)


def _events(
    model: Painter, picture: Picture, brushes: dict[str, Brush], options: ApplyOptions, output: Path | None, force: bool
) -> Iterator[Event]:
    began = time.monotonic()
    yield from map(Note, (*model.notes, *picture.notes))
    assert options.size is not None
    small = resize_picture(picture, options.size)
    yield Started(picture.name, ((*small.size, len(brushes)),), unit="style")
    pictures = [small.on_white]
    for brush in brushes.values():
        pictures.append(replace(small, pixels=as_pixels(brush(as_tensor(small)))).on_white)
    names = ["photograph", *brushes]
    height, width = small.size
    columns = max(1, min(len(pictures), round(math.sqrt(len(pictures) * _PAGE * height / width))))
    rows = range(0, len(pictures), columns)
    page = load_picture(
        picture_sheet(
            [pictures[row : row + columns] for row in rows], labels=[names[row : row + columns] for row in rows]
        )
    )
    if output is not None:
        yield from saved(output, page, "sheet", force=force)
    yield Done(as_tensor(page), len(brushes), time.monotonic() - began, "style")
