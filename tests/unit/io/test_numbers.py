"""Which number is white: that of the type or a stated one; highlights above it are clipped, and a note says so."""

import io

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import impasto
from impasto.errors import ImageError
from impasto.events import Note
from impasto.io.decode import load_picture
from impasto.io.picture import Picture
from impasto.io.tensors import as_kind, as_tensor, open_picture
from nets import tiny_vgg

COUNTS = {"gray": 1, "gray and alpha": 2, "RGB": 3, "RGBA": 4}
PLANES = ("contig", "separate")


def tiff(array, planes="contig", alpha="unassalpha", **options):
    """A TIFF of an array (H, W, C)."""
    count = array.shape[2]
    if count == 1:
        array, planes = array[..., 0], "contig"
    elif planes == "separate":
        array = np.moveaxis(array, 2, 0).copy()
    if count in (2, 4):
        options["extrasamples"] = [alpha]
    kind = {"photometric": "minisblack" if count < 3 else "rgb", "planarconfig": planes if count > 1 else None}
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **kind, **options)
    return file.getvalue()


def read(array, how, tmp_path, **options):
    """Read an array (H, W, C) as an array, a tensor, a PIL image of mode F, or a TIFF of such planes."""
    if how == "array":
        return load_picture(array[..., 0] if array.shape[2] == 1 else array)
    if how == "tensor":
        return open_picture(torch.from_numpy(array.transpose(2, 0, 1).copy()))
    if how == "PIL":
        return load_picture(Image.fromarray(array[..., 0]))
    (tmp_path / "a.tif").write_bytes(tiff(array, how, **options))
    return load_picture(tmp_path / "a.tif")


WAYS = [(how, kind) for how in ("array", *PLANES) for kind in COUNTS if (how, kind) != ("array", "gray and alpha")]
FLOATS = [(*way, np.float32) for way in WAYS]
FLOATS += [("tensor", "RGB", np.float32), ("PIL", "gray", np.float32)]
FLOATS += [(how, "RGBA", dtype) for how in ("array", "contig") for dtype in (np.float16, np.float64)]


