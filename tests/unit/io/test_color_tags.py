"""Color tags of files: code points, gamma, chromaticities, damaged profiles, and the clean aperture of AVIF.

Expected colors come from published matrices and formulas in float64, not from our profiles.
"""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from impasto.io.color_tags import read_png_tags
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from pictures import (
    ADOBE,
    SRGB_XYZ,
    chunk,
    encoded,
    gamma_curve,
    gray_profile,
    iccp,
    matrix_tags,
    noise,
    profile,
    rgb_profile,
)

# from linear light of other primaries to that of sRGB: Display P3, BT.2020 (BT.2087), DCI-P3 to D65 by Bradford
TO_SRGB = {
    12: [[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]],
    9: [[1.66049, -0.58764, -0.07285], [-0.12455, 1.13290, -0.00835], [-0.01815, -0.10058, 1.11873]],
    1: np.eye(3),
}
CURVES = {  # H.273, table 3
    1: lambda v: np.where(v < 0.0812428583, v / 4.5, ((v + 0.0992968268) / 1.0992968268) ** (1 / 0.45)),
    4: lambda v: v**2.2,
    5: lambda v: v**2.8,
    8: lambda v: v,
    13: lambda v: np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4),
}
COLORS = np.array([[[0.2, 0.5, 0.8], [0.7, 0.3, 0.1], [1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5], [0.9, 0.8, 0.2]]])


