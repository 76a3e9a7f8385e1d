"""Evaluation of generators of known quality, of classifiers, with monitors of the caller, and the command line."""

import copy
import json
import math
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bars import CLASSES, SIDE, Labeled, bars, schooled
from impasto.api.evaluate import Evaluation, iter_evaluate
from impasto.checkpoints.classifier import digest
from impasto.checkpoints.files import MODEL, load_state, save_state
from impasto.cli.main import main
from impasto.data.arrays import Sets, read_sets, small_set
from impasto.errors import FileExists, ImageError, OptionError, UnknownName
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Done, Measured, Note, Saved, Started, Step
from impasto.inference.generator import Autoencoder, Generator
from impasto.networks.autoencoder import VAE
from impasto.networks.generators import Discriminator, GeneratorNetwork
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.gan.recipe import GANRecipe
from impasto.recipes.vae.options import VAEOptions
from impasto.reports.tables import evaluation_tables
from impasto.training.loop import iter_train
from impasto.training.monitor import Measurement
from trainings import iter_classifier, iter_gan, iter_vae

QUICK = EvaluateOptions(count=150, classifier_steps=60, device="cpu")


class Printer(nn.Module):
    """A generator that returns stored pictures: the first number of z selects one, among those of the label if any."""

    def __init__(self, pictures, labels=None, classes=0):
        super().__init__()
        self.shape, self.latent, self.classes, self.settings = tuple(pictures.shape[1:]), 3, classes, {}
        self.register_buffer("pictures", pictures.float() / 255)
        self.stored_labels = labels
        self.anchor = nn.Parameter(torch.zeros(1))

    def decode(self, codes, labels=None):
        fractions = torch.special.ndtr(codes[:, 0])
        if labels is None:
            return self.pictures[(fractions * len(self.pictures)).long().clamp_max(len(self.pictures) - 1)]
        stored = [self.pictures[self.stored_labels == label] for label in labels.tolist()]
        return torch.stack([some[int(one * len(some))] for some, one in zip(stored, fractions, strict=True)])


class Copier(Printer):
    """An autoencoder whose reconstructions are one gray level of 255 too bright where that is possible."""

    def encode(self, pictures):
        self.seen = pictures
        return torch.full((len(pictures), 3), math.nan)

    def decode(self, codes, labels=None):
        return (self.seen + 1 / 255).clamp_max(1) if bool(codes.isnan().all()) else super().decode(codes, labels)


def maker(network, kind="generator", **header):
    told = {"network": kind, "step": 7, "options": {"crop": 0}, **header}
    model = Autoencoder if hasattr(network, "encode") else Generator
    return model(network, told, path=Path("made.safetensors"))


@pytest.fixture(scope="module")
def sets():
    (train, labels), (test, held) = bars(400, seed=3), bars(200, seed=4)
    return Sets(*(small_set(part.permute(0, 2, 3, 1), some) for part, some in ((train, labels), (test, held))))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One folder for classifiers, so that only the first test waits for one."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def surroundings(home, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def found(events):
    (measured,) = [event for event in events if isinstance(event, Measured)]
    return json.loads(json.dumps(measured.found))


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


# --- generators of known quality ---------------------------------------------------------------------


def test_a_perfect_generator_lies_near_the_real_anchor(sets):
    told = found(iter_evaluate(maker(Printer(bars(5000, seed=5)[0])), sets, QUICK))
    generated, real, one = (told["sets"][name] for name in ("generated", "real", "one class"))
    assert list(told["sets"]) == ["generated", "real", "one class"]
    assert generated["pictures"] == real["pictures"] == 150 and generated["classes"] == CLASSES
    assert generated["frechet"] < 3 * real["frechet"] < 0.2 * one["frechet"]
    for name in ("precision", "recall", "density", "coverage", "confidence", "spread"):
        assert generated[name] == pytest.approx(real[name], abs=0.1, rel=0.1), name
    assert generated["kl"] < 0.05 and generated["copies"] == 0 and generated["garbage"] == 0
    assert "reconstruction" not in told and "asked" not in told and "modes" not in told


