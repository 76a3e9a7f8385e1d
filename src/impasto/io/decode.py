"""Decoding of pictures from files, PIL images and arrays."""

import hashlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from impasto.errors import ImageError
from impasto.io.formats import READABLE, WRITABLE, reads_heic
from impasto.io.icc import device_to_rgb, to_srgb
from impasto.io.metadata import DEVICE_MODES, Notes, portable_exif, read_notes
from impasto.io.naming import called, listed_words, reason_of
from impasto.io.numbers import to_unit
from impasto.io.picture import Floats, Picture, three_channels

__all__ = ["decoding", "frame_count", "load_picture", "open_image", "read_bytes"]

MAX_MEGAPIXELS: Final = 500


def load_picture(source: object, *, digest: bool = True) -> Picture:
    """Read a picture from a file, a PIL image or an array.

    Files may have any depth, color mode, profile and orientation; of animations the first frame is read. A broken
    color profile counts as sRGB. The depth of 16-bit PNG and TIFF is kept, except for CMYK and Lab, which are
    converted with 8 bits.

    Args:
        source: a path, a `PIL.Image.Image`, an array or a `Picture`, which is returned unchanged. Arrays are
            `(H, W)`, `(H, W, 3)` or `(H, W, 4)`: integers of up to 32 bits, scaled by their type, or float in [0, 1].
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
    kind = type(source).__name__
    raise ImageError(f"A {kind} is not a picture; expected a path, an array, a PIL image or a Picture.")


def _from_file(path: Path) -> Picture:
    data = read_bytes(path)
    name, notes = called(path), list[str]()
    with decoding(name):
        image = open_image(path, data)
        if image is None or _is_deep(image, data):
            if image is not None and image.format == "PNG":
                image.load()  # detects damage, and reads EXIF behind the pixels
            about = read_notes(image, data)
            picture = _upright(*_read_deep(path, about, name, notes), 16, about)
        else:
            image.load()
            picture = _upright(*_channels(image, name, notes), read_notes(image, data))
        notes += _of_frames(image, name)
    return replace(picture, name=path.stem, digest=hashlib.sha256(data).hexdigest(), notes=tuple(notes))


def frame_count(path: Path) -> int:
    """Return the number of frames of a picture, 1 if it is no animation.

    Raises:
        ImageError: the file is missing, damaged, or no picture.
    """
    with decoding(called(path)):
        return _frames(open_image(path, read_bytes(path)))


def _frames(image: Image.Image | None) -> int:
    return int(getattr(image, "n_frames", 1)) if image is not None and image.format in _ANIMATED else 1


def _of_frames(image: Image.Image | None, name: str) -> list[str]:
    """Return the sentence that an animation is read as its first frame."""
    count = _frames(image)
    return [f"{name} has {count} frames; only the first is read"] if count > 1 else []


_ANIMATED: Final = ("GIF", "PNG", "WEBP", "AVIF")


def _from_pillow(image: Image.Image) -> Picture:
    path, notes = getattr(image, "filename", "") or "", list[str]()
    name = called(Path(path)) if path else "The PIL image"
    with decoding(name):
        _check_size(name, image)
        image.load()
        picture = _upright(*_channels(image, name, notes), read_notes(image, b""))
    return replace(picture, name=Path(path).stem, notes=tuple(notes))


def _from_array(array: NDArray[Any]) -> Picture:
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or 0 in array.shape:
        hint = " Move its channels last." if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        shape = array.shape
        raise ImageError(f"An array of shape {shape} is no picture; expected (H, W), (H, W, 3) or (H, W, 4).{hint}")
    if array.dtype.kind not in "fui" or (array.dtype.kind in "ui" and array.dtype.itemsize > 4):
        raise ImageError(f"An array of {array.dtype} is no picture; expected uint8, uint16, or float from 0 to 1.")
    values, notes = array.reshape(*array.shape[:2], -1), list[str]()
    colors = to_unit(values[..., :3], "The array", notes)
    alpha = to_unit(values[..., 3], "The alpha of the array", notes) if values.shape[2] == 4 else None
    depth = 16 if array.dtype.kind in "ui" and array.dtype.itemsize > 1 else 8
    return Picture(three_channels(colors), alpha, depth=depth, notes=tuple(notes))


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
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise ImageError(f"{name} does not exist; expected a picture file. Check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder; expected a picture file. Name one inside it.") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read; allow it in the file's permissions, or copy it.") from None
    except OSError as error:
        raise _unreadable(name, reason_of(error)) from error


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
        if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and reads_heic():
            return _open_heif(name, data)
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return None
        raise _unreadable(name, _what_instead(data)) from None
    _check_size(name, image)
    return image


_HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _open_heif(name: str, data: bytes) -> Image.Image:
    plugin = import_module("pillow_heif")  # an extra, whose formats Pillow need not know otherwise
    try:
        image: Image.Image = plugin.HeifImageFile(BytesIO(data))
    except (OSError, ValueError, RuntimeError, SyntaxError) as error:
        raise _unreadable(name, f"it is damaged or cut short: {reason_of(error)}") from error
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


def _what_instead(data: bytes) -> str:
    """Return what the bytes seem to be that no decoder knows."""
    if not data:
        return "the file is empty"
    if data.startswith(_SIGNATURES) or data[4:12] == b"ftypavif":
        return "it is damaged or cut short"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "it is HEIC, which needs pip install 'impasto[heic]'"
    if data[4:8] == b"ftyp":
        return "it is video"
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


def _channels(image: Image.Image, name: str, notes: list[str]) -> tuple[Floats, Floats | None, int]:
    """Split a decoded Pillow image of any mode into channels.

    Returns:
        Colors `(H, W, 1 or 3)`, alpha `(H, W)` or None, both in [0, 1], and the bits per channel.
    """
    if image.mode.startswith("I;16"):
        return to_unit(np.asarray(image, np.uint16)[..., None], name, notes), None, 16
    if image.mode in ("I", "F"):
        values = np.asarray(image)[..., None]
        if image.mode == "I" and image.format:
            values = values.astype(_integers_of(image))
        white = 65535 if values.dtype == np.int32 and not image.format else None  # as Pillow writes it
        return to_unit(values, name, notes, white=white), None, 16
    if image.mode in DEVICE_MODES:
        image = device_to_rgb(image)
    target = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    target += "A" * image.has_transparency_data
    image = image if image.mode == target else image.convert(target)
    values = np.divide(np.asarray(image), np.float32(255), dtype=np.float32)
    values = values.reshape(*values.shape[:2], -1)
    return (values[..., :-1], values[..., -1], 8) if target.endswith("A") else (values, None, 8)


def _integers_of(image: Image.Image) -> str:
    """Return the type of the integers in the file of an image of mode I: of a TIFF by its tags, else of 16 bits."""
    tags = image.getexif() if image.format == "TIFF" else {}
    bits, sign = (_first(tags.get(tag, default)) for tag, default in ((258, 16), (339, 1)))
    return f"{'int' if sign == 2 else 'uint'}{32 if bits > 16 else 16}"


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Return whether Pillow would reduce the depth: 16-bit PNG, TIFF of more than 8 bits that is not CMYK or Lab."""
    if image.format == "PNG":
        return data[24] == 16  # IHDR: width, height, then bits per channel
    if image.format != "TIFF":
        return False
    tags = image.getexif()
    bits = tags.get(258, 1)
    return max(bits if isinstance(bits, tuple) else (bits,)) > 8 and tags.get(262) not in (5, 8)


