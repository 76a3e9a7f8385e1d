"""Layers of feed-forward networks, for whole pictures and for pictures in strips of rows.

A network is written once, with the functions below. For tensors they compute directly, with gradients. For `Rows`, a
feature map that is computed strip by strip, they build another `Rows`. So `inference.strips` applies any of these
networks to a picture too large for the memory, with the same bits: each layer knows which rows of its input it needs,
and normalization uses the statistics of the whole map, which are summed row by row in both cases.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = [
    "Bilinear",
    "Conv",
    "Extend",
    "Halve",
    "Local",
    "Map",
    "Moments",
    "Padding",
    "Rows",
    "Shuffle",
    "Unshuffle",
    "Upsample",
    "conv",
    "crop",
    "extend",
    "halve",
    "keep",
    "moments",
    "moments_of",
    "normalize",
    "pointwise",
    "reference_of",
    "row_sums",
    "scale",
    "shuffle",
    "size_of",
    "together",
    "unshuffle",
    "upsample",
    "wide",
]

Padding = Literal["reflect", "zeros", "before", "around", "full"]
Moments = tuple[Tensor, Tensor]  # mean and biased variance of each channel, (B, C) both
_CHUNK = 1 << 20  # values that are summed at once: few enough for the cache, enough to amortize the call
# On CPUs torch has another implementation of convolution for maps of at most this many values, with other rounding. A
# strip may be that small while its map is not, so small maps use the implementation of large ones here.
_SMALL = 20480
_FLAT = 1e-6  # standard deviation relative to the mean; less is rounding
_FEW = 11  # channels: with fewer than 12, a 1 x 1 convolution may round differently in strips


class Rows(ABC):
    """A feature map `(B, C, H, W)` that is computed in strips of rows."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width."""

    @abstractmethod
    def local(self, layer: "Local") -> "Rows":
        """Return the output of a layer for this map."""

    @abstractmethod
    def pointwise(self, function: Callable[..., Tensor], others: tuple[Any, ...]) -> "Rows":
        """Return a pointwise function of this and other maps."""

    @abstractmethod
    def keep(self) -> "Rows":
        """Return this map, computed and kept in memory."""

    @abstractmethod
    def moments(self) -> Moments:
        """Return the statistics of the whole map."""


Map = TypeVar("Map", Tensor, Rows)


class Local(ABC):
    """A layer whose rows of output depend only on a few rows of input."""

    @abstractmethod
    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of the output for a map of this size."""

    @abstractmethod
    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """Return the rows (first, after the last) of the input that rows of output need, for a map of this height."""

    @abstractmethod
    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """Return rows of output.

        Args:
            x: `(B, C, h, W)`, the rows of `needs`, or more.
            first: index of the first row of `x` in the whole map.
            height: of the whole map.
            top: first row of output.
            bottom: row after the last.
        """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the whole output of a whole map."""
        return self.rows(x, 0, x.shape[-2], 0, self.size(*x.shape[-2:])[0])


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Return the indices of rows outside a map, reflected at its borders as often as needed."""
    if length == 1:
        return torch.zeros_like(index)
    index = index.remainder(2 * length - 2)
    return torch.minimum(index, 2 * length - 2 - index)


def _reflected(start: int, stop: int, length: int) -> tuple[int, int]:
    """Return the range (first, after the last) of rows start to stop, reflected at the borders."""
    if start >= 0 and stop <= length:
        return start, stop
    index = _mirrored(torch.arange(start, stop), length)
    return int(index.min()), int(index.max()) + 1


def _take(x: Tensor, dim: int, first: int, length: int, start: int, stop: int) -> Tensor:
    """Return positions start to stop of a map whose part from `first` on is x, reflected at its borders."""
    if start >= 0 and stop <= length:
        return x.narrow(dim, start - first, stop - start)
    return x.index_select(dim, _mirrored(torch.arange(start, stop, device=x.device), length) - first)


def _window(x: Tensor, first: int, height: int, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Return rows and columns of a map whose rows from `first` on are x, reflected at its borders."""
    width = x.shape[-1]
    pads, parts = [], []  # of columns, then of rows: outside, and inside
    for (start, stop), length in ((columns, width), (rows, height)):
        inner = (max(0, start), min(length, stop))
        pads += [inner[0] - start, stop - inner[1]]
        parts.append(inner)
    (left, right), (top, bottom) = parts
    if right - left <= max(pads[:2]) or bottom - top <= max(pads[2:]):  # reflected more than once
        return _take(_take(x, 2, first, height, *rows), 3, 0, width, *columns)
    x = x.narrow(2, top - first, bottom - top).narrow(3, left, right - left)
    return F.pad(x, pads, mode="reflect") if any(pads) else x


