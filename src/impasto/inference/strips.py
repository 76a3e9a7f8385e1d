"""Apply networks to pictures of any size, in strips that fit into memory, to the same bits.

Normalization needs mean and variance of whole maps, so a large picture cannot be cut into independent pieces. Here a
network runs over horizontal strips. Each map is either held as a whole or, where memory is short, computed again strip
by strip. Only maps at the ends of residual blocks are always held, at a quarter of the resolution.

Statistics are those of the whole map, summed row by row in one order, and convolutions give the same bits for a row
in any strip. So the strips change the time, and nothing else.

Frames of a video are painted with shared statistics: `measure` finds them on a sample of frames, and `apply_model`
uses them. They travel with the maps, so networks need not know about them.
"""

import math
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from impasto.checkpoints.model import CUSTOM
from impasto.errors import ImageError, OptionError
from impasto.networks.layers import Local, Moments, Rows, moments_of, pointwise, reference_of, row_sums, together
from impasto.ops.color import transplant_luminance
from impasto.style_transfer.plan import available_memory, used_memory
from impasto.style_transfer.tiling import strips

if TYPE_CHECKING:
    from impasto.inference.painter import Painter
    from impasto.inference.translator import Translator

__all__ = ["Room", "Statistics", "Strips", "apply_model", "between", "measure"]

Statistics = tuple[Moments, ...]  # of each normalization of a network, in its order, `(1, C)`

_STRIP = (1 << 22, 1 << 27)  # bytes of a strip of a map, about; larger strips overlap less
_FOREIGN = "the statistics are not those of this network's layers; expected what measure returns for this network."
_WORK = 20  # strips in memory at once while rows are computed, at most, with the buffers of convolutions


class Room:
    """The memory budget of maps, and the size of strips.

    Args:
        limit: in bytes; maps that must be held may exceed it, unless it is strict.
        strip: bytes of a strip of a map of one picture, about; at least one row.
        strict: a map that must be held and does not fit is an error.
    """

    def __init__(self, limit: float, strip: int = _STRIP[0], *, strict: bool = False) -> None:
        self.limit, self.strip, self.strict = limit, strip, strict
        self.used = self.needed = self.joint = 0
        self.widest = 0  # bytes of the largest map of a picture that gave rows lately

    def take(self, size: int, owner: object, *, must: bool) -> bool:
        """Reserve bytes until the owner is deleted, if they are free and the next joint of a block fits, too.

        Raises:
            OptionError: they must be free, and are not.
        """
        if not must and self.used + size + self.joint > self.limit:
            return False
        if must:
            self.joint = size
            if self.strict and self.needed + size > self.limit:
                more = self.needed + size - self.limit
                raise OptionError(
                    f"max_memory is too small for this picture by {more / 1e6:.1f}M at least; allow more, or make it "
                    "smaller."
                )
        self.used, self.needed = self.used + size, self.needed + must * size
        weakref.finalize(owner, self._free, size, must)
        return True

    def _free(self, size: int, must: bool) -> None:
        self.used, self.needed = self.used - size, self.needed - must * size


class _Sharing:
    """The statistics for all normalizations of one run of a network: given ones, or those of its batch as a whole.

    Args:
        given: of another run of the same network; None: it measures them, and keeps them in `found`.
    """

    def __init__(self, given: Statistics | None) -> None:
        self.given = given
        self.found: list[Moments] = []

    def next(self, own: Callable[[], Moments]) -> Moments:
        """Return the statistics of the next normalization; its own ones are computed only if none are given."""
        if self.given is None:
            self.found.append(together(own()))
        elif len(self.found) < len(self.given):
            self.found.append(self.given[len(self.found)])
        else:
            raise OptionError(_FOREIGN)
        return self.found[-1]

    def check(self) -> None:
        """Raise an error unless all given statistics were used."""
        if self.given is not None and len(self.found) != len(self.given):
            raise OptionError(_FOREIGN)


