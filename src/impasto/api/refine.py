"""Refine the result of one pass with optimizer steps, at its own size."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.checkpoints.encoders import load_encoder
from impasto.data.style_names import has_picture
from impasto.data.styles import open_style
from impasto.devices import find_device, find_dtype
from impasto.errors import OptionError
from impasto.events import Done, Note, Step
from impasto.inference.options import ApplyOptions
from impasto.io.tensors import as_tensor
from impasto.style_transfer.optimize import iter_optimize
from impasto.style_transfer.options import StylizeOptions

__all__ = ["check_refinement", "iter_refine"]


def check_refinement(style: Any) -> None:
    """Raise an OptionError unless each style is a picture, as the optimizer needs: a name, or a file.

    Args:
        style: of a `Brush`: names with weights.
    """
    names = list(style) if isinstance(style, Mapping) else []
    for name in names:
        if not Path(name).is_file() and not has_picture(name):
            raise OptionError(f"refine needs a style image, but {name!r} is a trained style without one; leave it out.")
    if not names:
        raise OptionError("refine needs a painter whose styles have names or files; leave it out.")


def iter_refine(
    painted: Tensor, photograph: Tensor, style: Mapping[str, float], options: ApplyOptions
) -> Iterator[Step | Note | Done]:
    """Yield a Step for each optimizer step, then Done with the refined picture `(1, 3, H, W)`.

    Args:
        painted: `(1, 3, H, W)` in [0, 1], the result of one pass.
        photograph: the same shape.
        style: names or files of styles, with weights.
        options: their `refine` is the number of steps.
    """
    longer = max(photograph.shape[-2:])
    settings = StylizeOptions(
        size=longer,
        min_size=max(16, longer),  # one scale
        steps=options.refine,
        polish=0,
        strength=options.strength,
        style_weights=tuple(style.values()) if len(style) > 1 else (),
        precision=options.precision,
        device=options.device,
        max_memory=options.max_memory,
    )
    device = find_device(options.device)
    encoder = load_encoder(
        settings.encoder, padding=settings.padding, device=device, dtype=find_dtype(settings.precision, device)
    )
    styles = [as_tensor(open_style(name, min(2048, longer), "auto")).to(device) for name in style]
    for event in iter_optimize(photograph.to(device), styles, encoder, settings, first=painted.to(device)):
        if isinstance(event, Done):
            assert isinstance(event.image, torch.Tensor)
            yield Done(event.image.cpu(), event.steps, event.seconds)
        elif isinstance(event, Step | Note):
            yield event
