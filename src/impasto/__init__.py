"""Painting with neural networks, for people.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg", size=768).save("out.png")  # doctest: +SKIP

Names are loaded when they are first used, so that importing impasto does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.checkpoints import load_encoder as load_encoder
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.measures import score as score
    from impasto.optimization import iter_optimize as iter_optimize
    from impasto.optimization import optimize as optimize
    from impasto.options import ApplyOptions as ApplyOptions
    from impasto.options import StylizeOptions as StylizeOptions
    from impasto.rendering import iter_apply as iter_apply
    from impasto.rendering import load as load
    from impasto.stylization import iter_stylize as iter_stylize
    from impasto.stylization import stylize as stylize

_HOMES = {
    "ApplyOptions": "options",
    "ImpastoError": "errors",
    "StylizeOptions": "options",
    "iter_apply": "rendering",
    "iter_optimize": "optimization",
    "iter_stylize": "stylization",
    "load": "rendering",
    "load_encoder": "checkpoints",
    "optimize": "optimization",
    "score": "measures",
    "stylize": "stylization",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(f"impasto.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
