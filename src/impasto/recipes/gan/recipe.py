"""Generative adversarial networks: one network makes small pictures, another tells them from real ones."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.events import Event
from impasto.losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from impasto.networks.generators import Discriminator, Generator
from impasto.ops.augment import augmented
from impasto.ops.pixels import as_floats
from impasto.recipes.common import as_cells
from impasto.recipes.options import AdversarialOptions
from impasto.training.monitor import Best, Look
from impasto.training.recipe import Engine, Recipe

__all__ = ["Adversarial", "Judge"]

_COLUMNS, _ROWS = 10, 8  # of previews
_PART = 500  # pictures that are made together
_WATCH_SEED, _PREVIEW_SEED, _END_SEED = 0, 1, 2  # of numbers that pictures are made from, whatever a run's own seed is
_DOTS = 2500  # in a preview of points
_PLOT = 256  # px, of a preview of points
_REACH = 1.25  # of such a preview, where real points reach to 1
_GRAY = 0.35
_QUIET = 1 / 10  # of the noise is left at the end


class Judge(Protocol):
    """What looks at made pictures while a generator learns, without changing how it learns."""

    @property
    def count(self) -> int:
        """How many pictures it needs."""

    def prepare(self) -> Iterator[Event]:
        """Yield what happens until it can look; see `Recipe.prepare`."""

    def look(self, step: int, made: Tensor) -> Look:
        """Look at pictures `(count, C, H, W)` in [0, 1] that were made after so many steps."""

    def score(self, made: Tensor) -> float:
        """Return the score of pictures alone; nothing is remembered."""

    def finish(self, made: Tensor) -> dict[str, Any]:
        """Return all that can be said of the result's pictures, ready for `json.dumps`."""

    def state(self) -> dict[str, Tensor]:
        """Return what it remembers of what it saw, always of the same shapes."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""


class Adversarial(Recipe):
    """A generator learns to make what a discriminator takes for real; each batch is of real pictures.

    Pictures are `(B, C, H, W)`, bytes or numbers in [0, 1], or points `(B, N)`; if the networks know classes, a batch
    is a pair of pictures and labels `(B,)`.

    Args:
        generator: makes.
        discriminator: judges, of the same shape and classes.
        options: everything else.
        judge: looks at what is made now and then; None: nobody does, and the last weights are the result.
        real: points `(n, N)` that previews show in gray below those that are made.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1; Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406,
        for R1; Karras et al. 2020, arXiv:1912.04958, section 3.1, for asking for it in some steps only; Karras et al.
        2018, arXiv:1710.10196, for the average of the generator's weights; Sønderby et al. 2017, arXiv:1610.04490, for
        noise that falls; Roth et al. 2017, arXiv:1705.09367, for what it has to do with R1: noise of a small deviation
        is a penalty of slopes with its square, so both fall together.
    Differs: one step of the discriminator for each of the generator. R1 is part of the discriminator's loss in the
        steps in which it is asked for, and not a step of its own.
    """

    averaged = ("generator",)
    caption = "what is made of numbers that stay the same"

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        options: AdversarialOptions,
        judge: Judge | None = None,
        real: Tensor | None = None,
    ) -> None:
        self.name = "dcgan" if generator.kind == "conv" else "gan"
        self.generator, self.discriminator, self.options, self.judge = generator, discriminator, options, judge
        self._real = real
        if generator.classes:
            self.caption += "; each column has its own class"
        self.networks = {"generator": generator, "discriminator": discriminator}
        rate = options.learning_rate if options.discriminator_rate is None else options.discriminator_rate
        self.optimizers = {
            "generator": _optimizer(generator, options.learning_rate, options),
            "discriminator": _optimizer(discriminator, rate, options),
        }
        self.watch_steps = options.watch_steps if judge is not None else 0
        self.results: dict[str, Any] = {}
        self._done, self._best = 0, Best(generator)

    def prepare(self) -> Iterator[Event]:
        """Yield what the judge does before it can look."""
        if self.judge is not None:
            yield from self.judge.prepare()

    def step(self, batch: Any, engine: Engine) -> dict[str, Tensor]:
        """Let the discriminator learn, then the generator.

        "real" and "made" are how likely the discriminator takes each for real, on average: 0.5 if it cannot tell.
        """
        options, g, d = self.options, self.generator, self.discriminator
        real, labels = (batch, None) if isinstance(batch, Tensor) else batch
        real = _unit(real)
        flat = options.r1_weight > 0 and engine.step % options.r1_steps == 0
        left = _QUIET**engine.progress if options.instance_noise else 1.0
        noise, r1_weight = left * options.instance_noise, left**2 * options.r1_weight

        # 1. The discriminator learns to tell them apart.
        with torch.no_grad():
            fake = g(self._codes(real), labels)
        real.requires_grad_(flat)
        on_real, on_fake = (d(self._changed(pictures, noise), labels).float() for pictures in (real, fake))
        d_loss = loss = discriminator_loss(on_real, on_fake, options.loss)
        if flat:  # rarely, but so much more strongly
            loss = d_loss + options.r1_steps * r1_weight * r1_penalty(on_real, real)
        optimizer = self.optimizers["discriminator"]
        optimizer.zero_grad()
        engine.backward(loss)
        optimizer.step()

        # 2. The generator learns to deceive the discriminator that was just updated.
        d.requires_grad_(False)  # what its gradients would be, nobody asks
        judged = d(self._changed(g(self._codes(real), labels), noise), labels).float()
        g_loss = generator_loss(judged, options.loss)
        optimizer = self.optimizers["generator"]
        optimizer.zero_grad()
        engine.backward(g_loss)
        optimizer.step()
        d.requires_grad_(True)
        self._done = engine.step + 1
        return {
            "discriminator": d_loss.detach(),
            "generator": g_loss.detach(),
            "real": on_real.detach().sigmoid().mean(),
            "made": on_fake.detach().sigmoid().mean(),
        }

    def _codes(self, like: Tensor) -> Tensor:
        return torch.randn(len(like), self.generator.latent, device=like.device)

    def _changed(self, pictures: Tensor, noise: float) -> Tensor:
        """Return real or made pictures as the discriminator sees them."""
        pictures = augmented(pictures, self.options.augment) if self.options.augment else pictures
        return pictures + noise * torch.randn_like(pictures) if noise else pictures

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Let the judge look; remember the generator if it is the best so far."""
        assert self.judge is not None
        found = self.judge.look(step, self.samples(self.judge.count, _WATCH_SEED))
        self._best.see(found.score, step)
        return found.measures, [] if found.alarm is None else [found.alarm]

    @torch.no_grad()
    def samples(self, count: int, seed: int, generator: Generator | None = None) -> Tensor:
        """Return made pictures `(count, C, H, W)`, of each class in turn; the numbers depend on the seed alone."""
        g = self.generator if generator is None else generator
        device = next(g.parameters()).device
        codes = torch.randn(count, g.latent, generator=torch.Generator().manual_seed(seed)).to(device)
        labels = torch.arange(count, device=device) % g.classes if g.classes else None
        parts = [codes[first : first + _PART] for first in range(0, count, _PART)]
        named = [None if labels is None else labels[first : first + _PART] for first in range(0, count, _PART)]
        return torch.cat([g(*part) for part in zip(parts, named, strict=True)])

    def preview(self) -> Tensor:
        """Return made pictures; of classes, each column has its own. Points are drawn."""
        columns = self.generator.classes or _COLUMNS
        if len(self.generator.shape) == 1:
            return _plotted(self.samples(_DOTS, _PREVIEW_SEED), self._real)
        rows = self.samples(_ROWS * columns, _PREVIEW_SEED).view(_ROWS, columns, *self.generator.shape)
        return as_cells(list(rows))

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the generator's weights, the best or the last ones, what builds it, and how good it is."""
        chosen, self.results = self.generator, {"step": self._done}
        if self.judge is not None:
            last = self.judge.score(self.samples(self.judge.count, _WATCH_SEED))
            chosen, self.results = self._best.settle(last, self._done, self.options.keep)
            self.results |= self.judge.finish(self.samples(self.judge.count, _END_SEED, chosen))
        told = {"network": "generator", "settings": self.generator.settings, "results": self.results}
        return dict(chosen.state_dict()), told

    def notes(self) -> list[str]:
        """Return the results in words."""
        found = self.results
        if "score" not in found:
            return []
        told = [f"kept is the generator of step {found['step']:,}: Fréchet distance {found['score']:.1f}"]
        if found["step"] != found["last_step"]:
            told[0] += f", of the last one {found['last_score']:.1f}"
        if "modes" in found:
            modes = found["modes"]
            told = [
                f"{modes['covered']} of {modes['modes']} modes are met, and {modes['high_quality']:.0%} of the points "
                f"lie near one; KL to even shares {modes['kl']:.2f}, by {modes['samples']:,} points of step "
                f"{found['step']:,}"
            ]
        if "made" in found:
            made = found["made"]
            told.append(
                f"{made['classes']} of {len(made['shares'])} classes are made, the most frequent one "
                f"{made['top_share']:.0%} of the time, KL to even shares {made['kl']:.3f}; precision "
                f"{made['precision']:.2f}, recall {made['recall']:.2f}"
            )
        return told

    def state(self) -> dict[str, Tensor]:
        """Return how far it came and, with a judge, the best generator so far and what the judge remembers."""
        told = {"done": torch.tensor(self._done)}
        if self.judge is not None:
            told |= self._best.state()
            told |= {f"judge/{key}": value for key, value in self.judge.state().items()}
        return told

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self._done = int(state["done"])
        if self.judge is not None:
            self._best.restore(state)
            kept = {key.removeprefix("judge/"): value for key, value in state.items() if key.startswith("judge/")}
            self.judge.restore(kept)