def _read_deep(path: Path, about: Notes, name: str, notes: list[str]) -> tuple[Floats, Floats | None]:
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
        values = source.read_image(0, 0, 0, spec.nchannels, oiio.UNKNOWN)
        if values is None:
            raise ValueError(source.geterror())
    finally:
        source.close()
    values = values.reshape(spec.height, spec.width, spec.nchannels)
    white, black = (_stated(about.exif.get(tag)) for tag in (_WHITE_TAG, _BLACK_TAG))
    scale: dict[str, Any] = {} if white is None else {"white": white, "black": black or 0}
    return _arrange(values, spec, scale, name, notes)


_BLACK_TAG, _WHITE_TAG = 340, 341  # SMinSampleValue and SMaxSampleValue of TIFF: the range of its numbers


def _stated(value: Any) -> float | None:
    """Return a number of a tag, which has one for each channel."""
    with suppress(TypeError, ValueError, ZeroDivisionError, IndexError, OverflowError):
        number = float(_first(value))
        return number if np.isfinite(number) else None
    return None


def _arrange(
    values: NDArray[Any], spec: Any, scale: dict[str, Any], name: str, notes: list[str]
) -> tuple[Floats, Floats | None]:
    """Split the channels of OpenImageIO into colors and unassociated alpha."""
    colors = values[..., : 3 if spec.nchannels - (spec.alpha_channel >= 0) >= 3 else 1]
    alpha = None
    if spec.alpha_channel >= 0:
        alpha = to_unit(values[..., spec.alpha_channel], f"The alpha of {name}", notes)
    multiplied = alpha is not None and not spec.get_int_attribute("oiio:UnassociatedAlpha", 0)
    if multiplied and colors.dtype.kind == "f":
        colors = _divided(colors, alpha)  # before highlights are clipped
    colors = to_unit(colors, name, notes, **scale)
    if multiplied and values.dtype.kind != "f":
        colors = _divided(colors, alpha).clip(0, 1)
    if spec.get_int_attribute("tiff:PhotometricInterpretation", -1) == 0:  # white is zero
        colors = 1 - colors
    return colors, alpha


def _divided(colors: NDArray[Any], alpha: Floats | None) -> Floats:
    """Return colors without the alpha that is multiplied in; black where nothing is visible."""
    assert alpha is not None
    share = alpha[..., None]
    return np.asarray(np.divide(colors, share, out=np.zeros(colors.shape, np.float32), where=share > 0))


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
