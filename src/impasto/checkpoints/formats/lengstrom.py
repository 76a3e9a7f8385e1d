"""Networks of lengstrom/fast-style-transfer as 48 `Variable` blobs, in a folder or a zip file, as ml5 has them."""

import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from impasto.checkpoints.build import empty
from impasto.checkpoints.files import File, decoded
from impasto.checkpoints.formats import Format
from impasto.checkpoints.model import Model
from impasto.errors import WeightsError
from impasto.networks.lengstrom import Lengstrom
from impasto.reading import open_regular

__all__ = ["FORMAT"]

_FILES = 48  # of a network
_MAX_BYTES = 1 << 20  # of a file; the largest has 590 KB


def _is_blob(name: str) -> bool:
    return re.fullmatch(r"Variable(_([1-9]|[1-3]\d|4[0-7]))?", name) is not None


def _detects(file: File) -> bool:
    path = file.path
    if path.is_dir():
        return any(_is_blob(one.name) for one in path.iterdir())
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as opened:
            return any(_is_blob(name.rpartition("/")[2]) for name in opened.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _blob(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_MAX_BYTES + 1)


def _blobs(file: File) -> dict[str, bytes]:
    """Return the files by name."""
    path = file.path
    try:
        if path.is_dir():
            return {one.name: _blob(one) for one in path.iterdir() if _is_blob(one.name)}
        with zipfile.ZipFile(path) as opened:
            names = {name.rpartition("/")[2]: name for name in opened.namelist()}
            wanted = {short: name for short, name in names.items() if _is_blob(short)}
            return {short: opened.open(name).read(_MAX_BYTES + 1) for short, name in wanted.items()}
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise WeightsError(f"{path} cannot be read; it is damaged. Fetch it again.") from error


def _read(file: File) -> Model:
    """Return the network of 48 blobs: weight, shift and scale of each of 16 convolutions, little-endian."""
    blobs, path = _blobs(file), file.path
    network = empty(Lengstrom)
    state: dict[str, Tensor] = {}
    for index, (key, like) in enumerate(network.state_dict().items()):
        name = f"Variable_{index}" if index else "Variable"
        if name not in blobs:
            raise WeightsError(f"{path} lacks {name!r}; expected {_FILES} files Variable, Variable_1, ... Variable_47.")
        if len(blobs[name]) != 4 * like.numel():
            raise WeightsError(
                f"{path} is another network or damaged: {name!r} has {len(blobs[name])} bytes, expected "
                f"{4 * like.numel()} for {tuple(like.shape)}."
            )
        values = torch.frombuffer(bytearray(blobs[name]), dtype=torch.float32)
        if like.ndim == 4:
            out, channels, k, _ = like.shape
            transposed = index // 3 in (13, 14)  # stored as (k, k, out, in), all others as (k, k, in, out)
            values = (
                values.view(k, k, out, channels).permute(2, 3, 0, 1)
                if transposed
                else values.view(k, k, channels, out).permute(3, 2, 0, 1)
            )
        state[key] = decoded({key: values}, key, like.shape, path, "lengstrom")
    network.load_state_dict(state)
    return Model(network, {}, (), path)


FORMAT = Format("lengstrom", _detects, _read, "Variable_1")
