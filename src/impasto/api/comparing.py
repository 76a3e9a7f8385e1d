"""Networks that translate are measured, whoever trained them, on pictures that they did not learn from."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from torch import Tensor

from impasto.checkpoints.catalog import read_header
from impasto.checkpoints.classifier import classifier_file, digest, load_classifier
from impasto.checkpoints.files import CLASSIFIER, MODEL, save_json
from impasto.checkpoints.load import load_model, model_file
from impasto.checkpoints.model import Model
from impasto.checkpoints.weights import sha256
from impasto.data.folders import AlignedPairs, PictureFolder
from impasto.devices import find_device
from impasto.errors import OptionError, WeightsError
from impasto.evaluation.options import EvaluateOptions
from impasto.evaluation.translation import FEWEST, POOR, TITLES, Comparison, hold_out, seen, sides, translate
from impasto.events import Done, Event, Judged, Note, Saved
from impasto.io.files import check_place
from impasto.metrics.translation import judged_pairs
from impasto.networks.classifier import Classifier
from impasto.recipes.classifier.lesson import iter_domains
from impasto.recipes.classifier.options import ClassifierOptions

__all__ = ["iter_compare", "translates"]

_BACK = "model-back.safetensors"  # what `impasto train cyclegan` leaves beside MODEL
_KINDS = ("resnet", "unet")  # of networks that translate
_SIDE = 256  # px, of pictures for networks that do not tell at what size they learned: that of the papers
_MARK = 8  # letters of `PictureFolder.marks`
_SHOWN = 4  # pictures in the last event
_Pictures = TypeVar("_Pictures", bound=PictureFolder)


def translates(path: str | Path) -> bool:
    """Return whether a file, or what lies in a training's folder, looks like a network that translates."""
    path = Path(path).expanduser()
    path = path / MODEL if path.is_dir() else path
    return path.suffix in (".pth", ".pt") or read_header(path).get("network") in _KINDS


@dataclass(frozen=True)
class _Translator:
    path: Path
    model: Model

    @property
    def options(self) -> Mapping[str, Any]:
        told = self.model.header.get("options")
        return told if isinstance(told, dict) else {}

    @property
    def back(self) -> bool:
        """Whether it leads from B to A."""
        return bool(self.model.header.get("direction") == "b to a")

    @property
    def learned(self) -> set[str]:
        """Marks of the pictures that it learned from; empty if it does not tell."""
        marks = str(self.model.header.get("learned", ""))
        return {marks[first : first + _MARK] for first in range(0, len(marks), _MARK)}

    def __call__(self, pictures: Tensor) -> Tensor:
        made: Tensor = self.model(pictures)
        return made

    def as_dict(self) -> dict[str, Any]:
        header = self.model.header
        return {
            "path": str(self.path),
            "sha256": sha256(self.path),
            "network": self.model.architecture,
            "step": header.get("step"),
        }


def _opened(path: str | Path, device: torch.device) -> _Translator:
    place = model_file(path)[0]
    model = load_model(path, device=device)
    if model.architecture not in _KINDS:
        raise WeightsError(f"{path} is a network of {model.architecture}; expected one of CycleGAN, CUT or pix2pix.")
    return _Translator(place, model)


