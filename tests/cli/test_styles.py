"""Names of styles on the command line: one namespace, one spelling and one way to mix for every command.

Most of it runs `main` in this process, which imports torch once.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.cli.main import main
from impasto.io.embedded import read_metadata
from impasto.paintings import paintings
from impasto.style_transfer.options import QUALITIES

SMALL = ("--size", "40", "--steps", "1", "--polish", "0")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums in every process
    y, x = np.mgrid[:36, :48].astype(np.uint8)
    Image.fromarray(np.stack([x * 4, y * 6, x + y], -1)).save("photo.png")
    Image.fromarray(np.where(x < 24, 255, 0).astype(np.uint8)).save("left.png")
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(capfd):
    def run(*words):
        capfd.readouterr()
        code = main(list(words))
        out, err = capfd.readouterr()
        assert code == 0, err
        return out

    return run


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_painting_by_its_name(run):
    words = [sys.executable, "-m", "impasto", "stylize", "photo.png", "starry_night", *SMALL]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "photo_starry_night.png\n"), done.stderr
    (style,) = read_metadata("photo_starry_night.png")["styles"]
    assert style["source"] == "starry_night"
    assert run("rerun", "photo_starry_night.png", "-o", "again.png") == "again.png\n"
    assert np.array_equal(pixels("again.png"), pixels("photo_starry_night.png"))


def test_several_styles_and_weights(run):
    words = ("--region", "left.png", "great_wave:0.5,the-scream:1.5", *SMALL)
    written = run("stylize", "photo.png", "--style", "starry-night:0.6", "--style", "swirl:7", *words)
    assert written == "photo_starry_night-swirl-7.png\n"
    record = read_metadata("photo_starry_night-swirl-7.png")
    assert [style["source"] for style in record["styles"]] == ["starry-night", "swirl:7"]
    assert record["options"]["style_weights"] == [0.6, 1.0]
    assert record["regions"][0]["weights"] == [0.5, 1.5]
    run("rerun", "photo_starry_night-swirl-7.png", "-o", "again.png")
    assert np.array_equal(pixels("again.png"), pixels("photo_starry_night-swirl-7.png"))
    run("stylize", "photo.png", "starry_night:0.6,swirl:7:1", *words, "-o", "same.png")  # one word
    assert np.array_equal(pixels("same.png"), pixels("again.png"))
    old = ("starry_night", "--add-style", "swirl:7", "--style-weights", "0.6,1", *SMALL)
    run("stylize", "photo.png", *old, "-o", "old.png")
    run("stylize", "photo.png", "starry_night:0.6", "--style", "swirl:7", *SMALL, "-o", "new.png")
    assert np.array_equal(pixels("old.png"), pixels("new.png"))
    run("rerun", "old.png", "--style", "starry_night:1", "--style", "mosaic:0.5", "-o", "other.png")
    assert read_metadata("other.png")["options"]["style_weights"] == [1.0, 0.5]


def test_apply_takes_every_name(run):
    run("apply", "stained-glass", "photo.png")
    run("apply", "painter", "photo.png", "--style", "stained-glass", "-o", "one.png")
    assert np.array_equal(pixels("one.png"), pixels("photo_stained_glass.png"))
    run("apply", "woodblock:3", "photo.png", "-o", "model.png")  # a style that the painter was not trained on
    run("apply", "painter", "photo.png", "--style", "woodblock:3", "-o", "style.png")
    assert np.array_equal(pixels("model.png"), pixels("style.png"))
    mixture = ("--style", "woodblock:3", "--style", "starry_night:0.5", "-o")
    assert run("apply", "painter", "photo.png", *mixture, "mixed.png") == "mixed.png\n"
    assert read_metadata("mixed.png")["options"]["style"] == "woodblock:3:1,starry_night:0.5"
    assert not np.array_equal(pixels("mixed.png"), pixels("style.png"))


def test_the_catalog_as_json(run):
    rows = {row["name"]: row for row in json.loads(run("styles", "--json"))}
    assert paintings().keys() <= rows.keys() and rows["swirl"]["kind"] == "built-in"
    night = rows["starry_night"]
    assert (night["artist"], night["title"], night["year"]) == ("Vincent van Gogh", "The Starry Night", "1889")
    assert night["license"] == "public domain" and night["source"].startswith("https://")


def test_a_quality_from_python_and_the_size_of_the_result():
    """A result has another size than its photograph unless it is asked for, and this is said."""
    settings = {"steps": 1, "quality": "draft"}
    told = []
    with impasto.stylize.start("photo.png", "starry_night", **settings, output="out.png") as started:
        told += [event.text for event in started if hasattr(event, "text")]
    assert told == ["the result is 512×384, the photograph 48×36; --size 48 keeps its size"]
    assert pixels("out.png").shape == (384, 512, 3)
    assert read_metadata("out.png")["options"]["polish"] == QUALITIES["draft"]["polish"] == 0
    with impasto.stylize.start("photo.png", "starry_night", **settings, size=40) as started:
        assert not [event for event in started if hasattr(event, "text")]
