"""Decoding of pictures from files, PIL images and arrays."""

import hashlib
import logging
import math
import os
import re
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from impasto.errors import ImageError
from impasto.io.color_tags import ColorTags, avif_properties, read_avif_tags, read_pillow_tags, read_png_tags
from impasto.io.formats import READABLE, WRITABLE, reads_heic
from impasto.io.icc import device_to_rgb, to_srgb
from impasto.io.metadata import DEVICE_MODES, Notes, completed_notes, portable_exif, read_notes
from impasto.io.naming import called, listed_words, reason_of
from impasto.io.numbers import to_unit
from impasto.io.picture import Floats, Picture, three_channels, to_integers
from impasto.io.tiff import Tags, check_raw, is_raw, is_tiff, of_full_picture, tiff_tags
from impasto.memory import free_memory
from impasto.reading import open_regular

__all__ = ["decoding", "frame_count", "load_bytes", "load_picture", "open_image", "read_bytes", "read_stream"]

MAX_MEGAPIXELS: Final = 500  # unless the user allows more
_ALLOWED: Final = "IMPASTO_MAX_MEGAPIXELS"  # the variable of the environment that does
_BYTES: Final = 60  # of memory that reading a pixel takes at most, as of 32-bit RGBA with multiplied alpha
_SMALL: Final = 10  # megapixels that fit into any memory
_START: Final = 1 << 20  # bytes that tell what a file is
_MAX_BYTES: Final = 1 << 32  # of a file
_EXTRA_BYTES: Final = 1 << 26  # of metadata
_PIXEL_BYTES: Final = 1000  # for a pixel of an animation


