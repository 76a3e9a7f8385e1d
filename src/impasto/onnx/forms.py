"""What each model looks like as a file: its inputs, its outputs, and the computation between them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.load import load_style_predictor
from impasto.checkpoints.model import CUSTOM, Model
from impasto.errors import OptionError
from impasto.inference.load import load
from impasto.inference.painter import Painter, corrected, in_range
from impasto.networks.layers import pointwise
from impasto.networks.microast import MicroAST
from impasto.networks.pyramid import PyramidNetwork
from impasto.networks.style_predictor import LAYERS, StylePredictor, layer_moments
from impasto.networks.styled import StyledNetwork
from impasto.onnx.options import ExportOptions
from impasto.onnx.traced import Traced

__all__ = ["Form", "Input", "form_of"]

Draw = Callable[[torch.Generator, Sequence[int]], Tensor]
_RANGE = "RGB in [0, 1]"
_PREDICTOR = "-predictor.safetensors"  # the end of the name of a predictor's file, beside that of its painter
_READ = 512  # side of a square with the area at which a style is read, as in `Painter.with_style`


@dataclass(frozen=True)
class Input:
    """An input of a file.

    Attributes:
        shape: each dimension, a number or the name of one that is free.
        draw: makes a value for tests.
        about: what it is.
        trace: sizes of the free dimensions while the network is traced. Sides are odd, so that no value that depends on
            them becomes a constant.
    """

    shape: tuple[int | str, ...]
    draw: Draw
    about: str
    trace: Mapping[str, int] = field(default_factory=lambda: {"height": 97, "width": 131, "batch": 3})

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape for sizes of the free dimensions."""
        return tuple(sizes[side] if isinstance(side, str) else side for side in self.shape)


@dataclass(frozen=True)
class Form:
    """A model as an exporter sees it.

    Attributes:
        network: from tensors to tensors, the operations of the file.
        compute: what the model itself computes of the same tensors, for the comparison.
        inputs: by name.
        outputs: name to what it is.
        facts: what the file says about itself, texts by name.
    """

    network: nn.Module
    compute: Callable[..., tuple[Tensor, ...]]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)


def form_of(model: Model, options: ExportOptions) -> Form:
    """Return the form of a model.

    Args:
        model: any of `checkpoints.model.ARCHITECTURES`; it is not changed.
        options: part and octaves.

    Raises:
        OptionError: the model has no such part, or no octaves; or its network is the user's own.
    """
    kind = type(model.network)
    if model.architecture == CUSTOM:
        raise OptionError(
            f"{kind.__name__} is a network of your own; expected one of ours: use torch.onnx.export for yours."
        )
    copied = deepcopy(model.network).cpu().float().eval().requires_grad_(False)
    model = replace(model, network=copied.to(memory_format=torch.contiguous_format))  # type: ignore[call-overload]
    parts = _PARTS[model.kind]
    part = next(iter(parts)) if options.part == "auto" else options.part
    if part not in parts:
        expected = ", ".join(("auto", *list(parts)[model.kind not in ("autoencoder", "generator") :]))
        raise OptionError(f"part is {options.part!r}; the parts of {model.architecture} are {expected}.")
    if options.octaves and not isinstance(model.network, PyramidNetwork):
        raise OptionError(f"octaves are {options.octaves}; expected 0, since only a pyramid painter has octaves.")
    form = parts[part](model, options)
    return replace(form, facts={**_facts(model, options), **form.facts})


def _facts(model: Model, options: ExportOptions) -> dict[str, str]:
    """Return what a file says about its model, texts by name."""
    facts = {name: str(model.card.get(name, "")) for name in ("license", "source")}
    facts |= {"kind": model.kind, "architecture": model.architecture, "name": model.name}
    facts |= {"precision": options.precision, "card": json.dumps(dict(model.card))}
    return facts


# --- painters -------------------------------------------------------------------------------------


class _Operations(nn.Module):
    """A function of tensors with the network whose weights it uses."""

    def __init__(self, network: nn.Module, run: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, *given: Tensor) -> Any:
        return self.run(*given)


def _of_pictures(network: nn.Module, run: Callable[..., Traced]) -> _Operations:
    """Return the operations on pictures of any size, of which `run` computes the map."""
    return _Operations(network, lambda image, *others: in_range(run(Traced(image), *others).map))


def _picture(about: str, height: str = "height", width: str = "width") -> Input:
    trace = {"height": 97, "width": 131, "style_height": 75, "style_width": 61}
    return Input((1, 3, height, width), lambda random, shape: torch.rand(*shape, generator=random), about, trace)


def _strength() -> Input:
    return Input((), lambda random, _: torch.rand((), generator=random), "from 0, the photograph, to 1, the style")


