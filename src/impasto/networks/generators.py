"""Generator and discriminator of a GAN for small pictures or points, of dense layers or convolutions."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import spectral_norm

from impasto.errors import OptionError

__all__ = ["Activation", "Discriminator", "GeneratorNetwork", "Norm"]

Kind = Literal["dense", "conv"]
Norm = Literal["batch", "group", "none"]
Activation = Literal["selu", "relu"]

_ACTIVATIONS = {"selu": nn.SELU, "relu": nn.ReLU}
_KINDS = ("dense", "conv")
_NORMS = ("batch", "group", "none")
_BASE = 7  # convolutions halve the sides until they are no larger
_HIDDEN = (100, 150)  # of a dense generator; its discriminator has them the other way round
_LABEL = 16  # values of a class embedding in the generator
_GROUPS = 8
_SLOPE = 0.2  # of leaky rectifiers


class GeneratorNetwork(nn.Module):
    """Generator: makes pictures from latent codes z of a standard Gaussian; with classes, of the requested class.

    "dense": layers of neurons with SELU, 30-100-150-784 by default, and no normalization. "conv": the code becomes
    a map of 4 to 7 px with `width` times a power of two channels; each transposed convolution of 4 x 4 then doubles
    the sides and halves the channels, until the last one gives the picture: at 64 px and a width of 64 the paper's
    512, 256, 128, 64. The state dict holds `layers.N` and, with classes, `labels`.

    Args:
        shape: channels, height and width of pictures; or the number of coordinates of a point, as (2,).
        latent: size of the latent code.
        kind: "dense" or "conv".
        hidden: dense: widths of the layers, from the code to the picture; empty: 100 and 150.
        width: conv: channels before the last layer.
        norm: conv: "batch", the paper's, "group" or "none".
        classes: number of classes; 0: not class-conditional.
        activation: dense: "selu" or "relu".
        blur: conv: the output of each layer of stride 2 is blurred by 1-2-1 along both sides. Even and odd positions
            have weights of their own there, which could cause checkerboard artifacts.

    Raises:
        OptionError: a number is out of range, or the sides cannot be halved.

    Source: dense: Géron 2019, "Hands-on machine learning", 2nd edition, chapter 17, and Klambauer et al. 2017,
        arXiv:1706.02515, for SELU. conv: Radford, Metz & Chintala 2016, arXiv:1511.06434, figure 1. Classes: Mirza &
        Osindero 2014, arXiv:1411.1784.
    Differs: a class is a learned embedding beside the code, instead of a unit vector.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        latent: int = 30,
        kind: Kind = "dense",
        hidden: Sequence[int] = (),
        width: int = 32,
        norm: Norm = "batch",
        classes: int = 0,
        activation: Activation = "selu",
        blur: bool = False,
    ) -> None:
        super().__init__()
        _check(shape, kind, norm, (*hidden, latent, width), classes, activation)
        self.blur = blur
        self.shape, self.latent, self.kind, self.classes = tuple(shape), latent, kind, classes
        self.hidden, self.width, self.norm, self.activation = tuple(hidden) or _HIDDEN, width, norm, activation
        if classes:
            self.labels = nn.Embedding(classes, _LABEL)
        first = latent + (_LABEL if classes else 0)
        layers = self._dense(first) if kind == "dense" else self._conv(first)
        self.layers = nn.Sequential(*layers)
        _start(self.layers, kind, norm, activation)

    def _dense(self, first: int) -> list[nn.Module]:
        widths = (first, *self.hidden, _numel(self.shape))
        return [*_neurons(widths, self.activation), nn.Unflatten(1, self.shape)]

    def _conv(self, before: int) -> list[nn.Module]:
        channels, (height, width), times = self.shape[0], *_base(self.shape)
        bias = self.norm != "batch"
        layers: list[nn.Module] = [nn.Unflatten(1, (before, 1, 1))]
        after = self.width * 2 ** (times - 1)
        layers.append(nn.ConvTranspose2d(before, after, (height, width), bias=bias))
        for _ in range(times - 1):
            layers += [*_normalized(self.norm, after), nn.ReLU()]
            layers += self._doubled(after, after // 2, bias)
            after //= 2
        layers += [*_normalized(self.norm, after), nn.ReLU()]
        return [*layers, *self._doubled(after, channels, bias)]

    def _doubled(self, before: int, after: int, bias: bool) -> list[nn.Module]:
        """Return what doubles the sides of a map."""
        larger = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias)
        return [larger, _Blur(after)] if self.blur else [larger]

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {
            "shape": list(self.shape),
            "latent": self.latent,
            "kind": self.kind,
            "hidden": list(self.hidden),
            "width": self.width,
            "norm": self.norm,
            "classes": self.classes,
            "activation": self.activation,
            "blur": self.blur,
        }

    def logits(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the values before the sigmoid, `(B, C, H, W)`; arguments and errors as for `decode`."""
        if self.classes:
            codes = torch.cat([codes, self.labels(_checked(labels, len(codes), self.classes))], 1)
        made: Tensor = self.layers(codes)
        return made

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the pictures of latent codes, `(B, C, H, W)` in [0, 1]; or points `(B, N)`, unbounded.

        Args:
            codes: `(B, Z)`.
            labels: `(B,)`, the requested classes; None if there are none.

        Raises:
            OptionError: labels are missing, or do not fit.
        """
        made = self.logits(codes, labels)
        if len(self.shape) == 1:
            return made
        return (2 * made).sigmoid() if self.kind == "conv" else made.sigmoid()  # the paper's (1 + tanh) / 2

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """The same as `decode`."""
        return self.decode(codes, labels)


class _Blur(nn.Module):
    """Blur by 1-2-1 along both sides, which removes what alternates from pixel to pixel; edges are repeated outside."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0])
        kernel = (torch.outer(taps, taps) / 16).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.kernel, groups=len(self.kernel))


class Discriminator(nn.Module):
    """Discriminator: tells real pictures from fakes, by the logarithm of the odds that a picture is real.

    It mirrors the generator: "dense", 784-150-100-1 by default with SELU; "conv", convolutions of 4 x 4 that halve the
    sides and double the channels, with leaky rectifiers of slope 0.2. With classes it asks whether a picture is a real
    one of its class: each class has a last layer of its own. The state dict holds `layers.N`, `last` and, with
    classes, `labels`.

    Args:
        shape: channels, height and width of pictures; or the number of coordinates of a point, as (2,).
        kind: "dense" or "conv".
        hidden: dense: widths of the layers, from pictures on; empty: 150 and 100.
        width: conv: channels after the first layer.
        norm: conv: "batch", the paper's, "group" or "none". The first layer has none.
        classes: number of classes; 0: not class-conditional.
        spectral: each layer is divided by its largest singular value.
        activation: dense: "selu" or "relu".
        fourier: dense: number of random Fourier features beside the input, a sine and a cosine each. Without them a
            dense network hardly sees fine detail. The state dict holds `frequencies`.

    Raises:
        OptionError: a number is out of range, or the sides cannot be halved.

    Source: as for `GeneratorNetwork`; classes: Miyato & Koyama 2018, arXiv:1802.05637, section 3; spectral norm:
        Miyato et al. 2018, arXiv:1802.05957, algorithm 1; fourier: Tancik et al. 2020, arXiv:2006.10739, frequencies of
        standard deviation 1 in radians.
    Differs: the paper's sigmoid is part of the loss. The class is asked of the last map itself, not of its sum.
    """

    frequencies: Tensor

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        kind: Kind = "dense",
        hidden: Sequence[int] = (),
        width: int = 32,
        norm: Norm = "none",
        classes: int = 0,
        spectral: bool = False,
        activation: Activation = "selu",
        fourier: int = 0,
    ) -> None:
        super().__init__()
        _check(shape, kind, norm, (*hidden, width, fourier + 1), classes, activation)
        self.shape, self.kind, self.classes, self.spectral = tuple(shape), kind, classes, spectral
        self.hidden, self.width, self.norm, self.activation = tuple(hidden) or _HIDDEN[::-1], width, norm, activation
        self.fourier = fourier
        if fourier:
            self.register_buffer("frequencies", torch.randn(_numel(shape), fourier))
        layers, features = self._dense() if kind == "dense" else self._conv()
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(features, 1, bias=kind == "dense" or norm != "batch")
        if classes:
            self.labels = nn.Embedding(classes, features)
            nn.init.zeros_(self.labels.weight) if not spectral else nn.init.normal_(self.labels.weight, std=0.02)
        _start(self.layers, kind, norm, activation)
        _start(self.last, kind, norm)
        if spectral:
            for module in list(self.modules()):
                if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
                    spectral_norm(module)

    def _dense(self) -> tuple[list[nn.Module], int]:
        layers = _neurons((_numel(self.shape) + 2 * self.fourier, *self.hidden), self.activation)
        return [nn.Flatten(), *layers, _ACTIVATIONS[self.activation]()], self.hidden[-1]

    def _conv(self) -> tuple[list[nn.Module], int]:
        before, (height, width), times = self.shape[0], *_base(self.shape)
        layers: list[nn.Module] = []
        after = self.width
        for time in range(times):
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=self.norm != "batch"))
            layers += [*(_normalized(self.norm, after) if time else []), nn.LeakyReLU(_SLOPE)]
            before, after = after, 2 * after
        return [*layers, nn.Flatten()], before * height * width

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {
            "shape": list(self.shape),
            "kind": self.kind,
            "hidden": list(self.hidden),
            "width": self.width,
            "norm": self.norm,
            "classes": self.classes,
            "spectral": self.spectral,
            "activation": self.activation,
            "fourier": self.fourier,
        }

    def forward(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits `(B,)`, above 0 for what looks real.

        Args:
            pictures: `(B, C, H, W)` in [0, 1]; or points.
            labels: `(B,)`, the class that each is said to be of; None if there are no classes.

        Raises:
            OptionError: labels are missing, or do not fit.
        """
        given = 2 * pictures - 1 if self.kind == "conv" else pictures
        if self.fourier:
            given = given.flatten(1)
            waves = given @ self.frequencies
            given = torch.cat([given, waves.sin(), waves.cos()], 1)
        seen = self.layers(given)  # (B, features)
        logits: Tensor = self.last(seen)[:, 0]
        if self.classes:
            logits = logits + (self.labels(_checked(labels, len(seen), self.classes)) * seen).sum(1)
        return logits


def _check(shape: Sequence[int], kind: str, norm: str, numbers: Sequence[int], classes: int, activation: str) -> None:
    if kind not in _KINDS:
        raise OptionError(f"network is {kind!r}; expected {' or '.join(_KINDS)}.")
    if norm not in _NORMS:
        raise OptionError(f"norm is {norm!r}; expected {', '.join(_NORMS)}.")
    if activation not in _ACTIVATIONS:
        raise OptionError(f"activation is {activation!r}; expected {' or '.join(_ACTIVATIONS)}.")
    if len(shape) not in ((1, 3) if kind == "dense" else (3,)) or min(*shape, *numbers) < 1:
        raise OptionError(f"shape is {tuple(shape)}, sizes {tuple(numbers)}; expected 1 or more each.")
    if classes < 0 or classes == 1:
        raise OptionError(f"classes are {classes}; expected two or more, or 0 for none.")


def _checked(labels: Tensor | None, count: int, classes: int) -> Tensor:
    """Return labels that can be looked up."""
    if labels is None:
        raise OptionError(f"labels are missing; expected one from 0 to {classes - 1} for each picture.")
    if tuple(labels.shape) != (count,):
        raise OptionError(f"labels have the shape {tuple(labels.shape)}; expected one for each of {count} pictures.")
    if torch.compiler.is_exporting():  # labels have no values yet
        return labels
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise OptionError(f"labels are {int(labels.min())} to {int(labels.max())}; expected 0 to {classes - 1}.")
    return labels.long()


def _numel(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())


def _base(shape: Sequence[int]) -> tuple[tuple[int, int], int]:
    """Return the sides of the smallest map, and how often pictures are halved until they are that small."""
    _, height, width = shape
    times = 0
    while max(height, width) > _BASE or not times:
        if height % 2 or width % 2:
            raise OptionError(
                f"pictures are {shape[1]}×{shape[2]}; a convolutional GAN needs sides that can be halved until they "
                f"are {_BASE} or less, as 28, 32 or 64: use --crop 32."
            )
        height, width, times = height // 2, width // 2, times + 1
    return (height, width), times


def _neurons(widths: Sequence[int], activation: str) -> list[nn.Module]:
    """Return layers of neurons with rectifiers of that kind between them."""
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), _ACTIVATIONS[activation]()]
    return layers[:-1]


def _normalized(norm: str, channels: int) -> list[nn.Module]:
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    groups = max(count for count in range(1, _GROUPS + 1) if channels % count == 0)
    return [nn.GroupNorm(groups, channels)] if norm == "group" else []


def _start(network: nn.Module, kind: str, norm: str, activation: str = "selu") -> None:
    """Draw first weights: LeCun's for SELU, the paper's 0.02 with batch norm, and He's elsewhere."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        if kind == "dense":
            nn.init.normal_(module.weight, std=((2 if activation == "relu" else 1) / module.weight.shape[1]) ** 0.5)
        elif norm == "batch":
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.ConvTranspose2d):  # of 16 weights 4 meet in a pixel; of a map of 1 px, one
            nn.init.normal_(module.weight, std=(2 / module.in_channels) ** 0.5 / module.stride[0])
        else:
            nn.init.kaiming_normal_(module.weight, _SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
