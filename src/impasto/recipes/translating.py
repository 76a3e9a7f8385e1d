"""CycleGAN, CUT and pix2pix: networks learn to translate pictures of one kind into another, without pairs or with them.

Each is written out in the order in which its program does it, each loss beside its line of the paper. Pictures are
in [-1, 1] here, as the papers' weights of losses are meant; they come in [0, 1].
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.augmentation import augmented
from impasto.events import Event, Note
from impasto.networks.translation import PatchSampler, ResNetGenerator, UNetGenerator
from impasto.options import CycleGANOptions, Pix2PixOptions, TranslationOptions
from impasto.recipes import Engine, Recipe
from impasto.recipes.judging import Best, Look

__all__ = ["CUT", "CycleGAN", "Pix2Pix", "Pool", "Referee", "Way", "adversarial_loss"]

_BETAS = (0.5, 0.999)  # of Adam, in both papers

Generator = ResNetGenerator | UNetGenerator


def adversarial_loss(judged: Tensor, real: bool, kind: str) -> Tensor:
    """Return how far a discriminator is from saying that pictures are real, or that they are not.

    Args:
        judged: what it says of each patch, any shape.
        real: what it should say.
        kind: "lsgan": mean squared distance from 1 or 0; "vanilla": cross-entropy in nats.

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9 with a = 0, b = c = 1, without the halves; Goodfellow et al. 2014,
        arXiv:1406.2661, eq. 1, of generators the form that does not saturate.
    """
    judged = judged.float()
    wanted = torch.full_like(judged, float(real))
    if kind == "lsgan":
        return F.mse_loss(judged, wanted)
    return F.binary_cross_entropy_with_logits(judged, wanted)


class Pool:
    """Earlier translations, from which half of those are taken that a discriminator sees, so that it does not forget.

    Args:
        size: how many are kept; 0: none, and what is new is seen.
        side: of pictures, in pixels.

    Source: Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; as CycleGAN's section 4 and program have it.
    """

    def __init__(self, size: int, side: int) -> None:
        self.pictures = torch.zeros(size, 3, side, side)
        self.count = 0

    def exchange(self, pictures: Tensor, random: torch.Generator) -> Tensor:
        """Return for each picture `(B, 3, H, W)` itself, or an earlier one in whose place it is kept."""
        if not len(self.pictures):
            return pictures
        chosen = []
        for picture in pictures.detach().float():
            swap, place = torch.rand((), generator=random), torch.randint(len(self.pictures), (), generator=random)
            if self.count < len(self.pictures):
                self.pictures[self.count] = picture.cpu()
                self.count += 1
                chosen.append(picture)
            elif swap < 0.5:
                chosen.append(self.pictures[place].to(picture, copy=True))
                self.pictures[place] = picture.cpu()
            else:
                chosen.append(picture)
        return torch.stack(chosen)

    def state(self) -> dict[str, Tensor]:
        """Return everything that it remembers."""
        return {"pictures": self.pictures, "count": torch.tensor(self.count)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned."""
        self.pictures = state["pictures"].cpu().clone()
        self.count = int(state["count"])


Way = Callable[[Tensor], Tensor]  # pictures (B, 3, H, W) in [0, 1] to translated ones


class Referee(Protocol):
    """What looks at translations of pictures that nobody learns from, without changing how networks learn."""

    def prepare(self) -> Iterator[Event]:
        """Yield what happens until it can look; see `Recipe.prepare`."""

    def look(self, ways: Mapping[str, Way]) -> Look | None:
        """Look at what networks make, by name of the network; None if nothing can be said, as is known from then on."""

    def finish(self, ways: Mapping[str, Way]) -> tuple[dict[str, Any], list[str]]:
        """Return all that can be said of the result, ready for `json.dumps`, and in sentences without a full stop."""


