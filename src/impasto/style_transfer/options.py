"""Options, presets and qualities of `stylize`."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from impasto.errors import OptionError, unknown_name
from impasto.options import Layers, Options, read_layers, read_memory

__all__ = ["PRESETS", "QUALITIES", "StylizeOptions", "quality_settings"]


class StylizeOptions(Options):
    """How one picture is painted.

    Losses are means, so a weight means the same at every size; see docs/numerics.md for each default's
    source.
    """

    size: int = Field(512, ge=16, le=100_000, description="longer side of the result, in pixels")
    strength: float = Field(
        1.0, ge=0, le=1, description="how far it goes from the photograph's own look, 0, to that of the style, 1"
    )
    content_weight: float = Field(0.16, ge=0, description="how strongly the photograph's shapes hold")
    style_weight: float = Field(1.0, ge=0, description="how strongly the style pulls")
    feather: float = Field(
        0.01, ge=0, le=0.5, description="softness of the edges of regions, as a share of the longer side"
    )
    tv_weight: float = Field(0.2, ge=0, description="how strongly neighboring pixels are drawn together")
    range_weight: float = Field(
        5.0, ge=0, description="how strongly pixels are kept between black and white while they are optimized"
    )
    style_scale: float = Field(1.0, gt=0, le=16, description="size of the strokes: 2 doubles them")
    style_weights: tuple[float, ...] = Field((), description="share of each style picture; empty: equal shares")
    colors: Literal["style", "luminance", "match"] = Field(
        "style",
        description="style: the painting's colors; luminance: the photograph's colors, painted in light and dark; "
        "match: the style recolored to the photograph's palette first",
    )
    color_map: Literal["transport", "pca", "cholesky"] = Field(
        "transport", description="how colors=match moves the style's colors"
    )
    content_layers: Layers = Field({"relu4_2": 1.0}, description="content layers, as relu4_2 or relu3_2:0.5,relu4_2:1")
    style_layers: Layers = Field(
        {"relu1_1": 0.2, "relu2_1": 0.2, "relu3_1": 0.2, "relu4_1": 0.2, "relu5_1": 0.2},
        description="style layers and their weights",
    )
    style_loss: Literal["gram", "moments", "wasserstein"] = Field(
        "gram",
        description="gram: the paper's; moments: mean and spread of each channel; "
        "wasserstein: distance of Gaussians with full covariance",
    )
    gram_norm: Literal["hw", "chw", "none"] = Field("hw", description="what Gram entries are divided by")
    loss_scale: Literal["relative", "absolute"] = Field(
        "relative", description="relative: each layer's loss is divided by that of a blank or unrelated picture"
    )
    total_variation: Literal["l1", "l2", "nine-point"] = Field("l2", description="which total variation is used")
    encoder: str = Field(
        "compact", min_length=1, description="network that sees: a name from `impasto encoders` or a file"
    )
    polish: int = Field(6, ge=0, le=1_000_000, description="steps at the end with the network that polishes")
    polish_encoder: str = Field("vgg19", min_length=1, description="network that polishes, as for --encoder")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="numbers that networks compute with; auto: bfloat16 where the processor is made for it",
    )
    pooling: Literal["max", "average"] = Field("max", description="how the network shrinks its maps")
    padding: Literal["zeros", "replicate", "reflect"] = Field(
        "replicate", description="what the first convolution sees outside the picture"
    )
    optimizer: Literal["lbfgs", "adam"] = Field("lbfgs", description="how pixels follow the gradient")
    learning_rate: float = Field(1.0, gt=0, description="step length; 1 suits lbfgs, 0.02 suits adam")
    momentum: float = Field(0.9, ge=0, lt=1, description="adam: decay of the mean gradient (beta 1)")
    adaptivity: float = Field(0.99, ge=0, lt=1, description="adam: decay of the mean squared gradient (beta 2)")
    history: int = Field(20, ge=1, le=1000, description="lbfgs: how many past steps it remembers")
    steps: int = Field(70, ge=1, le=1_000_000, description="optimizer steps at the coarsest scale")
    step_decay: float = Field(0.4, gt=0, le=1, description="each finer scale takes this share of the steps before it")
    min_size: int = Field(
        128, ge=16, description="longer side at the coarsest scale, about; above half the size there is only one"
    )
    scale_factor: float = Field(2.0, gt=1, le=16, description="ratio of one scale to the next")
    averaging: float = Field(
        0.0, ge=0, lt=1, description="decay of the average of pictures that is kept; 0: the last one"
    )
    plateau: float = Field(
        0.0, ge=0, lt=1, description="leave a scale when ten steps improve the loss by less than this share"
    )
    minutes: float | None = Field(None, gt=0, description="time budget; steps are left out to keep it")
    max_memory: int | None = Field(
        None, ge=1, description="most memory it may take, as 4G or 800M; by default what is free"
    )
    init: Literal["content", "noise", "style"] = Field(
        "content", description="the first picture: the photograph, noise, or noise with the style's colors"
    )
    init_image: str | None = Field(None, description="a picture file to start from instead")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of this run's own random generator")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")

    _read_layers = field_validator("content_layers", "style_layers", mode="before")(read_layers)

    _read_memory = field_validator("max_memory", mode="before")(read_memory)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("content_layers", "style_layers"):
            layers: Layers = getattr(self, name)
            if not layers or any(weight < 0 for weight in layers.values()):
                raise ValueError(f"{name} are {layers}; expected one or more names with weights of 0 or more.")
        if any(weight < 0 for weight in self.style_weights) or (self.style_weights and not sum(self.style_weights)):
            raise ValueError(f"style_weights are {self.style_weights}; expected 0 or more each, not all 0.")
        if self.content_weight == self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0; expected at least one above 0.")
        return self

    @classmethod
    def preset(cls, name: str, quality: str | None = None, **settings: Any) -> Self:
        """Return the named preset, in a named quality, with some settings replaced.

        Raises:
            UnknownName: there is no such preset or quality.
            OptionError: a setting is out of range, or the preset has settings of its own where a quality has.
        """
        if name not in PRESETS:
            raise unknown_name("a preset", name, PRESETS)
        chosen = {} if quality is None else quality_settings(quality)
        if chosen and name != "default":
            raise OptionError(f"the preset {name} decides its quality itself; leave out quality {quality}.")
        return cls(**{**chosen, **PRESETS[name], **settings})

    def scales(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Return `(height, width, steps)` of every scale, coarse to fine, for a photograph of that shape."""
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
    """Return the settings that make a quality.

    Raises:
        UnknownName: there is no such quality.
    """
    if name not in QUALITIES:
        raise unknown_name("a quality", name, QUALITIES)
    return dict(QUALITIES[name])


# How much time a picture gets. "good" is the default of every field; how the numbers were found is in
# docs/encoder.md. All name the same fields, so that one can replace another.
QUALITIES: dict[str, dict[str, Any]] = {
    "draft": {"encoder": "compact", "steps": 32, "step_decay": 0.4, "polish": 0},
    "good": {"encoder": "compact", "steps": 70, "step_decay": 0.4, "polish": 6},
    "best": {"encoder": "vgg19", "steps": 80, "step_decay": 0.5, "polish": 0},
}


# How a paper looked and took its steps, whatever our own defaults are.
_PAPERS = {"encoder": "vgg19", "polish": 0, "precision": "float32"}


# A paper's settings, each number with its source. Sizes where sums became means are in docs/numerics.md.
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
    # The learners' notebook (Udacity, "Style Transfer with PyTorch"): Adam on a clone of the content,
    # style layers falling with depth. Its Gram sums become means by M_l / N_l at 400 x 400 px, and its
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
    # 3 * 512² values, Adam with beta1 = 0.99; it uses the same weights as we do.
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