def _painter(model: Model, options: ExportOptions) -> Form:
    network: Any = model.network
    facts = {"range": _RANGE, "multiple": str(network.multiple)}
    inputs = {"image": _picture(f"the photograph, {_RANGE}, any size from 1 x 1 on")}
    outputs = {"picture": f"the painted picture, {_RANGE}, as large as the image"}
    if isinstance(network, StyledNetwork):
        return _of_styles(model, network, inputs, outputs, facts, options)
    if isinstance(network, MicroAST):
        inputs |= {"style": _picture(f"the style image, {_RANGE}", "style_height", "style_width")}
        inputs |= {"strength": _strength()}

        def run(image: Traced, style: Tensor, strength: Tensor) -> Traced:
            painted, identity = (network(image, Traced(style), share) for share in (strength, 0.0))
            return cast(Traced, pointwise(partial(corrected, strength), pointwise(in_range, painted), image, identity))

        return Form(_of_pictures(network, run), lambda image, style, strength: (_paint(model, image, style, strength),),
                    inputs, outputs, facts)  # fmt: skip
    return Form(_of_pictures(network, network), lambda image: (_paint(model, image),), inputs, outputs, facts)


def _of_styles(
    model: Model,
    network: StyledNetwork,
    inputs: dict[str, Input],
    outputs: dict[str, str],
    facts: dict[str, str],
    options: ExportOptions,
) -> Form:
    embeddings = network.embeddings.detach()
    more = {"octaves": options.octaves} if network.repeats else {}

    def mixed(random: torch.Generator, _: Sequence[int]) -> Tensor:
        weights = torch.rand(len(embeddings), generator=random) ** 4
        return weights / weights.sum() @ embeddings

    def run(image: Traced, embedding: Tensor, strength: Tensor) -> Traced:
        painted: Traced = network(image, network.toward(embedding, strength), **more)  # type: ignore[arg-type]
        if network.exact:
            return painted
        mended = pointwise(partial(corrected, strength), painted, image, network(image, embeddings[0]))
        return cast(Traced, mended)

    stored = embeddings.half() if options.precision != "float32" else embeddings
    facts |= {
        "styles": json.dumps(network.styles),
        "embeddings": base64.b64encode(stored.contiguous().numpy().tobytes()).decode(),
        "embeddings_type": str(stored.dtype).removeprefix("torch."),
        "embedding_size": str(embeddings.shape[1]),
        "fingerprint": getattr(model, "fingerprint", ""),
        "default": getattr(model, "default", ""),
        **{name: str(value) for name, value in more.items()},
    }
    inputs |= {
        "embedding": Input((embeddings.shape[1],), mixed, "the style embedding; embeddings may be interpolated"),
        "strength": _strength(),
    }
    return Form(
        _of_pictures(network, run),
        lambda image, embedding, strength: (_paint(model, image, embedding, strength, **more),),
        inputs,
        outputs,
        facts,
    )


def _paint(model: Any, image: Tensor, style: Tensor | None = None, strength: Any = 1.0, **more: int) -> Tensor:
    """Return what the model itself paints."""
    painted: Tensor = model.paint(image, style=style, strength=float(strength), **more)
    return painted


# --- translators, generators, autoencoders, classifiers -------------------------------------------


def _translator(model: Model, _: ExportOptions) -> Form:
    network: Any = model.network
    return Form(
        _of_pictures(network, network),
        lambda image: (_paint(model, image),),
        {"image": _picture(f"the picture, {_RANGE}, any size from 1 x 1 on")},
        {"picture": f"the translated picture, {_RANGE}, as large as the image"},
        {"range": _RANGE, "multiple": str(network.multiple)},
    )


def _normal(random: torch.Generator, shape: Sequence[int]) -> Tensor:
    return torch.randn(*shape, generator=random)


def _labels(network: Any) -> dict[str, Input]:
    """Return the input of labels, if the network is class-conditional."""
    classes = int(getattr(network, "classes", 0))

    def draw(random: torch.Generator, shape: Sequence[int]) -> Tensor:
        return torch.randint(classes, tuple(shape), generator=random)

    return {"label": Input(("batch",), draw, f"the classes, 0 to {classes - 1}")} if classes else {}


def _small(network: Any, shape: Sequence[int]) -> dict[str, Input]:
    """Return the input of pictures of a fixed size."""
    about = f"pictures of {' x '.join(map(str, shape))}, {_channels(shape)}"
    return {"image": Input(("batch", *shape), lambda random, size: torch.rand(*size, generator=random), about)}


def _channels(shape: Sequence[int]) -> str:
    return "gray in [0, 1]" if shape[0] == 1 else _RANGE


def _classes(model: Model) -> dict[str, str]:
    """Return the names of classes, if the file of the model has them."""
    names = model.card.get("classes")
    return {"classes": json.dumps(names)} if isinstance(names, list) else {}


