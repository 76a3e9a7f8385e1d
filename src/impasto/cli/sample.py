"""Command that samples a generator, autoencoder or VAE: `sample`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from impasto.cli.app import app
from impasto.cli.flags import flags_of, parsed, short_help
from impasto.cli.follow import follow
from impasto.cli.output import DONE, Force, PictureOutput, Talk
from impasto.inference.options import SampleOptions

__all__ = ["sample"]

if TYPE_CHECKING:
    Settings = dict[str, str]
else:
    Settings = flags_of(SampleOptions, Group("Sampling", sort_key=2))


@short_help("sample", SampleOptions)
@app.command(usage="Usage: impasto sample MODEL [OPTIONS]", sort_key=3)
def sample(
    model: Annotated[str, Parameter(show=False)],
    /,
    *,
    output: PictureOutput = None,
    force: Force = False,
    settings: Settings | None = None,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Sample a generator, autoencoder or VAE, as sheets, animations or single images.

    MODEL is a file of `impasto train autoencoder`, `vae`, `gan` or `dcgan`; the folder of a run, also of one that has
    not ended; or a name from `impasto models`. For example: `impasto sample vae-mnist5k --kind interpolation`, or
    `impasto sample gan-mnist5k --count 100 -o folder/`.

    Args:
        model: the network
        output: file for the result; for --kind progress .webp, .gif or a picture; for --kind all, and with --count, a
            folder. By default MODEL_KIND.png, here
        force: overwrite existing files
        settings: all other options
        talk: output on the terminal
    """
    options = SampleOptions(**parsed(settings, SampleOptions))
    from impasto.inference.sheets import iter_sample

    follow(iter_sample(model, options, output=output, force=force), talk)
    return DONE
