"""Files of impasto 0.1.0 still give what they gave: pictures, samples, measurements; see WRITTEN.json beside them."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.cli.main import main
from impasto.inference import sheets
from impasto.io.decode import load_picture
from impasto.reports.run_files import read_run

FOLDER = Path(__file__).parent / "old_files"
WRITTEN = json.loads((FOLDER / "WRITTEN.json").read_text())["files"]
OUTPUTS = [(name, output) for name, entry in WRITTEN.items() for output in entry.get("outputs", [])]
LABELS = {"reconstruction": "given back"}  # of rows in a sheet, as they were


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy, in which commands run as they did."""
    return shutil.copytree(FOLDER, tmp_path_factory.mktemp("golden") / "old_files")


@pytest.fixture(autouse=True)
def surroundings(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sheets, "drawn", as_before)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


drawn = sheets.drawn
STYLES = {"packed.safetensors": "0"}  # the style that version took if none was named


def as_before(sheet):
    """A sheet as one picture, with the labels of that version."""
    rows = [LABELS.get(row, row.replace("code, ", "").replace("values", "numbers")) for row in sheet.rows]
    return drawn(replace(sheet, rows=rows))


@pytest.mark.parametrize(
    ("name", "output"), OUTPUTS, ids=[f"{name}-{shlex.split(output['command'])[1]}" for name, output in OUTPUTS]
)
def test_an_old_file_gives_what_it_gave(name, output, tmp_path):
    words = shlex.split(output["command"])[1:]
    if name in STYLES:
        words[3:3] = ["--style", STYLES[name]]
    target = tmp_path / words[-1]
    assert main([*words[:-1], str(target), "--quiet"]) == 0
    if target.suffix == ".json":
        found = sorted(numbers(json.loads(target.read_text())))
        wanted = sorted(float(number) for number in output["numbers"] if number not in ("True", "False"))
        for number in wanted:  # the file may say more
            assert min(abs(number - one) for one in found) <= 1e-3 * max(1, abs(number)), number
        return
    pixels = 255 * load_picture(target).pixels.astype(np.float64)
    assert list(pixels.shape[1::-1]) == output["size"]
    assert pixels.mean() == pytest.approx(output["mean"], abs=0.5)
    assert pixels.std() == pytest.approx(output["deviation"], abs=0.5)
    np.testing.assert_allclose(parts(pixels), output["parts"], atol=1)


@pytest.mark.parametrize("name", [name for name, entry in WRITTEN.items() if "resumed" in entry])
def test_an_old_run_resumes_to_what_it_became(name, tmp_path):
    """The losses in the last line of its log are those of the old code, whatever they are called now."""
    wanted = WRITTEN[name]["resumed"]
    line = wanted["command"].replace("--judge", "--discriminator").replace("preset plane", "preset points2d")
    copy = shutil.copytree(FOLDER / name, tmp_path / "copy")
    assert main([str(copy) if word == "COPY" else word for word in shlex.split(line)[1:]] + ["--quiet"]) == 0
    last = json.loads((copy / "log.jsonl").read_text().splitlines()[-1])
    assert last["steps"] == int(line.partition("--steps ")[2].split()[0])
    assert read_run(copy).lines[0]["losses"].keys() == last["losses"].keys()  # one curve over old and new lines
    assert list(last["losses"].values()) == pytest.approx(list(wanted["losses"].values()), rel=1e-3)


def parts(pixels):
    """Means of all channels in a grid of 4 x 4."""
    bands = np.array_split(pixels, 4)
    return [[part.mean() for part in np.array_split(band, 4, axis=1)] for band in bands]


def numbers(value):
    """Yield all numbers in a JSON value."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_every_file_has_a_place_here():
    known = {name.rstrip("/") for name in WRITTEN} | {"WRITTEN.json", "a", "b", "bare.npz", "digits.npz", "input.png"}
    assert {path.name for path in FOLDER.iterdir()} <= known
