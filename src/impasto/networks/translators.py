"""Generators of CycleGAN, CUT and pix2pix: ResNet and U-Net."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import OptionError
from impasto.networks.layers import Map, conv, crop, keep, normalize, pointwise, scale, shuffle, size_of, upsample

__all__ = [
    "Blur",
    "INIT_STD",
    "Norm",
    "ResNetGenerator",
    "SLOPE",
    "UNetGenerator",
    "check_settings",
    "init_weights",
    "norm_layer",
]

Norm = Literal["instance", "affine", "batch", "none"]


_NORMS = ("instance", "affine", "batch", "none")


INIT_STD = 0.02  # initial weights are N(0, 0.02) in both papers


SLOPE = 0.2  # of leaky ReLUs


_DROPOUT = 0.5


_SEED = 0  # of the dropout mask in `forward`


_HEAVY = 1 << 20  # weights


_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow's conversion to gray


_Net = TypeVar("_Net", bound=nn.Module)


def norm_layer(kind: Norm, channels: int) -> nn.Module:
    """Return a normalization layer; the identity for "none"."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.Identity() if kind == "none" else nn.InstanceNorm2d(channels, affine=kind == "affine")


def init_weights(network: _Net) -> _Net:
    """Draw the initial weights: N(0, 0.02), gains of batch normalization N(1, 0.02), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, INIT_STD)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, INIT_STD)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return network


def check_settings(norm: str, smallest: int, **numbers: int) -> None:
    """Raise an OptionError for an unknown norm or a size below the smallest one."""
    if norm not in _NORMS:
        raise OptionError(f"norm is {norm!r}; expected {', '.join(_NORMS)}.")
    if min(numbers.values()) < smallest:
        found = ", ".join(f"{name} {number}" for name, number in numbers.items())
        raise OptionError(f"the network's sizes are {found}; expected {smallest} or more each.")


class Blur(nn.Module):
    """Resampling by 2 without aliasing: a 1-2-1 blur down, bilinear interpolation up.

    It holds a buffer `filt`, as CUT's files do: `(C, 1, 3, 3)` going down, `(C, 1, 4, 4)` going up.

    Source: Zhang 2019, "Making convolutional networks shift-invariant again", arXiv:1904.11486, as in CUT.
    Differs: up, torch's bilinear interpolation equals a transposed convolution with 1-3-3-1 over replicated borders.
    """

    filt: Tensor

    def __init__(self, channels: int, direction: Literal["down", "up"]) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0] if direction == "down" else [1.0, 3.0, 3.0, 1.0])
        gain = 1 if direction == "down" else 4  # going up, three of four positions are 0 before the filter
        self.direction = direction
        self.register_buffer("filt", (gain * torch.outer(taps, taps) / taps.sum() ** 2).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map `(B, C, H, W)` half or twice as high and wide."""
        if self.direction == "up":
            return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt.to(x.dtype), stride=2, groups=x.shape[1])


class _Dropout(nn.Dropout):
    """Dropout of half of the features; `forward` of a generator uses a fixed mask, so that videos do not flicker."""

    def __init__(self, channels: int) -> None:
        super().__init__(_DROPOUT)
        self.channels = channels

    def mask(self, size: tuple[int, int]) -> Tensor:
        """Return the mask for maps of that size, scaled by 1 / (1 - p)."""
        chosen = torch.rand(1, self.channels, *size, generator=torch.Generator().manual_seed(_SEED))
        return (chosen >= _DROPOUT).float() / (1 - _DROPOUT)


class _Residual(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, channels: int, norm: Norm, *, dropout: bool, bias: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), norm_layer(norm, channels)]
            layers += [] if last else [nn.ReLU(True), *([_Dropout(channels)] if dropout else [])]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)  # type: ignore[no-any-return]


