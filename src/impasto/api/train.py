"""Train a network by any method of the registry."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from impasto.checkpoints.encoders import load_encoder
from impasto.errors import OptionError
from impasto.events import Event, noted
from impasto.inference.load import load
from impasto.io.files import left_out
from impasto.options import Options
from impasto.recipes import find_method
from impasto.run import Run, Verb
from impasto.training.loop import iter_train
from impasto.training.method import Input, Method
from impasto.training.recipe import Site
from impasto.training.run_folder import unfinished

__all__ = ["default_run", "inputs_of", "options_of", "start_training", "train"]


def start_training(
    method: Any,
    /,  # CycleGAN has a setting of that name
    data: Any = None,
    *,
    run: str | Path | None = None,
    preset: str = "default",
    options: Options | None = None,
    network: Any = None,
    resume: bool = False,
    force: bool = False,
    **settings: Any,
) -> Run[Any]:
    """Train a network; it blocks, and returns the trained model.

    `train.start` takes the same arguments and returns a `Run`. Everything that can be checked is checked when this is
    called. An interrupted training saves a checkpoint; `resume=True` continues from it to the same weights.

    Args:
        method: a name of `list_methods()`, such as "vae"; or a class of your own that derives from
            `training.recipe.Recipe` and declares a `Method`.
        data: a dict by role, such as `{"a": "photos/", "b": "monets/"}`; or the data itself if the method needs one
            role only. A set of images is a folder, a file, an array or tensor `(N, H, W)`, `(N, H, W, C)` or
            `(N, C, H, W)`, a pair of images and labels, or a torch `Dataset`.
        run: folder for everything that is written; the model is `model.safetensors` in it. By default METHOD-DATA in
            the working directory, with a number if that exists already and has ended.
        preset: named settings to start from; every method has "default".
        options: all settings at once, of the options class of the method.
        network: your own network in place of the method's: an `nn.Module`, or several by name. Autoencoders and VAEs
            need `encode` and `decode`; see `networks.own`. A word is the method's setting of that name, such as "conv".
        resume: continue the run in that folder; without `run`, the newest run of this method and data.
        force: replace the run in that folder.
        settings: single settings in place of the preset's, such as `steps=500`.

    Returns:
        The model, as `load` returns it; of "style" the painter with that style, of "encoder" the encoder.

    Raises:
        ImpastoError: one of its kinds, for each thing that can be wrong; see `impasto.errors`.

    >>> model = impasto.train("vae", "digits.npz", run="vae", epochs=10)  # doctest: +SKIP
    >>> model.sample(8).shape  # doctest: +SKIP
    torch.Size([8, 1, 28, 28])
    """
    found = find_method(method)
    if isinstance(network, str):
        settings, network = {**settings, "network": network}, None
    for one in network.values() if isinstance(network, Mapping) else [network]:
        if isinstance(one, nn.Module):
            _check_weights(one.float())
    complete = options_of(found, preset, options, settings)
    roles = inputs_of(found, data)
    folder = Path(run) if run is not None else default_run(found, roles, resume=resume, force=force)
    unread = [sentence for role in roles.values() for sentence in left_out(role, deep=True)]
    events = noted(unread, _events(found, roles, complete, Site(folder, resume, network), force))
    return Run(events, lambda _: _result(found, roles, folder, network), folder=folder)


train = Verb(start_training)


def _result(method: Method, data: Mapping[str, Any], folder: Path, network: Any) -> Any:
    """Return the model in the folder of a finished training."""
    if method.result == "encoder":
        return load_encoder(folder)
    if method.result == "style":
        painter = load(data["base"])
        name, embedding = painter.read_style(folder)
        return replace(painter.with_style(name, embedding), default=name)
    if isinstance(network, Mapping):  # the file holds one of them
        network = network.get("generator", next(iter(network.values()), None))
    return load(folder, network=network)


def _check_weights(network: nn.Module) -> None:
    if any(weight.is_inference() or weight.is_meta for weight in (*network.parameters(), *network.buffers())):
        raise OptionError(
            f"the weights of {type(network).__name__} were made in torch.inference_mode or on the meta device, where "
            "nothing can be trained; expected a network that was made outside."
        )


def _events(method: Method, data: Mapping[str, Any], options: Any, site: Site, force: bool) -> Iterator[Event]:
    recipe = method.load()
    begin = getattr(recipe, "start", None)
    if begin is not None:  # a method that takes no steps of a loop
        events: Iterator[Event] = begin(data, options, site, force)
        return events
    setup = recipe.build(data, options, site)
    return iter_train(
        setup.recipe, setup.data, setup.options, run=site.run, resume=site.resume, force=force, figures=setup.figures
    )


def options_of(method: Method, preset: str, options: Options | None, settings: Mapping[str, Any]) -> Options:
    """Return the complete options of a method.

    Raises:
        OptionError: they are of another class, a setting is misspelt or out of range, or two set the length.
        UnknownName: there is no such preset.
    """
    lengths = [name for name in ("steps", "epochs", "budget") if settings.get(name) is not None]
    if len(lengths) > 1:
        raise OptionError(
            f"{' and '.join(lengths)} are given; expected one of them, since each decides how long a training is."
        )
    if options is None:
        make = getattr(method.options, "preset", None)
        return make(preset, **settings) if make else method.options(**settings)
    if preset != "default":
        raise OptionError(f"options are given, and the preset {preset} too; expected one of the two.")
    return method.options.completed(options, settings)


def inputs_of(method: Method, data: Any) -> dict[str, Any]:
    """Return the data of each role, with defaults for the roles that were not named.

    Raises:
        OptionError: a required role is missing, or the method has no such role.
    """
    roles = {one.name: one for one in method.inputs}
    if not isinstance(data, Mapping):
        needed = [one for one in method.inputs if one.required] or list(method.inputs[:1])
        if data is not None and len(needed) != 1:
            raise OptionError(f"{method.name} needs {_listed(needed)}; expected a dict with these keys.")
        data = {} if data is None else {needed[0].name: data}
    for name in data:
        if name not in roles:
            raise OptionError(f"{name!r} is no data role of {method.name}; expected {', '.join(roles)}.")
    for one in method.inputs:
        if one.required and _missing(data.get(one.name)):
            raise OptionError(
                f"{method.name} needs {_listed([i for i in method.inputs if i.required])}; {one.name} is missing, "
                f"expected {one.help}."
            )
    return {name: one.default if data.get(name) is None else data[name] for name, one in roles.items()}


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, str | Sequence) and not len(value))


def _listed(inputs: Sequence[Input]) -> str:
    return " and ".join(one.name for one in inputs)


def default_run(method: Method, data: Mapping[str, Any], *, resume: bool = False, force: bool = False) -> Path:
    """Return the default folder of a run: METHOD-DATA, with a number if that exists already.

    If the newest one holds a run that has not ended, it is returned, so that this run is not forgotten.

    Args:
        method: what is trained.
        data: by role.
        resume: return the newest existing folder, in place of the first free name.
        force: return the first free name in any case.
    """
    names = [
        _data_name(data[one.name]) for one in method.inputs if one.sort != "model" and data.get(one.name) is not None
    ]
    if method.inputs and method.inputs[0].sort in ("style", "styles"):
        names = names[:1]
    stem = "-".join([method.name, *filter(None, names)])[:100]
    number, path = 1, Path(stem)
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}")
    newest = Path(stem if number == 2 else f"{stem}-{number - 1}")
    return newest if number > 1 and (resume or (unfinished(newest) and not force)) else path


def _data_name(source: Any) -> str:
    """Return a short name of some data, for a folder; "" for data in memory."""
    if isinstance(source, str | Path):
        return re.sub(r"[^\w.-]+", "-", Path(str(source).replace(":", "-").rstrip("/")).stem).strip("-.")
    if isinstance(source, Sequence) and source and all(isinstance(one, str | Path) for one in source):
        return _data_name(source[0])
    return ""
