"""Where a training computes: device, processes, precision and random numbers."""

import atexit
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto.devices import find_device, find_dtype
from impasto.errors import MissingExtra, OptionError
from impasto.training.options import TrainOptions

__all__ = ["Order", "ProcessEngine", "State"]

_SEEDED = 64  # steps whose seeds are derived together


State = tuple[dict[str, Tensor], dict[str, Any]]


def _leave() -> None:
    """Leave the other processes before the interpreter ends, which threads of a group left open can abort."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class Order(NamedTuple):
    """What all processes do next; the first one decides."""

    end: int  # 0: go on, 1: the run is finished, 2: it is interrupted
    save: bool
    progress: float


class ProcessEngine:
    """One process of a training: its device, precision and random numbers, and how it talks to the others.

    A step of a method sees it as `recipe.Engine`. One process needs no others: then reductions return what they get.

    Attributes:
        processes: the number of processes.
        number: that of this process, from 0.
        main: whether this is the first process, which alone writes files and yields events.
        device: the device of networks and batches.
        dtype: float32, or bfloat16 for mixed precision.
        random: the random generator of a step, on the CPU; it depends on seed, step and process.
        step: the number of steps before this one.
        progress: the fraction of the run that is done, in [0, 1].
    """

    def __init__(self, options: TrainOptions, alone: bool = False) -> None:
        """Find the device and the other processes.

        Args:
            options: device, precision, batch size and seed.
            alone: whether this process works by itself, even if there are others.

        Raises:
            MissingExtra: Accelerate is not installed.
            OptionError: the device is not there, or the batch cannot be divided among the processes.
        """
        try:
            import accelerate  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtra("training needs an extra: pip install 'impasto[train]'.") from None
        self._utils = accelerate.utils
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not alone
        if not several:
            find_device(options.device)  # says it in a sentence if it is not there
        state = accelerate.PartialState(cpu=options.device == "cpu")
        if several:
            atexit.register(_leave)
        self.processes: int = 1 if alone else state.num_processes
        self.number: int = 0 if alone else state.process_index
        self.main = self.number == 0
        self.device: torch.device = state.device if several else find_device(options.device)
        if self.device.type == "cpu":
            self.device = torch.device("cpu")  # Accelerate numbers even these
        if several and options.device not in ("auto", self.device.type):
            raise OptionError(
                f"device is {options.device!r}, but each of several processes has its own, here "
                f"{str(self.device)!r}; use auto or cpu."
            )
        if options.batch % self.processes:
            raise OptionError(f"batch is {options.batch}; expected a multiple of the {self.processes} processes.")
        self.dtype = training_dtype(options.precision, self.device)
        self.options = options
        self.random = torch.Generator()
        self.step, self.progress = 0, 0.0

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, computed in its own precision, to those of the weights."""
        with torch.autocast(self.device.type, enabled=False):
            loss.backward()  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def computing(self, step: int, progress: float) -> Iterator[None]:
        """Compute a step in the precision of the options, with random numbers that depend on seed and step only."""
        self.step, self.progress = step, progress
        own, shared = _seeds(self.options.seed, self.number, step // _SEEDED)[step % _SEEDED]
        self.random.manual_seed(own)
        mixed = self.dtype is torch.bfloat16
        with self.chance(shared), torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            yield

    @contextlib.contextmanager
    def chance(self, seed: int) -> Iterator[None]:
        """Seed the global random generators of torch, and restore them afterwards."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed takes down a traceback for absent GPUs
            if self.device.type != "cpu":
                getattr(torch, self.device.type).manual_seed(seed)
            yield

    def samples(self, step: int) -> list[int]:
        """Return the indices of the samples of this process in a step."""
        count = self.options.batch // self.processes
        first = step * self.options.batch + self.number * count
        return list(range(first, first + count))

    def moved(self, batch: Any) -> Any:
        """Return a batch, a tensor or a nest of them, on the device."""
        return self._utils.send_to_device(batch, self.device)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        if self.processes == 1 or not tensors:
            return
        flat = self._utils.reduce(torch.cat([tensor.detach().flatten().float() for tensor in tensors]), "mean")
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(mean.view_as(tensor))

    def means(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Return losses as numbers, as means over all processes."""
        if self.processes == 1 and self.device.type == "cpu":
            return {name: float(loss.detach()) for name, loss in losses.items()}
        values = torch.stack([loss.detach().float().to(self.device) for loss in losses.values()])
        self.average([values])
        return dict(zip(losses, values.tolist(), strict=True))

    def agree(self, order: Order) -> Order:
        """Return the order of the first process."""
        if self.processes == 1:
            return order
        told = torch.tensor([order.end, order.save, order.progress], dtype=torch.float64, device=self.device)
        end, save, progress = self._utils.broadcast(told).tolist()
        return Order(int(end), bool(save), progress)

    def spread(self, state: State) -> State:
        """Return the state of the first process; the others need not have its files."""
        if self.processes == 1:
            return state
        tensors, values = state
        outline = [({key: (value.shape, value.dtype) for key, value in tensors.items()}, values)]
        ((shapes, values),) = self._utils.broadcast_object_list(outline)
        told = {}
        for key, (shape, dtype) in shapes.items():
            mine = tensors[key] if self.main else torch.empty(shape, dtype=dtype)
            told[key] = self._utils.broadcast(mine.to(self.device).contiguous())
        return told, values

    def stacked(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes as one, `(processes, ...)`."""
        if self.processes == 1:
            return tensor[None]
        whole: Tensor = self._utils.gather(tensor.to(self.device)[None].contiguous())
        return whole

    def together(self, texts: Sequence[str]) -> list[str]:
        """Return the texts of all processes, each once, in order."""
        found = self._utils.gather_object(list(texts)) if self.processes > 1 else texts
        return sorted(set(found))


@lru_cache(2)
def _seeds(seed: int, process: int, block: int) -> list[tuple[int, int]]:
    """Return the seed of this process and the one of torch for each step of a block, as one by one is slower."""
    steps = range(block * _SEEDED, (block + 1) * _SEEDED)
    found = [np.random.SeedSequence((seed, step, process)).generate_state(2, np.uint64).tolist() for step in steps]
    return [(own, shared) for own, shared in found]


def training_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the precision of the computation; unlike inference, a training uses bfloat16 on a GPU by default."""
    if precision == "auto" and device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return find_dtype(precision, device)
