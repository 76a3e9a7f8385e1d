"""Flicker of a stylized video: the warping error from frame to frame."""

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

_CUT = 0.25  # fraction of tracked pixels below which two frames belong to different scenes


@dataclass(frozen=True)
class Flicker:
    """Measures of one stylized video beside its source; less is steadier.

    Attributes:
        painted: root mean square difference between a stylized frame and the one before, warped along the optical
            flow, over all colors of all pixels that can be tracked; 0.01 is one percent of white.
        source: the same for the source's own frames, at the same size: the effect of noise, light and errors of the
            flow. A stylized video can hardly be steadier than this.
        followed: fraction of pixels that could be tracked, the mean of all pairs.
        pairs: number of pairs of frames that were measured.
        cuts: number of pairs that were not, because of a cut between them or too fast motion.
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
    """Measures a video while it is stylized, with two frames in memory.

    Source: Lai, Huang, Wang, Shechtman, Yumer & Yang 2018, "Learning blind video temporal consistency", warping
        error, with the mask of Ruder, Dosovitskiy & Brox 2016.
    Differs: theirs is a mean over frames of the mean squared distance; ours is the root of the mean over all
        pixels and colors, so it has the unit of colors: about √(theirs / 3). The flow is our own estimate from the
        source instead of FlowNet2's. Pairs across cuts are left out. Compare numbers only among our own, of the same
        source and size, and not with published ones.
    """

    def __init__(self, size: int = 384, every: int = 1) -> None:
        """Begin.

        Args:
            size: longer side at which optical flow is estimated, in pixels; larger is slower and a little sharper.
                Flicker itself is measured at the size of the stylized frames.
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
            source: `(1, 3, H, W)` RGB in [0, 1], the frame of the source.
            painted: `(1, 3, h, w)`, the stylized frame; all of the same size.
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
        tracked = float(mask.mean())
        if tracked < _CUT:
            self.cuts += 1
            return
        height, width = now[2].shape[-2:]
        flow = resize_flow(flow, (height, width))
        mask = torch.nn.functional.interpolate(mask, size=(height, width), mode="nearest")
        change = [float((mask * (b - warp(a, flow))).square().mean()) for a, b in zip(before[1:], now[1:], strict=True)]
        self.source, self.painted = self.source + change[0], self.painted + change[1]
        self.weight += float(mask.mean())
        self.followed += tracked
        self.pairs += 1

    def result(self) -> Flicker:
        """Return the measures so far; all 0 if there were no two frames to compare."""
        weight, pairs = max(self.weight, 1e-12), max(self.pairs, 1)
        return Flicker(
            math.sqrt(self.painted / weight),
            math.sqrt(self.source / weight),
            self.followed / pairs,
            self.pairs,
            self.cuts,
        )


def flicker(sources: Iterable[Tensor], painted: Iterable[Tensor], *, size: int = 384, every: int = 1) -> Flicker:
    """Measure a stylized video against its source, frame by frame; see `FlickerMeter`."""
    meter = FlickerMeter(size, every)
    for source, image in zip(sources, painted, strict=True):
        meter.add(source, image)
    return meter.result()
