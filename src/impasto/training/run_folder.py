"""The folder of a run: options, log, previews, checkpoint, model and TensorBoard; what may be overwritten there."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.card import checked_card
from impasto.checkpoints.files import CHECKPOINT, MODEL, load_about, load_state, save_json
from impasto.checkpoints.upgrade import upgrade_card
from impasto.errors import CheckpointError, FileExists, OptionError, Unfinished
from impasto.events import Step
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.files import check_folder, clean_drafts, hold, is_draft
from impasto.io.sheets import picture_sheet
from impasto.reading import read_json_file
from impasto.reports.run_files import EVALUATION, FIGURES, REPORT
from impasto.training.engine import State

__all__ = ["FolderLock", "RunFolder", "unfinished"]

# what may differ when a run is resumed
_FREE = ("steps", "budget", "save_seconds", "preview_seconds", "preview_steps", "progress_epochs", "log_steps")


_OPTIONS = "options.json"  # is written first


_LOG = "log.jsonl"


_MARGIN = 4  # pixels between the images of a preview


# the files that a training puts into folders of the run
_FILLED = (f"previews/{'[0-9]' * 8}.jpg", f"{FIGURES}/*.png", "tensorboard/events.*")


_PLOT_SECONDS = 0.2  # the least time between two points on TensorBoard


_LOCK = ".lock"  # the file that a training holds while it writes


def unfinished(path: Path) -> bool:
    """Return whether a folder holds a run that has begun and not ended."""
    return _is_run(path) and not (path / MODEL).exists()


def _is_run(path: Path) -> bool:
    """Return whether a folder is of a training: its options say so, or if they are damaged, a file of tensors does."""
    try:
        told = read_json_file(path / _OPTIONS)
        return isinstance(told, dict) and told.get("operation") == "train"
    except OSError:
        return False
    except ValueError:
        return any((path / name).is_file() for name in (CHECKPOINT, MODEL, _LOG))


def _is_empty(path: Path) -> bool:
    """Return whether there is no file in a folder and its subfolders but drafts and a lock, as a kill may leave."""
    files = (name for _, _, names in os.walk(path) for name in names)
    links = (one for one in path.iterdir() if one.is_symlink()) if path.exists() else ()
    return not any(name != _LOCK and not is_draft(name) for name in files) and not any(links)


class FolderLock:
    """A lock on the folder of a run, which one process holds at a time."""

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path / _LOCK, -1

    def take(self) -> None:
        """Lock the folder, which exists, until `release`.

        Raises:
            FileExists: another training writes there.
        """
        if self._descriptor >= 0:
            return
        with suppress(PermissionError):  # nothing can be written there, as others say
            held = hold(self._path)
            if held is None:
                raise FileExists(f"another training writes to {self._path.parent}; name another folder, or wait.")
            self._descriptor = held

    def release(self) -> None:
        """Unlock the folder."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1

    __del__ = release  # of a run that nobody began


