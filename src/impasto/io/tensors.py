"""Conversion of pictures to tensors, and back to the type of the source."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.io.convert import resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.encode import to_pil
from impasto.io.picture import Picture, to_integers

__all__ = ["Source", "as_kind", "as_pixels", "as_tensor", "open_picture"]

Source = Any  # a path, a PIL image, an array, a tensor or a Picture


def open_picture(source: Source, *, digest: bool = True) -> Picture:
    """Return a Picture of a path, PIL image, array or tensor `(3, H, W)` / `(1, 3, H, W)`.

    Tensors are in [0, 1]; integers, as in arrays, are scaled by their type.

    Raises:
        ImageError: as for `load_picture`; or a tensor has another shape or is sparse.
    """
    if isinstance(source, Tensor):
        if source.layout is not torch.strided:
            raise ImageError("the tensor is sparse; expected a dense one: call its to_dense().")
        if source.ndim == 4 and len(source) == 1:
            source = source[0]
        if source.ndim != 3 or source.shape[0] != 3:
            raise ImageError(f"the tensor's shape is {tuple(source.shape)}; expected (3, H, W) or (1, 3, H, W).")
        values = source.detach().cpu()
        source = (values.float() if values.is_floating_point() else values).permute(1, 2, 0).numpy()
    return load_picture(source, digest=digest)


def as_tensor(picture: Picture) -> Tensor:
    """Return the pixels as `(1, 3, H, W)` float32 RGB in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.pixels)).permute(2, 0, 1)[None].contiguous()


def as_pixels(image: Tensor) -> np.ndarray:
    """Return `(1, 3, H, W)` as `(H, W, 3)` float32, on the CPU without a copy."""
    return image[0].detach().cpu().float().permute(1, 2, 0).numpy()


def as_kind(source: Source, image: Tensor, opened: Picture | None = None) -> Any:
    """Return a picture `(1, 3, H, W)` in the type of its source; see `stylize`.

    Args:
        source: the source: a tensor, an array, a PIL image, a Picture or a path.
        image: the result.
        opened: the source as a Picture, if it is open already.

    Returns:
        A tensor or an array for one, `(H, W, 4)` if the source has alpha; else a PIL image.
    """
    if isinstance(source, Tensor):
        if not source.is_floating_point():
            image = (image.double().clamp(0, 1) * torch.iinfo(source.dtype).max).round()
        return image.to(source.device, source.dtype)
    picture = opened or open_picture(source, digest=False)
    picture = replace(resize_picture_to(picture, *image.shape[-2:]), pixels=as_pixels(image))
    return _as_array(picture, source.dtype) if isinstance(source, np.ndarray) else to_pil(picture)


def _as_array(picture: Picture, dtype: np.dtype) -> np.ndarray:
    """Return `(H, W, 3)`, or `(H, W, 4)` if the picture has alpha, of a type."""
    pixels = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    if dtype in (np.uint8, np.uint16):
        return to_integers(pixels, 8 * dtype.itemsize)
    if dtype.kind in "ui":
        return np.rint(pixels.astype(np.float64) * np.iinfo(dtype).max).astype(dtype)
    return pixels.astype(dtype)
