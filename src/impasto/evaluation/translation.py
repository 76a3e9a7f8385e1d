"""Evaluation of translators on held-out images, beside trivial baselines."""

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from torch import Tensor

from impasto.checkpoints.classifier import classifier_file, digest, load_classifier
from impasto.checkpoints.files import CLASSIFIER
from impasto.checkpoints.weights import sha256
from impasto.data.folders import AlignedPairs, PictureFolder
from impasto.errors import OptionError
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Event, Note
from impasto.metrics.classifier import classify, fit_to_classifier
from impasto.metrics.translation import (
    PairedTranslation,
    Translation,
    compare_pairs,
    compare_translations,
    measure_pairs,
    measure_translation,
    translation_score,
    unrelated_structure,
)
from impasto.networks.classifier import Classifier
from impasto.ops.resize import resize
from impasto.training.monitor import Models

__all__ = [
    "ENOUGH",
    "FEWEST",
    "TITLES",
    "UNRELIABLE",
    "PairEvaluator",
    "TrainedTranslator",
    "UnpairedEvaluator",
    "evaluate_pairs",
    "evaluate_unpaired",
    "hold_out",
    "shrink",
    "sides",
    "translate",
]

ENOUGH = 50  # images of a domain from which on some are held out
FEWEST = 5  # held-out images of each domain with which anything can be measured
UNRELIABLE = 0.75  # accuracy of a classifier of domains below which its measures mean nothing
TITLES = {"to_b": "A to B", "to_a": "B to A"}
_OTHER = {"to_b": "to_a", "to_a": "to_b"}
_HELD_OUT, _LEAST, _MOST = 0.1, 10, 100  # fraction of the images that is held out, and its limits
_SIDE = 64  # px, of the images that a classifier of domains takes
_CROP = 256  # px, of images for translators whose file does not say at what size they were trained: that of the papers
_BATCH = 8  # images that are translated at once
_MARK = 8  # letters of one of `PictureFolder.marks`
_SHOWN = 4  # images in the sheet of an evaluation
_Folder = TypeVar("_Folder", bound=PictureFolder)
_Found = Generator[Event, None, tuple[dict[str, Any], Tensor, int]]

# --- held-out images ------------------------------------------------------------------------------


def hold_out(data: _Folder, count: int | None = None) -> tuple[_Folder, _Folder]:
    """Split images into those for training and the held-out ones.

    Hashes of names decide: an image stays on its side when others come or go, and images of the same name in both
    domains, which may show the same, are on the same side.

    Args:
        data: all images; with fewer than 50, training needs each of them.
        count: number of held-out images. By default a tenth, 10 at least and 100 at most: with fewer the Fréchet
            distance is noise, with more it takes longer and says the same.
    """
    count = min(_MOST, max(_LEAST, round(_HELD_OUT * len(data)))) if count is None else count
    order = sorted(range(len(data)), key=lambda number: hashlib.sha256(data.paths[number].stem.encode()).digest())
    return data.part(sorted(order[count:])), data.part(sorted(order[:count]), flip=False)


def sides(pairs: Tensor, direction: str) -> tuple[Tensor, Tensor]:
    """Return the source images and the truth of pairs `(N, 6, H, W)`, `(N, 3, H, W)` each."""
    a, b = pairs[:, :3], pairs[:, 3:]
    return (a, b) if direction == "a-to-b" else (b, a)


def shrink(images: Tensor) -> Tensor:
    """Return images `(N, 3, H, H)` as a classifier of domains takes them: at 64 px, or at their own size if smaller."""
    side = min(_SIDE, images.shape[-1])
    return resize(images, (side, side)).clamp(0, 1)


@torch.no_grad()
def translate(model: Callable[[Tensor], Tensor], images: Tensor, device: torch.device) -> Tensor:
    """Return the translations of images `(N, 3, H, W)` on the CPU, computed a few at a time on the device."""
    return torch.cat([model(part.to(device)).float().cpu() for part in torch.split(images, _BATCH)])


# --- evaluators, which monitors use, too ----------------------------------------------------------


