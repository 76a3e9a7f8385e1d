"""Calls from programs that have set torch to something else: inference mode, other defaults, autocast."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

import impasto
from impasto.api.stylize import iter_stylize
from impasto.devices import own_defaults
from impasto.errors import OptionError
from impasto.events import drain
from impasto.io.tensors import as_tensor, open_picture
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.networks.translators import ResNetGenerator
from impasto.style_transfer.options import QUALITIES, StylizeOptions
from nets import random_weights, tiny_vgg, written


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


HOSTS = {
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}
CPU = {"device": "cpu", "precision": "float32"}
VGG = tiny_vgg()
DIGITS = torch.randint(0, 256, (40, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    written(folder / "painter.safetensors", random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "red"])))
    written(folder / "translator.safetensors", random_weights(ResNetGenerator(4, 1)))
    impasto.train("vae", DIGITS, run=folder / "vae", steps=1, batch=8, device="cpu")
    return folder


def photo():
    return torch.rand(3, 20, 28, generator=torch.Generator().manual_seed(1), device="cpu", dtype=torch.float32)


def stylize(files, tmp_path):
    quick = {"size": 28, "steps": 2, "polish": 0, **CPU}
    drain(iter_stylize(photo(), photo(), encoder=VGG, **quick))
    return impasto.stylize(photo(), photo().flip(1), encoder=VGG, **quick)


def apply(files, tmp_path):
    return impasto.apply(files / "translator.safetensors", photo(), **CPU)


def paint(files, tmp_path):
    painter = impasto.load(files / "painter.safetensors", **CPU)
    painter = painter.with_style("blue", torch.ones(painter.network.embeddings.shape[1], device="cpu"))
    return torch.cat([painter(photo(), style="red"), painter.paint(photo()[None], style="blue", strength=0.5)])


def train(files, tmp_path):
    model = impasto.train("autoencoder", DIGITS, run=tmp_path / "run", steps=2, batch=8, device="cpu")
    return model.reconstruct(model.sample(3))


def sample(files, tmp_path):
    return impasto.load(files / "vae", device="cpu").sample(3)


def sheet(files, tmp_path):
    return as_tensor(open_picture(impasto.sample(files / "vae", rows=2, columns=2)))


def score(files, tmp_path):
    found = impasto.score(photo(), photo(), photo().flip(1), encoder="compact")
    return torch.tensor(list(found.style.values()), device="cpu", dtype=torch.float64)


SLOW = (train, score)
VERBS = (stylize, apply, paint, sample, sheet, *SLOW)


@pytest.mark.parametrize("verb", VERBS)
def test_settings_of_the_calling_program_change_nothing(files, tmp_path, verb):
    expected = verb(files, tmp_path / "nothing set")
    names = ("inference mode", "float64") if verb in SLOW else HOSTS
    for name in names:
        with HOSTS[name]():
            found = verb(files, tmp_path / name)
        assert found.dtype == expected.dtype and torch.equal(found, expected), name


def test_own_defaults_restore_what_was_set():
    for name, host in HOSTS.items():
        with host():
            with own_defaults():
                made = torch.zeros(1) @ torch.zeros(1, 1)
                assert (made.dtype, made.device.type, made.is_inference()) == (torch.float32, "cpu", False), name
            outside = (torch.get_default_dtype(), torch.get_default_device().type, torch.is_inference_mode_enabled())
        expected = {"inference mode": (torch.float32, "cpu", True), "float64": (torch.float64, "cpu", False)}
        assert outside == expected.get(name, outside)
    assert torch.get_default_dtype() is torch.float32


def test_between_events_the_settings_of_the_calling_program_hold(files):
    with torch.inference_mode():
        for _ in iter_stylize(photo(), photo(), encoder=VGG, size=28, steps=1, polish=0, **CPU):
            assert torch.is_inference_mode_enabled()


class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(64, 2), nn.Linear(2, 64)

    def encode(self, images):
        return self.down(images.flatten(1))

    def decode(self, latents):
        return self.up(latents).sigmoid().view(-1, 1, 8, 8)


@pytest.mark.parametrize(("name", "host"), [("inference mode", torch.inference_mode), ("meta", HOSTS["meta device"])])
def test_a_network_that_cannot_be_trained_is_refused_in_a_sentence(tmp_path, name, host):
    with host():
        network = Coder()
    with pytest.raises(OptionError, match=r"the weights of Coder were made in torch.inference_mode or on the meta"):
        impasto.train("autoencoder", DIGITS, run=tmp_path / "run", steps=1, network=network)


def test_a_network_of_another_precision_is_trained_in_float32_and_loaded_into_any(tmp_path):
    network = Coder().double()
    model = impasto.train("autoencoder", DIGITS, run=tmp_path / "run", steps=1, batch=8, device="cpu", network=network)
    with torch.inference_mode(), default_dtype(torch.float64):
        again = impasto.load(tmp_path / "run", device="cpu", network=Coder())
    assert again.dtype is torch.float32
    assert torch.equal(again.sample(2), model.sample(2))


def test_an_encoder_may_be_named_where_a_network_is_expected():
    settings = {**QUALITIES["draft"], "size": 28, "steps": 1, **CPU}
    named = drain(iter_stylize(photo(), photo(), **settings))
    assert torch.equal(named, drain(iter_stylize(photo(), photo(), StylizeOptions(**settings))))
    assert torch.equal(named, impasto.stylize(photo(), photo(), **settings))
    with pytest.raises(OptionError, match=r"encoder is 3; expected a name of `impasto encoders`"):
        iter_stylize(photo(), photo(), encoder=3)
