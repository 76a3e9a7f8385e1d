"""How the compact encoder is made: VGG-19 teaches a small network to lead pixels to the same picture.

The small network paints; VGG-19 looks at what it painted, and says what there is to see and which way
each pixel should have gone. `iter_distill` is the whole method on one page, `evaluate` the proof.
"""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from impasto import images
from impasto.checkpoints import load_encoder, load_state, save_state
from impasto.errors import CheckpointError, ImageError, OptionError
from impasto.events import Done, Saved, Step, Taught
from impasto.losses import content_loss
from impasto.measures import CONTENT_LAYERS, STYLE_LAYERS, Score, score
from impasto.networks.compact import CHANNELS, Compact
from impasto.networks.vgg import VGG
from impasto.objective import Encoder
from impasto.ops import gram_matrix, resize, style_size, total_variation
from impasto.optimization import iter_optimize
from impasto.optimizers import LBFGS
from impasto.options import DistillOptions, StylizeOptions
from impasto.weights import SPECS

__all__ = ["Basis", "Comparison", "evaluate", "iter_distill", "painting_loss", "read_bases"]

CORE = (*STYLE_LAYERS, *CONTENT_LAYERS)  # what the trunk is trained for

_TV_WEIGHT, _RANGE_WEIGHT = 0.2, 5.0  # as in StylizeOptions
_PATIENCE = 30.0  # seconds; a step that took longer was interrupted, not worked on
_REPORTED = 100  # steps over which an event's losses are averaged


@dataclass(frozen=True)
class Basis:
    """The directions in which a layer of VGG-19 has most of its energy.

    Attributes:
        directions: Q, `(C, k)`, orthonormal columns, strongest first.
        energies: mean square of the features along each, `(k,)`.
        share: of all the layer's energy that is in them.
    """

    directions: Tensor
    energies: Tensor
    share: float

    @property
    def unit(self) -> float:
        """Root mean square of a projected feature."""
        return math.sqrt(float(self.energies.mean().clamp_min(1e-12)))

    @property
    def gain(self) -> float:
        """√(k/C), which gives means over k channels the size of VGG's means over C."""
        return math.sqrt(self.directions.shape[1] / self.directions.shape[0])

    def project(self, features: Tensor) -> Tensor:
        """Return Qᵀf, `(B, k, H, W)`, of features `(B, C, H, W)`."""
        return F.linear(features.float().permute(0, 2, 3, 1), self.directions.T).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Lesson:
    """Three pictures of one size, and what VGG-19 says of them."""

    pictures: Tensor  # (3, 3, h, w): a content, a style, and a canvas between them, which may leave [0, 1] a little
    weights: dict[str, float]  # of the painting's loss, by layer
    features: dict[str, Tensor]  # (3, k, h', w') each, in units of the basis
    gradient: Tensor  # (1, 3, h, w), of the painting's loss at the canvas


