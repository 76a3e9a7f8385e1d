"""Options that several training methods share."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from impasto.options import COMMON, Layers, read_layers
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
    """Options of feed-forward style transfer: a network stylizes a photograph in one forward pass."""

    crop: int = Field(192, ge=64, le=4096, description="side of the square crops, in pixels")
    learning_rate: float = Field(2e-3, gt=0, description="learning rate at its peak")
    content_weight: float = Field(0.16, ge=0, description="weight of the content loss", json_schema_extra=COMMON)
    style_weight: float = Field(1.0, ge=0, description="weight of the style loss")
    tv_weight: float = Field(0.05, ge=0, description="weight of the total variation loss")
    style_size: int = Field(
        512,
        ge=32,
        le=4096,
        description="size of the style image, as the side of a square of the same area, in pixels; it sets the size of "
        "the strokes",
        json_schema_extra=COMMON,
    )
    content_layers: Layers = Field({"relu4_2": 1.0}, description="content layers and their weights")
    style_layers: Layers = Field(
        {"relu1_1": 0.25, "relu2_1": 0.25, "relu3_1": 0.25, "relu4_1": 0.25, "relu5_1": 0.03},
        description="style layers and their weights; relu5_1 has little, because it brings motifs of the style image",
    )
    encoder: str = Field(
        "compact", min_length=1, description="feature extractor of the losses: a name from `impasto encoders` or a file"
    )

    _read_layers = field_validator("content_layers", "style_layers", mode="before")(read_layers)

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weights of the perceptual loss, by the name of each loss."""
        return {"content": self.content_weight, "style": self.style_weight, "tv": self.tv_weight}


def _without_epochs(given: dict[str, Any]) -> dict[str, Any]:
    """Let a given number of steps or a budget replace the epochs."""
    return {"epochs": None, **given} if {"steps", "budget"} & given.keys() else given


class SmallOptions(TrainOptions):
    """Options of methods that train on small pictures; each method adds its own."""

    steps: int = Field(
        2000, ge=1, le=100_000_000, description="number of training steps; if given, they replace the epochs"
    )
    epochs: float | None = Field(
        60.0,
        gt=0,
        le=1_000_000,
        description="passes over the training set; they run by default, unless steps or a budget are given",
        json_schema_extra=COMMON,
    )
    batch: int = Field(128, ge=1, le=100_000, description="batch size, of all processes together")
    crop: int = Field(
        0,
        ge=0,
        le=4096,
        description="side of the square to which pictures are cropped and resized, in pixels; 0: their own size, or 32 "
        "for a folder",
    )
    colors: Literal["auto", "gray", "rgb"] = Field(
        "auto", description="color channels; gray: one; rgb: three; auto: rgb if any picture has color"
    )
    latent: int = Field(32, ge=1, le=4096, description="size of the latent code z", json_schema_extra=COMMON)

    progress_epochs: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1, 2, 5, 10, 20, 50, 100, 200, 500),
        description="epochs after which one more preview is written, for `impasto sample --kind progress`",
    )

    @model_validator(mode="before")
    @classmethod
    def _duration(cls, given: dict[str, Any]) -> dict[str, Any]:
        return _without_epochs(given)

    @model_validator(mode="after")
    def _possible_crop(self) -> Self:
        if 0 < self.crop < 4:
            raise ValueError(f"crop is {self.crop}; expected 0, or 4 or more.")
        return self

    def changed(self, **settings: Any) -> Self:
        """Return a copy with some options replaced; everything is validated again."""
        return super().changed(**_without_epochs(settings))

    def planned(self, pictures: int) -> Self:
        """Return a copy with epochs and progress epochs as steps, for a training set of `pictures` pictures."""

        def steps(epochs: float) -> int:
            return max(1, math.ceil(epochs * pictures / self.batch))

        planned: dict[str, Any] = {"preview_steps": self.preview_steps or tuple(map(steps, self.progress_epochs))}
        if self.epochs is not None:
            planned["steps"] = steps(self.epochs)
        return self.changed(**planned)


class CoderOptions(SmallOptions):
    """Options of autoencoders: an encoder maps a small picture to a latent code, a decoder maps it back."""

    network: Literal["dense", "conv"] = Field(
        "dense", description="architecture; dense: fully connected layers; conv: convolutions", json_schema_extra=COMMON
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (),
        description="widths of the encoder's hidden layers, mirrored in the decoder; by default 512,256 for dense, 256 "
        "for conv",
    )
    width: int = Field(
        32, ge=1, le=1024, description="conv: channels of the first convolution; each later one has twice as many"
    )


