"""The projection head of CUT's contrastive loss, netF in the official program."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.networks.translators import INIT_STD

__all__ = ["PatchSampler"]


class PatchSampler(nn.Module):
    """CUT's netF: projects a generator's features at sampled positions to vectors of unit length.

    State-dict keys are those of the official files: `mlp_0.0.weight`, `mlp_0.2.weight`, `mlp_1.0.weight`, ....

    Args:
        channels: of each map, as `ResNetGenerator.feature_channels` says.
        width: of the vectors.

    Source: Park et al. 2020, arXiv:2007.15651, section 3 and appendix C.1.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        for index, count in enumerate(channels):
            linear = nn.Linear(count, width), nn.Linear(width, width)
            for layer in linear:
                nn.init.xavier_normal_(layer.weight, INIT_STD)  # the official initialization, with its gain
                nn.init.zeros_(layer.bias)
            self.add_module(f"mlp_{index}", nn.Sequential(linear[0], nn.ReLU(), linear[1]))

    def forward(self, maps: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Return unit vectors `(B, P, width)` at positions `(P,)` of each map `(B, C, h, w)`."""
        vectors = []
        for index, (features, chosen) in enumerate(zip(maps, positions, strict=True)):
            found = features.flatten(2)[:, :, chosen].transpose(1, 2)  # (B, P, C)
            vectors.append(F.normalize(self.get_submodule(f"mlp_{index}")(found).float(), dim=2))
        return vectors