def painting_loss(
    seen: Mapping[str, Tensor], content: Mapping[str, Tensor], style: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """Return the loss of a painting as impasto's defaults measure it, from features alone.

    Args:
        seen: of the painting, `(1, C, H, W)` by layer.
        content: of the photograph, at the content layers.
        style: of the style.
        weights: by layer.

    Source: `optimization.Objective` with relative losses.
    """
    loss = next(iter(seen.values())).new_zeros(())
    for layer, weight in weights.items():
        if layer in CONTENT_LAYERS:
            unit = 2 * style[layer].square().mean()
            loss = loss + weight * content_loss(seen[layer], content[layer]) / unit.clamp_min(1e-12)
        else:
            target = gram_matrix(style[layer])
            distance = (gram_matrix(seen[layer]) - target).square().mean()
            loss = loss + weight * distance / target.square().mean().clamp_min(1e-12)
    return loss


class _Pictures:
    """A well of random crops from folders of pictures, each folder as often as any other."""

    def __init__(self, paths: Sequence[str | Path], options: DistillOptions, random: torch.Generator) -> None:
        self.folders = [images.find_pictures(path) for path in paths]
        if not self.folders:
            raise ImageError("there are no pictures; expected one or more folders of them.")
        self.options, self.random = options, random
        self.unreadable: set[Path] = set()

    def whole(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.random))

    def real(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.random, dtype=torch.float64))

    def noise(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self.random)

    def size(self) -> tuple[int, int]:
        """Return a random height and width, multiples of 16 between the smallest and the largest."""
        least, most = math.ceil(self.options.smallest / 16), self.options.largest // 16
        return tuple(16 * (least + self.whole(max(1, most - least + 1))) for _ in range(2))  # type: ignore[return-value]

    def crop(self, size: tuple[int, int]) -> Tensor:
        """Return a random piece of a random picture at a random scale, `(1, 3, *size)` in [0, 1]."""
        picture = self._readable()
        height, width = picture.shape[-2:]
        least = max(size[0] / height, size[1] / width)  # at this scale it just fills the crop
        scale = least * max(1.25 / least, 1.0) ** self.real()  # larger pictures than there are: up to a quarter
        fitted = max(size[0], round(height * scale)), max(size[1], round(width * scale))
        picture = resize(picture, fitted).clamp(0, 1)
        y, x = self.whole(fitted[0] - size[0] + 1), self.whole(fitted[1] - size[1] + 1)
        picture = picture[..., y : y + size[0], x : x + size[1]]
        return (picture.flip(-1) if self.whole(2) else picture).contiguous()

    def _readable(self) -> Tensor:
        while len(self.unreadable) < sum(map(len, self.folders)):
            folder = self.folders[self.whole(len(self.folders))]
            path = folder[self.whole(len(folder))]
            if path in self.unreadable:
                continue
            try:
                rgb = images.load(path).pixels
            except ImageError:
                self.unreadable.add(path)
                continue
            return torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
        raise ImageError(
            f"none of the {len(self.unreadable)} pictures can be read; expected photographs and paintings."
        )


