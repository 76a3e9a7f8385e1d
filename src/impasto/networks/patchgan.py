"""The discriminator of CycleGAN, CUT and pix2pix: the PatchGAN."""

from typing import Any

from torch import Tensor, nn

from impasto.errors import OptionError
from impasto.networks.translators import SLOPE, Blur, Norm, check_settings, init_weights, norm_layer

__all__ = ["PatchDiscriminator", "field_of_view"]


def field_of_view(layers: int) -> int:
    """Return the receptive field of a `PatchDiscriminator` with so many layers, in pixels: 70 for 3 layers."""
    seen = 1
    for stride in (1, 1, *[2] * layers):  # from the last convolution to the first, 4 x 4 each
        seen = seen * stride + 4 - stride
    return seen


class PatchDiscriminator(nn.Module):
    """PatchGAN: a logit for each patch of a picture, higher for real ones; no sigmoid at the end.

    State-dict keys are those of the official files: `model.0.weight`, `model.2.weight`, ....

    Args:
        width: channels after the first convolution, ndf; they double up to eight times as many.
        layers: strided convolutions: 1, 2, 3, 4, 5 or 6 have receptive fields of 16, 34, 70, 142, 286 or 574 px.
        norm: as in `ResNetGenerator`.
        blur: downsample with a blur, as CUT does.
        channels: of pictures; 6 for pairs.

    Raises:
        OptionError: a number is out of range, or the norm is none of the four.

    Source: Isola et al. 2017, arXiv:1611.07004, section 3.2.2 and appendix 6.1.2.
    """

    def __init__(
        self, width: int = 64, layers: int = 3, norm: Norm = "instance", *, blur: bool = False, channels: int = 3
    ) -> None:
        super().__init__()
        check_settings(norm, 1, width=width, layers=layers, channels=channels)
        if layers > 6:
            raise OptionError(f"layers are {layers}; expected 1 to 6.")
        self.width, self.layers, self.norm, self.blur, self.channels = width, layers, norm, blur, channels
        bias, stride = norm in ("instance", "affine"), 1 if blur else 2

        def downsampled(count: int) -> list[nn.Module]:
            return [nn.LeakyReLU(SLOPE, True), *([Blur(count, "down")] if blur else [])]

        model = [nn.Conv2d(channels, width, 4, stride=stride, padding=1), *downsampled(width)]
        wide = width
        for index in range(1, layers + 1):
            before, wide, last = wide, width * min(2**index, 8), index == layers
            model += [
                nn.Conv2d(before, wide, 4, stride=1 if last else stride, padding=1, bias=bias),
                norm_layer(norm, wide),
            ]
            model += [nn.LeakyReLU(SLOPE, True)] if last else downsampled(wide)
        self.model = nn.Sequential(*model, nn.Conv2d(wide, 1, 4, padding=1))
        init_weights(self)

    @property
    def settings(self) -> dict[str, Any]:
        """What the constructor needs to build this network again."""
        return {name: getattr(self, name) for name in ("width", "layers", "norm", "blur", "channels")}

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits `(B, 1, h, w)` of the patches of pictures `(B, channels, H, W)` in [-1, 1]."""
        logits: Tensor = self.model(pictures)
        return logits
