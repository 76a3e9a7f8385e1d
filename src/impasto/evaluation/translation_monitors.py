"""Monitors of translators while they learn."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from impasto.checkpoints.classifier import digest, load_classifier
from impasto.data.folders import AlignedPairs, PictureFolder
from impasto.devices import find_device
from impasto.evaluation.translation import FEWEST, FREE, POOR, TITLES, Comparison, seen, sides, translate
from impasto.events import Event, Note
from impasto.metrics.translation import PairedTranslation, judge_pairs, judged_pairs
from impasto.recipes.classifier.lesson import LESSONS, iter_domains
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.options import TranslationOptions
from impasto.recipes.translation import Way
from impasto.training.monitor import Look

__all__ = ["DomainReferee", "PairReferee"]

_TAUGHT = 400  # crops of pictures of each kind that it learns from


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
        free = ", ".join(f"{name} {comparison.score_of(name, self.ways):.2f}" for name in FREE)
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
            **{f"score_of_{name.replace(' ', '_')}": self.comparison.score_of(name, found) for name in FREE},
            **{f"held_{name}": len(kind) for name, kind in zip("ab", self.comparison.pictures, strict=True)},
            "classifier": digest(self.comparison.classifier),
            "classifier_accuracy": self.comparison.accuracy,
            "tables": tables,
        }
        return told, [_words(title, table) for title, table in tables.items()]


def _words(title: str, table: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how good a network is, in words."""
    made, free = table["network"], [table[name] for name in FREE]

    def beside(field: str, form: str) -> str:
        return f"{made[field]:{form}} ({', '.join(f'{one[field]:{form}}' for one in free)})"

    back = "" if made["cycle_psnr"] is None else f"; back again {made['cycle_psnr']:.1f} dB"
    return (
        f"{title}, of {made['pictures']} pictures held out, and in brackets what costs nothing ({', '.join(FREE)}): "
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


def _unread(held: tuple[PictureFolder, ...]) -> Iterator[Event]:
    names = [name for data in held for name in data.skipped]
    if names:
        count = f"{len(names)} of the pictures that are held out"
        yield Note(f"{count} could not be read, {Path(names[0]).name} first")