class _Skip(nn.Module):
    """One level of a U-Net with all deeper levels inside; its input is concatenated to its output.

    Args:
        layers: of this level, in their order.
        outermost: nothing is concatenated.

    Attributes:
        heavy: its filters take more memory than its maps; holding the maps is cheaper than computing them per strip.
    """

    def __init__(self, layers: Iterable[nn.Module], *, outermost: bool = False) -> None:
        super().__init__()
        self.outermost = outermost
        self.model = nn.Sequential(*layers)
        filters = [layer.weight for layer in self.model if isinstance(layer, nn.Conv2d)]
        self.heavy = sum(weight.numel() for weight in filters) >= _HEAVY

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y if self.outermost else torch.cat([x, y], 1)


def _run(layers: Iterable[nn.Module], x: Map) -> Map:
    """Return the output of layers, one after the other."""
    mirrored = False
    for layer in layers:
        if isinstance(layer, nn.ReflectionPad2d):
            mirrored = True  # the next convolution does it
            continue
        x = _one(layer, x, mirrored)
        mirrored = False
    return x


def _one(layer: nn.Module, x: Map, mirrored: bool) -> Map:
    result: Map
    if isinstance(layer, _Residual):
        x = keep(x)
        result = keep(pointwise(torch.add, x, _run(layer.conv_block, x)))
    elif isinstance(layer, _Skip):
        x = x if layer.outermost else keep(x)
        result = _run(layer.model, x)
        if not layer.outermost:
            result = pointwise(_joined, x, keep(result) if layer.heavy else result)
    elif isinstance(layer, nn.Conv2d):
        padding: Literal["reflect", "around"] = "reflect" if mirrored else "around"
        result = conv(x, layer.weight, layer.bias, stride=layer.stride[0], padding=padding)
    elif isinstance(layer, _Enlarge):
        result = layer.in_rows(x)
    elif isinstance(layer, nn.BatchNorm2d) and layer.training:
        result = normalize(x, layer.weight[None], layer.bias[None], layer.eps)
    elif isinstance(layer, nn.BatchNorm2d):
        assert layer.running_mean is not None and layer.running_var is not None
        gain = layer.weight * (layer.running_var + layer.eps).rsqrt()
        result = scale(x, gain[None], (layer.bias - layer.running_mean * gain)[None])
    elif isinstance(layer, nn.InstanceNorm2d):
        gain, shift = (layer.weight[None], layer.bias[None]) if layer.affine else map(torch.tensor, (1.0, 0.0))
        result = normalize(x, gain, shift, layer.eps)
    elif isinstance(layer, Blur):
        down = layer.direction == "down"
        result = conv(x, layer.filt, stride=2, groups=len(layer.filt)) if down else upsample(x, "bilinear")
    elif isinstance(layer, _Dropout) and layer.training:
        result = pointwise(_masked, x, layer.mask(size_of(x)))
    elif isinstance(layer, nn.Upsample):
        result = upsample(x)
    elif isinstance(layer, nn.Identity | _Dropout):
        result = x
    else:
        result = pointwise(_ACTIVATIONS[type(layer)], x)
    return result


_ACTIVATIONS: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: torch.relu,
    nn.LeakyReLU: lambda x: F.leaky_relu(x, SLOPE),
    nn.Tanh: torch.tanh,
}


def _masked(x: Tensor, mask: Tensor) -> Tensor:
    return x * mask.to(x)


def _joined(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], 1)


