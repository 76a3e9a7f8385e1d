"""File formats of trained networks, one module each: how to recognize a file, and how to read it.

A format from outside is the same: an object `Format(name, detects, read)`, named in the entry points of the group
`impasto.formats`, given to `FORMATS.register`, or handed to `load` as `formats=`.
"""

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from impasto.checkpoints.files import File
from impasto.checkpoints.model import Model
from impasto.registry import Registry

__all__ = ["FORMATS", "Format", "known_formats"]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: unique; of the program that writes such files.
        detects: whether a file or folder has this format, from names and shapes alone.
        read: return its network with what its file says; raise WeightsError for a damaged file.
        expects: what such a file looks like, for the sentence about files of no known format; "" to leave it out.
    """

    name: str
    detects: Callable[[File], bool]
    read: Callable[[File], Model]
    expects: str = ""


def _own() -> dict[str, Format]:
    modules = [name for _, name, _ in pkgutil.iter_modules(__path__) if not name.startswith("_")]
    return {name: import_module(f"{__name__}.{name}").FORMAT for name in modules}


FORMATS: Registry[Format] = Registry(
    "a checkpoint format",
    "impasto.formats",
    _own,
    lambda item: None if isinstance(item, Format) else "it is not a `checkpoints.formats.Format`",
)


def known_formats(more: Sequence[Format] = ()) -> list[Format]:
    """Return the given formats, then those of other packages, then ours."""
    ours = _own().keys()
    known = dict(FORMATS.items())
    return [*more, *(known[name] for name in known if name not in ours), *(known[name] for name in ours)]
