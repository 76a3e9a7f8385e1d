"""Decoding of pictures from files, PIL images and arrays."""

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from impasto.errors import ImageError
from impasto.io.formats import READABLE, WRITABLE
from impasto.io.icc import device_to_rgb, to_srgb
from impasto.io.metadata import DEVICE_MODES, Notes, portable_exif, read_notes
from impasto.io.naming import called, listed_words, reason_of
from impasto.io.picture import Floats, Picture, three_channels
from impasto.reading import open_regular

__all__ = ["decoding", "load_bytes", "load_picture", "open_image", "read_bytes", "read_stream"]

MAX_MEGAPIXELS: Final = 500
_START: Final = 1 << 20  # bytes that tell what a file is
_MAX_BYTES: Final = 1 << 32  # of a file
_EXTRA_BYTES: Final = 1 << 26  # of metadata
_PIXEL_BYTES: Final = 1000  # for a pixel of an animation


def load_picture(source: object, *, digest: bool = True) -> Picture:
    """Read a picture from a file, a PIL image or an array.

    Files may have any depth, color mode, profile and orientation; of animations the first frame is read. A broken
    color profile counts as sRGB. The depth of 16-bit PNG and TIFF is kept, except for CMYK and Lab, which are
    converted with 8 bits.

    Args:
        source: a path, the bytes of a file, a `PIL.Image.Image`, an array or a `Picture`, which is returned unchanged.
            Arrays are
            `(H, W)`, `(H, W, 3)` or `(H, W, 4)`: uint8, uint16, or float in [0, 1].
        digest: whether to compute the digest of a picture from memory, for records; it takes a tenth of the time of
            a light network.

    Returns:
        The picture, with its own arrays.

    Raises:
        ImageError: the source is missing, damaged, too large, or not a picture.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, Image.Image):
        return _remembered(_from_pillow(source), digest)
    if isinstance(source, np.ndarray):
        return _remembered(_from_array(source), digest)
    if isinstance(source, str | os.PathLike):
        return _from_file(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return load_bytes(bytes(source), "The picture")
    kind = type(source).__name__
    raise ImageError(f"A {kind} is not a picture; expected a path, an array, a PIL image or a Picture.")


def _from_file(path: Path) -> Picture:
    data = read_bytes(path)
    with decoding(called(path)):
        image = open_image(path, data)
        if image is None or _is_deep(image, data):
            if image is not None and image.format == "PNG":
                image.load()  # detects damage, and reads EXIF behind the pixels
            picture = _upright(*_read_deep(path), 16, read_notes(image, data))
        else:
            image.load()
            picture = _upright(*_channels(image), read_notes(image, data))
    return replace(picture, name=path.stem, digest=hashlib.sha256(data).hexdigest())


def load_bytes(data: bytes, name: str) -> Picture:
    """Read a picture from the bytes of a file; see `load_picture`.

    Args:
        data: the bytes.
        name: what errors call it.
    """
    with TemporaryDirectory(prefix="impasto-") as folder:  # OpenImageIO reads files only
        path = Path(folder, name)
        path.write_bytes(data)
        return replace(_from_file(path), name="")


def _from_pillow(image: Image.Image) -> Picture:
    path = getattr(image, "filename", "") or ""
    with decoding(called(Path(path)) if path else "The PIL image"):
        _check_size("The PIL image", image)
        image.load()
        picture = _upright(*_channels(image), read_notes(image, b""))
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
    return Picture(three_channels(values[..., :3]), alpha, depth=depth)


def _checked_range(array: NDArray[Any]) -> Floats:
    """Return values clamped to [0, 1], since resizing overshoots; raise ImageError if they are far outside."""
    if not np.isfinite(array).all():
        raise ImageError("The array holds NaN or infinity; expected numbers from 0 to 1.")
    low, high = float(array.min()), float(array.max())
    if low < -0.01 or high > 1.01:
        raise ImageError(f"The array holds values from {low:g} to {high:g}; expected 0 to 1. Divide it, or give uint8.")
    return np.asarray(np.clip(array, 0, 1), np.float32)


def _remembered(picture: Picture, wanted: bool) -> Picture:
    """Add the digest of a picture from memory, if it is wanted."""
    if not wanted:
        return picture
    digest = hashlib.sha256(repr(picture.size).encode() + picture.pixels.tobytes())
    digest.update(b"" if picture.alpha is None else picture.alpha.tobytes())
    return replace(picture, digest=digest.hexdigest())


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a picture file.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    name = called(path)
    try:
        with open_regular(path) as file:
            return _bounded(file, name)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise ImageError(f"{name} does not exist; expected a picture file. Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder; expected a picture file. Name one inside it.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read; allow it in the file's permissions, or copy it.") from None
    except OSError as error:
        raise _unreadable(name, reason_of(error)) from error


def read_stream(stream: BinaryIO, name: str) -> bytes:
    """Return the bytes of a picture in a stream such as standard input, which may have no end.

    Raises:
        ImageError: it is no picture, or too long for one.
    """
    try:
        return _bounded(stream, name)
    except OSError as error:
        raise _unreadable(name, reason_of(error)) from error


def _bounded(stream: BinaryIO, name: str) -> bytes:
    """Return all bytes of a stream, but stop at the beginning if it is no picture, and where none can be as long."""
    start = stream.read(_START)
    if len(start) < _START:
        return start
    most = _most_bytes(start, name)
    rest = stream.read(most - len(start) + 1)
    if len(start) + len(rest) > most:
        raise _unreadable(name, f"it has more than {most >> 20} MB, too many for its pixels")
    return start + rest


def _most_bytes(start: bytes, name: str) -> int:
    """Return how many bytes a picture file may have that begins with these.

    Raises:
        ImageError: no picture begins with them.
    """
    if start.startswith(_TIFF):  # its directory may be at the end
        return _MAX_BYTES
    try:
        with decoding(name):
            width, height = Image.open(BytesIO(start), formats=READABLE).size
    except ImageError:
        if start.startswith(_SIGNATURES) or start[4:8] == b"ftyp":  # some decoders want the whole file
            return _MAX_BYTES
        raise _unreadable(name, _what_instead(start)) from None
    return min(_MAX_BYTES, _EXTRA_BYTES + _PIXEL_BYTES * width * height)


_PILLOW = threading.RLock()


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Allow large photographs in Pillow, silence its warnings, and raise its errors as ImageError.

    The limit and the warning filters are global, so one picture is decoded at a time.
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
        except Exception as error:  # decoders raise many types of exceptions for damaged files
            raise _unreadable(name, reason_of(error)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_image(path: Path, data: bytes) -> Image.Image | None:
    """Open a picture without decoding it; None for a TIFF that only OpenImageIO may read."""
    name = called(path)
    try:
        image = Image.open(BytesIO(data), formats=READABLE)
    except UnidentifiedImageError:
        if data.startswith(_TIFF):
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


_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")  # TIFF has its own check
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _what_instead(data: bytes) -> str:
    """Return what the bytes seem to be that no decoder knows."""
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
    return "its format is unknown"


def _unreadable(name: str, reason: str) -> ImageError:
    return ImageError(
        f"{name} is not a picture that can be read ({reason}); expected {listed_words(WRITABLE.values())}."
    )


def _channels(image: Image.Image) -> tuple[Floats, Floats | None, int]:
    """Split a decoded Pillow image of any mode into channels.

    Returns:
        Colors `(H, W, 1 or 3)`, alpha `(H, W)` or None, both in [0, 1], and the bits per channel.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image, np.float32)[..., None] / np.float32(65535), None, 16
    if image.mode in ("I", "F"):
        return _guessed_range(np.asarray(image))[..., None], None, 16
    if image.mode in DEVICE_MODES:
        image = device_to_rgb(image)
    target = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    target += "A" * image.has_transparency_data
    image = image if image.mode == target else image.convert(target)
    values = np.divide(np.asarray(image), np.float32(255), dtype=np.float32)
    values = values.reshape(*values.shape[:2], -1)
    return (values[..., :-1], values[..., -1], 8) if target.endswith("A") else (values, None, 8)


