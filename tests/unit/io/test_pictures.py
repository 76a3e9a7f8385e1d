"""What goes out comes back: pixels, alpha, depth, profile, EXIF, resolution and our own metadata."""

import hashlib
import io
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from impasto.errors import FileExists, ImageError, OptionError
from impasto.io.convert import resize_picture, resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture, to_pil
from impasto.io.files import find_pictures
from impasto.io.picture import Picture
from impasto.io.sheets import picture_sheet
from pictures import ADOBE, SWAPPED, encoded, exif, iccp, lut_profile, noise, png16, profile, quadrants, rgb_profile

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif")
ALPHA_SUFFIXES = (".png", ".webp", ".tif", ".avif")
NOTES = {"steps": 300, "seed": 0, "prompt": 'Öl & "Farbe" <b>\n☃ \\', "nested": {"list": [1, 2.5, None, True]}}


def smooth(height=24, width=32):
    """Soft gradients, which lossy formats keep well. float32."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([x / (width - 1), y / (height - 1), (x + y) / (width + height - 2)], axis=-1)


def eight(values):
    return np.floor(values * 255 + 0.5).astype(np.uint8)


# ── round trips ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_lossless_round_trip(suffix, depth, channels, tmp_path):
    array = noise(37, 23, channels, depth)
    picture = load_picture(array)
    assert picture.depth == depth
    back = load_picture(save_picture(tmp_path / f"a{suffix}", picture))
    assert back.depth == depth
    assert np.array_equal(back.pixels, picture.pixels)
    assert (back.alpha is None) == (channels == 3)
    assert channels == 3 or np.array_equal(back.alpha, picture.alpha)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_tiff_for_others(depth, channels, tmp_path):
    """An independent reader finds the very numbers, also in several strips."""
    array = noise(600, 700, channels, depth)
    save_picture(tmp_path / "a.tif", load_picture(array))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert np.array_equal(page.asarray(), array) and len(page.dataoffsets) > 1
        assert page.extrasamples == ((tifffile.EXTRASAMPLE.UNASSALPHA,) if channels == 4 else ())
    with Image.open(tmp_path / "a.tif") as image:
        assert np.array_equal(np.asarray(image), array if depth == 8 else array >> 8)


def test_png16_for_others(tmp_path):
    """Pillow gives the upper half of every 16 bits."""
    array = noise(9, 5, 4, 16)
    save_picture(tmp_path / "a.png", load_picture(array))
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), array >> 8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lossy_round_trip(suffix, tmp_path):
    picture = load_picture(smooth())
    back = load_picture(save_picture(tmp_path / f"a{suffix}", picture))
    assert back.size == picture.size and back.alpha is None and back.depth == 8
    assert np.abs(back.pixels - picture.pixels).max() < 0.06
    assert np.abs(back.pixels - picture.pixels).mean() < 0.01


@pytest.mark.parametrize("suffix", ALPHA_SUFFIXES)
def test_alpha_round_trip(suffix, tmp_path):
    picture = replace(load_picture(smooth()), alpha=smooth()[..., 0].copy())
    back = load_picture(save_picture(tmp_path / f"a{suffix}", picture))
    assert np.abs(back.alpha - picture.alpha).max() < 0.03
    visible = picture.alpha > 0.5
    assert np.abs(back.pixels - picture.pixels)[visible].max() < 0.06


def test_jpeg_puts_white_behind(tmp_path):
    picture = Picture(np.zeros((16, 16, 3), np.float32), np.full((16, 16), 0.25, np.float32))
    back = load_picture(save_picture(tmp_path / "a.jpg", picture))
    assert back.alpha is None
    np.testing.assert_allclose(back.pixels, 0.75, atol=0.01)


def test_webp_is_lossless_at_100(tmp_path):
    array = noise(20, 20, 4)
    back = load_picture(save_picture(tmp_path / "a.webp", load_picture(array), quality=100))
    assert np.array_equal(eight(np.dstack([back.pixels, back.alpha])), array)


@pytest.mark.parametrize("suffix", [".jpg", ".avif"])
def test_color_is_as_sharp_as_light(suffix, tmp_path):
    """Columns of red and green, one pixel wide: storing color at half the size would mix them."""
    columns = np.tile(np.array([[[200, 60, 60], [60, 140, 60]]], np.uint8), (16, 8, 1))
    back = load_picture(save_picture(tmp_path / f"a{suffix}", load_picture(columns)))
    assert np.abs(back.pixels - columns / 255).max() < 0.1


def test_quality_counts(tmp_path):
    picture = load_picture(noise(64, 64, 3))
    for suffix in (".jpg", ".webp", ".avif"):
        low = save_picture(tmp_path / f"low{suffix}", picture, quality=20)
        high = save_picture(tmp_path / f"high{suffix}", picture, quality=95)
        assert low.stat().st_size < high.stat().st_size


@pytest.mark.parametrize("depth", [8, 16])
def test_rounding_and_clamping(depth, tmp_path):
    top = 2**depth - 1
    values = np.array([-1, 0, 0.49 / top, 0.51 / top, 1 - 0.51 / top, 1 - 0.49 / top, 1, 7], np.float32)
    picture = Picture(np.repeat(values.reshape(1, 8, 1), 3, axis=2))
    back = load_picture(save_picture(tmp_path / "a.png", picture, depth=depth))
    assert np.floor(back.pixels[0, :, 0] * top + 0.5).tolist() == [0, 0, 0, 1, top - 1, top, top, top]


def test_depth_is_kept_unless_told(tmp_path):
    deep, flat = load_picture(noise(4, 4, 3, 16)), load_picture(noise(4, 4, 3, 8))
    assert load_picture(save_picture(tmp_path / "a.png", deep)).depth == 16
    assert load_picture(save_picture(tmp_path / "b.png", deep, depth=8)).depth == 8
    assert load_picture(save_picture(tmp_path / "c.tif", flat, depth=16)).depth == 16
    assert load_picture(save_picture(tmp_path / "d.jpg", deep)).depth == 8


def test_same_picture_same_bytes(tmp_path):
    picture = replace(load_picture(noise(8, 8, 3)), exif=exif(t315="Ann"), dpi=(300.0, 300.0), icc=ADOBE)
    for suffix in SUFFIXES:
        first, second = (save_picture(tmp_path / f"{name}{suffix}", picture, metadata=NOTES) for name in "ab")
        assert first.read_bytes() == second.read_bytes()


# ── color profiles ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_profile_there_and_back(suffix, tmp_path):
    """What a color-managed viewer shows of our file is the picture, and the profile is the source's own."""
    (tmp_path / "in.png").write_bytes(encoded(eight(0.4 + 0.2 * smooth()), "PNG", icc_profile=ADOBE))
    picture = load_picture(tmp_path / "in.png")
    assert picture.icc == ADOBE
    out = save_picture(tmp_path / f"out{suffix}", picture)
    with Image.open(out) as image:
        assert image.info["icc_profile"] == ADOBE
        own = ImageCms.ImageCmsProfile(io.BytesIO(ADOBE))
        shown = ImageCms.profileToProfile(image.convert("RGB"), own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert np.abs(np.asarray(shown) / 255 - picture.pixels).mean() < 0.01
    if suffix in (".png", ".tif"):
        with Image.open(out) as image, Image.open(tmp_path / "in.png") as original:
            assert np.array_equal(np.asarray(image), np.asarray(original))


@pytest.mark.parametrize(
    "icc", [ADOBE, SWAPPED, rgb_profile(1.0), rgb_profile(3.0)], ids=["adobe", "swap", "linear", "3"]
)
def test_matrix_profiles_agree_with_color_management(icc, tmp_path):
    array = noise(40, 40, 3)
    (tmp_path / "a.png").write_bytes(encoded(array, "PNG", icc_profile=icc))
    own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    expected = ImageCms.profileToProfile(Image.fromarray(array), own, srgb, outputMode="RGB")
    assert np.abs(load_picture(tmp_path / "a.png").pixels - np.asarray(expected) / 255.0).max() < 1.5 / 255


def test_parametric_curves_agree_with_color_management(tmp_path):
    """The five shapes of parametric curves, each near gamma 2 and unlike the others."""
    shapes = [
        (2.0,),
        (2.0, 0.9, 0.1),
        (2.0, 0.8, 0.1, 0.1),
        (2.4, 0.948, 0.052, 0.0774, 0.04),
        (2, 0.9, 0, 0.5, 0.1, 0.1, 0.0),
    ]
    array = noise(30, 30, 3)
    for kind, numbers in enumerate(shapes):
        fixed = b"".join(round(n * 65536).to_bytes(4, "big") for n in numbers)
        icc = rgb_profile(curve=b"para\0\0\0\0" + kind.to_bytes(2, "big") + b"\0\0" + fixed)
        (tmp_path / "a.png").write_bytes(encoded(array, "PNG", icc_profile=icc))
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        plain = ImageCms.Intent.RELATIVE_COLORIMETRIC  # the default one would stretch these lifted blacks
        expected = ImageCms.profileToProfile(Image.fromarray(array), own, srgb, plain, outputMode="RGB")
        assert np.abs(load_picture(tmp_path / "a.png").pixels - np.asarray(expected) / 255.0).max() < 2 / 255, kind


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_profile_there_and_back(suffix, tmp_path):
    """16-bit colors inside sRGB survive the way to sRGB and back within two steps of 65535."""
    array = (24576 + noise(30, 30, 3, 16) // 8).astype(np.uint16)
    (tmp_path / "in.png").write_bytes(png16(array, iccp(ADOBE)))
    picture = load_picture(tmp_path / "in.png")
    assert picture.depth == 16 and picture.icc == ADOBE
    with_profile = save_picture(tmp_path / f"out{suffix}", picture)
    bare = load_picture(save_picture(tmp_path / "bare.png", replace(load_picture(with_profile), icc=None)))
    np.testing.assert_allclose(bare.pixels, picture.pixels, atol=2 / 65535)
    if suffix == ".tif":
        with tifffile.TiffFile(with_profile) as file:
            assert file.pages[0].iccprofile == ADOBE


def test_srgb_profile_is_not_worth_keeping(tmp_path):
    """An sRGB profile changes no pixel, and nothing is embedded."""
    array = noise(20, 20, 3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "a.png").write_bytes(encoded(array, "PNG", icc_profile=srgb))
    picture = load_picture(tmp_path / "a.png")
    assert picture.icc is None
    assert np.array_equal(eight(picture.pixels), array)
    with Image.open(save_picture(tmp_path / "b.png", picture)) as image:
        assert "icc_profile" not in image.info


def test_one_way_profile_becomes_srgb(tmp_path):
    """A scanner's profile says what colors are, not how to make them, so the result stays sRGB."""
    (tmp_path / "a.png").write_bytes(encoded(noise(8, 8, 3), "PNG", icc_profile=lut_profile()))
    assert load_picture(tmp_path / "a.png").icc is None


def test_unusable_profile_is_left_out(tmp_path):
    for icc in (b"garbage" * 30, profile(b"RGB ", b"XYZ ", {})):
        picture = replace(load_picture(quadrants()), icc=icc)
        back = load_picture(save_picture(tmp_path / "a.png", picture, force=True))
        assert back.icc is None and np.array_equal(back.pixels, picture.pixels)


# ── EXIF, resolution, digest, name ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_exif_and_resolution_travel(suffix, depth, tmp_path):
    tags = {
        "t315": "Ann Onym",
        "t33432": "© Ann",
        "t306": "2020:01:02 03:04:05",
        "t34665": {36867: "2019:01:02 03:04:05"},
    }
    gps = {1: "N", 2: (52.0, 30.0, 0.0)}
    data = exif(6, **tags, t34853=gps, t282=72.0, t283=144.0, t296=2)
    (tmp_path / "in.png").write_bytes(encoded(quadrants(16, 24), "PNG", exif=data, dpi=(72, 144)))
    picture = load_picture(tmp_path / "in.png")
    assert picture.size == (24, 16)
    np.testing.assert_allclose(picture.dpi, (144, 72), atol=0.01)  # turned with the picture
    out = save_picture(tmp_path / f"out{suffix}", replace(picture, depth=depth))
    back = load_picture(out)
    np.testing.assert_allclose(back.dpi, (144, 72), atol=0.5)
    with Image.open(out) as image:
        found = image.getexif()
        assert 274 not in found or found[274] == 1
        assert found[315] == "Ann Onym" and "Ann" in found[33432] and found[306] == tags["t306"]
        assert found.get_ifd(34665)[36867] == "2019:01:02 03:04:05"
        assert found.get_ifd(34853)[1] == "N"
    assert back.size == (24, 16)
    again = Image.Exif()
    again.load(back.exif)
    assert again[315] == "Ann Onym"


def test_exif_of_the_old_file_is_left_behind(tmp_path):
    """Size, color space, maker's notes and TIFF layout describe the source, not the painting."""
    data = exif(1, t34665={40962: 999, 40963: 999, 40961: 1, 37500: b"secret", 33434: 0.5}, t271="Maker")
    (tmp_path / "a.jpg").write_bytes(encoded(quadrants(), "JPEG", exif=data))
    kept = Image.Exif()
    kept.load(load_picture(tmp_path / "a.jpg").exif)
    assert dict(kept.get_ifd(34665)) == {33434: 0.5} and kept[271] == "Maker"
    (tmp_path / "a.tif").write_bytes(encoded(quadrants(), "TIFF"))
    assert load_picture(tmp_path / "a.tif").exif is None


@pytest.mark.parametrize("dpi", [(0, 0), (1, 1), (1e6, 1e6)])
def test_silly_resolution_is_none(dpi, tmp_path):
    data = exif(t282=float(dpi[0]), t283=float(dpi[1]), t296=2)
    (tmp_path / "a.webp").write_bytes(encoded(quadrants(), "WEBP", exif=data))
    assert load_picture(tmp_path / "a.webp").dpi is None


def test_huge_exif_does_not_stop_a_jpeg(tmp_path):
    picture = replace(load_picture(quadrants()), exif=exif(t315="A" * 70000))
    assert load_picture(save_picture(tmp_path / "a.jpg", picture)).exif is None
    assert load_picture(save_picture(tmp_path / "a.png", picture)).exif is not None


def test_name_and_digest(tmp_path):
    data = encoded(quadrants(), "PNG")
    (tmp_path / "my.photo.png").write_bytes(data)
    picture = load_picture(str(tmp_path / "my.photo.png"))
    assert picture.name == "my.photo" and picture.digest == hashlib.sha256(data).hexdigest()
    first, second = load_picture(quadrants()), load_picture(quadrants().astype(np.uint16) * 257)
    assert first.name == "" and first.digest == second.digest != load_picture(quadrants(12, 8)).digest
    with Image.open(tmp_path / "my.photo.png") as image:
        assert load_picture(image).digest == first.digest and load_picture(image).name == "my.photo"
        assert load_picture(image, digest=False).digest == "" and load_picture(quadrants(), digest=False).digest == ""


def test_pixels_are_nobody_elses():
    given = quadrants(16, 16).astype(np.float32) / 255
    for source in (given, np.dstack([given, given[..., :1]]), given[..., 0]):
        pixels = load_picture(source).pixels
        assert pixels.flags.c_contiguous and pixels.flags.writeable and not np.shares_memory(pixels, source)


def test_load_of_a_picture_is_itself():
    picture = load_picture(quadrants())
    assert load_picture(picture) is picture
    assert picture.size == (8, 12)


def test_arrays_are_copied():
    array = np.zeros((4, 4, 3), np.float32)
    picture = load_picture(array)
    array[:] = 1
    assert picture.pixels.max() == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.uint8, np.uint16, ">u2"])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 4)])
