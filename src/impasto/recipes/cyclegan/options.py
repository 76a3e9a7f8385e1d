"""Options and presets of CycleGAN, CUT and FastCUT."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from impasto.options import COMMON
from impasto.recipes.options import PAPER_SIZES, TINY_SIZES, TranslationOptions

__all__ = ["CYCLEGAN_PRESETS", "CycleGANOptions"]

# Zhu et al. 2017, arXiv:1703.10593, section 4 and appendix 7.1: 256 px, 9 blocks, batch size 1, Adam with 2e-4,
# lambda 10, identity loss of 0.5 lambda, an image pool of 50. 200 epochs of some 1,000 pictures are 200,000 steps.
CYCLEGAN_PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "tiny": TINY_SIZES | {"identity_weight": 0.0},
    "paper": PAPER_SIZES | {"steps": 200_000},
}


class CycleGANOptions(TranslationOptions):
    """Options of `train cyclegan`: translation between two domains without pairs."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = CYCLEGAN_PRESETS

    method: Literal["cyclegan", "cut", "fastcut"] = Field(
        "cyclegan",
        description="cyclegan: two generators with cycle consistency; cut: one generator from A to B with a patchwise "
        "contrastive loss; fastcut: cut without the identity loss, faster",
        json_schema_extra=COMMON,
    )
    cycle_weight: float = Field(10.0, ge=0, description="weight of the cycle consistency loss (lambda)")
    identity_weight: float = Field(0.5, ge=0, description="weight of the identity loss, as a fraction of cycle_weight")
    pool: int = Field(
        50,
        ge=0,
        le=10_000,
        description="size of the image pool: earlier translations shown to the discriminators; 0: none",
    )
    norm: Literal["instance", "batch", "none"] = Field("instance", description="normalization layers")
    patch_weight: float | None = Field(
        None, ge=0, description="cut: weight of the PatchNCE loss; by default 1 for cut, 10 for fastcut"
    )
    patches: int = Field(256, ge=2, le=4096, description="cut: patches sampled from each feature map")
    temperature: float = Field(0.07, gt=0, description="cut: temperature of the contrastive loss (tau)")
