"""The pyramid painter: it drafts large shapes at a quarter of the resolution, and revises them coarse to fine."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import islice
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
    halve,
    keep,
    moments,
    normalize,
    pointwise,
    scale,
    shuffle,
    size_of,
    unshuffle,
    upsample,
)
from impasto.networks.styled import IDENTITY, StyledNetwork
from impasto.ops.palette import MOMENTS, color_products, palette_of, transport

__all__ = ["PyramidNetwork", "smooth_enlarging"]

_MARGIN = 32  # pixels of reflection padding that are painted and cut off, so that border effects of layers are, too
_EPS = 1e-3  # bounds the gain where a picture is flat; 1e-5 makes blobs of skies
_DETAIL = 0.3  # of the photograph's detail that a fresh network keeps at each level
_GRAIN = 0.08  # standard deviation of the noise that the levels see
_TILE = 256  # side of the noise that repeats, in positions of a level
_TRANSPORT = 0.85  # amount of the color transport of a style with a palette
_HALVINGS = 4  # from the picture to the large color areas whose palette is transported
_SOFT = (-1 / 16, 1 / 4, 5 / 8, 1 / 4, -1 / 16)  # along rows and columns: it takes the pattern of every other pixel
_FACTOR = 4  # each level works at a quarter of its resolution


def smooth_enlarging(weight: Tensor) -> Tensor:
    """Return the sub-pixel convolution that equals bilinear upsampling by 2 and a 3 x 3 convolution.

    It runs on the small map and takes a quarter of the time. Bilinear upsampling treats all positions of a square
    alike up to a small blur, so no weights can cause checkerboard artifacts where the map is smooth.

    Args:
        weight: `(C', C, 3, 3)`.

    Returns:
        `(4 C', C, 3, 3)`, for a pixel shuffle by 2.
    """
    even = [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.75, 0.25]]  # tap of the kernel -> taps of the small map
    odd = [[0.25, 0.75, 0.0], [0.0, 0.75, 0.25], [0.0, 0.25, 0.75]]
    taken = torch.tensor([even, odd], dtype=weight.dtype, device=weight.device)
    return torch.einsum("ocij,pai,qbj->opqcab", weight, taken.transpose(1, 2), taken.transpose(1, 2)).flatten(0, 2)


@cache
def _noise_tile(index: int) -> Tensor:
    """Return the noise of a level that repeats, `(256, 256)` of a standard Gaussian."""
    return torch.randn(_TILE, _TILE, generator=torch.Generator().manual_seed(index))


class _Level(nn.Module):
    """One level: pixel unshuffle, residual blocks at a quarter of the resolution, smooth enlarging, three channels."""

    def __init__(self, inputs: int, width: int, blocks: int, fine: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inputs * _FACTOR**2, width, 3, bias=False)
        pairs = [nn.Sequential(*(nn.Conv2d(width, width, 3, bias=False) for _ in range(2))) for _ in range(blocks)]
        self.blocks = nn.ModuleList(pairs)
        self.fine = nn.Conv2d(width, fine, 3, bias=False)
        self.out = nn.Conv2d(fine, 3, 3, bias=False)
        for convolution in self.modules():
            if isinstance(convolution, nn.Conv2d):
                nn.init.kaiming_normal_(convolution.weight)
        with torch.no_grad():
            self.out.weight.mul_(0.1)


class PyramidNetwork(StyledNetwork):
    """A painter of many styles that works from coarse to fine.

    The photograph is halved twice. The first level paints the smallest one. Each further level receives the
    photograph at its size and the draft below, enlarged. Its result is the draft, a fraction of the photograph's own
    detail at that size, and a residual in [-1, 1] that it computes. So large shapes are decided where they are cheap,
    and strokes are added where they are fine. All levels also see a little noise, from which strokes grow where the
    photograph is flat, and without which textures repeat; only residuals depend on it.

    A style embedding holds for each level the gains and shifts of its layers, and the fraction of the photograph's
    detail. At its end it holds the palette of the style image, nine moments, and the amount of the color transport
    that gives the result this palette. Without residuals and transport and with all detail the result is the
    photograph, exactly: that is the identity.

    The state dict holds `levels.0.stem.weight`, `levels.0.blocks.0.0.weight`, ..., `levels.0.fine.weight`,
    `levels.0.out.weight`, the same of the other levels, and `embeddings` `(S, N)`.

    Args:
        widths: channels of each level at a quarter of its resolution, from coarse to fine.
        blocks: residual blocks of each level.
        fine: channels at a half of the resolution.
        styles: names of the styles, one for each embedding; the first is the identity.

    Raises:
        OptionError: a number is out of range, or the first style is not the identity.

    Source: conditional instance normalization, Dumoulin, Shlens & Kudlur 2017, arXiv:1610.07629; a Laplacian pyramid
        of drafts and revisions, Lin et al. 2021, arXiv:2104.05376; noise at several scales, Ulyanov et al. 2016,
        arXiv:1603.03417.
    Differs: all levels are trained at once, each is conditional, and the photograph's own detail is a part of the sum.
    """

    repeats = exact = True

    def __init__(
        self,
        widths: Sequence[int] = (96, 64, 40),
        blocks: Sequence[int] = (5, 4, 3),
        fine: int = 24,
        *,
        styles: Sequence[str] = (IDENTITY,),
    ) -> None:
        super().__init__(styles)
        if not widths or len(widths) != len(blocks) or min(*widths, fine, *(count + 1 for count in blocks)) < 1:
            raise OptionError(f"widths are {widths}, blocks {blocks}; expected as many, 1 and 0 at least.")
        self.widths, self.blocks_, self.fine_ = tuple(widths), tuple(blocks), fine
        self.multiple = max(_FACTOR * 2 ** (len(widths) - 1), 2**_HALVINGS)
        self.levels = nn.ModuleList(
            _Level(6 if index else 3, width, count, fine)
            for index, (width, count) in enumerate(zip(widths, blocks, strict=True))
        )
        self.embeddings = nn.Parameter(self.plain_embedding().repeat(len(styles), 1))
        with torch.no_grad():
            self.embeddings[0] = self.toward(self.embeddings[0], 0.0)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {
            "widths": list(self.widths),
            "blocks": list(self.blocks_),
            "fine": self.fine_,
            "styles": list(self.styles),
        }

    def _sizes(self) -> Iterator[tuple[tuple[int, ...], float | None]]:
        """Yield the sizes of the parts of an embedding, and the identity's value if a part forms the result."""
        for width, count in zip(self.widths, self.blocks_, strict=True):
            yield from (((channels, channels), None) for channels in (width, *[width] * (2 * count), self.fine_))
            yield (3, 3), 0.0  # gain and shift of the residual
            yield (1,), 1.0  # fraction of the photograph's detail
        yield (MOMENTS,), None
        yield (1,), 0.0  # amount of the color transport

    def plain_embedding(self) -> Tensor:
        """Return the embedding `(N,)` of gains of 1 and shifts of 0, without a palette."""
        parts = []
        for sizes, identity in self._sizes():
            if len(sizes) == 2:
                parts += [torch.ones(sizes[0]), torch.zeros(sizes[1])]
            else:
                parts.append(torch.full(sizes, _DETAIL if identity == 1 else 0.0))
        return torch.cat(parts)

    def toward(self, embedding: Tensor, strength: float) -> Tensor:
        """Return embeddings from the photograph (strength 0) to the style (strength 1); see `StyledNetwork`."""
        parts = [(sum(sizes), identity) for sizes, identity in self._sizes()]
        forms = torch.cat([torch.full((size,), float(value is not None)) for size, value in parts]).to(embedding)
        target = torch.cat([torch.full((size,), value or 0.0) for size, value in parts]).to(embedding)
        return embedding + (1 - strength) * forms * (target - embedding)

    def with_palette(self, embedding: Tensor, style: Tensor) -> Tensor:
        """Return a style embedding with the palette of its style image; see `StyledNetwork`."""
        areas = F.avg_pool2d(style, 2**_HALVINGS, ceil_mode=True, count_include_pad=False)
        palette = palette_of(areas)[0].to(embedding)
        return torch.cat([embedding[: self.learned_size], palette, embedding.new_full((1,), _TRANSPORT)])

    @property
    def learned_size(self) -> int:
        """See `StyledNetwork`."""
        return self.embeddings.shape[1] - MOMENTS - 1

    def whole(self, embedding: Tensor) -> Tensor:
        """See `StyledNetwork`."""
        embedding = super().whole(embedding)
        bare = embedding.shape[1] == self.learned_size
        return F.pad(embedding, (0, MOMENTS + 1)) if bare else embedding

    @property
    def depth(self) -> int:
        """See `StyledNetwork`."""
        return len(self.widths)

    def forward(self, image: Map, embedding: Tensor, shares: Tensor | None = None, octaves: int = 0) -> Map:
        """Return the painted picture; see `StyledNetwork.forward`.

        Args:
            image: as there.
            embedding: as there.
            shares: as there.
            octaves: how often the last level is repeated at twice the size. The drafts are then as large as in a
                picture of 1 / 2 ** octaves the size, and so are the large strokes; finer ones are added.
        """
        embedding = self.whole(embedding)
        multiple, margin = self.multiple * 2**octaves, _MARGIN * 2**octaves
        extended = extend(image, multiple, margin)
        if shares is not None:
            self.check_shares(shares, size_of(image))
            shares = extend(shares.float(), multiple, margin)
            shares = (shares / shares.sum(1, keepdim=True).clamp_min(1e-6)).to(self._dtype)
        painted = self._drafts(extended, embedding, shares, octaves)[-1]
        return crop(self._transported(painted, embedding, shares, octaves), size_of(image), margin)

    def _transported(self, painted: Map, embedding: Tensor, shares: Tensor | None, octaves: int) -> Map:
        """Return the picture, whose large areas get the palette of the style's; of all styles that share it.

        Detail keeps its colors: a transport of every pixel would stretch the strokes as well.
        """
        palettes, amounts = embedding[:, -MOMENTS - 1 : -1].float(), embedding[:, -1].float()
        if not torch.compiler.is_exporting() and not amounts.any():
            return pointwise(_in_range, painted)
        areas = painted = pointwise(_in_range, keep(painted))
        for _ in range(_HALVINGS + octaves):
            areas = keep(halve(areas))
        where = None
        if shares is None:
            found, _ = moments(pointwise(_products, areas))
            maps = transport(found, palettes.expand_as(found), amounts.expand(len(found)))
        else:
            parts = shares.float() * amounts.view(1, -1, 1, 1)  # (B, K, H, W)
            sizes = parts.mean((0, 2, 3))
            where = parts.sum(1, keepdim=True)  # where the identity is, nothing moves
            found, _ = moments(pointwise(_products_where, areas, F.avg_pool2d(where, 2 ** (_HALVINGS + octaves))))
            found = found[:, 1:] / found[:, :1].clamp_min(1e-6)
            maps = transport(found, (sizes @ palettes / sizes.sum()).expand_as(found), torch.ones(len(found)))
        moves = keep(pointwise(partial(_moves, *maps), areas))
        for _ in range(_HALVINGS + octaves):
            moves = upsample(moves, "bilinear")
        return pointwise(_moved, painted, moves) if where is None else pointwise(_moved_where, painted, moves, where)

    def noise(self, images: Tensor) -> list[Tensor]:
        """Return the noise that the levels see, from coarse to fine, new for each picture; see `StyledNetwork`."""
        sizes = [[side >> self.depth - 1 - index for side in images.shape[-2:]] for index in range(self.depth)]
        return [_GRAIN * torch.randn(len(images), 1, *size, device=images.device) for size in sizes]

    def drafts(self, image: Tensor, embedding: Tensor, noise: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Return the results of all levels, from coarse to fine, about in [0, 1]; see `StyledNetwork.drafts`."""
        noise = self.noise(image) if noise is None and self.training else noise
        return [draft.float() for draft in self._drafts(image, self.whole(embedding), None, noise=noise)]

    @property
    def _dtype(self) -> torch.dtype:
        return self.embeddings.dtype

    def _drafts(
        self,
        image: Map,
        embedding: Tensor,
        shares: Tensor | None,
        octaves: int = 0,
        noise: Sequence[Tensor] | None = None,
    ) -> list[Map]:
        parts = self._by_level(embedding, shares)
        photographs = [pointwise(lambda values: values.to(self._dtype), image)]
        mixing = [shares]
        for _ in range(self.depth - 1 + octaves):
            photographs.insert(0, keep(halve(photographs[0])))
            mixing.insert(0, None if mixing[0] is None else F.avg_pool2d(mixing[0], 2))
        results: list[Map] = []
        for index, (photo, share) in enumerate(zip(photographs, mixing, strict=True)):
            if index:
                draft = upsample(results[-1], "bilinear")
                given = pointwise(_stacked, photo, draft)
                detail = pointwise(torch.sub, photo, upsample(photographs[index - 1], "bilinear"))
            else:  # there is nothing below: a gray draft
                draft, given = pointwise(_gray, photo), photo
                detail = pointwise(torch.sub, photo, draft)
            grain = self._fixed_noise(index, size_of(given)) if noise is None else noise[index]
            given = pointwise(_grained, given, grain.to(self._dtype))
            level = min(index, self.depth - 1)
            residual, kept = self._level(level, given, iter(parts[level]), share)
            if index >= self.depth - 1:
                kernel = torch.tensor(_SOFT, dtype=self._dtype, device=self.embeddings.device)
                residual = conv(residual, (kernel[:, None] * kernel).expand(3, 1, -1, -1).contiguous(), groups=3)
            if index >= self.depth:  # an octave adds only what the smaller picture cannot hold
                residual = keep(residual)
                residual = pointwise(torch.sub, residual, upsample(keep(halve(residual)), "bilinear"))
            detail = scale(detail, kept, torch.zeros_like(kept), shares=share)
            result = pointwise(_sum, draft, detail, residual)
            results.append(keep(result) if index + 1 < len(photographs) else result)
        return results

    def _fixed_noise(self, index: int, size: tuple[int, int]) -> Tensor:
        """Return the noise of a level, `(1, 1, H, W)`: always the same tile, so that it does not flicker in a video."""
        rows, columns = (torch.arange(side) % _TILE for side in size)
        found = _noise_tile(index).index_select(0, rows).index_select(1, columns)
        return (_GRAIN * found)[None, None].to(self.embeddings.device)

    def _by_level(self, embedding: Tensor, shares: Tensor | None) -> list[list[Tensor]]:
        """Return the parts of embeddings for each level."""
        parts = self.split(embedding, shares, [size for sizes, _ in self._sizes() for size in sizes])
        return [list(islice(parts, 2 * (2 * count + 3) + 1)) for count in self.blocks_]

    def _level(self, index: int, x: Map, parts: Iterator[Tensor], shares: Tensor | None) -> tuple[Map, Tensor]:
        """Return the residual of a level, and the fraction of detail that it keeps, `(B or 1 or K, 3)`."""
        level = self.levels[index]
        assert isinstance(level, _Level)
        half = None if shares is None else F.avg_pool2d(shares, 2)
        quarter = None if half is None else F.avg_pool2d(half, 2)
        x = keep(self._layer(unshuffle(x, _FACTOR), level.stem, parts, quarter))
        for pair in level.blocks:
            first, second = pair.children()
            assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
            y = self._layer(x, first, parts, quarter)
            y = self._layer(y, second, parts, quarter, relu=False)
            x = keep(pointwise(torch.add, y, x))
        x = shuffle(conv(x, smooth_enlarging(level.fine.weight)), 2)
        x = scale(x, next(parts), next(parts), torch.relu_, shares=half)
        x = shuffle(conv(x, smooth_enlarging(level.out.weight)), 2)
        x = scale(x, next(parts), next(parts), torch.tanh_, shares=shares)
        return x, next(parts).expand(-1, 3)

    def _layer(
        self, x: Map, layer: nn.Conv2d, parts: Iterator[Tensor], shares: Tensor | None, *, relu: bool = True
    ) -> Map:
        gain, shift = next(parts), next(parts)
        then = torch.relu_ if relu else None
        return normalize(conv(x, layer.weight), gain, shift, eps=_EPS, then=then, shares=shares)


def _in_range(painted: Tensor) -> Tensor:
    return painted.float().clamp(0, 1)


def _moves(matrices: Tensor, offsets: Tensor, image: Tensor) -> Tensor:
    """Return A x + b - x of the colors, added up in one order, so that strips have the bits of the whole."""
    red, green, blue = image.unbind(1)
    moved = offsets[:, :, None, None] + matrices[:, :, 0, None, None] * red[:, None]
    moved = moved + matrices[:, :, 1, None, None] * green[:, None]
    return moved + matrices[:, :, 2, None, None] * blue[:, None] - image


def _moved(image: Tensor, moves: Tensor) -> Tensor:
    return (image + moves).clamp(0, 1)


def _moved_where(image: Tensor, moves: Tensor, amount: Tensor) -> Tensor:
    return (image + amount.clamp(0, 1) * moves).clamp(0, 1)


def _products(image: Tensor) -> Tensor:
    return color_products(image).contiguous(memory_format=torch.channels_last)  # sums depend on the layout


def _products_where(image: Tensor, amount: Tensor) -> Tensor:
    found = torch.cat([amount.expand(len(image), -1, -1, -1), amount * color_products(image)], 1)
    return found.contiguous(memory_format=torch.channels_last)


def _grained(given: Tensor, noise: Tensor) -> Tensor:
    return given + noise


def _gray(photo: Tensor) -> Tensor:
    return torch.full_like(photo, 0.5)


def _stacked(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], 1)


def _sum(draft: Tensor, detail: Tensor, residual: Tensor) -> Tensor:
    return draft + detail + residual
