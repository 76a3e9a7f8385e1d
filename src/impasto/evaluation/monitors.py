"""Monitors of generators and translators: measures, scores and the alarm for mode collapse during a training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import load_state
from impasto.data.arrays import Sets
from impasto.data.folders import AlignedPairs, PictureFolder
from impasto.data.synthetic import Mixture
from impasto.devices import find_device
from impasto.errors import OptionError
from impasto.evaluation.collapse import CollapseAlarm
from impasto.evaluation.translation import (
    FEWEST,
    TITLES,
    UNRELIABLE,
    PairEvaluator,
    UnpairedEvaluator,
    shrink,
)
from impasto.events import Event, Note
from impasto.metrics.classes import class_fractions, kl_divergence
from impasto.metrics.classifier import classify
from impasto.metrics.frechet import frechet_distance, spread, unsteady
from impasto.metrics.generative import PRESENT, ClassEvaluator
from impasto.metrics.translation import BASELINES
from impasto.networks.classifier import Classifier
from impasto.ops.linear_algebra import principal_components
from impasto.training.monitor import Measurement, Models

__all__ = [
    "ClassMonitor",
    "MixtureMonitor",
    "PairMonitor",
    "PixelMonitor",
    "UnpairedMonitor",
    "count_classes",
    "make_monitor",
]

Trainer = Callable[..., Iterator[Event]]
_REAL = 10_000  # real images that samples are compared with, at most
_REAL_SEED = 0  # decides which they are
_MEASURE_SEED, _FINISH_SEED = 0, 2  # of latent codes, whatever the seed of the run
_EACH = 20  # samples of each class that the alarm needs
_MOST_CLASSES = 50  # more classes would need too many samples
_COMPONENTS = 32  # principal components, where there are no classes
_CROPS = 400  # training crops of each domain for the classifier

# --- generators -----------------------------------------------------------------------------------


class _GeneratorMonitor:
    """What monitors of generators share: the number of samples, and the alarm for mode collapse."""

    real: Tensor  # images of the training set

    def __init__(self, every: int, count: int, alarm: CollapseAlarm) -> None:
        self.every, self.count, self.alarm = every, count, alarm

    def prepare(self) -> Iterator[Event]:
        """Yield nothing: most can measure at once."""
        yield from ()

    def state(self) -> dict[str, Tensor]:
        """Return what the alarm remembers."""
        return {"alarm": self.alarm.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self.alarm.restore(state["alarm"])

    def _samples(self, models: Models, seed: int) -> Tensor:
        return models["generator"](self.count, seed)

    @property
    def _few(self) -> list[str]:
        """The sentence on Fréchet distances of few images, if they are few."""
        few = unsteady(min(self.count, len(self.real)))
        return [few] if few else []


class PixelMonitor(_GeneratorMonitor):
    """Monitors a generator without classes, by principal components of pixels.

    The score is the Fréchet distance of the components to those of real images.

    Args:
        sets: the training set, and a test set.
        every: steps between two measurements.
        count: samples of each measurement.
    """

    def __init__(self, sets: Sets, *, every: int, count: int) -> None:
        super().__init__(every, count, CollapseAlarm(begin=2 * every))
        self.real = _some_real(sets)

    def measure(self, step: int, models: Models) -> Measurement:
        """Return the Fréchet distance, and the spread of the samples divided by that of real images."""
        score, ratio, _ = self._distance(models, _MEASURE_SEED)
        alarm = self.alarm.see_spread(step, ratio, 1.0)
        return Measurement(score, {"frechet": score, "spread": ratio}, None if alarm is None else alarm.text)

    def finish(self, models: Models) -> tuple[dict[str, Any], list[str]]:
        """Return the measures of other samples than those that chose the best checkpoint."""
        score, ratio, width = self._distance(models, _FINISH_SEED)
        told = {"features": f"{width} principal components", "frechet": score, "spread": ratio}
        words = f"Fréchet distance {score:.3g} by {width} principal components, {ratio:.0%} of the real spread"
        return told, [words, *self._few]

    def _distance(self, models: Models, seed: int) -> tuple[float, float, int]:
        rows = self._features(self._samples(models, seed))
        score = frechet_distance(self._real_features, rows)
        return score, spread(rows) / max(spread(self._real_features), 1e-12), len(rows[0])

    @cached_property
    def _components(self) -> tuple[Tensor, Tensor]:
        return principal_components(self.real.cpu().flatten(1), _COMPONENTS)

    @cached_property
    def _real_features(self) -> Tensor:
        return self._features(self.real)

    def _features(self, images: Tensor) -> Tensor:
        mean, directions = self._components
        images = images if images.dtype == torch.uint8 else 255 * images
        return (images.cpu().flatten(1).double() - mean) @ directions.T / 255


class ClassMonitor(_GeneratorMonitor):
    """Monitors a generator by a classifier of the training set, which is trained first if none is given.

    The score is the Fréchet distance of the classifier's features to those of real images.

    Args:
        sets: the training set, with labels, and a test set.
        every: steps between two measurements.
        count: samples of each measurement; at least 20 for each class are taken.
        device: where the classifier is put.
        path: file of the classifier that is trained.
        seed: of its training.
        train_classifier: trains it; as `recipes.classifier.train_beside.train_classifier`.
        classifier: the classifier, if there is one already.
    """

    def __init__(
        self,
        sets: Sets,
        *,
        every: int,
        count: int,
        device: str,
        path: Path,
        seed: int,
        train_classifier: Trainer,
        classifier: Classifier | None = None,
    ) -> None:
        labels = sets.train.labels
        assert labels is not None
        self.sets, self.device, self.path, self.seed = sets, device, path, seed
        self.train_classifier, self.classifier = train_classifier, classifier
        self.classes = int(labels.max()) + 1
        self.expected = class_fractions(labels, self.classes)
        alarm = CollapseAlarm(self.classes, expected=self.expected, names=sets.train.names, begin=2 * every)
        super().__init__(every, max(count, _EACH * self.classes), alarm)
        self.real = _some_real(sets)

    def prepare(self) -> Iterator[Event]:
        """Train a classifier if there is none, and keep it."""
        if self.classifier is None:
            yield from self.train_classifier(self.sets, path=self.path, seed=self.seed, device=self.device)
            about = load_state(self.path)[1]
            if about["accuracy"] is not None:
                yield Note(
                    f"a classifier will measure the samples; its accuracy is {about['accuracy']:.1%} on "
                    f"{about['held']:,} held-out images"
                )
            self.classifier = load_classifier(self.path)
        self.classifier.to(find_device(self.device))

    def measure(self, step: int, models: Models) -> Measurement:
        """Return the Fréchet distance, and how evenly classes are generated."""
        predictions = classify(self._known, self._samples(models, _MEASURE_SEED))
        fractions = class_fractions(predictions.labels, self.classes)
        confidence = float(predictions.confidence.mean())
        score = frechet_distance(self._real_features, predictions.features)
        alarm = self.alarm.see_classes(step, predictions.counts, confidence)
        measures = {
            "frechet": score,
            "classes": float((fractions >= PRESENT).sum()),
            "top_share": float(fractions.max()),
            "kl": kl_divergence(fractions, self.expected),
            "confidence": confidence,
        }
        return Measurement(score, measures, None if alarm is None else alarm.text)

    def finish(self, models: Models) -> tuple[dict[str, Any], list[str]]:
        """Return `ClassMeasures` of other samples than those that chose the best checkpoint, and of real images."""
        samples = self._samples(models, _FINISH_SEED)
        told: dict[str, Any] = {"features": "classifier", "classifier": digest(self._known)}
        try:
            evaluator = ClassEvaluator(self._known, self.real, self.sets.test.images, count=self.count)
        except OptionError:  # too few are held out
            score = frechet_distance(self._real_features, classify(self._known, samples).features)
            return told | {"frechet": score}, [f"Fréchet distance {score:.3g}", *self._few]
        found = evaluator(samples)
        told |= {"frechet": found.frechet, "generated": found.as_dict(), "real": evaluator.real.as_dict()}
        words = (
            f"Fréchet distance {found.frechet:.3g}; {found.classes} of {len(found.shares)} classes are generated, the "
            f"most frequent one {found.top_share:.0%} of the time, KL divergence {found.kl:.3f} from equal fractions; "
            f"precision {found.precision:.2f}, recall {found.recall:.2f}"
        )
        return told, [words, *self._few]

    @property
    def _known(self) -> Classifier:
        assert self.classifier is not None, "prepare comes first"
        return self.classifier

    @cached_property
    def _real_features(self) -> Tensor:
        return classify(self._known, self.real).features


class MixtureMonitor(_GeneratorMonitor):
    """Monitors a generator of points by the known modes of a mixture of Gaussians.

    The score is the fraction of misplaced points, `Mixture.misplaced`: 0 is best, 1 the worst.

    Args:
        data: the mixture.
        every: steps between two measurements.
        count: points of each measurement; at least 20 for each mode are taken.
    """

    def __init__(self, data: Mixture, *, every: int, count: int) -> None:
        modes = len(data.centers)
        super().__init__(every, max(count, _EACH * modes), CollapseAlarm(modes, begin=2 * every))
        self.data = data

    def measure(self, step: int, models: Models) -> Measurement:
        """Return how many modes are covered, and the fractions of misplaced and of high-quality points."""
        points = self._samples(models, _MEASURE_SEED)
        found, score = self.data.modes(points), self.data.misplaced(points)
        measures = {
            "misplaced": score,
            "modes": float(found.covered),
            "high_quality": found.high_quality,
            "kl": found.kl,
        }
        counts = torch.bincount(self.data.nearest(points)[1], minlength=len(self.data.centers))
        alarm = self.alarm.see_classes(step, counts)
        return Measurement(score, measures, None if alarm is None else alarm.text)

    def finish(self, models: Models) -> tuple[dict[str, Any], list[str]]:
        """Return `metrics.modes.Modes` of other points than those that chose the best checkpoint."""
        points = self._samples(models, _FINISH_SEED)
        modes = self.data.modes(points)
        words = (
            f"{modes.covered} of {modes.modes} modes are covered, {modes.high_quality:.0%} of {modes.samples:,} points "
            f"are of high quality, and the KL divergence from equal fractions is {modes.kl:.2f}"
        )
        return {"modes": modes.as_dict(), "misplaced": self.data.misplaced(points)}, [words]


def make_monitor(
    sets: Sets,
    *,
    every: int,
    count: int,
    device: str,
    path: Path,
    seed: int,
    train_classifier: Trainer,
    classifier: str = "",
    resume: bool = False,
) -> ClassMonitor | PixelMonitor:
    """Return a monitor of a generator of images: by classes, if the set has 2 to 50 of them, and else by pixels.

    Args:
        sets: the training set, and a test set.
        every: steps between two measurements.
        count: samples of each measurement.
        device: where a classifier is put.
        path: file of the classifier that is trained for this training.
        seed: of its training.
        train_classifier: trains it; as `recipes.classifier.train_beside.train_classifier`.
        classifier: file or folder of a classifier that takes its place; "": none.
        resume: use the classifier that is in `path`.

    Raises:
        CheckpointError: the file of the classifier is missing or damaged.
        WeightsError: it holds another network.
        OptionError: the classifier is for other images or classes, or there is one training image only.
    """
    if len(sets.train) < 2:
        raise OptionError(
            "there is one picture to learn from; a monitor compares samples with two or more: give more pictures, or "
            "--watch-steps 0."
        )
    classes = count_classes(sets.train.labels)
    known: Classifier | None = None
    if classifier:
        known = load_classifier(classifier)
        (channels, *size), size_known = sets.train.shape, list(known.size)
        if (known.classes, known.channels, size_known) != (classes, channels, size):
            ours, theirs = (
                f"{number} classes of {'×'.join(map(str, (depth, *sides)))}"
                for number, depth, sides in ((known.classes, known.channels, size_known), (classes, channels, size))
            )
            raise OptionError(f"{classifier} is a classifier of {ours}; expected {theirs}, as the pictures are.")
    elif not 2 <= classes <= _MOST_CLASSES:
        return PixelMonitor(sets, every=every, count=count)
    elif resume and path.is_file():
        known = load_classifier(path)
    return ClassMonitor(
        sets,
        every=every,
        count=count,
        device=device,
        path=path,
        seed=seed,
        train_classifier=train_classifier,
        classifier=known,
    )


def count_classes(labels: Tensor | None) -> int:
    """Return the number of classes of labels; 0 if there are no labels, negative ones, or all are equal."""
    if labels is None or int(labels.min()) < 0 or int(labels.min()) == int(labels.max()):
        return 0
    return int(labels.max()) + 1


def _some_real(sets: Sets) -> Tensor:
    """Return training images to compare with, 10,000 at most."""
    images = sets.train.images
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(_REAL_SEED))[:_REAL]
    return images[chosen.to(images.device)]


# --- translators ----------------------------------------------------------------------------------


class _TranslatorMonitor:
    """What monitors of translators share: they remember nothing of their measurements."""

    every: int

    def state(self) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up nothing."""


