"""Equations against independent float64 computations, by hand or in numpy, and their properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.errors import OptionError
from impasto.ops.color import luminance, match_color, match_luminance, transplant_luminance
from impasto.ops.filters import high_pass
from impasto.ops.gram import gram_matrix
from impasto.ops.linear_algebra import covariance_sqrt, jacobi, trace_sqrt
from impasto.ops.moments import channel_moments
from impasto.ops.resize import resize
from impasto.ops.ssim import ssim
from impasto.ops.total_variation import total_variation


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- Gram ------------------------------------------------------------------


@pytest.mark.parametrize(("normalize", "divisor"), [("none", 1), ("hw", 20), ("chw", 60)])
def test_gram_matrix_is_eq_3_in_each_normalization(normalize, divisor):
    f = random(1, 3, 4, 5)
    n = f.numpy()[0]
    expected = [
        [sum(n[i, y, x] * n[j, y, x] for y in range(4) for x in range(5)) / divisor for j in range(3)] for i in range(3)
    ]
    np.testing.assert_allclose(gram_matrix(f, normalize)[0], expected, rtol=1e-13)


def test_gram_matrix_by_hand():
    # Two channels, two positions: F = [[1, 2], [3, 4]] -> F Fᵀ = [[5, 11], [11, 25]].
    f = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert gram_matrix(f, "none")[0].tolist() == [[5, 11], [11, 25]]
    assert gram_matrix(f, "hw")[0].tolist() == [[2.5, 5.5], [5.5, 12.5]]


def test_gram_matrix_refuses_unknown_normalization():
    with pytest.raises(OptionError, match="normalize is 'wh'; expected one of hw, chw, none"):
        gram_matrix(random(1, 2, 2, 2), "wh")


@pytest.mark.parametrize("guided", [False, True])
def test_gram_matrix_of_bfloat16_is_rounded_once(guided):
    f = torch.randn(2, 8, 40, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    guide = torch.rand(1, 1, 40, 50, generator=torch.Generator().manual_seed(1)).bfloat16() if guided else None
    wide, narrow = f.double().requires_grad_(), f.clone().requires_grad_()
    exact = gram_matrix(wide, guide=None if guide is None else guide.double())
    found = gram_matrix(narrow, guide=guide)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=0.02 if guided else 0.004, atol=2e-4 * (1 + 9 * guided))
    for gram, features in ((exact, wide), (found, narrow)):
        (gram.square().sum() * 1000).backward()
        assert features.grad.dtype == features.dtype
    assert torch.cosine_similarity(wide.grad.flatten(), narrow.grad.double().flatten(), dim=0) > 0.9999


def test_gram_matrix_of_half_precision_does_not_overflow():
    f = torch.full((1, 2, 32, 32), 300.0, dtype=torch.float16)  # 300² is beyond half precision
    assert torch.equal(gram_matrix(f), torch.full((1, 2, 2), 90000.0))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 7), st.integers(0, 1000))
def test_gram_matrix_is_symmetric_positive_and_blind_to_places(c, h, w, seed):
    f = random(1, c, h, w, seed=seed) - 0.5
    gram = gram_matrix(f)[0]
    assert torch.allclose(gram, gram.T, atol=1e-15)
    assert torch.linalg.eigvalsh(gram).min() > -1e-12
    order = torch.randperm(h * w, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(gram_matrix(f.flatten(2)[:, :, order].view_as(f))[0], gram, atol=1e-14)


def test_gram_matrix_means_the_same_at_every_size():
    f = random(1, 3, 8, 8)
    tiled = f.repeat(1, 1, 3, 2)
    assert torch.allclose(gram_matrix(f), gram_matrix(tiled))
    assert torch.allclose(gram_matrix(f, "none") * 6, gram_matrix(tiled, "none"))


# --- moments and roots -----------------------------------------------------


def test_moments_are_those_of_numpy():
    f = random(1, 4, 5, 6)
    mean, second = channel_moments(f)
    flat = f.numpy()[0].reshape(4, -1)
    np.testing.assert_allclose(mean[0], flat.mean(1), rtol=1e-13)
    np.testing.assert_allclose(second[0] - mean[0][:, None] * mean[0][None], np.cov(flat, bias=True), rtol=1e-10)


def test_root_squared_is_the_matrix():
    a = random(6, 9)
    matrix = a @ a.T
    root = covariance_sqrt(matrix)
    assert torch.allclose(root @ root, matrix, atol=1e-12)
    assert torch.allclose(root, root.T)


@pytest.mark.parametrize("floor", [1.0, 1e-4, 1e-8])
def test_jacobi_finds_the_eigenvalues_and_eigenvectors(floor):
    sides = torch.randn(20, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gray = torch.ones(1, 3, 1, dtype=torch.float64)  # two equal eigenvalues
    matrices = torch.cat([sides @ sides.mT, gray @ gray.mT, gray[:0].new_zeros(1, 3, 3)])
    matrices = matrices + floor * torch.eye(3, dtype=torch.float64)
    values, vectors = jacobi(matrices)
    torch.testing.assert_close(values.sort(1).values, torch.linalg.eigvalsh(matrices), rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(vectors @ torch.diag_embed(values) @ vectors.mT, matrices, rtol=1e-12, atol=1e-14)


def test_trace_of_root_and_its_gradient():
    a = random(5, 8)
    matrix = (a @ a.T).requires_grad_()
    values = np.linalg.eigvalsh(matrix.detach().numpy())
    assert trace_sqrt(matrix).item() == pytest.approx(np.sqrt(values).sum(), rel=1e-12)
    # finite differences along a symmetric direction
    (gradient,) = torch.autograd.grad(trace_sqrt(matrix), matrix)
    direction = random(5, 5, seed=1)
    direction = direction + direction.T
    step = 1e-6
    with torch.no_grad():
        difference = (trace_sqrt(matrix + step * direction) - trace_sqrt(matrix - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=1e-7)


def test_trace_of_root_stays_finite_on_a_singular_matrix():
    matrix = torch.zeros(4, 4).fill_diagonal_(0.0)
    matrix[0, 0] = 4.0
    matrix.requires_grad_()
    value = trace_sqrt(matrix)
    value.backward()
    assert value.item() == pytest.approx(2.0)
    assert torch.isfinite(matrix.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e-19, 1.0])
def test_matrices_of_rounding_errors_have_roots_and_finite_gradients(dtype, size):
    noise = random(1, 24, 24, seed=3).to(dtype) - 0.5
    matrix = (size * (noise + noise.transpose(1, 2))).requires_grad_()
    root = covariance_sqrt(matrix)
    (gradient,) = torch.autograd.grad(trace_sqrt(matrix), matrix)
    assert root.isfinite().all() and gradient.isfinite().all()


def test_a_solver_that_does_not_converge_is_asked_again_in_float64(monkeypatch):
    solve, asked = torch.linalg.eigh, []

    def moody(matrix):
        asked.append(matrix.dtype)
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("the algorithm failed to converge")
        return solve(matrix)

    matrix = torch.diag(torch.tensor([4.0, 9.0])) * 1e-12
    monkeypatch.setattr(torch.linalg, "eigh", moody)
    torch.testing.assert_close(covariance_sqrt(matrix), torch.diag(torch.tensor([2.0, 3.0])) * 1e-6)
    assert asked == [torch.float32, torch.float64]
    with pytest.raises(OptionError, match="the covariance of features is not finite; expected numbers"):
        covariance_sqrt(matrix / 0)


# --- total variation -------------------------------------------------------


def test_total_variation_of_the_identity_by_hand():
    # eye(10): in each row one 1 with two unequal neighbors, but one in the first and last row:
    # 2 * 10 - 2 = 18 unit steps across 10 * 9 pairs, and the same down: 18/90 + 18/90 = 0.4.
    eye = torch.eye(10, dtype=torch.float64).view(1, 1, 10, 10)
    assert total_variation(eye, "l1").item() == pytest.approx(0.4, abs=1e-15)
    assert total_variation(eye, "l2").item() == pytest.approx(0.4, abs=1e-15)


def test_total_variation_tells_l1_from_l2_by_hand():
    # One step of 3 in a row of two, none down: l1 = 3, l2 = 9.
    image = torch.tensor([[0.0, 3.0], [0.0, 3.0]]).view(1, 1, 2, 2)
    assert total_variation(image, "l1").item() == 3
    assert total_variation(image, "l2").item() == 9


def test_nine_point_total_variation_by_loops():
    image = random(1, 2, 4, 5).numpy()
    total = 0.0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if (dy, dx) == (0, 0):
                continue
            weight = 1 / 3 if 0 in (dy, dx) else 1 / 12
            squares = [
                (image[0, c, min(max(y + dy, 0), 3), min(max(x + dx, 0), 4)] - image[0, c, y, x]) ** 2
                for c in range(2)
                for y in range(4)
                for x in range(5)
            ]
            total += 2 * weight * sum(squares) / len(squares)
    assert total_variation(torch.from_numpy(image), "nine-point").item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("kind", ["l1", "l2", "nine-point"])
def test_total_variation_of_a_constant_is_zero_and_its_gradient_right(kind):
    assert total_variation(torch.full((1, 3, 5, 7), 0.3), kind).item() == 0
    image = random(1, 3, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: total_variation(x, kind), image)


# --- high pass -------------------------------------------------------------


def test_high_pass_of_smooth_is_nothing_and_of_a_checkerboard_everything():
    assert high_pass(torch.full((1, 3, 9, 9), 0.4)).abs().max() < 1e-6
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    board = ((y + x) % 2).float().expand(1, 3, -1, -1)
    # A Gaussian of sigma 1 leaves exp(-π²) of the finest wave in each direction.
    assert torch.allclose(high_pass(board)[..., 4:-4, 4:-4], (board - 0.5)[..., 4:-4, 4:-4], atol=1e-3)


# --- color -----------------------------------------------------------------


@pytest.mark.parametrize("method", ["transport", "pca", "cholesky"])
def test_matched_colors_have_the_targets_mean_and_covariance(method):
    image = 0.4 + 0.1 * random(1, 3, 20, 20)
    target = torch.cat([0.3 + 0.2 * random(1, 1, 9, 30, seed=2), 0.4 + 0.1 * random(1, 2, 9, 30, seed=3)], 1)
    moved = match_color(image, target, method)
    a, b = moved[0].flatten(1).numpy(), target[0].flatten(1).numpy()
    np.testing.assert_allclose(a.mean(1), b.mean(1), atol=1e-6)
    np.testing.assert_allclose(np.cov(a, bias=True), np.cov(b, bias=True), atol=3e-4)


def test_matching_a_picture_to_itself_changes_nothing():
    image = random(1, 3, 12, 12, dtype=torch.float32)
    for method in ("transport", "pca", "cholesky"):
        assert torch.allclose(match_color(image, image, method), image, atol=1e-5)


@pytest.mark.parametrize("method", ["transport", "pca", "cholesky"])
def test_matching_grey_pictures_keeps_them_grey(method):
    grey, other = (random(1, 1, 8, 8, seed=seed).expand(-1, 3, -1, -1) for seed in (0, 1))
    moved = match_color(grey, 0.3 + 0.4 * other, method)
    assert (moved - moved.mean(1, keepdim=True)).abs().max() < 1e-3
    one = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)  # no spread at all, and still an inverse
    assert torch.isfinite(match_color(one, other, method)).all()


def test_luminance_is_that_of_rec_601():
    # 0.299 * 0.5 + 0.587 * 0.25 + 0.114 * 1 = 0.41025
    pixel = torch.tensor([0.5, 0.25, 1.0], dtype=torch.float64).view(1, 3, 1, 1)
    assert luminance(pixel).item() == pytest.approx(0.41025, abs=1e-12)


def test_transplanted_luminance_keeps_hue_differences():
    content, result = 0.3 + 0.2 * random(1, 3, 6, 6), 0.4 + 0.2 * random(1, 3, 6, 6, seed=1)
    mixed = transplant_luminance(result, content)
    assert torch.allclose(luminance(mixed), luminance(result))
    assert torch.allclose(mixed[:, 0] - mixed[:, 2], content[:, 0] - content[:, 2])


def test_matched_luminance_has_the_contents_mean_and_spread():
    style, content = random(1, 3, 16, 16), 0.4 + 0.2 * random(1, 3, 16, 16, seed=1)
    y = luminance(match_luminance(style, content))
    assert y.mean().item() == pytest.approx(luminance(content).mean().item(), abs=1e-3)
    assert y.std().item() == pytest.approx(luminance(content).std().item(), rel=1e-2)


# --- likeness and size -----------------------------------------------------


def test_ssim_by_definition_on_one_window():
    a, b = random(1, 1, 11, 11).expand(-1, 3, -1, -1), random(1, 1, 11, 11, seed=1).expand(-1, 3, -1, -1)
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / np.outer(line, line).sum()
    x, y = a[0, 0].numpy(), b[0, 0].numpy()
    mx, my = (window * x).sum(), (window * y).sum()
    vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
    cxy = (window * (x - mx) * (y - my)).sum()
    c1, c2 = 1e-4, 9e-4
    expected = (2 * mx * my + c1) * (2 * cxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(a, b).item() == pytest.approx(expected, rel=1e-9)
    assert ssim(a, a).item() == pytest.approx(1, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 40), st.integers(3, 40), st.floats(0, 1))
def test_resize_keeps_constants_and_gives_the_size_asked_for(h, w, value):
    out = resize(torch.full((1, 3, 17, 23), value, dtype=torch.float64), (h, w))
    assert out.shape == (1, 3, h, w)
    assert (out - value).abs().max() < 1e-9


def test_shrinking_averages_instead_of_skipping():
    # Means of 8 x 8 independent values spread an eighth as much; samples would spread as before.
    noise = random(1, 3, 128, 128)
    assert resize(noise, (16, 16)).std() < 0.25 * noise.std()
    assert math.isclose(resize(noise, (16, 16)).mean().item(), noise.mean().item(), abs_tol=0.01)


@pytest.mark.parametrize("guided", [False, True])
def test_gradient_of_a_gram_matrix_is_that_of_the_plain_product_also_the_second_time(guided):
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 4, 3, 5, dtype=torch.float64, generator=random).requires_grad_()
    guide = torch.rand(1, 1, 3, 5, dtype=torch.float64, generator=random) if guided else None
    assert torch.autograd.gradcheck(lambda x: gram_matrix(x, guide=guide), features)
    assert torch.autograd.gradgradcheck(lambda x: gram_matrix(x, guide=guide), features)
