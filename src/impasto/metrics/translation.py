"""Measures of image translation, for translators and for trivial baselines."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.metrics.classifier import classify, fit_to_classifier
from impasto.metrics.frechet import frechet_distance
from impasto.networks.classifier import Classifier
from impasto.ops.color import luminance
from impasto.ops.color_transfer import PART, reinhard
from impasto.ops.ssim import ssim

__all__ = [
    "BASELINES",
    "PairedTranslation",
    "Translation",
    "baselines",
    "compare_pairs",
    "compare_translations",
    "measure_pairs",
    "measure_translation",
    "psnr",
    "structure_distance",
    "translation_score",
    "unrelated_structure",
]

BASELINES = ("identity", "color transfer")
_LEAST = 1e-9  # distance, which keeps a division by zero away
_UNRELATED = 5  # images of the target domain with which each source image is compared


@dataclass(frozen=True)
class Translation:
    """Measures of a translation from domain A to domain B; see `measure_translation`.

    Attributes:
        accuracy: target-domain accuracy: fraction of the images that a classifier of the domains assigns to B; 1 is
            best.
        frechet: `frechet.frechet_distance` of its features from those of real images of B; less is better. It means
            something only beside others of the same classifier and the same numbers of images.
        structure: `structure_distance` from the source images; 0 is best.
        cycle_psnr: mean PSNR of the cycle reconstructions, in dB.
        cycle_ssim: mean SSIM of the cycle reconstructions; 1 is best.
        kept: fraction of the images that kept their label.
        psnr: mean PSNR to the known truth, in dB.
        pictures: number of images.
    """

    accuracy: float
    frechet: float
    structure: float
    cycle_psnr: float | None
    cycle_ssim: float | None
    kept: float | None
    psnr: float | None
    pictures: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


def measure_translation(
    fakes: Tensor,
    source: Tensor,
    target: Tensor,
    classifier: Classifier,
    *,
    cycle: Tensor | None = None,
    truth: Tensor | None = None,
    labels: tuple[Classifier, Tensor] | None = None,
    target_label: int = 1,
) -> Translation:
    """Measure translated images.

    Args:
        fakes: `(N, 3, H, W)` RGB in [0, 1], the translated images.
        source: the same shape, the images of A that were translated.
        target: `(M, 3, h, w)`, real images of B that no network learned from.
        classifier: of A, 0, and B, 1, from `train_domain_classifier`; images are resized to its size.
        cycle: the same shape as `fakes`: their translations back to A.
        truth: the same shape, the images as they should be, where that is known.
        labels: a classifier of the contents of B, and what each image should show, `(N,)`.
        target_label: the classifier's label of B; 0 if a translation from B to A is measured.

    Raises:
        ImageError: shapes do not fit.
    """
    for name, other in (("source", source), ("cycle", cycle), ("truth", truth)):
        if other is not None and other.shape != fakes.shape:
            raise ImageError(f"{name} is {tuple(other.shape)}; expected {tuple(fakes.shape)}, as the translations.")
    predictions = classify(classifier, fit_to_classifier(fakes, classifier))
    kept = None
    if labels is not None:
        shown = classify(labels[0], fit_to_classifier(fakes, labels[0])).labels
        kept = float((shown.cpu() == labels[1].cpu()).double().mean())
    return Translation(
        accuracy=float((predictions.labels == target_label).double().mean()),
        frechet=frechet_distance(
            classify(classifier, fit_to_classifier(target, classifier)).features, predictions.features
        ),
        structure=max(0.0, round(_mean(structure_distance, fakes, source), 9)),  # of the same image 0, and not 1e-16
        cycle_psnr=None if cycle is None else _mean(psnr, cycle, source),
        cycle_ssim=None if cycle is None else _mean(ssim, cycle, source),
        kept=kept,
        psnr=None if truth is None else _mean(psnr, fakes, truth),
        pictures=len(fakes),
    )


def translation_score(found: Translation, identity: Translation, unrelated: float) -> float:
    """Return the quality of a translation as one number: 0 is best, and 1 is no better than the identity.

    It is the Fréchet distance as a fraction of the identity's, plus the structure distance as a fraction of that
    between unrelated images. So both ways to cheat score 1. The identity keeps all structure and all of the Fréchet
    distance. Real images of B that show something else have no Fréchet distance and keep no structure; neither does
    one image for all, and noise has a larger Fréchet distance. A score well below 1 takes a translation that gains
    more likeness to B than it loses structure.

    Accuracy is no part of it, since a poor image of B can be assigned to B every time. Cycle PSNR is no part of it
    either: it is trained, and it is perfect if the image is hidden in a pattern that nobody sees.

    Args:
        found: the translation.
        identity: the source images themselves, measured by the same classifier.
        unrelated: `unrelated_structure` of the same images.
    """
    return found.frechet / max(identity.frechet, _LEAST) + found.structure / max(unrelated, _LEAST)


def unrelated_structure(source: Tensor, target: Tensor) -> float:
    """Return the mean structure distance of images from unrelated images of the target domain.

    Args:
        source: `(N, 3, H, W)` RGB in [0, 1].
        target: `(M, 3, H, W)`, M of 2 or more. Images of the same index, which may show the same, are not compared.
    """
    count = len(target)
    positions = torch.arange(len(source))
    shifts = range(1, min(_UNRELATED, count - 1) + 1)
    return sum(_mean(structure_distance, source, target[(positions + by) % count]) for by in shifts) / len(shifts)


def _mean(measure: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> float:
    """Return the mean of a measure of pairs of images, a few at a time, since float64 takes much memory."""
    parts = zip(torch.split(a, PART), torch.split(b, PART), strict=True)
    return sum(float(measure(*some).mean()) * len(some[0]) for some in parts) / len(a)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each pair of images `(N, C, H, W)` in [0, 1], in dB, `(N,)`.

    Equal ones get 100.
    """
    found: Tensor = -10 * (a.double() - b.double()).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
    return found


