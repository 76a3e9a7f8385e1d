"""The catalog: trained networks by name, those that ship with impasto and those in the user's own folder.

Only headers of files are read here, so a list takes no time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.checkpoints.card import read_card
from impasto.checkpoints.weights import folder
from impasto.errors import unknown_name
from impasto.reading import open_regular, read_json

__all__ = ["KINDS", "Listed", "STYLED", "find", "listed", "place", "read_header"]

_SHIPPED = Path(__file__).parents[1] / "pretrained"
_PLACE = "painters"  # in impasto's own folder
_MAX_HEADER = 1 << 24  # bytes


KINDS: Mapping[str, str] = {  # of models, by the names of their networks; others are their own kind
    "johnson": "painter",
    "multistyle": "painter",
    "pyramid": "painter",
    "lengstrom": "painter",
    "microast": "painter",
    "resnet": "translator",
    "unet": "translator",
    "generator": "generator",
    "autoencoder": "autoencoder",
    "vae": "autoencoder",
}
STYLED = ("multistyle", "pyramid")  # networks of painters with a style embedding for each style


@dataclass(frozen=True)
class Listed:
    """A file of the catalog.

    Attributes:
        name: of the file, without its suffix.
        path: of the file.
        card: what its header says.
    """

    name: str
    path: Path
    card: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        """The name of its network; "style" for a single style embedding."""
        return str(self.card.get("network", ""))

    @property
    def kind(self) -> str:
        """What it does: "painter", "translator", "generator", "autoencoder"; else its architecture."""
        return KINDS.get(self.architecture, self.architecture)

    @property
    def styles(self) -> Mapping[str, str]:
        """Names of its styles without the identity, each with the work that it was trained on."""
        settings = self.card.get("settings") or {}
        named = settings.get("styles", ())[1:] if self.architecture in STYLED else ()
        known: Mapping[str, str] = self.card.get("works") or {}
        return {name: known.get(name, "") for name in named}


def place() -> Path:
    """Return the folder for the user's own files."""
    return folder() / _PLACE


def listed() -> dict[str, Listed]:
    """Return every file of the catalog by name; the user's own file wins over one that ships with impasto."""
    found: dict[str, Listed] = {}
    for where in (_SHIPPED, place()):
        for path in sorted(where.glob("*.safetensors")):
            card = read_header(path)
            if card and card.get("network") != "compact":  # an encoder, which `impasto encoders` lists
                found[path.stem] = Listed(path.stem, path, card)
    return found


def find(name: str) -> tuple[Listed, str]:
    """Return the file of a name, and the style that the name stands for; "" for none in particular.

    Args:
        name: of a file, or of a style in one of them; if there is none, a hyphen counts as an underscore.

    Raises:
        UnknownName: there is no such file or style.
    """
    known = listed()
    for spelled in dict.fromkeys((name, name.replace("-", "_"))):
        if spelled in known and known[spelled].kind != "style_predictor":
            return known[spelled], ""
        for one in known.values():
            if spelled in one.styles:
                return one, spelled
    names = {name for name, one in known.items() if one.kind != "style_predictor"}
    raise unknown_name("a network or of a style", name, names.union(*(one.styles for one in known.values())))


def read_header(path: Path) -> dict[str, Any]:
    """Return the card that impasto wrote into a safetensors file's header, with new names; {} for other files."""
    try:
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = read_json(file.read(length)) if length <= _MAX_HEADER else {}
        return read_card(header.get("__metadata__", {}).get("impasto", "{}"))
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
