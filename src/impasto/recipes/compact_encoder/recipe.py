"""How the compact encoder is made: a VGG, squeezed convolution by convolution, in a few minutes.

Nothing is trained by gradient descent. Each convolution is replaced by the best one that works on few
directions, in the sense of least squares over pictures: given what the squeezed layers before it deliver,
come as close as possible to what VGG has there. So errors of one layer are made up for in the next.
`iter_compress` is the whole method on one page, `evaluate` the proof.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import save_state
from impasto.checkpoints.weights import SPECS
from impasto.errors import ImageError, OptionError
from impasto.events import Done, Saved, Step, Taught
from impasto.io.decode import load_picture
from impasto.io.files import check_place, find_pictures
from impasto.metrics.style import CONTENT_LAYERS, STYLE_LAYERS, Score, score
from impasto.networks.compact import RANKS, Compact
from impasto.networks.vgg import VGG
from impasto.ops.resize import resize, style_size
from impasto.recipes.compact_encoder.options import CompressOptions
from impasto.style_transfer.objective import Encoder, Objective
from impasto.style_transfer.optimize import iter_optimize
from impasto.style_transfer.options import StylizeOptions

__all__ = ["Comparison", "Moments", "evaluate", "iter_compress", "squeeze"]

LAYERS = (*STYLE_LAYERS, *CONTENT_LAYERS)
_FEW = 6  # the first two blocks see many places in each picture, so a sixth of the pictures does for them
_SMALL = 10_000  # weights; fewer are stored as they are


@dataclass
class Moments:
    """What least squares needs to know of pairs of inputs u `(n, d)` and outputs y `(n, c)`, averaged.

    Attributes:
        uu: mean of [u 1]ᵀ[u 1], `(d + 1, d + 1)`.
        uy: mean of [u 1]ᵀy, `(d + 1, c)`.
    """

    uu: Tensor
    uy: Tensor

    @classmethod
    def empty(cls, d: int, c: int) -> "Moments":
        """Return those of nothing."""
        return cls(torch.zeros(d + 1, d + 1, dtype=torch.float64), torch.zeros(d + 1, c, dtype=torch.float64))

    def add(self, u: Tensor, y: Tensor, share: float) -> None:
        """Add pairs that make up such a share of all."""
        u = torch.cat([u, torch.ones(len(u), 1)], 1)
        self.uu += share / len(u) * (u.T @ u).double()
        self.uy += share / len(u) * (u.T @ y).double()


def squeeze(moments: Moments, rank: int, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the linear map of a given rank that is best in the sense of least squares.

    Args:
        moments: of inputs and wanted outputs.
        rank: r, how many numbers may pass.
        ridge: added to the inputs' covariance, as a share of its mean diagonal.

    Returns:
        `inner (d, r)`, `outer (r, c)` and `bias (c,)` of y ≈ u inner outer + bias.

    Source: reduced-rank regression, Izenman 1975, "Reduced-rank regression for the multivariate linear
        model", with the identity as weight: all outputs count alike.
    """
    mean_u, mean_y = moments.uu[-1, :-1], moments.uy[-1]
    covariance = moments.uu[:-1, :-1] - torch.outer(mean_u, mean_u)
    cross = moments.uy[:-1] - torch.outer(mean_u, mean_y)
    shrunk = covariance + ridge * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    full = torch.linalg.solve(shrunk, cross)  # the map of any rank
    _, directions = torch.linalg.eigh(full.T @ covariance @ full)  # of what it gives
    outer = directions.flip(1)[:, :rank].T
    inner = full @ outer.T
    return inner, outer, mean_y - mean_u @ inner @ outer


