"""The application of the command line; each group of commands registers itself here."""

from importlib.metadata import version

from cyclopts import App, Parameter

__all__ = ["app"]

app = App(
    name="impasto",
    help="Stylize photographs and video, translate between image domains, train generative models.",
    version=lambda: f"impasto {version('impasto')}",
    default_parameter=Parameter(negative=(), show_default=False),
    suppress_keyboard_interrupt=False,  # `main` handles it
)
