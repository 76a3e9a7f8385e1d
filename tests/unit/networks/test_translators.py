"""Networks that translate, beside the official layouts written out by hand; and the public files of them."""

import io
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import clips
from impasto.checkpoints.load import pack
from impasto.cli.main import main
from impasto.errors import OptionError, WeightsError
from impasto.inference.brush import Brush
from impasto.inference.options import ApplyOptions
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.video.probe import probe
from impasto.networks.patchgan import PatchDiscriminator, field_of_view
from impasto.networks.translators import Blur, ResNetGenerator, UNetGenerator
from nets import loaded, picture, random_johnson, random_weights, written

# --- the layouts, from their tables, as plain functions of a state dict ---------------------------


def normed(state, key, x, norm):
    if norm == "instance":
        return F.instance_norm(x)
    if norm == "none":
        return x
    mean, var, gain, shift = (state[f"{key}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, gain, shift)


def convolved(state, key, x, **settings):
    return F.conv2d(x, state[f"{key}.weight"], state.get(f"{key}.bias"), **settings)


def enlarged(state, key, x, **settings):
    return F.conv_transpose2d(x, state[f"{key}.weight"], state.get(f"{key}.bias"), 2, 1, **settings)


def mirrored(x, side):
    return F.pad(x, (side,) * 4, mode="reflect")


def blurred_down(state, key, x):
    taps = state[f"{key}.filt"]
    assert torch.equal(taps[0, 0] * 16, torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]))
    return F.conv2d(mirrored(x, 1), taps, stride=2, groups=x.shape[1])


def blurred_up(state, key, x):
    taps = state[f"{key}.filt"]
    assert torch.equal(taps[0, 0, 0] * 16, torch.tensor([1.0, 3, 3, 1]))
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv_transpose2d(x, taps, stride=2, padding=2, groups=x.shape[1])[..., 1:-1, 1:-1]


def resnet(state, x, blocks, norm="instance", dropout=False, down=False, up=False):
    """The table of the official ResNet generator; with blurs, CUT's, whose numbers shift."""

    def following(index, x):
        return normed(state, f"model.{index}", x, norm).relu()

    x = following(2, convolved(state, "model.1", mirrored(x, 3)))
    index = 4
    for _ in range(2):
        x = following(index + 1, convolved(state, f"model.{index}", x, stride=1 if down else 2, padding=1))
        index += 3
        if down:
            x = blurred_down(state, f"model.{index}", x)
            index += 1
    second = 6 if dropout else 5
    for _ in range(blocks):
        key = f"model.{index}.conv_block"
        y = normed(state, f"{key}.2", convolved(state, f"{key}.1", mirrored(x, 1)), norm).relu()
        x = x + normed(state, f"{key}.{second + 1}", convolved(state, f"{key}.{second}", mirrored(y, 1)), norm)
        index += 1
    for _ in range(2):
        if up:
            x = blurred_up(state, f"model.{index}", x)
            x = convolved(state, f"model.{index + 1}", x, padding=1)
            index += 1
        else:
            x = enlarged(state, f"model.{index}", x, output_padding=1)
        x = following(index + 1, x)
        index += 3
    return convolved(state, f"model.{index + 1}", mirrored(x, 3)).tanh()


def unet(state, x, downs, norm="batch"):
    """The table of the official U-Net: prefix P_k = model.model.1 + .model.3 (k - 1 times) + .model."""

    def level(depth, x):
        key = "model.model.1" + ".model.3" * (depth - 1) + ".model"
        y = convolved(state, f"{key}.1", F.leaky_relu(x, 0.2), stride=2, padding=1)
        if depth == downs - 1:
            y = normed(state, f"{key}.4", enlarged(state, f"{key}.3", y.relu()), norm)
        else:
            y = level(depth + 1, normed(state, f"{key}.2", y, norm))
            y = normed(state, f"{key}.6", enlarged(state, f"{key}.5", y.relu()), norm)
        return torch.cat([x, y], 1)

    y = level(1, convolved(state, "model.model.0", x, stride=2, padding=1))
    return enlarged(state, "model.model.3", y.relu()).tanh()


