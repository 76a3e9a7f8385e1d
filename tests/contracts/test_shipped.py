"""The networks that ship with impasto: painter, styles and style predictor, tested where such networks fail."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from impasto.checkpoints import catalog
from impasto.checkpoints.load import load_style_predictor
from impasto.inference.style_prediction import predict_embedding
from impasto.io.convert import resize_picture
from impasto.io.decode import load_picture
from impasto.io.tensors import as_tensor
from impasto.metrics.grid import grid_energy
from impasto.ops.filters import gaussian_blur
from nets import loaded

COFFEE = "examples/coffee.jpg"
WEAK = {"mosaic": 0.03}  # amplitude of a pattern that counts as weak; tesserae are about 8 px wide, as the grid is


@pytest.fixture(scope="module", autouse=True)
def nothing_of_ones_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def painter():
    return loaded("painter")


def test_what_is_there(painter):
    found = catalog.listed()
    assert {"painter", "painter-predictor"} <= found.keys()
    assert len(painter.styles) - 1 >= 24 and {"starry_night", "great_wave"} <= set(painter.styles)
    assert found["painter"].path.stat().st_size <= 3_000_000
    assert found["painter-predictor"].path.stat().st_size <= 8_000_000  # and 3.0 MB of the encoder that it looks with
    assert set(found["painter"].styles) == set(painter.styles[1:])
    for entry in found.values():
        assert entry.card["license"] and entry.card["source"] and entry.card["options"]["seed"] is not None
    assert all(work for work in found["painter"].styles.values())


def test_every_style_is_another_painting(painter):
    image = as_tensor(resize_picture(load_picture(COFFEE), 160))
    painted = torch.cat([painter.paint(image, style=name) for name in painter.styles])
    apart = torch.cdist(painted.flatten(1), painted.flatten(1)) / painted[0].numel() ** 0.5  # root mean squares
    assert apart[~torch.eye(len(painted), dtype=torch.bool)].min() > 0.03
    assert (painted[0] - image[0]).abs().max() < 1e-4  # the identity


@pytest.mark.parametrize("color", [(0.45, 0.65, 0.9), (0.1, 0.1, 0.15)])
def test_a_flat_sky_gets_strokes_and_no_grid(painter, color):
    flat = torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 128, 160)
    painted = {name: painter.paint(flat, style=name) for name in painter.styles[1:]}
    assert sum(picture.std((2, 3)).mean() > 0.01 for picture in painted.values()) > 0.8 * len(painted)
    for name, picture in painted.items():
        found = grid_energy(picture)
        assert max(found[period] for period in (4, 8, 16)) < 0.2, (name, found)


def sky(height=256, width=320):
    """A sky: from dark blue to light, with the noise of a camera."""
    y = torch.linspace(0, 1, height).view(1, 1, -1, 1).expand(1, 1, height, width)
    colors = torch.cat([0.25 + 0.4 * y, 0.45 + 0.35 * y, 0.75 + 0.15 * y], 1)
    return colors + 0.01 * torch.randn(colors.shape, generator=torch.Generator().manual_seed(0))


def test_a_sky_has_no_blobs_and_no_frame(painter):
    """Blobs: spots far from their surroundings, among few. A frame: a border that is not as what lies beside it."""
    for name in painter.styles[1:]:
        painted = painter.paint(sky(), style=name)
        spots = gaussian_blur(painted, 2.0, 6, "reflect") - gaussian_blur(painted, 12.0, 30, "reflect")
        assert spots.abs().max() < 16 * spots.std(), name  # Mondrian's few lines come to 15
        for mirrored in (painted, painted.flip(3)):  # along left and right borders a sky goes on as it is
            border, *inner = mirrored[..., 16:-16, :300].split(12, 3)  # strips, which differ by their strokes
            means = torch.stack([strip.mean((2, 3)) for strip in inner])
            assert (border.mean((2, 3)) - means.mean(0)).abs().max() < (means - means.mean(0)).abs().max() + 0.05, name
            assert border.std(3).mean() < 1.3 * inner[0].std(3).mean() + 0.01, name


def test_there_is_no_checkerboard(painter):
    """What clings to the grid of pixels has the same phase everywhere, and stands out of the spectrum."""
    image = as_tensor(resize_picture(load_picture(COFFEE), 256))
    for name in painter.styles[1:]:
        painted = painter.paint(image, style=name).mean(1)[0].numpy()
        height, width = (side // 16 * 16 for side in painted.shape)
        power = np.abs(np.fft.fft2(painted[:height, :width])) ** 2
        for period in (2, 4, 8):
            for line, place in ((power[:, 0], height // period), (power[0], width // period)):
                around = np.mean([line[(place + step) % len(line)] for step in (-3, -2, 2, 3)])
                amplitude = 2 * line[place] ** 0.5 / power.size  # of the wave, of white
                assert line[place] < 8 * around or amplitude < WEAK.get(name, 0.012), (name, period)


def test_a_painting_that_it_never_saw(painter):
    image = as_tensor(resize_picture(load_picture(COFFEE), 160))
    look = as_tensor(load_picture("examples/rocket.jpg"))
    embedding = predict_embedding(painter.fingerprint, look)
    predictor = load_style_predictor(painter.fingerprint)
    assert predictor.embedding_size == len(embedding) == painter.network.learned_size
    painted = painter.with_style("rocket", embedding).paint(image, style="rocket")
    others = [painter.paint(image, style=name) for name in painter.styles]
    assert min(float((painted - other).square().mean().sqrt()) for other in others) > 0.02
    assert painted.std() > 0.05


def test_by_name_from_the_command_line(tmp_path):
    command = [sys.executable, "-m", "impasto", "apply", "starry_night", COFFEE, "--size", "200", "-o"]
    done = subprocess.run([*command, str(tmp_path / "out.png")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    painted = load_picture(tmp_path / "out.png")
    assert max(painted.size) == 200
    assert painted.pixels[..., 2].mean() > painted.pixels[..., 0].mean()  # it is blue, coffee is not
