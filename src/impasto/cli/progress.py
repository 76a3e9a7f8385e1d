"""What a person sees while a run goes on: a bar in a terminal, a line now and then elsewhere, or JSON lines."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from impasto.events import Began, Done, Event, Frame, Note, Started, Step, Taught, Trained, as_json

__all__ = ["Report", "duration", "report_bar", "report_json", "report_lines", "report_nothing", "say"]

Report = Callable[[Event], None]

_LINE_SECONDS = 10.0  # between two lines where there is no terminal
_LONG = 600.0  # seconds; from here on a quicker way is named


def say(text: str) -> None:
    """Write a line for the person at the terminal; results alone go to stdout."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """Return seconds as people say them: "42 s", "3 min", "1 h 20 min"."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(height: int, width: int) -> str:
    return f"{width}×{height}"


def _steps(count: int, unit: str = "step") -> str:
    return f"{count} {unit}{'s' * (count != 1)}"


def _plan(event: Started) -> str:
    scales = [f"{_steps(steps, event.unit)} at {_size(height, width)}" for height, width, steps in event.scales]
    for index, tiles in enumerate(event.tiles):
        scales[index] += f" in {tiles} tiles" if tiles > 1 else ""
    facts = [*scales, *([] if event.seconds is None else [f"about {duration(event.seconds)}"])]
    facts += [_memory(event.memory)] if event.memory else []
    return f"{event.content or 'picture'}: {', '.join(facts)}{_quicker(event)}"


def _quicker(event: Started) -> str:
    """Name quicker ways if it takes long."""
    if event.seconds is None or event.seconds < _LONG:
        return ""
    side = max(event.scales[-1][:2])
    smaller = f"--size {side * 3 // 4 // 16 * 16} or " if side > 256 else ""
    return f"; {smaller}--minutes 5 is quicker"


def _memory(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _losses(step: Step) -> str:
    return " ".join(f"{name} {step.losses[name]:.3g}" for name in ("content", "style", "tv") if step.losses.get(name))


def _where(step: Step) -> str:
    return f"scale {step.scale}/{step.scales}, {_size(*step.size)}"


def _taught(event: Taught) -> str:
    losses = " ".join(f"{name} {loss:.3f}" for name, loss in event.losses.items())
    return f"{losses}, {duration(event.remaining)} left"


def _began(event: Began) -> str:
    length = _steps(event.steps or 0) if event.budget is None else duration(event.budget)
    length += f", from step {event.step} on" if event.step else ""
    if event.steps is not None and event.step >= event.steps:
        length = f"finished already after {_steps(event.step)}"
    where = f"{event.processes} × {event.device}" if event.processes > 1 else event.device
    what = f"{event.recipe}: {event.weights:,} weights, {length}, {event.batch} pictures each"
    return f"{what}, {where}, {event.precision}; everything is in {event.run}"


def _trained(event: Trained) -> str:
    """Return what a step says beside its number."""
    losses = " ".join(f"{name} {loss:.3g}" for name, loss in event.losses.items())
    skipped = f", {event.skipped} unreadable" if event.skipped else ""
    return f"{_pace(event.pace)}, {duration(event.remaining)} left{skipped}: {losses}"


def _pace(pace: float) -> str:
    return f"{pace:.1f}/s" if pace >= 1 else f"{1 / max(pace, 1e-9):.1f} s each"


def _shown(event: Frame) -> str:
    return f"{event.time:.1f} s of the video, {duration(event.remaining)} left"


def _note(step: Step) -> str:
    left = "" if step.remaining is None else f"{duration(step.remaining)} left"
    return ", ".join(filter(None, (_losses(step), left)))


@contextmanager
def report_nothing() -> Iterator[Report]:
    """Stay silent."""
    yield lambda event: None


@contextmanager
def report_json() -> Iterator[Report]:
    """Write each event as a line of JSON on stdout."""

    def write(event: Event) -> None:
        sys.stdout.write(json.dumps(as_json(event)) + "\n")
        sys.stdout.flush()

    yield write


@contextmanager
def report_lines() -> Iterator[Report]:
    """Write the plan, a line about every ten seconds, and the end, on stderr."""
    due = time.monotonic() + _LINE_SECONDS

    def write(event: Event) -> None:
        nonlocal due
        if isinstance(event, Started):
            say(_plan(event))
        elif isinstance(event, Step) and time.monotonic() >= due:
            due = time.monotonic() + _LINE_SECONDS
            say(f"step {event.step}/{event.steps}, {_where(event)}: {_note(event)}")
        elif isinstance(event, Frame) and time.monotonic() >= due:
            due = time.monotonic() + _LINE_SECONDS
            say(f"frame {event.step}/{event.steps}: {_shown(event)}")
        elif isinstance(event, Taught):
            say(f"{event.step}/{event.steps} {event.name}: {_taught(event)}")
        elif isinstance(event, Began):
            say(_began(event))
        elif isinstance(event, Trained) and time.monotonic() >= due:
            due = time.monotonic() + _LINE_SECONDS
            say(f"step {event.step}/{event.steps}, {_trained(event)}")
        elif isinstance(event, Note):
            say(event.text)
        elif isinstance(event, Done):
            say(_finished(event))

    yield write


@contextmanager
def report_bar(console: Console) -> Iterator[Report]:
    """Draw a bar with the step, the size, the losses and the time left, under the plan."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    # what is written to stdout must stay there, so rich may not redirect it to this console
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("", total=None, note="")

        def tell(text: str) -> None:
            console.print(text, markup=False, highlight=False)

        def draw(event: Event) -> None:
            if isinstance(event, Started):
                tell(_plan(event))
                bar.reset(task, total=sum(scale[2] for scale in event.scales))
            elif isinstance(event, Step):
                bar.update(task, completed=event.step, total=event.steps, description=_where(event), note=_note(event))
            elif isinstance(event, Taught):
                bar.update(task, completed=event.step, total=event.steps, description=event.name, note=_taught(event))
            elif isinstance(event, Began):
                tell(_began(event))
            elif isinstance(event, Trained):
                bar.update(task, completed=event.step, total=event.steps, description="step", note=_trained(event))
            elif isinstance(event, Frame):
                bar.update(task, completed=event.step, total=event.steps, description="frames", note=_shown(event))
            elif isinstance(event, Note):
                tell(event.text)
            elif isinstance(event, Done):
                tell(_finished(event))

        yield draw


def _finished(event: Done) -> str:
    return f"{_steps(event.steps, event.unit)} in {duration(event.seconds)}"
