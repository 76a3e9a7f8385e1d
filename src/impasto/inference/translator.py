"""`Translator`: a network that translates pictures from one domain to another: CycleGAN, CUT, pix2pix."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.model import Model
from impasto.devices import with_own_defaults
from impasto.errors import OptionError
from impasto.inference.brush import paint_picture
from impasto.inference.painter import in_range, mixed
from impasto.io.tensors import Source
from impasto.networks.layers import Map, pointwise

__all__ = ["Translator"]


@dataclass(frozen=True, eq=False)
class Translator(Model):
    """A network that translates pictures. Call it with a picture.

    >>> to_monet = impasto.load("latest_net_G_A.pth")  # doctest: +SKIP
    >>> to_monet("photo.jpg", size=512).save("out.png")  # doctest: +SKIP
    """

    @property
    def kind(self) -> str:
        """See `Model`."""
        return "translator"

    @property
    def styles(self) -> tuple[str, ...]:
        """(): a translator has no styles."""
        return ()

    @with_own_defaults
    def __call__(self, image: Source, *, strength: float = 1.0, keep: Source | None = None, **settings: Any) -> Any:
        """Return a translated picture as the kind that was given.

        Args:
            image: a path or PIL image, which give a PIL image; an array `(H, W, 3)` or `(H, W, 4)`, which gives one of
                the same channels; or a tensor `(3, H, W)` or `(1, 3, H, W)` in [0, 1], which gives a tensor
                `(1, 3, H, W)`.
            strength: from 0, the picture itself, to 1, its translation.
            keep: a mask of what stays as it is.
            settings: as in `ApplyOptions`, for example `size` and `mode`.

        Raises:
            OptionError: a setting is out of range.
            ImageError: the picture cannot be read.
        """
        return paint_picture(self, image, settings | {"strength": strength}, keep=keep)

    @with_own_defaults
    def paint(self, image: Map, *, style: None = None, strength: float = 1.0) -> Map:
        """Return translated pictures: tensors as tensors, and maps known strip by strip as such maps.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size.
            style: None.
            strength: from 0, the picture itself, to 1, its translation; pixels are interpolated.

        Returns:
            The same shape, in [0, 1].

        Raises:
            OptionError: a style is named, or the strength is not in [0, 1].
        """
        self.check(style, strength)
        given = pointwise(partial(torch.Tensor.to, dtype=self.dtype), image)
        translated: Map = mixed(pointwise(in_range, self.network(given)), image, strength)
        return translated

    def check(self, style: object, strength: float) -> tuple[Tensor | None, Tensor | None]:
        """Raise what `paint` would."""
        if not 0 <= strength <= 1:
            raise OptionError(f"strength is {strength:g}; expected 0 to 1.")
        if style is not None:
            raise OptionError(f"the network of {self.architecture} has one style; leave out the style.")
        return None, None
