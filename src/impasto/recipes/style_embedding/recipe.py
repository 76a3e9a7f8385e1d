"""A new style for a multi-style network: only its embedding is learned."""

from typing import Any

import torch
from torch import Tensor, nn

from impasto.networks.multistyle import Painter
from impasto.networks.vgg import VGG
from impasto.recipes.descent import descend
from impasto.recipes.johnson.recipe import digest
from impasto.recipes.perceptual import Perceptual
from impasto.recipes.style_embedding.options import StyleOptions
from impasto.training.recipe import Engine, Recipe

__all__ = ["NewStyle"]

_CHOICE = 128  # pixels on which rows to begin with are compared


class NewStyle(Recipe):
    """A network of many styles learns one more: all its convolutions stay, and a row of numbers is found.

    Args:
        network: knows styles already; it is not changed.
        encoder: the network that looks.
        name: of the style.
        style: `(1, 3, h, w)` RGB in [0, 1].
        samples: `(n, 3, H, W)`, photographs; on them the row to begin with is chosen, and previews show them.
        options: everything else.
        guess: `(N,)`, a row to begin with, if it does better than those that are known.
        base: what the network is called, and its `load.fingerprint`.

    Source: Dumoulin, Shlens & Kudlur 2017, arXiv:1610.07629, section 3.2.
    Differs: begins with the row that comes closest, or the mean of all, instead of a random one.
    """

    name = "style"
    caption = "each row: a photograph, and what is made of it"

    def __init__(
        self,
        network: Painter,
        encoder: VGG,
        name: str,
        style: Tensor,
        samples: Tensor,
        options: StyleOptions,
        *,
        guess: Tensor | None = None,
        base: tuple[str, str] = ("", ""),
    ) -> None:
        self.network, self.style, self.samples, self.base = network.requires_grad_(False), name, samples, base
        self.loss = Perceptual(encoder, [style], options)
        self.row = nn.ParameterList([nn.Parameter(self._nearest(guess).clone())])
        self.networks = {"row": self.row}
        self.optimizers = {"adam": torch.optim.Adam(self.row.parameters(), options.learning_rate)}
        weights = torch.cat([weight.flatten() for weight in network.state_dict().values()])
        self.record = {"style": digest(style), "network": digest(weights)}

    @torch.no_grad()
    def _nearest(self, guess: Tensor | None) -> Tensor:
        """Return the row that does best before anything is learned."""
        known = self.network.rows[1:]
        rows = torch.cat([known, known.mean(0, keepdim=True)]) if len(known) else self.network.rows
        rows = rows if guess is None else torch.cat([rows, guess[None].to(rows)])
        crops, which = self.samples[..., :_CHOICE, :_CHOICE], torch.zeros(len(self.samples), dtype=torch.long)
        totals = [sum(self.loss(self.network(crops, row), crops, which).values(), torch.zeros(())) for row in rows]
        return rows[int(torch.stack(totals).argmin())]

    def to(self, device: torch.device) -> None:
        """Move everything but the row."""
        self.loss.to(device)
        self.network.to(device)
        self.samples = self.samples.to(device)

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Paint the batch with the row so far, and go down the gradient."""
        losses = self.loss(self.network(batch, self.row[0]), batch, torch.zeros(len(batch), dtype=torch.long))
        del losses["identity"]
        return descend(losses, self.optimizers["adam"], engine)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return each photograph and its painting."""
        painted = self.network(self.samples, self.row[0])
        return torch.stack([self.samples, painted.float()], 1).clamp(0, 1).cpu()

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the row, and which network it belongs to."""
        name, fingerprint = self.base
        told = {"network": "style", "settings": {"style": self.style}, "base": fingerprint, "based_on": name}
        return {"row": self.row[0].detach()}, told
