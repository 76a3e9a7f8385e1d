"""Settings embedded in results of `stylize` and `apply`, from which a run can be repeated."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from impasto.errors import ImageError
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.masks import mask_file
from impasto.io.picture import Picture
from impasto.io.tensors import Source
from impasto.options import Options

__all__ = [
    "RECORD_FORMAT",
    "embedded_keep",
    "embedded_record",
    "embedded_regions",
    "embedded_source",
    "embedded_styles",
    "mask_origin",
    "new_record",
    "picture_origin",
]

RECORD_FORMAT = 1  # incremented when the embedded settings change their meaning


def new_record(operation: str, options: Options) -> dict[str, Any]:
    """Return the first entries of the settings of a result: the version, the operation and its options."""
    return {
        "format": RECORD_FORMAT,
        "version": version("impasto"),
        "operation": operation,
        "options": options.model_dump(mode="json"),
    }


def picture_origin(source: Source, picture: Picture) -> dict[str, str]:
    """Return where a picture is, and the hash of its file; "" for one in memory."""
    where = str(source) if isinstance(source, str | Path) else ""
    return {"source": where, "sha256": picture.digest}


def mask_origin(source: Source) -> dict[str, str]:
    """Return where a mask is, and the hash of its file."""
    if not isinstance(source, str | Path):
        return {"source": "", "sha256": ""}
    path = Path(mask_file(str(source)))
    return {"source": str(source), "sha256": load_picture(path).digest if path.exists() else ""}


def embedded_record(picture: str | Path) -> dict[str, Any]:
    """Return the settings that a result of `stylize` or `apply` carries.

    Raises:
        ImageError: there are none, or they are of a newer version.
    """
    record = read_metadata(picture)
    if not record or record.get("operation") not in ("stylize", "apply"):
        raise ImageError(
            f"{picture} does not carry the settings of a run; expected a result of `impasto stylize` or `apply`."
        )
    if record["format"] > RECORD_FORMAT:
        raise ImageError(
            f"{picture} was written by impasto {record['version']}, which is newer; upgrade impasto to repeat it."
        )
    return record


def embedded_source(origin: dict[str, str], what: str, picture: str | Path) -> str:
    """Return the file or name of a source of a result.

    Raises:
        ImageError: the source was not a file, or the file has changed.
    """
    source = origin["source"]
    if not source:
        raise ImageError(f"the {what} of {picture} was not a file; name a file for it.")
    path = Path(mask_file(source)) if what == "mask" else Path(source)
    if origin["sha256"] and path.exists() and load_picture(path).digest != origin["sha256"]:
        named = "" if what == "mask" else f", or name the {what} to use"
        raise ImageError(f"{path} has changed since {picture} was written; restore it{named}.")
    return source


def embedded_styles(record: dict[str, Any], picture: str | Path) -> list[str]:
    """Return the files or names of the styles of a result.

    Raises:
        ImageError: it has none, one was not a file, or its file has changed.
    """
    origins = record.get("styles", ())
    if not origins:
        raise ImageError(f"{picture} does not say its style; name a file for it.")
    return [embedded_source(origin, "style", picture) for origin in origins]


def embedded_regions(record: dict[str, Any], picture: str | Path) -> list[tuple[str, Any]]:
    """Return (mask, styles) of the regions of a result, styles with their weights if they have some."""
    return [
        (embedded_source(part["mask"], "mask", picture), _mixture(part, picture)) for part in record.get("regions", ())
    ]


def _mixture(part: dict[str, Any], picture: str | Path) -> Any:
    styles = [embedded_source(origin, "style", picture) for origin in part["styles"]]
    return dict(zip(styles, part["weights"], strict=True)) if "weights" in part else styles


def embedded_keep(record: dict[str, Any], picture: str | Path) -> str | None:
    """Return the mask of what a result leaves unchanged; see `embedded_source`."""
    return embedded_source(record["keep"], "mask", picture) if "keep" in record else None
