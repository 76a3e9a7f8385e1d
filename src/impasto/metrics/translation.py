"""Measures of image translation, beside trivial baselines."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.metrics.classifier import look
from impasto.metrics.frechet import frechet_distance
from impasto.networks.classifier import Classifier
from impasto.ops.color import luminance
from impasto.ops.color_transfer import PART, reinhard
from impasto.ops.resize import resize
from impasto.ops.ssim import ssim

__all__ = [
    "PairedTranslation",
    "Translation",
    "baselines",
    "fitted",
    "judge_pairs",
    "judge_translation",
    "judged",
    "judged_pairs",
    "psnr",
    "structure_distance",
    "translation_score",
    "unrelated_structure",
]

_LEAST = 1e-9  # distance, so that no share is of nothing


_OTHERS = 5  # pictures that each is compared with to know what is unrelated


@dataclass(frozen=True)
class Translation:
    """One way of translating pictures of A into B, measured; see `judge_translation`.

    Attributes:
        accuracy: share of the pictures that a classifier of the two kinds takes for B; 1 is best.
        frechet: `frechet.frechet_distance` of its features to those of real pictures of B; less is better. It means
            something only beside others of the same classifier and the same numbers of pictures.
        structure: `structure_distance` to what was translated; 0 is best.
        cycle_psnr: mean PSNR of what came back from there, in dB.
        cycle_ssim: mean SSIM of the same; 1 is best.
        kept: share of the pictures that kept their label.
        psnr: mean PSNR to the known truth, in dB.
        pictures: how many there were.
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


def judge_translation(
    made: Tensor,
    source: Tensor,
    wanted: Tensor,
    classifier: Classifier,
    *,
    back: Tensor | None = None,
    truth: Tensor | None = None,
    labels: tuple[Classifier, Tensor] | None = None,
    kind: int = 1,
) -> Translation:
    """Measure translated pictures.

    Args:
        made: `(N, 3, H, W)` RGB in [0, 1], what became of pictures of A.
        source: the same shape, those pictures.
        wanted: `(M, 3, h, w)`, real pictures of B that nobody learned from.
        classifier: of A, 0, and B, 1, from `iter_domains`; it looks at pictures of its own size.
        back: the same shape as `made`: what came back from there.
        truth: the same shape, what the pictures should have become, where that is known.
        labels: a classifier of what pictures of B show, and what each of these should, `(N,)`.
        kind: which of the classifier's is B, if it is the way back that is measured: 0.

    Raises:
        ImageError: pictures do not fit each other.
    """
    for name, other in (("source", source), ("back", back), ("truth", truth)):
        if other is not None and other.shape != made.shape:
            raise ImageError(f"{name} is {tuple(other.shape)}; expected {tuple(made.shape)}, as what was made.")
    seen = look(classifier, fitted(made, classifier))
    kept = None
    if labels is not None:
        kept = float((look(labels[0], fitted(made, labels[0])).labels.cpu() == labels[1].cpu()).double().mean())
    return Translation(
        accuracy=float((seen.labels == kind).double().mean()),
        frechet=frechet_distance(look(classifier, fitted(wanted, classifier)).features, seen.features),
        structure=max(0.0, round(_mean(structure_distance, made, source), 9)),  # of the same picture 0, and not 1e-16
        cycle_psnr=None if back is None else _mean(psnr, back, source),
        cycle_ssim=None if back is None else _mean(ssim, back, source),
        kept=kept,
        psnr=None if truth is None else _mean(psnr, made, truth),
        pictures=len(made),
    )


def fitted(pictures: Tensor, classifier: Classifier) -> Tensor:
    """Return pictures of the channels and the size that a classifier looks at."""
    pictures = luminance(pictures) if classifier.channels == 1 else pictures
    return pictures if pictures.shape[2:] == classifier.size else resize(pictures, classifier.size).clamp(0, 1)


def translation_score(found: Translation, untouched: Translation, unrelated: float) -> float:
    """Return how far a way of translating is from a good one, as one number: 0 is best, and 1 is nothing gained.

    It is the Fréchet distance, as a share of that of the pictures as they are, plus the structure distance, as a share
    of that to pictures which have nothing to do with them. So both ways to cheat get 1: pictures as they are have all
    of the first and nothing of the second; real pictures of the wanted kind that show something else have nothing of
    the first and all of the second, and so has one picture for all, and noise has more of the first. Only what gains
    more likeness than it loses of what was there comes well below 1.

    Accuracy is no part of it, since a network can be taken for B all the time that makes no picture of B well. Nor is
    what comes back from there: that is learned, and is perfect if the way there hides the picture in what nobody sees.

    Args:
        found: the way in question.
        untouched: the pictures as they are, by the same classifier.
        unrelated: `unrelated_structure` of the same pictures.
    """
    return found.frechet / max(untouched.frechet, _LEAST) + found.structure / max(unrelated, _LEAST)


