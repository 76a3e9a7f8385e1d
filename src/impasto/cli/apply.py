"""Command that applies a trained network to pictures and videos: `apply`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from impasto.cli.app import app
from impasto.cli.flags import OUTPUT, flags_of, parsed, short_help
from impasto.cli.follow import do_each, follow, opened, pictures_of, targets_of
from impasto.cli.output import DONE, Force, PictureOutput, Talk
from impasto.errors import OptionError
from impasto.inference.options import ApplyOptions

__all__ = ["apply"]

_PROCESSING = Group("Processing", sort_key=2)
if TYPE_CHECKING:
    Settings = dict[str, str]
else:
    Settings = flags_of(ApplyOptions, _PROCESSING, without=["style"])


@short_help("apply", ApplyOptions)
@app.command(usage="Usage: impasto apply MODEL INPUT... [OPTIONS]", sort_key=3)
def apply(
    *pictures: Annotated[str, Parameter(show=False)],
    output: PictureOutput = None,
    force: Force = False,
    style: Annotated[tuple[str, ...], Parameter(metavar="STYLE", group=_PROCESSING)] = (),
    region: Annotated[tuple[tuple[str, str], ...], Parameter(metavar="MASK STYLE", group=_PROCESSING)] = (),
    keep: Annotated[str | None, Parameter(metavar="MASK", group=_PROCESSING)] = None,
    sheet: Annotated[bool, Parameter(group=OUTPUT)] = False,
    settings: Settings | None = None,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Apply a trained painter, translator or autoencoder to pictures and videos, in one pass.

    MODEL is a name from `impasto models`, a file of `impasto train` or its folder, or a network of another program:
    pytorch/examples, lengstrom and ml5, MicroAST, CycleGAN, pix2pix, CUT. INPUT is one or more pictures, videos or
    folders of pictures; - is a picture in standard input, and --output - is standard output. For example:
    `impasto apply starry_night photo.jpg clip.mp4 --strength 0.7`.

    Args:
        pictures: the network, then pictures and videos
        output: file for the result, or a folder for several results; by default INPUT_MODEL.png or .mp4, here
        force: overwrite existing files
        style: name from `impasto styles`, file of a trained style, or style image; several are mixed, by repeating it
            or by weight, as starry_night:0.6,great_wave:0.4
        region: apply another STYLE where MASK is white; can be repeated
        keep: leave the picture unchanged where MASK is white
        sheet: paint each picture in all styles of the network, on one page with their names
        settings: all other options
        talk: output on the terminal
    """
    if len(pictures) < 2:
        raise OptionError("apply needs a model, then one or more pictures or videos: impasto apply MODEL INPUT...")
    from impasto.data.style_names import joined

    options = ApplyOptions(**parsed(settings, ApplyOptions), style=joined(style))
    from impasto.api.apply import default_output_apply, is_video, open_painter, start_apply
    from impasto.io.files import left_out

    name, *inputs = pictures
    model = open_painter(name, options)
    contents = [path for given in inputs for path in ([Path(given)] if is_video(given) else pictures_of([given]))]
    talk.notes(left_out(inputs))
    batch = len(contents) > 1 or any(Path(path).is_dir() for path in inputs)

    def named(content: Path, folder: Path) -> Path:
        path = default_output_apply(content, model, folder, options.style)
        return path.with_name(f"{path.stem}-sheet.png") if sheet else path

    targets = targets_of(contents, output, batch, named)

    def paint(content: Path, target: Path) -> None:
        run = start_apply(
            model, opened(content), options=options, regions=region, keep=keep, sheet=sheet, output=target, force=force
        )
        follow(iter(run), talk)

    if not batch:
        paint(contents[0], targets[0])
        return DONE
    return do_each(paint, contents, targets, talk)
