"""Make the figures of the pages in docs: `python docs/figures.py`, or only some by name.

Photographs come from examples/, styles from impasto.builtin_styles. Each run is small (about 200 px) and sets
all options that matter, so that the figures do not change with a default; only `qualities` and
`regions` show the defaults. With `--keep`, runs stay under build/figures/ and are used again, which helps while you
work on a figure's layout.
"""

import hashlib
import io
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

from impasto import stylize
from impasto.builtin_styles import paint
from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import load_state
from impasto.data.arrays import read_sets
from impasto.events import Done, Step
from impasto.inference import latent_space
from impasto.inference.load import load, load_generator
from impasto.inference.options import SampleOptions
from impasto.inference.painter import Painter
from impasto.inference.sheets import drawn, iter_sample
from impasto.io.decode import load_picture
from impasto.io.tensors import as_pixels, as_tensor, open_picture
from impasto.metrics import style
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.vgg import VGG
from impasto.ops.color import luminance, match_color, match_luminance
from impasto.ops.filters import high_pass
from impasto.ops.gram import gram_matrix
from impasto.ops.resize import resize
from impasto.style_transfer.objective import Objective
from impasto.style_transfer.optimize import iter_optimize
from impasto.style_transfer.options import QUALITIES, StylizeOptions

matplotlib.use("Agg")
from matplotlib import font_manager  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.ticker import LogLocator  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
KEPT = ROOT / "build" / "figures"
KEEP = "--keep" in sys.argv
LARGEST = 290_000  # bytes of a figure

GRAY = "#5f6368"
COLORS = ("#1f4e9c", "#c8561c")  # of curves
LAYERS = tuple(f"relu{block}_1" for block in range(1, 6))
STYLE_LAYERS = dict.fromkeys(LAYERS, 0.2)

# What every run below starts from; a figure changes what it is about.
BASE = {
    "content_weight": 0.03,
    "style_weight": 1.0,
    "tv_weight": 0.0,
    "range_weight": 5.0,
    "content_layers": {"relu4_2": 1.0},
    "style_layers": STYLE_LAYERS,
    "optimizer": "lbfgs",
    "init": "content",
    "colors": "style",
    "plateau": 0.0,
    "averaging": 0.0,
    "scale_factor": 2.0,
    "step_decay": 0.5,
}
ONE_SCALE = 100_000  # a coarsest size so large that there is no coarser one

plt.rcParams |= {
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "text.color": GRAY,
    "axes.labelcolor": GRAY,
    "axes.edgecolor": "#c4c7ca",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "lines.linewidth": 2.2,
}


# --- pictures and runs ---------------------------------------------------------------------------


@cache
def encoder() -> VGG:
    """The network of all figures."""
    return load_encoder("vgg19", padding="replicate")


@cache
def photo(name: str) -> Tensor:
    """A packaged photograph, (1, 3, H, W)."""
    return as_tensor(open_picture(ROOT / "examples" / f"{name}.jpg"))


@cache
def painted_style(name: str, height: int = 400, width: int = 600) -> Tensor:
    """A painted style, (1, 3, H, W)."""
    return torch.from_numpy(paint(name, height, width)).permute(2, 0, 1)[None].contiguous()


def sized(image: Tensor, longer: int) -> Tensor:
    """The picture with a longer side of so many pixels."""
    h, w = image.shape[-2:]
    return resize(image, (round(h * longer / max(h, w)), round(w * longer / max(h, w)))).clamp(0, 1)


@dataclass(frozen=True)
class Run:
    """A finished painting: the picture, and per step the loss, the work so far and the loss at full size."""

    image: Tensor
    losses: list[float]
    work: list[float]  # steps, each counted by its fraction of the full size's pixels
    full: list[tuple[float, float]]  # (work, loss of the picture enlarged to full size)


def run(content: str, styled: str, *, watch: int = 0, **settings: object) -> Run:
    """Paint a photograph; `watch` n also measures every n-th picture at full size."""
    options = StylizeOptions(**{**BASE, **settings})
    key = hashlib.sha256(json.dumps([content, styled, watch, options.model_dump()]).encode()).hexdigest()[:16]
    kept = KEPT / f"{key}.pt"
    if KEEP and kept.exists():
        return Run(**torch.load(kept))
    started = time.monotonic()
    made = _run(photo(content), painted_style(styled), watch, options)
    print(f"    {content} x {styled}: {len(made.losses)} steps, {time.monotonic() - started:.0f} s", flush=True)
    if KEEP:
        KEPT.mkdir(parents=True, exist_ok=True)
        torch.save(vars(made), kept)
    return made


def _run(content: Tensor, styled: Tensor, watch: int, options: StylizeOptions) -> Run:
    small = sized(content, options.size)
    size = (small.shape[-2], small.shape[-1])
    at_full = Objective(encoder(), small, [resize(styled, size).clamp(0, 1)], options) if watch else None
    losses: list[float] = []
    work, full, done = [], [], 0.0

    def measure(image: Tensor) -> float:
        with torch.no_grad():
            return at_full(resize(image, size).clamp(0, 1))[0]["total"]

    if watch:
        full.append((0.0, measure(small)))
    for event in iter_optimize(content, [styled], encoder(), options):
        if isinstance(event, Step):
            done += event.size[0] * event.size[1] / (size[0] * size[1])
            losses.append(event.losses["total"])
            work.append(done)
            if watch and event.step % watch == 0:
                full.append((done, measure(event.image())))
        elif isinstance(event, Done):
            return Run(event.image, losses, work, full)
    raise AssertionError("the run ended without Done")


