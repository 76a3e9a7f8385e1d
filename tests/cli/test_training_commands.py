"""Commands that train, and what their folders are good for: names, resume, runs that were stopped, errors."""

import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from bars import bars
from impasto.cli.main import main
from impasto.events import Step

TINY = ("--steps", "3", "--batch", "4", "--device", "cpu", "--precision", "float32", "--save-seconds", "1000")
VAE = ("--hidden", "8", "--latent", "2", "--importance-samples", "0", *TINY)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where every test is: labeled pictures in a file, and a photograph."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    pictures, labels = bars(40)
    np.savez("bars.npz", images=pictures[:, 0].numpy(), labels=labels.numpy())
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save("photo.png")
    return tmp_path


@pytest.fixture
def impasto(capfd):
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*words):
        capfd.readouterr()
        code = main([str(word) for word in words])
        return SimpleNamespace(code=code, **capfd.readouterr()._asdict())

    return run


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C at the second step of a training."""

    def install():
        from impasto.api import train

        whole = train.iter_train

        def stopped(*words, **named):
            for event in whole(*words, **named):
                if isinstance(event, Step) and event.step == 2:
                    os.kill(os.getpid(), signal.SIGINT)
                yield event

        monkeypatch.setattr(train, "iter_train", stopped)
        return lambda: monkeypatch.setattr(train, "iter_train", whole)

    return install


def weights(folder):
    from safetensors.torch import load_file

    return load_file(Path(folder) / "model.safetensors")


def test_a_run_has_the_name_of_method_and_data_and_the_next_one_a_number(impasto):
    assert impasto("train", "vae", "bars.npz", *VAE).out == "vae-bars/model.safetensors\n"
    assert impasto("train", "vae", "bars.npz", *VAE).out == "vae-bars-2/model.safetensors\n"
    again = impasto("train", "vae", "bars.npz", *VAE, "-o", "vae-bars")
    assert again.code == 2 and "vae-bars is not empty; --resume" in again.err and "--force" in again.err
    assert impasto("train", "vae", "bars.npz", *VAE, "-o", "vae-bars", "--force", "--quiet").err == ""


def test_an_interrupted_training_goes_on_in_the_newest_folder(impasto, interrupted):
    assert impasto("train", "vae", "bars.npz", *VAE, "-o", "whole").code == 0
    assert impasto("train", "vae", "bars.npz", *VAE).code == 0
    restore = interrupted()
    stopped = impasto("train", "vae", "bars.npz", *VAE)
    restore()
    assert (stopped.code, stopped.out) == (130, "vae-bars-2\n")
    command = f"impasto train vae bars.npz {' '.join(VAE)} --resume\n"
    assert f"interrupted; to continue: {command}" in stopped.err
    assert not Path("vae-bars-2/model.safetensors").exists()
    for more in ((), ("-o", "vae-bars-2")):
        again = impasto("train", "vae", "bars.npz", *VAE, *more)
        told = "vae-bars-2 holds a training that has not ended; pass --force to start anew, or --resume to continue: "
        like = command.replace("--resume", " ".join((*more, "--resume")))
        assert again.code == 2 and again.err == f"impasto: {told}{like}"
    assert impasto("train", "vae", "bars.npz", *VAE, "--force").out == "vae-bars-3/model.safetensors\n"
    shutil.rmtree("vae-bars-3")
    resumed = impasto("train", "vae", "bars.npz", *VAE, "--resume")
    assert (resumed.code, resumed.out) == (0, "vae-bars-2/model.safetensors\n")
    ours, theirs = weights("whole"), weights("vae-bars-2")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_files_that_a_training_leaves_out_are_events(impasto):
    Path("set").mkdir()
    for index in range(12):
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(f"set/{index}.png")
    Path("set/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    frames = [Image.new("RGB", (8, 8), (60 * i, 0, 0)) for i in range(3)]
    frames[0].save("set/a.gif", save_all=True, append_images=frames[1:])
    done = impasto("train", "vae", "set", "--crop", "8", *VAE, "--json")
    told = [line["text"] for line in map(json.loads, done.out.splitlines()) if line["event"] == "note"]
    assert done.code == 0 and told[0] == "1 file is left out (IMG_1.HEIC): HEIC needs pip install 'impasto[heic]'"
    assert "a.gif has 3 frames; only the first is read" in told


def test_a_stopped_training_is_sampled_and_applied(impasto, interrupted):
    restore = interrupted()
    assert impasto("train", "autoencoder", "bars.npz", "--hidden", "8", "--latent", "2", *TINY).code == 130
    assert impasto("train", "gan", "bars.npz", "--hidden", "8", "--watch-steps", "0", *TINY).code == 130
    restore()
    told = "gan-bars is a training that has not ended; its weights are those of step 2\n"
    sheet = impasto("sample", "gan-bars")
    assert (sheet.code, sheet.out) == (0, "gan-bars_grid.png\n") and told in sheet.err
    single = impasto("sample", "gan-bars", "--count", "3", "-o", "three")
    assert (single.code, single.out) == (0, "three\n") and told in single.err
    painted = impasto("apply", "autoencoder-bars", "photo.png")
    assert (painted.code, painted.out) == (0, "photo_autoencoder-bars.png\n")
    assert "autoencoder-bars is a training that has not ended" in painted.err


def test_what_a_gan_is_for(impasto):
    assert impasto("train", "gan", "bars.npz", "--hidden", "8", "--watch-steps", "0", *TINY).code == 0
    done = impasto("sample", "gan-bars", "--count", "5", "-o", "folder/")
    assert (done.code, done.out) == (0, "folder\n"), done.err
    assert sorted(path.name for path in Path("folder").iterdir()) == [f"{number}.png" for number in range(5)]
    again = impasto("sample", "gan-bars", "--count", "5", "-o", "folder/")
    assert again.code == 2 and "folder is not empty; pass --force" in again.err
    refused = impasto("apply", "gan-bars", "photo.png")
    assert refused.code == 1 and refused.err == (
        "impasto: gan-bars/model.safetensors holds the network 'generator'; expected a painter, translator or "
        "autoencoder. See `impasto sample`.\n"
    )


def test_what_is_not_evaluated(impasto):
    points = ("train", "gan", "ring", "--preset", "points2d", "--hidden", "8", "--watch-steps", "0", *TINY)
    assert impasto(*points).out == "gan-ring/model.safetensors\n"
    assert impasto("train", "gan", "bars.npz", "--hidden", "8", "--watch-steps", "0", *TINY).code == 0
    for words, sentence in (
        (("gan-ring",), "gan-ring/model.safetensors holds the network 'generator' of points; expected a generator or"),
        (("painter",), "holds the network 'pyramid'; expected a generator or autoencoder of pictures, a translator"),
        (("gan-bars", "--a", ".", "--b", "."), "holds the network 'generator'; expected a translator of CycleGAN"),
        (("nothing",), "'nothing' is not the name of a network or of a style."),
    ):
        done = impasto("evaluate", *words)
        assert done.code in (1, 2) and sentence in done.err and done.err.count("\n") == 1, done.err


def test_an_autoencoder_reconstructs_pictures_and_nothing_else(impasto):
    assert impasto("train", "autoencoder", "bars.npz", "--hidden", "8", "--latent", "2", *TINY).code == 0
    done = impasto("apply", "autoencoder-bars", "photo.png")
    assert (done.code, done.out) == (0, "photo_autoencoder-bars.png\n")
    with Image.open("photo_autoencoder-bars.png") as image:
        assert image.size == (12, 12)
    styled = impasto("apply", "autoencoder-bars", "photo.png", "--style", "swirl", "-o", "a.png")
    assert styled.code == 2 and "is an autoencoder; expected a picture, without styles" in styled.err


def test_a_classifier_is_evaluated(impasto):
    assert impasto("train", "classifier", "bars.npz", *TINY).code == 0
    done = impasto("evaluate", "classifier-bars", "-o", "found.json", "--device", "cpu")
    assert done.code == 0, done.err
    assert done.out.startswith("found.json\n") and "accuracy" in done.out and "class 3" in done.out
    found = json.loads(Path("found.json").read_text())
    assert found["model"]["network"] == "classifier" and 0 <= found["accuracy"] <= 1
    again = impasto("evaluate", "classifier-bars", "-o", "found.json")
    assert again.code == 2 and "found.json exists already" in again.err
    other = impasto("evaluate", "classifier-bars", "--pictures", "missing.npz")
    assert other.code == 2 and "missing.npz" in other.err and other.err.count("\n") == 1
    for words in (("apply", "classifier-bars", "photo.png"), ("sample", "classifier-bars")):
        refused = impasto(*words)
        assert refused.code == 1 and "holds the network 'classifier'; expected" in refused.err


@pytest.mark.parametrize("name", ["autoencoder", "classifier", "cyclegan", "dcgan", "encoder", "gan", "johnson",
                                  "painter", "pix2pix", "predictor", "style", "vae"])  # fmt: skip
def test_help_of_each_method_shows_its_inputs_options_and_presets(impasto, name):
    from impasto.recipes import find_method

    method, shown = find_method(name), impasto("train", name, "--help-all").out
    for one in method.inputs:
        assert (one.name.upper() if one.positional else f"--{one.name}") in shown
    for option in method.options.model_fields:
        assert f"--{option.replace('_', '-')}" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("│ --preset")]
    assert all(preset in line for preset in method.presets)
    assert f"For example: impasto train {method.example}" in shown
