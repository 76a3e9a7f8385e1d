"""Synthetic data with known modes: mixtures of Gaussians, and stacked digits."""

import json
import math

import pytest
import torch

from bars import bars, schooled
from impasto.data.synthetic import Mixture, StackedDigits, grid, ring
from impasto.errors import ImageError, OptionError
from impasto.metrics.generative import stacked_modes
from impasto.metrics.modes import Modes


def test_where_the_gaussians_are():
    eight = ring()
    torch.testing.assert_close(eight.centers.norm(dim=1), torch.ones(8, dtype=torch.float64))
    root = math.sqrt(0.5)
    torch.testing.assert_close(eight.centers[[0, 1, 2]], torch.tensor([[1, 0], [root, root], [0, 1]]).double())
    assert eight.sigma == 0.01
    twenty_five = grid()
    assert len(twenty_five.centers) == 25 and twenty_five.sigma == 0.05
    assert sorted(set(twenty_five.centers.flatten().tolist())) == [-4, -2, 0, 2, 4]
    assert {(-4.0, 4.0), (0.0, 2.0)} < {tuple(center) for center in twenty_five.centers.tolist()}


@pytest.mark.parametrize("mixture_of", [ring, grid])
def test_their_own_points_cover_all(mixture_of):
    mixture = mixture_of()
    found = mixture.modes(mixture.batch(range(20_000)))
    assert found.covered == found.modes == len(mixture.centers)
    # in the plane 1 - exp(-3² / 2) of a Gaussian is within three standard deviations: 98.89 %, give or take 0.07
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert 0 < found.kl < 3 * (found.modes - 1) / (2 * 20_000)
    torch.testing.assert_close(mixture.batch([3, 100_003]), mixture.batch([3, 3]))
    assert torch.equal(mixture_of().batch([5]), mixture.batch([5])) and mixture_of().fingerprint == mixture.fingerprint
    assert mixture_of(seed=1).fingerprint != mixture.fingerprint


def test_modes_by_hand():
    eight = ring()
    points = eight.centers[[0, 0, 0, 1, 2, 3]].clone()
    points[3, 0] += 0.029  # within three times 0.01
    points[4, 0] += 0.031  # not any more
    points[5] = math.nan
    found = eight.modes(points)
    kl = math.log(8) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert found == Modes(2, 8, pytest.approx(4 / 6), pytest.approx(kl), 6)
    nothing = eight.modes(torch.full((5, 2), 9.0))
    assert nothing == Modes(0, 8, 0, pytest.approx(math.log(8)), 5)
    assert json.loads(json.dumps(nothing.as_dict()))["covered"] == 0
    collapsed = grid().modes(grid().centers[7].expand(2500, 2))
    assert collapsed == Modes(1, 25, 1, pytest.approx(math.log(25)), 2500)


def test_misplaced_by_hand():
    """Of four modes, two have samples, one point in ten is near none; of a Gaussian, exp(-4.5) of the points are."""
    four, tails = ring(4), math.exp(-4.5)
    points = four.centers[[0] * 5 + [1] * 4 + [0]].clone()
    points[9] = 0.0
    share = (1 - tails) / 4
    wanted = ((0.5 - share) + (0.4 - share) + 2 * share + (0.1 - tails)) / 2
    assert four.misplaced(points) == pytest.approx(wanted, rel=1e-6)
    assert four.misplaced(torch.full((5, 2), math.nan)) == pytest.approx(1 - tails, rel=1e-9)
    assert four.misplaced(four.batch(range(50_000))) < 0.01
    apart, which, near = four.nearest(torch.tensor([[1.0, 0.03], [0.0, 1.031]]))
    assert which.tolist() == [0, 1] and near.tolist() == [True, False]
    torch.testing.assert_close(apart, torch.tensor([0.03, 0.031]).double())


def test_digits_are_stacked():
    digits, _ = bars(9)
    stacked = StackedDigits(digits)
    which = stacked.which(range(50))
    assert which.shape == (50, 3) and set(which.flatten().tolist()) == set(range(9))
    batch = stacked.batch(range(50))
    assert batch.shape == (50, 3, 12, 12) and batch.dtype == torch.uint8
    assert torch.equal(batch[7, 2], digits[which[7, 2], 0])
    assert torch.equal(stacked.batch([31, 7]), batch[[31, 7]])  # whatever is asked for besides
    assert torch.equal(StackedDigits(digits[:, 0], count=40).batch([47]), batch[[7]])
    assert not torch.equal(StackedDigits(digits, seed=1).which(range(50)), which)
    assert StackedDigits(digits).fingerprint == stacked.fingerprint != StackedDigits(digits[:8]).fingerprint


def test_stacked_modes_are_counted():
    pictures, labels = bars(400, seed=2)
    one_each = torch.stack([pictures[labels == label][0] for label in range(4)])  # (4, 1, 12, 12)
    every = torch.cartesian_prod(*[torch.arange(4)] * 3)
    whole = one_each[every, 0]  # (64, 3, 12, 12)
    found = stacked_modes(schooled(), whole)
    assert (found.covered, found.modes, found.samples) == (64, 64, 64)
    assert found.kl == pytest.approx(0, abs=1e-9) and found.high_quality == 1
    red_is_lost = stacked_modes(schooled(), whole[every[:, 0] == 1].float() / 255)
    assert red_is_lost == Modes(16, 64, 1, pytest.approx(math.log(4)), 16)
    many = stacked_modes(schooled(), StackedDigits(pictures).batch(range(1000)))
    assert many.covered == 64 and many.kl < 0.1


def test_what_does_not_fit_is_refused():
    with pytest.raises(OptionError, match="points are 3 x 3; expected one or more with 2 coordinates"):
        ring().modes(torch.zeros(3, 3))
    with pytest.raises(OptionError, match="sigma 0"):
        Mixture(torch.zeros(1, 2), 0)
    with pytest.raises(ImageError, match="digits are 2 x 3 x 8 x 8; expected one or more gray images"):
        StackedDigits(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ImageError, match="images are 2 x 1 x 12 x 12"):
        stacked_modes(schooled(), torch.zeros(2, 1, 12, 12))
