"""The memory that this process may still take."""

import math
import re
import sys
from pathlib import Path

import psutil

__all__ = ["free_memory"]


def free_memory() -> int:
    """Return the bytes that are free: of the machine, of its container, and under the limit of the process."""
    free = psutil.virtual_memory().available
    return max(0, int(min(free, _free_in_container(), _free_under_limit())))


def _free_in_container() -> float:
    """Return the free memory of a Linux container, which psutil does not know: its limit minus its use."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # there is no container, or it is not limited
        return math.inf
    return limit - used + (int(cached[1]) if cached else 0)


def _free_under_limit() -> float:
    """Return what `ulimit -v` leaves, the limit of the address space."""
    if sys.platform == "win32":
        return math.inf
    import resource  # which Windows does not have

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if limit == resource.RLIM_INFINITY else limit - psutil.Process().memory_info().vms
