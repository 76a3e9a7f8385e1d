"""How well pictures were translated from one kind into another, beside what costs nothing.

A translation can fail in two ways: it does not become a picture of the other kind, or it no longer shows what it was
made from. Leaving pictures as they are fails in the first way only, and changing their colors may pass in both, so
these two are measured beside every network.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from impasto.checkpoints import CLASSIFIER, MODEL, load_state, save_state
from impasto.errors import FileExists, ImageError, OptionError
from impasto.evaluation import load_classifier, look
from impasto.events import Taught, Trained
from impasto.fidelity import frechet_distance
from impasto.networks.classifier import Classifier
from impasto.ops import luminance, resize, ssim
from impasto.options import ClassifierOptions
from impasto.recipes import Data
from impasto.recipes.classifying import Classifying
from impasto.training import iter_train

__all__ = [
    "LESSONS",
    "PairedTranslation",
    "Translation",
    "baselines",
    "fitted",
    "iter_domains",
    "iter_lesson",
    "judge_pairs",
    "judge_translation",
    "judged",
    "judged_pairs",
    "learn_domains",
    "psnr",
    "reinhard",
    "structure_distance",
    "translation_score",
    "unrelated_structure",
]

_HELD = 0.2  # share of the pictures from which `learn_domains` does not let it learn
LESSONS = 400  # steps of a classifier of two kinds, which are enough to tell photographs from paintings
_PART = 32  # pictures that are measured at once
_PARTS = 5  # how often its lessons are told of
_LEAST = 1e-9  # distance, so that no share is of nothing
_OTHERS = 5  # pictures that each is compared with to know what is unrelated


@dataclass(frozen=True)
class Translation:
    """One way of translating pictures of A into B, measured; see `judge_translation`.

    Attributes:
        accuracy: share of the pictures that a classifier of the two kinds takes for B; 1 is best.
        frechet: `fidelity.frechet_distance` of its features to those of real pictures of B; less is better. It means
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
    parts = zip(torch.split(a, _PART), torch.split(b, _PART), strict=True)
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


# --- where the truth is known ---------------------------------------------------------------------


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


# --- what costs nothing ---------------------------------------------------------------------------


