"""What looks at translations while networks learn to make them: of pictures that are held out, and by what they lack.

A referee measures the same held-out pictures every time, beside what costs nothing, and says how good the networks are
as one number, by which the best are kept.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from impasto.datasets import AlignedPairs, PictureFolder
from impasto.devices import find_device
from impasto.domains import (
    LESSONS,
    PairedTranslation,
    Translation,
    fitted,
    iter_domains,
    judge_pairs,
    judge_translation,
    judged,
    judged_pairs,
    translation_score,
    unrelated_structure,
)
from impasto.evaluation import digest, load_classifier, look
from impasto.events import Event, Note
from impasto.networks.classifier import Classifier
from impasto.ops import resize
from impasto.options import ClassifierOptions, TranslationOptions
from impasto.recipes.judging import Look
from impasto.recipes.translating import Way

__all__ = [
    "ENOUGH",
    "FEWEST",
    "POOR",
    "TITLES",
    "Comparison",
    "DomainReferee",
    "PairReferee",
    "hold_out",
    "seen",
    "sides",
    "translate",
]

ENOUGH = 50  # pictures from which on some are held out
_SHARE, _LEAST, _MOST = 0.1, 10, 100  # of them are
_SIDE = 64  # px, of what a classifier of the two kinds looks at
_TAUGHT = 400  # crops of pictures of each kind that it learns from
_PART = 8  # pictures that are translated at once
_FREE = ("as they are", "colors changed")  # as `domains.baselines` calls them
FEWEST = 5  # pictures of each kind with which anything can be said
POOR = 0.75  # accuracy of a classifier below which it judges nothing
TITLES = {"to_b": "A to B", "to_a": "B to A"}
_OTHER = {"to_b": "to_a", "to_a": "to_b"}

_Pictures = TypeVar("_Pictures", bound=PictureFolder)


def hold_out(data: _Pictures, count: int | None = None) -> tuple[_Pictures, _Pictures]:
    """Return the pictures that are learned from, and those that networks are judged on.

    Hashes of names decide, so that a picture stays on its side when others come or go, and pictures of the same name in
    both kinds, which may show the same, are on the same side.

    Args:
        data: all of them; of fewer than 50 each one is needed to learn from.
        count: how many are held out. By default a tenth, 10 at least and 100 at most: with fewer a Fréchet distance is
            noise, with more it would take longer and say the same.
    """
    count = min(_MOST, max(_LEAST, round(_SHARE * len(data)))) if count is None else count
    order = sorted(range(len(data)), key=lambda number: hashlib.sha256(data.paths[number].stem.encode()).digest())
    return data.part(sorted(order[count:])), data.part(sorted(order[:count]), flip=False)


def seen(pictures: Tensor) -> Tensor:
    """Return pictures `(N, 3, H, H)` as a classifier of two kinds looks at them: 64 px, or smaller ones as they are."""
    side = min(_SIDE, pictures.shape[-1])
    return resize(pictures, (side, side)).clamp(0, 1)


@torch.no_grad()
def translate(way: Way, pictures: Tensor, device: torch.device) -> Tensor:
    """Return pictures `(N, 3, H, W)` translated, a few at a time; they come and go on the CPU."""
    return torch.cat([way(part.to(device)).float().cpu() for part in torch.split(pictures, _PART)])


class Comparison:
    """Translations between two kinds of pictures, beside what costs nothing, always of the same pictures.

    Args:
        pictures: of A and of B, `(N, 3, H, W)` and `(M, 3, H, W)` in [0, 1], that nobody learned from.
        classifier: of the two, from `domains.iter_domains`.
        device: where networks are.

    Attributes:
        accuracy: how many of the real pictures the classifier takes for what they are, the mean of both kinds.
        free: what costs nothing, measured, by way and name.
        unrelated: the structure distance of pictures that have nothing to do with each other, by way.
    """

    def __init__(self, pictures: tuple[Tensor, Tensor], classifier: Classifier, device: torch.device) -> None:
        self.pictures, self.classifier, self.device = pictures, classifier, device
        right = [look(classifier, fitted(kind, classifier)).labels == number for number, kind in enumerate(pictures)]
        self.accuracy = sum(float(some.double().mean()) for some in right) / len(right)
        self.free, self.unrelated = {}, {}
        for way in TITLES:
            source, wanted, kind = self._sides(way)
            self.free[way] = judged({}, source, wanted, classifier, kind=kind)
            self.unrelated[way] = unrelated_structure(source, wanted)

    def _sides(self, way: str) -> tuple[Tensor, Tensor, int]:
        """Return what is translated, real pictures of what it should become, and which kind those are."""
        kind = 1 if way == "to_b" else 0
        return self.pictures[1 - kind], self.pictures[kind], kind

    def measure(self, ways: Mapping[str, Way]) -> dict[str, Translation]:
        """Return how well networks translate: "to_b", "to_a" or both, of which each is then the other's way back."""
        found = {}
        for name, way in ways.items():
            source, wanted, kind = self._sides(name)
            made = translate(way, source, self.device)
            back = translate(ways[_OTHER[name]], made, self.device) if _OTHER[name] in ways else None
            found[name] = judge_translation(made, source, wanted, self.classifier, back=back, kind=kind)
        return found

    def score(self, found: Mapping[str, Translation]) -> float:
        """Return the one number that is declared: the mean over the ways of `domains.translation_score`."""
        scores = [
            translation_score(one, self.free[way]["as they are"], self.unrelated[way]) for way, one in found.items()
        ]
        return sum(scores) / len(scores)

    def score_of(self, name: str, ways: Iterable[str]) -> float:
        """Return the same of what costs nothing, by its name."""
        return self.score({way: self.free[way][name] for way in ways})

    def tables(self, found: Mapping[str, Translation]) -> dict[str, dict[str, dict[str, Any]]]:
        """Return each way's network beside what costs nothing, ready for `json.dumps`."""
        return {
            TITLES[way]: {
                name: {**one.as_dict(), "score": self.score({way: one})}
                for name, one in {**self.free[way], "network": network}.items()
            }
            for way, network in found.items()
        }


