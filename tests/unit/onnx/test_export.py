"""Exported files: onnxruntime computes from them what the models compute."""

import base64
import json
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from impasto.networks.pyramid import PyramidNetwork
from impasto.onnx.check import compare
from impasto.onnx.forms import form_of
from impasto.onnx.graph import to_onnx
from impasto.onnx.options import ExportOptions
from nets import model_of, picture, random_weights

NAMES = ("identity", "reds", "blues")


def tiny_pyramid():
    net = random_weights(PyramidNetwork((8, 6, 5), (1, 0, 1), 4, styles=NAMES))
    for level in net.levels:  # as in a fresh network; larger residuals amplify every rounding
        level.out.weight.data *= 0.1
    for index, style in ((1, picture(40, 30, 1)), (2, picture(30, 30, 2))):
        net.embeddings.data[index] = net.with_palette(net.embeddings.data[index], style)
    return model_of(net, {"license": "MIT", "source": "a test"})


MODELS = {  # name: how it is made, and settings of its export
    "pyramid": (tiny_pyramid, {}),
}


@cache
def exported(name):
    """The form of a model and its file; tracing takes seconds, so it is done once."""
    make, settings = MODELS[name]
    form = form_of(make(), ExportOptions(**settings))
    return form, to_onnx(form, "float32")


def twenty_sizes():
    random = np.random.default_rng(0)
    sizes = [(1, 1), (40, 600), (31, 2), *random.integers(1, 160, (17, 2)).tolist()]
    return [
        {"height": h, "width": w, "style_height": 16 + w % 50, "style_width": 16 + h % 50, "batch": 1 + h % 4}
        for h, w in sizes
    ]


@pytest.mark.parametrize("name", MODELS)
def test_a_file_computes_what_its_model_computes_at_every_size(name):
    form, proto = exported(name)
    onnx.checker.check_model(proto, full_check=True)
    found = compare(proto.SerializeToString(), form, twenty_sizes())
    assert found.largest <= 1e-5 and found.sizes == 20


def test_a_painter_is_run_from_its_file_alone():
    """Styles, embeddings and what inputs are stand in the file."""
    form, proto = exported("pyramid")
    facts = form.facts
    assert json.loads(facts["styles"]) == list(NAMES) and facts["license"] == "MIT" and facts["multiple"] == "16"
    embeddings = np.frombuffer(base64.b64decode(facts["embeddings"]), facts["embeddings_type"]).reshape(3, -1)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    image = picture(45, 61, 3)
    given = {"image": image.numpy(), "embedding": embeddings[2], "strength": np.array(0.6, np.float32)}
    (found,) = session.run(["picture"], given)
    expected = tiny_pyramid().paint(image, style="blues", strength=0.6)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-5)
    (found,) = session.run(["picture"], given | {"strength": np.array(0.0, np.float32)})
    torch.testing.assert_close(torch.from_numpy(found), image, rtol=0, atol=1e-5)
