"""Times of the frames of a video."""

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
    """The time of every frame, from the packets alone, without decoding.

    Attributes:
        times: in ticks, whole numbers, ascending.
        tick: in seconds.
        grid: frames per second, if all times are multiples of 1 / grid; else None.
        rate: the mean, frames per second.
        varies: whether the rate varies: there is no grid, or it has gaps.
        end: end of the last frame, in seconds.
        missing: number of frames that the file declares but does not hold.
        timed: whether frames have time stamps.
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
        """Time of the first frame, in seconds."""
        return self.times[0] * self.tick

    def length(self, last: Fraction) -> Fraction:
        """Return the duration of the last frame, at time `last`, in seconds."""
        return self.end - last if self.grid is None and self.end > last else 1 / (self.grid or self.rate)

    def moment(self, frame: "VideoFrame", last: Fraction | None) -> Fraction:
        """Return the time of a frame, in seconds: exactly on the grid if there is one, and after the frame before."""
        if frame.pts is None or not self.timed:
            return self.start if last is None else last + 1 / self.rate
        at = frame.pts * self.tick
        if self.grid is not None:
            at = self.start + round((at - self.start) * self.grid) / self.grid
        return at if last is None or at > last else last + 1 / self.rate


_UNTIMED: Final = ("avi", "h264", "hevc", "m4v", "mjpeg")  # without time stamps, or with wrong ones


def timing_of(path: Path) -> Timing:
    """Return the times of all frames of a video file.

    Raises:
        VideoError: the file is missing, damaged, or not a video.
        MissingExtra: PyAV is not installed.
    """
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
                if not packet.is_discard:  # by an edit list, for example
                    lengths[at] = packet.duration or 0
        claims = [rate for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
        rate, tick = claims[0] if claims else Fraction(25), stream.time_base or Fraction(1, 1000)
        promised, until = stream.frames, (stream.start_time or 0) * tick + (stream.duration or 0) * tick
        if not stream.duration and container.duration:  # includes the sound, which may be a little longer
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
        length = lengths[times[-1]] or (times[-1] - times[-2] if len(times) > 1 else 1)  # or the duration before
        end = (times[-1] + length) * tick
    mean = len(times) / (end - times[0] * tick)
    missing = max(1, (promised or round((until + 1) * rate)) - held) if until > end + 1 / (2 * rate) else 0
    return Timing(times, tick, grid, mean, mean != grid, end, missing, timed)


def _fits(times: list[int], tick: Fraction, rate: Fraction) -> bool:
    """Return whether all times are multiples of 1 / rate, within the resolution of ticks."""
    if tick * rate != 1 and tick * rate * 4 > 1:  # ticks are too coarse
        return False
    positions = [(at - times[0]) * tick * rate for at in times]
    distinct = len({round(position) for position in positions}) == len(positions)
    return distinct and all(abs(position - round(position)) <= tick * rate for position in positions)


_FINE: Final = 10_000  # least number of ticks per second, so that sound and picture stay synchronous


def tick_of(timing: Timing, kind: Kind) -> Fraction:
    """Return the tick of the output, in seconds: a constant rate is exact, and sound stays synchronous."""
    if kind.codec == "gif":
        return Fraction(1, 100)  # the resolution of GIF
    if timing.grid is None:
        return timing.tick
    return 1 / Fraction(timing.grid.numerator * math.ceil(_FINE / timing.grid.numerator))
