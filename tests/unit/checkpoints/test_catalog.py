"""Networks and styles by name: what is listed, what is found, and styles as files that can be mailed."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.api.apply import default_output_apply, open_painter
from impasto.checkpoints import catalog
from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import save_network
from impasto.checkpoints.load import fingerprint, load_style_embedding, load_style_predictor, pack
from impasto.cli.main import main
from impasto.data.styles import open_style
from impasto.errors import OptionError, UnknownName, WeightsError
from impasto.events import Step
from impasto.inference.load import load
from impasto.inference.options import ApplyOptions
from impasto.inference.style_prediction import predict_embedding
from impasto.io.convert import resize_picture
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.tensors import as_pixels, as_tensor
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.networks.style_predictor import LAYERS, StylePredictor
from impasto.ops.moments import channel_moments
from impasto.recipes.style_embedding.options import StyleOptions
from nets import loaded, random_weights, written
from trainings import iter_style

COFFEE = "examples/coffee.jpg"
CPU = {"device": "cpu", "precision": "float32"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A catalogue with a painter of two styles, and nothing else of one's own."""
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "painters").mkdir(parents=True)
    network = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "rosy", "azure"]))
    about = {"license": "CC0", "source": "a test", "works": {"rosy": "A Rose, 1900"}}
    written(catalog.place() / "tiny.safetensors", network, about)
    return tmp_path


def mailed(folder, base, name="green", seed=5):
    """Write a style as `impasto train style` leaves it."""
    embedding = base.network.embeddings[1] + torch.randn(
        base.network.embeddings.shape[1], generator=torch.Generator().manual_seed(seed)
    )
    told = {"network": "style", "settings": {"style": name}, "base": base.fingerprint, "based_on": "tiny"}
    save_network(folder / f"{name}.safetensors", {"embedding": embedding}, told, "float32")
    return folder / f"{name}.safetensors", embedding


def small(side=60):
    return as_tensor(resize_picture(load_picture(COFFEE), side))


def test_what_is_listed(home):
    found = catalog.listed()
    tiny = found["tiny"]
    assert (tiny.name, tiny.kind, tiny.path) == ("tiny", "painter", catalog.place() / "tiny.safetensors")
    assert tiny.architecture == "multistyle"
    assert tiny.styles == {"rosy": "A Rose, 1900", "azure": ""}
    assert tiny.card["license"] == "CC0"
    (catalog.place() / "broken.safetensors").write_bytes(b"\xff" * 40)
    (catalog.place() / "empty.safetensors").write_bytes(b"")
    assert catalog.listed().keys() == found.keys()  # what is not ours is passed over


def test_names_of_networks_and_of_styles(home):
    assert catalog.find("tiny") == (catalog.listed()["tiny"], "")
    assert catalog.find("azure") == (catalog.listed()["tiny"], "azure")
    with pytest.raises(UnknownName, match=r"^'azur' is not the name of a network or of a style\. Did you mean 'a"):
        catalog.find("azur")
    image = small()
    by_name, whole = loaded("azure"), loaded(catalog.place() / "tiny.safetensors")
    torch.testing.assert_close(by_name(image), whole(image, style="azure"))
    assert (whole(image, style="rosy") - by_name(image)).abs().mean() > 1e-3
    painted = load("azure", **CPU)(COFFEE, size=60)
    other = load("tiny", **CPU)(COFFEE, size=60, style="azure")
    assert painted.tobytes() == other.tobytes()


def test_a_hyphen_is_an_underscore_unless_a_name_has_one(home):
    network = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "tea_rose", "dark-blue"]))
    written(catalog.place() / "tea_time.safetensors", network)
    assert load("tea-rose").default == load("tea_rose").default == "tea_rose"
    assert load("tea-time").path == load("tea_time").path
    assert load("dark-blue").default == "dark-blue"
    with pytest.raises(UnknownName, match="Did you mean 'tea_rose'"):
        load("tea-rosy")


def test_a_file_wins_over_a_name(home, monkeypatch):
    written(home / "azure", random_weights(MultiStyleNetwork(4, 0, 4, styles=[IDENTITY, "mine"])))
    monkeypatch.chdir(home)
    assert loaded("azure").styles == (IDENTITY, "mine")


