"""The public door: everything it takes, everything it gives back, and files that can be repeated."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.api.contact_sheet import iter_contact_sheet
from impasto.api.rerun import iter_rerun
from impasto.api.score import high_pass_picture
from impasto.api.stylize import checkpoint_path, default_output, iter_stylize
from impasto.data.styles import open_style
from impasto.errors import CheckpointError, FileExists, ImageError, OptionError, SavedElsewhere, UnknownName
from impasto.events import Done, Note, Saved, Started, Step, as_json
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture
from impasto.style_transfer.options import StylizeOptions
from nets import picture, tiny_vgg

FEW = StylizeOptions(size=48, min_size=24, steps=4, device="cpu")


def opened(path):
    with Image.open(path) as image:
        return image.copy()


@pytest.fixture
def files(tmp_path):
    for name, seed in (("photo", 0), ("painting", 1)):
        pixels = (picture(36, 48, seed)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def paint(files, **kwargs):
    return list(iter_stylize(files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), **kwargs))


# --- kinds -----------------------------------------------------------------


def test_you_get_back_what_you_gave(files):
    tensor = load_picture(files / "photo.png").pixels
    array = np.asarray(opened(files / "photo.png"))
    style = opened(files / "painting.png")
    results = {
        "path": impasto.stylize(files / "photo.png", style, options=FEW, encoder=tiny_vgg()),
        "pillow": impasto.stylize(Image.fromarray(array), style, options=FEW, encoder=tiny_vgg()),
        "array": impasto.stylize(array, style, options=FEW, encoder=tiny_vgg()),
        "tensor": impasto.stylize(torch.from_numpy(tensor).permute(2, 0, 1), style, options=FEW, encoder=tiny_vgg()),
    }
    assert isinstance(results["path"], Image.Image)
    assert isinstance(results["pillow"], Image.Image)
    assert results["array"].dtype == np.uint8
    assert results["array"].shape == (36, 48, 3)
    assert results["tensor"].shape == (1, 3, 36, 48)
    as_bytes = results["tensor"][0].permute(1, 2, 0).numpy() * 255
    for kind in ("path", "pillow", "array"):
        np.testing.assert_array_less(np.abs(np.asarray(results[kind]) - as_bytes), 0.5001)
        np.testing.assert_array_equal(results[kind], results["array"])


def test_settings_by_name_replace_the_options():
    image = impasto.stylize(picture(36, 48), picture(40, 40, 1), options=FEW, size=32, encoder=tiny_vgg())
    assert image.shape == (1, 3, 24, 32)


def test_styles_of_ours_go_by_name_and_seed():
    arguments = (picture(36, 48), ["swirl:3"])
    a, b = (impasto.stylize(*arguments, options=FEW, encoder=tiny_vgg()) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(a, impasto.stylize(picture(36, 48), "swirl", options=FEW, encoder=tiny_vgg()))


def test_the_margin_of_a_style_image_is_cut_off(files):
    painting = np.asarray(opened(files / "painting.png"))
    framed = np.full((42, 56, 3), 250, np.uint8)
    framed[3:39, 4:52] = painting
    Image.fromarray(framed).save(files / "framed.png")

    def result(style, crop):
        options = FEW.changed(style_crop=crop)
        return impasto.stylize(picture(36, 48), files / style, options=options, encoder=tiny_vgg())

    bare = result("painting.png", "none")
    assert torch.equal(result("framed.png", "auto"), bare)
    assert torch.equal(result("framed.png", f"{4 / 56},{3 / 42},{48 / 56},{36 / 42}"), bare)
    assert not torch.equal(result("framed.png", "none"), bare)


def test_a_picture_of_an_older_version_is_repeated_as_it_was(files):
    new = {"content_focus": 0, "strokes": 0, "style_crop": "none", "motifs": 0}  # which older versions did not record
    options = FEW.changed(polish=0, style_layers="relu1_1,relu2_1", **new)
    list(iter_stylize(files / "photo.png", files / "painting.png", options, output=files / "out.png"))
    record = read_metadata(files / "out.png")
    record["options"] = {name: value for name, value in record["options"].items() if name not in new}
    save_picture(files / "old.png", load_picture(files / "out.png"), metadata=record)
    list(iter_rerun(files / "old.png", output=files / "again.png"))
    assert np.array_equal(np.asarray(opened(files / "again.png")), np.asarray(opened(files / "out.png")))


def test_a_crop_applies_to_built_in_styles_too():
    left, whole = (open_style("swirl", 64, crop) for crop in ((0, 0, 0.5, 1), "auto"))
    assert np.array_equal(left.pixels, whole.pixels[:, :32])
    assert left.digest == whole.digest


def test_transparency_stays(files):
    pixels = np.asarray(opened(files / "photo.png"))
    alpha = np.zeros((36, 48), np.uint8)
    alpha[:, 24:] = 255
    Image.fromarray(np.dstack([pixels, alpha])).save(files / "cut.png")
    list(iter_stylize(files / "cut.png", files / "painting.png", FEW, encoder=tiny_vgg(), output=files / "out.png"))
    result = opened(files / "out.png")
    assert result.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(result)[:, :, 3], alpha)


# --- files -----------------------------------------------------------------


def test_a_preview_overwrites_nothing_unasked(files):
    before = (files / "photo.png").read_bytes()
    with pytest.raises(FileExists, match=r"photo\.png exists already; pass --force"):
        paint(files, output=files / "out.png", preview=files / "photo.png")
    with pytest.raises(OptionError, match=r"out\.png is the result, too; name another file for the preview"):
        paint(files, output=files / "out.png", preview=files / "." / "out.png", force=True)
    assert (files / "photo.png").read_bytes() == before and not (files / "out.png").exists()
    (files / "preview.png").write_bytes(b"mine")
    paint(files, output=files / "out.png", preview=files / "preview.png", force=True)
    assert opened(files / "preview.png").size == (48, 36)
    paint(files, output=files / "next.png", preview=files / "preview.png")  # of the same process: the next of a folder


def test_the_place_is_checked_before_the_first_step(files):
    (files / "file").write_text("mine")
    for where in ({"output": files / "file" / "out.png"}, {"preview": files / "file" / "preview.png"}):
        with pytest.raises(ImageError, match="file is a file; expected a folder"):
            iter_stylize(files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), **where)
    name = "x" * 240 + ".png"  # fits; that of the checkpoint does not
    with pytest.raises(ImageError, match="File name too long"):
        iter_stylize(files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), output=files / name)


def gone_at(files, step, **kwargs):
    """Paint into a folder that becomes a file after so many steps; return events and error."""
    events, told = iter_stylize(files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), **kwargs), []
    with pytest.raises(SavedElsewhere) as error:
        for event in events:
            told.append(event)
            if isinstance(event, Step) and len([one for one in told if isinstance(one, Step)]) == step:
                shutil.rmtree(files / "out")
                (files / "out").write_text("a file by now")
    return told, error.value


def test_a_picture_whose_place_goes_away_is_saved_beside(files, monkeypatch):
    (files / "home").mkdir()
    monkeypatch.chdir(files / "home")
    (files / "out").mkdir()
    told, error = gone_at(files, 2, output=files / "out" / "a.png")
    assert told[-1] == Saved(error.path, "result") and error.path.parent == files / "home"
    paint(files, output=files / "whole.png")
    assert error.path.read_bytes() == (files / "whole.png").read_bytes()


def test_a_preview_whose_place_goes_away_stops_nothing(files, monkeypatch):
    monkeypatch.setattr("impasto.api.stylize.PREVIEW_SECONDS", 0)
    monkeypatch.setattr("impasto.api.stylize._SHARE", 0)
    (files / "p").mkdir()
    told = []
    for event in iter_stylize(
        files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), output=files / "out.png",
        preview=files / "p" / "preview.png",
    ):  # fmt: skip
        told.append(event)
        if isinstance(event, Step) and (files / "p").is_dir():
            shutil.rmtree(files / "p")
            (files / "p").write_text("a file by now")
    notes = [event.text for event in told if isinstance(event, Note) and "preview" in event.text]
    assert len(notes) == 1 and notes[0].startswith("no more previews: p is a file") or "cannot be written" in notes[0]
    assert (files / "out.png").exists()


def test_a_foreign_file_in_place_of_the_checkpoint_stays(files):
    mine = checkpoint_path(files / "out.png")
    mine.write_bytes(b"mine")
    events = paint(files, output=files / "out.png")
    assert Note(f"{mine} is of something else and stays; there will be no checkpoint") in events
    assert mine.read_bytes() == b"mine" and opened(files / "out.png").size == (48, 36)
    (files / "out.png").unlink()
    stopped = iter_stylize(
        files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), output=files / "out.png"
    )
    next(event for event in stopped if isinstance(event, Step))
    stopped.close()
    assert mine.read_bytes() == b"mine" and "unfinished" in read_metadata(files / "out.png")


def test_events_and_files_of_a_run(files):
    events = paint(files, output=files / "out.png", preview=files / "preview.jpg")
    kinds = [type(event) for event in events]
    assert kinds[0] is Started
    assert kinds[-1] is Done
    assert events[0].content == "photo"
    assert {event.kind for event in events if isinstance(event, Saved)} == {"preview", "result"}
    assert opened(files / "out.png").size == (48, 36)
    assert opened(files / "preview.jpg").size == (48, 36)
    assert not checkpoint_path(files / "out.png").exists()
    record = read_metadata(files / "out.png")
    assert StylizeOptions(**record["options"]) == FEW
    assert record["content"]["source"] == str(files / "photo.png")


def test_events_are_plain_json(files):
    for event in paint(files):
        assert json.loads(json.dumps(as_json(event)))["event"] in ("started", "step", "done")


def test_nothing_is_overwritten(files):
    (files / "out.png").write_bytes(b"precious")
    with pytest.raises(FileExists, match="out.png exists already; pass --force"):
        iter_stylize(files / "photo.png", files / "painting.png", FEW, output=files / "out.png")
    assert (files / "out.png").read_bytes() == b"precious"
    paint(files, output=files / "out.png", force=True)
    assert opened(files / "out.png").size == (48, 36)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_closed_keeps_the_picture_and_resumes_to_the_same_bytes(files, stop):
    whole, broken = files / "whole.png", files / "broken.png"
    paint(files, output=whole)
    events = iter_stylize(files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), output=broken)
    for event in events:
        if isinstance(event, Step) and event.step == stop:
            break
    events.close()
    assert opened(broken).size[0] in (24, 48)
    assert read_metadata(broken)["unfinished"] == stop
    assert checkpoint_path(broken).exists()
    resumed = paint(files, output=broken, resume=True)
    assert broken.read_bytes() == whole.read_bytes()
    assert not checkpoint_path(broken).exists()
    assert resumed[-1].steps == 6


def test_resume_refuses_what_is_not_the_same_run(files):
    with pytest.raises(CheckpointError, match="no interrupted run"):
        paint(files, output=files / "out.png", resume=True)
    events = iter_stylize(
        files / "photo.png", str(files / "painting.png"), FEW, encoder=tiny_vgg(), output=files / "out.png"
    )
    next(event for event in events if isinstance(event, Step))
    events.close()
    with pytest.raises(CheckpointError, match="other options"):
        paint(files, output=files / "out.png", resume=True, seed=5)
    picture_, _ = opened(files / "painting.png"), (files / "painting.png").unlink()
    picture_.rotate(90).save(files / "painting.png")
    with pytest.raises(CheckpointError, match="other styles"):
        paint(files, output=files / "out.png", resume=True)


def test_a_start_picture_is_read(files):
    Image.new("RGB", (10, 10), (0, 0, 255)).save(files / "blue.png")
    options = FEW.changed(init_image=str(files / "blue.png"), steps=1, min_size=48)
    events = list(iter_stylize(files / "photo.png", files / "painting.png", options, encoder=tiny_vgg()))
    assert events[-1].image[0, 2].mean() > 0.9


def test_a_sheet_shows_every_setting(files):
    events = list(
        iter_contact_sheet(
            files / "photo.png", files / "painting.png", FEW, output=files / "sheet.png", size=32, encoder=tiny_vgg()
        )
    )
    assert sum(isinstance(event, Started) for event in events) == 9
    sheet = opened(files / "sheet.png")
    assert sheet.size[0] > 3 * 32
    assert sheet.size[1] > 3 * 24


def test_high_pass_picture_of_a_flat_one_is_grey(files):
    Image.new("RGB", (20, 20), (200, 30, 90)).save(files / "flat.png")
    high_pass_picture(files / "flat.png", files / "detail.png")
    assert set(np.asarray(opened(files / "detail.png")).ravel().tolist()) == {128}


def test_names_of_results():
    assert str(default_output("a/photo.jpg", "b/starry night.jpg")) == "photo_starry night.png"
    assert str(default_output("a/photo.jpg", "swirl:7", "out")) == "out/photo_swirl-7.png"


# --- wrong input -----------------------------------------------------------


def test_wrong_input_is_told_before_the_first_step(files):
    with pytest.raises(
        UnknownName, match="'swirll' is not the name of a style, nor of a picture file. Did you mean 'swirl'"
    ):
        iter_stylize(files / "photo.png", "swirll", FEW)
    with pytest.raises(ImageError, match="nothing.png"):
        iter_stylize(files / "nothing.png", "swirl", FEW)
    with pytest.raises(OptionError, match="there is no style; expected one or more"):
        iter_stylize(files / "photo.png", [], FEW)
    with pytest.raises(OptionError, match="seed is 'x'"):
        iter_stylize(files / "photo.png", "swirl:x", FEW)
    with pytest.raises(ImageError, match="shape"):
        iter_stylize(torch.zeros(2, 3, 8, 8), "swirl", FEW)
    with pytest.raises(OptionError, match="device is 'cuda:9'"):
        iter_stylize(files / "photo.png", "swirl", FEW.changed(device="cuda:9"))
