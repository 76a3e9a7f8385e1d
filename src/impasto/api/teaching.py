"""Networks learn to paint: from pictures and settings to the events of a training.

Each function opens the pictures, makes the network and its method, and hands both to `loop.iter_train`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.load import fingerprint, load_model
from impasto.checkpoints.model import Model
from impasto.data.folders import DeadLeaves, Pairs, PictureFolder
from impasto.data.styles import open_style
from impasto.devices import find_device, find_dtype
from impasto.errors import OptionError
from impasto.events import Event
from impasto.inference.style_prediction import predict_row
from impasto.io.tensors import as_tensor
from impasto.networks.johnson import Johnson
from impasto.networks.multistyle import IDENTITY, Painter
from impasto.networks.style_predictor import LAYERS, Predictor
from impasto.networks.vgg import VGG
from impasto.recipes.johnson.options import JohnsonOptions
from impasto.recipes.johnson.recipe import Painting
from impasto.recipes.options import PaintingOptions
from impasto.recipes.style_embedding.options import StyleOptions
from impasto.recipes.style_embedding.recipe import NewStyle
from impasto.recipes.style_predictor.options import PredictorOptions
from impasto.recipes.style_predictor.recipe import Predicting
from impasto.training.loop import iter_train

__all__ = ["iter_johnson", "iter_painter", "iter_predictor", "iter_style"]

_SAMPLES, _SAMPLE_SIZE = 3, 256  # photographs of a preview, and their side in pixels


def iter_johnson(
    style: Any,
    photographs: str | Path | Sequence[str | Path],
    options: JohnsonOptions = JohnsonOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, at whose end a network paints any picture in one style.

    Args:
        style: a picture, or a name of a painted style, as in `stylize.iter_stylize`.
        photographs: folders, as they are.
        options: everything else.
        run: folder that everything is written to, the network as `model.safetensors`.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `loop.iter_train`.
    """
    JohnsonOptions.check(options)
    return iter_painter({_called(style): style}, photographs, options, run=run, resume=resume, force=force)


