"""Recipe: the contract of a training method: its networks, its optimizers, and its training step.

A method derives from `Recipe`. It knows neither files nor processes: `loop.iter_train` moves it to the device, passes
batches to it, averages its weights, saves it and resumes it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from torch import Tensor, nn

from impasto.errors import OptionError
from impasto.events import Event
from impasto.training.method import Method
from impasto.training.options import TrainOptions

__all__ = ["Data", "Engine", "Recipe", "Setup", "Site", "describe", "seeded", "weights_of"]

_Networks = TypeVar("_Networks")


class Data(Protocol):
    """An endless sequence of training samples, each of which depends on its index alone.

    An attribute `ready` that is true says that they are in memory, so that the loop does not read ahead. An attribute
    `remarks` holds notes on the reading of pictures so far.
    """

    @property
    def skipped(self) -> list[str]:
        """Names of the files that could not be read so far."""

    @property
    def fingerprint(self) -> str:
        """A text that differs for other data."""

    def batch(self, indices: list[int]) -> Any:
        """Return the samples with these indices: tensors whose first dimension is their number.

        Tensors can be in lists, tuples or dicts. The loop moves them to the device. Several threads call this method.
        """


class Engine(Protocol):
    """What the loop provides to a step.

    Attributes:
        device: of batches and networks.
        random: random generator of this step and this process, on the CPU; torch's global one is seeded likewise.
        step: number of steps before this one.
        progress: fraction of the training that is done, in [0, 1].
    """

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    @property
    def random(self) -> torch.Generator: ...  # noqa: D102

    @property
    def step(self) -> int: ...  # noqa: D102

    @property
    def progress(self) -> float: ...  # noqa: D102

    def backward(self, loss: Tensor) -> None:
        """Run the backward pass of a loss, a mean over the batch: add its gradients to those of the weights."""


@dataclass(frozen=True)
class Site:
    """Facts about a run that a recipe may need while it is built.

    Attributes:
        run: the folder of the run.
        resume: whether the training resumes the run in that folder.
        network: a network of the caller, or several by name, that replace the recipe's own; None: the recipe builds
            its own.
    """

    run: Path
    resume: bool = False
    network: nn.Module | Mapping[str, nn.Module] | None = None


@dataclass(frozen=True)
class Setup:
    """A training, ready to start.

    Attributes:
        recipe: the method with its networks.
        data: the training data.
        options: complete, with a number of steps.
        figures: draws the report's figures of the result into the run's folder; None: there are none.
    """

    recipe: "Recipe"
    data: Data
    options: TrainOptions
    figures: Callable[[Path], Iterable[Event]] | None = None


class Recipe(ABC):
    """A training method. Its networks are initialized on the CPU, from the seed among its options.

    A method of another package is one class that declares `method` and defines `build`, `step`, `preview` and `model`.

    Attributes:
        method: the declaration: name, inputs, options; see `training.method.Method`.
        name: of the method, as on the command line.
        networks: the trained networks by name; the loop saves them and moves them to the device.
        optimizers: by name, over weights of the networks; their learning rates are the peaks of the schedule. Their
            states must be tensors and numbers, as those of Adam, SGD and RMSprop are.
        averaged: names of the networks whose weights are averaged (EMA) for previews and the result; None: all.
        caption: description of the previews, without a full stop.
        record: other facts that determine the result, such as hashes of style images, as JSON values. A checkpoint
            with another record is not resumed.
        about: other facts for the header of the model's file, such as the name of the image set.
        watch_steps: steps between two calls of `watch`; 0: never.
        loss_weights: weights by name of a loss, which reports and progress leave out.
    """

    method: ClassVar[Method | None] = None
    name: str
    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    averaged: tuple[str, ...] | None = None
    caption: str = ""
    record: Mapping[str, Any] = {}
    about: Mapping[str, Any] = {}
    watch_steps: int = 0
    loss_weights: Mapping[str, float] = {}

    @classmethod
    def build(cls, data: Mapping[str, Any], options: Any, site: Site) -> Setup:
        """Read the data, build the networks, and return the training, ready to start.

        Args:
            data: the value of each role of `method.inputs`; roles without a value have their defaults.
            options: an instance of the method's own options class.
            site: folder of the run, resume, and networks of the caller.

        Raises:
            ImpastoError: a subclass of it, for everything that can be wrong with data and options.
        """
        raise OptionError(f"{cls.__name__} has no `build`; expected a classmethod that returns a Setup.")

    def card(self) -> dict[str, Any]:
        """Return the description of the result's network, with which `load` reads checkpoints of an unfinished run.

        It has "network", the architecture as in the model's file; "settings", its arguments; and "name", its key in
        `networks`. Empty: an unfinished run of this method cannot be loaded.
        """
        return {}

    def to(self, device: torch.device) -> None:  # noqa: B027 - most have nothing
        """Move everything that is not in `networks`, such as targets and a feature extractor."""

    def prepare(self) -> Iterator[Event]:
        """Do what must happen before the first step, and yield its events; only the first process calls it."""
        yield from ()

    @abstractmethod
    def step(self, batch: Any, engine: Engine) -> Mapping[str, Tensor]:
        """Run one training step on a batch, with the updates in the paper's order; return the losses by name, detached.

        For each optimizer in turn: `optimizer.zero_grad()`, `engine.backward(loss)`, `optimizer.step()`. When an
        optimizer steps, gradients are averaged over the processes and clipped. Every step returns the same names.
        """

    @abstractmethod
    def preview(self) -> Tensor:
        """Return a sheet of the present results for fixed inputs: `(rows, columns, 3, h, w)` RGB in [0, 1]."""

    @abstractmethod
    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the content of the model's file: its tensors, and its header as JSON values."""

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Measure the present results; return measures by name, and warnings as sentences without a full stop.

        The loop calls it with averaged weights, as for a preview, and only in the first process. What it must remember
        belongs to `state`.
        """
        return {}, []

    def more_models(self) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
        """Return further models of the result by file name, `model-NAME.safetensors`, each as `model` does."""
        return {}

    def notes(self) -> list[str]:
        """Return notes on the result, sentences without a full stop; the loop calls it after `model`."""
        return []

    def state(self) -> dict[str, Tensor]:
        """Return the state of each process beside networks and optimizers; the shapes are the same in all processes."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 - most have nothing
        """Restore what `state` returned."""


def seeded(seed: int, make: Callable[[], _Networks]) -> _Networks:
    """Return networks whose initialization depends on the seed alone; torch's global random state does not change."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def describe(network: nn.Module, kind: str) -> dict[str, Any]:
    """Return the description of a network for the model's file: its architecture and settings.

    A network of the caller has no settings that we know. The file has its class and its role, and
    `load(..., network=...)` loads its weights.
    """
    inner = getattr(network, "own", None)
    if isinstance(inner, nn.Module):
        settings = {key: getattr(network, key) for key in ("latent", "shape", "classes") if hasattr(network, key)}
        name = f"{type(inner).__module__}.{type(inner).__qualname__}"
        return {"network": "custom", "as": kind, "class": name, "settings": settings}
    return {"network": kind, "settings": network.settings}


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights for the model's file; of a network of the caller, those of the caller's module."""
    inner = getattr(network, "own", None)
    return dict((inner if isinstance(inner, nn.Module) else network).state_dict())
