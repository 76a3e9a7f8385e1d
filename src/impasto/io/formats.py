"""Formats of pictures that are read and written."""

__all__ = ["ANIMATIONS", "DEEP", "READABLE", "WRITABLE"]
from typing import Final

# What Pillow may try. Not the ones that start other programs (EPS) or that any text could pass for (XBM).
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


ANIMATIONS: Final = {".webp": "WEBP", ".gif": "GIF"}  # what `save_film` writes


DEEP: Final = ("PNG", "TIFF")  # formats we write with 16 bits per channel
