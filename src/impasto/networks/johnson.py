"""Johnson's feed-forward network for fast style transfer, one network for each style."""

import torch
from torch import nn

from impasto.errors import OptionError
from impasto.networks.layers import Map, conv, crop, extend, keep, normalize, pointwise, size_of, upsample

__all__ = ["Johnson"]

_EPS = 1e-5  # torch's default, as for the public networks


class _Conv(nn.Module):
    """A convolution under the key of the public checkpoints."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(channels, out, kernel, stride)

    def forward(self, x: Map) -> Map:
        return conv(x, self.conv2d.weight, self.conv2d.bias, stride=self.conv2d.stride[0])


class _Norm(nn.Module):
    """Instance normalization with a gain and a shift for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Map, *, relu: bool = True) -> Map:
        return normalize(x, self.weight[None], self.bias[None], _EPS, torch.relu_ if relu else None)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.in1 = _Conv(channels, channels, 3), _Norm(channels)
        self.conv2, self.in2 = _Conv(channels, channels, 3), _Norm(channels)

    def forward(self, x: Map) -> Map:
        y = self.in2(self.conv2(self.in1(self.conv1(x))), relu=False)
        total: Map = keep(pointwise(torch.add, y, x))  # no ReLU after the sum
        return total


class Johnson(nn.Module):
    """The network of Johnson et al. as in pytorch/examples: 9-3-3, residual blocks, 3-3-9.

    State-dict keys are those of the public checkpoints: `conv1.conv2d.weight`, `in1.weight`, ...,
    `res1.conv1.conv2d.weight`, ..., `deconv3.conv2d.bias`. A new object has random weights.

    Args:
        width: channels at full resolution; twice and four times as many at a half and a quarter.
        blocks: residual blocks.
        scale: factor on pictures in [0, 1] at the input, divided out at the output. The public networks were trained
            on 0...255, the default; ours may use 1.

    Raises:
        OptionError: a number is out of range.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, and its supplement, with the changes of
        pytorch/examples: instance instead of batch normalization, reflection padding in each layer, nearest
        neighbors and a convolution instead of a transposed one, no tanh at the end.
    Differs: sides that are not multiples of 4 are padded by reflection and cropped again, so the output has the size
        of the input.
    """

    multiple = 4

    def __init__(self, width: int = 32, blocks: int = 5, *, scale: float = 255.0) -> None:
        super().__init__()
        if width < 1 or blocks < 0 or scale <= 0:
            raise OptionError(
                f"width is {width}, blocks {blocks} and scale {scale:g}; expected 1, 0 and more than 0 at least."
            )
        self.width, self.blocks, self.scale = width, blocks, scale
        self.conv1, self.in1 = _Conv(3, width, 9), _Norm(width)
        self.conv2, self.in2 = _Conv(width, 2 * width, 3, 2), _Norm(2 * width)
        self.conv3, self.in3 = _Conv(2 * width, 4 * width, 3, 2), _Norm(4 * width)
        for index in range(1, blocks + 1):
            self.add_module(f"res{index}", _Residual(4 * width))
        self.deconv1, self.in4 = _Conv(4 * width, 2 * width, 3), _Norm(2 * width)
        self.deconv2, self.in5 = _Conv(2 * width, width, 3), _Norm(width)
        self.deconv3 = _Conv(width, 3, 9)

    @property
    def settings(self) -> dict[str, float]:
        """What the constructor needs to build this network again."""
        return {"width": self.width, "blocks": self.blocks, "scale": self.scale}

    def forward(self, image: Map) -> Map:
        """Return the painted picture.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size from 1 x 1 on.

        Returns:
            The same shape. Values may leave [0, 1] a little: the training needs them, and a `Painter` clamps them.
        """
        x = extend(image, self.multiple)
        x = self.in1(self.conv1(pointwise(lambda values: values * self.scale, x)))
        x = self.in2(self.conv2(x))
        x = keep(self.in3(self.conv3(x)))
        for index in range(1, self.blocks + 1):
            x = self.get_submodule(f"res{index}")(x)
        x = self.in4(self.deconv1(upsample(x)))
        x = self.in5(self.deconv2(upsample(x)))
        x = pointwise(lambda values: values / self.scale, self.deconv3(x))
        painted: Map = crop(x, size_of(image))
        return painted
