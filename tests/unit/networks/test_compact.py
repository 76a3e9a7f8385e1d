"""The compact encoder: a VGG with squeezed convolutions, its files, and the one that is shipped."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import load_state, save_state
from impasto.checkpoints.weights import SPECS, find
from impasto.errors import OptionError, UnknownName, WeightsError
from impasto.io.decode import load_picture
from impasto.io.tensors import as_tensor
from impasto.networks.compact import RANKS, Compact
from impasto.networks.vgg import VGG
from impasto.ops.resize import resize
from impasto.recipes.compact_encoder.recipe import LAYERS
from impasto.style_transfer.objective import Objective
from impasto.style_transfer.options import StylizeOptions
from nets import picture

WIDTHS = (4, 6, 8, 10, 10)
PLAIN = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "channel_order": "rgb", "scale": 1.0, "widths": WIDTHS}
FEW = {name: (3, 4) for name in RANKS}


def tiny(**settings):
    torch.manual_seed(1)
    return Compact(**{**PLAIN, "ranks": FEW, **settings}).requires_grad_(False).eval()


# --- the network ---------------------------------------------------------------------------------


def test_layers_sizes_and_reach_are_those_of_vgg():
    compact, vgg = tiny(), VGG(**PLAIN)
    assert compact.layer_names == vgg.layer_names
    ours, theirs = (network(picture(48, 64), network.layer_names) for network in (compact, vgg))
    for layer in vgg.layer_names:
        assert ours[layer].shape == theirs[layer].shape, layer
        assert compact.reach(layer) == vgg.reach(layer)
        assert compact.stride(layer) == vgg.stride(layer)


def test_full_ranks_can_be_any_vgg():
    # enter: the identity; core: VGG's convolution; leave: the identity with VGG's bias. By hand, no fitting.
    torch.manual_seed(0)
    vgg = VGG(**PLAIN, padding="replicate").requires_grad_(False)
    ranks = {n: (vgg.get_submodule(n).in_channels, vgg.get_submodule(n).out_channels) for n in RANKS}
    compact = tiny(ranks=ranks, padding="replicate")
    compact.conv1_1.load_state_dict(vgg.conv1_1.state_dict())
    for name, (k, r) in ranks.items():
        enter, core, leave = compact.get_submodule(name)
        full = vgg.get_submodule(name)
        enter.weight.copy_(torch.eye(k)[:, :, None, None])
        core.weight.copy_(full.weight)
        leave.weight.copy_(torch.eye(r)[:, :, None, None])
        leave.bias.copy_(full.bias)
    image = picture(40, 48)
    for layer, features in vgg(image, vgg.layer_names).items():
        torch.testing.assert_close(compact(image, [layer])[layer], features, rtol=1e-4, atol=1e-6)


def test_ranks_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match=r"the ranks of conv3_2 are 0 and 4; expected 1 or more each\."):
        tiny(ranks={**FEW, "conv3_2": (0, 4)})
    with pytest.raises(OptionError, match="the ranks of conv5_4 are 0 and 0"):
        tiny(ranks={name: rank for name, rank in FEW.items() if name != "conv5_4"})
    with pytest.raises(UnknownName, match="'conv1_1' is not the name of a convolution that has ranks"):
        tiny(ranks={**FEW, "conv1_1": (1, 1)})


def test_narrow_maps_need_memory_too():
    vgg, compact = VGG(**PLAIN), tiny()
    assert compact.bytes_per_pixel([]) == 0
    assert compact.bytes_per_pixel(["relu1_1"]) == vgg.bytes_per_pixel(["relu1_1"])
    # one more convolution at full resolution, with three and four numbers for each pixel
    assert compact.bytes_per_pixel(["relu1_2"]) == vgg.bytes_per_pixel(["relu1_2"]) + 4 * 7


# --- files ---------------------------------------------------------------------------------------


def written(path, encoder, **changes):
    told = {"network": "compact", "depth": 19, "ranks": encoder.ranks, "pooling_scale": 1.0}
    told |= {name: PLAIN[name] for name in ("mean", "std", "channel_order", "widths")}
    save_state(path, encoder.state_dict(), {**told, **changes})
    return path


def test_a_file_gives_the_network_back(tmp_path):
    network = tiny(padding="replicate")
    read = load_encoder(written(tmp_path / "mine.safetensors", network), padding="replicate")
    assert isinstance(read, Compact)
    image = picture(32, 48)
    for layer, features in network(image, LAYERS).items():
        torch.testing.assert_close(read(image, [layer])[layer], features)


def test_eight_bits_are_multiplied_with_the_scale_of_their_filter(tmp_path):
    network = tiny()
    path = written(tmp_path / "mine.safetensors", network)
    tensors, told = load_state(path)
    tensors["conv1_2.1.weight"] = torch.arange(-54, 54, dtype=torch.int8).view(4, 3, 3, 3)
    tensors["conv1_2.1.weight.scale"] = torch.tensor([1.0, 2.0, 0.5, 0.0])
    save_state(path, tensors, told)
    read = load_encoder(path).get_submodule("conv1_2")[1].weight
    assert read[0, 0, 0].tolist() == [-54, -53, -52]
    assert read[1, 2, 2].tolist() == [-6, -4, -2]
    assert read[2, 0, 1].tolist() == [1.5, 2, 2.5]
    assert not read[3].any()
    for damage in ({}, {"conv1_2.1.weight.scale": torch.ones(3)}):
        kept = {key: value for key, value in tensors.items() if not key.endswith(".scale")}
        save_state(path, {**kept, **damage}, told)
        with pytest.raises(WeightsError, match="no scale fits the 8 bits of 'conv1_2.1.weight'"):
            load_encoder(path)


@pytest.mark.parametrize(
    "changes",
    [{"network": "portrait"}, {"ranks": None}, {"ranks": {"conv9_9": (1, 1)}}, {"mean": "grey"}, {"depth": 7}],
)
def test_files_of_something_else_are_refused_with_a_sentence(tmp_path, changes):
    path = written(tmp_path / "mine.safetensors", tiny(), **changes)
    with pytest.raises(WeightsError, match=r"was written by impasto, but is not an encoder; expected a compact one\."):
        load_encoder(path)


def test_a_file_that_lacks_a_weight_is_refused(tmp_path):
    path = written(tmp_path / "mine.safetensors", tiny())
    tensors, told = load_state(path)
    del tensors["conv3_2.1.weight"]
    save_state(path, tensors, told)
    with pytest.raises(WeightsError, match="lacks 'conv3_2.1.weight'"):
        load_encoder(path)


# --- the weights that are shipped ----------------------------------------------------------------

SHIPPED = find("compact")
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture(scope="module")
def shipped():
    return load_encoder("compact", padding="replicate")


@pytest.fixture(scope="module")
def vgg():
    return load_encoder("vgg19", padding="replicate")


@pytest.fixture(scope="module")
def photographs():
    """Photographs that are in none of the folders it was made from, 192 px wide."""
    pictures = [as_tensor(load_picture(EXAMPLES / f"{name}.jpg")) for name in ("astronaut", "coffee")]
    return [resize(p, (round(192 * p.shape[2] / p.shape[3]), 192)).clamp(0, 1) for p in pictures]


def test_the_shipped_file_is_small_and_says_where_it_comes_from():
    assert SHIPPED.stat().st_size <= 4_000_000
    with safe_open(SHIPPED, "pt") as file:
        told = json.loads(file.metadata()["impasto"])
    assert told["teacher"] == {"name": "vgg19", "sha256": SPECS["vgg19"].sha256}
    assert told["license"].startswith("CC BY 4.0")
    assert sum(told["pictures"].values()) > 1000 and told["provenance"]
    assert told["options"]["seed"] == 0
    assert {name: tuple(rank) for name, rank in told["ranks"].items()} == RANKS


# What is missed of a layer's energy, somewhat above what was measured.
MISSED = {"relu1_1": 1e-4, "relu2_1": 0.05, "relu3_1": 0.1, "relu4_1": 0.1, "relu4_2": 0.15, "relu5_1": 0.5}


def test_the_shipped_encoder_sees_what_vgg_sees(shipped, vgg, photographs):
    for image in photographs:
        seen, told = shipped(image, LAYERS), vgg(image, LAYERS)
        for layer, most in MISSED.items():
            assert (seen[layer] - told[layer]).square().sum() < most * told[layer].square().sum(), layer


def test_the_shipped_encoder_leads_pixels_where_vgg_leads_them(shipped, vgg, photographs):
    content, style = photographs
    options = StylizeOptions()
    for canvas in (content, style[..., : content.shape[2], :] if style.shape[2] >= content.shape[2] else content):
        a, b = (Objective(encoder, content, [style], options)(canvas)[1].flatten() for encoder in (shipped, vgg))
        assert torch.cosine_similarity(a, b, dim=0) > 0.6
