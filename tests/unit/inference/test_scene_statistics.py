"""Statistics that the frames of a scene share: their values, equal bits, and steady results."""

import subprocess
import sys
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import clips
from impasto.api.apply import iter_apply, open_painter
from impasto.errors import OptionError
from impasto.events import Step
from impasto.inference import strips
from impasto.inference.brush import Brush
from impasto.inference.options import ApplyOptions
from impasto.inference.scene_statistics import _shared
from impasto.inference.strips import Room, Strips, apply_model, between, measure
from impasto.io.video.probe import probe
from impasto.io.video.reader import iter_frames, iter_spans
from impasto.networks import johnson, layers
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.ops.resize import resize
from nets import model_of, picture, random_johnson, random_weights, written

CPU = {"device": "cpu", "precision": "float32"}
NETWORKS = {
    "painter": lambda: random_weights(MultiStyleNetwork(16, 2, 8, styles=("identity", "a", "b"))),
    "johnson": lambda: random_johnson(),
    "lengstrom": lambda: random_weights(Lengstrom(4, 1)),
    "microast": lambda: random_microast(),
}


def random_microast():
    """A MicroAST with random weights whose pictures are about as bright as photographs."""
    net = random_weights(MicroAST())
    last = net.decoder.dec3[-1].conv_layer
    last.weight.data *= 0.01
    last.bias.data += 0.5
    return net


def style(kind):
    return picture(30, 44, 9) if kind == "microast" else None


# --- what they are -------------------------------------------------------------------------------


def test_pictures_taken_as_one():
    # one channel of two frames: 1, 3 and 5, 11. By hand: E[x] = 20 / 4 = 5, E[x²] = (1 + 9 + 25 + 121) / 4 = 39,
    # variance 39 - 25 = 14; the mean of their own variances, 1 and 9, would be 5
    mean, variance = layers.together((torch.tensor([[2.0], [8.0]]), torch.tensor([[1.0], [9.0]])))
    assert mean.tolist() == [[5.0]] and variance.tolist() == [[14.0]]


def test_a_mixture_of_two():
    # three quarters 1, 3 and a quarter 5, 11: E[x] = 0.75 * 2 + 0.25 * 8 = 3.5,
    # E[x²] = 0.75 * 5 + 0.25 * 73 = 22, variance 22 - 12.25 = 9.75
    first, second = [((torch.tensor([[m]]), torch.tensor([[v]])),) for m, v in ((2.0, 1.0), (8.0, 9.0))]
    ((mean, variance),) = between(first, second, 0.25)
    assert mean.item() == 3.5 and variance.item() == 9.75
    assert between(first, second, 0.0) == first and between(first, first, 0.3) == first


def test_frames_share_them_as_batch_normalization_does(monkeypatch):
    """Another way to the same: torch's batch normalization takes the statistics of a batch, layer after layer."""
    network, frames = random_johnson(4, 1), torch.cat([picture(24, 28, 0), 0.4 * picture(24, 28, 1)])
    found = measure(model_of(network), frames)
    painted = torch.cat([apply_model(model_of(network), frame[None], statistics=found) for frame in frames])
    assert (apply_model(model_of(network), frames) - painted).abs().mean() > 0.01

    def batch_norm(x, gamma, beta, eps, then=None):
        y = F.batch_norm(x, None, None, gamma[0], beta[0], training=True, eps=eps)
        return then(y) if then else y

    monkeypatch.setattr(johnson, "normalize", batch_norm)
    with torch.no_grad():
        expected = network.double()(frames.double()).clamp(0, 1)
    torch.testing.assert_close(painted.double(), expected, rtol=0, atol=2e-5)
    assert len(found) == 7


# --- the same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_of_one_picture_they_change_no_bit(kind):
    model, image = model_of(NETWORKS[kind]()), picture(37, 50)
    found = measure(model, image, style=style(kind), strength=0.8)
    alone = apply_model(model, image, style=style(kind), strength=0.8)
    assert torch.equal(apply_model(model, image, style=style(kind), strength=0.8, statistics=found), alone)
    other = measure(model, 0.5 * picture(37, 50, 1), style=style(kind), strength=0.8)
    assert len(other) == len(found) > 1
    assert (apply_model(model, image, style=style(kind), strength=0.8, statistics=other) - alone).abs().max() > 0.01


@pytest.mark.parametrize("kind", NETWORKS)
def test_neither_do_strips(kind):
    model, frames = model_of(NETWORKS[kind]()), torch.cat([picture(37, 50), 0.5 * picture(37, 50, 1)])
    painted, found = [], []
    for limit, strip in ((1e12, 1 << 30), (2e5, 1 << 14), (0, 1 << 13)):
        sharing = strips._Sharing(None)
        with torch.no_grad():
            model.paint(Strips.of(frames, Room(limit, strip), sharing), style=style(kind))
            out = torch.empty_like(frames[:1])
            replay = strips._Sharing(tuple(sharing.found))
            run = partial(model.paint, style=style(kind))
            strips._paint(model, run, frames[:1], "style", None, Room(limit, strip), out, replay)
        found.append(torch.cat([part for pair in sharing.found for part in pair], 1))
        painted.append(out)
    assert all(torch.equal(a, b) for a, b in pairwise(found)) and all(torch.equal(a, b) for a, b in pairwise(painted))


