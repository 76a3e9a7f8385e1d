"""Painters and translators as objects: types of pictures, own styles, regions, notebooks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.checkpoints.files import save_network
from impasto.errors import ImageError, OptionError, UnknownName, WeightsError
from impasto.inference.painter import Painter
from impasto.networks.johnson import Johnson
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.networks.translators import ResNetGenerator
from impasto.paintings import paintings
from nets import loaded, model_of, picture, random_weights


@pytest.fixture
def painter():
    network = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "red", "blue"])).requires_grad_(False)
    return Painter(network, {"license": "CC0 & more"}, name="tiny")


def test_each_kind_of_picture_comes_back_as_that_kind(painter, tmp_path):
    tensor = picture(18, 30)
    wanted = painter.paint(tensor, style="blue")
    assert torch.equal(painter(tensor, style="blue"), wanted)
    assert painter(tensor[0], style="blue").shape == (1, 3, 18, 30)
    array = tensor[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(painter(array, style="blue"), wanted[0].permute(1, 2, 0).numpy())
    eight = (255 * array).round().astype(np.uint8)
    image = Image.fromarray(eight)
    image.save(tmp_path / "a.png")
    painted = painter(eight, style="blue")
    assert painted.dtype == np.uint8
    for given in (image, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(np.asarray(painter(given, style="blue")), painted)
    assert painter(image, style="red", size=20).size == (20, 12)


def test_styles_are_named_weighted_or_given(painter, tmp_path):
    image, embeddings = picture(18, 30), painter.network.embeddings
    mixture = painter.paint(image, style={"red": 1.0, "blue": 3.0})
    for style in ({"red": 1, "blue": 3}, "red:1,blue:3", ["red:1", "blue:3"], (embeddings[1] + 3 * embeddings[2]) / 4):
        torch.testing.assert_close(painter(image, style=style), mixture, rtol=0, atol=1e-5)
    with pytest.raises(
        UnknownName, match="^'rde' is not the name of a style, nor of a picture file. Did you mean 'red'"
    ):
        painter(image, style="rde")
    with pytest.raises(OptionError, match="has no style predictor"):
        painter(image, style=Image.new("RGB", (32, 32)))


def test_a_network_of_several_styles_needs_one_named(painter):
    image, asks = picture(18, 30), r"^tiny has 2 styles; choose one with --style, such as red, blue; `impasto styles`"
    for paint in (painter, painter.paint):
        with pytest.raises(OptionError, match=asks):
            paint(image)
    by_default = replace(painter, default="blue")
    assert torch.equal(by_default(image), painter(image, style="blue"))
    single = Painter(random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "only"])).requires_grad_(False))
    assert torch.equal(single(image), single(image, style="only"))


def test_pictures_in_memory_are_styles_of_their_own():
    """The second picture, of a region, does not replace the first."""
    paint, image = loaded("painter"), picture(32, 40)
    styles = [np.asarray(Image.open(paintings()[name].path)) for name in ("starry_night", "the_scream")]
    left = np.zeros((32, 40), np.float32)
    left[:, :20] = 1
    painted = paint(image, style=styles[0], regions=[(left, styles[1])], feather=0)
    first = paint(image, style=styles[0], regions=[(left, styles[0])], feather=0)
    assert (painted - first)[..., :12].abs().mean() > 0.01


def test_a_style_is_added_from_an_embedding_or_a_file(painter, tmp_path):
    embedding = painter.network.embeddings[1] + 0.1
    card = {"network": "style", "settings": {"style": "green"}, "base": painter.fingerprint}
    save_network(tmp_path / "green.safetensors", {"row": embedding}, card, "float32")  # as older versions named it
    for style in (embedding, tmp_path / "green.safetensors"):
        more = painter.with_style("mine", style)
        assert more.styles == (IDENTITY, "red", "blue", "mine") and painter.styles == (IDENTITY, "red", "blue")
        assert torch.equal(more.network.embeddings[3], embedding) and more.fingerprint == painter.fingerprint
        assert more.network.stem.weight.data_ptr() == painter.network.stem.weight.data_ptr()
    image = picture(18, 30)
    assert torch.equal(painter(image, style=str(tmp_path / "green.safetensors")), more(image, style="mine"))
    other = Painter(random_weights(MultiStyleNetwork(8, 1, 8), seed=1))
    with pytest.raises(WeightsError, match="is a style of another network"):
        other.with_style("mine", tmp_path / "green.safetensors")
    with pytest.raises(ImageError, match="nothing.png does not exist"):
        painter.with_style("mine", "nothing.png")
    with pytest.raises(OptionError, match="the network is one of johnson; expected a multi-style network"):
        model_of(Johnson(4, 0)).with_style("mine", embedding)


def test_the_fingerprint_is_of_full_precision(painter):
    coarse = Painter(painter.network)
    coarse.network.to(torch.bfloat16)
    assert coarse.fingerprint == painter.fingerprint
    assert coarse.with_style("mine", coarse.network.embeddings[1]).fingerprint == painter.fingerprint


def test_regions_and_kept_parts(painter):
    image = picture(18, 30)
    left = np.zeros((18, 30), np.float32)
    left[:, :15] = 1
    everywhere = painter(image, style="red", regions=[(np.ones_like(left), "blue")], feather=0)
    torch.testing.assert_close(everywhere, painter(image, style="blue"), rtol=0, atol=1e-5)
    assert torch.equal(painter(image, style="red", keep=left, feather=0)[..., :15], image[..., :15])


def test_a_picture_as_style_in_memory():
    network, style = model_of(random_weights(MicroAST()).requires_grad_(False)), picture(20, 24, 7)
    image = picture(18, 30)
    wanted = network.paint(image, style=style)
    assert torch.equal(network(image, style=style), wanted)
    assert torch.equal(network(image, style=style[0].permute(1, 2, 0).numpy()), wanted)
    with pytest.raises(OptionError, match="takes a picture as style; expected one as --style"):
        network(image)


def test_a_translator_has_no_style():
    network, image = model_of(random_weights(ResNetGenerator(2, 1)).requires_grad_(False)), picture(18, 30)
    assert torch.equal(network(image), network.paint(image))
    assert torch.equal(network(image, strength=0.0), image)
    with pytest.raises(OptionError, match="strength is 2; expected"):
        network(image, strength=2)
    for call in (network, network.paint):
        with pytest.raises(OptionError, match="has one style; leave out the style"):
            call(image, style="red")


def test_moving_returns_the_model(painter):
    assert painter.to("cpu") is painter and painter.device == torch.device("cpu") and painter.dtype is torch.float32


def test_a_notebook_shows_what_it_is(painter):
    html = painter._repr_html_()
    assert "<caption>tiny</caption>" in html and "<td>multistyle</td>" in html and "identity, red, blue" in html
    assert "CC0 &amp; more" in html
    many = Painter(MultiStyleNetwork(4, 0, 4, styles=[IDENTITY, *map(str, range(20))]))
    assert "9, 10 and 9 more" in many._repr_html_()
