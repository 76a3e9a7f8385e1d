"""Read and write files of tensors without running code."""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.checkpoints.card import read_card
from impasto.checkpoints.upgrade import upgrade_tensors
from impasto.errors import CheckpointError, WeightsError
from impasto.io.files import moved_draft
from impasto.reading import open_regular

__all__ = [
    "CHECKPOINT",
    "CLASSIFIER",
    "COUNTER",
    "File",
    "MODEL",
    "PREDICTOR",
    "checked_weight",
    "decoded",
    "load_about",
    "load_state",
    "read_file",
    "read_tensors",
    "save_json",
    "save_network",
    "save_state",
]

CHECKPOINT = "checkpoint.safetensors"  # in a run's folder


MODEL = "model.safetensors"  # the result of a training, in its folder


PREDICTOR = "model-predictor.safetensors"  # there, too: the style predictor that was trained beside a painter


CLASSIFIER = "classifier.safetensors"  # there, too: the classifier that measured generated pictures


COUNTER = ".num_batches_tracked"  # of batch normalization: an integer that only the training needs


_WRAPPERS = (
    "state_dict",
    "model",
    "model_state_dict",
    "net",
    "network",
    "params",
    "weights",
)  # names in training loops


_OPTIMIZERS = ("optimizer", "optimizer_state_dict", "scheduler", "optim")


_DEPTH = 3  # words of a key before the network begins: state_dict.netG.module


_SMALL = 4096  # weights; a smaller tensor is not worth 8 bits


class File:
    """A file or folder that may hold a network; nothing is read before it is asked for.

    Args:
        path: of the file or folder.
        key: the part of the file that counts, as "netG_A": the name of a dictionary in it, or how its keys begin; "":
            all of it.

    Attributes:
        path: of the file or folder.
        key: as given.
        error: the reason if it is neither a safetensors nor a torch file of tensors; then there are no tensors.
    """

    def __init__(self, path: Path, key: str = "") -> None:
        self.path, self.key = path, key
        self.error: WeightsError | None = None

    @cached_property
    def _content(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if self.path.is_dir():
            return {}, {}
        try:
            return read_tensors(self.path)
        except WeightsError as error:  # perhaps another format can read it
            self.error = error
            return {}, {}

    @property
    def card(self) -> dict[str, Any]:
        """What impasto wrote into the header, with new names; {} for files of other programs."""
        return self._content[1]

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors by the keys of their network, without the prefixes of wrappers such as `module.`."""
        whole = _unwrapped(self._content[0])
        if not self.key:
            return whole
        start = f"{self.key}."
        return _unwrapped({key.removeprefix(start): value for key, value in whole.items() if key.startswith(start)})

    def parts(self) -> list["File"]:
        """Return the parts in which a network of its own may be: beginnings of keys, short ones first."""
        names = [key.split(".") for key in self.tensors]
        found = {".".join(words[:depth]) for words in names for depth in range(1, min(len(words), _DEPTH + 1))}
        inside = f"{self.key}." if self.key else ""
        parts = [File(self.path, inside + name) for name in sorted(found, key=lambda name: (name.count("."), name))]
        for part in parts:
            part.__dict__["_content"] = self._content  # read once
        return parts


def read_file(path: Path, nested: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file, and its header if it is a safetensors file; no code in it runs."""
    try:
        with open_regular(path) as file:
            start = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}; expected a file of weights.") from error
    if other := _other_kind(path, start):
        raise WeightsError(f"{path} is {other}")
    try:
        if start[8:9] == b"{":
            with safe_open(path, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
        # memory-mapped: unused tensors, as the 0.4 GB classifier of a VGG, are never read
        with warnings.catch_warnings(action="ignore"):  # of torch, about files that are none of its own
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=start.startswith(b"PK") or None)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is None:
            raise WeightsError(
                f"{path} is damaged or holds more than tensors; it was not loaded, and no code in it ran."
            ) from error
        raise WeightsError(
            f"{path} holds objects of Python ({named[1]}), as of a whole network, and no code in it ran; expected its "
            "weights alone, as torch.save(network.state_dict(), NEW) writes them where it was made."
        ) from error
    except Exception as error:  # torch and safetensors name no common ancestor for damaged files
        raise WeightsError(
            f"{path} cannot be read: it is damaged, or neither a safetensors nor a torch file. Fetch it again."
        ) from error
    if nested:
        return _named(content), {}
    pairs = content.items() if isinstance(content, dict) else ()
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, Tensor)}, {}


