"""Paths of files: checks, atomic writes, listing of folders."""

import errno
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from PIL import Image

from impasto.errors import FileExists, ImageError, ImpastoError, SavedElsewhere
from impasto.io.formats import HEIC, READABLE, WRITABLE, left_out_because, reads_heic
from impasto.io.naming import called, listed_words, printable, reason_of

__all__ = [
    "check_folder",
    "check_name",
    "check_place",
    "clean_drafts",
    "draft_file",
    "find_pictures",
    "hold",
    "is_draft",
    "is_picture",
    "left_out",
    "lock",
    "moved_draft",
    "put_file",
]

_DRAFT: Final = re.compile(r"\.impasto-[0-9a-f]{16}\.tmp")  # names of drafts
_LEAST: Final = 1 << 16  # bytes that a place must take before any work
_SOME: Final = 5  # files that a sentence names
_NO_FILE: Final = "is a pipe or a device"
_LONG: Final = 200  # bytes of a name that may not fit everywhere


def check_place(path: str | os.PathLike[str], force: bool = False) -> None:
    """Check, before any work, that a file can be written to a path: some bytes are written beside it and deleted.

    Folders that are not there are made when the file is written, by `draft_file`; the nearest one that is there is
    tried. Drafts of killed processes are deleted there.

    Raises:
        ImageError: the path is a folder or a device, a folder of it is a file, or nothing can be written there.
        FileExists: the file exists, and `force` is off.
    """
    check_name(path, force)
    path = Path(path)
    with _writing(path):
        _try(path.parent)


def check_name(path: str | os.PathLike[str], force: bool = False) -> None:
    """Do what `check_place` does without writing anything, for files that are written at once.

    Raises:
        ImageError: the path is a folder or a device, its name is too long, or a folder of it is a file.
        FileExists: the file exists, and `force` is off.
    """
    path = Path(path)
    with _writing(path):
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()
        if path.is_dir():
            raise ImageError(f"{called(path)} is a folder; expected the name of a file to write.")
        folder = _nearest(path.parent)
        if not folder.is_dir():
            what = "is a file" if folder.is_file() else _NO_FILE
            raise ImageError(f"{printable(str(path))} cannot be written: {called(folder)} {what}; expected a folder.")
        if path.exists() and not path.is_file():
            raise ImageError(f"{called(path)} {_NO_FILE}; expected the name of a file to write, or - for a pipe.")
        if not force and os.path.lexists(path):
            raise already_exists(path)


def check_folder(folder: Path) -> None:
    """Check, before any work, that files can be written into a folder, as `check_place` does.

    Raises:
        ImageError: nothing can be written there.
    """
    with _writing(folder):
        _try(folder)


def _try(folder: Path) -> None:
    draft = _Draft(_nearest(folder))
    try:
        os.write(draft.descriptor, bytes(_LEAST))
    finally:
        draft.close()
    clean_drafts(folder)


def _made(folder: Path) -> Path:
    """Make a folder if it is not there, and return it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    return folder


def _nearest(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def already_exists(path: Path) -> FileExists:
    """Return the error for a file that would be overwritten."""
    return FileExists(f"{called(path)} exists already; pass --force to overwrite it, or -o for another name.")


class _Draft:
    """A new file in a folder, which its process holds locked; `clean_drafts` deletes those that nobody holds.

    Attributes:
        path: of the file.
        descriptor: of the open file, which can still be read when the folder is gone.
    """

    def __init__(self, folder: Path) -> None:
        while True:
            self.path = folder / f".impasto-{secrets.token_hex(8)}.tmp"
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            ours = True
            if os.name != "nt":  # where an open file cannot be deleted, nor a locked one be written by others
                with suppress(OSError):  # a file system without locks
                    ours = lock(self.descriptor)
            if ours and self.path.exists():  # nobody cleaned between the two
                return
            os.close(self.descriptor)

    def move(self, path: Path, force: bool) -> None:
        """Give the file its name, in one moment."""
        if os.name == "nt":  # an open file cannot be moved there
            self._close()
        if path.exists() and not path.is_file():
            raise FileExistsError
        if force:
            os.replace(self.path, path)
            return
        try:
            os.link(self.path, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: create the file first
            open(path, "xb").close()
            os.replace(self.path, path)

    def close(self) -> None:
        """Delete what is left of it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self._close()
        with suppress(OSError):  # on Windows only now
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def is_draft(name: str) -> bool:
    """Return whether a file of that name is a draft."""
    return _DRAFT.fullmatch(name) is not None


def clean_drafts(folder: Path) -> None:
    """Delete the drafts in a folder whose processes were killed."""
    with suppress(OSError):
        for path in [Path(entry) for entry in os.scandir(folder) if is_draft(entry.name)]:
            with suppress(OSError):
                if os.name == "nt":  # it stays there while it is open
                    path.unlink()
                    continue
                descriptor = os.open(path, os.O_RDWR)
                try:
                    if lock(descriptor):
                        path.unlink()
                finally:
                    os.close(descriptor)


def lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False if another process holds it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def hold(path: Path) -> int | None:
    """Make a file, if it is not there, and lock it.

    Returns:
        Its descriptor, which holds the lock until it is closed; None if another process holds it.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = lock(descriptor)
        except OSError:  # a file system without locks
            return descriptor
        with suppress(FileNotFoundError):
            if free and os.path.samestat(os.fstat(descriptor), path.stat()):  # nobody has deleted it meanwhile
                return descriptor
        os.close(descriptor)
        if not free:
            return None


@contextmanager
def moved_draft(path: Path) -> Iterator[Path]:
    """Yield the path of an empty draft beside `path`, and at the end move it there, whatever was there before.

    The folder is made if it is not there. After an error the draft is deleted, and `path` is unchanged.

    Raises:
        OSError: the draft cannot be made or moved.
    """
    draft = _Draft(_made(path.parent))
    try:
        yield draft.path
        draft.move(path, True)
    finally:
        draft.close()


@contextmanager
def draft_file(path: Path, force: bool = False) -> Iterator[Path]:
    """Yield the path of an empty draft beside `path`, and at the end move the result to `path` atomically.

    The folder is made if it is not there. After an error the draft is deleted, and `path` is unchanged. If the result
    cannot be moved to `path`, it is saved elsewhere.

    Raises:
        ImageError: the draft cannot be made.
        SavedElsewhere: its folder is gone, or `path` was created meanwhile and `force` is off.
    """
    with _writing(path):
        draft = _Draft(_made(path.parent))
    try:
        yield draft.path
        try:
            draft.move(path, force)
        except OSError as error:
            is_open = draft.descriptor >= 0
            with open(draft.descriptor if is_open else draft.path, "rb", closefd=not is_open) as whole:
                whole.seek(0)
                _save_elsewhere(path, error, partial(shutil.copyfileobj, whole))
    finally:
        draft.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except ImpastoError:
        raise
    except OSError as error:
        reason = f"cannot be written ({reason_of(error)}); choose another path."
        raise ImageError(f"{called(path)} {reason}") from error


def put_file(path: Path, data: bytes, force: bool, *, safe: bool = False) -> None:
    """Write a file atomically.

    Args:
        path: the file; its folder is made if it is not there.
        data: its bytes.
        force: whether it may exist already.
        safe: save it elsewhere if this fails.

    Raises:
        SavedElsewhere: it was saved elsewhere.
        FileExists: it exists, `force` is off, and `safe` too.
        ImageError: it cannot be written anywhere.
    """
    try:
        draft = _Draft(_made(path.parent))
        try:
            draft.path.write_bytes(data)
            draft.move(path, force)
        finally:
            draft.close()
    except OSError as error:
        if safe:
            _save_elsewhere(path, error, lambda file: file.write(data))
        if isinstance(error, FileExistsError):
            raise already_exists(path) from None
        with _writing(path):
            raise


def _save_elsewhere(path: Path, error: OSError, write: Callable[[BinaryIO], object]) -> NoReturn:
    """Save a result beside its place or, if that is gone, in the working directory, at home or among temporary files.

    Raises:
        SavedElsewhere: it was saved.
        ImageError: it could not be saved.
    """
    why = "exists by now" if isinstance(error, FileExistsError) else f"cannot be written ({reason_of(error)})"
    stem = path.stem if len(os.fsencode(path.name)) < _LONG else "result"
    folders = [path.parent]
    for find in (Path.cwd, Path.home, tempfile.gettempdir):
        with suppress(OSError, RuntimeError):  # it is gone, or there is no home
            folders.append(Path(find()))
    for folder in folders:
        with suppress(OSError):
            place = folder / f"{stem}-{secrets.token_hex(4)}{path.suffix}"
            try:
                with open(place, "xb") as file:
                    write(file)
            except OSError:
                place.unlink(missing_ok=True)
                raise
            raise SavedElsewhere(f"{called(path)} {why}; the result is saved as {printable(str(place))}.", place)
    raise ImageError(f"{called(path)} {why}, nor in any other folder; the result is lost.") from error


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
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in READABLE}
    return known | {".mpo"} | (set(HEIC) if reads_heic() else set())


def _pictures_in(folder: Path, deep: bool) -> list[Path]:
    known = _suffixes()
    found = [path for path in _files_in(folder, deep) if path.suffix.lower() in known and path.is_file()]
    if not found:
        expected = f"expected {listed_words(WRITABLE.values())} files."
        others = " ".join(f"{sentence}." for sentence in left_out(folder, deep=deep))
        raise ImageError(f"The folder {called(folder)} holds no picture; {expected} {others}".rstrip())
    return found


def _files_in(folder: Path, deep: bool) -> Iterator[Path]:
    """Yield the files in a folder that are not hidden, sorted by name."""
    for parent, folders, names in os.walk(folder, onerror=_cannot_list):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def left_out(data: object, *, deep: bool = False) -> list[str]:
    """Return sentences, without full stops, that name files in folders which look like pictures and are not read.

    Args:
        data: a path, or several as a list or by role; nothing is said of files and of data in memory.
        deep: whether subfolders are searched, as by `find_pictures`.

    Raises:
        ImageError: a folder cannot be read.
    """
    known, by_reason = _suffixes(), dict[str, list[str]]()
    parts = data.values() if isinstance(data, Mapping) else data if isinstance(data, list | tuple) else [data]
    for folder in (Path(part) for part in parts if isinstance(part, str | os.PathLike) and part):
        for path in _files_in(folder, deep) if folder.is_dir() else ():
            suffix = path.suffix.lower()
            why = None if suffix in known else left_out_because(suffix)
            if suffix in known and not path.is_file():
                why = "there are no files behind their names"
            if why:
                by_reason.setdefault(why, []).append(called(path))
    return [_named(names, why) for why, names in by_reason.items()]


def _named(names: list[str], why: str) -> str:
    some = ", ".join(names[:_SOME]) + (", …" if len(names) > _SOME else "")
    return f"{len(names)} {'file is' if len(names) == 1 else 'files are'} left out ({some}): {why}"


def _cannot_list(error: OSError) -> None:
    folder = called(Path(str(error.filename)))
    if isinstance(error, PermissionError):
        raise ImageError(f"The folder {folder} may not be read; allow it in its permissions.") from None
    raise ImageError(f"The folder {folder} cannot be read ({reason_of(error)}); check it.") from None
