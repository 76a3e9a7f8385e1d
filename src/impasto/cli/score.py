"""Command that scores a stylized picture against its photograph and style: `score`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from impasto.cli.app import app
from impasto.cli.output import DONE, Force, Talk
from impasto.cli.terminal import write_out, write_table

__all__ = ["GROUPS", "score"]

GROUPS = {  # title: field of `Score`: name, best value, what values mean
    "Style": {
        "style_loss": ("style loss", "0", "0 as the painting, 1 as a blank picture; mean of relu1_1 to relu4_1"),
        "style": ("{}", "0", "not in the mean: whoever copies motifs lowers it"),
        "stroke_energy": (
            "stroke energy",
            "1",
            "where the photograph is flat; 0 haze, 1 as the painting, above 1 more",
        ),
        "copied_share": ("copied share", "0", "0 to 1; motifs of the painting in place of the subject"),
    },
    "Subject": {
        "subject_kept": ("subject kept", "1", "edges of the photograph; 0 no more than in an unrelated picture, 1 all"),
        "content_loss": ("content loss", "0", "0 as the photograph, 1 as a blank picture"),
        "content": ("{}", "0", ""),
        "ssim": ("ssim", "1", "-1 to 1; structural similarity of luminances to the photograph"),
    },
    "Color": {
        "color_spread": ("color spread", "1", "of the painting's; below 1 drab, above 1 more colorful"),
        "lightness_spread": ("lightness spread", "1", "of the painting's; below 1 flat, above 1 more contrast"),
        "color_to_style": ("color to style", "0", "distance of the palettes, in Delta E; 2 is just visible"),
        "color_to_content": ("color to content", "0", "the same to the photograph"),
    },
    "Artifacts": {
        "grid_excess": (
            "grid excess",
            "0",
            "0 to 1; pattern of the pixel grid beyond the photograph's; 0.02 is visible",
        ),
        "grid": ("grid of {} px", "0", ""),
        "grid_of_content": ("grid of {} px, photograph", "", ""),
        "high_frequency_excess": ("high frequency excess", "0", "of fine detail; below 0 smoother than the painting"),
    },
}


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

    It prints each measure with its best value and what other values mean. Losses and color distances are 0 or more;
    copied share is 0 to 1, subject kept and grid about 0 to 1; stroke energy and spreads are ratios to the painting.

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
        write_table(("measure", "value", "best", "meaning"), _table(measured))
    if high_pass is not None:
        talk.results([high_pass_picture(result, high_pass, force=force)])
    return DONE


def _table(measured: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows: a title for each group, then its measures; of those by layer, the last has the meaning."""
    for number, (title, group) in enumerate(GROUPS.items()):
        if number:
            yield ("",) * 4
        yield title, "", "", ""
        for name, (words, best, meaning) in group.items():
            value = measured[name]
            if isinstance(value, dict):
                *others, last = value
                yield from ((f"  {words.format(key)}", f"{value[key]:.4f}", best, "") for key in others)
                yield f"  {words.format(last)}", f"{value[last]:.4f}", best, meaning
            else:
                yield f"  {words}", f"{value:.4f}", best, meaning
