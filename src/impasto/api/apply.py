"""Apply a painter, translator or autoencoder to pictures and videos."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.api.embedded import file_digest, mask_origin, new_record, picture_origin
from impasto.api.refine import check_refinement, iter_refine
from impasto.api.saved import saved
from impasto.api.style_sheet import iter_style_sheet
from impasto.checkpoints.load import locate
from impasto.checkpoints.model import Model
from impasto.data.style_names import as_text, style_stem
from impasto.devices import with_own_defaults
from impasto.errors import ImpastoError, OptionError, WeightsError
from impasto.events import Done, Event, Note, Started, Step
from impasto.inference.brush import Brush
from impasto.inference.generator import Autoencoder
from impasto.inference.load import load
from impasto.inference.options import ApplyOptions
from impasto.inference.painter import Painter
from impasto.inference.scene_statistics import steady
from impasto.inference.translator import Translator
from impasto.io.convert import resize_picture, resize_picture_to
from impasto.io.decode import frame_count, load_picture
from impasto.io.encode import check_target
from impasto.io.picture import Picture
from impasto.io.tensors import Source, as_kind, as_pixels, as_tensor, open_picture
from impasto.io.video.container import VIDEOS
from impasto.io.video.writer import iter_video
from impasto.metrics.flicker import FlickerMeter
from impasto.run import Run, Verb

__all__ = ["apply", "start_apply", "default_output_apply", "is_video", "iter_apply", "open_painter"]

_ANIMATIONS = (".gif", ".png", ".apng")  # suffixes of pictures that may be animated, whose frames can all be read
_GIVEN = "given"  # the name of a style that was given as a picture in memory


def start_apply(
    model: str | Path | Model,
    source: Source,
    *,
    output: str | Path | None = None,
    style: Any = "",
    strength: float = 1.0,
    regions: Sequence[tuple[Source, str]] = (),
    keep: Source | None = None,
    options: ApplyOptions | None = None,
    sheet: bool = False,
    force: bool = False,
    **settings: Any,
) -> Run[Any]:
    """Apply a trained network to a picture or a video; it blocks.

    `apply.start` takes the same arguments and returns a `Run`.

    >>> impasto.apply("starry_night", "photo.jpg", output="painted.png", strength=0.7)  # doctest: +SKIP

    Args:
        model: a painter, translator or autoencoder from `load`, or a name or path that `load` takes.
        source: the picture, as for `Painter`; or the path of a video.
        output: file for the result. Videos need one. Of an animated GIF or PNG, a video or GIF gets all frames.
        style: as for `Painter`; several are a list, or a mapping to their weights.
        strength: from 0, the photograph, to 1, the style.
        regions: (mask, style) pairs: parts of the picture that get other styles.
        keep: a mask of what stays unchanged.
        options: all settings at once; `style` and `strength` are then ignored.
        sheet: paint a picture in all styles of the network, on one page with their names.
        force: overwrite the file.
        settings: single settings of `ApplyOptions`, such as `size=768`.

    Returns:
        For a path or PIL image a PIL image; for an array an array; for a tensor a tensor; for a video the path of
        the result.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.
    """
    named = as_text(style)
    single = settings if options is not None else {"style": named or "", "strength": strength, **settings}
    chosen = ApplyOptions.completed(options, single)
    loaded = model if isinstance(model, Model) else open_painter(model, chosen)
    if options is None and named is None:
        if not isinstance(loaded, Painter):
            raise OptionError(f"the network of {loaded.architecture} has one style; leave out the style.")
        loaded, chosen = loaded.with_style(_GIVEN, style, size=chosen.style_size), chosen.changed(style=_GIVEN)
    video = is_video(source) or _moves(source, output)
    if sheet:
        return _sheet_run(loaded, source, chosen, regions, keep, output, force)
    given = source if video else open_picture(source, digest=output is not None)
    opened = None if video else given
    events = iter_apply(loaded, source, chosen, regions=regions, keep=keep, output=output, force=force, opened=opened)
    place = None if output is None else Path(output)
    return Run(events, lambda run: place if video else as_kind(source, run.image, given))


apply = Verb(start_apply)


def _sheet_run(
    model: Model,
    source: Source,
    options: ApplyOptions,
    regions: Sequence[tuple[Source, str]],
    keep: Source | None,
    output: str | Path | None,
    force: bool,
) -> Run[Any]:
    if is_video(source) or regions:
        raise OptionError("a sheet shows a picture in all styles; expected a picture, without regions.")
    events = iter_style_sheet(model, source, options, keep=keep, output=output, force=force)
    return Run(events, lambda run: as_kind(source, run.image, load_picture(as_pixels(run.image))))


def open_painter(name_or_path: str | Path, options: ApplyOptions = ApplyOptions()) -> Model:  # noqa: B008 - frozen
    """Return a network that can be applied to pictures: a painter, translator or autoencoder; see `load`.

    Raises:
        WeightsError: it is another kind of network.
        UnknownName: there is no such file, and the catalog does not have the name.
        OptionError: the device is not there.
    """
    model: Model = load(name_or_path, device=options.device, precision=options.precision, key=options.key)
    _check_kind(model)
    return model


def _check_kind(model: Model) -> None:
    if not isinstance(model, Painter | Translator | Autoencoder):
        hint = " See `impasto sample`." if model.kind == "generator" else ""
        raise WeightsError(
            f"{model.path or model.name} holds the network {model.architecture!r}; expected a painter, translator or "
            f"autoencoder.{hint}"
        )


def default_output_apply(source: str | Path, model: Model, folder: str | Path = ".", style: str = "") -> Path:
    """Return a name for the result: photo + starry_night -> photo_starry_night.png; a video keeps its format.

    Args:
        source: the picture or video.
        model: the network.
        folder: of the result.
        style: as in `ApplyOptions`; its names replace the model's name.
    """
    source = Path(source)
    suffix = source.suffix.lower() if is_video(source) else ".png"
    names = style_stem(style, model.styles if isinstance(model, Painter) else ())
    return Path(folder) / f"{source.stem}_{names or model.name or model.architecture}{suffix}"


def is_video(path: Source) -> bool:
    """Return whether something is the name of a video; a GIF counts as a picture."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() in VIDEOS and Path(path).suffix.lower() != ".gif"


