"""Matrix square roots and principal components."""

from itertools import combinations

import torch
from torch import Tensor

from impasto.errors import OptionError

__all__ = ["covariance_sqrt", "eigh", "jacobi", "principal_components", "trace_sqrt"]

_SWEEPS = 4  # of Jacobi's method: those of 3 x 3 are exact to 1e-15 then


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues `(..., C)` and eigenvectors `(..., C, C)`, in columns, of symmetric matrices.

    Apple's GPUs lack them, so they are computed on the CPU. Exporters lack them, too, so they see `jacobi`.

    Where the solver does not converge, as for a matrix of rounding errors, it is solved again in float64, scaled to 1.

    Raises:
        OptionError: the matrix is not finite.
    """
    if torch.compiler.is_exporting():
        return jacobi(matrix)
    try:
        values, vectors = torch.linalg.eigh(matrix.cpu() if matrix.device.type == "mps" else matrix)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        if not matrix.isfinite().all():
            raise OptionError(
                "the covariance of features is not finite; expected numbers. Choose lower weights or a lower learning "
                "rate."
            ) from None
        exact = matrix.detach().cpu().double()
        size = exact.abs().amax().clamp_min(torch.finfo(exact.dtype).tiny)
        values, vectors = torch.linalg.eigh(exact / size)
        values = values * size
    return values.to(matrix), vectors.to(matrix)


def jacobi(matrix: Tensor, sweeps: int = _SWEEPS) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, in any order, and eigenvectors of small symmetric matrices in a fixed number of products.

    Args:
        matrix: `(B, C, C)`.
        sweeps: how often each pair of axes is rotated.

    Returns:
        `(B, C)` and `(B, C, C)`, the eigenvectors in columns.

    Source: Jacobi 1846; Golub & Van Loan 2013, "Matrix computations", 4th edition, section 8.5.
    """
    identity = torch.eye(matrix.shape[-1]).to(matrix)
    pairs = torch.tensor(list(combinations(range(len(identity)), 2)) * sweeps)

    def rotate(state: Tensor, axes: Tensor) -> tuple[Tensor, Tensor]:
        """Make the entry of two axes `(2, C)` zero."""
        matrix, vectors = state.unbind()
        plane = axes @ matrix @ axes.T  # (..., 2, 2)
        twice, gap = 2 * plane[..., :1, 1:], plane[..., 1:, 1:] - plane[..., :1, :1]
        root = gap.abs() + (gap.square() + twice.square()).sqrt() + torch.finfo(matrix.dtype).tiny
        tangent = torch.where(gap < 0, -twice, twice) / root
        cosine = 1 / (tangent.square() + 1).sqrt()
        turn = axes[0][:, None] * axes[1]
        rotation = identity + (cosine - 1) * (axes.T @ axes) + cosine * tangent * (turn - turn.T)
        return torch.stack([rotation.mT @ matrix @ rotation, vectors @ rotation]), cosine

    state = torch.stack([matrix, identity.expand_as(matrix)])
    if torch.compiler.is_exporting():  # as a loop in the file, for one matrix
        from torch._higher_order_ops.scan import scan  # needed here only, and not public

        state = scan(rotate, state[:, 0], identity[pairs])[0][:, None]
    else:
        for axes in identity[pairs]:
            state, _ = rotate(state, axes)
    return state[0].diagonal(dim1=1, dim2=2), state[1]


def covariance_sqrt(covariance: Tensor) -> Tensor:
    """Return the symmetric square root of symmetric positive semi-definite matrices `(..., C, C)`.

    Negative eigenvalues from rounding count as zero.
    """
    values, vectors = eigh(covariance)
    root: Tensor = (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.transpose(-1, -2)
    return root


class _TraceSqrt(torch.autograd.Function):
    """tr(A^½) with its closed-form gradient ½ A^-½, without derivatives of eigenvectors."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, matrix: Tensor, floor: float) -> Tensor:
        values, vectors = eigh(matrix)
        # A^-½ diverges on the null space (more channels than positions); the gradient is bounded there.
        least = (values[..., -1:] * floor).clamp_min(torch.finfo(values.dtype).tiny)
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
        floor: lower bound of the eigenvalues in the gradient, as a fraction of the largest.

    Source: d tr(A^½) = ½ tr(A^-½ dA).
    """
    return _TraceSqrt.apply(matrix, floor)  # type: ignore[no-any-return, no-untyped-call]


_WIDE, _ROWS, _PASSES, _SPARE = 1024, 4096, 12, 16


@torch.no_grad()
def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the mean `(D,)` and the first principal components `(K, D)` of rows, orthonormal.

    Args:
        rows: `(N, D)`, of any type; chunks are converted to float32. For D above 1024 subspace iteration is used,
            which is a little less accurate where variances are nearly equal.
        count: number of components; K is at most N and D.

    Returns:
        float64, on the device of `rows`.

    Source: Halko, Martinsson & Tropp 2011, arXiv:0909.4061, algorithm 4.4, for wide rows.
    """
    mean = torch.stack([part.double().sum(0) for part in torch.split(rows, _ROWS)]).sum(0) / len(rows)
    count = min(count, *rows.shape)

    def spread(along: Tensor | None = None) -> Tensor:
        """Return the covariance times N, and times the columns of `along` if given."""
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
