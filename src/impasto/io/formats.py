"""Image file formats: which are read, which are written, and by which file suffix."""

from importlib.util import find_spec
from typing import Final

__all__ = ["ANIMATIONS", "DEEP", "HEIC", "RAW", "READABLE", "WRITABLE", "left_out_because", "reads_heic"]

# The formats that Pillow may decode: none that starts another program (EPS), none that any text is (XBM).
READABLE: Final = (
    "JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "DIB", "PPM", "JPEG2000", "TGA", "QOI", "ICO", "PSD",
    "SGI", "PCX", "DDS",
)  # fmt: skip


HEIC: Final = (".heic", ".heics", ".heif", ".heifs", ".hif")  # suffixes of the format of telephones, read with an extra


def reads_heic() -> bool:
    """Return whether the extra is installed that reads HEIC."""
    return find_spec("pillow_heif") is not None


RAW: Final = (  # suffixes of the raw files of cameras
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip


# Why files in a folder of pictures are left out, by suffix; other files are not spoken of.
_REASONS: Final = {
    "HEIC needs pip install 'impasto[heic]'": HEIC,
    "camera raw must be developed first, as TIFF or JPEG": RAW,
    "a folder stands for its pictures; name each video": (
        ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
        ".webm", ".wmv",
    ),
    "their format is not read": (
        ".ai", ".bpg", ".djvu", ".emf", ".eps", ".exr", ".fits", ".hdr", ".icns", ".jxl", ".jxr", ".kra", ".ora",
        ".pdf", ".psb", ".svg", ".svgz", ".wdp", ".wmf", ".xbm", ".xcf", ".xpm",
    ),
}  # fmt: skip


def left_out_because(suffix: str) -> str | None:
    """Return why a file with this suffix, in lower case, is no picture that is read; None if it is none at all."""
    return next((why for why, suffixes in _REASONS.items() if suffix in suffixes), None)


WRITABLE: Final = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}


ANIMATIONS: Final = {".webp": "WEBP", ".gif": "GIF"}  # formats of `save_animation`


DEEP: Final = ("PNG", "TIFF")  # formats that are written with 16 bits per channel
