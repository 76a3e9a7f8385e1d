"""Every known file of a network is recognized by itself, and every other is refused by name."""

import io
import pickle
import zipfile

import pytest
import torch

from impasto.checkpoints.files import save_state
from impasto.checkpoints.model import Model
from impasto.errors import OptionError, UnknownName, WeightsError
from impasto.inference.load import load
from impasto.networks.johnson import Johnson
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import PARTS, MicroAST
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.pyramid import PyramidNetwork
from nets import loaded, model_of, picture, random_johnson, random_weights, written

IMAGE = picture(22, 30)


def painter():
    return random_weights(MultiStyleNetwork(8, 1, 6, styles=("identity", "waves", "stars")))


NETWORKS = {
    "johnson": lambda: random_johnson(4, 2),
    "multistyle": painter,
    "pyramid": lambda: random_weights(PyramidNetwork((8, 8, 8), (1, 1, 1), 6, styles=("identity", "waves", "stars"))),
    "lengstrom": lambda: random_weights(Lengstrom(4, 1)),
    "microast": lambda: random_weights(MicroAST()),
}


def painted(network, **settings):
    model = network if isinstance(network, Model) else model_of(network.eval())
    if model.architecture == "microast":
        settings.setdefault("style", picture(20, 24, 7))
    elif model.architecture in ("multistyle", "pyramid"):
        settings.setdefault("style", "waves")
    with torch.no_grad():
        return model.paint(IMAGE, **settings)


# --- our own files -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_saved_comes_back_with_the_same_bits(kind, tmp_path):
    network = NETWORKS[kind]()
    written(tmp_path / "a.safetensors", network, {"license": "CC0", "provenance": ["here"]})
    model = loaded(tmp_path / "a.safetensors")
    assert model.architecture == kind and model.card["license"] == "CC0" and model.card["provenance"] == ["here"]
    assert model.styles == getattr(network, "styles", ())
    assert torch.equal(painted(model), painted(network))
    assert not any(p.requires_grad for p in model.network.parameters()) and not model.network.training


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.55), ("int8", 0.35)])
def test_fewer_bits_make_smaller_files_and_nearly_the_same_picture(precision, share, tmp_path):
    network = random_weights(Johnson(16, 2))
    sizes = {}
    for chosen in ("float32", precision):
        written(tmp_path / chosen, network, precision=chosen)
        sizes[chosen] = (tmp_path / chosen).stat().st_size
    assert sizes[precision] < share * sizes["float32"]
    state = loaded(tmp_path / precision).network.state_dict()
    for key, value in network.state_dict().items():
        # half a step: of 11 bits, or of 127 steps to the largest number of a filter
        step = value.abs().amax() * (2**-11 if precision == "float16" or value.ndim < 4 else 0.51 / 127)
        assert (state[key] - value).abs().max() <= step


def test_a_network_that_is_none_of_ours_is_refused(tmp_path):
    with pytest.raises(OptionError, match="Linear is not an architecture of ours"):
        written(tmp_path / "x", torch.nn.Linear(2, 2))
    with pytest.raises(OptionError, match="precision is 'int4'"):
        written(tmp_path / "x", painter(), precision="int4")
    assert not (tmp_path / "x").exists()


# --- pytorch/examples ----------------------------------------------------------------------------


def old(state):
    """As torch before 0.4 wrote it, with buffers of instance norms."""
    channels = {key.removesuffix(".bias"): value for key, value in state.items() if ".conv2d" not in key}
    extra = {f"{key}.running_mean": torch.zeros_like(value) for key, value in channels.items() if ".weight" not in key}
    return state | extra | {key.replace("mean", "var"): value for key, value in extra.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 2, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
        old,
    ],
    ids=["plain", "nested", "module", "both", "old"],
)
def test_johnson_is_recognized(wrap, tmp_path):
    network = random_weights(Johnson(6, 3))
    torch.save(wrap(network.state_dict()), tmp_path / "mosaic.pth")
    model = loaded(tmp_path / "mosaic.pth")
    assert model.network.settings == {"width": 6, "blocks": 3, "scale": 255.0}
    assert torch.equal(painted(model), painted(network))
    if wrap is old:  # 5 norms and 2 in each of 3 blocks, mean and variance
        assert model.notes == ("22 running statistics of an old file were left out: they are never used",)
    else:
        assert model.notes == ()


@pytest.mark.parametrize("width", [16, 32])
def test_the_published_widths_are_recognized(width, tmp_path):
    torch.save(Johnson(width).state_dict(), tmp_path / "a.pth")
    assert loaded(tmp_path / "a.pth").network.settings == {"width": width, "blocks": 5, "scale": 255.0}