def _moves(source: Source, output: str | Path | None) -> bool:
    """Return whether all frames of an animated picture are wanted: the result is a video or a GIF."""
    return (
        isinstance(source, str | Path)
        and Path(source).suffix.lower() in _ANIMATIONS
        and output is not None
        and Path(output).suffix.lower() in VIDEOS
        and frame_count(Path(source)) > 1
    )


@with_own_defaults
def iter_apply(
    model: Model,
    source: Source,
    options: ApplyOptions = ApplyOptions(),  # noqa: B008 - frozen
    *,
    regions: Sequence[tuple[Source, str]] = (),
    keep: Source | None = None,
    output: str | Path | None = None,
    force: bool = False,
    opened: Picture | None = None,
) -> Iterator[Event]:
    """Yield Started, Saved and Done for a picture, and a Step for each frame of a video.

    Everything is checked when this is called, before the first event.

    Args:
        model: a painter, translator or autoencoder; an autoencoder reconstructs pictures, and takes no other settings.
        source: the picture: a path, PIL image, array or tensor in [0, 1]; or the path of a video.
        options: all settings.
        regions: (mask, style) pairs: parts that a multi-style network paints in other styles; later ones lie over
            earlier ones. Masks as for `iter_stylize`.
        keep: a mask of what stays unchanged.
        output: file for the result; its suffix is the format. Videos need one.
        force: overwrite the file.
        opened: the source as a Picture, if it is open already.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.
    """
    ApplyOptions.check(options)
    _check_kind(model)
    record = {**new_record("apply", options), "model": _model_origin(model)}
    if isinstance(model, Autoencoder):
        if is_video(source) or regions or keep is not None or options.style:
            raise OptionError(f"{model.path} is an autoencoder; expected a picture, without styles, regions and masks.")
        if model.classes:
            raise OptionError(f"{model.path} is class-conditional; use denoise(picture, label=) of the loaded network.")
        if output is not None:
            check_target(output, force)
        picture = opened or open_picture(source, digest=output is not None)
        record["content"] = picture_origin(source, picture)
        return _reconstruction(model, picture, record, None if output is None else Path(output), force)
    assert isinstance(model, Painter | Translator)
    moves = _moves(source, output)
    if moves or is_video(source):
        if output is None or not (moves or is_video(output)):
            raise OptionError(f"{source} is a video; expected a video file for the result: {', '.join(VIDEOS)}.")
        if regions or keep is not None:
            raise OptionError("regions are for pictures; leave out --region and --keep for a video.")
        if options.refine:
            raise OptionError("refine is for pictures; leave it out for a video.")
        brush = Brush(model, options)
        process = brush if options.statistics == "frame" else steady(brush, source)
        return _video(brush, iter_video(source, output, process, metadata=record, force=force))
    if output is not None:
        check_target(output, force)
    picture = opened or open_picture(source, digest=output is not None)
    brush = Brush(model, options, picture, regions, keep)
    if options.refine:
        if regions:
            raise OptionError("refine paints one style; leave out --region or --refine.")
        check_refinement(brush.style)
    if output is not None:
        record["content"] = picture_origin(source, picture)
        record["styles"] = _style_origins(brush.style, options)
        if regions:
            record["regions"] = [
                {"mask": mask_origin(mask), "styles": [_style_origin(style)]} for mask, style in regions
            ]
        if keep is not None:
            record["keep"] = mask_origin(keep)
    return _picture(brush, picture, record, None if output is None else Path(output), force)


