"""The plan of a run: scales, tiles, memory and time.

Three choices bound the memory of each scale, in this order: tiles, a shorter history of L-BFGS, smaller tiles. Only
the first leaves the result unchanged, up to rounding.
"""

import contextlib
import ctypes
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import psutil
import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.memory import free_memory
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
_GOOD_SIDE = 256  # smaller tiles consist mostly of their halo
_MARGIN = 0.9  # fraction of the free memory; the rest is for the allocator
_PICTURES = 4  # tensors of the picture's size that live in a step, beside the photograph and the history of L-BFGS
_BYTES = 12  # of a pixel: three channels in float32
_SLACK = 1.07  # fragmentation of the memory
_GROWTH = 15 * 10**7  # bytes that the program itself needs in addition once its networks run
_PROBE = 128  # pixels
_ASKED = ("reach", "feature_bytes", "bytes_per_pixel")  # methods of a network that the plan of its memory needs


@dataclass(frozen=True)
class Scale:
    """One scale of the pyramid, and how it is computed.

    Attributes:
        height: in pixels.
        width: in pixels.
        steps: optimizer steps.
        tile: side of the tiles in pixels; None: no tiles.
        history: number of past steps in the curvature estimate of L-BFGS.
        memory: peak memory in bytes, the program itself included.
        network: index of the feature extractor: 0 `encoder`, 1 `polish_encoder`.
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
        """Number of pixels of the picture."""
        return self.height * self.width

    def tiles(self, reach: int) -> list[Tile]:
        """Return the tiles for a network with this reach."""
        return list(tiles((self.height, self.width), self.tile, reach, GRID))

    def seen(self, reach: int) -> int:
        """Return how many pixels the network processes in one step: tiles overlap, and each is computed twice."""
        seen = sum(tile.pixels for tile in self.tiles(reach))
        return seen if self.tile is None else seen * 4 // 3  # the forward pass is a third of a step, and runs twice


def available_memory(device: torch.device) -> int:
    """Return the bytes that this process could use: what it has and what is free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(_MARGIN * (free + torch.cuda.memory_reserved(device)))
    own = int(psutil.Process().memory_info().rss)
    return int(_MARGIN * (own + free_memory()))


def used_memory(device: torch.device) -> int:
    """Return the bytes that this process uses."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def release_memory() -> None:
    """Return free memory of the process to the system; glibc would keep it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc
            ctypes.CDLL(None).malloc_trim(0)


class _Needs:
    """The memory of a scale with a given tile and history."""

    def __init__(self, encoder: Encoder, options: StylizeOptions, device: torch.device) -> None:
        layers = [*options.content_layers, *options.layers_of_style]
        self.options, self.base = options, used_memory(device) + _GROWTH
        self.halo = halo(max(encoder.reach(layer) for layer in layers), GRID)
        self.per_pixel = encoder.bytes_per_pixel(layers)
        self.targets = sum(encoder.feature_bytes(layer) for layer in options.content_layers)

    def __call__(self, scale: Scale, tile: int | None, history: int, coarse: int = 0) -> int:
        """Return the bytes; `coarse` are those of the optimizer state of the scale before, which is resized."""
        crop = scale.pixels
        if tile is not None:
            crop = min(scale.height, tile + 2 * self.halo) * min(scale.width, tile + 2 * self.halo)
        network = crop * self.per_pixel
        if (
            tile is not None and scale.steps == 1
        ):  # there is no step before, which has two pictures; the feature maps take their place
            network = max(0, network - 2 * _BYTES * scale.pixels)
        kept = self.remembered(scale, history)
        begin = kept + coarse + 2 * _BYTES * scale.pixels
        pictures = _BYTES * (_PICTURES + bool(self.options.averaging)) + self.targets
        return int(_SLACK * (self.base + max(begin, kept + scale.pixels * pictures + network)))

    def remembered(self, scale: Scale, history: int) -> int:
        """Return the bytes of the optimizer state between scales."""
        return _BYTES * scale.pixels * (2 * history if self.options.optimizer == "lbfgs" else 2)


def _choices(longer: int, history: int) -> list[tuple[int | None, int]]:
    """Return choices of (tile, history), the best first."""
    sides = [side for side in _SIDES if side < longer]
    histories = [history, *(h for h in (10, 5, 2, 1) if h < history)]
    good = [(side, h) for h in histories for side in sides if side >= _GOOD_SIDE]
    return [(None, history), *good, *((side, 1) for side in sides if side < _GOOD_SIDE)]


def plan_run(
    size: tuple[int, int], encoders: Sequence[Encoder], options: StylizeOptions, device: torch.device
) -> tuple[Scale, ...]:
    """Return the scales of a run, coarse to fine, each with the tiles that its memory requires.

    Scales too small for the deepest layer are omitted.

    Args:
        size: `(height, width)` of the photograph.
        encoders: the feature extractor and, for `options.polish` steps at the end, a second one.
        options: `max_memory` is the limit; by default the free memory of the machine.
        device: where the run computes.

    Raises:
        OptionError: even the smallest tiles need more than `max_memory`.
    """
    layers = [*options.content_layers, *options.layers_of_style]
    least = max(encoder.minimum_size(layers) for encoder in encoders)
    wanted = options.scales(*size)
    scales = [Scale(h, w, steps) for h, w, steps in wanted[:-1] if min(h, w) >= least]
    scales += [Scale(*wanted[-1])]
    if len(encoders) > 1 and options.polish:
        scales += [Scale(*wanted[-1][:2], options.polish, network=1)]
    if not all(hasattr(encoder, name) for encoder in encoders for name in _ASKED):
        return tuple(replace(scale, history=options.history) for scale in scales)  # its memory is unknown
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
    """Return the scale with smaller tiles and a shorter history, after memory ran out; None if there are none."""
    longer = max(scale.height, scale.width)
    side = next((s for s in _SIDES if s < (scale.tile or longer) * 0.8), None)
    if side is None and scale.history <= 1:
        return None
    return replace(scale, tile=side or scale.tile, history=max(1, scale.history // 2))


def seconds_per_pixel(encoder: Encoder, options: StylizeOptions, like: Tensor) -> float:
    """Measure the seconds per pixel of a step on this machine, on a small picture of noise.

    Args:
        encoder: the feature extractor.
        options: layers and losses.
        like: a tensor whose device and dtype are used.
    """
    taken, options = 0.0, options.changed(style_weights=())
    for side in (_PROBE, 2 * _PROBE):
        noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(like)
        objective = Objective(encoder, noise, [noise], options)
        objective(noise)  # warm-up
        begun = time.perf_counter()
        objective(noise)
        taken = (time.perf_counter() - begun) / side**2
        if taken * side**2 > 0.01:
            break
    return taken


def scale_seconds(
    scales: Sequence[Scale], encoders: Sequence[Encoder], options: StylizeOptions, like: Tensor
) -> list[float]:
    """Estimate the seconds of each scale from the time of a step on a small picture.

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
    """Return the reach of each network at these layers; 0 if there are no tiles, without a call."""
    layers, cut = [*options.content_layers, *options.layers_of_style], any(scale.tile for scale in scales)
    return [max(map(encoder.reach, layers)) if cut else 0 for encoder in encoders]