def test_where_memory_is_short_fewer_frames_are_measured(monkeypatch):
    model, frames = model_of(NETWORKS["painter"]()), torch.cat([picture(64, 64, seed) for seed in range(8)])
    plenty = measure(model, frames[::4])
    monkeypatch.setattr(strips, "used_memory", lambda device: 10**9)
    # a map at a joint has 16 channels of 24 x 24, 37 kB, and two are held: of two frames 147 kB, of four 295 kB
    little = 10**9 + strips._WORK * strips._STRIP[0] + 200_000
    found = measure(model, frames, max_memory=little)
    assert all(torch.equal(a, b) for pairs in zip(found, plenty, strict=True) for a, b in zip(*pairs, strict=True))
    with pytest.raises(OptionError, match="max_memory is too small"):
        measure(model, frames, max_memory=1000)


def test_those_of_another_network_are_refused():
    image = picture(20, 24)
    one, two = (model_of(random_weights(MultiStyleNetwork(8, blocks, 8))) for blocks in (1, 2))
    for model, other in ((one, two), (two, one)):
        with pytest.raises(OptionError, match="^the statistics are not those of this network's layers; expected"):
            apply_model(model, image, statistics=measure(other, image))


# --- videos --------------------------------------------------------------------------------------


def entering(count=12, height=96, width=160):
    """A photograph into whose left third something bright comes."""
    still = clips.photograph(height, width, "cat")
    frames = [still.copy() for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[:, : 4 * index] = 245
    return frames


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    written(folder / "net.safetensors", random_weights(MultiStyleNetwork(8, 1, 8, styles=("identity", "red"))))
    clips.write(folder / "enters.mp4", entering(), crf="0")
    return folder


def painted(folder, source, output, **settings):
    options = ApplyOptions(**settings, **CPU)
    events = iter_apply(open_painter(folder / "net.safetensors", options), source, options, output=output)
    return [event for event in events if isinstance(event, Step) and event.phase == "frame"]


def test_what_does_not_change_keeps_its_pixels(film, tmp_path):
    change = {}
    for choice in ("scene", "frame"):
        frames = painted(film, film / "enters.mp4", tmp_path / f"{choice}.mp4", statistics=choice)
        right = [frame.image()[..., 100:] for frame in frames]  # what enters ends at 44; the receptive field reaches 36
        change[choice] = max((image - right[0]).abs().mean().item() for image in right)
        assert (frames[0].source() - frames[-1].source())[..., 100:].abs().mean() < 0.005  # the encoder's
    assert change["scene"] < 0.1 * change["frame"]


def test_frames_get_those_of_a_sample_of_their_scene(film, tmp_path):
    cat, coffee = clips.pan(6, name="cat"), [255 - frame // 2 for frame in clips.pan(9, name="coffee")]
    clip = clips.write(tmp_path / "cut.mp4", cat + coffee)
    spans = list(iter_spans(clip))
    assert [(span.frames, span.begins, len(span.sample)) for span in spans] == [(6, True, 2), (9, True, 3)]
    frames = painted(film, clip, tmp_path / "out.mp4", size=48)
    model = open_painter(film / "net.safetensors", ApplyOptions(**CPU))
    for first, count in ((0, 6), (6, 9)):
        small = [shrunk(frame.source()) for frame in frames[first : first + count]]
        found = measure(model, torch.cat(small[::4]))
        for frame, source in zip(frames[first : first + count], small, strict=True):
            assert torch.equal(frame.image(), apply_model(model, source, statistics=found))


def shrunk(image):
    return resize(image, (36, 48)).clamp(0, 1)


def test_long_scenes_are_known_in_parts(tmp_path):
    clip = clips.write(tmp_path / "long.mp4", clips.pan(300, 32, 32, 1))
    frames = [frame for frame, _ in iter_frames(clip)]
    first, rest = iter_spans(clip)
    assert (first.frames, first.begins, rest.frames, rest.begins) == (256, True, 44, False)
    assert torch.equal(first.sample, torch.cat(frames[:256:16]))
    assert torch.equal(rest.sample, torch.cat(frames[256::4]))


def test_large_frames_make_small_samples(tmp_path, monkeypatch):
    clip = clips.write(tmp_path / "clip.mp4", clips.pan(30))
    monkeypatch.setattr("impasto.io.video.reader._PIXELS", 4 * 48 * 64)
    (span,) = iter_spans(clip)
    assert len(span.sample) == 4 and span.frames == 30  # 0, 8, 16, 24


def test_in_long_scenes_they_go_over_by_and_by(film, tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.io.video.reader._SPAN", 8)
    clip = clips.write(tmp_path / "clip.mp4", clips.pan(19))  # spans of 8, 8 and 3
    options = ApplyOptions(**CPU)
    brush = Brush(open_painter(film / "net.safetensors", options), options)
    stream = _shared(brush, clip)
    found = [next(stream)[0][0] for _ in range(25)]  # means before the first normalization; more frames than promised
    one, two = (brush.measure(span.sample)[0][0] for span in list(iter_spans(clip))[:2])
    shares = [0] * 4 + [index / 8 for index in range(8)] + [1] * 13  # the middles are frames 4 and 12
    assert (one - two).abs().max() > 1e-3
    for mean, share in zip(found, shares, strict=True):
        torch.testing.assert_close(mean, (1 - share) * one + share * two, rtol=0, atol=1e-6)


def test_on_the_command_line(film, tmp_path):
    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "impasto", "apply", film / "net.safetensors", film / "enters.mp4", *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    assert run("-o", tmp_path / "out.mp4").returncode == 0
    told = probe(tmp_path / "out.mp4")
    assert told.frames == 12 and told.metadata["options"]["statistics"] == "scene"
    wrong = run("-o", tmp_path / "other.mp4", "--statistics", "film")
    assert wrong.returncode == 2 and "frame" in wrong.stderr and "scene" in wrong.stderr