class Conv(Local):
    """A convolution with its padding.

    Args:
        weight: `(C', C / groups, k, k)`.
        bias: `(C')`, or None.
        stride: 1 or 2.
        padding: "reflect": k // 2 reflected positions on each side, without a dark frame. "zeros": TensorFlow's SAME,
            zeros for an output of ceil(size / stride), an odd one at the end. "before": all k - 1 zeros at the start.
            "around": torch's, (k - 1) // 2 zeros on each side; the output has the same size as with the others, so k
            is odd, or 4 with a stride of 2. "full": k - 1 zeros on each side; the output is larger by k - 1.
        groups: of channels.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: Padding = "reflect",
        groups: int = 1,
    ) -> None:  # fmt: skip
        self.weight, self.bias, self.stride, self.padding, self.groups = weight, bias, stride, padding, groups
        self.kernel = int(weight.shape[-1])

    def _before(self, length: int) -> int:
        if self.padding == "reflect":
            return self.kernel // 2
        if self.padding in ("before", "full"):
            return self.kernel - 1
        if self.padding == "around":
            return (self.kernel - 1) // 2
        return max(0, (-(-length // self.stride) - 1) * self.stride + self.kernel - length) // 2

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See `Local`."""
        more = self.kernel - 1 if self.padding == "full" else 0
        return -(-height // self.stride) + more, -(-width // self.stride) + more

    def _window(self, top: int, bottom: int, length: int) -> tuple[int, int]:
        start = top * self.stride - self._before(length)
        return start, start + (bottom - 1 - top) * self.stride + self.kernel

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        start, stop = self._window(top, bottom, height)
        return _reflected(start, stop, height) if self.padding == "reflect" else (max(0, start), min(height, stop))

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        width = x.shape[-1]
        start, stop = self._window(top, bottom, height)
        left, right = self._window(0, self.size(height, width)[1], width)
        if self.padding != "reflect":
            x = x.narrow(2, max(0, start) - first, min(height, stop) - max(0, start))
            x = F.pad(x, (-left, right - width, max(0, -start), max(0, stop - height)))
        else:
            x = _window(x, first, height, (start, stop), (left, right))
        return _convolve(x, self.weight, self.bias, self.stride, self.groups)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, groups: int) -> Tensor:
    if x.device.type == "cpu":
        x = x.contiguous(memory_format=torch.channels_last)
        if x.numel() <= _SMALL * len(x) and x.dtype is torch.float32 and not _recorded(x, weight):
            return torch.mkldnn_convolution(x, weight, bias, (0, 0), (stride, stride), (1, 1), groups)
    return F.conv2d(x, weight, bias, stride, groups=groups)


def _recorded(*tensors: Tensor) -> bool:
    """Return whether autograd or an exporter records the computation, which needs the standard convolution."""
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    exporting = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return learning or exporting or not torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


class Upsample(Local):
    """Nearest-neighbor upsampling by 2, which causes no checkerboard artifacts."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See `Local`."""
        return 2 * height, 2 * width

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        return top // 2, (bottom + 1) // 2

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        start, stop = self.needs(top, bottom, height)
        x = F.interpolate(x.narrow(2, start - first, stop - start), scale_factor=2.0, mode="nearest")
        return x.narrow(2, top - 2 * start, bottom - top)


