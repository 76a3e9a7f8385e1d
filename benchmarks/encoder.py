"""Compare a compact encoder with VGG-19, from which it was compressed, on held-out pictures.

    python benchmarks/encoder.py --size 512 --out build/encoder
    python benchmarks/encoder.py mine.safetensors --pairs photo.jpg painting.jpg other.jpg swirl:3

Each pair is painted twice with the same settings, once with each network, and VGG-19 evaluates both. The
script writes `report.txt` (also printed), `results.json` and `sheet.png`.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from against_pastiche import Pair, plain, prepare, read_pairs, tensor

from impasto.checkpoints.encoders import load_encoder
from impasto.errors import ImpastoError
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.sheets import picture_sheet
from impasto.recipes.compact_encoder.recipe import LAYERS_ALIKE, Comparison, evaluate


def table(found: Sequence[tuple[Pair, Comparison]]) -> str:
    """Return VGG-19's losses of both paintings of every pair, and their times."""
    lines = [
        f"{'pair':44s}  {'style, VGG-19':>13s}  {'compact':>8s}  {'content, VGG-19':>15s}  {'compact':>8s}  faster"
    ]
    for pair, result in found:
        theirs, ours = result.by_teacher, result.by_student
        lines.append(
            f"{pair.name:44s}  {theirs.style_loss:13.4f}  {ours.style_loss:8.4f}  {theirs.content_loss:15.3f}  "
            f"{ours.content_loss:8.3f}  {result.teacher_seconds / result.student_seconds:5.1f}x"
        )
    return "\n".join(lines)


def means(found: Sequence[tuple[Pair, Comparison]]) -> str:
    """Return the means over pairs of what is measured by layer and by place."""
    words = {
        "missed": "missed fraction of the features' energy, by layer",
        "gradient": "cosine of the gradients on pixels, by picture (1 is the same direction)",
    }
    lines = []
    for name, text in words.items():
        rows = [getattr(result, name) for _, result in found]
        values = ", ".join(f"{key} {statistics.mean(row[key] for row in rows):.3f}" for key in rows[0])
        lines.append(f"{text}:\n  {values}")
    return "\n".join(lines)


def draw_sheet(found: Sequence[tuple[Pair, Comparison]], path: Path) -> None:
    """Lay out photograph, style and both paintings, a row per pair."""
    rows = [
        [load_picture(pair.content).pixels, load_picture(pair.style).pixels]
        + [picture[0].permute(1, 2, 0).numpy() for picture in result.pictures]
        for pair, result in found
    ]
    columns = ["content", "style", "VGG-19", "compact"]
    pixels = picture_sheet(rows, row_labels=[pair.name for pair, _ in found], column_labels=columns)
    save_picture(path, load_picture(pixels), force=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", nargs="?", default="compact", help="a name or a file (default compact)")
    parser.add_argument("--pairs", nargs="+", default=[], metavar="PICTURE", help="CONTENT STYLE ..., or a text file")
    parser.add_argument("--size", type=int, default=512, help="longer side (default 512)")
    parser.add_argument("--out", type=Path, default=Path("build/encoder"), help="folder (default build/encoder)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    student = load_encoder(options.encoder, padding="replicate")
    teacher = load_encoder("vgg19", padding="replicate")
    settings = LAYERS_ALIKE.changed(size=options.size, polish=0)
    found: list[tuple[Pair, Comparison]] = []
    for content, style in read_pairs(options.pairs):
        pair = prepare(content, style, options.size, options.out)
        print(f"{pair.name} ...", file=sys.stderr, flush=True)
        result = evaluate(student, teacher, tensor(pair.content), tensor(pair.style), settings)
        found.append((pair, result))
        text = f"{table(found)}\n\nMeans over {len(found)} pairs:\n{means(found)}\n"
        (options.out / "report.txt").write_text(text)
        results: list[dict[str, Any]] = [{"pair": pair.name, **result.as_dict()} for pair, result in found]
        (options.out / "results.json").write_text(json.dumps(plain(results), indent=1) + "\n")
        draw_sheet(found, options.out / "sheet.png")
    print(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ImpastoError as error:
        sys.exit(str(error))
