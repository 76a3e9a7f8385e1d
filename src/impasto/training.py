"""The one training loop: every method's batches, averages, checkpoints, previews and logs.

`iter_train` is the loop. What a method does in a step is written in its own file, see `recipes`. The loop
keeps four promises:

- A step depends on the weights before it, the seed, its number and the share of the run that is done, and
  on nothing else: neither on time nor on what else draws random numbers. So a run that is killed and
  resumed ends with the same weights.
- A checkpoint is always of the moment between two steps, and always finite.
- Several processes do together what one would do with the whole batch.
- Nothing is overwritten that was not asked for.
"""

import contextlib
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from impasto import images
from impasto.checkpoints import CHECKPOINT, MODEL, load_state, save_json, save_state
from impasto.devices import find_device, find_dtype
from impasto.errors import CheckpointError, FileExists, ImpastoError, MissingExtra, OptionError, TrainingError
from impasto.events import Began, Done, Event, Note, Saved, Trained
from impasto.options import TrainOptions
from impasto.recipes import Data, Recipe
from impasto.reporting import EVALUATION, FIGURES, REPORT, write_report

__all__ = ["CHECKPOINT", "MODEL", "iter_train", "rate"]

# what may differ when a run is resumed
_FREE = ("steps", "budget", "save_seconds", "preview_seconds", "preview_steps", "film", "log_steps")
_MARGIN = 4  # pixels between the pictures of a preview
_GOOD_STEPS = 50  # how often a state to fall back on is kept in memory
_FAILURES = 3  # how often the step length is halved before giving up
# folders in a run's, and what we put there
_FILLED = ("previews/*.jpg", f"{FIGURES}/*.png", "tensorboard/events.*", "model-*.safetensors")
_PLOT_SECONDS = 0.2  # between two points on TensorBoard, at least
_SEEDED = 64  # steps whose seeds are found together
_AHEAD = 4  # batches that are read before they are needed

_State = tuple[dict[str, Tensor], dict[str, Any]]


def rate(schedule: str, progress: float, warmup: float = 0.0) -> float:
    """Return the share of the learning rate that is used when a share of the run is done.

    Args:
        schedule: "constant"; or "linear", "half", linear in the last half, and "cosine", which fall to 0.
        progress: in [0, 1].
        warmup: the share of the run in which it rises linearly from 0 before.
    """
    if progress < warmup:
        return progress / warmup
    done = (progress - warmup) / (1 - warmup)
    falling = {"linear": 1 - done, "half": min(1.0, 2 - 2 * done), "cosine": (1 + math.cos(math.pi * done)) / 2}
    return {"constant": 1.0, **falling}[schedule]


def iter_train(
    recipe: Recipe,
    data: Data,
    options: TrainOptions,
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
    alone: bool = False,
    figures: Callable[[Path], Iterable[Event]] | None = None,
) -> Iterator[Event]:
    """Yield Began, a Trained for each step, Saved for each file, Notes and Done while a method learns.

    Everything is checked when this is called. Closing the iterator early stops after the step, and saves
    what `resume` goes on from. Started by `python -m torch.distributed.run`, the first process yields and
    writes, and the others only work.

    Args:
        recipe: the method.
        data: what it learns from.
        options: how long, how fast, where.
        run: folder for checkpoint, result, previews and logs; it is made.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already, and delete that.
        alone: in this process only, whatever the others do meanwhile.
        figures: draws what the report shows of the result into the run's folder, once that is written; raises nothing.

    Raises:
        FileExists: the folder is not empty.
        CheckpointError: there is nothing to resume, it is of another run, or it cannot be written.
        OptionError: the device is not there, or the batch cannot be shared among the processes.
        ImageError: none of the pictures can be read.
        TrainingError: losses or weights are not finite, again and again.
        MissingExtra: Accelerate is not installed.
    """
    engine = _Engine(options, alone)
    folder = _Folder(Path(run))
    record = {
        "format": 1,
        "operation": "train",
        "version": version("impasto"),
        "torch": torch.__version__,
        "recipe": recipe.name,
        "record": json.loads(json.dumps(dict(recipe.record))),
        "options": options.model_dump(mode="json"),
        "data": data.fingerprint,
        "caption": recipe.caption,
        "environment": {
            "device": str(engine.device),
            "precision": str(engine.dtype).removeprefix("torch."),
            "processes": engine.processes,
            "weights": _weights(recipe),
        },
    }
    saved = folder.check(record, resume, force) if engine.main else None
    session = _Session(recipe, data, options, engine, folder, record, saved, figures)
    if engine.main:
        folder.begin(record, saved)
        if resume and saved is None:
            session.news.append(Note("nothing had been saved yet; starting from the beginning"))
    return session.events()


