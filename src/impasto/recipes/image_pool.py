"""The image pool of CycleGAN."""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["Pool"]


class Pool:
    """A history of fakes. Half of the fakes that a discriminator sees come from it, so that it does not forget.

    Args:
        size: the number of fakes in the pool; 0: the discriminator sees the new fakes only.
        side: of the pictures, in pixels.

    Source: Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; size and probability are those of CycleGAN's
        section 4 and program.
    """

    def __init__(self, size: int, side: int) -> None:
        self.pictures = torch.zeros(size, 3, side, side)
        self.count = 0

    def exchange(self, fakes: Tensor, random: torch.Generator) -> Tensor:
        """Return each fake of `(B, 3, H, W)`, or an earlier one, whose position in the pool it takes.

        Each has a probability of one half, once the pool is full.
        """
        if not len(self.pictures):
            return fakes
        chosen = []
        for fake in fakes.detach().float():
            swap, position = torch.rand((), generator=random), torch.randint(len(self.pictures), (), generator=random)
            if self.count < len(self.pictures):
                self.pictures[self.count] = fake.cpu()
                self.count += 1
                chosen.append(fake)
            elif swap < 0.5:
                chosen.append(self.pictures[position].to(fake, copy=True))
                self.pictures[position] = fake.cpu()
            else:
                chosen.append(fake)
        return torch.stack(chosen)

    def state(self) -> dict[str, Tensor]:
        """Return the pool's content."""
        return {"pictures": self.pictures, "count": torch.tensor(self.count)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self.pictures = state["pictures"].cpu().clone()
        self.count = int(state["count"])
