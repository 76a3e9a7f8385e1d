"""Image file formats: which are read, which are written, and by which file suffix."""

from typing import Final

__all__ = ["ANIMATIONS", "DEEP", "READABLE", "WRITABLE"]

# The formats that Pillow may decode: none that starts another program (EPS), none that any text is (XBM).
READABLE: Final = (
    "JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "DIB", "PPM", "JPEG2000", "TGA", "QOI", "ICO", "PSD",
    "SGI", "PCX", "DDS",
)  # fmt: skip


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