def unrelated_structure(source: Tensor, wanted: Tensor) -> float:
    """Return the mean structure distance of pictures to some of the other kind that show something else.

    Args:
        source: `(N, 3, H, W)` RGB in [0, 1].
        wanted: `(M, 3, H, W)`, M of 2 or more. Should pictures of the same place show the same, that is left out.
    """
    count = len(wanted)
    places = torch.arange(len(source))
    shifts = range(1, min(_OTHERS, count - 1) + 1)
    return sum(_mean(structure_distance, source, wanted[(places + by) % count]) for by in shifts) / len(shifts)


def _mean(measure: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> float:
    """Return the mean of a measure of pairs of pictures, a few at a time, for in 64 bits all might not fit."""
    parts = zip(torch.split(a, PART), torch.split(b, PART), strict=True)
    return sum(float(measure(*some).mean()) * len(some[0]) for some in parts) / len(a)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each pair of pictures `(N, C, H, W)` in [0, 1], in dB, `(N,)`.

    Equal ones get 100.
    """
    found: Tensor = -10 * (a.double() - b.double()).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
    return found


def structure_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return how far edges lie elsewhere: 0 where they are the same, about 1 in unrelated pictures, at most 2.

    It is 1 less the correlation of how steep luminance is at each place. Colors, contrast and what is light or dark
    do not matter. A picture without edges is 1 away from every other.

    Args:
        a: `(N, 3, H, W)` RGB in [0, 1].
        b: the same shape.

    Returns:
        `(N,)`.
    """
    steep = [_steepness(pictures) for pictures in (a, b)]
    first, second = (values - values.mean(1, keepdim=True) for values in steep)
    norms = first.norm(dim=1) * second.norm(dim=1)
    found: Tensor = 1 - (first * second).sum(1) / norms.clamp_min(1e-12)
    return found


def _steepness(pictures: Tensor) -> Tensor:
    """Return the length of the gradient at each place between pixels, `(N, places)`."""
    light = luminance(pictures.double())[:, 0]
    down = (light[:, 1:, 1:] - light[:, :-1, 1:] + light[:, 1:, :-1] - light[:, :-1, :-1]) / 2
    right = (light[:, 1:, 1:] - light[:, 1:, :-1] + light[:, :-1, 1:] - light[:, :-1, :-1]) / 2
    return (down.square() + right.square()).sqrt().flatten(1)


@dataclass(frozen=True)
class PairedTranslation:
    """One way of translating pictures that should become known ones, measured.

    Attributes:
        l1: mean absolute difference from those, of channels in [0, 1]; 0 is best. It likes what is smooth.
        psnr: mean PSNR, in dB.
        ssim: mean SSIM; 1 is best.
        pictures: how many there were.
    """

    l1: float
    psnr: float
    ssim: float
    pictures: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


def judge_pairs(made: Tensor, truth: Tensor) -> PairedTranslation:
    """Measure translated pictures against what they should be, `(N, 3, H, W)` in [0, 1] both.

    Raises:
        ImageError: they are of different shapes.
    """
    if made.shape != truth.shape:
        raise ImageError(f"pictures are {tuple(made.shape)}; expected {tuple(truth.shape)}, as the truth.")
    return PairedTranslation(
        l1=float((made.double() - truth.double()).abs().mean()),
        psnr=_mean(psnr, made, truth),
        ssim=_mean(ssim, made, truth),
        pictures=len(made),
    )


def judged_pairs(ways: Mapping[str, Tensor], source: Tensor, truth: Tensor) -> dict[str, PairedTranslation]:
    """Return several ways of translating the same pictures, measured, and what costs nothing before them.

    That is the pictures as they are; one color everywhere, the median of all that is wanted, than which none has a
    lower mean difference; and the pictures with the colors that are wanted. Both take these from the very pictures that
    they are compared with, so they are rather better than they could be.

    Args:
        ways: what each made, by name.
        source: `(N, 3, H, W)` RGB in [0, 1].
        truth: the same shape.

    Raises:
        ImageError: as for `judge_pairs`.
    """
    same, changed = baselines(source, truth).items()
    median = truth.transpose(0, 1).flatten(1).median(1).values.view(1, 3, 1, 1).expand_as(truth)
    every = {**dict([same, ("median color", median), changed]), **ways}
    return {name: judge_pairs(made, truth) for name, made in every.items()}


def baselines(source: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Return what pictures become without any learning: themselves, and with the colors of the other kind.

    Args:
        source: `(N, 3, H, W)` RGB in [0, 1], of A.
        wanted: `(M, 3, h, w)`, of B, from which colors are taken.
    """
    return {"as they are": source, "colors changed": reinhard(source, wanted)}


def judged(
    ways: Mapping[str, Tensor], source: Tensor, wanted: Tensor, classifier: Classifier, **more: Any
) -> dict[str, Translation]:
    """Return several ways of translating the same pictures, measured, and the two that cost nothing before them.

    Args:
        ways: what each made, by name.
        source: as for `judge_translation`.
        wanted: as there.
        classifier: as there.
        more: `truth`, `labels` and `kind`, as there; `back`, by name of the way.

    Raises:
        ImageError: as there.
    """
    back = more.pop("back", {})
    every = {**baselines(source, wanted), **ways}
    return {
        name: judge_translation(made, source, wanted, classifier, back=back.get(name), **more)
        for name, made in every.items()
    }
