"""Grid energy: patterns that repeat with the pixel grid, as weave and checkerboard artifacts do."""

import math

import torch
from torch import Tensor

from impasto.ops.color import luminance

__all__ = ["PERIODS", "grid_pattern"]

PERIODS = (2, 4, 8, 16)  # pixels
_WINDOW = 64  # pixels


def grid_pattern(image: Tensor) -> dict[int, float]:
    """Return the strength of the pattern that repeats with each of the periods 2, 4, 8 and 16 px.

    A pattern that repeats every p pixels has energy only at the frequencies k / p. Natural pictures have energy there,
    too, and about as much just beside. So what a spectrum has at exactly k / p above what it has beside it is the
    energy of the pattern. Frequencies of a shorter period count for that period only.

    Args:
        image: `(1, 3, H, W)` RGB in [0, 1]; the picture at its own size, because resizing destroys the grid.

    Returns:
        By period, the root mean square of the pattern's luminance: 0.01 is one percent of white. About 0 for
        photographs and paintings without JPEG's blocks of 8 px. A period of which the shorter side does not hold four
        repeats has 0.

    Source: ours: the spectrum is Welch's (1967) mean over half overlapping windows of 64 px (less for small
        pictures), with a Hann window; the background of a frequency is the geometric mean of the power two bins to
        both sides.
    """
    side = min(image.shape[-2:])
    window = next((w for w in (_WINDOW, _WINDOW // 2, _WINDOW // 4, _WINDOW // 8) if w <= side), 0)
    found = dict.fromkeys(PERIODS, 0.0)
    if not window:
        return found
    power = _spectrum(luminance(image.double().cpu())[0, 0], window)
    below, above = power.roll(2, 0), power.roll(-2, 0)
    left, right = power.roll(2, 1), power.roll(-2, 1)
    rows, columns = (below * above).sqrt(), (left * right).sqrt()  # geometric means along both axes
    bins = torch.arange(window)
    y, x = bins[:, None], bins[None, :]
    beside = torch.where(y == 0, columns, torch.where(x == 0, rows, (rows * columns).sqrt()))
    excess = power - beside
    for period in PERIODS:
        step = window // period
        if step < 4:
            continue
        here = (y % step == 0) & (x % step == 0) & ~((y % (2 * step) == 0) & (x % (2 * step) == 0))
        found[period] = math.sqrt(max(0.0, float(excess[here].sum())))
    return found


def _spectrum(y: Tensor, window: int) -> Tensor:
    """Return the mean power of all windows, `(window, window)`: a sine of amplitude a has a² / 4 at ±f."""
    half = window // 2
    parts = y.unfold(0, window, half).unfold(1, window, half)  # (rows, columns, window, window)
    hann = torch.hann_window(window, dtype=y.dtype)
    taper = hann[:, None] * hann / hann.sum() ** 2
    total = sum(
        torch.fft.fft2((row - row.mean((1, 2), keepdim=True)) * taper).abs().square().sum(0) for row in parts
    )  # a row of windows at a time
    return torch.as_tensor(total) / (parts.shape[0] * parts.shape[1])
