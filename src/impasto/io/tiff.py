"""The directories of a TIFF file: which of its pictures is the picture, and whether it is a camera raw file.

Source: TIFF Revision 6.0, Adobe, 1992, section 2; BigTIFF, 2007; TIFF/EP, ISO 12234-2:2001; Digital Negative
Specification 1.7, Adobe, 2023.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from impasto.errors import ImageError
from impasto.io.formats import RAW

__all__ = ["Tags", "check_raw", "first_directory", "is_raw", "is_tiff", "of_full_picture", "tiff_tags"]

Tags = dict[int, tuple[Any, ...]]  # numbers by tag; () for values of other types

_MAGIC: Final = {  # first bytes → byte order, whether offsets have 64 bits
    b"II*\0": ("<", False),
    b"MM\0*": (">", False),
    b"II+\0": ("<", True),
    b"MM\0+": (">", True),
}
_NUMBERS: Final = dict(zip((1, 3, 4, 6, 8, 9, 11, 12, 13, 16, 17, 18), "BHIbhifdIQqQ", strict=True))  # types of tags
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _COLORS, _MAKE, _SUBDIRECTORIES, _DNG = (
    254,
    255,
    256,
    257,
    262,
    271,
    330,
    50706,
)
_REDUCED, _MASK = 1, 4  # bits of _SUBFILE
_NO_PICTURES: Final = (4, 51177, 52527)  # of _COLORS: transparency mask, depth, semantic mask
_SENSOR: Final = (32803, 34892)  # of _COLORS: values of a color filter array, and linear ones of a sensor
_MOST: Final = 200_000  # tags of a file, in all its directories, that are read at most
_LONGEST: Final = 64  # numbers of a tag; longer ones are those of strips and tables
_DEEPEST: Final = 3  # directories below directories

_RAW_SIGNS: Final = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")


@dataclass(frozen=True)
class _Page:
    """One directory: where it is, its tags, and the directories below it."""

    offset: int
    tags: Tags
    below: tuple["_Page", ...] = ()

    def first(self, tag: int) -> int:
        return int((self.tags.get(tag) or (0,))[0])

    @property
    def size(self) -> tuple[int, int]:
        return self.first(_WIDTH), self.first(_HEIGHT)

    @property
    def area(self) -> int:
        return self.size[0] * self.size[1]

    @property
    def reduced(self) -> bool:
        return bool(self.first(_SUBFILE) & _REDUCED) or self.first(_OLD_SUBFILE) == 2

    @property
    def picture(self) -> bool:
        return self.area > 0 and not self.first(_SUBFILE) & _MASK and self.first(_COLORS) not in _NO_PICTURES


def is_tiff(data: bytes) -> bool:
    """Return whether bytes begin as a TIFF file does."""
    return data[:4] in _MAGIC


def tiff_tags(data: bytes) -> Tags:
    """Return the numbers of the first directory of a TIFF file; of other files none."""
    return next(_pages(data), _Page(0, {})).tags


def first_directory(data: bytes) -> int:
    """Return the offset of the first directory of a TIFF file."""
    order, big = _MAGIC[data[:4]]
    return int.from_bytes(data[8:16] if big else data[4:8], "little" if order == "<" else "big")


def of_full_picture(data: bytes, name: str, notes: list[str]) -> bytes:
    """Return a TIFF file whose first directory is that of the full picture; other files unchanged.

    The first picture of a file may be a reduced version of another one, as in pyramids and in files with previews.
    Then only the offset of the first directory is changed, which is in the header.

    Args:
        data: the file.
        name: of the file, for notes.
        notes: gets a sentence without a full stop if the file holds other full pictures.
    """
    pages = list(_pages(data))
    every = [one for page in pages for one in (page, *page.below) if one.picture]
    if not every:
        return data
    chosen = _full(pages, every)
    full = [one for one in pages if one.picture and not one.reduced]
    if len(full) > 1 and chosen in full:
        notes.append(f"{name} has {len(full)} pages, of which number {full.index(chosen) + 1} is read")
    order, big = _MAGIC[data[:4]]
    place, kind = (8, "Q") if big else (4, "I")
    if chosen is pages[0]:
        return data
    return data[:place] + struct.pack(order + kind, chosen.offset) + data[place + struct.calcsize(kind) :]


def _full(pages: list[_Page], every: list[_Page]) -> _Page:
    first = every[0]
    if first.reduced:
        below = [one for one in pages[0].below if one.picture and not one.reduced]
        full = [one for one in every if not one.reduced]
        return max(below or full[:1] or every, key=lambda one: one.area)
    larger = [one for one in every if not one.reduced and _magnifies(one, first)]
    return max(larger, key=lambda one: one.area) if larger else first


def _magnifies(large: _Page, small: _Page) -> bool:
    """Return whether a page has the shape of another one and at least about twice its sides, as levels of a pyramid."""
    (width, height), (w, h) = large.size, small.size
    return min(width, height) >= 16 and width >= 1.9 * w and height >= 1.9 * h and abs(width / w - height / h) < 0.1


def check_raw(path: Path, data: bytes, name: str) -> None:
    """Refuse the raw file of a camera, whose full picture only a raw converter can make.

    Raises:
        ImageError: it is one.
    """
    if is_raw(data, path.suffix.lower()):
        raise ImageError(
            f"{name} is a camera raw file, which has to be developed first; export it from a raw converter, such as "
            "darktable or RawTherapee, as JPEG or as TIFF of 16 bits."
        )


def is_raw(data: bytes, suffix: str = "") -> bool:
    """Return whether bytes are, or begin, a camera raw file; the suffix of its name may help."""
    if data.startswith(_RAW_SIGNS) or data[4:11] == b"ftypcrx" or data[6:14] == b"HEAPCCDR":
        return True
    if not is_tiff(data):
        return False
    if data[8:10] == b"CR" or data[8:12] in (b"IIII", b"MMMM"):
        return True
    pages = list(_pages(data))
    if any(one.first(_COLORS) in _SENSOR for page in pages for one in (page, *page.below)):
        return True
    tags = pages[0].tags if pages else {}
    return _DNG in tags or (_MAKE in tags and suffix in RAW)


def _pages(data: bytes) -> Iterator[_Page]:
    """Yield the directories of a TIFF file in their order; of other files none."""
    if is_tiff(data):
        yield from _Reader(data).chain(first_directory(data), _DEEPEST)


class _Reader:
    """Reads the directories of a TIFF file, each once, within limits that a hostile file cannot pass."""

    def __init__(self, data: bytes) -> None:
        self.data, (self.order, self.big) = data, _MAGIC[data[:4]]
        self.seen: set[int] = set()
        self.left = _MOST

    def number(self, place: int) -> int:
        """Return the offset that is stored there."""
        part = self.data[place : place + (8 if self.big else 4)]
        return int.from_bytes(part, "little" if self.order == "<" else "big")

    def chain(self, offset: int, depth: int) -> Iterator[_Page]:
        """Yield a directory and those that follow it, each with those below it."""
        while 0 < offset < len(self.data) and offset not in self.seen and depth and self.left > 0:
            self.seen.add(offset)
            tags, end = self.tags(offset)
            starts = tags.get(_SUBDIRECTORIES, ())
            yield _Page(offset, tags, tuple(one for start in starts for one in self.chain(start, depth - 1)))
            offset = self.number(end)

    def tags(self, offset: int) -> tuple[Tags, int]:
        """Return the tags of a directory, and the offset behind them."""
        data, order = self.data, self.order
        head, entry, inline = ("Q", "HHQ", 8) if self.big else ("H", "HHI", 4)
        start = offset + struct.calcsize(order + head)
        step = struct.calcsize(order + entry) + inline
        if start > len(data):
            return {}, len(data)
        count = min(struct.unpack_from(order + head, data, offset)[0], (len(data) - start) // step, self.left)
        self.left -= count + 1
        tags: Tags = {}
        for place in range(start, start + count * step, step):
            tag, kind, length = struct.unpack_from(order + entry, data, place)
            numbers, there = f"{order}{length}{_NUMBERS.get(kind, 'x')}", place + step - inline
            tags[tag] = ()
            if length > _LONGEST:
                continue
            if struct.calcsize(numbers) > inline:
                there = self.number(there)
            if there + struct.calcsize(numbers) <= len(data):
                tags[tag] = struct.unpack_from(numbers, data, there)
        return tags, start + count * step
