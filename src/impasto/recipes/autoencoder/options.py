"""Options of autoencoders and denoising autoencoders."""

from typing import Literal

from pydantic import Field

from impasto.options import COMMON
from impasto.recipes.options import CoderOptions

__all__ = ["AutoencoderOptions"]


class AutoencoderOptions(CoderOptions):
    """Options of `train autoencoder`."""

    loss: Literal["mse", "bce"] = Field(
        "mse",
        description="reconstruction loss; mse: mean squared error; bce: binary cross-entropy",
    )
    noise: float = Field(
        0.0,
        ge=0,
        le=10,
        description="standard deviation of the Gaussian noise that a denoising autoencoder removes, for pixels in "
        "[0, 1]; 0: none",
        json_schema_extra=COMMON,
    )