class Bilinear(Upsample):
    """Bilinear upsampling by 2."""

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        return max(0, (top - 1) // 2), min(height, bottom // 2 + 1)

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        start, stop = self.needs(top, bottom, height)
        x = x.narrow(2, start - first, stop - start)
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return x.narrow(2, top - 2 * start, bottom - top)


class Halve(Local):
    """Means of squares of 2 x 2 positions; sides must be even."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See `Local`."""
        return height // 2, width // 2

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        return 2 * top, 2 * bottom

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        return F.avg_pool2d(x.narrow(2, 2 * top - first, 2 * (bottom - top)), 2)


class Unshuffle(Local):
    """Pixel unshuffle: squares of positions become channels; sides must be multiples of the factor."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See `Local`."""
        return height // self.factor, width // self.factor

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        return top * self.factor, bottom * self.factor

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        start, stop = self.needs(top, bottom, height)
        return F.pixel_unshuffle(x.narrow(2, start - first, stop - start), self.factor)


class Shuffle(Local):
    """Pixel shuffle: channels become squares of positions."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See `Local`."""
        return height * self.factor, width * self.factor

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        return top // self.factor, -(-bottom // self.factor)

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        start, stop = self.needs(top, bottom, height)
        x = F.pixel_shuffle(x.narrow(2, start - first, stop - start), self.factor)
        return x.narrow(2, top - start * self.factor, bottom - top)


class Extend(Local):
    """Reflection padding, or a crop.

    Args:
        height: of the output.
        width: of the output.
        first: row and column of the map at which the output starts; below 0 the map is reflected.
    """

    def __init__(self, height: int, width: int, first: int = 0) -> None:
        self.height, self.width, self.first = height, width, first

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See `Local`."""
        return self.height, self.width

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        return _reflected(top + self.first, bottom + self.first, height)

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        rows, columns = (top + self.first, bottom + self.first), (self.first, self.first + self.width)
        return _window(x, first, height, rows, columns)


# --- functions for networks -----------------------------------------------------------------------


def _local(layer: Local, x: Map) -> Map:
    return layer(x) if isinstance(x, Tensor) else x.local(layer)


def conv(
    x: Map, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: Padding = "reflect",
    groups: int = 1,
) -> Map:  # fmt: skip
    """Return the convolution; see `Conv`."""
    return _local(Conv(weight, bias, stride=stride, padding=padding, groups=groups), x)


def upsample(x: Map, mode: Literal["nearest", "bilinear"] = "nearest") -> Map:
    """Return the map upsampled by 2; see `Upsample` and `Bilinear`."""
    return _local(Bilinear() if mode == "bilinear" else Upsample(), x)


def halve(x: Map) -> Map:
    """Return the map at half its size; see `Halve`."""
    return _local(Halve(), x)


def unshuffle(x: Map, factor: int) -> Map:
    """Return the map with squares of positions as channels; see `Unshuffle`."""
    return _local(Unshuffle(factor), x)


def shuffle(x: Map, factor: int) -> Map:
    """Return the map with channels as squares of positions; see `Shuffle`."""
    return _local(Shuffle(factor), x)


def size_of(x: Tensor | Rows) -> tuple[int, int]:
    """Return height and width."""
    return (x.shape[-2], x.shape[-1]) if isinstance(x, Tensor) else x.size


def extend(x: Map, multiple: int, margin: int = 0) -> Map:
    """Return the map with reflection padding: a margin, and more at the bottom and the right up to a multiple."""
    height, width = ((side + 2 * margin + multiple - 1) // multiple * multiple for side in size_of(x))
    return crop(x, (height, width), -margin)


def crop(x: Map, size: tuple[int, int], margin: int = 0) -> Map:
    """Return a crop of this size that begins a margin away from the upper left corner."""
    return x if size_of(x) == size else _local(Extend(*size, margin), x)


def pointwise(function: Callable[..., Tensor], x: Map, *others: Any) -> Map:
    """Return a pointwise function of maps of the same size."""
    return function(x, *others) if isinstance(x, Tensor) else x.pointwise(function, others)


def keep(x: Map) -> Map:
    """Return the map; `Rows` are computed and kept in memory, for use more than once."""
    return x if isinstance(x, Tensor) else x.keep()


# --- normalization --------------------------------------------------------------------------------


def wide(x: Tensor) -> Tensor:
    """Return values of 16 bits as float32, in which sums are accurate; other types unchanged."""
    return x.float() if x.element_size() < 4 else x


def row_sums(x: Tensor, reference: Tensor) -> Tensor:
    """Return the sums of x - reference and of its square along each row, `(2, B, H, C)` in float64.

    Each row is summed on its own, in its own precision for speed. So the sums do not depend on how rows are grouped.

    Args:
        x: `(B, C, H, W)`.
        reference: `(B, C)`, near the mean, against cancellation; exact for a constant map.
    """
    pixels = x.permute(0, 2, 3, 1)  # (B, H, W, C): rows are contiguous if x is channels-last
    b, h, w, c = pixels.shape
    sums = torch.empty(2, b, h, c, dtype=torch.float64, device=x.device if x.device.type != "mps" else "cpu")
    step = max(1, _CHUNK // (b * w * c))
    for top in range(0, h, step):
        part = pixels[:, top : top + step]
        center = reference[:, None, None]
        part = wide(part).sub_(center) if part.element_size() < 4 else part - center  # one pass over the memory
        sums[0, :, top : top + step] = part.sum(2)
        sums[1, :, top : top + step] = part.square_().sum(2)
    return sums


def reference_of(x: Tensor) -> Tensor:
    """Return the reference of `row_sums`, `(B, C)`: the means of the first row of the map, with which `x` begins."""
    return wide(x[:, :, 0]).mean(2)


def moments_of(sums: Tensor, reference: Tensor, width: int) -> Moments:
    """Return mean and biased variance from the sums of all rows, `(B, C)`."""
    mean, square = sums.sum(2) / (sums.shape[2] * width)
    variance = (square - mean.square()).clamp_min(0)
    return (reference.to(mean) + mean).to(reference), variance.to(reference)


def moments(x: Map) -> Moments:
    """Return mean and biased variance of each channel of the whole map, `(B, C)`, in float32 or wider.

    For a map without gradient the order of the additions does not depend on the strips.
    """
    if not isinstance(x, Tensor):
        return x.moments()
    if x.requires_grad:
        variance, mean = torch.var_mean(wide(x), (2, 3), correction=0)
        return mean, variance
    reference = reference_of(x)
    return moments_of(row_sums(x, reference), reference, x.shape[-1])


def together(found: Moments) -> Moments:
    """Return mean and biased variance of the pixels of all pictures of a batch, `(1, C)`.

    E[x] and E[x²] are averaged, not variances: the variance of the pictures' means counts, too.
    """
    mean, variance = (part.cpu().double() for part in found)  # some devices have no float64
    middle = mean.mean(0, keepdim=True)
    variance = (variance + (mean - middle).square()).mean(0, keepdim=True)
    return middle.to(found[0]), variance.to(found[1])


def normalize(
    x: Map, gamma: Tensor, beta: Tensor, eps: float, then: Callable[[Tensor], Tensor] | None = None,
    shares: Tensor | None = None,
) -> Map:  # fmt: skip
    """Return instance normalization: each channel of each picture gets mean beta and standard deviation gamma.

    Args:
        x: `(B, C, H, W)`.
        gamma: `(B or 1, C)`; with shares `(K, C)`.
        beta: the same shape.
        eps: added to the variance; it bounds the gain on flat pictures.
        then: function of the result, possibly in place, as `torch.relu_`.
        shares: `(B or 1, K, H, W)`, mixing weights of the K style embeddings at each position. Statistics are always
            those of the whole map.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022; gamma and beta for each style: Dumoulin, Shlens &
        Kudlur 2017, arXiv:1610.07629, eq. 5.
    """
    if shares is None and torch.compiler.is_exporting():  # as one operation, for one picture
        return pointwise(partial(_instance_norm, gamma, beta, eps, then), x)
    if shares is None and isinstance(x, Tensor) and x.requires_grad:  # torch has it as one operation
        b, c, h, w = x.shape
        weight, bias = (row.to(wide(x[:1, :1, :1, :1]).dtype).expand(b, c).reshape(-1) for row in (gamma, beta))
        y = torch.batch_norm(x.reshape(1, b * c, h, w), weight, bias, None, None, True, 0.0, eps, True)
        y = y.view(b, c, h, w)
        return then(y) if then else y
    mean, variance = moments(x)
    flat = variance <= (_FLAT * mean).square()  # nothing but rounding, which the gain would make visible
    gain = (variance + eps).rsqrt().masked_fill(flat, 0)
    if shares is None:
        return scale(x, gain * gamma, beta - mean * gain * gamma, then)

    def apply(values: Tensor, parts: Tensor) -> Tensor:
        values = torch.addcmul(_spread(-mean * gain, values), values, _spread(gain, values))
        values = torch.addcmul(_mixed(beta, parts), values, _mixed(gamma, parts))
        return then(values) if then else values

    return pointwise(apply, x, shares)


def _instance_norm(
    gamma: Tensor, beta: Tensor, eps: float, then: Callable[[Tensor], Tensor] | None, x: Tensor
) -> Tensor:
    weight, bias = (row.expand(1, x.shape[1])[0] for row in (gamma, beta))
    x = x - x[:, :, 0, 0][:, :, None, None]  # exactly 0 if it is flat, so that no rounding is amplified
    y = F.instance_norm(x, weight=weight, bias=bias, eps=eps)
    return then(y) if then else y


def scale(
    x: Map, gain: Tensor, shift: Tensor, then: Callable[[Tensor], Tensor] | None = None, shares: Tensor | None = None
) -> Map:
    """Return each channel times a gain plus a shift; arguments as in `normalize`."""

    def apply(values: Tensor, *parts: Tensor) -> Tensor:
        if parts:
            values = torch.addcmul(_mixed(shift, *parts), values, _mixed(gain, *parts))
        else:
            values = torch.addcmul(_spread(shift, values), values, _spread(gain, values))
        return then(values) if then else values

    return pointwise(apply, x) if shares is None else pointwise(apply, x, shares)


def _spread(row: Tensor, like: Tensor) -> Tensor:
    return row[:, :, None, None].to(like.dtype)


def _mixed(rows: Tensor, shares: Tensor) -> Tensor:
    """Return the vectors `(K, C)` mixed at each position by the weights `(B, K, H, W)`: `(B, C, H, W)`."""
    if rows.shape[1] <= _FEW:
        parts = [share[:, None] * _spread(row[None], share) for share, row in zip(shares.unbind(1), rows, strict=True)]
        return torch.stack(parts).sum(0)
    return _convolve(shares, rows.T[:, :, None, None].to(shares.dtype).contiguous(), None, 1, 1)
