"""The only reader of weights: encoders from every known file, and the state of a run."""

import json
import os
import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto.errors import CheckpointError, OptionError, UnknownName, WeightsError, unknown_name
from impasto.networks.compact import Compact
from impasto.networks.vgg import VGG, layer_names
from impasto.weights import SPECS, WeightSpec, find, sha256

__all__ = [
    "CHECKPOINT",
    "CLASSIFIER",
    "MODEL",
    "decoded",
    "load_encoder",
    "load_state",
    "read_tensors",
    "save_network",
    "save_json",
    "save_state",
]

CHECKPOINT = "checkpoint.safetensors"  # in a run's folder
MODEL = "model.safetensors"  # what a training leaves in its folder
CLASSIFIER = "classifier.safetensors"  # there, too: what looked at made pictures

_Convention = Literal["imagenet", "caffe"]
_CONVENTIONS: Mapping[str, WeightSpec] = {"imagenet": SPECS["vgg19-torchvision"], "caffe": SPECS["vgg19"]}
_PUBLISHED: Mapping[str, _Convention] = {  # how sha256 begins, also in the file's name
    "dcbb9e9d": "imagenet",  # torchvision vgg19
    "397923af": "imagenet",  # torchvision vgg16
    "d01eb7cb": "caffe",  # jcjohnson/pytorch-vgg vgg19
    "00b39a1b": "caffe",  # jcjohnson/pytorch-vgg vgg16
}
_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt", ".h5", ".npz")
_LAYOUTS = {  # how to recognise it, and its names of a weight and a bias
    "features": (r"features\.\d+\.weight$", "features.{index}.weight", "features.{index}.bias"),
    "named": (r"conv\d_\d\.weight$", "{name}.weight", "{name}.bias"),
    "codebook": (r"block\d_conv\d_W_q$", "block{block}_conv{conv}_W_q", "block{block}_conv{conv}_b"),
}
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "network", "params", "weights")  # what loops call it
_OPTIMIZERS = ("optimizer", "optimizer_state_dict", "scheduler", "optim")
_FEW = 4096  # weights; a smaller tensor is not worth 8 bits
_DEPTHS: tuple[Literal[16, 19], ...] = (19, 16)


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

    A compact encoder is read from the file that `compression` wrote, which knows its preprocessing. Of
    VGGs, four layouts are read, as `.safetensors` or as what `torch.save` wrote (never running code from
    it): torchvision's (`features.0.weight`), the same converted from Caffe, Gatys' `vgg_conv.pth`
    (`conv1_1.weight`), and an 8-bit codebook (`block1_conv1_W_q`, `_W_table`, `_b`).

    Args:
        name_or_path: a name in `weights.SPECS`, or a file.
        pooling: see `VGG`.
        padding: see `VGG`.
        preprocessing: what the weights eat. "imagenet": RGB in [0, 1], then ImageNet's mean and
            standard deviation. "caffe": BGR in [0, 255] less the mean. "auto" knows the published
            files by name and hash, believes `preprocessing` in a safetensors header, and otherwise
            takes "imagenet" for `features.0.weight` and "caffe" for the other layouts.
        device: where the network goes.
        dtype: of its weights.
        progress: called with (bytes so far, bytes in all) if something is downloaded.

    Raises:
        UnknownName: neither a known name nor a file.
        WeightsError: the file is missing, damaged or foreign.
        OptionError: another argument is none of its choices.
    """
    if preprocessing not in ("auto", *_CONVENTIONS):
        raise OptionError(f"preprocessing is {preprocessing!r}; expected 'auto', 'imagenet' or 'caffe'.")
    spec = SPECS.get(name_or_path) if isinstance(name_or_path, str) else None
    path = find(spec, progress) if spec else _existing(name_or_path)
    tensors, header = _read(path)
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
    state = {key: _weight(tensors, keys[key], like.shape, path, net.name) for key, like in net.state_dict().items()}
    # Copies, so that the file is not kept open; channels-last as the images are, see VGG.forward.
    on_cpu = torch.device(device).type == "cpu"
    for key, value in state.items():
        memory_format = torch.channels_last if on_cpu and value.ndim == 4 else torch.contiguous_format
        state[key] = value.to(dtype, copy=True, memory_format=memory_format)
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False).to(device, dtype)


def _existing(name_or_path: str | Path) -> Path:
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    looks_like_path = isinstance(name_or_path, Path) or len(path.parts) > 1 or path.suffix in _SUFFIXES
    if looks_like_path or path.exists():
        raise WeightsError(f"{path} is not a file; expected weights of a VGG, or one of: {', '.join(SPECS)}.")
    raise unknown_name("an encoder", str(name_or_path), SPECS)


def _read(path: Path, nested: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file, and its header if it is a safetensors file; nothing in it is run."""
    with path.open("rb") as file:
        start = file.read(9)
    try:
        if start[8:] == b"{":
            with safe_open(path, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
        # what is not asked for (the classifier, 0.4 GB) is never read from a mapped file
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=start.startswith(b"PK") or None)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is damaged or holds more than tensors; it was not loaded, and nothing in it was run."
        ) from error
    except Exception as error:  # torch and safetensors name no common ancestor for damaged files
        raise WeightsError(
            f"{path} cannot be read: it is damaged, or neither a safetensors nor a torch file. Fetch it again."
        ) from error
    if nested:
        return _named(content), {}
    pairs = content.items() if isinstance(content, dict) else ()
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, Tensor)}, {}


