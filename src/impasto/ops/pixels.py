"""Pictures as bytes and as floats, and noise on them."""

from torch import Tensor

__all__ = ["as_floats", "noisy"]


def noisy(pictures: Tensor, noise: Tensor, deviation: float) -> Tensor:
    """Return pictures with noise of deviation 1 times a factor, clipped to [0, 1]."""
    return (pictures + deviation * noise).clamp(0, 1)


def as_floats(pictures: Tensor) -> Tensor:
    """Return bytes as numbers in [0, 1]."""
    return pictures.float().div_(255)
