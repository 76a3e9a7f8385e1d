"""GANs: losses by hand, the order of a step, training, monitors, resume, and the command line."""

import json
import math
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bars import CLASSES, SIDE, bars, schooled
from impasto.checkpoints.classifier import digest
from impasto.checkpoints.files import CHECKPOINT, CLASSIFIER, MODEL, load_state, save_state
from impasto.cli.main import main
from impasto.data.arrays import Sets, SmallSet
from impasto.data.synthetic import ring
from impasto.errors import CheckpointError, ImageError, OptionError, UnknownName, WeightsError
from impasto.evaluation.monitors import ClassMonitor, MixtureMonitor, PixelMonitor, count_classes, make_monitor
from impasto.events import Note, Started, Step
from impasto.inference.load import load_generator
from impasto.losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from impasto.metrics.classifier import classify
from impasto.networks.generators import Discriminator, GeneratorNetwork
from impasto.ops.augment import augmented, cut_out, recolored, translated
from impasto.recipes.classifier.train_beside import train_classifier
from impasto.recipes.dcgan.options import DCGANOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.gan.recipe import GANRecipe
from impasto.recipes.vae.options import VAEOptions
from impasto.training.loop import iter_train
from impasto.training.monitor import Measurement
from trainings import iter_dcgan, iter_gan, iter_vae

QUICK = {
    "device": "cpu",
    "save_seconds": 1e9,
    "preview_seconds": 1e9,
    "batch": 16,
    "latent": 6,
    "ema": 0.9,
    "schedule": "constant",
}
WATCHED = {"watch_steps": 10, "watch_pictures": 100}
MONITORED = {
    "every": 10, "count": 100, "device": "cpu", "path": None, "seed": 0, "train_classifier": train_classifier
}  # fmt: skip


def labeled(count, seed, size=SIDE):
    return SmallSet(*bars(count, seed, size))


@pytest.fixture(scope="module")
def sets():
    return Sets(labeled(200, 1), labeled(60, 2))


@pytest.fixture(scope="module")
def unlabeled(sets):
    return Sets(SmallSet(sets.train.images), SmallSet(sets.test.images))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "bars.safetensors"
    net = schooled()
    save_state(path, net.state_dict(), {"network": "classifier", "settings": net.settings})
    return str(path)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def steps(events):
    return [event for event in events if isinstance(event, Step) and event.phase == "train"]


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


# --- losses --------------------------------------------------------------------------------------


def test_the_games_losses_by_hand():
    """D(x) is 1/2 and 3/4, D(G(z)) is 1/4."""
    real, fake = (torch.tensor(one, dtype=torch.float64) for one in ([0.0, math.log(3)], [-math.log(3)]))
    told = -(math.log(0.5) + math.log(0.75)) / 2 - math.log(0.75)
    for kind in ("nonsaturating", "saturating"):
        assert discriminator_loss(real, fake, kind).item() == pytest.approx(told, rel=1e-12)
    assert generator_loss(fake, "nonsaturating").item() == pytest.approx(-math.log(0.25), rel=1e-12)
    assert generator_loss(fake, "saturating").item() == pytest.approx(math.log(0.75), rel=1e-12)
    blind = torch.zeros(3).double()
    assert discriminator_loss(blind, blind).item() == pytest.approx(math.log(4), rel=1e-12)


def test_hinge_by_hand():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([-3.0, 0.25])
    assert discriminator_loss(real, fake, "hinge").item() == pytest.approx((0.5 + 0) / 2 + (0 + 1.25) / 2)
    assert generator_loss(fake, "hinge").item() == pytest.approx(2.75 / 2)


def test_the_saturating_loss_saturates_and_the_other_does_not():
    """Where the discriminator is sure, D(G(z)) = s: gradients are s and 1 - s."""
    for kind, wanted in (("saturating", -1 / (1 + math.exp(8))), ("nonsaturating", -1 / (1 + math.exp(-8)))):
        logit = torch.tensor([-8.0], dtype=torch.float64, requires_grad=True)
        generator_loss(logit, kind).backward()
        assert logit.grad.item() == pytest.approx(wanted, rel=1e-9)


def test_r1_in_closed_form():
    """Of w · x it is |w|² / 2 everywhere; of |x|² / 2, half the mean of |x|²."""
    weight = torch.tensor([3.0, -4.0, 1.0]).double().requires_grad_()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    linear = r1_penalty(x @ weight, x)
    assert linear.item() == pytest.approx(26 / 2, rel=1e-6)
    linear.backward()
    torch.testing.assert_close(weight.grad, weight.detach())  # it can be learned from
    bowl = r1_penalty(x.square().sum(1) / 2, x)
    assert bowl.item() == pytest.approx(x.square().sum().item() / 5 / 2, rel=1e-6)


# --- augmentation --------------------------------------------------------------------------------


