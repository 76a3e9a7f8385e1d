"""Paint a picture: from whatever the caller has, through the optimizer, to a picture that can be repeated.

`iter_stylize` is one run as a stream of events; `stylize` is the same for callers who only want the
picture. The command line is one more caller.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto import images, painted
from impasto.checkpoints import load_encoder, load_state, save_state
from impasto.devices import find_device, find_dtype
from impasto.errors import CheckpointError, ImageError, OptionError, unknown_name
from impasto.events import Done, Event, Note, Saved, Started, Step
from impasto.images import Picture
from impasto.masks import mask_file, read_mask
from impasto.measures import Score, score
from impasto.objective import Encoder
from impasto.ops import high_pass, resize
from impasto.optimization import iter_optimize
from impasto.options import StylizeOptions
from impasto.regions import Region, iter_regions

__all__ = [
    "as_kind",
    "checkpoint_path",
    "contact_sheet",
    "default_output",
    "high_pass_picture",
    "iter_rerun",
    "iter_stylize",
    "score_files",
    "stylize",
]

Source = Any  # a path, a PIL image, an array, a tensor or a Picture
PREVIEW_SECONDS = 2.0  # how often a preview file is written at most
RECORD_FORMAT = 1  # raised when what is embedded in pictures changes its meaning


# --- pictures <-> tensors -----------------------------------------------------------------------


def open_picture(source: Source, *, digest: bool = True) -> Picture:
    """Return a Picture of a path, PIL image, array or tensor `(3, H, W)` / `(1, 3, H, W)` in [0, 1]; see `load`."""
    if isinstance(source, Tensor):
        if source.ndim == 4 and len(source) == 1:
            source = source[0]
        if source.ndim != 3 or source.shape[0] != 3:
            raise ImageError(f"the tensor's shape is {tuple(source.shape)}; expected (3, H, W) or (1, 3, H, W).")
        source = source.detach().cpu().float().permute(1, 2, 0).numpy()
    return images.load(source, digest=digest)


def open_style(source: Source, size: int) -> Picture:
    """Return the picture of a style: like `open_picture`, or one of our own by name.

    Args:
        source: a file, a name from `impasto.painted` such as "swirl" or "swirl:7" (its seed), or
            anything that `open_picture` takes. A file wins over a name; a folder, such as a training's, does not.
        size: the longer side at which a style of ours is painted.
    """
    name, _, seed = str(source).partition(":") if isinstance(source, str) else ("", "", "")
    if not name or Path(source).is_file() or name not in painted.names():
        if name and not Path(source).exists() and not Path(source).suffix and "/" not in source:
            raise unknown_name("a picture file or a painted style", source, painted.names())
        return open_picture(source)
    if seed and not seed.isdecimal():
        raise OptionError(f"the style's seed is {seed!r}; expected a whole number, as in {name}:7.")
    pixels = _painted(name, round(size * 0.8), size, int(seed or 0))
    digest = hashlib.sha256(f"{name}:{int(seed or 0)}".encode()).hexdigest()
    return replace(images.load(pixels), name=name, digest=digest)


@lru_cache(maxsize=4)  # a batch asks for the same style again and again
def _painted(name: str, height: int, width: int, seed: int) -> np.ndarray:
    return painted.paint(name, height, width, seed)


def as_tensor(picture: Picture) -> Tensor:
    """Return the pixels as `(1, 3, H, W)` float32."""
    return torch.from_numpy(np.ascontiguousarray(picture.pixels)).permute(2, 0, 1)[None].contiguous()


def as_pixels(image: Tensor) -> np.ndarray:
    """Return `(1, 3, H, W)` as `(H, W, 3)` float32, on the CPU without a copy."""
    return image[0].detach().cpu().float().permute(1, 2, 0).numpy()


# --- one run ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """Everything one run needs, read and checked before the first step."""

    content: Picture  # at the size it is painted
    styles: tuple[Picture, ...]
    regions: tuple[tuple[Tensor, tuple[Picture, ...], str], ...]  # masks at that size, their styles, and a name
    keep: Tensor | None
    first: Picture | None
    options: StylizeOptions
    encoder: Encoder
    polish: Encoder | None
    device: torch.device
    record: dict[str, Any]  # what is embedded in the result, so that it can be repeated

    @classmethod
    def prepare(
        cls,
        content: Source,
        styles: Sequence[Source],
        regions: Sequence[tuple[Source, Source | list[Source]]],
        keep: Source | None,
        options: StylizeOptions,
        encoder: Encoder | None,
    ) -> "_Job":
        picture = open_picture(content)
        painted_size = max(256, min(2048, round(options.size * options.style_scale)))
        small = images.resize(picture, options.size)

        def opened(sources: Sequence[Source]) -> tuple[Picture, ...]:
            return tuple(open_style(source, painted_size) for source in sources)

        def mask(source: Source) -> Tensor:
            of_photograph = torch.from_numpy(np.ascontiguousarray(read_mask(source, picture)))[None, None]
            return resize(of_photograph, small.size).clamp(0, 1)

        looks = opened(styles)
        parts = tuple((mask(where), opened(_listed(look)), _called(where, look)) for where, look in regions)
        first = open_picture(options.init_image) if options.init_image else None
        device = find_device(options.device)

        def network(name: str) -> Encoder:
            dtype = find_dtype(options.precision, device)
            return load_encoder(name, pooling=options.pooling, padding=options.padding, device=device, dtype=dtype)

        eye = encoder or network(options.encoder)
        polish = network(options.polish_encoder) if options.polish and encoder is None else None
        record = {
            "format": RECORD_FORMAT,
            "version": version("impasto"),
            "operation": "stylize",
            "content": _origin(content, picture),
            "styles": [_origin(source, style) for source, style in zip(styles, looks, strict=True)],
            "options": options.model_dump(mode="json"),
        }
        if regions:
            record["regions"] = [
                {
                    "mask": _mask_origin(where),
                    "styles": [_origin(one, style) for one, style in zip(_listed(look), part[1], strict=True)],
                }
                for (where, look), part in zip(regions, parts, strict=True)
            ]
        if keep is not None:
            record["keep"] = _mask_origin(keep)
        kept = None if keep is None else mask(keep)
        return cls(small, looks, parts, kept, first, options, eye, polish, device, record)

    def events(
        self, resume: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    ) -> Iterator[Started | Step | Note | Done]:
        def tensors(pictures: Sequence[Picture]) -> list[Tensor]:
            return [as_tensor(picture).to(self.device) for picture in pictures]

        pixels = np.require(self.content.pixels, requirements=["C", "W"])
        content = torch.from_numpy(pixels)  # not copied: it may be large
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
        regions += [Region(mask.to(self.device), tensors(styles), name) for mask, styles, name in self.regions]
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
        """Return the painting with the photograph's transparency, profile and notes."""
        picture = self.content
        if image.shape[-2:] != picture.pixels.shape[:2]:
            picture = images.resize_to(picture, *image.shape[-2:])
        return replace(picture, pixels=as_pixels(image))


