"""What a video file holds: size, rate, length, sound."""

__all__ = ["Clip", "probe"]
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.io.video.container import Turn, first_frame, open_container, picture_stream, tags_of
from impasto.io.video.timing import timing_of


@dataclass(frozen=True)
class Clip:
    """What a video file holds.

    Attributes:
        size: `(height, width)` of its frames as they are shown, so after `rotation`.
        frame_rate: frames per second, exactly; the mean where `variable`.
        variable: whether frames do not follow each other evenly.
        frames: how many there are.
        duration: of the picture, in seconds.
        rotation: 0, 90, 180 or 270 degrees clockwise from how frames are stored to how they are shown.
        sound: the codec of each of its audio streams; empty for a silent one.
        metadata: what `iter_video` was given as `metadata` when it wrote the file, or None.
    """

    size: tuple[int, int]
    frame_rate: Fraction
    variable: bool
    frames: int
    duration: float
    rotation: int
    sound: tuple[str, ...]
    metadata: dict[str, Any] | None


def probe(path: str | Path) -> Clip:
    """Say what a video file holds; all of it is read, but only the first frame is decoded.

    Raises:
        VideoError: it is missing, damaged, or not a video.
        MissingExtra: PyAV is not installed.
    """
    path = Path(path)
    timing = timing_of(path)
    with open_container(path) as container:
        stream = picture_stream(container, path)
        frame = first_frame(container, stream, path)
        turn = Turn.of(frame)
        return Clip(
            size=(frame.width, frame.height) if turn.transpose else (frame.height, frame.width),
            frame_rate=timing.rate,
            variable=timing.varies,
            frames=len(timing.times),
            duration=float(timing.end - timing.start),
            rotation=turn.degrees,
            sound=tuple(sound.codec_context.codec.canonical_name for sound in container.streams.audio),
            metadata=tags_of(container.metadata),
        )
