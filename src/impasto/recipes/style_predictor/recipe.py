"""Any picture as a style: a network learns to find rows of a painter for paintings it has never seen."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.networks.multistyle import Painter
from impasto.networks.style_predictor import LAYERS, Predictor
from impasto.networks.vgg import VGG
from impasto.ops.moments import channel_moments
from impasto.ops.resize import resize
from impasto.recipes.descent import descend
from impasto.recipes.perceptual import Perceptual
from impasto.recipes.style_predictor.options import PredictorOptions
from impasto.training.recipe import Engine, Recipe

__all__ = ["Predicting"]

_COLUMNS = 6  # of previews


class Predicting(Recipe):
    """A predictor learns, for a painter that stays as it is; each batch is (photographs, paintings).

    Every photograph is painted with the row predicted for its painting, and the loss is that of the
    optimization: no row is ever given as an example.

    Args:
        predictor: made for rows of the painter.
        network: the painter; it is not changed.
        encoder: the network that looks, at paintings and at what is painted.
        usual: `(n, 3, h, w)`, paintings from which the predictor learns what is usual before it begins.
        samples: `(m, 3, H, W)` photographs and as many paintings `(m, 3, h, w)`, that previews show.
        options: everything else.
        base: what the painter is called, and its `load.fingerprint`.

    Source: Ghiasi et al. 2017, arXiv:1705.06830, section 3.
    Differs: the painter is not trained along; see `networks.predictor`.
    """

    name = "predictor"
    caption = "first row: paintings; each row below: a photograph, and what is made of it after each of them"

    def __init__(
        self,
        predictor: Predictor,
        network: Painter,
        encoder: VGG,
        usual: Tensor,
        samples: tuple[Tensor, Tensor],
        options: PredictorOptions,
        *,
        base: tuple[str, str] = ("", ""),
    ) -> None:
        self.predictor, self.network, self.samples, self.base = predictor, network.requires_grad_(False), samples, base
        self.loss = Perceptual(encoder, [], options)
        self.layers = tuple(dict.fromkeys([*self.loss.layers, *LAYERS]))
        seen = [self._seen(picture[None]) for picture in usual]
        moments = [tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in zip(*seen, strict=True)]
        predictor.accustom([(mean, second) for mean, second in moments], network.rows.detach()[1:])
        self.networks = {"predictor": predictor}
        self.optimizers = {"adam": torch.optim.Adam(predictor.parameters(), options.learning_rate)}
        self.record = {"base": base[1]}

    def _seen(self, paintings: Tensor) -> list[tuple[Tensor, Tensor]]:
        with torch.no_grad():
            return self._moments(self.loss.encoder(paintings, LAYERS))

    @staticmethod
    def _moments(features: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        return [channel_moments(features[layer]) for layer in LAYERS]

    def to(self, device: torch.device) -> None:
        """Move everything but the predictor."""
        self.loss.to(device)
        self.network.to(device)
        self.samples = (self.samples[0].to(device), self.samples[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Paint each photograph after its painting, and go down the gradient."""
        photographs, paintings = batch
        with torch.no_grad():
            features = self.loss.encoder(paintings, self.layers)
        rows = self.predictor(self._moments(features))
        painted = self.network(photographs, rows)
        losses = self.loss(painted, photographs, torch.arange(len(photographs)), self.loss.looks(features))
        del losses["identity"]
        return descend(losses, self.optimizers["adam"], engine)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row of the paintings, and one for each photograph: itself, then painted after each."""
        photographs, paintings = (pictures[:_COLUMNS] for pictures in self.samples)
        rows = self.predictor(self._seen(paintings))
        looks = resize(paintings, (photographs.shape[-2], photographs.shape[-1]))
        lines = [torch.cat([torch.ones_like(photographs[:1]), looks])]
        for photograph in photographs:
            painted = self.network(photograph.expand(len(rows), -1, -1, -1), rows)
            lines.append(torch.cat([photograph[None], painted.float()]))
        return torch.stack(lines).clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the predictor's weights, and which painter it belongs to."""
        name, fingerprint = self.base
        told = {"network": "predictor", "settings": self.predictor.settings, "base": fingerprint, "based_on": name}
        return dict(self.predictor.state_dict()), told
