"""Johnson's network is that of pytorch/examples, and gives every picture back at its own size."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import OptionError
from impasto.networks.johnson import Johnson
from nets import picture, random_weights


class Conv(nn.Module):
    """As pytorch/examples has it, of torch's own parts."""

    def __init__(self, channels, out, kernel, stride=1):
        super().__init__()
        self.reflection_pad = nn.ReflectionPad2d(kernel // 2)
        self.conv2d = nn.Conv2d(channels, out, kernel, stride)

    def forward(self, x):
        return self.conv2d(self.reflection_pad(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.in1 = Conv(c, c, 3), nn.InstanceNorm2d(c, affine=True)
        self.conv2, self.in2 = Conv(c, c, 3), nn.InstanceNorm2d(c, affine=True)

    def forward(self, x):
        return self.in2(self.conv2(torch.relu(self.in1(self.conv1(x))))) + x


class Example(nn.Module):
    """The network of pytorch/examples in the order of its layer table; pictures in 0...255."""

    def __init__(self, w, blocks):
        super().__init__()
        shapes = {"conv1": (3, w, 9), "conv2": (w, 2 * w, 3, 2), "conv3": (2 * w, 4 * w, 3, 2)}
        shapes |= {"deconv1": (4 * w, 2 * w, 3), "deconv2": (2 * w, w, 3), "deconv3": (w, 3, 9)}
        for name, shape in shapes.items():
            self.add_module(name, Conv(*shape))
        for index, channels in enumerate((w, 2 * w, 4 * w, 2 * w, w), start=1):
            self.add_module(f"in{index}", nn.InstanceNorm2d(channels, affine=True))
        self.blocks = [f"res{index}" for index in range(1, blocks + 1)]
        for name in self.blocks:
            self.add_module(name, Block(4 * w))

    def forward(self, x):
        for index in (1, 2, 3):
            x = torch.relu(getattr(self, f"in{index}")(getattr(self, f"conv{index}")(x)))
        for name in self.blocks:
            x = getattr(self, name)(x)
        for index in (1, 2):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = torch.relu(getattr(self, f"in{index + 3}")(getattr(self, f"deconv{index}")(x)))
        return self.deconv3(x)


@pytest.mark.parametrize(("width", "blocks", "count"), [(32, 5, 1_679_235), (16, 5, 424_899), (8, 5, 108_771)])
def test_number_of_parameters(width, blocks, count):  # counted on the real networks, see the literature
    assert sum(p.numel() for p in Johnson(width, blocks).parameters()) == count


def test_keys_are_those_of_the_public_checkpoints():
    expected = {}
    for name, shape in {
        "conv1": (32, 3, 9, 9), "conv2": (64, 32, 3, 3), "conv3": (128, 64, 3, 3), "deconv1": (64, 128, 3, 3),
        "deconv2": (32, 64, 3, 3), "deconv3": (3, 32, 9, 9),
        **{f"res{i}.conv{j}": (128, 128, 3, 3) for i in range(1, 6) for j in (1, 2)},
    }.items():  # fmt: skip
        expected |= {f"{name}.conv2d.weight": shape, f"{name}.conv2d.bias": shape[:1]}
    norms = {"in1": 32, "in2": 64, "in3": 128, "in4": 64, "in5": 32}
    norms |= {f"res{i}.in{j}": 128 for i in range(1, 6) for j in (1, 2)}
    for name, channels in norms.items():
        expected |= {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}
    assert {key: tuple(value.shape) for key, value in Johnson().state_dict().items()} == expected


@pytest.mark.parametrize("needs_gradient", [True, False])
def test_it_is_the_network_of_pytorch_examples(needs_gradient):
    ours = random_weights(Johnson(6, 2)).double()
    theirs = Example(6, 2).double()
    theirs.load_state_dict(ours.state_dict())
    image = torch.cat([picture(24, 36, seed) for seed in (0, 1)]).double()
    with torch.set_grad_enabled(needs_gradient):
        painted = ours(image)
        assert painted.requires_grad == needs_gradient
    torch.testing.assert_close(painted, theirs(image * 255) / 255, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 7), (33, 20), (17, 64)])
def test_every_size_comes_back(size):
    assert random_weights(Johnson(4, 1))(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_odd_sizes_are_the_corner_of_a_mirrored_picture():
    net = random_weights(Johnson(4, 1)).double()
    image = picture(18, 21).double()
    mirrored = F.pad(image, (0, 3, 0, 2), mode="reflect")
    torch.testing.assert_close(net(image), net(mirrored)[..., :18, :21], rtol=0, atol=0)


@pytest.mark.parametrize("settings", [{"width": 0}, {"blocks": -1}, {"scale": 0.0}])
def test_impossible_networks_are_refused(settings):
    with pytest.raises(OptionError, match="expected"):
        Johnson(**settings)
