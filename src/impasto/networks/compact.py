"""A compact encoder that was taught to see as VGG-19 does, in a fraction of the time."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError, unknown_name

__all__ = ["CHANNELS", "Compact"]

Padding = Literal["zeros", "replicate", "reflect"]

# Which layers there are, and how many directions of VGG-19's features each of them keeps. The first
# six are what impasto's defaults look at, and what the trunk is trained for; see docs/encoder.md.
CHANNELS: Mapping[str, int] = MappingProxyType(
    {"relu1_1": 16, "relu2_1": 32, "relu3_1": 64, "relu4_1": 96, "relu4_2": 96, "relu5_1": 128}
    | {"conv1_1": 16, "relu1_2": 16, "conv2_1": 32, "relu2_2": 32, "conv3_1": 48}
    | {"relu3_2": 48, "relu3_3": 48, "relu3_4": 48, "conv4_1": 48, "conv4_2": 64, "relu4_3": 32, "relu4_4": 32}
    | {"conv5_1": 48, "conv5_2": 32, "relu5_2": 64, "relu5_3": 32, "relu5_4": 32}
)


class Compact(nn.Module):
    """A small convolutional network with layers named, and as large, as those of VGG-19.

    What costs time in VGG-19 is its work at full and half resolution. Here one convolution with few
    channels is all there is at full resolution; it serves the layers of the first block, and nothing
    follows it. The trunk begins with a convolution that moves in steps of two pixels, and goes on
    with few channels at half resolution and more where there are fewer places. Convolutions that keep
    the resolution add to what they are given, which made it learn faster.

    Each layer is a linear map of what the trunk knows there, so features are signed. A trained one
    approximates √(k/C) Qᵀf, where f are VGG-19's C features and the k columns of Q are the orthonormal
    directions that hold most of their energy: lengths of differences, and with them losses, are VGG's.

    All is convolutional: an image moved by 16 px has moved features, away from its borders.

    Args:
        channels: layer to its number of channels; which layers there are.
        widths: channels at full resolution (its own small branch), a half, a quarter, an eighth and a
            sixteenth of it.
        depths: further 3 x 3 convolutions at each of these, after the one that leads there.
        padding: what surrounds the image at the first convolutions; all others see zeros.

    Raises:
        OptionError: an argument is none of the choices, or the numbers do not fit.

    Differs from VGG-19: strided convolutions in place of max pooling; no `pool` layers.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int] = CHANNELS,
        widths: Sequence[int] = (16, 32, 96, 160, 192),
        depths: Sequence[int] = (0, 1, 1, 3, 2),
        padding: Padding = "zeros",
    ) -> None:
        super().__init__()
        if padding not in get_args(Padding):
            raise OptionError(f"padding is {padding!r}; expected {' or '.join(map(repr, get_args(Padding)))}.")
        if len(widths) != 5 or len(depths) != 5 or min(widths) < 1 or min(depths) < 0 or depths[0]:
            raise OptionError(
                f"widths are {tuple(widths)}, depths {tuple(depths)}; expected five of each, the first depth 0."
            )
        for layer in channels:
            if layer not in CHANNELS:
                raise unknown_name("a layer of a compact encoder", layer, CHANNELS)
        self.name = "compact"
        self.layer_names = tuple(sorted(channels, key=_order))
        self.widths, self.depths, self.padding = tuple(widths), tuple(depths), padding
        self._channels = dict(channels)
        self.fine = nn.Conv2d(3, widths[0], 3, padding=1, padding_mode=padding)
        # Six wide and in steps of two, the window lies evenly around the four pixels that VGG would pool.
        stem = nn.Conv2d(3, widths[1], 6, stride=2, padding=2, padding_mode=padding)
        self.blocks = nn.ModuleList()
        for block in range(1, 5):
            enter = nn.Conv2d(widths[block - 1], widths[block], 2, stride=2) if block > 1 else stem
            rest = (nn.Conv2d(widths[block], widths[block], 3, padding=1) for _ in range(depths[block]))
            self.blocks.append(nn.ModuleList([enter, *rest]))
        self.heads = nn.ModuleDict(
            {layer: nn.Linear(widths[_block(layer) - 1], channels[layer]) for layer in self.layer_names}
        )

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the features of an image at the layers asked for; nothing deeper is computed.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1]; values outside are not clamped. It is left as it is.
            layers: names out of `layer_names`, in any order.

        Returns:
            Layer name to features `(B, channels(layer), H // stride(layer), W // stride(layer))`, in
            the order of `layer_names`, in the dtype of the weights.

        Raises:
            UnknownName: a layer that this network does not have.
            ImageError: the image is not `(B, 3, H, W)`, holds integers, or is too small for the deepest layer.
        """
        wanted = self._known(layers)
        trunk = self.trunk(image, wanted)
        return {layer: self._head(layer, trunk[self.place(layer)]) for layer in self.layer_names if layer in wanted}

    def trunk(self, image: Tensor, layers: Iterable[str]) -> dict[tuple[int, int], Tensor]:
        """Return what the heads of these layers are given, `(B, width, H', W')`, by block and convolution.

        Args and Raises: see `forward`.
        """
        wanted = self._known(layers)
        places = {self.place(layer) for layer in wanted}
        if not places:
            return {}
        self._check(image, max(wanted, key=_order))
        x = (image * 4 - 2).to(self.fine.weight.dtype)  # about zero mean and unit variance
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        seen: dict[tuple[int, int], Tensor] = {}
        if (1, 0) in places:
            seen[1, 0] = F.relu(self.fine(x), inplace=True)
        deepest = max(places)
        for block, convolutions in enumerate(self.blocks, start=2):
            assert isinstance(convolutions, nn.ModuleList)
            for index, convolution in enumerate(convolutions):
                if (block, index) > deepest:
                    return seen
                y = F.relu(convolution(x), inplace=True)  # autograd needs a convolution's input, never its output
                x = seen[block, index] = x + y if index else y
        return seen

    def channels(self, layer: str) -> int:
        """Return how many channels a layer has.

        Raises:
            UnknownName: there is no such layer.
        """
        self._known([layer])
        return self._channels[layer]

    def stride(self, layer: str) -> int:
        """Return how many pixels of the image one step in a layer spans, along each side.

        Raises:
            UnknownName: there is no such layer.
        """
        self._known([layer])
        return int(2 ** (_block(layer) - 1))

    def reach(self, layer: str) -> int:
        """Return how many pixels beyond its own `stride` x `stride` ones a feature sees, to each side.

        A tile whose offset in the image is a multiple of `stride(layer)` (16 serves all layers) has the
        image's features wherever they are this far from the tile's cut edges.

        Raises:
            UnknownName: there is no such layer.
        """
        self._known([layer])
        last, index = self.place(layer)
        if last == 1:
            return 1
        before = sum(2 ** (block - 1) * self.depths[block - 1] for block in range(2, last))
        return int(2 + before + 2 ** (last - 1) * index)

    def bytes_per_pixel(self, layers: Iterable[str]) -> float:
        """Return about how much memory a forward and backward pass takes for each pixel of the image.

        Counted are the maps that are kept for the way back, and four of the largest for what is needed besides.

        Raises:
            UnknownName: there is no such layer.
        """
        wanted = self._known(layers)
        places = [self.place(layer) for layer in wanted]
        maps = [self._channels[layer] / self.stride(layer) ** 2 for layer in wanted]
        if any(block == 1 for block, _ in places):
            maps.append(self.widths[0])
        deepest = max(places, default=(1, 0))
        for block in range(2, 6):
            for index in range(self.depths[block - 1] + 1):
                if (block, index) <= deepest:
                    maps.append(self.widths[block - 1] / 4 ** (block - 1))
        each = self.fine.weight.element_size()
        copies = 0.0 if each >= 4 else 4 * sum(self._channels[layer] / self.stride(layer) ** 2 for layer in wanted)
        return each * (sum(maps) + 4 * max(maps)) + copies if maps else 0.0

    def minimum_size(self, layers: Iterable[str]) -> int:
        """Return the shortest side of an image, in pixels, with which all these layers can be had.

        Raises:
            UnknownName: there is no such layer.
        """
        layers = list(layers)
        size = max([1, *(self.stride(layer) for layer in layers)])
        # Reflection repeats the rows behind the edge: two of them for the trunk, one for the first block.
        return max(size, min(size, 2) + 1) if self.padding == "reflect" else size

    def place(self, layer: str) -> tuple[int, int]:
        """Return the block, and the convolution in it, after which a layer's head looks."""
        block = _block(layer)
        depth = self.depths[block - 1]
        early = block == 4 and layer.endswith("_1")  # the one block of which defaults look at two layers
        return block, max(0, depth - 1) if early else depth

    def _head(self, layer: str, x: Tensor) -> Tensor:
        # A 1 x 1 convolution, as the matrix product that it is where features lie channels-last.
        return self.heads[layer](x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]

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


def _block(layer: str) -> int:
    """Return 4 for conv4_2 and relu4_2."""
    return int(layer[4])


def _order(layer: str) -> tuple[str, str]:
    """Sort as layers run in VGG: conv4_1, relu4_1, relu4_2."""
    return layer[4:], layer
