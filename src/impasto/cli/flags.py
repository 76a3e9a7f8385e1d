"""Flags of the command line, which are generated from the fields of options."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, TypeVar, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic.fields import FieldInfo

from impasto.cli.app import app
from impasto.options import Options
from impasto.training.options import TrainOptions

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

__all__ = [
    "DATA",
    "METHOD",
    "OUTPUT",
    "flag_name",
    "flags_of",
    "grouped",
    "parsed",
    "preset_flag",
    "short_help",
    "whole_help",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])
DATA, METHOD, OUTPUT = Group("Data", sort_key=1), Group("Method", sort_key=2), Group("Output", sort_key=30)

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
_TRAINING, _RARE = Group("Training", sort_key=3), Group("More", sort_key=20)
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


def flag_name(name: str) -> str:
    """Return the flag of a field: size -> --size."""
    return f"--{name.replace('_', '-')}"


def _flag(name: str, field: FieldInfo, group: Group, default: str | None) -> Any:
    """Return the annotation of one flag; the options convert and check its text."""
    flag = flag_name(name)
    if field.annotation is bool:
        return Annotated[bool, Parameter(name=flag, help=field.description, group=group)]
    return Annotated[str, Parameter(name=flag, help=_help(field, default), group=group, metavar=_metavar(field))]


def flags_of(options: type[Options], group: Group | None = None, without: Sequence[str] = ()) -> Any:
    """Return the parameter that takes all flags of some options.

    Its value holds the given flags only; the preset decides the others.

    Args:
        options: their class.
        group: one heading for all flags; by default the headings of `stylize`, or those of a training.
        without: fields that the command takes in another way.
    """
    training, common = issubclass(options, TrainOptions), options.common()
    defaults = _running_defaults(options)
    fields = sorted(options.own_first().items(), key=_order) if training else options.own_first().items()
    flags = {}
    for name, info in sorted(
        (item for item in fields if item[0] not in without), key=lambda item: item[0] not in common
    ):
        where = group or (_training_group(name) if training else grouped(name))
        flags[name] = _flag(name, info, where, defaults.get(name))
    return Annotated[TypedDict(options.__name__, flags, total=False), Parameter(name="*")]  # type: ignore[operator]


def short_help(words: str, options: type[Options]) -> Callable[[_Function], _Function]:
    """Decorate a command so that its help shows the common options, and says how to see the others.

    Args:
        words: the command, such as "train vae".
        options: the class of its options; other flags of the command are always shown.
    """

    def shortened(function: _Function) -> _Function:
        rare = frozenset(map(flag_name, options.model_fields.keys() - options.common()))
        if rare:
            command = app.parse_commands(words.split())[1][-1]
            command.help_formatter = _Without(rare)
            command.help_epilogue = f"{len(rare)} more option{'s' * (len(rare) != 1)}: impasto {words} --help-all"
        return function

    return shortened


@dataclass(frozen=True)
class _Without:
    """Formatter of a help page that leaves out some flags."""

    flags: frozenset[str]

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print one group of flags."""
        from cyclopts.help import DefaultFormatter

        entries = [entry for entry in panel.entries if self.flags.isdisjoint(entry.names)]
        if entries:
            DefaultFormatter()(console, options, panel.copy(entries=entries))


def whole_help(words: Sequence[str], console: "Console | None" = None) -> None:
    """Print the help of the command that some words name, with all its options."""
    command = app.parse_commands(list(words))[1][-1]
    short = command.help_formatter, command.help_epilogue
    command.help_formatter = command.help_epilogue = None
    try:
        app.help_print(list(words), console=console)
    finally:
        command.help_formatter, command.help_epilogue = short


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
