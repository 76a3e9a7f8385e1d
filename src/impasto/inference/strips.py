"""Painting pictures of any size with a network, in the memory there is, to the same bits.

Normalization asks for the mean and variance of whole maps, so a large picture cannot just be cut into pieces:
each would be another painting. Here a network runs over horizontal strips, and every map that it makes is
either held whole or, if there is no room, computed again strip by strip whenever rows of it are needed. Only
those at the joints of residual blocks are always held, at a quarter of the resolution.
Statistics are always those of the whole map, added up row by row in one order, and convolutions give the same
bits for a row whatever strip it comes in; so the strips change how long it takes, and nothing else.

Pictures that belong together, as frames of a film, are painted with the statistics of all of them: `measure` finds
them on a few, and `apply_model` takes them. They travel with the maps, so networks need not know of it.
"""

import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from impasto.checkpoints.model import Model, Style
from impasto.errors import ImageError, OptionError
from impasto.networks.layers import Local, Moments, Rows, moments_of, pointwise, reference_of, row_sums, together
from impasto.ops.color import transplant_luminance
from impasto.style_transfer.plan import available_memory, used_memory
from impasto.style_transfer.tiling import strips

__all__ = ["Room", "Statistics", "Strips", "apply_model", "between", "measure"]

Statistics = tuple[Moments, ...]  # of each normalization of a network, in its order, `(1, C)`

_STRIP = (1 << 22, 1 << 27)  # bytes of a strip of a map, about; with larger ones less is computed twice
_FOREIGN = "the statistics are not those of this network's layers; expected what measure returns for this network."
_WORK = 20  # strips that are alive at once while rows are computed, at most, with what convolutions need


class Room:
    """How many bytes of maps may be held at once, and how large strips are.

    Args:
        limit: in bytes; maps that must be held are, beyond it if need be, unless it is strict.
        strip: bytes of a strip of a map of one picture, about; at least one row.
        strict: whether a map that must be held and does not fit is an error.
    """

    def __init__(self, limit: float, strip: int = _STRIP[0], *, strict: bool = False) -> None:
        self.limit, self.strip, self.strict = limit, strip, strict
        self.used = self.needed = self.joint = 0
        self.widest = 0  # bytes that the largest map of a picture would take that was asked for rows lately

    def take(self, size: int, owner: object, *, must: bool) -> bool:
        """Reserve bytes until the owner is gone, if they are there and the next joint will have its room, too.

        Raises:
            OptionError: they must be there, and are not.
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
    """What one run of a network normalizes with: the statistics it is given, or those of its batch taken as one.

    Args:
        given: of another run of the same network; None: they are found, and kept in `found`.
    """

    def __init__(self, given: Statistics | None) -> None:
        self.given = given
        self.found: list[Moments] = []

    def next(self, own: Callable[[], Moments]) -> Moments:
        """Return the statistics of the next normalization, whose own ones need not be found if they are given."""
        if self.given is None:
            self.found.append(together(own()))
        elif len(self.found) < len(self.given):
            self.found.append(self.given[len(self.found)])
        else:
            raise OptionError(_FOREIGN)
        return self.found[-1]

    def check(self) -> None:
        """Raise an error unless all that was given was used."""
        if self.given is not None and len(self.found) != len(self.given):
            raise OptionError(_FOREIGN)


class Strips(Rows):
    """A map `(B, C, H, W)` that gives its rows from memory if it is held, or else by computing them.

    Args:
        room: what may be held.
        size: height and width.
        produce: gives rows (first, after the last); None: it will be held.
        sharing: where statistics come from; None: each picture has its own.
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
        made = cls(room, (image.shape[-2], image.shape[-1]), None, sharing)
        made.whole = image
        return made

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
        """Go through the map once, to measure it, and hold it if there is room; or just to hold it."""
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
            self.whole, self.produce = held, None  # and what it was made from may go
        return moments_of(torch.cat(sums, 2), reference, self.size[1]) if measure else None

    def _place(self, rows: Tensor, *, must: bool) -> Tensor | None:
        """Return memory for the whole map, unless it is held already or there is no room; rows that are the whole."""
        shape = (*rows.shape[:2], *self.size)
        size = rows.element_size() * math.prod(shape)
        if self.whole is not None or not self.room.take(size, self, must=must):
            return None
        if rows.shape[2] == self.size[0]:
            return rows
        memory_format = torch.channels_last if rows.device.type == "cpu" else torch.contiguous_format
        return torch.empty(shape, dtype=rows.dtype, device=rows.device, memory_format=memory_format)


