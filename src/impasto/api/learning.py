"""Networks learn from small pictures: from a set and settings to the events of a training.

Each function reads the set, makes the network and its method, and hands both to `loop.iter_train`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from impasto.checkpoints.classifier import digest, load_classifier
from impasto.checkpoints.files import CLASSIFIER
from impasto.data.arrays import DIGITS, Sets, read_sets
from impasto.data.synthetic import WORLDS
from impasto.devices import find_device
from impasto.errors import ImageError, OptionError
from impasto.evaluation.monitors import PointJudge, count_classes, make_judge
from impasto.events import Event
from impasto.networks.autoencoder import VAE, Autoencoder
from impasto.networks.classifier import Classifier
from impasto.networks.generators import Discriminator, Generator
from impasto.recipes.autoencoder.options import AutoencoderOptions
from impasto.recipes.autoencoder.recipe import Autoencoding
from impasto.recipes.classifier.options import ClassifierOptions
from impasto.recipes.classifier.recipe import Classifying
from impasto.recipes.dcgan.options import DCGANOptions
from impasto.recipes.gan.options import GANOptions
from impasto.recipes.gan.recipe import Adversarial
from impasto.recipes.options import AdversarialOptions, CoderOptions, SmallOptions
from impasto.recipes.vae.options import VAEOptions
from impasto.recipes.vae.recipe import Variational
from impasto.reports.sheets import draw_sheets
from impasto.training.loop import iter_train

__all__ = ["iter_autoencoder", "iter_classifier", "iter_dcgan", "iter_gan", "iter_vae"]

_Made = TypeVar("_Made")
_STATIC_SEED = 0  # of pixels that are drawn once, whatever a run's own seed is, so that results can be compared
_MOST_CLASSES = 10_000
_SHOWN = 2500  # real points in previews of the plane


def iter_autoencoder(
    pictures: str | Path | Sets = DIGITS,
    options: AutoencoderOptions = AutoencoderOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, at whose end a network turns pictures into a few numbers and back.

    Args:
        pictures: a set, as for `arrays.read_sets`.
        options: everything else.
        run: folder that everything is written to, the network as `model.safetensors`, in whose header are the errors
            on the test set.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `arrays.read_sets` and
            `loop.iter_train`.
    """
    AutoencoderOptions.check(options)
    sets, options = _sets(pictures, options)
    network = _seeded(options.seed, lambda: Autoencoder(**_shaped(sets, options)))
    method = Autoencoding(network, sets.train.images, sets.test.images, options)
    method.about = _named(pictures, sets)
    figures = _figures(sets, options)
    return iter_train(method, sets.train, options, run=run, resume=resume, force=force, figures=figures)


