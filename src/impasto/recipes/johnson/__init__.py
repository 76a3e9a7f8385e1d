"""Fast style transfer: one pass of a network, one style or many."""

from impasto.recipes.inputs import PHOTOS, STYLE
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.training.method import Input, Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="johnson",
        summary="Train a network that paints any photograph in one style, in one pass (Johnson et al. 2016).",
        inputs=(STYLE, PHOTOS),
        options=JohnsonOptions,
        recipe="impasto.recipes.johnson.recipe:JohnsonRecipe",
        example="johnson painting.jpg photos/ --budget 30m",
        result="painter",
    ),
    Method(
        name="painter",
        summary="Train a network of many styles, each of which is a style embedding.",
        inputs=(
            Input("styles", "a folder of style images, each named as its style should be", "styles"),
            PHOTOS,
            Input(
                "paintings",
                "a folder of paintings; a style predictor for any picture is trained on them beside the network",
                "folder",
                positional=False,
                required=False,
            ),
            Input(
                "start",
                "a multi-style network to start from, such as painter, which comes with impasto",
                "model",
                positional=False,
                required=False,
            ),
        ),
        options=JohnsonOptions,
        recipe="impasto.recipes.johnson.recipe:PainterRecipe",
        details="`impasto train style` adds new styles to it in minutes.",
        example="painter paintings/ photos/ --budget 2h",
        result="painter",
    ),
)