def iter_compare(
    model: str | Path,
    options: EvaluateOptions = EvaluateOptions(),  # noqa: B008 - frozen
    *,
    a: str | Path | None = None,
    b: str | Path | None = None,
    pairs: str | Path | None = None,
    back: str | Path | None = None,
    output: str | Path | None = None,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of measuring a network that translates, beside what costs nothing: Judged, Saved and Done.

    Pictures that the network learned from, as its file tells, are left out. `Judged.found` holds:

    - "model", "back", "pictures", "options", "version", "torch", "device": the conditions
    - "features": in words, what pictures are compared by
    - "classifier": its "digest", "accuracy" and on how many real pictures ("held"); None with pairs
    - "compared": how many pictures were
    - "tables": by title "A to B", "B to A" or "pairs", by name "as they are", "colors changed", with pairs "median
      color", and "network": the fields of `translation.Translation` and their "score", or of `translation.PairedTranslation`
    - "score": the mean over both ways; with pairs the mean absolute difference
    - "results": what the training itself had measured

    Args:
        model: a file of `impasto train cyclegan` or `pix2pix`, or its folder, or one of the official programs.
        options: everything else.
        a: folder of pictures of A, and
        b: of B; or
        pairs: folder of pairs, as for `folders.AlignedPairs`.
        back: the network of the other way; by default the one that lies beside.
        output: a file for what was found, as JSON.
        force: overwrite it.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong.
    """
    EvaluateOptions.check(options)
    if output is not None:
        check_place(output, force)
    if (pairs is None) == (a is None) or (a is None) != (b is None) or (pairs is not None and back is not None):
        raise OptionError(
            f"{model} translates pictures; expected two folders, --a FOLDER --b FOLDER, or --pairs FOLDER, where the "
            "truth is known."
        )
    device = find_device(options.device)
    network = _opened(model, device)
    target = None if output is None else Path(output)
    if pairs is not None:
        return _written(_pairs(network, pairs, options, device), network, options, target)
    assert a is not None and b is not None
    beside = network.path.with_name({MODEL: _BACK, _BACK: MODEL}.get(network.path.name, _BACK))
    other = _opened(back, device) if back is not None else _opened(beside, device) if beside.is_file() else None
    return _written(_domains(network, other, (a, b), options, device), network, options, target)


def _written(
    events: Iterator[Event], network: _Translator, options: EvaluateOptions, output: Path | None
) -> Iterator[Event]:
    begun = time.monotonic()
    for event in events:
        if isinstance(event, Judged):
            conditions = {
                "format": 1,
                "operation": "evaluate",
                "version": version("impasto"),
                "torch": torch.__version__,
                "device": str(find_device(options.device)),
                "model": network.as_dict(),
                "options": options.model_dump(mode="json"),
                "results": network.model.header.get("results"),
            }
            found = {**conditions, **event.found}
            if output is not None:
                save_json(output, found)
            yield Judged(found)
            if output is not None:
                yield Saved(output, "result")
        elif isinstance(event, Done):
            yield Done(event.image, event.steps, time.monotonic() - begun, event.unit)
        else:
            yield event


# --- what is looked at ----------------------------------------------------------------------------


def _cut(network: _Translator, options: EvaluateOptions) -> dict[str, Any]:
    """Return how pictures are cut: as those that were held out of its training."""
    known = network.options
    zoom = 1.0 if options.crop else known.get("zoom", 1.0)
    return {"crop": options.crop or known.get("crop", _SIDE), "flip": False, "zoom": zoom}


def _fresh(network: _Translator, data: _Pictures, folder: object, fewest: int) -> tuple[_Pictures, _Pictures]:
    """Return the pictures that the network learned from, and the others.

    Raises:
        OptionError: there are too few others.
    """
    known = [mark in network.learned for mark in data.marks]
    old, new = ([number for number, learned in enumerate(known) if learned is which] for which in (True, False))
    if len(new) < fewest:
        raise OptionError(
            f"{folder} holds {len(new)} pictures that {network.path} did not learn from; expected {fewest} or more."
        )
    return data.part(old), data.part(new)


def _warned(network: _Translator, left_out: str) -> Iterator[Event]:
    if not network.learned:
        yield Note("what it learned from is not known; if from these pictures, the numbers are better than it is")
    elif left_out:
        yield Note(f"{left_out} are left out, since it learned from them")


def _domains(
    network: _Translator,
    other: _Translator | None,
    folders: tuple[str | Path, str | Path],
    options: EvaluateOptions,
    device: torch.device,
) -> Iterator[Event]:
    seed, cut = int(network.options.get("seed", options.seed)), _cut(network, options)
    data = [PictureFolder(folder, seed=seed + number, **cut) for number, folder in enumerate(folders)]
    parts = [_fresh(network, kind, folder, 2 * FEWEST) for kind, folder in zip(data, folders, strict=True)]
    return _compared(network, other, parts, _classifier(network, options), folders, options, device)


def _compared(
    network: _Translator,
    other: _Translator | None,
    parts: Sequence[tuple[PictureFolder, PictureFolder]],
    classifier: Classifier | None,
    folders: tuple[str | Path, str | Path],
    options: EvaluateOptions,
    device: torch.device,
) -> Iterator[Event]:
    old, new = zip(*parts, strict=True)
    yield from _warned(network, f"{len(old[0])} pictures of A and {len(old[1])} of B" if any(map(len, old)) else "")
    pictures: tuple[Tensor, Tensor]
    if classifier is None:  # half of what is new, and what is old, is for it to learn from
        split = [hold_out(kind, len(kind) // 2) for kind in new]
        pictures = _both([held.each(options.count) for _, held in split])
        lessons = [
            torch.cat([part.each(options.count) for part in (known, rest) if len(part)])
            for known, (rest, _) in zip(old, split, strict=True)
        ]
        settings = ClassifierOptions(steps=options.classifier_steps, device=options.device, seed=options.seed)
        with TemporaryDirectory() as folder:
            place = Path(folder) / CLASSIFIER
            held = (seen(pictures[0]), seen(pictures[1]))
            yield from iter_domains(seen(lessons[0]), seen(lessons[1]), held, settings, path=place)
            classifier = load_classifier(place)
    else:
        pictures = _both([kind.each(options.count) for kind in new])
    comparison = Comparison(pictures, classifier, device)
    right = comparison.accuracy
    count = sum(map(len, pictures))
    if right < POOR:
        yield Note(f"the classifier knows A from B in only {right:.0%} of these pictures, so its measures say little")
    way = "to_a" if network.back else "to_b"
    ways = {way: network} | ({} if other is None else {next(name for name in TITLES if name != way): other})
    measured = comparison.measure(ways)
    about = {"digest": digest(classifier), "accuracy": right, "held": count}
    yield Judged(
        {
            "back": None if other is None else other.as_dict(),
            "pictures": {"a": str(folders[0]), "b": str(folders[1])},
            "features": f"classifier {about['digest']} of the two kinds, {right:.1%} right on {count} real pictures",
            "classifier": about,
            "compared": {"a": len(pictures[0]), "b": len(pictures[1]), "side": new[0].crop},
            "tables": comparison.tables(measured),
            "score": comparison.score(measured),
        }
    )
    source = pictures[int(network.back)][:_SHOWN]
    yield Done(_shown(source, translate(network, source, device)), count, 0.0, "picture")


def _both(pictures: list[Tensor]) -> tuple[Tensor, Tensor]:
    a, b = pictures
    if min(len(a), len(b)) < FEWEST:
        raise OptionError(f"{len(a)} pictures of A and {len(b)} of B can be read; expected {FEWEST} or more of each.")
    return a, b


def _classifier(network: _Translator, options: EvaluateOptions) -> Classifier | None:
    """Return the classifier that was asked for, or that judged the network while it learned, if there is one."""
    beside = network.path.with_name(CLASSIFIER)
    path = classifier_file(options.classifier) if options.classifier else beside
    if path == beside and not path.is_file():
        return None
    found = load_classifier(path)
    if (found.classes, found.channels) != (2, 3):
        raise OptionError(
            f"{path} knows {found.classes} classes in {found.channels} channels; expected the two kinds in 3, name "
            "another --classifier."
        )
    return found


def _pairs(network: _Translator, folder: str | Path, options: EvaluateOptions, device: torch.device) -> Iterator[Event]:
    cut = _cut(network, options)
    data = AlignedPairs(folder, seed=int(network.options.get("seed", options.seed)), **cut)
    return _against_truth(network, *_fresh(network, data, folder, 1), folder, options, device)


def _against_truth(
    network: _Translator,
    old: AlignedPairs,
    new: AlignedPairs,
    folder: str | Path,
    options: EvaluateOptions,
    device: torch.device,
) -> Iterator[Event]:
    yield from _warned(network, f"{len(old)} pairs" if len(old) else "")
    direction = options.direction or ("b-to-a" if network.back else "a-to-b")
    pairs = new.each(options.count)
    if not len(pairs):
        raise OptionError(f"none of the pairs in {folder} can be read; expected one or more.")
    source, truth = sides(pairs, direction)
    made = translate(network, source, device)
    table = judged_pairs({"network": made}, source, truth)
    yield Judged(
        {
            "back": None,
            "pictures": {"pairs": str(folder), "direction": direction},
            "features": "differences from the known truth",
            "classifier": None,
            "compared": {"pairs": len(pairs), "side": new.crop},
            "tables": {"pairs": {name: one.as_dict() for name, one in table.items()}},
            "score": table["network"].l1,
        }
    )
    yield Done(_shown(source[:_SHOWN], made[:_SHOWN], truth[:_SHOWN]), len(pairs), 0.0, "picture")


def _shown(*columns: Tensor) -> Tensor:
    """Return pictures side by side as one, `(1, 3, H, W)`."""
    return torch.cat([torch.cat(list(column), 1) for column in columns], 2)[None]
