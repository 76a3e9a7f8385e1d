"""Regions: every style stays where it belongs, and what is kept is kept."""

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.errors import CheckpointError, ImageError, OptionError
from impasto.events import Done, Note, Started, Step
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.masks import mask_file, read_mask
from impasto.ops.gram import gram_matrix
from impasto.style_transfer.objective import layer_guide
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.regions import Region, feather, iter_regions
from nets import kept, picture, tiny_vgg

OPTIONS = StylizeOptions(size=96, min_size=48, steps=6, step_decay=0.5, feather=0.04, content_weight=0.05)
EDGE = 4  # pixels: 0.04 of 96


def mask_of(rows, columns, size=(72, 96)):
    mask = torch.zeros(1, 1, *size)
    mask[..., rows, columns] = 1
    return mask


LEFT = mask_of(slice(None), slice(0, 40))
STYLES = [picture(50, 60, seed) for seed in range(1, 5)]


def paint(regions, options=OPTIONS, **kwargs):
    return list(iter_regions(picture(72, 96), regions, tiny_vgg(padding="replicate"), options, **kwargs))


def distance(a, b, mask=None):
    """The mean difference of two pictures in 255ths, where a mask is."""
    error = (a - b).abs().mean(1, keepdim=True)
    return 255 * (error.mean() if mask is None else error[mask].mean()).item()


# --- the picture -----------------------------------------------------------


@pytest.mark.parametrize("colors", ["style", "luminance", "match"])
def test_the_style_of_a_region_moves_nothing_outside_its_feather(colors):
    options = OPTIONS.changed(colors=colors)
    one, other = (paint([Region(None, [STYLES[0]]), Region(LEFT, [style])], options)[-1].image for style in STYLES[1:3])
    outside = mask_of(slice(None), slice(40 + EDGE, None)) > 0
    assert distance(one, other, outside) == 0
    assert distance(one, other, LEFT > 0) > (1 if colors != "luminance" else 0.3)


def test_what_is_kept_is_the_photograph_and_the_rest_is_painted():
    photograph = picture(72, 96)
    for event in (events := paint([Region(None, [STYLES[0]])], keep=LEFT)):
        if isinstance(event, Step):
            last = event.image()
    kept = mask_of(slice(None), slice(0, 40 - EDGE)) > 0
    painted = mask_of(slice(None), slice(40 + EDGE, None)) > 0
    result = events[-1].image
    assert torch.equal(result, last)
    assert distance(result, photograph, kept) == 0
    assert distance(result, photograph, painted) > 1


def test_a_later_region_lies_over_an_earlier_one():
    over = mask_of(slice(20, 50), slice(10, 30))
    both = paint([Region(None, [STYLES[0]]), Region(LEFT, [STYLES[1]]), Region(over, [STYLES[2]])])
    names = [event.content for event in both if isinstance(event, Started)]
    assert names == ["region 1 of 3", "region 2 of 3", "region 3 of 3"]
    inner = mask_of(slice(20 + EDGE, 50 - EDGE), slice(10 + EDGE, 30 - EDGE)) > 0
    hidden = paint([Region(None, [STYLES[0]]), Region(LEFT, [STYLES[3]]), Region(over, [STYLES[2]])])
    assert distance(both[-1].image, hidden[-1].image, inner) == 0
    covered = paint([Region(over, [STYLES[1]]), Region(LEFT, [STYLES[2]])])
    assert [event.content for event in covered if isinstance(event, Started)] == ["region 1 of 1"]


def test_one_region_for_everything_is_the_plain_run():
    from impasto.style_transfer.optimize import optimize

    plain = optimize(picture(72, 96), [STYLES[0]], tiny_vgg(padding="replicate"), OPTIONS)
    torch.testing.assert_close(paint([Region(None, [STYLES[0]])])[-1].image, plain, rtol=0, atol=5e-3)


def test_each_region_takes_over_its_own_style():
    dark, light = 0.3 * STYLES[0], 0.7 + 0.3 * STYLES[1]
    options = OPTIONS.changed(content_weight=0.01, steps=15, style_layers="relu1_1,relu2_1")
    image = paint([Region(None, [dark]), Region(LEFT, [light])], options)[-1].image
    before = picture(72, 96)
    assert image[..., :36].mean() > before[..., :36].mean() + 0.1
    assert image[..., 44:].mean() < before[..., 44:].mean() - 0.1


def test_an_interrupted_run_goes_on_to_the_same_bytes():
    regions = [Region(None, [STYLES[0]]), Region(LEFT, [STYLES[1], STYLES[2]])]
    states, events = [], []
    for event in iter_regions(picture(72, 96), regions, tiny_vgg(), OPTIONS):
        events.append(event)
        if isinstance(event, Step):
            states.append(kept(event))
    assert len(states) == events[-1].steps == 18
    for at in (4, 11, 16):
        resumed = list(iter_regions(picture(72, 96), regions, tiny_vgg(), OPTIONS, resume=states[at]))
        assert torch.equal(resumed[-1].image, events[-1].image)
        assert resumed[-1].steps == 18
    with pytest.raises(CheckpointError, match="other regions"):
        list(iter_regions(picture(72, 96), regions[:1], tiny_vgg(), OPTIONS, resume=states[0]))


def test_every_region_is_polished():
    events = paint(
        [Region(None, [STYLES[0]]), Region(LEFT, [STYLES[1]])], OPTIONS.changed(polish=2), polish=tiny_vgg(5)
    )
    plans = [event.scales for event in events if isinstance(event, Started)]
    assert plans == [((36, 48, 6), (72, 96, 3), (72, 96, 2))] * 2


