"""What a network makes: paths and planes by hand, sheets of networks that can be computed, files, commands."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from impasto.api.evaluate import iter_evaluate
from impasto.checkpoints import catalog
from impasto.cli.main import main
from impasto.data.arrays import Sets, small_set
from impasto.errors import FileExists, ImageError, OptionError, WeightsError
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Done, Note, Saved, Step
from impasto.inference import latent_space
from impasto.inference.generator import Autoencoder, Generator
from impasto.inference.load import load_generator
from impasto.inference.options import SampleOptions
from impasto.inference.sheets import _by_class, iter_sample, progress_frames
from impasto.io.animation import save_animation
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture
from impasto.networks.autoencoder import VAE
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.vae.options import VAEOptions
from impasto.recipes.vae.recipe import importance_bound
from nets import loaded
from trainings import iter_autoencoder, iter_vae

CPU = {"device": "cpu"}
QUICK = {"batch": 16, "device": "cpu", "precision": "float32", "hidden": (24,), "ema": 0.9, "save_seconds": 1e9,
         "preview_seconds": 1e9}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """Pictures 0.5 + W z of 1 x 2 x 3 pixels, and a hundredth more in each class; its encoder undoes that."""

    def __init__(self, weight, classes=0):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float32), requires_grad=False)  # (6, Z)
        self.shape, self.latent, self.classes = (1, 2, 3), self.weight.shape[1], classes

    def decode(self, codes, labels=None):
        assert (labels is not None) == bool(self.classes)
        more = 0 if labels is None else 0.01 * labels[:, None]
        return (0.5 + codes @ self.weight.T + more).view(-1, 1, 2, 3)


class Both(Linear):
    def encode(self, pictures, labels=None):
        more = 0 if labels is None else 0.01 * labels[:, None]
        return (pictures.flatten(1) - 0.5 - more) @ torch.linalg.pinv(self.weight).T


def weight(latent=4, seed=0, size=0.02):
    return size * torch.randn(6, latent, generator=chance(seed))


def generator(network, prior=None, **card):
    kind = Autoencoder if hasattr(network, "encode") else Generator
    extra = {} if prior is None else dict(zip(("codes.mean", "codes.root"), prior, strict=True))
    card = {"network": "custom", "options": {}, **card}
    return kind(network.eval(), card, path=Path("toy/model.safetensors"), extra=extra)


def pictures_of(network, codes, labels=None):
    return network.decode(codes, labels)


# --- between latent codes ------------------------------------------------------------------------


def test_a_quarter_turn_by_hand():
    """cos and sin of 0, 30, 45 and 90 degrees; a straight line goes through (1/2, 1/2)."""
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    shares = torch.tensor([0, 1 / 3, 0.5, 1])
    wanted = [[1, 0], [math.sqrt(3) / 2, 0.5], [math.sqrt(0.5), math.sqrt(0.5)], [0, 1]]
    torch.testing.assert_close(latent_space.slerp(first, second, shares), torch.tensor(wanted))
    torch.testing.assert_close(latent_space.lerp(first, second, shares)[2], torch.tensor([0.5, 0.5]))


def test_the_arc_of_unit_vectors_is_shoemakes():
    """sin((1 - t) a) / sin a and sin(t a) / sin a of the two, written anew in float64."""
    ends = np.random.default_rng(0).normal(size=(2, 5, 20))
    ends /= np.linalg.norm(ends, axis=2, keepdims=True)
    angle = np.arccos((ends[0] * ends[1]).sum(1))[:, None, None]
    shares = np.linspace(0, 1, 7)[None, :, None]
    wanted = np.sin((1 - shares) * angle) * ends[0][:, None] + np.sin(shares * angle) * ends[1][:, None]
    found = latent_space.slerp(*torch.from_numpy(ends), torch.linspace(0, 1, 7, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), wanted / np.sin(angle), atol=1e-12)


def test_lengths_and_angles_change_evenly():
    first, second = (length * torch.randn(6, 30, dtype=torch.float64, generator=chance(length)) for length in (1, 3))
    way = latent_space.slerp(first, second, torch.linspace(0, 1, 9, dtype=torch.float64))
    torch.testing.assert_close(way[:, 0], first)
    torch.testing.assert_close(way[:, -1], second)
    lengths = way.norm(dim=2)
    steps = lengths.diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))
    units = way / lengths[..., None]
    turns = (units[:, 1:] * units[:, :-1]).sum(2).clamp(-1, 1).arccos()
    torch.testing.assert_close(turns, turns[:, :1].expand_as(turns), rtol=1e-6, atol=1e-9)
    assert turns.min() > 0.1


@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-8, 1e-4])
def test_nearly_parallel_vectors_have_an_arc(apart):
    first = torch.tensor([3.0, 4.0, 0.0], dtype=torch.float64)
    second = torch.tensor([3.0, 4.0, apart], dtype=torch.float64)
    way = latent_space.slerp(first, second, torch.linspace(0, 1, 5, dtype=torch.float64))
    torch.testing.assert_close(way, latent_space.lerp(first, second, torch.linspace(0, 1, 5)), rtol=1e-8, atol=1e-8)


def test_opposite_vectors_have_one_too_and_nothing_a_straight_line():
    first = torch.tensor([0.0, 2.0, 0.0])
    way = latent_space.slerp(first, -first, torch.linspace(0, 1, 5))
    torch.testing.assert_close(way.norm(dim=1), torch.full((5,), 2.0))
    torch.testing.assert_close(way[-1], -first)
    torch.testing.assert_close(way[2] @ first, torch.tensor(0.0), atol=1e-6, rtol=0)
    nothing = torch.zeros(3)
    torch.testing.assert_close(latent_space.slerp(nothing, first, torch.tensor([0.25])), first[None] / 4)
    assert torch.equal(latent_space.slerp(nothing, nothing, torch.tensor([0.5])), torch.zeros(1, 3))


@pytest.mark.parametrize("count", [1, 2, 15])
def test_quantiles_are_those_of_the_gaussian(count):
    wanted = [NormalDist().inv_cdf((place + 0.5) / count) for place in range(count)]
    assert latent_space.quantiles(count).tolist() == pytest.approx(wanted, abs=1e-12)


def test_a_plane_by_hand():
    """Two quantiles are -0.67449 and 0.67449."""
    q = NormalDist().inv_cdf(0.75)
    found = latent_space.plane(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), 2, 2)
    wanted = [[[1 - q, 1 - 2 * q], [1 + q, 1 - 2 * q]], [[1 - q, 1 + 2 * q], [1 + q, 1 + 2 * q]]]
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_class_means_by_hand():
    codes = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0]])
    labels = torch.tensor([7, 7, 2])
    assert latent_space.class_means(codes, labels, (2, 7, 2)).tolist() == [[5, 5], [2, 1], [5, 5]]
    with pytest.raises(OptionError, match="no picture is of class 3; there are 2, 7"):
        latent_space.class_means(codes, labels, (3,))


def test_numbers_of_an_autoencoder_go_to_the_gaussian_and_back():
    mean, root = torch.tensor([1.0, -2.0, 0.0]), torch.tensor([[2.0, 1, 0], [1, 3, 0], [0, 0, 0]])  # one is unused
    network = generator(Both(weight(3)), (mean, root))
    torch.testing.assert_close(network.from_normal(torch.tensor([[1.0, 1.0, 5.0]])), torch.tensor([[4.0, 2.0, 0.0]]))
    there = network.from_normal(torch.randn(50, 3, generator=chance()))
    torch.testing.assert_close(network.from_normal(network.to_normal(there)), there, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.to_normal(there)[:, 2], torch.zeros(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        latent_space.standard_deviations(network), torch.tensor([math.sqrt(5), math.sqrt(10), 0])
    )
    drawn = network.draw(20_000, chance())
    torch.testing.assert_close(drawn.std(0), torch.tensor([math.sqrt(5), math.sqrt(10), 0]), rtol=0.03, atol=1e-6)


# --- sheets --------------------------------------------------------------------------------------


def test_a_grid_is_of_drawn_numbers():
    network = Linear(weight())
    sheet = latent_space.grid(generator(network), 3, 5, chance(1))
    wanted = pictures_of(network, torch.randn(15, 4, generator=chance(1)))
    torch.testing.assert_close(torch.cat(list(sheet.cells)), wanted)
    assert [len(row) for row in sheet.cells] == [5, 5, 5] and not sheet.rows


def test_a_grid_of_classes_has_the_same_numbers_in_each_row():
    network = Linear(weight(), classes=3)
    sheet = latent_space.grid(generator(network), 99, 5, chance(1), (2, 0))
    drawn = torch.randn(5, 4, generator=chance(1))
    for row, label in zip(sheet.cells, (2, 0), strict=True):
        torch.testing.assert_close(row, pictures_of(network, drawn, torch.full((5,), label)))
    assert sheet.rows == ["2", "0"]
    assert len(latent_space.grid(generator(network), 1, 2, chance()).cells) == 3


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_ways_between_numbers(path):
    network, between = Both(weight()), {"linear": latent_space.lerp, "spherical": latent_space.slerp}[path]
    first, second = torch.randn(2, 3, 4, generator=chance()).unbind()
    shown = pictures_of(network, first), pictures_of(network, second)
    sheet = latent_space.interpolation(generator(network), first, second, 5, path=path, pictures=shown)
    wanted = pictures_of(network, between(first, second, torch.linspace(0, 1, 5)).flatten(0, 1)).view(3, 5, 1, 2, 3)
    cells = torch.stack(list(sheet.cells))
    torch.testing.assert_close(cells[:, 1:-1], wanted)
    torch.testing.assert_close(cells[:, 0], cells[:, 1])  # a picture, and its reconstruction
    torch.testing.assert_close(cells[:, -1], cells[:, -2])
    assert sheet.columns == ["picture", "0", "0.25", "0.5", "0.75", "1", "picture"]


def test_arcs_of_an_autoencoder_go_around_its_own_middle():
    """Between two codes at the same distance from the mean, all codes have that distance."""
    mean = torch.tensor([10.0, 0.0])
    network = generator(Both(torch.eye(6)[:, :2]), (mean, 2 * torch.eye(2)))
    sheet = latent_space.interpolation(
        network, mean[None] + torch.tensor([[2.0, 0]]), mean[None] + torch.tensor([[0.0, 2]]), 3
    )
    halfway = network.encode(sheet.cells[0])[1]
    torch.testing.assert_close(halfway, mean + 2 * math.sqrt(0.5))


def test_the_manifold_of_two_numbers():
    network = Linear(weight(2))
    sheet = latent_space.manifold(generator(network), 3, 5, chance())
    for row, below in enumerate((1 / 6, 1 / 2, 5 / 6)):
        for column, right in enumerate((0.1, 0.3, 0.5, 0.7, 0.9)):
            z = torch.tensor([[NormalDist().inv_cdf(right), NormalDist().inv_cdf(below)]])
            torch.testing.assert_close(sheet.cells[row][column : column + 1], pictures_of(network, z))
    one = latent_space.manifold(generator(Linear(weight(1))), 3, 5, chance())
    assert [len(row) for row in one.cells] == [5]


def test_the_manifold_in_the_plane_where_codes_vary_most():
    """Codes vary along two known directions by 3 and 2, and by 0.1 along the others, around (1, 1, 1, 1)."""
    directions = torch.linalg.qr(torch.randn(4, 4, generator=chance()))[0]
    spread = torch.tensor([2.0, 0.1, 3.0, 0.1])
    codes = 1 + (torch.randn(4000, 4, generator=chance(1)) * spread) @ directions
    network = Both(weight(size=0.01))
    sheet = latent_space.manifold(generator(network), 3, 3, chance(), codes=codes)
    found = network.encode(torch.cat(list(sheet.cells))).view(3, 3, 4)
    q = NormalDist().inv_cdf(5 / 6)
    torch.testing.assert_close(found[1, 1], torch.ones(4), atol=0.1, rtol=0)
    across, down = found[1, 2] - found[1, 1], found[2, 1] - found[1, 1]
    assert across.norm().item() == pytest.approx(3 * q, rel=0.05)
    assert down.norm().item() == pytest.approx(2 * q, rel=0.05)
    assert abs(across @ directions[2]).item() == pytest.approx(3 * q, rel=0.05)
    assert "the first two principal components" in sheet.caption


def test_the_manifold_of_two_chosen_numbers():
    network = Both(weight())
    sheet = latent_space.manifold(generator(network), 3, 3, chance(), axes=(4, 2))
    found = network.encode(torch.cat(list(sheet.cells))).view(3, 3, 4)
    q = NormalDist().inv_cdf(5 / 6)
    torch.testing.assert_close(found[0, 2], torch.tensor([0, -q, 0, q]), atol=1e-4, rtol=0)
    for axes in ((1, 5), (2, 2), (0, 1)):
        with pytest.raises(OptionError, match="expected two different dimensions from 1 to 4"):
            latent_space.manifold(generator(network), 3, 3, chance(), axes=axes)


def test_the_manifold_of_a_generator_is_where_pictures_change():
    gains = torch.tensor([0.001, 0.03, 0.0, 0.02])
    network = Linear(torch.cat([torch.diag(gains), torch.zeros(2, 4)]))
    sheet = latent_space.manifold(generator(network), 3, 3, chance(3))
    assert "of latent dimensions 2, across, and 4, down" in sheet.caption
    drawn = torch.randn(1, 4, generator=chance(3))[0]
    torch.testing.assert_close(sheet.cells[1][1].flatten()[0], 0.5 + 0.001 * drawn[0])  # as drawn
    torch.testing.assert_close(sheet.cells[1][1].flatten()[1], torch.tensor(0.5))


def test_planes_and_strips_are_of_the_class_that_is_asked_for():
    network = Linear(weight(2), classes=3)
    sheet = latent_space.manifold(generator(network), 1, 1, chance(), label=2)
    torch.testing.assert_close(sheet.cells[0], pictures_of(network, torch.zeros(1, 2), torch.tensor([2])))
    strip = latent_space.traversal(generator(network, classes=["cat", "dog", "owl"]), torch.zeros(2), 2, 3, label=2)
    assert sheet.caption.endswith(", of class 2") and strip.caption.endswith(", of class owl")
    torch.testing.assert_close(strip.cells[0][1:2], pictures_of(network, torch.zeros(1, 2), torch.tensor([2])))


def test_activity_by_hand():
    """Seven positions from -3 to 3 have the variance 28 / 6; one of six pixels moves."""
    gains = torch.tensor([0.01, 0.03, 0.0])
    network = Linear(torch.cat([torch.diag(gains), torch.zeros(3, 3)]))
    found = latent_space.activity(generator(network), torch.zeros(3))
    assert found.tolist() == pytest.approx((gains * math.sqrt(28 / 6 / 6)).tolist(), rel=1e-3, abs=1e-9)


def test_a_strip_for_each_number_the_most_active_first():
    gains = torch.tensor([0.01, 0.03, 0.0, 0.02])
    network = Linear(torch.cat([torch.diag(gains), torch.zeros(2, 4)]))
    base = torch.tensor([0.5, -0.5, 1.0, 2.0])
    sheet = latent_space.traversal(generator(network), base, 3, 7)
    assert sheet.rows == ["dimension 2", "dimension 4", "dimension 1"]
    assert sheet.columns == ["-3", "-2", "-1", "0", "+1", "+2", "+3"]
    for row, number in zip(sheet.cells, (1, 3, 0), strict=True):
        for picture, place in zip(row, range(-3, 4), strict=True):
            z = base.clone()
            z[number] = place
            torch.testing.assert_close(picture[None], pictures_of(network, z[None]))
    wide = generator(network, (torch.tensor([0.0, 10, 0, 0]), 2 * torch.eye(4)))
    moved = base.clone()
    moved[1] = 10 + 3 * 2  # three standard deviations above the mean
    torch.testing.assert_close(
        latent_space.traversal(wide, base, 1, 7).cells[0][-1:], pictures_of(network, moved[None])
    )


def test_sums_of_classes():
    network = Both(weight())
    means = torch.randn(3, 4, generator=chance(1))
    codes = torch.randn(2, 4, generator=chance(2))
    shown = pictures_of(network, codes)
    sheet = latent_space.arithmetic(generator(network), means, (3, 5, 8), shown, 3, torch.full((1, 2, 3), 0.7))
    torch.testing.assert_close(sheet.cells[0][-1:], pictures_of(network, means[:1] - means[1:2] + means[2:]))
    for row, code in zip(sheet.cells[1:], codes, strict=True):
        torch.testing.assert_close(row[0], row[1])
        torch.testing.assert_close(row[3:4], pictures_of(network, (code - means[1] + means[2])[None]))
        torch.testing.assert_close(row[2:3], pictures_of(network, (code + (means[2] - means[1]) / 2)[None]))
    assert sheet.cells[0][0].unique().tolist() == pytest.approx([0.7])
    assert sheet.caption.startswith("3 - 5 + 8: the mean code of 8 minus that of 5, added to")
    same = latent_space.arithmetic(generator(network), means, (4, 4, 9), shown, 3, torch.full((1, 2, 3), 0.7))
    assert same.caption.startswith("4 turned into 9: the mean code of 9 minus that of 4, added")


def test_a_picture_in_every_class():
    network = Both(weight(), classes=4)
    codes, labels = torch.randn(2, 4, generator=chance(2)), torch.tensor([3, 1])
    sheet = latent_space.analogies(generator(network), pictures_of(network, codes, labels), labels)
    for row, code, label in zip(sheet.cells, codes, labels, strict=True):
        torch.testing.assert_close(row[0], row[1 + label])
        torch.testing.assert_close(row[1:], pictures_of(network, code.repeat(4, 1), torch.arange(4)))


def test_bars_by_hand():
    """On 5 rows, of which the third is the middle: 2 reaches the top, -1 half way down, 0 is a line."""
    dark = latent_space.bars(torch.tensor([[2.0, -1.0, 0.0]]), (5, 6))[0, 0] < 0.5
    assert dark[:, ::2].T.int().tolist() == [[1, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 0, 0]]
    assert torch.equal(dark[:, ::2], dark[:, 1::2])
    assert latent_space.bars(torch.zeros(2, 100), (4, 7), 3).shape == (2, 3, 4, 7)


def test_reconstructions_of_what_loses_nothing():
    network = Both(weight(6))
    shown = pictures_of(network, torch.randn(4, 6, generator=chance()))
    sheet = latent_space.reconstructions(generator(network), shown)
    assert [row.shape[-2:] for row in sheet.cells] == [(2, 3), (42, 63), (2, 3)]  # 64 // 3 = 21 times
    torch.testing.assert_close(sheet.cells[2], shown)
    assert sheet.told["mse"] < 1e-10 and list(sheet.rows) == ["picture", "code, 6 values", "reconstruction"]
    other = latent_space.reconstructions(generator(network), shown, given=shown + 0.1)
    assert other.told["given_mse"] == pytest.approx(0.01, rel=1e-4)
    torch.testing.assert_close(other.cells[-1], shown + 0.1)
    torch.testing.assert_close(other.cells[1], shown + 0.1)
    assert list(other.rows) == ["picture", "noisy", "code, 6 values", "reconstruction"]


def test_copies_are_seen():
    training = torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8, generator=chance())
    samples = training[[7, 30, 3]].float() / 255
    samples[2] = 0.5
    sheet = latent_space.nearest_neighbors(samples, training, 2)
    assert torch.equal(sheet.cells[1][:2], samples[:2]) and len(sheet.cells) == 3
    assert sheet.columns[:2] == ["0.000", "0.000"] and sheet.told["copies"] == 2
    assert sheet.told["nearest"] == 0
    gray = (128 / 255 - training.double() / 255).square().mean((1, 2, 3)).sqrt()
    assert float(sheet.columns[2]) == pytest.approx(float(gray.min()), abs=5e-4)
    torch.testing.assert_close(sheet.cells[2][2], training[gray.argsort()[1]].float() / 255)
    assert latent_space.nearest_neighbors(samples, training, 1).told["copies"] == 2  # one is shown, two are measured
    pair = torch.tensor([10, 11, 100, 101], dtype=torch.uint8).view(4, 1, 1, 1)
    assert (
        latent_space.nearest_neighbors(torch.full((1, 1, 1, 1), 9 / 255), pair, 3).told["copies"] == 0
    )  # as near to the second


class Spread(Both):
    """As a VAE: its encoder also tells logarithms of variances, the same for all pictures."""

    def __init__(self, weight, logvar, classes=0):
        super().__init__(weight, classes)
        self.logvar = torch.tensor(logvar)

    def encode(self, pictures, labels=None):
        mu = super().encode(pictures, labels)
        return mu, self.logvar.expand_as(mu)


def test_codes_lie_in_the_plane_where_they_vary_most():
    """Numbers with variances of 9, 4 and 1, turned, and around 7: the plane has 13 of 14 parts, and 7 is its 0."""
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=chance(5), dtype=torch.float64))
    raw = torch.randn(400, 3, generator=chance(), dtype=torch.float64)
    raw = (raw - raw.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(raw.T.cov(correction=0))).T
    raw = raw * torch.tensor([1.0, 3.0, 2.0])
    network = Both(torch.linalg.qr(weight(3))[0])
    pictures = pictures_of(network, (raw @ turn + 7).float())
    found = latent_space.embeddings(generator(network), pictures)
    assert found.told == {"variance": pytest.approx(13 / 14, rel=1e-4)} and found.kl is None
    assert found.axes == (
        "first principal component, 64% of the variance",
        "second principal component, 29% of the variance",
    )
    wanted = raw[:, [1, 2]]
    torch.testing.assert_close(found.positions.abs(), wanted.abs(), atol=1e-3, rtol=0)
    for across in range(2):  # of a direction and its opposite, that whose largest part is above 0
        row = turn[across + 1]
        sign = row[row.abs().argmax()].sign()
        torch.testing.assert_close(found.positions[:, across], sign * wanted[:, across], atol=1e-3, rtol=0)
    assert found.caption == "400 test pictures, by the first two principal components of their 3-dimensional codes"


def test_codes_of_a_vae_lie_around_the_middle_of_the_gaussian():
    """KL by hand: (m^2 + v - 1 - log v) / 2; of codes that are 1 and 3 by turns, and a variance of 1: (1 + 9) / 4."""
    network = Spread(torch.linalg.qr(weight(4))[0], [0.0, math.log(0.25), 0.0, 0.0])
    codes = torch.tensor([[1.0, 2.0, 0.0, 0.05], [3.0, 2.0, 0.0, -0.05]]).repeat(3, 1)
    found = latent_space.embeddings(generator(network), pictures_of(network, codes))
    wanted = [10 / 4, (4 + 0.25 - 1 + math.log(4)) / 2, 0.0, 0.05**2 / 2]
    torch.testing.assert_close(found.kl, torch.tensor(wanted, dtype=torch.float64), atol=1e-5, rtol=1e-5)
    assert found.used.tolist() == [True, False, False, False]
    assert found.told["kl"] == pytest.approx(sum(wanted), rel=1e-5)
    assert (found.told["active"], found.told["latent"]) == (1, 4)
    assert found.positions[:, 0].abs().tolist() == pytest.approx([1, 3] * 3, abs=0.02)  # not around their mean, 2
    assert found.told["variance"] == pytest.approx(1, rel=1e-4)


def test_codes_of_one_and_two_numbers_are_those():
    for size in (1, 2):
        network = Both(torch.linalg.qr(weight(size))[0], classes=3)
        codes, labels = torch.randn(9, size, generator=chance()), torch.arange(9) % 3
        found = latent_space.embeddings(generator(network), pictures_of(network, codes, labels), labels)
        torch.testing.assert_close(found.positions.float(), codes, atol=1e-5, rtol=0)
        assert found.axes == ("dimension 1", "dimension 2")[:size] and found.told == {}
    network = Both(weight(5))
    one = latent_space.embeddings(generator(network), pictures_of(network, torch.ones(1, 5)))
    assert one.positions.tolist() == [[0, 0]] and one.told["variance"] == 0  # of one picture there is nothing to see


# --- a class-conditional VAE ---------------------------------------------------------------------


def bars(count, seed, side=12):
    """Bright bars on black, of two classes: upright and level."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    labels = random.integers(0, 2, count)
    place = random.uniform(-3, 3, (count, 1, 1))
    away = np.abs(np.where(labels[:, None, None] == 0, x, y) - place)
    return (255 * np.clip(2 - away, 0, 1)).astype(np.uint8), labels


