"""What another package can add without an edit here: a recipe, a network, a data set; each in one place, as below."""

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import impasto
from impasto.errors import OptionError, UnknownName
from impasto.events import Step
from impasto.options import Options
from impasto.recipes import METHODS, find_method
from impasto.training.method import Input, Method
from impasto.training.options import TrainOptions
from impasto.training.recipe import Recipe, Setup


class Mean(nn.Module):
    """One picture: the mean of all."""

    def __init__(self, shape):
        super().__init__()
        self.settings = {"shape": list(shape)}
        self.picture = nn.Parameter(torch.zeros(shape))


class ToyOptions(TrainOptions):
    """How the mean is found."""

    strength: float = 1.0


class Toy(Recipe):
    """The whole of a method of another package, in one class."""

    method: ClassVar[Method] = Method(
        name="toy",
        summary="Find the mean of some images.",
        inputs=(Input("images", "a set of images", "images"),),
        options=ToyOptions,
        recipe=None,
        example="toy digits.npz",
    )
    name = "toy"

    def __init__(self, network, options):
        self.networks = {"mean": network}
        self.optimizers = {"sgd": torch.optim.SGD(network.parameters(), options.learning_rate)}

    @classmethod
    def build(cls, data, options, site):
        from impasto.data.arrays import read_sets

        train, _ = read_sets(data["images"])
        return Setup(cls(Mean(train.shape), options), train, options)

    def step(self, batch, engine):
        loss = (self.networks["mean"].picture - batch.float() / 255).square().mean()
        self.optimizers["sgd"].zero_grad()
        engine.backward(loss)
        self.optimizers["sgd"].step()
        return {"mse": loss.detach()}

    def preview(self):
        return self.networks["mean"].picture.detach().expand(1, 1, 3, -1, -1).clamp(0, 1)

    def model(self):
        return dict(self.networks["mean"].state_dict()), {"network": "toy", "settings": self.networks["mean"].settings}


IMAGES = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)


def test_a_recipe_of_ones_own_trains(tmp_path):
    with impasto.train.start(Toy, IMAGES, run=tmp_path / "toy", steps=30, learning_rate=20.0, device="cpu") as run:
        steps = [event for event in run if isinstance(event, Step)]
    assert len(steps) == 30 and steps[-1].losses["mse"] < steps[0].losses["mse"] / 2
    assert {"model.safetensors", "report.html", "checkpoint.safetensors"} <= {p.name for p in run.folder.iterdir()}


def test_roles_and_options_of_a_recipe_are_checked(tmp_path):
    with pytest.raises(OptionError, match="'pictures' is no data role of toy; expected images"):
        impasto.train.start(Toy, {"pictures": IMAGES}, run=tmp_path / "toy")
    with pytest.raises(OptionError, match="toy needs images; images is missing"):
        impasto.train.start(Toy, run=tmp_path / "toy")
    with pytest.raises(OptionError, match="'strenth' is not the name of an option. Did you mean 'strength'"):
        impasto.train.start(Toy, IMAGES, run=tmp_path / "toy", strenth=2)
    assert not (tmp_path / "toy").exists()


