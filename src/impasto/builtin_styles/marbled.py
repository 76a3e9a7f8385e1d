"""Marbled paper: colors floating on a bath, drawn out with combs (ebru, suminagashi).

The bath is computed backwards. Each pixel is carried back through the combs and the stylus, then through the drops in
reverse order: a drop of radius ``r`` pushes everything outside it away without changing its area, so that
``P' = C + (P - C) sqrt(1 - r²/|P - C|²)``; whoever ends inside a drop has its color.

Source: Lu, Jaffer, Jin, Zhao and Mao, "Mathematical Marbling", IEEE CG&A 2012, sections 2 and 3.
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
    palette,
    paper,
    rgb,
    smoothstep,
)

_INKS = palette("#12233f", "#a3242b", "#e7b24a", "#f4ead6", "#1d6a6e", "#d9774a", "#274f8c")


def _comb(y: Array, x: Array, turn: float, gap: float, pull: float, sharp: float, phase: float) -> tuple[Array, Array]:
    """Invert a comb of teeth ``gap`` apart that was drawn along ``turn``."""
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    across = (y * c - x * s) / np.float32(gap) + np.float32(phase)
    off = np.abs(across - np.round(across)) * np.float32(gap)
    shift = np.float32(pull) * np.float32(sharp) / (off + np.float32(sharp))
    return y - shift * s, x - shift * c


def _stir(y: Array, x: Array, cy: float, cx: float, pull: float, radius: float) -> tuple[Array, Array]:
    """Invert a turn of the stylus around a point."""
    dy, dx = y - np.float32(cy), x - np.float32(cx)
    away = np.sqrt(dy**2 + dx**2)
    turn = np.float32(pull) * np.exp(-((away / np.float32(radius)) ** 2))
    c, s = np.cos(turn), np.sin(turn)
    return cy + dy * c + dx * s, cx + dx * c - dy * s


def _paint(grid: Grid, rng: np.random.Generator) -> Array:
    tall, wide = grid.tall, grid.wide
    y, x = np.broadcast_arrays(grid.y, grid.x)
    y, x = y + 0.0012 * noise(grid, rng, 0.05), x + 0.0012 * noise(grid, rng, 0.05)
    # last came the stylus: a few whorls, one large
    whorls = [(rng.uniform(0.4, 0.5), rng.uniform(0.38, 0.62), 0.2, 5.2)]
    for k in range(6):
        whorls.append(
            (
                rng.uniform(0.05, 0.95),
                (k + rng.uniform(0.1, 0.9)) / 6,
                rng.uniform(0.06, 0.11),
                rng.choice([-1, 1]) * 3.6,
            )
        )
    for wv, wu, radius, pull in whorls:
        y, x = _stir(y, x, wv * tall, wu * wide, pull, radius)
    # the combs: fine one across, then a wide one to and fro, bent by hand
    x = x + np.float32(0.02) * np.sin(y * 9)
    y, x = _comb(y, x, np.pi / 2, 0.042, 0.075, 0.012, rng.random())
    y = y + np.float32(0.016) * np.sin(x * 7 + 1)
    y, x = _comb(y, x, 0.0, 0.17, 0.2, 0.03, rng.random())
    y, x = _comb(y, x, np.pi, 0.17, 0.2, 0.03, rng.random() * 0.2 + 0.4)
    # the drops, last first; inks dropped on one another make rings
    ink = np.full(y.shape, -1, dtype=np.int8)
    rim = np.full(y.shape, 9.0, dtype=np.float32)
    spots = []
    for _ in range(34):
        spots.append((rng.uniform(-0.25, 1.25) * tall, rng.uniform(-0.2, 1.2) * wide, rng.uniform(0.07, 0.15)))
    for cy, cx, size in spots:
        rings = np.sort(rng.uniform(0.12, 1.0, 5)) ** 0.5
        rings[-1] = 1.0
        codes = rng.permutation(len(_INKS))[:5]
        dy, dx = y - np.float32(cy), x - np.float32(cx)
        away = np.sqrt(dy**2 + dx**2) + np.float32(1e-6)
        free = ink < 0
        inside = free & (away < size)
        ring = np.searchsorted((rings * size).astype(np.float32), away[inside])
        ink[inside] = codes[np.minimum(ring, 4)]
        nearest = np.abs(away[inside][:, None] - (rings * size)[None, :].astype(np.float32)).min(axis=1)
        rim[inside] = nearest
        push = np.sqrt(np.clip(1 - (size / away) ** 2, 0, 1))
        y, x = cy + dy * push, cx + dx * push
    # what no drop reached is the first ink, in stripes
    bare = ink < 0
    stripes = np.floor(7 * np.abs(np.sin(31 * y + 3 * np.sin(9 * x)))).astype(np.int8) % len(_INKS)
    ink = np.where(bare, stripes, ink)
    color = _INKS[ink]
    # gall spots, gilding on some rims, uneven ink, paper
    spread = fbm(grid, rng, 0.09, 3)
    color = color * (1 + 0.045 * spread)[..., None]
    color = mix(color, color * 0.72, np.exp(-rim / 0.0035) * 0.55)
    tooth = paper(grid, rng, 0.004)
    gold = smoothstep(0.0011, 0.0004, np.abs(rim - 0.0016)) * (ink == 0)
    color = mix(color, rgb("#d8b45a"), 0.7 * gold)
    color = mix(color, rgb("#efe4cc"), 0.28 * smoothstep(1.9, 2.7, tooth + 0.3 * spread))
    return lit(grid, color * (1 + 0.02 * tooth)[..., None], tooth, 0.0004, shade=0.4, gloss=0.0)


STYLE = BuiltinStyle(
    "marbled", "Combed marbled paper: navy, madder, gold, cream and sea green in whorls.", _paint, oversample=2
)
