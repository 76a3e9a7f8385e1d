"""Settings, declared once: the command line, the docs and every saved picture read them from here."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from impasto.errors import OptionError, unknown_name

__all__ = [
    "CYCLEGAN_PRESETS",
    "JOHNSON_PRESETS",
    "PIX2PIX_PRESETS",
    "DCGAN_PRESETS",
    "GAN_PRESETS",
    "PRESETS",
    "QUALITIES",
    "AdversarialOptions",
    "ApplyOptions",
    "AutoencoderOptions",
    "ClassifierOptions",
    "CoderOptions",
    "CompressOptions",
    "CycleGANOptions",
    "Pix2PixOptions",
    "TranslationOptions",
    "DCGANOptions",
    "GANOptions",
    "EvaluateOptions",
    "JohnsonOptions",
    "Options",
    "PaintingOptions",
    "SampleOptions",
    "SmallOptions",
    "StyleOptions",
    "StylizeOptions",
    "TrainOptions",
    "VAEOptions",
    "quality_settings",
]


class Options(BaseModel):
    """Settings of one operation: immutable, complete, and refused when misspelt or out of range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise OptionError(_sentence(error, list(type(self).model_fields))) from None

    @classmethod
    def check(cls, given: object) -> None:
        """Refuse what are no such settings.

        Raises:
            OptionError: it is a dict, or settings of another operation.
        """
        if not isinstance(given, cls):
            raise OptionError(f"options are of {type(given).__name__}; expected {cls.__name__}(...).")

    def changed(self, **settings: Any) -> Self:
        """Return a copy with some settings replaced, everything validated again."""
        return type(self)(**{**self.model_dump(), **settings})


def _sentence(error: ValidationError, known: list[str]) -> str:
    """Turn pydantic's first complaint into one sentence: what it is, what was expected."""
    first = error.errors()[0]
    name, given = (str(first["loc"][0]) if first["loc"] else ""), repr(first["input"])
    if isinstance(first["input"], str) and re.fullmatch(r"-?[\d.]+", first["input"]):
        given = first["input"]  # a number that came from a command line
    if first["type"] == "extra_forbidden":
        return str(unknown_name("a setting", name, known))
    limits = {
        "greater_than_equal": "{ge:g} or more",
        "greater_than": "more than {gt:g}",
        "less_than_equal": "{le:g} or less",
        "less_than": "less than {lt:g}",
        "literal_error": "{expected}",
        "string_pattern_mismatch": "auto, cpu, cuda, cuda:1 or mps",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "tuple_type": "a list, as [1, 2] or ['a', 'b']",
    }
    if first["type"] in limits:
        return f"{name} is {given}; expected {limits[first['type']].format(**first.get('ctx', {}))}."
    message = first["msg"].removeprefix("Value error, ")
    return message if first["type"] == "value_error" else f"{name} is {given}; {message}."


def _layers(value: object) -> object:
    """Read "relu1_1:2,relu2_1" or a list of names; names without a weight share 1 equally."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple):
        return value
    pairs = [str(item).strip().partition(":") for item in value]
    try:
        return {name: float(weight) if colon else 1 / len(pairs) for name, colon, weight in pairs}
    except ValueError:
        raise ValueError(
            f"layers are {','.join(map(str, value))!r}; expected names with weights like relu1_1:1,relu2_1:0.5."
        ) from None


Layers = dict[str, float]


def _memory(value: object) -> object:
    """Read "4G", "800M" or a number of bytes."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", value.lower())
    if found is None:
        raise ValueError(f"max_memory is {value!r}; expected a size like 4G or 800M.")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2] or " "))


_MINUTES = {"h": 60.0, "m": 1.0, "s": 1 / 60, "": 1.0}


