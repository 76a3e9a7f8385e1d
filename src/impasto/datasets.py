"""Pictures to learn from: any folder, read as it is, cut into random squares."""

import hashlib
import math
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto import images
from impasto.errors import ImageError
from impasto.ops import resize

__all__ = ["PictureFolder"]

_ZOOM = 1.5  # a crop shows up to this many times its own side of the picture
_ORDER, _CROP = 0, 1  # two kinds of chance


class PictureFolder:
    """Random crops of all pictures in some folders, as an endless sequence.

    Every picture comes once before any comes again. What sample `index` shows depends on the seed and the
    index alone, so a run can be resumed, and shared by several processes, without a word between them.

    Pictures are shrunk when they are first read and kept as bytes until `memory` is full; those for which
    there is no room are read again each time. Files that cannot be read are passed over: the next picture
    takes their place.
    """

    def __init__(
        self,
        folders: str | Path | Iterable[str | Path],
        crop: int,
        *,
        seed: int = 0,
        flip: bool = True,
        memory: int = 1_000_000_000,
    ) -> None:
        """List the pictures; none is opened yet.

        Args:
            folders: folders, searched to any depth, and picture files.
            crop: side of the squares, in pixels.
            seed: of order, places, scales and flips.
            flip: turn every other crop left to right.
            memory: bytes of pictures that are kept.

        Raises:
            ImageError: a path does not exist, or a folder holds no picture.
        """
        self.paths = images.find_pictures(folders, deep=True)
        if not self.paths:
            raise ImageError("there are no pictures; expected one or more folders of them.")
        self.crop, self.seed, self.flip, self.memory = crop, seed, flip, memory
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._bytes = 0
        self._unreadable: dict[int, str] = {}
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def skipped(self) -> list[str]:
        """Names of the files that could not be read so far."""
        return [str(self.paths[number]) for number in sorted(self._unreadable)]

    @property
    def fingerprint(self) -> str:
        """A text that changes with the names and sizes of the files."""
        facts = [f"{path.name} {path.stat().st_size}" for path in self.paths if path.exists()]
        return hashlib.sha256("\n".join(facts).encode(errors="surrogateescape")).hexdigest()

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return those samples, `(B, 3, crop, crop)` RGB in [0, 1].

        Raises:
            ImageError: no picture at all can be read.
        """
        return torch.stack([self.sample(index) for index in indices])

    def sample(self, index: int) -> Tensor:
        """Return one sample, `(3, crop, crop)` RGB in [0, 1]."""
        pixels = self._readable(index)
        chance = np.random.default_rng((self.seed, _CROP, index))
        zoom, x, y, mirror = chance.random(4)
        height, width = pixels.shape[:2]
        side = min(height, width)
        if side > self.crop:  # a smaller one is enlarged: all of its shorter side is shown
            side = min(side, round(self.crop * math.exp(zoom * math.log(_ZOOM))))
        top, left = int(y * (height - side + 1)), int(x * (width - side + 1))
        piece = torch.from_numpy(pixels[top : top + side, left : left + side].astype(np.float32) / 255)
        if self.flip and mirror < 0.5:
            piece = piece.flip(1)
        return resize(piece.permute(2, 0, 1)[None], (self.crop, self.crop)).clamp(0, 1)[0]

    def _readable(self, index: int) -> NDArray[np.uint8]:
        """Return the picture of this sample, or the next one that can be read."""
        count = len(self.paths)
        for place in range(index, index + count):
            pixels = self._picture(int(self._order(place // count)[place % count]))
            if pixels is not None:
                return pixels
        raise ImageError(f"none of the {count} pictures can be read; of the first: {self._unreadable[0]}")

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            if len(self._orders) > 4:  # batches are read ahead, so epochs overlap a little
                self._orders.clear()
            self._orders[epoch] = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self.paths))
        return self._orders[epoch]

    def _picture(self, number: int) -> NDArray[np.uint8] | None:
        if number in self._unreadable:
            return None
        if number in self._kept:
            return self._kept[number]
        try:
            pixels = self._shrunk(images.load(self.paths[number]))
        except ImageError as error:
            self._unreadable[number] = str(error)
            return None
        with self._lock:
            if number not in self._kept and self._bytes + pixels.nbytes <= self.memory:
                self._kept[number] = pixels
                self._bytes += pixels.nbytes
        return pixels

    def _shrunk(self, picture: images.Picture) -> NDArray[np.uint8]:
        """Return `(H, W, 3)` bytes on white, no larger than crops need."""
        height, width = picture.size
        scale = _ZOOM * self.crop / min(height, width)
        if scale < 1:
            picture = images.resize_to(picture, max(1, round(height * scale)), max(1, round(width * scale)))
        rgb = picture.pixels
        if picture.alpha is not None:
            rgb = rgb * picture.alpha[..., None] + (1 - picture.alpha[..., None])
        return images.whole(rgb, 8).astype(np.uint8, copy=False)
