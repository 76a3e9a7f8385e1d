"""Antialiased resizing of picture tensors."""

import math

from torch import Tensor
from torch.nn import functional as F

__all__ = ["resize", "style_size"]


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize `(B, C, H, W)` to `(height, width)`: bicubic, antialiased.

    Values may overshoot [0, 1] slightly at edges; they are not clamped.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)


def style_size(style: Tensor, size: tuple[int, int], scale: float = 1.0, least: int = 1) -> tuple[int, int]:
    """Return the `(height, width)` to which a style image is resized: its own aspect ratio, the area of the picture.

    Args:
        style: `(B, 3, h, w)`.
        size: `(height, width)` of the picture.
        scale: scale of the strokes; the area is multiplied by its square.
        least: lower bound of both sides, in pixels.
    """
    h, w = style.shape[-2:]
    factor = scale * math.sqrt(size[0] * size[1] / (h * w))
    return max(least, round(h * factor)), max(least, round(w * factor))