class AdversarialOptions(SmallOptions):
    """Options of GANs: a generator and a discriminator are trained against each other on small pictures."""

    steps: int = Field(
        8000,
        ge=1,
        le=100_000_000,
        description="number of training steps; they run by default, unless epochs or a budget are given",
    )
    epochs: float | None = Field(
        None, gt=0, le=1_000_000, description="passes over the training set; if given, they replace the steps"
    )
    batch: int = Field(64, ge=1, le=100_000, description="batch size, of all processes together")
    latent: int = Field(30, ge=1, le=4096, description="size of the latent code z")
    conditional: bool = Field(
        False,
        description="train a class-conditional GAN, which samples from a requested class",
        json_schema_extra=COMMON,
    )
    loss: Literal["nonsaturating", "saturating", "hinge"] = Field(
        "nonsaturating",
        description="adversarial loss; nonsaturating: the generator minimizes -log D(G(z)); saturating: the minimax "
        "loss log(1 - D(G(z))); hinge: hinge loss",
    )
    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="optimizer of both networks")
    learning_rate: float = Field(1e-3, gt=0, description="learning rate of the generator at its peak")
    discriminator_rate: float | None = Field(
        None, gt=0, description="learning rate of the discriminator at its peak; by default the generator's"
    )
    momentum: float = Field(0.5, ge=0, lt=1, description="adam: decay of the first moment (beta 1)")
    r1_weight: float = Field(
        0.05, ge=0, description="weight of the R1 gradient penalty on real pictures (gamma); 0: none"
    )
    r1_steps: int = Field(
        8,
        ge=1,
        le=10_000,
        description="steps between two R1 penalties (lazy regularization); the weight is multiplied by their number",
    )
    instance_noise: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="standard deviation of Gaussian noise on the inputs of the discriminator; it decays to a tenth by "
        "the end, and r1_weight with its square",
    )
    augment: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        (),
        description="differentiable augmentation of the discriminator's inputs (DiffAugment), for small training sets: "
        "any of color, translation, cutout",
    )
    spectral_norm: bool = Field(False, description="spectral normalization of the discriminator's layers")
    watch_steps: int = Field(
        500, ge=0, le=1_000_000, description="steps between two measurements of generated samples; 0: never"
    )
    watch_pictures: int = Field(1000, ge=100, le=100_000, description="generated samples in each measurement")
    classifier: str = Field(
        "",
        description="file or folder of the classifier that measures them; by default one is trained first, if the "
        "pictures have classes",
    )
    keep: Literal["best", "last"] = Field(
        "best", description="weights to keep; best: those with the best measurement; last: those of the last step"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="precision of the computation; bfloat16 can upset the balance of the two networks"
    )


class TranslationOptions(TrainOptions):
    """Options of image-to-image translation between two domains, A and B; each method adds its own."""

    steps: int = Field(20_000, ge=1, le=100_000_000, description="number of training steps")
    batch: int = Field(1, ge=1, le=100_000, description="batch size, of all processes together")
    crop: int = Field(128, ge=16, le=4096, description="side of the square crops, in pixels")
    zoom: float = Field(
        286 / 256,
        ge=1,
        le=8,
        description="random scale: a crop covers 1 to this many times its side in the picture and is resized to it",
    )
    no_flip: bool = Field(False, description="no horizontal flips, as digits and text need")
    learning_rate: float = Field(2e-4, gt=0, description="learning rate at its peak")
    schedule: Literal["constant", "linear", "half", "cosine"] = Field(
        "half",
        description="decay of the learning rate after the warm-up; linear, cosine: to 0 at the end; half: constant in "
        "the first half, then linear to 0",
    )
    width: int = Field(32, ge=1, le=1024, description="channels of the generators' first convolution, ngf")
    blocks: int = Field(6, ge=1, le=64, description="residual blocks of a ResNet generator")
    discriminator_width: int = Field(
        32, ge=1, le=1024, description="channels of the discriminators' first convolution, ndf"
    )
    discriminator_layers: int = Field(
        3,
        ge=1,
        le=6,
        description="strided convolutions of the PatchGAN discriminators; 1 to 6 have receptive fields of 16, 34, 70, "
        "142, 286, 574 pixels",
    )
    augment: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        (),
        description="differentiable augmentation of the discriminators' inputs (DiffAugment), for small training sets: "
        "any of color, translation, cutout",
    )
    watch_steps: int = Field(
        1000,
        ge=0,
        le=100_000_000,
        description="steps between two measurements on held-out pictures; 0: never, and no pictures are held out",
    )
    keep: Literal["best", "last"] = Field(
        "best", description="weights to keep; best: those with the best measurement; last: those of the last step"
    )


# Networks and crop of the papers; both train 100 epochs at the full learning rate and 100 while it decays.
PAPER_SIZES = {
    "crop": 256,
    "width": 64,
    "blocks": 9,
    "discriminator_width": 64,
    "ema": 0.0,
    "precision": "float32",
}


TINY_SIZES = {"crop": 64, "width": 16, "blocks": 4, "discriminator_layers": 2}
