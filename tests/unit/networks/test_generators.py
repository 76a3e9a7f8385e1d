"""Networks that play against each other: their sizes, their classes, and that files of them are read."""

import json
import math

import pytest
import torch
from torch import nn

from impasto.checkpoints.files import save_state
from impasto.errors import OptionError, WeightsError
from impasto.inference.generator import Autoencoder
from impasto.inference.load import load_generator
from impasto.networks.generators import Discriminator, GeneratorNetwork

KNOWN = (nn.ConvTranspose2d, nn.ReLU, nn.BatchNorm2d, nn.GroupNorm)


def count(network):
    return sum(weight.numel() for weight in network.parameters())


def kernels(network):
    """What is reshaped by convolutions: (in, out, kernel, stride)."""
    generator = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    return [(one.in_channels, one.out_channels, one.kernel_size[0], one.stride[0]) for one in generator]


def test_the_papers_network_has_its_size():
    """As pytorch/examples has it for 64 px, 100 numbers and 64 channels."""
    generator, discriminator = (
        GeneratorNetwork((3, 64, 64), 100, "conv", width=64),
        Discriminator((3, 64, 64), "conv", (), 64, "batch"),
    )
    convolutions = 16 * (100 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    assert count(generator) == convolutions + 2 * (512 + 256 + 128 + 64) == 3_576_704
    convolutions = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1)
    assert count(discriminator) == convolutions + 2 * (128 + 256 + 512) == 2_765_568
    assert kernels(generator) == [(100, 512, 4, 1), (512, 256, 4, 2), (256, 128, 4, 2), (128, 64, 4, 2), (64, 3, 4, 2)]
    assert kernels(discriminator) == [(3, 64, 4, 2), (64, 128, 4, 2), (128, 256, 4, 2), (256, 512, 4, 2)]
    assert {module.negative_slope for module in discriminator.modules() if isinstance(module, nn.LeakyReLU)} == {0.2}
    weights = torch.cat(
        [module.weight.flatten() for module in generator.modules() if isinstance(module, nn.ConvTranspose2d)]
    )
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)


def test_the_dense_one_has_its_size_and_stays_normal():
    generator, discriminator = GeneratorNetwork(), Discriminator()
    assert count(generator) == 30 * 100 + 100 + 100 * 150 + 150 + 150 * 784 + 784 == 136_634
    assert count(discriminator) == 784 * 150 + 150 + 150 * 100 + 100 + 100 + 1 == 132_951
    torch.manual_seed(0)
    generator = GeneratorNetwork((1, 16, 16), 64, hidden=(512, 512, 512))
    seen = torch.randn(400, 64)
    for layer in generator.layers[:-2]:
        seen = layer(seen)
        if isinstance(layer, nn.SELU):  # with LeCun's weights it keeps mean 0 and variance 1
            assert abs(seen.mean().item()) < 0.1 and seen.var().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("side", "base"), [(28, 7), (32, 4), (64, 4), (56, 7), (12, 6), (8, 4), (6, 3)])
def test_sides_are_halved_down_to_a_few_pixels(side, base):
    generator, discriminator = (
        GeneratorNetwork((1, side, side), 3, "conv", width=2),
        Discriminator((1, side, side), "conv", width=2),
    )
    assert kernels(generator)[0][2] == base
    pictures = generator(torch.randn(2, 3))
    assert pictures.shape == (2, 1, side, side) and discriminator(pictures).shape == (2,)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_both_can_be_made_again_and_a_file_is_read(tmp_path, kind, norm, classes):
    generator = GeneratorNetwork((2, 12, 16), 5, kind, (9,), 4, norm, classes)
    discriminator = Discriminator((2, 12, 16), kind, (9,), 4, norm, classes, spectral=True)
    codes, labels = torch.randn(6, 5), torch.arange(6) % 3 if classes else None
    for network, given in ((generator, codes), (discriminator, torch.rand(6, 2, 12, 16))):
        for _ in range(3):
            network(given, labels)  # batch norm and spectral norm remember
        again = type(network)(**json.loads(json.dumps(network.settings)))
        again.load_state_dict(network.state_dict())
        network.eval(), again.eval()
        assert torch.equal(network(given, labels), again(given, labels))
    pictures = generator(codes, labels)
    assert pictures.shape == (6, 2, 12, 16) and pictures.min() >= 0 and pictures.max() <= 1
    save_state(
        tmp_path / "model.safetensors", generator.state_dict(), {"network": "generator", "settings": generator.settings}
    )
    model = load_generator(tmp_path, device="cpu")
    assert (model.kind, model.latent_size, model.shape, model.classes) == ("generator", 5, (2, 12, 16), classes)
    assert torch.equal(model.decode(codes, labels), pictures)
    assert not isinstance(model, Autoencoder)
    with pytest.raises(OptionError, match="labels are missing" if classes else "leave out labels"):
        model.decode(codes, None if classes else torch.zeros(6))


