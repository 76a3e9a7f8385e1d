"""What recipes of image translation share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from impasto.events import Event, Note
from impasto.losses.least_squares import adversarial_loss
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.ops.augment import augmented
from impasto.recipes.options import TranslationOptions
from impasto.training.monitor import Best, Look
from impasto.training.recipe import Recipe

__all__ = [
    "Generator",
    "Referee",
    "TranslationRecipe",
    "Way",
    "from_signed",
    "independent_of_batch",
    "to_signed",
    "translation_adam",
]

_BETAS = (0.5, 0.999)  # of Adam, in both papers


Generator = ResNetGenerator | UNetGenerator


Way = Callable[[Tensor], Tensor]  # pictures (B, 3, H, W) in [0, 1] to translated ones


class Referee(Protocol):
    """What looks at translations of pictures that nobody learns from, without changing how networks learn."""

    def prepare(self) -> Iterator[Event]:
        """Yield what happens until it can look; see `Recipe.prepare`."""

    def look(self, ways: Mapping[str, Way]) -> Look | None:
        """Look at what networks make, by name of the network; None if nothing can be said, as is known from then on."""

    def finish(self, ways: Mapping[str, Way]) -> tuple[dict[str, Any], list[str]]:
        """Return all that can be said of the result, ready for `json.dumps`, and in sentences without a full stop."""


class TranslationRecipe(Recipe):
    """What all methods share: how discriminators are asked, and that the best generators are kept.

    Attributes:
        remarks: what a person should know before the first step, sentences without a full stop.
        results: how good the result is; empty until `model` was asked, or if nobody looks.
    """

    options: TranslationOptions
    kind: str  # of the adversarial loss
    averaged: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def _watched(self, referee: Referee | None) -> None:
        """Let a referee look at the generators, once there are `networks` and `options`; None: the last are kept."""
        self.referee = referee
        self.watch_steps = 0 if referee is None else self.options.watch_steps
        self._best = Best(nn.ModuleDict({name: self.networks[name] for name in self.averaged}))
        self._result, self.results, self._told = self._best.network, dict[str, Any](), list[str]()

    def prepare(self) -> Iterator[Event]:
        """Yield what there is to know, and what the referee does before it can look."""
        yield from map(Note, self.remarks)
        if self.referee is not None:
            yield from self.referee.prepare()

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Let the referee look; remember the generators if they are the best so far."""
        assert self.referee is not None
        found = self.referee.look(_ways(self._best.network))
        if found is None:
            return {}, []
        self._best.see(found.score, step)
        return found.measures, [] if found.alarm is None else [found.alarm]

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the generator, or the first of them, as it was best or is now; and how good it is."""
        last = None if self.referee is None else self.referee.look(_ways(self._best.network))
        if self.referee is not None and last is not None:
            self._result, told = self._best.settle(last.score, self._steps(), self.options.keep)
            found, self._told = self.referee.finish(_ways(self._result))
            self.results = {**told, **found}
            if told["step"] != told["last_step"]:
                score, then = told["score"], told["last_score"]
                kept = f"what was best is kept, of step {told['step']:,}: score {score:.3g}, of the last one {then:.3g}"
                self._told = [kept, *self._told]
        return self._finished(self.averaged[0])

    def _finished(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a generator of the result: its weights, what builds it, which way it goes, and how good it is."""
        network = cast("Generator", self._result[name])
        kind = "unet" if isinstance(network, UNetGenerator) else "resnet"
        told = {"network": kind, "settings": network.settings, "direction": self._direction(name)}
        return dict(network.state_dict()), told | ({"results": self.results} if self.results else {})

    def _direction(self, name: str) -> str:
        return "b to a" if name == "to_a" else "a to b"

    def _steps(self) -> int:
        """Return how many steps were taken, as Adam counts them."""
        known = next(iter(self.optimizers.values())).state.values()
        return int(max((float(told["step"]) for told in known), default=0))

    def notes(self) -> list[str]:
        """Return the results in words."""
        return self._told

    def state(self) -> dict[str, Tensor]:
        """Return the best generators so far, if somebody looks."""
        return {} if self.referee is None else self._best.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take them up."""
        if self.referee is not None:
            self._best.restore(state)

    def _fooled(self, judge: nn.Module, made: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return the generator's adversarial loss: how far it is from passing for real."""
        seen = made if beside is None else torch.cat([beside, made], 1)
        return adversarial_loss(judge(self._changed(seen)), True, self.kind)

    def _judged(self, judge: nn.Module, real: Tensor, made: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return the discriminator's loss, halved as in both programs, so that it learns slower."""
        if beside is not None:
            real, made = torch.cat([beside, real], 1), torch.cat([beside, made], 1)
        if independent_of_batch(judge):  # both at once, for speed
            said = judge(torch.cat([self._changed(real), self._changed(made)]))
            of_real, of_made = said[: len(real)], said[len(real) :]
        else:  # statistics of a batch must not be mixed
            of_real, of_made = judge(self._changed(real)), judge(self._changed(made))
        return (adversarial_loss(of_real, True, self.kind) + adversarial_loss(of_made, False, self.kind)) / 2

    def _changed(self, pictures: Tensor) -> Tensor:
        changes = self.options.augment
        return augmented(pictures / 2 + 0.5, changes) * 2 - 1 if changes else pictures


def translation_adam(networks: Sequence[nn.Module], learning_rate: float) -> torch.optim.Adam:
    weights = list(chain.from_iterable(network.parameters() for network in networks))
    return torch.optim.Adam(weights, learning_rate, _BETAS, fused=True)


def independent_of_batch(network: nn.Module) -> bool:
    """Return whether a network makes of each picture what it makes of it alone."""
    return not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def to_signed(pictures: Tensor) -> Tensor:
    return pictures * 2 - 1


def from_signed(pictures: Tensor) -> Tensor:
    return (pictures.float() / 2 + 0.5).clamp(0, 1).cpu()


def _ways(networks: nn.ModuleDict) -> dict[str, Way]:
    return {name: partial(_way, network) for name, network in networks.items()}


@torch.no_grad()
def _way(network: nn.Module, pictures: Tensor) -> Tensor:
    made: Tensor = cast("Generator", network).translate(to_signed(pictures))
    return (made.float() / 2 + 0.5).clamp(0, 1)
