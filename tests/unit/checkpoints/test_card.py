"""Cards of files: wrong types, missing entries and settings that ask for far larger networks."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from impasto.checkpoints import catalog
from impasto.checkpoints.build import build
from impasto.checkpoints.card import checked_card, read_card
from impasto.checkpoints.files import load_state, read_tensors
from impasto.checkpoints.model import ARCHITECTURES
from impasto.errors import CheckpointError, WeightsError
from impasto.inference.load import load
from impasto.networks.translators import ResNetGenerator

WRONG = [None, True, 5, -1, 0.5, 1e308, "text", "", [], [1], {}, {"a": 1}, [[]], 10**30]
NAMES = {  # of entries: values that are right
    "network": ["resnet", None],
    "settings": [{}, {"styles": ["a"]}],
    "works": [{"a": "b"}],
    "classes": [["a"], []],
    "pictures": ["folder", None],
    "step": [5, 0],
    "seconds": [0.5, 5],
    "options": [{"crop": 5}, {}],
    "results": [{"a": 1}],
    "record": [{"a": 1}],
    "optimizers": [{"a": {"0": {"step": 1.0}}}],
    "model": [None, {"a": 1}],
}


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_of_a_right_type_is_taken_and_each_other_is_named(name):
    for value in NAMES[name]:
        assert checked_card({name: value}) == {name: value}
    for value in WRONG:
        try:
            checked_card({name: value})
        except ValueError as error:
            assert str(error).startswith(f"{name}") and " is " in str(error) and len(str(error)) < 100
    with pytest.raises(ValueError, match=f"^{name}"):
        checked_card({name: object()})


@pytest.mark.parametrize("text", ["", "5", "[]", "null", "{", "[" * 100_000, '{"settings": ' * 500 + "1" + "}" * 500])
def test_a_card_is_a_json_object(text):
    with pytest.raises(ValueError, match="."):
        read_card(text)


def test_files_with_a_wrong_card_are_damaged(tmp_path):
    path = tmp_path / "model.safetensors"
    for card in ("5", "[" * 100_000, '{"settings": 5, "network": "resnet"}', '{"network": "resnet"}'):
        save_file({"a": torch.ones(2)}, path, {"impasto": card})
        with pytest.raises(WeightsError, match="is damaged") as raised:
            load(path)
        assert "\n" not in str(raised.value)
        if card != '{"network": "resnet"}':
            with pytest.raises(CheckpointError, match="is damaged"):
                load_state(path)
            assert catalog.read_header(path) == {}
    save_file({"a": torch.ones(2)}, path, {"impasto": '{"settings": {"styles": "abc"}, "network": "multistyle"}'})
    with pytest.raises(WeightsError, match=r"in its header, settings.styles is 'abc'"):
        read_tensors(path)


SETTINGS = {
    "johnson": {"width": 4, "blocks": 1, "scale": 255.0},
    "multistyle": {"width": 4, "blocks": 1, "fine": 4, "styles": ["identity"]},
    "pyramid": {"widths": [4, 4], "blocks": [1, 1], "fine": 4, "styles": ["identity"]},
    "lengstrom": {"width": 4, "blocks": 1},
    "resnet": {"width": 4, "blocks": 1},
    "unet": {"width": 4},
    "autoencoder": {"shape": [1, 8, 8], "latent": 2, "hidden": [4]},
    "vae": {"shape": [1, 8, 8], "latent": 2, "hidden": [4]},
    "generator": {"shape": [1, 8, 8], "latent": 2, "hidden": [4]},
    "classifier": {"classes": 3, "channels": 1, "size": [8, 8], "width": 4, "features": 4},
    "style_predictor": {"embedding_size": 8, "channels": [8, 8], "directions": 2, "width": 4},
}


@pytest.fixture(scope="module")
def networks():
    found = {}
    for name, settings in SETTINGS.items():
        settings = {**settings, **({"styles": (IDENTITY,)} if "styles" in settings else {})}
        found[name] = settings, ARCHITECTURES[name](**settings).state_dict()
    return found


IDENTITY = "identity"


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_build_the_network_of_their_weights(networks, tmp_path, name):
    settings, weights = networks[name]
    network = build(ARCHITECTURES[name], {"settings": settings}, tmp_path, weights)
    assert {key: one.shape for key, one in network.state_dict().items()} == {
        key: one.shape for key, one in weights.items()
    }


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", [10**9, 10**30, -1, 0, 2.5, "64", None, [], {}, [10**9] * 3, ["a"], "x" * 1000])
def test_wrong_or_huge_settings_make_no_network(networks, tmp_path, name, value):
    """Each setting in turn. What is built is small, whatever the settings ask for."""
    settings, weights = networks[name]
    for one in settings:
        try:
            network = build(ARCHITECTURES[name], {"settings": {**settings, one: value}}, tmp_path, weights)
        except WeightsError as error:
            assert "its settings do not make a network" in str(error) and torch.is_grad_enabled()
        else:
            assert sum(weight.numel() for weight in network.parameters()) < 10**7


@pytest.mark.parametrize("settings", [{"blocks": 10**9}, {"width": 10**5}, {"width": 10**9}, {"out": 10**8}])
def test_a_billion_blocks_are_not_begun(tmp_path, settings):
    """Counted in modules, not in seconds."""
    weights = ResNetGenerator(4, 1).state_dict()
    made = []
    handle = torch.nn.modules.module.register_module_parameter_registration_hook(lambda *given: made.append(given))
    try:
        with pytest.raises(WeightsError, match="do not make a network"):
            build(ResNetGenerator, {"settings": {"width": 4, "blocks": 1, **settings}}, tmp_path, weights)
    finally:
        handle.remove()
    assert len(made) < 10_000 and torch.is_grad_enabled()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 24) + b'{"__metadata__":[1,2,3]}',
        struct.pack("<Q", 32) + b'{"__metadata__":{"impasto": "5"}}',
    ],
)
def test_a_bad_file_in_the_catalog_is_left_out(tmp_path, monkeypatch, data):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    (tmp_path / "painters").mkdir()
    before = catalog.listed().keys()
    (tmp_path / "painters" / "bad.safetensors").write_bytes(data)
    assert catalog.listed().keys() == before


@pytest.mark.parametrize("name", NAMES)
def test_no_entry_of_a_card_breaks_the_list(tmp_path, monkeypatch, name):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    (tmp_path / "painters").mkdir()
    for number, value in enumerate(WRONG):
        card = {"network": "multistyle", name: value}
        save_file({"a": torch.ones(1)}, tmp_path / f"painters/a{number}.safetensors", {"impasto": json.dumps(card)})
    for one in catalog.listed().values():
        assert isinstance(dict(one.styles), dict) and isinstance(one.kind, str)
