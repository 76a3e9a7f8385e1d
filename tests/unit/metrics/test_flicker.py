"""The flicker figure, on clips whose flicker is known."""

import json
import math

import pytest
import torch

from clips import pan
from impasto.errors import OptionError
from impasto.metrics.flicker import Flicker, FlickerMeter, flicker


def clip(count=6, step=3, name="cat"):
    return [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in pan(count, 96, 128, step, name)]


def noisy(frames, amount, seed=0):
    random = torch.Generator().manual_seed(seed)
    return [frame + amount * torch.randn(frame.shape, generator=random) for frame in frames]


def test_a_still_of_alternating_shades_flickers_by_their_difference():
    still = [clip(1)[0]] * 6
    painted = [torch.full((1, 3, 96, 128), 0.4 + 0.1 * (i % 2)) for i in range(6)]
    found = flicker(still, painted)
    assert found.painted == pytest.approx(0.1, rel=1e-4)
    assert found.source == pytest.approx(0, abs=1e-6)
    assert found.followed == pytest.approx(1) and (found.pairs, found.cuts) == (5, 0)


def test_what_cannot_be_followed_does_not_count():
    still, random = clip(1)[0], torch.Generator().manual_seed(0)
    source = [still.clone() for _ in range(4)]
    for frame in source:
        frame[..., 20:70, 30:100] = torch.rand(1, 3, 50, 70, generator=random)  # new in every frame
    found = flicker(source, [torch.full((1, 3, 96, 128), 0.4 + 0.1 * (i % 2)) for i in range(4)])
    assert found.followed < 0.85
    assert found.painted == pytest.approx(0.1, rel=1e-4)


def test_what_moves_along_does_not_flicker():
    source = clip()
    found = flicker(source, [1 - frame for frame in source])
    assert found.painted == pytest.approx(found.source, rel=1e-4)  # the mirror image of the source's own
    assert found.source < 0.015 < 0.05 < float((source[0] - source[1]).square().mean().sqrt())
    fixed = flicker(source, [source[0]] * 6)  # a pattern that stays on the screen while the scene moves
    assert fixed.painted > 5 * found.painted


def test_noise_is_measured():
    # Fresh noise of 0.1 in both frames, one of them fetched between four pixels: at a whole shift its variance is
    # kept, so the difference has √2 * 0.1; half way between pixels a quarter of it is left: √1.25 * 0.1.
    source = clip(step=4)
    found = flicker(source, noisy(source, 0.1))
    assert 0.1 * math.sqrt(1.25) < found.painted < 0.1 * math.sqrt(2.05)
    less = flicker(source, noisy(source, 0.05))
    assert less.painted == pytest.approx(found.painted / 2, rel=0.05)


def test_it_is_measured_at_the_size_of_the_painting():
    source = clip()
    large = [torch.nn.functional.interpolate(frame, scale_factor=2, mode="bilinear") for frame in source]
    found = flicker(source, noisy(large, 0.1), size=64)
    assert 0.1 * math.sqrt(1.25) < found.painted < 0.1 * math.sqrt(2.1)


def test_cuts_are_left_out():
    source = clip(3, name="cat") + clip(3, name="coffee")
    found = flicker(source, source)
    assert (found.pairs, found.cuts) == (4, 1)
    assert found.painted < 0.02


def test_some_of_the_pairs_do():
    source, painted = clip(9), noisy(clip(9), 0.1)
    every, some = flicker(source, painted), flicker(source, painted, every=4)
    assert (every.pairs, some.pairs) == (8, 2)  # of frames 0 and 1, 4 and 5; 8 has no next
    assert some.painted == pytest.approx(every.painted, rel=0.05)
    pairs = [0, 1, 4, 5]
    meter = FlickerMeter(every=2)
    for i in pairs:
        meter.add(source[i], painted[i])
    assert meter.result() == some


def test_nothing_to_compare():
    assert FlickerMeter().result() == Flicker(0, 0, 0, 0, 0)
    found = flicker(clip(1), clip(1))
    assert found.pairs == 0 and json.loads(json.dumps(found.as_dict()))["painted"] == 0
    with pytest.raises(OptionError, match="size is 8 and every is 1; expected 32 or more"):
        FlickerMeter(size=8)
    with pytest.raises(ValueError):
        flicker(clip(2), clip(1))
