"""A small classifier of small pictures, whose features measure generated samples."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError, OptionError

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """Two convolutions and two fully connected layers; 105,866 weights for 28 x 28 pixels and ten classes.

    Each convolution is 3 x 3 with ReLU and 2 x 2 max pooling. `features` are the inputs of the last layer; sets of
    pictures are compared in them.

    The state dict holds `first`, `second` (convolutions), `third` and `last`, each with weight and bias.

    Args:
        classes: number of classes.
        channels: of the pictures: 1 for gray, 3 for RGB.
        size: height and width of the pictures.
        width: channels of the first convolution; the second has twice as many.
        features: number of features.
        dropout: dropout probability of the features during training.

    Raises:
        OptionError: an argument is out of range.

    Source: the architecture with which tensorflow/gan and PacGAN score digits (two convolutions, two fully connected
        layers), but smaller: it trains within a minute on a CPU.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 1,
        size: tuple[int, int] = (28, 28),
        *,
        width: int = 16,
        features: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        height, breadth = size
        if min(size) < 4:
            raise OptionError(f"pictures are {height}×{breadth}; a classifier needs 4×4 pixels at least: use --crop 8.")
        if min(classes, channels, width, features) < 1 or not 0 <= dropout < 1:
            raise OptionError(
                f"classes are {classes}, channels {channels}, width {width}, features {features} and dropout "
                f"{dropout:g}; expected 1 at least each, and 0 to 1."
            )
        self.classes, self.channels, self.size = classes, channels, (height, breadth)
        self.width, self.features_, self.dropout = width, features, dropout
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.third = nn.Linear(2 * width * (height // 4) * (breadth // 4), features)
        self.last = nn.Linear(features, classes)

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that build the same architecture."""
        return {
            "classes": self.classes,
            "channels": self.channels,
            "size": list(self.size),
            "width": self.width,
            "features": self.features_,
            "dropout": self.dropout,
        }

    def features(self, pictures: Tensor) -> Tensor:
        """Return features `(B, features)`, 0 or more each.

        Args:
            pictures: `(B, channels, H, W)` in [0, 1].

        Raises:
            ImageError: the pictures have another shape.
        """
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != (self.channels, *self.size):
            raise ImageError(
                f"pictures are {_shape(pictures.shape)}; this classifier expects "
                f"{_shape((len(pictures) if pictures.ndim else 0, self.channels, *self.size))}."
            )
        x = F.max_pool2d(torch.relu(self.first(pictures)), 2)
        x = F.max_pool2d(torch.relu(self.second(x)), 2)
        return torch.relu(self.third(x.flatten(1)))  # (B, 2 width, H/4, W/4), flattened

    def logits(self, features: Tensor) -> Tensor:
        """Return logits `(B, classes)` of features."""
        kept = F.dropout(features, self.dropout, self.training)
        logits: Tensor = self.last(kept)
        return logits

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits `(B, classes)` of pictures as for `features`."""
        return self.logits(self.features(pictures))


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
