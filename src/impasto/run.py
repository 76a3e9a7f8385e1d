"""Run: a long operation under way, as a stream of events that somebody iterates over or waits for."""

import atexit
from collections.abc import Callable, Iterator
from functools import update_wrapper
from pathlib import Path
from typing import Any, Generic, ParamSpec, Self, TypeVar
from weakref import WeakSet

from impasto.devices import in_own_defaults, own_defaults, with_own_defaults
from impasto.events import Done, Event, Measured, Saved
from impasto.notebook import in_notebook, shown

__all__ = ["Run", "Verb"]

_Result = TypeVar("_Result", covariant=True)
_Arguments = ParamSpec("_Arguments")


class Run(Generic[_Result]):
    """One operation: iterate over its events, or wait for its result.

    Everything is checked before a Run exists. Nothing is computed before the first event is asked for. Closing a Run
    early, by `cancel` or by leaving its `with` block, saves what there is, as Ctrl-C does on the command line.

    Args:
        events: the stream; closing it stops the operation.
        result: makes the result of the finished run, from its last events.
        folder: the folder of a training, or None.

    >>> run = impasto.train.start("vae", "digits.npz", run="vae")  # doctest: +SKIP
    >>> for event in run:  # doctest: +SKIP
    ...     print(event)
    >>> model = run.wait()  # doctest: +SKIP
    """

    def __init__(
        self,
        events: Iterator[Event],
        result: Callable[["Run[Any]"], _Result],
        *,
        folder: Path | None = None,
    ) -> None:
        self.folder, self.done, self.found = folder, None, None
        self.saved: list[Saved] = []
        self._events, self._result, self._ended = in_own_defaults(events), result, False
        _OPEN.add(self)
        atexit.unregister(_cancel_all)
        atexit.register(_cancel_all)  # what is registered last runs first: before anything that the run uses ends

    done: Done | None
    found: dict[str, Any] | None

    def __iter__(self) -> Iterator[Event]:
        """Yield the events that are still to come."""
        for event in self._events:
            if isinstance(event, Done):
                self.done = event
            elif isinstance(event, Measured):
                self.found = event.found
            elif isinstance(event, Saved):
                self.saved.append(event)
            yield event
        self._ended = True

    def wait(self) -> _Result:
        """Run to the end and return the result; a notebook shows how far it is.

        An interrupt saves what there is, and is raised again.
        """
        if not self._ended:
            events: Iterator[Event] = iter(self)
            try:
                for _ in shown(events) if in_notebook() else events:
                    pass
            except BaseException:
                self.cancel()
                raise
        with own_defaults():
            return self._result(self)

    @property
    def image(self) -> Any:
        """The picture of the end, `(1, 3, H, W)`.

        Raises:
            RuntimeError: the run was stopped before its end.
        """
        if self.done is None:
            raise RuntimeError("the run was stopped before its end; there is no result")
        return self.done.image

    def cancel(self) -> None:
        """Stop after the present step, and save what there is."""
        self._events.close()

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop if the run has not ended."""
        self.cancel()


_OPEN: WeakSet[Run[Any]] = WeakSet()


def _cancel_all() -> None:
    """Stop runs that somebody left open, while the interpreter can still save what there is."""
    for run in list(_OPEN):
        run.cancel()


class Verb(Generic[_Arguments, _Result]):
    """A function that blocks and returns, whose `start` takes the same arguments and gives a `Run`."""

    def __init__(self, start: Callable[_Arguments, Run[_Result]]) -> None:
        self.start = with_own_defaults(start)
        update_wrapper(self, start)

    def __call__(self, *words: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        """Run to the end; see `start`."""
        return self.start(*words, **named).wait()
