"""The pyramid painter: what it computes, its identity, its drafts, and what it cannot do to flat pictures."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError
from impasto.networks import pyramid
from impasto.networks.pyramid import PyramidNetwork, smooth_enlarging
from impasto.ops.palette import palette_of
from nets import picture, random_weights


def painter(styles=("identity", "a", "b"), seed=0):
    net = random_weights(PyramidNetwork((12, 8, 8), (2, 1, 1), 6, styles=styles), seed)
    with torch.no_grad():
        net.embeddings[:, -1] = 0.0  # no transport of colors
    return net


def test_number_of_parameters_and_of_an_embedding():
    # per level: stem 16 inputs width 9, two width width 9 a block, fine width 24 9, out 24 3 9
    net = PyramidNetwork((96, 64, 40), (5, 4, 3), 24)
    weights = sum(
        9 * (16 * given * width + 2 * blocks * width * width + width * 24 + 24 * 3)
        for given, width, blocks in ((3, 96, 5), (6, 64, 4), (6, 40, 3))
    )
    size = sum(2 * (width * (2 * blocks + 1) + 24 + 3) + 1 for width, blocks in ((96, 5), (64, 4), (40, 3))) + 10
    assert net.embeddings.shape == (1, size)
    assert sum(parameter.numel() for parameter in net.parameters()) == weights + size


@pytest.mark.parametrize("size", [(6, 7), (1, 1), (2, 9)])
def test_smooth_enlarging_is_bilinear_upsampling_and_a_convolution(size):
    weight, image = torch.randn(5, 4, 3, 3).double(), torch.randn(1, 4, *size).double()
    image = F.pad(image, (3, 3, 3, 3))
    fast = F.pixel_shuffle(F.conv2d(image, smooth_enlarging(weight), padding=1), 2)
    slow = F.conv2d(F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False), weight, padding=1)
    torch.testing.assert_close(fast[..., 2:-2, 2:-2], slow[..., 2:-2, 2:-2])


def reference(net, image, embedding):
    """The network in torch's own parts, in float64."""
    height, width = image.shape[-2:]
    down, right = (-(side + 64) % 16 for side in (height, width))
    image = F.pad(image, (32, 32 + right, 32, 32 + down), mode="reflect")
    photographs = [F.avg_pool2d(image, 4), F.avg_pool2d(image, 2), image]
    at = 0

    def take(count):
        nonlocal at
        at += count
        return embedding[at - count : at]

    def double(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def conv(x, weight):
        return F.conv2d(F.pad(x, (weight.shape[-1] // 2,) * 4, mode="reflect"), weight)

    def conv_each(x, kernel):
        return torch.cat([conv(x[:, i : i + 1], kernel[None, None]) for i in range(3)], 1)

    def enlarged(x, weight):
        return F.conv2d(double(F.pad(x, (2, 2, 2, 2), mode="reflect")), weight)[..., 3:-3, 3:-3]

    def layer(x, weight, relu=True):
        x = conv(x, weight)
        gain, shift = take(x.shape[1]), take(x.shape[1])
        x = F.instance_norm(x, weight=gain, bias=shift, eps=1e-3)
        return torch.relu(x) if relu else x

    def scaled(x):
        gain, shift = take(x.shape[1]), take(x.shape[1])
        return x * gain.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)

    draft = torch.full_like(photographs[0], 0.5)
    for index, (level, photo) in enumerate(zip(net.levels, photographs, strict=True)):
        if index:
            draft, below = double(draft), double(photographs[index - 1])
            x = torch.cat([photo, draft], 1)
        else:
            below, x = torch.full_like(photo, 0.5), photo
        noise = torch.randn(256, 256, generator=torch.Generator().manual_seed(index)).repeat(2, 2)
        x = x + 0.08 * noise.double()[: photo.shape[-2], : photo.shape[-1]]
        x = layer(F.pixel_unshuffle(x, 4), level.stem.weight)
        for pair in level.blocks:
            x = x + layer(layer(x, pair[0].weight), pair[1].weight, relu=False)
        x = torch.relu(scaled(enlarged(x, level.fine.weight)))
        x = torch.tanh(scaled(enlarged(x, level.out.weight)))
        if index == 2:  # the last residual is blurred
            soft = torch.tensor([-0.0625, 0.25, 0.625, 0.25, -0.0625]).double()
            x = conv_each(x, soft[:, None] * soft)
        draft = draft + take(1) * (photo - below) + x
    return draft.clamp(0, 1)[..., 32 : 32 + height, 32 : 32 + width]


@pytest.mark.parametrize("needs_gradient", [True, False])
def test_it_is_what_the_docstring_says(needs_gradient):
    net = painter().double().requires_grad_(needs_gradient)
    image = picture(50, 60).double()
    with torch.set_grad_enabled(needs_gradient):
        painted = net(image, net.embeddings[1])
    expected = reference(net, image, net.embeddings[1])
    assert expected.std() > 0.01
    torch.testing.assert_close(painted.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 7), (33, 20), (17, 64)])
def test_every_size_comes_back_and_the_identity_is_the_photograph(size):
    net, image = painter(), torch.rand(2, 3, *size)
    with torch.no_grad():
        net.embeddings[0] = net.toward(net.embeddings[0], 0.0)  # random_weights changed it
    assert net(image, net.embeddings[1]).shape == (2, 3, *size)
    for embedding in (net.embeddings[0], net.toward(net.embeddings[1], 0.0)):
        torch.testing.assert_close(net(image, embedding), image, rtol=0, atol=1e-6)


@pytest.mark.parametrize("levels", [1, 2])
def test_few_levels_have_large_areas_too(levels):
    """Sides that are multiples of 8 but not of 16, with the palette of a style."""
    net = PyramidNetwork((8,) * levels, (1,) * levels, 4, styles=["identity", "one", "two"])
    painted = with_palettes(random_weights(net).requires_grad_(False))(picture(40, 52), net.embeddings[1])
    assert painted.shape == (1, 3, 40, 52) and painted.std() > 0.01


def test_strength_goes_from_the_photograph_to_the_style():
    net, image = painter(), picture(40, 52)
    embedding = net.embeddings[1]
    assert torch.equal(net.toward(embedding, 1.0), embedding)
    distances = [(net(image, net.toward(embedding, s)) - image).square().mean().item() for s in (0, 0.25, 0.5, 1)]
    assert distances == sorted(distances) and distances[-1] > 1e-4


def test_drafts_are_those_of_the_pyramid():
    net, images = painter(), torch.cat([picture(48, 64, seed) for seed in (0, 1)])
    drafts = net.drafts(images, net.embeddings[[1, 2]])
    assert [tuple(draft.shape[-2:]) for draft in drafts] == [(12, 16), (24, 32), (48, 64)]
    sum(draft.square().mean() for draft in drafts).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters())
    assert (net.embeddings.grad[1:, :-10] != 0).float().mean() > 0.9 and not net.embeddings.grad[0].any()


