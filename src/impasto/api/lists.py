"""Lists of trained models and of training methods."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from impasto.checkpoints import catalog
from impasto.errors import unknown_name
from impasto.recipes import METHODS, as_method
from impasto.training.method import Method

__all__ = ["Listing", "list_methods", "list_models"]


@dataclass(frozen=True)
class Listing(Sequence[str]):
    """A sequence of names, with facts about each; a notebook shows it as a table.

    Attributes:
        headings: of the columns; the first column holds the names.
        rows: one for each name; all cells are text.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __getitem__(self, index: Any) -> Any:
        found = self.rows[index]
        return [row[0] for row in found] if isinstance(index, slice) else found[0]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return repr([row[0] for row in self.rows])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(heading)}</th>" for heading in self.headings)
        lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows)
        return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def list_models(kind: str | None = None) -> Listing:
    """Return the models and named styles that `load` and `apply` know by name.

    Args:
        kind: "painter", "style", "predictor", "autoencoder", "vae", "generator", "resnet" or "unet"; None: all.

    Raises:
        UnknownName: there is no model of this kind.
    """
    rows = tuple(_model_rows())
    if kind is None:
        return Listing(("name", "kind", "size", "license", "from"), rows)
    if kind not in {row[1] for row in rows}:
        raise unknown_name("a kind of model in the catalog", kind, {row[1] for row in rows})
    return Listing(("name", "kind", "size", "license", "from"), tuple(row for row in rows if row[1] == kind))


def _model_rows() -> Iterator[tuple[str, ...]]:
    for one in catalog.listed().values():
        license, source = (str(one.card.get(key, "")) for key in ("license", "source"))
        yield one.name, one.kind, f"{one.path.stat().st_size / 1e3:.0f} kB", license, source
        yield from ((style, f"in {one.name}", "", "", work) for style, work in one.styles.items())


def list_methods() -> Listing:
    """Return the training methods that `train` knows by name, with their data roles; other packages may add some."""
    methods: list[Method] = [as_method(METHODS.get(name)) for name in METHODS.names()]
    rows = tuple((one.name, one.summary, _roles(one), ", ".join(one.presets)) for one in methods)
    return Listing(("name", "trains", "data", "presets"), rows)


def _roles(method: Method) -> str:
    return ", ".join(one.name if one.required else f"[{one.name}]" for one in method.inputs)
