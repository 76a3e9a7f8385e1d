"""Style transfer by gradient descent on the pixels, coarse to fine: the method of Gatys, Ecker and Bethge.

`iter_optimize` is the whole method on one page. For each scale it computes targets from the photograph and the style
images, then takes steps along the gradient of content, style and total variation loss.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from impasto.errors import CheckpointError, OptionError
from impasto.events import Done, Note, Started, Step, drain
from impasto.ops.color import luminance, match_color, match_luminance, transplant_luminance
from impasto.ops.resize import resize, style_size
from impasto.reading import as_one_error
from impasto.style_transfer.objective import Encoder, Objective
from impasto.style_transfer.optimizers import LBFGS, Adam, PixelOptimizer
from impasto.style_transfer.options import StylizeOptions
from impasto.style_transfer.plan import Scale, plan_run, reaches, release_memory, scale_seconds, smaller
from impasto.style_transfer.strokes import stroke_noise

__all__ = ["iter_optimize", "optimize", "out_of_memory"]


PLATEAU_WINDOW = 10  # steps


_LARGE = 1e6  # a loss above it comes from weights, and no picture's


_LOWER = "Lower the weights of the losses, such as style_weight."


def _optimizer(options: StylizeOptions) -> PixelOptimizer:
    if options.optimizer == "adam":
        return Adam(options.learning_rate, options.momentum, options.adaptivity)
    return LBFGS(options.learning_rate, options.history)


class _Clock:
    """Elapsed time, remaining time, and the time budget of each scale."""

    def __init__(self, work: Sequence[float], minutes: float | None) -> None:
        self.work = list(work)
        self.budget = math.inf if minutes is None else 60 * minutes
        self.start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.start

    def enter(self, index: int) -> None:
        """Begin a scale: the remaining budget is divided between the remaining scales as in the plan."""
        self.index, self.entered, self.fraction = index, time.monotonic(), 0.0
        self.allowed = (self.budget - self.seconds) * self.work[index] / sum(self.work[index:])

    def tick(self, fraction: float) -> None:
        """Record which fraction of the steps of the scale this run has taken."""
        self.fraction, self.spent = fraction, time.monotonic() - self.entered

    def out_of_time(self, steps: int) -> bool:
        """Return whether another step would exceed the budget of the scale."""
        return self.spent + self.spent / (self.fraction * steps) > self.allowed

    def progress(self, left: float) -> float:
        """Return the fraction of all work that is done if the fraction `left` of the steps of this scale remains."""
        done = sum(self.work[: self.index]) + (1 - left) * self.work[self.index]
        return done / max(sum(self.work), 1e-12)

    def remaining(self, left: float) -> float:
        """Estimate the remaining seconds if the fraction `left` of the steps of this scale remains."""
        rate = self.spent / (self.fraction * self.work[self.index])
        to_do = rate * (left * self.work[self.index] + sum(self.work[self.index + 1 :]))
        return max(0.0, min(to_do, self.budget - self.seconds))


@dataclass(frozen=True)
class _Progress:
    """The state of a run, without the optimizer."""

    picture: Tensor  # (1, 3, h, w); with L-BFGS it may leave [0, 1] a little
    average: Tensor  # exponential moving average of the iterates, without bias correction
    scale: int = 0  # index into the plan
    taken: int = 0  # steps at this scale
    done: int = 0  # steps in the whole run
    totals: tuple[float, ...] = field(default=())  # the last losses at this scale

    def moved(self, picture: Tensor, loss: float, averaging: float) -> "_Progress":
        average = averaging * self.average + (1 - averaging) * picture if averaging else picture
        totals = (*self.totals, loss)[-2 * PLATEAU_WINDOW :]
        return replace(self, picture=picture, average=average, totals=totals, taken=self.taken + 1, done=self.done + 1)

    def result(self, averaging: float) -> Tensor:
        """The result so far: the bias-corrected average, as in Adam, or the last iterate."""
        return self.average / (1 - averaging**self.taken) if averaging and self.taken else self.picture

    def settled(self, plateau: float) -> bool:
        """Whether the loss of the last ten steps is lower than that of the ten before by less than `plateau` of it."""
        if not plateau or len(self.totals) < 2 * PLATEAU_WINDOW:
            return False
        before, after = self.totals[:PLATEAU_WINDOW], self.totals[PLATEAU_WINDOW:]
        return sum(before) - sum(after) < plateau * sum(before)


@dataclass(frozen=True)
class _Scene:
    """The pictures of a run in its working colors, and the inverse."""

    content: Tensor
    styles: Sequence[Tensor]
    original: Tensor
    colors: str
    mask: Tensor | None

    @classmethod
    def set(cls, content: Tensor, styles: Sequence[Tensor], options: StylizeOptions, mask: Tensor | None) -> "_Scene":
        original = content
        if options.colors == "luminance":
            styles = [match_luminance(style, content) for style in styles]
            content = luminance(content).expand(-1, 3, -1, -1)
        elif options.colors == "match":
            styles = [match_color(style, content, options.color_map) for style in styles]
        return cls(content, styles, original, options.colors, mask)

    def finish(self, picture: Tensor) -> Tensor:
        """Return the picture in its final colors, in [0, 1]."""
        picture = picture.clamp(0, 1)
        if self.colors != "luminance":
            return picture
        return transplant_luminance(picture, _fitted(self.original, (picture.shape[-2], picture.shape[-1])))

    def detail(self, coarse: tuple[int, int], fine: tuple[int, int]) -> Tensor:
        """Return the detail of the photograph at size `fine` that size `coarse` loses, (height, width) each."""
        blurred = resize(resize(self.content, coarse), fine)
        return resize(self.content, fine) - blurred

    def add_strokes(self, picture: Tensor, options: StylizeOptions, least: int, index: int) -> None:
        """Add to the first picture of the scale with this number the noise that strokes grow from."""
        size, amount = (picture.shape[-2], picture.shape[-1]), options.strokes * options.strength
        shares = options.style_weights or (1.0,) * len(self.styles)
        random = torch.Generator().manual_seed(options.seed + index)
        for style, share in zip(self.styles, shares, strict=True) if amount else ():
            small = _fitted(style, style_size(style, size, options.style_scale, least))
            noise = stroke_noise(picture, _fitted(self.content, size), small, random)
            picture.add_(noise, alpha=amount * math.sqrt(share / sum(shares)))

    def objective(self, scale: Scale, encoders: Sequence[Encoder], options: StylizeOptions, least: int) -> Objective:
        """Return the objective of a scale."""
        size = (scale.height, scale.width)
        styles = [_fitted(s, style_size(s, size, options.style_scale, least)) for s in self.styles]
        mask = None if self.mask is None else _fitted(self.mask, size)
        content, encoder = _fitted(self.content, size), encoders[scale.network]
        return Objective(encoder, content, styles, options, mask=mask, tile=scale.tile)


def _fitted(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return an image of this size, clamped to [0, 1], since resizing overshoots; without a copy if possible."""
    resized = resize(image, size)
    if resized is image:
        return image if image.min() >= 0 and image.max() <= 1 else image.clamp(0, 1)
    return resized.clamp_(0, 1)


