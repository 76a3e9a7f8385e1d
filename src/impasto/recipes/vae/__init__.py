"""Variational autoencoders, also conditional ones."""

from impasto.recipes.inputs import IMAGES
from impasto.recipes.vae.options import VAEOptions
from impasto.training.method import Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="vae",
        summary="Train a variational autoencoder: it generates images from random latent codes.",
        inputs=(IMAGES,),
        options=VAEOptions,
        recipe="impasto.recipes.vae.recipe:VAERecipe",
        example="vae icons/ --network conv --crop 32",
        result="autoencoder",
    ),
)
