"""Johnson's network as `.pth` of pytorch/examples, also nested, wrapped, and with old running statistics."""

import re

from impasto.checkpoints.build import empty, fill
from impasto.checkpoints.files import File
from impasto.checkpoints.formats import Format
from impasto.checkpoints.formats._statistics import unused_statistics
from impasto.checkpoints.model import Model
from impasto.errors import WeightsError
from impasto.networks.johnson import Johnson

__all__ = ["FORMAT"]


def _detects(file: File) -> bool:
    return not file.card and any(key.startswith(("conv1.conv2d.", "deconv", "res1.")) for key in file.tensors)


def _read(file: File) -> Model:
    tensors, path = file.tensors, file.path
    old = [key for key in tensors if re.search(r"(^|\.)in\d+\.(running_(mean|var)|num_batches_tracked)$", key)]
    tensors = {key: value for key, value in tensors.items() if key not in old}
    first_weight = tensors.get("conv1.conv2d.weight")
    if first_weight is None or first_weight.ndim != 4:
        raise WeightsError(
            f"{path} lacks 'conv1.conv2d.weight' (32, 3, 9, 9); expected all weights of Johnson's network."
        )
    blocks = max([int(found[1]) for key in tensors if (found := re.match(r"res(\d+)\.", key))], default=0)
    network = empty(Johnson, first_weight.shape[0], blocks)
    return Model(fill(network, tensors, path, "Johnson"), {}, unused_statistics(old), path)


FORMAT = Format("pytorch/examples", _detects, _read, "conv1.conv2d.weight")
