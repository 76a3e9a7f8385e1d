"""Translations are judged while they learn, on pictures that are held out, and afterwards by `impasto evaluate`."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from impasto.api.comparing import iter_compare
from impasto.api.translating import iter_cyclegan, iter_pix2pix
from impasto.checkpoints.files import CHECKPOINT, CLASSIFIER, MODEL, load_state
from impasto.checkpoints.load import load_model
from impasto.cli.main import main
from impasto.data.folders import AlignedPairs, PictureFolder
from impasto.errors import ImageError, OptionError, WeightsError
from impasto.evaluation.options import EvaluateOptions
from impasto.evaluation.translation import hold_out, sides
from impasto.events import Done, Judged, Note, Taught, Trained
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.metrics.translation import judge_pairs
from impasto.networks.patchgan import PatchDiscriminator
from impasto.networks.translators import ResNetGenerator
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.cyclegan.recipe import CycleGAN
from impasto.recipes.pix2pix.options import Pix2PixOptions
from impasto.training.loop import iter_train
from impasto.training.monitor import Look
from nets import same_tensors

BACK = "model-back.safetensors"
TINY = {
    "crop": 16, "width": 2, "blocks": 1, "judge_width": 2, "judge_layers": 1, "device": "cpu", "precision": "float32",
    "preview_seconds": 1e9, "watch_steps": 4,
}  # fmt: skip
CPU = EvaluateOptions(device="cpu", classifier_steps=60)


def squares(seed):
    """A light square on dark ground, `(20, 20, 3)`."""
    chance = np.random.default_rng(seed)
    pixels = chance.uniform(0, 0.15, (20, 20, 3)).astype(np.float32)
    side = chance.integers(5, 9)
    top, left = chance.integers(1, 19 - side, 2)
    pixels[top : top + side, left : left + side] += 0.7
    return pixels


def write(folder, name, array):
    folder.mkdir(parents=True, exist_ok=True)
    save_picture(folder / f"{name}.png", load_picture(array))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Sixty light squares, and fifty-five dark ones."""
    path = tmp_path_factory.mktemp("kinds")
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
def run(kinds, tmp_path_factory):
    """A training of both directions, and what it said."""
    path = tmp_path_factory.mktemp("run") / "run"
    events = list(iter_cyclegan(kinds / "a", kinds / "b", CycleGANOptions(**TINY, steps=10), run=path))
    return path, events


def steps(events):
    return [event for event in events if isinstance(event, Trained)]


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


def found(events):
    (judged,) = [event for event in events if isinstance(event, Judged)]
    return json.loads(json.dumps(judged.found))


# --- what is held out -----------------------------------------------------------------------------


def test_a_tenth_is_held_out_and_stays_held_out(kinds, tmp_path):
    data = PictureFolder(kinds / "a", 16, seed=3)
    learned, held = hold_out(data)
    assert (len(learned), len(held)) == (50, 10) and held.flip is False and learned.flip
    assert sorted([*learned.paths, *held.paths]) == sorted(data.paths)
    assert len(hold_out(PictureFolder([kinds / "a"] * 9, 16))[1]) == 54  # a tenth
    assert len(hold_out(PictureFolder([kinds / "a"] * 20, 16))[1]) == 100  # at most
    other = hold_out(PictureFolder(kinds / "b", 16))[1]  # the same names go to the same side, but for the last ones
    assert len({path.name for path in held.paths} & {path.name for path in other.paths}) >= 8
    kept = {path.name for path in held.paths}
    for path in data.paths[:58]:
        write(tmp_path / "fewer", path.stem, load_picture(path).pixels)
    fewer = {path.name for path in hold_out(PictureFolder(tmp_path / "fewer", 16))[1].paths}
    assert len(fewer) == 10 and kept - {path.name for path in data.paths[58:]} <= fewer


def test_a_part_is_read_by_itself(pairs, tmp_path):
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


def test_pictures_are_known_again_wherever_they_lie(kinds, tmp_path):
    data = PictureFolder(kinds / "a", 16)
    assert len(set(data.marks)) == len(data) and {len(mark) for mark in data.marks} == {8}
    (tmp_path / "moved.png").write_bytes(data.paths[7].read_bytes())
    (tmp_path / data.paths[7].name).write_bytes(data.paths[7].read_bytes())
    marks = PictureFolder(tmp_path, 16).marks
    assert [mark in data.marks for mark in marks] == [True, False]


