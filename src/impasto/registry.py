"""Registry: things that are known by name, found in a folder of the package or in the entry points of other packages.

A method, style loss, checkpoint format or built-in style of another package needs no change here: the other package
declares an entry point, or the object itself is passed wherever a name is taken. Nothing is imported before it is
asked for.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from impasto.errors import OptionError, unknown_name

__all__ = ["Registry"]

_Item = TypeVar("_Item")


class Registry(Generic[_Item]):
    """Items of one sort by name.

    Args:
        what: what a name stands for, with its article, for errors: "a training method".
        group: the entry points of other packages, such as "impasto.recipes".
        own: gives the package's own items by name, when they are first asked for.
        check: returns why something from outside is no such item, or None if it is one.
    """

    def __init__(
        self,
        what: str,
        group: str,
        own: Callable[[], dict[str, _Item]],
        check: Callable[[Any], str | None] = lambda item: None,
    ) -> None:
        self.what, self.group, self._own, self._check = what, group, own, check
        self._items: dict[str, _Item] | None = None
        self._outside: dict[str, Any] | None = None

    @property
    def _known(self) -> dict[str, _Item]:
        if self._items is None:
            self._items = self._own()
        return self._items

    @property
    def _entry_points(self) -> dict[str, Any]:
        if self._outside is None:
            self._outside = {_plain(point.name): point for point in entry_points(group=self.group)}
        return self._outside

    def names(self) -> list[str]:
        """Return all names: our own first, then those of other packages."""
        return [*self._known, *(name for name in self._entry_points if name not in self._known)]

    def get(self, name: str) -> _Item:
        """Return the item of a name; a hyphen counts as an underscore.

        Raises:
            UnknownName: nothing is called so.
            OptionError: the entry point of another package leads to something else.
        """
        plain = _plain(name)
        if plain in self._known:
            return self._known[plain]
        if plain not in self._entry_points:
            raise unknown_name(self.what, name, self.names())
        return self.register(plain, self._entry_points[plain].load())

    def items(self) -> Iterable[tuple[str, _Item]]:
        """Yield names and items; those of other packages are imported now."""
        return [(name, self.get(name)) for name in self.names()]

    def register(self, name: str, item: Any) -> _Item:
        """Make an item known under a name, for as long as the process lives.

        Raises:
            OptionError: it is no such item, or another one has the name.
        """
        wrong = self._check(item)
        if wrong is not None:
            raise OptionError(f"{name!r} is not {self.what}: {wrong}.")
        plain = _plain(name)
        if self._known.setdefault(plain, item) is not item:
            raise OptionError(f"{name!r} is the name of {self.what} already; choose another one.")
        return self._known[plain]


def _plain(name: str) -> str:
    return name.replace("-", "_")
