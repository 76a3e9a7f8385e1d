"""Containers and codecs of video files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto.errors import MissingExtra, VideoError
from impasto.reading import read_json

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer

__all__ = [
    "KINDS",
    "Kind",
    "Turn",
    "VIDEOS",
    "batch",
    "is_frame",
    "open_container",
    "picture_stream",
    "read_frames",
    "sound_streams",
    "tags_of",
]


def batch(frames: list[Tensor]) -> Tensor:
    """Concatenate frames to one tensor and clear the list, to save memory."""
    batch = torch.cat(frames)
    frames.clear()
    return batch


_PICTURES: Final = (
    "image2",
    "tty",
    "ico",
    "alias_pix",
    "brender_pix",
)  # FFmpeg reads these pictures, and text, as video


def _need() -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise MissingExtra("video needs an extra: pip install 'impasto[video]'.") from error


@contextmanager
def open_container(path: Path) -> Iterator["InputContainer"]:
    """Open a video file, without access to other files.

    Raises:
        VideoError: the file is missing, empty, or not a video that can be read.
        MissingExtra: PyAV is not installed.
    """
    _need()
    import av

    if path.is_dir():
        raise VideoError(f"{path.name} is a folder; expected a video file. Name one inside it.")
    if not path.is_file():
        raise VideoError(f"{path.name} does not exist; expected a video file. Check the path.")
    if not path.stat().st_size:
        raise VideoError(f"{path.name} is empty; expected a video file. Fetch it again.")
    try:
        # playlists could name other files and hosts
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except av.error.PermissionError:
        raise VideoError(f"{path.name} may not be read; allow it in the file's permissions, or copy it.") from None
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(
            f"{path.name} is not a video that can be read ({reason}): it is damaged, cut short or something else."
        ) from error
    with container:
        yield container


def picture_stream(container: "InputContainer", path: Path) -> "VideoStream":
    """Return the first video stream that is not a cover picture.

    Raises:
        VideoError: there is none, or its codec is unknown.
    """
    kind = container.format.name
    if kind in _PICTURES or kind.endswith("_pipe"):
        what = "text" if kind == "tty" else "a picture"
        raise VideoError(f"{path.name} is {what}, not a video; expected a file such as MP4, MOV, MKV, WebM or GIF.")
    moving = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not moving:
        only = "only sound" if container.streams.audio else "neither picture nor sound"
        raise VideoError(f"{path.name} holds {only}; expected a video with a picture.")
    if moving[0].codec_context is None:
        raise VideoError(
            f"{path.name} has an unknown codec, or is damaged; convert it to H.264, by ffmpeg or a player."
        )
    moving[0].thread_type = "AUTO"
    return moving[0]


def sound_streams(container: "InputContainer") -> list["AudioStream"]:
    """Return the streams of sound whose codec is known."""
    return [stream for stream in container.streams.audio if stream.codec_context is not None]


def _is_cover(stream: "VideoStream") -> bool:
    """Return whether a stream is a cover picture beside the sound."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def is_frame(item: "VideoFrame | Packet[AudioStream]") -> bool:
    """Return whether an item of `read_frames` is a frame, not a packet of sound."""
    return hasattr(item, "planes")


def read_frames(container: "InputContainer", streams: list[Any]) -> Iterator[Any]:
    """Yield decoded frames and undecoded packets of sound; damaged ones are skipped."""
    from av.error import FFmpegError

    packets, decoder = container.demux(streams), _decoder(streams[0])
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:
            break
        if packet.stream.type == "audio":
            if packet.size and packet.dts is not None:
                yield packet
        elif not packet.is_corrupt:
            frames: list[Any] = []
            with suppress(FFmpegError):
                frames = decoder.decode(packet)
            yield from frames
    with suppress(FFmpegError):  # the end of the file is damaged: flush the decoder
        yield from decoder.decode(None)


def _decoder(stream: "VideoStream") -> Any:
    """Return the decoder of a stream; FFmpeg's own for VP8 and VP9 would leave out transparency."""
    context = stream.codec_context
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(context.name)
    if library is None or stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1":
        return context
    from av import CodecContext

    decoder = CodecContext.create(library, "r")
    decoder.extradata = context.extradata
    return decoder


def first_frame(container: "InputContainer", stream: "VideoStream", path: Path) -> "VideoFrame":
    """Return the first frame that can be decoded.

    Raises:
        VideoError: there is none.
    """
    for frame in read_frames(container, [stream]):
        return frame  # type: ignore[no-any-return]
    raise VideoError(f"{path.name} is damaged: not one of its frames can be read. Fetch it again.")


class Turn(NamedTuple):
    """The orientation of a frame: first transpose, then mirror."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: "VideoFrame") -> "Turn":
        """Return the rotation of a frame: its display matrix, (x', y') = (a x + c y, b x + d y), to the nearest 90°."""
        from av.sidedata.sidedata import Type

        sides: Any = frame.side_data
        data = sides.get(Type.DISPLAYMATRIX)
        if data is None:
            return cls()
        a, b, _, c, d = np.frombuffer(data, "<i4")[:5].tolist()
        if abs(a) >= abs(b):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def degrees(self) -> int:
        """The rotation clockwise, in degrees; for mirrored frames the rotation after a horizontal flip."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def __call__(self, image: Tensor) -> Tensor:
        """Return a frame `(1, 3, H, W)`, upright."""
        image = image.transpose(-1, -2) if self.transpose else image
        mirrored = [axis for axis, mirror in ((-1, self.mirror_x), (-2, self.mirror_y)) if mirror]
        return image.flip(mirrored).contiguous()


class Kind(NamedTuple):
    """An output format: container and codec in FFmpeg's names, and the codec of sound that cannot be copied."""

    container: str
    codec: str
    sound: str | None
    options: dict[str, str]


_H264: Final = "libx264"


_FAST_START: Final = {"movflags": "+faststart"}


KINDS: Final[Mapping[str, Kind]] = {
    ".mp4": Kind("mp4", _H264, "aac", _FAST_START),
    ".m4v": Kind("mp4", _H264, "aac", _FAST_START),
    ".mov": Kind("mov", _H264, "aac", _FAST_START),
    ".mkv": Kind("matroska", _H264, "aac", {}),
    ".webm": Kind("webm", "libvpx-vp9", "libopus", {}),
    ".gif": Kind("gif", "gif", None, {}),
}


VIDEOS: Final = (*KINDS, ".avi", ".mpg", ".mpeg", ".wmv", ".3gp", ".ts")  # suffixes of readable files


def tags_of(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the metadata of impasto in the tags of a file, or None."""
    comments = [value for key, value in tags.items() if key.lower() == "comment"]  # Matroska has upper case
    try:
        told = read_json(comments[0] if comments else "null")
    except ValueError:
        return None
    found = told.get("impasto") if isinstance(told, dict) else None
    return found if isinstance(found, dict) else None
