"""Sheets of samples and the training progress of generators, as pictures and files.

`KINDS` has every kind of sheet: `latent_space` makes its pictures, and this module lays them out and writes them.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.data.arrays import Sets, SmallSet
from impasto.devices import find_device, with_own_defaults
from impasto.errors import FileExists, ImageError, ImpastoError, OptionError
from impasto.events import Done, Event, Note, Saved
from impasto.inference import latent_space
from impasto.inference.generator import Autoencoder, Generator
from impasto.inference.latent_space import Sheet
from impasto.inference.load import load_generator
from impasto.inference.options import SampleOptions
from impasto.io.animation import check_animation, save_animation
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import check_target, save_picture, to_pil
from impasto.io.files import check_folder
from impasto.io.formats import ANIMATIONS
from impasto.io.sheets import picture_sheet
from impasto.io.tensors import as_pixels
from impasto.metrics.precision_recall import nearest
from impasto.ops.pixels import as_floats, noisy
from impasto.reports.charts import PALETTE, Bars, Cloud, clouds
from impasto.reports.run_files import read_run, sheet_path

__all__ = ["KINDS", "default_output", "draw_sheets", "drawn", "iter_sample", "progress_frames", "sheet_image"]

_MARGIN = 4  # pixels between pictures
_CELL = 64  # pixels that pictures are enlarged to, by the largest integer factor that fits
_SECONDS = 0.7  # for each frame of an animation
_HELD_OUT = 100  # test pictures whose distance to the training set is compared with that of samples
_ENCODED = 2000  # pictures in a plot of embeddings, at most
_BATCH = 500  # samples that are written together
_STRIP = 12  # steps of a training below each other, at most


@with_own_defaults
def iter_sample(
    model: str | Path | Generator,
    options: SampleOptions = SampleOptions(),  # noqa: B008 - frozen
    *,
    output: str | Path | None = None,
    force: bool = False,
    write: bool = True,
) -> Iterator[Event]:
    """Yield Saved for each sheet, Notes with its caption, and Done with the last sheet.

    It checks files and options when it is called.

    Args:
        model: a generator or autoencoder: a loaded one, the file or folder of a training, or a name of the catalog.
        options: the kind of sheet and its settings.
        output: the file; for `kind="all"` and with `count` a folder. By default `default_output`, here.
        force: overwrite what is there.
        write: write files; False: only make the pictures.

    Raises:
        WeightsError: the model is missing, damaged, or no generator.
        OptionError: the model cannot do that: it has no encoder, or no classes.
        ImageError: the training set is needed and cannot be found, or has no labels; or the file cannot be written.
        FileExists: the file is there, or the folder is not empty.
    """
    SampleOptions.check(options)
    loaded = model if isinstance(model, Generator) else load_generator(model, device=find_device(options.device))
    every = options.kind == "all"
    latent_space.check_axes(options.axes, loaded.latent_size)
    target = Path(output) if output is not None else default_output(loaded, options)
    if options.count is not None:
        if not write:
            raise OptionError("count writes single pictures; expected a folder for them as output.")
        _check_folder(target, force)
        return _singles(_Work(loaded, options), options.count, target)
    if not write:
        return _events(_Work(loaded, options), None, every, force)
    if every:
        _check_folder(target, force)
    elif options.kind == "progress":
        check_animation(target, force)
    else:
        check_target(target, force)
    return _events(_Work(loaded, options), target, every, force)


def sheet_image(model: Generator, kind: str, *, data: str | Path | Sets | None = None, **settings: Any) -> Any:
    """Return a sheet as a PIL image; see `Generator.show`.

    Args:
        model: a generator or autoencoder of pictures.
        kind: one of `KINDS`; of progress the strip.
        data: the training set, if it is not where it was.
        settings: other settings of `SampleOptions`.

    Raises:
        OptionError: the model cannot do that, or a setting is out of range.
        ImageError: the training set is needed and cannot be found.
    """
    options = SampleOptions(kind=kind, **settings)
    if options.kind == "all":
        raise OptionError(f"kind is 'all'; expected one kind: {', '.join(KINDS)}.")
    return to_pil(load_picture(_pixels(KINDS[options.kind](_Work(model, options, data)))))


def _pixels(shown: "Sheet | Plot | Progress") -> NDArray[np.float32]:
    """Return what is shown as one picture, `(H, W, 3)` in [0, 1]."""
    if isinstance(shown, Progress):
        return shown.strip()
    return shown.pixels if isinstance(shown, Plot) else drawn(shown)


def draw_sheets(
    run: str | Path, *, pictures: str | Path | Sets | None = None, device: str = "auto"
) -> Iterator[Note | Saved]:
    """Yield Saved for each sheet of a run's report that does not exist yet; Notes on those that cannot be drawn.

    They are a few of `KINDS`, the most important ones for such a network, in the run's `figures/`. Problems with the
    network or the pictures become Notes.

    Args:
        run: the folder of a training; of one that has not ended, or of another kind, nothing is drawn.
        pictures: the training set, if it is not where it was.
        device: of the network.

    Raises:
        CheckpointError: there is no run.
    """
    read = read_run(run)
    if not read.lacking:
        return
    failed: dict[str, list[str]] = {}
    try:
        model = load_generator(read.path, device=find_device(device))
        work = _Work(model, SampleOptions(kind="all", device=device), pictures)
    except (ImpastoError, OSError, RuntimeError) as error:
        failed[_reason(error)] = list(read.lacking)
    else:
        for kind in read.lacking:
            path = sheet_path(read.path, kind)
            try:
                shown = KINDS[kind](work)
                work.save(kind, shown, path, True)
            except (ImpastoError, OSError, RuntimeError) as error:
                failed.setdefault(_reason(error), []).append(kind)
            else:
                yield Saved(path, "figure")
    for reason, kinds in failed.items():
        yield Note(f"the report has no sheet of {', '.join(kinds)}: {reason}")


def _reason(error: Exception) -> str:
    """Return the first line of an error; torch's about memory has many."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")