def iter_painter(
    styles: Mapping[str, Any],
    photographs: str | Path | Sequence[str | Path],
    options: JohnsonOptions = JohnsonOptions(),  # noqa: B008 - frozen
    *,
    start: str | Path | Model | None = None,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """The same for a network of several styles: `styles` are pictures by name, each of which gets a row.

    Args:
        styles: pictures by name.
        photographs: folders, as they are.
        options: everything else.
        start: a network of many styles of the same size to begin with, and rows of those styles that it knows.
        run: as for `iter_johnson`.
        resume: as there.
        force: as there.

    Raises:
        OptionError: the network to begin with has another size.
        ImpastoError: one of its kinds, as for `iter_johnson`.
    """
    JohnsonOptions.check(options)
    if not styles:
        raise OptionError("there is no style; expected one or more pictures.")
    data = PictureFolder(photographs, options.crop, seed=options.seed)
    looks = {name: as_tensor(open_style(style, options.style_size)) for name, style in styles.items()}
    network, name = _network(list(looks), options), "johnson" if len(looks) == 1 else "painter"
    if start is not None:
        _begin_with(network, _base(start)[0])
    method = Painting(name, network, _encoder(options), looks, _samples(data), options)
    return iter_train(method, data, options, run=run, resume=resume, force=force)


def iter_style(
    style: Any,
    photographs: str | Path | Sequence[str | Path] = (),
    base: str | Path | Model = "painter",
    options: StyleOptions = StyleOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a short training, at whose end a network of many styles knows one more.

    Args:
        style: a picture, or a name of a painted style, as in `stylize.iter_stylize`.
        photographs: folders, as they are; a handful of pictures is enough. None: made-up scenes take their place.
        base: the network of many styles: a name of the catalogue, a file, the folder of its training, or one that
            was read.
        options: everything else.
        run: folder that everything is written to; the style, a file of a few thousand bytes, as `model.safetensors`.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already.

    Raises:
        WeightsError: the base cannot be read.
        OptionError: the base is not a network of many styles.
        ImpastoError: one of its kinds, for each thing that can be wrong; see `loop.iter_train`.
    """
    StyleOptions.check(options)
    model, told = _base(base)
    assert isinstance(model.network, Painter)
    data: PictureFolder | DeadLeaves
    if photographs:
        data = PictureFolder(photographs, options.crop, seed=options.seed)
        samples = _samples(data)
    else:
        data = DeadLeaves(options.crop, seed=options.seed)
        samples = DeadLeaves(_SAMPLE_SIZE, seed=options.seed + 1, scenes=_SAMPLES).batch(range(_SAMPLES))
    look = as_tensor(open_style(style, options.style_size))
    try:
        guess = predict_row(model, look, size=options.style_size, device=options.device, precision=options.precision)
    except OptionError:  # no predictor is there for this network: it begins with a row that it knows
        guess = None
    method = NewStyle(model.network, _encoder(options), _called(style), look, samples, options, guess=guess, base=told)
    return iter_train(method, data, options, run=run, resume=resume, force=force)


def iter_predictor(
    paintings: str | Path | Sequence[str | Path],
    photographs: str | Path | Sequence[str | Path],
    base: str | Path | Model = "painter",
    options: PredictorOptions = PredictorOptions(),  # noqa: B008 - frozen
    *,
    run: str | Path,
    resume: bool = False,
    force: bool = False,
) -> Iterator[Event]:
    """Yield the events of a training, at whose end a network of many styles can paint after any picture.

    Args:
        paintings: folders of style pictures, the more the better.
        photographs: folders, as they are.
        base: the network of many styles, as for `iter_style`.
        options: everything else.
        run: folder that everything is written to, the predictor as `model.safetensors`.
        resume: go on with the run in that folder.
        force: start anew in a folder that has a run already.

    Raises:
        WeightsError: the base cannot be read.
        OptionError: the base is not a network of many styles.
        ImpastoError: one of its kinds, for each thing that can be wrong; see `loop.iter_train`.
    """
    PredictorOptions.check(options)
    model, told = _base(base)
    assert isinstance(model.network, Painter)
    data = Pairs(
        PictureFolder(photographs, options.crop, seed=options.seed),
        PictureFolder(paintings, options.style_crop, seed=options.seed + 1),
    )
    encoder = _encoder(options)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        channels = [encoder.channels(layer) for layer in LAYERS]
        directions = min(options.directions, *channels)
        predictor = Predictor(model.network.rows.shape[1], channels, directions, options.width)
    usual = data.second.batch(range(min(options.usual, len(data.second))))
    samples = _samples(data.first), data.second.batch(range(_SAMPLES))
    method = Predicting(predictor, model.network, encoder, usual, samples, options, base=told)
    return iter_train(method, data, options, run=run, resume=resume, force=force)


def _base(base: str | Path | Model) -> tuple[Model, tuple[str, str]]:
    """Return a network of many styles, what it is called, and its fingerprint."""
    model = base if isinstance(base, Model) else load_model(base)
    if not isinstance(model.network, Painter):
        raise OptionError(f"the network is one of {model.architecture}; expected one of many styles, a painter.")
    name = "" if isinstance(base, Model) else Path(base).stem
    return model, (name, fingerprint(model.network))


def _encoder(options: PaintingOptions) -> VGG:
    device = find_device(options.device)
    return load_encoder(options.encoder, padding="replicate", dtype=find_dtype(options.precision, device))


def _network(styles: Sequence[str], options: JohnsonOptions) -> nn.Module:
    if options.network == "johnson" and len(styles) > 1:
        raise OptionError(f"the network johnson has one style, not {len(styles)}; use light.")
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        if options.network == "johnson":
            return Johnson(options.width or 32, 5 if options.blocks is None else options.blocks, scale=1.0)
        blocks = 6 if options.blocks is None else options.blocks
        return Painter(options.width or 32, blocks, styles=[IDENTITY, *styles])


def _begin_with(network: nn.Module, model: Model) -> None:
    """Copy the weights of another network of many styles, and the rows of styles that both know."""
    known = model.network
    assert isinstance(known, Painter)
    if not isinstance(network, Painter):
        raise OptionError("only the network light can begin with another one.")
    sizes = [{key: value for key, value in net.settings.items() if key != "styles"} for net in (network, known)]
    if sizes[0] != sizes[1]:
        raise OptionError(f"the network to begin with has {sizes[1]}; expected {sizes[0]}, as it is made here.")
    rows = network.rows.detach().clone()
    for index, name in enumerate(network.styles):
        if name in known.styles:
            rows[index] = known.rows[known.styles.index(name)]
    network.load_state_dict({**known.state_dict(), "rows": rows})


def _samples(data: PictureFolder) -> Tensor:
    """Return the photographs that previews show."""
    return PictureFolder(data.paths, _SAMPLE_SIZE, seed=data.seed, flip=False).batch(range(_SAMPLES))


def _called(style: Any) -> str:
    return Path(str(style).replace(":", "-")).stem if isinstance(style, str | Path) else "style"
