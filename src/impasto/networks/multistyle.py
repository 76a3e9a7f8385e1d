"""The multi-style network: all weights are shared but a style embedding, the gains and shifts of each style."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import OptionError
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
from impasto.networks.styled import IDENTITY, StyledNetwork

__all__ = ["MultiStyleNetwork", "balanced", "enlarging"]

_MARGIN = 16  # pixels of reflection padding that are painted and cut off, so that border effects of layers are, too
_EPS = 1e-3  # bounds the gain where a picture is flat; 1e-5 makes blobs of skies


def balanced(weight: Tensor, factor: int) -> Tensor:
    """Return the weights of a sub-pixel convolution, balanced between the positions in a square.

    A pixel shuffle follows. Where the input is constant along one axis, the output is then constant along that axis,
    too. Flat regions stay flat and stripes stay stripes: no weights can cause checkerboard artifacts there.

    Args:
        weight: `(C' factor², C, k, k)`.
        factor: side of the squares.
    """
    k = weight.shape[-1]
    squares = weight.view(-1, factor, factor, weight.shape[1], k, k)  # (C', y, x, C, k, k)
    for position, tap in ((1, 4), (2, 5)):
        sums = squares.sum(tap, keepdim=True)
        squares = squares - (sums - sums.mean(position, keepdim=True)) / k
    return squares.view_as(weight)


def enlarging(weight: Tensor) -> Tensor:
    """Return the sub-pixel convolution that equals nearest-neighbor upsampling by 2 and a 3 x 3 convolution.

    It runs on the small map and takes a third of the time: after the upsampling, several of the nine positions under
    the kernel hold the same value.

    Args:
        weight: `(C', C, 3, 3)`.

    Returns:
        `(4 C', C, 3, 3)`, for a pixel shuffle by 2.
    """
    first, second = [[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]  # for each phase
    taken = torch.tensor([first, second], dtype=weight.dtype, device=weight.device)
    return torch.einsum("ocij,pai,qbj->opqcab", weight, taken, taken).flatten(0, 2)


class MultiStyleNetwork(StyledNetwork):
    """A light network with a style embedding for each style: gain and shift of each channel of each layer.

    A pixel unshuffle by 4 comes first, so nothing is computed at full resolution. Residual blocks work at a quarter
    of it. An upsampling convolution (`enlarging`) leads to a half, and a sub-pixel convolution without checkerboard
    artifacts (`balanced`) to the full resolution. The last two layers are not normalized, which keeps contrasts of
    the photograph. They have a gain and a shift for each channel like all others.

    The state dict holds `stem.weight`, `blocks.0.0.weight`, `blocks.0.1.weight`, ..., `fine.weight`, `out.weight`
    and `embeddings` `(S, N)`, with N = 2 (width + 2 blocks width + fine + 3): for each layer in that order all gains,
    then all shifts, and last those of red, green and blue. Older files call them `rows`.

    Args:
        width: channels at a quarter of the resolution.
        blocks: residual blocks.
        fine: channels at a half of the resolution.
        styles: names of the styles, one for each embedding; the first is the identity.

    Raises:
        OptionError: a number is out of range, or the first style is not the identity.

    Source: conditional instance normalization, Dumoulin, Shlens & Kudlur 2017, arXiv:1610.07629; sub-pixel
        convolutions and their initialization, Shi et al. 2016, arXiv:1609.05158, and Aitken et al. 2017,
        arXiv:1707.02937.
    """

    multiple = 4

    def __init__(
        self, width: int = 32, blocks: int = 6, fine: int = 24, *, styles: Sequence[str] = (IDENTITY,)
    ) -> None:
        super().__init__(styles)
        if min(width, blocks + 1, fine) < 1:
            raise OptionError(f"width is {width}, blocks {blocks} and fine {fine}; expected 1, 0 and 1 at least.")
        self.width, self.blocks_, self.fine_ = width, blocks, fine
        self.stem = nn.Conv2d(48, width, 3, bias=False)
        pairs = [nn.Sequential(*(nn.Conv2d(width, width, 3, bias=False) for _ in range(2))) for _ in range(blocks)]
        self.blocks = nn.ModuleList(pairs)
        self.fine = nn.Conv2d(width, fine, 3, bias=False)
        self.out = nn.Conv2d(fine, 12, 3, bias=False)
        for convolution in self.modules():
            if isinstance(convolution, nn.Conv2d):
                nn.init.kaiming_normal_(convolution.weight)
        with torch.no_grad():  # equal at all four positions of a square
            self.out.weight.copy_(self.out.weight[::4].repeat_interleave(4, 0) / 4)
        self.embeddings = nn.Parameter(self.plain_embedding().repeat(len(styles), 1))
        self.register_load_state_dict_pre_hook(_upgrade)  # type: ignore[no-untyped-call]

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {"width": self.width, "blocks": self.blocks_, "fine": self.fine_, "styles": list(self.styles)}

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each layer that an embedding has gains and shifts for."""
        return (self.width, *[self.width] * (2 * self.blocks_), self.fine_, 3)

    def plain_embedding(self) -> Tensor:
        """Return the embedding `(N,)` of gains of 1 and shifts of 0."""
        return torch.cat([torch.tensor([1.0, 0.0]).repeat_interleave(channels) for channels in self.channels])

    def forward(self, image: Map, embedding: Tensor, shares: Tensor | None = None) -> Map:
        """Return the painted picture; see `StyledNetwork.forward`."""
        parts = self._parts(embedding, shares)
        half, quarter = (None, None) if shares is None else self._shrunk(shares, size_of(image))
        dtype = self.stem.weight.dtype
        x = extend(image, self.multiple, _MARGIN)
        x = unshuffle(pointwise(lambda values: values.to(dtype), x), 4)
        x = keep(self._layer(x, self.stem, next(parts), quarter))
        for pair in self.blocks:
            first, second = pair.children()
            assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
            y = self._layer(x, first, next(parts), quarter)
            y = self._layer(y, second, next(parts), quarter, relu=False)
            x = keep(pointwise(torch.add, y, x))
        x = shuffle(conv(x, enlarging(self.fine.weight)), 2)
        x = scale(x, *next(parts), torch.relu_, shares=half)
        gain, shift = (values.repeat_interleave(4, 1) / 2 for values in next(parts))  # as shuffle and tanh want them
        x = scale(conv(x, balanced(self.out.weight, 2)), gain, shift, shares=half)
        x = pointwise(_half_tanh, shuffle(x, 2))
        return crop(x, size_of(image), _MARGIN)

    def _layer(
        self, x: Map, layer: nn.Conv2d, affine: tuple[Tensor, Tensor], shares: Tensor | None, *, relu: bool = True
    ) -> Map:
        return normalize(conv(x, layer.weight), *affine, eps=_EPS, then=torch.relu_ if relu else None, shares=shares)

    def _parts(self, embedding: Tensor, shares: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield gains and shifts of each layer, `(B or 1 or K, C)`."""
        parts = self.split(embedding, shares, [channels for channels in self.channels for _ in range(2)])
        return zip(parts, parts, strict=True)

    def _shrunk(self, shares: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return shares at a half and at a quarter of the resolution, with sums of 1."""
        self.check_shares(shares, size)
        shares = F.avg_pool2d(extend(shares.float(), self.multiple, _MARGIN), 2)
        small = [shares, F.avg_pool2d(shares, 2)]
        half, quarter = [(s / s.sum(1, keepdim=True).clamp_min(1e-6)).to(self.stem.weight.dtype) for s in small]
        return half, quarter


def _half_tanh(x: Tensor) -> Tensor:
    """Return the sigmoid of 2 x; torch's own rounds the last elements of a piece of memory differently."""
    half = torch.tensor(0.5, device=x.device)
    return torch.addcmul(half, half, torch.tanh(x.float()))


def _upgrade(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: object) -> None:
    """Give the embeddings of an older state dict their name."""
    if f"{prefix}rows" in state:
        state[f"{prefix}embeddings"] = state.pop(f"{prefix}rows")
