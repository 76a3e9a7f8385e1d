"""Compact encoder: a low-rank approximation of VGG, fitted layer by layer with least squares in a few minutes.

There is no gradient descent. A convolution of low rank replaces each convolution of VGG. Its weights are the least
squares solution over many pictures: the input is the output of the compact layers before, the target is the output of
VGG's layer. So each layer corrects errors of the layers before it. `iter_compress` is the whole method, `evaluate`
compares the result with VGG.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import MODEL, load_about, save_state
from impasto.checkpoints.weights import SPECS
from impasto.errors import CheckpointError, FileExists, ImageError, OptionError
from impasto.events import Done, Saved, Step
from impasto.io.decode import load_picture
from impasto.io.files import check_place, find_pictures
from impasto.metrics.style import CONTENT_LAYERS, MOTIF_LAYER, STYLE_LAYERS, Score, score
from impasto.networks.compact import RANKS, Compact
from impasto.networks.vgg import VGG
from impasto.ops.resize import resize, style_size
from impasto.recipes.compact_encoder.options import CompressOptions
from impasto.style_transfer.objective import Encoder, Objective
from impasto.style_transfer.optimize import iter_optimize
from impasto.style_transfer.options import StylizeOptions
from impasto.training.recipe import Site
from impasto.training.run_folder import FolderLock

__all__ = ["LAYERS_ALIKE", "CompactEncoderRecipe", "Comparison", "Moments", "evaluate", "iter_compress", "squeeze"]

LAYERS = (*STYLE_LAYERS, MOTIF_LAYER, *CONTENT_LAYERS)
LAYERS_ALIKE = StylizeOptions(size=256, motifs=1, content_focus=0, strokes=0, content_weight=0.16)  # all five layers
_FEW = 6  # the first two blocks have many positions in each picture, so a sixth of the pictures is enough
_SMALL = 10_000  # weights; smaller tensors are stored in full precision


@dataclass
class Moments:
    """Second moments of inputs u `(n, d)` and outputs y `(n, c)`, the sufficient statistics of least squares.

    Attributes:
        uu: mean of [u 1]ᵀ[u 1], `(d + 1, d + 1)`.
        uy: mean of [u 1]ᵀy, `(d + 1, c)`.
    """

    uu: Tensor
    uy: Tensor

    @classmethod
    def empty(cls, d: int, c: int) -> "Moments":
        """Return the moments of no pairs."""
        return cls(torch.zeros(d + 1, d + 1, dtype=torch.float64), torch.zeros(d + 1, c, dtype=torch.float64))

    def add(self, u: Tensor, y: Tensor, fraction: float) -> None:
        """Add pairs that are such a fraction of all, in [0, 1]."""
        u = torch.cat([u, torch.ones(len(u), 1)], 1)
        self.uu += fraction / len(u) * (u.T @ u).double()
        self.uy += fraction / len(u) * (u.T @ y).double()


def squeeze(moments: Moments, rank: int, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the linear map of rank r with the smallest squared error (reduced-rank regression).

    Args:
        moments: of inputs and target outputs.
        rank: r.
        ridge: ridge regularization of the inputs' covariance, as a fraction of its mean diagonal.

    Returns:
        `inner (d, r)`, `outer (r, c)` and `bias (c,)` of y ≈ u inner outer + bias.

    Source: reduced-rank regression, Izenman 1975, "Reduced-rank regression for the multivariate linear
        model", with the identity as weight matrix.
    """
    mean_u, mean_y = moments.uu[-1, :-1], moments.uy[-1]
    covariance = moments.uu[:-1, :-1] - torch.outer(mean_u, mean_u)
    cross = moments.uy[:-1] - torch.outer(mean_u, mean_y)
    shrunk = covariance + ridge * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    full = torch.linalg.solve(shrunk, cross)  # the map of full rank
    _, directions = torch.linalg.eigh(full.T @ covariance @ full)  # principal directions of the outputs
    outer = directions.flip(1)[:, :rank].T
    inner = full @ outer.T
    return inner, outer, mean_y - mean_u @ inner @ outer


