"""Inks, Lab and alpha in all depths and layouts: the colors and the transparency of the file."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

import impasto
from impasto.data.sources import set_in_memory
from impasto.errors import ImageError
from impasto.io.decode import load_picture
from impasto.io.tensors import as_kind
from nets import tiny_vgg
from pictures import chunk, cmyk_profile

NEAR = 1.01 / 255
EXTRAS = {
    "none": (),
    "unspecified": ("unspecified",),
    "straight": ("unassalpha",),
    "multiplied": ("assocalpha",),
    "spot and straight": ("unspecified", "unassalpha"),
}
DEPTHS = ("u1", "u2", "u4", "f4")
PLANES = ("contig", "separate")
ALPHA = 0.6


def tiff(values, dtype, planes, extras=(), **options):
    """A TIFF of one color in all its pixels, of channels in [0, 1]."""
    top = 1 if dtype == "f4" else np.iinfo(dtype).max
    array = np.tile(np.asarray(values, np.float64) * top, (4, 5, 1))
    array = (array if dtype == "f4" else np.rint(array)).astype(dtype)
    if planes == "separate":
        array = np.moveaxis(array, 2, 0).copy()
    file = io.BytesIO()
    tifffile.imwrite(file, array, planarconfig=planes, extrasamples=extras, metadata=None, **options)
    return file.getvalue()


def read(data, tmp_path, name="a.tif"):
    (tmp_path / name).write_bytes(data)
    return load_picture(tmp_path / name)


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize("dtype", DEPTHS)
def test_cmyk(dtype, planes, extras, tmp_path):
    """Without a profile, each ink and black take away their parts of white: R = (1 - C)(1 - K)."""
    cyan, magenta, yellow, black = inks = (0.75, 0.25, 0.0, 0.25)
    more = {"spot and straight": (0.9, ALPHA)}.get(extras, (ALPHA,) * len(EXTRAS[extras]))
    stored = [ink * ALPHA for ink in inks] if extras == "multiplied" else inks
    picture = read(tiff((*stored, *more), dtype, planes, EXTRAS[extras], photometric="separated"), tmp_path)
    expected = [(1 - ink) * (1 - black) for ink in (cyan, magenta, yellow)]
    np.testing.assert_allclose(picture.pixels, np.tile(expected, (4, 5, 1)), atol=1.6 / 255)
    if extras in ("none", "unspecified"):
        assert picture.alpha is None
    else:
        np.testing.assert_allclose(picture.alpha, ALPHA, atol=0.5 / 255)


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_cmyk_by_its_profile(dtype, planes, extras, tmp_path):
    """The profile prints gray for cyan alone, and black for magenta."""
    more = (1.0,) * len(EXTRAS[extras])
    for inks, expected in (((1, 0, 0, 0), 128 / 255), ((0, 1, 0, 0), 0)):
        data = tiff((*inks, *more), dtype, planes, EXTRAS[extras], photometric="separated", iccprofile=cmyk_profile())
        picture = read(data, tmp_path)
        np.testing.assert_allclose(picture.pixels, expected, atol=NEAR)
        assert picture.icc is None


@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_other_inks_are_refused(dtype, planes, tmp_path):
    data = tiff((0.5, 0, 0, 0), dtype, planes, photometric="separated", extratags=[(332, "H", 1, 2, True)])
    with pytest.raises(ImageError, match="its inks are not cyan, magenta, yellow and black"):
        read(data, tmp_path)


def lab_color(lightness, a, b):
    """The sRGB color of Lab under D50, by the formulas of CIE 15 and IEC 61966-2-1."""
    y = (lightness + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    to_xyz = [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    light = np.linalg.solve(to_xyz, xyz).clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("extras", ["none", "unspecified", "straight"])
@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("lab", [(60, 30, -20), (40, -25, 15), (90, 0, 0)])
def test_lab(lab, dtype, planes, extras, tmp_path):
    """L from 0 to 100 over the whole range; a and b are signed, in steps of 1, or of 1/256 with 16 bits."""
    lightness, a, b = lab
    top, step = (255, 1) if dtype == "u1" else (65535, 256)
    stored = [round(lightness / 100 * top), (a * step) % (top + 1), (b * step) % (top + 1)]
    more = (ALPHA,) * len(EXTRAS[extras])
    data = tiff((*(v / top for v in stored), *more), dtype, planes, EXTRAS[extras], photometric="cielab")
    picture = read(data, tmp_path)
    np.testing.assert_allclose(picture.pixels[0, 0], lab_color(*lab), atol=2.5 / 255)
    assert (picture.alpha is not None) == (extras == "straight")


@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize("dtype", DEPTHS)
def test_gray_with_many_extra_channels(dtype, planes, tmp_path):
    """Three unknown channels beside gray are no colors."""
    data = tiff((0.5, 0.1, 0.2, 0.3), dtype, planes, ("unspecified",) * 3, photometric="minisblack")
    picture = read(data, tmp_path)
    np.testing.assert_allclose(picture.pixels, 0.5, atol=0.5 / 255)
    assert picture.alpha is None


# ── gray PNG with a transparent gray ─────────────────────────────────────────────────────────────


def gray_png(values, bits, key):
    """A gray PNG of 1 to 16 bits with a tRNS chunk, PNG section 11: packed from the left in each row."""
    height, width = values.shape
    text = "".join(f"{value:0{bits}b}" for value in values[0])
    row = bytes([0]) + int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", header),
        chunk(b"tRNS", struct.pack(">H", key)),
        chunk(b"IDAT", zlib.compress(row * height)),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("how", ["file", "PIL", "PIL decoded before"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("which", ["black", "white", "between"])
def test_a_transparent_gray(bits, which, how, tmp_path):
    top = 2**bits - 1
    values = np.tile(np.unique(np.linspace(0, top, 5).round().astype(int)), (3, 1))
    key = {"black": 0, "white": top, "between": int(values[0, len(values[0]) // 2])}[which]
    (tmp_path / "a.png").write_bytes(gray_png(values, bits, key))
    if how == "file":
        picture = load_picture(tmp_path / "a.png")
    else:
        with Image.open(tmp_path / "a.png") as image:
            if how != "PIL":
                image.load()
            picture = load_picture(image)
    np.testing.assert_allclose(picture.pixels[..., 0], values / top, atol=1e-6)
    np.testing.assert_array_equal(picture.alpha, values != key)


# ── arrays ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "f2", "f4", "f8"])
def test_arrays_keep_alpha_where_images_do(dtype):
    top = 1 if dtype[0] == "f" else np.iinfo(dtype).max
    array = np.full((6, 8, 4), top // 2 if top > 1 else 0.5, dtype)
    array[:3, :, 3] = 0
    result = as_kind(array, torch.full((1, 3, 6, 8), 0.25))
    assert result.shape == (6, 8, 4) and result.dtype == array.dtype
    np.testing.assert_allclose(result[..., :3].astype("f8") / top, 0.25, atol=0.6 / 255)
    np.testing.assert_allclose(result[..., 3].astype("f8"), array[..., 3].astype("f8"), rtol=1e-6)
    opaque = as_kind(array[..., :3], torch.full((1, 3, 6, 8), 0.25))
    assert opaque.shape == (6, 8, 3)
    smaller = as_kind(array, torch.full((1, 3, 3, 4), 0.25))
    assert smaller.shape == (3, 4, 4) and smaller[0, 0, 3] < smaller[2, 0, 3]


def test_verbs_keep_the_alpha_of_arrays():
    array = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
    image = Image.fromarray(array)
    painter = impasto.load("starry_night")
    for paint in (
        lambda photo: painter(photo, strength=0.5),
        lambda photo: impasto.apply(painter, photo, strength=0.5),
        lambda photo: impasto.stylize(photo, array, steps=1, size=32, encoder=tiny_vgg()),
    ):
        of_array, of_image = paint(array), paint(image)
        assert of_image.mode == "RGBA" and of_array.shape == (24, 32, 4)
        np.testing.assert_array_equal(of_array[..., 3], array[..., 3])
        assert np.array_equal(of_array, np.asarray(of_image))


def test_profile_of_cmyk_is_real():
    assert ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile())).profile.xcolor_space == "CMYK"


@pytest.mark.parametrize("how", ["array", "PIL", "floats"])
def test_transparent_items_of_a_dataset_are_on_white(how):
    """A training sees a transparent picture on white, from memory as from a folder: 0 under an alpha of 51 is 204."""
    array = np.zeros((4, 6, 4), np.uint8)
    array[..., 3] = 51
    item = {"array": array, "PIL": Image.fromarray(array), "floats": array / np.float32(255)}[how]
    assert (set_in_memory([item, item]).images == 204).all()
