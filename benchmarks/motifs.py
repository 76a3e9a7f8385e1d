"""Sweep the options of `stylize` that decide between manner and motifs, on pairs that invite motifs.

    python benchmarks/motifs.py --pairs photo.jpg painting.jpg other.jpg print.jpg --out build/motifs
    python benchmarks/motifs.py --pairs pairs.txt --only default earlier --size 512

Each pair is painted with each of `SETTINGS`, and measured as by `impasto score`, against the style image without its
margins. What is written: `report.txt` (also printed), `results.json`, and each painting, to be looked at.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from against_pastiche import plain, read_pairs

from impasto import stylize
from impasto.checkpoints.encoders import load_encoder
from impasto.data.styles import open_style
from impasto.errors import ImpastoError
from impasto.io.encode import save_picture
from impasto.io.tensors import as_tensor, open_picture
from impasto.metrics.style import score

# What the default was before version 0.2: all five layers alike, the content weight the same everywhere.
EARLIER = {"motifs": 1.0, "content_focus": 0.0, "strokes": 0.0, "content_weight": 0.16}
SETTINGS: dict[str, dict[str, Any]] = {
    "earlier": EARLIER | {"style_crop": "none"},
    "motifs 0.5": EARLIER | {"motifs": 0.5},
    "motifs 0.25": EARLIER | {"motifs": 0.25},
    "motifs 0": EARLIER | {"motifs": 0.0},
    "and focus 0.25": EARLIER | {"motifs": 0.0, "content_focus": 0.25},
    "and focus 1": EARLIER | {"motifs": 0.0, "content_focus": 1.0},
    "default": {},
    "default, focus 0.5": {"content_focus": 0.5},
    "default, content 0.08": {"content_weight": 0.08},
    "default, content 0.05": {"content_weight": 0.05},
    "default, no strokes": {"strokes": 0.0},
    "draft": {"quality": "draft"},
}


def table(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return one line for each setting: means over pairs, and the copied shares and stroke energies of all."""
    lines = [
        f"{'setting':22s}   style  content  subject  copied share: median, all pairs  |  stroke energy of all pairs"
    ]
    for name, pairs in found.items():
        rows = list(pairs.values())
        means = [statistics.mean(row[key] for row in rows) for key in ("style_loss", "content_loss", "subject_kept")]
        copied, strokes = ([row[key] for row in rows] for key in ("copied_share", "stroke_energy"))
        lines.append(
            f"{name:22s}  {means[0]:6.4f}  {means[1]:7.3f}  {means[2]:7.3f}  {statistics.median(copied):.3f}, "
            f"{' '.join(f'{value:.2f}' for value in copied)}  |  {' '.join(f'{value:.2f}' for value in strokes)}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", default=[], metavar="PICTURE", help="CONTENT STYLE ..., or a text file")
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), choices=list(SETTINGS), help="settings (all)")
    parser.add_argument("--size", type=int, default=512, help="longer side (default 512)")
    parser.add_argument("--out", type=Path, default=Path("build/motifs"), help="folder (default build/motifs)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    judge = load_encoder("vgg19")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in options.only:
        found[name] = {}
        for content, style in read_pairs(options.pairs):
            label = f"{Path(content).stem}_{Path(style).stem}"
            picture = stylize(open_picture(content).pixels, style, size=options.size, **SETTINGS[name])
            save_picture(options.out / f"{label}_{name.replace(' ', '_')}.png", open_picture(picture), force=True)
            painted, photo = as_tensor(open_picture(picture)), as_tensor(open_picture(content))
            measured = as_tensor(open_style(style, options.size, "auto"))
            found[name][label] = score(painted, photo, [measured], judge).as_dict()
            print(f"{name}: {label}", file=sys.stderr, flush=True)
            (options.out / "results.json").write_text(json.dumps(plain(found), indent=1) + "\n")
            (options.out / "report.txt").write_text(table(found) + "\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ImpastoError as error:
        sys.exit(str(error))
