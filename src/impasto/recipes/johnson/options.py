"""Options and presets of fast style transfer (Johnson et al. 2016)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from impasto.options import COMMON
from impasto.recipes.options import PaintingOptions

__all__ = ["JOHNSON_PRESETS", "JohnsonOptions"]

# Presets, each number with its source.
JOHNSON_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Ours before the pyramid: one level, which takes larger steps.
    "light": {"network": "light", "learning_rate": 2e-3, "embedding_rate": 5.0, "clip": 0.0},
    # Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 4.1 and the supplement: the network, crops of 256 px,
    # batch size 4, Adam with a constant 1e-3, 40,000 steps, content relu2_2, style relu1_2, 2_2, 3_3, 4_3. VGG-19
    # instead of VGG-16, whose weights we do not have; our losses are relative, so their weights were chosen anew.
    "paper": {
        "network": "johnson",
        "first_crop": 256,
        "stability_weight": 0.0,
        "grid_weight": 0.0,
        "steps": 40_000,
        "learning_rate": 1e-3,
        "clip": 0.0,
        "schedule": "constant",
        "ema": 0.0,
        "content_layers": {"relu2_2": 1.0},
        "style_layers": {"relu1_2": 0.25, "relu2_2": 0.25, "relu3_3": 0.25, "relu4_3": 0.25},
        "encoder": "vgg19",
    },
}


class JohnsonOptions(PaintingOptions):
    """Options of `train johnson` and `train painter`: a network for one style, or for many."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = JOHNSON_PRESETS

    network: Literal["pyramid", "light", "johnson"] = Field(
        "pyramid",
        description="architecture; pyramid: drafts coarse and revises fine; light: one level, a tenth of the weights; "
        "johnson: the paper's",
        json_schema_extra=COMMON,
    )
    level_widths: tuple[Annotated[int, Field(ge=4, le=512)], ...] = Field(
        (128, 80, 48), description="pyramid: channels of each level, from coarse to fine"
    )
    level_blocks: tuple[Annotated[int, Field(ge=0, le=64)], ...] = Field(
        (5, 4, 3), description="pyramid: residual blocks of each level"
    )
    width: int | None = Field(
        None, ge=4, le=512, description="light, johnson: channels of the first convolution; by default 32"
    )
    blocks: int | None = Field(None, ge=0, le=64, description="light, johnson: residual blocks; by default 6 and 5")
    crop: int = Field(256, ge=64, le=4096, description="side of the square crops, in pixels")
    first_crop: int = Field(
        128,
        ge=64,
        le=4096,
        description="side of the crops in the first half of the run, in pixels; in the second half they grow to crop",
    )
    style_crop: int = Field(192, ge=64, le=4096, description="side of the square crops from paintings, in pixels")
    painting_share: float = Field(
        0.25, gt=0, le=1, description="with paintings: fraction of the photographs that take one of them as their style"
    )
    stability_weight: float = Field(
        10.0,
        ge=0,
        description="weight of the temporal consistency loss under synthetic motion; without it videos flicker",
    )
    grid_weight: float = Field(300.0, ge=0, description="weight of the loss against checkerboard artifacts")
    learning_rate: float = Field(7e-4, gt=0, description="learning rate at its peak")
    clip: float = Field(
        1.0, ge=0, description="gradient clipping: largest L2 norm of the gradient of each optimizer; 0: none"
    )
    embedding_rate: float = Field(
        2.0, gt=0, description="learning rate of the style embeddings, as a multiple of learning_rate"
    )
    identity_share: float = Field(
        0.1, ge=0, le=1, description="light: fraction of the photographs that train the identity instead of a style"
    )
    identity_weight: float = Field(30.0, ge=0, description="light: weight of the identity loss")

    @model_validator(mode="after")
    def _fits_the_network(self) -> Self:
        sizes = {"width": self.width, "blocks": self.blocks}
        given = [name for name, value in sizes.items() if value is not None]
        if self.network == "pyramid" and given:
            raise ValueError(
                f"{given[0]} is for the networks light and johnson; pyramid has level_{given[0].rstrip('s')}s."
            )
        if len(self.level_widths) != len(self.level_blocks):
            raise ValueError(
                f"level_widths are {self.level_widths}, level_blocks {self.level_blocks}; expected as many of both."
            )
        return self
