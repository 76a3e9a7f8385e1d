"""Progress of a run: a bar in a terminal, lines elsewhere, or JSON lines."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from impasto.cli.terminal import say, write_out
from impasto.events import Done, Event, Note, Started, Step, as_json

__all__ = ["Report", "duration", "report_bar", "report_json", "report_lines", "report_nothing"]

Report = Callable[[Event], None]

_LINE_SECONDS = 10.0  # between two lines without a terminal
_LONG = 600.0  # seconds; for longer runs, faster settings are suggested


def duration(seconds: float) -> str:
    """Return seconds in words: "42 s", "3 min", "1 h 20 min"."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(height: int, width: int) -> str:
    return f"{width}×{height}"


def _steps(count: int, unit: str = "step") -> str:
    return f"{count} {unit}{'s' * (count != 1)}"


def _plan(event: Started) -> str:
    if event.recipe:
        return _training(event)
    scales = [f"{_steps(steps, event.unit)} at {_size(height, width)}" for height, width, steps in event.scales]
    for index, tiles in enumerate(event.tiles):
        scales[index] += f" in {tiles} tiles" if tiles > 1 else ""
    facts = [*scales, *([] if event.seconds is None else [f"about {duration(event.seconds)}"])]
    facts += [_memory(event.memory)] if event.memory else []
    return f"{event.content or 'picture'}: {', '.join(facts)}{_quicker(event)}"


def _quicker(event: Started) -> str:
    """Return a suggestion of faster settings for a long run."""
    if event.seconds is None or event.seconds < _LONG:
        return ""
    side = max(event.scales[-1][:2])
    smaller = f"--size {side * 3 // 4 // 16 * 16} or " if side > 256 else ""
    return f"; {smaller}--minutes 5 is quicker"


def _memory(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _losses(step: Step) -> str:
    return " ".join(f"{name} {step.measures[name]:.3g}" for name in ("style", "content") if name in step.measures)


def _training(event: Started) -> str:
    """Return the plan of a training."""
    length = _steps(event.steps or 0) if event.budget is None else duration(event.budget)
    length += f", from step {event.step} on" if event.step else ""
    if event.steps is not None and event.step >= event.steps:
        length = f"already finished after {_steps(event.step)}"
    where = f"{event.processes} × {event.device}" if event.processes > 1 else event.device
    what = f"{event.recipe}: {event.weights:,} weights, {length}, batch size {event.batch}"
    return f"{what}, {where}, {event.precision}; files are in {event.run}"


def _pace(pace: float) -> str:
    return f"{pace:.1f}/s" if pace >= 1 else f"{1 / max(pace, 1e-9):.1f} s each"


def _percent(event: Step) -> str:
    return f"{100 * (event.progress or 0):.0f} %"


def _place(event: Step) -> str:
    """Return where a run is at this step: a scale, a layer, a step or a frame."""
    count = f"{event.step}/{event.steps}"
    if event.phase == "optimize":
        return f"scale {event.scale}/{event.scales}, {_size(*event.size)}"
    return {"fit": f"{count} {event.name}", "frame": f"frame {count}"}.get(event.phase, f"step {count}")


def _detail(event: Step) -> str:
    """Return the facts about a step: pace, losses as in `score`, remaining time."""
    left = "" if event.remaining is None else f"{duration(event.remaining)} left"
    if event.phase == "frame":
        return f"{event.time:.1f} s of the video, {left}"
    if event.phase == "optimize":
        return ", ".join(filter(None, (_losses(event), left)))
    if event.phase == "fit":
        losses = " ".join(f"{name} {loss:.3f}" for name, loss in event.losses.items())
        return f"{losses}, {left}"
    losses = " ".join(f"{name} {loss:.3g}" for name, loss in event.losses.items())
    skipped = f", {event.skipped} unreadable" if event.skipped else ""
    return f"{_pace(event.pace)}, {left}{skipped}: {losses}"


def _line(event: Step) -> str:
    colon = ", " if event.phase == "train" else ": "
    return f"{_percent(event)}, {_place(event)}{colon}{_detail(event)}"


@contextmanager
def report_nothing() -> Iterator[Report]:
    """Report nothing."""
    yield lambda event: None


@contextmanager
def report_json() -> Iterator[Report]:
    """Write each event as a line of JSON on stdout."""

    def write(event: Event) -> None:
        write_out(json.dumps(as_json(event)) + "\n")

    yield write


@contextmanager
def report_lines() -> Iterator[Report]:
    """Write the plan, a line about every ten seconds, and the end, to stderr."""
    due = time.monotonic() + _LINE_SECONDS

    def write(event: Event) -> None:
        nonlocal due
        if isinstance(event, Started):
            say(_plan(event))
        elif isinstance(event, Step) and (event.phase == "fit" or time.monotonic() >= due):
            due = due if event.phase == "fit" else time.monotonic() + _LINE_SECONDS
            say(_line(event))
        elif isinstance(event, Note):
            say(event.text)
        elif isinstance(event, Done):
            say(_finished(event))

    yield write


@contextmanager
def report_bar(console: Console) -> Iterator[Report]:
    """Draw a bar with percent, size, losses and remaining time, under the plan."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(None),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[note]}"),
    )
    # rich must not redirect stdout to this console
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("", total=None, note="")

        def tell(text: str) -> None:
            console.print(text, markup=False, highlight=False)

        def draw(event: Event) -> None:
            if isinstance(event, Started):
                tell(_plan(event))
                if not event.recipe:
                    bar.reset(task, total=1)
            elif isinstance(event, Step):
                place, note = _place(event), _detail(event)
                bar.update(task, completed=event.progress, total=1, description=place, note=note)
            elif isinstance(event, Note):
                tell(event.text)
            elif isinstance(event, Done):
                tell(_finished(event))

        yield draw


def _finished(event: Done) -> str:
    return f"{_steps(event.steps, event.unit)} in {duration(event.seconds)}"
