"""Conversion to float32 where half precision does not suffice."""

from torch import Tensor

__all__ = ["wide"]


def wide(values: Tensor) -> Tensor:
    """Return values of 16 bits as float32, in which sums are accurate; other types unchanged."""
    return values.float() if values.element_size() < 4 else values
