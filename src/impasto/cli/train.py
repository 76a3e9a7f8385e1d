"""Commands that train: one for each method of the registry, generated from its declaration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from cyclopts import App, Parameter

from impasto.cli.app import app
from impasto.cli.flags import DATA, METHOD, OUTPUT, flags_of, parsed, preset_flag, short_help
from impasto.cli.follow import follow
from impasto.cli.output import DONE, Output, Talk
from impasto.errors import OptionError
from impasto.recipes import METHODS, as_method
from impasto.training.method import Input, Method
from impasto.training.options import TrainOptions

__all__ = ["Place", "Training", "add_methods", "command_of", "train"]

train = App(name="train", help="Train networks on your own pictures.", sort_key=7)
app.command(train)


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class Place:
    """Where a training is written.

    Attributes:
        output: folder for all files of the run, the model as model.safetensors; by default METHOD-DATA, here
        resume: continue the run in that folder; without --output, the newest run of this method and data
        force: replace the run in that folder
    """

    output: Output = None
    resume: bool = False
    force: bool = False


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class Training(Talk, Place):  # the flags of the last come first
    """Where a training is written, and how much is written on the terminal."""


def add_methods() -> None:
    """Register a command for each method that has none yet."""
    known = set(train)
    for name in METHODS.names():
        method = as_method(METHODS.get(name))
        if method.name in known:
            continue
        command = command_of(method)
        train.command(command, name=method.name, help=_help(method), usage=_usage(method))
        short_help(f"train {method.name}", method.options)(command)


def _usage(method: Method) -> str:
    words = [_word(one) for one in method.inputs if one.positional]
    named = [f"--{one.name} {_metavar(one)}" for one in method.inputs if not one.positional and one.required]
    return " ".join(["Usage: impasto train", method.name, *words, *named, "[OPTIONS]"])


def _word(one: Input) -> str:
    word = one.name.upper() + ("..." if one.many else "")
    return word if one.required else f"[{word}]"


def _metavar(one: Input) -> str:
    return {"model": "MODEL", "images": "SET", "style": "STYLE"}.get(one.sort, "FOLDER")


def _help(method: Method) -> str:
    """Return the help text of a command: summary, inputs, details, an example."""
    taken = [f"{one.name.upper()}: {one.help}." for one in method.inputs if one.positional]
    example = [f"For example: `impasto train {method.example}`."] if method.example else []
    more = " ".join(filter(None, [*taken, method.details, *example]))
    return f"{method.summary}\n\n{more}"


def _named_inputs(method: Method) -> Any:
    """Return the parameter that takes the inputs with flags."""
    flags: dict[str, Any] = {}
    for one in (one for one in method.inputs if not one.positional):
        default = "" if one.default is None else f" [default {one.default}]"
        told = Parameter(name=f"--{one.name}", metavar=_metavar(one), group=DATA, help=f"{one.help}{default}")
        flags[one.name] = Annotated[tuple[str, ...] if one.many else str, told]
    return Annotated[TypedDict(f"{method.name}_inputs", flags, total=False), Parameter(name="*")]  # type: ignore[operator]


def command_of(method: Method) -> Callable[..., int]:
    """Return the command of a method."""
    training = issubclass(method.options, TrainOptions)
    settings_type: Any = flags_of(method.options, None if training else METHOD)
    inputs_type: Any = _named_inputs(method)
    preset_type: Any = preset_flag(method.presets, METHOD)

    def command(
        *words: Any,
        inputs: Any = None,
        preset: Any = None,
        settings: Any = None,
        run: Any = Training(),  # noqa: B008
    ) -> int:
        data = {**_by_role(method, words), **(inputs or {})}
        from impasto.api.train import start_training  # here, because the import takes seconds

        training = start_training(
            method,
            data,
            run=run.output,
            preset=preset or "default",
            resume=run.resume,
            force=run.force,
            **parsed(settings, method.options),
        )
        follow(iter(training), run, training.folder)
        return DONE

    nothing = Annotated[None, Parameter(show=False, parse=False)]
    command.__annotations__ = {
        "words": Annotated[str, Parameter(show=False)],
        "inputs": inputs_type | None if any(not one.positional for one in method.inputs) else nothing,
        "preset": preset_type,
        "settings": settings_type | None,
        "run": Training,
        "return": int,
    }
    command.__name__ = command.__qualname__ = method.name
    return command


def _by_role(method: Method, words: tuple[str, ...]) -> dict[str, Any]:
    """Return the words of the command line by data role.

    Raises:
        OptionError: there are more words than roles.
    """
    data: dict[str, Any] = {}
    rest = list(words)
    for one in (one for one in method.inputs if one.positional):
        if one.many:
            data[one.name], rest = rest, []
        elif rest:
            data[one.name] = rest.pop(0)
    if rest:
        raise OptionError(f"{rest[0]!r} is one input too many; expected {_usage(method).removeprefix('Usage: ')}.")
    return {name: value for name, value in data.items() if value}