class _Enlarge(nn.ConvTranspose2d):
    """A transposed 4 x 4 convolution of stride 2 and padding 1, or one of 3 x 3, whose fourth tap is 0.

    For maps of which only some rows are known it is written as a 2 x 2 convolution to four times the channels and a
    pixel shuffle, because out[2m] is x[m-1] w[3] + x[m] w[1] and out[2m+1] is x[m] w[2] + x[m+1] w[0], in both
    directions. Position j of the convolution sees x[j-1] and x[j]: it gives out[2j-1] and out[2j], so the first and
    the last position of all are cropped.
    """

    def __init__(self, channels: int, out: int, kernel: int, *, bias: bool) -> None:
        super().__init__(channels, out, kernel, 2, padding=1, output_padding=4 - kernel, bias=bias)
        self._known: tuple[Any, Tensor] | None = None

    def in_rows(self, x: Map) -> Map:
        """Return the enlarged map."""
        if torch.compiler.is_exporting():  # all rows are known
            return pointwise(self.forward, x)
        height, width = size_of(x)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return crop(shuffle(conv(x, self._phases(), bias, padding="full"), 2), (2 * height, 2 * width), 1)

    def _phases(self) -> Tensor:
        """Return the filters in that order; cached for frozen weights, for there may be many."""
        weight = self.weight
        if torch.is_grad_enabled() and weight.requires_grad:
            return self._ordered(weight)
        now = (weight.data_ptr(), weight._version, weight.device, weight.dtype)
        if self._known is None or self._known[0] != now:
            self._known = now, self._ordered(weight.detach())
        return self._known[1]

    @staticmethod
    def _ordered(weight: Tensor) -> Tensor:
        weight = weight.transpose(0, 1)  # (C', C, k, k)
        weight = F.pad(weight, (0, 4 - weight.shape[3], 0, 4 - weight.shape[2]))
        out, channels = weight.shape[:2]
        order = torch.tensor([2, 0, 3, 1], device=weight.device)
        phases = weight[:, :, order][..., order].view(out, channels, 2, 2, 2, 2)  # (C', C, y, tap, x, tap)
        phases = phases.permute(0, 2, 4, 1, 3, 5).reshape(4 * out, channels, 2, 2)
        on_cpu = phases.device.type == "cpu"
        return phases.contiguous(memory_format=torch.channels_last if on_cpu else torch.contiguous_format)


class _Generator(nn.Module):
    """Base of the generators: pictures of any size in [0, 1], padded to the multiple that the layers need.

    In training mode, `forward` applies dropout, and batch normalization uses each picture's own statistics: as the
    authors of pix2pix test it, one picture at a time.

    Attributes:
        model: the layers; they take and give pictures in [-1, 1].
        channels: of input pictures; 1 or 3 if `forward` is used.
        out: channels of output pictures.
        multiple: sides must be multiples of it in `translate`.
        smallest: side of the smallest picture that the layers take.
    """

    model: nn.Module
    channels: int
    out: int
    multiple: int
    smallest: int = 8  # reflection padding by 3 needs more than 3

    def translate(self, pictures: Tensor) -> Tensor:
        """Return pictures `(B, channels, H, W)` in [-1, 1] translated: `(B, out, H, W)` in (-1, 1)."""
        translated: Tensor = self.model(pictures)
        return translated

    def forward(self, image: Map) -> Map:
        """Return pictures translated.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size from 1 x 1 on; converted to gray for a network of one channel.

        Returns:
            The same shape, in [0, 1].
        """
        height, width = size_of(image)
        high, wide = (_up(side, self.smallest, self.multiple) for side in (height, width))
        x = crop(pointwise(_as_input if self.channels == 3 else _as_gray_input, image), (high, wide))
        layers = self.model if isinstance(self.model, nn.Sequential) else [self.model]
        translated: Map = crop(pointwise(_as_picture, _run(layers, x)), (height, width))
        return translated


def _up(side: int, smallest: int, multiple: int) -> int:
    least: int = torch.sym_max(side, smallest)  # type: ignore[no-untyped-call]
    return (least + multiple - 1) // multiple * multiple


def _as_input(image: Tensor) -> Tensor:
    return image * 2 - 1


def _as_gray_input(image: Tensor) -> Tensor:
    luma = image[:, :1] * _LUMA[0] + image[:, 1:2] * _LUMA[1] + image[:, 2:] * _LUMA[2]
    return luma * 2 - 1


def _as_picture(x: Tensor) -> Tensor:
    return (x / 2 + 0.5).expand(-1, 3, -1, -1)


