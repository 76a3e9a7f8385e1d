"""Pictures that would fill the memory are refused before they are decoded; the sentence says how to allow them."""

import os
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from impasto.errors import ImageError
from impasto.io import decode
from impasto.io.decode import load_picture
from pictures import chunk, encoded


def png(side, depth=8, color=2):
    """A PNG whose pixels are missing: whoever decodes it finds that it is damaged."""
    header = struct.pack(">IIBBBBB", side, side, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def jpeg(side):
    """A JPEG of one block whose header has another size."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", side, side)
    return bytes(data)


def gif(side):
    data = bytearray(encoded(Image.new("L", (8, 8)), "GIF"))
    data[6:10] = struct.pack("<HH", side, side)
    return bytes(data)


def bmp(side):
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "BMP"))
    data[18:26] = struct.pack("<ii", side, side)
    return bytes(data)


def small_header(data, side):
    """A TIFF of Pillow with another size in its tags 256 and 257."""
    data = bytearray(data)
    for tag in (256, 257):
        place = data.index(struct.pack("<HH", tag, 4)) + 8
        data[place : place + 4] = struct.pack("<I", side)
    return bytes(data)


BOMBS = {
    "gray.png": lambda side: png(side, color=0),
    "rgb.png": png,
    "rgba.png": lambda side: png(side, color=6),
    "rgb16.png": lambda side: png(side, 16),
    "a.jpg": jpeg,
    "a.gif": gif,
    "a.bmp": bmp,
    "a.ppm": lambda side: f"P6 {side} {side} 255\n".encode(),
    "a.tif": lambda side: small_header(encoded(Image.new("RGB", (8, 8)), "TIFF"), side),
    "a16.tif": lambda side: small_header(encoded(Image.new("I;16", (8, 8)), "TIFF"), side),
    "cmyk.tif": lambda side: small_header(encoded(Image.new("CMYK", (8, 8)), "TIFF"), side),
}


@pytest.mark.parametrize("name", BOMBS)
def test_more_than_the_free_memory(name, tmp_path, monkeypatch):
    """3400 x 3400 px take up to 0.7 GB; 0.5 GB is free."""
    monkeypatch.setattr(decode, "free_memory", lambda: 5 * 10**8)
    (tmp_path / name).write_bytes(BOMBS[name](3400))
    with pytest.raises(ImageError) as error:
        load_picture(tmp_path / name)
    assert str(error.value) == (
        f"{name} is 3400×3400 px, which takes up to 0.7 GB of memory to read, but 0.5 GB are free. Make it smaller "
        "first, or set IMPASTO_MAX_MEGAPIXELS=12 to allow it."
    )
    monkeypatch.setenv("IMPASTO_MAX_MEGAPIXELS", "12")
    try:
        assert load_picture(tmp_path / name).size == (3400, 3400)  # a decoder may fill up what is missing
    except ImageError as told:
        assert "is not a picture that can be read" in str(told)


@pytest.mark.parametrize("name", ["rgb.png", "a.jpg", "a.bmp", "a16.tif"])
def test_more_than_the_limit(name, tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "free_memory", lambda: 10**15)
    (tmp_path / name).write_bytes(BOMBS[name](30000))
    with pytest.raises(ImageError, match="expected at most 500 megapixels. .* set IMPASTO_MAX_MEGAPIXELS=900 to allow"):
        load_picture(tmp_path / name)
    monkeypatch.setenv("IMPASTO_MAX_MEGAPIXELS", "20")
    with pytest.raises(ImageError, match="expected at most 20 megapixels"):
        load_picture(tmp_path / name)
    monkeypatch.setenv("IMPASTO_MAX_MEGAPIXELS", "many")  # no number: the limit stays
    with pytest.raises(ImageError, match="expected at most 500 megapixels"):
        load_picture(tmp_path / name)


def test_images_in_memory_are_checked_before_they_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "free_memory", lambda: 5 * 10**8)
    (tmp_path / "a.png").write_bytes(png(3400))
    with Image.open(tmp_path / "a.png") as image, pytest.raises(ImageError, match="0.7 GB of memory to read"):
        load_picture(image)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory from /proc")
def test_a_bomb_under_a_limit_of_the_process(tmp_path):
    """400 megapixels in 50 KB: under a limit of 4 GB it is refused, and the memory stays small."""
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(2501 * 100)) for _ in range(200)) + rows.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 1, 0, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2)\n"
        "from impasto.io.decode import load_picture\n"
        "try:\n    load_picture(sys.argv[1])\nexcept ValueError as error:\n    print(error)\n"
        "print(next(line for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "bomb.png"],
        capture_output=True, text=True, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert "bomb.png is 20000×20000 px, which takes up to 24.0 GB of memory" in done.stdout
    assert int(done.stdout.split()[-2]) < 300_000  # KB
