"""Generators and autoencoders as objects: samples, codes, reconstructions, one picture of one's own, notebooks."""

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import ImageError, OptionError
from impasto.inference.generator import Autoencoder, Generator
from impasto.networks import autoencoder as autoencoders
from impasto.networks.generators import GeneratorNetwork

SHAPE = (1, 8, 8)


def random(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def gan():
    return Generator(GeneratorNetwork(SHAPE, 5).eval(), {"classes": ["a", "<b>"]})


@pytest.fixture
def conditional():
    return Generator(GeneratorNetwork(SHAPE, 5, classes=3).eval(), {"classes": ["cat", "dog", "owl"]})


class Same(torch.nn.Module):
    """Every pixel is a code, so that a reconstruction is what was encoded."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.latent = shape, int(np.prod(shape))
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def encode(self, images):
        assert tuple(images.shape[1:]) == self.shape
        return images.flatten(1)

    def decode(self, codes):
        return codes.view(-1, *self.shape)


def test_samples_depend_on_the_seed_alone(gan):
    assert gan.sample(7).shape == (7, *SHAPE) and torch.equal(gan.sample(7), gan.sample(7, seed=0))
    assert not torch.equal(gan.sample(7), gan.sample(7, seed=1))
    assert torch.equal(gan.sample(3, seed=2), gan.network(torch.randn(3, 5, generator=random(2))))
    assert (gan.latent_size, gan.classes, gan.names, gan.shape) == (5, 0, ("a", "<b>"), SHAPE)


def test_samples_are_of_the_classes_that_are_named(conditional):
    codes = torch.randn(4, 5, generator=random())
    for labels, wanted in (
        (None, [0, 1, 2, 0]),
        ("owl", [2] * 4),
        (1, [1] * 4),
        (["cat", "dog", 2, "1"], [0, 1, 2, 1]),
        (torch.tensor([2, 2, 0, 1]), [2, 2, 0, 1]),
    ):
        assert torch.equal(conditional.sample(4, labels=labels), conditional.network(codes, torch.tensor(wanted)))
    for labels in ("cow", 3, torch.tensor([0, 1, 2, 3])):
        with pytest.raises(OptionError, match="there is no class"):
            conditional.sample(4, labels=labels)


def test_labels_of_a_network_without_classes_are_refused(gan):
    with pytest.raises(OptionError, match="is not class-conditional; leave out labels"):
        gan.sample(2, labels="a")


def test_codes_and_reconstructions_of_a_vae():
    vae = Autoencoder(autoencoders.VAE(SHAPE, 4).eval())
    images = torch.randint(0, 256, (6, *SHAPE), dtype=torch.uint8, generator=random())
    mean, logvar = vae.network.encode(images.float() / 255)
    assert torch.equal(vae.encode(images), mean) and torch.equal(vae.posterior(images)[1], logvar)
    assert torch.equal(vae.reconstruct(images), vae.network.decode(mean))
    assert vae.kind == "autoencoder" and vae.architecture == "vae"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_ones_own_comes_back_as_the_kind_that_was_given(channels, tmp_path):
    model = Autoencoder(Same((channels, 8, 8)))
    gray = (255 * torch.rand(8, 8, generator=random())).round() / 255
    pixels = (255 * gray).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels)):
        clean = model.denoise(given)
        assert isinstance(clean, Image.Image) and clean.size == (8, 8)
        assert np.abs(np.asarray(clean).astype(int) - pixels[..., None]).max() <= 1
    flat = model.denoise(pixels)
    assert flat.dtype == np.uint8 and flat.shape == (8, 8) and np.abs(flat.astype(int) - pixels).max() <= 1
    assert model.denoise(np.stack([pixels] * 3, 2)).shape == (8, 8, 3)
    for tensor, shape in ((gray, (1, 1, 8, 8)), (gray[None], (1, 1, 8, 8)), (gray.expand(1, 3, 8, 8), (1, 3, 8, 8))):
        clean = model.denoise(tensor)
        assert clean.shape == shape and clean.dtype == tensor.dtype
        torch.testing.assert_close(clean, gray.expand(shape), rtol=0, atol=1e-5)
    with pytest.raises(ImageError, match="does not exist"):
        model.denoise(tmp_path / "b.png")


def test_a_picture_is_cut_resized_and_made_gray_as_training_pictures_are():
    model = Autoencoder(Same((1, 4, 4)))
    image = torch.zeros(3, 8, 20)
    image[:, :, 6:14] = torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)  # the middle square
    image[:, :, :6] = 1
    gray = 0.299 + 0.587 / 2
    torch.testing.assert_close(model.prepared(image), torch.full((1, 1, 4, 4), gray), rtol=0, atol=0.06)
    clear = np.zeros((6, 6, 4), np.uint8)  # all transparent, on white
    assert model.prepared(clear).min() > 0.999
    wide = Autoencoder(Same((3, 4, 8)))
    assert wide.prepared(torch.rand(3, 50, 50)).shape == (1, 3, 4, 8)


def test_a_conditional_one_needs_the_class():
    vae = Autoencoder(autoencoders.VAE(SHAPE, 4, classes=2).eval(), {"classes": ["cat", "dog"]})
    image = torch.rand(8, 8, generator=random())
    with pytest.raises(OptionError, match="is class-conditional; expected the picture's class"):
        vae.denoise(image)
    wanted = vae.reconstruct(image[None, None], torch.tensor([1]))
    torch.testing.assert_close(vae.denoise(image, label="dog"), wanted)


def test_sheets_are_pictures(gan):
    shown = gan.show(rows=2, columns=3, seed=1)
    assert isinstance(shown, Image.Image) and shown.size == (3 * 68 + 4, 2 * 68 + 4)  # enlarged eight times
    pixels = np.asarray(shown)[4:68:8, 4:68:8, 0].astype(float) / 255
    np.testing.assert_allclose(pixels, gan.sample(6, seed=1)[0, 0].detach().numpy(), atol=0.003)
    for kind, message in (("all", "expected one kind: grid"), ("reconstructions", "does not say its training set")):
        with pytest.raises(OptionError, match=message):
            gan.show(kind)


def test_a_notebook_shows_a_table_and_nothing_that_was_smuggled_in(gan):
    html = Generator(gan.network, {**gan.card, "license": "<script>", "source": None}, name="<i>")._repr_html_()
    assert "<script>" not in html and "<i>" not in html and "<b>" not in html
    assert "&lt;script&gt;" in html and "a, &lt;b&gt;" in html and "<td>generator</td>" in html
    assert f"{gan.size:,} weights" in html and "<th>latent size</th><td>5</td>" in html and "source" not in html


def test_pictures_and_codes_of_a_host_with_another_default():
    """Doubles and halves are computed in the precision of the network."""
    vae = Autoencoder(autoencoders.VAE(SHAPE, 4).eval())
    images = torch.rand(2, *SHAPE, generator=random())
    for dtype in (torch.float64, torch.float16):
        torch.testing.assert_close(vae.reconstruct(images.to(dtype)), vae.reconstruct(images), rtol=0, atol=1e-3)
        assert vae.decode(vae.encode(images).to(dtype)).dtype is torch.float32
