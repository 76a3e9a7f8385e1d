"""A night of whorls in thick paint, in the spirit of the post-impressionists.

A field of directions is the sum of a wind and of vortices; a plain color sketch is made first and then painted over
with several thousand bristle strokes that follow the field, from broad to fine, and lit from the upper left.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    Paint,
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

_SKY = palette("#0b1638", "#12296b", "#1d4a9a", "#3f7cc0", "#86b6d6")
_GLOW = palette("#fff6c4", "#ffd94a", "#f0a51e", "#7fb2b4", "#2f66ae", "#183c86")
_HILL = palette("#0b1730", "#143a55", "#1d6a6a", "#4f9a6a", "#b5c46a")
_FIELD = palette("#3a3a1c", "#8a6a1c", "#d39a2a", "#f2cf5b")


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    y, x, v = grid.y, grid.x, grid.v
    tall, wide = grid.tall, grid.wide
    side = 1.0 if rng.random() < 0.5 else -1.0
    # (u, v, radius, strength): one great whorl, a moon, and lesser lights
    spots = [(0.5 - 0.13 * side, 0.33, 0.2, 1.0), (0.5 + 0.34 * side, 0.17, 0.135, -0.8)]
    for k in range(7):
        spots.append(
            (
                (k + 0.2 + 0.6 * rng.random()) / 7,
                rng.uniform(0.05, 0.55),
                rng.uniform(0.045, 0.085),
                rng.choice([-1, 1]) * 0.6,
            )
        )
    kept = spots[:2]
    for spot in spots[2:]:
        if all(np.hypot((spot[0] - k[0]) * wide, (spot[1] - k[1]) * tall) > 0.85 * (spot[2] + k[2]) for k in kept):
            kept.append(spot)

    drift = fbm(grid, rng, 0.45, 2)
    flow_x = 1.0 + 0.1 * drift
    flow_y = 0.45 * np.sin(x * 7 + drift * 0.9 + rng.uniform(0, 6)) + 0.25 * drift
    tone = 0.36 + 0.22 * (v - 0.2) + 0.13 * fbm(grid, rng, 0.3, 3, down=0.09)
    sketch = ramp(_SKY, tone)
    bands = noise(grid, rng, 0.2)
    for su, sv, radius, strength in kept:
        dy, dx = y - sv * tall, x - su * wide
        away = np.sqrt(dy**2 + dx**2) / radius
        pull = np.exp(-((away * 0.85) ** 2)) * 9 * strength
        flow_x = flow_x - pull * dy / (away * radius + 0.01)
        flow_y = flow_y + pull * (dx + 0.25 * dy) / (away * radius + 0.01)
        spin = np.arctan2(dy, dx) * np.sign(strength)
        rings = 0.5 + 0.5 * np.cos(away * 11 - spin + bands * 0.5)
        place = np.clip(away * 0.72 + 0.2 * (rings - 0.5) * smoothstep(0.15, 0.5, away), 0, 1)
        sketch = mix(sketch, ramp(_GLOW, place), smoothstep(1.45, 0.7, away + 0.12 * bands) * 0.95)

    angle = np.arctan2(flow_y, flow_x)
    # hills, back to front
    for k, (level, low, high) in enumerate([(0.62, 0.55, 1.0), (0.71, 0.25, 0.75), (0.8, 0.0, 0.5)]):
        phase = rng.uniform(0, 6.28)
        ridge = level + 0.05 * np.sin(x * (3.2 + k) + phase) + 0.025 * np.sin(x * 9.1 + 2 * phase)
        slope = np.arctan(
            (0.05 * (3.2 + k) * np.cos(x * (3.2 + k) + phase) + 0.22 * np.cos(x * 9.1 + 2 * phase)) * tall
        )
        depth = (v - ridge) / 0.2
        inside = smoothstep(-0.004, 0.004, v - ridge)
        light = 0.06 + low + (high - low) * np.exp(-depth.clip(0) * 2.2) * 0.9 + 0.19 * np.sin(depth * 22 + drift)
        sketch = mix(sketch, ramp(_HILL, light), inside)
        angle = np.where(inside > 0.5, slope + 0.5 * depth * np.cos(x * 5 + phase), angle)
    phase = rng.uniform(0, 6.28)
    edge = 0.875 + 0.03 * np.sin(x * 4 + phase)
    inside = smoothstep(-0.004, 0.004, v - edge)
    sketch = mix(sketch, ramp(_FIELD, 0.62 + 0.3 * np.sin((v - edge) * 70 + 2.5 * drift) - 1.2 * (v - edge)), inside)
    angle = np.where(inside > 0.5, 0.35 * np.sin(x * 4 + phase + 1.5) + 0.2 * drift, angle)
    # a stand of flame-like trees
    for k, (offset, top, girth) in enumerate([(0.355, 0.12, 0.095), (0.26, 0.46, 0.06), (0.43, 0.4, 0.07)]):
        center = (0.5 - offset * side) * wide + 0.018 * np.sin(v * 14 + k * 2)
        rise = np.clip((v - top) / (1.0 - top), 0, 1)
        half = girth * rise**0.7 * (1.3 - 0.55 * rise) * (1 + 0.16 * np.sin(v * 34 + k + bands))
        off = (x - center) / np.maximum(half, 1e-4)
        inside = smoothstep(1.05, 0.9, np.abs(off)) * (v > top)
        streak = 0.5 + 0.5 * np.sin(off * 5 + v * 17 + k)
        color = mix(rgb("#07130f") + np.zeros_like(sketch), rgb("#2d4a2a"), streak**2)
        color = mix(color, rgb("#8a5a22"), (streak**8) * 0.6)
        sketch = mix(sketch, color, inside)
        angle = np.where(inside > 0.5, np.pi / 2 - 0.35 * off + 0.35 * np.sin(v * 17 + k), angle)

    paint = Paint(mix(sketch, rgb("#0d1b3a"), 0.25))
    for count, length, width, tint in (
        (1100, 0.13, 0.026, 0.05),
        (3400, 0.085, 0.0135, 0.065),
        (4200, 0.055, 0.0085, 0.08),
    ):
        stroke_over(paint, grid, rng, colors=sketch, angle=angle, count=count, length=length, width=width, tint=tint)
    return lit(grid, paint.color, paint.height, 0.0035, shade=0.75, gloss=0.3)


STYLE = BuiltinStyle("swirl", "Night sky in thick whirling strokes: blues, teal and bright yellow.", _paint)
