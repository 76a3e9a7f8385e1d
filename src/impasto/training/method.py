"""Method: what a training method declares about itself; command line, docs and `train` read it from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from impasto.options import Options

__all__ = ["Input", "Method"]


@dataclass(frozen=True)
class Input:
    """One role that data play in a training.

    Attributes:
        name: of the role, as in `train(method, {name: ...})` and, unless it is positional, of its flag.
        help: what is expected, a sentence without a full stop.
        sort: "images": a set of small pictures (name, file, folder, array, tensor, Dataset); "folders": one or more
            folders of pictures of any size; "folder": one; "style": one style image, file or built-in name; "styles":
            a folder of style images; "model": a trained network, name or file.
        positional: whether the command line takes it without a flag, in the order of declaration.
        many: whether several may be named.
        required: whether it must be named.
        default: what is taken if it is not.
    """

    name: str
    help: str
    sort: Literal["images", "folders", "folder", "style", "styles", "model"]
    positional: bool = True
    many: bool = False
    required: bool = True
    default: Any = None


@dataclass(frozen=True)
class Method:
    """A training method: its name, its inputs, its options and where its recipe is.

    Attributes:
        name: as on the command line.
        summary: what is trained, one sentence in the imperative.
        inputs: the roles of its data.
        options: what can be set; `options.presets` are its presets.
        recipe: the class that derives from `training.recipe.Recipe`, or where it is: "module:Class". A text is
            imported when a training starts, so that a list of methods takes no time.
        details: more about inputs and results, for help and docs.
        example: one command line without the leading "impasto train".
        result: what the finished file holds, as `load` gives it: "painter", "generator", "autoencoder",
            "translator", "classifier"; "style", "encoder", or another word.
    """

    name: str
    summary: str
    inputs: tuple[Input, ...]
    options: type[Options]
    recipe: Any
    details: str = ""
    example: str = ""
    result: str = "model"

    @property
    def presets(self) -> Mapping[str, dict[str, Any]]:
        """Named settings; "default" is always one of them."""
        known: Mapping[str, dict[str, Any]] = getattr(self.options, "presets", {})
        return {"default": {}, **known}

    def load(self) -> Any:
        """Return the recipe's class."""
        if not isinstance(self.recipe, str):
            return self.recipe
        module, _, name = self.recipe.partition(":")
        return getattr(import_module(module), name)
