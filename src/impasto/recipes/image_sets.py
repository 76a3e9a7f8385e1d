"""Image sets for recipes: read them, check their classes, describe them in files and reports."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from impasto.data.arrays import Sets, read_sets
from impasto.devices import find_device
from impasto.errors import OptionError
from impasto.evaluation.monitors import count_classes
from impasto.events import Event
from impasto.inference.sheets import draw_sheets
from impasto.recipes.options import SmallOptions

__all__ = ["MOST_CLASSES", "conditional_classes", "image_sets", "set_facts", "set_name", "sheets_of"]

MOST_CLASSES = 10_000

_Options = TypeVar("_Options", bound=SmallOptions)


def image_sets(images: Any, options: _Options) -> tuple[Sets, _Options]:
    """Return the training and test set, and the options with a number of steps; the training set is on the device.

    Raises:
        ImageError: the set cannot be read; see `arrays.read_sets`.
    """
    train, test = read_sets(images, crop=options.crop, colors=options.colors)
    return Sets(train.shuffled(options.seed).to(find_device(options.device)), test), options.planned(len(train))


def set_facts(images: Any, sets: Sets) -> dict[str, Any]:
    """Return the description of the set for the model's file: its path or name, and the names of its classes."""
    found = {"pictures": str(images)} if isinstance(images, str | Path) else {}
    return {**found, "classes": list(sets.train.names)} if sets.train.names else found


def set_name(images: Any) -> str:
    """Return the name of a set in messages."""
    return str(images) if isinstance(images, str | Path) else "the set"


def sheets_of(sets: Sets, options: SmallOptions) -> Callable[[Path], Iterator[Event]]:
    """Return a function that draws the sample sheets of the report."""
    return partial(draw_sheets, pictures=sets, device=options.device)


def conditional_classes(sets: Sets, wanted: bool, images: Any, what: str = "GAN") -> int:
    """Return the number of classes of a class-conditional network; 0: it is unconditional.

    Raises:
        OptionError: the set has no labels, only one class, too many classes, or a class without pictures.
    """
    if not wanted:
        return 0
    name = str(images) if isinstance(images, str | Path) else "The set"
    if sets.train.labels is None:
        raise OptionError(
            f"{name} has no labels; a class-conditional {what} needs them: a folder for each class, or an .npz file."
        )
    classes = count_classes(sets.train.labels)
    if not classes:
        raise OptionError(
            f"{name} has only one class; a class-conditional {what} needs two or more: a folder or a label for each."
        )
    if classes > MOST_CLASSES:
        raise OptionError(
            f"{name} has labels up to {classes - 1:,}; expected classes numbered from 0, at most {MOST_CLASSES:,}."
        )
    found = torch.bincount(sets.train.labels, minlength=classes)
    if not bool(found.all()):
        raise OptionError(
            f"{name} has no picture of class {int(found.argmin())}, but some of class {classes - 1}; "
            f"a class-conditional {what} needs pictures of each class: number the classes from 0, without gaps."
        )
    return classes
