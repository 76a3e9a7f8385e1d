"""Measure a step of CycleGAN with the paper's networks, beside the plainest PyTorch loop that is correct.

    python benchmarks/translation.py --out build/translation.json

Both are given the same pictures, in turns, each time in a process of its own, whose peak of resident memory is kept.
The plain loop calls each network once for each batch it needs, keeps the discriminators still by `requires_grad_`, and
computes in float32, as tutorials and the paper's program do. See README.md.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import impasto
from impasto.events import Step
from impasto.networks.patchgan import PatchDiscriminator
from impasto.networks.translators import ResNetGenerator
from impasto.recipes.cyclegan.options import CycleGANOptions

WAYS = ("plain", "float32", "auto", "bfloat16")
PICTURES = 4  # of each domain


def pictures(folder: Path, side: int) -> tuple[Path, Path]:
    """Write photographs that a package carries, cut into two domains; return their folders."""
    from skimage import data

    whole = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    folders = folder / "a", folder / "b"
    for domain, (one, two) in zip(folders, ((0, 1), (2, 3)), strict=True):
        domain.mkdir()
        for number in range(PICTURES):
            top, picture = number * 7, whole[(one, two)[number % 2]]
            part = Image.fromarray(picture[top : top + 290, top : top + 290])
            part.resize((side, side)).save(domain / f"{number}.png")
    return folders


def loaded(folder: Path) -> list[Tensor]:
    """Return pictures in [-1, 1], each a batch."""
    found = [np.asarray(Image.open(path), np.float32) for path in sorted(folder.iterdir())]
    return [torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1 for picture in found]


def plain(a: Path, b: Path, device: str, batch: int) -> Iterator[float]:
    """Yield the seconds at which each step of the plain loop has ended."""
    to_b, to_a = (ResNetGenerator(64, 9, "instance").to(device) for _ in "ba")
    discriminator_a, discriminator_b = (PatchDiscriminator(64, 3, "instance").to(device) for _ in "ab")
    generators = torch.optim.Adam([*to_b.parameters(), *to_a.parameters()], 2e-4, (0.5, 0.999))
    discriminator_adam = torch.optim.Adam(
        [*discriminator_a.parameters(), *discriminator_b.parameters()], 2e-4, (0.5, 0.999)
    )
    pools: tuple[list[Tensor], list[Tensor]] = [], []

    def wanted(said: Tensor, real: bool) -> Tensor:
        return F.mse_loss(said, torch.full_like(said, float(real)))

    def learn(discriminators: bool) -> None:
        for weight in itertools.chain(discriminator_a.parameters(), discriminator_b.parameters()):
            weight.requires_grad_(discriminators)

    def earlier(pool: list[Tensor], fake: Tensor) -> Tensor:
        if len(pool) < 50:
            pool.append(fake)
            return fake
        if np.random.random() < 0.5:
            index = np.random.randint(50)
            fake, pool[index] = pool[index], fake
        return fake

    for real_a, real_b in itertools.cycle(zip(loaded(a), loaded(b), strict=True)):
        real_a, real_b = (picture.repeat(batch, 1, 1, 1).to(device) for picture in (real_a, real_b))
        fake_b, fake_a = to_b.translate(real_a), to_a.translate(real_b)
        cycle_a, cycle_b = to_a.translate(fake_b), to_b.translate(fake_a)
        learn(False)
        loss = wanted(discriminator_b(fake_b), True) + wanted(discriminator_a(fake_a), True)
        loss = loss + 10 * (F.l1_loss(cycle_a, real_a) + F.l1_loss(cycle_b, real_b))
        loss = loss + 5 * (F.l1_loss(to_b.translate(real_b), real_b) + F.l1_loss(to_a.translate(real_a), real_a))
        generators.zero_grad()
        loss.backward()
        generators.step()
        learn(True)
        discriminator_adam.zero_grad()
        for discriminator, real, fake, pool in (
            (discriminator_a, real_a, fake_a, pools[0]),
            (discriminator_b, real_b, fake_b, pools[1]),
        ):
            old = earlier(pool, fake.detach())
            ((wanted(discriminator(real), True) + wanted(discriminator(old), False)) / 2).backward()
        discriminator_adam.step()
        loss.item()
        yield time.perf_counter()


def ours(a: Path, b: Path, device: str, batch: int, precision: str) -> Iterator[float]:
    """Yield the seconds at which each step of `impasto train cyclegan --preset paper` has ended."""
    settings: dict[str, Any] = {"save_seconds": 1e9, "preview_seconds": 1e9, "device": device, "batch": batch}
    options = CycleGANOptions.preset("paper", precision=precision, **settings)
    with (
        tempfile.TemporaryDirectory() as run,
        impasto.train.start("cyclegan", {"a": a, "b": b}, options=options, run=run) as training,
    ):
        for event in training:
            if isinstance(event, Step) and event.phase == "train":
                yield time.perf_counter()


def one(words: argparse.Namespace) -> None:
    """Run one way in this process; print seconds of each step but the first two, and peak memory."""
    torch.manual_seed(0)
    folders = words.folder / "a", words.folder / "b"
    ways = (*folders, words.device, words.batch)
    steps = plain(*ways) if words.way == "plain" else ours(*ways, words.way)
    ends = list(itertools.islice(steps, words.steps + 2))[1:]  # the first also makes plans for its sizes
    seconds = [after - before for before, after in itertools.pairwise(ends)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if words.device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated() / 2**20
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak}) + "\n")


def measured(words: argparse.Namespace) -> dict[str, Any]:
    """Run all ways in turns; return the least seconds of a step, memory, and what they are of the plain loop's."""
    found: dict[str, Any] = {way: {"seconds": [], "peak_mb": []} for way in words.ways}
    with tempfile.TemporaryDirectory() as folder:
        pictures(Path(folder), words.side)
        for _, way in itertools.product(range(words.rounds), words.ways):
            command = [sys.executable, __file__, "--way", way, "--folder", folder, "--device", words.device]
            command += ["--steps", str(words.steps), "--batch", str(words.batch)]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            found[way]["seconds"] += [round(seconds, 2) for seconds in told["seconds"]]
            found[way]["peak_mb"].append(round(told["peak_mb"]))
            sys.stderr.write(f"{way}: {told}\n")
    for way in words.ways:
        found[way]["times_as_fast"] = round(min(found["plain"]["seconds"]) / min(found[way]["seconds"]), 2)
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": words.device, **found}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--ways", nargs="+", choices=WAYS, default=["plain", "float32", "auto"])
    add("--rounds", type=int, default=3, help="how often each way is run")
    add("--steps", type=int, default=2, help="steps that are timed in each run")
    add("--side", type=int, default=256, help="of the pictures; the preset cuts 256 px")
    add("--batch", type=int, default=1)
    add("--device", default="cpu")
    add("--out", type=Path)
    add("--way", choices=WAYS, help=argparse.SUPPRESS)
    add("--folder", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args(arguments)
    if words.way:
        return one(words)
    found = measured(words)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if words.out:
        words.out.parent.mkdir(parents=True, exist_ok=True)
        words.out.write_text(json.dumps(found, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
