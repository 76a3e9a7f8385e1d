"""A new style embedding for a multi-style network."""

from dataclasses import replace

from impasto.recipes.inputs import BASE, PHOTOS, STYLE
from impasto.recipes.style_embedding.options import StyleOptions
from impasto.training.method import Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="style",
        summary="Train a style embedding: a multi-style network learns one more style in two minutes.",
        inputs=(STYLE, replace(PHOTOS, required=False, default=()), BASE),
        options=StyleOptions,
        recipe="impasto.recipes.style_embedding.recipe:StyleEmbeddingRecipe",
        details="Without photographs it trains on synthetic scenes.",
        example="style painting.jpg",
        result="style",
    ),
)
