"""Base class and helpers of image translation: adversarial losses, the best generators, crops, previews."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from impasto.data.folders import PictureFolder
from impasto.errors import OptionError
from impasto.evaluation.translation import ENOUGH
from impasto.events import Event, Note
from impasto.losses.adversarial import patch_adversarial_loss
from impasto.networks.patchgan import field_of_view
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.ops.augment import augmented
from impasto.recipes.options import TranslationOptions
from impasto.training.monitor import BestCheckpoint, Models, Monitor, describe_choice
from impasto.training.recipe import Recipe

__all__ = [
    "check_crop",
    "sample_pictures",
    "too_few",
    "training_marks",
    "Generator",
    "TranslationRecipe",
    "from_signed",
    "independent_of_batch",
    "to_signed",
    "translation_adam",
]

_SAMPLES = 3  # pictures of each domain in a preview
_BETAS = (0.5, 0.999)  # of Adam, in both papers

Generator = ResNetGenerator | UNetGenerator


class TranslationRecipe(Recipe):
    """Base class of the translation methods: adversarial losses, and the choice of the best generators.

    Attributes:
        remarks: notes before the first step, sentences without a full stop.
        results: measurements of the result; empty before `model` is called and without a monitor.
    """

    options: TranslationOptions
    kind: str  # of the adversarial loss
    averaged: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def _monitor(self, monitor: Monitor | None) -> None:
        """Set the monitor that measures the generators; None: the result is the last checkpoint.

        Call it after `networks` and `options` are set.
        """
        self.monitor = monitor
        self.watch_steps = 0 if monitor is None else monitor.every
        self._best = BestCheckpoint(nn.ModuleDict({name: self.networks[name] for name in self.averaged}))
        self._result, self.results, self._sentences = self._best.network, dict[str, Any](), list[str]()

    def prepare(self) -> Iterator[Event]:
        """Yield the remarks, and the events of the monitor's preparation."""
        yield from map(Note, self.remarks)
        if self.monitor is not None:
            yield from self.monitor.prepare()

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Measure the generators; remember their weights if their score is the best so far."""
        assert self.monitor is not None
        found = self.monitor.measure(step, _models(self._best.network))
        if found is None:
            return {}, []
        self._best.update(found.score, step)
        return found.measures, [] if found.alarm is None else [found.alarm]

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the first generator of the best or the last checkpoint, and its measurements."""
        last = None if self.monitor is None else self.monitor.measure(self._steps(), _models(self._best.network))
        if self.monitor is not None and last is not None:
            self._result, choice = self._best.choose(last.score, self._steps(), self.options.keep)
            found, sentences = self.monitor.finish(_models(self._result))
            self.results, self._sentences = {**choice, **found}, [describe_choice(choice), *sentences]
        return self._finished(self.averaged[0])

    def _finished(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a generator of the result: its weights, and its settings, direction and measurements."""
        network = cast("Generator", self._result[name])
        kind = "unet" if isinstance(network, UNetGenerator) else "resnet"
        header = {"network": kind, "settings": network.settings, "direction": self._direction(name)}
        return dict(network.state_dict()), header | ({"results": self.results} if self.results else {})

    def card(self) -> dict[str, Any]:
        """Return the architecture and settings of the first generator."""
        network = cast("Generator", self.networks[self.averaged[0]])
        kind = "unet" if isinstance(network, UNetGenerator) else "resnet"
        return {"network": kind, "settings": network.settings, "name": self.averaged[0]}

    def _direction(self, name: str) -> str:
        return "b to a" if name == "to_a" else "a to b"

    def _steps(self) -> int:
        """Return the number of steps taken, from the state of Adam."""
        states = next(iter(self.optimizers.values())).state.values()
        return int(max((float(state["step"]) for state in states), default=0))

    def notes(self) -> list[str]:
        """Return the results in words."""
        return self._sentences

    def state(self) -> dict[str, Tensor]:
        """Return the best generators so far and the monitor's state; empty without a monitor."""
        if self.monitor is None:
            return {}
        return self._best.state() | {f"monitor/{key}": value for key, value in self.monitor.state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        if self.monitor is not None:
            self._best.restore(state)
            kept = {key.removeprefix("monitor/"): value for key, value in state.items() if key.startswith("monitor/")}
            self.monitor.restore(kept)

    def _adversarial(self, discriminator: nn.Module, fake: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the generator's adversarial loss: the discriminator should classify the fakes as real."""
        fake = fake if condition is None else torch.cat([condition, fake], 1)
        return patch_adversarial_loss(discriminator(self._augmented(fake)), True, self.kind)

    def _discriminator_loss(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, condition: Tensor | None = None
    ) -> Tensor:
        """Return the discriminator's loss, halved as in both programs, so that it learns slower."""
        if condition is not None:
            real, fake = torch.cat([condition, real], 1), torch.cat([condition, fake], 1)
        if independent_of_batch(discriminator):  # one pass for both, for speed
            on_both = discriminator(torch.cat([self._augmented(real), self._augmented(fake)]))
            on_real, on_fake = on_both[: len(real)], on_both[len(real) :]
        else:  # batch statistics of real pictures and fakes must stay apart
            on_real, on_fake = discriminator(self._augmented(real)), discriminator(self._augmented(fake))
        return (
            patch_adversarial_loss(on_real, True, self.kind) + patch_adversarial_loss(on_fake, False, self.kind)
        ) / 2

    def _augmented(self, pictures: Tensor) -> Tensor:
        """Return the input of a discriminator, in [-1, 1], after DiffAugment."""
        kinds = self.options.augment
        return augmented(pictures / 2 + 0.5, kinds) * 2 - 1 if kinds else pictures


def translation_adam(networks: Sequence[nn.Module], learning_rate: float) -> torch.optim.Adam:
    """Return Adam over all weights of the networks, with the betas of both papers."""
    weights = list(chain.from_iterable(network.parameters() for network in networks))
    return torch.optim.Adam(weights, learning_rate, _BETAS, fused=True)


def independent_of_batch(network: nn.Module) -> bool:
    """Return whether a network's output for a picture is the same in any batch: it has no batch normalization."""
    return not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def to_signed(pictures: Tensor) -> Tensor:
    """Return pictures in [-1, 1] from pictures in [0, 1]."""
    return pictures * 2 - 1


def from_signed(pictures: Tensor) -> Tensor:
    """Return pictures in [0, 1] from pictures in [-1, 1], as a preview needs them: on the CPU, in float32."""
    return (pictures.float() / 2 + 0.5).clamp(0, 1).cpu()


def _models(networks: nn.ModuleDict) -> Models:
    return {name: partial(_translate, network) for name, network in networks.items()}


@torch.no_grad()
def _translate(network: nn.Module, pictures: Tensor) -> Tensor:
    translated: Tensor = cast("Generator", network).translate(to_signed(pictures))
    return (translated.float() / 2 + 0.5).clamp(0, 1)


def check_crop(options: TranslationOptions, multiple: int) -> None:
    """Check that the networks can take the crops.

    Raises:
        OptionError: the side is not a multiple, or it is too small for the discriminators.
    """
    if options.crop % multiple:
        raise OptionError(f"crop is {options.crop}; expected a multiple of {multiple}, as this network needs.")
    least = 4 * 2**options.discriminator_layers  # then the output has two positions or more across
    if options.crop < least:
        raise OptionError(
            f"crop is {options.crop}; expected {least} or more for discriminators of {options.discriminator_layers} "
            f"layers, whose receptive field is {field_of_view(options.discriminator_layers)} px; or use "
            "--discriminator-layers 1."
        )


def sample_pictures(data: PictureFolder) -> Tensor:
    """Return the pictures of the previews, without flips."""
    return data.part(range(len(data)), flip=False).batch(range(_SAMPLES))


def training_marks(*data: PictureFolder) -> dict[str, str]:
    """Return the training pictures' marks for the model's file, so that no evaluation uses those pictures."""
    return {"learned": "".join(mark for pictures in data for mark in pictures.marks)}


def too_few(what: str) -> tuple[str, ...]:
    """Return the remark about a set that is too small to hold pictures out."""
    sentence = f"{what}; of fewer than {ENOUGH} none are held out, so nothing is measured; we keep the last checkpoint"
    return (sentence,)
