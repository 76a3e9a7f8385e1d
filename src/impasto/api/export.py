"""Export a trained network as an ONNX file, which browsers and programs without torch run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.checkpoints.model import Model
from impasto.errors import OptionError
from impasto.inference.load import load
from impasto.io.files import check_place, put_file
from impasto.onnx.check import compare, require_equal
from impasto.onnx.forms import form_of
from impasto.onnx.graph import describe, need_extra, to_onnx
from impasto.onnx.options import ExportOptions

__all__ = ["Exported", "default_output_export", "export"]


@dataclass(frozen=True)
class Exported:
    """A file that was exported.

    Attributes:
        path: of the file.
        largest: the largest difference between its results in onnxruntime and those of the model.
        mean: the mean absolute difference, at the size where it is largest.
        sizes: at how many sizes they were compared.
    """

    path: Path
    largest: float
    mean: float
    sizes: int


def export(
    model: Any,
    output: str | Path | None = None,
    *,
    options: ExportOptions | None = None,
    force: bool = False,
    **settings: Any,
) -> Exported:
    """Export a trained network as an ONNX file, run the file, and compare its results with those of the model.

    >>> impasto.export("painter", "painter.onnx", precision="int8").largest  # doctest: +SKIP

    Args:
        model: a model from `load`, or a name or path that `load` takes.
        output: the file, `.onnx`; by default NAME.onnx, here.
        options: all settings at once.
        force: overwrite the file.
        settings: single settings of `ExportOptions`: `precision`, `part`, `octaves`.

    Returns:
        The path, and the difference between the file and the model.

    Raises:
        OptionError: a setting does not fit the model, or the suffix is another one.
        MissingExtra: onnx, onnxscript or onnxruntime is missing.
        WeightsError: the file differs too much from the model; then it is not written.
        FileExists: the file is there, and `force` is off.
    """
    chosen = ExportOptions.completed(options, settings)
    path = None if output is None else _checked(Path(output), force)
    need_extra()
    loaded = model if isinstance(model, Model) else load(model, device="cpu", precision="float32")
    path = path or _checked(default_output_export(loaded, chosen), force)
    form = form_of(loaded, chosen)
    proto = to_onnx(form, chosen.precision)
    found = compare(proto.SerializeToString(), form)
    require_equal(found, chosen.precision)
    measured = {"largest_difference": found.largest, "mean_difference": found.mean}
    describe(proto, {**form.facts, **{name: f"{value:.2g}" for name, value in measured.items()}})
    put_file(path, proto.SerializeToString(), force)
    return Exported(path, found.largest, found.mean, found.sizes)


def default_output_export(model: Model, options: ExportOptions) -> Path:
    """Return a name for the file: painter -> painter.onnx, or painter-predictor.onnx for that part."""
    part = "" if options.part == "auto" else f"-{options.part}"
    return Path(f"{model.name or model.architecture}{part}.onnx")


def _checked(path: Path, force: bool) -> Path:
    if path.suffix.lower() != ".onnx":
        raise OptionError(f"{path} ends in {path.suffix or 'no suffix'}; expected a file that ends in .onnx.")
    check_place(path, force)
    return path
