"""Hundreds of odd and hostile files through every command: one sentence each, nothing is run, lost or filled."""

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.hostile import cards, models, pictures, run_folders, sets, videos

from impasto.api.rerun import iter_rerun
from impasto.checkpoints.catalog import read_header
from impasto.cli.main import main
from impasto.data.arrays import read_sets
from impasto.errors import ImpastoError
from impasto.inference.load import load, load_generator
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture
from impasto.io.video.reader import iter_frames
from impasto.reports.run_files import read_run
from impasto.training.run_folder import RunFolder

MEMORY = 1500  # MB that all files together may add at most
_TOOK = 20  # seconds that one file may take at most


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a photograph; memory at its end is compared with that at its beginning."""
    folder = tmp_path_factory.mktemp("hostile")
    save_picture(folder / "photo.png", load_picture(np.random.default_rng(0).random((32, 48, 3), np.float32)))
    main(["apply", "starry_night", str(folder / "photo.png"), "-o", str(folder / "first.png"), "--quiet"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield folder
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY * 1024


@contextmanager
def no_longer_than(seconds):
    def stop(*_):
        raise AssertionError(f"it takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def told(*words):
    """Run a command in this process; return its exit code, after checking what it says."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace")]
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]), no_longer_than(_TOOK):
        code = main([str(word) for word in words])
    said = streams[1].buffer.getvalue().decode()
    assert "unexpected" not in said and "Traceback" not in said, (words, said[-300:])
    assert code == 0 or said.startswith("impasto: ") or "\nimpasto: " in said, (words, code, said)
    return code


def each(folder, files, read, *words, every):
    """Read each file, and run a command on some of them; return how many there are, and how many are refused.

    No file is changed, lost, or left behind.
    """
    folder.mkdir()
    refused = count = 0
    for count, (name, data) in enumerate(files, start=1):
        path = folder / (f"a{name}" if name.startswith(".") else name)
        path.write_bytes(data)
        try:
            with no_longer_than(_TOOK):
                read(path)
        except ImpastoError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 1000, name
        if count % every == 0:
            code = told(*(path if word == "FILE" else word for word in words), "-o", folder / "out.png")
            assert (folder / "out.png").exists() == (code == 0), name
        assert path.read_bytes() == data and set(os.listdir(folder)) <= {path.name, "out.png"}, name
        shutil.rmtree(folder)
        folder.mkdir()
    return count, refused


def test_pictures(place):
    def read(path):
        load_picture(path)
        read_metadata(path)

    count, refused = each(place / "pictures", pictures(), read, "apply", "starry_night", "FILE", "--quiet", every=16)
    assert count > 200 and refused > count / 3


def test_models_run_no_code(place):
    mark, words = place / "code-ran", ("apply", "FILE", place / "photo.png", "--quiet")
    count, refused = each(place / "models", models(mark), lambda path: (read_header(path), load(path)), *words, every=8)
    assert count > 250 and refused > count * 0.8 and not mark.exists()


def test_sets_run_no_code(place):
    mark, words = place / "code-ran", ("train", "vae", "FILE", "--steps", "1", "--batch", "2", "--quiet")
    count, refused = each(place / "sets", sets(mark), read_sets, *words, every=9)
    assert count > 35 and refused > count / 2 and not mark.exists()


def test_videos(place):
    pytest.importorskip("av")
    words = ("apply", "starry_night", "FILE", "--quiet")
    count, refused = each(place / "videos", videos(), lambda path: list(iter_frames(path)), *words, every=9)
    assert count == refused > 20


def test_run_folders(place):
    record = {"format": 1, "recipe": "gan", "options": {}, "record": {}}
    for number, folder in enumerate(folders := list(run_folders(place))):
        held = set(folder.rglob("*"))
        for read in (read_run, load_generator, lambda path: RunFolder(path).check(record, resume=True, force=False)):
            with suppress(ImpastoError), no_longer_than(_TOOK):
                read(folder)
        if number % 9 == 0:
            told("report", folder, "--quiet")
            told("sample", folder, "-o", folder / "sheet.png", "--quiet")
        assert held <= set(folder.rglob("*")), folder
    assert len(folders) > 35


def test_embedded_settings(place):
    picture = load_picture(place / "photo.png")
    for number, card in enumerate(forgeries := list(cards())):
        try:
            record = json.loads(card)
        except (ValueError, RecursionError):
            continue
        record = {"operation": "apply", "format": 1, **(record if isinstance(record, dict) else {"options": record})}
        save_picture(place / "forged.png", picture, metadata=record, force=True)
        with pytest.raises(ImpastoError):
            iter_rerun(place / "forged.png", output=place / "again.png")
        if number % 10 == 0:
            assert told("rerun", place / "forged.png", "-o", place / "again.png", "--quiet") in (1, 2)
        assert not (place / "again.png").exists()
    assert len(forgeries) > 150


def test_the_catalog_is_listed_with_all_of_them(place, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(place / "home"))
    (place / "home/painters").mkdir(parents=True)
    for name, data in models(place / "code-ran"):
        (place / "home/painters" / Path(name).with_suffix(".safetensors").name).write_bytes(data)
    os.mkfifo(place / "home/painters/pipe.safetensors")
    (place / "home/painters/folder.safetensors").mkdir()
    (place / "home/painters/dead.safetensors").symlink_to("nowhere")
    for words in ("models", "models --json", "styles", "encoders"):
        assert told(*words.split()) == 0
    assert told("apply", "starry_night", place / "photo.png", "-o", place / "b.png", "--quiet") == 0
    with Image.open(place / "b.png") as one, Image.open(place / "first.png") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_a_process_of_its_own(place):
    """A sample of all files in a process of its own, whose exit code and stderr are those of a shell."""
    files = [*list(pictures())[::60], *list(models(place / "code-ran"))[::70]]
    paths = [place / f"own{number}{Path('a' + name).suffix or name}" for number, (name, _) in enumerate(files)]
    for path, (_, data) in zip(paths, files, strict=True):
        path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-m", "impasto", "apply", "starry_night", *map(str, paths), "-o", str(place / "results")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr and "unexpected" not in done.stderr
    assert not (place / "code-ran").exists()
