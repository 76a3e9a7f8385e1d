"""Flags of the command line, which are generated from the fields of options."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypedDict, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic.fields import FieldInfo

from impasto.options import Options
from impasto.training.options import TrainOptions

__all__ = ["DATA", "METHOD", "OUTPUT", "flags_of", "grouped", "parsed", "preset_flag"]

DATA, METHOD, OUTPUT = Group("Data", sort_key=1), Group("Method", sort_key=2), Group("Output", sort_key=4)

# Groups of `stylize`; a group that is not listed comes last.
STYLIZE_GROUPS = {
    "Picture": ("size", "colors", "color_map", "init", "init_image", "seed"),
    "Style": (
        "strength",
        "motifs",
        "strokes",
        "content_weight",
        "content_focus",
        "style_weight",
        "tv_weight",
        "range_weight",
        "style_scale",
        "style_weights",
        "style_crop",
    ),
    "Regions": ("feather",),
    "Time": ("steps", "step_decay", "min_size", "scale_factor", "minutes", "plateau", "max_memory", "device"),
    "Losses": ("content_layers", "style_layers", "style_loss", "gram_norm", "loss_scale", "total_variation"),
    "Network": ("encoder", "polish", "polish_encoder", "precision", "pooling", "padding"),
    "Optimizer": ("optimizer", "learning_rate", "momentum", "adaptivity", "history", "averaging"),
}
_OTHERS = "More"
_SORTED = {title: Group(title, sort_key=index) for index, title in enumerate((*STYLIZE_GROUPS, _OTHERS), start=10)}
# Options of a training: those that are set often come first, those that are set rarely last.
_OFTEN = (
    "steps", "epochs", "budget", "batch", "crop", "colors", "learning_rate", "schedule", "ema", "seed", "device",
    "precision",
)  # fmt: skip
_TRAINING, _RARE = Group("Training", sort_key=3), Group("More", sort_key=5)
_RARELY = (*(name for name in TrainOptions.model_fields if name not in _OFTEN), "progress_epochs")


def grouped(name: str) -> Group:
    """Return the group of `stylize` that a flag belongs to."""
    return _SORTED[next((title for title, names in STYLIZE_GROUPS.items() if name in names), _OTHERS)]


def _training_group(name: str) -> Group:
    return _TRAINING if name in _OFTEN else _RARE if name in _RARELY else METHOD


def _metavar(field: FieldInfo) -> str:
    kinds = {int: "N", float: "X", tuple: "X,X", dict: "LAYERS", Literal: "NAME"}
    annotation = next(kind for kind in (*get_args(field.annotation), field.annotation) if kind is not type(None))
    if get_origin(field.annotation) in kinds:
        annotation = get_origin(field.annotation)
    return kinds.get(annotation, "TEXT")


def _shown(value: object) -> str:
    """Return a default as it is typed on the command line."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{weight:g}" for name, weight in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(field: FieldInfo) -> str:
    limits = {name: getattr(limit, name) for limit in field.metadata for name in _WORDS if hasattr(limit, name)}
    limits = {name: value for name, value in limits.items() if value < _FAR}
    if {"ge", "le"} <= limits.keys():
        return f"{limits['ge']:g} to {limits['le']:g}"
    return ", ".join(_WORDS[name].format(limits[name]) for name in _WORDS if name in limits)


_WORDS = {"ge": "{:g} or more", "gt": "more than {:g}", "le": "up to {:g}", "lt": "less than {:g}"}
_FAR = 100_000  # larger limits are not shown


def _help(field: FieldInfo, default: str | None = None) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    told = all(choice in str(field.description) for choice in choices)
    shown = "" if field.default in (None, (), "", {}) else f"default {_shown(field.default)}"
    shown = shown if default is None else default
    facts = "; ".join(filter(None, ("" if told else ", ".join(choices), _range(field), shown)))
    return f"{field.description} [{facts}]" if facts else str(field.description)


def _flag(name: str, field: FieldInfo, group: Group, default: str | None) -> Any:
    """Return the annotation of one flag; the options convert and check its text."""
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool:
        return Annotated[bool, Parameter(name=flag, help=field.description, group=group)]
    return Annotated[str, Parameter(name=flag, help=_help(field, default), group=group, metavar=_metavar(field))]


def flags_of(options: type[Options], group: Group | None = None) -> Any:
    """Return the parameter that takes all flags of some options.

    Its value holds the given flags only; the preset decides the others.

    Args:
        options: their class.
        group: one heading for all flags; by default the headings of `stylize`, or those of a training.
    """
    training = issubclass(options, TrainOptions)
    defaults = _running_defaults(options)
    flags = {}
    for name, info in sorted(options.own_first().items(), key=_order) if training else options.own_first().items():
        where = group or (_training_group(name) if training else grouped(name))
        flags[name] = _flag(name, info, where, defaults.get(name))
    return Annotated[TypedDict(options.__name__, flags, total=False), Parameter(name="*")]  # type: ignore[operator]


def _order(item: tuple[str, FieldInfo]) -> int:
    name, _ = item
    return _OFTEN.index(name) if name in _OFTEN else 0


def _running_defaults(options: type[Options]) -> dict[str, str]:
    """Return the help text of defaults that another field decides."""
    fields = options.model_fields
    for name in ("epochs", "budget"):
        if name in fields and fields[name].default is not None:
            return {"steps": f"default: --{name} {_shown(fields[name].default)} decides"}
    return {}


def parsed(settings: Mapping[str, Any] | None, options: type[Options]) -> dict[str, Any]:
    """Split the texts of tuples at commas; the options convert all texts."""
    fields = options.model_fields
    return {
        name: text.split(",") if get_origin(fields[name].annotation) is tuple else text
        for name, text in (settings or {}).items()
    }


def preset_flag(presets: Iterable[str], group: Group) -> Any:
    """Return the flag that names a preset."""
    text = f"named settings to start from, which other flags change: {', '.join(presets)}"
    return Annotated[str | None, Parameter(metavar="NAME", help=text, group=group)]
