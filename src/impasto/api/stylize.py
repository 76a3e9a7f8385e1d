"""Stylize a photograph by optimization of its pixels."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.api.embedded import mask_origin, new_record, picture_origin
from impasto.api.saved import saved
from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import load_about, load_state, save_state
from impasto.data.style_names import style_parts, style_stem
from impasto.data.styles import open_style
from impasto.devices import find_device, find_dtype, with_own_defaults
from impasto.errors import CheckpointError, ImpastoError, OptionError, Unfinished
from impasto.events import Done, Event, Note, Saved, Started, Step
from impasto.io.convert import resize_picture, resize_picture_to
from impasto.io.embedded import read_metadata
from impasto.io.encode import check_target, save_picture
from impasto.io.files import check_place
from impasto.io.masks import read_mask
from impasto.io.picture import Picture
from impasto.io.tensors import Source, as_kind, as_pixels, as_tensor, open_picture
from impasto.ops.resize import resize
from impasto.options import read_box
from impasto.run import Run, Verb
from impasto.style_transfer.objective import Encoder
from impasto.style_transfer.optimize import iter_optimize
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.regions import Region, iter_regions

__all__ = ["checkpoint_path", "default_output", "iter_stylize", "stylize"]


PREVIEW_SECONDS = 2.0  # how often a preview file is written at most
CHECKPOINT_SECONDS = 60.0  # how often a checkpoint is written at most: what a killed run loses
_SHARE = 20.0  # preview and checkpoint each take at most 1 / 20 of the time


@dataclass(frozen=True)
class _Job:
    """Everything one run needs, read and checked before the first step."""

    content: Picture  # at the size of the result
    styles: tuple[Picture, ...]
    regions: tuple[
        tuple[Tensor, tuple[Picture, ...], str, tuple[float, ...]], ...
    ]  # masks at that size, styles, weights
    keep: Tensor | None
    first: Picture | None
    options: StylizeOptions
    encoder: Encoder
    polish: Encoder | None
    device: torch.device
    record: dict[str, Any]  # settings that are embedded in the result, for `rerun`
    original: tuple[int, int]  # height and width of the photograph
    notes: tuple[str, ...] = ()

    @classmethod
    def prepare(
        cls,
        content: Source,
        styles: Sequence[Source],
        regions: Sequence[tuple[Source, list[Source], tuple[float, ...]]],
        keep: Source | None,
        options: StylizeOptions,
        encoder: Encoder | None,
    ) -> "_Job":
        picture = open_picture(content)
        painted_size = max(256, min(2048, round(options.size * options.style_scale)))
        small = resize_picture(picture, options.size)

        crop = options.style_crop

        def opened(sources: Sequence[Source]) -> tuple[Picture, ...]:
            kept = crop if crop == "auto" or crop == "none" else read_box(crop)
            return tuple(open_style(source, painted_size, kept) for source in sources)

        of_masks = list[str]()

        def mask(source: Source) -> Tensor:
            of_photograph = torch.from_numpy(np.ascontiguousarray(read_mask(source, picture, of_masks)))[None, None]
            return resize(of_photograph, small.size).clamp(0, 1)

        opened_styles = opened(styles)
        parts = tuple(
            (mask(where), opened(some), _region_name(where, some), weights) for where, some, weights in regions
        )
        first = open_picture(options.init_image) if options.init_image else None
        device = find_device(options.device)

        def network(name: str) -> Encoder:
            dtype = find_dtype(options.precision, device)
            return load_encoder(name, pooling=options.pooling, padding=options.padding, device=device, dtype=dtype)

        features = encoder or network(options.encoder)
        polish = network(options.polish_encoder) if options.polish and encoder is None else None
        record = {
            **new_record("stylize", options),
            "content": picture_origin(content, picture),
            "styles": [picture_origin(source, style) for source, style in zip(styles, opened_styles, strict=True)],
        }
        if regions:
            record["regions"] = [
                {
                    "mask": mask_origin(where),
                    "styles": [picture_origin(one, style) for one, style in zip(some, part[1], strict=True)],
                    **({"weights": list(weights)} if weights else {}),
                }
                for (where, some, weights), part in zip(regions, parts, strict=True)
            ]
        if keep is not None:
            record["keep"] = mask_origin(keep)
        kept = None if keep is None else mask(keep)
        read = [picture, *opened_styles, *(style for part in parts for style in part[1]), *([first] if first else [])]
        notes = tuple(dict.fromkeys([*(note for one in read for note in one.notes), *of_masks]))
        return cls(
            small, opened_styles, parts, kept, first, options, features, polish, device, record, picture.size, notes
        )

    def events(
        self, resume: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    ) -> Iterator[Started | Step | Note | Done]:
        def tensors(pictures: Sequence[Picture]) -> list[Tensor]:
            return [as_tensor(picture).to(self.device) for picture in pictures]

        pixels = np.require(self.content.pixels, requirements=["C", "W"])
        content = torch.from_numpy(pixels)  # without a copy, as it may be large
        content = content.permute(2, 0, 1)[None].to(self.device)
        first = as_tensor(self.first).to(self.device) if self.first else None
        if not self.regions and self.keep is None:
            return iter_optimize(
                content,
                tensors(self.styles),
                self.encoder,
                self.options,
                polish=self.polish,
                first=first,
                resume=resume,
                name=self.content.name,
            )
        regions = [Region(None, tensors(self.styles), "the rest" if self.regions else "")]
        regions += [
            Region(mask.to(self.device), tensors(styles), name, weights) for mask, styles, name, weights in self.regions
        ]
        return iter_regions(
            content,
            regions,
            self.encoder,
            self.options,
            polish=self.polish,
            keep=None if self.keep is None else self.keep.to(self.device),
            first=first,
            resume=resume,
            name=self.content.name,
        )

    def result(self, image: Tensor) -> Picture:
        """Return the result with the transparency, color profile and metadata of the photograph."""
        picture = self.content
        if image.shape[-2:] != picture.pixels.shape[:2]:
            picture = resize_picture_to(picture, *image.shape[-2:])
        return replace(picture, pixels=as_pixels(image))


def as_list(sources: Source | list[Source]) -> list[Source]:
    return list(sources) if isinstance(sources, list | tuple) else [sources]


def mixture(style: Any) -> tuple[list[Source], tuple[float, ...]]:
    """Return the styles of a mixture and their weights; () where all have the same.

    Args:
        style: one or a list of sources, of which a text may name several, as "starry_night:0.6,great_wave:0.4"; or
            sources with weights, as {"starry_night": 0.6, "great_wave": 0.4}.

    Raises:
        OptionError: a weight is not a number.
    """
    if isinstance(style, Mapping):
        return list(style), tuple(style.values()) if len(style) > 1 else ()
    parts: list[tuple[Source, float | None]] = []
    for one in as_list(style):
        parts += style_parts(one) if isinstance(one, str) else [(one, None)]
    weighted = len(parts) > 1 and any(weight is not None for _, weight in parts)
    return [one for one, _ in parts], tuple(
        1.0 if weight is None else weight for _, weight in parts
    ) if weighted else ()


def _region_name(mask: Source, styles: list[Source]) -> str:
    named = [Path(str(style)).stem for style in styles if isinstance(style, str | Path)]
    where = [f"in {Path(str(mask)).name}"] if isinstance(mask, str | Path) else []
    return " ".join([" + ".join(named), *where]).strip()


def checkpoint_path(output: str | Path) -> Path:
    """Return the checkpoint of an interrupted run to `output`: beside it, as `.resume.safetensors`."""
    return Path(output).with_suffix(".resume.safetensors")


def default_output(content: Source, style: Source | list[Source], folder: str | Path = ".") -> Path:
    """Return a name for the result in `folder`: photo + painting -> photo_painting.png."""
    photograph = Path(str(content).replace(":", "-")).stem if isinstance(content, str | Path) else "picture"
    styles = [style_stem(str(one)) if isinstance(one, str | Path) else "picture" for one in as_list(style)]
    return Path(folder) / f"{photograph}_{'-'.join(styles)}.png"


@with_own_defaults
def iter_stylize(
    content: Source,
    style: Source | list[Source] | Mapping[Source, float],
    options: StylizeOptions | None = None,
    *,
    regions: Sequence[tuple[Source, Source | list[Source] | Mapping[Source, float]]] = (),
    keep: Source | None = None,
    output: str | Path | None = None,
    preview: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    encoder: Encoder | str | Path | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Yield Started, Steps, Saved and Done while a photograph is stylized.

    Everything is read and checked when this is called, before the first event. Closing the iterator early cancels the
    run. With an `output`, the picture so far is then written there, and the state of the run to
    `checkpoint_path(output)`; `resume` continues from it to the same bytes.

    Args:
        content: the photograph: a path, PIL image, array or tensor in [0, 1].
        style: one or a list of the same; names of `impasto styles`, as "starry_night" or "swirl:7" (its seed); or a
            mixture, as "starry_night:0.6,great_wave:0.4" or {"starry_night": 0.6, "great_wave": 0.4}.
        options: all settings at once; the default is `StylizeOptions()`.
        regions: (mask, style) pairs: parts that get other styles; later ones lie over earlier ones. A mask is
            a picture of the photograph's size, or a text that `io.masks.read_mask` knows.
        keep: a mask of the part that stays unchanged.
        output: file to write the result to; its suffix is the format.
        preview: file that is rewritten with the picture so far every two seconds.
        force: allow `output` to be overwritten.
        resume: continue from the checkpoint of an interrupted run to `output`.
        encoder: a network to use in place of those that the options name; or a name or file, as the option.
        settings: single settings in place of those in `options`, such as `size=768`.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.
    """
    if isinstance(encoder, str | Path):
        settings, encoder = {**settings, "encoder": str(encoder)}, None
    if encoder is not None and not callable(getattr(encoder, "minimum_size", None)):
        raise OptionError(f"encoder is {encoder!r}; expected a name of `impasto encoders`, a file, or a loaded one.")
    if isinstance(encoder, torch.nn.Module) and any(map(Tensor.is_inference, encoder.parameters())):
        raise OptionError(
            "the weights of the encoder were made in torch.inference_mode, which allows no gradients; expected an "
            "encoder of `load_encoder`, or one that was made outside."
        )
    options = StylizeOptions.completed(options, settings)
    resized = "size" not in options.model_fields_set
    styles, weights = mixture(style)
    parts = [(mask, *mixture(some)) for mask, some in regions]
    if not styles or not all(found for _, found, _ in parts):
        raise OptionError("there is no style; expected one or more style images or names of `impasto styles`.")
    if weights and options.style_weights:
        raise OptionError("styles have weights, and style_weights are given too; leave out one of them.")
    shared = options.style_weights
    for _, found, own in [(None, styles, weights), *parts] if regions else []:
        if shared and not own and len(found) != len(shared):
            raise OptionError("style_weights apply to every region; expected the same number of styles in each region.")
        options.changed(style_weights=own)  # raises here, before the first step, if they are below 0
    parts = [(mask, found, own or shared) for mask, found, own in parts]
    if weights:
        options = options.changed(style_weights=weights)
    if output is not None:
        if _is_checkpoint(checkpoint_path(output)) and not (force or resume):
            raise Unfinished(f"{output} is of an interrupted run; pass --force to start anew, or --resume to continue.")
        check_target(output, force or (resume and _unfinished(Path(output))))
        check_place(checkpoint_path(output), force=True)
    if preview is not None:
        _check_preview(Path(preview), output, force, resume)
    job = _Job.prepare(content, styles, parts, keep, options, encoder)
    if resized:
        job = replace(job, notes=job.notes + _other_size(job.content, job.original))
    state = _load_checkpoint(Path(output), job) if resume and output is not None else None
    return _run(job, None if output is None else Path(output), None if preview is None else Path(preview), force, state)


