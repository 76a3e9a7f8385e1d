"""Score a stylized picture against its photograph and style images."""

from pathlib import Path
from typing import Any

from impasto.api.embedded import embedded_record, embedded_source, embedded_styles
from impasto.api.stylize import mixture
from impasto.checkpoints.encoders import load_encoder
from impasto.data.styles import open_style
from impasto.devices import with_own_defaults
from impasto.io.convert import resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.encode import check_target, save_picture
from impasto.io.tensors import Source, as_pixels, as_tensor, open_picture
from impasto.metrics.style import Score
from impasto.metrics.style import score as style_score
from impasto.ops.filters import high_pass

__all__ = ["high_pass_picture", "score"]


@with_own_defaults
def score(
    result: Source, content: Source | None = None, style: Source | list[Source] | None = None, *, encoder: Any = "vgg19"
) -> Score:
    """Score a stylized picture against its photograph and style images.

    Args:
        result: a path, PIL image, array or tensor in [0, 1].
        content: the photograph; by default the one in the settings that the result carries.
        style: one or a list of style images or names of `impasto styles`; by default those in these settings.
        encoder: the network whose features are compared: a name of `impasto encoders`, or a file.

    Returns:
        All measures, see `Score`: relative losses by layer, where 0 means equal and 1 no better than a blank picture;
        copied share, subject kept, stroke energy, spreads and distances of colors, grid, SSIM.

    Raises:
        ImageError: a picture cannot be read, or is neither given nor embedded.
    """
    picture = open_picture(result)
    styles = [] if style is None else mixture(style)[0]
    if content is None or not styles:
        record = embedded_record(result)
        content = content if content is not None else embedded_source(record["content"], "photograph", result)
        styles = styles or embedded_styles(record, result)
    opened = [open_style(style, max(picture.pixels.shape[:2])) for style in styles]
    photograph = resize_picture_to(open_picture(content), *picture.pixels.shape[:2])
    return style_score(
        as_tensor(picture), as_tensor(photograph), [as_tensor(style) for style in opened], load_encoder(encoder)
    )


def high_pass_picture(picture: Source, output: str | Path, *, force: bool = False) -> Path:
    """Write the high-frequency part of a picture, amplified four times around middle gray; return the file."""
    check_target(output, force)
    detail = 0.5 + 4 * high_pass(as_tensor(open_picture(picture)))
    return save_picture(output, load_picture(as_pixels(detail.clamp(0, 1))), force=force)
