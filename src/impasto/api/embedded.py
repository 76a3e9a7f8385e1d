"""Settings embedded in results."""

from pathlib import Path
from typing import Any

from impasto.errors import ImageError
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.masks import mask_file

__all__ = ["RECORD_FORMAT", "embedded_record", "embedded_source"]

RECORD_FORMAT = 1  # raised when what is embedded in pictures changes its meaning


def embedded_record(picture: str | Path) -> dict[str, Any]:
    record = read_metadata(picture)
    if not record or record.get("operation") != "stylize":
        raise ImageError(f"{picture} does not carry the settings of a run; expected a picture made by impasto stylize.")
    if record["format"] > RECORD_FORMAT:
        raise ImageError(
            f"{picture} was made by impasto {record['version']}, which is newer; upgrade impasto to repeat it."
        )
    return record


def embedded_source(origin: dict[str, str], what: str, picture: str | Path) -> str:
    """Return the file or name that a picture was made from, if it still is what it was."""
    source = origin["source"]
    if not source:
        raise ImageError(f"the {what} of {picture} came from memory; name a file for it.")
    path = Path(mask_file(source)) if what == "mask" else Path(source)
    if path.exists() and load_picture(path).digest != origin["sha256"]:
        raise ImageError(f"{path} has changed since {picture} was made; put it back, or name the {what} to use.")
    return source
