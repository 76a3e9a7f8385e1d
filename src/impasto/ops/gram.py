"""Gram matrices."""

from typing import Literal, get_args

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.ops.precision import wide

__all__ = ["GramNorm", "by_position", "check_features", "gram_matrix"]

GramNorm = Literal["hw", "chw", "none"]


def check_features(name: str, value: str, choices: object) -> None:
    """Raise OptionError unless a value is one of the choices of a Literal type."""
    known = get_args(choices)
    if value not in known:
        raise OptionError(f"{name} is {value!r}; expected one of {', '.join(known)}.")


def by_position(features: Tensor) -> Tensor:
    """Return `(B, H*W, C)`; without a copy if features are channels-last in memory."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


class _Products(torch.autograd.Function):
    """F diag(w) Fᵀ, given Fᵀ; its gradient is eq. 6 of the paper, one product where autograd needs two.

    For bfloat16 features the products are computed in bfloat16, summed in float32 and rounded once, in a third of the
    time. The rounding of 0.4 % is far below the distance of a Gram matrix from its target.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, flat: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(flat, weights)  # type: ignore[arg-type]  # may hold None
        weighted = flat if weights is None else flat * weights
        products = [w.T @ f for w, f in zip(weighted, flat, strict=True)]  # one by one: faster in bfloat16
        return wide(torch.stack(products))

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        flat, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        slope = flat @ (grad + grad.transpose(1, 2)).to(flat.dtype)
        return (slope if weights is None else slope * weights), None


def gram_matrix(features: Tensor, normalize: GramNorm = "hw", guide: Tensor | None = None) -> Tensor:
    """Return the Gram matrix: the inner product of each pair of channels.

    Args:
        features: `(B, C, H, W)`, any finite values; products of 16-bit values are accumulated in float32.
        normalize: divisor of the entries: "hw" (mean over positions, Gatys' own code), "chw" (Johnson's code,
            pytorch/examples) or "none" (the formula as printed).
        guide: `(1, 1, H, W)`, the weight of each position; by default 1. The divisor stays, so the weights of a mean
            have the sum H W.

    Returns:
        `(B, C, C)`, symmetric, positive semi-definite; float32, or float64 for float64 features.

    Raises:
        OptionError: `normalize` is not one of the three.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576, eq. 3; guides, Gatys et al. 2017, arXiv:1611.07865,
        eq. 5, whose T is the root of ours.
    Differs: the paper does not divide here but in eq. 4, by 4 N_l² M_l²; "hw" moves M_l in here.
    """
    check_features("normalize", normalize, GramNorm)
    b, c, h, w = features.shape
    flat = by_position(features)  # the paper's Fᵀ: one row per position
    if flat.dtype is torch.float16:  # its range is too small for the sums
        flat = flat.float()
    divisor = {"hw": h * w, "chw": c * h * w, "none": 1}[normalize]
    weights = None if guide is None else by_position(guide).to(flat.dtype)
    products: Tensor = _Products.apply(flat, weights)  # type: ignore[no-untyped-call]
    return products / divisor
