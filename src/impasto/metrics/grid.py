"""Grid energy: checkerboard artifacts and other patterns that are locked to the pixel grid."""

import math

import torch
from torch import Tensor

from impasto.ops.color import luminance

__all__ = ["PERIODS", "grid_energy"]

PERIODS = (2, 4, 8, 16)  # pixels
_WINDOW = 32  # pixels
_ROUNDING = 2 / 255 / math.sqrt(12)  # twice the rms error of rounding to 8 bits


def grid_energy(image: Tensor) -> dict[int, float]:
    """Return how much of the detail with a period of 2, 4, 8 and 16 px is one pattern, locked to the pixel grid.

    Strokes of any width begin anywhere: in two parts of a picture, their phases at a frequency differ. A pattern of a
    network begins at the same pixel of each square, so its phase is the same everywhere. The picture is cut into
    windows; at each frequency k / p, each window has one vote, the phase of its detail. The grid energy of p is the
    squared length of the mean vote, averaged over the frequencies that p has and p / 2 has not.

    Args:
        image: `(1, 3, H, W)` RGB in [0, 1], at its own size: resizing destroys the grid.

    Returns:
        By period, what the squared length has above chance, so about 0 (at times below) for photographs and
        paintings, 1 if the same pattern is all there is. Weak patterns have about 0.8 times their fraction of the
        energy at these frequencies, whatever the contrast: a pattern counts that is visible in a flat sky.
        Detail below the rounding error of 8 bits hardly votes. Pictures below 32 px have windows of 16 px and 0 for
        16 px; those below 16 px have 0.

    Source: ours; the mean resultant length of directional statistics (Mardia & Jupp 2000, section 2.3); Hann windows
        at offsets of half a window, as Welch 1967.
    """
    window = _WINDOW if min(image.shape[-2:]) >= _WINDOW else _WINDOW // 2
    found = dict.fromkeys(PERIODS, 0.0)
    if min(image.shape[-2:]) < window or max(image.shape[-2:]) < 2 * window:  # one window agrees with itself
        return found
    agreement = _agreement(luminance(image.double().cpu())[0, 0], window)
    bins = torch.arange(window)
    y, x = bins[:, None], bins[None, :]
    for period in PERIODS:
        step = window // period  # from one harmonic to the next
        if step > 1:
            own = (y % step == 0) & (x % step == 0) & ~((y % (2 * step) == 0) & (x % (2 * step) == 0))
            found[period] = float(agreement[own].mean())
    return found


def _agreement(light: Tensor, window: int) -> Tensor:
    """Return the squared length of the windows' mean vote above chance, `(window, window)`, by frequency."""
    hann = torch.hann_window(window, dtype=light.dtype)
    taper = hann[:, None] * hann
    least = _ROUNDING**2 * taper.square().sum()  # power of the rounding error
    found = []
    for top in (0, window // 2):
        for left in (0, window // 2):  # four sets of windows; within a set they do not overlap, so chance is known
            total, own, count = torch.zeros_like(taper, dtype=torch.complex128), torch.zeros_like(taper), 0
            parts = light[top:, left:]
            if min(parts.shape) < window:
                continue
            for row in parts.unfold(0, window, window).unfold(1, window, window):  # (columns, window, window)
                waves = torch.fft.fft2((row - row.mean((1, 2), keepdim=True)) * taper)
                votes = waves / (waves.abs().square() + least).sqrt()
                total, own, count = total + votes.sum(0), own + votes.abs().square().sum(0), count + len(votes)
            if count > 1:
                found.append((total.abs().square() - own) / (count * (count - 1)))
    return torch.stack(found).mean(0)
