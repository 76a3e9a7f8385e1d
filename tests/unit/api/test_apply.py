"""Pictures and videos through networks that paint, from Python and from the command line."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import clips
import impasto
from impasto.api.apply import default_output_apply, iter_apply, open_painter, start_apply
from impasto.api.rerun import iter_rerun
from impasto.api.score import score
from impasto.errors import FileExists, ImageError, OptionError, UnknownName
from impasto.events import Done, Note, Saved, Step, drain
from impasto.inference.load import load
from impasto.inference.options import ApplyOptions
from impasto.io.convert import resize_picture
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture
from impasto.io.tensors import as_tensor
from impasto.io.video.probe import probe
from impasto.networks.johnson import Johnson
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from nets import random_weights, written

COFFEE = "examples/coffee.jpg"
CPU = {"device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A network of two styles and one of a single style, with random weights."""
    folder = tmp_path_factory.mktemp("networks")
    painter = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "red", "blue"]))
    written(folder / "many.safetensors", painter)
    written(folder / "one.safetensors", random_weights(Johnson(4, 1, scale=1.0)))
    return folder


def apply(model, picture, **settings):
    own = {name: settings.pop(name) for name in ("regions", "keep") if name in settings}
    return drain(iter_apply(model, picture, ApplyOptions(**settings), **own))


def small(name=COFFEE, side=60):
    return as_tensor(resize_picture(load_picture(name), side))


def test_a_picture_gets_what_the_network_makes_of_it(files):
    model = open_painter(files / "many.safetensors", ApplyOptions(**CPU))
    photograph = small()
    painted = apply(model, photograph, style="blue", strength=0.5)
    torch.testing.assert_close(painted, model.paint(photograph, style="blue", strength=0.5), rtol=0, atol=1e-5)
    mixed = apply(model, photograph, style="red:1, blue:3")
    torch.testing.assert_close(mixed, model.paint(photograph, style={"red": 0.25, "blue": 0.75}), rtol=0, atol=1e-5)
    for same in ({"red": 1, "blue": 3}, ["red:1", "blue:3"]):
        assert torch.equal(impasto.apply(model, photograph, style=same), mixed)
    assert (mixed - painted).abs().mean() > 1e-3


def test_size_is_that_of_the_longer_side(files):
    model = open_painter(files / "one.safetensors", ApplyOptions(**CPU))
    assert apply(model, small(side=60), size=33).shape == (1, 3, 22, 33)


@pytest.mark.parametrize("network", [Johnson(4, 1, scale=1.0), Lengstrom(), MicroAST()])
def test_networks_of_every_kind_compute_in_sixteen_bits_too(network, tmp_path):
    written(tmp_path / "network.safetensors", random_weights(network))
    style = {"style": "examples/cat.jpg"} if isinstance(network, MicroAST) else {}
    fine, coarse = (
        load(tmp_path / "network.safetensors", device="cpu", precision=precision)(small(side=48), **style)
        for precision in ("float32", "bfloat16")
    )
    assert fine.dtype == coarse.dtype == torch.float32
    assert 0 < (fine - coarse).abs().mean() < 0.03


def test_what_comes_out_is_what_went_in(files):
    painter = load(files / "many.safetensors", **CPU)

    def paint(picture, style="red", **settings):
        return painter(picture, style=style, **settings)

    tensor = small()
    painted = paint(tensor)
    assert painted.shape == tensor.shape
    array = (255 * tensor[0].permute(1, 2, 0).numpy()).round().astype(np.uint8)
    assert paint(array).dtype == np.uint8 and paint(array).shape == array.shape
    assert abs(paint(array) / 255.0 - painted[0].permute(1, 2, 0).numpy()).mean() < 0.01
    assert paint(COFFEE, size=64).size == (64, 43)
    assert (paint(tensor, style="blue") - painted).abs().mean() > 1e-3


