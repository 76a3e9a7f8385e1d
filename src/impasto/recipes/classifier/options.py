"""Options of classifiers of small pictures."""

from typing import Literal

from pydantic import Field

from impasto.training.options import TrainOptions

__all__ = ["ClassifierOptions"]


class ClassifierOptions(TrainOptions):
    """Options of `train classifier`."""

    steps: int = Field(1500, ge=1, le=100_000_000, description="number of training steps")
    batch: int = Field(64, ge=1, le=100_000, description="batch size, of all processes together")
    learning_rate: float = Field(2e-3, gt=0, description="learning rate at its peak")
    ema: float = Field(
        0.99, ge=0, lt=1, description="decay of the exponential moving average of the weights (EMA); 0: none"
    )
    crop: int = Field(
        0,
        ge=0,
        le=4096,
        description="side of the square to which pictures are cropped and resized, in pixels; 0: their own size, or 32 "
        "for a folder",
    )
    colors: Literal["auto", "gray", "rgb"] = Field(
        "auto", description="color channels; gray: one; rgb: three; auto: rgb if any picture has color"
    )
    shift: int = Field(
        2, ge=0, le=64, description="random translation of the training pictures, up to this many pixels"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="precision of the computation; evaluation needs float32"
    )
