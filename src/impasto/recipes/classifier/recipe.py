"""A network learns to tell classes of small pictures apart, so that sets of made ones can be measured with it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.networks.classifier import Classifier
from impasto.ops.augment import translated
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.training.recipe import Engine, Recipe

__all__ = ["Classifying", "shifted"]

_ROWS, _COLUMNS = 4, 8  # of previews
_LOOK = 1000  # held-out pictures at a time


class Classifying(Recipe):
    """A classifier learns; each batch is (pictures, labels).

    Pictures are `(B, C, H, W)`, bytes or numbers in [0, 1]; labels are `(B,)` whole numbers below `classes`. Each
    picture is moved by up to `options.shift` pixels, another way each time, so that a few thousand are enough.

    Args:
        network: learns.
        held: pictures and labels that are not learned from: on them it is told how good it became. Empty: unknown.
        options: everything else.
    """

    name = "classifier"
    caption = "held-out pictures, the one that it is most wrong about first"

    def __init__(self, network: Classifier, held: tuple[Tensor, Tensor], options: ClassifierOptions) -> None:
        self.network, self.held, self.options = network, held, options
        self.networks = {"classifier": network}
        self.optimizers = {"adam": torch.optim.Adam(network.parameters(), options.learning_rate)}

    def to(self, device: torch.device) -> None:
        """Move the pictures that are held out."""
        self.held = (self.held[0].to(device), self.held[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Go down the gradient of the cross entropy."""
        pictures, labels = batch
        logits = self.network(shifted(_unit(pictures), self.options.shift, engine.random))
        loss = F.cross_entropy(logits.float(), labels.long())
        adam = self.optimizers["adam"]
        adam.zero_grad()
        engine.backward(loss)
        adam.step()
        return {"cross_entropy": loss.detach(), "error": (logits.argmax(1) != labels).float().mean()}

    @torch.no_grad()
    def _chances(self) -> Tensor:
        """Return how likely each held-out picture is of its own class, as it sees it, and whether it is right."""
        rows = []
        for pictures, labels in zip(*(torch.split(part, _LOOK) for part in self.held), strict=True):
            chances = self.network(_unit(pictures)).float().softmax(1)
            own = chances.gather(1, labels.long()[:, None])[:, 0]
            rows.append(torch.stack([own, (chances.argmax(1) == labels).float()], 1))
        return torch.cat(rows) if rows else torch.zeros(0, 2)

    def preview(self) -> Tensor:
        """Return the held-out pictures that it is most wrong about, the worst first."""
        worst = self._chances()[:, 0].argsort()[: _ROWS * _COLUMNS]
        height, width = self.network.size
        shown = torch.ones(_ROWS * _COLUMNS, 3, height, width)
        pictures = _unit(self.held[0][worst]).cpu()
        shown[: len(worst)] = pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1]
        return shown.view(_ROWS, _COLUMNS, 3, height, width)

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights, and the share of held-out pictures that it names rightly."""
        chances = self._chances()
        accuracy = float(chances[:, 1].mean()) if len(chances) else None
        told = {"network": "classifier", "settings": self.network.settings, "accuracy": accuracy, "held": len(chances)}
        return dict(self.network.state_dict()), told


def shifted(pictures: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Return pictures moved by up to so many pixels, each its own way; what comes in is 0.

    Args:
        pictures: `(B, C, H, W)`.
        most: pixels, across and down.
        random: on the CPU.
    """
    moves = torch.randint(-most, most + 1, (2, len(pictures)), generator=random)
    return translated(pictures, moves, most)


def _unit(pictures: Tensor) -> Tensor:
    """Return pictures in [0, 1]; bytes are divided by 255."""
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