def test_arrays_of_all_kinds(dtype, shape):
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    array = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    picture = load_picture(array)
    expected = np.broadcast_to(array.reshape(4, 6, -1)[..., :3].astype(np.float64) / top, (4, 6, 3))
    np.testing.assert_allclose(picture.pixels, expected, atol=1e-6)
    assert (picture.alpha is not None) == (shape[2:] == (4,))
    assert picture.depth == (16 if np.dtype(dtype) in (np.uint16, np.dtype(">u2")) else 8)


def test_loading_leaves_the_image_as_it_is():
    image = Image.new("RGB", (4, 2), "red")
    image.getexif()[274] = 6
    assert load_picture(image).size == (4, 2)
    assert image.size == (4, 2) and image.getexif()[274] == 6


def test_to_pil():
    array = noise(5, 6, 4)
    assert np.array_equal(np.asarray(to_pil(load_picture(array))), array) and to_pil(load_picture(array)).mode == "RGBA"
    assert np.array_equal(np.asarray(to_pil(load_picture(array[..., :3].copy()))), array[..., :3])


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_round_trip(suffix, depth, tmp_path):
    picture = replace(load_picture(noise(16, 16, 3, depth)), exif=exif(t270="a caption of its own"))
    path = save_picture(tmp_path / f"a{suffix}", picture, metadata=NOTES)
    assert read_metadata(path) == NOTES
    with Image.open(path) as image:
        assert image.getexif()[270] == "a caption of its own"
    assert read_metadata(save_picture(tmp_path / f"b{suffix}", picture)) is None
    assert read_metadata(save_picture(tmp_path / f"c{suffix}", picture, metadata={})) == {}