def _decoder(model: Model, _: ExportOptions) -> Form:
    network: Any = model.network
    shape = network.shape
    facts = {"latent_size": str(network.latent), "shape": json.dumps(list(shape)), **_classes(model)}
    for name in sorted({"codes.mean", "codes.root"} & model.extra.keys()):  # codes are mean + normal @ root.T
        facts[name.replace(".", "_")] = json.dumps(model.extra[name].tolist())
    pictures = len(shape) == 3
    return Form(
        _Operations(network, network.decode),
        lambda *given: (network.decode(*given),),
        {
            "latent": Input(("batch", network.latent), _normal, "latent codes"),
            **_labels(network),
        },
        {"image": f"pictures, {_channels(shape)}"} if pictures else {"points": "points"},
        facts | ({"range": _channels(shape)} if pictures else {}),
    )


def _encoder(model: Model, _: ExportOptions) -> Form:
    network: Any = model.network

    def compute(*given: Tensor) -> tuple[Tensor, ...]:
        found = network.encode(*given)
        return found if isinstance(found, tuple) else (found,)

    outputs = {"latent": "latent codes; of a VAE the means of their posterior"}
    if model.architecture == "vae":
        outputs["log_variance"] = "logarithms of the variances of the posterior"
    facts = {"latent_size": str(network.latent), "shape": json.dumps(list(network.shape)), **_classes(model)}
    inputs = {**_small(network, network.shape), **_labels(network)}
    return Form(
        _Operations(network, network.encode), compute, inputs, outputs, facts | {"range": _channels(network.shape)}
    )


def _classifier(model: Model, _: ExportOptions) -> Form:
    network: Any = model.network
    shape = (network.channels, *network.size)
    return Form(
        _Operations(network, network),
        lambda image: (network(image),),
        _small(network, shape),
        {"logits": "one for each class; their softmax are probabilities"},
        {"range": _channels(shape), "shape": json.dumps(list(shape)), **_classes(model)},
    )


# --- any picture as a style -----------------------------------------------------------------------


def _predictor(model: Model, _: ExportOptions) -> Form:
    """Return the form of the style predictor of a painter, with its encoder and the palette of the picture."""
    if not isinstance(model, Painter) or not isinstance(model.network, StyledNetwork):
        raise OptionError(f"{model.architecture} takes no style embeddings; expected a painter of many styles.")
    beside = _beside(model, f"{model.path.stem}{_PREDICTOR}" if model.path else "")
    own = beside is not None and beside.card.get("base") == model.fingerprint
    return _prediction(beside.network if own else load_style_predictor(model.fingerprint), model.network, model)


def _predictor_file(model: Model, _: ExportOptions) -> Form:
    """Return the form of a style predictor. If its painter is not beside it, it predicts the learned values alone."""
    assert isinstance(model.network, StylePredictor)
    painter = _beside(model, model.path.name.replace(_PREDICTOR, ".safetensors", 1) if model.path else "")
    known = isinstance(painter, Painter) and painter.fingerprint == model.card.get("base")
    return _prediction(model.network, painter.network if known else None, model)


def _beside(model: Model, name: str) -> Any:
    """Return the model in another file of the folder that a model comes from; None if there is none."""
    path = None if model.path is None else model.path.with_name(name)
    there = path is not None and path != model.path and path.is_file()
    return load(path, device="cpu", precision="float32") if path is not None and there else None


def _prediction(predictor: StylePredictor, painter: StyledNetwork | None, model: Model) -> Form:
    encoder = load_encoder("compact", padding="replicate")
    least = encoder.minimum_size(LAYERS)

    def predict(style: Tensor) -> Tensor:
        embedding: Tensor = predictor(layer_moments(encoder(style, LAYERS)))[0]
        return embedding if painter is None else painter.with_palette(embedding, style)

    about = f"the style image, {_RANGE}, sides of {least} px or more, resized to an area of about {_READ} x {_READ} px"
    size = predictor.embedding_size if painter is None else painter.embeddings.shape[1]
    return Form(
        _Operations(nn.ModuleList([encoder, predictor]), predict),
        lambda style: (predict(style),),
        {"style": _picture(about, "style_height", "style_width")},
        {"embedding": f"the style embedding of {size} values, for the painter"},
        {
            "range": _RANGE,
            "size": str(_READ),
            "least": str(least),
            "embedding_size": str(size),
            "base": str(getattr(model, "fingerprint", model.card.get("base", ""))),
        },
    )


_PARTS: Mapping[str, Mapping[str, Callable[[Model, ExportOptions], Form]]] = {  # by kind; the first is "auto"
    "painter": {"painter": _painter, "predictor": _predictor},
    "translator": {"translator": _translator},
    "generator": {"decoder": _decoder},
    "autoencoder": {"decoder": _decoder, "encoder": _encoder},
    "classifier": {"classifier": _classifier},
    "style_predictor": {"predictor": _predictor_file},
}
