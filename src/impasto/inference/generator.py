"""Networks that make small pictures from numbers, whatever taught them, all asked in the same way."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints import catalog
from impasto.checkpoints.files import CHECKPOINT, MODEL, decoded, read_tensors
from impasto.data.arrays import DIGITS, Sets, read_sets
from impasto.errors import ImageError, OptionError, WeightsError
from impasto.io.naming import printable
from impasto.networks.autoencoder import VAE, Autoencoder
from impasto.networks.generators import Generator

__all__ = ["Maker", "load_maker"]

_KINDS: dict[str, type[Autoencoder] | type[VAE] | type[Generator]] = {  # as files call them
    "autoencoder": Autoencoder,
    "vae": VAE,
    "generator": Generator,
}
_LISTED = 20  # names of classes, in an error
_ROWS = 500  # pictures that are made or looked at together


@dataclass(frozen=True, eq=False)
class Maker:
    """A trained network, frozen, and what its file says.

    Attributes:
        network: `networks.autoencoder.Autoencoder` or `VAE`, or `generators.Generator`.
        header: of its file; see `load_maker`.
        path: of its file.
        codes: of an autoencoder: mean `(Z,)` and a square root `(Z, Z)` of the covariance of the numbers of the
            pictures that it learned from. Numbers of others follow the standard Gaussian.
    """

    network: Autoencoder | VAE | Generator
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
    def classes(self) -> int:
        """How many classes can be asked for; 0: pictures are of whatever class comes."""
        return int(getattr(self.network, "classes", 0))

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes of its pictures are called, whether it knows them or not; () if nobody named them."""
        names = self.header.get("classes")
        return tuple(printable(str(name)) for name in names) if isinstance(names, list) else ()

    def called(self, label: int) -> str:
        """Return what a class is called: by its name, or else its number."""
        return self.names[label] if label < len(self.names) else str(label)

    def label(self, called: str) -> int:
        """Return the number of a class.

        Args:
            called: its name or, if there is none of that name, its number.

        Raises:
            OptionError: the pictures have no such class.
        """
        if called in self.names:
            return self.names.index(called)
        count = len(self.names) or self.classes
        if called.isdecimal() and (int(called) < count or not count):
            return int(called)
        known = ", ".join(self.names[:_LISTED]) + (", …" if len(self.names) > _LISTED else "")
        known = known or (f"those from 0 to {count - 1}" if count else "numbers of classes, and no names")
        raise OptionError(f"class {called} is asked for; {self.path} knows {known}.")

    @property
    def reads(self) -> bool:
        """Whether it can tell the numbers of pictures."""
        return hasattr(self.network, "encode")

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
        return self.placed(torch.randn(count, self.latent, generator=random)).to(self.device)

    def placed(self, standard: Tensor) -> Tensor:
        """Return numbers `(..., Z)` of the standard Gaussian as the network's own lie."""
        if self.codes is None:
            return standard
        mean, root = (part.to(standard) for part in self.codes)
        numbers: Tensor = mean + standard @ root.T
        return numbers

    def standard(self, numbers: Tensor) -> Tensor:
        """Return numbers `(..., Z)` of the network as they would lie in the standard Gaussian."""
        if self.codes is None:
            return numbers
        mean, root = (part.double().to(numbers.device) for part in self.codes)
        whitened: Tensor = (numbers.double() - mean) @ torch.linalg.pinv(root).T
        return whitened.to(numbers)

    @torch.no_grad()
    def make(self, numbers: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return pictures of numbers `(N, Z)`: `(N, C, H, W)` in [0, 1].

        Args:
            numbers: on any device.
            labels: `(N,)`, what they shall be of, if the network knows classes.

        Raises:
            OptionError: labels are missing, or the network knows no such classes.
        """
        known = self._known(labels, len(numbers))
        parts = zip(torch.split(numbers.to(self.device), _ROWS), known, strict=True)
        return torch.cat([self.network.decode(part, *of) for part, of in parts])

    def encode(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the numbers of pictures, `(N, Z)`; of a VAE their means.

        Args:
            pictures: `(N, C, H, W)`, bytes or numbers in [0, 1].
            labels: `(N,)`, of what they are, if the network knows classes.

        Raises:
            OptionError: the network only makes pictures, and cannot read them; or as for `make`.
        """
        return self.posterior(pictures, labels)[0]

    @torch.no_grad()
    def posterior(self, pictures: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the numbers of pictures and, of a VAE, logarithms of their variances, `(N, Z)` each; see `encode`."""
        read = getattr(self.network, "encode", None)
        if read is None:
            raise OptionError(f"{self.path} makes pictures and cannot read them; expected an autoencoder or a VAE.")
        found = []
        for part, of in zip(torch.split(pictures, _ROWS), self._known(labels, len(pictures)), strict=True):
            part = part.to(self.device)
            seen = read(part.float() / 255 if part.dtype == torch.uint8 else part, *of)
            found.append(seen if isinstance(seen, tuple) else (seen, None))
        codes, logvars = zip(*found, strict=True)
        return torch.cat(codes), None if logvars[0] is None else torch.cat(logvars)

    def _known(self, labels: Tensor | None, count: int) -> list[tuple[Tensor, ...]]:
        """Return what is handed over beside each part of so many numbers or pictures: nothing, or its labels."""
        if not self.classes:
            if labels is not None:
                raise OptionError(f"{self.path} knows no classes; leave out labels.")
            return [()] * max(1, -(-count // _ROWS))
        if labels is None or len(labels) != count:
            raise OptionError(f"{self.path} knows {self.classes} classes, and labels are missing; expected one each.")
        if count and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            worst = int(labels.max()) if int(labels.max()) >= self.classes else int(labels.min())
            raise OptionError(f"class {worst} is asked for; {self.path} knows those from 0 to {self.classes - 1}.")
        return [(part.to(self.device),) for part in torch.split(labels, _ROWS)]

    def source(self, pictures: str | Path | Sets | None = None) -> str | Path | Sets:
        """Return where the pictures are that it learned from: there, or else where they were; errors as for `sets`."""
        if pictures is not None:
            return pictures
        named = self.header.get("pictures")
        if named is None:
            raise OptionError(f"{self.path} does not say what it learned from; name the pictures.")
        if named != DIGITS and not Path(named).expanduser().exists():  # the folder may be another one now
            raise ImageError(f"{self.path} learned from {named}, which is not there; name where it is by --pictures.")
        return str(named)

    def sets(self, pictures: str | Path | Sets | None = None) -> Sets:
        """Return the pictures that it learned from, and those that it was measured on.

        Args:
            pictures: where they are, if not where they were; see `arrays.read_sets`.

        Raises:
            ImageError: they are not there, or of another shape.
            OptionError: the file does not say where they were.
        """
        source = self.source(pictures)
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
        path: its file, or the folder of the training, or a name of the catalogue.
        device: where it goes.

    Raises:
        WeightsError: there is no such file, or it is damaged, or it is another network.
    """
    name, path = str(path), Path(path).expanduser()
    if (path / CHECKPOINT).is_file() and not (path / MODEL).is_file():
        raise WeightsError(f"{path} is a training that has not ended; go on with it, by --resume, first.")
    path = path / MODEL if path.is_dir() else path
    known = {} if path.exists() else catalog.listed()
    path = known[name].path if name in known else path
    if not path.is_file():
        what = f"{path} does not exist"
        if any(name in one.styles for one in known.values()):
            what = f"{name} is a style of impasto's painters, see `impasto apply`"
        raise WeightsError(f"{what}; expected a network of `impasto train autoencoder`, `vae`, `gan` or `dcgan`.")
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
    if len(network.shape) != 3:
        raise WeightsError(f"{path} makes points, not pictures; expected a network that learned from pictures.")
    network.load_state_dict(
        {
            key: decoded(tensors, key, like.shape, path, kind) if like.is_floating_point() else like
            for key, like in network.state_dict().items()  # what is no decimal number, batch norm has counted
        }
    )
    network.requires_grad_(False).eval().to(device)
    codes = None
    if kind == "autoencoder":
        size = network.latent
        codes = (
            decoded(tensors, "codes.mean", torch.Size([size]), path, kind),
            decoded(tensors, "codes.root", torch.Size([size, size]), path, kind),
        )
    return Maker(network, header, path, codes)
