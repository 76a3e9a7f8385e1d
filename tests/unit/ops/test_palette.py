"""Palettes: their moments, and the transport between them in closed form."""

import pytest
import torch

from impasto.ops.color import match_color
from impasto.ops.palette import palette_of, transport
from nets import picture


def moved(image, matrix, offset):
    return torch.einsum("brc,bchw->brhw", matrix, image) + offset[:, :, None, None]


def test_moments_by_hand():
    image = torch.tensor([[0.0, 1.0], [0.5, 0.5], [0.2, 0.6]]).view(1, 3, 1, 2)
    expected = [0.5, 0.5, 0.4, 0.5, 0.25, 0.3, 0.25, 0.2, 0.2]
    assert palette_of(image)[0].tolist() == pytest.approx(expected)


def test_it_is_the_transport_of_color_matching():
    image, target = picture(40, 50, 1) * 0.6 + 0.2, picture(30, 60, 2) * 0.6 + 0.2
    ours = moved(image, *transport(palette_of(image), palette_of(target), torch.ones(1)))
    torch.testing.assert_close(ours.clamp(0, 1), match_color(image, target), rtol=0, atol=2e-2)
    torch.testing.assert_close(palette_of(ours), palette_of(target), rtol=0, atol=2e-3)


def test_amounts_go_from_nothing_to_all():
    image, target = picture(40, 50, 1) * 0.5 + 0.25, picture(30, 60, 2) * 0.5 + 0.25
    palettes = palette_of(image), palette_of(target)
    torch.testing.assert_close(moved(image, *transport(*palettes, torch.zeros(1))), image)
    half, whole = (moved(image, *transport(*palettes, torch.full((1,), a))) for a in (0.5, 1.0))
    torch.testing.assert_close(half, (image + whole) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("image", [torch.full((1, 3, 8, 8), 0.4), torch.zeros(1, 3, 8, 8)])
def test_a_flat_picture_is_moved_and_not_blown_up(image):
    matrix, offset = transport(palette_of(image), palette_of(picture(30, 40)), torch.ones(1))
    assert matrix.isfinite().all() and torch.linalg.eigvalsh(matrix).max() <= 3.0001
    result = moved(image, matrix, offset)
    torch.testing.assert_close(result[..., 0, 0], palette_of(picture(30, 40))[:, :3], rtol=0, atol=1e-4)
