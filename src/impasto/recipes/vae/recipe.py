"""Variational autoencoders (VAEs): latent codes with a Gaussian prior, trained on the evidence lower bound."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.losses.likelihood import active_units, bernoulli_entropy, bernoulli_nats, gaussian_kl
from impasto.networks.autoencoder import VAE
from impasto.networks.own import OwnVAE
from impasto.ops.pixels import as_floats
from impasto.recipes.common import adam, as_cells, coder_settings, counted
from impasto.recipes.image_sets import conditional_classes, image_sets, set_facts, sheets_of
from impasto.recipes.vae.options import VAEOptions
from impasto.training.recipe import Engine, Recipe, Setup, Site, describe, seeded, weights_of

__all__ = ["VAERecipe", "importance_bound", "reparametrize"]

_COLUMNS, _SAMPLES = 10, 3  # of previews, and rows of samples in them
_PART = 1000  # pictures in a forward pass without gradients
_MOST = 1000  # test pictures for which the likelihood is estimated
_DECODED = 5000  # latent codes in a forward pass of that estimate
_TEST_SEED = 0  # of random numbers in measurements and previews, whatever a run's own seed is
_STATIC_SEED = 0  # of static binarization, whatever a run's own seed is, so that results can be compared


def reparametrize(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Return samples of Gaussians by the reparametrization trick: `mu + noise * exp(logvar / 2)`.

    Gradients flow through mu and logvar.

    Args:
        mu: means, any shape.
        logvar: logarithms of the variances, the same shape.
        noise: samples of the standard Gaussian, of a shape to which both broadcast.

    Source: Kingma & Welling 2014, arXiv:1312.6114, section 2.4.
    """
    return mu + noise * (logvar / 2).exp()


