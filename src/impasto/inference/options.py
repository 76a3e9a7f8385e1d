"""Options of `apply` and `sample`."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from impasto.options import Options, read_memory

__all__ = ["ApplyOptions", "SampleOptions"]


class SampleOptions(Options):
    """How a network that makes small pictures is shown."""

    kind: Literal[
        "grid",
        "interpolation",
        "manifold",
        "traversal",
        "arithmetic",
        "reconstructions",
        "nearest",
        "codes",
        "film",
        "all",
    ] = Field(
        "grid",
        description="grid: drawn pictures; interpolation: ways from one to another; manifold: a plane of the numbers; "
        "traversal: what each number does; arithmetic: one class less another, added to a third; reconstructions: "
        "pictures, their numbers, and what comes back; nearest: training pictures beside made ones; codes: where "
        "pictures lie among the numbers; film: how it learned; all: each of these",
    )
    rows: int | None = Field(None, ge=1, le=200, description="rows of pictures; by default what the kind asks for")
    columns: int | None = Field(None, ge=1, le=200, description="pictures in a row; by default the same")
    ends: Literal["auto", "drawn", "test"] = Field(
        "auto",
        description="where interpolation and traversal begin. drawn: numbers drawn at random; test: those of test "
        "pictures; auto: test, if the network can read pictures",
    )
    path: Literal["linear", "spherical"] = Field(
        "spherical", description="interpolation: along straight lines, or along arcs around the middle"
    )
    axes: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="manifold: two numbers, counted from 1; by default the directions in which pictures vary most"
    )
    classes: tuple[Annotated[str, BeforeValidator(str), Field(min_length=1)], ...] = Field(
        (),
        description="names or numbers. arithmetic: a,b,c for a - b + c, or a,c to turn a into c; else which a "
        "network is asked for that knows classes, of which manifold and traversal show the first",
    )
    pictures: str | None = Field(None, description="the set that it learned from, if it is not where it was")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything that is drawn")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(self.axes) not in (0, 2):
            raise ValueError(f"axes are {','.join(map(str, self.axes))}; expected two numbers, as 1,2.")
        if self.kind == "arithmetic" and self.classes and len(self.classes) not in (2, 3):
            raise ValueError(f"classes are {','.join(map(str, self.classes))}; expected two or three, as 3,5,8.")
        return self


class ApplyOptions(Options):
    """How a network that was trained paints pictures and videos."""

    size: int | None = Field(
        None, ge=16, le=100_000, description="longer side of the result, in pixels; by default that of the picture"
    )
    style: str = Field(
        "",
        description="a style that the network knows, the file of one that it learned, or any picture; or several with "
        "shares, as starry_night:0.6,great_wave:0.4",
    )
    strength: float = Field(1.0, ge=0, le=1, description="how far it goes from the photograph, 0, to the style, 1")
    colors: Literal["style", "luminance"] = Field(
        "style", description="style: the painting's colors; luminance: the photograph's, painted in light and dark"
    )
    style_size: int = Field(
        512, ge=16, le=4096, description="size of a style picture that a network looks at, in pixels"
    )
    mode: Literal["eval", "paper"] = Field(
        "eval",
        description="networks of pix2pix: eval: what batch normalization has learned, and no dropout; paper: each "
        "picture's own statistics, and dropout, as its authors tested it",
    )
    feather: float = Field(
        0.01, ge=0, le=0.5, description="softness of the edges of regions, as a share of the longer side"
    )
    statistics: Literal["scene", "frame"] = Field(
        "scene",
        description="what frames of a video are normalized with: statistics that they share from cut to cut, which is "
        "steady, or each frame's own",
    )
    flicker: bool = Field(False, description="measure how much a video flickers, which takes as long again")
    max_memory: int | None = Field(
        None, ge=1, description="most memory it may take, as 4G or 800M; by default what is free"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="numbers that the network computes with; auto: bfloat16 where the processor is made for it"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")

    _read_memory = field_validator("max_memory", mode="before")(read_memory)
