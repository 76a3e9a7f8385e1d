"""Style prediction: the descriptor by hand, calibration, and that a predictor trains."""

import math

import pytest
import torch

from impasto.data.folders import Pairs, PictureFolder
from impasto.errors import ImageError, OptionError
from impasto.events import Step
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.networks.style_predictor import LAYERS, StylePredictor
from impasto.ops.moments import channel_moments
from impasto.recipes.style_predictor.options import PredictorOptions
from impasto.recipes.style_predictor.recipe import StylePredictorRecipe
from impasto.training.loop import iter_train
from nets import picture, random_weights, tiny_vgg

WIDTHS = (8, 12, 16, 16, 16)  # of the tiny encoder


def moments(*pictures):
    features = tiny_vgg(padding="replicate")(torch.cat(pictures), LAYERS)
    return [channel_moments(features[layer]) for layer in LAYERS]


def test_the_descriptor_by_hand():
    """Two channels with means 1 and 2 and second moments 2, 3, 8; one direction along their sum."""
    net = StylePredictor(3, (2,), 1, 4)
    net.directions[0].data = torch.tensor([[1.0, 1.0]])
    mean, second = torch.tensor([[1.0, 2.0]]), torch.tensor([[[2.0, 3.0], [3.0, 8.0]]])
    # standard deviations: sqrt(2 - 1), sqrt(8 - 4); along the sum: 2 + 3 + 3 + 8; then log(1 + x)
    expected = [math.log1p(value) for value in (1.0, 2.0, 1.0, 2.0, 16.0)]
    torch.testing.assert_close(net.descriptor([(mean, second)]), torch.tensor([expected]))


def test_calibration_gives_the_mean_embedding_and_unit_scale():
    pictures = [picture(64, 64, seed) for seed in range(12)]
    embeddings = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    net = StylePredictor(7, WIDTHS, 4, 8)
    net.calibrate(moments(*pictures), embeddings)
    predicted = net(moments(*pictures[:3]))
    torch.testing.assert_close(predicted, embeddings.mean(0).expand(3, -1))
    scaled = (net.descriptor(moments(*pictures)) - net.center) / net.spread
    torch.testing.assert_close(scaled.mean(0), torch.zeros(scaled.shape[1]), rtol=0, atol=1e-3)
    assert scaled.std(0).max() < 1.01
    for directions in net.directions:  # at right angles, and of length 1
        torch.testing.assert_close(directions @ directions.T, torch.eye(4), rtol=0, atol=1e-4)


def test_directions_are_those_in_which_features_vary_most():
    net = StylePredictor(2, (3,), 1, 4)
    second = torch.diag(torch.tensor([1.0, 5.0, 2.0]))[None].repeat(4, 1, 1)
    net.calibrate([(torch.zeros(4, 3), second)], torch.zeros(2, 2))
    torch.testing.assert_close(net.directions[0].abs(), torch.tensor([[0.0, 1.0, 0.0]]), rtol=0, atol=1e-6)


def test_it_learns_to_tell_styles_apart(tmp_path):
    for index in range(6):  # paintings of two sorts: dark and coarse, bright and fine
        height = 40 if index % 2 else 300
        image = picture(height, height, index) * (0.35 if index % 2 else 0.5) + (0 if index % 2 else 0.5)
        save_picture(tmp_path / f"{index}.png", load_picture((image[0].permute(1, 2, 0).numpy() * 255).astype("uint8")))
    painter = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "a", "b"]))
    before = {name: weight.clone() for name, weight in painter.state_dict().items()}
    options = PredictorOptions(
        crop=64, style_crop=64, batch=4, steps=80, learning_rate=1e-2, ema=0.9, device="cpu", precision="float32",
        save_seconds=1e9, preview_seconds=1e9, width=16, directions=4,
    )  # fmt: skip
    data = Pairs(PictureFolder("examples", 64), PictureFolder(tmp_path, 64))
    predictor = StylePredictor(painter.embeddings.shape[1], WIDTHS, 4, 16)
    photographs, paintings = data.batch([0, 1, 2, 3, 4, 5])
    method = StylePredictorRecipe(
        predictor, painter, tiny_vgg(padding="replicate"), paintings, (photographs[:2], paintings[:2]), options
    )
    start = predictor(method._features(paintings))
    assert (start[0] - start[1]).abs().max() < 1e-6
    events = list(iter_train(method, data, options, run=tmp_path / "run"))
    style = [event.losses["style"] for event in events if isinstance(event, Step) and event.phase == "train"]
    assert sum(style[-20:]) < 0.8 * sum(style[:20])
    embeddings = predictor(method._features(paintings))
    assert (embeddings - embeddings.mean(0)).abs().mean() > 0.01
    assert all(torch.equal(painter.state_dict()[name], weight) for name, weight in before.items())
    assert method.preview().shape == (3, 3, 3, 64, 64)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ImageError, match="layers have 3 channels; expected 4"):
        StylePredictor(2, (4,), 1, 4)([(torch.zeros(1, 3), torch.zeros(1, 3, 3))])
    with pytest.raises(OptionError, match="no more directions than channels, 4"):
        StylePredictor(2, (4,), 5, 4)
