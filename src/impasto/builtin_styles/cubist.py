"""A still life with a guitar taken apart into facets, as in the analytic phase of cubism.

Some eighty convex facets, crowded to the middle, are laid one over the other; each is shaded from a lit edge into
transparency (the cubists' *passage*), many with a dark contour. Pieces of a guitar, strings, a bottle and sheet music
show through some of them. The whole is then painted over in short, parallel touches that turn with each facet.
"""

import numpy as np

from impasto.builtin_styles.brushes import (
    Array,
    BuiltinStyle,
    Grid,
    Paint,
    coverage,
    fbm,
    lit,
    mix,
    palette,
    ramp,
    rgb,
    smoothstep,
    stroke_over,
    window,
)

_TONES = (
    palette("#2b2620", "#6b5638", "#a98549", "#e2c88a"),
    palette("#23282b", "#56605f", "#97a097", "#dcd8c6"),
    palette("#33231a", "#7c4f2a", "#bd8442", "#f0d9a2"),
    palette("#1e2629", "#3f4f4d", "#7f8d7c", "#cfcdb2"),
    palette("#3a2f24", "#8d7a5a", "#c9b68c", "#f4ead0"),
)


def _line(
    image: Array, grid: Grid, distance: Array, half: float, color: Array, inside: Array, strength: float = 0.85
) -> Array:
    """Draw a line ``half`` units to each side of distance 0, inside a facet only."""
    return mix(image, color, coverage(grid, np.abs(distance) - half) * inside * strength)


def _motif(image: Array, grid: Grid, kind: int, a: Array, b: Array, inside: Array) -> Array:
    """Draw a piece of the still life inside one facet, at positions ``a`` along and ``b`` across its direction."""
    dark, pale = rgb("#1c1815"), rgb("#f5ecd2")
    if kind == 0:  # sound hole with its rosette
        ring = np.sqrt(a**2 + b**2)
        image = mix(image, dark, coverage(grid, ring - 0.05) * inside)
        for radius in (0.062, 0.07):
            image = _line(image, grid, ring - radius, 0.0018, dark, inside)
    elif kind == 1:  # strings
        for k in range(5):
            image = _line(image, grid, b - (k - 2) * 0.011, 0.0011, pale if k % 2 else dark, inside)
    elif kind == 2:  # the guitar's waist
        for radius, offset in ((0.1, -0.1), (0.13, 0.12)):
            ring = np.sqrt((a - offset) ** 2 + (b * 1.1) ** 2) - radius
            image = mix(image, image * 0.72, coverage(grid, ring) * inside)
            image = _line(image, grid, ring, 0.0028, dark, inside)
    elif kind == 3:  # staves and notes
        for k in range(5):
            image = _line(image, grid, b - (k - 2) * 0.012, 0.0008, dark, inside, 0.7)
        for k in range(4):
            note = np.sqrt((a - (k - 1.5) * 0.035) ** 2 + ((b - 0.006 * (k * 7 % 5 - 2)) * 1.3) ** 2)
            image = mix(image, dark, coverage(grid, note - 0.006) * inside)
    else:  # a bottle's neck or a glass
        half = 0.028 + 0.035 * smoothstep(-0.03, 0.05, a)
        image = mix(image, rgb("#31433a"), coverage(grid, np.abs(b) - half) * inside * 0.55)
        image = _line(image, grid, np.abs(b) - half, 0.002, dark, inside)
        image = _line(image, grid, np.sqrt((a * 2.5) ** 2 + b**2) - 0.035, 0.0016, pale, inside)
    return image


