"""`load`: every trained network by name, file or folder, as the kind of model that it is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from impasto.checkpoints import catalog
from impasto.checkpoints.build import fill_custom
from impasto.checkpoints.files import File, decoded
from impasto.checkpoints.formats import Format
from impasto.checkpoints.formats.impasto import contents
from impasto.checkpoints.load import locate, read_model, style_name
from impasto.checkpoints.model import CUSTOM, OTHER_PROGRAM, Model
from impasto.data.style_names import has_picture, named_styles
from impasto.devices import find_device, find_dtype, with_own_defaults
from impasto.errors import OptionError, UnknownName, WeightsError, unknown_name
from impasto.inference.generator import Autoencoder, Generator
from impasto.inference.painter import Painter
from impasto.inference.translator import Translator
from impasto.io.files import is_picture
from impasto.networks.own import OwnAutoencoder, OwnGenerator, OwnVAE
from impasto.networks.styled import StyledNetwork

__all__ = ["load", "load_generator"]

_CLASSES: dict[str, type[Model]] = {
    "painter": Painter,
    "translator": Translator,
    "generator": Generator,
    "autoencoder": Autoencoder,
}
_WRAPPERS: dict[str, Callable[[nn.Module, Sequence[int]], nn.Module]] = {  # of the user's own networks
    "generator": OwnGenerator,
    "autoencoder": OwnAutoencoder,
    "vae": OwnVAE,
}


@with_own_defaults
def load(
    name_or_path: str | Path,
    *,
    device: str | torch.device = "auto",
    precision: str = "auto",
    key: str = "",
    network: nn.Module | None = None,
    formats: Sequence[Format] = (),
) -> Any:
    """Return a trained network, frozen and ready to use; no code in its file runs.

    >>> impasto.load("painter")("photo.jpg", style="starry_night").save("out.png")  # doctest: +SKIP
    >>> impasto.load("runs/gan-mnist5k").sample(16)  # doctest: +SKIP

    Args:
        name_or_path: a name of the catalog, of a network or a style; another name of `impasto styles`, whose picture
            the painter that ships takes as its style; a file of a training or of `Model.save`; the folder of a
            training, also of one that has not ended, with its weights so far; a style embedding, if the catalog has
            its network; `.pth` of pytorch/examples; lengstrom's 48 `Variable` blobs in a folder or zip file; MicroAST's
            four checkpoints in a folder or a file; or a generator of CycleGAN, pix2pix or CUT, also as other programs
            write it, whose settings are found in its weights. docs/formats.md has all of them.
        device: "auto", a GPU if there is one; "cpu", "cuda", "cuda:1" or "mps".
        precision: of painters and translators: "float32", "bfloat16", or "auto": bfloat16 where the processor supports
            it, for networks that impasto trained; those of other programs give in float32 what their programs give.
            All other kinds compute in float32.
        key: the part of a file that holds several networks, as "netG_A" or "params_ema": the name of a dictionary in
            it, or how its keys begin.
        network: for the file of a training with a network of the user's own: a network of that class and its settings,
            into which the weights are loaded.
        formats: file formats to try before the known ones.

    Returns:
        A `Painter`, `Translator`, `Generator` or `Autoencoder`; a `Model` for a classifier or style predictor.

    Raises:
        WeightsError: the file is missing, damaged, of no known format, lacks something, or holds several networks.
        UnknownName: there is no file of this name, and neither the catalog nor the styles have it.
        OptionError: the device is not there, or the precision is none of these; or the file is a picture.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise OptionError(f"precision is {precision!r}; expected auto, float32 or bfloat16.")
    where = find_device(str(device))
    if is_picture(name_or_path):
        raise OptionError(
            f"{name_or_path} is a picture, not a network; to paint in its style: "
            f"impasto apply painter PHOTO --style {name_or_path}."
        )
    try:
        path, style = locate(name_or_path)
    except UnknownName:
        name = str(name_or_path)
        if has_picture(name):
            painter = load("painter", device=device, precision=precision)
            return replace(painter.with_style(name, name), default=name, name=name.replace(":", "-"))
        networks = {one.name for one in catalog.listed().values() if one.kind != "style_predictor"}
        styles = {one.name for one in named_styles().values()}
        raise unknown_name("a network or of a style", name, networks | styles) from None
    file = File(path, key)
    model = _with_kind(_read(file, network, formats))
    given = Path(name_or_path).expanduser()
    model = replace(model, name=style or (given.name if given.is_dir() else given.stem), path=path)
    if style:
        model = replace(model, default=style)
    model.network.requires_grad_(False).eval()
    if isinstance(model, Painter | Translator):
        foreign = network is None and (not file.card or file.card.get("origin") == OTHER_PROGRAM)
        model.network.to(where, find_dtype("float32" if precision == "auto" and foreign else precision, where))
        if where.type == "cpu":
            model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.to(where)


