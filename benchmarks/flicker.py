"""Measure what training for stability does for video: two networks that differ only in it paint the same clips.

    python benchmarks/flicker.py photos/ --style swirl --steps 1500 --out build/flicker
    python benchmarks/flicker.py photos/ --models with.safetensors without.safetensors

The clips come from photographs of scikit-image: the camera pans and zooms in by fractions of a
pixel, and there is a little noise, as in every video. `impasto.metrics.flicker`
measures how much paint changes beyond the motion. See README.md.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import skimage.data
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import impasto
from impasto.events import Step
from impasto.inference.painter import Painter
from impasto.inference.strips import apply_model, measure
from impasto.io.decode import load_picture
from impasto.io.tensors import as_tensor
from impasto.metrics.flicker import FlickerMeter
from impasto.recipes.johnson.options import JohnsonOptions

CLIPS = {"coffee": "coffee", "cat": "chelsea", "astronaut": "astronaut"}
SIZE = (360, 640)


def clip(name: str, frames: int) -> Iterator[Tensor]:
    """Yield frames `(1, 3, 360, 640)`: to the right by 1.3 px each, and nearer by 0.2 %."""
    image = as_tensor(load_picture(getattr(skimage.data, CLIPS[name])()))
    noise = torch.Generator().manual_seed(0)
    height, width = image.shape[-2:]
    across = min(width, height * SIZE[1] / SIZE[0]) * 0.8  # of the photograph, in the first frame
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in SIZE), indexing="ij")
    for number in range(frames):
        zoom = across / width * 0.998**number
        right = zoom * (x + 2.6 * number / SIZE[1]) - 0.15
        down = zoom * y * (width / height) * (SIZE[0] / SIZE[1])
        grid = torch.stack([right, down], -1)
        frame = F.grid_sample(image, grid[None], mode="bicubic", padding_mode="reflection", align_corners=False)
        yield (frame + 0.005 * torch.randn(frame.shape, generator=noise)).clamp(0, 1)


def measured(model: Painter, name: str, frames: int, *, shared: bool, style: str | None) -> tuple[float, float]:
    """Return the flicker of a painted clip, and of its source."""
    meter = FlickerMeter()
    sources = list(clip(name, frames))
    statistics = measure(model, torch.cat(sources[::4][:16]), style=style) if shared else None
    for source in sources:
        meter.add(source, apply_model(model, source, style=style, statistics=statistics))
    found = meter.result()
    return found.painted, found.source


def trained(stability: float, options: argparse.Namespace) -> Painter:
    """Return a network that learned so many steps."""
    run = options.out / f"stability-{stability:g}"
    if not (run / "model.safetensors").exists():
        settings = JohnsonOptions(steps=options.steps, crop=192, stability_weight=stability, preview_seconds=600)
        data = {"style": options.style, "photos": options.photographs}
        for event in impasto.train.start("johnson", data, options=settings, run=run, force=True):
            if isinstance(event, Step) and event.phase == "train" and event.step % 100 == 0:
                losses = " ".join(f"{key} {value:.4f}" for key, value in event.losses.items())
                print(f"stability {stability:g}, step {event.step}: {losses}", file=sys.stderr, flush=True)
    return impasto.load(run, device="cpu", precision="float32")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of flicker, and write it as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("photographs", nargs="*", type=Path, help="folders to train on")
    add("--style", default="swirl", help="what is learned, or with --models the style to take")
    add("--steps", type=int, default=1500, help="of each training")
    add("--frames", type=int, default=24, help="of each clip")
    add("--models", nargs="+", type=Path, help="networks to compare instead of training two")
    add("--out", type=Path, default=Path("build/flicker"), help="folder for everything")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    weights = (0.0, JohnsonOptions().stability_weight)
    models = (
        {path.stem: impasto.load(path, device="cpu", precision="float32") for path in options.models}
        if options.models
        else {f"stability_weight {weight:g}": trained(weight, options) for weight in weights}
    )
    results: list[dict[str, object]] = []
    sources: tuple[float, ...] = ()
    print(f"{'network':32}{'statistics':12}" + "".join(f"{name:>12}" for name in CLIPS) + f"{'mean':>10}")
    for name, model in models.items():
        style = options.style if options.style in model.styles and options.models else None
        for shared in (False, True):
            found = [measured(model, one, options.frames, shared=shared, style=style) for one in CLIPS]
            painted, sources = zip(*found, strict=True)
            label = "scene" if shared else "frame"
            results.append({"network": name, "statistics": label, "painted": painted, "source": sources})
            cells = "".join(f"{value:12.4f}" for value in painted)
            print(f"{name:32}{label:12}{cells}{np.mean(painted):10.4f}", flush=True)
    print(f"{'source':44}" + "".join(f"{value:12.4f}" for value in sources) + f"{np.mean(sources):10.4f}")
    (options.out / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
