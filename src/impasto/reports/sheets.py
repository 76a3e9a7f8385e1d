"""What a network of small pictures makes, as sheets and films in files.

`KINDS` says what there is to see; each is drawn by `atlas`, laid out here, and written by `images`.
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

from impasto.checkpoints.weights import sha256
from impasto.data.arrays import Sets, SmallSet
from impasto.devices import find_device
from impasto.errors import FileExists, ImageError, ImpastoError, OptionError
from impasto.events import Done, Event, Note, Saved
from impasto.inference import latent_space
from impasto.inference.generator import Maker, load_maker
from impasto.inference.latent_space import Sheet
from impasto.inference.options import SampleOptions
from impasto.io.animation import check_animation, save_animation
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import check_target, save_picture
from impasto.io.formats import ANIMATIONS
from impasto.io.sheets import picture_sheet
from impasto.metrics.precision_recall import nearest
from impasto.ops.pixels import as_floats, noisy
from impasto.reports.charts import PALETTE, Bars, Cloud, clouds
from impasto.reports.page import FIGURES, read_run, sheet_path

__all__ = ["KINDS", "default_output", "draw_sheets", "drawn", "film_frames", "iter_sample"]

_MARGIN = 4  # pixels between pictures
_CELL = 64  # pictures are enlarged to this by a whole factor, if one makes them no larger
_SECONDS = 0.7  # that a picture of a film is shown
_PLACE = 100  # made pictures, and held-out ones, whose distance to the training set is compared
_READ = 2000  # pictures whose numbers are shown, at most
_STRIP = 12  # moments of a training that are shown below each other, at most


def iter_sample(
    model: str | Path | Maker,
    options: SampleOptions = SampleOptions(),  # noqa: B008 - frozen
    *,
    output: str | Path | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Yield Saved for each sheet, Notes that say what is on it, and Done, with the last sheet.

    Everything about files and options is checked when this is called.

    Args:
        model: what a training of `impasto train autoencoder`, `vae`, `gan` or `dcgan` left, a file or folder; a name of
            `impasto models`; or one that is loaded.
        options: what is shown.
        output: the file; for `kind="all"` a folder. By default `default_output`, here.
        force: overwrite what is there.

    Raises:
        WeightsError: the model is missing, damaged, or of another kind.
        OptionError: it cannot do what is asked: it reads no pictures, or knows no classes.
        ImageError: a set of pictures is needed and cannot be found, or has no labels; or the file cannot be written.
        FileExists: the file is there, or the folder is not empty.
    """
    SampleOptions.check(options)
    maker = model if isinstance(model, Maker) else load_maker(model, device=find_device(options.device))
    every = options.kind == "all"
    target = Path(output) if output is not None else default_output(maker, options)
    if every:
        _check_folder(target, force)
    elif options.kind == "film":
        check_animation(target, force)
    else:
        check_target(target, force)
    return _events(_Work(maker, options), target, every, force)


def draw_sheets(
    run: str | Path, *, pictures: str | Path | Sets | None = None, device: str = "auto"
) -> Iterator[Note | Saved]:
    """Yield Saved for each sheet that a run's report shows and that is not there yet; Notes on what cannot be drawn.

    They are a few of `KINDS`, those that tell most of such a network, and lie in the run's `figures/`. Nothing that is
    wrong with the network or the pictures is an error here.

    Args:
        run: the folder of a training; if it has not ended, or was of another kind, nothing is drawn.
        pictures: the set, if it is not where it was.
        device: where the network computes.

    Raises:
        CheckpointError: there is no run.
    """
    read = read_run(run)
    if not read.lacking:
        return
    failed: dict[str, list[str]] = {}
    try:
        maker = load_maker(read.path, device=find_device(device))
        work = _Work(maker, SampleOptions(kind="all", device=device), pictures)
        (read.path / FIGURES).mkdir(exist_ok=True)
    except (ImpastoError, OSError, RuntimeError) as error:
        failed[_reason(error)] = list(read.lacking)
    else:
        for kind in read.lacking:
            path = sheet_path(read.path, kind)
            try:
                shown = KINDS[kind](work)
                assert not isinstance(shown, Film)
                work.save(kind, shown, path, True)
            except (ImpastoError, OSError, RuntimeError) as error:
                failed.setdefault(_reason(error), []).append(kind)
            else:
                yield Saved(path, "figure")
    for reason, kinds in failed.items():
        yield Note(f"the report has no sheet of {', '.join(kinds)}: {reason}")


