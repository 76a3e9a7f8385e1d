"""The contract of networks with a style embedding for each style."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImageError, OptionError
from impasto.networks.layers import Map

__all__ = ["IDENTITY", "StyledNetwork"]

IDENTITY = "identity"  # the style whose target is the photograph itself


class StyledNetwork(nn.Module):
    """A network of many styles, each of which is a style embedding; the first is the identity.

    Attributes:
        styles: names of the styles, one for each embedding.
        embeddings: `(S, N)`.
        multiple: sides of pictures are extended to multiples of it.
        repeats: whether `forward` takes `octaves`, by which large pictures keep the strokes of small ones.
        exact: whether strength 0 gives the photograph itself, and not the network's reconstruction of it.

    Args:
        styles: names of the styles.

    Raises:
        OptionError: the first style is not the identity, or two have one name.
    """

    embeddings: nn.Parameter
    multiple: int
    repeats: bool = False
    exact: bool = False

    def __init__(self, styles: Sequence[str]) -> None:
        super().__init__()
        if not styles or styles[0] != IDENTITY or len(set(styles)) < len(styles):
            raise OptionError(f"styles are {', '.join(styles)}; expected different ones, the first {IDENTITY!r}.")
        self.styles = tuple(styles)

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""

    @abstractmethod
    def plain_embedding(self) -> Tensor:
        """Return the embedding `(N,)` of a fresh network."""

    @abstractmethod
    def forward(self, image: Map, embedding: Tensor, shares: Tensor | None = None) -> Map:
        """Return the painted picture.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size from 1 x 1 on.
            embedding: `(N,)`, one style for all pictures; `(B, N)`, one for each; with shares `(K, N)`. Embeddings may
                be interpolated, as `0.6 * a + 0.4 * b`, also with the identity's.
            shares: `(B or 1, K, H, W)`, 0 or more, the weight of each style at each pixel; the network divides them
                by their sum.

        Returns:
            The same shape, in [0, 1].

        Raises:
            ImageError: embeddings or shares have another shape.
        """

    @property
    def learned_size(self) -> int:
        """Number of values of an embedding that are learned or predicted; the rest comes from the style image."""
        return self.embeddings.shape[1]

    def whole(self, embedding: Tensor) -> Tensor:
        """Return embeddings `(B or K, N)`; those of learned values alone get no palette."""
        return embedding[None] if embedding.ndim == 1 else embedding

    def with_palette(self, embedding: Tensor, style: Tensor) -> Tensor:
        """Return a style embedding `(N,)` whose palette is that of its style image, if the network uses palettes.

        Args:
            embedding: `(N,)`, or its learned values alone.
            style: the style image, `(1, 3, h, w)` RGB in [0, 1].
        """
        return embedding

    @property
    def depth(self) -> int:
        """Number of drafts of a picture, the picture itself included."""
        return 1

    def noise(self, images: Tensor) -> list[Tensor]:
        """Return new noise for each picture, as `drafts` takes it, `(B, 1, h, w)` each; most networks need none."""
        return []

    def drafts(self, image: Tensor, embedding: Tensor, noise: Sequence[Tensor] | None = None) -> list[Tensor]:
        """Return what is trained, for pictures whose sides are multiples of `multiple`: drafts, then the picture.

        Args:
            image: as for `forward`.
            embedding: as for `forward`.
            noise: that of `noise`; by default, it is drawn in training, and else always the same.
        """
        return [self(image, embedding)]

    def toward(self, embedding: Tensor, strength: float) -> Tensor:
        """Return embeddings from the photograph's (strength 0) to the given ones (strength 1)."""
        return torch.lerp(self.embeddings[0].detach().to(embedding), embedding, strength)

    def split(self, embedding: Tensor, shares: Tensor | None, sizes: Sequence[int]) -> Iterator[Tensor]:
        """Yield the parts of embeddings, `(B or 1 or K, C)` each."""
        embedding = embedding[None] if embedding.ndim == 1 else embedding
        if embedding.ndim != 2 or embedding.shape[1] != sum(sizes):
            raise ImageError(f"the style embedding has shape {tuple(embedding.shape)}; expected {sum(sizes)} values.")
        if shares is not None and (shares.ndim != 4 or shares.shape[1] != len(embedding)):
            raise ImageError(f"shares have shape {tuple(shares.shape)}; expected (B, {len(embedding)}, H, W).")
        return iter(torch.split(embedding, list(sizes), 1))

    @staticmethod
    def check_shares(shares: Tensor, size: tuple[int, int]) -> None:
        """Raise an ImageError unless shares have the picture's size."""
        if shares.shape[-2:] != size:
            raise ImageError(f"shares are {shares.shape[-1]}x{shares.shape[-2]} px; expected the picture's size.")