class ResNetGenerator(_Generator):
    """CycleGAN's generator: 7-3-3, residual blocks at a quarter of the size, 3-3-7, tanh.

    State-dict keys are those of the official files: `model.1.weight`, ..., `model.10.conv_block.1.weight`, ....

    Args:
        width: channels at full resolution, ngf; twice and four times as many at a half and a quarter.
        blocks: residual blocks: 9 for 256 px and more, 6 for 128 px.
        norm: "instance", each picture's own mean and variance, "batch", those of a batch or the running ones, or
            "none"; "affine" is "instance" with gains and biases. Convolutions have biases with both of these only.
        dropout: of half of each block's features in training mode.
        blur_down: downsample with a blur, as CUT does, instead of strided convolutions.
        blur_up: upsample with bilinear interpolation, as CUT does, instead of transposed convolutions.
        nearest_up: upsample by repeating pixels, as PyTorch-GAN does, instead of transposed convolutions.
        halvings: of the resolution before the blocks; pix2pixHD has 4.
        channels: of input pictures.
        out: channels of output pictures.

    Raises:
        OptionError: a number is out of range, or the norm is none of the four.

    Source: Zhu, Park, Isola & Efros 2017, arXiv:1703.10593, appendix 7.2, and the official program; CUT: Park et al.
        2020, arXiv:2007.15651; pix2pixHD: Wang et al. 2018, arXiv:1711.11585, section 3.1, its global generator.
    Differs: in `forward`, sides that are not multiples of 4 are padded by reflection and cropped again.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        *,
        dropout: bool = False,
        blur_down: bool = False,
        blur_up: bool = False,
        nearest_up: bool = False,
        halvings: int = 2,
        channels: int = 3,
        out: int = 3,
    ) -> None:
        super().__init__()
        check_settings(norm, 1, width=width, blocks=blocks, halvings=halvings, channels=channels, out=out)
        if halvings > 8:
            raise OptionError(f"halvings are {halvings}; expected 1 to 8.")
        self.width, self.blocks, self.norm, self.channels, self.out = width, blocks, norm, channels, out
        self.dropout, self.blur_down, self.blur_up = dropout, blur_down, blur_up
        self.nearest_up, self.halvings = nearest_up, halvings
        self.multiple = 2**halvings
        self.smallest = max(8, 2 * self.multiple)  # reflection padding by 1 in the blocks needs more than 1
        bias = norm in (
            "instance",
            "affine",
        )  # batch norm has shifts of its own; with "none" the official program has no biases

        def following(count: int) -> list[nn.Module]:
            return [norm_layer(norm, count), nn.ReLU(True)]

        layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7, bias=bias), *following(width)]
        widths = [2**halving * width for halving in range(1, halvings + 1)]
        for wide in widths:
            stride = 1 if blur_down else 2
            layers += [nn.Conv2d(wide // 2, wide, 3, stride=stride, padding=1, bias=bias), *following(wide)]
            layers += [Blur(wide, "down")] if blur_down else []
        layers += [_Residual(widths[-1], norm, dropout=dropout, bias=bias) for _ in range(blocks)]
        for wide in reversed(widths):
            if blur_up or nearest_up:
                layers += [Blur(wide, "up") if blur_up else nn.Upsample(scale_factor=2)]
                layers += [nn.Conv2d(wide, wide // 2, 3, padding=1, bias=bias)]
            else:
                layers += [_Enlarge(wide, wide // 2, 3, bias=bias)]
            layers += following(wide // 2)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, out, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        init_weights(self)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        names = ("width", "blocks", "norm", "dropout", "blur_down", "blur_up", "nearest_up", "halvings")
        return {name: getattr(self, name) for name in (*names, "channels", "out")}

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return intermediate features `(B, C, h, w)` of pictures `(B, channels, H, W)` in [-1, 1].

        These are the pictures with reflection padding, the outputs of both downsampling convolutions, of the first
        block, and of the fifth block or the last one if there are fewer.

        Source: Park et al. 2020, arXiv:2007.15651, appendix C.1: layers 0, 4, 8, 12 and 16 of CUT's generator.
        """
        second = 8 if self.blur_down else 7
        first = second + (4 if self.blur_down else 3)
        wanted = (0, 4, second, first, first + min(4, self.blocks - 1))
        found: dict[int, Tensor] = {}
        for index, layer in enumerate(self.model[: wanted[-1] + 1]):  # type: ignore[index]
            pictures = layer(pictures)
            if index in wanted:
                found[index] = pictures.clone() if self.norm == "none" else pictures  # the ReLU works in place
        return [found[index] for index in wanted]

    def feature_channels(self) -> list[int]:
        """Return the number of channels of each of `features`."""
        return [self.channels, 2 * self.width, *[4 * self.width] * 3]


