"""Sample a generator, autoencoder or VAE: sheets, animations, single images."""

from pathlib import Path
from typing import Any

from impasto.inference.options import SampleOptions
from impasto.inference.sheets import iter_sample
from impasto.io.decode import load_picture
from impasto.io.encode import to_pil
from impasto.io.tensors import as_pixels
from impasto.run import Run, Verb

__all__ = ["sample", "start_sample"]


def start_sample(
    model: Any,
    kind: str = "grid",
    *,
    output: str | Path | None = None,
    options: SampleOptions | None = None,
    force: bool = False,
    **settings: Any,
) -> Run[Any]:
    """Draw samples of a generator, autoencoder or VAE; it blocks, and returns the sheet as a PIL image.

    `sample.start` takes the same arguments and returns a `Run`.

    Args:
        model: a file of `train`; the folder of a run, also of one that has not ended; a name of `list_models()`; or
            a model that `load` returned.
        kind: "grid", "interpolation", "manifold", "traversal", "arithmetic", "reconstructions", "nearest",
            "embeddings" or "progress".
        output: file to write the sheet to as well; with `count` a folder.
        options: all settings at once.
        force: allow what is there to be overwritten.
        settings: single settings of `SampleOptions`, such as `rows=4`, or `count=100` for single samples.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `inference.sheets.iter_sample`.
    """
    chosen = SampleOptions.completed(options, {"kind": kind, **settings})
    events = iter_sample(
        model, chosen, output=output, force=force, write=output is not None or chosen.count is not None
    )
    return Run(events, lambda run: to_pil(load_picture(as_pixels(run.image))))


sample = Verb(start_sample)