def _is_checkpoint(path: Path) -> bool:
    """Return whether a file is the checkpoint of an interrupted run, not somebody else's."""
    with suppress(CheckpointError, OSError):
        return path.is_file() and "record" in load_about(path)
    return False


def _unfinished(path: Path) -> bool:
    """Return whether a file is the picture so far of an interrupted run."""
    with suppress(ImpastoError, OSError):
        return path.is_file() and "unfinished" in (read_metadata(path) or {})
    return False


_PREVIEWED: set[Path] = set()  # previews of this process, which the next picture of a folder may replace


def _check_preview(preview: Path, output: str | Path | None, force: bool, resume: bool) -> None:
    """Refuse a preview that would overwrite something else than a preview of this run or process."""
    if output is not None and preview.resolve() == Path(output).resolve():
        raise OptionError(f"{preview} is the result, too; name another file for the preview.")
    ours = preview.resolve() in _PREVIEWED or (resume and _unfinished(preview))
    check_target(preview, force or ours)


def _other_size(small: Picture, original: tuple[int, int]) -> tuple[str, ...]:
    """Return the sentence that the result has another size than the photograph; () if it has the same."""
    if small.size == original:
        return ()
    result, photograph = ("{1}×{0}".format(*size) for size in (small.size, original))
    return (f"the result is {result}, the photograph {photograph}; --size {max(original)} keeps its size",)