# --- drawing -------------------------------------------------------------------------------------

Cell = tuple[Tensor | np.ndarray, str]


def pixels(image: Tensor | np.ndarray) -> np.ndarray:
    """(1, 3, H, W) or (H, W, 3) as (H, W, 3) in [0, 1]."""
    return np.clip(as_pixels(image) if isinstance(image, Tensor) else image, 0, 1)


def heat(values: Tensor, high: float, name: str = "magma") -> np.ndarray:
    """(H, W) as colors, 0 to `high`."""
    return matplotlib.colormaps[name]((values / high).clamp(0, 1).numpy())[..., :3]


def rendered(figure: plt.Figure) -> Image.Image:
    """The figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, facecolor="white", format="png")
    plt.close(figure)
    return Image.open(buffer).convert("RGB")


def save(figure: plt.Figure, name: str) -> None:
    """Write docs/figures/NAME.jpg, at the best quality that keeps it small."""
    picture, path = rendered(figure), FIGURES / f"{name}.jpg"
    for quality in (88, 84, 80, 76, 72):
        picture.save(path, quality=quality, optimize=True)
        if path.stat().st_size < (SMALL_FIGURE if name.startswith(("autoencoder", "vae", "gan", "dcgan")) else LARGEST):
            break
    print(
        f"  {path.relative_to(ROOT)}: {picture.width} x {picture.height}, {path.stat().st_size // 1024} KB", flush=True
    )


def sheet(rows: Sequence[Sequence[Cell]], width: int = 1200, gap: int = 12, caption: int = 15) -> plt.Figure:
    """Lay pictures out in rows, each row filling the width, captions (one or two lines) below them.

    Pictures of a row share their height. Enlarging keeps hard pixels, shrinking averages.
    """
    heights, tops, top = [], [], 0
    for row in rows:
        shapes = [pixels(image).shape for image, _ in row]
        height = (width - gap * (len(row) - 1)) / sum(w / h for h, w, _ in shapes)
        lines = max(text.count("\n") + 1 if text else 0 for _, text in row)
        heights.append(height)
        tops.append(top)
        top += height + (lines * (caption + 7) + 4 if lines else 0) + gap
    total = round(top - gap)
    figure = plt.figure(figsize=(width / 100, total / 100), dpi=100)
    for row, height, y in zip(rows, heights, tops, strict=True):
        x = 0.0
        for image, text in row:
            h, w, _ = (values := pixels(image)).shape
            wide = height * w / h
            axes = figure.add_axes((x / width, 1 - (y + height) / total, wide / width, height / total))
            axes.imshow(_fit(values, round(wide), round(height)), interpolation="nearest", aspect="auto")
            axes.axis("off")
            figure.text((x + wide / 2) / width, 1 - (y + height + 6) / total, text, ha="center", va="top",
                        fontsize=caption * 0.72, color=GRAY, linespacing=1.35)  # fmt: skip
            x += wide + gap
    return figure


def _fit(values: np.ndarray, width: int, height: int) -> np.ndarray:
    image = Image.fromarray((values * 255).round().astype(np.uint8))
    coarse = width > 3 * image.width  # maps of a deep layer: keep their pixels visible
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST if coarse else Image.Resampling.LANCZOS))


def beside(rows: Sequence[Sequence[Cell]], draw: Callable[[plt.Axes], None], share: float = 0.5) -> plt.Figure:
    """Pictures on the left, a diagram on the right."""
    width = 1200
    left = sheet(rows, width=round(width * share))
    canvas = np.asarray(rendered(left))
    height = canvas.shape[0]
    figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
    picture = figure.add_axes((0, 0, share, 1))
    picture.imshow(canvas, interpolation="nearest", aspect="auto")
    picture.axis("off")
    draw(axes := figure.add_axes((share + 0.085, 62 / height, 1 - share - 0.1, 1 - 76 / height)))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.grid(axis="y", color="#eceef0")
    return figure


def _curves(axes: plt.Axes, curves: Sequence, names: Sequence[str], above: Sequence[int]) -> None:
    """Draw (x, y) curves over a logarithmic y, each named at its end, `above` it by so many points."""
    for curve, color, name, y in zip(curves, COLORS, names, above, strict=False):
        axes.plot(*zip(*curve, strict=True), color=color)
        axes.annotate(name, curve[-1], (0, y), textcoords="offset points", color=color, ha="right")
    axes.set_yscale("log")
    axes.margins(y=0.1)


# --- the figures, in the order of the page -------------------------------------------------------


def features() -> plt.Figure:
    """What five layers see: the photograph and the liveliest maps of each layer."""
    picture = sized(photo("cat"), 448)
    with torch.no_grad():
        seen = encoder()(picture, LAYERS)
    rows: list[list[Cell]] = []
    for layer in LAYERS:
        maps = seen[layer][0]
        h, w = maps.shape[-2:]
        cells = [(heat(maps[c], float(maps[c].quantile(0.995))), f"channel {c}") for c in liveliest(maps, 5)]
        rows.append([(resize(picture, (h, w)), f"{layer}: {w} × {h}"), *cells])
    return sheet(rows)


def liveliest(maps: Tensor, count: int) -> list[int]:
    """The channels of (C, H, W) that vary most, leaving out those much like one already chosen."""
    flat = torch.nn.functional.normalize(maps.flatten(1) - maps.flatten(1).mean(1, keepdim=True), dim=1)
    chosen: list[int] = []
    for channel in maps.flatten(1).std(1).argsort(descending=True).tolist():
        if all(abs(float(flat[channel] @ flat[other])) < 0.6 for other in chosen):
            chosen.append(channel)
    return chosen[:count]


def content_reconstructions() -> plt.Figure:
    """The photograph from one layer's features alone."""
    cells: list[Cell] = [(sized(photo("cat"), 224), "the photograph")]
    for layer in LAYERS:
        made = run("cat", "swirl", size=224, init="noise", style_weight=0, content_weight=1, tv_weight=0.3,
                   content_layers={layer: 1.0}, min_size=56, steps=120)  # fmt: skip
        cells.append((made.image, f"from {layer}"))
    return sheet([cells[:3], cells[3:]])


