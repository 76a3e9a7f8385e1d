"""Precision, recall, density and coverage of generated samples; nearest neighbors."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.metrics.frechet import as_double, check_same_width, feature_rows

__all__ = ["Neighborhoods", "nearest", "neighborhoods"]

_CELLS = 2**21  # distances in memory at once


_SPARE = 2  # more neighbors than asked for, whose distances are computed in float64


@dataclass(frozen=True)
class Neighborhoods:
    """How generated samples lie among real ones. Each has a ball that reaches to its k-th neighbor in its own set.

    Attributes:
        precision: fraction of the generated that lie in a ball of a real one: they look real.
        recall: fraction of the real that lie in a ball of a generated one: the generator covers them.
        density: number of balls of real ones in which a generated one lies, divided by k: like precision, but outliers
            among the real count little. It is about 1 for equal distributions, and can be more.
        coverage: fraction of the balls of real ones that hold a generated one: like recall, but outliers among the
            generated count little.
    """

    precision: float
    recall: float
    density: float
    coverage: float

    def as_dict(self) -> dict[str, float]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


def neighborhoods(real: Tensor, generated: Tensor, k: int = 5) -> Neighborhoods:
    """Return precision, recall, density and coverage of generated rows among real ones.

    Args:
        real: `(N, F)`, more than k rows.
        generated: `(M, F)`, more than k rows; as many as real ones, if numbers shall be comparable.
        k: the neighbor that a ball reaches to; its own center does not count.

    Raises:
        OptionError: there are too few rows, or shapes do not fit.

    Source: precision and recall, Kynkäänniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2; density and coverage, Naeem
        et al. 2020, arXiv:2002.09797, eqs. 4 and 6.
    Differs: a ball contains its surface, as in both papers; the code of the second leaves it out.
    """
    if k < 1:
        raise OptionError(f"k is {k}; expected 1 or more.")
    real, fake = feature_rows(real, k + 1), feature_rows(generated, k + 1)
    check_same_width(real, fake)
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    inside, balls, recalled, covered = torch.zeros(len(fake), dtype=torch.bool, device=fake.device), 0, 0, 0
    for rows in _blocks(real, len(fake)):
        distances = _distances(real[rows], fake)
        held = distances <= real_radii[rows, None]  # (n, M): which balls of real ones hold which fakes
        inside |= held.any(0)
        balls += int(held.sum())
        covered += int(held.any(1).sum())
        recalled += int((distances <= fake_radii).any(1).sum())
    return Neighborhoods(
        precision=float(inside.double().mean()),
        recall=recalled / len(real),
        density=balls / (k * len(fake)),
        coverage=covered / len(real),
    )


def nearest(rows: Tensor, among: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Return the nearest of other rows, the nearest first: distances `(N, count)` and indices `(N, count)`.

    Neighbors are found in float32, and then their distances are computed in float64: an exact copy is at 0.

    Args:
        rows: `(N, ...)`, bytes or numbers; each is flattened.
        among: `(M, ...)`, of the same dtype and otherwise the same shape, M of `count` or more.
        count: neighbors of each row.

    Returns:
        Root mean square differences, in the unit of the rows; bytes count as [0, 1]. Among rows at the same distance
        the order is arbitrary.

    Raises:
        OptionError: there are too few rows, or shapes or dtypes do not fit.
    """
    if count < 1 or len(among) < count or not len(rows):
        raise OptionError(
            f"{len(rows)} rows and {count} neighbors among {len(among)}; expected one or more, and enough."
        )
    if rows.shape[1:] != among.shape[1:] or rows.dtype != among.dtype:
        raise OptionError("rows differ in shape or dtype; expected the same.")
    flat, others = rows.flatten(1), among.flatten(1).to(rows.device)
    wanted, step = min(count + _SPARE, len(others)), max(1, _CELLS // max(1, flat.shape[1]))
    squares = torch.cat([_unit(some).square().sum(1) for some in torch.split(others, step)])
    distances, indices = [], []
    for part in _blocks(flat, min(step, len(others))):
        mine = _unit(flat[part])
        found = []
        for start in range(0, len(others), step):
            apart = squares[start : start + step] - 2 * mine @ _unit(others[start : start + step]).T
            some, order = apart.topk(min(wanted, apart.shape[1]), largest=False)
            found.append((some, order + start))
        best, which = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        which = which.gather(1, best.topk(wanted, largest=False).indices)
        exact = (_exact(flat[part])[:, None] - _exact(others[which])).square().mean(2).sqrt()
        exact, order = exact.sort(stable=True)
        distances.append(exact[:, :count])
        indices.append(which.to(order.device).gather(1, order)[:, :count])
    return torch.cat(distances), torch.cat(indices)


def _radii(rows: Tensor, k: int) -> Tensor:
    """Return each row's distance to its k-th nearest other."""
    parts = [_distances(rows[part], rows).kthvalue(k + 1).values for part in _blocks(rows, len(rows))]
    return torch.cat(parts)  # k + 1: the nearest of all is the row itself


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")  # symmetric, and 0 for equal rows


def _blocks(rows: Tensor, columns: int) -> Iterator[slice]:
    step = max(1, _CELLS // max(1, columns))
    return (slice(start, start + step) for start in range(0, len(rows), step))


def _unit(rows: Tensor) -> Tensor:
    """Return numbers in float32; bytes as numbers in [0, 1]."""
    return rows.float() / 255 if rows.dtype == torch.uint8 else rows.float()


def _exact(rows: Tensor) -> Tensor:
    """The same in float64."""
    return as_double(rows) / 255 if rows.dtype == torch.uint8 else as_double(rows)
