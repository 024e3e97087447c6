"""torchvision can be imported, here and where its compiled operators cannot be loaded."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from benchmark.system.vision import vision_module
print(len(vision_module("datasets").FakeData(3)), vision_module("transforms").Compose([])(7))
assert vision_module("datasets") is vision_module("datasets")
try:
    vision_module("nothing")
except ImportError as error:
    print(error)
import torchvision
"""


def test_import():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 7\nNo module named 'torchvision.nothing'\n"


def test_import_without_its_operators():
    """The import fails as it does without the declarations; the operators are hidden where they can be loaded."""
    hide = "import torch\ndef fail(path): raise OSError(path)\ntorch.ops.load_library = fail\n"
    plain = subprocess.run([sys.executable, "-c", hide + "import torchvision"], capture_output=True, text=True)
    assert "operator torchvision::nms does not exist" in plain.stderr, "the control"
    done = subprocess.run([sys.executable, "-c", hide + CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
