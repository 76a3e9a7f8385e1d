"""Monitors of translators during a training, and `impasto evaluate` of translators."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from impasto.api.evaluate import iter_evaluate
from impasto.checkpoints.files import CHECKPOINT, CLASSIFIER, MODEL, load_state
from impasto.cli.main import main
from impasto.data.folders import AlignedPairs, PictureFolder
from impasto.errors import ImageError, OptionError, WeightsError
from impasto.evaluation.options import EvaluateOptions
from impasto.evaluation.translation import hold_out, sides
from impasto.events import Done, Measured, Note, Step
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.metrics.translation import measure_pairs
from impasto.networks.patchgan import PatchDiscriminator
from impasto.networks.translators import ResNetGenerator
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.cyclegan.recipe import CycleGAN
from impasto.recipes.pix2pix.options import Pix2PixOptions
from impasto.training.loop import iter_train
from impasto.training.monitor import Measurement
from nets import loaded, same_tensors
from trainings import iter_cyclegan, iter_pix2pix

BACK = "model-back.safetensors"
TINY = {
    "crop": 16, "width": 2, "blocks": 1, "discriminator_width": 2, "discriminator_layers": 1, "device": "cpu",
    "precision": "float32", "preview_seconds": 1e9, "watch_steps": 4,
}  # fmt: skip
CPU = EvaluateOptions(device="cpu", classifier_steps=60)


def squares(seed):
    """A light square on dark ground, `(20, 20, 3)`."""
    random = np.random.default_rng(seed)
    pixels = random.uniform(0, 0.15, (20, 20, 3)).astype(np.float32)
    side = random.integers(5, 9)
    top, left = random.integers(1, 19 - side, 2)
    pixels[top : top + side, left : left + side] += 0.7
    return pixels


def write(folder, name, array):
    folder.mkdir(parents=True, exist_ok=True)
    save_picture(folder / f"{name}.png", load_picture(array))


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    """Sixty light squares, and fifty-five dark ones."""
    path = tmp_path_factory.mktemp("domains")
    for index in range(60):
        write(path / "a", f"{index}", squares(index))
    for index in range(55):
        write(path / "b", f"{index}", 1 - squares(100 + index))
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs")
    for index in range(52):
        write(path, f"{index}", np.concatenate([squares(index), 1 - squares(index)], 1))
    return path


@pytest.fixture(scope="module")
def run(domains, tmp_path_factory):
    """A training of both directions, and its events."""
    path = tmp_path_factory.mktemp("run") / "run"
    events = list(iter_cyclegan(domains / "a", domains / "b", CycleGANOptions(**TINY, steps=10), run=path))
    return path, events


def folders(domains):
    return {"a": domains / "a", "b": domains / "b"}


def steps(events):
    return [event for event in events if isinstance(event, Step) and event.phase == "train"]


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


def found(events):
    (measured,) = [event for event in events if isinstance(event, Measured)]
    return json.loads(json.dumps(measured.found))


# --- what is held out -----------------------------------------------------------------------------


def test_a_tenth_is_held_out_and_stays_held_out(domains, tmp_path):
    data = PictureFolder(domains / "a", 16, seed=3)
    learned, held = hold_out(data)
    assert (len(learned), len(held)) == (50, 10) and held.flip is False and learned.flip
    assert sorted([*learned.paths, *held.paths]) == sorted(data.paths)
    assert len(hold_out(PictureFolder([domains / "a"] * 9, 16))[1]) == 54  # a tenth
    assert len(hold_out(PictureFolder([domains / "a"] * 20, 16))[1]) == 100  # at most
    other = hold_out(PictureFolder(domains / "b", 16))[1]  # the same names go to the same side, but for the last ones
    assert len({path.name for path in held.paths} & {path.name for path in other.paths}) >= 8
    kept = {path.name for path in held.paths}
    for path in data.paths[:58]:
        write(tmp_path / "fewer", path.stem, load_picture(path).pixels)
    fewer = {path.name for path in hold_out(PictureFolder(tmp_path / "fewer", 16))[1].paths}
    assert len(fewer) == 10 and kept - {path.name for path in data.paths[58:]} <= fewer


def test_a_part_reads_only_its_own_pictures(pairs, tmp_path):
    whole = AlignedPairs(pairs, 16, seed=1, zoom=1)
    whole.batch([0])
    some = whole.part([3, 5])
    assert [path.name for path in some.paths] == [whole.paths[3].name, whole.paths[5].name] and not some._kept
    pictures = some.each()
    assert pictures.shape == (2, 6, 16, 16) and torch.equal(pictures, some.batch([0, 1]))
    torch.testing.assert_close(pictures[:, 3:], 1 - pictures[:, :3], rtol=0, atol=2.1 / 255)
    for index in range(3):
        write(tmp_path / "a", f"{index}", squares(index))
        write(tmp_path / "b", f"{index}", 1 - squares(index))
    named = AlignedPairs(tmp_path, 16).part([2])
    assert [path.parent.name for path in (*named.paths, *named.partners)] == ["a", "b"]
    assert {path.stem for path in (*named.paths, *named.partners)} == {"2"}
    (tmp_path / "a" / "1.png").write_bytes(b"none")
    broken = PictureFolder(tmp_path / "a", 16)
    assert len(broken.each()) == 2 and [path.endswith("1.png") for path in broken.skipped] == [True]
    assert len(broken.each(1)) <= 1


def test_marks_of_pictures_do_not_depend_on_folders(domains, tmp_path):
    data = PictureFolder(domains / "a", 16)
    assert len(set(data.marks)) == len(data) and {len(mark) for mark in data.marks} == {8}
    (tmp_path / "moved.png").write_bytes(data.paths[7].read_bytes())
    (tmp_path / data.paths[7].name).write_bytes(data.paths[7].read_bytes())
    marks = PictureFolder(tmp_path, 16).marks
    assert [mark in data.marks for mark in marks] == [True, False]


# --- during a training ------------------------------------------------------------------------------


def test_both_directions_are_measured_during_a_training(run):
    path, events = run
    assert [event.name for event in events if isinstance(event, Step) and event.phase == "fit"] == ["classifier"] * 5
    told = load_state(path / CLASSIFIER)[1]
    assert told["held"] == 20 and told["accuracy"] >= 0.9
    (first,) = [text for text in notes(events) if text.startswith("a classifier assigns ")]
    assert "10 + 10 held-out images to their domain" in first and "identity 1.00, color transfer " in first
    measured = [event for event in steps(events) if event.measures]
    assert [event.step for event in measured] == [4, 8]
    names = ("accuracy", "frechet", "structure", "cycle_psnr")
    both = {f"{name}_{direction}" for name in names for direction in ("to_a", "to_b")}
    assert set(measured[0].measures) == {"score", "score_of_color_transfer", *both}
    log = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    assert [line["measures"] for line in log if line["measures"]] == [event.measures for event in measured]


def test_the_result_says_how_good_it_is(run):
    path, events = run
    header = load_state(path / MODEL)[1]
    results = header["results"]
    assert results == load_state(path / BACK)[1]["results"] and (results["last_step"], results["kept"]) == (10, "best")
    scores = {event.step: event.measures["score"] for event in steps(events) if event.measures}
    scores[10] = results["last_score"]
    assert results["score"] == min(scores.values()) and scores[results["step"]] == results["score"]
    assert results["score_of_identity"] == pytest.approx(1) and (results["held_a"], results["held_b"]) == (10, 10)
    assert list(results["tables"]) == ["A to B", "B to A"]
    for table in results["tables"].values():
        assert list(table) == ["identity", "color transfer", "network"]
        assert table["identity"]["structure"] == pytest.approx(0, abs=1e-6)
        assert table["identity"]["score"] == pytest.approx(1)
        assert table["identity"]["accuracy"] <= 0.2 and table["network"]["cycle_psnr"] > 0
    mean = np.mean([table["network"]["score"] for table in results["tables"].values()])
    assert results["score"] == pytest.approx(mean, rel=1e-6)
    assert header["notes"] == notes(events)[-len(header["notes"]) :]
    assert header["notes"][-2].startswith("A to B, on 10 held-out images") and "cycle PSNR" in header["notes"][-1]


def test_held_out_images_are_not_learned_from(run, domains):
    learned = load_state(run[0] / MODEL)[1]["learned"]
    marks = {learned[first : first + 8] for first in range(0, len(learned), 8)}
    assert len(learned) == 8 * (50 + 45)
    for domain, count in (("a", 50), ("b", 45)):
        data = PictureFolder(domains / domain, 16)
        assert sum(mark in marks for mark in data.marks) == count
        assert not marks & set(hold_out(data)[1].marks)


def test_the_report_shows_previews_with_their_columns_and_curves_of_measures(run):
    page = (run[0] / "report.html").read_text()
    assert (
        "Each row of the upper half: a picture of A, its translation to B, cycle reconstruction, identity map" in page
    )
    assert "of the lower half: a picture of B, its translation to A, cycle reconstruction" in page
    for name in ("score", "frechet_to_b", "structure_to_a"):
        assert (run[0] / "figures" / f"{name}.png").is_file()
    assert "<th>A to B</th><th>identity</th><th>color transfer</th><th>network</th><th>best</th>" in page


class Script:
    """A monitor that returns scores in turn, and remembers the weights that it measured."""

    every = 2

    def __init__(self, *scores):
        self.scores, self.seen = list(scores), []

    def prepare(self):
        yield from ()

    def measure(self, step, models):
        self.seen.append([{k: v.clone() for k, v in models[name].args[0].state_dict().items()} for name in models])
        score = self.scores[len(self.seen) - 1]
        return None if score is None else Measurement(score, {"score": score})

    def finish(self, models):
        assert list(models) == ["to_b", "to_a"]
        return {"told": 1}, ["well done"]

    def state(self):
        return {"count": torch.tensor(len(self.seen))}

    def restore(self, state):
        assert int(state["count"]) == len(self.seen)


@pytest.mark.parametrize(
    ("scores", "keep", "kept"),
    [
        ((3.0, 1.0, 2.0, 2.5), "best", 2),
        ((3.0, 1.0, 2.0, 2.5), "last", 4),
        ((3.0, 2.0, 2.0, 1.0), "best", 4),
        ((2.0, 3.0, float("nan"), float("nan")), "best", 1),
        ((None, None, None, None), "best", 4),
    ],
)  # fmt: skip
def test_the_best_checkpoint_is_the_result(domains, tmp_path, scores, keep, kept):
    options = CycleGANOptions(**TINY, steps=7, keep=keep)
    data = PictureFolder(domains / "a", 16), PictureFolder(domains / "b", 16)

    class Fixed:
        skipped, fingerprint = [], "fixed"

        def batch(self, indices):
            return tuple(folder.batch(indices) for folder in data)

    torch.manual_seed(0)
    networks = [ResNetGenerator(2, 1), ResNetGenerator(2, 1), PatchDiscriminator(2, 1), PatchDiscriminator(2, 1)]
    monitor = Script(*scores)
    recipe = CycleGAN(*networks, tuple(folder.batch([0]) for folder in data), options, monitor)
    events = list(iter_train(recipe, Fixed(), options, run=tmp_path / "run"))
    assert len(monitor.seen) == 4  # after 2, 4 and 6 steps, and at the end
    for name, wanted in zip((MODEL, BACK), monitor.seen[kept - 1], strict=True):
        weights, header = load_state(tmp_path / "run" / name)
        assert all(torch.equal(weights[key], value) for key, value in wanted.items())
        assert not torch.equal(weights["model.1.weight"], monitor.seen[kept % 4][name == BACK]["model.1.weight"])
        if scores[0] is None:
            assert "results" not in header
        else:
            step = {4: 7}.get(kept, 2 * kept)
            assert (header["results"]["step"], header["results"]["last_step"]) == (step, 7)
            assert header["results"]["told"] == 1
    told = [] if scores[0] is None else ["we keep the checkpoint of step", "well done"]
    assert [text[:30] for text in notes(events)] == told


RUNS = {
    "cyclegan": (iter_cyclegan, CycleGANOptions(**TINY, steps=14, pool=3)),
    "cut": (iter_cyclegan, CycleGANOptions(**TINY, steps=14, method="cut", patches=9)),
    "pix2pix": (iter_pix2pix, Pix2PixOptions(**TINY, steps=14, network="resnet", norm="batch", batch=2)),
}


@pytest.mark.parametrize("what", RUNS)
def test_a_closed_run_with_a_monitor_resumes_to_the_same_bits(what, domains, pairs, tmp_path):
    train, options = RUNS[what]
    data = (domains / "a", domains / "b") if train is iter_cyclegan else (pairs,)
    whole = list(train(*data, options, run=tmp_path / "whole"))
    events = train(*data, options, run=tmp_path / "broken")
    next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == 9)
    events.close()
    kept = load_file(tmp_path / "broken" / CHECKPOINT)
    assert int(kept["recipe/best_step"]) in (4, 8) and any(key.startswith("recipe/best/") for key in kept)
    later = list(train(*data, options, run=tmp_path / "broken", resume=True))
    assert not [
        event for event in later if isinstance(event, Step) and event.phase == "fit"
    ]  # the classifier is there already
    classifier = [CLASSIFIER] if train is iter_cyclegan else []
    assert same_tensors(tmp_path / "whole", tmp_path / "broken", CHECKPOINT, MODEL, *classifier)
    ours, theirs = (load_state(tmp_path / name / MODEL)[1]["results"] for name in ("whole", "broken"))
    assert ours == theirs
    measured = [event.measures for event in steps(whole) if event.step == 12]
    assert measured == [event.measures for event in steps(later) if event.step == 12]


def test_pix2pix_is_measured_against_the_truth(pairs, tmp_path):
    options = Pix2PixOptions(**TINY, steps=8, network="resnet", direction="b-to-a")
    events = list(iter_pix2pix(pairs, options, run=tmp_path / "run"))
    header = load_state(tmp_path / "run" / MODEL)[1]
    results = header["results"]
    (table,) = results["tables"].values()
    assert list(table) == ["identity", "median color", "color transfer", "network"] and results["held"] == 10
    held = hold_out(AlignedPairs(pairs, 16, zoom=options.zoom))[1]
    source, truth = sides(held.each(), "b-to-a")
    assert source.mean() > 0.5 > truth.mean()
    with torch.no_grad():
        fake = loaded(tmp_path / "run").paint(source)
    assert results["score"] == table["network"]["l1"]
    assert table["network"]["l1"] == pytest.approx(measure_pairs(fake, truth).l1, rel=1e-4)
    assert table["identity"]["l1"] == pytest.approx(float((source - truth).abs().mean()), rel=1e-5)
    measured = [event.measures for event in steps(events) if event.measures]
    assert set(measured[0]) == {
        "score", "psnr", "ssim", "l1_of_identity", "l1_of_median_color", "l1_of_color_transfer"
    }  # fmt: skip
    assert measured[0]["l1_of_median_color"] == table["median color"]["l1"]
    assert notes(events)[0].startswith(
        "10 pairs are held out; mean difference of the baselines from the truth: identity"
    )
    assert "Each row: input, translation, ground truth" in (tmp_path / "run/report.html").read_text()
    told = found(iter_evaluate(tmp_path / "run", {"pairs": pairs}, CPU))
    assert told["compared"] == {"pairs": 10, "side": 16} and told["pictures"]["direction"] == "b-to-a"
    for name, one in told["tables"]["pairs"].items():
        assert one == pytest.approx(table[name], rel=1e-3)


def test_nothing_is_held_out_of_few_pictures(domains, pairs, tmp_path):
    for path in sorted((domains / "a").iterdir())[:49]:
        write(tmp_path / "few", path.stem, load_picture(path).pixels)
    options = CycleGANOptions(**TINY, steps=4)
    events = list(iter_cyclegan(tmp_path / "few", domains / "b", options, run=tmp_path / "run"))
    assert notes(events) == [
        "there are 49 pictures of A and 55 of B; of fewer than 50 none are held out, so nothing is measured; we keep "
        "the last checkpoint"
    ]
    assert not (tmp_path / "run" / CLASSIFIER).exists() and not steps(events)[3].measures
    header = load_state(tmp_path / "run" / MODEL)[1]
    assert "results" not in header and len(header["learned"]) == 8 * (49 + 55)
    options = Pix2PixOptions(**TINY | {"watch_steps": 0}, steps=1, network="resnet")
    events = list(iter_pix2pix(pairs, options, run=tmp_path / "pairs"))
    assert not notes(events) and len(load_state(tmp_path / "pairs" / MODEL)[1]["learned"]) == 8 * 52


def test_domains_that_are_too_alike_are_not_measured(domains, tmp_path):
    options = CycleGANOptions(**TINY, steps=4, method="fastcut")
    events = list(iter_cyclegan(domains / "a", domains / "a", options, run=tmp_path / "run"))
    (told,) = notes(events)
    assert told.startswith("a classifier assigns ") and "so nothing is measured: the domains are too alike" in told
    assert not steps(events)[3].measures and "results" not in load_state(tmp_path / "run" / MODEL)[1]


def test_of_two_processes_the_first_measures(domains, tmp_path):
    small = "--steps 4 --watch-steps 2 --crop 16 --width 2 --blocks 1 --batch 2"
    small += " --discriminator-width 2 --discriminator-layers 1"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "impasto", "train", "cyclegan", "--a", str(domains / "a"), "--b", str(domains / "b"), *small.split()]
    command = [*launcher, *words, "--device", "cpu", "--json", "-o", str(tmp_path / "run")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    events = [json.loads(line) for line in told.splitlines()]
    measured = [event["step"] for event in events if event.get("phase") == "train" and event["measures"]]
    assert measured == [2, 4] and events[-1]["event"] == "done"
    assert load_state(tmp_path / "run" / MODEL)[1]["results"]["last_step"] == 4


# --- after training -----------------------------------------------------------------------------------


def test_evaluating_on_the_same_folders_gives_the_numbers_of_the_run(run, domains):
    path, _ = run
    events = list(iter_evaluate(path, folders(domains), CPU))
    told = found(events)
    assert notes(events) == ["50 images of A and 45 of B are left out, since it learned from them"]
    assert told["compared"] == {"a": 10, "b": 10, "side": 16}
    results = load_state(path / MODEL)[1]["results"]
    assert told["classifier"]["digest"] == results["classifier"] and told["results"] == results
    assert told["classifier"]["accuracy"] == pytest.approx(results["classifier_accuracy"])
    for title, table in results["tables"].items():
        for name, one in table.items():
            ours, theirs = (
                {field: value for field, value in some.items() if value is not None}
                for some in (told["tables"][title][name], one)
            )
            assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4), (title, name)
    assert told["score"] == pytest.approx(results["score"], rel=1e-3)
    assert told["back"]["path"].endswith(BACK) and told["model"]["network"] == "resnet"
    done = events[-1]
    assert isinstance(done, Done) and done.image.shape == (1, 3, 4 * 16, 2 * 16) and done.steps == 20


def test_the_translator_back_is_evaluated_as_such(run, domains):
    told = found(iter_evaluate(run[0] / BACK, folders(domains), CPU))
    there = found(iter_evaluate(run[0], folders(domains), CPU))
    assert told["tables"]["B to A"] == there["tables"]["B to A"] and told["score"] == pytest.approx(there["score"])


def test_the_classifier_for_official_files_is_trained_on_other_pictures(run, domains, tmp_path):
    weights, _ = load_state(run[0] / MODEL)
    torch.save(weights, tmp_path / "latest_net_G_A.pth")
    options = CPU.changed(crop=16)
    events = list(iter_evaluate(tmp_path / "latest_net_G_A.pth", folders(domains), options))
    told = found(events)
    assert notes(events)[0].startswith("its training images are unknown; if these are among them, the measures are")
    assert told["compared"] == {"a": 30, "b": 27, "side": 16} and list(told["tables"]) == ["A to B"]
    assert [event.steps for event in events if isinstance(event, Step) and event.phase == "fit"] == [60] * 5
    assert told["classifier"]["held"] == 57 and told["classifier"]["accuracy"] > 0.9
    assert told["tables"]["A to B"]["network"]["cycle_psnr"] is None and told["back"] is None
    both = found(
        iter_evaluate(
            tmp_path / "latest_net_G_A.pth",
            folders(domains),
            options.changed(classifier=str(run[0] / CLASSIFIER), count=20),
            back=run[0] / BACK,
        )
    )
    assert both["compared"] == {"a": 20, "b": 20, "side": 16} and list(both["tables"]) == ["A to B", "B to A"]
    assert both["classifier"]["digest"] == load_state(run[0] / MODEL)[1]["results"]["classifier"]


def test_the_command_prints_the_table_and_the_report_shows_it(run, domains, capfd):
    path, _ = run
    words = ["evaluate", str(path), "--a", str(domains / "a"), "--b", str(domains / "b"), "--device", "cpu"]
    assert main([*words, "-o", str(path / "evaluation.json")]) == 0
    shown = capfd.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == str(path / "evaluation.json") and lines[1].startswith("classifier ")
    (head,) = [line for line in lines if line.startswith("A to B")]
    assert head.split("  ")[1:] and [part.strip() for part in head.split("  ") if part.strip()] == [
        "A to B", "identity", "color transfer", "network", "best"
    ]  # fmt: skip
    assert any(line.startswith("B to A") for line in lines) and any("Fréchet distance" in line for line in lines)
    page = (path / "report.html").read_text()
    assert page.count("<th>A to B</th>") == 2  # the training's own results, and the evaluation
    assert main([*words, "--json"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (measured,) = [event["found"] for event in told if event["event"] == "measured"]
    written = json.loads((path / "evaluation.json").read_text())
    assert measured == written


def test_errors_are_one_sentence(run, domains, pairs, tmp_path, capfd):
    path = str(run[0])
    both = ["--a", str(domains / "a"), "--b", str(domains / "b")]
    for words, sentence in (
        ([path], "is a translator; expected pictures of both domains, --a FOLDER --b FOLDER, or pairs with known"),
        ([path, *both[:2]], "is a translator; expected pictures of both domains"),
        ([path, "--pairs", str(pairs), *both], "is a translator; expected pictures of both domains"),
        ([path, *both, "--classifier", f"{path}/model.safetensors"], "holds no classifier"),
        ([str(tmp_path / "none.pth"), *both], "none.pth does not exist"),
    ):
        assert main(["evaluate", *words]) in (1, 2)
        said = capfd.readouterr().err
        assert sentence in said and said.count("\n") == 1
    for path in sorted((domains / "b").iterdir())[:9]:
        write(tmp_path / "few", path.stem, load_picture(path).pixels)
    with pytest.raises(OptionError, match=r"few holds [0-9] pictures that .* did not learn from; expected 10 or more"):
        iter_evaluate(run[0], folders(domains) | {"b": tmp_path / "few"}, CPU)
    with pytest.raises(ImageError, match="does not exist"):
        iter_evaluate(run[0], folders(domains) | {"b": tmp_path / "nothing"}, CPU)
    with pytest.raises(WeightsError, match="'pyramid'; expected a translator of CycleGAN, CUT or pix2pix"):
        iter_evaluate("starry_night", folders(domains), CPU)