def gram() -> plt.Figure:
    """Gram matrices of two paintings, and of one whose positions are shuffled."""
    layer, size = "relu2_1", (192, 288)
    with torch.no_grad():
        swirl, other = (
            encoder()(resize(painted_style(name), size).clamp(0, 1), [layer])[layer] for name in ("swirl", "woodblock")
        )
    h, w = swirl.shape[-2:]
    order = torch.randperm(h * w, generator=torch.Generator().manual_seed(0))
    shuffled = swirl.flatten(2)[:, :, order].unflatten(2, (h, w))
    matrix = gram_matrix(swirl)
    assert torch.allclose(gram_matrix(shuffled), matrix, atol=1e-5 * float(matrix.max()))
    loud = matrix[0].diagonal().argsort(descending=True)[:32]  # the rest is nearly black
    pair = liveliest(swirl[0], 2)

    def row(seen: Tensor, picture: Tensor | np.ndarray, names: Sequence[str]) -> list[Cell]:
        matrix = gram_matrix(seen)[0][loud][:, loud]
        maps = [heat(seen[0, c], float(swirl[0, c].quantile(0.995))) for c in pair]
        return list(zip([picture, *maps, heat(matrix, 0.7 * float(matrix.max()))], names, strict=True))

    blank = np.ones((*size, 3))
    a, b = (f"channel {c} at {layer}" for c in pair)
    return sheet([
        row(swirl, painted_style("swirl"), ("swirl", a, b, "its Gram matrix")),
        row(shuffled, blank, ("", "the same, positions shuffled", "shuffled in the same order", "the same matrix")),
        row(other, painted_style("woodblock"), ("woodblock", a, b, "another matrix")),
    ])  # fmt: skip


def style_reconstructions() -> plt.Figure:
    """The style from ever more layers, from noise, with no photograph."""
    cells: list[Cell] = [(sized(painted_style("swirl"), 240), "the style")]
    for count in range(1, 6):
        made = run("coffee", "swirl", size=240, init="noise", content_weight=0, min_size=60, steps=160,
                   style_layers=dict.fromkeys(LAYERS[:count], 1 / count))  # fmt: skip
        cells.append((made.image, LAYERS[0] if count == 1 else f"{LAYERS[0]} … {LAYERS[count - 1]}"))
    return sheet([cells[:3], cells[3:]])


def balance() -> plt.Figure:
    """The same run with more and more weight on content."""
    made = [(run("cat", "swirl", size=240, min_size=60, steps=80, content_weight=w).image, f"content weight {w:g}")
            for w in (0.003, 0.03, 0.1, 0.3, 1.0)]  # fmt: skip
    cells: list[Cell] = [*made, (sized(photo("cat"), 240), "the photograph")]
    return sheet([cells[:3], cells[3:]])


def optimizers() -> plt.Figure:
    """Loss by step of L-BFGS and Adam, and the pictures they end with."""
    settings = {"size": 192, "min_size": ONE_SCALE, "steps": 80}
    ours = run("coffee", "autumn", **settings, optimizer="lbfgs", learning_rate=1.0)
    adam = run("coffee", "autumn", **settings, optimizer="adam", learning_rate=0.02)

    def draw(axes: plt.Axes) -> None:
        curves = [list(enumerate(made.losses, start=1)) for made in (ours, adam)]
        _curves(axes, curves, ("L-BFGS", "Adam"), (-20, 10))
        axes.set(xlabel="step", ylabel="total loss")

    steps = settings["steps"]
    return beside([[(ours.image, f"L-BFGS, {steps} steps")], [(adam.image, f"Adam, {steps} steps")]], draw, 0.36)


def pyramid() -> plt.Figure:
    """One scale against three, for the same number of pixels computed."""
    coarse = run("coffee", "stained_glass", size=288, min_size=72, steps=80, watch=5)
    budget = round(coarse.work[-1])
    fine = run("coffee", "stained_glass", size=288, min_size=ONE_SCALE, steps=budget, watch=5)

    def draw(axes: plt.Axes) -> None:
        _curves(axes, (coarse.full, fine.full), ("three scales", "one scale"), (-20, 40))
        axes.set(xlabel="work, in steps at full size", ylabel="loss of the picture at full size")

    cells: list[Cell] = [(fine.image, f"one scale, {budget} steps"), (coarse.image, "three scales, the same work")]
    return beside([[cell] for cell in cells], draw, 0.46)


def total_variation() -> plt.Figure:
    """A run without and with total variation, and what a blur takes away from each."""
    rows: list[list[Cell]] = []
    for weight in (0.0, 1.0):
        made = run("rocket", "swirl", size=240, init="noise", min_size=ONE_SCALE, steps=80, tv_weight=weight).image
        excess = style.score(made, photo("rocket"), [painted_style("swirl")], encoder()).high_frequency_excess
        detail = high_pass(luminance(made)).expand(-1, 3, -1, -1)
        rows.append([(made, f"total variation {weight:g}"),
                     (0.5 + 2 * detail, f"what a 1 px blur takes away: {excess:+.0%} against the style")])  # fmt: skip
    return sheet(rows, width=1000)


