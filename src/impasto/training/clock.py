"""Learning-rate schedule and time."""

import math
import time
from collections import deque

from impasto.training.options import TrainOptions

__all__ = ["Clock", "rate"]


def rate(schedule: str, progress: float, warmup: float = 0.0) -> float:
    """Return the share of the learning rate that is used when a share of the run is done.

    Args:
        schedule: "constant"; or "linear", "half", linear in the last half, and "cosine", which fall to 0.
        progress: in [0, 1].
        warmup: the share of the run in which it rises linearly from 0 before.
    """
    if progress < warmup:
        return progress / warmup
    done = (progress - warmup) / (1 - warmup)
    falling = {"linear": 1 - done, "half": min(1.0, 2 - 2 * done), "cosine": (1 + math.cos(math.pi * done)) / 2}
    return {"constant": 1.0, **falling}[schedule]


class Clock:
    """Time spent and still to go, over all sessions of a run."""

    def __init__(self, options: TrainOptions) -> None:
        self._steps = options.steps
        self._budget = None if options.budget is None else 60 * options.budget
        self._begun = time.monotonic()
        self._lately: deque[float] = deque([self._begun], maxlen=33)

    def resume(self, seconds: float) -> None:
        """Count what was spent before."""
        self._begun -= seconds

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def progress(self, step: int) -> float:
        return min(1.0, step / self._steps if self._budget is None else self.seconds / self._budget)

    def forget(self) -> None:
        """Begin anew to count the pace; what went before was something else."""
        self._lately.clear()
        self.tick()

    def tick(self) -> None:
        self._lately.append(time.monotonic())

    @property
    def pace(self) -> float:
        return (len(self._lately) - 1) / max(self._lately[-1] - self._lately[0], 1e-9)

    def left(self, step: int) -> tuple[int, float]:
        """Return the steps in all and the seconds still to go, as far as they are known."""
        if self._budget is None:
            return self._steps, max(0, self._steps - step) / self.pace
        seconds = max(0.0, self._budget - self.seconds)
        return step + round(seconds * self.pace), seconds
