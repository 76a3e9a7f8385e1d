"""Quality of a stylized image: every measure of style, motifs, subject, strokes, colors, grid and noise."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError, OptionError
from impasto.losses.style import blend, content_loss, style_loss_named
from impasto.metrics.color import color_distance, color_spread, lightness_spread
from impasto.metrics.copying import MOTIF_LAYER, copied_share
from impasto.metrics.edges import subject_kept
from impasto.metrics.grid import grid_energy
from impasto.metrics.strokes import stroke_energy
from impasto.ops.filters import high_pass
from impasto.ops.resize import resize, style_size
from impasto.ops.ssim import ssim
from impasto.style_transfer.objective import Encoder

__all__ = ["CONTENT_LAYERS", "MOTIF_LAYER", "STYLE_LAYERS", "Score", "score"]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
CONTENT_LAYERS = ("relu4_2",)

_SSIM_WINDOW = 11  # pixels
_ROUNDING = 1 / 255 / math.sqrt(12)  # rms error of rounding to 8 bits


@dataclass(frozen=True)
class Score:
    """Measures of one stylized image. "Style" is the mixture of the style images.

    Attributes:
        style: by layer, |G - A|² / |A|² of the Gram matrices: 0 as in the style image, 1 no better than a blank image.
        content: by layer, mean (F - P)² / mean P² of the features: 0 as in the content image, 1 as a blank image.
        style_loss: mean of `style` over `style_layers`. relu5_1 is listed, but does not count: whoever lowers it copies
            motifs of the style image.
        content_loss: mean of `content`.
        copied_share: `copying.copied_share`, 0 to 1: motifs of the style images; 0 is best.
        subject_kept: `edges.subject_kept`: 1 all edges of the content image, 0 none.
        stroke_energy: `strokes.stroke_energy` where the content image is flat: 1 as in the style, 0 haze.
        color_spread: `color.color_spread`: 1 as colorful as the style, below 1 drab.
        lightness_spread: `color.lightness_spread`: 1 as contrasty as the style.
        color_to_style: `color.color_distance` to the style images, the distance of the palettes: 0 for equal ones.
        color_to_content: `color.color_distance` to the content image.
        grid: `grid.grid_energy` of the result, by period in px: 0 none, 1 nothing but a pattern of the pixel grid.
        grid_of_content: the same of the content image, resized to the result.
        grid_excess: the largest difference of the two: 0 no more than the photograph; from about 0.02 visible.
        ssim: structural similarity of the luminances of result and content image, 1 for equal ones.
        high_frequency_excess: relative excess of fine detail over the style image: rms of what a blur of 1 px takes
            away, divided by the style's, minus 1. The style image counts at the size at which it was compared. Above
            0: high-frequency noise that the style does not have; below 0: smoother than the style.
    """

    style: dict[str, float]
    content: dict[str, float]
    style_loss: float
    content_loss: float
    copied_share: float
    subject_kept: float
    stroke_energy: float
    color_spread: float
    lightness_spread: float
    color_to_style: float
    color_to_content: float
    grid: dict[int, float]
    grid_of_content: dict[int, float]
    grid_excess: float
    ssim: float
    high_frequency_excess: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


def score(
    result: Tensor,
    content: Tensor,
    styles: Sequence[Tensor],
    encoder: Encoder,
    *,
    style_layers: Sequence[str] = STYLE_LAYERS,
    content_layers: Sequence[str] = CONTENT_LAYERS,
    style_scale: float = 1.0,
    style_weights: Sequence[float] = (),
) -> Score:
    """Measure a stylized image against its content image and its style images.

    Args:
        result: `(1, 3, H, W)` RGB in [0, 1], the stylized image; it is measured at its own size.
        content: `(1, 3, h, w)`, any size; it is resized to the result's.
        styles: one or more `(1, 3, h, w)`, any sizes; each is resized to the result's area times `style_scale`², as
            in `stylize`.
        encoder: the network of the features. Scores of different networks, or of one with different padding, cannot be
            compared.
        style_layers: where styles are compared; `style_loss` is their mean. relu5_1 is compared, too.
        content_layers: where contents are compared.
        style_scale: as for `stylize`.
        style_weights: weight of each style; they are divided by their sum. Empty: equal weights.

    Raises:
        ImageError: an image is not `(1, 3, H, W)`, holds NaN, or the result is too small to measure.
        OptionError: no style, no layer, or style weights that do not fit.
        UnknownName: the encoder has no such layer.
    """
    weights = _normalized(len(styles), style_weights)
    listed = tuple(dict.fromkeys([*style_layers, MOTIF_LAYER]))
    layers = tuple(dict.fromkeys([*content_layers, *listed]))
    least = max(_SSIM_WINDOW, encoder.minimum_size(layers))
    _check(result, content, styles, least)
    for name, chosen in (("style_layers", style_layers), ("content_layers", content_layers)):
        if not chosen:
            raise OptionError(f"{name} are empty; expected one or more names.")
    with torch.no_grad():
        result = result.clamp(0, 1)
        h, w = result.shape[-2:]
        content = resize(content, (h, w)).clamp(0, 1)
        originals = styles
        styles = [resize(style, style_size(style, (h, w), style_scale, least)).clamp(0, 1) for style in styles]
        features = encoder(result, layers)
        by_style = _style_distances(features, styles, encoder, listed, weights)
        wanted = encoder(content, content_layers)
        by_content = {x: content_loss(features[x], wanted[x], "relative").item() for x in content_layers}
        grids = grid_energy(result), grid_energy(content)
        return Score(
            style=by_style,
            content=by_content,
            style_loss=sum(by_style[x] for x in style_layers) / len(style_layers),
            content_loss=sum(by_content.values()) / len(by_content),
            copied_share=copied_share(result, content, originals, encoder, style_scale=style_scale),
            subject_kept=subject_kept(result, content),
            stroke_energy=stroke_energy(result, content, originals, weights, style_scale=style_scale),
            color_spread=color_spread(result, styles, weights),
            lightness_spread=lightness_spread(result, styles, weights),
            color_to_style=color_distance(result, styles, weights),
            color_to_content=color_distance(result, [content]),
            grid=grids[0],
            grid_of_content=grids[1],
            grid_excess=max(0.0, *(grids[0][period] - grids[1][period] for period in grids[0])),
            ssim=ssim(result, content).item(),
            high_frequency_excess=_rms_detail([result], (1.0,)) / _rms_detail(styles, weights) - 1,
        )


def _normalized(count: int, weights: Sequence[float]) -> tuple[float, ...]:
    if not count:
        raise OptionError("there are no styles; expected one or more.")
    if weights and len(weights) != count:
        raise OptionError(f"there are {len(weights)} style_weights for {count} styles; expected as many.")
    weights = weights or (1.0,) * count
    total = sum(weights)
    if min(weights) < 0 or not 0 < total < math.inf:
        raise OptionError(f"style_weights are {tuple(weights)}; expected 0 or more each, not all 0.")
    return tuple(weight / total for weight in weights)


def _check(result: Tensor, content: Tensor, styles: Sequence[Tensor], least: int) -> None:
    names = ["result", "content", *(f"style {number}" for number in range(1, len(styles) + 1))]
    for name, image in zip(names, [result, content, *styles], strict=True):
        if image.ndim != 4 or image.shape[:2] != (1, 3) or not image.numel():
            raise ImageError(f"{name} has shape {tuple(image.shape)}; expected (1, 3, H, W).")
        if not image.isfinite().all():
            raise ImageError(f"{name} holds NaN or infinite values; expected RGB in [0, 1].")
    h, w = result.shape[-2:]
    if min(h, w) < least:
        raise ImageError(f"result is {w}x{h} px; measuring it needs at least {least}x{least}.")


def _style_distances(
    features: dict[str, Tensor],
    styles: Sequence[Tensor],
    encoder: Encoder,
    layers: Sequence[str],
    weights: Sequence[float],
) -> dict[str, float]:
    """Return |G - A|² / |A|² by layer, where A is the styles' weighted mean."""
    gram = style_loss_named("gram", "hw")
    encoded = [encoder(style, layers) for style in styles]
    distances = {}
    for layer in layers:
        target = blend([gram.statistics(one[layer]) for one in encoded], weights)
        distance = gram.distance(gram.statistics(features[layer]), gram.prepare(target))
        distances[layer] = (distance / gram.blank(target).clamp_min(1e-12)).item()
    return distances


def _rms_detail(images: Sequence[Tensor], weights: Sequence[float]) -> float:
    """Return the rms of what a blur of 1 px takes away, and the rounding error of 8 bits at least."""
    pairs = zip(images, weights, strict=True)
    squares = [weight * high_pass(image).square().mean().item() for image, weight in pairs]
    return max(math.sqrt(sum(squares)), _ROUNDING)
