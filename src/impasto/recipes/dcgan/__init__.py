"""Convolutional GANs (DCGAN)."""

from impasto.recipes.dcgan.options import DCGANOptions
from impasto.recipes.inputs import IMAGES
from impasto.training.method import Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="dcgan",
        summary="Train a DCGAN: a convolutional generator against a convolutional discriminator.",
        inputs=(IMAGES,),
        options=DCGANOptions,
        recipe="impasto.recipes.gan.recipe:DCGANRecipe",
        details="Sides must be 4 to 7 px times a power of two.",
        example="dcgan icons/ --crop 64 --augment translation,color",
        result="generator",
    ),
)