def load_picture(source: object, *, digest: bool = True) -> Picture:
    """Read a picture from a file, a PIL image or an array.

    Files may have any depth, color mode, profile and orientation; of animations the first frame is read, of a TIFF the
    first picture that is no reduced version of another one. A damaged color profile counts as sRGB. The depth of 16-bit
    PNG and TIFF is kept, except for CMYK and Lab, which are converted with 8 bits. The picture's `notes` say what a
    person should know, such as that highlights are clipped.

    Args:
        source: a path, the bytes of a file, a `PIL.Image.Image`, an array or a `Picture`, which is returned unchanged.
            Arrays are `(H, W)`, `(H, W, 3)` or `(H, W, 4)`: integers of up to 32 bits, scaled by their type, or float
            in [0, 1].
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
    whole = read_bytes(path)
    name, notes = called(path), list[str]()
    check_raw(path, whole, name)
    with decoding(name):
        data = of_full_picture(whole, name, notes)
        image = open_image(path, data)
        if image is None or _is_deep(image, data):
            if image is not None and image.format == "PNG":
                image.load()  # detects damage, and reads EXIF behind the pixels
            about = _of_file(image, data, whole)
            with _readable(path, data, whole) as file:
                channels = _read_deep(file, tiff_tags(data), about.exif, name, notes)
        else:
            channels = _channels(image, name, notes)
            about = _of_file(image, data, whole)
        tags = read_png_tags(data)
        if image is not None and image.format == "AVIF":
            properties = avif_properties(data)
            channels = _cropped(channels, properties.get(b"clap"), name, notes)
            tags = None if about.icc else read_avif_tags(properties)
        picture = _upright(channels, about, tags, name, notes)
        notes += _of_frames(image, name)
    return replace(picture, name=path.stem, digest=hashlib.sha256(whole).hexdigest(), notes=tuple(notes))


def _of_file(image: Image.Image | None, data: bytes, whole: bytes) -> Notes:
    """Return the metadata of an opened picture; what it lacks, the first picture of its file may have."""
    about = read_notes(image, data)
    return about if data is whole else completed_notes(about, read_notes(None, whole))


@contextmanager
def _readable(path: Path, data: bytes, whole: bytes) -> Iterator[Path]:
    """Yield a path at which OpenImageIO can read the data, which it cannot read from memory."""
    if data is whole and path.is_file():
        yield path
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "picture"
        copy.write_bytes(data)
        yield copy


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
    path, notes = getattr(image, "filename", "") or "", list[str]()
    name = called(Path(path)) if path else "The PIL image"
    with decoding(name):
        _check_size(name, *image.size)
        channels = _channels(image, name, notes)
        picture = _upright(channels, read_notes(image, b""), read_pillow_tags(image.info), name, notes)
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
    if is_tiff(start) or is_raw(start):  # its directory may be at the end
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
logging.getLogger("PIL").addHandler(logging.NullHandler())  # its remarks on damaged files are for its developers


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
        if is_tiff(data):
            return None
        raise _unreadable(name, _what_instead(data)) from None
    _check_size(name, *image.size)
    return image


_HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _open_heif(name: str, data: bytes) -> Image.Image:
    plugin = import_module("pillow_heif")  # an extra, whose formats Pillow need not know otherwise
    try:
        image: Image.Image = plugin.HeifImageFile(BytesIO(data))
    except (OSError, ValueError, RuntimeError, SyntaxError) as error:
        raise _unreadable(name, f"it is damaged or cut short: {reason_of(error)}") from error
    _check_size(name, *image.size)
    return image


def _check_size(name: str, width: int, height: int) -> None:
    """Refuse a picture that has no pixels, or more than the memory holds; the user may allow it.

    Raises:
        ImageError: it has.
    """
    megapixels, text = width * height / 1e6, os.environ.get(_ALLOWED, "")
    own = float(text) if text.replace(".", "", 1).isdecimal() else None
    limit = MAX_MEGAPIXELS if own is None else own
    allow = f"Make it smaller first, or set {_ALLOWED}={math.ceil(megapixels)} to allow it."
    if megapixels > limit:
        raise ImageError(f"{name} is {width}×{height} px; expected at most {limit:g} megapixels. {allow}")
    if own is None and megapixels > _SMALL and _BYTES * width * height > (free := free_memory()):
        raise ImageError(
            f"{name} is {width}×{height} px, which takes up to {_BYTES * megapixels / 1000:.1f} GB of memory to read, "
            f"but {free / 1e9:.1f} GB are free. {allow}"
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
    starts = {b"v/1\1": "OpenEXR", b"#?RADIANCE": "Radiance", b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL"}
    for sign, what in starts.items():
        if data.startswith(sign):
            return f"it is {what}"
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


_Channels = tuple[Floats, Floats | None, int]  # colors `(H, W, 1 or 3)`, alpha `(H, W)`, bits per channel


def _channels(image: Image.Image, name: str, notes: list[str]) -> _Channels:
    """Decode a Pillow image of any mode and split it into channels.

    Returns:
        Colors `(H, W, 1 or 3)`, alpha `(H, W)` or None, both in [0, 1], and the bits per channel.
    """
    tiles = getattr(image, "tile", None) or [("", (), 0, "")]
    small = _SMALL_GRAYS.get(str(tiles[0][3]))  # before decoding, which forgets it
    remarks = list[str]()
    try:
        with _remarks_of_libtiff(remarks) if tiles[0][0] == "libtiff" else nullcontext():
            image.load()
    except OSError as error:
        if remarks:
            raise ValueError(remarks[0]) from error
        raise
    if remarks:
        notes.append(f"{name} is damaged ({remarks[0]}); the part that can be read is used")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values, white = _large_numbers(image)
        return to_unit(values[..., None], name, notes, white=white), _keyed(values, image, 1), 16
    if image.mode in ("1", "L"):
        values = np.asarray(image.convert("L"))
        return to_unit(values[..., None], name, notes), _keyed(values, image, small), 8
    if image.mode in DEVICE_MODES:
        image = device_to_rgb(image, name, notes)
    target = "L" if image.mode in ("LA", "La") else "RGB"
    target += "A" * image.has_transparency_data
    image = image if image.mode == target else image.convert(target)
    values = np.divide(np.asarray(image), np.float32(255), dtype=np.float32)
    values = values.reshape(*values.shape[:2], -1)
    return (values[..., :-1], values[..., -1], 8) if target.endswith("A") else (values, None, 8)


@contextmanager
def _remarks_of_libtiff(told: list[str]) -> Iterator[None]:
    """Collect what libtiff prints on stderr; what others print there meanwhile comes out at the end."""
    try:
        before = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    with TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            caught.seek(0)
            text = caught.read()
            told += [remark.decode(errors="replace") for remark in _REMARK.findall(text)]
            with suppress(OSError):
                os.write(2, _REMARK.sub(b"", text))


_REMARK: Final = re.compile(rb"(?<![^\r\n])\w[\w.]*: ([^\r\n]{1,300})\.\n")
_SMALL_GRAYS: Final = {"L;2": 85, "L;4": 17}  # how a PNG of 2 and 4 bits is stored → steps of its grays


def _keyed(gray: NDArray[Any], image: Image.Image, step: int | None) -> Floats | None:
    """Return the alpha of a picture of which one gray is transparent, or None.

    Pillow gives that gray as it is in the file, and of small depths scales only the pixels, by `step`. If the step is
    not known, since the image was decoded before, it is seen in the pixels.
    """
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return None
    if step is None and image.mode == "L":
        fits = [step for step in _SMALL_GRAYS.values() if key * step <= 255 and not (gray % step).any()]
        step = fits[0] if fits and image.format == "PNG" else None
    return np.asarray(gray != key * (step or 1), np.float32)


def _large_numbers(image: Image.Image) -> tuple[NDArray[Any], float | None]:
    """Return the numbers of a mode of more than 8 bits, and which is white if their type does not tell."""
    values = np.asarray(image)
    if image.mode == "F":
        return values, None
    tags = image.getexif() if image.format == "TIFF" else {}
    bits, sign = (int(np.max(tags.get(tag, default))) for tag, default in ((258, 16), (339, 1)))
    if image.mode == "I" and not image.format:
        return values, 65535  # as Pillow writes it
    kind = f"{'int' if sign == 2 else 'uint'}{32 if bits > 16 else 16}"
    return values.astype(kind), None if bits in (16, 32) else 2.0**bits - 1


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Return whether Pillow would reduce the depth, as of 16 bits, or misread the channels, as of planar Lab."""
    if image.format == "PNG":
        return data[24] == 16  # IHDR: width, height, then bits per channel
    if image.format != "TIFF":
        return False
    tags = image.getexif()
    planes = tags.get(284) == 2 and tags.get(277, 1) > 1
    return planes or np.max(tags.get(258, 1)) > 8 or tags.get(262) == _LAB or tags.get(_INKS_TAG, 1) != 1


