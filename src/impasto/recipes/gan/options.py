"""Options and presets of GANs."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from impasto.recipes.options import AdversarialOptions

__all__ = ["GANOptions", "GAN_PRESETS"]

# Presets of fully connected GANs, each number with its source.
GAN_PRESETS: dict[str, dict[str, Any]] = {
    "stabilized": {},  # the defaults; docs/gan.md has the experiments
    # Géron 2019, "Hands-on machine learning", 2nd edition, chapter 17: binary cross-entropy with flipped labels,
    # RMSprop as Keras has it, batch size 32. Nothing prevents mode collapse, and the last weights are the result.
    "vanilla": {
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "batch": 32,
        "steps": 12_000,  # which take as long as those of "stabilized"
        "r1_weight": 0.0,
        "ema": 0.0,
        "keep": "last",
    },
    # For the toy sets "ring" and "grid", whose modes can be counted; docs/gan.md has the experiments.
    "points2d": {
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
    """Options of `train gan`: a GAN of fully connected layers."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = GAN_PRESETS

    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (100, 150), description="widths of the generator's hidden layers, from z to the picture"
    )
    discriminator_hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (), description="widths of the discriminator's hidden layers; by default the generator's in reverse order"
    )
    activation: Literal["selu", "relu"] = Field("selu", description="activation function of both networks")
    fourier: int = Field(
        0, ge=0, le=65536, description="random Fourier features that the discriminator gets beside its input; 0: none"
    )
