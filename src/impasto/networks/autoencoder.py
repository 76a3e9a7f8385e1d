"""Networks that turn small pictures into a few numbers and back: plain and variational, dense and convolutional."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import OptionError

__all__ = ["VAE", "Autoencoder"]

_SMALLEST = 8  # convolutions halve the sides until they are no larger
_HIDDEN = {"dense": (512, 256), "conv": (256,)}
_LOUD = 5.0  # a class as loud as one number is learned too late: by then the numbers tell it, and it is not heeded


class _Coder(nn.Module):
    """An encoder, which ends in some numbers, and a decoder, which begins with them and mirrors it.

    Pictures are `(B, C, H, W)` in [0, 1], on both ends. Of a dense network every layer sees all pixels. A
    convolutional one first halves the sides, with 4 x 4 filters and twice the channels each time, until they are
    8 px or less; then come dense layers. The state dict holds `encoder.N` and `decoder.N` with weight and bias.

    Args:
        shape: channels, height and width of pictures.
        latent: numbers that a picture becomes.
        kind: "dense" or "conv".
        hidden: widths of the dense layers, from pictures to numbers; empty: 512 and 256, in "conv" 256.
        width: channels of the first convolution.
        told: for how many things of each number the encoder has an output.
        classes: if there are any, both halves are told the picture's class, as so many numbers of which one is 5 and
            the others are 0.

    Raises:
        OptionError: a number is out of range, or the sides cannot be halved.

    Differs: filters are of 4 x 4, a multiple of the stride, so that transposed ones leave no checkerboard (Odena,
        Dumoulin & Olah 2016, distill.pub/2016/deconv-checkerboard).
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        kind: Literal["dense", "conv"],
        hidden: Sequence[int],
        width: int,
        told: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if kind not in _HIDDEN:
            raise OptionError(f"network is {kind!r}; expected {' or '.join(_HIDDEN)}.")
        if len(shape) != 3 or min(*shape, *hidden, latent, width) < 1:
            raise OptionError(f"shape is {tuple(shape)}, latent {latent}, width {width}; expected 1 or more each.")
        if classes < 0:
            raise OptionError(f"classes is {classes}; expected 0 or more.")
        self.shape, self.latent, self.kind, self.width, self.classes = tuple(shape), latent, kind, width, classes
        self.hidden = tuple(hidden) or _HIDDEN[kind]
        down, up, inner = _convolutions(self.shape, width) if kind == "conv" else ([], [], self.shape)
        flat = inner[0] * inner[1] * inner[2]
        self._flat = len(down) + 1  # layers until a picture is one row of numbers
        widths = (flat + classes, *self.hidden)
        to_numbers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip(widths, widths[1:], strict=False):
            to_numbers += [nn.Linear(before, after), nn.ReLU()]
        self.encoder = nn.Sequential(*down, *to_numbers, nn.Linear(widths[-1], told * latent))
        widths = (latent + classes, *reversed(self.hidden))
        from_numbers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            from_numbers += [nn.Linear(before, after), nn.ReLU()]
        from_numbers += [nn.Linear(widths[-1], flat), nn.Unflatten(1, inner)]
        self.decoder = nn.Sequential(*from_numbers, *up)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {
            "shape": list(self.shape),
            "latent": self.latent,
            "kind": self.kind,
            "hidden": list(self.hidden),
            "width": self.width,
        }

    def logits(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return pictures of numbers `(B, Z)`, and of labels `(B,)` if it has classes, before the sigmoid."""
        pictures: Tensor = self.decoder(self._told(codes, labels))
        return pictures

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return pictures of numbers `(B, Z)`, and of labels if it has classes: `(B, C, H, W)` in [0, 1]."""
        return self.logits(codes, labels).sigmoid()

    def _encoded(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        if not self.classes:
            found: Tensor = self.encoder(pictures)
        else:
            found = self.encoder[self._flat :](self._told(self.encoder[: self._flat](pictures), labels))
        return found

    def _told(self, rows: Tensor, labels: Tensor | None) -> Tensor:
        """Return rows `(B, n)` with the class beside them, if there are classes."""
        if not self.classes:
            return rows
        if labels is None:
            raise OptionError(f"this network knows {self.classes} classes; expected a label for each picture.")
        return torch.cat([rows, _LOUD * F.one_hot(labels.to(rows.device), self.classes).to(rows.dtype)], 1)


def _convolutions(shape: tuple[int, ...], width: int) -> tuple[list[nn.Module], list[nn.Module], tuple[int, int, int]]:
    """Return layers down, layers up, and the shape between them."""
    channels, height, sideways = shape
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    after = width
    while max(height, sideways) > _SMALLEST or not down:
        if height % 2 or sideways % 2:
            raise OptionError(
                f"pictures are {shape[1]}×{shape[2]}; a convolutional network needs sides that can be halved until "
                f"they are {_SMALLEST} or less: use --crop 32."
            )
        down += [nn.Conv2d(channels, after, 4, stride=2, padding=1), nn.ReLU()]
        up = [nn.ReLU(), nn.ConvTranspose2d(after, channels, 4, stride=2, padding=1), *up]
        channels, after, height, sideways = after, 2 * after, height // 2, sideways // 2
    return down, up, (channels, height, sideways)


class Autoencoder(_Coder):
    """A network that learns to give back what it is shown, through a few numbers; see `_Coder`.

    Source: Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science 313.
    Differs: trained at once, with rectifiers, instead of layer by layer.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        latent: int = 32,
        kind: Literal["dense", "conv"] = "dense",
        hidden: Sequence[int] = (),
        width: int = 32,
    ) -> None:
        super().__init__(shape, latent, kind, hidden, width, told=1)

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the numbers of pictures, `(B, Z)`."""
        return self._encoded(pictures)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return pictures as they come back, `(B, C, H, W)` in [0, 1]."""
        return self.decode(self.encode(pictures))


class VAE(_Coder):
    """A network whose numbers follow the standard Gaussian, so that any draw of them is a picture; see `_Coder`.

    With classes it is a conditional one: numbers tell what a class leaves open, and a picture of any class can be asked
    for.

    Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", arXiv:1312.6114, section 3 and appendix C; Sohn,
        Lee & Yan 2015, "Learning structured output representation using deep conditional generative models", for
        classes.
    Differs: whatever the class, numbers follow the same Gaussian, which Sohn et al. let the class decide.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        latent: int = 20,
        kind: Literal["dense", "conv"] = "dense",
        hidden: Sequence[int] = (),
        width: int = 32,
        classes: int = 0,
    ) -> None:
        super().__init__(shape, latent, kind, hidden, width, told=2, classes=classes)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {**super().settings, "classes": self.classes}

    def encode(self, pictures: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of each picture's numbers, `(B, Z)` each."""
        mu, logvar = self._encoded(pictures, labels).chunk(2, 1)
        return mu, logvar

    def forward(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the pictures of the means, `(B, C, H, W)` in [0, 1]."""
        return self.decode(self.encode(pictures, labels)[0], labels)