_CMYK, _LAB = 5, 8  # PhotometricInterpretation of TIFF
_COUNTS: Final = {0: 1, 1: 1, 2: 3, 3: 3, 6: 3, _CMYK: 4, _LAB: 3}  # channels of each, without extra ones
_BLACK_TAG, _WHITE_TAG = 340, 341  # SMinSampleValue and SMaxSampleValue of TIFF: the range of its numbers
_COLORS_TAG, _INKS_TAG, _EXTRA_TAG = 262, 332, 338


def _read_deep(path: Path, tags: Tags, exif: Image.Exif, name: str, notes: list[str]) -> _Channels:
    """Read a PNG or TIFF at full depth: colors `(H, W, 1 or 3)` and alpha `(H, W)`, in [0, 1], and the depth."""
    import OpenImageIO as oiio  # noqa: N813  slow import, and few pictures need it

    wish = oiio.ImageSpec()
    wish.attribute("oiio:UnassociatedAlpha", 1)
    wish.attribute("oiio:RawColor", int(_first(tags.get(_COLORS_TAG), -1) in (_CMYK, _LAB)))
    source = oiio.ImageInput.open(str(path), wish)
    if source is None:
        raise ValueError(oiio.geterror())
    try:
        spec = source.spec()
        _check_size(name, spec.width, spec.height)
        values = source.read_image(0, 0, 0, spec.nchannels, oiio.UNKNOWN)
        if values is None:
            raise ValueError(source.geterror())
    finally:
        source.close()
    values = values.reshape(spec.height, spec.width, spec.nchannels)
    return _arrange(values, spec, tags, exif.get(TiffImagePlugin.ICCPROFILE), name, notes)


def _first(values: tuple[Any, ...] | None, default: Any = None) -> Any:
    """Return the first number of a tag, which may have one for each channel."""
    return values[0] if values else default


def _arrange(values: NDArray[Any], spec: Any, tags: Tags, icc: Any, name: str, notes: list[str]) -> _Channels:
    """Split the channels of OpenImageIO into colors and unassociated alpha."""
    photometric = _first(tags.get(_COLORS_TAG), -1)
    count = _COUNTS.get(photometric, 3 if spec.nchannels >= 3 else 1)
    if photometric not in (-1, *_COUNTS) or spec.nchannels < count:
        raise ValueError(f"its colors are of the unknown kind {photometric}, with {spec.nchannels} channels")
    place, multiplied = spec.alpha_channel, not spec.get_int_attribute("oiio:UnassociatedAlpha", 0)
    if photometric in (_CMYK, _LAB):  # OpenImageIO takes black ink for alpha
        if _first(tags.get(_INKS_TAG), 1) != 1:
            raise ValueError("its inks are not cyan, magenta, yellow and black")
        kinds = tags.get(_EXTRA_TAG, ())
        found = [index for index, kind in enumerate(kinds) if kind in (1, 2) and count + index < spec.nchannels]
        place, multiplied = (count + found[0], kinds[found[0]] == 1) if found else (-1, False)
    alpha = to_unit(values[..., place], f"The alpha of {name}", notes) if place >= 0 else None
    colors = values[..., :count]
    if photometric == _LAB:
        return _from_lab(colors), alpha, 8
    if alpha is not None and multiplied and colors.dtype.kind == "f":
        colors = _divided(colors, alpha)  # before highlights are clipped
    white, black = _first(tags.get(_WHITE_TAG)), _first(tags.get(_BLACK_TAG), 0)
    stated = white is not None and black < white < np.inf
    colors = to_unit(colors, name, notes, white=white if stated else None, black=black if stated else 0)
    if alpha is not None and multiplied and values.dtype.kind != "f":
        colors = _divided(colors, alpha).clip(0, 1)
    if photometric == _CMYK:
        inks = _image("CMYK", to_integers(colors, 8), icc)
        return np.asarray(device_to_rgb(inks, name, notes), np.float32) / np.float32(255), alpha, 8
    if photometric == 0:  # white is zero
        colors = 1 - colors
    return colors, alpha, 8 if values.dtype.itemsize == 1 else 16


