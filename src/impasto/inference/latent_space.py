"""Views of a latent space as sheets of pictures: grids, interpolations, planes, traversals, latent arithmetic.

Functions here use a `Generator` and know no files. Codes of a plain autoencoder are not Gaussian: `to_normal` and
`from_normal` of `Generator` map them to the standard Gaussian and back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.inference.generator import Autoencoder, Generator
from impasto.losses.likelihood import active_units, gaussian_kl
from impasto.metrics.precision_recall import nearest
from impasto.ops.linear_algebra import principal_components

__all__ = [
    "Embeddings",
    "Sheet",
    "TRAVERSAL_END",
    "activity",
    "analogies",
    "arithmetic",
    "bars",
    "check_axes",
    "class_means",
    "embeddings",
    "grid",
    "interpolation",
    "lerp",
    "manifold",
    "nearest_neighbors",
    "plane",
    "quantiles",
    "reconstructions",
    "slerp",
    "standard_deviations",
    "traversal",
]

TRAVERSAL_END = 3.0  # standard deviations from the mean, in both directions
_POSITIONS = 7  # at which the effect of a dimension is measured
_DIMENSIONS = 64  # measured together
_BARS = 64  # pixels across a bar chart of a code, if that is an integer multiple of the pictures' size
_COPY = 1 / 3  # as in evaluation.Quality.copies


@dataclass(frozen=True, eq=False)
class Sheet:
    """Pictures in rows with labels.

    Attributes:
        cells: of each row `(K, C, h, w)` in [0, 1]; rows may differ in size.
        caption: a sentence without a full stop.
        rows: a label for each row, or none.
        columns: a label for each column, or none.
        told: measurements by name.
    """

    cells: Sequence[Tensor]
    caption: str
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    told: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Latent codes of pictures in two dimensions.

    Attributes:
        positions: `(N, 2)`, float64 on the CPU; `(N, 1)` of networks with a latent size of 1.
        axes: names of the dimensions.
        caption: a sentence without a full stop.
        told: measurements by name.
        kl: of a VAE `(Z,)`, the mean KL divergence of each dimension, in nats.
        used: `(Z,)`, whether the dimension differs between pictures.
    """

    positions: Tensor
    axes: tuple[str, ...]
    caption: str
    told: dict[str, float]
    kl: Tensor | None
    used: Tensor


# --- between codes -------------------------------------------------------------------------------


def lerp(first: Tensor, second: Tensor, fractions: Tensor) -> Tensor:
    """Return linear interpolations.

    Args:
        first: `(..., Z)`.
        second: the same shape.
        fractions: `(K,)`: 0 gives the first, 1 the second.

    Returns:
        `(..., K, Z)`.
    """
    along = fractions.to(first)[:, None]
    between: Tensor = (1 - along) * first[..., None, :] + along * second[..., None, :]
    return between


def slerp(first: Tensor, second: Tensor, fractions: Tensor) -> Tensor:
    """Return spherical interpolations: directions and lengths change evenly.

    Samples of a Gaussian in many dimensions have about the same length. On a straight line between two of them, the
    middle is shorter by a factor of up to 1.4; an arc keeps the length.

    Args:
        first: `(..., Z)`.
        second: the same shape.
        fractions: `(K,)`, as for `lerp`.

    Returns:
        `(..., K, Z)`. Between opposite directions, one of the arcs; to or from 0, a straight line.

    Source: Shoemake 1985, "Animating rotation with quaternion curves"; White 2016, arXiv:1609.04468.
    Differs: Shoemake's vectors have length 1, and White uses the formula for all lengths. Here directions and lengths
        are interpolated separately. The arc is written with a vector orthogonal to the first, which is also exact
        for nearly parallel vectors, where Shoemake's formula divides by nearly 0.
    """
    a, b = first.double(), second.double()
    long_a, long_b = (vector.norm(dim=-1, keepdim=True) for vector in (a, b))
    u, v = a / long_a.clamp_min(1e-300), b / long_b.clamp_min(1e-300)
    angle = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    orthogonal = _orthogonal(u, v)
    along = fractions.to(a)[:, None]  # (K, 1)
    turned = angle[..., None, :] * along  # (..., K, 1)
    direction = turned.cos() * u[..., None, :] + turned.sin() * orthogonal[..., None, :]
    lengths = (1 - along) * long_a[..., None, :] + along * long_b[..., None, :]
    somewhere = ((long_a > 0) & (long_b > 0))[..., None, :]
    points: Tensor = torch.where(somewhere, lengths * direction, lerp(a, b, fractions))
    return points.to(first.dtype)


