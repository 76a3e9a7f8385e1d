"""The terminal: only this module writes to stdout and stderr, whatever they can hold, also when they are closed."""

import io
import os
import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleDimensions
from rich.table import Table

if TYPE_CHECKING:
    from impasto.io.picture import Picture

__all__ = [
    "STDIN",
    "STDOUT",
    "Terminal",
    "is_stdout",
    "one_line",
    "say",
    "stdin_picture",
    "stdout_error",
    "stdout_file",
    "stdout_wanted",
    "streams",
    "with_standard",
    "write_bytes",
    "write_out",
    "write_table",
]

STDIN, STDOUT = "/dev/stdin", "/dev/stdout"  # what `-` stands for, on every system

_NARROW, _WIDE = 20, 1000  # columns; tables have the latter where there is no terminal
_INPUT, _OUTPUT = "standard input", "standard output.png"


class _Lasting(io.RawIOBase):
    """A stream that takes every byte: after the first error of the real one, the rest is dropped.

    Attributes:
        error: the first error of the real stream.
    """

    def __init__(self, real: Any) -> None:
        self.error: OSError | None = None
        self._real = real

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        with suppress(OSError, ValueError):
            return bool(self._real.isatty())
        return False

    def fileno(self) -> int:
        return int(self._real.fileno())

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                while (written := self._real.write(data)) is None:  # a full pipe that does not block
                    select.select([], [self._real], [])
            except (OSError, ValueError) as error:
                self.error = error if isinstance(error, OSError) else OSError(str(error))
            else:
                return int(written)
        return memoryview(data).nbytes


def _lasting(stream: Any) -> Any:
    """Return a text stream onto another one that never fails: letters it cannot hold become question marks."""
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        return stream  # in memory
    with suppress(OSError, ValueError):
        stream.flush()
    raw = _Lasting(getattr(buffer, "raw", buffer))
    wrapped = io.BufferedWriter(raw)
    errors = "backslashreplace" if stream.errors == "backslashreplace" else "replace"
    return io.TextIOWrapper(wrapped, encoding=stream.encoding, errors=errors, line_buffering=stream.line_buffering)


@contextmanager
def streams() -> Iterator[None]:
    """Let stdout and stderr take everything, while a command runs: a result is never lost because a reader is."""
    for number in (0, 1, 2):  # a picture must not be opened as one of these
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    with ExitStack() as stack:
        for redirect, stream in ((redirect_stdout, sys.stdout), (redirect_stderr, sys.stderr)):
            nothing = stream is None  # closed before the program began
            lasting = stack.enter_context(open(os.devnull, "w", encoding="utf-8")) if nothing else _lasting(stream)
            stack.enter_context(redirect(lasting))
            stack.callback(lasting.flush)
        stack.callback(_STANDARD.close)
        yield


def stdout_error() -> OSError | None:
    """Return why stdout takes no more, or None."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Lasting) else None


def write_out(text: str) -> None:
    """Write a result to stdout; names of files keep their bytes."""
    try:
        write_bytes(os.fsencode(text))
    except UnicodeEncodeError:  # lone surrogates, which no name of a file has
        write_bytes(text.encode(errors="replace"))


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout."""
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.buffer.write(data)
    else:
        sys.stdout.write(data.decode(errors="replace"))
    sys.stdout.flush()


class _Standard:
    """Standard input and output in place of files: `-` on the command line.

    Attributes:
        folder: holds the result that will go to stdout; None if none will.
        data: what standard input held; None before it is read.
    """

    folder: TemporaryDirectory[str] | None = None
    data: bytes | None = None

    def close(self) -> None:
        """Forget both, at the end of a command."""
        if self.folder is not None:
            self.folder.cleanup()
        self.folder = self.data = None


_STANDARD = _Standard()


def stdin_picture() -> "Picture":
    """Return the picture in standard input, which is read once.

    Raises:
        ImageError: it is no picture.
    """
    from impasto.errors import ImageError
    from impasto.io.decode import load_bytes, read_stream

    if sys.stdin is None:
        raise ImageError(f"{_INPUT} is closed; expected a picture, as of `impasto apply NAME - < photo.jpg`.")
    if _STANDARD.data is None:
        _STANDARD.data = read_stream(sys.stdin.buffer, _INPUT)
    return load_bytes(_STANDARD.data, _INPUT)


def stdout_file(name: str) -> Path:
    """Return the file of a result; for stdout a PNG in a folder for a while."""
    if name != STDOUT:
        return Path(name)
    _STANDARD.folder = _STANDARD.folder or TemporaryDirectory(prefix="impasto-")
    return Path(_STANDARD.folder.name, _OUTPUT)


def with_standard(words: Sequence[str]) -> list[str]:
    """Return the words of a command with `-` written out: stdout after --output, elsewhere standard input."""
    flags = ("-o", "--output")
    written = []
    for before, word in zip(("", *words), words, strict=False):
        if word == "-":
            word = STDOUT if before in flags else STDIN
        written.append(f"{word[:-1]}{STDOUT}" if word in [f"{flag}=-" for flag in flags] else word)
    return written


def stdout_wanted() -> bool:
    """Return whether a result goes to stdout."""
    return _STANDARD.folder is not None


def is_stdout(path: Path | None) -> bool:
    """Return whether a file of `stdout_file` stands for stdout."""
    return path is not None and _STANDARD.folder is not None and path.parent == Path(_STANDARD.folder.name)


def say(text: str) -> None:
    """Write a line to stderr; stdout is for results only."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def one_line(text: str) -> str:
    """Return a text with a blank for what would move the cursor or change the terminal, as names of files can."""
    return "".join(letter if letter.isprintable() or "\udc80" <= letter <= "\udcff" else " " for letter in text)


class Terminal(Console):
    """A console of 20 to 1000 columns, whatever the terminal or `COLUMNS` says: help cannot be laid out in fewer."""

    def __init__(self, *, stderr: bool = False, **more: Any) -> None:
        plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        super().__init__(stderr=stderr, _environ=plain, **more)

    @property  # type: ignore[misc]
    def size(self) -> ConsoleDimensions:
        """Columns and lines; those of `COLUMNS`, if it is a number above 0."""
        width, height = super().size
        with suppress(KeyError, ValueError):
            width = self._width or int(os.environ["COLUMNS"]) or width
        return ConsoleDimensions(min(max(width, _NARROW), _WIDE), height)


def write_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table that fits the terminal, or one line per row where there is none."""
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(one_line, row))
    Terminal(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False).print(table)
