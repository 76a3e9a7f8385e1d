"""Autoencoders and denoising autoencoders."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.networks.autoencoder import Autoencoder
from impasto.ops.linear_algebra import covariance_sqrt, principal_components
from impasto.ops.pixels import as_floats, noisy
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.common import adam, as_cells, counted
from impasto.recipes.descent import descend
from impasto.training.recipe import Engine, Recipe

__all__ = ["Autoencoding", "pca_mse"]

_COLUMNS = 10  # of previews


_ROWS = 1000  # pictures that are looked at together when nothing is learned


_TEST_SEED = 0  # of the noise on test pictures, whatever a run's own seed is


class Autoencoding(Recipe):
    """A network learns to give pictures back through a few numbers; each batch is `(B, C, H, W)` uint8.

    Args:
        network: of the pictures' shape.
        train: `(N, C, H, W)` uint8, all that is learned from, for the floor that PCA sets.
        test: `(M, C, H, W)` uint8, what the result is measured on.
        options: everything else.

    With noise, it is shown noisy pictures and should give back the clean ones.

    Source: Vincent et al. 2008, "Extracting and composing robust features with denoising autoencoders", for noise.
    Differs: noise is Gaussian and clipped to [0, 1], instead of pixels set to 0.
    """

    name = "autoencoder"

    def __init__(self, network: Autoencoder, train: Tensor, test: Tensor, options: AutoencoderOptions) -> None:
        self.network, self.options = network, options
        self.train, self.test = train, test
        self.networks = {"autoencoder": network}
        self.optimizers = {"adam": adam(network, options.learning_rate)}
        noise = "the same with noise; " if options.noise else ""
        self.caption = f"rows, from the top: test pictures; {noise}what comes back"
        self.results: dict[str, Any] = {}

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Give the batch back, and go down the gradient."""
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
        """Return test pictures, what it is shown if there is noise, and what comes back, in rows."""
        device = next(self.network.parameters()).device
        clean = as_floats(self.test[:_COLUMNS].to(device))
        rows = [clean]
        if self.options.noise:
            rows.append(noisy(clean, self._noise(clean.shape).to(device), self.options.noise))
        return as_cells([*rows, self.network(rows[-1])])

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the network's weights, what builds it, and how well it does on the test set."""
        self.results = self.measured()
        told = {"network": "autoencoder", "settings": self.network.settings, "results": self.results}
        mean, root = self.codes()
        return {**self.network.state_dict(), "codes.mean": mean, "codes.root": root}, told

    @torch.no_grad()
    def codes(self) -> tuple[Tensor, Tensor]:
        """Return how the numbers of training pictures lie: their mean, and the square root of their covariance.

        New pictures can be drawn from them, though nothing has made them Gaussian.
        """
        device = next(self.network.parameters()).device
        found = torch.cat([self.network.encode(clean) for _, clean in _parts(self.train, device)]).double().cpu()
        covariance = torch.cov(found.T).reshape(2 * [self.network.latent]) if len(found) > 1 else found.new_zeros(())
        return found.mean(0).float(), covariance_sqrt(covariance.expand(2 * [self.network.latent])).float()

    def notes(self) -> list[str]:
        """Return the results in words."""
        found = self.results
        if not found:
            return []
        what = f"test MSE {found['mse']:.4f} on {counted(found['test_pictures'])}"
        numbers = found["pca_numbers"]
        many = "as many numbers" if numbers == found["latent"] else "the most numbers that it can have"
        floor = f"PCA with {many}, {numbers}: {found['pca_mse']:.4f}"
        told = [f"{what}; {floor}"]
        if self.options.noise:
            before, after = found["noisy_mse"], found["denoised_mse"]
            told.append(
                f"noise of {self.options.noise:g}: MSE {before:.4f} before and {after:.4f} after; "
                f"PCA: {found['pca_denoised_mse']:.4f}"
            )
        return told

    @torch.no_grad()
    def measured(self) -> dict[str, Any]:
        """Return mean squared errors of the test set, each a mean over pixels, beside those of PCA.

        "pca_numbers" is how many numbers PCA has: as many, or as there are pictures or pixels. "mse" is of clean
        pictures; with noise there are also "noisy_mse", of what it is shown, and "denoised_mse", of what comes back.
        With cross-entropy, "bce" is that of clean pictures, in nats for each pixel.
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
        found |= {"pca_numbers": len(pca[1]), "pca_mse": pca_mse(pca, clean, clean)}
        if noise is not None:
            found["pca_denoised_mse"] = pca_mse(pca, noisy(clean, noise, self.options.noise), clean)
        return found

    @staticmethod
    def _noise(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(_TEST_SEED))


def pca_mse(pca: tuple[Tensor, Tensor], given: Tensor, wanted: Tensor) -> float:
    """Return the mean squared error that PCA leaves, which is the best of all linear autoencoders.

    Args:
        pca: mean and directions of pictures as bytes, from `linear_algebra.principal_components`.
        given: `(M, C, H, W)` in [0, 1], what is projected.
        wanted: the same shape, what should come out.
    """
    mean, directions = pca
    total = 0.0
    for first, second in zip(torch.split(given.flatten(1), _ROWS), torch.split(wanted.flatten(1), _ROWS), strict=True):
        centered = 255 * first.double() - mean
        away = mean + (centered @ directions.T) @ directions - 255 * second.double()
        total += float(away.square().sum())
    return total / 255**2 / wanted.numel()


def _parts(pictures: Tensor, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    for first in range(0, len(pictures), _ROWS):
        yield first, as_floats(pictures[first : first + _ROWS].to(device))