def load_generator(name_or_path: str | Path, *, device: str | torch.device = "auto") -> Generator:
    """Return a generator or autoencoder of pictures; see `load`.

    Raises:
        WeightsError: as for `load`; or it is another kind of network, or generates points.
    """
    model = load(name_or_path, device=device)
    if not isinstance(model, Generator):
        hint = " See `impasto apply`." if isinstance(model, Painter | Translator) else ""
        raise WeightsError(
            f"{name_or_path} holds the network {model.architecture!r}; expected one of `impasto train autoencoder`, "
            f"`vae`, `gan` or `dcgan`.{hint}"
        )
    if len(model.shape) != 3:
        raise WeightsError(f"{name_or_path} generates points; expected a network that was trained on pictures.")
    return model


def _read(file: File, network: nn.Module | None, formats: Sequence[Format]) -> Model:
    """Return the network of a file, as a plain model or as a painter with a style."""
    if network is not None:
        tensors, card, notes = contents(file) if file.card else (file.tensors, {}, ())
        if file.error is not None:
            raise file.error
        extra = {key: tensors[key].float() for key in tensors.keys() & {"codes.mean", "codes.root"}}
        weights = {key: value for key, value in tensors.items() if key not in extra}
        filled, settings = fill_custom(network, weights, file.path), card.get("settings") or {}
        wrap = _WRAPPERS.get(str(card.get("as")))
        return Model(wrap(filled, settings["shape"]) if wrap else filled, card, notes, extra=extra)
    if file.card.get("network") == "style":
        return _of_style(file)
    return read_model(file, formats)


def _with_kind(model: Model) -> Any:
    """Return a model as the kind that its network is."""
    if type(model) is not Model:
        return model
    kind = model.architecture
    if kind == CUSTOM:  # its card says what it stands for
        kind = str(model.card.get("as") or _by_interface(model.network))
    found = _CLASSES.get(catalog.KINDS.get(kind, kind))
    fields = {name: getattr(model, name) for name in ("network", "card", "notes", "path", "extra")}
    return model if found is None else found(**fields)


def _by_interface(network: nn.Module) -> str:
    """Return the kind of a network whose file does not tell, by its methods."""
    if hasattr(network, "decode"):
        return "autoencoder" if hasattr(network, "encode") else "generator"
    return "translator"


def _of_style(file: File) -> Model:
    """Return the multi-style network of the catalog that a style embedding belongs to, with that style."""
    for one in catalog.listed().values():
        if one.architecture in catalog.STYLED:
            base = _with_kind(read_model(File(one.path)))
            assert isinstance(base, Painter) and isinstance(base.network, StyledNetwork)
            if base.fingerprint == file.card.get("base"):
                name, size = style_name(file.card, file.path), base.network.embeddings.shape[1:]
                embedding = decoded(file.tensors, "embedding", size, file.path, "a multi-style")
                return replace(base.with_style(name, embedding), default=name)
    raise WeightsError(
        f"{file.path} is a style of the network {file.card.get('based_on', '')!r}, which is not in the catalog; apply "
        f"that network, with --style {file.path}."
    )