def colors() -> plt.Figure:
    """Three ways with colors."""
    kinds = ("style", "match", "luminance")
    made = [run("coffee", "swirl", size=240, min_size=60, steps=80, colors=kind).image for kind in kinds]
    painting = painted_style("swirl")
    seen: list[Cell] = [
        (painting, "the style as it is"),
        (match_color(painting, photo("coffee")), "match: the style in the photograph's colors"),
        (match_luminance(painting, photo("coffee")), "luminance: the style in gray"),
    ]
    return sheet([seen, [(image, f"colors = {kind}") for image, kind in zip(made, kinds, strict=True)]])


def qualities() -> plt.Figure:
    """Three qualities side by side."""
    rows: list[list[Cell]] = []
    for name, style_name in (("coffee", "woodblock"), ("astronaut", "swirl")):
        cells: list[Cell] = [(sized(photo(name), 480), "the photograph")]
        for quality in QUALITIES:
            options = StylizeOptions.preset("default", quality, size=480)
            cells.append((stylize(photo(name), style_name, options=options), quality))
        rows.append(cells)
    return sheet(rows)


def regions() -> plt.Figure:
    """A style for the table, another for the cup; and a face that is kept."""
    cells: list[Cell] = []
    for name, (y, x, height, width), look, other in (
        ("coffee", (0.47, 0.5, 0.42, 0.36), "woodblock", "stained_glass"),
        ("astronaut", (0.22, 0.44, 0.17, 0.13), "swirl", None),
    ):
        small = sized(photo(name), 448)
        h, w = small.shape[-2:]
        rows, columns = np.mgrid[:h, :w]
        mask = (((rows / h - y) / height) ** 2 + ((columns / w - x) / width) ** 2 < 1).astype(np.uint8) * 255
        parts = {"regions": [(mask, other)]} if other else {"keep": mask}
        made = stylize(small, look, size=448, **parts)
        shown = small * (0.35 + 0.65 * torch.from_numpy(mask / 255).float())
        told = f"{look}, {other} in the region" if other else f"{look}, the face kept"
        cells += [(shown, "the mask"), (made, told)]
    return sheet([cells[:2], cells[2:]], width=1000)


# What the last two figures show: `impasto train johnson swirl PHOTOS --budget 30m -o build/swirled`. Copies of its
# checkpoint that were made on the way lie beside it, as 120s.safetensors.
TRAINED = ROOT / "build" / "swirled"


def style_network() -> plt.Figure:
    """What a network paints after 2, 5, 10 and 30 minutes."""
    end = load(TRAINED / "model.safetensors", device="cpu", precision="float32")
    models = [("the photograph", None)]
    for seconds in (120, 300, 600):
        tensors, _ = load_state(TRAINED / f"{seconds}s.safetensors")
        network = MultiStyleNetwork(**end.network.settings)
        network.load_state_dict({name.rpartition("painter/")[2]: value for name, value in tensors.items()
                                 if name.startswith("average/painter/")})  # fmt: skip
        models.append((f"after {seconds // 60} minutes", Painter(network.requires_grad_(False).eval())))
    models.append(("after 30", end))
    rows: list[list[Cell]] = []
    for name in ("coffee", "cat", "astronaut", "rocket"):
        image = sized(photo(name), 512)
        rows.append([(image if model is None else model.paint(image), told) for told, model in models])
    return sheet(rows, width=1400)


