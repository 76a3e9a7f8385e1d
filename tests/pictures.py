"""Makers of pictures and color profiles, good and odd, written out byte by byte where a library would smooth them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE, BLACK = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0)


def quadrants(height=8, width=12):
    """Red, green / blue, white: tells all orientations apart. uint8."""
    array = np.zeros((height, width, 3), np.uint8)
    array[: height // 2, : width // 2] = (255, 0, 0)
    array[: height // 2, width // 2 :] = (0, 255, 0)
    array[height // 2 :, : width // 2] = (0, 0, 255)
    array[height // 2 :, width // 2 :] = 255
    return array


def noise(height, width, channels, depth=8, seed=0):
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**depth, (height, width, channels), dtype)


def encoded(image, kind, **options):
    """A picture file's bytes, from a PIL image or an array."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation=None, **tags):
    """EXIF bytes with an orientation and more tags, by number: exif(6, t315="Ann")."""
    made = Image.Exif()
    if orientation is not None:
        made[274] = orientation
    for tag, value in tags.items():
        made[int(tag[1:])] = value
    return made.tobytes()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(array, *extra, after=()):
    """A 16-bit PNG of an array (H, W, 1 to 4): gray, gray+alpha, RGB, RGBA."""
    height, width, channels = array.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), *after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def iccp(profile):
    return chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))


# ── profiles, ICC.1:2001 ─────────────────────────────────────────────────────────────────────────


def fixed(*values):
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def profile(space, connection, tags, kind=b"mntr"):
    """A version 2 profile out of its tags."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0x\0",
    } | tags
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249) + bytes(48)
    assert len(header) == 128
    return header + struct.pack(">I", len(tags)) + table + body


def gamma_curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


SRGB_XYZ = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE_XYZ = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def matrix_tags(primaries, curve):
    tags = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[name] = b"XYZ \0\0\0\0" + fixed(*xyz)
    return tags


def rgb_profile(gamma=2.2, primaries=SRGB_XYZ, curve=None):
    return profile(b"RGB ", b"XYZ ", matrix_tags(primaries, curve or gamma_curve(gamma)))


SWAPPED = rgb_profile(2.2, SRGB_XYZ[::-1])  # says blue where others say red
ADOBE = rgb_profile(563 / 256, ADOBE_XYZ)


def gray_profile(gamma):
    return profile(b"GRAY", b"XYZ ", {b"kTRC": gamma_curve(gamma)})


def lut(inputs, nodes):
    """An 8-bit table (mft1) with two grid points a side; `nodes` are the outputs, the last input fastest."""
    ramp = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes([inputs, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return head + ramp * inputs + bytes(v for node in nodes for v in node) + ramp * 3


# Lab as 8 bits: L/100*255, a+128, b+128. White paper is (255, 128, 128).
LAB_RED, LAB_GRAY, LAB_WHITE, LAB_BLACK = (138, 208, 195), (137, 128, 128), (255, 128, 128), (0, 128, 128)


def cmyk_profile():
    """Prints gray for cyan alone, white for no ink, black for the rest."""
    nodes = [LAB_BLACK] * 16
    nodes[0b0000], nodes[0b1000] = LAB_WHITE, LAB_GRAY
    return profile(b"CMYK", b"Lab ", {b"A2B0": lut(4, nodes)}, b"prtr")


def lut_profile(more=()):
    """An RGB profile that is a table one way only, as scanners have: brightness from green alone."""
    nodes = [LAB_WHITE if index & 0b010 else LAB_BLACK for index in range(8)]
    return profile(b"RGB ", b"Lab ", {b"A2B0": lut(3, nodes)} | dict(more), b"scnr")
