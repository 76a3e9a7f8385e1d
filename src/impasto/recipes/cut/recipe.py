"""CUT and FastCUT: contrastive unpaired translation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.networks.patch_sampler import PatchSampler
from impasto.networks.translators import ResNetGenerator
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.translation import Referee, TranslationRecipe, from_signed, to_signed, translation_adam
from impasto.training.recipe import Engine

__all__ = ["CUT"]


class CUT(TranslationRecipe):
    """A network learns to translate A into B, without a way back; each batch is (pictures of A, of B) in [0, 1].

    That it still shows what it was made from is asked of patches: each should be told, by the generator's own features,
    from the other patches of its picture.

    Args:
        to_b: the paper's G.
        sampler: the paper's H, which compares.
        judge_b: tells real pictures of B from made ones.
        samples: pictures of A and of B that previews show.
        options: everything else; with the method "fastcut" pictures of B need not stay, and half of the steps are taken
            with pictures turned left to right, whose patches must be the same.
        referee: looks at translations now and then; None: nobody does, and the last weights are the result.

    Source: Park, Efros, Zhang & Zhu 2020, "Contrastive learning for unpaired image-to-image translation",
        arXiv:2007.15651.
    Differs: as for `CycleGAN`; first weights are CycleGAN's. The discriminator learns first, and from no earlier
        pictures, as in the program.
    """

    options: CycleGANOptions
    kind = "lsgan"
    averaged = ("to_b",)
    caption = "in each row: a picture of A, as B; a picture of B, and what the same network makes of it"

    def __init__(
        self,
        to_b: ResNetGenerator,
        sampler: PatchSampler,
        judge_b: nn.Module,
        samples: tuple[Tensor, Tensor],
        options: CycleGANOptions,
        referee: Referee | None = None,
    ) -> None:
        self.name = options.method
        self.to_b, self.sampler, self.judge_b, self.samples, self.options = to_b, sampler, judge_b, samples, options
        self.fast = options.method == "fastcut"
        usual = 10.0 if self.fast else 1.0
        self.weight = usual if options.patch_weight is None else options.patch_weight
        self.networks = {"to_b": to_b, "sampler": sampler, "judge_b": judge_b}
        self.optimizers = {
            "generator": translation_adam([to_b], options.learning_rate),
            "sampler": translation_adam([sampler], options.learning_rate),
            "discriminator": translation_adam([judge_b], options.learning_rate),
        }
        self._watched(referee)

    def to(self, device: torch.device) -> None:
        """Move the pictures that previews show."""
        self.samples = (self.samples[0].to(device), self.samples[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Translate, teach the discriminator, then the generator and what compares patches."""
        real_a, real_b = (to_signed(pictures) for pictures in batch)
        turned = self.fast and bool(torch.rand((), generator=engine.random) < 0.5)
        made_b = self.to_b.translate(real_a.flip(3) if turned else real_a)

        # 1. The discriminator: section 3, eq. 1.
        self.judge_b.requires_grad_(True)
        judged = self._judged(self.judge_b, real_b, made_b.detach())
        self.optimizers["discriminator"].zero_grad()
        engine.backward(judged)
        self.optimizers["discriminator"].step()

        # 2. The generator, and what compares.
        self.judge_b.requires_grad_(False)
        losses = {
            "fool_b": self._fooled(self.judge_b, made_b),  # eq. 1
            "patches_a": self.weight * self._compared(made_b, real_a, engine, turned),  # eq. 4: L_PatchNCE(G, H, X)
        }
        if not self.fast:  # eq. 5: pictures of B stay; halves, as the program has them
            same_b = self.to_b.translate(real_b)
            losses["patches_a"] = losses["patches_a"] / 2
            losses["patches_b"] = self.weight * self._compared(same_b, real_b, engine) / 2
        for name in ("generator", "sampler"):
            self.optimizers[name].zero_grad()
        engine.backward(torch.stack(list(losses.values())).sum())
        for name in ("generator", "sampler"):
            self.optimizers[name].step()
        return {name: loss.detach() for name, loss in (losses | {"judge_b": judged}).items()}

    def _compared(self, made: Tensor, source: Tensor, engine: Engine, turned: bool = False) -> Tensor:
        """Return how hard it is to find each patch of what was made among those of the source, in nats: eq. 3.

        Args:
            made: `(B, 3, H, W)`.
            source: the same shape.
            engine: for chance.
            turned: whether `made` is turned left to right.
        """
        found = [maps.flip(3) if turned else maps for maps in self.to_b.features(made)]
        with torch.no_grad():
            known = self.to_b.features(source)
        places = [torch.randperm(maps[0, 0].numel(), generator=engine.random)[: self.options.patches] for maps in known]
        places = [chosen.to(made.device) for chosen in places]
        queries = self.sampler(found, places)
        with torch.no_grad():
            keys = self.sampler(known, places)
        losses = []
        for query, key in zip(queries, keys, strict=True):
            likeness = query @ key.transpose(1, 2) / self.options.temperature  # (B, P, P): each with all of its picture
            right = torch.arange(likeness.shape[1], device=likeness.device).expand(len(likeness), -1)
            losses.append(F.cross_entropy(likeness.flatten(0, 1), right.flatten()))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def preview(self) -> Tensor:
        """Return a row for each sample: of A, as B; and of B, as what it stays."""
        a, b = (to_signed(pictures) for pictures in self.samples)
        return from_signed(torch.stack([a, self.to_b.translate(a), b, self.to_b.translate(b)], 1))
