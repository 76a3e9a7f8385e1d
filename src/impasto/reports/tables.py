"""Tables of results: generated samples beside real ones, translations, modes, and how their numbers are written."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from impasto.reports.run_files import mapping_in

__all__ = ["Table", "evaluation_tables", "is_number", "key_values", "result_tables", "value_text"]

_MANY = 20  # the most classes whose fractions are listed
_MEASURES = {  # field: its name, and its best value
    "frechet": ("Fréchet distance", "lower"),
    "precision": ("precision", "as real"),
    "recall": ("recall", "as real"),
    "density": ("density", "as real"),
    "coverage": ("coverage", "as real"),
    "classes": ("classes of 1 % or more", "all"),
    "top_share": ("fraction of the most frequent class", "as real"),
    "entropy": ("entropy of the classes, nats", "as real"),
    "kl": ("KL to uniform, nats", "as real"),
    "confidence": ("mean confidence of the classifier", "as real"),
    "garbage": ("fraction below 0.5 confidence", "as real"),
    "spread": ("spread of the features", "as real"),
    "nearest": ("distance to the nearest training image", "as real"),
    "copies": ("fraction of copies", "0"),
    "pictures": ("images", ""),
}
_TRANSLATIONS = {
    "score": ("translation score", "0"),
    "accuracy": ("target-domain accuracy", "1"),
    "frechet": ("Fréchet distance", "lower"),
    "structure": ("structure distance", "0"),
    "cycle_psnr": ("cycle PSNR, dB", "higher"),
    "cycle_ssim": ("cycle SSIM", "1"),
    "kept": ("fraction of labels kept", "1"),
    "l1": ("L1 to the ground truth", "0"),
    "psnr": ("PSNR to the ground truth, dB", "higher"),
    "ssim": ("SSIM to the ground truth", "1"),
    "pictures": ("images", ""),
}
_MODES = {
    "covered": ("modes covered", "all"),
    "modes": ("modes", ""),
    "high_quality": ("fraction of high-quality samples", "as real"),
    "kl": ("KL to uniform, nats", "as real"),
    "samples": ("samples", ""),
}


@dataclass(frozen=True)
class Table:
    """Headings, and rows of as many texts."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def evaluation_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return an evaluation as tables: generated samples beside the baselines, fractions of classes, and the rest.

    Args:
        found: the results of `impasto evaluate`, from the event or from its file. Whatever is missing or has another
            type is left out.
    """
    sets = mapping_in(found, "sets")
    return _filled(
        _beside(sets, _MEASURES),
        _fractions(sets, found.get("classes")),
        _beside(mapping_in(found, "modes"), _MODES),
        *_translations(found),
        _rest(found),
    )


def result_tables(header: Mapping[str, Any]) -> list[Table]:
    """Return what a training measured at its end as tables, from the header of its model."""
    results = mapping_in(header, "results")
    sets = {name: one for name, one in results.items() if name not in ("modes", "tables")}
    values = {**results, **{name: header[name] for name in ("accuracy",) if name in header}}
    return _filled(
        Table(("measure", "value"), [(_spaced(name), value_text(value)) for name, value in _single(values)]),
        _beside(sets, _MEASURES),
        _fractions(sets, header.get("classes")),
        _beside({"generated": results.get("modes")}, _MODES),
        *_translations(results),
    )


def key_values(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the keys of a mapping and their values, as rows of two texts."""
    return [(str(key), value_text(value)) for key, value in told.items()]


def value_text(value: object) -> str:
    """Return a JSON value as people read it."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _filled(*tables: Table) -> list[Table]:
    return [table for table in tables if table.rows]


def _translations(found: Mapping[str, Any]) -> list[Table]:
    """Return one table for each direction of a translation."""
    tables = mapping_in(found, "tables")
    return [_beside(mapping_in(tables, title), _TRANSLATIONS, title) for title in tables]


def _beside(sets: Mapping[str, Any], measures: Mapping[str, tuple[str, str]], title: str = "measure") -> Table:
    """Return a row for each measure and a column for each set."""
    names = [name for name in sets if isinstance(sets[name], dict)]
    rows = []
    for field, (called, best) in measures.items():
        values = [sets[name].get(field) for name in names]
        if any(map(is_number, values)):
            rows.append((called, *map(_number_text, values), best))
    return Table((title, *names, "best"), rows)


def _fractions(sets: Mapping[str, Any], classes: object) -> Table:
    """Return a row for each class and a column for each set."""
    fractions = {
        name: one["shares"] for name, one in sets.items() if isinstance(one, dict) and _are_numbers(one.get("shares"))
    }
    count = max(map(len, fractions.values()), default=0)
    names = [str(name) for name in classes] if isinstance(classes, list | tuple) else []
    names += [f"class {one}" for one in range(len(names), count)]
    rows = [
        (names[one], *(f"{some[one]:.1%}" if one < len(some) else "" for some in fractions.values()))
        for one in range(count if count <= _MANY else 0)
    ]
    return Table(("fraction", *fractions), rows)


def _rest(found: Mapping[str, Any]) -> Table:
    """Return the values that stand alone."""
    values = {
        "reconstruction MSE": mapping_in(found, "reconstruction").get("mse"),
        "prior hole: Fréchet distance of generated minus reconstructed": found.get("prior_hole"),
        "accuracy on requested labels": mapping_in(found, "asked").get("right"),
    }
    rows = [(name, _number_text(value)) for name, value in values.items() if is_number(value)]
    trained = _single(mapping_in(found, "results"))
    return Table(("measure", "value"), [*rows, *((f"in training: {_spaced(n)}", value_text(v)) for n, v in trained)])


def _single(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the values that hold no others."""
    yield from ((name, value) for name, value in told.items() if not isinstance(value, dict | list | tuple))


def _spaced(name: object) -> str:
    return str(name).replace("_", " ")


def _number_text(value: object) -> str:
    if not is_number(value):
        return ""
    value += 0.0 if isinstance(value, float) else 0  # no minus before 0
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _are_numbers(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(is_number, value))
