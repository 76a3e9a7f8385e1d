"""Translation: the same losses as a plain loop, the same bits after a resume, and folders of any pictures."""

import copy
import json
import math
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F  # noqa: N812

from impasto.checkpoints.files import CHECKPOINT, MODEL, load_state
from impasto.cli.main import main
from impasto.data.folders import AlignedPairs, PictureFolder
from impasto.errors import ImageError, OptionError, UnknownName
from impasto.events import Done, Note, Saved, Step
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.losses.adversarial import patch_adversarial_loss
from impasto.networks.patch_sampler import PatchSampler
from impasto.networks.patchgan import PatchDiscriminator
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.recipes.cut.recipe import CUT
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.cyclegan.recipe import CycleGAN
from impasto.recipes.image_pool import Pool
from impasto.recipes.pix2pix.options import Pix2PixOptions
from impasto.recipes.pix2pix.recipe import Pix2Pix
from impasto.training.loop import iter_train
from nets import loaded, picture, same_tensors
from trainings import iter_cyclegan, iter_pix2pix

TINY = {
    "crop": 16, "width": 2, "blocks": 1, "discriminator_width": 2, "discriminator_layers": 1, "device": "cpu",
    "precision": "float32", "preview_seconds": 1e9,
}  # fmt: skip


def pixels(height, width, seed):
    return picture(height, width, seed)[0].permute(1, 2, 0).numpy()


