"""Subject kept: pictures of which it is known which edges are left."""

import pytest
import torch

from impasto.metrics.edges import subject_kept


def squares(*corners, size=256, side=40, light=0.8):
    """Bright squares on a dark ground, by their upper left corners."""
    image = torch.full((1, 3, size, size), 0.3)
    for y, x in corners:
        image[..., y : y + side, x : x + side] = light
    return image


TWO = squares((40, 30), (150, 160))


def test_all_edges_are_kept():
    assert subject_kept(TWO, TWO) == 1
    assert subject_kept(0.9 - TWO, TWO) == pytest.approx(1, abs=0.05)  # bright for dark
    assert subject_kept(TWO.roll((1, 1), (2, 3)), TWO) > 0.9  # by a pixel
    assert subject_kept(squares((80, 60), (300, 320), size=512, side=80), TWO) > 0.95  # another size


def test_half_of_the_edges_are_kept():
    assert subject_kept(squares((40, 30)), TWO) == pytest.approx(0.5, abs=0.05)


def test_none_are_kept():
    assert subject_kept(torch.full_like(TWO, 0.4), TWO) == 0
    assert abs(subject_kept(TWO.roll((20, 20), (2, 3)), TWO)) < 0.1
    upright = 0.5 + 0.2 * torch.sin(torch.arange(256) / 5).expand(1, 3, 256, 256)
    assert abs(subject_kept(upright.mT, upright)) < 0.05  # edges everywhere, but not in this direction


def test_an_unrelated_picture_keeps_none():
    def texture(seed):
        random = torch.Generator().manual_seed(seed)
        return torch.nn.functional.interpolate(torch.rand(1, 3, 40, 40, generator=random), (256, 256), mode="bicubic")

    found = [subject_kept(texture(seed).clamp(0, 1), texture(seed + 10).clamp(0, 1)) for seed in range(5)]
    assert max(map(abs, found)) < 0.05


def test_weak_edges_count_as_much_as_strong_ones():
    # Eyes inside of an outline: half as much contrast, a quarter of the energy, if contrast were not local.
    photograph = squares((40, 30))
    photograph[..., 150:190, 160:200] = 0.4
    without = squares((40, 30))
    assert subject_kept(without, photograph) < 0.75


@pytest.mark.parametrize("size", [(16, 16), (16, 300), (700, 300)])
def test_it_is_finite_at_any_size_and_for_constant_pictures(size):
    flat, noise = torch.full((1, 3, *size), 0.5), torch.rand(1, 3, *size)
    assert subject_kept(flat, flat) == subject_kept(noise, flat) == 1  # nothing could be lost
    assert subject_kept(flat, noise) == pytest.approx(0, abs=1e-9)
    assert subject_kept(noise, noise) == pytest.approx(1)
    assert -1 < subject_kept(torch.rand(1, 3, *size), noise) < 1
