"""Files of other programs, built by hand: networks of plain torch modules, dictionaries around them, other files.

`python tests/layouts.py` prints the tables of docs/formats.md.
"""

import io
import pickle
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

WIDTH = 4


# --- ResNets -------------------------------------------------------------------------------------


def affine(channels):
    return nn.InstanceNorm2d(channels, affine=True)


class Block(nn.Module):
    """x + layers(x); the layers are called `name`."""

    def __init__(self, name, channels, norm, dropout, bias):
        super().__init__()
        layers = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), norm(channels)]
            layers += [] if last else [nn.ReLU(), *[nn.Dropout(0.5)] * dropout]
        self.name = name
        setattr(self, name, nn.Sequential(*layers))

    def forward(self, x):
        return x + getattr(self, self.name)(x)


def resnet_layers(
    norm=nn.InstanceNorm2d, block="conv_block", up="transposed", dropout=False, halvings=2, blocks=2, channels=3
):
    """Layers of the first half and of the second: down with the blocks, and up."""
    bias = norm is not nn.BatchNorm2d
    first = [nn.ReflectionPad2d(3), nn.Conv2d(channels, WIDTH, 7, bias=bias), norm(WIDTH), nn.ReLU()]
    wide = WIDTH
    for _ in range(halvings):
        first += [nn.Conv2d(wide, 2 * wide, 3, 2, 1, bias=bias), norm(2 * wide), nn.ReLU()]
        wide *= 2
    first += [Block(block, wide, norm, dropout, bias) for _ in range(blocks)]
    second = []
    for _ in range(halvings):
        if up == "nearest":
            second += [nn.Upsample(scale_factor=2), nn.Conv2d(wide, wide // 2, 3, 1, 1, bias=bias)]
        else:
            second += [nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, 1, bias=bias)]
        second += [norm(wide // 2), nn.ReLU()]
        wide //= 2
    return first, [*second, nn.ReflectionPad2d(3), nn.Conv2d(WIDTH, channels, 7), nn.Tanh()]


class ResNet(nn.Module):
    """A ResNet in one sequence of layers."""

    def __init__(self, **settings):
        super().__init__()
        first, second = resnet_layers(**settings)
        self.model = nn.Sequential(*first, *second)

    def forward(self, x):
        return self.model(x)


class Halves(nn.Module):
    """A ResNet as joliGEN has it: an encoder and a decoder."""

    def __init__(self, **settings):
        super().__init__()
        self.encoder, self.decoder = nn.Module(), nn.Module()
        first, second = resnet_layers(**settings)
        self.encoder.model, self.decoder.model = nn.Sequential(*first), nn.Sequential(*second)

    def forward(self, x):
        return self.decoder.model(self.encoder.model(x))


# --- U-Nets --------------------------------------------------------------------------------------


class Level(nn.Module):
    """One level of a U-Net: cat([x, layers(x)])."""

    def __init__(self, layers, outermost=False):
        super().__init__()
        self.model, self.outermost = nn.Sequential(*layers), outermost

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
    """pix2pix's U-Net of five halvings."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        bias, most = norm is not nn.BatchNorm2d, 8 * WIDTH
        up = [nn.ReLU(), nn.ConvTranspose2d(most, most, 4, 2, 1, bias=bias), norm(most)]
        level = Level([nn.LeakyReLU(0.2, True), nn.Conv2d(most, most, 4, 2, 1, bias=bias), *up])
        for wide in (most // 2, most // 4, most // 8):
            inner = 2 * wide
            down = [nn.LeakyReLU(0.2, True), nn.Conv2d(wide, inner, 4, 2, 1, bias=bias), norm(inner)]
            up = [nn.ReLU(), nn.ConvTranspose2d(2 * inner, wide, 4, 2, 1, bias=bias), norm(wide)]
            level = Level([*down, level, *up])
        outer = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=bias), level, nn.ReLU()]
        self.model = Level([*outer, nn.ConvTranspose2d(2 * WIDTH, 3, 4, 2, 1), nn.Tanh()], outermost=True)

    def forward(self, x):
        return self.model(x)


# --- the tables ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """A network of another program.

    Attributes:
        program: that writes such files.
        what: the network.
        keys: one of its keys, for people.
        network: makes it, of torch's own modules; None if only its keys are here.
        state: its state dict, if there is no network.
        side: of pictures that it takes.
    """

    program: str
    what: str
    keys: str
    network: Callable[[], nn.Module] | None = None
    state: Callable[[], dict[str, torch.Tensor]] | None = None
    side: int = 32

    def build(self, seed=0):
        """Return the network with weights that keep it alive, in evaluation mode."""
        torch.manual_seed(seed)
        network = self.network()
        for name, weight in network.named_parameters():
            with torch.no_grad():
                weight.normal_(0, (2 / weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.2)
                weight += float(weight.ndim == 1 and name.endswith("weight"))
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.2)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
        return network.eval()

    def content(self):
        return self.build().state_dict() if self.network else self.state()


def some(*keys, shape=(4, 3, 3, 3)):
    return lambda: {key: torch.zeros(shape) for key in keys}


LAYOUTS = (
    Layout("CycleGAN, pix2pix", "ResNet", "model.10.conv_block.5.weight", ResNet),
    Layout("CycleGAN, pix2pix", "ResNet, batch norm, dropout", "model.10.conv_block.6.weight",
           lambda: ResNet(norm=nn.BatchNorm2d, dropout=True)),
    Layout("pix2pix", "U-Net", "model.model.1.model.1.weight", UNet),
    Layout("pix2pix", "U-Net, instance norm", "model.model.0.bias", lambda: UNet(nn.InstanceNorm2d)),
    Layout("others", "U-Net, instance norm with gains", "model.model.1.model.2.weight", lambda: UNet(affine)),
    Layout("aitorzip/PyTorch-CycleGAN", "ResNet", "model.10.conv_block.5.weight", ResNet),
    Layout("PyTorch-GAN", "ResNet, transposed convolutions", "model.10.conv_block.5.weight", ResNet),
    Layout("PyTorch-GAN, older", "ResNet, upsampling", "model.10.block.5.weight",
           lambda: ResNet(block="block", up="nearest")),
    Layout("others", "ResNet, instance norm with gains", "model.10.block.6.weight",
           lambda: ResNet(block="block", norm=affine)),
    Layout("pix2pixHD", "global generator", "model.16.conv_block.5.weight", lambda: ResNet(halvings=4), side=64),
    Layout("joliGEN", "ResNet in two halves", "encoder.model.10.conv_block.5.weight", Halves),
    Layout("joliGEN", "ResNet without first padding", "encoder.model.0.weight",
           state=some("encoder.model.0.weight", "decoder.model.7.weight")),
    Layout("joliGEN", "ResNet with attention", "resnet_blocks.0.conv1.weight",
           state=some("conv1.weight", "resnet_blocks.0.conv1.weight", "deconv1_content.weight")),
    Layout("pix2pixHD", "local enhancer", "model1_1.1.weight", state=some("model.1.weight", "model1_1.1.weight")),
    Layout("CUT", "StyleGAN2 generator", "encoder.convs.1.0.weight",
           state=some("encoder.convs.1.0.weight", "decoder.convs.0.conv.weight")),
    Layout("PyTorch-GAN", "U-Net of pix2pix", "down1.model.0.weight",
           state=some("down1.model.0.weight", "up1.model.0.weight", "final.2.weight")),
    Layout("rrmina/fast-neural-style-pytorch", "transformer", "ConvBlock.0.conv_layer.weight",
           state=some("ConvBlock.0.conv_layer.weight", "DeconvBlock.0.conv_transpose.weight")),
    Layout("AnimeGANv2 for PyTorch", "generator", "block_a.0.1.weight", state=some("block_a.0.1.weight")),
    Layout("AdaIN", "decoder", "decoder.1.weight", state=some("decoder.1.weight", "decoder.5.weight")),
)  # fmt: skip


def official(seed=0):
    return LAYOUTS[0].build(seed).state_dict()


def prefixed(prefix, state):
    return {f"{prefix}.{key}": value for key, value in state.items()}


DISCRIMINATOR = {"model.0.weight": torch.zeros(4, 3, 4, 4), "model.2.weight": torch.zeros(8, 4, 4, 4)}
WRAPPERS: dict[str, Callable[[], Any]] = {  # what is around a ResNet of CycleGAN
    "{'state_dict': ...}": lambda: {"state_dict": official(), "epoch": 3},
    "{'model': ..., 'optimizer': ...}": lambda: {"model": official(), "optimizer": {"exp_avg": torch.ones(2)}},
    "module.KEY, of DataParallel": lambda: prefixed("module", official()),
    "_orig_mod.KEY, of torch.compile": lambda: prefixed("_orig_mod", official()),
    "{'netG': ..., 'netD': ...}": lambda: {"netG": official(), "netD": DISCRIMINATOR},
    "{'generator': ..., 'discriminator': ...}": lambda: {"generator": official(), "discriminator": DISCRIMINATOR},
    "{'G': {'module.KEY': ...}, 'D': ...}": lambda: {"G": prefixed("module", official()), "D": DISCRIMINATOR},
    "{'state_dict': {'netG.KEY': ..., 'netD.KEY': ...}}, of Lightning": lambda: {
        "state_dict": prefixed("netG", official()) | prefixed("netD", DISCRIMINATOR), "epoch": 1
    },
    "{'state_dict': {'model.KEY': ...}}, of Lightning": lambda: {"state_dict": prefixed("model", official())},
    "{'netG_A': ..., 'netG_B': ..., 'netD_A': ...}": lambda: {
        "netG_A": official(), "netG_B": official(1), "netD_A": DISCRIMINATOR
    },
    "{'params': ..., 'params_ema': ...}": lambda: {"params": official(), "params_ema": official(1)},
    "{'model': ..., 'ema': ...}": lambda: {"model": official(), "ema": official(1)},
    "{'netD': ...}": lambda: {"netD": DISCRIMINATOR, "netF": {"mlp_0.0.weight": torch.zeros(2, 2)}},
}  # fmt: skip


def save_script(file: io.BytesIO) -> None:
    with warnings.catch_warnings(action="ignore"):  # torch discourages TorchScript, but its files are around
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), file)


def in_bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


OTHERS: dict[str, Callable[[], bytes]] = {  # files that hold no weights
    "TorchScript, from torch.jit.save": lambda: in_bytes(save_script),
    "a whole network, from torch.save(network)": lambda: in_bytes(lambda file: torch.save(nn.Linear(2, 2), file)),
    "the same, in torch's old format": lambda: in_bytes(
        lambda file: torch.save(nn.Linear(2, 2), file, _use_new_zipfile_serialization=False)
    ),
    "any pickle": lambda: pickle.dumps({"a": 1}),
    "a pointer of Git LFS": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 45588424\n",
    "a web page": lambda: b"\n<!DOCTYPE html>\n<html><head><title>Google Drive - Virus scan warning</title>",
    "weights of Keras, HDF5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(600),
    "an empty file": lambda: b"",
}


def outcome(path: Path, content: object) -> str:
    """Return what loading a file gives, in words."""
    from impasto.errors import WeightsError
    from impasto.inference.load import load

    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    try:
        model = load(path, device="cpu", precision="float32")
    except WeightsError as error:
        return str(error).replace(str(path), "FILE")
    notes = "; ".join(model.notes).replace(path.name, "FILE")
    return f"loaded as {model.architecture}" + (f": {notes}" if notes else "")


def tables(folder: Path) -> str:
    """Return the tables of docs/formats.md."""
    file = folder / "FILE"
    lines = ["| program | network | such as | result |", "| --- | --- | --- | --- |"]
    lines += [f"| {one.program} | {one.what} | `{one.keys}` | {outcome(file, one.content())} |" for one in LAYOUTS]
    lines += ["", "| around the weights | result |", "| --- | --- |"]
    lines += [f"| `{name}` | {outcome(file, content())} |" for name, content in WRAPPERS.items()]
    lines += ["", "| another file | result |", "| --- | --- |"]
    lines += [f"| {name} | {outcome(file, content())} |" for name, content in OTHERS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as place:
        sys.stdout.write(tables(Path(place)))
