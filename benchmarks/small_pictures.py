"""Measure how fast and how well autoencoders learn small pictures, beside the loop that tutorials show.

    python benchmarks/small_pictures.py mnist.npz --only speed
    python benchmarks/small_pictures.py mnist.npz --out build/small.json

"speed" trains the VAE 784-400-20 for an epoch, once by impasto and once by a plain loop: a data set that decodes one
picture at a time, a `DataLoader` without workers, Adam, float32. Both in the same process, in turns. The others train
to the end and keep the results in the card of the file.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset

import impasto
from impasto.checkpoints.files import MODEL, load_state
from impasto.data.arrays import Sets, SmallSet, read_sets
from impasto.events import Step
from impasto.networks.autoencoder import VAE
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.vae.options import VAEOptions

QUIET: dict[str, Any] = {"device": "cpu", "save_seconds": 1e9, "preview_seconds": 1e9}
TUTORIAL: dict[str, Any] = {"hidden": (400,), "schedule": "constant", "ema": 0.0, "kl_warmup": 0.0, "epochs": 10}
RUNS: dict[str, tuple[str, Any]] = {
    "vae-tutorial": ("vae", VAEOptions(**QUIET, **TUTORIAL, precision="float32")),
    "vae-400-20": ("vae", VAEOptions(**QUIET, hidden=(400,), epochs=10)),
    "vae": ("vae", VAEOptions(**QUIET)),
    "ae-dense": ("autoencoder", AutoencoderOptions(**QUIET)),
    "ae-conv": ("autoencoder", AutoencoderOptions(**QUIET, network="conv", epochs=20)),
    "ae-denoising": ("autoencoder", AutoencoderOptions(**QUIET, noise=0.3)),
}


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Pictures as data sets of tutorials give them: each an image that becomes a tensor when it is asked for."""

    def __init__(self, small: SmallSet) -> None:
        assert small.labels is not None
        self.images, self.labels = small.images[:, 0], small.labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = Image.fromarray(self.images[index].numpy()), int(self.labels[index])
        values = torch.from_numpy(np.array(image, np.uint8, copy=True))
        return values.view(image.size[1], image.size[0], 1).permute(2, 0, 1).contiguous().float().div(255), label


def plain_epoch(small: SmallSet, network: VAE, optimizer: torch.optim.Optimizer) -> float:
    """Train one epoch by the loop that tutorials show; return its seconds."""
    begun = time.perf_counter()
    for batch, _ in DataLoader(OneByOne(small), batch_size=128, shuffle=True):
        optimizer.zero_grad()
        mu, logvar = network.encode(batch)
        codes = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        loss = F.binary_cross_entropy(torch.sigmoid(network.logits(codes)), batch, reduction="sum")
        loss = loss - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss.backward()
        optimizer.step()
        loss.item()
    return time.perf_counter() - begun


def our_epochs(sets: Sets, precision: str, count: int) -> Iterator[float]:
    """Train some epochs by impasto, as the plain loop does; yield the seconds of each, without reading and measures."""
    options = VAEOptions(**QUIET | TUTORIAL | {"epochs": count}, importance_samples=0, precision=precision)
    with (
        tempfile.TemporaryDirectory() as folder,
        impasto.train.start("vae", sets, options=options, run=Path(folder) / "run") as training,
    ):
        begun = time.perf_counter()
        for event in training:
            if isinstance(event, Step) and event.phase == "train" and event.step % (event.steps // count) == 0:
                yield time.perf_counter() - begun
                begun = time.perf_counter()


def speed(sets: Sets, rounds: int) -> dict[str, Any]:
    """Return seconds of an epoch by each in turn, and the median ratio of those that followed one another.

    The first epoch of each is left out: there memory is taken, the run's folder made and a preview drawn.
    """
    network: nn.Module = VAE(sets.train.shape, 20, hidden=(400,))
    assert isinstance(network, VAE)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    ours = {precision: our_epochs(sets, precision, rounds + 2) for precision in ("float32", "auto")}
    found: dict[str, Any] = {"plain": [], **{precision: [] for precision in ours}}
    for _ in range(rounds + 1):
        found["plain"].append(round(plain_epoch(sets.train, network, optimizer), 2))
        for precision, epochs in ours.items():
            found[precision].append(round(next(epochs), 2))
    for epochs in ours.values():
        epochs.close()
    found = {name: seconds[1:] for name, seconds in found.items()}
    ratios = {
        f"{precision}/plain": median(ours / plain for ours, plain in zip(found[precision], found["plain"], strict=True))
        for precision in ours
    }
    return found | ratios


def trained(name: str, sets: Sets) -> dict[str, Any]:
    """Train to the end; return the results in the card, and how long it took."""
    method, options = RUNS[name]
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        for event in impasto.train.start(method, sets, options=options, run=run):
            if isinstance(event, Step) and event.phase == "train":
                seconds = event.seconds
        card = load_state(run / MODEL)[1]
    return {"seconds": round(seconds, 1), "options": card["options"], **card["results"]}


def main() -> None:
    """Measure what is asked for, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures")
    parser.add_argument("--only", nargs="*", default=["speed", *RUNS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    sets = read_sets(words.pictures)
    found: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    for name in words.only:
        found[name] = speed(sets, words.rounds) if name == "speed" else trained(name, sets)
        told = {key: value for key, value in found[name].items() if key != "options"}
        sys.stderr.write(f"{name}: {json.dumps(told)}\n")
        if words.out:
            words.out.parent.mkdir(parents=True, exist_ok=True)
            words.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
