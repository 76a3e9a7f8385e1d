"""One loader: what kind of model each file is, runs that have not ended, own networks, formats from outside."""

import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from torch import nn

from impasto import registry
from impasto.checkpoints.files import save_state
from impasto.checkpoints.formats import FORMATS, Format, known_formats
from impasto.checkpoints.model import Model
from impasto.errors import OptionError, UnknownName, WeightsError
from impasto.inference.generator import Autoencoder, Generator
from impasto.inference.load import load, load_generator
from impasto.inference.painter import Painter
from impasto.inference.translator import Translator
from impasto.networks import autoencoder as autoencoders
from impasto.networks.classifier import Classifier
from impasto.networks.generators import GeneratorNetwork
from impasto.networks.johnson import Johnson
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.networks.own import OwnGenerator
from impasto.networks.style_predictor import StylePredictor
from impasto.networks.translators import ResNetGenerator
from nets import loaded, picture, random_weights, written

SHAPE = (1, 8, 8)


@pytest.mark.parametrize(
    ("network", "kind", "name"),
    [
        (Johnson(4, 0), Painter, "painter"),
        (MultiStyleNetwork(4, 0, 4), Painter, "painter"),
        (ResNetGenerator(2, 1), Translator, "translator"),
        (GeneratorNetwork(SHAPE, 3), Generator, "generator"),
        (autoencoders.VAE(SHAPE, 3), Autoencoder, "autoencoder"),
        (Classifier(3, 1, (8, 8)), Model, "classifier"),
        (StylePredictor(6, (4,), 2, 4), Model, "style_predictor"),
    ],
)
def test_every_network_is_loaded_as_its_kind(network, kind, name, tmp_path):
    written(tmp_path / "a.safetensors", network.eval(), {"license": "CC0"})
    model = loaded(tmp_path / "a.safetensors")
    assert type(model) is kind and model.kind == name
    assert model.name == "a" and model.card["license"] == "CC0" and len(model.sha256) == 64
    assert not model.network.training and not any(weight.requires_grad for weight in model.network.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(model.network.state_dict()[key], value), key


def test_an_autoencoder_is_saved_with_the_distribution_of_its_codes(tmp_path):
    network, extra = autoencoders.Autoencoder(SHAPE, 3), {"codes.mean": torch.ones(3), "codes.root": 2 * torch.eye(3)}
    Model(network, extra=extra).save(tmp_path / "a.safetensors", source="a test")
    first = loaded(tmp_path / "a.safetensors")
    assert first.card["source"] == "a test" and first.prior is not None
    first.save(tmp_path / "b.safetensors")
    again = loaded(tmp_path / "b.safetensors")
    random = [torch.Generator().manual_seed(0) for _ in range(2)]
    assert torch.equal(again.draw(5, random[0]), 1 + 2 * torch.randn(5, 3, generator=random[1]))


def test_precision_and_device_are_checked(tmp_path):
    written(tmp_path / "a.safetensors", Johnson(4, 0))
    assert load(tmp_path / "a.safetensors", device="cpu", precision="bfloat16").dtype is torch.bfloat16
    with pytest.raises(OptionError, match=r"^precision is 'int4'; expected auto, float32 or bfloat16\.$"):
        load(tmp_path / "a.safetensors", precision="int4")
    with pytest.raises(OptionError, match="device is 'cuda:7'"):
        load(tmp_path / "a.safetensors", device="cuda:7")
    with pytest.raises(UnknownName, match="'nothing' is not the name of a network or of a style"):
        load("nothing")
    written(tmp_path / "b.safetensors", Classifier(3, 1, (8, 8)))
    with pytest.raises(WeightsError, match="holds the network 'classifier'; expected one of `impasto train autoenc"):
        load_generator(tmp_path / "b.safetensors")


# --- runs that have not ended --------------------------------------------------------------------


def checkpoint(folder, network, averaged=True, **record):
    """Write a run's checkpoint by hand: weights, their averages, and an optimizer's state."""
    folder.mkdir()
    weights = network.state_dict()
    tensors = {f"network/g/{key}": torch.zeros_like(value) if averaged else value for key, value in weights.items()}
    tensors |= {f"average/g/{key}": value for key, value in weights.items()} if averaged else {}
    tensors |= {"optimizer/adam/0/exp_avg": torch.ones(3), "network/d/last.weight": torch.ones(2)}
    values = {"format": 1, "operation": "train", "step": 1200, "optimizers": {"adam": {}}, "options": {"crop": 0}}
    save_state(folder / "checkpoint.safetensors", tensors, {**values, **record})


@pytest.mark.parametrize("averaged", [True, False])
def test_a_run_that_has_not_ended_gives_its_weights_so_far(averaged, tmp_path):
    network = GeneratorNetwork(SHAPE, 3).eval()
    about = {"network": "generator", "settings": network.settings, "name": "g"}
    checkpoint(tmp_path / "run", network, averaged, model=about)
    model = loaded(tmp_path / "run")
    assert type(model) is Generator and model.name == "run" and model.card["step"] == 1200
    assert model.notes == (f"{tmp_path / 'run'} is a training that has not ended; its weights are those of step 1,200",)
    codes = torch.randn(2, 3)
    assert torch.equal(model.decode(codes), network(codes))


def test_an_autoencoder_that_has_not_ended_does_not_know_its_codes(tmp_path):
    network = autoencoders.Autoencoder(SHAPE, 3)
    checkpoint(tmp_path / "run", network, model={"network": "autoencoder", "settings": network.settings, "name": "g"})
    model = loaded(tmp_path / "run")
    assert model.prior is None and "the distribution of its codes is not known yet" in model.notes[1]
    images = torch.rand(2, *SHAPE)
    assert torch.equal(model.reconstruct(images), network(images))


def test_a_painter_that_has_not_ended_is_read_with_old_names(tmp_path):
    network = random_weights(MultiStyleNetwork(4, 0, 4, styles=[IDENTITY, "a"]))
    checkpoint(tmp_path / "run", network, model={"network": "painter", "settings": network.settings, "name": "g"})
    file = tmp_path / "run" / "checkpoint.safetensors"
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + length].replace(b"g/embeddings", b"g/rows")
    file.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
    assert torch.equal(loaded(tmp_path / "run").network.embeddings, network.embeddings)


