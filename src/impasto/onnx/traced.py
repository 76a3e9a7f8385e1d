"""Feature maps of any size, as the exporter sees them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.nn import functional as F  # noqa: N812

from impasto.networks.layers import (
    Bilinear,
    Conv,
    Extend,
    Halve,
    Local,
    Moments,
    Rows,
    Shuffle,
    Unshuffle,
    Upsample,
)

__all__ = ["Traced"]


class Traced(Rows):
    """A whole feature map whose height and width are symbols while a network is exported.

    Networks are written for tensors and for `Rows`. This third kind of map turns each of their layers into few
    operations that are right at every size. Reflection padding takes its borders by index, since the operation of
    that name needs sides larger than the padding. Instance normalization is one operation.

    Args:
        map: `(B, C, H, W)`.
    """

    def __init__(self, map: Tensor) -> None:  # noqa: A002
        self.map = map

    @property
    def size(self) -> tuple[int, int]:
        """See `Rows`."""
        return self.map.shape[-2], self.map.shape[-1]

    def local(self, layer: Local) -> "Traced":
        """See `Rows`."""
        return Traced(_WHOLE[type(layer)](layer, self.map))

    def pointwise(self, function: Callable[..., Tensor], others: tuple[Any, ...]) -> "Traced":
        """See `Rows`."""
        return Traced(function(self.map, *(other.map if isinstance(other, Traced) else other for other in others)))

    def keep(self) -> "Traced":
        """See `Rows`."""
        return self

    def moments(self) -> Moments:
        """See `Rows`."""
        mean = self.map.mean((2, 3), keepdim=True)
        return mean[:, :, 0, 0], (self.map - mean).square().mean((2, 3))


def _conv(layer: Conv, x: Tensor) -> Tensor:
    k, stride = layer.kernel, layer.stride
    before, after = {
        "reflect": (k // 2, k // 2),
        "around": ((k - 1) // 2, (k - 1) // 2),
        "full": (k - 1, k - 1),
        "before": (k - 1, 0),
        "zeros": ((k - stride) // 2, (k - stride + 1) // 2),  # sides are multiples of the stride
    }[layer.padding]
    if layer.padding == "reflect":
        x = _mirrored(_mirrored(x, 2, before), 3, before)
        before = after = 0
    elif before != after:
        x = F.pad(x, (before, after, before, after))
        before = after = 0
    return F.conv2d(x, layer.weight, layer.bias, stride, before, groups=layer.groups)


def _mirrored(x: Tensor, dim: int, pad: int) -> Tensor:
    """Return the map with reflected positions before and after its own."""
    length = x.shape[dim]
    if not pad or statically_known_true(length > 1 + pad):
        return F.pad(x, (pad, pad, 0, 0) if dim == 3 else (0, 0, pad, pad), mode="reflect") if pad else x
    before, after = (_reflected(start + torch.arange(pad), length) for start in (-pad, length))
    return torch.cat([x.index_select(dim, before), x, x.index_select(dim, after)], dim)


def _reflected(index: Tensor, length: int) -> Tensor:
    """Return the indices of positions outside a map, reflected at its borders as often as needed."""
    period = index.new_full((1,), 2 * length - 2).clamp_min(1)
    index = index.remainder(period)
    return torch.minimum(index, period - index)


def _extend(layer: Extend, x: Tensor) -> Tensor:
    for dim, side in ((2, layer.height), (3, layer.width)):
        if layer.first > 0:  # a crop
            x = x.narrow(dim, layer.first, side)
        else:
            x = x.index_select(dim, _reflected(layer.first + torch.arange(side), x.shape[dim]))
    return x


_WHOLE: dict[type[Local], Callable[[Any, Tensor], Tensor]] = {
    Conv: _conv,
    Upsample: lambda _, x: F.interpolate(x, scale_factor=2.0, mode="nearest"),
    Bilinear: lambda _, x: F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False),
    Halve: lambda _, x: F.avg_pool2d(x, 2),
    Unshuffle: lambda layer, x: F.pixel_unshuffle(x, layer.factor),
    Shuffle: lambda layer, x: F.pixel_shuffle(x, layer.factor),
    Extend: _extend,
}
