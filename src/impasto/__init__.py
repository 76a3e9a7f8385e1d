"""Painting with neural networks: restyle photographs and video, translate between domains, train generative models.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg", size=768).save("out.png")  # doctest: +SKIP

Names are loaded when they are first used, so that importing impasto does not import torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.api.apply import apply as apply
    from impasto.api.evaluate import Evaluation as Evaluation
    from impasto.api.evaluate import evaluate as evaluate
    from impasto.api.export import export as export
    from impasto.api.lists import list_methods as list_methods
    from impasto.api.lists import list_models as list_models
    from impasto.api.sample import sample as sample
    from impasto.api.score import score as score
    from impasto.api.stylize import stylize as stylize
    from impasto.api.train import train as train
    from impasto.checkpoints.model import Model as Model
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.inference.generator import Autoencoder as Autoencoder
    from impasto.inference.generator import Generator as Generator
    from impasto.inference.load import load as load
    from impasto.inference.painter import Painter as Painter
    from impasto.inference.translator import Translator as Translator
    from impasto.run import Run as Run

_HOMES = {
    "Autoencoder": "inference.generator",
    "Evaluation": "api.evaluate",
    "Generator": "inference.generator",
    "ImpastoError": "errors",
    "Model": "checkpoints.model",
    "Painter": "inference.painter",
    "Run": "run",
    "Translator": "inference.translator",
    "apply": "api.apply",
    "evaluate": "api.evaluate",
    "export": "api.export",
    "list_methods": "api.lists",
    "list_models": "api.lists",
    "load": "inference.load",
    "sample": "api.sample",
    "score": "api.score",
    "stylize": "api.stylize",
    "train": "api.train",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("impasto")
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    found = getattr(import_module(f"impasto.{_HOMES[name]}"), name)
    globals()[name] = found  # a room of the same name, such as `impasto.api.train`, never takes its place
    return found


def __dir__() -> list[str]:
    return __all__
