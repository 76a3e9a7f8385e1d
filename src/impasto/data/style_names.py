"""The one namespace of styles: built-in styles, paintings, and trained styles of the catalog; every verb reads it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from impasto import builtin_styles
from impasto.builtin_styles import spelled
from impasto.checkpoints import catalog
from impasto.errors import OptionError, UnknownName
from impasto.paintings import Painting, paintings

__all__ = [
    "NamedStyle",
    "as_text",
    "has_picture",
    "is_name",
    "joined",
    "named_styles",
    "spelled",
    "style_parts",
    "style_stem",
    "trained_style",
    "unknown_style",
]


@dataclass(frozen=True)
class NamedStyle:
    """A style that has a name.

    Attributes:
        name: as it is listed.
        kind: "built-in" for a style that code paints, "painting" for one with a picture, "trained" for one that only
            a network knows.
        description: one line for people.
        painting: of a painting, its picture with artist, title, year, license and source.
    """

    name: str
    kind: str
    description: str
    painting: Painting | None = None


def named_styles() -> dict[str, NamedStyle]:
    """Return all styles by name, with underscores for hyphens: built-in ones, paintings, then trained ones."""
    found = [NamedStyle(name, "built-in", builtin_styles.find(name).description) for name in builtin_styles.names()]
    found += [NamedStyle(name, "painting", str(one), one) for name, one in paintings().items()]
    for one in catalog.listed().values():
        if one.kind == "style":
            found.append(NamedStyle(one.name, "trained", f"trained for {one.card.get('based_on') or 'a painter'}"))
        found += [NamedStyle(name, "trained", work or f"a style of {one.name}") for name, work in one.styles.items()]
    named: dict[str, NamedStyle] = {}
    for style in found:
        named.setdefault(spelled(style.name), style)
    return named


def has_picture(name: str) -> bool:
    """Return whether a name, or a name with a seed, is that of a built-in style or of a painting."""
    plain = spelled(name.partition(":")[0])
    return plain in builtin_styles.names() or plain in paintings()


def trained_style(name: str) -> catalog.Listed | None:
    """Return the trained style that `impasto models --add` gave a name, or None."""
    plain = spelled(name)
    found = (one for one in catalog.listed().values() if one.kind == "style" and spelled(one.name) == plain)
    return next(found, None)


def is_name(text: str) -> bool:
    """Return whether a text reads as a name rather than a file: it has no suffix and no folder, and no file has it."""
    return bool(text) and not Path(text).exists() and not Path(text).suffix and "/" not in text


def unknown_style(name: str, more: Iterable[str] = ()) -> UnknownName:
    """Return the error for an unknown style, with the nearest name of all styles.

    Args:
        name: the unknown name.
        more: names that a network has besides.
    """
    known = [*(one.name for one in named_styles().values()), *more]
    near = get_close_matches(spelled(name), known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "See `impasto styles`."
    return UnknownName(f"{name!r} is not the name of a style, nor of a picture file. {hint}")


def style_parts(text: str, known: Iterable[str] = ()) -> list[tuple[str, float | None]]:
    """Return the styles of a text, each with its weight, or None where there is none.

    "a:0.6,b:0.4" is a mixture. A whole number after a built-in style that stands alone is its seed: "swirl:7". In a
    mixture the last number is a weight: "swirl:7:0.6,mosaic:0.4". A file may have colons and commas in its name.

    Args:
        text: names or files, separated by commas.
        known: names of styles that a network has besides.

    Raises:
        OptionError: a weight is not a number.
    """
    if not text or Path(text).exists():
        return [(text, None)] if text else []
    words = [word for part in text.split(",") if (word := part.strip())]
    return [_part(word, len(words) == 1, known) for word in words]


def _part(word: str, alone: bool, known: Iterable[str]) -> tuple[str, float | None]:
    name, colon, number = word.rpartition(":")
    if not colon or Path(word).exists():
        return word, None
    painted = spelled(name) in builtin_styles.names()
    if painted and alone and number.isdecimal():
        return (word if int(number) else name), None
    try:
        return name.strip(), float(number)
    except ValueError:
        if not painted and (spelled(name) in named_styles() or name in known):
            raise OptionError(
                f"the weight of a style is {number!r}; expected a number, as in starry_night:0.6."
            ) from None
        return word, None  # a wrong seed, or a file that does not exist, which raises later


def joined(words: Sequence[str]) -> str:
    """Return several texts of `style_parts` as one; what a text means alone stays: "swirl:7" keeps its seed."""
    if len(words) < 2:
        return "".join(words)
    parts = [part for word in words for part in style_parts(word)]
    return ",".join(f"{name}:{1.0 if weight is None else weight:g}" for name, weight in parts)


def as_text(style: object) -> str | None:
    """Return names or files, a list of them, or a mapping from them to weights as one text; None for anything else."""
    if isinstance(style, str | Path):
        return str(style)
    if isinstance(style, Mapping):
        return ",".join(f"{name}:{weight}" for name, weight in style.items())
    if isinstance(style, list | tuple) and style and all(isinstance(one, str | Path) for one in style):
        return joined([str(one) for one in style])
    return None


def style_stem(text: str, known: Iterable[str] = ()) -> str:
    """Return the part of a file's name that tells its styles: "rosy:0.6,x/wave.jpg:0.4" gives "rosy-wave"."""
    names = (spelled(name) if is_name(name) else name for name, _ in style_parts(text, known))
    return "-".join(Path(name.replace(":", "-")).stem for name in names)