def _orthogonal(u: Tensor, v: Tensor) -> Tensor:
    """Return the unit vector orthogonal to u towards v; any orthogonal one if they are parallel."""
    found = v - (u * v).sum(-1, keepdim=True) * u
    axis = torch.zeros_like(u).scatter_(-1, u.abs().argmin(-1, keepdim=True), 1.0)  # far from u
    other = axis - (u * axis).sum(-1, keepdim=True) * u
    found = torch.where(found.norm(dim=-1, keepdim=True) > 1e-12, found, other)
    unit: Tensor = found / found.norm(dim=-1, keepdim=True).clamp_min(1e-300)
    return unit


def quantiles(count: int) -> Tensor:
    """Return the medians of equally likely parts of the standard Gaussian, `(count,)`, in ascending order.

    Source: Kingma & Welling 2014, arXiv:1312.6114, figure 4: evenly spaced in [0, 1], and then through the inverse of
        the Gaussian's cumulative distribution function.
    """
    positions: Tensor = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return positions


def plane(middle: Tensor, across: Tensor, down: Tensor, columns: int, rows: int) -> Tensor:
    """Return the codes `(rows, columns, Z)` of a plane, at quantiles of the Gaussian along both directions.

    Args:
        middle: `(Z,)`.
        across: `(Z,)`, one standard deviation to the right.
        down: `(Z,)`, one standard deviation downwards.
        columns: positions across.
        rows: positions down.
    """
    right, below = quantiles(columns).to(middle), quantiles(rows).to(middle)
    latents: Tensor = middle + below[:, None, None] * down + right[None, :, None] * across
    return latents


def standard_deviations(model: Generator) -> Tensor:
    """Return the standard deviation of each latent dimension, `(Z,)`: 1, except for plain autoencoders."""
    if model.prior is None:
        return torch.ones(model.latent_size)
    found: Tensor = model.prior[1].norm(dim=1)  # of a covariance R Rᵀ, the roots of its diagonal
    return found


def _middle(model: Generator) -> Tensor:
    return torch.zeros(model.latent_size) if model.prior is None else model.prior[0]