@pytest.fixture(scope="module")
def sets():
    return Sets(small_set(*bars(160, 0)), small_set(*bars(40, 1)))


@pytest.fixture(scope="module")
def runs(sets, tmp_path_factory):
    """A VAE, a class-conditional one, and a denoising autoencoder."""
    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    vae = VAEOptions(**QUICK, latent=3, epochs=30, learning_rate=1e-2, importance_samples=4, progress_epochs=(1, 2, 5))
    list(iter_vae(sets, vae, run=folder / "vae"))
    list(iter_vae(sets, vae.changed(conditional=True), run=folder / "classes"))
    auto = AutoencoderOptions(**QUICK, latent=3, epochs=12, learning_rate=1e-2, noise=0.2)
    list(iter_autoencoder(sets, auto, run=folder / "auto"))
    np.savez(folder / "set.npz", **dict(zip(("images", "labels"), bars(160, 0), strict=True)),
             **dict(zip(("test_images", "test_labels"), bars(40, 1), strict=True)))  # fmt: skip
    return folder


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_a_class_is_told_to_both_halves(kind):
    """Beside codes, and what is left of the picture, stand zeros and a 5: five times a column of the next layer."""
    network = VAE((1, 16, 16), 3, kind, (5,), 4, classes=4).eval()
    codes, labels = torch.randn(2, 3), torch.tensor([3, 0])
    first = network.decoder[0]
    wanted = codes @ first.weight[:, :3].T + 5 * first.weight[:, 3 + labels].T + first.bias
    torch.testing.assert_close(first(network._with_labels(codes, labels)), wanted)
    pictures = torch.rand(2, 1, 16, 16)
    seen = [network.encode(pictures, torch.tensor(pair))[0] for pair in ((3, 0), (3, 1))]
    assert torch.equal(seen[0][0], seen[1][0]) and not torch.equal(seen[0][1], seen[1][1])
    again = VAE(**json.loads(json.dumps(network.settings)))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(pictures, labels), network(pictures, labels))
    with pytest.raises(
        OptionError, match="this network is conditional on 4 classes; expected a label for each picture"
    ):
        network(pictures)


