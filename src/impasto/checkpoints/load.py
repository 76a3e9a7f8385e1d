"""Find files of networks by name, and read them in whatever known format they are."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints import catalog
from impasto.checkpoints.build import build, fill
from impasto.checkpoints.files import CHECKPOINT, COUNTER, MODEL, PREDICTOR, File, decoded, read_tensors, save_network
from impasto.checkpoints.foreign import foreign_network
from impasto.checkpoints.formats import Format, known_formats
from impasto.checkpoints.model import ARCHITECTURES, CUSTOM, Model, Precision
from impasto.errors import OptionError, WeightsError
from impasto.networks.style_predictor import StylePredictor
from impasto.networks.styled import StyledNetwork

__all__ = ["fingerprint", "load_style_embedding", "load_style_predictor", "locate", "pack", "read_model", "style_name"]

_LISTED = 12  # parts of a file in an error


def locate(name_or_path: str | Path) -> tuple[Path, str]:
    """Return the file or folder of a network, and the style that the name stands for; "" for none in particular.

    Args:
        name_or_path: a file; the folder of a training, whose result is meant, or else its checkpoint; a folder of
            another program; or the name of a network or style in the catalog.

    Raises:
        WeightsError: there is no such file or folder, or it is a pipe or device.
        UnknownName: it looks like a name, and the catalog does not have it.
    """
    name, path = str(name_or_path), Path(name_or_path).expanduser()
    if path.exists():
        if not path.is_dir() and not path.is_file():
            raise WeightsError(f"{path} is a pipe or device; expected the file or folder of a trained network.")
        return next((path / file for file in (MODEL, CHECKPOINT) if (path / file).is_file()), path), ""
    if path.suffix or len(path.parts) != 1:
        raise WeightsError(f"{path} does not exist; expected the file or folder of a trained network.")
    found, style = catalog.find(name)
    return found.path, style


def read_model(file: File, formats: Sequence[Format] = ()) -> Model:
    """Return the network of a file or folder, in the format that recognizes it; no code in it runs.

    Args:
        file: a file or folder. If it is no network itself, its parts may hold one.
        formats: formats to try before the known ones.

    Raises:
        WeightsError: it is damaged, of no known format, lacks something, or holds several networks.
    """
    known = known_formats(formats)
    if file.key and not file.tensors:
        raise file.error or WeightsError(f"{file.path} has no part {file.key!r}; it has {_listed(file)}.")
    found, failure = _attempt(file, known)
    if found is not None:
        return found
    if file.card:
        raise failure or _of_no_format(file, known)
    if file.error is None:
        parts, of_part = _networks(file, known)
        if len(parts) == 1:
            (name, model), *_ = parts.items()
            return replace(model, notes=(*model.notes, f"the part {name} of {file.path.name} is used"))
        if parts:
            raise WeightsError(f"{file.path} holds several networks: {', '.join(parts)}; choose one with --key.")
        if what := foreign_network(file.tensors):
            raise WeightsError(f"{file.path} is {what}")
        failure = failure or of_part
    raise failure or file.error or _of_no_format(file, known)


def _attempt(file: File, known: Sequence[Format]) -> tuple[Model | None, WeightsError | None]:
    """Return the network in the format that recognizes a file, or what is wrong with it."""
    for one in known:
        if one.detects(file):
            try:
                return one.read(file), None
            except WeightsError as error:
                return None, error
    return None, None


def _networks(file: File, known: Sequence[Format]) -> tuple[dict[str, Model], WeightsError | None]:
    """Return the complete networks in parts of a file, by their keys, or what is wrong with the first part."""
    found: dict[str, Model] = {}
    failure: WeightsError | None = None
    for part in file.parts():
        if not any(part.key.startswith(f"{name}.") for name in found):
            model, error = _attempt(part, known)
            failure = failure or error
            if model is not None:
                found[part.key] = model
    return found, failure


def _listed(file: File) -> str:
    """Return the names of the outermost parts of a file, for a sentence."""
    names = list(dict.fromkeys(part.key for part in File(file.path).parts() if "." not in part.key))
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _of_no_format(file: File, known: Sequence[Format]) -> WeightsError:
    expected = ", ".join(f"{one.expects} ({one.name})" for one in known if one.expects)
    if file.path.is_dir():
        names = ", ".join(one.name for one in known)
        return WeightsError(f"{file.path} holds no network: expected {MODEL} of a training, or files of {names}.")
    first = f"its first tensor is named {next(iter(file.tensors))!r}" if file.tensors else "it holds no named tensors"
    return WeightsError(f"{file.path} is no network of a known format: {first}; expected names like {expected}.")


def fingerprint(network: StyledNetwork) -> str:
    """Return a hash of all weights but the embeddings: style embeddings fit networks of the same fingerprint."""
    digest = hashlib.sha256()
    for name, weight in network.state_dict().items():
        if name != "embeddings":
            digest.update(weight.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_style_embedding(path: str | Path, base: str, size: int) -> tuple[str, Tensor]:
    """Return name and embedding `(size,)` of a style.

    Args:
        path: the file of a style embedding, or the folder of its training.
        base: the `fingerprint` of the network that it must be trained for.
        size: of an embedding of that network.

    Raises:
        WeightsError: the file cannot be read, holds no style embedding, or one of another network.
    """
    path, _ = locate(path)
    tensors, card = read_tensors(path)
    if card.get("network") != "style":
        raise WeightsError(f"{path} holds no style embedding; expected a file of `impasto train style`.")
    if card.get("base") != base:
        raise WeightsError(
            f"{path} is a style of another network, {card.get('based_on', '')!r}; apply that one, or train it anew."
        )
    return style_name(card, path), decoded(tensors, "embedding", torch.Size([size]), path, "a multi-style")


def style_name(card: Mapping[str, Any], path: Path) -> str:
    """Return the name of the style in a file: as its card says, or else as the file is named."""
    settings = card.get("settings")
    name = settings.get("style") if isinstance(settings, Mapping) else None
    return name if isinstance(name, str) and name else path.stem


def load_style_predictor(base: str) -> StylePredictor:
    """Return the style predictor of the catalog that was trained for a network.

    Args:
        base: the `fingerprint` of that network.

    Raises:
        OptionError: the catalog has none.
        WeightsError: its file is damaged.
    """
    for one in catalog.listed().values():
        if one.architecture == "style_predictor" and one.card.get("base") == base:
            tensors, card = read_tensors(one.path)
            predictor = fill(build(StylePredictor, card, one.path, tensors), tensors, one.path, "style predictor")
            return predictor.requires_grad_(False).eval()
    raise OptionError(
        "this network has no style predictor, so it cannot take a picture as a style; name one of its styles, or train "
        "an embedding: impasto train style PICTURE --base MODEL."
    )


def pack(
    path: str | Path,
    target: str | Path,
    about: Mapping[str, Any] | None = None,
    *,
    precision: Precision = "float32",
) -> list[Path]:
    """Write a small copy of the result of a training, for the catalog; return the files.

    A style predictor that was trained beside a painter comes along, as `NAME-predictor`. Its base is the copy, whose
    weights are rounded.

    Args:
        path: a file of ours, or the folder of a training: any network, a style embedding, or a style predictor.
        target: the copy; whatever was there is replaced in one moment.
        about: more entries for its card: license, source, and `works`, the work that each style was trained on.
        precision: as for `Model.save`.

    Raises:
        WeightsError: it is none of our files.
        CheckpointError: the copy cannot be written.
    """
    source, _ = locate(path)
    tensors, card = read_tensors(source)
    if card.get("network") not in (*ARCHITECTURES, "style", CUSTOM):
        raise WeightsError(f"{source} was not written by impasto; expected the result of a training.")
    plain = {
        key: decoded(tensors, key, value.shape, source, str(card["network"]))
        for key, value in tensors.items()
        if not key.endswith((".scale", COUNTER))
    }
    save_network(target, plain, {**card, **(about or {})}, precision)
    beside = source.with_name(PREDICTOR)
    if source == beside or not beside.is_file():
        return [Path(target)]
    tensors, card = read_tensors(beside)
    network = read_model(File(Path(target))).network
    assert isinstance(network, StyledNetwork)
    based = {"base": fingerprint(network), "based_on": Path(target).stem}
    told = {key: value for key, value in (about or {}).items() if key != "works"}
    copy = Path(target).with_name(f"{Path(target).stem}-predictor.safetensors")
    save_network(copy, tensors, {**card, **told, **based}, "float16" if precision == "int8" else precision)
    return [Path(target), copy]
