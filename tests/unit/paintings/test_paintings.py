"""The paintings that ship: what each file is, what is told of it, and that no frame is left around it."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from impasto import builtin_styles
from impasto.checkpoints import catalog
from impasto.paintings import paintings


def test_each_work_of_the_painter_has_a_picture_or_is_painted_by_code():
    """And it is told the same of both."""
    works = json.loads((catalog._SHIPPED / "painter.json").read_text())["works"]
    assert works.keys() == {*paintings(), *works.keys() & set(builtin_styles.names())}
    for name, one in paintings().items():
        assert works[name].startswith(f"{one.artist}, {one.title}")
        year = works[name].rpartition(", ")[2]
        assert year in one.year or not re.search(r"\d", year), name  # two works have none there


def test_files_are_those_of_the_catalog_and_small():
    folder = next(iter(paintings().values())).path.parent
    assert {path.stem for path in folder.glob("*.jpg")} == paintings().keys()
    assert sum(path.stat().st_size for path in folder.glob("*.jpg")) <= 1_500_000
    for one in paintings().values():
        with Image.open(one.path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB") and 350 < max(image.size) <= 512
        assert one.artist and one.title and re.search(r"\d{4}", one.year)
        assert one.license in ("public domain", "CC0") and one.source.startswith("https://")


@pytest.mark.parametrize("name", paintings())
def test_no_frame_and_no_margin_is_left(name):
    """A frame is a border of one color that is another one than that of the painting beside it."""
    pixels = np.asarray(Image.open(paintings()[name].path), np.float32) / 255
    for turned in (np.rot90(pixels, turns) for turns in range(4)):
        border, beside = turned[:3], turned[8:24]
        apart = np.abs(border.mean((0, 1)) - beside.mean((0, 1))).max()
        assert apart < 0.1 or border.std((0, 1)).max() > 0.05, name
