"""Fast style transfer: a feed-forward network stylizes photographs in one pass (Johnson et al. 2016)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.checkpoints.files import PREDICTOR
from impasto.checkpoints.load import fingerprint
from impasto.checkpoints.model import CUSTOM, architecture_of
from impasto.data.folders import Pairs, PictureFolder
from impasto.errors import OptionError
from impasto.io.files import find_pictures
from impasto.losses.grid import grid_energy
from impasto.networks.johnson import Johnson
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.pyramid import PyramidNetwork
from impasto.networks.style_predictor import LAYERS, StylePredictor, layer_moments
from impasto.networks.styled import IDENTITY, StyledNetwork
from impasto.networks.vgg import VGG
from impasto.ops.flow import resize_flow, synthetic_motion, warp
from impasto.recipes.common import descend
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.recipes.painters import (
    begin_with,
    encoder_of,
    open_base,
    sample_photos,
    style_image,
    style_name,
)
from impasto.recipes.perceptual import Perceptual, StyleStatistics
from impasto.recipes.predictors import fresh_predictor, standardize
from impasto.training.recipe import Engine, Recipe, Setup, Site, seeded

__all__ = ["JohnsonRecipe", "PainterRecipe", "digest"]

_GRID = 16  # px; sides of crops are multiples of it, the stride of the deepest layer of the encoder
_COLUMNS = 8  # of previews
_PREDICTOR_SIZES = {"directions": 24, "width": 256}  # of a style predictor that is trained with the network
_REFERENCE = 400  # paintings whose features standardize its inputs


class JohnsonRecipe(Recipe):
    """A network stylizes photographs in one pass, trained with the perceptual loss; it has one style or many.

    A network of many styles has a style embedding for each: the parameters of its conditional instance normalization.
    With paintings, a style predictor is trained beside it: some pictures of each batch take a random painting as their
    style, with the embedding that is predicted for it.

    Args:
        name: of the method, as on the command line.
        network: maps `(B, 3, H, W)` in [0, 1] to the same shape; if it has `embeddings`, its second argument is the
            embedding of each picture, and the first embedding is the identity.
        encoder: feature extractor of the perceptual loss.
        styles: style images by name, `(1, 3, h, w)` RGB in [0, 1] each; in the order of the embeddings after the first.
        samples: `(n, 3, H, W)`, photographs for previews.
        options: weights, crops, learning rate and the rest.
        predictor: a style predictor for the network, and reference paintings `(n, 3, h, w)`, whose features standardize
            its inputs.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155; many styles: Dumoulin, Shlens & Kudlur 2017,
        arXiv:1610.07629, section 2.2; a predictor trained with the network: Ghiasi et al. 2017, arXiv:1705.06830.
    Differs: each picture of a batch has its own random style, and the identity is one more style. Crops grow during
        the training. A stability loss stylizes every second picture once more after a synthetic motion, and compares
        (Wang et al. 2020, see `flow.synthetic_motion`): against flicker, and against patterns fixed to the pixel grid.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        encoder: VGG,
        styles: Mapping[str, Tensor],
        samples: Tensor,
        options: JohnsonOptions,
        predictor: tuple[StylePredictor, Tensor] | None = None,
    ) -> None:
        self.name, self.network, self.options = name, network, options
        self.styles, self.samples = list(styles), samples
        self.loss_weights = options.loss_weights
        self.depth = network.depth if isinstance(network, StyledNetwork) else 1
        self.loss = Perceptual(encoder, list(styles.values()), options, self.depth)
        self.networks: dict[str, nn.Module] = {"painter": network}
        self.record = {"styles": {style: digest(image) for style, image in styles.items()}}
        embeddings = getattr(network, "embeddings", None)
        if isinstance(network, StyledNetwork):
            with torch.no_grad():
                for index, image in enumerate(styles.values(), 1):
                    network.embeddings[index] = network.with_palette(network.embeddings[index], image)
        shared = [weight for weight in network.parameters() if weight is not embeddings]
        groups: list[dict[str, Any]] = [{"params": shared, "lr": options.learning_rate}]
        if embeddings is not None:
            groups.append({"params": [embeddings], "lr": options.learning_rate * options.embedding_rate})
        self.predictor = None if predictor is None else predictor[0]
        if predictor is not None:
            assert isinstance(network, StyledNetwork)
            reading, reference = predictor
            standardize(reading, encoder, reference, network)
            self.networks["predictor"] = reading
            groups.append({"params": list(reading.parameters()), "lr": options.learning_rate})
        self.optimizers = {"adam": torch.optim.Adam(groups)}
        self.first = 0 if embeddings is None else 1  # index of the first style's embedding; the identity has 0

    @classmethod
    def build(cls, data: Mapping[str, Any], options: JohnsonOptions, site: Site) -> Setup:
        """Read style image and photographs, and build the network; see `Recipe.build`."""
        return cls._built({style_name(data["style"]): data["style"]}, data, options, site)

    @classmethod
    def _built(cls, styles: Mapping[str, Any], data: Mapping[str, Any], options: JohnsonOptions, site: Site) -> Setup:
        if not styles:
            raise OptionError("there is no style image; expected one or more.")
        photos = PictureFolder(data["photos"], options.crop, seed=options.seed)
        images = {name: style_image(style, options) for name, style in styles.items()}
        if isinstance(site.network, nn.Module):
            network = site.network
        else:
            network = seeded(options.seed, lambda: _network(list(images), options))
        if data.get("start") is not None:
            begin_with(network, open_base(data["start"])[0])
        name = "johnson" if len(images) == 1 else "painter"
        samples, encoder = sample_photos(photos), encoder_of(options)
        if not data.get("paintings"):
            return Setup(cls(name, network, encoder, images, samples, options), photos, options)
        if not isinstance(network, StyledNetwork):
            raise OptionError("paintings train a style predictor, which needs a multi-style network; use pyramid.")
        paintings = PictureFolder(data["paintings"], options.style_crop, seed=options.seed + 1)
        predictor = fresh_predictor(network, encoder, seed=options.seed, **_PREDICTOR_SIZES)
        reference = paintings.batch(range(min(_REFERENCE, len(paintings))))
        recipe = cls(name, network, encoder, images, samples, options, (predictor, reference))
        return Setup(recipe, Pairs(photos, paintings), options)

    def card(self) -> dict[str, Any]:
        """Return the architecture and settings of the network."""
        return {**_described(self.network), "name": "painter"}

    def to(self, device: torch.device) -> None:
        """Move the encoder, its targets, and the photographs of the previews."""
        self.loss.to(device)
        self.samples = self.samples.to(device)

    def painted(self, photographs: Tensor, which: Tensor) -> Tensor:
        """Return photographs in the styles with these indices among the embeddings."""
        return self._paint(photographs, self._embeddings(which))

    def _embeddings(self, which: Tensor) -> Tensor | None:
        embeddings: Tensor | None = getattr(self.network, "embeddings", None)
        return None if embeddings is None else embeddings[which.to(embeddings.device)]

    def _noise(self, batch: Tensor, flow: Tensor) -> list[Tensor]:
        """Return the network's noise for a batch, and for its moved pictures the same noise, moved with them.

        Where a photograph is flat, strokes can grow from noise only. Other noise would make them a lack of stability.
        """
        parts = self.network.noise(batch) if isinstance(self.network, StyledNetwork) else []
        flows = [resize_flow(flow, (part.shape[-2], part.shape[-1])).round() for part in parts]  # no noise is averaged
        return [
            torch.cat([part, warp(part[::2][: len(flow)], moved)]) for part, moved in zip(parts, flows, strict=True)
        ]

    def _drafts(
        self, photographs: Tensor, embeddings: Tensor | None, noise: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """Return the drafts of photographs, and their stylized pictures last."""
        if isinstance(self.network, StyledNetwork):
            assert embeddings is not None
            return self.network.drafts(photographs, embeddings, noise)
        return [self._paint(photographs, embeddings)]

    def _paint(self, photographs: Tensor, embeddings: Tensor | None) -> Tensor:
        painted: Tensor = self.network(photographs) if embeddings is None else self.network(photographs, embeddings)
        return painted

    def step(self, batch: Any, engine: Engine) -> dict[str, Tensor]:
        """Stylize the batch, each picture in a random style, and take an optimizer step on the perceptual loss."""
        batch, paintings = batch if isinstance(batch, tuple | list) else (batch, None)
        which = torch.randint(len(self.styles), (len(batch),), generator=engine.random)
        if self.first and self.depth == 1:  # a pyramid without its residuals is the identity, untrained
            which[torch.rand(len(batch), generator=engine.random) < self.options.identity_share] = -1
        batch = self._window(batch, engine)
        embeddings, statistics = self._embeddings(which + self.first), self.loss.known
        if paintings is not None:
            embeddings, statistics, which = self._with_paintings(paintings, embeddings, which)
        moving = batch[::2] if self.options.stability_weight else batch[:0]
        moved, flow, mask = synthetic_motion(moving, engine.random)
        again = None if embeddings is None else torch.cat([embeddings, embeddings[::2][: len(moved)]])
        drafts = self._drafts(torch.cat([batch, moved]), again, self._noise(batch, flow))
        painted, painted_moved = drafts[-1][: len(batch)], drafts[-1][len(batch) :]
        losses = self.loss([draft[: len(batch)] for draft in drafts], batch, which, statistics)
        losses["identity"] = self.options.identity_weight * losses["identity"]
        if self.options.grid_weight:
            losses["grid"] = self.options.grid_weight * grid_energy(painted)
        if len(moved):
            errors = mask * (painted_moved - warp(painted[::2], flow)).square()
            losses["stability"] = self.options.stability_weight * errors.mean() / mask.mean().clamp_min(1e-3)
        return descend(losses, self.optimizers["adam"], engine)

    def _with_paintings(
        self, paintings: Tensor, embeddings: Tensor | None, which: Tensor
    ) -> tuple[Tensor, list[StyleStatistics], Tensor]:
        """Let the last pictures of a batch take paintings as styles; return what they and the others have for each."""
        assert self.predictor is not None and embeddings is not None and isinstance(self.network, StyledNetwork)
        paintings = paintings[: max(1, round(self.options.painting_share * len(which)))]
        with torch.no_grad():
            features = self.loss.encoder(paintings, tuple(dict.fromkeys([*self.loss.layers, *LAYERS])))
        predicted = self.predictor(layer_moments(features))
        others = which[: len(which) - len(paintings)]
        found = zip(self.loss.known, self.loss.statistics(paintings, features), strict=True)
        statistics = [StyleStatistics.joined([known[others.clamp_min(0)], more]) for known, more in found]
        each = torch.arange(len(which))
        each[: len(others)][others < 0] = -1
        predicted = self.network.whole(predicted.to(embeddings))
        return torch.cat([embeddings[: len(others)], predicted]), statistics, each

    def _window(self, batch: Tensor, engine: Engine) -> Tensor:
        """Return a random crop of the batch: small and fast in the first half, then growing to the whole."""
        last = batch.shape[-1]
        start = min(self.options.first_crop, last)
        side = start * (last / start) ** max(0.0, 2 * engine.progress - 1)
        side = min(last, round(side / _GRID) * _GRID)
        top, left = torch.randint(last - side + 1, (2,), generator=engine.random).tolist()
        return batch[..., top : top + side, left : left + side].contiguous()

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each photograph: itself, then stylized in each style."""
        count = min(self.first + len(self.styles), _COLUMNS)
        rows = []
        for sample in self.samples:
            which = torch.arange(count, device=sample.device)
            rows.append(torch.cat([sample[None], self.painted(sample.expand(count, -1, -1, -1), which)]))
        return torch.stack(rows).float().clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the network's weights, and its architecture and settings, from which `load` builds it."""
        return dict(self.network.state_dict()), _described(self.network)

    def more_models(self) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
        """Return the style predictor, if one was trained beside the network."""
        if self.predictor is None:
            return {}
        assert isinstance(self.network, StyledNetwork)
        header: dict[str, Any] = {"base": fingerprint(self.network), "based_on": self.name}
        header |= {"network": "style_predictor", "settings": self.predictor.settings}
        return {PREDICTOR: (dict(self.predictor.state_dict()), header)}


def digest(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's bytes, in hex."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


class PainterRecipe(JohnsonRecipe):
    """A network of many styles, trained as `JohnsonRecipe` trains, with a style embedding for each style image."""

    @classmethod
    def build(cls, data: Mapping[str, Any], options: JohnsonOptions, site: Site) -> Setup:
        """Read style images and photographs, and build the network; see `Recipe.build`."""
        styles = data["styles"]
        if not isinstance(styles, Mapping):
            styles = {path.stem: path for path in find_pictures(styles)}
        return cls._built(styles, data, options, site)


def _network(styles: Sequence[str], options: JohnsonOptions) -> nn.Module:
    if options.network == "johnson" and len(styles) > 1:
        raise OptionError(f"the network johnson has one style, not {len(styles)}; use the network pyramid.")
    if options.network == "johnson":
        return Johnson(options.width or 32, 5 if options.blocks is None else options.blocks, scale=1.0)
    if options.network == "pyramid":
        return PyramidNetwork(options.level_widths, options.level_blocks, styles=[IDENTITY, *styles])
    blocks = 6 if options.blocks is None else options.blocks
    return MultiStyleNetwork(options.width or 32, blocks, styles=[IDENTITY, *styles])


def _described(network: nn.Module) -> dict[str, Any]:
    """Return the architecture and settings of a network for the model's file."""
    architecture = architecture_of(network)
    if architecture != CUSTOM:
        return {"network": architecture, "settings": network.settings}
    name = f"{type(network).__module__}.{type(network).__qualname__}"
    return {"network": CUSTOM, "as": "painter", "class": name, "settings": {}}
