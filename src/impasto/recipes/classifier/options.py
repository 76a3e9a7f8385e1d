"""Options and presets of classifiers."""

from typing import Literal

from pydantic import Field

from impasto.training.options import TrainOptions

__all__ = ["ClassifierOptions"]


class ClassifierOptions(TrainOptions):
    """How a network learns to tell classes of small pictures apart."""

    steps: int = Field(1500, ge=1, le=100_000_000, description="how many steps it takes")
    batch: int = Field(64, ge=1, le=100_000, description="pictures in each step, those of all processes together")
    learning_rate: float = Field(2e-3, gt=0, description="step length at its highest")
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    crop: int = Field(
        0, ge=0, le=4096, description="side of the squares that pictures become; 0: as they are, or 32 in a folder"
    )
    colors: Literal["auto", "gray", "rgb"] = Field(
        "auto", description="auto: rgb if any picture has color; gray: one channel; rgb: three"
    )
    shift: int = Field(2, ge=0, le=64, description="how far pictures are moved at random, in pixels")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="numbers that networks compute with; measures ask for those of 32 bits"
    )
