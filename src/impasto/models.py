"""Networks that paint in one pass, from every known file, behind one way to call them."""

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from impasto.checkpoints import MODEL, decoded, read_tensors, save_network
from impasto.errors import OptionError, WeightsError, unknown_name
from impasto.networks.johnson import Johnson
from impasto.networks.layers import Map, pointwise, wide
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import PARTS, MicroAST
from impasto.networks.painter import Painter

__all__ = ["ARCHITECTURES", "Model", "Style", "load_model", "model_file", "save_model"]

ARCHITECTURES: Mapping[str, type[nn.Module]] = {
    "johnson": Johnson,
    "painter": Painter,
    "lengstrom": Lengstrom,
    "microast": MicroAST,
}
Style = str | Tensor | Mapping[str, float | Tensor] | None
_FILES = 48  # of a network of lengstrom's


@dataclass(frozen=True)
class Model:
    """A network with what is known about it; called, it paints.

    Attributes:
        network: of one of `ARCHITECTURES`.
        header: what its file says: provenance, license, how it was trained.
        notes: what a person should know about how it was read, sentences without a full stop.
    """

    network: nn.Module = field(repr=False)
    header: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """Its name in `ARCHITECTURES`."""
        return next(name for name, kind in ARCHITECTURES.items() if isinstance(self.network, kind))

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that it knows; empty: it knows one, or paints after a picture."""
        return self.network.styles if isinstance(self.network, Painter) else ()

    def __call__(self, image: Map, *, style: Style = None, strength: float = 1.0) -> Map:
        """Return the painted picture.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size.
            style: of a painter a name, or a row `(N,)` or `(B, N)`, or names with how much each counts: numbers,
                or maps `(1, 1, H, W)` that say where; by default its first style. Of a network for any style a
                picture `(1, 3, h, w)`. None for a network of one style.
            strength: from 0, the photograph, to 1, the style. A painter moves its row from the identity's, a
                network for any style its features; of others pixels are mixed.

        Returns:
            The same shape, in [0, 1].

        Raises:
            OptionError: the style is not what this network takes, or the strength is not in [0, 1].
            UnknownName: it has no such style.
        """
        if not 0 <= strength <= 1:
            raise OptionError(f"strength is {strength:g}; expected 0 to 1.")
        network = self.network
        dtype = next(network.parameters()).dtype
        painted: Map
        given = pointwise(partial(torch.Tensor.to, dtype=dtype), image)
        if isinstance(network, Painter):
            rows, shares = self._rows(style)
            rows = torch.lerp(network.rows[0].to(rows), rows, strength)
            painted = network(given, rows, shares)
        elif isinstance(network, MicroAST):
            if not isinstance(style, Tensor) or style.ndim != 4 or style.shape[1] != 3:
                raise OptionError("this network paints after a picture; expected one as style, (1, 3, h, w).")
            painted = pointwise(_within_range, network(given, style.to(dtype), strength))
        elif style is not None:
            raise OptionError(f"the network of {self.architecture} has one style; expected none to be named.")
        else:
            painted = pointwise(_within_range, network(given))
            if strength < 1:
                painted = pointwise(partial(_mix, strength), painted, image)
        return painted

    def _rows(self, style: Style) -> tuple[Tensor, Tensor | None]:
        """Return a painter's rows, `(N,)` or `(B, N)`, or `(K, N)` with shares `(1, K, H, W)`."""
        assert isinstance(self.network, Painter)
        rows = self.network.rows.detach()
        if isinstance(style, Tensor):
            return style, None
        if style is None:
            style = self.styles[min(1, len(self.styles) - 1)]
        parts = {style: 1.0} if isinstance(style, str) else dict(style)
        for name in parts:
            if name not in self.styles:
                raise unknown_name("a style of this network", name, self.styles)
        chosen = rows[[self.styles.index(name) for name in parts]]
        weights = list(parts.values())
        maps = [weight for weight in weights if isinstance(weight, Tensor)]
        if maps:
            shares = torch.cat([w if isinstance(w, Tensor) else torch.full_like(maps[0], w) for w in weights], 1)
            if shares.min() < 0 or not shares.sum(1).min() > 0:
                raise OptionError(
                    "maps of styles hold numbers below 0, or nothing at some pixel; expected a style there."
                )
            return chosen, shares
        numbers = torch.tensor(weights, dtype=rows.dtype)
        if not len(weights) or numbers.min() < 0 or not 0 < numbers.sum() < float("inf"):
            raise OptionError(f"shares of styles are {weights}; expected 0 or more each, not all 0.")
        return (numbers / numbers.sum()) @ chosen, None


