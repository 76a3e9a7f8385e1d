"""Times of frames."""

import math
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from impasto.errors import VideoError
from impasto.io.video.container import Kind, open_container, picture_stream

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["Timing", "tick_of", "timing_of"]


class Timing(NamedTuple):
    """When every frame is shown, found by reading all packets and decoding none.

    Attributes:
        times: as whole numbers of ticks, ascending.
        tick: seconds.
        grid: frames per second, if all frames are shown at multiples of 1 / grid; else None.
        rate: the mean, frames per second.
        varies: whether the rate does: there is no grid, or frames are left out of it.
        end: when the last frame goes, in seconds.
        missing: how many frames the file promises, but does not hold.
        timed: whether frames carry their times.
    """

    times: list[int]
    tick: Fraction
    grid: Fraction | None
    rate: Fraction
    varies: bool
    end: Fraction
    missing: int
    timed: bool

    @property
    def start(self) -> Fraction:
        """When the first frame is shown."""
        return self.times[0] * self.tick

    def length(self, last: Fraction) -> Fraction:
        """Return how many seconds the last frame lasts, which is shown at `last`."""
        return self.end - last if self.grid is None and self.end > last else 1 / (self.grid or self.rate)

    def moment(self, frame: "VideoFrame", last: Fraction | None) -> Fraction:
        """Return when a frame is shown, in seconds: exactly on the grid if there is one, and after the last one."""
        if frame.pts is None or not self.timed:
            return self.start if last is None else last + 1 / self.rate
        at = frame.pts * self.tick
        if self.grid is not None:
            at = self.start + round((at - self.start) * self.grid) / self.grid
        return at if last is None or at > last else last + 1 / self.rate


_UNTIMED: Final = ("avi", "h264", "hevc", "m4v", "mjpeg")  # hold no times of frames, or wrong ones


def timing_of(path: Path) -> Timing:
    lengths: dict[int, int] = {}
    held = 0
    with open_container(path) as container:
        from av.error import FFmpegError

        stream = picture_stream(container, path)
        with suppress(FFmpegError):
            for packet in container.demux(stream):
                at = packet.dts if packet.pts is None else packet.pts
                if at is None or packet.is_corrupt:
                    continue
                held += 1
                if not packet.is_discard:  # by an edit list, say
                    lengths[at] = packet.duration or 0
        claims = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
        rate, tick = claims[0] if claims else Fraction(25), stream.time_base or Fraction(1, 1000)
        promised, until = stream.frames, (stream.start_time or 0) * tick + (stream.duration or 0) * tick
        if not stream.duration and container.duration:  # of sound as well, which may be a little longer
            until = Fraction(container.duration, 1_000_000) - 1
        timed = container.format.name not in _UNTIMED
        if not timed:
            lengths, tick, until = dict.fromkeys(range(len(lengths)), 1), 1 / rate, Fraction(0)
    if not lengths:
        raise VideoError(f"{path.name} is damaged: not one of its frames can be read. Fetch it again.")
    times = sorted(lengths)
    grid = next((rate for rate in claims if _fits(times, tick, rate)), None)
    if grid:
        end = times[0] * tick + (round((times[-1] - times[0]) * tick * grid) + 1) / grid
    else:
        length = lengths[times[-1]] or (times[-1] - times[-2] if len(times) > 1 else 1)  # or as long as before
        end = (times[-1] + length) * tick
    mean = len(times) / (end - times[0] * tick)
    missing = max(1, (promised or round((until + 1) * rate)) - held) if until > end + 1 / (2 * rate) else 0
    return Timing(times, tick, grid, mean, mean != grid, end, missing, timed)


def _fits(times: list[int], tick: Fraction, rate: Fraction) -> bool:
    """Whether all frames are shown at multiples of 1 / rate, as exactly as ticks can tell."""
    if tick * rate != 1 and tick * rate * 4 > 1:  # such ticks cannot tell
        return False
    places = [(at - times[0]) * tick * rate for at in times]
    distinct = len({round(place) for place in places}) == len(places)
    return distinct and all(abs(place - round(place)) <= tick * rate for place in places)


_FINE: Final = 10_000  # ticks of a second at least, so that sound and picture stay together


def tick_of(timing: Timing, kind: Kind) -> Fraction:
    """Return what the time of frames is counted in: so that a constant rate is exact, and sound fits."""
    if kind.codec == "gif":
        return Fraction(1, 100)  # all that a GIF knows
    if timing.grid is None:
        return timing.tick
    return 1 / Fraction(timing.grid.numerator * math.ceil(_FINE / timing.grid.numerator))
