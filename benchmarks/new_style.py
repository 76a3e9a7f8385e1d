"""Measure what two minutes are worth: a style learned by `impasto train style`, and the same learned ten times longer.

    python benchmarks/new_style.py painting.jpg --evaluate-on photographs/ --out build/new-style

The first training is the command as it is, in a process of its own, with all it takes to start. The second one takes
ten times as many steps. Both embeddings then paint photographs that no training has seen, beside the predicted one,
and VGG-19 evaluates, as `impasto score` does. See README.md.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import impasto
from impasto.api.apply import iter_apply, open_painter
from impasto.checkpoints.encoders import load_encoder
from impasto.checkpoints.files import read_tensors
from impasto.data.styles import open_style
from impasto.errors import ImpastoError
from impasto.events import drain
from impasto.inference.options import ApplyOptions
from impasto.io.decode import load_picture
from impasto.io.files import find_pictures
from impasto.io.tensors import as_tensor
from impasto.metrics.style import score
from impasto.recipes.style_embedding.options import StyleOptions


def trained(style: str, out: Path, photographs: Sequence[str]) -> float:
    """Run the command; return its seconds, from start to end."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "impasto", "train", "style", style, *photographs, "-o", str(out), "--force"]
    subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table, write it as JSON, and keep what was painted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("styles", nargs="+", help="paintings, or names from `impasto styles`")
    add("--evaluate-on", nargs="+", required=True, help="photographs to paint and to evaluate on")
    add("--photographs", nargs="*", default=[], help="folders to learn on, in place of synthetic scenes")
    add("--times", type=int, default=10, help="how many times longer the second training is")
    add("--size", type=int, default=512, help="longer side of the evaluated pictures")
    add("--out", type=Path, default=Path("build/new-style"), help="folder for everything")
    options = parser.parse_args(arguments)
    encoder = load_encoder("vgg19")
    model = open_painter("painter")
    evaluated = find_pictures(options.evaluate_on)
    results = []
    for style in options.styles:
        stem = Path(style.replace(":", "-")).stem
        short, long = options.out / stem / "short", options.out / stem / "long"
        short.parent.mkdir(parents=True, exist_ok=True)
        seconds = trained(style, short, options.photographs)
        steps = int(read_tensors(short / "model.safetensors")[1]["step"])
        settings = StyleOptions(steps=options.times * steps, preview_seconds=1e6)
        data = {"style": style, "photos": options.photographs}
        impasto.train("style", data, options=settings, run=long, force=True)
        embeddings = {"short": short / "model.safetensors", "long": long / "model.safetensors"}
        style_image = as_tensor(open_style(style, options.size))
        line: dict[str, object] = {"style": stem, "seconds": seconds, "steps": steps}
        for label, source in (("at once", style), *embeddings.items()):
            losses = []
            try:
                for photo in evaluated:
                    target = options.out / stem / f"{photo.stem}-{label.replace(' ', '-')}.png"
                    events = iter_apply(
                        model, photo, ApplyOptions(size=options.size, style=str(source)), output=target, force=True
                    )
                    painted = drain(events)
                    found = score(painted, as_tensor(load_picture(photo)), [style_image], encoder)
                    losses.append((found.style_loss, found.content_loss))
            except ImpastoError as error:
                print(f"{label}: {error}", file=sys.stderr)
                continue
            style_loss, content_loss = (sum(part) / len(losses) for part in zip(*losses, strict=True))
            line[label] = {"style_loss": style_loss, "content_loss": content_loss}
        results.append(line)
        _, embedding = impasto.load("painter").read_style(embeddings["short"])
        size = embeddings["short"].stat().st_size
        print(f"{stem}: {seconds:.0f} s, {steps} steps, {size} bytes, {len(embedding)} values")
        for label in ("at once", *embeddings):
            if isinstance(found_line := line.get(label), dict):
                print(f"  {label:10} style {found_line['style_loss']:.4f}  content {found_line['content_loss']:.4f}")
        (options.out / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
