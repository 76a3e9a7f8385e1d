"""Charts: what matplotlib is told, by hand, what it draws, and texts that stay texts."""

import subprocess
import sys
from itertools import combinations
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from impasto.errors import MissingExtra
from impasto.reports.charts import PALETTE, Bars, Chart, Cloud, Line, clouds, label, smoothed

HOSTILE = "</text><script>alert('x')</script>\x00\ud800\"& $x_$ $\\frac$"
SHOWN = "</text><script>alert('x')</script>  \"& $x_$ $\\frac$"  # blanks for what cannot be printed


def axes(chart):
    (found,) = chart.figure().axes
    return found


def texts(chart):
    return [node.text for node in ElementTree.fromstring(chart.svg()).iter() if node.tag.endswith("}text")]


def rgb(color):
    return np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255


# --- curves --------------------------------------------------------------------------------------


def test_a_curve_begins_at_zero_if_it_comes_near():
    drawn = axes(Chart("loss", [Line("", [0, 50, 100], [10, 5, 1])]))
    assert drawn.get_xlim() == (0, 100) and drawn.get_ylim() == (0, 10) and drawn.get_yscale() == "linear"
    (curve,) = drawn.get_lines()
    assert curve.get_xydata().tolist() == [[0, 10], [50, 5], [100, 1]]
    assert axes(Chart("loss", [Line("", [1, 3], [60, 100])])).get_ylim() == (60, 100)


def test_axes_are_labeled():
    drawn = Chart("loss", [Line("", [0, 50, 100], [10, 5, 1])], across="epoch")
    assert set(texts(drawn)) == {"loss", "epoch", *("0", "2", "4", "6", "8", "10"), *("20", "40", "60", "80", "100")}


def test_steep_losses_have_a_logarithmic_axis():
    lines = [Line("", [0, 1, 2], [100, 1, 0.01])]
    steep = Chart("loss", lines, steep=True)
    assert axes(steep).get_yscale() == "log" and axes(steep).get_ylim() == pytest.approx((0.01, 100))
    assert {"0.01", "0.1", "1", "10", "100"} <= set(texts(steep))
    short = texts(Chart("loss", [Line("", [0, 1], [3, 100])], steep=True))
    assert {"5", "10", "20", "50", "100"} <= set(short)  # of less than three decades more than powers of ten
    assert axes(Chart("loss", lines)).get_yscale() == "linear"
    assert axes(Chart("a", [Line("", [0, 1], [0, 100])], steep=True)).get_yscale() == "linear"  # 0 has no logarithm
    assert axes(Chart("loss", [Line("", [0, 1], [-1, 100])], steep=True)).get_ylim() == (-1, 100)


def test_one_point_and_equal_points_have_a_place():
    one = axes(Chart("a", [Line("", [7], [3.0])]))
    assert one.get_ylim() == (1.5, 4.5) and one.get_lines()[0].get_marker() == "o"
    assert axes(Chart("a", [Line("", [0, 8], [0.0, 0.0])])).get_ylim() == (-1, 1)


def test_an_outlier_is_cut_off():
    """Of 201 points at 1, one is 1000; the axis ends at the moving average around it, (10 + 1000) / 11."""
    values = [1.0] * 201
    values[100] = 1000.0
    drawn = axes(Chart("a", [Line("", range(201), values)]))
    raw, average = drawn.get_lines()
    assert drawn.get_ylim() == (0, pytest.approx(1010 / 11))
    assert raw.get_ydata()[100] == 1000 and average.get_ydata()[100] == pytest.approx(1010 / 11)
    assert raw.get_alpha() == 0.3 and average.get_alpha() is None


def test_several_curves_have_names_and_colors():
    names = ["_first", "second", *map(str, range(6))]  # more than there are colors
    drawn = Chart("rate", [Line(name, [0, 1], [0, index]) for index, name in enumerate(names)])
    assert [text.get_text() for text in axes(drawn).get_legend().get_texts()] == names
    lines = axes(drawn).get_lines()
    assert len(lines) == 8 and len({line.get_color() for line in lines[:6]}) == 6
    assert axes(Chart("rate", [Line("alone", [0, 1], [0, 1])])).get_legend() is None


def test_numbers_as_axes_have_them():
    assert [label(value) for value in (0, 2000.0, 0.0123456, -3, 1e9)] == ["0", "2,000", "0.0123", "-3", "1e+09"]


def test_smoothing_by_hand():
    """Of 80 positions, two on either side; one at the last position but one, none at the ends."""
    found = smoothed([*range(78), 100, 0])
    assert found[:3] == [0, 1, 2] and found[40] == 40
    assert found[76] == pytest.approx((74 + 75 + 76 + 77 + 100) / 5)
    assert found[78] == pytest.approx((77 + 100 + 0) / 3) and found[79] == 0
    assert smoothed([3, 9, 1]) == [3, 9, 1]


