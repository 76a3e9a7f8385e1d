"""Video in and out: every frame upright and in the right colors, its time and the sound kept as they were.

PyAV, and so FFmpeg, stays inside this module and is loaded when it is used. What it decodes to is turned
into RGB here, by the formulas of the standards, so that both ways are exact and can be read.
"""

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto import images
from impasto.errors import ImageError, MissingExtra, OptionError, VideoError
from impasto.events import Done, Event, Frame, Note, Saved, Started

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.filter import Graph

__all__ = ["VIDEOS", "Clip", "Span", "iter_frames", "iter_spans", "iter_video", "probe"]

Process = Callable[[Tensor], Tensor]


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


@dataclass(frozen=True)
class Span:
    """A part of a video in which there is no cut.

    Attributes:
        frames: how many there are.
        begins: whether a scene begins with it.
        sample: `(B, 3, H, W)`, some of its frames, evenly spread and the first among them; see `iter_frames`.
    """

    frames: int
    begins: bool
    sample: Tensor = field(repr=False)


def probe(path: str | Path) -> Clip:
    """Say what a video file holds; all of it is read, but only the first frame is decoded.

    Raises:
        VideoError: it is missing, damaged, or not a video.
        MissingExtra: PyAV is not installed.
    """
    path = Path(path)
    timing = _timing(path)
    with _open(path) as container:
        stream = _picture(container, path)
        frame = _first(container, stream, path)
        turn = _Turn.of(frame)
        return Clip(
            size=(frame.width, frame.height) if turn.transpose else (frame.height, frame.width),
            frame_rate=timing.rate,
            variable=timing.varies,
            frames=len(timing.times),
            duration=float(timing.end - timing.start),
            rotation=turn.degrees,
            sound=tuple(sound.codec_context.codec.canonical_name for sound in container.streams.audio),
            metadata=_metadata(container.metadata),
        )


def iter_frames(path: str | Path) -> Iterator[tuple[Tensor, float]]:
    """Yield the frames of a video in the order in which they are shown, one at a time in memory.

    Yields:
        A frame, `(1, 3, H, W)` float32 RGB in [0, 1], upright, and when it is shown, in seconds. Where the
        file says nothing, colors are taken as BT.709 from 1280 px of width or 577 lines on, else as BT.601,
        as players do. Primaries and transfer curve are not converted.

    Raises:
        VideoError: it is missing, damaged from the beginning, or not a video.
        MissingExtra: PyAV is not installed.
    """
    path = Path(path)
    timing = _timing(path)
    with _open(path) as container:
        stream = _picture(container, path)
        last = None
        for frame in _read(container, [stream]):
            if _is_frame(frame):
                last = timing.moment(frame, last)
                yield _tensor(frame), float(last)


