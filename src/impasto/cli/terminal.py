"""The terminal: the one place that writes to stdout and stderr, whatever they can hold, also when they are closed."""

import io
import os
import select
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.table import Table

__all__ = ["Terminal", "say", "stdout_error", "streams", "write_bytes", "write_out", "write_table"]

_NARROW, _WIDE = 20, 1000  # columns; tables have the latter where there is no terminal


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
    """Return a text stream to the same place that never fails: letters it cannot hold become question marks."""
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
        yield


def stdout_error() -> OSError | None:
    """Return why stdout takes no more, or None."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Lasting) else None


def write_out(text: str) -> None:
    """Write a result to stdout; names of files keep their bytes."""
    write_bytes(os.fsencode(text))


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout."""
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.buffer.write(data)
    else:
        sys.stdout.write(data.decode(errors="replace"))
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a line to stderr; stdout is for results only."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


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
        table.add_row(*row)
    Terminal(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False).print(table)
