"""Painting with neural networks, for people.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg", size=768).save("out.png")  # doctest: +SKIP

Names are loaded when they are first used, so that importing impasto does not import torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.appraisal import iter_evaluate as iter_evaluate
    from impasto.checkpoints import load_encoder as load_encoder
    from impasto.comparing import iter_compare as iter_compare
    from impasto.compression import iter_compress as iter_compress
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.learning import iter_autoencoder as iter_autoencoder
    from impasto.learning import iter_classifier as iter_classifier
    from impasto.learning import iter_dcgan as iter_dcgan
    from impasto.learning import iter_gan as iter_gan
    from impasto.learning import iter_vae as iter_vae
    from impasto.measures import score as score
    from impasto.optimization import iter_optimize as iter_optimize
    from impasto.optimization import optimize as optimize
    from impasto.options import ApplyOptions as ApplyOptions
    from impasto.options import AutoencoderOptions as AutoencoderOptions
    from impasto.options import ClassifierOptions as ClassifierOptions
    from impasto.options import CompressOptions as CompressOptions
    from impasto.options import CycleGANOptions as CycleGANOptions
    from impasto.options import DCGANOptions as DCGANOptions
    from impasto.options import EvaluateOptions as EvaluateOptions
    from impasto.options import GANOptions as GANOptions
    from impasto.options import JohnsonOptions as JohnsonOptions
    from impasto.options import Pix2PixOptions as Pix2PixOptions
    from impasto.options import PredictorOptions as PredictorOptions
    from impasto.options import SampleOptions as SampleOptions
    from impasto.options import StyleOptions as StyleOptions
    from impasto.options import StylizeOptions as StylizeOptions
    from impasto.options import VAEOptions as VAEOptions
    from impasto.rendering import iter_apply as iter_apply
    from impasto.rendering import load as load
    from impasto.reporting import write_report as write_report
    from impasto.sampling import iter_sample as iter_sample
    from impasto.smallsets import read_sets as read_sets
    from impasto.smallsets import small_set as small_set
    from impasto.stylization import iter_rerun as iter_rerun
    from impasto.stylization import iter_stylize as iter_stylize
    from impasto.stylization import stylize as stylize
    from impasto.teaching import iter_johnson as iter_johnson
    from impasto.teaching import iter_painter as iter_painter
    from impasto.teaching import iter_predictor as iter_predictor
    from impasto.teaching import iter_style as iter_style
    from impasto.translating import iter_cyclegan as iter_cyclegan
    from impasto.translating import iter_pix2pix as iter_pix2pix

_HOMES = {
    "ApplyOptions": "options",
    "AutoencoderOptions": "options",
    "ClassifierOptions": "options",
    "CompressOptions": "options",
    "CycleGANOptions": "options",
    "DCGANOptions": "options",
    "EvaluateOptions": "options",
    "GANOptions": "options",
    "ImpastoError": "errors",
    "JohnsonOptions": "options",
    "Pix2PixOptions": "options",
    "PredictorOptions": "options",
    "SampleOptions": "options",
    "StyleOptions": "options",
    "StylizeOptions": "options",
    "VAEOptions": "options",
    "iter_apply": "rendering",
    "iter_autoencoder": "learning",
    "iter_classifier": "learning",
    "iter_compare": "comparing",
    "iter_compress": "compression",
    "iter_cyclegan": "translating",
    "iter_dcgan": "learning",
    "iter_evaluate": "appraisal",
    "iter_gan": "learning",
    "iter_johnson": "teaching",
    "iter_optimize": "optimization",
    "iter_painter": "teaching",
    "iter_pix2pix": "translating",
    "iter_predictor": "teaching",
    "iter_rerun": "stylization",
    "iter_sample": "sampling",
    "iter_style": "teaching",
    "iter_stylize": "stylization",
    "iter_vae": "learning",
    "load": "rendering",
    "load_encoder": "checkpoints",
    "optimize": "optimization",
    "read_sets": "smallsets",
    "score": "measures",
    "small_set": "smallsets",
    "stylize": "stylization",
    "write_report": "reporting",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("impasto")
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(f"impasto.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