def test_classes_change_samples_and_logits():
    generator, discriminator = (
        GeneratorNetwork((1, 8, 8), 5, "conv", width=4, classes=3),
        Discriminator((1, 8, 8), width=4, classes=3),
    )
    codes, pictures = torch.randn(1, 5).expand(3, 5), torch.rand(1, 1, 8, 8).expand(3, 1, 8, 8)
    assert generator.eval()(codes, torch.arange(3)).std(0).max() > 1e-4
    assert discriminator(pictures, torch.arange(3)).std() == 0  # at first the class has no effect
    discriminator.labels.weight.data.normal_()
    seen = discriminator.layers(pictures[:1])[0]
    wanted = discriminator.last(seen) + discriminator.labels.weight @ seen
    torch.testing.assert_close(discriminator(pictures, torch.arange(3)), wanted)


def test_the_tanh_of_the_paper():
    generator = GeneratorNetwork((1, 8, 8), 5, "conv", width=4)
    codes = torch.randn(4, 5)
    generator.eval()
    torch.testing.assert_close(generator(codes), (1 + generator.logits(codes).tanh()) / 2)
    dense = GeneratorNetwork((1, 8, 8), 5)
    torch.testing.assert_close(dense(codes), dense.logits(codes).sigmoid())


def test_points_are_not_squashed():
    generator, discriminator = GeneratorNetwork((2,), 4, hidden=(8,)), Discriminator((2,), hidden=(8,))
    points = 100 * generator(100 * torch.randn(50, 4))
    assert points.shape == (50, 2) and points.abs().max() > 10 and discriminator(points).shape == (50,)


def test_a_weave_is_blurred_away():
    torch.manual_seed(0)
    plain, even = (GeneratorNetwork((3, 16, 16), 5, "conv", width=4, norm="none", blur=blur) for blur in (False, True))
    doubled = [place for place, layer in enumerate(plain.layers) if getattr(layer, "stride", 0) == (2, 2)]
    blurs = [place for place, layer in enumerate(even.layers) if not isinstance(layer, (*KNOWN, nn.Unflatten))]
    assert len(doubled) == len(blurs) == 2 and even.settings["blur"] and not plain.settings["blur"]
    assert all(getattr(even.layers[place - 1], "stride", 0) == (2, 2) for place in blurs)
    blur, dot = even.layers[blurs[1]], torch.zeros(1, 3, 5, 5)
    dot[0, 1, 2, 0] = 16
    assert blur(dot)[0, 1].tolist() == [[0] * 5, [3, 1, 0, 0, 0], [6, 2, 0, 0, 0], [3, 1, 0, 0, 0], [0] * 5]
    assert blur(dot)[0, ::2].abs().sum() == 0
    weave = torch.ones(1, 3, 6, 6)
    weave[..., ::2] = -1
    assert (blur(weave)[..., 1:-1] == 0).all() and (blur(weave.mT)[..., 1:-1, :] == 0).all()
    flat = torch.full((1, 3, 4, 4), 0.3)
    torch.testing.assert_close(blur(flat), flat)
    assert even.state_dict().keys() == {key for key in even.state_dict() if "kernel" not in key}


