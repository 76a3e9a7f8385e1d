"""Options and presets of pix2pix."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from impasto.errors import OptionError
from impasto.recipes.options import PAPER_SIZES, TranslationOptions

__all__ = ["PIX2PIX_PRESETS", "Pix2PixOptions"]

# Isola et al. 2017, arXiv:1611.07004, section 3.3 and appendix 6.2: facades, 400 pairs, 200 epochs, L1 100.
PIX2PIX_PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    # Chosen beside a U-Net of width 32, 128 px, half an hour of one core each: L1 on aerial views 0.0338, not 0.0354.
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
    """How a network learns to translate from pairs of pictures."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = PIX2PIX_PRESETS

    network: Literal["unet", "resnet"] = Field(
        "unet", description="unet: the paper's, for sides that can be halved often; resnet: CycleGAN's"
    )
    downs: int | None = Field(
        None,
        ge=5,
        le=12,
        description="unet: how often the size is halved; by default until one place is left, 8 at most",
    )
    direction: Literal["a-to-b", "b-to-a"] = Field(
        "a-to-b", description="which is translated: a is the left half, or the first folder"
    )
    l1_weight: float = Field(100.0, ge=0, description="how strongly it is drawn to the very picture of the pair")
    gan: Literal["vanilla", "lsgan"] = Field("vanilla", description="vanilla: cross-entropy; lsgan: squares")
    norm: Literal["instance", "batch", "none"] = Field("batch", description="how maps are normalized")
    no_dropout: bool = Field(False, description="learn without leaving out half of some features")

    def halvings(self) -> int:
        """Return how often a U-Net halves the size.

        Raises:
            OptionError: crops cannot be halved so often.
        """
        downs = self.downs or max(5, min(8, (self.crop & -self.crop).bit_length() - 1))
        if self.crop % 2**downs:
            raise OptionError(
                f"crop is {self.crop}; expected a multiple of {2**downs} for a U-Net that halves it {downs} times, or "
                "--network resnet."
            )
        return downs
