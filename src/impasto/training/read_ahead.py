"""Batches read ahead in threads."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from impasto.training.recipe import Data

__all__ = ["ReadAhead"]

_AHEAD = 4  # batches that are read before they are needed


class ReadAhead:
    """Batches, read in threads before they are needed; those that are in memory are taken when they are."""

    def __init__(self, data: Data, share: Callable[[int], list[int]]) -> None:
        self._data, self._share = data, share
        self._pool = ThreadPoolExecutor(min(_AHEAD, max(1, (os.cpu_count() or 2) // 2)), "pictures")
        self._coming: dict[int, Future[Any]] = {}

    def batch(self, step: int) -> Any:
        """Return what this process learns from in a step."""
        if getattr(self._data, "ready", False):  # to read ahead would cost more than it saves
            return self._data.batch(self._share(step))
        self._coming = {later: future for later, future in self._coming.items() if later >= step}
        for later in range(step, step + _AHEAD + 1):
            if later not in self._coming:
                self._coming[later] = self._pool.submit(self._data.batch, self._share(later))
        return self._coming[step].result()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
