"""Teaching the compact encoder: it learns, it can be stopped, and what it says about itself is true."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from impasto import distillation
from impasto.checkpoints import load_encoder, load_state, save_state
from impasto.distillation import Basis, evaluate, iter_distill, painting_loss, read_bases
from impasto.errors import CheckpointError, ImageError, OptionError
from impasto.events import Saved, Taught, as_json
from impasto.networks.compact import Compact
from impasto.objective import Objective
from impasto.options import DistillOptions, StylizeOptions
from nets import picture, tiny_vgg

TINY = DistillOptions(
    steps=6, survey=2, memory=3, smallest=32, largest=48, painting_steps=2, warmup=2, averaging=0.9,
    widths=(6, 8, 10, 12, 12), depths=(0, 1, 1, 2, 1), teacher_precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders with a few pictures each, and one file that is none."""
    paths = []
    for number, name in enumerate(("photographs", "paintings")):
        folder = tmp_path_factory.mktemp(name)
        for index in range(3):
            pixels = picture(56 + 8 * index, 64, seed=10 * number + index)[0].permute(1, 2, 0).numpy()
            Image.fromarray((pixels * 255).astype(np.uint8)).save(folder / f"{index}.png")
        paths.append(folder)
    (paths[1] / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    return paths


@pytest.fixture(scope="module")
def teacher():
    return tiny_vgg(padding="replicate")


def run(folders, teacher, output, options=TINY, stop=math.inf, **settings):
    events = iter_distill(folders, options, output=output, teacher=teacher, **settings)
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, Taught) and event.step == stop:
            break
    events.close()
    return seen


# --- the run -------------------------------------------------------------------------------------


def test_a_run_reports_every_step_and_ends_in_a_file_that_loads(folders, teacher, tmp_path):
    output = tmp_path / "mine.safetensors"
    events = run(folders, teacher, output)
    steps = [event for event in events if isinstance(event, Taught)]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[-1].progress == 1
    assert steps[-1].remaining == 0
    assert events[-1] == Saved(output, "result")
    for event in steps:
        plain = json.loads(json.dumps(as_json(event)))
        assert plain["event"] == "taught"
        assert set(plain["losses"]) == {"features", "gram", "gradient"}
    network = load_encoder(output)
    assert isinstance(network, Compact)
    assert network.widths == TINY.widths
    features = network(picture(40, 48), network.layer_names)
    assert all(f.isfinite().all() for f in features.values())
    with safe_open(output, "pt") as file:
        told = json.loads(file.metadata()["impasto"])
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
    assert told["teacher"]["name"] == "vgg19"
    assert told["pictures"] == {folders[0].name: 3, folders[1].name: 4}
    assert told["license"] == "MIT"
    assert (told["steps"], told["torch"]) == (6, torch.__version__)
    assert DistillOptions(**told["options"]) == TINY


def test_it_learns(folders, teacher, tmp_path):
    options = TINY.changed(
        steps=150, survey=4, memory=8, warmup=5, averaging=0.95, widths=(12, 16, 24, 32, 32),
        replays=2, smallest=48, largest=48, seed=1,
    )  # fmt: skip
    events = run(folders, teacher, tmp_path / "a", options)
    losses = [event.losses for event in events if isinstance(event, Taught)]
    for part, share in (("features", 0.8), ("gradient", 0.95)):
        assert losses[-1][part] < share * losses[0][part], part
    network, bases = load_encoder(tmp_path / "a", padding="replicate"), read_bases(tmp_path / "a")
    new = picture(64, 64, seed=77)
    for layer, basis in bases.items():
        told = basis.project(teacher(new, [layer])[layer]) * basis.gain
        missed = (network(new, [layer])[layer] - told).square().mean()
        # better than knowing nothing of the picture but what pictures are on average
        assert missed < (told - told.mean((2, 3), keepdim=True)).square().mean(), layer
    for layer in ("relu2_2", "conv3_1", "relu3_4", "relu5_2"):  # fitted at the end
        assert network(new, [layer])[layer].abs().max() > 0, layer


