"""CycleGAN: unpaired translation, by cycle consistency or by contrastive learning (CUT)."""

from impasto.recipes.cyclegan.options import CycleGANOptions
from impasto.training.method import Input, Method

__all__ = ["METHODS"]

METHODS = (
    Method(
        name="cyclegan",
        summary="Train translators between two domains A and B, without pairs (CycleGAN, CUT, FastCUT).",
        inputs=(
            Input("a", "a folder of pictures of domain A, of any size", "folders", positional=False, many=True),
            Input("b", "a folder of pictures of domain B", "folders", positional=False, many=True),
        ),
        options=CycleGANOptions,
        recipe="impasto.recipes.cyclegan.recipe:CycleGAN",
        details="On a CPU, start with `--preset tiny`. The file from A to B is model.safetensors, that "
        "from B to A is model-back.safetensors.",
        example="cyclegan --a photos/ --b monets/ --budget 8h",
        result="translator",
    ),
)
