"""How well pictures were translated from one kind into another, beside what costs nothing.

A translation can fail in two ways: it does not become a picture of the other kind, or it no longer shows what it was
made from. Leaving pictures as they are fails in the first way only, and changing their colors may pass in both, so
these two are measured beside every network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError, OptionError
from impasto.evaluation import look
from impasto.events import drain
from impasto.fidelity import frechet_distance
from impasto.networks.classifier import Classifier
from impasto.ops import luminance, ssim
from impasto.options import ClassifierOptions
from impasto.recipes.classifying import Classifying
from impasto.training import iter_train

__all__ = [
    "Translation",
    "baselines",
    "judge_translation",
    "judged",
    "learn_domains",
    "psnr",
    "reinhard",
    "structure_distance",
]

_HELD = 0.2  # share of the pictures from which the classifier does not learn


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
) -> Translation:
    """Measure translated pictures.

    Args:
        made: `(N, 3, H, W)` RGB in [0, 1], what became of pictures of A.
        source: the same shape, those pictures.
        wanted: `(M, 3, H, W)`, real pictures of B that nobody learned from.
        classifier: of A, 0, and B, 1, from `learn_domains`.
        back: the same shape as `made`: what came back from there.
        truth: the same shape, what the pictures should have become, where that is known.
        labels: a classifier of what pictures of B show, and what each of these should, `(N,)`.

    Raises:
        ImageError: pictures do not fit each other or the classifier.
    """
    for name, other in (("source", source), ("back", back), ("truth", truth)):
        if other is not None and other.shape != made.shape:
            raise ImageError(f"{name} is {tuple(other.shape)}; expected {tuple(made.shape)}, as what was made.")
    seen = look(classifier, made)
    kept = None
    if labels is not None:
        kept = float((look(labels[0], _channels(made, labels[0])).labels.cpu() == labels[1].cpu()).double().mean())
    return Translation(
        accuracy=float((seen.labels == 1).double().mean()),
        frechet=frechet_distance(look(classifier, wanted).features, seen.features),
        structure=float(structure_distance(made, source).mean()),
        cycle_psnr=None if back is None else float(psnr(back, source).mean()),
        cycle_ssim=None if back is None else float(ssim(back, source)),
        kept=kept,
        psnr=None if truth is None else float(psnr(made, truth).mean()),
        pictures=len(made),
    )


def _channels(pictures: Tensor, classifier: Classifier) -> Tensor:
    return luminance(pictures) if classifier.channels == 1 else pictures


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
    ours, theirs = _opponent(source), _opponent(wanted)
    mean, deviation = ours.mean(2, keepdim=True), ours.std(2, correction=0, keepdim=True)
    together = theirs.transpose(0, 1).flatten(1)  # (3, all places)
    wanted_mean, wanted_deviation = together.mean(1), together.std(1, correction=0)
    moved = (ours - mean) * (wanted_deviation[:, None] / deviation.clamp_min(1e-6)) + wanted_mean[:, None]
    matrix = torch.tensor(_OPPONENT, dtype=torch.float64)
    lms = torch.pow(10.0, matrix.inverse() @ moved)
    rgb = torch.tensor(_LMS, dtype=torch.float64).inverse() @ lms
    return rgb.view(source.shape).clamp(0, 1).to(source)


def _opponent(pictures: Tensor) -> Tensor:
    """Return `(N, 3, H W)`: lightness, yellow-blue and red-green, as logarithms of what cones see."""
    flat = pictures.cpu().double().clamp_min(_BLACK).flatten(2)
    return torch.tensor(_OPPONENT, dtype=torch.float64) @ (torch.tensor(_LMS, dtype=torch.float64) @ flat).log10()


# --- a classifier of the two kinds ----------------------------------------------------------------


class _Both:
    """Pictures of both kinds, drawn equally often; a `recipes.Data`."""

    skipped: list[str] = []

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


def learn_domains(
    a: Tensor,
    b: Tensor,
    options: ClassifierOptions = ClassifierOptions(steps=400),  # noqa: B008 - frozen
    *,
    run: str | Path,
) -> tuple[Classifier, float]:
    """Return a classifier that tells pictures of A, 0, from those of B, 1, and its accuracy on some held out.

    Where that is not near 1, the two kinds are alike, or there are too few pictures, and it judges nothing.

    Args:
        a: `(N, 3, H, W)`, bytes or RGB in [0, 1]; small ones, as 64 px.
        b: `(M, 3, H, W)`, of the same size.
        options: how it learns.
        run: folder that the training is written to.

    Raises:
        ImageError: they are of different sizes.
        OptionError: there are fewer than five of a kind.
        FileExists: the folder is not empty.
    """
    if a.shape[1:] != b.shape[1:]:
        raise ImageError(f"pictures are {tuple(a.shape[1:])} and {tuple(b.shape[1:])}; expected the same size.")
    if min(len(a), len(b)) < 5:
        raise OptionError(f"there are {len(a)} and {len(b)} pictures; expected 5 or more of each kind.")
    held = [max(1, round(_HELD * len(kind))) for kind in (a, b)]
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = Classifier(classes=2, channels=a.shape[1], size=(a.shape[2], a.shape[3]))
    pictures = torch.cat([a[: held[0]], b[: held[1]]])
    labels = torch.tensor([0] * held[0] + [1] * held[1])
    recipe = Classifying(network, (pictures, labels), options)
    drain(iter_train(recipe, _Both(a[held[0] :], b[held[1] :], options.seed), options, run=run))
    network.cpu().eval().requires_grad_(False)
    right = look(network, pictures).labels == labels
    return network, float(right.double().mean())


def judged(
    ways: Mapping[str, Tensor], source: Tensor, wanted: Tensor, classifier: Classifier, **more: Any
) -> dict[str, Translation]:
    """Return several ways of translating the same pictures, measured, and the two that cost nothing before them.

    Args:
        ways: what each made, by name.
        source: as for `judge_translation`.
        wanted: as there.
        classifier: as there.
        more: `truth` and `labels`, as there; `back`, by name of the way.

    Raises:
        ImageError: as there.
    """
    back = more.pop("back", {})
    every = {**baselines(source, wanted), **ways}
    return {
        name: judge_translation(made, source, wanted, classifier, back=back.get(name), **more)
        for name, made in every.items()
    }
