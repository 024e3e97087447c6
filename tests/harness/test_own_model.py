"""A model of one's own, named as package.module:Class, through the whole harness."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import siconvnet
from benchmark.spec import RunSpec
from benchmark.studies import Study, all_studies
from benchmark.studies.base import Task
from benchmark.studies.lookup import check_model
from benchmark.training.records import find, read
from siconvnet.errors import InvalidArgument

SCRIPT = Path(sys.executable).parent / "benchmark"
PLAIN = RunSpec("standard", "emoji", evaluation=2)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("own_nets", None)


def test_from_template_to_record(here: Path, few_icons: Path) -> None:
    """As a person does it: each command in a process and from the folder of the file."""

    def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=300)

    assert benchmark("new-method", "my_net").returncode == 0
    train = ["run", "--model", "my_net:MyNet", "--dataset", str(few_icons), "--evaluation", "2"]
    options = ["--kernel-size", "3", "--epochs", "1", "--records", "records", "--quiet"]
    first = benchmark(*train, *options)
    assert first.returncode == 0, first.stderr
    assert "my_net:MyNet s1" in first.stdout
    [record] = find("records")
    assert read(record).spec.model == "my_net:MyNet"

    assert "finished before" in benchmark(*train, *options).stdout
    source = here / "my_net.py"
    source.write_text(source.read_text(encoding="utf-8").replace("(1, 2, 3)", "(1, 2)"), encoding="utf-8")
    changed = benchmark(*train, *options)
    assert changed.returncode == 0
    assert "finished before" not in changed.stdout
    assert len(find("records")) == 2


def test_hash_follows_the_source_and_not_the_place(here: Path, python: Callable[..., subprocess.CompletedProcess[str]]):
    code = "from benchmark.spec import RunSpec; print(RunSpec('own_net:Net', 'emoji', evaluation=2).hash)"

    def digest(folder: str, source: str) -> str:
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / "own_net.py").write_text(source, encoding="utf-8")
        return python(code, PYTHONPATH=str(here / folder)).stdout.strip()

    first = digest("one", "class Net: ...")
    assert len(first) == 64
    assert digest("two", "class Net: ...") == first
    assert digest("one", "class Net: pass") != first


def test_validation_of_a_target(here: Path) -> None:
    (here / "own_nets.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_channels, num_classes): super().__init__()\n"
        "class Other: ...\n",
        encoding="utf-8",
    )
    spec = dataclasses.replace(PLAIN, model="own_nets:Net")
    assert spec.validate() is spec
    assert spec.model_key.startswith("own_nets:Net-")
    assert PLAIN.model_key == "standard"
    assert RunSpec.from_dict(spec.to_dict()) == spec
    with pytest.raises(InvalidArgument, match="does not use the kernel size"):
        dataclasses.replace(spec, kernel_size=9).check_effective()
    for name, message in (("Other", "is not a model"), ("Nothing", "has no attribute")):
        with pytest.raises(InvalidArgument, match=message):
            dataclasses.replace(PLAIN, model=f"own_nets:{name}").validate()
    for model in ("nowhere:Net", "nowhere.at_all:Net", "sys:path"):
        with pytest.raises(InvalidArgument, match="no source file of module"):
            _ = dataclasses.replace(PLAIN, model=model).hash


@pytest.mark.parametrize(
    ("dataset", "shape"), [("mnist-scale", (1, 10, 28)), ("mnist-range", (1, 10, 84)), ("stl10", (3, 10, 96))]
)
def test_a_class_is_built_as_every_study_needs_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, shape: tuple[int, int, int]
) -> None:
    (here / "own_nets.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_channels, num_classes, image_size):\n"
        "        super().__init__()\n"
        "        self.given = num_channels, num_classes, image_size\n"
        "        self.lin = nn.Linear(num_channels * image_size**2, num_classes)\n"
        "    def forward(self, x): return self.lin(x.flatten(1))\n",
        encoding="utf-8",
    )
    settings = {"canvas": 84, "scale_range": "1,4", "digits": "embedded"} if dataset == "mnist-range" else {}
    spec = RunSpec("own_nets:Net", dataset, **settings).validate()
    task_class = next(kind for kind in Task.__subclasses__() if kind.__module__ == type(spec.study).__module__)
    task = task_class.__new__(task_class)  # without its data
    monkeypatch.setattr(task, "spec", spec, raising=False)
    assert task.create_model().given == shape


@pytest.mark.parametrize("study", all_studies(), ids=lambda study: study.name)
def test_a_registered_model_of_one_s_own_is_one_of_every_study(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    info = dataclasses.replace(siconvnet.model_info("standard"), name="my_net", studies=())
    monkeypatch.setitem(siconvnet.models._registry._objects, "my_net", info)
    assert "my_net" in study.list_models()
    check_model(study, "my_net")
    foreign = "wrn_16_8" if study.name != "stl10" else "standard"
    with pytest.raises(InvalidArgument, match=f"not for {study.title}"):
        check_model(study, foreign)
