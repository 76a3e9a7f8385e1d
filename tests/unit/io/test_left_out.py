"""What is in a folder or a file and is not painted is said: other formats, further frames."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from impasto.data.arrays import read_sets
from impasto.data.folders import AlignedPairs, Pairs, PictureFolder
from impasto.errors import ImageError
from impasto.events import Done, Note, Started, noted
from impasto.io.decode import frame_count, load_picture
from impasto.io.files import find_pictures, is_picture, left_out
from impasto.io.formats import READABLE

HEIF = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


def animation(path, count=3, **more):
    frames = [Image.new("RGB", (40, 24), (60 * i, 90, 200)) for i in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **more)
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photos"
    (path / "inner").mkdir(parents=True)
    for name in ("a.jpg", "inner/b.png"):
        Image.new("RGB", (40, 24), (200, 90, 30)).save(path / name)
    return path


def test_other_formats_in_a_folder_are_named_with_the_way_out(folder):
    assert left_out(folder) == [] and left_out([folder], deep=True) == []
    for name in ("IMG_2.HEIC", "x.heif", "D.NEF", "clip.MP4", "scan.pdf", "new.jxl"):
        (folder / name).write_bytes(HEIF)
    for name in ("notes.txt", ".hidden.heic", "a.json", "Thumbs.db", "inner/c.hif"):
        (folder / name).write_bytes(HEIF)
    assert left_out(folder) == [
        "1 file is left out (D.NEF): camera raw must be developed first, as TIFF or JPEG",
        "2 files are left out (IMG_2.HEIC, x.heif): HEIC needs pip install 'impasto[heic]'",
        "1 file is left out (clip.MP4): a folder stands for its pictures; name each video",
        "2 files are left out (new.jxl, scan.pdf): their format is not read",
    ]
    everywhere = left_out({"a": str(folder), "b": None, "c": np.ones(3)}, deep=True)
    assert everywhere[1].startswith("3 files are left out (IMG_2.HEIC, x.heif, c.hif): HEIC")
    assert [path.name for path in find_pictures(folder)] == ["a.jpg"]
    assert left_out([folder / "a.jpg", "gone", "", np.ones((2, 3)), None]) == []


def test_many_files_are_counted_and_some_are_named(folder):
    for index in range(9):
        (folder / f"{index}.heic").write_bytes(HEIF)
    assert left_out(folder)[0].startswith("9 files are left out (0.heic, 1.heic, 2.heic, 3.heic, 4.heic, …): HEIC")


def test_a_folder_of_nothing_else_says_what_to_install(tmp_path):
    (tmp_path / "IMG_1.HEIC").write_bytes(HEIF)
    with pytest.raises(
        ImageError, match=r"holds no picture; .*\(IMG_1\.HEIC\): HEIC needs pip install 'impasto\[heic\]'"
    ):
        find_pictures(tmp_path)
    with pytest.raises(ImageError, match=r"IMG_1\.HEIC is .*it is HEIC, which needs pip install 'impasto\[heic\]'"):
        load_picture(tmp_path / "IMG_1.HEIC")


def test_links_to_nowhere_are_named(folder):
    (folder / "dead.jpg").symlink_to("nowhere")
    assert left_out(folder) == ["1 file is left out (dead.jpg): there are no files behind their names"]


def test_heic_is_read_where_the_extra_is_installed(folder, monkeypatch):
    (folder / "IMG_2.HEIC").write_bytes(HEIF)
    wanted = Image.new("RGB", (8, 6), (10, 200, 30))
    plugin = SimpleNamespace(HeifImageFile=lambda file: wanted if file.read() == HEIF else None, __spec__=1)
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    assert load_picture(folder / "IMG_2.HEIC").size == (6, 8)
    assert np.allclose(load_picture(folder / "IMG_2.HEIC").pixels[0, 0] * 255, (10, 200, 30))
    assert [path.name for path in find_pictures(folder)] == ["IMG_2.HEIC", "a.jpg"] and left_out(folder) == []
    assert is_picture(folder / "IMG_2.HEIC")


def test_pictures_of_two_views_are_found(folder):
    views = [Image.new("RGB", (40, 24), (value, 0, 0)) for value in (250, 10)]
    views[0].save(folder / "stereo.mpo", save_all=True, append_images=views[1:])
    assert [path.name for path in find_pictures(folder)] == ["a.jpg", "stereo.mpo"] and left_out(folder) == []
    picture = load_picture(folder / "stereo.mpo")
    assert picture.notes == () and abs(picture.pixels[0, 0, 0] * 255 - 250) < 3


# --- animations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["gif", "png", "apng", "webp", "avif"])
def test_further_frames_are_said(suffix, tmp_path):
    path = animation(tmp_path / f"a.{suffix}")
    picture = load_picture(path)
    assert picture.notes == (f"a.{suffix} has 3 frames; only the first is read",)
    assert abs(picture.pixels[0, 0] * 255 - (0, 90, 200)).max() < 6
    assert frame_count(path) == 3
    Image.new("RGB", (40, 24)).save(tmp_path / f"b.{suffix}")
    assert load_picture(tmp_path / f"b.{suffix}").notes == () and frame_count(tmp_path / f"b.{suffix}") == 1


def test_frames_are_said_for_every_kind_of_data(folder):
    animation(folder / "c.gif")
    said = "c.gif has 3 frames; only the first is read"
    data = PictureFolder(folder, 16)
    assert data.remarks == []
    data.batch(range(9))
    assert data.remarks == [said] == Pairs(PictureFolder(folder / "inner", 16), data).remarks
    pairs = AlignedPairs(folder, 16)
    pairs.batch(range(9))
    assert pairs.remarks == [said]
    train, test = read_sets(str(folder))
    assert [*train.remarks, *test.remarks] == [said] == train.labeled().remarks


# --- events --------------------------------------------------------------------------------------


def test_notes_come_after_the_plan_and_close_what_they_precede():
    ended = []

    def events(first):
        try:
            yield first
            yield Done(None, 1, 0.0)
        finally:
            ended.append(first)

    note = Note("said")
    assert [type(event) for event in noted(["said"], events(Started()))] == [Started, Note, Done]
    assert list(noted(["said"], events(Note("own")))) == [note, Note("own"), Done(None, 1, 0.0)]
    stream = noted(["said"], events(Started()))
    next(stream)
    stream.close()
    assert len(ended) == 3 and "JPEG" in READABLE
