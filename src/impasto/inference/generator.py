"""`Generator` and `Autoencoder`: networks that make small pictures from latent codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.checkpoints.model import Model
from impasto.data.arrays import Sets, read_sets, training_set
from impasto.devices import with_own_defaults
from impasto.errors import OptionError
from impasto.io.convert import resize_picture_to
from impasto.io.naming import printable
from impasto.io.picture import Picture
from impasto.io.tensors import Source, as_kind, as_tensor, open_picture

__all__ = ["Autoencoder", "Generator"]

_LISTED = 20  # names of classes in an error
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as gray training pictures are made
_BATCH = 500  # pictures that are generated or encoded together


@dataclass(frozen=True, eq=False)
class Generator(Model):
    """A network that makes pictures from latent codes: of a GAN, a VAE or an autoencoder.

    >>> gan = impasto.load("runs/gan-mnist5k")  # doctest: +SKIP
    >>> gan.sample(16, seed=1).shape  # doctest: +SKIP
    torch.Size([16, 1, 28, 28])
    """

    @property
    def kind(self) -> str:
        """See `Model`."""
        return "generator"

    @property
    def latent_size(self) -> int:
        """How many values a latent code has."""
        return int(self.network.latent)  # type: ignore[arg-type]

    @property
    def classes(self) -> int:
        """Number of classes of a class-conditional network; 0 for others."""
        return int(getattr(self.network, "classes", 0))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the training set's classes, also of a network that is not class-conditional; () if unknown."""
        names = self.card.get("classes")
        return tuple(printable(str(name)) for name in names) if isinstance(names, list) else ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of the pictures; `(N,)` of points."""
        shape: Any = self.network.shape
        return tuple(shape)

    @property
    def prior(self) -> tuple[Tensor, Tensor] | None:
        """Mean `(Z,)` and covariance root `(Z, Z)` of an autoencoder's training codes; None: a standard Gaussian."""
        if not {"codes.mean", "codes.root"} <= self.extra.keys():
            return None
        return self.extra["codes.mean"], self.extra["codes.root"]

    def class_name(self, label: int) -> str:
        """Return the name of a class, or else its number as text."""
        return self.names[label] if label < len(self.names) else str(label)

    def class_index(self, name: str) -> int:
        """Return the number of a class.

        Args:
            name: its name or, if no class has that name, its number.

        Raises:
            OptionError: the training set has no such class.
        """
        if name in self.names:
            return self.names.index(name)
        count = len(self.names) or self.classes
        if name.isdecimal() and (int(name) < count or not count):
            return int(name)
        known = ", ".join(self.names[:_LISTED]) + (", …" if len(self.names) > _LISTED else "")
        known = known or (f"0 to {count - 1}" if count else "numbers of classes, and no names")
        raise OptionError(f"there is no class {name}; the classes of {self._called} are {known}.")

    @property
    def _called(self) -> str:
        return str(self.path or self.name or "the network")

    # --- latent codes ---

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Return random latent codes `(count, Z)`, distributed as those of the training.

        Args:
            count: how many.
            random: on the CPU, so that every device gets the same codes.
        """
        return self.from_normal(torch.randn(count, self.latent_size, generator=random)).to(self.device)

    def from_normal(self, normal: Tensor) -> Tensor:
        """Return latent codes `(..., Z)` for values of a standard Gaussian."""
        if self.prior is None:
            return normal
        mean, root = (part.to(normal) for part in self.prior)
        latents: Tensor = mean + normal @ root.T
        return latents

    def to_normal(self, latents: Tensor) -> Tensor:
        """Return the standard Gaussian values `(..., Z)` of latent codes: the inverse of `from_normal`."""
        if self.prior is None:
            return latents
        mean, root = (part.double().to(latents.device) for part in self.prior)
        whitened: Tensor = (latents.double() - mean) @ torch.linalg.pinv(root).T
        return whitened.to(latents)

    # --- pictures ---

    @with_own_defaults
    def sample(
        self, count: int, *, labels: int | str | Sequence[int | str] | Tensor | None = None, seed: int = 0
    ) -> Tensor:
        """Return random samples `(count, C, H, W)` in [0, 1].

        Args:
            count: how many.
            labels: of a class-conditional network one class for all samples, by name or number, or one for each; by
                default each class in turn.
            seed: of the latent codes.

        Raises:
            OptionError: labels do not fit the network.
        """
        latents = self.draw(count, torch.Generator().manual_seed(seed))
        return self.decode(latents, self._labels(labels, count))

    @with_own_defaults
    @torch.no_grad()
    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the pictures of latent codes, `(N, C, H, W)` in [0, 1].

        Args:
            latents: `(N, Z)`, on any device.
            labels: `(N,)`, the classes, if the network is class-conditional.

        Raises:
            OptionError: labels are missing, or there are no such classes.
        """
        parts = zip(
            torch.split(latents.to(self.device).float(), _BATCH), self._conditions(labels, len(latents)), strict=True
        )
        decode: Any = self.network.decode
        return torch.cat([decode(part, *condition) for part, condition in parts])

    @with_own_defaults
    def show(self, kind: str = "grid", **settings: Any) -> Any:
        """Return a sheet of samples as a PIL image.

        Args:
            kind: as in `SampleOptions`: grid, interpolation, manifold, traversal, arithmetic, reconstructions, nearest,
                embeddings or progress.
            settings: other settings of `SampleOptions`, and `data`, the training set if it is not where it was.

        Raises:
            OptionError: the network cannot do that, or a setting is out of range.
            ImageError: the training set is needed and cannot be found.
        """
        from impasto.inference.sheets import sheet_image  # imports this module

        return sheet_image(self, kind, **settings)

    def _labels(self, labels: int | str | Sequence[int | str] | Tensor | None, count: int) -> Tensor | None:
        """Return labels `(count,)`; None for a network without classes if none are given."""
        if labels is None:
            return torch.arange(count) % self.classes if self.classes else None
        if isinstance(labels, Tensor):
            return labels.expand(count) if labels.ndim == 0 else labels
        several = [labels] * count if isinstance(labels, int | str) else labels
        return torch.tensor([self.class_index(str(label)) for label in several])

    def _conditions(self, labels: Tensor | None, count: int) -> list[tuple[Tensor, ...]]:
        """Return further arguments of the network for each part of a batch: its labels, or nothing."""
        if not self.classes:
            if labels is not None:
                raise OptionError(f"{self._called} is not class-conditional; leave out labels.")
            return [()] * max(1, -(-count // _BATCH))
        if labels is None or len(labels) != count:
            raise OptionError(
                f"{self._called} is class-conditional with {self.classes} classes, and labels are missing; expected "
                "one each."
            )
        if count and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            worst = int(labels.max()) if int(labels.max()) >= self.classes else int(labels.min())
            raise OptionError(f"there is no class {worst}; the classes of {self._called} are 0 to {self.classes - 1}.")
        return [(part.to(self.device),) for part in torch.split(labels, _BATCH)]

    # --- the training set ---

    def option(self, name: str, default: Any) -> Any:
        """Return an option of its training, or the default if the card does not say it."""
        return (self.card.get("options") or {}).get(name, default)

    def source(self, data: str | Path | Sets | None = None) -> str | Path | Sets:
        """Return `data`, or else where the training set was; errors as for `sets`."""
        return training_set(self) if data is None else data

    def sets(self, data: str | Path | Sets | None = None) -> Sets:
        """Return the training set and the held-out test set.

        Args:
            data: where they are, if not where they were; see `arrays.read_sets`.

        Raises:
            ImageError: they do not exist, or have another shape.
            OptionError: the file does not say where they were.
        """
        source = self.source(data)
        sets = read_sets(source, crop=self.option("crop", 0), colors="rgb" if self.shape[0] == 3 else "gray")
        if sets.train.shape != self.shape:
            ours, theirs = ("×".join(map(str, shape)) for shape in (self.shape, sets.train.shape))
            name = "the set" if isinstance(source, Sets) else source
            raise OptionError(f"{name} has pictures of {theirs}; expected {ours}, as {self._called} makes them.")
        return sets

    def _contents(self) -> Mapping[str, object]:
        shape = "×".join(map(str, self.shape))
        classes = self.names or (f"{self.classes}" if self.classes else "")
        return {"pictures": shape, "latent size": self.latent_size, "classes": classes}


@dataclass(frozen=True, eq=False)
class Autoencoder(Generator):
    """A network that encodes pictures as latent codes and decodes them: an autoencoder or a VAE.

    >>> denoiser = impasto.load("runs/autoencoder-mnist5k")  # doctest: +SKIP
    >>> denoiser.denoise("noisy.png").save("clean.png")  # doctest: +SKIP
    """

    @property
    def kind(self) -> str:
        """See `Model`."""
        return "autoencoder"

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the latent codes of pictures, `(N, Z)`; of a VAE the means.

        Args:
            images: `(N, C, H, W)`, uint8, or floats in [0, 1].
            labels: `(N,)`, their classes, if the network is class-conditional.

        Raises:
            OptionError: labels are missing, or there are no such classes.
        """
        return self.posterior(images, labels)[0]

    @with_own_defaults
    @torch.no_grad()
    def posterior(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return codes as `encode` does, and of a VAE the logarithms of their variances, `(N, Z)` each."""
        encode: Any = self.network.encode
        found = []
        for part, condition in zip(torch.split(images, _BATCH), self._conditions(labels, len(images)), strict=True):
            part = part.to(self.device)
            code = encode(part.float() / 255 if part.dtype == torch.uint8 else part.float(), *condition)
            found.append(code if isinstance(code, tuple) else (code, None))
        codes, logvars = zip(*found, strict=True)
        return torch.cat(codes), None if logvars[0] is None else torch.cat(logvars)

    def reconstruct(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the reconstructions of pictures, `(N, C, H, W)` in [0, 1]; arguments and errors as for `encode`."""
        return self.decode(self.encode(images, labels), labels)

    @with_own_defaults
    def denoise(self, picture: Source, *, label: int | str | None = None) -> Any:
        """Return the reconstruction of one picture as the kind that was given.

        Args:
            picture: a path, PIL image, array `(H, W)` or `(H, W, 3)`, or tensor `(C, H, W)` or `(1, C, H, W)` in
                [0, 1], of any size; it is cut, resized and converted to gray or color as the training pictures were.
            label: its class, if the network is class-conditional.

        Returns:
            A PIL image, array or tensor of the size of the training pictures.

        Raises:
            ImageError: the picture cannot be read.
            OptionError: the label is missing, or there is no such class.
        """
        if self.classes and label is None:
            raise OptionError(f"{self._called} is class-conditional; expected the picture's class, --classes.")
        clean = self.reconstruct(self.prepared(picture), None if label is None else self._labels(label, 1)).cpu()
        if isinstance(picture, Tensor):
            gray = picture.ndim < 3 or picture.shape[-3] == 1
            return (clean[:, :1] if gray else clean.expand(-1, 3, -1, -1)).to(picture.device, picture.dtype)
        found = as_kind(picture, clean.expand(-1, 3, -1, -1), _opened(picture))
        return found[..., 0] if isinstance(picture, np.ndarray) and picture.ndim == 2 else found

    @with_own_defaults
    def prepared(self, picture: Source) -> Tensor:
        """Return one picture as the training pictures were, `(1, C, H, W)`: cut, resized, in gray or color."""
        channels, height, width = self.shape
        part = _cut(_opened(picture), width / height)
        image = as_tensor(resize_picture_to(part, height, width)).to(self.device)
        luma = torch.tensor(_LUMA, device=self.device).view(1, 3, 1, 1)
        return image if channels == 3 else (image * luma).sum(1, keepdim=True)


def _opened(source: Source) -> Picture:
    """Return a picture on white, without alpha; tensors may be gray, `(H, W)`, `(1, H, W)` or `(1, 1, H, W)`."""
    if isinstance(source, Tensor):
        source = source[0] if source.ndim == 4 and len(source) == 1 else source
        source = source[None] if source.ndim == 2 else source
        source = source.expand(3, -1, -1) if source.ndim == 3 and len(source) == 1 else source
    picture = open_picture(source, digest=False)
    return replace(picture, pixels=picture.on_white, alpha=None)


def _cut(picture: Picture, ratio: float) -> Picture:
    """Return the largest part in the middle of a picture with that ratio of width to height."""
    height, width = picture.size
    high, wide = max(1, min(height, round(width / ratio))), max(1, min(width, round(height * ratio)))
    top, left = (height - high) // 2, (width - wide) // 2
    return replace(picture, pixels=picture.pixels[top : top + high, left : left + wide])
