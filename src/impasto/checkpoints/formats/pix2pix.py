"""U-Nets of the official pix2pix."""

from typing import Any

from impasto.checkpoints.files import File
from impasto.checkpoints.formats import Format
from impasto.checkpoints.formats._translators import Shapes, filter_shape, norm_of, read_generator
from impasto.checkpoints.model import Model
from impasto.networks.translators import UNetGenerator

__all__ = ["FORMAT"]


def _detects(file: File) -> bool:
    return not file.card and any(key.startswith("model.model.") for key in file.tensors)


def _read(file: File) -> Model:
    return read_generator(file, file.tensors, UNetGenerator, _settings, "pix2pix")


def _settings(shapes: Shapes) -> dict[str, Any]:
    """Return the settings of a `UNetGenerator` whose weights have these shapes."""
    width, channels, _, _ = filter_shape(shapes, "model.model.0.weight")
    return {
        "width": width,
        "downs": 2 + max(key.count(".3.model") for key in shapes),
        "norm": norm_of(shapes, "model.model.1.model.2.weight", "model.model.0.bias"),
        "channels": channels,
        "out": filter_shape(shapes, "model.model.3.weight")[1],
    }


FORMAT = Format("pix2pix", _detects, _read)
