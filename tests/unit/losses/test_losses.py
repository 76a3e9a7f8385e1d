"""Losses against the paper's own formulas in float64 loops, and against finite differences."""

import numpy as np
import pytest
import torch

from impasto.errors import UnknownName
from impasto.losses.contrastive import patch_nce_loss
from impasto.losses.style import STYLE_LOSSES, blend, content_loss, style_loss_named
from impasto.style_transfer.objective import Objective
from impasto.style_transfer.options import StylizeOptions


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
    # One channel: 0, 2 (mean 1, standard deviation 1) against 1, 7 (mean 4, standard deviation 3):
    # (1 - 4)² + (1 - 3)² = 13.
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 1e-20, 0.5, 1e4])
def test_wasserstein_of_a_flat_style_is_the_distance_to_a_point(value, dtype):
    f = random(1, 4, 5, 6).to(dtype).requires_grad_()
    a = torch.full_like(f, value, requires_grad=False)
    found = distance("wasserstein", f, a)
    found.backward()
    x = f.detach().double()
    expected = ((x.mean((2, 3)) - value).square() + x.var((2, 3), correction=0)).mean()  # no variance to share
    assert found.item() == pytest.approx(expected.item(), rel=1e-3) and f.grad.isfinite().all()


@pytest.mark.parametrize("name", STYLE_LOSSES.names())
def test_gradients_agree_with_finite_differences(name):
    a = random(1, 3, 4, 5, seed=1)
    f = random(1, 3, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(name, x, a), f, atol=1e-6)


@pytest.mark.parametrize("name", STYLE_LOSSES.names())
def test_distances_of_a_style_to_itself_and_to_a_blank_picture(name):
    loss, a = style_loss_named(name), random(1, 3, 6, 7)
    target = loss.statistics(a)
    assert loss.distance(target, loss.prepare(target)).item() == pytest.approx(0, abs=1e-9)
    blank = loss.distance(loss.statistics(torch.zeros_like(a)), loss.prepare(target)).item()
    assert blank == pytest.approx(loss.blank(target).item(), rel=1e-2)


def test_blending_moments_is_the_moments_of_the_pooled_pixels():
    # Two equally large pictures, equal weights: the statistics of both side by side.
    a, b = random(1, 3, 4, 5), 3 + random(1, 3, 4, 5, seed=1)
    for name in STYLE_LOSSES.names():
        loss = style_loss_named(name)
        pooled = loss.statistics(torch.cat([a, b], 3))
        for mine, theirs in zip(blend([loss.statistics(a), loss.statistics(b)], [2, 2]), pooled, strict=True):
            assert torch.allclose(mine, theirs)


def test_unknown_style_loss_is_named():
    with pytest.raises(UnknownName, match="'gramm' is not the name of a style loss. Did you mean 'gram'?"):
        style_loss_named("gramm")


# --- style losses of other packages ------------------------------------------------------------


def test_a_style_loss_of_another_package_is_found_by_its_entry_point(tmp_path, monkeypatch):
    """A module and its metadata on the path, as an installed package has them."""
    (tmp_path / "brightness.py").write_text(
        "from impasto.losses.style import StyleLoss\n"
        "LOSS = StyleLoss(\n"
        "    statistics=lambda features, guide=None: (features.mean((2, 3)),),\n"
        "    distance=lambda statistics, target: (statistics[0] - target[0]).square().mean(),\n"
        "    blank=lambda target: target[0].square().mean(),\n"
        ")\n"
    )
    metadata = tmp_path / "brightness-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[impasto.style_losses]\nbrightness = brightness:LOSS\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(STYLE_LOSSES, "_items", dict(STYLE_LOSSES.items()))
    monkeypatch.setattr(STYLE_LOSSES, "_outside", None)  # so that it looks for packages again
    loss = style_loss_named("brightness")
    assert style_loss_named(loss) is loss
    features = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    assert distance("brightness", features, torch.zeros(1, 1, 5, 5)).item() == 4
    content, style = (random(1, 3, 8, 8, seed=seed).sigmoid().float() for seed in (0, 1))
    options = StylizeOptions(
        style_loss="brightness", style_layers="relu1_1", content_layers="relu1_1", content_weight=0, tv_weight=0
    )
    parts, gradient = Objective(lambda image, layers: {"relu1_1": image}, content, [style], options)(content)
    wanted = (content.mean((2, 3)) - style.mean((2, 3))).square().mean() / style.mean((2, 3)).square().mean()
    assert parts["style"] == pytest.approx(wanted.item(), rel=1e-5) and gradient.abs().max() > 0
    with pytest.raises(UnknownName, match="'bright' is not the name of a style loss. Did you mean 'brightness'?"):
        StylizeOptions(style_loss="bright")


def test_options_know_the_style_losses():
    for name in STYLE_LOSSES.names():
        assert StylizeOptions(style_loss=name).style_loss == name
    with pytest.raises(UnknownName, match="'gramm' is not the name of a style loss. Did you mean 'gram'?"):
        StylizeOptions(style_loss="gramm")


# --- PatchNCE ------------------------------------------------------------------------------------


def test_patch_nce_is_the_papers_in_loops():
    queries, keys = ([random(2, 4, 5, seed=seed), random(2, 3, 6, seed=seed + 1)] for seed in (0, 2))
    layers = []
    for query, key in zip(queries, keys, strict=True):
        patches = []
        for v, others in zip(query.numpy(), key.numpy(), strict=True):
            for p in range(len(v)):
                scores = np.exp([v[p] @ other / 0.5 for other in others])
                patches.append(-np.log(scores[p] / scores.sum()))
        layers.append(np.mean(patches))
    assert patch_nce_loss(queries, keys, 0.5).item() == pytest.approx(np.mean(layers), rel=1e-10)
    same = [torch.eye(4)[None]]
    assert patch_nce_loss(same, same, 0.01).item() == pytest.approx(0, abs=1e-6)  # each finds itself
    assert patch_nce_loss([torch.zeros(1, 4, 3)], [torch.zeros(1, 4, 3)]).item() == pytest.approx(np.log(4))
