"""Losses against the paper's own formulas in float64 loops, and against finite differences."""

import numpy as np
import pytest
import torch

from impasto.errors import UnknownName
from impasto.losses.style import STYLE_LOSSES, blend, content_loss, style_loss_named


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distance(name, features, target, **kwargs):
    loss = style_loss_named(name, **kwargs)
    return loss.distance(loss.statistics(features), loss.prepare(loss.statistics(target)))


def test_content_loss_is_the_papers_up_to_its_factor():
    # eq. 1: ½ Σ (F - P)²; ours is the mean, so eq. 1 = ours * N_l M_l / 2.
    f, p = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    paper = 0.5 * sum((a - b) ** 2 for a, b in zip(f.numpy().ravel(), p.numpy().ravel(), strict=True))
    assert content_loss(f, p).item() * 60 / 2 == pytest.approx(paper, rel=1e-12)


def test_relative_content_loss_of_a_blank_picture_is_one():
    target = random(1, 3, 4, 5)
    assert content_loss(torch.zeros_like(target), target, "relative").item() == pytest.approx(1)
    assert content_loss(2.5 * target, target, "relative").item() == pytest.approx(1.5**2)


def test_gram_loss_is_four_times_eq_4():
    f, a = random(1, 3, 4, 5), random(1, 3, 6, 2, seed=1)

    def gram(x):
        flat = x.numpy()[0].reshape(3, -1)
        return np.array([[(flat[i] * flat[j]).sum() for j in range(3)] for i in range(3)])

    # eq. 4 with the sums of eq. 3 divided by each picture's own number of positions M.
    eq4 = ((gram(f) / 20 - gram(a) / 12) ** 2).sum() / (4 * 3**2)
    assert distance("gram", f, a).item() == pytest.approx(4 * eq4, rel=1e-12)


@pytest.mark.parametrize(("norm", "factor"), [("hw", 1), ("chw", 1 / 3**2), ("none", 20**2)])
def test_gram_loss_scales_with_the_square_of_its_normalization(norm, factor):
    f, a = random(1, 3, 4, 5), random(1, 3, 4, 5, seed=1)
    assert distance("gram", f, a, gram_norm=norm).item() == pytest.approx(
        factor * distance("gram", f, a).item(), rel=1e-12
    )


def test_moment_loss_by_hand():
    # Channel one: values 0, 2 (mean 1, deviation 1) against 3, 3 + 2√... -> use 1, 7 (mean 4, deviation 3):
    # (1 - 4)² + (1 - 3)² = 13, one channel.
    f = torch.tensor([[[[0.0, 2.0]]]], dtype=torch.float64)
    a = torch.tensor([[[[1.0, 7.0]]]], dtype=torch.float64)
    assert distance("moments", f, a).item() == pytest.approx(13, rel=1e-12)


def test_wasserstein_of_commuting_gaussians_in_closed_form():
    # Diagonal covariances: W2² = |μ - μ'|² + Σ (σ - σ')². Independent channels: products of signs.
    signs = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]], dtype=torch.float64)
    f = (torch.tensor([[2.0], [0.5]]) * signs + torch.tensor([[1.0], [0.0]])).view(1, 2, 2, 2)
    a = (torch.tensor([[1.0], [3.0]]) * signs + torch.tensor([[0.0], [2.0]])).view(1, 2, 2, 2)
    expected = (1 + 4 + (2 - 1) ** 2 + (0.5 - 3) ** 2) / 2  # divided by the two channels
    assert distance("wasserstein", f, a).item() == pytest.approx(expected, rel=1e-10)


def test_wasserstein_against_numpy_for_full_covariances():
    f, a = random(1, 4, 5, 6), 2 * random(1, 4, 3, 7, seed=1) + 1

    def moments(x):
        flat = x.numpy()[0].reshape(4, -1)
        return flat.mean(1), np.cov(flat, bias=True)

    (m1, c1), (m2, c2) = moments(f), moments(a)
    # tr (C1 C2)^½ from the eigenvalues of the plain, unsymmetric product.
    cross = np.sqrt(np.linalg.eigvals(c1 @ c2).real).sum()
    expected = (((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross) / 4
    assert distance("wasserstein", f, a).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", sorted(STYLE_LOSSES))
def test_gradients_agree_with_finite_differences(name):
    a = random(1, 3, 4, 5, seed=1)
    f = random(1, 3, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(name, x, a), f, atol=1e-6)


@pytest.mark.parametrize("name", sorted(STYLE_LOSSES))
def test_a_style_is_at_no_distance_from_itself_and_a_blank_picture_at_blank(name):
    loss, a = style_loss_named(name), random(1, 3, 6, 7)
    target = loss.statistics(a)
    assert loss.distance(target, loss.prepare(target)).item() == pytest.approx(0, abs=1e-9)
    blank = loss.distance(loss.statistics(torch.zeros_like(a)), loss.prepare(target)).item()
    assert blank == pytest.approx(loss.blank(target).item(), rel=1e-2)


def test_blending_moments_is_the_moments_of_the_pooled_pixels():
    # Two equally large pictures, equal shares: the statistics of both side by side.
    a, b = random(1, 3, 4, 5), 3 + random(1, 3, 4, 5, seed=1)
    for name in STYLE_LOSSES:
        loss = style_loss_named(name)
        pooled = loss.statistics(torch.cat([a, b], 3))
        for mine, theirs in zip(blend([loss.statistics(a), loss.statistics(b)], [2, 2]), pooled, strict=True):
            assert torch.allclose(mine, theirs)


def test_unknown_style_loss_is_named():
    with pytest.raises(UnknownName, match="'gramm' is not the name of a style loss. Did you mean 'gram'?"):
        style_loss_named("gramm")
