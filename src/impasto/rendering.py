"""Pictures and videos through a network that paints in one pass, as a stream of events.

`iter_apply` does one file; the command line does many. A network is read once, by `open_painter`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto import images
from impasto.application import Statistics, apply_model, between, measure
from impasto.checkpoints import MODEL
from impasto.devices import find_device, find_dtype
from impasto.errors import OptionError, UnknownName, unknown_name
from impasto.events import Done, Event, Frame, Note, Saved, Started, drain
from impasto.flicker import FlickerMeter
from impasto.images import Picture
from impasto.masks import read_mask
from impasto.models import Model, Style, load_model, load_style, model_file
from impasto.networks.microast import MicroAST
from impasto.networks.painter import Painter
from impasto.networks.translation import ResNetGenerator, UNetGenerator
from impasto.ops import resize
from impasto.options import ApplyOptions
from impasto.prediction import predict_row
from impasto.regions import feather
from impasto.stylization import as_kind, as_pixels, as_tensor, open_picture, open_style
from impasto.video import VIDEOS, Span, iter_spans, iter_video
from impasto.weights import sha256

__all__ = ["Source", "default_output", "is_video", "iter_apply", "load", "open_painter"]

Source = Any  # a path, a PIL image, an array, a tensor or a Picture
_FORMAT = 1  # raised when what is embedded in results changes its meaning


def open_painter(path: str | Path, options: ApplyOptions = ApplyOptions()) -> Model:  # noqa: B008 - frozen
    """Return a network by name or of a file, of any kind that `models.load_model` knows, or of a training's folder.

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


def default_output(source: str | Path, model: Model, folder: str | Path = ".", style: str = "") -> Path:
    """Return a name for the result in `folder`: photo + starry_night -> photo_starry_night.png; a video keeps its kind.

    Args:
        source: the picture or video.
        model: what paints it.
        folder: where to.
        style: as in `ApplyOptions`; its names take the place of the network's.
    """
    source = Path(source)
    suffix = source.suffix.lower() if is_video(source) else ".png"
    names = [Path(name.replace(":", "-")).stem for name, _ in _parts(style, model.styles)] if style else []
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
            over earlier ones. Masks as for `stylization.iter_stylize`.
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
        brush = _Brush(model, options)
        process = brush if options.statistics == "frame" else _steady(brush, source)
        return _film(brush, iter_video(source, output, process, metadata=record, force=force))
    if output is not None:
        images.check_target(output, force)
    picture = open_picture(source, digest=output is not None)
    brush = _Brush(model, options, picture, regions, keep)
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
    brush: "_Brush", picture: Picture, record: dict[str, Any], output: Path | None, force: bool
) -> Iterator[Event]:
    began = time.monotonic()
    yield from map(Note, brush.model.notes)
    small = picture if brush.options.size is None else images.resize(picture, brush.options.size)
    yield Started(picture.name, ((*small.size, 1),))
    image = brush(as_tensor(small))
    if output is not None:
        images.save(output, replace(small, pixels=as_pixels(image)), metadata=record, force=force)
        yield Saved(output, "result")
    yield Done(image, 1, time.monotonic() - began)


def _film(brush: "_Brush", events: Iterator[Event]) -> Iterator[Event]:
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