def structure_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return how far the edges of two images differ: 0 if equal, about 1 for unrelated images, at most 2.

    It is 1 minus the correlation of the gradient magnitudes of luminance. Colors, contrast and polarity do not
    matter. An image without edges has distance 1 from every other.

    Args:
        a: `(N, 3, H, W)` RGB in [0, 1].
        b: the same shape.

    Returns:
        `(N,)`.
    """
    magnitudes = [_gradient_magnitudes(images) for images in (a, b)]
    first, second = (values - values.mean(1, keepdim=True) for values in magnitudes)
    norms = first.norm(dim=1) * second.norm(dim=1)
    found: Tensor = 1 - (first * second).sum(1) / norms.clamp_min(1e-12)
    return found


def _gradient_magnitudes(images: Tensor) -> Tensor:
    """Return the length of the luminance gradient at each position between pixels, `(N, positions)`."""
    light = luminance(images.double())[:, 0]
    down = (light[:, 1:, 1:] - light[:, :-1, 1:] + light[:, 1:, :-1] - light[:, :-1, :-1]) / 2
    right = (light[:, 1:, 1:] - light[:, 1:, :-1] + light[:, :-1, 1:] - light[:, :-1, :-1]) / 2
    return (down.square() + right.square()).sqrt().flatten(1)


@dataclass(frozen=True)
class PairedTranslation:
    """Measures of a translation whose truth is known; see `measure_pairs`.

    Attributes:
        l1: mean absolute difference from the truth, of channels in [0, 1]; 0 is best. It favors smooth images.
        psnr: mean PSNR, in dB.
        ssim: mean SSIM; 1 is best.
        pictures: number of images.
    """

    l1: float
    psnr: float
    ssim: float
    pictures: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


def measure_pairs(fakes: Tensor, truth: Tensor) -> PairedTranslation:
    """Measure translated images against the truth, `(N, 3, H, W)` in [0, 1] both.

    Raises:
        ImageError: they are of different shapes.
    """
    if fakes.shape != truth.shape:
        raise ImageError(f"images are {tuple(fakes.shape)}; expected {tuple(truth.shape)}, as the truth.")
    return PairedTranslation(
        l1=float((fakes.double() - truth.double()).abs().mean()),
        psnr=_mean(psnr, fakes, truth),
        ssim=_mean(ssim, fakes, truth),
        pictures=len(fakes),
    )


def compare_pairs(fakes: Mapping[str, Tensor], source: Tensor, truth: Tensor) -> dict[str, PairedTranslation]:
    """Measure several translations of the same images, after the trivial baselines.

    The baselines are "identity"; "median color", one color everywhere, which has the least mean difference of all
    single colors; and "color transfer". The last two take their colors from the truth itself, so they are rather
    better than a baseline could be.

    Args:
        fakes: the translated images, by name of the translator.
        source: `(N, 3, H, W)` RGB in [0, 1].
        truth: the same shape.

    Raises:
        ImageError: as for `measure_pairs`.
    """
    identity, transfer = baselines(source, truth).items()
    median = truth.transpose(0, 1).flatten(1).median(1).values.view(1, 3, 1, 1).expand_as(truth)
    every = {**dict([identity, ("median color", median), transfer]), **fakes}
    return {name: measure_pairs(images, truth) for name, images in every.items()}


def baselines(source: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the trivial baselines of a translation, by the names of `BASELINES`: source images, and recolored ones.

    Args:
        source: `(N, 3, H, W)` RGB in [0, 1], of A.
        target: `(M, 3, h, w)`, of B, from which colors are taken.
    """
    return dict(zip(BASELINES, (source, reinhard(source, target)), strict=True))


def compare_translations(
    fakes: Mapping[str, Tensor], source: Tensor, target: Tensor, classifier: Classifier, **more: Any
) -> dict[str, Translation]:
    """Measure several translations of the same images, after the trivial baselines.

    Args:
        fakes: the translated images, by name of the translator.
        source: as for `measure_translation`.
        target: as there.
        classifier: as there.
        more: `truth`, `labels` and `target_label`, as there; `cycle`, by name of the translator.

    Raises:
        ImageError: as there.
    """
    cycle = more.pop("cycle", {})
    every = {**baselines(source, target), **fakes}
    return {
        name: measure_translation(images, source, target, classifier, cycle=cycle.get(name), **more)
        for name, images in every.items()
    }