class UnpairedMonitor(_TranslatorMonitor):
    """Monitors translators between two domains, by a classifier of the domains that is trained first.

    The score is `UnpairedEvaluator.score`: 0 is best, and 1 is no better than the identity.

    Args:
        learned: training images of A and of B, for the classifier.
        held: held-out images of A and of B.
        every: steps between two measurements.
        device: where the translators are, and the classifier.
        path: file of the classifier.
        seed: of its training.
        train_classifier: trains it; as `recipes.classifier.train_beside.train_domain_classifier`.
        directions: which translators there are, of "to_b" and "to_a".
        resume: use the classifier that is in `path`.
    """

    def __init__(
        self,
        learned: tuple[PictureFolder, PictureFolder],
        held: tuple[PictureFolder, PictureFolder],
        *,
        every: int,
        device: str,
        path: Path,
        seed: int,
        train_classifier: Trainer,
        directions: Sequence[str] = tuple(TITLES),
        resume: bool = False,
    ) -> None:
        self.learned, self.held, self.path = learned, held, path
        self.every, self.device, self.seed, self.resume = every, device, seed, resume
        self.train_classifier, self.directions = train_classifier, directions
        self.evaluator: UnpairedEvaluator | None = None

    def prepare(self) -> Iterator[Event]:
        """Read the held-out images, train a classifier if there is none, and measure the trivial baselines."""
        a, b = (data.each() for data in self.held)
        yield from _unread(self.held)
        if min(len(a), len(b)) < FEWEST:
            yield Note("too few held-out images can be read, so nothing is measured; we keep the last checkpoint")
            return
        if not (self.resume and self.path.is_file()):
            crops = [shrink(data.batch(range(_CROPS))) for data in self.learned]  # of few images several crops each
            held = shrink(a), shrink(b)
            yield from self.train_classifier(*crops, held, path=self.path, seed=self.seed, device=self.device)
        evaluator = UnpairedEvaluator((a, b), load_classifier(self.path), find_device(self.device))
        words = f"a classifier assigns {evaluator.accuracy:.0%} of {len(a)} + {len(b)} held-out images to their domain"
        if evaluator.accuracy < UNRELIABLE:
            yield Note(
                f"{words}, so nothing is measured: the domains are too alike, or have too few images; we keep the last "
                "checkpoint"
            )
            return
        self.evaluator = evaluator
        scores = ", ".join(f"{name} {evaluator.baseline_score(name, self.directions):.2f}" for name in BASELINES)
        yield Note(f"{words}, and will measure their translations; the best score is 0, the baselines have: {scores}")

    def measure(self, step: int, models: Models) -> Measurement | None:
        """Return the score, that of color transfer, and the measures of each direction."""
        if self.evaluator is None:
            return None
        found = self.evaluator.measure(models)
        score, baseline = self.evaluator.score(found), self.evaluator.baseline_score("color transfer", found)
        measures = {"score": score, "score_of_color_transfer": baseline}
        for direction, one in found.items():
            told = {field: getattr(one, field) for field in ("accuracy", "frechet", "structure", "cycle_psnr")}
            measures |= {f"{field}_{direction}": value for field, value in told.items() if value is not None}
        return Measurement(score, measures)

    def finish(self, models: Models) -> tuple[dict[str, Any], list[str]]:
        """Return the measures of each direction beside the trivial baselines."""
        assert self.evaluator is not None, "nothing could be measured"
        found = self.evaluator.measure(models)
        tables = self.evaluator.tables(found)
        told: dict[str, Any] = {
            **{f"score_of_{_key(name)}": self.evaluator.baseline_score(name, found) for name in BASELINES},
            **{f"held_{name}": len(domain) for name, domain in zip("ab", self.evaluator.images, strict=True)},
            "classifier": digest(self.evaluator.classifier),
            "classifier_accuracy": self.evaluator.accuracy,
            "tables": tables,
        }
        return told, [_words(title, table) for title, table in tables.items()]