def alive(network, seed=0):
    """Give a network random weights and statistics that keep its activations alive."""
    random = torch.Generator().manual_seed(seed + 1)
    random_weights(network, seed)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=random) / 5)
        elif name.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=random) + 0.5)
    return network.eval()


RESNETS = [
    {"width": 4, "blocks": blocks, "norm": norm, "dropout": dropout, "blur_down": down, "blur_up": up}
    for blocks, norm, dropout, down, up in [
        (2, "instance", False, False, False), (3, "batch", True, False, False), (1, "none", False, False, False),
        (2, "instance", True, True, True), (2, "batch", False, True, True), (2, "instance", False, True, False),
        (1, "instance", False, False, True),
    ]
]  # fmt: skip
UNETS = [{"width": 2, "downs": downs, "norm": norm} for downs in (5, 6, 7) for norm in ("batch", "instance", "none")]


@pytest.mark.parametrize("settings", RESNETS, ids=lambda s: "-".join(map(str, s.values())))
def test_the_resnet_gives_what_its_table_gives(settings):
    network, x = alive(ResNetGenerator(**settings)), 2 * picture(24, 36) - 1
    named = {"down": settings["blur_down"], "up": settings["blur_up"]}
    named |= {key: settings[key] for key in ("blocks", "norm", "dropout")}
    with torch.no_grad():
        wanted, found = resnet(network.state_dict(), x, **named), network.translate(x)
    assert wanted.std() > 0.05
    if settings["blur_up"]:
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    else:
        assert torch.equal(found, wanted)
    again = ResNetGenerator(**network.settings)
    again.load_state_dict(network.state_dict())
    assert (
        again.settings == network.settings == {"nearest_up": False, "halvings": 2, **settings, "channels": 3, "out": 3}
    )


@pytest.mark.parametrize("settings", UNETS, ids=lambda s: "-".join(map(str, s.values())))
def test_the_unet_gives_what_its_table_gives(settings):
    network = alive(UNetGenerator(**settings))
    x = 2 * picture(2 ** settings["downs"], 2 ** (settings["downs"] + 1)) - 1
    with torch.no_grad():
        wanted, found = unet(network.state_dict(), x, settings["downs"], settings["norm"]), network.translate(x)
    assert wanted.std() > 0.05
    assert torch.equal(found, wanted)
    assert UNetGenerator(**network.settings).settings == network.settings


def test_any_size_is_extended_by_mirrored_places_and_cut_back():
    network, image = alive(ResNetGenerator(4, 1)), picture(18, 27)
    extended = F.pad(image, (0, 1, 0, 2), mode="reflect")
    with torch.no_grad():
        wanted = resnet(network.state_dict(), 2 * extended - 1, 1)[..., :18, :27] / 2 + 0.5
        torch.testing.assert_close(network(image), wanted, rtol=0, atol=1e-5)
        for size in ((1, 1), (3, 50), (7, 2)):
            assert network(picture(*size)).shape == (1, 3, *size)
    network = alive(UNetGenerator(2, 5))
    image = picture(40, 64)
    with torch.no_grad():
        wanted = unet(network.state_dict(), 2 * F.pad(image, (0, 0, 0, 24), mode="reflect") - 1, 5)[..., :40, :]
        torch.testing.assert_close(network(image), wanted / 2 + 0.5, rtol=0, atol=1e-5)


def test_gray_pictures_go_in_and_out():
    network, image = alive(ResNetGenerator(4, 1, channels=1, out=1)), picture(8, 12)
    gray = 0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:]
    with torch.no_grad():
        wanted = resnet(network.state_dict(), 2 * gray - 1, 1) / 2 + 0.5
        torch.testing.assert_close(network(image), wanted.expand(1, 3, 8, 12), rtol=0, atol=1e-5)


# --- numbers --------------------------------------------------------------------------------------


