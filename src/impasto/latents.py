"""Networks that make small pictures from numbers, whatever taught them, all asked in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints import MODEL, decoded, read_tensors
from impasto.errors import OptionError, WeightsError
from impasto.networks.autoencoder import VAE, Autoencoder
from impasto.smallsets import Sets, read_sets

__all__ = ["Maker", "load_maker"]

_KINDS: dict[str, type[Autoencoder] | type[VAE]] = {"autoencoder": Autoencoder, "vae": VAE}  # as files call them
_ROWS = 500  # pictures that are made or looked at together


@dataclass(frozen=True, eq=False)
class Maker:
    """A trained network, frozen, and what its file says.

    Attributes:
        network: `networks.autoencoder.Autoencoder` or `VAE`, or a generator.
        header: of its file; see `load_maker`.
        path: of its file.
        codes: of an autoencoder: mean `(Z,)` and a square root `(Z, Z)` of the covariance of the numbers of the
            pictures that it learned from. Numbers of others follow the standard Gaussian.
    """

    network: Autoencoder | VAE
    header: Mapping[str, Any]
    path: Path
    codes: tuple[Tensor, Tensor] | None = None

    @property
    def kind(self) -> str:
        """What it is: "autoencoder", "vae" or "generator"."""
        return str(self.header["network"])

    @property
    def latent(self) -> int:
        """How many numbers a picture is made from."""
        return self.network.latent

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of its pictures."""
        return self.network.shape

    @property
    def device(self) -> torch.device:
        """Where it is, and where numbers and pictures are put."""
        return next(self.network.parameters()).device

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Return numbers for so many new pictures, `(count, Z)`.

        Args:
            count: how many.
            random: on the CPU; the same draws on every device.
        """
        drawn = torch.randn(count, self.latent, generator=random)
        if self.codes is not None:
            mean, root = self.codes
            drawn = mean + drawn @ root.T
        return drawn.to(self.device)

    @torch.no_grad()
    def make(self, numbers: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return pictures of numbers `(N, Z)`: `(N, C, H, W)` in [0, 1].

        Args:
            numbers: as from `draw`.
            labels: `(N,)`, of which class each should be, for networks that can be asked.
        """
        decode: Any = self.network.decode
        parts = torch.split(numbers.to(self.device), _ROWS)
        if labels is None:
            return torch.cat([decode(part) for part in parts])
        asked = torch.split(labels.to(self.device), _ROWS)
        return torch.cat([decode(part, some) for part, some in zip(parts, asked, strict=True)])

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Return the numbers of pictures, `(N, Z)`; of a VAE their means.

        Args:
            pictures: `(N, C, H, W)`, bytes or numbers in [0, 1].

        Raises:
            OptionError: the network only makes pictures, and cannot read them.
        """
        found = []
        for part in torch.split(pictures, _ROWS):
            part = part.to(self.device)
            seen = self.network.encode(part.float() / 255 if part.dtype == torch.uint8 else part)
            found.append(seen[0] if isinstance(seen, tuple) else seen)
        return torch.cat(found)

    def sets(self, pictures: str | Path | Sets | None = None) -> Sets:
        """Return the pictures that it learned from, and those that it was measured on.

        Args:
            pictures: where they are, if not where they were; see `smallsets.read_sets`.

        Raises:
            ImageError: they are not there, or of another shape.
            OptionError: the file does not say where they were.
        """
        source = self.header.get("pictures") if pictures is None else pictures
        if source is None:
            raise OptionError(f"{self.path} does not say what it learned from; name the pictures.")
        options = self.header["options"]
        sets = read_sets(source, crop=options["crop"], colors="rgb" if self.shape[0] == 3 else "gray")
        if sets.train.shape != self.shape:
            ours, theirs = ("×".join(map(str, shape)) for shape in (self.shape, sets.train.shape))
            name = "the set" if isinstance(source, Sets) else source
            raise OptionError(f"{name} has pictures of {theirs}; expected {ours}, as {self.path} makes them.")
        return sets


def load_maker(path: str | Path, *, device: str | torch.device = "cpu") -> Maker:
    """Return a network that a training of `impasto train autoencoder`, `vae`, `gan` or `dcgan` left, ready to use.

    Args:
        path: its file, or the folder of the training.
        device: where it goes.

    Raises:
        WeightsError: there is no such file, or it is damaged, or it is another network.
    """
    path = Path(path).expanduser()
    path = path / MODEL if path.is_dir() else path
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; expected a network of `impasto train autoencoder`, `vae` or `gan`.")
    tensors, header = read_tensors(path)
    kind = str(header.get("network"))
    if kind not in _KINDS:
        raise WeightsError(f"{path} holds the network {kind!r}; expected one of these: {', '.join(_KINDS)}.")
    state = torch.get_rng_state()
    try:
        network = _KINDS[kind](**header["settings"])
    except (KeyError, TypeError, OptionError) as error:
        raise WeightsError(f"{path} is damaged: its settings do not make a network. Train it again.") from error
    finally:
        torch.set_rng_state(state)
    weights = {key: decoded(tensors, key, like.shape, path, kind) for key, like in network.state_dict().items()}
    network.load_state_dict(weights)
    network.requires_grad_(False).eval().to(device)
    codes = None
    if kind == "autoencoder":
        size = network.latent
        codes = (
            decoded(tensors, "codes.mean", torch.Size([size]), path, kind),
            decoded(tensors, "codes.root", torch.Size([size, size]), path, kind),
        )
    return Maker(network, header, path, codes)
