"""MicroAST: arbitrary style transfer by a network of half a million weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from impasto.networks.layers import Map, conv, crop, extend, keep, moments, pointwise, scale, size_of, upsample

__all__ = ["PARTS", "MicroAST"]

PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")  # names of the public checkpoints
_EPS = 1e-5
_WIDTH = 16


class _Conv(nn.Module):
    """A convolution under the key of the public checkpoint."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(channels, out, kernel, stride, groups=groups)

    def forward(self, x: Map) -> Map:
        layer = self.conv_layer
        return conv(x, layer.weight, layer.bias, stride=layer.stride[0], groups=layer.groups)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _Conv(channels, channels, 3), _Conv(channels, channels, 3)

    def forward(self, x: Map, weight: Tensor | None = None, bias: Tensor | None = None) -> Map:
        """Return x plus two convolutions of it; modulated by a style each is weight * conv(x) + bias * x."""
        if weight is None or bias is None:
            y = self.conv2(pointwise(F.relu, self.conv1(x)))
        else:

            def modulated(convolved: Tensor, x: Tensor) -> Tensor:
                return weight * convolved + bias * x

            y = keep(pointwise(lambda c, x: F.relu(modulated(c, x)), self.conv1(x), x))
            y = pointwise(modulated, self.conv2(y), y)
        total: Map = keep(pointwise(torch.add, x, y))
        return total


class _Encoder(nn.Module):
    def __init__(self, w: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Conv(3, w, 9), nn.ReLU(), _Conv(w, 2 * w, 3, 2, w), nn.ReLU()]
        layers += [_Conv(2 * w, 2 * w, 1), nn.ReLU(), _Conv(2 * w, 4 * w, 3, 2, 2 * w), nn.ReLU()]
        layers += [_Conv(4 * w, 4 * w, 1), nn.ReLU(), _Residual(4 * w)]
        self.enc1 = nn.Sequential(*layers)
        self.enc2 = nn.Sequential(_Residual(4 * w))

    def forward(self, x: Map) -> tuple[Map, Map]:
        """Return the features after the first and the second residual block."""
        for layer in list(self.enc1)[:-1]:
            x = pointwise(F.relu, x) if isinstance(layer, nn.ReLU) else layer(x)
        first = self.enc1[-1](keep(x))
        return first, self.enc2[0](first)


class _Modulator(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("weight1", "bias1", "weight2", "bias2"):
            self.add_module(name, nn.Sequential(_Conv(channels, channels, 3, groups=channels)))

    def forward(self, first: Map, second: Map) -> list[tuple[Tensor, Tensor]]:
        """Return the modulation, weight and bias `(B, C, 1, 1)`, for each of two levels of features."""
        found = []
        for index, features in enumerate((first, second), start=1):
            maps = [self.get_submodule(f"{name}{index}")(features) for name in ("weight", "bias")]
            means = [moments(one)[0] for one in maps]  # in float32 or wider
            pair = [mean[:, :, None, None].to(next(self.parameters()).dtype) for mean in means]
            found.append((pair[0], pair[1]))
        return found


class _Decoder(nn.Module):
    def __init__(self, w: int) -> None:
        super().__init__()
        self.dec1, self.dec2 = _Residual(4 * w), _Residual(4 * w)
        self.dec3 = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"), _Conv(4 * w, 2 * w, 3, groups=2 * w), nn.ReLU(),
            _Conv(2 * w, 2 * w, 1), nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"), _Conv(2 * w, w, 3, groups=w), nn.ReLU(),
            _Conv(w, w, 1), nn.ReLU(), _Conv(w, 3, 9),
        )  # fmt: skip

    def forward(self, x: Map, style: tuple[Map, Map], filters: list[tuple[Tensor, Tensor]], alpha: float) -> Map:
        """Return the stylized picture of the content's deeper features."""
        x = self.dec1(_adapted(x, style[1], alpha), *filters[1])
        x = self.dec2(_adapted(x, style[0], alpha), *filters[0])
        for layer in self.dec3:
            if isinstance(layer, nn.Upsample):
                x = upsample(x, "bilinear")
            else:
                x = pointwise(F.relu, x) if isinstance(layer, nn.ReLU) else layer(x)
        return x


def _mean_std(x: Map) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, `(B, C)`, of the unbiased variance as AdaIN has it."""
    mean, variance = moments(x)
    positions = size_of(x)[0] * size_of(x)[1]
    others = torch.sym_max(1, positions - 1)  # type: ignore[no-untyped-call]
    return mean, (variance * positions / others + _EPS).sqrt()


def _adapted(x: Map, style: Map, alpha: float) -> Map:
    """Return features with the style's mean and standard deviation, interpolated with the content's by `alpha`.

    Source: adaptive instance normalization, Huang & Belongie 2017, arXiv:1703.06868, eqs. 8 and 14.
    """
    mean, std = _mean_std(x)
    style_mean, style_std = _mean_std(style)
    gain = alpha * style_std / std + (1 - alpha)
    shift = alpha * (style_mean - mean * style_std / std)
    return keep(scale(x, gain, shift))


class MicroAST(nn.Module):
    """MicroAST: encoders for content and style, a modulator of filters, and a decoder.

    State-dict keys are those of the four public checkpoints after `content_encoder.`, `style_encoder.`,
    `modulator.` and `decoder.`. A new object has random weights.

    Source: Wang et al. 2023, arXiv:2211.15313.
    Differs: sides that are not multiples of 4 are padded by reflection and cropped again.
    """

    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.content_encoder, self.style_encoder = _Encoder(_WIDTH), _Encoder(_WIDTH)
        self.modulator, self.decoder = _Modulator(4 * _WIDTH), _Decoder(_WIDTH)

    @property
    def settings(self) -> dict[str, int]:
        """What the constructor needs to build this network again."""
        return {}

    def forward(self, image: Map, style: Map, strength: float = 1.0) -> Map:
        """Return the painted picture.

        Args:
            image: `(B, 3, H, W)` RGB in [0, 1], any size.
            style: `(B or 1, 3, h, w)` RGB in [0, 1], any size; 512 px and about the picture's size look best.
            strength: the paper's alpha, from the content's feature statistics, 0, to the style's, 1.

        Returns:
            The shape of the image; values may leave [0, 1] a little.
        """
        style_features = self.style_encoder(style)
        _, features = self.content_encoder(extend(image, self.multiple))
        painted: Map = crop(
            self.decoder(features, style_features, self.modulator(*style_features), strength), size_of(image)
        )
        return painted
