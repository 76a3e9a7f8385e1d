"""The command line: what is said where, with which exit code, and what lies on the disk afterwards.

Most of it runs `main` in this process, which imports torch once; what needs a process of its own has one.
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import impasto.api.contact_sheet  # before a test replaces `iter_stylize`
from impasto.api.stylize import checkpoint_path
from impasto.checkpoints.files import save_state
from impasto.cli.command import command_like, resuming, typed
from impasto.cli.main import main
from impasto.cli.progress import duration, report_bar, report_lines
from impasto.cli.score import GROUPS
from impasto.errors import ImageError, WeightsError
from impasto.events import Done, Saved, Started, Step
from impasto.io.embedded import read_metadata
from impasto.recipes.compact_encoder.options import CompressOptions
from impasto.style_transfer.options import PRESETS, QUALITIES, StylizeOptions

SMALL = ("--size", "48", "--steps", "2", "--polish", "0")
OWN_FLAGS = {
    *("--output", "--preview", "--contact-sheet", "--force", "--resume", "--preset", "--style"),
    *("--region", "--keep", "--quality"),
    *("--json", "--quiet", "--debug"),
}
FIELDS = {f"--{name.replace('_', '-')}" for name in StylizeOptions.model_fields}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where every test is: a photograph, a style, a text file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")  # help is not wrapped
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the same sums in every process
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    y, x = np.mgrid[:36, :48].astype(np.uint8)
    Image.fromarray(np.stack([x * 4, y * 6, x + y], -1)).save("photo.png")
    Image.fromarray(np.where((x // 4 % 2)[..., None], (220, 60, 20), (20, 60, 120)).astype(np.uint8)).save(
        "stripes.png"
    )
    Path("notes.txt").write_text("hello")
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def impasto(capfd):
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*words):
        capfd.readouterr()
        code = main([str(word) for word in words])
        return SimpleNamespace(code=code, **capfd.readouterr()._asdict())

    return run


def process(*words, **more):
    return subprocess.Popen([sys.executable, "-m", "impasto", *map(str, words)], text=True, **more)


def files():
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def size(path):
    with Image.open(path) as image:
        return image.size


# --- a run that needs no painting ----------------------------------------------------------------


def step(number, steps=4, remaining=1.0, size=(36, 48)):
    losses = {"content": 0.04, "style": 0.25, "tv": 0.0, "total": 0.29}
    return Step(
        step=number,
        steps=steps,
        phase="optimize",
        scale=1,
        scales=1,
        size=size,
        losses=losses,
        measures={"content": 0.25, "style": 0.5},
        seconds=float(number),
        remaining=remaining,
        image=lambda: None,
        state=lambda: ({}, {}),
    )


@pytest.fixture
def pretend(monkeypatch):
    """Put a stream of these events, or functions called in between, in the place of painting."""
    asked = SimpleNamespace(closed=False)

    def install(*events):
        def stream():
            try:
                for event in events:
                    if callable(event):
                        event()
                    else:
                        yield event
            finally:
                asked.closed = True

        def iter_stylize(content, style, options=None, **more):
            asked.content, asked.style, asked.options, asked.more = content, style, options, more
            return stream()

        monkeypatch.setattr("impasto.api.stylize.iter_stylize", iter_stylize)
        return asked

    return install


STARTED = Started("photo", ((36, 48, 4),))


# --- the front door ------------------------------------------------------------------------------

FRONT_DOOR = """
import sys
from impasto.cli.main import main
def heavy():
    return [name for name in ("torch", "numpy", "PIL") if name in sys.modules]
for words in (["--help"], ["--version"], ["stylize", "--help"], ["stylize", "--bogus"], ["encoders"]):
    main(words)
    sys.stderr.write(f"{words} {heavy()}\\n")
