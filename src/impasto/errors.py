"""The exceptions that impasto raises.

ImpastoError
├─ OptionError      (ValueError)         an option is out of its range
├─ UnknownName      (LookupError)        an unknown name
├─ ImageError       (ValueError)         a picture that cannot be read, used or written
│  └─ SavedElsewhere                     a result whose place is gone
├─ VideoError       (ValueError)         a video that cannot be read or written
├─ WeightsError     (RuntimeError)       a network's weights are missing, damaged or foreign
├─ CheckpointError  (RuntimeError)       a saved run that cannot be continued
├─ TrainingError    (ArithmeticError)    a training that diverged
├─ FileExists       (FileExistsError)    a file that would be overwritten
│  └─ Unfinished                         it is of a run that can be resumed
└─ MissingExtra     (ImportError)        an optional dependency is not installed

Each message is one sentence or two: what is wrong, what was expected, what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

__all__ = [
    "CheckpointError",
    "FileExists",
    "ImageError",
    "ImpastoError",
    "MissingExtra",
    "OptionError",
    "SavedElsewhere",
    "TrainingError",
    "Unfinished",
    "UnknownName",
    "VideoError",
    "WeightsError",
    "unknown_name",
]


class ImpastoError(Exception):
    """Base class of all errors that impasto raises."""


class OptionError(ImpastoError, ValueError):
    """An option is out of its range or contradicts others."""


class UnknownName(ImpastoError, LookupError):
    """An unknown name."""


class ImageError(ImpastoError, ValueError):
    """A picture that cannot be read, used or written."""


class SavedElsewhere(ImageError):
    """A result that could not be written to its place; it is at `path` in place of it."""

    def __init__(self, text: str, path: Path) -> None:
        super().__init__(text)
        self.path = path


class VideoError(ImpastoError, ValueError):
    """A video that cannot be read or written."""


class WeightsError(ImpastoError, RuntimeError):
    """A network's weights are missing, damaged or of an unknown layout."""


class CheckpointError(ImpastoError, RuntimeError):
    """A saved run that cannot be continued."""


class TrainingError(ImpastoError, ArithmeticError):
    """A training that diverged: its losses are not finite, even at smaller learning rates."""


class FileExists(ImpastoError, FileExistsError):
    """A file that would be overwritten."""


class Unfinished(FileExists):
    """A file or folder of a run that was interrupted, or goes on elsewhere, and would be overwritten."""


class MissingExtra(ImpastoError, ImportError):
    """An optional dependency is not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Build the error for an unknown name, with the nearest known name or else the whole list.

    Args:
        kind: what the name should denote, with its article: "a style", "an encoder".
        name: the unknown name.
        known: all accepted names.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."
    return UnknownName(f"{name!r} is not the name of {kind}. {hint}")
