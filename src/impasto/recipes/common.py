"""Helpers of recipes: the optimizer, one optimizer step, cells of previews, settings of autoencoders."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.recipes.options import CoderOptions
from impasto.training.recipe import Engine

__all__ = ["adam", "as_cells", "coder_settings", "counted", "descend"]

_ENLARGED = 64  # px, the side of a preview's cells, if a whole factor leads there


def descend(losses: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, engine: Engine) -> dict[str, Tensor]:
    """Take one optimizer step on the sum of the losses; return them detached."""
    optimizer.zero_grad()
    engine.backward(torch.stack(list(losses.values())).sum())
    optimizer.step()
    return {name: loss.detach() for name, loss in losses.items()}


def adam(network: torch.nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Return Adam over all weights; the fused kernel saves much of a small network's time."""
    return torch.optim.Adam(network.parameters(), learning_rate, fused=True)


def as_cells(rows: list[Tensor]) -> Tensor:
    """Return rows of images `(n, C, h, w)` as the cells of a preview: RGB, enlarged by a whole factor."""
    cells = torch.stack([row.float().cpu() for row in rows])  # (rows, n, C, h, w)
    factor = max(1, _ENLARGED // max(cells.shape[-2:]))
    cells = cells.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    return cells.expand(-1, -1, 3, -1, -1).clamp(0, 1)


def counted(pictures: int) -> str:
    """Return a number of pictures in words: "1 picture", "1,000 pictures"."""
    return f"{pictures:,} picture{'s' * (pictures != 1)}"


def coder_settings(shape: tuple[int, ...], options: CoderOptions) -> dict[str, Any]:
    """Return the settings of an autoencoder or a VAE for images of shape `(C, H, W)`."""
    return {
        "shape": shape,
        "latent": options.latent,
        "kind": options.network,
        "hidden": options.hidden,
        "width": options.width,
    }
