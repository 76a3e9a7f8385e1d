"""Different styles for different regions of a photograph, and regions that stay unchanged.

Each region is its own run on the whole photograph, whose style loss covers only the region. The results are composed
along soft edges. So no style can leak into another region. Joint optimization of one picture, as in Gatys et al. 2017
(arXiv:1611.07865), cannot guarantee that, since near a border deep features see both sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.errors import CheckpointError
from impasto.events import Done, Note, Started, Step
from impasto.ops.resize import resize
from impasto.reading import as_one_error
from impasto.style_transfer.objective import Encoder
from impasto.style_transfer.optimize import iter_optimize
from impasto.style_transfer.options import StylizeOptions

__all__ = ["Region", "feather", "iter_regions"]


@dataclass(frozen=True)
class Region:
    """A region of the photograph and its styles.

    Attributes:
        mask: `(1, 1, H, W)` in [0, 1], of the size of the photograph; None: all that no other region covers.
        styles: one or more `(1, 3, h, w)` RGB in [0, 1], any sizes.
        name: for people.
        weights: of its styles; () for equal ones. The rest has `style_weights` of the options.
    """

    mask: Tensor | None
    styles: Sequence[Tensor]
    name: str = ""
    weights: Sequence[float] = ()


def feather(mask: Tensor, radius: int) -> Tensor:
    """Return the mask with soft edges that extend exactly `radius` pixels to both sides.

    Two box filters make a linear (tent) filter.

    Args:
        mask: `(1, 1, H, W)` in [0, 1].
        radius: in pixels; 0: no change.
    """
    for half in (radius // 2, radius - radius // 2):
        half = min(half, min(mask.shape[-2:]) - 1)
        wide = F.pad(mask, (half,) * 4, mode="replicate")
        mask = F.avg_pool2d(F.avg_pool2d(wide, (2 * half + 1, 1), 1), (1, 2 * half + 1), 1)
    return mask


def _layers(regions: Sequence[Region], keep: Tensor | None, like: Tensor) -> list[tuple[Tensor, Region]]:
    """Return the visible mask of each region, `(1, 1, H, W)`: later regions cover earlier ones, `keep` covers all."""
    free = torch.ones_like(like[:, :1]) if keep is None else 1 - keep
    owned = []
    for region in [r for r in reversed(regions) if r.mask is not None] + [r for r in regions if r.mask is None]:
        mask = free if region.mask is None else free * region.mask
        free = free - mask
        if mask.max() >= 0.5:
            owned.append((mask, region))
    return owned[::-1]


def _compose(photograph: Tensor, painted: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Return the composition of the photograph and the results by their masks, at the size of the last result."""
    size = (painted[-1].shape[-2], painted[-1].shape[-1])
    picture = resize(photograph, size).clamp(0, 1)
    original = picture
    for painting, mask in zip(painted, masks, strict=False):
        picture = picture + resize(mask, size).clamp(0, 1) * (resize(painting, size).clamp(0, 1) - original)
    return picture.clamp(0, 1)


def iter_regions(
    content: Tensor,
    regions: Sequence[Region],
    encoder: Encoder,
    options: StylizeOptions,
    *,
    polish: Encoder | None = None,
    keep: Tensor | None = None,
    first: Tensor | None = None,
    resume: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
    name: str = "",
) -> Iterator[Started | Step | Note | Done]:
    """Yield the events of one run per region, with the composition so far in each Step, and one Done at the end.

    Args:
        content: `(1, 3, H, W)` RGB in [0, 1], the photograph.
        regions: later ones cover earlier ones.
        encoder: as in `iter_optimize`.
        options: as in `iter_optimize`; `feather` is the width of the soft edges.
        polish: as in `iter_optimize`.
        keep: `(1, 1, H, W)` in [0, 1], where the photograph stays unchanged.
        first: as in `iter_optimize`.
        resume: `state()` of a Step; the continued run gives the same bytes.
        name: of the photograph, for the events.

    Raises:
        CheckpointError: `resume` is of a run with other regions.
        ImpastoError: as `iter_optimize`.
    """
    owned = _layers(regions, keep, content)
    radius = round(options.feather * max(content.shape[-2:]))
    masks = [feather(mask, radius) for mask, _ in owned]
    if options.minutes:
        options = options.changed(minutes=options.minutes / max(1, len(owned)))
    painted: list[Tensor] = []
    inner, steps, seconds = None, 0, 0.0
    if resume:
        tensors, values = resume
        if values.get("regions") != len(owned):
            raise CheckpointError("the checkpoint is of a run with other regions; expected the same pictures.")
        with as_one_error(CheckpointError("the checkpoint is damaged; run without --resume.")):
            painted = [tensors[f"painted.{index}"] for index in range(min(values["painted"], len(owned)))]
            of_run = {key.removeprefix("run."): tensor for key, tensor in tensors.items() if key.startswith("run.")}
            inner, steps = (of_run, dict(values["run"])), int(values["steps"])
    for index in range(len(painted), len(owned)):
        mask, region = owned[index]
        called = ", ".join(filter(None, (name, f"region {index + 1} of {len(owned)}", region.name)))
        start: dict[str, Any] = {"polish": polish, "mask": mask, "first": first, "resume": inner, "name": called}
        own = options if region.mask is None else options.changed(style_weights=region.weights)
        for event in iter_optimize(content, region.styles, encoder, own, **start):
            if isinstance(event, Step):
                yield _in_context(event, content, tuple(painted), masks, steps, seconds)
            elif isinstance(event, Done):
                painted.append(event.image)
                steps, seconds = steps + event.steps, seconds + event.seconds
            else:
                yield event
        inner = None
    yield Done(_compose(content, painted, masks) if painted else content, steps, seconds)


def _in_context(
    event: Step, content: Tensor, painted: Sequence[Tensor], masks: Sequence[Tensor], steps: int, seconds: float
) -> Step:
    """Return the Step of one region with the composition, and with the state of all regions so far."""

    def state() -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, values = event.state()
        kept = {f"painted.{index}": picture for index, picture in enumerate(painted)}
        kept |= {f"run.{name}": tensor for name, tensor in tensors.items()}
        return kept, {"regions": len(masks), "painted": len(painted), "steps": steps, "run": values}

    return replace(
        event,
        progress=(len(painted) + (event.progress or 0.0)) / len(masks),
        seconds=seconds + event.seconds,
        image=lambda: _compose(content, [*painted, event.image()], masks),
        state=state,
    )
