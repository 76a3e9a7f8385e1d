"""One step down a gradient."""

from collections.abc import Mapping

import torch
from torch import Tensor

from impasto.training.recipe import Engine

__all__ = ["descend"]


def descend(losses: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, engine: Engine) -> dict[str, Tensor]:
    """Take a step down the gradient of the sum; return the losses without their graphs."""
    optimizer.zero_grad()
    engine.backward(torch.stack(list(losses.values())).sum())
    optimizer.step()
    return {name: loss.detach() for name, loss in losses.items()}
