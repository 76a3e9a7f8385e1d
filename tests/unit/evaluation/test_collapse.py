"""The alarm for mode collapse: on a scripted collapse, and no false alarms."""

import json
import math

import pytest
import torch

from impasto.errors import OptionError
from impasto.evaluation.collapse import LIMITS, CollapseAlarm

EVEN = [100] * 10


def growing(top):
    """1000 samples, so many of class 3, the others even."""
    rest, more = divmod(1000 - top, 9)
    others = [rest + (index < more) for index in range(9)]
    return [*others[:3], top, *others[3:]]


def fed(alarm, histograms, **settings):
    """The steps at which it was raised, and how."""
    raised = [alarm.see_classes(100 * step, counts, **settings) for step, counts in enumerate(histograms)]
    return [(found.step, found.level, found.measure) for found in raised if found]


def test_it_is_raised_while_one_class_takes_over():
    alarm = CollapseAlarm()
    script = [100, 150, 250, 290, 340, 380, 450, 490, 560, 700, 900, 1000]
    assert fed(alarm, map(growing, script)) == [(500, "partial", "top fraction"), (900, "full", "top fraction")]
    assert alarm.level == "full"


def test_it_says_why():
    alarm = CollapseAlarm(patience=1)
    found = alarm.see_classes(3000, growing(620), confidence=0.93)
    assert found.text == ("the generator has collapsed: 62% of the samples are of class 3, expected 10%, at step 3000")
    assert (found.value, found.limit) == (pytest.approx(0.62), pytest.approx(0.5))
    assert json.loads(json.dumps(found.as_dict()))["level"] == "full"
    partial = CollapseAlarm(patience=1).see_classes(7, growing(362))
    assert partial.text.startswith("the generator begins to collapse (partial): 36% of the samples are of class 3")
    named = CollapseAlarm(patience=1, names=[*"abcdefghij"]).see_classes(7, growing(362))
    assert "36% of the samples are of class d, expected 10%" in named.text


def test_limits_of_ten_classes_by_hand():
    def level(counts):
        found = CollapseAlarm(patience=1).see_classes(0, counts)
        return found and (found.level, found.measure, pytest.approx(found.limit))

    assert level(growing(300)) is None
    assert level(growing(301)) == ("partial", "top fraction", 0.3)
    assert level(growing(501)) == ("full", "top fraction", 0.5)
    assert level([0] + [112] * 9) is None  # nine classes
    assert level([9, 9] + [123] * 8) == ("partial", "classes", 9)
    assert level([0] * 4 + [167] * 6) == ("full", "classes", 7)
    assert level([10] * 4 + [160] * 6) == ("partial", "kl", 0.11 * math.log(10))  # all are there, but hardly


def test_it_is_not_raised_for_chance():
    random = torch.Generator().manual_seed(0)
    alarm, shares = CollapseAlarm(), torch.full((10,), 0.1)
    for count in (200, 1000):
        draws = [torch.multinomial(shares, count, True, generator=random).bincount(minlength=10) for _ in range(300)]
        assert fed(alarm, draws) == []
    uneven = torch.tensor([0.5, *[0.5 / 9] * 9])
    draws = [torch.multinomial(uneven, 1000, True, generator=random).bincount(minlength=10) for _ in range(100)]
    assert fed(CollapseAlarm(expected=uneven), draws) == []
    assert fed(CollapseAlarm(), draws)[0][1] == "partial"  # were they expected to be even
    without = [0.0] + [1 / 9] * 9  # a class that should not be there is no collapse
    assert fed(CollapseAlarm(expected=without), [[20] + [108] * 9] * 3) == []
    found = CollapseAlarm(expected=uneven, patience=1).see_classes(0, [450, 20, 20, 400, 20, 20, 20, 20, 20, 10])
    assert found.measure == "top fraction" and "40% of the samples are of class 3, expected 6%" in found.text


def test_it_is_not_raised_for_one_bad_moment_nor_for_garbage():
    assert fed(CollapseAlarm(), [EVEN, growing(900), EVEN, growing(900), EVEN]) == []
    assert fed(CollapseAlarm(), [growing(900)] * 5, confidence=0.6) == []
    assert fed(CollapseAlarm(begin=300), [growing(900)] * 3 + [EVEN] * 3) == []
    assert fed(CollapseAlarm(begin=300), [growing(900)] * 6) == [(400, "full", "top fraction")]


def test_it_is_raised_again_after_the_collapse_ended():
    alarm = CollapseAlarm()
    assert fed(alarm, [growing(900)] * 6) == [(100, "full", "top fraction")]
    assert fed(alarm, [EVEN]) == [] and alarm.level is None
    assert fed(alarm, [growing(400)] * 3) == [(100, "partial", "top fraction")]
    assert fed(alarm, [growing(900)] * 3) == [(100, "full", "top fraction")]


def test_it_goes_on_where_it_was():
    script = list(map(growing, [100, 340, 380, 600, 700]))
    whole = fed(CollapseAlarm(), script)
    assert len(whole) == 2
    for cut in range(5):
        first, second = CollapseAlarm(), CollapseAlarm()
        before = fed(first, script[:cut])
        second.restore(first.state())
        raised = [second.see_classes(100 * step, script[step]) for step in range(cut, 5)]
        assert before + [(found.step, found.level, found.measure) for found in raised if found] == whole


def test_it_detects_features_that_shrink():
    alarm = CollapseAlarm()
    spreads = [20, 18, 16, 14.9, 14.8, 13, 11, 10, 5]
    raised = [found for step, spread in enumerate(spreads) if (found := alarm.see_spread(step, spread, 20))]
    assert [(found.step, found.level, found.measure) for found in raised] == [
        (4, "partial", "spread"),
        (7, "full", "spread"),
    ]
    assert raised[1].value == 0.5 and "50% of the spread of real images" in raised[1].text
    random = torch.Generator().manual_seed(0)
    noisy = CollapseAlarm()
    assert not any(noisy.see_spread(i, 20 + 2 * float(torch.randn((), generator=random)), 20) for i in range(200))
    broken = CollapseAlarm(patience=1).see_spread(0, math.nan, 20)  # features that are not numbers have no spread
    assert broken.level == "full"


def test_two_classes_and_a_thousand():
    """Half of the samples in one class are too many of ten, but not of two."""
    assert CollapseAlarm(2, patience=1).see_classes(0, [60, 40]) is None
    assert CollapseAlarm(2, patience=1).see_classes(0, [80, 20]).level == "full"
    many = torch.ones(1000) * 20
    assert CollapseAlarm(1000, patience=1).see_classes(0, many, 0.9) is None
    assert CollapseAlarm(1000, patience=1).see_classes(0, [20_000] + [0] * 999).level == "full"


def test_what_does_not_fit_is_refused():
    with pytest.raises(OptionError, match="199 samples of 10 classes; expected 10 classes, and 200 samples or more"):
        CollapseAlarm().see_classes(0, [19] + [20] * 9)
    with pytest.raises(OptionError, match="of 9 classes"):
        CollapseAlarm().see_classes(0, [100] * 9)
    with pytest.raises(OptionError, match="patience is 0"):
        CollapseAlarm(patience=0)
    with pytest.raises(OptionError, match="there are 3 fractions"):
        CollapseAlarm(expected=[0.5, 0.25, 0.25])
    with pytest.raises(OptionError, match="spread of real images is 0"):
        CollapseAlarm().see_spread(0, 1, 0)
    assert list(LIMITS) == ["partial", "full"]
