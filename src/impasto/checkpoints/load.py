"""Load networks that paint, whatever wrote the file."""

import hashlib
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from impasto.checkpoints import catalog
from impasto.checkpoints.files import CHECKPOINT, MODEL, decoded, read_tensors, save_network
from impasto.checkpoints.model import ARCHITECTURES, MAKERS, Model
from impasto.errors import OptionError, WeightsError
from impasto.networks.johnson import Johnson
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import PARTS, MicroAST
from impasto.networks.multistyle import Painter
from impasto.networks.style_predictor import Predictor
from impasto.networks.translators import ResNetGenerator, UNetGenerator

__all__ = ["fingerprint", "load_model", "load_predictor", "load_style", "model_file", "pack", "save_model"]

_Net = TypeVar("_Net", bound=nn.Module)


_FILES = 48  # of a network of lengstrom's


_COUNT = ".num_batches_tracked"  # of batch normalization: a whole number that nobody needs once it has learned


_STATISTICS = (".running_mean", ".running_var", _COUNT)


def model_file(path: str | Path) -> tuple[Path, str]:
    """Return where a network is, and which of its styles is meant.

    Args:
        path: a file or a folder; of a training's folder the file in it is meant. Or a name of the catalogue, of a
            network or of a style.

    Raises:
        WeightsError: there is no such file or folder, or it is of a training that has not ended.
        UnknownName: it does not look like one, and the catalogue does not know it.
    """
    name, path = str(path), Path(path).expanduser()
    if path.exists():
        if (path / CHECKPOINT).is_file() and not (path / MODEL).is_file():
            raise WeightsError(f"{path} is a training that has not ended; go on with it, by --resume, first.")
        return (path / MODEL if (path / MODEL).is_file() else path), ""
    if path.suffix or len(path.parts) != 1:
        raise WeightsError(f"{path} does not exist; expected a network that paints, as a file or a folder.")
    found, style = catalog.find(name)
    return found.path, style