LOSS = """
from impasto.losses.style import StyleLoss

LOSS = StyleLoss(
    statistics=lambda features, guide=None: (features.mean((2, 3)),),
    distance=lambda statistics, target: (statistics[0] - target[0]).square().mean(),
    blank=lambda target: target[0].square().mean(),
)
"""
FORMAT = """
from impasto.checkpoints.files import File
from impasto.checkpoints.formats import Format
from impasto.checkpoints.model import Model
from impasto.networks.johnson import Johnson


def read(file: File) -> Model:
    network = Johnson(width=2, blocks=1)
    for parameter in network.parameters():
        parameter.data.zero_()  # paints everything gray
    return Model(network, {}, (), file.path)


FORMAT = Format("toy", lambda file: file.path.suffix == ".toy", read, "a .toy file")
"""
STYLE = """
import numpy as np


class Stripes:
    description = "Wide stripes."

    def paint(self, height, width, seed):
        return np.tile(np.arange(height)[:, None, None] // 8 % 2, (1, width, 3)).astype(np.float32)


STYLE = Stripes()
"""
FILES = {  # one new file for each, and a line that declares it
    ("impasto.recipes", "toy = toys.recipe:Toy"): Path(__file__).read_text().partition("IMAGES = ")[0],
    ("impasto.style_losses", "mean = toys.style_loss:LOSS"): LOSS,
    ("impasto.formats", "toy = toys.file_format:FORMAT"): FORMAT,
    ("impasto.styles", "stripes = toys.stripes:STYLE"): STYLE,
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package whose entry points declare a toy of each kind."""
    site = tmp_path / "site"
    (site / "toys-1.0.dist-info").mkdir(parents=True)
    (site / "toys").mkdir()
    (site / "toys-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    declared = ""
    for (group, line), source in FILES.items():
        (site / "toys" / f"{line.partition('toys.')[2].partition(':')[0]}.py").write_text(source)
        declared += f"[{group}]\n{line}\n"
    (site / "toys-1.0.dist-info" / "entry_points.txt").write_text(declared)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")


def impasto_command(*words, cwd):
    done = subprocess.run([sys.executable, "-m", "impasto", *words], capture_output=True, text=True, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def test_a_recipe_of_another_package_has_its_command(installed, tmp_path):
    np.savez(tmp_path / "set.npz", images=IMAGES)
    code, out, err = impasto_command("train", "--help", cwd=tmp_path)
    assert code == 0 and "Find the mean of some images." in out, err
    code, out, err = impasto_command("train", "toy", "--help-all", cwd=tmp_path)
    assert code == 0 and "--strength" in out and "--learning-rate" in out, err
    words = ("train", "toy", "set.npz", "--steps", "5", "--device", "cpu", "--json")
    code, out, err = impasto_command(*words, cwd=tmp_path)
    assert code == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["step"] for event in events if event.get("phase") == "train"] == [1, 2, 3, 4, 5]
    assert (tmp_path / "toy-set" / "model.safetensors").is_file()
    code, out, err = impasto_command(
        "train", "toy", "set.npz", "--steps", "5", "--device", "cpu", "--quiet", cwd=tmp_path
    )
    assert (code, out) == (0, "toy-set-2/model.safetensors\n"), err


def test_each_is_one_new_file_and_the_command_line_knows_it(installed, tmp_path):
    assert len(list((tmp_path / "site" / "toys").iterdir())) == len(FILES) == 4
    Image.fromarray(np.tile(IMAGES[0], (8, 8))).save(tmp_path / "photo.png")
    (tmp_path / "gray.toy").write_text("")
    words = ("stylize", "photo.png", "stripes", "--style-loss", "mean", "--size", "64", "--steps", "2", "--quiet")
    for command, result in (
        ((*words, "--polish", "0", "-o", "striped.png"), "striped.png\n"),
        (("apply", "gray.toy", "photo.png", "--device", "cpu", "--quiet", "-o", "gray.png"), "gray.png\n"),
    ):
        code, out, err = impasto_command(*command, cwd=tmp_path)
        assert (code, out) == (0, result), err
    assert "Wide stripes." in impasto_command("styles", cwd=tmp_path)[1]
    gray = np.asarray(Image.open(tmp_path / "gray.png").convert("RGB"))
    assert gray.shape == (64, 64, 3) and gray.min() == gray.max()


def test_own_methods_are_all_there_and_names_are_forgiving():
    known = {"autoencoder", "vae", "gan", "dcgan", "classifier", "johnson", "painter", "style", "predictor", "cyclegan"}
    assert known | {"pix2pix", "encoder"} <= set(METHODS.names())
    with pytest.raises(UnknownName, match="'ganz' is not the name of a training method. Did you mean 'gan'"):
        find_method("ganz")
    with pytest.raises(OptionError, match="expected a name from `list_methods"):
        find_method(3)
    assert not [point for point in entry_points(group="impasto.recipes") if point.name in METHODS.names()]


@pytest.mark.parametrize("name", ["autoencoder", "vae", "gan", "dcgan", "classifier", "johnson", "cyclegan", "pix2pix"])
def test_every_method_declares_what_help_and_docs_need(name):
    method = find_method(name)
    assert method.summary.endswith(".") and method.example.startswith(name)
    assert issubclass(method.options, Options) and "default" in method.presets
    assert issubclass(method.load(), Recipe)
    assert all(one.help and one.sort for one in method.inputs)
