"""Hash what the command line computes, before and after a change that must not change any of it.

    python benchmarks/unchanged.py record before.json --impasto .venv/bin/impasto --work build/before
    python benchmarks/unchanged.py record after.json --impasto .venv/bin/impasto --work build/after --only "apply*"
    python benchmarks/unchanged.py compare before.json after.json

Each case of `CASES` is a command, or several, that runs as a process of its own with torch on one thread. Hashed are
values, not names: of pictures and videos the decoded pixels, of .safetensors the tensors, of logs the losses, learning
rates and measures, of JSON the numbers. What depends on time, and what is only told, is left out. So flags, presets,
networks and files may be renamed meanwhile: words of the command line that changed go into `RENAMED`, a line each.

Both sides must be recorded on the same machine, with the same versions of what is installed. Run it with the Python of
the project's environment, with the extras train, video and digits. All of it takes about seven minutes of one core.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# --- what is run --------------------------------------------------------------------------------

# Words of the commands below that are called otherwise by now: {"--old-name": "--name", "--preset a": "--kind b"}.
RENAMED: dict[str, str] = {
    "--preset plain": "--preset vanilla",
    "--preset plane": "--preset points2d",
    "--judge-width": "--discriminator-width",
    "--judge-layers": "--discriminator-layers",
    "--usual": "--reference-paintings",
}

# Files of a case that are not hashed, since they depend on time, or only tell.
NOT = re.compile(r"/(previews|tensorboard)/|/preview\.jpg$|/options\.json$|/figures/(?!preview|sample_)")


@dataclass(frozen=True)
class Case:
    """What is run and hashed under a name.

    `{name}` in a command is the folder of the case of that name, which is run before; `{here}` is this case's own;
    others are files that `prepare` makes.

    Attributes:
        name: of the case, and of its folder.
        commands: what `impasto` is told, one after the other.
        stop: steps after which the command is interrupted; it is then run again with --resume.
        same: another case which must have the same hash.
        numbers: the numbers that it prints as JSON are hashed, too.
        tiled: it must paint in several tiles.
    """

    name: str
    commands: tuple[str, ...]
    stop: int = 0
    same: str = ""
    numbers: bool = False
    tiled: bool = False


def case(name: str, *commands: str, **more: Any) -> Case:
    """Return a case."""
    return Case(name, commands, **more)


PAINT = "stylize {coffee} swirl -o {here}/result.png --size 128"
SHORT = "--quality draft --steps 12"
SEVERAL = "--size 640 --quality draft --steps 3"
TIGHT, LOOSE = "--max-memory 790M", "--max-memory 450M"  # for pictures that are cut in tiles, and in strips
RUN = "-o {here}/run"
LEARN = f"{RUN} --steps 40"
WATCH = "--watch-steps 20 --watch-pictures 200"
JUDGED = "--classifier {train_classifier}/run"
DOMAINS = f"--a {{a}} --b {{b}} {RUN}"
TINY = "--steps 24 --watch-steps 12 --preset tiny --crop 32"
SQUARES = "--crop 32 --width 8 --judge-width 8 --judge-layers 1"
LOOK = f"{RUN} --crop 64"

CASES = (
    # pictures that are optimized
    case("stylize_draft", f"{PAINT} --quality draft"),
    case("stylize_good", "stylize {coffee} swirl -o {here}/result.png --size 256"),
    case("stylize_best", f"{PAINT} --quality best --steps 10"),
    case("stylize_gatys", f"{PAINT} --preset gatys --steps 8"),
    case("stylize_clone", f"{PAINT} --preset clone --steps 8"),
    case("stylize_tutorial", f"{PAINT} --preset tutorial --steps 8"),
    case("stylize_two_styles", f"{PAINT} {SHORT} --add-style {{painting}} --style-weights 2,1"),
    case("stylize_regions", f"{PAINT} {SHORT} --region {{left}} mosaic --region not:{{middle}} {{painting}}"),
    case("stylize_keep", f"{PAINT} {SHORT} --keep {{middle}}"),
    case("stylize_luminance", f"{PAINT} {SHORT} --colors luminance"),
    case("stylize_match", f"{PAINT} {SHORT} --colors match"),
    case("stylize_match_pca", f"{PAINT} {SHORT} --colors match --color-map pca"),
    case("stylize_match_cholesky", f"{PAINT} {SHORT} --colors match --color-map cholesky"),
    case("stylize_moments", f"{PAINT} {SHORT} --style-loss moments"),
    case("stylize_wasserstein", f"{PAINT} {SHORT} --style-loss wasserstein"),
    case("stylize_strength", f"{PAINT} {SHORT} --strength 0.5 --style-scale 1.5"),
    case("stylize_noise", f"{PAINT} {SHORT} --init noise --content-weight 0"),
    case("stylize_style_init", f"{PAINT} {SHORT} --init style --seed 3"),
    case("stylize_adam", f"{PAINT} {SHORT} --optimizer adam --learning-rate 0.02 --averaging 0.9"),
    case("stylize_tiles", f"stylize {{coffee}} swirl -o {{here}}/result.png {SEVERAL} {TIGHT}", tiled=True),
    case("stylize_sheet", f"{PAINT} --quality draft --steps 4 --contact-sheet"),
    case("stylize_whole", f"{PAINT} --quality draft --steps 40"),
    case("stylize_resumed", f"{PAINT} --quality draft --steps 40", stop=5, same="stylize_whole"),
    case("stylize_deep", f"stylize {{deep}} swirl -o {{here}}/result.png --size 128 {SHORT}"),
    case("stylize_tiff", f"stylize {{deep}} swirl -o {{here}}/result.tif --size 128 {SHORT}"),
    case("stylize_cmyk", f"stylize {{cmyk}} swirl:7 -o {{here}}/result.png --size 128 {SHORT}"),
    case("stylize_alpha", f"stylize {{alpha}} swirl -o {{here}}/result.png --size 128 {SHORT}"),
    case("rerun", "rerun {stylize_draft}/result.png -o {here}/result.png", same="stylize_draft"),
    case("rerun_changed", "rerun {stylize_two_styles}/result.png -o {here}/result.png --size 96 --style-weight 3"),
    case("score", "score {stylize_draft}/result.png --json --high-pass {here}/detail.png", numbers=True),
    case("styles", "styles --all --size 96 -o {here}/0", "styles --all --size 96 --seed 5 -o {here}/5"),
    # networks that paint at once
    case("apply_painter", "apply starry_night {coffee} -o {here}/result.png --size 256"),
    case("apply_mixture", "apply painter {coffee} -o {here}/result.png --style starry_night:0.6,great_wave:0.4"),
    case("apply_any", "apply painter {coffee} -o {here}/result.png --style {painting} --size 256"),
    case("apply_strength", "apply starry_night {coffee} -o {here}/result.png --strength 0.5"),
    case("apply_regions", "apply starry_night {coffee} -o {here}/result.png --region {left} great_wave "
         "--keep {middle}"),
    case("apply_luminance", "apply great_wave {alpha} -o {here}/result.png --colors luminance"),
    case("apply_strips", f"apply adele_bloch_bauer {{large}} -o {{here}}/result.png {LOOSE}"),
    case("apply_no_strips", "apply adele_bloch_bauer {large} -o {here}/result.png", same="apply_strips"),
    case("apply_float32", "apply starry_night {deep} -o {here}/result.png --precision float32"),
    case("apply_folder", "apply great_wave {few} -o {here}"),
    case("apply_trained", "apply {train_johnson}/run {coffee} -o {here}/result.png --size 256"),
    case("apply_trained_painter", "apply {train_painter}/run {coffee} -o {here}/result.png --size 256 --style mosaic"),
    case("apply_trained_style", "apply {train_style}/run {coffee} -o {here}/result.png --size 256"),
    case("apply_johnson", "apply {networks}/johnson.pth {photo} -o {here}/result.png --strength 0.8"),
    case("apply_lengstrom", "apply {networks}/lengstrom {photo} -o {here}/result.png"),
    case("apply_microast", "apply {networks}/microast {photo} -o {here}/result.png --style {painting} --strength 0.7"),
    case("apply_resnet", "apply {networks}/resnet.pth {photo} -o {here}/result.png"),
    case("apply_resnet_strips", f"apply {{networks}}/resnet.pth {{large}} -o {{here}}/result.png {LOOSE}"),
    case("apply_cut", "apply {networks}/cut.pth {photo} -o {here}/result.png"),
    case("apply_unet", "apply {networks}/unet.pth {photo} -o {here}/result.png"),
    case("apply_unet_paper", "apply {networks}/unet.pth {photo} -o {here}/result.png --mode paper"),
    case("apply_cyclegan_back", "apply {train_cyclegan}/run/model-back.safetensors {photo} -o {here}/result.png"),
    case("apply_pix2pix", "apply {train_pix2pix}/run {photo} -o {here}/result.png"),
    case("apply_video", "apply starry_night {clip} -o {here}/result.mp4"),
    case("apply_video_frames", "apply {networks}/johnson.pth {clip} -o {here}/result.mp4 --statistics frame"),
    case("models_add", "models --add {train_painter}/run --name own --precision int8 -o {here}"),
    # networks that learn to paint
    case("train_johnson", f"train johnson swirl {{photos}} {LOOK} --steps 12"),
    case("train_johnson_paper", f"train johnson swirl {{photos}} {LOOK} --steps 3 --preset paper --width 8 --batch 2"),
    case("train_painter", f"train painter {{styles}}/0 {{photos}} {LOOK} --steps 12"),
    case("train_style", f"train style {{painting}} {LOOK} --steps 12"),
    case("train_style_photos", f"train style swirl {{photos}} {LOOK} --steps 4"),
    case("train_predictor", f"train predictor {{styles}} {{photos}} {LOOK} --steps 12 --usual 8 --width 16"),
    case("train_encoder", "train encoder {photos} {styles}/0 -o {here}/encoder.safetensors --pictures 12 --size 64"),
    # networks of small pictures
    case("train_autoencoder", f"train autoencoder {LEARN}"),
    case("train_autoencoder_conv", f"train autoencoder {{photos}} {LEARN} --network conv --width 8 --loss bce"),
    case("train_denoising", f"train autoencoder {LEARN} --noise 0.3"),
    case("train_vae", f"train vae {LEARN}"),
    case("train_vae_conditional", f"train vae {LEARN} --conditional --targets dynamic --importance-samples 10"),
    case("train_classifier", f"train classifier {RUN} --steps 150"),
    case("train_gan", f"train gan {LEARN} {WATCH}"),
    case("train_gan_conditional", f"train gan {LEARN} {WATCH} {JUDGED} --conditional"),
    case("train_gan_plain", f"train gan {LEARN} {WATCH} {JUDGED} --preset plain"),
    case("train_gan_folder", f"train gan {{a}} {LEARN} {WATCH} --augment color,translation --spectral-norm"),
    case("train_gan_resumed", f"train gan {LEARN} {WATCH}", stop=15, same="train_gan"),
    case("train_gan_ring", f"train gan ring {LEARN} {WATCH} --preset plane"),
    case("train_gan_grid", f"train gan grid {LEARN} {WATCH} --preset plane"),
    case("train_dcgan", f"train dcgan {RUN} --steps 20 {WATCH} {JUDGED}"),
    case("train_dcgan_paper", f"train dcgan {RUN} --steps 4 --watch-steps 0 --preset paper --width 8 --conditional"),
    # networks that translate
    case("train_cyclegan", f"train cyclegan {DOMAINS} {TINY}"),
    case("train_cyclegan_resumed", f"train cyclegan {DOMAINS} {TINY}", stop=8, same="train_cyclegan"),
    case("train_cyclegan_small", f"train cyclegan {DOMAINS} --steps 10 --watch-steps 0 {SQUARES} --pool 4"),
    case("train_cut", f"train cyclegan {DOMAINS} --steps 10 --watch-steps 5 {SQUARES} --method cut"),
    case("train_fastcut", f"train cyclegan {DOMAINS} --steps 10 --watch-steps 0 {SQUARES} --method fastcut"),
    case("train_pix2pix", f"train pix2pix --pairs {{pairs}} {RUN} --steps 20 --watch-steps 10 {SQUARES}"),
    case("train_pix2pix_tiny", "train pix2pix --a {a} --b {b} -o {here}/run --steps 4 --watch-steps 2 --preset tiny "
         "--crop 64 --direction b-to-a --gan lsgan"),
    # what they show, and how well they do
    case("sample_autoencoder", "sample {train_autoencoder}/run --kind all -o {here}/all"),
    case("sample_vae", "sample {train_vae}/run --kind all -o {here}/all --seed 2"),
    case("sample_vae_conditional", "sample {train_vae_conditional}/run --kind all -o {here}/all"),
    case("sample_gan", "sample {train_gan}/run --kind all -o {here}/all"),
    case("sample_gan_conditional", "sample {train_gan_conditional}/run -o {here}/grid.png --classes 3,5"),
    case("sample_dcgan", "sample {train_dcgan}/run -o {here}/lines.png --kind interpolation --path linear --rows 3"),
    case("evaluate_vae", f"evaluate {{train_vae}}/run -o {{here}}/found.json --count 300 {JUDGED}"),
    case("evaluate_gan", "evaluate {train_gan}/run -o {here}/found.json --count 300"),
    case("evaluate_gan_conditional", "evaluate {train_gan_conditional}/run -o {here}/found.json --count 300 "
         f"{JUDGED}"),
    case("evaluate_gan_pixels", "evaluate {train_gan_folder}/run -o {here}/found.json --count 50"),
    case("evaluate_cyclegan", "evaluate {train_cyclegan}/run --a {a} --b {b} -o {here}/found.json "
         "--classifier-steps 40"),
    case("evaluate_pix2pix", "evaluate {train_pix2pix}/run --pairs {pairs} -o {here}/found.json"),
)  # fmt: skip

# --- what it is run on --------------------------------------------------------------------------


def photograph(name: str, width: int, height: int) -> NDArray[np.uint8]:
    """Return an example, squeezed to a size, `(H, W, 3)`."""
    with Image.open(EXAMPLES / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


def write(path: Path, pixels: NDArray[Any], **more: Any) -> Path:
    """Write a picture by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **more)
    return path


