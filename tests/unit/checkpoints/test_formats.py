"""Files of other programs: the picture that their own network gives, or one true sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.devices import find_dtype
from impasto.errors import WeightsError
from impasto.inference.load import load
from impasto.networks.johnson import Johnson
from impasto.networks.microast import PARTS
from layouts import LAYOUTS, OTHERS, WRAPPERS, official, outcome
from nets import loaded, picture, written


def named(layout):
    return f"{layout.program}-{layout.what}"


@pytest.mark.parametrize("layout", [one for one in LAYOUTS if one.network], ids=named)
def test_a_network_gives_the_picture_of_its_own_program(layout, tmp_path):
    network, image = layout.build(), picture(layout.side, 2 * layout.side)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    model = loaded(tmp_path / "a.pth")
    with torch.no_grad():
        wanted = (network(2 * image - 1) / 2 + 0.5).clamp(0, 1)
    assert wanted.std() > 0.05
    torch.testing.assert_close(model.paint(image), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layout", [one for one in LAYOUTS if not one.network], ids=named)
def test_a_network_that_cannot_be_used_is_named(layout, tmp_path):
    told = outcome(tmp_path / "a.pth", layout.content())
    name = layout.program.split()[0].split("/")[-1]
    assert told.startswith("FILE is ") and told.endswith(".") and "MicroAST's" not in told
    assert name in told or layout.program == "AdaIN"  # which has nothing that tells it from others


def test_networks_of_others_compute_in_float32_unless_asked_otherwise(tmp_path):
    layout = LAYOUTS[0]
    torch.save(layout.content(), tmp_path / "a.pth")
    pixels = (picture(32, 64)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    with torch.no_grad():
        made = layout.build()(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1)
    wanted = ((made[0].permute(1, 2, 0) + 1) / 2 * 255).numpy()
    assert np.abs(impasto.apply(tmp_path / "a.pth", pixels) - wanted).max() < 0.51  # half a rounding step
    assert load(tmp_path / "a.pth", device="cpu", precision="bfloat16").dtype is torch.bfloat16
    torch.save(Johnson(4, 0).state_dict(), tmp_path / "b.pth")
    assert load(tmp_path / "b.pth").dtype is torch.float32
    for name in ("a", "b"):  # also after they were saved by impasto, and again
        for _ in range(2):
            load(tmp_path / f"{name}.pth", device="cpu", precision="bfloat16").save(tmp_path / f"{name}.safetensors")
            load(tmp_path / f"{name}.safetensors", device="cpu").save(tmp_path / f"{name}.safetensors", license="none")
            assert load(tmp_path / f"{name}.safetensors", device="cpu").dtype is torch.float32
    written(tmp_path / "ours.safetensors", Johnson(4, 0))
    assert load(tmp_path / "ours.safetensors", device="cpu").dtype is find_dtype("auto", torch.device("cpu"))


def test_small_pictures_fit_into_many_halvings(tmp_path):
    torch.save(next(one for one in LAYOUTS if "HD" in one.program).build().state_dict(), tmp_path / "a.pth")
    for size in ((1, 1), (5, 40), (33, 17)):
        assert loaded(tmp_path / "a.pth").paint(picture(*size)).shape[-2:] == size


def test_our_files_keep_what_was_read_from_others(tmp_path):
    for layout in LAYOUTS:
        if layout.network:
            torch.save(layout.content(), tmp_path / "a.pth")
            model, image = loaded(tmp_path / "a.pth"), picture(32, 32)
            model.save(tmp_path / "b.safetensors")
            assert torch.equal(loaded(tmp_path / "b.safetensors").paint(image), model.paint(image)), layout


@pytest.mark.parametrize("how", WRAPPERS)
def test_a_network_is_found_in_what_is_around_it(how, tmp_path):
    torch.save(WRAPPERS[how](), tmp_path / "a.pth")
    several = {"netG_A", "params", "model"} & WRAPPERS[how]().keys() and len(WRAPPERS[how]()) > 1 and "opt" not in how
    if several:
        with pytest.raises(WeightsError, match=r"holds several networks: \w+, \w+; choose one with --key\.$"):
            loaded(tmp_path / "a.pth")
    elif "netG" not in how and "netD" in how:
        with pytest.raises(WeightsError, match="holds a discriminator of CycleGAN"):
            loaded(tmp_path / "a.pth")
    else:
        state = loaded(tmp_path / "a.pth").network.state_dict()
        assert all(torch.equal(state[key], value) for key, value in official().items())


def test_a_key_chooses_among_several_networks(tmp_path):
    for how, keys in (("'netG_A'", ("netG_A", "netG_B")), ("'params'", ("params", "params_ema"))):
        content = next(make() for name, make in WRAPPERS.items() if name.startswith("{" + how))
        torch.save(content, tmp_path / "a.pth")
        for seed, key in enumerate(keys):
            state = load(tmp_path / "a.pth", device="cpu", key=key).network.state_dict()
            assert torch.equal(state["model.1.weight"].float(), official(seed)["model.1.weight"]), key
    with pytest.raises(WeightsError, match=r"has no part 'ema'; it has params, params_ema\.$"):
        load(tmp_path / "a.pth", key="ema")
    Image.fromarray(np.full((12, 12, 3), 90, np.uint8)).save(tmp_path / "p.png")
    painted = [impasto.apply(tmp_path / "a.pth", tmp_path / "p.png", key=key) for key in ("params", "params_ema")]
    assert painted[0].tobytes() != painted[1].tobytes()


@pytest.mark.parametrize("what", OTHERS)
def test_a_file_without_weights_is_named(what, tmp_path, recwarn):
    told = outcome(tmp_path / "a.pth", OTHERS[what]())
    words = {
        "TorchScript": "a TorchScript program",
        "a whole": "(torch.nn.modules.linear.Linear)",
        "the same": "(torch.nn.modules.linear.Linear)",
        "any": "holds more than tensors",
        "a pointer": "Git LFS",
        "a web": "a web page",
        "weights": "an HDF5 file",
        "an empty": "cannot be read",
    }
    assert any(what.startswith(start) and word in told for start, word in words.items())
    assert told.startswith("FILE ") and told.endswith(".") and not recwarn.list


def test_only_files_of_microast_are_said_to_be_its(tmp_path):
    (tmp_path / "adain").mkdir()
    torch.save({"1.weight": torch.zeros(2)}, tmp_path / "adain" / "decoder.pth")
    torch.save({"1.weight": torch.zeros(2)}, tmp_path / "adain" / "vgg_normalised.pth")
    with pytest.raises(WeightsError, match="adain holds no network: expected model.safetensors of a training"):
        load(tmp_path / "adain")
    for part in PARTS:
        torch.save({f"{part}.layers.0.weight": torch.zeros(2)}, tmp_path / "a.pth")
        with pytest.raises(WeightsError, match=f"its first tensor is named '{part}.layers.0.weight'"):
            load(tmp_path / "a.pth")
