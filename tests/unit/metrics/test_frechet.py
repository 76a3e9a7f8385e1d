"""Measures of sets, by hand on a line, in closed form, and with what must hold for any set."""

import math

import pytest
import torch

from impasto.errors import OptionError
from impasto.metrics.classes import class_fractions, entropy, kl_divergence
from impasto.metrics.frechet import frechet_distance, gaussian_distance, spread
from impasto.metrics.precision_recall import Neighborhoods, nearest, neighborhoods


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def cloud(count, width, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- as two clouds -------------------------------------------------------------------------------


def test_frechet_distance_on_a_line_by_hand():
    # means 0 and 5, variances (n - 1) 2 and 8: 25 + 2 + 8 - 2 sqrt(16)
    assert frechet_distance(column(-1, 1), column(3, 7)) == pytest.approx(27, rel=1e-12)


def test_distance_of_gaussians_with_the_same_axes():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 6.0])
    # (3, 4) apart: 25; standard deviations 1 and 3, 2 and 4: (1 - 3)² + (2 - 4)²
    found = gaussian_distance(a, torch.diag(torch.tensor([1.0, 4])), b, torch.diag(torch.tensor([9.0, 16])))
    assert found == pytest.approx(33, rel=1e-12)


def test_distance_of_gaussians_with_other_axes():
    zero, cov = torch.zeros(2), torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    # of two by two matrices tr M^½ = sqrt(tr M + 2 sqrt(det M)); here tr = 2 * 1 + 2 * 4 and det = 3 * 4
    root = math.sqrt(10 + 2 * math.sqrt(12))
    found = gaussian_distance(zero, cov, zero, torch.diag(torch.tensor([1.0, 4.0])))
    assert found == pytest.approx(4 + 5 - 2 * root, rel=1e-12)


def test_frechet_distance_of_any_sets():
    a, b = cloud(200, 5), cloud(300, 5, 1) @ torch.diag(torch.arange(1.0, 6.0, dtype=torch.float64)) + 1
    distance = frechet_distance(a, b)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-9)
    turn, _ = torch.linalg.qr(cloud(5, 5, 2))
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * distance, rel=1e-9)
    step = torch.tensor([1.0, 2.0, 0.0, 0.0, -2.0], dtype=torch.float64)
    assert frechet_distance(a, a + step) == pytest.approx(9, rel=1e-9)
    assert frechet_distance(a.float(), b.float()) == pytest.approx(distance, rel=1e-5)
    few = cloud(4, 20)  # fewer rows than features: the covariance has no inverse
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)