def test_regions_have_their_own_style_and_kept_parts_stay(files, tmp_path):
    model = open_painter(files / "many.safetensors", ApplyOptions(**CPU))
    photograph = small()
    left = np.zeros(photograph.shape[-2:], np.float32)
    left[:, :30] = 1
    painted = apply(model, photograph, style="red", feather=0, regions=[(left, "blue")])
    assert (painted[..., 44:] - painted[..., :16]).abs().mean() > 0
    everywhere = apply(model, photograph, style="red", feather=0, regions=[(np.ones_like(left), "blue")])
    torch.testing.assert_close(everywhere, apply(model, photograph, style="blue"), rtol=0, atol=1e-5)
    kept = apply(model, photograph, style="red", feather=0, keep=left)
    assert torch.equal(kept[..., :30], photograph[..., :30])
    torch.testing.assert_close(kept[..., 30:], apply(model, photograph, style="red")[..., 30:], rtol=0, atol=0)


def test_a_file_carries_how_it_was_made_and_is_not_overwritten(files, tmp_path):
    model = open_painter(files / "one.safetensors", ApplyOptions(**CPU))
    target = default_output_apply(COFFEE, model, tmp_path)
    assert target.name == "coffee_one.png"
    events = list(iter_apply(model, COFFEE, ApplyOptions(size=64), output=target))
    assert [type(event) for event in events][-2:] == [Saved, Done]
    record = read_metadata(target)
    assert record["operation"] == "apply" and record["model"]["name"] == "one" and record["options"]["size"] == 64
    with pytest.raises(FileExists):
        iter_apply(model, COFFEE, output=target)


def test_what_a_result_of_apply_carries_makes_it_again(files, tmp_path):
    path, mask = tmp_path / "many.safetensors", np.zeros((40, 60, 3), np.float32)
    path.write_bytes((files / "many.safetensors").read_bytes())
    mask[:, :20] = 1
    save_picture(tmp_path / "mask.png", load_picture(mask))
    save_picture(tmp_path / "photo.png", resize_picture(load_picture(COFFEE), 60))
    given = {"style": "red:0.25,blue:0.75", "strength": 0.5, **CPU}
    parts = {"regions": [(str(tmp_path / "mask.png"), "red")], "keep": f"not:{tmp_path / 'mask.png'}"}
    model = open_painter(path, ApplyOptions(**CPU))
    impasto.apply(path, tmp_path / "photo.png", **given, **parts, output=tmp_path / "a.png")
    record = read_metadata(tmp_path / "a.png")
    assert record["model"] == {"name": "many", "source": str(path), "sha256": model.sha256}
    assert [one["source"] for one in record["styles"]] == ["red", "blue"]
    drain(iter_rerun(tmp_path / "a.png"))
    assert (tmp_path / "a-rerun.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    other = drain(iter_rerun(tmp_path / "a.png", styles=["blue"], output=tmp_path / "b.png", strength=1.0))
    expected = apply(model, as_tensor(load_picture(tmp_path / "photo.png")), style="blue", **parts)
    torch.testing.assert_close(other, expected, rtol=0, atol=1e-5)
    for settings, words in (({"steps": 3}, "which has no option steps"), ({"quality": "draft"}, "leave out --quality"),
                            ({"resume": True}, "leave out --resume")):  # fmt: skip
        with pytest.raises(OptionError, match=f"a.png was painted in one pass.*{words}"):
            iter_rerun(tmp_path / "a.png", output=tmp_path / "c.png", **settings)
    written(path, random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "red", "blue"]), seed=1))
    with pytest.raises(ImageError, match="many.safetensors has changed since"):
        iter_rerun(tmp_path / "a.png", output=tmp_path / "c.png")


def test_a_sheet_shows_one_photograph_in_all_styles(files, tmp_path):
    page = impasto.apply(files / "many.safetensors", COFFEE, sheet=True, size=90, output=tmp_path / "a.jpg", **CPU)
    assert page.size == load_picture(tmp_path / "a.jpg").pixels.shape[1::-1]
    assert page.width > 90 + 16 and page.height > 60 + 16  # three pictures with labels
    array = np.asarray(page, np.float32) / 255
    model = open_painter(files / "many.safetensors", ApplyOptions(**CPU))
    for style in ("red", "blue"):
        assert contains(array, apply(model, small(side=90), style=style)[0].permute(1, 2, 0).numpy())
    with pytest.raises(FileExists):
        impasto.apply(files / "many.safetensors", COFFEE, sheet=True, output=tmp_path / "a.jpg")
    for settings, words in (
        ({"style": "red"}, "leave out --style"),
        ({"regions": [("a.png", "red")]}, "without regions"),
    ):
        with pytest.raises(OptionError, match=words):
            impasto.apply(files / "many.safetensors", COFFEE, sheet=True, **settings)
    with pytest.raises(OptionError, match="one has no styles to choose from; leave out --sheet"):
        impasto.apply(files / "one.safetensors", COFFEE, sheet=True)