class _Pictures:
    """Random crops from folders of pictures; each folder has the same probability."""

    def __init__(self, paths: Sequence[str | Path], options: CompressOptions) -> None:
        self.folders = [find_pictures(path) for path in paths]
        if not self.folders:
            raise ImageError("there are no pictures; expected one or more folders of pictures.")
        self.size = options.size
        self.random = torch.Generator().manual_seed(options.seed)
        self.unreadable: set[Path] = set()

    def whole(self, count: int) -> int:
        """Return a random integer below `count`."""
        return int(torch.randint(count, (), generator=self.random))

    def real(self) -> float:
        """Return a random number in [0, 1)."""
        return float(torch.rand((), generator=self.random, dtype=torch.float64))

    def next(self) -> Tensor:
        """Return a random crop of a random picture, `(1, 3, size, size)` in [0, 1]; one in four is noisy.

        The pictures of an optimization are not like photographs, and the encoder must fit them, too.
        """
        picture, size = self._readable(), self.size
        least = size / min(picture.shape[-2:])  # at this scale the shorter side is that of the crop
        scale = least * max(1.25 / least, 1.0) ** self.real()  # enlarged by a quarter at most
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
) -> Iterator[Step | Saved]:
    """Fit a compact encoder; yield Step after every convolution, and Saved for the file.

    Args:
        pictures: folders of photographs and of paintings; each folder has the same probability.
        options: ranks, numbers of pictures and positions, and the rest.
        output: the file to write; `load_encoder` reads it.
        force: overwrite an existing file.
        teacher: the network to approximate, in place of `options.teacher`.

    Raises:
        ImageError: there are no pictures, none can be read, or the output cannot be a file.
        FileExists: the output exists already.
        OptionError: the teacher is not a VGG.
        CheckpointError: the file cannot be written.

    Source: Zhang et al. 2016, arXiv:1505.06798: responses of low rank, fitted layer by layer on the responses of the
        approximated layers before ("asymmetric reconstruction").
    Differs: the inputs are projected, too, onto their principal directions.
    """
    CompressOptions.check(options)
    output = Path(output)
    check_place(output, force)
    vgg = teacher or load_encoder(options.teacher, padding="replicate")
    if type(vgg) is not VGG:
        raise OptionError(f"teacher is {options.teacher!r}; expected a VGG.")
    crops, begun = _Pictures(pictures, options), time.monotonic()
    student = _empty(vgg, options)
    convolutions = list(student.ranks)
    maps = _Maps(vgg, student)
    for index, name in enumerate(convolutions, start=1):
        wanted = options.pictures if int(name[4]) > 2 else math.ceil(options.pictures / _FEW)
        while len(maps) < wanted:
            maps.add(crops.next(), name)
        maps.enter(name)
        missed = _fit(vgg, student, name, maps, options)
        seconds = time.monotonic() - begun
        left = seconds / index * (len(convolutions) - index)
        yield Step(
            step=index,
            steps=len(convolutions),
            phase="fit",
            name=name,
            losses={"missed": missed},
            skipped=len(crops.unreadable),
            seconds=seconds,
            remaining=left,
        )
    _save(student, output, options, crops, time.monotonic() - begun)
    yield Saved(output, "result")


class CompactEncoderRecipe:
    """The training method "encoder": a closed form for each layer, without a training loop and without resume."""

    @staticmethod
    def start(data: Mapping[str, Any], options: CompressOptions, site: Site, force: bool) -> Iterator[Step | Saved]:
        """Return the events; the encoder is written as `model.safetensors` in the run's folder.

        Raises:
            OptionError: resume or a network of the caller is asked for.
            FileExists: another training writes to the folder, or a file there is no encoder of ours, also with `force`.
            ImpastoError: as for `iter_compress`.
        """
        if site.resume or site.network is not None:
            raise OptionError("an encoder is fitted in a few minutes, at once; leave out resume and network.")
        output = site.run / MODEL
        check_place(output, force)
        if output.exists():
            try:
                load_about(output)
            except CheckpointError:
                raise FileExists(f"{output} is not of impasto, so it stays; name another folder.") from None
        return _locked(site.run, iter_compress(data["pictures"], options, output=output, force=force))


def _locked(folder: Path, events: Iterator[Step | Saved]) -> Iterator[Step | Saved]:
    """Yield the events of a training while the folder is locked."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    lock.take()
    try:
        yield from events
    finally:
        lock.release()
        with suppress(OSError):  # it holds something
            folder.rmdir()


def _empty(vgg: VGG, options: CompressOptions) -> Compact:
    """Return the student with VGG's first convolution; the others are not fitted yet."""
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
    """Feature maps of VGG and of the student at the input of a convolution, for every picture."""

    def __init__(self, vgg: VGG, student: Compact) -> None:
        self.vgg, self.student = vgg, student
        self.true: list[Tensor] = []  # in bfloat16, to save memory
        self.seen: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.true)

    @torch.no_grad()
    def add(self, picture: Tensor, name: str) -> None:
        """Add a picture's maps at the input of a convolution: the output of the layer before, which may be a pool."""
        before = self.vgg.layer_names[self.vgg.layer_names.index(name) - 1]
        if before.startswith("pool"):  # `enter` pools
            before = self.vgg.layer_names[self.vgg.layer_names.index(before) - 1]
        for network, kept in ((self.vgg, self.true), (self.student, self.seen)):
            kept.append(network(picture, [before])[before].bfloat16())

    def enter(self, name: str) -> None:
        """Pool the maps if a block begins."""
        if name.endswith("_1"):
            self.true = [F.max_pool2d(x, 2) for x in self.true]
            self.seen = [F.max_pool2d(x, 2) for x in self.seen]

    def directions(self, k: int) -> Tensor:
        """Return the k principal directions of the student's maps, those with the most energy, `(k, C)`."""
        total = torch.zeros(())
        for x in self.seen:
            flat = x.float().flatten(2)[0]
            total = total + (flat @ flat.T).double() / flat.shape[1]
        _, vectors = torch.linalg.eigh(total)
        strongest: Tensor = vectors.flip(1)[:, :k].T.float()
        return strongest