class UNetGenerator(_Generator):
    """pix2pix's generator, a U-Net: strided convolutions down to one position, and up again with skip connections.

    State-dict keys are those of the official files: `model.model.0.weight`, `model.model.1.model.1.weight`, ....

    Args:
        width: channels after the first convolution, ngf; they double up to eight times as many.
        downs: number of halvings: 8 in `unet_256`, 7 in `unet_128`.
        norm: as in `ResNetGenerator`.
        dropout: of half of the features of the inner levels but the innermost one, in training mode.
        channels: of input pictures.
        out: channels of output pictures.

    Raises:
        OptionError: a number is out of range, or the norm is none of the four.

    Source: Isola, Zhu, Zhou & Efros 2017, arXiv:1611.07004, appendix 6.1.1, and the official program.
    Differs: in evaluation mode it uses running statistics and no dropout. The paper uses statistics of the one picture,
        and dropout, also for tests (section 3.3); so do the official programs without `--eval`. In `forward`, sides
        that are not multiples of 2 to the number of halvings are padded by reflection and cropped again.
    """

    def __init__(
        self,
        width: int = 64,
        downs: int = 8,
        norm: Norm = "batch",
        *,
        dropout: bool = True,
        channels: int = 3,
        out: int = 3,
    ) -> None:
        super().__init__()
        check_settings(norm, 1, width=width, channels=channels, out=out)
        if not 5 <= downs <= 16:
            raise OptionError(f"downs is {downs}; expected 5 to 16.")
        self.width, self.downs, self.norm, self.dropout = width, downs, norm, dropout
        self.channels, self.out, self.multiple = channels, out, 2**downs
        bias = norm in ("instance", "affine")
        most = 8 * width

        def down(count: int, wide: int) -> nn.Module:
            return nn.Conv2d(count, wide, 4, stride=2, padding=1, bias=bias)

        def up(count: int, wide: int, bias: bool = bias) -> nn.Module:
            return _Enlarge(count, wide, 4, bias=bias)

        leaky = [nn.LeakyReLU(SLOPE, True) for _ in range(downs)]
        level = _Skip([leaky[0], down(most, most), nn.ReLU(True), up(most, most), norm_layer(norm, most)])
        outer = [*[most] * (downs - 5), most // 2, most // 4, most // 8]
        inner = [most, *outer[:-1]]
        for index, (count, wide) in enumerate(zip(outer, inner, strict=True), start=1):
            layers = [leaky[index], down(count, wide), norm_layer(norm, wide), level, nn.ReLU(True)]
            layers += [up(2 * wide, count), norm_layer(norm, count)]
            layers += [_Dropout(count)] if dropout and index <= downs - 5 else []
            level = _Skip(layers)
        whole = [down(channels, width), level, nn.ReLU(True), up(2 * width, out, True), nn.Tanh()]
        self.model = _Skip(whole, outermost=True)
        init_weights(self)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {name: getattr(self, name) for name in ("width", "downs", "norm", "dropout", "channels", "out")}
