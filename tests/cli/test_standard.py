"""Standard input and output as pictures (`-`); pipes and devices in place of files."""

import io
import os
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from impasto.cli.main import main
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.picture import Picture

RNG = np.random.default_rng(3)
SMALL = ("--size", "48", "--steps", "1", "--polish", "0", "--quiet")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png", picture())
    return tmp_path


def picture(depth=8, alpha=False):
    values = RNG.random((32, 48, 4), np.float32)
    return Picture(values[..., :3].copy(), values[..., 3].copy() if alpha else None, depth=depth)


@pytest.fixture
def run(monkeypatch):
    """Run the command on some bytes: exit code, the bytes on stdout, the text on stderr."""

    def run(*words, data=b""):
        out, err = BytesIO(), BytesIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(BytesIO(data)))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8"))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, "utf-8", "backslashreplace"))
        code = main([str(word) for word in words])
        return code, out.getvalue(), err.getvalue().decode()

    return run


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".avif"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_picture_from_standard_input_is_that_of_the_file(run, suffix, depth, alpha):
    """Through standard input to standard output: the pixels, depth and alpha that a file gives."""
    save_picture(f"in{suffix}", picture(depth, alpha))
    data = bytes_of(f"in{suffix}")
    code, out, err = run("apply", "starry_night", "-", "--strength", "0", "-o", "-", "--quiet", data=data)
    assert (code, err) == (0, "")
    assert run("apply", "starry_night", f"in{suffix}", "--strength", "0", "-o", "out.png", "--quiet")[0] == 0
    (one, two), told = (load_picture(source) for source in (out, "out.png")), load_picture(f"in{suffix}")
    assert (one.pixels == two.pixels).all() and one.depth == two.depth == told.depth
    assert (one.alpha is None) == (two.alpha is None) == (told.alpha is None)
    assert one.alpha is None or (one.alpha == two.alpha).all()
    assert sorted(os.listdir()) == [f"in{suffix}", "out.png", "photo.png"]


def test_stylize_reads_the_photograph_or_the_style(run):
    data = bytes_of("photo.png")
    code, out, err = run("stylize", "-", "swirl", *SMALL, "--output=-", data=data)
    assert (code, err) == (0, "") and load_picture(out).size == (32, 48)
    assert run("stylize", "-", "swirl", *SMALL, data=data)[:2] == (0, b"stdin_swirl.png\n")
    assert (load_picture("stdin_swirl.png").pixels == load_picture(out).pixels).all()
    assert run("stylize", "photo.png", "-", *SMALL, data=data)[:2] == (0, b"photo_stdin.png\n")
    assert run("stylize", "photo.png", "--style", "-", *SMALL, "--force", data=data)[:2] == (0, b"photo_stdin.png\n")


def test_other_commands_write_pictures_to_stdout(run):
    code, out, _ = run("styles", "swirl", "--size", "32", "-o", "-")
    assert code == 0 and load_picture(out).size == (26, 32)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("photo.png", "photo.png", "-o", "-"), "--output - takes one result"),
        (("photo.png", "--json", "-o", "-"), "both write to stdout"),
        (("-", "-o", "-"), "standard input is not a picture that can be read (the file is empty)"),
    ],
)
def test_what_cannot_go_through_stdout(run, words, said):
    code, out, err = run("apply", "starry_night", *words)
    assert (code, out) == (2, b"") and said in err and err.count("\n") == 1


@pytest.mark.parametrize("start", [b"\0", b"hello\n", b"\x89PNG\r\n\x1a\n"])
def test_an_input_without_end_is_left(run, monkeypatch, start):
    class Endless(io.RawIOBase):
        count = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            buffer[:] = (start * (len(buffer) // len(start) + 1))[: len(buffer)]
            self.count += len(buffer)
            return len(buffer)

    monkeypatch.setattr("impasto.io.decode._MAX_BYTES", 1 << 22)
    endless = Endless()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(endless)))
    run_code = main(["apply", "starry_night", "-", "-o", "out.png"])
    assert run_code == 2 and endless.count < 6 << 20 and not os.path.exists("out.png")


def test_a_closed_input_is_said(monkeypatch, capfd):
    monkeypatch.setattr("impasto.cli.terminal._STANDARD.data", None)
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it, if the descriptor is closed
    for words in (
        ("apply", "starry_night", "-"),
        ("stylize", "-", "swirl", *SMALL),
        ("stylize", "photo.png", "-", *SMALL),
    ):
        assert main([*words, "-o", "out.png"]) == 2
        assert "impasto: standard input is closed; expected a picture" in capfd.readouterr().err


def test_the_bytes_of_a_file_are_a_picture():
    for depth in (8, 16):
        save_picture("one.png", picture(depth), force=True)
        for data in (bytes_of("one.png"), bytearray(bytes_of("one.png"))):
            found, told = load_picture(data), load_picture("one.png")
            assert (found.pixels == told.pixels).all() and found.depth == depth and found.digest == told.digest


PLACES = [
    "apply starry_night {}",
    "apply {} photo.png",
    "apply painter photo.png --style {}",
    "apply starry_night photo.png --keep {}",
    "stylize {} swirl",
    "stylize photo.png {}",
    "stylize photo.png swirl --init-image {}",
    "stylize photo.png swirl --encoder {}",
    "stylize photo.png swirl --keep {}",
    "stylize photo.png swirl --region {} mosaic",
    "rerun {}",
    "score {} --content photo.png --style photo.png",
    "sample {}",
    "evaluate {}",
    "report {}",
    "train vae {}",
    "train johnson {} photo.png",
    "train style {}",
    "models --add {}",
    "models --add photo.png --about {}",
]


@pytest.mark.parametrize("words", PLACES)
def test_pipes_and_devices_are_refused_everywhere(run, words):
    os.mkfifo("pipe.png")
    for name in ("pipe.png", "/dev/zero"):
        code, out, err = run(*words.format(name).split())
        assert code in (1, 2) and out == b"" and "unexpected" not in err, (name, err)
        assert err.count("\n") == 1 and err.startswith("impasto: "), err


def test_a_pipe_in_the_catalog_does_not_stop_the_list(run, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", os.getcwd())
    os.mkdir("painters")
    os.mkfifo("painters/odd.safetensors")
    os.symlink("/dev/zero", "painters/endless.safetensors")
    code, out, err = run("models")
    assert (code, err) == (0, "") and b"starry_night" in out and b"odd" not in out


def test_a_real_pipe(folder):
    """Two commands, one after the other, as people type them."""
    first, second = (
        f"{sys.executable} -m impasto {words}"
        for words in ("styles swirl --size 48 -o -", "apply starry_night - -o - --quiet")
    )
    done = subprocess.run(f"{first} | {second}", shell=True, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"") and load_picture(done.stdout).size == (38, 48)
    with Image.open(BytesIO(done.stdout)) as opened:
        assert opened.format == "PNG"
