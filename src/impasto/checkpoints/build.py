"""Build networks from the settings in a file, and fill them with its weights."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from impasto.checkpoints.files import COUNTER, decoded
from impasto.errors import OptionError, WeightsError
from impasto.reading import as_one_error

__all__ = ["build", "empty", "fill", "fill_custom"]

_Net = TypeVar("_Net", bound=nn.Module)


def build(kind: Callable[..., _Net], card: Mapping[str, Any], path: Path, tensors: Mapping[str, Tensor]) -> _Net:
    """Return the network that a card describes, without its weights.

    Args:
        kind: its class.
        card: has its settings.
        path: of the file, for errors.
        tensors: its weights; settings that ask for a far larger network are refused before it is made.

    Raises:
        WeightsError: the settings do not fit the network.
    """
    damaged = WeightsError(f"{path} is damaged: its settings do not make a network. Fetch it again, or train it again.")
    try:
        with as_one_error(damaged), _NoLargerThan(tensors):
            return empty(kind, **card["settings"])
    except OptionError as error:
        raise damaged from error


class _NoLargerThan(TorchFunctionMode):
    """Refuses, while a network is made, more and larger tensors than these weights can need."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._left = _MADE * (len(tensors) + 1)
        self._most = max([1 << 20, *(tensor.numel() for tensor in tensors.values())])

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at a new tensor before it is made; all else, as the end of `no_grad`, must never be refused."""
        if function in _MAKERS:
            sizes = [size for given in args for size in (given if isinstance(given, list | tuple) else [given])]
            asked = math.prod(size for size in sizes if isinstance(size, int) and not isinstance(size, bool))
            if function is Tensor.repeat:
                asked *= args[0].numel()
            self._left -= 1
            if self._left < 0 or asked > self._most:
                raise ValueError("the settings ask for a larger network than the weights are of")
        return function(*args, **(kwargs or {}))


_MADE = 20  # tensors that are made for a tensor of a network
_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye, Tensor.repeat}


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