def _reason(error: Exception) -> str:
    """Return what is wrong, on one line; what torch says of its memory has many."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")


def default_output(maker: Maker, options: SampleOptions) -> Path:
    """Return a name for the result: vae_grid.png for the run vae, a film as .webp; for all kinds vae_samples."""
    path = maker.path
    name = path.absolute().parent.name if path.stem == "model" else path.stem
    if options.kind == "all":
        return Path(f"{name}_samples")
    return Path(f"{name}_{options.kind}{'.webp' if options.kind == 'film' else '.png'}")


def _check_folder(target: Path, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise OptionError(f"{target} is a file; expected a folder for sheets of all kinds.")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise FileExists(f"{target} is not empty; pass --force to overwrite what is in it, or -o for another folder.")
    if not target.absolute().parent.is_dir():
        raise ImageError(f"{target} cannot be made: there is no folder {target.parent}. Make it first.")


def _events(work: "_Work", target: Path, every: bool, force: bool) -> Iterator[Event]:
    started, done = time.monotonic(), 0
    last = torch.zeros(1, 3, 1, 1)
    for kind in KINDS if every else (work.options.kind,):
        try:
            shown = KINDS[kind](work)
        except ImpastoError as error:
            if not every:
                raise
            yield Note(f"no {kind}: {str(error).rstrip('.')}")
            continue
        path = target / f"{kind}{'.webp' if kind == 'film' else '.png'}" if every else target
        path.parent.mkdir(exist_ok=True)
        if isinstance(shown, Film):
            told, pixels = shown.caption, shown.save(path, force, work.record(kind, shown))
        else:
            told, pixels = _told(shown), work.save(kind, shown, path, force)
        last, done = torch.from_numpy(pixels).permute(2, 0, 1)[None], done + 1
        yield Note(f"{kind}: {told}" if every else told)
        yield Saved(path, "sheet")
    if not done:
        raise OptionError(f"{work.maker.path} can show nothing; expected a set of pictures, by --pictures.")
    yield Done(last, done, time.monotonic() - started, "sheet")


def _told(sheet: "Sheet | Plot | Film") -> str:
    """Return the caption, and what was measured."""
    told = sheet.told
    facts = []
    if "given_mse" in told:
        facts.append(f"MSE {told['given_mse']:.4f} before and {told['mse']:.4f} after")
    elif "mse" in told:
        facts.append(f"MSE {told['mse']:.4f}")
    if "nearest" in told:
        held = f", of held-out ones {told['held']:.3f}" if "held" in told else ""
        facts.append(f"median distance {told['nearest']:.3f}{held}; {told['copies']:g} look like copies")
    if "variance" in told:
        facts.append(f"{told['variance']:.0%} of the variance is in this plane")
    if "kl" in told:
        used = f"{told['active']:g} of {told['latent']:g} numbers are used"
        facts.append(f"KL {told['kl']:.2f} nats in all, {used}")
    return "; ".join([sheet.caption, *facts])


def drawn(sheet: Sheet) -> NDArray[np.float32]:
    """Return a sheet as one picture, `(H, W, 3)` in [0, 1], its pictures enlarged by whole factors."""
    rows = []
    for row in sheet.cells:
        row = row.float().cpu()
        factor = max(1, _CELL // max(row.shape[-2:]))
        row = row.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        rows.append([cell.permute(1, 2, 0).numpy() for cell in row.expand(-1, 3, -1, -1).clamp(0, 1)])
    return picture_sheet(rows, row_labels=sheet.rows, column_labels=sheet.columns, margin=_MARGIN, text_size=13)


# --- what there is to see -----------------------------------------------------------------------


class _Work:
    """A network, what is asked of it, and what it learned from."""

    def __init__(self, maker: Maker, options: SampleOptions, pictures: str | Path | Sets | None = None) -> None:
        self.maker, self.options, self.pictures = maker, options, pictures or options.pictures

    @cached_property
    def sets(self) -> Sets:
        return self.maker.sets(self.pictures)

    @property
    def random(self) -> torch.Generator:
        """The same chance for every kind."""
        return torch.Generator().manual_seed(self.options.seed)

    def rows(self, usual: int) -> int:
        return self.options.rows or usual

    def columns(self, usual: int) -> int:
        return self.options.columns or usual

    @property
    def test(self) -> bool:
        """Whether numbers are those of test pictures."""
        if self.options.ends == "test" and not self.maker.reads:
            raise OptionError(f"{self.maker.path} cannot read pictures; use --ends drawn.")
        return self.options.ends == "test" or (self.options.ends == "auto" and self.maker.reads)

    def classes(self) -> tuple[int, ...]:
        """Which classes are asked for; () of a network that knows none."""
        if not self.maker.classes:
            if self.options.classes and self.options.kind != "all":
                raise OptionError(f"{self.maker.path} knows no classes; leave out --classes.")
            return ()
        return tuple(map(self.maker.label, self.options.classes)) or tuple(range(self.maker.classes))

    def read(self, small: SmallSet) -> Tensor:
        """Return the numbers of all pictures of a set."""
        return self.maker.encode(small.images, _labels(small) if self.maker.classes else None)

    def chosen(self, count: int, of: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Return test pictures `(count, C, H, W)` in [0, 1], drawn by the seed, and labels if they are needed."""
        test = self.sets.test
        labels = _labels(test) if self.maker.classes or of is not None else None
        order = torch.randperm(len(test), generator=self.random)
        if of is not None and labels is not None:
            order = order[labels[order] == of]
            if not len(order):
                raise OptionError(f"no test picture is of class {self.maker.called(of)}; name another by --classes.")
        order = order[:count]
        return as_floats(test.images[order].cpu()), None if labels is None else labels[order]

    def save(self, kind: str, sheet: "Sheet | Plot", path: Path, force: bool) -> NDArray[np.float32]:
        """Write a sheet, with what its file says about it; return it as one picture."""
        pixels = sheet.pixels if isinstance(sheet, Plot) else drawn(sheet)
        save_picture(path, load_picture(pixels), metadata=self.record(kind, sheet), force=force)
        return pixels

    def record(self, kind: str, sheet: "Sheet | Plot | Film") -> dict[str, Any]:
        """Return what a sheet's file says about it."""
        return {
            "format": 1,
            "operation": "sample",
            "version": version("impasto"),
            "model": str(self.maker.path),
            "sha256": sha256(self.maker.path) if self.maker.path.is_file() else None,
            "kind": kind,
            "caption": sheet.caption,
            "text": _told(sheet),
            "told": sheet.told,
            "options": self.options.model_dump(mode="json"),
        }


