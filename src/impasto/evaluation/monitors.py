"""What looks at made pictures while a generator learns: a distance from real ones, and the alarm for its collapse."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import load_state
from impasto.data.arrays import Sets
from impasto.data.synthetic import Mixture
from impasto.devices import find_device
from impasto.errors import OptionError
from impasto.evaluation.collapse import CollapseAlarm
from impasto.evaluation.generative import Evaluator
from impasto.events import Event, Note
from impasto.metrics.classes import class_shares, divergence
from impasto.metrics.classifier import look
from impasto.metrics.frechet import frechet_distance, spread
from impasto.networks.classifier import Classifier
from impasto.ops.linear_algebra import principal_components
from impasto.recipes.classifier.lesson import iter_lesson
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.options import AdversarialOptions
from impasto.training.monitor import Look

__all__ = ["ClassJudge", "PixelJudge", "PointJudge", "count_classes", "make_judge"]

_REAL = 10_000  # real pictures that made ones are compared with, at most
_SEED = 0  # of which they are
_EACH = 20  # pictures of each class that an alarm needs
_MOST_CLASSES = 50  # with more, that is too many pictures
_COMPONENTS = 32  # principal components that stand for features where there are no classes
_LESSONS = 600  # steps of a classifier, which takes a fraction of a minute


class _Judge:
    """What all judges have: an alarm, and how many they look at."""

    def __init__(self, options: AdversarialOptions, alarm: CollapseAlarm) -> None:
        self.options, self.alarm, self.count = options, alarm, options.watch_pictures

    def prepare(self) -> Iterator[Event]:
        """Yield what happens until it can look; most can at once."""
        yield from ()

    def state(self) -> dict[str, Tensor]:
        """Return what the alarm remembers."""
        return {"alarm": self.alarm.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self.alarm.restore(state["alarm"])


class _PictureJudge(_Judge):
    """One that has some real pictures."""

    def __init__(self, sets: Sets, options: AdversarialOptions, alarm: CollapseAlarm) -> None:
        super().__init__(options, alarm)
        images = sets.train.images
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SEED))[:_REAL]
        self.sets, self.real = sets, images[chosen.to(images.device)]


class PixelJudge(_PictureJudge):
    """Knows of no classes: it compares principal components of pixels, and how far they are spread.

    Args:
        sets: what is learned from, and what results are measured on.
        options: of the training.
    """

    def __init__(self, sets: Sets, options: AdversarialOptions) -> None:
        super().__init__(sets, options, CollapseAlarm(begin=2 * options.watch_steps))

    def look(self, step: int, made: Tensor) -> Look:
        """Return the Fréchet distance, and the spread as a share of that of real pictures."""
        rows = self._features(made)
        score, share = frechet_distance(self._seen, rows), spread(rows) / max(spread(self._seen), 1e-12)
        rung = self.alarm.see_spread(step, share, 1.0)
        return Look(score, {"frechet": score, "spread": share}, None if rung is None else rung.text)

    def score(self, made: Tensor) -> float:
        """Return the Fréchet distance."""
        return frechet_distance(self._seen, self._features(made))

    def finish(self, made: Tensor) -> dict[str, Any]:
        """Return the numbers of other pictures than those that the best was chosen by."""
        rows = self._features(made)
        share = spread(rows) / max(spread(self._seen), 1e-12)
        return {"features": f"{len(rows[0])} principal components", "frechet": self.score(made), "spread": share}

    @cached_property
    def _pca(self) -> tuple[Tensor, Tensor]:
        return principal_components(self.real.cpu().flatten(1), _COMPONENTS)

    @cached_property
    def _seen(self) -> Tensor:
        return self._features(self.real)

    def _features(self, pictures: Tensor) -> Tensor:
        mean, directions = self._pca
        pictures = pictures if pictures.dtype == torch.uint8 else 255 * pictures
        return (pictures.cpu().flatten(1).double() - mean) @ directions.T / 255


class ClassJudge(_PictureJudge):
    """Asks a classifier, which learns first if none is given.

    Args:
        sets: with labels.
        options: of the training.
        path: where the classifier is kept, or will be.
        known: the classifier, if there is one already.
    """

    def __init__(self, sets: Sets, options: AdversarialOptions, path: Path, known: Classifier | None = None) -> None:
        labels = sets.train.labels
        assert labels is not None
        self.path, self.classifier, self.classes = path, known, int(labels.max()) + 1
        self.expected = class_shares(labels, self.classes)
        begin = 2 * options.watch_steps
        alarm = CollapseAlarm(self.classes, expected=self.expected, names=sets.train.names, begin=begin)
        super().__init__(sets, options, alarm)
        self.count = max(self.count, _EACH * self.classes)

    def prepare(self) -> Iterator[Event]:
        """Let a classifier learn, and keep it."""
        if self.classifier is None:
            yield from self._taught()
            self.classifier = load_classifier(self.path)
        self.classifier.to(find_device(self.options.device))

    def _taught(self) -> Iterator[Event]:
        train, test = self.sets
        channels, height, width = train.shape
        with torch.random.fork_rng():
            torch.manual_seed(self.options.seed)
            network = Classifier(self.classes, channels, (height, width))
        options = ClassifierOptions(steps=_LESSONS, device=self.options.device, seed=self.options.seed)
        held = (test.images, test.labels) if test.labels is not None else (test.images[:0], torch.zeros(0))
        yield from iter_lesson(network, train.labeled(), held, options, path=self.path)
        told = load_state(self.path)[1]
        if told["accuracy"] is not None:
            yield Note(
                f"a classifier will look at what is made; it names {told['accuracy']:.1%} of {told['held']:,} pictures "
                "rightly that it had not seen"
            )

    def look(self, step: int, made: Tensor) -> Look:
        """Return the Fréchet distance, and which classes are made."""
        assert self.classifier is not None
        seen = look(self.classifier, made)
        shares = class_shares(seen.labels, self.classes)
        confidence = float(seen.confidence.mean())
        score = frechet_distance(self._seen, seen.features)
        rung = self.alarm.see_classes(step, seen.counts, confidence)
        measures = {
            "frechet": score,
            "classes": float((shares >= 0.01).sum()),
            "top_share": float(shares.max()),
            "kl": divergence(shares, self.expected),
            "confidence": confidence,
        }
        return Look(score, measures, None if rung is None else rung.text)

    def score(self, made: Tensor) -> float:
        """Return the Fréchet distance."""
        assert self.classifier is not None
        return frechet_distance(self._seen, look(self.classifier, made).features)

    def finish(self, made: Tensor) -> dict[str, Any]:
        """Return `generative.Quality` of other pictures than those that the best was chosen by, and of real ones."""
        assert self.classifier is not None
        told: dict[str, Any] = {"features": "classifier", "classifier": digest(self.classifier)}
        try:
            measure = Evaluator(self.classifier, self.real, self.sets.test.images, count=self.count)
        except OptionError:  # too few are held out
            return told | {"frechet": self.score(made)}
        quality = measure(made)
        return told | {"frechet": quality.frechet, "made": quality.as_dict(), "real": measure.real.as_dict()}

    @cached_property
    def _seen(self) -> Tensor:
        assert self.classifier is not None
        return look(self.classifier, self.real).features


class PointJudge(_Judge):
    """Knows where the modes of a mixture are, and counts how many of the points lie in each.

    The score is the share of the points that lie in the wrong place: half the sum, over all modes and what is near
    none, of how far the shares of made points are from those of the mixture; 0 is perfect, 1 the worst.

    Args:
        data: what is learned from.
        options: of the training.
    """

    def __init__(self, data: Mixture, options: AdversarialOptions) -> None:
        modes = len(data.centers)
        super().__init__(options, CollapseAlarm(modes, begin=2 * options.watch_steps))
        self.data, self.count = data, max(self.count, _EACH * modes)

    def look(self, step: int, made: Tensor) -> Look:
        """Return which modes are met, and how many points lie near one."""
        found, score = self.data.modes(made), self.score(made)
        measures = {
            "misplaced": score,
            "modes": float(found.covered),
            "high_quality": found.high_quality,
            "kl": found.kl,
        }
        counts = torch.bincount(self.data.nearest(made)[1], minlength=len(self.data.centers))
        rung = self.alarm.see_classes(step, counts)
        return Look(score, measures, None if rung is None else rung.text)

    def score(self, made: Tensor) -> float:
        """Return the share of points that lie in the wrong place."""
        return self.data.misplaced(made)

    def finish(self, made: Tensor) -> dict[str, Any]:
        """Return `modes.Modes` of other points than those that the best was chosen by."""
        return {"modes": self.data.modes(made).as_dict(), "misplaced": self.score(made)}


def make_judge(sets: Sets, options: AdversarialOptions, path: Path, *, resume: bool = False) -> ClassJudge | PixelJudge:
    """Return what can look at pictures of a set: by their classes, if it has some, and else by their pixels.

    Args:
        sets: what is learned from, and what results are measured on.
        options: of the training, which may name a classifier.
        path: where a classifier is kept that learns for this training.
        resume: use the one that is there.

    Raises:
        CheckpointError: the file of the classifier is missing or damaged.
        WeightsError: it holds another network.
        OptionError: the classifier is for other pictures or classes, or there is nothing to compare with.
    """
    if len(sets.train) < 2:
        raise OptionError(
            "there is one picture to learn from; what is made is compared with two at least: give it more pictures, or "
            "--watch-steps 0."
        )
    classes = count_classes(sets.train.labels)
    if options.classifier:
        known = load_classifier(options.classifier)
        (channels, *size), size_known = sets.train.shape, list(known.size)
        if (known.classes, known.channels, size_known) != (classes, channels, size):
            ours, theirs = (
                f"{count} classes of {'×'.join(map(str, (depth, *sides)))}"
                for count, depth, sides in ((known.classes, known.channels, size_known), (classes, channels, size))
            )
            raise OptionError(f"{options.classifier} knows {ours}; expected {theirs}, as the pictures are.")
        return ClassJudge(sets, options, path, known)
    if not 2 <= classes <= _MOST_CLASSES:
        return PixelJudge(sets, options)
    return ClassJudge(sets, options, path, load_classifier(path) if resume and path.is_file() else None)


def count_classes(labels: Tensor | None) -> int:
    """Return how many classes labels tell apart; 0 if they say nothing about them."""
    if labels is None or int(labels.min()) < 0 or int(labels.min()) == int(labels.max()):
        return 0
    return int(labels.max()) + 1
