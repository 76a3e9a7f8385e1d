"""Noise that strokes grow from: laid into flat regions of a picture, with the spectrum of a style image's detail.

Where a photograph is flat, its features are too, and the gradient of the style loss is small: a sky becomes haze. Noise
gives the style loss something to shape. It has no phase, so it carries no motifs of the style image.
"""

import math

import torch
from torch import Tensor

from impasto.ops.filters import gaussian_blur, high_pass
from impasto.style_transfer.tiling import strips

__all__ = ["spot_noise", "stroke_noise"]

_WIDTH = 4.0  # σ in px of the blur that is taken away: strokes up to about 16 px wide remain
_AROUND = 8.0  # σ in px of the local mean of their energy
_SHARE = 0.5  # of the style image that has less energy than flat regions get
_FLATTEST = 0.12  # of a picture: where it is compared with the style image
_STRIP = 1 << 20  # pixels whose energy is computed at once
_ROUNDING = 1e-7  # energy below that of rounding to 8 bits; equal if both are blank
_PERIOD = 512  # px of the noise, which is repeated; bounds memory


def spot_noise(texture: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return Gaussian noise `(1, C, *size)` with the power spectrum and channel covariance of a texture, mean square 1.

    The noise repeats with the texture's size.

    Args:
        texture: `(1, C, h, w)` with mean 0.
        size: height and width of the noise.
        generator: on the CPU.

    Source: Galerne, Gousseau & Morel 2011, "Random phase textures: theory and synthesis", section II: the texture,
        convolved with white noise.
    Differs: a window in place of the periodic component; scaled to mean square 1.
    """
    h, w = texture.shape[-2:]
    rows, columns = (torch.hann_window(side + 2, periodic=False, dtype=texture.dtype)[1:-1] for side in (h, w))
    window = (rows[:, None] * columns).to(texture.device)
    white = torch.randn((h, w), generator=generator, dtype=texture.dtype).to(texture.device)
    noise: Tensor = torch.fft.irfft2(torch.fft.rfft2(texture * window) * torch.fft.rfft2(white), s=(h, w))
    noise = noise / noise.square().mean().sqrt().clamp_min(1e-12)
    return noise.repeat(1, 1, -(-size[0] // h), -(-size[1] // w))[..., : size[0], : size[1]]


def stroke_noise(picture: Tensor, photograph: Tensor, style: Tensor, generator: torch.Generator) -> Tensor:
    """Return the noise to add to a picture, `(1, 3, H, W)`, so that its flat regions have as much detail as the style.

    Its local mean square is what the picture's detail lacks of that which half of the style image reaches. It is less
    if the flattest 12 % of the photograph have more than half of the detail of those of the style image, and 0 if they
    have as much, as in a photograph in its own style.

    Args:
        picture: `(1, 3, H, W)`, the picture at the start of a scale.
        photograph: the same shape.
        style: `(1, 3, h, w)`, the style image at the size of its features.
        generator: on the CPU.

    Source: ours.
    """
    wanted, there = _energy(style), _energy(photograph)
    ours, theirs = (_quantile(energy, _FLATTEST) + _ROUNDING for energy in (there, wanted))
    lacking = (_quantile(wanted, _SHARE) - _energy(picture)).clamp_min(0) * (2 - 2 * ours / theirs).clamp(0, 1)
    part = high_pass(_middle(style), _WIDTH)
    return spot_noise(part, (picture.shape[-2], picture.shape[-1]), generator).mul_(lacking.sqrt())


def _middle(image: Tensor) -> Tensor:
    top, left = (max(0, (side - _PERIOD) // 2) for side in image.shape[-2:])
    return image[..., top : top + _PERIOD, left : left + _PERIOD]


def _quantile(energy: Tensor, fraction: float) -> Tensor:
    return energy.flatten().kthvalue(1 + int(fraction * (energy.numel() - 1))).values


def _energy(image: Tensor) -> Tensor:
    """Return the local mean square of the detail of an image, `(1, 1, H, W)`; strip by strip, to save memory."""
    height, width = image.shape[-2:]
    blur, around = math.ceil(3 * _WIDTH), math.ceil(3 * _AROUND)
    parts = []
    for start, end in strips(height, max(1, _STRIP // width)):
        top, bottom = max(0, start - blur - around), min(height, end + blur + around)
        detail = high_pass(image[..., top:bottom, :], _WIDTH).square().mean(1, keepdim=True)
        energy = gaussian_blur(detail, _AROUND, around, "replicate")
        parts.append(energy[..., start - top : energy.shape[-2] - (bottom - end), :])
    return torch.cat(parts, 2)
