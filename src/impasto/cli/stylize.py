"""Commands that stylize a picture by optimization: `stylize`, `rerun`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.app import app
from impasto.cli.command import command_like
from impasto.cli.flags import OUTPUT, flag_name, flags_of, grouped, parsed, preset_flag, short_help
from impasto.cli.follow import do_each, follow, opened, pictures_of, targets_of
from impasto.cli.output import DONE, Force, PictureOutput, Talk, write_note
from impasto.errors import OptionError
from impasto.events import Event, Note
from impasto.style_transfer.options import PRESETS, QUALITIES, StylizeOptions

__all__ = ["rerun", "stylize"]

_QUALITIES = f"quality, at the cost of time: {', '.join(QUALITIES)}; good unless a preset decides"
Quality = Annotated[str | None, Parameter(metavar="NAME", group=grouped("steps"), help=_QUALITIES)]
if TYPE_CHECKING:
    Settings = dict[str, str]
    Preset = str | None
else:
    Settings = flags_of(StylizeOptions)
    Preset = preset_flag(PRESETS, grouped("strength"))


@short_help("stylize", StylizeOptions)
@app.command(usage="Usage: impasto stylize PHOTO... STYLE [OPTIONS]", sort_key=1)
def stylize(
    *pictures: Annotated[str, Parameter(show=False)],
    output: PictureOutput = None,
    preview: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    contact_sheet: Annotated[bool, Parameter(group=OUTPUT)] = False,
    force: Force = False,
    resume: Annotated[bool, Parameter(group=OUTPUT)] = False,
    quality: Quality = None,
    preset: Preset = "default",
    style: Annotated[tuple[str, ...], Parameter(metavar="STYLE", group=grouped("strength"))] = (),
    add_style: Annotated[tuple[str, ...], Parameter(show=False)] = (),
    region: Annotated[tuple[tuple[str, str], ...], Parameter(metavar="MASK STYLE", group=grouped("feather"))] = (),
    keep: Annotated[str | None, Parameter(metavar="MASK", group=grouped("feather"))] = None,
    settings: Settings | None = None,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Paint photographs in the style of a picture, by optimization.

    PHOTO is one or more pictures or folders of pictures. STYLE, the last word, is a style image or a name from
    `impasto styles`. With --style, all words are photographs. - is a picture in standard input; --output - writes the
    result to standard output. For example:
    `impasto stylize photo.jpg starry_night --size 768`.

    Args:
        pictures: photographs, then the style
        output: file for the result, or a folder for several results; by default PHOTO_STYLE.png, here
        preview: file that shows the picture so far, during the optimization
        contact_sheet: write one sheet of small previews over content weight and style scale, and print the command of
            each
        force: overwrite existing files
        resume: continue an interrupted run of this command
        quality: quality, at the cost of time
        preset: named settings to start from
        style: style image, or name from `impasto styles`, in place of the last word; several are mixed, by repeating
            it or by weight, as starry_night:0.6,great_wave:0.4
        add_style: the older spelling of a second --style
        region: apply another STYLE where MASK is white; can be repeated. MASK is a picture of the photograph's size,
            map.png#ff8000 for one color of a map, or alpha for the opaque part of the photograph; not:MASK is the
            opposite
        keep: leave the photograph unchanged where MASK is white
        settings: all other options
        talk: output on the terminal
    """
    if len(pictures) < (1 if style else 2):
        raise OptionError(
            "stylize needs one or more photographs, then a style: an image, or a name from `impasto styles`."
        )
    options = StylizeOptions.preset(preset or "default", quality, **parsed(settings, StylizeOptions))
    from impasto.api.contact_sheet import iter_contact_sheet  # here, because they take seconds
    from impasto.api.stylize import checkpoint_path, default_output, iter_stylize
    from impasto.data.style_names import is_name, style_parts
    from impasto.data.styles import open_style
    from impasto.io.files import left_out

    last = not style or (len(pictures) > 1 and all(is_name(name) for name, _ in style_parts(pictures[-1])))
    photographs, styles = (pictures[:-1], [pictures[-1], *style]) if last else (pictures, list(style))
    sources = [opened(one) for one in (*styles, *add_style)]
    contents = pictures_of(photographs)
    talk.notes(left_out(photographs))
    batch = len(contents) > 1 or any(Path(path).is_dir() for path in photographs)

    def named(content: Path, folder: Path) -> Path:
        path = default_output(content, styles, folder)
        return path.with_stem(f"{path.stem}-sheet") if contact_sheet else path

    targets = targets_of(contents, output, batch, named)

    def paint(content: Path, target: Path) -> None:
        if contact_sheet and (region or keep is not None):
            raise OptionError("--contact-sheet takes no regions; leave out --region and --keep.")
        if contact_sheet:
            sheet = iter_contact_sheet(opened(content), sources, options, output=target, force=force)
            follow(_commands_after(sheet, options), talk)
            return
        begun = checkpoint_path(target).exists()
        if batch and resume and target.exists() and not begun:
            write_note(f"{target} is already finished.", talk)
            return
        events = iter_stylize(
            opened(content),
            sources,
            options,
            regions=region,
            keep=keep,
            output=target,
            preview=preview,
            force=force,
            resume=resume and (begun or not batch),
        )
        follow(events, talk, target)

    if not batch:
        paint(contents[0], targets[0])
        return DONE
    names = (text for text in (*sources, *(name for _, name in region)) if isinstance(text, str))
    for one, _ in (part for text in names for part in style_parts(text)):
        open_style(one, 256)  # an unusable style is one error, not one for each photograph
    return do_each(paint, contents, targets, talk)


def _commands_after(sheet: Iterator[Event], options: StylizeOptions) -> Iterator[Event]:
    """Yield the events of a contact sheet, then the command of each of its previews."""
    from impasto.api.contact_sheet import contact_sheet_cells

    yield from sheet
    for cell in (cell for row in contact_sheet_cells(options) for cell in row):
        flags = {flag_name(name): f"{value:g}" for name, value in cell.items()}
        yield Note(command_like(flags, without=["--contact-sheet", "--force", "--output=", "-o="]))


@short_help("rerun", StylizeOptions)
@app.command(sort_key=2)
def rerun(
    picture: Path,
    /,
    *,
    content: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    style: Annotated[tuple[str, ...], Parameter(group=OUTPUT)] = (),
    output: PictureOutput = None,
    force: Force = False,
    resume: Annotated[bool, Parameter(group=OUTPUT)] = False,
    quality: Quality = None,
    settings: Settings | None = None,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Repeat the run of `impasto stylize` or `apply` whose settings a result carries, with some changed if you like.

    Args:
        picture: a result of `impasto stylize` or `impasto apply`
        content: another photograph, or the new place of the same one
        style: another style, or the new place of the same one; can be repeated
        output: file for the result; by default beside the picture
        force: overwrite existing files
        resume: continue an interrupted rerun
        quality: another quality than that of the picture
        settings: options in place of those in the picture
        talk: output on the terminal
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
        quality=quality,
        **parsed(settings, StylizeOptions),
    )
    follow(events, talk, target)
    return DONE
