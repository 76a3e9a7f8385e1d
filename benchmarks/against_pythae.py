"""Measure the variational autoencoder of impasto beside that of pythae: 784-400-20 on the same pictures.

    pip install pythae
    python benchmarks/against_pythae.py mnist.npz --epochs 10 --out build/pythae.json

Each tool trains in a process of its own, with the same network, batches of 128 and Adam with 1e-3. impasto takes part
twice: with pythae's settings, a constant learning rate and no averages, and with its defaults. The same code then
evaluates all networks: -ELBO on all test pictures, and 200 importance samples on 100 of them,
by both tools' own functions. See README.md.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import impasto
from impasto.checkpoints.files import MODEL, load_state
from impasto.data.arrays import read_sets
from impasto.events import Step
from impasto.losses.likelihood import bernoulli_nats, gaussian_kl
from impasto.networks.autoencoder import VAE
from impasto.recipes.vae.options import VAEOptions
from impasto.recipes.vae.recipe import importance_bound

WAYS = ("pythae", "impasto", "impasto by default")
AS_PYTHAE: dict[str, Any] = {"schedule": "constant", "ema": 0.0, "kl_warmup": 0.0}
DRAWS, EVALUATED = 200, 100


def by_pythae(pictures: str, epochs: int, seed: int) -> tuple[VAE, dict[str, float]]:
    """Train and evaluate with pythae; return the network in impasto's form."""
    from pythae.models import VAE as Theirs  # noqa: N811
    from pythae.models import VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable()
    torch.manual_seed(seed)
    network = VAE((1, 28, 28), 20, hidden=(400,))

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = network.encoder

        def forward(self, x: Tensor) -> Any:
            mu, logvar = self.layers(x.flatten(1)).chunk(2, 1)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = network.decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)).view(-1, 1, 28, 28))

    train, test = read_sets(pictures)
    model = Theirs(VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce"), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=epochs, learning_rate=1e-3, per_device_train_batch_size=128, no_cuda=True
        )
        from pythae.data.datasets import BaseDataset

        data = BaseDataset(train.images.float() / 255, torch.zeros(len(train)))
        trainer = BaseTrainer(model=model, train_dataset=data, training_config=config)
        began = time.perf_counter()
        trainer.train(log_output_dir=None)
        seconds = time.perf_counter() - began
    some = test.images[:EVALUATED].float() / 255
    with torch.no_grad():
        began = time.perf_counter()
        model.get_nll(some, n_samples=DRAWS, batch_size=DRAWS)
        return network, {"seconds": seconds, "likelihood_seconds": time.perf_counter() - began}


def by_impasto(pictures: str, epochs: int, seed: int, default: bool) -> tuple[VAE, dict[str, float]]:
    """Train and evaluate with impasto."""
    sets = read_sets(pictures)
    settings: dict[str, Any] = {"device": "cpu", "hidden": (400,), "epochs": epochs, "importance_samples": 0}
    options = VAEOptions(**settings | ({} if default else AS_PYTHAE), seed=seed)
    seconds = 0.0
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with impasto.train.start("vae", sets, options=options, run=run) as training:
            began = time.perf_counter()
            for event in training:
                if isinstance(event, Step) and event.phase == "train" and event.step == event.steps:
                    seconds = time.perf_counter() - began
        tensors, card = load_state(run / MODEL)
    network = VAE(**card["settings"])
    network.load_state_dict(tensors)
    some = sets.test.images[:EVALUATED].float() / 255
    began = time.perf_counter()
    importance_bound(network, some, DRAWS, torch.Generator().manual_seed(seed))
    return network, {"seconds": seconds, "likelihood_seconds": time.perf_counter() - began}


@torch.no_grad()
def measures_of(network: VAE, pictures: str) -> dict[str, float]:
    """Return -ELBO on the test pictures, and -log-likelihood of some, in nats."""
    network.float().eval()
    test = read_sets(pictures).test.images.float() / 255
    random = torch.Generator().manual_seed(0)
    mu, logvar = network.encode(test)
    codes = mu + torch.randn(mu.shape, generator=random) * (logvar / 2).exp()
    bound = bernoulli_nats(network.logits(codes), test) + gaussian_kl(mu, logvar)
    likelihood = importance_bound(network, test[:EVALUATED], DRAWS, random)
    return {"negative_elbo": float(bound.mean()), "negative_log_likelihood": -float(likelihood.mean())}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all in turns, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("pictures")
    add("--epochs", type=int, default=10)
    add("--seed", type=int, default=0)
    add("--out", type=Path)
    add("--way", choices=WAYS, help=argparse.SUPPRESS)
    words = parser.parse_args(arguments)
    if words.way:
        trained: tuple[nn.Module, dict[str, float]]
        if words.way == "pythae":
            trained = by_pythae(words.pictures, words.epochs, words.seed)
        else:
            trained = by_impasto(words.pictures, words.epochs, words.seed, words.way != "impasto")
        network, told = trained
        assert isinstance(network, VAE)
        sys.stdout.write("\n" + json.dumps(told | measures_of(network, words.pictures)) + "\n")
        return
    found: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads(), "epochs": words.epochs}
    sys.stdout.write(f"{'':20}{'s/epoch':>9}{'-ELBO':>9}{'-log p':>9}{'ms/picture':>12}\n")
    for way in WAYS:
        command = [sys.executable, __file__, words.pictures, "--way", way]
        command += ["--epochs", str(words.epochs), "--seed", str(words.seed)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found[way] = told = json.loads(done.stdout.splitlines()[-1])
        nats = f"{told['negative_elbo']:9.2f}{told['negative_log_likelihood']:9.2f}"
        each = 1000 * told["likelihood_seconds"] / EVALUATED
        sys.stdout.write(f"{way:20}{told['seconds'] / words.epochs:9.2f}{nats}{each:12.2f}\n")
        sys.stdout.flush()
    if words.out:
        words.out.parent.mkdir(parents=True, exist_ok=True)
        words.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
