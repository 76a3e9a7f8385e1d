"""The command line: arguments to options, events to lines, errors to one sentence and an exit code.

Results' paths go to stdout and everything else to stderr. Exit codes: 0 done, 1 failed, 2 bad usage,
130 interrupted after saving. Slow imports wait until a command needs them.
"""

import sys
from collections.abc import Sequence

from impasto.cli import apply, evaluate, export, lists, sample, score, stylize, train
from impasto.cli.app import app
from impasto.cli.command import typed
from impasto.cli.flags import whole_help
from impasto.cli.output import DONE, FAILED, INTERRUPTED, complain
from impasto.cli.terminal import Terminal, stdout_error, streams, with_standard

__all__ = ["main"]

_COMMANDS = (apply, evaluate, export, lists, sample, score, stylize, train)  # each registers its commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: words after the name of the program; by default those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    typed(words)
    with streams():
        try:
            code = _run(with_standard(words))
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Exception as error:
            code = complain(error, "--debug" in words)
        lost = stdout_error()
        if lost is None or code != DONE:
            return code
        return FAILED if isinstance(lost, BrokenPipeError) else complain(lost, "--debug" in words)


def _run(words: Sequence[str]) -> int:
    if "train" in words:
        train.add_methods()
    if "--help-all" in words:
        whole_help([word for word in words if word != "--help-all"], Terminal())
        return DONE
    code = app(words, console=Terminal(), exit_on_error=False, print_error=False, result_action="return_value")
    return code or DONE