def _origin(source: Source, picture: Picture) -> dict[str, str]:
    where = str(source) if isinstance(source, str | Path) else ""
    return {"source": where, "sha256": picture.digest}


def _mask_origin(source: Source) -> dict[str, str]:
    """Return how a mask is found again, and what its file was."""
    if not isinstance(source, str | Path):
        return {"source": "", "sha256": ""}
    path = Path(mask_file(str(source)))
    return {"source": str(source), "sha256": images.load(path).digest if path.exists() else ""}


def _listed(sources: Source | list[Source]) -> list[Source]:
    return list(sources) if isinstance(sources, list | tuple) else [sources]


def _called(mask: Source, styles: Source | list[Source]) -> str:
    named = [Path(str(style)).stem for style in _listed(styles) if isinstance(style, str | Path)]
    where = [f"in {Path(str(mask)).name}"] if isinstance(mask, str | Path) else []
    return " ".join([" + ".join(named), *where]).strip()


def checkpoint_path(output: str | Path) -> Path:
    """Return where an interrupted run to `output` keeps its state: beside it, as `.resume.safetensors`."""
    return Path(output).with_suffix(".resume.safetensors")


def default_output(content: Source, style: Source, folder: str | Path = ".") -> Path:
    """Return a name for the result in `folder`: photo + painting -> photo_painting.png."""
    stems = [
        Path(str(source).replace(":", "-")).stem if isinstance(source, str | Path) else "picture"
        for source in (content, style)
    ]
    return Path(folder) / f"{'_'.join(stems)}.png"


