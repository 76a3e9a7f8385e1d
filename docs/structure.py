"""Draw the structure of impasto: its packages and modules, low to high, and which imports which.

    python docs/structure.py docs/figures/structure.svg

Their order is that of tests/contracts/test_architecture.py. An import that runs upwards is drawn in red,
and makes the command fail.
"""

import ast
import sys
from collections import Counter
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "impasto"
CONTRACT = ROOT / "tests" / "contracts" / "test_architecture.py"


def parts() -> list[str]:
    """Return packages and modules from low to high, as in the table of the test."""
    for node in ast.parse(CONTRACT.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MAY":
            return list(ast.literal_eval(node.value))
    raise SystemExit("the test of the architecture has no table MAY")


def imports() -> Counter[tuple[str, str]]:
    """Return how many import statements lead from one package to another."""
    found: Counter[tuple[str, str]] = Counter()
    for path in SOURCE.rglob("*.py"):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("impasto"):
                parts = (node.module or "").split(".")[1:]
                for target in [parts[0]] if parts else [alias.name for alias in node.names]:
                    if target != part:
                        found[part, target] += 1
    return found


def sizes() -> dict[str, int]:
    """Return the lines of code of each package."""
    counted: Counter[str] = Counter()
    for path in SOURCE.rglob("*.py"):
        counted[path.relative_to(SOURCE).parts[0].removesuffix(".py")] += len(path.read_text().splitlines())
    return counted


def purpose(part: str) -> str:
    """Return the first line of a package's docstring."""
    path = SOURCE / part / "__init__.py" if (SOURCE / part).is_dir() else SOURCE / f"{part}.py"
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(".")


def draw(target: Path) -> list[tuple[str, str]]:
    """Write the picture; return the imports that run upwards."""
    order, lines = parts(), sizes()
    arrows = {pair: count for pair, count in imports().items() if set(pair) <= set(order)}
    wrong = [(a, b) for a, b in arrows if order.index(b) > order.index(a)]
    height = {part: index for index, part in enumerate(order)}
    figure = Figure(figsize=(11, 0.44 * len(order) + 0.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 11), ylim=(-0.6, len(order) - 0.4))
    axes.axis("off")
    for part, y in height.items():
        axes.add_patch(FancyBboxPatch((0.1, y - 0.3), 2.1, 0.6, boxstyle="round,pad=0.02", fc="#f3ead8", ec="#8a6d3b"))
        axes.text(1.15, y, part, ha="center", va="center", fontsize=9, weight="bold")
        axes.text(6.1, y, f"{purpose(part)} ({lines[part]:,} lines)", va="center", fontsize=7.5)
    for (a, b), count in sorted(arrows.items()):
        color = "#c0392b" if (a, b) in wrong else "#5d6d7e"
        bend = 0.12 + 0.025 * abs(height[a] - height[b])
        axes.add_patch(
            FancyArrowPatch(
                (2.25, height[a]),
                (2.25, height[b]),
                connectionstyle=f"arc3,rad={-min(bend, 0.55) if height[a] > height[b] else min(bend, 0.55)}",
                arrowstyle="-|>",
                mutation_scale=6,
                lw=min(0.4 + count / 25, 1.8),
                color=color,
                alpha=0.55,
            )
        )
    steady = {"svg.fonttype": "none", "svg.hashsalt": "impasto"}  # texts stay texts; equal drawings are equal bytes
    with rc_context(steady):
        figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    return wrong


if __name__ == "__main__":
    upwards = draw(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "figures" / "structure.svg"))
    print("\n".join(f"upwards: {a} imports {b}" for a, b in upwards) or "no import runs upwards")
    sys.exit(bool(upwards))