def count(network):
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("width", "blocks", "wanted"),
    [
        (64, 9, 11_378_179), (64, 6, 7_837_699), (48, 6, 4_412_931), (32, 9, 2_850_563), (32, 6, 1_965_059),
        (32, 4, 1_374_723), (16, 6, 494_083), (16, 4, 346_371),
    ],
)  # fmt: skip
def test_the_resnet_has_the_published_sizes(width, blocks, wanted):
    with torch.device("meta"):
        assert count(ResNetGenerator(width, blocks)) == wanted


def test_the_others_have_the_published_sizes():
    with torch.device("meta"):
        assert count(UNetGenerator(downs=8)) == 54_413_955
        assert count(UNetGenerator(downs=7)) == 41_828_995
        assert count(PatchDiscriminator()) == 2_764_737
        assert count(PatchDiscriminator(norm="batch", channels=6)) == 2_768_705
        assert count(PatchDiscriminator(layers=2)) == 662_977
        assert count(PatchDiscriminator(32)) == 694_241
        assert count(PatchDiscriminator(32, 2)) == 167_649


def test_keys_are_those_of_the_official_files():
    with torch.device("meta"):
        nine, cut = ResNetGenerator(), ResNetGenerator(blur_down=True, blur_up=True)
        small, eight = UNetGenerator(downs=5), UNetGenerator(downs=8)
        patch = PatchDiscriminator()
    keys = list(nine.state_dict())
    assert keys[:2] == ["model.1.weight", "model.1.bias"] and keys[-2:] == ["model.26.weight", "model.26.bias"]
    assert "model.18.conv_block.5.weight" in keys and nine.state_dict()["model.19.weight"].shape == (256, 128, 3, 3)
    keys = [key for key in cut.state_dict() if "conv_block" not in key and not key.endswith("bias")]
    numbers = ("1.weight", "4.weight", "7.filt", "8.weight", "11.filt", "21.filt", "22.weight", "25.filt", "26.weight",
               "30.weight")  # fmt: skip
    assert keys == [f"model.{number}" for number in numbers]
    assert cut.state_dict()["model.25.filt"].shape == (128, 1, 4, 4)
    keys = {key.removesuffix(".weight") for key in small.state_dict() if key.endswith(".weight")}
    prefixes = ["model.model.1" + ".model.3" * depth + ".model." for depth in range(4)]
    wanted = {prefix + number for prefix in prefixes[:3] for number in "1256"} | {prefixes[3] + n for n in "134"}
    assert keys == wanted | {"model.model.0", "model.model.3"}
    innermost = "model.model.1" + ".model.3" * 6 + ".model.1.weight"
    assert eight.state_dict()[innermost].shape == (512, 512, 4, 4)
    assert [key for key in patch.state_dict() if key.endswith("weight")] == [
        f"model.{n}.weight" for n in (0, 2, 5, 8, 11)
    ]


def test_first_weights_are_those_of_the_papers():
    torch.manual_seed(0)
    network = ResNetGenerator(32, 2, "batch")
    for key, value in network.state_dict().items():
        if value.ndim == 4:
            assert abs(float(value.mean())) < 0.002 and float(value.std()) == pytest.approx(0.02, rel=0.05)
        elif key.endswith("bias"):
            assert not value.any()
    gains = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)])
    assert float(gains.mean()) == pytest.approx(1, abs=0.005) and float(gains.std()) == pytest.approx(0.02, rel=0.2)


# --- discriminators -------------------------------------------------------------------------------


def test_a_logit_depends_on_its_patch_alone():
    assert [field_of_view(layers) for layers in range(1, 7)] == [16, 34, 70, 142, 286, 574]
    for layers in (1, 2, 3):
        network, side = PatchDiscriminator(2, layers, "none").eval(), 8 * 2**layers + 40
        random_weights(network)
        x = torch.randn(1, 3, side, side, requires_grad=True)
        logits = network(x)
        middle = logits.shape[-1] // 2
        logits[0, 0, middle, middle].backward()
        seen = x.grad[0].abs().sum(0).nonzero()
        assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [field_of_view(layers)] * 2


