"""What a training method is: its networks, its optimizers, and the order of its steps.

A method is one file here, with a class that derives from `Recipe`. It knows neither files nor processes:
`loop.iter_train` moves it to its device, hands it batches, averages, saves and resumes it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from impasto.events import Event

__all__ = ["Data", "Engine", "Recipe"]


class Data(Protocol):
    """An endless sequence of samples, each of which depends on its index alone.

    One that has `ready` set has them in memory, so that nothing is won by reading ahead.
    """

    @property
    def skipped(self) -> list[str]:
        """Names of the files that could not be read so far."""

    @property
    def fingerprint(self) -> str:
        """A text that is another one for other data."""

    def batch(self, indices: list[int]) -> Any:
        """Return these samples: tensors with as many rows, alone or in lists, tuples or dicts.

        They are moved to where the networks are, if they are not there already.

        It is called from several threads.
        """


class Engine(Protocol):
    """What a step may ask for.

    Attributes:
        device: where batches and networks are.
        random: the chance of this step and this process, on the CPU; torch's own is seeded alike.
        step: steps done before this one.
        progress: share of the run that is done, in [0, 1].
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
        """Add the gradients of a loss to those of the weights; it is a mean over the batch."""


class Recipe(ABC):
    """A training method. Its constructor makes the networks, on the CPU, from a seed of its own.

    Attributes:
        name: of the method, as on the command line.
        networks: what is learned, by name; they are saved, and moved to the device.
        optimizers: by name, over weights of the networks; learning rates are their highest ones. Their
            state must be tensors and numbers, as that of Adam, SGD and RMSprop is.
        averaged: names of the networks whose weights are averaged for previews and the result; None: all.
        caption: what its previews show, in words, without a full stop.
        record: what else decides about the result, as names and hashes of style pictures: anything that
            JSON can hold. A checkpoint with another record is not continued.
        about: what else the finished file says of where it comes from, as the name of a set of pictures.
        watch_steps: every how many steps it is asked to `watch` itself; 0: never.
    """

    name: str
    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    averaged: tuple[str, ...] | None = None
    caption: str = ""
    record: Mapping[str, Any] = {}
    about: Mapping[str, Any] = {}
    watch_steps: int = 0

    def to(self, device: torch.device) -> None:  # noqa: B027 - most have nothing
        """Move everything that is not in `networks`, such as targets and a network that only looks."""

    def prepare(self) -> Iterator[Event]:
        """Make what must be there before the first step, and tell of it; only the first process is asked."""
        yield from ()

    @abstractmethod
    def step(self, batch: Any, engine: Engine) -> Mapping[str, Tensor]:
        """Take the method's steps for one batch, in the paper's order; return its losses, detached.

        That is, for each optimizer in turn: `optimizer.zero_grad()`, `engine.backward(loss)`,
        `optimizer.step()`. Gradients are averaged over processes, and clipped, when the optimizer steps.
        The names of the losses are the same in every step.
        """

    @abstractmethod
    def preview(self) -> Tensor:
        """Return pictures that show how far it is, for fixed inputs: `(rows, columns, 3, h, w)` RGB in [0, 1]."""

    @abstractmethod
    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what the finished file holds: tensors, and anything JSON can hold."""

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Look at what is made by now; return measures by name, and what a person should know.

        It is asked with averages in the place of weights, as for a preview, and only in the first process. What it
        remembers belongs to `state`.
        """
        return {}, []

    def more_models(self) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
        """Return what is finished besides, by name of the file, `model-NAME.safetensors`; as `model` does."""
        return {}

    def notes(self) -> list[str]:
        """Return what a person should know of the result, after `model`: sentences without a full stop."""
        return []

    def state(self) -> dict[str, Tensor]:
        """Return what each process remembers by itself, of the same shapes in all of them."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 - most have nothing
        """Take up what `state` returned."""
