"""Color transfer between sets of pictures (Reinhard et al. 2001)."""

import torch
from torch import Tensor

__all__ = ["PART", "reinhard"]

PART = 32  # pictures in a chunk


# Reinhard et al. 2001, eqs. 4 and 6: RGB to LMS, and log LMS to lightness, yellow-blue and red-green.
_LMS = ((0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444))


_OPPONENT = ((3**-0.5, 3**-0.5, 3**-0.5), (6**-0.5, 6**-0.5, -2 * 6**-0.5), (2**-0.5, -(2**-0.5), 0.0))


_BLACK = 1 / 255  # lower bound of values before the logarithm


def reinhard(source: Tensor, wanted: Tensor) -> Tensor:
    """Return pictures whose colors have the mean and standard deviation of the colors of a target set.

    Args:
        source: `(N, 3, H, W)` RGB in [0, 1].
        wanted: `(M, 3, h, w)`, the target set.

    Returns:
        The shape, type and range of `source`.

    Source: Reinhard, Ashikhmin, Gooch & Shirley 2001, "Color transfer between images", IEEE CG&A 21(5).
    """
    moments = [(some.mean(2), some.var(2, correction=0)) for some in map(_opponent, torch.split(wanted, PART))]
    means, variances = (torch.cat(part) for part in zip(*moments, strict=True))  # of each picture, (M, 3)
    goal, spread = means.mean(0), (variances.mean(0) + means.var(0, correction=0)).sqrt()  # of all pixels of the set
    matrix = torch.tensor(_OPPONENT, dtype=torch.float64).inverse()
    to_rgb = torch.tensor(_LMS, dtype=torch.float64).inverse()
    found = []
    for some in torch.split(source, PART):
        ours = _opponent(some)
        mean, deviation = ours.mean(2, keepdim=True), ours.std(2, correction=0, keepdim=True)
        moved = (ours - mean) * (spread[:, None] / deviation.clamp_min(1e-6)) + goal[:, None]
        rgb = to_rgb @ torch.pow(10.0, matrix @ moved)
        found.append(rgb.view(some.shape).clamp(0, 1).to(source))
    return torch.cat(found)


def _opponent(pictures: Tensor) -> Tensor:
    """Return `(N, 3, H W)`: the l-alpha-beta space of log LMS, lightness, yellow-blue and red-green."""
    flat = pictures.cpu().double().clamp_min(_BLACK).flatten(2)
    return torch.tensor(_OPPONENT, dtype=torch.float64) @ (torch.tensor(_LMS, dtype=torch.float64) @ flat).log10()
