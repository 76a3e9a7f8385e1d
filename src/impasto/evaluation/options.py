"""Options of `evaluate`."""

from typing import Literal

from pydantic import Field

from impasto.options import Options

__all__ = ["EvaluateOptions"]


class EvaluateOptions(Options):
    """How what a network makes is measured."""

    count: int = Field(
        1000, ge=10, le=1_000_000, description="pictures that are made, and real ones with which they are compared"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the numbers from which pictures are made")
    neighbors: int = Field(5, ge=1, le=1000, description="precision, recall, density, coverage: reach of a ball")
    classifier: str = Field(
        "",
        description="file or folder of `impasto train classifier`, or folder of a GAN; by default one is trained once "
        "and kept",
    )
    classifier_steps: int = Field(1500, ge=1, le=1_000_000, description="steps of the training of that one")
    stacked: bool = Field(False, description="count modes: each channel of a picture is a picture with a class")
    stacked_count: int = Field(26_000, ge=10, le=1_000_000, description="pictures in which modes are counted")
    crop: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="translations: side of the squares that are cut from pictures; by default as it learned, or 256",
    )
    direction: Literal["a-to-b", "b-to-a"] | None = Field(
        None, description="translations of pairs: which is translated; by default as it learned, or a-to-b"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")
