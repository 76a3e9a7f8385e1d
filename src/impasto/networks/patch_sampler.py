"""The projection network of CUT's contrastive loss."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.networks.translators import DEVIATION

__all__ = ["PatchSampler"]


class PatchSampler(nn.Module):
    """CUT's netF: turns places of a generator's features into rows that can be compared.

    State-dict keys are those of the official files: `mlp_0.0.weight`, `mlp_0.2.weight`, `mlp_1.0.weight`, ....

    Args:
        channels: of each map, as `ResNetGenerator.feature_channels` says.
        width: of the rows.

    Source: Park et al. 2020, arXiv:2007.15651, section 3 and appendix C.1.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        for index, count in enumerate(channels):
            linear = nn.Linear(count, width), nn.Linear(width, width)
            for layer in linear:
                nn.init.xavier_normal_(layer.weight, DEVIATION)  # as the official program begins, gain and all
                nn.init.zeros_(layer.bias)
            self.add_module(f"mlp_{index}", nn.Sequential(linear[0], nn.ReLU(), linear[1]))

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Return rows of length 1, `(B, P, width)`, of places `(P,)` of each map `(B, C, h, w)`."""
        rows = []
        for index, (features, chosen) in enumerate(zip(maps, places, strict=True)):
            found = features.flatten(2)[:, :, chosen].transpose(1, 2)  # (B, P, C)
            rows.append(F.normalize(self.get_submodule(f"mlp_{index}")(found).float(), dim=2))
        return rows
