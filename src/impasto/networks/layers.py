"""The layers of networks that paint in one pass, for whole pictures and for pictures a few rows at a time.

A network is written once, with the functions below. Given tensors they compute at once, and gradients flow
through them; given `Rows`, a map that is known only strip by strip, they build another one. That is how
`application` runs any of these networks on a picture too large to be computed whole, to the same bits: each
layer here knows which rows of its input it needs, and normalization asks for the statistics of the whole map,
which are added up row by row in both cases.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = [
    "Bilinear",
    "Conv",
    "Extend",
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
_CHUNK = 1 << 20  # values that are added up at once: few enough for a cache, enough to be worth the call
# On CPUs torch convolves maps of at most so many values with other code, which rounds otherwise. A strip may be
# that small where its map is not, so small maps are given to the same code as all others.
_SMALL = 20480


class Rows(ABC):
    """A map `(B, C, H, W)` that is not there as a whole; it can only be asked for some of its rows."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width."""

    @abstractmethod
    def local(self, layer: "Local") -> "Rows":
        """Return what the layer makes of this map."""

    @abstractmethod
    def pointwise(self, function: Callable[..., Tensor], others: tuple[Any, ...]) -> "Rows":
        """Return what a function makes of the same places of this and other maps."""

    @abstractmethod
    def keep(self) -> "Rows":
        """Return this map, computed and held in memory."""

    @abstractmethod
    def moments(self) -> Moments:
        """Return the statistics of the whole map."""


Map = TypeVar("Map", Tensor, Rows)


class Local(ABC):
    """A layer of which a row of output needs only a few rows of input."""

    @abstractmethod
    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of what it makes of a map of this size."""

    @abstractmethod
    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """Return the rows (first, after the last) of a map of this height that rows of output are made of."""

    @abstractmethod
    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """Return rows of output.

        Args:
            x: `(B, C, h, W)`, the rows that `needs` says, or more.
            first: which row of the whole map is the first of `x`.
            height: of the whole map.
            top: first row of output.
            bottom: row after the last.
        """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the whole output of a whole map."""
        return self.rows(x, 0, x.shape[-2], 0, self.size(*x.shape[-2:])[0])


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Return where rows outside a map are found in it: reflected without the border, as often as it takes."""
    if length == 1:
        return torch.zeros_like(index)
    index = index.remainder(2 * length - 2)
    return torch.minimum(index, 2 * length - 2 - index)


def _reflected(start: int, stop: int, length: int) -> tuple[int, int]:
    """Return (first, after the last) of what rows start to stop are, reflected at the borders."""
    if start >= 0 and stop <= length:
        return start, stop
    index = _mirrored(torch.arange(start, stop), length)
    return int(index.min()), int(index.max()) + 1


def _take(x: Tensor, dim: int, first: int, length: int, start: int, stop: int) -> Tensor:
    """Return places start to stop of a map whose part from `first` on is x, reflected at its borders."""
    if start >= 0 and stop <= length:
        return x.narrow(dim, start - first, stop - start)
    return x.index_select(dim, _mirrored(torch.arange(start, stop, device=x.device), length) - first)


def _window(x: Tensor, first: int, height: int, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Return rows and columns of a map whose rows from `first` on are x, reflected at its borders."""
    width = x.shape[-1]
    pads, parts = [], []  # of columns, then of rows: what lies outside, and what lies inside
    for (start, stop), length in ((columns, width), (rows, height)):
        inner = (max(0, start), min(length, stop))
        pads += [inner[0] - start, stop - inner[1]]
        parts.append(inner)
    (left, right), (top, bottom) = parts
    if right - left <= max(pads[:2]) or bottom - top <= max(pads[2:]):  # mirrored more than once
        return _take(_take(x, 2, first, height, *rows), 3, 0, width, *columns)
    x = x.narrow(2, top - first, bottom - top).narrow(3, left, right - left)
    return F.pad(x, pads, mode="reflect") if any(pads) else x


