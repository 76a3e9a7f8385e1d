"""Generators of CycleGAN, pix2pix and CUT: shapes and keys tell their settings.

Three settings are not in the file: dropout of a U-Net, which has no effect in evaluation mode, the norm of a network
with neither gains nor biases, which is then none, and the padding, which is by reflection in the official programs.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.build import empty, fill
from impasto.checkpoints.files import COUNTER, File
from impasto.checkpoints.formats._statistics import unused_statistics
from impasto.checkpoints.model import Model
from impasto.errors import OptionError, WeightsError
from impasto.networks.translators import ResNetGenerator, UNetGenerator

__all__ = ["Shapes", "filter_shape", "norm_of", "read_generator"]

Shapes = Mapping[str, tuple[int, ...]]

_STATISTICS = (".running_mean", ".running_var", COUNTER)


def read_generator(
    file: File,
    tensors: Mapping[str, Tensor],
    network: type[ResNetGenerator] | type[UNetGenerator],
    settings_of: Callable[[Shapes], dict[str, Any]],
    name: str,
) -> Model:
    """Return the generator in a file.

    Args:
        file: the file.
        tensors: what it holds, under the keys of the official program.
        network: its architecture.
        settings_of: finds its settings in the shapes of its tensors; a KeyError or IndexError if they do not fit.
        name: of the program, for errors.

    Raises:
        WeightsError: it is another network of that program, or damaged.
    """
    path = file.path
    old = [key for key in tensors if key.endswith(_STATISTICS) and f"{key.rpartition('.')[0]}.weight" not in tensors]
    tensors = {key: value for key, value in tensors.items() if key not in old}
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    wanted = "expected its generator, in a file named as latest_net_G.pth or latest_net_G_A.pth."
    if any(re.match(r"mlp_\d+\.", key) for key in shapes):
        raise WeightsError(f"{path} holds CUT's network that compares patches, netF; {wanted}")
    if "model.0.weight" in shapes or "net.0.weight" in shapes:
        raise WeightsError(f"{path} holds a discriminator of CycleGAN, pix2pix or CUT; {wanted}")
    try:
        settings = settings_of(shapes)
        generator = empty(network, **settings)
    except (KeyError, IndexError, OptionError) as error:
        raise WeightsError(
            f"{path} is no generator of CycleGAN, pix2pix or CUT, or lacks its first or last weights; expected those "
            "of a ResNet or a U-Net."
        ) from error
    if not {settings["channels"], settings["out"]} <= {1, 3}:
        raise WeightsError(
            f"{path} translates pictures of {settings['channels']} channels into ones of {settings['out']}; expected "
            "3, or 1 for gray ones."
        )
    blurs = {key: value.clone() for key, value in generator.state_dict().items() if key.endswith(".filt")}
    model = Model(fill(generator, tensors, path, name), {}, unused_statistics(old), path)
    for key, ours in blurs.items():
        if not torch.allclose(tensors[key].float(), ours, atol=1e-3):
            raise WeightsError(f"{path} blurs otherwise than CUT does: {key!r} is another filter.")
    return model


def norm_of(shapes: Shapes, gain: str, bias: str) -> str:
    """Return the norm of a network, from the keys that a gain or a bias would have."""
    if gain in shapes:
        return "batch" if gain.replace("weight", "running_mean") in shapes else "affine"
    return "instance" if bias in shapes else "none"


def filter_shape(shapes: Shapes, key: str) -> tuple[int, ...]:
    """Return the shape of a convolution's weight; of anything else a KeyError."""
    if len(shapes[key]) != 4:
        raise KeyError(key)
    return shapes[key]
