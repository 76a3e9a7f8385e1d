"""Color tags of PNG and AVIF other than ICC profiles: code points, gamma and chromaticities, as an ICC profile.

Source: Portable Network Graphics (PNG) Specification (Third Edition), W3C, section 11.3.2; ITU-T H.273 (2021), tables 2
and 3; ISO 23008-12 and 14496-12 (boxes of AVIF); ICC.1:2022.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColorTags", "avif_properties", "read_avif_tags", "read_pillow_tags", "read_png_tags"]


class ColorTags(NamedTuple):
    """The meaning of the colors of a file, by its tags.

    Attributes:
        icc: a profile of the same meaning; None for sRGB.
        narrow: whether black is 16 and white 235 of 255.
        range: "PQ" or "HLG" if the file has a high dynamic range, of which the profile keeps what is darker than
            diffuse white; else "".
        damaged: whether tags have impossible values, and are ignored.
    """

    icc: bytes | None = None
    narrow: bool = False
    range: str = ""
    damaged: bool = False


_Chromaticities = tuple[tuple[float, float], ...]  # of white, red, green and blue

_D65: Final = (0.3127, 0.3290)
_SRGB: Final = (_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_BT601: Final = (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_PRIMARIES: Final[dict[int, _Chromaticities]] = {  # H.273, table 2; 2 is "unspecified"
    1: _SRGB,
    2: _SRGB,
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: _BT601,
    7: _BT601,
    8: ((0.310, 0.316), (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: ((1 / 3, 1 / 3), (1, 0), (0, 1), (0, 0)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}

_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709: Final = (1 / 0.45, 1 / 1.099296826809442, 0.099296826809442 / 1.099296826809442, 1 / 4.5, 0.081242858298635)
_CURVES: Final[dict[int, tuple[float, ...]]] = {  # H.273, table 3, as parametric curves of ICC: g, or g, a, b, c, d
    **dict.fromkeys((1, 6, 11, 12, 14, 15), _BT709),
    **dict.fromkeys((2, 13), _SRGB_CURVE),
    4: (2.2,),
    5: (2.8,),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0912),
    8: (1.0,),
    17: (2.6,),
}
_RANGES: Final = {16: "PQ", 18: "HLG"}
_DIFFUSE_WHITE: Final = 203  # cd/m², ITU-R BT.2408


def _pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The light of SMPTE ST 2084 in cd/m²."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1))


def _hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The light of hybrid log-gamma, ITU-R BT.2100, on a display of 1000 cd/m², in cd/m².

    Differs: the system gamma 1.2 acts on each channel, not on the luminance.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.asarray(1000 * scene**1.2)


def read_png_tags(data: bytes) -> ColorTags | None:
    """Return what the chunks of a PNG file say; None if an ICC profile says it, or nothing does.

    The order is that of the specification: cICP, iCCP, sRGB, then gAMA and cHRM.
    """
    chunks = dict(_chunks(data))
    if b"cICP" in chunks:
        code = chunks[b"cICP"]
        if len(code) != 4 or code[2] != 0 or code[3] > 1:
            return ColorTags(damaged=True)
        return _of_code_points(code[0], code[1], narrow=code[3] == 0)
    if b"iCCP" in chunks or b"sRGB" in chunks or not {b"gAMA", b"cHRM"} & chunks.keys():
        return None
    try:
        gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 100_000 if b"gAMA" in chunks else None
        places = [one / 100_000 for one in struct.unpack(">8I", chunks[b"cHRM"])] if b"cHRM" in chunks else None
    except struct.error:
        return ColorTags(damaged=True)
    return _of_gamma(gamma, places)


def read_pillow_tags(info: dict[Any, Any]) -> ColorTags | None:
    """Return what Pillow knows of the gamma and the chromaticities of a PNG; None if a profile says it, or nothing."""
    gamma, places = info.get("gamma"), info.get("chromaticity")
    if info.get("icc_profile") or "srgb" in info or (gamma is None and places is None):
        return None
    return _of_gamma(gamma, places)


def _of_gamma(gamma: float | None, places: Sequence[float] | None) -> ColorTags:
    if gamma is not None and not 0.1 <= gamma <= 10:
        return ColorTags(damaged=True)
    curve = _parametric(_SRGB_CURVE if gamma is None else (1 / gamma,))
    return _tags(_SRGB if places is None else tuple(zip(places[::2], places[1::2], strict=True)), curve)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file before its pixels."""
    place = 8
    while data[:4] == b"\x89PNG" and place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"IDAT":
            return
        yield name, data[place + 8 : place + 8 + length]
        place += 12 + length


