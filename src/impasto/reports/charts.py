"""Curves, as SVG, which is nothing but text, or as pixels; and clouds of points, with bars beside them, as pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from impasto.io.drawing import Dots, Stroke, Words, drawing
from impasto.io.naming import printable
from impasto.io.picture import Floats

__all__ = [
    "Bars",
    "Chart",
    "Cloud",
    "Line",
    "PALETTE",
    "chart",
    "clouds",
    "label",
    "log_ticks",
    "safe",
    "smoothed",
    "ticks",
]

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 38  # of the axes, from the edges
_COLORS = ("#3b82d6", "#d9672b", "#3a9d5d", "#9b5fc0", "#b8892b", "#c74a6b")
_STEEP = 30.0  # ratio of highest to lowest from which on an axis is logarithmic
_BINS = 400  # across a chart; more points than two in each are not seen
_OUTLIERS = 0.01  # share of the points, at either end, for which no room is made

# told apart also by people with two kinds of cones; Petroff 2021, arXiv:2107.02270, but its second gray is darker
PALETTE = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#3c3f48", "#92dadd")
_OTHERS = "#d4d7db"  # of clouds for which there is no color
SIDE = 420  # of the square in which clouds are
_ROW = 20  # from one word of a list to the next
_WIDE, _HIGH = 6.7, 10  # of a letter, about
_ROOM = 1.04  # that points have around them
_FLAT = 0.6  # height of the least high field, in that of the square
_DOT, _DENSE = 4.4, 0.62  # diameter of a point, and its opacity
_LONGEST = 18  # letters of a name
_BARS = SIDE // _ROW  # in the room of the square
_BAR = 120  # the longest


@dataclass(frozen=True)
class Line:
    """Numbers by step.

    Attributes:
        name: what they are.
        x: steps, rising.
        y: as many numbers, all finite.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """What is drawn, on a field of `WIDTH` by `HEIGHT`.

    Attributes:
        title: what it shows.
        strokes: axes and curves, from the back to the front.
        words: what is written.
    """

    title: str
    strokes: Sequence[Stroke]
    words: Sequence[Words]

    def svg(self) -> str:
        """Return it as SVG, in the color of the text around it where it has none of its own."""
        space, box = "xmlns='http://www.w3.org/2000/svg'", f"viewBox='0 0 {WIDTH} {HEIGHT}'"
        opening = f"<svg {space} {box} role='img' aria-label='{safe(self.title)}'>"
        return "\n".join([opening, *map(_polyline, self.strokes), *map(_text, self.words), "</svg>"])

    def pixels(self, scale: int = 2) -> Floats:
        """Return it as a picture `(scale * HEIGHT, scale * WIDTH, 3)` in [0, 1], dark on white."""
        return drawing((HEIGHT, WIDTH), self.strokes, self.words, scale)


def chart(title: str, lines: Sequence[Line], *, steep: bool = False, across: str = "step") -> Chart:
    """Return lines over common axes. Single numbers that lie far out are cut off at the frame.

    Args:
        title: above it.
        lines: one or more, each with a point at least.
        steep: logarithmic, if smoothed numbers are positive and span a factor of more than 30.
        across: what the axis across counts.
    """
    smooth = [smoothed(line.y) for line in lines]
    low = min(min(values) for values in smooth)
    steep = steep and low > 0 and max(max(values) for values in smooth) / low > _STEEP
    raw = [value for line in lines for value in line.y if value > 0 or not steep]
    bottom, top = _span([low, *_inner(raw), max(max(values) for values in smooth)], steep)
    first, last = min(line.x[0] for line in lines), max(line.x[-1] for line in lines)
    last = last if last > first else first + 1

    def across_(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - first) / (last - first)

    def up(y: float) -> float:
        y = min(max(y, bottom), top)
        share = math.log(y / bottom) / math.log(top / bottom) if steep else (y - bottom) / (top - bottom)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def curve(xs: Sequence[float], ys: Sequence[float], color: str, width: float, opacity: float) -> Stroke:
        return Stroke([(across_(x), up(y)) for x, y in _thinned(xs, ys)], color, width, opacity)

    left, right, floor = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    words = [Words(left, 16, title, "start", bold=True)]
    strokes = []
    for y in log_ticks(bottom, top) if steep else ticks(bottom, top):
        strokes.append(Stroke([(left, up(y)), (right, up(y))], opacity=0.15))
        words.append(Words(left - 6, up(y) + 4, label(y), "end"))
    for x in ticks(first, last, 6):
        strokes.append(Stroke([(across_(x), floor), (across_(x), floor + 5)]))
        words.append(Words(across_(x), floor + 18, label(x), "middle"))
    strokes.append(Stroke([(left, TOP), (left, floor), (right, floor)]))
    words.append(Words(right, HEIGHT - 4, across, "end"))
    place = float(right)
    for index, (line, values) in enumerate(zip(lines, smooth, strict=True)):
        color = _COLORS[index % len(_COLORS)]
        if list(line.y) != values:
            strokes.append(curve(line.x, line.y, color, 1, 0.3))
        strokes.append(curve(line.x, values, color, 2, 1))
        if len(lines) > 1:
            words.append(Words(place, 16, line.name, "end", color))
            place -= 8 * len(line.name) + 14
    return Chart(title, strokes, words)