def test_256_pixels_are_900_patches():
    with torch.device("meta"):
        network = PatchDiscriminator()
        assert network(torch.empty(1, 3, 256, 256)).shape == (1, 1, 30, 30)
        assert PatchDiscriminator(norm="batch", channels=6)(torch.empty(2, 6, 256, 256)).shape == (2, 1, 30, 30)
        blurred = PatchDiscriminator(blur=True)
        keys = [key for key in blurred.state_dict() if key.endswith("filt")]
        assert keys == ["model.2.filt", "model.6.filt", "model.10.filt"]  # CUT's: after rectifiers 1, 5 and 9
    # 64 - 1 = 63, 32, 31, 16, 15, 8, then 7 and 6: each convolution of 4 x 4 takes one place, each blur half
    assert PatchDiscriminator(2, blur=True)(torch.zeros(1, 3, 64, 64)).shape[-1] == 6


def test_the_patch_discriminator_gives_what_its_table_gives():
    network = alive(PatchDiscriminator(4, norm="batch"))
    state, x = network.state_dict(), torch.randn(2, 3, 64, 48)
    wanted = F.leaky_relu(convolved(state, "model.0", x, stride=2, padding=1), 0.2)
    for index, stride in ((2, 2), (5, 2), (8, 1)):
        wanted = convolved(state, f"model.{index}", wanted, stride=stride, padding=1)
        wanted = F.leaky_relu(normed(state, f"model.{index + 1}", wanted, "batch"), 0.2)
    assert torch.equal(network(x), convolved(state, "model.11", wanted, padding=1))


def test_impossible_networks_are_refused():
    for wrong, message in (
        (lambda: ResNetGenerator(0), "width 0"),
        (lambda: ResNetGenerator(norm="layer"), "norm is 'layer'; expected instance, affine, batch, none"),
        (lambda: UNetGenerator(downs=4), "downs is 4; expected 5 to 16"),
        (lambda: PatchDiscriminator(layers=7), "layers are 7; expected 1 to 6"),
    ):
        with pytest.raises(OptionError, match=message):
            wrong()


def test_a_blur_up_undoes_nothing_but_keeps_constants():
    x = torch.full((1, 2, 5, 6), 0.7)
    for way, size in (("up", (10, 12)), ("down", (3, 3))):
        torch.testing.assert_close(Blur(2, way)(x), torch.full((1, 2, *size), 0.7))


# --- files of the official programs ---------------------------------------------------------------

VARIANTS = [
    ("resnet", {"width": width, "blocks": blocks, "norm": norm, "dropout": dropout, "blur_down": cut, "blur_up": cut})
    for width, blocks, norm, dropout, cut in itertools.product(
        (4, 6), (4, 6, 9), ("instance", "batch"), (False, True), (False, True)
    )
] + [("unet", {"width": 2, "downs": downs, "norm": norm}) for downs in (5, 7, 8) for norm in ("instance", "batch")]


def official(kind, settings, seed=0):
    """A state dict as the official programs save it."""
    network = (ResNetGenerator if kind == "resnet" else UNetGenerator)(**settings)
    return alive(network, seed).state_dict()


def by_hand(kind, settings, state, x):
    if kind == "unet":
        return unet(state, x, settings["downs"], settings["norm"])
    named = {"down": settings["blur_down"], "up": settings["blur_up"]}
    return resnet(state, x, **named, **{key: settings[key] for key in ("blocks", "norm", "dropout")})


def test_there_are_54_variants():
    assert len(VARIANTS) == 54


@pytest.mark.parametrize(
    ("kind", "settings"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values()))
)
def test_every_layout_is_recognized_without_a_word(kind, settings, tmp_path):
    state = official(kind, settings)
    torch.save(state, tmp_path / "latest_net_G.pth")
    model = loaded(tmp_path / "latest_net_G.pth")
    model.network.double()  # so that only rounding is rounded away
    assert model.architecture == kind and model.notes == ()
    assert settings.items() <= model.network.settings.items()
    side = 16 if kind == "resnet" else 2 ** settings["downs"]
    image = picture(side, side).double()
    with torch.no_grad():
        exact = {key: value.double() for key, value in state.items()}
        wanted = by_hand(kind, settings, exact, 2 * image - 1)
        torch.testing.assert_close(model.network.translate(2 * image - 1), wanted, rtol=0, atol=1e-10)
        torch.testing.assert_close(model.paint(image), (wanted / 2 + 0.5).clamp(0, 1), rtol=0, atol=1e-10)
    assert wanted.std() > 0.02


