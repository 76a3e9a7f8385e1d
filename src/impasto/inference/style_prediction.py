"""Any picture as a style: from its pixels to a style embedding, without training."""

import torch
from torch import Tensor

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.load import load_style_predictor
from impasto.devices import find_device, find_dtype
from impasto.networks.style_predictor import LAYERS, layer_moments
from impasto.ops.resize import resize, style_size

__all__ = ["predict_embedding"]


@torch.no_grad()
def predict_embedding(
    base: str, style: Tensor, *, size: int = 512, device: str = "auto", precision: str = "auto"
) -> Tensor:
    """Return the style embedding `(N,)` that the style predictor finds for a picture.

    Args:
        base: the fingerprint of the multi-style network, see `Painter.fingerprint`.
        style: `(1, 3, h, w)` RGB in [0, 1], any size.
        size: the side of a square with the area at which the style is read, in pixels; it decides the size of strokes.
        device: where it is computed.
        precision: of the encoder: "float32", "bfloat16" or "auto".

    Raises:
        OptionError: the catalog has no style predictor for this network, or the device is not there.
    """
    predictor = load_style_predictor(base)
    where = find_device(device)
    encoder = load_encoder("compact", padding="replicate", device=where, dtype=find_dtype(precision, where))
    resized = resize(style, style_size(style, (size, size), 1.0, encoder.minimum_size(LAYERS))).clamp(0, 1)
    features = encoder(resized.to(where), LAYERS)
    embedding: Tensor = predictor.to(where)(layer_moments(features))[0]
    return embedding.cpu()