class VAERecipe(Recipe):
    """A VAE: the encoder maps a picture to a Gaussian over latent codes, the decoder maps codes to pictures.

    Each batch is `(B, C, H, W)` uint8; if the network is class-conditional, it is such pictures and labels `(B,)`.
    The loss is the reconstruction loss, in nats, plus `beta` times the KL divergence. With a beta of 1 that is the
    negative evidence lower bound (ELBO), with another one a beta-VAE.

    Args:
        network: the VAE, for pictures of that shape.
        test: `(M, C, H, W)` uint8, the test set; binarized, if the targets are.
        options: targets, beta, learning rate and the rest.
        labels: `(M,)`, of the test set, if the network is class-conditional.

    Source: Kingma & Welling 2014, arXiv:1312.6114, eq. 10; Higgins et al. 2017, "beta-VAE", for beta; Sonderby et
        al. 2016, arXiv:1602.02282, for the warm-up.
    """

    name = "vae"
    caption = "rows, from the top: test pictures; reconstructions; below, samples from the prior"

    def __init__(self, network: VAE, test: Tensor, options: VAEOptions, labels: Tensor | None = None) -> None:
        self.network, self.test, self.options, self.labels = network, test, options, labels
        self.networks = {"vae": network}
        self.optimizers = {"adam": adam(network, options.learning_rate)}
        self.results: dict[str, Any] = {}

    @classmethod
    def build(cls, data: Mapping[str, Any], options: VAEOptions, site: Site) -> Setup:
        """Read the set and build the network; see `Recipe.build`."""
        images = data["images"]
        sets, options = image_sets(images, options)
        train, test = sets
        if options.targets != "gray":
            test = test.binarized(_STATIC_SEED + 1)
        if options.targets == "static":
            train = train.binarized(_STATIC_SEED)
        classes = conditional_classes(sets, options.conditional, images, "VAE")
        if classes and (test.labels is None or int(test.labels.max()) >= classes):
            raise OptionError(
                "the test set has other classes, or no labels; a class-conditional VAE needs those of the training set."
            )
        if isinstance(site.network, torch.nn.Module):
            if classes:
                raise OptionError("a VAE of your own is not class-conditional; leave out conditional.")
            network: Any = OwnVAE(site.network, train.shape)
        else:
            network = seeded(options.seed, lambda: VAE(**coder_settings(train.shape, options), classes=classes))
        recipe = cls(network, test.images, options, test.labels if classes else None)
        recipe.about = set_facts(images, sets)
        return Setup(recipe, train.labeled() if classes else train, options, sheets_of(sets, options))

    def card(self) -> dict[str, Any]:
        """Return the architecture and settings of the network."""
        return {**describe(self.network, "vae"), "name": "vae"}

    def step(self, batch: Tensor | tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Encode the batch, sample latent codes, decode them, and take an optimizer step on the bound."""
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
        """Return the weight of the KL divergence at a fraction of the training, in [0, 1]."""
        warmup = self.options.kl_warmup
        return self.options.beta * (min(1.0, progress / warmup) if warmup else 1.0)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return rows of test pictures, reconstructions, and samples from the prior."""
        device = next(self.network.parameters()).device
        pictures = as_floats(self.test[:_COLUMNS].to(device))
        labels = None if self.labels is None else self.labels[:_COLUMNS]
        noise = torch.randn(_SAMPLES * len(pictures), self.network.latent, generator=_test_generator()).to(device)
        known = None if labels is None else torch.arange(len(pictures)).repeat(_SAMPLES) % self.network.classes
        samples = torch.split(self.network.decode(noise, known), len(pictures))
        return as_cells([pictures, self.network(pictures, labels), *samples])

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the network's weights; and its settings and the measurements on the test set."""
        self.results = self.measured()
        header = {**describe(self.network, "vae"), "results": self.results}
        return weights_of(self.network), header

    def notes(self) -> list[str]:
        """Return the measurements as sentences."""
        found = self.results
        if not found:
            return []
        targets = f"{found['targets']} targets"
        if found["targets"] == "gray":
            targets += f", whose entropy is {found['target_entropy']:.1f}"
        told = [
            f"test -ELBO {found['negative_elbo']:.2f} nats = reconstruction {found['reconstruction']:.2f} + KL "
            f"{found['kl']:.2f}, on {counted(found['test_pictures'])}; {targets}"
        ]
        if "log_likelihood" in found:
            likelihood = "log-likelihood" if found["targets"] != "gray" else "importance-weighted bound"
            told.append(
                f"{likelihood} {found['log_likelihood']:.2f} nats, by {found['importance_samples']} importance samples "
                f"on {counted(found['likelihood_pictures'])}"
            )
        told.append(f"{found['active_units']} of {found['latent']} latent dimensions are active")
        return told

    @torch.no_grad()
    def measured(self) -> dict[str, Any]:
        """Return the terms of the bound on the test set, in nats for each picture, and more measurements.

        "reconstruction" is the loss of one latent code for each picture. "target_entropy" is its lower bound, the
        entropy of the targets, which is 0 unless they are gray. "log_likelihood" is the mean of `importance_bound`.
        """
        device = next(self.network.parameters()).device
        random, means = _test_generator(), []
        sums = dict.fromkeys(("reconstruction", "kl", "target_entropy"), 0.0)
        for first in range(0, len(self.test), _PART):
            pictures = as_floats(self.test[first : first + _PART].to(device))
            labels = None if self.labels is None else self.labels[first : first + _PART]
            mu, logvar = self.network.encode(pictures, labels)
            codes = reparametrize(mu, logvar, torch.randn(mu.shape, generator=random).to(mu))
            nats = bernoulli_nats(self.network.logits(codes, labels), pictures)
            for name, values in (
                ("reconstruction", nats),
                ("kl", gaussian_kl(mu, logvar)),
                ("target_entropy", bernoulli_entropy(pictures)),
            ):
                sums[name] += float(values.double().sum())
            means.append(mu)
        found: dict[str, Any] = {name: total / len(self.test) for name, total in sums.items()}
        found |= {
            "negative_elbo": found["reconstruction"] + found["kl"],
            "targets": self.options.targets,
            "test_pictures": len(self.test),
            "active_units": int(active_units(torch.cat(means)).sum()),
            "latent": self.network.latent,
        }
        if self.options.importance_samples:
            some = as_floats(self.test[:_MOST].to(device))
            labels = None if self.labels is None else self.labels[:_MOST]
            bound = importance_bound(self.network, some, self.options.importance_samples, _test_generator(), labels)
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
    """Return the importance-weighted lower bound of each picture's log-likelihood, in nats, `(B,)`.

    It is tighter with more samples.

    Args:
        network: the VAE.
        pictures: `(B, C, H, W)` in [0, 1]; it is a bound of a likelihood only if they are binary.
        samples: latent codes for each picture.
        random: generator on the CPU.
        labels: `(B,)`, if the network is class-conditional; then the likelihood is conditional, too.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, eq. 8.
    """
    found = []
    size = max(1, _DECODED // samples)
    for first in range(0, len(pictures), size):
        part = pictures[first : first + size]
        known = None if labels is None else labels[first : first + size]
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
            # the constants of both Gaussians are equal and cancel
            prior, posterior = codes.square().sum(2), (noise.square() + logvar).sum(2)
            weights.append(likelihood - 0.5 * (prior - posterior))
        found.append(torch.cat(weights).logsumexp(0) - math.log(samples))
    return torch.cat(found)


def _test_generator() -> torch.Generator:
    return torch.Generator().manual_seed(_TEST_SEED)
