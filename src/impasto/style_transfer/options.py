"""Options, presets and quality levels of `stylize`."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from impasto.errors import OptionError, unknown_name
from impasto.options import COMMON, Layers, Options, read_box, read_layers, read_memory
from impasto.registry import Registry

__all__ = ["PRESETS", "QUALITIES", "StylizeOptions", "quality_settings"]

_MANNER = (0.29, 0.29, 0.29, 0.13, 0.0)  # weights of relu1_1 to relu5_1 for motifs=0
_STYLE_LOSSES = ("gram", "moments", "wasserstein")  # as `losses.style.STYLE_LOSSES`, which needs torch


class StylizeOptions(Options):
    """Options of `stylize`: style transfer by optimization of the pixels.

    Losses are means, so a weight means the same at every size; docs/numerics.md names the source of each
    default.
    """

    size: int = Field(
        512, ge=16, le=100_000, description="longer side of the result, in pixels", json_schema_extra=COMMON
    )
    strength: float = Field(
        1.0,
        ge=0,
        le=1,
        description="strength of the style: 0 keeps the style of the photograph, 1 gives the full style",
        json_schema_extra=COMMON,
    )
    content_weight: float = Field(0.12, ge=0, description="weight of the content loss", json_schema_extra=COMMON)
    content_focus: float = Field(
        0.25,
        ge=0,
        le=4,
        description="how much the content loss keeps structure rather than flat regions, which get strokes: the weight "
        "of a position is this power of the energy of its features; 0: the same everywhere",
    )
    motifs: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how far motifs of the style image, as faces, trees or its frame, may appear. 0: none, only its "
        "manner, in relu1_1 to relu4_1 with weights of 0.29, 0.29, 0.29 and 0.13; 1: they may, in relu1_1 to relu5_1 "
        "with 0.2 each; between them, the square of this mixes the weights",
        json_schema_extra=COMMON,
    )
    strokes: float = Field(
        1.0,
        ge=0,
        le=10,
        description="strokes in flat regions: amount of noise with the spectrum of the style image's detail that is "
        "added there at the start of each finer scale; 0: none",
    )
    style_weight: float = Field(1.0, ge=0, description="weight of the style loss")
    feather: float = Field(
        0.01, ge=0, le=0.5, description="width of the soft edges of regions, as a fraction of the longer side"
    )
    tv_weight: float = Field(0.2, ge=0, description="weight of the total variation loss")
    range_weight: float = Field(
        5.0, ge=0, description="weight of the penalty on pixel values outside [0, 1] during the optimization"
    )
    style_scale: float = Field(
        1.0, gt=0, le=16, description="size of the strokes: 2 doubles them", json_schema_extra=COMMON
    )
    style_weights: tuple[float, ...] = Field(
        (), description="mixing weight of each style image; empty: equal weights", json_schema_extra=COMMON
    )
    style_crop: str = Field(
        "auto",
        description="part of each style image that counts. auto: without a uniform margin, as the paper around a print "
        "or a photographed frame; none: all of it; or left,top,width,height as fractions, like 0.1,0.05,0.8,0.9",
    )
    colors: Literal["style", "luminance", "match"] = Field(
        "style",
        description="style: colors of the style image; luminance: colors of the photograph, only luminance is "
        "stylized; match: the style image first gets the color statistics of the photograph",
        json_schema_extra=COMMON,
    )
    color_map: Literal["transport", "pca", "cholesky"] = Field(
        "transport", description="color transfer for colors=match: the map between the two color distributions"
    )
    content_layers: Layers = Field({"relu4_2": 1.0}, description="content layers, as relu4_2 or relu3_2:0.5,relu4_2:1")
    style_layers: Layers = Field({}, description="style layers and their weights; by default motifs decides")
    style_loss: str = Field(
        "gram",
        min_length=1,
        description="gram: Gram matrices (Gatys et al.); moments: mean and standard deviation of each channel; "
        "wasserstein: Wasserstein-2 distance of Gaussians with full covariance; or that of another package",
    )
    gram_norm: Literal["hw", "chw", "none"] = Field(
        "hw", description="normalization of the Gram matrix: what its entries are divided by"
    )
    loss_scale: Literal["relative", "absolute"] = Field(
        "relative", description="relative: the loss of each layer is divided by that of a blank or unrelated picture"
    )
    total_variation: Literal["l1", "l2", "nine-point"] = Field("l2", description="kind of total variation")
    encoder: str = Field(
        "compact", min_length=1, description="feature extractor: a name from `impasto encoders` or a file"
    )
    polish: int = Field(6, ge=0, le=1_000_000, description="additional steps at the end with polish_encoder")
    polish_encoder: str = Field(
        "vgg19", min_length=1, description="feature extractor of the last steps, as for encoder"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="precision of the computation; auto: bfloat16 on CPUs that support it natively, else float32",
    )
    pooling: Literal["max", "average"] = Field("max", description="pooling layers of the feature extractor")
    padding: Literal["zeros", "replicate", "reflect"] = Field(
        "replicate", description="padding of the first convolution"
    )
    optimizer: Literal["lbfgs", "adam"] = Field("lbfgs", description="optimizer of the pixels")
    learning_rate: float = Field(1.0, gt=0, description="learning rate; 1 suits lbfgs, 0.02 suits adam")
    momentum: float = Field(0.9, ge=0, lt=1, description="adam: decay of the first moment (beta 1)")
    adaptivity: float = Field(0.99, ge=0, lt=1, description="adam: decay of the second moment (beta 2)")
    history: int = Field(20, ge=1, le=1000, description="lbfgs: number of past steps in the curvature estimate")
    steps: int = Field(70, ge=1, le=1_000_000, description="optimizer steps at the coarsest scale")
    step_decay: float = Field(
        0.4, gt=0, le=1, description="steps at each finer scale, as a fraction of those at the scale before"
    )
    min_size: int = Field(
        128, ge=16, description="approximate longer side at the coarsest scale; above half of size there is one scale"
    )
    scale_factor: float = Field(2.0, gt=1, le=16, description="ratio of one scale to the next")
    averaging: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the iterates; 0: the last iterate is the result"
    )
    plateau: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="early stopping: end a scale when ten steps improve the loss by less than this fraction",
    )
    minutes: float | None = Field(
        None, gt=0, description="time budget, in minutes; fewer steps run if needed", json_schema_extra=COMMON
    )
    max_memory: int | None = Field(None, ge=1, description="memory limit, as 4G or 800M; by default the free memory")
    init: Literal["content", "noise", "style"] = Field(
        "content", description="initialization: the photograph, noise, or noise with the colors of the style"
    )
    init_image: str | None = Field(None, description="picture file that replaces the initialization")
    seed: int = Field(0, ge=0, lt=2**63, description="random seed of the run", json_schema_extra=COMMON)
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")

    _read_layers = field_validator("content_layers", "style_layers", mode="before")(read_layers)

    _read_memory = field_validator("max_memory", mode="before")(read_memory)

    @field_validator("style_crop", mode="before")
    @classmethod
    def _known_style_crop(cls, crop: object) -> object:
        crop = ",".join(map(str, crop)) if isinstance(crop, list | tuple) else crop
        if isinstance(crop, str) and crop not in ("auto", "none"):
            try:
                read_box(crop)
            except ValueError:
                raise ValueError(
                    f"style_crop is {crop!r}; expected auto, none, or left,top,width,height as fractions, "
                    "like 0.1,0.05,0.8,0.9."
                ) from None
        return crop

    @field_validator("style_loss")
    @classmethod
    def _known_style_loss(cls, name: str) -> str:
        known = Registry("a style loss", "impasto.style_losses", lambda: dict.fromkeys(_STYLE_LOSSES)).names()
        if name not in known:
            raise unknown_name("a style loss", name, known)
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("content_layers", "style_layers"):
            layers: Layers = getattr(self, name)
            if (not layers and name == "content_layers") or any(weight < 0 for weight in layers.values()):
                raise ValueError(f"{name} are {layers}; expected one or more names with weights of 0 or more.")
        if self.style_layers and self.motifs != type(self).model_fields["motifs"].default:
            raise ValueError(
                "style_layers and motifs are both given; expected one of them, since motifs chooses layers."
            )
        if any(weight < 0 for weight in self.style_weights) or (self.style_weights and not sum(self.style_weights)):
            raise ValueError(f"style_weights are {self.style_weights}; expected 0 or more each, not all 0.")
        if self.content_weight == self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0; expected at least one above 0.")
        return self

    @classmethod
    def preset(cls, name: str, quality: str | None = None, **settings: Any) -> Self:
        """Return a preset at a quality level, with some options replaced.

        Raises:
            UnknownName: there is no such preset or quality.
            OptionError: an option is out of range, or the preset sets the options of a quality itself.
        """
        if name not in PRESETS:
            raise unknown_name("a preset", name, PRESETS)
        chosen = {} if quality is None else quality_settings(quality)
        if chosen and name != "default":
            raise OptionError(f"the preset {name} decides its quality itself; leave out quality {quality}.")
        return cls(**{**chosen, **PRESETS[name], **settings})

    @property
    def layers_of_style(self) -> Layers:
        """The style layers and their weights: those that are given, or those of `motifs`.

        Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576, Methods: five layers of 1/5 each, which is `motifs` 1.
        Differs: features of relu5_1 are eyes, windows and trees, and at a coarse scale those of relu4_1 are, too. So
            `motifs` 0 is without the one, and with less of the other.
        """
        if self.style_layers:
            return self.style_layers
        share = self.motifs**2
        mixed = {f"relu{block}_1": (1 - share) * least + share * 0.2 for block, least in enumerate(_MANNER, start=1)}
        return {layer: weight for layer, weight in mixed.items() if weight}

    def scales(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Return `(height, width, steps)` of every scale, coarse to fine, for a photograph of this size."""
        sides = [float(self.size)]
        while sides[-1] / self.scale_factor >= self.min_size:
            sides.append(sides[-1] / self.scale_factor)
        longer = max(height, width)
        return tuple(
            (
                max(1, round(height * side / longer)),
                max(1, round(width * side / longer)),
                max(1, round(self.steps * self.step_decay**index)),
            )
            for index, side in enumerate(reversed(sides))
        )


