"""Helpers of painter recipes: encoder, multi-style base network, preview photographs, style images and names."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from impasto.checkpoints.encoders import load_encoder
from impasto.data.folders import PictureFolder
from impasto.data.styles import open_style
from impasto.devices import find_device, find_dtype
from impasto.errors import OptionError
from impasto.inference.load import load
from impasto.inference.painter import Painter
from impasto.io.tensors import as_tensor
from impasto.networks.styled import StyledNetwork
from impasto.networks.vgg import VGG
from impasto.recipes.options import PaintingOptions

__all__ = [
    "SAMPLES",
    "SAMPLE_SIZE",
    "begin_with",
    "encoder_of",
    "open_base",
    "sample_photos",
    "style_image",
    "style_name",
]

SAMPLES, SAMPLE_SIZE = 3, 256  # photographs of a preview, and their side in pixels


def open_base(base: Any) -> tuple[Painter, tuple[str, str]]:
    """Return a multi-style painter, and its name and fingerprint.

    Raises:
        OptionError: the model is not a multi-style network.
        WeightsError: the file cannot be read.
    """
    model = base if isinstance(base, Painter) else load(base, device="cpu", precision="float32")
    if not isinstance(model, Painter) or not isinstance(model.network, StyledNetwork):
        raise OptionError(f"the network is one of {model.architecture}; expected a multi-style network.")
    return model, ("" if isinstance(base, Painter) else Path(base).stem, model.fingerprint)


def begin_with(network: nn.Module, model: Painter) -> None:
    """Initialize a network from another multi-style network: all weights, and the embeddings of styles that both have.

    Raises:
        OptionError: the networks have different sizes, or one has no style embeddings.
    """
    known = model.network
    assert isinstance(known, StyledNetwork)
    if not isinstance(network, StyledNetwork):
        raise OptionError("the network johnson cannot start from another one; use pyramid.")
    sizes = [{key: value for key, value in net.settings.items() if key != "styles"} for net in (network, known)]
    if sizes[0] != sizes[1]:
        raise OptionError(
            f"the network to start from has the settings {sizes[1]}; expected {sizes[0]}, those of this training."
        )
    embeddings = network.embeddings.detach().clone()
    for index, name in enumerate(network.styles):
        if name in known.styles:
            embeddings[index] = known.embeddings[known.styles.index(name)]
    network.load_state_dict({**known.state_dict(), "embeddings": embeddings})


def encoder_of(options: PaintingOptions) -> VGG:
    """Return the encoder of the perceptual loss, in the precision of the device."""
    device = find_device(options.device)
    return load_encoder(options.encoder, padding="replicate", dtype=find_dtype(options.precision, device))


def sample_photos(data: PictureFolder) -> Tensor:
    """Return the photographs of the previews, `(n, 3, H, W)` in [0, 1]."""
    return PictureFolder(data.paths, SAMPLE_SIZE, seed=data.seed, flip=False).batch(range(SAMPLES))


def style_image(style: Any, options: PaintingOptions) -> Tensor:
    """Return a style image, `(1, 3, h, w)` RGB in [0, 1]."""
    return as_tensor(open_style(style, options.style_size, "auto"))


def style_name(style: Any) -> str:
    """Return the name of a style: that of its file, or its built-in name."""
    return Path(str(style).replace(":", "-")).stem if isinstance(style, str | Path) else "style"