def _guessed_range(values: NDArray[Any]) -> Floats:
    """Scale values without a declared range to [0, 1], by a division by 1, 255 or 65535.

    Integers are always divided by 255 or 65535.
    """
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    high = float(values.max())
    scale = 1 if values.dtype.kind == "f" and high <= 1.01 else 255 if high <= 255 else 65535
    return np.asarray(np.clip(values / scale, 0, 1), np.float32)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Return whether Pillow would reduce the depth: 16-bit PNG, TIFF of more than 8 bits that is not CMYK or Lab."""
    if image.format == "PNG":
        return data[24] == 16  # IHDR: width, height, then bits per channel
    if image.format != "TIFF":
        return False
    tags = image.getexif()
    bits = tags.get(258, 1)
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8 and tags.get(262) not in (5, 8)


def _read_deep(path: Path) -> tuple[Floats, Floats | None]:
    """Read a PNG or TIFF at full depth: colors `(H, W, 1 or 3)` and alpha `(H, W)`, in [0, 1]."""
    import OpenImageIO as oiio  # noqa: N813  slow import, and few pictures need it

    wish = oiio.ImageSpec()
    wish.attribute("oiio:UnassociatedAlpha", 1)
    source = oiio.ImageInput.open(str(path), wish)
    if source is None:
        raise ValueError(oiio.geterror())
    try:
        spec = source.spec()
        if spec.width * spec.height > MAX_MEGAPIXELS * 1_000_000:
            raise ValueError(f"{spec.width}×{spec.height} px are more than {MAX_MEGAPIXELS} megapixels")
        to_integers = "int" in str(spec.format)
        values = source.read_image(0, 0, 0, spec.nchannels, "uint16" if to_integers else "float")
        if values is None:
            raise ValueError(source.geterror())
    finally:
        source.close()
    values = values.reshape(spec.height, spec.width, spec.nchannels)
    return _arrange(values.astype(np.float32) / np.float32(65535) if to_integers else values, spec)


def _arrange(values: Floats, spec: Any) -> tuple[Floats, Floats | None]:
    """Split the channels of OpenImageIO into colors and unassociated alpha."""
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


_TURNS: Final[dict[int, Callable[[Floats], Floats]]] = {  # EXIF orientation → upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def _upright(colors: Floats, alpha: Floats | None, depth: int, notes: "Notes") -> Picture:
    """Return the picture, upright and in sRGB."""
    rgb, icc = to_srgb(colors, notes.icc)
    orientation = notes.exif.get(ExifTags.Base.Orientation)
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    dpi = notes.dpi
    if turn:
        rgb, alpha = turn(rgb), None if alpha is None else turn(alpha)
        dpi = dpi[::-1] if dpi and orientation in (5, 6, 7, 8) else dpi
    alpha = None if alpha is None else np.array(alpha, order="C")
    return Picture(three_channels(rgb), alpha, icc, portable_exif(notes.exif), dpi, depth)
