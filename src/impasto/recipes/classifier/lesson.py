"""Train a classifier beside another training."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from impasto.checkpoints.classifier import load_classifier
from impasto.checkpoints.files import CLASSIFIER, MODEL, load_state, save_state
from impasto.errors import FileExists, ImageError, OptionError
from impasto.events import Taught, Trained
from impasto.networks.classifier import Classifier
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.classifier.recipe import Classifying
from impasto.training.loop import iter_train
from impasto.training.recipe import Data

__all__ = ["LESSONS", "iter_domains", "iter_lesson", "learn_domains"]

_HELD = 0.2  # share of the pictures from which `learn_domains` does not let it learn


LESSONS = 400  # steps of a classifier of two kinds, which are enough to tell photographs from paintings


_PARTS = 5  # how often its lessons are told of


class _Both:
    """Pictures of both kinds, drawn equally often; a `recipe.Data`."""

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
        path: the file that it is written to at the end, for `classifier.load_classifier`.

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
        held: as for `recipe.Classifying`.
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
