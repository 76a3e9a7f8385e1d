"""Translations compared with trivial baselines."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from impasto.data.folders import PictureFolder
from impasto.metrics.classifier import look
from impasto.metrics.translation import (
    Translation,
    fitted,
    judge_translation,
    judged,
    translation_score,
    unrelated_structure,
)
from impasto.networks.classifier import Classifier
from impasto.ops.resize import resize
from impasto.recipes.translation import Way

__all__ = ["Comparison", "ENOUGH", "FEWEST", "FREE", "POOR", "TITLES", "hold_out", "seen", "sides", "translate"]

ENOUGH = 50  # pictures from which on some are held out


_SHARE, _LEAST, _MOST = 0.1, 10, 100  # of them are


_SIDE = 64  # px, of what a classifier of the two kinds looks at


_PART = 8  # pictures that are translated at once


FREE = ("as they are", "colors changed")  # as `translation.baselines` calls them


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
        classifier: of the two, from `lesson.iter_domains`.
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
        """Return the one number that is declared: the mean over the ways of `translation.translation_score`."""
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


def sides(pairs: Tensor, direction: str) -> tuple[Tensor, Tensor]:
    """Return of pairs `(N, 6, H, W)` what is translated, and what it should become."""
    a, b = pairs[:, :3], pairs[:, 3:]
    return (a, b) if direction == "a-to-b" else (b, a)
