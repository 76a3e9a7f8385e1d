"""Pictures that a tiny classifier learns at once: a bar at one of four positions, in noise."""

from functools import cache

import torch
from torch.nn import functional as F

from impasto.networks.classifier import Classifier

CLASSES, SIDE = 4, 12


def bars(count, seed=0, size=SIDE):
    """Bytes `(count, 1, size, size)` and labels: two rows or columns are bright, near an edge each."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=random)
    pictures = 0.15 * torch.rand(count, 1, size, size, generator=random)
    for picture, label in zip(pictures[:, 0], labels.tolist(), strict=True):
        lines = picture if label < 2 else picture.T
        first = 2 if label % 2 else size - 4
        lines[first : first + 2] += 0.5 + 0.3 * float(torch.rand((), generator=random))
    return (255 * pictures).round().to(torch.uint8), labels


def tiny(seed=0):
    """A classifier of bars with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Classifier(CLASSES, 1, (SIDE, SIDE), width=4, features=16)


@cache
def schooled():
    """The same after a training."""
    net, (pictures, labels) = tiny(), bars(256, seed=1)
    adam = torch.optim.Adam(net.parameters(), 0.01)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(30):
            adam.zero_grad()
            F.cross_entropy(net(pictures / 255), labels).backward()
            adam.step()
    return net.eval()


class Labeled:
    """Pictures with their labels, one after the other, again and again."""

    skipped, fingerprint = [], "bars"

    def __init__(self, pictures, labels):
        self.pictures, self.labels = pictures, labels

    def batch(self, indices):
        chosen = torch.tensor(indices) % len(self.labels)
        return self.pictures[chosen], self.labels[chosen]
