"""What a build of one's own images costs: 72,000 canvases in less than two minutes of two cores, in less than 1 GB.

The timing takes a quiet machine: `pytest -m slow tests/data/test_build_speed.py -s` prints what it found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siconvnet.datasets.schema import read_summary

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads the memory from /proc")
COMMAND = "import sys; from benchmark.cli import main; sys.exit(main(sys.argv[1:]))"


def run(*command: str, **environment: str) -> tuple[int, float, int]:
    """Run a command: its exit code, its seconds, and the most memory that it and its children took, in bytes."""
    start, most = time.perf_counter(), 0
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:
        while process.poll() is None:
            most = max(most, memory(process.pid))
            time.sleep(0.05)
    return process.returncode, time.perf_counter() - start, most


def memory(pid: int) -> int:
    """Bytes of a process and all below it; what several share counts once."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:  # it ended meanwhile
        return 0
    own = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return own + sum(memory(int(child)) for child in children)


def photos(folder: Path, classes: int, number: int) -> Path:
    """JPEGs of 640 x 480 pixels, all different, a folder for each class."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        (folder / f"class{c}").mkdir(parents=True)
        for i in range(number):
            small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
            small.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"class{c}" / f"{i}.jpg", quality=85)
    return folder


def build(folder: Path, instances: int, tmp_path: Path) -> tuple[float, int]:
    line = ["data", "build", "mine", "--images", str(folder), "--instances", str(instances), "--jobs", "2", "--quiet"]
    code, seconds, most = run(sys.executable, "-c", COMMAND, *line, SICONVNET_DATA=str(tmp_path / "data"))
    assert code == 0
    summary = read_summary(tmp_path / "data" / "mine.npz")
    canvases = 3 * 48 * summary.num_classes * summary.num_instances
    print(f"{canvases:,} canvases in {seconds:.1f} s, at most {most / 1e6:.0f} MB")
    return seconds, most


def test_memory_is_measured() -> None:
    """The negative control: a process whose child holds 300 MB."""
    hold = "import time; kept = b'x' * 300_000_000; time.sleep(0.5)"
    code, _, most = run(
        sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    )
    assert code == 0 and 300e6 < most < 400e6


@pytest.mark.slow
def test_72000_canvases_of_a_folder(tmp_path: Path) -> None:
    seconds, most = build(photos(tmp_path / "images", 10, 150), 50, tmp_path)
    assert seconds < 120
    assert most < 1e9


@pytest.mark.slow
def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    folder = photos(tmp_path / "images", 4, 60)
    _, few = build(folder, 2, tmp_path)
    _, many = build(folder, 20, tmp_path)
    assert many < few + 100e6