main(["styles"])
sys.stderr.write(f"styles {'torch' in sys.modules}\\n")
"""


def test_help_version_and_lists_load_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", FRONT_DOOR], capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if not line.startswith("impasto:")]
    assert len(said) == 6, done.stderr
    assert all(line.endswith(" []") for line in said[:5]), said
    assert said[5] == "styles False"


def test_version(impasto):
    assert re.fullmatch(r"impasto \d+\.\d+\.\d+\S*\n", impasto("--version").out)


def test_no_words_give_help(impasto):
    done = impasto()
    assert (done.code, done.err) == (0, "")
    assert all(command in done.out for command in ("stylize", "rerun", "score", "styles", "encoders"))


@pytest.mark.parametrize("command", ["stylize", "rerun"])
def test_help_shows_every_setting_and_nothing_else(impasto, command):
    done = impasto(command, "--help-all")
    shown = set(re.findall(r"^│ (--[a-z-]+)", done.out, re.MULTILINE))
    own = (
        OWN_FLAGS
        if command == "stylize"
        else {"--content", "--style", "--output", "--force", "--resume", "--quality", "--json", "--quiet", "--debug"}
    )
    assert shown == FIELDS | own


def test_help_shows_defaults_choices_and_descriptions(impasto):
    lines = {
        match[1]: match[0]
        for match in re.finditer(r"^│ (--[a-z-]+).*$", impasto("stylize", "--help-all").out, re.MULTILINE)
    }
    for name, field in StylizeOptions.model_fields.items():
        line = lines[f"--{name.replace('_', '-')}"]
        assert field.description.replace("`", "") in line
        if isinstance(field.default, int | float | str):
            assert (
                f"default {field.default:g}]" in line if not isinstance(field.default, str) else field.default in line
            )
        if get_origin(field.annotation) is Literal:
            assert all(choice in line for choice in get_args(field.annotation)), line
    assert "[16 or more; default 512]" in lines["--size"]
    assert "[more than 0, up to 1; default 0.4]" in lines["--step-decay"]
    assert "[1 to 1000; default 20]" in lines["--history"]
    assert all(preset in lines["--preset"] for preset in PRESETS)


def test_plain_help_shows_common_options_and_counts_the_others(impasto):
    done = impasto("stylize", "--help")
    shown = set(re.findall(r"^│ (--[a-z-]+)", done.out, re.MULTILINE))
    common = {"--size", "--strength", "--colors", "--content-weight", "--style-scale", "--minutes"}
    assert common | OWN_FLAGS <= shown and not {"--history", "--tv-weight", "--encoder"} & shown
    assert f"\n{len(FIELDS - shown)} more options: impasto stylize --help-all\n" in done.out
    everything = impasto("stylize", "photo.png", "--help-all")
    assert "more options" not in everything.out and "--history" in everything.out
    assert "--size" in everything.out.split("--color-map")[0]  # common ones come first in their group
    assert impasto("stylize", "--help").out == done.out


@pytest.mark.parametrize("command", ["apply", "sample", "evaluate", "rerun", "train vae", "train johnson"])
def test_each_command_has_a_short_and_a_whole_help(impasto, command):
    short, whole = (impasto(*command.split(), flag).out for flag in ("--help", "--help-all"))
    flags = [set(re.findall(r"^│ (--[a-z-]+)", text, re.MULTILINE)) for text in (short, whole)]
    assert flags[0] < flags[1]
    assert f"{len(flags[1] - flags[0])} more options: impasto {command} --help-all" in short
    assert "--help-all" not in whole


def test_help_all_where_nothing_is_left_out(impasto):
    assert impasto("score", "--help-all").out == impasto("score", "--help").out
    assert impasto("--help-all").out == impasto("--help").out


def test_every_setting_has_its_place_in_the_help(impasto):
    assert "─ More ─" not in impasto("stylize", "--help-all").out


# --- flags become options ------------------------------------------------------------------------


def other_value(name, field):
    """Return a value that is not the default, as it is typed and as it arrives."""
    special = {
        "style_weights": ("2,1", (2.0, 1.0)),
        "content_layers": ("relu3_2:0.5,relu4_2:1", {"relu3_2": 0.5, "relu4_2": 1.0}),
        "style_layers": ("relu1_1,relu2_1", {"relu1_1": 0.5, "relu2_1": 0.5}),
        "device": ("cpu", "cpu"),
        "style_loss": ("moments", "moments"),
        "minutes": ("5", 5.0),
        "feather": ("0.375", 0.375),
        "style_crop": ("0,0,1,0.5", "0,0,1,0.5"),
        "max_memory": ("5G", 5 * 10**9),
    }
    if name in special:
        return special[name]
    if get_origin(field.annotation) is Literal:
        choice = get_args(field.annotation)[-1] if field.default != get_args(field.annotation)[-1] else None
        return (choice or get_args(field.annotation)[0],) * 2
    if field.annotation is int:
        return str(field.default + 1), field.default + 1
    if field.annotation is float:
        return "0.625", 0.625 if name != "scale_factor" else None
    return "else.png", "else.png"


@pytest.mark.parametrize("without", ["motifs", "style_layers"])  # which cannot be given together
def test_each_flag_arrives_in_its_setting(impasto, pretend, without):
    asked = pretend(STARTED)
    words, expected = [], {without: StylizeOptions.model_fields[without].default}
    fields = {name: field for name, field in StylizeOptions.model_fields.items() if name != without}
    for name, field in fields.items():
        typed, value = ("1.5", 1.5) if name == "scale_factor" else other_value(name, field)
        words += [f"--{name.replace('_', '-')}", typed]
        expected[name] = value
    assert impasto("stylize", "photo.png", "stripes.png", *words).code == 0
    assert asked.options.model_dump() == expected
    assert all(expected[name] != field.default for name, field in fields.items())


def test_flags_win_over_the_preset_and_the_preset_over_defaults(impasto, pretend):
    asked = pretend(STARTED)
    name, preset = next((name, preset) for name, preset in PRESETS.items() if "steps" in preset and len(preset) > 1)
    assert impasto("stylize", "photo.png", "stripes.png", "--preset", name, "--steps", "7").code == 0
    assert asked.options == StylizeOptions(**{**preset, "steps": 7})


@pytest.mark.parametrize("quality", QUALITIES)
def test_qualities(impasto, pretend, quality):
    asked = pretend(STARTED)
    assert impasto("stylize", "photo.png", "stripes.png", "--quality", quality, "--size", "300").code == 0
    assert asked.options == StylizeOptions(**{**QUALITIES[quality], "size": 300})


def test_rerun_in_another_quality(impasto):
    words = ("--steps", "2", "--size", "48")
    assert impasto("stylize", "photo.png", "stripes.png", "--quality", "draft", "--size", "48").code == 0
    assert impasto("rerun", "photo_stripes.png", "-o", "again.png", "--quality", "best", *words).code == 0
    settings = [read_metadata(path)["options"] for path in ("photo_stripes.png", "again.png")]
    assert StylizeOptions(**settings[0]) == StylizeOptions(**QUALITIES["draft"], size=48)
    assert StylizeOptions(**settings[1]) == StylizeOptions(**{**QUALITIES["best"], "size": 48, "steps": 2})


def test_folders_of_an_output_are_made(impasto):
    done = impasto("stylize", "photo.png", "stripes.png", *SMALL, "-o", "new/deep/out.jpg", "--preview", "b/c/now.jpg")
    assert (done.code, done.out) == (0, "new/deep/out.jpg\n"), done.err
    assert Path("b/c/now.jpg").is_file()
    assert impasto("apply", "starry_night", "photo.png", "-o", "more/").out == "more/photo_starry_night.png\n"
    assert impasto("styles", "swirl", "--size", "64", "-o", "styles/a/swirl.png").out == "styles/a/swirl.png\n"
    high_pass = impasto("score", "new/deep/out.jpg", "--high-pass", "measured/fine.png")
    assert high_pass.code == 0 and Path("measured/fine.png").is_file()


def test_what_stylize_hands_on(impasto, pretend):
    asked = pretend(STARTED)
    words = (
        "--add-style",
        "swirl:3",
        "--add-style",
        "b.png",
        "-o",
        "out.jpg",
        "--preview",
        "now.jpg",
        "--force",
        "--resume",
        "--region",
        "sky.png",
        "mosaic",
        "--region",
        "not:map.png#ff0000",
        "c.png",
        "--keep",
        "alpha",
    )
    assert impasto("stylize", "photo.png", "swirl", *words).code == 0
    assert (asked.content, asked.style) == (Path("photo.png"), ["swirl", "swirl:3", "b.png"])
    assert asked.more == {
        "output": Path("out.jpg"),
        "preview": Path("now.jpg"),
        "force": True,
        "resume": True,
        "regions": (("sky.png", "mosaic"), ("not:map.png#ff0000", "c.png")),
        "keep": "alpha",
    }


def test_names_that_look_like_flags_come_after_two_dashes(impasto, pretend):
    asked = pretend(STARTED)
    Path("photo.png").rename("-photo.png")
    assert impasto("stylize", "--", "-photo.png", "stripes.png").code == 0
    assert asked.content == Path("-photo.png")


# --- bad input -----------------------------------------------------------------------------------

BAD_INPUT = {
    "stylize photo.png": "stylize needs one or more photographs, then a style",
    "stylize missing.png stripes.png": "missing.png does not exist",
    "stylize photo.png missing.png": "missing.png",
    "stylize notes.txt stripes.png": "notes.txt is not a picture",
    "stylize photo.png notes.txt": "notes.txt is not a picture",
    "stylize photo.png swril": "Did you mean 'swirl'?",
    "stylize photo.png swirl:x": "expected a whole number",
    "stylize photo.png stary-night": "Did you mean 'starry_night'?",
    "stylize photo.png --style starry_night:much": "the weight of a style is 'much'; expected a number",
    "stylize photo.png --style swirl:0.5 --style mosaic --style-weights 2,1": "leave out one of them",
    "stylize photo.png swirl --region photo.png swirl:-1.0,mosaic:1": "expected 0 or more each",
    "stylize --style swirl": "stylize needs one or more photographs, then a style",
    "stylize photo.png --region photo.png swirl": "stylize needs one or more photographs, then a style",
    "stylize photo.png stripes.png --size -3": "expected 16 or more",
    "stylize photo.png stripes.png --size abc": "size is 'abc'; expected a whole number",
    "stylize photo.png stripes.png --size": "--size requires an argument",
    "stylize photo.png stripes.png --size 48 --size 64": "--size specified multiple times",
    "stylize photo.png stripes.png --bogus": "--bogus",
    "stylize photo.png stripes.png --style-wieght 2": "Did you mean --style-weight?",
    "stylize photo.png stripes.png --colors red": "expected 'style', 'luminance' or 'match'",
    "stylize photo.png stripes.png --style-weights 2,1": "2 style_weights for 1 styles",
    "stylize photo.png stripes.png --style-weights 2,x": "expected a number",
    "stylize photo.png stripes.png --style-layers relu1_1:x": "expected names with weights",
    "stylize photo.png stripes.png --preset gatsy": "Did you mean 'gatys'?",
    "stylize photo.png stripes.png --quality godo": "Did you mean 'good'?",
    "stylize photo.png stripes.png --quality draft --preset gatys": "the preset gatys decides its quality itself",
    "train encoder": "encoder needs pictures; pictures is missing, expected folders of photographs",
    "train encoder missing": "missing does not exist",
    "train encoder . --picture 3": "Did you mean --pictures?",
    "train encoder . --size 8": "size is 8; expected 32 or more.",
    "train encoder . -o notes.txt": "notes.txt is a file; expected a folder",
    "train encoder . --teacher vgg20": "Did you mean 'vgg19'?",
    "train encoder . --resume": "an encoder is fitted in a few minutes",
    "train vea": 'Did you mean "vae"?',
    "train vae one two": "'two' is one input too many; expected impasto train vae [IMAGES] [OPTIONS].",
    "train vae missing": "missing",
    "train vae --preset bta": "'bta' is not the name of a preset. Known: default.",
    "train gan --preset stabilised": "Did you mean 'stabilized'?",
    "train gan --stps 3": "Did you mean --steps?",
    "train vae --steps 0": "steps is 0; expected 1 or more.",
    "train johnson stripes.png . --steps 3 --budget 1m": "steps and budget are given; expected one of them",
    "train vae --epochs 2 --steps 3": "steps and epochs are given; expected one of them",
    "train vae . --resume": "there is no run to resume in vae; run without --resume.",
    "train vae . -o notes.txt": "notes.txt is a file; expected a folder for the run.",
    "train johnson": "johnson needs style and photos; style is missing, expected the style image",
    "train johnson stripes.png": "johnson needs style and photos; photos is missing, expected folders of photographs",
    "train johnson missing.png .": "missing.png does not exist",
    "train cyclegan --a .": "cyclegan needs a and b; b is missing",
    "train cyclegan .": "'.' is one input too many; expected impasto train cyclegan --a FOLDER --b FOLDER [OPTIONS].",
    "train pix2pix": "pix2pix needs pairs: --pairs FOLDER, or --a FOLDER --b FOLDER",
    "stylize photo.png stripes.png --encoder vgg20": "Did you mean 'vgg19'?",
    "stylize photo.png stripes.png --resume": "there is no interrupted run",
    "stylize photo.png stripes.png -o notes.txt": "notes.txt",
    "stylize photo.png stripes.png --size 48 --steps 1 -o out.xyz": "out.xyz names no format",
    "stylize photo.png stripes.png --size 48 --steps 1 -o notes.txt/out.png": "notes.txt is a file; expected a folder",
    "stylize photo.png stripes.png -o stripes.png": "stripes.png exists already",
    "stylize photo.png photo.png stripes.png": "would both be written to photo_stripes.png",
    "stylize photo.png stripes.png swirl -o notes.txt": "notes.txt is a file; expected a folder",
    "stylize photo.png stripes.png --strength 1.5": "strength is 1.5; expected 1 or less",
    "stylize photo.png stripes.png --strength -0.1": "strength is -0.1; expected 0 or more",
    "stylize photo.png stripes.png --max-memory 1M": "max_memory is 1M, but 512x384 px need",
    "stylize photo.png stripes.png --max-memory much": "expected a size like 4G",
    "stylize photo.png stripes.png --feather 2": "feather is 2; expected 0.5 or less",
    "stylize photo.png stripes.png --keep missing.png": "missing.png does not exist",
    "stylize photo.png stripes.png --keep alpha": "the photograph has no transparency",
    "stylize photo.png stripes.png --region notes.txt swirl": "notes.txt is not a picture",
    "stylize photo.png stripes.png --region photo.png#12 swirl": "the color of a map is '12'; expected six digits",
    "stylize photo.png stripes.png --region photo.png#123456 swirl": "photo.png#123456 is empty",
    "stylize photo.png stripes.png --region stripes.png": "--region",
    "stylize photo.png stripes.png --region photo.png swril": "Did you mean 'swirl'?",
    "stylize photo.png stripes.png --keep photo.png --contact-sheet": "--contact-sheet takes no regions",
    "stylise photo.png stripes.png": 'Did you mean "stylize"?',
    "rerun photo.png": "photo.png does not carry the settings of a run",
    "rerun missing.png": "missing.png",
    "rerun": "rerun needs PICTURE; see impasto rerun --help.",
    "sample": "sample needs MODEL; see impasto sample --help.",
    "sample one two": "'two' is one word too many; see impasto sample --help.",
    "sample nothing": "'nothing' is not the name of a network or of a style.",
    "apply": "apply needs a model, then one or more pictures or videos: impasto apply MODEL INPUT...",
    "apply painter": "apply needs a model, then one or more pictures or videos",
    "apply paintr photo.png": "Did you mean 'painter'?",
    "apply stary_night photo.png": "Did you mean 'starry_night'?",
    "apply painter photo.png": "painter has 32 styles; choose one with --style, such as adele_bloch_bauer, ",
    "apply painter photo.png --style swril": "Did you mean 'swirl'?",
    "apply stripes.png photo.png": "to paint in its style: impasto apply painter PHOTO --style stripes.png.",
    "evaluate": "evaluate needs MODEL",
    "report .": "there is no run in .",
    "score photo.png": "photo.png does not carry the settings of a run",
    "score photo.png --content photo.png --style stripes.png --encoder vgg20": "Did you mean 'vgg19'?",
    "styles swril": "Did you mean 'swirl'?",
    "styles swirl --size 3": "expected 16 or more",
    "styles swirl -o stripes.png": "stripes.png exists already",
    "encoders vgg19": "'vgg19' is one word too many; see impasto encoders --help.",
}


@pytest.mark.parametrize("line", BAD_INPUT)
def test_bad_input_is_one_sentence_and_exit_code_2(impasto, line):
    before, paths = {name: Path(name).read_bytes() for name in files()}, sorted(Path().rglob("*"))
    done = impasto(*line.split())
    assert done.code == 2, done.err
    assert done.out == ""
    assert re.fullmatch(r"impasto: [^\n]+\n", done.err), done.err  # one line, and no run had begun
    assert BAD_INPUT[line] in done.err
    assert {name: Path(name).read_bytes() for name in files()} == before
    assert sorted(Path().rglob("*")) == paths  # no empty folder either


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(28, "No space left on device", "out.png"), 1, "out.png cannot be used: No space left on device."),
        (WeightsError("the weights are damaged."), 1, "the weights are damaged."),
        (ImageError("odd.png is odd."), 2, "odd.png is odd."),
        (MemoryError(), 1, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "not enough memory"),
        (RuntimeError("a bug"), 1, "unexpected RuntimeError: a bug"),
    ],
)
def test_what_goes_wrong_on_the_way(impasto, pretend, error, code, words):
    def fail():
        raise error

    pretend(STARTED, fail)
    done = impasto("stylize", "photo.png", "stripes.png", "--quiet")
    assert done.code == code
    assert done.err.startswith("impasto: ") and words in done.err and done.err.count("\n") == 1
    debugged = impasto("stylize", "photo.png", "stripes.png", "--quiet", "--debug")
    assert debugged.code == code
    assert debugged.err.startswith("Traceback") and debugged.err.endswith(done.err)


# --- painting ------------------------------------------------------------------------------------


def test_regions_are_painted_repeated_and_checked(impasto):
    left = np.zeros((36, 48), np.uint8)
    left[:, :20] = 255
    Image.fromarray(left).save("left.png")
    Image.fromarray(255 - left[:, ::-1]).save("right.png")
    words = ("--region", "left.png", "photo.png", "--keep", "not:right.png", "--feather", "0", *SMALL)
    done = impasto("stylize", "photo.png", "stripes.png", *words, "-o", "out.png")
    assert (done.code, done.out) == (0, "out.png\n"), done.err
    assert "photo, region 1 of 2, the rest: " in done.err and "region 2 of 2, photo in left.png: " in done.err
    assert np.array_equal(pixels("out.png")[:, 28:], pixels("photo.png")[:, 28:])
    assert not np.array_equal(pixels("out.png")[:, :20], pixels("photo.png")[:, :20])
    assert impasto("rerun", "out.png").code == 0
    assert np.array_equal(pixels("out-rerun.png"), pixels("out.png"))
    Image.fromarray(left[::-1]).resize((48, 30)).save("left.png")
    changed = impasto("rerun", "out.png", "--force")
    assert changed.code == 2 and "left.png has changed since out.png was written; restore it.\n" in changed.err


def test_train_encoder_and_paint_with_it(impasto):
    Path("pictures").mkdir()
    for name in ("photo.png", "stripes.png"):
        Path("pictures", name).write_bytes(Path(name).read_bytes())
    words = ("train", "encoder", "pictures", "-o", "mine", "--pictures", "2", "--size", "32")
    done = impasto(*words, "--width", "0.1", "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [event["step"] for event in events if event.get("phase") == "fit"] == list(range(1, 16))
    assert events[-1] == {"event": "saved", "path": "mine/model.safetensors", "kind": "result"}
    again = impasto(*words)
    assert again.code == 2 and "model.safetensors exists already; pass --force" in again.err
    assert impasto("stylize", "photo.png", "stripes.png", "--encoder", "mine", *SMALL).code == 0
    assert size("photo_stripes.png") == (48, 36)
    told = impasto(*words, "--width", "0.1", "--force")
    assert (told.code, told.out) == (0, "mine/model.safetensors\n")
    assert "15/15 conv5_4: missed" in told.err


@pytest.mark.parametrize("name", CompressOptions.model_fields)
def test_help_of_train_encoder_shows_every_setting(impasto, name):
    assert f"--{name.replace('_', '-')}" in impasto("train", "encoder", "--help-all").out


def test_stylize_rerun_and_score(impasto):
    done = impasto("stylize", "photo.png", "stripes.png", *SMALL)
    assert (done.code, done.out) == (0, "photo_stripes.png\n")
    assert "2 steps at 48×36" in done.err
    assert size("photo_stripes.png") == (48, 36)
    first = Path("photo_stripes.png").read_bytes()

    again = impasto("stylize", "photo.png", "stripes.png", *SMALL)
    assert again.code == 2 and "exists already" in again.err
    forced = impasto("stylize", "photo.png", "stripes.png", *SMALL, "--force", "--quiet")
    assert (forced.code, forced.out, forced.err) == (0, "photo_stripes.png\n", "")
    assert Path("photo_stripes.png").read_bytes() == first

    repeated = impasto("rerun", "photo_stripes.png")
    assert (repeated.code, repeated.out) == (0, "photo_stripes-rerun.png\n")
    assert np.array_equal(pixels("photo_stripes-rerun.png"), pixels("photo_stripes.png"))
    assert impasto("rerun", "photo_stripes.png").code == 2  # is there by now
    changed = impasto("rerun", "photo_stripes.png", "-o", "other.png", "--size", "64")
    assert (changed.code, changed.out) == (0, "other.png\n")
    assert size("other.png") == (64, 48)

    measured = impasto("score", "photo_stripes.png", "--high-pass", "fine.png")
    assert measured.code == 0 and measured.err == ""
    assert "ssim" in measured.out and measured.out.endswith("\nfine.png\n")
    assert size("fine.png") == (48, 36)
    numbers = json.loads(impasto("score", "photo_stripes.png", "--json").out)
    itself = json.loads(impasto("score", "photo.png", "--content", "photo.png", "--style", "stripes.png", "--json").out)
    assert 0 < numbers["ssim"] < 1 and itself["ssim"] == pytest.approx(1)
    assert f"{numbers['style_loss']:.4f}" in measured.out
    lines = [line.rstrip() for line in measured.out.splitlines()]
    assert [line for line in lines if line in GROUPS] == ["Style", "Subject", "Color", "Artifacts"]
    assert {name for group in GROUPS.values() for name in group} == set(numbers)  # all that JSON has


def test_json_is_all_there_is_on_stdout(impasto):
    done = impasto("stylize", "photo.png", "swirl:2", *SMALL, "--json", "--preview", "now.jpg", "-o", "out.png")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [event["event"] for event in events if event.get("kind") != "preview"] == [
        *("started", "step", "step", "saved", "done")
    ]
    assert events[0]["scales"] == [[36, 48, 2]]
    assert {"event": "saved", "path": "out.png", "kind": "result"} in events
    assert size("now.jpg") == (48, 36)


def test_a_folder_is_painted_whole_and_one_bad_picture_stops_nobody(impasto):
    Path("in").mkdir()
    for name in ("in/a.png", "in/c.png"):
        Path(name).write_bytes(Path("photo.png").read_bytes())
    Path("in/b.png").write_text("hello")
    done = impasto(
        "stylize", "in", "stripes.png", "--add-style", "photo.png", "--style-weights", "2,1", *SMALL, "-o", "out"
    )
    assert done.code == 1
    assert done.out.splitlines() == [str(Path("out/a_stripes.png")), str(Path("out/c_stripes.png"))]
    assert np.array_equal(pixels("out/a_stripes.png"), pixels("out/c_stripes.png"))
    assert "b.png is not a picture" in done.err and "Traceback" not in done.err

    Path("in/b.png").unlink()
    rest = impasto("stylize", "in", "stripes.png", *SMALL, "-o", "out")
    assert (rest.code, rest.out) == (2, "")  # every one is there already
    resumed = impasto("stylize", "in", "stripes.png", *SMALL, "-o", "out", "--resume")
    assert (resumed.code, resumed.out) == (0, "")
    assert resumed.err.count("is already finished") == 2


@pytest.mark.parametrize("form", ["--json", ""])
def test_what_a_folder_holds_besides_is_said(impasto, form):
    Path("in").mkdir()
    Path("in/a.png").write_bytes(Path("photo.png").read_bytes())
    Path("in/IMG_2.HEIC").write_bytes(b"")
    text = "1 file is left out (IMG_2.HEIC): HEIC needs pip install 'impasto[heic]'"
    done = impasto("stylize", "in", "stripes.png", *SMALL, "-o", "out", *filter(None, [form]))
    said = [json.loads(line) for line in done.out.splitlines()][0]["text"] if form else done.err.splitlines()[0]
    assert done.code == 0 and said == text


def test_a_bad_style_is_said_once_for_a_folder(impasto):
    Path("in").mkdir()
    for name in ("in/a.png", "in/c.png"):
        Path(name).write_bytes(Path("photo.png").read_bytes())
    done = impasto("stylize", "in", "notes.txt")
    assert done.code == 2
    assert done.err.count("\n") == 1 and "notes.txt is not a picture" in done.err


def test_contact_sheet_prints_the_command_of_each_preview(impasto, monkeypatch):
    monkeypatch.setattr("impasto.api.contact_sheet._STYLE_SCALES", (0.5,))
    words = ("stylize", "photo.png", "stripes.png", *SMALL)
    done = impasto(*words, "--contact-sheet", "--content-weight=0.2", "-o", "sheet.png")
    assert (done.code, done.out) == (0, "sheet.png\n"), done.err
    width, height = size("sheet.png")
    assert height > width  # three rows, one column
    commands = [line for line in done.err.splitlines() if line.startswith("impasto ")]
    assert commands == [
        f"impasto {' '.join(words)} --content-weight {weight} --style-scale 0.5" for weight in ("0.0625", "0.2", "0.5")
    ]
    assert impasto(*commands[0].split()[1:]).out == "photo_stripes.png\n"
    assert read_metadata("photo_stripes.png")["options"]["content_weight"] == 0.0625
    quiet = impasto(*words, "--contact-sheet", "--quiet", "--content-weight", "0")
    assert (quiet.code, quiet.out, quiet.err) == (0, "photo_stripes-sheet.png\n", "")


def test_a_folder_as_output_takes_the_made_up_name(impasto, pretend):
    asked = pretend(STARTED)
    Path("out").mkdir()
    impasto("stylize", "photo.png", "swirl:7", "-o", "out")
    assert asked.more["output"] == Path("out/photo_swirl-7.png")


# --- lists ---------------------------------------------------------------------------------------


def test_styles_are_listed_and_painted(impasto, monkeypatch):
    listed = impasto("styles")
    names = {row["name"] for row in json.loads(impasto("styles", "--json").out)}
    assert listed.code == 0 and listed.err == "" and "swirl" in names
    assert all(name in listed.out for name in names)
    painted = impasto("styles", "swirl", "--size", "48", "--seed", "3")
    assert (painted.code, painted.out) == (0, "swirl.png\n")
    assert max(size("swirl.png")) == 48
    impasto("styles", "swirl", "--size", "48", "-o", "zero.png")
    assert not np.array_equal(pixels("swirl.png"), pixels("zero.png"))
    monkeypatch.setattr(
        "impasto.builtin_styles.paint", lambda name, *size: np.zeros((8, 8, 3), np.float32)
    )  # in no time
    every = impasto("styles", "--all", "-o", "all")
    assert every.code == 0
    assert (
        {Path(line).stem for line in every.out.splitlines()} == names == {path.stem for path in Path("all").iterdir()}
    )


def test_encoders_say_where_their_weights_are(impasto, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", "home")
    rows = {row["name"]: row for row in json.loads(impasto("encoders", "--json").out)}
    assert rows["vgg19-torchvision"]["weights"] == "downloaded when used"
    Path("home").mkdir()
    Path("home/vgg19-dcbb9e9d.pth").touch()
    shown = impasto("encoders")
    line = next(line for line in shown.out.splitlines() if line.startswith("vgg19-torchvision"))
    assert "on disk" in line and "BSD-3-Clause" in line and "575 MB" in line


# --- being interrupted ---------------------------------------------------------------------------


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_run_after_the_step(impasto, pretend, number):
    asked = pretend(STARTED, step(1), send(number), step(2), step(3))
    before = signal.getsignal(number)
    done = impasto("stylize", "photo.png", "stripes.png", "--json")
    assert done.code == 130 and asked.closed
    assert [json.loads(line).get("step") for line in done.out.splitlines()] == [None, 1, 2]
    assert signal.getsignal(number) is before


def test_an_interrupted_folder_does_not_begin_the_next(impasto, pretend):
    asked = pretend(STARTED, step(1), send(signal.SIGINT), step(2), step(3))
    Path("b.png").write_bytes(Path("photo.png").read_bytes())
    assert impasto("stylize", "b.png", "photo.png", "stripes.png").code == 130
    assert asked.content == Path("b.png")


def test_a_signal_in_the_last_moment_keeps_the_result(impasto, pretend):
    written = Path("out.png").touch
    pretend(STARTED, step(1), send(signal.SIGINT), written, Saved(Path("out.png"), "result"), Done(None, 1, 1.0))
    done = impasto("stylize", "photo.png", "stripes.png", "-o", "out.png")
    assert (done.code, done.out) == (130, "out.png\n")
    assert "--resume" not in done.err


TWICE = """
import os, signal, sys, time, types
from pathlib import Path
from impasto.events import Started, Step
def events(*words, **more):
    try:
        yield Started("photo", ((36, 48, 4),))
        os.kill(os.getpid(), signal.SIGINT)
        yield Step(1, 4, 1, 1, (36, 48), {}, 0.0, None, None, None)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(50)  # saves, and saves
