"""A great wave before a red sun, in the manner of a color woodblock print.

A few flat plates, each printed from wood: indigo, mid and pale blue, cream, red and the key block's dark line. Waves
are level sets of a crest that leans over, so that their stripes run with the form; the foam is a fringe of claws made
from chains of shrinking circles, first in line color and then, a little smaller, in cream. The sky is wiped from dark
to light (*bokashi*), and the grain of the plank shows.
"""

from dataclasses import dataclass

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    Paint,
    coverage,
    dab,
    fbm,
    mix,
    noise,
    palette,
    paper,
    ramp,
    rgb,
    smoothstep,
)

_LINE = rgb("#14213d")
_CREAM = rgb("#f3e8cf")
_SHADE = rgb("#a9c3cc")
_SKY = palette("#2c4a72", "#8fa9b8", "#e6d9b8", "#eccf9a")
_BLUES = palette("#173a6a", "#2f6296", "#7fa9c0", "#d5dcd0")
_RED = rgb("#c8432e")


@dataclass(frozen=True)
class _Wave:
    """A crest: where it stands, how high and wide, and how far it leans over; in units."""

    x: float
    base: float
    height: float
    girth: float
    lean: float

    def crest(self, x: Array) -> Array:
        """Height of the water above the base line, before it leans."""
        off = (x - self.x) / self.girth
        return np.asarray(self.height / (1 + np.abs(off) ** 2.2))

    def shift(self, up: Array) -> Array:
        """How far water at a height above the base has been carried along."""
        return np.asarray(self.lean * np.clip(up / self.height, 0, 1.1) ** 3)


def _grain(grid: Grid, rng: np.random.Generator) -> Array:
    """Return the year rings of the plank, with a standard deviation of about 1."""
    bend = fbm(grid, rng, 0.5, 3, down=0.12)
    fine = noise(grid, rng, 0.25, 0.003)
    return np.asarray(0.7 * np.sin(grid.y * 420 + bend * 7 + 3 * np.sin(grid.x * 2)) + 0.6 * fine)


