"""Events: what a long operation tells while it works, as a stream of small frozen values and nothing else."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

__all__ = ["Done", "Event", "Measured", "Note", "Phase", "Saved", "Started", "Step", "as_json", "drain", "noted"]

Phase = Literal["optimize", "train", "fit", "frame"]


def _nothing() -> None:
    """Stand in for what a phase does not have."""


@dataclass(frozen=True)
class Started:
    """The plan, before the first step; fields that do not apply keep their defaults.

    Attributes:
        content: name of the picture or video that is processed, "" when it came from memory.
        scales: one `(height, width, steps)` per scale of a picture, coarse to fine; of a video its frames.
        tiles: into how many tiles the picture is cut at each scale.
        memory: bytes needed at once, estimated; 0 if it is not known.
        seconds: estimated duration, from steps on a small picture on this machine; None if not measured.
        unit: what is counted: "step", or "frame" of a video.
        recipe: name of the training method.
        run: folder of the training.
        step: steps done before, by the run that is resumed; or 0.
        steps: steps planned in all; None if a time budget decides.
        budget: seconds in all; None if the number of steps decides.
        batch: batch size over all processes.
        weights: number of parameters that are trained.
        device: "cpu" or "cuda:0", for example.
        precision: "float32" or "bfloat16".
        processes: how many train together.
    """

    content: str = ""
    scales: tuple[tuple[int, int, int], ...] = ()
    tiles: tuple[int, ...] = ()
    memory: int = 0
    seconds: float | None = None
    unit: str = "step"
    recipe: str = ""
    run: Path | None = None
    step: int = 0
    steps: int | None = None
    budget: float | None = None
    batch: int = 0
    weights: int = 0
    device: str = ""
    precision: str = ""
    processes: int = 1


@dataclass(frozen=True)
class Step:
    """One step of any phase; fields that do not apply keep their defaults.

    Attributes:
        step: steps, layers or frames done so far, from 1; in a training it goes back after a loss was not finite.
        steps: planned in all; with a time budget an estimate.
        phase: "optimize": pixels of a picture; "train": one step of a training; "fit": a layer or a network that is
            fitted beside a training; "frame": a frame of a video.
        losses: by name. Of "optimize": "content", "style", "tv" (total variation) and "range" (pixels outside [0, 1]),
            each times its weight, and their sum "total", of the picture before this step. Of "train": without the
            weights of the recipe's `loss_weights`.
        progress: fraction of the work that is done, in [0, 1]: of "optimize" by the estimated time of each scale, of
            "train" by time if there is a budget, of others by steps.
        seconds: time spent so far; of a training in all its sessions.
        remaining: estimated seconds still to go; None until there is something to estimate from.
        name: of the layer or network that is fitted.
        scale: optimize: which scale this is, from 1 (coarsest), of `scales`.
        scales: optimize: how many scales there are.
        size: optimize: `(height, width)` in pixels at this scale.
        time: frame: when it is shown, in seconds from the beginning of the video.
        learning_rate: train: of this step, by name of the optimizer.
        pace: train: steps per second, lately.
        skipped: train and fit: how many files could not be read so far.
        measures: train: what a monitor measured after this step, by name; empty in most steps. Optimize: "content" and
            "style", without weights, as fractions of the losses of a blank picture, as in `score`; of the picture
            before this step, with the feature extractor of this scale.
        image: gives the picture or frame after this step, `(1, 3, H, W)` in [0, 1]; valid until the next event.
        source: frame: gives the frame as it was, the same.
        state: optimize: gives what a checkpoint needs, tensors and plain values; valid until the next event.
    """

    step: int
    steps: int
    phase: Phase
    losses: dict[str, float] = field(default_factory=dict)
    progress: float | None = None
    seconds: float = 0.0
    remaining: float | None = None
    name: str = ""
    scale: int = 0
    scales: int = 0
    size: tuple[int, int] = (0, 0)
    time: float = 0.0
    learning_rate: dict[str, float] = field(default_factory=dict)
    pace: float = 0.0
    skipped: int = 0
    measures: dict[str, float] = field(default_factory=dict)
    image: Callable[[], Any] = field(default=_nothing, repr=False)
    source: Callable[[], Any] = field(default=_nothing, repr=False)
    state: Callable[[], Any] = field(default=_nothing, repr=False)

    def __post_init__(self) -> None:
        if self.progress is None:
            object.__setattr__(self, "progress", self.step / max(1, self.steps))


@dataclass(frozen=True)
class Note:
    """Something that a person should know: `text` is a sentence without a full stop."""

    text: str


@dataclass(frozen=True)
class Measured:
    """A trained network was evaluated: `found` is anything that JSON can hold, see `api.evaluate`."""

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


Event = Started | Step | Note | Measured | Saved | Done

_IN_MEMORY = ("image", "source", "state")  # nothing for JSON
_FIELDS: dict[Phase, tuple[str, ...]] = {  # of a step, as JSON tells them
    "optimize": (
        "step", "steps", "phase", "progress", "scale", "scales", "size", "losses", "measures", "seconds", "remaining",
    ),
    "train": (
        "step", "steps", "phase", "progress", "losses", "learning_rate", "pace", "seconds", "remaining", "skipped",
        "measures",
    ),
    "fit": ("step", "steps", "phase", "progress", "name", "losses", "skipped", "seconds", "remaining"),
    "frame": ("step", "steps", "phase", "progress", "time", "seconds", "remaining"),
}  # fmt: skip
_OF_TRAINING = ("run", "step", "steps", "budget", "batch", "weights", "device", "precision", "processes")


def as_json(event: Event) -> dict[str, Any]:
    """Return the event's plain values under its lower-case class name, ready for `json.dumps`.

    Fields that do not apply to the phase are left out.
    """
    names = [one.name for one in fields(event) if one.name not in _IN_MEMORY]
    if isinstance(event, Step):
        names = list(_FIELDS[event.phase])
    elif isinstance(event, Started):
        names = ["recipe", *_OF_TRAINING] if event.recipe else [n for n in names if n not in ("recipe", *_OF_TRAINING)]
    plain = {name: str(value) if isinstance(value := getattr(event, name), Path) else value for name in names}
    return {"event": type(event).__name__.lower(), **plain}


def noted(sentences: Iterable[str], events: Iterator[Event]) -> Iterator[Event]:
    """Yield a stream with a Note for each sentence after its Started; closing it closes the stream."""
    waiting = [Note(sentence) for sentence in sentences]
    try:
        for event in events:
            if not isinstance(event, Started):
                yield from waiting
                waiting = []
            yield event
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()


def drain(events: Iterator[Event]) -> Any:
    """Run a stream to its end and return the picture of its `Done`."""
    for event in events:
        if isinstance(event, Done):
            return event.image
    raise RuntimeError("the stream ended without Done")
