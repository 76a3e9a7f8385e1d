"""A recipe small enough for tests: two layers that learn to blur pictures, and variations of it; also a script.

As a script it trains in a process of its own, as the command line would: blurring.py FOLDER RUN [--resume] [name=value ...]
"""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

from impasto.datasets import PictureFolder
from impasto.events import as_json
from impasto.options import TrainOptions
from impasto.recipes import Recipe
from impasto.training import iter_train


def blurred(pictures):
    """What it should learn: a mean over 5 x 5."""
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


def main(folder, run, *words):
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    own = {name: float(settings.pop(name)) for name in ("dropout", "slow") if name in settings}
    options = TrainOptions(**{"crop": 16, "device": "cpu", "precision": "float32", **settings})
    data = PictureFolder(folder, options.crop, seed=options.seed)
    for event in iter_train(Blur(options, **own), data, options, run=run, resume="--resume" in words):
        print(json.dumps(as_json(event)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
