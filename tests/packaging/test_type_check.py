"""`make lint` type-checks all that is installed, `data` and `plots` at the root of the repository included."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

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
