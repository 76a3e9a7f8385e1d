"""Reading ahead: the batches of the next steps are decoded in threads while a step computes."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from impasto.training.recipe import Data

__all__ = ["ReadAhead"]

_AHEAD = 4  # batches that are read before their step


class ReadAhead:
    """Batches by step. Threads read them ahead; data that are in memory already are taken at their step.

    Differs: `torch.utils.data.DataLoader` reads ahead in processes only. Each would decode and keep all pictures by
    itself, and the names of unreadable files would stay there. Here threads share both.
    """

    def __init__(self, data: Data, samples: Callable[[int], list[int]]) -> None:
        self._data, self._samples = data, samples
        self._pool = ThreadPoolExecutor(min(_AHEAD, max(1, (os.cpu_count() or 2) // 2)), "pictures")
        self._coming: dict[int, Future[Any]] = {}

    def batch(self, step: int) -> Any:
        """Return the batch of a step, as `Data.batch` does; of several processes, each gets its own samples.

        Raises:
            ImageError: none of the pictures can be read.
        """
        if getattr(self._data, "ready", False):  # to read ahead would cost more than it saves
            return self._data.batch(self._samples(step))
        self._coming = {later: future for later, future in self._coming.items() if later >= step}
        for later in range(step, step + _AHEAD + 1):
            if later not in self._coming:
                self._coming[later] = self._pool.submit(self._data.batch, self._samples(later))
        return self._coming[step].result()

    def close(self) -> None:
        """Stop reading; batches that nobody has asked for are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