class _Pictures:
    """A well of random crops from folders of pictures, each folder as often as any other."""

    def __init__(self, paths: Sequence[str | Path], options: CompressOptions) -> None:
        self.folders = [find_pictures(path) for path in paths]
        if not self.folders:
            raise ImageError("there are no pictures; expected one or more folders of them.")
        self.size = options.size
        self.random = torch.Generator().manual_seed(options.seed)
        self.unreadable: set[Path] = set()

    def whole(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.random))

    def real(self) -> float:
        return float(torch.rand((), generator=self.random, dtype=torch.float64))

    def next(self) -> Tensor:
        """Return a random piece of a random picture, `(1, 3, size, size)` in [0, 1]; every fourth under noise.

        Pictures on their way to a painting are not like photographs, and the network must see those, too.
        """
        picture, size = self._readable(), self.size
        least = size / min(picture.shape[-2:])  # at this scale it just fills the crop
        scale = least * max(1.25 / least, 1.0) ** self.real()  # larger pictures than there are: up to a quarter
        height, width = (max(size, round(side * scale)) for side in picture.shape[-2:])
        picture = resize(picture, (height, width)).clamp(0, 1)
        y, x = self.whole(height - size + 1), self.whole(width - size + 1)
        picture = picture[..., y : y + size, x : x + size]
        if self.whole(2):
            picture = picture.flip(-1)
        if not self.whole(4):
            grain = 2 ** self.whole(4)
            noise = torch.randn(1, 3, size // grain, size // grain, generator=self.random)
            picture = (picture + 0.2 * self.real() * resize(noise, (size, size))).clamp(0, 1)
        return picture.contiguous()

    def _readable(self) -> Tensor:
        while len(self.unreadable) < sum(map(len, self.folders)):
            folder = self.folders[self.whole(len(self.folders))]
            path = folder[self.whole(len(folder))]
            if path in self.unreadable:
                continue
            try:
                rgb = load_picture(path).pixels
            except ImageError:
                self.unreadable.add(path)
                continue
            return torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
        raise ImageError(
            f"none of the {len(self.unreadable)} pictures can be read; expected photographs and paintings."
        )


def iter_compress(
    pictures: Sequence[str | Path],
    options: CompressOptions = CompressOptions(),  # noqa: B008 - frozen
    *,
    output: str | Path,
    force: bool = False,
    teacher: VGG | None = None,
) -> Iterator[Taught | Saved]:
    """Make a compact encoder, yielding Taught after every convolution and Saved for the file.

    Args:
        pictures: folders of photographs and of paintings; each folder is drawn from equally often.
        options: everything else.
        output: the file to write; `load_encoder` reads it.
        force: allow it to be overwritten.
        teacher: the network to squeeze, instead of `options.teacher`.

    Raises:
        ImageError: there are no pictures, none can be read, or the file cannot be there.
        FileExists: there is a file already.
        OptionError: the teacher is not a VGG.
        CheckpointError: the file cannot be written.

    Source: Zhang et al. 2016, arXiv:1505.06798: responses of low rank, fitted layer by layer to what the
        layers before deliver ("asymmetric reconstruction").
    Differs: inputs are squeezed as well, to the strongest directions of what comes in.
    """
    CompressOptions.check(options)
    output = Path(output)
    check_place(output, force)
    vgg = teacher or load_encoder(options.teacher, padding="replicate")
    if type(vgg) is not VGG:
        raise OptionError(f"teacher is {options.teacher!r}; expected a VGG.")
    well, begun = _Pictures(pictures, options), time.monotonic()
    student = _empty(vgg, options)
    convolutions = list(student.ranks)
    maps = _Maps(vgg, student)
    for index, name in enumerate(convolutions, start=1):
        wanted = options.pictures if int(name[4]) > 2 else math.ceil(options.pictures / _FEW)
        while len(maps) < wanted:
            maps.add(well.next(), name)
        maps.enter(name)
        missed = _fit(vgg, student, name, maps, options)
        seconds = time.monotonic() - begun
        left = seconds / index * (len(convolutions) - index)
        yield Taught(index, len(convolutions), name, {"missed": missed}, len(well.unreadable), seconds, left)
    _save(student, output, options, well, time.monotonic() - begun)
    yield Saved(output, "result")


def _empty(vgg: VGG, options: CompressOptions) -> Compact:
    """Return the student with VGG's first convolution, and nothing in the others."""
    ranks = {}
    for name in [name for name in vgg.layer_names if name.startswith("conv")][1:]:
        full = vgg.get_submodule(name)
        assert isinstance(full, nn.Conv2d)
        k, r = (round(rank * options.width) for rank in RANKS[name])
        ranks[name] = (max(1, min(k, full.in_channels)), max(1, min(r, full.out_channels)))
    student = Compact(
        16 if vgg.name == "vgg16" else 19,
        ranks=ranks,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        channel_order=vgg.channel_order,
        scale=1.0,
        pooling_scale=vgg.pooling_scale,
        padding="replicate",
        widths=vgg.widths,
    )
    student.gain.copy_(vgg.gain)
    student.shift.copy_(vgg.shift)
    student.conv1_1.load_state_dict(vgg.conv1_1.state_dict())  # type: ignore[union-attr]
    return student.requires_grad_(False).eval()


class _Maps:
    """What VGG and the student have at the entrance of a convolution, for every picture."""

    def __init__(self, vgg: VGG, student: Compact) -> None:
        self.vgg, self.student = vgg, student
        self.true: list[Tensor] = []  # kept in 16 bits: there are many
        self.seen: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.true)

    @torch.no_grad()
    def add(self, picture: Tensor, name: str) -> None:
        """Add a picture at the entrance of a convolution: after the layer before, which may be a pool."""
        before = self.vgg.layer_names[self.vgg.layer_names.index(name) - 1]
        if before.startswith("pool"):  # `enter` pools
            before = self.vgg.layer_names[self.vgg.layer_names.index(before) - 1]
        for network, kept in ((self.vgg, self.true), (self.student, self.seen)):
            kept.append(network(picture, [before])[before].bfloat16())

    def enter(self, name: str) -> None:
        """Pool where a block begins."""
        if name.endswith("_1"):
            self.true = [F.max_pool2d(x, 2) for x in self.true]
            self.seen = [F.max_pool2d(x, 2) for x in self.seen]

    def directions(self, k: int) -> Tensor:
        """Return the k directions in which most of the energy of what comes in lies, `(k, C)`."""
        total = torch.zeros(())
        for x in self.seen:
            flat = x.float().flatten(2)[0]
            total = total + (flat @ flat.T).double() / flat.shape[1]
        _, vectors = torch.linalg.eigh(total)
        strongest: Tensor = vectors.flip(1)[:, :k].T.float()
        return strongest


