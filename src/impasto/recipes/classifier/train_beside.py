"""Train a classifier beside another training or an evaluation, which measures with it."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from impasto.checkpoints.classifier import load_classifier
from impasto.checkpoints.files import CLASSIFIER, MODEL, load_state, save_state
from impasto.data.arrays import Sets
from impasto.errors import CheckpointError, FileExists, ImageError, OptionError
from impasto.events import Step
from impasto.networks.classifier import Classifier
from impasto.reading import as_one_error
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.classifier.recipe import ClassifierRecipe
from impasto.training.loop import iter_train
from impasto.training.recipe import Data

__all__ = ["domain_classifier", "train_classifier", "train_domain_classifier"]

_CLASS_STEPS = 600  # of a classifier of classes, which takes a fraction of a minute
_DOMAIN_STEPS = 400  # of a classifier of two domains: enough to tell photographs from paintings
_HELD_OUT = 0.2  # fraction of the images that `domain_classifier` holds out
_FEWEST = 5  # images of each domain
_REPORTS = 5  # how often a training is reported


def train_classifier(
    sets: Sets, *, path: str | Path, steps: int = _CLASS_STEPS, seed: int = 0, device: str = "auto"
) -> Iterator[Step]:
    """Yield Step five times while a classifier learns the classes of a set.

    Args:
        sets: the training set, with labels; its accuracy is measured on the test set if that has labels, too.
        path: file for the classifier, which `checkpoints.classifier.load_classifier` reads. Its header holds
            "accuracy" in [0, 1], or None, and "held": on how many images.
        steps: length of the training.
        seed: of first weights and of the order of the images.
        device: "auto", "cpu", "cuda" and so on.
    """
    train, test = sets
    channels, height, width = train.shape
    assert train.labels is not None
    network = _seeded(seed, int(train.labels.max()) + 1, channels, (height, width))
    options = ClassifierOptions(steps=steps, device=device, seed=seed)
    held = (test.images, test.labels) if test.labels is not None else (test.images[:0], torch.zeros(0))
    return _train(network, train.labeled(), held, options, path)


def train_domain_classifier(
    a: Tensor,
    b: Tensor,
    held: tuple[Tensor, Tensor],
    *,
    path: str | Path,
    steps: int = _DOMAIN_STEPS,
    seed: int = 0,
    device: str = "auto",
    **settings: Any,
) -> Iterator[Step]:
    """Yield Step five times while a classifier learns to tell images of domain A, label 0, from domain B, label 1.

    Args:
        a: `(N, 3, H, W)`, bytes or RGB in [0, 1]; small ones, such as 64 px.
        b: `(M, 3, H, W)`, of the same size.
        held: held-out images of both domains. The classifier's accuracy on them is "accuracy" in the file's header.
            An accuracy far below 1 means that the domains are alike, or that there are too few images; then the
            classifier must not measure anything.
        path: file for the classifier, which `checkpoints.classifier.load_classifier` reads.
        steps: length of the training.
        seed: of first weights and of the order of the images.
        device: "auto", "cpu", "cuda" and so on.
        settings: more `ClassifierOptions`.

    Raises:
        ImageError: images have different sizes.
        OptionError: a domain has fewer than five images.
    """
    for other in (b, *held):
        if a.shape[1:] != other.shape[1:]:
            raise ImageError(f"images are {tuple(a.shape[1:])} and {tuple(other.shape[1:])}; expected the same size.")
    if min(len(a), len(b)) < _FEWEST:
        raise OptionError(f"there are {len(a)} and {len(b)} images; expected {_FEWEST} or more of each domain.")
    network = _seeded(seed, 2, a.shape[1], (a.shape[2], a.shape[3]))
    options = ClassifierOptions(steps=steps, device=device, seed=seed, **settings)
    labels = torch.cat([torch.full((len(domain),), number) for number, domain in enumerate(held)])
    return _train(network, _Domains(a, b, seed), (torch.cat(held), labels), options, path)


def domain_classifier(a: Tensor, b: Tensor, *, run: str | Path, **settings: Any) -> tuple[Classifier, float]:
    """Train a classifier of two domains; return it and its accuracy on the first fifth of each, which is held out.

    Measure nothing on the images that it learned from: those after the first fifth.

    Args:
        a: as for `train_domain_classifier`.
        b: as there.
        run: folder for the classifier's file.
        settings: `steps`, `seed`, `device` and the rest, as there.

    Raises:
        ImpastoError: as there, or the folder already holds a classifier.
    """
    path = Path(run) / CLASSIFIER
    if path.exists():
        raise FileExists(f"{path} exists already; name another folder.")
    first, second = (max(1, round(_HELD_OUT * len(domain))) for domain in (a, b))
    events = train_domain_classifier(a[first:], b[second:], (a[:first], b[:second]), path=path, **settings)
    deque(events, maxlen=0)
    classifier = load_classifier(path)
    with as_one_error(CheckpointError(f"{path} is damaged: it does not say its accuracy.")):
        return classifier, float(load_state(path)[1]["accuracy"])


def _seeded(seed: int, classes: int, channels: int, size: tuple[int, int]) -> Classifier:
    """Return a classifier whose first weights depend on the seed alone; torch's own generator is left as it is."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Classifier(classes, channels, size)


class _Domains:
    """Images of both domains, drawn equally often, with their labels; a `recipe.Data`."""

    skipped: list[str] = []
    ready = True

    def __init__(self, a: Tensor, b: Tensor, seed: int) -> None:
        self.domains, self.seed = (a, b), seed
        self.fingerprint = f"{tuple(a.shape)} {float(a.double().sum())} {tuple(b.shape)} {float(b.double().sum())}"

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return those samples `(B, 3, H, W)` and their labels `(B,)`, 0 or 1."""
        chosen, labels = [], []
        for index in indices:
            random = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
            domain = self.domains[index % 2]
            chosen.append(domain[int(torch.randint(len(domain), (), generator=random))])
            labels.append(index % 2)
        return torch.stack(chosen), torch.tensor(labels)


def _train(
    network: Classifier, data: Data, held: tuple[Tensor, Tensor], options: ClassifierOptions, path: str | Path
) -> Iterator[Step]:
    """Yield Step a few times; at the end the classifier is in the file, and nothing else is left."""
    options = options.changed(save_seconds=1e9, preview_seconds=1e9)
    every = max(1, options.steps // _REPORTS)
    with TemporaryDirectory() as folder:
        run = Path(folder) / "classifier"
        events = iter_train(ClassifierRecipe(network, held, options), data, options, run=run, alone=True)
        with closing(cast("Any", events)):
            for event in events:
                if isinstance(event, Step) and event.phase == "train" and event.step % every == 0:
                    yield replace(event, steps=options.steps, phase="fit", name="classifier")
        tensors, about = load_state(run / MODEL)
    save_state(path, tensors, about)
