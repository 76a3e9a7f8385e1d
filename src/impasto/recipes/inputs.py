"""Inputs that several training methods share: image sets, photographs, a style image, a multi-style network."""

from impasto.training.method import Input

__all__ = ["BASE", "DIGITS", "IMAGES", "LABELED", "PHOTOS", "STYLE"]

DIGITS = "mnist5k"  # 5,000 digits of MNIST that `pip install 'impasto[digits]'` brings
_SETS = "a folder of pictures of any size, an .npz file, or IDX files as MNIST comes in; by default 5,000 digits"
IMAGES = Input("images", _SETS, "images", required=False, default=DIGITS)
LABELED = Input(
    "images", f"{_SETS}; with labels: folders in a folder are classes", "images", required=False, default=DIGITS
)
STYLE = Input("style", "the style image: a file, or a name from `impasto styles`", "style")
PHOTOS = Input("photos", "folders of photographs of any size", "folders", many=True)
BASE = Input(
    "base",
    "the multi-style network: a name from `impasto models`, a file, or the folder of its training",
    "model",
    positional=False,
    required=False,
    default="painter",
)
