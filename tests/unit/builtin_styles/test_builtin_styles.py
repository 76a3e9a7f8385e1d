"""The built-in styles: what each of them must do, at small sizes, and those of other packages."""

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from impasto import builtin_styles
from impasto.builtin_styles import brushes
from impasto.data.styles import open_style
from impasto.errors import OptionError, UnknownName

NAMES = builtin_styles.names()


@cache
def picture(name: str, height: int = 96, width: int = 120, seed: int = 0) -> np.ndarray:
    result = builtin_styles.paint(name, height, width, seed)
    result.flags.writeable = False
    return result


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def signature(image: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and covariance of the channels, and slopes across and down."""
    flat = image.reshape(-1, 3)
    gray = image.mean(axis=-1)
    slopes = [np.abs(np.diff(gray, axis=axis)).mean() * 4 for axis in (0, 1)]
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0), np.cov(flat.T)[np.triu_indices(3)] * 4, slopes])


def test_there_are_enough_styles_and_each_is_described() -> None:
    assert len(NAMES) >= 9
    assert sorted(builtin_styles.STYLES.names()) == NAMES
    for name, style in builtin_styles.STYLES.items():
        assert style.name == name
        assert name == name.lower() and "-" not in name
        assert style.description.endswith(".")
        assert "\n" not in style.description


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bytes_other_seed_other_picture(name: str) -> None:
    again = builtin_styles.paint(name, 96, 120, 0)
    assert again.tobytes() == picture(name).tobytes()
    other = picture(name, seed=1)
    assert np.abs(other - again).mean() > 0.03


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(97, 61), (16, 200)])
def test_any_size_and_aspect(name: str, size: tuple[int, int]) -> None:
    image = builtin_styles.paint(name, *size)
    assert image.shape == (*size, 3)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.std() > 0.05


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_is_one_picture_at_every_size(name: str) -> None:
    # painted at 480x600 and at 288x360: two paintings, not one averaged twice
    large = brushes.shrink(picture(name, 240, 300), 5)
    small = brushes.shrink(picture(name), 2)
    assert correlation(large, small) > 0.98
    assert correlation(brushes.shrink(picture(name, seed=1), 2), small) < 0.9


@pytest.mark.parametrize("name", NAMES)
def test_it_has_contrast_and_detail(name: str) -> None:
    image = picture(name)
    gray = image.mean(axis=-1)
    assert gray.std() > 0.12
    local = gray - brushes.blur(gray, 3.0)
    assert local.std() > 0.03


@pytest.mark.parametrize("name", NAMES)
def test_it_has_color(name: str) -> None:
    image = picture(name)
    chroma = image.max(axis=-1) - image.min(axis=-1)
    assert np.quantile(chroma, 0.998) > 0.3


def test_no_two_styles_are_alike() -> None:
    signatures = {name: signature(picture(name)) for name in NAMES}
    for i, a in enumerate(NAMES):
        for b in NAMES[i + 1 :]:
            assert np.linalg.norm(signatures[a] - signatures[b]) > 0.12, (a, b)


def test_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"'swril' is not the name of a built-in style\. Did you mean 'swirl'\?"):
        builtin_styles.paint("swril")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 3}, "height is 3; expected 16 or more."),
        ({"width": 15}, "width is 15; expected 16 or more."),
        ({"seed": -1}, "seed is -1; expected 0 or more."),
    ],
)
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        builtin_styles.paint("swirl", **options)
    assert str(caught.value) == message


def test_a_hyphen_is_the_same_name() -> None:
    for name in ("stained_glass", "ink_wash"):
        assert name in NAMES
        assert builtin_styles.paint(name.replace("_", "-"), 96, 120).tobytes() == picture(name).tobytes()


def test_a_hyphen_is_the_same_style_for_stylize() -> None:
    one, same = (open_style(name, 64) for name in ("stained_glass:2", "stained-glass:2"))
    assert one.pixels.tobytes() == same.pixels.tobytes()
    assert one.name == same.name == "stained_glass" and one.digest == same.digest
    assert one.digest == hashlib.sha256(b"stained-glass:2").hexdigest()  # as records of earlier versions have it


@pytest.fixture
def stripes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a style, on the path as if it were installed."""
    (tmp_path / "stripes.py").write_text(
        "import numpy as np\n"
        "class Stripes:\n"
        "    description = 'Stripes of one color.'\n"
        "    def paint(self, height, width, seed):\n"
        "        rows = np.arange(height)[:, None, None] % (2 + seed) == 0\n"
        "        return np.broadcast_to(rows, (height, width, 3 - (seed == 9))) * 1.5\n"
        "STYLE = Stripes()\n"
    )
    metadata = tmp_path / "stripes-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stripes\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[impasto.styles]\nwide-stripes = stripes:STYLE\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(builtin_styles.STYLES, "_outside", None)  # what earlier tests have found
    monkeypatch.setattr(builtin_styles.STYLES, "_items", None)


def test_a_style_of_another_package_is_found_by_its_entry_point(stripes: None) -> None:
    assert builtin_styles.names() == sorted([*NAMES, "wide_stripes"])
    assert builtin_styles.find("wide_stripes").description == "Stripes of one color."
    painted = builtin_styles.paint("wide-stripes", 16, 20, seed=1)
    assert painted.shape == (16, 20, 3) and painted.dtype == np.float32
    assert painted[:, 0, 0].tolist() == [1.0, 0.0, 0.0] * 5 + [1.0]  # clipped to white
    assert np.array_equal(open_style("wide_stripes", 20).pixels, builtin_styles.paint("wide_stripes", 16, 20))
    with pytest.raises(UnknownName, match="Did you mean 'wide_stripes'"):
        builtin_styles.paint("wide_stripe")
    with pytest.raises(OptionError, match=r"the style wide_stripes painted \(16, 20, 2\); expected \(16, 20, 3\)\."):
        builtin_styles.paint("wide_stripes", 16, 20, seed=9)


def test_importing_needs_numpy_only() -> None:
    code = (
        "import sys, impasto.builtin_styles;"
        "bad = {'torch', 'PIL', 'scipy', 'skimage'} & set(sys.modules); sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_noise_is_even_and_keeps_its_place_at_every_size() -> None:
    fine = brushes.noise(brushes.Grid(200, 200), np.random.default_rng(3), 0.05)
    coarse = brushes.noise(brushes.Grid(100, 100), np.random.default_rng(3), 0.05)
    assert abs(float(fine.mean())) < 0.1
    assert 0.8 < float(fine.std()) < 1.2
    assert correlation(brushes.shrink(fine[..., None], 2), coarse[..., None]) > 0.99


def test_coverage_is_half_at_the_edge_and_one_pixel_wide() -> None:
    grid = brushes.Grid(10, 10)
    distance = np.array([[-0.1, -0.05, 0.0, 0.05, 0.1]])
    np.testing.assert_allclose(brushes.coverage(grid, distance), [[1, 1, 0.5, 0, 0]], atol=1e-6)


def test_cells_measure_the_distance_to_the_bisector() -> None:
    # of the edges of its cell a point is nearest to the bisector with one of its neighbors:
    # brute force over all centers found, in float64
    grid = brushes.Grid(60, 60)
    ids, edge, cy, cx = brushes.cells(grid, np.random.default_rng(0), 0.2, grid.y + 0.6, grid.x + 0.6)
    centers = np.unique(np.stack([cy.ravel(), cx.ravel()], axis=1).astype(np.float64), axis=0)
    assert len(centers) == len(np.unique(ids))
    y, x = float(grid.y[30, 0]) + 0.6, float(grid.x[0, 30]) + 0.6
    away = np.hypot(centers[:, 0] - y, centers[:, 1] - x)
    own = centers[away.argmin()]
    gaps = [
        ((own + c) / 2 - (y, x)) @ (c - own) / np.linalg.norm(c - own) for c in centers if not np.array_equal(c, own)
    ]
    assert edge[30, 30] == pytest.approx(min(gaps), abs=1e-5)


def test_relief_leaves_a_flat_surface_as_it_is_and_lights_the_near_slope() -> None:
    grid = brushes.Grid(32, 32)
    shade, gloss = brushes.relief(grid, grid.full(0.5), 0.1)
    np.testing.assert_allclose(shade, 1, atol=1e-6)
    np.testing.assert_allclose(gloss, 0, atol=1e-6)
    for way in (grid.x, grid.y):  # what rises to the right or downwards faces the light, at the upper left
        rising = np.broadcast_to(way, (32, 32))
        assert brushes.relief(grid, rising, 0.3)[0].mean() > 1.05
        assert brushes.relief(grid, -rising, 0.3)[0].mean() < 0.95


def test_blur_keeps_the_mean_of_an_impulse_and_spreads_it_as_asked() -> None:
    image = np.zeros((81, 81), dtype=np.float32)
    image[40, 40] = 1
    spread = brushes.blur(image, 20**0.5)  # three means over 9 pixels have a variance of 3 (81 - 1) / 12 = 20
    assert float(spread.sum()) == pytest.approx(1, abs=1e-4)
    rows = spread.sum(axis=1)
    assert np.sqrt((rows * (np.arange(81) - 40) ** 2).sum()) == pytest.approx(20**0.5, rel=1e-3)