class Conv(Local):
    """A convolution, with what surrounds the picture.

    Args:
        weight: `(C', C / groups, k, k)`.
        bias: `(C')`, or None.
        stride: 1 or 2.
        padding: "reflect": k // 2 mirrored places on each side, which leave no frame. "zeros": TensorFlow's
            SAME: as many zeros as make the output ceil(size / stride) large, the odd one after the end.
            "before": all k - 1 zeros come first. "around": torch's, (k - 1) // 2 zeros on each side; as many places
            come out as with the others, so k is odd, or 4 with a stride of 2. "full": k - 1 zeros on each side, so
            that k - 1 places more come out.
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
    """Return whether someone follows what is computed: autograd, or an exporter, who want plain convolutions."""
    learning = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    exporting = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return learning or exporting or not torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


class Upsample(Local):
    """Twice as high and wide, by repeating each place: without checkerboards, for all places are alike."""

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
    """Twice as high and wide, by bilinear interpolation between the centers of places."""

    def needs(self, top: int, bottom: int, height: int) -> tuple[int, int]:
        """See `Local`."""
        return max(0, (top - 1) // 2), min(height, bottom // 2 + 1)

    def rows(self, x: Tensor, first: int, height: int, top: int, bottom: int) -> Tensor:
        """See `Local`."""
        start, stop = self.needs(top, bottom, height)
        x = x.narrow(2, start - first, stop - start)
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return x.narrow(2, top - 2 * start, bottom - top)


class Unshuffle(Local):
    """Squares of places become channels; sides must be multiples of the squares'."""

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
    """Channels become squares of places."""

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
    """Larger on all sides by mirrored places, or a part of it.

    Args:
        height: of what comes out.
        width: of what comes out.
        first: which row and column of the map is the first of what comes out; below 0 they are mirrored.
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


# --- what networks are written with ---------------------------------------------------------------


def _local(layer: Local, x: Map) -> Map:
    return layer(x) if isinstance(x, Tensor) else x.local(layer)


def conv(
    x: Map, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: Padding = "reflect",
    groups: int = 1,
) -> Map:  # fmt: skip
    """Return the convolution; see `Conv`."""
    return _local(Conv(weight, bias, stride=stride, padding=padding, groups=groups), x)


def upsample(x: Map, mode: Literal["nearest", "bilinear"] = "nearest") -> Map:
    """Return the map twice as high and wide; see `Upsample` and `Bilinear`."""
    return _local(Bilinear() if mode == "bilinear" else Upsample(), x)


def unshuffle(x: Map, factor: int) -> Map:
    """Return the map with squares of places as channels; see `Unshuffle`."""
    return _local(Unshuffle(factor), x)


def shuffle(x: Map, factor: int) -> Map:
    """Return the map with channels as squares of places; see `Shuffle`."""
    return _local(Shuffle(factor), x)


def size_of(x: Tensor | Rows) -> tuple[int, int]:
    """Return height and width."""
    return (x.shape[-2], x.shape[-1]) if isinstance(x, Tensor) else x.size


def extend(x: Map, multiple: int, margin: int = 0) -> Map:
    """Return the map with a margin of mirrored places, and more at the bottom and the right up to a multiple."""
    height, width = (-(-(side + 2 * margin) // multiple) * multiple for side in size_of(x))
    return crop(x, (height, width), -margin)


def crop(x: Map, size: tuple[int, int], margin: int = 0) -> Map:
    """Return the part of a map of that size that begins a margin away from its upper left corner."""
    return x if size_of(x) == size else _local(Extend(*size, margin), x)


def pointwise(function: Callable[..., Tensor], x: Map, *others: Any) -> Map:
    """Return what a function makes of the same places of maps of one size."""
    return function(x, *others) if isinstance(x, Tensor) else x.pointwise(function, others)


def keep(x: Map) -> Map:
    """Return the map; of `Rows`, held in memory. For what is used more than once."""
    return x if isinstance(x, Tensor) else x.keep()


# --- normalization --------------------------------------------------------------------------------


def wide(x: Tensor) -> Tensor:
    """Return numbers of 16 bits in 32, in which they can be added up; others as they are."""
    return x.float() if x.element_size() < 4 else x


def row_sums(x: Tensor, reference: Tensor) -> Tensor:
    """Return the sums of x - reference and of its square along each row, `(2, B, H, C)` in float64.

    Each row is added up on its own, in its own precision for speed, so that it does not matter which of them
    come together.

    Args:
        x: `(B, C, H, W)`.
        reference: `(B, C)`, near the mean, so that no digits are lost; exact for a constant map.
    """
    places = x.permute(0, 2, 3, 1)  # (B, H, W, C): rows lie one after the other where x is channels-last
    b, h, w, c = places.shape
    sums = torch.empty(2, b, h, c, dtype=torch.float64, device=x.device if x.device.type != "mps" else "cpu")
    step = max(1, _CHUNK // (b * w * c))
    for top in range(0, h, step):
        part = places[:, top : top + step]
        center = reference[:, None, None]
        part = wide(part).sub_(center) if part.element_size() < 4 else part - center  # once through memory
        sums[0, :, top : top + step] = part.sum(2)
        sums[1, :, top : top + step] = part.square_().sum(2)
    return sums


def reference_of(x: Tensor) -> Tensor:
    """Return what `row_sums` subtracts, `(B, C)`: the means of the map's first row, which `x` begins with."""
    return wide(x[:, :, 0]).mean(2)


