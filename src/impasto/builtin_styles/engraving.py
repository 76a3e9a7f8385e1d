"""A lighthouse in a storm, engraved: every tone is made of lines.

A gray picture is translated into sets of lines that follow the forms (rings in the sky around the lamp, rolling lines
on the sea, level lines on the rock) and swell with the darkness. Darker areas get a second set across the first, and
the darkest a third. A second plate in red ochre, wiped by hand, carries the light.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    coverage,
    fbm,
    lit,
    mix,
    noise,
    paper,
    rgb,
    smoothstep,
)


def _lines(grid: Grid, phase: Array, amount: Array) -> Array:
    """Ink of the lines at whole numbers of ``phase``, as wide as ``amount`` of their distance; edges one pixel soft."""
    slope_y, slope_x = np.gradient(phase)
    steep = np.sqrt(slope_y**2 + slope_x**2) + 1e-6  # phase per pixel
    off = np.abs(phase - np.round(phase))
    ink = np.clip((amount / 2 - off) / steep + 0.5, 0, 1)
    full = smoothstep(0.75, 0.45, steep)  # lines too close to be told apart turn into their mean
    return np.asarray((ink * full + amount * (1 - full)) * (amount > 0.03))


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    y, x, v, u = grid.y, grid.x, grid.v, grid.u
    tall, wide = grid.tall, grid.wide
    lamp_u, lamp_v = (0.33 if rng.random() < 0.5 else 0.67), 0.25
    dy, dx = y - lamp_v * tall, x - lamp_u * wide
    away, turn = np.sqrt(dy**2 + dx**2), np.arctan2(dy, dx)
    side = 1.0 if lamp_u < 0.5 else -1.0
    big, mid = fbm(grid, rng, 0.3, 4, 0.55, down=0.16), fbm(grid, rng, 0.1, 4, 0.6)
    fine = fbm(grid, rng, 0.03, 2)
    # sky: storm clouds, two beams, and a glow
    billow = np.abs(np.sin(2.2 * big + 3 * away)) ** 0.8
    tone = 0.75 - 0.5 * billow + 0.15 * v
    toward = np.where(side > 0, turn, np.arctan2(dy, -dx))
    beam = np.exp(-(((toward - 0.1) / 0.1) ** 2)) + np.exp(-(((np.abs(toward) - np.pi + 0.12) / 0.075) ** 2)) * 0.7
    beam = np.clip(beam, 0, 1) * np.exp(-away * 0.9)
    glow = np.exp(-((away / 0.11) ** 2))
    tone = tone * (1 - 0.95 * beam) * (1 - glow)
    phase = away / 0.0105 + 0.9 * big
    cross = (x * 0.8 + y * 0.6) / 0.0095 + 1.2 * big
    # sea: rolling waves with white crests
    horizon = 0.63
    depth = (v - horizon) / (1 - horizon)
    flat = np.log(0.1 + depth.clip(0))
    roll = 19 * flat + 2.6 * np.sin(9 * x + 4 * flat) + 0.9 * np.sin(21 * x - 7 * flat + 1) + 0.5 * big
    crest = 1 - np.abs(np.sin(roll * 0.5 + 0.35 * np.sin(roll))) ** 0.8
    sea_tone = 0.95 - 1.25 * crest + 0.08 * mid - 0.1 * depth
    shine = np.exp(-((dx / (0.05 + 0.22 * depth.clip(0))) ** 2)) * 0.5
    sea_tone = sea_tone - shine * crest
    sea = smoothstep(-0.001, 0.001, (v - horizon))
    tone = tone + (sea_tone - tone) * sea
    sea_phase = roll * 1.9
    # rock
    rock_line = 0.6 + 1.5 * np.abs(u - lamp_u + 0.04 * side) ** 1.35 - 0.012 - 0.045 * mid * 0.6 - 0.012 * fine
    rock_depth = (v - rock_line) * tall
    rock = smoothstep(-0.0012, 0.0012, rock_depth)
    facets = np.abs(fbm(grid, rng, 0.11, 4, 0.62))
    slant = -side * (u - lamp_u) * 2.2
    rock_tone = np.clip(1.12 - 0.65 * facets - 0.5 * smoothstep(-0.2, 0.3, -slant) + 0.3 * slant, 0.12, 1)
    tone = tone + (rock_tone - tone) * rock
    rock_phase = (x * 0.5 - y * side * 0.9) / 0.0088 + 1.9 * facets
    # spray where the sea meets the rock
    spray = (
        np.exp(-(((rock_depth + 0.016 + 0.03 * mid) / 0.022) ** 2))
        * smoothstep(0.64, 0.76, v)
        * smoothstep(0.95, 0.8, v)
    )
    tone = tone * (1 - 0.97 * np.clip(1.35 * spray, 0, 1))
    # tower: a tapering cylinder with bands, gallery, lantern and roof
    half = 0.026 + 0.03 * np.clip((v - 0.28) / 0.35, 0, 1) ** 1.4
    off = dx / half
    tower = (np.abs(off) < 1) & (v > 0.285) & (v < 0.655)
    band = (np.floor((v - 0.285) / 0.074).astype(int) % 2) == 1
    tower_tone = np.clip(0.12 + 0.62 * smoothstep(-0.7, 1.0, off * -side * -1) + 0.42 * band, 0, 0.96)
    window = (np.abs(dx + 0.004) < 0.0055) & ((np.abs(v - 0.39) < 0.014) | (np.abs(v - 0.53) < 0.014))
    tower_tone = np.where(window, 1.0, tower_tone)
    gallery = (np.abs(dx) < 0.04) & (v > 0.272) & (v <= 0.288)
    lantern = (np.abs(dx) < 0.02) & (v > 0.215) & (v <= 0.272)
    roof = (np.abs(dx) < 0.028 * np.clip((v - 0.165) / 0.05, 0, 1)) & (v <= 0.215)
    panes = lantern & (np.abs(np.abs(dx) - 0.0095) < 0.0014)
    built = tower | gallery | lantern | roof
    tone = np.where(tower, tower_tone, np.where(gallery | roof | panes, 0.97, np.where(lantern, 0.0, tone)))
    tower_phase = y / 0.0072 + 0.9 * off**2

    tone = np.clip(tone + 0.02 * fine, 0, 1)
    ground = np.where(built, tower_phase, np.where(rock > 0.5, rock_phase, np.where(sea > 0.5, sea_phase, phase)))
    second = np.where(
        built, off * 6 + y / 0.02, np.where(rock > 0.5, (x * 0.85 + y * side * 0.5) / 0.0082 + 1.2 * facets, cross)
    )
    third = (x * 0.25 - y) / 0.0075 + 0.8 * mid
    hand = 1 + 0.13 * noise(grid, rng, 0.02) + 0.08 * noise(grid, rng, 0.006)
    ink = _lines(grid, ground, np.clip((tone * 0.95 - 0.05) * 0.8, 0, 0.8) * hand)
    ink = np.maximum(ink, _lines(grid, second, np.clip((tone - 0.42) * 0.95, 0, 0.62) * hand))
    ink = np.maximum(ink, _lines(grid, third, np.clip((tone - 0.72) * 1.6, 0, 0.6) * hand))
    # outlines
    for edge in (rock_depth, np.where(rock < 0.5, np.where(np.abs(dx) < half, 9, (v - horizon) * tall), 9)):
        ink = np.maximum(ink, 0.95 * coverage(grid, np.abs(edge) - 0.0011))
    rim = np.where((v > 0.285) & (v < 0.655), np.abs(np.abs(dx) - half) - 0.0015, 9)
    ink = np.maximum(ink, coverage(grid, rim))
    ink = np.clip(ink, 0, 1)

    tooth = paper(grid, rng, 0.004)
    sheet = grid.full(rgb("#f2e7cf")) * (1 + 0.015 * tooth)[..., None]
    # the red plate: everything but beams, lamp, spray and crests, wiped unevenly
    warm = 0.2 + 0.8 * smoothstep(0.15, 0.75, 0.5 * tone + 0.45 * smoothstep(0.75, 0.0, away) + 0.1 * big)
    warm = warm * (1 - 0.9 * np.clip(beam * 1.4 + spray, 0, 1)) * (1 - glow)
    warm = warm * (0.86 + 0.1 * fbm(grid, rng, 0.2, 4, 0.6) + 0.05 * tooth)
    red = mix(rgb("#e0954a") + np.zeros_like(sheet), rgb("#b8402a"), smoothstep(0.8, 0.1, away) * 0.9)
    picture = mix(sheet, sheet * red, np.clip(warm, 0, 1) * 0.93)
    picture = mix(picture, rgb("#151a2c"), ink * np.clip(0.96 + 0.03 * tooth, 0, 1))
    picture = lit(grid, picture, ink * 0.6 + 0.05 * tooth, 0.0009, shade=0.35, gloss=0.0)
    # the plate's margin and its pressed rim
    edge = np.minimum(np.minimum(x, wide - x), np.minimum(y, tall - y))
    picture = mix(sheet, picture, coverage(grid, 0.02 - edge))
    return picture * (1 - 0.22 * np.exp(-(((edge - 0.017) / 0.0016) ** 2)))[..., None]


STYLE = BuiltinStyle("engraving", "A lighthouse in a storm in cross-hatched lines: blue-black on red ochre.", _paint)
