"""Compact encoders: a VGG with every convolution squeezed by least squares."""

from impasto.recipes.compact_encoder.options import CompressOptions
from impasto.training.method import Input, Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="encoder",
        summary="Fit a compact encoder, which sees nearly what VGG-19 sees in a fraction of the time.",
        inputs=(
            Input(
                "pictures", "folders of photographs and of paintings, drawn from equally often", "folders", many=True
            ),
        ),
        options=CompressOptions,
        recipe="impasto.recipes.compact_encoder.recipe:CompactEncoderRecipe",
        details="The folder that is written goes to `--encoder`.",
        example="encoder photos/ paintings/ -o small",
        result="encoder",
    ),
)