def _load_checkpoint(output: Path, job: _Job) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = checkpoint_path(output)
    if not path.exists():
        raise CheckpointError(f"there is no interrupted run to resume at {path}; run without --resume.")
    tensors, values = load_state(path)
    for name in ("content", "styles", "regions", "keep", "options"):
        if (values.get("record") or {}).get(name) != json.loads(json.dumps(job.record.get(name))):
            raise CheckpointError(
                f"{path} is of a run with other {name}; name the same ones, or start anew with --force."
            )
    return {name: tensor.to(job.device) for name, tensor in tensors.items()}, values


def _run(
    job: _Job,
    output: Path | None,
    preview: Path | None,
    force: bool,
    state: tuple[dict[str, Tensor], dict[str, Any]] | None,
) -> Iterator[Event]:
    last: Step | None = None
    begun = time.monotonic()
    drawn = _Often("preview", preview, PREVIEW_SECONDS, begun - PREVIEW_SECONDS)
    kept = _Often("checkpoint", None, CHECKPOINT_SECONDS, begun)
    finished, notes = False, [*job.notes]
    if output is not None:
        if not checkpoint_path(output).exists() or _is_checkpoint(checkpoint_path(output)):
            kept.path = checkpoint_path(output)
        else:
            notes.append(f"{checkpoint_path(output)} is of something else and stays; there will be no checkpoint")
    force = force or state is not None

    def draw(path: Path, image: Tensor, step: int) -> None:
        save_picture(path, job.result(image), metadata={**job.record, "unfinished": step}, force=True)
        _PREVIEWED.add(path.resolve())

    try:
        for event in job.events(state):
            if isinstance(event, Step):
                last = event
                if drawn.due():
                    yield from drawn.write(draw, event.image(), event.step)
                if kept.due():
                    yield from kept.write(_save_checkpoint, job, event)
            if isinstance(event, Done):
                finished, last = True, None  # frees memory that saving needs
                yield from drawn.write(draw, event.image, event.steps)
                if output:
                    yield from saved(output, job.result(event.image), metadata=job.record, force=force)
                    if kept.path:
                        kept.path.unlink(missing_ok=True)
            yield event
            if isinstance(event, Started):
                yield from map(Note, notes)
    finally:
        if last and output and not finished:
            _keep(job, output, kept.path, last, force)