def test_the_likelihood_given_a_class():
    """As of the network whose first layers have five times that class's column in their biases."""
    network, plain = VAE((1, 2, 2), 2, hidden=(3,), classes=2), VAE((1, 2, 2), 2, hidden=(3,))
    plain.load_state_dict({key: value.clone() for key, value in plain.state_dict().items()})
    for half, columns in (("encoder", 4), ("decoder", 2)):
        ours, theirs = getattr(network, half), getattr(plain, half)
        for index, layer in enumerate(ours):
            if isinstance(layer, nn.Linear):
                fits = layer.weight.shape == theirs[index].weight.shape
                theirs[index].weight.data = layer.weight.data if fits else layer.weight.data[:, :columns]
                theirs[index].bias.data = layer.bias.data + (0 if fits else 5 * layer.weight.data[:, columns + 1])
    pictures = torch.rand(5, 1, 2, 2).round()
    with_class = importance_bound(network, pictures, 7, chance(), torch.ones(5, dtype=torch.long))
    torch.testing.assert_close(with_class, importance_bound(plain, pictures, 7, chance()))


def test_a_class_can_be_asked_for(runs, sets):
    model = load_generator(runs / "classes")
    assert model.classes == 2
    codes = model.draw(30, chance())
    for label in (0, 1):
        pictures = model.decode(codes, torch.full((30,), label))[:, 0]
        level = pictures.std(1).mean(1) > pictures.std(2).mean(1)  # do columns or rows vary
        assert (level == bool(label)).double().mean() > 0.9
    results = [load_generator(runs / name).card["results"] for name in ("vae", "classes")]
    assert results[1]["kl"] < results[0]["kl"]  # the codes need not tell the class
    for labels, sentence in (
        (None, "is class-conditional with 2 classes, and labels are missing"),
        (torch.full((30,), 2), "there is no class 2"),
    ):
        with pytest.raises(OptionError, match=sentence):
            model.decode(codes, labels)
    with pytest.raises(OptionError, match="is not class-conditional"):
        load_generator(runs / "vae").decode(codes, torch.zeros(30, dtype=torch.long))