# --- processes, devices, chance -----------------------------------------------------------------


class _Order(NamedTuple):
    """What all processes do next, as the first one decides it."""

    end: int  # 0: go on, 1: the run is finished, 2: it is interrupted
    save: bool
    progress: float


class _Engine:
    """What is computed where: one process's share in the work. See `recipes.Engine` for steps' view of it."""

    def __init__(self, options: TrainOptions, alone: bool = False) -> None:
        try:
            import accelerate  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtra("training needs an extra: pip install 'impasto[train]'.") from None
        self._utils = accelerate.utils
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not alone
        if not several:
            find_device(options.device)  # says it in a sentence if it is not there
        state = accelerate.PartialState(cpu=options.device == "cpu")
        self.processes: int = 1 if alone else state.num_processes
        self.number: int = 0 if alone else state.process_index
        self.main = self.number == 0
        self.device: torch.device = state.device if several else find_device(options.device)
        if self.device.type == "cpu":
            self.device = torch.device("cpu")  # Accelerate numbers even these
        if several and options.device not in ("auto", self.device.type):
            raise OptionError(
                f"device is {options.device!r}, but each of several processes has its own, here "
                f"{str(self.device)!r}; use auto or cpu."
            )
        if options.batch % self.processes:
            raise OptionError(f"batch is {options.batch}; expected a multiple of the {self.processes} processes.")
        self.dtype = _dtype(options.precision, self.device)
        self.options = options
        self.random = torch.Generator()
        self.step, self.progress = 0, 0.0

    def backward(self, loss: Tensor) -> None:
        with torch.autocast(self.device.type, enabled=False):
            loss.backward()  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def computing(self, step: int, progress: float) -> Iterator[None]:
        """Let a step compute in the right precision, with chance that depends on its number only."""
        self.step, self.progress = step, progress
        own, shared = _seeds(self.options.seed, self.number, step // _SEEDED)[step % _SEEDED]
        self.random.manual_seed(own)
        mixed = self.dtype is torch.bfloat16
        with self.chance(shared), torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            yield

    @contextlib.contextmanager
    def chance(self, seed: int) -> Iterator[None]:
        """Seed torch's own random numbers, and leave them as they were."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed takes down a traceback for absent GPUs
            if self.device.type != "cpu":
                getattr(torch, self.device.type).manual_seed(seed)
            yield

    def share(self, step: int) -> list[int]:
        """Return which samples this process takes in a step."""
        count = self.options.batch // self.processes
        first = step * self.options.batch + self.number * count
        return list(range(first, first + count))

    def moved(self, batch: Any) -> Any:
        return self._utils.send_to_device(batch, self.device)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        if self.processes == 1 or not tensors:
            return
        flat = self._utils.reduce(torch.cat([tensor.detach().flatten().float() for tensor in tensors]), "mean")
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(mean.view_as(tensor))

    def means(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Return losses as numbers, averaged over all processes."""
        if self.processes == 1 and self.device.type == "cpu":
            return {name: float(loss.detach()) for name, loss in losses.items()}
        values = torch.stack([loss.detach().float().to(self.device) for loss in losses.values()])
        self.average([values])
        return dict(zip(losses, values.tolist(), strict=True))

    def agree(self, order: _Order) -> _Order:
        """Return the first process's order."""
        if self.processes == 1:
            return order
        told = torch.tensor([order.end, order.save, order.progress], dtype=torch.float64, device=self.device)
        end, save, progress = self._utils.broadcast(told).tolist()
        return _Order(int(end), bool(save), progress)

    def spread(self, state: _State) -> _State:
        """Return the first process's state, which need not be on the others' disks."""
        if self.processes == 1:
            return state
        tensors, values = state
        outline = [({key: (value.shape, value.dtype) for key, value in tensors.items()}, values)]
        ((shapes, values),) = self._utils.broadcast_object_list(outline)
        told = {}
        for key, (shape, dtype) in shapes.items():
            mine = tensors[key] if self.main else torch.empty(shape, dtype=dtype)
            told[key] = self._utils.broadcast(mine.to(self.device).contiguous())
        return told, values

    def stacked(self, tensor: Tensor) -> Tensor:
        """Return every process's tensor, `(processes, ...)`."""
        if self.processes == 1:
            return tensor[None]
        whole: Tensor = self._utils.gather(tensor.to(self.device)[None].contiguous())
        return whole

    def together(self, texts: Sequence[str]) -> list[str]:
        """Return the texts of all processes, each once."""
        found = self._utils.gather_object(list(texts)) if self.processes > 1 else texts
        return sorted(set(found))


@lru_cache(2)
def _seeds(seed: int, process: int, block: int) -> list[tuple[int, int]]:
    """Return a process's own seed and torch's, for each step of a block: one by one they take much longer."""
    steps = range(block * _SEEDED, (block + 1) * _SEEDED)
    found = [np.random.SeedSequence((seed, step, process)).generate_state(2, np.uint64).tolist() for step in steps]
    return [(own, shared) for own, shared in found]


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return what is computed in; unlike networks that only look, those that learn may use bfloat16 on a GPU."""
    if precision == "auto" and device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return find_dtype(precision, device)


class _Ahead:
    """Batches, read in threads before they are needed; those that are in memory are taken when they are."""

    def __init__(self, data: Data, share: Callable[[int], list[int]]) -> None:
        self._data, self._share = data, share
        self._pool = ThreadPoolExecutor(min(_AHEAD, max(1, (os.cpu_count() or 2) // 2)), "pictures")
        self._coming: dict[int, Future[Any]] = {}

    def batch(self, step: int) -> Any:
        """Return what this process learns from in a step."""
        if getattr(self._data, "ready", False):  # to read ahead would cost more than it saves
            return self._data.batch(self._share(step))
        self._coming = {later: future for later, future in self._coming.items() if later >= step}
        for later in range(step, step + _AHEAD + 1):
            if later not in self._coming:
                self._coming[later] = self._pool.submit(self._data.batch, self._share(later))
        return self._coming[step].result()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Clock:
    """Time spent and still to go, over all sessions of a run."""

    def __init__(self, options: TrainOptions) -> None:
        self._steps = options.steps
        self._budget = None if options.budget is None else 60 * options.budget
        self._begun = time.monotonic()
        self._lately: deque[float] = deque([self._begun], maxlen=33)

    def resume(self, seconds: float) -> None:
        """Count what was spent before."""
        self._begun -= seconds

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def progress(self, step: int) -> float:
        return min(1.0, step / self._steps if self._budget is None else self.seconds / self._budget)

    def forget(self) -> None:
        """Begin anew to count the pace; what went before was something else."""
        self._lately.clear()
        self.tick()

    def tick(self) -> None:
        self._lately.append(time.monotonic())

    @property
    def pace(self) -> float:
        return (len(self._lately) - 1) / max(self._lately[-1] - self._lately[0], 1e-9)

    def left(self, step: int) -> tuple[int, float]:
        """Return the steps in all and the seconds still to go, as far as they are known."""
        if self._budget is None:
            return self._steps, max(0, self._steps - step) / self.pace
        seconds = max(0.0, self._budget - self.seconds)
        return step + round(seconds * self.pace), seconds


# --- the files of a run -------------------------------------------------------------------------


class _Folder:
    """The folder of a run; only the first process touches it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint, self.model = path / CHECKPOINT, path / MODEL
        self.options, self.log = path / "options.json", path / "log.jsonl"
        self.preview, self.previews = path / "preview.jpg", path / "previews"
        self.figure = path / FIGURES / "preview.png"
        self._board: Any = None
        self._plot_due = 0.0

    def check(self, record: Mapping[str, Any], resume: bool, force: bool) -> _State | None:
        """Return the state to go on from; refuse what must not be overwritten or cannot be continued."""
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"{self.path} is a file; expected a folder for the run.")
        if not resume:
            if self.path.exists() and any(self.path.iterdir()) and not force:
                raise FileExists(f"{self.path} is not empty; --resume goes on with its run, --force starts anew.")
            return None
        if not self.options.is_file():
            raise CheckpointError(f"there is no run to resume in {self.path}; run without --resume.")
        if not self.checkpoint.is_file():  # it was stopped before the first one
            try:
                _check_same(self.options, json.loads(self.options.read_text()), record)
            except ValueError as error:
                raise CheckpointError(f"{self.options} is damaged; start anew with --force.") from error
            return None
        state = load_state(self.checkpoint)
        _check_same(self.checkpoint, state[1], record)
        return state

    def begin(self, record: Mapping[str, Any], saved: _State | None) -> None:
        """Make the folder, without what an earlier run wrote after the state that is continued."""
        try:
            for folder in (self.previews, self.figure.parent):
                folder.mkdir(parents=True, exist_ok=True)
            if saved is None:
                ours = [self.checkpoint, self.model, self.preview, self.log, self.path / REPORT, self.path / EVALUATION]
                for old in [*ours, *(old for where in _FILLED for old in self.path.glob(where))]:
                    old.unlink(missing_ok=True)
            elif self.log.exists():
                os.truncate(self.log, min(saved[1]["log"], self.log.stat().st_size))
            save_json(self.options, record)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be used: {error.strerror or error}.") from error
        self._board = _board(self.path / "tensorboard", saved[1]["step"] + 1 if saved else None)

    def write(self, line: Mapping[str, Any]) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def plot(self, event: Trained) -> None:
        """Show numbers on TensorBoard, if it is there; not all of them, if steps take next to no time."""
        now = time.monotonic()
        if self._board is not None and (now >= self._plot_due or event.measures or event.step == event.steps):
            self._plot_due = now + _PLOT_SECONDS
            groups = {"loss": event.losses, "learning_rate": event.learning_rate, "measure": event.measures}
            for group, values in groups.items():
                for name, value in values.items():
                    self._board.add_scalar(f"{group}/{name}", value, event.step)
            self._board.add_scalar("steps_per_second", event.pace, event.step)

    def show(self, grid: Tensor, step: int) -> Tensor:
        """Write a preview; return it as one picture, `(1, 3, H, W)`."""
        cells = [[cell.permute(1, 2, 0).numpy() for cell in row] for row in grid]
        sheet = images.sheet(cells, margin=_MARGIN)
        layout = {"step": step, "rows": len(cells), "columns": len(cells[0]), "margin": _MARGIN}
        for path in (self.previews / f"{step:08}.jpg", self.preview, self.figure):
            images.save(path, images.load(sheet), metadata=layout, force=True, quality=90)
        picture = torch.from_numpy(sheet).permute(2, 0, 1)
        if self._board is not None:
            self._board.add_image("preview", picture, step)
        return picture[None]

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def _check_same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse a state of another method or with other settings; only its length may change."""
    if old.get("operation") != "train" or old.get("format") != new["format"]:
        raise CheckpointError(f"{path} is not of a training that this version can continue; start anew with --force.")
    if old["recipe"] != new["recipe"]:
        raise CheckpointError(f"{path} is of a training of {old['recipe']}, not of {new['recipe']}.")
    free = ", ".join(_FREE)
    for name in sorted({*old["options"], *new["options"]} - set(_FREE)):
        before, now = old["options"].get(name), new["options"].get(name)
        if before != now:
            raise CheckpointError(
                f"{path} is of a run with {name} {before}, not {now}; expected the same settings, "
                f"only {free} may change."
            )
    for name in sorted({*old["record"], *new["record"]}):
        if old["record"].get(name) != new["record"].get(name):
            raise CheckpointError(f"{path} is of a run with other {name}; expected the same.")


def _board(folder: Path, purge: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=purge)


# --- the run ------------------------------------------------------------------------------------


class _Session:
    """One process's part in one run, from its start or from where it was left."""

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        options: TrainOptions,
        engine: _Engine,
        folder: _Folder,
        record: dict[str, Any],
        saved: _State | None,
        figures: Callable[[Path], Iterable[Event]] | None = None,
    ) -> None:
        self.recipe, self.data, self.options, self.figures = recipe, data, options, figures
        self.engine, self.folder, self.record = engine, folder, record
        self.clock, self.ahead = _Clock(options), _Ahead(data, engine.share)
        for network in recipe.networks.values():
            network.to(engine.device).train()
        recipe.to(engine.device)
        averaged = (recipe.networks if recipe.averaged is None else recipe.averaged) if options.ema else ()
        self.averages = {name: _cloned(recipe.networks[name].state_dict()) for name in averaged}
        self.step = self.failures = 0
        self.more: list[str] = []
        self.written = -1 if saved is None else int(saved[1]["step"])
        self.news: list[Event] = self._notes(saved)
        for optimizer in recipe.optimizers.values():
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
        fresh = self.state()  # in every process, since they exchange what they remember
        self.good = engine.spread(saved or fresh)
        try:
            self.restore(self.good)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{folder.checkpoint} is of other networks; start anew with --force.") from error
        self.clock.resume(self.good[1]["seconds"])
        self.ahead.batch(self.step)  # says it now if nothing can be read

    def _notes(self, saved: _State | None) -> list[Event]:
        if len(self.engine.together([self.data.fingerprint])) > 1:
            raise OptionError("the processes see different pictures; expected the same folders on every machine.")
        if saved and saved[1]["data"] != self.record["data"]:
            return [Note("the pictures are not those that the run began with; going on with the new ones")]
        return []

    # what is saved

    def state(self) -> _State:
        """Return a copy of everything that a step depends on."""
        tensors: dict[str, Tensor] = {}
        scalars: dict[str, dict[str, dict[str, Any]]] = {}
        for name, network in self.recipe.networks.items():
            tensors |= {f"network/{name}/{key}": value for key, value in network.state_dict().items()}
        for name, average in self.averages.items():
            tensors |= {f"average/{name}/{key}": value for key, value in average.items()}
        for name, optimizer in self.recipe.optimizers.items():
            scalars[name] = {}
            for index, fields in optimizer.state_dict()["state"].items():
                for key, value in fields.items():
                    if isinstance(value, Tensor):
                        tensors[f"optimizer/{name}/{index}/{key}"] = value
                    else:
                        scalars[name].setdefault(str(index), {})[key] = value
        tensors |= {f"recipe/{key}": self.engine.stacked(value) for key, value in self.recipe.state().items()}
        values = {
            "step": self.step,
            "seconds": self.clock.seconds,
            "failures": self.failures,
            "optimizers": scalars,
        }
        return _cloned(tensors), values

    def restore(self, state: _State) -> None:
        """Take up a copy of what `state` returned."""
        tensors, values = _cloned(state[0]), state[1]

        def part(kind: str) -> dict[str, Tensor]:
            return {key.removeprefix(kind): value for key, value in tensors.items() if key.startswith(kind)}

        for name, network in self.recipe.networks.items():
            network.load_state_dict(part(f"network/{name}/"))
        for name, average in self.averages.items():
            found = part(f"average/{name}/")
            self.averages[name] = {key: found[key].to(self.engine.device) for key in average}
        self.pair()
        for name, optimizer in self.recipe.optimizers.items():
            fields = {int(index): dict(some) for index, some in values["optimizers"][name].items()}
            for key, value in part(f"optimizer/{name}/").items():
                index, _, field = key.partition("/")
                fields.setdefault(int(index), {})[field] = value
            optimizer.load_state_dict({"state": fields, "param_groups": optimizer.state_dict()["param_groups"]})
        mine = {key: value[self.engine.number % len(value)] for key, value in part("recipe/").items()}
        if mine:
            self.recipe.restore({key: value.to(self.engine.device) for key, value in mine.items()})
        self.step, self.failures = values["step"], values["failures"]

    def pair(self) -> None:
        """List averages beside the weights that they follow, which stay where they are, for all steps to come."""
        pairs = [
            (average[key], value)
            for name, average in self.averages.items()
            for key, value in self.recipe.networks[name].state_dict().items()
        ]
        moving = [pair for pair in pairs if pair[1].is_floating_point()]
        self.moving = [average for average, _ in moving], [value for _, value in moving]
        self.counted = [pair for pair in pairs if not pair[1].is_floating_point()]

    def keep(self) -> bool:
        """Keep this state to fall back on, if it is finite."""
        state = self.state()
        ends = [torch.stack(value.aminmax()).float() for value in state[0].values() if value.numel()]
        if not all(map(bool, torch.cat(ends).isfinite())):
            return False
        self.good = state
        return True

    def save(self) -> list[Event]:
        """Write the last good state, if it is not written yet."""
        tensors, values = self.good
        if not self.engine.main or values["step"] == self.written:
            return []
        log = self.folder.log
        more = {**self.record, "processes": self.engine.processes, "log": log.stat().st_size if log.exists() else 0}
        save_state(self.folder.checkpoint, tensors, {**more, **values})
        self.written = values["step"]
        return [Saved(self.folder.checkpoint, "checkpoint")]

    def roll_back(self, what: str) -> Event:
        """Go back to the last good state, and halve the step length.

        Raises:
            TrainingError: that was tried often enough.
        """
        failed, failures = self.step + 1, self.failures + 1
        self.restore(self.good)
        self.failures = self.good[1]["failures"] = failures
        self.written = -1  # what is on disk does not know of it
        if failures > _FAILURES:
            raise TrainingError(
                f"{what} not finite at step {failed}, though the learning rate was halved {_FAILURES} times; "
                f"start anew with less than {self.options.learning_rate:g}."
            )
        text = f"{what} not finite at step {failed}; going on from step {self.step} with half the learning rate"
        if self.engine.main:
            self.folder.write({"step": self.step, "note": text})
        return Note(text)

    # what a step is

    def events(self) -> Iterator[Event]:
        """Run to the end; see `iter_train`."""
        options, engine, recipe = self.options, self.engine, self.recipe
        hooks = [hook for optimizer in recipe.optimizers.values() for hook in self._hooks(optimizer)]
        save_due, preview_due = self.clock.seconds + options.save_seconds, self.clock.seconds
        news: list[Event] = [self._began(), *self.news]
        try:
            if engine.main:
                yield from news
                yield from recipe.prepare()
                self.clock.forget()
            news = []
            while True:
                if engine.main:
                    yield from news  # the one place to be interrupted at: here the others wait for an order
                progress = self.clock.progress(self.step)
                order = engine.agree(_Order(int(progress >= 1), self.clock.seconds >= save_due, progress))
                news = []
                if order.end == 2:
                    self.keep()
                    break
                if (order.end or order.save or self.step % _GOOD_STEPS == 0) and not self.keep():
                    news.append(self.roll_back("weights are"))
                    continue
                if order.end or order.save:
                    news += self.save()
                    save_due = self.clock.seconds + options.save_seconds
                if order.end:
                    break
                losses, rates = self.advance(order.progress)
                wrong = [name for name, value in losses.items() if not math.isfinite(value)]
                if wrong:
                    news.append(self.roll_back(f"the loss {wrong[0]} is"))
                    continue
                self.clock.tick()
                if engine.main:
                    measures, sentences = self.watch()
                    news += [self.report(losses, rates, measures), *map(Note, sentences)]
                    if self.clock.seconds >= preview_due or self.step in options.preview_steps:
                        self.preview()
                        news.append(Saved(self.folder.preview, "preview"))
                        preview_due = self.clock.seconds + options.preview_seconds
            skipped = engine.together(self.data.skipped)
            if engine.main and order.end == 1:
                picture = self.preview()
                self.write_model()
                news += self.told()
                yield from (*news, Saved(self.folder.preview, "preview"), Saved(self.folder.model, "result"))
                yield from (Saved(self.folder.path / name, "result") for name in self.more)
                yield from map(Note, recipe.notes())
                if skipped:
                    yield Note(_unread(skipped))
                yield Done(picture, self.step, self.clock.seconds)
        except GeneratorExit:
            engine.agree(_Order(2, True, 1.0))
            self.keep()
            self.save()
            engine.together(self.data.skipped)
            raise
        except BaseException:  # in the middle of a step, and the others may be lost: what was good is kept
            self.save()
            raise
        finally:
            for hook in hooks:
                hook.remove()
            self.ahead.close()
            self.folder.close()

    def advance(self, progress: float) -> tuple[dict[str, float], dict[str, float]]:
        """Take one step; return its losses and learning rates."""
        recipe, factor = self.recipe, rate(self.options.schedule, progress, self.options.warmup) / 2**self.failures
        rates = {}
        for name, optimizer in recipe.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            rates[name] = float(optimizer.param_groups[0]["lr"])
        batch = self.engine.moved(self.ahead.batch(self.step))
        with self.engine.computing(self.step, progress):
            losses = recipe.step(batch, self.engine)
        found = self.engine.means(losses)
        if all(map(math.isfinite, found.values())):
            if self.engine.processes > 1:
                buffers = [value for network in recipe.networks.values() for value in network.buffers()]
                self.engine.average([value for value in buffers if value.is_floating_point()])
            self.average()
            self.step += 1
        return found, rates

    def _hooks(self, optimizer: torch.optim.Optimizer) -> list[Any]:
        """Average and clip gradients when an optimizer steps."""

        def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            self.engine.average([weight.grad for weight in weights if weight.grad is not None])
            if self.options.clip:
                nn.utils.clip_grad_norm_(weights, self.options.clip)

        def after(*_: Any) -> None:
            torch.clear_autocast_cache()  # or the next loss of this step would be of the old weights

        return [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]

    @torch.no_grad()
    def average(self) -> None:
        """Move the averages towards the weights; the decay grows with the steps, so that the start is forgotten."""
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        if self.averages:
            torch._foreach_lerp_(*self.moving, 1 - decay)
        for average, value in self.counted:
            average.copy_(value)

    @contextlib.contextmanager
    def finished(self) -> Iterator[None]:
        """Put averages in the place of weights, as for use; afterwards everything is as it was."""
        networks = self.recipe.networks
        modes = {
            name: [(module, module.training) for module in network.modules()] for name, network in networks.items()
        }
        own = {name: _cloned(networks[name].state_dict()) for name in self.averages}
        with torch.no_grad(), self.engine.chance(self.options.seed):
            for name, average in self.averages.items():
                networks[name].load_state_dict(average)
            for network in networks.values():
                network.eval()
            try:
                yield
            finally:
                for name, weights in own.items():
                    networks[name].load_state_dict(weights)
                for module, mode in (pair for pairs in modes.values() for pair in pairs):
                    module.training = mode

    # what is told

    def _began(self) -> Began:
        options, engine = self.options, self.engine
        budget = None if options.budget is None else 60 * options.budget
        return Began(
            recipe=self.recipe.name,
            run=self.folder.path,
            step=self.step,
            steps=options.steps if budget is None else None,
            budget=budget,
            batch=options.batch,
            weights=_weights(self.recipe),
            device=str(engine.device),
            precision=str(engine.dtype).removeprefix("torch."),
            processes=engine.processes,
        )

    def watch(self) -> tuple[dict[str, float], list[str]]:
        if not self.recipe.watch_steps or self.step % self.recipe.watch_steps:
            return {}, []
        with self.finished():
            return self.recipe.watch(self.step)

    def report(self, losses: dict[str, float], rates: dict[str, float], measures: dict[str, float]) -> Trained:
        """Return the event of the step just taken; write it to the log now and then."""
        steps, left = self.clock.left(self.step)
        event = Trained(
            step=self.step,
            steps=steps,
            losses=losses,
            learning_rate=rates,
            pace=self.clock.pace,
            seconds=self.clock.seconds,
            remaining=left,
            skipped=len(self.data.skipped),
            measures=measures,
        )
        if self.step % self.options.log_steps == 0 or self.step == 1 or measures:
            speed = {"images_per_second": event.pace * self.options.batch}
            self.folder.write({"step": event.step, **vars(event), **speed})
            self.folder.plot(event)
        return event

    def preview(self) -> Tensor:
        with self.finished():
            grid = self.recipe.preview().float().cpu().clamp(0, 1)
        return self.folder.show(grid, self.step)

    def write_model(self) -> None:
        with self.finished():
            found = {MODEL: self.recipe.model(), **self.recipe.more_models()}
            self.more = [name for name in found if name != MODEL]
            for name, (tensors, values) in found.items():
                about = {"step": self.step, **self.recipe.about, **values, "notes": self.recipe.notes()}
                save_state(self.folder.path / name, tensors, {**self.record, **about})

    def told(self) -> list[Event]:
        """Write the report of the run; what was trained is there whatever becomes of it."""
        told = list(self.figures(self.folder.path)) if self.figures else []
        try:
            return [*told, Saved(write_report(self.folder.path), "report")]
        except (ImpastoError, OSError) as error:
            return [*told, Note(f"the report could not be written: {str(error).removesuffix('.')}")]


def _weights(recipe: Recipe) -> int:
    return sum(weight.numel() for network in recipe.networks.values() for weight in network.parameters())


def _cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in tensors.items()}


def _unread(names: Sequence[str]) -> str:
    some = ", ".join(Path(name).name for name in names[:3])
    files, more = "file" if len(names) == 1 else "files", ", …" if len(names) > 3 else ""
    return f"{len(names)} {files} could not be read and {'was' if len(names) == 1 else 'were'} left out: {some}{more}"