def iter_vae(
    pictures: str | Path | Sets = DIGITS,
    options: VAEOptions = VAEOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, at whose end a network makes new pictures of the set's kind.

    Everything is as for `iter_autoencoder`; the model's header holds the parts of the bound on the test set, in nats.
    If the options are conditional, the set must have labels.
    """
    VAEOptions.check(options)
    sets, options = _sets(pictures, options)
    train, test = sets
    if options.targets != "gray":
        test = test.binarized(_STATIC_SEED + 1)
    if options.targets == "static":
        train = train.binarized(_STATIC_SEED)
    classes = _classes(sets, options, pictures, "VAE")
    if classes and (test.labels is None or int(test.labels.max()) >= classes):
        raise OptionError("the test set has other classes, or no labels; a conditional VAE needs the same ones.")
    network = _seeded(options.seed, lambda: VAE(**_shaped(sets, options), classes=classes))
    method = Variational(network, test.images, options, test.labels if classes else None)
    method.about = _named(pictures, sets)
    data, figures = train.labeled() if classes else train, _figures(sets, options)
    return iter_train(method, data, options, run=run, resume=resume, force=force, figures=figures)


def iter_gan(
    pictures: str | Path | Sets = DIGITS,
    options: GANOptions = GANOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, in which a generator and a discriminator of dense layers play against each other.

    Args:
        pictures: a set, as for `arrays.read_sets`. If it has labels, a classifier learns them first, and looks at
            what is made: a Note tells when kinds of pictures get lost, and the generator that was nearest to real ones
            is kept. "ring" and "grid" are no pictures but Gaussians in the plane, whose modes are counted; see `toys`.
        options: everything else.
        run: folder that everything is written to, the generator as `model.safetensors`, in whose header is how good it
            is.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `arrays.read_sets`,
            `monitors.make_judge` and `loop.iter_train`.
    """
    GANOptions.check(options)
    if isinstance(pictures, str) and pictures in WORLDS and not Path(pictures).exists():
        return _in_the_plane(pictures, options, run, resume, force)
    sets, options = _sets(pictures, options)
    networks = _dense(sets.train.shape, options, _classes(sets, options, pictures))
    return _played(*networks, sets, pictures, options, run, resume, force)


def _dense(shape: tuple[int, ...], options: GANOptions, classes: int = 0) -> tuple[Generator, Discriminator]:
    both: dict[str, Any] = {"classes": classes, "activation": options.activation}
    judging = options.discriminator_hidden or options.hidden[::-1]
    return _seeded(
        options.seed,
        lambda: (
            Generator(shape, options.latent, hidden=options.hidden, **both),
            Discriminator(shape, hidden=judging, spectral=options.spectral_norm, fourier=options.fourier, **both),
        ),
    )


def _in_the_plane(name: str, options: GANOptions, run: str | Path, resume: bool, force: bool) -> Iterator[Event]:
    """Yield the events of a training on points whose modes can be counted."""
    if options.conditional or options.augment:
        raise OptionError(
            f"{name} holds points, which have no classes and no colors; leave out conditional and augment."
        )
    data = WORLDS[name](seed=options.seed)
    options = options.planned(len(data))
    judge = PointJudge(data, options) if options.watch_steps else None
    real = data.points(_SHOWN, torch.Generator().manual_seed(options.seed))
    method = Adversarial(*_dense((2,), options), options, judge, real)
    method.about = {"pictures": name}
    return iter_train(method, data, options, run=run, resume=resume, force=force)


def iter_dcgan(
    pictures: str | Path | Sets = DIGITS,
    options: DCGANOptions = DCGANOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training of a convolutional generator; everything is as for `iter_gan`."""
    DCGANOptions.check(options)
    sets, options = _sets(pictures, options)
    shape, classes, width = sets.train.shape, _classes(sets, options, pictures), options.width
    norm, other, blur = options.norm, options.discriminator_norm, options.smoothing == "blur"
    networks = _seeded(
        options.seed,
        lambda: (
            Generator(shape, options.latent, "conv", width=width, norm=norm, classes=classes, blur=blur),
            Discriminator(shape, "conv", width=width, norm=other, classes=classes, spectral=options.spectral_norm),
        ),
    )
    return _played(*networks, sets, pictures, options, run, resume, force)


def _classes(
    sets: Sets, options: AdversarialOptions | VAEOptions, pictures: str | Path | Sets, what: str = "GAN"
) -> int:
    """Return how many classes can be asked for; 0 if nobody wants to."""
    if not options.conditional:
        return 0
    name = "The set" if isinstance(pictures, Sets) else str(pictures)
    if sets.train.labels is None:
        raise OptionError(
            f"{name} has no labels; a conditional {what} needs some: a folder for each class, or an .npz file."
        )
    classes = count_classes(sets.train.labels)
    if not classes:
        raise OptionError(
            f"{name} has pictures of one class, or labels below 0; a conditional {what} needs two or more."
        )
    if classes > _MOST_CLASSES:
        raise OptionError(
            f"{name} has labels up to {classes - 1:,}; expected classes counted from 0, {_MOST_CLASSES:,} at most."
        )
    found = torch.bincount(sets.train.labels, minlength=classes)
    if not bool(found.all()):
        raise OptionError(
            f"{name} has no picture of class {int(found.argmin())}, but some of class {classes - 1}; a conditional "
            f"{what} needs some of each: number classes from 0, without gaps."
        )
    return classes


def _played(
    generator: Generator,
    discriminator: Discriminator,
    sets: Sets,
    pictures: str | Path | Sets,
    options: AdversarialOptions,
    run: str | Path,
    resume: bool,
    force: bool,
) -> Iterator[Event]:
    judge = make_judge(sets, options, Path(run) / CLASSIFIER, resume=resume) if options.watch_steps else None
    method = Adversarial(generator, discriminator, options, judge)
    method.about = _named(pictures, sets)
    if options.classifier and judge is not None:
        method.record = {"classifier": digest(load_classifier(options.classifier))}
    data, figures = sets.train.labeled() if generator.classes else sets.train, _figures(sets, options)
    return iter_train(method, data, options, run=run, resume=resume, force=force, figures=figures)


def iter_classifier(
    pictures: str | Path | Sets = DIGITS,
    options: ClassifierOptions = ClassifierOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, at whose end a network tells the classes of the set apart.

    Everything is as for `iter_autoencoder`; the set must have labels. The model's header holds "accuracy", the share
    of test pictures that it names rightly, if those have labels, too.
    """
    ClassifierOptions.check(options)
    train, test = read_sets(pictures, crop=options.crop, colors=options.colors)
    data = train.shuffled(options.seed).to(find_device(options.device)).labeled()
    if train.labels is None:
        raise ImageError(f"{_called(pictures)} has no labels; expected classes, as folders in a folder are.")
    known = torch.cat([part.labels for part in (train, test) if part.labels is not None])
    low, high = int(known.min()), int(known.max())
    if low < 0 or not 1 <= high < _MOST_CLASSES:
        raise ImageError(f"labels are from {low} to {high}; expected two classes or more, counted from 0.")
    network = _seeded(options.seed, lambda: Classifier(high + 1, train.shape[0], train.shape[1:]))
    held = (test.images, test.labels) if test.labels is not None else (test.images[:0], torch.zeros(0).long())
    method = Classifying(network, held, options)
    method.about = _named(pictures, Sets(train, test))
    return iter_train(method, data, options, run=run, resume=resume, force=force)


_Options = TypeVar("_Options", bound=SmallOptions)


def _sets(pictures: str | Path | Sets, options: _Options) -> tuple[Sets, _Options]:
    """Return the sets where they are needed, and the options with a number of steps."""
    train, test = read_sets(pictures, crop=options.crop, colors=options.colors)
    return Sets(train.shuffled(options.seed).to(find_device(options.device)), test), options.planned(len(train))


def _figures(sets: Sets, options: SmallOptions) -> Callable[[Path], Iterator[Event]]:
    """Return what draws the sheets of the report, from the pictures that were learned from."""
    return partial(draw_sheets, pictures=sets, device=options.device)


def _named(pictures: str | Path | Sets, sets: Sets) -> dict[str, Any]:
    """Return what the finished file says of the set: where it is to be found again, and the names of its classes."""
    found = {} if isinstance(pictures, Sets) else {"pictures": str(pictures)}
    return {**found, "classes": list(sets.train.names)} if sets.train.names else found


def _called(pictures: str | Path | Sets) -> str:
    return "the set" if isinstance(pictures, Sets) else str(pictures)


def _shaped(sets: Sets, options: CoderOptions) -> dict[str, Any]:
    """Return what makes a network for these pictures."""
    return {
        "shape": sets.train.shape,
        "latent": options.latent,
        "kind": options.network,
        "hidden": options.hidden,
        "width": options.width,
    }


def _seeded(seed: int, make: Callable[[], _Made]) -> _Made:
    """Return networks whose first weights depend on the seed alone; nobody else's chance is touched."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()
