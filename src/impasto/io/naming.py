"""Names of files, lists and reasons in messages."""

from collections.abc import Iterable
from pathlib import Path

__all__ = ["called", "listed_words", "printable", "reason_of"]


def listed_words(names: Iterable[str]) -> str:
    """Return names as "a, b or c"."""
    *most, last = dict.fromkeys(names)
    return f"{', '.join(most)} or {last}"


def called(path: Path) -> str:
    """Return the name of a file for one line: unprintable characters replaced, long names shortened in the middle."""
    name = "".join(c if c.isprintable() else "?" for c in path.name or str(path))
    return name if len(name) <= 64 else f"{name[:40]}…{name[-20:]}"


def reason_of(error: BaseException) -> str:
    """Return the message of an exception on one short line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= 100 else f"{text[:99]}…"


def printable(text: str) -> str:
    """Return a text with a blank for each unprintable character."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
