"""ICC profiles: conversion to and from sRGB."""

import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from impasto.io.picture import Floats, three_channels, to_integers

__all__ = ["device_to_rgb", "from_srgb", "to_srgb"]


@dataclass(frozen=True)
class _Shaper:
    """A profile of one curve per channel and a matrix, as nearly all RGB profiles are.

    It is computed here in float, because the color management of Pillow rounds RGB to 8 bits.

    Attributes:
        curves: three tables over [0, 1] from encoded values to linear light, float64.
        matrix: from linear light to XYZ under D50, `(3, 3)` float64.
    """

    curves: tuple[NDArray[np.float64], ...]
    matrix: NDArray[np.float64]

    @cached_property
    def inverses(self) -> tuple[NDArray[np.float64], ...]:
        """Tables over the square root of linear light, with more entries for dark values, as perception needs."""
        return tuple(np.interp(_GRID**2, curve, _GRID) for curve in self.curves)


_GRID: Final = np.linspace(0, 1, 2**18)  # the nearest entry is within an eighth of a 16-bit step


def _look_up(table: NDArray[np.float64], values: NDArray[Any]) -> Floats:
    positions = np.clip(values, 0, 1) * (len(table) - 1) + 0.5
    return np.asarray(table.astype(np.float32)[positions.astype(np.int32)])


def _parametric_curve(tag: bytes) -> NDArray[np.float64]:
    """ICC.1:2022, 10.18: Y = (aX + b)^g + e from d on, cX + f below."""
    kind = int.from_bytes(tag[8:10], "big")
    g, *rest = (np.frombuffer(tag, ">i4", (1, 3, 4, 5, 7)[kind], 12) / 65536).tolist()
    a, b, c, d, e, f = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind in (1, 2):
        a, b, *offset = rest
        d, e, f = -b / a, sum(offset), sum(offset)
    elif kind >= 3:
        a, b, c, d, *offsets = rest
        e, f = offsets or (0.0, 0.0)
    return np.where(d <= _GRID, np.maximum(a * _GRID + b, 0) ** g + e, c * _GRID + f)


def _curve(tag: bytes) -> NDArray[np.float64]:
    """A curve tag as an increasing table over `_GRID`. ICC.1:2022, 10.6 and 10.18."""
    if tag[:4] == b"para":
        table = _parametric_curve(tag)
    else:
        values = np.frombuffer(tag, ">u2", int.from_bytes(tag[8:12], "big"), 12)
        if values.size == 0:
            table = _GRID
        elif values.size == 1:
            table = _GRID ** (values[0] / 256)
        else:
            table = np.interp(_GRID, np.linspace(0, 1, values.size), values / 65535)
    table = np.maximum.accumulate(table)
    if tag[:4] not in (b"para", b"curv") or not np.isfinite(table).all() or table[-1] - table[0] < 0.1:
        raise ValueError("not a curve")
    return table


