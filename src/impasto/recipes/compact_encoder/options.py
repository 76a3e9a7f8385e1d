"""Options of compact encoders: a low-rank approximation of VGG."""

from pydantic import Field

from impasto.options import COMMON, Options

__all__ = ["CompressOptions"]


class CompressOptions(Options):
    """Options of `train encoder`."""

    pictures: int = Field(
        600, ge=1, description="number of pictures on which the layers are fitted", json_schema_extra=COMMON
    )
    size: int = Field(
        224,
        ge=32,
        le=4096,
        description="side of the square crop from each picture, in pixels",
        json_schema_extra=COMMON,
    )
    positions: int = Field(
        1500, ge=1, description="positions in the feature maps of each picture on which a layer is fitted, at most"
    )
    ridge: float = Field(
        1e-4, ge=0, description="ridge regularization, as a fraction of the mean variance of a layer's inputs"
    )
    width: float = Field(1.0, gt=0, le=32, description="factor on the ranks of all layers", json_schema_extra=COMMON)
    teacher: str = Field(
        "vgg19", min_length=1, description="VGG to approximate: a name from `impasto encoders` or a file"
    )
    provenance: str = Field("", description="source and license of the pictures, which are written into the file")
    seed: int = Field(0, ge=0, lt=2**63, description="random seed of the run")
