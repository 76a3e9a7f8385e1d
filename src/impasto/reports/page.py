"""The report of a run: one HTML page with the method, the training curves, the samples and the results.

The page is made from the files in the folder of a run, finished or not. It holds everything it shows: it loads no other
file, uses no network and runs no script. Whatever the files contain stays text.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import ImageError
from impasto.io.convert import resize_picture
from impasto.io.decode import load_picture, read_bytes
from impasto.io.encode import as_jpeg, save_picture
from impasto.io.files import moved_draft
from impasto.io.naming import printable
from impasto.reports.charts import Chart, Line
from impasto.reports.run_files import FIGURES, REPORT, RunFiles, mapping_in, read_run
from impasto.reports.tables import Table, evaluation_tables, is_number, key_values, result_tables, value_text

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["write_report"]

_SHOWN = 6  # the most previews
_HEAVY = 150_000  # bytes of a preview beyond which it is compressed again
_SHARP = 250_000  # the same of a sheet, which may be a drawing
_SIDE = 1000  # its longer side then, in pixels
_QUALITIES = (85, 70, 50)  # of JPEG, tried in this order
_ALONE = ("losses", "measures")  # groups in a line of the log whose numbers get a chart each
_NO_CURVES = {"step", "steps", "seconds", "remaining", "skipped", "pace"}  # numbers of a line that get none


def write_report(run: str | Path) -> Path:
    """Write `report.html` into the folder of a run, and its curves as PNG into `figures/`. Older ones are replaced.

    Args:
        run: the folder of a training, finished or not.

    Returns:
        The path of the report.

    Raises:
        CheckpointError: there is no run in the folder.
        ImageError: a figure cannot be written.
        OSError: the folder cannot be written.
        MissingExtra: matplotlib is not installed.
    """
    read = read_run(run)
    charts = list(_charts(read.lines))
    for chart in charts:
        file = re.sub("[^A-Za-z0-9_-]+", "_", chart.title)[:80] or "curve"
        save_picture(read.path / FIGURES / f"{file}.png", load_picture(chart.pixels()), force=True)
    report = read.path / REPORT
    page = _template().render(_contents(read, charts))
    with moved_draft(report) as draft:
        draft.write_text(page, encoding="utf-8")
    return report


@cache
def _template() -> "Template":
    """Return the template. It escapes every value, and prints what cannot be printed as blanks."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        return value if isinstance(value, Markup) else printable(str(value))  # markup comes from our own macros only

    environment = Environment(
        autoescape=True, finalize=finalize, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(files(__package__).joinpath("template.html.j2").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class _Image:
    """An image of the page; without a source, the caption says why it is not there."""

    source: str
    alt: str
    caption: str
    title: str = ""


def _contents(run: RunFiles, charts: Sequence[Chart]) -> dict[str, Any]:
    """Return the values of the template."""
    caption, notes = run.record.get("caption"), run.result.get("notes")
    return {
        "name": run.path.resolve().name,
        "summary": list(_summary(run)),
        "samples": list(_samples(run)),
        "progress": list(_progress(run)),
        "caption": caption[0].upper() + caption[1:] if caption and isinstance(caption, str) else "",
        "notes": notes if isinstance(notes, list) else [],
        "results": result_tables(run.result),
        "evaluation": _evaluation(run),
        "curves": [_Image(_data_uri(one.svg().encode(), "svg+xml"), one.title, "") for one in charts],
        "events": [(f"{line['step']:,}", line["note"]) for line in run.lines if isinstance(line.get("note"), str)],
        "options": Table(("option", "value"), key_values(mapping_in(run.record, "options"))),
        "environment": Table(("what", "value"), list(_environment(run))),
    }


def _charts(lines: Sequence[Mapping[str, Any]]) -> Iterator[Chart]:
    """Yield the numbers of a log as charts: one for each loss and measure, and one for all learning rates."""
    points: dict[tuple[str, bool], dict[str, dict[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in _NO_CURVES:
                for part, number in value.items() if isinstance(value, dict) else [("", value)]:
                    if is_number(number):
                        key = (part, True) if name in _ALONE else (name.replace("_", " "), False)
                        points.setdefault(key, {}).setdefault(part, {})[line["step"]] = float(number)
    for (title, steep), parts in points.items():
        curves = [Line(part, *zip(*sorted(some.items()), strict=True)) for part, some in parts.items()]
        yield Chart(title, curves, steep=steep)


def _summary(run: RunFiles) -> Iterator[str]:
    """Yield sentences on the method, its data and how far the training is."""
    source = run.result.get("pictures")
    yield f"Method: {run.record.get('recipe', 'unknown')}{f'; data: {source}' if source else ''}."
    options, done = mapping_in(run.record, "options"), f"{run.steps:,} step{'s' * (run.steps != 1)}"
    spent = [told.get("seconds") for told in (run.state, *run.lines[-1:])]
    seconds = max(filter(is_number, spent), default=None)
    time = "" if seconds is None else f" in {_duration(seconds)}"
    if run.result and run.result.get("step") == run.steps:
        yield f"The training is finished, after {done}{time}."
    else:
        planned, budget = options.get("steps"), options.get("budget")
        length = f" of {planned:,}" if isinstance(planned, int) and budget is None else ""
        length = f", of a budget of {_duration(60 * budget)}" if is_number(budget) else length
        yield f"The training is not finished: {done}{length}{time}, by its files."
    if run.damaged:
        lines, are = ("line", "is") if run.damaged == 1 else ("lines", "are")
        yield f"{run.damaged} {lines} of the log cannot be read and {are} left out."


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _samples(run: RunFiles) -> Iterator[_Image]:
    """Yield the sheets of samples of the trained model."""
    for kind, (path, text) in run.sheets.items():
        try:
            yield _Image(_compressed(path, _SHARP), kind, f"{text}.", kind.capitalize())
        except (ImageError, OSError):
            yield _Image("", kind, f"The sheet of {kind} cannot be read.")


def _progress(run: RunFiles) -> Iterator[_Image]:
    """Yield the last preview, some between and the first one."""
    last = len(run.previews) - 1
    chosen = sorted({round(last * index / (_SHOWN - 1)) for index in range(_SHOWN)}) if run.previews else []
    for step, path in (run.previews[index] for index in reversed(chosen)):
        name = f"After {step:,} step{'s' * (step != 1)}"
        try:
            yield _Image(_compressed(path, _HEAVY), name, name)
        except (ImageError, OSError):
            yield _Image("", name, f"The preview of step {step:,} cannot be read.")


def _compressed(path: Path, most: int) -> str:
    """Return a picture as a data URI: the file as it is or, if that has too many bytes, a smaller JPEG."""
    data = read_bytes(path)
    picture = load_picture(path)  # refuses what is no picture
    form = "png" if path.suffix == ".png" else "jpeg"
    if len(data) > most:
        picture, form = resize_picture(picture, min(_SIDE, max(picture.size))), "jpeg"
        for quality in _QUALITIES:
            if len(data := as_jpeg(picture, quality)) <= _HEAVY:
                break
    return _data_uri(data, form)


def _data_uri(data: bytes, form: str) -> str:
    return f"data:image/{form};base64,{base64.b64encode(data).decode()}"


def _evaluation(run: RunFiles) -> dict[str, Any] | None:
    """Return the sentences and the tables of an evaluation."""
    if not run.evaluation:
        return None
    sentences = ["This evaluation is of another model than the one in the folder now."] if run.outdated else []
    compared = mapping_in(run.evaluation, "compared")
    counts = ", ".join(f"{name.replace('_', ' ')} {value_text(value)}" for name, value in compared.items())
    sentences.append(f"Features: {run.evaluation.get('features')}. Compared: {counts}.")
    tables = evaluation_tables({**run.evaluation, "results": None})  # the results of the training stand above
    return {"sentences": sentences, "tables": tables}


def _environment(run: RunFiles) -> Iterator[tuple[str, str]]:
    """Yield device, precision, versions, data and whatever else decides about the result."""
    yield from key_values(mapping_in(run.record, "environment"))
    for name in ("version", "torch", "data"):
        if name in run.record:
            called = {"version": "impasto", "data": "fingerprint of the data"}.get(name, name)
            yield called, value_text(run.record[name])
    if isinstance(names := run.result.get("classes"), list):
        yield "classes", ", ".join(map(str, names))
    yield from key_values(mapping_in(run.record, "record"))