class UnpairedEvaluator:
    """Measures translators between two domains, and the trivial baselines, always on the same images.

    Args:
        images: held-out images of A and of B, `(N, 3, H, W)` and `(M, 3, H, W)` in [0, 1].
        classifier: of the two domains, from `train_domain_classifier`.
        device: where the translators are.

    Attributes:
        accuracy: fraction of the real images that the classifier assigns to their domain, the mean of both domains.
        baselines: measures of the trivial baselines, by direction ("to_b", "to_a") and name.
        unrelated: the structure distance of unrelated images, by direction.
    """

    def __init__(self, images: tuple[Tensor, Tensor], classifier: Classifier, device: torch.device) -> None:
        self.images, self.classifier, self.device = images, classifier, device
        right = [
            classify(classifier, fit_to_classifier(domain, classifier)).labels == label
            for label, domain in enumerate(images)
        ]
        self.accuracy = sum(float(some.double().mean()) for some in right) / len(right)
        self.baselines, self.unrelated = {}, {}
        for direction in TITLES:
            source, target, label = self._sides(direction)
            self.baselines[direction] = compare_translations({}, source, target, classifier, target_label=label)
            self.unrelated[direction] = unrelated_structure(source, target)

    def _sides(self, direction: str) -> tuple[Tensor, Tensor, int]:
        """Return the source images, real images of the target domain, and its label."""
        label = 1 if direction == "to_b" else 0
        return self.images[1 - label], self.images[label], label

    def measure(self, models: Models) -> dict[str, Translation]:
        """Measure the translators "to_b", "to_a" or both; with both, each gives the other's cycle reconstructions."""
        found = {}
        for direction, model in models.items():
            source, target, label = self._sides(direction)
            fakes = translate(model, source, self.device)
            back = models.get(_OTHER[direction])
            cycle = None if back is None else translate(back, fakes, self.device)
            found[direction] = measure_translation(
                fakes, source, target, self.classifier, cycle=cycle, target_label=label
            )
        return found

    def score(self, found: Mapping[str, Translation]) -> float:
        """Return the mean of `metrics.translation.translation_score` over the directions."""
        scores = [
            translation_score(one, self.baselines[direction]["identity"], self.unrelated[direction])
            for direction, one in found.items()
        ]
        return sum(scores) / len(scores)

    def baseline_score(self, name: str, directions: Iterable[str]) -> float:
        """Return the same of a trivial baseline, by its name."""
        return self.score({direction: self.baselines[direction][name] for direction in directions})

    def tables(self, found: Mapping[str, Translation]) -> dict[str, dict[str, dict[str, Any]]]:
        """Return measures and score of each translator and of the baselines, by title and name, for `json.dumps`."""
        return {
            TITLES[direction]: {
                name: {**one.as_dict(), "score": self.score({direction: one})}
                for name, one in {**self.baselines[direction], "network": network}.items()
            }
            for direction, network in found.items()
        }


class PairEvaluator:
    """Measures a translator against the truth, and the trivial baselines, always on the same pairs.

    Args:
        pairs: held-out pairs, `(N, 6, H, W)` in [0, 1].
        direction: "a-to-b" or "b-to-a".
        device: where the translator is.

    Attributes:
        source: the images to translate, `(N, 3, H, W)`.
        truth: the images as they should be, the same shape.
        baselines: measures of the trivial baselines, by name.
    """

    def __init__(self, pairs: Tensor, direction: str, device: torch.device) -> None:
        self.source, self.truth = sides(pairs, direction)
        self.device = device
        self.baselines = compare_pairs({}, self.source, self.truth)

    def measure(self, models: Models) -> PairedTranslation:
        """Measure the only translator among the models."""
        (model,) = models.values()
        return measure_pairs(translate(model, self.source, self.device), self.truth)

    def tables(self, found: PairedTranslation) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the measures of the translator and of the baselines, by name, for `json.dumps`."""
        return {"pairs": {name: one.as_dict() for name, one in {**self.baselines, "network": found}.items()}}


# --- after training -------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainedTranslator:
    """A translator and what its file says.

    Attributes:
        path: its file.
        kind: "resnet" or "unet".
        card: the file's header; empty for files of other programs.
        translate: takes and returns `(B, 3, H, W)` RGB in [0, 1].
    """

    path: Path
    kind: str
    card: Mapping[str, Any]
    translate: Callable[[Tensor], Tensor]

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of its training; empty if they are unknown."""
        told = self.card.get("options")
        return told if isinstance(told, dict) else {}

    @property
    def direction(self) -> str:
        """Its direction: "to_b" or "to_a"."""
        return "to_a" if self.card.get("direction") == "b to a" else "to_b"

    @property
    def learned(self) -> set[str]:
        """Marks of its training images, as `PictureFolder.marks`; empty if they are unknown."""
        marks = str(self.card.get("learned", ""))
        return {marks[first : first + _MARK] for first in range(0, len(marks), _MARK)}

    def as_dict(self) -> dict[str, Any]:
        """Return how an evaluation describes it."""
        return {
            "path": str(self.path),
            "sha256": sha256(self.path),
            "network": self.kind,
            "step": self.card.get("step"),
        }


