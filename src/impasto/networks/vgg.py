"""VGG-16 and VGG-19 as feature extractors: their layers describe content and style."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError, unknown_name

__all__ = ["VGG", "layer_names"]

_CONVS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # convolutions in each block


def layer_names(depth: int) -> tuple[str, ...]:
    """Return the layers of VGG-16 or VGG-19 in order: conv1_1, relu1_1, conv1_2, relu1_2, pool1, ..."""
    names: list[str] = []
    for block, convs in enumerate(_CONVS[depth], start=1):
        for conv in range(1, convs + 1):
            names += [f"conv{block}_{conv}", f"relu{block}_{conv}"]
        names.append(f"pool{block}")
    return tuple(names)


def _check_choice(option: str, value: object, choices: Iterable[object]) -> None:
    choices = tuple(choices)
    if value not in choices:
        raise OptionError(f"{option} is {value!r}; expected {' or '.join(repr(choice) for choice in choices)}.")


class VGG(nn.Module):
    """VGG-16 or VGG-19 without its classifier, with layers named as in the paper.

    The state dict holds `conv1_1.weight`, `conv1_1.bias`, ... and nothing else; a new object has random weights. Mean,
    standard deviation, range and channel order of the input belong to the weights. The network applies them itself:
    its input is RGB in [0, 1].

    Args:
        depth: 16 or 19.
        mean: of the scaled input, which is subtracted, in the order of `channel_order`.
        std: standard deviation, by which the difference is divided.
        channel_order: order of the channels in the training of the weights.
        scale: factor on the input, before the mean is subtracted: 1.0 or 255.0.
        pooling: "max" as in the training, or "average", which Gatys found smoother.
        padding: of the first convolution; all others pad with zeros, as in the training. "replicate" and "reflect"
            avoid artifacts of a dark frame.
        pooling_scale: factor on average pooling, since an average is smaller than a maximum; max pooling ignores it.
            The best value depends on the weights. Mean activations of Oxford's VGG-19 on 14 photographs, with average
            pooling relative to max pooling: at 1.0, relu2_1 0.82, relu3_1 0.59, relu4_1 0.44, relu5_1 0.24; at 1.4,
            1.15, 1.16, 1.20 and 0.87; at 2.0, 1.64, 2.37, 3.52 and 3.81.
        widths: channels of the five blocks. The published weights need the default.

    Raises:
        OptionError: an argument is not one of the choices, or has the wrong length.

    Source: Simonyan & Zisserman 2014, arXiv:1409.1556, table 1, columns D and E. Average pooling:
    Gatys, Ecker & Bethge 2015, arXiv:1508.06576, Methods. Scaled averages and padding at the first
    convolution only: style-transfer-pytorch by K. Crowson, which multiplies by 2.0.
    """

    gain: Tensor
    shift: Tensor

    def __init__(
        self,
        depth: Literal[16, 19] = 19,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        channel_order: Literal["rgb", "bgr"],
        scale: float,
        pooling: Literal["max", "average"] = "max",
        padding: Literal["zeros", "replicate", "reflect"] = "zeros",
        pooling_scale: float = 1.0,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
    ) -> None:
        super().__init__()
        _check_choice("depth", depth, _CONVS)
        _check_choice("channel_order", channel_order, ("rgb", "bgr"))
        _check_choice("pooling", pooling, ("max", "average"))
        _check_choice("padding", padding, ("zeros", "replicate", "reflect"))
        for option, numbers, count in (("mean", mean, 3), ("std", std, 3), ("widths", widths, 5)):
            if len(numbers) != count:
                raise OptionError(f"{option} holds {len(numbers)} numbers; expected {count}.")
        self.name = f"vgg{depth}"
        self.layer_names = layer_names(depth)
        self.channel_order = channel_order
        self.pooling = pooling
        self.padding = padding
        self.pooling_scale = pooling_scale
        self.widths = tuple(widths)
        # (image * scale - mean) / std as one multiplication and addition. The device is the CPU, because the
        # convolutions may be built on the meta device, where these values would be lost.
        gain = torch.tensor([scale / s for s in std], dtype=torch.float32, device="cpu")
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32, device="cpu")
        self.register_buffer("gain", gain.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(1, 3, 1, 1), persistent=False)
        channels = 3
        for name in self.layer_names:
            if name.startswith("conv"):
                mode = padding if name == "conv1_1" else "zeros"
                self.add_module(name, nn.Conv2d(channels, self.channels(name), 3, padding=1, padding_mode=mode))
                channels = self.channels(name)

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the features of an image at the requested layers; deeper layers are not computed.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1]; values outside are not clamped. It is not changed.
            layers: names from `layer_names`, in any order.

        Returns:
            Layer name to features `(B, channels(layer), H // stride(layer), W // stride(layer))`, in
            the order of `layer_names`, in the dtype of the weights. On a CPU they are channels-last in memory, which
            affects speed, not values.

        Raises:
            UnknownName: this network has no such layer.
            ImageError: the image is not `(B, 3, H, W)`, holds integers, or is too small for the deepest layer.
        """
        wanted = self._known(layers)
        features: dict[str, Tensor] = {}
        if not wanted:
            return features
        deepest = max(wanted, key=self.layer_names.index)
        self._check(image, deepest)
        x = self._prepare(image)
        for name in self.layer_names[: self.layer_names.index(deepest) + 1]:
            if name.startswith("conv"):
                x = self.get_submodule(name)(x)
            elif name.startswith("relu"):
                # In place saves a copy, unless it would overwrite a convolution that is returned. Autograd allows it:
                # the gradient of a convolution needs its input, not its output.
                x = F.relu(x, inplace=name.replace("relu", "conv") not in wanted)
            elif self.pooling == "max":
                x = F.max_pool2d(x, 2)
            else:
                x = F.avg_pool2d(x, 2) * self.pooling_scale
            if name in wanted:
                features[name] = x
        return features

    def channels(self, layer: str) -> int:
        """Return the number of channels of a layer.

        Raises:
            UnknownName: there is no such layer.
        """
        self._known([layer])
        return self.widths[_block(layer) - 1]

    def stride(self, layer: str) -> int:
        """Return the stride of a layer, in pixels of the image.

        Raises:
            UnknownName: there is no such layer.
        """
        self._known([layer])
        return int(2 ** (_block(layer) - (not layer.startswith("pool"))))

    def minimum_size(self, layers: Iterable[str]) -> int:
        """Return the smallest side of an image, in pixels, at which all these layers exist.

        Raises:
            UnknownName: there is no such layer.
        """
        # Reflection repeats the second row, so there must be one.
        first = 2 if self.padding == "reflect" else 1
        return max([first, *(self.stride(layer) for layer in layers)])

    def reach(self, layer: str) -> int:
        """Return how many pixels the receptive field of a position extends beyond its stride x stride square.

        Raises:
            UnknownName: there is no such layer.
        """
        self._known([layer])
        names = self.layer_names[: self.layer_names.index(layer) + 1]
        # Each 3x3 convolution extends it by one step to every side; a pooling window lies inside its own square.
        return sum(self.stride(name) for name in names if name.startswith("conv"))

    def feature_bytes(self, layer: str) -> float:
        """Return the memory of the features of a layer, in bytes per pixel of the image.

        Raises:
            UnknownName: there is no such layer.
        """
        return self.gain.element_size() * self.channels(layer) / self.stride(layer) ** 2

    def bytes_per_pixel(self, layers: Iterable[str]) -> float:
        """Return the approximate memory of a forward and backward pass, in bytes per pixel of the image.

        It counts the maps that the backward pass needs, the positions of the maxima, and six times the largest map
        for the workspace of a convolution. Measured on a CPU, the sum is right within a tenth.

        Raises:
            UnknownName: there is no such layer.
        """
        wanted = self._known(layers)
        if not wanted:
            return 0.0
        deepest = max(wanted, key=self.layer_names.index)
        each = self.gain.element_size()
        values = largest = 0.0
        for name in self.layer_names[: self.layer_names.index(deepest) + 1]:
            if not name.startswith("relu"):  # done in place
                maps = self.channels(name) / self.stride(name) ** 2
                values += maps * (3 if name.startswith("pool") and self.pooling == "max" else 1)
                largest = max(largest, maps)
        return each * (values + 6 * largest)

    def _known(self, layers: Iterable[str]) -> set[str]:
        wanted = set(layers)
        for layer in sorted(wanted.difference(self.layer_names)):
            raise unknown_name(f"a layer of {self.name}", layer, self.layer_names)
        return wanted

    def _check(self, image: Tensor, deepest: str) -> None:
        if not image.is_floating_point():
            raise ImageError(f"image holds {image.dtype}; expected decimal numbers in [0, 1].")
        if image.ndim != 4 or image.shape[1] != 3:
            raise ImageError(f"image has shape {tuple(image.shape)}; expected (B, 3, H, W).")
        height, width = image.shape[2:]
        size = self.minimum_size([deepest])
        if min(height, width) < size:
            raise ImageError(f"image is {width}x{height} px; {deepest} needs at least {size}x{size}.")

    def _prepare(self, image: Tensor) -> Tensor:
        """Convert RGB in [0, 1] to the range and channel order in which the weights were trained."""
        x = image.to(self.gain.dtype)
        if self.channel_order == "bgr":
            x = x.flip(1)
        x = torch.addcmul(self.shift, x, self.gain)
        return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def _block(layer: str) -> int:
    """Return 4 for conv4_2, relu4_2 and pool4."""
    return int(layer[4])