def style_network_loss() -> plt.Figure:
    """How its losses fall."""
    lines = [json.loads(line) for line in (TRAINED / "log.jsonl").read_text().splitlines()]
    figure, axes = plt.subplots(figsize=(9, 3.2))
    minutes = np.array([line["seconds"] / 60 for line in lines])
    for name, color in zip(("style", "content"), COLORS, strict=True):
        values = np.array([line["losses"][name] for line in lines])
        window = 25
        smooth = np.convolve(values, np.ones(window) / window, mode="valid")
        axes.plot(minutes, values, color=color, alpha=0.15, linewidth=1)
        axes.plot(minutes[window // 2 : window // 2 + len(smooth)], smooth, color=color, label=name)
    axes.set(xlabel="minutes on two cores", ylabel="loss, times its weight", yscale="log", xlim=(0, minutes[-1]))
    axes.legend(frameon=False)
    figure.tight_layout()
    return figure


def painter_styles() -> plt.Figure:
    """What the shipped network knows."""
    model = load("painter", device="cpu", precision="float32")
    image = sized(photo("coffee"), 400)
    cells: list[Cell] = [(model.paint(image, style=name), name) for name in model.styles[1:]]
    return sheet([cells[start : start + 8] for start in range(0, len(cells), 8)], width=1600, gap=8, caption=9)


def blends() -> plt.Figure:
    """From the photograph to a style, and from one style to another."""
    model = load("painter", device="cpu", precision="float32")
    image = sized(photo("astronaut"), 400)
    first, second = "starry_night", "great_wave"
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    return sheet(
        [
            [(model.paint(image, style=first, strength=share), f"--strength {share:g}") for share in shares],
            [
                (model.paint(image, style={first: 1 - s, second: s}), f"{first}:{1 - s:g},{second}:{s:g}")
                for s in shares
            ],
        ],
        width=1500,
    )


TAUGHT = ROOT / "build" / "new-style"  # what benchmarks/new_style.py leaves: autumn and woodblock


def own_style() -> plt.Figure:
    """A painting that the network never saw: at once, and after two minutes."""
    rows: list[list[Cell]] = []
    for name in ("autumn", "woodblock"):
        look = painted_style(name)
        model = load("painter", device="cpu", precision="float32").with_style("at once", look)
        model = model.with_style("after two minutes", TAUGHT / name / "short")
        row: list[Cell] = [(look, "the painting")]
        for photograph in ("cat", "rocket"):
            image = sized(photo(photograph), 512)
            row += [(model.paint(image, style=told), told) for told in ("at once", "after two minutes")]
        rows.append(row)
    return sheet(rows, width=1600)


# What the figures of docs/autoencoders.md, docs/vae.md and docs/gan.md show: runs that the pages' commands left in
# build/digits; "classes" is of `train gan --conditional`, "dcgan" has seen all of MNIST, "lost" and "found" a
# grid; "unsmoothed" and "smoothed" are of `train dcgan --crop 64 --steps 3000` on emoji, the first with
# `--smoothing none`.
DIGITS = ROOT / "build" / "digits"
SMALL_FIGURE = 98_000  # bytes


def shown(run: str, kind: str, **options: object) -> np.ndarray:
    """What `impasto sample build/digits/RUN --kind KIND` writes, (H, W, 3) in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "sheet.png"
        list(iter_sample(DIGITS / run, SampleOptions(kind=kind, device="cpu", **options), output=target))
        return load_picture(target).pixels


def as_it_is(*parts: np.ndarray) -> plt.Figure:
    """Pictures below each other, pixel by pixel."""
    high, wide = sum(len(part) for part in parts), max(part.shape[1] for part in parts)
    canvas, top = np.ones((high, wide, 3)), 0
    for part in parts:
        canvas[top : top + len(part), : part.shape[1]] = part
        top += len(part)
    figure = plt.figure(figsize=(wide / 100, high / 100), dpi=100)
    figure.figimage(canvas)
    return figure


def autoencoder_codes() -> plt.Figure:
    """Digits, their latent codes, and the reconstructions."""
    return as_it_is(shown("autoencoder", "reconstructions", columns=12))


def autoencoder_denoising() -> plt.Figure:
    """Noisy digits, their latent codes, and clean ones."""
    return as_it_is(shown("denoiser", "reconstructions", columns=12))


def autoencoder_holes() -> plt.Figure:
    """Samples of an autoencoder from the standard Gaussian and from one fitted to its codes, and samples of a VAE."""
    blind = replace(load_generator(DIGITS / "autoencoder"), extra={})
    parts = [drawn(latent_space.grid(blind, 2, 12, torch.Generator().manual_seed(1)))]
    for run in ("autoencoder", "vae"):
        parts += [np.ones((20, 1, 3)), shown(run, "grid", rows=2, columns=12, seed=1)]
    return as_it_is(*parts)


def autoencoder_interpolations() -> plt.Figure:
    """Linear interpolations between digits."""
    return as_it_is(shown("autoencoder", "interpolation", rows=4, path="linear", seed=2))


def vae_codes() -> plt.Figure:
    """Latent codes of test digits in a plane, and the KL of each latent dimension."""
    return as_it_is(shown("vae", "embeddings"))


def vae_grid() -> plt.Figure:
    """Samples of a VAE."""
    return as_it_is(shown("vae", "grid", rows=6, columns=14))


def vae_manifold() -> plt.Figure:
    """All of a latent space of two dimensions."""
    return as_it_is(shown("vae2", "manifold", rows=14, columns=14))


def vae_traversal() -> plt.Figure:
    """What each latent dimension changes."""
    return as_it_is(shown("vae", "traversal", rows=8, seed=3))


def vae_interpolations() -> plt.Figure:
    """Spherical interpolations between digits."""
    return as_it_is(shown("vae", "interpolation", rows=5, seed=2))


def vae_arithmetic() -> plt.Figure:
    """The mean code of nines less that of fours, added to fours."""
    return as_it_is(shown("vae", "arithmetic", classes=(4, 9), rows=4, columns=9))


def vae_progress() -> plt.Figure:
    """The same latent codes in the course of the training."""
    return as_it_is(shown("vae", "progress"))


def vae_nearest() -> plt.Figure:
    """Samples, and the training digits nearest to them."""
    return as_it_is(shown("vae", "nearest", columns=12))


def vae_classes() -> plt.Figure:
    """Requested classes, and digits in the handwriting of others."""
    return as_it_is(shown("conditional", "grid", columns=10), shown("conditional", "arithmetic", rows=4, seed=1))


def gan_collapse() -> plt.Figure:
    """Samples of the loop that tutorials show and, below, of the stabilized one."""
    return as_it_is(
        shown("vanilla", "grid", rows=4, columns=14),
        np.ones((20, 1, 3)),
        shown("stabilized", "grid", rows=4, columns=14),
    )


def gan_points() -> plt.Figure:
    """Points of the preset vanilla and, beside, of points2d."""
    parts = [load_picture(DIGITS / run / "figures" / "preview.png").pixels for run in ("lost", "found")]
    gap = np.ones((len(parts[0]), 6, 3))
    return as_it_is(np.concatenate([parts[0], gap, parts[1]], 1).repeat(2, 0).repeat(2, 1))


def gan_checkerboard() -> plt.Figure:
    """Emoji of transposed convolutions alone and, beside, with blurred outputs."""
    parts = [shown(run, "grid", rows=4, columns=8) for run in ("unsmoothed", "smoothed")]
    return as_it_is(np.concatenate([parts[0], np.ones((len(parts[0]), 20, 3)), parts[1]], 1))


def gan_classes() -> plt.Figure:
    """A row for each requested class."""
    return as_it_is(shown("classes", "grid", columns=14))


def dcgan() -> plt.Figure:
    """Samples of the light DCGAN."""
    return as_it_is(shown("dcgan", "grid", rows=6, columns=14))


# What the figures of docs/cyclegan.md and docs/choosing-data.md show is left there by benchmarks/translated_digits.py.
TRANSLATED = ROOT / "build" / "translation"
KIND_A, KIND_B, LOSS, SOFT = "#1f4e9c", "#c8561c", "#a3214a", "#9aa0a6"
INK = "#3c4043"
FINE = 3  # a board is drawn so many times as large, so that edges are smooth


class Board:
    """A drawing of boxes, arrows, pictures and words; all numbers are pixels of the result."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.image = Image.new("RGB", (width * FINE, height * FINE), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.tiles: list[tuple[tuple[int, int], Image.Image]] = []

    def text(self, x: float, y: float, words: str, size: int = 15, color: str = INK, at: str = "mm") -> None:
        """Write words with their middle there, or their left ("lm") or right ("rm") end."""
        font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size * FINE)
        self.draw.text((x * FINE, y * FINE), words, fill=color, font=font, anchor=at)

    def box(
        self, x: float, y: float, size: tuple[float, float], color: str, words: tuple[str, str], full: bool
    ) -> None:
        """Draw a box around a point, filled or not, with a name and a smaller one below it."""
        (w, h), (name, code) = size, words
        corners = [FINE * value for value in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)]
        self.draw.rounded_rectangle(corners, 12 * FINE, fill=color if full else "white", outline=color, width=2 * FINE)
        self.text(x, y - 11 if code else y, name, 19, "white" if full else color)
        self.text(x, y + 12, code, 13, "white" if full else color)

    def tile(self, x: float, y: float, side: int, picture: np.ndarray, color: str, frame: int = 4) -> None:
        """Put a picture (H, W, 3) in [0, 1] around a point, in a frame."""
        reach = side / 2 + frame
        corners = [FINE * value for value in (x - reach, y - reach, x + reach, y + reach)]
        self.draw.rectangle(corners, fill=color)
        shown = Image.fromarray((picture * 255).round().astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        self.tiles.append(((round(x - side / 2), round(y - side / 2)), shown))

    def line(self, *points: tuple[float, float], color: str = "#e3e5e8", width: float = 2) -> None:
        """Draw a line from point to point."""
        scaled = [(x * FINE, y * FINE) for x, y in points]
        self.draw.line(scaled, fill=color, width=round(width * FINE), joint="curve")

    def arrow(self, *points: tuple[float, float], color: str = INK) -> None:
        """Draw a line from point to point that ends in a head."""
        self.line(*points, color=color, width=2.2)
        (x0, y0), (x, y) = points[-2:]
        angle = math.atan2(y - y0, x - x0)
        sides = [(x - 9 * math.cos(angle + turn), y - 9 * math.sin(angle + turn)) for turn in (0.42, -0.42)]
        tip = (x + 3 * math.cos(angle), y + 3 * math.sin(angle))
        self.draw.polygon([(u * FINE, v * FINE) for u, v in (tip, *sides)], fill=color)

    def bow(self, start: tuple[float, float], top: float, end: tuple[float, float], color: str, words: str) -> None:
        """Draw a dashed arrow in a bow, with words in its middle."""
        middle = ((start[0] + end[0]) / 2, 2 * top - (start[1] + end[1]) / 2)
        t = np.linspace(0, 1, 2 * round(abs(start[0] - end[0]) / 8) + 2)[:, None]
        points = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(middle) + t * t * np.array(end)
        for first, second in zip(points[:-2:2], points[1:-2:2], strict=False):
            self.line(first, second, color=color, width=1.8)
        self.arrow(*points[-2:], color=color)
        font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 15)
        half = font.getlength(words) / 2 + 8
        x = (start[0] + end[0]) / 2
        self.draw.rectangle([FINE * v for v in (x - half, top - 12, x + half, top + 12)], fill="white")
        self.text(x, top, words, 15, color)

    def done(self) -> plt.Figure:
        """Return the drawing."""
        image = self.image.resize(self.size, Image.Resampling.LANCZOS)
        for place, tile in self.tiles:
            image.paste(tile, place)
        return as_it_is(np.asarray(image) / 255)


