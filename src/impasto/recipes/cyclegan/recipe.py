"""CycleGAN: unpaired translation with cycle consistency."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.checkpoints.files import CLASSIFIER
from impasto.data.folders import Pairs, PictureFolder
from impasto.evaluation.monitors import UnpairedMonitor
from impasto.evaluation.translation import ENOUGH, hold_out
from impasto.networks.patch_sampler import PatchSampler
from impasto.networks.patchgan import PatchDiscriminator
from impasto.networks.translators import ResNetGenerator
from impasto.recipes.classifier.train_beside import train_domain_classifier
from impasto.recipes.cut.recipe import CUT
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.image_pool import Pool
from impasto.recipes.translation import (
    Generator,
    TranslationRecipe,
    check_crop,
    from_signed,
    independent_of_batch,
    sample_pictures,
    to_signed,
    too_few,
    training_marks,
    translation_adam,
)
from impasto.training.monitor import Monitor
from impasto.training.recipe import Engine, Setup, Site, seeded

__all__ = ["CycleGAN"]


class CycleGAN(TranslationRecipe):
    """Two generators translate between domains A and B, trained with adversarial and cycle consistency losses.

    Each batch is (pictures of A, pictures of B) in [0, 1]. The paper calls the domains X and Y.

    Args:
        to_b: the paper's G: X -> Y.
        to_a: the paper's F: Y -> X.
        discriminator_a: classifies pictures of A and fakes, the paper's D_X.
        discriminator_b: the same of B, D_Y.
        samples: pictures of A and of B for previews.
        options: weights, image pool, learning rate and the rest.
        monitor: measures translations during the training; None: the result is the last checkpoint.

    Source: Zhu, Park, Isola & Efros 2017, arXiv:1703.10593.
    Differs: crops keep their proportions. The learning rate decays with steps or time instead of epochs. The
        generators' weights are averaged (EMA), unless `ema` is 0.
    """

    options: CycleGANOptions
    name = "cyclegan"
    kind = "lsgan"  # section 4: "we replace the negative log likelihood objective by a least-squares loss"
    averaged = ("to_b", "to_a")

    def __init__(
        self,
        to_b: Generator,
        to_a: Generator,
        discriminator_a: nn.Module,
        discriminator_b: nn.Module,
        samples: tuple[Tensor, Tensor],
        options: CycleGANOptions,
        monitor: Monitor | None = None,
    ) -> None:
        self.to_b, self.to_a, self.discriminator_a, self.discriminator_b = to_b, to_a, discriminator_a, discriminator_b
        self.samples, self.options = samples, options
        self.networks = {
            "to_b": to_b,
            "to_a": to_a,
            "discriminator_a": discriminator_a,
            "discriminator_b": discriminator_b,
        }
        self.optimizers = {
            "generators": translation_adam([to_b, to_a], options.learning_rate),
            "discriminators": translation_adam([discriminator_a, discriminator_b], options.learning_rate),
        }
        self.pools = {name: Pool(options.pool, options.crop) for name in ("a", "b")}
        same = ", identity mapping" if options.identity_weight else ""
        self.caption = (
            f"each row of the upper half: a picture of A, its translation to B, cycle reconstruction{same}; of the "
            f"lower half: a picture of B, its translation to A, cycle reconstruction{same}"
        )
        self._monitor(monitor)

    @classmethod
    def build(cls, data: Mapping[str, Any], options: CycleGANOptions, site: Site) -> Setup:
        """Read both domains, hold pictures out, and build the networks of CycleGAN or CUT; see `Recipe.build`."""
        check_crop(options, 4)
        flip, zoom, seed = not options.no_flip, options.zoom, options.seed
        first = PictureFolder(data["a"], options.crop, seed=seed, flip=flip, zoom=zoom)
        second = PictureFolder(data["b"], options.crop, seed=seed + 1, flip=flip, zoom=zoom)
        monitor, remarks = None, tuple[str, ...]()
        if options.watch_steps and min(len(first), len(second)) >= ENOUGH:
            (first, held_a), (second, held_b) = hold_out(first), hold_out(second)
            monitor = UnpairedMonitor(
                (first, second),
                (held_a, held_b),
                every=options.watch_steps,
                device=options.device,
                path=site.run / CLASSIFIER,
                seed=seed,
                train_classifier=train_domain_classifier,
                directions=("to_b", "to_a") if options.method == "cyclegan" else ("to_b",),
                resume=site.resume,
            )
        elif options.watch_steps:
            remarks = too_few(f"there are {len(first)} pictures of A and {len(second)} of B")
        blur = options.method != "cyclegan"  # as in CUT's program

        def generator() -> ResNetGenerator:
            return ResNetGenerator(options.width, options.blocks, options.norm, blur_down=blur, blur_up=blur)

        def discriminator() -> PatchDiscriminator:
            return PatchDiscriminator(
                options.discriminator_width, options.discriminator_layers, options.norm, blur=blur
            )

        def method() -> CycleGAN | CUT:
            samples = sample_pictures(first), sample_pictures(second)
            if options.method == "cyclegan":
                return cls(generator(), generator(), discriminator(), discriminator(), samples, options, monitor)
            to_b = generator()
            return CUT(to_b, PatchSampler(to_b.feature_channels()), discriminator(), samples, options, monitor)

        recipe = seeded(options.seed, method)
        recipe.remarks, recipe.about = remarks, training_marks(first, second)
        return Setup(recipe, Pairs(first, second), options)

    def to(self, device: torch.device) -> None:
        """Move the pictures of the previews."""
        self.samples = (self.samples[0].to(device), self.samples[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Translate and reconstruct, update both generators, then both discriminators."""
        real_a, real_b = (to_signed(pictures) for pictures in batch)
        cycle = self.options.cycle_weight
        identity = cycle * self.options.identity_weight

        # Translations G(a) and F(b), identity mappings G(b) and F(a), cycle reconstructions F(G(a)) and G(F(b)).
        fake_b, same_b = self._translated(self.to_b, real_a, real_b)
        fake_a, same_a = self._translated(self.to_a, real_b, real_a)
        cycled_a, cycled_b = self.to_a.translate(fake_b), self.to_b.translate(fake_a)

        # 1. Update the generators G and F; the discriminators are frozen.
        self._train_discriminators(False)
        losses = {
            "adversarial_b": self._adversarial(self.discriminator_b, fake_b),  # section 3.1, eq. 1, for G: A -> B
            "adversarial_a": self._adversarial(self.discriminator_a, fake_a),  # the same for F: B -> A
            "cycle_a": cycle * F.l1_loss(cycled_a.float(), real_a),  # section 3.2, eq. 2: F(G(a)) = a
            "cycle_b": cycle * F.l1_loss(cycled_b.float(), real_b),  # and G(F(b)) = b
        }
        if identity:  # section 5.2, "photo generation from paintings": G(b) = b, F(a) = a
            losses |= {
                "identity_a": identity * F.l1_loss(same_a.float(), real_a),
                "identity_b": identity * F.l1_loss(same_b.float(), real_b),
            }
        self.optimizers["generators"].zero_grad()
        engine.backward(torch.stack(list(losses.values())).sum())  # section 3.3, eq. 3
        self.optimizers["generators"].step()

        # 2. Update the discriminators on real pictures and on fakes, half of which come from the image pool.
        self._train_discriminators(True)
        pooled_b = self.pools["b"].exchange(fake_b.detach().float(), engine.random)
        pooled_a = self.pools["a"].exchange(fake_a.detach().float(), engine.random)
        d_loss = {
            "discriminator_b": self._discriminator_loss(self.discriminator_b, real_b, pooled_b),
            "discriminator_a": self._discriminator_loss(self.discriminator_a, real_a, pooled_a),
        }
        self.optimizers["discriminators"].zero_grad()
        engine.backward(d_loss["discriminator_a"] + d_loss["discriminator_b"])
        self.optimizers["discriminators"].step()
        return {name: loss.detach() for name, loss in (losses | d_loss).items()}

    def _translated(self, network: Generator, pictures: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the translations, and the identity mappings of pictures of the target domain if they are needed.

        One pass computes both, unless the network has batch normalization.
        """
        if not self.options.identity_weight * self.options.cycle_weight:
            return network.translate(pictures), targets
        if not independent_of_batch(network):
            return network.translate(pictures), network.translate(targets)
        both = network.translate(torch.cat([pictures, targets]))
        return both[: len(pictures)], both[len(pictures) :]

    def _train_discriminators(self, train: bool) -> None:
        for weight in chain(self.discriminator_a.parameters(), self.discriminator_b.parameters()):
            weight.requires_grad_(train)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each sample of A, then of B: picture, translation, cycle reconstruction, identity mapping.

        The identity mapping is there only if it has a weight in the loss.
        """
        a, b = (to_signed(pictures) for pictures in self.samples)
        rows = []
        for pictures, forward, backward in ((a, self.to_b, self.to_a), (b, self.to_a, self.to_b)):
            fake = forward.translate(pictures)
            shown = [pictures, fake, backward.translate(fake)]
            shown += [backward.translate(pictures)] if self.options.identity_weight else []
            rows.append(torch.stack(shown, 1))
        return from_signed(torch.cat(rows))

    def more_models(self) -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
        """Return the generator from B to A."""
        return {"model-back.safetensors": self._finished("to_a")}

    def state(self) -> dict[str, Tensor]:
        """Return the image pools, the best generators and the monitor's state."""
        pools = {f"{name}.{key}": value for name, pool in self.pools.items() for key, value in pool.state().items()}
        return super().state() | pools

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        super().restore(state)
        for name, pool in self.pools.items():
            kept = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            pool.restore(kept)