def _labels(small: SmallSet) -> Tensor:
    if small.labels is None:
        raise OptionError(
            "the pictures have no labels; expected an .npz file with labels, IDX files with theirs, or a folder for "
            "each class."
        )
    return small.labels.cpu()


def _grid(work: _Work) -> Sheet:
    return latent_space.grid(work.maker, work.rows(8), work.columns(10), work.random, work.classes())


def _interpolation(work: _Work) -> Sheet:
    maker, count, columns, classes = work.maker, work.rows(6), work.columns(11), work.classes()
    labels = torch.tensor([classes[row % len(classes)] for row in range(count)]) if classes else None
    if not work.test:
        first, second = maker.draw(2 * count, work.random).chunk(2)
        return latent_space.interpolation(maker, first, second, columns, path=work.options.path, labels=labels)
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
    first, second = (maker.encode(side, labels) for side in sides)
    return latent_space.interpolation(
        maker, first, second, columns, path=work.options.path, labels=labels, pictures=sides
    )


def _manifold(work: _Work) -> Sheet:
    maker, options = work.maker, work.options
    codes = work.read(work.sets.test) if maker.reads and maker.latent > 2 and not options.axes else None
    classes = work.classes()
    label = classes[0] if classes else None
    rows, columns = work.rows(16), work.columns(16)
    return latent_space.manifold(maker, rows, columns, work.random, codes=codes, axes=options.axes, label=label)


def _traversal(work: _Work) -> Sheet:
    classes = work.classes()
    label = classes[0] if classes else None
    if work.test:
        picture, labels = work.chosen(1, label)
        base = work.maker.encode(picture, labels if work.maker.classes else None)[0]
    else:
        base = work.maker.draw(1, work.random)[0]
    return latent_space.traversal(work.maker, base, work.rows(10), work.columns(13), label)


