"""Computation in float32 where half precision does not suffice."""

from torch import Tensor

__all__ = ["wide"]


def wide(values: Tensor) -> Tensor:
    """Return numbers of 16 bits in 32, in which they can be added up; others as they are."""
    return values.float() if values.element_size() < 4 else values