def test_a_generator_of_one_class_lies_near_the_other_anchor(sets):
    pictures, labels = bars(3000, seed=5)
    told = found(iter_evaluate(maker(Printer(pictures[labels == 2])), sets, QUICK))
    generated, real, one = (told["sets"][name] for name in ("generated", "real", "one class"))
    assert generated["frechet"] > 0.5 * one["frechet"] > 10 * real["frechet"]
    assert (
        generated["classes"] == 1
        and generated["top_share"] == 1
        and generated["kl"] == pytest.approx(math.log(CLASSES))
    )
    assert generated["shares"] == [0, 0, 1, 0]
    assert generated["precision"] > 0.85 and generated["recall"] < 0.5 and generated["coverage"] < 0.5
    assert generated["spread"] == pytest.approx(one["spread"], rel=0.3)


def test_a_conditional_vae_encodes_with_labels(sets):
    class Reader(VAE):
        def encode(self, pictures, labels=None):
            for picture, label in zip(pictures, labels, strict=True):
                same = [int((one == (255 * picture).round().byte()).all()) for one in sets.test.images]
                assert int(sets.test.labels[same.index(1)]) == label
            return super().encode(pictures, labels)

    told = found(iter_evaluate(maker(Reader(sets.test.shape, 4, classes=CLASSES), "vae"), sets, QUICK))
    assert told["reconstruction"]["pictures"] == 150 and told["asked"]["right"] < 0.6


def test_a_generator_that_memorized_is_detected(sets):
    told = found(iter_evaluate(maker(Printer(sets.train.images)), sets, QUICK))
    assert told["sets"]["generated"]["copies"] == 1 and told["sets"]["generated"]["nearest"] == 0


def test_the_conditions_are_in_the_result(sets):
    events = list(iter_evaluate(maker(Printer(sets.test.images), results={"mse": 1}), sets, QUICK))
    told = found(events)
    assert told["model"] == {"path": "made.safetensors", "sha256": None, "network": "custom", "step": 7}
    assert told["compared"] == {"generated": 150, "training": 400, "held_out": 200, "neighbors": 5}
    assert EvaluateOptions(**told["options"]) == QUICK and told["results"] == {"mse": 1} and told["device"] == "cpu"
    assert told["torch"] == torch.__version__ and told["pictures"] is None
    about = told["classifier"]
    assert about["held"] == 200 and about["accuracy"] > 0.95
    assert told["features"] == (
        f"classifier {about['digest']} of 4 classes, {about['accuracy']:.1%} right on 200 held out"
    )
    done = events[-1]
    assert isinstance(done, Done) and (done.steps, done.unit) == (150, "picture")
    assert done.image.shape == (1, 3, SIDE, 8 * SIDE) and done.image.max() <= 1


def test_the_seed_determines_the_samples(sets):
    one, again, other = (
        found(iter_evaluate(maker(Printer(bars(900)[0])), sets, QUICK.changed(seed=seed))) for seed in (0, 0, 1)
    )
    assert one == again and one["sets"]["generated"]["shares"] != other["sets"]["generated"]["shares"]
    assert one["classifier"] == other["classifier"]


def test_reconstructions_are_measured_too(sets):
    pictures, labels = bars(3000, seed=5)
    told = found(iter_evaluate(maker(Copier(pictures[labels == 1]), "vae"), sets, QUICK))
    back, generated = told["sets"]["reconstructed"], told["sets"]["generated"]
    assert list(told["sets"]) == ["generated", "reconstructed", "real", "one class"]
    assert told["reconstruction"] == {"mse": pytest.approx(1 / 255**2, rel=1e-3), "pictures": 150}
    assert back["kl"] < 0.05 and back["frechet"] < 0.1 * generated["frechet"]
    assert told["prior_hole"] == pytest.approx(generated["frechet"] - back["frechet"])


