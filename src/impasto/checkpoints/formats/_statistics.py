"""Running statistics in old files: torch before 0.4 wrote them for instance normalization, which never uses them."""

from collections.abc import Collection

__all__ = ["unused_statistics"]


def unused_statistics(keys: Collection[str]) -> tuple[str, ...]:
    """Return the note about tensors that were left out; () if there are none."""
    return (f"{len(keys)} running statistics of an old file were left out: they are never used",) if keys else ()