# --- lengstrom -----------------------------------------------------------------------------------


def blobs(network):
    """The 48 files, written by hand: weights with taps first, transposed ones (k, k, out, in)."""
    files = {}
    for index, layer in enumerate(network.layers):
        weight = layer.weight.detach().numpy()  # (out, in, k, k)
        stored = weight.transpose(2, 3, 0, 1) if index in (13, 14) else weight.transpose(2, 3, 1, 0)
        for part, values in enumerate((stored, layer.shift.detach().numpy(), layer.scale.detach().numpy())):
            number = 3 * index + part
            files[f"Variable_{number}" if number else "Variable"] = values.astype("<f4").tobytes()
    return files


@pytest.mark.parametrize("how", ["folder", "zip"])
def test_lengstrom_is_recognized(how, tmp_path):
    network = random_weights(Lengstrom())
    path = tmp_path / "la_muse"
    if how == "folder":
        path.mkdir()
        (path / "Variable_10_Adam").write_bytes(b"left over")
        (path / "manifest.json").write_text("{}")
        for name, content in blobs(network).items():
            (path / name).write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as opened:
            for name, content in blobs(network).items():
                opened.writestr(f"ckpts/la_muse/{name}", content)
    assert torch.equal(painted(loaded(path)), painted(network))


def test_blobs_that_are_missing_or_cut_are_named(tmp_path):
    files = blobs(Lengstrom())
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "Variable_7").write_bytes(files["Variable_7"][:-4])
    with pytest.raises(WeightsError, match=r"'Variable_7' has 508 bytes, expected 512 for \(128,\)"):
        loaded(tmp_path)
    (tmp_path / "Variable_7").unlink()
    with pytest.raises(WeightsError, match=r"lacks 'Variable_7'; expected 48 files"):
        loaded(tmp_path)


# --- MicroAST ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["folder", "file"])
def test_microast_is_recognized(how, tmp_path):
    network = random_weights(MicroAST())
    states = {part: getattr(network, part).state_dict() for part in PARTS}
    path = tmp_path / "microast"
    if how == "folder":
        path.mkdir()
        for part, state in states.items():
            torch.save(state, path / f"{part}_iter_160000.pth.tar")
    else:
        torch.save(states, path)
    assert torch.equal(painted(loaded(path)), painted(network))


def test_a_part_that_is_missing_is_named(tmp_path):
    network = MicroAST()
    for part in PARTS[:3]:
        torch.save(getattr(network, part).state_dict(), tmp_path / f"{part}.pth")
    with pytest.raises(WeightsError, match=r"has 0 files named decoder\*"):
        loaded(tmp_path)


# --- refused -------------------------------------------------------------------------------------


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


