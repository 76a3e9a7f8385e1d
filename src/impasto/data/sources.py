"""Sets of images from what a caller has in memory: arrays, tensors, pairs with labels, torch Datasets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from impasto.data.arrays import SmallSet, small_set
from impasto.errors import ImageError
from impasto.io.decode import load_picture
from impasto.io.picture import to_integers

__all__ = ["set_in_memory"]

_CHANNELS = (1, 3)


def set_in_memory(source: Any) -> SmallSet:
    """Return the set of images in an array, a tensor, a pair of images and labels, or a Dataset.

    Args:
        source: images `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`, uint8 or float in [0, 1], C of 1 or 3; or such
            images and labels `(N,)` as a pair; or an object with `len()` and items that are images, or images with
            labels: PIL images, arrays `(H, W)`, `(H, W, C)` or tensors `(C, H, W)`. A Dataset is read once, in order.

    Raises:
        ImageError: it is none of these, is empty, mixes sizes, or holds other values.
    """
    if isinstance(source, tuple) and len(source) == 2 and _is_array(source[0]):
        return small_set(source[0], source[1])
    if _is_array(source):
        return small_set(source)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, str | bytes):
        return _read_items(source)
    raise ImageError(
        f"images are given as {type(source).__name__}; expected a folder, a file, an array or tensor (N, H, W), "
        "(N, H, W, C) or (N, C, H, W), a pair of images and labels, or a Dataset."
    )


def _is_array(source: Any) -> bool:
    return isinstance(source, np.ndarray | Tensor)


def _read_items(items: Any) -> SmallSet:
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for index in range(len(items)):
        item = items[index]
        image, label = (item[0], item[1]) if isinstance(item, Sequence | tuple) and len(item) > 1 else (item, None)
        images.append(_bytes(image))
        if label is not None:
            labels.append(int(label))
    if labels and len(labels) != len(images):
        raise ImageError(f"{len(labels)} of {len(images)} items have a label; expected one for each, or none.")
    found = small_set(images, np.asarray(labels) if labels else None, name="the Dataset")
    names = getattr(items, "classes", ())
    named = labels and isinstance(names, Sequence) and not isinstance(names, str) and len(names) > max(labels)
    return replace(found, names=tuple(map(str, names))) if named else found


def _bytes(image: Any) -> NDArray[np.uint8]:
    """Return one image as bytes `(H, W)` or `(H, W, C)`, on white where it is transparent."""
    if isinstance(image, Tensor):
        image = image.detach().cpu().numpy()
        image = image[0] if image.ndim == 3 and image.shape[0] == 1 else image
        image = image.transpose(1, 2, 0) if image.ndim == 3 and image.shape[0] == 3 else image
    values: NDArray[Any] = np.asarray(image) if isinstance(image, np.ndarray) else np.empty(0)
    if values.dtype == np.uint8 and values.ndim in (2, 3) and (values.ndim == 2 or values.shape[2] in _CHANNELS):
        return values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim == 3 and values.shape[2] == 1:
        image = values[..., 0]
    pixels = to_integers(load_picture(image, digest=False).on_white, 8)
    return pixels.astype(np.uint8, copy=False)
