"""Load classifiers, which measure generated samples."""

import hashlib
from pathlib import Path

from impasto.checkpoints.build import build
from impasto.checkpoints.files import CLASSIFIER, MODEL, load_state
from impasto.errors import WeightsError
from impasto.networks.classifier import Classifier
from impasto.reading import as_one_error

__all__ = ["classifier_file", "digest", "load_classifier"]


def classifier_file(path: str | Path) -> Path:
    """Return the file of a classifier: in a run's folder the one that measured its samples, or else its result.

    Args:
        path: a file or a folder.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    return path / CLASSIFIER if (path / CLASSIFIER).is_file() else path / MODEL


def load_classifier(path: str | Path) -> Classifier:
    """Return the classifier in a file of a classifier's training, frozen and in evaluation mode.

    Args:
        path: the file, or a folder; see `classifier_file`.

    Raises:
        CheckpointError: the file is missing or damaged.
        WeightsError: it holds another network.
    """
    path = classifier_file(path)
    tensors, card = load_state(path)
    if card.get("network") != "classifier":
        raise WeightsError(f"{path} holds no classifier; expected the result of `impasto train classifier`.")
    classifier = build(Classifier, card, path, tensors)
    with as_one_error(WeightsError(f"{path} is damaged: its weights and settings do not fit. Train it again.")):
        classifier.load_state_dict(tensors)
    return classifier.eval().requires_grad_(False)


def digest(classifier: Classifier) -> str:
    """Return a hash of the weights."""
    found = hashlib.sha256()
    for weight in classifier.state_dict().values():
        found.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
