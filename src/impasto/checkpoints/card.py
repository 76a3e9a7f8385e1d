"""The card of a file of ours: what its header says, checked when it is read. This module needs no torch."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.checkpoints.upgrade import upgrade_card
from impasto.reading import read_json

__all__ = ["checked_card", "first_fault", "read_card"]

_Text = str | None
_Table = dict[str, Any] | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Settings(_Part):
    """Arguments that build a network; those that are not here are checked when it is built."""

    styles: list[str] = []
    style: _Text = None


class _Options(_Part):
    """Options of a training; only those that are read again from a card."""

    crop: int = Field(0, ge=0, le=1 << 16)
    noise: float | None = None
    classifier: _Text = None
    targets: _Text = None
    preview_steps: list[int] | None = None
    progress_epochs: list[float] | None = None


class _Card(_Part):
    """What is read from a card. A checkpoint has the same entries, and the values of its run."""

    network: _Text = None
    settings: _Settings | None = None
    options: _Options | None = None
    results: _Table = None
    works: dict[str, str] | None = None
    classes: list[Any] | None = None
    notes: list[Any] | None = None
    pictures: str | dict[str, Any] | None = None  # the training set; of an encoder, how many of each sort
    base: _Text = None
    based_on: _Text = None
    recipe: _Text = None
    step: int = Field(0, ge=0, le=1 << 50)
    seconds: float = Field(0.0, ge=0, allow_inf_nan=False)
    failures: int = 0
    accuracy: float | None = None
    held: int | None = None
    log: int = Field(0, ge=0, le=1 << 62)
    model: _Table = None
    record: _Table = None
    optimizers: dict[str, dict[str, dict[str, Any]]] | None = None


def read_card(text: str) -> dict[str, Any]:
    """Return the card in a JSON text, with new names; errors as for `checked_card`."""
    return upgrade_card(checked_card(read_json(text)))


def checked_card(card: Any) -> dict[str, Any]:
    """Return what JSON gave, if it is a card.

    Raises:
        ValueError: it is no JSON object, or an entry has another type; the message says which.
    """
    if not isinstance(card, dict):
        raise ValueError("its header is no JSON object")
    try:
        _Card.model_validate(card)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None
    return card


def first_fault(error: ValidationError) -> str:
    """Return the first fault that a check found, in words: "settings.styles is 5"."""
    first = error.errors(include_url=False)[0]
    name, shown = ".".join(map(str, first["loc"])), repr(first["input"])
    if first["type"] == "missing":
        return f"{name} is missing"
    return f"{name} is {shown if len(shown) <= 40 else shown[:39] + '…'}"