def shown(light):
    """sRGB-encoded values of linear light, IEC 61966-2-1."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def stored(kind, depth, colors=COLORS):
    """Colors as a gray, RGB or RGBA array of whole numbers; gray is green."""
    top = 2**depth - 1
    array = np.rint(colors * top).astype(int)
    if kind == "gray":
        return array[..., 1:2]
    return array if kind == "RGB" else np.dstack([array, np.full(array.shape[:2], top // 2)])


def png(array, depth, *chunks):
    height, width, channels = array.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in array)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def palette_png(array, *chunks):
    image = Image.fromarray(array.astype("u1")).quantize(16)
    data = encoded(image, "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def cicp(primaries, transfer, matrix=0, full=1):
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def gama(value):
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chrm(*places):
    return chunk(b"cHRM", struct.pack(">8I", *(round(place * 100_000) for place in places)))


P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
BT2020 = (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
SRGB_PLACES = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
ANOTHER = iccp(rgb_profile(1.0))

# name: chunks, curve, primaries
TAGS = {
    **{f"cICP {p} {t}": ([cicp(p, t)], CURVES[t], p) for p in TO_SRGB for t in CURVES},
    "cICP before all": ([gama(0.5), ANOTHER, cicp(12, 13), chrm(*BT2020)], CURVES[13], 12),
    "linear": ([gama(1)], CURVES[8], 1),
    "gamma 2.2": ([gama(1 / 2.2)], CURVES[4], 1),
    "gamma 2.8 P3": ([gama(1 / 2.8), chrm(*P3)], CURVES[5], 12),
    "P3": ([chrm(*P3)], CURVES[13], 12),
    "BT.2020 linear": ([chrm(*BT2020), gama(1)], CURVES[8], 9),
    "sRGB places": ([chrm(*SRGB_PLACES)], CURVES[13], 1),
    "sRGB before gamma": ([gama(1), chunk(b"sRGB", b"\0"), chrm(*P3)], CURVES[13], 1),
    "profile before gamma": ([gama(0.3), chrm(*P3), ANOTHER], CURVES[8], 1),
}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", ["gray", "RGB", "RGBA"])
@pytest.mark.parametrize("name", TAGS)
def test_png_tags(name, kind, depth, tmp_path):
    chunks, curve, primaries = TAGS[name]
    array = stored(kind, depth)
    (tmp_path / "a.png").write_bytes(png(array, depth, *chunks))
    picture = load_picture(tmp_path / "a.png")
    values = np.broadcast_to(array[..., :3], (1, 6, 3)) / (2**depth - 1)
    expected = shown(curve(values) @ np.transpose(TO_SRGB[primaries]))
    np.testing.assert_allclose(picture.pixels, expected, atol=1.02 / 255)
    assert picture.notes == ()
    if kind == "RGBA":
        np.testing.assert_allclose(picture.alpha, array[..., 3] / (2**depth - 1), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in TAGS if "cICP" not in name])
def test_pillow_tags(name, tmp_path):
    """What Pillow knows of a file that was opened with it counts as in the file."""
    (tmp_path / "a.png").write_bytes(png(stored("RGB", 8), 8, *TAGS[name][0]))
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(load_picture(image).pixels, load_picture(tmp_path / "a.png").pixels)


def test_palettes_have_tags_too(tmp_path):
    (tmp_path / "a.png").write_bytes(palette_png(stored("RGB", 8), gama(1), chrm(*P3)))
    values = stored("RGB", 8) / 255
    expected = shown(values @ np.transpose(TO_SRGB[12]))
    np.testing.assert_allclose(load_picture(tmp_path / "a.png").pixels, expected, atol=1.02 / 255)


@pytest.mark.parametrize("depth", [8, 16])
def test_narrow_range(depth, tmp_path):
    """Black is 16 and white 235, times 256 with 16 bits."""
    step = 2 ** (depth - 8)
    array = np.array([[[16, 125.5, 235], [0, 255, 235], [16, 16, 16]]]) * step
    (tmp_path / "a.png").write_bytes(png(array.astype(int), depth, cicp(1, 13, full=0)))
    expected = [[[0, 0.5, 1], [0, 1, 1], [0, 0, 0]]]
    np.testing.assert_allclose(load_picture(tmp_path / "a.png").pixels, expected, atol=0.6 / 219)


# signals of 0, 50, 100 and 203 cd/m², ITU-R BT.2408 and BT.2100; diffuse white is 203
HIGH = {16: ([0, 0.4403, 0.5081, 0.5807, 0.9], "PQ"), 18: ([0, 0.4971, 0.6297, 0.75, 0.9], "HLG")}


@pytest.mark.parametrize("primaries", [1, 9])
@pytest.mark.parametrize("transfer", HIGH)
def test_high_dynamic_range(transfer, primaries, tmp_path):
    signals, word = HIGH[transfer]
    array = np.rint(np.tile(np.array(signals)[None, :, None], (1, 1, 3)) * 65535).astype(int)
    (tmp_path / "a.png").write_bytes(png(array, 16, cicp(primaries, transfer)))
    picture = load_picture(tmp_path / "a.png")
    expected = shown(np.array([0, 50 / 203, 100 / 203, 1, 1]))
    np.testing.assert_allclose(picture.pixels[0, :, 1], expected, atol=0.008)
    assert word in picture.notes[0] and "clipped" in picture.notes[0] and picture.icc is None


@pytest.mark.parametrize("how", ["cICP 12 13", "gamma 2.8 P3", "linear"])
def test_tags_there_and_back(how, tmp_path):
    """The result has a profile of the same meaning, with which its bytes are those of the source."""
    array = noise(16, 16, 3)
    (tmp_path / "a.png").write_bytes(png(array, 8, *TAGS[how][0]))
    picture = load_picture(tmp_path / "a.png")
    out = save_picture(tmp_path / "b.png", picture)
    with Image.open(out) as image:
        own = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        made = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert np.abs(np.asarray(made) / 255 - picture.pixels).mean() < 0.01
    assert np.abs(load_picture(out).pixels - picture.pixels).mean() < 0.005


DAMAGED = {
    "cICP of a matrix": [cicp(1, 13, matrix=1)],
    "cICP of unknown primaries": [cicp(3, 13)],
    "cICP of an unknown curve": [cicp(1, 99)],
    "cICP cut short": [chunk(b"cICP", b"\1\1")],
    "gamma 0": [gama(0)],
    "gamma of nothing": [gama(0.00001)],
    "primaries on a line": [chrm(0.3127, 0.3290, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3)],
    "no white": [chrm(0, 0, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)],
    "profile that cannot be unpacked": [chunk(b"iCCP", b"p\0\0" + b"garbage" * 9)],
}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_tags_count_as_srgb(name, depth, tmp_path):
    array = stored("RGB", depth)
    (tmp_path / "a.png").write_bytes(png(array, depth, *DAMAGED[name]))
    picture = load_picture(tmp_path / "a.png")
    np.testing.assert_allclose(picture.pixels, array / (2**depth - 1), atol=1e-6)
    assert len(picture.notes) == 1 and "damaged color" in picture.notes[0] and "count as sRGB" in picture.notes[0]


# ── damaged profiles ─────────────────────────────────────────────────────────────────────────────


def with_tags(**changed):
    tags = matrix_tags(SRGB_XYZ, gamma_curve(2.2)) | {name.encode(): data for name, data in changed.items()}
    return profile(b"RGB ", b"XYZ ", tags)


def xyz(*values, kind=b"XYZ "):
    return kind + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


BROKEN = {
    "garbage": b"garbage" * 40,
    "cut": ADOBE[:300],
    "primaries of a wrong type": with_tags(rXYZ=xyz(*SRGB_XYZ[0], kind=b"sf32")),
    "primaries of texts": with_tags(gXYZ=b"text\0\0\0\0" + b"green" * 5),
    "curve of a wrong type": with_tags(rTRC=xyz(1, 1, 1)),
    "white twice as bright": rgb_profile(primaries=np.array(SRGB_XYZ) * 2),
    "white without blue": with_tags(bXYZ=xyz(0.01, 0.005, 0.05)),
    "white too red": with_tags(rXYZ=xyz(0.8, 0.4, 0.02)),
    "one dark curve": with_tags(gTRC=b"curv\0\0\0\0" + struct.pack(">I3H", 3, 0, 8000, 20000)),
    "no primaries": profile(b"RGB ", b"XYZ ", {}),
}


def with_profile(kind, icc):
    """The bytes of a file with a profile, and the color that is in it."""
    array = np.tile(np.uint8([200, 100, 50]), (16, 16, 1))
    if kind == "png16":
        return png(array.astype(int) * 257, 16, iccp(icc))
    if kind == "tiff16":
        file = io.BytesIO()
        tifffile.imwrite(file, array.astype(np.uint16) * 257, photometric="rgb", iccprofile=icc, metadata=None)
        return file.getvalue()
    return encoded(array, kind, icc_profile=icc, **({"quality": 100} if kind != "PNG" else {}))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "png16", "tiff16"])
@pytest.mark.parametrize("name", BROKEN)
def test_damaged_profiles_count_as_srgb(name, kind, tmp_path):
    (tmp_path / "a").write_bytes(with_profile(kind, BROKEN[name]))
    picture = load_picture(tmp_path / "a")
    np.testing.assert_allclose(picture.pixels.mean((0, 1)), np.array([200, 100, 50]) / 255, atol=4 / 255)
    assert picture.notes == ("a has a damaged color profile; its colors count as sRGB",) and picture.icc is None


@pytest.mark.parametrize("icc", [ADOBE, rgb_profile(1.0), rgb_profile(2.2, SRGB_XYZ[::-1])])
def test_sound_profiles_are_followed_without_a_word(icc, tmp_path):
    (tmp_path / "a").write_bytes(with_profile("PNG", icc))
    assert load_picture(tmp_path / "a").notes == () and load_picture(tmp_path / "a").icc == icc


def test_profiles_of_other_spaces_are_told(tmp_path):
    (tmp_path / "a").write_bytes(with_profile("PNG", gray_profile(1.0)))
    assert load_picture(tmp_path / "a").notes == (
        "a has a color profile of another color space, GRAY; its colors count as sRGB",
    )
    for icc in (b"garbage" * 40, ADOBE):
        (tmp_path / "b").write_bytes(encoded(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=icc))
        assert "damaged or not of its inks" in load_picture(tmp_path / "b").notes[0]


# ── AVIF ─────────────────────────────────────────────────────────────────────────────────────────


def avif(array, *, clap=None, code_points=None, **options):
    """An AVIF file with a clean aperture and code points; the box is put in here byte by byte."""
    data = encoded(Image.fromarray(array), "AVIF", quality=100, subsampling="4:4:4", **options)
    if code_points:
        place = data.index(b"nclx") + 4
        data = data[:place] + struct.pack(">HH", *code_points) + data[place + 4 :]
    if clap is None:
        return data
    box = struct.pack(">I4sIIIIiIiI", 40, b"clap", *clap)
    data = bytearray(data)

    def grow(name, more):
        place = data.index(name) - 4
        data[place : place + 4] = struct.pack(">I", struct.unpack_from(">I", data, place)[0] + more)
        return place

    ipco = data.index(b"ipco") - 4
    size, count, place = struct.unpack_from(">I", data, ipco)[0], 0, ipco + 8
    while place < ipco + size:
        count, place = count + 1, place + struct.unpack_from(">I", data, place)[0]
    items = data.index(b"iloc") + 4
    number = struct.unpack_from(">H", data, items + 6)[0]
    for item in range(number):
        place = items + 8 + 14 * item + 6
        data[place : place + 4] = struct.pack(">I", struct.unpack_from(">I", data, place)[0] + 40 + number)
    place = data.index(b"ipma") - 4 + 18
    grow(b"meta", 40 + number), grow(b"iprp", 40 + number), grow(b"ipma", number)
    for _ in range(number):  # of colors and of alpha: behind the four properties that all have, before a turn
        data[place] += 1
        data[place + 5 : place + 5] = bytes([0x80 | (count + 1)])
        place += 1 + data[place] + 2
    grow(b"ipco", 40)
    data[ipco + size : ipco + size] = box
    return bytes(data)


SCENE = np.repeat(np.repeat(noise(6, 8, 3, seed=4), 8, 0), 8, 1)  # blocks of 8 px


@pytest.mark.parametrize("channels", ["gray", "RGB", "RGBA"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_clean_aperture(orientation, channels, tmp_path):
    """The middle 32 x 16 px, 8 px to the left and 4 up: pixels 8 to 40 and 12 to 28 of 64 x 48."""
    scene = {"gray": SCENE[..., 1], "RGB": SCENE, "RGBA": np.dstack([SCENE, SCENE[..., :1]])}[channels]
    options = {} if orientation == 1 else {"exif": exif_of(orientation)}
    whole, part = avif(scene, **options), avif(scene, clap=(32, 1, 16, 1, -8, 1, -8, 2), **options)
    (tmp_path / "whole.avif").write_bytes(whole)
    (tmp_path / "part.avif").write_bytes(part)
    full, picture = load_picture(tmp_path / "whole.avif"), load_picture(tmp_path / "part.avif")
    turn = (lambda a: a) if orientation == 1 else (lambda a: np.rot90(a, -1))
    back = (lambda a: a) if orientation == 1 else np.rot90
    np.testing.assert_array_equal(picture.pixels, turn(back(full.pixels)[12:28, 8:40]))
    assert picture.notes == () and (picture.alpha is None) == (channels != "RGBA")
    if channels == "RGBA":
        np.testing.assert_array_equal(picture.alpha, turn(back(full.alpha)[12:28, 8:40]))


def exif_of(orientation):
    made = Image.Exif()
    made[274] = orientation
    return made.tobytes()


@pytest.mark.parametrize("clap", [(99, 1, 16, 1, 0, 1, 0, 1), (31, 1, 16, 1, 0, 1, 0, 1), (32, 0, 16, 1, 0, 1, 0, 1)])
def test_a_damaged_clean_aperture_is_told(clap, tmp_path):
    """Larger than the picture, between pixels, and divided by zero."""
    (tmp_path / "a.avif").write_bytes(avif(SCENE, clap=clap))
    picture = load_picture(tmp_path / "a.avif")
    assert picture.size == (48, 64)
    assert picture.notes == ("a.avif has a damaged clean aperture; the whole picture is read",)


@pytest.mark.parametrize("transfer", [8, 13])
@pytest.mark.parametrize("primaries", TO_SRGB)
def test_code_points_of_avif(primaries, transfer, tmp_path):
    array = np.repeat(np.repeat(stored("RGB", 8).astype(np.uint8), 16, 0), 16, 1)
    (tmp_path / "plain.avif").write_bytes(avif(array))
    (tmp_path / "a.avif").write_bytes(avif(array, code_points=(primaries, transfer)))
    values = load_picture(tmp_path / "plain.avif").pixels.astype("f8")
    expected = shown(CURVES[transfer](values) @ np.transpose(TO_SRGB[primaries]))
    np.testing.assert_allclose(load_picture(tmp_path / "a.avif").pixels, expected, atol=1.02 / 255)


def test_no_tags():
    assert read_png_tags(png(stored("RGB", 8), 8)) is None and read_png_tags(b"\xff\xd8\xff\xe0") is None