def _within_range(painted: Tensor) -> Tensor:
    return wide(painted).clamp(0, 1)


def _mix(strength: float, painted: Tensor, image: Tensor) -> Tensor:
    return torch.lerp(image.to(painted), painted, strength)


# --- files ----------------------------------------------------------------------------------------


def model_file(path: str | Path) -> Path:
    """Return where a network is: of a training's folder the file in it, anything else as it is."""
    path = Path(path).expanduser()
    return path / MODEL if (path / MODEL).is_file() else path


def load_model(path: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Model:
    """Return the network of a file or folder, whatever wrote it, frozen and ready; nothing in it is run.

    Recognized are files of `save_model` and folders of trainings; `.pth` of pytorch/examples, also nested, with
    `module.` before each key, and with the running statistics that old ones have; folders or zip files of
    lengstrom's 48 `Variable` blobs, as ml5 and deeplearn.js have them; and MicroAST's four checkpoints, in a folder
    or in one file.

    Raises:
        WeightsError: the file is missing, damaged, foreign, or lacks something.
    """
    path = model_file(path)
    if not path.exists():
        raise WeightsError(f"{path} does not exist; expected a network that paints, as a file or a folder.")
    blobs = _blobs(path)
    if blobs is not None:
        model = _lengstrom(blobs, path)
    elif path.is_dir():
        model = _microast_folder(path)
    else:
        tensors, header = read_tensors(path)
        model = _ours(tensors, header, path) if header else _foreign(tensors, path)
    model.network.requires_grad_(False).eval().to(device, dtype)
    if torch.device(device).type == "cpu":
        model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


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


def _ours(tensors: Mapping[str, Tensor], header: Mapping[str, Any], path: Path) -> Model:
    kind = header.get("network")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise WeightsError(f"{path} holds the network {kind!r}; expected one that paints: {', '.join(ARCHITECTURES)}.")
    try:
        network = _empty(ARCHITECTURES[kind], **header["settings"])
    except (KeyError, TypeError, OptionError) as error:
        raise WeightsError(f"{path} is damaged: its settings do not make a network. Fetch it again.") from error
    return Model(_filled(network, tensors, path, kind), dict(header))


def _empty(kind: Callable[..., nn.Module], *settings: Any, **named: Any) -> nn.Module:
    """Return a network whose weights will be replaced; no random number is drawn."""
    state = torch.get_rng_state()
    try:
        return kind(*settings, **named)
    finally:
        torch.set_rng_state(state)


def _filled(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, kind: str) -> nn.Module:
    expected = network.state_dict()
    for key in tensors:
        if key.removesuffix(".scale") not in expected and key not in expected:
            raise WeightsError(
                f"{path} holds {key!r}, which {kind}'s network does not have; expected its weights only."
            )
    network.load_state_dict({key: decoded(tensors, key, like.shape, path, kind) for key, like in expected.items()})
    return network


def _foreign(tensors: Mapping[str, Tensor], path: Path) -> Model:
    tensors = _plain_keys(tensors)
    if any(key.startswith(tuple(f"{part}." for part in PARTS)) for key in tensors):
        return Model(_filled(_empty(MicroAST), tensors, path, "MicroAST"))
    if not any(key.startswith(("conv1.conv2d.", "deconv", "res1.")) for key in tensors):
        first = f"its first tensor is named {next(iter(tensors))!r}" if tensors else "it holds no named tensors"
        raise WeightsError(
            f"{path} is no network that paints: {first}; expected names like conv1.conv2d.weight (pytorch/examples), "
            "Variable_1 (lengstrom) or content_encoder.enc1.0.conv_layer.weight (MicroAST)."
        )
    old = [key for key in tensors if re.search(r"(^|\.)in\d+\.(running_(mean|var)|num_batches_tracked)$", key)]
    tensors = {key: value for key, value in tensors.items() if key not in old}
    first_weight = tensors.get("conv1.conv2d.weight")
    if first_weight is None or first_weight.ndim != 4:
        raise WeightsError(
            f"{path} lacks 'conv1.conv2d.weight' (32, 3, 9, 9); expected all weights of Johnson's network."
        )
    blocks = max([int(found[1]) for key in tensors if (found := re.match(r"res(\d+)\.", key))], default=0)
    notes = (f"{len(old)} running statistics of an old file were left out: they are never used",) if old else ()
    network = _empty(Johnson, first_weight.shape[0], blocks)
    return Model(_filled(network, tensors, path, "Johnson"), notes=notes)


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
