"""What a painting is measured by: content, style, and how the parts add up.

A style distance is two functions of features: `statistics`, which forgets where things are and can
be averaged over several styles, and `distance` between two sets of statistics. All of them need only
first and second moments over positions.

Every style loss also says what a blank picture (features all zero) would score against the target.
"relative" losses are divided by that, so 1 means "no better than blank" for every layer, network and
style, and a weight keeps its meaning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.errors import unknown_name
from impasto.ops import GramNorm, channel_moments, covariance_sqrt, gram_matrix, trace_sqrt, wide

__all__ = [
    "STYLE_LOSSES",
    "AdversarialLoss",
    "LossScale",
    "StyleLoss",
    "bernoulli_entropy",
    "bernoulli_nats",
    "blend",
    "content_loss",
    "discriminator_loss",
    "gaussian_kl",
    "generator_loss",
    "r1_penalty",
    "style_loss_named",
    "used_numbers",
]

_USED = 0.01  # variance of a number's mean above which it is used

AdversarialLoss = Literal["nonsaturating", "saturating", "hinge"]
LossScale = Literal["relative", "absolute"]
Statistics = tuple[Tensor, ...]


def content_loss(features: Tensor, target: Tensor, scale: LossScale = "absolute") -> Tensor:
    """Return the mean squared difference of features `(B, C, H, W)` at each place.

    Args:
        features: of the picture being painted.
        target: of the content photograph, the same shape.
        scale: "absolute", or "relative" to the target's mean square.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576, eq. 1.
    Differs: the paper prints ½ of the sum; the mean (2 / (N_l M_l) of it) means the same at every size.
    """
    loss = (wide(features) - wide(target)).square().mean()
    return loss / target.square().mean().clamp_min(1e-12) if scale == "relative" else loss


@dataclass(frozen=True)
class StyleLoss:
    """One way to compare styles.

    Attributes:
        statistics: features `(B, C, H, W)`, and a guide `(1, 1, H, W)` or None that says how much each position
            counts as in `ops.gram_matrix`, -> tensors that forget position and blend linearly.
        prepare: target statistics -> whatever `distance` wants to have computed only once.
        distance: statistics, prepared target -> scalar.
        blank: target statistics -> the distance that all-zero features would have.
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


def _deviation(mean: Tensor, square: Tensor) -> Tensor:
    # The floor keeps the square root's slope finite where a channel is silent.
    return (square - mean.square()).clamp_min(1e-6).sqrt()


def _moment_distance(statistics: Statistics, target: Statistics) -> Tensor:
    """Mean over channels of (μ - μ')² + (σ - σ')²: Wasserstein-2 between diagonal Gaussians."""
    means = (statistics[0] - target[0]).square()
    deviations = (_deviation(*statistics) - _deviation(*target)).square()
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


STYLE_LOSSES: dict[str, Callable[[GramNorm], StyleLoss]] = {
    "gram": _gram_loss,
    "moments": lambda _: StyleLoss(_diagonal_moments, _moment_distance, lambda target: target[1].mean()),
    "wasserstein": lambda _: StyleLoss(
        channel_moments,
        _wasserstein_distance,
        lambda target: target[1].diagonal(dim1=1, dim2=2).mean(),
        _wasserstein_target,
    ),
}


def style_loss_named(name: str, gram_norm: GramNorm = "hw") -> StyleLoss:
    """Return the style loss of that name; `gram_norm` only matters to "gram"."""
    if name not in STYLE_LOSSES:
        raise unknown_name("a style loss", name, STYLE_LOSSES)
    return STYLE_LOSSES[name](gram_norm)


def blend(statistics: Sequence[Statistics], weights: Sequence[float]) -> Statistics:
    """Return the weighted mean of several styles' statistics; weights are divided by their sum."""
    shares = [weight / sum(weights) for weight in weights]
    parts = zip(*statistics, strict=True)
    return tuple(torch.stack([share * x for share, x in zip(shares, part, strict=True)]).sum(0) for part in parts)


# --- likelihoods, in nats -------------------------------------------------------------------------


def bernoulli_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of each picture, in nats: the sum over its pixels, `(B,)`.

    Args:
        logits: `(B, ...)`, before the sigmoid.
        targets: the same shape, in [0, 1]. Of black and white pixels it is the negative logarithm of a likelihood; of
            gray ones it is not, and never 0, see `bernoulli_entropy`.
    """
    return F.binary_cross_entropy_with_logits(wide(logits), wide(targets), reduction="none").flatten(1).sum(1)


def bernoulli_entropy(targets: Tensor) -> Tensor:
    """Return the least that `bernoulli_nats` can be for each picture, whatever the logits, `(B,)`."""
    targets = wide(targets)
    return -(torch.xlogy(targets, targets) + torch.xlogy(1 - targets, 1 - targets)).flatten(1).sum(1)


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return how far Gaussians are from the standard one, in nats: the sum over dimensions, `(B,)`.

    Args:
        mu: `(B, Z)`, means.
        logvar: `(B, Z)`, logarithms of variances; there are no covariances.

    Source: Kingma & Welling 2014, arXiv:1312.6114, appendix B.
    """
    mu, logvar = wide(mu), wide(logvar)
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)


def used_numbers(means: Tensor) -> Tensor:
    """Return which numbers tell pictures apart, `(Z,)`: those whose mean varies by more than 0.01; of one picture none.

    Args:
        means: `(N, Z)`, of many pictures' Gaussians.

    Source: Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5.2 and appendix C.
    """
    return means.double().var(0, correction=int(len(means) > 1)) > _USED


def discriminator_loss(real: Tensor, fake: Tensor, kind: AdversarialLoss = "nonsaturating") -> Tensor:
    """Return how badly a discriminator tells real from made.

    Args:
        real: logits of real pictures, any shape.
        fake: logits of made ones.
        kind: "nonsaturating" and "saturating": -log D(x) - log(1 - D(G(z))), which is log 4 for one that cannot tell;
            "hinge": nothing for logits that are beyond 1 on the right side.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1, whose negative it is; hinge: Miyato et al. 2018,
        arXiv:1802.05957, section 4.
    """
    if kind == "hinge":
        return (1 - real).relu().mean() + (1 + fake).relu().mean()
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: AdversarialLoss = "nonsaturating") -> Tensor:
    """Return how badly a generator deceives the discriminator.

    Args:
        fake: logits of made pictures, any shape.
        kind: "nonsaturating": -log D(G(z)), as if labels were flipped; "saturating": log(1 - D(G(z))), the game as it
            is written, whose gradient vanishes where the discriminator is sure; "hinge": the logit's negative.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3 and eq. 1; hinge: Miyato et al. 2018, arXiv:1802.05957,
        section 4.
    """
    if kind == "hinge":
        return -fake.mean()
    return -F.softplus(fake).mean() if kind == "saturating" else F.softplus(-fake).mean()


def r1_penalty(logits: Tensor, pictures: Tensor) -> Tensor:
    """Return half the mean squared gradient of logits by pictures: how steep the discriminator is around real ones.

    Args:
        logits: `(B,)`, each of its own picture, computed with gradients.
        pictures: `(B, ...)`, real ones, that require gradients.

    Source: Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406, eq. 9, for a gamma of 1.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), pictures, create_graph=True)
    return gradient.float().square().sum() / (2 * len(pictures))