def _duration(value: object) -> object:
    """Read "10m", "90s", "1h30m" or a number of minutes."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)\s*([hms]?)\s*", value.lower())
    if not parts or "".join(re.split(r"\s+", value.lower())) != "".join(map("".join, parts)):
        raise ValueError(f"budget is {value!r}; expected a time like 10m, 90s or 1h30m.")
    return sum(float(number) * _MINUTES[unit] for number, unit in parts)


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

    _read_layers = field_validator("content_layers", "style_layers", mode="before")(_layers)

    _read_memory = field_validator("max_memory", mode="before")(_memory)

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


class TrainOptions(Options):
    """How any network is trained; each method adds settings of its own, and presets if it has any."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = {}

    steps: int = Field(2000, ge=1, le=100_000_000, description="how many steps it takes")
    budget: float | None = Field(
        None, gt=0, description="time that decides in place of steps: 10m, 90s, 1h30m; without a unit, minutes"
    )
    batch: int = Field(4, ge=1, le=100_000, description="pictures in each step, those of all processes together")
    crop: int = Field(256, ge=8, le=4096, description="side of the squares that are cut from pictures, in pixels")
    learning_rate: float = Field(1e-3, gt=0, description="step length at its highest")
    schedule: Literal["constant", "linear", "half", "cosine"] = Field(
        "cosine", description="how the step length falls from the warm-up to the end; half: in the last half"
    )
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the run in which the step length rises from 0")
    clip: float = Field(0.0, ge=0, description="longest gradient of an optimizer, as a norm; 0: any")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything random in this run")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="numbers that networks compute with; auto: bfloat16 where the processor is made for it",
    )
    save_seconds: float = Field(60.0, ge=0, description="time between two checkpoints, at least")
    preview_seconds: float = Field(60.0, ge=0, description="time between two previews, at least")
    preview_steps: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="steps after which there is a preview besides"
    )
    log_steps: int = Field(10, ge=1, le=1_000_000, description="every how many steps a line is written to the log")

    _read_budget = field_validator("budget", mode="before")(_duration)

    @classmethod
    def preset(cls, name: str, **settings: Any) -> Self:
        """Return the named preset with some settings replaced.

        Raises:
            UnknownName: there is no such preset.
            OptionError: a setting is out of range.
        """
        if name not in cls.presets:
            raise unknown_name("a preset", name, cls.presets)
        return cls(**{**cls.presets[name], **settings})


class ClassifierOptions(TrainOptions):
    """How a network learns to tell classes of small pictures apart."""

    steps: int = Field(1500, ge=1, le=100_000_000, description="how many steps it takes")
    batch: int = Field(64, ge=1, le=100_000, description="pictures in each step, those of all processes together")
    learning_rate: float = Field(2e-3, gt=0, description="step length at its highest")
    ema: float = Field(0.99, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    crop: int = Field(
        0, ge=0, le=4096, description="side of the squares that pictures become; 0: as they are, or 32 in a folder"
    )
    colors: Literal["auto", "gray", "rgb"] = Field(
        "auto", description="auto: rgb if any picture has color; gray: one channel; rgb: three"
    )
    shift: int = Field(2, ge=0, le=64, description="how far pictures are moved at random, in pixels")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="numbers that networks compute with; measures ask for those of 32 bits"
    )


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

    _read_layers = field_validator("content_layers", "style_layers", mode="before")(_layers)


# Settings of trainings, each number with its source.
JOHNSON_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 4.1 and the supplement: the network, crops of 256 px, 4
    # a step, Adam with 1e-3 and no decay, 40,000 steps, content relu2_2, style relu1_2, 2_2, 3_3, 4_3. Of VGG-19
    # instead of VGG-16, of which we have no weights; losses relative, so that the weights had to be chosen anew.
    "paper": {
        "network": "johnson",
        "first_crop": 256,
        "stability_weight": 0.0,
        "grid_weight": 0.0,
        "steps": 40_000,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "ema": 0.0,
        "content_layers": {"relu2_2": 1.0},
        "style_layers": {"relu1_2": 0.25, "relu2_2": 0.25, "relu3_3": 0.25, "relu4_3": 0.25},
        "encoder": "vgg19",
    },
}


