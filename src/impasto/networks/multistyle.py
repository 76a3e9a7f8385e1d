"""Our own network for many styles: everything is shared but one row of numbers for each style."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError
from impasto.networks.layers import (
    Map,
    conv,
    crop,
    extend,
    keep,
    normalize,
    pointwise,
    scale,
    shuffle,
    size_of,
    unshuffle,  # fmt: skip
)

__all__ = ["IDENTITY", "Painter", "balanced", "enlarging"]

IDENTITY = "identity"  # the style that leaves pictures as they are, as nearly as the network can
_MARGIN = 16  # pixels of mirrored picture around it that are painted too and cut off: what padding does stays outside
_EPS = 1e-3  # bounds the gain where a picture is flat; 1e-5 makes blobs of skies


def balanced(weight: Tensor, factor: int) -> Tensor:
    """Return a sub-pixel convolution's weights, balanced between the places of a square.

    What follows is a pixel shuffle. Of what does not change along columns all rows of a square then get the
    same, of what does not change along rows all columns. So flat stays flat and stripes stay stripes: the
    network cannot lay a grid over skies and edges, however it was trained.

    Args:
        weight: `(C' factor², C, k, k)`.
        factor: side of the squares.
    """
    k = weight.shape[-1]
    squares = weight.view(-1, factor, factor, weight.shape[1], k, k)  # (C', y, x, C, k, k)
    for place, tap in ((1, 4), (2, 5)):
        sums = squares.sum(tap, keepdim=True)
        squares = squares - (sums - sums.mean(place, keepdim=True)) / k
    return squares.view_as(weight)


def enlarging(weight: Tensor) -> Tensor:
    """Return the sub-pixel convolution that does what nearest neighbors, twice as many, and a convolution do.

    It works on the small map, where a third of the time is enough: of the nine places under the kernel several are
    copies of one.

    Args:
        weight: `(C', C, 3, 3)`.

    Returns:
        `(4 C', C, 3, 3)`, for a pixel shuffle by 2.
    """
    first, second = [[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]  # of each two places
    taken = torch.tensor([first, second], dtype=weight.dtype, device=weight.device)
    return torch.einsum("ocij,pai,qbj->opqcab", weight, taken, taken).flatten(0, 2)


class Painter(nn.Module):
    """A light network in which a style is a row of numbers: gain and shift of each channel of each layer.

    Squares of 4 x 4 pixels become channels at once, so nothing is computed at full resolution; residual blocks
    work at a quarter of it; then nearest neighbors and a convolution at a half, and a sub-pixel convolution
    that cannot lay a grid (`balanced`). The last two layers are not normalized: contrasts of the photograph that
    come so far are kept, and a row has a gain and a shift of each channel all the same.

    The state dict holds `stem.weight`, `blocks.0.0.weight`, `blocks.0.1.weight`, ..., `fine.weight`, `out.weight`
    and `rows` `(S, N)`, with N = 2 (width + 2 blocks width + fine + 3): for each layer in that order all gains,
    then all shifts, and last those of red, green and blue.

    Args:
        width: channels at a quarter of the resolution.
        blocks: residual blocks.
        fine: channels at a half of the resolution.
        styles: what the rows are called; the first is the identity.

    Raises:
        OptionError: a number is out of range, or the first style is not the identity.

    Source: conditional instance normalization, Dumoulin, Shlens & Kudlur 2017, arXiv:1610.07629; sub-pixel
        convolutions and how they begin, Shi et al. 2016, arXiv:1609.05158, and Aitken et al. 2017,
        arXiv:1707.02937.
    """

    multiple = 4

    def __init__(
        self, width: int = 32, blocks: int = 6, fine: int = 24, *, styles: Sequence[str] = (IDENTITY,)
    ) -> None:
        super().__init__()
        if min(width, blocks + 1, fine) < 1:
            raise OptionError(f"width is {width}, blocks {blocks} and fine {fine}; expected 1, 0 and 1 at least.")
        if not styles or styles[0] != IDENTITY or len(set(styles)) < len(styles):
            raise OptionError(f"styles are {', '.join(styles)}; expected different ones, the first {IDENTITY!r}.")
        self.width, self.blocks_, self.fine_, self.styles = width, blocks, fine, tuple(styles)
        self.stem = nn.Conv2d(48, width, 3, bias=False)
        pairs = [nn.Sequential(*(nn.Conv2d(width, width, 3, bias=False) for _ in range(2))) for _ in range(blocks)]
        self.blocks = nn.ModuleList(pairs)
        self.fine = nn.Conv2d(width, fine, 3, bias=False)
        self.out = nn.Conv2d(fine, 12, 3, bias=False)
        for convolution in self.modules():
            if isinstance(convolution, nn.Conv2d):
                nn.init.kaiming_normal_(convolution.weight)
        with torch.no_grad():  # all four places of a square begin alike
            self.out.weight.copy_(self.out.weight[::4].repeat_interleave(4, 0) / 4)
        self.rows = nn.Parameter(self.plain_row().repeat(len(styles), 1))

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {"width": self.width, "blocks": self.blocks_, "fine": self.fine_, "styles": list(self.styles)}

    @property
    def channels(self) -> tuple[int, ...]:
        """How many channels each layer has that a row is about."""
        return (self.width, *[self.width] * (2 * self.blocks_), self.fine_, 3)

    def plain_row(self) -> Tensor:
        """Return the row `(N,)` of gains of 1 and shifts of 0."""
        return torch.cat([torch.tensor([1.0, 0.0]).repeat_interleave(channels) for channels in self.channels])

    def forward(self, image: Map, row: Tensor, shares: Tensor | None = None) -> Map:
        """Return the painted picture.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size from 1 x 1 on.
            row: `(N,)`, a style for all pictures; `(B, N)`, one for each; with shares `(K, N)`. Rows may be
                mixed, as `0.6 * a + 0.4 * b`, and moved towards the identity.
            shares: `(B or 1, K, H, W)`, 0 or more, how much each style counts at each pixel; they are divided
                by their sum.

        Returns:
            The same shape, in [0, 1].

        Raises:
            ImageError: rows or shares have another shape.
        """
        rows = self._rows(row, shares)
        half, quarter = (None, None) if shares is None else self._shrunk(shares, size_of(image))
        dtype = self.stem.weight.dtype
        x = extend(image, self.multiple, _MARGIN)
        x = unshuffle(pointwise(lambda values: values.to(dtype), x), 4)
        x = keep(self._layer(x, self.stem, next(rows), quarter))
        for pair in self.blocks:
            first, second = pair.children()
            assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
            y = self._layer(x, first, next(rows), quarter)
            y = self._layer(y, second, next(rows), quarter, relu=False)
            x = keep(pointwise(torch.add, y, x))
        x = shuffle(conv(x, enlarging(self.fine.weight)), 2)
        x = scale(x, *next(rows), torch.relu_, shares=half)
        gain, shift = (numbers.repeat_interleave(4, 1) / 2 for numbers in next(rows))  # as shuffle and tanh want them
        x = scale(conv(x, balanced(self.out.weight, 2)), gain, shift, shares=half)
        x = pointwise(_half_tanh, shuffle(x, 2))
        return crop(x, size_of(image), _MARGIN)

    def _layer(
        self, x: Map, layer: nn.Conv2d, row: tuple[Tensor, Tensor], shares: Tensor | None, *, relu: bool = True
    ) -> Map:
        return normalize(conv(x, layer.weight), *row, eps=_EPS, then=torch.relu_ if relu else None, shares=shares)

    def _rows(self, row: Tensor, shares: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield gains and shifts of each layer, `(B or 1 or K, C)`."""
        numbers = 2 * sum(self.channels)
        row = row[None] if row.ndim == 1 else row
        if row.ndim != 2 or row.shape[1] != numbers:
            raise ImageError(f"the row of the style has shape {tuple(row.shape)}; expected {numbers} numbers.")
        if shares is not None and (shares.ndim != 4 or shares.shape[1] != len(row)):
            raise ImageError(f"shares have shape {tuple(shares.shape)}; expected (B, {len(row)}, H, W).")
        parts = torch.split(row, [channels for channels in self.channels for _ in range(2)], 1)
        return iter(list(zip(parts[::2], parts[1::2], strict=True)))

    def _shrunk(self, shares: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return shares at a half and at a quarter of the resolution, with sums of 1."""
        if shares.shape[-2:] != size:
            raise ImageError(f"shares are {shares.shape[-1]}x{shares.shape[-2]} px; expected the picture's size.")
        shares = F.avg_pool2d(extend(shares.float(), self.multiple, _MARGIN), 2)
        small = [shares, F.avg_pool2d(shares, 2)]
        half, quarter = [(s / s.sum(1, keepdim=True).clamp_min(1e-6)).to(self.stem.weight.dtype) for s in small]
        return half, quarter


def _half_tanh(x: Tensor) -> Tensor:
    """Return the sigmoid of 2 x; torch's own rounds otherwise at the end of a piece of memory."""
    half = torch.tensor(0.5, device=x.device)
    return torch.addcmul(half, half, torch.tanh(x.float()))
