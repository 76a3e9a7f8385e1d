"""Base class of all options: declared once, read by the command line, the docs and saved files."""

import re
from collections.abc import Mapping
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from impasto.errors import OptionError, unknown_name

__all__ = ["COMMON", "Layers", "Options", "read_box", "read_duration", "read_layers", "read_memory"]

COMMON: Final[dict[str, Any]] = {"common": True}  # `json_schema_extra` of the fields that the short help shows


class Options(BaseModel):
    """Options of one operation: immutable, complete, validated.

    A misspelled name or a value out of range raises OptionError.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise OptionError(_sentence(error, list(type(self).model_fields))) from None

    @classmethod
    def check(cls, given: object) -> None:
        """Check that an argument is an instance of this class.

        Raises:
            OptionError: it is a dict, or the options of another operation.
        """
        if not isinstance(given, cls):
            raise OptionError(f"options are of {type(given).__name__}; expected {cls.__name__}(...).")

    @classmethod
    def completed(cls, given: Self | None, settings: Mapping[str, Any]) -> Self:
        """Return options that were given all at once, or one by one, or both; single settings come last.

        Raises:
            OptionError: they are of another class, or a setting is misspelt or out of range.
        """
        if given is None:
            return cls(**settings)
        cls.check(given)
        return given.changed(**settings) if settings else given

    def changed(self, **settings: Any) -> Self:
        """Return a copy with some options replaced; everything is validated again."""
        return type(self)(**{**self.model_dump(), **settings})

    @classmethod
    def common(cls) -> frozenset[str]:
        """Return the fields that the short help shows: those that this class or a parent declares as `COMMON`."""
        parents = [parent for parent in cls.__mro__ if issubclass(parent, BaseModel)]
        fields = [item for parent in parents for item in parent.model_fields.items()]
        return frozenset(name for name, field in fields if field.json_schema_extra == COMMON)

    @classmethod
    def own_first(cls) -> dict[str, FieldInfo]:
        """Return all fields, for help: those that this class adds come first, then those of its parents in turn."""
        blocks: list[list[str]] = []
        known: set[str] = set()
        for parent in reversed(cls.__mro__):
            if issubclass(parent, BaseModel):
                blocks.insert(0, [name for name in parent.model_fields if name not in known])
                known.update(parent.model_fields)
        return {name: cls.model_fields[name] for block in blocks for name in block}


def _sentence(error: ValidationError, known: list[str]) -> str:
    """Turn pydantic's first error into one sentence: the value, and what was expected."""
    first = error.errors()[0]
    name, given = (str(first["loc"][0]) if first["loc"] else ""), repr(first["input"])
    if isinstance(first["input"], str) and re.fullmatch(r"-?[\d.]+", first["input"]):
        given = first["input"]  # a number that came from a command line
    if first["type"] == "extra_forbidden":
        return str(unknown_name("an option", name, known))
    limits = {
        "greater_than_equal": "{ge:g} or more",
        "greater_than": "more than {gt:g}",
        "less_than_equal": "{le:g} or less",
        "less_than": "less than {lt:g}",
        "literal_error": "{expected}",
        "string_pattern_mismatch": "auto, cpu, cuda, cuda:1 or mps",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "tuple_type": "a list, as [1, 2] or ['a', 'b']",
    }
    if first["type"] in limits:
        return f"{name} is {given}; expected {limits[first['type']].format(**first.get('ctx', {}))}."
    message = first["msg"].removeprefix("Value error, ")
    return message if first["type"] == "value_error" else f"{name} is {given}; {message}."


def read_layers(value: object) -> object:
    """Read "relu1_1:2,relu2_1" or a list of names; names without a weight get 1 / (number of layers)."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple):
        return value
    pairs = [str(item).strip().partition(":") for item in value]
    try:
        return {name: float(weight) if colon else 1 / len(pairs) for name, colon, weight in pairs}
    except ValueError:
        raise ValueError(
            f"layers are {','.join(map(str, value))!r}; expected names with weights like relu1_1:1,relu2_1:0.5."
        ) from None


Layers = dict[str, float]


def read_box(text: str) -> tuple[float, float, float, float]:
    """Read "x,y,w,h": the left and upper edge of a part of a picture, its width and height, all as fractions.

    Raises:
        ValueError: these are not four numbers, or the part is empty or not inside the picture.
    """
    try:
        x, y, w, h = (float(number) for number in text.split(","))
    except ValueError:
        x = y = w = h = -1.0
    if not (x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= 1 + 1e-9 and y + h <= 1 + 1e-9):
        raise ValueError(
            f"a part of a picture is {text!r}; expected left,top,width,height as fractions, like 0.1,0.05,0.8,0.9."
        )
    return x, y, w, h


def read_memory(value: object) -> object:
    """Read "4G", "800M" or a number of bytes."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", value.lower())
    if found is None:
        raise ValueError(f"max_memory is {value!r}; expected a size like 4G or 800M.")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2] or " "))


_MINUTES = {"h": 60.0, "m": 1.0, "s": 1 / 60, "": 1.0}


def read_duration(value: object) -> object:
    """Read "10m", "90s", "1h30m" or a number of minutes."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)\s*([hms]?)\s*", value.lower())
    if not parts or "".join(re.split(r"\s+", value.lower())) != "".join(map("".join, parts)):
        raise ValueError(f"budget is {value!r}; expected a time like 10m, 90s or 1h30m.")
    return sum(float(number) * _MINUTES[unit] for number, unit in parts)
