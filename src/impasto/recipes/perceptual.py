"""The perceptual loss of a batch: content, style and total variation (Johnson et al. 2016)."""

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

__all__ = ["Perceptual", "StyleStatistics"]


@dataclass(frozen=True)
class StyleStatistics:
    """Statistics of the encoder's features for S style images; the first dimension of every tensor is the style.

    Attributes:
        targets: Gram matrices `(S, C, C)` of each style layer.
        energies: mean squares `(S,)` of each content layer, the unit of the content loss.
    """

    targets: Mapping[str, Tensor]
    energies: Mapping[str, Tensor]

    def __getitem__(self, which: Tensor) -> "StyleStatistics":
        """Return the statistics of the styles with these indices."""
        return self._each(lambda values: values[which])

    def to(self, device: torch.device) -> "StyleStatistics":
        """Return the statistics on a device."""
        return self._each(lambda values: values.to(device))

    def _each(self, function: Callable[[Tensor], Tensor]) -> "StyleStatistics":
        parts = ({key: function(v) for key, v in part.items()} for part in (self.targets, self.energies))
        return StyleStatistics(*parts)


class Perceptual:
    """Content loss, style loss and total variation of stylized pictures.

    The content and the style loss are fractions: 1 is about the loss of an unrelated picture.

    Args:
        encoder: the feature extractor, which is not trained.
        styles: style images, `(1, 3, h, w)` RGB in [0, 1] each; empty if every call brings its statistics.
        options: weights and layers.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 3.1.
    Differs: losses are relative as in `objective.Objective`, so that a weight means the same for every style, and the
        content loss is measured in the style's energy.
    """

    def __init__(self, encoder: VGG, styles: Sequence[Tensor], options: PaintingOptions) -> None:
        self.encoder, self.options = encoder, options
        self.style = style_loss_named("gram")
        self.layers = tuple(dict.fromkeys([*options.content_layers, *options.style_layers]))
        found = [self.statistics(self._features(style)) for style in styles]
        self.known = StyleStatistics(
            {layer: torch.cat([one.targets[layer] for one in found]) for layer in options.style_layers if found},
            {layer: torch.cat([one.energies[layer] for one in found]) for layer in options.content_layers if found},
        )

    @torch.no_grad()
    def _features(self, style: Tensor) -> dict[str, Tensor]:
        side = self.options.style_size
        size = style_size(style, (side, side), 1.0, self.encoder.minimum_size(self.layers))
        found: dict[str, Tensor] = self.encoder(
            resize(style, size).clamp(0, 1).to(self.encoder.gain.device), self.layers
        )
        return found

    @torch.no_grad()
    def statistics(self, features: Mapping[str, Tensor]) -> StyleStatistics:
        """Return the statistics of style images from their features, `(S, C, H, W)` of each layer."""
        return StyleStatistics(
            {layer: self.style.statistics(features[layer])[0] for layer in self.options.style_layers},
            {layer: wide(features[layer]).square().mean((1, 2, 3)) for layer in self.options.content_layers},
        )

    def to(self, device: torch.device) -> None:
        """Move the encoder and the statistics of the styles."""
        self.encoder.to(device)
        self.known = self.known.to(device)

    def __call__(
        self, painted: Tensor, photographs: Tensor, which: Tensor, statistics: StyleStatistics | None = None
    ) -> dict[str, Tensor]:
        """Return the losses "content", "style" and "tv", each times its weight, and "identity"; means over the batch.

        Args:
            painted: stylized pictures, `(B, 3, H, W)` RGB, about in [0, 1].
            photographs: the same shape.
            which: `(B,)`, the index of each picture's style; -1: the identity, whose mean squared error is "identity".
            statistics: of the styles that `which` counts; by default those of the constructor's styles.
        """
        options, styled = self.options, (which >= 0).to(painted)
        statistics = (statistics or self.known)[which.to(painted.device).clamp_min(0)]
        with torch.no_grad():
            content_features = self.encoder(photographs, tuple(options.content_layers))
        features = self.encoder(painted, self.layers)
        style = content = painted.new_zeros(())
        for layer, weight in options.style_layers.items():
            grams, targets = self.style.statistics(features[layer])[0], statistics.targets[layer]
            fractions = (grams - targets).square().mean((1, 2)) / targets.square().mean((1, 2))
            style = style + weight * (styled * fractions).mean()
        for layer, weight in options.content_layers.items():
            distances = (wide(features[layer]) - wide(content_features[layer])).square().mean((1, 2, 3))
            content = content + weight * (styled * distances / (2 * statistics.energies[layer])).mean()
        errors = (painted - photographs).square().mean((1, 2, 3))
        return {
            "content": options.content_weight * content,
            "style": options.style_weight * style,
            "tv": options.tv_weight * total_variation(painted),
            "identity": ((1 - styled) * errors).mean(),
        }