def evaluate_unpaired(
    translator: TrainedTranslator,
    back: TrainedTranslator | None,
    folders: tuple[str | Path, str | Path],
    options: EvaluateOptions,
    device: torch.device,
    *,
    train_classifier: Callable[..., Iterator[Event]],
) -> _Found:
    """Measure a translator between two domains on images that it did not learn from.

    If no classifier was asked for and none lies beside the translator, one is trained: on the translator's training
    images and on half of the others, and the other half is measured.

    Args:
        translator: the translator.
        back: that of the other direction.
        folders: images of A and of B.
        options: everything else.
        device: where the translators are.
        train_classifier: as `recipes.classifier.train_beside.train_domain_classifier`.

    Yields:
        Notes, and the events of a classifier's training.

    Returns:
        What was found, for `json.dumps`; a sheet of translations, `(1, 3, H, W)`; the number of images. Folders are
        checked at once, before the first event.

    Raises:
        ImageError: a folder does not exist.
        OptionError: there are too few images, or the classifier is of other domains.
    """
    seed, cut = int(translator.options.get("seed", options.seed)), _cut(translator, options)
    data = [PictureFolder(folder, seed=seed + number, **cut) for number, folder in enumerate(folders)]
    parts = [_fresh(translator, domain, folder, 2 * FEWEST) for domain, folder in zip(data, folders, strict=True)]
    classifier = _domain_classifier(translator, options)
    return _unpaired(translator, back, parts, classifier, folders, options, device, train_classifier)


