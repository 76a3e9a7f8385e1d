"""Options and presets of DCGANs."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from impasto.recipes.options import AdversarialOptions

__all__ = ["DCGANOptions", "DCGAN_PRESETS"]

# Settings of trainings of convolutional GANs, each number with its source.
DCGAN_PRESETS: dict[str, dict[str, Any]] = {
    "light": {},  # the defaults, made for processors; how they were found is in docs/gan.md
    # Radford, Metz & Chintala 2016, arXiv:1511.06434, section 4: the network, batch norm in both, Adam with 2e-4 and
    # 0.5; batches of 64 and no average of weights, as in pytorch/examples.
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
    """How a generator and a discriminator of convolutions are trained."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = DCGAN_PRESETS

    steps: int = Field(10_000, ge=1, le=100_000_000, description="how many steps it takes")
    latent: int = Field(64, ge=1, le=4096, description="numbers that a picture is made from")
    learning_rate: float = Field(5e-4, gt=0, description="the generator's step length at its highest")
    r1_weight: float = Field(
        0.02, ge=0, description="how flat the discriminator must be around real pictures (gamma); 0: as it likes"
    )
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    width: int = Field(
        16, ge=1, le=1024, description="channels next to the pictures; each layer further in has twice as many"
    )
    norm: Literal["batch", "group", "none"] = Field("batch", description="how the generator normalizes its maps")
    discriminator_norm: Literal["batch", "group", "none"] = Field(
        "none", description="how the discriminator normalizes its maps"
    )
    smoothing: Literal["blur", "none"] = Field(
        "blur", description="blur: what each of the generator's layers makes is blurred by one place, against weaves"
    )