class PairMonitor(_TranslatorMonitor):
    """Monitors a translator by held-out pairs.

    The score is the mean absolute difference from the truth, of channels in [0, 1].

    Args:
        held: held-out pairs.
        every: steps between two measurements.
        direction: "a-to-b" or "b-to-a".
        device: where the translator is.
    """

    def __init__(self, held: AlignedPairs, *, every: int, direction: str, device: str) -> None:
        self.held, self.every, self.direction, self.device = held, every, direction, device
        self.evaluator: PairEvaluator | None = None

    def prepare(self) -> Iterator[Event]:
        """Read the held-out pairs, and measure the trivial baselines."""
        pairs = self.held.each()
        yield from _unread((self.held,))
        if not len(pairs):
            yield Note("no held-out pair can be read, so nothing is measured; we keep the last checkpoint")
            return
        self.evaluator = PairEvaluator(pairs, self.direction, find_device(self.device))
        yield Note(
            f"{len(pairs)} pairs are held out; mean difference of the baselines from the truth: {self._baselines}"
        )

    def measure(self, step: int, models: Models) -> Measurement | None:
        """Return the mean difference, that of the baselines, PSNR and SSIM."""
        if self.evaluator is None:
            return None
        found = self.evaluator.measure(models)
        measures = {f"l1_of_{_key(name)}": one.l1 for name, one in self.evaluator.baselines.items()}
        return Measurement(found.l1, {"score": found.l1, "psnr": found.psnr, "ssim": found.ssim, **measures})

    def finish(self, models: Models) -> tuple[dict[str, Any], list[str]]:
        """Return the measures of the translator beside the trivial baselines."""
        assert self.evaluator is not None, "nothing could be measured"
        found = self.evaluator.measure(models)
        words = (
            f"mean difference from the truth of {found.pictures} held-out images {found.l1:.3f} (baselines: "
            f"{self._baselines}), PSNR {found.psnr:.1f} dB"
        )
        return {"held": found.pictures, "tables": self.evaluator.tables(found)}, [words]

    @property
    def _baselines(self) -> str:
        assert self.evaluator is not None
        return ", ".join(f"{name} {one.l1:.3f}" for name, one in self.evaluator.baselines.items())


def _words(title: str, table: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the measures of one direction as a sentence."""
    network, baselines = table["network"], [table[name] for name in BASELINES]

    def beside(field: str, form: str) -> str:
        return f"{network[field]:{form}} ({', '.join(f'{one[field]:{form}}' for one in baselines)})"

    cycle = "" if network["cycle_psnr"] is None else f", cycle PSNR {network['cycle_psnr']:.1f} dB"
    return (
        f"{title}, on {network['pictures']} held-out images, with the baselines {' and '.join(BASELINES)} in brackets: "
        f"score {beside('score', '.2f')}, target-domain accuracy {beside('accuracy', '.0%')}, Fréchet distance "
        f"{beside('frechet', '.3g')}, structure distance {beside('structure', '.2f')}{cycle}"
    )


def _key(name: str) -> str:
    return name.replace(" ", "_")


def _unread(held: tuple[PictureFolder, ...]) -> Iterator[Event]:
    names = [name for data in held for name in data.skipped]
    if names:
        yield Note(f"{len(names)} held-out images could not be read, {Path(names[0]).name} first")
