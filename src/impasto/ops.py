"""Pure functions on tensors: the equations of style transfer, one function each.

Images are `(B, 3, H, W)` RGB in [0, 1]; features are `(B, C, H, W)`. Nothing here keeps state, reads
files or changes its arguments.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import OptionError

__all__ = [
    "ColorMap",
    "GramNorm",
    "TotalVariation",
    "channel_moments",
    "covariance_sqrt",
    "gaussian_blur",
    "gram_matrix",
    "high_pass",
    "luminance",
    "match_color",
    "match_luminance",
    "principal_components",
    "resize",
    "ssim",
    "style_size",
    "total_variation",
    "trace_sqrt",
    "transplant_luminance",
    "wide",
]

GramNorm = Literal["hw", "chw", "none"]
TotalVariation = Literal["l1", "l2", "nine-point"]
ColorMap = Literal["transport", "pca", "cholesky"]


def _check(name: str, value: str, choices: object) -> None:
    known = get_args(choices)
    if value not in known:
        raise OptionError(f"{name} is {value!r}; expected one of {', '.join(known)}.")


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample `(B, C, H, W)` to `(height, width)`: bicubic, low-passed first where it shrinks.

    Values may overshoot [0, 1] slightly at edges, as bicubic does; nothing is clamped.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)


def style_size(style: Tensor, size: tuple[int, int], scale: float = 1.0, least: int = 1) -> tuple[int, int]:
    """Return the `(height, width)` at which a style is looked at: its own shape, with the picture's area.

    Args:
        style: `(B, 3, h, w)`.
        size: `(height, width)` of the picture.
        scale: how large strokes become: the area is multiplied by its square.
        least: no side becomes smaller than this.
    """
    h, w = style.shape[-2:]
    factor = scale * math.sqrt(size[0] * size[1] / (h * w))
    return max(least, round(h * factor)), max(least, round(w * factor))


# --- style: what the features of a picture are like, wherever they are ---------------------------


def wide(values: Tensor) -> Tensor:
    """Return numbers of 16 bits in 32, in which they can be added up; others as they are."""
    return values.float() if values.element_size() < 4 else values


def _by_position(features: Tensor) -> Tensor:
    """Return `(B, H*W, C)`, which costs no copy where features lie channels-last in memory."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


