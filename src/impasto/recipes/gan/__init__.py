"""Generative adversarial networks of dense layers."""

from impasto.recipes.gan.options import GANOptions
from impasto.recipes.inputs import IMAGES
from impasto.training.method import Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="gan",
        summary="Train a GAN of dense layers: a generator against a discriminator.",
        inputs=(IMAGES,),
        options=GANOptions,
        recipe="impasto.recipes.gan.recipe:GANRecipe",
        details="With labels, a classifier is trained first. It monitors the samples and reports mode collapse. "
        "`ring` and `grid` are mixtures of Gaussians in the plane, whose modes are counted: `impasto train gan grid "
        "--preset points2d`.",
        example="gan --preset vanilla",
        result="generator",
    ),
)