class JohnsonOptions(PaintingOptions):
    """How a network learns to paint from nothing."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = JOHNSON_PRESETS

    network: Literal["light", "johnson"] = Field(
        "light", description="light: ours, made for processors; johnson: the paper's, twenty times the work"
    )
    width: int | None = Field(None, ge=4, le=512, description="its channels; by default 32")
    blocks: int | None = Field(
        None, ge=0, le=64, description="its residual blocks; by default 6 in light, 5 in johnson"
    )
    crop: int = Field(256, ge=64, le=4096, description="side of the squares that are cut from pictures, in pixels")
    first_crop: int = Field(
        128, ge=64, le=4096, description="their side in the first half of the run, after which they grow"
    )
    stability_weight: float = Field(
        10.0, ge=0, description="how well the paint moves along with what moves; without it videos flicker"
    )
    grid_weight: float = Field(
        300.0, ge=0, description="how strongly patterns are kept away that cling to the grid of pixels"
    )
    row_rate: float = Field(5.0, gt=0, description="light: how many times longer the steps of styles' rows are")
    identity_share: float = Field(
        0.1, ge=0, le=1, description="light: share of the photographs that it learns to leave as they are"
    )
    identity_weight: float = Field(30.0, ge=0, description="light: how well it does that")


class StyleOptions(PaintingOptions):
    """How a network of many styles learns one more: only a row of numbers is new."""

    budget: float | None = Field(
        1.8, gt=0, description="time that decides in place of steps: 10m, 90s, 1h30m; without a unit, minutes"
    )
    learning_rate: float = Field(8e-2, gt=0, description="step length at its highest")
    ema: float = Field(0.98, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    preview_seconds: float = Field(30.0, ge=0, description="time between two previews, at least")

    @model_validator(mode="before")
    @classmethod
    def _steps_alone(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Who names a number of steps wants no budget besides."""
        return {"budget": None, **given} if "steps" in given else given


class PredictorOptions(PaintingOptions):
    """How a network learns to find rows of a painter for pictures that it has never seen."""

    crop: int = Field(128, ge=64, le=4096, description="side of the squares that are cut from photographs, in pixels")
    style_crop: int = Field(224, ge=64, le=4096, description="side of the squares that are cut from paintings")
    usual: int = Field(400, ge=2, description="paintings from which it learns what is usual before it begins")
    directions: int = Field(24, ge=1, le=64, description="directions in each layer along which moments are told")
    width: int = Field(192, ge=1, le=4096, description="width of its layers")
    steps: int = Field(8000, ge=1, le=100_000_000, description="how many steps it takes")
    learning_rate: float = Field(1e-3, gt=0, description="step length at its highest")


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


class AutoencoderOptions(CoderOptions):
    """How an autoencoder is trained."""

    loss: Literal["mse", "bce"] = Field(
        "mse", description="mse: mean squared difference; bce: cross-entropy, as if a pixel were a probability"
    )
    noise: float = Field(
        0.0, ge=0, le=10, description="deviation of the noise that it learns to remove from pictures in [0, 1]; 0: none"
    )


class VAEOptions(CoderOptions):
    """How a variational autoencoder is trained."""

    latent: int = Field(20, ge=1, le=4096, description="numbers that a picture becomes")
    beta: float = Field(
        1.0, ge=0, description="weight of the KL divergence; with 1 a bound of the likelihood is learned"
    )
    kl_warmup: float = Field(0.1, ge=0, le=1, description="share of the run in which that weight rises from 0")
    targets: Literal["gray", "dynamic", "static"] = Field(
        "gray",
        description="what is explained. gray: pixels as probabilities; dynamic: black or white, drawn anew in each "
        "step; static: drawn once",
    )
    conditional: bool = Field(False, description="tell it the class of each picture, so that classes can be asked for")
    importance_samples: int = Field(
        100, ge=0, le=100_000, description="draws for each picture by which the likelihood is estimated; 0: it is not"
    )


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


