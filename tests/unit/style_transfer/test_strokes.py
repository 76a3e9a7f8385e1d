"""Noise in flat regions: the spectrum of a texture, without its phase, and only where detail is lacking."""

import numpy as np
import pytest
import torch

from impasto.ops.filters import high_pass
from impasto.style_transfer.optimize import optimize
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.strokes import spot_noise, stroke_noise
from nets import picture, tiny_vgg


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def waves(height, width, period):
    """Vertical stripes of a sine around 0.5, gray."""
    x = torch.arange(width, dtype=torch.float32)
    return (0.5 + 0.3 * torch.sin(2 * torch.pi * x / period)).expand(1, 3, height, width).contiguous()


def test_noise_has_the_spectrum_and_the_channel_covariance_of_its_texture():
    # In the mean over noises, |FFT|² of a convolution with white noise is that of the windowed texture, times a number.
    texture = torch.randn(1, 3, 16, 16, generator=seeded(9), dtype=torch.float64)
    texture[:, 1] = 0.5 * texture[:, 0]
    noises = [spot_noise(texture, (16, 16), seeded(seed))[0].numpy() for seed in range(400)]
    assert all((noise**2).mean() == pytest.approx(1) for noise in noises)
    window = np.hanning(18)[1:-1]
    wanted = np.abs(np.fft.fft2(texture[0].numpy() * np.outer(window, window))) ** 2
    found = np.mean([np.abs(np.fft.fft2(noise)) ** 2 for noise in noises], 0)
    assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.97
    np.testing.assert_allclose(noises[0][1], 0.5 * noises[0][0], atol=1e-12)


def test_noise_repeats_with_its_texture_and_depends_on_the_seed():
    texture = torch.randn(1, 3, 12, 10, generator=seeded(1))
    noise = spot_noise(texture, (30, 25), seeded())
    assert noise.shape == (1, 3, 30, 25)
    assert torch.equal(noise[..., :18, :15], noise[..., 12:, 10:])
    assert torch.equal(noise, spot_noise(texture, (30, 25), seeded()))
    assert not torch.equal(noise, spot_noise(texture, (30, 25), seeded(1)))


def test_flat_places_get_the_detail_of_the_style_and_others_nothing():
    style = waves(128, 128, 8)
    image = torch.full((1, 3, 128, 384), 0.5)
    image[..., 256:] = waves(128, 128, 8) * 2 - 0.5  # with twice the amplitude
    noise = stroke_noise(image, image, style, seeded())
    flat, busy = noise[..., :200], noise[..., 300:]
    assert float(busy.abs().max()) == 0
    energy = float(high_pass(style, 4.0).square().mean())
    assert float(flat.square().mean()) == pytest.approx(energy, rel=0.35)
    along, across = (float(flat.diff(dim=dim).square().mean()) for dim in (2, 3))
    assert along < 0.05 * across  # stripes, too


def test_a_photograph_that_is_no_flatter_than_the_style_gets_no_noise():
    style = picture(96, 96)
    style[..., :50] = 0.5
    assert float(stroke_noise(torch.full((1, 3, 96, 96), 0.5), style, style, seeded()).abs().max()) == 0


def test_strips_change_nothing(monkeypatch):
    image, style = (picture(170, 60, seed, torch.float64) for seed in (0, 1))
    image[..., :80, :] = 0.5
    whole = stroke_noise(image, image, style, seeded())
    monkeypatch.setattr("impasto.style_transfer.strokes._STRIP", 60 * 13)
    torch.testing.assert_close(stroke_noise(image, image, style, seeded()), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("side", [2, 5, 40])
def test_a_plain_style_adds_no_noise(side):
    noise = stroke_noise(picture(side, side), picture(side, side), torch.full((1, 3, side, side), 0.3), seeded())
    assert float(noise.abs().max()) < 1e-6


def test_strokes_are_added_at_finer_scales_only_and_not_at_strength_0():
    content, style = torch.full((1, 3, 48, 48), 0.5), waves(48, 48, 6)
    still = {"size": 48, "steps": 1, "style_weight": 0, "content_weight": 1e-9, "tv_weight": 0}

    def painted(**settings):
        return optimize(content, [style], tiny_vgg(), StylizeOptions(**still, **settings))

    assert float((painted(min_size=24) - 0.5).abs().mean()) > 0.03
    for settings in ({"min_size": 24, "strokes": 0}, {"min_size": 24, "strength": 0}, {"min_size": 48}):
        assert float((painted(**settings) - 0.5).abs().mean()) < 0.015
    assert torch.equal(painted(min_size=24), painted(min_size=24))
