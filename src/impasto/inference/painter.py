"""`Painter`: a network that paints pictures, in one style, in many, or in the style of any picture."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.load import fingerprint, load_style_embedding
from impasto.checkpoints.model import Model
from impasto.data.style_names import has_picture, trained_style
from impasto.data.styles import open_style
from impasto.devices import with_own_defaults
from impasto.errors import OptionError, unknown_name
from impasto.inference.brush import is_style_file, paint_picture
from impasto.inference.style_prediction import predict_embedding
from impasto.io.tensors import Source, as_tensor
from impasto.networks.layers import Map, pointwise, wide
from impasto.networks.microast import MicroAST
from impasto.networks.styled import StyledNetwork

__all__ = ["Painter", "Style", "corrected", "in_range", "mixed"]

Style = str | Tensor | Mapping[str, float | Tensor] | None


@dataclass(frozen=True, eq=False)
class Painter(Model):
    """A network that paints. Call it with a picture.

    >>> painter = impasto.load("painter")  # doctest: +SKIP
    >>> painter("photo.jpg", style="starry_night", strength=0.7).save("out.png")  # doctest: +SKIP

    Attributes:
        default: the style that is used if none is named; "": the only one, and a network of several needs a name.
        fingerprint: of a multi-style network: style embeddings fit networks of the same fingerprint.
    """

    default: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.network, StyledNetwork) and not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self.network))

    @property
    def kind(self) -> str:
        """See `Model`."""
        return "painter"

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of its styles; () for a network of one style, and for one that takes any picture as style."""
        return self.network.styles if isinstance(self.network, StyledNetwork) else ()

    @property
    def chosen_style(self) -> str:
        """The style that is used if none is named; "" for a network without names of styles.

        Raises:
            OptionError: there are several, and none is the default.
        """
        named = self.styles[1:] or self.styles
        if len(named) > 1 and not self.default:
            raise OptionError(
                f"{self.name or 'this network'} has {len(named)} styles; choose one with --style, such as "
                f"{', '.join(named[:3])}; `impasto styles` lists all."
            )
        return self.default or "".join(named)

    @with_own_defaults
    def __call__(
        self,
        image: Source,
        *,
        style: Source | Style = None,
        strength: float = 1.0,
        regions: Any = (),
        keep: Source | None = None,
        **settings: Any,
    ) -> Any:
        """Return a painted picture as the kind that was given.

        Args:
            image: a path or PIL image, which give a PIL image; an array `(H, W, 3)` or `(H, W, 4)`, which gives one of
                the same channels; or a tensor `(3, H, W)` or `(1, 3, H, W)` in [0, 1], which gives a tensor
                `(1, 3, H, W)`.
            style: names with weights, as "starry_night:0.6,great_wave:0.4" or {"starry_night": 0.6, "great_wave": 0.4};
                a file of `impasto train style`; a style embedding `(N,)`; or any picture as for `image`. A name means
                the network's own style, else the picture of `impasto styles`. A network of one style needs none.
            strength: from 0, the photograph, to 1, the style.
            regions: (mask, style) of parts that are painted in other styles; later ones lie over earlier ones.
            keep: a mask of what stays as it is.
            settings: as in `ApplyOptions`, for example `size` and `colors`.

        Raises:
            OptionError: a setting is out of range, or the network cannot do that.
            UnknownName: it has no such style.
            ImageError: the picture cannot be read.
        """
        settings |= {"strength": strength}
        return paint_picture(self, image, settings, style=style, regions=regions, keep=keep)

    @with_own_defaults
    def with_style(self, name: str, style: Source, *, size: int = 512) -> "Painter":
        """Return this painter with one more style, or with another style of that name; both share their weights.

        Args:
            name: of the style.
            style: a style embedding `(N,)`, a file or run folder of `impasto train style`, or any picture, whose
                embedding the style predictor of the catalog finds; or the name of one of these.
            size: of a picture: the side of a square with the area at which the style is read, in pixels.

        Raises:
            OptionError: it is no multi-style network, or there is no style predictor for it.
            WeightsError: the file is a style of another network.
            ImageError: the picture cannot be read.
        """
        network = self.network
        if not isinstance(network, StyledNetwork):
            raise OptionError(f"the network is one of {self.architecture}; expected a multi-style network.")
        embedding, notes = self._embedding(style, size)
        kept = [index for index, known in enumerate(network.styles) if known != name]
        styles = [*(network.styles[index] for index in kept), name]
        settings = {**network.settings, "styles": styles}
        with torch.device("meta"):
            more = type(network)(**settings)
        embeddings = torch.cat([network.embeddings.detach()[kept], embedding[None].to(network.embeddings)])
        more.load_state_dict({**network.state_dict(), "embeddings": embeddings}, assign=True)
        return replace(self, network=more.requires_grad_(False).eval(), notes=(*self.notes, *notes))

    def _embedding(self, style: Source, size: int) -> tuple[Tensor, tuple[str, ...]]:
        """Return the embedding `(N,)` of a style, and notes on the reading of its picture."""
        assert isinstance(self.network, StyledNetwork)
        if isinstance(style, Tensor) and style.ndim == 1:
            return self.network.whole(style)[0], ()
        if is_style_file(style):
            return self.read_style(style)[1], ()
        trained = trained_style(style) if isinstance(style, str) and not Path(style).is_file() else None
        if trained and (trained.card.get("base") == self.fingerprint or not has_picture(trained.name)):
            return self.read_style(trained.path)[1], ()
        precision = str(self.dtype).removeprefix("torch.")
        opened = open_style(style, size, "auto")
        picture = as_tensor(opened)
        device = str(self.device)
        predicted = predict_embedding(self.fingerprint, picture, size=size, device=device, precision=precision)
        return self.network.with_palette(predicted, picture), opened.notes

    def read_style(self, path: str | Path) -> tuple[str, Tensor]:
        """Return name and embedding of a file of `impasto train style`; see `load_style_embedding`."""
        assert isinstance(self.network, StyledNetwork)
        return load_style_embedding(path, self.fingerprint, self.network.embeddings.shape[1])

    @with_own_defaults
    def paint(self, image: Map, *, style: Style = None, strength: float = 1.0, octaves: int = 0) -> Map:
        """Return painted pictures: tensors as tensors, and maps known strip by strip as such maps.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size.
            style: of a multi-style network a name, an embedding `(N,)` or `(B, N)`, or names with weights: numbers,
                or maps `(1, 1, H, W)`; by default `chosen_style`. For MicroAST a picture `(1, 3, h, w)`. None for a
                network of one style.
            strength: from 0, the photograph, to 1, the style. A multi-style network interpolates embeddings from
                the identity's, MicroAST its features, and the error of their reconstruction of the photograph is
                subtracted by as much; for others pixels are interpolated.
            octaves: of a network that repeats its last level: how often.

        Returns:
            The same shape, in [0, 1].

        Raises:
            OptionError: the style does not fit this network, or the strength is not in [0, 1].
            UnknownName: it has no such style.
        """
        embeddings, shares = self.check(style, strength)
        network = self.network
        painted: Map
        if strength == 0:
            painted = pointwise(in_range, image)
            return painted
        given = pointwise(partial(torch.Tensor.to, dtype=self.dtype), image)
        if isinstance(network, StyledNetwork):
            assert embeddings is not None
            more = (octaves,) if network.repeats else ()
            painted = network(given, network.toward(embeddings, strength), shares, *more)
            if strength < 1 and not network.exact:
                identity = network(given, network.embeddings[0].detach())
                painted = pointwise(partial(corrected, strength), painted, image, identity)
        elif isinstance(network, MicroAST):
            assert isinstance(style, Tensor)
            painted = pointwise(in_range, network(given, style.to(self.dtype), strength))
            if strength < 1:
                identity = network(given, style.to(self.dtype), 0.0)
                painted = pointwise(partial(corrected, strength), painted, image, identity)
        else:
            painted = mixed(pointwise(in_range, network(given)), image, strength)
        return painted

    def check(self, style: Style, strength: float) -> tuple[Tensor | None, Tensor | None]:
        """Raise what `paint` would; return embeddings and shares for a multi-style network."""
        if not 0 <= strength <= 1:
            raise OptionError(f"strength is {strength:g}; expected 0 to 1.")
        if isinstance(self.network, StyledNetwork):
            return self._embeddings(style)
        if isinstance(self.network, MicroAST):
            if not isinstance(style, Tensor) or style.ndim != 4 or style.shape[1] != 3:
                raise OptionError("this network takes a picture as style; expected one, (1, 3, h, w).")
        elif style is not None:
            raise OptionError(f"the network of {self.architecture} has one style; leave out the style.")
        return None, None

    def _embeddings(self, style: Style) -> tuple[Tensor, Tensor | None]:
        """Return embeddings, `(N,)` or `(B, N)`, or `(K, N)` with shares `(1, K, H, W)`."""
        assert isinstance(self.network, StyledNetwork)
        embeddings = self.network.embeddings.detach()
        if isinstance(style, Tensor):
            return style, None
        if style is None:
            style = self.chosen_style
        parts = {style: 1.0} if isinstance(style, str) else dict(style)
        for name in parts:
            if name not in self.styles:
                raise unknown_name("a style of this network", name, self.styles)
        chosen = embeddings[[self.styles.index(name) for name in parts]]
        weights = list(parts.values())
        maps = [weight for weight in weights if isinstance(weight, Tensor)]
        if maps:
            shares = torch.cat([w if isinstance(w, Tensor) else torch.full_like(maps[0], w) for w in weights], 1)
            if shares.min() < 0 or not shares.sum(1).min() > 0:
                raise OptionError("maps of styles are below 0 or all 0 at some pixel; expected a style at each pixel.")
            return chosen, shares
        numbers = torch.tensor(weights, dtype=embeddings.dtype)
        if not len(weights) or numbers.min() < 0 or not 0 < numbers.sum() < float("inf"):
            raise OptionError(f"weights of styles are {weights}; expected 0 or more each, not all 0.")
        return (numbers / numbers.sum()) @ chosen, None

    def _contents(self) -> Mapping[str, object]:
        return {"styles": self.styles}


def corrected(strength: float | Tensor, painted: Tensor, image: Tensor, identity: Tensor) -> Tensor:
    """Return paintings less the part of the error of a reconstruction that the strength leaves."""
    error = wide(identity).clamp(0, 1) - image.to(wide(identity))
    return (wide(painted) - (1 - strength) * error).clamp(0, 1)


def in_range(painted: Tensor) -> Tensor:
    """Return pictures in float32 or more, clamped to [0, 1]."""
    return wide(painted).clamp(0, 1)


def mixed(painted: Map, image: Map, strength: float) -> Map:
    """Return the photograph and its painting, pixels interpolated; of strength 1 the painting itself."""
    found: Map = pointwise(partial(_lerp, strength), painted, image) if strength < 1 else painted
    return found


def _lerp(strength: float, painted: Tensor, image: Tensor) -> Tensor:
    return torch.lerp(image.to(painted), painted, strength)
