"""A wet avenue in autumn, laid on with the palette knife.

A sketch in perspective (an avenue running to a lit vanishing point, trunks, crowns, their reflection in the wet road)
is covered with flat slabs of paint whose rims catch the light; the knife goes up and down on the road, every way in the
leaves.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    Paint,
    blur,
    fbm,
    lit,
    mix,
    noise,
    palette,
    ramp,
    rgb,
    smoothstep,
    stroke_over,
)

_LEAVES = palette("#2a0f1c", "#6d1420", "#b3261c", "#dd5a1a", "#f29a22", "#ffd45a")
_LIGHT = palette("#fff3c8", "#ffdc86", "#f2a860", "#a86a86", "#4a4a86", "#23305e")


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    y, x = grid.y, grid.x
    focus_u, focus_v = rng.uniform(0.4, 0.6), 0.56
    dy, dx = y - focus_v * grid.tall, x - focus_u * grid.wide
    away = np.sqrt((dx * 0.9) ** 2 + dy**2)
    clumps = fbm(grid, rng, 0.2, 4, 0.6)
    fine = fbm(grid, rng, 0.05, 2, 0.7)
    sketch = ramp(_LIGHT, away * 1.25 + 0.05 * clumps)
    # crowns: two banks of leaves that arch over the road
    arch = np.abs(dx) * 1.5 - dy * 0.8 - 0.17 + 0.07 * clumps + 0.02 * fine
    warm = 0.62 + 0.17 * clumps + 0.12 * fine - 0.5 * (away - 0.35) + 0.1 * noise(grid, rng, 0.4)
    sketch = mix(sketch, ramp(_LEAVES, warm), smoothstep(0.0, 0.06, arch) * smoothstep(0.05, -0.02, dy - 0.02))
    bank = smoothstep(0.0, 0.03, np.abs(dx) - 0.06 - dy * 0.75) * smoothstep(-0.05, 0.0, dy)
    angle = 0.9 * noise(grid, rng, 0.12) + np.arctan2(dy, dx) + np.pi / 2
    # the trunks stand in two rows, and grow as they come near
    trunk = grid.full(0.0)
    for side in (-1, 1):
        for k in range(6):
            near = 0.06 * 1.62**k
            foot_x = focus_u * grid.wide + side * (0.09 + near * 1.02)
            foot_y = focus_v * grid.tall + near * 0.62
            lean = side * 0.05 * near * np.sin(dy * 9 + k)
            half = 0.011 + near * 0.055
            off = (x - foot_x - lean + 0.02 * side * dy) / half
            body = (
                smoothstep(1.1, 0.8, np.abs(off))
                * smoothstep(0.0, -0.01, y - foot_y)
                * smoothstep(1.4, 0.5, -dy / (near * 2.2 + 0.12))
            )
            bark = mix(
                rgb("#1a1022") + np.zeros((1, 1, 3), np.float32),
                rgb("#8a5a6a"),
                smoothstep(0.4, 1.0, -off * side)[..., None],
            )
            sketch = mix(sketch, bark, body)
            angle = np.where(body > 0.5, np.pi / 2 + 0.1 * off, angle)
            trunk = np.maximum(trunk, body)
    # the road mirrors what stands above it, drawn out downwards
    ground = smoothstep(-0.004, 0.012, dy + 0.008 * fine)
    horizon = int(focus_v * grid.height)
    rows = np.clip(2 * horizon - np.arange(grid.height), 0, grid.height - 1)
    mirror = blur(sketch[rows], 0.008 * grid.unit) * 0.8 + 0.03
    shimmer = noise(grid, rng, 0.05, 0.25) + 0.6 * noise(grid, rng, 0.25, 0.02)
    mirror = mirror + (0.09 * shimmer + 0.26 * np.exp(-((dx / (0.035 + dy.clip(0) * 0.35)) ** 2)))[..., None] * rgb(
        "#ffd9a0"
    )
    leaf_floor = ramp(_LEAVES, 0.5 + 0.2 * fine + 0.14 * clumps - 0.25 * dy)
    below = mix(mirror, leaf_floor, bank)
    sketch = mix(sketch, below, ground * (1 - trunk))
    flat = np.arctan2(dy, dx) * bank + (np.pi / 2) * (1 - bank)
    angle = np.where((ground > 0.5) & (trunk < 0.5), flat + 0.25 * clumps, angle)
    sketch = np.clip(sketch, 0, 1)

    paint = Paint(mix(sketch, rgb("#2a1a30"), 0.35))
    for count, length, width, tint, wander in (
        (500, 0.15, 0.05, 0.05, 0.3),
        (1700, 0.075, 0.026, 0.07, 0.4),
        (3600, 0.042, 0.013, 0.09, 0.5),
    ):
        stroke_over(
            paint, grid, rng, colors=sketch, angle=angle, count=count, length=length, width=width, tint=tint,
            wander=wander, knife=True,
        )  # fmt: skip
    stroke_over(
        paint, grid, rng, colors=sketch, angle=angle, count=3000, length=0.06, width=0.011, tint=0.06, wander=0.08,
        knife=True, mask=trunk,
    )  # fmt: skip
    return lit(grid, paint.color, paint.height, 0.0045, shade=0.7, gloss=0.3)


STYLE = BuiltinStyle("autumn", "A wet avenue in palette-knife slabs: crimson, orange and violet.", _paint)