def _empty_compact(
    header: Mapping[str, str],
    path: Path,
    pooling: Literal["max", "average"],
    padding: Literal["zeros", "replicate", "reflect"],
) -> Compact:
    """Return the network that a file made by impasto describes in its header, without weights."""
    try:
        told = json.loads(header["impasto"])
        kind = told["network"]
        settings = {name: told[name] for name in ("depth", "mean", "std", "channel_order", "pooling_scale", "widths")}
        ranks = {str(name): (int(k), int(r)) for name, (k, r) in told["ranks"].items()}
        with torch.device("meta"):
            net = Compact(ranks=ranks, scale=1.0, pooling=pooling, padding=padding, **settings)
    except (AttributeError, KeyError, TypeError, ValueError, UnknownName, OptionError):
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
    """Return what each tensor of `VGG` is called in a file, by its name in `VGG`."""
    _, weight, bias = _LAYOUTS[layout]
    keys = {}
    for index, name in enumerate(layer_names(depth)):
        if name.startswith("conv"):
            words = {"index": index, "name": name, "block": name[4], "conv": name[6]}
            keys[f"{name}.weight"], keys[f"{name}.bias"] = weight.format(**words), bias.format(**words)
    return keys


def _depth(tensors: Mapping[str, Tensor], layout: str) -> Literal[16, 19]:
    """Return the VGG that these tensors fit best: having a tensor speaks for it, lacking one against."""

    def fit(depth: Literal[16, 19]) -> int:
        return sum(1 if key in tensors else -1 for key in _file_keys(layout, depth).values())

    return max(_DEPTHS, key=fit)


def _weight(tensors: Mapping[str, Tensor], key: str, shape: torch.Size, path: Path, network: str) -> Tensor:
    """Return one tensor of a file, decoded and checked."""
    if key not in tensors:
        whose = "a compact encoder" if network == "compact" else "a VGG"
        raise WeightsError(f"{path} lacks {key!r}; expected every convolution of {whose}.")
    tensor = tensors[key]
    if tensor.shape != shape:
        raise WeightsError(
            f"{path} is another network: {key!r} has shape {tuple(tensor.shape)}, expected {tuple(shape)}."
        )
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