def default_output(model: Generator, options: SampleOptions) -> Path:
    """Return a name for the result: vae_grid.png for the run vae, progress as .webp; for folders vae_samples."""
    path = model.path or Path(model.name or model.kind)
    name = path.absolute().parent.name if path.stem in ("model", "checkpoint") else path.stem
    if options.kind == "all" or options.count is not None:
        return Path(f"{name}_samples")
    return Path(f"{name}_{options.kind}{'.webp' if options.kind == 'progress' else '.png'}")


def _check_folder(target: Path, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise OptionError(f"{target} is a file; expected a folder for sheets of all kinds.")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise FileExists(f"{target} is not empty; pass --force to overwrite what is in it, or -o for another folder.")
    check_folder(target)


def _singles(work: "_Work", count: int, folder: Path) -> Iterator[Event]:
    """Write random samples into a folder, one file each."""
    started, model, classes = time.monotonic(), work.model, work.classes()
    yield from map(Note, model.notes)
    latents = torch.split(model.draw(count, work.random), _BATCH)
    labels = torch.tensor([classes[index % len(classes)] for index in range(count)]) if classes else None
    parts = [None] * len(latents) if labels is None else torch.split(labels, _BATCH)
    pixels, done = torch.zeros(1, 3, 1, 1), 0
    for part, label in zip(latents, parts, strict=True):
        for picture in model.decode(part, label).float().cpu().expand(-1, 3, -1, -1):
            pixels = picture[None].clamp(0, 1)
            save_picture(folder / f"{done:0{len(str(count - 1))}}.png", load_picture(as_pixels(pixels)), force=True)
            done += 1
    yield Note(f"{count:,} random samples, latent size {model.latent_size}")
    yield Saved(folder, "sheet")
    yield Done(pixels, count, time.monotonic() - started, "sample")


def _events(work: "_Work", target: Path | None, every: bool, force: bool) -> Iterator[Event]:
    started, done = time.monotonic(), 0
    yield from map(Note, work.model.notes)
    last = torch.zeros(1, 3, 1, 1)
    for kind in KINDS if every else (work.options.kind,):
        try:
            shown = KINDS[kind](work)
        except ImpastoError as error:
            if not every:
                raise
            yield Note(f"no {kind}: {str(error).rstrip('.')}")
            continue
        last, done = torch.from_numpy(_pixels(shown)).permute(2, 0, 1)[None], done + 1
        told = _told(shown)
        yield Note(f"{kind}: {told}" if every else told)
        if target is not None:
            path = target / f"{kind}{'.webp' if kind == 'progress' else '.png'}" if every else target
            work.save(kind, shown, path, force)
            yield Saved(path, "sheet")
    if not done:
        raise OptionError(f"no kind of sheet can be made of {work.model.path}; name the training set by --pictures.")
    yield Done(last, done, time.monotonic() - started, "sheet")


def _told(sheet: "Sheet | Plot | Progress") -> str:
    """Return the caption and the measurements."""
    told = sheet.told
    facts = []
    if "given_mse" in told:
        facts.append(f"MSE {told['given_mse']:.4f} of the noisy inputs, {told['mse']:.4f} of the reconstructions")
    elif "mse" in told:
        facts.append(f"MSE {told['mse']:.4f}")
    if "nearest" in told:
        held = f", of held-out pictures {told['held']:.3f}" if "held" in told else ""
        facts.append(f"median distance {told['nearest']:.3f}{held}; {told['copies']:g} look like copies")
    if "variance" in told:
        facts.append(f"this plane explains {told['variance']:.0%} of the variance")
    if "kl" in told:
        used = f"{told['active']:g} of {told['latent']:g} latent dimensions are active"
        facts.append(f"KL {told['kl']:.2f} nats in total, {used}")
    return "; ".join([sheet.caption, *facts])


def drawn(sheet: Sheet) -> NDArray[np.float32]:
    """Return a sheet as one picture, `(H, W, 3)` in [0, 1], its pictures enlarged by integer factors."""
    rows = []
    for row in sheet.cells:
        row = row.float().cpu()
        factor = max(1, _CELL // max(row.shape[-2:]))
        row = row.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        rows.append([cell.permute(1, 2, 0).numpy() for cell in row.expand(-1, 3, -1, -1).clamp(0, 1)])
    return picture_sheet(rows, row_labels=sheet.rows, column_labels=sheet.columns, margin=_MARGIN, text_size=13)


# --- kinds of sheets ----------------------------------------------------------------------------


class _Work:
    """A generator, the options of a sheet, and the training set."""

    def __init__(self, model: Generator, options: SampleOptions, pictures: str | Path | Sets | None = None) -> None:
        self.model, self.options, self.pictures = model, options, pictures or options.pictures

    @cached_property
    def sets(self) -> Sets:
        return self.model.sets(self.pictures)

    @property
    def random(self) -> torch.Generator:
        """Random numbers, the same for every kind."""
        return torch.Generator().manual_seed(self.options.seed)

    def rows(self, default: int) -> int:
        return self.options.rows or default

    def columns(self, default: int) -> int:
        return self.options.columns or default

    @property
    def test(self) -> bool:
        """Whether codes are those of test pictures."""
        able = isinstance(self.model, Autoencoder)
        if self.options.ends == "test" and not able:
            raise OptionError(f"{self.model.path} has no encoder; use --ends drawn.")
        return self.options.ends == "test" or (self.options.ends == "auto" and able)

    @property
    def autoencoder(self) -> Autoencoder:
        """The model, if it has an encoder."""
        if not isinstance(self.model, Autoencoder):
            raise OptionError(f"{self.model.path} has no encoder; this kind needs an autoencoder or a VAE.")
        return self.model

    def classes(self) -> tuple[int, ...]:
        """The classes to show; () for a network that is not class-conditional."""
        if not self.model.classes:
            if self.options.classes and self.options.kind != "all":
                raise OptionError(f"{self.model.path} is not class-conditional; leave out --classes.")
            return ()
        return tuple(map(self.model.class_index, self.options.classes)) or tuple(range(self.model.classes))

    def encode(self, small: SmallSet) -> Tensor:
        """Return the latent codes of all pictures of a set."""
        return self.autoencoder.encode(small.images, _labels(small) if self.model.classes else None)

    def chosen(self, count: int, of: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Return random test pictures `(count, C, H, W)` in [0, 1], and labels if they are needed."""
        test = self.sets.test
        labels = _labels(test) if self.model.classes or of is not None else None
        order = torch.randperm(len(test), generator=self.random)
        if of is not None and labels is not None:
            order = order[labels[order] == of]
            if not len(order):
                raise OptionError(
                    f"the test set has no picture of class {self.model.class_name(of)}; name another by --classes."
                )
        order = order[:count]
        return as_floats(test.images[order].cpu()), None if labels is None else labels[order]

    def save(self, kind: str, sheet: "Sheet | Plot | Progress", path: Path, force: bool) -> None:
        """Write a sheet with its record; of progress an animation, if the suffix is of one."""
        if isinstance(sheet, Progress) and path.suffix.lower() in ANIMATIONS:
            save_animation(path, sheet.animation(), seconds=_SECONDS, force=force)
        else:
            save_picture(path, load_picture(_pixels(sheet)), metadata=self.record(kind, sheet), force=force)

    def record(self, kind: str, sheet: "Sheet | Plot | Progress") -> dict[str, Any]:
        """Return the metadata in a sheet's file."""
        return {
            "format": 1,
            "operation": "sample",
            "version": version("impasto"),
            "model": str(self.model.path),
            "sha256": self.model.sha256 or None,
            "kind": kind,
            "caption": sheet.caption,
            "text": _told(sheet),
            "told": sheet.told,
            "options": self.options.model_dump(mode="json"),
        }


def _labels(small: SmallSet) -> Tensor:
    if small.labels is None:
        raise OptionError(
            "the pictures have no labels; expected an .npz file with labels, IDX files with labels, or a folder for "
            "each class."
        )
    return small.labels.cpu()


def _grid(work: _Work) -> Sheet:
    return latent_space.grid(work.model, work.rows(8), work.columns(10), work.random, work.classes())


def _interpolation(work: _Work) -> Sheet:
    model, count, columns, classes = work.model, work.rows(6), work.columns(11), work.classes()
    labels = torch.tensor([classes[row % len(classes)] for row in range(count)]) if classes else None
    if not work.test:
        first, second = model.draw(2 * count, work.random).chunk(2)
        return latent_space.interpolation(model, first, second, columns, path=work.options.path, labels=labels)
    if labels is None:
        shown = work.chosen(2 * count)[0]
    else:
        pairs = {one: work.chosen(2 * count, one)[0] for one in set(labels.tolist())}
        used = dict.fromkeys(pairs, 0)
        some = []
        for one in labels.tolist():
            some.append(pairs[one][torch.arange(used[one], used[one] + 2) % len(pairs[one])])
            used[one] += 2
        shown = torch.cat(some)
    sides = shown[0 : len(shown) // 2 * 2 : 2], shown[1::2]
    labels = None if labels is None else labels[: len(sides[0])]
    first, second = (work.autoencoder.encode(side, labels) for side in sides)
    return latent_space.interpolation(
        model, first, second, columns, path=work.options.path, labels=labels, pictures=sides
    )


def _manifold(work: _Work) -> Sheet:
    model, options = work.model, work.options
    spread = isinstance(model, Autoencoder) and model.latent_size > 2 and not options.axes
    codes = work.encode(work.sets.test) if spread else None
    classes = work.classes()
    label = classes[0] if classes else None
    rows, columns = work.rows(16), work.columns(16)
    return latent_space.manifold(model, rows, columns, work.random, codes=codes, axes=options.axes, label=label)


def _traversal(work: _Work) -> Sheet:
    classes = work.classes()
    label = classes[0] if classes else None
    if work.test:
        picture, labels = work.chosen(1, label)
        base = work.autoencoder.encode(picture, labels if work.model.classes else None)[0]
    else:
        base = work.model.draw(1, work.random)[0]
    return latent_space.traversal(work.model, base, work.rows(10), work.columns(13), label)


def _arithmetic(work: _Work) -> Sheet:
    model, options = work.autoencoder, work.options
    if model.classes:
        classes = work.classes()
        pictures, labels = work.chosen(work.rows(8))
        return latent_space.analogies(model, pictures, torch.empty(0) if labels is None else labels, classes)
    train = work.sets.train
    labels = _labels(train)
    known = sorted(set(labels.tolist()))
    given = tuple(map(model.class_index, options.classes)) if len(options.classes) in (2, 3) else ()
    if len(known) < 2:
        raise OptionError(f"all pictures are of class {known[0]}; arithmetic needs two classes or more.")
    a, b, c = ((given[0], *given) if len(given) == 2 else given) or (known[0], known[0], known[1])
    means = latent_space.class_means(work.encode(train), labels, (a, b, c))
    average = train.images[labels == a].double().mean(0).div(255).float()
    pictures, _ = work.chosen(work.rows(5), a)
    return latent_space.arithmetic(model, means, (a, b, c), pictures, work.columns(7), average)


def _reconstructions(work: _Work) -> Sheet:
    pictures, labels = work.chosen(work.columns(10))
    std = float(work.model.option("noise", 0) or 0)
    given = noisy(pictures, torch.randn(pictures.shape, generator=work.random), std) if std else None
    return latent_space.reconstructions(work.autoencoder, pictures, labels if work.model.classes else None, given)


def _nearest(work: _Work) -> Sheet:
    model, count = work.model, work.columns(10)
    classes = work.classes()
    labels = torch.tensor([classes[index % len(classes)] for index in range(count)]) if classes else None
    samples = model.decode(model.draw(count, work.random), labels)
    sheet = latent_space.nearest_neighbors(samples, work.sets.train.images, work.rows(2))
    held = work.sets.test.images[:_HELD_OUT].cpu()
    sheet.told["held"] = float(nearest(held, work.sets.train.images.cpu())[0].median())
    return sheet


@dataclass(frozen=True, eq=False)
class Plot:
    """A chart, `(H, W, 3)` in [0, 1], with caption and measurements as a `Sheet` has them."""

    pixels: NDArray[np.float32]
    caption: str
    told: dict[str, float]


def _embeddings(work: _Work) -> Plot:
    model, test = work.autoencoder, work.sets.test
    some = torch.randperm(len(test), generator=work.random)[:_ENCODED]
    labels = None if test.labels is None else test.labels.cpu()[some]
    found = latent_space.embeddings(model, test.images.cpu()[some], labels if model.classes else None)
    groups, points = _by_class(model, labels, len(some)), found.positions
    rows = model.latent_size == 1
    if rows:  # points of a row get different heights, or they would cover each other
        lines = torch.zeros(len(some), 1)
        for row, (_, mine) in enumerate(groups):
            lines[mine, 0] = row + 0.7 * (torch.arange(1, len(mine) + 1) * 0.618034 % 1 - 0.5)
        points = torch.cat([points, lines], 1)
    caption, bars = found.caption, None
    if len(groups) > 1:
        caption += ", colored by class"
    if found.kl is not None:
        form = "lines" if rows else "circles"
        caption += f"; {form}: 1, 2 and 3 standard deviations of the prior"
        order = found.kl.argsort(descending=True)
        bars = Bars(
            "KL of each latent dimension, nats" + ("" if bool(found.used.all()) else "; gray: not active"),
            [str(dimension + 1) for dimension in order.tolist()],
            found.kl[order].tolist(),
            found.used[order].tolist(),
        )
        caption += "; on the right, the KL divergence of each dimension"
    up = found.axes[1] if not rows else "class" if len(groups) > 1 else ""
    pixels = clouds(
        [Cloud(name, [(x, y) for x, y in points[mine].tolist()]) for name, mine in groups],
        found.axes[0],
        up,
        rings=(1, 2, 3) if found.kl is not None else (),
        rows=rows,
        bars=bars,
    )
    return Plot(pixels, caption, found.told)


def _by_class(model: Generator, labels: Tensor | None, count: int) -> list[tuple[str, Tensor]]:
    """Return names of classes with the indices of their pictures; beyond the palette the rarest are one group."""
    if labels is None:
        return [("", torch.arange(count))]
    counts = Counter(sorted(labels.tolist()))
    known = sorted(one for one, _ in counts.most_common(len(PALETTE)))
    groups = [(model.class_name(one), (labels == one).nonzero().flatten()) for one in known]
    rest = (~torch.isin(labels, torch.tensor(known))).nonzero().flatten()
    return [*groups, (f"{len(counts) - len(known)} others", rest)] if len(rest) else groups


# --- training progress ----------------------------------------------------------------------------


class Progress:
    """The previews of a training in their order.

    Attributes:
        frames: of each preview its step, its label, and its pictures, cut out of the preview: `[row][column]` arrays
            `(h, w, 3)`.
        caption: a sentence without a full stop.
        told: {}: nothing is measured.
        columns: pictures of a row in a strip.
    """

    told: ClassVar[dict[str, float]] = {}

    def __init__(self, frames: list[tuple[int, str, list[list[NDArray[np.float32]]]]], columns: int) -> None:
        self.frames, self.columns = frames, columns
        self.caption = f"{len(frames)} previews of the training, {frames[0][1]} to {frames[-1][1]}"

    def strip(self) -> NDArray[np.float32]:
        """Return the last row of some previews below each other, as one picture `(H, W, 3)`."""
        count = min(_STRIP, len(self.frames))
        shown = [self.frames[round(index)] for index in np.linspace(0, len(self.frames) - 1, count)]
        return picture_sheet(
            [cells[-1][: self.columns] for _, _, cells in shown],
            row_labels=[name for _, name, _ in shown],
            margin=_MARGIN,
            text_size=13,
        )

    def animation(self) -> list[NDArray[np.float32]]:
        """Return each preview as one picture with its label."""
        return [
            picture_sheet([[picture_sheet(cells, margin=_MARGIN)]], column_labels=[name], margin=_MARGIN)
            for _, name, cells in self.frames
        ]


def _progress(work: _Work) -> Progress:
    return Progress(progress_frames(work.model), work.columns(10))


def progress_frames(model: Generator) -> list[tuple[int, str, list[list[NDArray[np.float32]]]]]:
    """Return the previews of a training: those of its options, or else all; see `Progress`.

    Raises:
        OptionError: there are none beside the model's file.
    """
    folder = (model.path or Path()).parent / "previews"
    steps, epochs = list(model.option("preview_steps", None) or []), list(model.option("progress_epochs", None) or [])
    found = {}
    for path in sorted(folder.glob("*.jpg")):
        layout = read_metadata(path) or {}
        if {"step", "rows", "columns", "margin"} <= layout.keys():
            found[int(layout["step"])] = (path, layout)
    if not found:
        raise OptionError(f"{folder} holds no previews of a training; expected a model in the folder of its training.")
    kept = [step for step in found if step in steps or step == max(found)] if steps else list(found)
    rate = epochs[-1] / steps[-1] if steps and len(steps) == len(epochs) else 0.0
    return [(step, _label(step, rate), _cut(*found[step])) for step in kept]


def _label(step: int, rate: float) -> str:
    if not rate:
        return f"step {step}"
    epochs = float(f"{step * rate:.2g}")
    return f"{epochs:g} epoch{'s' * (epochs != 1)}"


def _cut(path: Path, layout: dict[str, Any]) -> list[list[NDArray[np.float32]]]:
    """Return the pictures of a preview, `[row][column]`."""
    picture, margin = load_picture(path), int(layout["margin"])
    rows, columns = int(layout["rows"]), int(layout["columns"])
    (high, wide), pixels = picture.size, picture.pixels
    height, width = (high - margin) // rows - margin, (wide - margin) // columns - margin
    if min(height, width) < 1:
        raise ImageError(f"{path} is no preview of {rows}×{columns} pictures; train the network again.")
    return [
        [
            pixels[top : top + height, left : left + width]
            for left in range(margin, columns * (width + margin), width + margin)
        ]
        for top in range(margin, rows * (height + margin), height + margin)
    ]


KINDS: dict[str, Callable[[_Work], Sheet | Plot | Progress]] = {
    "grid": _grid,
    "interpolation": _interpolation,
    "manifold": _manifold,
    "traversal": _traversal,
    "arithmetic": _arithmetic,
    "reconstructions": _reconstructions,
    "nearest": _nearest,
    "embeddings": _embeddings,
    "progress": _progress,
}
