"""From how a picture looks to the row of a painter: any picture is a style, without any training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImageError, OptionError

__all__ = ["LAYERS", "Predictor"]

LAYERS = tuple(f"relu{block}_1" for block in range(1, 6))  # of the encoder, those whose moments are told
Moments = Sequence[tuple[Tensor, Tensor]]  # of each layer: mean (B, C) and second moment (B, C, C)


class Predictor(nn.Module):
    """Reads the moments of a picture's features and says which row of a `Painter` paints so.

    What it is told of each layer of an encoder is the mean and the deviation of every channel, and the second
    moments along a few directions, in which features vary most. These numbers, made comparable, go through
    three layers.

    The state dict holds `directions.0` (k, C), ... of each layer; `center` and `spread` of what it is told;
    `row_center` and `row_spread` of rows; and `first`, `second`, `third` with weight and bias.

    Args:
        numbers: how many a row has.
        channels: of each layer of the encoder that is looked at.
        directions: in each layer.
        width: of the layers between.

    Raises:
        OptionError: a number is out of range.

    Source: Ghiasi et al. 2017, "Exploring the structure of a real-time, arbitrary neural artistic stylization
        network", arXiv:1705.06830: a network predicts gains and shifts from the style picture.
    Differs: it reads moments of an encoder that is there anyway, instead of pixels. They hold what the style loss
        compares, at any size of the picture.
    """

    center: Tensor
    spread: Tensor
    row_center: Tensor
    row_spread: Tensor

    def __init__(
        self,
        numbers: int,
        channels: Sequence[int] = (64, 128, 256, 512, 512),
        directions: int = 24,
        width: int = 192,
    ) -> None:
        super().__init__()
        if min(numbers, directions, width, *channels) < 1 or directions > min(channels):
            raise OptionError(
                f"numbers are {numbers}, directions {directions}, width {width}; expected 1 at least, and no more "
                f"directions than channels, {min(channels)}."
            )
        self.numbers, self.channels, self.directions_, self.width = numbers, tuple(channels), directions, width
        self.directions = nn.ParameterList(
            nn.Parameter(torch.eye(directions, count), requires_grad=False) for count in channels
        )
        told = sum(2 * count + directions * (directions + 1) // 2 for count in channels)
        for name, count in (("center", told), ("spread", told), ("row_center", numbers), ("row_spread", numbers)):
            self.register_buffer(name, torch.zeros(count) if "center" in name else torch.ones(count))
        self.first, self.second = nn.Linear(told, width), nn.Linear(width, width)
        self.third = nn.Linear(width, numbers)
        nn.init.zeros_(self.third.weight)  # every row begins as the usual one
        nn.init.zeros_(self.third.bias)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {
            "numbers": self.numbers,
            "channels": list(self.channels),
            "directions": self.directions_,
            "width": self.width,
        }

    def told(self, moments: Moments) -> Tensor:
        """Return what it reads off the moments of each layer, `(B, T)`.

        Raises:
            ImageError: there are other layers than it knows.
        """
        if [mean.shape[1] for mean, _ in moments] != list(self.channels):
            found = ", ".join(str(mean.shape[1]) for mean, _ in moments)
            raise ImageError(f"layers have {found} channels; expected {', '.join(map(str, self.channels))}.")
        upper = torch.triu_indices(self.directions_, self.directions_, device=self.center.device)
        parts = []
        for (mean, second), directions in zip(moments, self.directions, strict=True):
            deviation = (second.diagonal(dim1=1, dim2=2) - mean.square()).clamp_min(0).sqrt()
            along = directions @ second @ directions.T  # (B, k, k)
            parts += [mean, deviation, along[:, upper[0], upper[1]]]
        values = torch.cat(parts, 1)
        return values.sign() * values.abs().log1p()  # features have long tails

    def forward(self, moments: Moments) -> Tensor:
        """Return a row for each picture, `(B, numbers)`.

        Args:
            moments: of each layer mean `(B, C)` and second moment `(B, C, C)`, as `moments.channel_moments` gives them.

        Raises:
            ImageError: there are other layers than it knows.
        """
        x = (self.told(moments) - self.center) / self.spread
        x = torch.relu(self.first(x))
        x = x + torch.relu(self.second(x))
        row: Tensor = self.row_center + self.row_spread * self.third(x)
        return row

    @torch.no_grad()
    def accustom(self, moments: Moments, rows: Tensor) -> None:
        """Begin with what is usual: directions and scale of features of these pictures, and center of these rows.

        Args:
            moments: of many pictures, as for `forward`.
            rows: `(S, numbers)`, rows that paint well.
        """
        for (_, second), directions in zip(moments, self.directions, strict=True):
            energy = second.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
            _, vectors = torch.linalg.eigh((second / energy[:, None, None]).mean(0))
            directions.copy_(vectors[:, -self.directions_ :].T)
        told = self.told(moments)
        self.center.copy_(told.mean(0))
        self.spread.copy_(told.std(0).clamp_min(1e-3))
        self.row_center.copy_(rows.mean(0))
        self.row_spread.copy_(rows.std(0).clamp_min(1e-2) if len(rows) > 1 else torch.full_like(rows[0], 0.1))
