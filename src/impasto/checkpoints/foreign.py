"""Networks of other programs that are recognized by their keys and cannot be used, with what to do."""

import re
from collections.abc import Collection

__all__ = ["foreign_network"]

_KNOWN = (  # a pattern of keys, and the rest of the sentence "FILE is"
    (
        r"model\d_1\.\d+\.",
        "pix2pixHD's local enhancer, which works at two sizes; expected its global generator, from --netG global.",
    ),
    (
        r"(Conv|Deconv)Block\.\d+\.(conv_layer|conv_transpose)\.",
        "a network of rrmina/fast-neural-style-pytorch, whose layers differ from those of pytorch/examples; apply it "
        "there, or train the style with `impasto train johnson`.",
    ),
    (
        r"block_a\.0\.1\.weight",
        "AnimeGANv2's generator, which normalizes layers and not channels; apply it with its own program.",
    ),
    (
        r"(en|de)coder\.convs\.\d+\.|convs\.\d+\.conv\.modulation\.",
        "a StyleGAN2 generator, as CUT has it for --netG stylegan2; expected a ResNet, from --netG resnet_9blocks.",
    ),
    (
        r"(down|up)[1-9]\.model\.\d+\.",
        "PyTorch-GAN's U-Net, whose layers have another order than those of the official pix2pix; apply it with its "
        "own program.",
    ),
    (
        r"encoder\.model\.0\.weight",
        "joliGEN's ResNet of a version whose first convolution does not pad, so that its pictures are smaller than "
        "those given; apply it with its own program.",
    ),
    (
        r"resnet_blocks\.\d+\.conv1\.|deconv1_(content|attention)\.",
        "joliGEN's ResNet with attention, which mixes several pictures by masks; apply it with its own program.",
    ),
)


def foreign_network(keys: Collection[str]) -> str:
    """Return which known network of another program has these keys, and what to do; "" if none has."""
    for pattern, what in _KNOWN:
        if any(re.match(rf"([\w.]+\.)?({pattern})", key) for key in keys):
            return what
    return ""