def moments_of(sums: Tensor, reference: Tensor, width: int) -> Moments:
    """Return mean and biased variance from the sums of all rows, `(B, C)`."""
    mean, square = sums.sum(2) / (sums.shape[2] * width)
    variance = (square - mean.square()).clamp_min(0)
    return (reference.to(mean) + mean).to(reference), variance.to(reference)


def moments(x: Map) -> Moments:
    """Return mean and biased variance of each channel of the whole map, `(B, C)`, in float32 or wider.

    On a map that needs no gradient the order of additions does not depend on how it is cut into strips.
    """
    if not isinstance(x, Tensor):
        return x.moments()
    if x.requires_grad:
        variance, mean = torch.var_mean(wide(x), (2, 3), correction=0)
        return mean, variance
    reference = reference_of(x)
    return moments_of(row_sums(x, reference), reference, x.shape[-1])


def together(found: Moments) -> Moments:
    """Return mean and biased variance of all pictures of a batch taken as one, `(1, C)`; of one picture its own.

    E[x] and E[x²] are averaged, not variances: how far the pictures' means lie apart is variance, too.
    """
    mean, variance = (part.cpu().double() for part in found)  # some devices have no float64
    middle = mean.mean(0, keepdim=True)
    variance = (variance + (mean - middle).square()).mean(0, keepdim=True)
    return middle.to(found[0]), variance.to(found[1])


def normalize(
    x: Map, gamma: Tensor, beta: Tensor, eps: float, then: Callable[[Tensor], Tensor] | None = None,
    shares: Tensor | None = None,
) -> Map:  # fmt: skip
    """Return instance normalization: each channel of each picture with mean beta and standard deviation gamma.

    Args:
        x: `(B, C, H, W)`.
        gamma: `(B or 1, C)`; with shares `(K, C)`.
        beta: the same shape.
        eps: added to the variance under the root; it bounds the gain on flat pictures.
        then: applied to the result, which it may change in place, as `torch.relu_`.
        shares: `(B or 1, K, H, W)`, how much each row of gamma and beta counts at each place. Statistics are
            always those of the whole map.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022; a row of gamma and beta for each style:
        Dumoulin, Shlens & Kudlur 2017, arXiv:1610.07629, eq. 5.
    """
    if shares is None and isinstance(x, Tensor) and x.requires_grad:  # what torch does in one step
        b, c, h, w = x.shape
        weight, bias = (row.to(wide(x[:1, :1, :1, :1]).dtype).expand(b, c).reshape(-1) for row in (gamma, beta))
        y = torch.batch_norm(x.reshape(1, b * c, h, w), weight, bias, None, None, True, 0.0, eps, True)
        y = y.view(b, c, h, w)
        return then(y) if then else y
    mean, variance = moments(x)
    gain = (variance + eps).rsqrt()
    if shares is None:
        return scale(x, gain * gamma, beta - mean * gain * gamma, then)

    def apply(values: Tensor, parts: Tensor) -> Tensor:
        values = torch.addcmul(_spread(-mean * gain, values), values, _spread(gain, values))
        values = torch.addcmul(_mixed(beta, parts), values, _mixed(gamma, parts))
        return then(values) if then else values

    return pointwise(apply, x, shares)


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
    """Return rows `(K, C)`, mixed at each place as shares `(B, K, H, W)` say: `(B, C, H, W)`."""
    return _convolve(shares, rows.T[:, :, None, None].to(shares.dtype).contiguous(), None, 1, 1)
