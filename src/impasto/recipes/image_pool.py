"""The image pool of CycleGAN."""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["Pool"]


class Pool:
    """Earlier translations, from which half of those are taken that a discriminator sees, so that it does not forget.

    Args:
        size: how many are kept; 0: none, and what is new is seen.
        side: of pictures, in pixels.

    Source: Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; as CycleGAN's section 4 and program have it.
    """

    def __init__(self, size: int, side: int) -> None:
        self.pictures = torch.zeros(size, 3, side, side)
        self.count = 0

    def exchange(self, pictures: Tensor, random: torch.Generator) -> Tensor:
        """Return for each picture `(B, 3, H, W)` itself, or an earlier one in whose place it is kept."""
        if not len(self.pictures):
            return pictures
        chosen = []
        for picture in pictures.detach().float():
            swap, place = torch.rand((), generator=random), torch.randint(len(self.pictures), (), generator=random)
            if self.count < len(self.pictures):
                self.pictures[self.count] = picture.cpu()
                self.count += 1
                chosen.append(picture)
            elif swap < 0.5:
                chosen.append(self.pictures[place].to(picture, copy=True))
                self.pictures[place] = picture.cpu()
            else:
                chosen.append(picture)
        return torch.stack(chosen)

    def state(self) -> dict[str, Tensor]:
        """Return everything that it remembers."""
        return {"pictures": self.pictures, "count": torch.tensor(self.count)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self.pictures = state["pictures"].cpu().clone()
        self.count = int(state["count"])