STATE = Johnson(4, 2).state_dict()
REFUSED = {
    "missing key": (
        saved({k: v for k, v in STATE.items() if k != "res2.in1.bias"}),
        r"lacks 'res2.in1.bias' \(16,\); expected all weights of Johnson's network",
    ),
    "another shape": (
        saved(STATE | {"conv2.conv2d.weight": torch.zeros(8, 4, 5, 5)}),
        r"'conv2.conv2d.weight' has shape \(8, 4, 5, 5\), expected \(8, 4, 3, 3\)",
    ),
    "another network's": (saved(STATE | {"conv9.weight": torch.zeros(2)}), "holds 'conv9.weight', which Johnson's"),
    "not finite": (saved(STATE | {"in1.weight": torch.full((4,), torch.nan)}), "'in1.weight' does not hold finite"),
    "a classifier": (saved({"features.0.weight": torch.zeros(4, 3, 3, 3)}), "its first tensor is named 'features.0"),
    "nothing": (saved({}), "it holds no named tensors"),
    "a list": (saved([torch.zeros(2)]), "it holds no named tensors"),
    "code": (
        saved({"conv1.conv2d.weight": Evil()}),
        r"holds objects of Python \(print\), as of a whole network, and no code in it ran",
    ),
    "a pickle with code": (pickle.dumps(Evil()), "holds more than tensors|cannot be read"),
    "truncated": (saved(STATE)[:5000], "cannot be read|damaged"),
    "a web page": (b"<html>not found</html>", "is a web page, not the file that it links to"),
    "empty": (b"", "cannot be read|damaged"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_files_are_refused_by_name(what, tmp_path, capsys):
    content, message = REFUSED[what]
    path = tmp_path / "wrong.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        loaded(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_our_own_files_are_checked_too(tmp_path):
    path = tmp_path / "a.safetensors"
    save_state(path, {"a": torch.zeros(2)}, {"network": "compact"})
    with pytest.raises(WeightsError, match="holds the network 'compact'; expected one of johnson, multistyle"):
        loaded(path)
    save_state(path, {"a": torch.zeros(2)}, {"network": "painter", "settings": {"width": -1}})
    with pytest.raises(WeightsError, match="its settings do not make a network"):
        loaded(path)
    save_state(path, painter().state_dict(), {"network": "painter", "settings": MultiStyleNetwork(8, 2, 6).settings})
    with pytest.raises(WeightsError, match=r"lacks 'blocks.1.0.weight'|'embeddings' has shape"):
        loaded(path)
    with pytest.raises(WeightsError, match="does not exist"):
        loaded(tmp_path / "nothing.pth")


# --- one way to call them ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_pictures_come_back_in_range_and_in_size(kind):
    result = painted(NETWORKS[kind]())
    assert result.shape == IMAGE.shape and result.min() >= 0 and result.max() <= 1 and result.std() > 0.005


def test_strength_interpolates_embeddings_from_the_identity():
    network = painter()
    half = painted(network, style=torch.lerp(network.embeddings[0], network.embeddings[1], 0.5))
    error = painted(network, style="identity") - IMAGE
    expected = (half - 0.5 * error).clamp(0, 1)
    torch.testing.assert_close(painted(network, style="waves", strength=0.5), expected, rtol=0, atol=1e-6)
    assert torch.equal(painted(network), painted(network, style="waves"))  # the first that is not the identity


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_strength_leads_from_the_photograph_to_the_style(kind, precision, tmp_path):
    network = NETWORKS[kind]()
    written(tmp_path / "a.safetensors", network)
    model = load(tmp_path / "a.safetensors", device="cpu", precision=precision)
    style = {"microast": picture(24, 24, 5)}.get(kind, "waves" if getattr(model, "styles", ()) else None)
    flat = [torch.full((1, 3, 16, 24), value) for value in (0.0, 0.3, 1.0)]
    for image in (*flat, IMAGE):
        steps = [model.paint(image, style=style, strength=strength) for strength in (0, 1e-6, 0.25, 0.5, 0.75, 1)]
        assert torch.equal(steps[0], image)
        assert (steps[1] - image).abs().max() < (0.5 if precision == "float32" else 1.5) / 255  # no jump
        # a path without detours: what it goes is hardly longer than the way
        way = (steps[-1] - image).abs().mean()
        assert all((step - image).abs().mean() < 1.05 * way + 0.01 for step in steps)


def test_strength_interpolates_pixels_where_there_are_no_embeddings():
    network = NETWORKS["johnson"]()
    full = painted(network)
    torch.testing.assert_close(painted(network, strength=0.25), 0.75 * IMAGE + 0.25 * full, rtol=0, atol=1e-6)
    assert torch.equal(painted(network, strength=0), IMAGE)


def test_styles_are_interpolated_as_embeddings():
    network = painter()
    embedding = (2 * network.embeddings[1] + 6 * network.embeddings[2]) / 8
    blended = painted(network, style={"waves": 2, "stars": 6})
    torch.testing.assert_close(blended, painted(network, style=embedding), rtol=0, atol=1e-6)
    left = torch.zeros(1, 1, *IMAGE.shape[-2:])
    left[..., :15] = 1
    mapped = painted(network, style={"waves": left, "stars": 1 - left})
    off = (mapped - painted(network, style="waves")).abs().mean((0, 1, 2))  # by column
    assert 2 * off[:4].mean() < off[-4:].mean()


@pytest.mark.parametrize(
    ("kind", "settings", "error", "message"),
    [
        ("multistyle", {"style": "wave"}, UnknownName, "Did you mean 'waves'"),
        ("multistyle", {"style": {"waves": 0.0}}, OptionError, "not all 0"),
        ("multistyle", {"style": {"waves": -1.0, "stars": 2.0}}, OptionError, "0 or more"),
        ("multistyle", {"style": {}}, OptionError, "weights of styles"),
        ("multistyle", {"style": {"waves": torch.zeros(1, 1, 22, 30)}}, OptionError, "all 0 at some pixel"),
        ("multistyle", {"strength": 1.5}, OptionError, "strength is 1.5; expected 0 to 1"),
        ("johnson", {"style": "waves"}, OptionError, "has one style"),
        ("microast", {"style": "waves"}, OptionError, "takes a picture as style"),
    ],
)
def test_impossible_styles_are_refused(kind, settings, error, message):
    with pytest.raises(error, match=message):
        painted(NETWORKS[kind](), **settings)
