"""The pages say what the program does: quoted code, figures, command lines and links are all real."""

import ast
import importlib
import inspect
import re
import shlex
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest
import torch

import impasto
from impasto.builtin_styles import names
from impasto.networks.patchgan import PatchDiscriminator, field_of_view
from impasto.networks.translators import ResNetGenerator, UNetGenerator
from impasto.networks.vgg import layer_names
from impasto.style_transfer.options import PRESETS, StylizeOptions

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
LARGEST_FIGURE = 400_000  # bytes

QUOTE = re.compile(r"<!-- from (\S+) -->\n```\w*\n(.*?)\n```", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
OUTSIDE = ("http://", "https://", "mailto:")


def called(path):
    return str(path.relative_to(ROOT))


def prose(page):
    """The page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))


def quotes():
    for page in PAGES:
        for number, (source, code) in enumerate(QUOTE.findall(page.read_text()), start=1):
            yield pytest.param(source, code, id=f"{called(page)}-{number}")


def links():
    """Yield (page, target) for every link and picture that stays inside the repository."""
    for page in PAGES:
        for found in LINK.findall(prose(page)):
            target = next(filter(None, found))
            if not target.startswith(OUTSIDE):
                yield pytest.param(page, target, id=f"{called(page)}-{target}")


def commands():
    """Yield every `impasto ...` line of the pages' shell blocks."""
    for page in PAGES:
        for language, code in FENCE.findall(page.read_text()):
            if language in ("sh", "bash", "shell", "console"):
                lines = code.replace("\\\n", " ").splitlines()
                for line in (line.strip().removeprefix("$ ") for line in lines):
                    if line.startswith("impasto "):
                        yield pytest.param(line, id=f"{called(page)}-{line}")


def indented_in(code, text):
    """Whether the lines stand in the text, all moved right by the same number of spaces."""
    first = code.splitlines()[0]
    depths = {len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip() == first.strip()}
    whole = f"\n{text}\n"
    return any(f"\n{textwrap.indent(code, ' ' * depth)}\n" in whole for depth in depths)


@cache
def flags(command):
    """The flags that `impasto COMMAND --help-all` names."""
    arguments = [sys.executable, "-m", "impasto", *command.split(), "--help-all"]
    shown = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown))


