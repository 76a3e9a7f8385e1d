"""Any picture as a style: from its pixels to the row of a painter, without any training."""

import torch
from torch import Tensor

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.load import load_predictor
from impasto.checkpoints.model import Model
from impasto.devices import find_device, find_dtype
from impasto.networks.style_predictor import LAYERS
from impasto.ops.moments import channel_moments
from impasto.ops.resize import resize, style_size

__all__ = ["predict_row"]


@torch.no_grad()
def predict_row(
    model: Model, style: Tensor, *, size: int = 512, device: str = "auto", precision: str = "auto"
) -> Tensor:
    """Return the row `(N,)` with which a painter paints like a picture, as nearly as can be told at once.

    Args:
        model: a painter of the catalogue.
        style: `(1, 3, h, w)` RGB in [0, 1], any size.
        size: of strokes: the side of a square with the area at which the style is looked at.
        device: where it is computed.
        precision: with which numbers.

    Raises:
        OptionError: the catalogue has no predictor for this network, or the device is not there.
    """
    predictor = load_predictor(model)
    where = find_device(device)
    encoder = load_encoder("compact", padding="replicate", device=where, dtype=find_dtype(precision, where))
    look = resize(style, style_size(style, (size, size), 1.0, encoder.minimum_size(LAYERS))).clamp(0, 1)
    features = encoder(look.to(where), LAYERS)
    row: Tensor = predictor.to(where)([channel_moments(features[layer]) for layer in LAYERS])[0]
    return row.cpu()
