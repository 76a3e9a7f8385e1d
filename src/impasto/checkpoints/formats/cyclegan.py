"""ResNet generators: of the official CycleGAN, CUT, pix2pix and pix2pixHD, and of programs that follow them.

Others name residual blocks in their own way, give gains and biases to instance normalization, halve the resolution more
often, or upsample without a transposed convolution.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from impasto.checkpoints.files import File
from impasto.checkpoints.formats import Format
from impasto.checkpoints.formats._translators import Shapes, filter_shape, norm_of, read_generator
from impasto.checkpoints.model import Model
from impasto.networks.translators import ResNetGenerator

__all__ = ["FORMAT"]

_OURS = r"model\.\d+\.|net\.\d+\.|mlp_\d+\.|(en|de)coder\.model\.\d+\."
_PADDING = "the file does not say how it pads; padding by reflection is assumed, the default of joliGEN"
_NEAREST = "the file does not say how it upsamples; repeated pixels are assumed, as in PyTorch-GAN"


def _detects(file: File) -> bool:
    return not file.card and any(re.match(_OURS, key) for key in file.tensors)


def _read(file: File) -> Model:
    tensors = _official(file.tensors)
    model = read_generator(file, tensors, ResNetGenerator, _settings, "CycleGAN")
    notes = [_PADDING] * any(key.startswith("encoder.") for key in file.tensors)
    notes += [_NEAREST] * bool(model.network.nearest_up)
    return replace(model, notes=(*model.notes, *notes))


def _official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under the keys of the official program.

    Residual blocks of others are called `block`; joliGEN counts the layers of its decoder from 0 again.
    """
    named = {re.sub(r"^(.*\.\d+)\.block\.", r"\1.conv_block.", key): value for key, value in tensors.items()}
    encoder = [int(found[1]) for key in named if (found := re.match(r"encoder\.model\.(\d+)\.", key))]
    first = max(encoder, default=0) + 1

    def moved(key: str) -> str:
        key = re.sub(r"^encoder\.", "", key)
        return re.sub(r"^decoder\.model\.(\d+)", lambda found: f"model.{first + int(found[1])}", key)

    return {moved(key): value for key, value in named.items()}


def _settings(shapes: Shapes) -> dict[str, Any]:
    """Return the settings of a `ResNetGenerator` whose weights have these shapes."""
    width, channels, _, _ = filter_shape(shapes, "model.1.weight")
    blocks = {int(found[1]) for key in shapes if (found := re.match(r"model\.(\d+)\.conv_block\.", key))}
    if not blocks:
        raise KeyError("conv_block")
    blurs = {shape[2] for key, shape in shapes.items() if key.endswith(".filt") and len(shape) == 4}
    down, up = 3 in blurs, 4 in blurs
    first, after = min(blocks), min(blocks) + len(blocks)
    nearest = not up and f"model.{after}.weight" not in shapes
    halvings = (first - 4) // (4 if down else 3)
    last = after + halvings * (4 if up or nearest else 3) + 1
    return {
        "width": width,
        "blocks": len(blocks),
        "norm": norm_of(shapes, "model.2.weight", "model.1.bias"),
        "dropout": any(key.endswith(".conv_block.6.weight") and len(shapes[key]) == 4 for key in shapes),
        "blur_down": down,
        "blur_up": up,
        "nearest_up": nearest,
        "halvings": halvings,
        "channels": channels,
        "out": filter_shape(shapes, f"model.{last}.weight")[0],
    }


FORMAT = Format("CycleGAN", _detects, _read, "model.1.weight")
