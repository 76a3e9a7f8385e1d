"""Feed-forward style transfer: the perceptual loss is that of the optimization, and networks train with it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from impasto.checkpoints.load import fingerprint, pack
from impasto.data.folders import PictureFolder
from impasto.errors import CheckpointError, OptionError
from impasto.events import Done, Step
from impasto.inference.painter import Painter
from impasto.losses.grid import grid_energy
from impasto.networks.johnson import Johnson
from impasto.networks.multistyle import IDENTITY, MultiStyleNetwork
from impasto.ops.resize import resize
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.recipes.johnson.recipe import JohnsonRecipe
from impasto.recipes.perceptual import Perceptual
from impasto.recipes.style_embedding.options import StyleOptions
from impasto.recipes.style_embedding.recipe import StyleEmbeddingRecipe
from impasto.style_transfer.objective import Objective
from impasto.style_transfer.options import StylizeOptions
from impasto.training.loop import iter_train
from nets import loaded, picture, random_weights, tiny_vgg
from trainings import iter_johnson, iter_painter, iter_style

WEIGHTS = {"content_weight": 0.3, "style_weight": 2.0, "tv_weight": 0.7}
PHOTOS = "examples"


def perceptual(*styles, **settings):
    options = JohnsonOptions(**{"style_size": 64, **WEIGHTS, **settings})
    return Perceptual(tiny_vgg(padding="replicate"), styles, options)


def test_the_loss_is_that_of_the_optimization():
    style, photograph, painted = (picture(64, 64, seed) for seed in (1, 2, 3))
    losses = perceptual(style, style_layers=StylizeOptions().layers_of_style)([painted], photograph, torch.tensor([0]))
    objective = Objective(
        tiny_vgg(padding="replicate"), photograph, [style], StylizeOptions(content_focus=0.0, **WEIGHTS)
    )
    parts, _ = objective(painted)
    for name in ("content", "style", "tv"):
        assert losses[name].item() == pytest.approx(parts[name], rel=1e-4), name
    assert losses["identity"] == 0


def test_each_picture_of_a_batch_has_its_own_style():
    loss = perceptual(picture(64, 64, 1), picture(48, 80, 5))
    photographs = torch.cat([picture(64, 64, 2), picture(64, 64, 3), picture(64, 64, 4)])
    painted = torch.cat([picture(64, 64, 6), picture(64, 64, 7), picture(64, 64, 8)])
    which = torch.tensor([1, 0, 1])
    together = loss([painted], photographs, which)
    alone = [loss([painted[i : i + 1]], photographs[i : i + 1], which[i : i + 1]) for i in range(3)]
    for name, value in together.items():
        assert value.item() == pytest.approx(sum(one[name].item() for one in alone) / 3, rel=1e-4), name
    swapped = loss([painted], photographs, torch.tensor([0, 1, 0]))
    assert abs(swapped["style"] - together["style"]) > 1e-3


def test_the_identity_has_only_the_squared_error():
    loss = perceptual(picture(64, 64, 1))
    photograph = picture(64, 64, 2)
    losses = loss([photograph + 0.1], photograph, torch.tensor([-1]))
    assert losses["content"] == losses["style"] == 0
    assert losses["identity"].item() == pytest.approx(0.01, rel=1e-4)


def test_reported_losses_are_without_their_weights(tmp_path):
    found = []
    for number, weights in enumerate(({}, {"content_weight": 2.0, "style_weight": 3.0, "tv_weight": 0.0})):
        options = JohnsonOptions(
            crop=64, first_crop=64, style_size=64, batch=2, steps=1, device="cpu", precision="float32", **weights
        )
        data, styles = PictureFolder(PHOTOS, 64), {"a": picture(64, 64, 1)}
        network = random_weights(Johnson(4, 1, scale=1.0)).requires_grad_()
        method = JohnsonRecipe("test", network, tiny_vgg(padding="replicate"), styles, data.batch([0, 1]), options)
        events = iter_train(method, data, options, run=tmp_path / str(number))
        found.append(next(event for event in events if isinstance(event, Step) and event.phase == "train"))
    for name in ("content", "style"):
        assert found[0].losses[name] == pytest.approx(found[1].losses[name], rel=1e-4)
    assert found[1].losses["tv"] == 0 and found[0].progress == 1


@pytest.mark.parametrize("kind", [Johnson, MultiStyleNetwork])
def test_a_network_trains(kind, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = (
            Johnson(4, 1, scale=1.0) if kind is Johnson else MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "a", "b"])
        )
    options = JohnsonOptions(
        crop=64, first_crop=64, style_size=64, batch=2, steps=90, learning_rate=5e-3, ema=0.9,
        device="cpu", precision="float32", save_seconds=1e9, preview_seconds=1e9,
    )  # fmt: skip
    data = PictureFolder(PHOTOS, 64)
    styles = {
        name: picture(64, 64, seed)
        for seed, name in enumerate(("a", "b")[: 1 + isinstance(network, MultiStyleNetwork)])
    }
    method = JohnsonRecipe("test", network, tiny_vgg(padding="replicate"), styles, data.batch([0, 1]), options)
    events = list(iter_train(method, data, options, run=tmp_path / "run"))
    style = [event.losses["style"] for event in events if isinstance(event, Step) and event.phase == "train"]
    assert sum(style[-30:]) < 0.6 * sum(style[:30])
    assert isinstance(events[-1], Done)
    model = loaded(tmp_path / "run" / "model.safetensors")
    photograph = data.batch([3])
    painted = model.paint(photograph, style="a" if model.styles else None)
    assert painted.shape == photograph.shape
    assert (painted - photograph).abs().mean() > 0.02
    if isinstance(network, MultiStyleNetwork):
        assert model.styles == (IDENTITY, "a", "b")
        assert (model.paint(photograph, style="b") - painted).abs().mean() > 0.01
        embeddings = model.network.embeddings
        assert (embeddings[1] - embeddings[2]).abs().mean() > 1e-3


def test_settings_that_do_not_fit_are_one_sentence(tmp_path):
    with pytest.raises(OptionError, match=r"^the network johnson has one style, not 2; use the network pyramid\.$"):
        options = JohnsonOptions(network="johnson", style_size=64, crop=64)
        iter_painter({"a": "swirl", "b": "mosaic"}, PHOTOS, options, run=tmp_path / "run")
    with pytest.raises(OptionError, match=r"^there is no style"):
        iter_painter({}, PHOTOS, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_continued_with_another_style(tmp_path):
    options = JohnsonOptions(crop=64, style_size=64, steps=1, batch=1, network="light", width=4, blocks=0, device="cpu")
    list(iter_johnson("swirl", PHOTOS, options, run=tmp_path / "run"))
    with pytest.raises(CheckpointError, match=r"is of a run with other styles; expected the same\.$"):
        iter_johnson("mosaic", PHOTOS, options, run=tmp_path / "run", resume=True)


EMBEDDING = {"crop": 64, "style_size": 64, "batch": 2, "device": "cpu", "precision": "float32", "save_seconds": 1e9}


def test_a_new_style_is_an_embedding_and_nothing_else(tmp_path):
    network = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "a", "b"]))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    data = PictureFolder(PHOTOS, 64)
    options = StyleOptions(steps=60, learning_rate=3e-2, ema=0.9, **EMBEDDING)
    image, samples = picture(64, 64, 3), data.batch([0, 1])
    base = ("tiny", fingerprint(network))
    method = StyleEmbeddingRecipe(network, tiny_vgg(padding="replicate"), "c", image, samples, options, base=base)
    events = list(iter_train(method, data, options, run=tmp_path / "run"))
    style = [event.losses["style"] for event in events if isinstance(event, Step) and event.phase == "train"]
    assert sum(style[-20:]) < 0.8 * sum(style[:20])
    assert all(torch.equal(network.state_dict()[name], weight) for name, weight in before.items())
    painter = Painter(network)
    name, embedding = painter.read_style(tmp_path / "run")
    assert name == "c" and embedding.shape == before["embeddings"][0].shape
    assert min((embedding - known).abs().mean() for known in before["embeddings"]) > 1e-3
    photographs = data.batch([5, 6])
    painted = painter.with_style(name, embedding).paint(photographs, style="c")
    torch.testing.assert_close(painted, network(photographs, embedding), rtol=0, atol=1e-6)


def test_a_new_style_starts_from_the_guess_if_its_loss_is_lower():
    network = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "a", "b"]))
    photographs = PictureFolder(PHOTOS, 128).batch([0, 1])
    guess = network.embeddings[2] + 0.5
    wanted = network(photographs, guess)[:1].detach()
    options = StyleOptions(content_weight=0, tv_weight=0, **{**EMBEDDING, "style_size": 128})
    tiny = tiny_vgg(padding="replicate")
    assert torch.equal(
        StyleEmbeddingRecipe(network, tiny, "c", wanted, photographs[:1], options, guess=guess).embedding[0], guess
    )
    bad = torch.zeros_like(guess)
    assert not torch.equal(
        StyleEmbeddingRecipe(network, tiny, "c", wanted, photographs[:1], options, guess=bad).embedding[0], bad
    )


def test_a_pattern_that_does_not_move_has_a_stability_loss(tmp_path):
    """A pattern of every other column stays where it is when the picture moves; the picture itself does not."""

    class Pattern(torch.nn.Module):
        settings = {}

        def __init__(self, amount):
            super().__init__()
            self.amount = torch.nn.Parameter(torch.tensor(amount))

        def forward(self, image):
            return image + self.amount * (torch.arange(image.shape[-1]) % 2 - 0.5)

    found = {}
    smooth = picture(64, 64, 3).roll(5, 3) * 0.02 + 0.5
    for amount in (0.0, 0.2):
        options = JohnsonOptions(crop=64, first_crop=64, style_size=64, stability_weight=2.0, device="cpu")
        method = JohnsonRecipe(
            "test", Pattern(amount), tiny_vgg(padding="replicate"), {"a": picture(64, 64)}, smooth, options
        )
        engine = SimpleNamespace(random=torch.Generator().manual_seed(1), progress=0.0, backward=lambda loss: None)
        found[amount] = float(method.step(smooth.expand(4, -1, -1, -1), engine)["stability"])
    # Moved by any number of columns the pattern differs by 0, or by its amount; on the average by half its square.
    assert found[0.0] < 1e-3
    assert 0.2 * 0.2**2 < found[0.2] < 2.0 * 0.2**2


def test_the_grid_loss_by_hand():
    """Every fourth column brighter by 0.2: means of 0.05, so 0.15 off in one of four columns and 0.05 in three."""
    flat = torch.full((2, 3, 64, 80), 0.4)
    assert grid_energy(flat) == 0
    combed = flat.clone()
    combed[..., ::4] += 0.2
    expected = (0.15**2 + 3 * 0.05**2) / 4
    assert grid_energy(combed).item() == pytest.approx(expected, rel=1e-4)
    combed[..., 48:] = flat[..., 48:]  # pixels beyond the last whole window do not count
    assert grid_energy(combed).item() == pytest.approx(expected, rel=1e-4)
    other = flat.clone()
    other[..., ::5] += 0.2  # which has each of the four phases nearly equally often
    assert grid_energy(other).item() < 0.02 * expected
    assert grid_energy(picture(40, 40).expand(1, 3, 40, 40)).isfinite()  # smaller than a window


def test_a_training_may_start_from_another_network(tmp_path):
    options = JohnsonOptions(
        network="light", width=8, blocks=0, steps=1, batch=1, crop=64, style_size=64, device="cpu", ema=0.0
    )
    known = random_weights(MultiStyleNetwork(8, 0, 24, styles=[IDENTITY, "b", "c"]))
    start = Painter(known)
    small = options.changed(learning_rate=1e-9)
    list(iter_painter({"a": "swirl", "b": "mosaic"}, PHOTOS, small, start=start, run=tmp_path / "run"))
    network = loaded(tmp_path / "run").network
    torch.testing.assert_close(network.stem.weight, known.stem.weight)
    torch.testing.assert_close(network.embeddings[[0, 2]], known.embeddings[[0, 1]])
    assert (network.embeddings[1] - known.embeddings).abs().mean() > 0.01
    with pytest.raises(OptionError, match=r"^the network to start from has the settings .*'width': 8"):
        wide = options.changed(width=12)
        iter_painter({"a": "swirl", "b": "mosaic"}, PHOTOS, wide, start=start, run=tmp_path / "wide")


def test_crops_grow_in_the_second_half():
    options = JohnsonOptions(crop=256, first_crop=128, style_size=64, device="cpu")
    network = MultiStyleNetwork(4, 0, 4, styles=[IDENTITY, "a"])
    method = JohnsonRecipe("test", network, tiny_vgg(), {"a": picture(64, 64)}, picture(64, 64), options)
    sides = []
    for progress in (0.0, 0.5, 0.75, 1.0):
        engine = SimpleNamespace(random=torch.Generator().manual_seed(1), progress=progress)
        window = method._window(torch.rand(2, 3, 256, 256), engine)
        assert window.shape[-1] == window.shape[-2]
        sides.append(window.shape[-1])
    assert sides == [128, 128, 176, 256]  # 128 * 2^0.5 = 181, and sides are multiples of 16


def test_a_number_of_steps_replaces_the_budget():
    assert StyleOptions().budget == 1.8 and StyleOptions(steps=7).budget is None
    assert StyleOptions(steps=7, budget="30s").budget == 0.5 and StyleOptions().changed(steps=9).budget == 1.8


def test_a_new_style_starts_from_the_nearest_known_embedding():
    network = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "a", "b"]))
    photographs = PictureFolder(PHOTOS, 128).batch([0, 1])
    wanted = network(photographs, network.embeddings[2])[:1].detach()  # a stylization with the second style
    options = StyleOptions(content_weight=0, tv_weight=0, **{**EMBEDDING, "style_size": 128})
    method = StyleEmbeddingRecipe(network, tiny_vgg(padding="replicate"), "c", wanted, photographs[:1], options)
    assert torch.equal(method.embedding[0], network.embeddings[2])


def test_a_network_of_one_style_is_no_base_for_another(tmp_path):
    options = JohnsonOptions(
        network="johnson", width=4, blocks=0, steps=1, batch=1, crop=64, style_size=64, device="cpu"
    )
    list(iter_johnson("swirl", PHOTOS, options, run=tmp_path / "one"))
    with pytest.raises(OptionError, match=r"^the network is one of johnson; expected a multi-style network\.$"):
        iter_style("mosaic", PHOTOS, tmp_path / "one", run=tmp_path / "two")


def test_a_short_training_never_makes_a_style_worse(tmp_path):
    network = random_weights(MultiStyleNetwork(8, 1, 8, styles=[IDENTITY, "a", "b"]))
    data = PictureFolder(PHOTOS, 64)
    options = StyleOptions(steps=30, learning_rate=500.0, schedule="constant", ema=0.0, **EMBEDDING)
    tiny = tiny_vgg(padding="replicate")
    base = ("tiny", fingerprint(network))
    method = StyleEmbeddingRecipe(network, tiny, "c", picture(64, 64, 3), data.batch([0, 1]), options, base=base)
    start = method.embedding[0].detach().clone()
    list(iter_train(method, data, options, run=tmp_path / "run"))
    assert (method.embedding[0] - start).abs().max() > 100  # the last embedding is far away
    assert torch.equal(Painter(network).read_style(tmp_path / "run")[1].half(), start.half())
    kept, slow = method.notes()
    assert kept.startswith("we keep the checkpoint of step 0, whose score is ")
    assert slow.startswith("only 30 steps fitted into the time, expected 100 or more; ")


def test_enough_photographs_are_held_out(tmp_path):
    photographs = tmp_path / "photos"
    photographs.mkdir()
    for index in range(12):
        copy = next(iter(sorted(Path(PHOTOS).glob("*.jpg"))))
        (photographs / f"{index:02}.jpg").write_bytes(copy.read_bytes())
    options = StyleOptions(steps=1, crop=64, style_size=64, device="cpu")
    setup = StyleEmbeddingRecipe.build({"style": "swirl", "photos": [photographs], "base": "painter"}, options, None)
    assert [path.stem for path in setup.data.paths] == [f"{index:02}" for index in range(3, 12)]


PYRAMID = {"level_widths": (8, 8, 8), "level_blocks": (1, 1, 1), "stability_weight": 1.0, "device": "cpu"}


def test_a_pyramid_and_its_predictor_train_together(tmp_path):
    options = JohnsonOptions(
        crop=128, first_crop=128, style_size=128, style_crop=64, batch=2, steps=40, painting_share=0.5,
        learning_rate=5e-3, ema=0.0, encoder="compact", content_weight=0.0, log_steps=1, precision="float32", **PYRAMID,
    )  # fmt: skip
    styles = {"a": "mosaic", "b": "ink-wash"}
    run = tmp_path / "run"
    events = list(iter_painter(styles, PHOTOS, options, paintings=PHOTOS, run=run))
    losses = [event.losses for event in events if isinstance(event, Step)]
    totals = [step["style"] + step["drafts"] for step in losses]
    assert sum(totals[-10:]) < 0.5 * sum(totals[:10])
    painter, predictor = loaded(run), loaded(run / "model-predictor.safetensors")
    assert painter.styles == (IDENTITY, "a", "b")
    assert predictor.card["base"] == painter.fingerprint
    assert predictor.network.embedding_size == painter.network.learned_size
    assert (predictor.network.third.weight != 0).any()  # it was zero at first
    files = pack(run, tmp_path / "small.safetensors", {"license": "CC0", "works": {"a": "b"}}, precision="int8")
    assert [file.name for file in files] == ["small.safetensors", "small-predictor.safetensors"]
    small, predictor = map(loaded, files)
    assert predictor.card["base"] == small.fingerprint != painter.fingerprint
    assert predictor.card["license"] == "CC0" and "works" not in predictor.card


def test_a_draft_with_few_positions_is_left_out_of_deep_layers():
    options = JohnsonOptions(style_size=128, tv_weight=0.0, content_weight=0.0, style_layers={"relu4_1": 1.0})
    loss = Perceptual(tiny_vgg(padding="replicate"), [picture(128, 128, 1)], options, levels=2)
    photographs = picture(128, 128, 2)
    drafts = [picture(64, 64, 3), picture(128, 128, 4)]
    losses = loss(drafts, photographs, torch.tensor([0]))
    assert losses["drafts"] == 0 < losses["style"]  # 8 x 8 positions of relu4_1, and 16 x 16


def test_drafts_are_compared_with_the_style_at_their_own_size():
    options = JohnsonOptions(style_size=128, tv_weight=0.0, content_weight=0.0, style_layers={"relu1_1": 1.0})
    style = picture(128, 128, 1)
    loss = Perceptual(tiny_vgg(padding="replicate"), [style], options, levels=2)
    small = resize(style, (64, 64)).clamp(0, 1)
    same = loss([small, style], style, torch.tensor([0]))
    assert same["drafts"] < 1e-8 and same["style"] < 1e-8
    alone = Perceptual(tiny_vgg(padding="replicate"), [style], options.changed(style_size=64))
    other = loss([picture(64, 64, 5), style], style, torch.tensor([0]))
    expected = alone([picture(64, 64, 5)], small, torch.tensor([0]))
    assert other["drafts"].item() == pytest.approx(0.5 * (expected["style"] + expected["range"]).item(), rel=1e-4)
