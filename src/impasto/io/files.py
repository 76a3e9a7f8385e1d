"""Paths of files: checks, atomic writes, listing of folders."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from impasto.errors import FileExists, ImageError
from impasto.io.formats import READABLE, WRITABLE
from impasto.io.naming import called, listed_words, printable, reason_of

__all__ = ["check_place", "draft_file", "find_pictures", "is_picture", "put_file"]


def check_place(path: str | os.PathLike[str], force: bool = False) -> None:
    """Check that a file can be written to a path; as `check_target`, but for any suffix.

    Folders that are not there are made when the file is written, by `draft_file`.

    Raises:
        ImageError: the path is a folder, or a folder of it is a file.
        FileExists: the file exists, and `force` is off.
    """
    path = Path(path)
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        raise ImageError(f"{printable(str(path))} cannot be written: {called(folder)} is a file; expected a folder.")
    if path.is_dir():
        raise ImageError(f"{called(path)} is a folder; expected the name of a file to write.")
    if not force and os.path.lexists(path):
        raise already_exists(path)


def already_exists(path: Path) -> FileExists:
    """Return the error for a file that would be overwritten."""
    return FileExists(f"{called(path)} exists already; pass --force to overwrite it, or -o for another name.")


@contextmanager
def draft_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and at the end move the file to `path` atomically.

    The folder is made if it is not there. After an error the temporary file is deleted, and `path` is unchanged.

    Raises:
        FileExists: `path` was created meanwhile, and `force` is off.
        ImageError: the folder cannot be made, or the file cannot be moved there.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield beside
        with _writing(path):
            if force:
                os.replace(beside, path)
            else:
                _link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise already_exists(path) from None
    except OSError as error:
        reason = f"cannot be written ({reason_of(error)}); choose another path."
        raise ImageError(f"{called(path)} {reason}") from error


def put_file(path: Path, data: bytes, force: bool) -> None:
    """Write a file atomically; see `draft_file`."""
    with draft_file(path, force) as beside, _writing(path), open(beside, "xb") as file:
        file.write(data)


def _link(beside: Path, path: Path) -> None:
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: create the file first
        open(path, "xb").close()
        os.replace(beside, path)


def find_pictures(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, deep: bool = False
) -> list[Path]:
    """Return picture files: given files, and the pictures of given folders, sorted by name.

    Args:
        paths: files and folders.
        deep: whether to search subfolders, except hidden and linked ones.

    Raises:
        ImageError: a path does not exist, or a folder holds no picture.
    """
    found = []
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        found += _pictures_in(path, deep) if path.is_dir() else [path]
        if not path.exists():
            raise ImageError(f"{called(path)} does not exist; expected a picture or a folder of them. Check the path.")
    return found


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a file whose suffix is that of a picture."""
    return Path(path).suffix.lower() in _suffixes() and Path(path).is_file()


def _suffixes() -> set[str]:
    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in READABLE}


def _pictures_in(folder: Path, deep: bool) -> list[Path]:
    known = _suffixes()
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_cannot_list):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        entries = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        found += (path for path in entries if path.suffix.lower() in known and path.is_file())
    if not found:
        expected = listed_words(WRITABLE.values())
        raise ImageError(f"The folder {called(folder)} holds no picture; expected {expected} files.")
    return found


def _cannot_list(error: OSError) -> None:
    folder = called(Path(str(error.filename)))
    if isinstance(error, PermissionError):
        raise ImageError(f"The folder {folder} may not be read; allow it in its permissions.") from None
    raise ImageError(f"The folder {folder} cannot be read ({reason_of(error)}); check it.") from None
