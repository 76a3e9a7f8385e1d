"""A garden in flower, in translucent washes.

Pigment adds up as density and darkens the paper by absorption, so overlaps glow instead of covering. Each wash has an
edge bent by noise, a dark rim where the water dried, granulation in the tooth of the paper, and here and there a bloom
where water ran back.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    fbm,
    lit,
    mix,
    noise,
    paper,
    rgb,
    smoothstep,
    window,
)

_PETALS = ("#d8345f", "#e8643c", "#b23a8e", "#f0a030", "#8a4fb0", "#e04a4a")
_GREENS = ("#5a8f3a", "#2f7a5a", "#8faa3a", "#3a6a6a", "#6b8a2a")


def _absorb(code: str) -> Array:
    """How strongly a pigment takes red, green and blue out of the light."""
    return np.asarray(-np.log(np.clip(rgb(code), 0.03, 0.985)))


class _Sheet:
    """Paper that collects washes."""

    def __init__(self, grid: Grid, rng: np.random.Generator) -> None:
        self.grid = grid
        self.tooth = paper(grid, rng, 0.0055)
        self.bend = [fbm(grid, rng, size, 4, 0.6) for size in (0.16, 0.16, 0.05, 0.05)]
        self.pools = [fbm(grid, rng, 0.13, 4, 0.6) for _ in range(3)]
        self.density = grid.full(np.zeros(3, dtype=np.float32))

    def wash(
        self,
        box: tuple[slice, slice],
        edge: Array,
        code: str,
        strength: float,
        soft: float = 0.0,
        pool: int = 0,
        lift: float = 0.0,
    ) -> None:
        """Lay a wash inside a box where ``edge``, a signed distance in units, is negative; ``lift`` the paint below."""
        tooth, pools = self.tooth[box], self.pools[pool % 3][box]
        reach = 1 / self.grid.unit + soft
        mask = smoothstep(reach, -reach, edge)
        rim = np.exp(-np.abs(edge + 0.0022) / 0.0026) * (1.0 if soft < 0.005 else 0.15)
        bloom = np.exp(-(((pools - 0.9) / 0.16) ** 2))
        load = 0.62 + 0.3 * pools - 0.22 * smoothstep(0.85, 1.15, pools) + 0.3 * bloom + 0.75 * rim + 0.14 * tooth
        broken = 1.0 if soft > 0.005 else smoothstep(-2.9, -1.9, tooth)
        self.density[box] *= 1 - (mask * lift)[..., None]
        self.density[box] += (mask * np.clip(load, 0.06, None) * broken * strength)[..., None] * _absorb(code)

    def local(self, box: tuple[slice, slice], cy: float, cx: float, turn: float) -> tuple[Array, Array]:
        """Coordinates along and across a direction, shaken by the hand's tremor."""
        dy = self.grid.y[box[0]] - cy + 0.006 * self.bend[0][box] + 0.002 * self.bend[2][box]
        dx = self.grid.x[:, box[1]] - cx + 0.006 * self.bend[1][box] + 0.002 * self.bend[3][box]
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        return dx * c + dy * s, dy * c - dx * s


def _leaf(
    sheet: _Sheet,
    rng: np.random.Generator,
    cy: float,
    cx: float,
    turn: float,
    length: float,
    girth: float,
    code: str,
    strength: float,
) -> None:
    """A pointed leaf or petal from its foot outwards."""
    middle = (cy + np.sin(turn) * length / 2, cx + np.cos(turn) * length / 2)
    box = window(sheet.grid, *middle, length * 0.62 + girth)
    along, across = sheet.local(box, cy, cx, turn)
    if along.size == 0:
        return
    t = np.clip(along / length, 0, 1)
    half = girth * np.sin(np.pi * t**0.8).clip(0) ** 0.8
    edge = np.maximum(np.abs(across + 0.12 * girth * np.sin(t * 5)) - half, np.maximum(-along, along - length))
    sheet.wash(box, edge, code, strength, pool=int(rng.integers(3)))


