"""Device and precision of the computation, by name."""

import torch

from impasto.errors import OptionError

__all__ = ["find_device", "find_dtype"]


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