class _Often:
    """A file that is written again and again beside a run, at most as often as told and in a fraction of its time.

    If it cannot be written, the run goes on without it.

    Attributes:
        path: the file, or None.
    """

    def __init__(self, kind: str, path: Path | None, every: float, begun: float) -> None:
        self.kind, self.path, self._every, self._next = kind, path, every, begun + every

    def due(self) -> bool:
        """Return whether it is time to write it."""
        return self.path is not None and time.monotonic() >= self._next

    def write(self, write: Callable[..., None], *what: Any) -> Iterator[Saved | Note]:
        """Write it, if there is a file, by `write(path, *what)`; yield Saved, or a Note why it cannot be written."""
        if self.path is None:
            return
        began = time.monotonic()
        try:
            write(self.path, *what)
        except (ImpastoError, OSError) as error:
            yield Note(f"no more {self.kind}s: {str(error).removesuffix('.')}")
            self.path = None
        else:
            yield Saved(self.path, self.kind)
        now = time.monotonic()
        self._next = now + max(self._every, _SHARE * (now - began))


def _save_checkpoint(path: Path, job: _Job, step: Step) -> None:
    """Write the state to go on from."""
    tensors, values = step.state()
    save_state(path, tensors, {**values, "record": job.record})


def _keep(job: _Job, output: Path, checkpoint: Path | None, last: Step, force: bool) -> None:
    """Write the state to go on from and the picture so far."""
    try:
        if checkpoint:
            _save_checkpoint(checkpoint, job, last)
    finally:
        about = {**job.record, "unfinished": last.step}
        save_picture(output, job.result(last.image()), metadata=about, force=force, safe=True)


