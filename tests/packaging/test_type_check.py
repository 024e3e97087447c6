"""`make lint` type-checks everything that is installed, and a type checker sees wrong calls of what is installed."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
PLACES = dict(line.split(" = ") for line in CONFIG["options"]["package_dir"].split("\n") if line)


@pytest.mark.parametrize("package", CONFIG["options"]["packages"].split())
def test_every_package_with_code_is_checked(package):
    folder = Path(PLACES.get(package, package.replace(".", "/")))
    if any(path.name != "__init__.py" for path in (ROOT / folder).glob("*.py")):
        checked = [Path(name.strip()) for name in CONFIG["mypy"]["files"].split(",")]
        assert any(folder.is_relative_to(other) for other in checked)


@pytest.mark.parametrize(("keyword", "accepted"), [("interp_mode", True), ("interp", False)])
@pytest.mark.parametrize("layers", ["siconvnet.layers", "layers"])
def test_a_wrong_keyword_of_a_layer_is_reported(tmp_path, layers, keyword, accepted):
    imports = "import siconvnet\nfrom siconvnet import layers\n"
    (file := tmp_path / "caller.py").write_text(f'{imports}{layers}.SiConv2d(1, 8, 29, 7, {keyword}="bicubic")\n')
    config = str(ROOT / "setup.cfg")
    report, errors, status = api.run([str(file), "--config-file", config, "--cache-dir", str(ROOT / ".mypy_cache")])
    assert (status == 0) == accepted, report + errors
    assert accepted or f'Unexpected keyword argument "{keyword}" for "SiConv2d"' in report
