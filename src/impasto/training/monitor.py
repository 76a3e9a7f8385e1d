"""What trainings share whose networks are looked at now and then: what was seen, and the best weights so far."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["Best", "Look"]

_UNKNOWN = -1.0  # score of weights that nobody has looked at
_Net = TypeVar("_Net", bound=nn.Module)


@dataclass(frozen=True)
class Look:
    """What was found when made pictures were looked at.

    Attributes:
        score: how far they are from what they should be, 0 or more; less is better.
        measures: by name, the score among them.
        alarm: a sentence, if something is wrong that a person should know.
    """

    score: float
    measures: dict[str, float]
    alarm: str | None = None


class Best(Generic[_Net]):
    """The weights that a network had when it was best.

    Args:
        network: whose weights are remembered; those that it has now are the first.
    """

    def __init__(self, network: _Net) -> None:
        self.network = network
        self.score, self.step = _UNKNOWN, 0
        self._weights = _copied(network.state_dict())

    def see(self, score: float, step: int) -> None:
        """Remember the weights as they are after so many steps, unless others were as good."""
        if score >= 0 and not 0 <= self.score <= score:
            self.score, self.step = score, step
            self._weights = _copied(self.network.state_dict())

    def settle(self, score: float, step: int, keep: Literal["best", "last"]) -> tuple[_Net, dict[str, Any]]:
        """Return the network that is the result, and which one that is, as plain values.

        Args:
            score: of the weights as they are.
            step: how many steps led there.
            keep: "best": a copy with the best weights, if others were better; "last": the network as it is.
        """
        back = keep == "best" and self.score >= 0 and not score <= self.score
        chosen = self.network
        if back:
            chosen = copy.deepcopy(chosen)
            chosen.load_state_dict(self._weights)
        told = {
            "step": self.step if back else step,
            "kept": keep,
            "score": self.score if back else score,
            "last_step": step,
            "last_score": score,
        }
        return chosen, told

    def state(self) -> dict[str, Tensor]:
        """Return everything that it remembers."""
        told = {f"best/{key}": value for key, value in self._weights.items()}
        score, step = torch.tensor(self.score, dtype=torch.float64), torch.tensor(self.step)
        return {"best_score": score, "best_step": step, **told}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self.score, self.step = float(state["best_score"]), int(state["best_step"])
        kept = {key.removeprefix("best/"): value for key, value in state.items() if key.startswith("best/")}
        self._weights = _copied(kept)


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in weights.items()}