# --- while it learns ------------------------------------------------------------------------------


def test_both_directions_are_judged_while_they_learn(run):
    path, events = run
    assert [event.name for event in events if isinstance(event, Taught)] == ["classifier"] * 5
    told = load_state(path / CLASSIFIER)[1]
    assert told["held"] == 20 and told["accuracy"] >= 0.9
    (first,) = [text for text in notes(events) if text.startswith("a classifier knows A from B")]
    assert "10 + 10 pictures that are held out" in first and "as they are 1.00, colors changed " in first
    looks = [event for event in steps(events) if event.measures]
    assert [event.step for event in looks] == [4, 8]
    ways = {f"{name}_{way}" for name in ("accuracy", "frechet", "structure", "cycle_psnr") for way in ("to_a", "to_b")}
    assert set(looks[0].measures) == {"score", "score_of_colors_changed", *ways}
    log = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    assert [line["measures"] for line in log if line["measures"]] == [event.measures for event in looks]


def test_the_result_says_how_good_it_is(run):
    path, events = run
    header = load_state(path / MODEL)[1]
    results = header["results"]
    assert results == load_state(path / BACK)[1]["results"] and (results["last_step"], results["kept"]) == (10, "best")
    scores = {event.step: event.measures["score"] for event in steps(events) if event.measures}
    scores[10] = results["last_score"]
    assert results["score"] == min(scores.values()) and scores[results["step"]] == results["score"]
    assert results["score_of_as_they_are"] == pytest.approx(1) and (results["held_a"], results["held_b"]) == (10, 10)
    assert list(results["tables"]) == ["A to B", "B to A"]
    for table in results["tables"].values():
        assert list(table) == ["as they are", "colors changed", "network"]
        assert table["as they are"]["structure"] == pytest.approx(0, abs=1e-6)
        assert table["as they are"]["score"] == pytest.approx(1)
        assert table["as they are"]["accuracy"] <= 0.2 and table["network"]["cycle_psnr"] > 0
    mean = np.mean([table["network"]["score"] for table in results["tables"].values()])
    assert results["score"] == pytest.approx(mean, rel=1e-6)
    assert header["notes"] == notes(events)[-len(header["notes"]) :]
    assert header["notes"][-2].startswith("A to B, of 10 pictures held out") and "back again" in header["notes"][-1]


def test_nobody_learns_from_what_is_held_out(run, kinds):
    learned = load_state(run[0] / MODEL)[1]["learned"]
    marks = {learned[place : place + 8] for place in range(0, len(learned), 8)}
    assert len(learned) == 8 * (50 + 45)
    for kind, count in (("a", 50), ("b", 45)):
        data = PictureFolder(kinds / kind, 16)
        assert sum(mark in marks for mark in data.marks) == count
        assert not marks & set(hold_out(data)[1].marks)


def test_the_report_shows_previews_with_their_columns_and_curves_of_measures(run):
    page = (run[0] / "report.html").read_text()
    assert "In each row of the upper half: a picture of A, as B, back again, and what the way to A makes of it" in page
    assert "of the lower half: a picture of B, as A, back again" in page
    for name in ("score", "frechet_to_b", "structure_to_a"):
        assert (run[0] / "figures" / f"{name}.png").is_file()
    assert "<th>A to B</th><th>as they are</th><th>colors changed</th><th>network</th><th>best</th>" in page


