"""Options and presets of compact encoders."""

from pydantic import Field

from impasto.options import Options

__all__ = ["CompressOptions"]


class CompressOptions(Options):
    """How a compact encoder is made from a VGG."""

    pictures: int = Field(600, ge=1, description="how many pictures are looked at")
    size: int = Field(224, ge=32, le=4096, description="side of the square that is taken from each, in pixels")
    places: int = Field(1500, ge=1, description="places in each picture from which a layer is fitted, at most")
    ridge: float = Field(1e-4, ge=0, description="what is added to the covariance of inputs, as a share of it")
    width: float = Field(1.0, gt=0, le=32, description="all numbers of directions are multiplied with this")
    teacher: str = Field("vgg19", min_length=1, description="the network to squeeze: a VGG, as for --encoder")
    provenance: str = Field("", description="what the pictures are, and under which terms; kept in the file")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of this run's own random generator")
