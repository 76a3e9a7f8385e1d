"""Options and presets of a new style embedding."""

from typing import Any

from pydantic import Field, model_validator

from impasto.recipes.options import PaintingOptions

__all__ = ["StyleOptions"]


class StyleOptions(PaintingOptions):
    """How a network of many styles learns one more: only a row of numbers is new."""

    budget: float | None = Field(
        1.8, gt=0, description="time that decides in place of steps: 10m, 90s, 1h30m; without a unit, minutes"
    )
    learning_rate: float = Field(8e-2, gt=0, description="step length at its highest")
    ema: float = Field(0.98, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    preview_seconds: float = Field(30.0, ge=0, description="time between two previews, at least")

    @model_validator(mode="before")
    @classmethod
    def _steps_alone(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Who names a number of steps wants no budget besides."""
        return {"budget": None, **given} if "steps" in given else given
