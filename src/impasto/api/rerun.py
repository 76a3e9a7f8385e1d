"""Repeat a run of `stylize` from the settings embedded in its result."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from impasto.api.embedded import embedded_record, embedded_source
from impasto.api.stylize import iter_stylize
from impasto.events import Event
from impasto.io.tensors import Source
from impasto.style_transfer.options import StylizeOptions

__all__ = ["iter_rerun"]


_BEFORE = {
    "content_focus": 0.0,
    "strokes": 0.0,
    "style_crop": "none",
}  # what older versions did, whose records lack these options


def iter_rerun(
    picture: str | Path,
    *,
    output: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    content: Source | None = None,
    styles: Sequence[Source] | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Repeat the run whose settings are embedded in a picture; on a CPU the same version writes the same bytes.

    Args:
        picture: a result of `stylize`.
        output: the file to write; by default `<picture>-rerun.png` beside it.
        force: allow `output` to be overwritten.
        resume: continue from the checkpoint of an interrupted rerun.
        content: another photograph, or where the embedded one is now.
        styles: other styles, or where the embedded ones are now.
        settings: single settings in place of the embedded ones.

    Raises:
        ImageError: the picture carries no settings, or its sources are gone or have changed.
    """
    record = embedded_record(picture)
    if content is None:
        content = embedded_source(record["content"], "photograph", picture)
    if not styles:
        styles = [embedded_source(origin, "style", picture) for origin in record["styles"]]
    regions = [
        (
            embedded_source(part["mask"], "mask", picture),
            [embedded_source(origin, "style", picture) for origin in part["styles"]],
        )
        for part in record.get("regions", ())
    ]
    keep = embedded_source(record["keep"], "mask", picture) if "keep" in record else None
    options = StylizeOptions(**{**_BEFORE, **record["options"], **settings})
    if output is None:
        output = Path(picture).with_name(f"{Path(picture).stem}-rerun.png")
    return iter_stylize(
        content, list(styles), options, regions=regions, keep=keep, output=output, force=force, resume=resume
    )