def test_spread_by_hand():
    assert spread(torch.tensor([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(2.5)  # each 2.5 from the middle
    assert spread(torch.ones(3, 2)) == 0


# --- as neighbors --------------------------------------------------------------------------------


def test_neighborhoods_on_a_line_by_hand():
    """Real 0 1 3 7 with balls of 1 1 2 4 around them, fakes 0.5 2.5 12 17 with 2 2 5 5."""
    real, fake = column(0, 1, 3, 7), column(0.5, 2.5, 12, 17)
    # 0.5 is in the balls of 0 and 1; 2.5 in that of 3; 12 and 17 in none. That of 7 is empty. 0, 1 and 3 are in balls
    # of fakes, and 7 is just on the edge of that of 12.
    assert neighborhoods(real, fake, k=1) == Neighborhoods(precision=0.5, recall=1, density=0.75, coverage=0.75)
    # To the second neighbor: real 3 2 3 6. 0.5 is in three of these, 2.5 in all four, 12 in that of 7.
    assert neighborhoods(real, fake, k=2) == Neighborhoods(precision=0.75, recall=1, density=8 / 8, coverage=1)
    # The other way round: of the real, only 7 is in none of 0.5 +- 2, 2.5 +- 2, 20 +- 1, 21 +- 1.
    assert neighborhoods(real, column(0.5, 2.5, 20, 21), k=1).recall == 0.75


def test_the_same_set_twice():
    a = cloud(60, 3)
    found = neighborhoods(a, a, k=4)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(5 / 4)  # each ball holds its center and four others
    assert neighborhoods(torch.ones(9, 2), torch.ones(9, 2)).recall == 1  # even if balls have no size
    assert neighborhoods(a, a + 1000) == Neighborhoods(0, 0, 0, 0)


def test_a_mode_that_is_dropped_lowers_recall_and_an_invented_one_precision():
    centers = 100 * torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    real, fake = (centers.repeat(50, 1) + cloud(200, 2, seed) for seed in (0, 1))
    kept = fake[torch.arange(200) % 4 > 0]
    all_of_them, some, invented = (neighborhoods(*pair) for pair in ((real, fake), (real, kept), (kept, real)))
    assert all_of_them.precision > 0.9 and all_of_them.recall > 0.9
    assert some.recall == pytest.approx(0.75 * all_of_them.recall, abs=0.05) and some.precision > 0.9
    assert some.coverage == pytest.approx(0.75 * all_of_them.coverage, abs=0.05)
    assert invented.precision == pytest.approx(some.recall) and invented.recall == pytest.approx(some.precision)
    labels = torch.arange(200) % 4
    assert kl_divergence(class_fractions(labels[labels > 0], 4)) == pytest.approx(math.log(4 / 3))


def test_outliers_count_less_in_density_than_in_precision():
    """One real point far away has a ball that holds everything."""
    real = torch.cat([cloud(50, 2), torch.full((1, 2), 1e3, dtype=torch.float64)])
    fake = cloud(50, 2, 1) + 500
    found = neighborhoods(real, fake, k=5)
    assert found.precision == 1
    assert found.density == pytest.approx(1 / 5) and found.coverage == pytest.approx(1 / 51)


def test_blocks_do_not_show(monkeypatch):
    a, b = cloud(37, 4), cloud(53, 4, 1)
    whole, (distances, which) = neighborhoods(a, b), nearest(a, b, 3)
    monkeypatch.setattr("impasto.metrics.precision_recall._CELLS", 60)
    assert neighborhoods(a, b) == whole
    again, indices = nearest(a, b, 3)
    assert torch.equal(distances, again) and torch.equal(which, indices)
    expected, order = (torch.cdist(a, b) / 2).sort(1)  # the root of a mean over four numbers
    torch.testing.assert_close(distances, expected[:, :3], rtol=1e-6, atol=0)
    assert torch.equal(which, order[:, :3])


def test_nearest_pictures_by_hand():
    among = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    among[1, 0, 0, 0], among[2] = 255, 255
    distances, which = nearest(among[[1, 2]], among, 2)
    # one of four pixels is off by 1: sqrt(1 / 4); three are: sqrt(3 / 4)
    torch.testing.assert_close(distances, torch.tensor([[0, 0.5], [0, math.sqrt(0.75)]], dtype=torch.float64))
    assert which.tolist() == [[1, 0], [2, 1]]
    one = torch.rand(700, generator=torch.Generator().manual_seed(0)) + 100
    alike = one + 0.001 * torch.arange(3)[:, None]  # so large and so near that float32 alone mixes them up
    distances, which = nearest(alike, alike)
    assert distances.max() == 0 and which.flatten().tolist() == [0, 1, 2]


# --- as a histogram ------------------------------------------------------------------------------


def test_histograms_by_hand():
    fractions = class_fractions(torch.tensor([0, 0, 2, 3]), 4)
    assert fractions.tolist() == [0.5, 0, 0.25, 0.25]
    assert entropy(fractions) == pytest.approx(1.5 * math.log(2))  # ½ log 2 + ½ log 4
    assert kl_divergence(fractions) == pytest.approx(0.5 * math.log(2))  # log 4 less that
    expected = torch.tensor([0.25, 0.25, 0.25, 0.25])
    assert kl_divergence(fractions, expected) == pytest.approx(kl_divergence(fractions))
    # ½ log (½ / ¼) + ¼ log (¼ / ½) + ¼ log 1
    assert kl_divergence(fractions, torch.tensor([0.25, 0, 0.5, 0.25])) == pytest.approx(0.25 * math.log(2))
    assert kl_divergence(fractions, torch.tensor([0.5, 0.5, 0, 0])) == math.inf
    one = class_fractions(torch.full((7,), 3), 10)
    assert entropy(one) == 0 and kl_divergence(one) == pytest.approx(math.log(10))


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: frechet_distance(torch.ones(1, 3), torch.ones(5, 3)), "features are 1 x 3; .* 2 at least"),
        (lambda: frechet_distance(torch.ones(4, 3), torch.ones(4, 2)), "3 and 2 features; .* same network"),
        (lambda: frechet_distance(torch.full((4, 3), math.nan), torch.ones(4, 3)), "not finite"),
        (lambda: neighborhoods(torch.ones(5, 3), torch.ones(9, 3)), "features are 5 x 3; .* 6 at least"),
        (lambda: neighborhoods(torch.ones(5, 3), torch.ones(9, 3), 0), "k is 0"),
        (lambda: nearest(torch.ones(2, 4), torch.ones(1, 4), 2), "2 neighbors among 1"),
        (lambda: nearest(torch.ones(2, 4), torch.ones(2, 4, dtype=torch.uint8)), "differ in shape or dtype"),
        (lambda: class_fractions(torch.tensor([0, 10]), 10), "2 labels; expected one or more, from 0 to 9"),
        (lambda: class_fractions(torch.tensor([], dtype=torch.int64), 10), "0 labels"),
    ],
)
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(OptionError, match=text):
        call()
