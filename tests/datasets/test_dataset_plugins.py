"""Datasets of other packages: installed as an installer leaves them, used like all others, and what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.data import prepare
from benchmark.spec import RunSpec
from benchmark.training.records import find
from siconvnet.datasets import catalog, dataset_info, dataset_path, list_datasets, load_dataset
from siconvnet.errors import DatasetError, InvalidArgument
from siconvnet.registry import PluginWarning

BIRDS = """
    from pathlib import Path
    import numpy as np
    from siconvnet.datasets import DatasetInfo

    HERE = Path(__file__).parent
    FILE = str(HERE / "birds.npz")
    from_file = DatasetInfo("any", "Birds of here", 2, 1, 1, "CC0", "my garden", path=HERE / "birds.npz")
    built = DatasetInfo("any", "Built birds", 2, 1, 1, "CC0", "my garden", builder="birds_package:build")

    def build(source, *, jobs, progress):
        with np.load(FILE) as arrays:
            return dict(arrays)
"""
SAID = "DatasetInfo('x', 'X', 2, 1, 1, 'CC0', 'x', builder='broken:build')"


class Site:
    """A folder on sys.path in which packages are installed as an installer leaves them."""

    def __init__(self, folder: Path):
        self.folder = folder

    def install(self, package: str, source: str, **entries: str) -> None:
        (self.folder / f"{package}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = self.folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        lines = "".join(f"{name} = {package}:{attribute}\n" for name, attribute in entries.items())
        (info / "entry_points.txt").write_text(f"[siconvnet.datasets]\n{lines}", encoding="utf-8")

    def reload(self) -> None:
        """Look for entry points again, as a new process does."""
        catalog._registry = catalog.make_registry()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_stir: Callable[..., Path]) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("SICONVNET_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(catalog, "_registry", None)
    monkeypatch.syspath_prepend(folder)
    small_stir(folder / "birds.npz")
    yield Site(folder)
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def small_stir() -> Callable[..., Path]:
    """Writes a file of the format: objects are gray squares."""

    def write(path: Path, num_classes: int = 2) -> Path:
        grid = (3, 48, num_classes, 1)
        images = np.zeros((*grid, 64, 64), np.uint8)
        for row, scale in enumerate(range(64, 16, -1)):
            images[:, row, :, :, :scale, :scale] = 50
        images[:, :, 1] *= 2
        np.savez_compressed(
            path,
            imgs=images,
            lbls=np.broadcast_to(np.arange(num_classes).reshape(1, 1, -1, 1), grid),
            scls=np.broadcast_to(np.arange(64, 16, -1).reshape(1, -1, 1, 1), grid),
            psts=np.zeros((*grid, 2), int),
            metadata=np.array([(key, key) for key in ("title", "description", "author", "license", "version", "date")]),
            lbldata=np.array([f"bird {number}" for number in range(num_classes)]),
        )
        return path

    return write


def test_listing_imports_no_plugin(site: Site) -> None:
    site.install("birds_package", BIRDS, birds="from_file")
    site.reload()
    assert list_datasets() == ["emoji", "mnist", "trafficsign", "aerial", "signs", "birds"]
    assert "birds_package" not in sys.modules


@pytest.mark.parametrize("attribute", ["from_file", "FILE"])
def test_a_file_of_another_package(site: Site, attribute: str) -> None:
    site.install("birds_package", BIRDS, birds=attribute)
    site.reload()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        info, dataset = dataset_info("birds"), load_dataset("birds")
    assert (info.name, info.num_classes, info.how_to_get) == ("birds", 2, "part of its package")
    assert info.title == ("Birds of here" if attribute == "from_file" else "title")
    assert dataset.name == "birds" and dataset.path == dataset_path("birds") == site.folder / "birds.npz"
    assert prepare("birds") == dataset.path
    # Its content identifies it: another version of the package may hold other images.
    key = RunSpec("standard", "birds", evaluation=2).dataset_key
    assert key.startswith("birds-") and key == RunSpec("standard", str(dataset.path), evaluation=2).dataset_key


def test_a_dataset_that_another_package_builds(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("birds_package", BIRDS, birds="built")
    site.reload()
    path = dataset_path("birds")
    assert path == catalog.data_dir() / "birds.npz" and not path.exists()
    with pytest.raises(DatasetError, match=r"not built yet .*type: benchmark data build birds"):
        load_dataset("birds")
    assert main(["data", "build", "birds", "--quiet"]) == 0
    assert load_dataset("birds").class_names == ("bird 0", "bird 1")
    assert RunSpec("standard", "birds", evaluation=2).dataset_key.startswith("birds-")
    assert list_datasets().count("birds") == 1
    assert main(["data", "verify", "birds"]) == main(["data", "card", "birds", "--output", str(path.parent)]) == 0
    capsys.readouterr()
    assert main(["data", "build", "birds", "--images", str(site.folder)]) == 2
    assert "'birds' is a dataset of an installed package; choose another" in capsys.readouterr().err
    assert [file.name for file in path.parent.glob("*.npz")] == ["birds.npz"]


def test_nothing_to_build(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("birds_package", BIRDS, birds="from_file")
    site.reload()
    assert main(["data", "build", "birds"]) == 2
    assert f"'birds' is not built: its file is {site.folder / 'birds.npz'}." in capsys.readouterr().err
    (site.folder / "birds.npz").unlink()
    with pytest.raises(DatasetError, match=r"birds.npz is part of a package and is not there; install the package"):
        load_dataset("birds")


def test_it_can_be_trained_on(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("birds_package", BIRDS, birds="built")
    site.reload()
    line = ["run", "-m", "standard", "-d", "birds", "-e", "2", "--kernel-size", "3", "--epochs", "1", "-q"]
    assert main([*line, "--device", "cpu", "--records", str(tmp_path / "records")]) == 0, capsys.readouterr().err
    (folder,) = find(tmp_path / "records")
    assert "birds-" in (folder / "record.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("x = 1", "no attribute 'entry'"),
        ("entry = 3", "no dataset but an object of int"),
        ("entry = 'nowhere.npz'", "there is no file nowhere.npz"),
        ("entry = __file__", "is not an intact .npz file"),
        ("entry = DatasetInfo('x', 'X', 2, 1, 1, 'CC0', 'x')", "needs a path or a builder"),
        ("entry = DatasetInfo('x', 'X', 0, 1, 1, 'CC0', 'x', builder='a:b')", r"= \(0, 1, 1\); expected"),
        ("entry = DatasetInfo('x', 'X', 2, 1, 2, 'CC0', 'x', builder='a:b')", "1 or 3 channels"),
    ],
)
def test_a_broken_plugin_warns_and_leaves_the_others(
    site: Site, source: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install("broken", f"from siconvnet.datasets import DatasetInfo\n{source}", broken_birds="entry")
    site.install("birds_package", BIRDS, birds="from_file")
    site.reload()
    assert list_datasets()[-2:] in (["birds", "broken_birds"], ["broken_birds", "birds"])
    with (
        pytest.warns(PluginWarning, match=f"the dataset plug-in 'broken_birds' .*{reason}"),
        pytest.raises(InvalidArgument, match=f"the dataset plug-in 'broken_birds' .*{reason}") as caught,
    ):
        dataset_info("broken_birds")
    assert "\n" not in str(caught.value)
    assert load_dataset("birds").num_classes == 2
    with pytest.warns(PluginWarning):
        assert main(["datasets", "--format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["birds"]["present"] and rows["broken_birds"]["how_to_get"].startswith("fails: the dataset plug-in")
    with pytest.warns(PluginWarning):
        assert main(["datasets"]) == 0
    assert "fails" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        ("raise RuntimeError('no network')", "broken:build fails: RuntimeError: no network"),
        ("return None", "broken:build fails: AttributeError"),
        ("return {'imgs': [1, 2]}", "broken:build builds no STIR file: it: imgs has shape"),
        ("return {'imgs': [object()]}", "holds Python objects"),
        ("return dict(np.load(HERE / 'three.npz'))", r"\(3, 1, 1\), and 'broken_birds' is said to have \(2, 1, 1\)"),
    ],
)
def test_a_builder_that_fails_leaves_nothing(
    site: Site, small_stir: Callable[..., Path], build: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small_stir(site.folder / "three.npz", 3)
    body = f"def build(source, *, jobs, progress):\n    {build}\n"
    head = "from pathlib import Path\nimport numpy as np\nfrom siconvnet.datasets import DatasetInfo\n"
    site.install("broken", f"{head}HERE = Path(__file__).parent\nentry = {SAID}\n{body}", broken_birds="entry")
    site.reload()
    with pytest.raises(DatasetError, match=reason):
        prepare("broken_birds", progress=False)
    assert not any(dataset_path("broken_birds").parent.iterdir())
    assert main(["run", "-m", "standard", "-d", "broken_birds", "-e", "2", "-q", "--records", str(site.folder)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_names_of_the_catalogue_stay_what_they_are(site: Site) -> None:
    site.install("birds_package", BIRDS, emoji="from_file", birds="from_file")
    site.install("other", BIRDS, birds="FILE")
    site.reload()
    with pytest.warns(PluginWarning, match="is left out") as caught:
        names = list_datasets()
    assert names == ["emoji", "mnist", "trafficsign", "aerial", "signs", "birds"]
    assert len(caught) == 2 and dataset_info("emoji").num_classes == 36


def test_another_process_sees_an_installed_dataset(site: Site) -> None:
    site.install("birds_package", BIRDS, birds="from_file")
    site.install("broken", "import nowhere_to_be_found", broken_birds="entry")
    code = f"""
        import sys; sys.path.insert(0, {str(site.folder)!r})
        from siconvnet.datasets import list_datasets, load_dataset
        print(*list_datasets(), load_dataset("birds").num_classes)
        print("torch" in sys.modules, "pandas" in sys.modules)
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    names, heavy = found.stdout.splitlines()
    assert {"birds", "broken_birds", "2"} <= set(names.split()) and heavy == "False False"


def test_the_command_line_warns_in_one_line(site: Site) -> None:
    site.install("broken", "import nowhere_to_be_found", broken_birds="entry")
    code = f"""
        import sys, warnings; sys.path.insert(0, {str(site.folder)!r})
        from benchmark.cli import main
        main(["datasets"])
        warnings.warn("of another kind")
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    first, rest = found.stderr.split("\n", 1)
    assert first.startswith("warning: the dataset plug-in 'broken_birds' (broken:entry) does not load: ModuleNotFound")
    assert rest.startswith("<string>:") and "UserWarning: of another kind" in rest, "the control: others are as usual"