@pytest.mark.parametrize(("how", "kind", "dtype"), FLOATS)
def test_highlights_are_clipped_and_told(how, kind, dtype, tmp_path):
    """Scene-linear values: half gray, and one highlight of 3.5 that leaves the rest as it is."""
    array = np.full((4, 5, COUNTS[kind]), 0.5, dtype)
    array[1, 2, : max(1, COUNTS[kind] // 3 * 3)] = 3.5
    picture = read(array, how, tmp_path)
    expected = np.full((4, 5, 3), 0.5)
    expected[1, 2] = 1
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.notes == (f"{called(how)} holds values above 1 (up to 3.5), which are clipped; 1 is white, 0 black",)
    if kind.endswith(("A", "alpha")):
        np.testing.assert_array_equal(picture.alpha, np.full((4, 5), 0.5))


def called(how):
    return {"array": "The array", "tensor": "The array", "PIL": "The PIL image"}.get(how, "a.tif")


@pytest.mark.parametrize("planes", PLANES)
def test_highlights_under_multiplied_alpha(planes, tmp_path):
    """0.9 over an alpha of 0.5 is 1.8: a highlight; 0.2 over 0.5 is 0.4."""
    array = np.full((4, 5, 4), 0.5, np.float32)
    array[..., :3] = 0.2
    array[0, 0, :3] = 0.9
    picture = read(array, planes, tmp_path, alpha="assocalpha")
    expected = np.full((4, 5, 3), 0.4)
    expected[0, 0] = 1
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)
    assert "up to 1.8" in picture.notes[0]


@pytest.mark.parametrize("how", ["array", "tensor", *PLANES])
def test_overshoots_are_no_highlights(how, tmp_path):
    """Resizing leaves [0, 1] by a hair; nobody needs to know."""
    array = np.linspace(-0.009, 1.009, 60, dtype=np.float32).reshape(4, 5, 3)
    picture = read(array, how, tmp_path)
    assert picture.notes == () and picture.pixels.min() == 0 and picture.pixels.max() == 1


@pytest.mark.parametrize("how", ["array", "tensor", *PLANES])
def test_few_negative_numbers_are_clipped(how, tmp_path):
    """Colors outside a gamut are below 0: one of 1200 numbers."""
    array = np.full((20, 20, 3), 0.25, np.float32)
    array[3, 4, 0] = -0.0625
    picture = read(array, how, tmp_path)
    array[3, 4, 0] = 0
    np.testing.assert_array_equal(picture.pixels, array)
    assert "below 0 (down to -0.0625)" in picture.notes[0]


BYTES = np.random.default_rng(0).integers(0, 256, (6, 7, 3)).astype(np.float32)
OTHER_RANGES = {
    "bytes": BYTES,
    "one white byte": np.where(np.arange(126).reshape(6, 7, 3) == 6, np.float32(255), np.float32(0)),
    "percent": BYTES / 2.55,
    "signed": BYTES / 127.5 - 1,
    "not a number": np.full((4, 5, 3), np.nan, np.float32),
    "infinity": np.where(BYTES > 200, np.inf, BYTES / 255).astype(np.float32),
}


@pytest.mark.parametrize("how", ["array", "tensor", "PIL", *PLANES])
@pytest.mark.parametrize("name", OTHER_RANGES)
def test_another_range_is_refused(name, how, tmp_path):
    with pytest.raises(ImageError, match=f"{called(how)} holds .*expected .*0 to 1"):
        read(OTHER_RANGES[name], how, tmp_path)


INTEGERS = [(*way, dtype) for way in WAYS for dtype in ("u1", "u2", "u4", "i4")]
INTEGERS += [(how, "RGB", dtype) for how in ("array", *PLANES) for dtype in ("i1", "i2")]


@pytest.mark.parametrize(("how", "kind", "dtype"), INTEGERS)
def test_integers_are_scaled_by_their_type(how, kind, dtype, tmp_path):
    """Nothing is white here: three quarters of the largest number of the type stay three quarters."""
    top = np.iinfo(dtype).max
    array = np.full((4, 5, COUNTS[kind]), 3 * (top // 4), dtype)
    array[0] = top // 4
    picture = read(array, how, tmp_path)
    expected = np.full((4, 5, 3), 3 * (top // 4) / top)
    expected[0] = (top // 4) / top
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)
    assert picture.notes == ()
    assert picture.depth == (16 if np.dtype(dtype).itemsize > 1 else 8)
    if kind.endswith(("A", "alpha")):
        np.testing.assert_allclose(picture.alpha, expected[..., 0], atol=1e-6)


@pytest.mark.parametrize(("how", "kind"), WAYS)
@pytest.mark.parametrize("dtype", ["u4", "i4"])
def test_small_numbers_in_large_integers_are_refused(how, kind, dtype, tmp_path):
    """65535 of 4294967295 is black: the picture has another range, and does not say which."""
    array = np.zeros((4, 5, COUNTS[kind]), dtype)
    array[0, 0] = 65535
    with pytest.raises(ImageError, match=f"numbers up to 65535, but white is {np.iinfo(dtype).max}; scale it to uint8"):
        read(array, how, tmp_path)
    array[:] = 0
    assert read(array, how, tmp_path).pixels.max() == 0  # black is black


@pytest.mark.parametrize("planes", PLANES)
@pytest.mark.parametrize(
    ("dtype", "black", "white"), [("u2", 0, 4095), ("u4", 0, 65535), ("i4", 0, 1000), ("f4", 0, 255), ("f4", -1, 1)]
)
def test_a_stated_range_counts(dtype, black, white, planes, tmp_path):
    """TIFF states its range in SMinSampleValue (340) and SMaxSampleValue (341)."""
    array = np.full((4, 5, 3), (black + white) // 2, dtype)
    array[0], array[1] = black, white
    kind = {"u2": "H", "u4": "I", "i4": "i", "f4": "f"}[dtype]
    tags = [(340, kind, 3, (black,) * 3, True), (341, kind, 3, (white,) * 3, True)]
    picture = read(array, planes, tmp_path, extratags=tags)
    expected = np.full((4, 5, 3), ((black + white) // 2 - black) / (white - black))
    expected[0], expected[1] = 0, 1
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)


def test_pillow_integers():
    """Pillow writes mode I with 16 bits; a gray picture of bytes in it must say so."""
    made = Image.fromarray(np.array([[0, 16384, 65535]], np.int32))
    assert made.mode == "I"
    np.testing.assert_allclose(load_picture(made).pixels[0, :, 0], [0, 16384 / 65535, 1])
    with pytest.raises(ImageError, match="numbers up to 128, but white is 65535"):
        load_picture(Image.new("I", (3, 2), 128))


@pytest.mark.parametrize(("dtype", "top"), [("i4", 2**31 - 1), ("u4", 2**32 - 1), ("i2", 2**15 - 1)])
def test_pillow_integers_of_a_tiff(dtype, top, tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(np.full((4, 5, 1), top // 2, dtype)))
    with Image.open(tmp_path / "a.tif") as image:
        assert image.mode == "I"
        np.testing.assert_allclose(load_picture(image).pixels, 0.5, atol=1e-4)


def test_dark_pictures_stay_dark(tmp_path):
    """3 of 65535 is dark, though it is below 255."""
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + np.array([0, 3], ">u2").tobytes())
    np.testing.assert_allclose(load_picture(tmp_path / "a.pgm").pixels[0, :, 0], [0, 3 / 65535], atol=1e-9)


def test_highlights_are_told_as_events(tmp_path):
    array = np.full((24, 32, 3), 0.5, np.float32)
    array[0, 0] = 2
    for run in (
        impasto.apply.start("starry_night", array, strength=0.5),
        impasto.apply.start("painter", array.clip(0, 1), style=array),
        impasto.stylize.start(array, array, steps=1, size=32, encoder=tiny_vgg()),
    ):
        notes = [event.text for event in run if isinstance(event, Note)]
        assert [note for note in notes if "above 1 (up to 2)" in note] == notes[:1]


def test_a_picture_is_as_it_was():
    picture = Picture(np.zeros((2, 3, 3), np.float32), notes=("it is told",))
    assert load_picture(picture).notes == ("it is told",)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_have_the_range_of_arrays(dtype):
    """Integers are scaled by their type, on the way in and on the way out."""
    top = 1 if dtype.is_floating_point else torch.iinfo(dtype).max
    grays = torch.tensor([0, 0.25, 1], dtype=torch.float64)
    tensor = (grays if top == 1 else (grays * top).round()).to(dtype).expand(1, 3, 2, 3)
    picture = open_picture(tensor)
    np.testing.assert_allclose(picture.pixels[0, :, 0], [0, 0.25, 1], atol=0.002)
    again = as_kind(tensor, as_tensor(picture))
    assert again.dtype is dtype and torch.equal(again, tensor)


def test_tensors_that_are_no_pictures():
    for tensor, words in (
        (torch.ones(3, 4, 5).to_sparse(), "the tensor is sparse; expected a dense one"),
        (torch.ones(3, 4, 5, dtype=torch.complex64), "An array of complex64 is no picture"),
        (torch.ones(3, 4, 5, dtype=torch.bool), "An array of bool is no picture"),
        (torch.ones(3, 4, 5, dtype=torch.int64), "An array of int64 is no picture"),
    ):
        with pytest.raises(ImageError, match=words):
            open_picture(tensor)
