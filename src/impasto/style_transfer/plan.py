"""What a run will need, before it begins: scales, tiles, memory and time.

Memory is bounded by three choices, made in this order for every scale: cut the picture into tiles, let
L-BFGS remember fewer steps, cut into smaller tiles. Only the first leaves the result as it is, but for
rounding.
"""

import contextlib
import ctypes
import math
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.style_transfer.objective import GRID, Encoder, Objective
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.tiling import Tile, halo, tiles

__all__ = [
    "Scale",
    "available_memory",
    "plan_run",
    "reaches",
    "release_memory",
    "scale_seconds",
    "seconds_per_pixel",
    "smaller",
    "used_memory",
]

_SIDES = (2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 64)  # of tiles, in pixels
_GOOD_SIDE = 256  # smaller tiles see mostly their halo
_MARGIN = 0.9  # of what is free; the rest is for the allocator
_PICTURES = 4  # tensors as large as the picture that live in a step, beside the photograph and what L-BFGS remembers
_BYTES = 12  # of a pixel: three numbers of 32 bits
_SLACK = 1.07  # memory in pieces too small to be used
_GROWTH = 15 * 10**7  # bytes that the program itself takes when its networks begin to run
_PROBE = 128  # pixels
_ASKED = ("reach", "feature_bytes", "bytes_per_pixel")  # of a network, to plan its memory


@dataclass(frozen=True)
class Scale:
    """One size of the pyramid, and how it is computed.

    Attributes:
        height: in pixels.
        width: in pixels.
        steps: of the optimizer.
        tile: side of the tiles in pixels; None: the picture is not cut.
        history: steps that L-BFGS remembers.
        memory: bytes that all of this needs at once, the program itself included.
        network: which one looks: 0 the encoder, 1 the one that polishes.
    """

    height: int
    width: int
    steps: int
    tile: int | None = None
    history: int = 0
    memory: int = 0
    network: int = 0

    @property
    def pixels(self) -> int:
        """The picture's pixels."""
        return self.height * self.width

    def tiles(self, reach: int) -> list[Tile]:
        """Return the tiles for a network that reaches so far."""
        return list(tiles((self.height, self.width), self.tile, reach, GRID))

    def seen(self, reach: int) -> int:
        """Return how many pixels the network sees in one step: tiles overlap, and are looked at twice."""
        seen = sum(tile.pixels for tile in self.tiles(reach))
        return seen if self.tile is None else seen * 4 // 3  # a third of a step is forward, and that is done once more


def available_memory(device: torch.device) -> int:
    """Return the bytes that this process could have: what it has and what is free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(_MARGIN * (free + torch.cuda.memory_reserved(device)))
    own = int(psutil.Process().memory_info().rss)
    free = int(psutil.virtual_memory().available)
    return int(_MARGIN * (own + max(0, min(free, _free_in_container()))))


def _free_in_container() -> float:
    """Return what a Linux container may still take, which psutil does not know: its limit less what is in use."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # there is no container, or it is not limited
        return math.inf
    return limit - used + (int(cached[1]) if cached else 0)


def used_memory(device: torch.device) -> int:
    """Return the bytes that this process has."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def release_memory() -> None:
    """Give back to the system what is free inside the process; glibc keeps it otherwise, in pieces."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc
            ctypes.CDLL(None).malloc_trim(0)


class _Needs:
    """How many bytes a scale takes with a given tile and history."""

    def __init__(self, encoder: Encoder, options: StylizeOptions, device: torch.device) -> None:
        layers = [*options.content_layers, *options.style_layers]
        self.options, self.base = options, used_memory(device) + _GROWTH
        self.halo = halo(max(encoder.reach(layer) for layer in layers), GRID)
        self.per_pixel = encoder.bytes_per_pixel(layers)
        self.targets = sum(encoder.feature_bytes(layer) for layer in options.content_layers)

    def __call__(self, scale: Scale, tile: int | None, history: int, coarse: int = 0) -> int:
        """Return them; `coarse` is what the scale before remembers, which is resized."""
        crop = scale.pixels
        if tile is not None:
            crop = min(scale.height, tile + 2 * self.halo) * min(scale.width, tile + 2 * self.halo)
        network = crop * self.per_pixel
        if (
            tile is not None and scale.steps == 1
        ):  # the step before, two pictures, is not there; the maps take its place
            network = max(0, network - 2 * _BYTES * scale.pixels)
        kept = self.remembered(scale, history)
        begin = kept + coarse + 2 * _BYTES * scale.pixels
        pictures = _BYTES * (_PICTURES + bool(self.options.averaging)) + self.targets
        return int(_SLACK * (self.base + max(begin, kept + scale.pixels * pictures + network)))

    def remembered(self, scale: Scale, history: int) -> int:
        """Return the bytes that the optimizer keeps from scale to scale."""
        return _BYTES * scale.pixels * (2 * history if self.options.optimizer == "lbfgs" else 2)


