"""Measure a trained network: samples, translations or classifications, beside real images and trivial baselines."""

import hashlib
import json
import os
import time
from collections.abc import Generator as Stream
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from impasto.api.train import start_training
from impasto.checkpoints.files import MODEL
from impasto.checkpoints.model import Model
from impasto.checkpoints.weights import folder
from impasto.data.arrays import Sets, read_sets, training_set
from impasto.devices import find_device, with_own_defaults
from impasto.errors import CheckpointError, OptionError, WeightsError
from impasto.evaluation.classification import evaluate_classifier
from impasto.evaluation.generative import evaluate_generator, load_with_accuracy, sets_of
from impasto.evaluation.options import EvaluateOptions
from impasto.evaluation.translation import TrainedTranslator, evaluate_pairs, evaluate_unpaired
from impasto.events import Done, Event, Measured, Note, Saved, Started, Step, noted
from impasto.inference.generator import Generator
from impasto.inference.load import load
from impasto.inference.translator import Translator
from impasto.io.files import check_place, left_out, put_file
from impasto.networks.classifier import Classifier
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.classifier.train_beside import train_domain_classifier
from impasto.reports.tables import Table, evaluation_tables
from impasto.run import Run, Verb
from impasto.training.monitor import Models, Monitor

__all__ = ["Evaluation", "evaluate", "iter_evaluate", "start_evaluate"]

_BACK = "model-back.safetensors"  # the opposite direction, which `impasto train cyclegan` writes beside MODEL
_BLANK = torch.ones(1, 3, 1, 1)  # a white image, for results without one
_Found = Stream[Event, None, tuple[dict[str, Any], Tensor, int]]  # values for JSON, a sheet, the number of images


@dataclass(frozen=True, repr=False)
class Evaluation(Mapping[str, Any]):
    """The results of an evaluation.

    It is a mapping with the keys that `iter_evaluate` lists; `evaluation.sets` is `evaluation["sets"]`.

    Attributes:
        found: plain values, ready for `json.dumps`.
    """

    found: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "found":  # while it is copied or unpickled
            raise AttributeError(name)
        try:
            return self.found[name]
        except KeyError:
            raise AttributeError(f"this evaluation has no {name!r}; it has {', '.join(self.found)}.") from None

    def as_dict(self) -> dict[str, Any]:
        """Return the plain values, ready for `json.dumps`."""
        return dict(self.found)

    def tables(self) -> list[Table]:
        """Return the results as tables, which the report and the command line show."""
        return [*_class_table(self.found), *evaluation_tables(self.found)]

    def __repr__(self) -> str:
        return f"Evaluation of {self.found.get('model', {}).get('path', 'a network')}: {', '.join(self.found)}"

    def __str__(self) -> str:
        return "\n\n".join(["\n".join(self._head()), *map(_as_text, self.tables())])

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{escape(line)}</p>" for line in self._head())
        return head + "".join(map(_as_html, self.tables()))

    def _head(self) -> Iterator[str]:
        yield repr(self).partition(":")[0]
        if "features" in self.found:
            yield f"Features: {self.found['features']}"


