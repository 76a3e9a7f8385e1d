"""Evaluation of generators, autoencoders and VAEs: samples and reconstructions beside real images."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Generator as Stream
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.classifier import classifier_file, digest, load_classifier
from impasto.checkpoints.files import CLASSIFIER, load_state
from impasto.data.arrays import Sets, read_sets
from impasto.data.synthetic import StackedDigits
from impasto.devices import find_device
from impasto.errors import CheckpointError, ImageError, OptionError, WeightsError
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Event, Note
from impasto.inference.generator import Autoencoder, Generator
from impasto.metrics.classifier import classify
from impasto.metrics.frechet import unsteady
from impasto.metrics.generative import ClassEvaluator, PixelEvaluator, SampleMeasures, stacked_modes
from impasto.networks.classifier import Classifier

__all__ = ["evaluate_generator", "generate", "load_with_accuracy", "sets_of"]

ClassifierOf = Callable[[Sets], Stream[Event, None, Path]]
_BATCH = 1000  # images that are generated at a time and become bytes
_SHOWN = 8  # images in the sheet of an evaluation
_POOR = 0.9  # accuracy of a classifier below which a person is told


def sets_of(generator: Generator, data: str | Path | Sets | None, stacked: bool) -> Sets:
    """Return the training set and the test set of a generator; of stacked digits those of the single digits, in gray.

    Args:
        generator: the network.
        data: where they are, if not where they were; see `data.arrays.read_sets`.
        stacked: whether the channels of its images are digits.

    Raises:
        ImpastoError: one of its kinds, if they cannot be read or have another shape.
    """
    if not stacked:
        return generator.sets(data)
    crop = generator.option("crop", 0)
    sets = read_sets(generator.source(data), crop=crop, colors="gray")
    if generator.shape != (3, *sets.train.shape[1:]):
        ours, theirs = ("×".join(map(str, shape)) for shape in (generator.shape, sets.train.shape))
        raise OptionError(
            f"{generator.path} generates pictures of {ours}, and the set has {theirs}; expected three channels of that "
            "size, each a picture of the set. Leave out --stacked."
        )
    return sets


def evaluate_generator(
    generator: Generator, sets: Sets, options: EvaluateOptions, *, classifier_of: ClassifierOf
) -> Stream[Event, None, tuple[dict[str, Any], Tensor, int]]:
    """Measure what a generator generates and, of autoencoders and VAEs, what they reconstruct.

    Args:
        generator: the network.
        sets: as from `sets_of`.
        options: everything else.
        classifier_of: yields the events of a classifier's training, if there is none for this set, and returns its
            file.

    Yields:
        Notes, and the events of a classifier's training.

    Returns:
        What was found, for `json.dumps`; a sheet of samples, `(1, 3, H, W)`; the number of samples.

    Raises:
        ImpastoError: one of its kinds.
    """
    classifier, about = None, None
    if options.classifier or (sets.train.labels is not None and sets.train.labels.min() != sets.train.labels.max()):
        classifier, about = yield from _classifier(generator, sets, options, classifier_of)
    yield from map(Note, _warnings(generator, sets, options, about))
    if options.stacked and classifier is None:
        raise OptionError("modes are counted by classes, and these pictures have no labels; name others.")
    count = options.stacked_count if options.stacked else options.count
    labels = torch.arange(count) % generator.classes if generator.classes else None  # each class in turn
    samples = generate(generator, count, options.seed, labels)
    found = {"classifier": about, "classes": list(sets.train.names), "features": _features(classifier, about)}
    if options.stacked:
        assert classifier is not None
        found |= _modes(samples, sets, options, classifier)
    else:
        found |= _measures(generator, sets, options, classifier, samples)
        if classifier is not None and labels is not None and generator.classes == classifier.classes:
            found["asked"] = _requested(classifier, samples, labels)
    sheet = torch.cat(list(samples[:_SHOWN]), -1)[None].float() / 255
    return found, sheet.expand(1, 3, -1, -1), len(samples)


def generate(generator: Generator, count: int, seed: int, labels: Tensor | None) -> Tensor:
    """Return samples as bytes, `(count, C, H, W)` on the CPU.

    Args:
        generator: the network.
        count: how many.
        seed: of the latent codes.
        labels: `(count,)` classes, if it is class-conditional.

    Raises:
        ImageError: some are not finite.
    """
    codes = generator.draw(count, torch.Generator().manual_seed(seed))
    parts = []
    for first in range(0, count, _BATCH):
        some = slice(first, first + _BATCH)
        images = generator.decode(codes[some], None if labels is None else labels[some])
        if not bool(images.isfinite().all()):
            raise ImageError("some samples are not finite; expected pictures. Train the network anew.")
        parts.append((images.clamp(0, 1) * 255).round().to(torch.uint8).cpu())
    return torch.cat(parts)


def load_with_accuracy(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Return a classifier, and its "digest", "accuracy" (None if unknown) and "held", on how many images.

    Raises:
        CheckpointError, WeightsError: as `checkpoints.classifier.load_classifier`.
    """
    classifier, told = load_classifier(path), load_state(path)[1]
    return classifier, {"digest": digest(classifier), "accuracy": told.get("accuracy"), "held": told.get("held", 0)}


