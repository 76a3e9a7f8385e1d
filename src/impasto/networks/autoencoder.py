"""Autoencoders and variational autoencoders of small pictures, fully connected or convolutional."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import OptionError

__all__ = ["VAE", "Autoencoder"]

_SMALLEST = 8  # convolutions halve the sides until they are no larger
_HIDDEN = {"dense": (512, 256), "conv": (256,)}
_LABEL_SCALE = 5.0  # of the one-hot label; at scale 1 the network learns to use z for the class and ignores the label


class _Coder(nn.Module):
    """An encoder from pictures to latent codes, and a decoder that mirrors it.

    Pictures are `(B, C, H, W)` in [0, 1]. "dense": fully connected layers. "conv": 4 x 4 convolutions with stride 2,
    each with twice the channels, until the sides are 8 pixels or less; then fully connected layers. The state dict
    holds `encoder.N` and `decoder.N` with weight and bias.

    Args:
        shape: channels, height and width of the pictures.
        latent: size of the latent code z.
        kind: "dense" or "conv".
        hidden: widths of the encoder's fully connected layers; empty: 512 and 256, for "conv" 256.
        width: channels of the first convolution.
        outputs: outputs of the encoder for each latent dimension: 1, or 2 for mean and log variance.
        classes: number of classes; 0: unconditional. Encoder and decoder get the label as a one-hot vector times 5.

    Raises:
        OptionError: an argument is out of range, or the sides cannot be halved.

    Differs: filters are 4 x 4, a multiple of the stride, so that transposed convolutions cause no checkerboard
        artifacts (Odena, Dumoulin & Olah 2016, distill.pub/2016/deconv-checkerboard).
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int,
        kind: Literal["dense", "conv"],
        hidden: Sequence[int],
        width: int,
        outputs: int,
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
        self._flat = len(down) + 1  # layers until a picture is a vector
        widths = (flat + classes, *self.hidden)
        to_code: list[nn.Module] = [nn.Flatten()]
        for before, after in zip(widths, widths[1:], strict=False):
            to_code += [nn.Linear(before, after), nn.ReLU()]
        self.encoder = nn.Sequential(*down, *to_code, nn.Linear(widths[-1], outputs * latent))
        widths = (latent + classes, *reversed(self.hidden))
        from_code: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            from_code += [nn.Linear(before, after), nn.ReLU()]
        from_code += [nn.Linear(widths[-1], flat), nn.Unflatten(1, inner)]
        self.decoder = nn.Sequential(*from_code, *up)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that build the same architecture."""
        return {
            "shape": list(self.shape),
            "latent": self.latent,
            "kind": self.kind,
            "hidden": list(self.hidden),
            "width": self.width,
        }

    def logits(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Decode latent codes `(B, Z)`, and labels `(B,)` if it is class-conditional, to logits `(B, C, H, W)`."""
        pictures: Tensor = self.decoder(self._with_labels(codes, labels))
        return pictures

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Decode latent codes `(B, Z)`, and labels `(B,)` if it is class-conditional, to pictures in [0, 1]."""
        return self.logits(codes, labels).sigmoid()

    def _encoded(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        if not self.classes:
            found: Tensor = self.encoder(pictures)
        else:
            found = self.encoder[self._flat :](self._with_labels(self.encoder[: self._flat](pictures), labels))
        return found

    def _with_labels(self, rows: Tensor, labels: Tensor | None) -> Tensor:
        """Return vectors `(B, n)`, concatenated with the labels if it is class-conditional."""
        if not self.classes:
            return rows
        if labels is None:
            raise OptionError(
                f"this network is conditional on {self.classes} classes; expected a label for each picture."
            )
        return torch.cat([rows, _LABEL_SCALE * F.one_hot(labels.to(rows.device), self.classes).to(rows.dtype)], 1)


def _convolutions(shape: tuple[int, ...], width: int) -> tuple[list[nn.Module], list[nn.Module], tuple[int, int, int]]:
    """Return layers of the encoder, of the decoder, and the shape between them."""
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
    """An autoencoder: it reconstructs its input through a latent code; see `_Coder`.

    Source: Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science 313.
    Differs: all layers are trained together, with ReLU, instead of layer by layer.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        latent: int = 32,
        kind: Literal["dense", "conv"] = "dense",
        hidden: Sequence[int] = (),
        width: int = 32,
    ) -> None:
        super().__init__(shape, latent, kind, hidden, width, outputs=1)

    def encode(self, pictures: Tensor) -> Tensor:
        """Return latent codes `(B, Z)`."""
        return self._encoded(pictures)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return reconstructions, `(B, C, H, W)` in [0, 1]."""
        return self.decode(self.encode(pictures))


class VAE(_Coder):
    """A variational autoencoder: its prior of z is the standard Gaussian; see `_Coder`.

    With classes it is class-conditional: it samples from a requested class, and z describes the variation within the
    class.

    Source: Kingma & Welling 2014, "Auto-encoding variational Bayes", arXiv:1312.6114, section 3 and appendix C; Sohn,
        Lee & Yan 2015, "Learning structured output representation using deep conditional generative models", for
        classes.
    Differs: the prior is the same for all classes; that of Sohn et al. depends on the class.
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
        super().__init__(shape, latent, kind, hidden, width, outputs=2, classes=classes)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that build the same architecture."""
        return {**super().settings, "classes": self.classes}

    def encode(self, pictures: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the approximate posterior q(z|x), `(B, Z)` each."""
        mu, logvar = self._encoded(pictures, labels).chunk(2, 1)
        return mu, logvar

    def forward(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return reconstructions from the posterior means, `(B, C, H, W)` in [0, 1]."""
        return self.decode(self.encode(pictures, labels)[0], labels)
