"""Command that scores a stylized picture against its photograph and style: `score`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from impasto.cli.app import app
from impasto.cli.output import DONE, Force, Talk, write_out, write_table

__all__ = ["score"]


@app.command(sort_key=4)
def score(
    result: Path,
    /,
    *,
    content: Path | None = None,
    style: tuple[str, ...] = (),
    encoder: str = "vgg19",
    high_pass: Path | None = None,
    force: Force = False,
    talk: Talk = Talk(),  # noqa: B008 - frozen
) -> int:
    """Score a stylized picture against its photograph and style images.

    Args:
        result: the stylized picture
        content: the photograph; by default the one in the settings that RESULT carries
        style: a style image, or a name from `impasto styles`; can be repeated; by default those in these settings
        encoder: network whose features are compared: a name from `impasto encoders`, or a file
        high_pass: file for the high-frequency part of the picture, which shows high-frequency noise
        force: overwrite existing files
        talk: output on the terminal
    """
    from impasto.api.score import high_pass_picture
    from impasto.api.score import score as measure

    measured = measure(result, content, list(style) or None, encoder=encoder).as_dict()
    if talk.json:
        write_out(json.dumps(measured) + "\n")
    elif not talk.quiet:
        write_table(("measure", "value", "best"), _measures(measured))
    if high_pass is not None:
        talk.results([high_pass_picture(result, high_pass, force=force)])
    return DONE


def _measures(measured: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    best = {"ssim": "1", "high_frequency_excess": "0"}
    for name, value in measured.items():
        if isinstance(value, dict):
            yield from ((f"{name} {layer}", f"{loss:.4f}", "0") for layer, loss in value.items())
        else:
            yield name.replace("_", " "), f"{value:.4f}", best.get(name, "0")
