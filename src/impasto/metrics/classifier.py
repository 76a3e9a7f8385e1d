"""Features and predictions of a classifier for sets of images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.networks.classifier import Classifier
from impasto.ops.color import luminance
from impasto.ops.resize import resize

__all__ = ["CHUNK", "Predictions", "checked_images", "classify", "fit_to_classifier"]

CHUNK = 500  # images that the classifier takes at a time


@dataclass(frozen=True)
class Predictions:
    """What a classifier finds in images: a row for each.

    Attributes:
        features: `(N, F)`, activations of the last hidden layer.
        probabilities: `(N, K)`, of the classes.
    """

    features: Tensor
    probabilities: Tensor

    @property
    def labels(self) -> Tensor:
        """The most probable class of each image, `(N,)`."""
        return self.probabilities.argmax(1)

    @property
    def counts(self) -> Tensor:
        """Number of images of each class, `(K,)`, which `collapse.CollapseAlarm` takes."""
        return torch.bincount(self.labels, minlength=self.probabilities.shape[1])

    @property
    def confidence(self) -> Tensor:
        """Probability of the most probable class, `(N,)`."""
        return self.probabilities.max(1).values


def classify(classifier: Classifier, images: Tensor) -> Predictions:
    """Return a classifier's features and probabilities for images, a few hundred at a time.

    Args:
        classifier: its weights and its mode do not change.
        images: `(N, C, H, W)`, bytes or numbers in [0, 1]; or gray ones as `(N, H, W)`.

    Raises:
        ImageError: there are no images, they have another size than the classifier expects, or values out of range.
    """
    images = checked_images(images)
    weight = next(classifier.parameters())
    modes = [(module, module.training) for module in classifier.modules()]
    classifier.eval()
    features, probabilities = [], []
    try:
        with torch.no_grad():
            for some in torch.split(images, CHUNK):
                found = classifier.features(_as_floats(some.to(weight.device)).to(weight.dtype))
                features.append(found)
                probabilities.append(classifier.logits(found).softmax(1))
    finally:
        for module, mode in modes:
            module.training = mode
    return Predictions(torch.cat(features), torch.cat(probabilities))


def fit_to_classifier(images: Tensor, classifier: Classifier) -> Tensor:
    """Return images `(N, 3, H, W)` in [0, 1] with the channels and the size that a classifier expects."""
    images = luminance(images) if classifier.channels == 1 else images
    return images if images.shape[2:] == classifier.size else resize(images, classifier.size).clamp(0, 1)


def checked_images(images: Tensor) -> Tensor:
    """Return images as `(N, C, H, W)`; errors as for `classify`."""
    images = images[:, None] if images.ndim == 3 else images
    shape = " x ".join(map(str, images.shape))
    if images.ndim != 4 or not images.numel():
        raise ImageError(f"images are {shape}; expected one or more, N x C x H x W.")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise ImageError(f"images are numbers of {images.dtype}; expected bytes, or numbers from 0 to 1.")
    low, high = (float(value) for value in images.aminmax())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # NaN is neither
        raise ImageError(f"images have values from {low:g} to {high:g}; expected bytes, or numbers from 0 to 1.")
    return images


def _as_floats(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images
