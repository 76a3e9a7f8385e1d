"""Curves: axes with ticks, a smoothed line over what was measured; as SVG, which is nothing but text, or as pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from impasto import images
from impasto.images import Stroke, Words

__all__ = ["Chart", "Line", "chart", "label", "log_ticks", "safe", "smoothed", "ticks"]

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 38  # of the axes, from the edges
_COLORS = ("#3b82d6", "#d9672b", "#3a9d5d", "#9b5fc0", "#b8892b", "#c74a6b")
_STEEP = 30.0  # ratio of highest to lowest from which on an axis is logarithmic
_BINS = 400  # across a chart; more points than two in each are not seen
_OUTLIERS = 0.01  # share of the points, at either end, for which no room is made


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

    def pixels(self, scale: int = 2) -> images.Floats:
        """Return it as a picture `(scale * HEIGHT, scale * WIDTH, 3)` in [0, 1], dark on white."""
        return images.drawing((HEIGHT, WIDTH), self.strokes, self.words, scale)


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
    return escape(images.printable(str(text)), quote=True)


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