def test_samples_of_a_class_conditional_network_have_the_right_class(sets):
    pictures, labels = bars(2000, seed=5)
    good = found(iter_evaluate(maker(Printer(pictures, labels, CLASSES)), sets, QUICK))
    assert good["asked"]["right"] > 0.98 and min(good["asked"]["by_class"]) > 0.95
    assert good["sets"]["generated"]["kl"] < 0.001  # 150 in turns of four
    swapped = torch.tensor([1, 0, 2, 3])[labels]
    bad = found(iter_evaluate(maker(Printer(pictures, swapped, CLASSES)), sets, QUICK))
    assert bad["asked"]["right"] == pytest.approx(0.5, abs=0.03) and bad["asked"]["by_class"][0] < 0.05
    fewer = found(iter_evaluate(maker(Printer(pictures, labels, 3)), sets, QUICK))
    assert "asked" not in fewer  # its classes are not those of the set


def test_classes_have_names(sets):
    names = ("rows", "columns", "slants", "others")
    told = found(
        iter_evaluate(maker(Printer(sets.test.images)), Sets(*(replace(part, names=names) for part in sets)), QUICK)
    )
    assert told["classes"] == list(names)
    assert [row[0] for row in evaluation_tables(told)[1].rows] == list(names)


def test_stacked_pictures_have_modes(sets):
    random = torch.Generator().manual_seed(0)
    digits, labels = bars(3000, seed=5)
    three = torch.randint(3000, (3000, 3), generator=random)
    options = QUICK.changed(stacked=True, stacked_count=2000)
    good = found(iter_evaluate(maker(Printer(digits[three, 0])), sets, options))["modes"]
    assert list(good) == ["generated", "real", "one mode"]
    assert good["generated"]["covered"] == good["real"]["covered"] == good["generated"]["modes"] == 64
    assert good["one mode"]["covered"] == 1 and good["generated"]["samples"] == 2000
    assert good["generated"]["kl"] < 0.1 < 4 < good["one mode"]["kl"] and good["generated"]["high_quality"] > 0.98
    red = torch.where(labels == 0)[0]
    three[:, 0] = red[three[:, 0] % len(red)]
    worse = found(iter_evaluate(maker(Printer(digits[three, 0])), sets, options))
    assert worse["modes"]["generated"]["covered"] == 16 and "sets" not in worse
    with pytest.raises(OptionError, match="generates pictures of 1×12×12, .* Leave out --stacked"):
        iter_evaluate(maker(Printer(digits)), sets, options)


def test_sets_without_labels_are_compared_by_their_pixels(sets):
    plain = Sets(*(small_set(part.images.permute(0, 2, 3, 1)) for part in sets))
    pictures, labels = bars(3000, seed=5)
    events = list(iter_evaluate(maker(Printer(pictures)), plain, QUICK))
    assert notes(events)[0].startswith("there are no classes, so pictures are compared by the principal components of")
    told = found(events)
    alike = Sets(*(small_set(part.images.permute(0, 2, 3, 1), [3] * len(part)) for part in sets))
    assert found(iter_evaluate(maker(Printer(pictures)), alike, QUICK))["sets"] == told["sets"]
    generated, real, cluster = (told["sets"][name] for name in ("generated", "real", "one cluster"))
    assert told["features"].startswith("principal components of pixels") and told["classifier"] is None
    assert "kl" not in generated and generated["frechet"] < 3 * real["frechet"] < 0.5 * cluster["frechet"]
    assert generated["recall"] == pytest.approx(real["recall"], abs=0.1) and cluster["recall"] < 0.5
    one = found(iter_evaluate(maker(Printer(pictures[labels == 0])), plain, QUICK))["sets"]["generated"]
    assert (
        one["frechet"] > 5 * generated["frechet"] and one["recall"] < 0.6 and one["spread"] < 0.8 * generated["spread"]
    )
    with pytest.raises(OptionError, match="these pictures have no labels; name others"):
        stacked = maker(Printer(pictures[:6].view(2, 3, SIDE, SIDE)))
        list(iter_evaluate(stacked, plain, QUICK.changed(stacked=True)))


