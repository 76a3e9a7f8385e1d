"""Options of `export`: which part of a model, and in which precision, becomes a file."""

from typing import Literal

from pydantic import Field

from impasto.options import COMMON, Options

__all__ = ["ExportOptions", "Part"]

Part = Literal["auto", "decoder", "encoder", "predictor"]


class ExportOptions(Options):
    """Options of `export`."""

    precision: Literal["float32", "float16", "int8"] = Field(
        "float32",
        description="precision of the weights in the file; all programs compute in float32",
        json_schema_extra=COMMON,
    )
    part: Part = Field(
        "auto",
        description="auto: what gives pictures; decoder and encoder: the halves of an autoencoder or VAE; predictor: "
        "of a painter, from any picture to its style embedding",
        json_schema_extra=COMMON,
    )
    octaves: int = Field(
        0,
        ge=0,
        le=6,
        description="of a pyramid painter: the last level is repeated so often at twice the size, which keeps the size "
        "of strokes in pictures of 1024, 2048, ... px; a file has one number of octaves",
    )