class DomainReferee:
    """Judges translations between two kinds of pictures, by a classifier that learns them first.

    Its score is `Comparison.score`.

    Args:
        learned: pictures of A and of B that networks learn from; the classifier learns from some of them.
        held: pictures of A and of B that nobody learns from.
        options: of the training.
        path: where the classifier is kept, or will be.
        ways: which of "to_b" and "to_a" are learned.
        resume: use the classifier that is there.
    """

    def __init__(
        self,
        learned: tuple[PictureFolder, PictureFolder],
        held: tuple[PictureFolder, PictureFolder],
        options: TranslationOptions,
        path: Path,
        *,
        ways: Sequence[str] = tuple(TITLES),
        resume: bool = False,
    ) -> None:
        self.learned, self.held, self.options, self.path = learned, held, options, path
        self.ways, self.resume = ways, resume
        self.device = find_device(options.device)
        self.comparison: Comparison | None = None

    def prepare(self) -> Iterator[Event]:
        """Read the pictures that are held out, let a classifier learn if there is none, measure what costs nothing."""
        a, b = (data.each() for data in self.held)
        yield from _unread(self.held)
        if min(len(a), len(b)) < FEWEST:
            yield Note("too few of the pictures that are held out can be read, so nobody judges; the last are kept")
            return
        if not (self.resume and self.path.is_file()):
            first, second = (data.batch(range(_TAUGHT)) for data in self.learned)  # of few pictures several crops each
            learned, held = ((seen(one), seen(other)) for one, other in ((first, second), (a, b)))
            options = ClassifierOptions(steps=LESSONS, device=self.options.device, seed=self.options.seed)
            yield from iter_domains(*learned, held, options, path=self.path)
        comparison = Comparison((a, b), load_classifier(self.path), self.device)
        of = f"{comparison.accuracy:.0%} of {len(a)} + {len(b)} pictures that are held out"
        if comparison.accuracy < POOR:
            yield Note(
                f"a classifier knows A from B in {of} only, so nobody judges: they are too alike, or too few; the last "
                "networks are kept"
            )
            return
        self.comparison = comparison
        free = ", ".join(f"{name} {comparison.score_of(name, self.ways):.2f}" for name in _FREE)
        yield Note(f"a classifier knows A from B in {of}, and will judge translations of those; 0 is best, {free}")

    def look(self, ways: Mapping[str, Way]) -> Look | None:
        """Return the score, that of changed colors, and for each way how well it does."""
        if self.comparison is None:
            return None
        found = self.comparison.measure(ways)
        score, free = self.comparison.score(found), self.comparison.score_of("colors changed", found)
        measures = {"score": score, "score_of_colors_changed": free}
        for way, one in found.items():
            told = {field: getattr(one, field) for field in ("accuracy", "frechet", "structure", "cycle_psnr")}
            measures |= {f"{field}_{way}": value for field, value in told.items() if value is not None}
        return Look(score, measures)

    def finish(self, ways: Mapping[str, Way]) -> tuple[dict[str, Any], list[str]]:
        """Return each way beside what costs nothing."""
        assert self.comparison is not None
        found = self.comparison.measure(ways)
        tables = self.comparison.tables(found)
        told: dict[str, Any] = {
            **{f"score_of_{name.replace(' ', '_')}": self.comparison.score_of(name, found) for name in _FREE},
            **{f"held_{name}": len(kind) for name, kind in zip("ab", self.comparison.pictures, strict=True)},
            "classifier": digest(self.comparison.classifier),
            "classifier_accuracy": self.comparison.accuracy,
            "tables": tables,
        }
        return told, [_words(title, table) for title, table in tables.items()]