def test_shares_mix_embeddings_where_they_say():
    net, image = painter(), picture(48, 64)
    both = net.embeddings[[1, 2]]
    even = torch.full((1, 2, 48, 64), 0.5)  # the same weights everywhere are a mixed style embedding
    torch.testing.assert_close(net(image, both, even), net(image, both.mean(0)), rtol=0, atol=1e-4)
    kept = torch.zeros(1, 2, 48, 64)
    kept[:, 0], kept[:, 1, :, 40:] = 1, 0
    kept[:, 0, :, 40:], kept[:, 1, :, 40:] = 0, 1
    mixed = net(image, torch.stack([net.toward(both[0], 0.0), both[1]]), kept)
    torch.testing.assert_close(mixed[..., :24], image[..., :24], rtol=0, atol=1e-5)  # the identity's part
    assert (mixed - image)[..., 44:].abs().mean() > 0.01


@pytest.mark.parametrize("color", [(0.2, 0.5, 0.9), (0.0, 0.0, 0.0)])
def test_without_noise_a_flat_picture_stays_flat(color, monkeypatch):
    flat = torch.tensor(color).double().view(1, 3, 1, 1).expand(1, 3, 64, 80)
    net = painter().double()
    monkeypatch.setattr(pyramid, "_GRAIN", 0.0)
    painted = net(flat, net.embeddings[1])
    assert (painted - painted.mean((2, 3), keepdim=True)).abs().max() < 1e-4  # no checkerboard artifacts