def test_augmentations_by_hand():
    picture = torch.arange(1.0, 10).view(1, 1, 3, 3)
    moved = translated(picture.repeat(3, 2, 1, 1), torch.tensor([[1, 0, -2], [0, -1, 1]]), 2)
    assert moved[0, 0].tolist() == moved[0, 1].tolist() == [[4, 5, 6], [7, 8, 9], [0, 0, 0]]
    assert moved[1, 0].tolist() == [[0, 1, 2], [0, 4, 5], [0, 7, 8]]
    assert moved[2, 0].tolist() == [[0, 0, 0], [0, 0, 0], [2, 3, 0]]
    cut = cut_out(picture.repeat(2, 1, 1, 1), torch.tensor([[1, -1], [0, 2]]), (2, 2))
    assert cut[0, 0].tolist() == [[1, 2, 3], [0, 0, 6], [0, 0, 9]]
    assert cut[1, 0].tolist() == [[1, 2, 0], [4, 5, 6], [7, 8, 9]]
    pixels = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).repeat(2, 1, 1, 1)
    one, two = recolored(pixels, torch.tensor([0.1, 0.0]), torch.tensor([2.0, 1.0]), torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(one.flatten(), torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(two.flatten(), torch.tensor([0.3, 0.4, 0.5]))


def test_each_picture_is_augmented_independently_and_gradients_flow():
    torch.manual_seed(0)
    dot = torch.zeros(300, 1, 16, 24)
    dot[:, :, 8, 12] = 1
    positions = {divmod(int(picture.argmax()), 24) for picture in augmented(dot, ["translation"])}
    assert {row for row, _ in positions} == set(range(6, 11)) and {column for _, column in positions} == set(
        range(9, 16)
    )
    white = torch.ones(300, 1, 16, 24, requires_grad=True)
    cut = augmented(white, ["cutout"])
    fractions = (cut == 0).float().mean((1, 2, 3))
    assert fractions.max() == 0.25 and fractions.unique().numel() > 20
    cut.sum().backward()
    assert torch.equal(white.grad, cut.detach())  # what was cut out learns nothing
    colored = augmented(torch.rand(300, 3, 4, 4), ["color"])
    assert colored.mean((1, 2, 3)).std() > 0.1
    gray = torch.full((300, 1, 4, 4), 0.5)
    assert augmented(gray, ["color"]).mean((1, 2, 3)).aminmax().max.item() == pytest.approx(0.75, abs=0.01)


# --- a step --------------------------------------------------------------------------------------


class Alone:
    """An engine of one process that remembers the losses."""

    device, random, progress = torch.device("cpu"), torch.Generator(), 0.0

    def __init__(self, step):
        self.step, self.losses = step, []

    def backward(self, loss):
        self.losses.append(loss.item())
        loss.backward()


class Linear(nn.Module):
    """A discriminator that adds weighted pixels, and remembers what it is shown."""

    def __init__(self, pixels):
        super().__init__()
        self.weight, self.shown = nn.Parameter(torch.linspace(-1, 1, pixels)), []

    def forward(self, pictures, labels=None):
        self.shown.append(pictures)
        return pictures.flatten(1) @ self.weight


def method(**settings):
    torch.manual_seed(0)
    options = GANOptions(**{"learning_rate": 0.1, **settings})
    return GANRecipe(GeneratorNetwork((1, 4, 4), 3, hidden=(5,)), Linear(16), options)


@pytest.mark.parametrize(("step", "times"), [(0, 4), (1, 0), (3, 0), (4, 4)])
def test_lazy_r1_has_a_larger_weight(step, times):
    recipe, engine = method(r1_weight=0.7, r1_steps=4), Alone(step)
    steep = recipe.discriminator.weight.square().sum().item() / 2
    told = recipe.step(torch.rand(6, 1, 4, 4), engine)
    assert engine.losses[0] - told["discriminator"].item() == pytest.approx(times * 0.7 * steep, abs=1e-5)


def test_the_discriminator_is_updated_first_and_the_generator_against_the_updated_one():
    recipe, engine, real = method(r1_weight=0), Alone(1), torch.rand(6, 1, 4, 4)
    before, weight = GeneratorNetwork(**recipe.generator.settings), recipe.discriminator.weight.detach().clone()
    before.load_state_dict(recipe.generator.state_dict())
    torch.manual_seed(5)
    told = recipe.step(real, engine)
    torch.manual_seed(5)
    fakes = [before(torch.randn(6, 3)).flatten(1) for _ in range(2)]  # anew for the generator
    wanted = discriminator_loss(real.flatten(1) @ weight, fakes[0] @ weight)
    assert told["discriminator"].item() == pytest.approx(wanted.item(), rel=1e-5)
    learned = recipe.discriminator.weight
    assert not torch.equal(learned, weight) and learned.requires_grad
    wanted = generator_loss(fakes[1] @ learned.detach())
    assert told["generator"].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert told["d_real"].item() == pytest.approx((real.flatten(1) @ weight).sigmoid().mean().item(), rel=1e-5)
    assert told["d_fake"].item() == pytest.approx((fakes[0] @ weight).sigmoid().mean().item(), rel=1e-5)
    gradients = [one.grad.abs().sum() for one in recipe.generator.parameters()]
    assert min(gradients) > 0


def test_all_inputs_of_the_discriminator_are_augmented():
    recipe = method(r1_weight=0, augment=("cutout",))
    recipe.step(torch.rand(40, 1, 4, 4) / 2 + 0.5, Alone(0))
    shown = recipe.discriminator.shown
    assert len(shown) == 3
    assert all((pictures == 0).any((1, 2, 3)).float().mean() > 0.7 for pictures in shown)  # fakes are never 0


@pytest.mark.parametrize(("progress", "left"), [(0.0, 1.0), (0.5, 10**-0.5), (1.0, 0.1)])
def test_noise_decays_and_r1_with_its_square(progress, left):
    recipe, engine = method(instance_noise=2.0, r1_weight=0.7, r1_steps=1), Alone(0)
    engine.progress = progress
    steep = recipe.discriminator.weight.square().sum().item() / 2
    told = recipe.step(torch.zeros(4000, 1, 4, 4), engine)
    assert engine.losses[0] - told["discriminator"].item() == pytest.approx(left**2 * 0.7 * steep, rel=1e-3)
    real, *fakes = recipe.discriminator.shown
    assert real.std().item() == pytest.approx(2 * left, rel=0.02) and abs(real.mean().item()) < 0.05 * left
    assert all(one.std().item() > 2 * left * 0.98 for one in fakes) and len(fakes) == 2


def test_presets_are_the_papers():
    vanilla = method(**{**GANOptions.preset("vanilla").model_dump()})
    for optimizer in vanilla.optimizers.values():
        assert isinstance(optimizer, torch.optim.RMSprop)
        assert (optimizer.defaults["lr"], optimizer.defaults["alpha"], optimizer.defaults["eps"]) == (1e-3, 0.9, 1e-7)
    paper = DCGANOptions.preset("paper")
    recipe = GANRecipe(GeneratorNetwork((1, 8, 8), 3, "conv"), Discriminator((1, 8, 8), "conv"), paper)
    for optimizer in recipe.optimizers.values():
        assert optimizer.defaults["lr"] == 2e-4 and optimizer.defaults["betas"] == (0.5, 0.999)
    assert (paper.batch, paper.width, paper.latent, paper.r1_weight, paper.ema) == (64, 64, 100, 0, 0)
    own = DCGANOptions(learning_rate=1e-3, discriminator_rate=1e-4, momentum=0.3)
    recipe = GANRecipe(recipe.generator, recipe.discriminator, own)
    assert {name: one.defaults["lr"] for name, one in recipe.optimizers.items()} == {
        "generator": 1e-3,
        "discriminator": 1e-4,
    }
    assert recipe.optimizers["generator"].defaults["betas"] == (0.3, 0.999)
    with pytest.raises(UnknownName, match="'vanila' is not the name of a preset. Did you mean 'vanilla'"):
        GANOptions.preset("vanila")


# --- training ------------------------------------------------------------------------------------


SLOW = {**QUICK, "watch_steps": 50, "watch_pictures": 100}
FAST = {"learning_rate": 4e-3, "discriminator_rate": 1e-3}


@pytest.mark.parametrize(
    ("train", "options", "limit"),
    [
        (
            iter_gan,
            GANOptions.preset("stabilized", **SLOW, steps=300, hidden=(24, 32), learning_rate=4e-3, r1_weight=0.1),
            20,
        ),
        (iter_dcgan, DCGANOptions.preset("light", **SLOW, steps=200, width=4, learning_rate=4e-3, r1_weight=0.1), 50),
        (iter_dcgan, DCGANOptions.preset("paper", **{**SLOW, "ema": 0}, steps=200, width=4, **FAST), 70),
    ],
    ids=["stabilized", "light", "paper"],
)
def test_presets_learn_and_tell_how_well(sets, classifier, tmp_path, train, options, limit):
    """What one class alone would have is about 100."""
    options = options.changed(classifier=classifier)
    events = list(train(sets, options, run=tmp_path / "run"))
    told = [event.measures for event in steps(events) if event.measures]
    assert len(told) == options.steps / 50
    header = load_state(tmp_path / "run" / MODEL)[1]
    found = header["results"]
    assert found["score"] < limit
    samples = load_generator(tmp_path / "run").decode(torch.randn(400, 6))
    assert classify(schooled(), samples).confidence.mean() > 0.6
    assert found["generated"]["pictures"] == 60 and found["features"] == "classifier"  # as many as are held out
    assert found["classifier"] == digest(schooled()) and header["recipe"] == ("gan" if train is iter_gan else "dcgan")
    assert 0 < found["real"]["frechet"] < 10 and found["generated"]["frechet"] == found["frechet"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["measures"] for line in lines if line["measures"]] == told
    assert notes(events)[-3].startswith(f"we keep the checkpoint of step {found['step']}, whose score is ")
    assert f"of {CLASSES} classes are generated" in notes(events)[-2]
    assert "100 pictures are unsteady" in notes(events)[-1]


def test_the_vanilla_preset_collapses_and_the_alarm_reports_it(sets, classifier, tmp_path):
    settings = {
        **SLOW,
        "ema": 0,
        "steps": 200,
        "hidden": (24, 32),
        "discriminator_rate": 3e-4,
        "classifier": classifier,
    }
    events = list(iter_gan(sets, GANOptions.preset("vanilla", **settings), run=tmp_path / "run"))
    last = [event.measures for event in steps(events) if event.measures][-1]
    assert last["confidence"] > 0.8 and last["top_share"] > 0.8 and last["kl"] > 0.7  # good bars, but all alike
    assert notes(events)[0].startswith("the generator has collapsed: ") and "expected 2" in notes(events)[0]


@pytest.mark.parametrize(("preset", "blur"), [("light", True), ("paper", False)])
def test_only_the_preset_light_blurs(sets, tmp_path, preset, blur):
    options = DCGANOptions.preset(preset, **{**QUICK, "steps": 1, "width": 2, "watch_steps": 0})
    list(iter_dcgan(sets, options, run=tmp_path / "run"))
    assert load_generator(tmp_path / "run").network.settings["blur"] is blur


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_class_conditional_samples(sets, tmp_path, network):
    settings = {**QUICK, "steps": 200, "conditional": True, "watch_steps": 0, "learning_rate": 4e-3, "r1_weight": 0.1}
    if network == "dense":
        events = iter_gan(sets, GANOptions(**settings, hidden=(24, 32)), run=tmp_path / "run")
    else:
        events = iter_dcgan(sets, DCGANOptions(**settings, width=4), run=tmp_path / "run")
    list(events)
    generator, labels = load_generator(tmp_path / "run"), torch.arange(200) % CLASSES
    assert generator.classes == CLASSES
    samples = generator.decode(torch.randn(200, 6), labels)
    assert (classify(schooled(), samples).labels == labels).float().mean() > 0.9


def test_a_ring_of_points(tmp_path):
    settings = {
        **QUICK,
        "batch": 128,
        "latent": 2,
        "ema": 0.98,
        "schedule": "cosine",
        "hidden": (64, 64),
        "discriminator_hidden": (64, 64),
    }
    settings |= {"steps": 900, "learning_rate": 2e-3, "discriminator_rate": 4e-3, "instance_noise": 0.5}
    options = GANOptions.preset("points2d", **settings, watch_steps=150, watch_pictures=1000)
    events = list(iter_gan("ring", options, run=tmp_path / "run"))
    told = load_state(tmp_path / "run" / MODEL)[1]
    found = told["results"]["modes"]
    assert found["covered"] == found["modes"] == 8 and found["high_quality"] > 0.1 and found["kl"] < 0.3
    assert told["results"]["misplaced"] < 0.9 and told["pictures"] == "ring"
    assert notes(events)[-1].startswith("8 of 8 modes are covered, ")
    watched = [event.measures for event in steps(events) if event.measures]
    assert len(watched) == 6 and watched[0]["misplaced"] > watched[-1]["misplaced"] and watched[-1]["modes"] == 8
    preview = events[-1].image[0]
    light = preview[0][:, 100:156][100:156]  # the middle, where there should be nothing
    assert preview.shape == (3, 256 + 8, 256 + 8) and preview.max() == 1 and light.mean() < 0.05
    assert (preview == preview[0]).all() and ((preview > 0.3) & (preview < 0.4)).any()  # real ones in gray


def samples(tensor):
    """A generator of fixed samples, as monitors are given one."""
    return {"generator": lambda count, seed: tensor}


def test_a_collapse_on_a_mixture_is_reported():
    data = ring()
    monitor = MixtureMonitor(data, every=10, count=100)
    assert monitor.count == 160
    one = samples(data.centers[[3]].float().expand(200, 2))
    assert monitor.measure(10, one).alarm is None
    monitor.measure(20, one)
    found = monitor.measure(30, one)
    assert found.alarm.startswith("the generator has collapsed: 100% of the samples are of class 3, expected 12%")
    assert found.measures == {"misplaced": found.score, "modes": 1, "high_quality": 1, "kl": pytest.approx(math.log(8))}
    again = MixtureMonitor(data, every=10, count=1000)
    again.restore(monitor.state())
    assert again.measure(40, one).alarm is None  # it was raised before
    told, (words,) = monitor.finish(samples(data.batch(range(800))))
    assert told["modes"]["covered"] == 8 and words.startswith("8 of 8 modes are covered, 99% of 800 points are of")


def test_points_from_the_command_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    words = ["--preset", "points2d", "--steps", "6", "--batch", "32", "--watch-steps", "3", "--device", "cpu"]
    assert main(["train", "gan", "grid", *words, "-o", "run"]) == 0
    assert {"model.safetensors", "report.html", "preview.jpg"} <= {path.name for path in Path("run").iterdir()}
    weights = {key: value for key, value in load_file(f"run/{CHECKPOINT}").items() if "network/discriminator" in key}
    assert weights["network/discriminator/layers.1.weight"].shape == (128, 2 + 2 * 16) and len(weights) == 7
    report = Path("run", "report.html").read_text()
    assert "of 25 modes are covered" in report and "misplaced" in report
    lines = [json.loads(line) for line in Path("run", "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line.get("measures")] == [3, 6]
    assert main(["train", "gan", "grid", *words[:3], "12", *words[4:], "-o", "run", "--resume"]) == 0
    assert load_state(tmp_path / "run" / MODEL)[1]["step"] == 12
    capfd.readouterr()
    assert main(["evaluate", "run"]) == 1
    assert "holds the network 'generator' of points; expected a generator or" in capfd.readouterr().err
    Path("grid").mkdir()  # a folder of that name is meant
    assert main(["train", "gan", "grid", *words, "-o", "other"]) == 2
    assert "grid" in capfd.readouterr().err


@pytest.mark.parametrize("settings", [{"conditional": True}, {"augment": ("translation",)}])
def test_points_have_no_classes_and_no_colors(tmp_path, settings):
    with pytest.raises(OptionError, match="ring holds points, which have no classes and no colors; leave out"):
        iter_gan("ring", GANOptions(**QUICK, **settings), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- EMA, monitors, the best checkpoint ----------------------------------------------------------


def test_the_ema_averages_statistics_of_batch_norm_too(sets, tmp_path):
    options = DCGANOptions(**QUICK, steps=4, width=4, watch_steps=0)
    torch.manual_seed(0)
    generator = GeneratorNetwork((1, SIDE, SIDE), 6, "conv", width=4, norm="batch")
    recipe = GANRecipe(generator, Discriminator((1, SIDE, SIDE), "conv", width=4), options)
    key, wanted = "layers.2.running_var", None
    wanted = generator.state_dict()[key].clone()
    for event in iter_train(recipe, sets.train, options, run=tmp_path / "run"):
        if isinstance(event, Step) and event.phase == "train":
            decay = min(0.9, event.step / (9 + event.step))
            wanted = decay * wanted + (1 - decay) * generator.state_dict()[key]
    assert not torch.equal(wanted, generator.state_dict()[key])
    torch.testing.assert_close(load_file(tmp_path / "run" / MODEL)[key], wanted)
    torch.testing.assert_close(load_file(tmp_path / "run" / CHECKPOINT)[f"average/generator/{key}"], wanted)


class Says:
    """A monitor that returns given scores, and remembers the sum of the samples."""

    every = 10

    def __init__(self, *scores):
        self.scores, self.seen = list(scores), torch.zeros(())

    def prepare(self):
        yield from ()

    def measure(self, step, models):
        self.seen = self.seen + models["generator"](3, seed=0).double().sum()
        score = self.scores[step // 10 - 1]
        return Measurement(score, {"frechet": score}, "ring" if score > 90 else None)

    def finish(self, models):
        return {"mean": models["generator"](3, 2).mean().item()}, ["well done"]

    def state(self):
        return {"seen": self.seen.double()}

    def restore(self, state):
        self.seen = state["seen"]


def monitored(sets, run, monitor, count, resume=False, **settings):
    own = {"steps": count, "hidden": (8,), "augment": ("cutout",)}
    options = GANOptions(**{**QUICK, **own, **settings})
    torch.manual_seed(0)
    networks = GeneratorNetwork((1, SIDE, SIDE), 6, hidden=(8,)), Discriminator((1, SIDE, SIDE), hidden=(8,))
    return iter_train(GANRecipe(*networks, options, monitor), sets.train, options, run=run, resume=resume)


def test_the_best_checkpoint_is_the_result_and_the_header_has_its_step(sets, tmp_path):
    events = list(monitored(sets, tmp_path / "best", Says(50.0, 20.0, 95.0, 40.0), 40))
    found = load_state(tmp_path / "best" / MODEL)[1]["results"]
    assert {key: found[key] for key in ("step", "score", "last_step", "last_score", "kept")} == {
        "step": 20,
        "score": 20.0,
        "last_step": 40,
        "last_score": 40.0,
        "kept": "best",
    }
    assert "ring" in notes(events)
    assert "we keep the checkpoint of step 20, whose score is 20; the last one, of step 40, has 40" in notes(events)
    list(monitored(sets, tmp_path / "short", Says(50.0, 20.0), 20))
    list(monitored(sets, tmp_path / "last", Says(50.0, 20.0, 95.0, 40.0), 40, keep="last"))
    best, short, last = (load_file(tmp_path / run / MODEL) for run in ("best", "short", "last"))
    assert all(torch.equal(best[key], short[key]) for key in best)
    assert not any(torch.equal(best[key], last[key]) for key in best)
    found = load_state(tmp_path / "last" / MODEL)[1]["results"]
    assert (found["step"], found["score"], found["kept"]) == (40, 40.0, "last")
    assert found["mean"] != load_state(tmp_path / "best" / MODEL)[1]["results"]["mean"]


def test_a_resumed_run_remembers_the_best_checkpoint(sets, tmp_path):
    scores = 20.0, 50.0, 60.0
    list(monitored(sets, tmp_path / "whole", Says(*scores), 30))
    events = monitored(sets, tmp_path / "broken", Says(*scores), 30)
    next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == 13)
    events.close()
    list(monitored(sets, tmp_path / "broken", Says(*scores), 30, resume=True))
    for name in (CHECKPOINT, MODEL):
        whole, broken = (load_file(tmp_path / run / name) for run in ("whole", "broken"))
        assert all(torch.equal(whole[key], broken[key]) for key in whole), name
    whole, broken = (load_state(tmp_path / run / MODEL)[1]["results"] for run in ("whole", "broken"))
    assert whole == broken and whole["step"] == 10


def test_a_monitor_does_not_change_the_training(sets, tmp_path):
    list(monitored(sets, tmp_path / "watched", Says(3.0, 2.0, 1.0), 30))
    list(monitored(sets, tmp_path / "alone", None, 30))
    watched, alone = (load_file(tmp_path / run / CHECKPOINT) for run in ("watched", "alone"))
    assert watched.keys() > alone.keys() and all(torch.equal(watched[key], alone[key]) for key in alone)


def test_a_monitor_with_a_classifier_reports_collapse(sets, classifier):
    monitor = make_monitor(sets, **MONITORED, classifier=classifier)
    assert isinstance(monitor, ClassMonitor) and monitor.count == 100 and list(monitor.prepare()) == []
    pictures, labels = bars(400, 3)
    good, same = samples(pictures[:100] / 255), samples(pictures[labels == 1][:80] / 255)
    found = monitor.measure(20, good)
    assert found.alarm is None and found.measures["classes"] == 4 and found.measures["kl"] < 0.1
    measured = [monitor.measure(step, same) for step in (30, 40)]
    assert found.score == found.measures["frechet"] < 0.1 * measured[0].score
    assert [one.alarm is None for one in measured] == [True, False]
    assert "the generator has collapsed: 100% of the samples are of class 1" in notes_of(monitor, same)
    early = make_monitor(sets, **MONITORED, classifier=classifier)
    list(early.prepare())
    assert [early.measure(step, same).alarm for step in (10, 10, 10)] == [None] * 3  # all begin with equal samples
    told, (words, few) = monitor.finish(good)
    assert "unsteady" in few
    assert told["generated"]["kl"] < 0.1 and told["real"]["recall"] > 0.8 and "4 of 4 classes are generated" in words


def notes_of(monitor, models):
    """What the alarm says when it begins anew."""
    monitor.restore({"alarm": torch.tensor([-1, 0, 0])})
    monitor.measure(50, models)
    return monitor.measure(60, models).alarm


def test_a_monitor_of_pixels_reports_collapse(unlabeled, sets):
    monitor = make_monitor(unlabeled, **MONITORED)
    assert isinstance(monitor, PixelMonitor) and list(monitor.prepare()) == []
    pictures, labels = bars(400, 3)
    good = monitor.measure(20, samples(pictures[:100] / 255))
    assert good.alarm is None and good.measures["spread"] == pytest.approx(1, abs=0.1)
    same = samples(pictures[labels == 1][:80] / 255)
    found = [monitor.measure(step, same) for step in (30, 40)]
    assert found[0].measures["spread"] < 0.5 and "the generator has collapsed: the features" in found[1].alarm
    assert monitor.finish(same)[0]["frechet"] == found[0].score > 10 * good.score
    # the Fréchet distance of one picture alone to the set: squared distance of means plus the set's variance
    rows = sets.train.images.flatten(1).double().numpy() / 255
    directions = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:32]
    one = rows[0] - rows.mean(0)
    wanted = np.square(directions @ one).sum() + np.cov((rows - rows.mean(0)) @ directions.T, rowvar=False).trace()
    still = torch.from_numpy(rows[:1]).float().view(1, 1, SIDE, SIDE).repeat(100, 1, 1, 1)
    assert monitor.measure(50, samples(still)).score == pytest.approx(wanted, rel=1e-4)


def test_which_labels_are_classes():
    assert count_classes(None) == count_classes(torch.tensor([3, 3])) == count_classes(torch.tensor([-1, 2])) == 0
    assert count_classes(torch.tensor([0, 4])) == 5
    many = SmallSet(torch.zeros(60, 1, 8, 8, dtype=torch.uint8), torch.arange(60))
    assert isinstance(make_monitor(Sets(many, many), **MONITORED), PixelMonitor)


def test_checkpoints_of_earlier_versions_are_resumed(sets, tmp_path):
    """Their keys begin with `recipe/judge/`."""
    scores = 20.0, 50.0, 60.0
    list(monitored(sets, tmp_path / "whole", Says(*scores), 30))
    events = monitored(sets, tmp_path / "old", Says(*scores), 30)
    next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == 13)
    events.close()
    tensors, about = load_state(tmp_path / "old" / CHECKPOINT)
    save_state(
        tmp_path / "old" / CHECKPOINT, {key.replace("/monitor/", "/judge/"): tensors[key] for key in tensors}, about
    )
    assert "recipe/judge/seen" in load_file(tmp_path / "old" / CHECKPOINT)
    list(monitored(sets, tmp_path / "old", Says(*scores), 30, resume=True))
    whole, resumed = (load_file(tmp_path / run / CHECKPOINT) for run in ("whole", "old"))
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[key], resumed[key]) for key in whole)


# --- resume --------------------------------------------------------------------------------------

EVERYTHING = {"augment": ("translation", "cutout"), "spectral_norm": True, "r1_steps": 3, "conditional": True}


@pytest.mark.parametrize("stop", [10, 17])
@pytest.mark.parametrize(
    ("train", "options"),
    [
        (iter_gan, GANOptions(**QUICK, **WATCHED, **EVERYTHING, steps=22, hidden=(8,))),
        (iter_gan, GANOptions.preset("vanilla", **{**QUICK, **WATCHED, "ema": 0}, steps=22, keep="best")),
        (iter_dcgan, DCGANOptions(**QUICK, **WATCHED, **EVERYTHING, steps=22, width=4, discriminator_norm="batch")),
    ],
    ids=["dense", "vanilla", "conv"],
)
def test_a_closed_run_resumes_to_the_same_bits(sets, classifier, tmp_path, train, options, stop):
    options = options.changed(classifier=classifier)
    whole = list(train(sets, options, run=tmp_path / "whole"))
    events = train(sets, options, run=tmp_path / "broken")
    before = []
    for event in events:
        before.append(event)
        if isinstance(event, Step) and event.phase == "train" and event.step == stop:
            break
    events.close()
    later = list(train(sets, options, run=tmp_path / "broken", resume=True))
    assert isinstance(later[0], Started) and steps(later)[0].step == stop + 1
    for name in (CHECKPOINT, MODEL):
        ours, theirs = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours), name
    assert any(key.startswith("recipe/monitor/") for key in load_file(tmp_path / "whole" / CHECKPOINT))
    results = [load_state(tmp_path / run / MODEL)[1]["results"] for run in ("whole", "broken")]
    assert results[0] == results[1]
    told = [event.measures for event in steps(before) + steps(later)]
    assert told == [event.measures for event in steps(whole)] and len([one for one in told if one]) == 2


