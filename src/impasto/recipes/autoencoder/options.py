"""Options and presets of autoencoders."""

from typing import Literal

from pydantic import Field

from impasto.recipes.options import CoderOptions

__all__ = ["AutoencoderOptions"]


class AutoencoderOptions(CoderOptions):
    """How an autoencoder is trained."""

    loss: Literal["mse", "bce"] = Field(
        "mse", description="mse: mean squared difference; bce: cross-entropy, as if a pixel were a probability"
    )
    noise: float = Field(
        0.0, ge=0, le=10, description="deviation of the noise that it learns to remove from pictures in [0, 1]; 0: none"
    )