def _choices(longer: int, history: int) -> list[tuple[int | None, int]]:
    """List (tile, history), best first."""
    sides = [side for side in _SIDES if side < longer]
    histories = [history, *(h for h in (10, 5, 2, 1) if h < history)]
    good = [(side, h) for h in histories for side in sides if side >= _GOOD_SIDE]
    return [(None, history), *good, *((side, 1) for side in sides if side < _GOOD_SIDE)]


def plan_run(
    size: tuple[int, int], encoders: Sequence[Encoder], options: StylizeOptions, device: torch.device
) -> tuple[Scale, ...]:
    """Return the scales of a run, coarse to fine, each with the tiles that its memory asks for.

    Scales too small for the deepest layer are left out.

    Args:
        size: `(height, width)` of the photograph.
        encoders: the network and, for `options.polish` steps at the end, the one that polishes.
        options: `max_memory` is the limit; without one, it is what the machine has free.
        device: where it will run.

    Raises:
        OptionError: even the smallest tiles need more than `max_memory`.
    """
    layers = [*options.content_layers, *options.style_layers]
    least = max(encoder.minimum_size(layers) for encoder in encoders)
    wanted = options.scales(*size)
    scales = [Scale(h, w, steps) for h, w, steps in wanted[:-1] if min(h, w) >= least]
    scales += [Scale(*wanted[-1])]
    if len(encoders) > 1 and options.polish:
        scales += [Scale(*wanted[-1][:2], options.polish, network=1)]
    if not all(hasattr(encoder, name) for encoder in encoders for name in _ASKED):
        return tuple(replace(scale, history=options.history) for scale in scales)  # nothing is known of it
    limit = options.max_memory or available_memory(device)
    needs = [_Needs(encoder, options, device) for encoder in encoders]
    done = coarse = 0
    for index, scale in enumerate(scales):
        done += scale.steps
        history = min(options.history, done)
        choices = _choices(max(scale.height, scale.width), history)
        need = partial(needs[scale.network], scale, coarse=coarse)
        tile, chosen = next((choice for choice in choices if need(*choice) <= limit), choices[-1])
        kept = options.history if chosen == history else chosen
        scales[index] = replace(scale, tile=tile, history=kept, memory=need(tile, chosen))
        coarse = needs[scale.network].remembered(scale, chosen)
    most = max(scales, key=lambda scale: scale.memory)
    if most.memory > limit and options.max_memory:
        raise OptionError(
            f"max_memory is {_bytes(limit)}, but {most.width}x{most.height} px need {_bytes(most.memory)} at least; "
            "allow more, or choose a smaller size."
        )
    return tuple(scales)


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f}G" if count >= 1e9 else f"{count / 1e6:.0f}M"


def smaller(scale: Scale) -> Scale | None:
    """Return the scale in smaller tiles and with less to remember, for when memory ran out; None: it cannot."""
    longer = max(scale.height, scale.width)
    side = next((s for s in _SIDES if s < (scale.tile or longer) * 0.8), None)
    if side is None and scale.history <= 1:
        return None
    return replace(scale, tile=side or scale.tile, history=max(1, scale.history // 2))


def seconds_per_pixel(encoder: Encoder, options: StylizeOptions, like: Tensor) -> float:
    """Measure what a step costs on this machine, by a few on a small picture of noise.

    Args:
        encoder: the network.
        options: which layers and losses are computed.
        like: a tensor whose device and dtype are used.
    """
    taken, options = 0.0, options.changed(style_weights=())
    for side in (_PROBE, 2 * _PROBE):
        noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(like)
        objective = Objective(encoder, noise, [noise], options)
        objective(noise)  # the first time is slower
        begun = time.perf_counter()
        objective(noise)
        taken = (time.perf_counter() - begun) / side**2
        if taken * side**2 > 0.01:
            break
    return taken


def scale_seconds(
    scales: Sequence[Scale], encoders: Sequence[Encoder], options: StylizeOptions, like: Tensor
) -> list[float]:
    """Return about how long each scale takes, from what a step on a small picture takes on this machine.

    Args:
        scales: from `plan_run`.
        encoders: as there.
        options: as there.
        like: a tensor whose device and dtype are used.
    """
    rates = [seconds_per_pixel(encoder, options, like) for encoder in encoders]
    reach = reaches(scales, encoders, options)
    return [scale.steps * scale.seen(reach[scale.network]) * rates[scale.network] for scale in scales]


def reaches(scales: Sequence[Scale], encoders: Sequence[Encoder], options: StylizeOptions) -> list[int]:
    """Return how far each network looks at these layers; 0, and it is not asked, where nothing is cut."""
    layers, cut = [*options.content_layers, *options.style_layers], any(scale.tile for scale in scales)
    return [max(map(encoder.reach, layers)) if cut else 0 for encoder in encoders]
