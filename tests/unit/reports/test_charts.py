"""Curves, as SVG and as pixels: places of points and ticks by hand, and texts that stay texts."""

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from impasto.reports.charts import PALETTE, Bars, Cloud, Line, chart, clouds, label, log_ticks, safe, smoothed, ticks

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


# --- clouds --------------------------------------------------------------------------------------

INK = 0x22 / 255


def rgb(color):
    return np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def at(drawn, x, y):
    """The pixel at a place of a drawing that is twice as large."""
    return drawn[round(2 * y), round(2 * x)]


def test_points_of_a_cloud_lie_where_they_should():
    """Across from 0.6 to 11.4 in 420, from 64 on; up as far apart, but no less than 0.6 of that: 252 for 6.48."""
    drawn = clouds([Cloud("", [(1, 0.5), (11, 0.5), (11, 1.5), (11, 1.5)])], "x", "y")
    assert drawn.shape == (2 * (34 + 252 + 42), 2 * (64 + 420 + 16), 3)
    unit, blue = 420 / 10.8, rgb(PALETTE[0])
    once, twice = 1 - 0.62 * (1 - blue), 1 - (1 - 0.38**2) * (1 - blue)
    middle = 34 + 126 + 0.5 * unit  # where 0.5 is, as 1 is in the middle
    assert at(drawn, 64 + 0.4 * unit, middle + 1) == pytest.approx(once, abs=0.01)
    assert at(drawn, 64 + 10.4 * unit, middle + 1) == pytest.approx(once, abs=0.01)
    assert at(drawn, 64 + 10.4 * unit, middle - unit - 1) == pytest.approx(twice, abs=0.01)  # two on each other
    assert (at(drawn, 64 + 0.4 * unit, middle - unit) == 1).all()
    assert clouds([Cloud("", [(3, 3)])], "x", "y").shape == drawn.shape  # also of one point


def test_rings_are_around_nothing():
    """With a ring of 2, both axes go from -2.08 to 2.08, or as far as the points."""
    drawn = clouds([Cloud("", [(0, 0)])], "x", "y", rings=(1, 2))
    line = 1 - 0.5 * (1 - INK)
    for turn in (0.3, 2, 4):
        for radius in (1, 2):
            x, y = radius * np.cos(turn), radius * np.sin(turn)
            near = drawn[round(2 * (244 - 210 * y / 2.08)) + np.arange(-1, 2), round(2 * (274 + 210 * x / 2.08))]
            assert near.min() == pytest.approx(line, abs=0.1)
    assert at(drawn, 274 + 210 * 1.5 / 2.08, 244).min() > 0.8
    far = clouds([Cloud("", [(0.3, -5)])], "x", "y", rings=(1,))
    assert at(far, 274 + 210 * 0.3 / 5.2, 244 + 210 / 1.04) == pytest.approx(1 - 0.62 * (1 - rgb(PALETTE[0])), abs=0.01)
    flat = clouds([Cloud("a", [(0, 0)]), Cloud("b", [(1, 1)])], "x", "", rings=(2,), rows=True)
    assert flat.shape[0] == 2 * (12 + 120 + 42)  # 60 for each row
    left = 24 + 6 + 210  # the name takes 6
    assert at(flat, left + 210 / 1.04, 80) == pytest.approx(line, abs=0.1)
    assert at(flat, left, 12 + 30) == pytest.approx(1 - 0.62 * (1 - rgb(PALETTE[0])), abs=0.05)
    assert at(flat, left + 210 / 2.08, 12 + 90) == pytest.approx(1 - 0.62 * (1 - rgb(PALETTE[1])), abs=0.05)


def test_kinds_have_a_color_each_and_what_is_more_is_gray_and_behind():
    kinds = [Cloud(f"k{index}", [(index, 0), (index, 4), (index, 9)]) for index in range(10)]
    drawn = clouds([*kinds, Cloud("3 others", [(3, 9), (4.5, 4.5)])], "x", "y")
    for index, color in enumerate((*PALETTE, "#d4d7db")):
        assert at(drawn, 64 + 420 + 20, 34 + 20 * index + 10) == pytest.approx(rgb(color), abs=0.01)
    unit = 420 / (9 * 1.08)
    mixed = 0.62 * rgb(PALETTE[3]) + 0.38 * (1 - 0.62 * (1 - rgb("#d4d7db")))
    assert at(drawn, 64 + 3.36 * unit, 34 + 0.36 * unit + 1) == pytest.approx(mixed, abs=0.02)


def test_bars_are_as_long_as_they_say():
    """The longest is 120 long; after 20 of them the rest is summed up."""
    bars = Bars("nats", [str(index) for index in range(30)], [4.0, 1.0, *[0.5] * 28], [True, True, *[False] * 28])
    drawn = clouds([Cloud("", [(0, 0)])], "x", "y", rings=(1,), bars=bars)

    def length(row, color):
        return (np.abs(drawn[2 * (34 + 20 * row + 10), 2 * 500 :] - rgb(color)).max(1) < 0.02).sum() / 2

    assert length(0, PALETTE[0]) == pytest.approx(120, abs=1.5) and length(1, PALETTE[0]) == pytest.approx(30, abs=1.5)
    assert length(2, PALETTE[3]) == pytest.approx(15, abs=1.5) and length(19, PALETTE[3]) == pytest.approx(15, abs=1.5)
    assert length(20, PALETTE[3]) == 0 and drawn[2 * (34 + 400) : 2 * (34 + 420), 1000:].min() < 0.3  # and 10 more
    few = clouds([Cloud("", [(0, 0)])], "x", "y", rings=(1,), bars=Bars("nats", ["1"], [0.0], [False]))
    assert few.shape[0] == 992  # also of numbers that tell nothing


def test_names_that_would_stand_on_each_other_are_left_out():
    """Both kinds have their middle at 5, 5; the second one's name is only in the list."""
    near = [Cloud("WWWW", [(0, 0), (5, 5), (10, 10)]), Cloud("MM", [(0, 10), (5, 5), (10, 0)])]
    one, two = (clouds(kinds, "x", "y") for kinds in (near[:1], near))
    inside = slice(2 * 240, 2 * 249), slice(2 * 250, 2 * 298)
    assert (one[inside].max(2) < 0.3).sum() == pytest.approx((two[inside].max(2) < 0.3).sum(), rel=0.02)


def test_colors_differ_for_those_who_see_two_kinds_of_cones():
    """CIE Lab distances, as they are and as simulated by Machado, Oliveira & Fernandes 2009; a chart's own: 1.9."""
    two = {
        "all": np.eye(3),
        "no long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "no middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    }
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

    def lab(color, cones):
        linear = np.where(rgb(color) <= 0.04045, rgb(color) / 12.92, ((rgb(color) + 0.055) / 1.055) ** 2.4)
        x, y, z = np.cbrt(xyz @ np.clip(np.array(cones) @ linear, 0, 1) / (0.9505, 1, 1.089))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    assert len(set(PALETTE)) == 10
    for cones in two.values():
        for one, other in combinations((*PALETTE, "#ffffff"), 2):
            assert np.linalg.norm(lab(one, cones) - lab(other, cones)) > 16, (one, other)