class _Muon(torch.optim.Optimizer):
    """Momentum whose every step turns all directions of a filter bank equally far.

    Source: Jordan et al. 2024, "Muon", and its coefficients of the Newton-Schulz iteration; convolutions as
        matrices with one row per filter.
    """

    def __init__(self, weights: Sequence[Tensor], learning_rate: float, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": learning_rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                direction = (weight.grad + group["momentum"] * state["momentum"]).flatten(1)  # (filters, inputs)
                rows, columns = direction.shape
                turned = _orthogonal(direction) * max(1.0, rows / columns) ** 0.5
                weight.sub_(group["lr"] * turned.view(weight.shape))


def _orthogonal(matrix: Tensor) -> Tensor:
    """Return about U Vᵀ of a matrix U S Vᵀ: singular values between 0.7 and 1.2."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-12)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (2.0315 * square @ square - 4.775 * square) @ x
    return x.T if tall else x


class _School:
    """Everything that changes while the small network is taught, and how it changes."""

    def __init__(self, paths: Sequence[str | Path], options: DistillOptions, teacher: VGG | None) -> None:
        self.options = options
        self.random = torch.Generator().manual_seed(options.seed)
        self.pictures = _Pictures(paths, options, self.random)
        self.teacher = teacher or _fastest(options)
        channels = {layer: min(k, self.teacher.channels(layer)) for layer, k in CHANNELS.items()}
        network = Compact(channels=channels, widths=options.widths, depths=options.depths, padding="replicate")
        self.student = _initialized(network, options.seed)
        self.average = {name: value.detach().clone() for name, value in self.student.state_dict().items()}
        filters = [weight for weight in self.student.parameters() if weight.ndim == 4]
        others = [weight for weight in self.student.parameters() if weight.ndim != 4]
        self.optimizers = {
            "muon": _Muon(filters, options.learning_rate),
            "adam": torch.optim.Adam(others, lr=options.learning_rate / 10, betas=(0.9, 0.99)),
        }
        self.bases: dict[str, Basis] = {}
        self.memory: list[_Lesson] = []
        self.step = self.lessons = 0
        self.worked = 0.0

    @property
    def progress(self) -> float:
        """How much of the schedule is used, 0 to 1."""
        if self.options.steps is not None:
            return min(1.0, self.step / self.options.steps)
        return min(1.0, self.worked / (60 * self.options.minutes))

    # --- what the teacher says ---

    def enroll(self) -> None:
        """Find out what is to be learned, and begin with heads that make the best of random weights."""
        self.survey()
        self.fit(self.student, CORE)
        self.average = {name: value.detach().clone() for name, value in self.student.state_dict().items()}

    def survey(self) -> None:
        """Find the directions in which each layer of the teacher has most of its energy."""
        layers = self.student.layer_names
        moments: dict[str, Tensor] = {}
        totals = 0
        for _ in range(self.options.survey):
            with torch.no_grad():
                features = self.teacher(self.pictures.crop(self.pictures.size()), layers)
            for layer, seen in features.items():
                moments[layer] = moments.get(layer, torch.zeros(())) + gram_matrix(seen)[0].double()
            totals += 1
        for layer, moment in moments.items():
            values, vectors = torch.linalg.eigh(moment / totals)
            k = self.student.channels(layer)
            energies = values.flip(0)[:k].clamp_min(0)
            share = float(energies.sum() / values.sum().clamp_min(1e-12))
            self.bases[layer] = Basis(vectors.flip(1)[:, :k].float().contiguous(), energies.float(), share)

    def lesson(self) -> _Lesson:
        """Let the student paint a little, and the teacher say what it should have seen and done."""
        size = self.pictures.size()
        content, style = self.pictures.crop(size), self.pictures.crop(size)
        # Around the weights of the defaults, so that no layer's gradient hides another's for long.
        noise = self.pictures.noise((len(CORE),)).exp().tolist()
        weights = {layer: 0.2 * factor for layer, factor in zip(CORE, noise, strict=True)}
        longest = round(self.options.painting_steps * min(1.0, 3 * self.progress))
        canvas = self.paint(self.canvas(content, style), content, style, weights, self.pictures.whole(longest + 1))
        self.lessons += 1
        return self.taught(torch.cat([content, style, canvas]), weights)

    def canvas(self, content: Tensor, style: Tensor) -> Tensor:
        """Return something to begin a painting with."""
        kind, amount = self.pictures.real(), self.pictures.real()
        height, width = content.shape[-2:]
        if kind < 0.4:
            return content
        if kind < 0.7:  # with noise of any coarseness
            grain = 2 ** self.pictures.whole(4)
            noise = resize(self.pictures.noise((1, 3, height // grain, width // grain)), (height, width))
            return (content + 0.2 * amount * noise).clamp(0, 1)
        if kind < 0.85:
            return (0.5 + 0.2 * self.pictures.noise(content.shape)).clamp(0, 1)
        return content.lerp(style, amount)

    def paint(self, canvas: Tensor, content: Tensor, style: Tensor, weights: dict[str, float], steps: int) -> Tensor:
        """Return the canvas after some steps of L-BFGS with what the student sees."""
        optimizer = LBFGS(1.0, 10)
        with torch.no_grad():
            wanted, liked = self.student(content, CORE), self.student(style, CORE)
        for _ in range(steps):
            canvas = canvas.detach().requires_grad_()
            loss = painting_loss(self.student(canvas, CORE), wanted, liked, weights)
            loss = loss + _TV_WEIGHT * total_variation(canvas)
            loss = loss + _RANGE_WEIGHT * (canvas - canvas.clamp(0, 1)).square().mean()
            (gradient,) = torch.autograd.grad(loss * canvas.numel(), canvas)
            canvas = optimizer.step(canvas.detach(), gradient.contiguous(), loss.item())
        return canvas.detach()

    def taught(self, pictures: Tensor, weights: dict[str, float]) -> _Lesson:
        """Return the lesson that the teacher gives about a content, a style and a canvas."""
        with torch.no_grad():
            still = self.teacher(pictures[:2], CORE)
        canvas = pictures[2:].clone().requires_grad_()
        seen = self.teacher(canvas, CORE)
        content, style = ({layer: f[i : i + 1].float() for layer, f in still.items()} for i in (0, 1))
        loss = painting_loss({layer: f.float() for layer, f in seen.items()}, content, style, weights)
        (gradient,) = torch.autograd.grad(loss, canvas)
        features = {}
        for layer in CORE:
            basis = self.bases[layer]
            features[layer] = basis.project(torch.cat([still[layer], seen[layer].detach()])) / basis.unit
        return _Lesson(pictures, weights, features, gradient)

    # --- what the student learns ---

    def learn(self) -> dict[str, float]:
        """Take one step on a lesson, now and then a new one, and return the parts of its loss."""
        if len(self.memory) < self.options.memory or self.step % self.options.replays == 0:
            self.memory = [*self.memory, self.lesson()][-self.options.memory :]
        lesson = self.memory[self.pictures.whole(len(self.memory))]
        rate = min(1.0, (self.step + 1) / self.options.warmup) * (0.5 + 0.5 * math.cos(math.pi * self.progress))
        losses = self.losses(lesson)
        total = losses["features"] + self.options.gram_weight * losses["gram"]
        total = total + self.options.gradient_weight * losses["gradient"]
        self.student.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate * optimizer.defaults["lr"]
            optimizer.step()
        decay = min(self.options.averaging, (1 + self.step) / (10 + self.step))
        for name, value in self.student.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return {name: loss.item() for name, loss in losses.items()}

    def losses(self, lesson: _Lesson) -> dict[str, Tensor]:
        """Return how far the student is from a lesson, each part about 1 if it sees nothing."""
        canvas = lesson.pictures[2:].clone().requires_grad_()
        still, seen = self.student(lesson.pictures[:2], CORE), self.student(canvas, CORE)
        features = gram = canvas.new_zeros(())
        for layer in CORE:
            told = lesson.features[layer]
            features = features + _feature_error(torch.cat([still[layer], seen[layer]]), told, self.bases[layer])
            gram = gram + _gram_error(torch.cat([still[layer], seen[layer]]), told)
        losses = {"features": features / len(CORE), "gram": gram / len(CORE)}
        if self.options.gradient_weight:
            content, style = ({layer: f[i : i + 1].detach() for layer, f in still.items()} for i in (0, 1))
            loss = painting_loss(seen, content, style, lesson.weights)
            (gradient,) = torch.autograd.grad(loss, canvas, create_graph=True)
            losses["gradient"] = _gradient_error(gradient, lesson.gradient)
        else:
            losses["gradient"] = canvas.new_zeros(())
        return losses

    @torch.no_grad()
    def fit(self, network: Compact, layers: Sequence[str]) -> None:
        """Give these heads the best weights for the trunk as it is, by ridge regression."""
        a: dict[str, Tensor] = {}
        b: dict[str, Tensor] = {}
        for _ in range(self.options.survey):
            crop = self.pictures.crop(self.pictures.size())
            known, told = network.trunk(crop, layers), self.teacher(crop, layers)
            for layer in layers:
                x = _rows(known[network.place(layer)])
                x = torch.cat([x, torch.ones_like(x[:, :1])], 1)  # the last weight is the bias
                y = _rows(self.bases[layer].project(told[layer])) / self.bases[layer].unit
                a[layer] = a.get(layer, torch.zeros(())) + (x.T @ x).double() / len(x)
                b[layer] = b.get(layer, torch.zeros(())) + (x.T @ y).double() / len(x)
        for layer in layers:
            head = network.heads[layer]
            assert isinstance(head, torch.nn.Linear)
            ridge = 1e-3 * a[layer].diagonal().mean() * torch.eye(len(a[layer]), dtype=torch.float64)
            solution = torch.linalg.solve(a[layer] + ridge, b[layer]).float()  # (width + 1, k)
            head.weight.copy_(solution[:-1].T)
            head.bias.copy_(solution[-1])

    @torch.no_grad()
    def graduate(self) -> Compact:
        """Return the averaged student, its late heads fitted, with features in VGG's size."""
        network: Compact = copy.deepcopy(self.student)
        network.load_state_dict(self.average)
        self.fit(network, [layer for layer in network.layer_names if layer not in CORE])
        for layer, basis in self.bases.items():
            head = network.heads[layer]
            assert isinstance(head, torch.nn.Linear)
            head.weight.mul_(basis.unit * basis.gain)
            head.bias.mul_(basis.unit * basis.gain)
        return network.requires_grad_(False).eval()

    # --- what is kept ---

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all of this, as tensors and plain values; lessons as their pictures alone."""
        tensors = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for kind, optimizer in self.optimizers.items():
            for index, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{kind}.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        for layer, basis in self.bases.items():
            tensors |= {f"directions.{layer}": basis.directions, f"energies.{layer}": basis.energies}
        tensors |= {f"lesson.{index}": lesson.pictures for index, lesson in enumerate(self.memory)}
        tensors["random"] = self.random.get_state()
        values = {
            "run": "distillation",
            "step": self.step,
            "lessons": self.lessons,
            "worked": self.worked,
            "weights": [lesson.weights for lesson in self.memory],
            "shares": {layer: basis.share for layer, basis in self.bases.items()},
            "bfloat16": self.teacher.gain.dtype is torch.bfloat16,
            "options": self.options.model_dump(mode="json"),
        }
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Go back to a saved state; the teacher gives the lessons that are kept once more."""
        saved = values.get("options", {})
        for name in ("widths", "depths", "teacher", "seed"):
            now = self.options.model_dump(mode="json")[name]
            if values.get("run") != "distillation" or saved.get(name) != now:
                raise CheckpointError(
                    f"the checkpoint is of another run: its {name} is {saved.get(name)}, here {now}; "
                    "expected the same settings."
                )
        self.teacher.to(torch.bfloat16 if values["bfloat16"] else torch.float32)
        self.student.load_state_dict(_under("student.", tensors))
        self.average = _under("average.", tensors)
        for kind, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in _under(f"{kind}.", tensors).items():
                index, _, moment = name.partition(".")
                state.setdefault(int(index), {})[moment] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        energies = _under("energies.", tensors)
        self.bases = {
            layer: Basis(directions, energies[layer], values["shares"][layer])
            for layer, directions in _under("directions.", tensors).items()
        }
        self.step, self.lessons, self.worked = values["step"], values["lessons"], values["worked"]
        kept = _under("lesson.", tensors)
        self.memory = [self.taught(kept[str(i)], weights) for i, weights in enumerate(values["weights"])]
        self.random.set_state(tensors["random"])

    def save(self, path: Path) -> None:
        """Write the finished network, with where it comes from."""
        network = self.graduate()
        tensors = {name: value.half() for name, value in network.state_dict().items()}
        tensors |= {f"basis.{layer}": self.bases[layer].directions.half() for layer in CORE}
        spec = SPECS.get(self.options.teacher)
        values = {
            "network": "compact",
            "channels": {layer: network.channels(layer) for layer in network.layer_names},
            "widths": self.options.widths,
            "depths": self.options.depths,
            "teacher": {"name": self.options.teacher, "sha256": spec.sha256 if spec else None},
            "energy_kept": {layer: round(self.bases[layer].share, 4) for layer in network.layer_names},
            "pictures": {folder[0].parent.name: len(folder) for folder in self.pictures.folders},
            "provenance": self.options.provenance,
            "license": "MIT",
            "steps": self.step,
            "lessons": self.lessons,
            "minutes": round(self.worked / 60, 1),
            "torch": torch.__version__,
            "options": self.options.model_dump(mode="json"),
        }
        save_state(path, tensors, values)


def iter_distill(
    pictures: Sequence[str | Path],
    options: DistillOptions = DistillOptions(),  # noqa: B008
    *,
    output: str | Path,
    force: bool = False,
    resume: bool = False,
    teacher: VGG | None = None,
) -> Iterator[Taught | Saved]:
    """Teach a compact encoder, yielding Taught after every step and Saved for every file.

    A checkpoint lies beside the result, `NAME.run`; it is written every few minutes, at the end, and when
    the iterator is closed. With more time or steps, `resume` continues a finished run, too.

    Args:
        pictures: folders of photographs and of paintings; each folder is drawn from equally often.
        options: everything else.
        output: the file to write; `load_encoder` reads it.
        force: allow it to be overwritten.
        resume: go on from the checkpoint, if there is one. With `options.steps`, to the same bytes as if
            the run had never stopped; time and steps may be others than before.
        teacher: the network to learn from, instead of `options.teacher`.

    Raises:
        ImageError: there are no pictures, none can be read, or the file cannot be there.
        FileExists: there is a file already.
        CheckpointError: the checkpoint is damaged or of another run, or a file cannot be written.

    Source: learning features of a teacher, Romero et al. 2015 (FitNets, arXiv:1412.6550); its gradients,
        Czarnecki et al. 2017 (Sobolev training, arXiv:1706.04859); being corrected where one's own
        mistakes lead, Ross et al. 2011 (DAgger, arXiv:1011.0686).
    """
    output = Path(output)
    images.check_place(output, force or resume)
    checkpoint = output.with_name(output.name + ".run")
    school = _School(pictures, options, teacher)
    if resume and checkpoint.exists():
        school.restore(*load_state(checkpoint))
    else:
        school.enroll()
    saved = school.worked
    recent: list[dict[str, float]] = []
    while school.progress < 1:
        begun = time.monotonic()
        recent = [*recent, school.learn()][-_REPORTED:]
        school.worked += min(_PATIENCE, time.monotonic() - begun)
        try:
            yield _report(school, recent)
        except GeneratorExit:  # closed between two steps; what breaks off a step leaves the last checkpoint
            save_state(checkpoint, *school.state())
            raise
        if school.worked - saved > 60 * options.checkpoint_minutes:
            saved = school.worked
            save_state(checkpoint, *school.state())
            yield Saved(checkpoint, "checkpoint")
    save_state(checkpoint, *school.state())
    school.save(output)
    yield Saved(output, "result")


def _report(school: _School, recent: Sequence[dict[str, float]]) -> Taught:
    losses = {name: sum(part[name] for part in recent) / len(recent) for name in recent[-1]}
    left = (1 - school.progress) / school.progress * school.worked
    return Taught(
        school.step, school.progress, losses, school.lessons, len(school.pictures.unreadable), school.worked, left
    )


@dataclass(frozen=True)
class Comparison:
    """A small network beside its teacher, on one photograph and one painting that neither was trained on.

    Attributes:
        explained: by layer, 1 less the share of the projected features' energy that is missed: 1 for equal
            features. Empty without bases.
        gram: by layer, |G - T|² / |T|² of the Gram matrices, mean of the two pictures. Empty without bases.
        style_distance: by layer, the two pictures' relative distance as the student measures it, divided
            by what the teacher measures.
        gradient: cosine of the two gradients of the painting's loss, at the photograph ("content"), at noise,
            and half-way and at the end of a painting by either ("teacher half", "student end", ...).
        coarse_gradient: the same after averaging 4 x 4 pixels.
        by_teacher: score of the picture painted with the teacher, measured by the teacher.
        by_student: score of the picture painted with the student, measured by the teacher.
        teacher_seconds: for each step.
        student_seconds: for each step.
        pictures: the two paintings, `(1, 3, H, W)`, teacher's first.
    """

    explained: dict[str, float]
    gram: dict[str, float]
    style_distance: dict[str, float]
    gradient: dict[str, float]
    coarse_gradient: dict[str, float]
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
    options: StylizeOptions = StylizeOptions(size=256),  # noqa: B008
    bases: Mapping[str, Basis] | None = None,
) -> Comparison:
    """Paint one picture twice, with the student and with the teacher, and compare all that they saw.

    Args:
        student: the small network.
        teacher: VGG-19, in float32 and with the student's padding.
        content: `(1, 3, H, W)` RGB in [0, 1].
        style: `(1, 3, h, w)` RGB in [0, 1].
        options: how to paint.
        bases: the directions that the student was taught, see `read_bases`.
    """
    runs = [_painted(encoder, content, style, options) for encoder in (teacher, student)]
    (theirs, teacher_seconds), (ours, student_seconds) = runs
    size = (theirs[-1].shape[-2], theirs[-1].shape[-1])
    content = resize(content, size).clamp(0, 1)
    style = resize(style, style_size(style, size, options.style_scale, 16)).clamp(0, 1)
    noise = 0.5 + 0.2 * torch.randn(content.shape, generator=torch.Generator().manual_seed(options.seed))
    places = {"content": content, "noise": noise.clamp(0, 1)}
    for name, (half, end) in (("teacher", theirs), ("student", ours)):
        places |= {f"{name} half": resize(half, size).clamp(0, 1), f"{name} end": end}
    gradients = {
        name: [_gradient(encoder, canvas, content, style) for encoder in (student, teacher)]
        for name, canvas in places.items()
    }
    explained, gram = _agreement(student, teacher, (content, style), bases or {})
    return Comparison(
        explained,
        gram,
        _distances(student, teacher, content, style),
        {name: _cosine(*pair) for name, pair in gradients.items()},
        {name: _cosine(*(F.avg_pool2d(g, 4) for g in pair)) for name, pair in gradients.items()},
        score(theirs[-1], content, [style], teacher),
        score(ours[-1], content, [style], teacher),
        teacher_seconds,
        student_seconds,
        (theirs[-1], ours[-1]),
    )


