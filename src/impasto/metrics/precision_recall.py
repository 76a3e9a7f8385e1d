"""Precision, recall, density, coverage, nearest neighbors."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.metrics.frechet import as_double, check_same_width, feature_rows

__all__ = ["Neighborhoods", "nearest", "neighborhoods"]

_CELLS = 2**21  # distances that are held at once


_SPARE = 2  # neighbors more than asked for that are measured exactly


@dataclass(frozen=True)
class Neighborhoods:
    """How made ones lie among real ones; near is what lies in the ball around one to its k-th neighbor of its own set.

    Attributes:
        precision: share of the made that lie in a ball of a real one: they could be real.
        recall: share of the real that lie in a ball of a made one: they could have been made.
        density: in how many balls of real ones a made one lies, divided by k: like precision, but outliers among
            the real count little. About 1 where both are alike; it can be more.
        coverage: share of the balls of real ones that hold a made one: like recall, but outliers among the made
            count little.
    """

    precision: float
    recall: float
    density: float
    coverage: float

    def as_dict(self) -> dict[str, float]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


def neighborhoods(real: Tensor, made: Tensor, k: int = 5) -> Neighborhoods:
    """Return precision, recall, density and coverage of made rows among real ones.

    Args:
        real: `(N, F)`, more than k rows.
        made: `(M, F)`, more than k rows; as many as real ones, if numbers shall be comparable.
        k: which neighbor balls reach to, not counting their own center.

    Raises:
        OptionError: there are too few rows, or they do not fit.

    Source: precision and recall, Kynkäänniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2; density and coverage, Naeem
        et al. 2020, arXiv:2002.09797, eqs. 4 and 6.
    Differs: what lies exactly on a ball's surface is in it, as in both papers; the code of the second leaves it out.
    """
    if k < 1:
        raise OptionError(f"k is {k}; expected 1 or more.")
    real, made = feature_rows(real, k + 1), feature_rows(made, k + 1)
    check_same_width(real, made)
    real_radii, made_radii = _radii(real, k), _radii(made, k)
    inside, balls, recalled, covered = torch.zeros(len(made), dtype=torch.bool, device=made.device), 0, 0, 0
    for rows in _blocks(real, len(made)):
        distances = _distances(real[rows], made)
        held = distances <= real_radii[rows, None]  # (n, M): which balls of real ones hold which made ones
        inside |= held.any(0)
        balls += int(held.sum())
        covered += int(held.any(1).sum())
        recalled += int((distances <= made_radii).any(1).sum())
    return Neighborhoods(
        precision=float(inside.double().mean()),
        recall=recalled / len(real),
        density=balls / (k * len(made)),
        coverage=covered / len(real),
    )


def nearest(rows: Tensor, among: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Return the nearest of other rows, the nearest first: distances `(N, count)` and which ones `(N, count)`.

    They are found in float32, and the distances of those that were found are computed in float64: an exact copy is
    at 0.

    Args:
        rows: `(N, ...)`, bytes or numbers; each is compared as one long row.
        among: `(M, ...)`, of the same shape otherwise and the same kind, M of `count` or more.
        count: how many of them.

    Returns:
        Root mean square differences, in the unit of the rows, of bytes that of 255: 0.1 is a tenth of white. Of
        rows at the same distance, any.

    Raises:
        OptionError: there are too few rows, or they do not fit.
    """
    if count < 1 or len(among) < count or not len(rows):
        raise OptionError(
            f"{len(rows)} rows and {count} neighbors among {len(among)}; expected one or more, and enough."
        )
    if rows.shape[1:] != among.shape[1:] or rows.dtype != among.dtype:
        raise OptionError("rows of two kinds; expected the same shape and the same kind of numbers.")
    flat, others = rows.flatten(1), among.flatten(1).to(rows.device)
    wanted, step = min(count + _SPARE, len(others)), max(1, _CELLS // max(1, flat.shape[1]))
    squares = torch.cat([_unit(some).square().sum(1) for some in torch.split(others, step)])
    distances, places = [], []
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
        places.append(which.to(order.device).gather(1, order)[:, :count])
    return torch.cat(distances), torch.cat(places)


def _radii(rows: Tensor, k: int) -> Tensor:
    """Return each row's distance to its k-th nearest other."""
    parts = [_distances(rows[part], rows).kthvalue(k + 1).values for part in _blocks(rows, len(rows))]
    return torch.cat(parts)  # k + 1: the nearest of all is the row itself


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")  # the same from both sides, and 0 for equal


def _blocks(rows: Tensor, columns: int) -> Iterator[slice]:
    step = max(1, _CELLS // max(1, columns))
    return (slice(start, start + step) for start in range(0, len(rows), step))


def _unit(rows: Tensor) -> Tensor:
    """Return numbers in float32; of bytes, those in [0, 1]."""
    return rows.float() / 255 if rows.dtype == torch.uint8 else rows.float()


def _exact(rows: Tensor) -> Tensor:
    """The same in float64."""
    return as_double(rows) / 255 if rows.dtype == torch.uint8 else as_double(rows)
