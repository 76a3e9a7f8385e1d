"""Compact encoder: the least squares solution is optimal, reported errors are true, and the file loads."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.weights import SPECS
from impasto.errors import FileExists, ImageError, OptionError
from impasto.events import Saved, Step, as_json
from impasto.networks.compact import Compact
from impasto.recipes.compact_encoder.options import CompressOptions
from impasto.recipes.compact_encoder.recipe import LAYERS, Moments, evaluate, iter_compress, squeeze
from impasto.style_transfer.options import StylizeOptions
from nets import picture, tiny_vgg

QUICK = CompressOptions(pictures=8, size=64, positions=300)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders with a few pictures each, and one file that is none."""
    paths = []
    for number, name in enumerate(("photographs", "paintings")):
        folder = tmp_path_factory.mktemp(name)
        for index in range(4):
            pixels = picture(72 + 8 * index, 80, seed=10 * number + index)[0].permute(1, 2, 0).numpy()
            Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{index}.png")
        paths.append(folder)
    (paths[1] / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    return paths


@pytest.fixture(scope="module")
def teacher():
    return tiny_vgg(padding="replicate")


def fit(folders, teacher, output, options=QUICK, **settings):
    return list(iter_compress(folders, options, output=output, teacher=teacher, **settings))


# --- least squares -------------------------------------------------------------------------------


def pairs(n=400, d=7, c=5, seed=0):
    random = np.random.default_rng(seed)
    u = random.normal(size=(n, d)) @ random.normal(size=(d, d)) + random.normal(size=d)
    y = u @ random.normal(size=(d, c)) + 0.5 * random.normal(size=(n, c)) + random.normal(size=c)
    return u, y


def fitted(u, y, rank):
    moments = Moments.empty(u.shape[1], y.shape[1])
    half = len(u) // 4  # in two unequal parts
    for part in (slice(0, half), slice(half, None)):
        fraction = len(u[part]) / len(u)
        moments.add(torch.from_numpy(u[part]).double(), torch.from_numpy(y[part]).double(), fraction)
    inner, outer, bias = (x.numpy() for x in squeeze(moments, rank, 0.0))
    assert inner.shape == (u.shape[1], rank) and outer.shape == (rank, y.shape[1])
    return u @ inner @ outer + bias


def test_full_rank_is_ordinary_least_squares():
    u, y = pairs()
    ones = np.concatenate([u, np.ones((len(u), 1))], 1)
    np.testing.assert_allclose(fitted(u, y, 5), ones @ np.linalg.lstsq(ones, y, rcond=None)[0], atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_error_of_a_lower_rank_is_that_of_the_eckart_young_theorem(rank):
    # The best rank-r fit misses the residual of full least squares plus the energy of its smallest directions.
    u, y = pairs()
    ones = np.concatenate([u, np.ones((len(u), 1))], 1)
    full = ones @ np.linalg.lstsq(ones, y, rcond=None)[0]
    left = np.linalg.svd(full - full.mean(0), compute_uv=False)[rank:]
    expected = ((y - full) ** 2).sum() + (left**2).sum()
    assert ((y - fitted(u, y, rank)) ** 2).sum() == pytest.approx(expected, rel=1e-6)


# --- the run -------------------------------------------------------------------------------------


def test_full_ranks_reproduce_vgg(folders, teacher, tmp_path):
    fit(folders, teacher, tmp_path / "a", QUICK.changed(width=32, pictures=24, ridge=1e-9))
    student, image = load_encoder(tmp_path / "a", padding="replicate"), picture(64, 64, seed=77)
    for layer in LAYERS[:4]:  # for deeper layers, these are too few pictures
        told, seen = teacher(image, [layer])[layer], student(image, [layer])[layer]
        assert (seen - told).square().sum() < 0.003 * told.square().sum(), layer  # the maps have 16 bits


def test_higher_ranks_miss_less(folders, teacher, tmp_path):
    image, missed = picture(64, 64, seed=77), []
    for width in (0.02, 0.1, 1.0):
        fit(folders, teacher, tmp_path / "a", QUICK.changed(width=width), force=True)
        seen = load_encoder(tmp_path / "a", padding="replicate")(image, ["relu3_1"])["relu3_1"]
        told = teacher(image, ["relu3_1"])["relu3_1"]
        missed.append(float((seen - told).square().sum() / (told - told.mean((2, 3), keepdim=True)).square().sum()))
    assert missed == sorted(missed, reverse=True)
    assert missed[-1] < 0.5 < missed[0]


def test_a_run_reports_every_convolution_and_ends_in_a_file_that_loads(folders, teacher, tmp_path):
    output = tmp_path / "mine.safetensors"
    events = fit(folders, teacher, output)
    steps = [event for event in events if isinstance(event, Step) and event.phase == "fit"]
    assert [event.name for event in steps] == [n for n in teacher.layer_names if n.startswith("conv")][1:]
    assert [event.step for event in steps] == list(range(1, 16)) and steps[0].steps == 15
    assert steps[-1].remaining == 0
    assert all(0 <= event.losses["missed"] < 1.1 for event in steps)
    assert events[-1] == Saved(output, "result")
    assert json.loads(json.dumps(as_json(steps[0])))["phase"] == "fit"
    network = load_encoder(output)
    assert isinstance(network, Compact) and network.widths == teacher.widths
    torch.testing.assert_close(network.gain, teacher.gain)
    torch.testing.assert_close(network.shift, teacher.shift)
    assert torch.equal(network.conv1_1.weight, teacher.conv1_1.weight)
    with safe_open(output, "pt") as file:
        told = json.loads(file.metadata()["impasto"])
    assert told["teacher"] == {"name": "vgg19", "sha256": SPECS["vgg19"].sha256}
    assert told["pictures"] == {folders[0].name: 4, folders[1].name: 5}
    assert CompressOptions(**told["options"]) == QUICK


def test_the_reported_error_is_true(folders, teacher, tmp_path):
    # One folder with one picture, as large as what is taken from it; noise comes with some seeds only.
    only = tmp_path / "only"
    only.mkdir()
    Image.fromarray((picture(64, 64)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(only / "a.png")
    options = CompressOptions(pictures=1, size=64, seed=3, positions=10_000, width=0.1)
    steps = fit([only], teacher, tmp_path / "a", options)[:-1]
    student = load_encoder(tmp_path / "a", padding="replicate")
    image = torch.from_numpy(np.asarray(Image.open(only / "a.png")).copy()).permute(2, 0, 1)[None] / 255
    found = []
    for candidate in (image, image.flip(-1)):
        seen, told = (network(candidate, ["relu2_1"])["relu2_1"] for network in (student, teacher))
        found.append(float((seen - told).square().sum() / told.square().sum()))
    assert steps[1].losses["missed"] == pytest.approx(min(found), rel=0.2)


def test_the_same_seed_gives_the_same_network(folders, teacher, tmp_path):
    for name in ("a", "b"):
        fit(folders, teacher, tmp_path / name)
    fit(folders, teacher, tmp_path / "c", QUICK.changed(seed=1))
    a, b, c = (load_encoder(tmp_path / name).state_dict() for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_bad_arguments_are_refused_at_once(folders, teacher, tmp_path):
    with pytest.raises(ImageError, match="there are no pictures; expected one or more folders"):
        fit([], teacher, tmp_path / "a")
    with pytest.raises(ImageError, match="none of the 1 pictures can be read"):
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        fit([broken], teacher, tmp_path / "a")
    (tmp_path / "b").write_text("mine")
    with pytest.raises(FileExists, match="b exists already"):
        fit(folders, teacher, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "mine"
    fit(folders, teacher, tmp_path / "c")
    with pytest.raises(OptionError, match=r"teacher is '.*c'; expected a VGG\."):
        fit(folders, None, tmp_path / "d", QUICK.changed(teacher=str(tmp_path / "c")))


def test_evaluate_distinguishes_equal_networks_from_others(teacher):
    content, style = picture(48, 64), picture(48, 48, 1)
    options = StylizeOptions(size=64, min_size=64, steps=4, polish=0)
    same = evaluate(teacher, teacher, content, style, options)
    assert max(same.missed.values()) == 0
    assert min(same.gradient.values()) == pytest.approx(1)
    assert same.by_teacher == same.by_student
    other = evaluate(tiny_vgg(seed=5, padding="replicate"), teacher, content, style, options)
    assert min(other.missed.values()) > 0 and max(other.gradient.values()) < 0.9
    assert json.loads(json.dumps(other.as_dict()))["missed"].keys() == set(LAYERS)
    assert [picture.shape for picture in other.pictures] == [(1, 3, 48, 64)] * 2
