"""Options of `evaluate`, which measures a trained network."""

from typing import Literal

from pydantic import Field

from impasto.options import COMMON, Options

__all__ = ["EvaluateOptions"]


class EvaluateOptions(Options):
    """Options of `evaluate`: how generated samples and translations are measured."""

    count: int = Field(
        1000,
        ge=10,
        le=1_000_000,
        description="number of generated samples, and of real pictures to compare them with",
        json_schema_extra=COMMON,
    )
    seed: int = Field(0, ge=0, lt=2**63, description="random seed of the latent codes")
    neighbors: int = Field(
        5, ge=1, le=1000, description="k of the k nearest neighbors, for precision, recall, density and coverage"
    )
    classifier: str = Field(
        "",
        description="classifier whose features are compared: a file or folder of `impasto train classifier`, or the "
        "folder of a GAN; by default one is trained once and kept",
    )
    classifier_steps: int = Field(1500, ge=1, le=1_000_000, description="training steps of the default classifier")
    stacked: bool = Field(
        False, description="count modes as in stacked MNIST: each channel is a picture with its own class"
    )
    stacked_count: int = Field(
        26_000, ge=10, le=1_000_000, description="number of generated samples in which modes are counted"
    )
    crop: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="translation: side of the square crops, in pixels; by default that of the training, or 256",
        json_schema_extra=COMMON,
    )
    direction: Literal["a-to-b", "b-to-a"] | None = Field(
        None,
        description="pix2pix: direction of the translation; by default that of the training, or a-to-b",
        json_schema_extra=COMMON,
    )
    key: str = Field(
        "", description="part of a model file that holds several networks, as netG_A or params_ema; see docs/formats.md"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")
