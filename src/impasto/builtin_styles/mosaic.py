"""A sun over the sea in small glass stones, with gold.

Stones lie in rows that follow the forms (the *andamento*): rings around the sun, and around wheels in the sky; long
waves in the sea. Each stone has its own color, tilt and chipped edge; gold ones glint where they happen to face the
light.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    coverage,
    fbm,
    hashed,
    mix,
    noise,
    palette,
    ramp,
    rgb,
    smoothstep,
)

_STONE = 0.0145
_GOLD = palette("#7a4f12", "#b98420", "#e0b23c", "#f8dc7a")
_WINE = palette("#3a0d1c", "#7a1626", "#b5352a", "#d9693a")
_CREAM = palette("#b8a888", "#d9cba6", "#f2ead0", "#fffaf0")
_SEA = palette("#07222e", "#0b4a52", "#128076", "#3fb59a", "#a8e0c0")
_DEEP = palette("#0a1530", "#12305e", "#1f5590", "#5a94b8")


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    y, x = grid.y, grid.x
    tall, wide = grid.tall, grid.wide
    wobble_y, wobble_x = 0.0022 * noise(grid, rng, 0.05), 0.0022 * noise(grid, rng, 0.05)
    y, x = y + wobble_y, x + wobble_x
    sun_u = rng.uniform(0.36, 0.64)
    wheels = [(sun_u, 0.36, 0.27)]
    for su, sv, radius in (
        (0.1, 0.15, 0.13),
        (0.9, 0.13, 0.14),
        (0.06, 0.53, 0.1),
        (0.95, 0.52, 0.1),
        (0.27, 0.05, 0.075),
        (0.74, 0.04, 0.07),
    ):
        wheels.append((su + rng.uniform(-0.02, 0.02), sv, radius))
    # which wheel, how far from its center, and the way along its rows
    across = np.sqrt((y - 0.36 * tall) ** 2 + (x - sun_u * wide) ** 2)  # the ground runs around the sun
    turn = np.arctan2(y - 0.36 * tall, x - sun_u * wide)
    zone = np.zeros(across.shape, dtype=np.int32)
    border = np.full(across.shape, 9.0, dtype=np.float32)
    reach = np.full(across.shape, 1.0, dtype=np.float32)
    for k, (wu, wv, radius) in enumerate(wheels):
        dy, dx = y - wv * tall, x - wu * wide
        away = np.sqrt(dy**2 + dx**2)
        inside = away < radius
        across, turn = np.where(inside, away, across), np.where(inside, np.arctan2(dy, dx), turn)
        zone, reach = np.where(inside, k + 1, zone), np.where(inside, radius, reach)
        border = np.minimum(border, np.abs(away - radius))
    phase = rng.uniform(0, 6.28)
    swell = 0.035 * np.sin(x * 7 + phase) + 0.012 * np.sin(x * 17 + 2 * phase)
    depth = y - (0.66 * tall + swell * (1 - 0.6 * (y - 0.66 * tall)))
    sea = depth > 0
    rolling = depth + 0.03 * np.sin(x * 11 + 14 * depth + phase) * smoothstep(0.0, 0.1, depth)
    border = np.where(sea, np.abs(depth), np.minimum(border, np.abs(depth)))
    zone = np.where(sea, 20, zone)
    line = np.where(sea, rolling, across)
    row = np.floor(line / _STONE)
    middle = (row + 0.5) * _STONE
    per_row = np.maximum(np.round(2 * np.pi * middle / (_STONE * 1.08)), 3)
    place = np.where(sea, x / (_STONE * (1.0 + 0.5 * hashed(row, zone, salt=3))), (turn / (2 * np.pi) + 0.5) * per_row)
    place = place + hashed(row, zone, salt=4)
    # stones in a row differ in length: the joints are moved to and fro
    stone = np.floor(place)
    shift = 0.3 * (hashed(row, stone, zone, salt=5) - 0.5)
    shift_next = 0.3 * (hashed(row, stone + 1, zone, salt=5) - 0.5)
    part = place - stone
    before = part < shift
    after = part > 1 + shift_next
    stone = stone - before + after
    wrapped = np.where(sea, stone, stone % per_row)
    left, right = part - shift, 1 + shift_next - part
    left = np.where(after, -right, np.where(before, 0.9, left))
    right = np.where(before, -left.clip(-1, 0) - (part - shift), np.where(after, 0.9, right))
    scale = np.where(
        sea, _STONE * (1.0 + 0.5 * hashed(row, zone, salt=3)), 2 * np.pi * np.maximum(across, 0.004) / per_row
    )
    height = line / _STONE - row
    edge = np.minimum(np.minimum(height, 1 - height) * _STONE, np.minimum(left, right) * scale)
    ids = (row, wrapped, zone)
    pick, face, chip = hashed(*ids, salt=1), hashed(*ids, salt=2), hashed(*ids, salt=7)

    # a stone has one color: that of its middle
    center = stone + 0.5 - hashed(row, zone, salt=4)
    turn = np.where(sea, turn, (center / per_row - 0.5) * 2 * np.pi)
    across = np.where(sea, across, middle)
    x, depth = np.where(sea, center * scale, x), depth + np.where(sea, middle - line, 0)
    color = ramp(_GOLD, 0.56 + 0.5 * (pick - 0.5) + 0.16 * np.sin(across * 26) + 0.1 * noise(grid, rng, 0.3))
    rays = np.cos(turn * 24)
    sunny = zone == 1
    tone = across / 0.27
    blaze = ramp(_CREAM, 0.75 + 0.3 * pick)
    blaze = mix(blaze, ramp(_GOLD, 0.7 + 0.4 * (pick - 0.3)), tone > 0.22)
    blaze = mix(blaze, ramp(_WINE, 0.75 + 0.3 * (pick - 0.5)), (tone > 0.4) & (tone < 0.5))
    petal = (tone > 0.5) & (tone < 0.86)
    blaze = mix(blaze, ramp(_WINE, 0.45 + 0.5 * (pick - 0.5)), petal & (rays < (tone - 0.62) * 2.6))
    blaze = mix(blaze, ramp(_GOLD, 0.85 + 0.3 * (pick - 0.5)), petal & (rays >= (tone - 0.62) * 2.6))
    blaze = mix(blaze, ramp(_DEEP, 0.35 + 0.4 * pick), (tone > 0.86) & (tone < 0.95))
    blaze = mix(blaze, ramp(_CREAM, 0.5 + 0.5 * pick), tone >= 0.95)
    color = mix(color, blaze, sunny)
    for k in range(2, len(wheels) + 1):
        tone = across / wheels[k - 1][2]
        first, second = (_DEEP, _SEA, _WINE)[k % 3], (_CREAM, _GOLD, _CREAM)[(k // 2) % 3]
        disc = ramp(first, 0.45 + 0.5 * (pick - 0.5) + 0.3 * tone)
        star = np.cos(turn * 8 + k) > (tone - 0.34) * 4.2
        disc = mix(disc, ramp(second, 0.65 + 0.5 * (pick - 0.5)), star & (tone < 0.62))
        disc = mix(disc, ramp(_GOLD, 0.7 + 0.5 * (pick - 0.5)), (tone > 0.7) & (tone < 0.82))
        disc = mix(disc, ramp(_CREAM, 0.6 + 0.5 * (pick - 0.5)), tone >= 0.92)
        color = mix(color, disc, zone == k)
    wave = 0.5 + 0.5 * np.sin(depth * 52 + 1.6 * np.sin(x * 9 + phase) + 0.8 * np.sin(x * 23))
    water = ramp(_SEA, 0.1 + 0.75 * wave**1.5 + 0.3 * (pick - 0.5))
    water = mix(water, ramp(_DEEP, 0.2 + 0.5 * pick), smoothstep(0.35, 0.2, wave) * (pick < 0.8))
    water = mix(water, ramp(_CREAM, 0.7 + 0.3 * pick), (wave > 0.93) & (pick > 0.25))
    path = np.abs(x - sun_u * wide) < 0.03 + 0.25 * depth * hashed(row, salt=9)
    water = mix(water, ramp(_GOLD, 0.65 + 0.4 * (pick - 0.3)), path & (pick > 0.45))
    color = mix(color, water, sea)
    golden = (color[..., 0] - color[..., 2] > 0.3) & (color[..., 1] > 0.35)
    # each stone is a little slab, tilted its own way
    tilt = np.cos(face * 2 * np.pi - 2.2)
    grain = fbm(grid, rng, 0.006, 2, 0.7)
    light = 1 + 0.17 * tilt + 0.05 * grain + 0.1 * (chip - 0.5)
    slope = (height - 0.5) * np.sin(face * 6.28) + (part - 0.5) * np.cos(face * 6.28)
    light = light + 0.2 * slope
    color = color * light[..., None]
    glint = smoothstep(0.78, 1.0, tilt) * smoothstep(0.35, 0.0, np.abs(slope - 0.12)) * np.where(golden, 0.75, 0.16)
    color = mix(color, rgb("#fffbe6"), np.clip(glint, 0, 1))
    gap = 0.0009 + 0.0007 * chip
    rim = smoothstep(0.0, 0.0035, edge - gap)
    color = color * (0.7 + 0.3 * rim)[..., None]
    grout = grid.full(rgb("#3d352c")) * (0.85 + 0.13 * fbm(grid, rng, 0.008, 3))[..., None]
    inlay = np.minimum(edge - gap, border - 0.0009)
    return mix(grout, np.clip(color, 0, 1), coverage(grid, -inlay))


STYLE = BuiltinStyle("mosaic", "Sun over the sea in rows of small stones: gold, wine red and sea green.", _paint)