def _unpaired(
    translator: TrainedTranslator,
    back: TrainedTranslator | None,
    parts: Sequence[tuple[PictureFolder, PictureFolder]],
    classifier: Classifier | None,
    folders: tuple[str | Path, str | Path],
    options: EvaluateOptions,
    device: torch.device,
    train_classifier: Callable[..., Iterator[Event]],
) -> _Found:
    old, new = zip(*parts, strict=True)
    yield from _left_out(translator, any(map(len, old)), f"{len(old[0])} images of A and {len(old[1])} of B")
    images: tuple[Tensor, Tensor]
    if classifier is None:
        split = [hold_out(domain, len(domain) // 2) for domain in new]
        images = _both([held.each(options.count) for _, held in split])
        crops = [
            torch.cat([part.each(options.count) for part in (known, rest) if len(part)])
            for known, (rest, _) in zip(old, split, strict=True)
        ]
        with TemporaryDirectory() as place:
            path = Path(place) / CLASSIFIER
            yield from train_classifier(
                *map(shrink, crops),
                (shrink(images[0]), shrink(images[1])),
                path=path,
                steps=options.classifier_steps,
                seed=options.seed,
                device=options.device,
            )
            classifier = load_classifier(path)
    else:
        images = _both([domain.each(options.count) for domain in new])
    evaluator = UnpairedEvaluator(images, classifier, device)
    accuracy, count = evaluator.accuracy, sum(map(len, images))
    if accuracy < UNRELIABLE:
        yield Note(
            f"the classifier assigns only {accuracy:.0%} of these images to their domain: its measures say little"
        )
    if (fewest := min(map(len, images))) < _LEAST:
        yield Note(f"{fewest} images of a domain are measured, and Fréchet distances of so few are noise; name more")
    models = {translator.direction: translator.translate}
    models |= {} if back is None else {_OTHER[translator.direction]: back.translate}
    measured = evaluator.measure(models)
    about = {"digest": digest(classifier), "accuracy": accuracy, "held": count}
    found = {
        "back": None if back is None else back.as_dict(),
        "pictures": {"a": str(folders[0]), "b": str(folders[1])},
        "features": f"classifier {about['digest']} of the two domains, {accuracy:.1%} right on {count} real images",
        "classifier": about,
        "compared": {"a": len(images[0]), "b": len(images[1]), "side": new[0].crop},
        "tables": evaluator.tables(measured),
        "score": evaluator.score(measured),
    }
    source = images[translator.direction == "to_a"][:_SHOWN]
    return found, _sheet(source, translate(translator.translate, source, device)), count


def evaluate_pairs(
    translator: TrainedTranslator, folder: str | Path, options: EvaluateOptions, device: torch.device
) -> _Found:
    """Measure a translator against the truth, on pairs that it did not learn from.

    Args:
        translator: the translator.
        folder: pairs, as for `data.folders.AlignedPairs`.
        options: everything else.
        device: where the translator is.

    Yields:
        Notes.

    Returns:
        As `evaluate_unpaired`.

    Raises:
        ImageError: the folder does not exist, or an image has no partner.
        OptionError: it learned from all of them, or none can be read.
    """
    data = AlignedPairs(folder, seed=int(translator.options.get("seed", options.seed)), **_cut(translator, options))
    return _pairs(translator, *_fresh(translator, data, folder, 1), folder, options, device)


def _pairs(
    translator: TrainedTranslator,
    old: AlignedPairs,
    new: AlignedPairs,
    folder: str | Path,
    options: EvaluateOptions,
    device: torch.device,
) -> _Found:
    yield from _left_out(translator, len(old) > 0, f"{len(old)} pairs")
    direction = options.direction or {"to_b": "a-to-b", "to_a": "b-to-a"}[translator.direction]
    pairs = new.each(options.count)
    if not len(pairs):
        raise OptionError(f"none of the pairs in {folder} can be read; expected one or more.")
    evaluator = PairEvaluator(pairs, direction, device)
    measured = evaluator.measure({"network": translator.translate})
    found = {
        "back": None,
        "pictures": {"pairs": str(folder), "direction": direction},
        "features": "differences from the known truth",
        "classifier": None,
        "compared": {"pairs": len(pairs), "side": new.crop},
        "tables": evaluator.tables(measured),
        "score": measured.l1,
    }
    source, truth = evaluator.source[:_SHOWN], evaluator.truth[:_SHOWN]
    return found, _sheet(source, translate(translator.translate, source, device), truth), len(pairs)


def _cut(translator: TrainedTranslator, options: EvaluateOptions) -> dict[str, Any]:
    """Return how images are cut: as those that its training held out."""
    known = translator.options
    zoom = 1.0 if options.crop else known.get("zoom", 1.0)
    return {"crop": options.crop or known.get("crop", _CROP), "flip": False, "zoom": zoom}


def _fresh(translator: TrainedTranslator, data: _Folder, folder: object, fewest: int) -> tuple[_Folder, _Folder]:
    """Return the images that the translator learned from, and the others.

    Raises:
        OptionError: there are too few others.
    """
    known = [mark in translator.learned for mark in data.marks]
    old, new = ([number for number, learned in enumerate(known) if learned is which] for which in (True, False))
    if len(new) < fewest:
        raise OptionError(
            f"{folder} holds {len(new)} pictures that {translator.path} did not learn from; expected {fewest} or more."
        )
    return data.part(old), data.part(new)


def _left_out(translator: TrainedTranslator, some: bool, which: str) -> Iterator[Event]:
    if not translator.learned:
        yield Note("its training images are unknown; if these are among them, the measures are better than the network")
    elif some:
        yield Note(f"{which} are left out, since it learned from them")


def _both(images: list[Tensor]) -> tuple[Tensor, Tensor]:
    a, b = images
    if min(len(a), len(b)) < FEWEST:
        raise OptionError(f"{len(a)} pictures of A and {len(b)} of B can be read; expected {FEWEST} or more of each.")
    return a, b


def _domain_classifier(translator: TrainedTranslator, options: EvaluateOptions) -> Classifier | None:
    """Return the classifier that was asked for, or that monitored the translator's training, if there is one."""
    beside = translator.path.with_name(CLASSIFIER)
    path = classifier_file(options.classifier) if options.classifier else beside
    if path == beside and not path.is_file():
        return None
    found = load_classifier(path)
    if (found.classes, found.channels) != (2, 3):
        raise OptionError(
            f"{path} is a classifier of {found.classes} classes in {found.channels} channels; expected one of two "
            "domains in 3, name another --classifier."
        )
    return found


def _sheet(*columns: Tensor) -> Tensor:
    """Return images `(N, 3, H, W)` side by side as one, `(1, 3, N H, columns W)`."""
    return torch.cat([torch.cat(list(column), 1) for column in columns], 2)[None]