def _optimizer(network: torch.nn.Module, rate: float, options: AdversarialOptions) -> torch.optim.Optimizer:
    if options.optimizer == "rmsprop":  # with the numbers of Keras
        return torch.optim.RMSprop(network.parameters(), rate, alpha=0.9, eps=1e-7)
    return torch.optim.Adam(network.parameters(), rate, (options.momentum, 0.999), fused=True)


def _unit(pictures: Tensor) -> Tensor:
    """Return bytes as numbers in [0, 1], and numbers as they are."""
    return as_floats(pictures) if pictures.dtype == torch.uint8 else pictures.detach()


def _plotted(points: Tensor, real: Tensor | None) -> Tensor:
    """Return points `(n, 2)` as a preview, light on black, the real ones in gray below; the origin is in the middle."""
    plot = torch.zeros(_PLOT, _PLOT)
    reach = _REACH * float((points if real is None else real).abs().max())
    for some, light in ((real, _GRAY), (points, 1.0)):
        if some is not None:
            cells = ((some.cpu() / max(reach, 1e-6) + 1) / 2 * (_PLOT - 1)).round().long()
            cells = cells[((cells >= 0) & (cells < _PLOT)).all(1)]
            plot[_PLOT - 1 - cells[:, 1], cells[:, 0]] = light
    return plot.expand(1, 1, 3, -1, -1)