def _from_lab(values: NDArray[Any]) -> Floats:
    """Convert Lab of 8 or 16 bits, whose a and b are signed, to sRGB, with 8 bits."""
    if values.dtype == np.uint16:
        signed = (values[..., 1:].view(np.int16).astype(np.int32) + 128) // 256
        values = np.dstack([(values[..., 0] / 257 + 0.5).astype(np.uint8), signed.clip(-128, 127).astype(np.uint8)])
    if values.dtype != np.uint8:
        raise ValueError(f"its Lab colors are {values.dtype}; expected 8 or 16 bits")
    image = device_to_rgb(_image("LAB", values), "", [])
    return np.asarray(image, np.float32) / np.float32(255)


def _image(mode: str, values: NDArray[Any], icc: Any = None) -> Image.Image:
    """Return a Pillow image of bytes `(H, W, C)`, with a color profile."""
    height, width = values.shape[:2]
    image = Image.frombytes(mode, (width, height), np.ascontiguousarray(values).tobytes())
    image.info["icc_profile"] = icc
    return image


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


def _cropped(channels: _Channels, box: bytes | None, name: str, notes: list[str]) -> _Channels:
    """Return the part of a picture that its clean aperture names. ISO 14496-12, 12.1.4: fractions of pixels."""
    if box is None:
        return channels
    colors, alpha, depth = channels
    height, width = colors.shape[:2]
    edges = []
    with suppress(struct.error, ZeroDivisionError):
        numbers = struct.unpack(">IIIIiIiI", box[:32])
        wide, high, right, down = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
        left, top = right + Fraction(width - wide, 2), down + Fraction(height - high, 2)
        edges = [left, left + wide, top, top + high]
    inside = edges and 0 <= edges[0] < edges[1] <= width and 0 <= edges[2] < edges[3] <= height
    if not inside or any(edge.denominator != 1 for edge in edges):
        notes.append(f"{name} has a damaged clean aperture; the whole picture is read")
        return channels
    part = (slice(int(edges[2]), int(edges[3])), slice(int(edges[0]), int(edges[1])))
    return colors[part], None if alpha is None else alpha[part], depth


def _upright(channels: _Channels, about: Notes, tags: ColorTags | None, name: str, notes: list[str]) -> Picture:
    """Return the picture, upright and in sRGB.

    Args:
        channels: its channels.
        about: its metadata.
        tags: the meaning of its colors by other tags, which replace its profile.
        name: of the picture, for notes.
        notes: gets sentences without a full stop.
    """
    colors, alpha, depth = channels
    if tags and tags.narrow:
        step = 255 if depth == 8 else 65535 / 256
        colors = ((colors * step - 16) / 219).clip(0, 1)
    if about.damaged_icc:
        notes.append(f"{name} has a damaged color profile; its colors count as sRGB")
    if tags and tags.damaged:
        notes.append(f"{name} has damaged color tags; its colors count as sRGB")
    if tags and tags.range:
        notes.append(f"{name} has a high dynamic range ({tags.range}); what is brighter than white paper is clipped")
    rgb, icc = to_srgb(colors, tags.icc if tags else about.icc, name, notes)
    icc = None if tags and tags.range else icc
    orientation = about.exif.get(ExifTags.Base.Orientation)
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    dpi = about.dpi
    if turn:
        rgb, alpha = turn(rgb), None if alpha is None else turn(alpha)
        dpi = dpi[::-1] if dpi and orientation in (5, 6, 7, 8) else dpi
    alpha = None if alpha is None else np.array(alpha, order="C")
    return Picture(three_channels(rgb), alpha, icc, portable_exif(about.exif), dpi, depth)