@torch.no_grad()
def _fit(vgg: VGG, student: Compact, name: str, maps: _Maps, options: CompressOptions) -> float:
    """Fit one convolution, move all maps behind it, and return the share of its energy that is missed."""
    convolution, (k, r) = vgg.get_submodule(name), student.ranks[name]
    enter, core, leave = student.get_submodule(name).children()
    assert isinstance(enter, nn.Conv2d) and isinstance(core, nn.Conv2d) and isinstance(leave, nn.Conv2d)
    enter.weight.copy_(maps.directions(k)[:, :, None, None])
    moments = Moments.empty(9 * k, leave.out_channels)
    chance = torch.Generator().manual_seed(options.seed)
    for index, (true, seen) in enumerate(zip(maps.true, maps.seen, strict=True)):
        wanted = convolution(true.float())
        u = F.unfold(enter(seen.float()), 3, padding=1)[0].T  # a row per place
        y = wanted[0].flatten(1).T
        places = torch.randperm(len(u), generator=chance)[: options.places]
        moments.add(u[places], y[places], 1 / len(maps))
        maps.true[index] = F.relu(wanted).bfloat16()
    inner, outer, bias = squeeze(moments, r, options.ridge)
    core.weight.copy_(inner.T.reshape(r, k, 3, 3))
    leave.weight.copy_(outer.T[:, :, None, None])
    assert leave.bias is not None
    leave.bias.copy_(bias)
    missed = energy = 0.0
    for index, (true, seen) in enumerate(zip(maps.true, maps.seen, strict=True)):
        given = F.relu(leave(core(enter(seen.float()))))
        missed += float((given - true.float()).square().sum())
        energy += float(true.float().square().sum())
        maps.seen[index] = given.bfloat16()
    return missed / max(energy, 1e-12)


