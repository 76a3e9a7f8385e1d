"""`Model`: a loaded network with the card of its file."""

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from impasto.checkpoints.files import COUNTER, save_network
from impasto.checkpoints.weights import sha256
from impasto.errors import OptionError
from impasto.networks.autoencoder import VAE, Autoencoder
from impasto.networks.classifier import Classifier
from impasto.networks.generators import GeneratorNetwork
from impasto.networks.johnson import Johnson
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import MultiStyleNetwork
from impasto.networks.pyramid import PyramidNetwork
from impasto.networks.style_predictor import StylePredictor
from impasto.networks.translators import ResNetGenerator, UNetGenerator

__all__ = ["ARCHITECTURES", "CUSTOM", "OTHER_PROGRAM", "Model", "Precision", "architecture_of"]

ARCHITECTURES: Mapping[str, type[nn.Module]] = {  # by their names in cards
    "johnson": Johnson,
    "multistyle": MultiStyleNetwork,
    "pyramid": PyramidNetwork,
    "lengstrom": Lengstrom,
    "microast": MicroAST,
    "resnet": ResNetGenerator,
    "unet": UNetGenerator,
    "autoencoder": Autoencoder,
    "vae": VAE,
    "generator": GeneratorNetwork,
    "classifier": Classifier,
    "style_predictor": StylePredictor,
}
OTHER_PROGRAM = "another program"  # what the card of a network says that was loaded from the file of one
CUSTOM = "custom"  # the name in the card of a network of the user's own
Precision = Literal["float32", "float16", "int8"]

_PRECISIONS = ("float32", "float16", "int8")
_LISTED = 12  # names of styles or classes in a table


def architecture_of(network: nn.Module) -> str:
    """Return the name of a network in `ARCHITECTURES`; "custom" for any other network."""
    return next((name for name, kind in ARCHITECTURES.items() if isinstance(network, kind)), CUSTOM)


@dataclass(frozen=True, eq=False)
class Model:
    """A network with what its file says about it. Subclasses in `inference` add what such a network can do.

    Attributes:
        network: the network, frozen and in evaluation mode after `inference.load.load`.
        card: what the file says: architecture and settings, training, license, source; {} for files of other programs.
        notes: what a person should know about the file, sentences without a full stop.
        path: of the file or folder; None for a network that was not loaded.
        name: of the model, as the user gave it, without folder and suffix.
        extra: tensors of the file beside the weights.
    """

    network: nn.Module = field(repr=False)
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    path: Path | None = None
    name: str = ""
    extra: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> str:
        """What the network does: "painter", "translator", "generator", "autoencoder"; else its architecture."""
        return self.architecture

    @property
    def architecture(self) -> str:
        """The name of the network in `ARCHITECTURES`, or "custom"."""
        return architecture_of(self.network)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return next(self.network.parameters()).dtype

    @property
    def size(self) -> int:
        """How many weights the network has."""
        return sum(weight.numel() for weight in self.network.parameters())

    @cached_property
    def sha256(self) -> str:
        """The digest of the file; "" if there is none."""
        return sha256(self.path) if self.path is not None and self.path.is_file() else ""

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device; return this model."""
        self.network.to(device)
        return self

    def save(self, path: str | Path, precision: Precision = "float32", **about: Any) -> None:
        """Write the model as one file that `load` reads.

        Args:
            path: the file; whatever was there is replaced in one moment.
            precision: of the weights in the file. "int8" takes 8 bits with a scale for each filter for large
                convolutions, and float16 for all else.
            about: more entries for the card, such as license and source: anything JSON can hold.

        Raises:
            OptionError: the precision is none of these, or the network is neither one of ours nor a "custom" one.
            CheckpointError: the file cannot be written.
        """
        if precision not in _PRECISIONS:
            raise OptionError(f"precision is {precision!r}; expected {', '.join(_PRECISIONS)}.")
        foreign = self.path is not None and not self.card
        card = {**({"origin": OTHER_PROGRAM} if foreign else self.card), **about}
        if self.architecture != CUSTOM:
            card |= {"network": self.architecture, "settings": self.network.settings}
        elif card.get("network") != CUSTOM:
            raise OptionError(
                f"{type(self.network).__name__} is not an architecture of ours; expected {', '.join(ARCHITECTURES)}, "
                f"or network={CUSTOM!r} for a network of your own."
            )
        state = {key: value for key, value in self.network.state_dict().items() if not key.endswith(COUNTER)}
        save_network(path, {**state, **self.extra}, {**card, "torch": torch.__version__}, precision)

    def _contents(self) -> Mapping[str, object]:
        """Return what the table of a notebook shows of the network's contents, by name."""
        return {}

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        known = {name: self.card.get(name) for name in ("license", "source")}
        entries = {
            "kind": self.kind,
            "architecture": self.architecture,
            "size": f"{self.size:,} weights",
            **self._contents(),
            **known,
        }
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(_in_words(value))}</td></tr>"
            for name, value in entries.items()
            if value
        )
        return f"<table><caption>{html.escape(self.name or self.kind)}</caption>{rows}</table>"


def _in_words(value: object) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    names = [str(name) for name in value]
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
