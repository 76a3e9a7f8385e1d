"""EXIF, resolution and profile of a picture file."""

from contextlib import suppress
from io import BytesIO
from typing import Any, Final, NamedTuple

from PIL import ExifTags, Image, TiffImagePlugin

from impasto.io.picture import Picture
from impasto.io.tiff import first_directory

__all__ = ["DEVICE_MODES", "Notes", "completed_notes", "exif_entries", "exif_with_dpi", "portable_exif", "read_notes"]

DEVICE_MODES: Final = ("CMYK", "LAB")  # converted to sRGB by the decoder


# Author, date, camera and description. The rest of the main directory describes the layout of the file.
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


# Tags that are wrong for the result, or that cannot be copied.
_DROPPED_TAGS: Final = (
    ExifTags.Base.MakerNote,
    ExifTags.Base.ColorSpace,
    ExifTags.Base.ExifImageWidth,
    ExifTags.Base.ExifImageHeight,
    ExifTags.Base.ExifInteroperabilityOffset,
)


_DIRECTORIES: Final = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)


class Notes(NamedTuple):
    """Metadata of a picture file."""

    icc: bytes | None  # None if only the decoder needs it, as for CMYK
    exif: Image.Exif
    dpi: tuple[float, float] | None
    damaged_icc: bool = False  # there is a profile that cannot even be unpacked


def read_notes(image: Image.Image | None, data: bytes) -> Notes:
    """Return the metadata of an opened picture; for None that of a TIFF file `data`."""
    exif = Image.Exif()
    with suppress(Exception):  # damaged EXIF is not an error of the picture
        if image is None:  # a TIFF file has the layout of EXIF
            exif.bigtiff, exif.endian = 43 in data[2:4], "<" if data[:2] == b"II" else ">"
            exif.load_from_fp(BytesIO(data), first_directory(data))
        else:
            exif = image.getexif()
    info = {} if image is None else image.info
    icc = info.get("icc_profile") or exif.get(TiffImagePlugin.ICCPROFILE)
    used_up = image is not None and image.mode in DEVICE_MODES
    damaged = not icc and "icc_profile" in info
    return Notes(icc if isinstance(icc, bytes) and not used_up else None, exif, _dpi(info, exif), damaged)


def completed_notes(notes: Notes, others: Notes) -> Notes:
    """Return the metadata of a picture, completed by that of the first picture of its file."""
    wanted = (*_KEPT_TAGS, *_DIRECTORIES, ExifTags.Base.Orientation)
    for tag in wanted:
        if tag not in notes.exif and tag in others.exif:
            notes.exif[tag] = others.exif[tag]
    return Notes(notes.icc or others.icc, notes.exif, notes.dpi or others.dpi, notes.damaged_icc)


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


def portable_exif(exif: Image.Exif) -> bytes | None:
    """Return the entries to keep, in the layout of `Image.Exif.tobytes`."""
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


def exif_with_dpi(picture: Picture) -> bytes | None:
    """Return EXIF with the resolution, for WebP and AVIF, which can hold it only there."""
    if picture.dpi is None:
        return picture.exif
    exif = Image.Exif()
    exif.load(picture.exif or b"")
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = picture.dpi
    exif[ExifTags.Base.ResolutionUnit] = 2
    return exif.tobytes()


def exif_entries(exif: bytes | None) -> dict[int, Any]:
    """Return EXIF as TIFF tags, with sub-directories as dicts."""
    source = Image.Exif()
    source.load(exif or b"")
    return {tag: source.get_ifd(tag) if tag in _DIRECTORIES else value for tag, value in source.items()}