# Settings of trainings of dense GANs, each number with its source.
GAN_PRESETS: dict[str, dict[str, Any]] = {
    "cure": {},  # the defaults; how they were found is in docs/gan.md
    # Géron 2019, "Hands-on machine learning", 2nd edition, chapter 17: binary cross-entropy with flipped labels,
    # RMSprop as Keras has it, batches of 32. It has no cure for collapse, and the last weights are the result.
    "plain": {
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "schedule": "constant",
        "batch": 32,
        "steps": 12_000,  # which take as long as the cure's
        "r1_weight": 0.0,
        "ema": 0.0,
        "keep": "last",
    },
    # For "ring" and "grid", where modes can be counted; how they were found is in docs/gan.md.
    "plane": {
        "hidden": (256, 256, 256),
        "discriminator_hidden": (128, 128),
        "activation": "relu",
        "fourier": 16,
        "latent": 2,
        "batch": 256,
        "steps": 12_000,
        "learning_rate": 2e-4,
        "discriminator_rate": 4e-4,
        "momentum": 0.0,
        "r1_weight": 0.1,
        "instance_noise": 1.0,
        "watch_pictures": 2500,
    },
}


class GANOptions(AdversarialOptions):
    """How a generator and a discriminator of dense layers are trained."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = GAN_PRESETS

    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (100, 150), description="widths of the generator's layers, from numbers to pictures"
    )
    discriminator_hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (), description="widths of the discriminator's; by default those of the generator, the other way round"
    )
    activation: Literal["selu", "relu"] = Field("selu", description="what is between the layers of both")
    fourier: int = Field(
        0, ge=0, le=65536, description="waves that the discriminator sees beside the pictures themselves"
    )


# Settings of trainings of convolutional GANs, each number with its source.
DCGAN_PRESETS: dict[str, dict[str, Any]] = {
    "light": {},  # the defaults, made for processors; how they were found is in docs/gan.md
    # Radford, Metz & Chintala 2016, arXiv:1511.06434, section 4: the network, batch norm in both, Adam with 2e-4 and
    # 0.5; batches of 64 and no average of weights, as in pytorch/examples.
    "paper": {
        "width": 64,
        "latent": 100,
        "norm": "batch",
        "discriminator_norm": "batch",
        "smoothing": "none",
        "batch": 64,
        "learning_rate": 2e-4,
        "discriminator_rate": None,
        "schedule": "constant",
        "r1_weight": 0.0,
        "ema": 0.0,
        "keep": "last",
    },
}


class DCGANOptions(AdversarialOptions):
    """How a generator and a discriminator of convolutions are trained."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = DCGAN_PRESETS

    steps: int = Field(10_000, ge=1, le=100_000_000, description="how many steps it takes")
    latent: int = Field(64, ge=1, le=4096, description="numbers that a picture is made from")
    learning_rate: float = Field(5e-4, gt=0, description="the generator's step length at its highest")
    r1_weight: float = Field(
        0.02, ge=0, description="how flat the discriminator must be around real pictures (gamma); 0: as it likes"
    )
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the average of weights that is kept; 0: the last ones")
    width: int = Field(
        16, ge=1, le=1024, description="channels next to the pictures; each layer further in has twice as many"
    )
    norm: Literal["batch", "group", "none"] = Field("batch", description="how the generator normalizes its maps")
    discriminator_norm: Literal["batch", "group", "none"] = Field(
        "none", description="how the discriminator normalizes its maps"
    )
    smoothing: Literal["blur", "none"] = Field(
        "blur", description="blur: what each of the generator's layers makes is blurred by one place, against weaves"
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
_PAPER_SIZES = {
    "crop": 256,
    "width": 64,
    "blocks": 9,
    "judge_width": 64,
    "ema": 0.0,
    "precision": "float32",
}
_TINY_SIZES = {"crop": 64, "width": 16, "blocks": 4, "judge_layers": 2}

# Zhu et al. 2017, arXiv:1703.10593, section 4 and appendix 7.1: 256 px, 9 blocks, one picture a step, Adam with 2e-4,
# cycle 10, identity 0.5 of it, a pool of 50. 200 epochs of some 1,000 pictures are 200,000 steps.
CYCLEGAN_PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "tiny": _TINY_SIZES | {"identity_weight": 0.0},
    "paper": _PAPER_SIZES | {"steps": 200_000},
}
# Isola et al. 2017, arXiv:1611.07004, section 3.3 and appendix 6.2: facades, 400 pairs, 200 epochs, L1 100.
PIX2PIX_PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    # Chosen beside a U-Net of width 32, 128 px, half an hour of one core each: L1 on aerial views 0.0338, not 0.0354.
    "tiny": {
        "network": "resnet",
        "norm": "instance",
        "width": 24,
        "batch": 4,
        "learning_rate": 4e-4,
        "ema": 0.998,
    },
    "paper": _PAPER_SIZES | {"steps": 80_000},
}


