"""Monitors: what measures a network during and after its training, and the checkpoint with the best score."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from impasto.events import Event

__all__ = ["BestCheckpoint", "Measurement", "Models", "Monitor", "describe_choice"]

_UNKNOWN = -1.0  # score of weights that were never measured
_Net = TypeVar("_Net", bound=nn.Module)

Models = Mapping[str, Callable[..., Tensor]]
"""The present networks by name, each as a function.

Of samples it is "generator": `sample(count, seed)` returns `(count, C, H, W)` in [0, 1] or points `(count, N)`;
latent codes depend on the seed alone. A translator is "to_b" or "to_a", or "generator" if it learns from pairs:
`translate(images)` takes and returns `(B, 3, H, W)` RGB in [0, 1].
"""


@dataclass(frozen=True)
class Measurement:
    """What a monitor measured at one step.

    Attributes:
        score: distance from the ideal, 0 or more; less is better. The best checkpoint has the lowest score.
        measures: by name, the score among them; they go into the log.
        alarm: a sentence without a full stop, if something is wrong that a person should know.
    """

    score: float
    measures: dict[str, float]
    alarm: str | None = None


class Monitor(Protocol):
    """What measures networks during a training, and after it, without changing how they learn.

    Any object with these members can be handed to a recipe or to `evaluate`.

    Attributes:
        every: steps between two measurements; 0: never.
    """

    @property
    def every(self) -> int: ...  # noqa: D102

    def prepare(self) -> Iterator[Event]:
        """Do what must happen before the first measurement, such as training a classifier; yield its events.

        Only the first process of a training calls it.
        """

    def measure(self, step: int, models: Models) -> Measurement | None:
        """Measure the networks after so many steps; None if `prepare` found that nothing can be measured."""

    def finish(self, models: Models) -> tuple[dict[str, Any], list[str]]:
        """Return everything that can be said of the result.

        Returns:
            Values for `json.dumps`, and sentences without a full stop.
        """

    def state(self) -> dict[str, Tensor]:
        """Return what it remembers of its measurements, always of the same shapes; it can be asked before `prepare`."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""


class BestCheckpoint(Generic[_Net]):
    """The weights with which a network had its lowest score.

    Args:
        network: the network; its present weights are the first.
    """

    def __init__(self, network: _Net) -> None:
        self.network = network
        self.score, self.step = _UNKNOWN, 0
        self._weights = _copied(network.state_dict())

    def update(self, score: float, step: int) -> None:
        """Remember the present weights, after so many steps, unless earlier ones had as low a score."""
        if score >= 0 and not 0 <= self.score <= score:
            self.score, self.step = score, step
            self._weights = _copied(self.network.state_dict())

    def choose(self, score: float, step: int, keep: Literal["best", "last"]) -> tuple[_Net, dict[str, Any]]:
        """Return the network that is the result, and which checkpoint that is, as plain values.

        Args:
            score: of the present weights.
            step: how many steps led there.
            keep: "best": a copy with the best weights, if others were better; "last": the network as it is.
        """
        earlier = keep == "best" and self.score >= 0 and not score <= self.score
        chosen = self.network
        if earlier:
            chosen = copy.deepcopy(chosen)
            chosen.load_state_dict(self._weights)
        told = {
            "step": self.step if earlier else step,
            "kept": keep,
            "score": self.score if earlier else score,
            "last_step": step,
            "last_score": score,
        }
        return chosen, told

    def state(self) -> dict[str, Tensor]:
        """Return the best weights, their score and their step."""
        told = {f"best/{key}": value for key, value in self._weights.items()}
        score, step = torch.tensor(self.score, dtype=torch.float64), torch.tensor(self.step)
        return {"best_score": score, "best_step": step, **told}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self.score, self.step = float(state["best_score"]), int(state["best_step"])
        kept = {key.removeprefix("best/"): value for key, value in state.items() if key.startswith("best/")}
        self._weights = _copied(kept)


def describe_choice(told: Mapping[str, Any]) -> str:
    """Return what `BestCheckpoint.choose` says, as a sentence without a full stop."""
    sentence = f"we keep the checkpoint of step {told['step']:,}, whose score is {told['score']:.3g}"
    if told["step"] != told["last_step"]:
        sentence += f"; the last one, of step {told['last_step']:,}, has {told['last_score']:.3g}"
    return sentence


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in weights.items()}