# --- the classifier ------------------------------------------------------------------------------


def test_a_classifier_is_trained_once_for_each_set(sets, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "own"))
    network, options = maker(Printer(sets.test.images)), QUICK.changed(classifier_steps=5)
    first = list(iter_evaluate(network, sets, options))
    steps = [event for event in first if isinstance(event, Step) and event.phase == "train"]
    assert isinstance(first[0], Started) and len(steps) == 5 and first[0].run == tmp_path / "own" / "classifiers"
    assert not [event for event in first if isinstance(event, Saved)]
    (kept,) = (tmp_path / "own" / "classifiers").iterdir()  # and nothing else is left
    again = list(iter_evaluate(network, sets, options))
    assert found(again) == found(first) and not [
        event for event in again if isinstance(event, Step) and event.phase == "train"
    ]
    kept.write_bytes(kept.read_bytes()[:1000])
    third = list(iter_evaluate(network, sets, options))
    assert notes(third)[0] == f"{kept} is damaged; training another classifier" and found(third) == found(first)
    others = Sets(small_set(sets.train.images.permute(0, 2, 3, 1), (sets.train.labels + 1) % 4), sets.test)
    list(iter_evaluate(network, others, options))
    assert len(list(kept.parent.iterdir())) == 2


def test_closing_it_early_leaves_nothing(sets, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "own"))
    events = iter_evaluate(maker(Printer(sets.test.images)), sets, QUICK)
    next(event for event in events if isinstance(event, Step) and event.phase == "train")
    events.close()
    assert list((tmp_path / "own" / "classifiers").iterdir()) == []


def test_a_classifier_of_the_caller(sets, tmp_path):
    options = ClassifierOptions(steps=40, learning_rate=1e-2, device="cpu", preview_seconds=1e9)
    list(iter_classifier(sets, options, run=tmp_path / "own"))
    told = found(iter_evaluate(maker(Printer(sets.test.images)), sets, QUICK.changed(classifier=str(tmp_path / "own"))))
    assert told["classifier"]["accuracy"] == load_state(tmp_path / "own" / "model.safetensors")[1]["accuracy"] > 0.9
    save_state("bars", dict(schooled().state_dict()), {"network": "classifier", "settings": schooled().settings})
    told = found(iter_evaluate(maker(Printer(sets.test.images)), sets, QUICK.changed(classifier="bars")))
    assert told["classifier"] == {"digest": digest(schooled()), "accuracy": None, "held": 0, "own": False}
    assert told["features"] == f"classifier {digest(schooled())} of 4 classes"
    wide = Sets(*(small_set(np.zeros((20, 16, 16), np.uint8), [0, 1] * 10) for _ in range(2)))
    with pytest.raises(OptionError, match="bars is a classifier of pictures of 1×12×12; expected one for 1×16×16"):
        list(iter_evaluate(maker(Printer(wide.train.images)), wide, QUICK.changed(classifier="bars")))


