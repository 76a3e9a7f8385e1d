"""Our own files: results of trainings, saved models, and checkpoints of runs that have not ended."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.build import build, fill
from impasto.checkpoints.files import File, decoded
from impasto.checkpoints.formats import Format
from impasto.checkpoints.model import ARCHITECTURES, CUSTOM, Model
from impasto.checkpoints.upgrade import upgrade_card
from impasto.errors import WeightsError
from impasto.networks.autoencoder import Autoencoder

__all__ = ["FORMAT", "contents"]

_CODES = ("codes.mean", "codes.root")  # of an autoencoder: the Gaussian of its training codes


def contents(file: File) -> tuple[dict[str, Tensor], dict[str, Any], tuple[str, ...]]:
    """Return weights, card and notes of our own file; of a checkpoint the averaged weights if there are some.

    Raises:
        WeightsError: it is a checkpoint that does not say how to build its network.
    """
    card = file.card
    if "network" in card or "optimizers" not in card:
        return _without_wrapper(file.tensors, card), card, ()
    model = card.get("model")  # of a checkpoint: its record and its values
    if not isinstance(model, Mapping) or not isinstance(model.get("network"), str) or "name" not in model:
        raise WeightsError(
            f"{file.path.parent} is a training that has not ended; go on with it, by --resume, before its network is "
            "used."
        )
    name = model["name"]
    for kind in (f"average/{name}/", f"network/{name}/"):
        weights = {key.removeprefix(kind): value for key, value in file.tensors.items() if key.startswith(kind)}
        if weights:
            break
    note = f"{file.path.parent} is a training that has not ended; its weights are those of step {card.get('step', 0):,}"
    about = {key: value for key, value in card.items() if key not in ("model", "optimizers", "environment", "log")}
    card = upgrade_card({**about, **model})
    if not isinstance(card.get("settings", {}), Mapping):
        raise WeightsError(f"{file.path} is damaged: its settings do not make a network. Train it again.")
    return _without_wrapper(weights, card), card, (note,)


def _without_wrapper(tensors: dict[str, Tensor], card: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return weights by the keys of the user's own network, without the prefix of `networks.own`."""
    if card.get("network") != CUSTOM:
        return tensors
    return {key.removeprefix("own."): value for key, value in tensors.items()}


def _detects(file: File) -> bool:
    return bool(file.card)


def _read(file: File) -> Model:
    tensors, card, notes = contents(file)
    kind, path = card.get("network"), file.path
    if kind == CUSTOM:
        raise WeightsError(f"{path} holds a network of your own; expected that as network=, an object of its class.")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        hint = " It is an encoder; see `load_encoder`." if kind == "compact" else ""
        raise WeightsError(f"{path} holds the network {kind!r}; expected one of {', '.join(ARCHITECTURES)}.{hint}")
    network = build(ARCHITECTURES[kind], card, path, tensors)
    extra: dict[str, Tensor] = {}
    if isinstance(network, Autoencoder):
        extra, notes = _codes(tensors, network.latent, path, notes)
        tensors = {key: value for key, value in tensors.items() if key not in _CODES}
    return Model(fill(network, tensors, path, kind), card, notes, path, extra=extra)


def _codes(
    tensors: Mapping[str, Tensor], size: int, path: Path, notes: tuple[str, ...]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return mean and covariance root of an autoencoder's training codes; a checkpoint has none."""
    if notes and not set(_CODES) & tensors.keys():
        return {}, (*notes, "the distribution of its codes is not known yet, so samples look worse than they will")
    shapes = zip(_CODES, (torch.Size([size]), torch.Size([size, size])), strict=True)
    return {key: decoded(tensors, key, shape, path, "autoencoder") for key, shape in shapes}, notes


FORMAT = Format("impasto", _detects, _read)