def _words(title: str, table: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how good a network is, in words."""
    made, free = table["network"], [table[name] for name in _FREE]

    def beside(field: str, form: str) -> str:
        return f"{made[field]:{form}} ({', '.join(f'{one[field]:{form}}' for one in free)})"

    back = "" if made["cycle_psnr"] is None else f"; back again {made['cycle_psnr']:.1f} dB"
    return (
        f"{title}, of {made['pictures']} pictures held out, and in brackets what costs nothing ({', '.join(_FREE)}): "
        f"score {beside('score', '.2f')}, taken for {title[-1]} {beside('accuracy', '.0%')}, Fréchet distance "
        f"{beside('frechet', '.3g')}, structure distance {beside('structure', '.2f')}{back}"
    )


class PairReferee:
    """Judges translations whose truth is known, by their mean absolute difference from it, which is the score.

    Args:
        held: pairs that nobody learns from.
        options: of the training.
        direction: which of a pair is translated.
    """

    def __init__(self, held: AlignedPairs, options: TranslationOptions, direction: Literal["a-to-b", "b-to-a"]) -> None:
        self.held, self.direction = held, direction
        self.device = find_device(options.device)

    def prepare(self) -> Iterator[Event]:
        """Read the pairs that are held out, and measure what costs nothing."""
        pairs = self.held.each()
        yield from _unread((self.held,))
        self.able = len(pairs) > 0
        if not self.able:
            yield Note("no pair that is held out can be read, so nobody judges; the last network is kept")
            return
        self.source, self.truth = sides(pairs, self.direction)
        self.basis = judged_pairs({}, self.source, self.truth)
        free = ", ".join(f"{name} {one.l1:.3f}" for name, one in self.basis.items())
        yield Note(f"{len(pairs)} pairs are held out to judge by; mean difference from what they should be: {free}")

    def _judged(self, ways: Mapping[str, Way]) -> PairedTranslation:
        (way,) = ways.values()
        return judge_pairs(translate(way, self.source, self.device), self.truth)

    def look(self, ways: Mapping[str, Way]) -> Look | None:
        """Return the mean difference, and of what costs least, PSNR and SSIM."""
        if not self.able:
            return None
        found = self._judged(ways)
        measures = {f"l1_of_{name.replace(' ', '_')}": one.l1 for name, one in self.basis.items()}
        return Look(found.l1, {"score": found.l1, "psnr": found.psnr, "ssim": found.ssim, **measures})

    def finish(self, ways: Mapping[str, Way]) -> tuple[dict[str, Any], list[str]]:
        """Return the network beside what costs nothing."""
        found = self._judged(ways)
        table = {**self.basis, "network": found}
        told = {"held": found.pictures, "tables": {"pairs": {way: one.as_dict() for way, one in table.items()}}}
        free = ", ".join(f"{name} {one.l1:.3f}" for name, one in self.basis.items())
        words = f"mean difference from {found.pictures} pictures held out: {found.l1:.3f} ({free}); {found.psnr:.1f} dB"
        return told, [words]


def sides(pairs: Tensor, direction: str) -> tuple[Tensor, Tensor]:
    """Return of pairs `(N, 6, H, W)` what is translated, and what it should become."""
    a, b = pairs[:, :3], pairs[:, 3:]
    return (a, b) if direction == "a-to-b" else (b, a)


def _unread(held: tuple[PictureFolder, ...]) -> Iterator[Event]:
    names = [name for data in held for name in data.skipped]
    if names:
        count = f"{len(names)} of the pictures that are held out"
        yield Note(f"{count} could not be read, {Path(names[0]).name} first")