def test_the_classifier_of_the_monitor_measures_again(sets, tmp_path):
    """So that distances are those of its log; any other file of that name is left alone."""
    options = GANOptions(
        steps=40, hidden=(16,), latent=4, watch_steps=20, watch_pictures=100, device="cpu", preview_seconds=1e9
    )
    list(iter_gan(sets, options, run="run"))
    header = load_state("run/model.safetensors")[1]
    watcher = header["results"]["classifier"]
    alone = QUICK.changed(count=100, seed=2)  # of the latent codes with which a monitor finishes
    told = found(iter_evaluate("run", sets, alone))
    assert told["classifier"]["digest"] == watcher and told["classifier"]["own"] is True
    assert told["features"].startswith(f"classifier {watcher} of 4 classes, ")
    assert told["features"].endswith("right on 200 held out, which monitored its training")
    assert told["sets"]["generated"]["frechet"] == pytest.approx(header["results"]["frechet"], rel=1e-4)
    save_state(
        "own.safetensors", dict(schooled().state_dict()), {"network": "classifier", "settings": schooled().settings}
    )
    events = list(iter_evaluate("run", sets, alone.changed(classifier="own.safetensors")))
    assert found(events)["classifier"]["digest"] == digest(schooled())
    warning = f"classifier {watcher} monitored the training; the distances in its log are not comparable with these"
    assert warning in notes(events)
    told = found(iter_evaluate(maker(Printer(sets.test.images)), sets, QUICK.changed(classifier="run")))
    assert told["classifier"]["digest"] == watcher  # the folder's own network is none
    again = list(iter_gan(sets, options.changed(steps=1, classifier="run"), run="again"))
    assert load_state("again/model.safetensors")[1]["results"]["classifier"] == watcher
    assert not [event for event in again if isinstance(event, Note) and event.text.startswith("a classifier")]
    assert found(iter_evaluate("again", sets, alone))["classifier"]["own"] is True
    shutil.copy("own.safetensors", "run/classifier.safetensors")  # of another training
    events = list(iter_evaluate("run", sets, alone))
    assert found(events)["classifier"]["digest"] not in (watcher, digest(schooled())) and warning in notes(events)


def test_batches_for_it_have_labels(sets):
    data, small = sets.train.labeled(), sets.train
    pictures, labels = data.batch([3, 399, 400])
    assert torch.equal(pictures, small.batch([3, 399, 400]))
    indices = small.numbers([3, 399, 400])
    assert torch.equal(labels, small.labels[indices])
    relabeled = small_set(small.images.permute(0, 2, 3, 1), (small.labels + 1) % 4).labeled()
    assert data.fingerprint == small.labeled().fingerprint != relabeled.fingerprint
    assert Labeled(*bars(4)).batch([0])[0].shape == data.batch([0])[0].shape


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (None, "the set has no labels; expected a folder for each class"),
        ([0] * 9, "labels are from 0 to 0; expected two classes or more"),
        ([0, 10**9] + [0] * 7, "labels are from 0 to 1000000000"),
    ],
)
def test_labels_that_make_no_classes_are_refused(labels, text, tmp_path):
    odd = small_set(np.zeros((9, 8, 8), np.uint8), labels)
    with pytest.raises(ImageError, match=text):
        iter_classifier(Sets(odd, odd), ClassifierOptions(device="cpu"), run=tmp_path / "run")


def test_a_folder_of_one_class_has_one_class(tmp_path):
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    for index in range(3):
        Image.new("RGB", (16, 16), (80 * index, 0, 0)).save(tmp_path / "pictures" / "cats" / f"{index}.png")
    sets = read_sets(tmp_path / "pictures", crop=8)
    assert sets.train.labels.tolist() == [0, 0] and sets.train.names == ("cats",)
    with pytest.raises(ImageError, match=r"the set has only one class, cats; expected two or more\.$"):
        iter_classifier(sets, ClassifierOptions(device="cpu"), run=tmp_path / "run")


def test_a_set_is_compared_by_the_names_of_its_classes(sets, tmp_path):
    train, test = (replace(part, names=tuple(f"class {index}" for index in range(CLASSES))) for part in sets)
    options = ClassifierOptions(steps=40, learning_rate=1e-2, device="cpu", preview_seconds=1e9)
    list(iter_classifier(Sets(train, test), options, run=tmp_path / "own"))
    only = test.labels == 2
    last = replace(test, images=test.images[only], labels=torch.zeros(int(only.sum())).long(), names=("class 2",))
    assert found(iter_evaluate(tmp_path / "own", Sets(last, last), QUICK))["by_class"][2] > 0.9
    other = replace(last, names=("dogs",))
    with pytest.raises(OptionError, match=r"the set has the class dogs; .*own.* knows class 0, class 1, "):
        iter_evaluate(tmp_path / "own", Sets(other, other), QUICK)


# --- classifiers, and monitors of the caller ---------------------------------------------------------


