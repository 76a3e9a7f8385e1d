"""A new style for a multi-style network: only the style embedding is trained."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from impasto.data.folders import DeadLeaves, PictureFolder
from impasto.errors import OptionError
from impasto.inference.style_prediction import predict_embedding
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.vgg import VGG
from impasto.recipes.common import descend
from impasto.recipes.johnson.recipe import digest
from impasto.recipes.painters import SAMPLE_SIZE, SAMPLES, encoder_of, open_base, sample_photos, style_image, style_name
from impasto.recipes.perceptual import Perceptual
from impasto.recipes.style_embedding.options import StyleOptions
from impasto.training.recipe import Engine, Recipe, Setup, Site

__all__ = ["StyleEmbeddingRecipe"]

_CHOICE = 128  # px, crops on which candidates for the first embedding are compared


class StyleEmbeddingRecipe(Recipe):
    """A style embedding for one more style of a multi-style network, whose weights are frozen.

    The embedding holds the parameters of the conditional instance normalization.

    Args:
        network: the multi-style network; it is not changed.
        encoder: feature extractor of the perceptual loss.
        name: of the style.
        style: the style image, `(1, 3, h, w)` RGB in [0, 1].
        samples: `(n, 3, H, W)`, photographs for previews; the first embedding is chosen on them, too.
        options: weights, learning rate and the rest.
        guess: `(N,)`, a predicted embedding, as one more candidate for the first one.
        base: name and fingerprint of the network.

    Source: Dumoulin, Shlens & Kudlur 2017, arXiv:1610.07629, section 3.2.
    Differs: the training starts from the known embedding with the lowest loss, from the mean of all, or from `guess`,
        instead of a random one.
    """

    name = "style"
    caption = "left: photographs; right: the same, stylized"

    def __init__(
        self,
        network: MultiStyleNetwork,
        encoder: VGG,
        name: str,
        style: Tensor,
        samples: Tensor,
        options: StyleOptions,
        *,
        guess: Tensor | None = None,
        base: tuple[str, str] = ("", ""),
    ) -> None:
        self.network, self.style, self.samples, self.base = network.requires_grad_(False), name, samples, base
        self.loss_weights = options.loss_weights
        self.loss = Perceptual(encoder, [style], options)
        self.embedding = nn.ParameterList([nn.Parameter(self._nearest(guess).clone())])
        self.networks = {"embedding": self.embedding}
        self.optimizers = {"adam": torch.optim.Adam(self.embedding.parameters(), options.learning_rate)}
        weights = torch.cat([weight.flatten() for weight in network.state_dict().values()])
        self.record = {"style": digest(style), "network": digest(weights)}

    @classmethod
    def build(cls, data: Mapping[str, Any], options: StyleOptions, site: Site) -> Setup:
        """Read style image, photographs if there are any, and the multi-style network; see `Recipe.build`."""
        model, about = open_base(data["base"])
        assert isinstance(model.network, MultiStyleNetwork)
        photos: PictureFolder | DeadLeaves
        if data["photos"]:
            photos = PictureFolder(data["photos"], options.crop, seed=options.seed)
            samples = sample_photos(photos)
        else:
            photos = DeadLeaves(options.crop, seed=options.seed)
            samples = DeadLeaves(SAMPLE_SIZE, seed=options.seed + 1, scenes=SAMPLES).batch(range(SAMPLES))
        style = style_image(data["style"], options)
        size, device, precision = options.style_size, options.device, options.precision
        try:
            guess = predict_embedding(model.fingerprint, style, size=size, device=device, precision=precision)
        except OptionError:  # there is no predictor for this network: the nearest known embedding is the start
            guess = None
        name = style_name(data["style"])
        recipe = cls(model.network, encoder_of(options), name, style, samples, options, guess=guess, base=about)
        return Setup(recipe, photos, options)

    @torch.no_grad()
    def _nearest(self, guess: Tensor | None) -> Tensor:
        """Return the candidate with the lowest loss before the training."""
        known = self.network.embeddings[1:]
        tried = torch.cat([known, known.mean(0, keepdim=True)]) if len(known) else self.network.embeddings
        tried = tried if guess is None else torch.cat([tried, guess[None].to(tried)])
        crops, which = self.samples[..., :_CHOICE, :_CHOICE], torch.zeros(len(self.samples), dtype=torch.long)
        totals = [sum(self.loss(self.network(crops, one), crops, which).values(), torch.zeros(())) for one in tried]
        return tried[int(torch.stack(totals).argmin())]

    def to(self, device: torch.device) -> None:
        """Move the encoder, the multi-style network, and the photographs of the previews."""
        self.loss.to(device)
        self.network.to(device)
        self.samples = self.samples.to(device)

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Stylize the batch with the embedding, and take an optimizer step on the perceptual loss."""
        losses = self.loss(self.network(batch, self.embedding[0]), batch, torch.zeros(len(batch), dtype=torch.long))
        del losses["identity"]
        return descend(losses, self.optimizers["adam"], engine)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each photograph: itself, then in the new style."""
        painted = self.network(self.samples, self.embedding[0])
        return torch.stack([self.samples, painted.float()], 1).clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the embedding; and the name and fingerprint of its network."""
        name, fingerprint = self.base
        header = {"network": "style", "settings": {"style": self.style}, "base": fingerprint, "based_on": name}
        return {"embedding": self.embedding[0].detach()}, header