class Script:
    """A referee that gives scores in turn, and remembers what it saw."""

    def __init__(self, *scores):
        self.scores, self.seen = list(scores), []

    def prepare(self):
        yield from ()

    def look(self, ways):
        self.seen.append([{k: v.clone() for k, v in ways[name].args[0].state_dict().items()} for name in ways])
        score = self.scores[len(self.seen) - 1]
        return None if score is None else Look(score, {"score": score})

    def finish(self, ways):
        assert list(ways) == ["to_b", "to_a"]
        return {"told": 1}, ["well done"]


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
def test_the_best_is_kept(kinds, tmp_path, scores, keep, kept):
    options = CycleGANOptions(**TINY | {"watch_steps": 2}, steps=7, keep=keep)
    folders = PictureFolder(kinds / "a", 16), PictureFolder(kinds / "b", 16)

    class Fixed:
        skipped, fingerprint = [], "fixed"

        def batch(self, indices):
            return tuple(folder.batch(indices) for folder in folders)

    torch.manual_seed(0)
    networks = [ResNetGenerator(2, 1), ResNetGenerator(2, 1), PatchDiscriminator(2, 1), PatchDiscriminator(2, 1)]
    referee = Script(*scores)
    recipe = CycleGAN(*networks, tuple(folder.batch([0]) for folder in folders), options, referee)
    events = list(iter_train(recipe, Fixed(), options, run=tmp_path / "run"))
    assert len(referee.seen) == 4  # after 2, 4 and 6 steps, and at the end
    for name, wanted in zip((MODEL, BACK), referee.seen[kept - 1], strict=True):
        weights, header = load_state(tmp_path / "run" / name)
        assert all(torch.equal(weights[key], value) for key, value in wanted.items())
        assert not torch.equal(weights["model.1.weight"], referee.seen[kept % 4][name == BACK]["model.1.weight"])
        if scores[0] is None:
            assert "results" not in header
        else:
            step = {4: 7}.get(kept, 2 * kept)
            assert (header["results"]["step"], header["results"]["last_step"]) == (step, 7)
            assert header["results"]["told"] == 1
    told = ["what was best is kept, of step"] * (kept != 4) + ["well done"] * (scores[0] is not None)
    assert [text[:30] for text in notes(events)] == told


RUNS = {
    "cyclegan": (iter_cyclegan, CycleGANOptions(**TINY, steps=14, pool=3)),
    "cut": (iter_cyclegan, CycleGANOptions(**TINY, steps=14, method="cut", patches=9)),
    "pix2pix": (iter_pix2pix, Pix2PixOptions(**TINY, steps=14, network="resnet", norm="batch", batch=2)),
}


@pytest.mark.parametrize("what", RUNS)
def test_a_closed_run_that_is_judged_goes_on_to_the_same_bits(what, kinds, pairs, tmp_path):
    train, options = RUNS[what]
    data = (kinds / "a", kinds / "b") if train is iter_cyclegan else (pairs,)
    whole = list(train(*data, options, run=tmp_path / "whole"))
    events = train(*data, options, run=tmp_path / "broken")
    next(event for event in events if isinstance(event, Trained) and event.step == 9)
    events.close()
    kept = load_file(tmp_path / "broken" / CHECKPOINT)
    assert int(kept["recipe/best_step"]) in (4, 8) and any(key.startswith("recipe/best/") for key in kept)
    later = list(train(*data, options, run=tmp_path / "broken", resume=True))
    assert not [event for event in later if isinstance(event, Taught)]  # the classifier is there already
    classifier = [CLASSIFIER] if train is iter_cyclegan else []
    assert same_tensors(tmp_path / "whole", tmp_path / "broken", CHECKPOINT, MODEL, *classifier)
    ours, theirs = (load_state(tmp_path / name / MODEL)[1]["results"] for name in ("whole", "broken"))
    assert ours == theirs
    looks = [event.measures for event in steps(whole) if event.step == 12]
    assert looks == [event.measures for event in steps(later) if event.step == 12]