WRAPPED = {
    "module": lambda s: {f"module.{k}": v for k, v in s.items()},
    "nested": lambda s: {"state_dict": s, "epoch": 3},
    "counts": lambda s: {k: v for k, v in s.items() if not k.endswith("tracked")},  # torch before 0.4.1
}


@pytest.mark.parametrize("how", WRAPPED)
def test_wrapped_files_are_the_same(how, tmp_path):
    state = official("resnet", {"width": 4, "blocks": 2, "norm": "batch"})
    torch.save(WRAPPED[how](state), tmp_path / "a.pth")
    with torch.no_grad():
        x = 2 * picture(8, 8) - 1
        found = loaded(tmp_path / "a.pth").network.translate(x)
        torch.testing.assert_close(found, resnet(state, x, 2, "batch"), rtol=0, atol=1e-5)


def test_statistics_of_instance_norms_are_left_out(tmp_path):
    state = official("resnet", {"width": 4, "blocks": 2})
    norms = {"2": 4, "5": 8, "8": 16, "10.conv_block.2": 16, "10.conv_block.6": 16, "11.conv_block.2": 16}
    old = {f"model.{key}.running_mean": torch.ones(count) for key, count in norms.items()}
    old |= {key.replace("mean", "var"): value for key, value in old.items()}
    torch.save(state | old, tmp_path / "a.pth")
    model = loaded(tmp_path / "a.pth")
    assert model.notes == ("12 running statistics of an old file were left out: they are never used",)
    assert model.network.norm == "instance"
    with torch.no_grad():
        x = 2 * picture(8, 8) - 1
        torch.testing.assert_close(model.network.translate(x), resnet(state, x, 2), rtol=0, atol=1e-5)


def test_networks_without_norm_blurred_one_way_or_gray_are_recognized(tmp_path):
    cases = [
        ("resnet", {"width": 4, "blocks": 2, "norm": "none"}), ("unet", {"width": 2, "downs": 5, "norm": "none"}),
        ("resnet", {"width": 4, "blocks": 1, "blur_down": True}),
        ("resnet", {"width": 4, "blocks": 1, "blur_up": True}),
        ("resnet", {"width": 4, "blocks": 1, "channels": 1, "out": 1}),
        ("unet", {"width": 2, "downs": 5, "channels": 1, "out": 3}),
    ]  # fmt: skip
    for index, (kind, settings) in enumerate(cases):
        torch.save(official(kind, settings), tmp_path / f"{index}.pth")
        network = loaded(tmp_path / f"{index}.pth").network
        assert settings.items() <= network.settings.items()


def test_the_published_sizes_are_read(tmp_path):
    torch.save(ResNetGenerator().state_dict(), tmp_path / "horse2zebra.pth")
    network = loaded(tmp_path / "horse2zebra.pth").network
    assert count(network) == 11_378_179 and network.settings == ResNetGenerator(1).settings | {"width": 64, "blocks": 9}


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


