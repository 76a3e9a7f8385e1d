"""pix2pix: translation from pairs."""

from impasto.recipes.pix2pix.options import Pix2PixOptions
from impasto.training.method import Input, Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="pix2pix",
        summary="Train a translator from pairs of pictures (pix2pix).",
        inputs=(
            Input(
                "pairs",
                "a folder of pictures, each of which is a pair side by side; or a folder with the folders a and b",
                "folder",
                positional=False,
                required=False,
            ),
            Input("a", "in place of pairs, the folder of inputs", "folder", positional=False, required=False),
            Input("b", "the folder of targets, under the same names", "folder", positional=False, required=False),
        ),
        options=Pix2PixOptions,
        recipe="impasto.recipes.pix2pix.recipe:Pix2Pix",
        details="On a CPU, start with `--preset tiny`.",
        example="pix2pix --pairs maps/ --direction b-to-a --budget 2h",
        result="translator",
    ),
)
