"""Stylize a photograph by optimization of its pixels."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.api.embedded import mask_origin, new_record, picture_origin
from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import load_state, save_state
from impasto.data.style_names import style_parts, style_stem
from impasto.data.styles import open_style
from impasto.devices import find_device, find_dtype
from impasto.errors import CheckpointError, OptionError, Unfinished
from impasto.events import Done, Event, Note, Saved, Started, Step
from impasto.io.convert import resize_picture, resize_picture_to
from impasto.io.encode import check_target, save_picture
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
    note: str = ""

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

        def mask(source: Source) -> Tensor:
            of_photograph = torch.from_numpy(np.ascontiguousarray(read_mask(source, picture)))[None, None]
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
        return cls(small, opened_styles, parts, kept, first, options, features, polish, device, record, picture.size)

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
    encoder: Encoder | None = None,
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
        encoder: a network to use in place of those that the options name.
        settings: single settings in place of those in `options`, such as `size=768`.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.
    """
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
        if Path(output).exists() and checkpoint_path(output).exists() and not (force or resume):
            raise Unfinished(f"{output} is of an interrupted run; pass --force to start anew, or --resume to continue.")
        check_target(output, force or resume)
    if preview is not None:
        check_target(preview, force=True)
    job = _Job.prepare(content, styles, parts, keep, options, encoder)
    if resized:
        job = replace(job, note=_other_size(job.content, job.original))
    state = _load_checkpoint(Path(output), job) if resume and output is not None else None
    return _run(job, None if output is None else Path(output), None if preview is None else Path(preview), force, state)


def _other_size(small: Picture, original: tuple[int, int]) -> str:
    """Return the sentence that the result has another size than the photograph; "" if it has the same."""
    if small.size == original:
        return ""
    result, photograph = ("{1}×{0}".format(*size) for size in (small.size, original))
    return f"the result is {result}, the photograph {photograph}; --size {max(original)} keeps its size"


def _load_checkpoint(output: Path, job: _Job) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = checkpoint_path(output)
    if not path.exists():
        raise CheckpointError(f"there is no interrupted run to resume at {path}; run without --resume.")
    tensors, values = load_state(path)
    for name in ("content", "styles", "regions", "keep", "options"):
        if (values.get("record") or {}).get(name) != json.loads(json.dumps(job.record.get(name))):
            raise CheckpointError(
                f"{path} is of a run with other {name}; name the same pictures and settings, or run without --resume."
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
    due = time.monotonic()
    finished, note = False, job.note
    try:
        for event in job.events(state):
            if isinstance(event, Step):
                last = event
                if preview and time.monotonic() >= due:
                    save_picture(preview, job.result(event.image()), force=True)
                    yield Saved(preview, "preview")
                    due = time.monotonic() + PREVIEW_SECONDS
            if isinstance(event, Done):
                finished, last = True, None  # frees memory that saving needs
                if preview:
                    save_picture(preview, job.result(event.image), force=True)
                if output:
                    save_picture(output, job.result(event.image), metadata=job.record, force=force or state is not None)
                    checkpoint_path(output).unlink(missing_ok=True)
                    yield Saved(output, "result")
            yield event
            if note and isinstance(event, Started):
                yield Note(note)
                note = ""
    finally:
        if last and output and not finished:
            _keep(job, output, last, force or state is not None)


def _keep(job: _Job, output: Path, last: Step, force: bool) -> None:
    """Write the picture so far and the state to go on from."""
    tensors, values = last.state()
    save_state(checkpoint_path(output), tensors, {**values, "record": job.record})
    save_picture(output, job.result(last.image()), metadata={**job.record, "unfinished": last.step}, force=force)


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
    encoder: Encoder | None = None,
    preset: str = "default",
    quality: str | None = None,
    **settings: Any,
) -> Run[Any]:
    """Stylize a photograph by optimization; it blocks, and returns the result.

    A path or PIL image gives a PIL image, an array `(H, W, 3)` an array of the same dtype, a tensor `(3, H, W)` or
    `(1, 3, H, W)` a tensor `(1, 3, H, W)`. `stylize.start` takes the same arguments and returns a `Run`, whose steps
    give the picture so far.

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
        encoder: a network to use in place of those that the options name.
        preset: named settings to start from, such as "gatys".
        quality: "draft", "good" or "best".
        settings: single settings in place of those of the preset, such as `size=768`. The longer side of the result is
            512 px, whatever the photograph has, unless `size` says otherwise.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.

    >>> impasto.stylize("photo.jpg", "painting.jpg", size=768).save("out.png")  # doctest: +SKIP
    """
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