def heading_anchor(heading):
    """What GitHub calls a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize(("source", "code"), list(quotes()))
def test_quoted_code_is_in_the_source(source, code):
    assert indented_in(code, (ROOT / source).read_text()), f"{source} no longer holds:\n{code}"


def test_a_changed_quote_would_be_noticed():
    text = "class A:\n    def f(self):\n        x = 1\n\n        return x\n"
    assert indented_in("x = 1\n\nreturn x", text)
    assert indented_in("def f(self):\n    x = 1", text)
    assert not indented_in("x = 2\n\nreturn x", text)
    assert not indented_in("x = 1\nreturn x", text)
    assert not indented_in("x =", text)


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_links_lead_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    assert file.exists(), f"{called(page)} links to {target}, which does not exist"
    assert file.is_relative_to(ROOT)
    if anchor and file.suffix == ".md":
        headings = re.findall(r"^#+ (.*)", FENCE.sub("", file.read_text()), re.MULTILINE)
        assert anchor in [heading_anchor(heading) for heading in headings]


def test_figures_are_small_and_used():
    figures = sorted((ROOT / "docs" / "figures").glob("*.*"))
    linked = {(page.parent / target).resolve() for page, target in (case.values for case in links())}
    for figure in figures:
        assert figure.stat().st_size <= LARGEST_FIGURE, f"{called(figure)} is too large"
        assert figure in linked, f"no page shows {called(figure)}"


@pytest.mark.parametrize("line", list(commands()))
def test_command_lines_are_understood(line):
    _, command, *words = shlex.split(line, comments=True)
    if command.startswith("-"):
        return
    if command == "train":
        command, *words = f"train {words[0]}", *words[1:]
    given = [word.partition("=")[0] for word in words if word.startswith("-")]
    assert set(given) <= flags(command), f"impasto {command} has no {', '.join(sorted(set(given) - flags(command)))}"
    if command != "stylize":
        return
    settings, places, rest = {}, [], iter(words)
    switches = {"--force", "--resume", "--json", "--quiet", "--debug", "--contact-sheet"}
    for word in rest:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            places.append(word)
        elif name not in switches:
            value = value if equals else next(rest)
            settings[name.removeprefix("--").replace("-", "_")] = value
    preset = settings.pop("preset", "default")
    if "style_weights" in settings:
        settings["style_weights"] = tuple(map(float, settings["style_weights"].split(",")))
    assert preset in PRESETS
    quality = settings.pop("quality", None)
    StylizeOptions.preset(
        preset, quality, **{key: settings[key] for key in settings if key in StylizeOptions.model_fields}
    )
    assert len(places) >= 2, "a photograph and a style are needed"
    for place in places:
        if place.startswith("examples/"):
            assert (ROOT / place).exists(), place
    assert "." in places[-1] or "/" in places[-1] or places[-1] in names()


def examples():
    for page in PAGES:
        for language, code in FENCE.findall(QUOTE.sub("", page.read_text())):
            if language == "python" and re.search(r"^(import|from) impasto", code, re.MULTILINE):
                yield pytest.param(code, id=f"{called(page)}-{code.splitlines()[2]}")


@pytest.mark.parametrize("code", list(examples()))
def test_python_examples_use_what_there_is(code):
    """Names are public, and calls have parameters of these names; options are made, with these values."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "impasto":
            assert node.attr in impasto.__all__
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if re.fullmatch(r"impasto\.\w+Options(\.preset)?", called):
            eval(ast.unparse(node), {"impasto": impasto})
        elif re.fullmatch(r"impasto\.\w+", called):
            known = inspect.signature(getattr(impasto, node.func.attr)).parameters
            free = any(one.kind is one.VAR_KEYWORD for one in known.values())
            assert free or {word.arg for word in node.keywords} <= known.keys()


def test_every_page_command_has_a_test():
    fences = [code for page in PAGES for _, code in FENCE.findall(page.read_text())]
    words = sum(len(re.findall(r"^impasto [a-z]", code, re.MULTILINE)) for code in fences)
    assert len(list(commands())) >= words


def test_table_of_what_layers_see():
    """Stride and field of view follow from 3 x 3 convolutions and 2 x 2 pooling."""
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    stride, field = 1, 1
    for layer in layer_names(19):
        if layer.startswith("conv"):
            field += 2 * stride
        elif layer.startswith("pool"):
            field += stride
            stride *= 2
        elif layer.endswith("_1"):
            row = rf"^\| {layer} \| \d+ \| {stride} px \| {field} × {field} px \|$"
            assert re.search(row, page, re.MULTILINE), layer


def weights(layer):
    return sum(weight.numel() for weight in layer.parameters())


def test_tables_of_cyclegan_are_those_of_the_networks():
    page = (ROOT / "docs" / "cyclegan.md").read_text()
    network = ResNetGenerator()
    for layer in network.model:
        if weights(layer):
            assert re.search(rf"\| (9 × )?{weights(layer):,} \|", page), layer
    for blocks, width in ((9, 64), (6, 64), (6, 32), (4, 16)):
        assert f"{weights(ResNetGenerator(width, blocks)):,}" in page
    for layers in range(1, 5):
        judge, seen = PatchDiscriminator(64, layers), field_of_view(layers)
        sides = judge(torch.zeros(1, 3, 256, 256)).shape[-1]
        row = rf"^\| {layers}[^|]* \| {seen} × {seen} px \| {sides} × {sides} \| {weights(judge):,} \|$"
        assert re.search(row, page, re.MULTILINE), layers
    assert f"{weights(UNetGenerator()):,}" in page