def test_an_old_checkpoint_that_does_not_say_how_is_refused(tmp_path):
    checkpoint(tmp_path / "run", GeneratorNetwork(SHAPE, 3))
    with pytest.raises(WeightsError, match="run is a training that has not ended; go on with it, by --resume"):
        load(tmp_path / "run")


# --- networks of the user's own ------------------------------------------------------------------


class Own(nn.Module):
    """Darker, by a learned factor."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([factor]))
        self.register_buffer("seen", torch.tensor(3))

    def forward(self, image):
        assert isinstance(image, torch.Tensor)
        return self.factor * image


class Plain(nn.Module):
    """A generator."""

    latent_size = 3

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 64)

    def forward(self, codes):
        return self.layer(codes).sigmoid().view(-1, *SHAPE)


def test_an_own_network_is_loaded_into_what_is_given(tmp_path):
    written(tmp_path / "own.safetensors", Own(0.5), {"network": "custom"})
    with pytest.raises(WeightsError, match=r"holds a network of your own; expected that as network="):
        load(tmp_path / "own.safetensors")
    model = load(tmp_path / "own.safetensors", device="cpu", precision="float32", network=Own())
    assert isinstance(model, Translator)
    image = picture(20, 30)
    torch.testing.assert_close(model(image), 0.5 * image)
    assert np.abs(model(image[0].permute(1, 2, 0).numpy()) - 0.5 * image[0].permute(1, 2, 0).numpy()).max() < 1e-6
    with pytest.raises(
        WeightsError, match=r"own\.safetensors does not fit the network that was given: .*layer\.weight"
    ):
        load(tmp_path / "own.safetensors", network=Plain())


class Halves(nn.Module):
    """An autoencoder."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def encode(self, images):
        return self.factor * images.flatten(1)

    def decode(self, codes):
        return codes.view(-1, *SHAPE)


