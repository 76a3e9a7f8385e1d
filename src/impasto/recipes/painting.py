"""Networks that paint in one pass: the loss of the optimization, used to train a network instead of a picture.

`Perceptual` is that loss for a batch, in which each picture may have a style of its own. `Painting` is the method:
in every step a few photographs are painted, and the network's weights go down the gradient.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from impasto.losses import style_loss_named
from impasto.motion import synthetic_motion, warp
from impasto.networks.painter import Painter
from impasto.networks.vgg import VGG
from impasto.ops import resize, style_size, total_variation, wide
from impasto.options import JohnsonOptions, PaintingOptions, StyleOptions
from impasto.recipes import Engine, Recipe

__all__ = ["Looks", "NewStyle", "Painting", "Perceptual", "clinging", "descend"]

_GRID = 16  # sides of crops are multiples of it: what the deepest layer sees in whole places
_COLUMNS = 8  # of previews
_CHOICE = 128  # pixels on which rows to begin with are compared


@dataclass(frozen=True)
class Looks:
    """What style pictures look like to the encoder, each a row of every tensor.

    Attributes:
        targets: Gram matrices `(S, C, C)` of each style layer.
        energies: mean squares `(S,)` of each content layer, in which content losses are measured.
    """

    targets: Mapping[str, Tensor]
    energies: Mapping[str, Tensor]

    def __getitem__(self, which: Tensor) -> "Looks":
        """Return those of these numbers."""
        return self._each(lambda values: values[which])

    def to(self, device: torch.device) -> "Looks":
        """Return them on a device."""
        return self._each(lambda values: values.to(device))

    def _each(self, function: Callable[[Tensor], Tensor]) -> "Looks":
        return Looks(*({key: function(v) for key, v in part.items()} for part in (self.targets, self.energies)))


class Perceptual:
    """Content, style and total variation of painted pictures, each a share of what an unrelated picture has.

    Args:
        encoder: the network that looks; it is not changed.
        styles: `(1, 3, h, w)` RGB in [0, 1] each; none if looks come with every call.
        options: weights and layers.

    Source: Johnson, Alahi & Fei-Fei 2016, arXiv:1603.08155, section 3.1.
    Differs: losses are relative as in `objective.Objective`, so that a weight means the same for every style, and the
        content loss is measured in the style's energy.
    """

    def __init__(self, encoder: VGG, styles: Sequence[Tensor], options: PaintingOptions) -> None:
        self.encoder, self.options = encoder, options
        self.style = style_loss_named("gram")
        self.layers = tuple(dict.fromkeys([*options.content_layers, *options.style_layers]))
        seen = [self.looks(self._seen(style)) for style in styles]
        self.known = Looks(
            {layer: torch.cat([look.targets[layer] for look in seen]) for layer in options.style_layers if seen},
            {layer: torch.cat([look.energies[layer] for look in seen]) for layer in options.content_layers if seen},
        )

    @torch.no_grad()
    def _seen(self, style: Tensor) -> dict[str, Tensor]:
        side = self.options.style_size
        size = style_size(style, (side, side), 1.0, self.encoder.minimum_size(self.layers))
        found: dict[str, Tensor] = self.encoder(
            resize(style, size).clamp(0, 1).to(self.encoder.gain.device), self.layers
        )
        return found

    @torch.no_grad()
    def looks(self, features: Mapping[str, Tensor]) -> Looks:
        """Return what pictures look like whose features these are, `(S, C, H, W)` for each layer."""
        return Looks(
            {layer: self.style.statistics(features[layer])[0] for layer in self.options.style_layers},
            {layer: wide(features[layer]).square().mean((1, 2, 3)) for layer in self.options.content_layers},
        )

    def to(self, device: torch.device) -> None:
        """Move what is known of the styles, and the network that looks."""
        self.encoder.to(device)
        self.known = self.known.to(device)

    def __call__(
        self, painted: Tensor, photographs: Tensor, which: Tensor, looks: Looks | None = None
    ) -> dict[str, Tensor]:
        """Return "content", "style" and "tv", each times its weight, as means over the batch; and "identity".

        Args:
            painted: `(B, 3, H, W)` RGB, about in [0, 1].
            photographs: the same shape.
            which: `(B,)`, the number of each picture's style; -1: it should stay as it is, and how far it is from
                that, as mean square, is "identity".
            looks: of the styles that are counted; by default those that it was made with.
        """
        options, styled = self.options, (which >= 0).to(painted)
        looks = (looks or self.known)[which.to(painted.device).clamp_min(0)]
        with torch.no_grad():
            wanted = self.encoder(photographs, tuple(options.content_layers))
        seen = self.encoder(painted, self.layers)
        style = content = painted.new_zeros(())
        for layer, weight in options.style_layers.items():
            grams, targets = self.style.statistics(seen[layer])[0], looks.targets[layer]
            shares = (grams - targets).square().mean((1, 2)) / targets.square().mean((1, 2))
            style = style + weight * (styled * shares).mean()
        for layer, weight in options.content_layers.items():
            distances = (wide(seen[layer]) - wide(wanted[layer])).square().mean((1, 2, 3))
            content = content + weight * (styled * distances / (2 * looks.energies[layer])).mean()
        away = (painted - photographs).square().mean((1, 2, 3))
        return {
            "content": options.content_weight * content,
            "style": options.style_weight * style,
            "tv": options.tv_weight * total_variation(painted),
            "identity": ((1 - styled) * away).mean(),
        }


def clinging(painted: Tensor, period: int = 4, window: int = 48) -> Tensor:
    """Return how much of pictures is a pattern that repeats at the grid of a network's smallest maps.

    All squares of `period` pixels in a window are laid upon each other. What belongs to the picture averages out;
    what is left, but for its mean, clings to the grid. Its mean square is returned, 0 for none.

    Args:
        painted: `(B, 3, H, W)`.
        period: of the grid, in pixels: 4 for networks that work at a quarter of the size.
        window: side of what is averaged, in pixels; a pattern may be light in one place and dark in another.
    """
    b, c, height, width = painted.shape
    window = min(window, height, width) // period * period
    rows, columns, count = height // window, width // window, window // period
    parts = painted[..., : rows * window, : columns * window]
    parts = parts.reshape(b, c, rows, count, period, columns, count, period).mean((3, 6))  # (B, C, y, p, x, p)
    return (parts - parts.mean((3, 5), keepdim=True)).square().mean()


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
        along (Wang et al. 2020, see `motion.synthetic_motion`): against flicker, and against patterns that cling to
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
        self.record = {"styles": {style: _digest(look) for style, look in styles.items()}}
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
        """Return the network's weights, and what `models.load_model` needs to know."""
        kind = type(self.network).__name__.lower()
        return dict(self.network.state_dict()), {"network": kind, "settings": self.network.settings}


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
        base: what the network is called, and its `models.fingerprint`.

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
        self.record = {"style": _digest(style), "network": _digest(weights)}

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


def descend(losses: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, engine: Engine) -> dict[str, Tensor]:
    """Take a step down the gradient of the sum; return the losses without their graphs."""
    optimizer.zero_grad()
    engine.backward(torch.stack(list(losses.values())).sum())
    optimizer.step()
    return {name: loss.detach() for name, loss in losses.items()}


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
