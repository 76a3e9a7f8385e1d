"""The files of a run, read as far as they can be read: what the report and the drawing of samples start from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.checkpoints.catalog import read_header
from impasto.checkpoints.upgrade import upgrade_line, upgrade_measures
from impasto.checkpoints.weights import sha256
from impasto.errors import CheckpointError, ImageError
from impasto.io.embedded import read_metadata
from impasto.reading import read_json, read_json_file

__all__ = ["EVALUATION", "FIGURES", "REPORT", "RunFiles", "mapping_in", "read_run", "sheet_path"]

REPORT = "report.html"  # in the folder of a run, as the other two
EVALUATION = "evaluation.json"
FIGURES = "figures"
_MODEL, _CHECKPOINT = "model.safetensors", "checkpoint.safetensors"  # `checkpoints.files` has these, and imports torch
_SHEETS = {  # by the architecture of a generative model: the kinds of `impasto sample` that the report shows
    "autoencoder": ("reconstructions", "embeddings"),
    "vae": ("reconstructions", "grid", "traversal", "embeddings"),
    "generator": ("grid", "interpolation", "nearest"),
}


@dataclass(frozen=True)
class RunFiles:
    """What the folder of a run holds.

    Attributes:
        path: the folder.
        record: the method and its options, from options.json.
        lines: the lines of the log that can be read.
        damaged: the number of lines of the log that cannot.
        previews: step and file of each preview, by step.
        result: the header of the trained model; empty if there is none.
        state: the header of the checkpoint; empty if there is none.
        evaluation: the results of `impasto evaluate`; empty if there are none.
        outdated: whether the evaluation is of another model than the one in the folder.
        sheets: the sheets of samples of this model, by kind: file and caption.
        lacking: the kinds of sheets that belong to such a model and are missing.
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
        """The number of training steps so far, by the latest of the files."""
        known = [line["step"] for line in self.lines]
        known += [told["step"] for told in (self.result, self.state) if isinstance(told.get("step"), int)]
        return max(known, default=0)


def read_run(run: str | Path) -> RunFiles:
    """Read the folder of a run, finished or not. Files that are missing or damaged count as empty.

    Raises:
        CheckpointError: the folder is not that of a training, or its options.json is damaged.
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
    evaluation, model = upgrade_measures(_object(path / EVALUATION)), path / _MODEL
    result = read_header(model)
    kinds = _kinds(result)
    digest = sha256(model) if model.is_file() and (evaluation or kinds) else None
    sheets = {kind: found for kind in kinds if (found := _sheet(path, kind, digest))}
    return RunFiles(
        path=path,
        record=record,
        lines=lines,
        damaged=damaged,
        previews=sorted(numbered),
        result=result,
        state=read_header(path / _CHECKPOINT),
        evaluation=evaluation,
        outdated=bool(evaluation) and model.is_file() and mapping_in(evaluation, "model").get("sha256") != digest,
        sheets=sheets,
        lacking=[kind for kind in kinds if kind not in sheets],
    )


def sheet_path(run: str | Path, kind: str) -> Path:
    """Return the file in the folder of a run that holds a sheet of samples of this kind."""
    return Path(run) / FIGURES / f"sample_{kind}.png"


def mapping_in(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the JSON object of this name in another one; empty if there is none."""
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _kinds(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of sheets of a model. A latent space of one or two dimensions is shown whole, as a manifold."""
    known, settings = _SHEETS.get(str(result.get("network")), ()), mapping_in(result, "settings")
    latent, shape = settings.get("latent"), settings.get("shape")
    if isinstance(shape, list) and len(shape) != 3:  # its samples are points
        return ()
    flat = isinstance(latent, int) and latent <= 2
    return tuple("manifold" if kind == "traversal" and flat else kind for kind in known)


def _sheet(run: Path, kind: str, digest: str | None) -> tuple[Path, str] | None:
    """Return file and caption of a sheet; None if it is missing, or of another model."""
    path = sheet_path(run, kind)
    try:
        told = read_metadata(path) or {}
    except ImageError:
        return None
    mine = told.get("operation") == "sample" and told.get("sha256") == digest
    return (path, str(told.get("text", ""))) if mine else None


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is none."""
    try:
        found = read_json_file(path)
    except (OSError, ValueError):
        found = {}
    return found if isinstance(found, dict) else {}


def _log(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the lines of a log that can be read, and the number of those that cannot."""
    lines, damaged = [], 0
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            line = read_json(text)
        except ValueError:
            line = None
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(upgrade_line(line))
        else:
            damaged += 1
    return lines, damaged
