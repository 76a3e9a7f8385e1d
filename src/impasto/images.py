"""Pictures in and out: every odd file becomes upright sRGB in [0, 1], and goes back the way it came.

Pillow and OpenImageIO stay inside this module. Pillow reads everything but 16-bit colour, which it
silently halves to 8; OpenImageIO reads that.
"""

import hashlib
import json
import math
import os
import secrets
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageFont, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from impasto.errors import FileExists, ImageError, OptionError

__all__ = [
    "Floats",
    "Picture",
    "Stroke",
    "Words",
    "check_film",
    "check_place",
    "check_target",
    "draft",
    "drawing",
    "find_pictures",
    "load",
    "printable",
    "read_metadata",
    "resize",
    "resize_to",
    "save",
    "save_film",
    "sheet",
    "to_pil",
    "whole",
]

Floats = NDArray[np.float32]

MAX_MEGAPIXELS: Final = 500

# What Pillow may try. Not the ones that start other programs (EPS) or that any text could pass for (XBM).
_READABLE: Final = (
    "JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "DIB", "PPM", "JPEG2000", "TGA", "QOI", "ICO", "PSD",
    "SGI", "PCX", "DDS",
)  # fmt: skip
MOVING: Final = {".webp": "WEBP", ".gif": "GIF"}  # what `save_film` writes
_WRITABLE: Final = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
_DEVICE_MODES: Final = ("CMYK", "LAB")  # become sRGB while they are decoded
_DEEP: Final = ("PNG", "TIFF")  # formats we write with 16 bits per channel
_ROWS: Final = 32  # of a picture, rounded to whole numbers at once: as much as a processor keeps at hand


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as painting needs it, and what is needed to write it back the way it came.

    Attributes:
        pixels: `(H, W, 3)` float32, sRGB-encoded RGB in [0, 1], upright.
        alpha: `(H, W)` float32 in [0, 1], or None where every pixel is opaque by format.
        icc: the file's own RGB profile if it was not sRGB; `save` converts back to it and embeds it.
        exif: author, date, copyright, camera and place, without orientation and thumbnail.
        dpi: horizontal and vertical dots per inch.
        depth: bits per channel of the source, 8 or 16.
        name: the file's stem, or "".
        digest: sha256 of the file's bytes, or of the pixels when they came from memory.
    """

    pixels: Floats
    alpha: Floats | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    depth: int = 8
    name: str = ""
    digest: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.pixels.shape[:2]
        return height, width


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def load(source: object, *, digest: bool = True) -> Picture:
    """Read a picture from wherever it is.

    Files may be of any depth, color mode, profile and orientation; of animations the first frame is
    taken. A broken color profile counts as sRGB. Depth is kept for 16-bit PNG and TIFF, but not for
    CMYK and Lab, which are converted with 8 bits.

    Args:
        source: a path, a `PIL.Image.Image`, an array or a `Picture` (returned as it is). Arrays are
            `(H, W)`, `(H, W, 3)` or `(H, W, 4)`: uint8, uint16, or float in [0, 1].
        digest: whether that of what comes from memory is taken, for records; it is a tenth of the time that a
            light network paints.

    Returns:
        The picture; its arrays are its own.

    Raises:
        ImageError: it is missing, damaged, too large, or not a picture.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        return _remembered(_from_pillow(source), digest)
    if isinstance(source, np.ndarray):
        return _remembered(_from_array(source), digest)
    if isinstance(source, str | os.PathLike):
        return _from_file(Path(source))
    kind = type(source).__name__
    raise ImageError(f"A {kind} is not a picture; expected a path, an array, a PIL image or a Picture.")


def _from_file(path: Path) -> Picture:
    data = _read_bytes(path)
    with _decoding(_called(path)):
        image = _open(path, data)
        if image is None or _is_deep(image, data):
            if image is not None and image.format == "PNG":
                image.load()  # tells damage in its own words, and finds EXIF behind the pixels
            picture = _upright(*_read_deep(path), 16, _notes(image, data))
        else:
            image.load()
            picture = _upright(*_channels(image), _notes(image, data))
    return replace(picture, name=path.stem, digest=hashlib.sha256(data).hexdigest())


def _from_pillow(image: Image.Image) -> Picture:
    path = getattr(image, "filename", "") or ""
    with _decoding(_called(Path(path)) if path else "The PIL image"):
        _check_size("The PIL image", image)
        image.load()
        picture = _upright(*_channels(image), _notes(image, b""))
    return replace(picture, name=Path(path).stem)


def _from_array(array: NDArray[Any]) -> Picture:
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or 0 in array.shape:
        hint = " Move its channels last." if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        shape = array.shape
        raise ImageError(f"An array of shape {shape} is no picture; expected (H, W), (H, W, 3) or (H, W, 4).{hint}")
    if array.dtype.kind == "f":
        values = _checked_range(array)
    elif array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        values = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    else:
        raise ImageError(f"An array of {array.dtype} is no picture; expected uint8, uint16, or float from 0 to 1.")
    values = values.reshape(*array.shape[:2], -1)
    alpha = values[..., 3].copy() if values.shape[2] == 4 else None
    depth = 16 if array.dtype.itemsize == 2 and array.dtype.kind == "u" else 8
    return Picture(_three_channels(values[..., :3]), alpha, depth=depth)


def _checked_range(array: NDArray[Any]) -> Floats:
    """Refuse what is not a number or far outside [0, 1]; forgive what resizing overshoots."""
    if not np.isfinite(array).all():
        raise ImageError("The array holds NaN or infinity; expected numbers from 0 to 1.")
    low, high = float(array.min()), float(array.max())
    if low < -0.01 or high > 1.01:
        raise ImageError(f"The array holds values from {low:g} to {high:g}; expected 0 to 1. Divide it, or give uint8.")
    return np.asarray(np.clip(array, 0, 1), np.float32)


