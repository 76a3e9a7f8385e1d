"""A leaded window: a sun over hills and a river, with light behind it.

The plane is cut into Voronoi panes, in rays around the sun and in bands along the ground; the composition's own
outlines are heavier leads. Light comes through unevenly: streaks and seeds in the glass, a bright spot behind the sun,
dust along the leads, and the leads themselves are rounded and catch a little light.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    cells,
    coverage,
    fbm,
    hashed,
    lit,
    mix,
    noise,
    palette,
    ramp,
    rgb,
    smoothstep,
)

_SUN = palette("#ffef9a", "#ffc21f", "#ff8a12", "#e2460f")
_SKY = palette("#ffb347", "#e8467a", "#8a3fc0", "#2f57d8", "#1330a0", "#0a1c6a")
_HILLS = palette("#0d6a4a", "#1fa04a", "#7ac52a", "#0a4a5a", "#1b8a78")
_RIVER = palette("#0a58b8", "#1fa0e0", "#5fe0e8", "#0f3a9a")
_FLOWER = palette("#d81e3a", "#ff5a2a", "#c0187a", "#ffb01f")


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    y, x, tall, wide = grid.y, grid.x, grid.tall, grid.wide
    u, v = grid.u, grid.v
    sun_u, sun_v = rng.uniform(0.33, 0.67), 0.32
    dy, dx = y - sun_v * tall, x - sun_u * wide
    away = np.sqrt(dx**2 + dy**2)
    turn = np.arctan2(dx, -dy)  # the seam points down, where the ground hides it
    wave = noise(grid, rng, 0.25) * 0.012
    # outlines of the composition: signed distances in units, negative inside
    sun = away - 0.115
    halo = away - 0.215 - 0.012 * np.sin(turn * 12)
    phase = rng.uniform(0, 6.28, 3)
    ridge = [
        (v - (level + height * np.sin(u * rate + p))) * tall
        for level, height, rate, p in (
            (0.58, 0.055, 7.0, phase[0]),
            (0.69, 0.05, 5.2, phase[1]),
            (0.84, 0.04, 6.0, phase[2]),
        )
    ]
    bend = sun_u + 0.16 * np.sin((v - 0.6) * 8.5 + phase[0]) * (0.35 + v)
    river = np.abs(u - bend) * wide - (0.008 + 0.27 * np.clip(v - 0.6, 0, 1) ** 1.2)
    river = np.maximum(river, -(ridge[0] - 0.012))
    region = np.where(sun < 0, 1, np.where(halo < 0, 2, 0))
    for k, line in enumerate(ridge):
        region = np.where(line > 0, 3 + k, region)
    region = np.where((river < 0) & (ridge[2] < 0), 6, region)
    lines = [np.where(ridge[0] < 0, np.abs(sun), 9), np.where(ridge[0] < 0, np.abs(halo), 9), np.abs(ridge[0])]
    lines += [
        np.where(river > 0, np.abs(ridge[1]), 9),
        np.abs(ridge[2]),
        np.where((ridge[2] < 0) & (ridge[0] > 0), np.abs(river), 9),
    ]
    border = np.minimum(np.minimum(x, wide - x), np.minimum(y, tall - y)) - 0.045
    frame = border < 0
    outline = np.where(frame, 9, np.minimum.reduce(np.broadcast_arrays(*lines)))
    outline = np.minimum(outline, np.abs(border))

    # panes: rays around the sun, slanting panes on the hills, long ones in the river
    rays = cells(grid, rng, 0.088, away * 0.72 + wave, (turn + np.pi) * 0.3 + 1.7 * wave)
    land = cells(grid, rng, 0.075, y * 1.15 + 0.25 * np.sin(x * 6) * 0.1 + wave, x * 0.85 + 0.4 * y)
    flow = cells(grid, rng, 0.06, y * 0.9, (u - bend) * wide / (0.5 + 1.6 * np.clip(v - 0.55, 0, 1)) + 3)
    spoke = 2 * np.pi / 14
    sector = np.floor((turn + np.pi) / spoke)
    cut = np.abs((turn + np.pi) / spoke - np.round((turn + np.pi) / spoke)) * spoke * away
    beads = np.floor(np.where(np.minimum(x, wide - x) < np.minimum(y, tall - y), y, x + 75) / 0.075)
    along = np.where(np.minimum(x, wide - x) < np.minimum(y, tall - y), y, x) / 0.075
    bead_cut = np.minimum(
        np.abs(along - np.round(along)) * 0.075, np.abs(np.minimum(x, wide - x) - np.minimum(y, tall - y)) * 0.7
    )
    pane = np.where(region < 3, rays[0], np.where(region == 6, flow[0], land[0]))
    inner = np.where(region < 3, rays[1] * 1.25, np.where(region == 6, flow[1], land[1]))
    seam = np.where(dy > 0, np.abs(dx), 9)
    inner = np.where(region == 0, np.minimum(inner, seam), inner)
    pane = np.where(region == 2, sector, np.where(region == 1, 0, pane))
    inner = np.where(region == 2, cut, np.where(region == 1, 9, inner))
    pane, inner = np.where(frame, beads, pane), np.where(frame, bead_cut, inner)
    region = np.where(frame, 7, region)
    # panes too thin to cut have no lead of their own
    pick, shift = hashed(pane, region, salt=1), hashed(pane, region, salt=2)

    color = ramp(_SKY, np.clip((away - 0.2) * 1.25 + 0.34 * (pick - 0.5), 0, 1))
    color = mix(color, ramp(_SUN, 0.12 + away * 2 + 0 * pick), region == 1)
    color = mix(color, ramp(_SUN, 0.25 + 0.75 * pick), region == 2)
    for k in range(3):
        here = np.clip(0.25 * k + 0.6 * pick, 0, 1)
        color = mix(color, ramp(_HILLS, here), region == 3 + k)
    blossom = (region == 5) & (shift > 0.55) | ((region == 4) & (shift > 0.86))
    color = mix(color, ramp(_FLOWER, pick), blossom)
    color = mix(color, ramp(_RIVER, pick), region == 6)
    jewel = ramp(palette("#b0122a", "#e02a1f", "#7a0f4a", "#1f2f9a", "#d88a12"), pick)
    color = mix(color, jewel, region == 7)
    # the glass: streaks that differ from pane to pane, seeds, light from behind
    streak_a, streak_b = fbm(grid, rng, 0.13, 3, 0.6, down=0.022), fbm(grid, rng, 0.022, 3, 0.6, down=0.13)
    streak = np.where(shift < 0.5, streak_a, streak_b)
    seeds = smoothstep(2.1, 2.7, noise(grid, rng, 0.007))
    light = 0.93 + 0.3 * np.exp(-((away / 0.33) ** 2)) + 0.3 * (shift - 0.5) + 0.13 * streak
    light = light + 0.05 * noise(grid, rng, 0.4) + 0.25 * seeds
    lead = np.minimum(outline - 0.0028, inner)
    dust = np.exp(-np.maximum(lead, 0) / 0.007)
    light = light * (1 - 0.52 * dust) * (1 - 0.25 * np.exp(-np.maximum(lead, 0) / 0.025))
    glass = np.clip(color * light[..., None], 0, None)
    glass = mix(glass, np.ones_like(glass), np.clip(0.1 * streak + 0.22 * seeds, 0, 0.4))
    hump = fbm(grid, rng, 0.035, 2) * 0.5 + streak * 0.25
    glass = lit(grid, glass, hump, 0.0011, shade=0.75, gloss=0.35)
    # leads: heavy along the outlines, light between panes, soldered where they meet
    half = 0.0032 + 0.0009 * noise(grid, rng, 0.06)
    strip = np.minimum(outline - 0.0062, inner - half)
    dome = np.sqrt(np.clip(-strip / 0.006, 0, 1)) + 0.06 * fbm(grid, rng, 0.012, 2)
    metal = lit(grid, mix(grid.full(rgb("#16161c")), rgb("#34343c"), dome), dome, 0.004, shade=0.9, gloss=0.55)
    return mix(glass, metal, coverage(grid, strip))


STYLE = BuiltinStyle(
    "stained_glass", "A leaded window with the light behind it: sun, hills and river in jewel colors.", _paint
)
