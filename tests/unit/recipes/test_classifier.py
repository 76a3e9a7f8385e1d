"""The classifier: its size, its training through the engine, and random translations."""

import pytest
import torch

from bars import CLASSES, SIDE, Labeled, bars, tiny
from impasto.checkpoints.classifier import load_classifier
from impasto.checkpoints.files import MODEL, load_state
from impasto.errors import ImageError, OptionError
from impasto.events import Step
from impasto.metrics.classifier import classify
from impasto.networks.classifier import Classifier
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.classifier.recipe import ClassifierRecipe, shifted
from impasto.training.loop import iter_train

QUICK = ClassifierOptions(
    steps=60, batch=32, learning_rate=1e-2, ema=0.9, shift=1, device="cpu", save_seconds=1e9, preview_seconds=1e9
)


def test_it_has_the_size_of_the_reference():
    # 3 x 3 x 16 + 16, 16 x 3 x 3 x 32 + 32, 32 x 7 x 7 x 64 + 64, 64 x 10 + 10
    net = Classifier()
    assert sum(weight.numel() for weight in net.parameters()) == 160 + 4640 + 100_416 + 650 == 105_866
    odd = Classifier(3, 3, (30, 21), features=5)
    pictures = torch.rand(2, 3, 30, 21)
    assert odd.features(pictures).shape == (2, 5) and odd.features(pictures).min() >= 0
    again = Classifier(**odd.settings)
    again.load_state_dict(odd.state_dict())
    odd.eval(), again.eval()
    torch.testing.assert_close(again(pictures), odd.logits(odd.features(pictures)), rtol=0, atol=0)


def test_it_trains_and_reports_its_accuracy(tmp_path):
    (pictures, labels), held = bars(256, seed=1), bars(128, seed=2)
    recipe = ClassifierRecipe(tiny(), held, QUICK)
    before = float((classify(tiny(), held[0]).labels == held[1]).float().mean())
    events = list(iter_train(recipe, Labeled(pictures, labels), QUICK, run=tmp_path / "run"))
    losses = [event.losses for event in events if isinstance(event, Step) and event.phase == "train"]
    assert losses[-1]["cross_entropy"] < 0.3 * losses[0]["cross_entropy"] and losses[-1]["error"] < 0.2
    net = load_classifier(tmp_path / "run" / MODEL)
    found = float((classify(net, held[0]).labels == held[1]).float().mean())
    values = load_state(tmp_path / "run" / MODEL)[1]
    assert values["accuracy"] == pytest.approx(found) and found > 0.95 > 0.6 > before
    assert values["held"] == 128 and values["recipe"] == values["network"] == "classifier"
    assert ClassifierOptions(**values["options"]) == QUICK


def test_the_preview_shows_the_least_probable_first():
    pictures, labels = bars(20, seed=2)
    recipe = ClassifierRecipe(tiny(), (pictures, labels), QUICK)
    recipe.network.eval()
    shown = recipe.preview()
    assert shown.shape == (4, 8, 3, SIDE, SIDE)
    own = recipe.network(pictures / 255).softmax(1)[torch.arange(20), labels]
    torch.testing.assert_close(shown[0, 0, 1], pictures[own.argmin(), 0] / 255)
    torch.testing.assert_close(shown[2, 3, 0], pictures[own.argmax(), 0] / 255)  # the twentieth
    assert shown[2, 4:].min() == shown[3].min() == 1  # there are no more
    assert ClassifierRecipe(tiny(), (pictures[:0], labels[:0]), QUICK).model()[1]["accuracy"] is None


def test_each_picture_has_its_own_random_translation():
    dot = torch.zeros(64, 2, 7, 9)
    dot[:, 0, 3, 4], dot[:, 1, 0, 8] = 1, 1
    random = torch.Generator().manual_seed(0)
    moved = shifted(dot, 2, random)
    assert moved.shape == dot.shape and bool((moved[:, 0].sum((1, 2)) == 1).all())
    positions = {divmod(int(picture.argmax()), 9) for picture in moved[:, 0]}
    assert len(positions) > 15  # of 25
    assert {row for row, _ in positions} == {1, 2, 3, 4, 5} and {column for _, column in positions} == {2, 3, 4, 5, 6}
    rows, columns = (moved[:, 0].flatten(1).argmax(1) // 9 - 3), (moved[:, 0].flatten(1).argmax(1) % 9 - 4)
    stays = (rows >= 0) & (columns <= 0)  # the other channel moves along, and out of the picture
    assert torch.equal(moved[:, 1].sum((1, 2)) == 1, stays) and 0 < stays.sum() < 64
    assert torch.equal(shifted(dot, 0, random), dot)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ImageError, match="pictures are 2 x 3 x 12 x 12; this classifier expects 2 x 1 x 12 x 12"):
        tiny()(torch.zeros(2, 3, SIDE, SIDE))
    with pytest.raises(OptionError, match="classes are 0"):
        Classifier(0)
    with pytest.raises(OptionError, match="pictures are 3×28; a classifier needs 4×4 pixels at least"):
        Classifier(CLASSES, 1, (3, 28))
