"""The learning-rate schedule, and the clock: time spent, progress, steps per second, time left."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from impasto.training.options import TrainOptions

__all__ = ["Clock", "rate"]


def rate(schedule: str, progress: float, warmup: float = 0.0) -> float:
    """Return the factor of the learning rate, in [0, 1], at some point of the run.

    Args:
        schedule: "constant"; "linear" and "cosine" decay to 0 at the end; "half" is constant in the first half, then
            decays linearly to 0.
        progress: the fraction of the run that is done, in [0, 1].
        warmup: the fraction of the run in which the factor rises linearly from 0 to 1; the schedule follows it.
    """
    if progress < warmup:
        return progress / warmup
    done = (progress - warmup) / (1 - warmup)
    falling = {"linear": 1 - done, "half": min(1.0, 2 - 2 * done), "cosine": (1 + math.cos(math.pi * done)) / 2}
    return {"constant": 1.0, **falling}[schedule]


_ASIDE = 0.1  # largest fraction of a budget for what is not training: preparations, measures, previews, checkpoints


class Clock:
    """Time of a run over all its sessions: spent and left, in seconds.

    Progress counts steps, or time if the options have a budget. What is not training counts for a tenth of it at most.
    """

    def __init__(self, options: TrainOptions) -> None:
        self._steps = options.steps
        self._budget = None if options.budget is None else 60 * options.budget
        self._begun, self._spent, self._aside = time.monotonic(), 0.0, 0.0
        self._lately: deque[float] = deque([self._begun], maxlen=33)

    def begin(self, spent: float) -> None:
        """Start, after the seconds that earlier sessions took."""
        self._begun, self._spent = time.monotonic(), spent

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Mark what is done here as no training."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._aside += time.monotonic() - begun

    @property
    def uncounted(self) -> float:
        """Seconds of this session that do not count for the budget; 0 without one."""
        return 0.0 if self._budget is None else max(0.0, self._aside - _ASIDE * self._budget)

    @property
    def seconds(self) -> float:
        """Seconds spent so far, in all sessions, without those that do not count."""
        return self._spent + time.monotonic() - self._begun - self.uncounted

    def progress(self, step: int) -> float:
        """Return the fraction of the run that is done after some steps, in [0, 1]."""
        return min(1.0, step / self._steps if self._budget is None else self.seconds / self._budget)

    def forget(self) -> None:
        """Start to measure the pace anew, as what took time so far were no steps."""
        self._lately.clear()
        self.tick()

    def tick(self) -> None:
        """Note that a step is done."""
        self._lately.append(time.monotonic())

    @property
    def pace(self) -> float:
        """Steps per second, over the last 32 steps."""
        return (len(self._lately) - 1) / max(self._lately[-1] - self._lately[0], 1e-9)

    def left(self, step: int) -> tuple[int, float]:
        """Return the number of steps of the whole run and the seconds left; one of the two is an estimate."""
        if self._budget is None:
            return self._steps, max(0, self._steps - step) / self.pace
        seconds = max(0.0, self._budget - self.seconds)
        return step + round(seconds * self.pace), seconds
