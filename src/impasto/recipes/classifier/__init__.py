"""Classifiers of small images."""

from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.inputs import LABELED
from impasto.training.method import Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="classifier",
        summary="Train a classifier of small images, for `impasto evaluate --classifier`.",
        inputs=(LABELED,),
        options=ClassifierOptions,
        recipe="impasto.recipes.classifier.recipe:ClassifierRecipe",
        details="An evaluation trains one by itself if none is named.",
        example="classifier digits.npz",
        result="classifier",
    ),
)
