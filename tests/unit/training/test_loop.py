"""The training loop: training, schedules, EMA, resume, and errors in the middle of a run."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from blurring import Blur, Duel, blurred
from impasto.checkpoints.files import CHECKPOINT, MODEL, load_state, save_state
from impasto.cli.progress import report_lines
from impasto.data.folders import PictureFolder
from impasto.errors import CheckpointError, FileExists, ImageError, MissingExtra, OptionError, TrainingError
from impasto.events import Done, Note, Saved, Started, Step, as_json, drain
from impasto.training.clock import Clock, rate
from impasto.training.loop import iter_train
from impasto.training.options import TrainOptions
from nets import picture

SCRIPT = Path(__file__).parents[2] / "blurring.py"
QUICK = TrainOptions(
    steps=12, batch=4, crop=16, learning_rate=0.02, device="cpu", precision="float32", preview_seconds=1e9
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    for index in range(5):
        pixels = picture(30 + index, 40, seed=index)[0].permute(1, 2, 0).numpy()
        Image.fromarray((pixels * 255).astype(np.uint8)).save(path / f"{index}.png")
    return path


def trained(folder, run, options=QUICK, recipe=Blur, **settings):
    data = PictureFolder(folder, options.crop, seed=options.seed)
    built = recipe(options) if isinstance(recipe, type) else recipe
    return iter_train(built, data, options, run=run, **settings)


def steps(events):
    return [event for event in events if isinstance(event, Step) and event.phase == "train"]


def same_files(one, other):
    """Whether two runs ended with the same bits."""
    for name in (CHECKPOINT, MODEL):
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert torch.equal(tensor, theirs[key]), key
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (one, other)]
    told = [[(line["step"], line["losses"], line["learning_rate"]) for line in log] for log in logs]
    assert told[0] == told[1]
    return True


# --- training ------------------------------------------------------------------------------------


def test_it_trains_and_writes_a_run_folder(folder, tmp_path):
    options = QUICK.changed(steps=150, ema=0.9, preview_seconds=0.2)
    run = tmp_path / "deep" / "run"
    recipe = Blur(options)
    events = list(trained(folder, run, options, recipe))
    told = steps(events)
    assert [event.step for event in told] == list(range(1, 151))
    assert told[-1].losses["blur"] < 0.03 * told[0].losses["blur"]
    assert told[-1].remaining == 0 and told[-1].steps == 150
    assert [type(event) for event in events[:2]] == [Started, Step]
    assert events[0] == Started(
        recipe="blur",
        run=run,
        step=0,
        steps=150,
        budget=None,
        batch=4,
        weights=635,
        device="cpu",
        precision="float32",
        processes=1,
    )
    assert events[-2] == Saved(run / MODEL, "result")
    assert isinstance(events[-1], Done) and events[-1].steps == 150
    unseen = picture(32, 32, seed=99)
    tensors, values = load_state(run / MODEL)
    recipe.network.load_state_dict(tensors)
    with torch.no_grad():
        error = float((recipe.network.eval()(unseen) - blurred(unseen)).square().mean())
    assert error < 0.1 * float((unseen - blurred(unseen)).square().mean())
    assert values["network"] == "blur" and values["recipe"] == "blur" and values["step"] == 150
    assert TrainOptions(**values["options"]) == options

    record = json.loads((run / "options.json").read_text())
    assert TrainOptions(**record["options"]) == options and record["record"] == {"kernel": 5}
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, *range(10, 151, 10)]
    assert lines[-1]["losses"] == told[-1].losses
    assert lines[5]["images_per_second"] == pytest.approx(4 * lines[5]["pace"])
    shown = sorted(path.name for path in (run / "previews").iterdir())
    assert shown[0] == "00000001.jpg" and shown[-1] == "00000150.jpg"
    saved = sum(event == Saved(run / "preview.jpg", "preview") for event in events)
    assert saved - len(shown) in (0, 1)  # one may have been due after the last step, too
    assert (run / "preview.jpg").read_bytes() == (run / "previews" / shown[-1]).read_bytes()
    with Image.open(run / "preview.jpg") as shown:
        assert shown.size == (3 * 4 + 2 * 12, 3 * 4 + 2 * 12)
    assert all(json.loads(json.dumps(as_json(event))) for event in events)


def test_the_same_seed_gives_the_same_weights_whatever_others_draw(folder, tmp_path):
    torch.manual_seed(5)
    wanted = torch.rand(12)
    torch.manual_seed(5)
    for run in ("a", "b"):
        for event in trained(folder, tmp_path / run, recipe=Duel):
            if run == "b" and isinstance(event, Step) and event.phase == "train":
                assert float(torch.rand(())) == wanted[event.step - 1]  # and they are not disturbed either
    assert same_files(tmp_path / "a", tmp_path / "b")
    list(trained(folder, tmp_path / "c", QUICK.changed(seed=1), Duel))
    assert not torch.equal(*(load_file(tmp_path / run / MODEL)["0.weight"] for run in "ac"))


# --- length and schedules ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "progress", "warmup", "wanted"),
    [
        ("constant", 0.9, 0, 1), ("linear", 0, 0, 1), ("linear", 0.75, 0, 0.25), ("linear", 1, 0.5, 0),
        ("cosine", 0, 0, 1), ("cosine", 0.5, 0, 0.5), ("cosine", 1 / 3, 0, 0.75),  # cos(60 degrees) = 1/2
        ("cosine", 1, 0.1, 0), ("cosine", 0.05, 0.2, 0.25), ("linear", 0.6, 0.2, 0.5), ("constant", 0, 0.1, 0),
        ("half", 0.3, 0, 1), ("half", 0.5, 0, 1), ("half", 0.75, 0, 0.5), ("half", 1, 0, 0), ("half", 0.8, 0.2, 0.5),
    ],
)  # fmt: skip
def test_schedules(schedule, progress, warmup, wanted):
    assert rate(schedule, progress, warmup) == pytest.approx(wanted, abs=1e-12)


def test_learning_rates_follow_the_schedule_from_those_of_the_recipe(folder, tmp_path):
    options = QUICK.changed(steps=10, schedule="linear", warmup=0.2)
    told = steps(trained(folder, tmp_path / "run", options, Duel))
    factors = [0, 0.5, *(1 - k / 8 for k in range(8))]
    assert [event.learning_rate["generator"] for event in told] == pytest.approx([0.02 * s for s in factors])
    assert [event.learning_rate["discriminator"] for event in told] == pytest.approx([0.01 * s for s in factors])


def test_a_time_budget_decides_when_it_ends_and_schedules_end_with_it(folder, tmp_path):
    options = QUICK.changed(budget="1.5s", schedule="linear", steps=1)
    told = steps(trained(folder, tmp_path / "run", options))
    assert len(told) > 3 and told[-1].seconds > 1.4
    assert all(event.seconds < 1.5 for event in told[:-1])  # no step begins when the time is over
    assert told[-1].learning_rate["adam"] < 0.1 * 0.02
    assert told[-1].remaining < 0.5 and abs(told[-1].steps - told[-1].step) < 0.2 * told[-1].step


def test_a_budget_counts_over_sessions(folder, tmp_path):
    options = QUICK.changed(budget=1 / 60)
    events = trained(folder, tmp_path / "run", options)
    early = next(
        event for event in events if isinstance(event, Step) and event.phase == "train" and event.seconds > 0.6
    )
    events.close()
    told = steps(trained(folder, tmp_path / "run", options, resume=True))
    assert told[0].step == early.step + 1 and told[0].seconds > 0.6
    assert all(event.seconds < 1 for event in told[:-1])  # no step begins when the time is over
    assert told[0].learning_rate["adam"] < 0.02 * (1 + math.cos(math.pi * 0.6)) / 2


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("10m", 10), ("90s", 1.5), ("1h", 60), ("1h30m", 90), ("1h 30m", 90), ("2", 2), ("0.5 h", 30), (".5m", 0.5)],
)
def test_budgets_are_read_as_people_write_them(text, minutes):
    assert TrainOptions(budget=text).budget == pytest.approx(minutes)


@pytest.mark.parametrize("text", ["soon", "10 days", "10m!", "", "m", "-5m", "1:30"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(OptionError, match=r"^budget is .*; expected a time like 10m, 90s or 1h30m\.$"):
        TrainOptions(budget=text)


# --- EMA -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 20])
def test_the_result_holds_the_average_of_weights(folder, tmp_path, count):
    options = QUICK.changed(ema=0.5, steps=count)
    recipe = Blur(options)
    average = recipe.network[1].weight.detach().double().numpy()
    for event in trained(folder, tmp_path / "run", options, recipe):
        if isinstance(event, Step) and event.phase == "train":
            n = event.step - 1
            decay = min(0.5, (1 + n) / (10 + n))  # 0.1, 0.18, ... until 0.5 after 8 steps
            average = decay * average + (1 - decay) * recipe.network[1].weight.detach().double().numpy()
            last = recipe.network[1].weight.detach().clone()
    kept = load_file(tmp_path / "run" / MODEL)["1.weight"]
    np.testing.assert_allclose(kept.double().numpy(), average, atol=1e-6)
    assert float((kept - last).abs().max()) > 1e-4
    assert torch.equal(recipe.network[1].weight, last)  # the average replaces the weights only for the result
    assert recipe.network.training


def test_without_averaging_the_result_holds_the_last_weights(folder, tmp_path):
    options = QUICK.changed(ema=0)
    recipe = Blur(options)
    list(trained(folder, tmp_path / "run", options, recipe))
    assert torch.equal(load_file(tmp_path / "run" / MODEL)["1.weight"], recipe.network[1].weight)


# --- resume --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recipe", "precision"), [(Blur, "float32"), (Duel, "float32"), (Duel, "bfloat16")])
@pytest.mark.parametrize("stop", [1, 7])
def test_a_closed_run_resumes_to_the_same_bits(folder, tmp_path, recipe, precision, stop):
    options = QUICK.changed(precision=precision)
    list(trained(folder, tmp_path / "whole", options, recipe))
    events = trained(folder, tmp_path / "broken", options, recipe)
    next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == stop)
    events.close()
    assert load_state(tmp_path / "broken" / CHECKPOINT)[1]["step"] == stop
    assert not (tmp_path / "broken" / MODEL).exists()
    later = list(trained(folder, tmp_path / "broken", options, recipe, resume=True))
    assert later[0].step == stop and steps(later)[0].step == stop + 1
    assert same_files(tmp_path / "whole", tmp_path / "broken")


def test_a_killed_process_resumes_to_the_same_bits(folder, tmp_path):
    command = [sys.executable, str(SCRIPT), "alone", str(folder), str(tmp_path / "broken")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line).get("step", 0) >= 23:
                break
        process.send_signal(signal.SIGKILL)
    options = QUICK.changed(steps=40, log_steps=1, save_seconds=1e9)
    at = load_state(tmp_path / "broken" / CHECKPOINT)[1]["step"]
    assert 0 < at < 40
    later = list(trained(folder, tmp_path / "broken", options, Duel, resume=True))
    assert steps(later)[0].step == at + 1
    list(trained(folder, tmp_path / "whole", options, Duel))
    assert same_files(tmp_path / "whole", tmp_path / "broken")


def test_a_run_killed_before_its_first_checkpoint_starts_again(folder, tmp_path):
    list(trained(folder, tmp_path / "run"))
    list(trained(folder, tmp_path / "whole"))
    for name in (CHECKPOINT, MODEL):
        (tmp_path / "run" / name).unlink()
    (tmp_path / "run" / (CHECKPOINT + ".part")).write_bytes(b"half")
    events = list(trained(folder, tmp_path / "run", resume=True))
    assert Note("nothing had been saved yet; starting from the beginning") in events
    assert same_files(tmp_path / "whole", tmp_path / "run")


def test_a_run_can_become_longer_and_a_finished_one_finish_again(folder, tmp_path):
    list(trained(folder, tmp_path / "run"))
    (tmp_path / "run" / MODEL).unlink()
    again = list(trained(folder, tmp_path / "run", resume=True))
    assert not steps(again) and again[-1].steps == 12
    assert (tmp_path / "run" / MODEL).exists()
    longer = steps(trained(folder, tmp_path / "run", QUICK.changed(steps=20, save_seconds=5), resume=True))
    assert [event.step for event in longer] == list(range(13, 21))
    assert json.loads((tmp_path / "run" / "options.json").read_text())["options"]["steps"] == 20


def test_another_run_is_not_resumed(folder, tmp_path):
    list(trained(folder, tmp_path / "run"))

    def refused(match, options=QUICK, recipe=Blur):
        with pytest.raises(CheckpointError, match=match):
            trained(folder, tmp_path / "run", options, recipe, resume=True)

    refused(
        "is of a run with learning_rate 0.02, not 0.03; expected the same settings", QUICK.changed(learning_rate=0.03)
    )
    refused("is of a training of blur, not of duel", recipe=Duel)
    refused("is of a run with other kernel; expected the same", recipe=Blur(QUICK, kernel=3))
    other = Blur(QUICK, kernel=3)
    other.record = {"kernel": 5}
    refused("is of other networks", recipe=other)
    with pytest.raises(CheckpointError, match="there is no run to resume in .*elsewhere; run without --resume"):
        trained(folder, tmp_path / "elsewhere", resume=True)
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"half")
    refused("damaged or not a saved run")
    assert not (tmp_path / "elsewhere").exists()


def test_other_pictures_are_noticed(folder, tmp_path):
    list(trained(folder, tmp_path / "run"))
    Image.new("RGB", (30, 30)).save(tmp_path / "more.png")
    data = PictureFolder([folder, tmp_path / "more.png"], 16)
    options = QUICK.changed(steps=13)
    events = list(iter_train(Blur(options), data, options, run=tmp_path / "run", resume=True))
    assert Note("the pictures are not those that the run began with; going on with the new ones") in events


def test_interrupted_in_the_middle_of_a_step_the_last_good_state_is_kept(folder, tmp_path):
    recipe = Blur(QUICK)
    step = recipe.step

    def interrupted(batch, engine):
        losses = step(batch, engine)  # the weights have moved, but the step is not over
        if engine.step == 5:
            raise KeyboardInterrupt
        return losses

    recipe.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        list(trained(folder, tmp_path / "run", QUICK.changed(save_seconds=0), recipe))
    assert load_state(tmp_path / "run" / CHECKPOINT)[1]["step"] == 5
    list(trained(folder, tmp_path / "run", resume=True))
    list(trained(folder, tmp_path / "whole"))
    assert same_files(tmp_path / "whole", tmp_path / "run")


# --- what must not be lost -----------------------------------------------------------------------


def test_nothing_is_overwritten_unasked(folder, tmp_path):
    run = tmp_path / "run"
    list(trained(folder, run))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(FileExists, match=r"run is not empty; --resume goes on with its run, --force starts anew\.$"):
        trained(folder, run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    (run / "mine.txt").write_text("keep me")
    told = steps(trained(folder, run, QUICK.changed(steps=3), force=True))
    assert len(told) == 3
    assert (run / "mine.txt").read_text() == "keep me"
    assert len((run / "log.jsonl").read_text().splitlines()) == 1
    assert [path.name for path in (run / "previews").iterdir() if path.stem > "00000003"] == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match="file is a file; expected a folder for the run"):
        trained(folder, tmp_path / "file", force=True)
    (tmp_path / "empty").mkdir()
    assert len(steps(trained(folder, tmp_path / "empty"))) == 12


def test_force_deletes_nothing_in_a_folder_that_is_no_run(folder, tmp_path):
    for name, content in (
        ("log.jsonl", b"mine"),
        ("options.json", b'{"mine": 1}'),
        ("options.json", b"[1, 2]"),
        ("options.json", b"damaged"),
        ("model.safetensors", b"mine"),
        ("preview.jpg", b"mine"),
        ("figures/plot.png", b"mine"),
        ("previews/00000001.jpg", b"mine"),
    ):
        run = tmp_path / "run"
        (run / name).parent.mkdir(parents=True)
        (run / name).write_bytes(content)
        for more in ({"force": True}, {"resume": True}, {}):
            with pytest.raises(FileExists, match=r"run is not empty and holds no training .* another folder by -o\."):
                trained(folder, run, **more)
        assert [path for path in run.rglob("*") if path.is_file()] == [run / name]
        assert (run / name).read_bytes() == content
        shutil.rmtree(run)


def test_force_deletes_files_of_the_run_and_no_others_beside_them(folder, tmp_path):
    run = tmp_path / "run"
    list(trained(folder, run))
    mine = [run / "model-best.safetensors", run / "previews" / "mine.jpg", run / "tensorboard" / "mine.txt"]
    for path in mine:
        path.write_bytes(b"mine")
    shutil.copy(run / MODEL, run / "model-predictor.safetensors")
    list(trained(folder, run, QUICK.changed(steps=3), force=True))
    assert [path.read_bytes() for path in mine] == [b"mine"] * 3
    assert not (run / "model-predictor.safetensors").exists()


def test_a_run_killed_before_its_options_is_begun_again(folder, tmp_path):
    run = tmp_path / "run"
    for name in ("previews", "figures", "tensorboard"):
        (run / name).mkdir(parents=True)
    for name in (".impasto-0123456789abcdef.tmp", ".lock"):
        (run / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"there is no run to resume in .*run; run without --resume"):
        trained(folder, run, resume=True)
    list(trained(folder, run))
    assert (run / MODEL).exists() and not list(run.glob(".*"))


def test_a_damaged_record_of_a_run_names_the_way_out(folder, tmp_path):
    run = tmp_path / "run"
    list(trained(folder, run))
    (run / CHECKPOINT).unlink()
    (run / "options.json").write_bytes(b'{"operation": "tr')
    with pytest.raises(CheckpointError, match=r"options\.json is damaged; start anew with --force\."):
        trained(folder, run, resume=True)
    list(trained(folder, run, force=True))


@pytest.mark.parametrize("more", [{}, {"force": True}, {"resume": True}])
def test_two_trainings_in_one_folder(folder, tmp_path, more):
    run = tmp_path / "run"
    first = trained(folder, run)
    next(first)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(FileExists, match=r"another training writes to .*run; name another folder, or wait\."):
        trained(folder, run, **more)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    list(first)
    list(trained(folder, run, **({"force": True} | more)))
    assert not (run / ".lock").exists()


def test_a_training_that_nobody_begins_holds_nothing(folder, tmp_path):
    trained(folder, tmp_path / "run")
    list(trained(folder, tmp_path / "run", force=True))


@pytest.mark.skipif(os.name == "nt", reason="no such place")
def test_a_place_that_cannot_be_written_is_said_first(folder):
    with pytest.raises(ImageError, match=r"run cannot be written"):
        trained(folder, "/proc/run")


def test_wrong_from_the_start_leaves_no_folder(tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match="none of the 1 pictures can be read"):
        trained(bad, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unreadable_files_are_reported_at_the_end(folder, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    (more / "a.png").write_bytes(b"\x89PNG")
    (more / "b.jpg").write_bytes(b"")
    data = PictureFolder([folder, more], 16)
    events = list(iter_train(Blur(QUICK), data, QUICK, run=tmp_path / "run"))
    assert events[-2] == Note("2 files could not be read and were left out: a.png, b.jpg")
    assert steps(events)[-1].skipped == 2


def test_accelerate_is_asked_for_in_a_sentence(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtra, match=r"^training needs an extra: pip install 'impasto\[train\]'\.$"):
        trained(folder, tmp_path / "run")


def test_a_device_that_is_not_there_is_refused(folder, tmp_path):
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="device is 'cuda', which this machine or this build of torch"):
            trained(folder, tmp_path / "run", QUICK.changed(device="cuda"))


# --- numbers that are not finite -----------------------------------------------------------------


class Stumbling(Blur):
    """Blows up at some steps while the learning rate is above a limit."""

    def __init__(self, options, at=(), above=0.0, value=math.nan, silently=False):
        super().__init__(options)
        self.at, self.above, self.value, self.silently = at, above, value, silently

    def step(self, batch, engine):
        losses = super().step(batch, engine)
        if engine.step in self.at and self.optimizers["adam"].param_groups[0]["lr"] > self.above:
            with torch.no_grad():
                self.network[4].bias[0] = self.value
            return losses if self.silently else {"blur": losses["blur"] * self.value}
        return losses


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_goes_back_and_halves_the_learning_rate(folder, tmp_path, value):
    options = QUICK.changed(steps=70, schedule="constant", ema=0.9)
    events = list(trained(folder, tmp_path / "run", options, Stumbling(options, {56}, 0.015, value)))
    note = "the loss blur is not finite at step 57; going on from step 50 with half the learning rate"
    assert [event for event in events if isinstance(event, Note)] == [Note(note)]
    told = steps(events)
    assert [event.step for event in told] == [*range(1, 57), *range(51, 71)]
    assert {event.learning_rate["adam"] for event in told[:56]} == {0.02}
    assert {event.learning_rate["adam"] for event in told[56:]} == {0.01}
    assert all(math.isfinite(event.losses["blur"]) for event in told)
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "run" / MODEL).values())
    assert json.dumps(note) in (tmp_path / "run" / "log.jsonl").read_text()
    # What follows is as though it had begun at step 50 with that rate.
    assert told[50].losses == told[56].losses


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_never_saved(folder, tmp_path, value):
    options = QUICK.changed(steps=12, schedule="constant")
    recipe = Stumbling(options, {11}, 0.015, value, silently=True)  # in the last step, and no loss tells
    events = list(trained(folder, tmp_path / "run", options, recipe))
    assert "weights are not finite at step 13; going on from step 0" in next(
        event.text for event in events if isinstance(event, Note)
    )
    for name in (CHECKPOINT, MODEL):
        assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "run" / name).values())


def test_halving_is_remembered_when_a_run_goes_on(folder, tmp_path):
    options = QUICK.changed(steps=70, schedule="constant")
    events = trained(folder, tmp_path / "run", options, Stumbling(options, {56}, 0.015))
    next(event for event in events if isinstance(event, Note))
    events.close()
    later = steps(trained(folder, tmp_path / "run", options, resume=True))
    assert {event.learning_rate["adam"] for event in later} == {0.01}


def test_the_state_to_go_back_to_does_not_change(folder, tmp_path):
    options = QUICK.changed(steps=12, schedule="constant")
    for run in ("twice", "once"):
        events = trained(folder, tmp_path / run, options)
        next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == 7)
        events.close()
    recipe = Stumbling(options, {8}, 0.007)  # a step later, at 0.02 and at 0.01
    told = steps(trained(folder, tmp_path / "twice", options, recipe, resume=True))
    assert [event.step for event in told] == [8, 8, 8, 9, 10, 11, 12]
    tensors, values = load_state(tmp_path / "once" / CHECKPOINT)
    save_state(tmp_path / "once" / CHECKPOINT, tensors, {**values, "failures": 2})
    list(trained(folder, tmp_path / "once", options, resume=True))
    twice, once = (load_file(tmp_path / run / MODEL) for run in ("twice", "once"))
    assert all(torch.equal(twice[key], once[key]) for key in once)


def test_it_gives_up_after_three_times_and_keeps_what_was_good(folder, tmp_path):
    options = QUICK.changed(steps=70)
    notes = []
    with pytest.raises(TrainingError, match=r"the loss blur is not finite at step 57, though .* halved 3 times; start"):
        for event in trained(folder, tmp_path / "run", options, Stumbling(options, {56})):
            notes += [event] if isinstance(event, Note) else []
    assert len(notes) == 3
    tensors, values = load_state(tmp_path / "run" / CHECKPOINT)
    assert values["step"] == 50 and all(tensor.isfinite().all() for tensor in tensors.values())
    assert values["failures"] == 4


# --- gradients and precision ---------------------------------------------------------------------


class Descent(Blur):
    """With gradient descent, so that a step is the gradient."""

    def __init__(self, options):
        super().__init__(options)
        self.optimizers = {"adam": torch.optim.SGD(self.network.parameters(), options.learning_rate)}


def test_gradients_are_clipped(folder, tmp_path):
    options = QUICK.changed(steps=1, ema=0, clip=0.01, learning_rate=1.0)
    recipe = Descent(options)
    before = torch.cat([weight.detach().flatten() for weight in recipe.network.parameters()])
    list(trained(folder, tmp_path / "run", options, recipe))
    after = torch.cat([weight.detach().flatten() for weight in recipe.network.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_bfloat16_computes_with_half_the_bits_and_keeps_weights_whole(folder, tmp_path):
    class Twice(Blur):
        def step(self, batch, engine):
            for _ in range(2):
                given = self.network(batch)
                assert given.dtype is torch.bfloat16
                weight = self.network[4].weight
                alone = torch.nn.functional.conv2d(torch.ones(1, 8, 1, 1), weight, self.network[4].bias)
                fresh = torch.nn.functional.conv2d(
                    torch.ones(1, 8, 1, 1), weight.detach().clone(), self.network[4].bias
                )
                assert torch.equal(alone, fresh)  # not of weights cached before the step
                loss = (given - blurred(batch)).float().square().mean()
                self.optimizers["adam"].zero_grad()
                engine.backward(loss)
                self.optimizers["adam"].step()
            return {"blur": loss.detach()}

    options = QUICK.changed(precision="bfloat16", steps=150, batch=2)
    events = list(trained(folder, tmp_path / "run", options, Twice))
    told = steps(events)
    assert events[0].precision == "bfloat16"
    assert told[-1].losses["blur"] < 0.1 * told[0].losses["blur"]
    assert {tensor.dtype for tensor in load_file(tmp_path / "run" / MODEL).values()} == {torch.float32}


# --- several processes ---------------------------------------------------------------------------


def test_two_processes(folder, tmp_path):
    """Started as people start them; all in one launch, which is what takes time."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(SCRIPT), "together", str(folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["processes"] for line in told if line["event"] == "started"] == [2] * 4  # told once, not twice

    # They end with the weights of one process that has the whole batch.
    one = list(trained(folder, tmp_path / "one"))
    for name in (CHECKPOINT, MODEL):
        ours, theirs = load_file(tmp_path / "one" / name), load_file(tmp_path / "blur" / name)
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            torch.testing.assert_close(theirs[key], tensor, atol=1e-5, rtol=0)
    first = [line for line in told if line.get("phase") == "train"][:12]
    assert [line["step"] for line in first] == list(range(1, 13))
    losses = [line["losses"]["blur"] for line in first]
    assert losses == pytest.approx([event.losses["blur"] for event in steps(one)], abs=1e-5)

    # Interrupted at step 7, they go on to the same bits; what each of them remembers is its own.
    assert [line["step"] for line in told if line["event"] == "started"] == [0, 0, 0, 7]
    tensors, values = load_state(tmp_path / "broken" / CHECKPOINT)
    assert values["step"] == 12 and values["processes"] == 2
    memories = tensors["recipe/memory"]
    assert memories.shape == (2, 4, 3, 16, 16) and not torch.equal(memories[0], memories[1])
    assert same_files(tmp_path / "whole", tmp_path / "broken")

    refused = [line["text"] for line in told if line["event"] == "refused"]
    assert refused == ["batch is 3; expected a multiple of the 2 processes."] * 2
    assert not (tmp_path / "odd").exists()


