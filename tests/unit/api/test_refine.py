"""Optimizer steps after one pass: nearer to the style, at the size of the result, with the same masks and colors."""

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.errors import OptionError
from impasto.events import Done, Step

PHOTO = "examples/coffee.jpg"


@pytest.fixture(scope="module")
def photo():
    return Image.open(PHOTO).resize((160, 112))


@pytest.fixture(scope="module")
def plain(photo):
    return impasto.apply("painter", photo, style="mosaic")


def test_steps_bring_it_nearer_to_the_style(photo, plain):
    refined = impasto.apply("painter", photo, style="mosaic", refine=6)
    assert refined.size == photo.size
    losses = [impasto.score(result, photo, "mosaic", encoder="compact").style_loss for result in (plain, refined)]
    assert losses[1] < 0.8 * losses[0]


def test_each_step_is_an_event(photo):
    events = list(impasto.apply.start("painter", photo, style="mosaic", refine=2))
    assert [event.phase for event in events if isinstance(event, Step)] == ["optimize"] * 2
    assert isinstance(events[-1], Done) and events[-1].steps == 2


def test_what_is_kept_is_kept(photo):
    mask = np.zeros((112, 160), np.uint8)
    mask[:, :80] = 255
    refined = impasto.apply("painter", photo, style="mosaic", refine=2, keep=mask)
    difference = np.abs(np.asarray(refined).astype(int) - np.asarray(photo)).max(2)
    assert difference[:, :70].max() <= 1 < difference[:, 90:].mean()


def test_impossible_refinements_are_one_sentence(photo, tmp_path):
    with pytest.raises(OptionError, match=r"^refine paints one style; leave out --region or --refine\.$"):
        impasto.apply("painter", photo, style="mosaic", refine=2, regions=[(np.ones((112, 160)), "swirl")])
    with pytest.raises(OptionError, match=r"^refine needs a style image, but 'given' is a trained style "):
        impasto.apply("painter", photo, style=photo, refine=2)
