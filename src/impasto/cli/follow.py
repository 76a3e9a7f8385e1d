"""Follow a run to its end: report events, stop at Ctrl-C, process several files."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from impasto.cli.command import resuming
from impasto.cli.output import BAD_USAGE, DONE, FAILED, INTERRUPTED, Talk, complain, write_note
from impasto.cli.terminal import STDIN, is_stdout, stdin_picture
from impasto.errors import ImpastoError, OptionError, SavedElsewhere
from impasto.events import Event, Saved, Step

if TYPE_CHECKING:
    from impasto.cli.progress import Report

__all__ = ["do_each", "follow", "opened", "pictures_of", "targets_of"]


class _Stop:
    """Turns the first Ctrl-C or SIGTERM into a flag that is checked between steps; the second ends the process."""

    def __init__(self, quiet: bool) -> None:
        self.asked, self._quiet = False, quiet

    def __enter__(self) -> "_Stop":
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            if sys.stderr.isatty():
                _alert(b"\x1b[?25h")  # show the cursor, which the bar has hidden
            os._exit(INTERRUPTED)
        self.asked = True
        if not self._quiet:
            _alert(b"\nimpasto: saving after this step; Ctrl-C again ends at once\n")


def _alert(line: bytes) -> None:
    """Write to stderr from a signal handler: not through sys.stderr, which may be in the middle of writing."""
    with suppress(OSError):
        os.write(2, line)


def follow(events: Iterator[Event], talk: Talk, output: Path | None = None) -> None:
    """Report a run to its end, then the paths of its results.

    Args:
        events: the run.
        talk: how it is reported.
        output: the picture, or the folder of a training, that an interrupted run saves and `--resume` continues.

    Raises:
        KeyboardInterrupt: the run was interrupted, after saving.
    """
    results: list[Path] = []
    told = False  # of several processes that train together, only the first reports
    with _Stop(talk.quiet or talk.json) as stop, talk.report() as report:
        try:
            with closing(cast("Any", events)):  # a run that is closed early saves
                for event in events:
                    report(event)
                    told = True
                    if isinstance(event, Saved) and event.kind in ("result", "sheet"):
                        results.append(event.path)
                    if isinstance(event, Step) and stop.asked:
                        break
        except SavedElsewhere:
            talk.results(results)
            raise
        kept = _kept(output, report) if stop.asked and told and output is not None and not results else []
    talk.results(results + kept)
    if kept and not is_stdout(output):
        write_note(f"interrupted; to continue: {resuming()}", talk)
    if stop.asked:
        raise KeyboardInterrupt


def _kept(output: Path, report: "Report") -> list[Path]:
    """Report the files that an interrupted run has saved; return its picture or folder."""
    if output.is_dir():
        from impasto.checkpoints.files import CHECKPOINT

        report(Saved(output / CHECKPOINT, "checkpoint"))
        return [output]
    from impasto.api.stylize import checkpoint_path

    for path, kind in ((output, "result"), (checkpoint_path(output), "checkpoint")):
        if path.exists():
            report(Saved(path, kind))
    return [output] if output.exists() else []


def targets_of(
    contents: Sequence[Path], output: Path | None, batch: bool, named: Callable[[Path, Path], Path]
) -> list[Path]:
    """Return the path of each result; `named` chooses names for several pictures and for a folder.

    Raises:
        OptionError: `output` is a file although there are several results, or two results have the same path.
    """
    if output is not None and not batch and not output.is_dir() and output.suffix:
        return [output]
    if batch and is_stdout(output):
        raise OptionError("--output - takes one result; name a folder for those of several pictures.")
    if output is not None and batch and output.is_file():
        raise OptionError(f"{output} is a file; expected a folder for the results of several pictures.")
    targets = [named(content, output or Path()) for content in contents]
    for index, target in enumerate(targets):
        if target in targets[:index]:
            first = contents[targets.index(target)]
            raise OptionError(
                f"{first} and {contents[index]} would both be written to {target}; process them one by one."
            )
    return targets


def pictures_of(words: Sequence[str]) -> list[Path]:
    """Return the picture files of words, which name files, folders or standard input."""
    from impasto.io.files import find_pictures

    return [path for word in words for path in ([Path(word)] if word == STDIN else find_pictures(word))]


def opened(content: str | Path) -> Any:
    """Return a photograph or style as `stylize` and `apply` take it: the picture in standard input, or its name."""
    return stdin_picture() if str(content) == STDIN else content


def do_each(paint: Callable[[Path, Path], None], contents: Sequence[Path], targets: Sequence[Path], talk: Talk) -> int:
    """Process several pictures; an error in one does not stop the others."""
    codes = []
    for index, (content, target) in enumerate(zip(contents, targets, strict=True), start=1):
        write_note(f"{index} of {len(contents)}: {content}", talk)
        try:
            paint(content, target)
        except (ImpastoError, OSError) as error:
            codes.append(complain(error, talk.debug))
    if not codes:
        return DONE
    return BAD_USAGE if codes == [BAD_USAGE] * len(contents) else FAILED