def _arithmetic(work: _Work) -> Sheet:
    maker, options = work.maker, work.options
    if not maker.reads:
        raise OptionError(f"{maker.path} cannot read pictures; arithmetic needs an autoencoder or a VAE.")
    if maker.classes:
        classes = work.classes()
        pictures, labels = work.chosen(work.rows(8))
        return latent_space.analogies(maker, pictures, torch.empty(0) if labels is None else labels, classes)
    train = work.sets.train
    labels = _labels(train)
    known = sorted(set(labels.tolist()))
    given = tuple(map(maker.label, options.classes)) if len(options.classes) in (2, 3) else ()
    if len(known) < 2:
        raise OptionError(f"all pictures are of class {known[0]}; arithmetic needs two classes at least.")
    a, b, c = ((given[0], *given) if len(given) == 2 else given) or (known[0], known[0], known[1])
    means = latent_space.class_means(work.read(train), labels, (a, b, c))
    average = train.images[labels == a].double().mean(0).div(255).float()
    pictures, _ = work.chosen(work.rows(5), a)
    return latent_space.arithmetic(maker, means, (a, b, c), pictures, work.columns(7), average)


def _reconstructions(work: _Work) -> Sheet:
    pictures, labels = work.chosen(work.columns(10))
    deviation = float(work.maker.header.get("options", {}).get("noise") or 0)
    given = noisy(pictures, torch.randn(pictures.shape, generator=work.random), deviation) if deviation else None
    return latent_space.reconstructions(work.maker, pictures, labels if work.maker.classes else None, given)


def _nearest(work: _Work) -> Sheet:
    maker, count = work.maker, work.columns(10)
    classes = work.classes()
    labels = torch.tensor([classes[index % len(classes)] for index in range(count)]) if classes else None
    made = maker.make(maker.draw(count, work.random), labels)
    sheet = latent_space.copies(made, work.sets.train.images, work.rows(2))
    held = work.sets.test.images[:_PLACE].cpu()
    sheet.told["held"] = float(nearest(held, work.sets.train.images.cpu())[0].median())
    return sheet


@dataclass(frozen=True, eq=False)
class Plot:
    """A drawing, `(H, W, 3)` in [0, 1], with what a `Sheet` has beside its pictures."""

    pixels: NDArray[np.float32]
    caption: str
    told: dict[str, float]


def _codes(work: _Work) -> Plot:
    maker, test = work.maker, work.sets.test
    some = torch.randperm(len(test), generator=work.random)[:_READ]
    labels = None if test.labels is None else test.labels.cpu()[some]
    found = latent_space.codes(maker, test.images.cpu()[some], labels if maker.classes else None)
    kinds, points = _by_class(maker, labels, len(some)), found.places
    rows = maker.latent == 1
    if rows:  # points of a row are spread up and down, evenly, so that they are seen
        lines = torch.zeros(len(some), 1)
        for row, (_, mine) in enumerate(kinds):
            lines[mine, 0] = row + 0.7 * (torch.arange(1, len(mine) + 1) * 0.618034 % 1 - 0.5)
        points = torch.cat([points, lines], 1)
    caption, bars = found.caption, None
    if len(kinds) > 1:
        caption += ", colored by class"
    if found.kl is not None:
        form = "lines" if rows else "circles"
        caption += f"; {form}: 1, 2 and 3 deviations of the Gaussian that numbers are drawn from"
        order = found.kl.argsort(descending=True)
        bars = Bars(
            "KL of each number, nats" if bool(found.used.all()) else "KL of each number, nats; gray: not used",
            [str(number + 1) for number in order.tolist()],
            found.kl[order].tolist(),
            found.used[order].tolist(),
        )
        caption += "; on the right, what each number tells"
    up = found.axes[1] if not rows else "class" if len(kinds) > 1 else ""
    pixels = clouds(
        [Cloud(name, [(x, y) for x, y in points[mine].tolist()]) for name, mine in kinds],
        found.axes[0],
        up,
        rings=(1, 2, 3) if found.kl is not None else (),
        rows=rows,
        bars=bars,
    )
    return Plot(pixels, caption, found.told)


def _by_class(maker: Maker, labels: Tensor | None, count: int) -> list[tuple[str, Tensor]]:
    """Return names of classes, and which pictures are of them; the rarest together, if they are more than colors."""
    if labels is None:
        return [("", torch.arange(count))]
    counts = Counter(sorted(labels.tolist()))
    known = sorted(one for one, _ in counts.most_common(len(PALETTE)))
    kinds = [(maker.called(one), (labels == one).nonzero().flatten()) for one in known]
    rest = (~torch.isin(labels, torch.tensor(known))).nonzero().flatten()
    return [*kinds, (f"{len(counts) - len(known)} others", rest)] if len(rest) else kinds


