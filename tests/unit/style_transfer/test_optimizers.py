"""Our optimizers against torch's, and what torch's cannot do."""

import pytest
import torch

from impasto.style_transfer.optimizers import LBFGS, Adam

SHAPE = (1, 3, 6, 8)


def random(seed=0, shape=SHAPE):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CURVATURE = 0.2 + 5 * random(5)
GOAL = 0.3 + 0.4 * random(6)


def bowl(image):
    """A quadratic with its minimum at GOAL: loss and gradient."""
    return 0.5 * (CURVATURE * (image - GOAL).square()).sum().item(), CURVATURE * (image - GOAL)


def run(optimizer, image, steps, problem=bowl):
    for _ in range(steps):
        loss, gradient = problem(image)
        image = optimizer.step(image, gradient, loss)
    return image


def test_adam_takes_torchs_steps():
    reference = random().requires_grad_()
    theirs = torch.optim.Adam([reference], lr=0.01, betas=(0.9, 0.99))
    for _ in range(12):
        theirs.zero_grad()
        (0.5 * (CURVATURE * (reference - GOAL).square()).sum()).backward()
        theirs.step()
    ours = run(Adam(0.01, 0.9, 0.99), random(), 12)
    assert ((reference > 0) & (reference < 1)).all()  # or the clamp would make the difference
    assert torch.allclose(ours, reference.detach(), atol=1e-12)


def test_lbfgs_takes_torchs_steps():
    reference = random().requires_grad_()
    theirs = torch.optim.LBFGS([reference], lr=1, max_iter=1, history_size=5, tolerance_grad=0, tolerance_change=0)

    def closure():
        theirs.zero_grad()
        loss = 0.5 * (CURVATURE * (reference - GOAL).square()).sum()
        loss.backward()
        return loss

    for _ in range(12):
        theirs.step(closure)
    # torch's first step is g / |g|_1; ours is given by how far pixels move.
    gradient = bowl(random())[1]
    first = (gradient / gradient.abs().sum()).square().mean().sqrt().item()
    ours = run(LBFGS(1, history=5, first_move=first, longest_move=1e9), random(), 12)
    assert torch.allclose(ours, reference.detach(), rtol=1e-8, atol=1e-10)


def test_lbfgs_solves_a_badly_scaled_bowl_whatever_the_unit_of_the_loss():
    for unit in (1e-9, 1.0, 1e9):
        image = run(LBFGS(), random(), 60, lambda x, unit=unit: tuple(unit * part for part in bowl(x)))
        assert (image - GOAL).abs().max() < 1e-4, unit


def test_lbfgs_first_step_moves_pixels_by_what_it_says():
    moved = run(LBFGS(first_move=0.02), random(), 1) - random()
    assert moved.square().mean().sqrt().item() == pytest.approx(0.02)
    gradient = torch.full(SHAPE, 3.0, dtype=torch.float64)
    near = LBFGS(first_move=0.02).step(random(), gradient, 0.003) - random()
    assert near.square().mean().sqrt().item() == pytest.approx(0.003 / 3)  # the slope of 3 would reach 0 there
    assert torch.equal(LBFGS().step(random(), 0 * gradient, 0.0), random())


def test_lbfgs_takes_back_a_step_that_made_things_much_worse():
    optimizer, start = LBFGS(), random()
    loss, gradient = bowl(start)
    there = optimizer.step(start, gradient, loss)
    back = optimizer.step(there, torch.full(SHAPE, 1e3, dtype=torch.float64), float("nan"))
    assert (back - start).square().mean().sqrt().item() == pytest.approx(0.005)  # half the first move, from the start
    assert (run(optimizer, back, 60) - GOAL).abs().max() < 1e-4


@pytest.mark.parametrize("make", [Adam, LBFGS])
def test_saved_and_restored_goes_on_to_the_same_bits(make):
    unbroken = run(make(), random(), 9)
    first = make()
    half = run(first, random(), 4)
    second = make()
    second.restore({name: value.clone() for name, value in first.state().items()})
    assert torch.equal(run(second, half, 5), unbroken)


@pytest.mark.parametrize("make", [Adam, LBFGS])
def test_restoring_an_unused_optimizer(make):
    fresh = make()
    fresh.restore(make().state())
    assert torch.equal(run(fresh, random(), 3), run(make(), random(), 3))


def mean_problem(image):
    """A mean over pixels, as our losses are, with its gradient times the number of values."""
    goal = torch.linspace(0.2, 0.8, 3, dtype=torch.float64).view(1, 3, 1, 1)
    weights = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64).view(1, 3, 1, 1)
    difference = image - goal
    return (0.5 * weights * difference.square()).mean().item(), weights * difference


@pytest.mark.parametrize(("make", "steps"), [(Adam, 5), (LBFGS, 5)])
def test_resizing_an_optimizer_it_does_at_twice_the_size_what_it_would_have_done(make, steps):
    # Flat pictures, so that resizing them is exact.
    start = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)
    optimizer = make()
    image = run(optimizer, start, steps, mean_problem)
    large = make()
    large.restore({name: value.clone() for name, value in optimizer.state().items()})
    large.resize((16, 16))
    loss, gradient = mean_problem(image)
    expected = optimizer.step(image, gradient, loss)
    bigger = image.repeat(1, 1, 2, 2)
    loss, gradient = mean_problem(bigger)
    carried = large.step(bigger, gradient, loss) - expected.repeat(1, 1, 2, 2)
    # L-BFGS learns one pair more from the step at the old size; on this bowl that changes little.
    assert carried.abs().max() < (2e-2 if make is LBFGS else 1e-9)
    fresh = make().step(bigger, gradient, loss) - expected.repeat(1, 1, 2, 2)
    assert carried.abs().max() < 0.5 * fresh.abs().max()


def test_adam_stays_in_range():
    image = run(Adam(0.5), random(), 3, lambda x: (1.0, torch.full_like(x, -1.0)))
    assert image.max() <= 1
