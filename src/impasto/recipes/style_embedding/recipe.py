"""A new style for a multi-style network: only the style embedding is trained."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from impasto.data.folders import DeadLeaves, PictureFolder
from impasto.errors import OptionError
from impasto.events import Event
from impasto.inference.style_prediction import predict_embedding
from impasto.networks.styled import StyledNetwork
from impasto.networks.vgg import VGG
from impasto.recipes.common import descend
from impasto.recipes.johnson.recipe import digest
from impasto.recipes.painters import (
    SAMPLE_SIZE,
    SAMPLES,
    encoder_of,
    open_base,
    sample_photos,
    style_image,
    style_name,
)
from impasto.recipes.perceptual import Perceptual
from impasto.recipes.style_embedding.options import StyleOptions
from impasto.training.monitor import BestCheckpoint, describe_choice
from impasto.training.recipe import Engine, Recipe, Setup, Site

__all__ = ["StyleEmbeddingRecipe"]

_HELD_OUT = 192  # px, side of the crops of photographs on which embeddings are compared
_HOLD_OUT_FROM = 12  # photographs: with fewer, all are trained on
_ENOUGH = 100  # steps, about, after which an embedding is near its best


class StyleEmbeddingRecipe(Recipe):
    """A style embedding for one more style of a multi-style network, whose weights are frozen.

    The embedding holds the parameters of the conditional instance normalization.

    Args:
        network: the multi-style network; it is not changed.
        encoder: feature extractor of the perceptual loss.
        name: of the style.
        style: the style image, `(1, 3, h, w)` RGB in [0, 1].
        samples: `(n, 3, H, W)`, photographs for previews that are not trained on; embeddings are compared on them.
        options: weights, learning rate and the rest.
        guess: `(N,)`, a predicted embedding, as one more candidate for the first one.
        base: name and fingerprint of the network.

    Source: Dumoulin, Shlens & Kudlur 2017, arXiv:1610.07629, section 3.2.
    Differs: the training starts from the known embedding with the lowest loss, from the mean of all, or from `guess`,
        instead of a random one. The result is the embedding with the lowest loss on `samples`, that of the start
        included: a short training never makes a style worse.
    """

    name = "style"
    caption = "left: photographs; right: the same, stylized"
    watch_steps = 25

    def __init__(
        self,
        network: StyledNetwork,
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
        self.loss = Perceptual(encoder, [style], options, network.depth)
        self.embedding = nn.ParameterList([nn.Parameter(network.with_palette(self._nearest(guess), style).clone())])
        self.networks = {"embedding": self.embedding}
        self.optimizers = {"adam": torch.optim.Adam(self.embedding.parameters(), options.learning_rate)}
        self._best = BestCheckpoint(self.embedding)
        self._choice: dict[str, Any] = {}
        weights = torch.cat([weight.flatten() for weight in network.state_dict().values()])
        self.record = {"style": digest(style), "network": digest(weights)}

    @classmethod
    def build(cls, data: Mapping[str, Any], options: StyleOptions, site: Site) -> Setup:
        """Read style image, photographs if there are any, and the multi-style network; see `Recipe.build`."""
        model, about = open_base(data["base"])
        assert isinstance(model.network, StyledNetwork)
        photos: PictureFolder | DeadLeaves
        if data["photos"]:
            photos = PictureFolder(data["photos"], options.crop, seed=options.seed)
            if len(photos) < _HOLD_OUT_FROM:
                samples = sample_photos(photos)
            else:
                samples = sample_photos(photos.part(range(SAMPLES)))
                photos = photos.part(range(SAMPLES, len(photos)))
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
        tried = tried[:, : self.network.learned_size]
        tried = tried if guess is None else torch.cat([tried, guess[None, : tried.shape[1]].to(tried)])
        return tried[int(torch.stack([self._held_out_loss(one) for one in tried]).argmin())]

    @torch.no_grad()
    def _held_out_loss(self, embedding: Tensor) -> Tensor:
        """Return the loss on the middle of photographs that are not trained on."""
        margin = (self.samples.shape[-1] - _HELD_OUT) // 2
        crops = self.samples[..., margin : margin + _HELD_OUT, margin : margin + _HELD_OUT]
        losses = self.loss(self.network.drafts(crops, embedding), crops, torch.zeros(len(crops), dtype=torch.long))
        return torch.stack(list(losses.values())).sum()

    def prepare(self) -> Iterator[Event]:
        """Measure the embedding that the training starts from."""
        if not self._steps():
            self._best.update(self._held_out_loss(self.embedding[0]).item(), 0)
        yield from ()

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Measure the present embedding on photographs that are not trained on, and remember the best one."""
        score = self._held_out_loss(self.embedding[0]).item()
        self._best.update(score, step)
        return {"held_out": score}, []

    def _steps(self) -> int:
        """Return the number of steps taken, from the state of Adam."""
        return int(max((float(state["step"]) for state in self.optimizers["adam"].state.values()), default=0))

    def to(self, device: torch.device) -> None:
        """Move the encoder, the multi-style network, and the photographs of the previews."""
        self.loss.to(device)
        self.network.to(device)
        self.samples = self.samples.to(device)

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Stylize the batch with the embedding, and take an optimizer step on the perceptual loss."""
        losses = self.loss(
            self.network.drafts(batch, self.embedding[0]), batch, torch.zeros(len(batch), dtype=torch.long)
        )
        del losses["identity"]
        return descend(losses, self.optimizers["adam"], engine)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each photograph: itself, then in the new style."""
        painted = self.network(self.samples, self.embedding[0])
        return torch.stack([self.samples, painted.float()], 1).clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the best embedding; and the name and fingerprint of its network."""
        name, fingerprint = self.base
        score = self._held_out_loss(self.embedding[0]).item()
        chosen, self._choice = self._best.choose(score, self._steps(), "best")
        header = {"network": "style", "settings": {"style": self.style}, "base": fingerprint, "based_on": name}
        return {"embedding": chosen[0].detach()}, {**header, "results": self._choice}

    def notes(self) -> list[str]:
        """Return which embedding is kept, and whether the machine was too slow."""
        notes = [describe_choice(self._choice)] if self._choice else []
        if self._steps() < _ENOUGH:
            notes.append(
                f"only {self._steps()} steps fitted into the time, expected {_ENOUGH} or more; "
                "allow more with --budget, or use a smaller --crop"
            )
        return notes

    def state(self) -> dict[str, Tensor]:
        """Return the best embedding so far, its score and its step."""
        return self._best.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._best.restore(state)