class _Products(torch.autograd.Function):
    """F diag(w) Fᵀ, given Fᵀ; its gradient is eq. 6 of the paper, one product where autograd would make two.

    Of bfloat16 features the products are made in bfloat16, summed in float32 and rounded once, which costs a
    third of the time; a rounding of 0.4 % is far below what a painting's Gram matrix is away from its target.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, flat: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(flat, weights)  # type: ignore[arg-type]  # which may hold None
        weighted = flat if weights is None else flat * weights
        products = [w.T @ f for w, f in zip(weighted, flat, strict=True)]  # one by one: faster in bfloat16
        return wide(torch.stack(products))

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        flat, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        slope = flat @ (grad + grad.transpose(1, 2)).to(flat.dtype)
        return (slope if weights is None else slope * weights), None


def gram_matrix(features: Tensor, normalize: GramNorm = "hw", guide: Tensor | None = None) -> Tensor:
    """Return how strongly each pair of channels fires together.

    Args:
        features: `(B, C, H, W)`, any finite values; products of 16 bits are accumulated in float32.
        normalize: what entries are divided by: "hw" (mean over positions, Gatys' own code),
            "chw" (Johnson's code, pytorch/examples) or "none" (the formula as printed).
        guide: `(1, 1, H, W)`, how much each position counts; without it, each counts 1. Divisions by
            H W stay, so a guide that should give means adds up to H W.

    Returns:
        `(B, C, C)`, symmetric, positive semi-definite; float32, or float64 for float64 features.

    Raises:
        OptionError: `normalize` is none of the three.

    Source: Gatys, Ecker & Bethge 2015, arXiv:1508.06576, eq. 3; guides, Gatys et al. 2017, arXiv:1611.07865,
        eq. 5, whose T is the root of ours.
    Differs: the paper does not divide here but in eq. 4, by 4 N_l² M_l²; "hw" moves M_l in here.
    """
    _check("normalize", normalize, GramNorm)
    b, c, h, w = features.shape
    flat = _by_position(features)  # the paper's Fᵀ: one row per place
    if flat.dtype is torch.float16:  # which cannot hold the sums
        flat = flat.float()
    divisor = {"hw": h * w, "chw": c * h * w, "none": 1}[normalize]
    weights = None if guide is None else _by_position(guide).to(flat.dtype)
    products: Tensor = _Products.apply(flat, weights)  # type: ignore[no-untyped-call]
    return products / divisor


def channel_moments(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return mean `(B, C)` and second raw moment E[f fᵀ] `(B, C, C)` over positions.

    Raw moments, unlike covariances, blend linearly: a mixture of two styles has the mixture of
    their moments (style-transfer-pytorch learned this in its revision 93fe0b2).

    Args:
        features: `(B, C, H, W)`.
        guide: as for `gram_matrix`.
    """
    flat = _by_position(wide(features))
    weighted = flat if guide is None else flat * _by_position(guide)
    return weighted.mean(1), gram_matrix(features, "hw", guide)


def _eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors; on Apple's GPUs, which cannot, the CPU finds them."""
    values, vectors = torch.linalg.eigh(matrix.cpu() if matrix.device.type == "mps" else matrix)
    return values.to(matrix.device), vectors.to(matrix.device)


def covariance_sqrt(covariance: Tensor) -> Tensor:
    """Return the symmetric square root of symmetric positive semi-definite matrices `(..., C, C)`.

    Eigenvalues that rounding made negative count as zero.
    """
    values, vectors = _eigh(covariance)
    root: Tensor = (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.transpose(-1, -2)
    return root


class _TraceSqrt(torch.autograd.Function):
    """tr(A^½) with its closed-form gradient ½ A^-½, which never differentiates eigenvectors."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, matrix: Tensor, floor: float) -> Tensor:
        values, vectors = _eigh(matrix)
        # A^-½ explodes on the null space (more channels than positions); there the gradient is bounded.
        least = values[..., -1:].clamp_min(torch.finfo(values.dtype).tiny) * floor
        ctx.save_for_backward(values.clamp_min(least), vectors)
        trace: Tensor = values.clamp_min(0).sqrt().sum(-1)
        return trace

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        values, vectors = ctx.saved_tensors  # type: ignore[attr-defined]
        inverse = (vectors * values.rsqrt().unsqueeze(-2)) @ vectors.transpose(-1, -2)
        return 0.5 * grad[..., None, None] * inverse, None


def trace_sqrt(matrix: Tensor, floor: float = 1e-6) -> Tensor:
    """Return tr(A^½) of symmetric positive semi-definite `(..., C, C)`, differentiable.

    Args:
        matrix: the matrices A.
        floor: eigenvalues below this share of the largest are raised to it in the gradient.

    Source: d tr(A^½) = ½ tr(A^-½ dA).
    """
    return _TraceSqrt.apply(matrix, floor)  # type: ignore[no-any-return, no-untyped-call]


# --- smoothness ----------------------------------------------------------------------------------


def total_variation(
    image: Tensor, kind: TotalVariation = "l2", *, above: int = 0, below: int = 0, height: int | None = None
) -> Tensor:
    """Return how much neighboring pixels differ, as a mean, so that it does not grow with size.

    Args:
        image: `(B, C, H, W)` with H, W of 2 or more.
        kind: "l1": mean |dx| + mean |dy| (anisotropic; Johnson et al.'s code sums squares instead).
            "l2": mean dx² + mean dy² (Mahendran & Vedaldi 2015 with beta = 2).
            "nine-point": 2 (axis² / 3 + diagonal² / 12) over the eight neighbors, the rotation-fair
            stencil of style-transfer-pytorch; each pair counts once per end.
        above: 1 if the first row belongs to the strip above, of which `image` only sees it.
        below: 1 if the last row belongs to the strip below.
        height: of the whole picture, of which `image` is a strip; those of all its strips add up to its own.

    Returns:
        A scalar, 0 exactly for a constant image.
    """
    _check("kind", kind, TotalVariation)
    b, c, rows, w = image.shape
    own = rows - above - below
    height = own if height is None else height
    if kind == "nine-point":
        padded = F.pad(image, (1, 1, 1 - above, 1 - below), mode="replicate")
        middle, total = image[..., above : above + own, :], image.new_zeros(())
        for y, x in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2)]:
            difference = padded[..., y : y + own, x : x + w] - middle
            total = total + difference.square().sum() / (12 if y != 1 != x else 3)
        return 2 * total / (b * c * height * w)
    size = torch.abs if kind == "l1" else torch.square
    dx = size(image[..., above : above + own, :].diff(dim=-1)).sum() / (b * c * height * (w - 1))
    dy = size(image[..., above:, :].diff(dim=-2)).sum() / (b * c * (height - 1) * w)
    return dx + dy


def high_pass(image: Tensor, sigma: float = 1.0) -> Tensor:
    """Return the image minus its Gaussian blur: the speckle that total variation takes away.

    Args:
        image: `(B, C, H, W)`.
        sigma: the blur's standard deviation in pixels; detail finer than about this remains.

    Returns:
        Same shape, around 0; add 0.5 to look at it.
    """
    radius = max(1, math.ceil(3 * sigma))
    radius = min(radius, min(image.shape[-2:]) - 1)
    return image - gaussian_blur(image, sigma, radius, "reflect")


def gaussian_blur(image: Tensor, sigma: float, radius: int, border: Literal["reflect", "replicate"]) -> Tensor:
    """Return the Gaussian mean around each pixel of `(B, C, H, W)`, cut off `radius` pixels away."""
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma).square())
    kernel = kernel / kernel.sum()
    c = image.shape[1]
    blurred = F.pad(image, (radius,) * 4, mode=border)
    blurred = F.conv2d(blurred, kernel.view(1, 1, 1, -1).expand(c, 1, 1, -1), groups=c)
    return F.conv2d(blurred, kernel.view(1, 1, -1, 1).expand(c, 1, -1, 1), groups=c)


# --- color ---------------------------------------------------------------------------------------

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the Y of YIQ and YUV on gamma-encoded RGB


def luminance(image: Tensor) -> Tensor:
    """Return Y of YIQ, `(B, 1, H, W)` in [0, 1] (ITU-R BT.601 weights on encoded RGB)."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def match_luminance(style: Tensor, content: Tensor) -> Tensor:
    """Return the style in grey, `(B, 3, H, W)`, its luminance moved to the content's mean and spread.

    Source: Gatys, Bethge, Hertzmann & Shechtman 2016, arXiv:1606.05897, eq. 8.
    """
    y, reference = luminance(style), luminance(content)
    spread = y.std().clamp_min(1e-6)
    return ((y - y.mean()) * (reference.std() / spread) + reference.mean()).clamp(0, 1).expand(-1, 3, -1, -1)


def transplant_luminance(result: Tensor, content: Tensor) -> Tensor:
    """Return the content with the luminance of the result; I and Q of YIQ stay the content's."""
    return (content + luminance(result) - luminance(content)).clamp(0, 1)


def _color_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    flat = image.cpu().double().transpose(0, 1).flatten(1)  # (3, B*H*W); not every GPU has float64
    return flat.mean(1), torch.cov(flat, correction=0) + 1e-5 * torch.eye(3, dtype=flat.dtype)


def match_color(image: Tensor, target: Tensor, method: ColorMap = "transport") -> Tensor:
    """Move an image's colors by the linear map that gives them the target's mean and covariance.

    Args:
        image: `(B, 3, H, W)`, whose colors move.
        target: `(B, 3, H, W)`, whose color statistics are wanted; any size.
        method: which square root joins the covariances: "transport" (the optimal transport map
            A = Σs^-½ (Σs^½ Σc Σs^½)^½ Σs^-½, which moves colors least), "pca" (symmetric roots,
            A = Σc^½ Σs^-½) or "cholesky" (A = Lc Ls^-1).

    Returns:
        Same shape and dtype, clamped to [0, 1].

    Source: Gatys et al. 2016, arXiv:1606.05897, eqs. 2-7; transport: Pitié & Kokaram 2007, eq. 14.
    Differs: 1e-5 is added to the diagonals, so that grey pictures have an inverse.
    """
    _check("method", method, ColorMap)
    mean_s, cov_s = _color_moments(image)
    mean_c, cov_c = _color_moments(target)
    if method == "cholesky":
        matrix = torch.linalg.cholesky(cov_c) @ torch.linalg.inv(torch.linalg.cholesky(cov_s))
    elif method == "pca":
        matrix = covariance_sqrt(cov_c) @ torch.linalg.inv(covariance_sqrt(cov_s))
    else:
        root = covariance_sqrt(cov_s)
        inverse = torch.linalg.inv(root)
        matrix = inverse @ covariance_sqrt(root @ cov_c @ root) @ inverse
    b, _, h, w = image.shape
    moved = matrix @ (image.cpu().double().flatten(2) - mean_s.view(1, 3, 1)) + mean_c.view(1, 3, 1)  # (B, 3, H*W)
    result: Tensor = moved.view(b, 3, h, w).clamp(0, 1).to(image)
    return result


# --- likeness ------------------------------------------------------------------------------------


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean structural similarity of the luminances of two images, 1 for equal ones.

    Args:
        a: `(B, 3, H, W)` in [0, 1], H and W of 11 or more.
        b: the same shape.

    Source: Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13: 11 x 11 Gaussian window, sigma 1.5,
        K1 = 0.01, K2 = 0.03, only whole windows.
    """
    x = torch.arange(11, dtype=a.dtype, device=a.device) - 5
    line = torch.exp(-0.5 * (x / 1.5).square())
    line = line / line.sum()

    def window(image: Tensor) -> Tensor:
        image = F.conv2d(image, line.view(1, 1, 1, 11))
        return F.conv2d(image, line.view(1, 1, 11, 1))

    a, b = luminance(a), luminance(b)
    mu_a, mu_b = window(a), window(b)
    var_a = window(a * a) - mu_a.square()
    var_b = window(b * b) - mu_b.square()
    cov = window(a * b) - mu_a * mu_b
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a.square() + mu_b.square() + c1) * (var_a + var_b + c2))
    return score.mean()


_WIDE, _ROWS, _PASSES, _SPARE = 1024, 4096, 12, 16


@torch.no_grad()
def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean and the directions along which rows vary most: `(D,)` and `(K, D)`, at right angles.

    Args:
        rows: `(N, D)`, of any type; a few thousand at once become float32. If they are wider than 1024, directions
            are found by subspace iteration, which is a little less exact where variances are nearly equal.
        count: how many directions; there are no more than N or D, so K may be less.

    Returns:
        float64, on the same device.

    Source: Halko, Martinsson & Tropp 2011, arXiv:0909.4061, algorithm 4.4, for wide rows.
    """
    mean = torch.stack([part.double().sum(0) for part in torch.split(rows, _ROWS)]).sum(0) / len(rows)
    count = min(count, *rows.shape)

    def spread(along: Tensor | None = None) -> Tensor:
        """Return the covariance times N, and times these columns."""
        parts = ((part - mean).float() for part in torch.split(rows, _ROWS))
        products = [part.T @ (part if along is None else part @ along.float()) for part in parts]
        return torch.stack([product.double() for product in products]).sum(0)

    if rows.shape[1] <= _WIDE:
        return mean, torch.linalg.eigh(spread())[1][:, -count:].T.flip(0)
    width = min(count + _SPARE, rows.shape[1])
    space = torch.randn(rows.shape[1], width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(mean)
    for _ in range(_PASSES):
        space = torch.linalg.qr(spread(space))[0]
    vectors = torch.linalg.eigh(space.T @ spread(space))[1]
    return mean, (space @ vectors[:, -count:]).T.flip(0)
