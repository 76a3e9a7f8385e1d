"""Training data: random crops of the pictures of folders, single or in pairs, and synthetic pictures."""

import copy
import hashlib
import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImageError
from impasto.io.convert import resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.files import find_pictures
from impasto.io.picture import Picture, to_integers
from impasto.ops.resize import resize

__all__ = ["AlignedPairs", "DeadLeaves", "Pairs", "PictureFolder"]

_ZOOM = 1.5  # largest random scale: a crop covers up to this many times its side
_ORDER, _CROP = 0, 1  # keys of two random streams
_ALIKE = 0.02  # largest relative difference between the aspect ratios of a pair


class PictureFolder:
    """Random crops of all pictures in folders, as an endless sequence of epochs.

    Every epoch contains each picture once, in random order. Sample `index` depends only on the seed and the index, so a
    run can be resumed, and several processes can share it without communication.

    Pictures are downsized at first use and cached as bytes until `memory` is full; the others are read again each time.
    Files that cannot be read are skipped: the next picture replaces them. `remarks` are notes on the reading of others.
    """

    def __init__(
        self,
        folders: str | Path | Iterable[str | Path],
        crop: int,
        *,
        seed: int = 0,
        flip: bool = True,
        zoom: float = _ZOOM,
        memory: int = 1_000_000_000,
    ) -> None:
        """List the pictures without opening them.

        Args:
            folders: folders, with subfolders, and picture files.
            crop: side of the square crops, in pixels.
            seed: of order, positions, scales and flips.
            flip: whether to flip crops horizontally with probability 1/2.
            zoom: largest random scale: a crop covers 1 to this many times its side in the picture and is resized.
            memory: size of the cache, in bytes.

        Raises:
            ImageError: a path does not exist, or a folder holds no picture.
        """
        self.paths = find_pictures(folders, deep=True)
        if not self.paths:
            raise ImageError("there are no pictures; expected one or more folders of them.")
        self.crop, self.seed, self.flip, self.zoom, self.memory = crop, seed, flip, zoom, memory
        self._begin()

    def _begin(self) -> None:
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._bytes = 0
        self._unreadable: dict[int, str] = {}
        self._notes: dict[int, tuple[str, ...]] = {}
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.paths)

    def part(self, numbers: Sequence[int], *, flip: bool | None = None) -> Self:
        """Return a sequence of a part of the pictures, with the same crops.

        Args:
            numbers: their indices in `paths`.
            flip: as in the constructor; by default the same.
        """
        other = copy.copy(self)
        other.paths = [self.paths[number] for number in numbers]
        other.flip = self.flip if flip is None else flip
        other._begin()
        return other

    def each(self, most: int | None = None) -> Tensor:
        """Return one sample of each readable picture, `(n, C, crop, crop)`, n of 0 or more.

        Args:
            most: largest number of pictures, chosen by the seed.
        """
        order = self._order(0)
        indices = [index for index, number in enumerate(order[:most]) if self._picture(int(number)) is not None]
        found = [self.sample(index) for index in indices]
        return torch.stack(found) if found else torch.zeros(0, 3, self.crop, self.crop)

    @property
    def skipped(self) -> list[str]:
        """Names of the unreadable files so far."""
        return [str(self.paths[number]) for number in sorted(self._unreadable)]

    @property
    def remarks(self) -> list[str]:
        """Notes on the reading of the pictures so far, such as that of an animation the first frame is read."""
        return [note for number in sorted(self._notes) for note in self._notes[number]]

    @property
    def fingerprint(self) -> str:
        """A hash of the names and sizes of the files."""
        return hashlib.sha256("\n".join(_facts(self.paths)).encode(errors="surrogateescape")).hexdigest()

    @property
    def marks(self) -> list[str]:
        """A hash of eight characters for each picture, of its name and size without its folder."""
        facts = ("".join(_facts([path])).encode(errors="surrogateescape") for path in self.paths)
        return [hashlib.sha256(fact).hexdigest()[:8] for fact in facts]

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return samples by their indices, `(B, 3, crop, crop)` RGB in [0, 1].

        Raises:
            ImageError: no picture can be read.
        """
        return torch.stack([self.sample(index) for index in indices])

    def sample(self, index: int) -> Tensor:
        """Return one sample, `(3, crop, crop)` RGB in [0, 1]."""
        pixels = self._readable(index)
        chance = np.random.default_rng((self.seed, _CROP, index))
        zoom, x, y, mirror = chance.random(4)
        height, width = pixels.shape[:2]
        side = min(height, width)
        if side > self.crop:  # a smaller picture is enlarged, with its whole shorter side
            side = min(side, round(self.crop * math.exp(zoom * math.log(self.zoom))))
        top, left = int(y * (height - side + 1)), int(x * (width - side + 1))
        piece = torch.from_numpy(pixels[top : top + side, left : left + side].astype(np.float32) / 255)
        if self.flip and mirror < 0.5:
            piece = piece.flip(1)
        return resize(piece.permute(2, 0, 1)[None], (self.crop, self.crop)).clamp(0, 1)[0]

    def _readable(self, index: int) -> NDArray[np.uint8]:
        """Return the picture of a sample, or the next readable one."""
        count = len(self.paths)
        for position in range(index, index + 2 * count):  # the rest of this epoch, and the whole next one
            pixels = self._picture(int(self._order(position // count)[position % count]))
            if pixels is not None:
                return pixels
        first = self._unreadable[min(self._unreadable)]
        raise ImageError(f"none of the {count} pictures can be read; of the first: {first}")

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            if len(self._orders) > 4:  # batches are prefetched, so epochs overlap
                self._orders.clear()
            self._orders[epoch] = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self.paths))
        return self._orders[epoch]

    def _picture(self, number: int) -> NDArray[np.uint8] | None:
        if number in self._unreadable:
            return None
        if number in self._kept:
            return self._kept[number]
        try:
            pixels = self._opened(number)
        except ImageError as error:
            self._unreadable[number] = str(error)
            return None
        with self._lock:
            if number not in self._kept and self._bytes + pixels.nbytes <= self.memory:
                self._kept[number] = pixels
                self._bytes += pixels.nbytes
        return pixels

    def _opened(self, number: int) -> NDArray[np.uint8]:
        """Return the downsized picture from which crops are cut, `(H, W, C)` bytes."""
        return self._shrunk(self._loaded(number, self.paths[number]))

    def _loaded(self, number: int, path: Path) -> Picture:
        picture = load_picture(path)
        if picture.notes:
            self._notes[number] = picture.notes
        return picture

    def _shrunk(self, picture: Picture) -> NDArray[np.uint8]:
        """Return `(H, W, 3)` bytes on a white background, no larger than crops need."""
        height, width = picture.size
        scale = self.zoom * self.crop / min(height, width)
        if scale < 1:
            picture = resize_picture_to(picture, max(1, round(height * scale)), max(1, round(width * scale)))
        return to_integers(picture.on_white, 8).astype(np.uint8, copy=False)


def _facts(paths: Sequence[Path]) -> list[str]:
    return [f"{path.name} {path.stat().st_size}" for path in paths if path.exists()]


@dataclass(frozen=True)
class Pairs:
    """Unaligned samples of two sequences of pictures; each has its own order.

    Attributes:
        first: the first domain, such as photographs.
        second: the second domain, such as paintings.
    """

    first: PictureFolder
    second: PictureFolder

    @property
    def skipped(self) -> list[str]:
        """Names of the unreadable files so far."""
        return [*self.first.skipped, *self.second.skipped]

    @property
    def remarks(self) -> list[str]:
        """Notes on the reading of the pictures so far."""
        return [*self.first.remarks, *self.second.remarks]

    @property
    def fingerprint(self) -> str:
        """A hash of the names and sizes of the files."""
        return f"{self.first.fingerprint} {self.second.fingerprint}"

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return samples of both by their indices."""
        return self.first.batch(indices), self.second.batch(indices)


