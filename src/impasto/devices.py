"""Device and precision of the computation, by name, and the defaults of torch that everything here computes with."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

from impasto.errors import OptionError

__all__ = ["find_device", "find_dtype", "in_own_defaults", "own_defaults", "with_own_defaults"]

_Arguments = ParamSpec("_Arguments")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def find_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU if there is one.

    Raises:
        OptionError: this machine does not have the device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError):
        raise OptionError(
            f"device is {name!r}, which this machine or this build of torch does not have; use auto or cpu."
        ) from None
    return torch.device(name)


def find_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the data type of a computation; "auto" is bfloat16 on CPUs that support it natively, else float32."""
    if precision == "auto":
        able = device.type == "cpu" and torch.cpu.get_capabilities()
        return torch.bfloat16 if able and (able.get("avx512_bf16") or able.get("amx_bf16")) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


@contextmanager
def own_defaults() -> Iterator[None]:
    """Compute as if the calling program had set nothing, and restore what it had set.

    Inside there is neither inference mode nor autocast, new tensors are float32 and on the CPU unless the code says
    otherwise. `torch.no_grad` stays.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if (dtype := torch.get_default_dtype()) is not torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        yield


def in_own_defaults(events: Iterator[_Item]) -> Generator[_Item, None, None]:
    """Yield from a stream that computes with `own_defaults` and gradients; its reader keeps its settings."""
    try:
        while True:
            with own_defaults(), torch.enable_grad():
                try:
                    event = next(events)
                except StopIteration:
                    return
            yield event
    finally:
        if isinstance(events, Generator):
            with own_defaults(), torch.enable_grad():
                events.close()


def with_own_defaults(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Return the function with `own_defaults` around it, and around the steps of a stream that it returns."""

    @wraps(function)
    def called(*words: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        with own_defaults():
            found: Any = function(*words, **named)
        return in_own_defaults(found) if isinstance(found, Generator) else found  # type: ignore[return-value]

    return called