@cache
def held_digits(kind: str) -> Tensor:
    """Held-out digits as pictures of A or of B, one of each class first, then others."""
    test = read_sets("mnist5k").test
    first = [int((test.labels == label).nonzero()[2]) for label in range(10)]
    digits = test.images[first] / 255
    ink, paper = {"a": ((1.0,) * 3, (0.0,) * 3), "b": ((0.10, 0.25, 0.70), (1.0, 0.95, 0.60))}[kind]
    inks, papers = (torch.tensor(color).view(1, 3, 1, 1) for color in (ink, paper))
    return papers + digits * (inks - papers)


@torch.no_grad()
def translated(run: str, kind: str) -> tuple[Tensor, Tensor]:
    """Translations of held-out pictures of A or of B, and the cycle reconstructions."""
    to_b, to_a = (
        load(TRANSLATED / run / f"{name}.safetensors", precision="float32").network for name in ("model", "model-back")
    )
    there, back = (to_b, to_a) if kind == "a" else (to_a, to_b)
    made = there(held_digits(kind))
    return made, back(made)


def cell(pictures: Tensor, number: int) -> np.ndarray:
    """One of pictures (N, 3, H, W) as (H, W, 3)."""
    return pictures[number].permute(1, 2, 0).clamp(0, 1).numpy()