class AlignedPairs(PictureFolder):
    """Aligned pairs of pictures; both pictures of a pair get the same crop, scale and flip.

    Pairs are the left and the right half of each picture of a folder, as for pix2pix; or pictures of the same names in
    two folders, which may be subfolders a and b, or A and B, of a single folder. Samples have six channels: those of
    the first picture, then those of the second.
    """

    def __init__(self, first: str | Path, crop: int, *, second: str | Path | None = None, **settings: Any) -> None:
        """List the pairs without opening them.

        Args:
            first: folder of pairs side by side; with a second folder, the first picture of each pair.
            crop: side of the square crops, in pixels.
            second: folder of the second picture of each pair, under the same names.
            settings: as for `PictureFolder`.

        Raises:
            ImageError: a path does not exist, a folder holds no picture, or a picture has no partner.
        """
        folders = {path.name.lower(): path for path in Path(first).glob("[aAbB]") if path.is_dir()}
        if second is None and len(folders) == 2:
            first, second = folders["a"], folders["b"]
        super().__init__(first, crop, **settings)
        self.partners = None if second is None else _partners(self.paths, Path(first), Path(second))

    @property
    def fingerprint(self) -> str:
        """A hash of the names and sizes of the files."""
        if self.partners is None:
            return super().fingerprint
        facts = [super().fingerprint, *_facts(self.partners)]
        return hashlib.sha256("\n".join(facts).encode(errors="surrogateescape")).hexdigest()

    def part(self, numbers: Sequence[int], *, flip: bool | None = None) -> Self:
        """Return a sequence of a part of the pairs; see `PictureFolder.part`."""
        other = super().part(numbers, flip=flip)
        other.partners = None if self.partners is None else [self.partners[number] for number in numbers]
        return other

    def _opened(self, number: int) -> NDArray[np.uint8]:
        picture = self._loaded(number, self.paths[number])
        if self.partners is None:
            width = picture.size[1]
            if width < 2:
                raise ImageError(f"{self.paths[number].name} is 1 px wide; expected two pictures side by side.")
            left, right = (_columns(picture, part) for part in (slice(width // 2), slice(width - width // 2, None)))
        else:
            left, right = picture, load_picture(self.partners[number])
            (height, width), (other_height, other_width) = left.size, right.size
            if abs(math.log(height * other_width / (width * other_height))) > _ALIKE:
                raise ImageError(
                    f"{self.paths[number].name} is {width}×{height} and its partner {other_width}×{other_height}; "
                    "expected the same shape."
                )
            right = resize_picture_to(right, height, width)
        return np.concatenate([self._shrunk(left), self._shrunk(right)], 2)


def _columns(picture: Picture, part: slice) -> Picture:
    alpha = None if picture.alpha is None else picture.alpha[:, part]
    return replace(picture, pixels=picture.pixels[:, part], alpha=alpha)


def _partners(paths: Sequence[Path], first: Path, second: Path) -> list[Path]:
    """Return the pictures of the same names in another folder."""

    def name(path: Path, folder: Path) -> str:
        return str(path.relative_to(folder).with_suffix("")) if folder.is_dir() else path.stem

    known = {name(path, second): path for path in find_pictures(second, deep=True)}
    wanted = [name(path, first) for path in paths]
    alone = [(one, second) for one in wanted if one not in known] + [
        (one, first) for one in sorted(set(known) - set(wanted))
    ]
    if alone:
        missing, folder = alone[0]
        raise ImageError(
            f"{missing} has no partner in {folder}, as {len(alone)} of {len(wanted) + len(known)} pictures; expected "
            "the same names in both folders."
        )
    return [known[one] for one in wanted]


class DeadLeaves:
    """Synthetic pictures with the statistics of photographs: the dead leaves model.

    Ellipses and rectangles of all sizes occlude each other. Each has a color, a gradient and a fine or coarse texture;
    light varies across the scene. The scenes have the features that style transfer needs of photographs: edges,
    corners, flat regions, gradients and textures.

    Source: Lee, Mumford & Huang 2001, "Occlusion models for natural images", whose radii follow r^-3; as training
        data, Baradad et al. 2021, "Learning to see by looking at noise", arXiv:2106.05963.
    """

    def __init__(self, crop: int, *, seed: int = 0, scenes: int = 48) -> None:
        """Scenes are drawn at first use; sample `index` depends only on the seed and the index.

        Args:
            crop: side of the square crops, in pixels.
            seed: random seed.
            scenes: number of scenes, each twice as high and wide as a crop.
        """
        self.crop, self.seed, self.scenes = crop, seed, scenes
        self.skipped: list[str] = []
        self._kept: dict[int, NDArray[np.float32]] = {}

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same number of scenes."""
        return f"{self.scenes} scenes of dead leaves"

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return samples by their indices, `(B, 3, crop, crop)` RGB in [0, 1]."""
        return torch.stack([self.sample(index) for index in indices])

    def sample(self, index: int) -> Tensor:
        """Return one sample, `(3, crop, crop)` RGB in [0, 1]."""
        number = index % self.scenes
        if number not in self._kept:
            self._kept[number] = _scene(np.random.default_rng((self.seed, _ORDER, number)), 2 * self.crop)
        chance = np.random.default_rng((self.seed, _CROP, index))
        top, left = chance.integers(0, self.crop + 1, 2)
        piece = torch.from_numpy(self._kept[number][top : top + self.crop, left : left + self.crop].copy())
        return (piece.flip(1) if chance.random() < 0.5 else piece).permute(2, 0, 1)


_RADII = (0.03, 0.5)  # of leaves, as fractions of the side of the scene
_LEAVES = (60, 240)


def _scene(chance: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Return a scene `(side, side, 3)` in [0, 1]."""
    colors = chance.uniform(0.05, 0.95, (5, 3)).astype(np.float32)
    noise = _noise(chance, 2 * side)
    scene = np.empty((side, side, 3), np.float32)
    scene[:] = _color(chance, colors)
    for _ in range(chance.integers(*_LEAVES)):
        least, most = _RADII
        radius = side * least / math.sqrt(1 - chance.random() * (1 - (least / most) ** 2))  # r^-3
        _drop(scene, radius, _color(chance, colors), noise, chance)
    slope = chance.normal(0, 0.2, 2) / side
    positions = np.arange(side) - side / 2
    light = 1 + slope[0] * positions[:, None] + slope[1] * positions
    lit: NDArray[np.float32] = np.clip(scene * light[..., None], 0, 1).astype(np.float32)
    return lit


def _drop(
    scene: NDArray[np.float32],
    radius: float,
    color: NDArray[np.float32],
    noise: NDArray[np.float32],
    chance: np.random.Generator,
) -> None:
    """Draw a leaf on a scene."""
    side = len(scene)
    center, angle, ratio = chance.uniform(0, side, 2), chance.uniform(0, math.pi), chance.uniform(0.3, 1.0)
    oval, softness = chance.random() < 0.6, chance.choice((1.0, 1.0, 6.0))  # of the edge, in pixels
    amount, shade = chance.choice((0.0, 0.02, 0.05, 0.12)), chance.normal(0, 0.1)
    first = np.maximum(0, np.floor(center - 1.5 * radius - softness)).astype(int)
    last = np.minimum(side, np.ceil(center + 1.5 * radius + softness)).astype(int)
    box = (slice(first[0], last[0]), slice(first[1], last[1]))
    y = np.arange(first[0], last[0], dtype=np.float32)[:, None] - np.float32(center[0])
    x = np.arange(first[1], last[1], dtype=np.float32) - np.float32(center[1])
    u, v = x * math.cos(angle) + y * math.sin(angle), (y * math.cos(angle) - x * math.sin(angle)) / ratio
    away = np.hypot(u, v) if oval else np.maximum(np.abs(u), np.abs(v))
    cover = np.clip((radius - away) / softness + 0.5, 0, 1)[..., None]
    corner = chance.integers(0, side, 2)
    texture = noise[box[0].start + corner[0] : box[0].stop + corner[0], box[1].start + corner[1] :][..., : len(x)]
    leaf = color * (1 + shade * u / radius)[..., None] + amount * texture[..., None]
    scene[box] += cover * (leaf - scene[box])


def _color(chance: np.random.Generator, colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one of the colors, with random brightness and saturation."""
    color = colors[chance.integers(len(colors))]
    gray = color.mean()
    color = gray + chance.uniform(0.1, 1.0) * (color - gray)
    changed: NDArray[np.float32] = np.clip(color * chance.uniform(0.4, 1.5), 0, 1).astype(np.float32)
    return changed


def _noise(chance: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Return noise `(side, side)` of standard deviation 1, whose amplitude falls with frequency as in photographs."""
    spectrum = np.fft.rfft2(chance.standard_normal((side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    values = np.fft.irfft2(spectrum / frequency ** chance.uniform(0.5, 1.2), (side, side))
    even: NDArray[np.float32] = ((values - values.mean()) / values.std()).astype(np.float32)
    return even