def test_many_points_are_thinned_and_extremes_stay():
    values = [0.0] * 50_000
    values[33_333], values[44_444] = 5.0, -3.0
    chart = Chart("a", [Line("", range(50_000), values)])
    raw = axes(chart).get_lines()[0].get_xydata().tolist()
    assert len(raw) < 600 and [33_333, 5] in raw and [44_444, -3] in raw
    noise = Chart("a", [Line("", range(50_000), np.random.default_rng(0).random(50_000).tolist())])
    assert len(noise.svg()) < 40_000


def test_texts_stay_texts():
    """Names are neither markup nor mathematics, which would fail here."""
    chart = Chart(HOSTILE, [Line(HOSTILE, [0, 1], [0, 1]), Line("b", [0, 1], [0, 1])], across=HOSTILE)
    root = ElementTree.fromstring(chart.svg())  # it is XML, and nothing was added to it
    assert not [node for node in root.iter() if "script" in node.tag]
    assert texts(chart).count(SHOWN) == 3
    assert chart.pixels(1).shape == (280, 640, 3)
    points = [(0.0, 0.0), (1.0, 1.0)]
    for rows in (False, True):
        bars = Bars(HOSTILE, [HOSTILE], [1.0], [True])
        assert clouds([Cloud(HOSTILE, points)], HOSTILE, HOSTILE, rows=rows, bars=bars).ndim == 3


def test_letters_that_the_font_lacks_are_no_warning():
    chart = Chart("損失", [Line("", [0, 1], [0, 1])])
    assert "損失" in texts(chart) and chart.pixels(1).min() < 0.5


def test_the_same_chart_gives_the_same_bytes_whatever_matplotlib_is_set_to():
    chart = Chart("loss $", [Line("a", [0, 50, 100], [10, 5, 1]), Line("b", [0, 1], [1, 2])])
    first, pixels = chart.svg(), chart.pixels()
    with matplotlib.rc_context({"text.usetex": True, "axes.grid": True, "font.size": 30, "svg.hashsalt": None}):
        assert chart.svg() == first and np.array_equal(chart.pixels(), pixels)
        assert matplotlib.rcParams["font.size"] == 30  # which stays as it was
    assert "<metadata>" not in first  # no date


def test_pixels_are_dark_on_white():
    drawn = Chart("loss", [Line("", [0, 50, 100], [10, 5, 1])]).pixels()
    assert drawn.shape == (560, 1280, 3) and drawn.dtype == np.float32 and drawn.max() == 1
    assert (drawn[[0, -1]] == 1).all() and drawn[:60, :200].min() < 0.2  # the title
    assert (np.abs(drawn - rgb("#3b82d6")).max(2) < 0.02).sum() > 2000  # the curve


# --- scatter plots -------------------------------------------------------------------------------


def count(drawn, color):
    return (np.abs(drawn - rgb(color)).max(2) < 0.02).sum()


def test_points_have_equal_units_on_both_axes():
    """One point is 10 to the right of two points, another 5 above them."""
    drawn = clouds([Cloud("", [(0, 0), (0, 0), (10, 0), (0, 5)])], "x", "y")
    once, twice = 1 - 0.62 * (1 - rgb(PALETTE[0])), 1 - (1 - 0.38**2) * (1 - rgb(PALETTE[0]))
    single, double = (np.argwhere(np.abs(drawn - color).max(2) < 0.02) for color in (once, twice))
    row, column = double.mean(0)
    right, above = single[single[:, 1] > column + 50].mean(0), single[single[:, 0] < row - 50].mean(0)
    assert right[1] - column == pytest.approx(2 * (row - above[0]), abs=3) and right[1] - column > 500
    assert right[0] == pytest.approx(row, abs=1) and above[1] == pytest.approx(column, abs=1)


def frame(drawn):
    """Left, right, top and bottom of the frame around points, in pixels."""
    dark = drawn.max(2) < 0.8
    columns, rows = (np.flatnonzero(dark.mean(axis) > 0.6) for axis in (0, 1))
    return columns[0], columns[-1], rows[0], rows[-1]


