"""An alarm that rings while a generator collapses: when it makes ever fewer kinds of pictures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.metrics.classes import divergence

__all__ = ["LIMITS", "Alarm", "CollapseAlarm", "Limits"]

Level = Literal["partial", "full"]

_LEAST = 20  # pictures for each class, so that chance alone does not ring
_SHOWN = 0.01  # share from which on a class counts as made
_ROUNDING = 1e-9
_GARBAGE = 0.7  # mean confidence below which classes say nothing about what is made


@dataclass(frozen=True)
class Limits:
    """What is still allowed.

    Attributes:
        top: how far the most frequent class may be on the way from its expected share to all.
        missing: share of the classes that may be missing, those with less than 1 %.
        kl: KL of the shares to the expected ones, as a share of the log of the number of classes.
        spread: least spread of features, as a share of that of real pictures.
    """

    top: float
    missing: float
    kl: float
    spread: float


# Of ten even classes: full is more than half of the pictures of one class, fewer than seven classes, or KL above 0.69.
# Partial, where a digit takes a third: more than 0.3, fewer than nine, or KL above 0.25.
LIMITS: Mapping[Level, Limits] = MappingProxyType(
    {
        "partial": Limits(top=2 / 9, missing=0.1, kl=0.11, spread=0.75),
        "full": Limits(top=4 / 9, missing=0.3, kl=0.3, spread=0.6),
    }
)


@dataclass(frozen=True)
class Alarm:
    """The alarm has rung.

    Attributes:
        step: of the training, at which it rang.
        level: "partial" or "full".
        measure: what is beyond its limit: "top share", "classes", "kl" or "spread".
        value: of that.
        limit: for that.
        text: all of it in a sentence.
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
    """Rings when what is made has too few kinds, several times in a row.

    It is fed now and then during a training: with how many pictures of each class were made (`see_classes`) or, where
    there are no classes, with how far features are spread (`see_spread`); not with both. It answers with an `Alarm`
    when it rings, which is once for each level, and again only after it had gone away. It knows nothing of networks,
    files and time.

    Attributes:
        level: as far as it has rung: None, "partial" or "full".

    Source: the measures are those with which papers tell of collapse (classes that are made at all, share of the most
        frequent, KL to even shares: Srivastava et al. 2017, arXiv:1705.07761). The limits are our own, between
        what real digits and generators that had collapsed were found to have.
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
        """Begin.

        Args:
            classes: how many there are.
            expected: share of each in the real pictures; by default all the same.
            names: what they are called; by default by number.
            patience: how many times in a row something must be beyond its limit.
            begin: steps before that are not judged: all generators begin with one picture.
            limits: for each level, the lower first.

        Raises:
            OptionError: something is out of range.
        """
        even = [1 / max(1, classes)] * classes
        shares = torch.as_tensor(even if expected is None else expected, dtype=torch.float64, device="cpu")
        if classes < 2 or patience < 1 or tuple(shares.shape) != (classes,) or bool((shares < 0).any()):
            raise OptionError(
                f"classes are {classes}, patience {patience} and {shares.numel()} shares expected; expected 2 "
                "classes at least, patience of 1 at least, and a share of 0 or more for each class."
            )
        self.classes, self.patience, self.begin, self.limits = classes, patience, begin, dict(limits)
        shares = shares.clamp_min(_SHOWN / classes)  # one that should not be there is no collapse
        self.expected = shares / shares.sum()
        self.level = None
        self._names = list(names) or list(map(str, range(classes)))
        self._streaks = dict.fromkeys(self.limits, 0)

    def see_classes(self, step: int, counts: Sequence[int] | Tensor, confidence: float = 1.0) -> Alarm | None:
        """Take a histogram of classes; return an alarm if it rings now.

        Args:
            step: of the training.
            counts: `(classes,)`, how many pictures of each class were made, 20 for each class on average at least.
            confidence: mean confidence of the classifier, in [0, 1]. Below 0.7 what is made is no picture of any
                class, so this is not judged, neither as collapse nor as none.

        Raises:
            OptionError: there are too few pictures, or other classes.
        """
        found = torch.as_tensor(counts, dtype=torch.float64, device="cpu")
        if tuple(found.shape) != (self.classes,) or float(found.sum()) < _LEAST * self.classes:
            raise OptionError(
                f"{found.sum():g} pictures of {found.numel()} classes; expected those of {self.classes} classes, and "
                f"{_LEAST * self.classes} at least."
            )
        if confidence < _GARBAGE:
            return None
        return self._judge(
            step, {level: self._classes(found / found.sum(), some) for level, some in self.limits.items()}
        )

    def see_spread(self, step: int, spread: float, real: float) -> Alarm | None:
        """Take how far features are spread, as `frechet.spread` has it; return an alarm if it rings now.

        Args:
            step: of the training.
            spread: of made pictures.
            real: of as many real ones.

        Raises:
            OptionError: real pictures have no spread.
        """
        if real <= 0:
            raise OptionError(f"the spread of real pictures is {real:g}; expected more than 0.")
        share = spread / real
        complaints = {}
        for level, limits in self.limits.items():
            text = f"features of what is made are spread {share:.0%} as far as those of real pictures"
            complaints[level] = ("spread", share, limits.spread, text) if not share >= limits.spread else None
        return self._judge(step, complaints)

    def _classes(self, shares: Tensor, limits: Limits) -> tuple[str, float, float, str] | None:
        """Return what is wrong first: measure, value, limit, sentence."""
        excess = (shares - self.expected) / (1 - self.expected).clamp_min(1e-9)
        worst = int(excess.argmax())
        top, limit = float(shares[worst]), float(self.expected[worst] + limits.top * (1 - self.expected[worst]))
        if top > limit + _ROUNDING:
            name, usual = self._names[worst], float(self.expected[worst])
            text = f"{top:.0%} of what is made is of class {name}, expected {usual:.0%}"
            return "top share", top, limit, text
        wanted = self.expected >= _SHOWN
        made, least = int((shares[wanted] >= _SHOWN).sum()), (1 - limits.missing) * int(wanted.sum())
        if made < least - _ROUNDING:
            return "classes", made, least, f"only {made} of {int(wanted.sum())} classes are made"
        kl, most = divergence(shares, self.expected), limits.kl * math.log(self.classes)
        if kl > most + _ROUNDING:
            return "kl", kl, most, f"classes are made unevenly, KL {kl:.2f} to what is expected"
        return None

    def _judge(self, step: int, complaints: Mapping[Level, tuple[str, float, float, str] | None]) -> Alarm | None:
        if step < self.begin:
            return None
        rung = None
        for level, complaint in complaints.items():
            self._streaks[level] = 0 if complaint is None else self._streaks[level] + 1
            if self._streaks[level] >= self.patience:
                rung = level
        levels = list(self.limits)
        before = -1 if self.level is None else levels.index(self.level)
        if rung is None or levels.index(rung) <= before:
            if not any(self._streaks.values()):
                self.level = None  # it went away
            return None
        self.level = rung
        measure, value, limit, what = complaints[rung]  # type: ignore[misc]  # a streak ends with a complaint
        kind = "the generator has collapsed" if rung == levels[-1] else f"the generator begins to collapse ({rung})"
        return Alarm(step, rung, measure, float(value), float(limit), f"{kind}: {what}, at step {step}")

    def state(self) -> Tensor:
        """Return what it remembers, to be saved with a training."""
        rung = -1 if self.level is None else list(self.limits).index(self.level)
        return torch.tensor([rung, *self._streaks.values()])

    def restore(self, state: Tensor) -> None:
        """Take up what `state` returned."""
        rung, *streaks = state.tolist()
        levels = list(self.limits)
        self.level = None if rung < 0 else levels[rung]
        self._streaks = dict(zip(levels, streaks, strict=True))
