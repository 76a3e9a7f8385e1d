"""Options of a new style embedding for a multi-style network."""

from typing import Any

from pydantic import Field, model_validator

from impasto.recipes.options import PaintingOptions

__all__ = ["StyleOptions"]


class StyleOptions(PaintingOptions):
    """Options of `train style`: a new style embedding is trained, the network stays fixed."""

    steps: int = Field(
        2000, ge=1, le=100_000_000, description="number of training steps; if given, they replace the budget"
    )
    budget: float | None = Field(
        1.8,
        gt=0,
        description="training time: 10m, 90s, 1h30m; without a unit, minutes; it decides by default, unless steps are "
        "given",
    )
    learning_rate: float = Field(3e-2, gt=0, description="learning rate at its peak")
    ema: float = Field(
        0.98, ge=0, lt=1, description="decay of the exponential moving average of the weights (EMA); 0: none"
    )
    preview_seconds: float = Field(30.0, ge=0, description="seconds between two previews, at least")

    @model_validator(mode="before")
    @classmethod
    def _steps_alone(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Let a given number of steps replace the budget."""
        return {"budget": None, **given} if "steps" in given else given
