"""Of the pictures in a TIFF file the full one is read; a camera raw file gets the sentence that says what to do."""

import os
import struct
import time

import numpy as np
import pytest
from PIL import Image

from impasto.errors import ImageError
from impasto.io.decode import _remarks_of_libtiff, load_picture
from pictures import SRGB_XYZ, encoded, fixed, noise, rgb_profile

FORMS = {  # byte order, 64-bit offsets
    "little": ("<", False),
    "big": (">", False),
    "little BigTIFF": ("<", True),
    "big BigTIFF": (">", True),
}
TYPES = {"u1": (8, 1), "u2": (16, 1), "u4": (32, 1), "f4": (32, 3)}  # bits and SampleFormat


def picture(height, width, channels=3, dtype="u1", seed=0):
    if dtype == "f4":
        return np.random.default_rng(seed).random((height, width, channels)).astype("f4")
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (height, width, channels), dtype, endpoint=True)


def page(array, *, below=(), photometric=None, **tags):
    """One directory of a file: its pixels, further tags by number as t254=1, and directories below it."""
    return {"array": array, "below": below, "photometric": photometric, "tags": tags}


def tiff(pages, form="little"):
    """A TIFF file of pages, uncompressed, written here byte by byte: TIFF 6.0, section 2."""
    order, large = FORMS[form]
    offset, width = ("Q", 8) if large else ("I", 4)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + ("HHHQ" if large else "HI"), *(
        (43, 8, 0, 16) if large else (42, 8)
    ))  # fmt: skip
    body = bytearray(head)

    def put(one):
        """Write pixels, directories below and a directory; return its place and that of the next one's offset."""
        below = [put(sub)[0] for sub in one["below"]]
        array = one["array"].astype(one["array"].dtype.newbyteorder(order))
        start = len(body)
        body.extend(array.tobytes() + bytes(-array.nbytes % 8))
        height, columns, channels = array.shape
        bits, sign = TYPES[one["array"].dtype.str[1:]]
        kind = one["photometric"] if one["photometric"] is not None else 2 if channels >= 3 else 1
        tags = {
            256: ("I", [columns]), 257: ("I", [height]), 258: ("H", [bits] * channels), 259: ("H", [1]),
            262: ("H", [kind]), 273: (offset, [start]), 277: ("H", [channels]), 278: ("I", [height]),
            279: (offset, [array.nbytes]), 284: ("H", [1]), 339: ("H", [sign] * channels),
        }  # fmt: skip
        tags |= {330: (offset, below)} if below else {}
        tags |= {int(name[1:]): ("I" if isinstance(v, int) else "s", v) for name, v in one["tags"].items()}
        entries = b""
        for tag, (letter, values) in sorted(tags.items()):
            values = values if isinstance(values, list | bytes) else [values]
            data = values if letter == "s" else struct.pack(f"{order}{len(values)}{letter}", *values)
            number = 7 if tag == 34675 else {"H": 3, "I": 4, "Q": 16, "s": 2}[letter]
            if len(data) > width:
                place = len(body)
                body.extend(data + bytes(-len(data) % 8))
                data = struct.pack(order + offset, place)
            entries += struct.pack(f"{order}HH{offset}", tag, number, len(values)) + data.ljust(width, b"\0")
        here = len(body)
        body.extend(struct.pack(order + ("Q" if large else "H"), len(tags)) + entries)
        body.extend(bytes(width))
        body.extend(bytes(-len(body) % 8))
        return here, here + (8 if large else 2) + len(entries)

    link = 8 if large else 4
    for one in pages:
        here, following = put(one)
        body[link : link + width] = struct.pack(order + offset, here)
        link = following
    return bytes(body)


def read(data, tmp_path, name="a.tif"):
    (tmp_path / name).write_bytes(data)
    return load_picture(tmp_path / name)