def test_a_stopped_run_goes_on_to_the_same_bytes(folders, teacher, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(folders, teacher, whole)
    run(folders, teacher, parts, stop=4)
    assert not parts.exists()
    seen = run(folders, teacher, parts, resume=True)
    assert [event.step for event in seen if isinstance(event, Taught)] == [5, 6]
    (a, told_a), (b, told_b) = load_state(whole), load_state(parts)
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key
    for told in (told_a, told_b):
        del told["minutes"]
    assert told_a == told_b


def test_resume_without_a_checkpoint_begins(folders, teacher, tmp_path):
    assert run(folders, teacher, tmp_path / "a", resume=True)[0].step == 1


def test_a_run_can_be_given_more_steps(folders, teacher, tmp_path):
    run(folders, teacher, tmp_path / "a", stop=2)
    seen = run(folders, teacher, tmp_path / "a", TINY.changed(steps=8), resume=True)
    assert seen[-2].step == 8


def test_a_checkpoint_of_something_else_is_refused(folders, teacher, tmp_path):
    run(folders, teacher, tmp_path / "a", stop=1)
    with pytest.raises(
        CheckpointError, match=r"another run: its widths is \[6, 8, 10, 12, 12\], here \[6, 8, 10, 12, 13"
    ):
        run(folders, teacher, tmp_path / "a", TINY.changed(widths=(6, 8, 10, 12, 13)), resume=True)
    save_state(tmp_path / "a.run", {"x": torch.zeros(1)}, {"run": "portrait"})
    with pytest.raises(CheckpointError, match="of another run"):
        run(folders, teacher, tmp_path / "a", resume=True)
    (tmp_path / "a.run").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        run(folders, teacher, tmp_path / "a", resume=True)


def test_time_ends_the_run_and_a_pause_is_not_work(folders, teacher, tmp_path, monkeypatch):
    now = [0.0]
    ticks = iter([1.0, 2000.0, 1.0, 1.0, 29.0, 30.0, 1.0])  # what each step takes; the second was a suspended laptop
    learn = distillation._School.learn

    def slow(school):
        now[0] += next(ticks)
        return learn(school)

    monkeypatch.setattr(distillation.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(distillation._School, "learn", slow)
    options = TINY.changed(steps=None, minutes=1.5, checkpoint_minutes=0.5)
    events = run(folders, teacher, tmp_path / "a", options)
    steps = [event for event in events if isinstance(event, Taught)]
    assert [event.seconds for event in steps] == [1, 31, 32, 33, 62, 92]
    assert [event.progress for event in steps][-2:] == [62 / 90, 1]
    assert [event.kind for event in events if isinstance(event, Saved)] == ["checkpoint"] * 2 + ["result"]


def test_the_rate_rises_and_falls_to_nothing(folders, teacher, tmp_path):
    school = distillation._School(folders, TINY.changed(steps=10, warmup=3, learning_rate=0.3), teacher)
    school.survey()
    rates = []
    while school.progress < 1:
        progress = school.progress
        school.learn()
        rates.append(school.optimizers["muon"].param_groups[0]["lr"])
        assert school.optimizers["adam"].param_groups[0]["lr"] == pytest.approx(rates[-1] / 10)
        full = 0.15 * (1 + math.cos(math.pi * progress))
        assert rates[-1] == pytest.approx(full * min(1, school.step / 3))
    assert max(rates) == rates[2]
    assert rates[-1] < 0.01


# --- pictures ------------------------------------------------------------------------------------


def test_a_bad_file_is_skipped_and_counted(folders, teacher, tmp_path):
    seen = run([folders[1]], teacher, tmp_path / "a", TINY.changed(steps=4))
    assert seen[-2].skipped == 1


def test_without_a_readable_picture_there_is_nothing_to_learn_from(folders, teacher, tmp_path):
    with pytest.raises(ImageError, match="there are no pictures"):
        run([], teacher, tmp_path / "a")
    with pytest.raises(ImageError, match="none of the 1 pictures can be read"):
        run([folders[1] / "broken.png"], teacher, tmp_path / "a")
    with pytest.raises(ImageError, match="does not exist"):
        run([tmp_path / "nowhere"], teacher, tmp_path / "a")


@pytest.mark.parametrize("size", [(32, 48), (96, 64), (16, 16)])
def test_crops_have_the_size_asked_for_whatever_the_picture_is(folders, size):
    pictures = distillation._Pictures(folders, TINY, torch.Generator().manual_seed(0))
    for _ in range(8):
        crop = pictures.crop(size)
        assert crop.shape == (1, 3, *size)
        assert 0 <= crop.min() < crop.max() <= 1


def test_settings_are_checked():
    with pytest.raises(OptionError, match="smallest is 200, largest 100"):
        DistillOptions(smallest=200, largest=100)
    with pytest.raises(OptionError, match="minutes is 0"):
        DistillOptions(minutes=0)


# --- numbers -------------------------------------------------------------------------------------


def test_the_painting_loss_is_that_of_the_defaults(teacher):
    content, style, canvas = (picture(48, 48, seed=seed) for seed in (1, 2, 3))
    weights = {**{f"relu{block}_1": 0.1 * block for block in range(1, 6)}, "relu4_2": 0.7}
    seen, wanted, liked = (teacher(image, tuple(weights)) for image in (canvas, content, style))
    ours = painting_loss(seen, wanted, liked, weights).item()
    options = StylizeOptions(
        content_weight=1.0, content_layers={"relu4_2": 0.7}, tv_weight=0.0, range_weight=0.0,
        style_layers={layer: weight for layer, weight in weights.items() if layer != "relu4_2"},
    )  # fmt: skip
    losses, _ = Objective(teacher, content, [style], options)(canvas)
    assert ours == pytest.approx(losses["total"], rel=1e-5)


def test_a_full_basis_keeps_every_distance(teacher):
    q = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))[0]
    basis = Basis(q, torch.ones(16), 1.0)
    f, g = (teacher(picture(32, 32, seed=seed), ["relu3_1"])["relu3_1"] for seed in (0, 1))
    kept = (basis.project(f) - basis.project(g)).square().mean()
    torch.testing.assert_close(kept, (f - g).square().mean())
    assert basis.gain == 1