@dataclass(frozen=True)
class Cloud:
    """Points of one kind.

    Attributes:
        name: of the kind; "" if there is only one.
        points: (x, y), y upwards.
    """

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bars:
    """A list of lengths.

    Attributes:
        title: what they are.
        names: of each.
        values: none below 0, the longest first.
        strong: which are drawn in color, the others in gray.
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
    """Return points, as far apart across as up, on white, `(H, W, 3)` in [0, 1], and what they are beside it.

    Args:
        kinds: one or more; those after the tenth are gray.
        across: what x is.
        up: what y is.
        rings: radii of circles around 0, which is then in the middle.
        rows: y has no unit: it counts the kinds, from 0 at the top down; then rings are lines, and only x is measured.
        bars: a list on the right, cut off where the square ends.
        scale: pixels to a unit.
    """
    names = [one.name[: _LONGEST - 1] + "…" if len(one.name) > _LONGEST else one.name for one in kinds]
    wide = int(max(map(len, names)) * _WIDE)
    xs, ys = ([place[axis] for one in kinds for place in one.points] for axis in (0, 1))
    (x_low, x_high), (y_low, y_high) = _spans(xs, [0.0] if rows else ys, max(rings, default=0.0))
    height = float(SIDE)
    if rows:
        y_low, y_high, height = len(kinds) - 0.5, -0.5, min(SIDE, max(120, 60 * len(kinds)))
    else:
        spare = max((y_high - y_low) / (x_high - x_low), _FLAT) * (x_high - x_low) - (y_high - y_low)
        y_low, y_high = y_low - spare / 2, y_high + spare / 2
        height = SIDE * (y_high - y_low) / (x_high - x_low)
    left, top = (LEFT if not rows else 24 + wide), TOP if up or bars else 12
    right, floor = left + SIDE, top + round(height)

    def x_(x: float) -> float:
        return left + SIDE * (x - x_low) / (x_high - x_low)

    def y_(y: float) -> float:
        return floor - (floor - top) * (y - y_low) / (y_high - y_low)

    words = [Words(left, top - 12, up, "start"), Words(right, floor + 34, across, "end")]
    drawn: list[Stroke | Dots] = []
    for x in ticks(x_low, x_high, 6):
        drawn.append(Stroke([(x_(x), top), (x_(x), floor)], opacity=0.1))
        words.append(Words(x_(x), floor + 17, label(x), "middle"))
    if rows:
        words += [Words(left - 8, y_(row) + 4, name, "end") for row, name in enumerate(names)]
    else:
        for y in ticks(y_low, y_high, 6):
            drawn.append(Stroke([(left, y_(y)), (right, y_(y))], opacity=0.1))
            words.append(Words(left - 6, y_(y) + 4, label(y), "end"))
    drawn.append(Stroke([(left, top), (left, floor), (right, floor), (right, top), (left, top)], opacity=0.5))
    colors = [*PALETTE, *[_OTHERS] * len(kinds)]
    for one, color in reversed(list(zip(kinds, colors, strict=False))):  # those without a color are behind
        drawn.append(Dots([(x_(x), y_(y)) for x, y in one.points], color, _DOT, _DENSE))
    for radius in rings:  # over the points, or they would hide them
        if rows:
            drawn += [Stroke([(x_(x), top), (x_(x), floor)], opacity=0.5) for x in (-radius, radius)]
        else:
            turns = [2 * math.pi * part / 180 for part in range(181)]
            circle = [(x_(radius * math.cos(turn)), y_(radius * math.sin(turn))) for turn in turns]
            drawn.append(Stroke(circle, opacity=0.5))
    end, named = right, list[Words]()
    if wide and not rows:
        for row, (one, name, color) in enumerate(zip(kinds, names, colors, strict=False)):
            place = top + _ROW * row + _ROW / 2
            drawn.append(Dots([(right + 20, place)], color, 10))
            words.append(Words(right + 32, place + 4, name, "start"))
            if color != _OTHERS and len(one.points) > 1:
                x, y = (sorted(place[axis] for place in one.points)[len(one.points) // 2] for axis in (0, 1))
                named.append(Words(x_(x), y_(y) + 4, name, "middle", bold=True, halo=2))
        words += _apart(named)
        end = right + 32 + wide
    if bars is not None:
        end = _list(bars, end + 36, top, drawn, words)
    return drawing((floor + 42, end + 16), drawn, words, scale)


def _spans(xs: Sequence[float], ys: Sequence[float], reach: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the ends of both axes; that across is no shorter than that up."""
    if reach:
        half = _ROOM * max(reach, *map(abs, xs), *map(abs, ys))
        return (-half, half), (-half, half)
    (left, right), (low, high) = ((min(values), max(values)) for values in (xs, ys))
    wide, room = max(right - left, high - low) or 1.0, _ROOM - 1
    middle = (left + right) / 2
    half = (0.5 + room) * wide
    return (middle - half, middle + half), (low - room * wide, high + room * wide)


