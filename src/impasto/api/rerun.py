"""Repeat a run of `stylize` or `apply` from the settings embedded in its result."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.api.apply import iter_apply, open_painter
from impasto.api.embedded import (
    check_digest,
    check_embedded_files,
    embedded_keep,
    embedded_record,
    embedded_regions,
    embedded_source,
    embedded_styles,
)
from impasto.data.style_names import as_text
from impasto.errors import ImageError, OptionError
from impasto.events import Event
from impasto.inference.options import ApplyOptions
from impasto.io.tensors import Source

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
    quality: str | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Repeat the run whose settings are embedded in a picture; on a CPU the same version writes the same bytes.

    The settings may be a stranger's: files that they name are opened only if they carry their digests, and nothing is
    downloaded for them. What is given here is not restricted.

    Args:
        picture: a result of `stylize` or `apply`.
        output: the file to write; by default `<picture>-rerun.png` beside it.
        force: allow `output` to be overwritten.
        resume: continue from the checkpoint of an interrupted rerun of `stylize`.
        content: another photograph, or where the embedded one is now.
        styles: other styles, or where the embedded ones are now.
        quality: of `stylize`, in place of that of the picture.
        settings: single settings in place of the embedded ones.

    Raises:
        ImageError: the picture carries no settings; its sources are gone, have changed or have no digest; or a network
            would have to be downloaded.
        OptionError: a setting is not one of that operation.
    """
    record = embedded_record(picture)
    if content is None:
        content = embedded_source(record["content"], "photograph", picture)
    if output is None:
        output = Path(picture).with_name(f"{Path(picture).stem}-rerun.png")
    if record["operation"] == "apply":
        if resume or quality is not None:
            flag = "--resume" if resume else "--quality"
            raise OptionError(f"{picture} was painted in one pass, by `impasto apply`; leave out {flag}.")
        return _applied(picture, record, content, styles, settings, output, force)
    from impasto.api.stylize import iter_stylize, mixture
    from impasto.style_transfer.options import StylizeOptions, quality_settings

    chosen = {} if quality is None else quality_settings(quality)
    check_embedded_files(record, picture, {*chosen, *settings})
    if styles and mixture(list(styles))[1]:
        settings = {"style_weights": (), **settings}  # the names have weights of their own
    return iter_stylize(
        content,
        list(styles) if styles else [*embedded_styles(record, picture)],
        StylizeOptions(**{**_BEFORE, **record["options"], **chosen, **settings}),
        regions=embedded_regions(record, picture),
        keep=embedded_keep(record, picture),
        output=output,
        force=force,
        resume=resume,
    )


def _applied(
    picture: str | Path,
    record: dict[str, Any],
    content: Source,
    styles: Sequence[Source] | None,
    settings: Mapping[str, Any],
    output: str | Path,
    force: bool,
) -> Iterator[Event]:
    """Repeat a run of `apply` with the same network."""
    origin = record["model"]
    found = embedded_styles(record, picture) if record.get("styles") and not styles else []
    foreign = sorted(settings.keys() - ApplyOptions.model_fields.keys())
    if foreign:
        raise OptionError(
            f"{picture} was painted in one pass, by `impasto apply`, which has no option {foreign[0]}; leave it out."
        )
    given = {"style": ",".join(map(str, styles))} if styles else {}
    check_embedded_files(record, picture, given)
    where = origin.get("source") or origin["name"]
    check_digest(where, origin.get("sha256", ""), "model", picture)
    options = ApplyOptions(**{**record["options"], **given, **settings})
    model = open_painter(where, options)
    if not options.style and not getattr(model, "default", ""):
        options = options.changed(style=",".join(found))
    if origin.get("sha256") and model.sha256 != origin["sha256"]:
        raise ImageError(f"{model.path} has changed since {picture} was written; use impasto apply {model.name}.")
    regions = [(mask, as_text(some) or "") for mask, some in embedded_regions(record, picture)]
    return iter_apply(
        model, content, options, regions=regions, keep=embedded_keep(record, picture), output=output, force=force
    )
