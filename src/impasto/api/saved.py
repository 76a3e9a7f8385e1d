"""Write the result of a verb to its place, or elsewhere if that is gone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import SavedElsewhere
from impasto.events import Saved
from impasto.io.encode import save_picture
from impasto.io.picture import Picture

__all__ = ["saved"]


def saved(path: Path, picture: Picture, kind: str = "result", **settings: Any) -> Iterator[Saved]:
    """Write a picture, and yield where it is; see `io.encode.save_picture`.

    Raises:
        SavedElsewhere: after the event with the other path.
    """
    try:
        save_picture(path, picture, safe=True, **settings)
    except SavedElsewhere as error:
        yield Saved(error.path, kind)
        raise
    yield Saved(path, kind)
