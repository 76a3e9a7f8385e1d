"""Networks that paint in one pass: the loss of the optimization, used to train a network instead of a picture.

`Perceptual` is that loss for a batch, in which each picture may have a style of its own. `Painting` is the method:
in every step a few photographs are painted, and the network's weights go down the gradient.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.losses import style_loss_named
from impasto.networks.vgg import VGG
from impasto.ops import resize, style_size, total_variation, wide
from impasto.options import PaintingOptions
from impasto.recipes import Engine, Recipe

__all__ = ["Painting", "Perceptual"]

_COLUMNS = 8  # of previews


class Perceptual:
    """Content, style and total variation of painted pictures, each a share of what an unrelated picture has.

    Args:
        encoder: the network that looks; it is not changed.
        styles: one or more `(1, 3, h, w)` RGB in [0, 1].
        options: weights and layers.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 3.1.
    Differs: losses are relative as in `objective.Objective`, so that a weight means the same for every style, and the
        content loss is measured in the style's energy.
    """

    def __init__(self, encoder: VGG, styles: Sequence[Tensor], options: PaintingOptions) -> None:
        self.encoder, self.options = encoder, options
        self.style = style_loss_named("gram")
        self.layers = tuple(dict.fromkeys([*options.content_layers, *options.style_layers]))
        self.targets: dict[str, Tensor] = {}
        self.energies: dict[str, Tensor] = {}
        with torch.no_grad():
            seen = [self._seen(style) for style in styles]
            for layer in options.style_layers:
                self.targets[layer] = torch.cat([self.style.statistics(maps[layer])[0] for maps in seen])
            for layer in options.content_layers:
                self.energies[layer] = torch.stack([wide(maps[layer]).square().mean() for maps in seen])

    def _seen(self, style: Tensor) -> dict[str, Tensor]:
        side = self.options.style_size
        size = style_size(style, (side, side), 1.0, self.encoder.minimum_size(self.layers))
        found: dict[str, Tensor] = self.encoder(
            resize(style, size).clamp(0, 1).to(self.encoder.gain.device), self.layers
        )
        return found

    def to(self, device: torch.device) -> None:
        """Move the targets and the network that looks."""
        self.encoder.to(device)
        self.targets = {layer: target.to(device) for layer, target in self.targets.items()}
        self.energies = {layer: energy.to(device) for layer, energy in self.energies.items()}

    def __call__(self, painted: Tensor, photographs: Tensor, which: Tensor) -> dict[str, Tensor]:
        """Return "content", "style", "tv" and "identity", each times its weight, as means over the batch.

        Args:
            painted: `(B, 3, H, W)` RGB, about in [0, 1].
            photographs: the same shape.
            which: `(B,)`, the number of each picture's style; -1: it should stay as it is.
        """
        options, styled = self.options, (which >= 0).to(painted.dtype)
        which = which.clamp_min(0)
        with torch.no_grad():
            wanted = self.encoder(photographs, tuple(options.content_layers))
        seen = self.encoder(painted, self.layers)
        style = content = painted.new_zeros(())
        for layer, weight in options.style_layers.items():
            grams, targets = self.style.statistics(seen[layer])[0], self.targets[layer][which]
            shares = (grams - targets).square().mean((1, 2)) / targets.square().mean((1, 2))
            style = style + weight * (styled * shares).mean()
        for layer, weight in options.content_layers.items():
            distances = (wide(seen[layer]) - wide(wanted[layer])).square().mean((1, 2, 3))
            content = content + weight * (styled * distances / (2 * self.energies[layer][which])).mean()
        away = (painted - photographs).square().mean((1, 2, 3))
        return {
            "content": options.content_weight * content,
            "style": options.style_weight * style,
            "tv": options.tv_weight * total_variation(painted),
            "identity": options.identity_weight * ((1 - styled) * away).mean(),
        }


class Painting(Recipe):
    """A network learns to paint photographs: in one style, or in as many as it has rows for.

    Args:
        name: of the method, as on the command line.
        network: takes `(B, 3, H, W)` in [0, 1] and gives the same; if it has `rows`, one for each picture is its
            second argument, and the first of them is the identity.
        encoder: the network that looks.
        styles: one or more `(1, 3, h, w)` RGB in [0, 1], with their names; in the order of the rows after the first.
        samples: `(n, 3, H, W)`, photographs that previews show.
        options: everything else.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155; many styles, Dumoulin, Shlens & Kudlur 2017,
        arXiv:1610.07629, section 2.2.
    Differs: each picture of a batch has a style of its own, drawn at random, and the identity is learned as one more.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        encoder: VGG,
        styles: Mapping[str, Tensor],
        samples: Tensor,
        options: PaintingOptions,
    ) -> None:
        self.name, self.network, self.options = name, network, options
        self.styles, self.samples = list(styles), samples
        self.loss = Perceptual(encoder, list(styles.values()), options)
        self.networks = {"painter": network}
        digests = {style: hashlib.sha256(look.numpy().tobytes()).hexdigest() for style, look in styles.items()}
        self.record = {"styles": digests}
        rows = getattr(network, "rows", None)
        shared = [weight for weight in network.parameters() if weight is not rows]
        groups = [{"params": shared, "lr": options.learning_rate}]
        groups += [] if rows is None else [{"params": [rows], "lr": options.learning_rate * options.row_rate}]
        self.optimizers = {"adam": torch.optim.Adam(groups)}
        self.first = 0 if rows is None else 1  # which number the first style has; below it is the identity

    def to(self, device: torch.device) -> None:
        """Move targets, the network that looks, and the photographs of the preview."""
        self.loss.to(device)
        self.samples = self.samples.to(device)

    def painted(self, photographs: Tensor, which: Tensor) -> Tensor:
        """Return photographs in the styles of these numbers."""
        rows = getattr(self.network, "rows", None)
        painted: Tensor = self.network(photographs) if rows is None else self.network(photographs, rows[which])
        return painted

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Paint the batch, each picture in a style drawn at random, and go down the gradient."""
        count = self.first + len(self.styles)
        which = torch.randint(count, (len(batch),), generator=engine.random).to(batch.device)
        painted = self.painted(batch, which)
        losses = self.loss(painted, batch, which - self.first)
        self.optimizers["adam"].zero_grad()
        engine.backward(torch.stack(list(losses.values())).sum())
        self.optimizers["adam"].step()
        return {name: loss.detach() for name, loss in losses.items()}

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each photograph: itself, then its paintings."""
        count = min(self.first + len(self.styles), _COLUMNS)
        rows = []
        for sample in self.samples:
            which = torch.arange(count, device=sample.device)
            rows.append(torch.cat([sample[None], self.painted(sample.expand(count, -1, -1, -1), which)]))
        return torch.stack(rows).float().clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the network's weights, and what `models.load_model` needs to know."""
        kind = type(self.network).__name__.lower()
        return dict(self.network.state_dict()), {"network": kind, "settings": self.network.settings}