def _convention(path: Path, header: Mapping[str, str], layout: str) -> str:
    """Return what these weights eat, from what is known about the file."""
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


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the named tensors of a safetensors or torch file, and what its header says if impasto wrote it.

    Dictionaries inside dictionaries, as training loops save them, are opened: `{"state_dict": ...}` and the like
    without their names, those of several networks with theirs before each key.

    Raises:
        WeightsError: the file cannot be read, or holds more than tensors.
    """
    tensors, header = _read(path, nested=True)
    try:
        told = json.loads(header.get("impasto", "{}"))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise WeightsError(f"{path} is damaged: its header cannot be read. Fetch it again.")
    return tensors, told


def _named(content: Any) -> dict[str, Tensor]:
    """Return the tensors of dictionaries inside dictionaries."""
    found: dict[str, Tensor] = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(key, str) and isinstance(value, Tensor):
            found[key] = value
        elif isinstance(key, str) and isinstance(value, Mapping) and key not in _OPTIMIZERS:
            before = "" if key in _WRAPPERS else f"{key}."
            found |= {before + name: tensor for name, tensor in _named(value).items()}
    return found


def decoded(tensors: Mapping[str, Tensor], key: str, shape: torch.Size, path: Path, network: str) -> Tensor:
    """Return one tensor of a file in float32, a copy, checked.

    Raises:
        WeightsError: it is missing, has another shape, or holds something else than finite numbers.
    """
    if key not in tensors:
        raise WeightsError(f"{path} lacks {key!r} {tuple(shape)}; expected all weights of {network}'s network.")
    return _weight(tensors, key, shape, path, network).to(torch.float32, copy=True)


def save_network(path: str | Path, tensors: Mapping[str, Tensor], told: Mapping[str, Any], precision: str) -> None:
    """Write a network as one safetensors file, its description in the header.

    Args:
        path: the file; its folder must exist.
        tensors: the state dict.
        told: the description; anything JSON can hold.
        precision: "float32", "float16", or "int8" for filters of many weights, with a scale for each, and float16
            for the rest.

    Raises:
        CheckpointError: the file cannot be written.
    """
    stored: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if precision == "int8" and value.ndim == 4 and value.numel() >= _FEW:
            stored[f"{key}.scale"] = scale = value.float().abs().amax((1, 2, 3)).clamp_min(1e-30) / 127
            stored[key] = (value.float() / scale.view(-1, 1, 1, 1)).round().to(torch.int8)
        else:
            stored[key] = value.float() if precision == "float32" else value.half()
    save_state(path, stored, told)


def save_state(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write the state of a run as one safetensors file; whatever was at `path` is replaced in one moment.

    Args:
        path: the file; its folder must exist.
        tensors: any shapes, any dtypes safetensors knows; they are not changed, and may share memory.
        metadata: anything JSON can hold; it goes into the file's header.

    Raises:
        CheckpointError: the file cannot be written.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    plain: dict[str, Tensor] = {}
    taken: set[int] = set()
    for key, tensor in tensors.items():  # safetensors refuses views of one memory and strides other than the plain ones
        flat = tensor.detach().cpu().contiguous()
        plain[key] = flat.clone() if flat.untyped_storage().data_ptr() in taken else flat
        taken.add(plain[key].untyped_storage().data_ptr())
    try:
        part.unlink(missing_ok=True)
        part.touch()
        mode = part.stat().st_mode  # what this user's new files have; safetensors lets only the owner read
        save_file(plain, part, metadata={"impasto": json.dumps(metadata)})
        part.chmod(mode)
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise CheckpointError(f"{path} cannot be written: {error}.") from error


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return (tensors, metadata) that `save_state` wrote, bit for bit; tensors are on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged or was written by something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected a saved run.")
    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata() or {}
            # copies, because what safetensors returns stays tied to the file
            tensors = {key: opened.get_tensor(key).clone() for key in opened.keys()}  # noqa: SIM118
        metadata = json.loads(header["impasto"]) if "impasto" in header else None
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a saved run; start again without it.") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} was not saved by impasto; expected a saved run.")
    return tensors, metadata


def save_json(path: Path, told: Mapping[str, Any]) -> None:
    """Write plain values as JSON; whatever was there is replaced in one moment.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(told, indent=2) + "\n")
    part.replace(path)