def test_a_set_without_labels_makes_no_conditional_vae(tmp_path):
    plain, labels = bars(20, 0)
    with pytest.raises(OptionError, match="has no labels; a class-conditional VAE needs them"):
        iter_vae(Sets(small_set(plain), small_set(plain)), VAEOptions(**QUICK, conditional=True), run=tmp_path / "a")
    with pytest.raises(OptionError, match="the test set has other classes, or no labels"):
        iter_vae(
            Sets(small_set(plain, labels), small_set(plain, labels + 1)),
            VAEOptions(**QUICK, conditional=True),
            run=tmp_path / "a",
        )
    assert not (tmp_path / "a").exists()


# --- files ---------------------------------------------------------------------------------------


def test_every_kind_is_written(runs, tmp_path):
    for name in ("vae", "classes", "auto"):
        options = SampleOptions(**CPU, kind="all", pictures=str(runs / "set.npz"))
        events = list(iter_sample(runs / name, options, output=tmp_path / name))
        kinds = [event.path.stem for event in events if isinstance(event, Saved)]
        assert kinds == ["grid", "interpolation", "manifold", "traversal", "arithmetic", "reconstructions", "nearest",
                         "embeddings", "progress"]  # fmt: skip
        assert len([event for event in events if isinstance(event, Note)]) == 9
        assert isinstance(events[-1], Done) and events[-1].steps == 9
        record = read_metadata(tmp_path / name / "grid.png")
        assert record["operation"] == "sample" and record["options"]["seed"] == 0
    for kind in ("manifold", "traversal"):
        which = SampleOptions(**CPU, kind=kind, classes=[1], pictures=str(runs / "set.npz"), rows=2, columns=2)
        note, *_ = iter_sample(runs / "classes", which, output=tmp_path / f"{kind}.png")
        assert note.text.endswith(", of class 1")
    shown = load_picture(tmp_path / "vae" / "grid.png")
    assert shown.size == (8 * 64 + 4, 10 * 64 + 4)  # pictures of 12 px five times as large, and 4 px between
    wanted = load_generator(runs / "vae").decode(torch.randn(80, 3, generator=chance()))
    cut = torch.from_numpy(shown.pixels[4 + 64 : 64 + 64 : 5, 4 + 64 : 64 + 64 : 5, 0])
    torch.testing.assert_close(cut, wanted[11, 0], atol=0.003, rtol=0)
    with Image.open(tmp_path / "classes" / "progress.webp") as film:
        assert film.n_frames == 4  # after 1, 2, 5 and 30 epochs


