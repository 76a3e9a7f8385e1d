"""Synthetic data whose modes can be counted: mixtures of Gaussians, stacked digits."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImageError, OptionError
from impasto.metrics.modes import Modes

__all__ = ["Mixture", "StackedDigits", "WORLDS", "grid", "ring"]

NEAR = 3  # deviations within which a point belongs to a mode beyond doubt


class Mixture:
    """Gaussians of one width in the plane, all alike: points, as an endless sequence.

    Attributes:
        centers: `(K, 2)`.
        sigma: the deviation of each, along both axes.
    """

    ready = True
    skipped: list[str] = []

    def __init__(self, centers: Tensor, sigma: float, *, seed: int = 0, count: int = 100_000) -> None:
        """Draw the points.

        Args:
            centers: `(K, 2)`, one or more.
            sigma: of each Gaussian.
            seed: of the points.
            count: after so many, they come again.

        Raises:
            OptionError: something is out of range.
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
        """A text that is another one for other points."""
        return hashlib.sha256(self._points.numpy().tobytes()).hexdigest()

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return those points, `(B, 2)`."""
        return self._points[torch.tensor(indices) % len(self._points)]

    def points(self, count: int, random: torch.Generator) -> Tensor:
        """Return new ones, `(count, 2)`."""
        which = torch.randint(len(self.centers), (count,), generator=random)
        noise = torch.randn(count, self.centers.shape[1], generator=random)
        return self.centers[which].float() + self.sigma * noise

    def modes(self, points: Tensor) -> Modes:
        """Return which Gaussians points `(n, 2)` cover: of high quality is what lies within 3 sigma of a center.

        Only points of high quality count for modes, and for their shares.

        Raises:
            OptionError: there are no points, or not in the plane.

        Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5.1; 2,500 points there.
        """
        _, which, near = self.nearest(points)
        good = which[near]
        return Modes.counted(good, len(self.centers), len(points), len(good))

    def misplaced(self, points: Tensor) -> float:
        """Return the share of points `(n, 2)` that would have to move for each mode to have its share, in [0, 1].

        What is near no mode has a share of its own: that of the Gaussians' tails. It is the total variation distance
        between the two distributions over modes and none.

        Raises:
            OptionError: as for `modes`.
        """
        _, which, near = self.nearest(points)
        modes = len(self.centers)
        counts = torch.bincount(which.masked_fill(~near, modes), minlength=modes + 1)
        tails = math.exp(-(NEAR**2) / 2)  # of a Gaussian in the plane, beyond three deviations
        expected = torch.tensor([(1 - tails) / modes] * modes + [tails], dtype=torch.float64)
        return float((counts / len(points) - expected).abs().sum() / 2)

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return how far the nearest center is from each point `(n, 2)`, which it is, and if it is within 3 sigma.

        Raises:
            OptionError: there are no points, or not in the plane.
        """
        if points.ndim != 2 or not len(points) or points.shape[1] != self.centers.shape[1]:
            shape = " x ".join(map(str, points.shape))
            raise OptionError(f"points are {shape}; expected one or more with {self.centers.shape[1]} numbers each.")
        apart, which = torch.cdist(points.double().cpu(), self.centers.double()).min(1)
        return apart, which, apart <= NEAR * self.sigma  # what is not a number is near none


def ring(modes: int = 8, *, radius: float = 1.0, sigma: float = 0.01, seed: int = 0) -> Mixture:
    """Return Gaussians on a circle; the numbers are those of PacGAN (Lin et al. 2018, arXiv:1712.04086)."""
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    return Mixture(radius * torch.stack([angles.cos(), angles.sin()], 1), sigma, seed=seed)


def grid(side: int = 5, *, step: float = 2.0, sigma: float = 0.05, seed: int = 0) -> Mixture:
    """Return side x side Gaussians around the origin; the numbers are those of PacGAN, as for `ring`."""
    places = step * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return Mixture(torch.cartesian_prod(places, places), sigma, seed=seed)


WORLDS: Mapping[str, Callable[..., Mixture]] = {"ring": ring, "grid": grid}  # by name


class StackedDigits:
    """Three digits at a time, one in red, one in green, one in blue: 1000 modes of ten classes, as an endless sequence.

    Which three sample `index` shows depends on the seed and the index alone, and nothing is kept but the digits.

    Source: Metz et al. 2017 (unrolled GANs), arXiv:1611.02163, section 3.3.1; 128,000 samples, as PacGAN and VEEGAN.
    """

    ready = True
    skipped: list[str] = []

    def __init__(self, digits: Tensor, *, seed: int = 0, count: int = 128_000) -> None:
        """Nothing is stacked yet.

        Args:
            digits: `(N, 1, H, W)` or `(N, H, W)`, bytes or numbers.
            seed: of which are stacked.
            count: after so many, they come again.

        Raises:
            ImageError: there are none, or they are not grey.
        """
        digits = digits[:, None] if digits.ndim == 3 else digits
        if digits.ndim != 4 or digits.shape[1] != 1 or not len(digits):
            raise ImageError(f"digits are {' x '.join(map(str, digits.shape))}; expected one or more grey pictures.")
        self.digits, self.seed, self.count = digits, seed, count

    @property
    def fingerprint(self) -> str:
        """A text that is another one for other digits."""
        return hashlib.sha256(self.digits.contiguous().numpy().tobytes()).hexdigest()

    def which(self, indices: Sequence[int]) -> Tensor:
        """Return the numbers of the digits, `(B, 3)`."""
        chance = (np.random.default_rng((self.seed, index % self.count)) for index in indices)
        return torch.tensor([one.integers(0, len(self.digits), 3).tolist() for one in chance]).view(-1, 3)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return those samples, `(B, 3, H, W)`, of the kind that the digits are."""
        return self.digits[self.which(indices), 0]
