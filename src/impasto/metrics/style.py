"""Quality of a stylized image: style, content, structure, color and high-frequency noise."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError, OptionError
from impasto.losses.style import blend, content_loss, style_loss_named
from impasto.ops.filters import high_pass
from impasto.ops.resize import resize, style_size
from impasto.ops.ssim import ssim
from impasto.style_transfer.objective import Encoder

__all__ = ["CONTENT_LAYERS", "STYLE_LAYERS", "Score", "color_distance", "lab", "score"]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYERS = ("relu4_2",)

_SSIM_WINDOW = 11  # pixels
_QUANTILES = 1024
_ROUNDING = 1 / 255 / math.sqrt(12)  # rms error of rounding to 8 bits


@dataclass(frozen=True)
class Score:
    """Measures of one stylized image. Of everything but `ssim`, less is better.

    Attributes:
        style: by layer, |G - A|² / |A|² of the Gram matrices: 0 as in the style image, 1 no better than a blank image.
        content: by layer, mean (F - P)² / mean P² of the features: 0 as in the content image, 1 as a blank image.
        style_loss: mean of `style`.
        content_loss: mean of `content`.
        ssim: structural similarity of the luminances of result and content image, 1 for equal ones.
        color_to_style: `color_distance` to the style images.
        color_to_content: `color_distance` to the content image.
        high_frequency_excess: relative excess of fine detail over the style image: rms of what a blur of 1 px takes
            away, divided by the style's, minus 1. The style image counts at the size at which it was compared. Above
            0: high-frequency noise that the style does not have; below 0: smoother than the style.
    """

    style: dict[str, float]
    content: dict[str, float]
    style_loss: float
    content_loss: float
    ssim: float
    color_to_style: float
    color_to_content: float
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
        style_layers: where styles are compared.
        content_layers: where contents are compared.
        style_scale: as for `stylize`.
        style_weights: weight of each style; they are divided by their sum. Empty: equal weights.

    Raises:
        ImageError: an image is not `(1, 3, H, W)`, holds NaN, or the result is too small to measure.
        OptionError: no style, no layer, or style weights that do not fit.
        UnknownName: the encoder has no such layer.
    """
    weights = _normalized(len(styles), style_weights)
    layers = tuple(dict.fromkeys([*content_layers, *style_layers]))
    least = max(_SSIM_WINDOW, encoder.minimum_size(layers))
    _check(result, content, styles, least)
    for name, chosen in (("style_layers", style_layers), ("content_layers", content_layers)):
        if not chosen:
            raise OptionError(f"{name} are empty; expected one or more names.")
    with torch.no_grad():
        result = result.clamp(0, 1)
        h, w = result.shape[-2:]
        content = resize(content, (h, w)).clamp(0, 1)
        styles = [resize(style, style_size(style, (h, w), style_scale, least)).clamp(0, 1) for style in styles]
        features = encoder(result, layers)
        by_style = _style_distances(features, styles, encoder, style_layers, weights)
        wanted = encoder(content, content_layers)
        by_content = {x: content_loss(features[x], wanted[x], "relative").item() for x in content_layers}
        return Score(
            style=by_style,
            content=by_content,
            style_loss=sum(by_style.values()) / len(by_style),
            content_loss=sum(by_content.values()) / len(by_content),
            ssim=ssim(result, content).item(),
            color_to_style=color_distance(result, styles, weights),
            color_to_content=color_distance(result, [content]),
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


# --- color ---------------------------------------------------------------------------------------

_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))


def lab(image: Tensor) -> Tensor:
    """Return CIELAB of sRGB; a distance of about 2 is just visible.

    Args:
        image: `(B, 3, H, W)` sRGB-encoded, in [0, 1].

    Returns:
        Same shape: L* in [0, 100], a* and b* in about [-110, 110], relative to D65.

    Source: decoding, IEC 61966-2-1 (sRGB); matrix, B. Lindbloom's from the primaries; L*, a*, b* and their
        linear part below 216/24389, CIE 15:2004.
    Differs: the white is the matrix' own, so that gray is exactly neutral.
    """
    light = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    matrix = image.new_tensor(_TO_XYZ)
    matrix = matrix / matrix.sum(1, keepdim=True)  # X / Xn, Y / Yn, Z / Zn
    xyz = torch.einsum("rc,bchw->brhw", matrix, light)
    f = torch.where(xyz > 216 / 24389, xyz ** (1 / 3), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.unbind(1)  # (B, H, W) each
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def _directions() -> Tensor:
    """Return the 16 axes through the corners of an icosahedron and of its dual dodecahedron, `(16, 3)`.

    For every v, the mean of (direction · v)² is |v|² / 3.
    """
    golden = (1 + math.sqrt(5)) / 2
    axes: list[tuple[float, float, float]] = [(1, y, z) for y in (1, -1) for z in (1, -1)]  # the dodecahedron's cube
    for a, b in ((1.0, golden), (golden, 1 / golden)):  # the icosahedron, the rest of the dodecahedron
        for c in (b, -b):
            axes += [(0, a, c), (a, c, 0), (c, 0, a)]
    return torch.nn.functional.normalize(torch.tensor(axes, dtype=torch.float64))


def _color_quantiles(images: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the quantiles of all pixels' colors along each direction, `(directions, quantiles)`."""
    clouds = [lab(image.double().cpu())[0].flatten(1) for image in images]  # (3, H*W) each
    pairs = zip(clouds, weights, strict=True)
    masses = torch.cat([cloud.new_full(cloud.shape[1:], weight / cloud.shape[1]) for cloud, weight in pairs])
    colors = torch.cat(clouds, 1)  # (3, pixels)
    wanted = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    rows = []
    for direction in _directions():
        values, order = (direction @ colors).sort()
        sorted_masses = masses[order]
        ranks = sorted_masses.cumsum(0) - sorted_masses / 2  # of each pixel, the middle of its mass
        after = torch.searchsorted(ranks, wanted).clamp_max(len(ranks) - 1)
        before = (after - 1).clamp_min(0)
        step = (ranks[after] - ranks[before]).clamp_min(torch.finfo(torch.float64).tiny)
        rows.append(values[before].lerp(values[after], ((wanted - ranks[before]) / step).clamp(0, 1)))
    return torch.stack(rows)


def color_distance(image: Tensor, others: Sequence[Tensor], weights: Sequence[float] = (1.0,)) -> float:
    """Return the sliced Wasserstein-2 distance between the CIELAB colors of an image and those of others.

    Along each of 16 fixed directions, the sorted colors of one are compared with the sorted colors of the other;
    their positions in the image do not matter.

    Args:
        image: `(1, 3, H, W)` RGB in [0, 1].
        others: one or more, any sizes; their colors are one distribution.
        weights: of each of them in that distribution, adding up to 1.

    Returns:
        0 for equal colors; if all colors move by the same vector, its length (Delta E 1976).

    Source: Rabin, Peyré, Delon & Bernot 2011, "Wasserstein Barycenter and Its Application to Texture Mixing".
    Differs: fixed directions instead of random ones; 1024 quantiles; times √3, the dimension's root, for
        the unit.
    """
    difference = _color_quantiles([image], (1.0,)) - _color_quantiles(others, weights)
    return math.sqrt(3 * difference.square().mean().item())
