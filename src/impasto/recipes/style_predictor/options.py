"""Options and presets of the style predictor."""

from pydantic import Field

from impasto.recipes.options import PaintingOptions

__all__ = []


class PredictorOptions(PaintingOptions):
    """How a network learns to find rows of a painter for pictures that it has never seen."""

    crop: int = Field(128, ge=64, le=4096, description="side of the squares that are cut from photographs, in pixels")
    style_crop: int = Field(224, ge=64, le=4096, description="side of the squares that are cut from paintings")
    usual: int = Field(400, ge=2, description="paintings from which it learns what is usual before it begins")
    directions: int = Field(24, ge=1, le=64, description="directions in each layer along which moments are told")
    width: int = Field(192, ge=1, le=4096, description="width of its layers")
    steps: int = Field(8000, ge=1, le=100_000_000, description="how many steps it takes")
    learning_rate: float = Field(1e-3, gt=0, description="step length at its highest")
