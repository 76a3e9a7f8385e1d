"""The namespace of styles: what a text means, which names there are, and which picture a name is."""

import numpy as np
import pytest
from PIL import Image

from impasto import builtin_styles
from impasto.data.style_names import joined, named_styles, style_parts, style_stem
from impasto.data.styles import open_style
from impasto.errors import OptionError, UnknownName
from impasto.paintings import paintings


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("starry_night", [("starry_night", None)]),
        ("starry_night:0.6", [("starry_night", 0.6)]),
        ("starry_night:2", [("starry_night", 2.0)]),
        ("a.jpg:1, b.safetensors:3", [("a.jpg", 1.0), ("b.safetensors", 3.0)]),
        ("swirl:7", [("swirl:7", None)]),  # a seed
        ("stained-glass:7", [("stained-glass:7", None)]),
        ("swirl:0", [("swirl", None)]),  # the seed of a name alone
        ("swirl:0.5", [("swirl", 0.5)]),
        ("swirl:7:2", [("swirl:7", 2.0)]),
        ("swirl:7,mosaic:2", [("swirl", 7.0), ("mosaic", 2.0)]),  # weights
        ("swirl:7:0.5,mosaic", [("swirl:7", 0.5), ("mosaic", None)]),
        ("swirl:x", [("swirl:x", None)]),
    ],
)
def test_what_a_text_means(text, parts):
    assert style_parts(text) == parts


def test_a_file_may_have_commas_and_colons_in_its_name(tmp_path):
    for name in ("a,b:2.png", "c:1.png"):
        (tmp_path / name).touch()
    assert style_parts("a,b:2.png") == [("a,b:2.png", None)]
    assert style_parts("c:1.png,swirl:3") == [("c:1.png", None), ("swirl", 3.0)]


def test_a_weight_is_a_number():
    with pytest.raises(OptionError, match=r"^the weight of a style is 'much'; expected a number"):
        style_parts("starry-night:much")
    with pytest.raises(OptionError, match="'much'"):
        style_parts("own:much", ["own"])


def test_words_that_are_joined_mean_what_they_mean_alone():
    assert joined(["swirl:7"]) == "swirl:7" and joined([]) == ""
    words = ["swirl:7", "mosaic:0.5", "a.jpg"]
    assert joined(words) == "swirl:7:1,mosaic:0.5,a.jpg:1"
    assert style_parts(joined(words)) == [("swirl:7", 1.0), ("mosaic", 0.5), ("a.jpg", 1.0)]


def test_files_are_named_alike_by_every_spelling():
    assert style_stem("stained-glass:2,x/Wave.jpg") == style_stem("stained_glass:2,x/Wave.jpg") == "stained_glass-Wave"


def test_names():
    named = named_styles()
    assert list(named) == [*builtin_styles.names(), *paintings()]  # those of the painter are among them
    assert {one.kind for one in named.values()} == {"built-in", "painting"}
    assert named["starry_night"].description == "Vincent van Gogh, The Starry Night, 1889"


def test_a_name_is_a_picture_and_a_file_comes_first(tmp_path):
    night = np.asarray(Image.open(paintings()["starry_night"].path), np.float32) / 255
    for name in ("starry_night", "starry-night"):
        opened = open_style(name, 64)
        assert opened.name == "starry_night" and np.array_equal(opened.pixels, night)
    (tmp_path / "the_scream").mkdir()
    assert open_style("the_scream", 64).name == "the_scream"  # a folder is no picture
    Image.new("RGB", (9, 8), "red").save(tmp_path / "sunflowers", "PNG")
    assert open_style("sunflowers", 64).size == (8, 9)
    with pytest.raises(UnknownName, match=r"^'sunflower:1' is not the name of a style"):
        open_style("sunflower:1", 64)
    with pytest.raises(UnknownName, match=r"See `impasto styles`\.$"):
        open_style("xyzzy", 64)