def test_pix2pix_is_judged_by_the_truth(pairs, tmp_path):
    options = Pix2PixOptions(**TINY, steps=8, network="resnet", direction="b-to-a")
    events = list(iter_pix2pix(pairs, options, run=tmp_path / "run"))
    header = load_state(tmp_path / "run" / MODEL)[1]
    results = header["results"]
    (table,) = results["tables"].values()
    assert list(table) == ["as they are", "median color", "colors changed", "network"] and results["held"] == 10
    held = hold_out(AlignedPairs(pairs, 16, zoom=options.zoom))[1]
    source, truth = sides(held.each(), "b-to-a")
    assert source.mean() > 0.5 > truth.mean()
    with torch.no_grad():
        made = load_model(tmp_path / "run")(source)
    assert results["score"] == table["network"]["l1"]
    assert table["network"]["l1"] == pytest.approx(judge_pairs(made, truth).l1, rel=1e-4)
    assert table["as they are"]["l1"] == pytest.approx(float((source - truth).abs().mean()), rel=1e-5)
    looks = [event.measures for event in steps(events) if event.measures]
    assert set(looks[0]) == {
        "score", "psnr", "ssim", "l1_of_as_they_are", "l1_of_median_color", "l1_of_colors_changed"
    }  # fmt: skip
    assert looks[0]["l1_of_median_color"] == table["median color"]["l1"]
    assert "10 pairs are held out to judge by" in notes(events)[0]
    assert "what is translated, what comes out, and what it should be" in (tmp_path / "run/report.html").read_text()
    told = found(iter_compare(tmp_path / "run", CPU, pairs=pairs))
    assert told["compared"] == {"pairs": 10, "side": 16} and told["pictures"]["direction"] == "b-to-a"
    for name, one in told["tables"]["pairs"].items():
        assert one == pytest.approx(table[name], rel=1e-3)


def test_few_pictures_are_all_learned_from(kinds, pairs, tmp_path):
    for path in sorted((kinds / "a").iterdir())[:49]:
        write(tmp_path / "few", path.stem, load_picture(path).pixels)
    options = CycleGANOptions(**TINY, steps=4)
    events = list(iter_cyclegan(tmp_path / "few", kinds / "b", options, run=tmp_path / "run"))
    assert notes(events) == [
        "there are 49 pictures of A and 55 of B; of fewer than 50 none are held out, so nobody judges, and what is "
        "learned last is kept"
    ]
    assert not (tmp_path / "run" / CLASSIFIER).exists() and not steps(events)[3].measures
    header = load_state(tmp_path / "run" / MODEL)[1]
    assert "results" not in header and len(header["learned"]) == 8 * (49 + 55)
    options = Pix2PixOptions(**TINY | {"watch_steps": 0}, steps=1, network="resnet")
    events = list(iter_pix2pix(pairs, options, run=tmp_path / "pairs"))
    assert not notes(events) and len(load_state(tmp_path / "pairs" / MODEL)[1]["learned"]) == 8 * 52


def test_kinds_that_look_alike_are_not_judged(kinds, tmp_path):
    options = CycleGANOptions(**TINY, steps=4, method="fastcut")
    events = list(iter_cyclegan(kinds / "a", kinds / "a", options, run=tmp_path / "run"))
    (told,) = notes(events)
    assert told.startswith("a classifier knows A from B in ") and "so nobody judges: they are too alike" in told
    assert not steps(events)[3].measures and "results" not in load_state(tmp_path / "run" / MODEL)[1]


def test_two_processes_are_judged_by_the_first(kinds, tmp_path):
    small = "--steps 4 --watch-steps 2 --crop 16 --width 2 --blocks 1 --judge-width 2 --judge-layers 1 --batch 2"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "impasto", "train", "cyclegan", "--a", str(kinds / "a"), "--b", str(kinds / "b"), *small.split()]
    command = [*launcher, *words, "--device", "cpu", "--json", "-o", str(tmp_path / "run")]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    events = [json.loads(line) for line in told.splitlines()]
    looks = [event["step"] for event in events if event["event"] == "trained" and event["measures"]]
    assert looks == [2, 4] and events[-1]["event"] == "done"
    assert load_state(tmp_path / "run" / MODEL)[1]["results"]["last_step"] == 4


# --- afterwards -----------------------------------------------------------------------------------


def test_evaluating_on_the_same_folders_gives_the_numbers_of_the_run(run, kinds):
    path, _ = run
    events = list(iter_compare(path, CPU, a=kinds / "a", b=kinds / "b"))
    told = found(events)
    assert notes(events) == ["50 pictures of A and 45 of B are left out, since it learned from them"]
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


def test_the_network_back_is_evaluated_as_such(run, kinds):
    told = found(iter_compare(run[0] / BACK, CPU, a=kinds / "a", b=kinds / "b"))
    there = found(iter_compare(run[0], CPU, a=kinds / "a", b=kinds / "b"))
    assert told["tables"]["B to A"] == there["tables"]["B to A"] and told["score"] == pytest.approx(there["score"])