# --- people and programs -------------------------------------------------------------------------


def test_lines_for_people(capsys, monkeypatch):
    monkeypatch.setattr("impasto.cli.progress._LINE_SECONDS", 0.0)
    event = Step(
        step=120,
        steps=4000,
        phase="train",
        losses={"content": 0.514, "style": 0.2249},
        learning_rate={"adam": 0.1},
        pace=3.08,
        seconds=40.0,
        remaining=720.0,
        skipped=0,
    )
    with report_lines() as report:
        report(
            Started(
                recipe="johnson",
                run=Path("runs/a"),
                step=0,
                steps=4000,
                budget=None,
                batch=4,
                weights=1_679_235,
                device="cpu",
                precision="float32",
                processes=1,
            )
        )
        report(
            Started(
                recipe="johnson",
                run=Path("runs/a"),
                step=90,
                steps=None,
                budget=600.0,
                batch=8,
                weights=10,
                device="cuda:0",
                precision="bfloat16",
                processes=2,
            )
        )
        report(
            Started(
                recipe="vae",
                run=Path("a"),
                step=500,
                steps=100,
                budget=None,
                batch=8,
                weights=10,
                device="cpu",
                precision="float32",
                processes=1,
            )
        )
        report(event)
        report(
            Step(
                step=121,
                steps=4000,
                phase="train",
                losses={"a": 1.0},
                learning_rate={"adam": 0.1},
                pace=0.25,
                seconds=40.0,
                remaining=5000.0,
                skipped=2,
            )
        )
    assert capsys.readouterr().err.splitlines() == [
        "johnson: 1,679,235 weights, 4000 steps, batch size 4, cpu, float32; files are in runs/a",
        "johnson: 10 weights, 10 min, from step 90 on, batch size 8, 2 × cuda:0, bfloat16; files are in runs/a",
        "vae: 10 weights, already finished after 500 steps, batch size 8, cpu, float32; files are in a",
        "3 %, step 120/4000, 3.1/s, 12 min left: content 0.514 style 0.225",
        "3 %, step 121/4000, 4.0 s each, 1 h 23 min left, 2 unreadable: a 1",
    ]