def _painted(
    encoder: Encoder, content: Tensor, style: Tensor, options: StylizeOptions
) -> tuple[tuple[Tensor, Tensor], float]:
    """Return the picture half-way and at the end, and the seconds for each step."""
    half = content
    for event in iter_optimize(content, [style], encoder, options):
        if isinstance(event, Step) and event.step == event.steps // 2:
            half = event.image()
        if isinstance(event, Done):
            return (half, event.image), event.seconds / max(1, event.steps)
    raise RuntimeError("the stream ended without Done")


def _gradient(encoder: Encoder, canvas: Tensor, content: Tensor, style: Tensor) -> Tensor:
    canvas = canvas.clone().requires_grad_()
    with torch.no_grad():
        wanted, liked = encoder(content, CORE), encoder(style, CORE)
    loss = painting_loss(encoder(canvas, CORE), wanted, liked, dict.fromkeys(CORE, 0.2))
    (gradient,) = torch.autograd.grad(loss, canvas)
    return gradient


def _cosine(a: Tensor, b: Tensor) -> float:
    return F.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()


@torch.no_grad()
def _agreement(
    student: Encoder, teacher: Encoder, pictures: Sequence[Tensor], bases: Mapping[str, Basis]
) -> tuple[dict[str, float], dict[str, float]]:
    explained, gram = {}, {}
    for layer, basis in bases.items():
        missed = energy = error = 0.0
        for picture in pictures:
            seen = student(picture, [layer])[layer].float()
            told = basis.project(teacher(picture, [layer])[layer]) * basis.gain
            missed += float((seen - told).square().sum())
            energy += float(told.square().sum())
            error += float(_gram_error(seen, told)) / len(pictures)
        explained[layer], gram[layer] = 1 - missed / energy, error
    return explained, gram


