"""Settings embedded in results of `stylize` and `apply`, from which a run can be repeated.

A picture may come from a stranger. So its settings are checked as any input, of the files that they name only those are
opened whose digest they carry, and nothing is downloaded for them.
"""

import os
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from impasto.checkpoints.card import first_fault
from impasto.checkpoints.files import MODEL
from impasto.checkpoints.weights import SPECS, is_here, sha256
from impasto.data.style_names import style_parts
from impasto.errors import ImageError
from impasto.io.embedded import read_metadata
from impasto.io.masks import mask_file
from impasto.io.picture import Picture
from impasto.io.tensors import Source
from impasto.options import Options

__all__ = [
    "RECORD_FORMAT",
    "check_digest",
    "check_embedded_files",
    "embedded_keep",
    "embedded_record",
    "embedded_regions",
    "embedded_source",
    "embedded_styles",
    "file_digest",
    "mask_origin",
    "new_record",
    "picture_origin",
]

RECORD_FORMAT = 1  # incremented when the embedded settings change their meaning
_FILES = ("init_image", "encoder", "polish_encoder")  # options that may name a file
_MAX_BYTES = 1 << 33  # of a file that is compared


def new_record(operation: str, options: Options) -> dict[str, Any]:
    """Return the first entries of the settings of a result: version, operation, options, digests of their files."""
    given = options.model_dump(mode="json")
    digests = {name: digest for name in _FILES if (digest := file_digest(given.get(name) or ""))}
    return {
        "format": RECORD_FORMAT,
        "version": version("impasto"),
        "operation": operation,
        "options": given,
        **({"files": digests} if digests else {}),
    }


def file_digest(source: str) -> str:
    """Return the SHA-256 of a file, or of the model in the folder of a training; "" if there is no such file."""
    path = Path(source).expanduser()
    path = path / MODEL if path.is_dir() else path
    return sha256(path) if source and path.is_file() and path.stat().st_size <= _MAX_BYTES else ""


def picture_origin(source: Source, picture: Picture) -> dict[str, str]:
    """Return where a picture is, and the hash of its file; "" for one in memory."""
    where = str(source) if isinstance(source, str | Path) else ""
    return {"source": where, "sha256": picture.digest}


def mask_origin(source: Source) -> dict[str, str]:
    """Return where a mask is, and the hash of its file."""
    if not isinstance(source, str | Path):
        return {"source": "", "sha256": ""}
    return {"source": str(source), "sha256": file_digest(mask_file(str(source)))}


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Origin(_Part):
    source: str = ""
    sha256: str = ""
    name: str = ""


class _Region(_Part):
    mask: _Origin
    styles: list[_Origin]
    weights: list[float] | None = None


class _Record(_Part):
    format: int
    version: str = "an unknown version"
    operation: Literal["stylize", "apply"]
    options: dict[str, Any]
    content: _Origin = _Origin()
    styles: list[_Origin] = []
    regions: list[_Region] = []
    keep: _Origin | None = None
    model: _Origin | None = None
    files: dict[str, str] = {}


def embedded_record(picture: str | Path) -> dict[str, Any]:
    """Return the settings that a result of `stylize` or `apply` carries.

    Raises:
        ImageError: there are none, they are of a newer version, or an entry has a wrong type.
    """
    record = read_metadata(picture)
    if not record or record.get("operation") not in ("stylize", "apply"):
        raise ImageError(
            f"{picture} does not carry the settings of a run; expected a result of `impasto stylize` or `apply`."
        )
    try:
        checked = _Record.model_validate(record)
    except ValidationError as error:
        raise ImageError(f"{picture} carries damaged settings: {first_fault(error)}; paint it anew.") from None
    if checked.format > RECORD_FORMAT:
        raise ImageError(
            f"{picture} was written by impasto {checked.version}, which is newer; upgrade impasto to repeat it."
        )
    if checked.operation == "apply" and (checked.model is None or not (checked.model.source or checked.model.name)):
        raise ImageError(f"{picture} carries damaged settings: model is missing; paint it anew.")
    return {**record, "content": checked.content.model_dump(), "files": checked.files}


def embedded_source(origin: dict[str, str], what: str, picture: str | Path) -> str:
    """Return the file or name of a source of a result. Of a file only the digest is computed.

    Raises:
        ImageError: the source was not a file, the file has changed, or the settings carry no digest of it.
    """
    source = origin.get("source", "")
    if not source:
        raise ImageError(f"the {what} of {picture} was not a file; name a file for it.")
    check_digest(mask_file(source) if what == "mask" else source, origin.get("sha256", ""), what, picture)
    return source


def check_digest(source: str, digest: str, what: str, picture: str | Path) -> None:
    """Refuse an existing file that the settings of a picture name, if its digest is another one or unknown.

    Raises:
        ImageError: that is so.
    """
    named = {"mask": "", "model": ", or use `impasto apply`"}.get(what, f", or name the {what} to use")
    if not os.path.lexists(os.path.expanduser(source)):  # a name, or a file that is gone, which is said later
        return
    if not digest:
        raise ImageError(f"{picture} names the {what} {source} without its digest, so it is not opened{named}.")
    if file_digest(source) != digest:
        raise ImageError(f"{source} has changed since {picture} was written; restore it{named}.")


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
    """Return (mask, styles) of the regions of a result, styles with their weights if they have some.

    Raises:
        ImageError: as for `embedded_source`; or there are more or fewer weights than styles.
    """
    return [
        (embedded_source(part["mask"], "mask", picture), _mixture(part, picture)) for part in record.get("regions", ())
    ]


def _mixture(part: dict[str, Any], picture: str | Path) -> Any:
    styles = [embedded_source(origin, "style", picture) for origin in part["styles"]]
    weights = part.get("weights")
    if weights is not None and len(weights) != len(styles):
        raise ImageError(f"{picture} carries damaged settings: a region has other weights than styles; paint it anew.")
    return styles if weights is None else dict(zip(styles, weights, strict=True))


def embedded_keep(record: dict[str, Any], picture: str | Path) -> str | None:
    """Return the mask of what a result leaves unchanged; see `embedded_source`."""
    return embedded_source(record["keep"], "mask", picture) if record.get("keep") else None


def check_embedded_files(record: dict[str, Any], picture: str | Path, given: Iterable[str] = ()) -> None:
    """Check the options of a record that name files and networks.

    Args:
        record: from `embedded_record`.
        picture: that carries it, for errors.
        given: names of options that the user gives, which are not checked.

    Raises:
        ImageError: a file has changed, the settings carry no digest of it, or a network would have to be downloaded.
    """
    options, files = record["options"], record["files"]
    wanted = [name for name in _FILES if name not in given and options.get(name)]
    for name in wanted:
        source, what = str(options[name]), name.replace("_", " ")
        if name != "init_image" and source in SPECS:
            if not is_here(SPECS[source]) and (name == "encoder" or options.get("polish", 1)):
                size = f"{SPECS[source].size / 1e6:.0f} MB"
                raise ImageError(
                    f"{picture} asks for the {what} {source}, which is not on this machine ({size} to download); pass "
                    f"--{name.replace('_', '-')} {source} to allow it, or name another one."
                )
        else:
            check_digest(source, files.get(name, ""), what, picture)
    if "style" not in given and isinstance(options.get("style"), str):
        known = {origin.get("source"): origin.get("sha256", "") for origin in record.get("styles", ())}
        for name, _ in style_parts(options["style"]):
            check_digest(name, known.get(name, ""), "style", picture)
