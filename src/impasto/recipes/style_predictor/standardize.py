"""Set what a style predictor standardizes its inputs and outputs with, before its training."""

import torch
from torch import Tensor

from impasto.networks.style_predictor import LAYERS, StylePredictor
from impasto.networks.vgg import VGG
from impasto.ops.moments import channel_moments

__all__ = ["standardize"]


@torch.no_grad()
def standardize(predictor: StylePredictor, encoder: VGG, reference: Tensor, embeddings: Tensor) -> None:
    """Calibrate a style predictor; see `StylePredictor.calibrate`.

    Args:
        predictor: the predictor.
        encoder: the encoder whose features it reads.
        reference: `(n, 3, h, w)` RGB in [0, 1], reference paintings.
        embeddings: `(S, N)`, style embeddings of the network.
    """
    seen = []
    for picture in reference:
        features = encoder(picture[None], LAYERS)
        seen.append([channel_moments(features[layer]) for layer in LAYERS])
    moments = [tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in zip(*seen, strict=True)]
    predictor.calibrate([(mean, second) for mean, second in moments], embeddings)
