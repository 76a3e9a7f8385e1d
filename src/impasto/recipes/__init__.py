"""Training methods, one a folder: its declaration, its options and its recipe.

`METHODS` finds them by name: each folder here declares `METHODS` in its `__init__`, other packages declare entry
points of the group "impasto.recipes". Nothing here imports torch before a recipe is asked for.
"""

import pkgutil
from dataclasses import replace
from importlib import import_module
from typing import Any

from impasto.errors import OptionError
from impasto.registry import Registry
from impasto.training.method import Method

__all__ = ["METHODS", "find_method"]


def _own() -> dict[str, Method]:
    folders = [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]
    declared = [import_module(f"{__name__}.{folder}") for folder in folders]
    return {method.name: method for module in declared for method in getattr(module, "METHODS", ())}


METHODS: Registry[Method] = Registry(
    "a training method",
    "impasto.recipes",
    _own,
    lambda item: None if isinstance(as_method(item), Method) else "it has no `method` that declares inputs and options",
)


def as_method(item: Any) -> Any:
    """Return the method that a recipe's class declares, or the item itself."""
    declared = getattr(item, "method", None)
    return replace(declared, recipe=item) if isinstance(item, type) and isinstance(declared, Method) else item


def find_method(method: Any) -> Method:
    """Return a method by name; or the method itself, or that of a recipe's class.

    Raises:
        UnknownName: nothing is called so.
        OptionError: it is something else.
    """
    found = METHODS.get(method) if isinstance(method, str) else method
    found = as_method(found)
    if not isinstance(found, Method):
        raise OptionError(
            f"{method!r} is not a training method; expected a name from `list_methods()`, a Method, or a Recipe class "
            "that declares one."
        )
    return found
