"""Networks that paint, by name: those that come with impasto, and those that were put into its folder.

Only the headers of files are read here, so that a list takes no time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.checkpoints.weights import folder
from impasto.errors import unknown_name

__all__ = ["Listed", "find", "listed", "place", "read_header"]

_SHIPPED = Path(__file__).parents[1] / "pretrained"
_PLACE = "painters"  # in impasto's own folder
_LONGEST = 1 << 24  # bytes of a header, at most


@dataclass(frozen=True)
class Listed:
    """A file of the catalogue.

    Attributes:
        name: its own, without the suffix.
        path: where it is.
        header: what it says about itself.
    """

    name: str
    path: Path
    header: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What it holds: the name of an architecture, "style" or "predictor"."""
        return str(self.header.get("network", ""))

    @property
    def styles(self) -> Mapping[str, str]:
        """Names of the styles in it, without the identity, each with what it was learned from."""
        settings = self.header.get("settings", {})
        named = settings.get("styles", ())[1:] if self.kind == "painter" else ()
        known: Mapping[str, str] = self.header.get("works", {})
        return {name: known.get(name, "") for name in named}


def place() -> Path:
    """Return the folder for files of one's own."""
    return folder() / _PLACE


def listed() -> dict[str, Listed]:
    """Return every file of the catalogue by name; what is in impasto's folder wins over what came with it."""
    found: dict[str, Listed] = {}
    for where in (_SHIPPED, place()):
        for path in sorted(where.glob("*.safetensors")):
            header = read_header(path)
            if header and header.get("network") != "compact":  # an encoder, which `impasto encoders` lists
                found[path.stem] = Listed(path.stem, path, header)
    return found


def find(name: str) -> tuple[Listed, str]:
    """Return the file of a name, and which of its styles is meant; "" for none in particular.

    Args:
        name: of a file, or of a style in one of them.

    Raises:
        UnknownName: neither is called so.
    """
    known = listed()
    if name in known and known[name].kind != "predictor":
        return known[name], ""
    for one in known.values():
        if name in one.styles:
            return one, name
    names = {name for name, one in known.items() if one.kind != "predictor"}
    raise unknown_name("a network file, or of a style", name, names.union(*(one.styles for one in known.values())))


def read_header(path: Path) -> dict[str, Any]:
    """Return what impasto wrote into a safetensors file's header; nothing if it is another file."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            told = json.loads(file.read(length)) if length <= _LONGEST else {}
        header = json.loads(told.get("__metadata__", {}).get("impasto", "{}"))
    except (OSError, ValueError, AttributeError):
        return {}
    return header if isinstance(header, dict) else {}
