"""Autoencoders: dense or convolutional, also denoising."""

from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.inputs import IMAGES
from impasto.training.method import Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="autoencoder",
        summary="Train an autoencoder: images to latent codes and back, or from noisy images to clean ones.",
        inputs=(IMAGES,),
        options=AutoencoderOptions,
        recipe="impasto.recipes.autoencoder.recipe:AutoencoderRecipe",
        example="autoencoder --latent 16 --noise 0.3",
        result="autoencoder",
    ),
)