def test_waves_beside_the_input_by_hand():
    network = Discriminator((2,), hidden=(3,), fourier=4)
    assert network.frequencies.shape == (2, 4) and network.layers[1].in_features == 2 + 8
    assert 0.8 < Discriminator((2,), fourier=4000).frequencies.std() < 1.2
    x = torch.tensor([[0.5, -2.0]])
    waves = (x.double() @ network.frequencies.double())[0].tolist()
    given = [0.5, -2.0, *map(math.sin, waves), *map(math.cos, waves)]
    seen = network.layers[1:](torch.tensor([given]))
    torch.testing.assert_close(network(x), network.last(seen)[:, 0])
    pictures = torch.rand(3, 1, 4, 4)
    assert Discriminator((1, 4, 4), fourier=5)(pictures).shape == (3,)


@pytest.mark.parametrize("make", [GeneratorNetwork, lambda **more: Discriminator(**more, fourier=3)])
def test_networks_of_points_can_be_made_again(make):
    network = make(shape=(2,), hidden=(4,), activation="relu")
    again = type(network)(**json.loads(json.dumps(network.settings)))
    again.load_state_dict(network.state_dict())
    x = torch.randn(5, 30 if make is GeneratorNetwork else 2)
    assert torch.equal(again(x), network(x)) and again.settings == network.settings


def test_rectifiers_begin_as_wide_as_what_they_see():
    torch.manual_seed(0)
    for activation, layer in (("relu", nn.ReLU), ("selu", nn.SELU)):
        network = GeneratorNetwork((2,), 500, hidden=(500,) * 4, activation=activation)
        assert sum(isinstance(one, layer) for one in network.layers) == 4
        with torch.no_grad():
            deep = network.layers[:7](torch.randn(200, 500))  # before the last rectifier
        assert deep.square().mean().sqrt() == pytest.approx(2**0.5 if activation == "relu" else 1, rel=0.2)


def test_spectral_norm_bounds_each_layer():
    discriminator = Discriminator((1, 8, 8), "conv", width=4, classes=3, spectral=True)
    pictures, labels = torch.rand(2, 1, 8, 8), torch.zeros(2)
    for _ in range(50):
        discriminator(pictures, labels)
    discriminator.eval()
    weights = [discriminator.layers[0].weight, discriminator.last.weight, discriminator.labels.weight]
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: GeneratorNetwork((1, 30, 30), kind="conv"),
            "pictures are 30×30; a convolutional GAN needs .* --crop 32",
        ),
        (lambda: Discriminator((1, 44, 8), kind="conv"), "pictures are 44×8; a convolutional GAN"),
        (lambda: GeneratorNetwork(kind="deep"), "network is 'deep'; expected dense or conv"),
        (lambda: Discriminator(activation="tanh"), "activation is 'tanh'; expected selu or relu"),
        (lambda: Discriminator(fourier=-1), "expected 1 or more each"),
        (lambda: GeneratorNetwork(norm="layer"), "norm is 'layer'; expected batch, group, none"),
        (lambda: GeneratorNetwork((2,), kind="conv"), "expected 1 or more each"),
        (lambda: Discriminator(width=0), "expected 1 or more each"),
        (lambda: GeneratorNetwork(classes=1), "classes are 1; expected two or more"),
        (
            lambda: GeneratorNetwork((1, 8, 8), 3, classes=2)(torch.zeros(2, 3), torch.zeros(3)),
            "one for each of 2 pictures",
        ),
        (
            lambda: GeneratorNetwork((1, 8, 8), 3, classes=2)(torch.zeros(1, 3), torch.ones(1) * 2),
            "2 to 2; expected 0 to 1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, sentence):
    with pytest.raises(OptionError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"shape": [1, 0, 4]}, "is damaged"),
        ({"shape": [2]}, "generates points; expected a network that was trained on pictures"),
    ],
)
def test_files_that_make_no_pictures(tmp_path, settings, sentence):
    weights = GeneratorNetwork((2,)).state_dict()
    save_state(tmp_path / "a.safetensors", weights, {"network": "generator", "settings": settings})
    with pytest.raises(WeightsError, match=sentence):
        load_generator(tmp_path / "a.safetensors")
