"""Commands that measure a trained network and write the report of a training: `evaluate`, `report`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from impasto.cli.app import app
from impasto.cli.flags import DATA, flags_of, parsed, short_help
from impasto.cli.follow import follow
from impasto.cli.output import DONE, Force, Output, Talk, write_note
from impasto.cli.terminal import write_out, write_table
from impasto.evaluation.options import EvaluateOptions
from impasto.events import Note

__all__ = ["evaluate", "report"]

if TYPE_CHECKING:
    Settings = dict[str, str]
else:
    Settings = flags_of(EvaluateOptions, Group("Evaluation", sort_key=2))


@short_help("evaluate", EvaluateOptions)
@app.command(usage="Usage: impasto evaluate MODEL [OPTIONS]", sort_key=8)
def evaluate(
    model: Annotated[Path, Parameter(show=False)],
    /,
    *,
    images: Annotated[str | None, Parameter(name=["--images", "--pictures"], metavar="SET", group=DATA)] = None,
    a: Annotated[str | None, Parameter(metavar="FOLDER", group=DATA)] = None,
    b: Annotated[str | None, Parameter(metavar="FOLDER", group=DATA)] = None,
    pairs: Annotated[str | None, Parameter(metavar="FOLDER", group=DATA)] = None,
    back: Annotated[Path | None, Parameter(metavar="MODEL", group=DATA)] = None,
    output: Output = None,
    force: Force = False,
    settings: Settings | None = None,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Measure a trained network: samples beside real images, translations beside trivial baselines, or accuracy.

    MODEL is a file of a training, its folder, or a translator of the official programs. For example:
    `impasto evaluate vae-mnist5k -o vae-mnist5k/evaluation.json`; the report of that run then shows the results.
    Translators need pictures: `impasto evaluate cyclegan-photos-monets --a photos/ --b monets/`, `impasto evaluate
    pix2pix-maps --pairs maps/`. Pictures of the training are left out.

    Args:
        model: the network
        images: training set, if it has moved
        a: for translators, a folder of pictures of domain A
        b: for translators, a folder of pictures of domain B
        pairs: for translators, a folder of pairs, each an input and its target, in place of --a and --b
        back: the translator of the opposite direction; by default the one beside MODEL
        output: JSON file for all results
        force: overwrite an existing file
        settings: all other options
        talk: output on the terminal
    """
    options = EvaluateOptions(**parsed(settings, EvaluateOptions))
    from impasto.api.evaluate import start_evaluate
    from impasto.reports.page import write_report
    from impasto.reports.run_files import EVALUATION, REPORT

    folders = {name: folder for name, folder in {"a": a, "b": b, "pairs": pairs}.items() if folder is not None}
    run = start_evaluate(model, folders or images, options=options, back=back, output=output, force=force)
    follow(iter(run), talk)
    if output is not None and output.name == EVALUATION and (output.parent / REPORT).is_file():
        write_report(output.parent)  # with these results
    if not talk.json and not talk.quiet:
        found = run.wait()
        write_out(f"{found['features']}\n")
        for table in found.tables():
            write_table(table.headings, table.rows)
    return DONE


@app.command(sort_key=9)
def report(
    run: Path,
    /,
    *,
    pictures: Annotated[str | None, Parameter(metavar="SET", group=DATA)] = None,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Write report.html into the folder of a training: samples, curves, results and options in one file.

    A training writes its report when it ends. Use this command for a run that is going on or was interrupted, and to
    draw sheets of samples that are missing.

    Args:
        run: the folder of a training
        pictures: training set, if it has moved
        talk: output on the terminal
    """
    from impasto.reports.page import write_report
    from impasto.reports.run_files import read_run

    if read_run(run).lacking:
        from impasto.inference.sheets import draw_sheets  # needs torch

        for event in draw_sheets(run, pictures=pictures):
            if isinstance(event, Note):
                write_note(event.text, talk)
    written = write_report(run)
    if talk.json:
        write_out(json.dumps({"event": "saved", "path": str(written), "kind": "report"}) + "\n")
    talk.results([written])
    return DONE