@pytest.mark.parametrize(
    ("kind", "axes", "message"),
    [
        ("manifold", (3, 70), "axes are 3,70; expected two different dimensions from 1 to 3"),
        ("all", (3, 70), "axes are 3,70; expected two different dimensions from 1 to 3"),
        ("manifold", (2, 2), "axes are 2,2; expected two different dimensions"),
        ("traversal", (1, 2), "axes are of the kind manifold, and kind is traversal; leave out one of them"),
        ("grid", (3, 70), "axes are of the kind manifold, and kind is grid"),
    ],
)
def test_axes_that_are_not_there_are_refused_at_once(runs, tmp_path, kind, axes, message):
    with pytest.raises(OptionError, match=message):
        iter_sample(runs / "vae", SampleOptions(**CPU, kind=kind, axes=axes), output=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_single_samples_are_written_into_a_folder(runs, tmp_path):
    events = list(iter_sample(runs / "classes", SampleOptions(**CPU, count=12, seed=3), output=tmp_path / "many"))
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == [f"{index:02}.png" for index in range(12)]
    wanted = load_generator(runs / "classes", device="cpu").sample(12, seed=3)
    for index in (0, 7):
        shown = torch.from_numpy(load_picture(tmp_path / "many" / f"{index:02}.png").pixels[..., 0])
        torch.testing.assert_close(shown, wanted[index, 0], atol=0.003, rtol=0)
    assert [event.path for event in events if isinstance(event, Saved)] == [tmp_path / "many"] and events[
        -1
    ].steps == 12
    only = list(iter_sample(runs / "classes", SampleOptions(**CPU, count=2, classes=[1]), output=tmp_path / "ones"))
    assert only[0].text == "2 random samples, latent size 3"
    with pytest.raises(FileExists, match="is not empty"):
        iter_sample(runs / "vae", SampleOptions(**CPU, count=2), output=tmp_path / "many")
    with pytest.raises(OptionError, match="expected a folder for them as output"):
        iter_sample(runs / "vae", SampleOptions(**CPU, count=2), write=False)


@pytest.mark.parametrize("kind", ["grid", "progress", "all"])
def test_sheets_can_be_made_without_files(runs, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    options = SampleOptions(**CPU, kind=kind, pictures=str(runs / "set.npz"), rows=2, columns=2)
    events = list(iter_sample(runs / "vae", options, write=False))
    assert isinstance(events[-1], Done) and events[-1].image.shape[1] == 3 and not list(tmp_path.iterdir())
    assert not [event for event in events if isinstance(event, Saved)]


def test_codes_are_of_the_test_set_and_colored_by_its_classes(runs, sets, tmp_path):
    """Of 40 pictures of two classes; the colors of both are seen, and of pictures without labels only the first."""
    options, found = SampleOptions(**CPU, kind="embeddings", pictures=str(runs / "set.npz")), {}
    colors = [(63, 144, 218), (255, 169, 14)]
    for name in ("vae", "classes", "auto"):
        found[name] = list(iter_sample(runs / name, options, output=tmp_path / f"{name}.png"))[0].text
    assert "40 test pictures, by the first two principal components of their 3-dim" in found["vae"]
    assert "ensional codes, colored by class" in found["vae"]
    assert "circles: 1, 2 and 3 standard deviations of the prior" in found["classes"] and "circles" not in found["auto"]
    told = read_metadata(tmp_path / "vae.png")["told"]
    results = load_generator(runs / "vae").card["results"]
    assert told["kl"] == pytest.approx(results["kl"], rel=1e-4) and told["active"] == results["active_units"]
    assert (
        f"KL {results['kl']:.2f} nats in total, {results['active_units']} of 3 latent dimensions are active"
        in found["vae"]
    )

    def seen(path):
        pixels = np.round(255 * load_picture(path).pixels)
        return [bool((np.abs(pixels - color).max(2) < 2).any()) for color in colors]

    assert seen(tmp_path / "vae.png") == [True, True]  # at least beside the names
    np.savez(tmp_path / "bare.npz", images=sets.train.images[:, 0].numpy())
    bare = options.changed(pictures=str(tmp_path / "bare.npz"))
    notes = list(iter_sample(runs / "auto", bare, output=tmp_path / "bare.png"))
    assert "colored" not in notes[0].text and seen(tmp_path / "bare.png")[1] is False


def test_the_rarest_classes_are_others():
    """Of 13 classes, of which class k has k + 1 pictures, the last ten are named."""
    labels = torch.cat([torch.full((one + 1,), one) for one in range(13)])
    kinds = _by_class(generator(Linear(weight())), labels, len(labels))
    assert [name for name, _ in kinds] == [*map(str, range(3, 13)), "3 others"]
    assert [len(mine) for _, mine in kinds] == [*range(4, 14), 1 + 2 + 3]
    assert sorted(torch.cat([mine for _, mine in kinds]).tolist()) == list(range(len(labels)))
    assert [name for name, _ in _by_class(generator(Linear(weight())), None, 5)] == [""]


def test_the_same_seed_makes_the_same_bytes(runs, tmp_path):
    for seed in (0, 0, 1):
        list(iter_sample(runs / "vae", SampleOptions(**CPU, seed=seed), output=tmp_path / "a.png", force=True))
        (tmp_path / "a.png").rename(tmp_path / f"{len(list(tmp_path.iterdir()))}.png")
    first, again, other = (load_picture(tmp_path / f"{name}.png").pixels for name in (1, 2, 3))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_film_is_the_previews_of_the_training(runs, tmp_path):
    frames = progress_frames(load_generator(runs / "vae"))
    assert [name for _, name, _ in frames] == ["1 epoch", "2 epochs", "5 epochs", "30 epochs"]
    assert [step for step, _, _ in frames] == [10, 20, 50, 300]
    _, _, last = frames[-1]
    noise = torch.randn(30, 3, generator=chance())  # as the method draws for previews
    wanted = load_generator(runs / "vae").decode(noise)[20:, 0].repeat_interleave(5, 1).repeat_interleave(5, 2)
    for cell, picture in zip(last[-1], wanted, strict=True):
        assert np.abs(cell[..., 0] - picture.numpy()).mean() < 0.02  # JPEG
    list(iter_sample(runs / "vae", SampleOptions(**CPU, kind="progress", columns=3), output=tmp_path / "strip.png"))
    high, wide = load_picture(tmp_path / "strip.png").size
    assert high == 4 * 64 + 4 and 3 * 64 < wide < 3 * 64 + 120
    record = read_metadata(tmp_path / "strip.png")
    assert record["kind"] == "progress" and record["options"]["columns"] == 3
    assert record["text"] == "4 previews of the training, 1 epoch to 30 epochs"
    with pytest.raises(OptionError, match="holds no previews of a training"):
        progress_frames(generator(Linear(weight())))
    for name in ("film.gif", "film.webp"):
        save_animation(tmp_path / name, [np.zeros((4, 5, 3)), np.ones((4, 5, 3))], seconds=0.5)
        with Image.open(tmp_path / name) as film:
            assert film.n_frames == 2 and film.size == (5, 4)
    with pytest.raises(ImageError, match="names no format of animations; end it in .webp or .gif"):
        save_animation(tmp_path / "film.png", [np.zeros((4, 5, 3))], seconds=0.5)
    with pytest.raises(ImageError, match="expected one or more, all of one size"):
        save_animation(tmp_path / "b.webp", [np.zeros((4, 5, 3)), np.zeros((5, 5, 3))], seconds=0.5)
    with pytest.raises(FileExists):
        save_animation(tmp_path / "film.gif", [np.zeros((4, 5, 3))], seconds=0.5)


def test_what_only_makes_pictures_shows_what_it_can(sets, tmp_path):
    toy = generator(Linear(weight(5), classes=2), pictures="nowhere.npz", options={"crop": 0})
    events = list(iter_sample(toy, SampleOptions(**CPU, kind="all"), output=tmp_path / "all"))
    assert {path.name for path in (tmp_path / "all").iterdir()} == {
        "grid.png", "interpolation.png", "manifold.png", "traversal.png"
    }  # fmt: skip
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len([text for text in notes if text.startswith("no ")]) == 5
    for kind, sentence in (
        ("reconstructions", "names the training set nowhere.npz, and is not in the folder of its training"),
        ("arithmetic", "has no encoder"),
        ("progress", "no previews"),
    ):
        with pytest.raises((OptionError, ImageError), match=sentence):
            list(iter_sample(toy, SampleOptions(**CPU, kind=kind), output=tmp_path / "a.png"))
    with pytest.raises(OptionError, match="has no encoder; use --ends drawn"):
        list(iter_sample(toy, SampleOptions(**CPU, kind="traversal", ends="test"), output=tmp_path / "a.png"))
    for known in (generator(Linear(weight(5), classes=2)), generator(Linear(weight(5)), pictures=str(tmp_path))):
        with pytest.raises(OptionError, match="has no encoder; this kind needs an autoencoder or a VAE"):
            list(iter_sample(known, SampleOptions(**CPU, kind="arithmetic"), output=tmp_path / "a.png"))
    assert not (tmp_path / "a.png").exists()


# --- the command line ----------------------------------------------------------------------------


def impasto(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "impasto", *map(str, words)], capture_output=True, text=True, cwd=folder
    )


def test_the_command_line_shows_a_model(runs, tmp_path):
    done = impasto(tmp_path, "sample", runs / "vae", "--rows", "2", "--columns", "3", "--device", "cpu")
    assert (done.returncode, done.stdout) == (0, "vae_grid.png\n"), done.stderr
    assert "6 random samples, latent size 3" in done.stderr and "1 sheet in " in done.stderr
    assert load_picture(tmp_path / "vae_grid.png").size == (2 * 64 + 4, 3 * 64 + 4)
    again = impasto(tmp_path, "sample", runs / "vae", "--device", "cpu")
    assert again.returncode == 2 and "vae_grid.png exists already; pass --force" in again.stderr
    told = impasto(tmp_path, "sample", runs / "vae" / "model.safetensors", "--force", "--json", "--device", "cpu")
    assert [json.loads(line)["event"] for line in told.stdout.splitlines()] == ["note", "saved", "done"]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A set in folders, one of whose names is the number of the other, and two networks that learned it."""
    folder = tmp_path_factory.mktemp("named")
    for index, (picture, label) in enumerate(zip(*bars(60, 2), strict=True)):
        place = folder / "bars" / ("upright", "0")[label]
        place.mkdir(parents=True, exist_ok=True)
        save_picture(place / f"{index}.png", load_picture(np.repeat(picture[..., None] / np.float32(255), 3, 2)))
    options = VAEOptions(**QUICK, crop=12, latent=3, steps=5, importance_samples=0)
    list(iter_vae(folder / "bars", options.changed(conditional=True), run=folder / "classes"))
    list(iter_vae(folder / "bars", options, run=folder / "plain"))
    return folder


def test_classes_have_the_names_of_their_folders(named, tmp_path):
    """They are sorted, so the folder 0 is the class 0 and upright is the class 1; and a name goes before a number."""
    model = load_generator(named / "classes")
    assert model.names == load_generator(named / "plain").names == ("0", "upright")
    assert [model.class_index(text) for text in ("upright", "0", "1")] == [1, 0, 1]
    assert [model.class_name(label) for label in (0, 1, 2)] == ["0", "upright", "2"]
    turned = replace(model, card={**model.card, "classes": ["1", "0", "\x1b[31m\udcff"]})
    assert turned.class_index("0") == 1 and turned.names[2] == " [31m "
    shown = list(iter_sample(model, SampleOptions(classes=["upright"], columns=3), output=tmp_path / "a.png"))
    again = list(iter_sample(model, SampleOptions(classes=[1], columns=3), output=tmp_path / "b.png"))
    assert torch.equal(shown[-1].image, again[-1].image)
    way = SampleOptions(kind="arithmetic", classes=["upright", "0"], rows=2, device="cpu")
    told = [
        event.text for event in iter_sample(named / "plain", way, output=tmp_path / "c.png") if hasattr(event, "text")
    ]
    assert told[0].startswith("upright turned into 0: the mean code of 0 minus that of upright, added")
    for text in ("level", "2", "-1"):
        with pytest.raises(OptionError, match=f"there is no class {text}; the classes of .* are 0, upright."):
            model.class_index(text)


def test_a_card_of_somebody_else_names_no_set_of_ours(named, tmp_path):
    """A file counts as ours in the folder of its training, beside its options; its set may be named otherwise."""
    source, wish = load_generator(named / "plain").card["pictures"], {"kind": "reconstructions", "device": "cpu"}
    shutil.copy(named / "plain" / "model.safetensors", tmp_path / "a.safetensors")
    stranger = "a.safetensors names the training set .*, and is not in the folder of its training, so the set is not"
    with pytest.raises(OptionError, match=stranger):
        list(iter_sample(tmp_path / "a.safetensors", SampleOptions(**wish), output=tmp_path / "a.png"))
    with pytest.raises(OptionError, match=stranger):
        iter_evaluate(tmp_path / "a.safetensors", options=EvaluateOptions(device="cpu"))
    (tmp_path / "options.json").write_text('{"operation": "train", "data": "another"}')
    with pytest.raises(OptionError, match=stranger):
        load_generator(tmp_path / "a.safetensors").sets()
    (tmp_path / "options.json").write_text("[]")
    with pytest.raises(OptionError, match=stranger):
        load_generator(tmp_path / "a.safetensors").sets()
    list(iter_sample(tmp_path / "a.safetensors", SampleOptions(**wish, pictures=source), output=tmp_path / "a.png"))
    list(iter_sample(named / "plain", SampleOptions(**wish), output=tmp_path / "b.png"))
    assert (tmp_path / "a.png").exists() and (tmp_path / "b.png").exists()


def test_rows_and_columns_are_called_by_their_classes():
    network = generator(Both(weight(), classes=3), classes=["cat", "dog", "owl"])
    random = torch.Generator().manual_seed(0)
    assert latent_space.grid(network, 1, 2, random).rows == ["cat", "dog", "owl"]
    pictures, labels = torch.rand(2, 1, 2, 3), torch.tensor([2, 0])
    assert latent_space.analogies(network, pictures, labels, (1, 2)).columns == ["picture", "dog", "owl"]
    ends = torch.zeros(2, network.latent_size), torch.ones(2, network.latent_size)
    assert latent_space.interpolation(network, *ends, 3, labels=labels).rows == ["owl", "cat"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("nothing", "'nothing' is not the name of a network or of a style."),
        ("nothing.safetensors", "nothing.safetensors does not exist; expected the file or folder of a trained network"),
        (
            "starry_night",
            "starry_night holds the network 'pyramid'; expected one of `impasto train autoencoder`, `vae`, `gan`",
        ),
        ("{runs}/vae --kind progress -o a.mp4", "a.mp4 names no format of animations; end it in .webp or .gif, or in"),
        ("{runs}/vae --kind progress -o a.mp4", "for a strip of frames."),
        ("{runs}/vae -o {runs}/set.npz/x8.png", "set.npz/x8.png cannot be written: set.npz is a file; expected a"),
        ("{runs}/vae --kind sphere", "kind is 'sphere'; expected"),
        ("{runs}/vae --classes 1", "is not class-conditional; leave out --classes"),
        (
            "{runs}/classes --classes 2",
            "there is no class 2; the classes of {runs}/classes/model.safetensors are 0 to 1.",
        ),
        ("{runs}/classes --classes cat", "there is no class cat"),
        ("{runs}/vae --kind manifold --axes 1", "axes are 1; expected two dimensions, as 1,2."),
        ("{runs}/vae --kind manifold --axes 1,4", "expected two different dimensions from 1 to 3"),
        ("{runs}/vae --kind arithmetic", "does not say its training set; name it by --pictures"),
        ("{runs}/vae --kind arithmetic --pictures {runs}/bare.npz", "the pictures have no labels; expected"),
        ("{runs}/vae --kind arithmetic --pictures {runs}/set.npz --classes 0,5", "no picture is of class 5"),
        ("{runs}/vae --kind nearest --pictures {runs}/small.npz", "has pictures of 1×6×6; expected 1×12×12"),
        ("{runs}/vae -o out.bmp", "names no format we can write"),
        ("{runs}/vae --kind progress -o {runs}/set.npz/progress.webp", "set.npz is a file; expected a folder"),
        ("{runs}/vae --kind all -o {runs}", "is not empty; pass --force"),
    ],
)
def test_bad_words_are_one_sentence(runs, tmp_path, monkeypatch, capfd, words, sentence):
    monkeypatch.chdir(tmp_path)
    np.savez(runs / "bare.npz", images=bars(20, 0)[0])
    np.savez(runs / "small.npz", images=bars(20, 0)[0][:, :6, :6])
    code = main(["sample", *words.format(runs=runs).split(), "--device", "cpu"])
    said = capfd.readouterr().err
    assert code in (1, 2) and sentence.format(runs=runs) in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_models_are_known_by_name(runs, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main(["models", "--add", str(runs / "auto"), "--name", "cleaner"]) == 0
    assert catalog.listed()["cleaner"].kind == "autoencoder"
    assert main(["sample", "cleaner", "--device", "cpu", "--rows", "1", "--columns", "2"]) == 0
    assert (tmp_path / "cleaner_grid.png").exists()
    ours, kept = load_generator(runs / "auto"), load_generator("cleaner")
    codes = ours.draw(3, chance())
    torch.testing.assert_close(kept.decode(codes), ours.decode(codes), atol=0.01, rtol=0)  # 16 bits
    assert (
        main(["apply", "cleaner", str(Path(__file__).parents[3] / "examples/cat.jpg"), "--device", "cpu"]) == 0
    )  # it reconstructs
    assert load_picture("cat_cleaner.png").size == (12, 12)
    assert isinstance(loaded("cleaner"), Autoencoder)
    with pytest.raises(WeightsError, match=r"holds the network 'pyramid'; expected one of .* See `impasto apply`\."):
        load_generator("painter")


def test_a_training_that_has_not_ended_is_sampled(sets, tmp_path, capfd):
    events = iter_vae(sets, VAEOptions(**QUICK, steps=20), run=tmp_path / "run")
    assert [next(event for event in events if isinstance(event, Step)).step for _ in range(2)] == [1, 2]
    events.close()
    told = f"{tmp_path / 'run'} is a training that has not ended; its weights are those of step 2"
    assert load_generator(tmp_path / "run").notes == (told,)
    assert main(["sample", str(tmp_path / "run"), "-o", str(tmp_path / "a.png"), "--device", "cpu"]) == 0
    done = capfd.readouterr()
    assert done.out == f"{tmp_path / 'a.png'}\n" and f"{told}\n" in done.err


def test_help_shows_every_setting_without_torch(monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    code = "import sys; from impasto.cli.main import main; main(['sample', '--help-all']); exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, info in SampleOptions.model_fields.items():
        assert f"--{name}" in done.stdout and str(info.description)[:40] in done.stdout