def test_rings_are_circles_around_the_origin_over_the_points():
    """With a ring of 2, both axes go from -2.08 to 2.08; or as far as the points."""

    def near(drawn, reach, x, y):
        left, right, top, bottom = frame(drawn)
        column, row = (left + right + x / reach * (right - left)) / 2, (top + bottom - y / reach * (bottom - top)) / 2
        return drawn[round(row) - 2 : round(row) + 3, round(column) - 2 : round(column) + 3]

    drawn = clouds([Cloud("", [(0, 0)] * 3)], "x", "y", rings=(1, 2))
    for turn in (0.3, 2, 4):
        for radius, line in ((1, True), (1.5, False), (2, True)):
            assert (near(drawn, 2.08, radius * np.cos(turn), radius * np.sin(turn)).min() < 0.75) == line
    far = clouds([Cloud("", [(0.3, -5)])], "x", "y", rings=(1,))
    assert near(far, 5.2, 0.3, -5)[2, 2] == pytest.approx(1 - 0.62 * (1 - rgb(PALETTE[0])), abs=0.02)
    hidden = clouds([Cloud("", [(1, 0)] * 9)], "x", "y", rings=(1, 2))
    assert near(hidden, 2.08, 1, 0).min() < rgb(PALETTE[0]).min() - 0.05  # the ring is over the points
    rows = clouds([Cloud("a", [(0, 0)]), Cloud("b", [(1, 1)])], "x", "", rings=(2,), rows=True)
    assert near(rows, 2.08, 2, 0.9).min() < 0.75 and near(rows, 2.08, 2, -0.9).min() < 0.75  # a line
    assert near(rows, 2.08, 1, -1.04)[2, 2] == pytest.approx(1 - 0.62 * (1 - rgb(PALETTE[1])), abs=0.05)


def test_each_class_has_a_color_and_those_beyond_the_palette_are_gray():
    classes = [Cloud(f"k{index}", [(index, 0), (index, 4), (index, 9)]) for index in range(10)]
    drawn = clouds([*classes, Cloud("3 others", [(3, 9), (4.5, 4.5)])], "x", "y")
    assert all(count(drawn, color) > 200 for color in (*PALETTE, "#d4d7db"))  # the legend
    mixed = [(1 - 0.62 * (1 - rgb(color))) for color in (*PALETTE, "#d4d7db")]
    assert all((np.abs(drawn - color).max(2) < 0.012).sum() > 30 for color in mixed)
    over = 0.62 * rgb(PALETTE[3]) + 0.38 * (1 - 0.62 * (1 - rgb("#d4d7db")))  # the gray point is below
    assert (np.abs(drawn - over).max(2) < 0.012).sum() > 20


def test_bars_are_as_long_as_their_values():
    """Twenty of thirty bars are shown, and the last row sums up the rest."""
    values = [4.0, 1.0, *[0.5] * 28]
    bars = Bars("nats", [str(index) for index in range(30)], values, [True, True, *[False] * 28])
    drawn = clouds([Cloud("", [(0, 0)])], "x", "y", rings=(1,), bars=bars)

    def lengths(color):
        runs = (np.abs(drawn - rgb(color)).max(2) < 0.02).sum(1)
        starts = np.flatnonzero((runs[1:] > 20) & (runs[:-1] <= 20)) + 1
        return [runs[start + 4] for start in starts]

    (first, second), rest = lengths(PALETTE[0]), lengths(PALETTE[3])
    assert first == pytest.approx(4 * second, abs=4) and len(rest) == 18
    assert rest == pytest.approx([first / 8] * 18, abs=2)
    few = clouds([Cloud("", [(0, 0)])], "x", "y", rings=(1,), bars=Bars("nats", ["1"], [0.0], [False]))
    assert few.shape[0] == drawn.shape[0]  # also of a value of 0


def test_names_that_would_stand_on_each_other_are_left_out():
    """The medians of both classes are so near that the second name is only in the legend, which lies farther right."""
    near = [Cloud("WWWW", [(0, 0), (5, 5), (10, 10)]), Cloud("MMMM", [(0, 10), (5, 5.2), (10, 0)])]
    far = [near[0], Cloud("MMMM", [(0, 10), (5, 9), (10, 0)])]

    def ink(classes):
        return (clouds(classes, "x", "y")[:-90, 60:800].max(2) < 0.2).sum()

    assert ink(near) == pytest.approx(ink(near[:1]), rel=0.02) and ink(far) > 1.5 * ink(near)


def test_colors_differ_for_those_who_see_two_kinds_of_cones():
    """CIE Lab distances, also with the color vision deficiencies of Machado et al. 2009; a chart's own: 1.9."""
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


# --- where matplotlib is missing, or not needed --------------------------------------------------


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'impasto\[train\]'"):
        Chart("a", [Line("", [0, 1], [0, 1])]).svg()
    with pytest.raises(MissingExtra):
        clouds([Cloud("", [(0, 0)])], "x", "y")


def test_importing_reports_loads_no_matplotlib():
    code = "import sys, impasto.reports.page, impasto.cli.main; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
