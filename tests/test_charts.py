"""Curves, as SVG and as pixels: places of points and ticks by hand, and texts that stay texts."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from impasto.charts import Line, chart, label, log_ticks, safe, smoothed, ticks

CURVE = re.compile(r"<polyline points='([^']*)'[^>]* stroke='(#\w+)'")  # axes have no color of their own


def points(drawn):
    """The places of each curve."""
    found = [places for places, _ in CURVE.findall(drawn.svg())]
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in found]


def texts(drawn):
    return [node.text for node in ElementTree.fromstring(drawn.svg()).iter() if node.tag.endswith("text")]


def test_points_lie_where_they_should():
    """The axes go from 64 to 624 and from 242 up to 34: 560 x 208; a loss from 0 to 10 begins at 0."""
    drawn = chart("loss", [Line("", [0, 50, 100], [10, 5, 1])])
    assert points(drawn) == [[(64, 34), (344, 138), (624, 221.2)]]  # 242 - 208 * 0.1
    assert texts(drawn) == ["loss", *("0", "2", "4", "6", "8", "10"), *("0", "20", "40", "60", "80", "100"), "step"]


def test_an_axis_that_stays_high_begins_at_the_lowest():
    drawn = chart("loss", [Line("", [1, 3], [60, 100])])
    assert points(drawn) == [[(64, 242), (624, 34)]]


def test_steep_losses_have_a_logarithmic_axis():
    """From 100 to 0.01 are four decades of 52 each."""
    lines = [Line("", [0, 1, 2], [100, 1, 0.01])]
    drawn = chart("loss", lines, steep=True)
    assert points(drawn) == [[(64, 34), (344, 138), (624, 242)]]
    assert texts(drawn)[1:6] == ["0.01", "0.1", "1", "10", "100"]
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
    drawn = chart("rate", [Line("first", [0, 1], [0, 1]), Line("second", [0, 1], [1, 0])])
    assert {"first", "second"} <= set(texts(drawn))
    assert len({color for _, color in CURVE.findall(drawn.svg())}) == 2
    ends = {words.text: words.x for words in drawn.words}
    assert ends["second"] == 624 - (8 * len("first") + 14) and ends["first"] == 624  # beside each other
    many = [Line(str(index), [0, 1], [0, index]) for index in range(8)]
    assert len(CURVE.findall(chart("rate", many).svg())) == 8  # more than there are colors


def test_the_axis_across_says_what_it_counts():
    assert texts(chart("a", [Line("", [0, 1], [0, 1])], across="epoch"))[-1] == "epoch"


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
    drawn = chart(hostile, [Line(hostile, [0, 1], [0, 1]), Line("b", [0, 1], [0, 1])])
    root = ElementTree.fromstring(drawn.svg())  # it is XML, and nothing was added to it
    assert not [node for node in root.iter() if "script" in node.tag]
    shown = "</text><script>alert('x')</script>  \"&"
    assert root.get("aria-label") == shown and texts(drawn)[0] == shown and shown in texts(drawn)[1:]
    assert safe("<'\">") == "&lt;&#x27;&quot;&gt;"
    assert drawn.pixels(1).shape == (280, 640, 3)


# --- as pixels -----------------------------------------------------------------------------------


def test_pixels_are_the_same_drawing():
    """The points of the first test, twice as large: a blue curve two units wide, on axes of dark gray."""
    drawn = chart("loss", [Line("", [0, 50, 100], [10, 5, 1])]).pixels()
    assert drawn.shape == (560, 1280, 3) and drawn.min() >= 0 and drawn.max() == 1
    blue, ink = (np.array(color) / 255 for color in ((0x3B, 0x82, 0xD6), (0x22, 0x22, 0x22)))
    for x, y in ((204, 86), (344, 138), (484, 179.6)):  # also in the middle between two points
        assert drawn[round(2 * y), 2 * x] == pytest.approx(blue, abs=0.01)
        assert drawn[round(2 * y) + 5, 2 * x] == pytest.approx(1, abs=0.01)
    assert drawn[300, 128] == pytest.approx(ink, abs=0.01)  # the axis up, at 64
    assert drawn[484, 700] == pytest.approx(ink, abs=0.01)  # the axis across, at 242
    grid = 1 - 0.15 * (1 - ink)
    assert drawn[round(2 * (242 - 208 * 0.2)), 1000] == pytest.approx(grid, abs=0.01)  # the line of 2
    assert drawn[:50, 128:200].min() < 0.2  # the title
    assert len(np.unique(drawn[:50, 128:200])) > 10  # whose letters have soft edges


def test_what_was_measured_is_faint_also_where_it_meets_itself():
    values = [0.0, 1.0] * 400  # so dense that the line covers everything
    drawn = chart("a", [Line("", range(800), values)]).pixels(1)
    blue = np.array((0x3B, 0x82, 0xD6)) / 255
    assert drawn[60:120, 200:500] == pytest.approx(np.broadcast_to(1 - 0.3 * (1 - blue), (60, 300, 3)), abs=0.16)
    assert drawn[60:120, 200:500].mean((0, 1)) == pytest.approx(1 - 0.3 * (1 - blue), abs=0.06)