def load_model(path: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Model:
    """Return a network by name, or that of a file or folder, whatever wrote it, frozen and ready; nothing is run.

    Recognized are names of the catalogue; files of `save_model` and folders of trainings, also those of a single
    style, if the catalogue has the network that it belongs to; `.pth` of pytorch/examples, also nested, with
    `module.` before each key, and with the running statistics that old ones have; folders or zip files of
    lengstrom's 48 `Variable` blobs, as ml5 and deeplearn.js have them; MicroAST's four checkpoints, in a folder
    or in one file; and generators of the official CycleGAN, pix2pix and CUT, whose settings are found in the file.

    Raises:
        WeightsError: the file is missing, damaged, foreign, or lacks something.
        UnknownName: there is no file of this name, and the catalogue does not know it.
    """
    path, style = model_file(path)
    blobs = _blobs(path)
    if blobs is not None:
        model = _lengstrom(blobs, path)
    elif path.is_dir():
        model = _microast_folder(path)
    else:
        tensors, header = read_tensors(path)
        model = _ours(tensors, header, path) if header else _foreign(tensors, path)
    if style:
        model = replace(model, default=style)
    if isinstance(model.network, Painter):
        model = replace(model, header={**model.header, "fingerprint": fingerprint(model.network)})
    model.network.requires_grad_(False).eval().to(device, dtype)
    if torch.device(device).type == "cpu":
        model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def fingerprint(network: Painter) -> str:
    """Return a text that is the same for painters whose rows can be exchanged: a hash of all else, in float32."""
    digest = hashlib.sha256()
    for name, weight in network.state_dict().items():
        if name != "rows":
            digest.update(weight.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_style(path: str | Path, model: Model) -> tuple[str, Tensor]:
    """Return the style in a file, its name and its row `(N,)`, for a painter that it belongs to.

    Raises:
        WeightsError: the file cannot be read, holds no style, or one of another network.
    """
    path, _ = model_file(path)
    tensors, header = read_tensors(path)
    if header.get("network") != "style":
        raise WeightsError(f"{path} holds no single style; expected a file of `impasto train style`.")
    if header.get("base") != model.header.get("fingerprint"):
        raise WeightsError(
            f"{path} is a style of another network, {header.get('based_on', '')!r}; apply that one, or teach it anew."
        )
    return _style_name(header, path), _row(tensors, model, path)


def _style_name(header: Mapping[str, Any], path: Path) -> str:
    settings = header.get("settings")
    name = settings.get("style") if isinstance(settings, Mapping) else None
    return name if isinstance(name, str) and name else path.stem


def _row(tensors: Mapping[str, Tensor], model: Model, path: Path) -> Tensor:
    assert isinstance(model.network, Painter)
    return decoded(tensors, "row", model.network.rows.shape[1:], path, "a style of a painter")


def _of_style(tensors: Mapping[str, Tensor], header: Mapping[str, Any], path: Path) -> Model:
    """Return the painter of the catalogue that a single style belongs to, with that style."""
    for one in catalog.listed().values():
        if one.kind == "painter":
            base = load_model(one.path)
            if base.header["fingerprint"] == header.get("base"):
                name = _style_name(header, path)
                model = base.knowing(name, _row(tensors, base, path))
                return replace(model, default=name)
    raise WeightsError(
        f"{path} is a style of the network {header.get('based_on', '')!r}, which is not in the catalogue; apply that "
        f"network, with --style {path}."
    )


def load_predictor(model: Model) -> Predictor:
    """Return the network that finds rows of a painter for any picture, from the catalogue.

    Raises:
        OptionError: the catalogue has none for this network.
        WeightsError: its file is damaged.
    """
    for one in catalog.listed().values():
        if one.kind == "predictor" and one.header.get("base") == model.header.get("fingerprint"):
            tensors, header = read_tensors(one.path)
            network = _made(Predictor, header, one.path)
            return _filled(network, tensors, one.path, "predictor").requires_grad_(False).eval()
    raise OptionError(
        "this network cannot paint after a picture that it was not taught; name one of its styles, or teach it: "
        "impasto train style PICTURE --base MODEL."
    )


def save_model(
    path: str | Path,
    network: nn.Module,
    header: Mapping[str, Any] | None = None,
    *,
    precision: Literal["float32", "float16", "int8"] = "float32",
) -> None:
    """Write a network as one file that `load_model` reads.

    Args:
        path: the file; whatever was there is replaced in one moment.
        network: of one of `ARCHITECTURES`.
        header: what else is told about it: provenance, license, anything JSON can hold.
        precision: of large tensors: as they are computed with; 16 bits; or 8 bits with a scale for each filter.
            Rows of styles and small tensors take 16 bits then.

    Raises:
        OptionError: the precision is none of these, or the network is none of ours.
        CheckpointError: the file cannot be written.
    """
    if precision not in ("float32", "float16", "int8"):
        raise OptionError(f"precision is {precision!r}; expected float32, float16 or int8.")
    model = Model(network)
    if not isinstance(network, tuple(ARCHITECTURES.values())):
        raise OptionError(
            f"{type(network).__name__} is not a network that paints; expected {', '.join(ARCHITECTURES)}."
        )
    told = {**(header or {}), "network": model.architecture, "settings": network.settings, "torch": torch.__version__}
    save_network(path, network.state_dict(), told, precision)


def pack(
    path: str | Path,
    target: str | Path,
    about: Mapping[str, Any] | None = None,
    *,
    precision: Literal["float32", "float16", "int8"] = "float32",
) -> None:
    """Write a small copy of a file that a training left, for the catalogue.

    Args:
        path: a file of ours, or the folder of a training: a network that paints or one that makes small pictures, a
            style, or a predictor.
        target: the copy; whatever was there is replaced in one moment.
        about: what is told beside what the file says already: license, source, and works, which says of each style
            what it was learned from.
        precision: as for `save_model`.

    Raises:
        WeightsError: it is none of our files.
        CheckpointError: the copy cannot be written.
    """
    source, _ = model_file(path)
    tensors, header = read_tensors(source)
    if header.get("network") not in (*ARCHITECTURES, "style", "predictor", *MAKERS):
        raise WeightsError(f"{source} was not written by impasto; expected what a training of networks left.")
    plain = {
        key: decoded(tensors, key, value.shape, source, str(header["network"]))
        for key, value in tensors.items()
        if not key.endswith((".scale", _COUNT))
    }
    save_network(target, plain, {**header, **(about or {})}, precision)


def _ours(tensors: Mapping[str, Tensor], header: Mapping[str, Any], path: Path) -> Model:
    kind = header.get("network")
    if kind == "style":
        return _of_style(tensors, header, path)
    if kind in MAKERS:
        raise WeightsError(f"{path} holds {kind!r}, which paints no pictures but makes them; see `impasto sample`.")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise WeightsError(f"{path} holds the network {kind!r}; expected one that paints: {', '.join(ARCHITECTURES)}.")
    network = _made(ARCHITECTURES[kind], header, path)
    return Model(_filled(network, tensors, path, kind), dict(header))


def _made(kind: Callable[..., _Net], header: Mapping[str, Any], path: Path) -> _Net:
    """Return the network that a file's header describes, without its weights.

    Raises:
        WeightsError: it describes none.
    """
    try:
        return _empty(kind, **header["settings"])
    except (KeyError, TypeError, OptionError) as error:
        raise WeightsError(f"{path} is damaged: its settings do not make a network. Fetch it again.") from error


def _empty(kind: Callable[..., _Net], *settings: Any, **named: Any) -> _Net:
    """Return a network whose weights will be replaced; no random number is drawn."""
    state = torch.get_rng_state()
    try:
        return kind(*settings, **named)
    finally:
        torch.set_rng_state(state)


def _filled(network: _Net, tensors: Mapping[str, Tensor], path: Path, kind: str) -> _Net:
    expected = {key: like for key, like in network.state_dict().items() if not key.endswith(_COUNT)}
    for key in tensors:
        if key.removesuffix(".scale") not in expected and key not in expected and not key.endswith(_COUNT):
            raise WeightsError(
                f"{path} holds {key!r}, which {kind}'s network does not have; expected its weights only."
            )
    network.load_state_dict({key: decoded(tensors, key, like.shape, path, kind) for key, like in expected.items()})
    return network


def _foreign(tensors: Mapping[str, Tensor], path: Path) -> Model:
    tensors = _plain_keys(tensors)
    if any(key.startswith(tuple(f"{part}." for part in PARTS)) for key in tensors):
        return Model(_filled(_empty(MicroAST), tensors, path, "MicroAST"))
    if any(re.match(r"model\.\d+\.|model\.model\.|net\.\d+\.|mlp_\d+\.", key) for key in tensors):
        return _translator(tensors, path)
    if not any(key.startswith(("conv1.conv2d.", "deconv", "res1.")) for key in tensors):
        first = f"its first tensor is named {next(iter(tensors))!r}" if tensors else "it holds no named tensors"
        raise WeightsError(
            f"{path} is no network that paints: {first}; expected names like conv1.conv2d.weight (pytorch/examples), "
            "Variable_1 (lengstrom), content_encoder.enc1.0.conv_layer.weight (MicroAST) or model.1.weight (CycleGAN)."
        )
    old = [key for key in tensors if re.search(r"(^|\.)in\d+\.(running_(mean|var)|num_batches_tracked)$", key)]
    tensors = {key: value for key, value in tensors.items() if key not in old}
    first_weight = tensors.get("conv1.conv2d.weight")
    if first_weight is None or first_weight.ndim != 4:
        raise WeightsError(
            f"{path} lacks 'conv1.conv2d.weight' (32, 3, 9, 9); expected all weights of Johnson's network."
        )
    blocks = max([int(found[1]) for key in tensors if (found := re.match(r"res(\d+)\.", key))], default=0)
    network = _empty(Johnson, first_weight.shape[0], blocks)
    return Model(_filled(network, tensors, path, "Johnson"), notes=_left_out(old))


def _left_out(old: Collection[str]) -> tuple[str, ...]:
    """Return the note about statistics of instance normalization, which torch wrote before 0.4."""
    return (f"{len(old)} running statistics of an old file were left out: they are never used",) if old else ()


def _translator(tensors: Mapping[str, Tensor], path: Path) -> Model:
    """Return the generator in a file of the official CycleGAN, pix2pix or CUT; its shapes and keys tell its settings.

    Not told are dropout in a U-Net, which has no effect when pictures are translated, and the norm where there are
    neither gains nor biases, which is then none.
    """
    old = [key for key in tensors if key.endswith(_STATISTICS) and f"{key.rpartition('.')[0]}.weight" not in tensors]
    tensors = {key: value for key, value in tensors.items() if key not in old}
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    whole = "expected its generator, in a file named as latest_net_G.pth or latest_net_G_A.pth."
    if any(re.match(r"mlp_\d+\.", key) for key in shapes):
        raise WeightsError(f"{path} holds CUT's network that compares patches, netF; {whole}")
    if "model.0.weight" in shapes or "net.0.weight" in shapes:
        raise WeightsError(f"{path} holds a discriminator of CycleGAN, pix2pix or CUT, which only judges; {whole}")
    deep = any(key.startswith("model.model.") for key in shapes)
    read, kind = (_unet_settings, "pix2pix") if deep else (_resnet_settings, "CycleGAN")
    try:
        settings = read(shapes)
        network = _empty(UNetGenerator if deep else ResNetGenerator, **settings)
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
    blurs = {key: value.clone() for key, value in network.state_dict().items() if key.endswith(".filt")}
    model = Model(_filled(network, tensors, path, kind), notes=_left_out(old))
    for key, wanted in blurs.items():
        if not torch.allclose(tensors[key].float(), wanted, atol=1e-3):
            raise WeightsError(f"{path} blurs otherwise than CUT does: {key!r} is another filter.")
    return model


def _norm_of(shapes: Mapping[str, tuple[int, ...]], gain: str, bias: str) -> str:
    return "batch" if gain in shapes else "instance" if bias in shapes else "none"


def _resnet_settings(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the settings of a `ResNetGenerator` whose weights have these shapes."""
    width, channels, _, _ = _filter(shapes, "model.1.weight")
    blocks = {found[1] for key in shapes if (found := re.match(r"model\.(\d+)\.conv_block\.", key))}
    blurs = {shape[2] for key, shape in shapes.items() if key.endswith(".filt") and len(shape) == 4}
    down, up = 3 in blurs, 4 in blurs
    last = 17 + len(blocks) + 2 * down + 2 * up
    return {
        "width": width,
        "blocks": len(blocks),
        "norm": _norm_of(shapes, "model.2.weight", "model.1.bias"),
        "dropout": any(key.endswith(".conv_block.6.weight") and len(shapes[key]) == 4 for key in shapes),
        "blur_down": down,
        "blur_up": up,
        "channels": channels,
        "out": _filter(shapes, f"model.{last}.weight")[0],
    }


def _unet_settings(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the settings of a `UNetGenerator` whose weights have these shapes."""
    width, channels, _, _ = _filter(shapes, "model.model.0.weight")
    return {
        "width": width,
        "downs": 2 + max(key.count(".3.model") for key in shapes),
        "norm": _norm_of(shapes, "model.model.1.model.2.weight", "model.model.0.bias"),
        "channels": channels,
        "out": _filter(shapes, "model.model.3.weight")[1],
    }


def _filter(shapes: Mapping[str, tuple[int, ...]], key: str) -> tuple[int, ...]:
    """Return the shape of a convolution's weight; of anything else a KeyError."""
    if len(shapes[key]) != 4:
        raise KeyError(key)
    return shapes[key]


def _plain_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the keys that they have inside their network."""
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", key): value for key, value in tensors.items()}


def _microast_folder(path: Path) -> Model:
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        files = sorted(file for file in path.iterdir() if file.is_file() and file.name.startswith(part))
        if len(files) != 1:
            raise WeightsError(
                f"{path} has {len(files)} files named {part}*; expected one each of {', '.join(PARTS)} (MicroAST), "
                "or lengstrom's 48 files named Variable, Variable_1, ..."
            )
        found, _ = read_tensors(files[0])
        tensors |= {f"{part}.{key}": value for key, value in _plain_keys(found).items()}
    return Model(_filled(_empty(MicroAST), tensors, path, "MicroAST"))


def _blobs(path: Path) -> dict[str, bytes] | None:
    """Return lengstrom's files by name, or None if this is something else."""

    def number(name: str) -> bool:
        return re.fullmatch(r"Variable(_\d+)?", name) is not None

    try:
        if path.is_dir():
            files = {file.name: file for file in path.iterdir() if number(file.name)}
            return {name: file.read_bytes() for name, file in files.items()} or None
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as opened:
                names = {name.rpartition("/")[2]: name for name in opened.namelist()}
                wanted = {short: name for short, name in names.items() if number(short)}
                if sum(opened.getinfo(name).file_size for name in wanted.values()) > 1 << 30:
                    raise WeightsError(f"{path} holds more than a gigabyte; expected about 7 MB.")
                return {short: opened.read(name) for short, name in wanted.items()} or None
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} cannot be read; it is damaged. Fetch it again.") from error
    return None


def _lengstrom(blobs: Mapping[str, bytes], path: Path) -> Model:
    """Return the network of 48 blobs: weight, shift and scale of each of 16 convolutions, little-endian."""
    network = _empty(Lengstrom)
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
    return Model(network)
