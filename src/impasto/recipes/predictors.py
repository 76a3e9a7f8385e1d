"""Helpers of recipes that train a style predictor: a fresh one, and what its inputs are standardized with."""

import torch
from torch import Tensor

from impasto.networks.style_predictor import LAYERS, StylePredictor, layer_moments
from impasto.networks.styled import StyledNetwork
from impasto.networks.vgg import VGG
from impasto.training.recipe import seeded

__all__ = ["fresh_predictor", "standardize"]


def fresh_predictor(network: StyledNetwork, encoder: VGG, *, seed: int, directions: int, width: int) -> StylePredictor:
    """Return an untrained style predictor for a painter; it has fewer directions if a layer has fewer channels."""
    channels = [encoder.channels(layer) for layer in LAYERS]
    size, count = network.learned_size, min(directions, *channels)
    return seeded(seed, lambda: StylePredictor(size, channels, count, width))


@torch.no_grad()
def standardize(predictor: StylePredictor, encoder: VGG, reference: Tensor, network: StyledNetwork) -> None:
    """Calibrate a style predictor from reference paintings and the network's styles; see `StylePredictor.calibrate`.

    Args:
        predictor: the predictor.
        encoder: the encoder whose features it reads.
        reference: `(n, 3, h, w)` RGB in [0, 1], reference paintings.
        network: the painter.
    """
    seen = [layer_moments(encoder(picture[None], LAYERS)) for picture in reference]
    moments = [tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in zip(*seen, strict=True)]
    known = network.embeddings.detach()[1:, : network.learned_size]
    predictor.calibrate([(mean, second) for mean, second in moments], known)