def _flower(sheet: _Sheet, rng: np.random.Generator, cy: float, cx: float, size: float, code: str, second: str) -> None:
    """Broad petals round a dark heart, in two layers."""
    squash, spin = rng.uniform(0.6, 1.0), rng.uniform(0, 6.28)
    for layer, (count, reach, strength) in enumerate(((6, 1.0, 0.55), (5, 0.72, 0.6))):
        for k in range(count):
            turn = spin + layer * 0.5 + k * 2 * np.pi / count + rng.normal(0, 0.15)
            tilt = np.arctan2(np.sin(turn) * squash, np.cos(turn))
            length = size * reach * np.hypot(np.cos(turn), np.sin(turn) * squash) * rng.uniform(0.88, 1.12)
            middle = (cy + np.sin(tilt) * length * 0.55, cx + np.cos(tilt) * length * 0.55)
            box = window(sheet.grid, *middle, size * 0.75)
            along, across = sheet.local(box, *middle, tilt)
            if along.size == 0:
                continue
            scallop = 1 + 0.1 * np.sin(np.arctan2(across, along) * 5 + k)
            edge = (np.sqrt((along / 1.0) ** 2 + (across * 1.15) ** 2) - length * 0.5 * scallop) * 0.9
            sheet.wash(
                box,
                edge,
                code if (k + layer) % 3 else second,
                strength * rng.uniform(0.7, 1.15),
                pool=k,
                lift=0.0 if layer else 0.62,
            )
            veins = np.abs(np.sin(np.arctan2(across, along + length * 0.55) * 22)) < 0.14
            vein = np.where(veins & (along < length * 0.25), -0.002, 0.004).astype(np.float32)
            sheet.wash(box, np.maximum(vein, edge + 0.006), code, 0.28, pool=k)
    for radius, dark, strength in ((0.26, "#6a2a5a", 0.6), (0.16, "#2a1f3a", 1.0)):
        box = window(sheet.grid, cy, cx, size * 0.5)
        along, across = sheet.local(box, cy, cx, 0.0)
        if along.size:
            sheet.wash(
                box,
                np.sqrt(along**2 + (across / squash) ** 2) - size * radius,
                dark,
                strength,
                soft=0.012 * (radius > 0.2),
            )
    for _ in range(16):
        t, r = rng.uniform(0, 6.28), size * rng.uniform(0.18, 0.36)
        py, px = cy + np.sin(t) * r * squash, cx + np.cos(t) * r
        box = window(sheet.grid, py, px, 0.02)
        along, across = sheet.local(box, py, px, 0.0)
        if along.size:
            sheet.wash(box, np.sqrt(along**2 + across**2) - 0.0035, "#2a1f3a", 0.9)


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    tall, wide, v = grid.tall, grid.wide, grid.v
    sheet = _Sheet(grid, rng)
    everything = (slice(None), slice(None))
    # wet in wet: the sky and the green distance run into each other
    sheet.wash(everything, (v - 0.62) * tall + 0.09 * sheet.bend[0], "#8fc0dc", 0.55, soft=0.16)
    sheet.wash(everything, 0.12 + 0.2 * sheet.bend[1] + np.abs(v - 0.5) * tall * 0.5, "#e8b8c8", 0.6, soft=0.12, pool=1)
    sheet.wash(everything, (0.55 - v) * tall + 0.1 * sheet.bend[1], "#a8c46a", 0.65, soft=0.14, pool=2)
    sheet.wash(everything, (0.78 - v) * tall + 0.09 * sheet.bend[0], "#3a7a6a", 0.55, soft=0.1, pool=1)
    for _ in range(9):
        cy, cx, size = rng.uniform(0.3, 0.75) * tall, rng.uniform(0, 1) * wide, rng.uniform(0.05, 0.12)
        box = window(sheet.grid, cy, cx, size * 2.2)
        along, across = sheet.local(box, cy, cx, rng.uniform(0, 3))
        code = str(rng.choice([*_GREENS, *_PETALS]))
        if along.size:
            sheet.wash(box, np.sqrt(along**2 + (across * 1.5) ** 2) - size, code, 0.4, soft=0.05)
    # (u, v, size): one great flower and its company
    heads = [
        (rng.uniform(0.36, 0.46), 0.4, 0.2),
        (0.75, 0.28, 0.13),
        (0.82, 0.66, 0.155),
        (0.16, 0.2, 0.105),
        (0.13, 0.68, 0.13),
        (0.5, 0.79, 0.11),
        (0.57, 0.11, 0.07),
        (0.95, 0.14, 0.075),
        (0.33, 0.93, 0.085),
        (0.63, 0.56, 0.055),
    ]
    for hu, hv, size in heads:  # stems and leaves go under the flowers
        foot = (1.02 * tall, (hu + rng.uniform(-0.1, 0.1)) * wide)
        head = (hv * tall, hu * wide)
        turn = float(np.arctan2(foot[0] - head[0], foot[1] - head[1]))
        length = float(np.hypot(foot[0] - head[0], foot[1] - head[1]))
        _leaf(sheet, rng, *head, turn, length * 1.1, 0.0055 + size * 0.02, str(rng.choice(_GREENS)), 1.1)
        for _ in range(4):
            t = rng.uniform(0.3, 0.9)
            base = (head[0] + (foot[0] - head[0]) * t, head[1] + (foot[1] - head[1]) * t)
            way = -np.pi / 2 + rng.choice([-1, 1]) * rng.uniform(0.4, 1.1)
            _leaf(
                sheet,
                rng,
                *base,
                way,
                rng.uniform(0.1, 0.24),
                rng.uniform(0.014, 0.03),
                str(rng.choice(_GREENS)),
                rng.uniform(0.5, 1.2),
            )
    start = int(rng.integers(len(_PETALS)))
    for k, (hu, hv, size) in enumerate(heads[::-1]):
        code, second = _PETALS[(start + k) % 6], _PETALS[(start + k + 1) % 6]
        _flower(sheet, rng, hv * tall + rng.normal(0, 0.012), hu * wide + rng.normal(0, 0.02), size, code, second)
    for _ in range(70):  # spatter
        py, px, size = rng.random() * tall, rng.random() * wide, 0.0012 + 0.005 * rng.random() ** 3
        box = window(sheet.grid, py, px, 0.02)
        along, across = sheet.local(box, py, px, 0.0)
        code = str(rng.choice([*_PETALS, *_GREENS]))
        if along.size:
            sheet.wash(box, np.sqrt(along**2 + across**2) - size, code, 0.8)
    white = grid.full(rgb("#fbf7ee"))
    picture = white * np.exp(-sheet.density * (1 + 0.06 * sheet.tooth[..., None]))
    # drops of opaque white on the rims, then the light on the rough sheet
    picture = mix(picture, white, 0.5 * smoothstep(2.5, 2.9, noise(grid, rng, 0.02)))
    return lit(grid, picture, sheet.tooth, 0.0005, shade=0.4, gloss=0.0)


STYLE = BuiltinStyle(
    "watercolor", "A flower garden in translucent washes with dark rims, blooms and paper grain.", _paint
)
