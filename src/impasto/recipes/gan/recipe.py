"""Generative adversarial networks (GANs): a generator of small pictures or points against a discriminator."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import CLASSIFIER
from impasto.data.synthetic import MIXTURES
from impasto.errors import OptionError
from impasto.evaluation.monitors import MixtureMonitor, make_monitor
from impasto.events import Event
from impasto.losses.adversarial import discriminator_loss, generator_loss, r1_penalty
from impasto.networks.generators import Discriminator, GeneratorNetwork
from impasto.networks.own import OwnDiscriminator, OwnGenerator
from impasto.ops.augment import augmented
from impasto.ops.pixels import as_floats
from impasto.recipes.classifier.train_beside import train_classifier
from impasto.recipes.common import as_cells
from impasto.recipes.dcgan.options import DCGANOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.image_sets import conditional_classes, image_sets, set_facts, sheets_of
from impasto.recipes.options import AdversarialOptions
from impasto.training.monitor import BestCheckpoint, Models, Monitor, describe_choice
from impasto.training.recipe import Engine, Recipe, Setup, Site, describe, seeded, weights_of

__all__ = ["DCGANRecipe", "GANRecipe"]

_COLUMNS, _ROWS = 10, 8  # of previews
_PART = 500  # samples of a forward pass
_PREVIEW_SEED = 1  # of the latent codes of previews, whatever a run's own seed is; monitors use 0 and 2
_DOTS = 2500  # generated points in a preview
_PLOT = 256  # px, side of a preview of points
_REACH = 1.25  # half the side of such a preview, in units of the largest coordinate of the real points
_GRAY = 0.35  # of real points
_NOISE_LEFT = 1 / 10  # fraction of the instance noise at the end of the training
_SHOWN = 2500  # real points in a preview


class GANRecipe(Recipe):
    """A GAN of dense layers: the generator maps latent codes to samples, the discriminator tells them from real ones.

    Each batch is of real pictures `(B, C, H, W)`, bytes or floats in [0, 1], or of points `(B, N)`. If the networks are
    class-conditional, it is a pair of pictures and labels `(B,)`.

    Args:
        generator: the paper's G.
        discriminator: the paper's D, of the same shape and number of classes.
        options: loss, penalties, learning rates and the rest.
        monitor: measures generated samples during the training; None: the result is the last checkpoint.
        real: points `(n, N)` that previews show in gray below the generated points.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1; Mescheder, Geiger & Nowozin 2018, arXiv:1801.04406,
        for the R1 penalty; Karras et al. 2020, arXiv:1912.04958, section 3.1, for lazy regularization; Karras et al.
        2018, arXiv:1710.10196, for the EMA of the generator's weights; Sønderby et al. 2017, arXiv:1610.04490, for
        instance noise that decays; Roth et al. 2017, arXiv:1705.09367, for its relation to R1: noise of a small
        standard deviation acts as a gradient penalty weighted with its square, so both decay together.
    Differs: one step of the discriminator for each step of the generator. R1 is part of the discriminator's loss in
        every `r1_steps`th step, not a step of its own.
    """

    averaged = ("generator",)
    caption = "samples of the same latent codes in every preview"

    def __init__(
        self,
        generator: GeneratorNetwork,
        discriminator: Discriminator,
        options: AdversarialOptions,
        monitor: Monitor | None = None,
        real: Tensor | None = None,
    ) -> None:
        self.name = "dcgan" if generator.kind == "conv" else "gan"
        self.generator, self.discriminator, self.options, self.monitor = generator, discriminator, options, monitor
        self._real = real
        if generator.classes:
            self.caption += "; each column has its own class"
        self.networks = {"generator": generator, "discriminator": discriminator}
        rate = options.learning_rate if options.discriminator_rate is None else options.discriminator_rate
        self.optimizers = {
            "generator": _optimizer(generator, options.learning_rate, options),
            "discriminator": _optimizer(discriminator, rate, options),
        }
        self.watch_steps = 0 if monitor is None else monitor.every
        self.results: dict[str, Any] = {}
        self._sentences: list[str] = []
        self._done, self._best = 0, BestCheckpoint(generator)

    @classmethod
    def build(cls, data: Mapping[str, Any], options: Any, site: Site) -> Setup:
        """Read the set or sample the mixture of Gaussians, and build the networks; see `Recipe.build`."""
        images = data["images"]
        if isinstance(images, str) and images in MIXTURES and not Path(images).exists():
            return cls._of_points(images, options, site)
        sets, options = image_sets(images, options)
        classes = conditional_classes(sets, options.conditional, images)
        generator, discriminator = cls._networks(sets.train.shape, options, classes, site)
        monitor = None
        if options.watch_steps:
            monitor = make_monitor(
                sets,
                every=options.watch_steps,
                count=options.watch_pictures,
                device=options.device,
                path=site.run / CLASSIFIER,
                seed=options.seed,
                train_classifier=train_classifier,
                classifier=options.classifier,
                resume=site.resume,
            )
        recipe = cls(generator, discriminator, options, monitor)
        recipe.about = set_facts(images, sets)
        if options.classifier and monitor is not None:
            recipe.record = {"classifier": digest(load_classifier(options.classifier))}
        return Setup(recipe, sets.train.labeled() if classes else sets.train, options, sheets_of(sets, options))

    @classmethod
    def _of_points(cls, name: str, options: Any, site: Site) -> Setup:
        """Return a training on a mixture of Gaussians in the plane, whose modes can be counted."""
        if not isinstance(options, GANOptions):
            raise OptionError(f"{name} holds points, not pictures; use the method gan, whose layers are dense.")
        if options.conditional or options.augment:
            raise OptionError(
                f"{name} holds points, which have no classes and no colors; leave out conditional and augment."
            )
        mixture = MIXTURES[name](seed=options.seed)
        options = options.planned(len(mixture))
        every, count = options.watch_steps, options.watch_pictures
        monitor = MixtureMonitor(mixture, every=every, count=count) if every else None
        real = mixture.points(_SHOWN, torch.Generator().manual_seed(options.seed))
        recipe = cls(*cls._networks((2,), options, 0, site), options, monitor, real)
        recipe.about = {"pictures": name}
        return Setup(recipe, mixture, options)

    @classmethod
    def _networks(cls, shape: tuple[int, ...], options: Any, classes: int, site: Site) -> tuple[Any, Any]:
        """Return generator and discriminator; networks of the caller replace ours."""
        given = site.network
        own: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"generator": given}
        generator: Any
        discriminator: Any
        generator, discriminator = seeded(options.seed, lambda: cls.networks_of(shape, options, classes))
        if own.get("generator") is not None:
            generator = OwnGenerator(own["generator"], shape)
        if own.get("discriminator") is not None:
            discriminator = OwnDiscriminator(own["discriminator"], shape)
        if classes and (own.get("generator") or own.get("discriminator")):
            raise OptionError("networks of your own are not class-conditional; leave out conditional.")
        return generator, discriminator

    @staticmethod
    def networks_of(
        shape: tuple[int, ...], options: GANOptions, classes: int = 0
    ) -> tuple[GeneratorNetwork, Discriminator]:
        """Return a generator and a discriminator of dense layers, with random weights."""
        both: dict[str, Any] = {"classes": classes, "activation": options.activation}
        widths = options.discriminator_hidden or options.hidden[::-1]
        return (
            GeneratorNetwork(shape, options.latent, hidden=options.hidden, **both),
            Discriminator(shape, hidden=widths, spectral=options.spectral_norm, fourier=options.fourier, **both),
        )

    def card(self) -> dict[str, Any]:
        """Return the architecture and settings of the generator."""
        return {**describe(self.generator, "generator"), "name": "generator"}

    def prepare(self) -> Iterator[Event]:
        """Yield the events of the monitor's preparation."""
        if self.monitor is not None:
            yield from self.monitor.prepare()

    def step(self, batch: Any, engine: Engine) -> dict[str, Tensor]:
        """Update the discriminator, then the generator.

        "d_real" is the mean of D(x), "d_fake" that of D(G(z)). Both are 0.5 if the discriminator only guesses.
        """
        options, g, d = self.options, self.generator, self.discriminator
        real, labels = (batch, None) if isinstance(batch, Tensor) else batch
        real = _unit(real)
        penalized = options.r1_weight > 0 and engine.step % options.r1_steps == 0
        left = _NOISE_LEFT**engine.progress if options.instance_noise else 1.0
        noise, r1_weight = left * options.instance_noise, left**2 * options.r1_weight

        # 1. Update the discriminator on real samples and on fakes.
        with torch.no_grad():
            fake = g(self._codes(real), labels)
        real.requires_grad_(penalized)
        on_real, on_fake = (d(self._augmented(samples, noise), labels).float() for samples in (real, fake))
        d_loss = loss = discriminator_loss(on_real, on_fake, options.loss)
        if penalized:  # lazy regularization: in every r1_steps-th step, with r1_steps times the weight
            loss = d_loss + options.r1_steps * r1_weight * r1_penalty(on_real, real)
        optimizer = self.optimizers["discriminator"]
        optimizer.zero_grad()
        engine.backward(loss)
        optimizer.step()

        # 2. Update the generator against the discriminator after its update.
        d.requires_grad_(False)  # frozen: its gradients are not needed
        on_new = d(self._augmented(g(self._codes(real), labels), noise), labels).float()
        g_loss = generator_loss(on_new, options.loss)
        optimizer = self.optimizers["generator"]
        optimizer.zero_grad()
        engine.backward(g_loss)
        optimizer.step()
        d.requires_grad_(True)
        self._done = engine.step + 1
        return {
            "discriminator": d_loss.detach(),
            "generator": g_loss.detach(),
            "d_real": on_real.detach().sigmoid().mean(),
            "d_fake": on_fake.detach().sigmoid().mean(),
        }

    def _codes(self, like: Tensor) -> Tensor:
        """Return as many random latent codes z, `(B, latent)`."""
        return torch.randn(len(like), self.generator.latent, device=like.device)

    def _augmented(self, pictures: Tensor, noise: float) -> Tensor:
        """Return real pictures or fakes as the discriminator gets them: after DiffAugment, with instance noise."""
        pictures = augmented(pictures, self.options.augment) if self.options.augment else pictures
        return pictures + noise * torch.randn_like(pictures) if noise else pictures

    def watch(self, step: int) -> tuple[dict[str, float], list[str]]:
        """Measure the generator; remember its weights if their score is the best so far."""
        assert self.monitor is not None
        found = self.monitor.measure(step, self._models(self.generator))
        if found is None:
            return {}, []
        self._best.update(found.score, step)
        return found.measures, [] if found.alarm is None else [found.alarm]

    def _models(self, generator: GeneratorNetwork) -> Models:
        return {"generator": partial(self.samples, generator=generator)}

    @torch.no_grad()
    def samples(self, count: int, seed: int, generator: GeneratorNetwork | None = None) -> Tensor:
        """Return samples `(count, C, H, W)`, of each class in turn; the latent codes depend on the seed alone."""
        g = self.generator if generator is None else generator
        device = next(g.parameters()).device
        codes = torch.randn(count, g.latent, generator=torch.Generator().manual_seed(seed)).to(device)
        labels = torch.arange(count, device=device) % g.classes if g.classes else None
        parts = [codes[first : first + _PART] for first in range(0, count, _PART)]
        named = [None if labels is None else labels[first : first + _PART] for first in range(0, count, _PART)]
        return torch.cat([g(*part) for part in zip(parts, named, strict=True)])

    def preview(self) -> Tensor:
        """Return samples, with a column for each class if there are classes; or a plot of generated points."""
        columns = self.generator.classes or _COLUMNS
        if len(self.generator.shape) == 1:
            return _plotted(self.samples(_DOTS, _PREVIEW_SEED), self._real)
        rows = self.samples(_ROWS * columns, _PREVIEW_SEED).view(_ROWS, columns, *self.generator.shape)
        return as_cells(list(rows))

    def model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the generator's weights of the best or the last checkpoint; and its settings and measurements."""
        chosen, self.results = self.generator, {"step": self._done}
        last = None if self.monitor is None else self.monitor.measure(self._done, self._models(self.generator))
        if self.monitor is not None and last is not None:
            chosen, self.results = self._best.choose(last.score, self._done, self.options.keep)
            found, sentences = self.monitor.finish(self._models(chosen))
            self._sentences = [describe_choice(self.results), *sentences]
            self.results |= found
        header = {**describe(self.generator, "generator"), "results": self.results}
        return weights_of(chosen), header

    def notes(self) -> list[str]:
        """Return the measurements as sentences."""
        return self._sentences

    def state(self) -> dict[str, Tensor]:
        """Return the number of steps; with a monitor also the best generator so far and the monitor's state."""
        state = {"done": torch.tensor(self._done)}
        if self.monitor is not None:
            state |= self._best.state()
            state |= {f"monitor/{key}": value for key, value in self.monitor.state().items()}
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        self._done = int(state["done"])
        if self.monitor is not None:
            self._best.restore(state)
            kept = {key.removeprefix("monitor/"): value for key, value in state.items() if key.startswith("monitor/")}
            self.monitor.restore(kept)


