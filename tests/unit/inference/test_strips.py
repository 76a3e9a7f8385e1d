"""Strips change how long it takes and nothing else: bits, sizes, memory."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import impasto
from impasto.errors import ImageError, OptionError
from impasto.inference import strips
from impasto.inference.strips import Room, Strips, apply_model
from impasto.networks import layers
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.pyramid import PyramidNetwork
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from nets import model_of, picture, random_johnson, random_weights

NETWORKS = {
    "painter": lambda: random_weights(MultiStyleNetwork(16, 2, 8, styles=("identity", "a", "b"))),
    "pyramid": lambda: random_weights(PyramidNetwork((12, 8, 8), (1, 1, 1), 8, styles=("identity", "a", "b"))),
    "johnson": lambda: random_johnson(),
    "lengstrom": lambda: random_weights(Lengstrom(4, 1)),
    "microast": lambda: random_weights(MicroAST()),
    "resnet": lambda: random_weights(ResNetGenerator(8, 2)),
    "resnet with blurs and batch norm": lambda: random_weights(
        ResNetGenerator(4, 1, "batch", blur_down=True, blur_up=True)
    ),
    "unet": lambda: random_weights(UNetGenerator(2, 5)),
    "unet as in the paper": lambda: random_weights(UNetGenerator(2, 6)).train(),
    "unet with instance norm": lambda: random_weights(UNetGenerator(2, 6, "instance")),
}


def style(kind):
    return picture(30, 44, 9) if kind == "microast" else None


def in_strips(model, image, blend, limit, strip, colors="style", mask=None):
    out = torch.full_like(image, torch.nan)
    room = Room(limit, strip)
    with torch.no_grad():
        strips._paint(model, partial(model.paint, style=blend), image, colors, mask, room, out)
    return out


# --- the same bits -------------------------------------------------------------------------------

# the last: 131 rows at a quarter are 33, so with strips of 4, 8 or 16 rows the last one is narrower than the reach
SIZES = [(37, 50), (9, 9), (64, 203), (131, 45)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_strips_have_the_bits_of_the_whole(kind, size):
    model, image = model_of(NETWORKS[kind]()), picture(*size)
    with torch.no_grad():
        whole = model.paint(image, style=style(kind))  # plain torch, nothing of `application`
    assert whole.std() > 0.005
    for limit, strip in ((0, 1 << 13), (0, 1 << 15), (2e5, 1 << 14), (1e12, 1 << 30)):
        assert torch.equal(in_strips(model, image, style(kind), limit, strip), whole)


@pytest.mark.parametrize("kind", ["painter", "pyramid"])
def test_so_has_bfloat16(kind):
    model, image = model_of(NETWORKS[kind]().to(torch.bfloat16)), picture(61, 90)
    with torch.no_grad():
        whole = model.paint(image)
    assert torch.equal(in_strips(model, image, None, 0, 1 << 14), whole)


@pytest.mark.parametrize("kind", ["painter", "pyramid"])
def test_so_have_maps_of_styles(kind):
    model, image = model_of(NETWORKS[kind]()), picture(61, 90)
    slope = torch.linspace(0, 1, 90).expand(1, 1, 61, 90)
    blend = {"a": slope, "b": 1 - slope}
    with torch.no_grad():
        whole = model.paint(image, style=blend)
    assert torch.equal(in_strips(model, image, blend, 0, 1 << 14), whole)


def test_max_memory_changes_no_bit(monkeypatch):
    model, image = model_of(NETWORKS["painter"]()), picture(300, 201)
    rooms = []

    class Watched(Room):
        def __init__(self, limit, strip, **settings):
            super().__init__(limit, strip // 64, **settings)
            rooms.append(self)

    monkeypatch.setattr(strips, "Room", Watched)
    monkeypatch.setattr(strips, "used_memory", lambda device: 10**9)
    plenty = apply_model(model, image, max_memory=10**11)
    little = apply_model(model, image, max_memory=10**9 + strips._WORK * strips._STRIP[0] + 1_600_000)
    assert torch.equal(plenty, little)
    assert rooms[1].limit < 1e6 < rooms[0].limit and rooms[0].strip > rooms[1].strip


def test_too_little_memory_is_said():
    with pytest.raises(OptionError, match="max_memory is too small for this picture by .*M at least"):
        apply_model(model_of(NETWORKS["painter"]()), picture(64, 64), max_memory=1000)


def test_statistics_do_not_depend_on_strips():
    x = torch.randn(1, 5, 37, 29, generator=torch.Generator().manual_seed(0)) * 3 + 100
    mean, variance = layers.moments(x)
    torch.testing.assert_close(mean.double(), x.double().mean((2, 3)), rtol=1e-7, atol=0)
    torch.testing.assert_close(variance.double(), x.double().var((2, 3), correction=0), rtol=1e-5, atol=0)
    for strip in (1, 1000, 10_000):
        found = Strips(Room(0, strip), (37, 29), lambda top, bottom: x[..., top:bottom, :]).moments()
        assert torch.equal(found[0], mean) and torch.equal(found[1], variance)


def test_a_constant_has_no_variance_at_all():
    mean, variance = layers.moments(torch.full((1, 2, 40, 31), 0.7))
    assert torch.equal(variance, torch.zeros(1, 2)) and torch.equal(mean, torch.full((1, 2), 0.7))


# --- layers --------------------------------------------------------------------------------------

LAYERS = {
    "reflect 3": layers.Conv(torch.randn(4, 3, 3, 3)),
    "reflect 9": layers.Conv(torch.randn(4, 3, 9, 9)),
    "reflect 3 by 2": layers.Conv(torch.randn(4, 3, 3, 3), torch.randn(4), stride=2),
    "zeros 3 by 2": layers.Conv(torch.randn(4, 3, 3, 3), stride=2, padding="zeros"),
    "zeros 9": layers.Conv(torch.randn(4, 3, 9, 9), padding="zeros"),
    "before 2": layers.Conv(torch.randn(4, 3, 2, 2), padding="before"),
    "around 3 by 2": layers.Conv(torch.randn(4, 3, 3, 3), torch.randn(4), stride=2, padding="around"),
    "full 2": layers.Conv(torch.randn(4, 3, 2, 2), torch.randn(4), padding="full"),
    "nearest": layers.Upsample(),
    "bilinear": layers.Bilinear(),
    "extend": layers.Extend(24, 28),
    "crop": layers.Extend(9, 7),
}


@pytest.mark.parametrize("size", [(20, 12), (21, 17), (5, 6), (1, 1)])
@pytest.mark.parametrize("name", LAYERS)
def test_any_rows_of_a_layer_are_those_of_the_whole(name, size):
    layer, x = LAYERS[name], picture(*size)
    whole = layer(x)
    height, width = layer.size(*size)
    assert whole.shape[-2:] == (height, width)
    for top in range(height):
        for bottom in {top + 1, min(height, top + 3), height}:
            first, last = layer.needs(top, bottom, size[0])
            assert 0 <= first < last <= size[0]
            part = layer.rows(x[..., first:last, :], first, size[0], top, bottom)
            assert torch.equal(part, whole[..., top:bottom, :])


@pytest.mark.parametrize("factor", [2, 4])
def test_squares_and_channels(factor):
    x = torch.arange(3 * 8 * 12.0).view(1, 3, 8, 12)
    small = layers.Unshuffle(factor)
    assert torch.equal(small.rows(x[..., 4:8, :], 4, 8, 4 // factor, 8 // factor), small(x)[..., 4 // factor :, :])
    back = layers.Shuffle(factor)
    assert torch.equal(back(small(x)), x)
    assert torch.equal(back.rows(small(x), 0, 8 // factor, 3, 6), x[..., 3:6, :])


def test_reflection_goes_on_as_often_as_it_takes():
    # 3 rows reflected: ... 1 0 | 0 1 2 | without the border: 2 1 0 1 2 1 0 1 2
    x = torch.tensor([10.0, 20.0, 30.0]).view(1, 1, 3, 1).expand(1, 3, 3, 1)
    assert layers.Extend(9, 1)(x)[0, 0, :, 0].tolist() == [10, 20, 30, 20, 10, 20, 30, 20, 10]


# --- what it does --------------------------------------------------------------------------------


def test_each_picture_of_a_batch_is_painted_alone():
    model = model_of(NETWORKS["painter"]())
    images = torch.cat([picture(30, 42, seed) for seed in (0, 1)])
    rows = model.network.embeddings[[1, 2]]
    both = apply_model(model, images, style=rows)
    for index in (0, 1):
        assert torch.equal(both[index : index + 1], apply_model(model, images[index][None], style=rows[index]))


def test_luminance_keeps_the_colors():
    model, image = model_of(NETWORKS["johnson"]()), 0.35 + 0.3 * picture(30, 42)
    plain, grey = apply_model(model, image), apply_model(model, image, colors="luminance")
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    inside = (grey > 0).all(1) & (grey < 1).all(1)  # where nothing was clamped
    assert inside.float().mean() > 0.2
    chroma = [(x - (x * weights).sum(1, True)).movedim(1, -1)[inside] for x in (grey, image)]
    torch.testing.assert_close(*chroma, rtol=0, atol=1e-6)
    light = [(x * weights).sum(1)[inside] for x in (grey, plain)]
    torch.testing.assert_close(*light, rtol=0, atol=1e-6)


def test_a_mask_says_where():
    model, image = model_of(NETWORKS["johnson"]()), picture(30, 42)
    mask = torch.zeros(1, 1, 30, 42)
    mask[..., :20] = 1
    mask[..., 20:25] = 0.25
    plain, masked = apply_model(model, image), apply_model(model, image, mask=mask)
    assert torch.equal(masked[..., :20], plain[..., :20]) and torch.equal(masked[..., 25:], image[..., 25:])
    torch.testing.assert_close(masked[..., 20:25], (0.25 * plain + 0.75 * image)[..., 20:25], rtol=0, atol=1e-6)


def test_the_image_is_left_as_it_is():
    image = picture(30, 42)
    before = image.clone()
    apply_model(model_of(NETWORKS["lengstrom"]()), image, strength=0.5)
    assert torch.equal(image, before)


def test_no_frame_is_painted_around_a_flat_picture():
    """Reflection leaves none; zeros, which lengstrom's has, do: the test can see one."""
    flat = torch.full((1, 3, 60, 72), 0.4)
    edges = {}
    for kind in ("painter", "johnson", "lengstrom"):
        painted = apply_model(model_of(NETWORKS[kind]()), flat)
        edges[kind] = (painted - painted[..., 30:31, 36:37]).abs().max().item()
    assert edges["painter"] < 1e-5 and edges["johnson"] < 1e-5
    assert edges["lengstrom"] > 0.01