def test_png_metadata_is_a_text_chunk(tmp_path):
    for depth in (8, 16):
        with Image.open(
            save_picture(tmp_path / f"{depth}.png", load_picture(quadrants()), metadata=NOTES, depth=depth)
        ) as image:
            assert json.loads(image.text["impasto"]) == NOTES


@pytest.mark.parametrize("xmp", [b"no xml", b"<a/>", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"])
def test_foreign_metadata_is_none(xmp, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(quadrants(), "JPEG", xmp=xmp))
    assert read_metadata(tmp_path / "a.jpg") is None


@pytest.mark.parametrize("text", ["no json", "[1, 2]", "3", ""])
def test_a_chunk_of_our_name_that_is_not_ours(text, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("impasto", text)
    (tmp_path / "a.png").write_bytes(encoded(quadrants(), "PNG", pnginfo=info))
    assert read_metadata(tmp_path / "a.png") is None


def test_metadata_of_no_picture(tmp_path):
    with pytest.raises(ImageError, match="gone.png does not exist"):
        read_metadata(tmp_path / "gone.png")


def test_metadata_that_does_not_fit(tmp_path):
    with pytest.raises(ImageError, match="cannot be written as JPEG") as error:
        save_picture(tmp_path / "a.jpg", load_picture(quadrants()), metadata={"long": "x" * 70000})
    assert "\n" not in str(error.value)
    with pytest.raises(ImageError, match="as JSON"):
        save_picture(tmp_path / "a.png", load_picture(quadrants()), metadata={"path": Path("x")})
    assert list(tmp_path.iterdir()) == []


# ── writing is careful ───────────────────────────────────────────────────────────────────────────


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "out.png").write_bytes(b"precious")
    with pytest.raises(
        FileExists, match="out.png exists already; pass --force to overwrite it, or -o for another name."
    ):
        save_picture(tmp_path / "out.png", load_picture(quadrants()))
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    assert load_picture(save_picture(tmp_path / "out.png", load_picture(quadrants()), force=True)).size == (8, 12)
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_refused_and_the_old_file_stays(bad, suffix, tmp_path):
    (tmp_path / f"out{suffix}").write_bytes(b"precious")
    picture = load_picture(quadrants())
    picture.pixels[3, 4, 1] = bad
    with pytest.raises(ImageError, match=f"out{suffix} cannot be written: it holds NaN or infinity"):
        save_picture(tmp_path / f"out{suffix}", picture, force=True)
    assert (tmp_path / f"out{suffix}").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("step", ["replace", "link"])
def test_a_failed_write_leaves_nothing_behind(step, tmp_path, monkeypatch):
    def fail(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    if step == "link":
        monkeypatch.setattr("builtins.open", fail)
    (tmp_path / "old.png").write_bytes(b"precious")
    path = tmp_path / ("old.png" if step == "replace" else "new.png")
    with pytest.raises(ImageError, match="No space left on device"):
        save_picture(path, load_picture(quadrants()), force=step == "replace")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"precious"


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert load_picture(save_picture(tmp_path / "a.png", load_picture(quadrants()))).size == (8, 12)
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # somebody else was faster
    with pytest.raises(FileExists):
        save_picture(tmp_path / "a.png", load_picture(quadrants()))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_of_many_writers_one_wins(tmp_path):
    pictures = [load_picture(np.full((8, 8, 3), shade, np.uint8)) for shade in range(0, 80, 10)]
    barrier, won, lost = threading.Barrier(len(pictures)), [], []

    def write(picture):
        barrier.wait()
        try:
            save_picture(tmp_path / "a.png", picture)
            won.append(picture)
        except FileExists:
            lost.append(picture)

    threads = [threading.Thread(target=write, args=(picture,)) for picture in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(lost) == len(pictures) - 1
    assert np.array_equal(load_picture(tmp_path / "a.png").pixels, won[0].pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    save_picture(tmp_path / "a.png", load_picture(quadrants()))
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_places_that_cannot_be_written(tmp_path):
    picture = load_picture(quadrants())
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="file/deep/a.png cannot be written: file is a file; expected a folder."):
        save_picture(tmp_path / "file" / "deep" / "a.png", picture)
    with pytest.raises(ImageError, match=r"ends?.* in .jpg, .jpeg, .png, .webp, .tif, .tiff or .avif"):
        save_picture(tmp_path / "a.xyz", picture)
    with pytest.raises(ImageError, match="names no format"):
        save_picture(tmp_path / "noending", picture)
    (tmp_path / "album.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        save_picture(tmp_path / "album.png", picture, force=True)
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(FileExists):
        save_picture(tmp_path / "dangling.png", picture)


def test_wrong_options(tmp_path):
    picture = load_picture(quadrants())
    with pytest.raises(OptionError, match="depth is 16; expected 8 for JPEG, or 16 with PNG or TIFF."):
        save_picture(tmp_path / "a.jpg", picture, depth=16)
    with pytest.raises(OptionError, match="depth is 12"):
        save_picture(tmp_path / "a.png", picture, depth=12)
    for quality in (0, 101):
        with pytest.raises(OptionError, match=f"quality is {quality}; expected 1 to 100."):
            save_picture(tmp_path / "a.jpg", picture, quality=quality)


def test_wrong_pictures(tmp_path):
    for pixels, alpha in (((4, 4), None), ((4, 4, 4), None), ((0, 4, 3), None), ((4, 4, 3), (4, 5))):
        picture = Picture(np.zeros(pixels, np.float32), None if alpha is None else np.zeros(alpha, np.float32))
        with pytest.raises(ImageError, match="a.png cannot be written: its .* the shape"):
            save_picture(tmp_path / "a.png", picture)


def test_too_large_for_the_format(tmp_path):
    with pytest.raises(ImageError, match="a.webp cannot be written as WebP"):
        save_picture(tmp_path / "a.webp", load_picture(np.zeros((1, 20000, 3), np.uint8)))


def test_suffix_in_capitals(tmp_path):
    assert load_picture(save_picture(tmp_path / "A.PNG", load_picture(quadrants()))).size == (8, 12)


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), longer=st.integers(1, 90))
def test_resize_gives_the_exact_size(height, width, longer):
    resized = resize_picture(Picture(np.full((height, width, 3), 0.3, np.float32)), longer)
    assert max(resized.size) == longer and min(resized.size) >= 1
    assert abs(resized.size[0] - height * longer / max(height, width)) <= 0.5 or min(resized.size) == 1
    np.testing.assert_allclose(resized.pixels, 0.3, atol=1e-6)
    assert resized.pixels.dtype == np.float32


def test_resize_keeps_the_mean():
    picture = load_picture(smooth(60, 90))
    for longer in (30, 45, 200):
        np.testing.assert_allclose(
            resize_picture(picture, longer).pixels.mean((0, 1)), picture.pixels.mean((0, 1)), atol=3e-3
        )


def test_resize_averages_fine_patterns():
    """A checkerboard of single pixels turns gray; picking every eighth would give black or white."""
    board = np.indices((64, 64)).sum(0) % 2
    resized = resize_picture(load_picture(board.astype(np.float64)), 8)
    np.testing.assert_allclose(resized.pixels[2:-2, 2:-2], 0.5, atol=0.02)


def test_resize_is_finer_than_bytes():
    ramp = np.linspace(0.5, 0.5 + 1 / 255, 64).reshape(1, 64).repeat(4, 0)
    assert len(np.unique(resize_picture(load_picture(ramp), 32).pixels[0, :, 0])) > 20


def test_resize_does_not_darken_edges():
    """Invisible black beside visible white stays out of it."""
    pixels, alpha = np.zeros((32, 32, 3), np.float32), np.zeros((32, 32), np.float32)
    pixels[:, :16], alpha[:, :16] = 1, 1
    resized = resize_picture(Picture(pixels, alpha), 9)
    assert resized.alpha.shape == (9, 9) and 0.2 < resized.alpha[4, 4] < 0.8
    np.testing.assert_allclose(resized.pixels[resized.alpha > 0.01], 1, atol=1e-3)


def test_resize_stays_in_range_and_keeps_the_rest():
    picture = replace(load_picture(quadrants(16, 16)), icc=ADOBE, name="a", dpi=(72.0, 72.0), depth=16, digest="d")
    resized = resize_picture_to(picture, 37, 11)
    assert resized.size == (37, 11) and resized.pixels.min() >= 0 and resized.pixels.max() <= 1
    assert replace(resized, pixels=picture.pixels).__dict__ == picture.__dict__
    assert resize_picture_to(picture, 16, 16) is picture


def test_resize_to_nothing():
    for size in (0, -3):
        with pytest.raises(OptionError, match="expected 1 or more"):
            resize_picture(load_picture(quadrants()), size)
        with pytest.raises(OptionError, match="sides of 1 px or more"):
            resize_picture_to(load_picture(quadrants()), 4, size)


# ── many pictures ────────────────────────────────────────────────────────────────────────────────


def test_find_pictures(tmp_path):
    for name in ("b.png", "a.JPG", "c.tif", "notes.txt", ".hidden.png", "d.webp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "deeper.png").mkdir()
    names = ["a.JPG", "b.png", "c.tif", "d.webp"]
    assert [p.name for p in find_pictures([tmp_path])] == names
    assert find_pictures(str(tmp_path)) == find_pictures(tmp_path) == find_pictures([tmp_path])
    given = [tmp_path / "notes.txt", tmp_path, str(tmp_path / "b.png")]
    assert [p.name for p in find_pictures(given)] == ["notes.txt", *names, "b.png"]


def test_find_pictures_in_vain(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(ImageError, match="holds no picture"):
        find_pictures([tmp_path])
    with pytest.raises(ImageError, match="gone.png does not exist"):
        find_pictures([tmp_path / "gone.png"])


def test_sheet_places_pictures():
    red, blue = np.zeros((10, 20, 3), np.float32), np.zeros((6, 8, 3), np.float32)
    red[..., 0], blue[..., 2] = 1, 1
    made = picture_sheet([[red, blue], [blue]], margin=5)
    assert made.shape == (5 + 10 + 5 + 6 + 5, 5 + 20 + 5 + 8 + 5, 3) and made.dtype == np.float32
    assert np.array_equal(made[5:15, 5:25], red)
    assert np.array_equal(made[7:13, 30:38], blue)  # in the middle of its row
    assert np.array_equal(made[20:26, 11:19], blue)  # in the middle of its column
    ink = (made != 1).any(-1)
    assert ink.sum() == 200 + 48 + 48


def test_sheet_labels():
    cell = np.zeros((30, 30, 3), np.float32)
    bare = picture_sheet([[cell] * 2] * 2)
    made = picture_sheet(
        [[cell] * 2] * 2, row_labels=["content\nweight 1", "ä"], column_labels=["a very long caption", ""]
    )
    assert made.shape[0] > bare.shape[0] and made.shape[1] > bare.shape[1] + 60
    top = made[:20]
    assert top.min() < 0.5 and top.max() == 1  # there is ink above, and white
    assert made[:, :8].min() == 1 and made[-8:].min() == 1  # the margin stays white


def test_sheet_labels_under_pictures():
    cell = np.zeros((30, 30, 3), np.float32)
    made = picture_sheet([[cell, cell], [cell]], labels=[["a", "wider than its picture"], ["c"]])
    assert np.array_equal(made[8:38, 8:38], cell)
    below = made[38:60]
    assert below[:, :38].min() < 0.5 and below[:, 38:].min() < 0.5  # both have ink
    assert made.shape[1] > 8 + 30 + 8 + 100 + 8 and made[-8:].min() == 1
    with pytest.raises(OptionError, match="expected one for each, in the same rows"):
        picture_sheet([[cell, cell]], labels=[["a"], ["b"]])


def test_sheet_refuses():
    cell = np.zeros((4, 4, 3), np.float32)
    for rows in ([], [[]]):
        with pytest.raises(ImageError, match="no pictures"):
            picture_sheet(rows)
    with pytest.raises(ImageError, match=r"\(4, 4\)"):
        picture_sheet([[cell[..., 0]]])
    with pytest.raises(OptionError, match="3 row labels; expected 1"):
        picture_sheet([[cell]], row_labels=["a", "b", "c"])
