"""Where results are written: places are tried before the work, and nothing is lost when they go away."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from impasto.checkpoints.files import save_json, save_state
from impasto.errors import FileExists, ImageError, SavedElsewhere
from impasto.io.animation import check_animation
from impasto.io.decode import load_picture
from impasto.io.encode import check_target, save_picture
from impasto.io.files import check_folder, check_place, clean_drafts, draft_file, hold
from pictures import quadrants

DRAFT = ".impasto-0123456789abcdef.tmp"
CHECKS = [check_place, check_target, check_animation]
posix = pytest.mark.skipif(os.name == "nt", reason="no such places")


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("check", CHECKS)
@posix
def test_an_impossible_place_is_said_before_the_work(check, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    for path, words in (
        ("/proc/x.png", r"x\.png cannot be written \(.*\); choose another path"),
        ("/proc/new/x.png", r"x\.png cannot be written \(.*\); choose another path"),
        (tmp_path / ("x" * 300 + ".png"), r"cannot be written \(File name too long\)"),
        (tmp_path / ("x" * 300) / "a.png", r"a\.png cannot be written \(File name too long\)"),
        (tmp_path / "file" / "a.png", "file is a file; expected a folder"),
        (tmp_path / "folder.png", "is a folder; expected the name of a file"),
    ):
        with pytest.raises(ImageError, match=words):
            check(path, True)
    assert tree(tmp_path) == ["file", "folder.png"]


@posix
def test_a_device_is_not_replaced(tmp_path):
    device = tmp_path / "null.png"
    os.mkfifo(device)
    for write in (check_target, lambda path, force: save_picture(path, load_picture(quadrants()), force=force)):
        with pytest.raises(ImageError, match=r"null\.png is a pipe or a device; expected the name of a file"):
            write(device, True)
    with pytest.raises(
        ImageError, match=r"in\.png cannot be written: null\.png is a pipe or a device; expected a folder"
    ):
        check_place(device / "in.png", True)
    with pytest.raises(SavedElsewhere):
        save_picture(device, load_picture(quadrants()), force=True, safe=True)
    assert device.is_fifo()


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_leaves_nothing_and_makes_no_folder(check, tmp_path):
    check(tmp_path / "a" / "b" / "x.webp")
    check_folder(tmp_path / "a" / "b")
    assert tree(tmp_path) == []
    (tmp_path / "x.webp").write_bytes(b"mine")
    with pytest.raises(FileExists):
        check(tmp_path / "x.webp")
    check(tmp_path / "x.webp", True)
    assert (tmp_path / "x.webp").read_bytes() == b"mine"


@posix
def test_a_full_disk_is_said_before_the_work(tmp_path, monkeypatch):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ImageError, match=r"x\.png cannot be written \(No space left on device\)"):
        check_place(tmp_path / "x.png")
    assert tree(tmp_path) == []


@posix
def test_drafts_of_the_dead_are_deleted_and_no_others(tmp_path):
    names = (DRAFT, ".impasto-0123456789abcdee.tmp", ".0123456789abcdef.tmp", ".impasto-x.tmp", "a.tmp")
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    held = hold(tmp_path / names[1])  # its process is alive
    check_place(tmp_path / "x.png")
    assert tree(tmp_path) == sorted(names[1:])
    os.close(held)
    clean_drafts(tmp_path)
    assert tree(tmp_path) == sorted(names[2:])


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from impasto.checkpoints.files import save_json, save_state
from impasto.io.encode import save_picture
from impasto.io.decode import load_picture
import numpy as np

os.replace = os.link = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
path = Path(sys.argv[1])
if path.suffix == ".png":
    save_picture(path, load_picture(np.zeros((8, 8, 3), np.uint8)), force=True)
elif path.suffix == ".json":
    save_json(path, {"new": 1})
else:
    save_state(path, {"new": torch.zeros(4)}, {})
"""


@posix
@pytest.mark.parametrize("name", ["a.png", "a.json", "a.safetensors"])
def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file_and_litter_that_is_cleaned(name, tmp_path):
    (tmp_path / name).write_bytes(b"precious")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / name).read_bytes() == b"precious" and len(tree(tmp_path)) == 2
    check_place(tmp_path / "next.png")
    assert tree(tmp_path) == [name]


def test_files_of_a_run_are_replaced_in_one_moment(tmp_path, monkeypatch):
    save_json(tmp_path / "a.json", {"old": 1})
    save_state(tmp_path / "a.safetensors", {}, {"old": 1})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_json(tmp_path / "a.json", {})
    with pytest.raises(RuntimeError, match=r"a\.safetensors cannot be written"):
        save_state(tmp_path / "a.safetensors", {}, {})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# --- a place that goes away meanwhile ------------------------------------------------------------


def found(error):
    """The picture that an error names, deleted afterwards."""
    path = error.value.path
    assert str(path) in str(error.value)
    pixels = load_picture(path).pixels
    path.unlink()
    return path.parent, pixels


@pytest.mark.parametrize("force", [False, True])
def test_a_picture_whose_folder_is_gone_is_saved_elsewhere(force, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    (tmp_path / "out").write_text("a file by now")
    picture = load_picture(quadrants())
    with pytest.raises(SavedElsewhere, match=r"x\.png cannot be written \(.*\); the result is saved as .*x-\w+\.png\."):
        save_picture(tmp_path / "out" / "x.png", picture, force=force, safe=True)
    with pytest.raises(SavedElsewhere) as error:
        save_picture(tmp_path / "out" / "x.png", picture, force=force, safe=True)
    place, pixels = found(error)
    assert place == home and np.array_equal(pixels, picture.pixels)
    assert (tmp_path / "out").read_text() == "a file by now"


def test_a_picture_whose_name_is_taken_meanwhile_is_saved_beside_it(tmp_path):
    (tmp_path / "x.png").write_bytes(b"precious")
    picture = load_picture(quadrants())
    with pytest.raises(SavedElsewhere, match=r"x\.png exists by now; the result is saved as") as error:
        save_picture(tmp_path / "x.png", picture, safe=True)
    place, pixels = found(error)
    assert place == tmp_path and np.array_equal(pixels, picture.pixels)
    assert (tmp_path / "x.png").read_bytes() == b"precious" and tree(tmp_path) == ["x.png"]


def test_a_folder_that_vanished_is_made_again(tmp_path):
    path = tmp_path / "gone" / "x.png"
    check_target(path)
    assert save_picture(path, load_picture(quadrants()), safe=True) == path
    assert tree(tmp_path) == ["gone", "gone/x.png"]


@posix
@pytest.mark.parametrize("gone", ["folder", "name"])
def test_a_long_draft_survives_its_place(gone, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    path = tmp_path / "out" / "x.mp4"
    with pytest.raises(SavedElsewhere) as error, draft_file(path) as draft:
        draft.write_bytes(b"hours")
        if gone == "folder":
            shutil.rmtree(path.parent)
        else:
            path.write_bytes(b"somebody else's")
    assert error.value.path.parent == (home if gone == "folder" else path.parent)
    assert error.value.path.read_bytes() == b"hours"
    assert gone == "folder" or path.read_bytes() == b"somebody else's"


def test_a_name_that_is_too_long_for_a_place_is_shortened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SavedElsewhere) as error:
        save_picture(tmp_path / f"{'x' * 300}.png", load_picture(quadrants()), safe=True)
    assert error.value.path.name.startswith("result-") and Path(error.value.path).exists()