@pytest.mark.parametrize(
    ("image", "settings", "error", "message"),
    [
        (torch.zeros(3, 8, 8), {}, ImageError, r"expected \(B, 3, H, W\)"),
        (torch.zeros(1, 4, 8, 8), {}, ImageError, r"expected \(B, 3, H, W\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), {}, ImageError, "decimal numbers"),
        (torch.zeros(1, 3, 0, 8), {}, ImageError, "expected"),
        (torch.zeros(1, 3, 8, 8), {"mask": torch.zeros(1, 1, 8, 9)}, ImageError, r"expected \(1, 1, 8, 8\)"),
        (torch.zeros(1, 3, 8, 8), {"colors": "match"}, OptionError, "expected 'style' or 'luminance'"),
    ],
)
def test_what_cannot_be_painted_is_refused(image, settings, error, message):
    with pytest.raises(error, match=message):
        apply_model(model_of(NETWORKS["johnson"]()), image, **settings)


# --- memory --------------------------------------------------------------------------------------

MEASURE = """
import re, sys, torch
from impasto.inference.strips import apply_model
from impasto.inference.painter import Painter
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.translators import ResNetGenerator, UNetGenerator
torch.set_num_threads(1)
model = Painter(MultiStyleNetwork(16, 1, 48).requires_grad_(False))
image = torch.rand(1, 3, 1200, 1600)
apply_model(model, image[..., :64, :64])
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = peak()
apply_model(model, image, max_memory=int(sys.argv[1]) if len(sys.argv) > 1 else None)
print(before, peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_memory_stays_under_the_limit():
    """Of 1.9 megapixels the widest map, 48 channels at a half, has 96 MB."""

    def peak(*arguments):
        source = str(Path(impasto.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True,
            env={"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        before, most = map(int, done.stdout.split())
        return before * 1024, most * 1024

    before, free = peak()
    limit = before + 170_000_000
    _, bounded = peak(str(limit))
    assert bounded < limit < free


def test_more_rows_than_a_strip_are_asked_for_at_joints_only():
    """Held maps are given back when nothing needs them: what is used at the end is the last joint."""
    room = Room(1e12)
    image = picture(64, 64)
    model = model_of(NETWORKS["johnson"]())
    with torch.no_grad():
        result = model.paint(Strips.of(image, room))
        held = room.used
        del result
    # 64 px: deconv2 at full resolution with 8 channels, and nothing before it
    assert held == 64 * 64 * 8 * 4
    assert room.used == 0


def test_a_room_counts():
    class Owner:
        pass

    a, b, c, d = Owner(), Owner(), Owner(), Owner()
    room = Room(100, strict=True)
    assert room.take(60, a, must=False) and not room.take(60, b, must=False)
    assert room.take(60, b, must=True)  # beyond the limit for now: `a` will go
    del a
    assert room.used == 60
    assert not room.take(30, c, must=False)  # the next joint will need 60 again, though only 40 are free
    with pytest.raises(OptionError, match="by 0.0M"):
        room.take(50, d, must=True)
    del b
    assert room.used == room.needed == 0


def test_flat_pictures_in_strips_too():
    flat = torch.full((1, 3, 90, 72), 0.25)
    painted = in_strips(model_of(NETWORKS["painter"]()), flat, None, 0, 1 << 13)
    assert F.max_pool2d(painted, (90, 72)).sub(-F.max_pool2d(-painted, (90, 72))).abs().max() < 1e-5
