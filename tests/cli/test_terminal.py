"""The terminal: odd widths, encodings that lack letters, streams that are closed, full or left by their reader."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.cli import terminal
from impasto.cli.main import main
from impasto.cli.terminal import Terminal


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.arange(32 * 48 * 3, dtype=np.uint32).reshape(32, 48, 3).astype(np.uint8)).save("photo.png")
    return tmp_path


def size(path):
    with Image.open(path) as picture:
        return picture.size


class Stream(io.RawIOBase):
    """A stream that holds some bytes; then it fails, or, with no limit, never does."""

    def __init__(self, limit=None, error=None):
        self.data, self.limit, self.error = b"", limit, error

    def writable(self):
        return True

    def write(self, data):
        if self.limit is not None and len(self.data) >= self.limit:
            raise self.error
        self.data += bytes(data)
        return len(data)


def text(raw, encoding="utf-8", errors="strict"):
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=errors)


@pytest.fixture
def run(monkeypatch):
    """Run the command with these streams: exit code, and what they hold."""

    def run(*words, out=None, err=None, encoding="utf-8"):
        out, err = out or Stream(), err or Stream()
        monkeypatch.setattr(sys, "stdout", text(out, encoding))
        monkeypatch.setattr(sys, "stderr", text(err, encoding, "backslashreplace"))
        code = main(list(words))
        return code, out.data.decode(encoding), err.data.decode(encoding)

    return run


@pytest.mark.parametrize("columns", ["0", "1", "2", "3", "-1", "²", "99999999999", "x", ""])
@pytest.mark.parametrize("words", ["--help", "apply --help", "stylize --help-all", "styles"])
def test_any_number_of_columns(run, monkeypatch, columns, words):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    code, out, err = run(*words.split())
    assert (code, err) == (0, "") and out.count("\n") > 10
    assert max(map(len, out.splitlines())) <= 1000


@pytest.mark.parametrize(("columns", "width"), [("1", 20), ("19", 20), ("21", 21), ("999", 999), ("5000", 1000)])
def test_a_console_has_20_to_1000_columns(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert Terminal().width == width and Terminal(stderr=True).options.max_width == width
    assert Terminal(width=300).width == 300


@pytest.mark.parametrize("words", ["models", "styles", "encoders", "--help", "models --json"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "gbk"])
def test_letters_that_an_encoding_lacks_become_question_marks(run, encoding, words):
    code, out, err = run(*words.split(), encoding=encoding)
    assert (code, err) == (0, "") and ("starry_night" in out) == (words not in ("encoders", "--help"))
    if words == "styles" and encoding == "ascii":
        assert "C?zanne" in out


def test_an_error_is_said_in_any_encoding(run):
    code, out, err = run("apply", "é", "photo.png", encoding="ascii")
    assert (code, out) == (2, "") and err.startswith("impasto: '\\xe9' is not")


FULL = OSError(28, "No space left on device")
PAINT = ("apply", "starry_night", "photo.png", "-o", "painted.png")


@pytest.mark.parametrize("words", [PAINT, (*PAINT, "--json")])
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(BrokenPipeError(32, "Broken pipe"), 1, ""), (FULL, 1, "No space left"), (ValueError("closed"), 1, "closed")],
)
def test_a_picture_is_written_whatever_becomes_of_stdout(run, words, error, code, said):
    found, _, err = run(*words, out=Stream(0, error))
    assert found == code and said in err and "unexpected" not in err
    assert size("painted.png") == (48, 32)


@pytest.mark.parametrize("limit", [0, 10])
@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), FULL])
def test_a_picture_is_written_whatever_becomes_of_stderr(run, error, limit):
    code, out, _ = run(*PAINT, err=Stream(limit, error))
    assert (code, out) == (0, "painted.png\n") and size("painted.png") == (48, 32)


def test_a_pipe_that_does_not_block_gets_every_byte(run, monkeypatch):
    class Busy(Stream):
        turn = 0

        def write(self, data):
            self.turn += 1
            return None if self.turn % 2 else super().write(data[:100])

    waits = []
    monkeypatch.setattr(terminal.select, "select", lambda *sets: waits.append(sets))
    whole = run("styles")[1]
    assert run("styles", out=Busy())[1] == whole and len(waits) >= len(whole) // 100


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_streams_that_were_closed_before_the_program_began(closed):
    """So that no picture is opened as one of them, and is written into."""
    done = subprocess.run(
        [sys.executable, "-m", "impasto", "styles", "swirl", "--size", "32"],
        capture_output=True,
        preexec_fn=lambda: [os.close(number) for number in closed],
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"") and size("swirl.png") == (32, 26)


def test_streams_are_given_back(monkeypatch):
    out = Stream()
    before = text(out)
    monkeypatch.setattr(sys, "stdout", before)
    assert main(["--version"]) == 0 and sys.stdout is before
    before.write("still open\n")
    before.flush()
    assert out.data.startswith(b"impasto ") and out.data.endswith(b"still open\n")


def test_the_terminal_in_memory(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["styles"]) == 0 and "starry_night" in sys.stdout.getvalue()


def test_names_cannot_move_the_cursor(run, monkeypatch):
    """Neither in a list nor in an error."""
    os.makedirs("home/painters")
    shutil.copy(
        Path(impasto.__file__).parent / "pretrained/painter.safetensors", "home/painters/a\x1b[2Jb\nc.safetensors"
    )
    monkeypatch.setenv("IMPASTO_HOME", "home")
    code, out, _ = run("models")
    assert code == 0 and "a [2Jb c" in out and "\x1b" not in out
    code, _, err = run("apply", "starry_night", "a\x1b[2J\nb.png")
    assert code == 2 and "\x1b" not in err and err.count("\n") == 1
