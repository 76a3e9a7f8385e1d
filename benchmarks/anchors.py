"""The table of anchors in docs/evaluation.md: the measures of sets with known faults.

    python benchmarks/anchors.py

It takes about a minute on one core, half of it for two classifiers, and needs `pip install 'impasto[train,digits]'`.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

import impasto
from impasto.checkpoints.classifier import load_classifier
from impasto.data.arrays import SmallSet, read_sets
from impasto.metrics.generative import ClassEvaluator, PixelEvaluator
from impasto.ops.resize import resize
from impasto.recipes.classifier.options import ClassifierOptions

COUNT = 1000


def sets_of(train: SmallSet, test: SmallSet) -> Iterator[tuple[str, Tensor]]:
    """Yield names and pictures in [0, 1], `(n, 1, 28, 28)`; chance is seeded."""
    torch.manual_seed(0)
    held, labels = test.images.float() / 255, test.labels
    known = train.images.float() / 255
    yield "real, held out", held
    yield "copies of training pictures", known[torch.randperm(len(known))[:COUNT]]
    yield "real, binarized", torch.bernoulli(held)
    small = resize(held, (14, 14))
    yield "real, blurred", resize(small, (28, 28)).clamp(0, 1)
    yield "5 of 10 classes dropped", held[labels < 5].repeat(3, 1, 1, 1)[:COUNT]
    yield "real + noise of 0.3", (held + 0.3 * torch.randn_like(held)).clamp(0, 1)
    yield "one class only", held[labels == 9]
    yield "one picture, again and again", held[:1].expand(COUNT, -1, -1, -1)
    yield "uniform noise", torch.rand(COUNT, 1, 28, 28)


def main() -> None:
    """Print the table, a line for each set and each classifier."""
    train, test = read_sets("mnist5k")
    measures = []
    for seed in (0, 1):
        with tempfile.TemporaryDirectory() as folder:
            options = ClassifierOptions(seed=seed, device="cpu", preview_seconds=1e9, save_seconds=1e9)
            impasto.train("classifier", "mnist5k", options=options, run=Path(folder) / "run")
            classifier = load_classifier(Path(folder) / "run")
            measures.append(ClassEvaluator(classifier, train.images, test.images))
    pixels = PixelEvaluator(train.images, test.images)
    print("set | FD (again, pixels) | classes | top | KL | confidence | garbage | P / R | D / C | nearest | copies")
    for name, pictures in sets_of(train, test):
        one, other, plain = measures[0](pictures), measures[1](pictures), pixels(pictures)
        cells = (
            f"{one.frechet:.1f} ({other.frechet:.1f}, {plain.frechet:.2f})",
            f"{one.classes} | {one.top_share:.2f} | {one.kl:.3f} | {one.confidence:.2f} | {one.garbage:.2f}",
            f"{one.precision:.2f} / {one.recall:.2f} | {one.density:.2f} / {one.coverage:.2f}",
            f"{one.nearest:.3f} | {one.copies:.2f}",
        )
        print(name, *cells, sep=" | ")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