def start_stylize(
    content: Source,
    style: Source | list[Source] | Mapping[Source, float],
    *,
    output: str | Path | None = None,
    regions: Sequence[tuple[Source, Source | list[Source] | Mapping[Source, float]]] = (),
    keep: Source | None = None,
    options: StylizeOptions | None = None,
    preview: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    encoder: Encoder | str | Path | None = None,
    preset: str = "default",
    quality: str | None = None,
    **settings: Any,
) -> Run[Any]:
    """Stylize a photograph by optimization; it blocks, and returns the result.

    A path or PIL image gives a PIL image, an array `(H, W, 3)` or `(H, W, 4)` an array of the same dtype and channels,
    a tensor `(3, H, W)` or `(1, 3, H, W)` a tensor `(1, 3, H, W)`. `stylize.start` takes the same arguments and returns
    a `Run`, whose steps give the picture so far.

    Args:
        content: the photograph: a path, PIL image, array or tensor in [0, 1].
        style: one or a list of the same; names of `impasto styles`, as "starry_night" or "swirl:7" (its seed); or a
            mixture, as "starry_night:0.6,great_wave:0.4" or {"starry_night": 0.6, "great_wave": 0.4}.
        output: file to write the result to as well; its suffix is the format.
        regions: (mask, style) pairs: parts that get other styles; see `iter_stylize`.
        keep: a mask of the part that stays unchanged.
        options: all settings at once; the default is `StylizeOptions()`.
        preview: file that is rewritten with the picture so far every two seconds.
        force: allow `output` to be overwritten.
        resume: continue from the checkpoint of an interrupted run to `output`.
        encoder: a network to use in place of those that the options name; or a name or file, as the option.
        preset: named settings to start from, such as "gatys".
        quality: "draft", "good" or "best".
        settings: single settings in place of those of the preset, such as `size=768`. The longer side of the result is
            512 px, whatever the photograph has, unless `size` says otherwise.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.

    >>> impasto.stylize("photo.jpg", "painting.jpg", size=768).save("out.png")  # doctest: +SKIP
    """
    if isinstance(encoder, str | Path):
        settings, encoder = {**settings, "encoder": str(encoder)}, None
    if options is None:
        options, settings = StylizeOptions.preset(preset, quality, **settings), {}
    elif preset != "default" or quality is not None:
        raise OptionError(
            "options are given, and a preset or quality too; expected either options, or a preset and quality."
        )
    events = iter_stylize(
        content,
        style,
        options,
        regions=regions,
        keep=keep,
        output=output,
        preview=preview,
        force=force,
        resume=resume,
        encoder=encoder,
        **settings,
    )
    return Run(events, lambda run: as_kind(content, run.image))


stylize = Verb(start_stylize)