def _model_origin(model: Model) -> dict[str, str]:
    """Return where a network is: its name in the catalog, or its file; and the hash of the file."""
    source = "" if model.path is None else str(model.path)
    with suppress(ImpastoError):  # the catalog does not have the name
        if locate(model.name)[0] == model.path:
            source = model.name
    return {"name": model.name, "source": source, "sha256": model.sha256}


def _style_origins(style: Any, options: ApplyOptions) -> list[dict[str, str]]:
    """Return where the styles of a painting are: by name with weights, or of a network that takes one picture."""
    names = list(style) if isinstance(style, dict) else [options.style] * bool(options.style)
    return [_style_origin(name) for name in names]


def _style_origin(name: str) -> dict[str, str]:
    """Return the name or file of a style, and the hash of the file."""
    if name == _GIVEN:
        return {"source": "", "sha256": ""}
    return {"source": name, "sha256": file_digest(name)}


def _picture(
    brush: Brush, picture: Picture, record: dict[str, Any], output: Path | None, force: bool
) -> Iterator[Event]:
    began = time.monotonic()
    yield from map(Note, (*brush.model.notes, *brush.notes, *picture.notes))
    small = picture if brush.options.size is None else resize_picture(picture, brush.options.size)
    yield Started(picture.name, ((*small.size, 1),))
    image = brush(as_tensor(small))
    steps = 1
    if brush.options.refine and brush.options.strength:
        for event in iter_refine(image, as_tensor(small), brush.style, brush.options):
            if isinstance(event, Done):
                image, steps = brush.finished(event.image, as_tensor(small)), event.steps
            else:
                yield event
    if output is not None:
        yield from saved(output, replace(small, pixels=as_pixels(image)), metadata=record, force=force)
    yield Done(image, steps, time.monotonic() - began)


def _reconstruction(
    model: Autoencoder, picture: Picture, record: dict[str, Any], output: Path | None, force: bool
) -> Iterator[Event]:
    began = time.monotonic()
    yield from map(Note, (*model.notes, *picture.notes))
    _, height, width = model.shape
    yield Started(picture.name, ((height, width, 1),))
    image = model.reconstruct(model.prepared(picture)).cpu().expand(-1, 3, -1, -1)
    if output is not None:
        pixels = as_pixels(image)
        small = replace(resize_picture_to(picture, height, width), pixels=pixels, alpha=None)
        yield from saved(output, small, metadata=record, force=force)
    yield Done(image, 1, time.monotonic() - began)


def _video(brush: Brush, events: Iterator[Event]) -> Iterator[Event]:
    """Yield the events of a video, and a note on its flicker."""
    yield from map(Note, (*brush.model.notes, *brush.notes))
    meter = FlickerMeter() if brush.options.flicker else None
    for event in events:
        if isinstance(event, Step) and event.phase == "frame" and meter is not None:
            meter.add(event.source(), event.image())
        if isinstance(event, Done) and meter is not None:
            found = meter.result()
            yield Note(f"flicker {found.painted:.4f} of white between frames, {found.source:.4f} in the source")
        yield event
