"""CycleGAN: unpaired translation with cycle consistency."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.image_pool import Pool
from impasto.recipes.translation import (
    Generator,
    Referee,
    TranslationRecipe,
    from_signed,
    independent_of_batch,
    to_signed,
    translation_adam,
)
from impasto.training.recipe import Engine

__all__ = ["CycleGAN"]


class CycleGAN(TranslationRecipe):
    """Two networks learn to translate between A and B; each batch is (pictures of A, pictures of B) in [0, 1].

    Args:
        to_b: the paper's G.
        to_a: the paper's F.
        judge_a: tells real pictures of A from made ones, the paper's D_X.
        judge_b: the same of B, D_Y.
        samples: pictures of A and of B that previews show.
        options: everything else.
        referee: looks at translations now and then; None: nobody does, and the last weights are the result.

    Source: Zhu, Park, Isola & Efros 2017, arXiv:1703.10593.
    Differs: crops keep their proportions; the step length falls with steps or time instead of epochs; weights of the
        generators are averaged, unless `ema` is 0.
    """

    options: CycleGANOptions
    name = "cyclegan"
    kind = "lsgan"  # section 4: "we replace the negative log likelihood objective by a least-squares loss"
    averaged = ("to_b", "to_a")

    def __init__(
        self,
        to_b: Generator,
        to_a: Generator,
        judge_a: nn.Module,
        judge_b: nn.Module,
        samples: tuple[Tensor, Tensor],
        options: CycleGANOptions,
        referee: Referee | None = None,
    ) -> None:
        self.to_b, self.to_a, self.judge_a, self.judge_b = to_b, to_a, judge_a, judge_b
        self.samples, self.options = samples, options
        self.networks = {"to_b": to_b, "to_a": to_a, "judge_a": judge_a, "judge_b": judge_b}
        self.optimizers = {
            "generators": translation_adam([to_b, to_a], options.learning_rate),
            "discriminators": translation_adam([judge_a, judge_b], options.learning_rate),
        }
        self.pools = {name: Pool(options.pool, options.crop) for name in ("a", "b")}
        same = ", and what the way to {} makes of it, which should be itself" if options.identity_weight else ""
        self.caption = (
            f"in each row of the upper half: a picture of A, as B, back again{same.format('A')}; of the lower half: a "
            f"picture of B, as A, back again{same.format('B')}"
        )
        self._watched(referee)

    def to(self, device: torch.device) -> None:
        """Move the pictures that previews show."""
        self.samples = (self.samples[0].to(device), self.samples[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Translate there and back, teach the generators, then the discriminators."""
        real_a, real_b = (to_signed(pictures) for pictures in batch)
        cycle = self.options.cycle_weight
        identity = cycle * self.options.identity_weight

        # There, and what is there already; then back again.
        made_b, same_b = self._translated(self.to_b, real_a, real_b)
        made_a, same_a = self._translated(self.to_a, real_b, real_a)
        back_a, back_b = self.to_a.translate(made_b), self.to_b.translate(made_a)

        # 1. The generators learn to fool the discriminators, which do not learn from it, and to find the way back.
        self._let_judges_learn(False)
        losses = {
            "fool_b": self._fooled(self.judge_b, made_b),  # section 3.1, eq. 1, for G: A -> B
            "fool_a": self._fooled(self.judge_a, made_a),  # the same for F: B -> A
            "cycle_a": cycle * F.l1_loss(back_a.float(), real_a),  # section 3.2, eq. 2: F(G(a)) is a
            "cycle_b": cycle * F.l1_loss(back_b.float(), real_b),  # and G(F(b)) is b
        }
        if identity:  # section 5.2, "photo generation from paintings": G(b) is b, F(a) is a
            losses |= {
                "identity_a": identity * F.l1_loss(same_a.float(), real_a),
                "identity_b": identity * F.l1_loss(same_b.float(), real_b),
            }
        self.optimizers["generators"].zero_grad()
        engine.backward(torch.stack(list(losses.values())).sum())  # section 3.3, eq. 3
        self.optimizers["generators"].step()

        # 2. The discriminators learn to tell real pictures from made ones, of which half are earlier ones.
        self._let_judges_learn(True)
        old_b = self.pools["b"].exchange(made_b.detach().float(), engine.random)
        old_a = self.pools["a"].exchange(made_a.detach().float(), engine.random)
        judged = {
            "judge_b": self._judged(self.judge_b, real_b, old_b),
            "judge_a": self._judged(self.judge_a, real_a, old_a),
        }
        self.optimizers["discriminators"].zero_grad()
        engine.backward(judged["judge_a"] + judged["judge_b"])
        self.optimizers["discriminators"].step()
        return {name: loss.detach() for name, loss in (losses | judged).items()}

    def _translated(self, network: Generator, pictures: Tensor, already: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures translated, and those that need not be; at once where none depends on the others."""
        if not self.options.identity_weight * self.options.cycle_weight:
            return network.translate(pictures), already
        if not independent_of_batch(network):
            return network.translate(pictures), network.translate(already)
        both = network.translate(torch.cat([pictures, already]))
        return both[: len(pictures)], both[len(pictures) :]

    def _let_judges_learn(self, learn: bool) -> None:
        for weight in chain(self.judge_a.parameters(), self.judge_b.parameters()):
            weight.requires_grad_(learn)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each sample of A: itself, as B, back again; then those of B the other way.

        If it learns that, there is also, of a sample of A, what the way to A makes of it, which should be itself.
        """
        a, b = (to_signed(pictures) for pictures in self.samples)
        rows = []
        for pictures, there, back in ((a, self.to_b, self.to_a), (b, self.to_a, self.to_b)):
            made = there.translate(pictures)
            shown = [pictures, made, back.translate(made)]
            shown += [back.translate(pictures)] if self.options.identity_weight else []
            rows.append(torch.stack(shown, 1))
        return from_signed(torch.cat(rows))

    def more_models(self) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
        """Return the network that translates B into A."""
        return {"model-back.safetensors": self._finished("to_a")}

    def state(self) -> dict[str, Tensor]:
        """Return the pools, and the best generators."""
        pools = {f"{name}.{key}": value for name, pool in self.pools.items() for key, value in pool.state().items()}
        return super().state() | pools

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take them up."""
        super().restore(state)
        for name, pool in self.pools.items():
            kept = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            pool.restore(kept)
