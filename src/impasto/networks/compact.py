"""Compact encoder: VGG with low-rank convolutions, the same layers and channels for a fraction of the computation."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from impasto.errors import OptionError, unknown_name
from impasto.networks.vgg import VGG

__all__ = ["RANKS", "Compact"]

# Input and output rank of each convolution; see docs/encoder.md. No default uses layers behind relu5_1, so their
# ranks are small.
RANKS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"conv1_2": (16, 24), "conv2_1": (24, 32), "conv2_2": (40, 48), "conv3_1": (48, 64)}
    | {"conv3_2": (80, 80), "conv3_3": (80, 80), "conv3_4": (80, 80), "conv4_1": (112, 144)}
    | {"conv4_2": (176, 176), "conv4_3": (176, 176), "conv4_4": (176, 176), "conv5_1": (208, 224)}
    | {"conv5_2": (48, 48), "conv5_3": (48, 48), "conv5_4": (48, 48)}
)


class Compact(VGG):
    """A VGG whose 3 x 3 convolutions work in the principal subspaces of its features.

    Three convolutions replace each one of C to C' channels: 1 x 1 from C to k, 3 x 3 from k to r, 1 x 1 from r to C'.
    For C = C' = 512 and k = r = 176 that is a fifth of the multiplications. Names, channels, pooling and ReLU are
    those of VGG, so that features approximate its features. The first convolution is unchanged.

    The state dict holds `conv1_1.weight`, `conv1_1.bias`, and of each other convolution `conv1_2.0.weight`
    (k, C, 1, 1), `conv1_2.1.weight` (r, k, 3, 3), `conv1_2.2.weight` (C', r, 1, 1) and `conv1_2.2.bias`.

    Args:
        depth: as for `VGG`.
        ranks: convolution to (k, r), for all but the first.
        settings: all other arguments of `VGG`.

    Raises:
        OptionError: an argument is out of range.
        UnknownName: there is no such convolution.

    Source: Kim et al. 2016, arXiv:1511.06530 (two factors around a small core), and Zhang et al. 2016,
        arXiv:1505.06798, for how the factors are found; see `recipes.compact_encoder`.
    """

    def __init__(
        self,
        depth: Literal[16, 19] = 19,
        *,
        ranks: Mapping[str, tuple[int, int]] = RANKS,
        **settings: Any,
    ) -> None:
        super().__init__(depth, **settings)
        self.name = "compact"
        self.ranks = {name: (int(k), int(r)) for name, (k, r) in ranks.items()}
        convolutions = [name for name in self.layer_names if name.startswith("conv")][1:]
        for name in self.ranks:
            if name not in convolutions:
                raise unknown_name("a convolution that has ranks", name, convolutions)
        for name in convolutions:
            k, r = self.ranks.get(name, (0, 0))
            if min(k, r) < 1:
                raise OptionError(f"the ranks of {name} are {k} and {r}; expected 1 or more each.")
            full = self.get_submodule(name)
            assert isinstance(full, nn.Conv2d)
            self.add_module(
                name,
                nn.Sequential(
                    nn.Conv2d(full.in_channels, k, 1, bias=False),
                    nn.Conv2d(k, r, 3, padding=1, bias=False),  # zeros stay zeros without a bias before
                    nn.Conv2d(r, full.out_channels, 1),
                ),
            )

    def bytes_per_pixel(self, layers: Iterable[str]) -> float:
        """Return the approximate memory of a forward and backward pass, in bytes per pixel; see `VGG`."""
        wanted = self._known(layers)
        if not wanted:
            return 0.0
        deepest = self.layer_names.index(max(wanted, key=self.layer_names.index))
        run = [name for name in self.layer_names[: deepest + 1] if name in self.ranks]
        narrow = sum(sum(self.ranks[name]) / self.stride(name) ** 2 for name in run)
        return super().bytes_per_pixel(wanted) + self.gain.element_size() * narrow