class Strips(Rows):
    """A map `(B, C, H, W)` that returns rows from memory if it is held, and computes them otherwise.

    Args:
        room: the memory budget.
        size: height and width.
        produce: computes rows (first, after the last); None: it will be held.
        sharing: source of statistics; None: each picture has its own.
    """

    def __init__(
        self,
        room: Room,
        size: tuple[int, int],
        produce: Callable[[int, int], Tensor] | None,
        sharing: _Sharing | None = None,
    ) -> None:
        self.room, self._size, self.produce, self.sharing = room, size, produce, sharing
        self.whole: Tensor | None = None
        self._moments: Moments | None = None

    @classmethod
    def of(cls, image: Tensor, room: Room, sharing: _Sharing | None = None) -> "Strips":
        """Return the map of a tensor `(B, C, H, W)`."""
        strips = cls(room, (image.shape[-2], image.shape[-1]), None, sharing)
        strips.whole = image
        return strips

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self._size

    def rows(self, top: int, bottom: int) -> Tensor:
        """Return rows, `(B, C, bottom - top, W)`."""
        if self.produce is None:
            assert self.whole is not None
            rows = self.whole[..., top:bottom, :]
        else:
            rows = self.produce(top, bottom)
        self.room.widest = max(self.room.widest, rows[0].nbytes // (bottom - top) * self.size[0])
        return rows

    def pieces(self) -> Iterator[tuple[int, int, Tensor]]:
        """Yield (first row, row after the last, rows) from top to bottom."""
        height, width = self.size
        first = max(1, min(height, self.room.strip // (128 * 4 * width)))  # widths are not known yet
        self.room.widest = 0
        rows = self.rows(0, first)
        yield 0, first, rows
        step = max(1, self.room.strip * height // self.room.widest)
        for top, bottom in strips(height - first, step):
            yield first + top, first + bottom, self.rows(first + top, first + bottom)

    def local(self, layer: Local) -> "Strips":
        """See `Rows`."""
        height, width = self.size

        def produce(top: int, bottom: int) -> Tensor:
            start, stop = layer.needs(top, bottom, height)
            return layer.rows(self.rows(start, stop), start, height, top, bottom)

        return Strips(self.room, layer.size(height, width), produce, self.sharing)

    def pointwise(self, function: Callable[..., Tensor], others: tuple[Any, ...]) -> "Strips":
        """See `Rows`."""

        def produce(top: int, bottom: int) -> Tensor:
            parts = [o.rows(top, bottom) if isinstance(o, Strips) else o[..., top:bottom, :] for o in others]
            return function(self.rows(top, bottom), *parts)

        return Strips(self.room, self.size, produce, self.sharing)

    def keep(self) -> "Strips":
        """See `Rows`."""
        if self.whole is None:
            self._run(measure=False)
        return self

    def moments(self) -> Moments:
        """See `Rows`."""
        if self._moments is None:
            self._moments = self._own() if self.sharing is None else self.sharing.next(self._own)
        return self._moments

    def _own(self) -> Moments:
        found = self._run(measure=True)
        assert found is not None
        return found

    def _run(self, *, measure: bool) -> Moments | None:
        """Compute the map once, to measure it and hold it if there is room; or only to hold it."""
        held, reference = None, torch.empty(0)
        sums: list[Tensor] = []
        for top, bottom, rows in self.pieces():
            if top == 0:
                reference = reference_of(rows)
                held = self._place(rows, must=not measure)
            if held is not None and held is not rows:
                held[..., top:bottom, :] = rows
            if measure:
                sums.append(row_sums(rows, reference))
        if held is not None:
            self.whole, self.produce = held, None  # and its inputs may be freed
        return moments_of(torch.cat(sums, 2), reference, self.size[1]) if measure else None

    def _place(self, rows: Tensor, *, must: bool) -> Tensor | None:
        """Return memory for the whole map; None if it is held already or there is no room. Rows may be the whole."""
        shape = (*rows.shape[:2], *self.size)
        size = rows.element_size() * math.prod(shape)
        if self.whole is not None or not self.room.take(size, self, must=must):
            return None
        if rows.shape[2] == self.size[0]:
            return rows
        memory_format = torch.channels_last if rows.device.type == "cpu" else torch.contiguous_format
        return torch.empty(shape, dtype=rows.dtype, device=rows.device, memory_format=memory_format)


def apply_model(
    model: "Painter | Translator",
    image: Tensor,
    *,
    style: Any = None,
    strength: float = 1.0,
    colors: Literal["style", "luminance"] = "style",
    mask: Tensor | None = None,
    statistics: Statistics | None = None,
    octaves: int = 0,
    max_memory: int | None = None,
) -> Tensor:
    """Return pictures of any size, painted by a model.

    On a CPU the result has the same bits whatever `max_memory` is.

    Args:
        model: a painter or translator.
        image: `(B, 3, H, W)` RGB in [0, 1]; pictures are painted one after the other.
        style: see `Painter.paint`; of embeddings `(B, N)` each picture takes its own.
        strength: see `Painter.paint`.
        colors: "style", or "luminance": the photograph's colors with the painting's luminance.
        mask: `(1 or B, 1, H, W)` in [0, 1], 1 where it is painted; elsewhere the photograph stays.
        statistics: mean and variance for normalizations, from `measure` with the same network, style and strength;
            by default each picture's own.
        octaves: see `Painter.paint`.
        max_memory: bytes that the whole process may take, about; by default the free memory.

    Returns:
        `(B, 3, H, W)` float32 in [0, 1].

    Raises:
        ImageError: the image or the mask has another shape.
        OptionError: a setting is none of its choices, the style does not fit the network, the picture needs more
            than `max_memory`, or the statistics are of a network with other layers.
        UnknownName: there is no such style.
    """
    _check(image, colors, mask)
    painted = torch.empty_like(image, dtype=torch.float32, memory_format=torch.contiguous_format)
    for index, picture in enumerate(image):
        own = style[index] if isinstance(style, Tensor) and style.ndim == 2 else style
        where = None if mask is None else mask[index % len(mask)][None]
        # the memory of the result is reserved here: it is not allocated before something is written to it
        room = _room(image.device, max_memory, painted[index:].nbytes)
        sharing = None if statistics is None else _Sharing(statistics)
        with torch.no_grad():
            run = _runner(model, own, strength, octaves)
            _paint(model, run, picture[None], colors, where, room, painted[index][None], sharing)
        if sharing is not None:
            sharing.check()
    return painted


def measure(
    model: "Painter | Translator",
    images: Tensor,
    *,
    style: Any = None,
    strength: float = 1.0,
    octaves: int = 0,
    max_memory: int | None = None,
) -> Statistics:
    """Return the statistics of a batch of pictures as a whole, for painting these and similar pictures alike.

    All pictures run through the network together, layer by layer: earlier layers are normalized with the shared
    statistics already. If memory does not suffice, every other picture is left out.

    Args:
        model: a painter or translator.
        images: `(B, 3, H, W)` RGB in [0, 1].
        style: see `Painter.paint`; one for all.
        strength: see `Painter.paint`.
        octaves: see `Painter.paint`.
        max_memory: bytes that the whole process may take, about; by default the free memory.

    Raises:
        ImageError, OptionError, UnknownName: as from `apply_model`.
    """
    _check(images, "style", None)
    if model.architecture == CUSTOM:  # it may normalize in its own way
        return ()
    sharing = _Sharing(None)
    room = _room(images.device, max_memory, 0, len(images))
    try:
        with torch.no_grad():  # rows of the result are never computed
            _runner(model, style, strength, octaves)(Strips.of(images, room, sharing))
    except OptionError:
        if len(images) == 1:
            raise
        return measure(model, images[::2], style=style, strength=strength, octaves=octaves, max_memory=max_memory)
    return tuple(sharing.found)


def between(first: Statistics, second: Statistics, fraction: float) -> Statistics:
    """Return the statistics of a mixture in which a fraction of the pictures, in [0, 1], has the second ones."""
    return tuple(
        (torch.lerp(m, n, fraction), torch.lerp(v, w, fraction) + fraction * (1 - fraction) * (n - m).square())
        for (m, v), (n, w) in zip(first, second, strict=True)
    )


def _room(device: torch.device, max_memory: int | None, reserved: int, pictures: int = 1) -> Room:
    """Return the memory budget for so many pictures at once."""
    limit = max_memory if max_memory is not None else available_memory(device)
    free = limit - used_memory(device) - reserved
    strip = max(_STRIP[0], min(_STRIP[1], free // (4 * _WORK)))
    return Room(free - _WORK * strip, strip // pictures, strict=max_memory is not None or pictures > 1)


def _runner(model: "Painter | Translator", style: Any, strength: float, octaves: int) -> Callable[[Any], Any]:
    """Return what paints a picture or map of it; only painters know octaves."""
    more: dict[str, Any] = {"octaves": octaves} if octaves else {}
    paint: Any = model.paint
    return partial(paint, style=style, strength=strength, **more)


def _paint(
    model: "Painter | Translator",
    paint: Callable[[Any], Any],
    image: Tensor,
    colors: str,
    mask: Tensor | None,
    room: Room,
    out: Tensor,
    sharing: _Sharing | None = None,
) -> None:
    source = Strips.of(image, room, sharing)
    custom = model.architecture == CUSTOM  # a network of the user's own knows tensors only
    result = Strips.of(paint(image), room) if custom else paint(source)
    if colors == "luminance":
        result = pointwise(lambda painted, x: transplant_luminance(painted, x.to(painted)), result, source)
    if mask is not None:
        result = pointwise(lambda painted, x, weight: torch.lerp(x.to(painted), painted, weight), result, source, mask)
    assert isinstance(result, Strips)
    for top, bottom, rows in result.pieces():
        out[..., top:bottom, :] = rows


def _check(image: Tensor, colors: str, mask: Tensor | None) -> None:
    if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point() or not image.numel():
        raise ImageError(f"image is {tuple(image.shape)} of {image.dtype}; expected (B, 3, H, W) of decimal numbers.")
    if colors not in ("style", "luminance"):
        raise OptionError(f"colors is {colors!r}; expected 'style' or 'luminance'.")
    sizes = [(count, 1, *image.shape[-2:]) for count in (1, len(image))]
    if mask is not None and tuple(mask.shape) not in sizes:
        raise ImageError(f"mask has shape {tuple(mask.shape)}; expected {sizes[0]}.")
