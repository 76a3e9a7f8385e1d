"""Coverage of the modes of a distribution by samples."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from impasto.metrics.classes import class_fractions, kl_divergence

__all__ = ["Modes"]


@dataclass(frozen=True)
class Modes:
    """How many modes of a distribution samples cover.

    Attributes:
        covered: modes with at least one sample.
        modes: modes in all.
        high_quality: fraction of the samples that clearly belong to a mode.
        kl: KL divergence of the samples' fractions of modes from equal fractions, in nats. For n perfect samples it is
            about (modes - 1) / 2n. The most is log modes, for one mode only; it has that value, too, if no sample
            belongs to a mode.
        samples: how many there were; more samples cover more modes.
    """

    covered: int
    modes: int
    high_quality: float
    kl: float
    samples: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)

    @classmethod
    def counted(cls, labels: Tensor, modes: int, samples: int, sure: int) -> "Modes":
        """Return the coverage by samples with modes `labels` `(n,)`; of all `samples`, `sure` are of high quality."""
        if not len(labels):
            return cls(0, modes, 0.0, math.log(modes), samples)
        fractions = class_fractions(labels, modes)
        return cls(int((fractions > 0).sum()), modes, sure / samples, kl_divergence(fractions), samples)
