"""All measures of generated samples on images of bars: the anchors, and what each measure detects."""

import math

import pytest
import torch

from bars import CLASSES, bars, schooled, tiny
from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import save_state
from impasto.errors import CheckpointError, ImageError, OptionError, WeightsError
from impasto.metrics.classifier import classify
from impasto.metrics.generative import ClassEvaluator

TRAINING, HELD = bars(400, seed=3)[0], bars(200, seed=4)[0]


@pytest.fixture(scope="module")
def evaluator():
    return ClassEvaluator(schooled(), TRAINING, HELD)


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


def test_dropped_classes_are_detected(evaluator):
    half = evaluator(fresh(classes=(0, 2)))
    assert half.classes == 2 and half.kl == pytest.approx(math.log(2), abs=0.02)
    assert half.precision > 0.85 and half.recall < 0.75 and half.coverage < 0.65
    assert evaluator.real.frechet < half.frechet < evaluator.one_class.frechet


def test_noise_is_detected(evaluator):
    samples = fresh()
    noisy = evaluator((samples / 255 + 0.6 * torch.rand(samples.shape)).clamp(0, 1))
    assert noisy.precision < evaluator.real.precision - 0.2 and noisy.frechet > 5 * evaluator.real.frechet
    assert noisy.nearest > 2 * evaluator.real.nearest
    nothing = evaluator(torch.full_like(samples, 128))
    assert nothing.spread == 0 and nothing.recall == 0 and nothing.classes == 1


def test_memorized_images_are_detected(evaluator):
    copied = evaluator(TRAINING[:150])
    assert copied.nearest == 0 and copied.copies == 1
    assert copied.frechet < 3 * evaluator.real.frechet  # nothing else tells
    half = evaluator(torch.cat([TRAINING[:50], fresh(50)]))
    assert half.copies == 0.5
    slightly = (TRAINING[:100].float() + 2 * torch.randn(100, 1, 12, 12)).round().clamp(0, 255).to(torch.uint8)
    assert evaluator(slightly).copies > 0.9 and 0 < evaluator(slightly).nearest < 0.3 * evaluator.real.nearest


def test_bytes_and_numbers_are_the_same_pictures(evaluator):
    samples = fresh()
    assert evaluator(samples) == evaluator(samples / 255) == evaluator(samples[:, 0])
    assert evaluator(samples) == evaluator(((samples - 0.4) / 255).clamp_min(0))  # as a file stores them
    again = ClassEvaluator(schooled(), TRAINING / 255, HELD.double() / 255)
    assert again.real == evaluator.real


def test_the_order_of_real_pictures_does_not_matter_much():
    """They may come class by class: the ones to compare with are drawn."""
    pictures, labels = bars(400, seed=3)
    sorted_ = ClassEvaluator(schooled(), pictures[labels.argsort()], HELD, count=100)
    assert sorted_.real.recall > 0.8 and sorted_.real.precision > 0.8 and sorted_.real.pictures == 100
    assert sorted_.real.frechet < 0.1 * sorted_.one_class.frechet


def test_classifying_leaves_the_classifier_as_it_is():
    net = tiny().train()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    predictions = classify(net, TRAINING)
    assert predictions.features.shape == (400, 16) and not predictions.features.requires_grad
    torch.testing.assert_close(predictions.probabilities.sum(1), torch.ones(400))
    assert predictions.counts.tolist() == [
        int((predictions.probabilities.argmax(1) == label).sum()) for label in range(CLASSES)
    ]
    assert all(module.training for module in net.modules())
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())
    assert torch.equal(classify(net, TRAINING).probabilities, predictions.probabilities)  # without dropout
    one_by_one = torch.cat([classify(net, picture[None]).features for picture in TRAINING[:4]])
    torch.testing.assert_close(one_by_one, predictions.features[:4])


@pytest.mark.parametrize(
    ("pictures", "text"),
    [
        (torch.zeros(0, 1, 12, 12), "images are 0 x 1 x 12 x 12; expected one or more"),
        (torch.zeros(5, 12), "images are 5 x 12; expected one or more, N x C x H x W"),
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
    with pytest.raises(OptionError, match="5 images can be compared; expected more than 5"):
        ClassEvaluator(schooled(), TRAINING, HELD[:5])
    with pytest.raises(OptionError, match="features are 3 x 16"):
        evaluator(HELD[:3])
    few = ClassEvaluator(schooled(), TRAINING, HELD[:10])
    with pytest.raises(OptionError, match="images of one class are held out; expected more than 5"):
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