def _remembered(picture: Picture, wanted: bool) -> Picture:
    """Add the digest of a picture that came from memory, if it is wanted."""
    if not wanted:
        return picture
    digest = hashlib.sha256(repr(picture.size).encode() + picture.pixels.tobytes())
    digest.update(b"" if picture.alpha is None else picture.alpha.tobytes())
    return replace(picture, digest=digest.hexdigest())


def _read_bytes(path: Path) -> bytes:
    name = _called(path)
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise ImageError(f"{name} does not exist; expected a picture file. Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder; expected a picture file. Name one inside it.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read; allow it in the file's permissions, or copy it.") from None
    except OSError as error:
        raise _unreadable(name, _reason(error)) from error


_PILLOW = threading.RLock()


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Give Pillow room for large photographs, keep its warnings quiet, and say its errors in one sentence.

    The limit and the warning filters belong to the whole process, so one picture is decoded at a time.
    """
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        except ImageError:
            raise
        except MemoryError as error:
            raise ImageError(f"{name} needs more memory than there is; make it smaller first.") from error
        except Exception as error:  # decoders meet damage with every kind of exception there is
            raise _unreadable(name, _reason(error)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open(path: Path, data: bytes) -> Image.Image | None:
    """Open without decoding; None for a TIFF that only OpenImageIO may know."""
    name = _called(path)
    try:
        image = Image.open(BytesIO(data), formats=_READABLE)
    except UnidentifiedImageError:
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return None
        raise _unreadable(name, _what_instead(data)) from None
    _check_size(name, image)
    return image


def _check_size(name: str, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise ImageError(
            f"{name} is {width}×{height} px; expected at most {MAX_MEGAPIXELS} megapixels. Make it smaller first."
        )
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width}×{height} px; expected at least 1×1.")


_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")  # TIFF's is looked at elsewhere


def _what_instead(data: bytes) -> str:
    """Say what bytes are that no decoder knows."""
    if not data:
        return "the file is empty"
    if data.startswith(_SIGNATURES) or data[4:12] == b"ftypavif":
        return "it is damaged or cut short"
    if data[4:8] == b"ftyp":
        return "it is HEIC or video"
    signs = {b"%PDF": "a PDF", b"<svg": "an SVG drawing", b"<!doctype html": "a web page", b"<html": "a web page"}
    for sign, what in signs.items():
        if sign in data[:300].lower() or sign in data[:300]:
            return f"it is {what}"
    with suppress(UnicodeDecodeError):
        if data[:300].decode().isprintable() or b"\n" in data[:300]:
            return "it is text"
    return "its contents are none we know"


def _unreadable(name: str, reason: str) -> ImageError:
    return ImageError(f"{name} is not a picture that can be read ({reason}); expected {_listed(_WRITABLE.values())}.")


def _listed(names: Iterable[str]) -> str:
    *most, last = dict.fromkeys(names)
    return f"{', '.join(most)} or {last}"


def _called(path: Path) -> str:
    """The file's name, fit for one line: unprintable characters replaced, the middle of a long one left out."""
    name = "".join(c if c.isprintable() else "?" for c in path.name or str(path))
    return name if len(name) <= 64 else f"{name[:40]}…{name[-20:]}"


def _reason(error: BaseException) -> str:
    """An exception's words on one short line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= 100 else f"{text[:99]}…"


# ── pixels of a decoded image ────────────────────────────────────────────────────────────────────


def _channels(image: Image.Image) -> tuple[Floats, Floats | None, int]:
    """Split a decoded Pillow image of any mode.

    Returns:
        Colors `(H, W, 1 or 3)`, alpha `(H, W)` or None, both in [0, 1], and the bits per channel.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image, np.float32)[..., None] / np.float32(65535), None, 16
    if image.mode in ("I", "F"):
        return _guessed_range(np.asarray(image))[..., None], None, 16
    if image.mode in _DEVICE_MODES:
        image = _device_to_rgb(image)
    target = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    target += "A" * image.has_transparency_data
    image = image if image.mode == target else image.convert(target)
    values = np.divide(np.asarray(image), np.float32(255), dtype=np.float32)
    values = values.reshape(*values.shape[:2], -1)
    return (values[..., :-1], values[..., -1], 8) if target.endswith("A") else (values, None, 8)


def _guessed_range(values: NDArray[Any]) -> Floats:
    """Bring numbers without a declared range to [0, 1], dividing by 1, 255 or 65535 as they need.

    Whole numbers are never taken for [0, 1].
    """
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    high = float(values.max())
    scale = 1 if values.dtype.kind == "f" and high <= 1.01 else 255 if high <= 255 else 65535
    return np.asarray(np.clip(values / scale, 0, 1), np.float32)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow would halve the depth: PNG of 16 bits, TIFF of more than 8 that is not CMYK or Lab."""
    if image.format == "PNG":
        return data[24] == 16  # IHDR: width, height, then bits per channel
    if image.format != "TIFF":
        return False
    tags = image.getexif()
    bits = tags.get(258, 1)
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8 and tags.get(262) not in (5, 8)


def _read_deep(path: Path) -> tuple[Floats, Floats | None]:
    """Read a PNG or TIFF at full depth: colors `(H, W, 1 or 3)` and alpha `(H, W)`, in [0, 1]."""
    import OpenImageIO as oiio  # noqa: N813  heavy, and few pictures need it

    wish = oiio.ImageSpec()
    wish.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), wish)
    if source is None:
        raise ValueError(oiio.geterror())
    try:
        spec = source.spec()
        if spec.width * spec.height > MAX_MEGAPIXELS * 1_000_000:
            raise ValueError(f"{spec.width}×{spec.height} px are more than {MAX_MEGAPIXELS} megapixels")
        whole = "int" in str(spec.format)
        values = source.read_image(0, 0, 0, spec.nchannels, "uint16" if whole else "float")
        if values is None:
            raise ValueError(source.geterror())
    finally:
        source.close()
    values = values.reshape(spec.height, spec.width, spec.nchannels)
    return _arrange(values.astype(np.float32) / np.float32(65535) if whole else values, spec)


def _arrange(values: Floats, spec: Any) -> tuple[Floats, Floats | None]:
    """Sort OpenImageIO's channels into colors and straight alpha."""
    colors = values[..., : 3 if spec.nchannels - (spec.alpha_channel >= 0) >= 3 else 1]
    if "int" not in str(spec.format):
        colors = _guessed_range(colors)
    if spec.get_int_attribute("tiff:PhotometricInterpretation", -1) == 0:  # white is zero
        colors = 1 - colors
    if spec.alpha_channel < 0:
        return colors, None
    alpha = np.clip(values[..., spec.alpha_channel], 0, 1)
    if not spec.get_int_attribute("oiio:UnassociatedAlpha", 0):
        colors = np.divide(colors, alpha[..., None], out=np.zeros_like(colors), where=alpha[..., None] > 0).clip(0, 1)
    return colors, alpha


