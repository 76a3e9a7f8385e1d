"""`impasto.export` and `impasto export`: files, what they say, and errors."""

import json
import subprocess
import sys

import onnx
import onnxruntime
import pytest

import impasto
from impasto.checkpoints.model import Model
from impasto.errors import FileExists, MissingExtra, OptionError
from impasto.networks.autoencoder import VAE
from nets import random_weights


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    path = tmp_path_factory.mktemp("vae") / "digits.safetensors"
    Model(random_weights(VAE((1, 8, 8), 3, hidden=(9,))), {"license": "CC0", "source": "a test"}).save(path)
    return path


def command(*words, **settings):
    words = [sys.executable, "-m", "impasto", "export", *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, **settings)


def facts_of(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.get_modelmeta().custom_metadata_map


def test_a_file_says_what_it_is(vae, tmp_path):
    done = impasto.export(vae, tmp_path / "new" / "digits.onnx")
    facts = facts_of(done.path)
    assert facts["kind"] == "autoencoder" and facts["architecture"] == "vae" and facts["precision"] == "float32"
    assert facts["license"] == "CC0" and facts["source"] == "a test" and json.loads(facts["card"])["license"] == "CC0"
    assert facts["range"] == "gray in [0, 1]" and facts["latent_size"] == "3"
    assert float(facts["largest_difference"]) == pytest.approx(done.largest, rel=0.1) and done.largest <= 1e-5
    graph = onnx.load(done.path).graph
    assert [(one.name, one.doc_string) for one in graph.input] == [("latent", "latent codes")]
    assert [one.name for one in graph.output] == ["image"]


def test_the_command_prints_the_file_and_the_difference(vae, tmp_path):
    done = command(vae, "--part", "encoder", "--precision", "float16", cwd=tmp_path)
    assert done.stdout == "digits-encoder.onnx\n" and done.returncode == 0, done.stderr
    assert "largest difference from the network" in done.stderr and len(done.stderr.splitlines()) == 1
    facts = facts_of(tmp_path / "digits-encoder.onnx")
    assert facts["precision"] == "float16"
    again = command(vae, "--part", "encoder", cwd=tmp_path)
    assert again.returncode == 2 and "digits-encoder.onnx exists already" in again.stderr
    told = command(vae, "--part", "encoder", "--force", "--json", cwd=tmp_path)
    found = json.loads(told.stdout)
    assert told.stderr == "" and found["sizes"] == 6 and found["largest"] <= 1e-5
    assert found["bytes"] == (tmp_path / found["path"]).stat().st_size


def test_errors_come_before_any_work_and_write_nothing(vae, tmp_path, monkeypatch):
    (tmp_path / "there.onnx").write_text("mine")
    with pytest.raises(OptionError, match=r"digits.tflite ends in .tflite; expected a file that ends in .onnx"):
        impasto.export("no such model", tmp_path / "digits.tflite")
    with pytest.raises(FileExists, match="there.onnx exists already"):
        impasto.export("no such model", tmp_path / "there.onnx")
    with pytest.raises(OptionError, match="precision is 'float8'; expected 'float32', 'float16' or 'int8'"):
        impasto.export(vae, tmp_path / "new.onnx", precision="float8")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtra, match=r"^exporting needs an extra: pip install 'impasto\[onnx\]'.$"):
        impasto.export(vae, tmp_path / "new.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]
    assert (tmp_path / "there.onnx").read_text() == "mine"
