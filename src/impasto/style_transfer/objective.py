"""The objective of one scale: content, style and total variation loss of a picture, and their gradient.

The picture may be cut into tiles, which bounds memory. Loss and gradient stay those of the whole picture:

1. The features of each tile are added to the statistics of the picture, without a graph.
2. The style loss is differentiated with respect to these statistics, a few matrices.
3. The features of each tile are computed again, with a graph, and multiplied with those derivatives. The gradients
   with respect to all pixels of the crop are added up, also outside the tile.

This is exact, because style losses depend only on sums over positions, and the content loss is such a sum.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.losses.style import Statistics, blend, content_loss, style_loss_named
from impasto.ops.precision import wide
from impasto.ops.total_variation import total_variation
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.tiling import Tile, strips, tiles

__all__ = ["Encoder", "Objective", "layer_guide"]

GRID = 16  # offsets of tiles are multiples of it: the stride of the deepest layers
_LEAST_ENERGY = 1e-3  # of a position, relative to the mean; keeps a weight of blank positions
_STRIP = 1 << 17  # pixels whose total variation is computed at once, if there are tiles


class Encoder(Protocol):
    """A feature extractor: RGB in [0, 1] to feature maps by name."""

    def __call__(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the features `(B, C, H, W)` of each requested layer."""

    def minimum_size(self, layers: Sequence[str]) -> int:
        """Return the smallest side in pixels at which all these layers exist."""

    def stride(self, layer: str) -> int:
        """Return the stride of a layer, in pixels."""

    def reach(self, layer: str) -> int:
        """Return how many pixels the receptive field of a position extends beyond its stride x stride square."""

    def feature_bytes(self, layer: str) -> float:
        """Return the memory of the features of a layer, in bytes per pixel of the image."""

    def bytes_per_pixel(self, layers: Sequence[str]) -> float:
        """Return the approximate memory of a forward and backward pass, in bytes per pixel of the picture."""


