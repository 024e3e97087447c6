"""Who may import whom. Imports inside functions count; those for type checkers alone do not."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parents[2]
#: Where the packages that stand at the root of the repository are installed.
INSTALLED = {"siconvnet": "siconvnet", "benchmark": "benchmark", "data": "benchmark.data", "plots": "benchmark.plots"}

#: Room -> the rooms of the harness that it may import. `siconvnet` may import none of them, and all may import it.
ALLOWED: Mapping[str, set[str]] = {
    "siconvnet": set(),
    "system": set(),
    "protocol": set(),
    "predictions": {"protocol"},
    "data": {"system", "studies"},
    "studies": {"protocol", "system", "predictions", "data", "results", "spec", "plots"},
    "spec": {"studies", "system"},
    "events": {"spec"},
    "training": {"events", "spec", "predictions", "protocol", "system"},
    "store": {"events", "spec", "studies", "training", "predictions", "results", "system", "plots"},
    "results": {"spec", "studies", "protocol", "store", "system", "plots", "predictions"},
    "plots": {"protocol", "studies", "results"},
    "sweeps": {"spec", "studies", "events", "training", "store", "system"},
    "timing": {"spec", "training", "system"},
    "cli": {
        *("protocol", "spec", "studies", "data", "plots", "results", "store", "sweeps", "system"),
        "timing",
        "training",
    },
}

#: Modules that import one another in a circle, by an import inside a function: what a study says of its results is in
#: the words of `spec` and `results`, which know studies; and two deprecated functions call what replaced them.
CIRCLES = [
    {
        *("benchmark.results.runs", "benchmark.results.sizes", "benchmark.spec", "benchmark.studies"),
        *("benchmark.studies.base", "benchmark.studies.lookup", "benchmark.studies.published"),
        *("benchmark.studies.scale_fields", "benchmark.studies.stir"),
    },
    {"siconvnet.models", "siconvnet.models.mnist_scale", "siconvnet.models.stl10"},
]


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Module -> file."""
    found = {}
    for folder, package in INSTALLED.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


def imports(module: str, path: Path, known: Mapping[str, Path]) -> Iterator[tuple[str, bool]]:
    """The modules among `known` that a module imports, each with whether it does so at its own import."""

    def walk(node: ast.AST, lazily: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, not lazily) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                    above = package.split(".")[: len(package.split(".")) - child.level + 1]
                    base = ".".join([*above, *([base] if base else [])])
                for alias in child.names:
                    whole = f"{base}.{alias.name}"
                    yield (whole if whole in known else base), not lazily
            else:
                yield from walk(child, lazily or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from ((name, at_once) for name, at_once in walk(tree, False) if name in known and name != module)


def graph(root: Path = ROOT, *, at_once: bool = False) -> networkx.DiGraph:
    """The modules and who imports whom; with `at_once` only imports outside functions."""
    known = modules(root)
    found = networkx.DiGraph()
    found.add_nodes_from(known)
    for module, path in known.items():
        found.add_edges_from((module, name) for name, now in imports(module, path, known) if now or not at_once)
    return found


def room(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == "benchmark" and rest else first


def circles(found: networkx.DiGraph) -> list[set[str]]:
    return [part for part in networkx.strongly_connected_components(found) if len(part) > 1]


def trespasses(found: networkx.DiGraph) -> list[str]:
    return [
        f"{one} -> {other}"
        for one, other in found.edges
        if room(one) != room(other)
        and room(other) not in ("siconvnet", "benchmark")
        and room(other) not in ALLOWED.get(room(one), set())
    ]


def test_rooms_import_only_what_they_may() -> None:
    assert trespasses(graph()) == []


def test_no_circle_at_import() -> None:
    assert circles(graph(at_once=True)) == []


def test_no_further_circle_inside_functions() -> None:
    for circle in circles(graph()):
        assert any(circle <= known for known in CIRCLES), sorted(circle)


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("siconvnet/layers.py", "from benchmark.spec import RunSpec", ["siconvnet.layers -> benchmark.spec"]),
        ("plots/new.py", "def draw():\n    import benchmark.store", ["benchmark.plots.new -> benchmark.store"]),
        ("data/new.py", "from ..store import Store", ["benchmark.data.new -> benchmark.store"]),
        ("plots/fine.py", "if TYPE_CHECKING:\n    from benchmark.store import Store", []),
    ],
)
def test_a_trespass_is_noticed(tmp_path: Path, path: str, text: str, lines: list[str]) -> None:
    for name, content in {"benchmark/spec.py": "", "benchmark/store/__init__.py": "", path: text}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert trespasses(graph(tmp_path)) == lines


def test_a_circle_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "one.py").write_text("from benchmark import two", encoding="utf-8")
    (tmp_path / "benchmark" / "two.py").write_text("def f():\n    import benchmark.one", encoding="utf-8")
    assert circles(graph(tmp_path)) == [{"benchmark.one", "benchmark.two"}]
    assert circles(graph(tmp_path, at_once=True)) == []
