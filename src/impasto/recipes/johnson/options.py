"""Options and presets of Johnson's fast style transfer."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from impasto.recipes.options import PaintingOptions

__all__ = ["JOHNSON_PRESETS", "JohnsonOptions"]

# Settings of trainings, each number with its source.
JOHNSON_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 4.1 and the supplement: the network, crops of 256 px, 4
    # a step, Adam with 1e-3 and no decay, 40,000 steps, content relu2_2, style relu1_2, 2_2, 3_3, 4_3. Of VGG-19
    # instead of VGG-16, of which we have no weights; losses relative, so that the weights had to be chosen anew.
    "paper": {
        "network": "johnson",
        "first_crop": 256,
        "stability_weight": 0.0,
        "grid_weight": 0.0,
        "steps": 40_000,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "ema": 0.0,
        "content_layers": {"relu2_2": 1.0},
        "style_layers": {"relu1_2": 0.25, "relu2_2": 0.25, "relu3_3": 0.25, "relu4_3": 0.25},
        "encoder": "vgg19",
    },
}


class JohnsonOptions(PaintingOptions):
    """How a network learns to paint from nothing."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = JOHNSON_PRESETS

    network: Literal["light", "johnson"] = Field(
        "light", description="light: ours, made for processors; johnson: the paper's, twenty times the work"
    )
    width: int | None = Field(None, ge=4, le=512, description="its channels; by default 32")
    blocks: int | None = Field(
        None, ge=0, le=64, description="its residual blocks; by default 6 in light, 5 in johnson"
    )
    crop: int = Field(256, ge=64, le=4096, description="side of the squares that are cut from pictures, in pixels")
    first_crop: int = Field(
        128, ge=64, le=4096, description="their side in the first half of the run, after which they grow"
    )
    stability_weight: float = Field(
        10.0, ge=0, description="how well the paint moves along with what moves; without it videos flicker"
    )
    grid_weight: float = Field(
        300.0, ge=0, description="how strongly patterns are kept away that cling to the grid of pixels"
    )
    row_rate: float = Field(5.0, gt=0, description="light: how many times longer the steps of styles' rows are")
    identity_share: float = Field(
        0.1, ge=0, le=1, description="light: share of the photographs that it learns to leave as they are"
    )
    identity_weight: float = Field(30.0, ge=0, description="light: how well it does that")
