"""Style prediction: a network predicts the style embedding of any painting (Ghiasi et al. 2017)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.data.folders import Pairs, PictureFolder
from impasto.networks.style_predictor import LAYERS, StylePredictor, layer_moments
from impasto.networks.styled import StyledNetwork
from impasto.networks.vgg import VGG
from impasto.ops.resize import resize
from impasto.recipes.common import descend
from impasto.recipes.painters import SAMPLES, encoder_of, open_base, sample_photos
from impasto.recipes.perceptual import Perceptual
from impasto.recipes.predictors import fresh_predictor, standardize
from impasto.recipes.style_predictor.options import PredictorOptions
from impasto.training.recipe import Engine, Recipe, Setup, Site

__all__ = ["StylePredictorRecipe"]

_COLUMNS = 6  # of previews


class StylePredictorRecipe(Recipe):
    """A style predictor for a frozen multi-style network; each batch is (photographs, paintings).

    The network stylizes each photograph with the embedding that is predicted for its painting. The loss is the
    perceptual loss of the result; embeddings of known styles are no training targets.

    Args:
        predictor: predicts embeddings of the network.
        network: the multi-style network; it is not changed.
        encoder: feature extractor of the perceptual loss and of the predictor.
        reference: `(n, 3, h, w)`, reference paintings, whose features standardize the predictor's inputs.
        samples: `(m, 3, H, W)` photographs and as many paintings `(m, 3, h, w)`, for previews.
        options: weights, learning rate and the rest.
        base: name and fingerprint of the network.

    Source: Ghiasi et al. 2017, arXiv:1705.06830, section 3.
    Differs: the multi-style network is not trained jointly; see `networks.style_predictor` for the architecture.
    """

    name = "predictor"
    caption = "at the top: paintings; below: photographs, each of them stylized with each painting"

    def __init__(
        self,
        predictor: StylePredictor,
        network: StyledNetwork,
        encoder: VGG,
        reference: Tensor,
        samples: tuple[Tensor, Tensor],
        options: PredictorOptions,
        *,
        base: tuple[str, str] = ("", ""),
    ) -> None:
        self.predictor, self.network, self.samples, self.base = predictor, network.requires_grad_(False), samples, base
        self.loss_weights = options.loss_weights
        self.loss = Perceptual(encoder, [], options, network.depth)
        self.layers = tuple(dict.fromkeys([*self.loss.layers, *LAYERS]))
        standardize(predictor, encoder, reference, network)
        self.networks = {"predictor": predictor}
        self.optimizers = {"adam": torch.optim.Adam(predictor.parameters(), options.learning_rate)}
        self.record = {"base": base[1]}

    @classmethod
    def build(cls, data: Mapping[str, Any], options: PredictorOptions, site: Site) -> Setup:
        """Read paintings, photographs and the multi-style network, and build the predictor; see `Recipe.build`."""
        model, about = open_base(data["base"])
        network = model.network
        assert isinstance(network, StyledNetwork)
        pairs = Pairs(
            PictureFolder(data["photos"], options.crop, seed=options.seed),
            PictureFolder(data["paintings"], options.style_crop, seed=options.seed + 1),
        )
        encoder = encoder_of(options)
        sizes = {"directions": options.directions, "width": options.width}
        predictor = fresh_predictor(network, encoder, seed=options.seed, **sizes)
        reference = pairs.second.batch(range(min(options.reference_paintings, len(pairs.second))))
        samples = sample_photos(pairs.first), pairs.second.batch(range(SAMPLES))
        return Setup(cls(predictor, network, encoder, reference, samples, options, base=about), pairs, options)

    def _features(self, paintings: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the predictor's input from paintings: moments of the encoder's channels, for each of its layers."""
        with torch.no_grad():
            return layer_moments(self.loss.encoder(paintings, LAYERS))

    def to(self, device: torch.device) -> None:
        """Move the encoder, the multi-style network, and the pictures of the previews."""
        self.loss.to(device)
        self.network.to(device)
        self.samples = (self.samples[0].to(device), self.samples[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Stylize each photograph with the predicted embedding, and take an optimizer step on the perceptual loss."""
        photographs, paintings = batch
        with torch.no_grad():
            features = self.loss.encoder(paintings, self.layers)
        embeddings = self.predictor(layer_moments(features))
        drafts = self.network.drafts(photographs, embeddings)
        statistics = self.loss.statistics(paintings, features)
        losses = self.loss(drafts, photographs, torch.arange(len(photographs)), statistics)
        del losses["identity"]
        return descend(losses, self.optimizers["adam"], engine)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row of the paintings, and one for each photograph: itself, then in the style of each painting."""
        photographs, paintings = (pictures[:_COLUMNS] for pictures in self.samples)
        embeddings = self.predictor(self._features(paintings))
        styles = resize(paintings, (photographs.shape[-2], photographs.shape[-1]))
        rows = [torch.cat([torch.ones_like(photographs[:1]), styles])]
        for photograph in photographs:
            painted = self.network(photograph.expand(len(embeddings), -1, -1, -1), embeddings)
            rows.append(torch.cat([photograph[None], painted.float()]))
        return torch.stack(rows).clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the predictor's weights; and its settings, and the name and fingerprint of the multi-style network."""
        name, fingerprint = self.base
        header = {"settings": self.predictor.settings, "base": fingerprint, "based_on": name}
        return dict(self.predictor.state_dict()), {"network": "style_predictor", **header}
