"""Write a picture as PNG, JPEG, WebP, TIFF or AVIF."""

import json
import os
import struct
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from impasto.errors import ImageError, OptionError
from impasto.io.embedded import KEY, xmp_packet
from impasto.io.files import check_name, check_place, put_file
from impasto.io.formats import DEEP, WRITABLE
from impasto.io.icc import from_srgb
from impasto.io.metadata import exif_entries, exif_with_dpi
from impasto.io.naming import called, listed_words, reason_of
from impasto.io.picture import Floats, Picture, to_integers

__all__ = ["as_jpeg", "check_target", "save_picture", "to_pil"]


def save_picture(
    path: str | os.PathLike[str],
    picture: Picture,
    *,
    metadata: dict[str, Any] | None = None,
    force: bool = False,
    depth: int | None = None,
    quality: int = 95,
    safe: bool = False,
) -> Path:
    """Write a picture; the file appears complete or not at all.

    The file gets the color profile, the EXIF and the resolution of the picture. A picture without a profile is sRGB,
    and none is embedded. Alpha is kept; a JPEG, which has none, shows the picture on white. Equal pictures make equal
    files.

    Args:
        path: the file; its suffix decides the format.
        picture: the picture; values outside [0, 1] are clamped.
        metadata: settings to embed, which `read_metadata` returns: anything that JSON can hold.
        force: overwrite an existing file.
        depth: bits per channel, 8 or 16; by default those of the picture, if the format can hold them.
        quality: 1 to 100, for JPEG, WebP and AVIF; a WebP of 100 is lossless.
        safe: save it elsewhere if its place is gone or taken by now, for a result that took long.

    Returns:
        The path.

    Raises:
        FileExists: the file exists, and `force` is off.
        SavedElsewhere: it is elsewhere, as `safe` allows.
        ImageError: the suffix is unknown, pixels are NaN, or the file cannot be written.
        OptionError: `depth` or `quality` is out of range.
    """
    path = Path(path)
    kind = _format_of(path)
    if not safe:
        check_name(path, force)
    if not 1 <= quality <= 100:
        raise OptionError(f"quality is {quality}; expected 1 to 100.")
    if depth not in ((None, 8, 16) if kind in DEEP else (None, 8)):
        raise OptionError(f"depth is {depth}; expected 8 for {kind}, or 16 with {listed_words(DEEP)}.")
    chosen = depth or (picture.depth if kind in DEEP else 8)
    try:
        data = _encode(_checked(picture), kind, chosen, quality, _as_json(path, metadata))
    except ImageError as error:
        raise ImageError(f"{called(path)} cannot be written: {error}") from None
    except (OSError, ValueError, KeyError, struct.error, MemoryError, OverflowError) as error:
        reason = f"cannot be written as {kind} ({reason_of(error)}); try another format."
        raise ImageError(f"{called(path)} {reason}") from error
    put_file(path, data, force, safe=safe)
    return path


def as_jpeg(picture: Picture, quality: int = 90) -> bytes:
    """Return the bytes of a picture as a JPEG file, as `save_picture` writes it."""
    return _encode(_checked(picture), "JPEG", 8, quality, None)


def _format_of(path: Path) -> str:
    try:
        return WRITABLE[path.suffix.lower()]
    except KeyError:
        raise ImageError(f"{called(path)} names no format we can write; end it in {listed_words(WRITABLE)}.") from None


def check_target(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse, before any work, a path that `save_picture` cannot write.

    Args:
        path: the file that is to be written.
        force: whether it may exist already.

    Raises:
        ImageError: it is a folder, a folder of it is a file, or its suffix names no known format.
        FileExists: it exists, and `force` is off.
    """
    _format_of(Path(path))
    check_place(path, force)


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
        raise ImageError(f"metadata cannot be written as JSON ({reason_of(error)}); use plain values.") from None


def to_pil(picture: Picture) -> Image.Image:
    """Return a picture as a Pillow image of 8 bits in sRGB: RGBA if it has alpha, else RGB."""
    return Image.fromarray(_stacked(picture.pixels, picture.alpha, 8))


def _stacked(rgb: Floats, alpha: Floats | None, depth: int) -> NDArray[Any]:
    return to_integers(rgb if alpha is None else np.dstack([rgb, alpha]), depth)


def _encode(picture: Picture, kind: str, depth: int, quality: int, text: str | None) -> bytes:
    rgb, alpha = picture.pixels, picture.alpha
    if kind == "JPEG" and alpha is not None:
        rgb, alpha = picture.on_white, None
    rgb, icc = from_srgb(rgb, picture.icc)
    values = _stacked(rgb, alpha, depth)
    if kind == "TIFF":
        return _encode_tiff(values, icc, picture.exif, picture.dpi, text)
    if kind == "PNG" and depth == 16:
        return _encode_png16(values, icc, picture.exif, picture.dpi, text)
    return _encode_pillow(values, kind, quality, replace(picture, icc=icc), text)


def _encode_pillow(values: NDArray[np.uint8], kind: str, quality: int, picture: Picture, text: str | None) -> bytes:
    exif = picture.exif if kind in ("JPEG", "PNG") else exif_with_dpi(picture)
    options: dict[str, Any] = {"icc_profile": picture.icc, "exif": exif or b"", "dpi": picture.dpi}
    if kind == "PNG":
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        if text is not None:
            info.add_itxt(KEY, text)
    else:
        options |= {"quality": quality, "xmp": xmp_packet(text) or b""}
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


def _encode_png16(
    values: NDArray[np.uint16], icc: bytes | None, exif: bytes | None, dpi: tuple[float, float] | None, text: str | None
) -> bytes:
    """Return a PNG of 16 bits per channel, which Pillow cannot write. OpenImageIO would lose EXIF: see docs/design.md.

    Source: Portable Network Graphics (PNG) Specification (Third Edition), W3C, section 11.
    """
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
        chunk(file, b"iTXt", KEY.encode(), b"\0\0\0\0\0", text.encode())
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
    """Return a deflated TIFF of 8 or 16 bits per channel.

    Pillow can write neither 16 bits nor EXIF into a compressed one; OpenImageIO would lose EXIF and our own metadata:
    see docs/design.md.

    Source: TIFF Revision 6.0, Adobe, 1992, part 1 and sections 14 (predictor) and 18 (alpha).
    """
    height, width, count = values.shape
    steps = values.astype(values.dtype.newbyteorder("<"))
    steps[:, 1:] -= values[:, :-1]  # each pixel as its difference from the one to the left
    rows = max(1, 2**20 // steps[0].nbytes)
    strips = [zlib.compress(steps[top : top + rows].tobytes()) for top in range(0, height, rows)]
    lengths = [len(strip) for strip in strips]
    tags = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    for tag, value in exif_entries(exif).items():
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
        tags[TiffImagePlugin.XMP] = xmp_packet(text)
    file = BytesIO()
    tags.save(file)
    file.write(b"".join(strips))
    return file.getvalue()
