"""Tools that the built-in styles share: grids, noise, masks, strokes, panes and light.

All lengths are in *units*: the side of a square with the picture's area is 1. A stroke 0.05 long is therefore the same
stroke at any size. Positions in a composition are given as fractions ``u`` of the width and ``v`` of the height.
Random numbers are drawn in amounts that never depend on the size, so that one seed stays one picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "BuiltinStyle",
    "Grid",
    "Paint",
    "blur",
    "cells",
    "coverage",
    "dab",
    "fbm",
    "hashed",
    "lit",
    "mix",
    "noise",
    "noise_at",
    "palette",
    "paper",
    "ramp",
    "relief",
    "rgb",
    "sample",
    "shrink",
    "smoothstep",
    "stroke_over",
    "to_curve",
    "window",
]

Array = npt.NDArray[Any]
_LATTICE = 256
_RAMP = 1024
_FINER = 2.2  # lattice points per bump of the noise
_WORKING_UNIT = 320  # smaller pictures are painted at least this large and averaged down, so that no stroke is lost


@dataclass(frozen=True)
class Grid:
    """The pixel centers of a picture of ``height`` by ``width`` pixels."""

    height: int
    width: int

    @property
    def unit(self) -> float:
        """Pixels per unit of length."""
        return float(np.sqrt(self.height * self.width))

    @property
    def tall(self) -> float:
        """The picture's height in units."""
        return self.height / self.unit

    @property
    def wide(self) -> float:
        """The picture's width in units."""
        return self.width / self.unit

    @cached_property
    def y(self) -> Array:
        """Heights in units, downwards, ``(H, 1)``."""
        return ((np.arange(self.height, dtype=np.float32) + 0.5) / self.unit)[:, None]

    @cached_property
    def x(self) -> Array:
        """Widths in units, to the right, ``(1, W)``."""
        return ((np.arange(self.width, dtype=np.float32) + 0.5) / self.unit)[None, :]

    @property
    def v(self) -> Array:
        """Fractions of the height, ``(H, 1)``."""
        return self.y / np.float32(self.tall)

    @property
    def u(self) -> Array:
        """Fractions of the width, ``(1, W)``."""
        return self.x / np.float32(self.wide)

    def full(self, value: float | Array) -> Array:
        """A picture of one value, ``(H, W)``, or of one color, ``(H, W, 3)``."""
        value = np.asarray(value, dtype=np.float32)
        return np.broadcast_to(value, (self.height, self.width, *value.shape)).copy()


@dataclass(frozen=True)
class BuiltinStyle:
    """A style image that our own code paints.

    Attributes:
        name: its name, with underscores.
        description: one line for people.
        draw: from a grid and a random generator to ``(H, W, 3)`` sRGB values.
        oversample: supersampling factor of both sides; 1 where `draw` antialiases edges itself.
    """

    name: str
    description: str
    draw: Callable[[Grid, np.random.Generator], Array]
    oversample: int = 1

    def paint(self, height: int, width: int, seed: int) -> Array:
        """Return sRGB values, ``(height, width, 3)``; one seed is one picture at every size."""
        factor = max(self.oversample, int(np.ceil(_WORKING_UNIT / np.sqrt(height * width))))
        return shrink(self.draw(Grid(height * factor, width * factor), np.random.default_rng(seed)), factor)


