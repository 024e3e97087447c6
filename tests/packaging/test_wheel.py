"""What a user gets from a wheel: two packages, and commands that work from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    # From a copy, because setuptools builds inside the source tree.
    source, out = tmp_path_factory.mktemp("source") / "tree", tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(
        ".*", "tests", "docs", "build", "dist", "*.egg-info", "__pycache__", "measured", "figures"
    )
    shutil.copytree(ROOT, source, ignore=ignored)
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(out), ".", cwd=source)
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder with nothing but the wheel's files; the dependencies come from the running environment."""
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_the_wheel_adds_two_names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"siconvnet", "benchmark"}


def test_every_package_is_listed(installed):
    shipped = {path.relative_to(installed).as_posix() for path in installed.rglob("*.py")}
    places = {"siconvnet": "siconvnet", "benchmark": "benchmark", "data": "benchmark/data", "plots": "benchmark/plots"}
    for folder, place in places.items():
        for path in (ROOT / folder).rglob("*.py"):
            assert f"{place}/{path.relative_to(ROOT / folder).as_posix()}" in shipped


def test_every_data_file_is_shipped(installed):
    for path in (ROOT / "siconvnet").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert (installed / path.relative_to(ROOT)).is_file(), path.name


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["models", "*_pool"],
        ["datasets"],
        ["data", "verify", "emoji"],
        ["leaderboard", "--source", "published", "--dataset", "emoji"],
        ["plot", "timing", "--source", "published", "--format", "svg", "--out", "figures"],
    ],
)
def test_commands_work_from_any_folder(installed, tmp_path, arguments):
    # PYTHONPATH comes before the editable install of this checkout, and the current folder is an empty one.
    program = (
        "import sys; from benchmark.cli import main; import benchmark; print(benchmark.__file__); sys.exit(main())"
    )
    done = run(
        sys.executable, "-c", program, *arguments, cwd=tmp_path, PYTHONPATH=str(installed), SICONVNET_DATA=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed)), "the test ran the checkout, not the wheel"


ALONE = """
import sys

for name in sys.argv[1].split(","):
    sys.modules[name] = None  # importing it fails, and looking for it finds nothing
import torch
import siconvnet
from siconvnet import testing
from siconvnet.bases import list_bases, make_basis
from siconvnet.layers import LearnableScales, ScalePool, SESConv_Z2_H, SiConv2d

x = torch.rand(2, 1, 64, 64)
for name in siconvnet.list_models(study="stir"):
    assert siconvnet.create_model(name, num_channels=1, num_classes=10)(x).shape == (2, 10), name
for name in list_bases():
    if "scipy" not in sys.argv[1] or name != "fourier_bessel":
        make_basis(name, 15, [1.0, 1.5], 5)
ScalePool("slice")(SiConv2d(1, 2, num_scales=3, kernel_size=3)(x))
testing.assert_conforms("standard")
print(siconvnet.__file__)
"""
HARNESS = (
    "benchmark,click,filelock,matplotlib,mlflow,pandas,PIL,rich,safetensors,seaborn,skimage,sklearn,torchvision,yaml"
)


@pytest.mark.parametrize("missing", [HARNESS, f"{HARNESS},scipy"], ids=["no harness", "nor SciPy"])
def test_the_layers_need_no_more_than_the_readme_says(installed, tmp_path, missing):
    environment = {"PYTHONPATH": str(installed), "SICONVNET_DATA": str(tmp_path), "OMP_NUM_THREADS": "1"}
    if "scipy" in missing:
        missing += ",platformdirs"
    done = run(sys.executable, "-c", ALONE, missing, cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
