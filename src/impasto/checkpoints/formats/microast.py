"""MicroAST's four checkpoints, in one folder or in one file."""

from torch import Tensor

from impasto.checkpoints.build import empty, fill
from impasto.checkpoints.files import File
from impasto.checkpoints.formats import Format
from impasto.checkpoints.model import Model
from impasto.errors import WeightsError
from impasto.networks.microast import PARTS, MicroAST

__all__ = ["FORMAT"]


# one key of each part: other networks have a `decoder.`, too
_FIRST = ("content_encoder.enc1.0.", "style_encoder.enc1.0.", "modulator.weight1.0.", "decoder.dec1.conv1.")


def _detects(file: File) -> bool:
    if file.path.is_dir():
        names = [path.name for path in file.path.iterdir() if path.is_file()]
        return sum(any(name.startswith(part) for name in names) for part in PARTS) > 1
    return not file.card and any(key.startswith(_FIRST) for key in file.tensors)


def _read(file: File) -> Model:
    path = file.path
    tensors = _folder(file) if path.is_dir() else file.tensors
    return Model(fill(empty(MicroAST), tensors, path, "MicroAST"), {}, (), path)


def _folder(file: File) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        files = sorted(path for path in file.path.iterdir() if path.is_file() and path.name.startswith(part))
        if len(files) != 1:
            raise WeightsError(
                f"{file.path} has {len(files)} files named {part}*; expected one each of {', '.join(PARTS)} (MicroAST)."
            )
        one = File(files[0])
        found = one.tensors
        if one.error is not None:
            raise one.error
        tensors |= {f"{part}.{key}": value for key, value in found.items()}
    return tensors


FORMAT = Format("MicroAST", _detects, _read, "content_encoder.enc1.0.conv_layer.weight")
