"""Reports of runs: what they say, of whatever lies in a folder, and that nothing of it becomes more than text."""

import base64
import json
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.checkpoints.catalog import read_header
from impasto.checkpoints.files import MODEL, save_state
from impasto.checkpoints.weights import sha256
from impasto.cli.main import main
from impasto.data.arrays import Sets, small_set
from impasto.errors import CheckpointError
from impasto.events import Note, Saved, Step
from impasto.inference.sheets import draw_sheets
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.vae.options import VAEOptions
from impasto.reports.page import write_report
from impasto.reports.run_files import REPORT, read_run, sheet_path
from trainings import iter_autoencoder, iter_gan, iter_vae

HOSTILE = "<img src=x onerror=alert(1)>'\"&</title></style><script>alert(2)</script>"
OPTIONS = AutoencoderOptions(
    steps=30, batch=8, hidden=(8,), latent=2, noise=0.2, log_steps=1, device="cpu", precision="float32",
    preview_seconds=0,
)  # fmt: skip


class Page(HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def sets():
    random = np.random.default_rng(0)
    return Sets(*(small_set(random.integers(0, 256, (count, 8, 8), np.uint8)) for count in (40, 20)))


@pytest.fixture(scope="module")
def finished(sets, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "clean digits"
    return run, list(iter_autoencoder(sets, OPTIONS, run=run))


@pytest.fixture
def run(tmp_path):
    """A run of three lines that has only begun."""
    folder = tmp_path / "begun"
    (folder / "previews").mkdir(parents=True)
    record = {"operation": "train", "recipe": "vae", "options": {"steps": 200, "budget": None}}
    (folder / "options.json").write_text(json.dumps(record))
    lines = [{"step": step, "losses": {"kl": 10.0 / step}, "seconds": 65.0 * step} for step in (1, 2, 3)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def charts(run):
    """The charts of a report, as name and SVG."""
    shown = Page(run / REPORT).all("img")
    found = [(image["alt"], image["src"].split(",")) for image in shown if "svg" in image["src"][:30]]
    return {name: base64.b64decode(data).decode() for name, (form, data) in found}


def change(run, **told):
    record = json.loads((run / "options.json").read_text())
    (run / "options.json").write_text(json.dumps({**record, **told}))


# --- what it says --------------------------------------------------------------------------------


def test_a_training_leaves_its_report(finished):
    run, events = finished
    assert Saved(run / REPORT, "report") in events and events[-1].steps == 30
    page = Page(run / REPORT)
    assert page.text.startswith("clean digits")
    assert "Method: autoencoder. The training is finished, after 30 steps in " in page.text
    assert "Rows, from the top: test pictures; the same with noise; reconstructions." in page.text
    assert "After 30 steps" in page.text and "After 1 step " in page.text
    found = json.loads(json.dumps(read_run(run).result["results"]))
    assert f"mse {found['mse']:.4g} noisy mse {found['noisy_mse']:.4g}" in page.text
    assert f"test MSE {found['mse']:.4f} on 20 pictures" in page.text  # the notes of the training
    assert "noise 0.2" in page.text and "hidden [8]" in page.text and "device cpu precision float32" in page.text
    assert f"torch {torch.__version__}" in page.text
    assert "weights 1,138" in page.text  # 64 x 8 + 8, 8 x 2 + 2, 2 x 8 + 8, 8 x 64 + 64
    assert list(charts(run)) == ["mse", "learning rate", "images per second"]
    assert ">mse</text>" in charts(run)["mse"]


def test_figures_lie_beside_it_in_full_quality(finished):
    """Of the preview: 3 rows of 10 pictures of 64 px with 4 px around each, without what JPEG would do to it."""
    run, _ = finished
    figures = sorted(path.name for path in (run / "figures").iterdir())
    sheets = ["sample_embeddings.png", "sample_reconstructions.png"]
    assert figures == ["images_per_second.png", "learning_rate.png", "mse.png", "preview.png", *sheets]
    assert pixels(run / "figures" / "mse.png").shape == (560, 1280, 3)
    shown = pixels(run / "figures" / "preview.png")
    assert shown.shape == (208, 684, 3) and (shown[:4] == 255).all() and (shown[:, 68:72] == 255).all()
    assert (shown == shown[..., :1]).all()  # gray, to the bit
    assert 0 < np.abs(pixels(run / "preview.jpg").astype(float) - shown).mean() < 10
    assert read_metadata(run / "figures" / "preview.png") == {"step": 30, "rows": 3, "columns": 10, "margin": 4}


def test_it_holds_everything_that_it_shows(finished):
    run, _ = finished
    text, page = (run / REPORT).read_text(), Page(run / REPORT)
    assert not page.all("script") and not page.all("link") and not page.all("a")
    assert "default-src 'none'" in page.all("meta")[1]["content"]
    shown = page.all("img")
    sheets = [image for image in shown if image["src"].startswith("data:image/png")]
    assert [image["alt"] for image in sheets] == ["reconstructions", "embeddings"]
    for image in sheets:
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        assert data == (run / "figures" / f"sample_{image['alt']}.png").read_bytes()
    assert 2 <= len(shown) - 2 - len(charts(run)) <= 6
    last = base64.b64decode(shown[2]["src"].removeprefix("data:image/jpeg;base64,"))
    assert last == (run / "preview.jpg").read_bytes()
    assert "http" not in text.replace("http-equiv", "")
    assert "color-scheme: light dark" in text  # as the reader's machine prefers
    assert page.all("meta")[2] == {"name": "viewport", "content": "width=device-width, initial-scale=1"}


def test_the_same_run_gives_the_same_bytes(finished):
    run, _ = finished
    before = (run / REPORT).read_bytes()
    assert write_report(run) == run / REPORT
    assert (run / REPORT).read_bytes() == before
    assert not list(run.rglob("*.part"))


def test_starting_anew_takes_the_old_report_and_evaluation_away(sets, tmp_path):
    options = OPTIONS.changed(steps=2)
    list(iter_autoencoder(sets, options, run=tmp_path / "run"))
    (tmp_path / "run" / "evaluation.json").write_text("{}")
    (tmp_path / "run" / "mine.txt").write_text("mine")
    events = iter_autoencoder(sets, options, run=tmp_path / "run", force=True)
    next(events)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    events.close()
    assert "mine.txt" in left and not left & {REPORT, "evaluation.json", MODEL}
    assert not list((tmp_path / "run" / "figures").iterdir())


def test_a_report_that_cannot_be_written_does_not_stop_the_training(sets, tmp_path):
    run = tmp_path / "run"
    events = iter_autoencoder(sets, OPTIONS.changed(steps=2), run=run)
    next(event for event in events if isinstance(event, Step) and event.phase == "train")
    (run / REPORT).mkdir()  # in the way
    texts = [event.text for event in events if hasattr(event, "text")]
    assert [text for text in texts if text.startswith("the report could not be written: ")]
    assert (run / MODEL).is_file() and (run / REPORT).is_dir()


# --- sheets of what was learned ------------------------------------------------------------------

SMALL = {"steps": 2, "batch": 8, "device": "cpu", "precision": "float32", "preview_seconds": 1e9}


def shown(run):
    """The sheets of a report."""
    images = [image for image in Page(run / REPORT).all("img") if "svg" not in image["src"][:30]]
    return [image["alt"] for image in images if not image["alt"].startswith("After")]


@pytest.mark.parametrize(
    ("train", "options", "kinds"),
    [
        (iter_autoencoder, AutoencoderOptions(**SMALL, hidden=(8,), latent=2), ["reconstructions", "embeddings"]),
        (iter_vae, VAEOptions(**SMALL, hidden=(8,), latent=1), ["reconstructions", "grid", "manifold", "embeddings"]),
        (iter_vae, VAEOptions(**SMALL, hidden=(8,), latent=2), ["reconstructions", "grid", "manifold", "embeddings"]),
        (iter_vae, VAEOptions(**SMALL, hidden=(8,), latent=3), ["reconstructions", "grid", "traversal", "embeddings"]),
        (iter_gan, GANOptions(**SMALL, hidden=(8,), watch_steps=0), ["grid", "interpolation", "nearest"]),
    ],
)
def test_each_training_shows_what_tells_most_of_it(sets, tmp_path, train, options, kinds):
    run = tmp_path / "run"
    before = torch.get_rng_state()
    events = list(train(sets, options, run=run))
    assert torch.equal(torch.get_rng_state(), before)
    assert [event.path.stem for event in events if isinstance(event, Saved) and event.kind == "figure"] == [
        f"sample_{kind}" for kind in kinds
    ]
    assert not [event.text for event in events if isinstance(event, Note) and "sheet" in event.text]
    assert shown(run) == kinds
    text = Page(run / REPORT).text
    for kind in kinds:
        path = sheet_path(run, kind)
        told = read_metadata(path)
        assert told["kind"] == kind and told["sha256"] == sha256(run / MODEL)
        assert f"{kind.capitalize()} : {told['text']}." in text and told["caption"] in told["text"]
        assert pixels(path).std() > 1


def test_a_sheet_says_what_was_measured(finished):
    run, _ = finished
    told = read_metadata(sheet_path(run, "reconstructions"))
    facts = f"MSE {told['told']['given_mse']:.4f} of the noisy inputs, {told['told']['mse']:.4f} of the reconstructions"
    assert (
        f"Reconstructions : test pictures, their latent codes, and the reconstructions; {facts}."
        in Page(run / REPORT).text
    )


def test_what_cannot_be_drawn_is_said_and_the_training_ends_well(sets, tmp_path):
    """A folder lies where a sheet should; of what the network looks at nothing is left."""
    run = tmp_path / "run"
    events = iter_autoencoder(sets, AutoencoderOptions(**SMALL, hidden=(8,), latent=2), run=run)
    next(event for event in events if isinstance(event, Step) and event.phase == "train")
    sheet_path(run, "embeddings").mkdir()
    texts = [event.text for event in events if isinstance(event, Note)]
    assert [text for text in texts if text.startswith("the report has no sheet of embeddings: ")]
    assert shown(run) == ["reconstructions"] and (run / MODEL).is_file()
    sheet_path(run, "embeddings").rmdir()
    sheet_path(run, "reconstructions").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*.png")}
    notes = list(draw_sheets(run))  # the set was in memory, and its file is named nowhere
    assert [note.text for note in notes] == [
        "the report has no sheet of reconstructions, embeddings: "
        f"{run / MODEL} does not say its training set; name it by --pictures"
    ]
    assert {path: path.read_bytes() for path in run.rglob("*.png")} == before
    drawn = list(draw_sheets(run, pictures=sets))
    assert [event.path for event in drawn] == [sheet_path(run, kind) for kind in ("reconstructions", "embeddings")]
    assert list(draw_sheets(run)) == []  # nothing is drawn twice


def test_sheets_of_another_network_are_not_shown(sets, tmp_path):
    options, run = AutoencoderOptions(**SMALL, hidden=(8,), latent=2), tmp_path / "run"
    list(iter_autoencoder(sets, options, run=run))
    told = read_header(run / MODEL)
    save_state(tmp_path / MODEL, {"x": torch.zeros(1)}, {**told, "settings": {"shape": [2], "latent": 2}})
    (tmp_path / "options.json").write_bytes((run / "options.json").read_bytes())
    assert read_run(tmp_path).lacking == []  # a network that makes points has none
    assert read_run(run).lacking == [] and list(read_run(run).sheets) == ["reconstructions", "embeddings"]
    save_state(run / MODEL, {"x": torch.zeros(1)}, told)
    write_report(run)
    assert shown(run) == [] and read_run(run).lacking == ["reconstructions", "embeddings"]
    (note,) = draw_sheets(run, pictures=sets)
    assert "the report has no sheet of reconstructions, embeddings: " in note.text and "lacks 'codes.mean'" in note.text
    sheet_path(run, "embeddings").write_bytes(b"no picture")
    assert read_run(run).lacking == ["reconstructions", "embeddings"]


def test_a_longer_run_has_its_own_sheets(sets, tmp_path):
    options, run = AutoencoderOptions(**SMALL, hidden=(8,), latent=2), tmp_path / "run"
    list(iter_autoencoder(sets, options, run=run))
    before = pixels(sheet_path(run, "reconstructions"))
    list(iter_autoencoder(sets, options.changed(steps=40), run=run, resume=True))
    assert shown(run) == ["reconstructions", "embeddings"]
    assert not np.array_equal(pixels(sheet_path(run, "reconstructions")), before)


def test_the_command_draws_what_a_report_lacks(sets, tmp_path, capfd):
    np.savez(tmp_path / "set.npz", **{name: part.images[:, 0].numpy() for name, part in
                                      zip(("images", "test_images"), sets, strict=True)})  # fmt: skip
    run = tmp_path / "run"
    list(iter_autoencoder(tmp_path / "set.npz", AutoencoderOptions(**SMALL, hidden=(8,), latent=2), run=run))
    before = {kind: pixels(sheet_path(run, kind)) for kind in ("reconstructions", "embeddings")}
    for kind in before:
        sheet_path(run, kind).unlink()
    write_report(run)
    assert shown(run) == []
    assert main(["report", str(run)]) == 0
    assert capfd.readouterr().out == f"{run}/report.html\n"
    assert shown(run) == ["reconstructions", "embeddings"]
    assert all(np.array_equal(pixels(sheet_path(run, kind)), drawn) for kind, drawn in before.items())
    (tmp_path / "set.npz").unlink()
    sheet_path(run, "embeddings").unlink()
    assert main(["report", str(run)]) == 0
    said = capfd.readouterr().err
    assert "the report has no sheet of embeddings: " in said and shown(run) == ["reconstructions"]
    assert f"{tmp_path / 'set.npz'}, does not exist; name it by --pictures\n" in said
    np.savez(tmp_path / "moved.npz", **{name: part.images[:, 0].numpy() for name, part in
                                        zip(("images", "test_images"), sets, strict=True)})  # fmt: skip
    assert main(["report", str(run), "--pictures", str(tmp_path / "moved.npz")]) == 0
    assert shown(run) == ["reconstructions", "embeddings"]


def test_a_heavy_sheet_becomes_light(run):
    """Noise is the heaviest of all; a sheet of it, 900 x 1400 px, is 3.8 MB."""
    told = {"step": 3, "network": "vae", "settings": {"latent": 20}}
    save_state(run / MODEL, {"x": torch.zeros(1)}, told)
    about = {"operation": "sample", "sha256": sha256(run / MODEL), "text": HOSTILE}
    (run / "figures").mkdir()
    noise = np.random.default_rng(0).random((900, 1400, 3)).astype(np.float32)
    for kind in ("reconstructions", "grid", "traversal", "embeddings"):
        save_picture(sheet_path(run, kind), load_picture(noise), metadata=about)
    page = Page(write_report(run))
    assert shown(run) == ["reconstructions", "grid", "traversal", "embeddings"]
    assert (run / REPORT).stat().st_size < 2_000_000 < sheet_path(run, "grid").stat().st_size
    assert {tag for tag, _ in page.tags} & {"script"} == set() and "<script>alert(2)" in page.text


def test_a_sheet_that_is_not_heavy_stays_as_it_is_and_a_small_one_is_not_enlarged(run):
    """Noise of 240 x 280 px takes 0.2 MB, which is heavy for a preview only; of 300 x 320 px 0.29 MB."""
    save_state(run / MODEL, {"x": torch.zeros(1)}, {"step": 3, "network": "autoencoder", "settings": {"latent": 20}})
    about = {"operation": "sample", "sha256": sha256(run / MODEL), "text": "noise"}
    (run / "figures").mkdir()
    for kind, size in (("reconstructions", (240, 280)), ("embeddings", (300, 320))):
        noise = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
        save_picture(sheet_path(run, kind), load_picture(noise), metadata=about)
    light, heavy = (image["src"].split(",") for image in Page(write_report(run)).all("img")[:2])
    assert base64.b64decode(light[1]) == sheet_path(run, "reconstructions").read_bytes()
    assert light[0] == "data:image/png;base64" and heavy[0] == "data:image/jpeg;base64"
    (run / "heavy.jpg").write_bytes(base64.b64decode(heavy[1]))
    assert pixels(run / "heavy.jpg").shape == (300, 320, 3)


# --- runs that are not as they should be ---------------------------------------------------------


def test_an_unfinished_run(run):
    page = Page(write_report(run))
    assert "Method: vae. The training is not finished: 3 steps of 200 in 3 min, by its files." in page.text
    assert len(page.all("img")) == 1 and "Results" not in page.text and "Training progress" not in page.text
    assert list(charts(run)) == ["kl"]


def test_a_run_that_had_a_budget_or_nothing_yet(run):
    change(run, options={"steps": 2000, "budget": 90.0})
    assert "is not finished: 3 steps, of a budget of 1 h 30 min in 3 min" in Page(write_report(run)).text
    (run / "log.jsonl").unlink()
    page = Page(write_report(run))
    assert "is not finished: 0 steps, of a budget" in page.text and "Curves" not in page.text


def test_a_result_of_fewer_steps_than_were_taken(run):
    save_state(run / MODEL, {"x": torch.zeros(1)}, {"step": 2, "results": {"mse": 0.0123456}, "pictures": "a.npz"})
    text = Page(write_report(run)).text
    assert "Method: vae; data: a.npz. The training is not finished: 3 steps of 200" in text and "mse 0.01235" in text
    save_state(run / MODEL, {"x": torch.zeros(1)}, {"step": 3})
    assert "The training is finished, after 3 steps in 3 min." in Page(write_report(run)).text


def test_a_checkpoint_may_know_more_than_the_log(run):
    save_state(run / "checkpoint.safetensors", {"x": torch.zeros(1)}, {"step": 5, "seconds": 290.0})
    assert "is not finished: 5 steps of 200 in 5 min, by its files." in Page(write_report(run)).text
    save_state(run / "checkpoint.safetensors", {"x": torch.zeros(1)}, {"step": 2, "seconds": 100.0})
    assert "is not finished: 3 steps of 200 in 3 min, by its files." in Page(write_report(run)).text
    (run / "log.jsonl").write_text('{"step": 1, "seconds": 12.4}\n')
    (run / "checkpoint.safetensors").unlink()
    assert "is not finished: 1 step of 200 in 12 s, by its files." in Page(write_report(run)).text


def test_what_a_classifier_says_of_itself(run):
    save_state(run / MODEL, {"x": torch.zeros(1)}, {"step": 3, "accuracy": 0.9662, "classes": ["cats", "owls"]})
    text = Page(write_report(run)).text
    assert "accuracy 0.9662" in text and "classes cats, owls" in text


def test_what_a_training_measured_is_shown_in_tables(run):
    fakes, real = {"frechet": 12.345, "shares": [0.25, 0.75]}, {"frechet": 1, "shares": [0.5, 0.5]}
    told = {"score": 2.5, "generated": fakes, "real": real}
    save_state(run / MODEL, {"x": torch.zeros(1)}, {"step": 3, "results": told, "classes": ["cats", "owls"]})
    text = Page(write_report(run)).text
    assert "measure value score 2.5 measure generated real best Fréchet distance 12.3 1 lower" in text
    assert "fraction generated real cats 25.0% 50.0% owls 75.0% 50.0%" in text and "{" not in text
    modes = {"covered": 7, "modes": 8, "kl": 0.25, "high_quality": 0.9}
    save_state(run / MODEL, {"x": torch.zeros(1)}, {"step": 3, "results": {"misplaced": 0.1, "modes": modes}})
    text = Page(write_report(run)).text
    assert "misplaced 0.1 measure generated best modes covered 7 all modes 8" in text and "{" not in text


def test_losses_and_measures_may_be_steep_and_other_numbers_not(run):
    numbers = [(1, 1000.0), (2, 10.0), (3, 0.1)]
    lines = [
        {"step": step, "losses": {"kl": x}, "measures": {"frechet": x}, "learning_rate": {"adam": x}}
        for step, x in numbers
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_report(run)
    found = charts(run)
    assert [">10</text>" in found[name] for name in ("kl", "frechet", "learning rate")] == [True, True, False]
    assert [">600</text>" in found[name] for name in ("kl", "frechet", "learning rate")] == [False, False, True]


def test_damaged_lines_are_counted_and_left_out(run):
    with (run / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "losses": {"kl": \n[1, 2]\n"text"\n\n{"step": "5"}\n' + "[" * 100_000 + "\n")
        file.write('{"step": 6, "note": "the loss kl is not finite", "losses": {"kl": NaN, "on": true, "l": [1]}}\n')
        file.write('{"step": 7, "losses": {"kl": 1}, "measures": {"frechet": 20.5}, "odd": null}\n')
    page = Page(write_report(run))
    assert "6 lines of the log cannot be read and are left out." in page.text
    assert "Step 6: the loss kl is not finite." in page.text
    assert list(charts(run)) == ["kl", "frechet"]
    assert sorted(path.name for path in (run / "figures").iterdir()) == ["frechet.png", "kl.png"]


def test_pictures_that_cannot_be_read_are_named_and_large_ones_shrink(run):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1400, 3), np.uint8)
    Image.fromarray(noise).save(run / "previews" / "00000002.jpg")
    (run / "previews" / "00000003.jpg").write_bytes(b"\xff\xd8 no picture")
    (run / "previews" / "other.jpg").write_bytes(b"")
    page = Page(write_report(run))
    assert "The preview of step 3 cannot be read." in page.text
    image = page.all("img")[0]
    data = base64.b64decode(image["src"].split(",")[1])
    (run / "small.jpg").write_bytes(data)
    with Image.open(run / "small.jpg") as picture:
        assert picture.size == (1000, 643)  # 900 * 1000 / 1400


def test_of_many_pictures_the_first_the_last_and_some_between_are_shown(run):
    for step in range(0, 110, 10):
        Image.new("RGB", (8, 8)).save(run / "previews" / f"{step:08}.jpg")
    images = Page(write_report(run)).all("img")[:-1]
    assert [image["alt"] for image in images] == [f"After {step} steps" for step in (100, 80, 60, 40, 20, 0)]


def test_an_evaluation_is_shown_and_an_old_one_is_called_so(run):
    fakes, real = {"frechet": 12.345, "shares": [0.25, 0.75]}, {"frechet": 1, "shares": [0.5, 0.5]}
    found = {"sets": {"generated": fakes, "real": real}, "prior_hole": -0.5, "features": "few"}
    found["compared"] = {"held_out": 1000}
    save_state(run / MODEL, {"x": torch.zeros(1)}, {"step": 3})
    (run / "evaluation.json").write_text(json.dumps({**found, "model": {"sha256": sha256(run / MODEL)}}))
    text = Page(write_report(run)).text
    assert "Features: few. Compared: held out 1,000." in text
    assert "measure generated real best Fréchet distance 12.3 1 lower" in text
    assert "class 1 75.0% 50.0%" in text and "generated minus reconstructed -0.5" in text
    assert "another model" not in text
    save_state(run / MODEL, {"x": torch.ones(1)}, {"step": 3})
    text = Page(write_report(run)).text
    assert "This evaluation is of another model than the one in the folder now." in text


# --- what comes from files -----------------------------------------------------------------------


def test_nothing_from_files_becomes_more_than_text(tmp_path):
    folder = tmp_path / HOSTILE.replace("/", "⁄")
    (folder / "previews").mkdir(parents=True)
    value = {HOSTILE: HOSTILE}
    record = {"operation": "train", "recipe": HOSTILE, "version": HOSTILE, "torch": HOSTILE, "data": HOSTILE}
    record |= {"options": value, "record": value, "environment": value, "caption": HOSTILE}
    (folder / "options.json").write_text(json.dumps(record))
    line = {"step": 1, "note": HOSTILE, "losses": {HOSTILE: 1, "../../up": 2}, "learning_rate": {HOSTILE: 1, "b": 2}}
    (folder / "log.jsonl").write_text(json.dumps(line) + "\n" + json.dumps({**line, HOSTILE: 3}) + "\n")
    told = {
        "step": 1,
        "classes": [HOSTILE],
        "pictures": HOSTILE,
        "results": value,
        "notes": [HOSTILE, value],
        "accuracy": HOSTILE,
    }
    save_state(folder / MODEL, {"x": torch.zeros(1)}, told)
    found = {
        "classes": [HOSTILE],
        "features": HOSTILE,
        "compared": value,
        "sets": {HOSTILE: {"frechet": 1, "shares": [1]}},
        "results": value,
    }
    (folder / "evaluation.json").write_text(json.dumps(found))
    page = Page(write_report(folder))
    usual = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "b"}
    usual |= {"figure", "figcaption", "img", "div", "table", "tr", "th", "td"}
    assert {tag for tag, _ in page.tags} <= usual
    known = {"lang", "charset", "http-equiv", "content", "name", "class", "src", "alt"}
    assert {name for _, attrs in page.tags for name in attrs} <= known
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    drawn = charts(folder)
    assert {HOSTILE, "../../up"} < set(drawn)
    for text in drawn.values():
        names = {node.tag.rpartition("}")[2] for node in ElementTree.fromstring(text).iter()}
        assert names <= {"svg", "g", "path", "text", "tspan", "use", "defs", "style", "clipPath", "rect"}
    assert page.text.count("<script>alert(2)") > 15 and "alert(1)" in page.text
    assert all(path.parent == folder / "figures" for path in tmp_path.rglob("*.png"))


def test_a_name_that_is_no_text_can_be_shown(run):
    odd = run.with_name("run-\udcff")
    run.rename(odd)
    assert Page(write_report(odd)).text.startswith("run-")


# --- the command ---------------------------------------------------------------------------------


def test_the_command_in_a_process_of_its_own(run):
    words = [sys.executable, "-m", "impasto", "report", str(run)]
    code = "import sys; from impasto.cli.main import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == f"{run}/report.html\n" and done.stderr == ""
    assert subprocess.run([sys.executable, "-c", code, "report", str(run)], stdout=subprocess.DEVNULL).returncode == 0
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"event": "saved", "path": f"{run}/report.html", "kind": "report"}


def test_what_is_no_run_is_one_sentence(run, tmp_path, capfd):
    assert main(["report", str(tmp_path)]) == 2
    assert f"there is no run in {tmp_path}; expected the folder of a training" in capfd.readouterr().err
    for text in ("{", "[]", '{"operation": "stylize"}', "\xff"):
        (run / "options.json").write_text(text)
        assert main(["report", str(run)]) == 2
        said = capfd.readouterr().err
        assert "options.json is damaged, or not of a training" in said and said.count("\n") == 1
    with pytest.raises(CheckpointError, match="there is no run"):
        write_report(run / "options.json")
