"""Reading every layout of weights, refusing everything else, and saving runs bit for bit."""

import math
import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from impasto.checkpoints.encoders import _convention, load_encoder
from impasto.checkpoints.files import load_state, save_state
from impasto.checkpoints.weights import SPECS, find
from impasto.errors import CheckpointError, OptionError, UnknownName, WeightsError
from impasto.networks.vgg import VGG, layer_names

CAFFE, IMAGENET = SPECS["vgg19"], SPECS["vgg19-torchvision"]


def numbers(count, seed):
    """Return random numbers that fp16 holds exactly, so that small files round trip bit for bit."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-512, 512, (count,), generator=generator, dtype=torch.int16).half() / 4096


def random_state(depth):
    with torch.device("meta"):
        empty = VGG(depth, mean=(0, 0, 0), std=(1, 1, 1), channel_order="rgb", scale=1.0).state_dict()
    pool = numbers(3_000_000, depth)  # overlapping pieces are random enough, and quick
    return {k: pool[i * 1000 : i * 1000 + math.prod(v.shape)].view(v.shape) for i, (k, v) in enumerate(empty.items())}


@pytest.fixture(scope="module")
def states():
    return {depth: random_state(depth) for depth in (16, 19)}


def as_features(state, depth):
    index = {name: i for i, name in enumerate(layer_names(depth))}
    return OrderedDict((f"features.{index[k.split('.')[0]]}.{k.split('.')[1]}", v) for k, v in state.items())


def picture():
    return torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(7))


def assert_holds(network, state):
    loaded = network.state_dict()
    assert loaded.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(loaded[key], value.float()), key


def eats(network):
    """Return which convention a network follows, from what it does with a picture of one color."""
    x = network._prepare(torch.tensor([0.2, 0.4, 0.8]).view(1, 3, 1, 1)).flatten().tolist()
    if x == pytest.approx([0.8 * 255 - 103.939, 0.4 * 255 - 116.779, 0.2 * 255 - 123.68], rel=1e-5):
        return "caffe"
    if x == pytest.approx([(0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225], rel=1e-5):
        return "imagenet"
    return x


# --- layouts -------------------------------------------------------------------------------------


def test_the_default_is_frozen_and_equals_a_direct_reading_of_the_codebook():
    network = load_encoder("vgg19")
    file = torch.load(find("vgg19"), weights_only=True)
    decoded = {}
    for name in layer_names(19):
        if name.startswith("conv"):
            stem = f"block{name[4]}_conv{name[6]}"
            decoded[f"{name}.weight"] = file[stem + "_W_table"][file[stem + "_W_q"].long()]
            decoded[f"{name}.bias"] = file[stem + "_b"]
    assert_holds(network, decoded)
    assert eats(network) == "caffe"
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("depth", [16, 19])
@pytest.mark.parametrize("container", ["zip", "legacy"])
def test_torchvision_layout_with_a_classifier(states, tmp_path, depth, container):
    path = tmp_path / "mine.pth"
    content = as_features(states[depth], depth)
    content["classifier.0.weight"] = torch.zeros(5, 5)
    torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    network = load_encoder(path)
    assert network.name == f"vgg{depth}"
    assert_holds(network, states[depth])
    assert eats(network) == "imagenet"
    path.unlink()  # nothing of it stays in use
    network(picture(), ["relu5_1"])


def test_named_layout_is_gatys_file(states, tmp_path):
    torch.save(states[19], tmp_path / "vgg_conv.pth")
    network = load_encoder(str(tmp_path / "vgg_conv.pth"))
    assert_holds(network, states[19])
    assert eats(network) == "caffe"


@pytest.mark.parametrize("layout", ["features", "named"])
@pytest.mark.parametrize("declared", [None, "imagenet", "caffe"])
def test_safetensors_with_its_header(states, tmp_path, layout, declared):
    state = states[16] if layout == "named" else as_features(states[16], 16)
    header = {"preprocessing": declared} if declared else None
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / "a", header)
    network = load_encoder(tmp_path / "a")  # known by content, not by suffix
    assert_holds(network, states[16])
    assert eats(network) == (declared or {"features": "imagenet", "named": "caffe"}[layout])


@pytest.mark.parametrize("write", [torch.save, save_file])
def test_a_loaded_network_does_not_follow_its_file(states, tmp_path, write):
    state = {key: value.float() for key, value in states[16].items()}
    write(state, tmp_path / "a")
    network = load_encoder(tmp_path / "a")
    with open(tmp_path / "a", "r+b") as file:
        file.write(bytes((tmp_path / "a").stat().st_size))
    assert_holds(network, state)


def test_header_with_unknown_preprocessing(tmp_path):
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "a.safetensors", {"preprocessing": "mine"})
    with pytest.raises(WeightsError, match="'mine'; expected 'imagenet' or 'caffe'"):
        load_encoder(tmp_path / "a.safetensors")


def test_caffe_conversion_gives_the_features_of_the_codebook_with_the_same_numbers(tmp_path):
    network = load_encoder("vgg19")
    path = tmp_path / "vgg19-d01eb7cb.pth"
    torch.save(as_features(network.state_dict(), 19), path)
    layers = [name for name in layer_names(19) if name.startswith("relu")]
    expected, features = network(picture(), layers), load_encoder(path)(picture(), layers)
    for name in layers:
        assert torch.equal(features[name], expected[name]), name
    other = load_encoder(path, preprocessing="imagenet")(picture(), layers)
    assert not torch.allclose(other["relu4_1"], expected["relu4_1"], rtol=0.1)


@pytest.mark.parametrize(
    ("name", "convention"),
    [("vgg19-d01eb7cb.pth", "caffe"), ("vgg16-00b39a1b.pth", "caffe"), ("vgg19-dcbb9e9d.pth", "imagenet")],
)
def test_published_files_are_known_by_name_or_hash(monkeypatch, tmp_path, name, convention):
    path = Path(name)
    assert _convention(path, {}, "features") == convention
    renamed = tmp_path / "renamed.pth"
    renamed.write_bytes(b"")
    monkeypatch.setattr("impasto.checkpoints.encoders.sha256", lambda _: name[6:14] + "0" * 56)
    assert _convention(renamed, {}, "features") == convention


def test_downloaded_names_take_everything_from_their_spec(states, tmp_path, monkeypatch):
    path = tmp_path / "vgg16.bin"
    torch.save(as_features(states[16], 16), path)
    monkeypatch.setattr("impasto.checkpoints.encoders.find", lambda spec, progress: path)
    network = load_encoder("vgg16-torchvision", pooling="average")
    assert_holds(network, states[16])
    assert (eats(network), network.pooling_scale) == ("imagenet", IMAGENET.pooling_scale)
    assert load_encoder("vgg16-torchvision", preprocessing="caffe").pooling_scale == CAFFE.pooling_scale
    assert eats(load_encoder("vgg19")) == "caffe"  # its spec says so, whatever the layout suggests


def test_options_reach_the_network():
    network = load_encoder("vgg19", pooling="average", padding="replicate", dtype=torch.float64)
    assert (network.pooling, network.padding, network.pooling_scale) == ("average", "replicate", 1.4)
    assert network(picture(), ["relu1_1"])["relu1_1"].dtype == torch.float64
    with pytest.raises(OptionError, match="preprocessing is 'vgg'"):
        load_encoder("vgg19", preprocessing="vgg")
    with pytest.raises(OptionError, match="pooling is 'l2'; expected 'max' or 'average'"):
        load_encoder("vgg19", pooling="l2")


def test_loading_uses_no_random_numbers():
    before = torch.random.get_rng_state()
    load_encoder("vgg19")
    assert torch.equal(torch.random.get_rng_state(), before)


# --- refusals ------------------------------------------------------------------------------------


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as error:
        load_encoder(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 300 + 2 * len(str(path))


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle"])
def test_a_malicious_pickle_is_refused_and_never_run(tmp_path, container):
    content, path = {"features.0.weight": Evil(tmp_path / "executed")}, tmp_path / "evil.pth"
    if container == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    refused(path, "no code in it ran")
    assert not (tmp_path / "executed").exists()
    if container == "zip":
        torch.load(path, weights_only=False)  # the trap is a real one
        assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("container", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
def test_truncated_files(tmp_path, container, keep):
    state = {"conv1_1.weight": torch.zeros(64, 3, 3, 3), "conv1_1.bias": torch.zeros(64)}
    path = tmp_path / "cut.pth"
    if container == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=container == "zip")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    refused(path, "damaged")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" * 9])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "foreign.pth"
    path.write_bytes(content)
    refused(path, "damaged")


def test_other_networks(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"layer1.0.conv1.weight": torch.zeros(2)}, path)
    refused(path, r"not a VGG: its first tensor is named 'layer1\.0\.conv1\.weight'; expected names like features\.0")
    torch.save(torch.zeros(3), path)
    refused(path, "it holds no named tensors")
    torch.save({"features.0.weight": torch.zeros(2), "features.1.running_mean": torch.zeros(2)}, path)
    refused(path, "batch normalization")


def test_missing_and_misshapen_tensors_are_named(states, tmp_path):
    path, good = tmp_path / "bad.pth", as_features(states[16], 16)

    def saved(**changes):
        content = {**good, **{k.replace("_", "."): v for k, v in changes.items()}}
        torch.save({k: v for k, v in content.items() if v is not None}, path)
        return path

    refused(saved(features_24_weight=None), r"lacks 'features\.24\.weight'; expected every convolution of a VGG")
    refused(saved(features_5_bias=torch.zeros(64)), r"'features\.5\.bias' has shape \(64,\), expected \(128,\)")
    refused(saved(features_0_bias=torch.full((64,), math.nan)), r"'features\.0\.bias' does not hold finite")
    refused(saved(features_0_bias=torch.zeros(64, dtype=torch.int32)), r"'features\.0\.bias' does not hold finite")


@pytest.mark.parametrize("table", [None, torch.zeros(3), torch.zeros(256, 2)])
def test_a_codebook_without_its_table(tmp_path, table):
    content = {"block1_conv1_W_q": torch.full((64, 3, 3, 3), 200, dtype=torch.uint8), "block1_conv1_b": torch.zeros(64)}
    if table is not None:
        content["block1_conv1_W_table"] = table
    torch.save(content, tmp_path / "codes.bin")
    refused(tmp_path / "codes.bin", "no table fits the indices of 'block1_conv1_W_q'")


@pytest.mark.parametrize("name", ["weights/none.pth", "none.pth", "none.safetensors", Path("vgg19")])
def test_a_path_that_does_not_exist(name):
    with pytest.raises(WeightsError, match="is not a file; expected weights of a VGG, or one of: vgg19, "):
        load_encoder(name)


def test_a_folder_and_an_unknown_name(tmp_path):
    refused(tmp_path, "is not a file")
    with pytest.raises(UnknownName, match="'vgg91' is not the name of an encoder. Did you mean 'vgg19'"):
        load_encoder("vgg91")


# --- runs ----------------------------------------------------------------------------------------


def test_a_run_round_trips_bit_for_bit(tmp_path):
    base = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    tensors = {
        "step": torch.tensor(7),
        "zero_d": torch.tensor(0.1, dtype=torch.float64),
        "image": torch.rand(1, 3, 4, 5, dtype=torch.float64),
        "mask": torch.tensor([True, False]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "empty": torch.zeros(0, 3),
        "special": torch.tensor([math.inf, -0.0, math.nan, 1e-45]),
        "half": torch.tensor([0.1, 65504.0]).half(),
        "brain": torch.tensor([0.1, 3e38]).bfloat16(),
        "rows": base,
        "same_memory": base,
        "transposed": base.T,
        "channels_last": torch.rand(1, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(base[1]),
    }
    metadata = {"options": {"steps": 3, "name": "Straße", "none": None}, "losses": [0.1, 1e-300], "version": "0.1"}
    save_state(tmp_path / "run.safetensors", tensors, metadata)
    loaded, read = load_state(tmp_path / "run.safetensors")
    assert read == metadata
    assert loaded.keys() == tensors.keys()
    for key, value in tensors.items():
        assert (loaded[key].dtype, loaded[key].shape) == (value.dtype, value.shape), key
        as_bytes = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (loaded[key], value)]
        assert torch.equal(*as_bytes), key
    assert os.listdir(tmp_path) == ["run.safetensors"]


def test_what_was_loaded_survives_the_next_save(tmp_path):
    path = tmp_path / "run"
    save_state(path, {"a": torch.ones(3)}, {})
    loaded, _ = load_state(path)
    loaded["a"] += 1
    save_state(path, {"a": torch.zeros(3)}, {"n": 2})
    assert loaded["a"].tolist() == [2, 2, 2]
    loaded, _ = load_state(path)
    assert loaded["a"].tolist() == [0, 0, 0]
    with path.open("r+b") as file:  # nor does it follow a file that is written over
        file.write(b"\x01" * path.stat().st_size)
    assert loaded["a"].tolist() == [0, 0, 0]


def test_a_failed_save_leaves_the_old_run(tmp_path, monkeypatch):
    path = tmp_path / "run"
    save_state(path, {"a": torch.ones(3)}, {"n": 1})

    def full(tensors, part, metadata):
        Path(part).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("impasto.checkpoints.files.save_file", full)
    with pytest.raises(CheckpointError, match="cannot be written: .*No space left"):
        save_state(path, {"a": torch.zeros(3)}, {"n": 2})
    assert os.listdir(tmp_path) == ["run"]
    assert load_state(path)[1] == {"n": 1}


def test_saving_makes_the_folder_or_says_why_it_cannot(tmp_path):
    save_state(tmp_path / "new" / "deep" / "run", {}, {"n": 1})
    assert load_state(tmp_path / "new" / "deep" / "run")[1] == {"n": 1}
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_state(tmp_path / "new" / "deep" / "run" / "below", {}, {})


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_damaged_runs(tmp_path, keep):
    path = tmp_path / "run"
    save_state(path, {"a": torch.ones(30)}, {"n": 1})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="is damaged or not a saved run"):
        load_state(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "not saved by impasto"),
        ({"impasto": "3"}, "is damaged or not a saved run"),
        ({"impasto": "{"}, "is damaged"),
    ],
)
def test_foreign_runs(tmp_path, header, message):
    save_file({"a": torch.ones(3)}, tmp_path / "run", header)
    with pytest.raises(CheckpointError, match=message):
        load_state(tmp_path / "run")


def test_missing_run(tmp_path):
    with pytest.raises(CheckpointError, match="is not a file; expected a saved run"):
        load_state(tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="modes are Unix's")
def test_others_may_read_what_new_files_let_them_read(tmp_path):
    (tmp_path / "plain").touch()
    save_state(tmp_path / "state.safetensors", {"a": torch.zeros(2)}, {})
    assert (tmp_path / "state.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