def test_a_sheet_of_any_number_of_styles_and_kind_of_picture(tmp_path):
    styles = [IDENTITY, *(f"a style with the long name {number}" for number in range(9))]
    written(tmp_path / "many.safetensors", random_weights(MultiStyleNetwork(4, 1, 4, styles=styles)))
    gray = np.linspace(0, 65535, 24 * 60).reshape(24, 60).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    rgba = np.zeros((60, 24, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "clear.webp", lossless=True)
    flat = impasto.apply(tmp_path / "many.safetensors", tmp_path / "gray.png", sheet=True, **CPU)
    tall = impasto.apply(tmp_path / "many.safetensors", tmp_path / "clear.webp", sheet=True, **CPU)
    assert flat.mode == tall.mode == "RGB" and flat.size != tall.size
    assert np.asarray(tall)[8:60, 8:30].min() == 255  # transparent parts are white


def contains(page, cell):
    """Whether a picture is on a page, within rounding."""
    windows = np.lib.stride_tricks.sliding_window_view(page[..., 0], cell.shape[:2])[:, :, ::30, ::30]
    return bool((np.abs(windows - cell[::30, ::30, 0]).max((-2, -1)) < 0.01).any())


def test_a_result_of_apply_is_scored_by_its_own_photograph_and_style(files, tmp_path):
    painter = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "swirl"]))
    written(tmp_path / "one.safetensors", painter)
    model = open_painter(tmp_path / "one.safetensors", ApplyOptions(**CPU))
    drain(iter_apply(model, COFFEE, ApplyOptions(size=64), output=tmp_path / "a.png"))
    found = score(tmp_path / "a.png", encoder="compact")
    assert found == score(tmp_path / "a.png", COFFEE, "swirl", encoder="compact")
    single = open_painter(files / "one.safetensors", ApplyOptions(**CPU))
    drain(iter_apply(single, COFFEE, ApplyOptions(size=64), output=tmp_path / "b.png"))
    with pytest.raises(ImageError, match="b.png does not say its style; name a file for it"):
        score(tmp_path / "b.png", encoder="compact")


def test_a_video_is_painted_frame_by_frame(files, tmp_path):
    clip = clips.write(tmp_path / "clip.mp4", clips.pan(6), clips.NTSC, sound=("aac",))
    model = open_painter(files / "many.safetensors", ApplyOptions(**CPU))
    target = default_output_apply(clip, model, tmp_path)
    assert target.name == "clip_many.mp4"
    options = ApplyOptions(style="red", flicker=True, statistics="frame", **CPU)
    events = list(iter_apply(model, clip, options, output=target))
    frames = [event for event in events if isinstance(event, Step) and event.phase == "frame"]
    assert len(frames) == 6
    torch.testing.assert_close(frames[2].image(), model.paint(frames[2].source(), style="red"), rtol=0, atol=1e-5)
    assert any("flicker" in event.text for event in events if isinstance(event, Note))
    before, after = probe(clip), probe(target)
    assert (after.frame_rate, after.frames, after.sound) == (clips.NTSC, 6, before.sound)
    assert after.metadata["operation"] == "apply"


