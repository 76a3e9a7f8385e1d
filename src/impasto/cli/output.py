"""What commands say: events, lists, notes and errors, each of which is one sentence."""

import json
import traceback
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from impasto.cli.command import resuming
from impasto.cli.flags import OUTPUT
from impasto.cli.terminal import (
    Terminal,
    is_stdout,
    one_line,
    say,
    stdout_file,
    stdout_wanted,
    write_bytes,
    write_out,
    write_table,
)
from impasto.errors import CheckpointError, FileExists, ImageError, ImpastoError, OptionError, Unfinished, UnknownName

if TYPE_CHECKING:
    from impasto.cli.progress import Report

__all__ = [
    "BAD_USAGE",
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "Force",
    "Output",
    "PictureOutput",
    "Talk",
    "complain",
    "write_list",
    "write_note",
]

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
_BAD_USAGE = (CycloptsError, OptionError, UnknownName, ImageError, FileExists, CheckpointError)


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class Talk:
    """How much is written, and in which form.

    Attributes:
        json: write events or results as JSON on stdout, and nothing else
        quiet: write errors only
        debug: write the traceback of an error
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False

    def report(self) -> "AbstractContextManager[Report]":
        """Return a function that reports events to people or programs."""
        if self.json and stdout_wanted():
            raise OptionError("--json and --output - both write to stdout; leave out one of them.")
        from impasto.cli.progress import report_bar, report_json, report_lines, report_nothing

        if self.json:
            return report_json()
        if self.quiet:
            return report_nothing()
        console = Terminal(stderr=True)
        return report_bar(console) if console.is_terminal and not console.is_dumb_terminal else report_lines()

    def notes(self, sentences: Iterable[str]) -> None:
        """Report what a person should know before a run begins."""
        from impasto.events import Note

        with self.report() as report:
            for sentence in sentences:
                report(Note(sentence))

    def results(self, paths: Sequence[Path]) -> None:
        """Write the paths of results, one a line; or the result itself, if it goes to stdout."""
        for path in () if self.json else paths:
            if is_stdout(path):
                write_bytes(path.read_bytes())
            else:
                write_out(f"{path}\n")


Output = Annotated[Path | None, Parameter(name=["--output", "-o"], group=OUTPUT)]
PictureOutput = Annotated[  # `-` is stdout
    Path | None,
    Parameter(name=["--output", "-o"], group=OUTPUT, converter=lambda _, tokens: stdout_file(tokens[0].value)),
]
Force = Annotated[bool, Parameter(group=OUTPUT)]


def write_note(text: str, talk: Talk) -> None:
    """Write a line to stderr, unless only errors or JSON are asked for."""
    if not talk.quiet and not talk.json:
        say(f"impasto: {text}")


def write_list(headings: Sequence[str], rows: Sequence[Sequence[str]], talk: Talk) -> None:
    """Write rows for people or, as JSON, for programs."""
    if talk.json:
        write_out(json.dumps([dict(zip(headings, row, strict=True)) for row in rows]) + "\n")
    else:
        write_table(headings, rows)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, ImpastoError):
        return f"{error.filename or 'a file'} cannot be used: {error.strerror or error}."
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate memory" in str(error):
        return "there is not enough memory for this; a smaller --size, or in training --batch, needs less."
    if isinstance(error, CycloptsError):
        return _usage_sentence(error)
    if isinstance(error, Unfinished):
        return f"{str(error).rstrip('.')}: {resuming()}"
    if isinstance(error, ImpastoError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def _usage_sentence(error: CycloptsError) -> str:
    """Return what is wrong with the words of a command."""
    command = " ".join(error.command_chain or ())
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"{error.unused_tokens[0]!r} is one word too many; see impasto {command} --help."
    name = error.argument.name if isinstance(error, MissingArgumentError) and error.argument else "--"
    return str(error) if name.startswith("-") else f"{command} needs {name}; see impasto {command} --help."


def complain(error: BaseException, debug: bool) -> int:
    """Write an error as one sentence; return the exit code."""
    if debug:
        traceback.print_exception(error)
    say(f"impasto: {one_line(_sentence(error))}")
    return BAD_USAGE if isinstance(error, _BAD_USAGE) else FAILED
