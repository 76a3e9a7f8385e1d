"""The command that was typed, and others like it, which messages suggest."""

import shlex
from collections.abc import Collection, Mapping, Sequence

__all__ = ["command_like", "resuming", "typed"]

_TYPED: list[str] = []


def typed(words: Sequence[str]) -> None:
    """Note the words of the command that begins, without the name of the program."""
    _TYPED[:] = words


def command_like(flags: Mapping[str, str], without: Collection[str] = ()) -> str:
    """Return the command with some flags replaced, as it is typed in a shell.

    Args:
        flags: values of flags, "" for a switch; they replace those that were typed.
        without: flags that are left out, each with "=" at its end if it takes a value.
    """
    dropped = {*without, *(f"{flag}=" if value else flag for flag, value in flags.items())}
    more = [word for item in flags.items() for word in item if word]
    kept: list[str] = []
    words = iter(_TYPED)
    for word in words:
        if word == "--":  # what follows is no flag
            more += [word, *words]
            break
        flag, equals, _ = word.partition("=")
        if f"{flag}=" in dropped:
            if not equals:
                next(words, None)
        elif word not in dropped:
            kept.append(word)
    return shlex.join(["impasto", *kept, *more])


def resuming() -> str:
    """Return the command that continues an interrupted run of the command that was typed."""
    return command_like({"--resume": ""}, without=["--force"])
