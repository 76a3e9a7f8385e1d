"""Options and presets of DCGAN."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from impasto.recipes.options import AdversarialOptions

__all__ = ["DCGANOptions", "DCGAN_PRESETS"]

# Presets of convolutional GANs, each number with its source.
DCGAN_PRESETS: dict[str, dict[str, Any]] = {
    "light": {},  # the defaults, chosen for CPUs; docs/gan.md has the experiments
    # Radford, Metz & Chintala 2016, arXiv:1511.06434, section 4: the network, batch norm in both, Adam with 2e-4 and
    # 0.5; batch size 64 and no EMA, as in pytorch/examples.
    "paper": {
        "width": 64,
        "latent": 100,
        "norm": "batch",
        "discriminator_norm": "batch",
        "smoothing": "none",
        "batch": 64,
        "learning_rate": 2e-4,
        "discriminator_rate": None,
        "schedule": "constant",
        "r1_weight": 0.0,
        "ema": 0.0,
        "keep": "last",
    },
}


class DCGANOptions(AdversarialOptions):
    """Options of `train dcgan`: a GAN of convolutions."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = DCGAN_PRESETS

    steps: int = Field(
        10_000,
        ge=1,
        le=100_000_000,
        description="number of training steps; they run by default, unless epochs or a budget are given",
    )
    latent: int = Field(64, ge=1, le=4096, description="size of the latent code z")
    learning_rate: float = Field(5e-4, gt=0, description="learning rate of the generator at its peak")
    r1_weight: float = Field(
        0.02, ge=0, description="weight of the R1 gradient penalty on real pictures (gamma); 0: none"
    )
    ema: float = Field(
        0.998, ge=0, lt=1, description="decay of the exponential moving average of the weights (EMA); 0: none"
    )
    width: int = Field(
        16,
        ge=1,
        le=1024,
        description="channels of the generator's last hidden layer and of the discriminator's first; each layer "
        "further in has twice as many",
    )
    norm: Literal["batch", "group", "none"] = Field("batch", description="normalization layers of the generator")
    discriminator_norm: Literal["batch", "group", "none"] = Field(
        "none", description="normalization layers of the discriminator"
    )
    smoothing: Literal["blur", "none"] = Field(
        "blur",
        description="filter after each transposed convolution of the generator; blur: 1-2-1, against checkerboard "
        "artifacts",
    )
