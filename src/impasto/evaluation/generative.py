"""Measures of generated samples beside real pictures."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.classifier import digest
from impasto.errors import ImageError, OptionError
from impasto.metrics.classes import class_shares, divergence, entropy
from impasto.metrics.classifier import CHUNK, checked_pictures, look
from impasto.metrics.frechet import frechet_distance, spread
from impasto.metrics.modes import Modes
from impasto.metrics.precision_recall import nearest, neighborhoods
from impasto.networks.classifier import Classifier
from impasto.ops.linear_algebra import principal_components

__all__ = ["Evaluation", "Evaluator", "Likeness", "PixelEvaluator", "Quality", "stacked_modes"]

_SHOWN = 0.01  # share from which on a class counts as made


_SURE = 0.5  # least probability of the likeliest class of a picture that shows something


_COPY = 1 / 3


_DIRECTIONS = 64  # features where there is no classifier, as many as a classifier has


_KIND = 0.1  # share of the held-out pictures that are one kind where there are no classes


@dataclass(frozen=True)
class Likeness:
    """A set of pictures, measured in what can be said without classes.

    Attributes:
        frechet: `frechet.frechet_distance` to the training pictures, of features; less is better.
        precision: as in `precision_recall.Neighborhoods`: do they look real?
        recall: are all real ones among what could be made?
        density: like precision, steadier.
        coverage: like recall, steadier.
        spread: `frechet.spread` of their features.
        nearest: median distance to the nearest training picture, as root mean square of pixels in [0, 1]. Well below
            that of held-out real ones: it learned pictures by heart.
        copies: share of the pictures whose nearest training picture is less than a third as far as the second nearest.
            Of training pictures that are there twice, copies are not noticed.
        pictures: how many there were.
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
class Quality(Likeness):
    """A set of pictures, measured with a classifier.

    Attributes:
        shares: of each class.
        classes: how many of them have at least 1 %.
        top_share: of the most frequent class.
        entropy: of the shares, in nats; log K is the most.
        kl: KL of the shares to even ones, in nats; 0 is the best, log K one class only.
        confidence: mean probability of the likeliest class. Noise fills classes as well, but without confidence.
        garbage: share of the pictures whose likeliest class has less than 0.5.
    """

    shares: tuple[float, ...]
    classes: int
    top_share: float
    entropy: float
    kl: float
    confidence: float
    garbage: float


@dataclass(frozen=True)
class Evaluation:
    """Made pictures beside the two anchors between which numbers mean something.

    Attributes:
        made: what was asked for.
        real: held-out real pictures in their place: the best there is.
        one_class: held-out pictures of a single class in their place: what a collapse looks like.
        classifier: which one looked, as 16 digits of a hash of its weights.
    """

    made: Quality
    real: Quality
    one_class: Quality
    classifier: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


class _Battery:
    """What every evaluation does with features, whatever they are of."""

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
            raise OptionError(f"{count} pictures can be compared; expected more than {k}, training and held out.")
        self.count, self.k = count, k
        random = torch.Generator().manual_seed(seed)
        self._training = training[torch.randperm(len(training), generator=random)]  # they may come class by class
        self._held = held[torch.randperm(len(held), generator=random)]
        self._features = features(self._training)

    def _likeness(self, made: Tensor, features: Tensor) -> dict[str, Any]:
        near = neighborhoods(self._features[: self.count], features, self.k)
        device = features.device
        away, _ = nearest(made.to(device), self._training.to(device), min(2, len(self._training)))
        return {
            "frechet": frechet_distance(self._features, features),
            **near.as_dict(),
            "spread": spread(features),
            "nearest": float(away[:, 0].median()),
            "copies": float((away[:, 0] < _COPY * away[:, -1]).double().mean()),
            "pictures": len(made),
        }