# --- films ----------------------------------------------------------------------------------------


class Film:
    """A training's previews, one after the other.

    Attributes:
        frames: of each moment its step, what it is called, and its pictures, cut out of the preview:
            `[row][column]` arrays `(h, w, 3)`.
        caption: what is shown.
        told: nothing, as nothing is measured.
        columns: pictures of a row that are shown in a strip.
    """

    told: ClassVar[dict[str, float]] = {}

    def __init__(self, frames: list[tuple[int, str, list[list[NDArray[np.float32]]]]], columns: int) -> None:
        self.frames, self.columns = frames, columns
        self.caption = f"{len(frames)} moments of the training, {frames[0][1]} to {frames[-1][1]}"

    def save(self, path: Path, force: bool, record: dict[str, Any]) -> NDArray[np.float32]:
        """Write it, as a film that moves or, by the file's name, as a strip, with its record; return the strip."""
        count = min(_STRIP, len(self.frames))
        places = [round(place) for place in np.linspace(0, len(self.frames) - 1, count)]
        shown = [self.frames[place] for place in places]
        strip = picture_sheet(
            [cells[-1][: self.columns] for _, _, cells in shown],
            row_labels=[name for _, name, _ in shown],
            margin=_MARGIN,
            text_size=13,
        )
        if path.suffix.lower() in ANIMATIONS:
            whole = [picture_sheet([[picture_sheet(cells, margin=_MARGIN)]], column_labels=[name], margin=_MARGIN)
                     for _, name, cells in self.frames]  # fmt: skip
            save_animation(path, whole, seconds=_SECONDS, force=force)
        else:
            save_picture(path, load_picture(strip), metadata=record, force=force)
        return strip


def _film(work: _Work) -> Film:
    return Film(film_frames(work.maker), work.columns(10))


def film_frames(maker: Maker) -> list[tuple[int, str, list[list[NDArray[np.float32]]]]]:
    """Return the previews of a training: those that its options ask for, or else all; see `Film`.

    Raises:
        OptionError: there are none beside the model.
    """
    folder, header = maker.path.parent / "previews", maker.header.get("options", {})
    steps, epochs = list(header.get("preview_steps") or []), list(header.get("film") or [])
    found = {}
    for path in sorted(folder.glob("*.jpg")):
        layout = read_metadata(path) or {}
        if {"step", "rows", "columns", "margin"} <= layout.keys():
            found[int(layout["step"])] = (path, layout)
    if not found:
        raise OptionError(
            f"{folder} holds no previews of a training; expected a model in the folder that its training left."
        )
    kept = [step for step in found if step in steps or step == max(found)] if steps else list(found)
    rate = epochs[-1] / steps[-1] if steps and len(steps) == len(epochs) else 0.0
    return [(step, _moment(step, rate), _cut(*found[step])) for step in kept]


def _moment(step: int, rate: float) -> str:
    if not rate:
        return f"step {step}"
    epochs = float(f"{step * rate:.2g}")
    return f"{epochs:g} epoch{'s' * (epochs != 1)}"


def _cut(path: Path, layout: dict[str, Any]) -> list[list[NDArray[np.float32]]]:
    """Return the pictures of a preview."""
    picture, margin = load_picture(path), int(layout["margin"])
    rows, columns = int(layout["rows"]), int(layout["columns"])
    (high, wide), pixels = picture.size, picture.pixels
    height, width = (high - margin) // rows - margin, (wide - margin) // columns - margin
    if min(height, width) < 1:
        raise ImageError(f"{path} is no preview of {rows}×{columns} pictures; train again.")
    return [
        [
            pixels[top : top + height, left : left + width]
            for left in range(margin, columns * (width + margin), width + margin)
        ]
        for top in range(margin, rows * (height + margin), height + margin)
    ]


KINDS: dict[str, Callable[[_Work], Sheet | Plot | Film]] = {
    "grid": _grid,
    "interpolation": _interpolation,
    "manifold": _manifold,
    "traversal": _traversal,
    "arithmetic": _arithmetic,
    "reconstructions": _reconstructions,
    "nearest": _nearest,
    "codes": _codes,
    "film": _film,
}