def write(folder, name, array):
    folder.mkdir(parents=True, exist_ok=True)
    save_picture(folder / name, load_picture(array))


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    """Pictures of two domains, five and four, of mixed sizes; those of B are darker, and one is gray."""
    path = tmp_path_factory.mktemp("domains")
    for index in range(5):
        write(path / "a", f"{index}.png", pixels(20 + index, 30, index))
    for index in range(3):
        write(path / "b", f"{index}.png", pixels(40, 22 + index, 10 + index) / 2)
    write(path / "b", "gray.png", pixels(24, 24, 20)[..., 0])
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pictures and their negatives, side by side."""
    path = tmp_path_factory.mktemp("pairs")
    for index in range(4):
        left = pixels(36, 40, index)
        write(path, f"{index}.png", np.concatenate([left, 1 - left], 1))
    return path


def steps(events):
    return [event for event in events if isinstance(event, Step) and event.phase == "train"]


# --- the same losses as a plain loop --------------------------------------------------------------


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("identity", [0.5, 0.0])
def test_cyclegan_takes_the_steps_of_a_plain_loop(domains, tmp_path, norm, identity):
    """Each network called on its own, in the order of the official program; no image pool, no EMA."""
    options = CycleGANOptions(**TINY, steps=4, batch=2, pool=0, ema=0, norm=norm, identity_weight=identity)
    torch.manual_seed(3)
    made = [ResNetGenerator(2, 1, norm), ResNetGenerator(2, 1, norm)]
    made += [PatchDiscriminator(2, 1, norm), PatchDiscriminator(2, 1, norm)]
    g_ab, g_ba, d_a, d_b = copy.deepcopy(made)
    folders = PictureFolder(domains / "a", 16), PictureFolder(domains / "b", 16, seed=1)
    batches = [[2 * folder.batch([2 * step, 2 * step + 1]) - 1 for folder in folders] for step in range(4)]

    class Fixed:
        skipped, fingerprint = [], "fixed"

        def batch(self, indices):
            return tuple(folder.batch(indices) for folder in folders)

    samples = folders[0].batch([0]), folders[1].batch([0])
    told = steps(iter_train(CycleGAN(*made, samples, options), Fixed(), options, run=tmp_path / "run"))

    optimizer_g = torch.optim.Adam([*g_ab.parameters(), *g_ba.parameters()], 2e-4, (0.5, 0.999))
    optimizer_d = torch.optim.Adam([*d_a.parameters(), *d_b.parameters()], 2e-4, (0.5, 0.999))

    def squares(output, target):
        return (output - target).square().mean()

    for index, (a, b) in enumerate(batches):
        for optimizer in (optimizer_g, optimizer_d):
            optimizer.param_groups[0]["lr"] = 2e-4 * min(1.0, 2 - 2 * index / 4)
        fake_b, fake_a = g_ab.model(a), g_ba.model(b)
        losses = {
            "adversarial_b": squares(d_b(fake_b), 1),
            "adversarial_a": squares(d_a(fake_a), 1),
            "cycle_a": 10 * (g_ba.model(fake_b) - a).abs().mean(),
            "cycle_b": 10 * (g_ab.model(fake_a) - b).abs().mean(),
        }
        if identity:
            losses["identity_a"] = 5 * (g_ba.model(a) - a).abs().mean()
            losses["identity_b"] = 5 * (g_ab.model(b) - b).abs().mean()
        optimizer_g.zero_grad()
        sum(losses.values()).backward()
        optimizer_g.step()
        optimizer_d.zero_grad()
        losses["discriminator_b"] = 0.5 * (squares(d_b(b), 1) + squares(d_b(fake_b.detach()), 0))
        losses["discriminator_a"] = 0.5 * (squares(d_a(a), 1) + squares(d_a(fake_a.detach()), 0))
        (losses["discriminator_a"] + losses["discriminator_b"]).backward()
        optimizer_d.step()
        assert told[index].losses == pytest.approx({name: loss.item() for name, loss in losses.items()}, rel=2e-3)
    for ours, plain in zip(made, (g_ab, g_ba, d_a, d_b), strict=True):
        # Adam divides by how large gradients are, so those that are nearly 0, of biases before a norm, move anyhow
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            if one.ndim > 1:
                torch.testing.assert_close(one, other, rtol=0, atol=4e-5)


def test_two_processes_lose_what_one_with_the_whole_batch_does(domains, tmp_path):
    """Started as people start them. Each has a pool of its own, which is not full yet, so that nothing is exchanged."""
    settings = ["--batch", "2", "--steps", "5", "--log-steps", "1", "--identity-weight", "0.5", "--quiet"]
    for name, value in TINY.items():
        settings += [f"--{name.replace('_', '-')}", str(value)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    logs = []
    for name, before in (("one", []), ("two", launcher)):
        command = [sys.executable, *before, "-m", "impasto", "train", "cyclegan", "-o", str(tmp_path / name)]
        done = subprocess.run(
            [*command, "--a", str(domains / "a"), "--b", str(domains / "b"), *settings], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        logs.append([json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()])
    assert [line["step"] for line in logs[1]] == [1, 2, 3, 4, 5]
    for one, two in zip(*logs, strict=True):
        assert two["losses"] == pytest.approx(one["losses"], abs=1e-4)
    assert load_state(tmp_path / "two" / CHECKPOINT)[1]["processes"] == 2


def test_pix2pix_takes_the_steps_of_a_plain_loop(pairs, tmp_path):
    options = Pix2PixOptions(**TINY | {"crop": 32}, steps=3, ema=0, no_dropout=True, batch=2, direction="b-to-a")
    torch.manual_seed(3)
    made = [UNetGenerator(2, 5, dropout=False), PatchDiscriminator(2, 1, "batch", channels=6)]
    generator, discriminator = copy.deepcopy(made)
    data = AlignedPairs(pairs, 32)
    told = steps(iter_train(Pix2Pix(*made, data.batch([0]), options), data, options, run=tmp_path / "run"))
    optimizer_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))

    def nats(logits, real):
        return F.softplus(-logits if real else logits).mean()

    for index in range(3):
        for optimizer in (optimizer_g, optimizer_d):
            optimizer.param_groups[0]["lr"] = 2e-4 * min(1.0, 2 - 2 * index / 3)
        wanted, given = (2 * data.batch([2 * index, 2 * index + 1]) - 1).split(3, 1)
        fake = generator.model(given)
        fakes, reals = torch.cat([given, fake], 1), torch.cat([given, wanted], 1)
        d_loss = 0.5 * (nats(discriminator(reals), True) + nats(discriminator(fakes.detach()), False))
        optimizer_d.zero_grad()
        d_loss.backward()
        optimizer_d.step()
        losses = {"adversarial": nats(discriminator(fakes), True), "l1": 100 * (fake - wanted).abs().mean()}
        optimizer_g.zero_grad()
        sum(losses.values()).backward()
        optimizer_g.step()
        losses["discriminator"] = d_loss
        assert told[index].losses == pytest.approx({name: loss.item() for name, loss in losses.items()}, rel=2e-3)


def test_adversarial_losses_by_hand():
    outputs = torch.tensor([0.5, -1.0])
    assert patch_adversarial_loss(outputs, True, "lsgan").item() == pytest.approx((0.25 + 4) / 2)
    assert patch_adversarial_loss(outputs, False, "lsgan").item() == pytest.approx((0.25 + 1) / 2)
    wanted = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(1))) / 2
    assert patch_adversarial_loss(outputs, True, "vanilla").item() == pytest.approx(wanted)
    assert patch_adversarial_loss(outputs.bfloat16(), False, "vanilla").dtype == torch.float32


class Chance:
    """The random generator of an engine."""

    def __init__(self):
        self.random = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("flipped", [False, True])
def test_the_patch_loss_by_hand(flipped):
    options = CycleGANOptions(**TINY, method="cut", patches=6)
    torch.manual_seed(0)
    network = ResNetGenerator(2, 2, blur_down=True, blur_up=True)
    sampler, source = (
        PatchSampler(network.feature_channels(), 5),
        2 * torch.cat([picture(16, 16), picture(16, 16, 1)]) - 1,
    )
    with torch.no_grad():
        for weight in sampler.parameters():
            weight.copy_(torch.randn(weight.shape))
    recipe = CUT(network, sampler, PatchDiscriminator(2, 1), (source, source), options)
    fake = network.translate(source.flip(3) if flipped else source).detach()
    found = recipe._patch_loss(fake, source, Chance(), flipped)

    random, losses = torch.Generator().manual_seed(0), []
    taps = (0, 4, 8, 12, 13)  # the pictures, two convolutions, the first block, and the last, for there is no fifth
    layers = list(network.model)
    for index, tap in enumerate(taps):
        seen = []
        for pictures in (fake, source):
            for layer in layers[: tap + 1]:
                pictures = layer(pictures)
            seen.append(pictures)
        query, key = (seen[0].flip(3) if flipped else seen[0]), seen[1]
        chosen = torch.randperm(query.shape[2] * query.shape[3], generator=random)[:6]
        first, second = sampler.get_submodule(f"mlp_{index}")[0], sampler.get_submodule(f"mlp_{index}")[2]
        for q, k in zip(query, key, strict=True):
            rows = []
            for maps in (q, k):
                at = maps.reshape(len(maps), -1).T[chosen]
                at = (at @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias
                rows.append(at / at.norm(dim=1, keepdim=True))
            scores = (rows[0] @ rows[1].T / 0.07).exp()
            losses.append(-(scores.diagonal() / scores.sum(1)).log().mean())
    assert found.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)
    found.backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in sampler.parameters() if weight.ndim > 1)


def test_the_sampler_has_the_size_and_keys_of_the_official_one():
    sampler = PatchSampler(ResNetGenerator(64, 1).feature_channels())
    assert sum(weight.numel() for weight in sampler.parameters()) == 560_384
    assert list(sampler.state_dict())[:3] == ["mlp_0.0.weight", "mlp_0.0.bias", "mlp_0.2.weight"]


def test_cut_writes_one_network_and_has_the_losses_of_the_paper(domains, tmp_path):
    told = {}
    for method in ("cut", "fastcut"):
        options = CycleGANOptions(**TINY, steps=2, method=method)
        events = list(iter_cyclegan(domains / "a", domains / "b", options, run=tmp_path / method))
        told[method] = steps(events)[0].losses
        assert [event.path.name for event in events if isinstance(event, Saved) and event.kind == "result"] == [MODEL]
        settings = loaded(tmp_path / method).network.settings
        assert settings == ResNetGenerator(2, 1, blur_down=True, blur_up=True).settings
    assert set(told["cut"]) == {"adversarial_b", "patches_a", "patches_b", "discriminator_b"}
    assert set(told["fastcut"]) == {"adversarial_b", "patches_a", "discriminator_b"}
    for method, default in (("cut", 1), ("fastcut", 10)):
        options = CycleGANOptions(**TINY, steps=1, method=method, patch_weight=2.5 * default)
        (first,) = steps(iter_cyclegan(domains / "a", domains / "b", options, run=tmp_path / f"{method} more"))
        assert first.losses["patches_a"] == pytest.approx(2.5 * told[method]["patches_a"], rel=1e-5)


# --- the image pool -------------------------------------------------------------------------------


def numbered(first, count):
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()


def test_half_of_the_fakes_come_from_the_pool():
    pool, random = Pool(50, 2), torch.Generator().manual_seed(0)
    for first in range(0, 50, 5):
        new = numbered(first, 5)
        assert torch.equal(pool.exchange(new, random), new)  # while it fills, it returns the new fakes
    assert pool.count == 50
    old, seen = 0, []
    for number in range(50, 2050):
        (given,) = pool.exchange(numbered(number, 1), random)
        seen.append(int(given[0, 0, 0]))
        old += seen[-1] != number
        kept = pool.pictures[:, 0, 0, 0]
        assert (number in kept) == (seen[-1] != number)
    assert 900 < old < 1100  # 1000, with a standard deviation of 22
    assert len(set(seen)) == len(seen)  # what it returned is no longer in it
    ages = [number - given for number, given in enumerate(seen, 50) if given != number]
    assert 85 < np.mean(ages) < 115  # each is taken with a probability of 1/100 in a step


def test_a_pool_remembers_and_passes_no_gradient():
    pool, random = Pool(2, 2), torch.Generator().manual_seed(0)
    given = pool.exchange(numbered(1, 3).requires_grad_(), random)
    assert not given.requires_grad
    other = Pool(2, 2)
    other.restore({key: value.clone() for key, value in pool.state().items()})
    assert other.count == 2 and torch.equal(other.pictures, pool.pictures)
    assert torch.equal(Pool(0, 2).exchange(given, random), given)


# --- runs -----------------------------------------------------------------------------------------


RUNS = {
    "cyclegan": (iter_cyclegan, CycleGANOptions(**TINY, steps=16, pool=3)),
    "cyclegan with batch norm": (iter_cyclegan, CycleGANOptions(**TINY, steps=16, pool=4, batch=2, norm="batch")),
    "cyclegan, changed": (
        iter_cyclegan, CycleGANOptions(**TINY, steps=16, pool=2, augment=("color", "translation", "cutout")),
    ),
    "cut": (iter_cyclegan, CycleGANOptions(**TINY, steps=16, method="cut", patches=9)),
    "fastcut": (iter_cyclegan, CycleGANOptions(**TINY, steps=16, method="fastcut", batch=2)),
    "pix2pix": (iter_pix2pix, Pix2PixOptions(**TINY | {"crop": 32}, steps=16)),
}  # fmt: skip


@pytest.mark.parametrize("what", RUNS)
def test_a_closed_run_resumes_to_the_same_bits(what, domains, pairs, tmp_path):
    train, options = RUNS[what]
    data = (domains / "a", domains / "b") if train is iter_cyclegan else (pairs,)
    list(train(*data, options, run=tmp_path / "whole"))
    events = train(*data, options, run=tmp_path / "broken")
    next(event for event in events if isinstance(event, Step) and event.phase == "train" and event.step == 9)
    events.close()
    kept = load_file(tmp_path / "broken" / CHECKPOINT)
    if what.startswith("cyclegan"):
        assert kept["recipe/a.pictures"].shape == (1, options.pool, 3, 16, 16)
        assert int(kept["recipe/b.count"]) == options.pool
    later = list(train(*data, options, run=tmp_path / "broken", resume=True))
    assert steps(later)[0].step == 10
    assert same_tensors(tmp_path / "whole", tmp_path / "broken", CHECKPOINT, MODEL)


def test_a_killed_command_resumes_to_the_same_bits(domains, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["train", "cyclegan", "--a", str(domains / "a"), "--b", str(domains / "b"), "--preset", "tiny", "--json",
             "--steps", "40", "--crop", "16", "--width", "2", "--blocks", "1", "--discriminator-width", "2",
             "--discriminator-layers", "1", "--pool", "4", "--device", "cpu", "--precision", "float32",
             "--save-seconds", "0"]  # fmt: skip
    command = [sys.executable, "-m", "impasto", *words, "-o", str(tmp_path / "broken")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line).get("step", 0) >= 15:
                break
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "broken" / MODEL).exists()
    assert main([*words, "-o", str(tmp_path / "broken"), "--resume"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[0]["step"] >= 14 and events[-1]["event"] == "done"
    assert main([*words, "-o", str(tmp_path / "whole")]) == 0
    assert same_tensors(tmp_path / "whole", tmp_path / "broken", CHECKPOINT, MODEL)


def test_both_directions_are_written_and_can_be_applied(domains, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    small = "--steps 2 --crop 16 --width 2 --blocks 1 --discriminator-width 2 --discriminator-layers 1 --device cpu"
    words = ["train", "cyclegan", "--a", str(domains / "a"), "--b", str(domains / "b"), *small.split()]
    assert main(words) == 0
    assert capfd.readouterr().out == "cyclegan-a-b/model.safetensors\ncyclegan-a-b/model-back.safetensors\n"
    there, back = loaded("cyclegan-a-b"), loaded("cyclegan-a-b/model-back.safetensors")
    assert (there.card["direction"], back.card["direction"]) == ("a to b", "b to a")
    assert there.network.settings == back.network.settings == ResNetGenerator(2, 1).settings
    options = CycleGANOptions(**there.card["options"])
    assert options.crop == 16 and options.schedule == "half"
    assert not torch.equal(there.network.model[1].weight, back.network.model[1].weight)
    assert load_picture("cyclegan-a-b/preview.jpg").size == (
        6 * 16 + 7 * 4,
        4 * 16 + 5 * 4,
    )  # three of each; four columns
    assert main(["apply", "cyclegan-a-b", str(domains / "a"), "-o", "out", "--precision", "float32"]) == 0
    for index in range(5):
        assert load_picture(f"out/{index}_cyclegan-a-b.png").size == (20 + index, 30)
    image = torch.from_numpy(load_picture(domains / "a" / "3.png").pixels).permute(2, 0, 1)[None]
    found = torch.from_numpy(load_picture("out/3_cyclegan-a-b.png").pixels).permute(2, 0, 1)[None]
    with torch.no_grad():
        torch.testing.assert_close(found, there.paint(image), rtol=0, atol=1.1 / 255)


def test_pix2pix_learns_and_beats_the_identity(pairs, tmp_path):
    options = Pix2PixOptions(
        **TINY | {"width": 8, "discriminator_width": 4},
        steps=100,
        network="resnet",
        norm="instance",
        learning_rate=5e-3,
        ema=0.9,
    )
    events = list(iter_pix2pix(pairs, options, run=tmp_path / "run"))
    told = steps(events)
    assert set(told[0].losses) == {"adversarial", "l1", "discriminator"}
    first, last = (np.mean([event.losses["l1"] for event in part]) for part in (told[:10], told[-10:]))
    assert last < 0.6 * first
    assert isinstance(events[-1], Done) and events[-1].image.ndim == 4
    network = loaded(tmp_path / "run").network
    image = picture(32, 32, seed=50)
    with torch.no_grad():
        error = (network(image) - (1 - image)).abs().mean()
    assert error < 0.5 * (2 * image - 1).abs().mean()


def test_a_unet_is_as_deep_as_its_crop_allows(pairs, tmp_path):
    list(iter_pix2pix(pairs, Pix2PixOptions(**TINY | {"crop": 64}, steps=1), run=tmp_path / "run"))
    model = loaded(tmp_path / "run")
    assert model.network.settings == UNetGenerator(2, 6).settings
    assert load_state(tmp_path / "run" / MODEL)[0]["model.model.1.model.2.num_batches_tracked"] == 1
    assert Pix2PixOptions(crop=256).halvings() == 8 and Pix2PixOptions(crop=512).halvings() == 8
    with torch.no_grad():
        assert model(picture(33, 70)).shape == (1, 3, 33, 70)
    with pytest.raises(OptionError, match="crop is 48; expected a multiple of 32 for a U-Net that halves it 5 times"):
        iter_pix2pix(pairs, Pix2PixOptions(**TINY | {"crop": 48}), run=tmp_path / "other")


def test_presets_are_those_of_the_papers():
    paper = CycleGANOptions.preset("paper")
    assert (paper.crop, paper.width, paper.blocks, paper.discriminator_width, paper.discriminator_layers) == (
        256,
        64,
        9,
        64,
        3,
    )
    assert (paper.learning_rate, paper.cycle_weight, paper.identity_weight, paper.pool) == (2e-4, 10, 0.5, 50)
    assert (paper.batch, paper.ema, paper.schedule, paper.augment) == (1, 0, "half", ())
    tiny = CycleGANOptions.preset("tiny", pool=7)
    assert (tiny.crop, tiny.width, tiny.blocks, tiny.discriminator_width, tiny.discriminator_layers) == (
        64,
        16,
        4,
        32,
        2,
    )
    assert tiny.identity_weight == 0 and tiny.pool == 7
    paper = Pix2PixOptions.preset("paper")
    assert (paper.network, paper.halvings(), paper.l1_weight, paper.gan, paper.norm) == (
        "unet",
        8,
        100,
        "vanilla",
        "batch",
    )
    for options in (CycleGANOptions, Pix2PixOptions):
        with pytest.raises(UnknownName, match="'papers' is not the name of a preset. Did you mean 'paper'"):
            options.preset("papers")


# --- data -----------------------------------------------------------------------------------------


def test_both_pictures_of_a_pair_have_the_same_crop(tmp_path):
    slope = pixels(40, 60, 1)
    write(tmp_path / "pairs", "one.png", np.concatenate([slope, 1 - slope], 1))
    batch = AlignedPairs(tmp_path / "pairs", 16, zoom=1.5).batch(range(12))
    assert batch.shape == (12, 6, 16, 16)
    torch.testing.assert_close(batch[:, 3:], 1 - batch[:, :3], rtol=0, atol=2.1 / 255)
    assert len({float(one.mean()) for one in batch[:, :3]}) > 6  # and not all at the same position


def test_pairs_in_two_folders_go_by_name(tmp_path):
    for name, seed in (("x", 1), ("y", 2)):
        write(tmp_path / "data" / "A", f"{name}.png", pixels(30, 40, seed))
        write(tmp_path / "data" / "B", f"{name}.tif", 1 - pixels(60, 80, seed))  # twice as large
    whole = AlignedPairs(tmp_path / "data", 24, seed=4)
    named = AlignedPairs(tmp_path / "data" / "A", 24, second=tmp_path / "data" / "B", seed=4)
    assert torch.equal(whole.batch(range(4)), named.batch(range(4))) and whole.fingerprint == named.fingerprint
    assert (whole.batch(range(4))[:, 3:] - (1 - whole.batch(range(4))[:, :3])).abs().mean() < 0.05
    write(tmp_path / "data" / "B", "z.png", pixels(8, 8, 1))
    with pytest.raises(ImageError, match="z has no partner in .*A, as 1 of 5 pictures; expected the same names"):
        AlignedPairs(tmp_path / "data", 24)


def test_a_pair_of_different_shapes_is_skipped_with_a_note(tmp_path):
    for name, shape in (("x", (30, 40)), ("y", (40, 30))):
        write(tmp_path / "a", f"{name}.png", pixels(30, 40, 1))
        write(tmp_path / "b", f"{name}.png", pixels(*shape, 2))
    options = Pix2PixOptions(**TINY, steps=3, network="resnet", watch_steps=0)
    events = list(iter_pix2pix(tmp_path / "a", options, second=tmp_path / "b", run=tmp_path / "run"))
    assert [event.text for event in events if isinstance(event, Note)] == [
        "1 file could not be read and was left out: y.png"
    ]
    (tmp_path / "a" / "x.png").unlink()
    (tmp_path / "b" / "x.png").unlink()
    with pytest.raises(ImageError, match="y.png is 40×30 and its partner 30×40; expected the same shape"):
        iter_pix2pix(tmp_path / "a", options, second=tmp_path / "b", run=tmp_path / "other")


def test_one_picture_of_each_domain_is_enough(tmp_path):
    write(tmp_path / "a", "one.png", pixels(30, 40, 1))
    write(tmp_path / "b", "one.png", pixels(12, 9, 2)[..., 0])  # gray, and smaller than a crop
    events = list(iter_cyclegan(tmp_path / "a", tmp_path / "b", CycleGANOptions(**TINY, steps=2), run=tmp_path / "run"))
    assert Saved(tmp_path / "run" / "model-back.safetensors", "result") in events and len(steps(events)) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("cyclegan --a {0}/a", "needs a and b; b is missing, expected a folder of pictures of domain B."),
        ("cyclegan --a {0}/a --b {0}/empty", "empty holds no picture"),
        ("cyclegan --a {0}/a --b {0}/none", "none does not exist"),
        ("cyclegan --a {0}/a --b {0}/b --crop 30", "crop is 30; expected a multiple of 4"),
        ("cyclegan --a {0}/a --b {0}/b --crop 16", "crop is 16; expected 32 or more for discriminators of 3 layers"),
        ("cyclegan --a {0}/a --b {0}/b --augment blur", "augment is 'blur'; expected"),
        ("cyclegan --a {0}/a --b {0}/b --preset large", "'large' is not the name of a preset"),
        ("pix2pix --a {0}/a", "needs pairs: --pairs FOLDER, or --a FOLDER --b FOLDER"),
        ("pix2pix --pairs {0}/a --b {0}/b", "needs pairs: --pairs FOLDER"),
        ("pix2pix --a {0}/a --b {0}/b", "has no partner in"),
    ],
)
def test_bad_words_are_one_sentence(domains, tmp_path, monkeypatch, capfd, words, sentence):
    monkeypatch.chdir(tmp_path)
    (domains / "empty").mkdir(exist_ok=True)
    assert main(["train", *words.format(domains).split()]) == 2
    said = capfd.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "options"), [("cyclegan", CycleGANOptions), ("pix2pix", Pix2PixOptions)])
def test_help_shows_every_setting(monkeypatch, capfd, command, options):
    monkeypatch.setenv("COLUMNS", "500")
    assert main(["train", command, "--help-all"]) == 0
    shown = capfd.readouterr().out
    for name, field in options.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown and str(field.description)[:40] in shown
