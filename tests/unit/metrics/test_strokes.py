"""Stroke energy against the closed form of gratings."""

import numpy as np
import pytest
import torch

from impasto.metrics.strokes import stroke_energy

FLAT = torch.full((1, 3, 512, 512), 0.5)


def grating(width, amplitude=0.05, size=(512, 512)):
    """Strokes of gray: `width` px dark, `width` px bright."""
    x = torch.arange(size[1])
    return (0.5 + amplitude * torch.sin(torch.pi * x / width)).expand(1, 3, *size)


def passed(width):
    """Return which part of a grating's amplitude two Gaussian blurs of 0.7 and 5 px leave between them."""
    rate = np.pi / width
    return np.exp(-0.5 * (0.7 * rate) ** 2) - np.exp(-0.5 * (5 * rate) ** 2)


@pytest.mark.parametrize(("ours", "theirs"), [(4, 8), (2, 4), (16, 8)])
def test_widths_pass_as_the_blurs_say(ours, theirs):
    found = stroke_energy(grating(ours), FLAT, [grating(theirs)])
    assert found == pytest.approx(passed(ours) ** 2 / passed(theirs) ** 2, rel=0.03)


def test_energy_is_the_square_of_the_contrast():
    assert stroke_energy(grating(6, 0.02), FLAT, [grating(6, 0.04)]) == pytest.approx(1 / 4, rel=0.01)
    mixed = stroke_energy(grating(6), FLAT, [grating(6), FLAT], (0.5, 0.5))
    assert mixed == pytest.approx(2, rel=0.01)


def test_only_flat_places_of_the_photograph_count():
    content = FLAT.clone()
    content[..., :352] = 0.5 + 0.3 * torch.rand(1, 3, 512, 352, generator=torch.Generator().manual_seed(0))
    strokes = grating(6)
    left, right = FLAT.clone(), FLAT.clone()
    left[..., :352], right[..., 352:] = strokes[..., :352], strokes[..., 352:]
    assert stroke_energy(right, content, [strokes]) == pytest.approx(1, rel=0.1)
    assert stroke_energy(left, content, [strokes]) < 0.05
    assert stroke_energy(content, content, [strokes]) < 0.05  # the photograph itself: its flat part is haze


def test_paintings_haze_and_sizes():
    strokes = grating(6)
    assert stroke_energy(strokes, FLAT, [strokes]) == 1
    assert stroke_energy(FLAT, FLAT, [strokes]) < 0.05
    assert stroke_energy(FLAT, FLAT, [FLAT]) == 1
    large = grating(12, size=(1024, 1024))
    assert stroke_energy(large, FLAT, [strokes]) == pytest.approx(1, rel=0.05)
    for size in ((16, 16), (16, 100)):
        assert 0 <= stroke_energy(torch.rand(1, 3, *size), torch.rand(1, 3, 9, 9), [torch.rand(1, 3, 20, 9)]) < 1000