fake = types.ModuleType("impasto.api.stylize")
fake.iter_stylize, fake.checkpoint_path, fake.default_output = events, Path, lambda *names: Path("out.png")
import impasto.api
sys.modules["impasto.api.stylize"] = impasto.api.stylize = fake
from impasto.cli.main import main
sys.exit(main(["stylize", "photo.png", "stripes.png"]))
"""


def test_a_second_signal_ends_at_once():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=40)
    assert done.returncode == 130, done.stderr
    assert done.stderr.count("Ctrl-C again ends at once") == 1 and "Traceback" not in done.stderr


def test_an_interrupted_run_resumes_to_the_same_bytes(impasto):
    words = ("stylize", "photo.png", "stripes.png", "--size", "48", "--steps", "60")
    with process(*words, "-o", "broken.png", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        for line in run.stdout:
            if json.loads(line).get("step") == 3:
                break
        run.send_signal(signal.SIGINT)
        rest, said = run.communicate(timeout=60)
    assert run.returncode == 130 and said == ""
    kinds = {event["kind"]: event["path"] for event in map(json.loads, rest.splitlines()) if event["event"] == "saved"}
    assert kinds == {"result": "broken.png", "checkpoint": str(checkpoint_path("broken.png"))}
    unfinished = Path("broken.png").read_bytes()

    assert impasto(*words, "-o", "broken.png").code == 2  # not without being told to
    resumed = impasto(*words, "-o", "broken.png", "--resume", "--quiet")
    assert (resumed.code, resumed.out, resumed.err) == (0, "broken.png\n", "")
    assert impasto(*words, "-o", "whole.png", "--quiet").code == 0
    assert Path("broken.png").read_bytes() == Path("whole.png").read_bytes() != unfinished
    assert not checkpoint_path("broken.png").exists()


KILLED = """
import sys, time
from impasto.api import stylize
from impasto.cli.main import main

