"""Odd and broken inputs: each becomes the right picture or one clear sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from impasto.errors import ImageError
from impasto.io.decode import MAX_MEGAPIXELS, load_picture
from pictures import (
    ADOBE,
    BLUE,
    RED,
    SRGB_XYZ,
    SWAPPED,
    WHITE,
    chunk,
    cmyk_profile,
    encoded,
    exif,
    gamma_curve,
    gray_profile,
    iccp,
    lut_profile,
    matrix_tags,
    noise,
    png16,
    profile,
    quadrants,
    rgb_profile,
)

DEEP = noise(5, 7, 3, 16)
DEEP_RGBA = noise(5, 7, 4, 16, seed=1)


def plain(mode, color, size=(3, 2)):
    return Image.new(mode, size, color)


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


def paletted(transparency=None, mode="P"):
    """Index 0 is red, 1 is blue; two pixels side by side."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return encoded(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


def animated(kind):
    frames = [plain("RGB", c) for c in ("red", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, lossless=True)


def lab_of_red():
    """The red of sRGB, Lab (54.3, 80.8, 69.9) under D50, as bytes: L * 2.55, a, b."""
    return Image.frombytes("LAB", (3, 2), bytes([138, 81, 70]) * 6)


def inverted_cmyk_jpeg():
    """Cyan 255 alone, as Adobe writes it: inverted, with its APP14 mark."""
    data = encoded(plain("CMYK", (255, 0, 0, 0), (16, 16)), "JPEG", quality=100)
    assert b"Adobe" in data
    return data


def bilevel_tiff():
    return encoded(plain("1", 1), "TIFF", compression="group4")


def exif_behind_pixels():
    return png16(np.full((4, 6, 3), 65535, np.uint16), after=[chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0"))])


def curve_profile(gamma):
    """A profile whose curve is a table of 256 instead of one number."""
    values = np.round((np.arange(256) / 255) ** gamma * 65535).astype(">u2")
    return rgb_profile(curve=b"curv\0\0\0\0" + struct.pack(">I", 256) + values.tobytes())


def to_srgb(icc, mode, color):
    """What Pillow's color management makes of one color, in [0, 1]."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(plain(mode, color), source, target, outputMode="RGB")
    return tuple(v / 255 for v in image.getpixel((0, 0)))


GRAY = (128 / 255,) * 3
CHECKED = np.array([[RED, BLUE]], np.float32)
NEAR = 1.01 / 255

# name: (file's bytes, expected colors, tolerance)
COLORS = {
    "bilevel.png": (lambda: encoded(plain("1", 1), "PNG"), WHITE, 0),
    "fax.tif": (bilevel_tiff, WHITE, 0),
    "gray.png": (lambda: encoded(plain("L", 128), "PNG"), GRAY, 1e-6),
    "gray.jpg": (lambda: encoded(plain("L", 128), "JPEG"), GRAY, NEAR),
    "gray2bit.png": (lambda: encoded(plain("L", 255), "PNG", bits=2), WHITE, 0),
    "palette.png": (paletted, CHECKED, 0),
    "palette.gif": (lambda: encoded(plain("P", 0).convert("RGB"), "GIF"), (0, 0, 0), 0),
    "gray-rgb-profile.jpg": (
        lambda: encoded(plain("L", 128), "JPEG", icc_profile=rgb_profile(1.0)),
        (188 / 255,) * 3,  # as linear-gray-profile.png below
        NEAR,
    ),
    "rgb.bmp": (lambda: encoded(plain("RGB", "red"), "BMP"), RED, 0),
    "rgb.ppm": (lambda: encoded(plain("RGB", "red"), "PPM"), RED, 0),
    "rgb.tga": (lambda: encoded(plain("RGB", "red"), "TGA"), RED, 0),
    "rgb.jp2": (lambda: encoded(plain("RGB", "red", (16, 16)), "JPEG2000"), RED, 0),
    "icon.ico": (lambda: encoded(plain("RGB", "red", (16, 16)), "ICO"), RED, 0),
    "rgbx.tif": (lambda: encoded(plain("RGBX", (255, 0, 0, 9)), "TIFF"), RED, 0),
    "cmyk.jpg": (inverted_cmyk_jpeg, (0, 1, 1), NEAR),
    "cmyk.tif": (lambda: encoded(plain("CMYK", (0, 255, 0, 0)), "TIFF"), (1, 0, 1), 0),
    "cmyk-black.tif": (lambda: encoded(plain("CMYK", (0, 0, 0, 255)), "TIFF"), (0, 0, 0), 0),
    "cmyk16.tif": (
        lambda: tiff(np.tile(np.uint16([0, 65535, 0, 0]), (2, 3, 1)), photometric="separated"),
        (1, 0, 1),
        0,
    ),
    "cmyk-profile.jpg": (
        lambda: encoded(plain("CMYK", (255, 0, 0, 0), (16, 16)), "JPEG", quality=100, icc_profile=cmyk_profile()),
        GRAY,
        NEAR,
    ),
    "cmyk-profile.tif": (
        lambda: encoded(plain("CMYK", (0, 255, 0, 0)), "TIFF", icc_profile=cmyk_profile()),
        (0, 0, 0),
        NEAR,
    ),
    "cmyk-wrong-profile.tif": (
        lambda: encoded(plain("CMYK", (255, 0, 0, 0)), "TIFF", icc_profile=SWAPPED),
        (0, 1, 1),
        0,
    ),
    "ycbcr.jpg": (lambda: encoded(plain("YCbCr", (128, 128, 128)), "JPEG"), GRAY, NEAR),
    "ycbcr.tif": (lambda: encoded(plain("YCbCr", (128, 128, 128)), "TIFF"), GRAY, NEAR),
    "lab.tif": (lambda: encoded(lab_of_red(), "TIFF"), RED, 5.5 / 255),
    "swapped-profile.png": (lambda: encoded(plain("RGB", "red"), "PNG", icc_profile=SWAPPED), BLUE, 2e-3),
    "adobe-profile.png": (
        lambda: encoded(plain("RGB", (200, 100, 50)), "PNG", icc_profile=ADOBE),
        to_srgb(ADOBE, "RGB", (200, 100, 50)),
        NEAR,
    ),
    "palette-profile.png": (
        lambda: encoded(plain("RGB", (200, 100, 50)).quantize(4), "PNG", icc_profile=ADOBE),
        to_srgb(ADOBE, "RGB", (200, 100, 50)),
        NEAR,
    ),
    "table-curve-profile.png": (
        lambda: encoded(plain("RGB", (200, 100, 50)), "PNG", icc_profile=curve_profile(1.5)),
        to_srgb(curve_profile(1.5), "RGB", (200, 100, 50)),
        NEAR,
    ),
    "table-profile.png": (
        lambda: encoded(plain("RGB", (255, 0, 255)), "PNG", icc_profile=lut_profile()),
        (0, 0, 0),
        NEAR,
    ),
    "table-and-matrix-profile.png": (  # the table goes before the matrix
        lambda: encoded(
            plain("RGB", (255, 0, 255)), "PNG", icc_profile=lut_profile(matrix_tags(SRGB_XYZ, gamma_curve(2)))
        ),
        (0, 0, 0),
        NEAR,
    ),
    "linear-gray-profile.png": (
        lambda: encoded(plain("L", 128), "PNG", icc_profile=gray_profile(1.0)),
        (188 / 255,) * 3,  # 255 * (1.055 * (128/255)**(1/2.4) - 0.055) = 187.5
        NEAR,
    ),
    "gray-profile-on-rgb.png": (
        lambda: encoded(plain("RGB", "red"), "PNG", icc_profile=gray_profile(1.0)),
        RED,
        0,
    ),
    "garbage-profile.png": (lambda: encoded(plain("RGB", "red"), "PNG", icc_profile=b"garbage" * 40), RED, 0),
    "cut-profile.jpg": (lambda: encoded(plain("RGB", "blue"), "JPEG", icc_profile=ADOBE[:200]), BLUE, 3 / 255),
    "no-curves-profile.png": (
        lambda: encoded(plain("RGB", "red"), "PNG", icc_profile=profile(b"RGB ", b"XYZ ", {})),
        RED,
        0,
    ),
    "flat-profile.png": (
        lambda: encoded(plain("RGB", "blue"), "PNG", icc_profile=rgb_profile(primaries=SRGB_XYZ[:1] * 3)),
        BLUE,
        0,
    ),
    "deep-swapped-profile.png": (
        lambda: png16(np.tile(np.uint16([65535, 0, 0]), (2, 3, 1)), iccp(SWAPPED)),
        BLUE,
        2e-3,
    ),
    "deep-swapped-profile.tif": (
        lambda: tiff(np.tile(np.uint16([65535, 0, 0]), (2, 3, 1)), photometric="rgb", iccprofile=SWAPPED),
        BLUE,
        2e-3,
    ),
    "first-frame.gif": (lambda: animated("GIF"), RED, 0),
    "first-frame.png": (lambda: animated("PNG"), RED, 0),
    "first-frame.webp": (lambda: animated("WEBP"), RED, 0),
    "first-page.tif": (lambda: animated("TIFF"), RED, 0),
    "one-pixel.png": (lambda: encoded(plain("RGB", "red", (1, 1)), "PNG"), RED, 0),
    "one-row.png": (lambda: encoded(plain("RGB", "red", (400, 1)), "PNG"), RED, 0),
    "one-column.jpg": (lambda: encoded(plain("RGB", "white", (1, 400)), "JPEG"), WHITE, 0),
    "png-called.jpg": (lambda: encoded(plain("RGB", "red"), "PNG"), RED, 0),
    "deep-png-called.tif": (lambda: png16(np.tile(np.uint16([65535, 0, 0]), (2, 3, 1))), RED, 0),
    "no-suffix": (lambda: encoded(plain("RGB", "red"), "WEBP", lossless=True), RED, 0),
    "name\nwith a line break.png": (lambda: encoded(plain("RGB", "red"), "PNG"), RED, 0),
    "bad-orientation.jpg": (lambda: encoded(plain("RGB", "white"), "JPEG", exif=exif(99)), WHITE, 0),
    "bad-exif.jpg": (lambda: encoded(plain("RGB", "white"), "JPEG", exif=b"Exif\0\0garbage"), WHITE, 0),
    "exif-behind.png": (exif_behind_pixels, WHITE, 0),
    # full depth, exact to half a step
    "rgb16.png": (lambda: png16(DEEP), DEEP / 65535, 1e-6),
    "gray16.png": (lambda: png16(DEEP[..., :1]), DEEP[..., :1] / 65535 * np.ones(3), 1e-6),
    "rgb16.tif": (lambda: tiff(DEEP, photometric="rgb"), DEEP / 65535, 1e-6),
    "rgb16-big-endian.tif": (lambda: tiff(DEEP, photometric="rgb", byteorder=">"), DEEP / 65535, 1e-6),
    "rgb16-bigtiff.tif": (lambda: tiff(DEEP, photometric="rgb", bigtiff=True, byteorder=">"), DEEP / 65535, 1e-6),
    "rgb16-deflated.tif": (
        lambda: tiff(DEEP, photometric="rgb", compression="zlib", predictor=True),
        DEEP / 65535,
        1e-6,
    ),
    "rgb16-planes.tif": (
        lambda: tiff(DEEP.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        DEEP / 65535,
        1e-6,
    ),
    "gray16.tif": (lambda: tiff(DEEP[..., 0]), DEEP[..., :1] / 65535 * np.ones(3), 1e-6),
    "gray16-white-is-zero.tif": (
        lambda: tiff(DEEP[..., 0], photometric="miniswhite"),
        1 - DEEP[..., :1] / 65535 * np.ones(3),
        1e-6,
    ),
    "float.tif": (lambda: tiff((DEEP / 65535).astype(np.float32), photometric="rgb"), DEEP / 65535, 1e-6),
    "float-gray-255.tif": (
        lambda: tiff(np.full((2, 3), 128, np.float32), extratags=[(341, "f", 1, 255.0, True)]),  # SMaxSampleValue
        GRAY,
        1e-6,
    ),
    "half.tif": (lambda: tiff((DEEP / 65535).astype(np.float16), photometric="rgb"), DEEP / 65535, 5e-4),
    "gray16.pgm": (lambda: b"P5 2 1 65535\n" + np.array([0, 32896], ">u2").tobytes(), ((0, 0, 0), GRAY), 1e-4),
    "extra-channel16.tif": (
        lambda: tiff(DEEP_RGBA, photometric="rgb", extrasamples=["unspecified"]),
        DEEP_RGBA[..., :3] / 65535,
        1e-6,
    ),
}


@pytest.mark.parametrize("name", COLORS)
def test_color(name, tmp_path):
    make, expected, tolerance = COLORS[name]
    (tmp_path / name).write_bytes(make())
    picture = load_picture(tmp_path / name)
    pixels = picture.pixels
    assert pixels.dtype == np.float32 and pixels.flags.c_contiguous
    np.testing.assert_allclose(
        pixels, np.broadcast_to(np.asarray(expected), pixels.shape), rtol=0, atol=tolerance + 1e-9
    )
    assert picture.alpha is None
    assert picture.name == name.removesuffix((tmp_path / name).suffix)
    deep = (
        "16" in name or "deep" in name or "float" in name or "half" in name or "behind" in name
    ) and "cmyk" not in name
    assert picture.depth == (16 if deep else 8)


HALF = 128 / 255

# name: (file's bytes, expected colors where visible, expected alpha)
ALPHAS = {
    "rgba.png": (lambda: encoded(plain("RGBA", (255, 0, 0, 128)), "PNG"), RED, HALF),
    "la.png": (lambda: encoded(plain("LA", (128, 128)), "PNG"), GRAY, HALF),
    "rgb-key.png": (lambda: encoded(plain("RGB", (255, 0, 0)), "PNG", transparency=(255, 0, 0)), RED, 0),
    "gray-key.png": (lambda: encoded(plain("L", 128), "PNG", transparency=128), GRAY, 0),
    "palette-index.png": (lambda: paletted(1), CHECKED, ((1, 0),)),
    "palette-bytes.png": (lambda: paletted(bytes([255, 128])), CHECKED, ((1, HALF),)),
    "transparent.gif": (lambda: encoded(plain("P", 0), "GIF", transparency=0), (0, 0, 0), 0),
    "rgba.webp": (lambda: encoded(plain("RGBA", (255, 0, 0, 128)), "WEBP", lossless=True), RED, HALF),
    "rgba.tif": (lambda: encoded(plain("RGBA", (255, 0, 0, 128)), "TIFF"), RED, HALF),
    "premultiplied.tif": (
        lambda: tiff(np.tile(np.uint8([128, 0, 0, 128]), (2, 3, 1)), photometric="rgb", extrasamples=["assocalpha"]),
        RED,
        HALF,
    ),
    "rgba16.png": (lambda: png16(DEEP_RGBA), DEEP_RGBA[..., :3] / 65535, DEEP_RGBA[..., 3] / 65535),
    "la16.png": (lambda: png16(DEEP[..., :2]), DEEP[..., :1] / 65535 * np.ones(3), DEEP[..., 1] / 65535),
    "key16.png": (
        lambda: png16(np.tile(np.uint16([65535, 0, 0]), (2, 3, 1)), chunk(b"tRNS", struct.pack(">3H", 65535, 0, 0))),
        RED,
        0,
    ),
    "rgba16.tif": (
        lambda: tiff(DEEP_RGBA, photometric="rgb", extrasamples=["unassalpha"]),
        DEEP_RGBA[..., :3] / 65535,
        DEEP_RGBA[..., 3] / 65535,
    ),
    "premultiplied16.tif": (
        lambda: tiff(
            np.tile(np.uint16([32768, 0, 0, 32768]), (2, 3, 1)), photometric="rgb", extrasamples=["assocalpha"]
        ),
        RED,
        32768 / 65535,
    ),
    "la16.tif": (
        lambda: tiff(
            DEEP[..., :2].copy(), photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"
        ),
        DEEP[..., :1] / 65535 * np.ones(3),
        DEEP[..., 1] / 65535,
    ),
}


@pytest.mark.parametrize("name", ALPHAS)
def test_alpha(name, tmp_path):
    make, colors, alpha = ALPHAS[name]
    (tmp_path / name).write_bytes(make())
    picture = load_picture(tmp_path / name)
    np.testing.assert_allclose(
        picture.pixels, np.broadcast_to(np.asarray(colors), picture.pixels.shape), rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        picture.alpha, np.broadcast_to(np.asarray(alpha), picture.alpha.shape), rtol=0, atol=1e-6
    )
    assert picture.depth == (16 if "16" in name else 8)


# mode: (image, expected colors)
MODES = {
    "1": (plain("1", 1), WHITE),
    "L": (plain("L", 128), GRAY),
    "LA": (plain("LA", (128, 255)), GRAY),
    "La": (plain("LA", (128, 255)).convert("La"), GRAY),
    "P": (plain("RGB", "red").quantize(2), RED),
    "PA": (plain("RGBA", (255, 0, 0, 255)).convert("P").convert("PA"), RED),
    "RGB": (plain("RGB", "red"), RED),
    "RGBA": (plain("RGBA", (255, 0, 0, 255)), RED),
    "RGBa": (plain("RGBA", (255, 0, 0, 255)).convert("RGBa"), RED),
    "RGBX": (plain("RGBX", (255, 0, 0, 0)), RED),
    "CMYK": (plain("CMYK", (0, 255, 255, 0)), RED),
    "YCbCr": (plain("YCbCr", (128, 128, 128)), GRAY),
    "HSV": (plain("HSV", (0, 255, 255)), RED),
    "LAB": (lab_of_red(), RED),
    "I;16": (Image.fromarray(np.full((2, 3), 32896, np.uint16)), GRAY),
    "I": (plain("I", 32896), GRAY),
    "F": (plain("F", 128 / 255), GRAY),
}


@pytest.mark.parametrize("mode", MODES)
def test_mode(mode):
    image, expected = MODES[mode]
    assert image.mode == mode
    picture = load_picture(image)
    tolerance = 5.5 / 255 if mode == "LAB" else 1e-6  # Lab in bytes is that coarse
    np.testing.assert_allclose(picture.pixels, np.broadcast_to(expected, (2, 3, 3)), rtol=0, atol=tolerance)
    assert (picture.alpha is not None) == (mode in ("LA", "La", "PA", "RGBA", "RGBa"))


# ── what must be refused, in one sentence that names the file ────────────────────────────────────


def cut(data, share=0.6):
    return data[: int(len(data) * share)]


def photo(kind, **options):
    return encoded(noise(64, 64, 3), kind, **options)


def huge_png():
    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def flipped_png():
    data = bytearray(photo("PNG"))
    data[len(data) // 2] ^= 255
    return bytes(data)


def zero_size_bmp():
    data = bytearray(encoded(plain("RGB", "red"), "BMP"))
    data[18:26] = bytes(8)
    return bytes(data)


# name: (bytes, a word of the sentence)
BROKEN = {
    "empty.png": (b"", "empty"),
    "text.png": (b"Dear diary,\nno pictures today.", "text"),
    "binary.jpg": (bytes(range(200, 256)) * 9, "format is unknown"),
    "zeros.png": (bytes(1000), "format is unknown"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404", "web page"),
    "drawing.png": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "light.exr": (b"v/1\1\2\0\0\0" + bytes(99), "OpenEXR"),
    "light.hdr": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance"),
    "new.jxl": (b"\xff\x0a" + bytes(range(99)), "JPEG XL"),
    "paper.png": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF"),
    "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC"),
    "signature-only.png": (b"\x89PNG\r\n\x1a\n", "cut short"),
    "start-only.jpg": (b"\xff\xd8\xff\xe0", "read"),
    "start-only.avif": (photo("AVIF")[:40], "read"),
    "cut.png": (cut(photo("PNG")), "read"),
    "cut.jpg": (cut(photo("JPEG")), "truncated"),
    "cut.webp": (cut(photo("WEBP")), "read"),
    "cut.tif": (cut(photo("TIFF")), "read"),
    "cut-lzw.tif": (cut(photo("TIFF", compression="tiff_lzw")), "read"),
    "cut.avif": (cut(photo("AVIF")), "read"),
    "cut.gif": (cut(encoded(plain("RGB", "red", (64, 64)), "GIF"), 0.3), "read"),
    "cut.bmp": (cut(photo("BMP")), "truncated"),
    "cut16.png": (cut(png16(noise(64, 64, 3, 16))), "read"),
    "cut16.tif": (cut(tiff(noise(64, 64, 3, 16), photometric="rgb")), "read"),
    "cut-header16.tif": (tiff(noise(64, 64, 3, 16), photometric="rgb")[:40], "read"),
    "flipped.png": (flipped_png(), "read"),
    "huge.png": (huge_png(), f"{MAX_MEGAPIXELS} megapixels"),
    "zero.bmp": (zero_size_bmp(), "read"),
    "float-255.tif": (tiff(noise(4, 5, 3).astype(np.float32), photometric="rgb"), "expected 0 to 1"),
    "nan.tif": (tiff(np.full((2, 3), np.nan, np.float32)), "NaN"),
    "line\nbreak.png": (b"text", "text"),
    f"{'long' * 60}.png": (b"text", "text"),
}


def sentence(error, name):
    """Check the form of a refusal, and return it."""
    text = str(error.value)
    assert "\n" not in text and len(text) < 300 and text.endswith(".")
    assert name[:30].split("\n")[0] in text
    return text


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name, tmp_path, capfd):
    data, word = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError) as error:
        load_picture(tmp_path / name)
    assert word in sentence(error, name)
    assert capfd.readouterr() == ("", "")  # no decoder mutters


def test_missing(tmp_path):
    with pytest.raises(ImageError) as error:
        load_picture(tmp_path / "gone.png")
    assert "does not exist" in sentence(error, "gone.png")


def test_missing_below_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError) as error:
        load_picture(tmp_path / "file" / "gone.png")
    assert "does not exist" in sentence(error, "gone.png")


def test_impossible_name():
    with pytest.raises(ImageError) as error:
        load_picture("gone\0.png")
    assert "does not exist" in sentence(error, "gone?.png")


def test_folder(tmp_path):
    (tmp_path / "album.png").mkdir()
    with pytest.raises(ImageError) as error:
        load_picture(tmp_path / "album.png")
    assert "is a folder" in sentence(error, "album.png")


def test_empty_path():
    with pytest.raises(ImageError) as error:
        load_picture("")
    assert "is a folder" in sentence(error, ".")


def test_no_permission(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("impasto.io.decode.open_regular", refuse)
    with pytest.raises(ImageError) as error:
        load_picture(tmp_path / "secret.png")
    assert "may not be read" in sentence(error, "secret.png")


def test_too_little_memory(tmp_path, monkeypatch):
    (tmp_path / "big.png").write_bytes(photo("PNG"))

    def refuse(image):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    with pytest.raises(ImageError) as error:
        load_picture(tmp_path / "big.png")
    assert "memory" in sentence(error, "big.png")


def test_large_photographs_are_welcome(tmp_path, monkeypatch):
    """Pillow's own limit does not count, and is as it was afterwards."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (tmp_path / "large.png").write_bytes(photo("PNG"))
    assert load_picture(tmp_path / "large.png").size == (64, 64)
    assert Image.MAX_IMAGE_PIXELS == 100


ARRAYS = {
    "nan": (np.full((2, 2, 3), np.nan), "NaN"),
    "infinity": (np.full((2, 2, 3), np.inf, np.float32), "infinity"),
    "bytes as floats": (np.full((2, 2, 3), 255.0), "255"),
    "negative": (np.full((2, 2, 3), -1.0), "-1"),
    "integers": (np.zeros((2, 2, 3), np.int64), "int64"),
    "booleans": (np.zeros((2, 2), bool), "bool"),
    "complex": (np.zeros((2, 2), complex), "complex"),
    "objects": (np.array([[None]]), "object"),
    "one dimension": (np.zeros(9), "(9,)"),
    "four dimensions": (np.zeros((1, 2, 2, 3)), "(1, 2, 2, 3)"),
    "two channels": (np.zeros((2, 2, 2)), "(2, 2, 2)"),
    "channels first": (np.zeros((3, 20, 20)), "last"),
    "no height": (np.zeros((0, 4, 3)), "(0, 4, 3)"),
    "no width": (np.zeros((4, 0)), "(4, 0)"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_wrong_array(name):
    array, word = ARRAYS[name]
    with pytest.raises(ImageError) as error:
        load_picture(array)
    assert word in sentence(error, "array")


@pytest.mark.parametrize("source", [None, 3, [[1, 2], [3, 4]]])
def test_not_a_picture_at_all(source):
    with pytest.raises(ImageError) as error:
        load_picture(source)
    assert "expected" in sentence(error, type(source).__name__)


def test_closed_image():
    image = plain("RGB", "red")
    image.close()
    with pytest.raises(ImageError) as error:
        load_picture(image)
    sentence(error, "The PIL image")


ORIENTED = {1: None, 2: np.fliplr, 3: lambda a: a[::-1, ::-1], 4: np.flipud, 6: np.rot90, 8: lambda a: np.rot90(a, -1)}
ORIENTED |= {5: lambda a: a.transpose(1, 0, 2), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2)}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "png16", "tiff16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(kind, orientation, tmp_path):
    """The file holds the upright picture turned the other way, as a camera held that way does."""
    upright = quadrants(32, 48)
    stored = np.ascontiguousarray(ORIENTED[orientation](upright) if ORIENTED[orientation] else upright)
    if kind == "png16":
        data = png16(stored.astype(np.uint16) * 257, chunk(b"eXIf", exif(orientation).removeprefix(b"Exif\0\0")))
    elif kind == "tiff16":
        data = tiff(stored.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        data = encoded(stored, kind, exif=exif(orientation), **({"quality": 95} if kind in ("JPEG", "AVIF") else {}))
    (tmp_path / "turned").write_bytes(data)
    picture = load_picture(tmp_path / "turned")
    assert picture.size == (32, 48)
    for y, x in ((8, 8), (8, 40), (24, 8), (24, 40)):
        np.testing.assert_allclose(picture.pixels[y, x], upright[y, x] / 255, atol=0.06)
    assert picture.exif is None
