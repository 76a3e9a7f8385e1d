"""Any folder of pictures, cut into squares: nothing squashed, nothing lost, and each sample a matter of its number."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.data.folders import DeadLeaves, Pairs, PictureFolder
from impasto.errors import ImageError
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from pictures import encoded, exif, quadrants

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (255, 255, 255)]


def flat(color, height=20, width=24):
    return np.full((height, width, 3), color, np.uint8)


def slopes(height, width):
    """Red grows to the right and green downwards, by as much for each pixel; blue is 0.2."""
    per_pixel = 1 / max(height, width)
    red, green = np.meshgrid(np.arange(width) * per_pixel, np.arange(height) * per_pixel)
    return np.stack([red, green, np.full_like(red, 0.2)], -1).astype(np.float32), per_pixel


def fill(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data if isinstance(data, bytes) else encoded(data, "PNG"))
    return folder


@pytest.fixture
def colored(tmp_path):
    """Seven pictures, each of one color."""
    return fill(tmp_path / "colored", **{f"{number}__png": flat(color) for number, color in enumerate(COLORS)})


def color_of(sample):
    assert float(sample.flatten(1).std(1).max()) < 1e-3
    return tuple((sample[:, 0, 0] * 255).round().int().tolist())


# --- which picture, which crop -------------------------------------------------------------------


def test_every_picture_comes_once_before_any_comes_again(colored):
    data = PictureFolder(colored, 16)
    rounds = [[color_of(data.sample(7 * epoch + index)) for index in range(7)] for epoch in range(3)]
    assert all(sorted(found) == sorted(COLORS) for found in rounds)
    assert rounds[0] != rounds[1] != rounds[2]


def test_a_sample_depends_on_seed_and_number_alone(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (4, 60, 90, 3), np.uint8)
    folder = fill(tmp_path / "noise", **{f"{n}__png": pixels for n, pixels in enumerate(noise)})
    wanted = PictureFolder(folder, 16, seed=3).batch(range(12))
    assert wanted.shape == (12, 3, 16, 16) and wanted.dtype == torch.float32
    assert 0 <= float(wanted.min()) < 0.3 and 0.7 < float(wanted.max()) <= 1
    backwards = PictureFolder(folder, 16, seed=3, memory=0)  # nothing is kept
    assert all(torch.equal(backwards.sample(index), wanted[index]) for index in reversed(range(12)))
    with ThreadPoolExecutor(4) as pool:
        assert torch.equal(torch.stack(list(pool.map(PictureFolder(folder, 16, seed=3).sample, range(12)))), wanted)
    assert not torch.equal(PictureFolder(folder, 16, seed=4).batch(range(12)), wanted)
    assert len({tuple(sample.flatten()[:5].tolist()) for sample in wanted}) == 12


def test_a_file_that_cannot_be_read_gives_its_place_to_the_next(colored):
    fill(colored, broken__jpg=b"\xff\xd8\xff and nothing more", z__png=b"", notes__txt=b"not a picture")
    experienced = PictureFolder(colored, 16, seed=1)
    experienced.batch(range(30))
    assert [name[-10:] for name in experienced.skipped] == ["broken.jpg", "ored/z.png"]
    fresh = PictureFolder(colored, 16, seed=1)
    assert torch.equal(fresh.sample(20), experienced.sample(20))
    assert {color_of(sample) for sample in experienced.batch(range(9))} == set(COLORS)


# --- crops ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(100, 300), (300, 100), (64, 64), (20, 31), (12, 12), (40, 41)])
def test_crops_are_never_squashed(tmp_path, height, width):
    pixels, per_pixel = slopes(height, width)
    save_picture(tmp_path / "slopes.png", load_picture(pixels), depth=16)
    scales = []
    data = PictureFolder(tmp_path, 32, flip=False)
    for sample in data.batch(range(20)):
        inner = sample[:, 4:-4, 4:-4]  # what the edges do is another matter
        right = float((inner[0, :, -1] - inner[0, :, 0]).mean()) / 23
        down = float((inner[1, -1] - inner[1, 0]).mean()) / 23
        assert right == pytest.approx(down, rel=0.06)
        assert float(inner[0, -1].mean() - inner[0, 0].mean()) == pytest.approx(0, abs=0.01)  # not turned
        scales.append(right / per_pixel)  # pixels of the picture for each of the crop
    shorter = min(height, width)
    least, most = (shorter / 32,) * 2 if shorter <= 32 else (1.0, 1.5)
    if shorter > 48:  # it is shrunk until its shorter side is 48
        least, most = least * shorter / 48, most * shorter / 48
    assert least * 0.93 < min(scales) <= max(scales) < min(most, shorter / 32) * 1.07
    if shorter > 40:
        assert max(scales) > 1.15 * min(scales)


def test_crops_come_from_everywhere_and_half_of_them_are_mirrored(tmp_path):
    pixels, _ = slopes(40, 160)
    save_picture(tmp_path / "slopes.png", load_picture(pixels))
    samples = PictureFolder(tmp_path, 32).batch(range(200))
    middles = samples[:, 0].mean((1, 2))
    assert float(middles.min()) < 0.15 and float(middles.max()) > 0.85
    mirrored = int((samples[:, 0, :, -1] < samples[:, 0, :, 0]).all(1).sum())
    assert 70 < mirrored < 130
    upright = PictureFolder(tmp_path, 32, flip=False).batch(range(200))
    assert not (upright[:, 0, :, -1] < upright[:, 0, :, 0]).any()


# --- odd pictures --------------------------------------------------------------------------------


def test_gray_clear_and_turned_pictures_become_upright_rgb(tmp_path):
    fill(tmp_path / "gray", a__png=np.full((20, 20), 51, np.uint8))
    assert color_of(PictureFolder(tmp_path / "gray", 16).sample(0)) == (51, 51, 51)
    clear = np.zeros((20, 20, 4), np.uint8)
    clear[..., 3] = 51  # black that is nearly clear, on white: 255 * (1 - 0.2)
    fill(tmp_path / "clear", a__png=clear)
    assert color_of(PictureFolder(tmp_path / "clear", 16).sample(0)) == (204, 204, 204)
    upright = quadrants(20, 24)
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))  # orientation 6 turns it back
    fill(tmp_path / "upright", a__png=upright)
    fill(tmp_path / "turned", a__png=encoded(turned, "PNG", exif=exif(6)))
    wanted = PictureFolder(tmp_path / "upright", 16).batch(range(6))
    assert torch.equal(PictureFolder(tmp_path / "turned", 16).batch(range(6)), wanted)


def test_folders_are_searched_to_any_depth_and_files_may_be_named(tmp_path):
    fill(tmp_path / "a", one__png=flat(COLORS[0]))
    fill(tmp_path / "a" / "b" / "c", two__PNG=flat(COLORS[1]))
    fill(tmp_path / "a" / ".thumbnails", three__png=flat(COLORS[2]))
    single = fill(tmp_path / "d", four__png=flat(COLORS[3])) / "four.png"
    data = PictureFolder([tmp_path / "a", str(single)], 16)
    assert len(data) == 3
    assert {color_of(data.sample(index)) for index in range(3)} == {COLORS[0], COLORS[1], COLORS[3]}


def test_what_is_no_data_is_said_in_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "broken", a__png=b"\x89PNG", b__jpg=b"?")
    with pytest.raises(ImageError, match=r"^The folder empty holds no picture; expected .* files\.$"):
        PictureFolder(tmp_path / "empty", 16)
    with pytest.raises(ImageError, match=r"^nowhere does not exist; expected a picture or a folder of them\."):
        PictureFolder(tmp_path / "nowhere", 16)
    with pytest.raises(ImageError, match=r"^there are no pictures; expected one or more folders of them\.$"):
        PictureFolder([], 16)
    with pytest.raises(ImageError, match=r"^none of the 2 pictures can be read; of the first: a\.png is not"):
        PictureFolder(tmp_path / "broken", 16).sample(5)


# --- memory --------------------------------------------------------------------------------------


def test_pictures_are_decoded_once_if_there_is_room(colored, monkeypatch):
    real, decoded = load_picture, []
    monkeypatch.setattr("impasto.data.folders.load_picture", lambda path: decoded.append(path) or real(path))
    PictureFolder(colored, 16).batch(range(28))
    assert len(decoded) == 7
    decoded.clear()
    room = PictureFolder(colored, 16, memory=3 * 20 * 24 * 3)  # for three of seven
    room.batch(range(28))
    assert len(decoded) == 7 + 3 * 4


def test_large_pictures_are_kept_small(tmp_path):
    fill(tmp_path / "large", a__png=flat(COLORS[0], 400, 600))
    data = PictureFolder(tmp_path / "large", 16)
    data.sample(0)
    assert [pixels.shape for pixels in data._kept.values()] == [(24, 36, 3)]
    assert [pixels.dtype for pixels in data._kept.values()] == [np.uint8]


def test_a_fingerprint_changes_with_the_files(colored):
    before = PictureFolder(colored, 16).fingerprint
    assert PictureFolder(colored, 32, seed=1).fingerprint == before
    fill(colored, more__png=flat((1, 2, 3)))
    assert PictureFolder(colored, 16).fingerprint != before


# --- two folders side by side, and no folder at all ----------------------------------------------


def test_pairs_keep_the_order_of_each(colored, tmp_path):
    other = fill(tmp_path / "other", a__png=flat((9, 9, 9)), b__png=flat((200, 9, 9)), broken__jpg=b"nothing")
    first, second = PictureFolder(colored, 16), PictureFolder(other, 32, seed=1)
    pairs = Pairs(first, second)
    left, right = pairs.batch([3, 0, 5])
    assert torch.equal(left, first.batch([3, 0, 5])) and torch.equal(right, second.batch([3, 0, 5]))
    assert right.shape == (3, 3, 32, 32)
    assert [name[-10:] for name in pairs.skipped] == ["broken.jpg"]
    assert pairs.fingerprint != Pairs(second, first).fingerprint


def test_dead_leaves_depend_on_seed_and_number_alone():
    wanted = DeadLeaves(32, seed=3, scenes=4).batch(range(8))
    assert wanted.shape == (8, 3, 32, 32) and wanted.dtype == torch.float32
    assert float(wanted.min()) >= 0 and float(wanted.max()) <= 1
    fresh = DeadLeaves(32, seed=3, scenes=4)
    assert all(torch.equal(fresh.sample(index), wanted[index]) for index in reversed(range(8)))
    assert not torch.equal(DeadLeaves(32, seed=4, scenes=4).batch(range(8)), wanted)
    assert len({tuple(sample.flatten()[:5].tolist()) for sample in wanted}) == 8  # other parts of the same scenes


def test_dead_leaves_are_flat_and_have_edges_as_photographs_do():
    """Slopes of photographs have long tails: most are small, few are very large; those of noise have not."""

    def tails(images):
        slopes = (images[..., 1:] - images[..., :-1]).flatten()
        return float((slopes / slopes.std()).pow(4).mean())  # 3 for normal noise

    assert abs(tails(torch.randn(4, 3, 64, 64)) - 3) < 0.3
    assert tails(DeadLeaves(64).batch(range(24))) > 8
    colors = DeadLeaves(64).batch(range(24)).mean((2, 3))
    assert colors.std(0).min() > 0.1  # each has other colors


def test_one_readable_picture_among_others_is_found_whatever_the_order(tmp_path):
    """Also where a sample is the last of its round, and the next round begins with an unreadable one."""
    fill(tmp_path, a__png=b"not a picture", b__png=flat(COLORS[0]), c__png=b"nor this")
    folder = PictureFolder(tmp_path, 8)
    assert folder.batch(range(30)).shape == (30, 3, 8, 8)
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(ImageError, match="none of the 3 pictures can be read; of the first: "):
        PictureFolder(tmp_path, 8).sample(2)
