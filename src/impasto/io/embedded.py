"""Metadata of impasto inside picture files."""

import os
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from impasto.io.decode import decoding, open_image, read_bytes
from impasto.io.naming import called
from impasto.reading import read_json

__all__ = ["KEY", "read_metadata", "xmp_packet"]

KEY: Final = "impasto"  # the keyword of the text chunk in PNG, and of the XMP property elsewhere


_NAMESPACE: Final = "urn:impasto:metadata"


def xmp_packet(text: str | None) -> bytes | None:
    """Wrap JSON as an XMP packet, which JPEG, WebP, TIFF and AVIF can hold beside the EXIF of a camera."""
    if text is None:
        return None
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:{KEY}="{_NAMESPACE}">'
        f"<{KEY}:json>{escape(text)}</{KEY}:json></rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the `metadata` with which `save_picture` wrote a file, or None if there is none.

    Raises:
        ImageError: the file is missing, or it is no picture.
    """
    path = Path(path)
    data = read_bytes(path)
    with decoding(called(path)):
        image = open_image(path, data)
        info = {} if image is None else image.info
    text = info.get(KEY) or _json_in_xmp(info.get("xmp"))
    try:
        found = read_json(text or "null")
    except (TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _json_in_xmp(packet: bytes | str | None) -> str | None:
    try:
        return ElementTree.fromstring(packet or b"").findtext(f".//{{{_NAMESPACE}}}json")
    except (ElementTree.ParseError, ValueError, TypeError):
        return None