def test_official_files_are_measured_by_a_classifier_that_learns_from_other_pictures(run, kinds, tmp_path):
    weights, _ = load_state(run[0] / MODEL)
    torch.save(weights, tmp_path / "latest_net_G_A.pth")
    options = CPU.changed(crop=16)
    events = list(iter_compare(tmp_path / "latest_net_G_A.pth", options, a=kinds / "a", b=kinds / "b"))
    told = found(events)
    assert notes(events)[0].startswith("what it learned from is not known; if from these pictures, the numbers are")
    assert told["compared"] == {"a": 30, "b": 27, "side": 16} and list(told["tables"]) == ["A to B"]
    assert [event.steps for event in events if isinstance(event, Taught)] == [60] * 5
    assert told["classifier"]["held"] == 57 and told["classifier"]["accuracy"] > 0.9
    assert told["tables"]["A to B"]["network"]["cycle_psnr"] is None and told["back"] is None
    both = found(
        iter_compare(
            tmp_path / "latest_net_G_A.pth",
            options.changed(classifier=str(run[0] / CLASSIFIER), count=20),
            a=kinds / "a",
            b=kinds / "b",
            back=run[0] / BACK,
        )
    )
    assert both["compared"] == {"a": 20, "b": 20, "side": 16} and list(both["tables"]) == ["A to B", "B to A"]
    assert both["classifier"]["digest"] == load_state(run[0] / MODEL)[1]["results"]["classifier"]


def test_the_command_prints_the_table_and_the_report_shows_it(run, kinds, capfd):
    path, _ = run
    words = ["evaluate", str(path), "--a", str(kinds / "a"), "--b", str(kinds / "b"), "--device", "cpu"]
    assert main([*words, "-o", str(path / "evaluation.json")]) == 0
    shown = capfd.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == str(path / "evaluation.json") and lines[1].startswith("classifier ")
    (head,) = [line for line in lines if line.startswith("A to B")]
    assert head.split("  ")[1:] and [part.strip() for part in head.split("  ") if part.strip()] == [
        "A to B", "as they are", "colors changed", "network", "best"
    ]  # fmt: skip
    assert any(line.startswith("B to A") for line in lines) and any("Fréchet distance" in line for line in lines)
    page = (path / "report.html").read_text()
    assert page.count("<th>A to B</th>") == 2  # the training's own results, and the evaluation
    assert main([*words, "--json"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (judged,) = [event["found"] for event in told if event["event"] == "judged"]
    written = json.loads((path / "evaluation.json").read_text())
    assert judged == written


def test_what_cannot_be_compared_is_one_sentence(run, kinds, pairs, tmp_path, capfd):
    path = str(run[0])
    folders = ["--a", str(kinds / "a"), "--b", str(kinds / "b")]
    for words, sentence in (
        ([path], "translates pictures; expected two folders, --a FOLDER --b FOLDER, or --pairs FOLDER"),
        ([path, *folders[:2]], "translates pictures; expected two folders"),
        ([path, "--pairs", str(pairs), *folders], "translates pictures; expected two folders"),
        ([path, *folders, "--classifier", f"{path}/model.safetensors"], "holds no classifier"),
        ([str(tmp_path / "none.pth"), *folders], "none.pth does not exist"),
    ):
        assert main(["evaluate", *words]) in (1, 2)
        said = capfd.readouterr().err
        assert sentence in said and said.count("\n") == 1
    for path in sorted((kinds / "b").iterdir())[:9]:
        write(tmp_path / "few", path.stem, load_picture(path).pixels)
    with pytest.raises(OptionError, match=r"few holds [0-9] pictures that .* did not learn from; expected 10 or more"):
        iter_compare(run[0], CPU, a=kinds / "a", b=tmp_path / "few")
    with pytest.raises(ImageError, match="does not exist"):
        iter_compare(run[0], CPU, a=kinds / "a", b=tmp_path / "nothing")
    with pytest.raises(WeightsError, match="is a network of painter; expected one of CycleGAN, CUT or pix2pix"):
        iter_compare("starry_night", CPU, a=kinds / "a", b=kinds / "b")
