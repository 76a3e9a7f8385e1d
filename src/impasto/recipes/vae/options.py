"""Options of variational autoencoders (VAE)."""

from typing import Literal

from pydantic import Field

from impasto.options import COMMON
from impasto.recipes.options import CoderOptions

__all__ = ["VAEOptions"]


class VAEOptions(CoderOptions):
    """Options of `train vae`."""

    latent: int = Field(20, ge=1, le=4096, description="size of the latent code z")
    beta: float = Field(
        1.0,
        ge=0,
        description="weight of the KL divergence (beta); 1: the loss is the negative ELBO",
        json_schema_extra=COMMON,
    )
    kl_warmup: float = Field(
        0.1, ge=0, le=1, description="fraction of the run in which beta rises linearly from 0 (KL annealing)"
    )
    targets: Literal["gray", "dynamic", "static"] = Field(
        "gray",
        description="binarization of the pixels; gray: none, pixels are probabilities; dynamic: sampled anew in each "
        "step; static: sampled once",
    )
    conditional: bool = Field(
        False,
        description="train a class-conditional VAE, which samples from a requested class",
        json_schema_extra=COMMON,
    )
    importance_samples: int = Field(
        100,
        ge=0,
        le=100_000,
        description="importance samples per picture that estimate the log-likelihood of the test set; 0: no estimate",
    )
