"""Evaluations: makers whose quality is known, the classifier that is kept, and the command line."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bars import CLASSES, SIDE, Labeled, bars, schooled
from impasto.api.appraisal import iter_evaluate
from impasto.api.learning import iter_classifier, iter_gan, iter_vae
from impasto.checkpoints.classifier import digest
from impasto.checkpoints.files import load_state, save_state
from impasto.cli.main import main
from impasto.data.arrays import Sets, small_set
from impasto.errors import FileExists, ImageError, OptionError, WeightsError
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Began, Done, Judged, Note, Saved, Trained
from impasto.inference.generator import Maker
from impasto.networks.autoencoder import VAE
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.vae.options import VAEOptions
from impasto.reports.page import evaluation_tables

QUICK = EvaluateOptions(count=150, classifier_steps=60, device="cpu")


class Printer(nn.Module):
    """Makes pictures out of a drawer: which one, the first number decides; of what class, if it is asked."""

    def __init__(self, pictures, labels=None, classes=0):
        super().__init__()
        self.shape, self.latent, self.classes, self.settings = tuple(pictures.shape[1:]), 3, classes, {}
        self.register_buffer("pictures", pictures.float() / 255)
        self.drawer_labels = labels
        self.anchor = nn.Parameter(torch.zeros(1))

    def decode(self, codes, labels=None):
        shares = torch.special.ndtr(codes[:, 0])
        if labels is None:
            return self.pictures[(shares * len(self.pictures)).long().clamp_max(len(self.pictures) - 1)]
        drawers = [self.pictures[self.drawer_labels == label] for label in labels.tolist()]
        return torch.stack([some[int(share * len(some))] for some, share in zip(drawers, shares, strict=True)])


class Copier(Printer):
    """An autoencoder that gives everything back, one gray level of 255 too bright where it can."""

    def encode(self, pictures):
        self.seen = pictures
        return torch.full((len(pictures), 3), math.nan)

    def decode(self, codes, labels=None):
        return (self.seen + 1 / 255).clamp_max(1) if bool(codes.isnan().all()) else super().decode(codes, labels)


def maker(network, kind="generator", **header):
    told = {"network": kind, "step": 7, "options": {"crop": 0}, **header}
    return Maker(network, told, Path("made.safetensors"))


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
    (judged,) = [event for event in events if isinstance(event, Judged)]
    return json.loads(json.dumps(judged.found))


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


# --- makers of known quality ---------------------------------------------------------------------


def test_a_perfect_maker_lies_near_the_real_anchor(sets):
    told = found(iter_evaluate(maker(Printer(bars(5000, seed=5)[0])), QUICK, pictures=sets))
    made, real, one = (told["sets"][name] for name in ("made", "real", "one class"))
    assert list(told["sets"]) == ["made", "real", "one class"]
    assert made["pictures"] == real["pictures"] == 150 and made["classes"] == CLASSES
    assert made["frechet"] < 3 * real["frechet"] < 0.2 * one["frechet"]
    for name in ("precision", "recall", "density", "coverage", "confidence", "spread"):
        assert made[name] == pytest.approx(real[name], abs=0.1, rel=0.1), name
    assert made["kl"] < 0.05 and made["copies"] == 0 and made["garbage"] == 0
    assert "reconstruction" not in told and "asked" not in told and "modes" not in told


def test_a_maker_of_one_class_lies_near_the_other_anchor(sets):
    pictures, labels = bars(3000, seed=5)
    told = found(iter_evaluate(maker(Printer(pictures[labels == 2])), QUICK, pictures=sets))
    made, real, one = (told["sets"][name] for name in ("made", "real", "one class"))
    assert made["frechet"] > 0.5 * one["frechet"] > 10 * real["frechet"]
    assert made["classes"] == 1 and made["top_share"] == 1 and made["kl"] == pytest.approx(math.log(CLASSES))
    assert made["shares"] == [0, 0, 1, 0]
    assert made["precision"] > 0.85 and made["recall"] < 0.5 and made["coverage"] < 0.5
    assert made["spread"] == pytest.approx(one["spread"], rel=0.3)


def test_a_network_that_reads_is_told_the_classes_of_what_it_reads(sets):
    class Reader(VAE):
        def encode(self, pictures, labels=None):
            for picture, label in zip(pictures, labels, strict=True):
                same = [int((one == (255 * picture).round().byte()).all()) for one in sets.test.images]
                assert int(sets.test.labels[same.index(1)]) == label
            return super().encode(pictures, labels)

    told = found(iter_evaluate(maker(Reader(sets.test.shape, 4, classes=CLASSES), "vae"), QUICK, pictures=sets))
    assert told["reconstruction"]["pictures"] == 150 and told["asked"]["right"] < 0.6


def test_a_maker_that_learned_by_heart_is_seen(sets):
    told = found(iter_evaluate(maker(Printer(sets.train.images)), QUICK, pictures=sets))
    assert told["sets"]["made"]["copies"] == 1 and told["sets"]["made"]["nearest"] == 0


def test_the_conditions_are_told(sets):
    events = list(iter_evaluate(maker(Printer(sets.test.images), results={"mse": 1}), QUICK, pictures=sets))
    told = found(events)
    assert told["model"] == {"path": "made.safetensors", "sha256": None, "network": "generator", "step": 7}
    assert told["compared"] == {"made": 150, "training": 400, "held_out": 200, "neighbors": 5}
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


def test_another_seed_makes_other_pictures_and_the_same_seed_the_same(sets):
    one, again, other = (
        found(iter_evaluate(maker(Printer(bars(900)[0])), QUICK.changed(seed=seed), pictures=sets))
        for seed in (0, 0, 1)
    )
    assert one == again and one["sets"]["made"]["shares"] != other["sets"]["made"]["shares"]
    assert one["classifier"] == other["classifier"]


def test_what_comes_back_is_measured_too(sets):
    pictures, labels = bars(3000, seed=5)
    told = found(iter_evaluate(maker(Copier(pictures[labels == 1]), "vae"), QUICK, pictures=sets))
    back, made = told["sets"]["reconstructed"], told["sets"]["made"]
    assert list(told["sets"]) == ["made", "reconstructed", "real", "one class"]
    assert told["reconstruction"] == {"mse": pytest.approx(1 / 255**2, rel=1e-3), "pictures": 150}
    assert back["kl"] < 0.05 and back["frechet"] < 0.1 * made["frechet"]
    assert told["prior_hole"] == pytest.approx(made["frechet"] - back["frechet"])


def test_a_conditional_network_is_asked_for_each_class_in_turn(sets):
    pictures, labels = bars(2000, seed=5)
    good = found(iter_evaluate(maker(Printer(pictures, labels, CLASSES)), QUICK, pictures=sets))
    assert good["asked"]["right"] > 0.98 and min(good["asked"]["by_class"]) > 0.95
    assert good["sets"]["made"]["kl"] < 0.001  # 150 in turns of four
    swapped = torch.tensor([1, 0, 2, 3])[labels]
    bad = found(iter_evaluate(maker(Printer(pictures, swapped, CLASSES)), QUICK, pictures=sets))
    assert bad["asked"]["right"] == pytest.approx(0.5, abs=0.03) and bad["asked"]["by_class"][0] < 0.05
    fewer = found(iter_evaluate(maker(Printer(pictures, labels, 3)), QUICK, pictures=sets))
    assert "asked" not in fewer  # its classes are not those of the set


def test_classes_are_called_by_name(sets):
    names = ("rows", "columns", "slants", "others")
    told = found(
        iter_evaluate(
            maker(Printer(sets.test.images)), QUICK, pictures=Sets(*(replace(part, names=names) for part in sets))
        )
    )
    assert told["classes"] == list(names)
    assert [row[0] for row in evaluation_tables(told)[1].rows] == list(names)


def test_stacked_pictures_have_modes(sets):
    random = torch.Generator().manual_seed(0)
    digits, labels = bars(3000, seed=5)
    three = torch.randint(3000, (3000, 3), generator=random)
    options = QUICK.changed(stacked=True, stacked_count=2000)
    good = found(iter_evaluate(maker(Printer(digits[three, 0])), options, pictures=sets))["modes"]
    assert list(good) == ["made", "real", "one mode"]
    assert good["made"]["covered"] == good["real"]["covered"] == good["made"]["modes"] == 64
    assert good["one mode"]["covered"] == 1 and good["made"]["samples"] == 2000
    assert good["made"]["kl"] < 0.1 < 4 < good["one mode"]["kl"] and good["made"]["high_quality"] > 0.98
    red = torch.where(labels == 0)[0]
    three[:, 0] = red[three[:, 0] % len(red)]
    worse = found(iter_evaluate(maker(Printer(digits[three, 0])), options, pictures=sets))
    assert worse["modes"]["made"]["covered"] == 16 and "sets" not in worse
    with pytest.raises(OptionError, match="makes pictures of 1×12×12, .* Leave out --stacked"):
        iter_evaluate(maker(Printer(digits)), options, pictures=sets)


def test_sets_without_labels_are_compared_by_their_pixels(sets):
    plain = Sets(*(small_set(part.images.permute(0, 2, 3, 1)) for part in sets))
    pictures, labels = bars(3000, seed=5)
    events = list(iter_evaluate(maker(Printer(pictures)), QUICK, pictures=plain))
    assert notes(events)[0].startswith("the pictures have no labels, or all the same, so there are no classes: they")
    told = found(events)
    alike = Sets(*(small_set(part.images.permute(0, 2, 3, 1), [3] * len(part)) for part in sets))
    assert found(iter_evaluate(maker(Printer(pictures)), QUICK, pictures=alike))["sets"] == told["sets"]
    made, real, kind = (told["sets"][name] for name in ("made", "real", "one kind"))
    assert told["features"].startswith("principal components of pixels") and told["classifier"] is None
    assert "kl" not in made and made["frechet"] < 3 * real["frechet"] < 0.5 * kind["frechet"]
    assert made["recall"] == pytest.approx(real["recall"], abs=0.1) and kind["recall"] < 0.5
    one = found(iter_evaluate(maker(Printer(pictures[labels == 0])), QUICK, pictures=plain))["sets"]["made"]
    assert one["frechet"] > 5 * made["frechet"] and one["recall"] < 0.6 and one["spread"] < 0.8 * made["spread"]
    with pytest.raises(OptionError, match="these pictures have no labels; name others"):
        stacked = maker(Printer(pictures[:6].view(2, 3, SIDE, SIDE)))
        list(iter_evaluate(stacked, QUICK.changed(stacked=True), pictures=plain))


# --- the classifier ------------------------------------------------------------------------------


def test_a_classifier_is_trained_once_for_each_set_and_kept(sets, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "own"))
    network, options = maker(Printer(sets.test.images)), QUICK.changed(classifier_steps=5)
    first = list(iter_evaluate(network, options, pictures=sets))
    steps = [event for event in first if isinstance(event, Trained)]
    assert isinstance(first[0], Began) and len(steps) == 5 and first[0].run == tmp_path / "own" / "classifiers"
    assert not [event for event in first if isinstance(event, Saved)]
    (kept,) = (tmp_path / "own" / "classifiers").iterdir()  # and nothing else is left
    again = list(iter_evaluate(network, options, pictures=sets))
    assert found(again) == found(first) and not [event for event in again if isinstance(event, Trained)]
    kept.write_bytes(kept.read_bytes()[:1000])
    third = list(iter_evaluate(network, options, pictures=sets))
    assert notes(third)[0] == f"{kept} is damaged; training another one" and found(third) == found(first)
    others = Sets(small_set(sets.train.images.permute(0, 2, 3, 1), (sets.train.labels + 1) % 4), sets.test)
    list(iter_evaluate(network, options, pictures=others))
    assert len(list(kept.parent.iterdir())) == 2


def test_closing_it_early_leaves_nothing(sets, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "own"))
    events = iter_evaluate(maker(Printer(sets.test.images)), QUICK, pictures=sets)
    next(event for event in events if isinstance(event, Trained))
    events.close()
    assert list((tmp_path / "own" / "classifiers").iterdir()) == []


def test_a_classifier_of_ones_own(sets, tmp_path):
    options = ClassifierOptions(steps=40, learning_rate=1e-2, device="cpu", preview_seconds=1e9)
    list(iter_classifier(sets, options, run=tmp_path / "own"))
    told = found(
        iter_evaluate(maker(Printer(sets.test.images)), QUICK.changed(classifier=str(tmp_path / "own")), pictures=sets)
    )
    assert told["classifier"]["accuracy"] == load_state(tmp_path / "own" / "model.safetensors")[1]["accuracy"] > 0.9
    save_state("bars", dict(schooled().state_dict()), {"network": "classifier", "settings": schooled().settings})
    told = found(iter_evaluate(maker(Printer(sets.test.images)), QUICK.changed(classifier="bars"), pictures=sets))
    assert told["classifier"] == {"digest": digest(schooled()), "accuracy": None, "held": 0, "own": False}
    assert told["features"] == f"classifier {digest(schooled())} of 4 classes"
    wide = Sets(*(small_set(np.zeros((20, 16, 16), np.uint8), [0, 1] * 10) for _ in range(2)))
    with pytest.raises(OptionError, match="bars looks at pictures of 1×12×12; expected one for 1×16×16"):
        list(iter_evaluate(maker(Printer(wide.train.images)), QUICK.changed(classifier="bars"), pictures=wide))


def test_the_classifier_that_watched_a_training_looks_again(sets, tmp_path):
    """So that distances are those of its log; any other file of that name is left alone."""
    options = GANOptions(
        steps=40, hidden=(16,), latent=4, watch_steps=20, watch_pictures=100, device="cpu", preview_seconds=1e9
    )
    list(iter_gan(sets, options, run="run"))
    header = load_state("run/model.safetensors")[1]
    watcher = header["results"]["classifier"]
    alone = QUICK.changed(count=100, seed=2)  # the numbers that a run ends with are drawn from this seed
    told = found(iter_evaluate("run", alone, pictures=sets))
    assert told["classifier"]["digest"] == watcher and told["classifier"]["own"] is True
    assert told["features"].startswith(f"classifier {watcher} of 4 classes, ")
    assert told["features"].endswith("right on 200 held out, which watched its training")
    assert told["sets"]["made"]["frechet"] == pytest.approx(header["results"]["frechet"], rel=1e-4)
    save_state(
        "judge.safetensors", dict(schooled().state_dict()), {"network": "classifier", "settings": schooled().settings}
    )
    events = list(iter_evaluate("run", alone.changed(classifier="judge.safetensors"), pictures=sets))
    assert found(events)["classifier"]["digest"] == digest(schooled())
    warning = f"classifier {watcher} watched its training; distances in its log are not comparable with these"
    assert warning in notes(events)
    judged = found(iter_evaluate(maker(Printer(sets.test.images)), QUICK.changed(classifier="run"), pictures=sets))
    assert judged["classifier"]["digest"] == watcher  # the folder's own network is none
    again = list(iter_gan(sets, options.changed(steps=1, classifier="run"), run="again"))
    assert load_state("again/model.safetensors")[1]["results"]["classifier"] == watcher
    assert not [event for event in again if isinstance(event, Note) and event.text.startswith("a classifier")]
    assert found(iter_evaluate("again", alone, pictures=sets))["classifier"]["own"] is True
    shutil.copy("judge.safetensors", "run/classifier.safetensors")  # of another training
    events = list(iter_evaluate("run", alone, pictures=sets))
    assert found(events)["classifier"]["digest"] not in (watcher, digest(schooled())) and warning in notes(events)


def test_batches_for_it_have_labels(sets):
    data, small = sets.train.labeled(), sets.train
    pictures, labels = data.batch([3, 399, 400])
    assert torch.equal(pictures, small.batch([3, 399, 400]))
    places = small.numbers([3, 399, 400])
    assert torch.equal(labels, small.labels[places])
    relabeled = small_set(small.images.permute(0, 2, 3, 1), (small.labels + 1) % 4).labeled()
    assert data.fingerprint == small.labeled().fingerprint != relabeled.fingerprint
    assert Labeled(*bars(4)).batch([0])[0].shape == data.batch([0])[0].shape


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (None, "the set has no labels; expected classes"),
        ([0] * 9, "labels are from 0 to 0; expected two classes or more"),
        ([-1] + [0] * 8, "labels are from -1 to 0"),
        ([0, 10**9] + [0] * 7, "labels are from 0 to 1000000000"),
    ],
)
def test_labels_that_make_no_classes_are_refused(labels, text, tmp_path):
    odd = small_set(np.zeros((9, 8, 8), np.uint8), labels)
    with pytest.raises(ImageError, match=text):
        iter_classifier(Sets(odd, odd), ClassifierOptions(device="cpu"), run=tmp_path / "run")


# --- what can be wrong ---------------------------------------------------------------------------


def test_what_weakens_the_numbers_is_said(sets):
    options = QUICK.changed(count=500)
    weak = maker(Printer(sets.test.images), options={"crop": 0, "targets": "static"})
    told = notes(iter_evaluate(weak, options, pictures=sets))
    assert "Fréchet distances of 200 pictures are unsteady; compare them only with those of as many" in told
    assert "200 pictures are compared instead of 500: there are no more real ones held out" in told
    assert "it learned from black and white pixels, and what it makes is compared with gray ones" in told
    random = torch.randint(CLASSES, (400,), generator=torch.Generator().manual_seed(0))
    wrong = Sets(small_set(sets.train.images.permute(0, 2, 3, 1), random), sets.test)
    told = notes(iter_evaluate(maker(Printer(sets.test.images)), QUICK, pictures=wrong))
    assert [text for text in told if text.startswith("the classifier names only ")]


def test_a_broken_maker_is_refused(sets):
    network = Printer(sets.test.images)
    network.pictures[3:] = math.nan
    with pytest.raises(ImageError, match="some of what it makes is not finite"):
        list(iter_evaluate(maker(network), QUICK, pictures=sets))


def test_everything_is_checked_before_anything_begins(sets, tmp_path):
    network = maker(Printer(sets.test.images))
    (tmp_path / "there.json").write_text("mine")
    with pytest.raises(FileExists, match="there.json exists already"):
        iter_evaluate(network, QUICK, pictures=sets, output="there.json")
    with pytest.raises(OptionError, match="does not say what it learned from; name the pictures"):
        iter_evaluate(network, QUICK)
    with pytest.raises(OptionError, match="does not say what it learned from"):
        iter_evaluate(network, QUICK.changed(stacked=True))
    with pytest.raises(WeightsError, match="none does not exist"):
        iter_evaluate("none", QUICK)
    with pytest.raises(OptionError, match="count is 3; expected 10 or more"):
        EvaluateOptions(count=3)
    list(iter_evaluate(network, QUICK, pictures=sets, output="there.json", force=True))
    assert json.loads(Path("there.json").read_text())["operation"] == "evaluate"


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    """A small VAE of bars, that has learned nearly nothing, and the set as a file."""
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
    assert lines[2].split() == ["measure", "made", "reconstructed", "real", "one", "class", "best"]
    told = json.loads((trained / "evaluation.json").read_text())
    assert f"{told['sets']['made']['coverage']:.3g}" in next(line for line in lines if line.startswith("coverage"))
    assert next(line for line in lines if line.startswith("prior hole")) and any("class 3" in line for line in lines)
    assert next(line for line in lines if "negative elbo" in line)
    assert "classifier: " in done.stderr and "50 pictures in " in done.stderr
    assert told["pictures"] == "bars.npz" and told["model"]["path"] == "run/model.safetensors"
    assert told["options"]["count"] == 50 and told["compared"]["made"] == 50
    assert "Fréchet distance" in (trained / "report.html").read_text()  # the report shows it at once
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "exists already; pass --force" in again.stderr
    done = subprocess.run([*words, "--force", "--json"], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["note", "judged", "saved", "done"]
    assert events[1]["found"] == told
    quiet = subprocess.run([*words, "--force", "--quiet"], capture_output=True, text=True, check=True)
    assert quiet.stdout == "run/evaluation.json\n" and quiet.stderr == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("nothing", "nothing does not exist; expected a network of"),
        ("bars.npz", "cannot be read: it is damaged, or neither"),
        ("run --count none", "count is 'none'; expected a whole number."),
        ("run --pictures gone.npz", "gone.npz does not exist; expected a folder"),
        ("run --stacked", "Leave out --stacked."),
        ("run --classifier run", "holds no classifier"),
        ("run -o no/where.json", "there is no folder no"),
    ],
)
def test_bad_words_are_one_sentence(trained, capfd, words, sentence):
    assert main(["evaluate", *words.split(), "--device", "cpu"]) in (1, 2)
    said = capfd.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_set_that_was_named_from_another_folder_is_asked_for(trained, capfd, monkeypatch):
    (trained / "below").mkdir()
    monkeypatch.chdir(trained / "below")
    for words in (["evaluate", ".."], ["evaluate", "..", "--stacked"], ["sample", "..", "--kind", "codes"]):
        assert main([*words, "--device", "cpu"]) == 2
        said = capfd.readouterr().err
        assert "../model.safetensors learned from bars.npz, which is not there; name where it is by --pictures." in said
        assert said.count("\n") == 1
    words = ["sample", "..", "--kind", "codes", "--pictures", "../../bars.npz", "--device", "cpu", "-o", "codes.png"]
    assert main(words) == 0


def test_a_classifier_is_trained_by_a_command(trained, capfd):
    words = ["train", "classifier", "bars.npz", "--steps", "5", "--device", "cpu"]
    assert main(words) == 0
    assert capfd.readouterr().out == "classifier/model.safetensors\n"
    told = load_state("classifier/model.safetensors")[1]
    assert told["pictures"] == "bars.npz" and told["held"] == 60 and told["settings"]["classes"] == 4
    assert "held-out pictures" in Path("classifier/report.html").read_text().lower()
    assert main(words) == 2 and "classifier is not empty; --resume goes on" in capfd.readouterr().err


def test_networks_load_with_and_without_labels(trained):
    from impasto.inference.generator import load_maker

    loaded = load_maker(trained)
    assert isinstance(loaded.network, VAE)
    assert loaded.make(torch.zeros(3, 3)).shape == (3, 1, SIDE, SIDE)


@pytest.mark.parametrize("command", [["evaluate"], ["train", "classifier"], ["report"]])
def test_help_shows_every_setting(monkeypatch, capfd, command):
    monkeypatch.setenv("COLUMNS", "500")
    assert main([*command, "--help"]) == 0
    shown = capfd.readouterr().out
    fields = {"evaluate": EvaluateOptions, "train": ClassifierOptions}.get(command[0])
    for name, field in (fields.model_fields if fields else {}).items():
        assert f"--{name.replace('_', '-')}" in shown and str(field.description).replace("`", "")[:40] in shown
    assert "--json" in shown
