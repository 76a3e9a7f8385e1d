"""Networks learn to translate pictures of one kind into another: from folders and settings to a training's events.

Each function opens the pictures, makes the networks and their method, and hands both to `loop.iter_train`.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from impasto.checkpoints.files import CLASSIFIER
from impasto.data.folders import AlignedPairs, Pairs, PictureFolder
from impasto.errors import OptionError
from impasto.evaluation.translation import ENOUGH, hold_out
from impasto.evaluation.translation_monitors import DomainReferee, PairReferee
from impasto.events import Event
from impasto.networks.patch_sampler import PatchSampler
from impasto.networks.patchgan import PatchDiscriminator, field_of_view
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.recipes.cut.recipe import CUT
from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.recipes.cyclegan.recipe import CycleGAN
from impasto.recipes.options import TranslationOptions
from impasto.recipes.pix2pix.options import Pix2PixOptions
from impasto.recipes.pix2pix.recipe import Pix2Pix
from impasto.training.loop import iter_train

__all__ = ["iter_cyclegan", "iter_pix2pix"]

_SAMPLES = 3  # pictures of each kind in a preview
_Made = TypeVar("_Made")


def iter_cyclegan(
    a: str | Path | Sequence[str | Path],
    b: str | Path | Sequence[str | Path],
    options: CycleGANOptions = CycleGANOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, at whose end two networks translate pictures of A into B and of B into A.

    With the methods "cut" and "fastcut" there is only the first.

    Args:
        a: folders of pictures, as they are; there need not be as many as of B.
        b: folders of pictures of the other kind.
        options: everything else.
        run: folder that everything is written to: the network from A to B as `model.safetensors`, that from B to A as
            `model-back.safetensors`.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `loop.iter_train`.
    """
    CycleGANOptions.check(options)
    _check_crop(options, 4)
    flip, zoom, seed = not options.no_flip, options.zoom, options.seed
    first = PictureFolder(a, options.crop, seed=seed, flip=flip, zoom=zoom)
    second = PictureFolder(b, options.crop, seed=seed + 1, flip=flip, zoom=zoom)
    referee, remarks = None, tuple[str, ...]()
    if options.watch_steps and min(len(first), len(second)) >= ENOUGH:
        (first, held_a), (second, held_b) = hold_out(first), hold_out(second)
        held, place = (held_a, held_b), Path(run) / CLASSIFIER
        ways = ("to_b", "to_a") if options.method == "cyclegan" else ("to_b",)
        referee = DomainReferee((first, second), held, options, place, ways=ways, resume=resume)
    elif options.watch_steps:
        remarks = _few(f"there are {len(first)} pictures of A and {len(second)} of B")

    blur = options.method != "cyclegan"  # as in CUT's program

    def generator() -> ResNetGenerator:
        return ResNetGenerator(options.width, options.blocks, options.norm, blur_down=blur, blur_up=blur)

    def judge() -> PatchDiscriminator:
        return PatchDiscriminator(options.judge_width, options.judge_layers, options.norm, blur=blur)

    def method() -> CycleGAN | CUT:
        samples = _samples(first), _samples(second)
        if options.method == "cyclegan":
            return CycleGAN(generator(), generator(), judge(), judge(), samples, options, referee)
        to_b = generator()
        return CUT(to_b, PatchSampler(to_b.feature_channels()), judge(), samples, options, referee)

    made = _seeded(options.seed, method)
    made.remarks, made.about = remarks, _learned(first, second)
    return iter_train(made, Pairs(first, second), options, run=run, resume=resume, force=force)


def iter_pix2pix(
    pairs: str | Path,
    options: Pix2PixOptions = Pix2PixOptions(),  # noqa: B008 - frozen
    *,
    second: str | Path | None = None,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, at whose end a network translates as it was shown in pairs.

    Args:
        pairs: a folder of pictures side by side, or one with the folders a and b; see `folders.AlignedPairs`.
        options: everything else.
        second: the folder of what pictures should become, if `pairs` has only what is translated.
        run: folder that everything is written to, the network as `model.safetensors`.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `loop.iter_train`.
    """
    Pix2PixOptions.check(options)
    _check_crop(options, 4 if options.network == "resnet" else 2 ** options.halvings())
    data = AlignedPairs(
        pairs, options.crop, second=second, seed=options.seed, flip=not options.no_flip, zoom=options.zoom
    )
    referee, remarks = None, tuple[str, ...]()
    if options.watch_steps and len(data) >= ENOUGH:
        data, held = hold_out(data)
        referee = PairReferee(held, options, options.direction)
    elif options.watch_steps:
        remarks = _few(f"there are {len(data)} pairs")
    dropout = not options.no_dropout

    def generator() -> ResNetGenerator | UNetGenerator:
        if options.network == "resnet":
            return ResNetGenerator(options.width, options.blocks, options.norm, dropout=dropout)
        return UNetGenerator(options.width, options.halvings(), options.norm, dropout=dropout)

    def judge() -> PatchDiscriminator:
        return PatchDiscriminator(options.judge_width, options.judge_layers, options.norm, channels=6)

    networks = _seeded(options.seed, lambda: (generator(), judge()))
    made = Pix2Pix(*networks, _samples(data), options, referee)
    made.remarks, made.about = remarks, _learned(data)
    return iter_train(made, data, options, run=run, resume=resume, force=force)


def _seeded(seed: int, make: Callable[[], _Made]) -> _Made:
    """Return networks whose first weights depend on the seed alone; nobody else's chance is touched."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def _check_crop(options: TranslationOptions, multiple: int) -> None:
    if options.crop % multiple:
        raise OptionError(f"crop is {options.crop}; expected a multiple of {multiple}, as this network needs.")
    least = 4 * 2**options.judge_layers  # what is left is then two places and more
    if options.crop < least:
        raise OptionError(
            f"crop is {options.crop}; expected {least} or more for discriminators of {options.judge_layers} layers, "
            f"which see {field_of_view(options.judge_layers)} px; or --judge-layers 1."
        )


def _samples(data: PictureFolder) -> Tensor:
    """Return the pictures that previews show."""
    return data.part(range(len(data)), flip=False).batch(range(_SAMPLES))


def _learned(*data: PictureFolder) -> dict[str, str]:
    """Return what the finished file says of its pictures, so that it is not judged on those."""
    return {"learned": "".join(mark for pictures in data for mark in pictures.marks)}


def _few(what: str) -> tuple[str, ...]:
    return (f"{what}; of fewer than {ENOUGH} none are held out, so nobody judges, and what is learned last is kept",)