def _save(student: Compact, path: Path, options: CompressOptions, well: _Pictures, seconds: float) -> None:
    """Write the network, most of it in 8 bits with a scale for each filter, and where it comes from."""
    tensors: dict[str, Tensor] = {}
    for key, value in student.state_dict().items():
        if value.numel() < _SMALL:
            tensors[key] = value
            continue
        scale = value.abs().amax((1, 2, 3)).clamp_min(1e-12) / 127
        tensors[key] = (value / scale.view(-1, 1, 1, 1)).round().to(torch.int8)
        tensors[f"{key}.scale"] = scale
    spec = SPECS.get(options.teacher)
    values = {
        "network": "compact",
        "depth": 16 if "conv3_4" not in student.ranks else 19,
        "ranks": student.ranks,
        "widths": student.widths,
        "mean": (-student.shift / student.gain).flatten().tolist(),
        "std": (1 / student.gain).flatten().tolist(),
        "channel_order": student.channel_order,
        "pooling_scale": student.pooling_scale,
        "teacher": {"name": options.teacher, "sha256": spec.sha256 if spec else None},
        "pictures": {folder[0].parent.name: len(folder) for folder in well.folders},
        "provenance": options.provenance,
        "license": "CC BY 4.0, as the network that it is squeezed from" if options.teacher == "vgg19" else "",
        "minutes": round(seconds / 60, 1),
        "torch": torch.__version__,
        "options": options.model_dump(mode="json"),
    }
    save_state(path, tensors, values)


# --- the proof ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A compact network beside its teacher, on a photograph and a painting.

    Attributes:
        missed: by layer, the share of the features' energy that the student misses, mean of the two pictures.
        gradient: cosine of the two gradients of the loss on pixels, by place: at the photograph, at noise, and
            at the painting by either.
        by_teacher: score of the picture painted with the teacher, measured by the teacher.
        by_student: score of the picture painted with the student, measured by the teacher.
        teacher_seconds: for each step.
        student_seconds: for each step.
        pictures: the two paintings, `(1, 3, H, W)`, teacher's first.
    """

    missed: dict[str, float]
    gradient: dict[str, float]
    by_teacher: Score
    by_student: Score
    teacher_seconds: float
    student_seconds: float
    pictures: tuple[Tensor, Tensor] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the same names, without the pictures, ready for `json.dumps`."""
        values = asdict(self)
        del values["pictures"]
        return values


def evaluate(
    student: Encoder,
    teacher: Encoder,
    content: Tensor,
    style: Tensor,
    options: StylizeOptions = StylizeOptions(size=256),  # noqa: B008 - frozen
) -> Comparison:
    """Paint one picture twice, with the student and with the teacher, and compare all that they saw.

    Args:
        student: the compact network.
        teacher: the one that it was squeezed from, with the same padding.
        content: `(1, 3, H, W)` RGB in [0, 1].
        style: `(1, 3, h, w)` RGB in [0, 1].
        options: how to paint.
    """
    (theirs, teacher_seconds), (ours, student_seconds) = (
        _painted(encoder, content, style, options) for encoder in (teacher, student)
    )
    size = (theirs.shape[-2], theirs.shape[-1])
    content = resize(content, size).clamp(0, 1)
    style = resize(style, style_size(style, size, options.style_scale, 16)).clamp(0, 1)
    noise = 0.5 + 0.2 * torch.randn(content.shape, generator=torch.Generator().manual_seed(options.seed))
    places = {"photograph": content, "noise": noise.clamp(0, 1), "teacher's end": theirs, "student's end": ours}
    objectives = [Objective(encoder, content, [style], options) for encoder in (student, teacher)]
    gradients = {name: [objective(place)[1].flatten() for objective in objectives] for name, place in places.items()}
    return Comparison(
        {layer: (_missed(student, teacher, content, layer) + _missed(student, teacher, style, layer)) / 2
         for layer in LAYERS},
        {name: F.cosine_similarity(a, b, dim=0).item() for name, (a, b) in gradients.items()},
        score(theirs, content, [style], teacher),
        score(ours, content, [style], teacher),
        teacher_seconds,
        student_seconds,
        (theirs, ours),
    )  # fmt: skip


def _painted(encoder: Encoder, content: Tensor, style: Tensor, options: StylizeOptions) -> tuple[Tensor, float]:
    """Return the picture, and the seconds for each step."""
    steps = 0
    for event in iter_optimize(content, [style], encoder, options):
        steps += isinstance(event, Step)
        if isinstance(event, Done):
            return event.image, event.seconds / steps
    raise RuntimeError("the stream ended without Done")


@torch.no_grad()
def _missed(student: Encoder, teacher: Encoder, picture: Tensor, layer: str) -> float:
    seen, told = (network(picture, [layer])[layer].float() for network in (student, teacher))
    return float((seen - told).square().sum() / told.square().sum().clamp_min(1e-12))
