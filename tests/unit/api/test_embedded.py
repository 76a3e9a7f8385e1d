"""Settings in a stranger's picture: what `rerun` opens, what it refuses, and that it downloads nothing."""

import numpy as np
import pytest

from impasto.api import embedded
from impasto.api.rerun import iter_rerun
from impasto.api.score import score
from impasto.api.stylize import iter_stylize
from impasto.checkpoints import weights
from impasto.errors import ImageError, ImpastoError, OptionError, UnknownName
from impasto.evaluation.options import EvaluateOptions
from impasto.events import drain
from impasto.inference.options import ApplyOptions, SampleOptions
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture
from impasto.style_transfer.options import StylizeOptions
from impasto.training.options import TrainOptions

FEW = StylizeOptions(size=32, min_size=32, steps=1, polish=0, device="cpu", precision="float32", strokes=0)
RNG = np.random.default_rng(0)
SHIPPED = weights._packaged(weights.SPECS["compact"])


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Pictures, a result that was painted from them, and no way to the internet."""

    def no_download(*_, **__):
        raise AssertionError("a download began")

    monkeypatch.setattr(weights, "_download", no_download)
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    for name in ("photo", "style", "first", "secret", "mask"):
        pixels = np.ones((24, 32, 3), np.float32) if name == "mask" else RNG.random((24, 32, 3), np.float32)
        save_picture(tmp_path / f"{name}.png", load_picture(pixels))
    return tmp_path


def painted(files, **more):
    options = FEW.changed(**more)
    drain(iter_stylize(files / "photo.png", files / "style.png", options, output=files / "out.png"))
    return read_metadata(files / "out.png")


def forged(files, record):
    save_picture(files / "forged.png", load_picture(files / "photo.png"), metadata=record, force=True)
    return files / "forged.png"


def rerun(files, record, **more):
    return iter_rerun(forged(files, record), output=files / "again.png", **more)


@pytest.mark.parametrize("name", ["init_image", "encoder", "polish_encoder"])
def test_files_of_options_are_repeated_by_their_digests(files, name):
    """Of our own result; a changed file, and one without a digest, are not opened."""
    encoder = files / "encoder.safetensors"
    encoder.write_bytes(SHIPPED.read_bytes())
    path = files / "first.png" if name == "init_image" else encoder
    record = painted(files, **{name: str(path)}, **({"polish": 1} if name == "polish_encoder" else {}))
    assert record["files"] == {name: weights.sha256(path)}
    drain(iter_rerun(files / "out.png", output=files / "again.png"))
    assert (files / "again.png").read_bytes() == (files / "out.png").read_bytes()
    with pytest.raises(ImageError, match="without its digest, so it is not opened"):
        rerun(files, {key: value for key, value in record.items() if key != "files"})
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ImageError, match="has changed since"):
        rerun(files, record)


def test_another_file_is_neither_opened_nor_shown(files, monkeypatch):
    record, secret = painted(files), str(files / "secret.png")
    opened = []
    monkeypatch.setattr("impasto.api.stylize.open_picture", lambda *given, **_: opened.append(given))
    monkeypatch.setattr("impasto.io.masks.load_picture", lambda *given, **_: opened.append(given))
    origin = {"source": secret, "sha256": ""}
    wrong = {"source": secret, "sha256": weights.sha256(files / "style.png")}
    for more in (
        {"options": {**record["options"], "init_image": secret}},
        {"options": {**record["options"], "encoder": secret}},
        *({"content": one} for one in (origin, wrong)),
        *({"styles": [one]} for one in (origin, wrong)),
        *({"keep": one} for one in (origin, wrong)),
        {"keep": {**origin, "source": f"not:{secret}#ffffff"}},
        *({"regions": [{"mask": one, "styles": record["styles"]}]} for one in (origin, wrong)),
        *({"regions": [{"mask": {"source": "alpha"}, "styles": [one]}]} for one in (origin, wrong)),
        *({"operation": "apply", "options": {}, "model": {"name": "a", **one}} for one in (origin, wrong)),
        {"operation": "apply", "options": {}, "model": {"name": secret, "source": "", "sha256": ""}},
        {"operation": "apply", "options": {"style": f"{secret}:0.5,swirl:0.5"}, "model": {"name": "painter"}},
    ):
        with pytest.raises(ImageError, match="without its digest|has changed since"):
            rerun(files, {**record, **more})
    assert not opened and not (files / "again.png").exists()
    with pytest.raises(ImageError, match="without its digest"):
        score(forged(files, {**record, "content": origin}))


def test_what_the_user_names_is_opened(files):
    record = painted(files)
    other = {**record, "options": {**record["options"], "init_image": str(files / "secret.png")}, "styles": [{}]}
    drain(rerun(files, other, init_image=str(files / "first.png"), styles=[str(files / "secret.png")]))
    assert load_picture(files / "again.png").size == (24, 32)


@pytest.mark.parametrize("name", ["encoder", "polish_encoder"])
@pytest.mark.parametrize("network", ["vgg19-torchvision", "vgg16-torchvision"])
def test_settings_start_no_download(files, name, network):
    record = painted(files)
    asked = {**record, "options": {**record["options"], name: network, "polish": 1}}
    with pytest.raises(ImageError, match=rf"{network}, which is not on this machine \(5.. MB to download\); pass --"):
        rerun(files, asked)
    with pytest.raises(AssertionError, match="a download began"):
        rerun(files, asked, **{name: network, "polish": 1})  # as the user says


WRONG = [None, True, 5, -0.5, 10**30, "text", "", [], [1], ["a"], {}, {"a": 1}, [[]], [{}], "\ud800", "a\0b"]
ENTRIES = ["format", "version", "operation", "options", "content", "styles", "regions", "keep", "model", "files"]


@pytest.mark.parametrize("operation", ["stylize", "apply"])
def test_wrong_types_are_one_sentence(files, operation, monkeypatch):
    """Each entry, each part of an entry and each option in turn; nothing is painted."""
    made = painted(files)
    monkeypatch.setattr("impasto.api.rerun.iter_apply", lambda *_, **__: iter(()))
    monkeypatch.setattr("impasto.api.stylize._run", lambda *_: iter(()))
    monkeypatch.setattr("impasto.api.stylize.load_encoder", lambda *_, **__: None)
    record = {**made, "operation": operation, "files": {}, "model": {"name": "painter", "source": ""}}
    record["keep"] = {"source": str(files / "mask.png"), "sha256": weights.sha256(files / "mask.png")}
    record["regions"] = [{"mask": record["keep"], "styles": record["styles"], "weights": [1.0]}]
    if operation == "apply":
        record["options"] = {"style": "starry_night", "strength": 0.5}
    forgeries = [{**record, entry: value} for entry in ENTRIES for value in WRONG]
    for value in WRONG:
        forgeries += [{**record, "regions": [{**record["regions"][0], name: value}]} for name in record["regions"][0]]
        forgeries += [{**record, "content": {**record["content"], name: value}} for name in ("source", "sha256")]
    forgeries = forgeries if operation == "stylize" else forgeries[::3]
    for value in (5, {"a": [1]}):
        forgeries += [{**record, "options": {**record["options"], name: value}} for name in record["options"]]
    monkeypatch.setattr(embedded, "read_metadata", lambda picture: picture)
    refused = 0
    for forgery in forgeries:
        try:
            iter_rerun(Forgery(forgery), output=files / "again.png", size=32)
        except ImpastoError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > len(forgeries) / 2


@pytest.mark.parametrize("options", [StylizeOptions, ApplyOptions, SampleOptions, EvaluateOptions, TrainOptions])
def test_options_of_wrong_types_are_one_sentence(options):
    for name in options.model_fields:
        for value in WRONG:
            try:
                options(**{name: value})
            except (OptionError, UnknownName) as error:
                assert "\n" not in str(error)


class Forgery(dict):
    """A picture that is nothing but its settings."""

    def __str__(self):
        return "forged.png"
