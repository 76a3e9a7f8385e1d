"""What a network makes is measured: drawn, looked at, and set beside real pictures and those of one class only.

The numbers are those of `evaluation`. Here is what has to be there first: the network, the pictures that it learned
from, and a classifier of them: the one that watched the training, so that numbers are those of its log; or else one
that is trained once for each set and kept in impasto's folder.
"""

import hashlib
import json
import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from impasto.api.learning import iter_classifier
from impasto.checkpoints.classifier import classifier_file, digest, load_classifier
from impasto.checkpoints.files import CLASSIFIER, MODEL, load_state, save_json
from impasto.checkpoints.weights import folder, sha256
from impasto.data.arrays import Sets, read_sets
from impasto.data.synthetic import StackedDigits
from impasto.devices import find_device
from impasto.errors import CheckpointError, ImageError, OptionError, WeightsError
from impasto.evaluation.generative import Evaluator, Likeness, PixelEvaluator, stacked_modes
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Began, Done, Event, Judged, Note, Saved, Trained
from impasto.inference.generator import Maker, load_maker
from impasto.io.files import check_place
from impasto.metrics.classifier import look
from impasto.networks.classifier import Classifier
from impasto.recipes.classifier.options import ClassifierOptions

__all__ = ["iter_evaluate"]

_PART = 1000  # pictures that are made at a time and become bytes
_SHOWN = 8  # pictures in the last event
_FEW = 640  # pictures, ten for each feature, below which covariances are unsteady
_POOR = 0.9  # accuracy of a classifier below which a person is told

_School = Generator[Event, None, tuple[Classifier, dict[str, Any]]]


