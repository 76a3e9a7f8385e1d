"""Load classifiers."""

import hashlib
from pathlib import Path

from impasto.checkpoints.files import CLASSIFIER, MODEL, load_state
from impasto.errors import OptionError, WeightsError
from impasto.networks.classifier import Classifier

__all__ = ["classifier_file", "digest", "load_classifier"]


def classifier_file(path: str | Path) -> Path:
    """Return the file of a classifier: of a training's folder the one that looked at what was made, or else the result.

    Args:
        path: a file or a folder.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return path
    return path / CLASSIFIER if (path / CLASSIFIER).is_file() else path / MODEL


def load_classifier(path: str | Path) -> Classifier:
    """Return the classifier in a file that `recipe.classifying` made, ready to look.

    Args:
        path: the file, or a folder; see `classifier_file`.

    Raises:
        CheckpointError: the file is missing or damaged.
        WeightsError: it holds another network.
    """
    path = classifier_file(path)
    tensors, told = load_state(path)
    if told.get("network") != "classifier":
        raise WeightsError(f"{path} holds no classifier; expected the file of a training of one.")
    try:
        classifier = Classifier(**told["settings"])
        classifier.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError, OptionError) as error:
        raise WeightsError(f"{path} is damaged: its weights and settings do not fit. Train another one.") from error
    return classifier.eval().requires_grad_(False)


def digest(classifier: Classifier) -> str:
    """Return a text that is another one for other weights."""
    found = hashlib.sha256()
    for weight in classifier.state_dict().values():
        found.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