class RunFolder:
    """The folder of a run; only the first process writes to it.

    Attributes:
        path: the folder.
        checkpoint: the state to resume from.
        model: the trained model.
        options: the method and its options, as JSON.
        log: a JSON object for each logged step.
        preview: the latest preview.
        previews: the folder of all previews.
        figure: the latest preview as PNG, for the report.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint, self.model = path / CHECKPOINT, path / MODEL
        self.options, self.log = path / _OPTIONS, path / _LOG
        self.preview, self.previews = path / "preview.jpg", path / "previews"
        self.figure = path / FIGURES / "preview.png"
        self._board: Any = None
        self._lock = FolderLock(path)
        self._plot_due = 0.0

    def check(self, record: Mapping[str, Any], resume: bool, force: bool) -> State | None:
        """Return the state to resume from, or None for a new run; nothing is written yet.

        Args:
            record: method, options and data of this training, which must match those of a run that is resumed.
            resume: whether to resume the run in the folder.
            force: whether a new run may replace the one in the folder.

        Raises:
            Unfinished: it holds a run that has not ended, and neither `resume` nor `force` is given.
            FileExists: it is not empty, and neither is given; it holds no run; or another process trains there.
            CheckpointError: there is no run to resume, it is another one, or its files are damaged.
            OptionError: the folder is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"{self.path} is a file; expected a folder for the run.")
        if self.path.exists():
            self._lock.take()
        check_folder(self.path)
        if not _is_run(self.path) and not _is_empty(self.path):
            raise FileExists(
                f"{self.path} is not empty and holds no training of impasto, so nothing was touched; name another "
                "folder by -o."
            )
        if not resume:
            if unfinished(self.path) and not force:
                raise Unfinished(
                    f"{self.path} holds a training that has not ended; pass --force to start anew, or --resume to "
                    "continue."
                )
            if _is_run(self.path) and not force:
                raise FileExists(f"{self.path} is not empty; --resume goes on with its run, --force starts anew.")
            return None
        if not self.options.is_file():
            raise CheckpointError(f"there is no run to resume in {self.path}; run without --resume.")
        if not self.checkpoint.is_file():  # it was stopped before the first one
            try:
                _check_same(self.options, checked_card(read_json_file(self.options)), record)
            except (OSError, ValueError) as error:
                raise CheckpointError(f"{self.options} is damaged; start anew with --force.") from error
            return None
        tensors, values = load_state(self.checkpoint)
        if not {"step", "seconds", "failures", "optimizers", "log", "data"} <= values.keys():
            raise CheckpointError(f"{self.checkpoint} is damaged; start anew with --force.")
        _check_same(self.checkpoint, values, record)
        return tensors, values

    def begin(self, record: Mapping[str, Any], saved: State | None) -> None:
        """Make the folder ready: delete the files of an earlier run, or what a resumed one logged after its checkpoint.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            save_json(self.options, record)  # first, so that a killed run is known as one
            for folder in (self.previews, self.figure.parent):
                folder.mkdir(exist_ok=True)
            for folder in (self.path, self.previews, self.figure.parent):
                clean_drafts(folder)
            for path in (self.options, self.checkpoint, self.model):  # drafts of earlier versions
                path.with_name(f"{path.name}.part").unlink(missing_ok=True)
            if saved is None:
                ours = [self.checkpoint, self.model, self.preview, self.log, self.path / REPORT, self.path / EVALUATION]
                for old in [*ours, *self._more(), *(old for where in _FILLED for old in self.path.glob(where))]:
                    old.unlink(missing_ok=True)
            if os.path.lexists(self.log) and not self.log.is_file():
                raise CheckpointError(f"{self.log} is not a file; delete it.")
            if saved is not None and self.log.exists():
                os.truncate(self.log, min(saved[1]["log"], self.log.stat().st_size))
        except FileExists:
            raise
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be used: {error.strerror or error}.") from error
        self._board = _board(self.path / "tensorboard", saved[1]["step"] + 1 if saved else None)

    def _more(self) -> Iterator[Path]:
        """Yield the further models of an earlier training, not what somebody else put beside them."""
        for path in self.path.glob("model-*.safetensors"):
            with suppress(CheckpointError):
                if load_about(path).get("operation") == "train":
                    yield path

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def plot(self, event: Step) -> None:
        """Add a step to TensorBoard, if that is installed; very short steps are not all added."""
        now = time.monotonic()
        if self._board is not None and (now >= self._plot_due or event.measures or event.step == event.steps):
            self._plot_due = now + _PLOT_SECONDS
            groups = {"loss": event.losses, "learning_rate": event.learning_rate, "measure": event.measures}
            for group, values in groups.items():
                for name, value in values.items():
                    self._board.add_scalar(f"{group}/{name}", value, event.step)
            self._board.add_scalar("steps_per_second", event.pace, event.step)

    def show(self, grid: Tensor, step: int) -> Tensor:
        """Write a preview.

        Args:
            grid: images `(rows, columns, 3, h, w)` in [0, 1].
            step: the number of steps so far.

        Returns:
            The preview as one image, `(1, 3, H, W)` in [0, 1].
        """
        cells = [[cell.permute(1, 2, 0).numpy() for cell in row] for row in grid]
        sheet = picture_sheet(cells, margin=_MARGIN)
        layout = {"step": step, "rows": len(cells), "columns": len(cells[0]), "margin": _MARGIN}
        for path in (self.previews / f"{step:08}.jpg", self.preview, self.figure):
            save_picture(path, load_picture(sheet), metadata=layout, force=True, quality=90)
        picture = torch.from_numpy(sheet).permute(2, 0, 1)
        if self._board is not None:
            self._board.add_image("preview", picture, step)
        return picture[None]

    def close(self) -> None:
        """Finish the files of TensorBoard, and unlock the folder."""
        if self._board is not None:
            self._board.close()
        self._lock.release()


def _check_same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse a state of another method or with other options; only the length of the run may differ."""
    if old.get("operation") != "train" or old.get("format") != new["format"]:
        raise CheckpointError(f"{path} is not of a training that this version can continue; start anew with --force.")
    if old.get("recipe") != new["recipe"]:
        raise CheckpointError(f"{path} is of a training of {old.get('recipe')}, not of {new['recipe']}.")
    free = ", ".join(_FREE)
    known = upgrade_card(old).get("options") or {}
    for name in sorted({*known, *new["options"]} - set(_FREE)):
        before, now = known.get(name), new["options"].get(name)
        if before != now:
            raise CheckpointError(
                f"{path} is of a run with {name} {before}, not {now}; expected the same settings, "
                f"only {free} may change."
            )
    told = old.get("record") or {}
    for name in sorted({*told, *new["record"]}):
        if told.get(name) != new["record"].get(name):
            raise CheckpointError(f"{path} is of a run with other {name}; expected the same.")


def _board(folder: Path, purge: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=purge)
