"""Mountains in mist, in the manner of sumi-e: ink, water, paper and one red seal.

Ridges are laid from far to near; each is dark along its crest, where the wet brush first touched, and thins out
downwards into mist. Dry-brush hatching models the rocks, the ink bleeds into the fibres of the paper, and a pine, a
boat and some birds are single strokes.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    blur,
    coverage,
    fbm,
    mix,
    noise,
    noise_at,
    paper,
    rgb,
    smoothstep,
    to_curve,
    window,
)


def _ridge(grid: Grid, rng: np.random.Generator, level: float, peaks: int, height: float, rough: float) -> Array:
    """The crest of a mountain range as fractions of the height, ``(1, W)``."""
    u = grid.u
    line = np.zeros_like(u)
    for _ in range(peaks):
        where, size, girth = rng.uniform(-0.05, 1.05), height * rng.uniform(0.35, 1.0), rng.uniform(0.06, 0.17)
        line = np.maximum(line, size * np.exp(-((np.abs(u - where) / girth) ** 1.35)))
    row = np.zeros((1, 1), dtype=np.float32)
    jag = sum(np.float32(0.8 * rough * 0.55**k) * noise_at(rng, row, grid.x, 0.09 / 2**k) for k in range(6))
    return np.asarray(level - line + jag * (0.4 + line / max(height, 1e-3)))


def _pine(
    ink: Array, grid: Grid, rng: np.random.Generator, foot: tuple[float, float], size: float, bleed: Array
) -> None:
    """Draw a leaning pine with layered tufts into ``ink``; ``foot`` in units."""

    def near(cy: float, cx: float, reach: float) -> tuple[tuple[slice, slice], Array, Array]:
        box = window(grid, cy, cx, reach)
        return box, grid.y[box[0]] + bleed[box], grid.x[:, box[1]] + bleed[box]

    lean = float(rng.choice([-1.0, 1.0]))
    steps = [float(t) for t in np.linspace(0, 1, 9)]
    trunk = [(foot[0] - size * t, foot[1] + lean * size * (0.28 * t + 0.09 * np.sin(t * 7))) for t in steps]
    box, y, x = near(foot[0] - size / 2, foot[1] + lean * size * 0.15, size * 0.62)
    girth = 0.024 * size * (1.2 - (foot[0] - y) / size).clip(0.25, 1.3)
    ink[box] = np.maximum(ink[box], 0.95 * coverage(grid, to_curve(y, x, trunk) - girth))
    for k in range(11):
        t = 0.3 + 0.7 * k / 10
        base = trunk[min(int(t * 8), 8)]
        side = 1.0 if k % 2 else -1.0
        length = size * (0.5 - 0.3 * t) * rng.uniform(0.75, 1.25)
        tip = (base[0] - 0.05 * size, base[1] + side * length)
        box, y, x = near((base[0] + tip[0]) / 2, (base[1] + tip[1]) / 2, length * 0.6 + 0.01)
        ink[box] = np.maximum(ink[box], 0.9 * coverage(grid, to_curve(y, x, [base, tip]) - 0.006 * size))
        for part in (0.45, 0.75, 1.0):
            cy = base[0] + (tip[0] - base[0]) * part - 0.012 * size + rng.uniform(-0.02, 0.02) * size
            cx = base[1] + (tip[1] - base[1]) * part
            across, up, wet = size * rng.uniform(0.085, 0.13), size * rng.uniform(0.03, 0.045), rng.uniform(0.65, 1.0)
            box, y, x = near(cy, cx, across * 1.4)
            dy, dx = (y - cy) / up, (x - cx) / across
            needles = 0.5 + 0.5 * np.sin(np.arctan2(dy + 0.8, dx) * 34 + k)
            tuft = smoothstep(0.25, -0.35, np.sqrt(dx**2 + dy**2) - 1) * (0.5 + 0.5 * needles) * wet
            ink[box] = np.maximum(ink[box], tuft)


def _seal(grid: Grid, rng: np.random.Generator, cy: float, cx: float, size: float, wear: Array) -> Array:
    """How much red a square carved seal leaves."""
    dy, dx = (grid.y - cy) / size, (grid.x - cx) / size
    square = np.maximum(np.abs(dy), np.abs(dx)) - 0.5
    carved = np.abs(square + 0.08) - 0.022
    strokes = [[(-0.3, -0.28), (-0.3, 0.28)], [(-0.1, -0.28), (-0.1, 0.28)], [(-0.3, 0.0), (0.3, 0.0)]]
    strokes += [[(0.12, -0.25), (0.3, -0.28)], [(0.12, 0.25), (0.3, 0.28)], [(0.1, -0.25), (0.1, 0.25)]]
    if rng.random() < 0.5:
        strokes = [[(b, a) for a, b in stroke] for stroke in strokes]
    for stroke in strokes:
        carved = np.minimum(carved, to_curve(dy, dx, stroke) - 0.035)
    red = coverage(grid, (square + 0.02 * wear) * size) * (1 - coverage(grid, (carved + 0.006 * wear) * size))
    return np.asarray(red * smoothstep(-2.2, -0.9, wear))


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    y, x, u, v = grid.y, grid.x, grid.u, grid.v
    tall, wide = grid.tall, grid.wide
    tooth = paper(grid, rng, 0.0045)
    bleed = 0.0018 * fbm(grid, rng, 0.02, 3, 0.7)
    clouds = fbm(grid, rng, 0.5, 3, down=0.16)
    ink = 0.015 + 0.03 * fbm(grid, rng, 0.5, 2) + 0.16 * smoothstep(0.3, 0.0, v + 0.07 * clouds)
    moon_u = rng.uniform(0.66, 0.82)
    moon = np.sqrt((x - moon_u * wide) ** 2 + (y - 0.19 * tall) ** 2) - 0.062
    ink = ink + 0.16 * np.exp(-((moon / 0.1).clip(0) ** 2)) * (1 + 0.2 * clouds)
    ink = ink * smoothstep(-0.004, 0.004, moon + bleed)
    main = rng.uniform(0.28, 0.42)
    layers = (
        # level, peaks, height, roughness, darkness, fall, texture
        (0.44, 5, 0.2, 0.011, 0.26, 6.0, 0.15),
        (0.55, 4, 0.3, 0.014, 0.42, 5.5, 0.4),
        (0.66, 3, 0.52, 0.019, 0.8, 4.4, 1.0),
        (0.75, 4, 0.13, 0.015, 0.62, 8.0, 0.7),
        (0.93, 3, 0.07, 0.014, 0.95, 5.5, 0.9),
    )
    for k, (level, peaks, height, rough, dark, fall, texture) in enumerate(layers):
        line = _ridge(grid, rng, level, peaks, height, rough)
        if k == 2:  # the great peak
            shape = np.exp(-((np.abs(u - main) / 0.13) ** 1.5))
            line = np.minimum(line, level - 0.5 * shape + 1.5 * rough * noise_at(rng, y[:1], x, 0.02) * (0.3 + shape))
        if k == 4:  # still water, in a few level strokes; then the near bank, which keeps to one side
            lake = smoothstep(0.74, 0.8, v) * smoothstep(0.6, 1.9, fbm(grid, rng, 0.22, 3, 0.6, down=0.012))
            ink = ink + 0.3 * lake
            line = line - 0.04 + 0.25 * smoothstep(0.3, 0.7, 1 - u)
        below = (v - line) * tall + bleed
        mask = smoothstep(-0.0015, 0.0015, below)
        down = below.clip(0)
        pool = 0.45 * np.exp(-down / 0.012)
        rising = smoothstep(-1, 1, np.gradient(blur(line, 0.03 * grid.unit)[0]) * grid.height * 1.5)[None, :]
        to_left, to_right = (
            noise_at(rng, y, x + way * 0.5 * y, 0.022, 0.09) * 0.8
            + noise_at(rng, y, x + way * 0.4 * y, 0.01, 0.045) * 0.6
            for way in (1, -1)
        )
        strokes = (to_left * (1 - rising) + to_right * rising) / np.sqrt((1 - rising) ** 2 + rising**2)
        leaning = fbm(grid, rng, 0.06, 4, 0.65)
        hatch = smoothstep(0.1, 1.3, 0.75 * strokes + 0.5 * leaning + 0.25 * tooth) * texture
        body = np.exp(-down * fall) * (0.42 + 0.75 * hatch + pool)
        mist = smoothstep(-0.9, 1.2, clouds + 4.5 * (0.12 - down) + 0.4 * leaning)
        wash = dark * body * (0.35 + 0.65 * mist)
        ink = ink * (1 - mask * (0.25 + 0.75 * np.exp(-down * fall * 0.55)) * 0.9) + mask * wash
    side, bank = 0.27, 0.8
    for offset, size in ((0.0, 0.3), (0.11, 0.19), (-0.1, 0.15)):
        near_u = 0.8 + offset * 0.8
        foot = ((bank + 0.08 + abs(offset) * 0.2) * tall, near_u * wide)
        _pine(ink, grid, rng, foot, size, bleed)
    # boat and birds
    by, bx, size = 0.815 * tall, (side - 0.05) * wide, 0.06
    dy, dx = (y - by) / size + bleed * 6, (x - bx) / size
    hull = np.maximum(np.abs(dx) - 1.0, np.abs(dy - 0.2 + 0.22 * dx**2) - 0.1 * (1 - 0.75 * dx**2).clip(0.05))
    ink = np.maximum(ink, 0.92 * coverage(grid, hull * size))
    man = to_curve(dy, dx, [(0.0, 0.25), (-0.42, 0.3)]) - 0.1 * (1 + dy).clip(0.3, 1)
    hat = np.maximum(np.abs(dx - 0.3) - 0.26 * (dy + 0.62).clip(0) * 4, np.maximum(dy + 0.42, -0.62 - dy))
    ink = np.maximum(ink, 0.95 * coverage(grid, np.minimum(man, hat) * size))
    ink = np.maximum(ink, 0.8 * coverage(grid, (to_curve(dy, dx, [(-0.75, 0.05), (0.25, 0.75)]) - 0.018) * size))
    ink = ink + 0.3 * coverage(grid, (np.abs(dy - 0.36) - 0.03) * size) * (np.abs(dx) < 1.1) * smoothstep(
        -0.5, 0.8, tooth + 0.6
    )
    for _ in range(7):
        fy, fx, span = (
            rng.uniform(0.2, 0.34) * tall,
            (moon_u - 0.05 + rng.uniform(-0.16, 0.1)) * wide,
            rng.uniform(0.011, 0.02),
        )
        rise = rng.uniform(0.3, 0.7)
        box = window(grid, fy, fx, span * 1.2)
        beats = ((-1.0, -rise), (-0.5, -0.8 * rise), (0.0, 0.0), (0.5, -0.9 * rise), (1.0, -0.7 * rise))
        wing = to_curve(y[box[0]], x[:, box[1]], [(fy + up * span, fx + out * span) for out, up in beats])
        ink[box] = np.maximum(ink[box], 0.85 * coverage(grid, wing - 0.0015))
    # the paper drinks: soft spread, granulation, dry spots
    spread = 0.72 * ink + 0.28 * blur(ink, 0.006 * grid.unit)
    dry = smoothstep(-2.3, -0.9, tooth + 2.2 * spread)
    spread = np.clip(spread * (0.72 + 0.28 * dry) * (1 + 0.09 * tooth), 0, 1.05)
    sheet = grid.full(rgb("#f5eddb")) * (1 + 0.018 * tooth + 0.02 * noise(grid, rng, 0.5))[..., None]
    flecks = smoothstep(2.0, 2.6, noise(grid, rng, 0.03, 0.004))
    sheet = mix(sheet, rgb("#b9a67e"), 0.35 * flecks)
    picture = sheet * np.exp(-spread[..., None] * 2.9 * np.array([1.0, 0.985, 0.93], dtype=np.float32))
    red = _seal(grid, rng, 0.9 * tall, 0.075 * wide, 0.07, tooth)
    return mix(picture, rgb("#b3261e") * (0.94 + 0.05 * tooth[..., None]), red * 0.93)


STYLE = BuiltinStyle("ink_wash", "Mountains in mist, ink on soft paper, with a red seal.", _paint)
