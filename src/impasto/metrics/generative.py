"""Measures of generated samples beside real images, by the features of a classifier or by pixels."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError, OptionError
from impasto.metrics.classes import class_fractions, entropy, kl_divergence
from impasto.metrics.classifier import CHUNK, checked_images, classify
from impasto.metrics.frechet import frechet_distance, spread
from impasto.metrics.modes import Modes
from impasto.metrics.precision_recall import nearest, neighborhoods
from impasto.networks.classifier import Classifier
from impasto.ops.linear_algebra import principal_components

__all__ = ["ClassEvaluator", "ClassMeasures", "PixelEvaluator", "SampleMeasures", "as_bytes", "stacked_modes"]

PRESENT = 0.01  # least fraction of a class that counts as generated
_CONFIDENT = 0.5  # least probability of the most probable class of an image that shows something
_COPY = 1 / 3  # of the distance to the second nearest training image, below which the nearest one counts as copied
_COMPONENTS = 64  # principal components where there is no classifier, as many as a classifier has features
_CLUSTER = 0.1  # fraction of the held-out images that stands for one class where there are no classes


@dataclass(frozen=True)
class SampleMeasures:
    """Measures of a set of images that need no classes.

    Attributes:
        frechet: `frechet.frechet_distance` of features to the training images; less is better.
        precision: fraction of the samples that look real, as in `precision_recall.Neighborhoods`.
        recall: fraction of the real images that the samples cover.
        density: like precision, steadier.
        coverage: like recall, steadier.
        spread: `frechet.spread` of the features.
        nearest: median distance to the nearest training image, as root mean square of pixels in [0, 1]. A distance far
            below that of held-out real images means that the generator memorized images.
        copies: fraction of the samples whose nearest training image is less than a third as far as the second nearest.
            Copies of a training image that is there twice are not noticed.
        pictures: number of images.
    """

    frechet: float
    precision: float
    recall: float
    density: float
    coverage: float
    spread: float
    nearest: float
    copies: float
    pictures: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class ClassMeasures(SampleMeasures):
    """Measures of a set of images by a classifier.

    Attributes:
        shares: fraction of each class.
        classes: number of classes with at least 1 % of the samples.
        top_share: fraction of the most frequent class.
        entropy: of the fractions, in nats; the most is log K.
        kl: KL divergence of the fractions from equal ones, in nats; 0 is best, log K means one class only.
        confidence: mean probability of the most probable class. Noise covers classes as well, with low confidence.
        garbage: fraction of the images whose most probable class has a probability below 0.5.
    """

    shares: tuple[float, ...]
    classes: int
    top_share: float
    entropy: float
    kl: float
    confidence: float
    garbage: float


class _Evaluator:
    """The measures of features, whatever network or projection they come from."""

    def __init__(
        self,
        features: Callable[[Tensor], Tensor],
        training: Tensor,
        held: Tensor,
        count: int,
        k: int,
        seed: int,
    ) -> None:
        count = min(count, len(training), len(held))
        if count <= k:
            raise OptionError(f"{count} images can be compared; expected more than {k}, training and held out.")
        self.count, self.k = count, k
        random = torch.Generator().manual_seed(seed)
        self._training = training[torch.randperm(len(training), generator=random)]  # they may be sorted by class
        self._held = held[torch.randperm(len(held), generator=random)]
        self._features = features(self._training)

    def _measures(self, samples: Tensor, features: Tensor) -> dict[str, Any]:
        near = neighborhoods(self._features[: self.count], features, self.k)
        device = features.device
        distances, _ = nearest(samples.to(device), self._training.to(device), min(2, len(self._training)))
        return {
            "frechet": frechet_distance(self._features, features),
            **near.as_dict(),
            "spread": spread(features),
            "nearest": float(distances[:, 0].median()),
            "copies": float((distances[:, 0] < _COPY * distances[:, -1]).double().mean()),
            "pictures": len(samples),
        }


class ClassEvaluator(_Evaluator):
    """Measures sets of generated samples by a classifier; the features of real images are computed once.

    Source: Fréchet distance, Heusel et al. 2017; precision and recall, Kynkäänniemi et al. 2019; density and coverage,
        Naeem et al. 2020; class fractions, Srivastava et al. 2017; copies, Yoon et al. 2023, "Diffusion probabilistic
        models generalize when they fail to memorize".
    Differs: the features are those of a small classifier of the same domain, as the authors of the Fréchet distance
        advise where Inception does not apply.
    """

    def __init__(
        self,
        classifier: Classifier,
        training: Tensor,
        held: Tensor,
        *,
        count: int = 1000,
        k: int = 5,
        seed: int = 0,
    ) -> None:
        """Compute the features of the real images.

        Args:
            classifier: numbers are comparable only if they come from the same classifier.
            training: `(N, C, H, W)`, bytes or numbers in [0, 1]: the generator's training images.
            held: `(M, C, H, W)`, held-out real images.
            count: samples that are measured at a time, and real images that they are compared with; fewer if there are
                fewer real ones.
            k: see `precision_recall.neighborhoods`.
            seed: decides which real images are taken.

        Raises:
            ImageError: images have another size than the classifier expects, or values out of range.
            OptionError: there are too few images.
        """
        self.classifier = classifier
        training, held = (as_bytes(checked_images(images)) for images in (training, held))
        super().__init__(lambda images: classify(classifier, images).features, training, held, count, k, seed)

    def __call__(self, samples: Tensor) -> ClassMeasures:
        """Measure generated samples, the first `count` of them.

        Args:
            samples: `(n, C, H, W)`, bytes or numbers in [0, 1], more than k.

        Raises:
            ImageError: as for the constructor.
        """
        samples = as_bytes(checked_images(samples))[: self.count]
        predictions = classify(self.classifier, samples)
        fractions = class_fractions(predictions.labels, self.classifier.classes)
        return ClassMeasures(
            **self._measures(samples, predictions.features),
            shares=tuple(fractions.tolist()),
            classes=int((fractions >= PRESENT).sum()),
            top_share=float(fractions.max()),
            entropy=entropy(fractions),
            kl=kl_divergence(fractions),
            confidence=float(predictions.confidence.mean()),
            garbage=float((predictions.confidence < _CONFIDENT).float().mean()),
        )

    @cached_property
    def real(self) -> ClassMeasures:
        """The upper anchor: held-out real images in place of generated samples."""
        return self(self._held)

    @cached_property
    def one_class(self) -> ClassMeasures:
        """The lower anchor, a collapsed generator: the held-out images of the class that the classifier finds most.

        Raises:
            OptionError: there are too few of them.
        """
        labels = classify(self.classifier, self._held).labels
        most = int(class_fractions(labels, self.classifier.classes).argmax())
        chosen = self._held[(labels == most).cpu()]
        if len(chosen) <= self.k:
            raise OptionError(
                f"{len(chosen)} images of one class are held out; expected more than {self.k}, hold out more."
            )
        return self(chosen)


class PixelEvaluator(_Evaluator):
    """Measures sets of generated samples without classes.

    Features are the principal components of the training images' pixels, at most 64, so "near" means alike pixel by
    pixel. They ignore content: an image that is moved by a few pixels is far away, and a blurred one is near. Never
    compare these numbers with those of a classifier.
    """

    def __init__(self, training: Tensor, held: Tensor, *, count: int = 1000, k: int = 5, seed: int = 0) -> None:
        """Compute the features of the real images; arguments and errors as for `ClassEvaluator`."""
        training, held = (as_bytes(checked_images(images)) for images in (training, held))
        self.mean, self.directions = principal_components(training.flatten(1), _COMPONENTS)
        super().__init__(self.features, training, held, count, k, seed)

    def features(self, images: Tensor) -> Tensor:
        """Return the principal components of images in [0, 1], `(N, F)` in float64.

        Args:
            images: `(N, C, H, W)`, bytes.

        Raises:
            ImageError: they have another size.
        """
        if math.prod(images.shape[1:]) != len(self.mean):
            shape = " x ".join(map(str, images.shape))
            raise ImageError(f"images are {shape}; expected {len(self.mean)} values each, as the real ones have.")
        parts = torch.split(images.flatten(1).to(self.mean.device), CHUNK)
        return torch.cat([(part.double() - self.mean) @ self.directions.T / 255 for part in parts])

    def __call__(self, samples: Tensor) -> SampleMeasures:
        """Measure generated samples, the first `count` of them; arguments and errors as for `ClassEvaluator`."""
        samples = as_bytes(checked_images(samples))[: self.count]
        return SampleMeasures(**self._measures(samples, self.features(samples)))

    @cached_property
    def real(self) -> SampleMeasures:
        """The upper anchor: held-out real images in place of generated samples."""
        return self(self._held)

    @cached_property
    def one_cluster(self) -> SampleMeasures:
        """The lower anchor: the tenth of the held-out images that is nearest to one of them, in place of one class."""
        features = self.features(self._held)
        order = (features - features[0]).square().sum(1).argsort()
        most = max(self.k + 1, round(_CLUSTER * len(order)))
        return self(self._held[order[:most].cpu()])


def stacked_modes(classifier: Classifier, images: Tensor) -> Modes:
    """Return how many of the K³ modes images of three stacked digits cover.

    Args:
        classifier: of single digits, in gray.
        images: `(N, 3, H, W)`, bytes or numbers in [0, 1]; 26,000 in the papers.

    Returns:
        All images count for modes and their fractions, as in the papers. An image is of high quality if the classifier
        gives each of its three digits a probability of at least 0.5.

    Raises:
        ImageError: they have another shape.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5.2.
    Differs: another classifier. Noise covers modes, too, so check the high quality.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ImageError(f"images are {' x '.join(map(str, images.shape))}; expected N x 3 x H x W.")
    predictions = classify(classifier, images.flatten(0, 1)[:, None])  # (3N, 1, H, W)
    red, green, blue = predictions.labels.view(-1, 3).unbind(1)
    labels = (red * classifier.classes + green) * classifier.classes + blue
    sure = (predictions.confidence.view(-1, 3) >= _CONFIDENT).all(1)
    return Modes.counted(labels, classifier.classes**3, len(images), int(sure.sum()))


def as_bytes(images: Tensor) -> Tensor:
    """Return images as bytes, rounded as in a saved file; bytes do not change."""
    if images.dtype == torch.uint8:
        return images
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)
