"""How like two sets are: of made pictures and real ones, each picture a row of features, or of pixels.

Every function is of plain tensors and computes in float64. Distances are taken a block at a time, so that ten thousand
rows against ten thousand take some tens of megabytes.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.ops import covariance_sqrt, trace_sqrt

__all__ = [
    "Neighborhoods",
    "class_shares",
    "divergence",
    "entropy",
    "frechet_distance",
    "gaussian_distance",
    "nearest",
    "neighborhoods",
    "spread",
]

_CELLS = 2**21  # distances that are held at once
_SPARE = 2  # neighbors more than asked for that are measured exactly


# --- as two clouds -------------------------------------------------------------------------------


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return how far apart two sets are, as Gaussians with their means and covariances: 0 for alike.

    It means something only beside others of the same network's features and the same number of rows: it falls when
    there are more of them, and is unstable with less than about ten times as many rows as features.

    Args:
        a: `(N, F)`, N of 2 or more.
        b: `(M, F)`.

    Raises:
        OptionError: they do not fit.

    Source: Heusel et al. 2017, arXiv:1706.08500, eq. 6, and Dowson & Landau 1982 for Gaussians.
    Differs: features are those of any network, not of Inception.
    """
    a, b = _rows(a, 2), _rows(b, 2)
    _same_width(a, b)
    return gaussian_distance(a.mean(0), torch.cov(a.T), b.mean(0), torch.cov(b.T))


def gaussian_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """Return |m - m'|² + tr(C + C' - 2 (C C')^½) of two Gaussians: the squared Wasserstein-2 distance.

    Args:
        mean_a: `(F,)`.
        cov_a: `(F, F)`, symmetric and positive semi-definite; of a single feature, a number.
        mean_b: `(F,)`.
        cov_b: as `cov_a`.

    Differs: tr (C C')^½ is taken as tr (C^½ C' C^½)^½, whose eigenvalues are real and not negative.
    """
    mean_a, mean_b = _double(mean_a), _double(mean_b)
    cov_a, cov_b = (_double(cov).reshape(len(mean_a), len(mean_a)) for cov in (cov_a, cov_b))
    root = covariance_sqrt(cov_a)
    shared = trace_sqrt(root @ cov_b @ root)
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * shared
    return max(0.0, float(distance))


def spread(features: Tensor) -> float:
    """Return the root mean square distance of rows `(N, F)` from their mean: 0 if all are alike."""
    features = _rows(features, 1)
    return math.sqrt(float((features - features.mean(0)).square().sum(1).mean()))


# --- as neighbors --------------------------------------------------------------------------------


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
    real, made = _rows(real, k + 1), _rows(made, k + 1)
    _same_width(real, made)
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


def _double(values: Tensor) -> Tensor:
    """Return them in float64; on the CPU if they are on one of Apple's GPUs, which have none."""
    return (values.cpu() if values.device.type == "mps" else values).detach().double()


def _unit(rows: Tensor) -> Tensor:
    """Return numbers in float32; of bytes, those in [0, 1]."""
    return rows.float() / 255 if rows.dtype == torch.uint8 else rows.float()


def _exact(rows: Tensor) -> Tensor:
    """The same in float64."""
    return _double(rows) / 255 if rows.dtype == torch.uint8 else _double(rows)


def _rows(features: Tensor, least: int) -> Tensor:
    """Return `(N, F)` in float64."""
    if features.ndim != 2 or len(features) < least:
        shape = " x ".join(map(str, features.shape))
        raise OptionError(
            f"features are {shape}; expected two dimensions, a row for each picture and {least} at least."
        )
    features = _double(features)
    if not bool(features.isfinite().all()):
        raise OptionError("some features are not finite; expected numbers.")
    return features


def _same_width(a: Tensor, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise OptionError(f"rows have {a.shape[1]} and {b.shape[1]} features; expected those of the same network.")


# --- as a histogram ------------------------------------------------------------------------------


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Return the share `(classes,)` of each class among labels `(N,)`, in float64.

    Raises:
        OptionError: there is no label, or one out of range.
    """
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise OptionError(f"{len(labels)} labels; expected one or more, from 0 to {classes - 1}.")
    return torch.bincount(labels.long().flatten().cpu(), minlength=classes).double() / labels.numel()


def entropy(shares: Tensor) -> float:
    """Return -Σ p log p of shares `(K,)`, in nats: log K if all are even, 0 if there is one class only."""
    return float(-torch.special.xlogy(shares.double(), shares.double()).sum())


def divergence(shares: Tensor, expected: Tensor | None = None) -> float:
    """Return KL(shares ‖ expected) = Σ p log(p / q) in nats, for shares `(K,)`: 0 if they are as expected.

    Args:
        shares: what was found; 0 log 0 is 0.
        expected: what there should be; by default even shares, for which it is at most log K. It is infinite if
            something is found that is not expected at all.
    """
    p = shares.double()
    q = torch.full_like(p, 1 / len(p)) if expected is None else expected.double().to(p.device)
    found = p > 0
    return max(0.0, float((p[found] * (p[found] / q[found]).log()).sum()))
