"""Alarm for mode collapse: a generator that generates ever fewer classes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.metrics.classes import kl_divergence

__all__ = ["LIMITS", "Alarm", "CollapseAlarm", "Limits"]

Level = Literal["partial", "full"]

_LEAST = 20  # samples for each class, so that chance alone raises no alarm
_PRESENT = 0.01  # least fraction of a class that counts as generated
_ROUNDING = 1e-9
_CONFIDENT = 0.7  # mean confidence below which the classes of samples mean nothing


@dataclass(frozen=True)
class Limits:
    """Limits of what counts as no collapse.

    Attributes:
        top: how far the most frequent class may be on the way from its expected fraction to 1.
        missing: fraction of the classes that may be missing; a class with less than 1 % is missing.
        kl: KL divergence of the class fractions from the expected ones, divided by the log of the number of classes.
        spread: least spread of features, divided by that of real images.
    """

    top: float
    missing: float
    kl: float
    spread: float


# Of ten equal classes, full is more than half of the samples in one class, fewer than 7 classes, or KL above 0.69.
# Partial, where one class takes a third, is more than 0.3, fewer than 9 classes, or KL above 0.25.
LIMITS: Mapping[Level, Limits] = MappingProxyType(
    {
        "partial": Limits(top=2 / 9, missing=0.1, kl=0.11, spread=0.75),
        "full": Limits(top=4 / 9, missing=0.3, kl=0.3, spread=0.6),
    }
)


@dataclass(frozen=True)
class Alarm:
    """An alarm that was raised.

    Attributes:
        step: step of the training.
        level: "partial" or "full".
        measure: what exceeds its limit: "top fraction", "classes", "kl" or "spread".
        value: its value.
        limit: its limit.
        text: the alarm as a sentence without a full stop.
    """

    step: int
    level: Level
    measure: str
    value: float
    limit: float
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


class CollapseAlarm:
    """Raises an alarm when samples have too few classes, several times in a row.

    A monitor gives it, now and then during a training, the number of samples of each class (`see_classes`) or, where
    there are no classes, the spread of features (`see_spread`); not both. It returns an `Alarm` once for each level,
    and again only after the collapse has ended. It knows nothing of networks, files and time.

    Attributes:
        level: of the present collapse: None, "partial" or "full".

    Source: the measures are those of the papers on mode collapse (number of classes, fraction of the most frequent
        class, KL divergence from equal fractions: Srivastava et al. 2017, arXiv:1705.07761). The limits are our own,
        between the values of real digits and those of generators that had collapsed.
    """

    level: Level | None

    def __init__(
        self,
        classes: int = 10,
        *,
        expected: Sequence[float] | Tensor | None = None,
        names: Sequence[str] = (),
        patience: int = 2,
        begin: int = 0,
        limits: Mapping[Level, Limits] = LIMITS,
    ) -> None:
        """Begin without an alarm.

        Args:
            classes: number of classes.
            expected: fraction of each class in the real images; by default equal fractions.
            names: names of the classes; by default their numbers.
            patience: how many times in a row a measure must exceed its limit.
            begin: earlier steps raise no alarm, since every generator begins with nearly equal samples.
            limits: for each level, the lower first.

        Raises:
            OptionError: an argument is out of range.
        """
        equal = [1 / max(1, classes)] * classes
        fractions = torch.as_tensor(equal if expected is None else expected, dtype=torch.float64, device="cpu")
        if classes < 2 or patience < 1 or tuple(fractions.shape) != (classes,) or bool((fractions < 0).any()):
            raise OptionError(
                f"classes are {classes}, patience is {patience} and there are {fractions.numel()} fractions; expected "
                "2 classes or more, patience of 1 or more, and a fraction of 0 or more for each class."
            )
        self.classes, self.patience, self.begin, self.limits = classes, patience, begin, dict(limits)
        fractions = fractions.clamp_min(_PRESENT / classes)  # a class that should not be there is no collapse
        self.expected = fractions / fractions.sum()
        self.level = None
        self._names = list(names) or list(map(str, range(classes)))
        self._streaks = dict.fromkeys(self.limits, 0)

    def see_classes(self, step: int, counts: Sequence[int] | Tensor, confidence: float = 1.0) -> Alarm | None:
        """Take a histogram of classes; return an alarm if it is raised now.

        Args:
            step: step of the training.
            counts: `(classes,)`, number of samples of each class, on average 20 or more for each.
            confidence: mean confidence of the classifier, in [0, 1]. Below 0.7 the samples show no class, so the
                histogram counts neither as collapse nor as none.

        Raises:
            OptionError: there are too few samples, or other classes.
        """
        found = torch.as_tensor(counts, dtype=torch.float64, device="cpu")
        if tuple(found.shape) != (self.classes,) or float(found.sum()) < _LEAST * self.classes:
            raise OptionError(
                f"{found.sum():g} samples of {found.numel()} classes; expected {self.classes} classes, and "
                f"{_LEAST * self.classes} samples or more."
            )
        if confidence < _CONFIDENT:
            return None
        return self._update(
            step, {level: self._classes(found / found.sum(), some) for level, some in self.limits.items()}
        )

    def see_spread(self, step: int, spread: float, real: float) -> Alarm | None:
        """Take the spread of features, from `frechet.spread`; return an alarm if it is raised now.

        Args:
            step: step of the training.
            spread: of the generated samples.
            real: of as many real images.

        Raises:
            OptionError: the real images have no spread.
        """
        if real <= 0:
            raise OptionError(f"the spread of real images is {real:g}; expected more than 0.")
        ratio = spread / real
        complaints = {}
        for level, limits in self.limits.items():
            text = f"the features of the samples have {ratio:.0%} of the spread of real images"
            complaints[level] = ("spread", ratio, limits.spread, text) if not ratio >= limits.spread else None
        return self._update(step, complaints)

    def _classes(self, fractions: Tensor, limits: Limits) -> tuple[str, float, float, str] | None:
        """Return the first measure that exceeds its limit: name, value, limit, sentence."""
        excess = (fractions - self.expected) / (1 - self.expected).clamp_min(1e-9)
        worst = int(excess.argmax())
        top, limit = float(fractions[worst]), float(self.expected[worst] + limits.top * (1 - self.expected[worst]))
        if top > limit + _ROUNDING:
            name, expected = self._names[worst], float(self.expected[worst])
            text = f"{top:.0%} of the samples are of class {name}, expected {expected:.0%}"
            return "top fraction", top, limit, text
        wanted = self.expected >= _PRESENT
        present, least = int((fractions[wanted] >= _PRESENT).sum()), (1 - limits.missing) * int(wanted.sum())
        if present < least - _ROUNDING:
            return "classes", present, least, f"only {present} of {int(wanted.sum())} classes are generated"
        kl, most = kl_divergence(fractions, self.expected), limits.kl * math.log(self.classes)
        if kl > most + _ROUNDING:
            return "kl", kl, most, f"the class fractions have a KL divergence of {kl:.2f} from the expected ones"
        return None

    def _update(self, step: int, complaints: Mapping[Level, tuple[str, float, float, str] | None]) -> Alarm | None:
        if step < self.begin:
            return None
        raised = None
        for level, complaint in complaints.items():
            self._streaks[level] = 0 if complaint is None else self._streaks[level] + 1
            if self._streaks[level] >= self.patience:
                raised = level
        levels = list(self.limits)
        before = -1 if self.level is None else levels.index(self.level)
        if raised is None or levels.index(raised) <= before:
            if not any(self._streaks.values()):
                self.level = None  # the collapse has ended
            return None
        self.level = raised
        measure, value, limit, what = complaints[raised]  # type: ignore[misc]  # a streak ends with a complaint
        how = "has collapsed" if raised == levels[-1] else f"begins to collapse ({raised})"
        text = f"the generator {how}: {what}, at step {step}"
        return Alarm(step, raised, measure, float(value), float(limit), text)

    def state(self) -> Tensor:
        """Return what it remembers, `(1 + levels,)` whole numbers, to be saved with a training."""
        level = -1 if self.level is None else list(self.limits).index(self.level)
        return torch.tensor([level, *self._streaks.values()])

    def restore(self, state: Tensor) -> None:
        """Take up what `state` returned."""
        level, *streaks = state.tolist()
        levels = list(self.limits)
        self.level = None if level < 0 else levels[level]
        self._streaks = dict(zip(levels, streaks, strict=True))
