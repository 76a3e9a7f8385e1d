"""Coverage of modes."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from impasto.metrics.classes import class_shares, divergence

__all__ = ["Modes"]


@dataclass(frozen=True)
class Modes:
    """How many of the modes were met.

    Attributes:
        covered: modes with at least one sample.
        modes: how many there are.
        high_quality: share of samples that belong to a mode beyond doubt.
        kl: KL of the samples' shares of modes to even shares, in nats; of n samples that are perfect it is about
            (modes - 1) / 2n. At most log modes, as if there were only one; so it is, too, if no sample counts.
        samples: how many were looked at; with more, more modes are met.
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
        """Return what labels `(n,)` of samples say; of all `samples`, `sure` are of high quality."""
        if not len(labels):
            return cls(0, modes, 0.0, math.log(modes), samples)
        shares = class_shares(labels, modes)
        return cls(int((shares > 0).sum()), modes, sure / samples, divergence(shares), samples)
