"""The perceptual loss of a batch: content, style and total variation (Johnson et al. 2016)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.losses.style import style_loss_named
from impasto.networks.vgg import VGG
from impasto.ops.precision import wide
from impasto.ops.resize import resize, style_size
from impasto.ops.total_variation import total_variation
from impasto.recipes.options import PaintingOptions

__all__ = ["DRAFT_WEIGHT", "Perceptual", "RANGE_WEIGHT", "StyleStatistics"]

DRAFT_WEIGHT = 0.5  # of the losses of each draft, relative to those of the picture
RANGE_WEIGHT = 10.0  # of mean squares outside [0, 1], where a clamp would stop the gradient
_WINDOW = 128  # pixels; the style loss is that of windows of about this side
_LARGE = 4.0  # style loss of a layer above which it is tempered
_POSITIONS = 144  # of a layer in a draft or picture, at least, for a Gram matrix that says something


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

    @classmethod
    def joined(cls, parts: Sequence["StyleStatistics"]) -> "StyleStatistics":
        """Return the statistics of all styles of several."""
        first = parts[0]
        return cls(
            {layer: torch.cat([part.targets[layer] for part in parts]) for layer in first.targets},
            {layer: torch.cat([part.energies[layer] for part in parts]) for layer in first.energies},
        )

    def to(self, device: torch.device) -> "StyleStatistics":
        """Return the statistics on a device."""
        return self._each(lambda values: values.to(device))

    def _each(self, function: Callable[[Tensor], Tensor]) -> "StyleStatistics":
        parts = ({key: function(v) for key, v in part.items()} for part in (self.targets, self.energies))
        return StyleStatistics(*parts)


def tempered(fractions: Tensor) -> Tensor:
    """Return style losses, of which those above 4 grow like their logarithm only.

    A photograph in a style of low energy starts at 10 to 100. One such picture must not decide the step of a batch.
    """
    return torch.where(fractions <= _LARGE, fractions, _LARGE + _LARGE * (fractions.clamp_min(_LARGE) / _LARGE).log())


class Perceptual:
    """Content loss, style loss and total variation of stylized pictures, and of the drafts below them.

    The content and the style loss are fractions: 1 is about the loss of an unrelated picture. A draft is
    compared with the style image at its own, smaller size, in the layers that have enough positions in it: a Gram
    matrix of a few positions says nothing about a style, and its loss upsets the training of the others.

    Args:
        encoder: the feature extractor, which is not trained.
        styles: style images, `(1, 3, h, w)` RGB in [0, 1] each; empty if every call brings its statistics.
        options: weights and layers.
        levels: drafts of each picture, the picture itself included; each has half the size of the next one.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 3.1.
    Differs: losses are relative as in `objective.Objective`, so that a weight means the same for every style, and the
        content loss is measured in the style's energy. Large style losses are `tempered`.
    """

    def __init__(self, encoder: VGG, styles: Sequence[Tensor], options: PaintingOptions, levels: int = 1) -> None:
        self.encoder, self.options, self.levels = encoder, options, levels
        self.style = style_loss_named("gram")
        weights = options.style_layers.items()
        self.style_layers = {layer: weight for layer, weight in weights if weight}
        self.layers = tuple(dict.fromkeys([*options.content_layers, *self.style_layers]))
        found = [self.statistics(self._sized(style)) for style in styles]
        self.known = [StyleStatistics.joined(parts) for parts in zip(*found, strict=True)]

    def _sized(self, style: Tensor) -> Tensor:
        side = self.options.style_size
        size = style_size(style, (side, side), 1.0, self.encoder.minimum_size(self.layers))
        return resize(style, size).clamp(0, 1).to(self.encoder.gain.device)

    @torch.no_grad()
    def statistics(self, styles: Tensor, features: Mapping[str, Tensor] | None = None) -> list[StyleStatistics]:
        """Return the statistics of style images for each level, from the coarsest draft to the picture.

        Args:
            styles: `(S, 3, h, w)` RGB in [0, 1], at the size of the picture.
            features: of the style images, if they are known, with all `layers`.
        """
        found = []
        least = self.encoder.minimum_size(self.layers)
        for level in reversed(range(self.levels)):
            if level or features is None:
                h, w = (max(least, round(side / 2**level)) for side in styles.shape[-2:])
                seen = self.encoder(resize(styles, (h, w)).clamp(0, 1), self.layers)
            else:
                seen = features
            targets = {layer: self.style.statistics(seen[layer])[0] for layer in self.style_layers}
            energies = {layer: wide(seen[layer]).square().mean((1, 2, 3)) for layer in self.options.content_layers}
            found.append(StyleStatistics(targets, energies))
        return found

    def to(self, device: torch.device) -> None:
        """Move the encoder and the statistics of the styles."""
        self.encoder.to(device)
        self.known = [level.to(device) for level in self.known]

    def __call__(
        self,
        drafts: Sequence[Tensor],
        photographs: Tensor,
        which: Tensor,
        statistics: Sequence[StyleStatistics] | None = None,
    ) -> dict[str, Tensor]:
        """Return the losses of a batch, each times its weight; means over the batch.

        These are "content", "style", "tv" and "range" of the pictures, "drafts", the same of all drafts below, if
        there are any, and "identity".

        Args:
            drafts: stylized pictures, `(B, 3, H, W)` RGB, about in [0, 1], after the drafts below them, the smallest
                one first.
            photographs: `(B, 3, H, W)`.
            which: `(B,)`, the index of each picture's style; -1: the identity, whose mean squared error is "identity".
            statistics: of the styles that `which` counts, for each level; by default those of the constructor's
                styles.
        """
        *below, painted = drafts
        known = self.known if statistics is None else statistics
        losses = self._losses(painted, photographs, which, known[-1], tuple(self.style_layers))
        if below:
            total = photographs.new_zeros(())
            for draft, level in zip(below, known[:-1], strict=True):
                photograph = F.avg_pool2d(photographs, photographs.shape[-1] // draft.shape[-1])
                layers = [layer for layer in self.style_layers if self._positions(draft, layer) >= _POSITIONS]
                parts = self._losses(draft, photograph, which, level, layers)
                total = total + DRAFT_WEIGHT * torch.stack(list(parts.values())).sum()
            losses["drafts"] = total
        styled = (which >= 0).to(painted)
        errors = (painted - photographs).square().mean((1, 2, 3))
        losses["identity"] = ((1 - styled) * errors).mean()
        return losses

    def _losses(
        self,
        painted: Tensor,
        photographs: Tensor,
        which: Tensor,
        statistics: StyleStatistics,
        style_layers: Sequence[str],
    ) -> dict[str, Tensor]:
        options, styled = self.options, (which >= 0).to(painted)
        statistics = statistics[which.to(painted.device).clamp_min(0)]
        with torch.no_grad():
            content_features = self.encoder(photographs, tuple(options.content_layers))
        features = self.encoder(painted, tuple(dict.fromkeys([*options.content_layers, *style_layers])))
        style = content = painted.new_zeros(())
        for layer in style_layers:
            values, targets = self._windows(features[layer], painted.shape[-1]), statistics.targets[layer].unsqueeze(1)
            grams = self.style.statistics(values.flatten(0, 1))[0]
            grams = grams.view(*values.shape[:2], *grams.shape[1:])
            fractions = (grams - targets).square().mean((2, 3)) / targets.square().mean((2, 3))  # (B, windows)
            style = style + self.style_layers[layer] * (styled * tempered(fractions).mean(1)).mean()
        for layer, weight in options.content_layers.items():
            distances = (wide(features[layer]) - wide(content_features[layer])).square().mean((1, 2, 3))
            content = content + weight * (styled * distances / (2 * statistics.energies[layer])).mean()
        return {
            "content": options.content_weight * content,
            "style": options.style_weight * style,
            "tv": options.tv_weight * total_variation(painted),
            "range": RANGE_WEIGHT * (painted - painted.clamp(0, 1)).square().mean(),
        }

    @staticmethod
    def _windows(values: Tensor, side: int) -> Tensor:
        """Return the windows of features `(B, C, h, w)`, `(B, windows, C, h', w')`, of a picture with this side.

        Style is demanded of each window on its own: else it gathers where the photograph has contrast already, and
        skies stay empty.
        """
        count = max(1, round(side / _WINDOW))
        while count > 1 and (values.shape[-2] // count) * (values.shape[-1] // count) < _POSITIONS:
            count -= 1
        h, w = values.shape[-2] // count, values.shape[-1] // count
        parts = values[..., : h * count, : w * count].reshape(*values.shape[:2], count, h, count, w)
        return parts.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)

    def _positions(self, painted: Tensor, layer: str) -> int:
        stride = self.encoder.stride(layer)
        return (painted.shape[-2] // stride) * (painted.shape[-1] // stride)
