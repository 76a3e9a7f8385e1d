"""Options and presets of GANs."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from impasto.recipes.options import AdversarialOptions

__all__ = ["GANOptions", "GAN_PRESETS"]

# Settings of trainings of dense GANs, each number with its source.
GAN_PRESETS: dict[str, dict[str, Any]] = {
    "cure": {},  # the defaults; how they were found is in docs/gan.md
    # Géron 2019, "Hands-on machine learning", 2nd edition, chapter 17: binary cross-entropy with flipped labels,
    # RMSprop as Keras has it, batches of 32. It has no cure for collapse, and the last weights are the result.
    "plain": {
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "batch": 32,
        "steps": 12_000,  # which take as long as the cure's
        "r1_weight": 0.0,
        "ema": 0.0,
        "keep": "last",
    },
    # For "ring" and "grid", where modes can be counted; how they were found is in docs/gan.md.
    "plane": {
        "hidden": (256, 256, 256),
        "discriminator_hidden": (128, 128),
        "activation": "relu",
        "fourier": 16,
        "latent": 2,
        "batch": 256,
        "steps": 12_000,
        "learning_rate": 2e-4,
        "discriminator_rate": 4e-4,
        "momentum": 0.0,
        "r1_weight": 0.1,
        "instance_noise": 1.0,
        "watch_pictures": 2500,
    },
}


class GANOptions(AdversarialOptions):
    """How a generator and a discriminator of dense layers are trained."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = GAN_PRESETS

    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (100, 150), description="widths of the generator's layers, from numbers to pictures"
    )
    discriminator_hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (), description="widths of the discriminator's; by default those of the generator, the other way round"
    )
    activation: Literal["selu", "relu"] = Field("selu", description="what is between the layers of both")
    fourier: int = Field(
        0, ge=0, le=65536, description="waves that the discriminator sees beside the pictures themselves"
    )