STATE = ResNetGenerator(4, 2).state_dict()
DEEP = UNetGenerator(2, 5).state_dict()
REFUSED = {
    "truncated": (saved(STATE)[:9000], "cannot be read|damaged"),
    "code": (saved(dict(STATE) | {"model.4.weight": Evil()}), r"holds objects of Python \(print\), as of a whole"),
    "a key is missing": (
        saved({k: v for k, v in STATE.items() if k != "model.7.bias"}),
        r"lacks 'model.7.bias' \(16,\); expected all weights of CycleGAN's network",
    ),
    "the first is missing": (
        saved({k: v for k, v in STATE.items() if k != "model.1.weight"}),
        "lacks its first or last",
    ),
    "the last is missing": (
        saved({k: v for k, v in STATE.items() if not k.startswith("model.19.")}),
        "lacks its first or last",
    ),
    "a level is missing": (
        saved({k: v for k, v in DEEP.items() if ".model.3.model.3.model.5" not in k}), "lacks 'model.model.1.model.3",
    ),
    "no blocks": (saved({k: v for k, v in STATE.items() if "conv_block" not in k}), "no generator of CycleGAN"),
    "another shape": (saved(STATE | {"model.4.weight": torch.zeros(8, 4, 5, 5)}), r"'model.4.weight' has shape"),
    "another key": (saved(STATE | {"model.99.weight": torch.zeros(3)}), "holds 'model.99.weight', which CycleGAN's"),
    "not finite": (saved(STATE | {"model.1.bias": torch.full((4,), torch.nan)}), "does not hold finite"),
    "a discriminator": (saved(PatchDiscriminator(4).state_dict()), "holds a discriminator of CycleGAN, pix2pix or CUT"),
    "PixelGAN": (saved({"net.0.weight": torch.zeros(4, 3, 1, 1)}), "holds a discriminator of CycleGAN, pix2pix or CUT"),
    "CUT's netF": (
        saved({"mlp_0.0.weight": torch.zeros(256, 3), "mlp_0.0.bias": torch.zeros(256)}),
        "holds CUT's network that compares patches, netF; expected its generator",
    ),
    "other channels": (
        saved(ResNetGenerator(4, 1, channels=4).state_dict()), "translates pictures of 4 channels into ones of 3",
    ),
    "another blur": (
        saved(dict(ResNetGenerator(4, 1, blur_down=True).state_dict()) | {"model.7.filt": torch.ones(8, 1, 3, 3)}),
        "blurs otherwise than CUT does: 'model.7.filt'",
    ),
    "of separable layers": (
        saved({k.replace("conv_block.1.", "conv_block.1.conv.0."): v for k, v in STATE.items()}),
        "which CycleGAN's network does not",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_files_are_refused_by_name(what, tmp_path, capsys):
    content, message = REFUSED[what]
    (tmp_path / "wrong.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        loaded(tmp_path / "wrong.pth")
    assert "wrong.pth" in str(caught.value) and "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("kind", "settings"), [VARIANTS[0], VARIANTS[7], VARIANTS[-1]], ids=["plain", "cut", "unet"])
def test_our_own_files_keep_them(kind, settings, tmp_path):
    torch.save(official(kind, settings), tmp_path / "a.pth")
    model, image = loaded(tmp_path / "a.pth"), picture(20, 30)
    written(tmp_path / "b.safetensors", model.network, {"license": "CC0"})
    pack(tmp_path / "b.safetensors", tmp_path / "c.safetensors", precision="float16")
    with torch.no_grad():
        wanted = model.paint(image)
        assert torch.equal(loaded(tmp_path / "b.safetensors").paint(image), wanted)
        small = loaded(tmp_path / "c.safetensors")
        assert small.card["license"] == "CC0" and float((small.paint(image) - wanted).abs().mean()) < 0.01


# --- applied --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "settings"), [VARIANTS[0], VARIANTS[7], VARIANTS[-5]], ids=["resnet", "cut", "unet"])
def test_official_files_are_applied_to_folders_of_any_sizes(kind, settings, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    state = official(kind, settings)
    torch.save(state, "latest_net_G.pth")
    photos = {name: picture(*size, seed=size[0]) for name, size in (("a", (37, 50)), ("b", (64, 21)), ("c", (5, 3)))}
    (tmp_path / "photos").mkdir()
    for name, image in photos.items():
        save_picture(tmp_path / "photos" / f"{name}.png", load_picture(image[0].permute(1, 2, 0).numpy()))
    words = ["apply", "latest_net_G.pth", "photos", "-o", "out", "--precision", "float32", "--device", "cpu"]
    assert main(words) == 0
    exact = {key: value.double() for key, value in state.items()}
    multiple = 4 if kind == "resnet" else 32
    for name in photos:
        given = torch.from_numpy(load_picture(f"photos/{name}.png").pixels).permute(2, 0, 1)[None].double()
        height, width = given.shape[-2:]
        more = [-(-max(n, 8) // multiple) * multiple - n for n in (height, width)]
        rows, columns = (np.pad(range(n), (0, k), "reflect") for n, k in zip((height, width), more, strict=True))
        wanted = (
            by_hand(kind, settings, exact, 2 * given[..., rows, :][..., columns] - 1)[..., :height, :width] / 2 + 0.5
        )
        found = torch.from_numpy(load_picture(f"out/{name}_latest_net_G.png").pixels).permute(2, 0, 1)[None]
        assert found.shape == given.shape
        assert (found - wanted).abs().max() < 0.6 / 255 and wanted.std() > 0.02
    assert main([*words, "--strength", "0", "--force"]) == 0
    assert np.array_equal(load_picture("out/a_latest_net_G.png").pixels, load_picture("photos/a.png").pixels)
    capfd.readouterr()
    assert main([*words[:2], "photos/a.png", "--style", "zebra"]) == 2
    assert "has one style; leave out the style" in capfd.readouterr().err
    assert main([*words[:2], "photos/a.png", "--max-memory", "1M"]) == 2
    assert "max_memory is too small for this picture by" in capfd.readouterr().err


def test_the_mode_of_the_paper_takes_statistics_of_the_picture_and_drops_out(tmp_path):
    network, image = alive(UNetGenerator(2, 6, dropout=False)), picture(64, 128)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    model = loaded(tmp_path / "a.pth")
    model.network.load_state_dict(network.state_dict())
    brush = Brush(model, ApplyOptions(mode="paper"))
    plain = {key: value for key, value in network.state_dict().items() if "running" not in key}
    with torch.no_grad():
        exact = UNetGenerator(2, 6, dropout=False)
        exact.load_state_dict(plain, strict=False)
        wanted = exact.train().translate(2 * image - 1) / 2 + 0.5  # torch's own batch normalization, of a batch of one
        torch.testing.assert_close(network.train()(image), wanted, rtol=0, atol=1e-4)
        found = brush(image)  # it cannot know that there was no dropout, so half of the inner features are left out
        assert torch.equal(found, brush(image)) and float((found - wanted).abs().mean()) > 1e-3
        assert network.state_dict()["model.model.1.model.2.num_batches_tracked"] == 0  # nothing is learned from it
    for module in model.network.modules():
        if isinstance(module, torch.nn.Dropout):
            mask = module.mask((20, 30))
            assert mask.unique().tolist() == [0, 2] and float(mask.mean()) == pytest.approx(1, abs=0.05)
    johnson = tmp_path / "b.safetensors"
    written(johnson, random_johnson())
    with pytest.raises(OptionError, match="mode is 'paper', but the network is one of johnson"):
        Brush(loaded(johnson), ApplyOptions(mode="paper"))


def test_videos_are_translated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = clips.write(tmp_path / "clip.mp4", clips.pan(4), sound=("aac",))
    for name, (kind, settings) in {"there": VARIANTS[0], "deep": VARIANTS[-5]}.items():
        torch.save(official(kind, settings), f"{name}.pth")
        assert main(["apply", f"{name}.pth", str(clip), "-o", f"{name}.mp4"]) == 0
        before, after = probe(clip), probe(f"{name}.mp4")
        assert (after.frames, after.sound) == (before.frames, before.sound) and after.frames == 4


@pytest.mark.parametrize("size", [(1, 1), (30, 41)])
def test_a_flat_picture_has_no_amplified_rounding(size):
    """Instance normalization divides by 0.003 where nothing varies; float64 shows what is rounding."""
    net = random_weights(ResNetGenerator(4, 2))
    flat = torch.tensor([0.3, 0.71, 0.123]).view(1, 3, 1, 1).expand(1, 3, *size)
    with torch.no_grad():
        found, exact = net(flat), net.double()(flat.double())
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)
