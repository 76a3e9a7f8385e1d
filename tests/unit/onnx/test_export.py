"""Exported files: onnxruntime computes from them what the models compute."""

import base64
import json
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from impasto.checkpoints.model import ARCHITECTURES, Model
from impasto.errors import OptionError, WeightsError
from impasto.inference.generator import Autoencoder, Generator
from impasto.networks.autoencoder import VAE
from impasto.networks.autoencoder import Autoencoder as AutoencoderNetwork
from impasto.networks.classifier import Classifier
from impasto.networks.generators import GeneratorNetwork
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.pyramid import PyramidNetwork
from impasto.networks.style_predictor import StylePredictor
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.onnx.check import Difference, compare, require_equal
from impasto.onnx.forms import form_of
from impasto.onnx.graph import round_weights, to_onnx
from impasto.onnx.options import ExportOptions
from nets import loaded, model_of, picture, random_johnson, random_weights

NAMES = ("identity", "reds", "blues")


def tiny_pyramid():
    net = random_weights(PyramidNetwork((8, 6, 5), (0, 0, 1), 4, styles=NAMES))
    for level in net.levels:  # as in a fresh network; larger residuals amplify every rounding
        level.out.weight.data *= 0.1
    for index, style in ((1, picture(40, 30, 1)), (2, picture(30, 30, 2))):
        net.embeddings.data[index] = net.with_palette(net.embeddings.data[index], style)
    return model_of(net)


def tiny_multistyle():
    net = random_weights(MultiStyleNetwork(24, 1, 6, styles=NAMES))
    return model_of(net, {"license": "MIT", "source": "a test"})


def tiny_predictor():
    predictor = StylePredictor(20, directions=4, width=8)
    random_weights(predictor)
    return Model(predictor)


def tiny_lengstrom():
    net = random_weights(Lengstrom(4, 1))
    net.layers[-1].scale.data *= 0.3
    return model_of(net)


def tame_microast():
    """A network whose pictures are about as bright as photographs."""
    net = random_weights(MicroAST())
    last = net.decoder.dec3[-1].conv_layer
    last.weight.data *= 2e-3
    last.bias.data += 0.5
    return model_of(net)


def batch_normed(net):
    random_weights(net)
    for name, statistics in net.named_buffers():
        if name.endswith("running_var"):
            statistics.uniform_(0.5, 2)
    return net


MODELS = {  # name: how it is made, and settings of its export
    "pyramid": (tiny_pyramid, {}),
    "multistyle": (tiny_multistyle, {}),
    "johnson": (lambda: model_of(random_johnson(4, 1)), {}),
    "lengstrom": (tiny_lengstrom, {}),
    "microast": (tame_microast, {}),
    "resnet": (lambda: model_of(random_weights(ResNetGenerator(4, 1, blur_down=True))), {}),
    "unet": (lambda: model_of(batch_normed(UNetGenerator(4, 5))), {}),
    "autoencoder, encoder": (
        lambda: Autoencoder(random_weights(AutoencoderNetwork((3, 16, 16), 5, "conv", (9,), 4))),
        {"part": "encoder"},
    ),
    "vae": (lambda: Autoencoder(random_weights(VAE((1, 8, 8), 4, hidden=(9,), classes=3))), {}),
    "vae, encoder": (
        lambda: Autoencoder(random_weights(VAE((1, 8, 8), 4, hidden=(9,), classes=3))),
        {"part": "encoder"},
    ),
    "generator": (
        lambda: Generator(batch_normed(GeneratorNetwork((3, 14, 14), kind="conv", width=4, classes=3))),
        {},
    ),
    "generator of points": (lambda: Generator(random_weights(GeneratorNetwork((2,), 3, hidden=(7,)))), {}),
    "classifier": (lambda: Model(random_weights(Classifier(3, 1, (12, 9), width=4, features=6))), {}),
    "style_predictor": (tiny_predictor, {}),
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
        {"height": h, "width": w, "style_height": 48 + w % 50, "style_width": 48 + h % 50, "batch": 1 + h % 4}
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
    form, proto = exported("multistyle")
    facts = form.facts
    assert json.loads(facts["styles"]) == list(NAMES) and facts["license"] == "MIT" and facts["multiple"] == "4"
    embeddings = np.frombuffer(base64.b64decode(facts["embeddings"]), facts["embeddings_type"]).reshape(3, -1)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    image = picture(45, 61, 3)
    given = {"image": image.numpy(), "embedding": embeddings[2], "strength": np.array(0.6, np.float32)}
    (found,) = session.run(["picture"], given)
    expected = tiny_multistyle().paint(image, style="blues", strength=0.6)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-5)


def test_every_architecture_is_tried():
    assert {make().architecture for make, _ in MODELS.values()} == set(ARCHITECTURES)


