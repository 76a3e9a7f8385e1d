"""Measure what GANs make: which modes they find, which they lose, and how far their pictures are from real ones.

    python benchmarks/gan.py --out build/gan.json
    python benchmarks/gan.py --mnist mnist.npz --only dcgan stacked --out build/gan.json

"ring" and "grid" are Gaussians in the plane, of which PacGAN's numbers are known. "plain" and "cure" train the two
presets of `impasto train gan` on 4,000 digits, "conditional" asks for classes, "dcgan" is `impasto train dcgan` on
MNIST, "spectral" the same with spectral norm in the place of R1, "paper" the preset of that name, for fewer steps, and
"stacked" three digits at a time in red, green and blue, by VEEGAN's protocol: 26,000 pictures, and of the 1000 modes
those that were met. "few" learns from 400 digits, and "augmented" from the same with DiffAugment. A single classifier
of 4,000 digits looks at all of them, and its anchors stand beside.
Times are CPU seconds of the whole process, of the training alone.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.api.learning import CLASSIFIER, iter_dcgan, iter_gan
from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import load_state
from impasto.data.arrays import DIGITS, Sets, SmallSet, read_sets
from impasto.data.synthetic import StackedDigits
from impasto.evaluation.generative import Evaluator, stacked_modes
from impasto.evaluation.monitors import make_judge
from impasto.events import Event, Note, Trained
from impasto.inference.generator import Maker, load_maker
from impasto.metrics.classes import class_shares, divergence
from impasto.metrics.classifier import look
from impasto.networks.generators import Discriminator, Generator
from impasto.recipes.dcgan.options import DCGANOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.gan.recipe import Adversarial
from impasto.recipes.options import AdversarialOptions
from impasto.training import MODEL
from impasto.training.loop import iter_train

QUIET: dict[str, Any] = {"device": "cpu", "save_seconds": 1e9, "preview_seconds": 1e9}
FEW = 400  # digits, of which the classifier's 4,000 say how well those are met that were not seen
COUNTED = 10_000  # pictures whose classes are counted: of 1,000 a share of 5 % has a deviation of 0.7, of these 0.2
STACKED = 26_000
SPECTRAL: dict[str, Any] = {"spectral_norm": True, "r1_weight": 0.0}
THREE: dict[str, Any] = {"steps": 6000, "learning_rate": 1e-3, "r1_weight": 0.01, "watch_steps": 0}
TOYS: dict[str, dict[str, Any]] = {
    "ring": {"steps": 6000, "instance_noise": 0.3, "r1_weight": 0.01},  # it is a quarter as wide
    "grid": {},
}


def timed(events: Iterator[Event]) -> tuple[float, int, list[str]]:
    """Run a training; return its CPU seconds from the first step on, its steps, and the notes."""
    begun, steps, notes = time.process_time(), 0, []
    for event in events:
        if isinstance(event, Trained):
            begun, steps = time.process_time() if event.step == 1 else begun, event.step
        if isinstance(event, Note):
            notes.append(event.text)
    return time.process_time() - begun, steps, notes


def toy(name: str, seed: int) -> dict[str, Any]:
    """Learn Gaussians in the plane; return which of them were met."""
    options = GANOptions.preset("plane", **QUIET, **TOYS[name], seed=seed)
    with tempfile.TemporaryDirectory() as run:
        seconds, _, notes = timed(iter_gan(name, options, run=Path(run) / "run"))
        found = load_state(Path(run) / "run" / MODEL)[1]["results"]
    return {**found, "cpu_seconds": seconds, "notes": notes, "options": told(options)}


def digits(options: AdversarialOptions, sets: Sets, classifier: Path, measure: Evaluator) -> dict[str, Any]:
    """Learn digits; return what the classifier sees in 1,000 and counts in 10,000 made ones, and the alarms.

    "among_all" is what `measure` says of them, whichever digits were learned from.
    """
    options = options.changed(classifier=str(classifier))
    train: Any = iter_gan if isinstance(options, GANOptions) else iter_dcgan
    with tempfile.TemporaryDirectory() as run:
        seconds, steps, notes = timed(train(sets, options, run=Path(run) / "run"))
        found = load_state(Path(run) / "run" / MODEL)[1]["results"]
        maker = load_maker(Path(run) / "run")
    if maker.classes:
        labels = torch.arange(1000) % maker.classes
        made = maker.make(maker.draw(1000, torch.Generator().manual_seed(3)), labels)
        found["as_asked"] = float((look(load_classifier(classifier), made).labels == labels).float().mean())
    alarms = [note for note in notes if "collapse" in note]
    net = load_classifier(classifier)
    pictures = many(maker, COUNTED)
    found["among_all"] = measure(pictures[:1000]).as_dict()
    shares = class_shares(look(net, pictures).labels, net.classes)
    found["counted"] = {"pictures": COUNTED, "shares": shares.tolist(), "kl": divergence(shares)}
    return {**found, "cpu_seconds": seconds, "steps": steps, "alarms": alarms, "options": told(options)}


def stacked(options: DCGANOptions, sets: Sets, classifier: Path) -> dict[str, Any]:
    """Learn three digits at a time; return how many of the 1000 modes were met."""
    data, looks = StackedDigits(sets.train.images, seed=options.seed), load_classifier(classifier)
    torch.manual_seed(options.seed)
    shape = (3, *sets.train.shape[1:])
    blur = options.smoothing == "blur"
    generator = Generator(shape, options.latent, "conv", width=options.width, norm=options.norm, blur=blur)
    discriminator = Discriminator(
        shape, "conv", width=options.width, norm=options.discriminator_norm, spectral=options.spectral_norm
    )
    with tempfile.TemporaryDirectory() as run:
        method = Adversarial(generator, discriminator, options)
        seconds, steps, _ = timed(iter_train(method, data, options, run=Path(run) / "run"))
        maker = load_maker(Path(run) / "run")
    found = stacked_modes(looks, many(maker, STACKED))
    real = stacked_modes(looks, data.batch(range(STACKED)))
    return {
        **found.as_dict(),
        "real": real.as_dict(),
        "cpu_seconds": seconds,
        "steps": steps,
        "options": told(options),
    }


def many(maker: Maker, count: int) -> Tensor:
    """Make pictures as they are saved, of each class in turn if there are some."""
    random, made = torch.Generator().manual_seed(3), []
    for _ in range(count // 1000):
        labels = torch.arange(1000) % maker.classes if maker.classes else None
        made.append(as_bytes(maker.make(maker.draw(1000, random), labels)))
    return torch.cat(made)


def as_bytes(pictures: Tensor) -> Tensor:
    """Return pictures as they are saved."""
    return (255 * pictures).round().to(torch.uint8)


def told(options: AdversarialOptions) -> dict[str, Any]:
    """Return what differs from the defaults, and what says how long."""
    plain, usual = options.model_dump(mode="json"), type(options)().model_dump(mode="json")
    always = {"steps", "batch", "seed"}
    return {key: value for key, value in plain.items() if key not in QUIET and (value != usual[key] or key in always)}


def taught(sets: Sets, path: Path) -> None:
    """Let a classifier of single digits learn, as it does before a training."""
    list(make_judge(sets, GANOptions(**QUIET), path).prepare())


def main() -> None:
    """Measure what is asked for, and write it after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [
        "ring",
        "grid",
        "plain",
        "cure",
        "conditional",
        "dcgan",
        "spectral",
        "paper",
        "few",
        "augmented",
        "stacked",
    ]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--mnist", default=DIGITS, help="digits for dcgan and stacked; by default the 5,000")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--classifier", type=Path, help="one of 28 px digits; by default it learns first")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/gan.json"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    some, all_of_them = read_sets(DIGITS), read_sets(given.mnist)
    assert some.train.labels is not None
    few = some._replace(train=SmallSet(some.train.images[:FEW], some.train.labels[:FEW]))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    classifier = given.classifier or given.out.with_name(CLASSIFIER)
    if not classifier.is_file():
        taught(some, classifier)
    net = load_classifier(classifier)
    measure = Evaluator(net, some.train.images, some.test.images)
    result: dict[str, Any] = {
        "conditions": {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": given.threads,
            "digits": [len(some.train), len(some.test)],
            "mnist": [str(Path(given.mnist).name), len(all_of_them.train), len(all_of_them.test)],
            "classifier": digest(net),
            "anchors": {"real": measure.real.as_dict(), "one_class": measure.one_class.as_dict()},
        },
        "runs": [],
    }
    for seed in given.seeds:
        same: dict[str, Any] = {**QUIET, "seed": seed}
        trained: dict[str, tuple[AdversarialOptions, Sets]] = {
            "plain": (GANOptions.preset("plain", **same), some),
            "cure": (GANOptions(**same), some),
            "conditional": (GANOptions(**same, conditional=True), some),
            "dcgan": (DCGANOptions(**same), all_of_them),
            "spectral": (DCGANOptions(**same, **SPECTRAL), all_of_them),
            "paper": (DCGANOptions.preset("paper", **same, steps=1500), all_of_them),
            "few": (DCGANOptions(**same), few),
            "augmented": (DCGANOptions(**same, augment=("translation",)), few),
        }
        for name in given.only:
            found: dict[str, Any] = {"name": name, "seed": seed}
            if name in TOYS:
                found |= toy(name, seed)
            elif name == "stacked":
                found |= stacked(DCGANOptions(**same, **THREE), all_of_them, classifier)
            else:
                found |= digits(*trained[name], classifier, measure)
            print(json.dumps({key: value for key, value in found.items() if not isinstance(value, dict)}), flush=True)
            result["runs"].append(found)
            given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