@with_own_defaults
def iter_evaluate(
    model: str | Path | Model,
    data: Any = None,
    options: EvaluateOptions = EvaluateOptions(),  # noqa: B008 - frozen
    *,
    back: str | Path | None = None,
    monitor: Monitor | None = None,
    output: str | Path | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of an evaluation, after those of the training of a classifier if one is needed.

    Everything is checked when this is called. `Measured.found` holds the values of `Evaluation`. Always:

    - "model", "pictures", "options", "version", "torch", "device": the conditions
    - "features": in words, the features that are compared; values from different features are not comparable
    - "classifier": None, or its "digest", "accuracy", "held", and "own", whether the monitor of the training trained it
    - "compared": numbers of images
    - "results": the measurements of the training itself

    For generators, autoencoders and VAEs:

    - "classes": names of the classes, if the set has labels
    - "sets": by name "generated", "reconstructed" (held-out images, for autoencoders and VAEs), and the reference sets
      "real" and "one class" (or "one cluster", without classes), each with the fields of
      `metrics.generative.ClassMeasures` or `SampleMeasures`
    - "reconstruction": "mse" of held-out images; "prior_hole": the Fréchet distance of samples minus that of
      reconstructions
    - "asked": for class-conditional networks, the fraction of samples that the classifier assigns to the requested
      class: "right" over all, and "by_class"
    - "modes": with `options.stacked`, in place of "sets": `metrics.modes.Modes` of "generated", "real", "one mode"

    For translators:

    - "back": the translator of the opposite direction, or None
    - "tables": by title "A to B", "B to A" or "pairs", by name "identity", "color transfer", with pairs "median color",
      and "network": the fields of `metrics.translation.Translation` and their "score", or of `PairedTranslation`
    - "score": the mean over both directions; with pairs the mean absolute difference

    For classifiers:

    - "accuracy": fraction of correctly classified test images; "by_class": for each class, None if it has no image
    - "shares": fraction of each class among the predictions

    Args:
        model: a file of a training, or its folder; a translator of the official programs; or a model that `load`
            returned.
        data: for translators `{"a": folder, "b": folder}` or, with known targets, `{"pairs": folder}`; for others a set
            of images, as for `data.arrays.read_sets`, if the training set has moved.
        options: all other settings.
        back: the translator of the opposite direction; by default the one beside the model.
        monitor: your own monitor, which then makes all measurements.
        output: a JSON file for the results.
        force: allow `output` to be overwritten.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong.
    """
    EvaluateOptions.check(options)
    if output is not None:
        check_place(output, force)
    target = None if output is None else Path(output)
    loaded = (
        model if isinstance(model, Model) else load(model, device=options.device, precision="float32", key=options.key)
    )
    if isinstance(loaded, Translator):
        return _translator(loaded, data, options, back, monitor, target)
    if isinstance(data, Mapping) or back is not None:
        raise WeightsError(f"{_named(loaded)}; expected a translator of CycleGAN, CUT or pix2pix.")
    if isinstance(loaded, Generator) and len(loaded.shape) == 3:
        return _generator(loaded, data, options, monitor, target)
    if loaded.kind == "classifier":
        return _classifier(loaded, data, options, monitor, target)
    raise WeightsError(
        f"{_named(loaded)}; expected a generator or autoencoder of pictures, a translator, or a classifier."
    )


def _named(model: Model) -> str:
    points = " of points" if isinstance(model, Generator) and len(model.shape) != 3 else ""
    return f"{model.path or model.name} holds the network {model.architecture!r}{points}"


def start_evaluate(
    model: Any,
    data: Any = None,
    *,
    output: str | Path | None = None,
    options: EvaluateOptions | None = None,
    back: Any = None,
    monitor: Monitor | None = None,
    force: bool = False,
    **settings: Any,
) -> Run[Evaluation]:
    """Measure a trained network beside real images and trivial baselines; it blocks, and returns an `Evaluation`.

    `evaluate.start` takes the same arguments and returns a `Run`.

    Args:
        model: a file of a training, its folder, a translator of the official programs, or a model that `load` returned.
        data: for translators `{"a": folder, "b": folder}` or `{"pairs": folder}`; for other models a set of images, as
            for `train`, if the training set has moved.
        output: a JSON file for the results.
        options: all settings at once.
        back: the translator of the opposite direction; by default the one beside the model.
        monitor: your own monitor, which then makes all measurements.
        force: allow `output` to be overwritten.
        settings: single settings of `EvaluateOptions`, such as `count=1000`.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `iter_evaluate`.
    """
    chosen = EvaluateOptions.completed(options, settings)
    events = iter_evaluate(model, data, chosen, back=back, monitor=monitor, output=output, force=force)
    return Run(noted(left_out(data, deep=True), events), lambda run: Evaluation(run.found or {}))


evaluate = Verb(start_evaluate)


def _events(
    found: _Found, told: dict[str, Any], model: Model, options: EvaluateOptions, output: Path | None
) -> Iterator[Event]:
    """Yield the events of an evaluation, and its results together with the conditions."""
    begun = time.monotonic()
    yield from map(Note, model.notes)
    measured, sheet, count = yield from found
    conditions = {
        "format": 1,
        "operation": "evaluate",
        "version": version("impasto"),
        "torch": torch.__version__,
        "device": str(find_device(options.device)),
        "options": options.model_dump(mode="json"),
        "classifier": None,
        "results": model.card.get("results"),
    }
    result = {**conditions, **told, **measured}
    yield Measured(result)
    if output is not None:
        put_file(output, (json.dumps(result, indent=2) + "\n").encode(), force=True, safe=True)
        yield Saved(output, "result")
    yield Done(sheet, count, time.monotonic() - begun, "picture")


def _by_monitor(monitor: Monitor, models: Models) -> _Found:
    """Measure the networks by a monitor."""
    yield from monitor.prepare()
    found, sentences = monitor.finish(models)
    yield from map(Note, sentences)
    return {"features": f"those of {type(monitor).__name__}", **found}, _BLANK, 0


# --- generators, autoencoders and VAEs ------------------------------------------------------------


def _generator(
    generator: Generator, data: Any, options: EvaluateOptions, monitor: Monitor | None, output: Path | None
) -> Iterator[Event]:
    if monitor is not None:
        found = _by_monitor(monitor, {"generator": partial(_samples, generator)})
    else:
        sets = sets_of(generator, data, options.stacked)
        found = evaluate_generator(generator, sets, options, classifier_of=partial(_classifier_of, options=options))
    return _events(found, _about(generator, data), generator, options, output)


def _about(model: Model, data: Any) -> dict[str, Any]:
    """Return what was measured, and on which set of images."""
    about = {
        "path": str(model.path or model.name or model.kind),
        "sha256": model.sha256 or None,
        "network": model.architecture,
        "step": model.card.get("step"),
    }
    source = model.card.get("pictures") if data is None else data
    return {"model": about, "pictures": str(source) if isinstance(source, str | Path) else None}


def _samples(generator: Generator, count: int, seed: int) -> Tensor:
    return generator.sample(count, seed=seed)


def _classifier_of(sets: Sets, options: EvaluateOptions) -> Stream[Event, None, Path]:
    """Return the file of the classifier of this set, in the folder of impasto's data; train one if there is none."""
    settings = ClassifierOptions(
        steps=options.classifier_steps,
        device=options.device,
        colors="rgb" if sets.train.shape[0] == 3 else "gray",
        save_seconds=1e9,
        preview_seconds=1e9,
    )
    known = settings.model_dump(mode="json", exclude={"device"})
    key = json.dumps([1, sets.train.labeled().fingerprint, sets.test.fingerprint, known])
    place = folder() / "classifiers"
    path = place / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
    if path.exists():
        try:
            load_with_accuracy(path)
        except (CheckpointError, WeightsError):
            yield Note(f"{path} is damaged; training another classifier")
        else:
            return path
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place, prefix="learning-") as part:  # two processes may train at once
        run = Path(part) / "run"
        with start_training("classifier", sets, options=settings, run=run) as training:
            for event in training:
                if isinstance(event, Started):
                    yield replace(event, run=place)
                elif isinstance(event, Step | Note):
                    yield event
        os.replace(run / MODEL, path)
    return path