class Evaluator(_Battery):
    """Measures sets of made pictures, as often as is asked: what is known of the real ones is computed once.

    Source: the battery: Heusel et al. 2017 (Fréchet distance), Kynkäänniemi et al. 2019, Naeem et al. 2020, Srivastava
        et al. 2017 (class shares); copies, Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail
        to memorize".
    Differs: the features are those of a small classifier of the same kind of pictures, as the authors of the Fréchet
        distance advise where Inception has nothing to say.
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
        """Look at the real pictures.

        Args:
            classifier: that looks; its kind, and nothing else, makes numbers comparable.
            training: `(N, C, H, W)`, bytes or numbers in [0, 1]: what the generator learned from.
            held: `(M, C, H, W)`, other real ones.
            count: of made pictures that are measured at a time, and of real ones with which they are compared; fewer if
                there are fewer real ones.
            k: see `precision_recall.neighborhoods`.
            seed: of which real ones are taken.

        Raises:
            ImageError: pictures cannot be used.
            OptionError: there are too few.
        """
        self.classifier = classifier
        training, held = (_bytes(checked_pictures(pictures)) for pictures in (training, held))
        super().__init__(lambda pictures: look(classifier, pictures).features, training, held, count, k, seed)

    def __call__(self, made: Tensor) -> Quality:
        """Measure made pictures, the first `count` of them.

        Args:
            made: `(n, C, H, W)`, bytes or numbers in [0, 1], more than k.

        Raises:
            ImageError: they cannot be used.
        """
        made = _bytes(checked_pictures(made))[: self.count]
        seen = look(self.classifier, made)
        shares = class_shares(seen.labels, self.classifier.classes)
        return Quality(
            **self._likeness(made, seen.features),
            shares=tuple(shares.tolist()),
            classes=int((shares >= _SHOWN).sum()),
            top_share=float(shares.max()),
            entropy=entropy(shares),
            kl=divergence(shares),
            confidence=float(seen.confidence.mean()),
            garbage=float((seen.confidence < _SURE).float().mean()),
        )

    @cached_property
    def real(self) -> Quality:
        """Held-out pictures in the place of made ones."""
        return self(self._held)

    @cached_property
    def one_class(self) -> Quality:
        """Held-out pictures of the class that most of them are of, as the classifier sees them.

        Raises:
            OptionError: there are too few of them.
        """
        labels = look(self.classifier, self._held).labels
        most = int(class_shares(labels, self.classifier.classes).argmax())
        chosen = self._held[(labels == most).cpu()]
        if len(chosen) <= self.k:
            raise OptionError(
                f"{len(chosen)} pictures of one class are held out; expected more than {self.k}, hold out more."
            )
        return self(chosen)

    def evaluate(self, made: Tensor) -> Evaluation:
        """Measure made pictures, with both anchors; arguments and errors as for a call."""
        return Evaluation(self(made), self.real, self.one_class, digest(self.classifier))


class PixelEvaluator(_Battery):
    """Measures sets of made pictures where nobody knows any classes.

    Features are coordinates along the directions in which pixels of the training pictures vary most (PCA, at most 64 of
    them), so "near" means alike pixel by pixel. That knows nothing of what is shown: a picture that is moved by a few
    pixels is far away, and a blurred one is near. Numbers are never comparable with those of a classifier.
    """

    def __init__(self, training: Tensor, held: Tensor, *, count: int = 1000, k: int = 5, seed: int = 0) -> None:
        """Look at the real pictures; arguments and errors as for `Evaluator`."""
        training, held = (_bytes(checked_pictures(pictures)) for pictures in (training, held))
        self.mean, self.directions = principal_components(training.flatten(1), _DIRECTIONS)
        super().__init__(self.features, training, held, count, k, seed)

    def features(self, pictures: Tensor) -> Tensor:
        """Return coordinates of pictures in [0, 1] along the directions, `(N, F)` in float64.

        Args:
            pictures: `(N, C, H, W)`, bytes.

        Raises:
            ImageError: they are of another size.
        """
        if math.prod(pictures.shape[1:]) != len(self.mean):
            shape = " x ".join(map(str, pictures.shape))
            raise ImageError(f"pictures are {shape}; expected {len(self.mean)} numbers each, as the real ones have.")
        parts = torch.split(pictures.flatten(1).to(self.mean.device), CHUNK)
        return torch.cat([(part.double() - self.mean) @ self.directions.T / 255 for part in parts])

    def __call__(self, made: Tensor) -> Likeness:
        """Measure made pictures, the first `count` of them; arguments and errors as for `Evaluator`."""
        made = _bytes(checked_pictures(made))[: self.count]
        return Likeness(**self._likeness(made, self.features(made)))

    @cached_property
    def real(self) -> Likeness:
        """Held-out pictures in the place of made ones."""
        return self(self._held)

    @cached_property
    def one_kind(self) -> Likeness:
        """The tenth of the held-out pictures that is nearest to one of them, as near to one class as we get."""
        features = self.features(self._held)
        order = (features - features[0]).square().sum(1).argsort()
        most = max(self.k + 1, round(_KIND * len(order)))
        return self(self._held[order[:most].cpu()])


def stacked_modes(classifier: Classifier, pictures: Tensor) -> Modes:
    """Return which of the K³ modes pictures of three stacked digits cover.

    Args:
        classifier: of single digits, in grey.
        pictures: `(N, 3, H, W)`, bytes or numbers in [0, 1]; 26,000 are usual.

    Returns:
        All pictures count for modes and their shares, as in the papers. Of high quality are those of whose three
        digits the classifier is sure, 0.5 at least each.

    Raises:
        ImageError: they are of another shape.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5.2.
    Differs: another classifier. Noise fills modes too, so look at the quality.
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ImageError(f"pictures are {' x '.join(map(str, pictures.shape))}; expected N x 3 x H x W.")
    seen = look(classifier, pictures.flatten(0, 1)[:, None])  # (3N, 1, H, W)
    red, green, blue = seen.labels.view(-1, 3).unbind(1)
    labels = (red * classifier.classes + green) * classifier.classes + blue
    sure = (seen.confidence.view(-1, 3) >= _SURE).all(1)
    return Modes.counted(labels, classifier.classes**3, len(pictures), int(sure.sum()))


def _bytes(pictures: Tensor) -> Tensor:
    """Return pictures as bytes: rounded as they are when they are saved, and all of the same kind."""
    if pictures.dtype == torch.uint8:
        return pictures
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)
