"""Networks of others, against plain numpy in float64: loops over taps, written from their layer tables."""

import numpy as np
import pytest
import torch

from impasto.errors import WeightsError
from impasto.inference.load import load
from impasto.networks.layers import Conv
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import MicroAST
from impasto.networks.translators import ResNetGenerator
from nets import picture, random_weights


def conv(x, weight, stride=1, before=(0, 0), size=None, groups=1):
    """Return the sum over taps, out[i, j] = x[i s + y - before] w[y]; x is zero outside. (C, H, W), (O, I, k, k)."""
    out, per_group, k, _ = weight.shape
    height, width = size or x.shape[1:]
    made = np.zeros((out, height, width))
    for o in range(out):
        first = o * groups // out * per_group
        for i, j in np.ndindex(height, width):
            for y, z in np.ndindex(k, k):
                r, c = i * stride + y - before[0], j * stride + z - before[1]
                if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]:
                    made[o, i, j] += x[first : first + per_group, r, c] @ weight[o, :, y, z]
    return made


# --- TensorFlow's SAME ---------------------------------------------------------------------------

# TensorFlow's guide: out = ceil(n / s), pad = max((out - 1) s + k - n, 0), before = pad // 2. By hand:
SAME = [  # n, k, s, before, out
    (4, 3, 2, 0, 2),  # pad (2-1)2+3-4 = 1: all of it after the end
    (5, 3, 2, 1, 3),  # pad (3-1)2+3-5 = 2: one on each side
    (6, 3, 2, 0, 3),  # pad 1
    (7, 3, 2, 1, 4),  # pad 2
    (5, 3, 1, 1, 5),  # pad 2
    (4, 9, 1, 4, 4),  # pad 8
    (4, 2, 1, 0, 4),  # pad 1: after
    (1, 3, 2, 1, 1),  # pad 2
]