def _first_picture(scene: _Scene, options: StylizeOptions) -> Tensor:
    if options.init == "content":
        return scene.content
    random = torch.Generator().manual_seed(options.seed)
    noise = torch.randn(scene.content.shape, generator=random, dtype=scene.content.dtype).to(scene.content.device)
    return (0.5 + 0.2 * noise).clamp(0, 1) if options.init == "noise" else match_color(noise, scene.styles[0])


def _picture(scene: _Scene, at: _Progress, averaging: float) -> Tensor:
    return scene.finish(at.result(averaging))


def iter_optimize(
    content: Tensor,
    styles: Sequence[Tensor],
    encoder: Encoder,
    options: StylizeOptions,
    *,
    polish: Encoder | None = None,
    mask: Tensor | None = None,
    first: Tensor | None = None,
    resume: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
    name: str = "",
) -> Iterator[Started | Step | Note | Done]:
    """Yield Started, a Step per optimizer step, then Done; close the iterator to cancel.

    Args:
        content: `(1, 3, H, W)` RGB in [0, 1], the photograph; it is resized to `options.size`.
        styles: one or more `(1, 3, h, w)` RGB in [0, 1], any sizes.
        encoder: the feature extractor; its weights stay fixed.
        options: everything else.
        polish: the feature extractor of the last `options.polish` steps, at full size; by default there are none.
        mask: `(1, 1, H, W)` in [0, 1], the region that gets the style; by default the whole photograph.
        first: a picture that replaces the initialization of `options.init`, any size.
        resume: `state()` of a Step; the continued run gives the same bytes.
        name: of the photograph, for the events.

    Raises:
        OptionError: the numbers of style weights and styles differ, or `max_memory` is too small.
        ImageError: the picture is too small for the deepest layer.
        CheckpointError: `resume` is of a run with another plan.
    """
    StylizeOptions.check(options)
    if options.style_weights and len(options.style_weights) != len(styles):
        raise OptionError(
            f"there are {len(options.style_weights)} style_weights for {len(styles)} styles; expected as many."
        )
    encoders = [encoder] if polish is None or not options.polish else [encoder, polish]
    least = max(network.minimum_size([*options.content_layers, *options.layers_of_style]) for network in encoders)
    release_memory()
    scales = list(plan_run((content.shape[-2], content.shape[-1]), encoders, options, content.device))
    if resume:
        scales = _same_tiles(resume[1], scales)
    finest = (scales[-1].height, scales[-1].width)
    scene = _Scene.set(_fitted(content, finest), styles, options, mask)
    seconds = scale_seconds(scales, encoders, options, content)
    clock, optimizer = _Clock(seconds, options.minutes), _optimizer(options)
    yield _started(name, scales, encoders, options, sum(seconds))

    moved, loss = False, 0.0
    start = first if first is not None else _first_picture(scene, options)
    from_photograph = first is None and options.init == "content"
    at = _restore(resume, scales, optimizer) if resume else _Progress(start, start)
    del content, start, resume
    for index in range(at.scale, len(scales)):
        size, steps = (scales[index].height, scales[index].width), scales[index].steps
        optimizer.remember(scales[index].history)
        if not at.taken:
            picture = resize(at.picture, size).contiguous()
            if from_photograph and index:
                # Restore sharp edges, and give the style loss something to shape in flat regions.
                coarse = (at.picture.shape[-2], at.picture.shape[-1])
                picture = picture + scene.detail(coarse, size)
                if size != coarse:
                    scene.add_strokes(picture, options, least, index)
            at = _Progress(picture, torch.zeros_like(picture) if options.averaging else picture, index, done=at.done)
            optimizer.resize(size)
            release_memory()
            del picture
        clock.enter(index)
        begun = at.taken
        objective: Objective | None = None
        while at.taken < steps and not at.settled(options.plateau):
            less = None
            try:
                objective = objective or scene.objective(scales[index], encoders, options, least)
                losses, gradient = objective(at.picture)
                measures = objective.measures(losses)
                if scales[index].tile:
                    release_memory()
                loss = losses["total"]
                picture = optimizer.step(at.picture, gradient, loss)
            except (MemoryError, RuntimeError) as error:
                less = smaller(scales[index]) if out_of_memory(error) else None
                if less is None:
                    raise
            if less is not None:  # out here, where the error no longer holds references to tensors
                objective, scales[index] = None, less
                optimizer.remember(less.history)
                yield Note(f"memory ran out; the run continues in tiles of {less.tile} px")
                continue
            if not math.isfinite(loss) and not picture.isfinite().all():  # L-BFGS undoes a step to a loss of NaN
                raise OptionError(f"the loss became {loss} in step {at.done + 1}; expected a number. {_LOWER}")
            moved = moved or not torch.equal(picture, at.picture)
            at = at.moved(picture, loss, options.averaging)
            del gradient, picture
            clock.tick((at.taken - begun) / steps)
            last = at.settled(options.plateau) or clock.out_of_time(steps)
            left = 0 if last else steps - at.taken
            yield Step(
                step=at.done,
                steps=at.done + left + sum(scale.steps for scale in scales[index + 1 :]),
                phase="optimize",
                scale=index + 1,
                scales=len(scales),
                size=size,
                losses=losses,
                measures=measures,
                progress=clock.progress(left / steps),
                seconds=clock.seconds,
                remaining=clock.remaining(left / steps),
                image=partial(_picture, scene, at, options.averaging),
                state=partial(_state, at, scales, optimizer),
            )
            if last:
                break
        at, objective = replace(at, picture=at.result(options.averaging), taken=0), None
    if not moved and loss > _LARGE:
        yield Note(f"no step changed the picture, since its loss of {loss:.2g} allows none. {_LOWER.rstrip('.')}")
    image, steps = scene.finish(at.picture), at.done
    del at, optimizer, scene  # the caller needs the memory
    yield Done(image, steps, clock.seconds)


