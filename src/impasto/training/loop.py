"""The training loop of every method: steps, averages of weights, checkpoints, resuming and what is logged."""

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from impasto.checkpoints.files import MODEL, save_state
from impasto.errors import CheckpointError, ImpastoError, OptionError, TrainingError
from impasto.events import Done, Event, Note, Saved, Started, Step, as_json
from impasto.reading import as_one_error
from impasto.reports.page import write_report
from impasto.training.clock import Clock, rate
from impasto.training.engine import Order, ProcessEngine, State
from impasto.training.options import TrainOptions
from impasto.training.read_ahead import ReadAhead
from impasto.training.recipe import Data, Recipe
from impasto.training.run_folder import RunFolder

__all__ = ["iter_train"]

_GOOD_STEPS = 50  # steps between two states that are kept in memory to roll back to


_SOME = 3  # notes on pictures that are given in full


_FAILURES = 3  # how often the learning rate is halved before the training stops


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
    """Yield Started, a Step for each step, Saved for each file, Notes and Done while a method learns.

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
    engine = ProcessEngine(options, alone)
    folder = RunFolder(Path(run))
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
        "model": recipe.card(),
        "environment": {
            "device": str(engine.device),
            "precision": str(engine.dtype).removeprefix("torch."),
            "processes": engine.processes,
            "weights": count_weights(recipe),
        },
    }
    try:
        saved = folder.check(record, resume, force) if engine.main else None
        session = _Session(recipe, data, options, engine, folder, record, saved, figures)
        if engine.main:
            folder.begin(record, saved)
    except BaseException:
        folder.close()
        raise
    if engine.main and resume and saved is None:
        session.news.append(Note("nothing had been saved yet; starting from the beginning"))
    return session.events()


class _Session:
    """The part of one process in a run, from its beginning or from its checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        options: TrainOptions,
        engine: ProcessEngine,
        folder: RunFolder,
        record: dict[str, Any],
        saved: State | None,
        figures: Callable[[Path], Iterable[Event]] | None = None,
    ) -> None:
        self.recipe, self.data, self.options, self.figures = recipe, data, options, figures
        self.engine, self.folder, self.record = engine, folder, record
        self.clock, self.ahead = Clock(options), ReadAhead(data, engine.samples)
        for network in recipe.networks.values():
            network.to(engine.device).train()
        recipe.to(engine.device)
        averaged = (recipe.networks if recipe.averaged is None else recipe.averaged) if options.ema else ()
        self.averages = {name: cloned(recipe.networks[name].state_dict()) for name in averaged}
        self.step = self.failures = 0
        self.more: list[str] = []
        self.written = -1 if saved is None else int(saved[1]["step"])
        self.news: list[Event] = self._notes(saved)
        for optimizer in recipe.optimizers.values():
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
        fresh = self.state()  # in every process, since they exchange what they remember
        self.good = engine.spread(saved or fresh)
        with as_one_error(CheckpointError(f"{folder.checkpoint} is of other networks; start anew with --force.")):
            self.restore(self.good)
        self.ahead.batch(self.step)  # says it now if nothing can be read

    def _notes(self, saved: State | None) -> list[Event]:
        if len(self.engine.together([self.data.fingerprint])) > 1:
            raise OptionError("the processes see different pictures; expected the same folders on every machine.")
        if saved and saved[1]["data"] != self.record["data"]:
            return [Note("the pictures are not those that the run began with; going on with the new ones")]
        return []

    # what is saved

    def state(self) -> State:
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
        return cloned(tensors), values

    def restore(self, state: State) -> None:
        """Load a copy of what `state` returned."""
        tensors, values = cloned(state[0]), state[1]

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
        """Pair each average with its weight; both stay at their place in memory, so the pairs hold for all steps."""
        pairs = [
            (average[key], value)
            for name, average in self.averages.items()
            for key, value in self.recipe.networks[name].state_dict().items()
        ]
        moving = [pair for pair in pairs if pair[1].is_floating_point()]
        self.moving = [average for average, _ in moving], [value for _, value in moving]
        self.counted = [pair for pair in pairs if not pair[1].is_floating_point()]

    def keep(self) -> bool:
        """Keep the state in memory to roll back to; return whether all of it is finite."""
        state = self.state()
        ends = [torch.stack(value.aminmax()).float() for value in state[0].values() if value.numel()]
        if not all(map(bool, torch.cat(ends).isfinite())):
            return False
        self.good = state
        return True

    def save(self) -> list[Event]:
        """Write the last finite state to the checkpoint, unless it is there already."""
        tensors, values = self.good
        if not self.engine.main or values["step"] == self.written:
            return []
        log = self.folder.log
        about = {**self.record, **self.recipe.about}  # as in the model's file, so that `load` can use either
        more = {"processes": self.engine.processes, "log": log.stat().st_size if log.exists() else 0}
        save_state(self.folder.checkpoint, tensors, {**about, **more, **values})
        self.written = values["step"]
        return [Saved(self.folder.checkpoint, "checkpoint")]

    def roll_back(self, what: str) -> Event:
        """Go back to the last finite state and halve the learning rate.

        Raises:
            TrainingError: the learning rate was halved often enough.
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
        self.clock.begin(self.good[1]["seconds"])
        hooks = [hook for optimizer in recipe.optimizers.values() for hook in self._hooks(optimizer)]
        save_due, preview_due = self.clock.seconds + options.save_seconds, self.clock.seconds
        news: list[Event] = [self._began(), *self.news]
        try:
            if engine.main:
                yield from news
                with self.clock.aside():
                    yield from recipe.prepare()
                self.clock.forget()
                if self.clock.uncounted:
                    yield Note(f"{self.clock.uncounted:.0f} s of preparations do not count for the budget")
            news = []
            while True:
                if engine.main:
                    yield from news  # the one place to be interrupted at: here the others wait for an order
                progress = self.clock.progress(self.step)
                order = engine.agree(Order(int(progress >= 1), self.clock.seconds >= save_due, progress))
                news = []
                if order.end == 2:
                    self.keep()
                    break
                if (order.end or order.save or self.step % _GOOD_STEPS == 0) and not self.keep():
                    news.append(self.roll_back("weights are"))
                    continue
                if order.end or order.save:
                    with self.clock.aside():
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
                    with self.clock.aside():
                        measures, sentences = self.watch()
                    news += [self.report(losses, rates, measures), *map(Note, sentences)]
                    if self.clock.seconds >= preview_due or self.step in options.preview_steps:
                        with self.clock.aside():
                            self.preview()
                        news.append(Saved(self.folder.preview, "preview"))
                        preview_due = self.clock.seconds + options.preview_seconds
            if order.end == 1 and not self.step:
                raise OptionError(
                    "the budget was over before the first step and nothing was trained; give a longer one."
                )
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
                yield from _remarks(getattr(self.data, "remarks", ()))
                yield Done(picture, self.step, self.clock.seconds)
        except GeneratorExit:
            engine.agree(Order(2, True, 1.0))
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
        """Update the exponential moving averages; the decay grows with the steps, so that the start is forgotten."""
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        if self.averages:
            get_ema_multi_avg_fn(decay)(*self.moving, 0)  # type: ignore[no-untyped-call]
        for average, value in self.counted:
            average.copy_(value)

    @contextlib.contextmanager
    def finished(self) -> Iterator[None]:
        """Replace weights by their averages, in evaluation mode; everything is restored afterwards."""
        networks = self.recipe.networks
        modes = {
            name: [(module, module.training) for module in network.modules()] for name, network in networks.items()
        }
        own = {name: cloned(networks[name].state_dict()) for name in self.averages}
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

    def _began(self) -> Started:
        options, engine = self.options, self.engine
        budget = None if options.budget is None else 60 * options.budget
        return Started(
            recipe=self.recipe.name,
            run=self.folder.path,
            step=self.step,
            steps=options.steps if budget is None else None,
            budget=budget,
            batch=options.batch,
            weights=count_weights(self.recipe),
            device=str(engine.device),
            precision=str(engine.dtype).removeprefix("torch."),
            processes=engine.processes,
        )

    def watch(self) -> tuple[dict[str, float], list[str]]:
        if not self.recipe.watch_steps or self.step % self.recipe.watch_steps:
            return {}, []
        with self.finished():
            return self.recipe.watch(self.step)

    def report(self, losses: dict[str, float], rates: dict[str, float], measures: dict[str, float]) -> Step:
        """Return the event of this step; write every `log_steps`-th one to the log."""
        steps, left = self.clock.left(self.step)
        event = Step(
            step=self.step,
            steps=steps,
            phase="train",
            losses={name: loss / (self.recipe.loss_weights.get(name) or 1.0) for name, loss in losses.items()},
            progress=self.clock.progress(self.step),
            learning_rate=rates,
            pace=self.clock.pace,
            seconds=self.clock.seconds,
            remaining=left,
            skipped=len(self.data.skipped),
            measures=measures,
        )
        if self.step % self.options.log_steps == 0 or self.step == 1 or measures:
            speed = {"images_per_second": event.pace * self.options.batch}
            line = {name: value for name, value in as_json(event).items() if name not in ("event", "phase", "progress")}
            self.folder.write({**line, **speed})
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
        """Draw samples and write the report; what fails is a note, as the model is written already."""
        told = list(self.figures(self.folder.path)) if self.figures else []
        try:
            return [*told, Saved(write_report(self.folder.path), "report")]
        except (ImpastoError, OSError) as error:
            return [*told, Note(f"the report could not be written: {str(error).removesuffix('.')}")]


def count_weights(recipe: Recipe) -> int:
    return sum(weight.numel() for network in recipe.networks.values() for weight in network.parameters())


def cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in tensors.items()}


def _remarks(remarks: Sequence[str]) -> Iterator[Note]:
    """Yield the first notes on the reading of pictures, and how many more there are."""
    yield from map(Note, remarks[:_SOME])
    if len(remarks) > _SOME:
        yield Note(f"there are such notes on {len(remarks) - _SOME} more pictures")


def _unread(names: Sequence[str]) -> str:
    some = ", ".join(Path(name).name for name in names[:3])
    files, more = "file" if len(names) == 1 else "files", ", …" if len(names) > 3 else ""
    return f"{len(names)} {files} could not be read and {'was' if len(names) == 1 else 'were'} left out: {some}{more}"
