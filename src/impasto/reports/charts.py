"""Charts by matplotlib: curves of a training as SVG or pixels, and scatter plots of embeddings as pixels."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.errors import MissingExtra
from impasto.io.naming import printable
from impasto.io.picture import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Bars", "Chart", "Cloud", "Line", "PALETTE", "clouds", "label", "smoothed"]

# Colors that differ also for color-blind readers; Petroff 2021, arXiv:2107.02270, but its second gray is darker.
PALETTE = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#3c3f48", "#92dadd")
_COLORS = ("#3b82d6", "#d9672b", "#3a9d5d", "#9b5fc0", "#b8892b", "#c74a6b")  # of curves
_OTHERS = "#d4d7db"  # the color of classes beyond the palette
_INK = "#222222"
_DPI = 100  # pixels per inch at scale 1
_STEEP = 30.0  # ratio of the highest to the lowest smoothed value from which an axis may be logarithmic
_OUTLIERS = 0.01  # fraction of the points, at either end, that the axis need not show
_BINS = 280  # intervals of the horizontal axis; each shows its lowest and its highest point
_LONGEST = 18  # letters of the name of a class
_BARS = 21  # rows of a list of bars

_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.facecolor": "none",
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "font.sans-serif": ["DejaVu Sans"],  # which comes with matplotlib
    "font.size": 8.6,  # points: 12 pixels at scale 1
    "axes.titlesize": 8.6,
    "grid.color": _INK,
    "svg.fonttype": "none",  # texts stay texts, which is small, and can be searched
    "svg.hashsalt": "impasto",  # the same chart has the same names inside
    "text.color": _INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.color": _INK,
    "ytick.color": _INK,
}


@contextmanager
def _settings() -> Iterator[None]:
    """Draw with matplotlib's defaults and ours, whatever the user's own settings are.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("charts need an extra: pip install 'impasto[train]'.") from None
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a viewer of SVG may have the letter
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@dataclass(frozen=True)
class Line:
    """A curve: values by step.

    Attributes:
        name: its name in the legend, "" if the chart has only one.
        x: steps, rising.
        y: one finite value for each step.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """Curves over common axes: faint raw values, and a moving average over them.

    Attributes:
        title: the text above the axes.
        lines: one or more curves, each with one point or more.
        steep: whether the vertical axis may be logarithmic. It is if all smoothed values are positive and span a factor
            of more than 30.
        across: the name of the horizontal axis.
    """

    title: str
    lines: Sequence[Line]
    steep: bool = False
    across: str = "step"

    def figure(self) -> "Figure":
        """Return the chart as a matplotlib figure of 640 x 280 px. Outliers are cut off at the frame."""
        with _settings():
            figure = _figure(6.4, 2.8)
            axes = figure.subplots()
            smooth = [smoothed(line.y) for line in self.lines]
            low, high = min(map(min, smooth)), max(map(max, smooth))
            steep = self.steep and low > 0 and high / low > _STEEP
            raw = sorted(value for line in self.lines for value in line.y if value > 0 or not steep)
            ends = math.floor(_OUTLIERS * (len(raw) - 1))
            bottom, top = _limits(min(low, raw[ends]), max(high, raw[len(raw) - 1 - ends]), steep)
            first, last = min(line.x[0] for line in self.lines), max(line.x[-1] for line in self.lines)
            axes.set_xlim(first, last if last > first else first + 1)
            axes.set_yscale("log" if steep else "linear")
            axes.set_ylim(bottom, top)
            handles = []
            for index, (line, values) in enumerate(zip(self.lines, smooth, strict=True)):
                color = _COLORS[index % len(_COLORS)]
                if list(line.y) != values:
                    axes.plot(*_thinned(line.x, line.y), color=color, linewidth=0.7, alpha=0.3)
                form = "o" if len(values) == 1 else "-"
                handles += axes.plot(*_thinned(line.x, values), form, color=color, linewidth=1.5)
            _ticks(axes, steep, top / bottom if steep else 1.0)
            axes.set_title(printable(self.title), weight="bold")
            axes.set_xlabel(printable(self.across), loc="right")
            if len(handles) > 1:
                names = [printable(line.name) for line in self.lines]
                axes.legend(
                    handles, names, loc="lower right", bbox_to_anchor=(1, 1), frameon=False, labelcolor="linecolor",
                    ncols=len(names), handlelength=0, handletextpad=0, borderpad=0.3, columnspacing=1,
                )  # fmt: skip
            return figure

    def svg(self) -> str:
        """Return the chart as SVG on no background; equal charts are equal texts."""
        figure, file = self.figure(), BytesIO()
        with _settings():
            unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(file, format="svg", facecolor="none", metadata=unsaid)
        return file.getvalue().decode()

    def pixels(self, scale: int = 2) -> Floats:
        """Return the chart on white, `(280 * scale, 640 * scale, 3)` in [0, 1]."""
        return _pixels(self.figure(), scale)


@dataclass(frozen=True)
class Cloud:
    """The points of one class in a scatter plot.

    Attributes:
        name: the name of the class, "" if there is only one.
        points: (x, y) of each point.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bars:
    """A list of values, drawn as horizontal bars.

    Attributes:
        title: the text above the list.
        names: one for each value.
        values: 0 or more, the largest first.
        strong: which bars are colored; the others are gray.
    """

    title: str
    names: Sequence[str]
    values: Sequence[float]
    strong: Sequence[bool]