def iter_evaluate(
    model: str | Path | Maker,
    options: EvaluateOptions = EvaluateOptions(),  # noqa: B008 - frozen
    *,
    pictures: str | Path | Sets | None = None,
    output: str | Path | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of an evaluation: those of a classifier's training if need be, Notes, Judged, Saved and Done.

    Everything is checked when this is called. `Judged.found` holds:

    - "model", "pictures", "options", "version", "torch", "device": the conditions
    - "features": in words, what pictures are compared by; numbers of different features are never comparable
    - "classifier": None, or its "digest", "accuracy", "held", and if it is its "own": the one that watched the training
    - "classes": their names, if the set has some
    - "compared": how many pictures were, of each kind, and the "neighbors"
    - "sets": by name "made", "reconstructed" (of autoencoders, from held-out pictures), and the two anchors, "real" and
      "one class" (or "one kind", without classes), each with the fields of `generative.Quality` or `Likeness`
    - "reconstruction": "mse" of those; "prior_hole": the Fréchet distance of made ones less that of reconstructed ones
    - "asked": of conditional networks, the share of pictures that the classifier takes for what was asked for: "right"
      in all, and "by_class"
    - "modes": with `options.stacked`, and in place of "sets": `modes.Modes` of "made", "real" and "one mode"
    - "results": what the training itself had measured

    Args:
        model: a file that a training of small pictures left, or its folder; or one that is loaded.
        options: everything else.
        pictures: the set, if it is not where it was; see `arrays.read_sets`.
        output: a file for what was found, as JSON.
        force: overwrite it.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `generator.load_maker`, `Maker.sets`.
    """
    EvaluateOptions.check(options)
    if output is not None:
        check_place(output, force)
    maker = model if isinstance(model, Maker) else load_maker(model, device=find_device(options.device))
    sets = _channels(maker, pictures) if options.stacked else maker.sets(pictures)
    return _events(maker, sets, options, pictures, None if output is None else Path(output))


def _events(
    maker: Maker, sets: Sets, options: EvaluateOptions, pictures: str | Path | Sets | None, output: Path | None
) -> Iterator[Event]:
    begun = time.monotonic()
    found = _conditions(maker, options, pictures) | {"classes": list(sets.train.names)}
    classifier = None
    if options.classifier or (sets.train.labels is not None and sets.train.labels.min() != sets.train.labels.max()):
        classifier, found["classifier"] = yield from _classifier(maker, sets, options)
    yield from map(Note, _warnings(maker, sets, options, found["classifier"]))
    if options.stacked:
        if classifier is None:
            raise OptionError("modes are counted by classes, and these pictures have no labels; name others.")
        found |= _features(classifier, found["classifier"])
        made, told = _stacked(maker, sets, options, classifier)
    else:
        labels = _labels(maker, options.count)
        made = _made(maker, options.count, options.seed, labels)
        told = _compared(maker, sets, options, classifier, made)
        found |= _features(classifier, found["classifier"])
        if classifier is not None and labels is not None and maker.network.classes == classifier.classes:
            told["asked"] = _obeyed(classifier, made, labels)
    found |= told
    if output is not None:
        save_json(output, found)
    yield Judged(found)
    if output is not None:
        yield Saved(output, "result")
    shown = torch.cat(list(made[:_SHOWN]), -1)[None].float() / 255
    yield Done(shown.expand(1, 3, -1, -1), len(made), time.monotonic() - begun, "picture")


def _conditions(maker: Maker, options: EvaluateOptions, pictures: str | Path | Sets | None) -> dict[str, Any]:
    header = maker.header
    source = header.get("pictures") if pictures is None else None if isinstance(pictures, Sets) else str(pictures)
    return {
        "format": 1,
        "operation": "evaluate",
        "version": version("impasto"),
        "torch": torch.__version__,
        "device": str(maker.device),
        "model": {
            "path": str(maker.path),
            "sha256": sha256(maker.path) if maker.path.is_file() else None,
            "network": maker.kind,
            "step": header.get("step"),
        },
        "pictures": source,
        "options": options.model_dump(mode="json"),
        "classifier": None,
        "results": header.get("results"),
    }


def _features(classifier: Classifier | None, about: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what pictures are compared by, in words."""
    if classifier is None or about is None:
        return {"features": "principal components of pixels, as there are no classes"}
    right = "" if about["accuracy"] is None else f", {about['accuracy']:.1%} right on {about['held']:,} held out"
    own = ", which watched its training" if about["own"] else ""
    return {"features": f"classifier {about['digest']} of {classifier.classes} classes{right}{own}"}


def _warnings(maker: Maker, sets: Sets, options: EvaluateOptions, about: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield sentences on what weakens the numbers."""
    if about is None:
        yield (
            "the pictures have no labels, or all the same, so there are no classes: they are compared by the principal "
            "components of their pixels"
        )
    elif about["accuracy"] is not None and about["accuracy"] < _POOR:
        yield f"the classifier names only {about['accuracy']:.0%} rightly, so its classes say little"
    if about is not None and _watcher(maker) is not None and not about["own"]:
        yield f"classifier {_watcher(maker)} watched its training; distances in its log are not comparable with these"
    fewer = min(options.count, len(sets.train), len(sets.test))
    if fewer < options.count and not options.stacked:
        yield f"{fewer} pictures are compared instead of {options.count}: there are no more real ones held out"
    if fewer < _FEW and not options.stacked:
        yield f"Fréchet distances of {fewer} pictures are unsteady; compare them only with those of as many"
    if maker.header.get("options", {}).get("targets", "gray") != "gray":
        yield "it learned from black and white pixels, and what it makes is compared with gray ones"


# --- who looks ------------------------------------------------------------------------------------


def _classifier(maker: Maker, sets: Sets, options: EvaluateOptions) -> _School:
    """Return a classifier of the set and what is known of it: the one asked for, the training's, or the set's."""
    own = None if options.classifier else _own(maker)
    if options.classifier:
        path = classifier_file(options.classifier)
        classifier, about = _loaded(path)
        ours = (classifier.channels, *classifier.size)
        if ours != sets.train.shape:
            ours_, theirs = ("×".join(map(str, shape)) for shape in (ours, sets.train.shape))
            raise OptionError(f"{path} looks at pictures of {ours_}; expected one for {theirs}.")
    elif own is not None and (own[0].channels, *own[0].size) == sets.train.shape:  # of stacked digits it is not
        classifier, about = own
    else:
        classifier, about = yield from _kept(sets, options)
    return classifier.to(find_device(options.device)), {**about, "own": about["digest"] == _watcher(maker)}


def _watcher(maker: Maker) -> str | None:
    """Return the digest of the classifier that looked at pictures while the network learned."""
    results = maker.header.get("results")
    found: str | None = results.get("classifier") if isinstance(results, dict) else None
    return found


def _own(maker: Maker) -> tuple[Classifier, dict[str, Any]] | None:
    """Return that classifier, if it is still where it was."""
    watcher, named = _watcher(maker), maker.header.get("options", {}).get("classifier")
    for path in (maker.path.parent / CLASSIFIER, *([classifier_file(named)] if named else [])):
        if watcher is not None and path.is_file():
            with suppress(CheckpointError, WeightsError):
                found = _loaded(path)
                if found[1]["digest"] == watcher:
                    return found
    return None


def _loaded(path: Path) -> tuple[Classifier, dict[str, Any]]:
    classifier, told = load_classifier(path), load_state(path)[1]
    return classifier, {"digest": digest(classifier), "accuracy": told.get("accuracy"), "held": told.get("held", 0)}


def _kept(sets: Sets, options: EvaluateOptions) -> _School:
    """Return the classifier that is kept for this set; if there is none, train one."""
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
            return _loaded(path)
        except (CheckpointError, WeightsError):
            yield Note(f"{path} is damaged; training another one")
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place, prefix="learning-") as made:  # of two that train it at once, both are right
        run = Path(made) / "run"
        with closing(cast("Any", iter_classifier(sets, settings, run=run))) as events:
            for event in events:
                if isinstance(event, Began):
                    yield replace(event, run=place)
                elif isinstance(event, Trained | Note):
                    yield event
        os.replace(run / MODEL, path)
    return _loaded(path)


# --- what is looked at ----------------------------------------------------------------------------


def _labels(maker: Maker, count: int) -> Tensor | None:
    """Return what a conditional network is asked for, each class in turn; None if it cannot be asked."""
    return torch.arange(count) % maker.classes if maker.classes else None


def _made(maker: Maker, count: int, seed: int, labels: Tensor | None) -> Tensor:
    """Return new pictures as bytes, `(count, C, H, W)` on the CPU."""
    numbers = maker.draw(count, torch.Generator().manual_seed(seed))
    parts = []
    for first in range(0, count, _PART):
        some = slice(first, first + _PART)
        parts.append(_bytes(maker.make(numbers[some], None if labels is None else labels[some])))
    return torch.cat(parts)


def _bytes(pictures: Tensor) -> Tensor:
    if not bool(pictures.isfinite().all()):
        raise ImageError("some of what it makes is not finite; expected pictures. Train it anew.")
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def _compared(
    maker: Maker, sets: Sets, options: EvaluateOptions, classifier: Classifier | None, made: Tensor
) -> dict[str, Any]:
    """Return the battery of what it makes and, if it can read pictures, of what it makes of those; with anchors."""
    settings = {"count": options.count, "k": options.neighbors, "seed": options.seed}
    train, test = sets.train.images, sets.test.images
    measure: Evaluator | PixelEvaluator
    if classifier is None:
        measure = PixelEvaluator(train, test, **settings)
    else:
        measure = Evaluator(classifier, train, test, **settings)
    found: dict[str, Likeness] = {"made": measure(made)}
    told: dict[str, Any] = {}
    if hasattr(maker.network, "encode"):
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(options.seed))
        order = order[: measure.count]
        held = test[order].cpu()
        labels = sets.test.labels[order].cpu() if maker.classes and sets.test.labels is not None else None
        back = maker.make(maker.encode(held, labels), labels).cpu()
        found["reconstructed"] = measure(back)
        told = {
            "reconstruction": {
                "mse": float((back.double() - held.double() / 255).square().mean()),
                "pictures": len(held),
            },
            "prior_hole": found["made"].frechet - found["reconstructed"].frechet,
        }
    found["real"] = measure.real
    if isinstance(measure, Evaluator):
        found["one class"] = measure.one_class
    else:
        found["one kind"] = measure.one_kind
    compared = {
        "made": measure.count,
        "training": len(train),
        "held_out": len(test),
        "neighbors": options.neighbors,
    }
    return {"compared": compared, "sets": {name: quality.as_dict() for name, quality in found.items()}, **told}


def _obeyed(classifier: Classifier, made: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return how often the classifier sees what was asked for."""
    right = (look(classifier, made).labels.cpu() == labels).double()
    by_class = [
        float(right[labels == one].mean()) if bool((labels == one).any()) else None for one in range(classifier.classes)
    ]
    return {"right": float(right.mean()), "by_class": by_class}


# --- stacked digits -------------------------------------------------------------------------------


def _channels(maker: Maker, pictures: str | Path | Sets | None) -> Sets:
    """Return the set whose pictures are stacked by three, in gray."""
    sets = read_sets(maker.source(pictures), crop=maker.header.get("options", {}).get("crop", 0), colors="gray")
    if maker.shape != (3, *sets.train.shape[1:]):
        made, single = ("×".join(map(str, shape)) for shape in (maker.shape, sets.train.shape))
        raise OptionError(
            f"{maker.path} makes pictures of {made}, and the set has {single}; expected three channels of that size, "
            "each a picture of the set. Leave out --stacked."
        )
    return sets


def _stacked(
    maker: Maker, sets: Sets, options: EvaluateOptions, classifier: Classifier
) -> tuple[Tensor, dict[str, Any]]:
    """Return what was made, and how many modes it has beside real pictures and one mode only."""
    count = options.stacked_count
    made = _made(maker, count, options.seed, _labels(maker, count))
    test = sets.test.images.cpu()
    seen = look(classifier, test)
    single = test[(seen.labels == seen.counts.argmax()).cpu()]
    modes = {
        "made": stacked_modes(classifier, made),
        "real": stacked_modes(classifier, StackedDigits(test, seed=options.seed).batch(range(count))),
        "one mode": stacked_modes(classifier, StackedDigits(single, seed=options.seed).batch(range(count))),
    }
    compared = {"made": count, "training": len(sets.train), "held_out": len(test)}
    return made, {"compared": compared, "modes": {name: one.as_dict() for name, one in modes.items()}}