# --- the classifier -------------------------------------------------------------------------------


def _classifier(
    generator: Generator, sets: Sets, options: EvaluateOptions, classifier_of: ClassifierOf
) -> Stream[Event, None, tuple[Classifier, dict[str, Any]]]:
    """Return the classifier that was asked for, or that of the training's monitor, or one of the set; what is known."""
    own = None if options.classifier else _of_monitor(generator)
    if options.classifier:
        path = classifier_file(options.classifier)
        classifier, about = load_with_accuracy(path)
        if _shape(classifier) != sets.train.shape:
            ours, theirs = ("×".join(map(str, shape)) for shape in (_shape(classifier), sets.train.shape))
            raise OptionError(f"{path} is a classifier of pictures of {ours}; expected one for {theirs}.")
    elif own is not None and _shape(own[0]) == sets.train.shape:  # of stacked digits it is not
        classifier, about = own
    else:
        classifier, about = load_with_accuracy((yield from classifier_of(sets)))
    return classifier.to(find_device(options.device)), {**about, "own": about["digest"] == _monitored_by(generator)}


def _shape(classifier: Classifier) -> tuple[int, int, int]:
    return classifier.channels, *classifier.size


def _monitored_by(generator: Generator) -> str | None:
    """Return the digest of the classifier that monitored the training."""
    results = generator.card.get("results")
    found: str | None = results.get("classifier") if isinstance(results, dict) else None
    return found


def _of_monitor(generator: Generator) -> tuple[Classifier, dict[str, Any]] | None:
    """Return that classifier, if it is still where it was."""
    wanted, named = _monitored_by(generator), generator.option("classifier", None)
    for path in ((generator.path or Path()).parent / CLASSIFIER, *([classifier_file(named)] if named else [])):
        if wanted is not None and path.is_file():
            with suppress(CheckpointError, WeightsError):
                found = load_with_accuracy(path)
                if found[1]["digest"] == wanted:
                    return found
    return None


def _features(classifier: Classifier | None, about: Mapping[str, Any] | None) -> str:
    """Return in words what images are compared by."""
    if classifier is None or about is None:
        return "principal components of pixels, as there are no classes"
    accuracy = "" if about["accuracy"] is None else f", {about['accuracy']:.1%} right on {about['held']:,} held out"
    own = ", which monitored its training" if about["own"] else ""
    return f"classifier {about['digest']} of {classifier.classes} classes{accuracy}{own}"


