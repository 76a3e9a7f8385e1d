"""What a long operation says while it works: a stream of small frozen values, and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "Began",
    "Done",
    "Event",
    "Frame",
    "Judged",
    "Note",
    "Saved",
    "Started",
    "Step",
    "Taught",
    "Trained",
    "as_json",
    "drain",
]


@dataclass(frozen=True)
class Started:
    """The plan, before the first step: what will be computed at which size.

    Attributes:
        content: name of the picture being painted, "" when it came from memory.
        scales: one `(height, width, steps)` per scale, coarse to fine.
        tiles: into how many tiles the picture is cut at each scale.
        memory: bytes needed at once, about; 0 if it is not known.
        seconds: how long it will take, from steps on a small picture on this machine; None if not measured.
        unit: what is counted: "step", or "frame" of a video.
    """

    content: str
    scales: tuple[tuple[int, int, int], ...]
    tiles: tuple[int, ...] = ()
    memory: int = 0
    seconds: float | None = None
    unit: str = "step"


@dataclass(frozen=True)
class Step:
    """One optimizer step.

    Attributes:
        step: steps done so far in the whole run, from 1.
        steps: steps planned in the whole run; it shrinks when a scale stops early.
        scale: which scale this is, from 1 (coarsest), of `scales`.
        size: `(height, width)` in pixels at this scale.
        losses: "content", "style", "tv" (total variation) and "range" (pixels outside [0, 1]), each
            times its weight, and their sum "total", of the picture as it was before this step.
        seconds: time spent so far.
        remaining: estimated seconds still to go; None until there is something to estimate from.
        image: gives the picture after this step, `(1, 3, H, W)` in [0, 1]; valid until the next event.
        state: gives what a checkpoint needs, tensors and plain values; valid until the next event.
    """

    step: int
    steps: int
    scale: int
    scales: int
    size: tuple[int, int]
    losses: dict[str, float]
    seconds: float
    remaining: float | None
    image: Callable[[], Any] = field(repr=False)
    state: Callable[[], tuple[dict[str, Any], dict[str, Any]]] = field(repr=False)


@dataclass(frozen=True)
class Taught:
    """A part of a network was fitted.

    Attributes:
        step: parts done so far, of `steps`.
        steps: parts in all.
        name: of this part.
        losses: how far it is from what it should be, by name.
        skipped: how many files could not be read so far.
        seconds: time spent so far.
        remaining: estimated seconds still to go.
    """

    step: int
    steps: int
    name: str
    losses: dict[str, float]
    skipped: int
    seconds: float
    remaining: float


@dataclass(frozen=True)
class Began:
    """A training is about to take its first step.

    Attributes:
        recipe: name of the method.
        run: the folder that everything is written to.
        step: steps done before, by the run that is resumed; or 0.
        steps: steps planned in all; None if a time budget decides.
        budget: seconds in all; None if the number of steps decides.
        batch: pictures in each step.
        weights: how many numbers are learned.
        device: where, as "cpu" or "cuda:0".
        precision: "float32" or "bfloat16".
        processes: how many work together.
    """

    recipe: str
    run: Path
    step: int
    steps: int | None
    budget: float | None
    batch: int
    weights: int
    device: str
    precision: str
    processes: int


@dataclass(frozen=True)
class Trained:
    """One step of a training.

    Attributes:
        step: steps done so far in the whole run, from 1; it goes back when numbers were not finite.
        steps: steps planned in all; with a time budget an estimate.
        losses: by name, as the method calls them.
        learning_rate: of this step, by name of the optimizer.
        pace: steps per second, lately.
        seconds: time spent so far, in all sessions of the run.
        remaining: estimated seconds still to go.
        skipped: how many pictures could not be read so far.
        measures: of what it makes by now, by name; in most steps none are taken.
    """

    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: dict[str, float]
    pace: float
    seconds: float
    remaining: float
    skipped: int
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """One frame of a video was painted.

    Attributes:
        step: frames done so far, from 1.
        steps: frames in all.
        time: when it is shown, in seconds from the beginning of the video.
        seconds: time spent so far.
        remaining: estimated seconds still to go.
        source: the frame as it was, `(1, 3, H, W)` in [0, 1].
        image: the frame as it is now, the same, of any size.
    """

    step: int
    steps: int
    time: float
    seconds: float
    remaining: float
    source: Any = field(repr=False)
    image: Any = field(repr=False)


@dataclass(frozen=True)
class Note:
    """Something that a person should know: `text` is a sentence without a full stop."""

    text: str


@dataclass(frozen=True)
class Judged:
    """What a network makes was measured: `found` is anything that JSON can hold, see `appraisal.iter_evaluate`."""

    found: dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """A file was written: `kind` is "result", "preview", "checkpoint", "report", "figure" or "sheet"."""

    path: Path
    kind: str


@dataclass(frozen=True)
class Done:
    """The end of one operation; `image` is `(1, 3, H, W)` in [0, 1]: the result, or the last frame or preview."""

    image: Any = field(repr=False)
    steps: int
    seconds: float
    unit: str = "step"


Event = Started | Step | Taught | Began | Trained | Frame | Note | Judged | Saved | Done


def as_json(event: Event) -> dict[str, Any]:
    """Return the event's plain values under its lower-case class name, ready for `json.dumps`."""
    plain = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(event).items()
        if name not in ("image", "state", "source")
    }
    return {"event": type(event).__name__.lower(), **plain}


def drain(events: Iterator[Event]) -> Any:
    """Run a stream to its end and return the picture of its `Done`."""
    for event in events:
        if isinstance(event, Done):
            return event.image
    raise RuntimeError("the stream ended without Done")
