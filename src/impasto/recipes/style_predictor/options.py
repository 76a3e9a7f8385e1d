"""Options of the style predictor: a style embedding for any style image."""

from pydantic import Field

from impasto.recipes.options import PaintingOptions

__all__ = ["PredictorOptions"]


class PredictorOptions(PaintingOptions):
    """Options of `train predictor`: a network predicts the style embedding of any style image."""

    crop: int = Field(128, ge=64, le=4096, description="side of the square crops from photographs, in pixels")
    style_crop: int = Field(224, ge=64, le=4096, description="side of the square crops from paintings, in pixels")
    reference_paintings: int = Field(
        400, ge=2, description="paintings whose feature statistics initialize the normalization of the inputs"
    )
    directions: int = Field(
        24, ge=1, le=64, description="principal directions of each layer whose second moments are inputs"
    )
    width: int = Field(192, ge=1, le=4096, description="width of the hidden layers")
    steps: int = Field(8000, ge=1, le=100_000_000, description="number of training steps")
    learning_rate: float = Field(1e-3, gt=0, description="learning rate at its peak")
