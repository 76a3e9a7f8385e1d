"""Optical flow: estimation, occlusion masks, warping, and synthetic motion.

A flow is `(B, 2, H, W)`, in pixels: for every pixel of one picture the displacement, right and down, of its position in
another picture. So with a flow from the present to the past, `warp(past, flow)` looks like the present.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto.errors import ImageError
from impasto.ops.filters import gaussian_blur

__all__ = ["inside", "optical_flow", "resize_flow", "stabilize", "synthetic_motion", "visible", "warp"]


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Return `image(x + flow(x))`, bilinear between pixels; positions outside get the nearest pixel of the border.

    Args:
        image: `(B, C, H, W)`, which is sampled.
        flow: `(B, 2, h, w)` or `(1, 2, h, w)`, in pixels; usually of the same size.

    Returns:
        `(B, C, h, w)`; gradients flow to both.
    """
    height, width = image.shape[-2:]
    x, y = _positions(flow)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)  # (B, h, w, 2)
    grid = grid.expand(len(image), -1, -1, -1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions to which a flow points: x and y, `(B, H, W)` each."""
    height, width = flow.shape[-2:]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype).view(-1, 1)
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    return x + flow[:, 0], y + flow[:, 1]


def inside(flow: Tensor) -> Tensor:
    """Return 1 where a flow points into the picture, 0 where it points outside, `(B, 1, H, W)`."""
    height, width = flow.shape[-2:]
    x, y = _positions(flow)
    slack = 1e-3  # pixels, for rounding
    within = (x >= -slack) & (x <= width - 1 + slack) & (y >= -slack) & (y <= height - 1 + slack)
    return within.to(flow.dtype).unsqueeze(1)


# --- estimation ----------------------------------------------------------------------------------

_SMALLEST = 10  # pixels of the shorter side on the coarsest level
_STEPS = 8  # on each level
_RHO = 4.0  # standard deviation of the window, in pixels of each level
_ALPHA = 1e-5  # weight of the smoothness term, against squared image gradients
_LONGEST = 2.0  # pixels, upper bound of an update


def optical_flow(image: Tensor, other: Tensor) -> Tensor:
    """Estimate the optical flow from an image to another: a dense Lucas-Kanade method.

    Around a pixel, the step (du, dv) of the flow is the least-squares solution of

        Ix du + Iy dv = image - I

    over a window, where I is the other image warped by the flow so far, and Ix, Iy are its gradients. This is ambiguous
    in flat windows and along edges. So a smoothness term draws the flow to a weighted mean of its surroundings, in
    which well-determined positions weigh more. The flow is estimated coarse to fine.

    Args:
        image: `(B, 3, H, W)` RGB in [0, 1].
        other: the same shape, a little later or earlier.

    Returns:
        `(B, 2, H, W)`, in pixels, so that `warp(other, flow)` looks like `image`. The method does not find motion of
        more than about a quarter of the shorter side.

    Raises:
        ImageError: the arguments are not images, or their shapes differ.

    Source: Lucas & Kanade 1981; levels and steps, Bouguet 2001, "Pyramidal implementation of the Lucas Kanade
        feature tracker"; window and surroundings in one, Bruhn, Weickert & Schnörr 2005, "Lucas/Kanade meets
        Horn/Schunck", with their K_ρ and α.
    Differs: the surroundings are a weighted Gaussian mean instead of the nearest pixels, so that few steps suffice; all
        three channels count; pixels with a large residual weigh less; gradients are the mean of both images.
    """
    _check(image, other)
    levels = [(image.detach(), other.detach())]
    while min(levels[-1][0].shape[-2:]) >= 2 * _SMALLEST:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    with torch.no_grad():
        flow = torch.zeros_like(levels[-1][0][:, :2])
        for here, there in reversed(levels):
            flow = resize_flow(flow, (here.shape[-2], here.shape[-1]))
            for _ in range(_STEPS):
                flow = flow + _step(here, warp(there, flow), flow)
    return flow


def _check(image: Tensor, other: Tensor) -> None:
    for name, one in (("image", image), ("other", other)):
        if one.ndim != 4 or one.shape[1] != 3 or not one.numel():
            raise ImageError(f"{name} has shape {tuple(one.shape)}; expected (B, 3, H, W).")
    if image.shape != other.shape:
        raise ImageError(f"image is {tuple(image.shape)} and other {tuple(other.shape)}; expected equal shapes.")


def _halved(image: Tensor) -> Tensor:
    size = (math.ceil(image.shape[-2] / 2), math.ceil(image.shape[-1] / 2))
    return F.interpolate(image, size=size, mode="bilinear", antialias=True, align_corners=False)


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a flow to `(height, width)` and rescale its displacements to the new pixels."""
    h, w = flow.shape[-2:]
    if (h, w) == tuple(size):
        return flow
    scale = flow.new_tensor([size[1] / w, size[0] / h]).view(1, 2, 1, 1)
    return scale * F.interpolate(flow, size=size, mode="bilinear", align_corners=False)


def _step(image: Tensor, fetched: Tensor, flow: Tensor) -> Tensor:
    """Return the update of the flow, `(B, 2, H, W)`: the solution of two equations in du and dv for each pixel."""
    ix, iy = _slopes((image + fetched) / 2)
    it = image - fetched
    error = it.square().mean(1, keepdim=True).sqrt()
    tolerance = error.mean((2, 3), keepdim=True) / 2
    trust = tolerance / torch.maximum(error, tolerance).clamp_min(1e-6)
    products = [(trust * a * b).mean(1) for a, b in ((ix, ix), (ix, iy), (iy, iy), (ix, it), (iy, it))]
    xx, xy, yy, xt, yt = _window(torch.stack(products, 1)).unbind(1)  # (B, H, W) each
    known = ((xx * yy - xy.square()) / (xx + yy + 1e-6) + 1e-6).unsqueeze(1)  # about the lesser eigenvalue
    around = _window(torch.cat([known * flow, known], 1))
    pull = _ALPHA * (around[:, :2] / around[:, 2:] - flow)
    xx, yy, xt, yt = xx + _ALPHA, yy + _ALPHA, xt + pull[:, 0], yt + pull[:, 1]
    determinant = xx * yy - xy.square()
    step = torch.stack([yy * xt - xy * yt, xx * yt - xy * xt], 1) / determinant.unsqueeze(1)
    return step.clamp(-_LONGEST, _LONGEST)


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return dx, dy


def _window(values: Tensor) -> Tensor:
    """Return the Gaussian mean around each pixel, K_ρ."""
    return gaussian_blur(values, _RHO, math.ceil(2.5 * _RHO), "replicate")


def visible(flow: Tensor, back: Tensor) -> Tensor:
    """Return 1 where a flow is consistent with the backward flow, else 0 (occlusion mask).

    Args:
        flow: `(B, 2, H, W)`, from one picture to another.
        back: `(B, 2, H, W)`, the backward flow.

    Returns:
        `(B, 1, H, W)`: 0 where a pixel is occluded in the other picture, lies outside of it, or has no reliable flow.

    Source: Sundaram, Brox & Keutzer 2010: |w + w'|² < 0.01 (|w|² + |w'|²) + 0.5; Ruder, Dosovitskiy & Brox 2016,
        arXiv:1604.08610, exclude motion boundaries as well: |∇u|² + |∇v|² > 0.01 |w|² + 0.002.
    """
    home = warp(back, flow)
    square = flow.square().sum(1, keepdim=True)
    apart = (flow + home).square().sum(1, keepdim=True)
    found = apart < 0.01 * (square + home.square().sum(1, keepdim=True)) + 0.5
    dx, dy = _slopes(flow)
    edge = (dx.square() + dy.square()).sum(1, keepdim=True) > 0.01 * square + 0.002
    return (found & ~edge).to(flow.dtype) * inside(flow)


def stabilize(previous: Tensor, current: Tensor, flow: Tensor, mask: Tensor, strength: float = 0.5) -> Tensor:
    """Blend a stylized frame with the warped frame before, wherever the flow is reliable.

    A strength of 0.5 halves flicker that changes from frame to frame. Detail of the scene stays, but gets a little
    softer with every frame.

    Args:
        previous: `(B, C, H, W)`, the result of this function for the frame before, or the first frame.
        current: the same shape, the stylized frame.
        flow: `(B, 2, H, W)`, from the present source frame to the one before, at this size.
        mask: `(B, 1, H, W)`, from `visible`; where it is 0, the frame is unchanged.
        strength: 0: no change; near 1 the first frame persists.
    """
    return current + strength * mask * (warp(previous, flow) - current)


# --- synthetic motion ----------------------------------------------------------------------------


def synthetic_motion(
    image: Tensor,
    generator: torch.Generator,
    *,
    wobble: float = 8.0,
    shift: float = 10.0,
    cell: int = 100,
    noise: float = 0.002,
) -> tuple[Tensor, Tensor, Tensor]:
    """Warp an image by a random smooth flow: a plausible next frame, with known motion.

    It trains temporal consistency without any video: `network(moved)` should equal `warp(network(image), flow)` where
    `mask` is 1.

    Args:
        image: `(B, 3, H, W)` RGB in [0, 1]; each picture of the batch gets its own motion.
        generator: random generator, on the CPU.
        wobble: standard deviation of the motion of each cell, in pixels.
        shift: maximum of the uniform translation of the whole image, in pixels.
        cell: side of a cell, in pixels; the motion is smooth between their centers.
        noise: largest standard deviation of the added noise; it is drawn from half of it to all of it.

    Returns:
        `moved (B, 3, H, W)` = `warp(image, flow)` + noise; `flow (B, 2, H, W)` in pixels; `mask (B, 1, H, W)`, 1 where
        the flow points into the image. Only the noise may leave [0, 1].

    Source: Wang, Yang, Zhang & Liu 2020, "Consistent video style transfer via relaxation and regularization"
        (ReReVST), compound regularization, and its code: N(0, 8) a cell of 100 px, ±10 px for all, noise of 0.001 to
        0.002.
    Differs: the motion of cells is interpolated by quadratic B-splines, about equal to their bilinear upsampling and
        blur of 100 px; an image has at least 2 x 2 cells.
    """
    count, _, height, width = image.shape
    grid = torch.randn(count, 2, max(2, height // cell) + 2, max(2, width // cell) + 2, generator=generator)
    flow = wobble * _spline(_spline(grid, height).transpose(-1, -2), width).transpose(-1, -2)
    flow = flow + shift * (2 * torch.rand(count, 2, 1, 1, generator=generator) - 1)
    amount = noise * (1 + torch.rand(count, 1, 1, 1, generator=generator)) / 2
    grain = amount * torch.randn(image.shape, generator=generator)
    flow = flow.to(image)
    return warp(image, flow) + grain.to(image), flow, inside(flow)


def _spline(values: Tensor, length: int) -> Tensor:
    """Upsample `(..., n + 2, m)` to `(..., length, m)` by quadratic B-splines, with one value beyond each end."""
    cells = values.shape[-2] - 2
    positions = (torch.arange(length) + 0.5) * cells / length  # in cells
    index = positions.floor().long().clamp(max=cells - 1)
    t = (positions - index).unsqueeze(-1)
    before, here, after = (values[..., index + offset, :] for offset in range(3))
    return ((1 - t).square() * before + (1 + 2 * t - 2 * t.square()) * here + t.square() * after) / 2
