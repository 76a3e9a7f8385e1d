"""pix2pix: translation from pairs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.recipes.pix2pix.options import Pix2PixOptions
from impasto.recipes.translation import Generator, Referee, TranslationRecipe, from_signed, to_signed, translation_adam
from impasto.training.recipe import Engine

__all__ = ["Pix2Pix"]


class Pix2Pix(TranslationRecipe):
    """A network learns to translate from pairs; each batch is `(B, 6, H, W)` in [0, 1], two pictures each.

    Args:
        generator: the paper's G.
        judge: tells real pairs from those whose second picture was made; of six channels.
        samples: `(n, 6, H, W)`, pairs that previews show.
        options: everything else.
        referee: looks at translations now and then; None: nobody does, and the last weights are the result.

    Source: Isola, Zhu, Zhou & Efros 2017, arXiv:1611.07004.
    Differs: as for `CycleGAN`. The discriminator learns first, as in the program.
    """

    options: Pix2PixOptions
    name = "pix2pix"
    averaged = ("generator",)
    caption = "in each row: what is translated, what comes out, and what it should be"

    def __init__(
        self,
        generator: Generator,
        judge: nn.Module,
        samples: Tensor,
        options: Pix2PixOptions,
        referee: Referee | None = None,
    ) -> None:
        self.generator, self.judge, self.samples, self.options = generator, judge, samples, options
        self.kind = options.gan
        self.networks = {"generator": generator, "judge": judge}
        self.optimizers = {
            "generator": translation_adam([generator], options.learning_rate),
            "discriminator": translation_adam([judge], options.learning_rate),
        }
        self._watched(referee)

    def to(self, device: torch.device) -> None:
        """Move the pictures that previews show."""
        self.samples = self.samples.to(device)

    def _pair(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is translated, and what it should become, in [-1, 1]."""
        a, b = to_signed(pairs[:, :3]), to_signed(pairs[:, 3:])
        return (a, b) if self.options.direction == "a-to-b" else (b, a)

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Translate, teach the discriminator, then the generator."""
        given, wanted = self._pair(batch)
        made = self.generator.translate(given)

        # 1. The discriminator learns to tell the pairs apart: section 3.1, eq. 1.
        self.judge.requires_grad_(True)
        judged = self._judged(self.judge, wanted, made.detach(), beside=given)
        self.optimizers["discriminator"].zero_grad()
        engine.backward(judged)
        self.optimizers["discriminator"].step()

        # 2. The generator learns to fool the discriminator just taught, and to come near the very picture.
        self.judge.requires_grad_(False)
        losses = {
            "fool": self._fooled(self.judge, made, beside=given),  # eq. 1
            "l1": self.options.l1_weight * F.l1_loss(made.float(), wanted),  # eq. 3
        }
        self.optimizers["generator"].zero_grad()
        engine.backward(losses["fool"] + losses["l1"])  # eq. 4
        self.optimizers["generator"].step()
        return {name: loss.detach() for name, loss in (losses | {"judge": judged}).items()}

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each sample: what is translated, what comes out, what it should be."""
        given, wanted = self._pair(self.samples)
        return from_signed(torch.stack([given, self.generator.translate(given), wanted], 1))

    def _direction(self, name: str) -> str:
        return self.options.direction.replace("-", " ")
