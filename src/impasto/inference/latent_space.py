"""Maps of what a network makes from its numbers: grids, paths, planes, strips, sums; each a sheet of pictures.

Functions here ask a `generator.Maker` and know no files. Numbers that nothing has made Gaussian, those of a plain
autoencoder, are first brought to the standard Gaussian and afterwards back, by `Maker.standard` and `Maker.placed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.inference.generator import Maker
from impasto.losses.likelihood import gaussian_kl, used_numbers
from impasto.metrics.precision_recall import nearest
from impasto.ops.linear_algebra import principal_components

__all__ = [
    "Codes",
    "FURTHEST",
    "Sheet",
    "activity",
    "analogies",
    "arithmetic",
    "bars",
    "class_means",
    "codes",
    "copies",
    "deviations",
    "grid",
    "interpolation",
    "lerp",
    "manifold",
    "plane",
    "quantiles",
    "reconstructions",
    "slerp",
    "traversal",
]

FURTHEST = 3.0  # deviations from the middle that a traversal goes
_LOOKS = 7  # places at which is seen how much a number changes
_NUMBERS = 64  # numbers that are looked at together for that
_BARS = 64  # pixels across a picture of numbers, if a whole factor of the pictures makes them so
_COPY = 1 / 3  # as in evaluation.Quality.copies


@dataclass(frozen=True, eq=False)
class Sheet:
    """Pictures in rows, and words for them.

    Attributes:
        cells: of each row `(K, C, h, w)` in [0, 1]; rows may differ in size.
        caption: what is shown: a sentence without a full stop.
        rows: a word for each row, or none.
        columns: a word for each column, or none.
        told: what was measured on the way.
    """

    cells: Sequence[Tensor]
    caption: str
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    told: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Codes:
    """Where the numbers of pictures lie.

    Attributes:
        places: `(N, 2)`, float64 on the CPU; `(N, 1)` of networks of a single number.
        axes: what each of those is.
        caption: what is shown: a sentence without a full stop.
        told: what was measured.
        kl: of a VAE `(Z,)`, what each number tells of a picture, on average, in nats.
        used: `(Z,)`, which numbers differ from picture to picture.
    """

    places: Tensor
    axes: tuple[str, ...]
    caption: str
    told: dict[str, float]
    kl: Tensor | None
    used: Tensor


# --- between numbers -----------------------------------------------------------------------------


def lerp(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """Return what lies on the straight lines from first to second.

    Args:
        first: `(..., Z)`.
        second: the same shape.
        shares: `(K,)`, how far to go: 0 is the first, 1 the second.

    Returns:
        `(..., K, Z)`.
    """
    along = shares.to(first)[:, None]
    between: Tensor = (1 - along) * first[..., None, :] + along * second[..., None, :]
    return between


def slerp(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """Return what lies on the arcs from first to second: directions turn evenly, lengths change evenly.

    Draws from a Gaussian in many dimensions all have about the same length, which a straight line between two of them
    does not keep: in its middle it is shorter by up to a factor of 1.4. An arc keeps it.

    Args:
        first: `(..., Z)`.
        second: the same shape.
        shares: `(K,)`, as for `lerp`.

    Returns:
        `(..., K, Z)`. Between vectors of opposite directions, any of the arcs; to or from 0, a straight line.

    Source: Shoemake 1985, "Animating rotation with quaternion curves"; White 2016, arXiv:1609.04468.
    Differs: Shoemake's vectors have length 1, and White takes the formula as it is for others. Here directions and
        lengths go separately. The arc is written with a vector at right angles to the first, which also holds where
        the two are nearly parallel and Shoemake's formula divides by nearly 0.
    """
    a, b = first.double(), second.double()
    long_a, long_b = (vector.norm(dim=-1, keepdim=True) for vector in (a, b))
    u, v = a / long_a.clamp_min(1e-300), b / long_b.clamp_min(1e-300)
    angle = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    across = _across(u, v)
    along = shares.to(a)[:, None]  # (K, 1)
    turned = angle[..., None, :] * along  # (..., K, 1)
    direction = turned.cos() * u[..., None, :] + turned.sin() * across[..., None, :]
    lengths = (1 - along) * long_a[..., None, :] + along * long_b[..., None, :]
    somewhere = ((long_a > 0) & (long_b > 0))[..., None, :]
    way: Tensor = torch.where(somewhere, lengths * direction, lerp(a, b, shares))
    return way.to(first.dtype)


def _across(u: Tensor, v: Tensor) -> Tensor:
    """Return the direction at right angles to u in which v lies; any, if v lies in none."""
    found = v - (u * v).sum(-1, keepdim=True) * u
    axis = torch.zeros_like(u).scatter_(-1, u.abs().argmin(-1, keepdim=True), 1.0)  # far from u
    other = axis - (u * axis).sum(-1, keepdim=True) * u
    found = torch.where(found.norm(dim=-1, keepdim=True) > 1e-12, found, other)
    unit: Tensor = found / found.norm(dim=-1, keepdim=True).clamp_min(1e-300)
    return unit


def quantiles(count: int) -> Tensor:
    """Return the middles of so many equally likely parts of the standard Gaussian, `(count,)`, rising.

    Source: Kingma & Welling 2014, arXiv:1312.6114, figure 4: evenly spaced in [0, 1], and then through the inverse of
        the Gaussian's distribution function.
    """
    places: Tensor = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return places


def plane(middle: Tensor, across: Tensor, down: Tensor, columns: int, rows: int) -> Tensor:
    """Return the numbers `(rows, columns, Z)` of a plane, at quantiles of the Gaussian along both of its directions.

    Args:
        middle: `(Z,)`.
        across: `(Z,)`, one deviation to the right.
        down: `(Z,)`, one deviation downwards.
        columns: how many places across.
        rows: how many places down.
    """
    right, below = quantiles(columns).to(middle), quantiles(rows).to(middle)
    numbers: Tensor = middle + below[:, None, None] * down + right[None, :, None] * across
    return numbers


def deviations(maker: Maker) -> Tensor:
    """Return how far each of a network's numbers usually goes, `(Z,)`: 1, but for plain autoencoders."""
    if maker.codes is None:
        return torch.ones(maker.latent)
    spread: Tensor = maker.codes[1].norm(dim=1)  # of a covariance R Rᵀ, the roots of its diagonal
    return spread


