"""Content and style losses of feature maps, in relative or absolute units."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from impasto.ops.gram import GramNorm, gram_matrix
from impasto.ops.linear_algebra import covariance_sqrt, trace_sqrt
from impasto.ops.moments import channel_moments
from impasto.ops.precision import wide
from impasto.registry import Registry

__all__ = ["LossScale", "STYLE_LOSSES", "StyleLoss", "blend", "content_loss", "style_loss_named"]

LossScale = Literal["relative", "absolute"]


Statistics = tuple[Tensor, ...]


def content_loss(
    features: Tensor, target: Tensor, scale: LossScale = "absolute", guide: Tensor | None = None
) -> Tensor:
    """Return the mean squared difference of features at each position.

    Args:
        features: `(B, C, H, W)`, of the current picture.
        target: the same shape, of the content photograph.
        scale: "absolute", or "relative": divided by the mean square of the target.
        guide: `(B, 1, H, W)`, the weight of each position; by default all are 1.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576, eq. 1.
    Differs: the paper prints ½ of the sum; the mean (2 / (N_l M_l) of it) means the same at every size.
    """
    squares = (wide(features) - wide(target)).square()
    loss = (squares if guide is None else squares * guide).mean()
    return loss / target.square().mean().clamp_min(1e-12) if scale == "relative" else loss


@dataclass(frozen=True)
class StyleLoss:
    """A style loss as four functions of feature statistics.

    Attributes:
        statistics: features `(B, C, H, W)` and a guide `(1, 1, H, W)` or None, the weight of each position as in
            `gram.gram_matrix`, -> tensors without positions, which mix linearly.
        prepare: statistics of the target -> what `distance` needs of them, computed only once.
        distance: statistics, prepared target -> scalar.
        blank: statistics of the target -> the distance of all-zero features, the unit of relative losses.
        summed: statistics are sums over positions instead of means.
    """

    statistics: Callable[..., Statistics]
    distance: Callable[[Statistics, Statistics], Tensor]
    blank: Callable[[Statistics], Tensor]
    prepare: Callable[[Statistics], Statistics] = lambda target: target
    summed: bool = False


def _gram_loss(normalize: GramNorm) -> StyleLoss:
    """Mean squared difference of Gram matrices.

    Source: Gatys et al. 2015, eqs. 3 and 4. With "hw", eq. 4's 1 / (4 N_l² M_l²) Σ (G - A)² is exactly
    a quarter of this mean.
    """
    return StyleLoss(
        statistics=lambda features, guide=None: (gram_matrix(features, normalize, guide),),
        distance=lambda statistics, target: (statistics[0] - target[0]).square().mean(),
        blank=lambda target: target[0].square().mean(),
        summed=normalize == "none",
    )


def _diagonal_moments(features: Tensor, guide: Tensor | None = None) -> Statistics:
    flat = wide(features).flatten(2)  # (B, C, H*W)
    weighted = flat if guide is None else flat * guide.flatten(2)
    return weighted.mean(2), (weighted * flat).mean(2)


def _standard_deviation(mean: Tensor, square: Tensor) -> Tensor:
    # The lower bound keeps the gradient of the square root finite where a channel is constant.
    return (square - mean.square()).clamp_min(1e-6).sqrt()


def _moment_distance(statistics: Statistics, target: Statistics) -> Tensor:
    """Mean over channels of (μ - μ')² + (σ - σ')²: Wasserstein-2 between diagonal Gaussians."""
    means = (statistics[0] - target[0]).square()
    deviations = (_standard_deviation(*statistics) - _standard_deviation(*target)).square()
    return (means + deviations).mean()


def _wasserstein_target(moments: Statistics) -> Statistics:
    mean, second = moments
    covariance = second - mean.unsqueeze(2) * mean.unsqueeze(1)
    return mean, covariance.diagonal(dim1=1, dim2=2), covariance_sqrt(covariance)


def _wasserstein_distance(moments: Statistics, target: Statistics) -> Tensor:
    """Squared Wasserstein-2 distance between Gaussians, divided by the number of channels.

    |μ - μ'|² + tr(Σ + Σ' - 2 (Σ'^½ Σ Σ'^½)^½).

    Source: Dowson & Landau 1982; as a style loss, VinceMarron and style-transfer-pytorch.
    Differs: the trace of the root comes from eigenvalues, with its closed-form gradient.
    """
    mean, second = moments
    target_mean, target_variance, root = target
    covariance = second - mean.unsqueeze(2) * mean.unsqueeze(1)
    means = (mean - target_mean).square().sum(1)
    traces = covariance.diagonal(dim1=1, dim2=2).sum(1) + target_variance.sum(1)
    cross = trace_sqrt(root @ covariance @ root)
    return ((means + traces - 2 * cross) / mean.shape[1]).mean()


_OWN: dict[str, StyleLoss | Callable[[GramNorm], StyleLoss]] = {
    "gram": _gram_loss,
    "moments": lambda _: StyleLoss(_diagonal_moments, _moment_distance, lambda target: target[1].mean()),
    "wasserstein": lambda _: StyleLoss(
        channel_moments,
        _wasserstein_distance,
        lambda target: target[1].diagonal(dim1=1, dim2=2).mean(),
        _wasserstein_target,
    ),
}


STYLE_LOSSES: Registry[StyleLoss | Callable[[GramNorm], StyleLoss]] = Registry(
    "a style loss",
    "impasto.style_losses",
    lambda: _OWN,
    lambda item: None if isinstance(item, StyleLoss) else f"it is a {type(item).__name__}, no StyleLoss",
)


def style_loss_named(name: str | StyleLoss, gram_norm: GramNorm = "hw") -> StyleLoss:
    """Return a style loss by its name, or the one that is given.

    Args:
        name: "gram", "moments", "wasserstein", the name of an entry point of the group "impasto.style_losses", or a
            `StyleLoss`. An entry point is a `StyleLoss` too.
        gram_norm: normalization of the Gram matrices; only "gram" uses it.

    Raises:
        UnknownName: there is no style loss of this name.
    """
    if isinstance(name, StyleLoss):
        return name
    found = STYLE_LOSSES.get(name)
    return found if isinstance(found, StyleLoss) else found(gram_norm)


def blend(statistics: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
    """Return the weighted mean of the statistics of several styles; weights are divided by their sum."""
    fractions = [weight / sum(weights) for weight in weights]
    parts = zip(*statistics, strict=True)
    return tuple(
        torch.stack([fraction * x for fraction, x in zip(fractions, part, strict=True)]).sum(0) for part in parts
    )
