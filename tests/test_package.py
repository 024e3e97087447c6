"""What `import siconvnet` offers."""

from __future__ import annotations

import subprocess
import sys


def in_a_fresh_interpreter(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_submodules_are_there_without_an_import_of_their_own():
    assert "SiConv2d" in in_a_fresh_interpreter("import siconvnet; print(siconvnet.layers.SiConv2d)")


def test_listing_shows_what_is_offered_and_imports_nothing():
    code = "import siconvnet, sys; print(*[n for n in dir(siconvnet) if n[0] != '_']); print('torch' in sys.modules)"
    names, torch_is_there = in_a_fresh_interpreter(code).splitlines()
    assert names.split() == [
        "ModelInfo", "augmentation", "bases", "create_model", "datasets", "functional", "layers", "list_models",
        "metrics", "model_info", "models", "register_model", "testing",
    ]  # fmt: skip
    assert torch_is_there == "False"