def clouds(
    kinds: Sequence[Cloud],
    across: str,
    up: str,
    *,
    rings: Sequence[float] = (),
    rows: bool = False,
    bars: Bars | None = None,
    scale: int = 2,
) -> Floats:
    """Draw a scatter plot with equal units on both axes, and a list of bars to its right.

    Args:
        kinds: one or more classes; those beyond the palette's ten colors are gray.
        across: the name of the horizontal axis.
        up: the name of the vertical axis.
        rings: radii of circles around the origin, which is in the middle then.
        rows: whether y has no unit and only counts the classes, 0 at the top. The rings are vertical lines then.
        bars: the list; what does not fit is summed up.
        scale: resolution, in units of 100 pixels per inch.

    Returns:
        Pixels `(H, W, 3)` in [0, 1], on white.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    names = [printable(one.name) for one in kinds]
    names = [f"{name[: _LONGEST - 1]}…" if len(name) > _LONGEST else name for name in names]
    colors = [*PALETTE, *[_OTHERS] * len(kinds)][: len(kinds)]
    high = min(4.8, max(1.8, 0.9 + 0.6 * len(kinds))) if rows else 4.8
    with _settings():
        figure = _figure(8.8 if bars else 6.4, high)
        axes, side = figure.subplots(1, 2, width_ratios=(3, 1)) if bars else (figure.subplots(), None)
        axes.grid(alpha=0.1)
        axes.set_axisbelow(True)
        axes.spines[:].set(visible=True, alpha=0.5)
        for index, (one, color) in enumerate(zip(kinds, colors, strict=True)):
            axes.plot(
                *zip(*one.points, strict=True), "o", color=color, markersize=3.2, markeredgewidth=0, alpha=0.62,
                zorder=2 - index / len(kinds),
            )  # fmt: skip
        _rings(axes, rings, rows)
        axes.set_xlabel(printable(across), loc="right")
        axes.set_title(printable(up))
        _ticks(axes)
        if rows:
            axes.set_ylim(len(kinds) - 0.5, -0.5)
            axes.set_yticks(range(len(kinds)), names)
            axes.tick_params("y", length=0)
            axes.grid(visible=False, axis="y")
        else:
            axes.set_box_aspect(1)
            axes.set_aspect("equal", adjustable="datalim")
            if any(names):
                legend = axes.legend(
                    axes.get_lines(), names, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, handletextpad=0,
                    markerscale=2.2,
                )  # fmt: skip
                for shape in legend.legend_handles:
                    shape.set_alpha(1)  # type: ignore[union-attr]
        if bars and side:
            _list(side, bars, round(high / 4.8 * _BARS))
        if not rows:
            figure.draw_without_rendering()  # which finds positions
            _names(axes, [(name, one) for name, one in zip(names[: len(PALETTE)], kinds, strict=False) if name])
    return _pixels(figure, scale, tight=True)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI)


def _pixels(figure: "Figure", scale: int, tight: bool = False) -> Floats:
    """Return a figure on white, `(H, W, 3)` in [0, 1]; `tight`: as large as what is drawn needs."""
    from matplotlib.image import imread

    file = BytesIO()
    with _settings():
        box = "tight" if tight else None
        figure.savefig(file, format="png", dpi=_DPI * scale, facecolor="white", bbox_inches=box)
    file.seek(0)
    return np.array(imread(file, "png")[..., :3], np.float32)


def _ticks(axes: "Axes", steep: bool = False, ratio: float = 1.0) -> None:
    """Write numbers on both axes as `label` has them, without powers of ten in mathematical type."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axes.grid(axis="y", alpha=0.15)
    axes.set_axisbelow(True)
    axes.tick_params("y", length=0)
    if steep:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < 1000 else (1,), numticks=8))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())


