"""Options and presets of variational autoencoders."""

from typing import Literal

from pydantic import Field

from impasto.recipes.options import CoderOptions

__all__ = ["VAEOptions"]


class VAEOptions(CoderOptions):
    """How a variational autoencoder is trained."""

    latent: int = Field(20, ge=1, le=4096, description="numbers that a picture becomes")
    beta: float = Field(
        1.0, ge=0, description="weight of the KL divergence; with 1 a bound of the likelihood is learned"
    )
    kl_warmup: float = Field(0.1, ge=0, le=1, description="share of the run in which that weight rises from 0")
    targets: Literal["gray", "dynamic", "static"] = Field(
        "gray",
        description="what is explained. gray: pixels as probabilities; dynamic: black or white, drawn anew in each "
        "step; static: drawn once",
    )
    conditional: bool = Field(False, description="tell it the class of each picture, so that classes can be asked for")
    importance_samples: int = Field(
        100, ge=0, le=100_000, description="draws for each picture by which the likelihood is estimated; 0: it is not"
    )