def _around(seen: Array) -> tuple[slice, slice]:
    """The smallest box round the true pixels."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    y, x, tall, wide = grid.y, grid.x, grid.tall, grid.wide
    soft = fbm(grid, rng, 0.3, 3)
    middle = np.sqrt(((x / wide - 0.5) / 0.52) ** 2 + ((y / tall - 0.5) / 0.55) ** 2)
    image = ramp(_TONES[0], 0.66 - 0.3 * middle + 0.07 * soft).astype(np.float32)
    angle = grid.full(0.4) + 0.3 * soft
    main = rng.choice([-1.0, 1.0]) * rng.uniform(0.85, 1.15)  # the slant that most edges share
    dark = rgb("#1a1613")
    count = 170
    for k in range(count):
        late = k / count
        spread = 0.62 - 0.3 * late
        cy = tall * (0.5 + spread * np.clip(rng.normal(0, 0.55), -1, 1))
        cx = wide * (0.5 + spread * np.clip(rng.normal(0, 0.55), -1, 1))
        size = (0.25 - 0.19 * late**0.7) * np.exp(rng.normal(0, 0.25))
        base = rng.choice([main, main + np.pi / 2, 0.0, np.pi / 2, -main]) + rng.normal(0, 0.1)
        sides = int(rng.integers(3, 6))
        turns = base + np.arange(sides) * (2 * np.pi / sides) + rng.normal(0, 0.2, sides)
        reach = size * np.exp(rng.normal(0, 0.3, sides))
        tones = _TONES[int(rng.choice(5, p=[0.26, 0.22, 0.22, 0.12, 0.18]))]
        level, slope, fade, kind, outline = rng.uniform(0.02, 0.72), rng.uniform(0.35, 0.8), *rng.random(3)
        motif_turn, curved = base + rng.choice([0.0, np.pi / 2]), rng.random()

        box = window(grid, cy, cx, 3.2 * float(reach.max()))
        dy, dx = y[box[0]] - np.float32(cy), x[:, box[1]] - np.float32(cx)
        away = [
            dx * np.float32(np.cos(t)) + dy * np.float32(np.sin(t)) - np.float32(r)
            for t, r in zip(turns, reach, strict=True)
        ]
        if curved < 0.2:
            away[0] = np.sqrt(dx**2 + dy**2) - np.float32(reach[0] * 1.1)
        edge = np.maximum.reduce(away)
        if not (edge < 0.06).any():
            continue
        tight = _around(edge < 0.06)
        box = (
            slice(box[0].start + tight[0].start, box[0].start + tight[0].stop),
            slice(box[1].start + tight[1].start, box[1].start + tight[1].stop),
        )
        here, edge, away, dy, dx = image[box], edge[tight], [one[tight] for one in away], dy[tight[0]], dx[:, tight[1]]
        inside = coverage(grid, edge)
        lean = np.clip(-away[-1] / np.float32(size * 1.8), 0, 1)  # 0 at the lit edge, 1 far from it
        shade = level + slope * (1 - lean) ** 1.5 - 0.14 + 0.035 * soft[box]
        alpha = inside * (1.0 if fade < 0.5 else smoothstep(1.0, 0.25, lean))
        here = mix(here, ramp(tones, shade), alpha * 0.94)
        # what lies beside the lit edge is in shadow
        shadow = np.exp(-np.maximum(edge, 0) / np.float32(0.016)) * (edge > 0) * (away[-1] > -0.002) * (edge < 0.07)
        here = mix(here, dark, 0.5 * shadow)
        if kind < 0.5:
            c, s = np.float32(np.cos(motif_turn)), np.float32(np.sin(motif_turn))
            here = _motif(here, grid, int((kind / 0.5) ** 0.6 * 5), dx * c + dy * s, dy * c - dx * s, alpha)
        if outline < 0.65:
            near = -away[-1] if outline < 0.25 else edge
            here = _line(here, grid, near, 0.0013 + 0.0018 * outline, dark, coverage(grid, edge - 0.002), 0.85)
        image[box] = here
        angle[box] = np.where(inside > 0.5, turns[0] + np.pi / 2, angle[box])

    paint = Paint(image.copy())
    for number, length, width, tint in ((2200, 0.04, 0.013, 0.035), (3600, 0.024, 0.0075, 0.045)):
        stroke_over(
            paint,
            grid,
            rng,
            colors=image,
            angle=angle,
            count=number,
            length=length,
            width=width,
            tint=tint,
            wander=0.15,
        )
    color = mix(paint.color, image, 0.5)  # the drawing stays legible under the touches
    return lit(grid, color, paint.height, 0.002, shade=0.6, gloss=0.15)


STYLE = BuiltinStyle("cubist", "A guitar in overlapping facets: ochre, umber and gray.", _paint)