def baselines(source: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Return what pictures become without any learning: themselves, and with the colors of the other kind.

    Args:
        source: `(N, 3, H, W)` RGB in [0, 1], of A.
        wanted: `(M, 3, h, w)`, of B, from which colors are taken.
    """
    return {"as they are": source, "colors changed": reinhard(source, wanted)}


# Reinhard et al. 2001, eqs. 4 and 6: RGB to LMS, and LMS' logarithms to lightness, yellow-blue and red-green.
_LMS = ((0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444))
_OPPONENT = ((3**-0.5, 3**-0.5, 3**-0.5), (6**-0.5, 6**-0.5, -2 * 6**-0.5), (2**-0.5, -(2**-0.5), 0.0))
_BLACK = 1 / 255  # below it logarithms are not taken


def reinhard(source: Tensor, wanted: Tensor) -> Tensor:
    """Return each picture with the mean and deviation that colors of other pictures have, taken together.

    Args:
        source: `(N, 3, H, W)` RGB in [0, 1].
        wanted: `(M, 3, h, w)`.

    Returns:
        As `source`.

    Source: Reinhard, Ashikhmin, Gooch & Shirley 2001, "Color transfer between images", IEEE CG&A 21(5).
    """
    places = [(some.mean(2), some.var(2, correction=0)) for some in map(_opponent, torch.split(wanted, _PART))]
    means, variances = (torch.cat(part) for part in zip(*places, strict=True))  # of each picture, (M, 3)
    goal, spread = means.mean(0), (variances.mean(0) + means.var(0, correction=0)).sqrt()  # of all places together
    matrix = torch.tensor(_OPPONENT, dtype=torch.float64).inverse()
    to_rgb = torch.tensor(_LMS, dtype=torch.float64).inverse()
    found = []
    for some in torch.split(source, _PART):
        ours = _opponent(some)
        mean, deviation = ours.mean(2, keepdim=True), ours.std(2, correction=0, keepdim=True)
        moved = (ours - mean) * (spread[:, None] / deviation.clamp_min(1e-6)) + goal[:, None]
        rgb = to_rgb @ torch.pow(10.0, matrix @ moved)
        found.append(rgb.view(some.shape).clamp(0, 1).to(source))
    return torch.cat(found)


def _opponent(pictures: Tensor) -> Tensor:
    """Return `(N, 3, H W)`: lightness, yellow-blue and red-green, as logarithms of what cones see."""
    flat = pictures.cpu().double().clamp_min(_BLACK).flatten(2)
    return torch.tensor(_OPPONENT, dtype=torch.float64) @ (torch.tensor(_LMS, dtype=torch.float64) @ flat).log10()


# --- a classifier of the two kinds ----------------------------------------------------------------


class _Both:
    """Pictures of both kinds, drawn equally often; a `recipes.Data`."""

    skipped: list[str] = []
    ready = True

    def __init__(self, a: Tensor, b: Tensor, seed: int) -> None:
        self.kinds, self.seed = (a, b), seed
        self.fingerprint = f"{tuple(a.shape)} {float(a.double().sum())} {tuple(b.shape)} {float(b.double().sum())}"

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return those samples and which kind they are of."""
        chosen, labels = [], []
        for index in indices:
            random = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
            kind = self.kinds[index % 2]
            chosen.append(kind[int(torch.randint(len(kind), (), generator=random))])
            labels.append(index % 2)
        return torch.stack(chosen), torch.tensor(labels)


def iter_domains(
    a: Tensor,
    b: Tensor,
    held: tuple[Tensor, Tensor],
    options: ClassifierOptions = ClassifierOptions(steps=LESSONS),  # noqa: B008 - frozen
    *,
    path: str | Path,
) -> Iterator[Taught]:
    """Yield Taught a few times while a classifier learns to tell pictures of A, 0, from those of B, 1.

    Args:
        a: `(N, 3, H, W)`, bytes or RGB in [0, 1]; small ones, as 64 px.
        b: `(M, 3, H, W)`, of the same size.
        held: others of both kinds, from which it does not learn. How many of them it takes for what they are is
            "accuracy" in the file's header. Where that is not near 1, the two kinds are alike, or there are too few
            pictures, and it judges nothing.
        options: how it learns.
        path: the file that it is written to at the end, for `evaluation.load_classifier`.

    Raises:
        ImageError: they are of different sizes.
        OptionError: there are fewer than five of a kind to learn from.
    """
    for other in (b, *held):
        if a.shape[1:] != other.shape[1:]:
            raise ImageError(f"pictures are {tuple(a.shape[1:])} and {tuple(other.shape[1:])}; expected the same size.")
    if min(len(a), len(b)) < 5:
        raise OptionError(f"there are {len(a)} and {len(b)} pictures; expected 5 or more of each kind.")
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = Classifier(classes=2, channels=a.shape[1], size=(a.shape[2], a.shape[3]))
    labels = torch.cat([torch.full((len(kind),), number) for number, kind in enumerate(held)])
    data = _Both(a, b, options.seed)
    return iter_lesson(network, data, (torch.cat(held), labels), options, path=path)


def learn_domains(
    a: Tensor,
    b: Tensor,
    options: ClassifierOptions = ClassifierOptions(steps=LESSONS),  # noqa: B008 - frozen
    *,
    run: str | Path,
) -> tuple[Classifier, float]:
    """Return a classifier as `iter_domains` makes it, and its accuracy on the first fifth of each, unseen by it.

    Do not judge by pictures that it learned from: those after the first fifth.

    Args:
        a: as for `iter_domains`.
        b: as there.
        options: how it learns.
        run: folder for the classifier's file.

    Raises:
        ImpastoError: as `iter_domains`, or there is such a file already.
    """
    path = Path(run) / CLASSIFIER
    if path.exists():
        raise FileExists(f"{path} is there already; name another folder.")
    first, second = (max(1, round(_HELD * len(kind))) for kind in (a, b))
    lessons = iter_domains(a[first:], b[second:], (a[:first], b[:second]), options, path=path)
    path.parent.mkdir(parents=True, exist_ok=True)
    deque(lessons, maxlen=0)
    return load_classifier(path), float(load_state(path)[1]["accuracy"])


def iter_lesson(
    network: Classifier, data: Data, held: tuple[Tensor, Tensor], options: ClassifierOptions, *, path: str | Path
) -> Iterator[Taught]:
    """Yield Taught a few times while a classifier learns beside another training; at the end it is in a file.

    Args:
        network: learns.
        data: batches of pictures and labels.
        held: as for `recipes.classifying.Classifying`.
        options: how it learns.
        path: the file.
    """
    options = options.changed(save_seconds=1e9, preview_seconds=1e9)
    every = max(1, options.steps // _PARTS)
    with TemporaryDirectory() as folder:
        run = Path(folder) / "classifier"
        events = iter_train(Classifying(network, held, options), data, options, run=run, alone=True)
        with closing(cast("Any", events)):
            for event in events:
                if isinstance(event, Trained) and event.step % every == 0:
                    told = (event.losses, event.skipped, event.seconds, event.remaining)
                    yield Taught(event.step, options.steps, "classifier", *told)
        tensors, about = load_state(run / MODEL)
    save_state(path, tensors, about)


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
