"""The style predictor: style embeddings of pictures never seen before."""

from impasto.recipes.inputs import BASE, PHOTOS
from impasto.recipes.style_predictor.options import PredictorOptions
from impasto.training.method import Input, Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="predictor",
        summary="Train a style predictor: it finds the style embedding of any picture in one pass.",
        inputs=(Input("paintings", "a folder of paintings, the more the better", "folder"), PHOTOS, BASE),
        options=PredictorOptions,
        recipe="impasto.recipes.style_predictor.recipe:StylePredictorRecipe",
        example="predictor paintings/ photos/ --base painter/ --budget 30m",
        result="predictor",
    ),
)
