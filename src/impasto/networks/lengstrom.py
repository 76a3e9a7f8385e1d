"""The network of lengstrom/fast-style-transfer, whose weights ml5 and deeplearn.js use in browsers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.networks.layers import Map, conv, crop, extend, keep, normalize, pointwise, shuffle, size_of

__all__ = ["Lengstrom"]

_EPS = 1e-3


class _Conv(nn.Module):
    """A convolution and its instance normalization; every layer has both, also the last one."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out, channels, kernel, kernel))
        self.shift = nn.Parameter(torch.zeros(out))
        self.scale = nn.Parameter(torch.ones(out))
        nn.init.trunc_normal_(self.weight, std=0.1)

    def convolve(self, x: Map) -> Map:
        return conv(x, self.weight, stride=self.stride, padding="zeros")

    def forward(self, x: Map, *, relu: bool = True) -> Map:
        return normalize(self.convolve(x), self.scale[None], self.shift[None], _EPS, torch.relu_ if relu else None)


class _Transposed(_Conv):
    """A transposed 3 x 3 convolution of stride 2, cropped to twice the size.

    Written as a 2 x 2 convolution to four times the channels and a pixel shuffle, because out[2m] is
    x[m] w[0] + x[m-1] w[2] and out[2m+1] is x[m] w[1], in both directions.
    """

    def convolve(self, x: Map) -> Map:
        taps = F.pad(self.weight, (0, 1, 0, 1))  # (C', C, 4, 4): w[3] is 0
        phases = [taps[:, :, y::2, x::2].flip(2, 3) for y in (0, 1) for x in (0, 1)]  # x[m-1] comes first
        weight = torch.stack(phases, 1).flatten(0, 1)  # (4 C', C, 2, 2)
        return shuffle(conv(x, weight, padding="before"), 2)


class Lengstrom(nn.Module):
    """The network of lengstrom/fast-style-transfer: zero padding, transposed convolutions, tanh.

    It exists for the published weights and keeps its known defects, border and checkerboard artifacts. The
    state dict holds `layers.0.weight` (out, in, k, k), `layers.0.shift`, `layers.0.scale`, ... of 16 convolutions.

    Args:
        width: channels at full resolution; the public ones have 32.
        blocks: residual blocks; the public ones have 5.

    Differs: sides that are not multiples of 4 are padded by reflection and cropped again.
    """

    multiple = 4

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        w = width
        self.width, self.blocks = width, blocks
        layers = [_Conv(3, w, 9), _Conv(w, 2 * w, 3, 2), _Conv(2 * w, 4 * w, 3, 2)]
        layers += [_Conv(4 * w, 4 * w, 3) for _ in range(2 * blocks)]
        layers += [_Transposed(4 * w, 2 * w, 3), _Transposed(2 * w, w, 3), _Conv(w, 3, 9)]
        self.layers = nn.ModuleList(layers)

    @property
    def settings(self) -> dict[str, int]:
        """What the constructor needs to build this network again."""
        return {"width": self.width, "blocks": self.blocks}

    def forward(self, image: Map) -> Map:
        """Return the painted picture, `(B, 3, H, W)` as the image; values may leave [0, 1] a little."""
        layers = list(self.layers)
        x = pointwise(lambda values: values * 255, extend(image, self.multiple))
        for layer in layers[:3]:
            x = layer(x)
        x = keep(x)
        for index in range(3, 3 + 2 * self.blocks, 2):
            x = keep(pointwise(torch.add, layers[index + 1](layers[index](x), relu=False), x))
        for layer in layers[-3:-1]:
            x = layer(x)
        x = pointwise(_as_picture, layers[-1](x, relu=False))
        painted: Map = crop(x, size_of(image))
        return painted


def _as_picture(x: Tensor) -> Tensor:
    return (torch.tanh(x) * 150 + 127.5) / 255
