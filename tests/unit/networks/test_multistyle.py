"""The network of many styles: its size, its style embeddings, and what it cannot do to flat pictures."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError
from impasto.networks.multistyle import MultiStyleNetwork, balanced, enlarging
from nets import picture, random_weights


def painter(width=8, blocks=1, fine=6, styles=("identity", "a", "b"), seed=0):
    return random_weights(MultiStyleNetwork(width, blocks, fine, styles=styles), seed)


def test_number_of_parameters_and_of_a_row():
    # stem 48 32 9, twelve 32 32 9, fine 32 24 9, out 24 12 9; a style embedding: 2 (32 + 12 * 32 + 24 + 3)
    net = MultiStyleNetwork()
    assert net.embeddings.shape == (1, 886)
    assert sum(p.numel() for p in net.parameters()) == 9 * (48 * 32 + 12 * 32 * 32 + 32 * 24 + 24 * 12) + 886


def test_it_is_light():
    # At 256 px and 16 px around: stem and blocks at 72 px, the last two convolutions at 144 px.
    macs = 72**2 * 9 * (48 * 32 + 12 * 32 * 32) + 144**2 * 9 * (32 * 24 + 24 * 12)
    counted = 0

    def count(x, weight, *rest):
        nonlocal counted
        made = original(x, weight, *rest)
        counted += made.numel() * weight[0].numel()
        return made

    from impasto.networks import layers

    original = layers._convolve
    layers._convolve = count
    try:
        with torch.no_grad():
            net = MultiStyleNetwork()
            net(torch.rand(1, 3, 256, 256), net.embeddings[0])
    finally:
        layers._convolve = original
    assert counted == macs < 1e9


def reference(net, image, embedding):
    """The network in torch's own parts, in float64: pads, convolutions, instance norms."""
    height, width = image.shape[-2:]
    image = F.pad(image, (16, 16, 16, 16), mode="reflect")
    gains = iter(torch.split(embedding, [c for c in net.channels for _ in range(2)]))

    def layer(x, weight, relu=True):
        gain, shift = next(gains), next(gains)
        x = F.instance_norm(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight), weight=gain, bias=shift, eps=1e-3)
        return torch.relu(x) if relu else x

    x = layer(F.pixel_unshuffle(image, 4), net.stem.weight)
    for pair in net.blocks:
        x = x + layer(layer(x, pair[0].weight), pair[1].weight, relu=False)
    x = F.conv2d(F.pad(F.interpolate(x, scale_factor=2), (1, 1, 1, 1), mode="reflect"), net.fine.weight)
    gain, shift = next(gains), next(gains)
    x = torch.relu(x * gain.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1))
    x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), balanced(net.out.weight, 2))
    x = F.pixel_shuffle(x, 2)
    gain, shift = next(gains), next(gains)
    return torch.sigmoid(x * gain.view(1, 3, 1, 1) + shift.view(1, 3, 1, 1))[..., 16 : 16 + height, 16 : 16 + width]


@pytest.mark.parametrize("needs_gradient", [True, False])
def test_it_is_what_the_docstring_says(needs_gradient):
    net = painter().double().requires_grad_(needs_gradient)
    image = picture(24, 36).double()
    with torch.set_grad_enabled(needs_gradient):
        painted = net(image, net.embeddings[1])
    expected = reference(net, image, net.embeddings[1])
    assert expected.std() > 0.01
    # what is in [0, 1] at the end is float32 on purpose
    torch.testing.assert_close(painted.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 7), (33, 20), (17, 64)])
def test_every_size_comes_back(size):
    net = painter()
    assert net(torch.rand(2, 3, *size), net.embeddings[1]).shape == (2, 3, *size)


def test_each_picture_of_a_batch_may_have_its_row():
    net, images = painter(), torch.cat([picture(20, 24, seed) for seed in (0, 1)])
    both = net(images, net.embeddings[[1, 2]])
    for index in (0, 1):
        alone = net(images[index : index + 1], net.embeddings[1 + index])
        torch.testing.assert_close(both[index : index + 1], alone, rtol=0, atol=1e-5)
    assert (both[0] - net(images, net.embeddings[2])[0]).abs().max() > 0.01