def test_a_style_that_came_by_mail(home):
    base = loaded("tiny")
    file, embedding = mailed(home, base)
    assert file.stat().st_size < 4096
    image = small()
    expected = base.network(image, embedding)
    model = loaded(file)
    assert model.default == "green" and model.styles == (IDENTITY, "rosy", "azure", "green")
    torch.testing.assert_close(model(image), expected)
    # named beside others, from the network that it belongs to
    paint = load("tiny", **CPU)
    torch.testing.assert_close(paint(image, style=str(file)), expected, rtol=0, atol=1e-5)
    mixed = paint(image, style=f"{file}:1,azure:3")
    torch.testing.assert_close(
        mixed, base.network(image, 0.25 * embedding + 0.75 * base.network.embeddings[2]), rtol=0, atol=1e-5
    )
    # which is of other weights than its own
    written(home / "other.safetensors", random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "a"]), seed=1))
    with pytest.raises(WeightsError, match=r"is a style of another network, 'tiny'; apply that one"):
        load(home / "other.safetensors", **CPU)(image, style=str(file))
    (catalog.place() / "tiny.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"'tiny', which is not in the catalog; apply that network, with --style"):
        loaded(file)


def test_embeddings_fit_a_network_with_other_styles(home):
    base = loaded("tiny")
    more = base.with_style("third", base.network.embeddings[1])
    assert fingerprint(more.network) == base.fingerprint
    again = more.with_style("third", base.network.embeddings[2])
    assert again.styles == more.styles and torch.equal(again.network.embeddings[3], base.network.embeddings[2])
    assert base.styles == (IDENTITY, "rosy", "azure")


def test_a_copy_for_the_catalogue_is_small_and_says_what_it_is(home):
    network = random_weights(MultiStyleNetwork(32, 2, 24, styles=[IDENTITY, "a"]))
    written(home / "large.safetensors", network, {"options": {"steps": 7}})
    pack(home / "large.safetensors", home / "small.safetensors", {"license": "CC0"}, precision="int8")
    large, compact = (loaded(home / f"{name}.safetensors") for name in ("large", "small"))
    assert (home / "small.safetensors").stat().st_size < 0.35 * (home / "large.safetensors").stat().st_size
    assert compact.card["license"] == "CC0" and compact.card["options"] == {"steps": 7}
    assert (compact(small()) - large(small())).abs().mean() < 0.02
    pack(home / "small.safetensors", home / "again.safetensors", precision="int8")
    assert loaded(home / "again.safetensors").fingerprint == compact.fingerprint


def predictor_of(base):
    encoder = load_encoder("compact", padding="replicate")
    net = StylePredictor(base.network.embeddings.shape[1], [encoder.channels(layer) for layer in LAYERS], 4, 8)
    torch.manual_seed(0)
    net.third.weight.data.normal_(0, 0.5)
    net.spread.fill_(100.0)
    told = {"network": "style_predictor", "settings": net.settings, "base": base.fingerprint, "based_on": "tiny"}
    save_network(catalog.place() / "any.safetensors", net.state_dict(), told, "float32")
    return net, encoder


def test_any_picture_is_a_style_where_there_is_a_predictor(home):
    base, image = loaded("tiny"), small()
    with pytest.raises(OptionError, match=r"^this network has no style predictor, so it cannot take a picture"):
        load("tiny", **CPU)(image, style="examples/cat.jpg")
    net, encoder = predictor_of(base)
    style_image = as_tensor(load_picture("examples/cat.jpg"))
    embedding = predict_embedding(base.fingerprint, style_image, size=96, **CPU)
    h, w = style_image.shape[-2:]
    size = [round(side * 96 / (h * w) ** 0.5) for side in (h, w)]
    seen = torch.nn.functional.interpolate(style_image, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    features = encoder(seen, LAYERS)
    expected = net([channel_moments(features[layer]) for layer in LAYERS])[0]
    torch.testing.assert_close(embedding, expected, rtol=0.02, atol=0.02)  # whatever filter shrinks it
    painted = load("tiny", **CPU)(image, style="examples/cat.jpg", style_size=96)
    torch.testing.assert_close(painted, base.network(image, embedding), rtol=0, atol=1e-4)
    with pytest.raises(UnknownName, match="is not the name of a style, nor of a picture file. Did you mean 'azure'"):
        load("tiny", **CPU)(image, style="azur")


def test_a_predictor_of_other_weights_is_not_taken(home):
    base = loaded("tiny")
    predictor_of(replace(base, fingerprint="0" * 16))
    with pytest.raises(OptionError, match="cannot take a picture as a style"):
        load_style_predictor(base.fingerprint)
    with pytest.raises(UnknownName):
        catalog.find("any")  # it is no network that paints


def test_a_style_is_learned_without_any_photograph(home):
    options = StyleOptions(steps=2, batch=1, crop=64, style_size=64, save_seconds=1e9, **CPU)
    list(iter_style("swirl", base="tiny", options=options, run=home / "swirl"))
    base = loaded("tiny")
    name, embedding = load_style_embedding(home / "swirl", base.fingerprint, base.network.embeddings.shape[1])
    assert name == "swirl" and (embedding - base.network.embeddings).abs().mean(1).min() > 1e-4
    assert (home / "swirl" / "model.safetensors").stat().st_size < 4096
    assert open_painter(home / "swirl", ApplyOptions(**CPU)).default == "swirl"


def test_the_folder_of_a_training_does_not_hide_the_painted_style_it_is_named_after(home, monkeypatch):
    monkeypatch.chdir(home)
    options = StyleOptions(steps=3, batch=1, crop=64, style_size=64, save_seconds=0, **CPU)
    for event in iter_style("swirl", base="tiny", options=options, run="swirl"):
        if isinstance(event, Step) and event.phase == "train":
            break  # as Ctrl-C does
    with pytest.raises(WeightsError, match=r"^swirl is a training that has not ended; go on with it, by --resume"):
        loaded("swirl")
    list(iter_style("swirl", base="tiny", options=options, run="swirl", resume=True))
    assert loaded("swirl").default == "swirl"


def test_results_are_named_by_their_styles(home):
    model = open_painter("azure", ApplyOptions(**CPU))

    def named(style=""):
        return default_output_apply("a/photo.jpg", model, "out", style).as_posix()

    assert named() == "out/photo_azure.png"
    assert named("rosy") == "out/photo_rosy.png"
    assert named("rosy:0.6, x/mail.safetensors:0.4") == "out/photo_rosy-mail.png"
    assert named("swirl:7") == "out/photo_swirl-7.png"  # the seed 7
    assert named("stained-glass:2,swirl:7") == "out/photo_stained_glass-swirl.png"  # weights


def impasto(*arguments):
    return subprocess.run([sys.executable, "-m", "impasto", *map(str, arguments)], capture_output=True, text=True)


def test_a_style_that_was_added_is_a_name_for_every_option(home, capfd):
    file, _ = mailed(home, loaded("tiny"))
    pack(file, catalog.place() / "blue-meadow.safetensors")
    Image.new("L", (60, 40), 255).save(home / "all.png")
    tiny = load("tiny", **CPU)
    added = tiny(small(), style=str(file))
    for name in ("blue-meadow", "blue_meadow", "blue-meadow:1"):
        assert torch.equal(tiny(small(), style=name), added)
    photograph, target = str(home / "small.png"), home / "out.png"
    save_picture(photograph, load_picture(as_pixels(small())))
    words = ("--style", "rosy", "--region", str(home / "all.png"), "blue_meadow:1,azure:0", "--precision", "float32")
    assert main(["apply", "tiny", photograph, *words, "-o", str(target)]) == 0
    expected = np.asarray(tiny(photograph, style=str(file)), int)
    with Image.open(target) as painted:
        assert np.abs(np.asarray(painted, int) - expected).max() <= 1
    capfd.readouterr()
    assert main(["styles", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert rows["blue-meadow"]["kind"] == rows["rosy"]["kind"] == "trained"
    assert rows["blue-meadow"]["description"] == "trained for tiny" and rows["rosy"]["description"] == "A Rose, 1900"
    with pytest.raises(
        OptionError, match=r"^blue_meadow is a trained style without a picture; use it with `impasto ap"
    ):
        open_style("blue_meadow", 64)
    with pytest.raises(WeightsError, match="is a style of another network"):
        loaded("painter")(small(), style="blue-meadow")


def test_a_style_of_ones_own_comes_before_that_of_the_network(home):
    _, embedding = mailed(home, loaded("tiny"))
    tiny = load("tiny", **CPU)
    before = tiny(small(), style="azure")
    pack(home / "green.safetensors", catalog.place() / "azure.safetensors")
    torch.testing.assert_close(tiny(small(), style="azure"), tiny.network(small(), embedding), rtol=0, atol=1e-5)
    assert not torch.equal(tiny(small(), style="azure"), before)
    night = loaded("painter")(small(), style="starry_night")
    pack(home / "green.safetensors", catalog.place() / "starry_night.safetensors")  # of another network
    assert torch.equal(loaded("painter")(small(), style="starry_night"), night)


def test_the_command_line_lists_adds_and_applies(home):
    listed = impasto("models", "--json")
    assert listed.returncode == 0, listed.stderr
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["tiny"]["kind"] == "painter" and rows["tiny"]["license"] == "CC0"
    assert rows["rosy"]["kind"] == "in tiny" and rows["rosy"]["from"] == "A Rose, 1900"
    file, _ = mailed(home, loaded("tiny"))
    (home / "about.json").write_text(json.dumps({"license": "mine"}))
    added = impasto("models", "--add", file, "--name", "meadow", "--about", home / "about.json")
    assert added.returncode == 0 and added.stdout == f"{catalog.place() / 'meadow.safetensors'}\n"
    assert catalog.listed()["meadow"].card["license"] == "mine"
    again = impasto("models", "--add", file, "--name", "meadow")
    assert again.returncode == 2 and "exists already; pass --force" in again.stderr
    done = impasto("apply", "meadow", COFFEE, "--size", "64", "-o", home / "out.png", "--device", "cpu")
    assert done.returncode == 0 and done.stdout == f"{home / 'out.png'}\n"
    assert max(load_picture(home / "out.png").size) == 64
    wrong = impasto("apply", "medow", COFFEE)
    assert wrong.returncode == 2 and wrong.stderr.endswith("Did you mean 'meadow'?\n")
    (home / "about.json").write_text("[1]")
    broken = impasto("models", "--add", file, "--name", "x", "--about", home / "about.json")
    assert broken.returncode == 2 and "is not a JSON object" in broken.stderr