@torch.no_grad()
def _fit(vgg: VGG, student: Compact, name: str, maps: _Maps, options: CompressOptions) -> float:
    """Fit one convolution, apply it to all maps, and return the missed fraction of the output's energy."""
    convolution, (k, r) = vgg.get_submodule(name), student.ranks[name]
    enter, core, leave = student.get_submodule(name).children()
    assert isinstance(enter, nn.Conv2d) and isinstance(core, nn.Conv2d) and isinstance(leave, nn.Conv2d)
    enter.weight.copy_(maps.directions(k)[:, :, None, None])
    moments = Moments.empty(9 * k, leave.out_channels)
    random = torch.Generator().manual_seed(options.seed)
    for index, (true, seen) in enumerate(zip(maps.true, maps.seen, strict=True)):
        wanted = convolution(true.float())
        u = F.unfold(enter(seen.float()), 3, padding=1)[0].T  # a row for each position
        y = wanted[0].flatten(1).T
        positions = torch.randperm(len(u), generator=random)[: options.positions]
        moments.add(u[positions], y[positions], 1 / len(maps))
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


def _save(student: Compact, path: Path, options: CompressOptions, crops: _Pictures, seconds: float) -> None:
    """Write the network and its provenance; large tensors have 8 bits and a scale for each filter."""
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
        "pictures": {folder[0].parent.name: len(folder) for folder in crops.folders},
        "provenance": options.provenance,
        "license": "CC BY 4.0, as the network that it approximates" if options.teacher == "vgg19" else "",
        "minutes": round(seconds / 60, 1),
        "torch": torch.__version__,
        "options": options.model_dump(mode="json"),
    }
    save_state(path, tensors, values)


# --- evaluation -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A compact encoder compared with its teacher, on a photograph and a style image.

    Attributes:
        missed: by layer, the missed fraction of the features' energy, as mean of the two pictures.
        gradient: cosine similarity of the two gradients of the loss, by picture: at the photograph, at noise, and at
            the result of each encoder.
        by_teacher: score of the result with the teacher, measured with the teacher.
        by_student: score of the result with the student, measured with the teacher.
        teacher_seconds: seconds for each step.
        student_seconds: seconds for each step.
        pictures: the two results, `(1, 3, H, W)`, the teacher's first.
    """

    missed: dict[str, float]
    gradient: dict[str, float]
    by_teacher: Score
    by_student: Score
    teacher_seconds: float
    student_seconds: float
    pictures: tuple[Tensor, Tensor] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the values under the same names, without the pictures, for `json.dumps`."""
        values = asdict(self)
        del values["pictures"]
        return values


def evaluate(
    student: Encoder,
    teacher: Encoder,
    content: Tensor,
    style: Tensor,
    options: StylizeOptions = LAYERS_ALIKE,
) -> Comparison:
    """Stylize a photograph with the student and with the teacher, and compare features, gradients and results.

    Args:
        student: the compact encoder.
        teacher: the encoder that it approximates, with the same padding.
        content: `(1, 3, H, W)` RGB in [0, 1].
        style: `(1, 3, h, w)` RGB in [0, 1].
        options: of the optimization.
    """
    (theirs, teacher_seconds), (ours, student_seconds) = (
        _painted(encoder, content, style, options) for encoder in (teacher, student)
    )
    size = (theirs.shape[-2], theirs.shape[-1])
    content = resize(content, size).clamp(0, 1)
    style = resize(style, style_size(style, size, options.style_scale, 16)).clamp(0, 1)
    noise = 0.5 + 0.2 * torch.randn(content.shape, generator=torch.Generator().manual_seed(options.seed))
    points = {"photograph": content, "noise": noise.clamp(0, 1), "teacher's result": theirs, "student's result": ours}
    objectives = [Objective(encoder, content, [style], options) for encoder in (student, teacher)]
    gradients = {name: [objective(point)[1].flatten() for objective in objectives] for name, point in points.items()}
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
    """Return the result of the optimization, and the seconds for each step."""
    steps = 0
    for event in iter_optimize(content, [style], encoder, options):
        steps += isinstance(event, Step)
        if isinstance(event, Done):
            return event.image, event.seconds / steps
    raise RuntimeError("the stream ended without Done")


@torch.no_grad()
def _missed(student: Encoder, teacher: Encoder, picture: Tensor, layer: str) -> float:
    ours, theirs = (network(picture, [layer])[layer].float() for network in (student, teacher))
    return float((ours - theirs).square().sum() / theirs.square().sum().clamp_min(1e-12))