def class_means(codes: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Return the mean code of each of some classes, `(len(classes), Z)`.

    Args:
        codes: `(N, Z)`.
        labels: `(N,)`.
        classes: which.

    Raises:
        OptionError: one of them has no picture.
    """
    means = []
    for one in classes:
        mine = codes[(labels == one).to(codes.device)]
        if not len(mine):
            known = ", ".join(map(str, sorted(set(labels.tolist()))[:20]))
            raise OptionError(f"no picture is of class {one}; there are {known}.")
        means.append(mine.double().mean(0))
    return torch.stack(means).to(codes)


def _in_rows(pictures: Tensor, columns: int) -> Tensor:
    """Return pictures arranged in rows, `(R, columns, C, H, W)`."""
    return pictures.view(-1, columns, *pictures.shape[1:])


# --- sheets --------------------------------------------------------------------------------------


def grid(model: Generator, rows: int, columns: int, random: torch.Generator, classes: Sequence[int] = ()) -> Sheet:
    """Return random samples.

    A class-conditional network gets a row for each class, or for each of some. The latent codes are the same in all
    rows: what a column has in common is what codes say beside the class.

    Args:
        model: the generator.
        rows: how many, if it is not class-conditional.
        columns: how many.
        random: the source of codes.
        classes: which; by default all.
    """
    if not model.classes:
        pictures = _in_rows(model.decode(model.draw(rows * columns, random)), columns)
        return Sheet(list(pictures), f"{rows * columns} random samples, latent size {model.latent_size}")
    chosen = tuple(classes) or tuple(range(model.classes))
    latents = model.draw(columns, random).repeat(len(chosen), 1)
    pictures = model.decode(latents, torch.tensor(chosen).repeat_interleave(columns))
    return Sheet(
        list(torch.split(pictures, columns)),
        "random samples, a row for each class, the same latent code in each column",
        [model.class_name(one) for one in chosen],
    )


def interpolation(
    model: Generator,
    first: Tensor,
    second: Tensor,
    columns: int,
    *,
    path: Literal["linear", "spherical"] = "spherical",
    labels: Tensor | None = None,
    pictures: tuple[Tensor, Tensor] | None = None,
) -> Sheet:
    """Return interpolations between latent codes, a row for each pair.

    Args:
        model: the generator.
        first: `(R, Z)`.
        second: `(R, Z)`.
        columns: positions, with both ends.
        path: "linear" or "spherical"; see `slerp`.
        labels: `(R,)`, classes of the rows, if the network is class-conditional.
        pictures: the encoded pictures, `(R, C, H, W)` in [0, 1] for each end, shown beside; None for random codes.
    """
    between = {"linear": lerp, "spherical": slerp}[path]
    fractions = torch.linspace(0, 1, columns)
    latents = model.from_normal(between(model.to_normal(first), model.to_normal(second), fractions).flatten(0, 1))
    known = None if labels is None else labels.repeat_interleave(columns)
    cells = _in_rows(model.decode(latents, known), columns)
    heads = [f"{fraction:.2g}" for fraction in fractions.tolist()]
    caption = f"{path} interpolations between the latent codes"
    if pictures is not None:
        left, right = (side.to(cells)[:, None] for side in pictures)
        cells = torch.cat([left, cells, right], 1)
        heads = ["picture", *heads, "picture"]
        caption += " of the pictures at both ends"
    else:
        caption = f"{path} interpolations between random latent codes, a row for each pair"
    return Sheet(list(cells), caption, [] if labels is None else list(map(model.class_name, labels.tolist())), heads)


def check_axes(axes: Sequence[int], size: int) -> None:
    """Check two dimensions of a latent space of that size, counted from 1; () is none.

    Raises:
        OptionError: there are no such dimensions, or they are the same.
    """
    if axes and (len(set(axes)) != 2 or not all(1 <= axis <= size for axis in axes)):
        raise OptionError(f"axes are {','.join(map(str, axes))}; expected two different dimensions from 1 to {size}.")


def manifold(
    model: Generator,
    rows: int,
    columns: int,
    random: torch.Generator,
    *,
    codes: Tensor | None = None,
    axes: Sequence[int] = (),
    label: int | None = None,
) -> Sheet:
    """Return a plane of the latent space, at quantiles of the Gaussian in both directions.

    With a latent size of 2 this is the whole latent space. Otherwise it is the plane of two chosen dimensions; or with
    `codes`, that of their two principal components, through their mean; or that of the two dimensions that change
    pictures most. The other dimensions are at their mean with `codes`, and random without: for a GAN, the mean of the
    latent space is no typical code.

    Args:
        model: the generator.
        rows: positions down.
        columns: positions across.
        random: the source of random codes.
        codes: `(N, Z)`, of pictures.
        axes: two dimensions, counted from 1.
        label: the class, if the network is class-conditional.

    Raises:
        OptionError: there are no such dimensions.

    Source: Kingma & Welling 2014, arXiv:1312.6114, figure 4.
    """
    size = model.latent_size
    check_axes(axes, size)
    middle, steps = _middle(model), torch.diag(standard_deviations(model))
    if size <= 2 and not axes:
        steps = torch.cat([model.from_normal(torch.eye(size)).cpu() - middle, torch.zeros(2 - size, size)])
        across, down = steps[0], steps[1]
        rows, caption = (1 if size == 1 else rows), "the whole latent space"
    elif axes:
        across, down = (steps[axis - 1] for axis in axes)
        middle = middle if codes is not None or isinstance(model, Autoencoder) else model.draw(1, random)[0].cpu()
        caption = f"the plane of latent dimensions {axes[0]}, across, and {axes[1]}, down"
    elif codes is not None:
        mean, directions = principal_components(codes.cpu(), 2)
        spread = ((codes.cpu().double() - mean) @ directions.T).std(0)
        across, down = (directions * spread[:, None]).float()
        middle, caption = mean.float(), "the plane of the first two principal components of latent codes"
    else:
        middle = model.draw(1, random)[0].cpu()
        most = activity(model, middle, label).argsort(descending=True)[:2].tolist()
        across, down = (steps[axis] for axis in most)
        middle = middle.clone()
        middle[most] = 0
        caption = f"the plane of latent dimensions {most[0] + 1}, across, and {most[1] + 1}, down, which change most"
    latents = plane(middle, across, down, columns, rows).flatten(0, 1)
    known = None if label is None else torch.full((len(latents),), label)
    caption += f", at {columns}×{rows} quantiles of the Gaussian" if rows > 1 else f", at {columns} quantiles"
    caption += _of_class(model, label)
    return Sheet(list(_in_rows(model.decode(latents, known), columns)), caption)


def _of_class(model: Generator, label: int | None) -> str:
    return "" if label is None else f", of class {model.class_name(label)}"


def activity(model: Generator, base: Tensor, label: int | None = None) -> Tensor:
    """Return the effect of each latent dimension, `(Z,)`: the standard deviation of pixels along it, root mean square.

    Args:
        model: the generator.
        base: `(Z,)`, the code of all other dimensions.
        label: the class, if the network is class-conditional.
    """
    middle, step = _middle(model), standard_deviations(model)
    positions = torch.linspace(-TRAVERSAL_END, TRAVERSAL_END, _POSITIONS)
    found = []
    for some in torch.split(torch.arange(model.latent_size), _DIMENSIONS):
        latents = base.cpu().repeat(len(some), _POSITIONS, 1)  # (n, positions, Z)
        latents[torch.arange(len(some)), :, some] = middle[some, None] + step[some, None] * positions
        known = None if label is None else torch.full((len(some) * _POSITIONS,), label)
        pictures = _in_rows(model.decode(latents.flatten(0, 1), known), _POSITIONS)
        found.append(pictures.double().var(1).flatten(1).mean(1).sqrt().cpu())
    return torch.cat(found)


def traversal(model: Generator, base: Tensor, rows: int, columns: int, label: int | None = None) -> Sheet:
    """Return traversals of single latent dimensions, a row each, the one with the largest effect first.

    Args:
        model: the generator.
        base: `(Z,)`, the code of all other dimensions.
        rows: number of dimensions, at most.
        columns: positions from -3 to 3 standard deviations.
        label: the class, if the network is class-conditional.
    """
    active = activity(model, base, label)
    most = active.argsort(descending=True)[:rows]
    positions = torch.linspace(-TRAVERSAL_END, TRAVERSAL_END, columns)
    latents = base.cpu().repeat(len(most), columns, 1)
    latents[torch.arange(len(most)), :, most] = (
        _middle(model)[most, None] + standard_deviations(model)[most, None] * positions
    )
    known = None if label is None else torch.full((len(most) * columns,), label)
    pictures = _in_rows(model.decode(latents.flatten(0, 1), known), columns)
    return Sheet(
        list(pictures),
        f"traversals of {len(most)} of {model.latent_size} latent dimensions, from -3 to 3 standard deviations, the "
        "most active first" + _of_class(model, label),
        [f"dimension {one + 1}" for one in most.tolist()],
        [f"{position:+.2g}" if position else "0" for position in positions.tolist()],
    )


def arithmetic(
    model: Autoencoder, means: Tensor, classes: Sequence[int], pictures: Tensor, columns: int, mean_picture: Tensor
) -> Sheet:
    """Return latent arithmetic: codes of pictures of class a, moved towards a - b + c; towards c, if b is a.

    Args:
        model: an autoencoder or VAE.
        means: `(3, Z)`, mean codes of the classes a, b and c.
        classes: a, b and c.
        pictures: `(N, C, H, W)` in [0, 1], of class a, a row each.
        columns: positions.
        mean_picture: `(C, H, W)` in [0, 1], of class a, shown beside the row of the mean code.

    Source: Radford, Metz & Chintala 2016, arXiv:1511.06434, section 6.3.2, where means are over three pictures.
    """
    a, b, c = map(model.class_name, classes)
    fractions = torch.linspace(0, 1, columns)
    starts = torch.cat([means[:1], model.encode(pictures).to(means)])
    latents = lerp(starts, starts + means[2] - means[1], fractions).flatten(0, 1)
    cells = _in_rows(model.decode(latents), columns)
    name = f"{a} turned into {c}" if classes[0] == classes[1] else f"{a} - {b} + {c}"
    originals = torch.cat([mean_picture[None], pictures]).to(cells)[:, None]
    return Sheet(
        list(torch.cat([originals, cells], 1)),
        f"{name}: the mean code of {c} minus that of {b}, added to codes of {a}",
        [f"mean {a}", *[a] * len(pictures)],
        ["picture", *(f"{fraction:.2g}" for fraction in fractions.tolist())],
    )


def analogies(model: Autoencoder, pictures: Tensor, labels: Tensor, classes: Sequence[int] = ()) -> Sheet:
    """Return the codes of pictures decoded in other classes, by a class-conditional network.

    Args:
        model: a conditional VAE.
        pictures: `(N, C, H, W)` in [0, 1], a row each.
        labels: `(N,)`, their classes.
        classes: classes to decode in; by default all.

    Source: Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298, figure 1.
    """
    chosen = torch.tensor(tuple(classes) or tuple(range(model.classes)))
    codes = model.encode(pictures, labels).repeat_interleave(len(chosen), 0)
    cells = _in_rows(model.decode(codes, chosen.repeat(len(pictures))), len(chosen))
    return Sheet(
        list(torch.cat([pictures.to(cells)[:, None], cells], 1)),
        "codes of the pictures on the left, decoded in every class: they hold all but the class",
        [],
        ["picture", *map(model.class_name, chosen.tolist())],
    )


def bars(codes: Tensor, size: tuple[int, int], channels: int = 1) -> Tensor:
    """Return bar charts of codes, `(N, channels, h, w)`: bars up from the middle, or down for negative values.

    Args:
        codes: `(N, Z)`; the longest of all bars reaches the edge. If there are more values than pixels across, some
            are left out.
        size: height and width.
        channels: of the pictures.
    """
    height, width = size
    shown = codes[:, torch.arange(width) * codes.shape[1] // width].double().cpu()  # (N, w)
    most = shown.abs().max().clamp_min(1e-12)
    middle = (height - 1) / 2
    tips = middle - shown / most * middle
    rows = torch.arange(height, dtype=torch.float64)[None, :, None]
    low, high = tips.clamp_max(middle)[:, None], tips.clamp_min(middle)[:, None]
    inside = (rows >= low.floor()) & (rows <= high.ceil())
    return torch.where(inside, 0.2, 0.93).float()[:, None].expand(-1, channels, -1, -1)


def reconstructions(
    model: Autoencoder, pictures: Tensor, labels: Tensor | None = None, given: Tensor | None = None
) -> Sheet:
    """Return pictures, their codes as bar charts, and their reconstructions, in rows.

    Args:
        model: an autoencoder or VAE.
        pictures: `(N, C, H, W)` in [0, 1].
        labels: `(N,)`, if it is class-conditional.
        given: the input in their place, noisy ones; the same shape.

    Returns:
        `told` has "mse", of the reconstructions, and "given_mse" of noisy inputs, both against the pictures.
    """
    pictures = pictures.cpu()
    seen = pictures if given is None else given.cpu()
    codes = model.encode(seen, labels)
    back = model.decode(codes, labels).cpu()
    factor = max(1, _BARS // max(pictures.shape[-2:]))
    height, width = (factor * side for side in pictures.shape[-2:])
    told = {"mse": float((back - pictures).double().square().mean())}
    rows, names = [pictures], ["picture"]
    if given is not None:
        told["given_mse"] = float((seen - pictures).double().square().mean())
        rows.append(seen)
        names.append("noisy")
    rows += [bars(codes, (height, width), pictures.shape[1]), back]
    names += [f"code, {model.latent_size} values", "reconstruction"]
    return Sheet(rows, "test pictures, their latent codes, and the reconstructions", names, [], told)


def embeddings(model: Autoencoder, pictures: Tensor, labels: Tensor | None = None) -> Embeddings:
    """Return the latent codes of pictures in two dimensions: the first two principal components if there are more.

    Codes of a VAE are the means, and the plane goes through the origin; of an autoencoder, through their mean.

    Args:
        model: an autoencoder or VAE.
        pictures: `(N, C, H, W)`, uint8, or floats in [0, 1].
        labels: `(N,)`, if it is class-conditional.

    Returns:
        `told` has "variance", the fraction that the plane explains, for more than two dimensions; and of a VAE "kl",
        the sum over all dimensions in nats, and "active", the number of active units: dimensions whose means have a
        variance above 0.01 (Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5.2).
    """
    means, logvar = (None if part is None else part.double().cpu() for part in model.posterior(pictures, labels))
    assert means is not None
    count, size = means.shape
    variances = means.var(0, correction=0)
    told: dict[str, float] = {}
    number = "test picture" if count == 1 else "test pictures"
    if size <= 2:
        positions, axes = means, tuple(f"dimension {axis + 1}" for axis in range(size))
        caption = f"{count:,} {number}, by {'both latent dimensions' if size == 2 else 'the only latent dimension'}"
    else:
        middle, directions = principal_components(means, 2)
        directions = torch.cat([directions, directions.new_zeros(2 - len(directions), size)])
        first = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        directions = torch.where(first < 0, -1, 1) * directions  # the sign is arbitrary: always take the same one
        positions = (means if logvar is not None else means - middle) @ directions.T
        fractions = (positions.var(0, correction=0) / variances.sum().clamp_min(1e-300)).tolist()
        told["variance"] = sum(fractions)
        axes = tuple(f"{name} principal component, {fraction:.0%} of the variance" for name, fraction in
                     zip(("first", "second"), fractions, strict=True))  # fmt: skip
        caption = f"{count:,} {number}, by the first two principal components of their {size}-dimensional codes"
    used = active_units(means)
    kl = None
    if logvar is not None:
        kl = gaussian_kl(means.reshape(-1, 1), logvar.reshape(-1, 1)).view(count, size).mean(0)
        told |= {"kl": float(kl.sum()), "active": float(used.sum()), "latent": float(size)}
    return Embeddings(positions, axes, caption, told, kl, used)


def nearest_neighbors(samples: Tensor, training: Tensor, neighbors: int) -> Sheet:
    """Return samples, and below each its nearest training pictures.

    Args:
        samples: `(N, C, H, W)` in [0, 1].
        training: `(M, C, H, W)` uint8, more than one.
        neighbors: how many are shown.

    Returns:
        `told` has "nearest", the median distance to the nearest neighbor, as root mean square of pixels, and "copies",
        the number of samples less than a third as far from the nearest neighbor as from the second.
    """
    rounded = (samples.cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    away, which = nearest(rounded, training.cpu(), min(max(2, neighbors), len(training)))
    shown = training.cpu()[which[:, :neighbors]].float() / 255  # (N, n, C, H, W)
    copied = away[:, 0] < _COPY * away[:, -1] if away.shape[1] < 3 else away[:, 0] < _COPY * away[:, 1]
    return Sheet(
        [samples.cpu(), *shown.unbind(1)],
        "samples, and below each its nearest training pictures, with the distance of the first",
        ["sample", "nearest", *(f"nearest {rank}" for rank in range(2, shown.shape[1] + 1))],
        [f"{distance:.3f}" for distance in away[:, 0].tolist()],
        {"nearest": float(away[:, 0].median()), "copies": float(copied.sum())},
    )
