"""A recipe small enough for tests: two layers that learn to blur pictures, and an adversarial one.

As a script it trains in processes of its own: alone FOLDER RUN, or together FOLDER PATH.
"""

import json
import sys
import time
from contextlib import closing

import torch
from torch import nn
from torch.nn import functional as F

from impasto.data.folders import PictureFolder
from impasto.errors import OptionError
from impasto.events import as_json
from impasto.training.loop import iter_train
from impasto.training.options import TrainOptions
from impasto.training.recipe import Recipe


def blurred(pictures):
    """The target: a mean over 5 x 5."""
    return F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), 5, stride=1)


class Blur(Recipe):
    name = "blur"

    def __init__(self, options, kernel=5, dropout=0.0, slow=0.0):
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            self.network = nn.Sequential(
                nn.ReplicationPad2d(kernel // 2),
                nn.Conv2d(3, 8, kernel),
                nn.BatchNorm2d(8, momentum=0.01) if dropout else nn.Identity(),
                nn.Dropout(dropout),
                nn.Conv2d(8, 3, 1),
            )
        self.networks = {"blur": self.network}
        self.optimizers = {"adam": torch.optim.Adam(self.network.parameters(), options.learning_rate)}
        self.record = {"kernel": kernel}
        self.fixed = torch.linspace(0, 1, 12).expand(2, 3, 12, 12).contiguous()
        self.noise, self.slow = bool(dropout), slow

    def to(self, device):
        self.fixed = self.fixed.to(device)

    def step(self, batch, engine):
        time.sleep(self.slow)
        given = batch
        if self.noise:
            given = batch + 0.05 * torch.randn(batch.shape, generator=engine.random).to(batch)
        loss = (self.network(given) - blurred(batch)).square().mean()
        self.optimizers["adam"].zero_grad()
        engine.backward(loss)
        self.optimizers["adam"].step()
        return {"blur": loss.detach()}

    def preview(self):
        return torch.stack([self.fixed, self.network(self.fixed)], 1)

    def model(self):
        return dict(self.network.state_dict()), {"network": "blur"}


class Duel(Recipe):
    """Generator and discriminator with a state, in the order of Goodfellow's algorithm 1."""

    name = "duel"
    averaged = ("generator",)

    def __init__(self, options, slow=0.0):
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            self.generator = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))
            self.discriminator = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.3), nn.Conv2d(4, 1, 1))
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), options.learning_rate, betas=(0.5, 0.999)),
            "discriminator": torch.optim.SGD(self.discriminator.parameters(), options.learning_rate / 2, momentum=0.9),
        }
        self.memory, self.slow = torch.zeros(4, 3, 16, 16), slow

    def step(self, batch, engine):
        time.sleep(self.slow)
        noise = torch.randn(batch.shape, generator=engine.random).to(batch)
        fake = self.generator(batch + 0.1 * noise)
        position = int(torch.randint(4, (), generator=engine.random))
        before = self.memory[position].clone()
        self.memory[position] = fake[0].detach()
        d_loss = self.discriminator(batch).mean() - self.discriminator(torch.cat([fake.detach(), before[None]])).mean()
        self.optimizers["discriminator"].zero_grad()
        engine.backward(d_loss + self.discriminator(batch).square().mean())
        self.optimizers["discriminator"].step()
        loss = self.discriminator(fake).mean() + (fake - batch).square().mean()
        self.optimizers["generator"].zero_grad()
        engine.backward(loss)
        self.optimizers["generator"].step()
        return {"discriminator": d_loss.detach(), "generator": loss.detach()}

    def state(self):
        return {"memory": self.memory}

    def restore(self, state):
        self.memory = state["memory"]

    def preview(self):
        return self.memory[None]

    def model(self):
        return dict(self.generator.state_dict()), {"network": "generator"}


def run(recipe, folder, path, close=0, resume=False, slow=0.0, **settings):
    """Train, and print every event as a line of JSON; stop early after so many steps."""
    options = TrainOptions(**{"crop": 16, "device": "cpu", "precision": "float32", "preview_seconds": 1e9, **settings})
    data = PictureFolder(folder, options.crop, seed=options.seed)
    with closing(iter_train(recipe(options, slow=slow), data, options, run=path, resume=resume)) as events:
        for event in events:
            print(json.dumps(as_json(event)), flush=True)  # noqa: T201
            if close and getattr(event, "step", 0) == close:
                break


def alone(folder, path):
    """Take slow steps with many checkpoints, to be killed in the middle."""
    run(Duel, folder, path, slow=0.01, steps=40, learning_rate=0.02, save_seconds=0.05, log_steps=1)


def together(folder, path):
    """Everything that several processes do, one after the other; only starting them takes time."""
    settings = {"steps": 12, "batch": 4, "learning_rate": 0.02}
    run(Blur, folder, f"{path}/blur", **settings)
    run(Duel, folder, f"{path}/whole", **settings)
    run(Duel, folder, f"{path}/broken", close=7, **settings)
    run(Duel, folder, f"{path}/broken", resume=True, **settings)
    try:
        run(Blur, folder, f"{path}/odd", batch=3)
    except OptionError as error:
        print(json.dumps({"event": "refused", "text": str(error)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    {"alone": alone, "together": together}[sys.argv[1]](*sys.argv[2:])
