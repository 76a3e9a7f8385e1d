"""A loaded network that paints, with what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import OptionError, unknown_name
from impasto.networks.johnson import Johnson
from impasto.networks.layers import Map, pointwise, wide
from impasto.networks.lengstrom import Lengstrom
from impasto.networks.microast import MicroAST
from impasto.networks.multistyle import Painter
from impasto.networks.translators import ResNetGenerator, UNetGenerator

__all__ = ["ARCHITECTURES", "MAKERS", "Model", "Style"]

ARCHITECTURES: Mapping[str, type[nn.Module]] = {
    "johnson": Johnson,
    "painter": Painter,
    "lengstrom": Lengstrom,
    "microast": MicroAST,
    "resnet": ResNetGenerator,
    "unet": UNetGenerator,
}


Style = str | Tensor | Mapping[str, float | Tensor] | None


MAKERS = ("autoencoder", "vae", "generator")  # what `generator.load_maker` reads


@dataclass(frozen=True)
class Model:
    """A network with what is known about it; called, it paints.

    Attributes:
        network: of one of `ARCHITECTURES`.
        header: what its file says: provenance, license, how it was trained; of a painter also its `fingerprint`.
        notes: what a person should know about how it was read, sentences without a full stop.
        default: which of its styles is meant where none is named; "": its first.
    """

    network: nn.Module = field(repr=False)
    header: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    default: str = ""

    @property
    def architecture(self) -> str:
        """Its name in `ARCHITECTURES`."""
        return next(name for name, kind in ARCHITECTURES.items() if isinstance(self.network, kind))

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that it knows; empty: it knows one, or paints after a picture."""
        return self.network.styles if isinstance(self.network, Painter) else ()

    def knowing(self, name: str, row: Tensor) -> "Model":
        """Return this painter with one style more, or with another one of that name; weights are shared.

        Raises:
            OptionError: it is no painter.
        """
        network = self.network
        if not isinstance(network, Painter):
            raise OptionError(f"the network is one of {self.architecture}; expected one of many styles, a painter.")
        kept = [index for index, known in enumerate(network.styles) if known != name]
        styles = [*(network.styles[index] for index in kept), name]
        settings = {**network.settings, "styles": styles}
        with torch.device("meta"):
            more = Painter(**settings)
        rows = torch.cat([network.rows.detach()[kept], row[None].to(network.rows)])
        more.load_state_dict({**network.state_dict(), "rows": rows}, assign=True)
        return replace(self, network=more.requires_grad_(False).eval())

    def __call__(self, image: Map, *, style: Style = None, strength: float = 1.0) -> Map:
        """Return the painted picture.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size.
            style: of a painter a name, or a row `(N,)` or `(B, N)`, or names with how much each counts: numbers,
                or maps `(1, 1, H, W)` that say where; by default its first style. Of a network for any style a
                picture `(1, 3, h, w)`. None for a network of one style.
            strength: from 0, the photograph, to 1, the style. A painter moves its row from the identity's, a
                network for any style its features; of others pixels are mixed.

        Returns:
            The same shape, in [0, 1].

        Raises:
            OptionError: the style is not what this network takes, or the strength is not in [0, 1].
            UnknownName: it has no such style.
        """
        rows, shares = self.check(style, strength)
        network = self.network
        dtype = next(network.parameters()).dtype
        painted: Map
        given = pointwise(partial(torch.Tensor.to, dtype=dtype), image)
        if isinstance(network, Painter):
            assert rows is not None
            painted = network(given, torch.lerp(network.rows[0].to(rows), rows, strength), shares)
        elif isinstance(network, MicroAST):
            assert isinstance(style, Tensor)
            painted = pointwise(_within_range, network(given, style.to(dtype), strength))
        else:
            painted = pointwise(_within_range, network(given))
            if strength < 1:
                painted = pointwise(partial(_mix, strength), painted, image)
        return painted

    def check(self, style: Style, strength: float) -> tuple[Tensor | None, Tensor | None]:
        """Raise what a call with these would; return a painter's rows and shares, as `networks.painter` takes them."""
        if not 0 <= strength <= 1:
            raise OptionError(f"strength is {strength:g}; expected 0 to 1.")
        if isinstance(self.network, Painter):
            return self._rows(style)
        if isinstance(self.network, MicroAST):
            if not isinstance(style, Tensor) or style.ndim != 4 or style.shape[1] != 3:
                raise OptionError("this network paints after a picture; expected one as style, (1, 3, h, w).")
        elif style is not None:
            raise OptionError(f"the network of {self.architecture} has one style; expected none to be named.")
        return None, None

    def _rows(self, style: Style) -> tuple[Tensor, Tensor | None]:
        """Return a painter's rows, `(N,)` or `(B, N)`, or `(K, N)` with shares `(1, K, H, W)`."""
        assert isinstance(self.network, Painter)
        rows = self.network.rows.detach()
        if isinstance(style, Tensor):
            return style, None
        if style is None:
            style = self.default or self.styles[min(1, len(self.styles) - 1)]
        parts = {style: 1.0} if isinstance(style, str) else dict(style)
        for name in parts:
            if name not in self.styles:
                raise unknown_name("a style of this network", name, self.styles)
        chosen = rows[[self.styles.index(name) for name in parts]]
        weights = list(parts.values())
        maps = [weight for weight in weights if isinstance(weight, Tensor)]
        if maps:
            shares = torch.cat([w if isinstance(w, Tensor) else torch.full_like(maps[0], w) for w in weights], 1)
            if shares.min() < 0 or not shares.sum(1).min() > 0:
                raise OptionError(
                    "maps of styles hold numbers below 0, or nothing at some pixel; expected a style there."
                )
            return chosen, shares
        numbers = torch.tensor(weights, dtype=rows.dtype)
        if not len(weights) or numbers.min() < 0 or not 0 < numbers.sum() < float("inf"):
            raise OptionError(f"shares of styles are {weights}; expected 0 or more each, not all 0.")
        return (numbers / numbers.sum()) @ chosen, None


def _within_range(painted: Tensor) -> Tensor:
    return wide(painted).clamp(0, 1)


def _mix(strength: float, painted: Tensor, image: Tensor) -> Tensor:
    return torch.lerp(image.to(painted), painted, strength)
