"""Paintings in the public domain, as small style images with artist, title, year, license and source.

Each is a JPEG of at most 512 pixels, without frame, margins and writing, beside an entry of the same name in
`catalog.json`.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Painting", "paintings"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Painting:
    """A painting that comes with impasto.

    Attributes:
        path: of its picture.
        artist: full name.
        title: of the work, in English.
        year: of the work, as text, such as "about 1831".
        license: of the picture.
        source: address that the picture came from.
    """

    path: Path
    artist: str
    title: str
    year: str
    license: str
    source: str

    def __str__(self) -> str:
        return f"{self.artist}, {self.title}, {self.year}"


@cache
def paintings() -> dict[str, Painting]:
    """Return all paintings by name, in alphabetical order."""
    entries = json.loads((_FOLDER / "catalog.json").read_text(encoding="utf-8"))
    return {name: Painting(_FOLDER / f"{name}.jpg", **entry) for name, entry in sorted(entries.items())}
