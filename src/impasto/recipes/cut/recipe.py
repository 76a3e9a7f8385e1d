"""CUT and FastCUT: contrastive unpaired translation."""

import torch
from torch import Tensor, nn

from impasto.losses.contrastive import patch_nce_loss
from impasto.networks.patch_sampler import PatchSampler
from impasto.networks.translators import ResNetGenerator
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.translation import TranslationRecipe, from_signed, to_signed, translation_adam
from impasto.training.monitor import Monitor
from impasto.training.recipe import Engine

__all__ = ["CUT"]


class CUT(TranslationRecipe):
    """One generator translates A into B; a patchwise contrastive loss keeps the content, without a second generator.

    The loss (PatchNCE) compares features of the generator's encoder: each patch of the translation should be more
    similar to the patch at the same position of its input than to other patches of that input. Each batch is (pictures
    of A, pictures of B) in [0, 1].

    Args:
        to_b: the paper's G.
        sampler: the paper's H, which projects the features of patches.
        discriminator_b: classifies pictures of B and fakes, the paper's D.
        samples: pictures of A and of B for previews.
        options: weights, learning rate and the rest. The method "fastcut" has no identity loss, and flips the input of
            G in half of the steps, so that the loss must match patches of flipped pictures.
        monitor: measures translations during the training; None: the result is the last checkpoint.

    Source: Park, Efros, Zhang & Zhu 2020, "Contrastive learning for unpaired image-to-image translation",
        arXiv:2007.15651.
    Differs: as for `CycleGAN`, also in the initialization. The discriminator's step comes first, and there is no image
        pool, as in the program.
    """

    options: CycleGANOptions
    kind = "lsgan"
    averaged = ("to_b",)
    caption = "each row: a picture of A, its translation to B; a picture of B, and its identity mapping"

    def __init__(
        self,
        to_b: ResNetGenerator,
        sampler: PatchSampler,
        discriminator_b: nn.Module,
        samples: tuple[Tensor, Tensor],
        options: CycleGANOptions,
        monitor: Monitor | None = None,
    ) -> None:
        self.name = options.method
        self.to_b, self.sampler, self.discriminator_b, self.samples, self.options = (
            to_b,
            sampler,
            discriminator_b,
            samples,
            options,
        )
        self.fast = options.method == "fastcut"
        default = 10.0 if self.fast else 1.0
        self.weight = default if options.patch_weight is None else options.patch_weight
        self.networks = {"to_b": to_b, "sampler": sampler, "discriminator_b": discriminator_b}
        self.optimizers = {
            "generator": translation_adam([to_b], options.learning_rate),
            "sampler": translation_adam([sampler], options.learning_rate),
            "discriminator": translation_adam([discriminator_b], options.learning_rate),
        }
        self._monitor(monitor)

    def to(self, device: torch.device) -> None:
        """Move the pictures of the previews."""
        self.samples = (self.samples[0].to(device), self.samples[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Update the discriminator, then the generator together with the patch sampler."""
        real_a, real_b = (to_signed(pictures) for pictures in batch)
        flipped = self.fast and bool(torch.rand((), generator=engine.random) < 0.5)
        fake_b = self.to_b.translate(real_a.flip(3) if flipped else real_a)

        # 1. Update the discriminator: section 3, eq. 1.
        self.discriminator_b.requires_grad_(True)
        d_loss = self._discriminator_loss(self.discriminator_b, real_b, fake_b.detach())
        self.optimizers["discriminator"].zero_grad()
        engine.backward(d_loss)
        self.optimizers["discriminator"].step()

        # 2. Update the generator G and the patch sampler H against the discriminator after its update.
        self.discriminator_b.requires_grad_(False)
        losses = {
            "adversarial_b": self._adversarial(self.discriminator_b, fake_b),  # eq. 1
            "patches_a": self.weight * self._patch_loss(fake_b, real_a, engine, flipped),  # eq. 4: L_PatchNCE(G, H, X)
        }
        if not self.fast:  # eq. 5: L_PatchNCE(G, H, Y), the identity loss; halves as in the program
            same_b = self.to_b.translate(real_b)
            losses["patches_a"] = losses["patches_a"] / 2
            losses["patches_b"] = self.weight * self._patch_loss(same_b, real_b, engine) / 2
        for name in ("generator", "sampler"):
            self.optimizers[name].zero_grad()
        engine.backward(torch.stack(list(losses.values())).sum())
        for name in ("generator", "sampler"):
            self.optimizers[name].step()
        return {name: loss.detach() for name, loss in (losses | {"discriminator_b": d_loss}).items()}

    def _patch_loss(self, fake: Tensor, source: Tensor, engine: Engine, flipped: bool = False) -> Tensor:
        """Return the PatchNCE loss of eq. 3, in nats: the cross-entropy of the right source patch for each fake patch.

        Args:
            fake: `(B, 3, H, W)` in [-1, 1].
            source: the same shape.
            engine: for random positions.
            flipped: whether `fake` is flipped left to right.
        """
        fake_maps = [maps.flip(3) if flipped else maps for maps in self.to_b.features(fake)]
        with torch.no_grad():
            source_maps = self.to_b.features(source)
        counts = [maps[0, 0].numel() for maps in source_maps]
        positions = [torch.randperm(count, generator=engine.random)[: self.options.patches] for count in counts]
        positions = [chosen.to(fake.device) for chosen in positions]
        queries = self.sampler(fake_maps, positions)
        with torch.no_grad():
            keys = self.sampler(source_maps, positions)
        return patch_nce_loss(queries, keys, self.options.temperature)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each sample: of A, its translation; of B, its identity mapping."""
        a, b = (to_signed(pictures) for pictures in self.samples)
        return from_signed(torch.stack([a, self.to_b.translate(a), b, self.to_b.translate(b)], 1))