class DCGANRecipe(GANRecipe):
    """A GAN of convolutional networks (DCGAN), trained as `GANRecipe` trains.

    Source: Radford, Metz & Chintala 2016, arXiv:1511.06434, section 3 (the preset "paper").
    Differs: the default has the R1 penalty, an EMA of the weights, and a blur after each upsampling.
    """

    @staticmethod
    def networks_of(shape: tuple[int, ...], options: Any, classes: int = 0) -> tuple[GeneratorNetwork, Discriminator]:
        """Return a convolutional generator and discriminator, with random weights."""
        assert isinstance(options, DCGANOptions)
        width, blur = options.width, options.smoothing == "blur"
        norm, other = options.norm, options.discriminator_norm
        return (
            GeneratorNetwork(shape, options.latent, "conv", width=width, norm=norm, classes=classes, blur=blur),
            Discriminator(shape, "conv", width=width, norm=other, classes=classes, spectral=options.spectral_norm),
        )


def _optimizer(network: torch.nn.Module, rate: float, options: AdversarialOptions) -> torch.optim.Optimizer:
    if options.optimizer == "rmsprop":  # with the defaults of Keras
        return torch.optim.RMSprop(network.parameters(), rate, alpha=0.9, eps=1e-7)
    return torch.optim.Adam(network.parameters(), rate, (options.momentum, 0.999), fused=True)


def _unit(pictures: Tensor) -> Tensor:
    """Return bytes as floats in [0, 1]; floats stay unchanged."""
    return as_floats(pictures) if pictures.dtype == torch.uint8 else pictures.detach()


def _plotted(points: Tensor, real: Tensor | None) -> Tensor:
    """Return points `(n, 2)` as a preview: white on black, real points in gray below, the origin in the center."""
    plot = torch.zeros(_PLOT, _PLOT)
    reach = _REACH * float((points if real is None else real).abs().max())
    for some, light in ((real, _GRAY), (points, 1.0)):
        if some is not None:
            cells = ((some.cpu() / max(reach, 1e-6) + 1) / 2 * (_PLOT - 1)).round().long()
            cells = cells[((cells >= 0) & (cells < _PLOT)).all(1)]
            plot[_PLOT - 1 - cells[:, 1], cells[:, 0]] = light
    return plot.expand(1, 1, 3, -1, -1)
