"""Options of `apply` and `sample`: how models are used."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from impasto.options import COMMON, Options, read_memory

__all__ = ["ApplyOptions", "SampleOptions"]


class SampleOptions(Options):
    """Options of `sample`: what a generative model or an autoencoder shows."""

    kind: Literal[
        "grid",
        "interpolation",
        "manifold",
        "traversal",
        "arithmetic",
        "reconstructions",
        "nearest",
        "embeddings",
        "progress",
        "all",
    ] = Field(
        "grid",
        description="grid: random samples; interpolation: between pairs of latent codes; manifold: a two-dimensional "
        "slice of the latent space; traversal: one latent dimension at a time; arithmetic: latent arithmetic with "
        "class means; reconstructions: pictures, their latent codes and their reconstructions; nearest: samples and "
        "their nearest training pictures; embeddings: latent codes of test pictures in a plane; progress: samples "
        "during the training; all: each of these",
        json_schema_extra=COMMON,
    )
    count: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="write so many single samples into a folder, in place of a sheet",
        json_schema_extra=COMMON,
    )
    rows: int | None = Field(
        None, ge=1, le=200, description="rows of the sheet; the default depends on the kind", json_schema_extra=COMMON
    )
    columns: int | None = Field(
        None,
        ge=1,
        le=200,
        description="columns of the sheet; the default depends on the kind",
        json_schema_extra=COMMON,
    )
    ends: Literal["auto", "drawn", "test"] = Field(
        "auto",
        description="latent codes for interpolation and traversal; drawn: sampled from the prior; test: encoded test "
        "pictures; auto: test if the network has an encoder, else drawn",
    )
    path: Literal["linear", "spherical"] = Field("spherical", description="interpolation: linear, or spherical (slerp)")
    axes: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="manifold: two latent dimensions, counted from 1; by default the first two principal components",
    )
    classes: tuple[Annotated[str, BeforeValidator(str), Field(min_length=1)], ...] = Field(
        (),
        description="names or numbers of classes; arithmetic: a,b,c for a - b + c, or a,c to turn a into c; other "
        "kinds: classes to sample from a class-conditional network, of which manifold and traversal use the first",
        json_schema_extra=COMMON,
    )
    pictures: str | None = Field(None, description="training set of the network, if it has moved")
    seed: int = Field(0, ge=0, lt=2**63, description="random seed of the samples", json_schema_extra=COMMON)
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(self.axes) not in (0, 2):
            raise ValueError(f"axes are {','.join(map(str, self.axes))}; expected two dimensions, as 1,2.")
        if self.axes and self.kind not in ("manifold", "all"):
            raise ValueError(f"axes are of the kind manifold, and kind is {self.kind}; leave out one of them.")
        if self.kind == "arithmetic" and self.classes and len(self.classes) not in (2, 3):
            raise ValueError(f"classes are {','.join(map(str, self.classes))}; expected two or three, as 3,5,8.")
        return self


class ApplyOptions(Options):
    """Options of `apply`: how a trained network processes pictures and videos."""

    size: int | None = Field(
        None,
        ge=16,
        le=100_000,
        description="longer side of the result, in pixels; by default that of the picture",
        json_schema_extra=COMMON,
    )
    style: str = Field(
        "",
        description="name of a style, file of a trained style, or any style image; several are mixed by weight, as "
        "starry_night:0.6,great_wave:0.4",
        json_schema_extra=COMMON,
    )
    strength: float = Field(
        1.0,
        ge=0,
        le=1,
        description="strength of the style: 0 gives the photograph, 1 the full style",
        json_schema_extra=COMMON,
    )
    colors: Literal["style", "luminance"] = Field(
        "style",
        description="style: colors of the style; luminance: colors of the photograph, only luminance is stylized",
        json_schema_extra=COMMON,
    )
    stroke_size: float | None = Field(
        None,
        ge=0.1,
        le=10,
        description="size of the strokes relative to the picture; 1: as in the painting, at every size of the picture; "
        "by default 1 for a pyramid painter, and for other networks as many pixels as in their training",
    )
    refine: int = Field(
        0,
        ge=0,
        le=100_000,
        description="optimizer steps of `stylize` at the size of the result, from the picture of one pass on; each "
        "brings it nearer to the style, and takes as long as many passes",
    )
    style_size: int = Field(512, ge=16, le=4096, description="size at which a network reads a style image, in pixels")
    mode: Literal["eval", "paper"] = Field(
        "eval",
        description="pix2pix; eval: running statistics of batch normalization, no dropout; paper: statistics of each "
        "picture, and dropout, as in the authors' tests",
    )
    key: str = Field(
        "", description="part of a model file that holds several networks, as netG_A or params_ema; see docs/formats.md"
    )
    feather: float = Field(
        0.01, ge=0, le=0.5, description="width of the soft edges of regions, as a fraction of the longer side"
    )
    statistics: Literal["scene", "frame"] = Field(
        "scene",
        description="normalization statistics of video frames; scene: shared from cut to cut, which reduces flicker; "
        "frame: those of each frame",
    )
    flicker: bool = Field(False, description="measure the flicker of a video, which doubles the time")
    max_memory: int | None = Field(None, ge=1, description="memory limit, as 4G or 800M; by default the free memory")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="precision of the computation; auto: bfloat16 on CPUs that support it natively, else float32; "
        "networks of other programs float32, as there",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")

    _read_memory = field_validator("max_memory", mode="before")(read_memory)
