"""Writing of processed videos, with their sound."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError, VideoError
from impasto.events import Done, Event, Note, Saved, Started, Step
from impasto.io.files import check_place, draft_file
from impasto.io.video.colors import HIGH_DYNAMIC_RANGE, LIMITED, UNSAID, frame_alpha, frame_tensor, matrix_of, to_yuv
from impasto.io.video.container import (
    KINDS,
    Kind,
    Turn,
    is_frame,
    open_container,
    picture_stream,
    read_frames,
    sound_streams,
)
from impasto.io.video.timing import Timing, tick_of, timing_of

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer
    from av.filter import Graph

__all__ = ["iter_video"]

Process = Callable[[Tensor], Tensor]


def _given(image: Tensor) -> Tensor:
    return image


def iter_video(
    source: str | Path,
    output: str | Path,
    process: Process,
    *,
    crf: int = 18,
    metadata: dict[str, Any] | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Process every frame of a video and write the result, with the sound and metadata of the source.

    Each frame keeps its time, and so do duration and frame rate. Sound is copied without encoding if the container can
    hold its codec. Title, date and location are kept; transparency too, except in MP4: in MOV by ProRes 4444, in MKV by
    VP9, in GIF whole or not at all. Only a few frames are in memory at a time. The file appears when it is complete, or
    not at all.

    Args:
        source: a video file.
        output: the file to write; `.mp4`, `.m4v`, `.mov` and `.mkv` get H.264, `.webm` VP9, and `.gif` 256 colors
            per frame and no sound.
        process: a function of a frame, `(1, 3, H, W)` float32 RGB in [0, 1], to a frame, of any constant size.
        crf: the encoder's constant rate factor, 0 to 51: lower is better quality and a larger file; 18 is visually
            lossless.
        metadata: JSON values that `probe` reads again, stored in the comment of the file.
        force: overwrite an existing file.

    Yields:
        `Started`; an event for each frame; a `Note` for everything that is lost, and on transparency; `Saved`; `Done`.

    Raises:
        VideoError: the source cannot be read at all, or the output cannot be written.
        ImageError: `output` cannot be a file, or `process` does not return a picture.
        FileExists: the file exists, and `force` is off.
        OptionError: `crf` is out of range.
        MissingExtra: PyAV is not installed.
    """
    began = time.monotonic()
    source, output = Path(source), Path(output)
    kind = KINDS.get(output.suffix.lower())
    if kind is None:
        raise VideoError(f"{output.name} names no video that can be written; end it in {', '.join(KINDS)}.")
    if not 0 <= crf <= 51:
        raise OptionError(f"crf is {crf}; expected 0 to 51.")
    check_place(output, force)
    timing = timing_of(source)
    total, done, last, painted = len(timing.times), 0, None, None
    with draft_file(output, force) as beside, open_container(source) as container:
        stream = picture_stream(container, source)
        sounds = sound_streams(container) if kind.sound else []
        with _Writer(beside, output.name, kind, container, stream, timing, crf, metadata) as writer:
            yield from _notes(source, kind, container, stream, timing)
            for item in read_frames(container, [stream, *sounds]):
                if not is_frame(item):
                    writer.sound(item)
                    continue
                frame = frame_tensor(item, writer.stored)
                if not done:
                    yield Started(source.stem, ((frame.shape[-2], frame.shape[-1], total),), unit="frame")
                last = timing.moment(item, last)
                painted = _checked(process(frame), painted)
                yield from writer.picture(painted, last, item, frame_alpha(item, writer.stored))
                done += 1
                spent = time.monotonic() - began
                left = spent / done * max(0, total - done)
                yield Step(
                    step=done,
                    steps=max(total, done),
                    phase="frame",
                    time=float(last),
                    seconds=spent,
                    remaining=left,
                    source=partial(_given, frame),
                    image=partial(_given, painted),
                )
        if painted is None:
            raise VideoError(f"{source.name} is damaged: not one of its frames can be read. Fetch it again.")
        if done < total:
            yield Note(f"{source.name} is damaged: {total - done} of {total} frames cannot be read and are left out")
    yield Saved(output, "result")
    yield Done(painted, done, time.monotonic() - began, unit="frame")