def digit_rows(rows: Sequence[tuple[str, Tensor | None, str]]) -> plt.Figure:
    """Rows of ten digits, each with words before it; a row without pictures is a heading."""
    side, left = 84, 240
    high = sum(96 if pictures is not None else 44 for _, pictures, _ in rows) + 8
    board, y = Board(left + 10 * (side + 12) + 4, high), 4.0
    for words, pictures, color in rows:
        if pictures is None:
            board.text(8, y + 26, words, 17, color, "lm")
            y += 44
            continue
        for line, part in enumerate(lines := words.split("\n")):
            board.text(left - 16, y + 48 + 22 * (line - (len(lines) - 1) / 2), part, 15, INK, "rm")
        for number in range(10):
            board.tile(left + number * (side + 12) + side / 2, y + 48, side, cell(pictures, number), color, 3)
        y += 96
    return board.done()


def cyclegan_digits() -> plt.Figure:
    """Translations and cycle reconstructions, with the cycle loss and without it."""
    rows: list[tuple[str, Tensor | None, str]] = [("a, held out", held_digits("a"), KIND_A)]
    rows.append(("ground truth", held_digits("b"), KIND_B))
    for run, words in (("cycle", "CycleGAN"), ("no-cycle", "the same with --cycle-weight 0")):
        made, again = translated(run, "a")
        rows += [(words, None, INK), ("G(a)", made, KIND_B), ("reconstruction: F(G(a))", again, KIND_A)]
    return digit_rows(rows)


def cyclegan_curves() -> plt.Figure:
    """Fraction of labels kept, PSNR to the ground truth and cycle PSNR, against steps."""
    figure, all_axes = plt.subplots(1, 3, figsize=(12, 3.4))
    for run, color, words in (("cycle", KIND_A, "with the cycle loss"), ("no-cycle", KIND_B, "without")):
        lines = [json.loads(line) for line in (TRANSLATED / run / "log.jsonl").read_text().splitlines()]
        seen = [line for line in lines if line["measures"]]
        for axes, name, factor in zip(all_axes, ("kept", "psnr", "cycle"), (100, 1, 1), strict=True):
            values = [factor * (line["measures"][f"{name}_a"] + line["measures"][f"{name}_b"]) / 2 for line in seen]
            axes.plot([line["step"] for line in seen], values, "o-", color=color, label=words)
    for axes, words in zip(all_axes, ("labels kept, %", "PSNR to the truth, dB", "cycle PSNR, dB"), strict=True):
        axes.set(xlabel="step", title=words)
        axes.title.set_color(GRAY)
        axes.grid(axis="y", color="#eceef0")
    all_axes[0].legend(frameon=False, loc="lower right")
    figure.tight_layout()
    return figure


def cyclegan_patches() -> plt.Figure:
    """The receptive field of a PatchGAN of one to four strided layers."""
    picture = Image.fromarray((pixels(photo("cat")) * 255).round().astype(np.uint8))
    side = min(picture.size)
    left = (picture.width - side) // 2
    picture = picture.crop((left, 0, left + side, side)).resize((256, 256), Image.Resampling.LANCZOS)
    board, (x, y) = Board(1200, 428), (88, 104)  # the middle of the squares, in the photograph
    values = np.asarray(picture) / 255
    board.tile(204, 204, 384, values, "white", 0)
    figures = zip((16, 34, 70, 142), ("#a3214a", "#c8561c", "#1f4e9c", "#2b7a4b"), strict=True)
    for number, (seen, color) in enumerate(figures):
        top, start = y - seen // 2, x - seen // 2
        patch = values[top : top + seen, start : start + seen]
        middle = 505 + 200 * number
        board.tile(middle, 204, 170, patch, color, 4)
        board.text(middle, 204 + 118, f"{seen} × {seen} px", 16, color)
        board.text(middle, 204 + 144, f"--discriminator-layers {number + 1}", 14)
    board.text(204, 414, "256 × 256 px", 15)
    figure = np.asarray(rendered(board.done())).copy()
    for seen, color in zip((16, 34, 70, 142), ("#a3214a", "#c8561c", "#1f4e9c", "#2b7a4b"), strict=True):
        frame(figure, 12 + 1.5 * (x - seen / 2), 12 + 1.5 * (y - seen / 2), 1.5 * seen, color)
    return as_it_is(figure / 255)


def frame(image: np.ndarray, left: float, top: float, side: float, color: str) -> None:
    """Draw a square of lines 3 px wide into (H, W, 3) bytes."""
    x, y, end_x, end_y = (round(value) for value in (left, top, left + side, top + side))
    value = ImageColor.getrgb(color)
    image[y - 1 : y + 2, x - 1 : end_x + 2] = image[end_y - 1 : end_y + 2, x - 1 : end_x + 2] = value
    image[y - 1 : end_y + 2, x - 1 : x + 2] = image[y - 1 : end_y + 2, end_x - 1 : end_x + 2] = value


