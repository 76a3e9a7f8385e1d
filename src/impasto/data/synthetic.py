"""Synthetic data with known modes: mixtures of Gaussians, and stacked digits."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImageError, OptionError
from impasto.metrics.modes import Modes

__all__ = ["MIXTURES", "Mixture", "StackedDigits", "grid", "ring"]

NEAR = 3  # standard deviations within which a point clearly belongs to a mode


class Mixture:
    """A mixture of isotropic Gaussians with equal weights in the plane: points, as an endless sequence.

    Attributes:
        centers: `(K, 2)`, the means.
        sigma: the standard deviation of each, along both axes.
    """

    ready = True
    skipped: list[str] = []

    def __init__(self, centers: Tensor, sigma: float, *, seed: int = 0, count: int = 100_000) -> None:
        """Draw the points.

        Args:
            centers: `(K, 2)`, one or more.
            sigma: standard deviation of each Gaussian, more than 0.
            seed: of the points.
            count: after so many, the same points come again.

        Raises:
            OptionError: an argument is out of range.
        """
        if centers.ndim != 2 or not len(centers) or sigma <= 0 or count < 1:
            raise OptionError(
                f"{len(centers)} centers, sigma {sigma:g} and {count} points; expected one or more centers with two "
                "numbers each, and more than 0."
            )
        self.centers, self.sigma, self.seed = centers, sigma, seed
        self._points = self.points(count, torch.Generator().manual_seed(seed))

    def __len__(self) -> int:
        return len(self._points)

    @property
    def fingerprint(self) -> str:
        """A text that differs for other points."""
        return hashlib.sha256(self._points.numpy().tobytes()).hexdigest()

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return those points, `(B, 2)`."""
        return self._points[torch.tensor(indices) % len(self._points)]

    def points(self, count: int, random: torch.Generator) -> Tensor:
        """Return new points, `(count, 2)`."""
        which = torch.randint(len(self.centers), (count,), generator=random)
        noise = torch.randn(count, self.centers.shape[1], generator=random)
        return self.centers[which].float() + self.sigma * noise

    def modes(self, points: Tensor) -> Modes:
        """Return how many modes points `(n, 2)` cover. A point within 3 sigma of a center is of high quality.

        Only points of high quality count for modes, and for their fractions.

        Raises:
            OptionError: there are no points, or they are not in the plane.

        Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5.1; 2,500 points there.
        """
        _, which, near = self.nearest(points)
        good = which[near]
        return Modes.counted(good, len(self.centers), len(points), len(good))

    def misplaced(self, points: Tensor) -> float:
        """Return the fraction of points `(n, 2)` in the wrong place, in [0, 1].

        It is the total variation distance between two distributions over the modes and "near no mode": that of the
        points and that of the mixture, whose tails are near no mode.

        Raises:
            OptionError: as for `modes`.
        """
        _, which, near = self.nearest(points)
        modes = len(self.centers)
        counts = torch.bincount(which.masked_fill(~near, modes), minlength=modes + 1)
        tails = math.exp(-(NEAR**2) / 2)  # of a Gaussian in the plane, beyond three standard deviations
        expected = torch.tensor([(1 - tails) / modes] * modes + [tails], dtype=torch.float64)
        return float((counts / len(points) - expected).abs().sum() / 2)

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the distance of each point `(n, 2)` to the nearest center, its index, and if it is within 3 sigma.

        Raises:
            OptionError: there are no points, or they are not in the plane.
        """
        if points.ndim != 2 or not len(points) or points.shape[1] != self.centers.shape[1]:
            shape = " x ".join(map(str, points.shape))
            raise OptionError(f"points are {shape}; expected one or more with {self.centers.shape[1]} coordinates.")
        distances, which = torch.cdist(points.double().cpu(), self.centers.double()).min(1)
        return distances, which, distances <= NEAR * self.sigma  # NaN is near none


def ring(modes: int = 8, *, radius: float = 1.0, sigma: float = 0.01, seed: int = 0) -> Mixture:
    """Return Gaussians on a circle; the numbers are those of PacGAN (Lin et al. 2018, arXiv:1712.04086)."""
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    return Mixture(radius * torch.stack([angles.cos(), angles.sin()], 1), sigma, seed=seed)


def grid(side: int = 5, *, step: float = 2.0, sigma: float = 0.05, seed: int = 0) -> Mixture:
    """Return side x side Gaussians around the origin; the numbers are those of PacGAN, as for `ring`."""
    positions = step * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return Mixture(torch.cartesian_prod(positions, positions), sigma, seed=seed)


MIXTURES: Mapping[str, Callable[..., Mixture]] = {"ring": ring, "grid": grid}  # by name


class StackedDigits:
    """Stacked digits, one each in red, green and blue: 1000 modes of ten classes, as an endless sequence.

    Sample `index` depends on the seed and the index alone, and only the digits are kept in memory.

    Source: Metz et al. 2017 (unrolled GANs), arXiv:1611.02163, section 3.3.1; 128,000 samples, as PacGAN and VEEGAN.
    """

    ready = True
    skipped: list[str] = []

    def __init__(self, digits: Tensor, *, seed: int = 0, count: int = 128_000) -> None:
        """Keep the digits; samples are stacked when they are asked for.

        Args:
            digits: `(N, 1, H, W)` or `(N, H, W)`, bytes or numbers.
            seed: decides which digits are stacked.
            count: after so many, the same samples come again.

        Raises:
            ImageError: there are no digits, or they are not gray.
        """
        digits = digits[:, None] if digits.ndim == 3 else digits
        if digits.ndim != 4 or digits.shape[1] != 1 or not len(digits):
            raise ImageError(f"digits are {' x '.join(map(str, digits.shape))}; expected one or more gray images.")
        self.digits, self.seed, self.count = digits, seed, count

    @property
    def fingerprint(self) -> str:
        """A text that differs for other digits."""
        return hashlib.sha256(self.digits.contiguous().numpy().tobytes()).hexdigest()

    def which(self, indices: Sequence[int]) -> Tensor:
        """Return the indices of the digits, `(B, 3)`."""
        chance = (np.random.default_rng((self.seed, index % self.count)) for index in indices)
        return torch.tensor([one.integers(0, len(self.digits), 3).tolist() for one in chance]).view(-1, 3)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return those samples, `(B, 3, H, W)`, of the digits' dtype."""
        return self.digits[self.which(indices), 0]
