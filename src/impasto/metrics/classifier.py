"""What a classifier sees in pictures."""

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.networks.classifier import Classifier

__all__ = ["CHUNK", "Seen", "checked_pictures", "look"]

CHUNK = 500  # pictures that the classifier sees at a time


@dataclass(frozen=True)
class Seen:
    """What a classifier sees in pictures: a row each.

    Attributes:
        features: `(N, F)`.
        chances: `(N, K)`, probabilities of the classes.
    """

    features: Tensor
    chances: Tensor

    @property
    def labels(self) -> Tensor:
        """The likeliest class of each, `(N,)`."""
        return self.chances.argmax(1)

    @property
    def counts(self) -> Tensor:
        """How many are of each class, `(K,)`, as `collapse.CollapseAlarm` is fed."""
        return torch.bincount(self.labels, minlength=self.chances.shape[1])

    @property
    def confidence(self) -> Tensor:
        """Probability of that class, `(N,)`."""
        return self.chances.max(1).values


def look(classifier: Classifier, pictures: Tensor) -> Seen:
    """Return what a classifier sees, a few hundred pictures at a time.

    Args:
        classifier: it is left as it is.
        pictures: `(N, C, H, W)`, bytes or numbers in [0, 1]; or grey ones as `(N, H, W)`.

    Raises:
        ImageError: there are none, they are of the wrong size, or have values out of range.
    """
    pictures = checked_pictures(pictures)
    weight = next(classifier.parameters())
    modes = [(module, module.training) for module in classifier.modules()]
    classifier.eval()
    features, chances = [], []
    try:
        with torch.no_grad():
            for some in torch.split(pictures, CHUNK):
                found = classifier.features(as_unit(some.to(weight.device)).to(weight.dtype))
                features.append(found)
                chances.append(classifier.judge(found).softmax(1))
    finally:
        for module, mode in modes:
            module.training = mode
    return Seen(torch.cat(features), torch.cat(chances))


def checked_pictures(pictures: Tensor) -> Tensor:
    """Return `(N, C, H, W)`."""
    pictures = pictures[:, None] if pictures.ndim == 3 else pictures
    shape = " x ".join(map(str, pictures.shape))
    if pictures.ndim != 4 or not pictures.numel():
        raise ImageError(f"pictures are {shape}; expected one or more, N x C x H x W.")
    if pictures.dtype == torch.uint8:
        return pictures
    if not pictures.is_floating_point():
        raise ImageError(f"pictures are numbers of {pictures.dtype}; expected bytes, or numbers from 0 to 1.")
    low, high = (float(value) for value in pictures.aminmax())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # neither is what is not a number
        raise ImageError(f"pictures have values from {low:g} to {high:g}; expected bytes, or numbers from 0 to 1.")
    return pictures


def as_unit(pictures: Tensor) -> Tensor:
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures
