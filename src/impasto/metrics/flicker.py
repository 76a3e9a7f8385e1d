"""How much a painted video flickers, as a number: what changes although nothing but the camera or its subject moved."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.ops.flow import optical_flow, resize_flow, visible, warp
from impasto.ops.resize import resize

__all__ = ["Flicker", "FlickerMeter", "flicker"]

_CUT = 0.25  # share of pixels that can be followed below which two frames are of different scenes


@dataclass(frozen=True)
class Flicker:
    """One painted video, measured against its source; less is steadier.

    Attributes:
        painted: root mean square, over all colors of all pixels that can be followed from a frame to the next, of
            painted frame minus the painted frame before, moved along; 0.01 is one percent of white.
        source: the same of the source's own frames, at the same size: what noise, light and the estimate of
            motion come to. A painting cannot well be steadier than this.
        followed: share of pixels that could be followed, the mean of all pairs.
        pairs: how many pairs of frames were measured.
        cuts: how many were not, because there is a cut between them or they move too fast.
    """

    painted: float
    source: float
    followed: float
    pairs: int
    cuts: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, ready for `json.dumps`."""
        return asdict(self)


class FlickerMeter:
    """Measures while a video is painted, with two frames in memory.

    Source: Lai, Huang, Wang, Shechtman, Yumer & Yang 2018, "Learning blind video temporal consistency", warping
        error, with the mask of Ruder, Dosovitskiy & Brox 2016.
    Differs: theirs is a mean over frames of the mean squared distance; ours is the root of the mean over all
        pixels and colors, so it has the unit of colors: about √(theirs / 3). The flow is our own estimate from the
        source instead of FlowNet2's. Pairs across cuts are left out. Numbers compare among videos measured by us
        with the same source and size, and not with published ones.
    """

    def __init__(self, size: int = 384, every: int = 1) -> None:
        """Begin.

        Args:
            size: longer side at which motion is estimated, in pixels; larger is slower and a little sharper. Flicker
                itself is measured at the painting's own size.
            every: measure one pair of frames in so many.
        """
        if size < 32 or every < 1:
            raise OptionError(f"size is {size} and every is {every}; expected 32 or more, and 1 or more.")
        self.size, self.every = size, every
        self.before: tuple[Tensor, Tensor, Tensor] | None = None
        self.frames = self.pairs = self.cuts = 0
        self.painted = self.source = self.weight = self.followed = 0.0

    def add(self, source: Tensor, painted: Tensor) -> None:
        """Add the next frame.

        Args:
            source: `(1, 3, H, W)` RGB in [0, 1], as it was filmed.
            painted: `(1, 3, h, w)`, as it was painted; all of the same size.
        """
        first, second = self.frames % self.every == 0, self.before is not None
        self.frames += 1
        if not (first or second):
            return
        scale = min(1.0, self.size / max(source.shape[-2:]))
        small = resize(source, (max(1, round(source.shape[-2] * scale)), max(1, round(source.shape[-1] * scale))))
        now = (small, resize(source, (painted.shape[-2], painted.shape[-1])), painted.detach())
        if self.before is not None:
            self._compare(self.before, now)
        self.before = now if first else None

    def _compare(self, before: tuple[Tensor, Tensor, Tensor], now: tuple[Tensor, Tensor, Tensor]) -> None:
        flow, back = optical_flow(now[0], before[0]), optical_flow(before[0], now[0])
        mask = visible(flow, back)
        share = float(mask.mean())
        if share < _CUT:
            self.cuts += 1
            return
        height, width = now[2].shape[-2:]
        flow = resize_flow(flow, (height, width))
        mask = torch.nn.functional.interpolate(mask, size=(height, width), mode="nearest")
        change = [float((mask * (b - warp(a, flow))).square().mean()) for a, b in zip(before[1:], now[1:], strict=True)]
        self.source, self.painted = self.source + change[0], self.painted + change[1]
        self.weight += float(mask.mean())
        self.followed += share
        self.pairs += 1

    def result(self) -> Flicker:
        """Return what was measured so far; all 0 if there were no two frames to compare."""
        weight, pairs = max(self.weight, 1e-12), max(self.pairs, 1)
        return Flicker(
            math.sqrt(self.painted / weight),
            math.sqrt(self.source / weight),
            self.followed / pairs,
            self.pairs,
            self.cuts,
        )


def flicker(sources: Iterable[Tensor], painted: Iterable[Tensor], *, size: int = 384, every: int = 1) -> Flicker:
    """Measure a painted video against its source, frame by frame; see `FlickerMeter`."""
    meter = FlickerMeter(size, every)
    for source, image in zip(sources, painted, strict=True):
        meter.add(source, image)
    return meter.result()
