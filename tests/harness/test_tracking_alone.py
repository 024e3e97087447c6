"""One package talks to MLflow, and does so only when it is asked to."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = ("siconvnet", "benchmark", "data", "plots", "scripts")


def importers(root: Path) -> Iterator[str]:
    """The files below the project's trees that import MLflow, wherever in the file."""
    for tree in TREES:
        for path in sorted((root / tree).rglob("*.py")):
            if any(_imports_mlflow(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
                yield path.relative_to(root).as_posix()


def _imports_mlflow(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""] if not node.level else []
    else:
        return False
    return any(name.partition(".")[0] == "mlflow" for name in names)


def test_one_package_imports_mlflow() -> None:
    found = list(importers(ROOT))
    assert found
    assert [path for path in found if not path.startswith("benchmark/store/")] == []


@pytest.mark.parametrize(
    "line", ["import mlflow", "def f():\n    from mlflow.entities import Run", "import os, mlflow.pyfunc"]
)
def test_another_import_is_noticed(tmp_path: Path, line: str) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "new.py").write_text(line, encoding="utf-8")
    (tmp_path / "plots" / "fine.py").write_text("from benchmark import mlflow_pages\n'import mlflow'", encoding="utf-8")
    assert list(importers(tmp_path)) == ["plots/new.py"]


def test_importing_the_package_imports_no_mlflow() -> None:
    code = "import sys, benchmark.store; print('mlflow' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
