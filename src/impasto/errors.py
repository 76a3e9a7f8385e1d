"""Everything impasto raises on purpose.

ImpastoError
├─ OptionError      (ValueError)         a setting is out of its range
├─ UnknownName      (LookupError)        a name that is in none of our tables
├─ ImageError       (ValueError)         a picture that cannot be read, used or written
├─ VideoError       (ValueError)         a video that cannot be read or written
├─ WeightsError     (RuntimeError)       a network's weights are missing, damaged or foreign
├─ CheckpointError  (RuntimeError)       a saved run that cannot be continued
├─ TrainingError    (ArithmeticError)    a training that went astray
├─ FileExists       (FileExistsError)    a file that would be overwritten
└─ MissingExtra     (ImportError)        an optional dependency is not installed

Each message is one sentence, or two: what it is, what was expected, what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CheckpointError",
    "FileExists",
    "ImageError",
    "ImpastoError",
    "MissingExtra",
    "OptionError",
    "TrainingError",
    "UnknownName",
    "VideoError",
    "WeightsError",
    "unknown_name",
]


class ImpastoError(Exception):
    """Base of all errors that impasto raises on purpose."""


class OptionError(ImpastoError, ValueError):
    """A setting is out of its range or does not fit the others."""


class UnknownName(ImpastoError, LookupError):
    """A name that is in none of our tables."""


class ImageError(ImpastoError, ValueError):
    """A picture that cannot be read, used or written."""


class VideoError(ImpastoError, ValueError):
    """A video that cannot be read or written."""


class WeightsError(ImpastoError, RuntimeError):
    """A network's weights are missing, damaged or of an unknown layout."""


class CheckpointError(ImpastoError, RuntimeError):
    """A saved run that cannot be continued."""


class TrainingError(ImpastoError, ArithmeticError):
    """A training that went astray: its numbers are not finite, whatever was tried."""


class FileExists(ImpastoError, FileExistsError):
    """A file that would be overwritten."""


class MissingExtra(ImpastoError, ImportError):
    """An optional dependency is not installed."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Build the error for a name nobody knows, with the nearest known one or else the whole list.

    Args:
        kind: what the name should have named, with its article: "a style", "an encoder".
        name: what was given.
        known: every name that would have been accepted.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."
    return UnknownName(f"{name!r} is not the name of {kind}. {hint}")