def apply_model(
    model: Model,
    image: Tensor,
    *,
    style: Style = None,
    strength: float = 1.0,
    colors: Literal["style", "luminance"] = "style",
    mask: Tensor | None = None,
    statistics: Statistics | None = None,
    max_memory: int | None = None,
) -> Tensor:
    """Return pictures painted by a network, whatever their size.

    On a CPU the result has the same bits whatever `max_memory` is.

    Args:
        model: the network.
        image: `(B, 3, H, W)` RGB in [0, 1]; pictures are painted one after the other.
        style: see `Model`; of rows `(B, N)` each picture takes its own.
        strength: see `Model`.
        colors: "style", or "luminance": the photograph's colors, painted in light and dark.
        mask: `(1 or B, 1, H, W)` in [0, 1], where it is painted; elsewhere the photograph stays.
        statistics: what normalizations take for mean and variance, from `measure` with the same network, style and
            strength; by default each picture's own.
        max_memory: bytes that the whole process may take, about; by default what is free.

    Returns:
        `(B, 3, H, W)` float32 in [0, 1].

    Raises:
        ImageError: the image or the mask has another shape.
        OptionError: a setting is none of its choices, the style is not what the network takes, the picture
            needs more than `max_memory`, or the statistics are of a network with other layers.
        UnknownName: there is no such style.
    """
    _check(image, colors, mask)
    painted = torch.empty_like(image, dtype=torch.float32, memory_format=torch.contiguous_format)
    for index, picture in enumerate(image):
        look = style[index] if isinstance(style, Tensor) and style.ndim == 2 else style
        where = None if mask is None else mask[index % len(mask)][None]
        # what the result takes is not yet there when memory is asked for: nothing was written to it
        room = _room(image.device, max_memory, painted[index:].nbytes)
        sharing = None if statistics is None else _Sharing(statistics)
        with torch.no_grad():
            _paint(model, picture[None], look, strength, colors, where, room, painted[index][None], sharing)
        if sharing is not None:
            sharing.check()
    return painted


def measure(
    model: Model,
    images: Tensor,
    *,
    style: Style = None,
    strength: float = 1.0,
    max_memory: int | None = None,
) -> Statistics:
    """Return the statistics of pictures taken as one, with which each of them, and what is alike, can be painted.

    All run through the network together, a layer at a time: those of a layer are of maps whose layers before have
    been normalized with shared statistics already, as will be when they are used. Where memory does not suffice for
    all at once, every other one is left out.

    Args:
        model: the network.
        images: `(B, 3, H, W)` RGB in [0, 1].
        style: see `Model`; one for all.
        strength: see `Model`.
        max_memory: bytes that the whole process may take, about; by default what is free.

    Raises:
        ImageError, OptionError, UnknownName: as from `apply_model`.
    """
    _check(images, "style", None)
    sharing = _Sharing(None)
    room = _room(images.device, max_memory, 0, len(images))
    try:
        with torch.no_grad():  # of what comes out nothing is asked for, so it is not computed
            model(Strips.of(images, room, sharing), style=style, strength=strength)
    except OptionError:
        if len(images) == 1:
            raise
        return measure(model, images[::2], style=style, strength=strength, max_memory=max_memory)
    return tuple(sharing.found)


def between(first: Statistics, second: Statistics, share: float) -> Statistics:
    """Return the statistics of a mixture, of pictures of which a share in [0, 1] has the second ones."""
    return tuple(
        (torch.lerp(m, n, share), torch.lerp(v, w, share) + share * (1 - share) * (n - m).square())
        for (m, v), (n, w) in zip(first, second, strict=True)
    )


def _room(device: torch.device, max_memory: int | None, reserved: int, pictures: int = 1) -> Room:
    """Return the room that there is now for so many pictures at once."""
    limit = max_memory if max_memory is not None else available_memory(device)
    free = limit - used_memory(device) - reserved
    strip = max(_STRIP[0], min(_STRIP[1], free // (4 * _WORK)))
    return Room(free - _WORK * strip, strip // pictures, strict=max_memory is not None or pictures > 1)


def _paint(
    model: Model,
    image: Tensor,
    style: Style,
    strength: float,
    colors: str,
    mask: Tensor | None,
    room: Room,
    out: Tensor,
    sharing: _Sharing | None = None,
) -> None:
    source = Strips.of(image, room, sharing)
    result: Rows = model(source, style=style, strength=strength)
    if colors == "luminance":
        result = pointwise(lambda painted, x: transplant_luminance(painted, x.to(painted)), result, source)
    if mask is not None:
        result = pointwise(lambda painted, x, share: torch.lerp(x.to(painted), painted, share), result, source, mask)
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
