"""Properties of a video file: size, frame rate, duration, sound."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.io.video.container import Turn, first_frame, open_container, picture_stream, sound_streams, tags_of
from impasto.io.video.timing import timing_of

__all__ = ["Clip", "probe"]


@dataclass(frozen=True)
class Clip:
    """Properties of a video file.

    Attributes:
        size: `(height, width)` of the displayed frames, after `rotation`.
        frame_rate: frames per second, exactly; the mean if `variable`.
        variable: whether the frame rate varies.
        frames: number of frames.
        duration: of the picture, in seconds.
        rotation: 0, 90, 180 or 270 degrees clockwise, from stored to displayed frames.
        sound: codec of each audio stream; empty if there is none.
        metadata: the `metadata` with which `iter_video` wrote the file, or None.
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
    """Return the properties of a video file; all packets are read, only the first frame is decoded.

    Raises:
        VideoError: the file is missing, damaged, or not a video.
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
            sound=tuple(sound.codec_context.codec.canonical_name for sound in sound_streams(container)),
            metadata=tags_of(container.metadata),
        )
