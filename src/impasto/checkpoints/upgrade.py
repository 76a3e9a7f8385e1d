"""Old names in files, and the new ones that they get when a file is read. This module needs no torch."""

from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["upgrade_card", "upgrade_line", "upgrade_measures", "upgrade_tensors"]

_Value = TypeVar("_Value")

_KINDS = {"painter": "multistyle", "predictor": "style_predictor"}  # old names of networks
_OPTIONS = {  # old names of options
    "judge_width": "discriminator_width",
    "judge_layers": "discriminator_layers",
    "row_rate": "embedding_rate",
    "film": "progress_epochs",
    "usual": "reference_paintings",
    "places": "positions",
}
_MEASURES = {  # old names in results and evaluations
    "made": "generated",
    "one kind": "one cluster",
    "as they are": "identity",
    "colors changed": "color transfer",
    "score_of_as_they_are": "score_of_identity",
    "score_of_colors_changed": "score_of_color_transfer",
    "l1_of_as_they_are": "l1_of_identity",
    "l1_of_colors_changed": "l1_of_color_transfer",
    "pca_numbers": "pca_components",
    "floor": "target_entropy",
}
_LOSSES = {  # old names of losses in a log
    "real": "d_real",
    "made": "d_fake",
    "fool": "adversarial",
    "fool_a": "adversarial_a",
    "fool_b": "adversarial_b",
    "judge": "discriminator",
    "judge_a": "discriminator_a",
    "judge_b": "discriminator_b",
}
_TENSORS = {  # how old names of tensors in checkpoints began
    "network/judge_a/": "network/discriminator_a/",
    "network/judge_b/": "network/discriminator_b/",
    "network/judge/": "network/discriminator/",
    "recipe/judge/": "recipe/monitor/",
    "network/row/": "network/embedding/",
    "average/row/": "average/embedding/",
}


def upgrade_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a header or a record says, old names of networks, options and measures replaced by the new ones."""
    new = dict(card)
    if isinstance(kind := card.get("network"), str):
        new["network"] = _KINDS.get(kind, kind)
    if isinstance(options := card.get("options"), Mapping):
        new["options"] = {_OPTIONS.get(name, name): value for name, value in options.items()}
    if isinstance(results := card.get("results"), Mapping):
        new["results"] = upgrade_measures(results)
    settings = card.get("settings")
    if new.get("network") == "style_predictor" and isinstance(settings, Mapping) and "numbers" in settings:
        new["settings"] = {"embedding_size" if name == "numbers" else name: settings[name] for name in settings}
    return new


def upgrade_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of a log, old names of losses and measures replaced by the new ones."""
    new = dict(line)
    if isinstance(losses := line.get("losses"), Mapping):
        new["losses"] = {_LOSSES.get(name, name): value for name, value in losses.items()}
    if isinstance(measures := line.get("measures"), Mapping):
        new["measures"] = upgrade_measures(measures)
    return new


def upgrade_measures(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return results or an evaluation, old names replaced by the new ones at every depth."""
    return {
        _MEASURES.get(name, name): upgrade_measures(value) if isinstance(value, Mapping) else value
        for name, value in found.items()
    }


def upgrade_tensors(tensors: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return tensors of a file or checkpoint of ours under their present keys."""

    def renamed(key: str) -> str:
        old = next((old for old in _TENSORS if key.startswith(old)), None)
        if old is not None:
            return _TENSORS[old] + key.removeprefix(old)
        before, slash, last = key.rpartition("/")
        if last == "rows" and before + slash + "stem.weight" in tensors:  # of a multi-style network
            return before + slash + "embeddings"
        if last in ("row_center", "row_spread") and before + slash + "spread" in tensors:  # of a style predictor
            return before + slash + last.replace("row", "embedding")
        return "embedding" if key == "row" and len(tensors) == 1 else key  # of a single style

    return {renamed(key): value for key, value in tensors.items()}