def iter_stylize(
    content: Source,
    style: Source | list[Source],
    options: StylizeOptions | None = None,
    *,
    regions: Sequence[tuple[Source, Source | list[Source]]] = (),
    keep: Source | None = None,
    output: str | Path | None = None,
    preview: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    encoder: Encoder | None = None,
    **settings: Any,
) -> Iterator[Event]:
    """Yield Started, Steps, Saved and Done while a photograph is painted in the manner of a picture.

    Everything is read and checked when this is called, before the first event is asked for. Closing
    the iterator early cancels; with an `output`, the picture so far is then kept there, and the run's
    state in `checkpoint_path(output)`, from which `resume` goes on to the same bytes.

    Args:
        content: the photograph: a path, PIL image, array or tensor in [0, 1].
        style: one or a list of the same, or names of painted styles such as "swirl" or "swirl:7".
        options: how it is painted; the default is `StylizeOptions()`.
        regions: (mask, style or styles) of parts that are painted otherwise; later ones lie over earlier
            ones. A mask is a picture of the photograph's size, or a text that `masks.read_mask` knows.
        keep: a mask of what stays as it is in the photograph.
        output: file to write the result to; its suffix says the format.
        preview: file that is rewritten with the picture so far every two seconds.
        force: allow `output` to be overwritten.
        resume: go on from the checkpoint of an interrupted run to `output`.
        encoder: a network to use instead of those that the options name.
        settings: single settings in place of `options`' own, as `size=768`.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.
    """
    options = StylizeOptions() if options is None else options
    StylizeOptions.check(options)
    options = options.changed(**settings) if settings else options
    styles = _listed(style)
    if not styles or not all(_listed(look) for _, look in regions):
        raise OptionError("there is no style picture; expected one or more.")
    if regions and options.style_weights and any(len(_listed(look)) != len(styles) for _, look in regions):
        raise OptionError("style_weights are for every region; expected as many styles in each of them.")
    if output is not None:
        images.check_target(output, force or resume)
    if preview is not None:
        images.check_target(preview, force=True)
    job = _Job.prepare(content, styles, regions, keep, options, encoder)
    state = _load_checkpoint(Path(output), job) if resume and output is not None else None
    return _run(job, None if output is None else Path(output), None if preview is None else Path(preview), force, state)


def _load_checkpoint(output: Path, job: _Job) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = checkpoint_path(output)
    if not path.exists():
        raise CheckpointError(f"there is no interrupted run to resume at {path}; run without --resume.")
    tensors, values = load_state(path)
    for name in ("content", "styles", "regions", "keep", "options"):
        if values.get("record", {}).get(name) != json.loads(json.dumps(job.record.get(name))):
            raise CheckpointError(f"{path} is of a run with other {name}; expected the same pictures and settings.")
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
    finished = False
    try:
        for event in job.events(state):
            if isinstance(event, Step):
                last = event
                if preview and time.monotonic() >= due:
                    images.save(preview, job.result(event.image()), force=True)
                    yield Saved(preview, "preview")
                    due = time.monotonic() + PREVIEW_SECONDS
            if isinstance(event, Done):
                finished, last = True, None  # which holds on to memory that saving needs
                if preview:
                    images.save(preview, job.result(event.image), force=True)
                if output:
                    images.save(output, job.result(event.image), metadata=job.record, force=force or state is not None)
                    checkpoint_path(output).unlink(missing_ok=True)
                    yield Saved(output, "result")
            yield event
    finally:
        if last and output and not finished:
            _keep(job, output, last, force or state is not None)


def _keep(job: _Job, output: Path, last: Step, force: bool) -> None:
    """Write the picture so far and the state to go on from."""
    tensors, values = last.state()
    save_state(checkpoint_path(output), tensors, {**values, "record": job.record})
    images.save(output, job.result(last.image()), metadata={**job.record, "unfinished": last.step}, force=force)


def stylize(
    content: Source, style: Source | list[Source], options: StylizeOptions | None = None, **settings: Any
) -> Any:
    """Paint a photograph in the manner of a picture, and return it as the kind of thing `content` was.

    A path or PIL image gives a PIL image, an array `(H, W, 3)` an array of the same dtype, a tensor a
    tensor `(1, 3, H, W)`. Arguments are those of `iter_stylize`.

    >>> impasto.stylize("photo.jpg", "painting.jpg", size=768).save("out.png")  # doctest: +SKIP
    """
    image: Tensor | None = None
    for event in iter_stylize(content, style, options, **settings):
        if isinstance(event, Done):
            image = event.image
    assert image is not None
    return as_kind(content, image)


def as_kind(source: Source, image: Tensor, opened: Picture | None = None) -> Any:
    """Return a picture `(1, 3, H, W)` as the kind of thing that a source is: see `stylize`.

    Args:
        source: what was given.
        image: what became of it.
        opened: the source, if it was opened already.
    """
    if isinstance(source, Tensor):
        return image.to(source.device, source.dtype)
    if isinstance(source, np.ndarray):
        return _as_dtype(as_pixels(image), source.dtype)
    picture = opened or open_picture(source)
    return images.to_pil(replace(images.resize_to(picture, *image.shape[-2:]), pixels=as_pixels(image)))


