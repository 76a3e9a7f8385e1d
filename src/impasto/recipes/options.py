"""Options that several training methods share."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from impasto.options import Layers, read_layers
from impasto.training.options import TrainOptions

__all__ = [
    "AdversarialOptions",
    "CoderOptions",
    "PAPER_SIZES",
    "PaintingOptions",
    "SmallOptions",
    "TINY_SIZES",
    "TranslationOptions",
]


class PaintingOptions(TrainOptions):
    """How a network learns to paint in one pass."""

    crop: int = Field(192, ge=64, le=4096, description="side of the squares that are cut from pictures, in pixels")
    learning_rate: float = Field(2e-3, gt=0, description="step length at its highest")
    content_weight: float = Field(0.16, ge=0, description="how strongly the photograph's shapes hold")
    style_weight: float = Field(1.0, ge=0, description="how strongly the style pulls")
    tv_weight: float = Field(0.2, ge=0, description="how strongly neighboring pixels are drawn together")
    style_size: int = Field(
        512,
        ge=32,
        le=4096,
        description="size of the strokes: how large the style is looked at, as the side of a square",
    )
    content_layers: Layers = Field({"relu4_2": 1.0}, description="content layers and their weights")
    style_layers: Layers = Field(
        {"relu1_1": 0.2, "relu2_1": 0.2, "relu3_1": 0.2, "relu4_1": 0.2, "relu5_1": 0.2},
        description="style layers and their weights",
    )
    encoder: str = Field("compact", min_length=1, description="network that looks, as for stylize")

    _read_layers = field_validator("content_layers", "style_layers", mode="before")(read_layers)


def _without_epochs(given: dict[str, Any]) -> dict[str, Any]:
    """Who names a number of steps or a budget wants no epochs besides."""
    return {"epochs": None, **given} if {"steps", "budget"} & given.keys() else given


class SmallOptions(TrainOptions):
    """How a network learns from small pictures; each method adds settings of its own."""

    epochs: float | None = Field(
        60.0, gt=0, le=1_000_000, description="times that every picture is seen; steps or a budget decide in its place"
    )
    batch: int = Field(128, ge=1, le=100_000, description="pictures in each step, those of all processes together")
    crop: int = Field(
        0, ge=0, le=4096, description="side of the squares that pictures become; 0: as they are, or 32 in a folder"
    )
    colors: Literal["auto", "gray", "rgb"] = Field(
        "auto", description="auto: rgb if any picture has color; gray: one channel; rgb: three"
    )
    latent: int = Field(32, ge=1, le=4096, description="numbers that a picture becomes")

    film: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1, 2, 5, 10, 20, 50, 100, 200, 500),
        description="times that every picture is seen after which there is a preview besides, for `impasto sample "
        "--kind film`",
    )

    @model_validator(mode="before")
    @classmethod
    def _length(cls, given: dict[str, Any]) -> dict[str, Any]:
        return _without_epochs(given)

    @model_validator(mode="after")
    def _possible_crop(self) -> Self:
        if 0 < self.crop < 4:
            raise ValueError(f"crop is {self.crop}; expected 0, or 4 or more.")
        return self

    def changed(self, **settings: Any) -> Self:
        """Return a copy with some settings replaced, everything validated again."""
        return super().changed(**_without_epochs(settings))

    def planned(self, pictures: int) -> Self:
        """Return them with epochs as steps, also those of the film, for a set of so many pictures."""

        def steps(epochs: float) -> int:
            return max(1, math.ceil(epochs * pictures / self.batch))

        planned: dict[str, Any] = {"preview_steps": self.preview_steps or tuple(map(steps, self.film))}
        if self.epochs is not None:
            planned["steps"] = steps(self.epochs)
        return self.changed(**planned)


class CoderOptions(SmallOptions):
    """How a network learns to turn small pictures into numbers and back."""

    network: Literal["dense", "conv"] = Field(
        "dense", description="dense: every pixel to every neuron; conv: convolutions, which know of neighbors"
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (),
        description="widths of the layers on the way to them; by default 512,256 in dense, 256 in conv",
    )
    width: int = Field(32, ge=1, le=1024, description="conv: channels of the first convolution; each later one doubles")


class AdversarialOptions(SmallOptions):
    """How two networks learn against each other: one makes small pictures, the other tells them from real ones."""

    steps: int = Field(8000, ge=1, le=100_000_000, description="how many steps it takes")
    epochs: float | None = Field(
        None, gt=0, le=1_000_000, description="times that every picture is seen; decides in place of steps"
    )
    batch: int = Field(64, ge=1, le=100_000, description="pictures in each step, those of all processes together")
    latent: int = Field(30, ge=1, le=4096, description="numbers that a picture is made from")
    conditional: bool = Field(False, description="learn to make pictures of a class that is asked for")
    loss: Literal["nonsaturating", "saturating", "hinge"] = Field(
        "nonsaturating",
        description="nonsaturating: labels of made pictures are flipped for the generator; saturating: the game as it "
        "is written; hinge: nothing is gained where the discriminator is sure",
    )
    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="how both follow their gradients")
    learning_rate: float = Field(1e-3, gt=0, description="the generator's step length at its highest")
    discriminator_rate: float | None = Field(
        None, gt=0, description="the discriminator's step length; by default that of the generator"
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="adam: decay of the mean gradient (beta 1)")
    r1_weight: float = Field(
        0.05, ge=0, description="how flat the discriminator must be around real pictures (gamma); 0: as it likes"
    )
    r1_steps: int = Field(
        8, ge=1, le=10_000, description="every how many steps that is asked for, so many times as strongly"
    )
    instance_noise: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="deviation of noise on all that the discriminator sees; it falls to a tenth by the end, and "
        "r1_weight as its square",
    )
    augment: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        (),
        description="how pictures are changed before they are judged, for sets of few: any of color, translation, "
        "cutout",
    )
    spectral_norm: bool = Field(False, description="divide the discriminator's layers by their largest singular value")
    watch_steps: int = Field(
        500, ge=0, le=1_000_000, description="every how many steps made pictures are measured; 0: never"
    )
    watch_pictures: int = Field(1000, ge=100, le=100_000, description="how many are made for that")
    classifier: str = Field(
        "",
        description="file or folder of a classifier that looks at them; by default one learns first, if there are "
        "classes",
    )
    keep: Literal["best", "last"] = Field(
        "best", description="best: the generator that was measured to be nearest to real pictures; last: as it ended"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="numbers that networks compute with; the balance of the two asks for those of 32 bits"
    )


class TranslationOptions(TrainOptions):
    """How a network learns to translate pictures of one kind into another; each method adds settings of its own."""

    steps: int = Field(20_000, ge=1, le=100_000_000, description="how many steps it takes")
    batch: int = Field(1, ge=1, le=100_000, description="pictures in each step, those of all processes together")
    crop: int = Field(128, ge=16, le=4096, description="side of the squares that are cut from pictures, in pixels")
    zoom: float = Field(
        286 / 256, ge=1, le=8, description="crops show up to this many times their own side of a picture"
    )
    no_flip: bool = Field(False, description="never turn pictures left to right, as is right for digits and text")
    learning_rate: float = Field(2e-4, gt=0, description="step length at its highest")
    schedule: Literal["constant", "linear", "half", "cosine"] = Field(
        "half", description="how the step length falls from the warm-up to the end; half: in the last half"
    )
    width: int = Field(32, ge=1, le=1024, description="channels of the generators at full resolution, ngf")
    blocks: int = Field(6, ge=1, le=64, description="residual blocks of a ResNet generator")
    judge_width: int = Field(32, ge=1, le=1024, description="channels of the discriminators' first convolution, ndf")
    judge_layers: int = Field(
        3, ge=1, le=6, description="strided convolutions of the discriminators: 1 to 6 see 16, 34, 70, 142, 286, 574 px"
    )
    augment: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        (), description="how pictures are changed before they are judged, for small sets: color, translation, cutout"
    )
    watch_steps: int = Field(
        1000,
        ge=0,
        le=100_000_000,
        description="every how many steps translations are measured, of pictures that are held out; 0: never, and none "
        "are",
    )
    keep: Literal["best", "last"] = Field(
        "best", description="best: the networks that were measured to be best; last: as they ended"
    )


# The network and crop of the papers; both train 100 epochs at full step length and 100 while it falls.
PAPER_SIZES = {
    "crop": 256,
    "width": 64,
    "blocks": 9,
    "judge_width": 64,
    "ema": 0.0,
    "precision": "float32",
}


TINY_SIZES = {"crop": 64, "width": 16, "blocks": 4, "judge_layers": 2}
