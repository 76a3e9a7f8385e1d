"""Options that every training method shares."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from impasto.errors import unknown_name
from impasto.options import COMMON, Options, read_duration

__all__ = ["TrainOptions"]


class TrainOptions(Options):
    """Options of every training; each method adds its own options, and presets if it has any."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = {}

    steps: int = Field(2000, ge=1, le=100_000_000, description="number of training steps", json_schema_extra=COMMON)
    budget: float | None = Field(
        None,
        gt=0,
        description="training time, which replaces the number of steps: 10m, 90s, 1h30m; without a unit, minutes",
        json_schema_extra=COMMON,
    )
    batch: int = Field(
        4, ge=1, le=100_000, description="batch size, of all processes together", json_schema_extra=COMMON
    )
    crop: int = Field(256, ge=8, le=4096, description="side of the square crops, in pixels", json_schema_extra=COMMON)
    learning_rate: float = Field(1e-3, gt=0, description="learning rate at its peak")
    schedule: Literal["constant", "linear", "half", "cosine"] = Field(
        "cosine",
        description="decay of the learning rate after the warm-up; linear, cosine: to 0 at the end; half: constant in "
        "the first half, then linear to 0",
    )
    warmup: float = Field(
        0.0, ge=0, lt=1, description="fraction of the run in which the learning rate rises linearly from 0"
    )
    clip: float = Field(
        0.0, ge=0, description="gradient clipping: largest L2 norm of the gradient of each optimizer; 0: none"
    )
    ema: float = Field(
        0.999, ge=0, lt=1, description="decay of the exponential moving average of the weights (EMA); 0: none"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="random seed of the run")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="precision of the computation; auto: bfloat16 on CPUs that support it natively, else float32",
    )
    save_seconds: float = Field(60.0, ge=0, description="seconds between two checkpoints, at least")
    preview_seconds: float = Field(60.0, ge=0, description="seconds between two previews, at least")
    preview_steps: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="steps after which one more preview is written"
    )
    log_steps: int = Field(10, ge=1, le=1_000_000, description="steps between two lines of the log")

    _read_budget = field_validator("budget", mode="before")(read_duration)

    @classmethod
    def preset(cls, name: str, **settings: Any) -> Self:
        """Return a preset by its name, with some options replaced; every method knows "default".

        Raises:
            UnknownName: the method has no such preset.
            OptionError: an option is out of range.
        """
        known = {"default": {}, **cls.presets}
        if name not in known:
            raise unknown_name("a preset", name, known)
        return cls(**{**known[name], **settings})
