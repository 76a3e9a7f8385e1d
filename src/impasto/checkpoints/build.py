"""Build networks from the settings in a file, and fill them with its weights."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from impasto.checkpoints.files import COUNTER, decoded
from impasto.errors import OptionError, WeightsError

__all__ = ["build", "empty", "fill", "fill_custom"]

_Net = TypeVar("_Net", bound=nn.Module)


def build(kind: Callable[..., _Net], card: Mapping[str, Any], path: Path) -> _Net:
    """Return the network that a card describes, without its weights.

    Raises:
        WeightsError: the settings do not fit the network.
    """
    try:
        return empty(kind, **card["settings"])
    except (KeyError, TypeError, OptionError) as error:
        raise WeightsError(
            f"{path} is damaged: its settings do not make a network. Fetch it again, or train it again."
        ) from error


def empty(kind: Callable[..., _Net], /, *settings: Any, **named: Any) -> _Net:
    """Return a network whose weights will be replaced; the global random state stays unchanged."""
    state = torch.get_rng_state()
    try:
        return kind(*settings, **named)
    finally:
        torch.set_rng_state(state)


def fill(network: _Net, tensors: Mapping[str, Tensor], path: Path, name: str) -> _Net:
    """Load weights into a network, decoded and checked; return it.

    Args:
        network: of any weights.
        tensors: of the file, by the keys of the network's state dict.
        path: of the file, for errors.
        name: of the network, for errors.

    Raises:
        WeightsError: tensors are missing, left over, of other shapes, or not finite.
    """
    expected = {key: like for key, like in network.state_dict().items() if not key.endswith(COUNTER)}
    for key in tensors:
        if key.removesuffix(".scale") not in expected and key not in expected and not key.endswith(COUNTER):
            raise WeightsError(
                f"{path} holds {key!r}, which {name}'s network does not have; expected its weights only."
            )
    network.load_state_dict({key: decoded(tensors, key, like.shape, path, name) for key, like in expected.items()})
    return network


def fill_custom(network: _Net, tensors: Mapping[str, Tensor], path: Path) -> _Net:
    """Load weights into a network of the user's own; return it.

    Raises:
        WeightsError: keys or shapes do not fit the network.
    """
    state = {}
    for key, like in network.state_dict().items():
        if key in tensors:
            exact = like.is_floating_point()
            state[key] = decoded(tensors, key, like.shape, path, "the given") if exact else tensors[key].to(like.dtype)
        elif key.endswith(COUNTER):
            state[key] = like
    left = [key for key in tensors if key.removesuffix(".scale") not in state and not key.endswith(COUNTER)]
    try:
        network.load_state_dict({**state, **{key: tensors[key] for key in left}}, assign=True)
    except RuntimeError as error:
        first = " ".join(str(error).split("\n")[1:2]).strip() or str(error)
        raise WeightsError(f"{path} does not fit the network that was given: {first}") from error
    return network
