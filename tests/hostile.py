"""Odd and hostile files for every reader: cut, changed, of wrong types, and with headers that ask for too much."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.translators import ResNetGenerator

RNG = np.random.default_rng(7)
HUGE = 10**9
WRONG = [None, True, -1, HUGE, 1e308, "text", [], [[]], {}, {"a": []}]
DEEP = "[" * 100_000


class Code:
    """A pickle that would make a file, if it were run."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def changed(data, count, rng=RNG):
    """Yield files that are cut short, with changed bytes, with zeros, doubled, and with something before and after."""
    for at in sorted({0, 1, 4, 9, 30, len(data) // 2, len(data) - 1}):
        yield data[:at]
    for _ in range(count):
        other = bytearray(data)
        for at in rng.integers(0, min(len(data), 200), 3):
            other[at] = rng.integers(0, 256)
        yield bytes(other)
    third = len(data) // 3
    yield data[:third] + bytes(third) + data[2 * third :]
    yield data + data
    yield b"\0" * 64 + data
    yield data + b"<script>" * 20


def pictures():
    """Yield (suffix, bytes)."""
    image = Image.fromarray(RNG.integers(0, 256, (9, 12, 4), np.uint8))
    for kind, suffix in [
        *(("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("TIFF", ".tif"), ("GIF", ".gif"), ("BMP", ".bmp")),
        *(("PPM", ".ppm"), ("TGA", ".tga"), ("ICO", ".ico"), ("AVIF", ".avif"), ("JPEG2000", ".jp2")),
    ]:
        file = io.BytesIO()
        (image if kind in ("PNG", "WEBP", "TIFF", "ICO") else image.convert("RGB")).save(file, kind)
        yield from ((suffix, data) for data in changed(file.getvalue(), 8))
    for size in (0, 1 << 31, 1 << 30):
        yield ".png", png(size, size)
    yield ".png", png(12, 9, chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\xff" * 200)))
    yield ".png", png(12, 9, chunk(b"iTXt", b"impasto\0\0\0\0\0" + DEEP.encode()))
    yield ".png", png(12, 9, chunk(b"eXIf", b"MM\0*" + b"\xff" * 60))
    yield ".png", png(12, 9, chunk(b"zTXt", b"impasto\0\0" + zlib.compress(b"{" * 10**6)))
    yield ".svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    yield ".eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(a) run\n"


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, more=b""):
    """Return a gray PNG whose header has this size and whose data is that of 9 lines."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(bytes(13 * 9))) + chunk(b"IEND", b"")


def cards():
    """Yield headers of models: every entry wrong, every setting wrong or huge, deep and broken JSON."""
    plain = {"network": "resnet", "settings": {"width": 4, "blocks": 1}, "options": {"crop": 8}, "step": 5}
    yield from ("", "5", "[]", "null", "{", DEEP, '{"settings":' * 300 + "1" + "}" * 300, '{"a":NaN}')
    for name in (*plain, "works", "classes", "results", "optimizers", "model", "base", "pictures"):
        yield from (json.dumps({**plain, name: value}) for value in WRONG)
    for name in ("width", "blocks", "norm", "out", "unknown"):
        yield from (json.dumps({**plain, "settings": {"width": 4, "blocks": 1, name: value}}) for value in WRONG)
    for network in ("multistyle", "pyramid", "vae", "generator", "classifier", "style", "custom", "compact", "nothing"):
        yield json.dumps({"network": network, "settings": {"styles": ["identity"]}})
    yield json.dumps({"optimizers": {}, "model": {"network": "resnet", "name": [], "settings": 5}})


def models(mark):
    """Yield (name, bytes)."""
    weights = ResNetGenerator(4, 1).state_dict()
    for number, card in enumerate(cards()):
        yield f"card{number}.safetensors", save(weights if number % 2 else {"a": torch.ones(2)}, {"impasto": card})
    many = MultiStyleNetwork(4, 1, 4, styles=["identity", "a"])
    good = save(many.state_dict(), {"impasto": json.dumps({"network": "multistyle", "settings": many.settings})})
    yield from ((f"cut{number}.safetensors", data) for number, data in enumerate(changed(good, 6)))
    for number, length in enumerate((0, 2, HUGE, 1 << 62, (1 << 64) - 1)):
        yield f"length{number}.safetensors", struct.pack("<Q", length) + b"{}" + b"\0" * 20
    for number, header in enumerate(
        (DEEP, '{"__metadata__":5}', '{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}')
    ):
        yield f"header{number}.safetensors", struct.pack("<Q", len(header)) + header.encode() + b"\0" * 4
    for number, content in enumerate(
        (
            Code(mark),
            {"a": Code(mark)},
            [1, 2],
            {"state_dict": {"a": 5}},
            {5: torch.ones(2)},
            torch.ones(3),
            {},
            weights,
        )
    ):
        for old in (False, True):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=not old)
            yield f"torch{number}{'old' * old}.pth", file.getvalue()
            if number == 7:
                yield from ((f"part{old}{n}.pth", data) for n, data in enumerate(changed(file.getvalue(), 4)))
    yield "bare.pth", pickle.dumps(Code(mark))
    yield "page.pth", b"<!doctype html><html>not found</html>"
    yield "pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("Variable", "../Variable_1", "/Variable_2"):
            packed.writestr(name, bytes(10**6))
    yield "blobs.zip", file.getvalue()


def sets(mark):
    """Yield (name, bytes)."""
    for number, arrays in enumerate(
        (
            {"images": np.zeros((2, 0, 4))}, {"images": np.zeros(5)}, {"images": np.full((2, 4, 4), np.nan)},
            {"images": np.array([Code(mark)], object)}, {"a": np.ones(2)}, {}, {"images": np.zeros((2, 4, 4), "U3")},
            {"images": np.zeros((2, 4, 4), np.uint8), "labels": np.array(["a", "b"])},
            {"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros((2, 2))},
            {"images": np.zeros((2, 4, 4), np.complex64)}, {"images": np.zeros((2, 4, 4, 7), np.uint8)},
        )
    ):  # fmt: skip
        file = io.BytesIO()
        np.savez(file, **arrays)
        yield f"set{number}.npz", file.getvalue()
    file = io.BytesIO()
    np.savez_compressed(file, images=np.zeros((4, 8, 8), np.uint8))
    yield from ((f"cut{number}.npz", data) for number, data in enumerate(changed(file.getvalue(), 6)))
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({HUGE}, 99999, 99999), }}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("images.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode())
    yield "huge.npz", file.getvalue()
    good = struct.pack(">4B3I", 0, 0, 8, 3, 3, 4, 4) + bytes(48)
    yield from ((f"idx{number}-idx3-ubyte", data) for number, data in enumerate(changed(good, 6)))
    yield "big-idx3-ubyte", struct.pack(">4B3I", 0, 0, 8, 3, *[0xFFFFFFFF] * 3)


def videos():
    """Yield (name, bytes)."""
    yield from (
        (f"a{number}{suffix}", data)
        for number, data in enumerate(
            (
                b"", b"\0" * 500, b"\0\0\0\x18ftypmp42" + bytes(40), b"\x1a\x45\xdf\xa3" + b"\xff" * 60,
                b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b"text\n" * 50,
                b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(60), b"\x89PNG\r\n\x1a\n" + bytes(30),
            )
        )
        for suffix in (".mp4", ".mkv", ".mov")
    )  # fmt: skip


def run_folders(place):
    """Yield folders of trainings with odd files."""
    plain = {"format": 1, "operation": "train", "recipe": "gan", "options": {}, "record": {}, "environment": {}}
    texts = ["", "5", "[]", DEEP, "{", json.dumps(plain)]
    texts += [json.dumps({**plain, name: value}) for name in plain for value in WRONG[:6]]
    line = json.dumps({"step": 1, "losses": {"a": 0.5}})
    logs = ["", line, DEEP, "5\n[]\n" + line, '{"step": 1e400}', '{"step": 1, "losses": 5, "measures": [], "note": 5}']
    for number, text in enumerate(texts):
        folder = Path(place) / f"run{number}"
        (folder / "previews").mkdir(parents=True)
        (folder / "options.json").write_text(text)
        (folder / "log.jsonl").write_text(logs[number % len(logs)])
        (folder / "evaluation.json").write_text(
            texts[number % 7] if number % 2 else '{"sets": 5, "compared": {"a": []}}'
        )
        (folder / "previews" / "00000001.jpg").write_bytes(b"\xff\xd8\xff" + bytes(number))
        card = list(cards())[number]
        (folder / "checkpoint.safetensors").write_bytes(save({"a": torch.ones(1)}, {"impasto": card}))
        if number % 3:
            (folder / "model.safetensors").write_bytes(save({"a": torch.ones(1)}, {"impasto": card}))
        yield folder
