"""Warping, optical flow and synthetic motion, against slices, closed forms and motions that are known."""

import math

import pytest
import torch

from clips import photograph
from impasto.errors import ImageError
from impasto.ops.flow import inside, optical_flow, resize_flow, stabilize, synthetic_motion, visible, warp


def picture(name="coffee", height=120, width=160):
    return torch.from_numpy(photograph(height, width, name).copy()).permute(2, 0, 1)[None].float() / 255


def constant(x, y, height=120, width=160):
    """A flow that is the same everywhere."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def linear(matrix, height=120, width=160):
    """The flow of a linear map about the middle: (A - 1) (x - middle)."""
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    (a, b), (c, d) = matrix
    return torch.stack([(a - 1) * x + b * y, c * x + (d - 1) * y])[None]


def turned(degrees):
    angle = math.radians(degrees)
    return (math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))


# --- warp ----------------------------------------------------------------------------------------


def test_whole_pixels_are_a_slice():
    image = picture()
    moved = warp(image, constant(3, -2))
    torch.testing.assert_close(moved[..., 2:, :-3], image[..., :-2, 3:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., :2, :-3], image[..., :1, 3:].expand(-1, -1, 2, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(warp(image, constant(0, 0)), image, atol=1e-5, rtol=0)


def test_between_pixels_is_their_mean():
    image = torch.tensor([[0.0, 1.0, 4.0], [2.0, 3.0, 8.0]]).view(1, 1, 2, 3)
    # A quarter to the right and half down of 0, 1 / 2, 3: .5 (.75 * 0 + .25 * 1) + .5 (.75 * 2 + .25 * 3) = 1.25
    assert warp(image, constant(0.25, 0.5, 2, 3))[0, 0, 0, 0] == pytest.approx(1.25)


def test_gradients_flow_to_both():
    image = picture(height=6, width=7).double().requires_grad_()
    flow = (constant(0.3, -0.6, 6, 7) + 0.1).double().requires_grad_()
    assert torch.autograd.gradcheck(warp, (image, flow), atol=1e-4)


def test_one_flow_moves_a_batch_and_another_size_can_be_fetched():
    images = torch.cat([picture(), picture("cat")])
    both = warp(images, constant(2, 1))
    torch.testing.assert_close(both[1:], warp(images[1:], constant(2, 1)))
    part = warp(images, constant(5, 4, 10, 12))
    torch.testing.assert_close(part, images[..., 4:14, 5:17], atol=1e-5, rtol=0)


def test_inside_is_where_the_flow_stays():
    mask = inside(constant(3, -2, 10, 12))
    expected = torch.zeros(1, 1, 10, 12)
    expected[..., 2:, :-3] = 1
    assert torch.equal(mask, expected)


def test_a_resized_flow_moves_the_resized_picture_alike():
    flow = resize_flow(linear(((1.1, 0), (0, 1.1))), (240, 320))
    expected = linear(((1.1, 0), (0, 1.1)), 240, 320)
    assert (flow - expected)[..., 4:-4, 4:-4].abs().max() < 0.06  # pixels have their middles elsewhere
    assert torch.equal(resize_flow(constant(1, 2), (60, 320))[0, :, 5, 5], torch.tensor([2.0, 1.0]))


# --- optical flow --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coffee", "cat", "astronaut"])
@pytest.mark.parametrize(
    ("flow", "within"),
    [
        (constant(0.4, -0.3), 0.05),
        (constant(-5.3, 2.6), 0.1),
        (constant(14.5, -9.2), 0.1),
        (linear(turned(3)), 0.15),
        (linear(((1.05, 0), (0, 1.05))), 0.1),
        (linear(((0.93, 0), (0, 0.93))), 0.25),
    ],
    ids=["subpixel", "step", "leap", "turn", "zoom in", "zoom out"],
)
def test_known_motions_are_found_to_a_fraction_of_a_pixel(name, flow, within):
    other = picture(name)
    found = optical_flow(warp(other, flow), other)
    error = (found - flow).square().sum(1).sqrt()[:, 8:-8, 8:-8]
    error = error[inside(flow)[:, 0, 8:-8, 8:-8] > 0]
    assert error.mean() < within
    assert error.median() < within / 2


def test_the_past_is_fetched():
    flow = constant(4.5, 1.5)
    other = picture("cat")
    image = warp(other, flow)
    found = warp(other, optical_flow(image, other))
    assert (found - image)[..., 8:-8, 8:-8].abs().mean() < 0.1 * (other - image).abs().mean()


def test_nothing_moves_where_nothing_moved():
    image = picture()
    assert optical_flow(image, image).abs().max() < 1e-4
    flat = torch.full((1, 3, 40, 50), 0.5)
    assert optical_flow(flat, flat).abs().max() == 0


def test_flat_places_move_with_their_surroundings():
    image = picture("cat")
    image[..., 50:70, 70:90] = 0.5
    flow = constant(3, 0)
    found = optical_flow(warp(image, flow), image)[..., 55:65, 73:81]
    assert (found[:, 0] - 3).abs().max() < 0.3 and found[:, 1].abs().max() < 0.3


def test_odd_and_tiny_sizes():
    other = picture("cat", 75, 101)
    found = optical_flow(warp(other, constant(2.5, 1, 75, 101)), other)
    assert (found - constant(2.5, 1, 75, 101))[..., 8:-8, 8:-8].abs().mean() < 0.1
    assert optical_flow(torch.rand(2, 3, 3, 2), torch.rand(2, 3, 3, 2)).shape == (2, 2, 3, 2)


def test_what_is_no_pair_of_images_is_refused():
    with pytest.raises(ImageError, match=r"image has shape \(3, 8, 8\)"):
        optical_flow(torch.rand(3, 8, 8), torch.rand(1, 3, 8, 8))
    with pytest.raises(ImageError, match="expected equal shapes"):
        optical_flow(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9))


def test_what_was_hidden_is_not_visible():
    # A square moves 8 px to the right over a photograph: what it uncovers was hidden in the frame before.
    before, now = picture("coffee", 180, 240), picture("coffee", 180, 240)
    square = picture("cat", 80, 80)
    before[..., 50:130, 60:140] = square
    now[..., 50:130, 68:148] = square
    flow, back = optical_flow(now, before), optical_flow(before, now)
    assert (flow[0, 0, 70:110, 90:130] + 8).abs().mean() < 0.1
    mask = visible(flow, back)[0, 0]
    assert mask[58:122, 61:67].mean() < 0.4  # uncovered
    assert mask[58:122, 76:140].mean() > 0.9  # the square itself
    assert mask[:35].mean() > 0.95 and mask[145:].mean() > 0.95


def test_there_and_back_must_lead_home():
    flow = constant(2, 0, 10, 12)
    assert torch.equal(visible(flow, -flow), inside(flow))
    # |w + w'|² = (2 - 1.2)² = .64 > .01 (4 + 1.44) + .5 = .5544; with 1.3: .49 < .5569
    assert visible(flow, constant(-1.2, 0, 10, 12)).sum() == 0
    assert torch.equal(visible(flow, constant(-1.3, 0, 10, 12)), inside(flow))
    edge = constant(0, 0, 10, 12)
    edge[:, 0, :, 6:] = 1  # |∇u|² = 1/4 in columns 5 and 6
    assert visible(edge, -warp(edge, edge))[0, 0, 3].tolist()[4:8] == [1, 0, 0, 1]


# --- synthetic motion -----------------------------------------------------------------------------


def test_made_up_motion_is_what_it_says():
    image = picture("coffee", 256, 320)
    moved, flow, mask = synthetic_motion(image, torch.Generator().manual_seed(3))
    assert moved.shape == image.shape and flow.shape == (1, 2, 256, 320) and mask.shape == (1, 1, 256, 320)
    noise = moved - warp(image, flow)
    assert 0.001 <= noise.std() <= 0.002 and noise.mean().abs() < 1e-4
    assert torch.equal(mask, inside(flow)) and 0.5 < mask.mean() < 1
    steps = torch.cat([flow.diff(dim=-1).flatten(), flow.diff(dim=-2).flatten()]).abs()
    assert steps.max() < 1 and steps.mean() > 0.02  # smooth, but not constant
    again = synthetic_motion(image, torch.Generator().manual_seed(3))
    assert torch.equal(again[0], moved) and torch.equal(again[1], flow)


def test_sizes_of_made_up_motion():
    # A quadratic B-spline's weights squared add up to 1/64 + 36/64 + 1/64 = .59375 at the middle of a cell and to
    # 1/2 at its border; over a cell, with w = ((1-t)², 1+2t-2t², t²)/2: 1/20 + 9/20 + 1/20 = .55. In two
    # dimensions, .55²; so the wobble is 8 * .55 = 4.4, and the shift of ±10 adds 10/√3 = 5.77.
    images = torch.zeros(300, 3, 40, 40)
    chance = torch.Generator().manual_seed(0)
    _, flow, _ = synthetic_motion(images, chance, cell=20, shift=0, noise=0)
    assert flow.std() == pytest.approx(8 * 0.55, rel=0.05)
    _, flow, _ = synthetic_motion(images, chance, cell=20, wobble=0, noise=0)
    assert flow.std() == pytest.approx(10 / math.sqrt(3), rel=0.08) and flow.abs().max() <= 10
    assert flow[0].flatten(1).std(dim=1).max() < 1e-5  # the whole image
    assert (flow[0] - flow[1]).abs().max() > 0.1  # each its own
    _, flow, _ = synthetic_motion(images, chance, wobble=0, shift=0, noise=0)
    assert flow.abs().max() == 0


def test_a_network_can_learn_from_it():
    image = picture(height=64, width=64)
    weight = torch.tensor(0.5, requires_grad=True)
    moved, flow, mask = synthetic_motion(image, torch.Generator().manual_seed(0))
    loss = (mask * (weight * moved.square() - warp(weight * image.square(), flow)).abs()).mean()
    loss.backward()
    assert weight.grad is not None and weight.grad > 0


def test_stabilizing_takes_flicker_and_leaves_the_scene():
    random = torch.Generator().manual_seed(0)
    wide = picture("cat", 96, 200)
    scenes = [wide[..., 3 * i : 3 * i + 128].contiguous() for i in range(8)]
    painted = [scene + 0.08 * torch.randn(scene.shape, generator=random) for scene in scenes]
    steady, apart = painted[0], []
    for i in range(1, 8):
        flow, back = optical_flow(scenes[i], scenes[i - 1]), optical_flow(scenes[i - 1], scenes[i])
        steady = stabilize(steady, painted[i], flow, visible(flow, back))
        apart.append([float((image - scenes[i]).square().mean().sqrt()) for image in (painted[i], steady)])
    assert apart[-1][1] < 0.65 * apart[-1][0]  # nearer to what it would be without noise
    assert torch.equal(stabilize(steady, painted[1], flow, torch.zeros(1, 1, 96, 128)), painted[1])
    assert torch.equal(stabilize(steady, painted[1], flow, torch.ones(1, 1, 96, 128), 0.0), painted[1])
