"""Evaluation of classifiers: accuracy on held-out images, in all and by class."""

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from impasto.data.arrays import Sets
from impasto.errors import OptionError
from impasto.events import Event
from impasto.metrics.classes import class_fractions
from impasto.metrics.classifier import classify
from impasto.networks.classifier import Classifier

__all__ = ["evaluate_classifier"]

_SHOWN = 8  # images in the sheet of an evaluation


def evaluate_classifier(
    classifier: Classifier, sets: Sets, name: object, names: Sequence[str] = ()
) -> Generator[Event, None, tuple[dict[str, Any], Tensor, int]]:
    """Measure a classifier on the test images of a set, all of them.

    Args:
        classifier: the network.
        sets: of its size and channels; the test set has labels.
        name: what the classifier is called in errors.
        names: of its classes, if they are known. A set whose classes have names is compared by them.

    Yields:
        Nothing.

    Returns:
        What was found, for `json.dumps`; a sheet of test images, `(1, 3, H, W)`; the number of images.

    Raises:
        OptionError: labels are missing, or the classifier is of other images or classes. It is raised at once.
    """
    labels, shape = sets.test.labels, (classifier.channels, *classifier.size)
    if labels is None:
        raise OptionError("the test pictures have no labels; expected a class for each, to compare with.")
    if sets.test.shape != shape:
        ours, theirs = ("×".join(map(str, one)) for one in (shape, sets.test.shape))
        raise OptionError(f"{name} is a classifier of pictures of {ours}; expected one for {theirs}.")
    given = sets.test.names
    if names and given:
        for one in given:
            if one not in names:
                raise OptionError(f"the set has the class {one}; {name} knows {', '.join(names)}.")
        labels = torch.tensor([names.index(one) for one in given])[labels.cpu()]
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classifier.classes:
        raise OptionError(
            f"labels are from {low} to {high}; expected 0 to {classifier.classes - 1}, as {name} has classes."
        )
    return _measured(classifier, sets, labels.cpu(), names or given)


def _measured(
    classifier: Classifier, sets: Sets, labels: Tensor, names: Sequence[str]
) -> Generator[Event, None, tuple[dict[str, Any], Tensor, int]]:
    yield from ()
    images = sets.test.images
    predictions = classify(classifier, images).labels.cpu()
    right = (predictions == labels).double()
    found = {
        "features": f"{classifier.classes} classes, {len(images):,} test pictures",
        "classes": list(names),
        "compared": {"held_out": len(images)},
        "accuracy": float(right.mean()),
        "by_class": [
            float(right[labels == one].mean()) if bool((labels == one).any()) else None
            for one in range(classifier.classes)
        ],
        "shares": class_fractions(predictions, classifier.classes).tolist(),
    }
    sheet = torch.cat(list(images[:_SHOWN].cpu()), -1)[None].float() / 255
    return found, sheet.expand(1, 3, -1, -1), len(images)
