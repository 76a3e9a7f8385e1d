"""Command that exports a trained network as an ONNX file: `export`."""

import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from impasto.cli.app import app
from impasto.cli.flags import flags_of, parsed, short_help
from impasto.cli.output import DONE, Force, Output, Talk, write_note
from impasto.cli.terminal import write_out
from impasto.onnx.options import ExportOptions

__all__ = ["export"]

if TYPE_CHECKING:
    Settings = dict[str, str]
else:
    Settings = flags_of(ExportOptions, Group("File", sort_key=2))


@short_help("export", ExportOptions)
@app.command(usage="Usage: impasto export MODEL [OPTIONS]", sort_key=3)
def export(
    model: Annotated[str, Parameter(show=False)],
    /,
    *,
    output: Output = None,
    force: Force = False,
    settings: Settings | None = None,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Export a trained network as an ONNX file for browsers and programs without torch.

    MODEL is a name from `impasto models`, or a file or folder that `impasto apply` or `impasto sample` takes. The file
    takes every size that the network takes. It is run once at several sizes; the largest difference from the network
    is printed and written into it. For example: `impasto export painter -o painter.onnx --precision int8`.

    Args:
        model: the network
        output: the file, .onnx; by default MODEL.onnx, here
        force: overwrite existing files
        settings: all other options
        talk: output on the terminal
    """
    options = ExportOptions(**parsed(settings, ExportOptions))
    from impasto.api.export import export as write

    done = write(model, output, options=options, force=force)
    size = done.path.stat().st_size
    if talk.json:
        found = {"path": str(done.path), "bytes": size, "largest": done.largest, "mean": done.mean, "sizes": done.sizes}
        write_out(json.dumps(found) + "\n")
        return DONE
    write_note(
        f"{size / 1e3:,.0f} kB; largest difference from the network {done.largest:.1e}, mean {done.mean:.1e}, at "
        f"{done.sizes} sizes",
        talk,
    )
    talk.results([done.path])
    return DONE
