"""Generators of the official CycleGAN and CUT, and ResNets of pix2pix."""

import re
from typing import Any

from impasto.checkpoints.files import File
from impasto.checkpoints.formats import Format
from impasto.checkpoints.formats._translators import Shapes, filter_shape, norm_of, read_generator
from impasto.checkpoints.model import Model
from impasto.networks.translators import ResNetGenerator

__all__ = ["FORMAT"]


def _detects(file: File) -> bool:
    return not file.card and any(re.match(r"model\.\d+\.|net\.\d+\.|mlp_\d+\.", key) for key in file.tensors)


def _read(file: File) -> Model:
    return read_generator(file, ResNetGenerator, _settings, "CycleGAN")


def _settings(shapes: Shapes) -> dict[str, Any]:
    """Return the settings of a `ResNetGenerator` whose weights have these shapes."""
    width, channels, _, _ = filter_shape(shapes, "model.1.weight")
    blocks = {found[1] for key in shapes if (found := re.match(r"model\.(\d+)\.conv_block\.", key))}
    blurs = {shape[2] for key, shape in shapes.items() if key.endswith(".filt") and len(shape) == 4}
    down, up = 3 in blurs, 4 in blurs
    last = 17 + len(blocks) + 2 * down + 2 * up
    return {
        "width": width,
        "blocks": len(blocks),
        "norm": norm_of(shapes, "model.2.weight", "model.1.bias"),
        "dropout": any(key.endswith(".conv_block.6.weight") and len(shapes[key]) == 4 for key in shapes),
        "blur_down": down,
        "blur_up": up,
        "channels": channels,
        "out": filter_shape(shapes, f"model.{last}.weight")[0],
    }


FORMAT = Format("CycleGAN", _detects, _read, "model.1.weight")
