"""Classifier of small pictures; evaluations measure generated samples and translations with its features."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.data.arrays import Sets, read_sets
from impasto.devices import find_device
from impasto.errors import ImageError
from impasto.networks.classifier import Classifier
from impasto.ops.augment import translated
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.image_sets import MOST_CLASSES, set_facts, set_name
from impasto.training.recipe import Engine, Recipe, Setup, Site, describe, seeded

__all__ = ["ClassifierRecipe", "shifted"]

_ROWS, _COLUMNS = 4, 8  # of previews
_PART = 1000  # held-out pictures in a forward pass


class ClassifierRecipe(Recipe):
    """A classifier, trained with cross-entropy; each batch is (pictures, labels).

    Pictures are `(B, C, H, W)`, bytes or floats in [0, 1]; labels are `(B,)` integers below `classes`. Random
    translations by up to `options.shift` pixels augment the pictures, so that a few thousand are enough.

    Args:
        network: the classifier.
        held: held-out pictures and their labels, on which the accuracy is measured; both may be empty.
        options: shift, learning rate and the rest.
    """

    name = "classifier"
    caption = "held-out pictures, in the order of the probability of their own class, the lowest first"

    def __init__(self, network: Classifier, held: tuple[Tensor, Tensor], options: ClassifierOptions) -> None:
        self.network, self.held, self.options = network, held, options
        self.networks = {"classifier": network}
        self.optimizers = {"adam": torch.optim.Adam(network.parameters(), options.learning_rate)}

    @classmethod
    def build(cls, data: Mapping[str, Any], options: ClassifierOptions, site: Site) -> Setup:
        """Read the set with its labels, and build the network; see `Recipe.build`."""
        images = data["images"]
        train, test = read_sets(images, crop=options.crop, colors=options.colors)
        batches = train.shuffled(options.seed).to(find_device(options.device)).labeled()
        if train.labels is None:
            raise ImageError(
                f"{set_name(images)} has no labels; expected a folder for each class, or labels in the file."
            )
        known = torch.cat([part.labels for part in (train, test) if part.labels is not None])
        low, high = int(known.min()), int(known.max())
        if low == high and train.names:
            raise ImageError(f"{set_name(images)} has only one class, {train.names[high]}; expected two or more.")
        if not 1 <= high < MOST_CLASSES:
            raise ImageError(f"labels are from {low} to {high}; expected two classes or more, numbered from 0.")
        network = seeded(options.seed, lambda: Classifier(high + 1, train.shape[0], train.shape[1:]))
        held = (test.images, test.labels) if test.labels is not None else (test.images[:0], torch.zeros(0).long())
        recipe = cls(network, held, options)
        recipe.about = set_facts(images, Sets(train, test))
        return Setup(recipe, batches, options)

    def card(self) -> dict[str, Any]:
        """Return the architecture and settings of the network."""
        return {**describe(self.network, "classifier"), "name": "classifier"}

    def to(self, device: torch.device) -> None:
        """Move the held-out pictures."""
        self.held = (self.held[0].to(device), self.held[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Take an optimizer step on the cross-entropy."""
        pictures, labels = batch
        logits = self.network(shifted(_unit(pictures), self.options.shift, engine.random))
        loss = F.cross_entropy(logits.float(), labels.long())
        adam = self.optimizers["adam"]
        adam.zero_grad()
        engine.backward(loss)
        adam.step()
        return {"cross_entropy": loss.detach(), "error": (logits.argmax(1) != labels).float().mean()}

    @torch.no_grad()
    def _probabilities(self) -> Tensor:
        """Return `(N, 2)` of the held-out pictures: probability of the own class, and 1 if that is the prediction."""
        parts = []
        for pictures, labels in zip(*(torch.split(part, _PART) for part in self.held), strict=True):
            probabilities = self.network(_unit(pictures)).float().softmax(1)
            own = probabilities.gather(1, labels.long()[:, None])[:, 0]
            parts.append(torch.stack([own, (probabilities.argmax(1) == labels).float()], 1))
        return torch.cat(parts) if parts else torch.zeros(0, 2)

    def preview(self) -> Tensor:
        """Return the held-out pictures whose own class is least probable, the lowest first."""
        worst = self._probabilities()[:, 0].argsort()[: _ROWS * _COLUMNS]
        height, width = self.network.size
        shown = torch.ones(_ROWS * _COLUMNS, 3, height, width)
        pictures = _unit(self.held[0][worst]).cpu()
        shown[: len(worst)] = pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1]
        return shown.view(_ROWS, _COLUMNS, 3, height, width)

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights, and the settings with the accuracy on the held-out pictures, in [0, 1]."""
        found = self._probabilities()
        accuracy = float(found[:, 1].mean()) if len(found) else None
        header = {"network": "classifier", "settings": self.network.settings, "accuracy": accuracy, "held": len(found)}
        return dict(self.network.state_dict()), header


def shifted(pictures: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Return pictures after random translations, one for each; zeros fill the border.

    Args:
        pictures: `(B, C, H, W)`.
        most: largest translation along each axis, in pixels.
        random: generator on the CPU.
    """
    moves = torch.randint(-most, most + 1, (2, len(pictures)), generator=random)
    return translated(pictures, moves, most)


def _unit(pictures: Tensor) -> Tensor:
    """Return pictures as floats in [0, 1]; bytes are divided by 255."""
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
