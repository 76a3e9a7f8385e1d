"""The report of a run: one file that says what was trained, how it went, and what came out.

It is made from what lies in the run's folder, finished or not, and holds everything it shows: no other file, no network
and no script are needed to read it. Whatever the files hold, nothing of it becomes more than text.
"""

import base64
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from impasto.checkpoints.catalog import read_header
from impasto.checkpoints.weights import sha256
from impasto.errors import CheckpointError, ImageError
from impasto.io.convert import resize_picture
from impasto.io.decode import load_picture
from impasto.io.embedded import read_metadata
from impasto.io.encode import as_jpeg, save_picture
from impasto.reports.charts import Chart, Line, chart, safe

__all__ = [
    "EVALUATION",
    "FIGURES",
    "REPORT",
    "Table",
    "evaluation_tables",
    "read_run",
    "sheet_path",
    "write_report",
]

REPORT = "report.html"  # in a run's folder, as the other two
EVALUATION = "evaluation.json"
FIGURES = "figures"
_MODEL, _CHECKPOINT = "model.safetensors", "checkpoint.safetensors"
_SHEETS = {  # of networks of small pictures: what `impasto sample` calls that which tells most of them
    "autoencoder": ("reconstructions", "codes"),
    "vae": ("reconstructions", "grid", "traversal", "codes"),
    "generator": ("grid", "interpolation", "nearest"),
}
_SHOWN = 6  # previews, at most
_HEAVY = 150_000  # bytes of a preview from which on it is made smaller
_SHARP = 250_000  # and of a sheet, of which more are drawings
_SIDE = 1000  # pixels it then has
_QUALITIES = (85, 70, 50)  # that are tried
_MANY = 20  # classes whose shares are listed
_ALONE = ("losses", "measures")  # groups of a log line whose numbers have a curve each
_NO_CURVES = {"step", "steps", "seconds", "remaining", "skipped", "pace"}  # numbers of a log line that are none

_STYLE = """
:root { color-scheme: light dark; --edge: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { overflow-wrap: anywhere; margin-bottom: 0; }
figure { margin: 1rem 0; }
figcaption { font-size: .9rem; opacity: .8; }
img { max-width: 100%; height: auto; background: #fff; }
svg { width: 100%; height: auto; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; margin-bottom: 1rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--edge); vertical-align: top; }
td { overflow-wrap: anywhere; min-width: 4rem; }
td:first-child { min-width: 8rem; }
code { background: var(--soft); }
""".strip()
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Table:
    """Rows under headings, all of them text."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Run:
    """What lies in a run's folder.

    Attributes:
        path: of the folder.
        record: what the run began with, from options.json.
        lines: of the log, those that can be read.
        damaged: how many of them cannot.
        previews: pictures by step.
        result: what the header of the finished network says; empty if there is none.
        state: the same of the checkpoint.
        evaluation: what `impasto evaluate` found; empty if there is nothing.
        outdated: whether that is of another network than the one that is there.
        sheets: of that network, by kind: the file, and what it says is on it.
        lacking: kinds of sheets that belong to such a network and are not there.
    """

    path: Path
    record: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]
    damaged: int
    previews: Sequence[tuple[int, Path]]
    result: Mapping[str, Any]
    state: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    outdated: bool
    sheets: Mapping[str, tuple[Path, str]]
    lacking: Sequence[str]

    @property
    def steps(self) -> int:
        """How many steps were taken, as far as is known."""
        known = [line["step"] for line in self.lines]
        known += [told["step"] for told in (self.result, self.state) if isinstance(told.get("step"), int)]
        return max(known, default=0)


def read_run(run: str | Path) -> Run:
    """Return what lies in a run's folder, as far as it can be read.

    Raises:
        CheckpointError: it is no such folder, or what the run began with is damaged.
    """
    path = Path(run).expanduser()
    options = path / "options.json"
    if not options.is_file():
        raise CheckpointError(f"there is no run in {path}; expected the folder of a training, which has options.json.")
    record = _object(options)
    if record.get("operation") != "train":
        raise CheckpointError(f"{options} is damaged, or not of a training; expected the folder of one.")
    lines, damaged = _log(path / "log.jsonl")
    numbered = [(int(file.stem), file) for file in (path / "previews").glob("*.jpg") if re.fullmatch(r"\d+", file.stem)]
    evaluation, model = _object(path / EVALUATION), path / _MODEL
    result = read_header(model)
    digest = sha256(model) if model.is_file() and (evaluation or _kinds(result)) else None
    sheets = {kind: found for kind in _kinds(result) if (found := _sheet(path, kind, digest))}
    return Run(
        path=path,
        record=record,
        lines=lines,
        damaged=damaged,
        previews=sorted(numbered),
        result=result,
        state=read_header(path / _CHECKPOINT),
        evaluation=evaluation,
        outdated=bool(evaluation) and model.is_file() and _of(evaluation, "model").get("sha256") != digest,
        sheets=sheets,
        lacking=[kind for kind in _kinds(result) if kind not in sheets],
    )


def sheet_path(run: str | Path, kind: str) -> Path:
    """Return where a sheet of a kind that `impasto sample` knows lies in a run's folder."""
    return Path(run) / FIGURES / f"sample_{kind}.png"