def test_the_preparation_counts_for_a_tenth_of_a_budget_and_not_for_the_pace(folder, tmp_path):
    """The first step's pace is not less than that of the whole time since then."""
    ready = []

    class Prepared(Blur):
        def prepare(self):
            time.sleep(1)
            yield Note("ready")
            ready.append(time.monotonic())

    first = next(
        event
        for event in trained(folder, tmp_path / "run", recipe=Prepared)
        if isinstance(event, Step) and event.phase == "train"
    )
    assert first.seconds > 1 and first.pace >= 1 / (time.monotonic() - ready[0])
    budget = QUICK.changed(budget="0.5s")
    events = list(trained(folder, tmp_path / "over", budget, recipe=Prepared))
    assert Note("1 s of preparations do not count for the budget") in events and steps(events)


def test_what_is_no_training_counts_for_a_tenth(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("impasto.training.clock.time.monotonic", lambda: now[0])
    clock = Clock(QUICK.changed(budget="100s"))
    now[0] += 1000  # before it is begun
    clock.begin(20.0)
    for seconds, aside, wanted, uncounted in (
        (5, True, 25, 0), (7, False, 32, 0), (8, True, 37, 3), (9, True, 37, 12), (1, False, 38, 12),
    ):  # fmt: skip
        with clock.aside() if aside else nullcontext():
            now[0] += seconds
        assert (clock.seconds, clock.uncounted, clock.progress(0)) == (wanted, uncounted, wanted / 100)
    steps_alone = Clock(QUICK)
    steps_alone.begin(0.0)
    with steps_alone.aside():
        now[0] += 30
    assert (steps_alone.seconds, steps_alone.uncounted) == (30, 0)


def test_a_budget_that_buys_no_step_is_an_error_and_no_model(folder, tmp_path):
    class Stuck(Blur):
        def step(self, batch, engine):
            time.sleep(0.02)
            return {"blur": torch.tensor(0.0 if engine.step else math.nan)}

    stuck = QUICK.changed(budget="0.01s")
    with pytest.raises(OptionError, match="the budget was over before the first step and nothing was trained"):
        list(trained(folder, tmp_path / "run", stuck, recipe=Stuck))
    assert not (tmp_path / "run" / MODEL).exists()


def test_the_command_line_drives_it(folder, tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
from blurring import *
from pathlib import Path
from impasto.cli.follow import follow
from impasto.cli.main import main
from impasto.cli.output import Talk
from impasto.cli.train import train

@train.command
def blur(folder: Path, *, output: Path, resume: bool = False, talk: Talk = Talk()) -> int:
    options = TrainOptions(steps=100_000, crop=16, device="cpu")
    events = iter_train(Blur(options, slow=0.01), PictureFolder(folder, 16), options, run=output, resume=resume)
    follow(events, talk, output)
    return 0

sys.exit(main())
"""
    run, command = tmp_path / "run", [sys.executable, "-c", code, "train", "blur", str(folder), "--output"]
    with subprocess.Popen([*command, str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if (run / "preview.jpg").exists():
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == f"{run}\n"
    assert err.startswith("blur: 635 weights, 100000 steps, batch size 4, cpu")
    assert "interrupted; to continue: impasto" in err and "--resume\n" in err
    assert load_state(run / CHECKPOINT)[1]["step"] >= 1


def test_previews_and_checkpoints_have_their_intervals(folder, tmp_path):
    def there_are(**settings):
        run = tmp_path / str(settings)
        events = list(trained(folder, run, QUICK.changed(**settings)))
        saves = sum(event == Saved(run / CHECKPOINT, "checkpoint") for event in events)
        return [int(path.stem) for path in sorted((run / "previews").iterdir())], saves

    assert there_are(save_seconds=1e9, preview_seconds=1e9) == ([1, 12], 1)
    assert there_are(preview_steps=(3, 5)) == ([1, 3, 5, 12], 1)
    assert there_are(save_seconds=0, preview_seconds=0, steps=4) == ([1, 2, 3, 4], 5)  # also before the first step


def test_done_carries_the_last_preview(folder, tmp_path):
    image = drain(trained(folder, tmp_path / "run"))
    assert image.shape == (1, 3, 36, 36)
    assert 0 <= float(image.min()) < float(image.max()) <= 1


@pytest.mark.parametrize("apart", [0.0, 1e9])
def test_tensorboard_gets_numbers_and_previews(folder, tmp_path, monkeypatch, apart):
    pytest.importorskip("tensorboard")
    monkeypatch.setattr("impasto.training.run_folder._PLOT_SECONDS", apart)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = trained(folder, tmp_path / "run", QUICK.changed(log_steps=1))
    next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == 5)
    events.close()
    told = steps(trained(folder, tmp_path / "run", QUICK.changed(log_steps=1), resume=True))
    read = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert read.Tags()["scalars"] == ["loss/blur", "learning_rate/adam", "steps_per_second"]
    scalars = read.Scalars("loss/blur")
    every = list(range(1, 13))  # or the first one of each session, and the last
    assert [scalar.step for scalar in scalars] == (every if not apart else [1, told[0].step, 12])
    assert scalars[-1].value == pytest.approx(told[-1].losses["blur"])
    assert read.Images("preview")[-1].step == 12
