"""The perceptual loss of a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.losses.style import style_loss_named
from impasto.networks.vgg import VGG
from impasto.ops.precision import wide
from impasto.ops.resize import resize, style_size
from impasto.ops.total_variation import total_variation
from impasto.recipes.options import PaintingOptions

__all__ = ["Looks", "Perceptual"]


@dataclass(frozen=True)
class Looks:
    """What style pictures look like to the encoder, each a row of every tensor.

    Attributes:
        targets: Gram matrices `(S, C, C)` of each style layer.
        energies: mean squares `(S,)` of each content layer, in which content losses are measured.
    """

    targets: Mapping[str, Tensor]
    energies: Mapping[str, Tensor]

    def __getitem__(self, which: Tensor) -> "Looks":
        """Return those of these numbers."""
        return self._each(lambda values: values[which])

    def to(self, device: torch.device) -> "Looks":
        """Return them on a device."""
        return self._each(lambda values: values.to(device))

    def _each(self, function: Callable[[Tensor], Tensor]) -> "Looks":
        return Looks(*({key: function(v) for key, v in part.items()} for part in (self.targets, self.energies)))


class Perceptual:
    """Content, style and total variation of painted pictures, each a share of what an unrelated picture has.

    Args:
        encoder: the network that looks; it is not changed.
        styles: `(1, 3, h, w)` RGB in [0, 1] each; none if looks come with every call.
        options: weights and layers.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 3.1.
    Differs: losses are relative as in `objective.Objective`, so that a weight means the same for every style, and the
        content loss is measured in the style's energy.
    """

    def __init__(self, encoder: VGG, styles: Sequence[Tensor], options: PaintingOptions) -> None:
        self.encoder, self.options = encoder, options
        self.style = style_loss_named("gram")
        self.layers = tuple(dict.fromkeys([*options.content_layers, *options.style_layers]))
        seen = [self.looks(self._seen(style)) for style in styles]
        self.known = Looks(
            {layer: torch.cat([look.targets[layer] for look in seen]) for layer in options.style_layers if seen},
            {layer: torch.cat([look.energies[layer] for look in seen]) for layer in options.content_layers if seen},
        )

    @torch.no_grad()
    def _seen(self, style: Tensor) -> dict[str, Tensor]:
        side = self.options.style_size
        size = style_size(style, (side, side), 1.0, self.encoder.minimum_size(self.layers))
        found: dict[str, Tensor] = self.encoder(
            resize(style, size).clamp(0, 1).to(self.encoder.gain.device), self.layers
        )
        return found

    @torch.no_grad()
    def looks(self, features: Mapping[str, Tensor]) -> Looks:
        """Return what pictures look like whose features these are, `(S, C, H, W)` for each layer."""
        return Looks(
            {layer: self.style.statistics(features[layer])[0] for layer in self.options.style_layers},
            {layer: wide(features[layer]).square().mean((1, 2, 3)) for layer in self.options.content_layers},
        )

    def to(self, device: torch.device) -> None:
        """Move what is known of the styles, and the network that looks."""
        self.encoder.to(device)
        self.known = self.known.to(device)

    def __call__(
        self, painted: Tensor, photographs: Tensor, which: Tensor, looks: Looks | None = None
    ) -> dict[str, Tensor]:
        """Return "content", "style" and "tv", each times its weight, as means over the batch; and "identity".

        Args:
            painted: `(B, 3, H, W)` RGB, about in [0, 1].
            photographs: the same shape.
            which: `(B,)`, the number of each picture's style; -1: it should stay as it is, and how far it is from
                that, as mean square, is "identity".
            looks: of the styles that are counted; by default those that it was made with.
        """
        options, styled = self.options, (which >= 0).to(painted)
        looks = (looks or self.known)[which.to(painted.device).clamp_min(0)]
        with torch.no_grad():
            wanted = self.encoder(photographs, tuple(options.content_layers))
        seen = self.encoder(painted, self.layers)
        style = content = painted.new_zeros(())
        for layer, weight in options.style_layers.items():
            grams, targets = self.style.statistics(seen[layer])[0], looks.targets[layer]
            shares = (grams - targets).square().mean((1, 2)) / targets.square().mean((1, 2))
            style = style + weight * (styled * shares).mean()
        for layer, weight in options.content_layers.items():
            distances = (wide(seen[layer]) - wide(wanted[layer])).square().mean((1, 2, 3))
            content = content + weight * (styled * distances / (2 * looks.energies[layer])).mean()
        away = (painted - photographs).square().mean((1, 2, 3))
        return {
            "content": options.content_weight * content,
            "style": options.style_weight * style,
            "tv": options.tv_weight * total_variation(painted),
            "identity": ((1 - styled) * away).mean(),
        }