def custom(kind):
    """As trainings describe it."""
    return {"network": "custom", "as": kind, "class": "own.Own", "settings": {"shape": list(SHAPE), "classes": 0}}


def test_an_own_generator_is_a_generator(tmp_path):
    network = Plain().eval()
    written(tmp_path / "own.safetensors", network, custom("generator"))
    model = load(tmp_path / "own.safetensors", device="cpu", network=Plain())
    assert type(model) is Generator and model.latent_size == 3 and model.shape == SHAPE
    assert torch.equal(model.sample(2, seed=4), network(torch.randn(2, 3, generator=torch.Generator().manual_seed(4))))
    model.save(tmp_path / "again.safetensors")
    again = load(tmp_path / "again.safetensors", device="cpu", network=Plain())
    assert torch.equal(again.sample(2), model.sample(2))


def test_an_own_autoencoder_encodes(tmp_path):
    written(tmp_path / "own.safetensors", Halves(), custom("autoencoder"))
    model = load(tmp_path / "own.safetensors", device="cpu", network=Halves())
    images = torch.rand(2, *SHAPE)
    assert type(model) is Autoencoder and torch.equal(model.reconstruct(images), images / 2)


def test_an_own_network_of_a_run_that_has_not_ended(tmp_path):
    wrapped = OwnGenerator(Plain().eval(), SHAPE)
    checkpoint(tmp_path / "run", wrapped, model={**custom("generator"), "name": "g"})
    model = load(tmp_path / "run", device="cpu", network=Plain())
    assert torch.equal(model.sample(3), wrapped(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))))


def test_a_plain_state_dict_is_loaded_into_an_own_network(tmp_path):
    torch.save({"model": {f"module.{key}": value for key, value in Own(0.25).state_dict().items()}}, tmp_path / "a.pth")
    model = load(tmp_path / "a.pth", device="cpu", precision="float32", network=Own())
    torch.testing.assert_close(model(picture(9, 9)), 0.25 * picture(9, 9))


# --- formats from outside ------------------------------------------------------------------------


def _read_numbers(file):
    network = Johnson(4, 0, scale=1.0)
    values = json.loads(file.path.read_text())["brightness"]
    for parameter in network.parameters():
        parameter.data.zero_()
    network.deconv3.conv2d.bias.data.fill_(values)
    return Model(network, {"license": "toy"}, (), file.path)


TOY = Format("toy", lambda file: file.path.suffix == ".toy", _read_numbers, "a .toy file")


class Entry(EntryPoint):
    def load(self):
        return TOY


@pytest.mark.parametrize("how", ["argument", "registered", "entry point"])
def test_a_format_from_outside_is_one_object(how, tmp_path, monkeypatch):
    (tmp_path / "gray.toy").write_text('{"brightness": 0.25}')
    with pytest.raises(WeightsError, match="damaged"):
        load(tmp_path / "gray.toy")
    monkeypatch.setattr(FORMATS, "_items", None)
    monkeypatch.setattr(FORMATS, "_outside", None)
    if how == "registered":
        FORMATS.register("toy", TOY)
    elif how == "entry point":
        monkeypatch.setattr(registry, "entry_points", lambda group: [Entry("toy", "toy:TOY", group)])
    more = [TOY] if how == "argument" else []
    model = load(tmp_path / "gray.toy", device="cpu", precision="float32", formats=more)
    assert isinstance(model, Painter) and model.card == {"license": "toy"}
    assert model(picture(12, 12)).unique().tolist() == [0.25]


def test_the_known_formats_are_the_files_of_the_folder():
    assert {one.name for one in known_formats()} == {
        "impasto", "pytorch/examples", "lengstrom", "MicroAST", "CycleGAN", "pix2pix"
    }  # fmt: skip


def test_a_file_of_no_known_format_says_what_is_known(tmp_path):
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError) as caught:
        load(tmp_path / "a.pth")
    told = str(caught.value)
    assert "its first tensor is named 'features.0.weight'" in told and "conv1.conv2d.weight (pytorch/examples)" in told
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        WeightsError,
        match=r"folder holds no network: expected model\.safetensors of a training, or files of .*MicroAST",
    ):
        load(tmp_path / "folder")