def _apart(words: Sequence[Words]) -> list[Words]:
    """Return words without those that would stand on an earlier one."""
    kept: list[Words] = []
    for one in words:
        if all(
            abs(one.y - other.y) > _HIGH or abs(one.x - other.x) > _WIDE * (len(one.text) + len(other.text)) / 2
            for other in kept
        ):
            kept.append(one)
    return kept


def _list(bars: Bars, left: int, top: int, drawn: list[Stroke | Dots], words: list[Words]) -> int:
    """Draw bars; return where they end."""
    shown = len(bars.values) if len(bars.values) <= _BARS else _BARS - 1
    start = left + int(max(map(len, bars.names)) * _WIDE) + 8
    longest = max(*bars.values, 1e-12)
    words.append(Words(left, top - 12, bars.title, "start"))
    for row in range(shown):
        place, length = top + _ROW * row + _ROW / 2, max(1.0, _BAR * bars.values[row] / longest)
        color = PALETTE[0] if bars.strong[row] else PALETTE[3]
        drawn.append(Stroke([(start, place), (start + length, place)], color, 13))
        words.append(Words(start - 8, place + 4, bars.names[row], "end"))
        words.append(Words(start + length + 6, place + 4, f"{bars.values[row]:.2f}", "start"))
    if shown < len(bars.values):
        rest = f"and {len(bars.values) - shown} more: {sum(bars.values[shown:]):.2f}"
        words.append(Words(start, top + _ROW * shown + _ROW / 2 + 4, rest, "start"))
    return max(start + _BAR + 40, left + int(len(bars.title) * _WIDE))


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from low to high, a step of 1, 2 or 5 times a power of ten apart, about so many."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(count * step, digits) for count in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten from low to high, and 2 and 5 times those if there would be fewer than three."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        found = [float(f"{factor}e{power}") for power in powers for factor in factors]
        found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) > 2:
            break
    return found[:: max(1, len(found) // 8)]


def smoothed(values: Sequence[float]) -> list[float]:
    """Return each number as the mean of its neighbors, a fortieth of all on either side, fewer towards the ends."""
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
    """Return a number as an axis has it."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.3g}"


def safe(text: object) -> str:
    """Return a text that can stand anywhere in HTML or SVG, also inside quotes, and does nothing there."""
    return escape(printable(str(text)), quote=True)


def _inner(values: Sequence[float]) -> list[float]:
    """Return the lowest and the highest but for outliers."""
    ordered = sorted(values)
    most = len(ordered) - 1
    return [ordered[math.floor(_OUTLIERS * most)], ordered[math.ceil((1 - _OUTLIERS) * most)]]


def _span(values: Sequence[float], steep: bool) -> tuple[float, float]:
    """Return the ends of the axis up."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) / 2 or 1.0
        return low - room, high + room
    return (low, high) if steep or low < 0 or low > 0.3 * high else (0.0, high)


def _thinned(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    """Return the lowest and the highest point of each part, in their order, if there are too many."""
    points = list(zip(xs, ys, strict=True))
    if len(points) <= 2 * _BINS:
        return points
    size = math.ceil(len(points) / _BINS)
    kept = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return kept


def _polyline(stroke: Stroke) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in stroke.points)
    look = (
        f"stroke='{stroke.color or 'currentColor'}' stroke-width='{stroke.width:g}' stroke-opacity='{stroke.opacity:g}'"
    )
    return f"<polyline points='{points}' fill='none' stroke-linejoin='round' {look}/>"


def _text(words: Words) -> str:
    weight = "bold" if words.bold else "normal"
    return (
        f"<text x='{words.x:.1f}' y='{words.y:.1f}' text-anchor='{words.anchor}' font-size='12' font-weight='{weight}' "
        f"font-family='sans-serif' fill='{words.color or 'currentColor'}'>{safe(words.text)}</text>"
    )
