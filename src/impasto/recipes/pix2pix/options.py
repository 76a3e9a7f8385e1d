"""Options and presets of pix2pix."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from impasto.errors import OptionError
from impasto.options import COMMON
from impasto.recipes.options import PAPER_SIZES, TranslationOptions

__all__ = ["PIX2PIX_PRESETS", "Pix2PixOptions"]

# Isola et al. 2017, arXiv:1611.07004, section 3.3 and appendix 6.2: facades, 400 pairs, 200 epochs, L1 weight 100.
PIX2PIX_PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    # Compared with a U-Net of width 32 at 128 px, 30 minutes of one core each: L1 on aerial views 0.0338, not 0.0354.
    "tiny": {
        "network": "resnet",
        "norm": "instance",
        "width": 24,
        "batch": 4,
        "learning_rate": 4e-4,
        "ema": 0.998,
    },
    "paper": PAPER_SIZES | {"steps": 80_000},
}


class Pix2PixOptions(TranslationOptions):
    """Options of `train pix2pix`: translation that is learned from pairs."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = PIX2PIX_PRESETS

    network: Literal["unet", "resnet"] = Field(
        "unet",
        description="generator; unet: the paper's, for crops that can be halved often; resnet: CycleGAN's",
        json_schema_extra=COMMON,
    )
    downs: int | None = Field(
        None,
        ge=5,
        le=12,
        description="unet: number of downsamplings; by default as many as the crop allows, 8 at most",
    )
    direction: Literal["a-to-b", "b-to-a"] = Field(
        "a-to-b",
        description="direction of the translation: a is the left half of a pair, or the first folder",
        json_schema_extra=COMMON,
    )
    l1_weight: float = Field(100.0, ge=0, description="weight of the L1 loss (lambda)")
    gan: Literal["vanilla", "lsgan"] = Field(
        "vanilla", description="adversarial loss; vanilla: cross-entropy; lsgan: least squares"
    )
    norm: Literal["instance", "batch", "none"] = Field("batch", description="normalization layers")
    no_dropout: bool = Field(False, description="no dropout in the generator")

    def halvings(self) -> int:
        """Return the number of downsamplings of a U-Net.

        Raises:
            OptionError: the crop is not divisible by that power of two.
        """
        downs = self.downs or max(5, min(8, (self.crop & -self.crop).bit_length() - 1))
        if self.crop % 2**downs:
            raise OptionError(
                f"crop is {self.crop}; expected a multiple of {2**downs} for a U-Net that halves it {downs} times, or "
                "--network resnet."
            )
        return downs