# --- translators ----------------------------------------------------------------------------------


def _translator(
    model: Translator,
    data: Any,
    options: EvaluateOptions,
    back: Any,
    monitor: Monitor | None,
    output: Path | None,
) -> Iterator[Event]:
    folders = dict(data) if isinstance(data, Mapping) else {}
    device = find_device(options.device)
    if monitor is None and (set(folders) not in ({"a", "b"}, {"pairs"}) or ("pairs" in folders and back is not None)):
        raise OptionError(
            f"{model.path or model.name} is a translator; expected pictures of both domains, --a FOLDER --b FOLDER, or "
            "pairs with known targets, --pairs FOLDER, without --back."
        )
    translator = _trained(model)
    if "pairs" in folders:
        other = None
    else:
        beside = translator.path.with_name({MODEL: _BACK, _BACK: MODEL}.get(translator.path.name, _BACK))
        back = back if back is not None else beside if beside.is_file() else None
        other = None if back is None else _trained(_opposite(back, device))
    if monitor is not None:
        pairs = {"to_b": "to_a", "to_a": "to_b"}
        models = {translator.direction: translator.translate}
        models |= {} if other is None else {pairs[translator.direction]: other.translate}
        found = _by_monitor(monitor, models)
    elif "pairs" in folders:
        found = evaluate_pairs(translator, folders["pairs"], options, device)
    else:
        ends = (folders["a"], folders["b"])
        found = evaluate_unpaired(translator, other, ends, options, device, train_classifier=train_domain_classifier)
    return _events(found, {"model": translator.as_dict()}, model, options, output)


def _opposite(back: Any, device: torch.device) -> Translator:
    model = back if isinstance(back, Model) else load(back, device=device, precision="float32")
    if not isinstance(model, Translator):
        raise WeightsError(f"{_named(model)}; expected a translator of CycleGAN, CUT or pix2pix.")
    return model


def _trained(model: Translator) -> TrainedTranslator:
    return TrainedTranslator(model.path or Path(), model.architecture, model.card, model.paint)


# --- classifiers ----------------------------------------------------------------------------------


def _classifier(
    model: Model, data: Any, options: EvaluateOptions, monitor: Monitor | None, output: Path | None
) -> Iterator[Event]:
    path = model.path or Path(model.name)
    source = training_set(model) if data is None else data
    classifier = cast("Classifier", model.network)
    if monitor is not None:
        found = _by_monitor(monitor, {"classifier": classifier})
    else:
        colors = "rgb" if classifier.channels == 3 else "gray"
        crop = (model.card.get("options") or {}).get("crop", 0)
        sets = read_sets(source, crop=crop, colors=cast("Any", colors))
        names = model.card.get("classes")
        found = evaluate_classifier(classifier, sets, path, names if isinstance(names, list) else ())
    return _events(found, _about(model, data), model, options, output)


def _class_table(found: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the table of a classifier's accuracy, over all classes and for each class."""
    if isinstance(found.get("accuracy"), float):
        names = list(found.get("classes") or ())
        accuracies, fractions = found.get("by_class") or (), found.get("shares") or ()
        rows = [("all", f"{found['accuracy']:.1%}", "")]
        for number, (accuracy, fraction) in enumerate(zip(accuracies, fractions, strict=False)):
            name = str(names[number]) if number < len(names) else f"class {number}"
            rows.append((name, "" if accuracy is None else f"{accuracy:.1%}", f"{fraction:.1%}"))
        yield Table(("class", "accuracy", "fraction of predictions"), rows)


def _as_text(table: Table) -> str:
    rows = [tuple(table.headings), *table.rows]
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(table.headings))]
    lines = ("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(map(str.rstrip, lines))


def _as_html(table: Table) -> str:
    head = "".join(f"<th>{escape(str(one))}</th>" for one in table.headings)
    rows = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table><tr>{head}</tr>{rows}</table>"
