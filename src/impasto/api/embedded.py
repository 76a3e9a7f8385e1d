"""Settings embedded in stylized pictures, from which a run can be repeated."""

from pathlib import Path
from typing import Any

from impasto.errors import ImageError
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.masks import mask_file

__all__ = ["RECORD_FORMAT", "embedded_record", "embedded_source"]

RECORD_FORMAT = 1  # incremented when the embedded settings change their meaning


def embedded_record(picture: str | Path) -> dict[str, Any]:
    """Return the settings that a result of `stylize` carries.

    Raises:
        ImageError: there are none, or they are of a newer version.
    """
    record = read_metadata(picture)
    if not record or record.get("operation") != "stylize":
        raise ImageError(f"{picture} does not carry the settings of a run; expected a result of `impasto stylize`.")
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
    if path.exists() and load_picture(path).digest != origin["sha256"]:
        named = "" if what == "mask" else f", or name the {what} to use"
        raise ImageError(f"{path} has changed since {picture} was written; restore it{named}.")
    return source
