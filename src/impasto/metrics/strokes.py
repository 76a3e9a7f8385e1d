"""Stroke energy: whether flat regions of the photograph are painted with strokes, or left as haze."""

import math
from collections.abc import Sequence

from torch import Tensor

from impasto.metrics.color import lab
from impasto.ops.filters import gaussian_blur
from impasto.ops.resize import resize, style_size

__all__ = ["stroke_energy"]

_AREA = 512 * 512  # px at which pictures are compared
_FINE, _COARSE = 0.7, 5.0  # σ of two blurs, whose difference keeps widths of about 2 to 16 px
_AROUND = 12.0  # σ of the local mean, in px
_FLAT = 0.25  # fraction of the photograph
_INVISIBLE = 0.25  # energy that eyes hardly see, Delta E²; less counts as this


def stroke_energy(
    result: Tensor,
    content: Tensor,
    styles: Sequence[Tensor],
    weights: Sequence[float] = (1.0,),
    *,
    style_scale: float = 1.0,
) -> float:
    """Return the energy of strokes where the photograph is flat, relative to that of the style images.

    The energy is the squared difference of two Gaussian blurs in CIELAB, which keeps strokes 2 to 16 px wide, averaged
    around each position. Flat is the quarter of the photograph that has least of it.

    Args:
        result: `(1, 3, H, W)` RGB in [0, 1], any size.
        content: `(1, 3, h, w)`, the photograph, any size.
        styles: one or more `(1, 3, h, w)`, any sizes.
        weights: of each style image, adding up to 1.
        style_scale: as for `stylize`.

    Returns:
        The median over flat positions of the result, over the median of all positions of the style images: 1 strokes
        as in the painting, near 0 flat haze, above 1 more than the painting has. Energies below 0.25 Delta E² count as
        that, so a flat result in the style of a flat picture has 1.

    All pictures are resized to an area of 512 x 512 px.

    Source: ours; CIELAB as in `lab`.
    """
    area = (math.isqrt(_AREA),) * 2
    size = style_size(result, area)
    photograph = _local_energy(content, size)
    flat = photograph <= photograph.quantile(_FLAT)
    ours = float(_local_energy(result, size)[flat].median())
    pairs = zip(styles, weights, strict=True)
    theirs = sum(weight * float(_local_energy(x, style_size(x, area, style_scale)).median()) for x, weight in pairs)
    return max(ours, _INVISIBLE) / max(theirs, _INVISIBLE)


def _local_energy(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the energy of strokes around each position of an image resized to a size, in Delta E², `(H * W,)`."""
    colors = lab(resize(image.float().cpu(), size).clamp(0, 1))
    band = _blur(colors, _FINE) - _blur(colors, _COARSE)
    return _blur(band.square().sum(1, keepdim=True), _AROUND).flatten()


def _blur(image: Tensor, sigma: float) -> Tensor:
    return gaussian_blur(image, sigma, math.ceil(3 * sigma), "replicate")
