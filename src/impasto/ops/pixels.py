"""Pictures as bytes and as floats, and Gaussian noise."""

from torch import Tensor

__all__ = ["as_floats", "noisy"]


def noisy(pictures: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Return pictures plus standard Gaussian noise times its standard deviation `sigma`, clipped to [0, 1]."""
    return (pictures + sigma * noise).clamp(0, 1)


def as_floats(pictures: Tensor) -> Tensor:
    """Return bytes as floats in [0, 1]."""
    return pictures.float().div_(255)