def _tags(icc: bytes) -> dict[bytes, bytes]:
    count = min(int.from_bytes(icc[128:132], "big"), (len(icc) - 132) // 12)
    entries = struct.iter_unpack(">4sII", icc[132 : 132 + 12 * count])
    return {name: icc[start : start + size] for name, start, size in entries}


@cache
def _srgb() -> _Shaper:
    """IEC 61966-2-1, with primaries adapted to D50 by the Bradford transform (brucelindbloom.com)."""
    numbers = np.round(np.array([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]) * 65536).astype(">i4")
    curve = _curve(b"para\0\0\0\0\0\3\0\0" + numbers.tobytes())
    matrix = [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    return _Shaper((curve,) * 3, np.array(matrix))


@lru_cache(maxsize=4)
def _shaper(icc: bytes) -> _Shaper | None:
    """Return a profile as curves and a matrix; None for a lookup table, which only Pillow can apply."""
    tags = _tags(icc)
    if b"A2B0" in tags or b"rXYZ" not in tags:
        return None
    curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    primaries = [tags[name] for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    if any(tag[:4] != b"XYZ " for tag in primaries):
        raise ValueError("primaries of a wrong type")
    matrix = np.stack([np.frombuffer(tag, ">i4", 3, 8) / 65536 for tag in primaries], axis=1)
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise ValueError("primaries on one line")
    ends = np.array([curve[-1] for curve in curves])
    if np.abs(matrix @ (ends / ends.mean()) - _D50).max() > _OFF_WHITE:
        raise ValueError("white is not white")
    return _Shaper(curves, matrix)


_D50: Final = np.array([0.9642, 1.0, 0.8249])  # white of the profile connection space, ICC.1:2022, 7.2.16
_OFF_WHITE: Final = 0.05  # how far the white of a profile may be from it


def _shape(rgb: Floats, source: _Shaper, target: _Shaper) -> Floats:
    """Convert `(H, W, 3)` between two profiles, in bands of rows to save memory."""
    matrix = (np.linalg.inv(target.matrix) @ source.matrix).astype(np.float32)
    result = np.empty_like(rgb)
    step = max(1, 1_000_000 // rgb.shape[1])
    for top in range(0, len(rgb), step):
        band = rgb[top : top + step]
        light = np.stack([_look_up(source.curves[c], band[..., c]) for c in range(3)], axis=-1) @ matrix.T
        for c in range(3):
            result[top : top + step, :, c] = _look_up(target.inverses[c], np.sqrt(light[..., c].clip(0)))
    return result


def convert_colors(rgb: Floats, icc: bytes, back: bool = False) -> Floats:
    """Convert from a profile to sRGB, or with `back` from sRGB; in float for curves and a matrix, else in 8 bits."""
    shaper = _shaper(icc)
    if shaper:
        return _shape(rgb, _srgb(), shaper) if back else _shape(rgb, shaper, _srgb())
    own, srgb = ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile("sRGB")
    source, target = (srgb, own) if back else (own, srgb)
    image = ImageCms.profileToProfile(Image.fromarray(to_integers(rgb, 8)), source, target, outputMode="RGB")
    return np.asarray(image, np.float32) / np.float32(255)


def _space(icc: bytes | None) -> str:
    """Return the color space of a profile: "RGB", "CMYK", "GRAY"…, or "" for none or a broken one."""
    try:
        return ImageCms.ImageCmsProfile(BytesIO(icc or b"")).profile.xcolor_space.strip()
    except (OSError, ImageCms.PyCMSError):
        return ""


def to_srgb(colors: Floats, icc: bytes | None, name: str, notes: list[str]) -> tuple[Floats, bytes | None]:
    """Convert `(H, W, 1 or 3)` to sRGB `(H, W, 3)`.

    It also returns the profile if the result should be converted back: RGB, not sRGB itself, and invertible. A
    damaged profile, or one of another color space, counts as sRGB, and a note says so.
    """
    rgb = three_channels(colors)
    if icc is None:
        return rgb, None
    space, gray = _space(icc), colors.shape[2] == 1
    try:
        if space == "GRAY" and gray:
            return _gray_to_srgb(colors, icc), None
        if space != "RGB":
            raise ValueError("another color space")
        probe = np.stack(np.meshgrid(*[np.linspace(0, 1, 6, dtype=np.float32)] * 3), axis=-1).reshape(12, 18, 3)
        found = convert_colors(probe, icc)
        if np.ptp(found[-1, -1]) > _TINTED:
            raise ValueError("white is not white")
        if np.abs(found - probe).max() <= 1.01 / 255:
            return rgb, None
        rgb = convert_colors(rgb, icc)
    except _DAMAGES:
        fits = space in ("RGB", "") or (space == "GRAY" and gray)
        what = "a damaged color profile" if fits else f"a color profile of another color space, {space}"
        notes.append(f"{name} has {what}; its colors count as sRGB")
        return rgb, None
    return rgb, icc if from_srgb(probe, icc)[1] else None


_TINTED: Final = 0.15  # the difference of the channels of white that no profile makes
_DAMAGES: Final = (ImageCms.PyCMSError, OSError, ValueError, KeyError, IndexError, struct.error, ZeroDivisionError)


def from_srgb(rgb: Floats, icc: bytes | None) -> tuple[Floats, bytes | None]:
    """Convert sRGB to the own profile of a picture; return sRGB and no profile if that fails."""
    try:
        return (rgb, None) if icc is None else (convert_colors(rgb, icc, back=True), icc)
    except _DAMAGES:
        return rgb, None


def _gray_to_srgb(gray: Floats, icc: bytes) -> Floats:
    light = _look_up(_curve(_tags(icc)[b"kTRC"]), gray)
    return three_channels(_look_up(_srgb().inverses[0], np.sqrt(light)))


def device_to_rgb(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """Convert CMYK or Lab to sRGB, by the own profile of the picture if it fits; else a note says so."""
    icc = image.info.get("icc_profile")
    profile = None
    if image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    elif icc and _space(icc) == "CMYK":
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
    if profile:
        with suppress(ImageCms.PyCMSError):
            done = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            assert done is not None
            return done
    if icc:
        notes.append(f"{name} has a color profile that is damaged or not of its inks; it is left out")
    return image.convert("RGB")
