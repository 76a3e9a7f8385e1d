"""Fast style transfer: a network learns to paint in one pass (Johnson et al. 2016)."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from impasto.losses.grid import clinging
from impasto.networks.vgg import VGG
from impasto.ops.flow import synthetic_motion, warp
from impasto.recipes.descent import descend
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.recipes.perceptual import Perceptual
from impasto.training.recipe import Engine, Recipe

__all__ = ["Painting", "digest"]

_GRID = 16  # sides of crops are multiples of it: what the deepest layer sees in whole places


_COLUMNS = 8  # of previews


class Painting(Recipe):
    """A network learns to paint photographs: in one style, or in as many as it has rows for.

    Args:
        name: of the method, as on the command line.
        network: takes `(B, 3, H, W)` in [0, 1] and gives the same; if it has `rows`, one for each picture is its
            second argument, and the first of them is the identity.
        encoder: the network that looks.
        styles: one or more `(1, 3, h, w)` RGB in [0, 1], with their names; in the order of the rows after the first.
        samples: `(n, 3, H, W)`, photographs that previews show.
        options: everything else.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155; many styles, Dumoulin, Shlens & Kudlur 2017,
        arXiv:1610.07629, section 2.2.
    Differs: each picture of a batch has a style of its own, drawn at random, and the identity is learned as one more.
        Crops grow during the run. Half of the pictures are painted a second time, moved, and the paint should move
        along (Wang et al. 2020, see `flow.synthetic_motion`): against flicker, and against patterns that cling to
        the grid of pixels.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        encoder: VGG,
        styles: Mapping[str, Tensor],
        samples: Tensor,
        options: JohnsonOptions,
    ) -> None:
        self.name, self.network, self.options = name, network, options
        self.styles, self.samples = list(styles), samples
        self.loss = Perceptual(encoder, list(styles.values()), options)
        self.networks = {"painter": network}
        self.record = {"styles": {style: digest(look) for style, look in styles.items()}}
        rows = getattr(network, "rows", None)
        shared = [weight for weight in network.parameters() if weight is not rows]
        groups = [{"params": shared, "lr": options.learning_rate}]
        groups += [] if rows is None else [{"params": [rows], "lr": options.learning_rate * options.row_rate}]
        self.optimizers = {"adam": torch.optim.Adam(groups)}
        self.first = 0 if rows is None else 1  # which number the first style has; below it is the identity

    def to(self, device: torch.device) -> None:
        """Move targets, the network that looks, and the photographs of the preview."""
        self.loss.to(device)
        self.samples = self.samples.to(device)

    def painted(self, photographs: Tensor, which: Tensor) -> Tensor:
        """Return photographs with the rows of these numbers."""
        rows = getattr(self.network, "rows", None)
        painted: Tensor = self.network(photographs) if rows is None else self.network(photographs, rows[which])
        return painted

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Paint the batch, each picture in a style drawn at random, and go down the gradient."""
        which = torch.randint(len(self.styles), (len(batch),), generator=engine.random)
        if self.first:
            which[torch.rand(len(batch), generator=engine.random) < self.options.identity_share] = -1
        batch = self._window(batch, engine)
        moving = batch[::2] if self.options.stability_weight else batch[:0]
        moved, flow, mask = synthetic_motion(moving, engine.random)
        number = which + self.first
        painted = self.painted(torch.cat([batch, moved]), torch.cat([number, number[::2][: len(moved)]]))
        painted, afterwards = painted[: len(batch)], painted[len(batch) :]
        losses = self.loss(painted, batch, which)
        losses["identity"] = self.options.identity_weight * losses["identity"]
        if self.options.grid_weight:
            losses["grid"] = self.options.grid_weight * clinging(painted)
        if len(moved):
            apart = mask * (afterwards - warp(painted[::2], flow)).square()
            losses["stability"] = self.options.stability_weight * apart.mean() / mask.mean().clamp_min(1e-3)
        return descend(losses, self.optimizers["adam"], engine)

    def _window(self, batch: Tensor, engine: Engine) -> Tensor:
        """Return a part of each picture: small ones, of which many steps can be taken, and later larger ones."""
        last = batch.shape[-1]
        start = min(self.options.first_crop, last)
        side = start * (last / start) ** max(0.0, 2 * engine.progress - 1)
        side = min(last, round(side / _GRID) * _GRID)
        top, left = torch.randint(last - side + 1, (2,), generator=engine.random).tolist()
        return batch[..., top : top + side, left : left + side].contiguous()

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each photograph: itself, then its paintings."""
        count = min(self.first + len(self.styles), _COLUMNS)
        rows = []
        for sample in self.samples:
            which = torch.arange(count, device=sample.device)
            rows.append(torch.cat([sample[None], self.painted(sample.expand(count, -1, -1, -1), which)]))
        return torch.stack(rows).float().clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the network's weights, and what `load.load_model` needs to know."""
        kind = type(self.network).__name__.lower()
        return dict(self.network.state_dict()), {"network": kind, "settings": self.network.settings}


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