def _as_dtype(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype in (np.uint8, np.uint16):
        return images.whole(pixels, 8 * dtype.itemsize)
    return pixels.astype(dtype)


# --- what a finished picture is good for ---------------------------------------------------------


def _record(picture: str | Path) -> dict[str, Any]:
    record = images.read_metadata(picture)
    if not record or record.get("operation") != "stylize":
        raise ImageError(f"{picture} does not carry the settings of a run; expected a picture made by impasto stylize.")
    if record["format"] > RECORD_FORMAT:
        raise ImageError(
            f"{picture} was made by impasto {record['version']}, which is newer; upgrade impasto to repeat it."
        )
    return record


def _embedded_source(origin: dict[str, str], what: str, picture: str | Path) -> str:
    """Return the file or name that a picture was made from, if it still is what it was."""
    source = origin["source"]
    if not source:
        raise ImageError(f"the {what} of {picture} came from memory; name a file for it.")
    path = Path(mask_file(source)) if what == "mask" else Path(source)
    if path.exists() and images.load(path).digest != origin["sha256"]:
        raise ImageError(f"{path} has changed since {picture} was made; put it back, or name the {what} to use.")
    return source


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
    """Repeat the run whose settings are embedded in a picture; the same version gives the same bytes on CPU.

    Args:
        picture: a result of `stylize`.
        output: the file to write; by default `<picture>-rerun.png` beside it.
        force: allow `output` to be overwritten.
        resume: go on from the checkpoint of an interrupted rerun.
        content: another photograph, or where the embedded one is now.
        styles: other styles, or where the embedded ones are now.
        settings: single settings in place of the embedded ones.

    Raises:
        ImageError: the picture carries no settings, or its sources are gone or have changed.
    """
    record = _record(picture)
    if content is None:
        content = _embedded_source(record["content"], "photograph", picture)
    if not styles:
        styles = [_embedded_source(origin, "style", picture) for origin in record["styles"]]
    regions = [
        (
            _embedded_source(part["mask"], "mask", picture),
            [_embedded_source(origin, "style", picture) for origin in part["styles"]],
        )
        for part in record.get("regions", ())
    ]
    keep = _embedded_source(record["keep"], "mask", picture) if "keep" in record else None
    options = StylizeOptions(**{**record["options"], **settings})
    if output is None:
        output = Path(picture).with_name(f"{Path(picture).stem}-rerun.png")
    return iter_stylize(
        content, list(styles), options, regions=regions, keep=keep, output=output, force=force, resume=resume
    )


def contact_sheet(
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
        strengths: what `options.style_weight` is multiplied with, a row each.
        style_scales: what `options.style_scale` is multiplied with, a column each.
        size: longer side of one preview.
        encoder: as in `iter_stylize`.
    """
    options = options or StylizeOptions()
    images.check_target(output, force)
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
    pixels = images.sheet(
        rows,
        row_labels=[f"style weight {options.style_weight * strength:g}" for strength in strengths],
        column_labels=[f"style scale {options.style_scale * scale:g}" for scale in style_scales],
    )
    images.save(output, images.load(pixels), force=force)
    yield Saved(Path(output), "sheet")
    yield Done(as_tensor(images.load(pixels)), steps, time.monotonic() - started)


def score_files(
    result: Source, content: Source | None = None, styles: Sequence[Source] | None = None, *, encoder: str = "vgg19"
) -> Score:
    """Measure a result against its photograph and styles, by default those embedded in it.

    Raises:
        ImageError: neither given nor embedded, or not readable.
    """
    picture = open_picture(result)
    if content is None or not styles:
        record = _record(result)
        content = content if content is not None else _embedded_source(record["content"], "photograph", result)
        styles = styles or [_embedded_source(origin, "style", result) for origin in record["styles"]]
    opened = [open_style(style, max(picture.pixels.shape[:2])) for style in styles]
    photograph = images.resize_to(open_picture(content), *picture.pixels.shape[:2])
    return score(
        as_tensor(picture), as_tensor(photograph), [as_tensor(style) for style in opened], load_encoder(encoder)
    )


def high_pass_picture(picture: Source, output: str | Path, *, force: bool = False) -> Path:
    """Write what is finer than a pixel's blur, around grey and four times as strong, to look at."""
    detail = 0.5 + 4 * high_pass(as_tensor(open_picture(picture)))
    return images.save(output, images.load(as_pixels(detail.clamp(0, 1))), force=force)
