"""Fast style transfer: a feed-forward network stylizes photographs in one pass (Johnson et al. 2016)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.checkpoints.model import CUSTOM, architecture_of
from impasto.data.folders import PictureFolder
from impasto.errors import OptionError
from impasto.io.files import find_pictures
from impasto.losses.grid import grid_energy
from impasto.networks.johnson import Johnson
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.networks.vgg import VGG
from impasto.ops.flow import synthetic_motion, warp
from impasto.recipes.common import descend
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.recipes.painters import begin_with, encoder_of, open_base, sample_photos, style_image, style_name
from impasto.recipes.perceptual import Perceptual
from impasto.training.recipe import Engine, Recipe, Setup, Site, seeded

__all__ = ["JohnsonRecipe", "PainterRecipe", "digest"]

_GRID = 16  # px; sides of crops are multiples of it, the stride of the deepest layer of the encoder
_COLUMNS = 8  # of previews


class JohnsonRecipe(Recipe):
    """A network stylizes photographs in one pass, trained with the perceptual loss; it has one style or many.

    A network of many styles has a style embedding for each: the parameters of its conditional instance normalization.

    Args:
        name: of the method, as on the command line.
        network: maps `(B, 3, H, W)` in [0, 1] to the same shape; if it has `embeddings`, its second argument is the
            embedding of each picture, and the first embedding is the identity.
        encoder: feature extractor of the perceptual loss.
        styles: style images by name, `(1, 3, h, w)` RGB in [0, 1] each; in the order of the embeddings after the first.
        samples: `(n, 3, H, W)`, photographs for previews.
        options: weights, crops, learning rate and the rest.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155; many styles: Dumoulin, Shlens & Kudlur 2017,
        arXiv:1610.07629, section 2.2.
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
    ) -> None:
        self.name, self.network, self.options = name, network, options
        self.styles, self.samples = list(styles), samples
        self.loss_weights = options.loss_weights
        self.loss = Perceptual(encoder, list(styles.values()), options)
        self.networks = {"painter": network}
        self.record = {"styles": {style: digest(image) for style, image in styles.items()}}
        embeddings = getattr(network, "embeddings", None)
        shared = [weight for weight in network.parameters() if weight is not embeddings]
        groups = [{"params": shared, "lr": options.learning_rate}]
        if embeddings is not None:
            groups.append({"params": [embeddings], "lr": options.learning_rate * options.embedding_rate})
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
        recipe = cls(name, network, encoder_of(options), images, sample_photos(photos), options)
        return Setup(recipe, photos, options)

    def card(self) -> dict[str, Any]:
        """Return the architecture and settings of the network."""
        return {**_described(self.network), "name": "painter"}

    def to(self, device: torch.device) -> None:
        """Move the encoder, its targets, and the photographs of the previews."""
        self.loss.to(device)
        self.samples = self.samples.to(device)

    def painted(self, photographs: Tensor, which: Tensor) -> Tensor:
        """Return photographs in the styles with these indices among the embeddings."""
        embeddings = getattr(self.network, "embeddings", None)
        styled: Tensor = (
            self.network(photographs) if embeddings is None else self.network(photographs, embeddings[which])
        )
        return styled

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Stylize the batch, each picture in a random style, and take an optimizer step on the perceptual loss."""
        which = torch.randint(len(self.styles), (len(batch),), generator=engine.random)
        if self.first:
            which[torch.rand(len(batch), generator=engine.random) < self.options.identity_share] = -1
        batch = self._window(batch, engine)
        moving = batch[::2] if self.options.stability_weight else batch[:0]
        moved, flow, mask = synthetic_motion(moving, engine.random)
        index = which + self.first
        painted = self.painted(torch.cat([batch, moved]), torch.cat([index, index[::2][: len(moved)]]))
        painted, painted_moved = painted[: len(batch)], painted[len(batch) :]
        losses = self.loss(painted, batch, which)
        losses["identity"] = self.options.identity_weight * losses["identity"]
        if self.options.grid_weight:
            losses["grid"] = self.options.grid_weight * grid_energy(painted)
        if len(moved):
            errors = mask * (painted_moved - warp(painted[::2], flow)).square()
            losses["stability"] = self.options.stability_weight * errors.mean() / mask.mean().clamp_min(1e-3)
        return descend(losses, self.optimizers["adam"], engine)

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
        raise OptionError(f"the network johnson has one style, not {len(styles)}; use the network light.")
    if options.network == "johnson":
        return Johnson(options.width or 32, 5 if options.blocks is None else options.blocks, scale=1.0)
    blocks = 6 if options.blocks is None else options.blocks
    return MultiStyleNetwork(options.width or 32, blocks, styles=[IDENTITY, *styles])


def _described(network: nn.Module) -> dict[str, Any]:
    """Return the architecture and settings of a network for the model's file."""
    architecture = architecture_of(network)
    if architecture != CUSTOM:
        return {"network": architecture, "settings": network.settings}
    name = f"{type(network).__module__}.{type(network).__qualname__}"
    return {"network": CUSTOM, "as": "painter", "class": name, "settings": {}}