def _other_kind(path: Path, start: bytes) -> str:
    """Return what a file is that certainly holds no tensors to read, and what to do; "" if it may."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, which stands for the file itself; fetch that with `git lfs pull`."
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page, not the file that it links to; fetch that, by its link for downloads."
    if start.startswith(b"\x89HDF"):
        return "an HDF5 file, as Keras writes it; expected a safetensors or a torch file of tensors."
    if start.startswith(b"PK"):
        with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as opened:
            if any(name.endswith("/constants.pkl") for name in opened.namelist()):
                return (
                    "a TorchScript program, which is code and was not run; expected its weights: "
                    "torch.save(torch.jit.load(FILE).state_dict(), NEW) writes them, if you trust it."
                )
    return ""


def checked_weight(tensors: Mapping[str, Tensor], key: str, shape: torch.Size, path: Path, network: str) -> Tensor:
    """Return one tensor of a file, decoded and checked."""
    if key not in tensors:
        whose = "a compact encoder" if network == "compact" else "a VGG"
        raise WeightsError(f"{path} lacks {key!r}; expected every convolution of {whose}.")
    tensor = tensors[key]
    if tensor.shape != shape:
        raise WeightsError(
            f"{path} is another network: {key!r} has shape {tuple(tensor.shape)}, expected {tuple(shape)}."
        )
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized or _repeats(tensor):
        raise WeightsError(f"{path} holds {key!r} as no plain tensor; expected dense ones, saved after .clone().")
    if key.endswith("_W_q"):
        table = tensors.get(key.removesuffix("q") + "table")
        if table is None or table.ndim != 1 or tensor.is_floating_point() or int(tensor.max()) >= len(table):
            raise WeightsError(f"{path} is damaged: no table fits the indices of {key!r}. Fetch it again.")
        tensor = table[tensor.long()]
    if tensor.dtype is torch.int8:
        scale = tensors.get(f"{key}.scale")
        if scale is None or scale.shape != shape[:1] or not scale.is_floating_point():
            raise WeightsError(f"{path} is damaged: no scale fits the 8 bits of {key!r}. Fetch it again.")
        tensor = tensor.float() * scale.view(-1, *[1] * (len(shape) - 1))
    if not tensor.is_floating_point() or not tensor.isfinite().all():
        raise WeightsError(f"{path} is damaged: {key!r} does not hold finite decimal numbers. Fetch it again.")
    return tensor


def _repeats(tensor: Tensor) -> bool:
    """Return whether a tensor has more numbers than its file: a few bytes can stand for any size."""
    return tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the named tensors of a safetensors or torch file, and its card if impasto wrote it, with new names.

    Nested dictionaries, as training loops save them, are flattened: `{"state_dict": ...}` and the like without their
    names if they are alone, those of several networks with the network's name before each key.

    Raises:
        WeightsError: the file cannot be read, or holds more than tensors.
    """
    tensors, header = read_file(path, nested=True)
    try:
        card = read_card(header.get("impasto", "{}"))
    except ValueError as error:
        raise WeightsError(f"{path} is damaged: in its header, {error}. Fetch it again.") from error
    return (upgrade_tensors(tensors), card) if card else (tensors, card)