def _three_channels(values: Floats) -> Floats:
    """Repeat a gray channel; contiguous. What is so already, and so was made here, is not copied."""
    if values.shape[2] == 3:
        return np.ascontiguousarray(values, np.float32)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), np.float32, order="C")


_TURNS: Final[dict[int, Callable[[Floats], Floats]]] = {  # EXIF orientation → upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def _upright(colors: Floats, alpha: Floats | None, depth: int, notes: "_Notes") -> Picture:
    """Put together what was read, turned upright and in sRGB."""
    rgb, icc = _to_srgb(colors, notes.icc)
    orientation = notes.exif.get(ExifTags.Base.Orientation)
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    dpi = notes.dpi
    if turn:
        rgb, alpha = turn(rgb), None if alpha is None else turn(alpha)
        dpi = dpi[::-1] if dpi and orientation in (5, 6, 7, 8) else dpi
    alpha = None if alpha is None else np.array(alpha, order="C")
    return Picture(_three_channels(rgb), alpha, icc, _portable_exif(notes.exif), dpi, depth)


# ── EXIF and resolution ──────────────────────────────────────────────────────────────────────────

# What says who, when and with what. The rest of the main directory describes the file's own layout.
_KEPT_TAGS: Final = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.Base.Rating,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
)
# What painting makes untrue, or what does not survive being moved.
_DROPPED_TAGS: Final = (
    ExifTags.Base.MakerNote,
    ExifTags.Base.ColorSpace,
    ExifTags.Base.ExifImageWidth,
    ExifTags.Base.ExifImageHeight,
    ExifTags.Base.ExifInteroperabilityOffset,
)
_DIRECTORIES: Final = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


class _Notes(NamedTuple):
    """What a file says besides its pixels."""

    icc: bytes | None  # unless it was for decoding only, as those of CMYK are
    exif: Image.Exif
    dpi: tuple[float, float] | None


def _notes(image: Image.Image | None, data: bytes) -> _Notes:
    exif = Image.Exif()
    with suppress(Exception):  # damaged EXIF is no reason to refuse a picture
        if image is None:
            exif.load(data)  # a TIFF file is laid out as EXIF is
        else:
            exif = image.getexif()
    info = {} if image is None else image.info
    icc = info.get("icc_profile") or exif.get(TiffImagePlugin.ICCPROFILE)
    used_up = image is not None and image.mode in _DEVICE_MODES
    return _Notes(icc if isinstance(icc, bytes) and not used_up else None, exif, _dpi(info, exif))


def _dpi(info: dict[Any, Any], exif: Image.Exif) -> tuple[float, float] | None:
    pair = info.get("dpi")
    if pair is None and exif.get(ExifTags.Base.ResolutionUnit, 2) in (2, 3):
        per_inch = 2.54 if exif.get(ExifTags.Base.ResolutionUnit) == 3 else 1
        with suppress(TypeError, ValueError, ZeroDivisionError):
            pair = (exif[t] * per_inch for t in (ExifTags.Base.XResolution, ExifTags.Base.YResolution) if t in exif)
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        x, y = (float(value) for value in pair)  # type: ignore[union-attr]
        if min(x, y) > 1 and max(x, y) < 1e5:
            return x, y
    return None


def _portable_exif(exif: Image.Exif) -> bytes | None:
    """The entries worth keeping, as `Image.Exif.tobytes` lays them out."""
    kept = Image.Exif()
    try:
        kept.update({tag: exif[tag] for tag in _KEPT_TAGS if tag in exif})
        for directory in _DIRECTORIES:
            entries = {tag: value for tag, value in exif.get_ifd(directory).items() if tag not in _DROPPED_TAGS}
            if entries:
                kept[directory] = entries
        return kept.tobytes() if len(kept) else None
    except Exception:  # entries of impossible types cannot be written again
        return None


# ── color profiles ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Shaper:
    """A profile that is one curve per channel and a matrix, as nearly all RGB profiles are.

    Computed here in float, because Pillow's color management rounds RGB to 8 bits.

    Attributes:
        curves: three tables over [0, 1] of the light each value means, float64.
        matrix: leads from light to XYZ under D50, `(3, 3)` float64.
    """

    curves: tuple[NDArray[np.float64], ...]
    matrix: NDArray[np.float64]

    @cached_property
    def inverses(self) -> tuple[NDArray[np.float64], ...]:
        """Tables over the square root of light, which spends their entries where eyes are keen."""
        return tuple(np.interp(_GRID**2, curve, _GRID) for curve in self.curves)


_GRID: Final = np.linspace(0, 1, 2**18)  # the nearest entry is then within an eighth of a 16-bit step


