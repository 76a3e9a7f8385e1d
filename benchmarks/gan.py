"""Measure what GANs make: which modes they find, which they lose, and how far their pictures are from real ones.

    python benchmarks/gan.py --out build/gan.json
    python benchmarks/gan.py --mnist mnist.npz --only dcgan stacked --out build/gan.json

"ring" and "grid" are Gaussians in the plane, of which PacGAN's numbers are known. "plain" and "cure" train the two
presets of `impasto train gan` on 4,000 digits, "conditional" asks for classes, "dcgan" is `impasto train dcgan` on
MNIST, and "stacked" three digits at a time in red, green and blue, by VEEGAN's protocol: 26,000 pictures, and of the
1000 modes those that were met. A single classifier of 4,000 digits looks at all of them, and its anchors stand beside.
Times are CPU seconds of the whole process, of the training alone.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints import load_state
from impasto.evaluation import Evaluator, digest, load_classifier, look, stacked_modes
from impasto.events import Event, Note, Trained
from impasto.fidelity import class_shares, divergence
from impasto.latents import Maker, load_maker
from impasto.learning import CLASSIFIER, iter_dcgan, iter_gan
from impasto.networks.adversarial import Discriminator, Generator
from impasto.options import AdversarialOptions, DCGANOptions, GANOptions
from impasto.recipes.adversarial import Adversarial
from impasto.smallsets import DIGITS, Sets, read_sets
from impasto.toys import Mixture, StackedDigits, grid, ring
from impasto.training import MODEL, iter_train
from impasto.watching import make_judge

QUIET: dict[str, Any] = {"device": "cpu", "save_seconds": 1e9, "preview_seconds": 1e9}
POINTS = 2500  # as VEEGAN has it
COUNTED = 10_000  # pictures whose classes are counted: of 1,000 a share of 5 % has a deviation of 0.7, of these 0.2
STACKED = 26_000
THREE: dict[str, Any] = {"learning_rate": 1e-3, "r1_weight": 0.01, "watch_steps": 0}
TOYS: dict[str, tuple[Callable[..., Mixture], dict[str, Any]]] = {
    "ring": (ring, {"steps": 3000}),
    "grid": (grid, {"steps": 2000}),
}
TOY: dict[str, Any] = {
    "batch": 256,
    "learning_rate": 1e-3,
    "r1_weight": 0.1,
    "ema": 0.99,
    "latent": 8,
    "schedule": "constant",
    "watch_steps": 0,
}
TOY_HIDDEN = (128, 128)


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
    make, settings = TOYS[name]
    options = GANOptions(**QUIET, **{**TOY, **settings, "seed": seed})
    torch.manual_seed(seed)
    networks = Generator((2,), options.latent, hidden=TOY_HIDDEN), Discriminator((2,), hidden=TOY_HIDDEN)
    data, recipe = make(seed=seed), Adversarial(*networks, options)
    with tempfile.TemporaryDirectory() as run:
        seconds, _, _ = timed(iter_train(recipe, data, options, run=Path(run) / "run"))
        state, _ = load_state(Path(run) / "run" / MODEL)
    recipe.generator.load_state_dict(state)
    found = data.modes(recipe.generator.eval()(torch.randn(POINTS, options.latent)).detach())
    return {**found.as_dict(), "cpu_seconds": seconds, "options": told(options), "hidden": TOY_HIDDEN}


def digits(options: AdversarialOptions, sets: Sets, classifier: Path) -> dict[str, Any]:
    """Learn digits; return what the classifier sees in 1,000 and counts in 10,000 made ones, and the alarms."""
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
    shares = class_shares(look(net, many(maker, COUNTED)).labels, net.classes)
    found["counted"] = {"pictures": COUNTED, "shares": shares.tolist(), "kl": divergence(shares)}
    return {**found, "cpu_seconds": seconds, "steps": steps, "alarms": alarms, "options": told(options)}


def stacked(options: DCGANOptions, sets: Sets, classifier: Path) -> dict[str, Any]:
    """Learn three digits at a time; return how many of the 1000 modes were met."""
    data, looks = StackedDigits(sets.train.images, seed=options.seed), load_classifier(classifier)
    torch.manual_seed(options.seed)
    shape = (3, *sets.train.shape[1:])
    generator = Generator(shape, options.latent, "conv", width=options.width, norm=options.norm)
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
    names = ["ring", "grid", "plain", "cure", "conditional", "dcgan", "stacked"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--mnist", default=DIGITS, help="digits for dcgan and stacked; by default the 5,000")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--classifier", type=Path, help="one of 28 px digits; by default it learns first")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/gan.json"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    few, many = read_sets(DIGITS), read_sets(given.mnist)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    classifier = given.classifier or given.out.with_name(CLASSIFIER)
    if not classifier.is_file():
        taught(few, classifier)
    net = load_classifier(classifier)
    measure = Evaluator(net, few.train.images, few.test.images)
    result: dict[str, Any] = {
        "conditions": {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": given.threads,
            "digits": [len(few.train), len(few.test)],
            "mnist": [str(Path(given.mnist).name), len(many.train), len(many.test)],
            "classifier": digest(net),
            "anchors": {"real": measure.real.as_dict(), "one_class": measure.one_class.as_dict()},
        },
        "runs": [],
    }
    for seed in given.seeds:
        runs: dict[str, Callable[[], dict[str, Any]]] = {
            "ring": lambda seed=seed: toy("ring", seed),
            "grid": lambda seed=seed: toy("grid", seed),
            "plain": lambda seed=seed: digits(GANOptions.preset("plain", **QUIET, seed=seed), few, classifier),
            "cure": lambda seed=seed: digits(GANOptions(**QUIET, seed=seed), few, classifier),
            "conditional": lambda seed=seed: digits(GANOptions(**QUIET, seed=seed, conditional=True), few, classifier),
            "dcgan": lambda seed=seed: digits(DCGANOptions(**QUIET, seed=seed), many, classifier),
            "stacked": lambda seed=seed: stacked(DCGANOptions(**QUIET, **THREE, seed=seed), many, classifier),
        }
        for name in given.only:
            found = {"name": name, "seed": seed, **runs[name]()}
            print(json.dumps({key: value for key, value in found.items() if not isinstance(value, dict)}), flush=True)
            result["runs"].append(found)
            given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