class _Brush:
    """A network with its settings, checked: gets `(1, 3, H, W)` on the CPU, gives it painted."""

    def __init__(
        self,
        model: Model,
        options: ApplyOptions,
        picture: Picture | None = None,
        regions: Sequence[tuple[Source, str]] = (),
        keep: Source | None = None,
    ) -> None:
        self.model, self.options = model, options
        self.device = next(model.network.parameters()).device
        self.look = self._look(options.style)
        if regions and not isinstance(model.network, Painter):
            raise OptionError("this network has one style for the whole picture; leave out --region.")
        self.regions = [(self._mask(mask, picture), self._look(style)) for mask, style in regions]
        self.keep = None if keep is None else self._mask(keep, picture)
        # what cannot be painted is said before anything is
        self.model.check(self._style((8, 8)), options.strength)

    def _look(self, text: str) -> Any:
        """Return what the network takes as its style."""
        if isinstance(self.model.network, MicroAST):
            if not text:
                raise OptionError("this network paints after a picture; expected one as --style.")
            return as_tensor(open_style(text, self.options.style_size)).to(self.device)
        if not text:
            default = self.model.default or next(reversed(self.model.styles[:2]), "")
            return {default: 1.0} if default else None
        return {self._known(name): share for name, share in _parts(text, self.model.styles)}

    def _known(self, name: str) -> str:
        """Return the name of a style that the network knows, after it was told that of a file or a picture."""
        if name in self.model.styles or not isinstance(self.model.network, Painter):
            return name
        if Path(name).suffix == ".safetensors" or (Path(name) / MODEL).is_file():
            name, row = load_style(name, self.model)
        else:
            try:
                picture = open_style(name, self.options.style_size)
            except UnknownName:
                raise unknown_name("a style of this network, nor a picture", name, self.model.styles) from None
            row = predict_row(
                self.model,
                as_tensor(picture),
                size=self.options.style_size,
                device=self.options.device,
                precision=self.options.precision,
            )
        self.model = self.model.knowing(name, row)
        return name

    def _mask(self, source: Source, picture: Picture | None) -> Tensor:
        assert picture is not None
        mask = torch.from_numpy(read_mask(source, picture).copy())[None, None]
        return feather(mask, round(self.options.feather * max(picture.size)))

    def _style(self, size: tuple[int, int]) -> Style:
        """Return the style for a picture of that size, with maps where there are regions."""
        if not self.regions:
            style: Style = self.look
            return style
        free = torch.ones(1, 1, *size)
        shares: dict[str, Any] = {}
        parts = [(resize(mask, size).clamp(0, 1), look) for mask, look in reversed(self.regions)]
        for mask, look in [*parts, (torch.ones_like(free), self.look)]:
            own = free * mask
            free = free - own
            for name, share in look.items():
                shares[name] = shares.get(name, 0) + own.to(self.device) * (share / sum(look.values()))
        return shares

    def _sized(self, image: Tensor) -> Tensor:
        """Return pictures as large as they are painted, where they are painted."""
        height, width = image.shape[-2:]
        size = self.options.size
        if size is not None and max(height, width) != size:
            factor = size / max(height, width)
            image = resize(image, (max(1, round(height * factor)), max(1, round(width * factor)))).clamp(0, 1)
        return image.to(self.device)

    def measure(self, images: Tensor) -> Statistics:
        """Return the statistics of pictures taken as one, of a style that is the same everywhere."""
        options = self.options
        return measure(
            self.model,
            self._sized(images),
            style=self.look,
            strength=options.strength,
            max_memory=options.max_memory,
        )

    def __call__(self, image: Tensor, statistics: Statistics | None = None) -> Tensor:
        options = self.options
        image = self._sized(image)
        height, width = image.shape[-2:]
        free = None if self.keep is None else 1 - resize(self.keep, (height, width)).clamp(0, 1).to(self.device)
        return apply_model(
            self.model,
            image,
            style=self._style((height, width)),
            strength=options.strength,
            colors=options.colors,
            mask=free,
            statistics=statistics,
            max_memory=options.max_memory,
        ).cpu()


def _steady(brush: _Brush, source: Source) -> Callable[[Tensor], Tensor]:
    """Return what paints the frames of a video one after the other, with statistics that they share."""
    statistics = _shared(brush, source)
    return lambda image: brush(image, next(statistics))


def _shared(brush: _Brush, source: Source) -> Iterator[Statistics]:
    """Yield the statistics of each frame of a video, of which the next ten seconds or so are read ahead.

    In a span they are all the same, but from the middle of one to that of the next of the same scene they go over
    by and by, so that they follow the light and never jump. A short rest of a scene has those before it. In the end
    the last ones are repeated, for of a damaged file more may be read the second time.
    """

    def measured(span: Span) -> tuple[int, bool, Statistics]:
        return span.frames, span.begins, brush.measure(span.sample)

    start = done = 0  # the first frame of the span, and how many frames have their statistics
    last: Statistics = ()
    for frames, begins, now in map(measured, iter_spans(source)):
        middle = start + frames // 2
        if begins:
            yield from repeat(last, start - done)
            yield from repeat(now, middle - start)
        else:
            now = last if frames < start - done else now
            yield from (between(last, now, (frame - done) / (middle - done)) for frame in range(done, middle))
        start, done, last = start + frames, middle, now
    yield from repeat(last)


def _parts(text: str, known: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yield names and shares of "a:0.6,b:0.4"; a name is one that is known, or a file, which may hold colons."""
    for part in text.split(","):
        name, colon, share = part.strip().rpartition(":")
        if not colon or Path(part.strip()).exists():
            yield part.strip(), 1.0
            continue
        try:
            yield name.strip(), float(share)
        except ValueError:
            if name in known:
                raise OptionError(
                    f"the share of a style is {share!r}; expected a number, as in starry_night:0.6."
                ) from None
            yield part.strip(), 1.0  # such as swirl:7, or a file that is not there, which will be said
