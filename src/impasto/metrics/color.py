"""Colors of pictures in CIELAB: their distance and their spread."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["color_distance", "color_spread", "lab", "lightness_spread"]

_QUANTILES = 1024
_INVISIBLE = 1.0  # spread that eyes hardly see, in Delta E; less counts as this

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


def color_spread(image: Tensor, others: Sequence[Tensor], weights: Sequence[float] = (1.0,)) -> float:
    """Return how far the hues of an image spread, relative to those of others: the ratio of the rms of a* and b*.

    Args:
        image: `(1, 3, H, W)` RGB in [0, 1].
        others: one or more, any sizes; their colors are one distribution.
        weights: of each of them in that distribution, adding up to 1.

    Returns:
        √(var a* + var b*) of the image over that of the others: 1 equally colorful; below 1 drab, near 0 one
        hue; above 1 more colorful. A spread below 1 Delta E counts as 1, so a gray image beside gray ones has 1.

    Source: ours; CIELAB as in `lab`.
    """
    return _ratio(image, others, weights, slice(1, 3))


def lightness_spread(image: Tensor, others: Sequence[Tensor], weights: Sequence[float] = (1.0,)) -> float:
    """Return the standard deviation of L* of an image over that of others; arguments and range as for `color_spread`.

    Source: ours; CIELAB as in `lab`.
    """
    return _ratio(image, others, weights, slice(0, 1))


def _ratio(image: Tensor, others: Sequence[Tensor], weights: Sequence[float], channels: slice) -> float:
    spreads = (_spread([image], (1.0,), channels), _spread(others, weights, channels))
    return spreads[0] / spreads[1]


def _spread(images: Sequence[Tensor], weights: Sequence[float], channels: slice) -> float:
    """Return the root of the summed variances of these channels of all pixels' CIELAB, and 1 Delta E at least."""
    clouds = [lab(image.double().cpu())[0, channels].flatten(1) for image in images]  # (channels, H*W) each
    means = torch.stack([cloud.mean(1) for cloud in clouds])  # (images, channels)
    shares = means.new_tensor(weights)
    middle = shares @ means
    squares = torch.stack([(cloud - middle[:, None]).square().sum(0).mean() for cloud in clouds])
    return max(math.sqrt(float(shares @ squares)), _INVISIBLE)