def _look_up(table: NDArray[np.float64], values: NDArray[Any]) -> Floats:
    places = np.clip(values, 0, 1) * (len(table) - 1) + 0.5
    return np.asarray(table.astype(np.float32)[places.astype(np.int32)])


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
    """A curve tag as a rising table over `_GRID`. ICC.1:2022, 10.6 and 10.18."""
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
    """A profile as curves and a matrix; None where it is a table, which only Pillow can apply."""
    tags = _tags(icc)
    if b"A2B0" in tags or b"rXYZ" not in tags:
        return None
    curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    columns = [np.frombuffer(tags[name], ">i4", 3, 8) / 65536 for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    matrix = np.stack(columns, axis=1)
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise ValueError("primaries on one line")
    return _Shaper(curves, matrix)


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


def _convert(rgb: Floats, icc: bytes, back: bool = False) -> Floats:
    """Convert from a profile to sRGB, or `back`: in float for curves and a matrix, else with 8 bits."""
    shaper = _shaper(icc)
    if shaper:
        return _shape(rgb, _srgb(), shaper) if back else _shape(rgb, shaper, _srgb())
    own, srgb = ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile("sRGB")
    source, target = (srgb, own) if back else (own, srgb)
    image = ImageCms.profileToProfile(Image.fromarray(whole(rgb, 8)), source, target, outputMode="RGB")
    return np.asarray(image, np.float32) / np.float32(255)


def _space(icc: bytes | None) -> str:
    """The color space a profile describes: "RGB", "CMYK", "GRAY"…, or "" for none or a broken one."""
    try:
        return ImageCms.ImageCmsProfile(BytesIO(icc or b"")).profile.xcolor_space.strip()
    except (OSError, ImageCms.PyCMSError):
        return ""


def _to_srgb(colors: Floats, icc: bytes | None) -> tuple[Floats, bytes | None]:
    """Convert `(H, W, 1 or 3)` to sRGB `(H, W, 3)`.

    Also returns the profile, if it is worth converting back to: RGB, not sRGB itself, and usable both ways.
    A profile that is broken or of another color space is ignored.
    """
    space = _space(icc)
    rgb = _three_channels(colors)
    if icc is None or space not in ("RGB", "GRAY"):
        return rgb, None
    try:
        if space == "GRAY":
            return (_gray_to_srgb(colors, icc) if colors.shape[2] == 1 else rgb), None
        probe = np.stack(np.meshgrid(*[np.linspace(0, 1, 6, dtype=np.float32)] * 3), axis=-1).reshape(12, 18, 3)
        if np.abs(_convert(probe, icc) - probe).max() <= 1.01 / 255:
            return rgb, None
        rgb = _convert(rgb, icc)
    except (ImageCms.PyCMSError, ValueError, KeyError, IndexError, struct.error, ZeroDivisionError):
        return rgb, None
    return rgb, icc if _from_srgb(probe, icc)[1] else None


def _from_srgb(rgb: Floats, icc: bytes | None) -> tuple[Floats, bytes | None]:
    """Convert sRGB to a picture's own profile; sRGB and no profile where that cannot be done."""
    try:
        return (rgb, None) if icc is None else (_convert(rgb, icc, back=True), icc)
    except (ImageCms.PyCMSError, OSError, ValueError, KeyError, IndexError, struct.error, ZeroDivisionError):
        return rgb, None


def _gray_to_srgb(gray: Floats, icc: bytes) -> Floats:
    light = _look_up(_curve(_tags(icc)[b"kTRC"]), gray)
    return _three_channels(_look_up(_srgb().inverses[0], np.sqrt(light)))


def _device_to_rgb(image: Image.Image) -> Image.Image:
    """Convert CMYK or Lab to sRGB, by the picture's own profile where it fits."""
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
    return image.convert("RGB")


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


def save(
    path: str | os.PathLike[str],
    picture: Picture,
    *,
    metadata: dict[str, Any] | None = None,
    force: bool = False,
    depth: int | None = None,
    quality: int = 95,
) -> Path:
    """Write a picture; the file appears complete or not at all.

    The picture's profile, EXIF and resolution go with it. Without a profile none is embedded: untagged
    pictures are sRGB everywhere, and the same pixels then make the same bytes. Alpha is kept, except in
    JPEG, which cannot hold it and gets white behind the picture.

    Args:
        path: where to; the suffix chooses the format.
        picture: what to write; values outside [0, 1] are clamped.
        metadata: what `read_metadata` shall find again, anything JSON can hold.
        force: overwrite a file that is there.
        depth: bits per channel, 8 or 16; by default the picture's own, where the format can.
        quality: 1 to 100, for JPEG, WebP and AVIF; at 100, WebP is lossless.

    Returns:
        The path.

    Raises:
        FileExists: there is such a file, and `force` is off.
        ImageError: unknown suffix, missing folder, NaN in the pixels, or the file cannot be written.
        OptionError: `depth` or `quality` is out of range.
    """
    path = Path(path)
    check_target(path, force)
    kind = _format_of(path)
    if not 1 <= quality <= 100:
        raise OptionError(f"quality is {quality}; expected 1 to 100.")
    if depth not in ((None, 8, 16) if kind in _DEEP else (None, 8)):
        raise OptionError(f"depth is {depth}; expected 8 for {kind}, or 16 with {_listed(_DEEP)}.")
    chosen = depth or (picture.depth if kind in _DEEP else 8)
    try:
        data = _encode(_checked(picture), kind, chosen, quality, _as_json(path, metadata))
    except ImageError as error:
        raise ImageError(f"{_called(path)} cannot be written: {error}") from None
    except (OSError, ValueError, KeyError, struct.error, MemoryError, OverflowError) as error:
        reason = f"cannot be written as {kind} ({_reason(error)}); try another format."
        raise ImageError(f"{_called(path)} {reason}") from error
    _put(path, data, force)
    return path


def save_film(
    path: str | os.PathLike[str], frames: Sequence[NDArray[Any]], *, seconds: float, force: bool = False
) -> Path:
    """Write pictures as one that moves and begins again; the last one stays three times as long.

    Args:
        path: where to; .webp, or .gif, which has 256 colors.
        frames: arrays `(H, W, 3)` of one size, float in [0, 1].
        seconds: how long each is shown.
        force: overwrite a file that is there.

    Raises:
        FileExists: there is such a file, and `force` is off.
        ImageError: another suffix, no picture, pictures of several sizes, or the file cannot be written.
    """
    path = Path(path)
    check_place(path, force)
    kind = MOVING.get(path.suffix.lower())
    if kind is None:
        raise ImageError(f"{_called(path)} names no format that moves; end it in .webp or .gif.")
    if len({frame.shape for frame in frames}) != 1:
        raise ImageError(f"a film of {len(frames)} pictures; expected one or more, all of one size.")
    first, *rest = (Image.fromarray(whole(frame, 8)) for frame in frames)
    shown = [round(1000 * seconds)] * len(rest) + [round(3000 * seconds)]
    file = BytesIO()
    try:
        first.save(file, kind, save_all=True, append_images=rest, duration=shown, loop=0, quality=88, method=4)
    except (OSError, ValueError) as error:
        raise ImageError(f"{_called(path)} cannot be written as {kind} ({_reason(error)}).") from error
    _put(path, file.getvalue(), force)
    return path


def as_jpeg(picture: Picture, quality: int = 90) -> bytes:
    """Return a picture as the bytes of a JPEG file; see `save`."""
    return _encode(_checked(picture), "JPEG", 8, quality, None)


def _format_of(path: Path) -> str:
    try:
        return _WRITABLE[path.suffix.lower()]
    except KeyError:
        raise ImageError(f"{_called(path)} names no format we can write; end it in {_listed(_WRITABLE)}.") from None


def check_film(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse, before any work, a path that neither `save_film` nor `save` would take; errors as for `check_target`."""
    suffix = Path(path).suffix.lower()
    if suffix not in {*MOVING, *_WRITABLE}:
        still = _listed(ending for ending in _WRITABLE if ending not in MOVING)
        raise ImageError(
            f"{_called(Path(path))} is no film that we can write; end it in {_listed(MOVING)}, or in {still} for a "
            "strip of its pictures."
        )
    check_place(path, force)


def check_target(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse, before any work, a path that `save` would refuse.

    Args:
        path: the file that is to be written.
        force: whether it may be there already.

    Raises:
        ImageError: its folder is missing, it is a folder, or its suffix names no known format.
        FileExists: it is there and `force` is not given.
    """
    _format_of(Path(path))
    check_place(path, force)


def check_place(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse what `check_target` refuses, but for the suffix: for files that are not pictures."""
    path = Path(path)
    if not path.parent.is_dir():
        folder = _called(path.parent)
        raise ImageError(f"{printable(str(path))} cannot be written: there is no folder {folder}. Make it first.")
    if path.is_dir():
        raise ImageError(f"{_called(path)} is a folder; expected the name of a file to write.")
    if not force and os.path.lexists(path):
        raise _exists(path)


def _exists(path: Path) -> FileExists:
    return FileExists(f"{_called(path)} exists already; pass --force to overwrite it, or -o for another name.")


def _checked(picture: Picture) -> Picture:
    height, width = picture.pixels.shape[:2] if picture.pixels.ndim == 3 else (0, 0)
    if picture.pixels.shape != (height, width, 3) or height * width == 0:
        raise ImageError(f"its pixels have the shape {picture.pixels.shape}; expected (H, W, 3).")
    if picture.alpha is not None and picture.alpha.shape != (height, width):
        raise ImageError(f"its alpha has the shape {picture.alpha.shape}; expected {(height, width)}, as its pixels.")
    if not np.isfinite(picture.pixels).all() or not (picture.alpha is None or np.isfinite(picture.alpha).all()):
        raise ImageError("it holds NaN or infinity; expected numbers from 0 to 1.")
    return picture


def _as_json(path: Path, metadata: dict[str, Any] | None) -> str | None:
    try:
        return None if metadata is None else json.dumps(metadata)  # ASCII, so it fits every container
    except (TypeError, ValueError) as error:
        raise ImageError(f"metadata cannot be written as JSON ({_reason(error)}); use plain values.") from None


@contextmanager
def draft(path: Path, force: bool = False) -> Iterator[Path]:
    """Give a name beside `path` to write to, and at the end move what is there to `path` in one moment.

    After an error nothing is left of it, and whatever was at `path` is untouched.

    Raises:
        FileExists: somebody made `path` meanwhile, and `force` is off.
        ImageError: it cannot be moved there.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        yield beside
        with _writing(path):
            if force:
                os.replace(beside, path)
            else:
                _link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        reason = f"cannot be written ({_reason(error)}); choose another place."
        raise ImageError(f"{_called(path)} {reason}") from error


def _put(path: Path, data: bytes, force: bool) -> None:
    """Write beside the target, then move there: by rename, or by a link that fails if somebody was faster."""
    with draft(path, force) as beside, _writing(path), open(beside, "xb") as file:
        file.write(data)


def _link(beside: Path, path: Path) -> None:
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is taken first
        open(path, "xb").close()
        os.replace(beside, path)


def whole(values: Floats, depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Round [0, 1] to whole numbers of 8 or 16 bits; what is outside is clamped."""
    top, kind = np.float32(2**depth - 1), np.uint8 if depth == 8 else np.uint16
    rounded: NDArray[Any] = np.empty_like(values, kind)  # laid out as the values are, which is quick
    for row in range(0, len(values), _ROWS):  # a large picture and its steps at once would be several of it
        some = np.clip(values[row : row + _ROWS], 0, 1)
        some *= top
        some += np.float32(0.5)
        rounded[row : row + _ROWS] = some  # cut off, which is down
    return np.ascontiguousarray(rounded)


def to_pil(picture: Picture) -> Image.Image:
    """Give the picture as an 8-bit sRGB Pillow image: RGBA if it has alpha, else RGB."""
    return Image.fromarray(_stacked(picture.pixels, picture.alpha, 8))


def _stacked(rgb: Floats, alpha: Floats | None, depth: int) -> NDArray[Any]:
    return whole(rgb if alpha is None else np.dstack([rgb, alpha]), depth)


def _encode(picture: Picture, kind: str, depth: int, quality: int, text: str | None) -> bytes:
    rgb, alpha = picture.pixels, picture.alpha
    if kind == "JPEG" and alpha is not None:
        rgb, alpha = rgb * alpha[..., None] + (1 - alpha[..., None]), None
    rgb, icc = _from_srgb(rgb, picture.icc)
    values = _stacked(rgb, alpha, depth)
    if kind == "TIFF":
        return _encode_tiff(values, icc, picture.exif, picture.dpi, text)
    if kind == "PNG" and depth == 16:
        return _encode_png16(values, icc, picture.exif, picture.dpi, text)
    return _encode_pillow(values, kind, quality, replace(picture, icc=icc), text)


def _encode_pillow(values: NDArray[np.uint8], kind: str, quality: int, picture: Picture, text: str | None) -> bytes:
    exif = picture.exif if kind in ("JPEG", "PNG") else _exif_with_dpi(picture)
    options: dict[str, Any] = {"icc_profile": picture.icc, "exif": exif or b"", "dpi": picture.dpi}
    if kind == "PNG":
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        if text is not None:
            info.add_itxt(_KEY, text)
    else:
        options |= {"quality": quality, "xmp": _xmp(text) or b""}
    if kind == "JPEG":
        options |= {"subsampling": "4:4:4", "dpi": picture.dpi or (0, 0)}
        options["exif"] = b"" if len(options["exif"]) > 65533 else options["exif"]  # one segment is all it may have
    if kind == "WebP":
        options |= {"lossless": quality == 100, "exact": True}
    if kind == "AVIF":
        options |= {"subsampling": "4:4:4"}
    file = BytesIO()
    Image.fromarray(values).save(file, kind.upper(), **{key: value for key, value in options.items() if value})
    return file.getvalue()


def _exif_with_dpi(picture: Picture) -> bytes | None:
    """WebP and AVIF have no place for the resolution but EXIF."""
    if picture.dpi is None:
        return picture.exif
    exif = Image.Exif()
    exif.load(picture.exif or b"")
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = picture.dpi
    exif[ExifTags.Base.ResolutionUnit] = 2
    return exif.tobytes()


def _encode_png16(
    values: NDArray[np.uint16], icc: bytes | None, exif: bytes | None, dpi: tuple[float, float] | None, text: str | None
) -> bytes:
    """PNG with 16 bits per channel, which Pillow cannot write. PNG (Third Edition), 11."""
    height, width, count = values.shape
    file = BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    chunk = PngImagePlugin.putchunk
    chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 6 if count == 4 else 2, 0, 0, 0))
    if icc:
        chunk(file, b"iCCP", b"ICC Profile\0\0", zlib.compress(icc))
    if dpi:
        chunk(file, b"pHYs", struct.pack(">IIB", round(dpi[0] / 0.0254), round(dpi[1] / 0.0254), 1))
    if exif:
        chunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    if text is not None:
        chunk(file, b"iTXt", _KEY.encode(), b"\0\0\0\0\0", text.encode())
    rows = np.zeros((height, 1 + width * count * 2), np.uint8)
    raw = values.astype(">u2").reshape(height, -1).view(np.uint8)
    rows[:, 0] = 2  # each row as its difference from the one above
    rows[:, 1:] = np.diff(raw, axis=0, prepend=np.zeros_like(raw[:1]))
    packed = zlib.compress(rows.tobytes())
    for start in range(0, len(packed), 2**20):
        chunk(file, b"IDAT", packed[start : start + 2**20])
    chunk(file, b"IEND", b"")
    return file.getvalue()


def _encode_tiff(
    values: NDArray[Any], icc: bytes | None, exif: bytes | None, dpi: tuple[float, float] | None, text: str | None
) -> bytes:
    """TIFF of either depth, deflated; Pillow can write neither 16 bits nor EXIF into a compressed one."""
    height, width, count = values.shape
    steps = values.astype(values.dtype.newbyteorder("<"))
    steps[:, 1:] -= values[:, :-1]  # each pixel as its difference from the one to the left
    rows = max(1, 2**20 // steps[0].nbytes)
    strips = [zlib.compress(steps[top : top + rows].tobytes()) for top in range(0, height, rows)]
    lengths = [len(strip) for strip in strips]
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    for tag, value in _exif_entries(exif).items():
        tags[tag] = value
    tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH] = width, height
    tags[TiffImagePlugin.BITSPERSAMPLE] = (values.dtype.itemsize * 8,) * count
    tags[TiffImagePlugin.COMPRESSION], tags[TiffImagePlugin.PREDICTOR] = 8, 2
    tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION], tags[TiffImagePlugin.SAMPLESPERPIXEL] = 2, count
    tags[TiffImagePlugin.PLANAR_CONFIGURATION], tags[TiffImagePlugin.ROWSPERSTRIP] = 1, rows
    tags[TiffImagePlugin.STRIPBYTECOUNTS] = tuple(lengths)
    tags[TiffImagePlugin.STRIPOFFSETS] = tuple(int(sum(lengths[:i])) for i in range(len(lengths)))
    if count == 4:
        tags[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha, not multiplied in
    if dpi:
        tags[TiffImagePlugin.X_RESOLUTION], tags[TiffImagePlugin.Y_RESOLUTION] = dpi
        tags[TiffImagePlugin.RESOLUTION_UNIT] = 2
    if icc:
        tags[TiffImagePlugin.ICCPROFILE] = icc
    if text is not None:
        tags[TiffImagePlugin.XMP] = _xmp(text)
    file = BytesIO()
    tags.save(file)
    file.write(b"".join(strips))
    return file.getvalue()


def _exif_entries(exif: bytes | None) -> dict[int, Any]:
    """EXIF as TIFF tags, sub-directories as dicts."""
    source = Image.Exif()
    source.load(exif or b"")
    return {tag: source.get_ifd(tag) if tag in _DIRECTORIES else value for tag, value in source.items()}


# ── our own notes inside a file ──────────────────────────────────────────────────────────────────

_KEY: Final = "impasto"  # the text chunk in PNG, the property in XMP elsewhere
_NAMESPACE: Final = "urn:impasto:metadata"


def _xmp(text: str | None) -> bytes | None:
    """Wrap JSON as an XMP packet, the one place JPEG, WebP, TIFF and AVIF share and no camera's EXIF needs."""
    if text is None:
        return None
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:{_KEY}="{_NAMESPACE}">'
        f"<{_KEY}:json>{escape(text)}</{_KEY}:json></rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return what `save` was given as `metadata`, or None where a file holds none.

    Raises:
        ImageError: the file is missing or not a picture.
    """
    path = Path(path)
    data = _read_bytes(path)
    with _decoding(_called(path)):
        image = _open(path, data)
        info = {} if image is None else image.info
    text = info.get(_KEY) or _json_in_xmp(info.get("xmp"))
    try:
        found = json.loads(text or "null")
    except (TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _json_in_xmp(packet: bytes | str | None) -> str | None:
    try:
        return ElementTree.fromstring(packet or b"").findtext(f".//{{{_NAMESPACE}}}json")
    except (ElementTree.ParseError, ValueError, TypeError):
        return None


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────


def resize(picture: Picture, longer: int) -> Picture:
    """Resize to `longer` pixels on the longer side, keeping the aspect; see `resize_to`."""
    if longer < 1:
        raise OptionError(f"The longer side is {longer} px; expected 1 or more.")
    scale = longer / max(picture.size)
    height, width = (max(1, math.floor(side * scale + 0.5)) for side in picture.size)
    return resize_to(picture, height, width)


def resize_to(picture: Picture, height: int, width: int) -> Picture:
    """Resize with a Lanczos filter as wide as shrinking needs, in float, on sRGB values.

    Colors are weighted by alpha, so that invisible ones do not bleed into visible edges. What the filter
    overshoots is clamped to [0, 1].

    Raises:
        OptionError: a side is below 1.
    """
    if height < 1 or width < 1:
        raise OptionError(f"The size is {height}×{width}; expected sides of 1 px or more.")
    if (height, width) == picture.size:
        return picture
    plain = _lanczos(picture.pixels, height, width)
    if picture.alpha is None:
        return replace(picture, pixels=plain.clip(0, 1))
    alpha = _lanczos(picture.alpha[..., None], height, width)
    weighted = _lanczos(picture.pixels * picture.alpha[..., None], height, width)
    visible = alpha > 1e-3
    pixels = np.where(visible, weighted / np.where(visible, alpha, 1), plain)
    return replace(picture, pixels=pixels.clip(0, 1), alpha=alpha[..., 0].clip(0, 1))


def _lanczos(values: Floats, height: int, width: int) -> Floats:
    planes = [Image.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2])]
    resized = [plane.resize((width, height), Image.Resampling.LANCZOS) for plane in planes]
    return np.stack([np.asarray(plane, np.float32) for plane in resized], axis=-1)


# ── many pictures ────────────────────────────────────────────────────────────────────────────────


def find_pictures(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, deep: bool = False
) -> list[Path]:
    """List picture files: files as given, folders as the pictures in them, by name.

    Args:
        paths: files and folders.
        deep: look into folders within folders, too, but not into hidden or linked ones.

    Raises:
        ImageError: a path does not exist, or a folder holds no picture.
    """
    found = []
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        found += _pictures_in(path, deep) if path.is_dir() else [path]
        if not path.exists():
            raise ImageError(f"{_called(path)} does not exist; expected a picture or a folder of them. Check the path.")
    return found


def _pictures_in(folder: Path, deep: bool) -> list[Path]:
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in _READABLE}
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_cannot_list):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        entries = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        found += (path for path in entries if path.suffix.lower() in known and path.is_file())
    if not found:
        expected = _listed(_WRITABLE.values())
        raise ImageError(f"The folder {_called(folder)} holds no picture; expected {expected} files.")
    return found


def _cannot_list(error: OSError) -> None:
    folder = _called(Path(str(error.filename)))
    if isinstance(error, PermissionError):
        raise ImageError(f"The folder {folder} may not be read; allow it in its permissions.") from None
    raise ImageError(f"The folder {folder} cannot be read ({_reason(error)}); check it.") from None


def sheet(
    rows: Sequence[Sequence[NDArray[Any]]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    margin: int = 8,
    text_size: int = 14,
) -> Floats:
    """Lay pictures out as a grid on white, each in the middle of its cell.

    Args:
        rows: arrays `(H, W, 3)`, float in [0, 1]; rows may differ in length and pictures in size.
        row_labels: texts to the left, one per row, or none; line breaks are kept.
        column_labels: texts above, one per column, or none.
        margin: white pixels around each cell.
        text_size: height of the letters in pixels.

    Returns:
        The sheet, `(H, W, 3)` float32 in [0, 1].

    Raises:
        ImageError: there is no picture, or one is not `(H, W, 3)`.
        OptionError: there are fewer or more labels than rows or columns.
    """
    count = max((len(row) for row in rows), default=0)
    _check_sheet(rows, row_labels, column_labels, count)
    font = ImageFont.load_default(text_size)
    heads = [_text(label, font) for label in column_labels]
    sides = [_text(label, font) for label in row_labels]
    heights = [max([len(a) for a in (*row, *sides[i : i + 1])], default=0) for i, row in enumerate(rows)]
    widths = [max([r[j].shape[1] for r in (*rows, heads) if j < len(r)]) for j in range(count)]
    tops = _starts([max(map(len, heads)) if heads else 0, *heights], margin)
    lefts = _starts([max(a.shape[1] for a in sides) if sides else 0, *widths], margin)
    canvas = np.ones((tops[-1], lefts[-1], 3), np.float32)
    for i, row in enumerate([heads, *rows]):
        for j, cell in enumerate([sides[i - 1] if i and sides else None, *row]):
            if cell is not None:
                _paste(canvas, cell, tops[i : i + 2], lefts[j : j + 2], margin)
    return canvas


def _check_sheet(
    rows: Sequence[Sequence[NDArray[Any]]], sides: Sequence[str], heads: Sequence[str], count: int
) -> None:
    if count == 0:
        raise ImageError("The sheet has no pictures; expected one or more.")
    for cell in (cell for row in rows for cell in row):
        if cell.ndim != 3 or cell.shape[2] != 3:
            raise ImageError(f"A picture of the sheet has the shape {cell.shape}; expected (H, W, 3).")
    for what, labels, expected in (("row", sides, len(rows)), ("column", heads, count)):
        if len(labels) not in (0, expected):
            raise OptionError(f"There are {len(labels)} {what} labels; expected {expected}, or none.")


def _starts(lengths: list[int], margin: int) -> list[int]:
    """Where each cell begins, and where the last one ends; an empty first cell takes no room."""
    starts = [margin]
    for length in lengths:
        starts.append(starts[-1] + length + (margin if length else 0))
    return starts


def _paste(canvas: Floats, cell: NDArray[Any], rows: list[int], columns: list[int], margin: int) -> None:
    height, width = cell.shape[:2]
    top = rows[0] + (rows[1] - rows[0] - margin - height) // 2
    left = columns[0] + (columns[1] - columns[0] - margin - width) // 2
    canvas[top : top + height, left : left + width] = cell


def _text(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Floats:
    """Black letters on white, `(H, W, 3)`, just as large as they need."""
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text or " ", font=font)
    image = Image.new("L", (math.ceil(box[2]) + 1, math.ceil(box[3]) + 1), 255)
    ImageDraw.Draw(image).multiline_text((0, 0), text, fill=0, font=font)
    return _three_channels(np.asarray(image, np.float32)[..., None] / np.float32(255))


# --- drawings -----------------------------------------------------------------------------------


class Stroke(NamedTuple):
    """A line through points (x, y), x to the right and y down; without a color of its own it has that of words."""

    points: Sequence[tuple[float, float]]
    color: str | None = None
    width: float = 1
    opacity: float = 1


class Dots(NamedTuple):
    """Discs of one diameter around points (x, y); where two of them meet it is darker."""

    points: Sequence[tuple[float, float]]
    color: str
    width: float
    opacity: float = 1


class Words(NamedTuple):
    """A line of text that stands at x, y: the left end, the middle or the right end of the line below its letters.

    With a halo, so much white is around its letters.
    """

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"]
    color: str | None = None
    bold: bool = False
    halo: float = 0


_INK = "#222222"  # of what has no color of its own
_LETTERS = 12  # height of letters, in the units of a drawing
_FINER = 2  # pixels are drawn so much smaller, and then made one
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def drawing(size: tuple[int, int], strokes: Sequence[Stroke | Dots], words: Sequence[Words], scale: int = 2) -> Floats:
    """Return lines, dots and texts on white, `(scale * height, scale * width, 3)` in [0, 1].

    Args:
        size: height and width of what is drawn on, in the units of points; letters are 12 high.
        strokes: from the back to the front.
        words: over them. What cannot be printed is left blank.
        scale: pixels to a unit.
    """
    fine = scale * _FINER
    height, width = (side * fine for side in size)
    canvas = Image.new("RGB", (width, height), "white")
    for stroke in strokes:
        if isinstance(stroke, Dots):
            _dot(canvas, stroke, fine)
            continue
        mask = Image.new("L", canvas.size)  # so that where a line meets itself it is no darker
        points = [(fine * x, fine * y) for x, y in stroke.points]
        ink = round(255 * stroke.opacity)
        ImageDraw.Draw(mask).line(points, ink, round(fine * stroke.width), joint="curve")
        if box := mask.getbbox():  # most are thin and short, and all of the canvas would take long
            canvas.paste(stroke.color or _INK, box, mask.crop(box))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(_LETTERS * fine)
    for one in words:
        place, text, color = (fine * one.x, fine * one.y), printable(one.text), one.color or _INK
        anchor = _ANCHORS[one.anchor]
        if one.halo:
            pen.text(place, text, "white", font, anchor, stroke_width=round(fine * one.halo), stroke_fill="white")
        pen.text(place, text, color, font, anchor, stroke_width=int(one.bold), stroke_fill=color)
    return np.asarray(canvas.reduce(_FINER), np.float32) / np.float32(255)


def _dot(canvas: Image.Image, dots: Dots, fine: int) -> None:
    """Stamp a disc at each place."""
    side = max(1, round(fine * dots.width))
    disc = Image.new("L", (side, side))
    ImageDraw.Draw(disc).ellipse((0, 0, side - 1, side - 1), round(255 * dots.opacity))
    ink = Image.new("RGB", disc.size, dots.color)
    for x, y in dots.points:
        canvas.paste(ink, (round(fine * x - side / 2), round(fine * y - side / 2)), disc)


def printable(text: str) -> str:
    """Return a text with a blank for each letter that cannot be shown."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