def _kinds(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which sheets belong to a network; of one or two numbers a plane shows all, and no strips are needed."""
    known, settings = _SHEETS.get(str(result.get("network")), ()), _of(result, "settings")
    latent, shape = settings.get("latent"), settings.get("shape")
    if isinstance(shape, list) and len(shape) != 3:  # it makes points
        return ()
    flat = isinstance(latent, int) and latent <= 2
    return tuple("manifold" if kind == "traversal" and flat else kind for kind in known)


def _sheet(run: Path, kind: str, digest: str | None) -> tuple[Path, str] | None:
    """Return a sheet's file and text; nothing if it is not there, or of another network."""
    path = sheet_path(run, kind)
    try:
        told = read_metadata(path) or {}
    except ImageError:
        return None
    mine = told.get("operation") == "sample" and told.get("sha256") == digest
    return (path, str(told.get("text", ""))) if mine else None


def write_report(run: str | Path) -> Path:
    """Write `report.html` into a run's folder, and its curves as PNG into `figures/`; older ones are replaced.

    Args:
        run: the folder of a training, also of one that has not ended.

    Returns:
        The path of the report.

    Raises:
        CheckpointError: there is no run.
        ImageError: a figure cannot be written.
        OSError: the folder cannot be written.
    """
    read = read_run(run)
    charts = _charts(read.lines)
    if charts:
        (read.path / FIGURES).mkdir(exist_ok=True)
    for one in charts:
        file = re.sub("[^A-Za-z0-9_-]+", "_", one.title)[:80] or "curve"
        save_picture(read.path / FIGURES / f"{file}.png", load_picture(one.pixels()), force=True)
    report = read.path / REPORT
    part = report.with_name(report.name + ".part")
    part.write_text("\n".join(_page(read, charts)) + "\n", encoding="utf-8")
    os.replace(part, report)
    return report


# --- files, whatever they hold --------------------------------------------------------------------


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


def _log(path: Path) -> tuple[list[dict[str, Any]], int]:
    lines, damaged = [], 0
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
        else:
            damaged += 1
    return lines, damaged


def _of(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object in an object; empty if it is something else."""
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _charts(lines: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return all numbers of the log as curves, each loss and measure by itself, learning rates together."""
    points: dict[tuple[str, bool], dict[str, dict[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in _NO_CURVES:
                for part, number in value.items() if isinstance(value, dict) else [("", value)]:
                    if _finite(number):
                        title = (part, True) if name in _ALONE else (name.replace("_", " "), False)
                        points.setdefault(title, {}).setdefault(part, {})[line["step"]] = float(number)
    return [
        chart(
            title, [Line(part, *zip(*sorted(some.items()), strict=True)) for part, some in parts.items()], steep=steep
        )
        for (title, steep), parts in points.items()
    ]


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# --- the page -------------------------------------------------------------------------------------


def _page(run: Run, charts: Sequence[Chart]) -> Iterator[str]:
    name = run.path.resolve().name
    yield f"<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n<title>{safe(name)}</title>"
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield "<meta name='viewport' content='width=device-width, initial-scale=1'>"
    yield f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>{safe(name)}</h1>"
    yield from (f"<p>{safe(sentence)}</p>" for sentence in _summary(run))
    yield from _section("Sheets", list(_sheets(run)))
    yield from _section("Pictures", list(_pictures(run)))
    yield from _section("Results", list(_results(run)))
    yield from _section("Evaluation", list(_evaluation(run)))
    drawn = [f"<figure>{one.svg()}</figure>" for one in charts]
    about = "<p>By step; what was measured is faint, and a mean of its neighbors is drawn over it.</p>"
    yield from _section("Curves", [about, "<div class='curves'>", *drawn, "</div>"] if drawn else [])
    happened = [line for line in run.lines if isinstance(line.get("note"), str)]
    yield from _section("Notes", [f"<p>Step {line['step']:,}: {safe(line['note'])}.</p>" for line in happened])
    options = Table(
        ("option", "value"), [(str(key), _told(value)) for key, value in _of(run.record, "options").items()]
    )
    yield from _section("Options", [_table(options)] if options.rows else [])
    yield from _section("Where and with what", [_table(Table(("what", "value"), list(_surroundings(run))))])
    yield "</body>\n</html>"


def _section(title: str, parts: Sequence[str]) -> Iterator[str]:
    if parts:
        yield f"<h2>{title}</h2>"
        yield from parts


def _summary(run: Run) -> Iterator[str]:
    source = run.result.get("pictures")
    yield f"A training of {run.record.get('recipe', 'something')}{f' on {source}' if source else ''}."
    options, done = _of(run.record, "options"), f"{run.steps:,} step{'s' * (run.steps != 1)}"
    spent = [told.get("seconds") for told in (run.state, *run.lines[-1:])]
    seconds = max(filter(_finite, spent), default=None)
    time = "" if seconds is None else f" in {_duration(seconds)}"
    if run.result and run.result.get("step") == run.steps:
        yield f"It is finished, after {done}{time}."
    else:
        planned = options.get("steps")
        budget = options.get("budget")
        length = f" of {planned:,}" if isinstance(planned, int) and budget is None else ""
        length = f", of a budget of {_duration(60 * budget)}" if _finite(budget) else length
        yield f"It is not finished: {done}{length}{time}, as far as its files tell."
    if run.damaged:
        lines, are = ("line", "is") if run.damaged == 1 else ("lines", "are")
        yield f"{run.damaged} {lines} of its log cannot be read and {are} left out."


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _sheets(run: Run) -> Iterator[str]:
    """Yield what the finished network makes and knows."""
    for kind, (path, text) in run.sheets.items():
        try:
            data, form = _small(path, _SHARP)
        except (ImageError, OSError):
            yield f"<p>The sheet of {kind} cannot be read.</p>"
            continue
        picture = f"<img src='data:image/{form};base64,{data}' alt='{safe(kind)}'>"
        caption = f"<b>{safe(kind.capitalize())}</b>: {safe(text)}."
        yield f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _pictures(run: Run) -> Iterator[str]:
    """Yield the first preview, the last one, and some between."""
    last = len(run.previews) - 1
    chosen = sorted({round(last * index / (_SHOWN - 1)) for index in range(_SHOWN)}) if run.previews else []
    about = run.record.get("caption")
    if chosen and isinstance(about, str) and about:
        yield f"<p>{safe(about[0].upper() + about[1:])}.</p>"
    for step, path in (run.previews[index] for index in reversed(chosen)):
        try:
            data, form = _small(path)
        except (ImageError, OSError):
            yield f"<p>The preview of step {step:,} cannot be read.</p>"
            continue
        caption = f"After {step:,} step{'s' * (step != 1)}"
        picture = f"<img src='data:image/{form};base64,{data}' alt='{caption}'>"
        yield f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _small(path: Path, most: int = _HEAVY) -> tuple[str, str]:
    """Return a picture's bytes in letters, and their format: as they are or, if they are many, fewer."""
    data = path.read_bytes()
    picture = load_picture(path)  # says it if it is none
    form = "png" if path.suffix == ".png" else "jpeg"
    if len(data) > most:
        picture, form = resize_picture(picture, min(_SIDE, max(picture.size))), "jpeg"
        for quality in _QUALITIES:
            if len(data := as_jpeg(picture, quality)) <= _HEAVY:
                break
    return base64.b64encode(data).decode(), form


def _results(run: Run) -> Iterator[str]:
    notes = run.result.get("notes")
    for note in notes if isinstance(notes, list) else ():
        yield f"<p>{safe(note)}.</p>"
    told = {**_of(run.result, "results"), **{name: run.result[name] for name in ("accuracy",) if name in run.result}}
    rows = [(str(name).replace("_", " "), _told(value)) for name, value in _plain(told)]
    if rows:
        yield _table(Table(("measure", "value"), rows))
    yield from (_table(table) for table in _measured(run.result) if table.rows)


def _evaluation(run: Run) -> Iterator[str]:
    if not run.evaluation:
        return
    if run.outdated:
        yield "<p>This was measured on another network than the one that is in the folder now.</p>"
    features, compared = run.evaluation.get("features"), _of(run.evaluation, "compared")
    yield f"<p>Features: {safe(features)}. Compared: {safe(_words(compared))}.</p>"
    yield from map(_table, evaluation_tables({**run.evaluation, "results": None}))  # which are above


def _surroundings(run: Run) -> Iterator[tuple[str, str]]:
    yield from ((str(name), _told(value)) for name, value in _of(run.record, "environment").items())
    for name in ("version", "torch", "data"):
        if name in run.record:
            yield {"version": "impasto", "data": "fingerprint of the pictures"}.get(name, name), _told(run.record[name])
    if isinstance(names := run.result.get("classes"), list):
        yield "classes", ", ".join(map(str, names))
    yield from ((str(name), _told(value)) for name, value in _of(run.record, "record").items())


def _table(table: Table) -> str:
    head = "".join(f"<th>{safe(heading)}</th>" for heading in table.headings)
    rows = "\n".join("<tr>" + "".join(f"<td>{safe(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<div class='wide'><table>\n<tr>{head}</tr>\n{rows}\n</table></div>"


def _told(value: object) -> str:
    """Return a value as people read it."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value)


def _words(told: Mapping[str, Any]) -> str:
    return ", ".join(f"{str(name).replace('_', ' ')} {_told(value)}" for name, value in told.items())


# --- evaluations ----------------------------------------------------------------------------------

_MEASURES = {  # field: what it is called, and what is best
    "frechet": ("Fréchet distance", "less"),
    "precision": ("precision", "as real"),
    "recall": ("recall", "as real"),
    "density": ("density", "as real"),
    "coverage": ("coverage", "as real"),
    "classes": ("classes of 1 % or more", "all"),
    "top_share": ("share of the most frequent", "as real"),
    "entropy": ("entropy of shares, nats", "as real"),
    "kl": ("KL to even shares, nats", "as real"),
    "confidence": ("confidence", "as real"),
    "garbage": ("garbage", "as real"),
    "spread": ("spread of features", "as real"),
    "nearest": ("nearest training picture", "as real"),
    "copies": ("copies", "0"),
    "pictures": ("pictures", ""),
}
_TRANSLATIONS = {
    "score": ("score", "0"),
    "accuracy": ("share that is taken for the other kind", "1"),
    "frechet": ("Fréchet distance", "less"),
    "structure": ("structure distance", "0"),
    "cycle_psnr": ("PSNR of what comes back, dB", "more"),
    "cycle_ssim": ("SSIM of what comes back", "1"),
    "kept": ("share of labels kept", "1"),
    "l1": ("mean difference from the truth", "0"),
    "psnr": ("PSNR to the truth, dB", "more"),
    "ssim": ("SSIM to the truth", "1"),
    "pictures": ("pictures", ""),
}
_MODES = {
    "covered": ("modes that are met", "all"),
    "modes": ("modes in all", ""),
    "high_quality": ("share beyond doubt", "as real"),
    "kl": ("KL to even shares, nats", "as real"),
    "samples": ("samples", ""),
}


def evaluation_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return what an evaluation found as tables: made pictures beside the anchors, shares of classes, and the rest.

    Args:
        found: as in `events.Judged`, or read from a file; what is missing or of another kind is left out.
    """
    tables = [
        _beside(_of(found, "sets"), _MEASURES),
        _shares(_of(found, "sets"), found.get("classes")),
        _beside(_of(found, "modes"), _MODES),
        *_compared(found),
        _rest(found),
    ]
    return [table for table in tables if table.rows]


def _compared(found: Mapping[str, Any]) -> list[Table]:
    """Return tables of translations, each way's for itself."""
    tables = _of(found, "tables")
    return [_beside(_of(tables, title), _TRANSLATIONS, title) for title in tables]


def _measured(header: Mapping[str, Any]) -> list[Table]:
    """Return tables of what a training measured at its end, of what it makes beside real pictures."""
    results = _of(header, "results")
    sets = {name: results[name] for name in ("made", "real") if name in results}
    modes = {"made": results.get("modes")}
    return [
        _beside(sets, _MEASURES),
        _shares(sets, header.get("classes")),
        _beside(modes, _MODES),
        *_compared(results),
    ]


def _beside(sets: Mapping[str, Any], measures: Mapping[str, tuple[str, str]], title: str = "measure") -> Table:
    names = [name for name in sets if isinstance(sets[name], dict)]
    rows = []
    for field, (called, best) in measures.items():
        values = [sets[name].get(field) for name in names]
        if any(_finite(value) for value in values):
            rows.append((called, *map(_number, values), best))
    return Table((title, *names, "best"), rows)


def _shares(sets: Mapping[str, Any], classes: object) -> Table:
    shares = {
        name: one["shares"] for name, one in sets.items() if isinstance(one, dict) and _numbers(one.get("shares"))
    }
    count = max(map(len, shares.values()), default=0)
    listed = range(count) if count <= _MANY else range(0)
    called = [str(name) for name in classes] if isinstance(classes, list | tuple) else []
    called += [f"class {one}" for one in range(len(called), count)]
    rows = [
        (called[one], *(f"{some[one]:.1%}" if one < len(some) else "" for some in shares.values())) for one in listed
    ]
    return Table(("share", *shares), rows)


def _rest(found: Mapping[str, Any]) -> Table:
    rows = []
    back, asked = _of(found, "reconstruction"), _of(found, "asked")
    if _finite(back.get("mse")):
        rows.append(("MSE of reconstructions", _number(back["mse"])))
    if _finite(found.get("prior_hole")):
        rows.append(("prior hole: Fréchet distance of made less reconstructed", _number(found["prior_hole"])))
    if _finite(asked.get("right")):
        rows.append(("share of the asked label", _number(asked["right"])))
    known = [(str(name).replace("_", " "), _told(value)) for name, value in _plain(_of(found, "results"))]
    return Table(("measure", "value"), [*rows, *((f"in training: {name}", value) for name, value in known)])


def _plain(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is a value by itself; what holds several is a table or nothing."""
    yield from ((name, value) for name, value in told.items() if not isinstance(value, dict | list | tuple))


def _number(value: object) -> str:
    if not _finite(value):
        return ""
    assert isinstance(value, int | float)
    value += 0.0 if isinstance(value, float) else 0  # no minus before 0
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _numbers(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_finite, value))