def layer_guide(mask: Tensor, size: tuple[int, int], stride: int, reach: int) -> Tensor:
    """Return the weight of each position of a layer for a region, with mean 1.

    The weight is full if the receptive field of a position lies in the region, and 0 if half of it or less does.
    So the outside does not influence the style of the region. If a region is smaller than a receptive field, the
    positions that cover most of it count.

    Args:
        mask: `(1, 1, H, W)` in [0, 1], the region in the picture.
        size: `(h, w)` of the layer.
        stride: of the layer, in pixels.
        reach: how far the receptive field of a position extends beyond its square, in pixels. Half of it is used:
            the outer half has little influence (Luo et al. 2016, arXiv:1701.04128).

    Source: Gatys et al. 2017, arXiv:1611.07865, section 4, and its code's guides "inside".
    Differs: soft, and by averages instead of probing the network.
    """
    radius = max(0, min(reach // 2, min(mask.shape[-2:]) - 1))
    wide = F.pad(mask, (radius,) * 4, mode="replicate")
    h, w = size[0] * stride, size[1] * stride
    wide = wide[..., : h + 2 * radius, : w + 2 * radius]
    for kernel, steps in (((stride + 2 * radius, 1), (stride, 1)), ((1, stride + 2 * radius), (1, stride))):
        wide = F.avg_pool2d(wide, kernel, steps)  # a box is the product of a column and a row
    guide = (2 * wide - wide.max()).clamp_min(0)
    return guide / guide.mean().clamp_min(torch.finfo(guide.dtype).tiny)


def content_guide(features: Tensor, focus: float) -> Tensor:
    """Return the weight of each position of a content layer, `(1, 1, h, w)` with mean 1.

    It grows with the energy of the photograph's features around a position. So faces and edges are kept, and regions
    without structure, as a sky, are free for strokes.

    Args:
        features: `(1, C, h, w)`, of the photograph.
        focus: exponent of the energy: 0 weighs all positions alike, 1 in proportion to their energy.

    Source: ours.
    """
    energy = wide(features).square().mean(1, keepdim=True)
    energy = F.avg_pool2d(energy, 3, 1, 1, count_include_pad=False)
    guide = (energy / energy.mean().clamp_min(1e-12) + _LEAST_ENERGY) ** focus
    return guide / guide.mean()


class Objective:
    """The objective of one scale: called with a picture, it returns the losses and the gradient.

    Args:
        encoder: the feature extractor; strides and reach are needed only with tiles or a mask.
        content: `(1, 3, H, W)` RGB in [0, 1], the photograph at the size of the result.
        styles: one or more style images `(1, 3, h, w)`, at the size of their features.
        options: weights, layers, losses, strength.
        mask: `(1, 1, H, W)` in [0, 1]: the region that gets the style; by default the whole picture.
        tile: side of the tiles in pixels; by default there are no tiles.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576, eq. 7: L = α L_content + β L_style, with eq. 5's
        sum over layers; total variation added as in Johnson et al. 2016 (arXiv:1603.08155, section 3.2).
    """

    def __init__(
        self,
        encoder: Encoder,
        content: Tensor,
        styles: Sequence[Tensor],
        options: StylizeOptions,
        *,
        mask: Tensor | None = None,
        tile: int | None = None,
    ) -> None:
        self.encoder, self.options, self.tile = encoder, options, tile
        self.style = style_loss_named(options.style_loss, options.gram_norm)
        self.content_layers = dict(options.content_layers) if options.content_weight else {}
        self.style_layers = dict(options.layers_of_style) if options.style_weight else {}
        self.layers = tuple(dict.fromkeys([*self.content_layers, *self.style_layers]))
        self.guides = {layer: self._guide(layer, mask) for layer in self.style_layers} if mask is not None else {}
        with torch.no_grad():
            of_content = self.layers if options.strength < 1 else tuple(self.content_layers)
            own, energy, self.content_targets = self._survey(content, of_content, self.guides, keep=True)
            seen = [self._survey(style, self.layers) for style in styles]
            shares = options.style_weights or (1.0,) * len(seen)
            self.content_units = {
                layer: self._content_unit(energy[layer], [found[1][layer] for found in seen], shares)
                for layer in self.content_layers
            }
            focus = options.content_focus
            targets = self.content_targets if focus else {}
            self.content_guides = {layer: content_guide(target, focus) for layer, target in targets.items()}
            for layer, guide in self.content_guides.items():  # what counts of a blank picture
                energy[layer] = float((guide * wide(targets[layer]).square()).mean())
            weighted = options.content_weight, self.content_layers.items()
            self.blank = {  # losses of a blank picture
                "content": weighted[0] * sum(w * energy[layer] / self.content_units[layer] for layer, w in weighted[1]),
                "style": 0.0,
            }
            self.style_targets: dict[str, Statistics] = {}
            self.style_units: dict[str, float] = {}
            for layer in self.style_layers:
                target = blend([found[0][layer] for found in seen], shares)
                blank = float(self.style.blank(target).clamp_min(1e-12))
                self.style_units[layer] = blank if options.loss_scale == "relative" else 1.0
                weight = options.style_weight * self.style_layers[layer]
                self.blank["style"] += weight * blank / self.style_units[layer]
                if options.strength < 1:  # raw moments mix linearly, so this mixes the two pictures
                    target = blend([own[layer], target], [1 - options.strength, options.strength])
                self.style_targets[layer] = self.style.prepare(target)

    def _guide(self, layer: str, mask: Tensor) -> Tensor:
        stride = self.encoder.stride(layer)
        size = (mask.shape[-2] // stride, mask.shape[-1] // stride)
        return layer_guide(mask, size, stride, self.encoder.reach(layer))

    def _content_unit(self, energy: float, styles: Sequence[float], shares: Sequence[float]) -> float:
        """Return the unit of the content loss of a layer: its value for an unrelated picture in this style.

        The result takes over the feature energy of its style, whatever that of the photograph was. In this unit a
        weight means the same for styles of high and of low energy.
        """
        if self.options.loss_scale == "absolute":
            return 1.0
        of_styles = sum(share * style for share, style in zip(shares, styles, strict=True)) / sum(shares)
        wanted = of_styles + (1 - self.options.strength) * (energy - of_styles)
        return max(2 * wanted, 1e-12)

    # --- features, tile by tile ---

    def _tiles(self, image: Tensor) -> Iterator[Tile]:
        reach = 0 if self.tile is None else max(map(self.encoder.reach, self.layers), default=0)
        return tiles((image.shape[-2], image.shape[-1]), self.tile, reach, GRID)

    def _stride(self, layer: str) -> int:
        return 1 if self.tile is None else self.encoder.stride(layer)

    def _share(self, tile: Tile, features: Tensor, layer: str) -> float:
        """Return the fraction of the positions of a layer that a tile owns."""
        h, w = features.shape[-2:]
        stride = self._stride(layer)
        return 1.0 if self.tile is None else h * w / ((tile.size[0] // stride) * (tile.size[1] // stride))

    def _statistics(self, tile: Tile, features: Tensor, layer: str, guides: dict[str, Tensor]) -> Statistics:
        """Return the contribution of a tile's own features to the statistics of the whole picture."""
        share = 1.0 if self.style.summed else self._share(tile, features, layer)
        guide = tile.of_whole(guides[layer], self._stride(layer)) if layer in guides else None
        return tuple(share * part for part in self.style.statistics(features, guide))

    def _features(self, tile: Tile, crop: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the features that a tile owns; none in a layer that is coarser than the tile."""
        found = self.encoder(crop, layers)
        owned = {layer: tile.owned(found[layer], self._stride(layer)) for layer in layers}
        return {layer: features for layer, features in owned.items() if features.numel()}

    def _survey(
        self, image: Tensor, layers: Sequence[str], guides: dict[str, Tensor] | None = None, keep: bool = False
    ) -> tuple[dict[str, Statistics], dict[str, float], dict[str, Tensor]]:
        """Return statistics of style layers, mean squares of content layers and, with `keep`, their features."""
        statistics: dict[str, Statistics] = {}
        energy = dict.fromkeys(self.content_layers, 0.0)
        kept: dict[str, Tensor] = {}
        for tile in self._tiles(image) if layers else ():
            for layer, features in self._features(tile, tile.seen(image), layers).items():
                if layer in self.style_layers:
                    found = self._statistics(tile, features, layer, guides or {})
                    statistics[layer] = _added(statistics.get(layer), found)
                if layer in self.content_layers:
                    energy[layer] += float(wide(features).square().mean()) * self._share(tile, features, layer)
                    if keep and self.tile is None:
                        kept[layer] = features
                    elif keep:
                        stride = self._stride(layer)
                        if layer not in kept:
                            shape = (image.shape[-2] // stride, image.shape[-1] // stride)
                            kept[layer] = features.new_empty(*features.shape[:2], *shape)
                        tile.of_whole(kept[layer], stride).copy_(features)
        return statistics, energy, kept

    # --- losses ---

    def _style_loss(self, statistics: dict[str, Statistics]) -> Tensor:
        total = torch.zeros(())
        for layer, weight in self.style_layers.items():
            distance = self.style.distance(statistics[layer], self.style_targets[layer])
            total = total + self.options.style_weight * weight * distance / self.style_units[layer]
        return total

    def _content_loss(self, tile: Tile, features: dict[str, Tensor]) -> Tensor:
        total = torch.zeros(())
        for layer, weight in self.content_layers.items():
            if layer not in features:
                continue
            target = tile.of_whole(self.content_targets[layer], self._stride(layer))
            guide = tile.of_whole(self.content_guides[layer], self._stride(layer)) if self.content_guides else None
            loss = content_loss(features[layer], target, guide=guide) * self._share(tile, features[layer], layer)
            total = total + self.options.content_weight * weight * loss / self.content_units[layer]
        return total

    def _pixel_losses(self, image: Tensor, above: int = 0, below: int = 0, height: int | None = None) -> list[Tensor]:
        """Return the weighted total variation and range penalty, of a picture or of a strip of it."""
        options, zero = self.options, image.new_zeros(())
        tv = outside = zero
        if options.tv_weight:
            variation = total_variation(image, options.total_variation, above=above, below=below, height=height)
            tv = options.tv_weight * variation
        if options.range_weight:
            # L-BFGS does not clamp; without this penalty the final clamp would increase the style loss.
            own = image[..., above : image.shape[-2] - below, :]
            count = own.numel() if height is None else own.numel() // own.shape[-2] * height
            outside = options.range_weight * (own - own.clamp(0, 1)).square().sum() / count
        return [tv, outside]

    def __call__(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """Return the losses as floats and the gradient of their sum.

        The losses are "content", "style", "tv" and "range", each times its weight, and their sum "total". The
        gradient is multiplied by the number of values in the picture; see `optimizers`.
        """
        parts, gradient = self._whole(image) if self.tile is None else self._tiled(image)
        return parts | {"total": sum(parts.values())}, gradient

    def measures(self, losses: dict[str, float]) -> dict[str, float]:
        """Return content and style loss as fractions of those of a blank picture, as in `metrics.style`.

        With a content focus, the content loss weighs positions as the objective does, and is only near the metric's.
        """
        return {name: losses[name] / blank for name, blank in self.blank.items() if blank > 0}

    def _whole(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        image = image.detach().requires_grad_()
        (tile,) = self._tiles(image)
        with torch.enable_grad():
            features = self._features(tile, image, self.layers) if self.layers else {}
            found = {layer: self._statistics(tile, features[layer], layer, self.guides) for layer in self.style_layers}
            tv, outside = self._pixel_losses(image)
            parts = {"content": self._content_loss(tile, features), "style": self._style_loss(found)}
            parts |= {"tv": tv, "range": outside}
            total = parts["content"] + parts["style"] + parts["tv"] + parts["range"]
            (gradient,) = torch.autograd.grad(total * image.numel(), image)
        return {name: part.item() for name, part in parts.items()}, gradient.contiguous()

    def _tiled(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        image = image.detach()
        gradient = torch.zeros_like(image, memory_format=torch.contiguous_format)
        parts = {"content": 0.0, "style": 0.0, "tv": 0.0, "range": 0.0}
        slopes: dict[str, Statistics] = {}
        if self.style_layers:
            found, _, _ = self._survey(image, tuple(self.style_layers), self.guides)
            found = {layer: tuple(part.requires_grad_() for part in found[layer]) for layer in self.style_layers}
            with torch.enable_grad():
                style = self._style_loss(found)
                flat = torch.autograd.grad(style, [part for layer in found.values() for part in layer])
            parts["style"], slope = style.item(), iter(flat)
            slopes = {layer: tuple(next(slope) for _ in found[layer]) for layer in found}
        for tile in self._tiles(image) if self.layers else ():
            crop = tile.seen(image).clone().requires_grad_()
            with torch.enable_grad():
                features = self._features(tile, crop, self.layers)
                content = self._content_loss(tile, features)
                total = content + torch.zeros_like(crop[0, 0, 0, 0])
                for layer in slopes.keys() & features.keys():
                    shares = self._statistics(tile, features[layer], layer, self.guides)
                    total = total + sum((x * y).sum() for x, y in zip(shares, slopes[layer], strict=True))
                (of_crop,) = torch.autograd.grad(total, crop)
            tile.seen(gradient).add_(of_crop)
            parts["content"] += content.item()
        self._add_pixel_terms(image, parts, gradient)
        return parts, gradient.mul_(image.numel())

    def _add_pixel_terms(self, image: Tensor, parts: dict[str, float], gradient: Tensor) -> None:
        if not (self.options.tv_weight or self.options.range_weight):
            return
        height, width = image.shape[-2:]
        for start, end in strips(height, max(1, _STRIP // width)):
            above, below = int(start > 0), int(end < height)
            strip = image[..., start - above : end + below, :].clone().requires_grad_()
            with torch.enable_grad():
                tv, outside = self._pixel_losses(strip, above, below, height)
                (of_strip,) = torch.autograd.grad(tv + outside, strip)
            gradient[..., start - above : end + below, :].add_(of_strip)
            parts["tv"] += tv.item()
            parts["range"] += outside.item()


def _added(total: Statistics | None, part: Statistics) -> Statistics:
    return part if total is None else tuple(a + b for a, b in zip(total, part, strict=True))
