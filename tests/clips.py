"""Makers of video files for the tests, written with PyAV itself."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NTSC = Fraction(30000, 1001)


def photograph(height, width, name="coffee"):
    """A photograph squeezed to a size, (H, W, 3) uint8."""
    with Image.open(EXAMPLES / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


def pan(count, height=48, width=64, step=2, name="coffee"):
    """Frames of a camera that moves to the right by `step` pixels a frame."""
    wide = photograph(height, width + step * count, name)
    return [np.ascontiguousarray(wide[:, step * i : step * i + width]) for i in range(count)]


def write(
    path, frames, rate=25, *, ticks=None, tick=None, codec="libx264", pixels="yuv420p", matrix=2, span=1, sound=(),
    seconds=None, crf="10", metadata=(), start=0,
):  # fmt: skip
    """Write a video: at a constant rate, or frames that are shown at `ticks`.

    Args:
        path: where to.
        frames: `(H, W, 3)` uint8 each, or `av.VideoFrame`s of the right format.
        rate: frames per second.
        ticks: when each frame is shown, and when the last one goes, in units of `tick`.
        tick: in seconds.
        codec: of the picture.
        pixels: pixel format.
        matrix: which is told, as ITU-T H.273 numbers them; 2: none.
        span: 1 limited, 2 full range.
        sound: codecs of sine tones, one stream each.
        seconds: of sound; as long as the picture by default.
        crf: of the encoder.
        metadata: of the file.
        start: first tick.
    """
    tick = tick or 1 / Fraction(rate)
    ticks = ticks or range(start, start + len(frames) + 1)
    with av.open(str(path), "w") as file:
        file.metadata.update(dict(metadata))
        stream = file.add_stream(codec, rate=rate)
        stream.width, stream.height = size(frames[0])
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.time_base, context.colorspace, context.color_range = tick, matrix, span
        context.options = {"crf": crf, "b": "0"} if codec.startswith("lib") else {}
        tones = [file.add_stream(name, rate=48000, layout="mono") for name in sound]
        for i, array in enumerate(frames):
            frame = array
            if not isinstance(array, av.VideoFrame):
                frame = av.VideoFrame.from_ndarray(array, "rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = ticks[i], tick
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode(None):
            if packet.pts == ticks[len(frames) - 1]:
                packet.duration = ticks[len(frames)] - packet.pts
            file.mux(packet)
        for tone in tones:
            play(file, tone, float(ticks[-1] * tick) if seconds is None else seconds)
    return path


def size(frame):
    return (frame.width, frame.height) if isinstance(frame, av.VideoFrame) else frame.shape[1::-1]


def play(file, stream, seconds):
    """A sine tone of 440 Hz."""
    count = round(48000 * seconds)
    wave = (0.3 * np.sin(2 * np.pi * 440 / 48000 * np.arange(count))).astype(np.float32)
    for start in range(0, count, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for packet in stream.encode(frame):
            file.mux(packet)
    for packet in stream.encode(None):
        file.mux(packet)


def turn(path, a, b, c, d):
    """Write a matrix into the header of an MP4's picture, (x', y') = (a x + c y, b x + d y); ISO 14496-12, 8.3.2."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def packets(path, kind="audio"):
    """The bytes and times of all packets of the sound, as they lie in the file, one list a stream."""
    with av.open(str(path)) as file:
        found = {stream.index: [] for stream in getattr(file.streams, kind)}
        for packet in file.demux(list(getattr(file.streams, kind))):
            if packet.size:
                found[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet)))
    return list(found.values())


def times(path):
    """When each frame is shown, and when the last one goes, in seconds."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        kept = [p for p in file.demux(stream) if p.size and not p.is_discard]
        kept.sort(key=lambda packet: packet.pts)
        return [p.pts * p.time_base for p in kept] + [(kept[-1].pts + kept[-1].duration) * kept[-1].time_base]
