"""Options that every training shares."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from impasto.errors import unknown_name
from impasto.options import Options, read_duration

__all__ = ["TrainOptions"]


class TrainOptions(Options):
    """How any network is trained; each method adds settings of its own, and presets if it has any."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = {}

    steps: int = Field(2000, ge=1, le=100_000_000, description="how many steps it takes")
    budget: float | None = Field(
        None, gt=0, description="time that decides in place of steps: 10m, 90s, 1h30m; without a unit, minutes"
    )
    batch: int = Field(4, ge=1, le=100_000, description="pictures in each step, those of all processes together")
    crop: int = Field(256, ge=8, le=4096, description="side of the squares that are cut from pictures, in pixels")
    learning_rate: float = Field(1e-3, gt=0, description="step length at its highest")
    schedule: Literal["constant", "linear", "half", "cosine"] = Field(
        "cosine", description="how the step length falls from the warm-up to the end; half: in the last half"
    )
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the run in which the step length rises from 0")
    clip: float = Field(0.0, ge=0, description="longest gradient of an optimizer, as a norm; 0: any")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything random in this run")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="numbers that networks compute with; auto: bfloat16 where the processor is made for it",
    )
    save_seconds: float = Field(60.0, ge=0, description="time between two checkpoints, at least")
    preview_seconds: float = Field(60.0, ge=0, description="time between two previews, at least")
    preview_steps: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="steps after which there is a preview besides"
    )
    log_steps: int = Field(10, ge=1, le=1_000_000, description="every how many steps a line is written to the log")

    _read_budget = field_validator("budget", mode="before")(read_duration)

    @classmethod
    def preset(cls, name: str, **settings: Any) -> Self:
        """Return the named preset with some settings replaced.

        Raises:
            UnknownName: there is no such preset.
            OptionError: a setting is out of range.
        """
        if name not in cls.presets:
            raise unknown_name("a preset", name, cls.presets)
        return cls(**{**cls.presets[name], **settings})