WORDS = ("--steps", "60", "--batch", "8", "--hidden", "16,8", "--latent", "4", "--device", "cpu", "--json",
         "--watch-steps", "15", "--watch-pictures", "100", "--conditional")  # fmt: skip


def test_a_killed_command_resumes_to_the_same_bits(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pictures, labels = bars(120, 0)
    np.savez("set.npz", images=pictures[:, 0].numpy(), labels=labels.numpy())
    command = [sys.executable, "-m", "impasto", "train", "gan", "set.npz", *WORDS, "--save-seconds", "0"]
    with subprocess.Popen([*command, "-o", "broken"], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event.get("phase") == "train" and event["step"] >= 20:
                break
        process.send_signal(signal.SIGKILL)
    kept = (tmp_path / "broken" / CLASSIFIER).read_bytes()
    assert not (tmp_path / "broken" / MODEL).exists()
    assert main(["train", "gan", "set.npz", *WORDS, "-o", "broken", "--resume"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[0]["step"] >= 19 and events[-1]["event"] == "done"
    assert "fit" not in [event.get("phase") for event in events]  # the classifier is there already
    assert main(["train", "gan", "set.npz", *WORDS, "-o", "whole"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event["name"] for event in events if event.get("phase") == "fit"] == ["classifier"] * 5
    assert any("a classifier will measure the samples" in event.get("text", "") for event in events)
    assert kept == (tmp_path / "broken" / CLASSIFIER).read_bytes()
    for name in ("classifier", "model"):
        ours, theirs = (load_file(f"{run}/{name}.safetensors") for run in ("whole", "broken"))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


def test_a_run_closed_while_the_classifier_trains_starts_again(sets, tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.recipes.gan.recipe.train_classifier", partial(train_classifier, steps=20))
    options = GANOptions(**QUICK, **WATCHED, steps=12, hidden=(8,))
    events = iter_gan(sets, options, run=tmp_path / "run")
    next(event for event in events if isinstance(event, Step) and event.phase == "fit")
    events.close()
    assert not (tmp_path / "run" / CLASSIFIER).exists()
    later = list(iter_gan(sets, options, run=tmp_path / "run", resume=True))
    assert [event.step for event in steps(later)] == list(range(1, 13))
    assert len([event for event in later if isinstance(event, Step) and event.phase == "fit"]) == 5


# --- what does not fit ---------------------------------------------------------------------------


def test_what_does_not_fit_is_one_sentence(sets, unlabeled, classifier, tmp_path):
    options = GANOptions(**QUICK, steps=2, conditional=True, watch_steps=0)
    with pytest.raises(OptionError, match="The set has no labels; a class-conditional GAN needs them: a folder for"):
        iter_gan(unlabeled, options, run=tmp_path / "run")
    one = SmallSet(sets.train.images, torch.full((200,), 2))
    with pytest.raises(OptionError, match="The set has only one class; a class-conditional GAN needs two or more"):
        iter_dcgan(Sets(one, one), DCGANOptions(**QUICK, conditional=True), run=tmp_path / "run")
    gap = SmallSet(sets.train.images, torch.arange(200) % 3 * 4)
    with pytest.raises(OptionError, match="no picture of class 1, but some of class 8; a class-conditional VAE needs"):
        iter_vae(Sets(gap, gap), VAEOptions(conditional=True), run=tmp_path / "run")
    large = SmallSet(sets.train.images, torch.arange(200) % 2 * 10**9)
    with pytest.raises(
        OptionError, match="labels up to 1,000,000,000; expected classes numbered from 0, at most 10,000"
    ):
        iter_gan(Sets(large, large), options, run=tmp_path / "run")
    with pytest.raises(OptionError, match="there is one picture to learn from; .* give more pictures"):
        iter_gan(Sets(labeled(1, 0), labeled(1, 0)), GANOptions(**QUICK), run=tmp_path / "run")
    odd = labeled(20, 0, 30)
    with pytest.raises(OptionError, match="pictures are 30×30; .* use --crop 32"):
        iter_dcgan(Sets(odd, odd), DCGANOptions(**QUICK), run=tmp_path / "run")
    other = Sets(labeled(20, 0, 16), labeled(20, 0, 16))
    with pytest.raises(OptionError, match="is a classifier of 4 classes of 1×12×12; expected 4 classes of 1×16×16"):
        iter_gan(other, GANOptions(**QUICK, classifier=classifier), run=tmp_path / "run")
    with pytest.raises(CheckpointError, match="none.safetensors"):
        iter_gan(sets, GANOptions(**QUICK, classifier="none.safetensors"), run=tmp_path / "run")
    save_state(tmp_path / "vae.safetensors", {"x": torch.zeros(1)}, {"network": "vae"})
    with pytest.raises(WeightsError, match="holds no classifier"):
        iter_gan(sets, GANOptions(**QUICK, classifier=str(tmp_path / "vae.safetensors")), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ImageError, match="the set has no labels"):
        unlabeled.train.labeled().batch([0])


def test_a_handful_of_pictures_is_enough(sets, classifier, tmp_path):
    few = Sets(labeled(9, 1), labeled(3, 2))
    list(
        iter_gan(few, GANOptions(**QUICK, **WATCHED, steps=10, hidden=(8,), classifier=classifier), run=tmp_path / "a")
    )
    found = load_state(tmp_path / "a" / MODEL)[1]["results"]
    assert found["frechet"] > 0 and "generated" not in found  # with three others nothing can be compared


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("gan missing.npz", "missing.npz does not exist; expected a folder"),
        ("gan set.npz --conditional", "set.npz has no labels; a class-conditional GAN needs them"),
        ("gan set.npz --preset stable", "'stable' is not the name of a preset. Did you mean 'stabilized'?"),
        ("gan set.npz --hidden 12,x", "expected a whole number"),
        ("gan set.npz --augment noise", "expected 'color', 'translation' or 'cutout'"),
        ("dcgan set.npz --crop 30", "use --crop 32"),
        ("dcgan set.npz --norm layer", "norm is 'layer'; expected 'batch', 'group' or 'none'."),
        ("dcgan nan.npz", "holds NaN or infinity"),
        ("dcgan empty.npz", "is empty; expected two pictures at least"),
    ],
)
def test_bad_words_are_one_sentence(tmp_path, monkeypatch, capfd, words, sentence):
    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", images=np.zeros((4, 12, 12), np.uint8))
    np.savez("nan.npz", images=np.full((4, 12, 12), np.nan))
    np.savez("empty.npz", images=np.zeros((0, 12, 12), np.uint8))
    assert main(["train", *words.split()]) == 2
    said = capfd.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.npz", "nan.npz", "set.npz"]


@pytest.mark.parametrize(("command", "options"), [("gan", GANOptions), ("dcgan", DCGANOptions)])
def test_help_shows_every_setting(monkeypatch, capfd, command, options):
    monkeypatch.setenv("COLUMNS", "500")
    assert main(["train", command, "--help-all"]) == 0
    shown = capfd.readouterr().out
    for name, field in options.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown and str(field.description)[:40] in shown
    assert f"change: default, {', '.join(options.presets)}" in shown


def test_labels_come_with_their_pictures():
    small = labeled(50, 4).shuffled(3)
    pictures, labels = small.labeled().batch(range(20, 70))
    assert torch.equal(pictures, small.batch(range(20, 70)))
    place = {picture.numpy().tobytes(): label for picture, label in zip(small.images, small.labels, strict=True)}
    assert [place[picture.numpy().tobytes()] for picture in pictures] == labels.tolist()
    other = SmallSet(small.images, small.labels.flip(0), 3)
    assert small.fingerprint == other.fingerprint and small.labeled().fingerprint != other.labeled().fingerprint