def unit(array):
    return array.astype("f8") / (1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("place", ["below", "behind"])
def test_a_reduced_first_picture_is_passed_over(form, dtype, channels, place, tmp_path):
    """As in a camera's file and in a scanner's: first a preview, and below or behind it the picture."""
    more = {"t338": 2} if channels == 4 else {}
    full = picture(24, 32, channels, dtype)
    small = page(picture(6, 8, channels, dtype), t254=1, **more)
    large = page(full, t254=0, **more)
    small["below"] = (large,) if place == "below" else ()
    data = tiff([small] if place == "below" else [small, large], form)
    for name in ("a.tif", "a.dng", "a.nef", "no suffix"):
        found = read(data, tmp_path, name)
        assert found.size == (24, 32) and found.notes == ()
        np.testing.assert_allclose(found.pixels, unit(full)[..., :3] * np.ones(3), atol=1e-6)
        if channels == 4:
            np.testing.assert_allclose(found.alpha, unit(full)[..., 3], atol=1e-6)


SMALL, MIDDLE, LARGE = picture(12, 16), picture(24, 32, seed=1), picture(48, 64, seed=2)

# name: pages, the size that is read, and a word of the note
LAYOUTS = {
    "pyramid": ([page(LARGE), page(MIDDLE, t254=1), page(SMALL, t254=1)], 48, ""),
    "pyramid below": ([page(LARGE, below=(page(MIDDLE, t254=1), page(SMALL, t254=1)))], 48, ""),
    "pyramid from small to large": ([page(SMALL, t254=1), page(MIDDLE, t254=1), page(LARGE, t254=0)], 48, ""),
    "pyramid from small to large that says nothing": ([page(SMALL), page(MIDDLE), page(LARGE)], 48, "number 3"),
    "pyramid below that says nothing": ([page(SMALL, below=(page(LARGE), page(MIDDLE)))], 48, ""),
    "pyramid that says nothing": ([page(LARGE), page(MIDDLE), page(SMALL)], 48, "3 pages, of which number 1 is read"),
    "old kind of flag": ([page(SMALL, t255=2), page(LARGE, t255=1)], 48, ""),
    "all are reduced": ([page(SMALL, t254=1), page(LARGE, t254=1)], 48, ""),
    "only one, reduced": ([page(SMALL, t254=1)], 12, ""),
    "mask first": ([page(picture(48, 64, 1), t254=4), page(MIDDLE)], 24, ""),
    "reduced mask beside": ([page(SMALL, t254=1, below=(page(LARGE, t254=4), page(MIDDLE)))], 24, ""),
    "book": ([page(SMALL), page(SMALL[::-1].copy())], 12, "a.tif has 2 pages, of which number 1 is read"),
    "book with a preview": ([page(SMALL, t254=1), page(MIDDLE), page(MIDDLE)], 24, "2 pages, of which number 1"),
    "book of two shapes": ([page(SMALL), page(picture(64, 40))], 12, "2 pages"),
    "two pictures below": ([page(SMALL, t254=1, below=(page(MIDDLE), page(LARGE)))], 48, ""),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("form", ["little", "big BigTIFF"])
def test_layouts(name, form, tmp_path):
    pages, height, word = LAYOUTS[name]
    found = read(tiff(pages, form), tmp_path)
    assert found.size[0] == height
    wanted = {12: SMALL, 24: MIDDLE, 48: LARGE}[height]
    np.testing.assert_allclose(found.pixels, wanted / 255, atol=1e-6)
    assert word in " ".join(found.notes) and bool(found.notes) == bool(word)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("form", FORMS)
def test_bytes_are_read_as_their_file(form, dtype, tmp_path):
    """As they come through a pipe."""
    data = tiff([page(picture(6, 8, 3, dtype), t254=1), page(picture(24, 32, 3, dtype))], form)
    of_bytes, of_file = load_picture(data), read(data, tmp_path)
    assert np.array_equal(of_bytes.pixels, of_file.pixels) and of_bytes.depth == of_file.depth
    assert of_bytes.digest == of_file.digest


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_the_full_picture_has_the_notes_of_the_file(dtype, tmp_path):
    """Orientation, author and resolution stand in the first directory alone, as TIFF/EP has it."""
    large = page(picture(24, 32, 3, dtype))
    small = page(picture(6, 8, 3, dtype), t254=1, t274=6, t315=b"Ann Onym\0", below=(large,))
    found = read(tiff([small]), tmp_path)
    assert found.size == (32, 24)
    np.testing.assert_allclose(found.pixels, np.rot90(unit(large["array"]), -1), atol=1e-6)
    again = Image.Exif()
    again.load(found.exif)
    assert again[315] == "Ann Onym"
    own = page(picture(24, 32, 3, dtype), t274=1)
    small["below"] = (own,)
    assert read(tiff([small]), tmp_path).size == (24, 32)


SRGB_CURVE = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SWAPPED = rgb_profile(primaries=SRGB_XYZ[::-1], curve=SRGB_CURVE)  # says blue where others say red


@pytest.mark.parametrize("form", ["little", "big", "little BigTIFF"])  # Pillow reads no tags of a big-endian BigTIFF
@pytest.mark.parametrize("dtype", TYPES)
def test_every_form_has_notes_and_profile(form, dtype, tmp_path):
    """Also those whose pixels Pillow cannot open, such as RGB of 32 bits."""
    array = picture(24, 32, 3, dtype)
    data = tiff([page(array, t274=6, t315=b"Ann Onym\0", t34675=SWAPPED)], form)
    found = read(data, tmp_path)
    assert found.size == (32, 24) and found.icc == SWAPPED
    np.testing.assert_allclose(found.pixels, np.rot90(unit(array)[..., ::-1], -1), atol=6e-3)
    again = Image.Exif()
    again.load(found.exif)
    assert again[315] == "Ann Onym"


CFA = picture(24, 32, 1, "u2")
RAW = {
    "a.dng": tiff([page(SMALL, t254=1, below=(page(CFA, photometric=32803), page(LARGE, t254=1)))]),
    "linear.dng": tiff([page(SMALL, t254=1, below=(page(picture(24, 32, 3, "u2"), photometric=34892),))]),
    "preview-only.dng": tiff([page(SMALL, t254=1, t50706=0x01040000, below=(page(MIDDLE),))]),
    "a.nef": tiff([page(SMALL, t254=1, below=(page(LARGE, t254=1), page(CFA, photometric=32803)))], "big"),
    "a.arw": tiff([page(LARGE, t254=1, below=(page(CFA, photometric=32803),))]),
    "a.pef": tiff([page(CFA, photometric=32803), page(SMALL)], "big"),
    "named.nef": tiff([page(SMALL, t254=1, t271=b"NIKON CORPORATION\0")], "big"),
    "called.tif": tiff([page(SMALL, below=(page(CFA, photometric=32803),))]),
    "a.cr2": b"II*\0\x10\0\0\0CR\2\0" + tiff([page(SMALL)])[12:],
    "a.iiq": b"II*\0\x10\0\0\0IIII" + bytes(99),
    "a.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99),
    "a.raf": b"FUJIFILMCCD-RAW 0201" + bytes(99),
    "a.orf": b"IIRO\x08\0\0\0" + bytes(99),
    "a.rw2": b"IIU\0\x18\0\0\0" + bytes(99),
    "a.x3f": b"FOVb" + bytes(99),
    "a.mrw": b"\0MRM" + bytes(99),
    "a.crw": b"II\x1a\0\0\0HEAPCCDR" + bytes(99),
}


@pytest.mark.parametrize("name", RAW)
def test_raw_files(name, tmp_path):
    with pytest.raises(ImageError, match=f"^{name} is a camera raw file, which has to be developed first; export it"):
        read(RAW[name], tmp_path, name)


@pytest.mark.parametrize("name", [name for name in RAW if RAW[name][:4] != b"II*\0" or name == "a.dng"])
def test_large_raw_files(name, tmp_path):
    """Real ones have many megabytes, of which the first is read first."""
    with pytest.raises(ImageError, match=f"^{name} is a camera raw file"):
        read(RAW[name] + bytes(2_000_000), tmp_path, name)


def test_a_cameras_tiff_is_no_raw_file(tmp_path):
    data = tiff([page(LARGE, t271=b"NIKON CORPORATION\0")])
    assert read(data, tmp_path).size == (48, 64)


def hostile():
    """Directories in circles, too many tags, and offsets to nowhere."""
    good = bytearray(tiff([page(SMALL)]))
    start = struct.unpack_from("<I", good, 4)[0]
    count = struct.unpack_from("<H", good, start)[0]
    circle = good.copy()
    circle[start + 2 + 12 * count : start + 6 + 12 * count] = struct.pack("<I", start)
    far = good.copy()
    far[start + 2 + 12 * count : start + 6 + 12 * count] = b"\xff" * 4
    yield from (circle, far)
    own = bytearray(tiff([page(SMALL, below=(page(MIDDLE, t254=1),))]))
    start = struct.unpack_from("<I", own, 4)[0]
    place = own.index(struct.pack("<HHI", 330, 4, 1)) + 8
    own[place : place + 4] = struct.pack("<I", start)
    yield own
    yield b"II*\0\x08\0\0\0" + b"\xff" * 400_000
    yield b"II*\0\x08\0\0\0" + b"".join(
        struct.pack("<HHHII", 1, 330, 4, 1, 8 + 18 * n) + bytes(2) for n in range(1, 30_000)
    )
    yield from (b"II*\0", b"MM\0*\0", b"II+\0\x08\0", b"MM\0+" + bytes(9))
    yield b"II+\0\x08\0\0\0\x10" + bytes(7) + b"\xff" * 99


def test_hostile_directories(tmp_path):
    for data in hostile():
        began = time.process_time()
        try:
            assert read(bytes(data), tmp_path).size == (12, 16)
        except ImageError as error:
            assert "a.tif is not a picture" in str(error)
        assert time.process_time() - began < 5


def test_pages_beside_an_unread_kind(tmp_path):
    """What is unlike any picture is refused by its number: LogLuv."""
    with pytest.raises(ImageError, match="is not a picture that can be read"):
        read(tiff([page(noise(4, 5, 3), photometric=32845)]), tmp_path)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_remarks_of_libtiff_become_part_of_our_sentence(compression, tmp_path, capfd):
    """Whatever is damaged, stderr stays empty, and what libtiff says is the reason of an error, or a note."""
    data, random, told = (
        encoded(Image.fromarray(noise(40, 33, 3)), "TIFF", compression=compression),
        np.random.default_rng(3),
        [],
    )
    for _ in range(40):
        other = bytearray(data)
        for place in random.integers(8, len(data), 3):
            other[place] = random.integers(0, 256)
        (tmp_path / "a.tif").write_bytes(other)
        try:
            told += load_picture(tmp_path / "a.tif").notes
        except ImageError as error:
            told.append(str(error))
    assert capfd.readouterr().err == ""
    assert not [text for text in told if "\n" in text or "decoder error" in text or "tempfile" in text]
    assert compression == "packbits" or [text for text in told if "is damaged (" in text or "can be read (" in text]


def test_what_others_print_meanwhile_comes_out(capfd):
    remarks = []
    with _remarks_of_libtiff(remarks):
        os.write(2, b"impasto: a.png\n50 %\rJPEGLib: Bogus marker.\nZIPDecode: Decoding error at scanline 0.\n60 %\n")
    assert remarks == ["Bogus marker", "Decoding error at scanline 0"]
    assert capfd.readouterr().err == "impasto: a.png\n50 %\r60 %\n"