def test_a_classifier_is_measured_on_the_test_set(sets, tmp_path):
    options = ClassifierOptions(steps=40, learning_rate=1e-2, device="cpu", preview_seconds=1e9)
    list(iter_classifier(sets, options, run=tmp_path / "own"))
    events = list(iter_evaluate(tmp_path / "own", sets, QUICK))
    told = found(events)
    assert told["accuracy"] == pytest.approx(load_state(tmp_path / "own" / MODEL)[1]["accuracy"])
    assert told["accuracy"] > 0.9 and sum(told["shares"]) == pytest.approx(1)
    labels = sets.test.labels.clone()
    labels[torch.where(labels == 2)[0][:20]] = 1  # 20 of class 1 are wrong
    odd = Sets(sets.train, small_set(sets.test.images.permute(0, 2, 3, 1), labels))
    wrong = found(iter_evaluate(tmp_path / "own", odd, QUICK))
    assert wrong["accuracy"] == pytest.approx(told["accuracy"] - 0.1, abs=0.01) and wrong["shares"] == told["shares"]
    count = int((labels == 1).sum())
    assert wrong["by_class"][1] == pytest.approx(1 - 20 / count, abs=0.05)
    assert told["model"]["network"] == "classifier" and events[-1].steps == told["compared"]["held_out"] == 200
    (table,) = [one for one in Evaluation(told).tables() if one.headings[0] == "class"]
    assert table.rows[0][:2] == ("all", f"{told['accuracy']:.1%}") and len(table.rows) == 1 + CLASSES
    plain = Sets(*(small_set(part.images.permute(0, 2, 3, 1)) for part in sets))
    with pytest.raises(OptionError, match="the test pictures have no labels"):
        iter_evaluate(tmp_path / "own", plain, QUICK)
    more = Sets(sets.train, small_set(sets.test.images.permute(0, 2, 3, 1), sets.test.labels + 1))
    with pytest.raises(OptionError, match="labels are from 1 to 4; expected 0 to 3"):
        iter_evaluate(tmp_path / "own", more, QUICK)
    with pytest.raises(OptionError, match="does not say its training set"):
        iter_evaluate(tmp_path / "own", options=QUICK)


class Brightness:
    """A monitor of the caller, without a base class: the brightness of samples."""

    every = 5

    def prepare(self):
        yield Note("ready")

    def measure(self, step, models):
        value = float(models["generator"](20, seed=1).mean())
        return Measurement(value, {"brightness": value})

    def finish(self, models):
        value = float(models["generator"](20, seed=1).mean())
        return {"brightness": value}, [f"brightness {value:.2f}"]

    def state(self):
        return {}

    def restore(self, state):
        assert not state


def test_a_monitor_of_the_caller_measures_a_training_and_its_result(sets):
    options = GANOptions(steps=10, hidden=(16,), latent=4, watch_steps=0, device="cpu", preview_seconds=1e9, ema=0)
    torch.manual_seed(0)
    networks = GeneratorNetwork((1, SIDE, SIDE), 4, hidden=(16,)), Discriminator((1, SIDE, SIDE), hidden=(16,))
    recipe = GANRecipe(*networks, options, Brightness())
    events = list(iter_train(recipe, sets.train, options, run="run"))
    measured = {
        event.step: event.measures
        for event in events
        if isinstance(event, Step) and event.phase == "train" and event.measures
    }
    assert list(measured) == [5, 10] and notes(events)[-1].startswith("brightness 0.")
    results = load_state("run/model.safetensors")[1]["results"]
    assert results["score"] == min(one["brightness"] for one in measured.values()) == results["brightness"]
    told = list(iter_evaluate("run", options=QUICK, monitor=Brightness()))
    assert found(told)["brightness"] == pytest.approx(results["brightness"], rel=1e-6)
    assert notes(told) == ["ready", notes(events)[-1]] and found(told)["model"]["network"] == "generator"