def rgb(code: str) -> Array:
    """Read a color such as ``"#e0a526"`` as three floats in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32) / np.float32(255)


def palette(*codes: str) -> Array:
    """Read several colors, ``(N, 3)``."""
    return np.stack([rgb(code) for code in codes])


def ramp(colors: Array, t: Array) -> Array:
    """Map ``t`` in [0, 1] to a gradient of colors ``(N, 3)``; ``t.shape + (3,)``."""
    steps = np.linspace(0, len(colors) - 1, _RAMP)
    table = np.stack([np.interp(steps, np.arange(len(colors)), colors[:, c]) for c in range(3)], axis=1)
    place = (np.clip(t, 0.0, 1.0) * (_RAMP - 1) + 0.5).astype(np.intp)
    return np.asarray(np.take(table.astype(np.float32), place, axis=0))


def mix(a: Array, b: Array, mask: Array | float) -> Array:
    """Interpolate from ``a`` to ``b`` as a mask goes from 0 to 1; a mask ``(H, W)`` also fits colors ``(H, W, 3)``."""
    amount = np.asarray(mask, dtype=np.float32)
    if a.ndim == 3 and b.ndim == 1 and a.shape[:2] == amount.shape:  # by channel: several times faster
        result = np.empty(a.shape, dtype=np.float32)
        for channel in range(3):
            result[..., channel] = a[..., channel] + (b[channel] - a[..., channel]) * amount
        return result
    if max(a.ndim, b.ndim) > amount.ndim and amount.ndim >= 2:
        amount = amount[..., None]
    result = (b - a) * amount
    return np.asarray(result + a)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Rise smoothly from 0 at ``low`` to 1 at ``high`` (or fall, where ``high`` is the smaller)."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def coverage(grid: Grid, distance: Array) -> Array:
    """Return the fraction of each pixel inside a shape, from its signed distance in units (negative inside)."""
    return np.asarray(np.clip(np.float32(0.5) - distance * np.float32(grid.unit), 0.0, 1.0))


def _taps(positions: Array) -> tuple[Array, Array]:
    """Return lattice indices ``(4, N)`` and cubic B-spline weights ``(4, N)`` for positions along one axis."""
    low = np.floor(positions)
    t = positions - low
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / np.float32(6)
    return (low.astype(np.int64)[None] + np.arange(4)[:, None]) % _LATTICE, weights.astype(np.float32)


def noise(grid: Grid, rng: np.random.Generator, across: float, down: float | None = None) -> Array:
    """Return smooth noise of zero mean and standard deviation of about 1, ``(H, W)``.

    Args:
        grid: where.
        rng: the source of the lattice; always the same number of draws.
        across: distance of neighboring bumps along the width, in units.
        down: the same along the height; as ``across`` if not given.
    """
    down = across if down is None else down
    lattice = _round_noise(rng)
    if min(across, down) * grid.unit < 0.7:  # finer than the pixels: only its mean is visible
        return grid.full(0.0)
    rows, row_weights = _taps(grid.y[:, 0] * np.float32(_FINER / down))
    columns, column_weights = _taps(grid.x[0] * np.float32(_FINER / across))
    strip = sum(lattice[rows[k]] * row_weights[k][:, None] for k in range(4))
    return np.asarray(sum(strip[:, columns[k]] * column_weights[k] for k in range(4)), dtype=np.float32)


def noise_at(rng: np.random.Generator, y: Array, x: Array, across: float, down: float | None = None) -> Array:
    """Return the same noise at any positions ``y``, ``x``, in units; slower, and a little rougher."""
    down = across if down is None else down
    return sample(_round_noise(rng), y * np.float32(_FINER / down), x * np.float32(_FINER / across))


def _round_noise(rng: np.random.Generator) -> Array:
    """Return a periodic lattice of band-limited noise, without the axis-aligned artifacts of value noise."""
    white = np.fft.rfft2(rng.random((_LATTICE, _LATTICE), dtype=np.float32) - np.float32(0.5))
    fy, fx = np.fft.fftfreq(_LATTICE)[:, None], np.fft.rfftfreq(_LATTICE)[None, :]
    rate = np.sqrt(fy**2 + fx**2) * _FINER
    band = np.exp(-((rate / 0.42) ** 2)) * (1 - np.exp(-((rate / 0.12) ** 2)))
    lattice = np.fft.irfft2(white * band, s=(_LATTICE, _LATTICE))
    return np.asarray(lattice / lattice.std() * 1.08, dtype=np.float32)


def fbm(
    grid: Grid, rng: np.random.Generator, across: float, octaves: int = 4, gain: float = 0.5, down: float | None = None
) -> Array:
    """Return fractal noise: octaves of half the size and ``gain`` times the strength; standard deviation of about 1."""
    down = across if down is None else down
    total, power = grid.full(0.0), 0.0
    for octave in range(octaves):
        weight = gain**octave
        total += np.float32(weight) * noise(grid, rng, across / 2**octave, down / 2**octave)
        power += weight**2
    return total / np.float32(np.sqrt(power))


def sample(tile: Array, y: Array, x: Array) -> Array:
    """Sample a periodic tile at fractional pixel positions, by bilinear interpolation."""
    height, width = tile.shape[:2]
    y, x = np.broadcast_arrays(y, x)
    y0, x0 = np.floor(y), np.floor(x)
    fy, fx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    top, left = y0.astype(np.int32) % height, x0.astype(np.int32) % width
    bottom, right = (top + 1) % height, (left + 1) % width
    upper = mix(tile[top, left], tile[top, right], fx)
    lower = mix(tile[bottom, left], tile[bottom, right], fx)
    return mix(upper, lower, fy)


def hashed(*ids: Array, salt: int = 0) -> Array:
    """Return a number in [0, 1) for each integer id or tuple of ids, always the same."""
    value = np.full(np.broadcast_shapes(*(i.shape for i in ids)), 0x9E3779B9 ^ (salt * 7919), dtype=np.uint32)
    for one in ids:
        value = (value ^ one.astype(np.int64).astype(np.uint32)) * np.uint32(0x85EBCA6B)
        value ^= value >> np.uint32(13)
        value = value * np.uint32(0xC2B2AE35)
        value ^= value >> np.uint32(16)
    return (value >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def window(grid: Grid, cy: float, cx: float, reach: float) -> tuple[slice, slice]:
    """Return the pixels within ``reach`` units of a position, or none."""
    rows = slice(max(int((cy - reach) * grid.unit), 0), max(int((cy + reach) * grid.unit) + 2, 0))
    return rows, slice(max(int((cx - reach) * grid.unit), 0), max(int((cx + reach) * grid.unit) + 2, 0))


def blur(image: Array, radius: float) -> Array:
    """Blur ``(H, W)`` or ``(H, W, C)`` by three running means, nearly a Gaussian of ``radius`` pixels; edges repeat."""
    reach = max(round(((4 * radius**2 + 1) ** 0.5 - 1) / 2), 0)
    if reach == 0:
        return image
    for axis in (0, 1):
        for _ in range(3):
            pad = [(0, 0)] * image.ndim
            pad[axis] = (reach + 1, reach)
            sums = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float64)
            size = image.shape[axis]
            high = np.take(sums, np.arange(2 * reach + 1, 2 * reach + 1 + size), axis=axis)
            low = np.take(sums, np.arange(size), axis=axis)
            image = ((high - low) / (2 * reach + 1)).astype(np.float32)
    return image


def shrink(image: Array, factor: int) -> Array:
    """Average blocks of ``factor`` by ``factor`` pixels into one."""
    if factor == 1:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, -1)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def relief(grid: Grid, height: Array, depth: float, azimuth: float = 2.36) -> tuple[Array, Array]:
    """Light a surface from one side.

    Args:
        grid: where.
        height: thickness of the paint, ``(H, W)``.
        depth: units of length for a thickness of 1.
        azimuth: where the light comes from, in radians from the right, counterclockwise; the default is the upper left.

    Returns:
        the shade, 1 where the surface is flat, and the gloss in [0, 1].
    """
    slope_y, slope_x = np.gradient(height)
    scale = np.float32(depth * grid.unit)
    slope_y, slope_x = slope_y * scale, slope_x * scale
    away = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    lx, ly, lz = np.float32(0.62 * np.cos(azimuth)), np.float32(-0.62 * np.sin(azimuth)), np.float32(0.78)
    facing = (-slope_x * lx - slope_y * ly + lz) * away
    half = np.float32(1 / np.sqrt(2 + 2 * lz))
    gloss = np.clip((-slope_x * lx - slope_y * ly + lz + 1) * away * half, 0, 1) ** 40
    flat = ((lz + 1) * half) ** 40
    return np.asarray(facing / lz), np.clip((gloss - flat) / (1 - flat), 0, 1)


def lit(
    grid: Grid,
    color: Array,
    height: Array,
    depth: float,
    shade: float = 0.7,
    gloss: float = 0.25,
    azimuth: float = 2.36,
) -> Array:
    """Show ``color`` on a surface lit from the side; ``shade`` and ``gloss`` are the strengths of the two effects."""
    facing, shine = relief(grid, height, depth, azimuth)
    dimmed = color * np.clip(1 + (facing - 1) * np.float32(shade), 0.25, 1.6)[..., None]
    return np.asarray(dimmed + (1 - dimmed).clip(0) * (shine * np.float32(gloss))[..., None])


def paper(grid: Grid, rng: np.random.Generator, size: float = 0.004) -> Array:
    """Return the texture of paper, bumps and a few long fibers, with a standard deviation of about 1."""
    tooth = fbm(grid, rng, size * 1.5, 3, 0.75)
    slanted = noise_at(rng, grid.y + 0.6 * grid.x, grid.x - 0.6 * grid.y, size * 7, size * 0.8)
    fibres = slanted + noise_at(rng, grid.y - 0.4 * grid.x, grid.x + 0.4 * grid.y, size * 0.9, size * 7)
    return np.asarray(0.92 * tooth + 0.22 * fibres)


def cells(grid: Grid, rng: np.random.Generator, size: float, y: Array, x: Array) -> tuple[Array, Array, Array, Array]:
    """Divide the plane into Voronoi cells of about ``size`` units.

    Args:
        grid: where.
        rng: the source of the cells' centers.
        size: distance of neighboring centers, in units.
        y: the heights to look at (perhaps bent), in units, ``(H, W)``.
        x: the widths to look at, ``(H, W)``.

    Returns:
        a whole-number id for each point, the distance to the nearest edge in units, and the center's ``y`` and ``x``.
    """
    jitter = rng.random((2, _LATTICE, _LATTICE), dtype=np.float32) * np.float32(0.86) + np.float32(0.07)
    y, x = np.broadcast_arrays(y / np.float32(size), x / np.float32(size))
    row, column = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)

    def center(dy: int, dx: int) -> tuple[Array, Array]:
        r, c = (row + dy) % _LATTICE, (column + dx) % _LATTICE
        return row + dy + jitter[0][r, c], column + dx + jitter[1][r, c]

    best = np.full(y.shape, np.inf, dtype=np.float32)
    near_y, near_x = np.zeros_like(best), np.zeros_like(best)
    around = [(dy, dx) for dy in (-2, -1, 0, 1, 2) for dx in (-2, -1, 0, 1, 2) if abs(dy) + abs(dx) < 4]
    for dy, dx in around:
        cy, cx = center(dy, dx)
        far = (cy - y) ** 2 + (cx - x) ** 2
        closer = far < best
        best = np.where(closer, far, best).astype(np.float32)
        near_y, near_x = np.where(closer, cy, near_y), np.where(closer, cx, near_x)
    edge = np.full(y.shape, np.inf, dtype=np.float32)
    for dy, dx in around:
        cy, cx = center(dy, dx)
        gap_y, gap_x = cy - near_y, cx - near_x
        gap = np.sqrt(gap_y**2 + gap_x**2)
        middle = ((cy + near_y) / 2 - y) * gap_y + ((cx + near_x) / 2 - x) * gap_x
        edge = np.where(gap > 1e-3, np.minimum(edge, middle / np.maximum(gap, 1e-3)), edge)
    ids = np.floor(near_y).astype(np.int64) * 1009 + np.floor(near_x).astype(np.int64)
    size32 = np.float32(size)
    return ids, (edge * size32).astype(np.float32), near_y * size32, near_x * size32


def to_curve(y: Array, x: Array, points: Sequence[tuple[float, float]]) -> Array:
    """Return the distance, in units, of each position from a line through ``(y, x)`` points."""
    best = np.full(np.broadcast_shapes(y.shape, x.shape), np.inf, dtype=np.float32)
    for (y0, x0), (y1, x1) in zip(points[:-1], points[1:], strict=True):
        run_y, run_x = y1 - y0, x1 - x0
        t = ((y - y0) * run_y + (x - x0) * run_x) / max(run_y**2 + run_x**2, 1e-9)
        t = np.clip(t, 0, 1)
        best = np.minimum(best, (y - y0 - t * run_y) ** 2 + (x - x0 - t * run_x) ** 2)
    return np.sqrt(best)


@dataclass
class Paint:
    """Paint on a canvas: its color ``(H, W, 3)`` and its thickness ``(H, W)``, both changed in place."""

    color: Array
    height: Array = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def __post_init__(self) -> None:
        if self.height.size == 0:
            self.height = np.zeros(self.color.shape[:2], dtype=np.float32)


def dab(paint: Paint, grid: Grid, y: Array, x: Array, radius: Array, colors: Array, batches: int = 48) -> None:
    """Set round domed dots, many at once; where two dots of a batch meet, the later one wins.

    Args:
        paint: what to paint on.
        grid: its grid.
        y: the centers' heights in units, ``(N,)``.
        x: their widths.
        radius: their radii in units.
        colors: their colors, ``(N, 3)``.
        batches: how many groups to lay them in, one over the other.
    """
    reach = int(np.ceil(float(radius.max()) * grid.unit)) + 1
    patch = np.arange(-reach, reach + 1, dtype=np.int32)
    flat_color, flat_height = paint.color.reshape(-1, 3), paint.height.reshape(-1)
    for part in np.array_split(np.arange(len(y)), batches):
        py, px = y[part] * grid.unit - 0.5, x[part] * grid.unit - 0.5
        rows = np.round(py).astype(np.int32)[:, None, None] + patch[:, None]
        columns = np.round(px).astype(np.int32)[:, None, None] + patch[None, :]
        away = np.sqrt((rows - py[:, None, None]) ** 2 + (columns - px[:, None, None]) ** 2)
        size = (radius[part] * grid.unit)[:, None, None]
        alpha = np.clip(size - away + 0.5, 0, 1)
        seen = (alpha > 0) & (rows >= 0) & (rows < grid.height) & (columns >= 0) & (columns < grid.width)
        which = np.nonzero(seen)
        positions = (rows * grid.width + columns)[which]
        a = alpha[which].astype(np.float32)
        dome = np.sqrt(np.clip(1 - (away / np.maximum(size, 1)) ** 2, 0, 1))[which].astype(np.float32)
        flat_color[positions] += (colors[part][which[0]] - flat_color[positions]) * a[:, None]
        flat_height[positions] += (0.35 + 0.65 * dome - flat_height[positions]) * a


def stroke_over(
    paint: Paint,
    grid: Grid,
    rng: np.random.Generator,
    *,
    colors: Array,
    angle: Array,
    count: int,
    length: float,
    width: float,
    tint: float = 0.05,
    wander: float = 0.1,
    knife: bool = False,
    mask: Array | None = None,
) -> None:
    """Paint over a picture with strokes along a direction field.

    Each stroke is a bent band with ragged ends. A brush leaves furrows along it; a knife leaves a flat slab with a rim.

    Args:
        paint: what to paint on.
        grid: its grid.
        rng: random generator of positions, sizes and bristles.
        colors: the target picture, ``(H, W, 3)``; a stroke has the color under its center.
        angle: direction of the strokes in radians, clockwise from the right, ``(H, W)``.
        count: how many strokes.
        length: of a middling stroke, in units.
        width: of a middling stroke, in units.
        tint: standard deviation of the brightness and hue of a stroke.
        wander: standard deviation of its direction, in radians.
        knife: a palette knife instead of a brush.
        mask: chance of a stroke here, ``(H, W)``; everywhere if not given.
    """
    unit = grid.unit
    place = rng.random((count, 2))
    # strokes on a jittered lattice cover more evenly than wholly random ones, in a shuffled order
    order = rng.permutation(count)
    place[:, 0] = (order + place[:, 0]) / count
    place[:, 1] = (order * 0.6180339887 + place[:, 1] * 0.02) % 1
    py, px = place[:, 0] * grid.height, place[:, 1] * grid.width
    chance = rng.random(count)
    lengths = length * unit * np.exp(rng.normal(0, 0.25, count))
    widths = width * unit * np.exp(rng.normal(0, 0.2, count))
    turns = rng.normal(0, wander, count)
    tints = rng.normal(0, tint, (count, 1)) + rng.normal(0, tint * 0.5, (count, 3))
    bristles = _bristles(rng, count, knife)
    top, left = grid.height - 1, grid.width - 1
    rows, columns = py.astype(int), px.astype(int)
    for i in range(count):
        y, x, row, column = py[i], px[i], rows[i], columns[i]
        if mask is not None and mask[row, column] <= chance[i]:
            continue
        theta = float(angle[row, column])
        reach = lengths[i] / 2
        c, s = np.cos(theta), np.sin(theta)
        ahead = angle[min(max(int(y + s * reach / 2), 0), top), min(max(int(x + c * reach / 2), 0), left)]
        behind = angle[min(max(int(y - s * reach / 2), 0), top), min(max(int(x - c * reach / 2), 0), left)]
        turned = float((ahead - behind + np.pi / 2) % np.pi - np.pi / 2)
        if abs(turned) > 1.2:  # an outline or the heart of a whorl: a short straight touch
            reach, turned = reach * 0.4, 0.0
        bend = turned / max(reach, 1e-3)
        reach = min(reach, 0.9 / max(abs(bend), 1e-6))
        theta += turns[i]
        color = np.clip(colors[row, column] + tints[i], 0, 1)
        _one_stroke(paint, y, x, theta, reach, widths[i] / 2, bend, color, bristles[i], knife)


def _bristles(rng: np.random.Generator, count: int, knife: bool) -> Array:
    """Profiles across strokes, ``(count, 24)`` in [0, 1]: furrows for a brush, a smooth slope for a knife."""
    rough = rng.random((count, 24), dtype=np.float32)
    if not knife:
        return rough
    slope = rng.random((count, 1), dtype=np.float32) * np.linspace(0, 1, 24, dtype=np.float32)
    return np.asarray(0.25 * rough + 0.75 * slope)


def _one_stroke(
    paint: Paint, y: float, x: float, theta: float, reach: float, half: float, bend: float, color: Array,
    bristle: Array, knife: bool,
) -> None:  # fmt: skip
    """Lay one stroke; everything in pixels."""
    c, s = float(np.cos(theta)), float(np.sin(theta))
    sag = abs(bend) * reach * reach / 2
    ey = abs(s) * reach + abs(c) * (half + sag) + 1
    ex = abs(c) * reach + abs(s) * (half + sag) + 1
    y0, y1 = max(int(y - ey), 0), min(int(y + ey) + 2, paint.height.shape[0])
    x0, x1 = max(int(x - ex), 0), min(int(x + ex) + 2, paint.height.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    dy = (np.arange(y0, y1, dtype=np.float32) - np.float32(y))[:, None]
    dx = (np.arange(x0, x1, dtype=np.float32) - np.float32(x))[None, :]
    along = dx * c + dy * s
    across = dy * c - dx * s - (bend / 2) * along * along
    spot = np.clip((across / half + 1) * (len(bristle) / 2), 0, len(bristle) - 1.001)
    low = spot.astype(np.int32)
    hair = bristle[low]
    hair += (bristle[low + 1] - hair) * (spot - low)
    along = np.abs(along, out=along)
    across = np.abs(across, out=across)
    ragged = reach * (1 - (0.12 if knife else 0.4) * hair)
    alpha = np.minimum(half - across, (ragged - along) * (1.0 if knife else 0.5)) + 0.5
    np.clip(alpha, 0, 1, out=alpha)
    rim = (across / half) ** 4
    height = (0.45 + 0.35 * hair + 0.45 * rim) if knife else (0.25 + 0.75 * hair) * (1 - 0.5 * rim)
    area = paint.height[y0:y1, x0:x1]
    area += (height - area * 0.8) * alpha
    shade = color * (0.93 + 0.14 * hair[..., None])
    spread = paint.color[y0:y1, x0:x1]
    spread += (shade - spread) * alpha[..., None]
