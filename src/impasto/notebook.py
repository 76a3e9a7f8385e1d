"""Notebook: a bar, previews and notes of a run, shown inline while it goes on."""

import base64
import html
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.events import Done, Event, Note, Saved, Started, Step

__all__ = ["in_notebook", "shown"]

_SECONDS = 0.25  # between two updates
_PICTURES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp"}


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, which can show pictures."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def shown(events: Iterator[Event]) -> Iterator[Event]:
    """Yield the events of a run, and show in the cell's output how far it is.

    Args:
        events: of a run.
    """
    from IPython.display import HTML, display

    page: Any = HTML  # which has no types, as `display`
    show: Any = display
    view = _View()
    handle: Any = show(page(view.html()), display_id=True)
    due = 0.0
    for event in events:
        view.take(event)
        if time.monotonic() >= due or not isinstance(event, Step):
            handle.update(page(view.html()))
            due = time.monotonic() + _SECONDS
        yield event
    handle.update(page(view.html()))


class _View:
    """What the cell's output shows: the plan, a bar, losses, the last preview, notes."""

    def __init__(self) -> None:
        self.plan, self.line, self.picture = "", "", ""
        self.notes: list[str] = []
        self.progress: float | None = None

    def take(self, event: Event) -> None:
        """Remember what an event tells."""
        if isinstance(event, Started):
            self.plan = event.recipe or event.content or "picture"
        elif isinstance(event, Step):
            self.progress = event.progress
            left = "" if event.remaining is None else f", {event.remaining:.0f} s left"
            shown = event.measures if event.phase == "optimize" else event.losses
            losses = ", ".join(f"{name} {loss:.3g}" for name, loss in shown.items())
            place = f"{event.name or event.phase} {event.step} of {event.steps}"
            self.line = f"{100 * (event.progress or 0):.0f} %, {place}{left}: {losses}"
        elif isinstance(event, Note):
            self.notes.append(event.text)
        elif isinstance(event, Saved) and event.kind == "preview":
            self.picture = _inline(event.path)
        elif isinstance(event, Done):
            self.progress = 1.0
            self.line = f"{event.steps} {event.unit}s in {event.seconds:.0f} s"

    def html(self) -> str:
        """Return the output, everything from outside escaped."""
        parts = [f"<b>{html.escape(self.plan)}</b>"] if self.plan else []
        if self.progress is not None:
            parts.append(f"<progress value='{self.progress:.3f}' style='width: 24em'></progress>")
        parts += [f"<span>{html.escape(self.line)}</span>"] if self.line else []
        parts += [self.picture] if self.picture else []
        parts += [f"<div>{html.escape(note)}.</div>" for note in self.notes]
        return "<div>" + "<br>".join(parts) + "</div>"


def _inline(path: Path) -> str:
    kind = _PICTURES.get(path.suffix.lower())
    if kind is None or not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<img src='data:image/{kind};base64,{data}' alt='preview' style='max-width: 100%'>"