class CycleGANOptions(TranslationOptions):
    """How two networks learn to translate between two kinds of pictures of which there are no pairs."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = CYCLEGAN_PRESETS

    method: Literal["cyclegan", "cut", "fastcut"] = Field(
        "cyclegan",
        description="cyclegan: both ways, and back again; cut: one network, from A to B, whose patches stay what they "
        "were; fastcut: the same for less work, and stricter",
    )
    cycle_weight: float = Field(10.0, ge=0, description="how well a picture comes back from there and back again")
    identity_weight: float = Field(
        0.5, ge=0, description="how well pictures stay that are of the wanted kind already, as a share of cycle_weight"
    )
    pool: int = Field(
        50, ge=0, le=10_000, description="earlier translations from which half of those are taken that are judged"
    )
    norm: Literal["instance", "batch", "none"] = Field("instance", description="how maps are normalized")
    patch_weight: float | None = Field(
        None, ge=0, description="cut: how strongly patches stay what they were; by default 1, in fastcut 10"
    )
    patches: int = Field(256, ge=2, le=4096, description="cut: places of each map that are compared")
    temperature: float = Field(0.07, gt=0, description="cut: how sharply patches are told apart")


class Pix2PixOptions(TranslationOptions):
    """How a network learns to translate from pairs of pictures."""

    presets: ClassVar[Mapping[str, dict[str, Any]]] = PIX2PIX_PRESETS

    network: Literal["unet", "resnet"] = Field(
        "unet", description="unet: the paper's, for sides that can be halved often; resnet: CycleGAN's"
    )
    downs: int | None = Field(
        None,
        ge=5,
        le=12,
        description="unet: how often the size is halved; by default until one place is left, 8 at most",
    )
    direction: Literal["a-to-b", "b-to-a"] = Field(
        "a-to-b", description="which is translated: a is the left half, or the first folder"
    )
    l1_weight: float = Field(100.0, ge=0, description="how strongly it is drawn to the very picture of the pair")
    gan: Literal["vanilla", "lsgan"] = Field("vanilla", description="vanilla: cross-entropy; lsgan: squares")
    norm: Literal["instance", "batch", "none"] = Field("batch", description="how maps are normalized")
    no_dropout: bool = Field(False, description="learn without leaving out half of some features")

    def halvings(self) -> int:
        """Return how often a U-Net halves the size.

        Raises:
            OptionError: crops cannot be halved so often.
        """
        downs = self.downs or max(5, min(8, (self.crop & -self.crop).bit_length() - 1))
        if self.crop % 2**downs:
            raise OptionError(
                f"crop is {self.crop}; expected a multiple of {2**downs} for a U-Net that halves it {downs} times, or "
                "--network resnet."
            )
        return downs


class EvaluateOptions(Options):
    """How what a network makes is measured."""

    count: int = Field(
        1000, ge=10, le=1_000_000, description="pictures that are made, and real ones with which they are compared"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the numbers from which pictures are made")
    neighbors: int = Field(5, ge=1, le=1000, description="precision, recall, density, coverage: reach of a ball")
    classifier: str = Field(
        "",
        description="file or folder of `impasto train classifier`, or folder of a GAN; by default one is trained once "
        "and kept",
    )
    classifier_steps: int = Field(1500, ge=1, le=1_000_000, description="steps of the training of that one")
    stacked: bool = Field(False, description="count modes: each channel of a picture is a picture with a class")
    stacked_count: int = Field(26_000, ge=10, le=1_000_000, description="pictures in which modes are counted")
    crop: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="translations: side of the squares that are cut from pictures; by default as it learned, or 256",
    )
    direction: Literal["a-to-b", "b-to-a"] | None = Field(
        None, description="translations of pairs: which is translated; by default as it learned, or a-to-b"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:1 or mps")


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

    _read_memory = field_validator("max_memory", mode="before")(_memory)
