"""The style predictor: from moments of a style image's features to the style embedding of a multi-style network."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImageError, OptionError
from impasto.ops.moments import channel_moments

__all__ = ["LAYERS", "StylePredictor", "layer_moments"]

LAYERS = tuple(f"relu{block}_1" for block in range(1, 6))  # of the encoder, those whose moments are read
_FAR = 4.0  # standard deviations: an unusual picture must not carry the prediction away
Moments = Sequence[tuple[Tensor, Tensor]]  # of each layer: mean (B, C) and second moment (B, C, C)


def layer_moments(features: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return what a style predictor reads of style images: mean and second moment of each of `LAYERS`.

    Args:
        features: `(B, C, H, W)` of each layer.
    """
    return [channel_moments(features[layer]) for layer in LAYERS]


class StylePredictor(nn.Module):
    """Predicts the style embedding of a multi-style network from the moments of a style image's features.

    Its input, the descriptor, holds for each layer of an encoder the mean and the standard deviation of every channel,
    and the second moments along the few directions in which features vary most. The descriptor is standardized and
    goes through three linear layers.

    The state dict holds `directions.0` (k, C), ... of each layer; `center` and `spread` of descriptors;
    `embedding_center` and `embedding_spread`, which older files call `row_center` and `row_spread`; and `first`,
    `second`, `third` with weight and bias.

    Args:
        embedding_size: values of a style embedding.
        channels: of each layer of the encoder that is read.
        directions: in each layer.
        width: of the hidden layers.

    Raises:
        OptionError: a number is out of range.

    Source: Ghiasi et al. 2017, "Exploring the structure of a real-time, arbitrary neural artistic stylization
        network", arXiv:1705.06830: a network predicts gains and shifts from the style image.
    Differs: it reads moments of the loss's encoder instead of pixels. They hold what the style loss compares, at any
        size of the picture.
    """

    center: Tensor
    spread: Tensor
    embedding_center: Tensor
    embedding_spread: Tensor

    def __init__(
        self,
        embedding_size: int,
        channels: Sequence[int] = (64, 128, 256, 512, 512),
        directions: int = 24,
        width: int = 192,
    ) -> None:
        super().__init__()
        if min(embedding_size, directions, width, *channels) < 1 or directions > min(channels):
            raise OptionError(
                f"embedding_size is {embedding_size}, directions {directions}, width {width}; expected 1 at least, and "
                f"no more directions than channels, {min(channels)}."
            )
        self.embedding_size, self.channels = embedding_size, tuple(channels)
        self.directions_, self.width = directions, width
        self.directions = nn.ParameterList(
            nn.Parameter(torch.eye(directions, count), requires_grad=False) for count in channels
        )
        size = sum(2 * count + directions * (directions + 1) // 2 for count in channels)  # of a descriptor
        sizes = {"center": size, "spread": size, "embedding_center": embedding_size, "embedding_spread": embedding_size}
        for name, count in sizes.items():
            self.register_buffer(name, torch.zeros(count) if "center" in name else torch.ones(count))
        self.first, self.second = nn.Linear(size, width), nn.Linear(width, width)
        self.third = nn.Linear(width, embedding_size)
        nn.init.zeros_(self.third.weight)  # the first prediction is the mean embedding for every picture
        nn.init.zeros_(self.third.bias)
        self.register_load_state_dict_pre_hook(_upgrade)  # type: ignore[no-untyped-call]

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {
            "embedding_size": self.embedding_size,
            "channels": list(self.channels),
            "directions": self.directions_,
            "width": self.width,
        }

    def descriptor(self, moments: Moments) -> Tensor:
        """Return what it reads from the moments of each layer, `(B, T)`.

        Raises:
            ImageError: the layers have other channels than it was made for.
        """
        if [mean.shape[1] for mean, _ in moments] != list(self.channels):
            found = ", ".join(str(mean.shape[1]) for mean, _ in moments)
            raise ImageError(f"layers have {found} channels; expected {', '.join(map(str, self.channels))}.")
        upper = torch.triu_indices(self.directions_, self.directions_, device=self.center.device)
        parts = []
        for (mean, second), directions in zip(moments, self.directions, strict=True):
            std = (second.diagonal(dim1=1, dim2=2) - mean.square()).clamp_min(0).sqrt()
            along = directions @ second @ directions.T  # (B, k, k)
            parts += [mean, std, along[:, upper[0], upper[1]]]
        values = torch.cat(parts, 1)
        return values.sign() * values.abs().log1p()  # features have long tails

    def forward(self, moments: Moments) -> Tensor:
        """Return a style embedding for each picture, `(B, embedding_size)`.

        Args:
            moments: of each layer mean `(B, C)` and second moment `(B, C, C)`, as `moments.channel_moments` gives them.

        Raises:
            ImageError: the layers have other channels than it was made for.
        """
        x = ((self.descriptor(moments) - self.center) / self.spread).clamp(-_FAR, _FAR)
        x = torch.relu(self.first(x))
        x = x + torch.relu(self.second(x))
        embedding: Tensor = self.embedding_center + self.embedding_spread * self.third(x)
        return embedding

    @torch.no_grad()
    def calibrate(self, moments: Moments, embeddings: Tensor) -> None:
        """Set directions, center and spread from reference paintings and known embeddings, before the training.

        Args:
            moments: of many style images, as for `forward`.
            embeddings: `(S, embedding_size)`, trained ones.
        """
        for (_, second), directions in zip(moments, self.directions, strict=True):
            energy = second.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
            _, vectors = torch.linalg.eigh((second / energy[:, None, None]).mean(0))
            directions.copy_(vectors[:, -self.directions_ :].T)
        descriptors = self.descriptor(moments)
        self.center.copy_(descriptors.mean(0))
        self.spread.copy_(descriptors.std(0).clamp_min(1e-3))
        self.embedding_center.copy_(embeddings.mean(0))
        several = len(embeddings) > 1
        self.embedding_spread.copy_(
            embeddings.std(0).clamp_min(1e-2) if several else torch.full_like(embeddings[0], 0.1)
        )


def _upgrade(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: object) -> None:
    """Give the buffers of an older state dict their names."""
    for name in ("center", "spread"):
        if f"{prefix}row_{name}" in state:
            state[f"{prefix}embedding_{name}"] = state.pop(f"{prefix}row_{name}")