@pytest.mark.parametrize(("n", "k", "stride", "before", "out"), SAME)
def test_same_padding_as_computed_by_hand(n, k, stride, before, out):
    random = np.random.default_rng(n * 10 + k)
    x, weight = random.normal(size=(2, n, 6)), random.normal(size=(3, 2, k, k))
    pad = max((-(-6 // stride) - 1) * stride + k - 6, 0)
    expected = conv(x, weight, stride, (before, pad // 2), (out, -(-6 // stride)))
    layer = Conv(torch.from_numpy(weight), stride=stride, padding="zeros")
    assert layer.size(n, 6) == expected.shape[1:]
    np.testing.assert_allclose(layer(torch.from_numpy(x)[None])[0].numpy(), expected, atol=1e-12)


# --- lengstrom -----------------------------------------------------------------------------------


def norm(x, scale, shift):
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)  # biased
    return (x - mean) / np.sqrt(variance + 1e-3) * scale[:, None, None] + shift[:, None, None]


def same(x, weight, stride):
    size = [-(-n // stride) for n in x.shape[1:]]
    before = [max((o - 1) * stride + weight.shape[2] - n, 0) // 2 for o, n in zip(size, x.shape[1:], strict=True)]
    return conv(x, weight, stride, before, size)


def transposed(x, weight):
    """Scatter: each position of x adds its filter at twice the position; what is beyond twice the size is cropped."""
    channels, height, width = x.shape
    made = np.zeros((weight.shape[0], 2 * height + 1, 2 * width + 1))
    for i, j in np.ndindex(height, width):
        made[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("c,ocyz->oyz", x[:, i, j], weight)
    return made[:, : 2 * height, : 2 * width]


def test_lengstrom_against_numpy():
    net = random_weights(Lengstrom(2, 1)).double()
    image = picture(12, 8).double()
    state = {key: value.numpy() for key, value in net.state_dict().items()}

    def layer(x, index, how, relu=True):
        weight, shift, scale = (state[f"layers.{index}.{name}"] for name in ("weight", "shift", "scale"))
        x = norm(how(x, weight), scale, shift)
        return np.maximum(x, 0) if relu else x

    x = image[0].numpy() * 255
    for index, stride in enumerate((1, 2, 2)):
        x = layer(x, index, lambda x, w, s=stride: same(x, w, s))
    x = x + layer(layer(x, 3, lambda x, w: same(x, w, 1)), 4, lambda x, w: same(x, w, 1), relu=False)
    x = layer(layer(x, 5, transposed), 6, transposed)
    x = layer(x, 7, lambda x, w: same(x, w, 1), relu=False)
    expected = (np.tanh(x) * 150 + 127.5) / 255
    with torch.no_grad():
        np.testing.assert_allclose(net(image)[0].numpy(), expected, atol=1e-9)
    assert expected.std() > 0.05


def test_lengstrom_has_48_blobs_in_their_order():
    shapes = [tuple(value.shape) for value in Lengstrom().state_dict().values()]
    assert len(shapes) == 48
    assert shapes[:3] == [(32, 3, 9, 9), (32,), (32,)] and shapes[-3:] == [(3, 32, 9, 9), (3,), (3,)]
    assert [shape for shape in shapes if len(shape) == 4][3:15] == [(128, 128, 3, 3)] * 10 + [
        (64, 128, 3, 3),
        (32, 64, 3, 3),
    ]
    assert list(Lengstrom().state_dict())[:3] == ["layers.0.weight", "layers.0.shift", "layers.0.scale"]


# --- MicroAST ------------------------------------------------------------------------------------


def reflected(state, key, x, stride=1, groups=1):
    weight, bias = state[f"{key}.conv_layer.weight"], state[f"{key}.conv_layer.bias"]
    p = weight.shape[2] // 2
    x = np.pad(x, ((0, 0), (p, p), (p, p)), mode="reflect") if p else x
    size = [(n - weight.shape[2]) // stride + 1 for n in x.shape[1:]]
    out, per_group, k, _ = weight.shape
    made = np.zeros((out, *size))
    for y, z in np.ndindex(k, k):  # by taps, for speed
        part = x[:, y : y + stride * (size[0] - 1) + 1 : stride, z : z + stride * (size[1] - 1) + 1 : stride]
        for o in range(out):
            first = o * groups // out * per_group
            made[o] += np.tensordot(weight[o, :, y, z], part[first : first + per_group], 1)
    return made + bias[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def encoder(state, name, x):
    for index, stride, groups in ((0, 1, 1), (2, 2, 16), (4, 1, 1), (6, 2, 32), (8, 1, 1)):
        x = relu(reflected(state, f"{name}.enc1.{index}", x, stride, groups))
    levels = []
    for block in ("enc1.10", "enc2.0"):
        y = relu(reflected(state, f"{name}.{block}.conv1", x))
        x = x + reflected(state, f"{name}.{block}.conv2", y)
        levels.append(x)
    return levels


def adain(x, style):
    def stats(f):
        return f.mean((1, 2), keepdims=True), np.sqrt(f.var((1, 2), ddof=1, keepdims=True) + 1e-5)  # unbiased

    (mean, std), (style_mean, style_std) = stats(x), stats(style)
    return (x - mean) / std * style_std + style_mean


def bilinear(x):
    """Each new place lies a quarter from one old one and three quarters from the next, repeated at the ends."""
    for axis in (1, 2):
        x = np.moveaxis(x, axis, 0)
        before, after = np.concatenate([x[:1], x[:-1]]), np.concatenate([x[1:], x[-1:]])
        x = np.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], 1).reshape(-1, *x.shape[1:])
        x = np.moveaxis(x, 0, axis)
    return x


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_microast_against_numpy(alpha):
    net = random_weights(MicroAST()).double()
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    image, style = picture(16, 12).double(), picture(12, 20, 3).double()
    _, x = encoder(state, "content_encoder", image[0].numpy())
    levels = encoder(state, "style_encoder", style[0].numpy())
    for block, level in (("dec1", 1), ("dec2", 0)):
        x = alpha * adain(x, levels[level]) + (1 - alpha) * x
        w, b = (
            reflected(state, f"modulator.{name}{level + 1}.0", levels[level], groups=64).mean((1, 2), keepdims=True)
            for name in ("weight", "bias")
        )
        y = relu(w * reflected(state, f"decoder.{block}.conv1", x) + b * x)
        x = x + w * reflected(state, f"decoder.{block}.conv2", y) + b * y
    x = relu(reflected(state, "decoder.dec3.1", bilinear(x), groups=32))
    x = relu(reflected(state, "decoder.dec3.3", x))
    x = relu(reflected(state, "decoder.dec3.6", bilinear(x), groups=16))
    x = relu(reflected(state, "decoder.dec3.8", x))
    expected = reflected(state, "decoder.dec3.10", x)
    with torch.no_grad():
        np.testing.assert_allclose(net(image, style, alpha)[0].numpy(), expected, rtol=1e-8, atol=1e-8)


def test_microast_has_the_published_sizes():
    counts = [sum(p.numel() for p in part.parameters()) for part in MicroAST().children()]
    assert counts == [157_792, 157_792, 2_560, 153_843]  # content, style, modulator, decoder


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_tensors_that_are_not_plain_are_refused(tmp_path):
    """Also one of few bytes that stands for gigabytes, by a stride of 0."""
    state = ResNetGenerator(4, 1).state_dict()
    key = "model.4.weight"
    plain = state[key]
    for name, tensor in {
        "sparse": plain.to_sparse(),
        "meta": plain.to("meta"),
        "quantized": torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
        "repeated": torch.ones(1, 1, 1, 1).expand_as(plain),
    }.items():
        torch.save({**state, key: tensor}, tmp_path / f"{name}.pth")
        with pytest.raises(WeightsError, match=rf"{name}\.pth holds 'model\.4\.weight' as no plain tensor; expected"):
            load(tmp_path / f"{name}.pth", device="cpu")