@torch.no_grad()
def _distances(student: Encoder, teacher: Encoder, content: Tensor, style: Tensor) -> dict[str, float]:
    """Return by layer how far apart two pictures are for the student, divided by how far for the teacher."""
    ratios = {}
    for layer in STYLE_LAYERS:
        ours, theirs = (
            float(painting_loss(encoder(content, [layer]), {}, encoder(style, [layer]), {layer: 1.0}))
            for encoder in (student, teacher)
        )
        ratios[layer] = ours / theirs
    return ratios


def read_bases(path: str | Path) -> dict[str, Basis]:
    """Return the directions that a trained file was taught, by layer.

    Raises:
        CheckpointError: the file is missing, damaged, or not a trained encoder.
    """
    tensors, values = load_state(path)
    directions = _under("basis.", tensors)
    if values.get("network") != "compact":
        raise CheckpointError(f"{path} is not a compact encoder; expected a file that was taught.")
    return {
        layer: Basis(q.float(), torch.ones(q.shape[1]), values["energy_kept"][layer]) for layer, q in directions.items()
    }


def _feature_error(seen: Tensor, told: Tensor, basis: Basis) -> Tensor:
    """Return the squared error relative to each picture's energy, weak directions counting more than their size."""
    share = basis.energies / basis.energies.mean().clamp_min(1e-12)
    weight = (share + 0.01).rsqrt()
    weight = (weight / (weight * share).mean()).view(1, -1, 1, 1)  # an average picture has energy 1
    error = (weight * (seen - told).square()).mean((1, 2, 3))
    energy = (weight * told.square()).mean((1, 2, 3))
    return (error / (energy + 0.1)).mean()  # what is nearly blank shall not shout


