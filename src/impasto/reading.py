"""Reading of files that a user names: regular files only, and JSON of a bounded depth."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError

__all__ = ["as_one_error", "check_regular", "open_regular", "read_json", "read_json_file"]

_DEPTH = 100  # of nested lists and objects; ours have less than 10
_MAX_JSON = 1 << 26  # bytes
_KINDS = {
    stat.S_IFIFO: "it is a named pipe; pipe its data into `impasto` and name it -",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
    stat.S_IFSOCK: "it is a socket",
}


def check_regular(path: str | os.PathLike[str]) -> None:
    """Check that a path is a regular file, or a link to one: reading a pipe or a device may never end.

    Raises:
        OSError: it does not exist, or is something else; `strerror` says what.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, _KINDS.get(stat.S_IFMT(mode), "it is no regular file"), os.fspath(path))


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading; see `check_regular`."""
    check_regular(path)
    return open(path, "rb")


def read_json_file(path: Path) -> Any:
    """Return what a JSON file holds; see `read_json`.

    Raises:
        OSError: it is no regular file, or may not be read.
        ValueError: it is no JSON, nested too deeply, or too large.
    """
    with open_regular(path) as file:
        data = file.read(_MAX_JSON + 1)
    if len(data) > _MAX_JSON:
        raise ValueError(f"it has more than {_MAX_JSON >> 20} MB")
    return read_json(data.decode(errors="replace"))


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON, or lists and objects are nested more than 100 deep.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(_DEPTH):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    if level:
        raise ValueError(f"it is nested more than {_DEPTH} deep")
    return value


@contextmanager
def as_one_error(error: ImpastoError) -> Iterator[None]:
    """Raise `error` for whatever values of a file raise that have a wrong type, are missing, or do not fit.

    An `ImpastoError` and a lack of memory pass.
    """
    try:
        yield
    except ImpastoError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as cause:
        raise error from cause
    except RuntimeError as cause:
        if "memory" in str(cause):
            raise
        raise error from cause