@pytest.mark.parametrize(("precision", "largest", "mean"), [("float16", 5e-3, 5e-4), ("int8", 0.1, 1e-2)])
def test_weights_take_less_space(precision, largest, mean):
    form, proto = exported("multistyle")
    smaller = onnx.ModelProto()
    smaller.CopyFrom(proto)
    round_weights(smaller, precision)
    onnx.checker.check_model(smaller, full_check=True)
    file = smaller.SerializeToString()
    found = compare(file, form, twenty_sizes())
    assert 0 < found.mean <= mean and found.largest <= largest
    kinds = {one.data_type for one in smaller.graph.initializer if np.prod(one.dims) >= 4096}
    assert kinds == {onnx.TensorProto.FLOAT16 if precision == "float16" else onnx.TensorProto.INT8}


def test_filters_have_scales_of_their_own():
    """By hand: one filter of a transposed convolution is a hundred times larger than the others."""
    values = np.full((64, 2, 8, 8), 0.01, np.float32)
    values[:, 1] = 1.0
    node = onnx.helper.make_node("ConvTranspose", ["x", "w"], ["y"])
    kind = onnx.TensorProto.FLOAT
    x, y = (onnx.helper.make_tensor_value_info(name, kind, [1, None, None, None]) for name in "xy")
    graph = onnx.helper.make_graph([node], "g", [x], [y], [onnx.numpy_helper.from_array(values, "w")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    round_weights(model, "int8")
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    assert (arrays["w.stored"] == 127).all()
    np.testing.assert_allclose(arrays["w.scale"], [0.01 / 127, 1 / 127], rtol=1e-6)
    assert [one.op_type for one in model.graph.node] == ["DequantizeLinear", "ConvTranspose"]


def test_a_difference_that_is_too_large_is_an_error():
    form, proto = exported("generator of points")
    other = onnx.ModelProto()
    other.CopyFrom(proto)
    name = max(other.graph.initializer, key=lambda one: np.prod(one.dims)).name
    for one in other.graph.initializer:
        if one.name == name:
            one.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(one) + np.float32(0.01), name))
    require_equal(compare(proto.SerializeToString(), form), "float32")
    with pytest.raises(WeightsError, match=r"^the exported network differs from its model by .*no file was written\.$"):
        require_equal(compare(other.SerializeToString(), form), "float32")
    for worse in (Difference(float("nan"), 0.0, 1), Difference(float("inf"), float("inf"), 1)):
        with pytest.raises(WeightsError):
            require_equal(worse, "int8")


def test_parts_and_octaves_that_a_model_has_not_are_refused():
    painter, points = tiny_pyramid(), MODELS["generator of points"][0]()
    for model, settings, words in (
        (painter, {"part": "encoder"}, "the parts of pyramid are auto, predictor"),
        (points, {"part": "predictor"}, "the parts of generator are auto, decoder"),
        (points, {"octaves": 1}, "only a pyramid painter has octaves"),
        (MODELS["johnson"][0](), {"part": "predictor"}, "expected a painter of many styles"),
        (Model(torch.nn.Linear(2, 2)), {}, "Linear is a network of your own"),
    ):
        with pytest.raises(OptionError, match=words):
            form_of(model, ExportOptions(**settings))


def test_a_predictor_and_its_painter_find_each_other_in_a_folder(tmp_path):
    """So that its embeddings are whole, with the palette of the picture."""
    painter = tiny_pyramid()
    painter.save(tmp_path / "model.safetensors")
    predictor = random_weights(StylePredictor(painter.network.learned_size, directions=4, width=8))
    style, size = picture(70, 90, 4), painter.network.embeddings.shape[1]
    for base, expected in ((painter.fingerprint, size), ("another", painter.network.learned_size)):
        Model(predictor).save(tmp_path / "model-predictor.safetensors", base=base)
        form = form_of(loaded(tmp_path / "model-predictor.safetensors"), ExportOptions())
        (found,) = form.compute(style)
        assert found.shape == (expected,) and form.facts["embedding_size"] == str(expected)
    with pytest.raises(OptionError, match="has no style predictor"):
        form_of(loaded(tmp_path / "model.safetensors"), ExportOptions(part="predictor"))
    Model(predictor).save(tmp_path / "model-predictor.safetensors", base=painter.fingerprint)
    (found,) = form_of(loaded(tmp_path / "model.safetensors"), ExportOptions(part="predictor")).compute(style)
    torch.testing.assert_close(found, painter.network.with_palette(found[:-10], style), rtol=0, atol=0)


def test_exporting_changes_no_model():
    model = MODELS["johnson"][0]()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    form_of(model, ExportOptions())
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    assert next(model.network.parameters()).requires_grad
