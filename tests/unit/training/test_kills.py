"""What a kill leaves in a folder, at any moment of a training and inside each write, is continued to the same bits."""

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from bars import bars
from impasto.checkpoints.files import CHECKPOINT, MODEL, load_about
from impasto.errors import CheckpointError, FileExists
from impasto.events import Step
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.compact_encoder.options import CompressOptions
from impasto.recipes.compact_encoder.recipe import CompactEncoderRecipe
from impasto.recipes.dcgan.options import DCGANOptions
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.training.recipe import Site
from nets import picture, tiny_vgg
from trainings import iter_autoencoder, iter_dcgan, iter_painter

SHORT = {
    "steps": 3, "device": "cpu", "precision": "float32", "save_seconds": 0.0, "preview_seconds": 1e9, "log_steps": 1
}  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """No reports, which are written after the model and take longer than such trainings; a small encoder."""
    monkeypatch.setattr("impasto.training.loop._Session.told", lambda _: [])
    for recipe in ("painters", "compact_encoder.recipe"):
        monkeypatch.setattr(f"impasto.recipes.{recipe}.load_encoder", lambda *_, **__: tiny_vgg(padding="replicate"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Labeled pictures in a file, and a folder of photographs."""
    path = tmp_path_factory.mktemp("data")
    pictures, labels = bars(40)
    np.savez(path / "bars.npz", images=pictures[:, 0].numpy(), labels=labels.numpy())
    (path / "photos").mkdir()
    for index in range(3):
        pixels = picture(70, 80, seed=index)[0].permute(1, 2, 0).numpy()
        Image.fromarray((pixels * 255).astype(np.uint8)).save(path / "photos" / f"{index}.png")
    return path


def autoencoder(data, **more):
    options = AutoencoderOptions(hidden=(8,), latent=2, batch=8, **SHORT)
    return iter_autoencoder(str(data / "bars.npz"), options, **more)


def dcgan(data, **more):
    options = DCGANOptions.preset("light", width=4, latent=4, batch=8, watch_steps=0, **SHORT)
    return iter_dcgan(str(data / "bars.npz"), options, **more)


def painter(data, **more):
    options = JohnsonOptions(
        network="light", width=8, blocks=0, crop=64, first_crop=64, style_size=64, batch=1, encoder="compact", **SHORT
    )
    styles = {name: str(data / "photos" / f"{index}.png") for index, name in enumerate("ab")}
    return iter_painter(styles, str(data / "photos"), options, **more)


def killed(events, run, write, monkeypatch):
    """Run to the end; return the folder as a kill would leave it in the middle of such a write of a checkpoint."""
    replace, writes, left = os.replace, [], run.with_name(f"{run.name}-killed")

    def kill(source, target):
        if os.path.basename(target) == CHECKPOINT:
            writes.append(target)
            if len(writes) == write:
                shutil.copytree(run, left)
                (draft,) = left.glob(".impasto-*")
                os.truncate(draft, draft.stat().st_size // 2)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        list(events)
    return left


def same(one, other):
    ours, theirs = load_file(one / MODEL), load_file(other / MODEL)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("method", [autoencoder, dcgan, painter])
def test_a_kill_inside_the_write_of_a_checkpoint(method, data, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    left = killed(method(data, run=whole), whole, 3, monkeypatch)
    assert not (left / MODEL).exists() and list(left.glob(".impasto-*")) and (left / ".lock").exists()
    at = load_about(left / CHECKPOINT)["step"]
    steps = [event.step for event in method(data, run=left, resume=True) if isinstance(event, Step)]
    assert 0 < at < 3 and steps[0] == at + 1 and same(whole, left)
    assert not list(left.rglob(".*"))


def test_a_kill_inside_the_write_of_the_options_and_of_the_model(data, tmp_path, monkeypatch):
    run, replace, left = tmp_path / "run", os.replace, []

    def kill(source, target):
        if os.path.basename(target) in ("options.json", MODEL):
            left.append(shutil.copytree(run, tmp_path / f"killed-{len(left)}"))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        list(autoencoder(data, run=run))
    early, late = left
    with pytest.raises(CheckpointError, match="there is no run to resume in .*; run without --resume"):
        autoencoder(data, run=early, resume=True)
    list(autoencoder(data, run=early))
    list(autoencoder(data, run=late, resume=True))
    assert same(run, early) and same(run, late)


# --- the encoder, which is fitted at once --------------------------------------------------------


@pytest.fixture
def encoder(data):
    options = CompressOptions(pictures=2, size=64, positions=100)

    def fit(run, force=False):
        return CompactEncoderRecipe.start({"pictures": [str(data / "photos")]}, options, Site(run), force)

    return fit


def test_a_kill_inside_the_write_of_an_encoder(encoder, tmp_path, monkeypatch):
    run, replace, left = tmp_path / "run", os.replace, tmp_path / "killed"

    def kill(source, target):
        shutil.copytree(run, left)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        list(encoder(run))
    assert not (left / MODEL).exists() and len(list(left.iterdir())) == 2  # a draft and a lock
    list(encoder(left))
    assert same(run, left) and [path.name for path in left.iterdir()] == [MODEL]


def test_an_encoder_replaces_no_other_file_and_shares_no_folder(encoder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / MODEL).write_bytes(b"mine")
    with pytest.raises(FileExists, match=r"model\.safetensors is not of impasto, so it stays; name another folder\."):
        encoder(run, force=True)
    assert (run / MODEL).read_bytes() == b"mine"
    (run / MODEL).unlink()
    first = encoder(run)
    next(first)
    with pytest.raises(FileExists, match="another training writes to"):
        next(encoder(run, force=True))
    list(first)
    list(encoder(run, force=True))
    assert [path.name for path in run.iterdir()] == [MODEL]
