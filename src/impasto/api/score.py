"""Measure a result against its photograph and style."""

from collections.abc import Sequence
from pathlib import Path

from impasto.api.embedded import embedded_record, embedded_source
from impasto.checkpoints.encoders import load_encoder
from impasto.data.styles import open_style
from impasto.io.convert import resize_picture_to
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.tensors import Source, as_pixels, as_tensor, open_picture
from impasto.metrics.style import Score, score
from impasto.ops.filters import high_pass

__all__ = ["high_pass_picture", "score_files"]


def score_files(
    result: Source, content: Source | None = None, styles: Sequence[Source] | None = None, *, encoder: str = "vgg19"
) -> Score:
    """Measure a result against its photograph and styles, by default those embedded in it.

    Raises:
        ImageError: neither given nor embedded, or not readable.
    """
    picture = open_picture(result)
    if content is None or not styles:
        record = embedded_record(result)
        content = content if content is not None else embedded_source(record["content"], "photograph", result)
        styles = styles or [embedded_source(origin, "style", result) for origin in record["styles"]]
    opened = [open_style(style, max(picture.pixels.shape[:2])) for style in styles]
    photograph = resize_picture_to(open_picture(content), *picture.pixels.shape[:2])
    return score(
        as_tensor(picture), as_tensor(photograph), [as_tensor(style) for style in opened], load_encoder(encoder)
    )


def high_pass_picture(picture: Source, output: str | Path, *, force: bool = False) -> Path:
    """Write what is finer than a pixel's blur, around grey and four times as strong, to look at."""
    detail = 0.5 + 4 * high_pass(as_tensor(open_picture(picture)))
    return save_picture(output, load_picture(as_pixels(detail.clamp(0, 1))), force=force)
