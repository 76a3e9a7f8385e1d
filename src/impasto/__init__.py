"""Painting with neural networks, for people.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg", size=768).save("out.png")  # doctest: +SKIP

Names are loaded when they are first used, so that importing impasto does not import torch.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.api.apply import iter_apply as iter_apply
    from impasto.api.apply import load as load
    from impasto.api.appraisal import iter_evaluate as iter_evaluate
    from impasto.api.comparing import iter_compare as iter_compare
    from impasto.api.learning import iter_autoencoder as iter_autoencoder
    from impasto.api.learning import iter_classifier as iter_classifier
    from impasto.api.learning import iter_dcgan as iter_dcgan
    from impasto.api.learning import iter_gan as iter_gan
    from impasto.api.learning import iter_vae as iter_vae
    from impasto.api.rerun import iter_rerun as iter_rerun
    from impasto.api.stylize import iter_stylize as iter_stylize
    from impasto.api.stylize import stylize as stylize
    from impasto.api.teaching import iter_johnson as iter_johnson
    from impasto.api.teaching import iter_painter as iter_painter
    from impasto.api.teaching import iter_predictor as iter_predictor
    from impasto.api.teaching import iter_style as iter_style
    from impasto.api.translating import iter_cyclegan as iter_cyclegan
    from impasto.api.translating import iter_pix2pix as iter_pix2pix
    from impasto.checkpoints.encoders import load_encoder as load_encoder
    from impasto.data.arrays import read_sets as read_sets
    from impasto.data.arrays import small_set as small_set
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.evaluation.options import EvaluateOptions as EvaluateOptions
    from impasto.inference.options import ApplyOptions as ApplyOptions
    from impasto.inference.options import SampleOptions as SampleOptions
    from impasto.metrics.style import score as score
    from impasto.recipes.autoencoder.options import AutoencoderOptions as AutoencoderOptions
    from impasto.recipes.classifier.options import ClassifierOptions as ClassifierOptions
    from impasto.recipes.compact_encoder.options import CompressOptions as CompressOptions
    from impasto.recipes.compact_encoder.recipe import iter_compress as iter_compress
    from impasto.recipes.cyclegan.options import CycleGANOptions as CycleGANOptions
    from impasto.recipes.dcgan.options import DCGANOptions as DCGANOptions
    from impasto.recipes.gan.options import GANOptions as GANOptions
    from impasto.recipes.johnson.options import JohnsonOptions as JohnsonOptions
    from impasto.recipes.pix2pix.options import Pix2PixOptions as Pix2PixOptions
    from impasto.recipes.style_embedding.options import StyleOptions as StyleOptions
    from impasto.recipes.style_predictor.options import PredictorOptions as PredictorOptions
    from impasto.recipes.vae.options import VAEOptions as VAEOptions
    from impasto.reports.page import write_report as write_report
    from impasto.reports.sheets import iter_sample as iter_sample
    from impasto.style_transfer.optimize import iter_optimize as iter_optimize
    from impasto.style_transfer.optimize import optimize as optimize
    from impasto.style_transfer.options import StylizeOptions as StylizeOptions

_HOMES = {
    "ApplyOptions": "inference.options",
    "AutoencoderOptions": "recipes.autoencoder.options",
    "ClassifierOptions": "recipes.classifier.options",
    "CompressOptions": "recipes.compact_encoder.options",
    "CycleGANOptions": "recipes.cyclegan.options",
    "DCGANOptions": "recipes.dcgan.options",
    "EvaluateOptions": "evaluation.options",
    "GANOptions": "recipes.gan.options",
    "ImpastoError": "errors",
    "JohnsonOptions": "recipes.johnson.options",
    "Pix2PixOptions": "recipes.pix2pix.options",
    "PredictorOptions": "recipes.style_predictor.options",
    "SampleOptions": "inference.options",
    "StyleOptions": "recipes.style_embedding.options",
    "StylizeOptions": "style_transfer.options",
    "VAEOptions": "recipes.vae.options",
    "iter_apply": "api.apply",
    "iter_autoencoder": "api.learning",
    "iter_classifier": "api.learning",
    "iter_compare": "api.comparing",
    "iter_compress": "recipes.compact_encoder.recipe",
    "iter_cyclegan": "api.translating",
    "iter_dcgan": "api.learning",
    "iter_evaluate": "api.appraisal",
    "iter_gan": "api.learning",
    "iter_johnson": "api.teaching",
    "iter_optimize": "style_transfer.optimize",
    "iter_painter": "api.teaching",
    "iter_pix2pix": "api.translating",
    "iter_predictor": "api.teaching",
    "iter_rerun": "api.rerun",
    "iter_sample": "reports.sheets",
    "iter_style": "api.teaching",
    "iter_stylize": "api.stylize",
    "iter_vae": "api.learning",
    "load": "api.apply",
    "load_encoder": "checkpoints.encoders",
    "optimize": "style_transfer.optimize",
    "read_sets": "data.arrays",
    "score": "metrics.style",
    "small_set": "data.arrays",
    "stylize": "api.stylize",
    "write_report": "reports.page",
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