save = stylize._save_checkpoint
stylize._save_checkpoint = lambda *words: (save(*words), time.sleep(0.2))  # so that it does not run ahead
stylize.CHECKPOINT_SECONDS = stylize._SHARE = 0  # after every step
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_killed_run_resumes_to_the_same_bytes(impasto):
    words = ("stylize", "photo.png", "stripes.png", "--size", "48", "--steps", "20", "--preview", "so-far.png")
    command = [sys.executable, "-c", KILLED, *words, "-o", "broken.png", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if json.loads(line).get("step") == 5:
                break
        run.kill()
    assert checkpoint_path("broken.png").exists() and not Path("broken.png").exists()
    again = impasto(*words, "-o", "broken.png")
    assert again.code == 2 and "pass --force to start anew, or --resume to continue" in again.err
    resumed = impasto(*words, "-o", "broken.png", "--resume", "--quiet")
    assert (resumed.code, resumed.out, resumed.err) == (0, "broken.png\n", "")
    assert impasto(*words[:-2], "-o", "whole.png", "--quiet").code == 0
    assert Path("broken.png").read_bytes() == Path("whole.png").read_bytes()
    assert not checkpoint_path("broken.png").exists() and not list(Path().glob(".impasto-*"))


def test_a_resumed_run_overwrites_no_other_picture(impasto):
    words = ("stylize", "photo.png", "stripes.png", "--size", "48", "--steps", "20", "-o", "out.png", "--quiet")
    save_state(checkpoint_path("out.png"), {}, {"record": {}})
    Path("out.png").write_bytes(Path("stripes.png").read_bytes())
    done = impasto(*words, "--resume")
    assert done.code == 2 and "out.png exists already; pass --force" in done.err
    assert Path("out.png").read_bytes() == Path("stripes.png").read_bytes()


def test_where_an_interrupted_run_is_kept_is_said(impasto, pretend, monkeypatch):
    from impasto.api import stylize

    def keep():
        Path("out.png").touch()
        save_state(checkpoint_path("out.png"), {}, {"record": {}})

    iter_stylize = stylize.iter_stylize
    pretend(STARTED, step(1), send(signal.SIGINT), keep, step(2), step(3))
    done = impasto("stylize", "photo.png", "stripes.png", "-o", "out.png")
    assert (done.code, done.out) == (130, "out.png\n")
    assert "interrupted; to continue: impasto stylize photo.png stripes.png -o out.png --resume\n" in done.err
    monkeypatch.setattr(stylize, "iter_stylize", iter_stylize)
    again = impasto("stylize", "photo.png", "stripes.png", "-o", "out.png")
    assert again.code == 2 and again.err == (
        "impasto: out.png is of an interrupted run; pass --force to start anew, or --resume to continue: "
        "impasto stylize photo.png stripes.png -o out.png --resume\n"
    )


def test_commands_like_the_one_that_was_typed():
    typed(["stylize", "my photo.jpg", "swirl", "--force", "--size=64", "-o", "a.png", "--", "-b.png"])
    assert resuming() == "impasto stylize 'my photo.jpg' swirl --size=64 -o a.png --resume -- -b.png"
    other = command_like({"--size": "32"}, without=["-o=", "--output="])
    assert other == "impasto stylize 'my photo.jpg' swirl --force --size 32 -- -b.png"
    typed(["train", "vae", "--resume"])
    assert resuming() == "impasto train vae --resume"


@pytest.mark.parametrize("words", [("encoders",), ("encoders", "--json")])
def test_a_reader_that_leaves_is_no_error(words):
    with process(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.close()
        assert run.wait(timeout=30) == 1
        assert run.stderr.read() == ""


# --- what is shown on the way --------------------------------------------------------------------


def shown(events, width=120):
    screen = io.StringIO()
    with report_bar(Console(file=screen, force_terminal=True, width=width, color_system=None)) as report:
        for event in events:
            report(event)
    return screen.getvalue()


def test_the_bar_shows_percent_size_losses_and_time_left():
    started = Started("photo", ((36, 48, 4),), memory=1_200_000_000, seconds=95.0)
    text = shown([started, *(step(number, remaining=95.0) for number in (1, 2, 3, 4)), Done(None, 4, 61.0)])
    assert "photo: 4 steps at 48×36, about 2 min, 1.2 GB\n" in text
    assert "100 %" in text and "scale 1/1, 48×36" in text and "style 0.5 content 0.25, 2 min left" in text
    assert "4 steps in 1 min" in text


def test_a_long_run_names_a_quicker_way():
    text = shown([Started("photo", ((384, 512, 100),), seconds=2400.0)])
    assert "about 40 min; --size 384 or --minutes 5 is quicker\n" in text
    assert "quicker" not in shown([Started("photo", ((384, 512, 100),), seconds=500.0)])


def test_without_a_terminal_there_is_a_line_now_and_then(capfd, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("impasto.cli.progress.time.monotonic", lambda: clock.now)
    with report_lines() as report:
        report(STARTED)
        for number in range(1, 8):
            clock.now += 4.0
            report(step(number, 7))
        report(Done(None, 7, 28.0))
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split(",")[0] for line in err.splitlines()] == [
        *("photo: 4 steps at 48×36", "43 %", "86 %", "7 steps in 28 s")
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min"), (150, "2 min"), (4800, "1 h 20 min"), (3600, "1 h 0 min")]
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text