def _notes(
    source: Path, kind: Kind, container: "InputContainer", stream: "VideoStream", timing: Timing
) -> Iterator[Note]:
    """Yield notes, before any work, on what the result cannot keep."""
    if timing.missing:
        there = len(timing.times)
        yield Note(f"{source.name} is cut short: {there} of {there + timing.missing} frames are there")
    if container.streams.audio and kind.sound is None:
        yield Note("a GIF has no sound; it is left out")
    elif unknown := len(container.streams.audio) - len(sound_streams(container)):
        yield Note(f"{source.name} has sound of an unknown codec, which is left out ({unknown} of its streams)")
    if container.streams.subtitles:
        yield Note("subtitles are left out")
    curve = HIGH_DYNAMIC_RANGE.get(stream.codec_context.color_trc)
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
    """The output file; it begins with the first result, which has its size."""

    def __init__(
        self,
        path: Path,
        name: str,
        kind: Kind,
        container: "InputContainer",
        source: "VideoStream",
        timing: Timing,
        crf: int,
        metadata: dict[str, Any] | None,
    ) -> None:
        import av

        self.name, self.kind, self.source, self.timing, self.crf = name, kind, source, timing, crf
        self.stored: tuple[int, int] | None = None  # size of the first frame of the source; it may change within a file
        self.waiting: deque[Packet[AudioStream]] = deque()
        self.sounds: dict[int, _Sound] = {}
        self.stream: Any = None
        self.palette: Graph | None = None
        self.transparent = self.told = False
        self.last: int | None = None
        self.tick = tick_of(timing, kind)
        with self._saying():
            self.file = av.open(f"file:{path}", "w", format=kind.container, container_options=kind.options)
        kept = {key: value for key, value in container.metadata.items() if key not in _OWN_TAGS}
        if metadata is not None:
            if "comment" in kept:
                kept.setdefault("description", kept["comment"])
            kept["comment"] = json.dumps({"impasto": metadata})
        self.file.metadata.update(kept)
        self.inputs = sound_streams(container) if kind.sound else []

    @contextmanager
    def _saying(self) -> Iterator[None]:
        from av.error import FFmpegError

        try:
            yield
        except (FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise VideoError(f"{self.name} cannot be written ({reason}); choose another path or format.") from error

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
            with suppress(FFmpegError, ValueError):  # the file is abandoned
                self.file.close()

    def sound(self, packet: "Packet[AudioStream]") -> None:
        """Write a packet of sound."""
        if self.stream is None:
            self.waiting.append(packet)
            return
        with self._saying():
            self.sounds[packet.stream.index].add(packet)

    def picture(self, image: Tensor, at: Fraction, like: "VideoFrame", alpha: Tensor | None) -> Iterator[Note]:
        """Write a frame, `(1, 3, H, W)`, with its time in seconds and its opacity; the first one begins the file."""
        height, width = image.shape[-2:]
        odd = self.kind.codec != "gif"
        visible = alpha is not None and bool((alpha < 1).any())
        if self.stream is None:
            self.transparent = visible and self.kind.container in _TRANSPARENT
            if self.transparent:
                how = "whole or not at all" if self.kind.codec == "gif" else _TRANSPARENT[self.kind.container][0]
                yield Note(f"transparency is kept: {how}")
        if visible and not self.transparent and not self.told:
            self.told = True
            yield Note(f"transparency is left out: {_lacking(self.stream is not None, self.kind)}")
        if self.transparent:
            alpha = (
                torch.ones(1, 1, height, width)
                if alpha is None
                else F.interpolate(alpha, (height, width), mode="bilinear", antialias=True)
            )
            image = torch.cat([image.cpu(), alpha.to(image.dtype)], 1)
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
        codec, layout, more = self.kind.codec, "yuv420p", _SPEED.get(self.kind.codec, {})
        if self.transparent:
            codec, layout, more = _TRANSPARENT[self.kind.container]
        stream: Any = self.file.add_stream(codec, rate=self.timing.rate.limit_denominator(10**6))
        stream.width, stream.height = width, height
        context, told = stream.codec_context, self.source.codec_context
        context.time_base = self.tick
        if self.kind.codec == "gif":
            stream.pix_fmt = "pal8"
            self.palette = _palette(height, width, self.tick, "rgba" if self.transparent else "rgb24")
        else:
            stream.pix_fmt = self.format = layout
            context.colorspace = self.matrix = matrix_of(like.colorspace, like.height, like.width)
            context.color_range = LIMITED
            context.color_primaries, context.color_trc = told.color_primaries or UNSAID, told.color_trc or UNSAID
            context.options = {"crf": str(self.crf), **more}
            ratio = self.source.sample_aspect_ratio
            if ratio:
                context.sample_aspect_ratio = 1 / ratio if Turn.of(like).transpose else ratio
        self.stored = like.height, like.width
        for sound in self.inputs:
            self.sounds[sound.index] = _Sound(self.file, sound, self.kind)
        self.stream = stream

    def _frame(self, image: Tensor) -> "VideoFrame":
        from av import VideoFrame

        height, width = image.shape[-2:]
        if self.palette is not None:
            array = (image[0].permute(1, 2, 0).cpu() * 255).round().to(torch.uint8).numpy()
            return VideoFrame.from_ndarray(np.ascontiguousarray(array), "rgba" if self.transparent else "rgb24")
        colors = to_yuv(image[0, :3].cpu().float(), self.matrix) * 256
        yuv = torch.cat([colors, image[0, 3:].cpu().float() * 65535]).round().numpy().astype("<u2")
        even = VideoFrame(width, height, "yuva444p16le" if self.transparent else "yuv444p16le")
        for plane, values in zip(even.planes, yuv, strict=True):
            rows = np.zeros((height, plane.line_size // 2), "<u2")
            rows[:, :width] = values
            plane.update(rows.tobytes())
        return even.reformat(format=self.format, src_color_range="MPEG", dst_color_range="MPEG")

    def _encode(self, frame: "VideoFrame | None") -> None:
        if self.palette is not None and frame is not None:
            self.palette.push(frame)
            frame = self.palette.pull()  # type: ignore[assignment]
        for packet in self.stream.encode(frame):
            if (
                self.last is not None and packet.pts == self.last
            ):  # the last frame so far; all others last until the next
                packet.duration = round(self.timing.length(self.last * self.tick) / self.tick)
            self.file.mux(packet)


_OWN_TAGS: Final = ("major_brand", "minor_version", "compatible_brands", "encoder")


_SPEED: Final[Mapping[str, dict[str, str]]] = {
    "libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
}


# Codec, pixel format and options of transparent videos, by the container that can hold them.
_TRANSPARENT: Final[Mapping[str, tuple[str, str, dict[str, str]]]] = {
    "webm": ("libvpx-vp9", "yuva420p", {**_SPEED["libvpx-vp9"], "auto-alt-ref": "0"}),
    "matroska": ("libvpx-vp9", "yuva420p", {**_SPEED["libvpx-vp9"], "auto-alt-ref": "0"}),
    "mov": ("prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
    "gif": ("gif", "pal8", {}),
}


def _lacking(begun: bool, kind: Kind) -> str:
    """Return why transparency is lost."""
    if begun and kind.container in _TRANSPARENT:
        return "the first frame had none"
    return f"{kind.container.upper()} has none; .webm, .mkv, .mov and .gif keep it"


def _palette(height: int, width: int, tick: Fraction, layout: str) -> "Graph":
    """Return a filter that chooses the best 256 colors of each frame."""
    from av.filter import Graph

    graph: Any = Graph()
    start = graph.add_buffer(width=width, height=height, format=layout, time_base=tick)
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
    """One audio stream of the output: copied, or encoded if the container cannot hold its codec."""

    def __init__(self, file: Any, source: "AudioStream", kind: Kind) -> None:
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
        """Write a packet."""
        if self.copied:
            packet.stream = self.stream
            self.file.mux(packet)
        else:
            self._encode(packet)

    def end(self) -> None:
        """Write the rest."""
        if not self.copied:
            self._encode(None)

    def _encode(self, packet: "Packet[AudioStream] | None") -> None:
        from av.error import FFmpegError

        frames: list[Any] = []
        with suppress(FFmpegError):  # damaged sound is skipped
            frames = [*(self.source.codec_context.decode(None) if packet is None else packet.decode())]
        for frame in frames:
            frame.time_base = frame.time_base or self.source.time_base
        for frame in [*frames, None] if packet is None else frames:
            for encoded in self.stream.encode(frame):
                self.file.mux(encoded)