@pytest.mark.parametrize("settings", [{"widths": ()}, {"widths": (8,)}, {"fine": 0}, {"styles": ("a",)}])
def test_impossible_networks_are_refused(settings):
    with pytest.raises(OptionError, match="expected"):
        PyramidNetwork(**settings)


def test_wrong_embeddings_and_shares_are_refused():
    net, image = painter(), picture(16, 20)
    with pytest.raises(ImageError, match="expected"):
        net(image, torch.zeros(5))
    with pytest.raises(ImageError, match="size"):
        net(image, net.embeddings[:2], torch.ones(1, 2, 8, 8))


def with_palettes(net):
    with torch.no_grad():
        for index in (1, 2):
            net.embeddings[index] = net.with_palette(net.embeddings[index], palette_style(index))
        net.embeddings[1:, -1] = 1.0
    return net


def palette_style(index):
    return picture(40, 40, 10 + index) * 0.6 + 0.2


def areas(image):
    """Return the means of squares of 16 px, or of what is left of them: the large color areas."""
    return F.avg_pool2d(image, 16, ceil_mode=True, count_include_pad=False)


def test_large_areas_have_the_palette_of_their_style():
    plain, net, image = painter(), with_palettes(painter()), picture(48, 64)

    def distances(pick, wanted):
        found = [palette_of(areas(some(image, pick(some.embeddings)))) for some in (plain, net)]
        return [(palette - wanted).abs().max() for palette in found]

    wanted = [palette_of(areas(palette_style(index))) for index in (1, 2)]
    for index in (1, 2):  # a clamp of the moved colors leaves a little
        before, after = distances(lambda rows, index=index: rows[index], wanted[index - 1])
        assert after < 0.3 * before
    before, after = distances(lambda rows: rows[[1, 2]].mean(0), (wanted[0] + wanted[1]) / 2)
    assert after < 0.3 * before
    half = net(picture(48, 64), net.toward(net.embeddings[1], 0.0))
    torch.testing.assert_close(half, picture(48, 64), rtol=0, atol=1e-6)


def test_a_region_of_the_identity_keeps_its_colors():
    net, image = with_palettes(painter()), picture(48, 64)
    both = torch.stack([net.toward(net.embeddings[1], 0.0), net.embeddings[2]])
    shares = torch.zeros(1, 2, 48, 64)
    shares[:, 0, :, :32], shares[:, 1, :, 32:] = 1, 1
    painted = net(image, both, shares)
    torch.testing.assert_close(painted[..., :16], image[..., :16], rtol=0, atol=1e-5)
    own = palette_of(areas(painted[..., 32:])) - palette_of(areas(palette_style(2)))
    assert own.abs().max() < 0.1


def test_noise_is_new_in_training_and_else_the_same():
    net, image = painter(), picture(48, 64)
    assert torch.equal(net(image, net.embeddings[1]), net(image, net.embeddings[1]))
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert net(flat, net.embeddings[1]).std() > 0.01  # strokes where the photograph is flat
    net.train()
    assert not torch.equal(net.drafts(image, net.embeddings[1])[0], net.drafts(image, net.embeddings[1])[0])
