"""Variational autoencoders: pictures through a few numbers that follow a Gaussian, measured in nats."""

import math
from typing import Any

import torch
from torch import Tensor

from impasto.losses.likelihood import bernoulli_entropy, bernoulli_nats, gaussian_kl, used_numbers
from impasto.networks.autoencoder import VAE
from impasto.ops.pixels import as_floats
from impasto.recipes.common import adam, as_cells, counted
from impasto.recipes.vae.options import VAEOptions
from impasto.training.recipe import Engine, Recipe

__all__ = ["Variational", "importance_bound", "reparametrize"]

_COLUMNS, _SAMPLES = 10, 3  # of previews, and rows of samples in them
_ROWS = 1000  # pictures that are looked at together when nothing is learned
_MOST = 1000  # test pictures for which the likelihood is estimated
_DECODED = 5000  # pictures that are decoded together for it
_TEST_SEED = 0  # of everything that is drawn to measure, whatever a run's own seed is


def reparametrize(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Return draws from Gaussians, through which gradients flow: `mu + noise * exp(logvar / 2)`.

    Args:
        mu: means, any shape.
        logvar: logarithms of variances.
        noise: draws from the standard Gaussian, of a shape that they fit.

    Source: Kingma & Welling 2014, arXiv:1312.6114, section 2.4.
    """
    return mu + noise * (logvar / 2).exp()


class Variational(Recipe):
    """A network learns numbers that follow a Gaussian, and pictures of them; each batch is `(B, C, H, W)` uint8.

    If the network knows classes, each batch is such pictures and their labels `(B,)`.

    What is minimized is the reconstruction, in nats, plus `beta` times the KL divergence: with a beta of 1 the
    negative evidence lower bound (ELBO), with another one a beta-VAE.

    Args:
        network: of the pictures' shape.
        test: `(M, C, H, W)` uint8, what the result is measured on: black and white, if those are the targets.
        options: everything else.
        labels: `(M,)`, of the test pictures, if the network knows classes.

    Source: Kingma & Welling 2014, arXiv:1312.6114, eq. 10; Higgins et al. 2017, "beta-VAE", for beta; Sonderby et
        al. 2016, arXiv:1602.02282, for the warm-up.
    """

    name = "vae"
    caption = "rows, from the top: test pictures; what comes back; below, pictures of numbers drawn at random"

    def __init__(self, network: VAE, test: Tensor, options: VAEOptions, labels: Tensor | None = None) -> None:
        self.network, self.test, self.options, self.labels = network, test, options, labels
        self.networks = {"vae": network}
        self.optimizers = {"adam": adam(network, options.learning_rate)}
        self.results: dict[str, Any] = {}

    def step(self, batch: Tensor | tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Draw numbers for the batch, give its pictures back, and go down the gradient of the bound."""
        given, labels = (batch, None) if isinstance(batch, Tensor) else batch
        pictures = as_floats(given)
        if self.options.targets == "dynamic":
            pictures = torch.bernoulli(pictures)
        mu, logvar = self.network.encode(pictures, labels)
        mu, logvar = mu.float(), logvar.float()
        codes = reparametrize(mu, logvar, torch.randn_like(mu))
        reconstruction = bernoulli_nats(self.network.logits(codes, labels), pictures).mean()
        kl = gaussian_kl(mu, logvar).mean()
        optimizer = self.optimizers["adam"]
        optimizer.zero_grad()
        engine.backward(reconstruction + self.weight(engine.progress) * kl)
        optimizer.step()
        return {"reconstruction": reconstruction.detach(), "kl": kl.detach()}

    def weight(self, progress: float) -> float:
        """Return the weight of the KL divergence when a share of the run is done."""
        warmup = self.options.kl_warmup
        return self.options.beta * (min(1.0, progress / warmup) if warmup else 1.0)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return test pictures, what comes back, and pictures of drawn numbers, in rows."""
        device = next(self.network.parameters()).device
        pictures = as_floats(self.test[:_COLUMNS].to(device))
        labels = None if self.labels is None else self.labels[:_COLUMNS]
        noise = torch.randn(_SAMPLES * len(pictures), self.network.latent, generator=_chance()).to(device)
        known = None if labels is None else torch.arange(len(pictures)).repeat(_SAMPLES) % self.network.classes
        samples = torch.split(self.network.decode(noise, known), len(pictures))
        return as_cells([pictures, self.network(pictures, labels), *samples])

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the network's weights, what builds it, and how well it does on the test set."""
        self.results = self.measured()
        told = {"network": "vae", "settings": self.network.settings, "results": self.results}
        return dict(self.network.state_dict()), told

    def notes(self) -> list[str]:
        """Return the results in words."""
        found = self.results
        if not found:
            return []
        targets = f"{found['targets']} targets"
        if found["targets"] == "gray":
            targets += f", whose own entropy is {found['floor']:.1f}"
        told = [
            f"test -ELBO {found['negative_elbo']:.2f} nats = reconstruction {found['reconstruction']:.2f} + KL "
            f"{found['kl']:.2f}, on {counted(found['test_pictures'])}; {targets}"
        ]
        if "log_likelihood" in found:
            likelihood = "log-likelihood" if found["targets"] != "gray" else "as if a log-likelihood"
            told.append(
                f"{likelihood} {found['log_likelihood']:.2f} nats, by {found['importance_samples']} importance samples "
                f"on {counted(found['likelihood_pictures'])}"
            )
        told.append(f"{found['active_units']} of {found['latent']} latent numbers are used")
        return told

    @torch.no_grad()
    def measured(self) -> dict[str, Any]:
        """Return the parts of the bound on the test set, in nats for each picture, and what belongs to them.

        "reconstruction" is of one draw for each picture; "floor" the least it could be, which is 0 unless targets are
        gray; "log_likelihood" the mean of `importance_bound`.
        """
        device = next(self.network.parameters()).device
        random, means = _chance(), []
        sums = dict.fromkeys(("reconstruction", "kl", "floor"), 0.0)
        for first in range(0, len(self.test), _ROWS):
            pictures = as_floats(self.test[first : first + _ROWS].to(device))
            labels = None if self.labels is None else self.labels[first : first + _ROWS]
            mu, logvar = self.network.encode(pictures, labels)
            codes = reparametrize(mu, logvar, torch.randn(mu.shape, generator=random).to(mu))
            nats = bernoulli_nats(self.network.logits(codes, labels), pictures)
            for name, values in (
                ("reconstruction", nats),
                ("kl", gaussian_kl(mu, logvar)),
                ("floor", bernoulli_entropy(pictures)),
            ):
                sums[name] += float(values.double().sum())
            means.append(mu)
        found: dict[str, Any] = {name: total / len(self.test) for name, total in sums.items()}
        found |= {
            "negative_elbo": found["reconstruction"] + found["kl"],
            "targets": self.options.targets,
            "test_pictures": len(self.test),
            "active_units": int(used_numbers(torch.cat(means)).sum()),
            "latent": self.network.latent,
        }
        if self.options.importance_samples:
            some = as_floats(self.test[:_MOST].to(device))
            labels = None if self.labels is None else self.labels[:_MOST]
            bound = importance_bound(self.network, some, self.options.importance_samples, _chance(), labels)
            found |= {
                "log_likelihood": float(bound.double().mean()),
                "importance_samples": self.options.importance_samples,
                "likelihood_pictures": len(some),
            }
        return found


@torch.no_grad()
def importance_bound(
    network: VAE, pictures: Tensor, samples: int, random: torch.Generator, labels: Tensor | None = None
) -> Tensor:
    """Return a bound of each picture's log-likelihood, in nats, `(B,)`: with more samples it comes closer.

    Args:
        network: what is measured.
        pictures: `(B, C, H, W)` in [0, 1]; a likelihood is meant if they are black and white.
        samples: draws for each picture.
        random: on the CPU.
        labels: `(B,)`, if the network knows classes: the likelihood is that of a picture, given its class.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, eq. 8.
    """
    found = []
    rows = max(1, _DECODED // samples)
    for first in range(0, len(pictures), rows):
        part = pictures[first : first + rows]
        known = None if labels is None else labels[first : first + rows]
        mu, logvar = network.encode(part, known)
        weights = []
        left = samples
        while left:
            count = min(left, max(1, _DECODED // len(part)))
            left -= count
            noise = torch.randn(count, *mu.shape, generator=random, dtype=mu.dtype).to(mu.device)
            codes = reparametrize(mu, logvar, noise)  # (K, B, Z)
            logits = network.logits(codes.flatten(0, 1), None if known is None else known.repeat(count))
            targets = part.expand(count, *part.shape).flatten(0, 1)
            likelihood = -bernoulli_nats(logits, targets).view(count, -1)
            # both Gaussians' constants are the same and cancel
            prior, posterior = codes.square().sum(2), (noise.square() + logvar).sum(2)
            weights.append(likelihood - 0.5 * (prior - posterior))
        found.append(torch.cat(weights).logsumexp(0) - math.log(samples))
    return torch.cat(found)


def _chance() -> torch.Generator:
    return torch.Generator().manual_seed(_TEST_SEED)
