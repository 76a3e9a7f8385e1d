"""Video in and out, on files written with PyAV from photographs: time, colors, orientation, sound, damage."""

import ast
import builtins
import json
import weakref
from fractions import Fraction
from io import StringIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

import clips
import impasto
from clips import NTSC, pan, photograph, write
from impasto.cli.progress import report_bar, report_lines
from impasto.errors import FileExists, ImageError, MissingExtra, OptionError, VideoError
from impasto.events import Done, Note, Saved, Started, Step, as_json
from impasto.io.video.colors import frame_alpha, frame_tensor
from impasto.io.video.container import open_container, picture_stream, read_frames
from impasto.io.video.probe import Clip, probe
from impasto.io.video.reader import iter_frames
from impasto.io.video.writer import iter_video


def same(image):
    return image


def run(source, output, process=same, **settings):
    """Process a video; the events but for frames, and how many frames there were."""
    events = list(iter_video(source, output, process, **settings))
    frames = [event for event in events if isinstance(event, Step) and event.phase == "frame"]
    return [event for event in events if not isinstance(event, Step)], frames


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


def quadrants(height=48, width=64):
    """Red, green / blue, white."""
    array = np.zeros((height, width, 3), np.uint8)
    array[: height // 2, : width // 2] = (255, 0, 0)
    array[: height // 2, width // 2 :] = (0, 255, 0)
    array[height // 2 :, : width // 2] = (0, 0, 255)
    array[height // 2 :, width // 2 :] = 255
    return array


def corners(image):
    """The colors near the corners, row by row, as letters."""
    letters = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W"}
    places = [(y, x) for y in (4, -4) for x in (4, -4)]
    return "".join(letters[tuple(image[0, :, y, x].round().int().tolist())] for y, x in places)


def flat(y, cb, cr, count=2):
    """Frames of one color, by their code values."""
    frames = []
    for _ in range(count):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane, value in zip(frame.planes, (y, cb, cr), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """30 frames of 64 x 48 at 29.97 frames a second, with sound."""
    return write(tmp_path_factory.mktemp("clip") / "clip.mp4", pan(30), NTSC, sound=["aac"], metadata={"title": "Pan"})


# --- reading -------------------------------------------------------------------------------------


def test_what_a_file_holds(clip):
    # 30 frames of 1001/30000 s are 1.001 s
    assert probe(clip) == Clip((48, 64), NTSC, False, 30, 1.001, 0, ("aac",), None)


def test_frames_are_those_that_were_filmed(clip):
    frames = list(iter_frames(clip))
    assert [time for _, time in frames] == pytest.approx([i * 1001 / 30000 for i in range(30)])
    for (image, _), array in zip(frames, pan(30), strict=True):
        assert image.shape == (1, 3, 48, 64) and image.dtype == torch.float32
        assert image.min() >= 0 and image.max() <= 1
        filmed = torch.from_numpy(array).permute(2, 0, 1)[None] / 255
        assert (image - filmed).abs().mean() < 0.03  # half the chroma is gone, the rest is there
    assert (frames[0][0] - frames[5][0]).abs().mean() > 0.08


@pytest.mark.parametrize(
    ("matrix", "span", "expected"),
    [
        # Y, Cb, Cr = 81, 100, 200. Limited range: y = 65 / 219 = .296804, cb = -28 / 224 = -.125, cr = 72 / 224 =
        # .321429. BT.709, with .2126 and .0722: R = y + 1.5748 cr = .802989, B = y + 1.8556 cb = .064854,
        # G = (y - .2126 R - .0722 B) / .7152 = (.296804 - .170715 - .004682) / .7152 = .169752.
        (1, 1, (0.802989, 0.169752, 0.064854)),
        # BT.601, with .299 and .114: R = y + 1.402 cr = .747447, B = y + 1.772 cb = .075304,
        # G = (.296804 - .223487 - .008585) / .587 = .110277. It is the default of small frames.
        (6, 1, (0.747447, 0.110277, 0.075304)),
        (2, 1, (0.747447, 0.110277, 0.075304)),
        # Full range: y = 81 / 255 = .317647, cb = -28 / 255 = -.109804, cr = 72 / 255 = .282353; BT.709:
        # R = .762296, B = .113895, G = (.317647 - .162064 - .008223) / .7152 = .206040.
        (1, 2, (0.762296, 0.206040, 0.113895)),
        # BT.2020, with .2627 and .0593: R = y + 1.4746 cr = .770783, B = y + 1.8814 cb = .061629,
        # G = (.296804 - .202485 - .003655) / .678 = .133723.
        (9, 1, (0.770783, 0.133723, 0.061629)),
    ],
)
def test_colors_by_the_right_matrix(matrix, span, expected, tmp_path):
    path = write(tmp_path / "a.mp4", flat(81, 100, 200), matrix=matrix, span=span, crf="0")
    image, _ = next(iter_frames(path))
    assert image[0, :, 20, 20].tolist() == pytest.approx(expected, abs=2e-4)
    run(path, tmp_path / "b.mp4", crf=0)  # written in the same matrix, limited range, and tagged with it
    back, _ = next(iter_frames(tmp_path / "b.mp4"))
    assert back[0, :, 20, 20].tolist() == pytest.approx(expected, abs=1.5 / 255)
    with av.open(str(tmp_path / "b.mp4")) as file:
        frame = next(file.decode(video=0))
        assert frame.colorspace == {1: 1, 6: 6, 2: 5, 9: 9}[matrix] and frame.color_range == 1


def test_large_frames_that_say_nothing_are_taken_for_bt709(tmp_path):
    tall = np.zeros((720, 48, 3), np.uint8)
    tall[:] = (200, 80, 30)
    frame = av.VideoFrame.from_ndarray(tall, "rgb24").reformat(format="yuv420p", dst_colorspace="ITU709")
    frame.colorspace = 2
    image, _ = next(iter_frames(write(tmp_path / "a.mp4", [frame], crf="0")))
    assert (image[0, :, 300, 20] * 255).tolist() == pytest.approx([200, 80, 30], abs=2)


def test_ten_bits_are_read(tmp_path):
    frames = []
    for code in (64, 502, 503, 940):  # limited range of 10 bits: 64 is black, 940 white
        frame = av.VideoFrame(64, 48, "yuv420p10le")
        for plane, value in zip(frame.planes, (code, 512, 512), strict=True):
            plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
        frames.append(frame)
    path = write(tmp_path / "a.mkv", frames, codec="ffv1", pixels="yuv420p10le")
    grays = [image[0, 1, 9, 9].item() for image, _ in iter_frames(path)]
    assert grays == pytest.approx([0, 438 / 876, 439 / 876, 1], abs=1e-4)


@pytest.mark.parametrize(
    ("matrix", "turned", "degrees", "size"),
    [
        ((1, 0, 0, 1), "RGBW", 0, (48, 64)),
        ((0, 1, -1, 0), "BRWG", 90, (64, 48)),  # what phones held upright write
        ((-1, 0, 0, -1), "WBGR", 180, (48, 64)),
        ((0, -1, 1, 0), "GWRB", 270, (64, 48)),
        ((-1, 0, 0, 1), "GRWB", 0, (48, 64)),  # mirrored
        ((0, 1, 1, 0), "RBGW", 270, (64, 48)),
    ],
)
def test_frames_are_upright_and_stay_so(matrix, turned, degrees, size, tmp_path):
    path = clips.turn(write(tmp_path / "a.mp4", [quadrants()] * 2), *matrix)
    assert (probe(path).rotation, probe(path).size) == (degrees, size)
    image, _ = next(iter_frames(path))
    assert image.shape[-2:] == size and corners(image) == turned
    run(path, tmp_path / "b.mp4")
    image, _ = next(iter_frames(tmp_path / "b.mp4"))
    assert corners(image) == turned and probe(tmp_path / "b.mp4").rotation == 0


def test_pixels_that_are_not_square_stay_so_and_turn_along(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(quadrants(), "rgb24")), *stream.encode(None)]:
            file.mux(packet)
    for output, ratio in (("b.mp4", Fraction(4, 3)), ("c.mp4", Fraction(3, 4))):
        run(path, tmp_path / output)
        with av.open(str(tmp_path / output)) as file:
            assert file.streams.video[0].sample_aspect_ratio == ratio
        clips.turn(path, 0, 1, -1, 0)


# --- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_everything_is_kept(suffix, clip, tmp_path):
    output = tmp_path / f"out{suffix}"
    events, frames = run(clip, output, lambda image: 1 - image, metadata={"model": "swirl", "size": 64})
    assert [type(event) for event in events] == [Started, Saved, Done]
    assert events[0].scales == ((48, 64, 30),) and events[0].unit == "frame"
    assert events[1] == Saved(output, "result")
    assert events[2].steps == 30 and torch.equal(events[2].image, frames[-1].image())
    found = probe(output)
    assert found == Clip((48, 64), NTSC, False, 30, 1.001, 0, ("aac",), {"model": "swirl", "size": 64})
    (before,), (after,) = clips.packets(clip), clips.packets(output)
    assert [data for _, data in after] == [data for _, data in before]  # bit for bit
    apart = [clips.times(path)[0] - clips.packets(path)[0][0][0] for path in (clip, output)]
    assert abs(apart[0] - apart[1]) <= Fraction(1, 1000)  # Matroska counts milliseconds
    if suffix != ".mkv":
        assert clips.times(output) == clips.times(clip)
        assert after == before  # times, too
    for (image, _), frame in zip(iter_frames(output), frames, strict=True):
        assert (image - frame.image()).abs().mean() < 0.03
    with av.open(str(output)) as file:
        assert {key.lower(): value for key, value in file.metadata.items()}["title"] == "Pan"
        assert file.streams.video[0].codec_context.name == "h264"
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_events_tell_the_frames(clip, tmp_path, capsys):
    events = list(iter_video(clip, tmp_path / "out.mp4", lambda image: image / 2))
    frames = [event for event in events if isinstance(event, Step) and event.phase == "frame"]
    assert [(event.step, event.steps) for event in frames] == [(i, 30) for i in range(1, 31)]
    assert frames[3].time == pytest.approx(3003 / 30000) and frames[-1].remaining == 0
    assert torch.equal(frames[5].image(), frames[5].source() / 2)
    plain = json.loads(json.dumps(as_json(frames[3])))
    assert plain["phase"] == "frame" and plain.keys() == {
        "event",
        "phase",
        "step",
        "steps",
        "time",
        "seconds",
        "remaining",
        "progress",
    }
    with report_lines() as report:
        for event in events:
            report(event)
    assert "clip: 30 frames at 64×48" in capsys.readouterr().err
    screen = StringIO()
    with report_bar(Console(file=screen, force_terminal=True, width=100)) as report:
        for event in events:
            report(event)
    assert "30/30" in screen.getvalue() and "1.0 s of the video" in screen.getvalue()


def test_uneven_frames_keep_their_times(tmp_path):
    ticks = [0, 1001, 3000, 3001, 9000, 10000, 15000]
    source = write(tmp_path / "a.mp4", pan(6), 30, ticks=ticks, tick=Fraction(1, 30000), sound=["aac"])
    found = probe(source)
    assert found.variable and found.frames == 6 and found.duration == 0.5 and found.frame_rate == 12
    run(source, tmp_path / "b.mp4")
    assert clips.times(tmp_path / "b.mp4") == [Fraction(tick, 30000) for tick in ticks]
    assert clips.packets(tmp_path / "b.mp4") == clips.packets(source)


def test_rounded_times_become_exact_again(tmp_path):
    source = write(tmp_path / "a.mkv", pan(30), NTSC)
    assert clips.times(source)[:3] == [0, Fraction(33, 1000), Fraction(67, 1000)]  # all that Matroska knows
    assert probe(source).frame_rate == NTSC
    run(source, tmp_path / "b.mp4")
    assert clips.times(tmp_path / "b.mp4") == [i * Fraction(1001, 30000) for i in range(31)]


def test_a_picture_that_begins_after_the_sound_still_does(tmp_path):
    source = write(tmp_path / "a.mp4", pan(10), 25, start=5, sound=["aac"])
    run(source, tmp_path / "b.mp4")
    assert clips.times(tmp_path / "b.mp4")[0] == clips.times(source)[0] == Fraction(1, 5)


def test_old_files_that_know_no_times(tmp_path):
    source = write(tmp_path / "a.avi", pan(12), 25, sound=["pcm_s16le"])
    found = probe(source)
    assert (found.frames, found.frame_rate, found.variable) == (12, 25, False)
    assert notes(run(source, tmp_path / "b.mp4")[0]) == []
    assert clips.times(tmp_path / "b.mp4") == [Fraction(i, 25) for i in range(13)]


def test_several_sounds_are_copied(tmp_path):
    source = write(tmp_path / "a.mkv", pan(10), sound=["aac", "libmp3lame", "flac"])
    run(source, tmp_path / "b.mp4")
    assert probe(tmp_path / "b.mp4").sound == ("aac", "mp3", "flac")
    for before, after in zip(clips.packets(source), clips.packets(tmp_path / "b.mp4"), strict=True):
        assert [data for _, data in after] == [data for _, data in before]


def samples(path):
    """The sound, decoded, 48000 a second."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])


def test_sound_that_does_not_fit_is_encoded_again_and_said(tmp_path):
    source = write(tmp_path / "a.mkv", pan(25), sound=["pcm_s16le"])
    events, _ = run(source, tmp_path / "b.webm")
    assert notes(events) == ["sound is encoded again as libopus: webm cannot hold pcm_s16le"]
    found = probe(tmp_path / "b.webm")
    assert found.sound == ("opus",) and found.frames == 25 and found.frame_rate == 25
    wave = samples(tmp_path / "b.webm").astype(float)[4800:43200]
    tone = np.fft.rfft(wave)
    assert np.abs(tone).argmax() == round(440 * len(wave) / 48000)  # the tone it was
    with av.open(str(tmp_path / "b.webm")) as file:
        assert file.streams.video[0].codec_context.name in ("vp9", "libvpx-vp9")


def test_gif(tmp_path):
    source = write(tmp_path / "a.mp4", pan(10, step=4), 10, sound=["aac"])
    events, frames = run(source, tmp_path / "b.gif")
    assert notes(events) == ["a GIF has no sound; it is left out"]
    found = probe(tmp_path / "b.gif")
    assert (found.size, found.frames, found.duration, found.sound) == ((48, 64), 10, 1.0, ())
    for (image, _), frame in zip(iter_frames(tmp_path / "b.gif"), frames, strict=True):
        assert (image - frame.image()).abs().mean() < 0.05


def transparent(path, codec, layout, count=3):
    """A gray video whose left half is invisible, whose lower right quarter is opaque, and the other half so."""
    frames = []
    for index in range(count):
        array = np.full((24, 32, 4), 90 + 20 * index, np.uint8)
        array[:, :16, 3], array[:12, 16:, 3], array[12:, 16:, 3] = 0, 128, 255
        frames.append(av.VideoFrame.from_ndarray(array, "rgba").reformat(format=layout))
    options = {"auto-alt-ref": "0"} if codec.startswith("libvpx") else {}
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 32, 24, layout
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


SEEN = [  # name, codec and pixel format of transparent sources
    ("a.mov", "qtrle", "argb"), ("b.mov", "prores_ks", "yuva444p10le"), ("c.webm", "libvpx-vp9", "yuva420p"),
    ("d.webm", "libvpx", "yuva420p"), ("e.mkv", "ffv1", "bgra"), ("f.mkv", "libvpx-vp9", "yuva420p"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "layout"), SEEN)
@pytest.mark.parametrize("suffix", [".mov", ".webm", ".mkv", ".gif", ".mp4"])
def test_transparency_is_kept_where_the_container_can_and_else_said(name, codec, layout, suffix, tmp_path):
    source, target = transparent(tmp_path / name, codec, layout), tmp_path / f"out{suffix}"
    events = list(iter_video(source, target, lambda frame: F.interpolate(frame, scale_factor=2)))
    (note,) = [event.text for event in events if isinstance(event, Note)]
    with open_container(target) as container:
        frame = list(read_frames(container, [picture_stream(container, target)]))[1]
        alpha, color = frame_alpha(frame), frame_tensor(frame)[0, :, 40, 50] * 255
    assert abs(color - 110).max() < 4
    if suffix == ".mp4":
        assert note == "transparency is left out: MP4 has none; .webm, .mkv, .mov and .gif keep it" and alpha is None
        return
    assert note.startswith("transparency is kept: ") and alpha.shape == (1, 1, 48, 64)
    shown = [float(alpha[0, 0, y, x]) for y, x in ((10, 10), (40, 10), (10, 50), (40, 50))]
    assert shown == pytest.approx([0, 0, 1 if suffix == ".gif" else 0.5, 1], abs=0.03)


def test_transparency_that_comes_later_is_said(tmp_path):
    source, opaque = tmp_path / "a.mkv", np.full((24, 32, 4), 255, np.uint8)
    later = opaque.copy()
    later[:12, :, 3] = 0
    frames = [av.VideoFrame.from_ndarray(array, "rgba").reformat(format="bgra") for array in (opaque, later, later)]
    clips.write(source, frames, codec="ffv1", pixels="bgra")
    events = list(iter_video(source, tmp_path / "out.mov", lambda frame: frame))
    assert [event.text for event in events if isinstance(event, Note)] == [
        "transparency is left out: the first frame had none"
    ]


def test_odd_sizes_are_padded_and_said(tmp_path):
    source = write(tmp_path / "a.mkv", [photograph(47, 63)] * 2, codec="ffv1", pixels="yuv444p")
    assert probe(source).size == (47, 63)
    events, frames = run(source, tmp_path / "b.mp4")
    assert notes(events) == ["frames of 63×47 px became 64×48, since video needs even sides"]
    image, _ = next(iter_frames(tmp_path / "b.mp4"))
    assert image.shape[-2:] == (48, 64)
    assert (image[..., :47, :63] - frames[0].image()).abs().mean() < 0.03
    assert (image[..., 47, :] - image[..., 46, :]).abs().mean() < 0.05
    run(source, tmp_path / "c.gif")
    assert probe(tmp_path / "c.gif").size == (47, 63)


def test_frames_may_change_their_size(clip, tmp_path):
    run(clip, tmp_path / "b.mp4", lambda image: image[..., :24, :32])
    assert probe(tmp_path / "b.mp4").size == (24, 32)


def test_high_dynamic_range_is_told(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.color_trc = 64, 48, "yuv420p", 18
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(quadrants(), "rgb24")), *stream.encode(None)]:
            file.mux(packet)
    events, _ = run(path, tmp_path / "b.mp4")
    assert notes(events) == ["a.mp4 has a high dynamic range (HLG), of which 8 bits are kept"]
    with av.open(str(tmp_path / "b.mp4")) as file:
        assert file.streams.video[0].codec_context.color_trc == 18


def test_the_cover_of_a_record_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as file:
        sound = file.add_stream("aac", rate=48000, layout="mono")
        cover = file.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(quadrants(), "rgb24").reformat(format="yuvj420p")
        for packet in [*cover.encode(frame), *cover.encode(None)]:
            file.mux(packet)
        clips.play(file, sound, 0.5)
    with pytest.raises(VideoError, match="song.mp4 holds only sound"):
        probe(path)


def test_a_comment_moves_to_the_description(tmp_path):
    source = write(tmp_path / "a.mp4", pan(2), metadata={"comment": "of mine"})
    assert probe(source).metadata is None
    run(source, tmp_path / "b.mp4")
    run(source, tmp_path / "c.mp4", metadata={"a": 1})
    for name, told in (("b.mp4", {"comment": "of mine"}), ("c.mp4", {"description": "of mine"})):
        with av.open(str(tmp_path / name)) as file:
            assert told.items() <= file.metadata.items()
    assert probe(tmp_path / "c.mp4").metadata == {"a": 1}


def test_less_crf_is_better_and_larger(clip, tmp_path):
    sizes, errors = [], []
    for crf in (5, 20, 40):
        _, frames = run(clip, tmp_path / "b.mp4", crf=crf, force=True)
        sizes.append((tmp_path / "b.mp4").stat().st_size)
        image, _ = next(iter_frames(tmp_path / "b.mp4"))
        errors.append(float((image - frames[0].image()).abs().mean()))
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)


# --- what can go wrong ---------------------------------------------------------------------------


def fast_start(clip, folder):
    """A file whose header comes first, so that its beginning can be read without its end."""
    run(clip, folder / "fast.mp4")
    return (folder / "fast.mp4").read_bytes()


def test_a_file_cut_short_is_done_as_far_as_it_goes(clip, tmp_path):
    source = tmp_path / "cut.mp4"
    data = fast_start(clip, tmp_path)
    source.write_bytes(data[: len(data) * 3 // 4])
    events, frames = run(source, tmp_path / "out.mp4")
    assert 5 < len(frames) < 30
    assert notes(events) == [f"cut.mp4 is cut short: {len(frames)} of 30 frames are there"]
    assert probe(tmp_path / "out.mp4").frames == len(frames)
    assert clips.times(tmp_path / "out.mp4")[:-1] == clips.times(source)[:-1]


def test_damage_in_the_middle_is_stepped_over_and_said(clip, tmp_path):
    data = bytearray(fast_start(clip, tmp_path))
    data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
    (tmp_path / "hole.mp4").write_bytes(data)
    events, frames = run(tmp_path / "hole.mp4", tmp_path / "out.mp4")
    assert 20 < len(frames) <= 30
    assert len(frames) == 30 or "cannot be read and are left out" in notes(events)[0]
    times = clips.times(tmp_path / "out.mp4")
    assert set(times) <= {i * Fraction(1001, 30000) for i in range(31)}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.mp4", b"", "a.mp4 is empty; expected a video file"),
        ("a.mp4", bytes(range(256)) * 20, "a.mp4 is not a video that can be read"),
        ("a.txt", b"no video\n" * 99, "a.txt is text, not a video"),
        ("a.mp4", (clips.EXAMPLES / "cat.jpg").read_bytes(), "a.mp4 is a picture, not a video"),
        ("a.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "a.m3u8 is not a video that can be read"),
    ],
)
def test_what_is_no_video_is_refused_in_a_sentence(name, data, message, tmp_path):
    (tmp_path / name).write_bytes(data)
    for work in (probe, lambda path: list(iter_frames(path)), lambda path: run(path, tmp_path / "out.mp4")):
        with pytest.raises(VideoError) as caught:
            work(tmp_path / name)
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_not_there_or_has_no_picture(clip, tmp_path):
    with pytest.raises(VideoError, match="none.mp4 does not exist"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="is a folder"):
        probe(tmp_path)
    with av.open(str(tmp_path / "tone.mp4"), "w") as file:
        clips.play(file, file.add_stream("aac", rate=48000, layout="mono"), 0.5)
    with pytest.raises(VideoError, match="tone.mp4 holds only sound"):
        probe(tmp_path / "tone.mp4")
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:-200])  # its header stands at the end
    with pytest.raises(VideoError, match="cut.mp4 is not a video that can be read .*: it is damaged, cut short or"):
        probe(tmp_path / "cut.mp4")


def test_codecs_that_nobody_knows(tmp_path):
    data = write(tmp_path / "a.mkv", pan(5), sound=["aac", "flac"]).read_bytes()
    (tmp_path / "b.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MPEGX/ISO/AVC"))
    for read in (probe, lambda path: list(iter_frames(path)), lambda path: run(path, tmp_path / "c.mp4")):
        with pytest.raises(VideoError, match=r"b\.mkv has an unknown codec, or is damaged; convert it to H\.264"):
            read(tmp_path / "b.mkv")
    (tmp_path / "b.mkv").write_bytes(data.replace(b"A_AAC", b"A_XXX"))
    assert probe(tmp_path / "b.mkv").sound == ("flac",)
    events, _ = run(tmp_path / "b.mkv", tmp_path / "c.mp4")
    assert notes(events) == ["b.mkv has sound of an unknown codec, which is left out (1 of its streams)"]
    assert probe(tmp_path / "c.mp4").sound == ("flac",)


def test_what_cannot_be_written_is_refused_before_any_work(clip, tmp_path):
    def never(image):
        raise AssertionError("work was done")

    (tmp_path / "there.mp4").write_bytes(b"precious")
    for output, error, message in (
        ("out.xyz", VideoError, "out.xyz names no video that can be written; end it in .mp4"),
        ("there.mp4", FileExists, "there.mp4 exists already"),
        ("there.mp4/out.mp4", ImageError, "there.mp4 is a file; expected a folder"),
    ):
        with pytest.raises(error, match=message):
            run(clip, tmp_path / output, never)
    with pytest.raises(OptionError, match="crf is 52; expected 0 to 51"):
        run(clip, tmp_path / "out.mp4", never, crf=52)
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    run(clip, tmp_path / "there.mp4", force=True)
    assert probe(tmp_path / "there.mp4").frames == 30


def test_a_video_may_replace_itself(clip, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(clip.read_bytes())
    run(path, path, lambda image: 1 - image, force=True)
    (image, _), (before, _) = next(iter_frames(path)), next(iter_frames(clip))
    assert (image - (1 - before)).abs().mean() < 0.03


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, RuntimeError])
def test_an_interrupted_run_leaves_nothing(error, clip, tmp_path):
    def process(image, seen=[]):  # noqa: B006 - it counts
        seen.append(1)
        if len(seen) == 20:
            raise error("stop")
        return image

    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(error, match="stop"):
        run(clip, tmp_path / "out.mp4", process, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"


def test_closing_the_stream_cancels(clip, tmp_path):
    events = iter_video(clip, tmp_path / "out.mp4", same)
    while not isinstance(next(events), Step):
        pass
    assert len(list(tmp_path.iterdir())) == 1  # what is being written
    events.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (lambda image: image[0], r"shape \(3, 48, 64\); expected \(1, 3, H, W\)"),
        (lambda image: image / 0, "NaN or infinite"),
        (lambda image, sizes=[10, 20]: image[..., : sizes.pop()], r"expected \(1, 3, 48, 20\), as before"),  # noqa: B006
    ],
)
def test_frames_that_are_none_are_refused(process, message, clip, tmp_path):
    with pytest.raises(ImageError, match=message):
        run(clip, tmp_path / "out.mp4", process)
    assert list(tmp_path.iterdir()) == []


def test_without_pyav_there_is_one_sentence(clip, tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.partition(".")[0] == "av":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for work in (probe, lambda path: list(iter_frames(path)), lambda path: run(path, tmp_path / "out.mp4")):
        with pytest.raises(MissingExtra, match=r"video needs an extra: pip install 'impasto\[video\]'"):
            work(clip)


def test_pyav_is_imported_only_where_it_is_used():
    folder = Path(impasto.__file__).parent / "io" / "video"
    lines = [line for path in folder.glob("*.py") for line in ast.parse(path.read_text()).body]
    names = [name.name for line in lines if isinstance(line, ast.Import) for name in line.names]
    names += [line.module for line in lines if isinstance(line, ast.ImportFrom)]
    assert "torch" in names and not [name for name in names if name.partition(".")[0] == "av"]


def test_few_frames_are_in_memory(tmp_path):
    # Each frame becomes 0.75 MB of float32 numbers; were they kept, the encoder's queue aside, 100 would be 75 MB.
    source = write(tmp_path / "a.mp4", [photograph(192, 320)] * 100)
    alive, most = [], 0
    for event in iter_video(source, tmp_path / "out.mp4", lambda image: image * 1.0):
        if isinstance(event, Step) and event.phase == "frame":
            alive = [ref for ref in alive if ref() is not None] + [weakref.ref(event.image())]
            most = max(most, len(alive))
    assert most <= 3