def _rings(axes: "Axes", rings: Sequence[float], rows: bool) -> None:
    """Draw circles or lines over the points, which would hide them."""
    from matplotlib.patches import Circle

    for radius in rings:
        if rows:
            for x in (-radius, radius):
                axes.axvline(x, color=_INK, alpha=0.5, linewidth=0.7)
        else:
            axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor=_INK, alpha=0.5, linewidth=0.7, zorder=3))
    if rings:
        reach = 1.04 * max(*rings, *np.abs(axes.dataLim.get_points()[:, : 1 if rows else 2]).flatten())
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)


def _names(axes: "Axes", named: Sequence[tuple[str, Cloud]]) -> None:
    """Write the name of each class at its median, unless it would cover an earlier name."""
    from matplotlib.patheffects import withStroke

    taken: list[Any] = []
    for name, one in named:
        if len(one.points) < 2:
            continue
        x, y = np.median(one.points, axis=0)
        halo = [withStroke(linewidth=3, foreground="white")]
        text = axes.text(x, y, name, ha="center", va="center", weight="bold", zorder=4, path_effects=halo)
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)


def _list(axes: "Axes", bars: Bars, rows: int) -> None:
    """Draw a list of bars; the last row sums up what does not fit."""
    count = len(bars.values)
    shown = count if count <= rows else rows - 1
    colors = [PALETTE[0] if strong else PALETTE[3] for strong in bars.strong[:shown]]
    drawn = axes.barh(range(shown), bars.values[:shown], height=0.65, color=colors)
    axes.bar_label(drawn, fmt="%.2f", padding=4)
    axes.set_xlim(0, 1.2 * max(*bars.values, 1e-12))
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks(range(shown), [printable(name) for name in bars.names[:shown]])
    axes.set_xticks([])
    axes.tick_params("y", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(printable(bars.title))
    if shown < count:
        axes.text(0, shown, f"and {count - shown} more: {sum(bars.values[shown:]):.2f}", va="center")


def smoothed(values: Sequence[float]) -> list[float]:
    """Return a moving average: each value as the mean of 1/40 of all values on either side, fewer at the ends."""
    reach, count = len(values) // 40, len(values)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    found = []
    for place in range(count):
        side = min(reach, place, count - 1 - place)
        mean = (sums[place + side + 1] - sums[place - side]) / (2 * side + 1)
        found.append(mean if side else float(values[place]))
    return found


def label(value: float) -> str:
    """Return a number as it stands on an axis."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.3g}"


def _limits(low: float, high: float, steep: bool) -> tuple[float, float]:
    """Return the ends of the vertical axis."""
    if low == high:
        room = abs(low) / 2 or 1.0
        return low - room, high + room
    return (low, high) if steep or low < 0 or low > 0.3 * high else (0.0, high)


def _thinned(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest point of each interval, in their order, if there are too many points."""
    points = list(zip(xs, ys, strict=True))
    size = max(1, math.ceil(len(points) / _BINS))
    if size > 2:
        parts = [points[start : start + size] for start in range(0, len(points), size)]
        ends = [sorted({min(part, key=lambda one: one[1]), max(part, key=lambda one: one[1])}) for part in parts]
        points = [point for pair in ends for point in pair]
    return [x for x, _ in points], [y for _, y in points]