def _named(content: Any) -> dict[str, Tensor]:
    """Return the tensors of nested dictionaries, flattened."""
    found: dict[str, Tensor] = {}
    inner: dict[str, dict[str, Tensor]] = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(key, str) and isinstance(value, Tensor):
            found[key] = value
        elif (
            isinstance(key, str) and isinstance(value, Mapping) and key not in _OPTIMIZERS and (named := _named(value))
        ):
            inner[key] = named
    for key, named in inner.items():
        before = "" if key in _WRAPPERS and len(inner) == 1 else f"{key}."
        found |= {before + name: tensor for name, tensor in named.items()}
    return found


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", key): value for key, value in tensors.items()}


def decoded(tensors: Mapping[str, Tensor], key: str, shape: torch.Size, path: Path, network: str) -> Tensor:
    """Return one tensor of a file in float32, a copy, checked.

    Raises:
        WeightsError: it is missing, has another shape, or holds something else than finite numbers.
    """
    if key not in tensors:
        raise WeightsError(f"{path} lacks {key!r} {tuple(shape)}; expected all weights of {network}'s network.")
    return checked_weight(tensors, key, shape, path, network).to(torch.float32, copy=True)


def save_network(path: str | Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any], precision: str) -> None:
    """Write a network as one safetensors file, its card in the header.

    Args:
        path: the file; its folder is made if it is not there.
        tensors: the state dict.
        card: what the file says about the network; anything JSON can hold.
        precision: "float32", "float16", or "int8" for large convolutions, with a scale for each filter, and float16
            for the rest.

    Raises:
        CheckpointError: the file cannot be written.
    """
    stored: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if precision == "int8" and value.ndim == 4 and value.numel() >= _SMALL:
            stored[f"{key}.scale"] = scale = value.float().abs().amax((1, 2, 3)).clamp_min(1e-30) / 127
            stored[key] = (value.float() / scale.view(-1, 1, 1, 1)).round().to(torch.int8)
        else:
            stored[key] = value.float() if precision == "float32" else value.half()
    save_state(path, stored, card)


def save_state(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write the state of a run as one safetensors file; whatever was at `path` is replaced in one moment.

    Args:
        path: the file; its folder is made if it is not there.
        tensors: any shapes, any dtypes of safetensors; they are not changed, and may share memory.
        metadata: anything JSON can hold; it goes into the file's header.

    Raises:
        CheckpointError: the file cannot be written.
    """
    path = Path(path)
    plain: dict[str, Tensor] = {}
    taken: set[int] = set()
    for key, tensor in tensors.items():  # safetensors refuses shared memory and unusual strides
        flat = tensor.detach().cpu().contiguous()
        plain[key] = flat.clone() if flat.untyped_storage().data_ptr() in taken else flat
        taken.add(plain[key].untyped_storage().data_ptr())
    try:
        with moved_draft(path) as draft:
            mode = draft.stat().st_mode  # the default of new files; safetensors lets only the owner read
            save_file(plain, draft, metadata={"impasto": json.dumps(metadata)})
            draft.chmod(mode)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be written: {error}.") from error


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return (tensors, metadata) that `save_state` wrote, bit for bit, tensors on the CPU and under their new keys.

    Raises:
        CheckpointError: the file is missing, damaged or not from impasto.
    """
    metadata = load_about(path)
    try:
        with safe_open(path, framework="pt") as opened:
            # copies, because tensors of safetensors stay tied to the file
            tensors = {key: opened.get_tensor(key).clone() for key in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a saved run; start again without it.") from error
    return upgrade_tensors(tensors), metadata


def load_about(path: str | Path) -> dict[str, Any]:
    """Return the metadata that `save_state` wrote; see `load_state`.

    Raises:
        CheckpointError: the file is missing, damaged or not from impasto.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected a saved run.")
    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata() or {}
        metadata = read_card(header["impasto"]) if "impasto" in header else None
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a saved run; start again without it.") from error
    if metadata is None:
        raise CheckpointError(f"{path} was not saved by impasto; expected a saved run.")
    return metadata


def save_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as JSON, also into a new folder; whatever was there is replaced in one moment.

    Raises:
        OSError: it cannot be written.
    """
    with moved_draft(path) as draft:
        draft.write_text(json.dumps(values, indent=2) + "\n")
