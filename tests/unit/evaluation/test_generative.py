"""The whole battery on pictures of bars: its anchors, and what each number sees."""

import json
import math

import pytest
import torch

from bars import CLASSES, bars, schooled, tiny
from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import save_state
from impasto.errors import CheckpointError, ImageError, OptionError, WeightsError
from impasto.evaluation.generative import Evaluator
from impasto.metrics.classifier import look

TRAINING, HELD = bars(400, seed=3)[0], bars(200, seed=4)[0]


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator(schooled(), TRAINING, HELD)


def fresh(count=200, seed=5, classes=range(CLASSES)):
    pictures, labels = bars(2 * count * CLASSES // len(classes), seed)
    return pictures[torch.isin(labels, torch.tensor(list(classes)))][:count]


def test_the_anchors(evaluator):
    real, one = evaluator.real, evaluator.one_class
    assert real.pictures == 200 and real.classes == CLASSES and real.kl < 0.05
    assert real.precision > 0.85 and real.recall > 0.85 and real.coverage > 0.85 and 0.8 < real.density < 1.2
    assert real.confidence > 0.95 and real.garbage == 0 and real.copies == 0
    assert one.frechet > 20 * real.frechet
    assert one.classes == 1 and one.top_share == 1 and one.entropy == 0 and one.kl == pytest.approx(math.log(CLASSES))
    assert one.precision > 0.85 and one.recall < 0.5 and one.coverage < 0.4 and one.spread < 0.7 * real.spread
    assert sum(real.shares) == pytest.approx(1) and real.entropy == pytest.approx(math.log(CLASSES) - real.kl)


def test_an_evaluation_brings_them_along(evaluator):
    made = fresh()
    found = evaluator.evaluate(made)
    assert found.made == evaluator(made) and found.real == evaluator.real and found.one_class == evaluator.one_class
    assert found.made.frechet < 3 * found.real.frechet and abs(found.made.recall - found.real.recall) < 0.1
    assert found.classifier == digest(schooled()) != digest(tiny())
    told = json.loads(json.dumps(found.as_dict()))
    assert told["made"]["precision"] == found.made.precision and len(told["real"]["shares"]) == CLASSES


def test_dropped_classes_are_seen(evaluator):
    half = evaluator(fresh(classes=(0, 2)))
    assert half.classes == 2 and half.kl == pytest.approx(math.log(2), abs=0.02)
    assert half.precision > 0.85 and half.recall < 0.75 and half.coverage < 0.65
    assert evaluator.real.frechet < half.frechet < evaluator.one_class.frechet


def test_noise_is_seen(evaluator):
    made = fresh()
    noisy = evaluator((made / 255 + 0.6 * torch.rand(made.shape)).clamp(0, 1))
    assert noisy.precision < evaluator.real.precision - 0.2 and noisy.frechet > 5 * evaluator.real.frechet
    assert noisy.nearest > 2 * evaluator.real.nearest
    nothing = evaluator(torch.full_like(made, 128))
    assert nothing.spread == 0 and nothing.recall == 0 and nothing.classes == 1


def test_what_was_learned_by_heart_is_seen(evaluator):
    copied = evaluator(TRAINING[:150])
    assert copied.nearest == 0 and copied.copies == 1
    assert copied.frechet < 3 * evaluator.real.frechet  # nothing else tells
    half = evaluator(torch.cat([TRAINING[:50], fresh(50)]))
    assert half.copies == 0.5
    slightly = (TRAINING[:100].float() + 2 * torch.randn(100, 1, 12, 12)).round().clamp(0, 255).to(torch.uint8)
    assert evaluator(slightly).copies > 0.9 and 0 < evaluator(slightly).nearest < 0.3 * evaluator.real.nearest


def test_bytes_and_numbers_are_the_same_pictures(evaluator):
    made = fresh()
    assert evaluator(made) == evaluator(made / 255) == evaluator(made[:, 0])
    assert evaluator(made) == evaluator(((made - 0.4) / 255).clamp_min(0))  # as they are when they are saved
    again = Evaluator(schooled(), TRAINING / 255, HELD.double() / 255)
    assert again.real == evaluator.real


def test_the_order_of_real_pictures_does_not_matter_much():
    """They may come class by class: the ones to compare with are drawn."""
    pictures, labels = bars(400, seed=3)
    sorted_ = Evaluator(schooled(), pictures[labels.argsort()], HELD, count=100)
    assert sorted_.real.recall > 0.8 and sorted_.real.precision > 0.8 and sorted_.real.pictures == 100
    assert sorted_.real.frechet < 0.1 * sorted_.one_class.frechet


def test_looking_leaves_the_classifier_as_it_is():
    net = tiny().train()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    seen = look(net, TRAINING)
    assert seen.features.shape == (400, 16) and not seen.features.requires_grad
    torch.testing.assert_close(seen.chances.sum(1), torch.ones(400))
    assert seen.counts.tolist() == [int((seen.chances.argmax(1) == label).sum()) for label in range(CLASSES)]
    assert all(module.training for module in net.modules())
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert torch.equal(look(net, TRAINING).chances, seen.chances)  # without dropout
    one_by_one = torch.cat([look(net, picture[None]).features for picture in TRAINING[:4]])
    torch.testing.assert_close(one_by_one, seen.features[:4])


@pytest.mark.parametrize(
    ("pictures", "text"),
    [
        (torch.zeros(0, 1, 12, 12), "pictures are 0 x 1 x 12 x 12; expected one or more"),
        (torch.zeros(5, 12), "pictures are 5 x 12; expected one or more, N x C x H x W"),
        (torch.full((9, 1, 12, 12), math.nan), "values from nan to nan"),
        (torch.full((9, 1, 12, 12), -1.0), "values from -1 to -1; expected bytes, or numbers from 0 to 1"),
        (torch.zeros(9, 1, 12, 12, dtype=torch.int64), "numbers of torch.int64"),
        (torch.zeros(9, 1, 28, 28), "pictures are 9 x 1 x 28 x 28; this classifier expects 9 x 1 x 12 x 12"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused(evaluator, pictures, text):
    with pytest.raises(ImageError, match=text):
        evaluator(pictures)


def test_too_few_are_refused(evaluator):
    with pytest.raises(OptionError, match="5 pictures can be compared; expected more than 5"):
        Evaluator(schooled(), TRAINING, HELD[:5])
    with pytest.raises(OptionError, match="features are 3 x 16"):
        evaluator(HELD[:3])
    few = Evaluator(schooled(), TRAINING, HELD[:10])
    with pytest.raises(OptionError, match="pictures of one class are held out; expected more than 5"):
        few.one_class  # noqa: B018


def test_a_classifier_is_read_or_refused(tmp_path):
    net, path = schooled(), tmp_path / "classifier.safetensors"
    told = {"network": "classifier", "settings": net.settings}
    save_state(path, dict(net.state_dict()), told)
    assert digest(load_classifier(path)) == digest(net) and not load_classifier(path).training
    save_state(path, dict(net.state_dict()), {**told, "network": "johnson"})
    with pytest.raises(WeightsError, match="holds no classifier"):
        load_classifier(path)
    save_state(path, dict(net.state_dict()), {**told, "settings": {**net.settings, "classes": 7}})
    with pytest.raises(WeightsError, match="is damaged"):
        load_classifier(path)
    with pytest.raises(CheckpointError, match="is not a file"):
        load_classifier(tmp_path / "none")
