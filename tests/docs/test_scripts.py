"""Scripts of docs and benchmarks import names that exist."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*(ROOT / "docs").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])


def exists(module, name):
    """Whether a module has a name, or a module of this name in it."""
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_imports_of_scripts_exist(script):
    missing = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "impasto"
        for alias in node.names
        if not exists(node.module, alias.name)
    ]
    assert missing == []
