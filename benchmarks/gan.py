"""Measure GANs: which modes they cover, which they lose, and how far their samples are from real pictures.

    python benchmarks/gan.py --out build/gan.json
    python benchmarks/gan.py --mnist mnist.npz --only dcgan stacked --out build/gan.json

"ring" and "grid" are Gaussians in the plane, for which PacGAN publishes numbers. "vanilla" and "stabilized" train the
two presets of `impasto train gan` on 4,000 digits, "conditional" is class-conditional, "dcgan" is `impasto train dcgan`
on MNIST, "spectral" the same with spectral norm in place of R1, "paper" the preset of that name, for fewer steps, and
"stacked" three digits at a time in red, green and blue, by VEEGAN's protocol: 26,000 samples, and how many of the 1000
modes they cover. "few" trains on 400 digits, and "augmented" on the same with DiffAugment. A single classifier of 4,000
digits evaluates all of them, and the result includes its anchors.
Times are CPU seconds of the whole process, during the training alone.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import impasto
from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import CLASSIFIER, MODEL, load_state
from impasto.data.arrays import DIGITS, Sets, SmallSet, read_sets
from impasto.data.synthetic import StackedDigits
from impasto.events import Event, Note, Step
from impasto.inference.generator import Generator
from impasto.inference.load import load_generator
from impasto.metrics.classes import class_fractions, kl_divergence
from impasto.metrics.classifier import classify
from impasto.metrics.generative import ClassEvaluator, as_bytes, stacked_modes
from impasto.networks.generators import Discriminator, GeneratorNetwork
from impasto.recipes.classifier.train_beside import train_classifier
from impasto.recipes.dcgan.options import DCGANOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.gan.recipe import GANRecipe
from impasto.recipes.options import AdversarialOptions
from impasto.training.loop import iter_train

QUIET: dict[str, Any] = {"device": "cpu", "save_seconds": 1e9, "preview_seconds": 1e9}
FEW = 400  # training digits; the classifier's 4,000 show how well the samples match those that were not seen
COUNTED = 10_000  # samples for class fractions: one of 5 % has a standard deviation of 0.2 %; of 1,000, it is 0.7 %
STACKED = 26_000
SPECTRAL: dict[str, Any] = {"spectral_norm": True, "r1_weight": 0.0}
THREE: dict[str, Any] = {"steps": 6000, "learning_rate": 1e-3, "r1_weight": 0.01, "watch_steps": 0}
TOYS: dict[str, dict[str, Any]] = {
    "ring": {"steps": 6000, "instance_noise": 0.3, "r1_weight": 0.01},  # it is a quarter as wide
    "grid": {},
}


def timed(events: Iterable[Event]) -> tuple[float, int, list[str]]:
    """Run a training; return its CPU seconds from the first step on, its steps, and the notes."""
    begun, steps, notes = time.process_time(), 0, []
    for event in events:
        if isinstance(event, Step) and event.phase == "train":
            begun, steps = time.process_time() if event.step == 1 else begun, event.step
        if isinstance(event, Note):
            notes.append(event.text)
    return time.process_time() - begun, steps, notes


def toy(name: str, seed: int) -> dict[str, Any]:
    """Train on Gaussians in the plane; return which of them are covered."""
    options = GANOptions.preset("points2d", **QUIET, **TOYS[name], seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        seconds, _, notes = timed(impasto.train.start("gan", name, options=options, run=run))
        found = load_state(run / MODEL)[1]["results"]
    return {**found, "cpu_seconds": seconds, "notes": notes, "options": changed(options)}


def digits(options: AdversarialOptions, sets: Sets, classifier: Path, measure: ClassEvaluator) -> dict[str, Any]:
    """Train on digits; return the measures of 1,000 samples, the counts of 10,000, and the alarms.

    "among_all" holds the measures against all digits, whichever were used for training.
    """
    options = options.changed(classifier=str(classifier))
    method = "gan" if isinstance(options, GANOptions) else "dcgan"
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        seconds, steps, notes = timed(impasto.train.start(method, sets, options=options, run=run))
        found = load_state(run / MODEL)[1]["results"]
        model = load_generator(run)
    net = load_classifier(classifier)
    if model.classes:
        labels = torch.arange(1000) % model.classes
        found["as_asked"] = float((classify(net, model.sample(1000, seed=3)).labels == labels).float().mean())
    alarms = [note for note in notes if "collapse" in note]
    pictures = many(model, COUNTED)
    found["among_all"] = measure(pictures[:1000]).as_dict()
    fractions = class_fractions(classify(net, pictures).labels, net.classes)
    found["counted"] = {"pictures": COUNTED, "shares": fractions.tolist(), "kl": kl_divergence(fractions)}
    return {**found, "cpu_seconds": seconds, "steps": steps, "alarms": alarms, "options": changed(options)}


def stacked(options: DCGANOptions, sets: Sets, classifier: Path) -> dict[str, Any]:
    """Train on three digits at a time; return how many of the 1000 modes are covered."""
    data, net = StackedDigits(sets.train.images, seed=options.seed), load_classifier(classifier)
    torch.manual_seed(options.seed)
    shape = (3, *sets.train.shape[1:])
    blur = options.smoothing == "blur"
    generator = GeneratorNetwork(shape, options.latent, "conv", width=options.width, norm=options.norm, blur=blur)
    discriminator = Discriminator(
        shape, "conv", width=options.width, norm=options.discriminator_norm, spectral=options.spectral_norm
    )
    with tempfile.TemporaryDirectory() as run:
        method = GANRecipe(generator, discriminator, options)
        seconds, steps, _ = timed(iter_train(method, data, options, run=Path(run) / "run"))
        model = load_generator(Path(run) / "run")
    found = stacked_modes(net, many(model, STACKED))
    real = stacked_modes(net, data.batch(range(STACKED)))
    return {
        **found.as_dict(),
        "real": real.as_dict(),
        "cpu_seconds": seconds,
        "steps": steps,
        "options": changed(options),
    }


def many(model: Generator, count: int) -> Tensor:
    """Draw samples as bytes, of each class in turn if the network is class-conditional."""
    random, samples = torch.Generator().manual_seed(3), []
    for _ in range(count // 1000):
        labels = torch.arange(1000) % model.classes if model.classes else None
        samples.append(as_bytes(model.decode(model.draw(1000, random), labels)))
    return torch.cat(samples)


def changed(options: AdversarialOptions) -> dict[str, Any]:
    """Return the options that differ from the defaults, and the length of the training."""
    plain, default = options.model_dump(mode="json"), type(options)().model_dump(mode="json")
    always = {"steps", "batch", "seed"}
    return {key: value for key, value in plain.items() if key not in QUIET and (value != default[key] or key in always)}


def main() -> None:
    """Run the chosen experiments, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [
        "ring",
        "grid",
        "vanilla",
        "stabilized",
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
    parser.add_argument(
        "--classifier", type=Path, help="file of a classifier of 28 px digits; by default one is trained first"
    )
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
        list(train_classifier(some, path=classifier, device="cpu"))
    net = load_classifier(classifier)
    measure = ClassEvaluator(net, some.train.images, some.test.images)
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
            "vanilla": (GANOptions.preset("vanilla", **same), some),
            "stabilized": (GANOptions(**same), some),
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