def read_avif_tags(properties: dict[bytes, bytes]) -> ColorTags | None:
    """Return what the code points of an AVIF file say; None if it has none."""
    colors = properties.get(b"colr", b"")
    if colors[:4] != b"nclx" or len(colors) < 8:
        return None
    primaries, transfer = struct.unpack_from(">HH", colors, 4)
    return _of_code_points(primaries, transfer, narrow=False)  # the decoder gives the full range


def avif_properties(data: bytes) -> dict[bytes, bytes]:
    """Return the properties of the primary item of an AVIF file, by the names of their boxes."""
    found: dict[bytes, bytes] = {}
    try:
        meta = dict(_boxes(dict(_boxes(data))[b"meta"][4:]))
        primary = meta[b"pitm"]
        number = int.from_bytes(primary[4:] if primary[0] else primary[4:6], "big")
        parts = dict(_boxes(meta[b"iprp"]))
        boxes = list(_boxes(parts[b"ipco"]))
        for index in _associated(parts[b"ipma"], number):
            name, content = boxes[index - 1]
            if index and (name != b"colr" or content[:4] == b"nclx"):  # there may be a profile beside
                found[name] = content
    except (KeyError, IndexError, struct.error):
        pass
    return found


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, place + 8)[0], 16
        end = len(data) if size == 0 else place + size
        yield name, data[place + head : end]
        if end <= place:
            return
        place = end


def _associated(data: bytes, wanted: int) -> Iterator[int]:
    """Yield the numbers of the properties of an item, from 1, as an ipma box has them."""
    version, flags = data[0], data[3]
    place = 8
    item, number = (">I", 4) if version else (">H", 2)
    for _ in range(struct.unpack_from(">I", data, 4)[0]):
        here = struct.unpack_from(item, data, place)[0]
        count = data[place + number]
        place += number + 1
        for _ in range(count):
            index = struct.unpack_from(">H", data, place)[0] & 0x7FFF if flags & 1 else data[place] & 0x7F
            place += 2 if flags & 1 else 1
            if here == wanted:
                yield index


def _of_code_points(primaries: int, transfer: int, narrow: bool) -> ColorTags:
    places = _PRIMARIES.get(primaries)
    high = _RANGES.get(transfer, "")
    if places is None or (transfer not in _CURVES and not high):
        return ColorTags(damaged=True)
    if high:
        grid = np.linspace(0, 1, 4096)
        light = (_pq if high == "PQ" else _hlg)(grid) / _DIFFUSE_WHITE
        return _tags(places, _table(light.clip(0, 1)), narrow, high)
    if places == _SRGB and _CURVES[transfer] == _SRGB_CURVE:
        return ColorTags(narrow=narrow)
    return _tags(places, _parametric(_CURVES[transfer]), narrow)


def _tags(places: Any, curve: bytes, narrow: bool = False, high: str = "") -> ColorTags:
    try:
        matrix = _to_d50(places)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return ColorTags(damaged=True)
    if not np.isfinite(matrix).all() or np.abs(matrix).max() > 10 or abs(np.linalg.det(matrix)) < 1e-3:
        return ColorTags(damaged=True)
    return ColorTags(_profile(matrix, curve), narrow, high)


_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50: Final = np.array([0.9642, 1.0, 0.8249])


def _to_d50(places: _Chromaticities) -> NDArray[np.float64]:
    """Return the matrix from linear light to XYZ under D50, adapted by the Bradford transform.

    Source: SMPTE RP 177-1993; ICC.1:2022, annex E.
    """
    (x, y), *primaries = places
    white = np.array([x, y, 1 - x - y]) / float(y)
    columns = np.array([(x, y, 1 - x - y) for x, y in primaries]).T
    to_xyz = columns * np.linalg.solve(columns, white)
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.asarray(np.linalg.solve(_BRADFORD, scale[:, None] * (_BRADFORD @ to_xyz)))


# ── profiles ─────────────────────────────────────────────────────────────────────────────────────


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _parametric(numbers: tuple[float, ...]) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">Hxx", 0 if len(numbers) == 1 else 3) + _fixed(*numbers)


def _table(values: NDArray[np.float64]) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">I", len(values)) + np.round(values * 65535).astype(">u2").tobytes()


def _text(text: str) -> bytes:
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", 2 * len(text), 28) + text.encode("utf-16-be")


def _profile(matrix: NDArray[np.float64], curve: bytes) -> bytes:
    """Return an RGB display profile of version 4, of a matrix to XYZ under D50 and one curve."""
    tags = {b"desc": _text("Color tags of the file"), b"cprt": _text("No copyright"), b"wtpt": _xyz(_D50)}
    tags |= {name: _xyz(matrix[:, c]) for c, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    places: dict[bytes, int] = {}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        place = places.setdefault(content, start + len(body))
        if place == start + len(body):
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, place, len(content))
    header = struct.pack(">I4xI4s4s4s", start + len(body), 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*_D50) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)
