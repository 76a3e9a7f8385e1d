"""Options and presets of CycleGAN."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from impasto.recipes.options import PAPER_SIZES, TINY_SIZES, TranslationOptions

__all__ = ["CYCLEGAN_PRESETS", "CycleGANOptions"]

# Zhu et al. 2017, arXiv:1703.10593, section 4 and appendix 7.1: 256 px, 9 blocks, one picture a step, Adam with 2e-4,
# cycle 10, identity 0.5 of it, a pool of 50. 200 epochs of some 1,000 pictures are 200,000 steps.
CYCLEGAN_PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "tiny": TINY_SIZES | {"identity_weight": 0.0},
    "paper": PAPER_SIZES | {"steps": 200_000},
}


class CycleGANOptions(TranslationOptions):
    """How two networks learn to translate between two kinds of pictures of which there are no pairs."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = CYCLEGAN_PRESETS

    method: Literal["cyclegan", "cut", "fastcut"] = Field(
        "cyclegan",
        description="cyclegan: both ways, and back again; cut: one network, from A to B, whose patches stay what they "
        "were; fastcut: the same for less work, and stricter",
    )
    cycle_weight: float = Field(10.0, ge=0, description="how well a picture comes back from there and back again")
    identity_weight: float = Field(
        0.5, ge=0, description="how well pictures stay that are of the wanted kind already, as a share of cycle_weight"
    )
    pool: int = Field(
        50, ge=0, le=10_000, description="earlier translations from which half of those are taken that are judged"
    )
    norm: Literal["instance", "batch", "none"] = Field("instance", description="how maps are normalized")
    patch_weight: float | None = Field(
        None, ge=0, description="cut: how strongly patches stay what they were; by default 1, in fastcut 10"
    )
    patches: int = Field(256, ge=2, le=4096, description="cut: places of each map that are compared")
    temperature: float = Field(0.07, gt=0, description="cut: how sharply patches are told apart")
