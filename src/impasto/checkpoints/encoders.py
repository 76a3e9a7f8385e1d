"""Load encoders: VGG in every known layout, and our compact ones."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from impasto.checkpoints.card import read_card
from impasto.checkpoints.files import MODEL, checked_weight, read_file
from impasto.checkpoints.weights import SPECS, WeightSpec, find, sha256
from impasto.devices import with_own_defaults
from impasto.errors import OptionError, UnknownName, WeightsError, unknown_name
from impasto.networks.compact import Compact
from impasto.networks.vgg import VGG, layer_names

__all__ = ["load_encoder"]

_Convention = Literal["imagenet", "caffe"]


_CONVENTIONS: Mapping[str, WeightSpec] = {"imagenet": SPECS["vgg19-torchvision"], "caffe": SPECS["vgg19"]}


_PUBLISHED: Mapping[str, _Convention] = {  # first digits of the sha256, also in the file's name
    "dcbb9e9d": "imagenet",  # torchvision vgg19
    "397923af": "imagenet",  # torchvision vgg16
    "d01eb7cb": "caffe",  # jcjohnson/pytorch-vgg vgg19
    "00b39a1b": "caffe",  # jcjohnson/pytorch-vgg vgg16
}


_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt", ".h5", ".npz")


_LAYOUTS = {  # how to recognize it, and its keys of a weight and a bias
    "features": (r"features\.\d+\.weight$", "features.{index}.weight", "features.{index}.bias"),
    "named": (r"conv\d_\d\.weight$", "{name}.weight", "{name}.bias"),
    "codebook": (r"block\d_conv\d_W_q$", "block{block}_conv{conv}_W_q", "block{block}_conv{conv}_b"),
}


_DEPTHS: tuple[Literal[16, 19], ...] = (19, 16)


@with_own_defaults
def load_encoder(
    name_or_path: str | Path,
    *,
    pooling: Literal["max", "average"] = "max",
    padding: Literal["zeros", "replicate", "reflect"] = "zeros",
    preprocessing: Literal["auto", "imagenet", "caffe"] = "auto",
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] | None = None,
) -> VGG:
    """Return a VGG with published weights or a compact encoder, frozen and ready.

    The file of a compact encoder, from `impasto train encoder`, says its preprocessing. Four layouts of VGG are known,
    as `.safetensors` or as a file of `torch.save` (no code in it runs): torchvision's (`features.0.weight`), the same
    converted from Caffe, Gatys' `vgg_conv.pth` (`conv1_1.weight`), and an 8-bit codebook (`block1_conv1_W_q`,
    `_W_table`, `_b`).

    Args:
        name_or_path: a name in `weights.SPECS`, a file, or the folder of `impasto train encoder`.
        pooling: see `VGG`.
        padding: see `VGG`.
        preprocessing: the input that the weights were trained for. "imagenet": RGB in [0, 1], then ImageNet's mean and
            standard deviation. "caffe": BGR in [0, 255] less the mean. "auto" takes what is known of the published
            files by name and hash, or `preprocessing` in a safetensors header; otherwise "imagenet" for
            `features.0.weight` and "caffe" for the other layouts.
        device: of the network.
        dtype: of its weights.
        progress: called with (bytes so far, bytes in all) during a download.

    Raises:
        UnknownName: neither a known name nor a file.
        WeightsError: the file is missing, damaged or foreign.
        OptionError: another argument is none of its choices.
    """
    if preprocessing not in ("auto", *_CONVENTIONS):
        raise OptionError(f"preprocessing is {preprocessing!r}; expected 'auto', 'imagenet' or 'caffe'.")
    spec = SPECS.get(name_or_path) if isinstance(name_or_path, str) else None
    path = find(spec, progress) if spec else _existing(name_or_path)
    tensors, header = read_file(path)
    net: VGG
    if "impasto" in header:
        net = _empty_compact(header, path, pooling, padding)
        keys = {key: key for key in net.state_dict()}
    else:
        layout = _layout(tensors, path)
        depth = _depth(tensors, layout)
        if preprocessing != "auto":
            convention = _CONVENTIONS[preprocessing]
        else:
            convention = spec or _CONVENTIONS[_convention(path, header, layout)]
        with torch.device("meta"):  # no time and no random numbers for weights that are replaced at once
            net = VGG(
                depth,
                mean=convention.mean,
                std=convention.std,
                channel_order=convention.channel_order,
                scale=convention.scale,
                pooling=pooling,
                padding=padding,
                pooling_scale=convention.pooling_scale,
            )
        keys = _file_keys(layout, depth)
    state = {
        key: checked_weight(tensors, keys[key], like.shape, path, net.name) for key, like in net.state_dict().items()
    }
    # Copies, so that the file is not kept open; channels-last as the images are, see VGG.forward.
    on_cpu = torch.device(device).type == "cpu"
    for key, value in state.items():
        memory_format = torch.channels_last if on_cpu and value.ndim == 4 else torch.contiguous_format
        state[key] = value.to(dtype, copy=True, memory_format=memory_format)
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False).to(device, dtype)


def _existing(name_or_path: str | Path) -> Path:
    path = Path(name_or_path).expanduser()
    path = path / MODEL if (path / MODEL).is_file() else path
    if path.is_file():
        return path
    looks_like_path = isinstance(name_or_path, Path) or len(path.parts) > 1 or path.suffix in _SUFFIXES
    if looks_like_path or path.exists():
        raise WeightsError(f"{path} is not a file; expected weights of a VGG, or one of: {', '.join(SPECS)}.")
    raise unknown_name("an encoder", str(name_or_path), SPECS)


def _empty_compact(
    header: Mapping[str, str],
    path: Path,
    pooling: Literal["max", "average"],
    padding: Literal["zeros", "replicate", "reflect"],
) -> Compact:
    """Return the network that the header of our own file describes, without weights."""
    try:
        card = read_card(header["impasto"])
        kind = card["network"]
        settings = {name: card[name] for name in ("depth", "mean", "std", "channel_order", "pooling_scale", "widths")}
        ranks = {str(name): (int(k), int(r)) for name, (k, r) in card["ranks"].items()}
        with torch.device("meta"):
            net = Compact(ranks=ranks, scale=1.0, pooling=pooling, padding=padding, **settings)
    except (AttributeError, KeyError, OverflowError, RuntimeError, TypeError, ValueError, UnknownName, OptionError):
        kind = None
    if kind != "compact":
        raise WeightsError(f"{path} was written by impasto, but is not an encoder; expected a compact one.")
    return net


def _layout(tensors: Mapping[str, Tensor], path: Path) -> str:
    if any(key.endswith(".running_mean") for key in tensors):
        raise WeightsError(f"{path} holds a VGG with batch normalization; expected the plain one.")
    for layout, (pattern, _, _) in _LAYOUTS.items():
        if any(re.match(pattern, key) for key in tensors):
            return layout
    found = f"its first tensor is named {next(iter(tensors))!r}" if tensors else "it holds no named tensors"
    raise WeightsError(
        f"{path} is not a VGG: {found}; expected names like features.0.weight, conv1_1.weight or block1_conv1_W_q."
    )


def _file_keys(layout: str, depth: Literal[16, 19]) -> dict[str, str]:
    """Return the key of each tensor of `VGG` in a file, by its key in `VGG`."""
    _, weight, bias = _LAYOUTS[layout]
    keys = {}
    for index, name in enumerate(layer_names(depth)):
        if name.startswith("conv"):
            words = {"index": index, "name": name, "block": name[4], "conv": name[6]}
            keys[f"{name}.weight"], keys[f"{name}.bias"] = weight.format(**words), bias.format(**words)
    return keys


def _depth(tensors: Mapping[str, Tensor], layout: str) -> Literal[16, 19]:
    """Return the VGG that these tensors fit best: one point for each tensor, minus one for each missing one."""

    def fit(depth: Literal[16, 19]) -> int:
        return sum(1 if key in tensors else -1 for key in _file_keys(layout, depth).values())

    return max(_DEPTHS, key=fit)


def _convention(path: Path, header: Mapping[str, str], layout: str) -> str:
    """Return the preprocessing of these weights, from what is known about the file."""
    declared = header.get("preprocessing")
    if declared is not None:
        if declared not in _CONVENTIONS:
            raise WeightsError(f"{path} declares preprocessing {declared!r}; expected 'imagenet' or 'caffe'.")
        return declared
    if layout != "features":
        return "caffe"
    for beginning, convention in _PUBLISHED.items():
        if beginning in path.name:
            return convention
    return _PUBLISHED.get(sha256(path)[:8], "imagenet")
