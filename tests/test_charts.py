"""Curves as SVG: places of points and ticks by hand, and texts that stay texts."""

import re
from xml.etree import ElementTree

import pytest

from impasto.charts import Line, chart, label, log_ticks, safe, smoothed, ticks


def points(svg):
    """The places of each polyline."""
    found = re.findall(r"points='([^']*)'", svg)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in found]


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]


def test_points_lie_where_they_should():
    """The axes go from 64 to 624 and from 242 up to 34: 560 x 208; a loss from 0 to 10 begins at 0."""
    svg = chart("loss", [Line("", [0, 50, 100], [10, 5, 1])])
    assert points(svg) == [[(64, 34), (344, 138), (624, 221.2)]]  # 242 - 208 * 0.1
    assert texts(svg) == ["loss", *("0", "2", "4", "6", "8", "10"), *("0", "20", "40", "60", "80", "100"), "step"]


def test_an_axis_that_stays_high_begins_at_the_lowest():
    svg = chart("loss", [Line("", [1, 3], [60, 100])])
    assert points(svg) == [[(64, 242), (624, 34)]]


def test_steep_losses_have_a_logarithmic_axis():
    """From 100 to 0.01 are four decades of 52 each."""
    lines = [Line("", [0, 1, 2], [100, 1, 0.01])]
    svg = chart("loss", lines, steep=True)
    assert points(svg) == [[(64, 34), (344, 138), (624, 242)]]
    assert texts(svg)[1:6] == ["0.01", "0.1", "1", "10", "100"]
    assert points(chart("loss", lines))[0][1] == (344, 239.9)  # 242 - 208 / 100
    assert points(chart("a", [Line("", [0, 1], [0, 100])], steep=True)) == [[(64, 242), (624, 34)]]  # 0 has none
    assert points(chart("loss", [Line("", [0, 1], [-1, 100])], steep=True))[0] == [(64, 242), (624, 34)]


def test_one_point_and_equal_points_have_a_place():
    assert points(chart("a", [Line("", [7], [3.0])])) == [[(64, 138)]]  # in the middle of 1.5 to 4.5
    assert points(chart("a", [Line("", [0, 8], [0.0, 0.0])])) == [[(64, 138), (624, 138)]]


def test_an_outlier_is_cut_off_and_makes_no_room():
    """A hundred and one points at 1, one of them at 1000; the smoothed line is higher around it."""
    values = [1.0] * 201
    values[100] = 1000.0
    raw, smooth = points(chart("a", [Line("", range(201), values)]))
    assert raw[100][1] == smooth[100][1] == 34  # (10 + 1000) / 11 is the most that room is made for
    assert raw[0][1] == 242 - round(208 * 11 / 1010, 1)


def test_lines_that_differ_have_names_and_colors():
    svg = chart("rate", [Line("first", [0, 1], [0, 1]), Line("second", [0, 1], [1, 0])])
    assert {"first", "second"} <= set(texts(svg))
    assert len(set(re.findall(r"<polyline.*?stroke='(#\w+)'", svg))) == 2


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.013, 0.094, [0.02, 0.04, 0.06, 0.08]),  # 0.0162 becomes 0.02
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (1, 1875, [500, 1000, 1500]),
        (3, 3.4, [3, 3.1, 3.2, 3.3, 3.4]),
    ],
)
def test_ticks_by_hand(low, high, wanted):
    assert ticks(low, high) == wanted


def test_ticks_of_logarithms_by_hand():
    assert log_ticks(0.02, 300) == [0.1, 1, 10, 100]
    assert log_ticks(3, 30) == [5, 10, 20]
    assert len(log_ticks(1e-20, 1e20)) < 12


def test_numbers_as_axes_have_them():
    assert [label(value) for value in (0, 2000.0, 0.0123456, -3, 1e9)] == ["0", "2,000", "0.0123", "-3", "1e+09"]


def test_smoothing_by_hand():
    """Of 80 numbers, two on either side; one at the last place but one, none at the ends."""
    found = smoothed([*range(78), 100, 0])
    assert found[:3] == [0, 1, 2] and found[40] == 40
    assert found[76] == pytest.approx((74 + 75 + 76 + 77 + 100) / 5)
    assert found[78] == pytest.approx((77 + 100 + 0) / 3) and found[79] == 0
    assert smoothed([3, 9, 1]) == [3, 9, 1]


def test_many_points_are_thinned_and_extremes_stay():
    values = [0.0] * 50_000
    values[33_333], values[44_444] = 5.0, -3.0
    raw, _ = points(chart("a", [Line("", range(50_000), values)]))
    assert len(raw) < 900
    place = [x for x, y in raw if y == min(y for _, y in raw)]
    assert place == [pytest.approx(64 + 560 * 33_333 / 49_999, abs=0.06)]
    assert max(y for _, y in raw) == 242


def test_texts_stay_texts():
    hostile = "</text><script>alert('x')</script>\x00\ud800\"&"
    svg = chart(hostile, [Line(hostile, [0, 1], [0, 1]), Line("b", [0, 1], [0, 1])], alone=True)
    root = ElementTree.fromstring(svg)  # it is XML, and nothing was added to it
    assert not [node for node in root.iter() if "script" in node.tag]
    shown = "</text><script>alert('x')</script>  \"&"
    assert root.get("aria-label") == shown and texts(svg)[0] == shown and shown in texts(svg)[1:]
    assert safe("<'\">") == "&lt;&#x27;&quot;&gt;"
