"""A river at the end of the day in dots of pure color.

The scene is a smooth sketch. Dots are set over it in four sizes; each takes the color under it, then is pushed apart:
most towards more saturation, some towards the complement, so that grays and shadows come from neighbors mixing in
the eye, as the divisionists had it.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    Paint,
    dab,
    fbm,
    lit,
    mix,
    noise,
    palette,
    ramp,
    rgb,
    smoothstep,
)

_SKY = palette("#5f86c8", "#8fb4d8", "#cfd0d8", "#f6cfa4", "#ffb36a", "#ff9a5a")
_TREE = palette("#1c2a5a", "#23553f", "#4c8a36", "#8fae3a", "#d6c84a")
_GRASS = palette("#2a3f7a", "#2f7a4a", "#7fb03a", "#d9d048", "#ffe98a")


def _scene(grid: Grid, rng: np.random.Generator) -> Array:
    """The smooth sketch under the dots."""
    y, x, v, u = grid.y, grid.x, grid.v, grid.u
    horizon = 0.46
    sun_u = rng.uniform(0.55, 0.72)
    dx, dy = x - sun_u * grid.wide, y - 0.33 * grid.tall
    glow = np.sqrt(dx**2 + (dy * 1.2) ** 2)
    soft = fbm(grid, rng, 0.22, 3)
    wisps = fbm(grid, rng, 0.4, 3, down=0.06)
    sky = ramp(_SKY, 1.0 - glow * 1.25 + 0.09 * wisps + 0.15 * (v - 0.3))
    sky = mix(sky, rgb("#fff4c2"), smoothstep(0.075, 0.06, glow))
    sky = mix(sky, rgb("#ffe08a"), 0.7 * np.exp(-((glow / 0.13) ** 2)))
    # far shore
    shore = horizon - 0.042 - 0.014 * fbm(grid, rng, 0.12, 2) - 0.02 * np.sin(u * 5)
    scene = mix(
        sky,
        ramp(palette("#4a4f9a", "#7a6fae", "#c78aa0"), (v - shore) * 14 + 0.1 * soft),
        smoothstep(-0.004, 0.004, v - shore),
    )
    # water mirrors the sky
    depth = (v - horizon) / (1 - horizon)
    ripple = noise(grid, rng, 0.12, 0.014) + 0.6 * noise(grid, rng, 0.3, 0.03)
    water = ramp(palette("#ffc07a", "#e8a8a0", "#8f9fd0", "#4a74b8", "#23408a"), depth * 1.2 + 0.13 * ripple)
    path = np.exp(-((dx / (0.03 + 0.13 * depth.clip(0))) ** 2)) * (0.55 + 0.45 * np.sign(ripple + 0.2))
    water = mix(water, rgb("#ffe9a0"), path * 0.9)
    scene = mix(scene, water, smoothstep(-0.003, 0.003, v - horizon))
    # sails and their reflections
    for k in range(3):
        su, size = (0.45, 0.83, 0.57)[k] + rng.uniform(-0.03, 0.03), (0.27, 0.16, 0.1)[k]
        base = horizon + (0.13, 0.06, 0.02)[k]
        up = (base - v) * grid.tall / size
        off = (x - su * grid.wide) / size
        for sign in (1.0, -1.0):
            lift = up * sign
            sail = (
                smoothstep(0.02, -0.02, np.abs(off - 0.04 - 0.16 * (1 - lift)) - 0.2 * (1 - lift).clip(0))
                * (lift > 0.08)
                * (lift < 1)
            )
            hull = (np.abs(off - 0.1) < 0.3 - 0.1 * (0.07 - lift) * 10) & (lift > -0.0) & (lift <= 0.075)
            fade = 1.0 if sign > 0 else 0.55
            tone = rgb("#fff3dc") if k != 1 else rgb("#f08a5a")
            scene = mix(
                scene, mix(tone + np.zeros_like(scene), rgb("#8a86c8"), 0.55 * smoothstep(0.0, 0.25, off)), sail * fade
            )
            scene = mix(scene, rgb("#3a2a5a"), hull * fade)
    # near bank, sweeping up to the left
    bank = 0.86 - 0.28 * (1 - u) ** 2.2 + 0.012 * soft
    lightness = 0.5 + 0.16 * soft + 0.22 * np.sin((v - bank) * 26 + 1.5 * soft) - 0.35 * (v - bank)
    scene = mix(scene, ramp(_GRASS, lightness), smoothstep(-0.004, 0.004, v - bank))
    # a large tree and its shadow
    tree_u, crown = 0.15, grid.full(9.0)
    lumps = fbm(grid, rng, 0.09, 3, 0.6)
    scene = mix(
        scene,
        rgb("#34265a"),
        smoothstep(0.014, 0.008, np.abs(x - (tree_u + 0.02 * np.sin(v * 9)) * grid.wide)) * ((v > 0.3) & (v < 0.76)),
    )
    for cu, cv, radius in (
        (0.15, 0.2, 0.15),
        (0.06, 0.31, 0.12),
        (0.25, 0.3, 0.105),
        (0.12, 0.08, 0.11),
        (0.01, 0.14, 0.12),
    ):
        ball = np.sqrt((x - cu * grid.wide) ** 2 + (y - cv * grid.tall) ** 2) - radius
        crown = np.minimum(crown, ball)
    light = 0.4 + 0.22 * lumps + 0.9 * (x / grid.wide - tree_u) - 0.25 * (v - 0.2)
    scene = mix(scene, ramp(_TREE, light), smoothstep(0.012, -0.004, crown + 0.022 * lumps))
    shadow = (
        smoothstep(0.04, 0.0, np.abs(v - 0.8 - 0.16 * (u - 0.12)) - 0.025 + 0.01 * soft)
        * smoothstep(0.0, 0.05, v - bank)
        * smoothstep(0.5, 0.3, u)
    )
    return mix(scene, rgb("#2f3f92"), shadow * 0.75)


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    scene = np.clip(_scene(grid, rng), 0, 1)
    paint = Paint(mix(grid.full(rgb("#e9dcc0")), scene, 0.35))
    for count, radius, push in ((6000, 0.0085, 0.2), (14000, 0.0062, 0.32), (17000, 0.0046, 0.4), (9000, 0.0032, 0.5)):
        place = rng.random((count, 2), dtype=np.float32)
        index = rng.permutation(count)
        py = ((index + place[:, 0]) / count).astype(np.float32)
        px = ((index * 0.6180339887 + place[:, 1] * 0.03) % 1).astype(np.float32)
        rows, columns = (py * grid.height).astype(int), (px * grid.width).astype(int)
        color = scene[np.minimum(rows, grid.height - 1), np.minimum(columns, grid.width - 1)]
        gray = color.mean(axis=1, keepdims=True)
        kind = rng.random((count, 1), dtype=np.float32)
        pure = gray + (color - gray) * (1.2 + 0.5 * push)
        other = gray * 1.08 + (gray - color) * (0.9 + push)
        hue = rng.normal(0, 0.07 * (1 + push), (count, 3)).astype(np.float32)
        color = np.where(kind < 0.11, other, pure) + hue - hue.mean(axis=1, keepdims=True)
        color = color + rng.normal(0, 0.04, (count, 1)).astype(np.float32)
        size = radius * np.exp(rng.normal(0, 0.14, count)).astype(np.float32)
        dab(paint, grid, py * grid.tall, px * grid.wide, size, np.clip(color, 0.02, 1).astype(np.float32))
    return lit(grid, paint.color, paint.height, 0.0016, shade=0.6, gloss=0.12)


STYLE = BuiltinStyle("pointillist", "A river at sundown in dots of pure and complementary color.", _paint)
