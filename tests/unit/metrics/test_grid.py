"""Grid energy of patterns and of noise against the distribution of a noisy phase."""

import numpy as np
import pytest
import torch

from impasto.metrics.grid import PERIODS, grid_energy


def noise(seed, size=(256, 256), spread=0.05):
    """Gray noise around middle gray."""
    random = torch.Generator().manual_seed(seed)
    return 0.5 + spread * torch.randn(1, 1, *size, generator=random, dtype=torch.float64).expand(1, 3, *size)


def wave(period, amplitude, size=(256, 256), phase=0.7):
    """A weave of vertical lines with this period, in px."""
    x = torch.arange(size[1], dtype=torch.float64)
    return (amplitude * torch.cos(2 * torch.pi * x / period + phase)).expand(1, 3, *size)


@pytest.mark.parametrize(("amplitude", "period"), [(0.002, 4), (0.01, 4), (0.003, 8)])
def test_a_weave_in_noise_has_the_closed_form(amplitude, period):
    # The wave has amplitude a / 2 at its frequency, where white noise of σ has the power σ² Σ h⁴ / (Σ h²)²... of the
    # window h(x) h(y): E|n|² = σ² (Σ h²)² / (Σ h)⁴. The mean of cos(phase) of a constant s in complex noise is
    # √(πk)/2 exp(-k/2) (I0(k/2) + I1(k/2)), k = |s|² / E|n|² (Rician phase). Two frequencies of p² - (p/2)² have it.
    hann = np.sin(np.pi * np.arange(32) / 32) ** 2
    k = (amplitude / 2) ** 2 / (0.05**2 * (hann**2).sum() ** 2 / hann.sum() ** 4)
    turn = (np.arange(2000) + 0.5) * np.pi / 2000
    bessel = (np.exp(k / 2 * np.cos(turn)) * (1 + np.cos(turn))).mean()
    length = np.sqrt(np.pi * k) / 2 * np.exp(-k / 2) * bessel
    expected = 2 / (period**2 - (period // 2) ** 2) * length**2
    found = np.mean(
        [grid_energy(noise(seed, (512, 512)) + wave(period, amplitude, (512, 512)))[period] for seed in range(6)]
    )
    assert found == pytest.approx(expected, rel=0.05, abs=0.003)


def test_a_pattern_alone_is_all_there_is_whatever_its_contrast():
    random = torch.Generator().manual_seed(0)
    for period in PERIODS:
        square = torch.rand(1, 3, period, period, generator=random, dtype=torch.float64)
        found = grid_energy(0.5 + 0.2 * square.repeat(1, 1, 128 // period, 160 // period))
        assert found[period] == pytest.approx(1, abs=0.02)
        assert all(found[longer] < 0.01 for longer in PERIODS if longer > period)


def test_noise_has_none_and_strokes_of_the_same_width_have_none():
    assert all(abs(value) < 0.004 for value in grid_energy(noise(0, (512, 512))).values())
    # Strokes with a period of 4 px, whose phase changes from square to square.
    phase = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)).repeat_interleave(32, 2)
    phase = 2 * torch.pi * phase.repeat_interleave(32, 3).double()
    strokes = 0.1 * torch.cos(torch.pi / 2 * torch.arange(512) + phase).expand(1, 3, 512, 512) + noise(
        2, (512, 512), 0.01
    )
    locked = wave(4, 0.1, (512, 512)) + noise(2, (512, 512), 0.01)
    assert abs(grid_energy(strokes)[4]) < 0.05 * grid_energy(locked)[4]


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (16, 40), (31, 90), (32, 32), (50, 64)])
def test_it_is_finite_at_any_size_and_for_constant_pictures(size):
    for image in (torch.full((1, 3, *size), 0.5), torch.zeros(1, 3, *size), torch.rand(1, 3, *size)):
        found = grid_energy(image)
        assert found.keys() == set(PERIODS)
        assert all(-1 <= value <= 1 for value in found.values())
    assert not any(grid_energy(torch.full((1, 3, *size), 0.5)).values())


def test_rounding_to_8_bits_hardly_votes():
    flat = torch.full((1, 3, 128, 128), 0.5) + wave(4, 0.01 / 255, (128, 128)).float()
    assert 0 < grid_energy(flat)[4] < 0.02