def _started(
    name: str, scales: Sequence[Scale], encoders: Sequence[Encoder], options: StylizeOptions, seconds: float
) -> Started:
    reach = reaches(scales, encoders, options)
    return Started(
        name,
        tuple((scale.height, scale.width, scale.steps) for scale in scales),
        tuple(len(scale.tiles(reach[scale.network])) for scale in scales),
        max(scale.memory for scale in scales),
        seconds,
    )


def out_of_memory(error: BaseException) -> bool:
    """Return whether this is an out-of-memory error of Python, torch or a GPU."""
    signs = ("allocate memory", "out of memory", "could not create a primitive", "could not create a memory")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(sign in str(error) for sign in signs)


def optimize(content: Tensor, styles: Sequence[Tensor], encoder: Encoder, options: StylizeOptions) -> Tensor:
    """Run `iter_optimize` to its end and return the picture `(1, 3, H, W)`."""
    return drain(iter_optimize(content, styles, encoder, options))  # type: ignore[no-any-return]


def _state(
    at: _Progress, scales: Sequence[Scale], optimizer: PixelOptimizer
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {"picture": at.picture, "average": at.average}
    tensors |= {f"optimizer.{name}": value for name, value in optimizer.state().items()}
    plan = [(scale.height, scale.width, scale.steps, scale.tile, scale.history) for scale in scales]
    values = {"scale": at.scale, "taken": at.taken, "done": at.done, "totals": at.totals, "plan": plan}
    return tensors, values


_DAMAGED = "the checkpoint is damaged; run without --resume."


def _same_tiles(values: dict[str, Any], scales: Sequence[Scale]) -> list[Scale]:
    """Return the scales with the tiles and history of a saved run, since the exact result depends on them."""
    with as_one_error(CheckpointError(_DAMAGED)):
        saved = [tuple(scale) for scale in values["plan"]]
        if any(len(scale) != 5 or not all(isinstance(one, int) for one in scale if one is not None) for scale in saved):
            raise CheckpointError(_DAMAGED)
    if [scale[:3] for scale in saved] != [(scale.height, scale.width, scale.steps) for scale in scales]:
        raise CheckpointError("the checkpoint is of a run with other scales; expected the same pictures and settings.")
    return [
        replace(scale, tile=tile, history=history) for scale, (*_, tile, history) in zip(scales, saved, strict=True)
    ]


def _restore(
    resume: tuple[dict[str, Tensor], dict[str, Any]], scales: Sequence[Scale], optimizer: PixelOptimizer
) -> _Progress:
    tensors, values = resume
    prefix = "optimizer."
    with as_one_error(CheckpointError(_DAMAGED)):
        optimizer.restore({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        index, taken, done = (int(values[name]) for name in ("scale", "taken", "done"))
        scale, totals = scales[index], tuple(map(float, values["totals"]))
        shape = (1, 3, scale.height, scale.width)
        if min(index, taken, done) < 0 or any(tuple(one.shape) != shape for one in tensors.values() if one.ndim > 1):
            raise CheckpointError(_DAMAGED)
        return _Progress(tensors["picture"], tensors["average"], index, taken, done, totals)
