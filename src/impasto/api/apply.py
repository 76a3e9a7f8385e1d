"""Apply a trained network to pictures and videos."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from impasto.checkpoints.load import load_model, model_file
from impasto.checkpoints.model import Model
from impasto.checkpoints.weights import sha256
from impasto.devices import find_device, find_dtype
from impasto.errors import OptionError
from impasto.events import Done, Event, Frame, Note, Saved, Started, drain
from impasto.inference.brush import Brush, style_parts
from impasto.inference.options import ApplyOptions
from impasto.inference.scene_statistics import steady
from impasto.io.convert import resize_picture
from impasto.io.encode import check_target, save_picture
from impasto.io.picture import Picture
from impasto.io.tensors import Source, as_kind, as_pixels, as_tensor, open_picture
from impasto.io.video.container import VIDEOS
from impasto.io.video.writer import iter_video
from impasto.metrics.flicker import FlickerMeter
from impasto.networks.translators import ResNetGenerator, UNetGenerator

__all__ = ["default_output_apply", "is_video", "iter_apply", "load", "open_painter"]

_FORMAT = 1  # raised when what is embedded in results changes its meaning


def open_painter(path: str | Path, options: ApplyOptions = ApplyOptions()) -> Model:  # noqa: B008 - frozen
    """Return a network by name or of a file, of any kind that `load.load_model` knows, or of a training's folder.

    Its header says, besides what was in the file, the file's `name` and `sha256`.

    Raises:
        WeightsError: it is no network that paints.
        UnknownName: there is no such file, and the catalogue does not know the name.
        OptionError: the device is not there, or the mode is not one of this network.
    """
    given = Path(path).expanduser()
    file, style = model_file(path)
    name = style or (given.name if given.is_dir() else given.stem)
    device = find_device(options.device)
    model = load_model(path, device=device, dtype=find_dtype(options.precision, device))
    if options.mode == "paper":
        if not isinstance(model.network, ResNetGenerator | UNetGenerator):
            raise OptionError(
                f"mode is 'paper', but the network is one of {model.architecture}; expected a translator."
            )
        model.network.train()
    digest = sha256(file) if file.is_file() else ""
    return replace(model, header={**model.header, "name": name, "sha256": digest})


def default_output_apply(source: str | Path, model: Model, folder: str | Path = ".", style: str = "") -> Path:
    """Return a name for the result in `folder`: photo + starry_night -> photo_starry_night.png; a video keeps its kind.

    Args:
        source: the picture or video.
        model: what paints it.
        folder: where to.
        style: as in `ApplyOptions`; its names take the place of the network's.
    """
    source = Path(source)
    suffix = source.suffix.lower() if is_video(source) else ".png"
    names = [Path(name.replace(":", "-")).stem for name, _ in style_parts(style, model.styles)] if style else []
    look = "-".join(names) or model.header.get("name", model.architecture)
    return Path(folder) / f"{source.stem}_{look}{suffix}"


def is_video(path: Source) -> bool:
    """Return whether something is the name of a video; a GIF is taken as a picture."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() in VIDEOS and Path(path).suffix.lower() != ".gif"


def iter_apply(
    model: Model,
    source: Source,
    options: ApplyOptions = ApplyOptions(),  # noqa: B008 - frozen
    *,
    regions: Sequence[tuple[Source, str]] = (),
    keep: Source | None = None,
    output: str | Path | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Yield Started, Saved and Done while a network paints a picture, and a Frame for each of a video.

    Everything is checked when this is called, before the first event is asked for.

    Args:
        model: from `open_painter`.
        source: the picture: a path, PIL image, array or tensor in [0, 1]; or the path of a video.
        options: how it is painted.
        regions: (mask, style) of parts that are painted otherwise by a network of many styles; later ones lie
            over earlier ones. Masks as for `stylize.iter_stylize`.
        keep: a mask of what stays as it is.
        output: file to write the result to; its suffix says the format. Videos need one.
        force: allow it to be overwritten.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.
    """
    ApplyOptions.check(options)
    record = {
        "format": _FORMAT,
        "version": version("impasto"),
        "operation": "apply",
        "model": {key: model.header.get(key, "") for key in ("name", "sha256")},
        "options": options.model_dump(mode="json"),
    }
    if is_video(source):
        if output is None or not is_video(output):
            raise OptionError(f"{source} is a video; expected a video file for the result: {', '.join(VIDEOS)}.")
        if regions or keep is not None:
            raise OptionError("regions are for pictures; leave out --region and --keep for a video.")
        brush = Brush(model, options)
        process = brush if options.statistics == "frame" else steady(brush, source)
        return _film(brush, iter_video(source, output, process, metadata=record, force=force))
    if output is not None:
        check_target(output, force)
    picture = open_picture(source, digest=output is not None)
    brush = Brush(model, options, picture, regions, keep)
    record["content"] = {"source": str(source) if isinstance(source, str | Path) else "", "sha256": picture.digest}
    return _picture(brush, picture, record, None if output is None else Path(output), force)


def load(path: str | Path, **settings: Any) -> Callable[..., Any]:
    """Return a function that paints pictures with the network of a file.

    It takes a picture, and gives it painted as the kind of thing it was: a path or PIL image gives a PIL image, an
    array `(H, W, 3)` an array, a tensor a tensor `(1, 3, H, W)`. Settings are those of `ApplyOptions`, here or with
    the picture, where also `regions` and `keep` of `iter_apply` can be.

    >>> paint = impasto.load("starry/")  # doctest: +SKIP
    >>> paint("photo.jpg", strength=0.7).save("out.png")  # doctest: +SKIP
    """
    options = ApplyOptions(**settings)
    model = open_painter(path, options)

    def paint(picture: Source, **more: Any) -> Any:
        own = {name: more.pop(name) for name in ("regions", "keep") if name in more}
        opened = open_picture(picture, digest=False)
        image = drain(iter_apply(model, opened, options.changed(**more), **own))
        return as_kind(picture, image, opened)

    return paint


def _picture(
    brush: "Brush", picture: Picture, record: dict[str, Any], output: Path | None, force: bool
) -> Iterator[Event]:
    began = time.monotonic()
    yield from map(Note, brush.model.notes)
    small = picture if brush.options.size is None else resize_picture(picture, brush.options.size)
    yield Started(picture.name, ((*small.size, 1),))
    image = brush(as_tensor(small))
    if output is not None:
        save_picture(output, replace(small, pixels=as_pixels(image)), metadata=record, force=force)
        yield Saved(output, "result")
    yield Done(image, 1, time.monotonic() - began)


def _film(brush: "Brush", events: Iterator[Event]) -> Iterator[Event]:
    """Yield the events of a video, and at its end how much it flickers."""
    yield from map(Note, brush.model.notes)
    meter = FlickerMeter() if brush.options.flicker else None
    for event in events:
        if isinstance(event, Frame) and meter is not None:
            meter.add(event.source, event.image)
        if isinstance(event, Done) and meter is not None:
            found = meter.result()
            yield Note(f"flicker {found.painted:.4f} of white from frame to frame, {found.source:.4f} in the source")
        yield event
