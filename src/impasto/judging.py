"""What looks at translations while networks learn to make them: of pictures that are held out, and by what they lack.

A referee measures the same held-out pictures every time, beside what costs nothing, and says how good the networks are
as one number, by which the best are kept.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from impasto.checkpoints import load_state
from impasto.datasets import AlignedPairs, PictureFolder
from impasto.devices import find_device
from impasto.domains import (
    LESSONS,
    PairedTranslation,
    Translation,
    iter_domains,
    judge_pairs,
    judge_translation,
    judged,
    judged_pairs,
    translation_score,
)
from impasto.evaluation import digest, load_classifier
from impasto.events import Event, Note
from impasto.networks.classifier import Classifier
from impasto.ops import resize
from impasto.options import ClassifierOptions, TranslationOptions
from impasto.recipes.judging import Look
from impasto.recipes.translating import Way

__all__ = ["ENOUGH", "TITLES", "DomainReferee", "PairReferee", "classifier_pictures", "hold_out", "sides", "translate"]

ENOUGH = 50  # pictures from which on some are held out
_SHARE, _LEAST, _MOST = 0.1, 10, 100  # of them are
_SIDE = 64  # px, of what a classifier of the two kinds looks at
_TAUGHT = 400  # pictures of each kind that it learns from, at most
_POOR = 0.75  # accuracy below which it judges nothing
_PART = 8  # pictures that are translated at once
TITLES = {"to_b": "A to B", "to_a": "B to A"}
_OTHER = {"to_b": "to_a", "to_a": "to_b"}

_Pictures = TypeVar("_Pictures", bound=PictureFolder)


def hold_out(data: _Pictures) -> tuple[_Pictures, _Pictures]:
    """Return of 50 pictures or more those that are learned from, and those that networks are judged on.

    A tenth is held out, 10 at least and 100 at most: with fewer a Fréchet distance is noise, with more it would take
    longer and say the same. (Of fewer than 50 pictures each one is needed to learn from.) Hashes of names decide, so
    that a picture stays on its side when others come or go, and pictures of the same name in both kinds, which may show
    the same, are on the same side.
    """
    count = min(_MOST, max(_LEAST, round(_SHARE * len(data))))
    order = sorted(range(len(data)), key=lambda number: hashlib.sha256(data.paths[number].stem.encode()).digest())
    return data.part(sorted(order[count:])), data.part(sorted(order[:count]), flip=False)


def classifier_pictures(pictures: Tensor) -> Tensor:
    """Return pictures `(N, 3, H, H)` as a classifier of two kinds looks at them: 64 px, or smaller ones as they are."""
    side = min(_SIDE, pictures.shape[-1])
    return resize(pictures, (side, side)).clamp(0, 1)


@torch.no_grad()
def translate(way: Way, pictures: Tensor, device: torch.device) -> Tensor:
    """Return pictures `(N, 3, H, W)` translated, a few at a time; they come and go on the CPU."""
    return torch.cat([way(part.to(device)).float().cpu() for part in torch.split(pictures, _PART)])


class DomainReferee:
    """Judges translations between two kinds of pictures, by a classifier that learns them first.

    Its score is the mean over both ways of `domains.translation_score`: 1 for pictures as they are.

    Args:
        learned: pictures of A and of B that networks learn from; the classifier learns from some of them.
        held: pictures of A and of B that nobody learns from.
        options: of the training.
        path: where the classifier is kept, or will be.
        resume: use the one that is there.
    """

    def __init__(
        self,
        learned: tuple[PictureFolder, PictureFolder],
        held: tuple[PictureFolder, PictureFolder],
        options: TranslationOptions,
        path: Path,
        *,
        resume: bool = False,
    ) -> None:
        self.learned, self.held, self.options, self.path, self.resume = learned, held, options, path, resume
        self.device = find_device(options.device)

    def prepare(self) -> Iterator[Event]:
        """Read the pictures that are held out, let a classifier learn if there is none, measure what costs nothing."""
        self.pictures = [data.each() for data in self.held]
        yield from _unread(self.held)
        if not (self.resume and self.path.is_file()):
            yield from self._taught()
        self.classifier: Classifier = load_classifier(self.path)
        self.accuracy = float(load_state(self.path)[1]["accuracy"])
        few = min(map(len, self.pictures)) < _LEAST // 2
        self.able = self.accuracy >= _POOR and not few
        a, b = (len(kind) for kind in self.pictures)
        of = f"{self.accuracy:.0%} of {a} + {b} pictures that are held out"
        if not self.able:
            yield Note(
                f"a classifier tells A from B in {of} only, so nobody judges: the two are too alike, or too few; the "
                "last networks are kept"
            )
            return
        self.basis = {way: self._beside(way, {}) for way in _OTHER}
        free = ", ".join(f"{name} get {self._free(tuple(_OTHER), name):.2f}" for name in self.basis["to_b"])
        yield Note(f"a classifier names {of} rightly and will judge translations of them; score: {free}, 0 is best")

    def _taught(self) -> Iterator[Event]:
        a, b = (classifier_pictures(data.each(_TAUGHT)) for data in self.learned)
        held = (classifier_pictures(self.pictures[0]), classifier_pictures(self.pictures[1]))
        options = ClassifierOptions(steps=LESSONS, device=self.options.device, seed=self.options.seed)
        return iter_domains(a, b, held, options, path=self.path)

    def _sides(self, way: str) -> tuple[Tensor, Tensor, int]:
        """Return what is translated, real pictures of what it should become, and which kind those are."""
        kind = 1 if way == "to_b" else 0
        return self.pictures[1 - kind], self.pictures[kind], kind

    def _beside(self, way: str, made: Mapping[str, Tensor], **more: Any) -> dict[str, Translation]:
        source, wanted, kind = self._sides(way)
        return judged(made, source, wanted, self.classifier, kind=kind, **more)

    def _free(self, ways: Iterable[str], name: str) -> float:
        """Return the score of what costs nothing."""
        basis = [self.basis[way] for way in ways]
        return sum(translation_score(one[name], one["as they are"]) for one in basis) / len(basis)

    def _judged(self, ways: Mapping[str, Way]) -> dict[str, Translation]:
        found = {}
        for name, way in ways.items():
            source, wanted, kind = self._sides(name)
            made = translate(way, source, self.device)
            back = translate(ways[_OTHER[name]], made, self.device) if _OTHER[name] in ways else None
            found[name] = judge_translation(made, source, wanted, self.classifier, back=back, kind=kind)
        return found

    def look(self, ways: Mapping[str, Way]) -> Look | None:
        """Return the score, that of changed colors, and for each way how well it does."""
        if not self.able:
            return None
        found = self._judged(ways)
        scores = [translation_score(one, self.basis[name]["as they are"]) for name, one in found.items()]
        score = sum(scores) / len(scores)
        measures = {"score": score, "score_of_colors_changed": self._free(found, "colors changed")}
        for name, one in found.items():
            told = {field: getattr(one, field) for field in ("accuracy", "frechet", "structure", "cycle_psnr")}
            measures |= {f"{field}_{name}": value for field, value in told.items() if value is not None}
        return Look(score, measures)

    def finish(self, ways: Mapping[str, Way]) -> tuple[dict[str, Any], list[str]]:
        """Return each way beside what costs nothing."""
        found = self._judged(ways)
        tables = {name: {**self.basis[name], "network": one} for name, one in found.items()}
        told: dict[str, Any] = {
            f"score_of_{name.replace(' ', '_')}": self._free(found, name) for name in self.basis["to_b"]
        }
        told |= {"held_a": len(self.pictures[0]), "held_b": len(self.pictures[1])}
        told |= {"classifier": digest(self.classifier), "classifier_accuracy": self.accuracy}
        told["tables"] = {
            TITLES[name]: {way: one.as_dict() for way, one in table.items()} for name, table in tables.items()
        }
        return told, [_words(TITLES[name], table) for name, table in tables.items()]


def _words(title: str, table: Mapping[str, Translation]) -> str:
    """Return how good a network is, in words."""
    made, same, changed = table["network"], table["as they are"], table["colors changed"]
    back = "" if made.cycle_psnr is None else f"; back again {made.cycle_psnr:.1f} dB"
    return (
        f"{title}, of {made.pictures} pictures held out: {made.accuracy:.0%} are taken for {title[-1]} (with colors "
        f"changed {changed.accuracy:.0%}, as they are {same.accuracy:.0%}); Fréchet distance {made.frechet:.3g} "
        f"({changed.frechet:.3g}, {same.frechet:.3g}); structure distance {made.structure:.2f} "
        f"({changed.structure:.2f}, {same.structure:.2f}){back}"
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