def test_nothing_left_to_paint_gives_the_photograph():
    (done,) = paint([Region(None, [STYLES[0]])], keep=torch.ones(1, 1, 72, 96))
    assert isinstance(done, Done) and torch.equal(done.image, picture(72, 96))


# --- the parts -------------------------------------------------------------


@pytest.mark.parametrize("radius", [0, 1, 4, 7])
def test_a_feather_reaches_as_far_as_it_says(radius):
    edge = torch.zeros(1, 1, 20, 60, dtype=torch.float64)
    edge[..., 30:] = 1
    soft = feather(edge, radius)[0, 0, 10]
    assert (soft.diff() >= -1e-12).all()
    assert soft[: 30 - radius].max() < 1e-12 and soft[30 + radius :].min() > 1 - 1e-12
    assert soft[29] + soft[30] == pytest.approx(1)
    if radius:
        assert soft[30 - radius] > 0


def test_a_guide_counts_who_sees_the_region_and_nobody_else():
    mask = mask_of(slice(None), slice(0, 64), (128, 128)).double()
    guide = layer_guide(mask, (16, 16), 8, reach=32)  # each sees 16 px around its own 8: all of columns up to 48
    assert guide.mean() == pytest.approx(1)
    row = guide[0, 0, 8]
    assert torch.allclose(row[:6], row[0]) and (row[8:] == 0).all() and 0 < row[7] < row[6] < row[0]
    dot = mask_of(slice(60, 64), slice(60, 64), (128, 128))
    small = layer_guide(dot, (16, 16), 8, reach=32)[0, 0]
    assert small[7, 7] == small.max() > 0 and small[2, 2] == small[12, 12] == 0


@pytest.mark.parametrize("size", [(37, 53), (16, 200)])
def test_a_guide_has_the_size_of_its_layer(size):
    guide = layer_guide(torch.ones(1, 1, *size), (size[0] // 16, size[1] // 16), 16, reach=70)
    assert guide.shape[-2:] == (size[0] // 16, size[1] // 16)
    torch.testing.assert_close(guide, torch.ones_like(guide))


def test_a_guided_gram_is_the_gram_of_what_is_guided():
    features = torch.randn(1, 5, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    guide = torch.zeros(1, 1, 8, 6, dtype=torch.float64)
    guide[..., :3] = 2  # half of the positions: mean 1
    torch.testing.assert_close(gram_matrix(features, guide=guide), gram_matrix(features[..., :3]))


# --- masks -----------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colors = np.zeros((6, 8, 3), np.float32)
    colors[:3] = (1, 0.5, 0)
    colors[3:, 4:] = 1
    save_picture("map.png", load_picture(colors))
    see_through = np.concatenate([np.ones((6, 8, 3), np.float32), np.zeros((6, 8, 1), np.float32)], axis=2)
    see_through[:2, :, 3] = 1
    save_picture("alpha.png", load_picture(see_through))
    save_picture("black.png", load_picture(np.zeros((6, 8, 3), np.float32)))
    save_picture("white.png", load_picture(np.ones((3, 8, 3), np.float32)))
    return load_picture(see_through)


def test_masks_are_brightness_transparency_or_a_color(files):
    top, corner = np.zeros((6, 8)), np.zeros((6, 8))
    top[:3], corner[3:, 4:] = 1, 1
    np.testing.assert_array_equal(read_mask("map.png#ff8000", files), top)
    np.testing.assert_array_equal(read_mask("not:map.png#FF8000", files), 1 - top)
    np.testing.assert_array_equal(read_mask("map.png", files) > 0.9, corner.astype(bool))
    for source in ("alpha.png", "alpha"):
        np.testing.assert_array_equal(read_mask(source, files), (np.arange(6) < 2)[:, None] * np.ones((6, 8)))
    assert (read_mask("not:black.png", files) == 1).all()
    assert mask_file("not:a#b/map.png#ff8000") == "a#b/map.png" and mask_file("sky.png") == "sky.png"


@pytest.mark.parametrize(
    "source,error,sentence",
    [
        ("white.png", ImageError, "white.png is 8x3 px and the photograph 8x6; expected a mask of its size."),
        ("black.png", ImageError, "black.png is empty; expected at least one white pixel."),
        ("map.png#0000ff", ImageError, "map.png#0000ff is empty; expected at least one white pixel"),
        ("map.png#blue", OptionError, "the color of a map is 'blue'; expected six digits, as in map.png#ff8000."),
        ("nowhere.png", ImageError, "nowhere.png"),
    ],
)
def test_bad_masks_are_one_sentence(files, source, error, sentence):
    with pytest.raises(error) as caught:
        read_mask(source, files)
    assert sentence in str(caught.value)


def test_alpha_of_an_opaque_photograph_is_refused(files):
    with pytest.raises(ImageError, match="the photograph has no transparency"):
        read_mask("alpha", load_picture("map.png"))


def test_notes_on_masks_are_told_once(files):
    """A mask with two frames, for two regions and the part that is kept; by optimization and in one pass."""
    frames = [Image.fromarray(np.full((6, 8), value, np.uint8)) for value in (255, 0)]
    frames[0].save("mask.gif", save_all=True, append_images=frames[1:])
    photo = np.zeros((6, 8, 3), np.float32)
    given = {"regions": [("mask.gif", "swirl")] * 2, "keep": "mask.gif"}
    for run in (
        impasto.stylize.start(photo, "swirl", **{**given, "keep": None}, encoder="compact", size=32, steps=1),
        impasto.apply.start("starry_night", photo, **given),
    ):
        told = [event.text for event in run if isinstance(event, Note)]
        assert told.count("mask.gif has 2 frames; only the first is read") == 1