def _gram_error(seen: Tensor, told: Tensor) -> Tensor:
    target = gram_matrix(told)
    error = (gram_matrix(seen) - target).square().sum((1, 2))
    return (error / target.square().sum((1, 2)).clamp_min(1e-6)).mean()


def _gradient_error(seen: Tensor, told: Tensor) -> Tensor:
    """Return 0 for equal gradients, 1 for unrelated ones, over four octaves: fine grain must not hide the rest."""
    error = seen.new_zeros(())
    for cell in (1, 2, 4, 8):
        a, b = F.avg_pool2d(seen, cell), F.avg_pool2d(told, cell)
        energy = a.square().sum() + b.square().sum()
        error = error + (a - b).square().sum() / energy.clamp_min(torch.finfo(energy.dtype).tiny)
    return error / 4


def _rows(features: Tensor) -> Tensor:
    """Return `(B*H*W, C)`."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _initialized(network: Compact, seed: int) -> Compact:
    """Return it with random weights that keep activations alive."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                gain = 2 if isinstance(module, torch.nn.Conv2d) else 1  # a ReLU halves the energy
                fan_in = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=random) * (gain / fan_in) ** 0.5)
                assert module.bias is not None
                module.bias.zero_()
                if module.weight.ndim == 4:
                    module.weight.data = module.weight.contiguous(memory_format=torch.channels_last)
    return network


def _fastest(options: DistillOptions) -> VGG:
    """Return the teacher in the precision asked for, or in that which takes less time here."""
    choices = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if options.teacher_precision != "auto":
        choices = {options.teacher_precision: choices[options.teacher_precision]}
    seconds: dict[float, VGG] = {}
    for dtype in choices.values():
        teacher = load_encoder(options.teacher, padding="replicate", dtype=dtype)
        if not isinstance(teacher, VGG):
            raise OptionError(f"teacher is {options.teacher!r}; expected a VGG.")
        seconds[_seconds(teacher)] = teacher
    return seconds[min(seconds)]


def _seconds(network: Encoder) -> float:
    """Return how long a network looks at a small picture, the second time."""
    taken = []
    with torch.no_grad():
        for _ in range(2):
            begun = time.perf_counter()
            network(torch.full((1, 3, 128, 128), 0.5), CORE)
            taken.append(time.perf_counter() - begun)
    return taken[-1]