def test_an_evaluation_is_a_mapping_with_tables(sets):
    told = found(iter_evaluate(maker(Printer(sets.test.images)), sets, QUICK))
    told["model"]["path"] = "<made>"
    result = Evaluation(told)
    assert result["sets"] is result.sets is told["sets"] and dict(result) == result.as_dict() == told
    assert [table.headings for table in result.tables()] == [one.headings for one in evaluation_tables(told)]
    with pytest.raises(AttributeError, match="this evaluation has no 'modes'; it has "):
        result.modes  # noqa: B018
    assert copy.deepcopy(result) == result and pickle.loads(pickle.dumps(result)).sets == told["sets"]
    page = result._repr_html_()
    assert "<made>" not in page and "&lt;made&gt;" in page and page.count("<table>") == len(result.tables())
    assert "Fréchet distance" in str(result) and repr(result).startswith("Evaluation of <made>: ")


# --- what can be wrong ---------------------------------------------------------------------------


def test_notes_on_what_weakens_the_measures(sets):
    options = QUICK.changed(count=500)
    weak = maker(Printer(sets.test.images), options={"crop": 0, "targets": "static"})
    told = notes(iter_evaluate(weak, sets, options))
    assert "Fréchet distances of 200 pictures are unsteady; compare them only with those of as many" in told
    assert "200 pictures are compared instead of 500: no more real ones are held out" in told
    assert "it learned from black and white pixels, and its samples are compared with gray ones" in told
    random = torch.randint(CLASSES, (400,), generator=torch.Generator().manual_seed(0))
    wrong = Sets(small_set(sets.train.images.permute(0, 2, 3, 1), random), sets.test)
    told = notes(iter_evaluate(maker(Printer(sets.test.images)), wrong, QUICK))
    assert [text for text in told if text.startswith("the classifier has an accuracy of only ")]


def test_a_broken_generator_is_refused(sets):
    network = Printer(sets.test.images)
    network.pictures[3:] = math.nan
    with pytest.raises(ImageError, match="some samples are not finite"):
        list(iter_evaluate(maker(network), sets, QUICK))


def test_everything_is_checked_before_the_start(sets, tmp_path):
    network = maker(Printer(sets.test.images))
    (tmp_path / "there.json").write_text("mine")
    with pytest.raises(FileExists, match="there.json exists already"):
        iter_evaluate(network, sets, QUICK, output="there.json")
    with pytest.raises(OptionError, match="does not say its training set; name it by --pictures"):
        iter_evaluate(network, options=QUICK)
    with pytest.raises(OptionError, match="does not say its training set"):
        iter_evaluate(network, options=QUICK.changed(stacked=True))
    with pytest.raises(UnknownName, match="'none' is not the name of a network"):
        iter_evaluate("none", options=QUICK)
    with pytest.raises(OptionError, match="count is 3; expected 10 or more"):
        EvaluateOptions(count=3)
    list(iter_evaluate(network, sets, QUICK, output="there.json", force=True))
    assert json.loads(Path("there.json").read_text())["operation"] == "evaluate"


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    """A small VAE of bars after a very short training, and the set as a file."""
    (train, labels), (test, held) = bars(120, seed=3), bars(60, seed=4)
    np.savez("bars.npz", images=train[:, 0], labels=labels, test_images=test[:, 0], test_labels=held)
    options = VAEOptions(steps=20, hidden=(16,), latent=3, importance_samples=0, device="cpu", preview_seconds=1e9)
    list(iter_vae("bars.npz", options, run="run"))
    return tmp_path / "run"


