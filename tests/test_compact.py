"""The compact encoder: VGG's names and sizes, its own numbers, and what the shipped weights can do."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from impasto.checkpoints import load_encoder, save_state
from impasto.distillation import painting_loss, read_bases
from impasto.errors import ImageError, OptionError, UnknownName, WeightsError
from impasto.networks.compact import CHANNELS, Compact
from impasto.networks.vgg import VGG
from impasto.ops import resize
from impasto.weights import SPECS, find
from nets import picture

FEW = {layer: 3 for layer in CHANNELS}
CORE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
VGG19 = VGG(19, mean=(0, 0, 0), std=(1, 1, 1), channel_order="rgb", scale=1.0, widths=(1, 1, 1, 1, 1))


def tiny(padding="zeros", depths=(0, 1, 1, 2, 1), dtype=torch.float32, seed=0):
    network = Compact(channels=FEW, widths=(2, 3, 4, 5, 6), depths=depths, padding=padding)
    random = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 20.0
        parameter.data = torch.randn(parameter.shape, generator=random) * (2 / fan_in) ** 0.5
    return network.to(dtype).requires_grad_(False).eval()


SMALL = tiny()


# --- layers and sizes ----------------------------------------------------------------------------


def test_layers_are_all_of_vggs_relus_and_the_convolutions_that_presets_use_in_vggs_order():
    relus = {name for name in VGG19.layer_names if name.startswith("relu")}
    convolutions = {f"conv{block}_1" for block in range(1, 6)} | {"conv4_2", "conv5_2"}
    assert set(SMALL.layer_names) == relus | convolutions
    assert SMALL.layer_names == tuple(name for name in VGG19.layer_names if name in SMALL.layer_names)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.sampled_from(SMALL.layer_names), st.sampled_from(["zeros", "replicate"])
)
def test_any_size_gives_vggs_size_or_vggs_sentence(height, width, layer, padding):
    network, image = tiny(padding), picture(height, width)
    assert network.stride(layer) == VGG19.stride(layer)
    assert network.minimum_size([layer]) == VGG19.minimum_size([layer])
    if min(height, width) < network.minimum_size([layer]):
        stride = network.stride(layer)
        with pytest.raises(ImageError, match=f"{width}x{height} px; {layer} needs at least {stride}x{stride}"):
            network(image, [layer])
    else:
        features = network(image, [layer])[layer]
        assert features.shape[2:] == VGG19(image, [layer])[layer].shape[2:]
        assert features.shape[1] == network.channels(layer) == 3
        assert features.isfinite().all()


@pytest.mark.parametrize(("layer", "least"), [("relu1_1", 2), ("relu2_1", 3), ("relu3_1", 4), ("relu5_1", 16)])
def test_reflection_needs_rows_to_reflect(layer, least):
    network = tiny("reflect")
    assert network.minimum_size([layer]) == least
    assert network(picture(least, least + 1), [layer])[layer].isfinite().all()
    with pytest.raises(ImageError, match=f"needs at least {least}x{least}"):
        network(picture(least - 1, 40), [layer])


def test_a_feature_is_the_same_whatever_else_is_asked_for():
    image = picture(33, 47)
    everything = SMALL(image, reversed(SMALL.layer_names))
    assert tuple(everything) == SMALL.layer_names
    for name in SMALL.layer_names:
        torch.testing.assert_close(SMALL(image, [name])[name], everything[name])
    assert SMALL(image, []) == {}


@pytest.mark.parametrize(
    ("layers", "convolutions"),
    [(["relu1_1"], 1), (["relu2_1"], 2), (["relu1_1", "relu3_4"], 5), (["relu4_1"], 6), (["relu4_2"], 7), ([], 0)],
)
def test_nothing_deeper_than_needed_runs(layers, convolutions):
    network, ran = tiny(), []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda *_: ran.append(1))
    network(picture(32, 32), layers)
    assert len(ran) == convolutions


@pytest.mark.parametrize(
    "ask", [lambda n, x: n(picture(16, 16), [x]), *(lambda n, x, m=m: getattr(n, m)(x) for m in ("channels", "reach"))]
)
def test_unknown_layers_are_named_with_the_nearest(ask):
    with pytest.raises(UnknownName, match=r"^'relu4-1' is not the name of a layer of compact\. Did you mean 'relu"):
        ask(SMALL, "relu4-1")
    with pytest.raises(UnknownName, match="pool1"):
        ask(SMALL, "pool1")


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 4, 16, 16)])
def test_shape_and_kind_are_checked(shape):
    with pytest.raises(ImageError, match=r"expected \(B, 3, H, W\)"):
        SMALL(torch.zeros(shape), ["relu1_1"])
    with pytest.raises(ImageError, match="uint8; expected decimal"):
        SMALL(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), ["relu1_1"])


@pytest.mark.parametrize("option", [{"padding": "wrap"}, {"widths": (1, 2)}, {"depths": (1, 1, 1, 1, 1)}])
def test_options_are_checked(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        Compact(**option)
    with pytest.raises(UnknownName, match="relu6_1"):
        Compact(channels={"relu6_1": 3})


# --- where features come from --------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
def test_moving_the_image_by_sixteen_moves_the_features(padding):
    network, image = tiny(padding, dtype=torch.float64), picture(224, 240, dtype=torch.float64)
    whole = network(image, network.layer_names)
    part = network(image[..., 16:, 32:], network.layer_names)
    for layer, features in part.items():
        s, margin = network.stride(layer), -(-network.reach(layer) // network.stride(layer))
        moved = whole[layer][..., 16 // s :, 32 // s :]
        inner = (..., slice(margin, -margin), slice(margin, -margin))
        assert features[inner].numel()
        torch.testing.assert_close(features[inner], moved[inner], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layer", SMALL.layer_names)
def test_reach_is_how_far_a_feature_sees(layer):
    # The gradient of one feature is the picture of what it sees. Only positive weights, so that nothing cancels.
    network = tiny(depths=(0, 1, 1, 3, 2), dtype=torch.float64)
    for parameter in network.parameters():
        parameter.data.abs_()
    image = torch.ones(1, 3, 208, 208, dtype=torch.float64).requires_grad_()
    stride, reach = network.stride(layer), network.reach(layer)
    index = 104 // stride
    (gradient,) = torch.autograd.grad(network(image, [layer])[layer][0, :, index, index].sum(), image)
    for sees in (gradient.sum((0, 1, 2)), gradient.sum((0, 1, 3))):
        seen = sees.nonzero().flatten()
        assert seen[0] == index * stride - reach
        assert seen[-1] == index * stride + stride - 1 + reach


def test_padding_concerns_the_first_convolutions_only():
    # A constant stays constant through the first of them up to the edge, and only then meets zeros.
    gray = torch.full((1, 3, 64, 64), 0.3)
    features = tiny("replicate", depths=(0, 0, 0, 0, 0))(gray, CORE)
    for layer in ("relu1_1", "relu2_1"):
        assert (features[layer] - features[layer][..., :1, :1]).abs().max() < 1e-5
    features = tiny("zeros", depths=(0, 0, 0, 0, 0))(gray, CORE)
    for layer in ("relu1_1", "relu2_1"):
        assert (features[layer] - features[layer][..., 3:4, 3:4]).abs().max() > 1e-3


# --- gradients, memory, dtypes -------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
def test_gradient_to_the_pixels_equals_finite_differences(padding):
    network, image = tiny(padding, dtype=torch.float64), picture(16, 19, dtype=torch.float64)
    layers = ["relu1_1", "relu2_2", "conv3_1", "relu4_1", "relu4_2", "relu5_1"]

    def features(x):
        return tuple(network(x, layers).values())

    assert torch.autograd.gradcheck(features, image.requires_grad_(), eps=1e-7, fast_mode=True)


def test_the_image_is_left_as_it_is_and_layout_changes_nothing():
    image = picture(32, 40)
    before = image.clone()
    a = SMALL(image, SMALL.layer_names)
    b = SMALL(image.contiguous(memory_format=torch.channels_last), SMALL.layer_names)
    assert torch.equal(image, before)
    for layer in a:
        torch.testing.assert_close(a[layer], b[layer])


def test_images_of_a_batch_do_not_touch_each_other():
    one, two = picture(32, 40), picture(32, 40, seed=1)
    together = SMALL(torch.cat([one, two]), CORE)
    alone = SMALL(two, CORE)
    for layer in CORE:
        torch.testing.assert_close(together[layer][1:], alone[layer])


def test_features_have_the_dtype_of_the_weights():
    assert tiny().bfloat16()(picture(32, 32), ["relu3_1"])["relu3_1"].dtype is torch.bfloat16


def test_bytes_per_pixel_count_what_is_asked_for():
    assert SMALL.bytes_per_pixel([]) == 0
    assert 0 < SMALL.bytes_per_pixel(["relu2_1"]) < SMALL.bytes_per_pixel(["relu5_1"]) < SMALL.bytes_per_pixel(CORE)
    # two and three channels at full resolution, and four times the larger for what is needed besides
    assert SMALL.bytes_per_pixel(["relu1_1"]) == 4 * (2 + 3 + 4 * 3)


# --- files ---------------------------------------------------------------------------------------


def written(path, encoder, **changes):
    values = {"network": "compact", "channels": FEW, "widths": encoder.widths, "depths": encoder.depths}
    save_state(path, {k: v.half() for k, v in encoder.state_dict().items()}, {**values, **changes})
    return path


def test_a_file_gives_the_network_back(tmp_path):
    path = written(tmp_path / "mine.safetensors", SMALL)
    network = load_encoder(path, padding="replicate")
    assert isinstance(network, Compact)
    assert network.padding == "replicate"
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    for key, value in SMALL.state_dict().items():
        assert torch.equal(network.state_dict()[key], value.half().float()), key
    path.unlink()  # nothing of it stays in use
    features = network(picture(32, 32), CORE)
    assert {f.dtype for f in features.values()} == {torch.float32}


def test_files_that_do_not_fit_are_refused_by_a_sentence(tmp_path):
    path = written(tmp_path / "a", SMALL, network="portrait")
    with pytest.raises(WeightsError, match="was written by impasto, but is not an encoder"):
        load_encoder(path)
    path = written(tmp_path / "a", SMALL, channels=None)
    with pytest.raises(WeightsError, match="was written by impasto, but is not an encoder"):
        load_encoder(path)
    path = written(tmp_path / "a", SMALL, widths=(2, 3, 4, 5, 7))
    with pytest.raises(WeightsError, match="is another network: 'blocks"):
        load_encoder(path)
    state = {k: v for k, v in SMALL.state_dict().items() if k != "fine.bias"}
    header = {"network": "compact", "channels": FEW, "widths": SMALL.widths, "depths": SMALL.depths}
    save_file(state, path, {"impasto": json.dumps(header)})
    with pytest.raises(WeightsError, match="lacks 'fine.bias'; expected every convolution of a compact encoder"):
        load_encoder(path)
    broken = SMALL.state_dict() | {"fine.bias": torch.full((2,), torch.nan)}
    save_state(path, broken, header)
    with pytest.raises(WeightsError, match="'fine.bias' does not hold finite"):
        load_encoder(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_encoder(path)


# --- the weights that are shipped ----------------------------------------------------------------

SHIPPED = find("compact")
# What must hold on each of three photographs, somewhat below what was measured.
EXPLAINED = {"relu1_1": 0.5, "relu2_1": 0.3, "relu3_1": 0.2, "relu4_1": 0.2, "relu4_2": 0.1, "relu5_1": 0.0}
COSINE = {1: 0.2, 4: 0.3}  # of gradients averaged over cells of so many pixels


@pytest.fixture(scope="module")
def shipped():
    return load_encoder("compact", padding="replicate")


@pytest.fixture(scope="module")
def vgg():
    return load_encoder("vgg19", padding="replicate")


@pytest.fixture(scope="module")
def photographs():
    """Three photographs that nobody trained on, 160 px wide."""
    from skimage import data

    pictures = []
    for pixels in (data.astronaut(), data.coffee(), data.chelsea()):
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        size = (round(160 * image.shape[2] / image.shape[3]), 160)
        pictures.append(resize(image, size).clamp(0, 1))
    return pictures


def test_the_shipped_file_is_small_and_says_where_it_comes_from():
    assert SHIPPED.stat().st_size <= 4_000_000
    with safe_open(SHIPPED, "pt") as file:
        told = json.loads(file.metadata()["impasto"])
    assert told["teacher"]["sha256"] == SPECS["vgg19"].sha256
    assert told["license"] == "MIT"
    assert told["pictures"]
    assert told["provenance"]
    assert told["options"]["seed"] == 0


def test_the_shipped_encoder_sees_what_vgg_sees(shipped, vgg, photographs):
    bases = read_bases(SHIPPED)
    for image in photographs:
        seen, told = shipped(image, CORE), vgg(image, CORE)
        for layer, least in EXPLAINED.items():
            target = bases[layer].project(told[layer]) * bases[layer].gain
            explained = 1 - (seen[layer] - target).square().sum() / target.square().sum()
            assert explained > least, layer


def test_the_shipped_encoder_leads_pixels_where_vgg_leads_them(shipped, vgg, photographs):
    for content, style in zip(photographs, photographs[1:] + photographs[:1], strict=True):
        style = resize(style, content.shape[2:]).clamp(0, 1)
        gradients = []
        for encoder in (shipped, vgg):
            canvas = content.clone().requires_grad_()
            wanted, liked = encoder(content, CORE), encoder(style, CORE)
            loss = painting_loss(encoder(canvas, CORE), wanted, liked, dict.fromkeys(CORE, 0.2))
            gradients.append(torch.autograd.grad(loss, canvas)[0])
        for cell, least in COSINE.items():
            a, b = (torch.nn.functional.avg_pool2d(gradient, cell).flatten() for gradient in gradients)
            assert torch.cosine_similarity(a, b, dim=0) > least, cell


def test_late_layers_know_something_too(shipped, vgg, photographs):
    # Without bases in the file, what can be compared is how far apart two pictures' features are.
    a, b = (resize(image, (96, 96)).clamp(0, 1) for image in photographs[:2])
    for layer in shipped.layer_names:
        apart = []
        for encoder in (shipped, vgg):
            one, two = (encoder(image, [layer])[layer] for image in (a, b))
            apart.append(((one - two).square().mean() / one.square().mean()).item())
        assert 0.3 < apart[0] / apart[1] < 1.5, layer