def write_deep(path: Path, pixels: NDArray[np.uint16]) -> Path:
    """Write a picture `(H, W, 3)` with 16 bits per channel."""
    output = oiio.ImageOutput.create(str(path))
    output.open(str(path), oiio.ImageSpec(pixels.shape[1], pixels.shape[0], 3, "uint16"))
    output.write_image(pixels)
    output.close()
    return path


def write_clip(path: Path) -> Path:
    """Write a video of 8 frames in which a camera moves to the right.

    Sides are multiples of 16, for of others libx264 does not always write the same.
    """
    wide = photograph("coffee", 160, 96)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide[:, 4 * number : 4 * number + 128]), "rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def crops(count: int, side: int) -> Iterator[NDArray[np.uint8]]:
    """Yield squares of the examples, always the same ones."""
    random = np.random.default_rng(0)
    known = [photograph(name, 320, 240) for name in ("astronaut", "cat", "coffee", "rocket")]
    for number in range(count):
        top, left = random.integers(0, 240 - side), random.integers(0, 320 - side)
        yield known[number % 4][top : top + side, left : left + side]


def prepare(folder: Path) -> dict[str, Path]:
    """Make the pictures, a video and networks of other tools in a folder; return where each is."""
    coffee = photograph("coffee", 300, 200)
    y, x = np.mgrid[0:200, 0:300]
    turned = Image.Exif()
    turned[0x0112] = 6
    ring = (255 * np.clip(2 - np.hypot((x - 150) / 75, (y - 100) / 50), 0, 1)).astype(np.uint8)
    for number, square in enumerate(crops(60, 72)):
        name = f"{number:02}.png"
        write(folder / "a" / name, square)
        write(folder / "b" / name, (255 - square[::-1] // 2)[..., [1, 2, 0]])
        write(folder / "pairs" / name, np.concatenate([square, 255 - square], 1))
    for number, square in enumerate(crops(16, 112)):
        write(folder / "photos" / f"{number:02}.png", square)
    for number, square in enumerate(crops(3, 90)):
        write(folder / "few" / f"{number}.jpg", square)
    foreign_networks(folder / "networks")
    cmyk = folder / "cmyk.jpg"
    Image.fromarray(coffee).convert("CMYK").save(cmyk, exif=turned, quality=95)
    return {
        **{name: folder / name for name in ("a", "b", "pairs", "photos", "few", "networks")},
        "coffee": write(folder / "coffee.png", coffee),
        "photo": write(folder / "photo.png", photograph("cat", 150, 101)),
        "large": write(folder / "large.png", photograph("astronaut", 900, 1300)),
        "painting": write(folder / "painting.png", photograph("rocket", 160, 120)[..., ::-1]),
        "left": write(folder / "left.png", np.where(x < 150, 255, 0).astype(np.uint8)),
        "middle": write(folder / "middle.png", ring),
        "alpha": write(folder / "alpha.png", np.dstack([coffee, ring])),
        "deep": write_deep(
            folder / "deep.png", coffee.astype(np.uint16) * 256 + (x[..., None] % 256).astype(np.uint16)
        ),
        "cmyk": cmyk,
        "clip": write_clip(folder / "clip.mp4"),
    }


# --- networks of other tools, by the layouts of their files ---------------------------------------

Shapes = dict[str, tuple[int, ...]]


def weights(shapes: Shapes, seed: int) -> dict[str, Tensor]:
    """Return random weights that keep activations alive."""
    random = torch.Generator().manual_seed(seed)
    found = {}
    for key, shape in shapes.items():
        noise, one = torch.randn(shape, generator=random), key.endswith(("weight", "scale", "running_var"))
        if key.endswith(".filt"):
            taps = torch.tensor([1.0, 2.0, 1.0] if shape[-1] == 3 else [1.0, 3.0, 3.0, 1.0])
            noise = (torch.outer(taps, taps) / taps.sum() ** 2 * (1 if shape[-1] == 3 else 4)).expand(shape)
        elif len(shape) > 1:
            noise *= (2 / noise[0].numel()) ** 0.5
        else:
            noise = (noise * 0.2 + one).abs() if key.endswith("var") else noise * 0.2 + one
        found[key] = noise.contiguous()
    return found


def johnson(width: int, blocks: int) -> Shapes:
    """Return the layout of pytorch/examples."""
    w = width
    layers = [("conv1", "in1", 3, w, 9), ("conv2", "in2", w, 2 * w, 3), ("conv3", "in3", 2 * w, 4 * w, 3)]
    for block in range(1, blocks + 1):
        layers += [(f"res{block}.conv{half}", f"res{block}.in{half}", 4 * w, 4 * w, 3) for half in (1, 2)]
    layers += [("deconv1", "in4", 4 * w, 2 * w, 3), ("deconv2", "in5", 2 * w, w, 3), ("deconv3", "", w, 3, 9)]
    found: Shapes = {}
    for conv, norm, channels, out, side in layers:
        found |= {f"{conv}.conv2d.weight": (out, channels, side, side), f"{conv}.conv2d.bias": (out,)}
        found |= {f"{norm}.weight": (out,), f"{norm}.bias": (out,)} if norm else {}
    return found


def lengstrom() -> list[tuple[int, ...]]:
    """Return the shapes of the 48 blobs of lengstrom/fast-style-transfer: weights, shift and scale of each layer."""
    sides = [(9, 3, 32), (3, 32, 64), (3, 64, 128), *[(3, 128, 128)] * 10, (3, 64, 128), (3, 32, 64), (9, 32, 3)]
    found: list[tuple[int, ...]] = []
    for index, (side, first, second) in enumerate(sides):
        out = first if index in (13, 14) else second  # of transposed convolutions
        found += [(side, side, first, second), (out,), (out,)]
    return found


def microast() -> dict[str, Shapes]:
    """Return the layouts of MicroAST's four files."""
    w = 16

    def conv(key: str, channels: int, out: int, side: int, groups: int = 1) -> Shapes:
        return {
            f"{key}.conv_layer.weight": (out, channels // groups, side, side),
            f"{key}.conv_layer.bias": (out,),
        }

    def block(key: str) -> Shapes:
        return conv(f"{key}.conv1", 4 * w, 4 * w, 3) | conv(f"{key}.conv2", 4 * w, 4 * w, 3)

    encoder = conv("enc1.0", 3, w, 9) | conv("enc1.2", w, 2 * w, 3, w) | conv("enc1.4", 2 * w, 2 * w, 1)
    encoder |= conv("enc1.6", 2 * w, 4 * w, 3, 2 * w) | conv("enc1.8", 4 * w, 4 * w, 1)
    encoder |= block("enc1.10") | block("enc2.0")
    modulator: Shapes = {}
    for name in ("weight1", "bias1", "weight2", "bias2"):
        modulator |= conv(f"{name}.0", 4 * w, 4 * w, 3, 4 * w)
    decoder = block("dec1") | block("dec2") | conv("dec3.1", 4 * w, 2 * w, 3, 2 * w) | conv("dec3.3", 2 * w, 2 * w, 1)
    decoder |= conv("dec3.6", 2 * w, w, 3, w) | conv("dec3.8", w, w, 1) | conv("dec3.10", w, 3, 9)
    return {"content_encoder": encoder, "style_encoder": encoder, "modulator": modulator, "decoder": decoder}


def resnet(width: int, blocks: int, *, cut: bool) -> Shapes:
    """Return the layout of the generators of CycleGAN, or of CUT, with instance norms."""
    found: Shapes = {}
    index = 1

    def conv(key: str, *shape: int, out: int) -> None:
        found.update({f"{key}.weight": shape, f"{key}.bias": (out,)})

    conv("model.1", width, 3, 7, 7, out=width)
    index = 4
    for wide in (2 * width, 4 * width):
        conv(f"model.{index}", wide, wide // 2, 3, 3, out=wide)
        index += 3
        if cut:
            found[f"model.{index}.filt"] = (wide, 1, 3, 3)
            index += 1
    for _ in range(blocks):
        for place in (1, 5):
            conv(f"model.{index}.conv_block.{place}", 4 * width, 4 * width, 3, 3, out=4 * width)
        index += 1
    for wide in (4 * width, 2 * width):
        if cut:
            found[f"model.{index}.filt"] = (wide, 1, 4, 4)
            index += 1
            conv(f"model.{index}", wide // 2, wide, 3, 3, out=wide // 2)
        else:
            conv(f"model.{index}", wide, wide // 2, 3, 3, out=wide // 2)
        index += 3
    conv(f"model.{index + 1}", 3, width, 7, 7, out=3)
    return found


def unet(width: int, downs: int) -> Shapes:
    """Return the layout of pix2pix' generator with batch norms."""
    found: Shapes = {"model.model.0.weight": (width, 3, 4, 4)}
    channels = [width * min(8, 2**depth) for depth in range(downs)]

    def norm(key: str, count: int) -> None:
        found.update({f"{key}.{name}": (count,) for name in ("weight", "bias", "running_mean", "running_var")})

    for depth in range(1, downs):
        key, outer, inner = "model.model.1" + ".model.3" * (depth - 1) + ".model", channels[depth - 1], channels[depth]
        found[f"{key}.1.weight"] = (inner, outer, 4, 4)
        innermost = depth == downs - 1
        if not innermost:
            norm(f"{key}.2", inner)
        up = 3 if innermost else 5
        found[f"{key}.{up}.weight"] = (inner if innermost else 2 * inner, outer, 4, 4)
        norm(f"{key}.{up + 1}", outer)
    return found | {"model.model.3.weight": (2 * width, 3, 4, 4), "model.model.3.bias": (3,)}


def foreign_networks(folder: Path) -> None:
    """Write networks with random weights in the layouts of other tools."""
    for name in ("lengstrom", "microast"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    painter = weights(johnson(8, 2), 1)
    painter["deconv3.conv2d.weight"] *= 60  # about as bright as photographs
    painter["deconv3.conv2d.bias"] += 127
    torch.save(painter, folder / "johnson.pth")
    for number, shape in enumerate(lengstrom()):
        key = ("weight", "shift", "scale")[number % 3]
        values = weights({key: shape}, 100 + number)[key]
        (folder / "lengstrom" / (f"Variable_{number}" if number else "Variable")).write_bytes(values.numpy().tobytes())
    for number, (part, shapes) in enumerate(microast().items()):
        state = weights(shapes, 200 + number)
        if part == "decoder":
            state["dec3.10.conv_layer.weight"] *= 0.1
            state["dec3.10.conv_layer.bias"] += 0.5
        torch.save(state, folder / "microast" / f"{part}_iter_160000.pth.tar")
    torch.save(weights(resnet(8, 4, cut=False), 2), folder / "resnet.pth")
    torch.save(weights(resnet(8, 4, cut=True), 3), folder / "cut.pth")
    torch.save(weights(unet(4, 5), 4), folder / "unet.pth")


# --- hashes ---------------------------------------------------------------------------------------

TIMES = ("seconds", "remaining", "pace", "images_per_second", "time")
LOGGED = ("losses", "learning_rate", "measures")  # of a line of a log
RESULTS = "results"  # in the header of a model
SETTINGS = ("options", "settings", "format", "version", "step", "sha256")


def digest(*parts: object) -> str:
    """Return the hash of bytes, and of what else there is as text."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else repr(part).encode())
    return found.hexdigest()


def of_picture(path: Path) -> str:
    """Hash what a picture's file holds, to the last of 16 bits; of a moving one all pictures."""
    with Image.open(path) as image:
        mode, moving = image.mode, getattr(image, "n_frames", 1) > 1
        if moving or path.suffix not in (".png", ".tif"):
            frames = []
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                frames += [np.asarray(image).tobytes(), np.asarray(image).shape]
            return digest(mode, *frames)
    asked = oiio.ImageSpec()
    asked["oiio:UnassociatedAlpha"] = 1
    opened = oiio.ImageInput.open(str(path), asked)
    pixels = opened.read_image(opened.spec().format)
    opened.close()
    return digest(mode, pixels.shape, str(pixels.dtype), pixels.tobytes())


def of_video(path: Path) -> str:
    """Hash all frames, and when they are shown."""
    parts: list[object] = []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            parts += [frame.to_ndarray().tobytes(), frame.format.name, frame.width, frame.height, frame.time]
    return digest(*parts)


def of_tensors(path: Path) -> str:
    """Hash the tensors of a file, and the results that are told in its header, whatever their names."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    told = json.loads(header.pop("__metadata__", {}).get("impasto", "{}"))
    found = []
    for tensor in header.values():
        begin, end = tensor["data_offsets"]
        found.append(digest(tensor["dtype"], tensor["shape"], data[begin:end]))
    return digest(sorted(found), numbers(told.get(RESULTS)))


def of_log(path: Path) -> str:
    """Hash the losses, learning rates and measures of each line."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return digest([[line["step"], numbers([line.get(name) for name in LOGGED])] for line in lines])


def numbers(told: object) -> list[str]:
    """Return all numbers in what JSON can hold, sorted, but those of times and settings."""
    if isinstance(told, Mapping):
        told = [value for key, value in told.items() if key not in (*TIMES, *SETTINGS)]
    if isinstance(told, list):
        return sorted(number for value in told for number in numbers(value))
    return [repr(told)] if isinstance(told, int | float) else []


HASHES: Mapping[str, Callable[[Path], str]] = {
    **dict.fromkeys((".png", ".jpg", ".webp", ".tif"), of_picture),
    ".mp4": of_video,
    ".safetensors": of_tensors,
    ".jsonl": of_log,
    ".json": lambda path: digest(numbers(json.loads(path.read_text()))),
}


def hashed(folder: Path) -> dict[str, str]:
    """Return the hash of each file of a case that counts, by its path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.suffix in HASHES and not NOT.search(f"/{name}"):
            found[name] = HASHES[path.suffix](path)
    return found


# --- running --------------------------------------------------------------------------------------


def renamed(command: str) -> str:
    """Return a command with the words that are in use now."""
    for old, new in RENAMED.items():
        command = re.sub(rf"(?<!\S){re.escape(old)}(?!\S)", new, command)
    return command


def needed(one: Case) -> list[str]:
    """Return the cases whose results a case needs."""
    known = {other.name for other in CASES}
    return [name for name in re.findall(r"{(\w+)}", " ".join(one.commands)) if name in known]


def ordered(names: Sequence[str]) -> list[Case]:
    """Return the cases that patterns name, each after those that it needs."""
    known = {one.name: one for one in CASES}
    found: dict[str, Case] = {}

    def add(one: Case) -> None:
        for name in needed(one):
            add(known[name])
        found.setdefault(one.name, one)

    for one in CASES:
        if any(fnmatch(one.name, pattern) for pattern in names):
            add(one)
    return list(found.values())


def is_step(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a step of the optimization or training itself, not of a classifier before it."""
    return event.get("event") in ("step", "trained") and event.get("phase") != "fit"


def told(program: Path, words: Sequence[str], folder: Path, stop: int = 0) -> str:
    """Run the command to its end; return what it printed.

    Args:
        program: the command `impasto`.
        words: its arguments.
        folder: where it runs.
        stop: steps after which it is interrupted as by Ctrl-C.

    Raises:
        SystemExit: it failed, or was too quick to be interrupted.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "IMPASTO_HOME": str(folder.parent / ".home")}
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen(
            [str(program), *words], stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder, env=environment
        )
        assert process.stdout is not None
        lines, steps, stopped = [], 0, False
        for line in process.stdout:
            lines.append(line)
            steps += bool(stop) and is_step(json.loads(line))
            if stop and steps == stop:
                process.send_signal(signal.SIGINT)
                stop, stopped = 0, True
        code = process.wait()
    if stop or code != (130 if stopped else 0):
        said = (folder / "stderr.txt").read_text()
        raise SystemExit(f"exit code {code}: impasto {shlex.join(words)}\n{said}")
    return "".join(lines)


def run(one: Case, program: Path, work: Path, places: Mapping[str, Path]) -> dict[str, Any]:
    """Run a case; return its hashes and seconds."""
    folder = work / one.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = {**{name: work / name for name in needed(one)}, **places, "here": folder}
    parts: dict[str, str] = {}
    tiles: list[int] = []
    begun = time.perf_counter()
    for command in one.commands:
        words = [word.format(**names) for word in shlex.split(renamed(command))]
        if one.stop:
            told(program, [*words, "--json"], folder, one.stop)
            words += [renamed("--resume")]
        if one.tiled:
            events = [json.loads(line) for line in told(program, [*words, "--json"], folder).splitlines()]
            (started,) = (event for event in events if event.get("tiles"))
            tiles = started["tiles"]
            if max(tiles) < 2:
                raise SystemExit(f"{one.name} was painted whole, in {started['memory'] / 1e6:.0f} MB.")
            continue
        printed = told(program, words, folder)
        if one.numbers:
            parts["printed"] = digest(numbers(json.loads(printed.splitlines()[0])))
    seconds = round(time.perf_counter() - begun, 1)
    parts |= hashed(folder)
    found = {"hash": digest(sorted(parts.values())), "parts": parts, "seconds": seconds}
    return found | ({"tiles": tiles} if tiles else {})


def record(out: Path, program: Path, work: Path, names: Sequence[str]) -> int:
    """Run cases and write their hashes; return an exit code, 1 if one failed or is not the same as it should be."""
    work.mkdir(parents=True, exist_ok=True)
    places = prepare(work / "data")
    found: dict[str, dict[str, Any]] = {}
    wrong = 0
    for one in ordered(names):
        try:
            found[one.name] = run(one, program, work, places)
        except SystemExit as error:
            print(f"{one.name} failed: {error}", flush=True)
            wrong = 1
            continue
        print(f"{one.name:28}{found[one.name]['seconds']:7.1f} s  {found[one.name]['hash'][:16]}", flush=True)
        out.write_text(json.dumps(found, indent=1) + "\n")
    for one in CASES:
        pair = [found.get(name) for name in (one.name, one.same)]
        if all(pair) and len({side["hash"] for side in pair if side}) > 1:
            print(f"{one.name} differs from {one.same}, and should be the same")
            wrong = 1
    print(f"{len(found)} cases in {sum(one['seconds'] for one in found.values()):.0f} s: {out}")
    return wrong


def compare(before: Path, after: Path) -> int:
    """Print what is equal, differs or is missing; return 1 if anything differs."""
    old, new = json.loads(before.read_text()), json.loads(after.read_text())
    counts = dict.fromkeys(("equal", "differs", "missing"), 0)
    for name in dict.fromkeys([*old, *new]):
        one, other = old.get(name), new.get(name)
        verdict = "missing" if not one or not other else "equal" if one["hash"] == other["hash"] else "differs"
        counts[verdict] += 1
        parts = []
        if verdict == "differs":
            names = dict.fromkeys([*one["parts"], *other["parts"]])
            parts = [part for part in names if one["parts"].get(part) != other["parts"].get(part)]
        print(f"{verdict:8} {name}", *(f"({', '.join(parts)})" for _ in parts[:1]))
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return int(counts["differs"] > 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Record or compare, and return an exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("record", help="run the cases and write their hashes")
    one.add_argument("out", type=Path)
    one.add_argument("--impasto", type=Path, required=True, help="the command to run")
    one.add_argument("--work", type=Path, default=Path("build/unchanged"), help="folder for everything")
    one.add_argument("--only", nargs="+", default=["*"], metavar="NAME", help="cases, as apply_painter or train_*")
    two = commands.add_parser("compare", help="compare the hashes of two records")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "compare":
        return compare(options.before, options.after)
    return record(options.out, options.impasto.absolute(), options.work.absolute(), options.only)


if __name__ == "__main__":
    sys.exit(main())