def _warnings(
    generator: Generator, sets: Sets, options: EvaluateOptions, about: Mapping[str, Any] | None
) -> Iterator[str]:
    """Yield sentences on what weakens the measures."""
    if about is None:
        yield "there are no classes, so pictures are compared by the principal components of their pixels"
    elif about["accuracy"] is not None and about["accuracy"] < _POOR:
        yield f"the classifier has an accuracy of only {about['accuracy']:.0%}, so its classes say little"
    monitored_by = _monitored_by(generator)
    if about is not None and monitored_by is not None and not about["own"]:
        yield (
            f"classifier {monitored_by} monitored the training; the distances in its log are not comparable with these"
        )
    fewer = min(options.count, len(sets.train), len(sets.test))
    if fewer < options.count and not options.stacked:
        yield f"{fewer} pictures are compared instead of {options.count}: no more real ones are held out"
    if (few := unsteady(fewer)) and not options.stacked:
        yield few
    if generator.option("targets", "gray") != "gray":
        yield "it learned from black and white pixels, and its samples are compared with gray ones"


# --- the measures ---------------------------------------------------------------------------------


def _measures(
    generator: Generator, sets: Sets, options: EvaluateOptions, classifier: Classifier | None, samples: Tensor
) -> dict[str, Any]:
    """Return the measures of samples and, of autoencoders and VAEs, of reconstructions; with both anchors."""
    settings = {"count": options.count, "k": options.neighbors, "seed": options.seed}
    train, test = sets.train.images, sets.test.images
    evaluator: ClassEvaluator | PixelEvaluator
    if classifier is None:
        evaluator = PixelEvaluator(train, test, **settings)
    else:
        evaluator = ClassEvaluator(classifier, train, test, **settings)
    found: dict[str, SampleMeasures] = {"generated": evaluator(samples)}
    told: dict[str, Any] = {}
    if isinstance(generator, Autoencoder):
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(options.seed))
        order = order[: evaluator.count]
        held = test[order].cpu()
        labels = sets.test.labels[order].cpu() if generator.classes and sets.test.labels is not None else None
        reconstructed = generator.decode(generator.encode(held, labels), labels).cpu()
        found["reconstructed"] = evaluator(reconstructed)
        told = {
            "reconstruction": {
                "mse": float((reconstructed.double() - held.double() / 255).square().mean()),
                "pictures": len(held),
            },
            "prior_hole": found["generated"].frechet - found["reconstructed"].frechet,
        }
    found["real"] = evaluator.real
    if isinstance(evaluator, ClassEvaluator):
        found["one class"] = evaluator.one_class
    else:
        found["one cluster"] = evaluator.one_cluster
    compared = {
        "generated": evaluator.count,
        "training": len(train),
        "held_out": len(test),
        "neighbors": options.neighbors,
    }
    return {"compared": compared, "sets": {name: measures.as_dict() for name, measures in found.items()}, **told}


def _requested(classifier: Classifier, samples: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return how often the classifier finds the class that was requested."""
    right = (classify(classifier, samples).labels.cpu() == labels).double()
    by_class = [
        float(right[labels == one].mean()) if bool((labels == one).any()) else None for one in range(classifier.classes)
    ]
    return {"right": float(right.mean()), "by_class": by_class}


def _modes(samples: Tensor, sets: Sets, options: EvaluateOptions, classifier: Classifier) -> dict[str, Any]:
    """Return how many modes samples of stacked digits cover, beside real images and a single mode."""
    test, count = sets.test.images.cpu(), len(samples)
    predictions = classify(classifier, test)
    single = test[(predictions.labels == predictions.counts.argmax()).cpu()]
    modes = {
        "generated": stacked_modes(classifier, samples),
        "real": stacked_modes(classifier, StackedDigits(test, seed=options.seed).batch(range(count))),
        "one mode": stacked_modes(classifier, StackedDigits(single, seed=options.seed).batch(range(count))),
    }
    compared = {"generated": count, "training": len(sets.train), "held_out": len(test)}
    return {"compared": compared, "modes": {name: one.as_dict() for name, one in modes.items()}}