def test_the_survey_finds_the_directions_of_most_energy(folders, teacher):
    school = distillation._School(folders, TINY.changed(survey=3), teacher)
    school.survey()
    crops = distillation._Pictures(folders, TINY, torch.Generator().manual_seed(TINY.seed))
    moment = 0
    for _ in range(3):
        f = teacher(crops.crop(crops.size()), ["relu4_1"])["relu4_1"][0].flatten(1).double()
        moment = moment + f @ f.T / f.shape[1] / 3
    basis = school.bases["relu4_1"]
    values = np.linalg.eigvalsh(moment.numpy())[::-1]
    np.testing.assert_allclose(basis.energies, values[: len(basis.energies)], rtol=1e-3, atol=1e-4 * values[0])
    q = basis.directions.double()
    torch.testing.assert_close(q.T @ q, torch.eye(q.shape[1], dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(4, 30), (30, 4), (12, 12)])
def test_muon_turns_all_directions_about_equally_far(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    matrix = matrix @ torch.diag(torch.linspace(0.3, 3, shape[1]))
    turned = distillation._orthogonal(matrix)
    values = torch.linalg.svdvals(turned)
    assert 0.6 < values.min() <= values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.nn.functional.cosine_similarity(turned.flatten(), (u @ v).flatten(), dim=0) > 0.95


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 0.0), (-1.0, 2.0), (0.0, 1.0), (2.0, 0.2)])
def test_gradient_error(scale, expected):
    # |s g - g|² / (|s g|² + |g|²) = (s - 1)² / (s² + 1), at every octave
    gradient = torch.randn(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    assert distillation._gradient_error(scale * gradient, gradient).item() == pytest.approx(expected)


# --- beside the teacher --------------------------------------------------------------------------


def test_a_network_beside_itself(teacher):
    options = StylizeOptions(size=32, steps=3, min_size=64)
    same = evaluate(teacher, teacher, picture(32, 32, seed=1), picture(40, 32, seed=2), options)
    assert all(value == pytest.approx(1, abs=1e-5) for value in same.style_distance.values())
    assert all(value == pytest.approx(1, abs=1e-5) for value in same.gradient.values())
    assert set(same.gradient) == {"content", "noise", "teacher half", "teacher end", "student half", "student end"}
    assert same.by_student.as_dict() == same.by_teacher.as_dict()
    assert json.dumps(same.as_dict())


def test_evaluation_tells_a_good_student_from_a_bad_one(folders, teacher, tmp_path):
    run(folders, teacher, tmp_path / "a", TINY)
    student, bases = load_encoder(tmp_path / "a", padding="replicate"), read_bases(tmp_path / "a")
    options = StylizeOptions(size=32, steps=2, min_size=64)
    report = evaluate(student, teacher, picture(32, 32, seed=1), picture(40, 32, seed=2), options, bases)
    assert set(report.explained) == set(report.gram) == set(bases) == set(distillation.CORE)
    assert all(value < 0.999 for value in report.explained.values())
    assert all(value < 0.999 for value in report.gradient.values())


def test_bases_are_read_from_taught_files_only(tmp_path):
    save_state(tmp_path / "a", {"x": torch.zeros(1)}, {"run": "portrait"})
    with pytest.raises(CheckpointError, match="is not a compact encoder"):
        read_bases(tmp_path / "a")