@pytest.mark.parametrize("suffix", ["gif", "png", "apng", "webp"])
def test_all_frames_of_an_animation_or_a_word(suffix, files, tmp_path):
    frames = [Image.new("RGB", (32, 32), (60 * i, 90, 200)) for i in range(3)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=100)
    model = open_painter(files / "one.safetensors", ApplyOptions(**CPU))
    events = list(iter_apply(model, tmp_path / f"a.{suffix}", output=tmp_path / "still.png"))
    assert Note(f"a.{suffix} has 3 frames; only the first is read") in events
    for name in ("out.gif", "out.mp4"):
        if suffix == "webp":  # FFmpeg does not read it
            with pytest.raises(ImageError, match=f"{name} names no format we can write"):
                iter_apply(model, tmp_path / f"a.{suffix}", output=tmp_path / name)
            continue
        assert start_apply(model, tmp_path / f"a.{suffix}", output=tmp_path / name).wait() == tmp_path / name
        assert probe(tmp_path / name).frames == 3


def test_what_cannot_be_painted_is_one_sentence(files, tmp_path):
    many = open_painter(files / "many.safetensors", ApplyOptions(**CPU))
    one = open_painter(files / "one.safetensors", ApplyOptions(**CPU))
    with pytest.raises(UnknownName, match="green"):
        iter_apply(many, COFFEE, ApplyOptions(style="green"))
    with pytest.raises(OptionError, match=r"^the weight of a style is 'much'; expected a number"):
        iter_apply(many, COFFEE, ApplyOptions(style="red:much"))
    with pytest.raises(OptionError, match=r"has one style; leave out the style\.$"):
        iter_apply(one, COFFEE, ApplyOptions(style="red"))
    with pytest.raises(OptionError, match=r"^this network has one style for the whole picture; leave out --region"):
        iter_apply(one, COFFEE, regions=[("alpha", "red")])
    with pytest.raises(OptionError, match=r"is a video; expected a video file for the result"):
        iter_apply(one, tmp_path / "clip.mp4", output=tmp_path / "still.png")


def run(*words):
    done = subprocess.run(
        [sys.executable, "-m", "impasto", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done


def test_an_interrupted_video_leaves_nothing_behind(files, tmp_path):
    clip = clips.write(tmp_path / "clip.mp4", clips.pan(200))
    words = ["apply", files / "many.safetensors", clip, "--style", "red", "-o", tmp_path / "out.mp4", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "impasto", *map(str, words)], stdout=subprocess.PIPE, text=True
    ) as run:
        for line in run.stdout:
            if json.loads(line).get("phase") == "frame":
                break
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
    assert run.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_from_a_painting_to_pictures_on_the_command_line(tmp_path):
    trained = run(
        "train", "johnson", "swirl", "examples", "--steps", 3, "--crop", 64, "--style-size", 64, "--batch", 1,
        "--network", "light", "--width", 4, "--blocks", 1, "-o", tmp_path / "swirled",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.split() == [str(tmp_path / "swirled" / "model.safetensors")]
    row = run(
        "train", "style", "mosaic", "examples", "--base", tmp_path / "swirled", "--steps", 2, "--crop", 64,
        "--style-size", 64, "--batch", 1, "-o", tmp_path / "tiles",
    )  # fmt: skip
    assert row.returncode == 0, row.stderr
    assert (tmp_path / "tiles" / "model.safetensors").stat().st_size < 100_000
    applied = run("apply", tmp_path / "swirled", COFFEE, "examples/cat.jpg", "--size", 64, "-o", tmp_path / "out")
    assert applied.returncode == 0, applied.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cat_swirled.png", "coffee_swirled.png"]
    assert load_picture(tmp_path / "out" / "cat_swirled.png").pixels.shape[1] == 64
    again = run("apply", tmp_path / "swirled", COFFEE, "-o", tmp_path / "out" / "coffee_swirled.png")
    assert again.returncode == 2 and "--force" in again.stderr
    missing = run("apply", tmp_path / "nothing.pth", COFFEE)
    assert missing.returncode != 0 and "nothing.pth does not exist" in missing.stderr


def test_a_hyphen_in_the_name_of_a_style_is_an_underscore(tmp_path):
    painter = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "stained_glass", "blue"]))
    written(tmp_path / "glass.safetensors", painter)
    model = open_painter(tmp_path / "glass.safetensors", ApplyOptions(**CPU))
    painted = apply(model, small(), style="stained-glass:1,blue:1", **CPU)
    same = apply(model, small(), style="stained_glass:1,blue:1", **CPU)
    torch.testing.assert_close(painted, same, rtol=0, atol=0)
