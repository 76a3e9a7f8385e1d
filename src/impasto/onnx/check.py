"""Proof that a file computes what its model computes: both run on the same inputs, at several sizes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from impasto.errors import WeightsError
from impasto.onnx.forms import Form

__all__ = ["Difference", "SIZES", "compare", "require_equal"]

SIZES: Sequence[Mapping[str, int]] = (  # of free dimensions; odd ones, the smallest, and those of an elongated picture
    {"height": 97, "width": 131, "style_height": 64, "style_width": 64, "batch": 1},
    {"height": 1, "width": 1, "style_height": 65, "style_width": 48, "batch": 2},
    {"height": 40, "width": 600, "style_height": 96, "style_width": 131, "batch": 3},
    {"height": 128, "width": 96, "style_height": 51, "style_width": 145, "batch": 5},
    {"height": 7, "width": 5, "style_height": 50, "style_width": 70, "batch": 4},
    {"height": 255, "width": 2, "style_height": 48, "style_width": 48, "batch": 1},
)
_LIMITS = {"float32": (1e-4, 1e-5), "float16": (1e-2, 1e-3), "int8": (0.25, 1e-2)}  # of largest and mean differences


@dataclass(frozen=True)
class Difference:
    """How far a file is from its model, in the unit of the outputs: pictures are in [0, 1].

    An output that leaves [-1, 1], such as a logit, is divided by its largest value.

    Attributes:
        largest: the largest difference of any value at any size.
        mean: the mean absolute difference, at the size where it is largest.
        sizes: how many sizes were tried.
    """

    largest: float
    mean: float
    sizes: int


@torch.no_grad()
def compare(file: bytes, form: Form, sizes: Sequence[Mapping[str, int]] = SIZES, seed: int = 0) -> Difference:
    """Run a file and its model at several sizes, and return how far they are apart.

    Args:
        file: its bytes.
        form: of the model.
        sizes: of the free dimensions.
        seed: of the inputs.
    """
    pairs = list(_differences(file, form, sizes, seed))
    return Difference(max(largest for largest, _ in pairs), max(mean for _, mean in pairs), len(sizes))


def _differences(
    file: bytes, form: Form, sizes: Sequence[Mapping[str, int]], seed: int
) -> Iterator[tuple[float, float]]:
    import onnxruntime  # type: ignore[import-untyped]

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    random = torch.Generator().manual_seed(seed)
    for size in sizes:
        given = {name: one.draw(random, one.sized(size)) for name, one in form.inputs.items()}
        found = session.run(list(form.outputs), {name: value.numpy() for name, value in given.items()})
        for ours, theirs in zip(form.compute(*given.values()), found, strict=True):
            expected = ours.numpy()
            if theirs.shape != expected.shape:
                yield float("inf"), float("inf")
                continue
            apart = np.abs(theirs.astype(np.float64) - expected) / max(1.0, float(np.abs(expected).max()))
            yield float(apart.max()), float(apart.mean())


def require_equal(difference: Difference, precision: str) -> None:
    """Check that a file is near enough to its model.

    Raises:
        WeightsError: it is not.
    """
    largest, mean = _LIMITS[precision]
    if not (difference.largest <= largest and difference.mean <= mean):
        raise WeightsError(
            f"the exported network differs from its model by {difference.largest:.2g} ({difference.mean:.2g} on "
            f"average); expected {largest:g} ({mean:g}) at most in {precision}, so no file was written."
        )
