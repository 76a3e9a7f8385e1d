"""pix2pix: translation learned from aligned pairs, with a conditional GAN and an L1 loss."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.data.folders import AlignedPairs
from impasto.errors import OptionError
from impasto.evaluation.monitors import PairMonitor
from impasto.evaluation.translation import ENOUGH, hold_out
from impasto.networks.patchgan import PatchDiscriminator
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.recipes.pix2pix.options import Pix2PixOptions
from impasto.recipes.translation import (
    Generator,
    TranslationRecipe,
    check_crop,
    from_signed,
    sample_pictures,
    to_signed,
    too_few,
    training_marks,
    translation_adam,
)
from impasto.training.monitor import Monitor
from impasto.training.recipe import Engine, Setup, Site, seeded

__all__ = ["Pix2Pix"]


class Pix2Pix(TranslationRecipe):
    """A generator translates inputs to targets, trained on aligned pairs with an adversarial and an L1 loss.

    Each batch is `(B, 6, H, W)` in [0, 1]: the three channels of A, then those of B.

    Args:
        generator: the paper's G.
        discriminator: the paper's D, of six channels: it classifies pairs of input and target, and of input and fake.
        samples: `(n, 6, H, W)`, pairs for previews.
        options: weights, direction, learning rate and the rest.
        monitor: measures translations during the training; None: the result is the last checkpoint.

    Source: Isola, Zhu, Zhou & Efros 2017, arXiv:1611.07004.
    Differs: as for `CycleGAN`. The discriminator's step comes first, as in the program.
    """

    options: Pix2PixOptions
    name = "pix2pix"
    averaged = ("generator",)
    caption = "each row: input, translation, ground truth"

    def __init__(
        self,
        generator: Generator,
        discriminator: nn.Module,
        samples: Tensor,
        options: Pix2PixOptions,
        monitor: Monitor | None = None,
    ) -> None:
        self.generator, self.discriminator, self.samples, self.options = generator, discriminator, samples, options
        self.kind = options.gan
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.optimizers = {
            "generator": translation_adam([generator], options.learning_rate),
            "discriminator": translation_adam([discriminator], options.learning_rate),
        }
        self._monitor(monitor)

    @classmethod
    def build(cls, data: Mapping[str, Any], options: Pix2PixOptions, site: Site) -> Setup:
        """Read the pairs, hold some out, and build the networks; see `Recipe.build`."""
        pairs, first, second = (data.get(name) for name in ("pairs", "a", "b"))
        if (pairs is None) == (first is None) or (first is None) != (second is None):
            raise OptionError("pix2pix needs pairs: --pairs FOLDER, or --a FOLDER --b FOLDER with the same names.")
        check_crop(options, 4 if options.network == "resnet" else 2 ** options.halvings())
        flip, zoom, seed = not options.no_flip, options.zoom, options.seed
        aligned = AlignedPairs(str(pairs or first), options.crop, second=second, seed=seed, flip=flip, zoom=zoom)
        monitor, remarks = None, tuple[str, ...]()
        if options.watch_steps and len(aligned) >= ENOUGH:
            aligned, held = hold_out(aligned)
            every, direction = options.watch_steps, options.direction
            monitor = PairMonitor(held, every=every, direction=direction, device=options.device)
        elif options.watch_steps:
            remarks = too_few(f"there are {len(aligned)} pairs")
        dropout = not options.no_dropout

        def generator() -> ResNetGenerator | UNetGenerator:
            if options.network == "resnet":
                return ResNetGenerator(options.width, options.blocks, options.norm, dropout=dropout)
            return UNetGenerator(options.width, options.halvings(), options.norm, dropout=dropout)

        def discriminator() -> PatchDiscriminator:
            return PatchDiscriminator(
                options.discriminator_width, options.discriminator_layers, options.norm, channels=6
            )

        networks = seeded(options.seed, lambda: (generator(), discriminator()))
        recipe = cls(*networks, sample_pictures(aligned), options, monitor)
        recipe.remarks, recipe.about = remarks, training_marks(aligned)
        return Setup(recipe, aligned, options)

    def to(self, device: torch.device) -> None:
        """Move the pictures of the previews."""
        self.samples = self.samples.to(device)

    def _pair(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and targets, in [-1, 1]."""
        a, b = to_signed(pairs[:, :3]), to_signed(pairs[:, 3:])
        return (a, b) if self.options.direction == "a-to-b" else (b, a)

    def step(self, batch: Tensor, engine: Engine) -> dict[str, Tensor]:
        """Translate, update the discriminator, then the generator."""
        source, target = self._pair(batch)
        fake = self.generator.translate(source)

        # 1. Update the discriminator on real pairs and on fakes: section 3.1, eq. 1.
        self.discriminator.requires_grad_(True)
        d_loss = self._discriminator_loss(self.discriminator, target, fake.detach(), condition=source)
        self.optimizers["discriminator"].zero_grad()
        engine.backward(d_loss)
        self.optimizers["discriminator"].step()

        # 2. Update the generator against the discriminator after its update, and toward the target.
        self.discriminator.requires_grad_(False)
        losses = {
            "adversarial": self._adversarial(self.discriminator, fake, condition=source),  # eq. 1
            "l1": self.options.l1_weight * F.l1_loss(fake.float(), target),  # eq. 3
        }
        self.optimizers["generator"].zero_grad()
        engine.backward(losses["adversarial"] + losses["l1"])  # eq. 4
        self.optimizers["generator"].step()
        return {name: loss.detach() for name, loss in (losses | {"discriminator": d_loss}).items()}

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each sample: input, translation, ground truth."""
        source, target = self._pair(self.samples)
        return from_signed(torch.stack([source, self.generator.translate(source), target], 1))

    def _direction(self, name: str) -> str:
        return self.options.direction.replace("-", " ")