def iter_spans(path: str | Path) -> Iterator[Span]:
    """Yield the parts of a video, of at most 256 frames, with a few frames of each: what is needed to know it ahead.

    No part goes on across a cut. A cut is where the colors of a frame are other ones than those of the frame before,
    wherever they are in the picture; so neither a pan nor who walks in makes one, nor a cut between scenes that look
    alike. Parts are found while they are asked for, one at a time in memory. A sample has every fourth frame, or
    every 8th, 16th, ... of longer parts: 16 at most, and fewer if they have more than 24 megapixels together.

    Raises:
        VideoError: it is missing, damaged from the beginning, or not a video.
        MissingExtra: PyAV is not installed.
    """
    path = Path(path)
    kept: list[Tensor] = []
    begins, count, step, before = True, 0, _EVERY, None
    with _open(path) as container:
        stream = _picture(container, path)
        for frame in filter(_is_frame, _read(container, [stream])):
            now = (frame.height, frame.width, _colors(frame))
            cut = before is not None and (now[:2] != before[:2] or float(abs(now[2] - before[2]).mean()) > _CUT)
            before = now
            if cut or count == _SPAN:
                yield Span(count, begins, _batch(kept))
                begins, count, step = cut, 0, _EVERY
            if count % step == 0:
                kept.append(_tensor(frame))
                if len(kept) > max(1, min(_SAMPLE, _PIXELS // (frame.height * frame.width))):
                    kept, step = kept[::2], 2 * step
            count += 1
    if kept:
        yield Span(count, begins, _batch(kept))


_SPAN: Final = 256  # frames: about ten seconds
_EVERY: Final = 4  # frames that one of a sample stands for, at least
_SAMPLE: Final = 16  # frames
_PIXELS: Final = 24_000_000  # of a sample
# How far colors lie apart on average at a cut, of white. A pan by a fifth of the picture makes 0.03 at most; of all
# pairs of 14 photographs 95 % have more than 0.07.
_CUT: Final = 0.06


def _batch(frames: list[Tensor]) -> Tensor:
    """Return frames as one tensor; the list is empty then, so that nothing is in memory twice for long."""
    batch = torch.cat(frames)
    frames.clear()
    return batch


def _colors(frame: "VideoFrame") -> np.ndarray[Any, Any]:
    """Return the colors of a small copy, each channel in ascending order, in [0, 1]; where they were is forgotten."""
    small = frame.reformat(16, 16, "rgb24", interpolation="AREA").to_ndarray()
    return np.sort(small.reshape(-1, 3) / 255, 0)


# ── opening ──────────────────────────────────────────────────────────────────────────────────────

_PICTURES: Final = ("image2", "tty", "ico", "alias_pix", "brender_pix")  # FFmpeg reads these, and text, as video


def _need() -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise MissingExtra("video needs an extra: pip install 'impasto[video]'.") from error


@contextmanager
def _open(path: Path) -> Iterator["InputContainer"]:
    """Open a file, nothing but this one file, and say what is wrong with it in one sentence."""
    _need()
    import av

    if path.is_dir():
        raise VideoError(f"{path.name} is a folder; expected a video file. Name one inside it.")
    if not path.is_file():
        raise VideoError(f"{path.name} does not exist; expected a video file. Check the path.")
    if not path.stat().st_size:
        raise VideoError(f"{path.name} is empty; expected a video file. Fetch it again.")
    try:
        # playlists could otherwise name other files and hosts
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


def _picture(container: "InputContainer", path: Path) -> "VideoStream":
    kind = container.format.name
    if kind in _PICTURES or kind.endswith("_pipe"):
        what = "text" if kind == "tty" else "a picture"
        raise VideoError(f"{path.name} is {what}, not a video; expected a file such as MP4, MOV, MKV, WebM or GIF.")
    moving = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not moving:
        only = "only sound" if container.streams.audio else "neither picture nor sound"
        raise VideoError(f"{path.name} holds {only}; expected a video with a picture.")
    moving[0].thread_type = "AUTO"
    return moving[0]


def _is_cover(stream: "VideoStream") -> bool:
    """Whether a stream is the cover of a record: one picture beside the sound."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _is_frame(item: "VideoFrame | Packet[AudioStream]") -> bool:
    return hasattr(item, "planes")


def _read(container: "InputContainer", streams: list[Any]) -> Iterator[Any]:
    """Yield decoded frames of the picture and undecoded packets of the sound; damage is stepped over."""
    from av.error import FFmpegError

    packets = container.demux(streams)
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
                frames = packet.decode()
            yield from frames
    with suppress(FFmpegError):  # the file ends in damage: what the decoder still holds
        yield from streams[0].codec_context.decode(None)


def _first(container: "InputContainer", stream: "VideoStream", path: Path) -> "VideoFrame":
    for frame in _read(container, [stream]):
        return frame  # type: ignore[no-any-return]
    raise VideoError(f"{path.name} is damaged: not one of its frames can be read. Fetch it again.")


# ── time ─────────────────────────────────────────────────────────────────────────────────────────


class _Timing(NamedTuple):
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


def _timing(path: Path) -> _Timing:
    lengths: dict[int, int] = {}
    held = 0
    with _open(path) as container:
        from av.error import FFmpegError

        stream = _picture(container, path)
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
    return _Timing(times, tick, grid, mean, mean != grid, end, missing, timed)


def _fits(times: list[int], tick: Fraction, rate: Fraction) -> bool:
    """Whether all frames are shown at multiples of 1 / rate, as exactly as ticks can tell."""
    if tick * rate != 1 and tick * rate * 4 > 1:  # such ticks cannot tell
        return False
    places = [(at - times[0]) * tick * rate for at in times]
    distinct = len({round(place) for place in places}) == len(places)
    return distinct and all(abs(place - round(place)) <= tick * rate for place in places)


# ── colors and orientation ───────────────────────────────────────────────────────────────────────

_BT709, _BT601, _UNSAID = 1, 5, 2  # ITU-T H.273
_LIMITED, _FULL = 1, 2  # FFmpeg's color ranges, called MPEG and JPEG
# The shares of red and blue in luma, by H.273's number of matrix coefficients.
_LUMA: Final[Mapping[int, tuple[float, float]]] = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    _BT601: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),
}
_HIGH_DYNAMIC_RANGE: Final = {16: "PQ", 18: "HLG"}  # transfer curves


def _matrix(said: int, height: int, width: int) -> int:
    """Return the matrix that is meant: what a file says, or what players take where it says nothing."""
    return said if said in _LUMA else _BT709 if width >= 1280 or height > 576 else _BT601


def _to_rgb(yuv: Tensor, matrix: int, full: bool) -> Tensor:
    """Return R, G, B in about [0, 1] of Y, Cb, Cr in steps of 8 bits, `(3, H, W)`.

    Source: ITU-R BT.709-6, items 3.2 to 3.4; BT.601-7 has the same with its own shares of red and blue.
    """
    red, blue = _LUMA[matrix]
    y = yuv[0] / 255 if full else (yuv[0] - 16) / 219
    cb, cr = (yuv[1:] - 128) / (255 if full else 224)
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return torch.stack([r, (y - red * r - blue * b) / (1 - red - blue), b])


def _to_yuv(rgb: Tensor, matrix: int) -> Tensor:
    """Undo `_to_rgb`, to the limited range."""
    red, blue = _LUMA[matrix]
    r, g, b = rgb
    y = red * r + (1 - red - blue) * g + blue * b
    return torch.stack([16 + 219 * y, 128 + 112 * (b - y) / (1 - blue), 128 + 112 * (r - y) / (1 - red)])


def _tensor(frame: "VideoFrame", like: tuple[int, int] | None = None) -> Tensor:
    """Return a decoded frame upright, `(1, 3, H, W)` RGB in [0, 1]; stored at the size `like`, if given."""
    height, width = like or (frame.height, frame.width)
    if frame.format.is_rgb or frame.format.has_palette:
        array = frame.reformat(width, height, "rgb24").to_ndarray()
        return _Turn.of(frame)(torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255)
    full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    span = "JPEG" if full else "MPEG"  # the same on both sides: swscale spreads chroma, the rest is ours
    even = frame.reformat(width, height, "yuv444p16le", src_color_range=span, dst_color_range=span)
    rows = [np.frombuffer(bytes(plane), "<u2").reshape(height, plane.line_size // 2) for plane in even.planes]
    yuv = torch.from_numpy(np.stack(rows)[..., :width].astype(np.float32)) / 256
    rgb = _to_rgb(yuv, _matrix(frame.colorspace, frame.height, frame.width), full)
    return _Turn.of(frame)(rgb[None].clamp(0, 1))


class _Turn(NamedTuple):
    """How a stored frame becomes the shown one: first swap rows and columns, then mirror."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: "VideoFrame") -> "_Turn":
        """Read a frame's display matrix, (x', y') = (a x + c y, b x + d y), to the nearest right angle."""
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
        """The turn clockwise; of mirrored frames, the turn that comes after the mirroring from left to right."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def __call__(self, image: Tensor) -> Tensor:
        """Turn `(1, 3, H, W)`."""
        image = image.transpose(-1, -2) if self.transpose else image
        mirrored = [axis for axis, mirror in ((-1, self.mirror_x), (-2, self.mirror_y)) if mirror]
        return image.flip(mirrored).contiguous()


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


class _Kind(NamedTuple):
    """A kind of file that can be written: FFmpeg's names, and the codec that sound becomes if it must."""

    container: str
    codec: str
    sound: str | None
    options: dict[str, str]


_H264: Final = "libx264"
_FAST_START: Final = {"movflags": "+faststart"}
_KINDS: Final[Mapping[str, _Kind]] = {
    ".mp4": _Kind("mp4", _H264, "aac", _FAST_START),
    ".m4v": _Kind("mp4", _H264, "aac", _FAST_START),
    ".mov": _Kind("mov", _H264, "aac", _FAST_START),
    ".mkv": _Kind("matroska", _H264, "aac", {}),
    ".webm": _Kind("webm", "libvpx-vp9", "libopus", {}),
    ".gif": _Kind("gif", "gif", None, {}),
}
VIDEOS: Final = (*_KINDS, ".avi", ".mpg", ".mpeg", ".wmv", ".3gp", ".ts")  # suffixes of files that are read
_FINE: Final = 10_000  # ticks of a second at least, so that sound and picture stay together


def iter_video(
    source: str | Path,
    output: str | Path,
    process: Process,
    *,
    crf: int = 18,
    metadata: dict[str, Any] | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Run every frame of a video through `process` and write the result, everything else as it was.

    Each frame keeps its time, so duration, frame rate and changes of it do; sound is copied packet by packet,
    not encoded again, where the new container can hold it; title, date and place are kept. A few frames are
    in memory at a time. The file appears when it is complete, or not at all.

    Args:
        source: a video file.
        output: where to; `.mp4`, `.m4v`, `.mov` and `.mkv` get H.264, `.webm` VP9, and `.gif` 256 colors a frame
            and no sound.
        process: gets a frame, `(1, 3, H, W)` float32 RGB in [0, 1], and gives one, of any size that stays.
        crf: the encoder's constant rate factor, 0 to 51: less is better and larger; 18 looks lossless.
        metadata: what `probe` shall find again, anything JSON can hold; kept as the file's comment.
        force: overwrite a file that is there.

    Yields:
        `Started`; a `Frame` for each; a `Note` for everything that could not be kept; `Saved`; `Done`.

    Raises:
        VideoError: the source cannot be read at all, or the output cannot be written.
        ImageError: `output` cannot be there, or `process` gives no picture.
        FileExists: there is such a file, and `force` is off.
        OptionError: `crf` is out of range.
        MissingExtra: PyAV is not installed.
    """
    began = time.monotonic()
    source, output = Path(source), Path(output)
    kind = _KINDS.get(output.suffix.lower())
    if kind is None:
        raise VideoError(f"{output.name} names no video that can be written; end it in {', '.join(_KINDS)}.")
    if not 0 <= crf <= 51:
        raise OptionError(f"crf is {crf}; expected 0 to 51.")
    images.check_place(output, force)
    timing = _timing(source)
    total, done, last, painted = len(timing.times), 0, None, None
    with images.draft(output, force) as beside, _open(source) as container:
        stream = _picture(container, source)
        sounds = list(container.streams.audio) if kind.sound else []
        with _Writer(beside, output.name, kind, container, stream, timing, crf, metadata) as writer:
            yield from _notes(source, kind, container, stream, timing)
            for item in _read(container, [stream, *sounds]):
                if not _is_frame(item):
                    writer.sound(item)
                    continue
                frame = _tensor(item, writer.stored)
                if not done:
                    yield Started(source.stem, ((frame.shape[-2], frame.shape[-1], total),), unit="frame")
                last = timing.moment(item, last)
                painted = _checked(process(frame), painted)
                yield from writer.picture(painted, last, item)
                done += 1
                spent = time.monotonic() - began
                left = spent / done * max(0, total - done)
                yield Frame(done, max(total, done), float(last), spent, left, frame, painted)
        if painted is None:
            raise VideoError(f"{source.name} is damaged: not one of its frames can be read. Fetch it again.")
        if done < total:
            yield Note(f"{source.name} is damaged: {total - done} of {total} frames cannot be read and are left out")
    yield Saved(output, "result")
    yield Done(painted, done, time.monotonic() - began, unit="frame")


def _notes(
    source: Path, kind: _Kind, container: "InputContainer", stream: "VideoStream", timing: _Timing
) -> Iterator[Note]:
    """Say, before any work, what of the source will not be kept."""
    if timing.missing:
        there = len(timing.times)
        yield Note(f"{source.name} is cut short: {there} of {there + timing.missing} frames are there")
    if container.streams.audio and kind.sound is None:
        yield Note("a GIF has no sound; it is left out")
    if container.streams.subtitles:
        yield Note("subtitles are left out")
    curve = _HIGH_DYNAMIC_RANGE.get(stream.codec_context.color_trc)
    if curve:
        yield Note(f"{source.name} has a high dynamic range ({curve}), of which 8 bits are kept")


def _checked(painted: Tensor, before: Tensor | None) -> Tensor:
    shape = tuple(painted.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or not painted.numel():
        raise ImageError(f"the painted frame has shape {shape}; expected (1, 3, H, W).")
    if before is not None and shape != tuple(before.shape):
        raise ImageError(f"the painted frame has shape {shape}; expected {tuple(before.shape)}, as before.")
    if not painted.isfinite().all():
        raise ImageError("the painted frame holds NaN or infinite values; expected RGB in [0, 1].")
    return painted.detach()


class _Writer:
    """The file that is being written; it begins with the first painted frame, which tells the size."""

    def __init__(
        self,
        path: Path,
        name: str,
        kind: _Kind,
        container: "InputContainer",
        source: "VideoStream",
        timing: _Timing,
        crf: int,
        metadata: dict[str, Any] | None,
    ) -> None:
        import av

        self.name, self.kind, self.source, self.timing, self.crf = name, kind, source, timing, crf
        self.stored: tuple[int, int] | None = None  # size of the source's first frame; some change in between
        self.waiting: deque[Packet[AudioStream]] = deque()
        self.sounds: dict[int, _Sound] = {}
        self.stream: Any = None
        self.palette: Graph | None = None
        self.last: int | None = None
        self.tick = _tick(timing, kind)
        with self._saying():
            self.file = av.open(f"file:{path}", "w", format=kind.container, container_options=kind.options)
        kept = {key: value for key, value in container.metadata.items() if key not in _OWN_TAGS}
        if metadata is not None:
            if "comment" in kept:
                kept.setdefault("description", kept["comment"])
            kept["comment"] = json.dumps({"impasto": metadata})
        self.file.metadata.update(kept)
        self.inputs = list(container.streams.audio) if kind.sound else []

    @contextmanager
    def _saying(self) -> Iterator[None]:
        from av.error import FFmpegError

        try:
            yield
        except (FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise VideoError(f"{self.name} cannot be written ({reason}); choose another place or kind.") from error

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        from av.error import FFmpegError

        try:
            if kind is None and self.stream is not None:
                with self._saying():
                    self._encode(None)
                    for sound in self.sounds.values():
                        sound.end()
                    self.file.close()
        finally:
            with suppress(FFmpegError, ValueError):  # of an abandoned file nothing matters any more
                self.file.close()

    def sound(self, packet: "Packet[AudioStream]") -> None:
        """Write a packet of sound."""
        if self.stream is None:
            self.waiting.append(packet)
            return
        with self._saying():
            self.sounds[packet.stream.index].add(packet)

    def picture(self, image: Tensor, at: Fraction, like: "VideoFrame") -> Iterator[Note]:
        """Write a frame, `(1, 3, H, W)`, that is shown at some second; the first one begins the file."""
        height, width = image.shape[-2:]
        odd = self.kind.codec != "gif"
        image = F.pad(image, (0, width % 2 * odd, 0, height % 2 * odd), mode="replicate").clamp(0, 1)
        if self.stream is None:
            with self._saying():
                self._begin(image.shape[-2], image.shape[-1], like)
            for sound in self.sounds.values():
                yield from sound.note
            if (height, width) != tuple(image.shape[-2:]):
                bigger = f"{image.shape[-1]}×{image.shape[-2]}"
                yield Note(f"frames of {width}×{height} px became {bigger}, since video needs even sides")
            while self.waiting:
                self.sound(self.waiting.popleft())
        frame = self._frame(image)
        tick = round(at / self.tick)
        self.last = tick if self.last is None else max(self.last + 1, tick)
        frame.pts, frame.time_base = self.last, self.tick
        with self._saying():
            self._encode(frame)

    def _begin(self, height: int, width: int, like: "VideoFrame") -> None:
        stream: Any = self.file.add_stream(self.kind.codec, rate=self.timing.rate.limit_denominator(10**6))
        stream.width, stream.height = width, height
        context, told = stream.codec_context, self.source.codec_context
        context.time_base = self.tick
        if self.kind.codec == "gif":
            stream.pix_fmt = "pal8"
            self.palette = _palette(height, width, self.tick)
        else:
            stream.pix_fmt = "yuv420p"
            context.colorspace = self.matrix = _matrix(like.colorspace, like.height, like.width)
            context.color_range = _LIMITED
            context.color_primaries, context.color_trc = told.color_primaries or _UNSAID, told.color_trc or _UNSAID
            context.options = {"crf": str(self.crf), **_SPEED.get(self.kind.codec, {})}
            ratio = self.source.sample_aspect_ratio
            if ratio:
                context.sample_aspect_ratio = 1 / ratio if _Turn.of(like).transpose else ratio
        self.stored = like.height, like.width
        for sound in self.inputs:
            self.sounds[sound.index] = _Sound(self.file, sound, self.kind)
        self.stream = stream

    def _frame(self, image: Tensor) -> "VideoFrame":
        from av import VideoFrame

        height, width = image.shape[-2:]
        if self.palette is not None:
            array = (image[0].permute(1, 2, 0).cpu() * 255).round().to(torch.uint8).numpy()
            return VideoFrame.from_ndarray(np.ascontiguousarray(array), "rgb24")
        yuv = (_to_yuv(image[0].cpu().float(), self.matrix) * 256).round().numpy().astype("<u2")
        even = VideoFrame(width, height, "yuv444p16le")
        for plane, values in zip(even.planes, yuv, strict=True):
            rows = np.zeros((height, plane.line_size // 2), "<u2")
            rows[:, :width] = values
            plane.update(rows.tobytes())
        return even.reformat(format="yuv420p", src_color_range="MPEG", dst_color_range="MPEG")

    def _encode(self, frame: "VideoFrame | None") -> None:
        if self.palette is not None and frame is not None:
            self.palette.push(frame)
            frame = self.palette.pull()  # type: ignore[assignment]
        for packet in self.stream.encode(frame):
            if self.last is not None and packet.pts == self.last:  # the last one so far; all others last until the next
                packet.duration = round(self.timing.length(self.last * self.tick) / self.tick)
            self.file.mux(packet)


_OWN_TAGS: Final = ("major_brand", "minor_version", "compatible_brands", "encoder")
_SPEED: Final[Mapping[str, dict[str, str]]] = {
    "libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
}


def _tick(timing: _Timing, kind: _Kind) -> Fraction:
    """Return what the time of frames is counted in: so that a constant rate is exact, and sound fits."""
    if kind.codec == "gif":
        return Fraction(1, 100)  # all that a GIF knows
    if timing.grid is None:
        return timing.tick
    return 1 / Fraction(timing.grid.numerator * math.ceil(_FINE / timing.grid.numerator))


def _palette(height: int, width: int, tick: Fraction) -> "Graph":
    """Return a filter that gives each frame the 256 colors that suit it best."""
    from av.filter import Graph

    graph: Any = Graph()
    start = graph.add_buffer(width=width, height=height, format="rgb24", time_base=tick)
    split, end = graph.add("split"), graph.add("buffersink")
    chosen, used = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1")
    start.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(chosen, 1)
    chosen.link_to(used, 0, 1)
    used.link_to(end)
    graph.configure()
    return graph  # type: ignore[no-any-return]


class _Sound:
    """One audio stream on its way: copied, or encoded again if the container cannot hold its codec."""

    def __init__(self, file: Any, source: "AudioStream", kind: _Kind) -> None:
        name, rate = source.codec_context.codec.canonical_name, source.codec_context.sample_rate
        self.file, self.source = file, source
        self.note: list[Note] = []
        self.copied = name in file.supported_codecs
        if self.copied:
            self.stream = file.add_stream_from_template(source)
            self.stream.metadata.update(source.metadata)
            return
        self.stream = file.add_stream(kind.sound, rate=48000 if kind.sound == "libopus" else rate)
        self.stream.codec_context.layout = source.codec_context.layout
        self.note = [Note(f"sound is encoded again as {kind.sound}: {file.format.name} cannot hold {name}")]

    def add(self, packet: "Packet[AudioStream]") -> None:
        if self.copied:
            packet.stream = self.stream
            self.file.mux(packet)
        else:
            self._encode(packet)

    def end(self) -> None:
        if not self.copied:
            self._encode(None)

    def _encode(self, packet: "Packet[AudioStream] | None") -> None:
        from av.error import FFmpegError

        frames: list[Any] = []
        with suppress(FFmpegError):  # damaged sound is stepped over
            frames = [*(self.source.codec_context.decode(None) if packet is None else packet.decode())]
        for frame in frames:
            frame.time_base = frame.time_base or self.source.time_base
        for frame in [*frames, None] if packet is None else frames:
            for made in self.stream.encode(frame):
                self.file.mux(made)


def _metadata(tags: Mapping[str, str]) -> dict[str, Any] | None:
    comments = [value for key, value in tags.items() if key.lower() == "comment"]  # Matroska writes it large
    try:
        told = json.loads(comments[0] if comments else "null")
    except ValueError:
        return None
    found = told.get("impasto") if isinstance(told, dict) else None
    return found if isinstance(found, dict) else None