def test_shares_mix_rows_where_they_say():
    net, image = painter(), picture(32, 40)
    rows = net.embeddings[[1, 2]]
    even = torch.full((1, 2, 32, 40), 0.5)  # the same weights everywhere are a mixed style embedding
    torch.testing.assert_close(net(image, rows, even), net(image, rows.mean(0)), rtol=0, atol=1e-6)
    one = torch.zeros(1, 2, 32, 40)
    one[:, 0] = 3.0  # shares are divided by their sum
    torch.testing.assert_close(net(image, rows, one), net(image, rows[0]), rtol=0, atol=1e-6)
    # half and half: each side is nearer to its own style, though statistics are shared
    sides = torch.zeros(1, 2, 32, 40)
    sides[:, 0, :, :20], sides[:, 1, :, 20:] = 1, 1
    mixed = net(image, rows, sides)
    a, b = net(image, rows[0]), net(image, rows[1])
    assert (mixed - a)[..., :4].abs().mean() < (mixed - b)[..., :4].abs().mean()
    assert (mixed - b)[..., -4:].abs().mean() < (mixed - a)[..., -4:].abs().mean()


def test_gradients_reach_a_row_and_nothing_frozen():
    net = painter().requires_grad_(False)
    embedding = net.embeddings[1].clone().requires_grad_()
    net(picture(16, 20), embedding).square().mean().backward()
    assert embedding.grad.isfinite().all() and (embedding.grad != 0).float().mean() > 0.9


def test_a_flat_picture_stays_flat():
    """No frame, no checkerboard and no blobs, whatever the weights are."""
    for seed in (0, 1, 2):
        net = painter(12, 3, 8, seed=seed)
        for color in ((0.3, 0.6, 0.8), (0.0, 0.0, 0.0), (1.0, 0.5, 0.0)):
            flat = torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 45, 62)
            painted = net(flat, net.embeddings[1])
            assert (painted - painted[..., :1, :1]).abs().max() < 1e-5


def test_balance_is_what_keeps_the_grid_away():
    net, flat = painter(), torch.full((1, 3, 32, 32), 0.5)
    net.out.weight.data += torch.randn(net.out.weight.shape, generator=torch.Generator().manual_seed(1))

    def energy(painted):  # of what changes sign from pixel to pixel, and from pair to pair
        return max((painted[..., period:] - painted[..., :-period]).abs().max().item() for period in (1, 2))

    assert energy(net(flat, net.embeddings[1])) < 1e-5
    x = 0.5 * torch.ones(1, 6, 8, 8)
    raw, fair = (F.pixel_shuffle(F.conv2d(x, w), 2) for w in (net.out.weight, balanced(net.out.weight, 2)))
    assert energy(raw) > 0.1  # which is not so by itself
    assert energy(fair) < 1e-5
    torch.testing.assert_close(fair.mean((2, 3)), raw.mean((2, 3)))  # the mean is as it was
    torch.testing.assert_close(balanced(balanced(net.out.weight, 2), 2), balanced(net.out.weight, 2))


@pytest.mark.parametrize("along", [2, 3])
def test_stripes_stay_stripes(along):
    """Stripes of any width give stripes: no frame at their ends, no grid along them."""
    for width in (1, 3, 8):
        stripes = (torch.arange(64) // width % 2).float().view(1, 1, 1, 64).expand(1, 3, 64, 64)
        net = painter(12, 2, 8)
        painted = net(stripes if along == 2 else stripes.mT, net.embeddings[1])
        assert width == 1 or painted.std() > 0.01  # stripes of one pixel are flat in squares of four
        assert (painted - painted.narrow(along, 0, 1)).abs().max() < 1e-4


def test_enlarging_is_nearest_neighbors_and_a_convolution():
    random = torch.Generator().manual_seed(2)
    x, weight = (torch.randn(*shape, generator=random, dtype=torch.float64) for shape in ((2, 5, 6, 7), (3, 5, 3, 3)))
    expected = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
    made = F.pixel_shuffle(F.conv2d(x, enlarging(weight), padding=1), 2)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


def test_a_new_network_begins_without_a_grid():
    out = MultiStyleNetwork().out.weight.view(3, 4, -1)
    assert torch.equal(out, out[:, :1].expand_as(out))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"styles": ("a",)}, "the first 'identity'"),
        ({"styles": ("identity", "a", "a")}, "different"),
    ],
)
def test_impossible_networks_are_refused(settings, message):
    with pytest.raises(OptionError, match=message):
        MultiStyleNetwork(**settings)


def test_rows_and_shares_of_another_shape_are_refused():
    net, image = painter(), picture(16, 16)
    with pytest.raises(ImageError, match=r"expected \d+ values"):
        net(image, torch.zeros(7))
    with pytest.raises(ImageError, match=r"expected \(B, 2, H, W\)"):
        net(image, net.embeddings[:2], torch.ones(1, 3, 16, 16))
    with pytest.raises(ImageError, match="expected the picture's size"):
        net(image, net.embeddings[:2], torch.ones(1, 2, 16, 8))
