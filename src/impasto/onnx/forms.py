"""What each model looks like as a file: its inputs, its outputs, and the computation between them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from impasto.checkpoints.model import CUSTOM, Model
from impasto.errors import OptionError
from impasto.inference.painter import Painter, in_range
from impasto.networks.microast import MicroAST
from impasto.networks.pyramid import PyramidNetwork
from impasto.networks.styled import StyledNetwork
from impasto.onnx.options import ExportOptions
from impasto.onnx.traced import Traced

__all__ = ["Form", "Input", "form_of"]

Draw = Callable[[torch.Generator, Sequence[int]], Tensor]
_RANGE = "RGB in [0, 1]"


@dataclass(frozen=True)
class Input:
    """An input of a file.

    Attributes:
        shape: each dimension, a number or the name of one that is free.
        draw: makes a value for tests.
        about: what it is.
        trace: sizes of the free dimensions while the network is traced. Sides are odd, so that nothing that depends on
            them is taken for a constant.
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
        expected = ", ".join(name for name in ("auto", *parts) if name)
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


class _Pictures(nn.Module):
    """A network as a function of tensors, which computes with maps of any size."""

    def __init__(self, network: nn.Module, run: Callable[..., Traced]) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, image: Tensor, *others: Tensor) -> Tensor:
        return in_range(self.run(Traced(image), *others).map)


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
        run = _Pictures(network, lambda image, style, strength: network(image, Traced(style), strength))
        return Form(run, lambda image, style, strength: (_paint(model, image, style, strength),),
                    inputs, outputs, facts)  # fmt: skip
    return Form(_Pictures(network, network), lambda image: (_paint(model, image),), inputs, outputs, facts)


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
        return painted

    stored = embeddings.half() if options.precision != "float32" else embeddings
    facts |= {
        "styles": json.dumps(network.styles),
        "embeddings": base64.b64encode(stored.contiguous().numpy().tobytes()).decode(),
        "embeddings_type": str(stored.dtype).removeprefix("torch."),
        "embedding_size": str(embeddings.shape[1]),
        "fingerprint": model.fingerprint if isinstance(model, Painter) else "",
        **{name: str(value) for name, value in more.items()},
    }
    inputs |= {
        "embedding": Input((embeddings.shape[1],), mixed, "the style embedding; embeddings may be interpolated"),
        "strength": _strength(),
    }
    return Form(
        _Pictures(network, run),
        lambda image, embedding, strength: (_paint(model, image, embedding, strength, **more),),
        inputs,
        outputs,
        facts,
    )


def _paint(model: Any, image: Tensor, style: Tensor | None = None, strength: Any = 1.0, **more: int) -> Tensor:
    """Return what the model itself paints."""
    painted: Tensor = model.paint(image, style=style, strength=float(strength), **more)
    return painted


_PARTS: Mapping[str, Mapping[str, Callable[[Model, ExportOptions], Form]]] = {  # by kind; the first is "auto"
    "painter": {"": _painter},
}
