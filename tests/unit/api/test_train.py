"""`train`: data, settings and networks by which a training starts, and what it returns."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import impasto
from impasto.api.train import default_run, inputs_of
from impasto.errors import OptionError, WeightsError
from impasto.recipes import find_method

IMAGES = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
FEW = {"steps": 3, "device": "cpu"}


class Code(nn.Module):
    """An autoencoder of a user's own."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(64, 3), nn.Linear(3, 64)

    def encode(self, images):
        return self.down(images.flatten(1))

    def decode(self, latents):
        return self.up(latents).sigmoid().view(-1, 1, 8, 8)


def options_of(run):
    return json.loads((run / "options.json").read_text())["options"]


@pytest.mark.parametrize(("method", "data"), [("autoencoder", np.repeat(IMAGES, 2, 1).repeat(2, 2)), ("vae", IMAGES)])
def test_a_word_for_network_is_the_setting(method, data, tmp_path):
    network = "conv" if method == "autoencoder" else "dense"
    model = impasto.train(method, data, run=tmp_path / "run", network=network, **FEW)
    assert options_of(tmp_path / "run")["network"] == model.network.kind == network


def test_a_module_for_network_is_trained_and_comes_back(tmp_path):
    model = impasto.train("autoencoder", IMAGES, run=tmp_path / "mine", network=Code(), **FEW)
    assert model.name == "mine" and model.latent_size == 3 and isinstance(model, impasto.Autoencoder)
    again = impasto.load(tmp_path / "mine", network=Code())
    assert torch.equal(again.sample(2), model.sample(2)) and again.sample(2).shape == (2, 1, 8, 8)
    with pytest.raises(WeightsError, match="holds a network of your own; expected that as network="):
        impasto.load(tmp_path / "mine")


def test_a_setting_may_be_called_method(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(2):
            Image.fromarray(np.repeat(IMAGES[index], 4, 1).repeat(4, 0)).save(tmp_path / name / f"{index}.png")
    data = {name: tmp_path / name for name in "ab"}
    with impasto.train.start("cyclegan", data, run=tmp_path / "run", preset="tiny", method="cut", **FEW) as run:
        next(iter(run))
    assert options_of(tmp_path / "run")["method"] == "cut"


def test_a_run_left_open_is_saved_when_the_interpreter_ends(tmp_path):
    """And does not abort it."""
    code = f"""
import numpy as np, impasto
run = impasto.train.start("vae", np.zeros((40, 8, 8), np.uint8), run={str(tmp_path / "open")!r}, steps=500)
events = iter(run)
steps = [event for event, _ in zip(events, range(30))]
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert impasto.load(tmp_path / "open").sample(2).shape == (2, 1, 8, 8)
    assert "has not ended" in impasto.load(tmp_path / "open").notes[0]


def test_a_run_that_has_not_ended_knows_its_set(tmp_path):
    np.savez(tmp_path / "set.npz", images=IMAGES)
    data = str(tmp_path / "set.npz")
    with impasto.train.start("vae", data, run=tmp_path / "open", steps=500, device="cpu") as run:
        for event in run:
            if getattr(event, "step", 0) == 5:
                break
    assert not (tmp_path / "open" / "model.safetensors").exists()
    assert impasto.load(tmp_path / "open").card["pictures"] == data
    assert impasto.sample(tmp_path / "open", "reconstructions", rows=1, columns=2).height > 8


def test_default_runs_are_called_after_method_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vae, gan, johnson = map(find_method, ("vae", "cyclegan", "johnson"))
    assert str(default_run(vae, {"images": "data/mnist.npz"})) == "vae-mnist"
    assert str(default_run(vae, {"images": IMAGES})) == "vae"
    assert str(default_run(gan, {"a": "photos/", "b": "old monets"})) == "cyclegan-photos-old-monets"
    assert str(default_run(johnson, {"style": "swirl:7", "photos": ["many/", "more"]})) == "johnson-swirl-7"
    assert str(default_run(vae, {"images": "mnist.npz"}, resume=True)) == "vae-mnist"
    for expected in ("vae-mnist-2", "vae-mnist-3"):
        default_run(vae, {"images": "mnist.npz"}).mkdir()
        assert str(default_run(vae, {"images": "mnist.npz"})) == expected
    assert str(default_run(vae, {"images": "mnist.npz"}, resume=True)) == "vae-mnist-2"


@pytest.mark.parametrize(
    ("method", "data", "message"),
    [
        ("cyclegan", "photos/", r"^cyclegan needs a and b; expected a dict with these keys\.$"),
        ("cyclegan", {"a": "photos/"}, r"^cyclegan needs a and b; b is missing, expected a folder of .*\.$"),
        ("vae", {"pictures": IMAGES}, r"^'pictures' is no data role of vae; expected images\.$"),
    ],
)
def test_data_must_fit_the_roles(method, data, message):
    with pytest.raises(OptionError, match=message):
        inputs_of(find_method(method), data)


def test_data_that_was_left_out_has_its_default():
    assert inputs_of(find_method("vae"), None) == {"images": "mnist5k"}
    assert inputs_of(find_method("autoencoder"), "icons/") == {"images": "icons/"}