def _middle(maker: Maker) -> Tensor:
    return torch.zeros(maker.latent) if maker.codes is None else maker.codes[0]


def class_means(codes: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Return the mean of the numbers of each of some classes, `(len(classes), Z)`.

    Args:
        codes: `(N, Z)`.
        labels: `(N,)`.
        classes: which.

    Raises:
        OptionError: there is no picture of one of them.
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
    """Return `(R, columns, C, H, W)` of pictures one after the other."""
    return pictures.view(-1, columns, *pictures.shape[1:])


# --- sheets --------------------------------------------------------------------------------------


def grid(maker: Maker, rows: int, columns: int, random: torch.Generator, classes: Sequence[int] = ()) -> Sheet:
    """Return pictures of drawn numbers.

    If the network knows classes there is a row for each, or for each of some, and the numbers are the same in all
    rows: what stays alike down a column is what numbers tell beside the class.

    Args:
        maker: the network.
        rows: how many, if it knows no classes.
        columns: how many.
        random: the chance.
        classes: which; by default all.
    """
    if not maker.classes:
        pictures = _in_rows(maker.make(maker.draw(rows * columns, random)), columns)
        return Sheet(list(pictures), f"{rows * columns} new pictures, each of {_numbered(maker.latent)}")
    chosen = tuple(classes) or tuple(range(maker.classes))
    numbers = maker.draw(columns, random).repeat(len(chosen), 1)
    pictures = maker.make(numbers, torch.tensor(chosen).repeat_interleave(columns))
    return Sheet(
        list(torch.split(pictures, columns)),
        "pictures of drawn numbers, a row for each class, the numbers of a column the same",
        [maker.called(one) for one in chosen],
    )


def _numbered(latent: int) -> str:
    """Return in words what a new picture is made from."""
    return "a number that was drawn" if latent == 1 else f"{latent} numbers that were drawn"


def interpolation(
    maker: Maker,
    first: Tensor,
    second: Tensor,
    columns: int,
    *,
    path: Literal["linear", "spherical"] = "spherical",
    labels: Tensor | None = None,
    pictures: tuple[Tensor, Tensor] | None = None,
) -> Sheet:
    """Return pictures on the way from some numbers to others, a row for each pair.

    Args:
        maker: the network.
        first: `(R, Z)`.
        second: `(R, Z)`.
        columns: steps of the way, with both ends.
        path: "linear" or "spherical"; see `slerp`.
        labels: `(R,)`, classes of the rows, if the network knows classes.
        pictures: what the numbers at both ends are of, `(R, C, H, W)` in [0, 1] each; they are shown beside.
    """
    between = {"linear": lerp, "spherical": slerp}[path]
    shares = torch.linspace(0, 1, columns)
    ways = maker.placed(between(maker.standard(first), maker.standard(second), shares).flatten(0, 1))
    known = None if labels is None else labels.repeat_interleave(columns)
    cells = _in_rows(maker.make(ways, known), columns)
    heads = [f"{share:.2g}" for share in shares.tolist()]
    caption = f"{path} ways between numbers"
    if pictures is not None:
        left, right = (side.to(cells)[:, None] for side in pictures)
        cells = torch.cat([left, cells, right], 1)
        heads = ["picture", *heads, "picture"]
        caption += " of pictures, which are at both ends"
    else:
        caption += " that were drawn, a row for each two"
    return Sheet(list(cells), caption, [] if labels is None else list(map(maker.called, labels.tolist())), heads)


def manifold(
    maker: Maker,
    rows: int,
    columns: int,
    random: torch.Generator,
    *,
    codes: Tensor | None = None,
    axes: Sequence[int] = (),
    label: int | None = None,
) -> Sheet:
    """Return a plane of the numbers, at quantiles of the Gaussian both ways.

    Of a network of two numbers this is everything that it can make. Of one with more, it is the plane of two chosen
    numbers; or else, with `codes`, that of the two directions in which those vary most, through their mean; or else
    that of the two numbers that change pictures most. What a plane does not change is at its middle; or, where nothing
    is known of codes, as drawn, since pictures near the middle are of no kind that a generator was taught.

    Args:
        maker: the network.
        rows: how many places down.
        columns: how many places across.
        random: the chance.
        codes: `(N, Z)`, of pictures.
        axes: two numbers, counted from 1.
        label: which class, if the network knows classes.

    Raises:
        OptionError: there are no such numbers.

    Source: Kingma & Welling 2014, arXiv:1312.6114, figure 4.
    """
    size = maker.latent
    if axes and (len(set(axes)) != 2 or not all(1 <= axis <= size for axis in axes)):
        raise OptionError(f"axes are {','.join(map(str, axes))}; expected two different numbers from 1 to {size}.")
    middle, steps = _middle(maker), torch.diag(deviations(maker))
    if size <= 2 and not axes:
        steps = torch.cat([maker.placed(torch.eye(size)).cpu() - middle, torch.zeros(2 - size, size)])
        across, down = steps[0], steps[1]
        rows, caption = (1 if size == 1 else rows), f"all that {'one number' if size == 1 else 'two numbers'} can say"
    elif axes:
        across, down = (steps[axis - 1] for axis in axes)
        middle = middle if codes is not None or maker.reads else maker.draw(1, random)[0].cpu()
        caption = f"the plane of the numbers {axes[0]}, across, and {axes[1]}, down"
    elif codes is not None:
        mean, directions = principal_components(codes.cpu(), 2)
        spread = ((codes.cpu().double() - mean) @ directions.T).std(0)
        across, down = (directions * spread[:, None]).float()
        middle, caption = mean.float(), "the plane in which the numbers of pictures vary most"
    else:
        middle = maker.draw(1, random)[0].cpu()
        most = activity(maker, middle, label).argsort(descending=True)[:2].tolist()
        across, down = (steps[axis] for axis in most)
        middle = middle.clone()
        middle[most] = 0
        caption = f"the plane of the numbers {most[0] + 1}, across, and {most[1] + 1}, down, which change most"
    numbers = plane(middle, across, down, columns, rows).flatten(0, 1)
    known = None if label is None else torch.full((len(numbers),), label)
    caption += f", at {columns}×{rows} quantiles of the Gaussian" if rows > 1 else f", at {columns} quantiles"
    caption += _of_class(maker, label)
    return Sheet(list(_in_rows(maker.make(numbers, known), columns)), caption)


def _of_class(maker: Maker, label: int | None) -> str:
    return "" if label is None else f", of class {maker.called(label)}"


def activity(maker: Maker, base: Tensor, label: int | None = None) -> Tensor:
    """Return how much each number changes the picture, `(Z,)`: a pixel's deviation on the way, as a root mean square.

    Args:
        maker: the network.
        base: `(Z,)`, what the other numbers are.
        label: which class, if the network knows classes.
    """
    middle, step = _middle(maker), deviations(maker)
    places = torch.linspace(-FURTHEST, FURTHEST, _LOOKS)
    found = []
    for some in torch.split(torch.arange(maker.latent), _NUMBERS):
        numbers = base.cpu().repeat(len(some), _LOOKS, 1)  # (n, looks, Z)
        ways = middle[some, None] + step[some, None] * places  # (n, looks)
        numbers[torch.arange(len(some)), :, some] = ways
        known = None if label is None else torch.full((len(some) * _LOOKS,), label)
        pictures = _in_rows(maker.make(numbers.flatten(0, 1), known), _LOOKS)
        found.append(pictures.double().var(1).flatten(1).mean(1).sqrt().cpu())
    return torch.cat(found)


def traversal(maker: Maker, base: Tensor, rows: int, columns: int, label: int | None = None) -> Sheet:
    """Return what each number does by itself: a row for each, the one that changes the picture most first.

    Args:
        maker: the network.
        base: `(Z,)`, what the other numbers are.
        rows: for how many numbers, at most.
        columns: how many places from -3 to 3 deviations.
        label: which class, if the network knows classes.
    """
    active = activity(maker, base, label)
    most = active.argsort(descending=True)[:rows]
    places = torch.linspace(-FURTHEST, FURTHEST, columns)
    numbers = base.cpu().repeat(len(most), columns, 1)
    ways = _middle(maker)[most, None] + deviations(maker)[most, None] * places
    numbers[torch.arange(len(most)), :, most] = ways
    known = None if label is None else torch.full((len(most) * columns,), label)
    pictures = _in_rows(maker.make(numbers.flatten(0, 1), known), columns)
    return Sheet(
        list(pictures),
        f"what {len(most)} of {maker.latent} numbers do by themselves, from -3 to 3 deviations, the most active first"
        + _of_class(maker, label),
        [f"number {one + 1}" for one in most.tolist()],
        [f"{place:+.2g}" if place else "0" for place in places.tolist()],
    )


def arithmetic(
    maker: Maker, means: Tensor, classes: Sequence[int], pictures: Tensor, columns: int, mean_picture: Tensor
) -> Sheet:
    """Return numbers of pictures of a class a, and what becomes of them on the way to a - b + c; to c, if b is a.

    Args:
        maker: a network that reads pictures.
        means: `(3, Z)`, mean numbers of the classes a, b and c.
        classes: which these are.
        pictures: `(N, C, H, W)` in [0, 1], of class a, a row each.
        columns: how many places on the way.
        mean_picture: `(C, H, W)` in [0, 1], of class a, which is shown where the way of `means` begins.

    Source: Radford, Metz & Chintala 2016, arXiv:1511.06434, section 6.3.2, where means are over three pictures.
    """
    a, b, c = map(maker.called, classes)
    shares = torch.linspace(0, 1, columns)
    starts = torch.cat([means[:1], maker.encode(pictures).to(means)])
    ways = lerp(starts, starts + means[2] - means[1], shares).flatten(0, 1)
    cells = _in_rows(maker.make(ways), columns)
    name = f"{a} turned into {c}" if classes[0] == classes[1] else f"{a} - {b} + {c}"
    originals = torch.cat([mean_picture[None], pictures]).to(cells)[:, None]
    return Sheet(
        list(torch.cat([originals, cells], 1)),
        f"{name}: what the mean numbers of {c} have more than those of {b}, added to pictures of {a}",
        [f"mean {a}", *[a] * len(pictures)],
        ["picture", *(f"{share:.2g}" for share in shares.tolist())],
    )


def analogies(maker: Maker, pictures: Tensor, labels: Tensor, classes: Sequence[int] = ()) -> Sheet:
    """Return what a network that knows classes makes of each picture's numbers in other classes.

    Args:
        maker: it reads pictures and knows classes.
        pictures: `(N, C, H, W)` in [0, 1], a row each.
        labels: `(N,)`, what they are of.
        classes: which; by default all.

    Source: Kingma, Rezende, Mohamed & Welling 2014, arXiv:1406.5298, figure 1.
    """
    chosen = torch.tensor(tuple(classes) or tuple(range(maker.classes)))
    codes = maker.encode(pictures, labels).repeat_interleave(len(chosen), 0)
    cells = _in_rows(maker.make(codes, chosen.repeat(len(pictures))), len(chosen))
    return Sheet(
        list(torch.cat([pictures.to(cells)[:, None], cells], 1)),
        "numbers of the pictures on the left, in every class: they tell what a class leaves open",
        [],
        ["picture", *map(maker.called, chosen.tolist())],
    )


def bars(codes: Tensor, size: tuple[int, int], channels: int = 1) -> Tensor:
    """Return pictures of numbers, `(N, channels, h, w)`: bars up from the middle, or down if they are negative.

    Args:
        codes: `(N, Z)`; the longest of all bars reaches the edge. If they are more than pixels across, some are left
            out.
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


def reconstructions(maker: Maker, pictures: Tensor, labels: Tensor | None = None, given: Tensor | None = None) -> Sheet:
    """Return pictures, their numbers as bars, and what is made of those, in rows.

    Args:
        maker: a network that reads pictures.
        pictures: `(N, C, H, W)` in [0, 1].
        labels: `(N,)`, if it knows classes.
        given: what it is shown in their place, noisy ones; the same shape.

    Returns:
        Also told is "mse", of what comes back to the pictures, and "given_mse" of what is shown, if it is not those.
    """
    pictures = pictures.cpu()
    seen = pictures if given is None else given.cpu()
    codes = maker.encode(seen, labels)
    back = maker.make(codes, labels).cpu()
    factor = max(1, _BARS // max(pictures.shape[-2:]))
    height, width = (factor * side for side in pictures.shape[-2:])
    told = {"mse": float((back - pictures).double().square().mean())}
    rows, names = [pictures], ["picture"]
    if given is not None:
        told["given_mse"] = float((seen - pictures).double().square().mean())
        rows.append(seen)
        names.append("noisy")
    rows += [bars(codes, (height, width), pictures.shape[1]), back]
    names += [f"{maker.latent} numbers", "given back"]
    return Sheet(rows, "test pictures, their numbers, and what is made of these", names, [], told)


def codes(maker: Maker, pictures: Tensor, labels: Tensor | None = None) -> Codes:
    """Return where the numbers of pictures lie, on the plane in which they vary most, if they are more than two.

    Of a VAE the numbers are the means, and the plane goes through 0; of an autoencoder, through their mean.

    Args:
        maker: a network that reads pictures.
        pictures: `(N, C, H, W)`, bytes or numbers in [0, 1].
        labels: `(N,)`, if it knows classes.

    Returns:
        Told are "variance", the share of the plane in that of all numbers, if they are more than two, and of a VAE
        "kl", the sum over all numbers in nats, and "active", how many are used: their means vary by more than 0.01
        (Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519, section 5.2).
    """
    means, logvar = (None if part is None else part.double().cpu() for part in maker.posterior(pictures, labels))
    assert means is not None
    count, size = means.shape
    variances = means.var(0, correction=0)
    told: dict[str, float] = {}
    number = "test picture" if count == 1 else "test pictures"
    if size <= 2:
        places, axes = means, tuple(f"number {axis + 1}" for axis in range(size))
        caption = f"{count:,} {number}, by their {'two numbers' if size == 2 else 'one number'}"
    else:
        middle, directions = principal_components(means, 2)
        directions = torch.cat([directions, directions.new_zeros(2 - len(directions), size)])
        first = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        directions = torch.where(first < 0, -1, 1) * directions  # of the two that are the same, always one
        places = (means if logvar is not None else means - middle) @ directions.T
        shares = (places.var(0, correction=0) / variances.sum().clamp_min(1e-300)).tolist()
        told["variance"] = sum(shares)
        axes = tuple(f"{name} direction, {share:.0%} of the variance" for name, share in
                     zip(("first", "second"), shares, strict=True))  # fmt: skip
        caption = f"{count:,} {number}, by the two directions in which their {size} numbers vary most"
    used = used_numbers(means)
    kl = None
    if logvar is not None:
        kl = gaussian_kl(means.reshape(-1, 1), logvar.reshape(-1, 1)).view(count, size).mean(0)
        told |= {"kl": float(kl.sum()), "active": float(used.sum()), "latent": float(size)}
    return Codes(places, axes, caption, told, kl, used)


def copies(made: Tensor, training: Tensor, neighbors: int) -> Sheet:
    """Return made pictures, and below each the training pictures that are nearest to it.

    Args:
        made: `(N, C, H, W)` in [0, 1].
        training: `(M, C, H, W)` uint8, more than one.
        neighbors: how many are shown.

    Returns:
        Also told are "nearest", the median distance to the nearest, as root mean square of pixels, and "copies", how
        many of the made ones are less than a third as far from the nearest as from the second.
    """
    rounded = (made.cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    away, which = nearest(rounded, training.cpu(), min(max(2, neighbors), len(training)))
    shown = training.cpu()[which[:, :neighbors]].float() / 255  # (N, n, C, H, W)
    copied = away[:, 0] < _COPY * away[:, -1] if away.shape[1] < 3 else away[:, 0] < _COPY * away[:, 1]
    return Sheet(
        [made.cpu(), *shown.unbind(1)],
        "made pictures, and below each the training pictures nearest to it, with the distance of the first",
        ["made", "nearest", *(f"nearest {place}" for place in range(2, shown.shape[1] + 1))],
        [f"{distance:.3f}" for distance in away[:, 0].tolist()],
        {"nearest": float(away[:, 0].median()), "copies": float(copied.sum())},
    )