def cyclegan_networks() -> plt.Figure:
    """Four networks, and where each loss applies."""
    board, shown = Board(1200, 640), {"a": 3, "b": 7}  # digits
    for row, (top, one, two, there, back) in enumerate(((0, "a", "b", "G", "F"), (320, "b", "a", "F", "G"))):
        colors = {"a": KIND_A, "b": KIND_B}
        first, second = colors[one], colors[two]
        made, again = translated("cycle", one)
        real_one, real_two = cell(held_digits(one), shown[one]), cell(held_digits(two), shown[two])
        y, (x1, x2, x3, x4, x5) = top + 120, (80, 250, 420, 590, 760)
        board.tile(x1, y, 92, real_one, first)
        board.tile(x3, y, 92, cell(made, shown[one]), second)
        board.tile(x5, y, 92, cell(again, shown[one]), first)
        board.text(x1, y + 66, f"a real picture {one}", 14)
        board.text(x3 + 58, y + 64, f"{there}({one})", 14, at="lm")
        board.text(x5, y + 66, f"reconstruction: {back}({there}({one}))", 14)
        board.box(x2, y, (104, 62), second, (there, f"to_{two}"), True)
        board.box(x4, y, (104, 62), first, (back, f"to_{one}"), True)
        for start, end in ((x1 + 52, x2 - 56), (x2 + 52, x3 - 56), (x3 + 52, x4 - 56), (x4 + 52, x5 - 56)):
            board.arrow((start, y), (end, y))
        board.bow((x5, y - 54), y - 92, (x1, y - 54), LOSS, f"cycle_{one}: equal to the source")

        low = y + 128
        board.tile(x2 - 60, low, 62, real_two, second)
        board.text(x2 - 60, low + 46, f"a real picture {two}", 14)
        board.box(x3, low, (112, 56), second, (f"D_{two.upper()}", f"discriminator_{two}"), False)
        board.arrow((x3, y + 52), (x3, low - 33))
        board.arrow((x2 - 22, low), (x3 - 61, low))
        board.text(x3 - 12, low - 50, "or one of 50 earlier ones", 12, SOFT, "rm")
        board.text(x3 + 72, low - 13, f"discriminator_{two}: which one is real? D_{two.upper()} learns", 15, LOSS, "lm")
        board.text(
            x3 + 72, low + 13, f"adversarial_{two}: does {there}({one}) look real? {there} learns", 15, LOSS, "lm"
        )

        board.line((872, top + 40), (872, top + 290))
        board.tile(935, y, 62, real_two, second)
        board.box(1035, y, (70, 50), second, (there, ""), True)
        board.tile(1135, y, 62, real_two, second)
        board.arrow((971, y), (996, y))
        board.arrow((1070, y), (1096, y))
        board.text(935, y + 48, two, 14)
        board.text(1135, y + 48, f"{there}({two})", 14)
        board.bow((1135, y - 40), y - 64, (935, y - 40), LOSS, f"identity_{two}: unchanged")
        steps = (
            ("1.  G and F learn, by the sum of", "adversarial_a + adversarial_b + cycle_a",
             "+ cycle_b + identity_a + identity_b;", "D_A and D_B are frozen."),
            ("2.  Then D_A and D_B learn, by", "discriminator_a + discriminator_b;", "G and F are frozen."),
        )[row]  # fmt: skip
        for place, words in enumerate(steps):
            color = LOSS if 0 < place < len(steps) - 1 else INK
            board.text(924 if place else 897, top + 218 + place * 23, words, 14, color, "lm")
    board.line((30, 318), (1170, 318))
    return board.done()


ALL: dict[str, Callable[[], plt.Figure]] = {
    "features": features,
    "content-reconstructions": content_reconstructions,
    "gram": gram,
    "style-reconstructions": style_reconstructions,
    "balance": balance,
    "optimizers": optimizers,
    "pyramid": pyramid,
    "total-variation": total_variation,
    "colors": colors,
    "qualities": qualities,
    "regions": regions,
    "style-network": style_network,
    "style-network-loss": style_network_loss,
    "painter-styles": painter_styles,
    "blends": blends,
    "own-style": own_style,
    "autoencoder-codes": autoencoder_codes,
    "autoencoder-denoising": autoencoder_denoising,
    "autoencoder-holes": autoencoder_holes,
    "autoencoder-interpolations": autoencoder_interpolations,
    "vae-codes": vae_codes,
    "vae-grid": vae_grid,
    "vae-manifold": vae_manifold,
    "vae-traversal": vae_traversal,
    "vae-interpolations": vae_interpolations,
    "vae-arithmetic": vae_arithmetic,
    "vae-progress": vae_progress,
    "vae-nearest": vae_nearest,
    "vae-classes": vae_classes,
    "gan-collapse": gan_collapse,
    "gan-points": gan_points,
    "gan-checkerboard": gan_checkerboard,
    "gan-classes": gan_classes,
    "dcgan": dcgan,
    "cyclegan-networks": cyclegan_networks,
    "cyclegan-patches": cyclegan_patches,
    "cyclegan-digits": cyclegan_digits,
    "cyclegan-curves": cyclegan_curves,
}


def main(wanted: Sequence[str]) -> Iterator[str]:
    """Make the figures of these names, all for none; yield each name when its file is written."""
    unknown = set(wanted) - set(ALL)
    if unknown:
        sys.exit(f"no figure is named {', '.join(sorted(unknown))}; there are {', '.join(ALL)}.")
    FIGURES.mkdir(exist_ok=True)
    for name in wanted or ALL:
        save(ALL[name](), name)
        yield name


if __name__ == "__main__":
    torch.set_num_threads(1)
    begun = time.monotonic()
    made = list(main([word for word in sys.argv[1:] if word != "--keep"]))
    print(f"{len(made)} figures in {time.monotonic() - begun:.0f} s")