def test_the_command_in_a_process_of_its_own(trained):
    words = [sys.executable, "-m", "impasto", "evaluate", "run", "--count", "50", "--classifier-steps", "40",
             "--device", "cpu", "-o", "run/evaluation.json"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "run/evaluation.json" and lines[1].startswith("classifier ") and "of 4 classes" in lines[1]
    assert lines[2].split() == ["measure", "generated", "reconstructed", "real", "one", "class", "best"]
    told = json.loads((trained / "evaluation.json").read_text())
    assert f"{told['sets']['generated']['coverage']:.3g}" in next(line for line in lines if line.startswith("coverage"))
    assert next(line for line in lines if line.startswith("prior hole")) and any("class 3" in line for line in lines)
    assert next(line for line in lines if "negative elbo" in line)
    assert "classifier: " in done.stderr and "50 pictures in " in done.stderr
    assert told["pictures"] == "bars.npz" and told["model"]["path"] == "run/model.safetensors"
    assert told["options"]["count"] == 50 and told["compared"]["generated"] == 50
    assert "Fréchet distance" in (trained / "report.html").read_text()  # the report shows it at once
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "exists already; pass --force" in again.stderr
    done = subprocess.run([*words, "--force", "--json"], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["note", "measured", "saved", "done"]
    assert events[1]["found"] == told
    quiet = subprocess.run([*words, "--force", "--quiet"], capture_output=True, text=True, check=True)
    assert quiet.stdout == "run/evaluation.json\n" and quiet.stderr == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("nothing", "'nothing' is not the name of a network or of a style"),
        ("bars.npz", "cannot be read: it is damaged, or neither"),
        ("run --count none", "count is 'none'; expected a whole number."),
        ("run --pictures gone.npz", "gone.npz does not exist; expected a folder"),
        ("run --stacked", "Leave out --stacked."),
        ("run --classifier run", "holds no classifier"),
        ("run -o bars.npz/where.json", "bars.npz is a file; expected a folder"),
    ],
)
def test_bad_words_are_one_sentence(trained, capfd, words, sentence):
    assert main(["evaluate", *words.split(), "--device", "cpu"]) in (1, 2)
    said = capfd.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_training_set_that_is_not_found_must_be_named(trained, capfd, monkeypatch):
    (trained / "below").mkdir()
    monkeypatch.chdir(trained / "below")
    for words in (["evaluate", ".."], ["evaluate", "..", "--stacked"], ["sample", "..", "--kind", "embeddings"]):
        assert main([*words, "--device", "cpu"]) == 2
        said = capfd.readouterr().err
        assert "the training set of ../model.safetensors, bars.npz, does not exist; name it by --pictures." in said
        assert said.count("\n") == 1
    words = [
        "sample",
        "..",
        "--kind",
        "embeddings",
        "--pictures",
        "../../bars.npz",
        "--device",
        "cpu",
        "-o",
        "codes.png",
    ]
    assert main(words) == 0


def test_a_classifier_is_trained_by_a_command(trained, capfd):
    words = ["train", "classifier", "bars.npz", "--steps", "5", "--device", "cpu"]
    assert main(words) == 0
    assert capfd.readouterr().out == "classifier-bars/model.safetensors\n"
    told = load_state("classifier-bars/model.safetensors")[1]
    assert told["pictures"] == "bars.npz" and told["held"] == 60 and told["settings"]["classes"] == 4
    assert "held-out pictures" in Path("classifier-bars/report.html").read_text().lower()
    assert main([*words, "-o", "classifier-bars"]) == 2
    assert "classifier-bars is not empty; --resume goes on" in capfd.readouterr().err


def test_networks_load_with_and_without_labels(trained):
    from impasto.inference.load import load_generator

    loaded = load_generator(trained, device="cpu")
    assert isinstance(loaded.network, VAE)
    assert loaded.decode(torch.zeros(3, 3)).shape == (3, 1, SIDE, SIDE)


@pytest.mark.parametrize("command", [["evaluate"], ["train", "classifier"], ["report"]])
def test_help_shows_every_setting(monkeypatch, capfd, command):
    monkeypatch.setenv("COLUMNS", "500")
    assert main([*command, "--help-all"]) == 0
    shown = capfd.readouterr().out
    fields = {"evaluate": EvaluateOptions, "train": ClassifierOptions}.get(command[0])
    for name, field in (fields.model_fields if fields else {}).items():
        assert f"--{name.replace('_', '-')}" in shown and str(field.description).replace("`", "")[:40] in shown
    assert "--json" in shown
