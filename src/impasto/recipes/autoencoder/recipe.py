"""Autoencoders and denoising autoencoders."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.networks.autoencoder import Autoencoder
from impasto.networks.own import OwnAutoencoder
from impasto.ops.linear_algebra import covariance_sqrt, principal_components
from impasto.ops.pixels import as_floats, noisy
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.common import adam, as_cells, coder_settings, counted, descend
from impasto.recipes.image_sets import image_sets, set_facts, sheets_of
from impasto.training.recipe import Engine, Recipe, Setup, Site, describe, seeded, weights_of

__all__ = ["AutoencoderRecipe", "pca_mse"]

_COLUMNS = 10  # of previews
_PART = 1000  # pictures in a forward pass without gradients
_TEST_SEED = 0  # of the noise on test pictures, whatever a run's own seed is


class AutoencoderRecipe(Recipe):
    """An autoencoder: the encoder maps pictures to latent codes, the decoder reconstructs the pictures from them.

    With noise it is a denoising autoencoder: its input is noisy, its target is the clean picture.
    Each batch is `(B, C, H, W)` uint8.

    Args:
        network: the autoencoder, for pictures of that shape.
        train: `(N, C, H, W)` uint8, the training set, on which PCA is fitted as a baseline.
        test: `(M, C, H, W)` uint8, the test set.
        options: loss, noise, learning rate and the rest.

    Source: Vincent et al. 2008, "Extracting and composing robust features with denoising autoencoders", for the noise.
    Differs: the noise is Gaussian and the input is clipped to [0, 1], instead of pixels set to 0.
    """

    name = "autoencoder"

    def __init__(self, network: Autoencoder, train: Tensor, test: Tensor, options: AutoencoderOptions) -> None:
        self.network, self.options = network, options
        self.train, self.test = train, test
        self.networks = {"autoencoder": network}
        self.optimizers = {"adam": adam(network, options.learning_rate)}
        noise = "the same with noise; " if options.noise else ""
        self.caption = f"rows, from the top: test pictures; {noise}reconstructions"
        self.results: dict[str, Any] = {}

    @classmethod
    def build(cls, data: Mapping[str, Any], options: AutoencoderOptions, site: Site) -> Setup:
        """Read the set and build the network; see `Recipe.build`."""
        images = data["images"]
        sets, options = image_sets(images, options)
        if isinstance(site.network, torch.nn.Module):
            network: Any = OwnAutoencoder(site.network, sets.train.shape)
        else:
            network = seeded(options.seed, lambda: Autoencoder(**coder_settings(sets.train.shape, options)))
        recipe = cls(network, sets.train.images, sets.test.images, options)
        recipe.about = set_facts(images, sets)
        return Setup(recipe, sets.train, options, sheets_of(sets, options))

    def card(self) -> dict[str, Any]:
        """Return the architecture and settings of the network."""
        return {**describe(self.network, "autoencoder"), "name": "autoencoder"}

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Reconstruct the batch, and take an optimizer step on the reconstruction loss."""
        clean = as_floats(batch)
        given = clean
        if self.options.noise:
            given = noisy(clean, torch.randn_like(clean), self.options.noise)
        logits = self.network.logits(self.network.encode(given)).float()
        if self.options.loss == "mse":
            loss = F.mse_loss(logits.sigmoid(), clean)
        else:
            loss = F.binary_cross_entropy_with_logits(logits, clean)
        return descend({self.options.loss: loss}, self.optimizers["adam"], engine)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return rows of test pictures, their noisy copies if there is noise, and reconstructions."""
        device = next(self.network.parameters()).device
        clean = as_floats(self.test[:_COLUMNS].to(device))
        rows = [clean]
        if self.options.noise:
            rows.append(noisy(clean, self._noise(clean.shape).to(device), self.options.noise))
        return as_cells([*rows, self.network(rows[-1])])

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights and the distribution of latent codes; and the settings and the test measurements."""
        self.results = self.measured()
        header = {**describe(self.network, "autoencoder"), "results": self.results}
        mean, root = self.codes()
        return {**weights_of(self.network), "codes.mean": mean, "codes.root": root}, header

    @torch.no_grad()
    def codes(self) -> tuple[Tensor, Tensor]:
        """Return the distribution of the training set's latent codes: the mean, and the square root of the covariance.

        A Gaussian with these moments samples new pictures, though no loss term makes the codes Gaussian.
        """
        device = next(self.network.parameters()).device
        found = torch.cat([self.network.encode(clean) for _, clean in _parts(self.train, device)]).double().cpu()
        covariance = torch.cov(found.T).reshape(2 * [self.network.latent]) if len(found) > 1 else found.new_zeros(())
        return found.mean(0).float(), covariance_sqrt(covariance.expand(2 * [self.network.latent])).float()

    def notes(self) -> list[str]:
        """Return the measurements as sentences."""
        found = self.results
        if not found:
            return []
        what = f"test MSE {found['mse']:.4f} on {counted(found['test_pictures'])}"
        components = found["pca_components"]
        size = "the same latent size" if components == found["latent"] else "the most components"
        told = [f"{what}; PCA with {size}, {components}: {found['pca_mse']:.4f}"]
        if self.options.noise:
            before, after = found["noisy_mse"], found["denoised_mse"]
            told.append(
                f"noise of {self.options.noise:g}: MSE {before:.4f} before and {after:.4f} after; "
                f"PCA: {found['pca_denoised_mse']:.4f}"
            )
        return told

    @torch.no_grad()
    def measured(self) -> dict[str, Any]:
        """Return mean squared errors on the test set, as means over pixels, beside those of PCA.

        "pca_components" is the number of PCA's components: the latent size, or the number of pictures or pixels if that
        is smaller. "mse" is the error of reconstructions of clean pictures. With noise, "noisy_mse" is the error of the
        noisy input and "denoised_mse" that of the output. With the loss "bce", "bce" is the cross-entropy of clean
        pictures, in nats for each pixel.
        """
        found: dict[str, Any] = {"test_pictures": len(self.test), "latent": self.network.latent}
        device = next(self.network.parameters()).device
        noise = self._noise(self.test.shape) if self.options.noise else None
        totals: dict[str, float] = {}
        for first, clean in _parts(self.test, device):
            logits = self.network.logits(self.network.encode(clean))
            sums = {"mse": (logits.sigmoid() - clean).square()}
            if self.options.loss == "bce":
                sums["bce"] = F.binary_cross_entropy_with_logits(logits, clean, reduction="none")
            if noise is not None:
                given = noisy(clean, noise[first : first + len(clean)].to(device), self.options.noise)
                sums["noisy_mse"] = (given - clean).square()
                sums["denoised_mse"] = (self.network(given) - clean).square()
            for name, values in sums.items():
                totals[name] = totals.get(name, 0.0) + float(values.double().sum())
        found |= {name: total / self.test.numel() for name, total in totals.items()}
        pca = principal_components(self.train.cpu().flatten(1), self.network.latent)
        clean = as_floats(self.test.cpu())
        found |= {"pca_components": len(pca[1]), "pca_mse": pca_mse(pca, clean, clean)}
        if noise is not None:
            found["pca_denoised_mse"] = pca_mse(pca, noisy(clean, noise, self.options.noise), clean)
        return found

    @staticmethod
    def _noise(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(_TEST_SEED))


def pca_mse(pca: tuple[Tensor, Tensor], given: Tensor, wanted: Tensor) -> float:
    """Return the reconstruction error of PCA, the best linear autoencoder, as mean squared error.

    Args:
        pca: mean and directions of pictures as bytes, from `linear_algebra.principal_components`.
        given: the inputs, `(M, C, H, W)` in [0, 1].
        wanted: the targets, the same shape.
    """
    mean, directions = pca
    total = 0.0
    for first, second in zip(torch.split(given.flatten(1), _PART), torch.split(wanted.flatten(1), _PART), strict=True):
        centered = 255 * first.double() - mean
        error = mean + (centered @ directions.T) @ directions - 255 * second.double()
        total += float(error.square().sum())
    return total / 255**2 / wanted.numel()


def _parts(pictures: Tensor, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    for first in range(0, len(pictures), _PART):
        yield first, as_floats(pictures[first : first + _PART].to(device))