class _Translating(Recipe):
    """What all methods share: how discriminators are asked, and that the best generators are kept.

    Attributes:
        remarks: what a person should know before the first step, sentences without a full stop.
        results: how good the result is; empty until `model` was asked, or if nobody looks.
    """

    options: TranslationOptions
    kind: str  # of the adversarial loss
    averaged: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def _watched(self, referee: Referee | None) -> None:
        """Let a referee look at the generators, once there are `networks` and `options`; None: the last are kept."""
        self.referee = referee
        self.watch_steps = 0 if referee is None else self.options.watch_steps
        self._best = Best(nn.ModuleDict({name: self.networks[name] for name in self.averaged}))
        self._result, self.results, self._told = self._best.network, dict[str, Any](), list[str]()

    def prepare(self) -> Iterator[Event]:
        """Yield what there is to know, and what the referee does before it can look."""
        yield from map(Note, self.remarks)
        if self.referee is not None:
            yield from self.referee.prepare()

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Let the referee look; remember the generators if they are the best so far."""
        assert self.referee is not None
        found = self.referee.look(_ways(self._best.network))
        if found is None:
            return {}, []
        self._best.see(found.score, step)
        return found.measures, [] if found.alarm is None else [found.alarm]

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the generator, or the first of them, as it was best or is now; and how good it is."""
        last = None if self.referee is None else self.referee.look(_ways(self._best.network))
        if self.referee is not None and last is not None:
            self._result, told = self._best.settle(last.score, self._steps(), self.options.keep)
            found, self._told = self.referee.finish(_ways(self._result))
            self.results = {**told, **found}
            if told["step"] != told["last_step"]:
                score, then = told["score"], told["last_score"]
                kept = f"what was best is kept, of step {told['step']:,}: score {score:.3g}, of the last one {then:.3g}"
                self._told = [kept, *self._told]
        return self._finished(self.averaged[0])

    def _finished(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a generator of the result: its weights, what builds it, which way it goes, and how good it is."""
        network = cast("Generator", self._result[name])
        kind = "unet" if isinstance(network, UNetGenerator) else "resnet"
        told = {"network": kind, "settings": network.settings, "direction": self._direction(name)}
        return dict(network.state_dict()), told | ({"results": self.results} if self.results else {})

    def _direction(self, name: str) -> str:
        return "b to a" if name == "to_a" else "a to b"

    def _steps(self) -> int:
        """Return how many steps were taken, as Adam counts them."""
        known = next(iter(self.optimizers.values())).state.values()
        return int(max((float(told["step"]) for told in known), default=0))

    def notes(self) -> list[str]:
        """Return the results in words."""
        return self._told

    def state(self) -> dict[str, Tensor]:
        """Return the best generators so far, if somebody looks."""
        return {} if self.referee is None else self._best.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take them up."""
        if self.referee is not None:
            self._best.restore(state)

    def _fooled(self, judge: nn.Module, made: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return the generator's adversarial loss: how far it is from passing for real."""
        seen = made if beside is None else torch.cat([beside, made], 1)
        return adversarial_loss(judge(self._changed(seen)), True, self.kind)

    def _judged(self, judge: nn.Module, real: Tensor, made: Tensor, beside: Tensor | None = None) -> Tensor:
        """Return the discriminator's loss, halved as in both programs, so that it learns slower."""
        if beside is not None:
            real, made = torch.cat([beside, real], 1), torch.cat([beside, made], 1)
        if _by_itself(judge):  # both at once, for speed
            said = judge(torch.cat([self._changed(real), self._changed(made)]))
            of_real, of_made = said[: len(real)], said[len(real) :]
        else:  # statistics of a batch must not be mixed
            of_real, of_made = judge(self._changed(real)), judge(self._changed(made))
        return (adversarial_loss(of_real, True, self.kind) + adversarial_loss(of_made, False, self.kind)) / 2

    def _changed(self, pictures: Tensor) -> Tensor:
        changes = self.options.augment
        return augmented(pictures / 2 + 0.5, changes) * 2 - 1 if changes else pictures


class CycleGAN(_Translating):
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
            "generators": _adam([to_b, to_a], options.learning_rate),
            "discriminators": _adam([judge_a, judge_b], options.learning_rate),
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
        real_a, real_b = (_signed(pictures) for pictures in batch)
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
        if not _by_itself(network):
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
        a, b = (_signed(pictures) for pictures in self.samples)
        rows = []
        for pictures, there, back in ((a, self.to_b, self.to_a), (b, self.to_a, self.to_b)):
            made = there.translate(pictures)
            shown = [pictures, made, back.translate(made)]
            shown += [back.translate(pictures)] if self.options.identity_weight else []
            rows.append(torch.stack(shown, 1))
        return _unsigned(torch.cat(rows))

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


class CUT(_Translating):
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
            "generator": _adam([to_b], options.learning_rate),
            "sampler": _adam([sampler], options.learning_rate),
            "discriminator": _adam([judge_b], options.learning_rate),
        }
        self._watched(referee)

    def to(self, device: torch.device) -> None:
        """Move the pictures that previews show."""
        self.samples = (self.samples[0].to(device), self.samples[1].to(device))

    def step(self, batch: tuple[Tensor, Tensor], engine: Engine) -> dict[str, Tensor]:
        """Translate, teach the discriminator, then the generator and what compares patches."""
        real_a, real_b = (_signed(pictures) for pictures in batch)
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
        a, b = (_signed(pictures) for pictures in self.samples)
        return _unsigned(torch.stack([a, self.to_b.translate(a), b, self.to_b.translate(b)], 1))


class Pix2Pix(_Translating):
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
            "generator": _adam([generator], options.learning_rate),
            "discriminator": _adam([judge], options.learning_rate),
        }
        self._watched(referee)

    def to(self, device: torch.device) -> None:
        """Move the pictures that previews show."""
        self.samples = self.samples.to(device)

    def _pair(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is translated, and what it should become, in [-1, 1]."""
        a, b = _signed(pairs[:, :3]), _signed(pairs[:, 3:])
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
        return _unsigned(torch.stack([given, self.generator.translate(given), wanted], 1))

    def _direction(self, name: str) -> str:
        return self.options.direction.replace("-", " ")


def _adam(networks: Sequence[nn.Module], learning_rate: float) -> torch.optim.Adam:
    weights = list(chain.from_iterable(network.parameters() for network in networks))
    return torch.optim.Adam(weights, learning_rate, _BETAS, fused=True)


def _by_itself(network: nn.Module) -> bool:
    """Return whether a network makes of each picture what it makes of it alone."""
    return not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def _signed(pictures: Tensor) -> Tensor:
    return pictures * 2 - 1


def _unsigned(pictures: Tensor) -> Tensor:
    return (pictures.float() / 2 + 0.5).clamp(0, 1).cpu()


def _ways(networks: nn.ModuleDict) -> dict[str, Way]:
    return {name: partial(_way, network) for name, network in networks.items()}


@torch.no_grad()
def _way(network: nn.Module, pictures: Tensor) -> Tensor:
    made: Tensor = cast("Generator", network).translate(_signed(pictures))
    return (made.float() / 2 + 0.5).clamp(0, 1)