def quality_settings(name: str) -> dict[str, Any]:
    """Return the options of a quality level.

    Raises:
        UnknownName: there is no such quality.
    """
    if name not in QUALITIES:
        raise unknown_name("a quality", name, QUALITIES)
    return dict(QUALITIES[name])


# Quality levels, from fast to slow. "good" is the default of every field; docs/encoder.md has the experiments.
# All set the same fields, so that one can replace another.
QUALITIES: dict[str, dict[str, Any]] = {
    "draft": {"encoder": "compact", "steps": 32, "step_decay": 0.4, "polish": 0},
    "good": {"encoder": "compact", "steps": 70, "step_decay": 0.4, "polish": 6},
    "best": {"encoder": "vgg19", "steps": 80, "step_decay": 0.5, "polish": 0},
}


# Feature extractor, precision and whole style images of the papers, whatever our own defaults are.
_PAPERS = {
    "encoder": "vgg19",
    "polish": 0,
    "precision": "float32",
    "style_crop": "none",
    "content_focus": 0.0,
    "strokes": 0.0,
}


# Presets of papers, each number with its source. docs/numerics.md says where sums became means.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Gatys, Ecker & Bethge 2015, arXiv:1508.06576, Methods: layers, w_l = 1/5, average pooling, white
    # noise, alpha/beta = 1e-3; L-BFGS from Gatys et al. 2016 (CVPR), section 3.
    "gatys": _PAPERS
    | {
        "content_layers": {"conv4_2": 1.0},
        "style_layers": {f"conv{block}_1": 0.2 for block in range(1, 6)},
        "content_weight": 1e-3 * 512 * 64 * 64 / 2,  # alpha times eq. 1's half sum over N_l M_l at 512 px
        "style_weight": 1 / 4,  # eq. 4's quarter
        "tv_weight": 0.0,
        "range_weight": 0.0,
        "loss_scale": "absolute",
        "pooling": "average",
        "padding": "zeros",
        "init": "noise",
        "min_size": 100_000,  # one scale
        "steps": 500,
        "history": 100,
    },
    # Udacity's notebook "Style Transfer with PyTorch": Adam on a clone of the content, style weights that fall
    # with depth. Its Gram sums become means by M_l / N_l at 400 x 400 px, and its
    # style_weight of 1e6 is divided by (255 * 0.229)² for this network's input range.
    "clone": _PAPERS
    | {
        "size": 400,
        "content_layers": {"relu4_2": 1.0},
        "style_layers": {
            "relu1_1": 1.0 * 400**2 / 64,
            "relu2_1": 0.75 * 200**2 / 128,
            "relu3_1": 0.2 * 100**2 / 256,
            "relu4_1": 0.2 * 50**2 / 512,
            "relu5_1": 0.2 * 25**2 / 512,
        },
        "content_weight": 1.0,
        "style_weight": 1e6 / (255 * 0.229) ** 2,
        "tv_weight": 0.0,
        "range_weight": 0.0,
        "loss_scale": "absolute",
        "padding": "zeros",
        "optimizer": "adam",
        "learning_rate": 0.003,
        "adaptivity": 0.999,
        "min_size": 100_000,
        "steps": 2000,
    },
    # TensorFlow's "Neural style transfer" tutorial: relu5_2 for content, total variation as a sum over
    # 3 * 512² values, Adam with beta1 = 0.99; it has the same VGG-19 weights as we.
    "tutorial": _PAPERS
    | {
        "content_layers": {"relu5_2": 1.0},
        "style_layers": {f"relu{block}_1": 0.2 for block in range(1, 6)},
        "content_weight": 1e4,
        "style_weight": 1e-2,
        "tv_weight": 30.0 * 3 * 512**2,
        "total_variation": "l1",
        "range_weight": 0.0,
        "loss_scale": "absolute",
        "padding": "zeros",
        "optimizer": "adam",
        "learning_rate": 0.02,
        "momentum": 0.99,
        "adaptivity": 0.999,
        "min_size": 100_000,
        "steps": 1000,
    },
}