def _foam(
    rng: np.random.Generator, wave: _Wave, start: float, stop: float, size: float, count: int
) -> tuple[Array, Array, Array]:
    """Circles ``(y, x, radius)`` of claws that hang from a crest between two positions along it, in drawing order."""
    rows: list[tuple[float, float, float]] = []
    for k in range(count):
        t = (k + rng.uniform(0.2, 0.8)) / count
        s = wave.x + wave.girth * (start + (stop - start) * t)
        up = float(wave.crest(np.asarray(s)))
        ahead = float(wave.crest(np.asarray(s + 0.004)))
        y, x = wave.base - up, s + float(wave.shift(np.asarray(up)))
        ny, nx = wave.base - ahead, s + 0.004 + float(wave.shift(np.asarray(ahead)))
        way = np.arctan2(ny - y, nx - x)
        side = np.sign(wave.lean)
        out = way - np.pi / 2 + side * rng.uniform(0.5, 1.1)  # away from the water, thrown forward
        swing = side * rng.uniform(0.25, 0.55)
        radius = size * rng.uniform(0.7, 1.25) * (0.55 + 0.45 * np.sin(np.pi * min(t * 1.15, 1)))
        for _branch in range(3):
            py, px, r, turn = y, x, radius, out + rng.normal(0, 0.5)
            for _step in range(7):
                rows.append((py, px, r))
                py, px = py + np.sin(turn) * r * 1.05, px + np.cos(turn) * r * 1.05
                turn += swing
                r *= 0.78
    return tuple(np.array(column, dtype=np.float32) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    tall, wide, u, v = grid.tall, grid.wide, grid.u, grid.v
    side = rng.choice([-1.0, 1.0])
    grain = _grain(grid, rng)
    tremor = 0.0016 * noise(grid, rng, 0.03)
    y, x = grid.y + tremor, (grid.x if side > 0 else wide - grid.x) + tremor
    u = u if side > 0 else 1 - u

    def line(image: Array, distance: Array, half: float) -> Array:
        thick = half * (1 + 0.3 * np.sin(grid.x * 21 + grid.y * 13))
        return mix(image, _LINE, coverage(grid, np.abs(distance) - thick) * 0.94)

    # sky with its wiped gradient, bands of mist, sun and mountain
    image = ramp(_SKY, np.clip(v * 1.75 + 0.012 * grain, 0, 1))
    sun_x, sun_y = 0.69 * wide, 0.3 * tall
    sun = np.sqrt((x - sun_x) ** 2 + (y - sun_y) ** 2) - 0.125
    image = mix(
        image,
        _RED * (1 + 0.035 * grain[..., None]),
        coverage(grid, sun) * smoothstep(0.18, -0.03, sun + 0.06 * (y - sun_y)),
    )
    for k in range(5):
        cy, cx = (0.09 + 0.085 * k + rng.uniform(-0.015, 0.015)) * tall, (rng.uniform(0.2, 0.95)) * wide
        half, high = rng.uniform(0.1, 0.22), rng.uniform(0.007, 0.012)
        bar = np.hypot(np.maximum(np.abs(x - cx) - half, 0), y - cy) - high
        image = mix(image, rgb("#f2e4c4"), coverage(grid, bar) * 0.8)
    peak = (y - 0.44 * tall) - 0.9 * np.abs(x - 0.66 * wide) ** 1.25
    peak = np.maximum(peak, -9) * -1
    cone = np.maximum(peak, y - 0.66 * tall)
    image = mix(image, ramp(palette("#4a6a90", "#a9b8b4"), (y / tall - 0.44) * 5), coverage(grid, cone))
    snow = y - 0.485 * tall - 0.012 * np.abs(np.sin(x * 60)) - 0.01 * np.sin(x * 31)
    image = mix(image, _CREAM, coverage(grid, np.maximum(cone, snow)))
    image = line(image, np.where(y < 0.64 * tall, cone, 9), 0.0016)
    # waves, back to front; each is stripes along the form, a line, and foam
    waves = [
        (_Wave(0.93 * wide, 0.72 * tall, 0.1, 0.12, 0.03), 0.0065, (-0.9, 0.5), 12),
        (_Wave(0.5 * wide, 0.76 * tall, 0.12, 0.14, 0.05), 0.008, (-1.0, 0.6), 14),
        (_Wave(0.16 * wide, 0.86 * tall, 0.66 * tall, 0.2 * wide, 0.36 * wide), 0.0185, (-0.55, 0.98), 34),
        (_Wave(0.86 * wide, 0.97 * tall, 0.3 * tall, 0.2, 0.1), 0.0125, (-1.2, 0.7), 22),
        (_Wave(0.42 * wide, 1.06 * tall, 0.2 * tall, 0.22, 0.09), 0.0125, (-1.1, 0.8), 20),
    ]
    for number, (wave, size, (start, stop), count) in enumerate(waves):
        up = wave.base - y
        swell = 0.012 * np.sin(x * 16 + number * 2)
        source = x - wave.shift(up)
        water = wave.crest(source) - up + swell * smoothstep(0.0, -0.1, up)
        inside = coverage(grid, -water)
        # stripes: along the crest, crowding near the lip
        run = (source - wave.x) / wave.girth
        phase = (water * (1 + 0.2 * np.sin(run * 3))) / (wave.height * 0.165 + 0.012) + 0.55 * np.sin(
            run * 2.2 + number
        )
        band = phase - np.floor(phase)
        step = np.floor(phase).astype(np.int32) % 3
        tone = np.where(step == 0, 0.02, np.where(step == 1, 0.4, 0.76)) + 0.22 * smoothstep(0.2, 1.0, band)
        body = ramp(_BLUES, tone + 0.02 * grain)
        body = mix(body, _CREAM, smoothstep(0.028, 0.018, water / (wave.height * 2 + 0.2)) * 0.9)
        image = mix(image, body, inside)
        steep = np.hypot(*np.gradient(phase)) * grid.unit + 1e-3
        to_band = np.minimum(band, 1 - band) / steep
        image = mix(image, _LINE, coverage(grid, to_band - 0.0011) * inside * smoothstep(60.0, 30.0, steep / 3) * 0.9)
        slope = np.hypot(*np.gradient(water)) * grid.unit + 1e-3
        image = line(image, water / slope, 0.0021)
        # fingers of foam run down the face
        fingers = 0.035 * np.abs(np.sin(run * 17 + np.sin(run * 5))) * wave.height / 0.4 + 0.012 * np.abs(
            np.sin(run * 41)
        )
        reach = (water - fingers - 0.004) / slope
        lip = smoothstep(start - 0.15, start + 0.3, run) * smoothstep(stop + 0.5, stop, run)
        foam = np.where(lip > 0.5, reach, 9)
        image = mix(image, _CREAM, coverage(grid, foam) * inside)
        image = mix(image, _LINE, coverage(grid, np.abs(foam) - 0.0013) * inside)
        foam_y, foam_x, radius = _foam(rng, wave, start, stop, size, count)
        foam_x = foam_x if side > 0 else np.float32(wide) - foam_x
        # the line, the foam, and a pale shadow inside each curl
        for color, scale, grow, raised in (
            (_LINE, 1.0, 0.0021, 0.0),
            (_CREAM, 1.0, 0.0, 0.0),
            (_SHADE, 0.62, 0.0, 0.0),
            (_CREAM, 0.5, 0.0, 0.2),
        ):
            colors = np.broadcast_to(color, (len(foam_y), 3))
            dab(Paint(image), grid, foam_y - radius * raised, foam_x, radius * scale + grow, colors, batches=4)
        # spray
        n = 5 * count
        spots = wave.x + wave.girth * rng.uniform(start, stop, n)
        top = wave.crest(spots)
        sy = wave.base - top - np.abs(rng.normal(0, 1, n)) * size * 3.2
        sx = spots + wave.shift(top) + rng.normal(0.8, 1.5, n) * size * np.sign(wave.lean)
        sx = sx if side > 0 else wide - sx
        dots = (rng.uniform(0.08, 0.24, n) * size).astype(np.float32)
        dab(
            Paint(image),
            grid,
            sy.astype(np.float32),
            sx.astype(np.float32),
            dots,
            np.broadcast_to(_CREAM, (n, 3)),
            batches=4,
        )
    # printed from wood on soft paper
    tooth = paper(grid, rng, 0.0045)
    ink = 1 - image.mean(axis=-1)
    rub = 0.05 * grain * (0.3 + ink) + 0.035 * fbm(grid, rng, 0.08, 3) * ink
    image = image * (1 + rub)[..., None]
    bare = smoothstep(1.5, 2.6, tooth + 0.5 * grain) * 0.35 * ink
    image = mix(image, _CREAM, np.clip(bare, 0, 1))
    image = image * (1 + 0.018 * tooth)[..., None]
    edge = np.minimum(np.minimum(grid.x, wide - grid.x), np.minimum(grid.y, tall - grid.y)) + 0.0012 * noise(
        grid, rng, 0.02
    )
    sheet = rgb("#efe3c8") * (1 + 0.02 * tooth)[..., None]
    image = mix(sheet, image, coverage(grid, 0.022 - edge))
    return mix(image, _LINE, coverage(grid, np.abs(edge - 0.022) - 0.0016) * 0.9)


STYLE = BuiltinStyle(
    "woodblock", "A great wave before a red sun: flat indigo and cream, bold lines, wood grain.", _paint
)
